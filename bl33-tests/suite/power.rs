// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUs that go off and come on again.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect, expect_that};
use bl33::{cpus, gic, mode, psci};

use crate::smp::echo_in_turn;

pub(crate) const CASES: &[Case] = &[
    Case::new("power::cpu_on_twice", cpu_on_twice),
    Case::new("power::off_and_on_again", off_and_on_again),
    Case::new("power::off_and_on_under_load", off_and_on_under_load),
    Case::new("power::off_with_a_preempted_context", off_with_a_preempted_context),
];

fn cycles() -> u64 {
    mode::rounds(2, 8, 300)
}

static STAY: AtomicU32 = AtomicU32::new(0);

/// Whether there is a second CPU; with one alone these cases have nothing to switch.
fn second_cpu() -> bool {
    cpus::count() > 1
}

fn cpu_on_twice() -> Outcome {
    const ALREADY_ON: i32 = -4;
    if !second_cpu() {
        return Ok(());
    }
    STAY.store(1, Release);
    cpus::start(1, |_| {
        while STAY.load(Acquire) == 1 {
            core::hint::spin_loop();
        }
        expect_echo(1)
    })?;
    let (mpidr, _) = gic::redistributor(1);
    let on = bl33::time::wait_for(2000, || psci::affinity_info(mpidr) == psci::ON);
    let status = psci::cpu_on(mpidr, 0x6000_0000, 0);
    STAY.store(0, Release);
    cpus::join(1, 5000)?;
    expect_that("the CPU is on", on, 1)?;
    expect("CPU_ON of a CPU that is on", status as u32 as u64, ALREADY_ON as u32 as u64)
}

fn off_and_on_again() -> Outcome {
    for _ in 0..cycles() {
        for cpu in 1..cpus::count() {
            cpus::start(cpu, |cpu| {
                expect_echo(cpu)?;
                let r = direct64(PERCPU, [0; 5])?;
                expect("x0 (DIRECT_RESP64)", r[0], DIRECT_RESP_64)
            })?;
            cpus::join(cpu, 5000)?;
        }
    }
    expect_echo(3)
}

static CALLS: AtomicU64 = AtomicU64::new(0);

/// CPU 1 keeps calling while the others go off and on.
fn off_and_on_under_load() -> Outcome {
    if !second_cpu() {
        return Ok(());
    }
    STAY.store(1, Release);
    CALLS.store(0, Release);
    cpus::start(1, |_| {
        while STAY.load(Acquire) == 1 {
            echo_in_turn(CALLS.fetch_add(1, Relaxed))?;
        }
        Ok(())
    })?;
    let loaded = bl33::time::wait_for(5000, || CALLS.load(Acquire) > 0);
    let mut result = expect_that("the loaded CPU makes calls", loaded, 1);
    for _ in 0..cycles() {
        for cpu in 2..cpus::count() {
            result = result.and_then(|()| cpus::start(cpu, |cpu| echo_in_turn(cpu).map(|_| ())));
            result = result.and_then(|()| cpus::join(cpu, 5000));
        }
        result = result.and_then(|()| echo_in_turn(4).map(|_| ()));
    }
    STAY.store(0, Release);
    result.and(cpus::join(1, 5000))
}

/// A CPU goes off while a context of its own is preempted. Back on, the context either goes on or is refused, and
/// nothing else is the worse for it.
fn off_with_a_preempted_context() -> Outcome {
    if !second_cpu() {
        return Ok(());
    }
    for _ in 0..3 {
        cpus::start(1, |_| crate::preempt::interrupted_spin(PERCPU).map(|_| ()))?;
        cpus::join(1, 10_000)?;
        cpus::start(1, |_| {
            let r = call_with(RUN, &[PERCPU << 16 | 1])?;
            let (r, _) = crate::preempt::finish(r, PERCPU)?;
            match error_code(&r) {
                Some(_) => Ok(()),
                None => expect("x0 (DIRECT_RESP64)", r[0], DIRECT_RESP_64),
            }
        })?;
        cpus::join(1, 10_000)?;
        let r = direct64(PERCPU, [0; 5])?;
        expect("x0 (DIRECT_RESP64) of percpu here", r[0], DIRECT_RESP_64)?;
        cpus::start(1, |_| {
            let r = direct64(PERCPU, [0; 5])?;
            expect("x0 (DIRECT_RESP64) of percpu there", r[0], DIRECT_RESP_64)
        })?;
        cpus::join(1, 10_000)?;
    }
    expect_echo(5)
}
