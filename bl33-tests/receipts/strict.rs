// SPDX-License-Identifier: MIT OR Apache-2.0
//! Strict calls: trust that the provisioning key signed, receipts and requests of the trusted, co-signing, a log held
//! against the head. The order of the cases is that of a life: the newest trust bundle comes last.

use crate::call::{expect_code, placed, send};
use crate::own::{Answer, accepted, judged, make, with};
use bl33::harness::{Case, Failure, Outcome, expect, expect_that};
use receipts_client::{ClockSource, Operation, Tag};

pub(crate) const CASES: &[Case] = &[
    Case::new("receipts::operations_without_their_parts", operations_without_their_parts),
    Case::new("receipts::parts_of_a_wrong_form", parts_of_a_wrong_form),
    Case::new("receipts::trust_that_is_not_signed_is_not_loaded", trust_that_is_not_signed_is_not_loaded),
    Case::new("receipts::trust_is_loaded", trust_is_loaded),
    Case::new("receipts::the_trusted_are_believed", the_trusted_are_believed),
    Case::new("receipts::requests_of_the_trusted", requests_of_the_trusted),
    Case::new("receipts::cosigned_and_verified", cosigned_and_verified),
    Case::new("receipts::what_is_not_cosigned", what_is_not_cosigned),
    Case::new("receipts::a_log_held_against_the_head", a_log_held_against_the_head),
    Case::new("receipts::the_limit_of_values", the_limit_of_values),
    Case::new("receipts::newer_trust_revokes", newer_trust_revokes),
    Case::new("receipts::trust_is_cleared", trust_is_cleared),
];

// Verdicts: class, field, reason.
const UNTRUSTED: [u32; 3] = [32, 16, 14];
const NOT_SIGNED: [u32; 3] = [2, 37, 7];

const KEY: &[u8] = b"ed25519:6EUPicHmTZe1K+sqGvF5yKneu95/A3cOu5shGlZOuf8=";
const OTHER_KEY: &[u8] = b"ed25519:mkTW0e+5wpuN3jCU/4dbtXNUTd8bqfoqqVSFfjLZxQ4=";

/// Every operation that needs a part says which one.
fn operations_without_their_parts() -> Outcome {
    for (operation, field) in [
        (Operation::Verify, 96),
        (Operation::VerifyBilateral, 16),
        (Operation::VerifyRequest, 96),
        (Operation::VerifyAuthorized, 96),
        (Operation::VerifyDelegation, 96),
        (Operation::VerifyDecision, 4),
        (Operation::Canonicalize, 96),
        (Operation::SignedBytes, 96),
        (Operation::VerifySignature, 16),
        (Operation::Append, 96),
        (Operation::VerifyLines, 1),
        (Operation::VerifyToHead, 1),
        (Operation::VerifyRecorded, 1),
        (Operation::Cosign, 96),
        (Operation::TrustLoad, 100),
    ] {
        let reply = with(operation, 0, &[])?;
        expect_code(&reply, 35, field, 2).map_err(|failure| failure.at(operation as u64))?;
        expect("bytes of the answer", reply.written.into(), 0)?;
    }
    // These need none, whatever they are given.
    for operation in [Operation::Hello, Operation::CheckRevocation, Operation::Head, Operation::TrustQuery] {
        expect_code(&with(operation, 0, &[(Tag::Receipt, b"[]")])?, 0, 0, 0).map_err(|it| it.at(operation as u64))?;
    }
    Ok(())
}

