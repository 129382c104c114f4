// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changed vectors through every entry: whatever happens is a verdict. Bounded in time; the seed is fixed.

mod common;

use common::{compat, key, public, strict};
use receipts::audit::{AuditChain, verify_lines};
use receipts::bilateral::{BilateralOptions, Cosign};
use receipts::crypto::GENESIS;
use receipts::delegation::AuthorizedOptions;
use receipts::replay::{FREE, ReplayCache};
use receipts::request::{RequestOptions, Signers};
use receipts::{Purpose, canon, receipt};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(4);

/// xorshift64*: good enough to pick places and bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let directory = format!("{}/vectors/signet", env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(directory).expect("vectors") {
        let path = entry.expect("an entry").path();
        let files = if path.is_dir() {
            std::fs::read_dir(&path).expect("a log").map(|file| file.expect("a file").path()).collect()
        } else {
            vec![path]
        };
        for file in files {
            let text = std::fs::read(&file).expect("a text");
            if text.len() < 20_000 {
                texts.push(text);
            }
        }
    }
    texts.sort();
    assert!(texts.len() > 250);
    texts
}

fn mutate(text: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const TOKENS: &[&str] = &[
        "null",
        "[]",
        "{}",
        "\"\"",
        "1e400",
        "-0",
        "18446744073709551616",
        "\\ud800",
        "\"v\":4,",
        "[[[[",
        "\"*\"",
        "3",
    ];
    for _ in 0..=random.below(4) {
        let at = random.below(text.len() + 1);
        let end = (at + random.below(40)).min(text.len());
        match random.below(6) {
            0 => text.get_mut(at).into_iter().for_each(|byte| *byte = random.next() as u8),
            1 => drop(text.drain(at..end)),
            2 => {
                let token = TOKENS[random.below(TOKENS.len())].bytes();
                drop(text.splice(at..end, token));
            }
            3 => {
                let from = random.below(other.len());
                let piece = other[from..(from + random.below(200)).min(other.len())].to_vec();
                drop(text.splice(at..at, piece));
            }
            4 => {
                let piece = text[at..end].to_vec();
                drop(text.splice(at..at, piece));
            }
            _ => text.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
}

/// Runs a text through everything that reads one. What it returns does not matter, only that it does.
fn judge(text: &[u8], other: &[u8]) {
    let (agent, keys) = (public(&key(1)), [public(&key(1)), public(&key(2))]);
    for judge in [strict(), compat()] {
        let mut entries = [FREE; 2];
        let mut replay = ReplayCache::new(&mut entries, [0; 16]);
        let _ = judge.verify_any(text, &agent, Purpose::Live, Some(&mut replay));
        let _ = judge.verify_any(text, &agent, Purpose::Forensic, None);
        let _ = judge.verify_bilateral(text, &agent, &BilateralOptions::default(), Some(&mut replay));
        let _ = judge.verify_authorized(text, &AuthorizedOptions::roots(&keys));
        let _ = judge.verify_delegation(text, None);
        let _ = judge.verify_decision(text, &keys, other, Some("agent://acme/bot"));
        let _ = judge.check_revocation(text, other, text);
        let _ = judge.verify_recorded(text);
        let options = RequestOptions { signers: Signers::Bundle(&keys, other), ..RequestOptions::default() };
        let _ = judge.verify_request(text, &options, Some(&mut replay));
        let cosign = Cosign { receipt: text, content: other, outcome: Some(text), server_name: "s", nonce: [0; 16] };
        let _ = judge.cosign(&cosign, &agent, &key(2));
    }
    let _ = receipt::signed_bytes(text);
    let _ = AuditChain::default().append(text);
    let _ = verify_lines(text, GENESIS);
    // A canonical form is its own, unless a double is spelled as an integer that has none.
    if let Ok(canonical) = canon::canonicalize(text)
        && let Ok(again) = canon::canonicalize(&canonical)
    {
        assert_eq!(again, canonical);
    }
}

#[test]
fn changed_texts_are_judged_without_a_panic() {
    let (corpus, mut random, start) = (corpus(), Random(0x9e37_79b9_7f4a_7c15), Instant::now());
    let mut rounds = 0;
    while start.elapsed() < LIMIT {
        let mut text = corpus[random.below(corpus.len())].clone();
        let other = &corpus[random.below(corpus.len())];
        mutate(&mut text, other, &mut random);
        judge(&text, other);
        rounds += 1;
    }
    assert!(rounds > 20, "only {rounds} rounds");
}

#[test]
fn random_bytes_are_judged_without_a_panic() {
    let (mut random, start) = (Random(42), Instant::now());
    while start.elapsed() < LIMIT / 4 {
        let text: Vec<u8> = (0..random.below(300)).map(|_| random.next() as u8).collect();
        judge(&text, &text);
    }
}
