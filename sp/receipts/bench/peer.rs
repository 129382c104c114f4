// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judges the same receipts by this project's judgement, in both modes, and by the reference implementation, in turns
//! in one run: microseconds a receipt, and how many times the reference's rate that is.
//!
//! `cargo bench --manifest-path sp/receipts/bench/Cargo.toml`

use ed25519_dalek::VerifyingKey;
use receipts::delegation::AuthorizedOptions;
use receipts::{Instant, Judge, MAX_CHAIN, Mode, PublicKey, Purpose};
use serde_json::Value;
use signet_core::{AuthorizedVerifyOptions, BilateralReceipt, BilateralVerifyOptions, Receipt};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant as Clock};

/// Calls of each kind by each implementation, in turns.
const CALLS: usize = 4000;

const ROWS: [(&str, &str, &str); 7] = [
    ("verify_v1", "001_v1_ok_ascii.json", "AG"),
    ("verify_v1_4k", "019_v1_ok_long_string.json", "AG"),
    ("verify_v1_decision", "207_v1_ok_decision.json", "AG"),
    ("verify_v2", "113_v2_ok.json", "AG"),
    ("verify_v3", "129_v3_ok.json", "SV"),
    ("verify_v4_one_hop", "159_v4_ok_one_hop.json", "RT"),
    ("verify_v4_two_hops", "162_v4_ok_two_hop.json", "RT"),
];

fn main() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../judge/vectors/signet");
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).expect("a vector");
    let index: Value = serde_json::from_str(&read("index.json")).expect("JSON");
    let judged_at = Instant::parse(index["judged_at"].as_str().expect("a time")).expect("a time");
    println!("operation\treference_us\tcompat_us\tstrict_us\tcompat_rate\tstrict_rate");
    for (name, file, signer) in ROWS {
        let text = read(file);
        let key = key(index["public_keys"][signer].as_str().expect("a key"));
        // Both take a key that is decoded already.
        let decoded = VerifyingKey::from_bytes(key.as_bytes()).expect("a key");
        let ours = |mode| {
            let judge = Judge { mode, now: judged_at };
            let text = text.as_bytes();
            move || judged(&judge, text, &key)
        };
        let mut calls: [Box<dyn FnMut() -> bool + '_>; 3] =
            [Box::new(|| reference(&text, &decoded)), Box::new(ours(Mode::Compat)), Box::new(ours(Mode::Strict))];
        let [reference, compat, strict] = measure(&mut calls);
        let rate = |took: f64| reference / took;
        println!("{name}\t{reference:.1}\t{compat:.1}\t{strict:.1}\t{:.2}\t{:.2}", rate(compat), rate(strict));
    }
}

fn key(text: &str) -> PublicKey {
    PublicKey::parse(text, receipts::Field::Pubkey).expect("a key")
}

/// Judges one receipt from its text: of version 4 with its chain, of version 3 without the nonce, which is good once.
fn judged(judge: &Judge, text: &[u8], key: &PublicKey) -> bool {
    let text = black_box(text);
    if is_version(text, b'4') {
        let options = AuthorizedOptions {
            roots: std::slice::from_ref(key),
            max_chain: MAX_CHAIN,
            authorities: None,
            revocations: None,
        };
        judge.verify_authorized(text, &options).is_ok()
    } else {
        judge.verify_any(text, key, Purpose::Live, None).is_ok()
    }
}

fn is_version(text: &[u8], version: u8) -> bool {
    text.strip_prefix(b"{\"v\":").and_then(<[u8]>::first) == Some(&version)
}

/// The same by the reference.
fn reference(text: &str, key: &VerifyingKey) -> bool {
    let text = black_box(text);
    if is_version(text.as_bytes(), b'4') {
        let receipt: Receipt = serde_json::from_str(text).expect("a receipt");
        let options = AuthorizedVerifyOptions { trusted_roots: vec![*key], ..AuthorizedVerifyOptions::default() };
        signet_core::verify_authorized(&receipt, &options).is_ok()
    } else if is_version(text.as_bytes(), b'3') {
        let receipt: BilateralReceipt = serde_json::from_str(text).expect("a receipt");
        let options = BilateralVerifyOptions::insecure_no_replay_check();
        signet_core::verify_bilateral_with_options(&receipt, key, &options).is_ok()
    } else {
        signet_core::verify_any(text, key).is_ok()
    }
}

/// Gives the microseconds of each call: the fastest of many, which is the one that nothing else on the machine disturbed.
fn measure<const N: usize>(calls: &mut [Box<dyn FnMut() -> bool + '_>; N]) -> [f64; N] {
    let mut least = [Duration::MAX; N];
    for _ in 0..CALLS {
        for (call, least) in calls.iter_mut().zip(&mut least) {
            let began = Clock::now();
            let accepted = call();
            *least = began.elapsed().min(*least);
            assert!(accepted, "the receipt is accepted");
        }
    }
    least.map(|least| least.as_secs_f64() * 1e6)
}
