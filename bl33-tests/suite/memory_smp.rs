// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory management from several CPUs at once.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};

use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_that};
use bl33::mem::{self, FREE, PAGE, TX};
use bl33::share::*;
use bl33::sp::{self, Conduit, command, status, try_command};
use bl33::time::{self, Random};
use bl33::{cpus, mode};

use crate::memory::mapped;

pub(crate) const CASES: &[Case] = &[
    Case::new("memory_smp::descriptor_rewritten_during_the_call", || mapped(rewritten)).noisy(),
    Case::new("memory_smp::rounds_on_all_cpus", || mapped(rounds)),
    Case::new("memory_smp::one_page_from_all_cpus", || mapped(one_page)).noisy(),
    Case::new("mfault_4::block_split_under_another_cpu", || mapped(split)).asked(),
];

static MEETING: AtomicU32 = AtomicU32::new(0);
static STOP: AtomicBool = AtomicBool::new(false);
static DONE: AtomicU64 = AtomicU64::new(0);
static BLOCK: AtomicU64 = AtomicU64::new(0);

/// One CPU sends, the others write nonsense over the descriptor meanwhile. Whatever the SPMC makes of it, the page is
/// whole in the end.
fn rewritten() -> Outcome {
    MEETING.store(0, Release);
    STOP.store(false, Release);
    DONE.store(0, Release);
    let outcome = cpus::on_all(cpus::count().min(3), 60_000, |cpu| {
        cpus::meet(&MEETING, cpus::count().min(3) as u32)?;
        let mut random = Random::new(0x5e + cpu);
        if cpu != 0 {
            while !STOP.load(Acquire) {
                let at = TX + 8 * random.below(14);
                let old = mem::get(at);
                let new = match random.below(4) {
                    0 => random.draw(),
                    1 => old ^ 1 << random.below(64),
                    2 => FREE + PAGE * random.below(4),
                    _ => 1 + random.below(3) | random.below(3) << 32,
                };
                mem::put(at, new);
                // Long enough, now and then, for a descriptor to get through whole.
                let until = time::now() + random.below(time::frequency() / 10_000);
                while time::now() < until && !STOP.load(Acquire) {
                    core::hint::spin_loop();
                }
            }
            return Ok(());
        }
        let outcome = (0..mode::rounds(1000, 3000, 50_000)).try_for_each(|_| send_once());
        STOP.store(true, Release);
        outcome
    });
    outcome?;
    let taken = DONE.load(Acquire);
    expect_that("some were taken, of all", taken > 0, taken)?;
    // Nothing is left over: all four pages can be lent.
    reclaim(lend(RELAY, FREE, 4)?)
}

fn send_once() -> Outcome {
    let len = Send::new(&[(RELAY, READ_WRITE)], &[(FREE, 1), (FREE + 2 * PAGE, 1)]).lay(TX);
    let r = call_with(MEM_SHARE_64, &[len, len])?;
    match error_code(&r) {
        Some(INVALID_PARAMETERS | DENIED) => Ok(()),
        Some(_) => expect_error(&r, INVALID_PARAMETERS),
        None => {
            DONE.fetch_add(1, Relaxed);
            reclaim(handle_of(&r)?)
        }
    }
}

/// Repeats a command while the partition (or a table of it) is busy with another CPU.
fn patiently(to: u64, command: u64, args: [u64; 4]) -> Result<[u64; 4], Failure> {
    let mut last = 0;
    for _ in 0..1_000_000 {
        let [outcome, a, b, c, d] = try_command(to, command, args)?;
        match outcome {
            status::OK => return Ok([a, b, c, d]),
            // Four regions at the most, or RX still in use by another context.
            status::NO_ROOM => last = outcome,
            status::FFA_ERROR if a as u32 as i32 == BUSY => last = outcome,
            _ => return Err(Failure::new("status of a command; its word 1 is", status::OK, outcome).at(a)),
        }
    }
    Err(Failure::new("a partition stayed busy; status", status::OK, last))
}

