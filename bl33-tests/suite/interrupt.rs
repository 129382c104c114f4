// SPDX-License-Identifier: MIT OR Apache-2.0
//! Secure interrupts and the virtual interrupts of partitions. The device is the PL031, which both worlds reach: the
//! test raises its line, and the interrupt belongs to relay.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

use bl33::cpus;
use bl33::ffa::*;
use bl33::gic;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::rtc::{self, fire};
use bl33::sp::{Conduit, command, raw, status, words};
use bl33::time;

pub(crate) const CASES: &[Case] = &[
    Case::new("interrupt::paravirtual_calls", paravirtual_calls),
    Case::new("interrupt::paravirtual_edges", paravirtual_edges),
    Case::new("interrupt::to_itself", to_itself),
    Case::new("interrupt::to_a_context_of_another_cpu", to_a_context_of_another_cpu),
    Case::new("interrupt::sgi_while_its_target_runs", || sgi_during(|_| target_runs())),
    Case::new("interrupt::sgi_while_its_target_is_blocked", || sgi_during(|_| target_is_blocked())),
    Case::new("interrupt::sgi_while_its_target_is_preempted", || sgi_during(|_| target_is_preempted())),
    Case::new("interrupt::sgi_of_the_normal_world", sgi_of_the_normal_world),
    Case::new("interrupt::device_in_the_normal_world", device_in_the_normal_world),
    Case::new("interrupt::device_while_its_owner_runs", device_while_its_owner_runs),
    Case::new("interrupt::device_while_another_runs", device_while_another_runs),
    Case::new("interrupt::device_while_its_owner_is_preempted", device_while_its_owner_is_preempted),
    Case::new("interrupt::device_before_deactivate", device_before_deactivate),
];

const ENABLE: u64 = 0xff03;
const GET: u64 = 0xff04;
const DEACTIVATE: u64 = 0xff08;
const RECONFIGURE: u64 = 0xff09;
const SEND_IPI: u64 = 0xff0a;
const NONE: u64 = 0xffff_ffff;
const FAILED: u64 = u64::MAX;
const IPI: u64 = 9;

const RTC_INTERRUPT: u64 = rtc::INTERRUPT;

pub(crate) fn milliseconds(n: u64) -> u64 {
    time::frequency() / 1000 * n
}

/// Enables an interrupt of a partition and lets interrupts in.
pub(crate) fn listen(to: u64, id: u64) -> Outcome {
    let [accepted, ..] = bl33::sp::command(to, command::INTERRUPT_ENABLE, [id, 1, 0, 0])?;
    expect("enable is accepted", accepted, 1)?;
    bl33::sp::command(to, command::INTERRUPT_MODE, [1, 0, 0, 0]).map(|_| ())
}

pub(crate) fn ignore(to: u64, id: u64) -> Outcome {
    bl33::sp::command(to, command::INTERRUPT_MODE, [0; 4])?;
    bl33::sp::command(to, command::INTERRUPT_ENABLE, [id, 0, 0, 0]).map(|_| ())
}

/// How often interrupt `id` came to a partition, and when the last one did.
pub(crate) fn count(to: u64, id: u64) -> Result<(u64, u64), Failure> {
    let [count, _, _, at] = bl33::sp::command(to, command::INTERRUPT_COUNT, [id, 0, 0, 0])?;
    Ok((count, at))
}

fn paravirtual_calls() -> Outcome {
    let hvc = |fid, a, b| Ok(raw(PERCPU, Conduit::Hvc, [fid, a, b, 0, 0, 0, 0, 0])?[0]);
    expect("GET of nothing", hvc(GET, 0, 0)?, NONE)?;
    expect("DEACTIVATE of what is not active", hvc(DEACTIVATE, IPI, IPI)?, FAILED)?;
    expect("SEND_IPI to nobody", hvc(SEND_IPI, 8, 0)?, FAILED)?;
    let [accepted, ..] = bl33::sp::command(PERCPU, command::INTERRUPT_ENABLE, [RTC_INTERRUPT, 1, 0, 0])?;
    expect("ENABLE of another's interrupt", accepted, 0)?;
    let [x0, ..] = raw(PERCPU, Conduit::Smc, [GET, 0, 0, 0, 0, 0, 0, 0])?;
    expect("by SMC it is unknown", x0, FAILED)
}

