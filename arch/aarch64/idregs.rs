// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ID registers as a partition sees them: what the CPU has, without what the SPMC denies.

/// Makes the mask that clears 4-bit fields, named by their lowest bits.
const fn without(fields: &[u32]) -> u64 {
    let mut mask = u64::MAX;
    let mut i = 0;
    while i < fields.len() {
        mask &= !(0xf << fields[i]);
        i += 1;
    }
    mask
}

/// Reads ID register 3, 0, c0, `CRm`, `op2` of a trapped access, named as ESR_EL2's ISS does. `None`: not one.
pub(crate) fn read(register: u64) -> Option<u64> {
    let op0_op1_crn = register & (3 << 20 | 7 << 14 | 15 << 10);
    if op0_op1_crn != 3 << 20 {
        return None;
    }
    let crm = register >> 1 & 0xf;
    let op2 = register >> 17 & 7;
    if !(1..=7).contains(&crm) {
        return None;
    }
    Some(match (crm, op2) {
        // ID_AA64PFR0: no EL2/EL3, GIC registers, RAS, SVE, MPAM, AMU, RME; EL0 and EL1 AArch64 only; CSV2 at most 1.
        (4, 0) => {
            let real = mrs!("id_aa64pfr0_el1");
            let csv2 = (real >> 56 & 0xf).min(1) << 56;
            real & const { without(&[0, 4, 8, 12, 24, 28, 32, 36, 40, 44, 52, 56]) } | 0x11 | csv2
        }
        // ID_AA64PFR1: BT and SSBS stay.
        (4, 1) => mrs!("id_aa64pfr1_el1") & 0xff,
        // ID_AA64DFR0: the smallest debug architecture there is, its breakpoint counts; no PMU, trace, SPE.
        (5, 0) => mrs!("id_aa64dfr0_el1") & 0xf0f0_f000 | 6,
        // ID_AA64ISAR0-1: instructions, all at EL0 and EL1; without LS64.
        (6, 0) => mrs!("id_aa64isar0_el1"),
        (6, 1) => mrs!("id_aa64isar1_el1") & const { without(&[60]) },
        // ID_AA64ISAR2: WFxT, RPRES, the newer pointer authentication; not MOPS (16), which HCRX_EL2 must enable.
        (6, 2) => mrs!("S3_0_C0_C6_2") & 0xf000_0000_0000_ffff & !(0xf << 60),
        // ID_AA64MMFR0: no counter offset or fine-grained traps to find (60, 56).
        (7, 0) => mrs!("id_aa64mmfr0_el1") & const { without(&[56, 60]) },
        // ID_AA64MMFR1: no VHE (8), LORegions (16), HCX (40), and nothing above that needs HCRX_EL2.
        (7, 1) => mrs!("id_aa64mmfr1_el1") & const { without(&[8, 16, 40, 52]) },
        // ID_AA64MMFR2: no NV (24), EVT (56).
        (7, 2) => mrs!("S3_0_C0_C7_2") & const { without(&[24, 56]) },
        // AArch32's, PFR2, ZFR0, SMFR0, MMFR3 and on, and what has not been defined yet: no such feature.
        (_, _) => 0,
    })
}
