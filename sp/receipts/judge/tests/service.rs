// SPDX-License-Identifier: MIT OR Apache-2.0
//! Co-signing, the trust bundle, stable codes and limits.

mod common;

use common::{bytes, compat, key, public, receipt, strict, time};
use receipts::bilateral::{BilateralOptions, Cosign};
use receipts::json::{MAX_TEXT, MAX_VALUES};
use receipts::replay::{FREE, ReplayCache};
use receipts::trust::{MAX_KEYS, SIGNING_CONTEXT, Trust};
use receipts::{Class, Document, Field, Judge, MAX_RECEIPT, Purpose, Reason, Verdict};
use serde_json::{Value, json};

fn cosign(judge: Judge, receipt: &[u8]) -> Result<Vec<u8>, Verdict> {
    let request = Cosign {
        receipt,
        content: br#"{"answer":42}"#,
        outcome: Some(br#"{"status":"executed"}"#),
        server_name: "server",
        nonce: [3; 16],
    };
    judge.cosign(&request, &public(&key(1)), &key(2))
}

#[test]
fn what_is_cosigned_verifies() {
    let signed = cosign(strict(), &bytes(&receipt(&key(1), "rnd_1"))).expect("co-signed");
    let agent = public(&key(1));
    let options = BilateralOptions { trusted_agent: Some(&agent), ..BilateralOptions::default() };
    let mut entries = [FREE; 4];
    let mut replay = ReplayCache::new(&mut entries, [0; 16]);
    let mut verify = || strict().verify_bilateral(&signed, &public(&key(2)), &options, Some(&mut replay));
    assert!(verify().is_ok());
    assert_eq!(verify(), Err(Verdict::new(Class::InvalidReceipt, Field::Nonce, Reason::Replay)));
    assert_eq!(receipts::canon::canonicalize(&signed).as_deref(), Ok(&signed[..]));
}

#[test]
fn what_would_not_verify_is_not_cosigned() {
    let mut tampered = receipt(&key(1), "rnd_1");
    tampered["action"]["tool"] = json!("delete_repo");
    assert_eq!(cosign(strict(), &bytes(&tampered)).expect_err("tampered").class, Class::SignatureMismatch);
    let good = bytes(&receipt(&key(1), "rnd_1"));
    let late = Judge { now: time("2026-11-20T21:25:19Z"), ..strict() };
    assert_eq!(cosign(late, &good).expect_err("late").reason, Reason::Gap);
    let early = Judge { now: time("2026-11-20T21:20:16Z"), ..strict() };
    assert_eq!(cosign(early, &good).expect_err("early").reason, Reason::Future);
}

fn entry(id: &str, seed: u8, status: &str) -> Value {
    json!({
        "id": id, "name": "n", "owner": "o", "pubkey": public(&key(seed)).text(), "status": status,
        "created_at": "2026-01-01T00:00:00Z", "disabled_at": "2026-02-01T00:00:00Z",
        "revoked_at": "2026-02-01T00:00:00Z",
    })
}

fn bundle(generated_at: &str, agents: &[Value]) -> Value {
    json!({
        "version": 1, "bundle_id": "b", "org": "o", "env": "prod", "generated_at": generated_at,
        "roots": [entry("r", 11, "active")], "agents": agents, "servers": [entry("s", 12, "active")],
    })
}

fn load(trust: &mut Trust, bundle: &Value) -> Result<(), Verdict> {
    let bundle = bytes(bundle);
    let signed = [SIGNING_CONTEXT, &bundle].concat();
    let signature = ed25519_dalek::Signer::sign(&key(99), &signed).to_bytes();
    trust.load(&bundle, &signature, &key(99).verifying_key())
}

#[test]
fn a_signed_bundle_says_whom_to_trust() {
    let mut trust = Trust::default();
    let mut expiring = entry("a3", 3, "active");
    expiring["expires_at"] = json!("2026-11-20T00:00:00Z");
    let agents = [entry("a1", 1, "active"), entry("a2", 2, "revoked"), expiring];
    load(&mut trust, &bundle("2026-11-01T00:00:00Z", &agents)).expect("loaded");
    let now = strict().now;
    let trusted = |seed| trust.agent(&public(&key(seed)), now);
    assert_eq!([trusted(1), trusted(2), trusted(3), trusted(11)], [true, false, false, false]);
    assert!(trust.agent(&public(&key(3)), time("2026-11-19T00:00:00Z")), "not expired then");
    assert_eq!((trust.roots(now), trust.server(&public(&key(12)), now)), (vec![public(&key(11))], true));

    let verify = |seed| strict().verify_trusted(&bytes(&receipt(&key(seed), "n")), &trust, Purpose::Live, None);
    assert_eq!(verify(1), Ok(()));
    let untrusted = Verdict::new(Class::Strict, Field::Pubkey, Reason::Untrusted);
    assert_eq!([verify(2), verify(3), verify(4)], [Err(untrusted); 3]);
}

#[test]
fn a_bundle_is_refused_whole() {
    let mut trust = Trust::default();
    let good = bundle("2026-11-01T00:00:00Z", &[entry("a", 1, "active")]);
    load(&mut trust, &good).expect("loaded");
    let mut expect = |change: &dyn Fn(&mut Value), class, field, reason| {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(load(&mut trust, &changed), Err(Verdict::new(class, field, reason)));
        assert!(trust.agent(&public(&key(1)), strict().now), "the loaded one stays");
    };
    let content = Class::TrustBundleError;
    expect(&|it| it["generated_at"] = json!("2026-10-31T00:00:00Z"), content, Field::GeneratedAt, Reason::Rollback);
    expect(
        &|it| it["generated_at"] = json!("2026-11-01T01:00:00+01:00"),
        content,
        Field::GeneratedAt,
        Reason::Malformed,
    );
    expect(&|it| it["version"] = json!(2), content, Field::Version, Reason::Unsupported);
    expect(&|it| it["env"] = json!("Prod"), content, Field::Env, Reason::Malformed);
    expect(&|it| it["org"] = json!(" "), content, Field::Org, Reason::Empty);
    expect(&|it| it["agents"] = json!("x"), Class::TrustBundleParseError, Field::Agents, Reason::WrongType);
    let same = |it: &mut Value| it["agents"] = json!([entry("a", 1, "active"), entry("b", 1, "active")]);
    expect(&same, content, Field::Pubkey, Reason::Duplicate);
    let weak =
        |it: &mut Value| it["agents"][0]["pubkey"] = json!("ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    expect(&weak, Class::Strict, Field::Pubkey, Reason::SmallOrder);

    let bytes = bytes(&good);
    let signature = ed25519_dalek::Signer::sign(&key(99), &bytes).to_bytes(); // without the context
    let refused = trust.load(&bytes, &signature, &key(99).verifying_key());
    assert_eq!(refused, Err(Verdict::new(Class::SignatureMismatch, Field::Trust, Reason::Mismatch)));
}

#[test]
fn a_cleared_trust_trusts_nobody_and_remembers_its_age() {
    let mut trust = Trust::default();
    load(&mut trust, &bundle("2026-11-01T00:00:00Z", &[entry("a", 1, "active")])).expect("loaded");
    trust.clear();
    assert!(!trust.agent(&public(&key(1)), strict().now));
    let older = bundle("2026-10-01T00:00:00Z", &[]);
    assert_eq!(load(&mut trust, &older).expect_err("older").reason, Reason::Rollback);
}

#[test]
fn too_many_keys_are_refused() {
    let agents: Vec<_> = (0..=MAX_KEYS).map(|n| entry(&format!("a{n}"), n as u8, "active")).collect();
    let mut big = bundle("2026-11-01T00:00:00Z", &agents);
    big["roots"] = json!([]);
    let verdict = load(&mut Trust::default(), &big).expect_err("too many");
    assert_eq!((verdict.class, verdict.reason), (Class::Limit, Reason::TooMany));
}

#[test]
fn codes_are_stable_and_read_back() {
    assert_eq!(Verdict::ACCEPTED.code(), 0);
    let verdict = Verdict::new(Class::InvalidReceipt, Field::Exp, Reason::Expired);
    assert_eq!((verdict.code(), verdict.to_string()), (0x01_23_08, "InvalidReceipt/exp/expired".to_string()));
    for code in 0..0x40_0000 {
        if let Some(verdict) = Verdict::from_code(code) {
            assert_eq!(verdict.code(), code);
        }
    }
    assert_eq!([Verdict::from_code(0x0100_0000), Verdict::from_code(0x00ff_0000)], [None, None]);
}

#[test]
fn limits_are_verdicts_of_their_own() {
    let limit = Err(Verdict::new(Class::Limit, Field::Document, Reason::TooMany));
    let mut padded = bytes(&receipt(&key(1), "rnd_1"));
    padded.resize(MAX_RECEIPT, b' ');
    let any = |text: &[u8]| strict().verify_any(text, &public(&key(1)), Purpose::Live, None);
    assert_eq!(any(&padded), Ok(()));
    padded.push(b' ');
    assert_eq!(any(&padded), limit);

    let deep = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes();
    let parse = |text: &[u8]| Document::parse(text, Class::InvalidReceipt).map(drop).map_err(|verdict| verdict.reason);
    assert_eq!(parse(&deep(127)), Ok(()));
    assert_eq!(parse(&deep(128)), Err(Reason::TooDeep));
    assert_eq!(parse(&deep(MAX_TEXT / 2)), Err(Reason::TooDeep));
    assert_eq!(parse(&vec![b'['; MAX_TEXT]), Err(Reason::TooDeep));
}

#[test]
fn the_worst_texts_are_read_or_refused_as_too_large() {
    let limit = Err(Verdict::new(Class::Limit, Field::Document, Reason::TooMany));
    let fill = |open: &str, item: &str, count: usize, close: &str| [open, &item.repeat(count), close].concat();
    let canonical = |text: String| receipts::canon::canonicalize(text.as_bytes()).map(|canonical| canonical.len());
    // The survey counts the first value and every separator, so these are exactly as many as are allowed, and more.
    let most = MAX_VALUES - 2;
    assert_eq!(canonical(fill("[0", ",0", most, "]")), Ok(2 * most + 3));
    assert_eq!(canonical(fill("[0", ",0", most + 1, "]")), limit);
    assert_eq!(canonical(fill("[0", ",1.5", most / 2, "]")), Ok(4 * (most / 2) + 3));
    assert_eq!(canonical(fill("[0", ",1.5", most / 2 + 1, "]")), limit);
    assert_eq!(canonical(fill("{\"\":0", ",\"\":0", most / 2 - 1, "}")), Ok(6), "one key many times");
    assert_eq!(canonical(fill("[0", ",0", 32766, "]")), limit);
    let output = Err(Verdict::new(Class::Limit, Field::Output, Reason::TooMany));
    assert_eq!(canonical(fill("[0", ",1e20", 8000, "]")), output, "a number can grow");
    assert_eq!(canonical(fill("\"", "\\u0000", 10922, "\"")), Ok(6 * 10922 + 2));
    assert_eq!(canonical(fill("[\"\"", ",\"\\n\"", 12000, "]")), Ok(5 * 12000 + 4));
}

#[test]
fn compat_reads_structures_as_arrays_too() {
    // The reference's reader takes a structure as an array of its fields in their order.
    let good = receipt(&key(1), "rnd_1");
    let mut other = good.clone();
    let signer = &good["signer"];
    other["signer"] = json!([signer["pubkey"], signer["name"], signer["owner"]]);
    let any = |value: &Value| compat().verify_any(&bytes(value), &public(&key(1)), Purpose::Live, None);
    assert_eq!(any(&other), Ok(()));
    other["signer"] = json!([signer["pubkey"], signer["name"]]);
    assert_eq!(any(&other), Err(Verdict::new(Class::InvalidReceipt, Field::Owner, Reason::Missing)));
}
