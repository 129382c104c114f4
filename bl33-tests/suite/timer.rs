// SPDX-License-Identifier: MIT OR Apache-2.0
//! The EL1 timers of partitions: they interrupt their context whatever runs when they are due.

use core::sync::atomic::{AtomicU64, Ordering::*};

use bl33::cpus;
use bl33::ffa::*;
use bl33::gic;
use bl33::harness::{Case, Failure, Outcome, expect, expect_that};
use bl33::sp::{command, status, words};
use bl33::time;

use crate::interrupt::{count, ignore, listen, milliseconds};

pub(crate) const CASES: &[Case] = &[
    Case::new("timer::registers", registers),
    Case::new("timer::in_the_normal_world", || in_the_normal_world(PHYSICAL)),
    Case::new("timer::virtual_in_the_normal_world", || in_the_normal_world(VIRTUAL)),
    Case::new("timer::while_it_runs", || while_it_runs(PHYSICAL)),
    Case::new("timer::virtual_while_it_runs", || while_it_runs(VIRTUAL)),
    Case::new("timer::virtual_while_another_runs", || while_another_runs(VIRTUAL)),
    Case::new("timer::both_of_one_context", both_of_one_context),
    Case::new("timer::while_another_runs", || while_another_runs(PHYSICAL)),
    Case::new("timer::while_it_is_preempted", while_it_is_preempted),
    Case::new("timer::masked", masked),
    Case::new("timer::armed_anew", armed_anew),
    Case::new("timer::periodic", periodic),
    Case::new("timer::never_quiet", never_quiet),
    Case::new("timer::cpu_off", cpu_off),
    Case::new("timer::cpu_off_and_on", cpu_off_and_on),
];

/// The virtual interrupt.
const TIMER: u64 = 3;
/// CNTP_CTL_EL0.
const ENABLE: u64 = 1;
const MASK: u64 = 2;
const STATUS: u64 = 4;
/// What the interrupt does to the timer: turns it off, or nothing.
const OFF: u64 = 0;
const LEAVE: u64 = 1;

/// The last word of TIMER_ARM: which timer.
const PHYSICAL: u64 = 0;
const VIRTUAL: u64 = 1;

fn arm(id: u64, ticks: u64, control: u64, then: u64) -> Result<u64, Failure> {
    arm_one(PHYSICAL, id, ticks, control, then)
}

fn arm_one(which: u64, id: u64, ticks: u64, control: u64, then: u64) -> Result<u64, Failure> {
    Ok(bl33::sp::command(id, command::TIMER_ARM, [ticks, control, then, which])?[0])
}

/// Tells whether a timer has an interrupt: the virtual one where it traps (FEAT_ECV).
fn interrupts(which: u64) -> bool {
    which == PHYSICAL || time::has_ecv()
}

/// Lets `ms` milliseconds pass in the Normal world.
fn pass(ms: u64) {
    time::wait_for(ms, || false);
}

/// Waits until the timer has interrupted a partition once more than `before`; returns when it did. A busy host may let
/// it come late, and nothing may lose it.
fn came(id: u64, before: u64, due: u64) -> Result<u64, Failure> {
    let came = time::wait_for(5000, || count(id, TIMER).is_ok_and(|(c, _)| c != before));
    let (now, at) = count(id, TIMER)?;
    expect_that("it came", came, due)?;
    expect("interrupts that came", now, before + 1)?;
    expect_that("it is not early", at >= due, at)?;
    Ok(at)
}

fn registers() -> Outcome {
    for (id, which) in [(RELAY, PHYSICAL), (RELAY, VIRTUAL), (PERCPU, PHYSICAL), (PERCPU, VIRTUAL)] {
        let read = || bl33::sp::command(id, command::TIMER_READ, [which, 0, 0, 0]);
        let at = arm_one(which, id, milliseconds(1000), MASK, OFF)?;
        let [control, compare, value, now] = read()?;
        expect("CTL", control, MASK)?;
        expect("CVAL", compare, at)?;
        expect_that("TVAL is what is left", value <= milliseconds(1000) && value >= at - now, value)?;
        arm_one(which, id, 0, ENABLE | MASK, OFF)?;
        let [control, _, value, _] = read()?;
        expect("CTL of one that is due", control, ENABLE | MASK | STATUS)?;
        expect_that("TVAL is negative", value as u32 as i32 <= 0 && value >> 32 == 0, value)?;
        arm_one(which, id, 0, 0, OFF)?;
        expect("CTL", read()?[0], 0)?;
    }
    Ok(())
}

