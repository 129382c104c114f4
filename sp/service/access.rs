// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accesses that may fault, instructions that may be undefined, and ways to die.

use crate::{Answer, Failure};
use core::arch::asm;
use ffa_abi::Func;
use sp_protocol::{death, mapping, probe};
use sp_rt::{
    Fault, give_up,
    mmu::{self, Access, Attributes},
    smc,
};

const PAGE: u64 = 4096;
/// CPACR_EL1: SVE (ZEN), FP and SIMD (FPEN), SME (SMEN).
const EVERYTHING: u64 = 3 << 16 | 3 << 20 | 3 << 24;
/// An address that no partition has: the SPMC's own image.
const FOREIGN: u64 = 0x0e10_0000;

/// Reads (0), writes (1) or executes (2) at `address`, width 4, mapped as `how` says.
///
/// A fault of stage 1 is caught; one of stage 2 is the SPMC's.
pub(crate) fn access(kind: u64, address: u64, how: u64, value: u64) -> Answer {
    let (non_secure, device) = match how & !mapping::STAY {
        mapping::KEEP => return Ok([try_access(kind, address, value)?, 0, 0, 0]),
        mapping::SECURE => (false, false),
        mapping::NON_SECURE => (true, false),
        mapping::SECURE_DEVICE => (false, true),
        mapping::NON_SECURE_DEVICE => (true, true),
        // Not a way to map.
        _ => return Err(Failure::BadCommand),
    };
    let access = match kind {
        0 => Access::ReadOnly,
        1 => Access::ReadWrite,
        // Anything else is refused by `try_access`.
        _ => Access::Execute,
    };
    let page = address & !(PAGE - 1);
    mmu::map(page, PAGE, Attributes { access, non_secure, device }).map_err(|_| Failure::NoRoom)?;
    let result = try_access(kind, address, value);
    if how & mapping::STAY == 0 {
        mmu::unmap(page, PAGE).map_err(|_| Failure::NoRoom)?;
    }
    Ok([result?, 0, 0, 0])
}

fn try_access(kind: u64, address: u64, value: u64) -> Result<u64, Failure> {
    let mut read = value;
    // SAFETY: the command asks for it. A test must not name memory that this partition's Rust code lives by, and what
    // it has executed must be a RET.
    let result: Result<(), Fault> = unsafe {
        match kind {
            0 => sp_rt::probe!(("ldr {v:w}, [{a}]"), v = inout(reg) read, a = in(reg) address, options(nostack)),
            1 => sp_rt::probe!(("str {v:w}, [{a}]"), v = in(reg) read, a = in(reg) address, options(nostack)),
            2 => sp_rt::probe!(("blr {a}"), a = in(reg) address, out("x30") _),
            // Not a kind of access.
            _ => return Err(Failure::BadCommand),
        }
    };
    result?;
    if kind != 0 {
        read = 0;
    }
    Ok(read)
}

/// Tries one read that may be refused.
macro_rules! read {
    ($text:literal) => {{
        let value: u64;
        // SAFETY: the instruction changes nothing but its output.
        let result = unsafe { sp_rt::probe!(($text), v = inout(reg) 0_u64 => value, options(nostack)) };
        result.map(|()| value)
    }};
}

/// Tries one instruction without an output.
macro_rules! run {
    ($text:literal) => {{
        // SAFETY: the SPMC refuses the instruction, or it has no effect on this partition's memory.
        let result = unsafe { sp_rt::probe!(($text), options(nostack)) };
        result.map(|()| 0)
    }};
}

