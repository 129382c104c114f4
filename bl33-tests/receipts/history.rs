// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit chain, checkpoints, co-signatures and the clock.

use crate::call::expect_code;
use crate::own::{Answer, with};
use bl33::harness::{Case, Failure, Outcome, expect, expect_that};
use bl33::{mem, println};
use receipts_client::{ClockSource, Operation, Reply, Tag, flags};

pub(crate) const CASES: &[Case] = &[
    Case::new("receipts::append_and_head", append_and_head),
    Case::new("receipts::checkpoint", checkpoint).noisy(),
    Case::new("receipts::the_clock_is_its_own", the_clock_is_its_own),
    Case::new("receipts::strict_is_the_default", strict_is_the_default),
    Case::new("receipts::no_trust_is_loaded", no_trust_is_loaded),
];

fn contains(text: &[u8], what: &str) -> bool {
    text.windows(what.len()).any(|window| window == what.as_bytes())
}

fn append_and_head() -> Outcome {
    let before = with(Operation::Head, 0, &[])?;
    expect("the verdict", before.code.into(), 0)?;
    let [sequence, count, _] = before.values;
    let appended = with(Operation::Append, 0, &[(Tag::Receipt, b"{\"any\":\"JSON\"}")])?;
    expect("the verdict", appended.code.into(), 0)?;
    expect("sequence", appended.values[0], sequence + 1)?;
    expect("count", appended.values[1], count + 1)?;
    let record = Answer::read(&appended);
    let head = with(Operation::Head, 0, &[])?;
    let now = Answer::read(&head);
    expect_that("the head is the record:", now.part(&head, Tag::Hash)? == record.part(&appended, Tag::Hash)?, 0)?;
    // What is no JSON is not appended, and moves nothing.
    expect_code(&with(Operation::Append, 0, &[(Tag::Receipt, b"{oops")])?, 1, 1, 1)?;
    let after = with(Operation::Head, 0, &[])?;
    expect("count", after.values[1], count + 1)
}

fn checkpoint() -> Outcome {
    let head = with(Operation::Head, 0, &[])?;
    let reply = with(Operation::Checkpoint, 0, &[])?;
    expect("the verdict", reply.code.into(), 0)?;
    expect("sequence", reply.values[0], head.values[0] + 1)?;
    expect("count", reply.values[1], head.values[1])?;
    let answer = Answer::read(&reply);
    let statement = answer.part(&reply, Tag::Statement)?;
    expect("bytes of the signature", answer.part(&reply, Tag::Signature)?.len() as u64, 64)?;
    expect_that("it names itself:", contains(statement, "\"type\":\"hematite-audit-checkpoint\""), 0)?;
    println!("# {}", core::str::from_utf8(statement).unwrap_or("?"));
    Ok(())
}

/// RTCLR of the PL031: what is written here is the time.
const RTC_LOAD: u64 = 0x0901_0008;

fn the_clock_is_its_own() -> Outcome {
    // A receipt that is judged at all is judged by the partition's clock.
    let judged = with(Operation::Verify, 0, &[(Tag::Receipt, b"{}"), (Tag::Key, KEY)])?;
    expect("the clock", judged.clock as u64, ClockSource::RtcAtBoot as u64)?;
    let year = |answer: &Answer, reply: &Reply| {
        let statement = answer.part(reply, Tag::Statement)?;
        let at = statement.windows(6).position(|window| window == b"\"ts\":\"").unwrap_or(0) + 6;
        Ok::<_, Failure>(statement.get(at..at + 4).unwrap_or(b"????").iter().fold(0, |y, d| y << 8 | u64::from(*d)))
    };
    let first = with(Operation::Checkpoint, 0, &[])?;
    let before = year(&Answer::read(&first), &first)?;
    // The Normal world sets the real-time clock to 1970; the partition does not look at it again.
    mem::write_device(RTC_LOAD, 1);
    let second = with(Operation::Checkpoint, 0, &[])?;
    expect("the year in ASCII", year(&Answer::read(&second), &second)?, before)?;
    // Only compat may bring a time, and then the answer says so.
    let parts: &[(Tag, &[u8])] = &[(Tag::Receipt, b"{}"), (Tag::Key, KEY), (Tag::At, b"2026-01-01T00:00:00Z")];
    expect_code(&with(Operation::Verify, 0, parts)?, 35, 104, 6)?;
    let compat = with(Operation::Verify, flags::COMPAT, parts)?;
    expect("the clock", compat.clock as u64, ClockSource::Caller as u64)
}

const KEY: &[u8] = b"ed25519:6EUPicHmTZe1K+sqGvF5yKneu95/A3cOu5shGlZOuf8=";
/// The identity point: anything verifies under it.
const WEAK: &[u8] = b"ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const FORGED: &[u8] = include_bytes!("../../sp/receipts/judge/vectors/signet/045_v1_small_order_key_forgery.json");

fn strict_is_the_default() -> Outcome {
    let parts: &[(Tag, &[u8])] = &[(Tag::Receipt, FORGED), (Tag::Key, WEAK)];
    expect_code(&with(Operation::Verify, flags::COMPAT, parts)?, 0, 0, 0)?;
    expect_code(&with(Operation::Verify, 0, parts)?, 32, 16, 21)
}

fn no_trust_is_loaded() -> Outcome {
    let reply = with(Operation::TrustQuery, 0, &[])?;
    expect("keys", reply.values[0] | reply.values[1], 0)?;
    // Without a key and without trust nobody is trusted.
    expect_code(&with(Operation::Verify, 0, &[(Tag::Receipt, FORGED)])?, 32, 16, 14)?;
    // A bundle that the provisioning key did not sign is not loaded.
    let parts: &[(Tag, &[u8])] = &[(Tag::Bundle, b"{}"), (Tag::Signature, &[0; 64])];
    expect_code(&with(Operation::TrustLoad, 0, parts)?, 2, 100, 7)
}
