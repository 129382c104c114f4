// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that are signed here, with the seeds that the vectors publish and the private half of the repository's
//! provisioning key: what only a strict call does, at the time of the vectors.

use crate::{Case, Step, parts, read, read_json, text};
use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use receipts::trust::SIGNING_CONTEXT;
use receipts::{Hash, PublicKey};
use receipts_client::{MAX_RECEIPT, Operation, Tag};
use serde_json::{Value, json};
use std::path::Path;

/// When the calls expect to be made: within the next five minutes.
pub const AT: &str = "2026-11-20T21:20:18";

struct Keys(Value);

impl Keys {
    fn key(&self, name: &str) -> SigningKey {
        let digits = text(&self.0["test_seeds_hex"], name).as_bytes();
        let digit = |at: usize| char::from(digits[at]).to_digit(16).expect("a digit") as u8;
        SigningKey::from_bytes(&std::array::from_fn(|i| digit(2 * i) << 4 | digit(2 * i + 1)))
    }

    fn public(&self, name: &str) -> String {
        PublicKey::from(self.key(name).verifying_key()).text()
    }
}

/// Signs a structure as the format does and adds `sig` and `id`.
fn sign(mut value: Value, key: &SigningKey) -> Value {
    let signed = receipts::receipt::signed_bytes(value.to_string().as_bytes()).expect("signed bytes");
    let signature = key.sign(&signed).to_bytes();
    let hash = Hash::of(&signature).text();
    value["sig"] = json!(format!("ed25519:{}", Base64::encode_string(&signature)));
    value["id"] = json!(format!("rec_{}", &hash["sha256:".len()..][..32]));
    value
}

fn receipt(key: &SigningKey, ts: &str, nonce: &str) -> Value {
    let params = json!({"title": "x"});
    let receipt = json!({
        "v": 1, "id": "", "sig": "", "ts": ts, "nonce": nonce,
        "action": {
            "tool": "t", "params": params, "target": "mcp://files", "transport": "stdio",
            "params_hash": Hash::of(params.to_string().as_bytes()).text(),
        },
        "signer": {"pubkey": PublicKey::from(key.verifying_key()).text(), "name": "n", "owner": "o"},
    });
    sign(receipt, key)
}

fn request(receipt: Value) -> Vec<u8> {
    let request = json!({"name": "t", "arguments": {"title": "x"}, "_meta": {"_signet": receipt}});
    parts(&[(Tag::Receipt, request.to_string().as_bytes())])
}

/// A trust bundle whose agent, server, root and authority are those of the vectors.
fn bundle(keys: &Keys, generated_at: &str, revocations: &Value) -> Vec<u8> {
    let entry = |name: &str| {
        json!({"id": name, "name": name, "owner": "o", "pubkey": keys.public(name), "status": "active",
            "created_at": "2026-01-01T00:00:00Z"})
    };
    let bundle = json!({
        "version": 1, "bundle_id": "b", "org": "o", "env": "test", "generated_at": generated_at,
        "roots": [entry("RT")], "agents": [entry("AG")], "servers": [entry("SV")], "authorities": [entry("AU")],
        "revocations": revocations,
    });
    bundle.to_string().into_bytes()
}

/// The private half of `sp/receipts/provisioning.pub`, as its documentation tells everybody.
fn provisioning() -> SigningKey {
    SigningKey::from_bytes(&[0x63; 32])
}

fn load(bundle: &[u8], key: &SigningKey) -> Vec<u8> {
    let signature = key.sign(&[SIGNING_CONTEXT, bundle].concat()).to_bytes();
    parts(&[(Tag::Bundle, bundle), (Tag::Signature, &signature)])
}

/// Makes the calls, each a case with one step; which verdict each must get is for the test that knows the order.
pub fn own(directory: &Path) -> Vec<Case> {
    let keys = Keys(read_json(&directory.join("index.json")));
    let file = |name: &str| read(&directory.join(name));
    let (agent, other) = (keys.key("AG"), keys.key("AG2"));
    let fresh = |nonce: &str| receipt(&agent, &format!("{AT}Z"), nonce);
    let revocation: Value = serde_json::from_slice(&file("211_rev_revoked.json")).expect("JSON");
    let newest = bundle(&keys, "2026-11-02T00:00:00Z", &revocation);
    let good = bundle(&keys, "2026-11-01T00:00:00Z", &json!([]));
    let mut forged = load(&good, &provisioning());
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let plain = |receipt: &[u8]| parts(&[(Tag::Receipt, receipt)]);
    let text_of = |value: &Value| value.to_string().into_bytes();
    let cosign = |receipt: &Value| {
        parts(&[(Tag::Receipt, &text_of(receipt)), (Tag::Content, b"{\"answer\":42}"), (Tag::Outcome, OUTCOME)])
    };
    let mut tampered = fresh("rnd_a");
    tampered["action"]["tool"] = json!("u");
    let stale = receipt(&agent, "2026-11-20T21:10:00Z", "rnd_b");
    let list = [
        ("load", Operation::TrustLoad, load(&good, &provisioning())),
        ("load_forged", Operation::TrustLoad, forged),
        ("load_by_another", Operation::TrustLoad, load(&good, &other)),
        ("load_no_bundle", Operation::TrustLoad, load(b"{}", &provisioning())),
        ("load_newest", Operation::TrustLoad, load(&newest, &provisioning())),
        ("v1", Operation::Verify, plain(&file("001_v1_ok_ascii.json"))),
        ("v1_of_another", Operation::Verify, plain(&text_of(&receipt(&other, &format!("{AT}Z"), "rnd_c")))),
        ("v1_tampered", Operation::Verify, plain(&text_of(&tampered))),
        ("v2", Operation::Verify, plain(&file("113_v2_ok.json"))),
        ("v3", Operation::Verify, plain(&file("129_v3_ok.json"))),
        ("v4", Operation::VerifyAuthorized, plain(&file("159_v4_ok_one_hop.json"))),
        ("request", Operation::VerifyRequest, request(fresh("rnd_d"))),
        ("request_again", Operation::VerifyRequest, request(fresh("rnd_e"))),
        ("request_stale", Operation::VerifyRequest, request(stale.clone())),
        ("request_of_another", Operation::VerifyRequest, request(receipt(&other, &format!("{AT}Z"), "rnd_f"))),
        ("cosign", Operation::Cosign, cosign(&fresh("rnd_g"))),
        ("cosign_tampered", Operation::Cosign, cosign(&tampered)),
        ("cosign_stale", Operation::Cosign, cosign(&stale)),
        ("cosign_of_another", Operation::Cosign, cosign(&receipt(&other, &format!("{AT}Z"), "rnd_h"))),
        ("many_values", Operation::Canonicalize, plain(&values(16_383))),
        ("too_many_values", Operation::Canonicalize, plain(&values(16_384))),
        ("too_large", Operation::Canonicalize, plain(&[b' '; MAX_RECEIPT + 1])),
    ];
    let case = |(name, operation, message): (&str, Operation, Vec<u8>)| {
        let step = Step { operation, flags: 0, message, class: 0, value: None, answer: None };
        Case { name: name.to_owned(), steps: vec![step] }
    };
    list.into_iter().map(case).collect()
}

const OUTCOME: &[u8] = b"{\"status\":\"executed\"}";

/// An array of so many values; it is one itself.
fn values(elements: usize) -> Vec<u8> {
    [
        &b"["[..],
        &vec![b'0'; elements].into_iter().flat_map(|zero| [zero, b',']).collect::<Vec<_>>()[..2 * elements - 1],
        b"]",
    ]
    .concat()
}
