// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads the trap table back. A CPU whose controls do not hold what was written to them would run partitions with less
//! isolation than the table promises, so it runs none.

use ffa_abi::lines::{Line, Lines};
use ffa_abi::{packed, packed_lines};

use crate::traps::{self, BITS, NAMES};
use crate::{mmu, percpu, uart};

/// The names of the registers of [`BITS`], in the order of [`traps::Register`].
static REGISTERS: Lines = packed_lines!(5, "HCR_EL2\nMDCR_EL2\nCPTR_EL2\nHSTR_EL2\nCNTHCTL_EL2\n");

/// Checks every control register that `traps::init` and `gic::init` have written on this CPU, and SCTLR_EL2.
pub(crate) fn controls() {
    let values = [mrs!("hcr_el2"), mrs!("mdcr_el2"), mrs!("cptr_el2"), mrs!("hstr_el2"), mrs!("cnthctl_el2")];
    for (n, bit) in BITS.iter().enumerate() {
        let register = bit.register();
        let found = values.get(register).copied().unwrap_or_default();
        let wanted = if bit.is_set() { bit.mask() } else { 0 };
        if found & bit.mask() != wanted && bit.need.is_met() {
            refused(
                REGISTERS.get(register),
                NAMES.get(n),
                if bit.is_set() { packed!("clear") } else { packed!("set") },
                found,
            );
        }
    }
    exact(packed!("SCTLR_EL2"), mrs!("sctlr_el2"), mmu::SCTLR_ON, mmu::SCTLR_ON);
    exact(packed!("VTCR_EL2"), mrs!("vtcr_el2"), traps::vtcr(), traps::VTCR_FIELDS);
    exact(packed!("VSTCR_EL2"), mrs!("S3_4_C2_C6_2"), traps::VSTCR, traps::VTCR_FIELDS);
    exact(packed!("VPIDR_EL2"), mrs!("vpidr_el2"), mrs!("midr_el1"), u32::MAX.into());
    exact(packed!("CNTVOFF_EL2"), mrs!("cntvoff_el2"), 0, u64::MAX);
    // SRE: by system registers, whose use from EL1 traps. Enable may be fixed to 1, and then so is what EL1's SRE says.
    exact(packed!("ICC_SRE_EL2"), mrs!("S3_4_C12_C9_5"), 1, 1);
    exact(packed!("ICH_HCR_EL2"), mrs!("S3_4_C12_C11_0"), 0b111 << 10, 0b111 << 10 | 1);
    if traps::has_fgt() {
        exact(packed!("HFGRTR_EL2"), mrs!("S3_4_C1_C1_4"), traps::HFG_RARE, u64::MAX);
        exact(packed!("HFGWTR_EL2"), mrs!("S3_4_C1_C1_5"), traps::HFG_RARE, u64::MAX);
        exact(packed!("HFGITR_EL2"), mrs!("S3_4_C1_C1_6"), 0, u64::MAX);
        exact(packed!("HDFGRTR_EL2"), mrs!("S3_4_C3_C1_4"), 0, u64::MAX);
        exact(packed!("HDFGWTR_EL2"), mrs!("S3_4_C3_C1_5"), 0, u64::MAX);
    }
    if traps::has_hcx() {
        exact(packed!("HCRX_EL2"), mrs!("S3_4_C1_C2_2"), 0, u64::MAX);
    }
    // DISR_EL1, by which SErrors are charged to who caused them, is an instruction's fault to read without FEAT_RAS.
    exact(packed!("ID_AA64PFR0_EL1"), (mrs!("id_aa64pfr0_el1") >> 28 & 0xf).min(1), 1, 1);
}

fn exact(register: Line, found: u64, wanted: u64, fields: u64) {
    if (found ^ wanted) & fields != 0 {
        uart::line(format_args!("{register}: {wanted:#x} was written"));
        refused(register, packed!("a field"), packed!("not as written"), found);
    }
}

/// Says which control this CPU does not have, and stops it.
#[cold]
fn refused(register: Line, bit: Line, state: Line, found: u64) -> ! {
    let cpu = percpu::cpu_index();
    let midr = mrs!("midr_el1");
    uart::line(format_args!("FATAL: CPU {cpu} (MIDR {midr:#x}): {register} reads {found:#x}: {bit} stays {state}"));
    uart::line(format_args!("CPU {cpu} stopped: it cannot hold partitions apart"));
    loop {
        barrier!("wfi");
    }
}
