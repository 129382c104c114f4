// SPDX-License-Identifier: MIT OR Apache-2.0
//! The assembly files, and the Rust names of what is in them. Numbers come from Rust constants.

use core::arch::global_asm;
use core::mem::{offset_of, size_of};

use ffa_abi::Regs;

use crate::context::{Context, El1, Keys, Timers};
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

/// Bytes of a CPU's stack.
pub(crate) const STACK_SIZE: u64 = 16 << 10;
/// The address bit that is set in every stack and clear in the hole below it: a slot has twice as many bytes.
pub(crate) const STACK_BIT: u64 = 17;

// Assembler macros that the files share.
global_asm!(
    ".macro mov_imm, r, v",
    "movz \\r, #((\\v) & 0xffff)",
    "movk \\r, #(((\\v) >> 16) & 0xffff), lsl #16",
    "movk \\r, #(((\\v) >> 32) & 0xffff), lsl #32",
    "movk \\r, #(((\\v) >> 48) & 0xffff), lsl #48",
    ".endm",
    // A speculation barrier that every implementation has.
    ".macro sb_",
    "dsb nsh",
    "isb",
    ".endm",
);

global_asm!(
    include_str!("boot.S"),
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
    percpu = sym PERCPU,
    mpidrs = sym platform::MPIDRS,
    stage1 = sym mmu::STAGE1_L1,
    build_tables = sym mmu::build_tables,
    cold = sym boot::cold,
    warm = sym boot::warm,
    serve = sym boot::serve,
);
global_asm!(
    include_str!("vectors.S"),
    EXIT_SYNC = const EXIT_SYNC,
    EXIT_IRQ = const EXIT_IRQ,
    EXIT_FIQ = const EXIT_FIQ,
    EXIT_SERROR = const EXIT_SERROR,
    STACK_BIT = const STACK_BIT,
    STACKS_VA = const mmu::STACKS_VA,
    STACK_SIZE = const STACK_SIZE,
    PERCPU_INDEX = const offset_of!(PerCpu, index),
    own_fatal = sym report::own_fatal,
);
global_asm!(include_str!("switch.S"), X18 = const offset_of!(Context, x18));
global_asm!(include_str!("mem.S"));
global_asm!(include_str!("simd.S"));

unsafe extern "C" {
    /// Enters a partition; returns the vector that ended it.
    pub(crate) fn context_enter(context: *const Context, regs: *mut Regs) -> u64;
    pub(crate) fn smc_call(regs: *mut Regs);
    pub(crate) fn message_save(context: *const Context, regs: *const Regs);
    pub(crate) fn message_load(context: *const Context, regs: *mut Regs);
    pub(crate) fn el1_save(to: *const El1);
    pub(crate) fn el1_load(from: *const El1);
    pub(crate) fn keys_save(to: *const Keys);
    pub(crate) fn keys_load(from: *const Keys);
    pub(crate) fn timers_save(to: *const Timers);
    pub(crate) fn timers_load(from: *const Timers);
    pub(crate) fn mem_copy(to: u64, from: u64, bytes: u64) -> u64;
    pub(crate) fn mem_zero(at: u64, bytes: u64, line: u64) -> u64;
    pub(crate) fn warm_entry();
}
