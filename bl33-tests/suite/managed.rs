// SPDX-License-Identifier: MIT OR Apache-2.0
//! Managed exit, and the strictest action of a chain. Needs `managed`, which is not in the default firmware: runs in a
//! boot of its own (`--only managed`).

use core::sync::atomic::Ordering::Relaxed;

use bl33::ffa::*;
use bl33::gic;
use bl33::harness::{Case, Failure, Outcome, expect, expect_that};
use bl33::sp::{Conduit, command, raw, status, words};
use bl33::time;

pub(crate) const CASES: &[Case] = &[
    Case::new("managed::exit", exit).asked(),
    Case::new("managed::one_that_masks_it", one_that_masks_it).asked(),
    Case::new("managed::below_a_chain", below_a_chain).asked(),
    Case::new("managed::above_a_chain", above_a_chain).asked(),
    Case::new("managed::yields_instead", yields_instead).asked(),
    Case::new("managed::never_finishes", never_finishes).asked().noisy(),
];

/// Asks for a managed exit, as a virtual IRQ.
const MANAGED: u64 = 0x8006;
const FEATURES_MANAGED_EXIT: u64 = 3;
const MANAGED_EXIT: u64 = 4;

fn milliseconds(n: u64) -> u64 {
    time::frequency() / 1000 * n
}

fn interrupts() -> u32 {
    gic::COUNTS[gic::TIMER as usize].load(Relaxed)
}

/// Makes a request that lasts and interrupts it after 1 ms. On a busy host the interrupt may come before the call or
/// after it, as `count` tells: then it is tried again.
pub(crate) fn interrupted(to: u64, words: [u64; 5], fell_into: impl Fn(&Regs8) -> bool) -> Result<Regs8, Failure> {
    for _ in 0..50 {
        let before = interrupts();
        gic::timer_after(milliseconds(1));
        let r = direct64(to, words)?;
        let came = time::wait_for(5000, || interrupts() != before);
        expect_that("the Normal world gets its interrupt", came, to)?;
        if fell_into(&r) {
            return Ok(r);
        }
    }
    Err(Failure::because("no interrupt fell into a run of", to))
}

fn exit() -> Outcome {
    let [x0, _, w2, _] = raw(MANAGED, Conduit::Smc, [FEATURES, FEATURES_MANAGED_EXIT, 0, 0, 0, 0, 0, 0])?;
    expect("x0 of FEATURES", x0, SUCCESS_32)?;
    expect("the id that it tells", w2, MANAGED_EXIT)?;
    for _ in 0..5 {
        let r = interrupted(MANAGED, [command::SPIN, milliseconds(500), 1, 0, 0], |r| r[6] == 1)?;
        let [status, start, end, managed, _] = words(&r, MANAGED)?;
        expect("status", status, status::OK)?;
        expect("it was asked to finish", managed, 1)?;
        expect_that("it finished early", end - start < milliseconds(500), end - start)?;
    }
    Ok(())
}

/// It finishes when it likes, and the Normal world gets its interrupt then.
fn one_that_masks_it() -> Outcome {
    for _ in 0..5 {
        let before = interrupts();
        gic::timer_after(milliseconds(1));
        let r = direct64(MANAGED, [command::SPIN, milliseconds(10), 0, 0, 0])?;
        let [status, start, end, ..] = words(&r, MANAGED)?;
        expect("status", status, status::OK)?;
        expect_that("it spun to its end", end - start >= milliseconds(10), end - start)?;
        let came = time::wait_for(5000, || interrupts() != before);
        expect_that("the Normal world gets its interrupt", came, 0)?;
    }
    // Nothing of it is left: the next one that lets interrupts in is not asked.
    let r = direct64(MANAGED, [command::SPIN, milliseconds(1), 1, 0, 0])?;
    expect("asked for no reason", words(&r, MANAGED)?[3], 0)
}

/// relay asks it: it finishes, and relay, which is preempted as its manifest says, finds the answer when it is resumed.
fn below_a_chain() -> Outcome {
    let words = [command::FORWARD, MANAGED, command::SPIN, milliseconds(500), 1];
    let mut r = interrupted(RELAY, words, |r| r[0] == INTERRUPT)?;
    while r[0] == INTERRUPT {
        expect("the preempted context", r[1], RELAY << 16)?;
        r = call_with(RUN, &[r[1]])?;
    }
    let [status, inner, start, end, managed] = bl33::sp::words(&r, RELAY)?;
    expect("status of the forward", status, status::OK)?;
    expect("status of the spin", inner, status::OK)?;
    expect("it was asked to finish", managed, 1)?;
    expect_that("it finished early", end - start < milliseconds(500), end - start)
}

/// It asks relay: relay, which alone would be preempted, is not, since the chain is not to be.
fn above_a_chain() -> Outcome {
    for _ in 0..5 {
        let before = interrupts();
        gic::timer_after(milliseconds(1));
        let r = direct64(MANAGED, [command::FORWARD, RELAY, command::SPIN, milliseconds(5), 0])?;
        let [status, inner, start, end, _] = words(&r, MANAGED)?;
        expect("status of the forward", status, status::OK)?;
        expect("status of the spin", inner, status::OK)?;
        expect_that("it spun to its end", end - start >= milliseconds(5), end - start)?;
        let came = time::wait_for(5000, || interrupts() != before);
        expect_that("the Normal world gets its interrupt", came, 0)?;
    }
    // Called by the Normal world, relay is preempted as ever.
    let r = interrupted(RELAY, [command::SPIN, milliseconds(5), 0, 0, 0], |r| r[0] == INTERRUPT)?;
    let (r, _) = crate::preempt::finish(r, RELAY)?;
    expect("status of the spin", words(&r, RELAY)?[0], status::OK)
}

fn yields_instead() -> Outcome {
    let r = direct64(MANAGED, [command::YIELD, 0, 0, 0, 0])?;
    expect("x0 (FFA_YIELD)", r[0], YIELD)?;
    let (r, _) = crate::preempt::finish(r, MANAGED)?;
    expect("status of the yield", words(&r, MANAGED)?[0], status::OK)
}

/// The deadline ends it; the others go on.
fn never_finishes() -> Outcome {
    let before = interrupts();
    let start = time::now();
    gic::timer_after(milliseconds(1));
    expect_error(&direct64(MANAGED, [command::HANG, 0, 0, 0, 0])?, ABORTED)?;
    let waited = time::now() - start;
    expect_that("after about two seconds", waited < time::frequency() * 10, waited)?;
    let came = time::wait_for(5000, || interrupts() != before);
    expect_that("the Normal world gets its interrupt", came, 0)?;
    expect_error(&direct64(MANAGED, [command::ADD, 1, 2, 0, 0])?, ABORTED)?;
    expect_echo(0x3a4)
}