/// Ids that are nobody's, another partition's, the SPMC's own, special, extended, or of no GIC: none of percpu's.
fn paravirtual_edges() -> Outcome {
    const OWN: u64 = bl33::cards::INTERRUPTS[1];
    const STRANGE: [u64; 27] = [
        0,
        1,
        2,
        6,
        8,
        10,
        15,
        16,
        20,
        27,
        31,
        32,
        33,
        RTC_INTERRUPT,
        36,
        38,
        63,
        64,
        256,
        1019,
        1020,
        1023,
        1056,
        4096,
        8192,
        0xffff_fffe,
        1 << 32,
    ];
    let hvc = |fid, a, b, c| Ok(raw(PERCPU, Conduit::Hvc, [fid, a, b, c, 0, 0, 0, 0])?[0]);
    for id in STRANGE {
        for (fid, b, c) in [(ENABLE, 1, 0), (ENABLE, 0, 1), (DEACTIVATE, id, 0), (DEACTIVATE, OWN, 0)] {
            expect_at("x0 of ENABLE or DEACTIVATE, id", id, hvc(fid, id, b, c)?, FAILED)?;
        }
        for command in [0, 1, 2, 3] {
            expect_at("x0 of RECONFIGURE, id", id, hvc(RECONFIGURE, id, command, 1)?, FAILED)?;
        }
        expect_at("x0 of DEACTIVATE of one's own as another", id, hvc(DEACTIVATE, OWN, id, 0)?, FAILED)?;
    }
    for context in [8, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 1 << 32, u64::MAX] {
        expect_at("x0 of SEND_IPI, context", context, hvc(SEND_IPI, context, 0, 0)?, FAILED)?;
    }
    // Its own: to no CPU, out of the Secure world, by no command.
    for (command, value) in [(0, 8), (0, 0xffff_ffff), (1, 0), (1, 2), (3, 0), (0xffff_ffff, 0)] {
        expect_at("x0 of RECONFIGURE, command", command, hvc(RECONFIGURE, OWN, command, value)?, FAILED)?;
    }
    expect("DEACTIVATE of its own, which is not active", hvc(DEACTIVATE, OWN, OWN, 0)?, FAILED)?;
    expect("GET, whatever is beside it", hvc(GET, u64::MAX, u64::MAX, u64::MAX)?, NONE)?;
    expect_echo(0xed6e)
}

fn to_itself() -> Outcome {
    listen(PERCPU, IPI)?;
    let (before, _) = count(PERCPU, IPI)?;
    for n in 1..=20 {
        bl33::sp::command(PERCPU, command::INTERRUPT_SEND, [0; 4])?;
        expect("interrupts that came", count(PERCPU, IPI)?.0, before + n)?;
    }
    ignore(PERCPU, IPI)
}

static DONE: AtomicBool = AtomicBool::new(false);

fn send_and_see() -> Outcome {
    let (before, _) = count(PERCPU, IPI)?;
    for n in 1..=20 {
        bl33::sp::command(PERCPU, command::INTERRUPT_SEND, [1, 0, 0, 0])?;
        let came = time::wait_for(1000, || count(PERCPU, IPI).is_ok_and(|(c, _)| c == before + n));
        expect_that("the interrupt came", came, n)?;
    }
    Ok(())
}

/// CPU 1 runs the Normal world when an interrupt for its context of percpu is sent by CPU 0's.
fn to_a_context_of_another_cpu() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    cpus::start(1, |_| listen(PERCPU, IPI))?;
    cpus::join(1, 5000)?;
    DONE.store(false, Release);
    cpus::start(1, |_| {
        time::wait_for(20_000, || DONE.load(Acquire));
        Ok(())
    })?;
    let sent = send_and_see();
    DONE.store(true, Release);
    cpus::join(1, 5000)?;
    sent?;
    cpus::start(1, |_| ignore(PERCPU, IPI))?;
    cpus::join(1, 5000)
}

/// What CPU 1's context of percpu did when the SGI was sent: from when to when it may come.
static WINDOW: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn may_come(from: u64, to: u64) -> Outcome {
    WINDOW[0].store(from, Release);
    WINDOW[1].store(to, Release);
    Ok(())
}

