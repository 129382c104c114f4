// SPDX-License-Identifier: MIT OR Apache-2.0
//! The assembly files, and the Rust names of what is in them. Numbers come from Rust constants.

use core::arch::{asm, global_asm};
use core::mem::{offset_of, size_of};

use ffa_abi::Regs;

use crate::context::{Context, El1, Keys, Rare, Timers};
use crate::percpu::{PERCPU, PerCpu};
use crate::{boot, mmu, platform, report};

/// The first value that `context_enter` returns: synchronous exception.
pub(crate) const EXIT_SYNC: u64 = 0;
/// IRQ.
pub(crate) const EXIT_IRQ: u64 = 1;
/// FIQ.
pub(crate) const EXIT_FIQ: u64 = 2;
/// SError.
pub(crate) const EXIT_SERROR: u64 = 3;
/// Any, with an SError of the partition's that ESB has moved to DISR_EL1.
pub(crate) const EXIT_DEFERRED: u64 = 4;

/// Bytes of a CPU's stack.
pub(crate) const STACK_SIZE: u64 = 8 << 10;
/// The address bit that is set in every stack and clear in the hole below it: a slot has twice as many bytes.
pub(crate) const STACK_BIT: u64 = 16;

// One block: nothing else promises that the macros come before the files that use them.
global_asm!(
    ".macro mov_imm, r, v",
    "movz \\r, #((\\v) & 0xffff)",
    ".irp at, 16, 32, 48",
    ".if ((\\v) >> \\at) & 0xffff",
    "movk \\r, #(((\\v) >> \\at) & 0xffff), lsl #\\at",
    ".endif",
    ".endr",
    ".endm",
    // A speculation barrier that every implementation has.
    ".macro sb_",
    "dsb nsh",
    "isb",
    ".endm",
    include_str!("boot.S"),
    include_str!("vectors.S"),
    include_str!("switch.S"),
    include_str!("mem.S"),
    include_str!("simd.S"),
    include_str!("sha256.S"),
    SCTLR_OFF = const mmu::SCTLR_OFF,
    SCTLR_ON = const mmu::SCTLR_ON,
    MAIR = const mmu::MAIR,
    TCR = const mmu::TCR,
    STACK_SIZE = const STACK_SIZE,
    STACKS_VA = const mmu::STACKS_VA,
    STACK_BIT = const STACK_BIT,
    BOOT_STACK_TOP = const mmu::BOOT_STACK_TOP,
    CPUS = const platform::CPUS,
    PERCPU_SIZE = const size_of::<PerCpu>(),
    PERCPU_INDEX = const offset_of!(PerCpu, index),
    PERCPU_BRANCHES = const offset_of!(PerCpu, branches),
    AFFINITY = const platform::AFFINITY,
    STRAY_SIZE = const size_of::<boot::Stray>(),
    EXIT_SYNC = const EXIT_SYNC,
    EXIT_IRQ = const EXIT_IRQ,
    EXIT_FIQ = const EXIT_FIQ,
    EXIT_SERROR = const EXIT_SERROR,
    EXIT_DEFERRED = const EXIT_DEFERRED,
    X18 = const offset_of!(Context, x18),
    percpu = sym PERCPU,
    stray = sym boot::STRAY,
    unlisted = sym boot::unlisted,
    mpidrs = sym platform::MPIDRS,
    stage1 = sym mmu::ROOT_L2,
    build_tables = sym mmu::build_tables,
    cold = sym boot::cold,
    warm = sym boot::warm,
    serve = sym boot::serve,
    own_fatal = sym report::own_fatal,
);

unsafe extern "C" {
    fn context_enter();
    pub(crate) fn vectors_history();
    pub(crate) fn rare_save(to: *const Rare);
    pub(crate) fn rare_load(from: *const Rare);
    pub(crate) fn keys_save(to: *const Keys);
    pub(crate) fn keys_load(from: *const Keys);
    pub(crate) fn timers_save(to: *const Timers);
    pub(crate) fn timers_load(from: *const Timers);
    pub(crate) fn mem_copy(to: u64, from: u64, bytes: u64) -> u64;
    pub(crate) fn mem_zero(at: u64, bytes: u64, line: u64) -> u64;
    pub(crate) fn warm_entry();
}

/// Enters a partition; returns the vector that ended its run.
///
/// # Safety
///
/// EL1, stage-2 and SIMD state in the hardware are the context's.
#[inline(always)]
pub(crate) unsafe fn enter(context: &Context, regs: &mut Regs) -> u64 {
    let vector: u64;
    // SAFETY: the routine stores to the context and to `regs` alone, and keeps x19, x29 and SP; all others are named.
    unsafe {
        asm!(
            "bl {enter}",
            enter = sym context_enter,
            inout("x0") core::ptr::from_ref(context) => vector,
            inout("x1") core::ptr::from_mut(regs) => _,
            out("x18") _, out("x20") _, out("x21") _, out("x22") _, out("x23") _, out("x24") _, out("x25") _,
            out("x26") _, out("x27") _, out("x28") _,
            clobber_abi("C"),
        );
    }
    vector
}

