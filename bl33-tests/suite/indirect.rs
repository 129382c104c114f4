// SPDX-License-Identifier: MIT OR Apache-2.0
//! Indirect messages (DEN0077A, "FFA_MSG_SEND2"): the header, who owns RX when, and the framework's notification that
//! it is full. The Normal world's buffers are mapped by each case; the partitions keep theirs.

use core::sync::atomic::{AtomicBool, Ordering::*};

use bl33::cpus;
use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::mem::{self, PAGE, RX, TX};
use bl33::sp::command;
use bl33::time::{self, Random};

use crate::memory::mapped;
use crate::notify::{
    FROM_FRAMEWORK, Interrupts, ask, by, cleaned, create, destroy, expect_listed, get, nothing_listed,
};
use crate::rxtx::{map, unmap};

pub(crate) const CASES: &[Case] = &[
    Case::new("indirect::before_the_receiver_has_buffers", || mapped(before_the_receiver_has_buffers)),
    Case::new("indirect::normal_world_to_partition", || mapped(normal_world_to_partition)),
    Case::new("indirect::partition_to_normal_world", || mapped(partition_to_normal_world)),
    Case::new("indirect::partition_to_partition", || mapped(partition_to_partition)),
    Case::new("indirect::every_length", || mapped(every_length)),
    Case::new("indirect::rx_full_is_notified", || cleaned(|| mapped(rx_full_is_notified))),
    Case::new("indirect::rx_has_one_owner", || mapped(rx_has_one_owner)),
    Case::new("indirect::waiting_gives_rx_back", || mapped(waiting_gives_rx_back)),
    Case::new("indirect::bad_headers", || mapped(bad_headers)),
    Case::new("indirect::bad_headers_of_a_partition", || mapped(bad_headers_of_a_partition)),
    Case::new("indirect::bad_ends", || mapped(bad_ends)),
    Case::new("indirect::header_rewritten_during_the_call", || mapped(rewritten)).noisy(),
    Case::new("indirect::without_buffers", without_buffers),
    Case::new("indirect::rx_acquire", rx_acquire),
];

/// Bytes in a header before v1.2, and with the UUID that v1.2 adds.
const SHORT: u64 = 20;
const LONG: u64 = 40;
const BOTH: [u64; 2] = [RELAY, PERCPU];

/// The first five words of a message, as a v1.1 or v1.2 header has them.
#[derive(Clone, Copy)]
struct Header {
    flags: u64,
    reserved: u64,
    offset: u64,
    sender: u64,
    receiver: u64,
    size: u64,
}

impl Header {
    const fn new(sender: u64, receiver: u64, offset: u64, size: u64) -> Self {
        Self { flags: 0, reserved: 0, offset, sender, receiver, size }
    }

    /// The header's bytes, eight at a time; the UUID is nil.
    fn words(&self) -> [u64; 5] {
        let ends = self.sender << 16 | self.receiver;
        [self.flags | self.reserved << 32, self.offset | ends << 32, self.size, 0, 0]
    }
}

/// Byte `i` of a message that is told from others by its salt.
fn byte(salt: u64, i: u64) -> u64 {
    (salt.wrapping_add(i).wrapping_mul(0x9d) >> 1) & 0xff
}

/// Eight bytes of it from byte `i` on; the bytes before 0 are 0.
fn eight(salt: u64, i: i64) -> u64 {
    (0..8).filter(|n| i + n >= 0).map(|n| byte(salt, (i + n) as u64) << (8 * n)).sum()
}

/// Writes a header and its message to the TX buffer of `header.sender`.
fn write(header: &Header, salt: u64) -> Outcome {
    let words = header.words();
    let end = (header.offset + header.size).min(PAGE);
    for at in (0..end.max(LONG)).step_by(8) {
        let mut word = words.get(at as usize / 8).copied().unwrap_or(0);
        // The payload may begin in the middle of a word.
        if at + 8 > header.offset && at < end {
            let first = header.offset.saturating_sub(at).min(8);
            let mask = u64::MAX.checked_shl(8 * first as u32).unwrap_or(0);
            word = word & !mask | eight(salt, at as i64 - header.offset as i64) & mask;
        }
        put(header.sender, at, word)?;
    }
    Ok(())
}

fn put(sender: u64, at: u64, word: u64) -> Outcome {
    if sender < 0x8000 {
        mem::put(TX + at, word);
        return Ok(());
    }
    ask(sender, command::TX_WRITE, [at, word, 0, 0]).map(|_| ())
}

