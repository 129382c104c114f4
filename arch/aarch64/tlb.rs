// SPDX-License-Identifier: MIT OR Apache-2.0
//! TLB maintenance for partitions. The operations act on the current VMID, so the partition's roots are loaded
//! while they run.

use spmc::{Ipa, Space, Stage2Roots};

/// From so many pages on, everything of the VMID goes at once.
const MANY: u64 = 512;

/// Invalidates a range of IPAs of one space, on every CPU, then what stage 1 combined with it.
pub(crate) fn invalidate(roots: &Stage2Roots, space: Space, ipa: Ipa, pages: u64) {
    let vttbr = mrs!("vttbr_el2");
    let vsttbr = mrs!("S3_4_C2_C6_0");
    // SAFETY: S-EL2 does not translate by these roots, and nothing is entered at EL1 before they are put back.
    unsafe {
        msr!("vttbr_el2", roots.non_secure.0 | u64::from(roots.vmid.0) << 48);
        msr!("S3_4_C2_C6_0", roots.secure.0);
    }
    barrier!("isb", "dsb ishst");
    if pages > MANY {
        barrier!("tlbi vmalls12e1is");
    } else {
        let non_secure = match space {
            Space::Secure => 0,
            Space::NonSecure => 1 << 63,
        };
        for page in 0..pages {
            let operand = (ipa.0 >> 12).wrapping_add(page) & 0xf_ffff_ffff | non_secure;
            // SAFETY: invalidation only costs time; the next walk finds the tables as they are.
            unsafe { core::arch::asm!("tlbi ipas2e1is, {}", in(reg) operand, options(nostack, preserves_flags)) };
        }
        barrier!("dsb ish", "tlbi vmalle1is");
    }
    barrier!("dsb ish", "isb");
    // SAFETY: the values that were there.
    unsafe {
        msr!("vttbr_el2", vttbr);
        msr!("S3_4_C2_C6_0", vsttbr);
    }
    barrier!("isb");
}

/// Invalidates everything of one VMID, both stages, both spaces, on every CPU.
pub(crate) fn invalidate_all(roots: &Stage2Roots) {
    invalidate(roots, Space::Secure, Ipa(0), u64::MAX);
}
