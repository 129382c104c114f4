// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partitions that die: their caller is told, everybody else goes on. A stopped partition stays so, hence a boot of its
//! own for every pair of deaths (`--only death_1` and so on).

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect, expect_at, expect_that};
use bl33::sp::{command, death, status, try_command, words};
use bl33::{gic, time};

pub(crate) const CASES: &[Case] = &[
    Case::new("death_1::read_of_the_spmc_then_stack_overflow", || both(death::STAGE2_FAULT, death::STACK_OVERFLOW))
        .asked(),
    Case::new("death_2::panic_then_abort", || both(death::PANIC, death::FFA_ABORT)).asked(),
    Case::new("death_3::undefined_then_fetch_from_the_spmc", || both(death::UNDEFINED, death::STAGE2_FETCH)).asked(),
    Case::new("death_4::unmapped_then_breakpoint", || both(death::STAGE1_FAULT, death::BREAKPOINT)).asked(),
    Case::new("death_5::one_that_spins_for_ever", one_that_spins_for_ever).asked(),
];

/// percpu dies of the one, relay, which waits for percpu at that moment or is called directly, of the other.
fn both(first: u64, second: u64) -> Outcome {
    // In a chain: relay learns of percpu's death, and lives.
    let [outcome, code, ..] = try_command(RELAY, command::FORWARD, [PERCPU, command::DIE, first, 0])?;
    expect("status of the request to the dying", outcome, status::FFA_ERROR)?;
    expect("its code", code as u32 as u64, ABORTED as u32 as u64)?;
    dead(PERCPU)?;
    let [outcome, ..] = try_command(RELAY, command::FORWARD, [PERCPU, command::ECHO, 0, 0])?;
    expect("status of a request to the dead", outcome, status::FFA_ERROR)?;
    bl33::sp::command(RELAY, command::ECHO, [0; 4])?;
    expect_echo(1)?;
    // Asked by the Normal world itself.
    expect_error(&direct64(RELAY, [command::DIE, second, 0, 0, 0])?, ABORTED)?;
    dead(RELAY)?;
    dead(PERCPU)?;
    for i in 0..100 {
        expect_echo(i)?;
    }
    Ok(())
}

/// Neither requests nor cycles reach it.
fn dead(id: u64) -> Outcome {
    for r in [direct64(id, [0; 5])?, direct32(id, [0; 5])?, call_with(RUN, &[id << 16])?] {
        let code = error_code(&r);
        expect_at("x0 (FFA_ERROR) from the dead", id, r[0], ERROR)?;
        expect_that("a code that says so, got", matches!(code, Some(ABORTED | DENIED | INVALID_PARAMETERS)), r[2])?;
    }
    Ok(())
}

/// It never answers, and it holds up nobody: interrupts of the Normal world get through.
fn one_that_spins_for_ever() -> Outcome {
    // Again and again, so that one that comes before the call does no harm.
    fn soon(_: u32) {
        gic::timer_after(time::frequency() / 200);
    }
    gic::set_handler(Some(soon));
    soon(0);
    let outcome = hangs();
    gic::set_handler(None);
    gic::timer_off();
    outcome
}

fn hangs() -> Outcome {
    let mut r = direct64(RELAY, [command::HANG, 0, 0, 0, 0])?;
    for i in 0..10 {
        expect_at("x0 (FFA_INTERRUPT) of round", i, r[0], INTERRUPT)?;
        expect_at("w1 (relay) of round", i, r[1], RELAY << 16)?;
        expect_error(&direct64(RELAY, [0; 5])?, BUSY)?;
        // echo may be interrupted now and then, too.
        let r2 = direct64(ECHO, [1, i, 3, 4, 5])?;
        let (r2, _) = crate::preempt::finish(r2, ECHO)?;
        expect_that("echo answers", words(&r2, ECHO)? == [1, i + 0x1000, 3, 4, 5], i)?;
        r = call_with(RUN, &[r[1]])?;
    }
    Ok(())
}
