// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a hostile caller does: lying lengths, foreign handles, deep nesting, huge and random texts, a message that
//! changes during the call. Every one is an answer; the partition goes on.

use crate::call::{MESSAGE, ask, ask_number, expect_code, handle, placed, reclaim, send, share, share_with};
use bl33::ffa::ECHO;
use bl33::harness::{Case, Failure, Outcome, expect, expect_that};
use bl33::mem::{self, PAGE};
use bl33::time::Random;
use bl33::{cpus, mode};
use core::sync::atomic::{AtomicBool, Ordering::*};
use receipts_client::{MAX_MESSAGE, MAX_RECEIPT, Operation, PART_HEADER, Tag, flags};

pub(crate) const CASES: &[Case] = &[
    Case::new("receipts::unknown_operations", unknown_operations),
    Case::new("receipts::lying_lengths", lying_lengths),
    Case::new("receipts::foreign_handles", foreign_handles),
    Case::new("receipts::the_region_is_kept_on_request", the_region_is_kept_on_request),
    Case::new("receipts::the_largest_receipts", the_largest_receipts),
    Case::new("receipts::deep_nesting", deep_nesting),
    Case::new("receipts::random_messages", random_messages),
    Case::new("receipts::a_message_that_changes", a_message_that_changes),
];

const BAD_REQUEST: u32 = 35;
const LIMIT: u32 = 33;

/// Proves that the partition still answers.
fn alive() -> Outcome {
    expect("hello", send([Operation::Hello as u64, 0, 0, 0, 0])?.code.into(), 0)
}

fn unknown_operations() -> Outcome {
    for operation in [11, 15, 22, 99, u16::MAX] {
        expect_code(&ask_number(operation, 0, &[])?, BAD_REQUEST, 105, 6)?;
    }
    expect_code(&ask_number(1, 1 << 15, &[])?, BAD_REQUEST, 105, 5)?;
    expect_code(&send([0, 0, 0, 0, 1])?, BAD_REQUEST, 105, 5)?;
    expect_code(&send([1 << 32, 0, 0, 0, 0])?, BAD_REQUEST, 105, 5)?;
    alive()
}

fn lying_lengths() -> Outcome {
    let mut call = placed(Operation::Verify as u16, 0, 64);
    // Parts that claim more than there is.
    mem::put(MESSAGE, Tag::Receipt as u64 | 0xffff_ffff << 32);
    expect_code(&send(call.registers())?, BAD_REQUEST, 1, 5)?;
    // Spans beyond the region, and around the end of what a number can say.
    for (offset, length) in [(0, u32::MAX), (u32::MAX, 64), (u32::MAX, u32::MAX), (144 * 1024, 64)] {
        (call.message.offset, call.message.length) = (offset, length);
        expect("class", u64::from(send(call.registers())?.code >> 16), BAD_REQUEST.into())?;
    }
    let mut call = placed(Operation::Head as u16, 0, 0);
    call.answer.offset = 144 * 1024;
    expect("class", u64::from(send(call.registers())?.code >> 16), BAD_REQUEST.into())?;
    // Too little room for an answer is no fault either.
    call.answer.offset = 0;
    call.answer.length = 16;
    expect_code(&send(call.registers())?, BAD_REQUEST, 106, 24)?;
    alive()
}

fn foreign_handles() -> Outcome {
    let mut call = placed(Operation::Head as u16, 0, 0);
    for wrong in [0, 1, u64::MAX, handle() ^ 1 << 40, handle() + 1] {
        call.handle = wrong;
        expect_code(&send(call.registers())?, BAD_REQUEST, 1, 25)?;
    }
    // Memory that was shared with another partition is none of this one's business.
    let theirs = share_with(ECHO, MESSAGE + 0x10_0000, 1)?;
    (call.handle, call.answer.offset, call.answer.length) = (theirs, 0, PAGE as u32);
    expect_code(&send(call.registers())?, BAD_REQUEST, 1, 25)?;
    reclaim(theirs)?;
    // And what was taken back is nobody's.
    expect_code(&send(call.registers())?, BAD_REQUEST, 1, 25)?;
    alive()
}

fn the_region_is_kept_on_request() -> Outcome {
    let mine = share(MESSAGE + 0x10_0000, 1)?;
    let mut call = placed(Operation::Head as u16, flags::KEEP, 0);
    (call.handle, call.answer.offset, call.answer.length) = (mine, 0, PAGE as u32);
    expect("the verdict", send(call.registers())?.code.into(), 0)?;
    expect("the verdict", send(call.registers())?.code.into(), 0)?;
    let answer = bl33::ffa::call_with(0x8400_0077, &[mine & 0xffff_ffff, mine >> 32, 0])?;
    expect("reclaim while it is kept", bl33::ffa::error_code(&answer).unwrap_or(0) as u64, -6i64 as u64)?;
    call.flags = 0;
    expect("the verdict", send(call.registers())?.code.into(), 0)?;
    reclaim(mine)
}

/// Writes the header of a receipt part of this length and gives the length of the message.
fn receipt_header(length: usize) -> usize {
    mem::put(MESSAGE, Tag::Receipt as u64 | (length as u64) << 32);
    PART_HEADER + length.next_multiple_of(8)
}

/// Fills the receipt with a repeated word of eight bytes.
fn fill(length: usize, word: [u8; 8]) {
    for offset in (0..length as u64).step_by(8) {
        mem::put(MESSAGE + PART_HEADER as u64 + offset, u64::from_le_bytes(word));
    }
}

fn put8(offset: usize, byte: u8) {
    let at = MESSAGE + PART_HEADER as u64 + offset as u64 & !7;
    let shift = (offset % 8) * 8;
    mem::put(at, mem::get(at) & !(0xff << shift) | u64::from(byte) << shift);
}

