// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the CPU has.

use core::arch::asm;

fn isar0() -> u64 {
    let features: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, id_aa64isar0_el1", out(reg) features, options(nomem, nostack, preserves_flags)) };
    features
}

/// Returns whether it has a source of random numbers (FEAT_RNG): ID_AA64ISAR0_EL1.RNDR.
pub fn has_random() -> bool {
    isar0() >> 60 != 0
}

/// Returns whether it has the SHA-256 instructions (FEAT_SHA256): ID_AA64ISAR0_EL1.SHA2.
pub fn has_sha256() -> bool {
    isar0() >> 12 & 15 != 0
}
