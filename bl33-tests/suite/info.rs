// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_PARTITION_INFO_GET` and `FFA_PARTITION_INFO_GET_REGS`: 24-byte descriptors, in RX or in registers.

use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::mem::{self, RX};

use crate::rxtx::{map, unmap};

pub(crate) const CASES: &[Case] = &[
    Case::new("info::all", all),
    Case::new("info::count_only", count_only),
    Case::new("info::count_needs_no_buffer", count_needs_no_buffer),
    Case::new("info::by_uuid", by_uuid),
    Case::new("info::unknown_uuid", unknown_uuid),
    Case::new("info::undefined_flags", undefined_flags),
    Case::new("info::busy_until_released", busy_until_released),
    Case::new("info::writes_only_what_it_says", writes_only_what_it_says),
    Case::new("info::in_registers_as_in_memory", in_registers_as_in_memory),
    Case::new("info::in_registers_from_an_index", in_registers_from_an_index),
    Case::new("info::in_registers_bad_arguments", in_registers_bad_arguments),
];

/// The size of a v1.1 partition information descriptor.
const SIZE: u64 = 24;
/// Property bits: receives direct requests; AArch64.
const RECEIVES_DIRECT: u32 = 1 << 0;
const AARCH64: u32 = 1 << 8;

/// Fetches every partition; returns how many there are. The RX buffer stays owned.
pub(crate) fn fetch_all() -> Result<u64, Failure> {
    let r = call_with(PARTITION_INFO_GET, &[])?;
    let count = expect_success(&r)?;
    expect("w3: bytes in a descriptor", r[3], SIZE)?;
    expect_zeros(&r, 4)?;
    Ok(count)
}

fn release() -> Outcome {
    expect_success(&call_with(RX_RELEASE, &[])?).map(|_| ())
}

fn descriptor(n: u64) -> (u16, u16, u32, [u32; 4]) {
    let at = RX + n * SIZE;
    let head = mem::get32(at);
    let uuid = core::array::from_fn(|i| mem::get32(at + 8 + 4 * i as u64));
    (head as u16, (head >> 16) as u16, mem::get32(at + 4), uuid)
}

fn all() -> Outcome {
    map()?;
    let count = fetch_all()?;
    expect_that("at least three partitions, got", count >= 3, count)?;
    let mut seen = 0;
    for n in 0..count {
        let (id, contexts, properties, uuid) = descriptor(n);
        expect_that("partition ids have bit 15 set:", id & 0x8000 != 0, u64::from(id))?;
        expect_that("a partition has an execution context:", contexts >= 1, u64::from(id))?;
        expect_at("AArch64 bit of partition", u64::from(id), u64::from(properties & AARCH64), u64::from(AARCH64))?;
        expect_that("a UUID with the nil query:", uuid != [0; 4], u64::from(id))?;
        if (0x8001..=0x8003).contains(&id) {
            seen |= 1 << (id - 0x8001);
            let receives = u64::from(properties & RECEIVES_DIRECT);
            expect_at("receives direct requests: partition", u64::from(id), receives, 1)?;
        }
        for other in 0..n {
            // A partition with several UUIDs has a descriptor for each.
            let (other_id, .., other_uuid) = descriptor(other);
            expect_that("descriptors are unique:", other_id != id || other_uuid != uuid, u64::from(id))?;
        }
    }
    expect("echo, relay and percpu are listed (a bit each)", seen, 0b111)?;
    release()?;
    unmap()
}

fn count_only() -> Outcome {
    map()?;
    let r = call_with(PARTITION_INFO_GET, &[0, 0, 0, 0, 1])?;
    let count = expect_success(&r)?;
    expect_zeros(&r, 3)?;
    // The count took no ownership: the buffer is free for the list.
    expect("the list is as long as the count", fetch_all()?, count)?;
    release()?;
    unmap()
}

fn count_needs_no_buffer() -> Outcome {
    let r = call_with(PARTITION_INFO_GET, &[0, 0, 0, 0, 1])?;
    let count = expect_success(&r)?;
    expect_that("at least three partitions, got", count >= 3, count)
}

fn by_uuid() -> Outcome {
    map()?;
    let count = fetch_all()?;
    let list: [_; 8] = core::array::from_fn(|n| descriptor(n as u64));
    release()?;
    for (id, contexts, properties, uuid) in list.iter().take(count as usize) {
        let [a, b, c, d] = uuid.map(u64::from);
        let r = call_with(PARTITION_INFO_GET, &[a, b, c, d])?;
        expect_at("count for the UUID of", u64::from(*id), expect_success(&r)?, 1)?;
        let (id2, contexts2, properties2, uuid2) = descriptor(0);
        release()?;
        expect("id by UUID", u64::from(id2), u64::from(*id))?;
        expect("contexts by UUID", u64::from(contexts2), u64::from(*contexts))?;
        expect("properties by UUID", u64::from(properties2), u64::from(*properties))?;
        expect_that("no UUID in the answer to a UUID:", uuid2 == [0; 4], u64::from(*id))?;
        let r = call_with(PARTITION_INFO_GET, &[a, b, c, d, 1])?;
        expect_at("count alone for the UUID of", u64::from(*id), expect_success(&r)?, 1)?;
        // One bit less is another UUID.
        let r = call_with(PARTITION_INFO_GET, &[a, b, c, d ^ (1 << 31)])?;
        expect_error(&r, INVALID_PARAMETERS)?;
    }
    unmap()
}

