// SPDX-License-Identifier: MIT OR Apache-2.0
//! What strict mode adds, one difference a test: compat accepts, strict refuses.

mod common;

use common::{bytes, compat, hash, key, public, receipt, sign, spell, strict, vector};
use receipts::audit::{AuditChain, CheckpointContext, verify_lines};
use receipts::bilateral::BilateralOptions;
use receipts::crypto::GENESIS;
use receipts::delegation::AuthorizedOptions;
use receipts::replay::{FREE, ReplayCache};
use receipts::request::{RequestOptions, SignerTrust, Signers};
use receipts::revocation::Revocation;
use receipts::{Class, Field, Judge, PublicKey, Purpose, Reason, Verdict};
use serde_json::{Value, json};

fn any(judge: Judge, receipt: &[u8], key: &PublicKey) -> Result<(), Verdict> {
    judge.verify_any(receipt, key, Purpose::Live, None)
}

fn refused(field: Field, reason: Reason) -> Result<(), Verdict> {
    Err(Verdict::new(Class::Strict, field, reason))
}

/// A log of receipts, and the chain that appended them.
fn log(receipts: &[Value]) -> (Vec<u8>, AuditChain) {
    let mut chain = AuditChain::default();
    let mut lines = Vec::new();
    for receipt in receipts {
        let appended = chain.append(&bytes(receipt)).expect("appended");
        let line = json!({
            "receipt": receipt, "prev_hash": appended.previous.text(), "record_hash": appended.record.text(),
        });
        lines.extend(bytes(&line));
        lines.push(b'\n');
    }
    (lines, chain)
}

fn three() -> Vec<Value> {
    (1..=3).map(|seed| receipt(&key(seed), "rnd_0")).collect()
}

#[test]
fn a_whole_log_passes_to_the_head() {
    let (lines, chain) = log(&three());
    let segment = chain.verify_to_head(&lines, GENESIS).expect("whole");
    assert_eq!((segment.records, segment.end), (3, chain.head.text()));
}

#[test]
fn a_truncated_tail_does_not_reach_the_head() {
    let (lines, chain) = log(&three());
    let cut = lines
        .iter()
        .rposition(|&byte| byte == b'\n')
        .and_then(|end| lines[..end].iter().rposition(|&byte| byte == b'\n').map(|end| end + 1));
    let shorter = &lines[..cut.expect("two lines")];
    assert_eq!(verify_lines(shorter, GENESIS).expect("consistent in itself").records, 2);
    let fault = chain.verify_to_head(shorter, GENESIS).expect_err("truncated");
    assert_eq!(fault.verdict, Verdict::new(Class::LogMismatch, Field::Head, Reason::Mismatch));
}

#[test]
fn a_record_removed_and_rehashed_does_not_reach_the_head() {
    let mut receipts = three();
    let (_, chain) = log(&receipts);
    receipts.remove(1);
    let (rewritten, _) = log(&receipts);
    assert!(verify_lines(&rewritten, GENESIS).is_ok());
    assert_eq!(chain.verify_to_head(&rewritten, GENESIS).expect_err("rewritten").verdict.field, Field::Head);
}

#[test]
fn a_log_that_claims_to_start_later_must_end_at_the_head_too() {
    let (lines, chain) = log(&three());
    let first_end = lines.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
    let (first, rest) = lines.split_at(first_end);
    let middle = verify_lines(first, GENESIS).expect("the first").end;
    assert_eq!(chain.verify_to_head(rest, &middle).expect("the rest").records, 2);
    let fault = chain.verify_to_head(rest, GENESIS).expect_err("not from the beginning");
    assert_eq!((fault.verdict.field, fault.line), (Field::PrevHash, 1));
}

