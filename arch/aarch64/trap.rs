// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a partition did that trapped: answered here when it concerns the machine alone, else an exit.

use core::sync::atomic::Ordering::Relaxed;

use ffa_abi::Regs;
use spmc::{Exit, Fault, FaultKind, Ipa};

use crate::context::{Context, Groups};
use crate::percpu::{self, PerCpu};
use crate::switch::{failed, load_groups, skip};
use crate::{idregs, timer, traps};

/// Exception classes of ESR_EL2.
mod ec {
    pub(super) const WFX: u64 = 0x01;
    pub(super) const PAUTH: u64 = 0x09;
    pub(super) const SYSREG: u64 = 0x18;
    pub(super) const INSTRUCTION_ABORT: u64 = 0x20;
    pub(super) const DATA_ABORT: u64 = 0x24;
}

/// Handles a trap that is not a call. `None`: the partition goes on.
#[cold]
#[inline(never)]
pub(crate) fn handle(context: &Context, regs: &mut Regs, esr: u64) -> Option<Exit> {
    let cpu = percpu::this();
    match esr >> 26 & 0x3f {
        ec::WFX => {
            skip(context);
            return Some(Exit::Wait);
        }
        ec::PAUTH => use_group(cpu, context, Groups::KEYS),
        ec::SYSREG => return system_register(cpu, context, regs, esr),
        ec::INSTRUCTION_ABORT => return Some(abort(cpu, context, FaultKind::InstructionAbort, esr)),
        ec::DATA_ABORT => return Some(abort(cpu, context, FaultKind::DataAbort, esr)),
        // Everything else is an instruction that this partition does not have.
        _ => undefined(context),
    }
    None
}

fn abort(cpu: &PerCpu, context: &Context, kind: FaultKind, esr: u64) -> Exit {
    let va = mrs!("far_el2");
    let fault = Fault { kind, esr, pc: context.elr.load(Relaxed), va, ipa: fault_ipa(esr, va) };
    failed(cpu, fault)
}

/// Finds the IPA of an abort in HPFAR_EL2, which has none for an external abort or a permission fault of the access
/// itself. Stage 1 is not asked to translate again (AT): its tables may be anywhere by now, and an abort of that walk
/// would be taken at S-EL2.
fn fault_ipa(esr: u64, va: u64) -> Option<Ipa> {
    let permission = esr & 0x3c == 0x0c;
    let external = esr & 0x3f == 0x10;
    let on_walk = esr & 1 << 7 != 0;
    let page = (mrs!("hpfar_el2") >> 4 & 0xfff_ffff_ffff) << 12;
    (on_walk || !(permission || external)).then_some(Ipa(page | va & 0xfff))
}

/// Gives a group of registers to a context for good, and lets it try again.
fn use_group(cpu: &PerCpu, context: &Context, group: Groups) {
    let groups = context.add_group(group);
    traps::open(cpu, groups);
    load_groups(cpu, context, group);
}

/// Makes the context take an Undefined Instruction exception at EL1, as if the instruction did not exist.
pub(crate) fn undefined(context: &Context) {
    const IL: u64 = 1 << 25;
    const SSBS: u64 = 1 << 12;
    const PAN: u64 = 1 << 22;
    const AARCH32: u64 = 1 << 4;
    let old = context.spsr.load(Relaxed);
    let offset = match old & 0x1f {
        0b00101 => 0x200, // EL1h
        0b00100 => 0x000, // EL1t
        mode if mode & AARCH32 != 0 => 0x600,
        _ => 0x400, // EL0
    };
    let sctlr = mrs!("sctlr_el1");
    // NZCV, DIT and PAN stay; EL1h with DAIF masked; PAN unless SCTLR_EL1.SPAN, SSBS as SCTLR_EL1.DSSBS.
    let mut new = old & (0xf << 28 | 1 << 24 | PAN) | 0x3c5;
    if sctlr & 1 << 23 == 0 {
        new |= PAN;
    }
    if sctlr & 1 << 44 != 0 {
        new |= SSBS;
    }
    // SAFETY: the context is live: these are its registers, as the exception would leave them.
    unsafe {
        msr!("esr_el1", IL);
        msr!("elr_el1", context.elr.load(Relaxed));
        msr!("spsr_el1", old);
    }
    context.elr.store(mrs!("vbar_el1").wrapping_add(offset), Relaxed);
    context.spsr.store(new, Relaxed);
}

/// A system register as ESR_EL2's ISS names it: op0, op1, CRn, CRm, op2.
const fn name(op0: u64, op1: u64, crn: u64, crm: u64, op2: u64) -> u64 {
    op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1
}

const CCSIDR: u64 = name(3, 1, 0, 0, 0);
const CLIDR: u64 = name(3, 1, 0, 0, 1);
const CCSIDR2: u64 = name(3, 1, 0, 0, 2);
const CSSELR: u64 = name(3, 2, 0, 0, 0);
const CTR: u64 = name(3, 3, 0, 0, 1);
const ACTLR: u64 = name(3, 0, 1, 0, 1);
const AFSR0: u64 = name(3, 0, 5, 1, 0);
const AFSR1: u64 = name(3, 0, 5, 1, 1);
const AMAIR: u64 = name(3, 0, 10, 3, 0);
const CONTEXTIDR: u64 = name(3, 0, 13, 0, 1);
const MDSCR: u64 = name(2, 0, 0, 2, 2);
const OSLAR: u64 = name(2, 0, 1, 0, 4);
const OSDLR: u64 = name(2, 0, 1, 3, 4);
const PMCR: u64 = name(3, 3, 9, 12, 0);
const PMUSERENR: u64 = name(3, 3, 9, 14, 0);