fn send_as(sender: u64, x1: u64, flags: u64) -> Result<Regs8, Failure> {
    crate::notify::call_as(sender, [MSG_SEND2, x1, flags, 0, 0, 0, 0, 0])
}

fn send(header: &Header, salt: u64) -> Outcome {
    write(header, salt)?;
    let r = send_as(header.sender, header.sender << 16, 0)?;
    expect("w2 of the success", expect_success(&r)?, 0)?;
    expect_zeros(&r, 3)
}

/// Compares what is in the receiver's RX with what was sent: the header as it is, and every byte.
fn received(header: &Header, salt: u64) -> Outcome {
    let read = |at: u64| -> Result<[u64; 4], Failure> {
        if header.receiver >= 0x8000 {
            return ask(header.receiver, command::RX_READ, [at, 0, 0, 0]);
        }
        Ok([0, 8, 16, 24].map(|i| mem::get(RX + at + i)))
    };
    let words = read(0)?;
    let want = header.words();
    expect("word 0 of the header", words[0], want[0])?;
    expect("offset and ends", words[1], want[1])?;
    expect("size", words[2] & 0xffff_ffff, want[2])?;
    let mut at = header.offset / 8 * 8;
    while at < header.offset + header.size {
        for (n, word) in read(at.min(PAGE - 32))?.into_iter().enumerate() {
            let place = at.min(PAGE - 32) + 8 * n as u64;
            for b in 0..8 {
                let i = (place + b).wrapping_sub(header.offset);
                if i < header.size {
                    expect_at("byte of the message", i, word >> (8 * b) & 0xff, byte(salt, i))?;
                }
            }
        }
        at += 32;
    }
    Ok(())
}

fn release(receiver: u64) -> Outcome {
    expect_success(&crate::notify::call_as(receiver, [RX_RELEASE, 0, 0, 0, 0, 0, 0, 0])?)?;
    if receiver >= 0x8000 {
        get(receiver, 0, FROM_FRAMEWORK)?;
    }
    Ok(())
}

fn exchange(header: &Header, salt: u64) -> Outcome {
    send(header, salt)?;
    received(header, salt)?;
    release(header.receiver)
}

/// A partition that has registered no buffers yet gets nothing. (After the first time, it has.)
fn before_the_receiver_has_buffers() -> Outcome {
    let header = Header::new(0, ECHO, LONG, 8);
    write(&header, 1)?;
    expect_error(&send_as(0, 0, 0)?, DENIED)?;
    for id in BOTH {
        let [tx, rx, ..] = ask(id, command::MAILBOX, [0; 4])?;
        expect_that("the partition has buffers", tx != rx, tx)?;
    }
    Ok(())
}

fn normal_world_to_partition() -> Outcome {
    for (salt, to) in BOTH.into_iter().enumerate() {
        exchange(&Header::new(0, to, LONG, 64), salt as u64)?;
        exchange(&Header::new(0, to, SHORT, 64), salt as u64 + 7)?;
        exchange(&Header::new(0, to, 64, 1), salt as u64 + 9)?;
    }
    Ok(())
}

fn partition_to_normal_world() -> Outcome {
    for (salt, from) in BOTH.into_iter().enumerate() {
        exchange(&Header::new(from, 0, LONG, 64), salt as u64)?;
        // The sender may leave itself unnamed in w1.
        let header = Header::new(from, 0, LONG, 8);
        write(&header, 3)?;
        expect_success(&send_as(from, 0, 0)?)?;
        received(&header, 3)?;
        release(0)?;
    }
    Ok(())
}

fn partition_to_partition() -> Outcome {
    exchange(&Header::new(RELAY, PERCPU, LONG, 64), 5)?;
    exchange(&Header::new(PERCPU, RELAY, LONG, 64), 6)
}

fn every_length() -> Outcome {
    for size in [1, 3, 4, 63, 127, 128, 129, 1000, PAGE - LONG] {
        exchange(&Header::new(0, RELAY, LONG, size), size)?;
    }
    // As far back as it goes.
    exchange(&Header::new(0, RELAY, PAGE - 4, 4), 1)
}