#[test]
fn a_checkpoint_is_signed_and_counts() {
    let (_, mut chain) = log(&three());
    let signer = key(9);
    let context = CheckpointContext { boot_id: [7; 16], now: strict().now, clock: "test" };
    let (statement, signature) = chain.checkpoint(&context, &signer);
    let signature = ed25519_dalek::Signature::from_bytes(&signature);
    assert!(signer.verifying_key().verify_strict(&statement, &signature).is_ok());
    let said: Value = serde_json::from_slice(&statement).expect("JSON");
    assert_eq!(said["head"], json!(chain.head.text()));
    assert_eq!((&said["count"], &said["sequence"]), (&json!(3), &json!(4)));
    assert_eq!(said["boot_id"], json!("07".repeat(16)));
    assert_eq!(receipts::canon::canonicalize(&statement).expect("JSON"), statement);
}

#[test]
fn a_small_order_key_signs_nothing() {
    let forged = vector("045_v1_small_order_key_forgery.json");
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = PublicKey::from_bytes(&identity).expect("a point");
    assert_eq!(any(compat(), &forged, &weak), Ok(()));
    assert_eq!(any(strict(), &forged, &weak), refused(Field::Pubkey, Reason::SmallOrder));
}

#[test]
fn a_key_other_than_the_pinned_one_is_refused() {
    let mut claimed = receipt(&key(1), "rnd_1");
    claimed["signer"]["pubkey"] = json!(public(&key(2)).text());
    let claimed = bytes(&sign(claimed, &key(1), "rec_"));
    assert_eq!(any(compat(), &claimed, &public(&key(1))), Ok(()));
    assert_eq!(any(strict(), &claimed, &public(&key(1))), refused(Field::Pubkey, Reason::Mismatch));
}

#[test]
fn an_id_that_does_not_follow_from_the_signature_is_refused() {
    let mut renamed = receipt(&key(1), "rnd_1");
    assert_eq!(any(strict(), &bytes(&renamed), &public(&key(1))), Ok(()));
    renamed["id"] = json!("rec_00000000000000000000000000000000");
    assert_eq!(any(compat(), &bytes(&renamed), &public(&key(1))), Ok(()));
    assert_eq!(any(strict(), &bytes(&renamed), &public(&key(1))), refused(Field::Id, Reason::Mismatch));
}

#[test]
fn a_params_hash_of_other_params_is_refused() {
    let mut wrong = receipt(&key(1), "rnd_1");
    wrong["action"]["params_hash"] = json!(hash(&json!({"other": 1})));
    let wrong = bytes(&sign(wrong, &key(1), "rec_"));
    assert_eq!(any(compat(), &wrong, &public(&key(1))), Ok(()));
    assert_eq!(any(strict(), &wrong, &public(&key(1))), refused(Field::ParamsHash, Reason::Mismatch));
}

#[test]
fn params_may_be_withheld_behind_their_hash() {
    let mut withheld = receipt(&key(1), "rnd_1");
    withheld["action"]["params"] = Value::Null;
    let good = bytes(&sign(withheld.clone(), &key(1), "rec_"));
    assert_eq!(any(strict(), &good, &public(&key(1))), Ok(()));
    withheld["action"]["params_hash"] = json!("sha256:nonsense");
    let bad = bytes(&sign(withheld, &key(1), "rec_"));
    assert_eq!(any(compat(), &bad, &public(&key(1))), Ok(()));
    assert_eq!(any(strict(), &bad, &public(&key(1))), refused(Field::ParamsHash, Reason::Malformed));
}

/// A receipt of version 4 by key 2 with one token from key 1, and the token.
fn delegated(change: impl FnOnce(&mut Value)) -> (Vec<u8>, Value) {
    let (root, agent) = (key(1), key(2));
    let mut token = sign(
        json!({
            "v": 1, "id": "", "sig": "", "nonce": "rnd_t", "issued_at": "2026-11-20T00:00:00Z",
            "delegator": {"pubkey": public(&root).text(), "name": "root"},
            "delegate": {"pubkey": public(&agent).text(), "name": "bot"},
            "scope": {
                "tools": ["*"], "targets": ["*"], "max_depth": 0,
                "constraints": [{"type": "call_count", "max_calls": 3}]
            },
        }),
        &root,
        "del_",
    );
    change(&mut token);
    let mut receipt = receipt(&agent, "rnd_4");
    receipt["v"] = json!(4);
    receipt["authorization"] = json!({
        "chain": [token], "chain_hash": hash(&json!([token])), "root_pubkey": public(&root).text(),
    });
    (bytes(&sign(receipt, &agent, "rec_")), token)
}