fn target_runs() -> Outcome {
    let r = direct64(PERCPU, [command::SPIN, milliseconds(20), 0, 0, 0])?;
    let [outcome, start, end, ..] = words(&r, PERCPU)?;
    expect("status of the spin", outcome, status::OK)?;
    may_come(start, end)
}

fn target_is_blocked() -> Outcome {
    let r = direct64(PERCPU, [command::FORWARD, RELAY, command::SPIN, milliseconds(20), 0])?;
    let [outcome, inner, _, end, _] = words(&r, PERCPU)?;
    expect("status of the forward", outcome, status::OK)?;
    expect("status of the spin", inner, status::OK)?;
    may_come(end, u64::MAX)
}

fn target_is_preempted() -> Outcome {
    gic::timer_after(milliseconds(1));
    let r = direct64(PERCPU, [command::SPIN, milliseconds(2), 0, 0, 0])?;
    gic::timer_off();
    let preempted = r[0] == INTERRUPT;
    time::wait_for(20, || false);
    let resumed = time::now();
    let (r, _) = crate::preempt::finish(r, PERCPU)?;
    expect("status of the spin", words(&r, PERCPU)?[0], status::OK)?;
    // If it was not, the next try is another chance.
    may_come(if preempted { resumed } else { u64::MAX }, u64::MAX)
}

/// CPU 0's context of percpu sends an SGI to CPU 1's, amid what CPU 1 does: it comes once, and when it may. A busy host
/// may let it be sent too early or too late.
fn sgi_during(work: fn(u64) -> Outcome) -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    cpus::start(1, |_| listen(PERCPU, IPI))?;
    cpus::join(1, 5000)?;
    let mut met = false;
    for _ in 0..50 {
        let (before, _) = count(PERCPU, IPI)?;
        cpus::start(1, work)?;
        time::wait_for(10, || false);
        let sent = time::now();
        bl33::sp::command(PERCPU, command::INTERRUPT_SEND, [1, 0, 0, 0])?;
        cpus::join(1, 5000)?;
        if count(PERCPU, IPI)?.0 == before {
            // Sent when its CPU was about to go off, it waits until the context runs again.
            cpus::start(1, |_| direct64(PERCPU, [0; 5]).map(|_| ()))?;
            cpus::join(1, 5000)?;
        }
        let came = time::wait_for(1000, || count(PERCPU, IPI).is_ok_and(|(c, _)| c != before));
        let (now, at) = count(PERCPU, IPI)?;
        expect_that("the interrupt came", came, sent)?;
        expect("interrupts that came", now, before + 1)?;
        let [from, to] = [&WINDOW[0], &WINDOW[1]].map(|at| at.load(Acquire));
        met = sent < at && (from..to).contains(&at);
        if met {
            break;
        }
    }
    expect_that("it came when it may", met, 0)?;
    cpus::start(1, |_| ignore(PERCPU, IPI))?;
    cpus::join(1, 5000)
}

/// The SGIs of the Secure world: nothing comes of them, in neither world.
fn sgi_of_the_normal_world() -> Outcome {
    listen(PERCPU, IPI)?;
    let (before, _) = count(PERCPU, IPI)?;
    for intid in 9..16 {
        let counted = gic::COUNTS[intid as usize].load(Relaxed);
        gic::enable(intid);
        gic::raise(intid);
        time::wait_for(1, || false);
        expect_at(
            "times that it came here, SGI",
            intid.into(),
            gic::COUNTS[intid as usize].load(Relaxed).into(),
            counted.into(),
        )?;
        gic::disable(intid);
    }
    expect("times that one came to percpu", count(PERCPU, IPI)?.0, before)?;
    ignore(PERCPU, IPI)
}

/// Expects the device's interrupt to come to relay within a second; the calls by which it is asked let it in, too.
fn came(before: u64) -> Outcome {
    let came = time::wait_for(1000, || count(RELAY, RTC_INTERRUPT).is_ok_and(|(c, _)| c == before + 1));
    expect_that("the device's interrupt came once", came, before)
}

fn device_in_the_normal_world() -> Outcome {
    listen(RELAY, RTC_INTERRUPT)?;
    for _ in 0..20 {
        let (before, _) = count(RELAY, RTC_INTERRUPT)?;
        let start = time::now();
        fire();
        time::wait_for(2, || false);
        let end = time::now();
        let (now, at) = count(RELAY, RTC_INTERRUPT)?;
        expect("interrupts that came", now, before + 1)?;
        expect_that("it came while the Normal world ran", at >= start && at <= end, at)?;
    }
    expect_echo(0x1e7)
}

