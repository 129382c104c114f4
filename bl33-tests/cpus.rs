// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other CPUs: each job is a whole life of a CPU, from PSCI CPU_ON to CPU_OFF.
//!
//! Between the cases they are on and sleep, until a case starts them. TF-A waits in WFE on a CPU that is off, which to
//! QEMU is a busy loop: it would take most of the host's time from the CPU that works.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};

use crate::harness::{Failure, Outcome, expect_at};
use crate::{gic, psci, sysreg, time};

/// The most CPUs that the image has stacks for.
pub const MAX: usize = 8;

/// What a CPU does with its life; it gets its number (0 is the boot CPU).
pub type Job = fn(cpu: u64) -> Outcome;

const IDLE: u32 = 0;
const STARTED: u32 = 1;
const PASSED: u32 = 2;
const FAILED: u32 = 3;

struct Slot {
    state: AtomicU32,
    job: AtomicU64,
    asleep: AtomicBool,
    failure: spin_cell::FailureCell,
}

static SLOTS: [Slot; MAX] = [const {
    Slot {
        state: AtomicU32::new(IDLE),
        job: AtomicU64::new(0),
        asleep: AtomicBool::new(false),
        failure: spin_cell::FailureCell::new(),
    }
}; MAX];

/// Hands one failure from the CPU that met it to the boot CPU.
mod spin_cell {
    use super::*;
    use core::cell::UnsafeCell;

    pub(super) struct FailureCell(UnsafeCell<Option<Failure>>);

    // SAFETY: the slot's state hands it over: its CPU writes before it stores FAILED (release), the boot CPU reads
    // after it loaded FAILED (acquire), and a CPU is not started again before that.
    unsafe impl Sync for FailureCell {}

    impl FailureCell {
        pub(super) const fn new() -> Self {
            Self(UnsafeCell::new(None))
        }
        pub(super) fn set(&self, f: Failure) {
            // SAFETY: see the `Sync` above.
            unsafe { *self.0.get() = Some(f) }
        }
        pub(super) fn get(&self) -> Option<Failure> {
            // SAFETY: see the `Sync` above.
            unsafe { *self.0.get() }
        }
    }
}

unsafe extern "C" {
    fn secondary_entry();
}

/// Returns how many CPUs the machine has (the GIC has a redistributor for each), at most [`MAX`].
pub fn count() -> usize {
    (0..MAX).find(|&n| gic::redistributor(n).1).map_or(MAX, |last| last + 1)
}

/// Lets the CPUs that are off sleep instead, until [`start`]. One that cannot be started stays as it is: the case that
/// needs it says so.
pub(crate) fn sleep() {
    for (n, slot) in SLOTS.iter().enumerate().take(count()).skip(1) {
        if !slot.asleep.swap(true, AcqRel) && switch_on(n, slot, asleep).is_err() {
            slot.asleep.store(false, Release);
        }
    }
}

/// The job of a CPU that no case has started.
fn asleep(cpu: u64) -> Outcome {
    gic::sleep_while(|| SLOTS.get(cpu as usize).is_some_and(|slot| slot.asleep.load(Acquire)));
    Ok(())
}

/// Starts CPU `n` (not 0) on a job.
pub fn start(n: usize, job: Job) -> Outcome {
    let Some(slot) = SLOTS.get(n) else { return Err(Failure::because("no such CPU", n as u64)) };
    if slot.asleep.swap(false, AcqRel) {
        gic::wake(n);
        went_off(n)?;
    }
    switch_on(n, slot, job)
}

fn switch_on(n: usize, slot: &Slot, job: Job) -> Outcome {
    slot.job.store(job as usize as u64, Relaxed);
    slot.state.store(IDLE, Release);
    let (mpidr, _) = gic::redistributor(n);
    let status = psci::cpu_on(mpidr, secondary_entry as *const () as usize as u64, n as u64);
    expect_at("PSCI CPU_ON of CPU", n as u64, status as u32 as u64, 0)
}

/// Waits until CPU `n` has done its job and is off; returns the job's outcome.
pub fn join(n: usize, ms: u64) -> Outcome {
    let Some(slot) = SLOTS.get(n) else { return Err(Failure::because("no such CPU", n as u64)) };
    let done = || slot.state.load(Acquire) >= PASSED;
    if !time::wait_for(ms, done) {
        let state = slot.state.load(Acquire);
        let what = if state == IDLE { "CPU never came up:" } else { "CPU did not finish its job:" };
        return Err(Failure::because(what, n as u64));
    }
    went_off(n)?;
    match slot.failure.get() {
        Some(f) if slot.state.load(Acquire) == FAILED => Err(f),
        _ => Ok(()),
    }
}

fn went_off(n: usize) -> Outcome {
    let (mpidr, _) = gic::redistributor(n);
    let off = time::wait_for(2000, || psci::affinity_info(mpidr) == psci::OFF);
    if off { Ok(()) } else { Err(Failure::because("CPU did not go off:", n as u64)) }
}

/// Runs a job on the first `n` CPUs at once, the boot CPU among them, and waits for all of them.
pub fn on_all(n: usize, ms: u64, job: Job) -> Outcome {
    for cpu in 1..n {
        start(cpu, job)?;
    }
    let mine = job(0);
    // Every CPU is waited for, whatever the first failure was.
    let mut others = Ok(());
    for cpu in 1..n {
        others = others.and(join(cpu, ms));
    }
    mine.and(others)
}

/// Waits until `n` CPUs have reached the same barrier; `barrier` counts from 0 and is used once.
pub fn meet(barrier: &AtomicU32, n: u32) -> Outcome {
    barrier.fetch_add(1, AcqRel);
    if time::wait_for(5000, || barrier.load(Acquire) >= n) {
        Ok(())
    } else {
        Err(Failure::because("CPUs did not meet; came:", u64::from(barrier.load(Acquire))))
    }
}

/// Continues from `boot.S` on a CPU that was started with [`start`].
#[unsafe(no_mangle)]
extern "C" fn bl33_secondary(n: u64) -> ! {
    gic::init_cpu();
    if let Some(slot) = SLOTS.get(n as usize) {
        slot.state.store(STARTED, Release);
        // SAFETY: only `start` writes it, from a `Job`, before this CPU runs.
        let job: Job = unsafe { core::mem::transmute::<usize, Job>(slot.job.load(Acquire) as usize) };
        match job(sysreg::cpu()) {
            Ok(()) => slot.state.store(PASSED, Release),
            Err(f) => {
                slot.failure.set(f);
                slot.state.store(FAILED, Release);
            }
        }
    }
    psci::cpu_off();
    // PSCI refused; the boot CPU sees that this CPU stays on.
    loop {
        core::hint::spin_loop();
    }
}