fn authorized(judge: Judge, receipt: &[u8], revocations: Option<&[u8]>) -> Result<Value, Verdict> {
    let roots = [public(&key(1))];
    let options = AuthorizedOptions { revocations, ..AuthorizedOptions::roots(&roots) };
    judge.verify_authorized(receipt, &options).map(|scope| serde_json::from_slice(&scope).expect("JSON"))
}

/// A revocation by key 1 of whatever has this identifier.
fn revocation(id: &Value) -> Value {
    let record = json!({
        "v": 1, "artifact_type": "delegation_token", "artifact_id": id, "revoked_by": "user://acme/alice",
        "revoked_at": "2026-11-20T01:00:00Z", "reason": "", "nonce": "rnd_r", "sig": "",
    });
    let mut record = sign(record, &key(1), "rev_");
    record.as_object_mut().expect("an object").remove("id");
    record
}

#[test]
fn a_changed_token_id_does_not_escape_revocation() {
    let (honest, token) = delegated(|_| {});
    let records = bytes(&json!([revocation(&token["id"])]));
    let revoked = Err(Verdict::new(Class::DelegationRevoked, Field::Chain, Reason::Revoked));
    assert!(authorized(strict(), &honest, None).is_ok());
    assert_eq!(authorized(strict(), &honest, Some(&records)), revoked);

    let (renamed, alias) = delegated(|token| token["id"] = json!("del_00000000000000000000000000000000"));
    assert!(authorized(compat(), &renamed, Some(&records)).is_ok(), "the reference does not find it");
    let verdict = Verdict::new(Class::Strict, Field::TokenId, Reason::Mismatch);
    assert_eq!(authorized(strict(), &renamed, Some(&records)), Err(verdict));

    let tokens = bytes(&json!([alias]));
    assert_eq!(compat().check_revocation(&tokens, b"[]", &records), Ok(Revocation::Unknown));
    assert!(matches!(strict().check_revocation(&tokens, b"[]", &records), Ok(Revocation::Revoked { .. })));
}

#[test]
fn unsigned_constraints_are_not_stated() {
    let (receipt, _) = delegated(|_| {});
    assert!(authorized(compat(), &receipt, None).expect("accepted").get("constraints").is_some());
    assert!(authorized(strict(), &receipt, None).expect("accepted").get("constraints").is_none());
    let (stripped, _) = delegated(|token| {
        token["scope"].as_object_mut().expect("an object").remove("constraints");
    });
    let scope = authorized(strict(), &receipt, None);
    assert_eq!(authorized(strict(), &stripped, None), scope, "stripping them changes nothing");
}

fn request(receipt: &Value) -> Vec<u8> {
    bytes(&json!({
        "name": receipt["action"]["tool"], "arguments": receipt["action"]["params"], "_meta": {"_signet": receipt},
    }))
}

fn options<'a>(keys: &'a [PublicKey]) -> RequestOptions<'a> {
    RequestOptions { signers: Signers::Keys(keys), ..RequestOptions::default() }
}

#[test]
fn a_request_needs_a_pinned_signer_and_a_place_for_its_nonce() {
    let text = request(&receipt(&key(1), "rnd_1"));
    let anyone = RequestOptions::default();
    let mut entries = [FREE; 4];
    let mut replay = ReplayCache::new(&mut entries, [0; 16]);
    assert_eq!(compat().verify_request(&text, &anyone, None), Ok(SignerTrust::SelfConsistent));
    let untrusted = Err(Verdict::new(Class::Strict, Field::Pubkey, Reason::Untrusted));
    assert_eq!(strict().verify_request(&text, &anyone, Some(&mut replay)), untrusted);
    let keys = [public(&key(1))];
    let absent = Err(Verdict::new(Class::Unavailable, Field::Nonce, Reason::Absent));
    assert_eq!(strict().verify_request(&text, &options(&keys), None), absent);
    assert_eq!(strict().verify_request(&text, &options(&keys), Some(&mut replay)), Ok(SignerTrust::Trusted));
    let seen = Err(Verdict::new(Class::ServerReject, Field::Nonce, Reason::Replay));
    assert_eq!(strict().verify_request(&text, &options(&keys), Some(&mut replay)), seen);
}

