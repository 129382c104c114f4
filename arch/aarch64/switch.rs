// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is on the CPU: entering partitions, calling the SPMD, and moving EL1 state between them.

use core::sync::atomic::Ordering::Relaxed;

use ffa_abi::Regs;
use spmc::{Exit, Fault, FaultKind};

use crate::asm::{self, EXIT_FIQ, EXIT_IRQ, EXIT_SERROR, EXIT_SYNC};
use crate::context::{Context, Groups, Keys, Rare, Timers};
use crate::percpu::{self, Live, PerCpu};
use crate::{gic, simd, timer, trap, traps};

/// Exception classes of ESR_EL2 that are calls.
const EC_HVC: u64 = 0x16;
const EC_SMC: u64 = 0x17;
/// The class of a first use of SIMD.
const EC_SIMD: u64 = 0x07;
/// The class of an SError, and what DISR_EL1 holds of its syndrome: IDS, AET, EA, DFSC.
const EC_SERROR: u64 = 0x2f;
const SERROR_ISS: u64 = 0x1ff_ffff;

/// Runs a partition's execution context until something ends its run.
///
/// `regs` are x0-x17 on entry and on return. The caller holds the context in the state machine.
#[inline]
pub fn run(context: &'static Context, regs: &mut Regs) -> Exit {
    let cpu = percpu::this();
    if cpu.live.get() != Live::context(context) || context.loaded_on.load(Relaxed) != cpu.address() {
        switch_in(cpu, context);
    }
    loop {
        // SAFETY: EL1, stage 2 and SIMD state are the context's (`switch_in`).
        let vector = unsafe { asm::enter(context, regs) };
        if vector == EXIT_SYNC {
            let esr = mrs!("esr_el2");
            let class = esr >> 26 & 0x3f;
            if class == EC_SMC {
                skip(context);
                return Exit::Smc;
            }
            if class == EC_HVC {
                return Exit::Hvc;
            }
            if class == EC_SIMD {
                simd::give(context);
            } else if let Some(exit) = trap::handle(context, regs, esr) {
                return exit;
            }
        } else {
            return interrupted(context, vector);
        }
    }
}

#[inline(never)]
fn interrupted(context: &Context, vector: u64) -> Exit {
    let cpu = percpu::this();
    match vector {
        EXIT_IRQ => Exit::SecureInterrupt,
        EXIT_FIQ => Exit::NormalInterrupt,
        EXIT_SERROR => serror(cpu, context, mrs!("esr_el2")),
        // EXIT_DEFERRED, the only other value: whatever else ended the run is of no more interest.
        _ => {
            let syndrome = mrs!("S3_0_C12_C1_1"); // DISR_EL1
            // SAFETY: empties the record of a deferred SError, which is dealt with here.
            unsafe { msr!("S3_0_C12_C1_1", 0) };
            serror(cpu, context, EC_SERROR << 26 | syndrome & SERROR_ISS)
        }
    }
}

/// Charges an SError to the context that ran.
fn serror(cpu: &PerCpu, context: &Context, esr: u64) -> Exit {
    let pc = context.elr.load(Relaxed);
    failed(cpu, Fault { kind: FaultKind::SError, esr, pc, va: 0, ipa: None })
}

/// Records a fault. The hardware keeps the context's registers: it may be let go on.
pub(crate) fn failed(cpu: &PerCpu, fault: Fault) -> Exit {
    cpu.fault.set(fault);
    Exit::Fault
}

/// Moves a context's program counter past a trapped instruction.
#[inline(always)]
pub(crate) fn skip(context: &Context) {
    context.elr.store(context.elr.load(Relaxed).wrapping_add(4), Relaxed);
}

/// Loads a context's EL1 and EL0 state, after saving the Normal world's if that is what the hardware holds.
fn switch_in(cpu: &PerCpu, context: &Context) {
    if cpu.live.get() == Live::NORMAL {
        asm::el1_save(&cpu.el1);
    }
    if context.wants() | cpu.unusual.get() != 0 {
        adapt(cpu, context);
    }
    // A context that was live here was parked or has ended: nothing to save.
    if cpu.simd.get() != Live::NORMAL {
        simd::drop_live(cpu);
    }
    // SAFETY: the values are the context's own; they take effect in its translation regime only, at its entry.
    unsafe {
        asm::el1_load(&context.el1);
        asm::identity_load(context);
    }
    context.loaded_on.store(cpu.address(), Relaxed);
    cpu.current.set(context);
    cpu.live.set(Live::context(context));
}

/// Sets up what differs from CPU to CPU or context to context only where something is unusual.
#[cold]
#[inline(never)]
fn adapt(cpu: &PerCpu, context: &Context) {
    // Signalled: the Normal world's own mask stays, and what it lets through ends the run.
    if context.is_queued() || cpu.hold.get() {
        mask_normal(cpu);
    } else {
        restore_mask(cpu);
    }
    let groups = context.groups();
    if groups != cpu.open.get() {
        traps::open(cpu, groups);
    }
    if !groups.is_empty() {
        load_groups(cpu, context, groups);
    }
    let lines = context.lines.load(Relaxed);
    if lines != cpu.lines.get() {
        traps::set_lines(cpu, lines);
    }
    look_again(cpu);
}