type Parts<'a> = &'a [(Tag, &'a [u8])];

/// Parts that are there, and are not what they should be.
fn parts_of_a_wrong_form() -> Outcome {
    let receipt = (Tag::Receipt, &b"{}"[..]);
    let table: &[(Operation, Parts<'_>, [u32; 3])] = &[
        (Operation::Verify, &[receipt, (Tag::Key, b"ed25519:!")], [4, 16, 5]),
        (Operation::Verify, &[receipt, (Tag::Key, &[0xff; 52])], [35, 16, 5]),
        (Operation::Verify, &[receipt, receipt], [35, 1, 4]),
        (Operation::Verify, &[receipt, (Tag::Key, KEY)], [1, 2, 3]),
        (Operation::VerifyBilateral, &[receipt, (Tag::Key, KEY), (Tag::Window, b"300")], [35, 34, 5]),
        (Operation::VerifyBilateral, &[receipt, (Tag::Key, KEY), (Tag::Session, &[0xff])], [35, 10, 5]),
        (Operation::VerifyRequest, &[receipt, (Tag::MaxAge, b"1")], [35, 32, 5]),
        (Operation::VerifySignature, &[(Tag::Key, KEY), (Tag::Signature, &[0; 63]), (Tag::Bytes, b"")], [35, 37, 5]),
        (Operation::VerifySignature, &[(Tag::Key, KEY), (Tag::Signature, &[0; 64]), (Tag::Bytes, b"")], NOT_SIGNED),
        (Operation::Cosign, &[receipt, (Tag::Key, KEY)], [35, 31, 2]),
        (Operation::TrustLoad, &[(Tag::Bundle, b"{}"), (Tag::Signature, &[0; 65])], [35, 37, 5]),
        (Operation::VerifyToHead, &[(Tag::Lines, b""), (Tag::Start, &[0xff])], [35, 97, 5]),
    ];
    for (operation, parts, [class, field, reason]) in table {
        let reply = with(*operation, 0, parts)?;
        expect_code(&reply, *class, *field, *reason).map_err(|failure| failure.at(*operation as u64))?;
    }
    Ok(())
}

fn trust_that_is_not_signed_is_not_loaded() -> Outcome {
    judged("v1", UNTRUSTED)?;
    for name in ["load_forged", "load_by_another"] {
        judged(name, [2, 100, 7])?;
    }
    // Signed, and no bundle.
    expect("class", u64::from(make("load_no_bundle")?.code >> 16), 14)?;
    judged("v1", UNTRUSTED)?;
    expect("roots and agents", with(Operation::TrustQuery, 0, &[])?.values[0], 0)
}

fn trust_is_loaded() -> Outcome {
    let loaded = make("load")?;
    expect_code(&loaded, 0, 0, 0)?;
    let hash = Answer::read(&loaded);
    let asked = with(Operation::TrustQuery, 0, &[])?;
    expect("roots and agents", asked.values[0], 1 | 1 << 32)?;
    expect("servers and authorities", asked.values[1], 1 | 1 << 32)?;
    let now = Answer::read(&asked);
    expect_that("the bundle's hash:", now.part(&asked, Tag::Hash)? == hash.part(&loaded, Tag::Hash)?, 0)?;
    expect("has trust", send([Operation::Hello as u64, 0, 0, 0, 0])?.values[2] >> 3 & 1, 1)?;
    // The same one again is not older.
    accepted("load")
}

fn the_trusted_are_believed() -> Outcome {
    for name in ["v1", "v2", "v4"] {
        let reply = make(name)?;
        expect_code(&reply, 0, 0, 0)?;
        expect("the clock", reply.clock as u64, ClockSource::RtcAtBoot as u64)?;
    }
    judged("v1_of_another", UNTRUSTED)?;
    judged("v1_tampered", NOT_SIGNED)?;
    // A co-signed one is good once.
    accepted("v3")?;
    judged("v3", [1, 36, 12])
}

fn requests_of_the_trusted() -> Outcome {
    let reply = make("request")?;
    expect_code(&reply, 0, 0, 0)?;
    expect("trusted", reply.values[0], 1)?;
    judged("request", [11, 36, 12])?;
    judged("request_stale", [11, 32, 9])?;
    expect_that("one of another is refused", !make("request_of_another")?.is_accepted(), 0)?;
    accepted("request_again")
}

/// Gives the bytes of a co-signed receipt, and how many there are.
fn cosigned() -> Result<([u8; 3072], usize), Failure> {
    let reply = make("cosign")?;
    expect_code(&reply, 0, 0, 0)?;
    let answer = Answer::read(&reply);
    let part = answer.part(&reply, Tag::Receipt)?;
    let mut bytes = [0; 3072];
    let to = bytes.get_mut(..part.len()).ok_or(Failure::because("room for a receipt of", part.len() as u64))?;
    to.copy_from_slice(part);
    Ok((bytes, part.len()))
}

fn cosigned_and_verified() -> Outcome {
    let (bytes, length) = cosigned()?;
    let receipt = (Tag::Receipt, &bytes[..length]);
    let head = with(Operation::Head, 0, &[])?;
    let answer = Answer::read(&head);
    let server = (Tag::Key, answer.part(&head, Tag::Key)?);
    let verify = |parts: &[(Tag, &[u8])]| with(Operation::VerifyBilateral, 0, parts);
    // Another server, another agent, another session, an edit: each its own verdict, and none uses the nonce up.
    expect_code(&verify(&[receipt, (Tag::Key, OTHER_KEY)])?, 1, 39, 7)?;
    expect_code(&verify(&[receipt, server, (Tag::Agent, OTHER_KEY)])?, 1, 16, 14)?;
    expect_code(&verify(&[receipt, server, (Tag::Session, b"s")])?, 1, 10, 7)?;
    expect_code(&verify(&[receipt, server, (Tag::CallId, b"c")])?, 1, 11, 7)?;
    let mut edited = bytes;
    let at = bytes.windows(10).position(|window| window == b"\"hematite\"").unwrap_or(0);
    edited[at + 1] = b'H';
    expect_code(&verify(&[(Tag::Receipt, &edited[..length]), server])?, 2, 37, 7)?;
    let reply = verify(&[receipt, server, (Tag::Agent, KEY)])?;
    expect_code(&reply, 0, 0, 0)?;
    expect("the agent is the trusted one", reply.values[0], 1)?;
    expect_code(&verify(&[receipt, server])?, 1, 36, 12)?;
    // Each has a nonce of its own.
    let (again, length) = cosigned()?;
    expect_code(&verify(&[(Tag::Receipt, &again[..length]), server])?, 0, 0, 0)
}

fn what_is_not_cosigned() -> Outcome {
    judged("cosign_tampered", NOT_SIGNED)?;
    judged("cosign_stale", [1, 34, 11])?;
    judged("cosign_of_another", UNTRUSTED)?;
    // One whose answer has no room is not told, and so is none.
    let mut call = placed(Operation::Cosign as u16, 0, 0);
    call.message.length = crate::own::place("cosign")?;
    call.answer.length = 64;
    expect_code(&send(call.registers())?, 35, 106, 24)
}

/// Appends a record and writes its line of the log at the end of `log`.
fn append(receipt: &[u8], log: &mut Log) -> Outcome {
    let reply = with(Operation::Append, 0, &[(Tag::Receipt, receipt)])?;
    expect_code(&reply, 0, 0, 0)?;
    let answer = Answer::read(&reply);
    let (record, previous) = (answer.part(&reply, Tag::Hash)?, answer.part(&reply, Tag::Previous)?);
    if log.used == 0 {
        log.start.copy_from_slice(previous);
    }
    for piece in [b"{\"receipt\":", receipt, b",\"prev_hash\":\"", previous, b"\",\"record_hash\":\"", record, b"\"}\n"]
    {
        log.bytes[log.used..log.used + piece.len()].copy_from_slice(piece);
        log.used += piece.len();
    }
    log.ends[log.records] = log.used;
    log.records += 1;
    Ok(())
}

struct Log {
    bytes: [u8; 1024],
    used: usize,
    ends: [usize; 3],
    records: usize,
    start: [u8; 71],
}

fn a_log_held_against_the_head() -> Outcome {
    let mut log = Log { bytes: [0; 1024], used: 0, ends: [0; 3], records: 0, start: [0; 71] };
    for receipt in [&b"{\"n\":1}"[..], b"{\"n\":2}", b"[3]"] {
        append(receipt, &mut log)?;
    }
    let lines = &log.bytes[..log.used];
    let start = (Tag::Start, &log.start[..]);
    let held = |operation, lines: &[u8]| with(operation, 0, &[(Tag::Lines, lines), start]);
    let whole = held(Operation::VerifyToHead, lines)?;
    expect_code(&whole, 0, 0, 0)?;
    expect("records", whole.values[0], 3)?;
    // Its end lost: as a segment it is sound, and it is not all.
    let shorter = &lines[..log.ends[1]];
    expect_code(&held(Operation::VerifyLines, shorter)?, 0, 0, 0)?;
    expect("class of a log whose end is lost", (held(Operation::VerifyToHead, shorter)?.code >> 16).into(), 34)?;
    // A line lost in the middle, and one that was edited.
    let mut edited = log.bytes;
    let at = edited.windows(5).position(|window| window == b"\"n\":2").unwrap_or(0);
    edited[at + 4] = b'7';
    let mut cut = [0; 1024];
    let rest = &lines[log.ends[1]..];
    cut[..log.ends[0]].copy_from_slice(&lines[..log.ends[0]]);
    cut[log.ends[0]..log.ends[0] + rest.len()].copy_from_slice(rest);
    for bad in [&edited[..log.used], &cut[..log.ends[0] + rest.len()]] {
        let reply = held(Operation::VerifyLines, bad)?;
        expect("class of a broken log", (reply.code >> 16).into(), 34)?;
        expect("the line", reply.values[1], 2)?;
    }
    Ok(())
}

fn the_limit_of_values() -> Outcome {
    accepted("many_values")?;
    judged("too_many_values", [33, 1, 17])?;
    judged("too_large", [33, 1, 17])
}

fn newer_trust_revokes() -> Outcome {
    accepted("v4")?;
    accepted("load_newest")?;
    judged("v4", [13, 42, 20])?;
    accepted("v1")?;
    judged("load", [15, 85, 23])
}

fn trust_is_cleared() -> Outcome {
    expect_code(&with(Operation::TrustClear, 0, &[])?, 0, 0, 0)?;
    judged("v1", UNTRUSTED)?;
    expect("roots and agents", with(Operation::TrustQuery, 0, &[])?.values[0], 0)?;
    // What was cleared is not older than it was.
    judged("load", [15, 85, 23])?;
    accepted("load_newest")?;
    expect_code(&with(Operation::TrustClear, 0, &[])?, 0, 0, 0)
}
