// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trap table: what a partition may do without S-EL2 noticing. Each bit with its reason.

use crate::context::Groups;
use crate::percpu::PerCpu;
use crate::{gic, simd};

/// HCR_EL2 while a partition runs.
const HCR: u64 = 1 << 0     // VM: stage 2 translates
    | 1 << 1                // SWIO: a set/way invalidate also cleans, it must not lose another owner's data
    | 1 << 2                // PTW: a stage-1 walk through device memory faults
    | 1 << 3 | 1 << 4 | 1 << 5 // FMO, IMO, AMO: interrupts and SErrors end the run
    | 1 << 9                // FB: local TLB and cache maintenance is broadcast, a context may change CPUs
    | 1 << 10               // BSU: so are barriers, inner shareable
    | 1 << 13 | 1 << 14     // TWI, TWE: waiting gives the CPU back
    | 1 << 18               // TID3: ID registers say what the partition has
    | 1 << 19               // TSC: SMCs come here
    | 1 << 20               // TIDCP: no implementation-defined registers
    | 1 << 21               // TACR: no auxiliary control
    | 1 << 31               // RW: EL1 is AArch64
    | 1 << 35               // TLOR: no limited ordering regions
    | 1 << 36               // TERR: no error records
    | 1 << 37; // TEA: external aborts end the run
/// TID2: cache identification, CTR_EL0 included; only where TID4 is missing.
const HCR_TID2: u64 = 1 << 17;
/// TID4 (FEAT_EVT): cache identification without CTR_EL0.
const HCR_TID4: u64 = 1 << 49;
/// TID5 (FEAT_MTE2): GMID_EL1.
const HCR_TID5: u64 = 1 << 58;
/// API, APK: pointer authentication and its keys, once the context has used them.
const HCR_KEYS: u64 = 1 << 40 | 1 << 41;
/// VF and VI: a virtual FIQ or IRQ is pending.
pub(crate) const HCR_VF: u64 = 1 << 6;
/// See [`HCR_VF`].
pub(crate) const HCR_VI: u64 = 1 << 7;
// Zero, and meant so: ATA (no MTE), EnSCXT (SCXTNUM traps), FIEN, NV, E2H, TGE, FWB (descriptors carry attributes).

/// MDCR_EL2: no debug, no PMU, no SPE, no trace; nothing counts at S-EL2.
const MDCR: u64 = 1 << 5 | 1 << 6   // TPMCR, TPM
    | 1 << 9 | 1 << 10 | 1 << 11    // TDA, TDOSA, TDRA (TDE clear: a partition handles its own BRK)
    | 1 << 14                       // TPMS
    | 1 << 17                       // HPMD
    | 1 << 19                       // TTRF
    | 1 << 23                       // HCCD
    | 1 << 27; // TDCC

/// HSTR_EL2: every AArch32 coprocessor register traps (an EL0 in AArch32).
const HSTR: u64 = 0xbfef;

/// CNTHCTL_EL2: EL1PCTEN (the counters may be read); the physical timer traps.
const CNTHCTL: u64 = 1 << 0;
/// EL1PCEN: the physical timer does not trap.
const CNTHCTL_TIMER: u64 = 1 << 1;
/// EL1TVT (FEAT_ECV): the virtual timer traps.
const CNTHCTL_EL1TVT: u64 = 1 << 13;

/// T0SZ of both: what the tables are made for.
const T0SZ: u64 = 64 - spmc::stage2::IPA_BITS;
/// VTCR_EL2 without PS: 39-bit IPAs from level 1, 4 KiB, write-back inner shareable walks; NSA: the Non-secure IPA space maps
/// to Non-secure memory; NSW clear: its tables are Secure.
const VTCR: u64 = T0SZ | 1 << 6 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 30 | 1 << 31;
/// VTCR_EL2.VS: 16-bit VMIDs.
const VTCR_VS: u64 = 1 << 19;
/// VSTCR_EL2: the same geometry; SA and SW clear: Secure memory, Secure tables.
const VSTCR: u64 = T0SZ | 1 << 6 | 1 << 31;

/// HFGRTR_EL2 and HFGWTR_EL2: AFSR0, AFSR1, AMAIR and CONTEXTIDR of EL1 trap; zero elsewhere traps all that newer
/// features add.
const HFG_RARE: u64 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 11;

fn has_ecv() -> bool {
    mrs!("id_aa64mmfr0_el1") >> 60 & 0xf != 0
}