/// Finds out anew whether anything is unusual on this CPU.
fn look_again(cpu: &PerCpu) {
    let masked = cpu.pmr.get().is_some() || cpu.hold.get();
    let groups = !cpu.open.get().is_empty() || !cpu.saved.get().is_empty();
    let unusual = masked || groups || cpu.lines.get() != 0;
    cpu.unusual.set(unusual.into());
}

/// Loads registers of `groups`, after saving the Normal world's where the hardware still holds them.
pub(crate) fn load_groups(cpu: &PerCpu, context: &Context, groups: Groups) {
    save_groups(groups - cpu.saved.get(), &cpu.keys, &cpu.timers, &cpu.rare);
    // SAFETY: the registers are the context's, which is live.
    unsafe { restore_groups(groups, &context.keys, &context.timers, &context.rare) };
    cpu.saved.set(cpu.saved.get() | groups);
}

/// Saves the registers of `groups` that the hardware holds.
fn save_groups(groups: Groups, keys: &Keys, timers: &Timers, rare: &Rare) {
    // SAFETY: stores to the areas, whose fields are atomics; the registers exist, since a trap or a reset found them.
    unsafe {
        if groups.contains(Groups::KEYS) {
            asm::keys_save(keys);
        }
        if groups.contains(Groups::TIMERS) {
            asm::timers_save(timers);
        }
        if groups.contains(Groups::RARE) {
            asm::rare_save(rare);
        }
    }
}

/// Loads the registers of `groups`.
///
/// # Safety
///
/// What is entered at EL1 next is what they belong to.
unsafe fn restore_groups(groups: Groups, keys: &Keys, timers: &Timers, rare: &Rare) {
    // SAFETY: S-EL2 depends on none of them (it does not sign pointers); the registers exist, as above.
    unsafe {
        if groups.contains(Groups::KEYS) {
            asm::keys_load(keys);
        }
        if groups.contains(Groups::TIMERS) {
            asm::timers_load(timers);
        }
        if groups.contains(Groups::RARE) {
            asm::rare_load(rare);
        }
    }
}

/// Sets a context's virtual interrupt lines, in the hardware too if they are there.
pub(crate) fn set_lines(context: &Context, lines: u64) {
    let cpu = percpu::this();
    context.lines.store(lines, Relaxed);
    if cpu.live.get() == Live::context(context) && cpu.lines.get() != lines {
        traps::set_lines(cpu, lines);
    }
}

/// Saves a context's EL1 and EL0 state if this CPU holds it, so that any CPU may enter it next.
#[inline]
pub(crate) fn park(context: &Context) {
    let cpu = percpu::this();
    if cpu.live.get() != Live::context(context) {
        return;
    }
    asm::el1_save(&context.el1);
    context.loaded_on.store(0, Relaxed);
    cpu.live.set(Live::NONE);
    // The last step, so that those who have nothing more to save need no stack frame.
    if !context.groups().is_empty() || cpu.simd.get() != Live::NORMAL {
        park_rest(cpu, context);
    }
}

/// Saves what only some contexts have.
#[cold]
#[inline(never)]
fn park_rest(cpu: &PerCpu, context: &Context) {
    save_groups(context.groups(), &context.keys, &context.timers, &context.rare);
    if cpu.simd.get() != Live::NORMAL {
        simd::park(cpu, context);
    }
}

/// Answers the Normal world, or speaks to the SPMD; returns with the next call in `regs`.
///
/// x0-x17 go out and come in exactly as they are; the Normal world finds every other register as it left it.
#[inline(always)]
pub fn smc(regs: &mut Regs) {
    let cpu = percpu::this();
    if cpu.live.get() != Live::NORMAL {
        restore_normal(cpu);
    }
    if cpu.simd.get() != Live::NORMAL {
        simd::restore_normal(cpu);
    }
    asm::smc(regs);
}

/// Makes Non-secure interrupts wait at once, if the context runs on this CPU.
pub(crate) fn keep_waiting(context: &Context) {
    let cpu = percpu::this();
    if cpu.live.get() == Live::context(context) {
        mask_normal(cpu);
    }
}

fn mask_normal(cpu: &PerCpu) {
    if cpu.pmr.get().is_none() {
        cpu.pmr.set(Some(gic::mask_normal()));
        cpu.unusual.set(1);
        timer::start_deadline();
    }
}

#[inline(always)]
fn restore_mask(cpu: &PerCpu) {
    if let Some(mask) = cpu.pmr.take() {
        gic::set_mask(mask);
        timer::stop_deadline();
    }
}

#[inline(always)]
fn restore_normal(cpu: &PerCpu) {
    // SAFETY: the values are those that this CPU's hardware held when the Normal world left it.
    unsafe { asm::el1_load(&cpu.el1) };
    if cpu.unusual.get() != 0 {
        give_back(cpu);
    }
    cpu.live.set(Live::NORMAL);
}

/// Gives the Normal world back what `adapt` or a trap took.
#[cold]
#[inline(never)]
fn give_back(cpu: &PerCpu) {
    restore_mask(cpu);
    let saved = cpu.saved.get();
    if !saved.is_empty() {
        // SAFETY: the values that this CPU's hardware held when the Normal world left it.
        unsafe { restore_groups(saved, &cpu.keys, &cpu.timers, &cpu.rare) };
        cpu.saved.set(Groups::empty());
    }
    look_again(cpu);
}