fn in_the_normal_world(which: u64) -> Outcome {
    for id in [RELAY, PERCPU] {
        listen(id, TIMER)?;
        if !interrupts(which) {
            let (before, _) = count(id, TIMER)?;
            arm_one(which, id, milliseconds(1), ENABLE, OFF)?;
            pass(10);
            arm_one(which, id, 0, 0, OFF)?;
            expect("interrupts that came", count(id, TIMER)?.0, before)?;
            ignore(id, TIMER)?;
            continue;
        }
        let mut in_time = 0;
        for _ in 0..100 {
            let (before, _) = count(id, TIMER)?;
            let due = arm_one(which, id, milliseconds(2), ENABLE, OFF)?;
            pass(10);
            let end = time::now();
            in_time += u64::from(came(id, before, due)? <= end);
            if in_time == 10 {
                break;
            }
        }
        expect("interrupts that came while the Normal world ran", in_time, 10)?;
        ignore(id, TIMER)?;
    }
    expect_echo(0x71e)
}

/// Arms a timer of relay's and spins in `id`; tries until it is due, and comes, within the spin. A busy host may keep the CPU
/// too long, before or after.
fn due_during_a_spin(which: u64, id: u64) -> Outcome {
    if !interrupts(which) {
        return Ok(());
    }
    listen(RELAY, TIMER)?;
    for _ in 0..50 {
        let (before, _) = count(RELAY, TIMER)?;
        let due = arm_one(which, RELAY, milliseconds(5), ENABLE, OFF)?;
        let r = direct64(id, [command::SPIN, milliseconds(20), 0, 0, 0])?;
        let [status, start, end, ..] = words(&r, id)?;
        expect("status of the spin", status, status::OK)?;
        expect_that("it spun to its end", end - start >= milliseconds(20), end - start)?;
        let at = came(RELAY, before, due)?;
        if at >= start && at <= end {
            return ignore(RELAY, TIMER);
        }
    }
    Err(Failure::because("it never came during a run of", id))
}

fn while_it_runs(which: u64) -> Outcome {
    due_during_a_spin(which, RELAY)
}

/// percpu lets other partitions' interrupts through: relay is entered between two of its instructions.
fn while_another_runs(which: u64) -> Outcome {
    due_during_a_spin(which, PERCPU)
}

/// They have one interrupt, which comes for the earlier one and then for the later one, whichever is armed first.
fn both_of_one_context() -> Outcome {
    if !interrupts(VIRTUAL) {
        return Ok(());
    }
    listen(RELAY, TIMER)?;
    for [first, second] in [[PHYSICAL, VIRTUAL], [VIRTUAL, PHYSICAL]] {
        let (before, _) = count(RELAY, TIMER)?;
        let later = arm_one(first, RELAY, milliseconds(1000), ENABLE, OFF)?;
        let due = arm_one(second, RELAY, milliseconds(2), ENABLE, OFF)?;
        came(RELAY, before, due)?;
        came(RELAY, before + 1, later)?;
        // The one that is masked does not stand in the other's way.
        arm_one(first, RELAY, 0, ENABLE | MASK, OFF)?;
        let due = arm_one(second, RELAY, milliseconds(2), ENABLE, OFF)?;
        came(RELAY, before + 2, due)?;
        arm_one(first, RELAY, 0, 0, OFF)?;
    }
    ignore(RELAY, TIMER)
}

fn while_it_is_preempted() -> Outcome {
    listen(RELAY, TIMER)?;
    for _ in 0..50 {
        let (before, _) = count(RELAY, TIMER)?;
        let due = arm(RELAY, milliseconds(6), ENABLE, OFF)?;
        gic::timer_after(milliseconds(1));
        let mut r = direct64(RELAY, [command::SPIN, milliseconds(5), 0, 0, 0])?;
        gic::timer_off();
        let preempted = r[0] == INTERRUPT;
        pass(10);
        while r[0] == INTERRUPT {
            r = call_with(RUN, &[r[1]])?;
        }
        let [status, start, end, ..] = words(&r, RELAY)?;
        expect("status of the spin", status, status::OK)?;
        let at = came(RELAY, before, due)?;
        // Not while it was preempted: when it was resumed.
        if preempted && at >= start && at <= end {
            return ignore(RELAY, TIMER);
        }
    }
    Err(Failure::because("it was never due while it was preempted:", RELAY))
}

fn masked() -> Outcome {
    listen(RELAY, TIMER)?;
    let (before, _) = count(RELAY, TIMER)?;
    for control in [0, MASK, ENABLE | MASK] {
        arm(RELAY, milliseconds(1), control, OFF)?;
        pass(20);
        expect("interrupts that came", count(RELAY, TIMER)?.0, before)?;
    }
    // One that is turned off in time does not come either.
    arm(RELAY, milliseconds(500), ENABLE, OFF)?;
    arm(RELAY, 0, 0, OFF)?;
    pass(600);
    expect("interrupts that came", count(RELAY, TIMER)?.0, before)?;
    // Nor does one that the partition keeps out, until it lets it in.
    bl33::sp::command(RELAY, command::INTERRUPT_ENABLE, [TIMER, 0, 0, 0])?;
    let due = arm(RELAY, milliseconds(1), ENABLE, OFF)?;
    pass(20);
    expect("interrupts that came", count(RELAY, TIMER)?.0, before)?;
    bl33::sp::command(RELAY, command::INTERRUPT_ENABLE, [TIMER, 1, 0, 0])?;
    came(RELAY, before, due)?;
    ignore(RELAY, TIMER)
}

