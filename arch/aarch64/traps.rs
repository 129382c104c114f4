// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trap table: what a partition may do without S-EL2 noticing. Each bit with its reason.

use ffa_abi::lines::Lines;
use ffa_abi::packed_lines;

use crate::context::Groups;
use crate::percpu::PerCpu;
use crate::{gic, predictor, simd};

/// Bits of a control register with one purpose, next to each other, and where they must hold what is written to them.
/// `verify.rs` reads all of [`BITS`] back.
pub(crate) struct Bit {
    /// From the right: where they begin (6 bits), how many they are (4), whether they are set or meant to be clear (1), and
    /// the register.
    place: u16,
    pub(crate) need: Need,
}

/// The registers of [`BITS`].
#[derive(Clone, Copy)]
pub(crate) enum Register {
    Hcr,
    Mdcr,
    Cptr,
    Hstr,
    Cnthctl,
}

impl Bit {
    const fn new(register: Register, set: bool, mask: u64, need: Need) -> Self {
        let (first, width) = (mask.trailing_zeros(), mask.count_ones());
        let place = first as u16 | (width as u16) << 6 | (set as u16) << 10 | (register as u16) << 11;
        let bit = Self { place, need };
        assert!(bit.mask() == mask);
        bit
    }

    pub(crate) const fn mask(&self) -> u64 {
        ((1 << (self.place >> 6 & 0xf)) - 1) << (self.place & 0x3f)
    }

    pub(crate) const fn is_set(&self) -> bool {
        self.place & 1 << 10 != 0
    }

    /// Returns the place of the register among those of [`Register`].
    pub(crate) const fn register(&self) -> usize {
        self.place as usize >> 11
    }
}

/// When a bit exists: without the feature it is RES0 or RES1, and there is nothing to trap. A digit each, from the right: the
/// ID register that tells, its field, and the least and the greatest value that say yes.
#[derive(Clone, Copy)]
pub(crate) struct Need(u16);

// The ID registers (`ID_AA64<name>_EL1`) that tell.
const PFR0: u16 = 0;
const PFR1: u16 = 1;
const DFR0: u16 = 2;
const MMFR0: u16 = 3;
const MMFR1: u16 = 4;
const MMFR2: u16 = 5;

impl Need {
    /// `at` is where the field begins.
    const fn new(register: u16, at: u16, least: u16, most: u16) -> Self {
        Self(register | at / 4 << 4 | least << 8 | most << 12)
    }

    const fn register(self) -> u16 {
        self.0 & 0xf
    }

    pub(crate) fn is_met(self) -> bool {
        let register = match self.register() {
            PFR0 => mrs!("id_aa64pfr0_el1"),
            PFR1 => mrs!("id_aa64pfr1_el1"),
            DFR0 => mrs!("id_aa64dfr0_el1"),
            MMFR0 => mrs!("id_aa64mmfr0_el1"),
            MMFR1 => mrs!("id_aa64mmfr1_el1"),
            // MMFR2, by number: not in every assembler.
            _ => mrs!("S3_0_C0_C7_2"),
        };
        let value = register >> (self.0 >> 4 & 0xf) * 4 & 0xf;
        (u64::from(self.0 >> 8 & 0xf)..=u64::from(self.0 >> 12)).contains(&value)
    }
}

#[rustfmt::skip]
mod needs {
    use super::{DFR0, MMFR0, MMFR1, MMFR2, Need, PFR0, PFR1};

