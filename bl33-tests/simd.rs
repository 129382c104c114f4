// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls with FP/SIMD or SVE registers full of patterns.

use crate::ffa::{Regs8, Regs18};
use crate::sysreg::read_sysreg;

unsafe extern "C" {
    fn simd_smc(regs: *mut Regs18, image: *mut Simd);
    fn sve_smc(regs: *mut Regs18, image: *mut Sve);
    fn sve_bytes() -> u64;
    fn sme_smc(regs: *mut Regs18, image: u64) -> u64;
    fn sme_bytes() -> u64;
}

/// q0 to q31 as 64 halves, FPCR, FPSR.
#[repr(C, align(16))]
#[derive(Clone, PartialEq)]
pub struct Simd {
    /// The vectors, two words each.
    pub q: [u64; 64],
    /// FPCR, FPSR.
    pub control: [u64; 2],
}

/// z0 to z31, then p0 to p15 and FFR, for vectors of up to 256 bytes.
#[repr(C, align(16))]
#[derive(Clone)]
pub struct Sve {
    /// The vectors, one vector length apart.
    pub z: [u64; 1024],
    /// The predicates and the first-fault register, one predicate apart.
    pub p: [u64; 68],
}

fn regs(args: Regs8) -> Regs18 {
    core::array::from_fn(|i| args.get(i).copied().unwrap_or(0))
}

/// Makes a call with `image` in the FP/SIMD registers; returns x0 to x7, and `image` as the registers were after it.
pub fn call(args: Regs8, image: &mut Simd) -> Regs8 {
    let mut r = regs(args);
    // SAFETY: `simd.S` reads and writes these two; the compiler uses no FP/SIMD register.
    unsafe { simd_smc(&mut r, image) };
    core::array::from_fn(|i| r[i])
}

/// Returns the longest vector in bytes, or `None` without SVE.
pub fn sve_length() -> Option<usize> {
    let pfr0 = read_sysreg!("id_aa64pfr0_el1");
    if pfr0 >> 32 & 0xf == 0 {
        return None;
    }
    // SAFETY: SVE is there, and `boot.S` does not trap it.
    Some(unsafe { sve_bytes() } as usize)
}

/// Makes a call with `image` in the SVE registers; only where [`sve_length`] says that there are any.
pub fn sve_call(args: Regs8, image: &mut Sve) -> Option<Regs8> {
    sve_length()?;
    let mut r = regs(args);
    // SAFETY: as in `call`; the image is as large as the longest vectors of the architecture need.
    unsafe { sve_smc(&mut r, image) };
    Some(core::array::from_fn(|i| r[i]))
}

/// Where [`sme_call`] has its registers, in pool memory: z0 to z31 one vector apart.
pub const SME_Z: u64 = 0x7f00_0000;
/// p0 to p15, one predicate apart.
pub const SME_P: u64 = SME_Z + 8192;
/// ZA, one row after the other.
pub const SME_ZA: u64 = SME_Z + 16384;

/// Returns the longest streaming vector in bytes, or `None` without SME.
pub fn sme_length() -> Option<u64> {
    let pfr1 = read_sysreg!("id_aa64pfr1_el1");
    if pfr1 >> 24 & 0xf == 0 {
        return None;
    }
    // SAFETY: SME is there, and `boot.S` does not trap it.
    Some(unsafe { sme_bytes() })
}

/// Makes a call in streaming mode with ZA on, the registers taken from and stored to [`SME_Z`] and on; returns x0 to x7
/// and SVCR after the call.
pub fn sme_call(args: Regs8) -> Option<(Regs8, u64)> {
    sme_length()?;
    let mut r = regs(args);
    // SAFETY: as in `call`; the image is in memory that Rust does not use.
    let svcr = unsafe { sme_smc(&mut r, SME_Z) };
    Some((core::array::from_fn(|i| r[i]), svcr))
}
