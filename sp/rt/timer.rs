// SPDX-License-Identifier: MIT OR Apache-2.0
//! The EL1 timers of a context. Both have the virtual interrupt
//! [`interrupt::VIRTUAL_TIMER`](crate::interrupt::VIRTUAL_TIMER), which is to be enabled first.

use core::arch::asm;

/// CNTP_CTL_EL0.ENABLE, and the same of CNTV_CTL_EL0.
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

/// Names a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The EL1 physical timer, CNTP_*_EL0.
    Physical,
    /// The EL1 virtual timer, CNTV_*_EL0: without an interrupt where the CPU lacks FEAT_ECV.
    Virtual,
}

impl Timer {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Physical, Self::Virtual];

    /// Reads its control register.
    pub fn control(self) -> u64 {
        match self {
            Self::Physical => read!("cntp_ctl_el0"),
            Self::Virtual => read!("cntv_ctl_el0"),
        }
    }

    /// Writes its control register.
    pub fn set_control(self, value: u64) {
        match self {
            Self::Physical => write!("cntp_ctl_el0", value),
            Self::Virtual => write!("cntv_ctl_el0", value),
        }
    }

    /// Reads its compare value: when its time comes.
    pub fn compare(self) -> u64 {
        match self {
            Self::Physical => read!("cntp_cval_el0"),
            Self::Virtual => read!("cntv_cval_el0"),
        }
    }

    /// Writes its compare value.
    pub fn set_compare(self, at: u64) {
        match self {
            Self::Physical => write!("cntp_cval_el0", at),
            Self::Virtual => write!("cntv_cval_el0", at),
        }
    }

    /// Reads its timer value: the ticks until its time comes, 32 bits with a sign.
    pub fn value(self) -> u64 {
        match self {
            Self::Physical => read!("cntp_tval_el0"),
            Self::Virtual => read!("cntv_tval_el0"),
        }
    }

    /// Tells whether it is what the interrupt came for.
    pub fn is_due(self) -> bool {
        self.control() == ENABLE | STATUS
    }
}
