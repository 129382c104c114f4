// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests share: the vectors, the test keys, and receipts made to measure.
#![allow(dead_code)] // each test uses its part

use ed25519_dalek::{Signer, SigningKey};
use receipts::canon::canonicalize;
use receipts::receipt::signed_bytes;
use receipts::{Hash, Instant, Judge, Mode, PublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Reads a vector.
pub(crate) fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/vectors/signet/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Makes the key with this seed byte.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from(key.verifying_key())
}

pub(crate) fn strict() -> Judge {
    Judge { mode: Mode::Strict, now: time("2026-11-20T21:20:18Z") }
}

pub(crate) fn compat() -> Judge {
    Judge { mode: Mode::Compat, ..strict() }
}

pub(crate) fn time(text: &str) -> Instant {
    Instant::parse(text).expect("a time")
}

/// Makes a receipt of version 1 by this key, signed a second before [`strict`] judges.
pub(crate) fn receipt(key: &SigningKey, nonce: &str) -> Value {
    let params = json!({"title": "fix bug", "body": "details"});
    let unsigned = json!({
        "v": 1, "id": "", "sig": "",
        "action": {
            "tool": "github_create_issue", "params": params, "params_hash": hash(&params),
            "target": "mcp://github.local", "transport": "stdio"
        },
        "signer": {"pubkey": public(key).text(), "name": "bot", "owner": "owner"},
        "ts": "2026-11-20T21:20:17Z", "nonce": nonce,
    });
    sign(unsigned, key, "rec_")
}

/// Gives the hash of a value in canonical form.
pub(crate) fn hash(value: &Value) -> String {
    Hash::of(&canonicalize(value.to_string().as_bytes()).expect("canonical")).text()
}

/// Signs whatever the format signs of this value, and sets `sig` and the identifier.
pub(crate) fn sign(mut value: Value, key: &SigningKey, prefix: &str) -> Value {
    let signed = signed_bytes(value.to_string().as_bytes()).expect("signable");
    let signature = key.sign(&signed).to_bytes();
    value["sig"] = json!(spell(&signature));
    let id = if prefix == "dec_" { "decision_id" } else { "id" };
    value[id] = json!(format!("{prefix}{}", hex(&Sha256::digest(signature)[..16])));
    value
}

pub(crate) fn spell(bytes: &[u8]) -> String {
    use base64ct::Encoding;
    format!("ed25519:{}", base64ct::Base64::encode_string(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