fn system_register(cpu: &PerCpu, context: &Context, regs: &mut Regs, esr: u64) -> Option<Exit> {
    let register = esr & name(3, 7, 15, 15, 7);
    let rt = (esr >> 5 & 0x1f) as usize;
    let is_read = esr & 1 != 0;
    if matches!(register, AFSR0 | AFSR1 | AMAIR | CONTEXTIDR) {
        use_group(cpu, context, Groups::RARE);
        return None;
    }
    // The Normal world's timers keep running in the hardware: they must be able to preempt this very context.
    let is_timer = is_timer(register);
    if is_read {
        let value = if is_timer { Some(read_timer(context, register)) } else { read(context, register) };
        match value {
            Some(value) => set_register(context, regs, rt, value),
            None => undefined(context),
        }
        return None;
    }
    let value = register_value(context, regs, rt);
    if is_timer {
        write_timer(context, register, value);
    } else if register == CSSELR {
        context.csselr.store(value & 0x1f, Relaxed);
    } else if register != OSLAR && !is_harmless(register) {
        // Any other register is not the partition's.
        undefined(context);
        return None;
    }
    skip(context);
    is_timer.then_some(Exit::Timer)
}

/// Tells whether a register reads as zero and ignores writes: those are harmless at their reset values, and start-up
/// code of many systems reads and writes them.
fn is_harmless(register: u64) -> bool {
    const REGISTERS: [u32; 5] = [ACTLR as u32, MDSCR as u32, OSDLR as u32, PMCR as u32, PMUSERENR as u32];
    REGISTERS.contains(&(register as u32))
}

/// CNTP_* and CNTV_*_EL0: op1 3, CRn 14, CRm 2 and 3.
fn is_timer(register: u64) -> bool {
    let timer = register & name(3, 7, 15, 14, 0);
    timer == name(3, 3, 14, 2, 0)
}

/// Where the timers' control registers are in [`Timers`](crate::context::Timers); their compare values follow.
const VIRTUAL: usize = 0;
/// See [`VIRTUAL`].
const PHYSICAL: usize = 2;

fn timer_place(register: u64) -> usize {
    if register & name(0, 0, 0, 1, 0) != 0 { VIRTUAL } else { PHYSICAL }
}

/// Tells when the first timer of a context is to interrupt it; the virtual one only where it traps.
pub(crate) fn timer(context: &Context) -> Option<u64> {
    let traps = !context.groups().contains(Groups::TIMERS);
    let armed = |at| context.timers.get(at) & CTL_WRITABLE == CTL_ENABLE;
    let due = |at, counts: bool| if counts && armed(at) { context.timers.get(at + 1) } else { u64::MAX };
    let first = due(PHYSICAL, true).min(due(VIRTUAL, traps));
    (first != u64::MAX).then_some(first)
}

const CTL_WRITABLE: u64 = 0b11;
const CTL_ENABLE: u64 = 1 << 0;
const CTL_STATUS: u64 = 1 << 2;

/// Reads a timer as the context wrote it: its condition is computed.
fn read_timer(context: &Context, register: u64) -> u64 {
    let at = timer_place(register);
    let (ctl, compare, now) = (context.timers.get(at), context.timers.get(at + 1), timer::now());
    match register >> 17 & 7 {
        // TVAL: 32 bits, signed, downwards.
        0 => u64::from(compare.wrapping_sub(now) as u32),
        1 if ctl & CTL_ENABLE != 0 && now >= compare => ctl | CTL_STATUS,
        1 => ctl,
        // CVAL, the only other register of a timer.
        _ => compare,
    }
}

fn write_timer(context: &Context, register: u64, value: u64) {
    let at = timer_place(register);
    match register >> 17 & 7 {
        0 => context.timers.set(at + 1, timer::now().wrapping_add(value as u32 as i32 as u64)),
        1 => context.timers.set(at, value & CTL_WRITABLE),
        // As above.
        _ => context.timers.set(at + 1, value),
    }
}

fn read(context: &Context, register: u64) -> Option<u64> {
    match register {
        CTR => Some(mrs!("ctr_el0")),
        CLIDR => Some(mrs!("clidr_el1")),
        CSSELR => Some(context.csselr.load(Relaxed)),
        CCSIDR => Some(with_csselr(context, || mrs!("ccsidr_el1"))),
        CCSIDR2 => (mrs!("S3_0_C0_C7_2") >> 20 & 0xf != 0).then(|| with_csselr(context, || mrs!("S3_1_C0_C0_2"))),
        _ if is_harmless(register) => Some(0),
        _ => idregs::read(register),
    }
}

fn with_csselr<R>(context: &Context, f: impl FnOnce() -> R) -> R {
    let old = mrs!("csselr_el1");
    // SAFETY: CSSELR_EL1 selects what CCSIDR_EL1 shows; it is put back.
    unsafe { msr!("csselr_el1", context.csselr.load(Relaxed)) };
    barrier!("isb");
    let result = f();
    // SAFETY: as above.
    unsafe { msr!("csselr_el1", old) };
    result
}

fn register_value(context: &Context, regs: &Regs, rt: usize) -> u64 {
    regs.x.get(rt).copied().unwrap_or_else(|| context.high(rt))
}

/// Puts what a trapped read returns where it belongs, and goes on behind it.
#[inline(never)]
fn set_register(context: &Context, regs: &mut Regs, rt: usize, value: u64) {
    skip(context);
    match regs.x.get_mut(rt) {
        Some(x) => *x = value,
        None => context.set_high(rt, value),
    }
}
