// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several CPUs at once.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};

use bl33::cpus;
use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::mem::{RX, TX};
use bl33::mode;
use bl33::sp::{command, status};
use bl33::time::{self, Random};

pub(crate) const CASES: &[Case] = &[
    Case::new("smp::every_cpu_reaches_echo", every_cpu_reaches_echo),
    Case::new("smp::one_partition_from_two_cpus", one_partition_from_two_cpus),
    Case::new("smp::context_per_cpu", context_per_cpu),
    Case::new("smp::all_cpus_all_partitions", all_cpus_all_partitions),
    Case::new("smp::calls_without_a_partition", calls_without_a_partition),
    Case::new("smp::registers_on_every_cpu", registers_on_every_cpu),
    Case::new("smp::run_of_a_running_context", run_of_a_running_context),
    Case::new("smp::preempted_here_resumed_there", preempted_here_resumed_there),
    Case::new("smp::version_on_every_cpu", version_on_every_cpu),
    Case::new("smp::buffers_from_all_cpus", buffers_from_all_cpus),
];

/// How often a CPU asks again before a partition counts as stuck.
const PATIENCE: u32 = 1_000_000;

/// Asks echo until it is not busy with another CPU, and checks the answer.
pub(crate) fn echo_in_turn(value: u64) -> Result<u32, Failure> {
    for busy in 0..PATIENCE {
        let r = direct64(ECHO, [!value, value, value << 7, value >> 3, 5])?;
        if error_code(&r) == Some(BUSY) {
            expect_error(&r, BUSY)?;
            continue;
        }
        expect("x0 (DIRECT_RESP64)", r[0], DIRECT_RESP_64)?;
        expect("x1", r[1], ECHO << 16)?;
        let want = [0, !value, value.wrapping_add(0x1000), value << 7, value >> 3, 5];
        for (x, want) in want.into_iter().enumerate() {
            expect_at("x", x as u64 + 2, r[x + 2], want)?;
        }
        return Ok(busy);
    }
    Err(Failure::because("echo stayed busy; value", value))
}

fn every_cpu_reaches_echo() -> Outcome {
    // One after the other: nobody may be busy.
    expect_echo(0)?;
    for cpu in 1..cpus::count() {
        cpus::start(cpu, |cpu| expect_echo(cpu << 32 | 0xbbbb))?;
        cpus::join(cpu, 5000)?;
    }
    Ok(())
}

static MEETING: AtomicU32 = AtomicU32::new(0);
static BUSY_SEEN: AtomicU64 = AtomicU64::new(0);

fn one_partition_from_two_cpus() -> Outcome {
    let n = cpus::count().min(2);
    MEETING.store(0, Release);
    BUSY_SEEN.store(0, Release);
    cpus::on_all(n, 15_000, |cpu| {
        cpus::meet(&MEETING, cpus::count().min(2) as u32)?;
        let mut random = Random::new(0x2c9 + cpu);
        for _ in 0..mode::rounds(200, 1000, 1000) {
            let busy = echo_in_turn(random.draw())?;
            BUSY_SEEN.fetch_add(u64::from(busy), Relaxed);
        }
        Ok(())
    })?;
    expect_echo(1)
}

fn context_per_cpu() -> Outcome {
    MEETING.store(0, Release);
    cpus::on_all(cpus::count(), 15_000, |cpu| {
        cpus::meet(&MEETING, cpus::count() as u32)?;
        for _ in 0..200 {
            // A context each: nobody is ever busy.
            let r = direct64(PERCPU, [command::ECHO, cpu, 0, 0, 0])?;
            expect_at("x0 (DIRECT_RESP64) on CPU", cpu, r[0], DIRECT_RESP_64)?;
            expect_at("x1 on CPU", cpu, r[1], PERCPU << 16)?;
            let [_, _, context, _] = bl33::sp::command(PERCPU, command::INFO, [0; 4])?;
            expect("the context is the CPU's", context, cpu)?;
        }
        Ok(())
    })
}

fn all_cpus_all_partitions() -> Outcome {
    MEETING.store(0, Release);
    cpus::on_all(cpus::count(), if mode::long() { 200_000 } else { 15_000 }, |cpu| {
        cpus::meet(&MEETING, cpus::count() as u32)?;
        let mut random = Random::new(0xa11 + cpu);
        for _ in 0..mode::rounds(200, 1000, 100_000) {
            match random.below(3) {
                0 => {
                    echo_in_turn(random.draw())?;
                }
                1 => answered(RELAY, random.draw())?,
                _ => answered(PERCPU, random.draw())?,
            }
        }
        Ok(())
    })?;
    expect_echo(2)
}

/// Asks a partition that serves commands until it is not busy with another CPU, and checks the answer.
fn answered(id: u64, value: u64) -> Outcome {
    for _ in 0..PATIENCE {
        let r = direct64(id, [command::ECHO, value, !value, value << 9, 3])?;
        if error_code(&r) == Some(BUSY) && id == RELAY {
            continue;
        }
        let want = [status::OK, value.wrapping_add(0x1000), !value, value << 9, 3];
        for (word, (got, want)) in bl33::sp::words(&r, id)?.into_iter().zip(want).enumerate() {
            expect_at("word", word as u64, got, want)?;
        }
        return Ok(());
    }
    Err(Failure::because("partition stayed busy:", id))
}

