// SPDX-License-Identifier: MIT OR Apache-2.0
//! The EL1 physical timer of a context. Its interrupt is the virtual one with the id
//! [`interrupt::VIRTUAL_TIMER`](crate::interrupt::VIRTUAL_TIMER), which is to be enabled first.

use core::arch::asm;

/// CNTP_CTL_EL0.ENABLE.
pub const ENABLE: u64 = 1 << 0;
/// CNTP_CTL_EL0.IMASK: no interrupt.
pub const MASK: u64 = 1 << 1;
/// CNTP_CTL_EL0.ISTATUS: its time has come.
pub const STATUS: u64 = 1 << 2;

macro_rules! read {
    ($register:literal) => {{
        let value;
        // SAFETY: reading a timer has no effect on memory.
        unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}

macro_rules! write {
    ($register:literal, $value:expr) => {
        // SAFETY: the interrupt that comes of it preserves what it interrupts.
        unsafe { asm!(concat!("msr ", $register, ", {}"), "isb", in(reg) $value, options(nostack, preserves_flags)) }
    };
}

/// Reads CNTP_CTL_EL0.
pub fn control() -> u64 {
    read!("cntp_ctl_el0")
}

/// Writes CNTP_CTL_EL0.
pub fn set_control(value: u64) {
    write!("cntp_ctl_el0", value);
}

/// Reads CNTP_CVAL_EL0: when its time comes.
pub fn compare() -> u64 {
    read!("cntp_cval_el0")
}

/// Writes CNTP_CVAL_EL0.
pub fn set_compare(at: u64) {
    write!("cntp_cval_el0", at);
}

/// Reads CNTP_TVAL_EL0: the ticks until then, 32 bits with a sign.
pub fn value() -> u64 {
    read!("cntp_tval_el0")
}
