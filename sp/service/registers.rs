// SPDX-License-Identifier: MIT OR Apache-2.0
//! EL1 and EL0 system registers and general registers: the worst-behaved partition.

use crate::{Answer, CONTEXTS, Failure};
use core::arch::asm;
use sp_rt::{Context, Fault};
use spin::Mutex;

struct Register {
    read: fn() -> Result<u64, Fault>,
    write: fn(u64) -> Result<(), Fault>,
}

/// Makes the table of registers, each with a read and a write that survive being refused.
macro_rules! registers {
    ($($name:literal),+ $(,)?) => {
        [$(Register {
            read: || {
                let value: u64;
                // SAFETY: reading a register has no effect on memory; a refusal resumes behind it.
                let result = unsafe {
                    sp_rt::probe!((concat!("mrs {value}, ", $name)), value = inout(reg) 0_u64 => value, options(nostack))
                };
                result.map(|()| value)
            },
            write: |value| {
                // SAFETY: neither the compiler nor the runtime has anything in the register.
                unsafe { sp_rt::probe!((concat!("msr ", $name, ", {value}")), value = in(reg) value, options(nostack)) }
            },
        },)+]
    };
}

/// How many registers at the start of [`TABLE`] an exception changes: read first, written last.
const CHANGED_BY_EXCEPTIONS: usize = 4;
const COUNT: usize = 38;

/// Registers that this partition can overwrite and go on; those in use (TTBR0, TCR, MAIR, VBAR, SCTLR, TPIDR_EL1,
/// SP_EL0) are tested by its going on.
static TABLE: [Register; COUNT] = registers![
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

/// What each context's registers read after [`fill`]; `None` where the register is refused.
static FILLED: [Mutex<[Option<u64>; COUNT]>; CONTEXTS] = [const { Mutex::new([None; COUNT]) }; CONTEXTS];

/// Writes a different value, made of `seed`, to every register that takes it; returns how many do.
///
/// Refused writes raise exceptions, which change the first registers of the table: those are written last.
pub(crate) fn fill(context: &Context, seed: u64) -> Answer {
    let mut filled = FILLED.get(context.index()).ok_or(Failure::NoRoom)?.lock();
    let order = || (CHANGED_BY_EXCEPTIONS..COUNT).chain(0..CHANGED_BY_EXCEPTIONS);
    for i in order() {
        // ELR_EL1 and SPSR_EL1 are written by the exception return of a probe, too: last of all, they stay.
        let value = seed.wrapping_add((i as u64).wrapping_mul(0x0101_0101_0101_0101));
        let written = TABLE.get(i).is_some_and(|register| (register.write)(value).is_ok());
        if let Some(slot) = filled.get_mut(i) {
            *slot = written.then_some(value);
        }
    }
    // What is read back is what counts: many registers do not keep every bit.
    for (register, slot) in TABLE.iter().zip(filled.iter_mut()) {
        *slot = slot.and_then(|_| (register.read)().ok());
    }
    Ok([filled.iter().flatten().count() as u64, COUNT as u64, 0, 0])
}

/// Compares every register with what [`fill`] left there. A mismatch names its place in the table.
pub(crate) fn check(context: &Context) -> Answer {
    let filled = FILLED.get(context.index()).ok_or(Failure::NoRoom)?.lock();
    let mut count = 0;
    for (i, (register, expected)) in TABLE.iter().zip(filled.iter()).enumerate() {
        let Some(expected) = *expected else { continue };
        let found = (register.read)()?;
        if found != expected {
            return Err(Failure::Mismatch { at: i as u64, found, expected });
        }
        count += 1;
    }
    Ok([count, 0, 0, 0])
}

/// Counts the readable registers that hold `pattern` (all of it, or its low 32 bits); returns the first one's place.
pub(crate) fn leak(pattern: u64) -> Answer {
    let alike = |value: u64| value == pattern || value == u64::from(pattern as u32);
    let readable = || TABLE.iter().enumerate().filter_map(|(i, register)| Some((i, (register.read)().ok()?)));
    let found = || readable().filter(|&(_, value)| alike(value));
    let first = found().next().map_or(u64::MAX, |(i, _)| i as u64);
    Ok([found().count() as u64, first, readable().count() as u64, 0])
}

/// Reads register `index` of the table.
pub(crate) fn read(index: u64) -> Answer {
    let register = TABLE.get(index as usize).ok_or(Failure::BadCommand)?;
    Ok([(register.read)()?, 0, 0, 0])
}

/// Fills x8 to x28 with a pattern, calls with x0 to x3, and checks x18 and x20 to x28, which a call must keep.
/// Returns x0 to x2 of the answer and a mask of the registers x8 to x17 that came back changed.
pub(crate) fn across_call([mut x0, mut x1, mut x2, x3]: [u64; 4]) -> Answer {
    const PATTERN: u64 = 0x5a5a_0000_0000_0000;
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
    let changed = |&n: &usize| found.get(n).is_some_and(|&value| value != PATTERN | n as u64);
    if let Some(n) = (18..=28).filter(|&n| n != 19).find(changed) {
        let value = found.get(n).copied().unwrap_or(0);
        return Err(Failure::Mismatch { at: n as u64, found: value, expected: PATTERN | n as u64 });
    }
    Ok([x0, x1, x2, (8..=17).filter(changed).map(|n| 1 << n).sum()])
}
