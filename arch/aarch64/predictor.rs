// SPDX-License-Identifier: MIT OR Apache-2.0
//! Branch history (Spectre-BHB, CVE-2022-23960): what a partition's branches leave in the predictor must not steer
//! S-EL2's. Affected CPUs get vectors that overwrite the history first; all others pay nothing.

use crate::percpu::PerCpu;
use crate::{asm, uart};

/// Arm's implementer code, and the bits of MIDR_EL1 that name a core: implementer and part number.
const ARM: u64 = 0x41 << 24;
const PART: u64 = 0xff00_fff0;

/// Cores that can have Secure EL2 and whose history a loop of so many branches overwrites (Arm, "Spectre-BHB").
const LOOPS: &[(u16, u8)] = &[
    (0xd40, 32),  // Neoverse V1
    (0xd47, 32),  // Cortex-A710
    (0xd48, 32),  // Cortex-X2
    (0xd49, 32),  // Neoverse N2
    (0xd4d, 38),  // Cortex-A715
    (0xd81, 38),  // Cortex-A720
    (0xd89, 38),  // Cortex-A720AE
    (0xd4e, 132), // Cortex-X3
    (0xd4f, 132), // Neoverse V2
];

/// The one branch on a CPU that has an instruction for it (FEAT_CLRBHB), which follows the loop in every case.
const BY_INSTRUCTION: u64 = 1;

/// Returns how many branches S-EL2 has to make at each entry before it trusts this CPU's branch history. 0: the CPU keeps
/// it apart itself (FEAT_CSV2_3, FEAT_ECBHB), or is not affected.
fn branches() -> u64 {
    let field = |register: u64, at: u32| register >> at & 0xf;
    let csv2 = field(mrs!("id_aa64pfr0_el1"), 56);
    if csv2 >= 3 || field(mrs!("id_aa64mmfr1_el1"), 60) != 0 {
        return 0;
    }
    // CLRBHB in ID_AA64ISAR2_EL1, by number: not in every assembler.
    if field(mrs!("S3_0_C0_C6_2"), 28) != 0 {
        return BY_INSTRUCTION;
    }
    let midr = mrs!("midr_el1");
    let known = LOOPS.iter().find(|(part, _)| midr & PART == ARM | u64::from(*part) << 4);
    known.map_or(0, |(_, branches)| (*branches).into())
}

/// Chooses this CPU's vectors: boot.S has chosen those without a remedy.
pub(crate) fn init(cpu: &PerCpu) {
    let branches = branches();
    cpu.branches.set(branches);
    if branches != 0 {
        // SAFETY: a vector table of S-EL2 (vectors.S) that ends in the same routines.
        unsafe { msr!("vbar_el2", asm::vectors_history as *const () as u64) };
    }
}

/// Tells on the console what this CPU needs. Boot time, first CPU.
pub(crate) fn report() {
    match branches() {
        0 => {}
        BY_INSTRUCTION => uart::line(format_args!("branch history: cleared by CLRBHB at each entry")),
        n => uart::line(format_args!("branch history: overwritten by {n} branches at each entry")),
    }
    if mrs!("id_aa64pfr0_el1") >> 56 & 0xf == 0 {
        uart::line(format_args!("branch prediction: this CPU does not keep contexts apart (CSV2 = 0)"));
    }
}
