// SPDX-License-Identifier: MIT OR Apache-2.0
//! What outlives the partition's death. Needs `mortal`, the receipts partition that dies when it is asked to, in a
//! boot of its own (`--only survive`).

use crate::call::{self, expect_code, placed, send};
use crate::own::{Answer, accepted, judged, with};
use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect, expect_that};
use bl33::{mem, time};
use receipts_client::{Operation, Tag};
use sp_protocol::{death, mortal};

pub(crate) const CASES: &[Case] = &[
    Case::new("survive::begins", begins).asked(),
    Case::new("survive::the_history", the_history).asked(),
    Case::new("survive::an_append_that_nobody_heard_of", an_append_that_nobody_heard_of).asked(),
    Case::new("survive::the_clock", the_clock).asked(),
    Case::new("survive::the_age_of_the_trust", the_age_of_the_trust).asked(),
    Case::new("survive::every_nonce", every_nonce).asked(),
    Case::new("survive::simd_registers_of_an_interrupt", simd_registers).asked(),
];

/// What it says to a nonce that was used: `ServerReject/nonce/replay`.
const REPLAY: [u32; 3] = [11, 36, 12];
/// `TrustBundleError/generated_at/rollback`.
const ROLLBACK: [u32; 3] = [15, 85, 23];
/// `Strict/pubkey/untrusted`.
const UNTRUSTED: [u32; 3] = [32, 16, 14];

fn begins() -> Outcome {
    call::found_by_uuid()?;
    call::memory_is_shared()?;
    accepted("load")?;
    accepted("request")
}

/// Makes the partition die of a call. It is restarted before this returns.
fn dies(operation: Operation, length: usize, when: u64, how: u64) -> Outcome {
    // A partition that dies again and again stays down; after more than a second its deaths are forgiven.
    let start = time::now();
    time::wait_for(5000, || time::now() - start > time::frequency() * 11 / 10);
    let mut words = placed(operation as u16, 0, length).registers();
    words[0] |= how << mortal::HOW | when << mortal::WHEN;
    expect_error(&direct64(call::partition(), words)?, ABORTED)?;
    expect("hello after the restart", send([Operation::Hello as u64, 0, 0, 0, 0])?.code.into(), 0)
}

/// Reads the head and the key as they are told, with sequence and count.
fn told() -> Result<(Answer, [u64; 2]), bl33::harness::Failure> {
    let head = with(Operation::Head, 0, &[])?;
    expect("the verdict", head.code.into(), 0)?;
    Ok((Answer::read(&head), [head.values[0], head.values[1]]))
}

fn the_history() -> Outcome {
    for (n, how) in [death::FFA_ABORT, death::PANIC, death::STACK_OVERFLOW].into_iter().enumerate() {
        for when in [mortal::BEFORE, mortal::AFTER] {
            expect("an append", with(Operation::Append, 0, &[(Tag::Receipt, b"[1,2]")])?.code.into(), 0)?;
            let boot = boot_id()?;
            let (before, numbers) = told()?;
            dies(Operation::Head, 0, when, how).map_err(|failure| failure.at(n as u64))?;
            let (after, numbers_after) = told()?;
            expect_that("the head and the key are the same:", after == before, how)?;
            expect("sequence", numbers_after[0], numbers[0])?;
            expect("count", numbers_after[1], numbers[1])?;
            expect_that("the boot id is the same:", boot_id()? == boot, how)?;
            // It goes on, and what was used is used.
            let next = with(Operation::Append, 0, &[(Tag::Receipt, b"{}")])?;
            expect("count", next.values[1], numbers[1] + 1)?;
            accepted("load")?;
            judged("request", REPLAY)?;
        }
    }
    Ok(())
}

/// Finds the boot id in a checkpoint, which moves the sequence.
fn boot_id() -> Result<[u8; 32], bl33::harness::Failure> {
    let reply = with(Operation::Checkpoint, 0, &[])?;
    expect("the verdict", reply.code.into(), 0)?;
    let answer = Answer::read(&reply);
    let statement = answer.part(&reply, Tag::Statement)?;
    let name = b"\"boot_id\":\"";
    let at = statement.windows(name.len()).position(|window| window == name).unwrap_or(0) + name.len();
    let id = statement.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    expect_that("a boot id:", id.iter().all(u8::is_ascii_hexdigit), at as u64)?;
    Ok(id)
}

/// An append whose answer was lost is in the chain: the caller sees it from the count, and in the head.
fn an_append_that_nobody_heard_of() -> Outcome {
    let (_, [sequence, count]) = told()?;
    // The message stays where the call before put it: one part, `[1,2]`.
    expect("an append", with(Operation::Append, 0, &[(Tag::Receipt, b"[1,2]")])?.code.into(), 0)?;
    dies(Operation::Append, 16, mortal::AFTER, death::FFA_ABORT)?;
    let (_, now) = told()?;
    expect("sequence", now[0], sequence + 2)?;
    expect("count", now[1], count + 2)?;
    dies(Operation::Append, 16, mortal::BEFORE, death::FFA_ABORT)?;
    let (_, now) = told()?;
    expect("count, of one that died first", now[1], count + 2)
}

/// RTCLR of the PL031: what is written here is the time.
const RTC_LOAD: u64 = 0x0901_0008;

/// The Normal world sets the real-time clock and kills the partition: it goes on by the time that it knew.
fn the_clock() -> Outcome {
    mem::write_device(RTC_LOAD, 1);
    dies(Operation::Head, 0, mortal::BEFORE, death::FFA_ABORT)?;
    accepted("load")?;
    accepted("request_again")
}

fn the_age_of_the_trust() -> Outcome {
    accepted("load_newest")?;
    judged("load", ROLLBACK)?;
    dies(Operation::Head, 0, mortal::BEFORE, death::FFA_ABORT)?;
    // The trust has to be loaded anew, and not an older one.
    judged("v1", UNTRUSTED)?;
    judged("load", ROLLBACK)?;
    accepted("load_newest")?;
    accepted("v1")
}

fn every_nonce() -> Outcome {
    for name in ["request", "request_again"] {
        judged(name, REPLAY)?;
    }
    let reply = with(Operation::TrustClear, 0, &[])?;
    expect_code(&reply, 0, 0, 0)
}

/// The runtime keeps the SIMD registers of code that is interrupted: its handlers use them as the compiler likes.
fn simd_registers() -> Outcome {
    let r = direct64(call::partition(), [mortal::INTERRUPTED << mortal::WHEN, 0, 0, 0, 0])?;
    expect("x0 of the answer", r[0], DIRECT_RESP_64)?;
    expect("halves of registers that changed", r[3], 0)
}