#[test]
fn nonces_are_kept_apart_by_key_and_for_the_whole_window() {
    let keys = [public(&key(1)), public(&key(2))];
    let mut entries = [FREE; 4];
    let mut replay = ReplayCache::new(&mut entries, [0; 16]);
    let (mine, yours) = (request(&receipt(&key(1), "rnd_1")), request(&receipt(&key(2), "rnd_1")));
    assert!(strict().verify_request(&mine, &options(&keys), Some(&mut replay)).is_ok());
    assert!(strict().verify_request(&yours, &options(&keys), Some(&mut replay)).is_ok(), "another key's nonce");
    // The receipt is of :17; at 300 s of age it is still fresh, so its nonce must still be known.
    let late = Judge { now: strict().now.plus_seconds(299), ..strict() };
    let seen = Err(Verdict::new(Class::ServerReject, Field::Nonce, Reason::Replay));
    assert_eq!(late.verify_request(&mine, &options(&keys), Some(&mut replay)), seen);
}

#[test]
fn a_full_cache_refuses_rather_than_forgets() {
    let keys = [public(&key(1))];
    let mut entries = [FREE; 2];
    let mut replay = ReplayCache::new(&mut entries, [0; 16]);
    let texts: Vec<_> = (0..3).map(|n| request(&receipt(&key(1), &format!("rnd_{n}")))).collect();
    for text in &texts[..2] {
        assert!(strict().verify_request(text, &options(&keys), Some(&mut replay)).is_ok());
    }
    let full = Err(Verdict::new(Class::Strict, Field::Nonce, Reason::Full));
    assert_eq!(strict().verify_request(&texts[2], &options(&keys), Some(&mut replay)), full);
    let seen = Err(Verdict::new(Class::ServerReject, Field::Nonce, Reason::Replay));
    assert_eq!(strict().verify_request(&texts[0], &options(&keys), Some(&mut replay)), seen, "still known");
    // Once their time is over there is room again.
    let late = Judge { now: strict().now.plus_seconds(1000), ..strict() };
    let mut fresh = receipt(&key(1), "rnd_9");
    fresh["ts"] = json!("2026-11-20T21:37:00Z");
    let fresh = request(&sign(fresh, &key(1), "rec_"));
    assert!(late.verify_request(&fresh, &options(&keys), Some(&mut replay)).is_ok());
}

#[test]
fn the_order_of_events_is_our_own() {
    let mut early = receipt(&key(1), "rnd_a");
    early["ts"] = json!("1999-01-01T00:00:00Z"); // the agent's word; it moves nothing
    let early = sign(early, &key(1), "rec_");
    let (lines, chain) = log(&[receipt(&key(1), "rnd_b"), early]);
    assert_eq!(chain.sequence, 2);
    assert!(chain.verify_to_head(&lines, GENESIS).is_ok());
}

#[test]
fn a_cosigned_receipt_under_a_small_order_server_is_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = PublicKey::from_bytes(&identity).expect("a point");
    let mut forged = json!({
        "v": 3, "id": "rec_x", "agent_receipt": receipt(&key(1), "rnd_1"),
        "response": {"content_hash": hash(&json!(1))}, "server": {"pubkey": weak.text(), "name": "s"},
        "ts_response": "2026-11-20T21:20:18Z", "nonce": "rnd_s",
    });
    let mut signature = [0; 64];
    signature[0] = 1;
    forged["sig"] = json!(spell(&signature));
    let options = BilateralOptions::default();
    assert!(compat().verify_bilateral(&bytes(&forged), &weak, &options, None).is_ok());
    let verdict = strict().verify_bilateral(&bytes(&forged), &weak, &options, None).expect_err("forged");
    assert_eq!(verdict, Verdict::new(Class::Strict, Field::Server, Reason::SmallOrder));
}