fn the_largest_receipts() -> Outcome {
    let ask = |length: usize, word: [u8; 8], ends: [u8; 2]| {
        fill(length, word);
        put8(0, ends[0]);
        put8(length - 1, ends[1]);
        (length..length.next_multiple_of(8)).for_each(|padding| put8(padding, 0));
        let message = receipt_header(length);
        send(placed(Operation::Canonicalize as u16, 0, message).registers())
    };
    // One string as large as a receipt can be: read, and given back as it is.
    let reply = ask(MAX_RECEIPT, *b"xxxxxxxx", [b'"', b'"'])?;
    expect("a string: the verdict", reply.code.into(), 0)?;
    expect("a string: bytes", reply.written.into(), (MAX_RECEIPT + PART_HEADER) as u64)?;
    // One with escapes throughout has to be decoded.
    let reply = ask(MAX_RECEIPT, *b"x\\nx\\nxx", [b'"', b'"'])?;
    expect("escapes: the verdict", reply.code.into(), 0)?;
    expect("escapes: bytes", reply.written.into(), (MAX_RECEIPT + PART_HEADER) as u64)?;
    // As many values as that, one key that is given that often, numbers that grow.
    for word in [*b"0,0,0,0,", *b"[],[],1,", *b"\"\":1,\"\":", *b"1e1,1e2,", *b"\"\\n\",0,1"] {
        let reply = ask(MAX_RECEIPT, word, [b'[', b']'])?;
        expect_that("a large text is judged:", matches!(reply.code >> 16, 0 | 1 | LIMIT), reply.code.into())?;
    }
    // About the most values that are read.
    fill(32768, *b"0,0,0,0,");
    put8(0, b'[');
    put8(1, b' ');
    put8(32765, b']');
    (32766..32768).for_each(|padding| put8(padding, 0));
    let message = receipt_header(32766);
    let reply = send(placed(Operation::Canonicalize as u16, 0, message).registers())?;
    expect("many values: the verdict", reply.code.into(), 0)?;
    // One byte more than a receipt may have is its own verdict.
    let reply = ask(MAX_RECEIPT + 1, *b"xxxxxxxx", [b'"', b'"'])?;
    expect_code(&reply, LIMIT, 1, 17)?;
    // And a message beyond the largest is none.
    let mut call = placed(Operation::Canonicalize as u16, 0, MAX_MESSAGE);
    call.message.length += 8;
    expect_code(&send(call.registers())?, BAD_REQUEST, 1, 17)?;
    alive()
}

fn deep_nesting() -> Outcome {
    let ask = |operation: Operation, depth: usize, bits: u16| {
        for (i, byte) in core::iter::repeat_n(b'[', depth).chain(core::iter::repeat_n(b']', depth)).enumerate() {
            put8(i, byte);
        }
        let message = receipt_header(2 * depth);
        (2 * depth..message - PART_HEADER).for_each(|i| put8(i, 0));
        send(placed(operation as u16, bits, message).registers())
    };
    // The deepest that is read takes the most stack, in every reader and in the writer.
    expect("127 deep", ask(Operation::Canonicalize, 127, 0)?.code.into(), 0)?;
    expect("127 deep, appended", ask(Operation::Append, 127, 0)?.code.into(), 0)?;
    for depth in [128, 1000, 30000] {
        expect_code(&ask(Operation::Canonicalize, depth, 0)?, 1, 1, 22)?;
        expect_code(&ask(Operation::Append, depth, 0)?, 1, 1, 22)?;
    }
    alive()
}

fn random_messages() -> Outcome {
    let mut random = Random::new(mode::seed());
    let mut message = [0u8; 512];
    for _ in 0..2000 {
        let length = random.below(message.len() as u64) as usize;
        message.iter_mut().for_each(|byte| *byte = random.draw() as u8);
        if random.below(2) == 0 {
            // Parts with a header that is right.
            message[..8]
                .copy_from_slice(&(1 + random.below(20) | (length.saturating_sub(8) as u64) << 32).to_le_bytes());
        }
        let reply = ask_number(random.below(56) as u16, random.below(128) as u16, &message[..length])?;
        expect_that("a known class:", (reply.code >> 16) < 64, reply.code.into())?;
    }
    // Whatever that did to the history, it is still told.
    expect("head", ask(Operation::Head, 0, &[])?.code.into(), 0)
}

static STOP: AtomicBool = AtomicBool::new(false);

fn a_message_that_changes() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    STOP.store(false, Release);
    // Another CPU turns the length of the part and its first bytes as fast as it can.
    cpus::start(1, |_| {
        let mut turn = 0u64;
        while !STOP.load(Acquire) {
            turn = turn.wrapping_add(1);
            mem::put(MESSAGE, Tag::Receipt as u64 | (turn % 80000) << 32);
            mem::put(MESSAGE + 8, turn.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        Ok(())
    })?;
    let mut outcome = Ok(());
    let operations = [Operation::Canonicalize, Operation::Append, Operation::Verify, Operation::TrustLoad];
    for operation in operations.into_iter().cycle().take(400) {
        let reply = match send(placed(operation as u16, 0, 4096).registers()) {
            Ok(reply) => reply,
            Err(failure) => {
                outcome = Err(failure);
                break;
            }
        };
        if !matches!(reply.code >> 16, 0 | 1 | BAD_REQUEST | LIMIT) {
            outcome = Err(Failure::because("a verdict", reply.code.into()));
        }
    }
    STOP.store(true, Release);
    cpus::join(1, 5000)?;
    outcome?;
    alive()
}
