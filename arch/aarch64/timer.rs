// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generic counter.

/// Reads the physical counter.
pub(crate) fn now() -> u64 {
    mrs!("cntpct_el0")
}

/// Returns the counter's frequency in Hz.
pub(crate) fn hz() -> u64 {
    mrs!("cntfrq_el0")
}
