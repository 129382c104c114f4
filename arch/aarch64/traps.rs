// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trap table: what a partition may do without S-EL2 noticing. Each bit with its reason.

use crate::context::Groups;
use crate::percpu::PerCpu;
use crate::{gic, predictor, simd};

/// Bits of a control register with one purpose, and where they must hold what is written to them. `verify.rs` reads
/// every register of the table back.
pub(crate) struct Bit(pub(crate) u64, pub(crate) &'static str, pub(crate) Need);

/// When a bit exists: without the feature it is RES0 or RES1, and there is nothing to trap. The ID register that tells,
/// where its field begins, and the least and the greatest value that say yes.
#[derive(Clone, Copy)]
pub(crate) struct Need(Id, u8, u8, u8);

/// The ID registers (`ID_AA64<name>_EL1`) that tell.
#[derive(Clone, Copy)]
enum Id {
    Pfr0,
    Pfr1,
    Dfr0,
    Mmfr0,
    Mmfr1,
    Mmfr2,
}

impl Need {
    pub(crate) fn is_met(self) -> bool {
        let Self(id, at, least, most) = self;
        let register = match id {
            Id::Pfr0 => mrs!("id_aa64pfr0_el1"),
            Id::Pfr1 => mrs!("id_aa64pfr1_el1"),
            Id::Dfr0 => mrs!("id_aa64dfr0_el1"),
            Id::Mmfr0 => mrs!("id_aa64mmfr0_el1"),
            Id::Mmfr1 => mrs!("id_aa64mmfr1_el1"),
            // By number: not in every assembler.
            Id::Mmfr2 => mrs!("S3_0_C0_C7_2"),
        };
        (least..=most).contains(&((register >> at & 0xf) as u8))
    }
}

#[rustfmt::skip]
mod needs {
    use super::{Id, Need};

    /// Every CPU with Secure EL2 has it.
    pub(super) const ALWAYS: Need = Need(Id::Pfr0, 0, 0, 15);
    pub(super) const AARCH32: Need = Need(Id::Pfr0, 0, 2, 2); // at EL0
    pub(super) const RAS: Need = Need(Id::Pfr0, 28, 1, 15);
    pub(super) const SVE: Need = Need(Id::Pfr0, 32, 1, 15);
    pub(super) const AMU: Need = Need(Id::Pfr0, 44, 1, 15);
    pub(super) const MTE2: Need = Need(Id::Pfr1, 8, 2, 15);
    pub(super) const SME: Need = Need(Id::Pfr1, 24, 1, 15);
    // Of the debug features all ones is none.
    pub(super) const TRACE: Need = Need(Id::Dfr0, 4, 1, 14);
    pub(super) const PMU: Need = Need(Id::Dfr0, 8, 1, 14);
    pub(super) const PMU_8_1: Need = Need(Id::Dfr0, 8, 4, 14);
    pub(super) const PMU_8_5: Need = Need(Id::Dfr0, 8, 6, 14);
    pub(super) const SPE: Need = Need(Id::Dfr0, 32, 1, 14);
    pub(super) const TRACE_FILTER: Need = Need(Id::Dfr0, 40, 1, 14);
    pub(super) const FGT: Need = Need(Id::Mmfr0, 56, 1, 15);
    pub(super) const ECV: Need = Need(Id::Mmfr0, 60, 1, 15);
    pub(super) const VMID16: Need = Need(Id::Mmfr1, 4, 2, 2);
    pub(super) const LOR: Need = Need(Id::Mmfr1, 16, 1, 15);
    pub(super) const HCX: Need = Need(Id::Mmfr1, 40, 1, 15);
    pub(super) const EVT: Need = Need(Id::Mmfr2, 56, 1, 15); // cache identification has a trap without CTR_EL0
    pub(super) const NO_EVT: Need = Need(Id::Mmfr2, 56, 0, 0);
}
use needs::*;

const fn always(bits: &[Bit]) -> u64 {
    let (mut all, mut i) = (0, 0);
    while i < bits.len() {
        // Those of EVT and MTE are set where they exist (`hcr`).
        all |= if matches!(bits[i].2, Need(Id::Mmfr2 | Id::Pfr1, ..)) { 0 } else { bits[i].0 };
        i += 1;
    }
    all
}

/// What is set in HCR_EL2 while a partition runs.
#[rustfmt::skip]
pub(crate) const HCR_SET: &[Bit] = &[
    Bit(1 << 0, "VM", ALWAYS),       // stage 2 translates
    Bit(1 << 1, "SWIO", ALWAYS),     // a set/way invalidate also cleans, it must not lose another owner's data
    Bit(1 << 2, "PTW", ALWAYS),      // a stage-1 walk through device memory faults
    Bit(7 << 3, "FMO, IMO, AMO", ALWAYS), // interrupts and SErrors end the run
    Bit(1 << 9, "FB", ALWAYS),       // local TLB and cache maintenance is broadcast, a context may change CPUs
    Bit(1 << 10, "BSU", ALWAYS),     // so are barriers, inner shareable
    Bit(3 << 13, "TWI, TWE", ALWAYS), // waiting gives the CPU back
    Bit(1 << 18, "TID3", ALWAYS),    // ID registers say what the partition has
    Bit(1 << 19, "TSC", ALWAYS),     // SMCs come here
    Bit(1 << 20, "TIDCP", ALWAYS),   // no implementation-defined registers
    Bit(1 << 21, "TACR", ALWAYS),    // no auxiliary control
    Bit(1 << 31, "RW", ALWAYS),      // EL1 is AArch64
    Bit(1 << 35, "TLOR", LOR),       // no limited ordering regions
    Bit(1 << 36, "TERR", RAS),       // no error records
    Bit(1 << 37, "TEA", RAS),        // external aborts end the run
    Bit(HCR_TID2, "TID2", NO_EVT),    // cache identification, CTR_EL0 included
    Bit(HCR_TID4, "TID4", EVT),      // cache identification without CTR_EL0
    Bit(HCR_TID5, "TID5", MTE2),     // GMID_EL1
];
/// What is clear in HCR_EL2, and meant so.
#[rustfmt::skip]
pub(crate) const HCR_CLEAR: &[Bit] = &[
    Bit(1 << 8, "VSE", ALWAYS),      // no virtual SError: nothing is injected
    Bit(1 << 12, "DC", ALWAYS),      // stage 1 off means device memory, as after a reset
    Bit(1 << 27, "TGE", ALWAYS),     // EL1 exists
    Bit(1 << 29, "HCD", ALWAYS),     // partitions call by HVC too
    Bit(3 << 32, "CD, ID", ALWAYS),  // its caches are not disabled
    Bit(1 << 34, "E2H", ALWAYS),     // every EL2 register here has its layout without VHE
    Bit(HCR_KEYS, "APK, API", ALWAYS), // pointer authentication traps until it is used
    Bit(3 << 42, "NV, NV1", ALWAYS), // no nested virtualisation
    Bit(1 << 45, "NV2", ALWAYS),     // as above
    Bit(1 << 46, "FWB", ALWAYS),     // descriptors carry the memory attributes
    Bit(1 << 47, "FIEN", ALWAYS),    // no fault injection into error records
    Bit(1 << 53, "EnSCXT", ALWAYS),  // SCXTNUM traps
    Bit(1 << 56, "ATA", ALWAYS),     // no allocation tags
];
const HCR: u64 = always(HCR_SET);
const HCR_TID2: u64 = 1 << 17;
const HCR_TID4: u64 = 1 << 49;
const HCR_TID5: u64 = 1 << 58;
/// API, APK: pointer authentication and its keys, once the context has used them.
const HCR_KEYS: u64 = 1 << 40 | 1 << 41;
/// VF and VI: a virtual FIQ or IRQ is pending.
pub(crate) const HCR_VF: u64 = 1 << 6;
/// See [`HCR_VF`].
pub(crate) const HCR_VI: u64 = 1 << 7;

/// MDCR_EL2: no debug, no PMU, no SPE, no trace; nothing counts at S-EL2.
#[rustfmt::skip]
pub(crate) const MDCR_SET: &[Bit] = &[
    Bit(3 << 5, "TPMCR, TPM", PMU),  // the PMU traps
    Bit(1 << 9, "TDA", ALWAYS),      // debug registers
    Bit(3 << 10, "TDOSA, TDRA", ALWAYS), // OS lock and debug ROM
    Bit(1 << 14, "TPMS", SPE),       // statistical profiling
    Bit(1 << 17, "HPMD", PMU_8_1),   // event counters stand still at S-EL2
    Bit(1 << 19, "TTRF", TRACE_FILTER), // trace filter
    Bit(1 << 23, "HCCD", PMU_8_5),   // the cycle counter stands still at S-EL2
    Bit(1 << 27, "TDCC", FGT),       // debug communication
];
/// What is clear in MDCR_EL2, and meant so.
#[rustfmt::skip]
pub(crate) const MDCR_CLEAR: &[Bit] = &[
    Bit(1 << 8, "TDE", ALWAYS),      // a partition handles its own BRK
    Bit(3 << 12, "E2PB", SPE),       // it does not own the profiling buffer
];
const MDCR: u64 = always(MDCR_SET);

/// CPTR_EL2 while no context has the SIMD registers (`simd.rs`).
#[rustfmt::skip]
pub(crate) const CPTR_SET: &[Bit] = &[
    Bit(1 << 8, "TZ", SVE),          // SVE
    Bit(1 << 10, "TFP", ALWAYS),     // SIMD, until its first use
    Bit(1 << 12, "TSM", SME),        // SME
    Bit(1 << 20, "TTA", TRACE),      // trace registers
    Bit(1 << 30, "TAM", AMU),        // activity monitors
];

/// HSTR_EL2: every AArch32 coprocessor register traps (an EL0 in AArch32).
pub(crate) const HSTR_SET: &[Bit] = &[Bit(HSTR, "T0-T15", AARCH32)];
const HSTR: u64 = 0xbfef;

/// CNTHCTL_EL2: the counters may be read.
const CNTHCTL: u64 = 1 << 0;
/// EL1TVT (FEAT_ECV): the virtual timer traps.
const CNTHCTL_EL1TVT: u64 = 1 << 13;
/// What is set in it.
#[rustfmt::skip]
pub(crate) const CNTHCTL_SET: &[Bit] = &[
    Bit(CNTHCTL, "EL1PCTEN", ALWAYS), // the counters may be read
    Bit(CNTHCTL_EL1TVT, "EL1TVT", ECV), // the virtual timer traps
];
/// What is clear in it, and meant so.
#[rustfmt::skip]
pub(crate) const CNTHCTL_CLEAR: &[Bit] = &[
    Bit(1 << 1, "EL1PCEN", ALWAYS),  // the physical timer traps
];

/// T0SZ of both: what the tables are made for.
const T0SZ: u64 = 64 - spmc::stage2::IPA_BITS;
/// VTCR_EL2 without PS: 39-bit IPAs from level 1, 4 KiB, write-back inner shareable walks; NSA: the Non-secure IPA space maps
/// to Non-secure memory; NSW clear: its tables are Secure.
const VTCR: u64 = T0SZ | 1 << 6 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 30 | 1 << 31;
/// VTCR_EL2.VS: 16-bit VMIDs.
const VTCR_VS: u64 = 1 << 19;
/// VSTCR_EL2: the same geometry; SA and SW clear: Secure memory, Secure tables.
pub(crate) const VSTCR: u64 = T0SZ | 1 << 6 | 1 << 31;

/// HFGRTR_EL2 and HFGWTR_EL2: AFSR0, AFSR1, AMAIR and CONTEXTIDR of EL1 trap; zero elsewhere traps all that newer
/// features add.
pub(crate) const HFG_RARE: u64 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 11;

/// What of both is compared when they are read back: every field that is written, NSW, SA and SW.
pub(crate) const VTCR_FIELDS: u64 = 0xe007_ffff;
const PS_AT: u32 = 16;

/// Returns VTCR_EL2 for this CPU: its address size, and 16-bit VMIDs where it has them.
pub(crate) fn vtcr() -> u64 {
    let vmid16 = if VMID16.is_met() { VTCR_VS } else { 0 };
    VTCR | vmid16 | (mrs!("id_aa64mmfr0_el1") & 0xf).min(5) << PS_AT
}

pub(crate) fn has_fgt() -> bool {
    FGT.is_met()
}

pub(crate) fn has_hcx() -> bool {
    HCX.is_met()
}

/// Returns the groups that every context must switch, because this CPU cannot trap them.
pub(crate) fn untrappable() -> Groups {
    let mut groups = Groups::empty();
    groups.set(Groups::TIMERS, !ECV.is_met());
    groups.set(Groups::RARE, !FGT.is_met());
    groups
}

fn hcr(groups: Groups) -> u64 {
    let keys = if groups.contains(Groups::KEYS) { HCR_KEYS } else { 0 };
    HCR | keys | if EVT.is_met() { HCR_TID4 } else { HCR_TID2 } | if MTE2.is_met() { HCR_TID5 } else { 0 }
}

fn cnthctl() -> u64 {
    CNTHCTL | if ECV.is_met() { CNTHCTL_EL1TVT } else { 0 }
}

/// Sets HCR_EL2's virtual interrupt bits on this CPU.
#[cold]
pub(crate) fn set_lines(cpu: &PerCpu, lines: u64) {
    cpu.lines.set(lines);
    cpu.unusual.set(1);
    // SAFETY: pends or withdraws a virtual interrupt of EL1; S-EL2 itself is not affected.
    unsafe { msr!("hcr_el2", mrs!("hcr_el2") & !(HCR_VI | HCR_VF) | lines) };
}

/// Stops trapping `groups` and traps the others.
pub(crate) fn open(cpu: &PerCpu, groups: Groups) {
    // SAFETY: the bits decide what a partition may do at EL1; S-EL2 itself is not affected.
    unsafe {
        msr!("hcr_el2", hcr(groups) | cpu.lines.get());
        msr!("cnthctl_el2", cnthctl());
        if FGT.is_met() {
            let rare = if groups.contains(Groups::RARE) { 0 } else { HFG_RARE };
            msr!("S3_4_C1_C1_4", rare); // HFGRTR_EL2
            msr!("S3_4_C1_C1_5", rare); // HFGWTR_EL2
        }
    }
    cpu.open.set(groups);
    cpu.unusual.set(1);
}

/// Loads the whole table on this CPU.
pub(crate) fn init(cpu: &PerCpu) {
    let counters = if PMU.is_met() { mrs!("pmcr_el0") >> 11 & 0x1f } else { 0 };
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
        msr!("vtcr_el2", vtcr());
        msr!("S3_4_C2_C6_2", VSTCR); // VSTCR_EL2
        msr!("vttbr_el2", 0);
        msr!("S3_4_C2_C6_0", 0); // VSTTBR_EL2
        if FGT.is_met() {
            // HFGITR, HDFGRTR, HDFGWTR: zero traps all that newer features add.
            msr!("S3_4_C1_C1_6", 0);
            msr!("S3_4_C3_C1_4", 0);
            msr!("S3_4_C3_C1_5", 0);
        }
        if HCX.is_met() {
            msr!("S3_4_C1_C2_2", 0); // HCRX_EL2: no optional feature is enabled for EL1
        }
    }
    predictor::init(cpu);
    gic::init();
    barrier!("isb");
}
