// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual interrupts that the SPMC itself makes pending in partitions, by the ids that partitions know.

use bl33::cpus;
use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_that};
use bl33::sp::{Conduit, command, raw};

use crate::notify::cleaned;

pub(crate) const CASES: &[Case] = &[
    Case::new("virq::notification_pending", || cleaned(notification_pending)),
    Case::new("virq::notification_of_each_context", || cleaned(notification_of_each_context)),
];

const BIND: u64 = 0x8400_007f;
const UNBIND: u64 = 0x8400_0080;
const SET: u64 = 0x8400_0081;
const GET: u64 = 0x8400_0082;
const FEATURES_NOTIFICATION_PENDING: u64 = 1;
const NOTIFICATION_PENDING: u64 = 5;
/// w2 of NOTIFICATION_GET: those of VMs.
const OF_VMS: u64 = 2;
/// Flag of NOTIFICATION_BIND and SET.
const PER_CONTEXT: u64 = 1;

/// Lets a partition make a call that must succeed; returns w2.
fn succeeds(to: u64, regs: Regs8) -> Result<u64, Failure> {
    let [x0, x1, x2, x3] = raw(to, Conduit::Smc, regs)?;
    expect_success(&[x0, x1, x2, x3, 0, 0, 0, 0])
}

/// How often an interrupt came to a partition that lets interrupts in.
fn count(to: u64, id: u64) -> Result<u64, Failure> {
    Ok(bl33::sp::command(to, command::INTERRUPT_COUNT, [id, 0, 0, 0])?[0])
}

/// Lets a partition ask for its notifications from VMs, in this CPU's context.
fn asked(to: u64, context: u64) -> Result<u64, Failure> {
    let [x0, ..] = raw(to, Conduit::Smc, [GET, context << 16 | to, OF_VMS, 0, 0, 0, 0, 0])?;
    expect("x0 of NOTIFICATION_GET", x0, SUCCESS_32)?;
    Ok(bl33::sp::command(to, command::RESULT, [4, 0, 0, 0])?[0])
}

fn set(to: u64, context: Option<u64>, bits: u64) -> Outcome {
    let flags = context.map_or(0, |n| n << 16 | PER_CONTEXT);
    expect_success(&call_with(SET, &[to, flags, bits])?).map(|_| ())
}

fn notification_pending() -> Outcome {
    let id = succeeds(RELAY, [FEATURES, FEATURES_NOTIFICATION_PENDING, 0, 0, 0, 0, 0, 0])?;
    expect("the id that FFA_FEATURES tells", id, NOTIFICATION_PENDING)?;
    succeeds(RELAY, [BIND, RELAY, 0, 0b11, 0, 0, 0, 0])?;
    bl33::sp::command(RELAY, command::INTERRUPT_MODE, [1, 0, 0, 0])?;
    let before = count(RELAY, NOTIFICATION_PENDING)?;
    for n in 0..10 {
        set(RELAY, None, 0b01)?;
        expect("interrupts for the first signal", count(RELAY, NOTIFICATION_PENDING)?, before + n + 1)?;
        set(RELAY, None, 0b10)?;
        expect("no more until it asks", count(RELAY, NOTIFICATION_PENDING)?, before + n + 1)?;
        expect("what was signalled", asked(RELAY, 0)?, 0b11)?;
    }
    // One that masks interrupts asks without having been interrupted: then there is nothing to be interrupted for.
    bl33::sp::command(RELAY, command::INTERRUPT_MODE, [0; 4])?;
    // Until then it does not keep the Normal world, however often it is signalled.
    for n in 0..100 {
        set(RELAY, None, 0b01)?;
        expect_echo(n)?;
    }
    expect("no interrupt is taken back or taken", count(RELAY, NOTIFICATION_PENDING)?, before + 10)?;
    expect("what was signalled", asked(RELAY, 0)?, 0b01)?;
    bl33::sp::command(RELAY, command::INTERRUPT_MODE, [1, 0, 0, 0])?;
    expect("interrupts in the end", count(RELAY, NOTIFICATION_PENDING)?, before + 10)?;
    bl33::sp::command(RELAY, command::INTERRUPT_MODE, [0; 4])?;
    succeeds(RELAY, [UNBIND, RELAY, 0, 0b11, 0, 0, 0, 0]).map(|_| ())
}

/// The other CPU's context of percpu is interrupted on that CPU.
fn on_cpu_1() -> Outcome {
    bl33::sp::command(PERCPU, command::INTERRUPT_MODE, [1, 0, 0, 0])?;
    let came = count(PERCPU, NOTIFICATION_PENDING)?;
    bl33::sp::command(PERCPU, command::INTERRUPT_MODE, [0; 4])?;
    expect_that("it came", came > 0, came)?;
    expect("what was signalled", asked(PERCPU, 1)?, 0b1)
}

fn notification_of_each_context() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    succeeds(PERCPU, [BIND, PERCPU, PER_CONTEXT, 0b1, 0, 0, 0, 0])?;
    set(PERCPU, Some(1), 0b1)?;
    expect("nothing for this context", asked(PERCPU, 0)?, 0)?;
    cpus::start(1, |_| on_cpu_1())?;
    cpus::join(1, 5000)?;
    succeeds(PERCPU, [UNBIND, PERCPU, 0, 0b1, 0, 0, 0, 0]).map(|_| ())
}
