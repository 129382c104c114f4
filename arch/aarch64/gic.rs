// SPDX-License-Identifier: MIT OR Apache-2.0
//! This CPU's interface to the interrupt controller. EL3 owns the set-up of the rest.

/// Secure view of the priority mask: only Secure interrupts (priorities below 0x80) get through.
const SECURE_ONLY: u64 = 0x80;

/// Uses the system registers (SRE, not Enable: an access from EL1 traps), and traps every virtual interface
/// register (TC, TALL0, TALL1), so that a partition cannot see or change the Normal world's.
pub(crate) fn init() {
    // SAFETY: the bits say how EL1 and EL2 reach the interface; memory is not concerned.
    unsafe {
        msr!("S3_4_C12_C9_5", 0b0111); // ICC_SRE_EL2
        barrier!("isb");
        msr!("S3_4_C12_C11_0", 0b111 << 10); // ICH_HCR_EL2
    }
    barrier!("isb");
}

/// Masks Non-secure interrupts and returns ICC_PMR_EL1 as it was.
#[inline(always)]
pub(crate) fn mask_normal() -> u64 {
    let old = mrs!("S3_0_C4_C6_0");
    set_mask(SECURE_ONLY);
    old
}

/// Writes ICC_PMR_EL1.
#[inline(always)]
pub(crate) fn set_mask(value: u64) {
    // SAFETY: the priority mask decides which interrupts are signalled, nothing else.
    unsafe { msr!("S3_0_C4_C6_0", value) };
}