/// Share, retrieve, write, relinquish, look, reclaim: each CPU with pages of its own.
fn rounds() -> Outcome {
    MEETING.store(0, Release);
    cpus::on_all(cpus::count(), if mode::long() { 280_000 } else { 18_000 }, |cpu| {
        cpus::meet(&MEETING, cpus::count() as u32)?;
        let mut random = Random::new(0x20d + cpu);
        let all = mode::rounds(200, 2000, 100_000);
        for round in 0..all / cpus::count() as u64 {
            let pages = 1 + random.below(3);
            let address = FREE + 0x80_0000 * (cpu + 1) + PAGE * random.below(1024);
            let handle = share(PERCPU, address, pages)?;
            patiently(PERCPU, command::RETRIEVE, [handle, 0, TAG, 0])?;
            let value = round << 8 | cpu | 1 << 31;
            patiently(PERCPU, command::WRITE, [handle, 8 * cpu, value, 0])?;
            expect_error(&reclaim_raw(handle, 0)?, DENIED)?;
            patiently(PERCPU, command::RELINQUISH, [handle, 0, 0, 0])?;
            expect("what the partition wrote", mem::get(address + 8 * cpu), value)?;
            reclaim(handle)?;
        }
        Ok(())
    })?;
    // Nothing is left over.
    for cpu in 0..cpus::count() as u64 {
        reclaim(lend(RELAY, FREE + 0x80_0000 * (cpu + 1), 1024)?)?;
    }
    Ok(())
}

/// All CPUs lend the same page: one at a time succeeds.
fn one_page() -> Outcome {
    MEETING.store(0, Release);
    DONE.store(0, Release);
    cpus::on_all(cpus::count(), 18_000, |_| {
        cpus::meet(&MEETING, cpus::count() as u32)?;
        for _ in 0..mode::rounds(100, 500, 500) {
            let send = Send { attributes: 0, ..Send::new(&[(RELAY, READ_WRITE)], &[(FREE, 1)]) };
            let r = send_raw(MEM_LEND_64, &send)?;
            if error_code(&r).is_some() {
                expect_error(&r, DENIED)?;
                continue;
            }
            DONE.fetch_add(1, Relaxed);
            reclaim(handle_of(&r)?)?;
        }
        Ok(())
    })?;
    let taken = DONE.load(Acquire);
    expect_that("some were taken, of all", taken > 0, taken)
}

/// A block of 2 MiB that is lost to the Normal world.
const LOST: u64 = mem::POOL_END - 0x40_0000;
const PATTERN: u64 = 0xcafe_face;

/// One context of a partition shares a page of a block and takes it back, again and again, which splits and joins the
/// block; another context reads the block meanwhile, and notices nothing.
fn split() -> Outcome {
    let send = Send { attributes: 0, ..Send::new(&[(PERCPU, 0)], &[(LOST, 512)]) };
    let block = self::send(MEM_DONATE_64, &send)?;
    retrieve(PERCPU, block, READ_WRITE | NEVER_EXECUTE, 0)?;
    sp::command(PERCPU, command::FILL, [block, PATTERN, 0, 0])?;
    // A share of one page, as the partition lays it out.
    let receiver = RELAY | READ_WRITE << 16 | 64 << 32;
    let words = [PERCPU | NORMAL << 16, 0, 0, 16 | 1 << 32, 48, 0, receiver, 0, 1 | 1 << 32, 0, LOST + 7 * PAGE, 1];
    for (at, three) in (0..).step_by(24).zip(words.chunks(3)) {
        sp::command(PERCPU, command::TX_WRITE, [at, three[0], three[1], three[2]])?;
    }
    MEETING.store(0, Release);
    STOP.store(false, Release);
    DONE.store(0, Release);
    BLOCK.store(block, Release);
    cpus::on_all(2, 30_000, |cpu| {
        cpus::meet(&MEETING, 2)?;
        if cpu != 0 {
            while !STOP.load(Acquire) {
                let [words, ..] = sp::command(PERCPU, command::CHECK, [BLOCK.load(Acquire), PATTERN, 0, 0])?;
                expect("words that are as they were", words, 0x20_0000 / 4)?;
                DONE.fetch_add(1, Release);
            }
            return Ok(());
        }
        let outcome = (0..mode::rounds(200, 500, 5000)).try_for_each(|_| {
            let [fid, _, low, high] = sp::raw(PERCPU, Conduit::Smc, [MEM_SHARE_64, 96, 96, 0, 0, 0, 0, 0])?;
            expect("x0 of the share", fid, SUCCESS_32)?;
            let [fid, ..] = sp::raw(PERCPU, Conduit::Smc, [MEM_RECLAIM, low, high, 0, 0, 0, 0, 0])?;
            expect("x0 of the reclaim", fid, SUCCESS_32)
        });
        STOP.store(true, Release);
        outcome
    })?;
    let read = DONE.load(Acquire);
    expect_that("the block was read meanwhile, times", read > 0, read)
}
