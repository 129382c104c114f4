// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several CPUs at once.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

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

static STAGE: AtomicU32 = AtomicU32::new(0);

/// Waits until another CPU has come so far.
fn stage(n: u32) -> Outcome {
    expect_that("the other CPU got there, to stage", time::wait_for(10_000, || STAGE.load(Acquire) >= n), u64::from(n))
}

/// While relay runs on another CPU it can neither be asked nor run here; percpu's context there not at all.
fn run_of_a_running_context() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    STAGE.store(0, Release);
    cpus::start(1, |_| {
        STAGE.store(1, Release);
        let spin = time::frequency() / 2;
        let answer = bl33::sp::command(RELAY, command::SPIN, [spin, 0, 0, 0]);
        STAGE.store(2, Release);
        answer.map(|_| ())
    })?;
    let outcome = || -> Outcome {
        stage(1)?;
        // From some moment on relay runs there; it keeps running for half a second.
        let busy = time::wait_for(2000, || smc([DIRECT_REQ_64, RELAY, 0, 0, 0, 0, 0, 0])[2] as u32 as i32 == BUSY);
        expect_that("relay is busy on the other CPU", busy, RELAY)?;
        if STAGE.load(Acquire) == 1 {
            let r = call_with(RUN, &[RELAY << 16])?;
            if STAGE.load(Acquire) == 1 {
                expect_error(&r, BUSY)?;
            }
        }
        let r = call_with(RUN, &[PERCPU << 16 | 1])?;
        expect_that("percpu's context of the other CPU is refused, got w0", error_code(&r).is_some(), r[0])
    }();
    outcome.and(cpus::join(1, 10_000))?;
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
