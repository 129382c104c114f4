// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generic counter.

use core::arch::asm;

use crate::sysreg::read_sysreg;

/// Reads the physical counter, after everything before it has completed.
#[inline(always)]
pub fn now() -> u64 {
    let t: u64;
    // SAFETY: reads a counter.
    unsafe { asm!("isb", "mrs {}, cntpct_el0", out(reg) t, options(nostack, preserves_flags)) };
    t
}

/// Returns the counter's frequency in Hz.
pub fn frequency() -> u64 {
    let f: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) f, options(nomem, nostack, preserves_flags)) };
    f
}

/// Tells whether this CPU has FEAT_ECV.
pub fn has_ecv() -> bool {
    read_sysreg!("id_aa64mmfr0_el1") >> 60 != 0
}

/// Waits for `done`, at most `ms` milliseconds; tells whether it came true.
pub fn wait_for(ms: u64, mut done: impl FnMut() -> bool) -> bool {
    let end = now() + frequency() / 1000 * ms;
    loop {
        if done() {
            return true;
        }
        if now() >= end {
            return false;
        }
        core::hint::spin_loop();
    }
}

/// Random numbers (xorshift64*), the same for the same seed.
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Returns the next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Returns a number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n.max(1)
    }
}
