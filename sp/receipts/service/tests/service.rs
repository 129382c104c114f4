// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service on the host: state, keys, clocks, trust, and messages that make no sense.

mod common;

use common::{Turned, call, memory, part, platform, provisioning, service, start};
use ed25519_dalek::{Signature, Signer, SigningKey};
use receipts::trust::SIGNING_CONTEXT;
use receipts::{Class, Field, PublicKey, Reason, Verdict};
use receipts_client::{ClockSource, MAX_MESSAGE, Operation, PartWriter, Reply, Tag, flags};
use receipts_service::{Life, Memory, Service};
use serde_json::{Value, json};

fn parts(list: &[(Tag, &[u8])]) -> Vec<u8> {
    let mut buffer = vec![0; MAX_MESSAGE];
    let mut writer = PartWriter::new(&mut buffer);
    list.iter().for_each(|(tag, value)| writer.add(*tag, value).expect("room"));
    let used = writer.used();
    buffer.truncate(used);
    buffer
}

fn code(class: Class, field: Field, reason: Reason) -> u32 {
    Verdict::new(class, field, reason).code()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn spelled(key: &SigningKey) -> String {
    PublicKey::from(key.verifying_key()).text()
}

/// Makes a receipt of version 1 by this key.
fn receipt(key: &SigningKey, nonce: &str) -> Vec<u8> {
    use base64ct::{Base64, Encoding};
    let params = json!({"title": "x"});
    let mut receipt = json!({
        "v": 1, "id": "", "sig": "", "ts": "2026-11-20T21:20:17Z", "nonce": nonce,
        "action": {
            "tool": "t", "params": params, "target": "u", "transport": "stdio",
            "params_hash": receipts::Hash::of(params.to_string().as_bytes()).text(),
        },
        "signer": {"pubkey": spelled(key), "name": "n", "owner": "o"},
    });
    let signed = receipts::receipt::signed_bytes(receipt.to_string().as_bytes()).expect("signable");
    let signature = key.sign(&signed).to_bytes();
    let hash = receipts::Hash::of(&signature).text();
    receipt["sig"] = json!(format!("ed25519:{}", Base64::encode_string(&signature)));
    receipt["id"] = json!(format!("rec_{}", &hash["sha256:".len()..][..32]));
    receipt.to_string().into_bytes()
}

fn bundle(agents: &[&SigningKey], generated_at: &str) -> Vec<u8> {
    let entry = |id: usize, key: &SigningKey| {
        json!({
            "id": format!("k{id}"), "name": "n", "owner": "o", "pubkey": spelled(key), "status": "active",
            "created_at": "2026-01-01T00:00:00Z",
        })
    };
    let agents: Vec<Value> = agents.iter().enumerate().map(|(id, key)| entry(id, key)).collect();
    let bundle = json!({
        "version": 1, "bundle_id": "b", "org": "o", "env": "prod", "generated_at": generated_at, "agents": agents,
    });
    let bundle = bundle.to_string().into_bytes();
    let signature = provisioning().sign(&[SIGNING_CONTEXT, &bundle].concat()).to_bytes();
    parts(&[(Tag::Bundle, &bundle), (Tag::Signature, &signature)])
}

#[test]
fn a_signed_bundle_makes_an_agent_trusted() {
    let (mut service, mut platform) = service();
    let good = parts(&[(Tag::Receipt, &receipt(&key(1), "rnd_1"))]);
    let verify =
        |service: &mut Service<'_>, platform: &mut _| call(service, platform, Operation::Verify, 0, &good).0.code;
    let untrusted = code(Class::Strict, Field::Pubkey, Reason::Untrusted);
    assert_eq!(verify(&mut service, &mut platform), untrusted);
    let load = bundle(&[&key(1), &key(2)], "2026-11-01T00:00:00Z");
    let (reply, _) = call(&mut service, &mut platform, Operation::TrustLoad, 0, &load);
    assert_eq!((reply.code, reply.values[0] >> 32), (0, 2));
    assert_eq!(verify(&mut service, &mut platform), 0);
    let older = bundle(&[&key(3)], "2026-10-01T00:00:00Z");
    let (reply, _) = call(&mut service, &mut platform, Operation::TrustLoad, 0, &older);
    assert_eq!(reply.code, code(Class::TrustBundleError, Field::GeneratedAt, Reason::Rollback));
    assert_eq!(call(&mut service, &mut platform, Operation::TrustClear, 0, &[]).0.code, 0);
    assert_eq!(verify(&mut service, &mut platform), untrusted);
}

#[test]
fn a_request_is_served_once() {
    let (mut service, mut platform) = service();
    let receipt: Value = serde_json::from_slice(&receipt(&key(1), "rnd_1")).expect("JSON");
    let request = json!({"name": "t", "arguments": {"title": "x"}, "_meta": {"_signet": receipt}}).to_string();
    let message = parts(&[(Tag::Receipt, request.as_bytes()), (Tag::Key, spelled(&key(1)).as_bytes())]);
    let mut ask = |bits| call(&mut service, &mut platform, Operation::VerifyRequest, bits, &message).0;
    assert_eq!((ask(0).code, ask(0).code), (0, code(Class::ServerReject, Field::Nonce, Reason::Replay)));
    // Compat calls have a cache of their own, which only they fill and empty.
    let replayed = flags::COMPAT | flags::REPLAY;
    assert_eq!((ask(replayed).code, ask(replayed).code >> 16), (0, Class::ServerReject as u32));
    assert_eq!(call(&mut service, &mut platform, Operation::CompatReplayClear, 0, &[]).0.code, 0);
    let mut ask = |bits| call(&mut service, &mut platform, Operation::VerifyRequest, bits, &message).0;
    assert_eq!((ask(replayed).code, ask(0).code >> 16), (0, Class::ServerReject as u32));
}

#[test]
fn checkpoints_and_cosignatures_are_by_the_key_that_head_tells() {
    let (mut service, mut platform) = service();
    let (reply, head) = call(&mut service, &mut platform, Operation::Head, 0, &[]);
    assert_eq!(reply.values[..2], [0, 0]);
    let public = part(&head, Tag::Key).expect("a key").to_vec();
    let signer = PublicKey::parse(core::str::from_utf8(&public).expect("text"), Field::Key).expect("a key");

    let (reply, answer) = call(&mut service, &mut platform, Operation::Checkpoint, 0, &[]);
    assert_eq!((reply.code, reply.clock), (0, ClockSource::RtcAtBoot));
    let signature = part(&answer, Tag::Signature).expect("a signature").try_into().expect("64 bytes");
    let statement = part(&answer, Tag::Statement).expect("a statement");
    assert_eq!(receipts::crypto::verify_bare(signer.as_bytes(), statement, &signature), Ok(()));
    assert!(Signature::from_bytes(&signature).to_bytes() == signature);

    let message = parts(&[
        (Tag::Receipt, &receipt(&key(1), "rnd_1")),
        (Tag::Key, spelled(&key(1)).as_bytes()),
        (Tag::Content, b"{\"answer\":42}"),
    ]);
    let (reply, answer) = call(&mut service, &mut platform, Operation::Cosign, 0, &message);
    assert_eq!(reply.code, 0);
    let signed = part(&answer, Tag::Receipt).expect("a receipt");
    let verify = parts(&[(Tag::Receipt, signed), (Tag::Key, &public), (Tag::Agent, spelled(&key(1)).as_bytes())]);
    let (reply, _) = call(&mut service, &mut platform, Operation::VerifyBilateral, 0, &verify);
    assert_eq!((reply.code, reply.values[0]), (0, 1));
    let (reply, _) = call(&mut service, &mut platform, Operation::VerifyBilateral, 0, &verify);
    assert_eq!(reply.code, code(Class::InvalidReceipt, Field::Nonce, Reason::Replay));
}

#[test]
fn without_a_random_source_nothing_is_signed() {
    let mut platform = platform();
    platform.random = None;
    let mut memory = memory();
    let (mut service, _) = start(&mut memory, &mut platform);
    let (reply, _) = call(&mut service, &mut platform, Operation::Checkpoint, 0, &[]);
    assert_eq!(reply.code, code(Class::Unavailable, Field::Key, Reason::Absent));
    let (hello, _) = call(&mut service, &mut platform, Operation::Hello, 0, &[]);
    assert_eq!(hello.values[2] & 1, 0);
    // What needs no key still works.
    let append = parts(&[(Tag::Receipt, b"1")]);
    assert_eq!(call(&mut service, &mut platform, Operation::Append, 0, &append).0.values[..2], [1, 1]);
}

#[test]
fn without_a_clock_only_compat_with_a_time_is_judged() {
    let (mut service, mut platform) = service();
    platform.now = None;
    let plain = parts(&[(Tag::Receipt, &receipt(&key(1), "rnd_1")), (Tag::Key, spelled(&key(1)).as_bytes())]);
    let (reply, _) = call(&mut service, &mut platform, Operation::Verify, 0, &plain);
    assert_eq!(reply.code, code(Class::Unavailable, Field::Clock, Reason::Absent));
    let timed = [&plain[..], &parts(&[(Tag::At, b"2026-11-20T21:20:18Z")])].concat();
    let (reply, _) = call(&mut service, &mut platform, Operation::Verify, flags::COMPAT, &timed);
    assert_eq!((reply.code, reply.clock), (0, ClockSource::Caller));
    let (reply, _) = call(&mut service, &mut platform, Operation::Verify, 0, &timed);
    assert_eq!(reply.code, code(Class::BadRequest, Field::Clock, Reason::Unsupported));
}

/// A request by key 1 with this nonce, as a message.
fn request(nonce: &str) -> Vec<u8> {
    let receipt: Value = serde_json::from_slice(&receipt(&key(1), nonce)).expect("JSON");
    let request = json!({"name": "t", "arguments": {"title": "x"}, "_meta": {"_signet": receipt}}).to_string();
    parts(&[(Tag::Receipt, request.as_bytes()), (Tag::Key, spelled(&key(1)).as_bytes())])
}

/// Finds a member of a checkpoint.
fn member(service: &mut Service<'_>, platform: &mut Turned, name: &str) -> Value {
    let (reply, answer) = call(service, platform, Operation::Checkpoint, 0, &[]);
    assert_eq!(reply.code, 0);
    let statement: Value = serde_json::from_slice(part(&answer, Tag::Statement).expect("a statement")).expect("JSON");
    statement[name].clone()
}

#[test]
fn what_must_survive_a_restart_does() {
    let (mut memory, mut platform) = (memory(), platform());
    let (mut service, life) = start(&mut memory, &mut platform);
    assert_eq!((life, platform.counts_from), (Life::First, 1234));
    for text in [&b"1"[..], b"2"] {
        call(&mut service, &mut platform, Operation::Append, 0, &parts(&[(Tag::Receipt, text)]));
    }
    let message = request("rnd_1");
    assert_eq!(call(&mut service, &mut platform, Operation::VerifyRequest, 0, &message).0.code, 0);
    let load = bundle(&[&key(1)], "2026-11-01T00:00:00Z");
    assert_eq!(call(&mut service, &mut platform, Operation::TrustLoad, 0, &load).0.code, 0);
    let (boot, head) = (member(&mut service, &mut platform, "boot_id"), member(&mut service, &mut platform, "head"));
    let before = call(&mut service, &mut platform, Operation::Head, 0, &[]);

    // The clock of the first life goes on; another would be whatever the Normal world has set meanwhile.
    platform.counts_from = 0;
    let (mut again, life) = start(&mut memory, &mut platform);
    assert_eq!((life, platform.counts_from), (Life::Later, 1234));
    assert_eq!(call(&mut again, &mut platform, Operation::Head, 0, &[]), before, "sequence, count, head, key");
    assert_eq!(before.0.values[..2], [4, 2]);
    assert_eq!(member(&mut again, &mut platform, "boot_id"), boot);
    assert_eq!(member(&mut again, &mut platform, "head"), head);
    let replayed = call(&mut again, &mut platform, Operation::VerifyRequest, 0, &message).0.code;
    assert_eq!(replayed, code(Class::ServerReject, Field::Nonce, Reason::Replay));
    assert_eq!(call(&mut again, &mut platform, Operation::VerifyRequest, 0, &request("rnd_2")).0.code, 0);
    // Nobody is trusted until a bundle is loaded again, and an older one than before is no more taken than before.
    let (query, _) = call(&mut again, &mut platform, Operation::TrustQuery, 0, &[]);
    assert_eq!((query.values[0], query.values[1]), (0, 0));
    let older = bundle(&[&key(3)], "2026-10-01T00:00:00Z");
    let (reply, _) = call(&mut again, &mut platform, Operation::TrustLoad, 0, &older);
    assert_eq!(reply.code, code(Class::TrustBundleError, Field::GeneratedAt, Reason::Rollback));
    assert_eq!(call(&mut again, &mut platform, Operation::TrustLoad, 0, &load).0.code, 0);
}

#[test]
fn every_change_is_kept_before_it_is_answered() {
    let (mut memory, mut platform) = (memory(), platform());
    let mut told = [0, 0];
    for round in 0..20 {
        let (mut service, _) = start(&mut memory, &mut platform);
        let (head, _) = call(&mut service, &mut platform, Operation::Head, 0, &[]);
        assert_eq!(head.values[..2], told, "in round {round}");
        let (operation, message) = match round % 3 {
            0 => (Operation::Append, parts(&[(Tag::Receipt, b"{\"a\":1}")])),
            1 => (Operation::Checkpoint, Vec::new()),
            _ => (Operation::Append, parts(&[(Tag::Receipt, b"no JSON")])),
        };
        let (reply, _) = call(&mut service, &mut platform, operation, 0, &message);
        if reply.code == 0 {
            told.copy_from_slice(&reply.values[..2]);
        }
    }
    assert_eq!(told, [14, 7]);
}

#[test]
fn nothing_is_served_on_damaged_memory() {
    let (mut memory, mut platform) = (memory(), platform());
    assert!(Memory::of(&mut memory[..100]).is_none(), "too little");
    let (mut service, _) = start(&mut memory, &mut platform);
    for nonce in ["rnd_1", "rnd_2", "rnd_3"] {
        assert_eq!(call(&mut service, &mut platform, Operation::VerifyRequest, 0, &request(nonce)).0.code, 0);
    }
    for damaged in [0..60, Memory::FIXED..Memory::FIXED + 16] {
        let mut bad = memory.clone();
        bad[damaged].iter_mut().for_each(|word| *word ^= 1 << 40);
        let memory = Memory::of(&mut bad).expect("room");
        assert!(Service::start(common::config(), memory, &mut platform).is_err());
    }
}

#[test]
fn messages_that_make_no_sense_are_answered() {
    let (mut service, mut platform) = service();
    let mut ask = |operation, message: &[u8]| -> Reply { call(&mut service, &mut platform, operation, 0, message).0 };
    let bad = |field, reason| code(Class::BadRequest, field, reason);
    assert_eq!(ask(Operation::Verify, &[]).code, bad(Field::Receipt, Reason::Missing));
    assert_eq!(ask(Operation::Verify, &[1; 7]).code, bad(Field::Document, Reason::Malformed));
    let twice = parts(&[(Tag::Receipt, b"1"), (Tag::Receipt, b"2")]);
    assert_eq!(ask(Operation::Verify, &twice).code, bad(Field::Document, Reason::Duplicate));
    let many = parts(&[(Tag::Key, &b"k"[..]); 65]);
    assert_eq!(ask(Operation::Verify, &many).code, bad(Field::Document, Reason::TooMany));
    let number = parts(&[(Tag::Receipt, b"{}"), (Tag::Key, KEY), (Tag::Window, b"300")]);
    assert_eq!(ask(Operation::VerifyBilateral, &number).code, bad(Field::TsResponse, Reason::Malformed));
    let text = parts(&[(Tag::Receipt, b"{}"), (Tag::Key, &[0xff; 52])]);
    assert_eq!(ask(Operation::Verify, &text).code, bad(Field::Pubkey, Reason::Malformed));
    let nonsense = parts(&[(Tag::Receipt, b"{}"), (Tag::Key, b"ed25519:!")]);
    assert_eq!(ask(Operation::Verify, &nonsense).code, code(Class::InvalidKey, Field::Pubkey, Reason::Malformed));
}

const KEY: &[u8] = b"ed25519:6EUPicHmTZe1K+sqGvF5yKneu95/A3cOu5shGlZOuf8=";