    /// Every CPU with Secure EL2 has it.
    pub(super) const ALWAYS: Need = Need::new(PFR0, 0, 0, 15);
    pub(super) const AARCH32: Need = Need::new(PFR0, 0, 2, 2); // at EL0
    pub(super) const RAS: Need = Need::new(PFR0, 28, 1, 15);
    pub(super) const SVE: Need = Need::new(PFR0, 32, 1, 15);
    pub(super) const AMU: Need = Need::new(PFR0, 44, 1, 15);
    pub(super) const MTE2: Need = Need::new(PFR1, 8, 2, 15);
    pub(super) const SME: Need = Need::new(PFR1, 24, 1, 15);
    // Of the debug features all ones is none.
    pub(super) const TRACE: Need = Need::new(DFR0, 4, 1, 14);
    pub(super) const PMU: Need = Need::new(DFR0, 8, 1, 14);
    pub(super) const PMU_8_1: Need = Need::new(DFR0, 8, 4, 14);
    pub(super) const PMU_8_5: Need = Need::new(DFR0, 8, 6, 14);
    pub(super) const SPE: Need = Need::new(DFR0, 32, 1, 14);
    pub(super) const TRACE_FILTER: Need = Need::new(DFR0, 40, 1, 14);
    pub(super) const FGT: Need = Need::new(MMFR0, 56, 1, 15);
    pub(super) const ECV: Need = Need::new(MMFR0, 60, 1, 15);
    pub(super) const VMID16: Need = Need::new(MMFR1, 4, 2, 2);
    pub(super) const LOR: Need = Need::new(MMFR1, 16, 1, 15);
    pub(super) const HCX: Need = Need::new(MMFR1, 40, 1, 15);
    pub(super) const EVT: Need = Need::new(MMFR2, 56, 1, 15); // cache identification has a trap without CTR_EL0
    pub(super) const NO_EVT: Need = Need::new(MMFR2, 56, 0, 0);
}
use needs::*;

/// Makes [`BITS`], and their names as one text.
macro_rules! table {
    ($($register:ident, set: $set:literal { $($mask:expr, $name:literal, $need:expr;)* })*) => {
        /// What each bit of the control registers must be.
        pub(crate) const BITS: &[Bit] = &[$($(Bit::new(Register::$register, $set, $mask, $need),)*)*];
        /// Their names, in the same order.
        pub(crate) static NAMES: Lines = packed_lines!(BITS.len(), concat!($($($name, "\n"),*),*));
    };
}