fn has_fgt() -> bool {
    mrs!("id_aa64mmfr0_el1") >> 56 & 0xf != 0
}

fn has_evt() -> bool {
    // ID_AA64MMFR2_EL1.EVT, by number: not in every assembler.
    mrs!("S3_0_C0_C7_2") >> 56 & 0xf != 0
}

fn has_mte2() -> bool {
    mrs!("id_aa64pfr1_el1") >> 8 & 0xf >= 2
}

fn has_hcx() -> bool {
    mrs!("id_aa64mmfr1_el1") >> 40 & 0xf != 0
}

/// Returns the groups that every context must switch, because this CPU cannot trap them.
pub(crate) fn untrappable() -> Groups {
    let mut groups = Groups::empty();
    groups.set(Groups::TIMERS, !has_ecv());
    groups.set(Groups::RARE, !has_fgt());
    groups
}

fn hcr(groups: Groups) -> u64 {
    let keys = if groups.contains(Groups::KEYS) { HCR_KEYS } else { 0 };
    HCR | keys | if has_evt() { HCR_TID4 } else { HCR_TID2 } | if has_mte2() { HCR_TID5 } else { 0 }
}

fn cnthctl(groups: Groups) -> u64 {
    if groups.contains(Groups::TIMERS) {
        CNTHCTL | CNTHCTL_TIMER
    } else {
        CNTHCTL | if has_ecv() { CNTHCTL_EL1TVT } else { 0 }
    }
}

/// Sets HCR_EL2's virtual interrupt bits on this CPU.
#[cold]
pub(crate) fn set_lines(cpu: &PerCpu, lines: u64) {
    cpu.lines.set(lines);
    // SAFETY: pends or withdraws a virtual interrupt of EL1; S-EL2 itself is not affected.
    unsafe { msr!("hcr_el2", mrs!("hcr_el2") & !(HCR_VI | HCR_VF) | lines) };
}

/// Stops trapping `groups` and traps the others.
pub(crate) fn open(cpu: &PerCpu, groups: Groups) {
    // SAFETY: the bits decide what a partition may do at EL1; S-EL2 itself is not affected.
    unsafe {
        msr!("hcr_el2", hcr(groups) | cpu.lines.get());
        msr!("cnthctl_el2", cnthctl(groups));
        if has_fgt() {
            let rare = if groups.contains(Groups::RARE) { 0 } else { HFG_RARE };
            msr!("S3_4_C1_C1_4", rare); // HFGRTR_EL2
            msr!("S3_4_C1_C1_5", rare); // HFGWTR_EL2
        }
    }
    cpu.open.set(groups);
}

/// Loads the whole table on this CPU.
pub(crate) fn init(cpu: &PerCpu) {
    let vmid16 = if mrs!("id_aa64mmfr1_el1") >> 4 & 0xf == 2 { VTCR_VS } else { 0 };
    let ps = (mrs!("id_aa64mmfr0_el1") & 0xf).min(5) << 16;
    let counters = mrs!("pmcr_el0") >> 11 & 0x1f;
    open(cpu, Groups::empty());
    cpu.cptr_open.set(simd::cptr_open());
    // SAFETY: these registers govern EL1&0 only; the values are the tables above. Optional registers are written only
    // where the ID registers show them.
    unsafe {
        msr!("cptr_el2", simd::CPTR_DENY);
        msr!("mdcr_el2", MDCR | counters);
        msr!("hstr_el2", HSTR);
        msr!("cntvoff_el2", 0);
        msr!("vpidr_el2", mrs!("midr_el1"));
        msr!("vtcr_el2", VTCR | vmid16 | ps);
        msr!("S3_4_C2_C6_2", VSTCR); // VSTCR_EL2
        msr!("vttbr_el2", 0);
        msr!("S3_4_C2_C6_0", 0); // VSTTBR_EL2
        if has_fgt() {
            // HFGITR, HDFGRTR, HDFGWTR: zero traps all that newer features add.
            msr!("S3_4_C1_C1_6", 0);
            msr!("S3_4_C3_C1_4", 0);
            msr!("S3_4_C3_C1_5", 0);
        }
        if has_hcx() {
            msr!("S3_4_C1_C2_2", 0); // HCRX_EL2: no optional feature is enabled for EL1
        }
    }
    gic::init();
    barrier!("isb");
}