fn rx_full_is_notified() -> Outcome {
    let mut interrupts = Interrupts::listen();
    create(0, 4)?;
    for (from, to) in [(0, RELAY), (RELAY, PERCPU), (RELAY, 0)] {
        send(&Header::new(from, to, LONG, 8), 2)?;
        interrupts.came()?;
        expect_listed(to, &[])?;
        expect("from the framework", get(to, 0, FROM_FRAMEWORK)?[2], 1)?;
        expect("and only once", get(to, 0, FROM_FRAMEWORK)?[2], 0)?;
        expect_success(&crate::notify::call_as(to, [RX_RELEASE, 0, 0, 0, 0, 0, 0, 0])?)?;
        nothing_listed()?;
    }
    // The delay flag keeps the interrupt back.
    write(&Header::new(0, RELAY, LONG, 8), 2)?;
    expect_success(&send_as(0, 0, 2)?)?;
    interrupts.none()?;
    expect_listed(RELAY, &[])?;
    release(RELAY)?;
    destroy(0)
}

static STOP: AtomicBool = AtomicBool::new(false);

/// Another CPU writes over the header while it is sent. What arrives is a whole one, to its receiver.
fn rewritten() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    STOP.store(false, Release);
    cpus::start(1, |_| {
        let mut random = Random::new(0x5e2d);
        let mut one_of = |values: [u64; 4]| values[random.below(4) as usize];
        while !STOP.load(Acquire) {
            let offset = one_of([SHORT, LONG, PAGE - 4, 0xffff_fffc]);
            mem::put(TX + 8, offset | one_of([RELAY, RELAY, 0x9abc, RELAY << 16]) << 32);
            mem::put(TX + 16, one_of([4, 8, PAGE - LONG, 0xffff_ffff]));
        }
        Ok(())
    })?;
    let sent = sent_meanwhile();
    STOP.store(true, Release);
    let joined = cpus::join(1, 10_000);
    sent?;
    joined?;
    exchange(&Header::new(0, RELAY, LONG, 64), 11)
}

fn sent_meanwhile() -> Outcome {
    mem::put(TX, 0);
    let (mut arrived, mut refused) = (0, 0);
    let end = time::now() + 20 * time::frequency();
    while (arrived < 50 || refused < 50) && time::now() < end {
        let r = send_as(0, 0, 2)?;
        if error_code(&r).is_some() {
            expect_error(&r, INVALID_PARAMETERS)?;
            refused += 1;
            continue;
        }
        arrived += 1;
        let [_, word, size, _] = ask(RELAY, command::RX_READ, [0; 4])?;
        let (offset, size) = (word & 0xffff_ffff, size & 0xffff_ffff);
        expect("the ends of what arrived", word >> 32, RELAY)?;
        expect_that("a message that lies in the page", offset >= SHORT && size > 0 && offset + size <= PAGE, offset)?;
        release(RELAY)?;
    }
    expect_that("some arrived, of all", arrived > 0, refused)
}

fn rx_has_one_owner() -> Outcome {
    for (from, to) in [(0, RELAY), (PERCPU, RELAY), (RELAY, 0)] {
        send(&Header::new(from, to, LONG, 16), 1)?;
        // It is full: neither another message nor an answer of the SPMC goes in; what is there stays.
        write(&Header::new(from, to, LONG, 16), 2)?;
        expect_error(&send_as(from, 0, 0)?, BUSY)?;
        let asked = [PARTITION_INFO_GET, 0, 0, 0, 0, 0, 0, 0];
        expect_error(&crate::notify::call_as(to, asked)?, BUSY)?;
        received(&Header::new(from, to, LONG, 16), 1)?;
        release(to)?;
        expect_error(&crate::notify::call_as(to, [RX_RELEASE, 0, 0, 0, 0, 0, 0, 0])?, DENIED)?;
        // The other way round: the SPMC's answer fills it.
        expect_success(&crate::notify::call_as(to, asked)?)?;
        expect_error(&send_as(from, 0, 0)?, BUSY)?;
        release(to)?;
        exchange(&Header::new(from, to, LONG, 16), 3)?;
    }
    Ok(())
}

/// FFA_MSG_WAIT of the receiver empties its RX.
fn waiting_gives_rx_back() -> Outcome {
    send(&Header::new(0, RELAY, LONG, 16), 1)?;
    expect_error(&send_as(0, 0, 0)?, BUSY)?;
    expect("FFA_RUN: the partition waits again", call_with(RUN, &[RELAY << 16])?[0], MSG_WAIT)?;
    exchange(&Header::new(0, RELAY, LONG, 16), 2)
}

fn refused(header: &Header, code: i32) -> Outcome {
    write(header, 1)?;
    expect_error(&send_as(header.sender, 0, 0)?, code).map_err(|f| f.at(header.offset << 32 | header.size))
}