fn unknown_uuid() -> Outcome {
    map()?;
    for count in [0, 1] {
        let r = call_with(PARTITION_INFO_GET, &[0x1111_1111, 0x2222_2222, 0x3333_3333, 0x4444_4444, count])?;
        expect_error(&r, INVALID_PARAMETERS)?;
    }
    // Nothing was written: the buffer is still the SPMC's.
    expect_error(&call_with(RX_RELEASE, &[])?, DENIED)?;
    unmap()
}

fn undefined_flags() -> Outcome {
    map()?;
    for flags in [2, 3, 0x8000_0000, 0xffff_fffe] {
        let r = call_with(PARTITION_INFO_GET, &[0, 0, 0, 0, flags])?;
        if error_code(&r).is_none() {
            // Leave the buffer free for what follows; the case has failed already.
            let _ = call_with(RX_RELEASE, &[]);
        }
        expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(flags))?;
    }
    unmap()
}

fn busy_until_released() -> Outcome {
    map()?;
    fetch_all()?;
    let first = mem::get(RX);
    for _ in 0..3 {
        expect_error(&call_with(PARTITION_INFO_GET, &[])?, BUSY)?;
    }
    expect("the list is untouched", mem::get(RX), first)?;
    release()?;
    fetch_all()?;
    release()?;
    unmap()
}

fn writes_only_what_it_says() -> Outcome {
    const MARK: u64 = 0x5a5a_a5a5_5a5a_a5a5;
    map()?;
    mem::fill(RX, 1, MARK);
    mem::fill(mem::TX, 1, MARK);
    mem::fill(mem::TX + mem::PAGE, 1, MARK);
    let count = fetch_all()?;
    for at in (count * SIZE).next_multiple_of(8)..mem::PAGE {
        if at % 8 == 0 {
            expect_at("RX beyond the list at", at, mem::get(RX + at), MARK)?;
        }
    }
    for at in (0..2 * mem::PAGE).step_by(8) {
        expect_at("TX and the page behind it at", at, mem::get(mem::TX + at), MARK)?;
    }
    release()?;
    unmap()
}

/// Asks for descriptors in registers, from an index on; returns all registers.
fn in_registers(uuid: [u32; 4], start: u64, tag: u64) -> Regs18 {
    let [a, b, c, d] = uuid.map(u64::from);
    let mut regs = [0; 18];
    regs[0] = PARTITION_INFO_GET_REGS;
    regs[1] = a | b << 32;
    regs[2] = c | d << 32;
    regs[3] = start | tag << 16;
    smc18_call(regs)
}

/// The descriptors in registers are those in memory, five at a time, and nothing follows the last.
fn in_registers_as_in_memory() -> Outcome {
    map()?;
    let count = fetch_all()?;
    let mut start = 0;
    while start < count {
        let r = in_registers([0; 4], start, 0);
        let last = (start + 5).min(count) - 1;
        expect("x0 (FFA_SUCCESS64)", r[0], SUCCESS_64)?;
        expect("x1", r[1], 0)?;
        expect(
            "x2: last index, current index, tag, size",
            r[2] & 0xffff_0000_ffff_ffff,
            (count - 1) | last << 16 | 24 << 48,
        )?;
        for n in start..=last {
            let x = 3 + 3 * (n - start) as usize;
            for word in 0..3 {
                let at = RX + n * SIZE + 8 * word;
                expect_at("word of x", x as u64 + word, r[x + word as usize], mem::get(at))?;
            }
        }
        for (x, value) in r.iter().enumerate().skip(3 + 3 * (last + 1 - start) as usize) {
            expect_at("after the last descriptor: x", x as u64, *value, 0)?;
        }
        start = last + 1;
    }
    release()?;
    unmap()
}

fn in_registers_from_an_index() -> Outcome {
    let all = in_registers([0; 4], 0, 0);
    let second = in_registers([0; 4], 1, 0);
    for x in 3..6 {
        expect_at("second descriptor by its index: x", x, second[x as usize], all[x as usize + 3])?;
    }
    // By UUID: one descriptor, whose UUID is left out since the caller knows it.
    let uuid = [all[4] as u32, (all[4] >> 32) as u32, all[5] as u32, (all[5] >> 32) as u32];
    let one = in_registers(uuid, 0, 0);
    expect("x0 (FFA_SUCCESS64)", one[0], SUCCESS_64)?;
    expect("x2: the only index", one[2] & 0xffff_ffff, 0)?;
    expect("x3: the same partition", one[3], all[3])?;
    expect("x4: no UUID", one[4], 0)?;
    expect("x6: nothing more", one[6], 0)
}

fn in_registers_bad_arguments() -> Outcome {
    let error = |r: Regs18| -> Regs8 { core::array::from_fn(|i| r[i]) };
    expect_error(&error(in_registers([1, 2, 3, 4], 0, 0)), INVALID_PARAMETERS)?;
    for start in [0x20, 0x40, 0xffff] {
        expect_error(&error(in_registers([0; 4], start, 0)), INVALID_PARAMETERS).map_err(|f| f.at(start))?;
    }
    // A tag with the first call, and one that was never given.
    expect_error(&error(in_registers([0; 4], 0, 1)), INVALID_PARAMETERS)?;
    expect_error(&error(in_registers([0; 4], 1, 0xabcd)), RETRY)?;
    // An error leaves x8 to x17 alone.
    let mut regs: Regs18 = core::array::from_fn(|x| 0x1111 * x as u64);
    regs[0] = PARTITION_INFO_GET_REGS;
    let r = smc18_call(regs);
    for x in 8..18 {
        expect_at("preserved by an error: x", x, r[x as usize], 0x1111 * x)?;
    }
    Ok(())
}
