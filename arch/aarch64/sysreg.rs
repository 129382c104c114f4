// SPDX-License-Identifier: MIT OR Apache-2.0
//! System registers by name, for those that `aarch64-cpu` has no type for or that are moved whole.

/// Reads a system register. Reads have no side effects for any register that this crate names.
macro_rules! mrs {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a system register does not touch memory; S-EL2 may read each one that is named here
        // (those of optional features only after an ID register showed the feature).
        #[allow(unused_unsafe)]
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}

/// Writes a system register; to be used inside `unsafe`, where the caller says why the value is right.
macro_rules! msr {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags))
    }};
}

/// Issues barrier or cache maintenance instructions without operands.
macro_rules! barrier {
    ($($text:literal),+) => {{
        // SAFETY: a barrier changes no state; not `nomem`, so the compiler orders memory accesses around it too.
        #[allow(unused_unsafe)]
        unsafe { core::arch::asm!($($text),+, options(nostack, preserves_flags)) }
    }};
}
