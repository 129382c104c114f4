// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interrupts of the Normal world while a partition runs: FFA_INTERRUPT, and FFA_RUN to go on.

use core::sync::atomic::Ordering::Relaxed;

use bl33::ffa::*;
use bl33::gic;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::sp::{command, status, words};
use bl33::time::{self, Random};

pub(crate) const CASES: &[Case] = &[
    Case::new("preempt::the_timer_interrupts_here", the_timer_interrupts_here),
    Case::new("preempt::interrupt_and_resume", interrupt_and_resume),
    Case::new("preempt::others_meanwhile", others_meanwhile),
    Case::new("preempt::below_a_chain", below_a_chain),
    Case::new("preempt::el1_timer", el1_timer),
    Case::new("preempt::yield_and_resume", yield_and_resume),
    Case::new("preempt::at_any_moment", at_any_moment),
];

/// Runs `id` until it answers; returns the answer and how often it was interrupted on the way.
pub(crate) fn finish(mut r: Regs8, id: u64) -> Result<(Regs8, u64), Failure> {
    for times in 0..10_000 {
        match r[0] {
            INTERRUPT | YIELD => {
                expect("w1 names the interrupted context", r[1], id << 16 | r[1] & 0xffff)?;
                r = call_with(RUN, &[r[1]])?;
            }
            _ => return Ok((r, times)),
        }
    }
    Err(Failure::because("the partition never answered:", id))
}

/// What the other cases lean on: the timer's interrupt reaches the Normal world by itself.
fn the_timer_interrupts_here() -> Outcome {
    let before = gic::COUNTS[gic::TIMER as usize].load(Relaxed);
    gic::timer_after(milliseconds(1));
    let came = time::wait_for(1000, || gic::COUNTS[gic::TIMER as usize].load(Relaxed) != before);
    expect_that("the interrupt came to the Normal world", came, 0)
}

fn milliseconds(n: u64) -> u64 {
    time::frequency() / 1000 * n
}

/// The Normal world's EL1 timer preempts a partition that has written to its own.
fn el1_timer() -> Outcome {
    bl33::sp::command(RELAY, command::REGS_FILL, [0x7e57_0000_7e57_0000, 0, 0, 0])?;
    for _ in 0..50 {
        gic::el1_timer_after(milliseconds(1));
        let r = direct64(RELAY, [command::SPIN, milliseconds(5), 0, 0, 0])?;
        gic::el1_timer_off();
        // On a busy host the interrupt may come before the call or after it: then it is tried again.
        if r[0] != DIRECT_RESP_64 {
            expect("x0 (FFA_INTERRUPT)", r[0], INTERRUPT)?;
            let (r, _) = finish(r, RELAY)?;
            return expect("status of the spin", words(&r, RELAY)?[0], status::OK);
        }
    }
    Err(Failure::because("the timer never preempted:", RELAY))
}

/// Sends a command that lasts 5 ms and interrupts it after 1 ms; returns FFA_INTERRUPT's registers.
///
/// On a busy host the interrupt may come before the call or after it: then it is tried again.
fn interrupted(to: u64, words: [u64; 5]) -> Result<Regs8, Failure> {
    let count = || gic::COUNTS[gic::TIMER as usize].load(Relaxed);
    for _ in 0..50 {
        let before = count();
        gic::timer_after(milliseconds(1));
        let r = direct64(to, words)?;
        if r[0] == DIRECT_RESP_64 {
            gic::timer_off();
            continue;
        }
        expect("x0 (FFA_INTERRUPT)", r[0], INTERRUPT)?;
        expect_zeros(&r, 2)?;
        let came = time::wait_for(5000, || count() != before);
        expect_that("the interrupt came to the Normal world", came, to)?;
        return Ok(r);
    }
    Err(Failure::because("no interrupt ended a run of", to))
}

