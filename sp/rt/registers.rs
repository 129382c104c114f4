// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registers by hand: those of EL1 and EL0 that nothing here uses, and the general ones around a call.

use crate::Fault;
use core::arch::asm;

/// A register that a partition may be refused.
#[derive(Debug)]
pub struct Register {
    /// Reads it.
    pub read: fn() -> Result<u64, Fault>,
    /// Writes it.
    pub write: fn(u64) -> Result<(), Fault>,
}

/// Makes the table of registers, each with a read and a write that survive being refused.
macro_rules! registers {
    ($($name:literal),+ $(,)?) => {
        [$(Register {
            read: || {
                let value: u64;
                // SAFETY: reading a register has no effect on memory; a refusal resumes behind it.
                let result = unsafe {
                    crate::probe!((concat!("mrs {value}, ", $name)), value = inout(reg) 0_u64 => value, options(nostack))
                };
                result.map(|()| value)
            },
            write: |value| {
                // SAFETY: neither the compiler nor the runtime has anything in the register.
                unsafe { crate::probe!((concat!("msr ", $name, ", {value}")), value = in(reg) value, options(nostack)) }
            },
        },)+]
    };
}

/// How many registers at the start of [`TABLE`] an exception changes: read first, written last.
pub const CHANGED_BY_EXCEPTIONS: usize = 4;
/// How many registers there are in [`TABLE`].
pub const COUNT: usize = 38;

/// Registers that this partition can overwrite and go on; those in use (TTBR0, TCR, MAIR, VBAR, SCTLR, TPIDR_EL1,
/// SP_EL0) are tested by its going on.
pub static TABLE: [Register; COUNT] = registers![
    "elr_el1",
    "spsr_el1",
    "esr_el1",
    "far_el1",
    "ttbr1_el1",
    "amair_el1",
    "contextidr_el1",
    "afsr0_el1",
    "afsr1_el1",
    "par_el1",
    "tpidr_el0",
    "tpidrro_el0",
    "csselr_el1",
    "cntkctl_el1",
    "cntv_cval_el0",
    "cntp_cval_el0",
    "mdscr_el1",
    "actlr_el1",
    "S3_0_C2_C1_0",  // APIAKEYLO_EL1
    "S3_0_C2_C1_1",  // APIAKEYHI_EL1
    "S3_0_C2_C1_2",  // APIBKEYLO_EL1
    "S3_0_C2_C1_3",  // APIBKEYHI_EL1
    "S3_0_C2_C2_0",  // APDAKEYLO_EL1
    "S3_0_C2_C2_1",  // APDAKEYHI_EL1
    "S3_0_C2_C2_2",  // APDBKEYLO_EL1
    "S3_0_C2_C2_3",  // APDBKEYHI_EL1
    "S3_0_C2_C3_0",  // APGAKEYLO_EL1
    "S3_0_C2_C3_1",  // APGAKEYHI_EL1
    "S3_3_C13_C0_7", // SCXTNUM_EL0
    "S3_0_C13_C0_7", // SCXTNUM_EL1
    "S3_0_C1_C0_5",  // RGSR_EL1
    "S3_0_C1_C0_6",  // GCR_EL1
    "S3_0_C5_C6_0",  // TFSR_EL1
    "S3_0_C5_C6_1",  // TFSRE0_EL1
    "S3_0_C1_C2_0",  // ZCR_EL1
    "S3_3_C13_C0_5", // TPIDR2_EL0
    "dbgbvr0_el1",
    "pmccntr_el0",
];

/// What is in x8 to x28, apart from x19, before [`across_call`] calls: this, with the register's number below.
pub const PATTERN: u64 = 0x5a5a_0000_0000_0000;

/// Fills x8 to x28 with a pattern and calls with x0 to x3. Returns x0 to x2 of the answer, and x8 to x28 at their places
/// (x19 is left out).
pub fn across_call([mut x0, mut x1, mut x2, x3]: [u64; 4]) -> ([u64; 3], [u64; 32]) {
    let mut found = [0_u64; 32];
    // SAFETY: every register that changes is an output or is put back; x19 and x29 are the compiler's, and the call
    // keeps them. `found` takes x8 to x28 at their places.
    unsafe {
        asm!(
            "stp x19, x29, [sp, #-32]!",
            "str {found}, [sp, #16]",
            ".irp n,8,9,10,11,12,13,14,15,16,17,18,20,21,22,23,24,25,26,27,28",
            "mov x\\n, #\\n",
            "movk x\\n, #0x5a5a, lsl #48",
            ".endr",
            "smc #0",
            "ldr x19, [sp, #16]",
            ".irp n,8,9,10,11,12,13,14,15,16,17,18,20,21,22,23,24,25,26,27,28",
            "str x\\n, [x19, #8*\\n]",
            ".endr",
            "ldp x19, x29, [sp], #32",
            found = in(reg) found.as_mut_ptr(),
            inout("x0") x0, inout("x1") x1, inout("x2") x2, inout("x3") x3 => _,
            inout("x4") 0_u64 => _, inout("x5") 0_u64 => _, inout("x6") 0_u64 => _, inout("x7") 0_u64 => _,
            out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("x13") _, out("x14") _,
            out("x15") _, out("x16") _, out("x17") _, out("x18") _, out("x20") _, out("x21") _, out("x22") _,
            out("x23") _, out("x24") _, out("x25") _, out("x26") _, out("x27") _, out("x28") _,
        );
    }
    ([x0, x1, x2], found)
}