fn bad_headers_from(sender: u64, receiver: u64) -> Outcome {
    let good = Header::new(sender, receiver, LONG, 8);
    for (offset, size) in [
        (0, 8),
        (16, 8), // inside the header
        (LONG + 2, 8),
        (LONG, 0),
        (LONG, PAGE - LONG + 1),
        (LONG, 0xffff_ffff),
        (PAGE, 1),
        (0xffff_fffc, 8),
        (0xffff_ffd8, 0xffff_ffff),
    ] {
        let header = Header { offset, size, ..good };
        // What does not fit cannot be written whole: the header alone.
        for (n, word) in header.words().into_iter().enumerate() {
            put(sender, 8 * n as u64, word)?;
        }
        let r = send_as(sender, 0, 0)?;
        expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(offset << 32 | size))?;
    }
    for bit in [1, 2, 1 << 31] {
        refused(&Header { flags: bit, ..good }, INVALID_PARAMETERS)?;
        refused(&Header { reserved: bit, ..good }, INVALID_PARAMETERS)?;
    }
    write(&good, 1)?;
    for flags in [1, 4, 1 << 16, 1 << 31] {
        expect_error(&send_as(sender, 0, flags)?, INVALID_PARAMETERS).map_err(|f| f.at(flags))?;
    }
    exchange(&good, 4)
}

fn bad_headers() -> Outcome {
    bad_headers_from(0, RELAY)
}

fn bad_headers_of_a_partition() -> Outcome {
    bad_headers_from(RELAY, 0)?;
    bad_headers_from(RELAY, PERCPU)
}

fn bad_ends() -> Outcome {
    let nobody = [0x80ff, SPMC, 0xffff, 9];
    for (sender, receiver) in nobody.into_iter().flat_map(|id| [(0, id), (RELAY, id)]) {
        refused(&Header::new(sender, receiver, LONG, 8), INVALID_PARAMETERS)?;
    }
    // To itself.
    refused(&Header::new(0, 0, LONG, 8), INVALID_PARAMETERS)?;
    refused(&Header::new(RELAY, RELAY, LONG, 8), INVALID_PARAMETERS)?;
    // echo takes none.
    refused(&Header::new(RELAY, ECHO, LONG, 8), DENIED)?;
    // With another's id, in the header or in w1.
    let forged = |by: u64, id: u64| -> Outcome {
        let good = Header::new(by, if by == 0 { RELAY } else { 0 }, LONG, 8);
        write(&good, 1)?;
        put(by, 8, Header { sender: id, ..good }.words()[1])?;
        expect_error(&send_as(by, 0, 0)?, INVALID_PARAMETERS)?;
        put(by, 8, good.words()[1])?;
        expect_error(&send_as(by, id << 16, 0)?, INVALID_PARAMETERS)
    };
    for id in [PERCPU, SPMC, 5] {
        forged(0, id)?;
        forged(RELAY, id)?;
    }
    expect_error(&send_as(0, RELAY, 0)?, INVALID_PARAMETERS)
}

fn without_buffers() -> Outcome {
    mem::fill(TX, 1, 0);
    write(&Header::new(0, RELAY, LONG, 8), 1)?;
    expect_error(&send_as(0, 0, 0)?, INVALID_PARAMETERS)?;
    // The receiver in the Normal world has none.
    write(&Header::new(RELAY, 0, LONG, 8), 1)?;
    expect_error(&send_as(RELAY, 0, 0)?, DENIED)
}

/// FFA_RX_ACQUIRE takes the empty RX, so that nobody fills it.
fn rx_acquire() -> Outcome {
    let acquire = || call_with(RX_ACQUIRE, &[0]);
    expect_that("without buffers it is refused", error_code(&acquire()?).is_some(), 0)?;
    map()?;
    expect_success(&acquire()?)?;
    expect_error(&acquire()?, DENIED)?;
    write(&Header::new(RELAY, 0, LONG, 8), 1)?;
    expect_error(&send_as(RELAY, 0, 0)?, BUSY)?;
    expect_success(&call_with(RX_RELEASE, &[])?)?;
    exchange(&Header::new(RELAY, 0, LONG, 8), 1)?;
    for vm in [5, RELAY, 0xffff] {
        expect_that("of somebody else it is refused", error_code(&call_with(RX_ACQUIRE, &[vm])?).is_some(), vm)?;
    }
    expect_error(&by(RELAY, [RX_ACQUIRE, 0, 0, 0, 0, 0, 0, 0])?, NOT_SUPPORTED)?;
    unmap()
}
