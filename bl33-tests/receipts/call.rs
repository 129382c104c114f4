// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding the partition, sharing memory with it, and calling it.

use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_that};
use bl33::mem::{self, FREE, PAGE, RX, TX};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use receipts_client::{Call, MAX_ANSWER, MAX_MESSAGE, Operation, Reply, SERVICE_UUID, Span};

pub(crate) const CASES: &[Case] = &[
    Case::new("receipts::found_by_uuid", found_by_uuid),
    Case::new("receipts::memory_is_shared", memory_is_shared),
    Case::new("receipts::hello", hello),
];

pub(crate) const LAST: &[Case] = &[Case::new("receipts::memory_comes_back", memory_comes_back)];

const MEM_SHARE: u64 = 0x8400_0073;
const MEM_RECLAIM: u64 = 0x8400_0077;
/// Normal write-back inner-shareable memory, as a descriptor says it.
const NORMAL: u64 = 0x2f;
/// Data access: read and write.
const READ_WRITE: u64 = 2;

/// The shared region: the message, then room for the answer.
pub(crate) const MESSAGE: u64 = FREE;
pub(crate) const ANSWER: u64 = FREE + MAX_MESSAGE as u64;
const PAGES: u64 = (MAX_MESSAGE + MAX_ANSWER) as u64 / PAGE;

static PARTITION: AtomicU64 = AtomicU64::new(0);
static HANDLE: AtomicU64 = AtomicU64::new(0);

pub(crate) fn partition() -> u64 {
    PARTITION.load(Relaxed)
}

pub(crate) fn handle() -> u64 {
    HANDLE.load(Relaxed)
}

pub(crate) fn found_by_uuid() -> Outcome {
    call_with(VERSION, &[0x1_0001])?;
    expect_success(&call_with(RXTX_MAP_64, &[TX, RX, 1])?)?;
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(SERVICE_UUID.chunks_exact(4)) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    let count = expect_success(&call_with(PARTITION_INFO_GET, &words)?)?;
    expect("partitions of the service", count, 1)?;
    PARTITION.store(mem::get(RX) & 0xffff, Relaxed);
    expect_success(&call_with(RX_RELEASE, &[])?).map(drop)
}

/// Shares pages with the partition and gives the handle.
pub(crate) fn share(address: u64, pages: u64) -> Result<u64, Failure> {
    share_with(partition(), address, pages)
}

/// The same with any partition.
pub(crate) fn share_with(receiver: u64, address: u64, pages: u64) -> Result<u64, Failure> {
    let descriptor = [
        NORMAL << 16,
        0,
        0,
        16 | 1 << 32,
        48,
        0,
        receiver | READ_WRITE << 16 | 64 << 32,
        0,
        pages | 1 << 32,
        0,
        address,
        pages,
    ];
    for (i, word) in descriptor.into_iter().enumerate() {
        mem::put(TX + 8 * i as u64, word);
    }
    let length = descriptor.len() as u64 * 8;
    let answer = call_with(MEM_SHARE, &[length, length])?;
    expect_success(&answer)?;
    Ok(answer[2] & 0xffff_ffff | answer[3] << 32)
}

/// Takes shared memory back.
pub(crate) fn reclaim(handle: u64) -> Outcome {
    expect_success(&call_with(MEM_RECLAIM, &[handle & 0xffff_ffff, handle >> 32, 0])?).map(drop)
}

pub(crate) fn memory_is_shared() -> Outcome {
    HANDLE.store(share(MESSAGE, PAGES)?, Relaxed);
    Ok(())
}

fn memory_comes_back() -> Outcome {
    reclaim(handle())?;
    expect_success(&call_with(RXTX_UNMAP, &[])?).map(drop)
}

/// Sends a call and waits for its reply, resuming the partition whenever the Normal world is interrupted.
pub(crate) fn send(registers: [u64; 5]) -> Result<Reply, Failure> {
    let mut answer = direct64(partition(), registers)?;
    while answer[0] == INTERRUPT {
        answer = call_with(RUN, &[answer[1]])?;
    }
    expect("x0 (DIRECT_RESP64)", answer[0], DIRECT_RESP_64)?;
    let words = [answer[3], answer[4], answer[5], answer[6], answer[7]];
    Reply::from_registers(words).ok_or(Failure::because("a reply, got code", answer[3]))
}

/// The registers of a call whose message already is where it belongs.
pub(crate) fn placed(operation: u16, flags: u16, length: usize) -> Call {
    Call {
        operation,
        flags,
        handle: handle(),
        message: Span { offset: 0, length: length as u32 },
        answer: Span { offset: MAX_MESSAGE as u32, length: MAX_ANSWER as u32 },
    }
}

/// Makes a call.
pub(crate) fn ask(operation: Operation, flags: u16, message: &[u8]) -> Result<Reply, Failure> {
    ask_number(operation as u16, flags, message)
}

/// Makes a call by the number of its operation.
pub(crate) fn ask_number(operation: u16, flags: u16, message: &[u8]) -> Result<Reply, Failure> {
    mem::put_bytes(MESSAGE, message);
    send(placed(operation, flags, message.len()).registers())
}

/// Demands that the answer's parts are these bytes.
pub(crate) fn expect_answer(reply: &Reply, expected: &[u8]) -> Outcome {
    expect("bytes of the answer", reply.written.into(), expected.len() as u64)?;
    for (i, byte) in expected.iter().enumerate() {
        let got = mem::get8(ANSWER + i as u64);
        expect("a byte of the answer", got.into(), u64::from(*byte)).map_err(|failure| failure.at(i as u64))?;
    }
    Ok(())
}

/// Demands a verdict: class, field, reason.
pub(crate) fn expect_code(reply: &Reply, class: u32, field: u32, reason: u32) -> Outcome {
    expect("the verdict", reply.code.into(), u64::from(class << 16 | field << 8 | reason))
}

fn hello() -> Outcome {
    let reply = send([Operation::Hello as u64, 0, 0, 0, 0])?;
    expect("the verdict", reply.code.into(), 0)?;
    let [limits, room, able] = reply.values;
    expect("receipt, chain and nesting", limits, 65536 | 16 << 32 | 128 << 48)?;
    expect("message", room & 0xffff_ffff, MAX_MESSAGE as u64)?;
    expect_that("some nonces:", room >> 32 >= 1024, room >> 32)?;
    expect("protocol", able >> 32, receipts_client::PROTOCOL_VERSION.into())?;
    expect("values in one text", able >> 16 & 0xffff, 16384)?;
    // A key, a clock and a provisioning key, which is the public one, but no trust yet.
    expect("what it can do", able & 0xffff, 0b1_0111)
}