/// Tries something that the SPMC may have denied; returns what was read.
pub(crate) fn probe(what: u64) -> Answer {
    // What the partition may enable by itself, it does, so that a refusal is the SPMC's.
    // SAFETY: this partition's code uses none of the registers that become usable.
    unsafe { asm!("msr cpacr_el1, {}", "isb", in(reg) EVERYTHING, options(nostack)) };
    let result: Result<u64, Fault> = match what {
        probe::UDF => run!(".inst 0"),
        probe::SVE => {
            let value: u64;
            // SAFETY: RDVL x0, #1 changes nothing but its output.
            let result = unsafe { sp_rt::probe!((".inst 0x04bf5020"), inout("x0") 0_u64 => value, options(nostack)) };
            result.map(|()| value)
        }
        probe::SME => run!(".inst 0xd503477f"),
        probe::PMU => read!("mrs {v}, pmccntr_el0"),
        probe::DEBUG => read!("mrs {v}, mdscr_el1"),
        probe::BREAKPOINT => read!("mrs {v}, dbgbvr0_el1"),
        probe::SPE => read!("mrs {v}, S3_0_C9_C9_0"),
        probe::TRACE => read!("mrs {v}, S3_0_C1_C2_1"),
        probe::AMU => read!("mrs {v}, S3_3_C13_C2_0"),
        probe::MTE => read!("mrs {v}, S3_0_C1_C0_6"),
        probe::PAUTH_KEY => read!("mrs {v}, S3_0_C2_C1_0"),
        probe::PHYSICAL_COUNTER => read!("mrs {v}, cntpct_el0"),
        probe::PHYSICAL_TIMER => read!("mrs {v}, cntp_ctl_el0"),
        probe::VIRTUAL_TIMER => read!("mrs {v}, cntv_ctl_el0"),
        probe::SECURE_TIMER => read!("mrs {v}, cntps_ctl_el1"),
        probe::EL2_REGISTER => read!("mrs {v}, hcr_el2"),
        probe::EL3_REGISTER => read!("mrs {v}, scr_el3"),
        probe::RNDR => read!("mrs {v}, S3_3_C2_C4_0"),
        probe::GIC_PRIORITY => read!("mrs {v}, S3_0_C4_C6_0"),
        probe::GIC_ACKNOWLEDGE => read!("mrs {v}, S3_0_C12_C12_0"),
        probe::GIC_SGI => run!("msr S3_0_C12_C11_5, xzr"),
        probe::GIC_SRE => read!("mrs {v}, S3_0_C12_C12_5"),
        probe::ACTLR => read!("mrs {v}, actlr_el1"),
        probe::TRANSLATE_EL2 => run!("at s12e1r, xzr"),
        probe::TLBI_EL2 => run!("tlbi alle1"),
        probe::SET_WAY => run!("dc cisw, xzr"),
        probe::HLT => run!("hlt #0"),
        probe::OS_LOCK => run!("msr oslar_el1, xzr"),
        // Not a thing to try.
        _ => return Err(Failure::BadCommand),
    };
    Ok([result?, 0, 0, 0])
}

/// Uses the stack up.
#[inline(never)]
#[expect(unconditional_recursion, reason = "the stack's end is what it is for")]
fn recurse(depth: u64) -> u64 {
    let frame = core::hint::black_box([depth; 64]);
    recurse(depth + 1) + frame.iter().sum::<u64>()
}

/// Dies in the way that `how` says; returns only when that did not work.
pub(crate) fn die(how: u64) -> Answer {
    // SAFETY: none of these comes back, and the ones that fault touch nothing.
    unsafe {
        match how {
            death::STAGE1_FAULT => asm!("ldr x0, [{}]", in(reg) FOREIGN, out("x0") _),
            death::STACK_OVERFLOW => return Ok([recurse(0), 0, 0, 0]),
            death::FFA_ABORT => give_up(),
            death::FFA_ERROR => {
                let [a, b, c, d, ..] = smc([Func::Error.id32().into(), 0, -8_i32 as u32 as u64, 0, 0, 0, 0, 0]);
                return Ok([a, b, c, d]);
            }
            death::UNDEFINED => asm!(".inst 0"),
            death::PANIC => panic!("as asked"),
            death::STAGE2_FAULT => return access(0, FOREIGN, mapping::SECURE, 0),
            death::STAGE2_FETCH => return access(2, FOREIGN, mapping::SECURE, 0),
            death::BREAKPOINT => asm!("brk #0"),
            // Not a way to die.
            _ => return Err(Failure::BadCommand),
        }
    }
    Err(Failure::BadCommand)
}
