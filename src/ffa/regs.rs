// SPDX-License-Identifier: MIT OR Apache-2.0
//! The registers of a call: x0 to x17 (SMCCC v1.2).

use crate::{Error, Func};

/// Holds x0 to x17 of one call or reply, in memory order, so that assembly can fill and drain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C, align(16))]
pub struct Regs {
    /// The registers, x0 first.
    pub x: [u64; 18],
}

impl Regs {
    /// Returns all registers zero.
    pub const ZERO: Self = Self { x: [0; 18] };

    /// Returns the function identifier: w0.
    pub const fn fid(&self) -> u32 {
        self.x[0] as u32
    }

    /// Overwrites x0 to x7, leaving x8 to x17 alone.
    #[inline(always)]
    pub fn set8(&mut self, r: [u64; 8]) {
        let [a, b, c, d, e, f, g, h] = r;
        // One store each: a slice copy would become a memcpy call on a softfloat target.
        self.x[0] = a;
        self.x[1] = b;
        self.x[2] = c;
        self.x[3] = d;
        self.x[4] = e;
        self.x[5] = f;
        self.x[6] = g;
        self.x[7] = h;
    }

    /// Writes `FFA_ERROR` with `error` in w2 (DEN0077A, "FFA_ERROR").
    #[inline(always)]
    pub fn set_error(&mut self, error: Error) {
        self.set8([Func::Error.id32() as u64, 0, error.code() as u32 as u64, 0, 0, 0, 0, 0]);
    }

    /// Writes `FFA_SUCCESS32` with w2 = `value` (DEN0077A, "FFA_SUCCESS").
    #[inline(never)]
    pub fn set_success(&mut self, value: u64) {
        self.set8([Func::Success.id32() as u64, 0, value, 0, 0, 0, 0, 0]);
    }
}