/// Before and after [`fire_during`]'s CPU 1 fired.
static FIRED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Fires from CPU 1 while CPU 0, which the interrupt goes to, is in a partition: tries until it fell into the run,
/// whose first and last moment it returns, and how often the device's interrupt had come before.
fn fire_during(to: u64) -> Result<[u64; 3], Failure> {
    for _ in 0..50 {
        let (before, _) = count(RELAY, RTC_INTERRUPT)?;
        cpus::start(1, |_| {
            FIRED[0].store(time::now(), Release);
            fire();
            FIRED[1].store(time::now(), Release);
            Ok(())
        })?;
        let r = direct64(to, [command::SPIN, milliseconds(20), 0, 0, 0])?;
        let [status, start, end, ..] = words(&r, to)?;
        expect("status of the spin", status, status::OK)?;
        cpus::join(1, 5000)?;
        let [from, to] = [&FIRED[0], &FIRED[1]].map(|at| at.load(Acquire));
        if from > start && to + milliseconds(1) < end {
            return Ok([start, end, before]);
        }
        came(before)?;
    }
    Err(Failure::because("CPU 1 was always too early or too late for", to))
}

fn device_while_its_owner_runs() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    // A busy host may hold CPU 0 back from the interrupt until the very end of the run.
    for _ in 0..20 {
        let [start, end, before] = fire_during(RELAY)?;
        let (now, at) = count(RELAY, RTC_INTERRUPT)?;
        expect("interrupts that came", now, before + 1)?;
        if at >= start && at <= end {
            return Ok(());
        }
    }
    Err(Failure::because("the interrupt never came during a run of", RELAY))
}

/// percpu lets other partitions' interrupts through (`other-s-interrupts-action`): relay handles this one between two
/// of its instructions, or after its run where CPU 0 was held back; percpu finishes its work either way.
fn device_while_another_runs() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    let [start, _, before] = fire_during(PERCPU)?;
    came(before)?;
    let (now, at) = count(RELAY, RTC_INTERRUPT)?;
    expect("interrupts that came", now, before + 1)?;
    expect_that("it came after percpu had begun", at >= start, at)?;
    expect_echo(0x1e8)
}

fn device_while_its_owner_is_preempted() -> Outcome {
    let (before, _) = count(RELAY, RTC_INTERRUPT)?;
    for _ in 0..50 {
        gic::timer_after(milliseconds(1));
        let mut r = direct64(RELAY, [command::SPIN, milliseconds(5), 0, 0, 0])?;
        gic::timer_off();
        if r[0] != INTERRUPT {
            continue;
        }
        fire();
        time::wait_for(1, || false);
        expect_error(&direct64(RELAY, [0; 5])?, BUSY)?;
        while r[0] == INTERRUPT {
            r = call_with(RUN, &[r[1]])?;
        }
        expect("status of the spin", words(&r, RELAY)?[0], status::OK)?;
        return came(before);
    }
    Err(Failure::because("no interrupt ended a run of", RELAY))
}

/// The partition does not deactivate: the device's next interrupt waits, those of others do not.
fn device_before_deactivate() -> Outcome {
    const UNMASKED: u64 = 1;
    const KEEP_ACTIVE: u64 = 2;
    bl33::sp::command(RELAY, command::INTERRUPT_MODE, [UNMASKED | KEEP_ACTIVE, 0, 0, 0])?;
    let (before, _) = count(RELAY, RTC_INTERRUPT)?;
    fire();
    came(before)?;
    fire();
    time::wait_for(2, || false);
    expect("the second waits", count(RELAY, RTC_INTERRUPT)?.0, before + 1)?;
    to_itself()?;
    expect_echo(0x2e7)?;
    bl33::sp::command(RELAY, command::INTERRUPT_MODE, [UNMASKED, 0, 0, 0])?;
    let [ended, ..] = bl33::sp::command(RELAY, command::INTERRUPT_DEACTIVATE, [RTC_INTERRUPT, 0, 0, 0])?;
    expect("DEACTIVATE of the first", ended, 1)?;
    came(before + 1)?;
    rtc::quiet();
    ignore(RELAY, RTC_INTERRUPT)
}
