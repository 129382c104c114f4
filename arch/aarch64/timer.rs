// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generic counter, and the Secure EL2 physical timer: the deadline of masked sections, and what the timers of
//! partitions are emulated on. It is set to whichever of the two comes first.

use spmc::{DEADLINE, LONGEST_WAIT, WAKE};

use crate::percpu::{self, PerCpu};

/// Reads the physical counter.
pub(crate) fn now() -> u64 {
    mrs!("cntpct_el0")
}

/// Returns the counter's frequency in Hz.
pub(crate) fn hz() -> u64 {
    mrs!("cntfrq_el0")
}

/// CNTHPS_CTL_EL2.ENABLE, not masked.
const ENABLE: u64 = 1;

/// A time that does not come; zero, so that a CPU's block is.
pub(crate) const NEVER: u64 = 0;

/// Sets the timer for what is to come first.
#[inline]
fn set(cpu: &PerCpu) {
    // One less of both, so that NEVER is the last of all.
    let before = cpu.deadline.get().wrapping_sub(1).min(cpu.wake.get().wrapping_sub(1));
    // SAFETY: S-EL2's own timer (present where QEMU 9 or later, or FEAT_SEL2 hardware, has S-EL2 at all); its only
    // effect is an interrupt.
    unsafe {
        if before == u64::MAX {
            msr!("S3_4_C14_C5_1", 0); // CNTHPS_CTL_EL2
        } else {
            msr!("S3_4_C14_C5_2", before + 1); // CNTHPS_CVAL_EL2
            msr!("S3_4_C14_C5_1", ENABLE);
        }
    }
}

/// Makes the deadline come [`LONGEST_WAIT`] seconds from now on this CPU.
pub(crate) fn start_deadline() {
    let cpu = percpu::this();
    cpu.deadline.set(now().wrapping_add(LONGEST_WAIT * hz()));
    set(cpu);
}

/// Takes the deadline back.
pub(crate) fn stop_deadline() {
    let cpu = percpu::this();
    cpu.deadline.set(NEVER);
    set(cpu);
    barrier!("isb");
}

/// Makes a partition's timer wake this CPU at a time, or at none.
pub(crate) fn set_wake(at: Option<u64>) {
    let cpu = percpu::this();
    cpu.wake.set(at.map_or(NEVER, |at| at.max(1)));
    set(cpu);
    barrier!("isb");
}

/// Stops the timer.
pub(crate) fn stop() {
    percpu::this().wake.set(NEVER);
    stop_deadline();
}

/// Tells what the timer's interrupt came for; it does not come for that again.
pub(crate) fn take() -> u32 {
    let cpu = percpu::this();
    let deadline = cpu.deadline.get();
    let late = deadline != NEVER && deadline <= now();
    if late {
        cpu.deadline.set(NEVER);
    } else {
        // Also if neither is due any more: whoever looks at the timers then finds that.
        cpu.wake.set(NEVER);
    }
    set(cpu);
    barrier!("isb");
    if late { DEADLINE } else { WAKE }
}
