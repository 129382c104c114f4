// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generic counter, and the Secure EL2 physical timer as the deadline of masked sections.

use spmc::LONGEST_WAIT;

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

/// Makes the timer's interrupt come [`LONGEST_WAIT`] seconds from now on this CPU.
pub(crate) fn start_deadline() {
    // SAFETY: S-EL2's own timer (present where QEMU 9 or later, or FEAT_SEL2 hardware, has S-EL2 at all); its only
    // effect is an interrupt.
    unsafe {
        msr!("S3_4_C14_C5_2", now().wrapping_add(LONGEST_WAIT * hz())); // CNTHPS_CVAL_EL2
        msr!("S3_4_C14_C5_1", ENABLE); // CNTHPS_CTL_EL2
    }
}

/// Stops the timer.
pub(crate) fn stop_deadline() {
    // SAFETY: as above.
    unsafe { msr!("S3_4_C14_C5_1", 0) };
    barrier!("isb");
}
