// SPDX-License-Identifier: MIT OR Apache-2.0
//! System registers of this CPU.

/// Reads a system register by name or encoding.
macro_rules! read_sysreg {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reads a register that exists at EL2.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack, preserves_flags)) };
        value
    }};
}

/// Writes a system register by name or encoding.
macro_rules! write_sysreg {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: writes a register that does not govern this image's own execution or memory.
        unsafe { core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
    }};
}

pub(crate) use {read_sysreg, write_sysreg};

/// Returns this CPU's affinity, packed as GICR_TYPER does: Aff3.Aff2.Aff1.Aff0 in 32 bits.
pub fn mpidr_affinity() -> u64 {
    let mpidr = read_sysreg!("mpidr_el1");
    mpidr & 0xff_ffff | (mpidr >> 8) & 0xff00_0000
}

/// Returns this CPU's number.
pub fn cpu() -> u64 {
    read_sysreg!("mpidr_el1") & 0xff
}

/// A register that a case fills with a pattern: its name, how to read and write it, and the bits that may change by
/// themselves or must not be set by a test.
pub struct Probe {
    /// The architectural name.
    pub name: &'static str,
    /// Reads it.
    pub read: fn() -> u64,
    /// Writes it.
    pub write: fn(u64),
    /// The bits to fill and compare.
    pub bits: u64,
}

macro_rules! probes {
    ($($name:literal, $encoding:literal, $bits:expr;)*) => {
        &[$(Probe {
            name: $name,
            read: || read_sysreg!($encoding),
            write: |v| write_sysreg!($encoding, v),
            bits: $bits,
        },)*]
    };
}

/// The EL1 and EL0 state that belongs to whoever runs below the Normal world's EL2. Nothing runs there in this image,
/// so every value is as good as any other.
pub const EL1_STATE: &[Probe] = probes! {
    "SCTLR_EL1", "sctlr_el1", u64::MAX;
    "ACTLR_EL1", "actlr_el1", u64::MAX;
    "CPACR_EL1", "cpacr_el1", u64::MAX;
    "TTBR0_EL1", "ttbr0_el1", u64::MAX;
    "TTBR1_EL1", "ttbr1_el1", u64::MAX;
    "TCR_EL1", "tcr_el1", u64::MAX;
    "MAIR_EL1", "mair_el1", u64::MAX;
    "AMAIR_EL1", "amair_el1", u64::MAX;
    "VBAR_EL1", "vbar_el1", u64::MAX;
    "ESR_EL1", "esr_el1", u64::MAX;
    "FAR_EL1", "far_el1", u64::MAX;
    "AFSR0_EL1", "afsr0_el1", u64::MAX;
    "AFSR1_EL1", "afsr1_el1", u64::MAX;
    "PAR_EL1", "par_el1", u64::MAX;
    "ELR_EL1", "elr_el1", u64::MAX;
    "SPSR_EL1", "spsr_el1", u64::MAX;
    "SP_EL0", "sp_el0", u64::MAX;
    "SP_EL1", "sp_el1", u64::MAX;
    "TPIDR_EL0", "tpidr_el0", u64::MAX;
    "TPIDRRO_EL0", "tpidrro_el0", u64::MAX;
    "TPIDR_EL1", "tpidr_el1", u64::MAX;
    "SCXTNUM_EL0", "S3_3_C13_C0_7", u64::MAX;
    "SCXTNUM_EL1", "S3_0_C13_C0_7", u64::MAX;
    "CONTEXTIDR_EL1", "contextidr_el1", u64::MAX;
    "CSSELR_EL1", "csselr_el1", 0xf;
    "CNTKCTL_EL1", "cntkctl_el1", 0x3ff;
    // MDSCR_EL1.TDCC alone: the rest could make this image take debug exceptions.
    "MDSCR_EL1", "mdscr_el1", 1 << 12;
    // The EL1 timers stay masked; ISTATUS follows the time.
    "CNTV_CVAL_EL0", "cntv_cval_el0", u64::MAX;
    "CNTP_CVAL_EL0", "cntp_cval_el0", u64::MAX;
    "APIAKeyLo_EL1", "S3_0_C2_C1_0", u64::MAX;
    "APIAKeyHi_EL1", "S3_0_C2_C1_1", u64::MAX;
    "APIBKeyLo_EL1", "S3_0_C2_C1_2", u64::MAX;
    "APIBKeyHi_EL1", "S3_0_C2_C1_3", u64::MAX;
    "APDAKeyLo_EL1", "S3_0_C2_C2_0", u64::MAX;
    "APDAKeyHi_EL1", "S3_0_C2_C2_1", u64::MAX;
    "APDBKeyLo_EL1", "S3_0_C2_C2_2", u64::MAX;
    "APDBKeyHi_EL1", "S3_0_C2_C2_3", u64::MAX;
    "APGAKeyLo_EL1", "S3_0_C2_C3_0", u64::MAX;
    "APGAKeyHi_EL1", "S3_0_C2_C3_1", u64::MAX;
};

/// The GIC's virtual interface: the Normal world's hypervisor may have interrupts listed there.
pub const VIRTUAL_INTERFACE: &[Probe] = probes! {
    "ICH_LR0_EL2", "S3_4_C12_C12_0", u64::MAX;
    "ICH_LR1_EL2", "S3_4_C12_C12_1", u64::MAX;
    "ICH_LR2_EL2", "S3_4_C12_C12_2", u64::MAX;
    "ICH_LR3_EL2", "S3_4_C12_C12_3", u64::MAX;
    "ICH_AP0R0_EL2", "S3_4_C12_C8_0", 0xffff_ffff;
    "ICH_AP1R0_EL2", "S3_4_C12_C9_0", 0xffff_ffff;
    "ICH_VMCR_EL2", "S3_4_C12_C11_7", 0xff00_0003;
};

/// EL2 registers that EL3 keeps for each world, and the masks of this CPU's own interrupts.
pub const EL2_STATE: &[Probe] = probes! {
    "TPIDR_EL2", "tpidr_el2", u64::MAX;
    "VTTBR_EL2", "vttbr_el2", 0xffff_0000_ffff_f000;
    "VTCR_EL2", "vtcr_el2", 0x7ffff;
    "VPIDR_EL2", "vpidr_el2", 0xffff_ffff;
    "VMPIDR_EL2", "vmpidr_el2", 0xff_00ff_ffff;
    "HSTR_EL2", "hstr_el2", 0xffff;
    "CNTVOFF_EL2", "cntvoff_el2", u64::MAX;
    "HPFAR_EL2", "hpfar_el2", 0xff_ffff_fff0;
    "CNTHCTL_EL2", "cnthctl_el2", 0x3;
};
