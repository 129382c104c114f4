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