/// Leaves `id` preempted in the middle of a spin.
pub(crate) fn interrupted_spin(id: u64) -> Result<Regs8, Failure> {
    let r = interrupted(id, [command::SPIN, milliseconds(5), 0, 0, 0])?;
    let context = if id == PERCPU { bl33::sysreg::cpu() } else { 0 };
    expect("w1 names the interrupted context", r[1], id << 16 | context)?;
    Ok(r)
}

fn interrupt_and_resume() -> Outcome {
    for id in [RELAY, PERCPU] {
        for _ in 0..5 {
            let r = interrupted_spin(id)?;
            let (r, _) = finish(r, id)?;
            let [status, start, end, ..] = words(&r, id)?;
            expect("status of the spin", status, status::OK)?;
            expect_that("it spun to its end", end - start >= milliseconds(5), end - start)?;
        }
    }
    Ok(())
}

/// A preempted partition is busy; nobody else is.
fn others_meanwhile() -> Outcome {
    let r = interrupted_spin(RELAY)?;
    expect_error(&direct64(RELAY, [0; 5])?, BUSY)?;
    expect_echo(0x0fe)?;
    expect_error(&call_with(RUN, &[RELAY << 16 | 1])?, INVALID_PARAMETERS)?;
    let [echoed, ..] = bl33::sp::command(PERCPU, command::ECHO, [7, 0, 0, 0])?;
    expect("percpu answers", echoed, 0x1007)?;
    let (r, _) = finish(r, RELAY)?;
    expect("status of the spin", words(&r, RELAY)?[0], status::OK)?;
    bl33::sp::command(RELAY, command::ECHO, [0; 4]).map(|_| ())
}

/// relay asks percpu, which is interrupted: the Normal world resumes the head of the chain.
fn below_a_chain() -> Outcome {
    let r = interrupted(RELAY, [command::FORWARD, PERCPU, command::SPIN, milliseconds(5), 0])?;
    expect_error(&direct64(RELAY, [0; 5])?, BUSY)?;
    let mut r = r;
    for _ in 0..100 {
        if r[0] != INTERRUPT {
            break;
        }
        r = call_with(RUN, &[r[1]])?;
    }
    let [status, inner, ..] = words(&r, RELAY)?;
    expect("status of the forward", status, status::OK)?;
    expect("status of the spin below", inner, status::OK)
}

fn yield_and_resume() -> Outcome {
    for id in [RELAY, PERCPU] {
        let r = direct64(id, [command::YIELD, 0, 0, 0, 0])?;
        expect_at("x0 (FFA_YIELD) of", id, r[0], YIELD)?;
        expect_at("w1 of FFA_YIELD of", id, r[1], id << 16)?;
        expect_error(&direct64(id, [0; 5])?, BUSY)?;
        let (r, _) = finish(r, id)?;
        expect("status of the yield", words(&r, id)?[0], status::OK)?;
    }
    Ok(())
}

/// Whatever instruction the interrupt falls on, in whichever world: the answer is right.
fn at_any_moment() -> Outcome {
    let mut random = Random::new(0xa11);
    let mut interrupted = 0;
    for i in 0..200 {
        let id = if i % 2 == 0 { RELAY } else { PERCPU };
        gic::timer_after(random.below(time::frequency() / 20_000));
        let value = random.draw();
        let r = direct64(id, [command::SPIN, time::frequency() / 50_000, 0, value, 0])?;
        let (r, times) = finish(r, id)?;
        expect("status of the spin", words(&r, id)?[0], status::OK)?;
        interrupted += times;
        gic::timer_after(random.below(time::frequency() / 100_000));
        let r = direct64(ECHO, [1, value, 3, 4, 5])?;
        let (r, _) = finish(r, ECHO)?;
        let want = [1, value.wrapping_add(0x1000), 3, 4, 5];
        expect_that("echo's answer", words(&r, ECHO)? == want, i)?;
    }
    gic::timer_off();
    expect_that("some were interrupted, of 200", interrupted > 0, interrupted)
}