/// Calls EL3: x0-x17 go out and come in. EL3 preserves x19-x30.
#[inline(always)]
pub(crate) fn smc(regs: &mut Regs) {
    let x = &mut regs.x;
    // SAFETY: what EL3 does with the call does not concern this program's memory: it serves other worlds.
    unsafe {
        asm!(
            "smc #0",
            inout("x0") x[0], inout("x1") x[1], inout("x2") x[2], inout("x3") x[3], inout("x4") x[4], inout("x5") x[5],
            inout("x6") x[6], inout("x7") x[7], inout("x8") x[8], inout("x9") x[9], inout("x10") x[10],
            inout("x11") x[11], inout("x12") x[12], inout("x13") x[13], inout("x14") x[14], inout("x15") x[15],
            inout("x16") x[16], inout("x17") x[17], out("x18") _,
            options(nostack),
        );
    }
}

/// Copies x8-x17 from one place to another, five pairs.
macro_rules! move_message {
    ($from:expr, $to:expr) => {
        asm!(
            "ldp {a}, {b}, [{from}, #64]", "stp {a}, {b}, [{to}, #64]",
            "ldp {a}, {b}, [{from}, #80]", "stp {a}, {b}, [{to}, #80]",
            "ldp {a}, {b}, [{from}, #96]", "stp {a}, {b}, [{to}, #96]",
            "ldp {a}, {b}, [{from}, #112]", "stp {a}, {b}, [{to}, #112]",
            "ldp {a}, {b}, [{from}, #128]", "stp {a}, {b}, [{to}, #128]",
            from = in(reg) $from, to = in(reg) $to, a = out(reg) _, b = out(reg) _,
            options(nostack, preserves_flags),
        )
    };
}

/// Keeps x8-x17 of a message in a context.
#[inline(always)]
pub(crate) fn message_save(context: &Context, regs: &Regs) {
    // SAFETY: both begin with x0-x17 in order; the context's are atomics.
    unsafe { move_message!(core::ptr::from_ref(regs), core::ptr::from_ref(context)) };
}

/// Puts a context's x8-x17 into a message.
#[inline(always)]
pub(crate) fn message_load(context: &Context, regs: &mut Regs) {
    // SAFETY: as in `message_save`; `regs` is borrowed for it.
    unsafe { move_message!(core::ptr::from_ref(context), core::ptr::from_mut(regs)) };
}

/// The EL1 and EL0 registers that a partition and the Normal world both use and that cannot be trapped, or not
/// without a trap on every use: one list, both directions.
macro_rules! el1_registers {
    ($operation:ident, $at:expr) => {
        $operation!(
            $at,
            "sp_el0" "sp_el1" "0",
            "sctlr_el1" "vbar_el1" "16",
            "ttbr0_el1" "ttbr1_el1" "32",
            "tcr_el1" "mair_el1" "48",
            "tpidr_el0" "tpidrro_el0" "64",
            "tpidr_el1" "par_el1" "80",
            "elr_el1" "spsr_el1" "96",
            "esr_el1" "far_el1" "112",
            "cntkctl_el1" "cpacr_el1" "128"
        )
    };
}

macro_rules! save_pairs {
    ($at:expr, $($a:literal $b:literal $offset:literal),+) => {
        asm!(
            $(concat!("mrs {a}, ", $a), concat!("mrs {b}, ", $b), concat!("stp {a}, {b}, [{at}, #", $offset, "]"),)+
            at = in(reg) $at, a = out(reg) _, b = out(reg) _,
            options(nostack, preserves_flags),
        )
    };
}

macro_rules! load_pairs {
    ($at:expr, $($a:literal $b:literal $offset:literal),+) => {
        asm!(
            $(concat!("ldp {a}, {b}, [{at}, #", $offset, "]"), concat!("msr ", $a, ", {a}"), concat!("msr ", $b, ", {b}"),)+
            at = in(reg) $at, a = out(reg) _, b = out(reg) _,
            options(nostack, preserves_flags),
        )
    };
}

/// Loads what the hardware knows a context by: its VMPIDR_EL2, VSTTBR_EL2 and VTTBR_EL2.
///
/// # Safety
///
/// What is entered at EL1 next is the context.
#[inline(always)]
pub(crate) unsafe fn identity_load(context: &Context) {
    // SAFETY: reads three fields that follow each other, which context.rs makes sure of; the caller's contract.
    unsafe {
        asm!(
            "ldp {a}, {b}, [{at}]",
            "msr vmpidr_el2, {a}",
            "msr S3_4_C2_C6_0, {b}", // VSTTBR_EL2
            "ldr {a}, [{at}, #16]",
            "msr vttbr_el2, {a}",
            at = in(reg) &context.vmpidr, a = out(reg) _, b = out(reg) _,
            options(nostack, preserves_flags, readonly),
        );
    }
}

/// Saves the EL1 and EL0 registers that the hardware holds.
#[inline(always)]
pub(crate) fn el1_save(to: &El1) {
    // SAFETY: stores to `to`, whose fields are atomics, and nothing else; the list has as many registers.
    unsafe { el1_registers!(save_pairs, core::ptr::from_ref(to)) };
}

/// Loads the EL1 and EL0 registers.
///
/// # Safety
///
/// What is entered at EL1 next is what they belong to.
#[inline(always)]
pub(crate) unsafe fn el1_load(from: &El1) {
    // SAFETY: S-EL2 itself uses none of them; the caller's contract.
    unsafe { el1_registers!(load_pairs, core::ptr::from_ref(from)) };
}