table! {
    // What is set in HCR_EL2 while a partition runs.
    Hcr, set: true {
        1 << 0, "VM", ALWAYS;                   // stage 2 translates
        1 << 1, "SWIO", ALWAYS;                 // a set/way invalidate also cleans, it must not lose another owner's data
        1 << 2, "PTW", ALWAYS;                  // a stage-1 walk through device memory faults
        7 << 3, "FMO, IMO, AMO", ALWAYS;        // interrupts and SErrors end the run
        1 << 9, "FB", ALWAYS;                   // local TLB and cache maintenance is broadcast, a context may change CPUs
        1 << 10, "BSU", ALWAYS;                 // so are barriers, inner shareable
        3 << 13, "TWI, TWE", ALWAYS;            // waiting gives the CPU back
        1 << 18, "TID3", ALWAYS;                // ID registers say what the partition has
        1 << 19, "TSC", ALWAYS;                 // SMCs come here
        1 << 20, "TIDCP", ALWAYS;               // no implementation-defined registers
        1 << 21, "TACR", ALWAYS;                // no auxiliary control
        1 << 31, "RW", ALWAYS;                  // EL1 is AArch64
        1 << 35, "TLOR", LOR;                   // no limited ordering regions
        1 << 36, "TERR", RAS;                   // no error records
        1 << 37, "TEA", RAS;                    // external aborts end the run
        HCR_TID2, "TID2", NO_EVT;               // cache identification, CTR_EL0 included
        HCR_TID4, "TID4", EVT;                  // cache identification without CTR_EL0
        HCR_TID5, "TID5", MTE2;                 // GMID_EL1
    }
    // What is clear in it, and meant so.
    Hcr, set: false {
        1 << 8, "VSE", ALWAYS;                  // no virtual SError: nothing is injected
        1 << 12, "DC", ALWAYS;                  // stage 1 off means device memory, as after a reset
        1 << 27, "TGE", ALWAYS;                 // EL1 exists
        1 << 29, "HCD", ALWAYS;                 // partitions call by HVC too
        3 << 32, "CD, ID", ALWAYS;              // its caches are not disabled
        1 << 34, "E2H", ALWAYS;                 // every EL2 register here has its layout without VHE
        HCR_KEYS, "APK, API", ALWAYS;           // pointer authentication traps until it is used
        3 << 42, "NV, NV1", ALWAYS;             // no nested virtualisation
        1 << 45, "NV2", ALWAYS;                 // as above
        1 << 46, "FWB", ALWAYS;                 // descriptors carry the memory attributes
        1 << 47, "FIEN", ALWAYS;                // no fault injection into error records
        1 << 53, "EnSCXT", ALWAYS;              // SCXTNUM traps
        1 << 56, "ATA", ALWAYS;                 // no allocation tags
    }
    // MDCR_EL2: no debug, no PMU, no SPE, no trace; nothing counts at S-EL2.
    Mdcr, set: true {
        3 << 5, "TPMCR, TPM", PMU;              // the PMU traps
        1 << 9, "TDA", ALWAYS;                  // debug registers
        3 << 10, "TDOSA, TDRA", ALWAYS;         // OS lock and debug ROM
        1 << 14, "TPMS", SPE;                   // statistical profiling
        1 << 17, "HPMD", PMU_8_1;               // event counters stand still at S-EL2
        1 << 19, "TTRF", TRACE_FILTER;          // trace filter
        1 << 23, "HCCD", PMU_8_5;               // the cycle counter stands still at S-EL2
        1 << 27, "TDCC", FGT;                   // debug communication
    }
    // What is clear in it, and meant so.
    Mdcr, set: false {
        1 << 8, "TDE", ALWAYS;                  // a partition handles its own BRK
        3 << 12, "E2PB", SPE;                   // it does not own the profiling buffer
    }
    // CPTR_EL2 while no context has the SIMD registers (`simd.rs`).
    Cptr, set: true {
        1 << 8, "TZ", SVE;                      // SVE
        1 << 10, "TFP", ALWAYS;                 // SIMD, until its first use
        1 << 12, "TSM", SME;                    // SME
        1 << 20, "TTA", TRACE;                  // trace registers
        1 << 30, "TAM", AMU;                    // activity monitors
    }
    // HSTR_EL2: every AArch32 coprocessor register traps (an EL0 in AArch32).
    Hstr, set: true {
        0xf, "T0-T3", AARCH32;
        0x1ff << 5, "T5-T13", AARCH32;
        1 << 15, "T15", AARCH32;
    }
    // CNTHCTL_EL2: the timers of EL1 trap; the counters do not.
    Cnthctl, set: true {
        CNTHCTL, "EL1PCTEN", ALWAYS;            // the counters may be read
        CNTHCTL_EL1TVT, "EL1TVT", ECV;          // the virtual timer traps
    }
    // What is clear in it, and meant so.
    Cnthctl, set: false {
        1 << 1, "EL1PCEN", ALWAYS;              // the physical timer traps
    }
}

/// Returns what is set in a register on every CPU, whatever it has: without a feature its bits are RES0.
const fn always(register: Register) -> u64 {
    let (mut all, mut i) = (0, 0);
    while i < BITS.len() {
        let bit = &BITS[i];
        // Those of EVT and MTE are set where they exist (`hcr`).
        let optional = matches!(bit.need.register(), MMFR2 | PFR1);
        if bit.register() == register as usize && bit.is_set() && !optional {
            all |= bit.mask();
        }
        i += 1;
    }
    all
}

const HCR: u64 = always(Register::Hcr);
const HCR_TID2: u64 = 1 << 17;
const HCR_TID4: u64 = 1 << 49;
const HCR_TID5: u64 = 1 << 58;
/// API, APK: pointer authentication and its keys, once the context has used them.
const HCR_KEYS: u64 = 1 << 40 | 1 << 41;
/// VF and VI: a virtual FIQ or IRQ is pending.
pub(crate) const HCR_VF: u64 = 1 << 6;
/// See [`HCR_VF`].
pub(crate) const HCR_VI: u64 = 1 << 7;
const _: () = assert!(HCR_VF == spmc::Lines::FIQ.bits() && HCR_VI == spmc::Lines::IRQ.bits());

const MDCR: u64 = always(Register::Mdcr);
const HSTR: u64 = always(Register::Hstr);
/// EL1PCTEN: the counters may be read.
const CNTHCTL: u64 = 1 << 0;
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