fn armed_anew() -> Outcome {
    listen(RELAY, TIMER)?;
    let (before, _) = count(RELAY, TIMER)?;
    arm(RELAY, milliseconds(60_000), ENABLE, OFF)?;
    let due = arm(RELAY, milliseconds(2), ENABLE, OFF)?;
    came(RELAY, before, due)?;
    // The later one comes, and it alone.
    arm(RELAY, milliseconds(500), ENABLE, OFF)?;
    let due = arm(RELAY, milliseconds(600), ENABLE, OFF)?;
    came(RELAY, before + 1, due)?;
    pass(20);
    expect("interrupts that came", count(RELAY, TIMER)?.0, before + 2)?;
    ignore(RELAY, TIMER)
}

/// Each interrupt moves the timer on; several partitions at once.
fn periodic() -> Outcome {
    let periods = [(RELAY, 4), (PERCPU, 5)];
    let mut before = [0; 2];
    let start = time::now();
    for ((id, ms), before) in periods.iter().zip(&mut before) {
        listen(*id, TIMER)?;
        *before = count(*id, TIMER)?.0;
        arm(*id, milliseconds(*ms), ENABLE, milliseconds(*ms))?;
    }
    let all = || periods.iter().zip(before).all(|((id, _), b)| count(*id, TIMER).is_ok_and(|(c, _)| c >= b + 10));
    expect_that(
        "both come ten times",
        time::wait_for(10_000, || {
            pass(20);
            all()
        }),
        0,
    )?;
    for ((id, ms), before) in periods.iter().zip(before) {
        arm(*id, 0, 0, OFF)?;
        let came = count(*id, TIMER)?.0 - before;
        expect_that("no more often than it was due", came <= (time::now() - start) / milliseconds(*ms), came)?;
        ignore(*id, TIMER)?;
    }
    expect_echo(0x71f)
}

/// A partition that never quiets its timer gets no more interrupts than it may, and the Normal world goes on.
fn never_quiet() -> Outcome {
    listen(RELAY, TIMER)?;
    let (before, _) = count(RELAY, TIMER)?;
    let start = time::now();
    arm(RELAY, 0, ENABLE, LEAVE)?;
    let again = time::wait_for(5000, || {
        pass(5);
        count(RELAY, TIMER).is_ok_and(|(c, _)| c >= before + 10)
    });
    expect_that("it comes again and again", again, before)?;
    for n in 0..20 {
        expect_echo(n)?;
    }
    arm(RELAY, 0, 0, OFF)?;
    let most = (time::now() - start) / milliseconds(1) + 2;
    let (now, _) = count(RELAY, TIMER)?;
    let came = now - before;
    expect_that("but not too often", came <= most, came)?;
    pass(20);
    expect("none once it is off", count(RELAY, TIMER)?.0, now)?;
    ignore(RELAY, TIMER)
}

/// relay's timer is armed on CPU 1, which goes off before it is due: it comes on a CPU that stays.
fn cpu_off() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    listen(RELAY, TIMER)?;
    let (before, _) = count(RELAY, TIMER)?;
    let start = time::now();
    cpus::start(1, |_| arm(RELAY, milliseconds(1000), ENABLE, OFF).map(|_| ()))?;
    cpus::join(1, 5000)?;
    came(RELAY, before, start + milliseconds(1000))?;
    ignore(RELAY, TIMER)
}

static BEFORE: AtomicU64 = AtomicU64::new(0);
static DUE: AtomicU64 = AtomicU64::new(0);

/// Arms a timer of CPU 1's own context and sees that CPU off before it is due; returns how often the timer has come, of
/// all contexts. A busy host may let the CPU go off too late.
fn armed_and_off() -> Result<u64, Failure> {
    for _ in 0..10 {
        cpus::start(1, |_| {
            listen(PERCPU, TIMER)?;
            DUE.store(arm(PERCPU, milliseconds(500), ENABLE, OFF)?, Release);
            Ok(())
        })?;
        cpus::join(1, 5000)?;
        let (before, _) = count(PERCPU, TIMER)?;
        if time::now() < DUE.load(Acquire) {
            return Ok(before);
        }
    }
    Err(Failure::because("CPU 1 never went off in time for", PERCPU))
}

/// A timer of CPU 1's own context waits for its CPU, which comes on again after it is due.
fn cpu_off_and_on() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    let before = armed_and_off()?;
    pass(600);
    expect("none while its CPU is off", count(PERCPU, TIMER)?.0, before)?;
    BEFORE.store(before, Release);
    cpus::start(1, |_| {
        came(PERCPU, BEFORE.load(Acquire), DUE.load(Acquire))?;
        ignore(PERCPU, TIMER)
    })?;
    cpus::join(1, 10_000)?;
    expect_echo(0x720)
}