/// The SPMC's own answers, from all CPUs at once.
fn calls_without_a_partition() -> Outcome {
    MEETING.store(0, Release);
    cpus::on_all(cpus::count(), 15_000, |_| {
        cpus::meet(&MEETING, cpus::count() as u32)?;
        for _ in 0..mode::rounds(100, 500, 500) {
            expect_success(&call_with(FEATURES, &[DIRECT_REQ_64])?)?;
            expect_error(&call_with(DIRECT_REQ_64, &[0x9abc])?, INVALID_PARAMETERS)?;
            let r = call_with(PARTITION_INFO_GET, &[0, 0, 0, 0, 1])?;
            let count = expect_success(&r)?;
            expect_that("at least three partitions, got", count >= 3, count)?;
        }
        Ok(())
    })
}

fn registers_on_every_cpu() -> Outcome {
    MEETING.store(0, Release);
    cpus::on_all(cpus::count(), 15_000, |cpu| {
        cpus::meet(&MEETING, cpus::count() as u32)?;
        crate::regs::patterns_on_this_cpu(cpu)
    })
}

static SEEN: AtomicBool = AtomicBool::new(false);

/// Keeps relay running on this CPU until the boot CPU has seen it, or has given up. Requests of the boot CPU come in
/// between, and a busy host may let that CPU sleep through a whole run: one run alone proves nothing.
fn keep_relay_running() -> Outcome {
    while !SEEN.load(Acquire) {
        let r = direct64(RELAY, [command::SPIN, time::frequency() / 10, 0, 0, 0])?;
        match error_code(&r) {
            Some(_) => expect_error(&r, BUSY)?,
            None => expect("status of the spin", bl33::sp::words(&r, RELAY)?[0], status::OK)?,
        }
    }
    Ok(())
}

/// Makes a call again and again until it is answered with BUSY. Whenever relay waits it may be answered with `waiting`
/// instead, and with nothing else.
fn expect_busy(fid: u64, args: &[u64], waiting: u64) -> Outcome {
    let end = time::now() + 10 * time::frequency();
    while time::now() < end {
        let r = call_with(fid, args)?;
        if error_code(&r).is_some() {
            return expect_error(&r, BUSY);
        }
        expect("x0 while relay waits", r[0], waiting)?;
    }
    Err(Failure::because("relay never ran on the other CPU at a call of", fid))
}

/// While relay runs on another CPU it can neither be asked nor run here; percpu's context there not at all.
fn run_of_a_running_context() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    SEEN.store(false, Release);
    cpus::start(1, |_| keep_relay_running())?;
    let outcome = || -> Outcome {
        expect_busy(DIRECT_REQ_64, &[RELAY], DIRECT_RESP_64)?;
        expect_busy(RUN, &[RELAY << 16], MSG_WAIT)?;
        expect_error(&call_with(RUN, &[PERCPU << 16 | 1])?, DENIED)
    }();
    SEEN.store(true, Release);
    cpus::join(1, 10_000).and(outcome)?;
    answered(RELAY, 1)
}

/// relay migrates: interrupted on one CPU, it goes on where FFA_RUN says so.
fn preempted_here_resumed_there() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    crate::preempt::interrupted_spin(RELAY)?;
    cpus::start(1, |_| {
        let r = call_with(RUN, &[RELAY << 16])?;
        let (r, _) = crate::preempt::finish(r, RELAY)?;
        expect("status of the spin", bl33::sp::words(&r, RELAY)?[0], status::OK)
    })?;
    cpus::join(1, 10_000)?;
    answered(RELAY, 2)
}

/// A hypervisor negotiates on whichever CPU it boots, and may ask again on the others.
fn version_on_every_cpu() -> Outcome {
    cpus::on_all(cpus::count(), 5000, |cpu| {
        expect_at("FFA_VERSION on CPU", cpu, smc([VERSION, 0x1_0002, 0, 0, 0, 0, 0, 0])[0], 0x1_0002)
    })
}

/// Mapping, listing, releasing and unmapping race; each call has an answer that some order explains, and in the end
/// the buffers work.
fn buffers_from_all_cpus() -> Outcome {
    MEETING.store(0, Release);
    cpus::on_all(cpus::count(), 15_000, |cpu| {
        cpus::meet(&MEETING, cpus::count() as u32)?;
        let mut random = Random::new(0xb0f + cpu);
        for _ in 0..mode::rounds(200, 1000, 1000) {
            let (fid, args, allowed): (u64, &[u64], &[i32]) = match random.below(4) {
                0 => (RXTX_MAP_64, &[TX, RX, 1], &[DENIED, BUSY]),
                1 => (RXTX_UNMAP, &[], &[INVALID_PARAMETERS, BUSY, DENIED]),
                2 => (PARTITION_INFO_GET, &[], &[BUSY]),
                _ => (RX_RELEASE, &[], &[DENIED, INVALID_PARAMETERS, BUSY]),
            };
            let r = call_with(fid, args)?;
            match error_code(&r) {
                None => expect_at("x0 (FFA_SUCCESS) of id", fid, r[0], SUCCESS_32)?,
                Some(code) => expect_that("an error that a race explains; code", allowed.contains(&code), r[2])
                    .map_err(|f| f.at(fid))?,
            }
        }
        Ok(())
    })?;
    // Whatever state that left: away with it, and the usual round works.
    call_with(RXTX_UNMAP, &[])?;
    crate::rxtx::map()?;
    expect_success(&call_with(PARTITION_INFO_GET, &[])?)?;
    expect_success(&call_with(RX_RELEASE, &[])?)?;
    crate::rxtx::unmap()
}
