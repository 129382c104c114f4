// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every vector through the host tool, as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

fn vectors() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/signet")
}

fn judge(arguments: &[&std::ffi::OsStr]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_judge")).args(arguments).output().expect("judge runs");
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    (output, text)
}

#[test]
fn compat_agrees_with_the_reference_on_every_vector() {
    let (output, text) = judge(&[vectors().as_os_str()]);
    assert_eq!(text, "744 passed, 0 failed\n");
    assert!(output.status.success());
}

#[test]
fn strict_differs_only_where_it_should() {
    let (_, text) = judge(&["--strict".as_ref(), vectors().as_os_str()]);
    let mut lines: Vec<_> = text.lines().map(|line| line.split(" instead").next().unwrap_or(line)).collect();
    assert_eq!(lines.pop(), Some("729 passed, 15 failed"));
    let expected = [
        "031_v1_ok_unsigned_id_changed.json: Strict/id/mismatch",
        "040_v1_params_hash_wrong_but_signed.json: Strict/params_hash/mismatch",
        "041_v1_signer_pubkey_other_but_signed.json: Strict/pubkey/mismatch",
        "045_v1_small_order_key_forgery.json: Strict/pubkey/small-order",
        "135_v3_ok_id_changed.json: Strict/id/mismatch",
        // Accepted, but the unsigned constraints are not part of the scope that is stated.
        "163_v4_ok_constraints_principals.json: accepted with {\"max_depth\":0,\"targets\":[\"*\"],\"tools\":[\"*\"]}",
        "190_v4_token_id_forged_rechained.json: Strict/token_id/mismatch",
        // Nobody says who may sign.
        "216_req_ok.json: Strict/pubkey/untrusted",
        "217_req_ok_age300.json: Strict/pubkey/untrusted",
        "219_req_ok_future30.json: Strict/pubkey/untrusted",
        // Nowhere to record the nonce.
        "222_req_trusted.json: Unavailable/nonce/absent",
        "224_req_target_ok.json: Strict/pubkey/untrusted",
        "230_req_bad_replay.json: Strict/pubkey/untrusted",
        "231_req_ok_nonce.json: Strict/pubkey/untrusted",
        "236_req_tb_active.json: Unavailable/nonce/absent",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_disagreement_is_told_and_fails() {
    let directory = std::env::temp_dir().join(format!("receipts-judge-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::copy(vectors().join("001_v1_ok_ascii.json"), directory.join("a.json")).expect("a copy");
    let key = "ed25519:9RW7ZcH7M+3S81ranoPF9pJqKWUo6pg8pNtUPIn8V8A="; // not the signer's
    let index = serde_json::json!({"judged_at": "2026-11-20T21:20:18Z", "vectors": [{
        "file": "a.json", "api": "verify_any", "keys_options": {"key": key}, "expect": {"ok": true},
    }]});
    std::fs::write(directory.join("index.json"), index.to_string()).expect("an index");
    let (output, text) = judge(&[directory.as_os_str()]);
    std::fs::remove_dir_all(&directory).expect("cleaned up");
    assert_eq!(text, "a.json: SignatureMismatch/sig/mismatch instead of accepted\n0 passed, 1 failed\n");
    assert!(!output.status.success());
}
