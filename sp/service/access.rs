// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accesses that may fault, instructions that may be undefined, and ways to die.

use crate::{Answer, Failure};
use ffa_abi::Func;
use sp_protocol::{death, mapping, probe};
use sp_rt::{
    give_up,
    mmu::{self, Access, Attributes},
    smc,
    trial::{self, Instruction},
};

const PAGE: u64 = 4096;
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
    let access = match kind {
        0 => trial::Access::Read,
        1 => trial::Access::Write(value),
        2 => trial::Access::Execute,
        // Not a kind of access.
        _ => return Err(Failure::BadCommand),
    };
    Ok(trial::access(access, address).ok_or(Failure::BadCommand)??)
}

/// Tries something that the SPMC may have denied; returns what was read.
pub(crate) fn probe(what: u64) -> Answer {
    let instruction = match what {
        probe::UDF => Instruction::Udf,
        probe::SVE => Instruction::Sve,
        probe::SME => Instruction::Sme,
        probe::PMU => Instruction::Pmu,
        probe::DEBUG => Instruction::Debug,
        probe::BREAKPOINT => Instruction::Breakpoint,
        probe::SPE => Instruction::Spe,
        probe::TRACE => Instruction::Trace,
        probe::AMU => Instruction::Amu,
        probe::MTE => Instruction::Mte,
        probe::PAUTH_KEY => Instruction::PauthKey,
        probe::PHYSICAL_COUNTER => Instruction::PhysicalCounter,
        probe::PHYSICAL_TIMER => Instruction::PhysicalTimer,
        probe::VIRTUAL_TIMER => Instruction::VirtualTimer,
        probe::SECURE_TIMER => Instruction::SecureTimer,
        probe::EL2_REGISTER => Instruction::El2Register,
        probe::EL3_REGISTER => Instruction::El3Register,
        probe::RNDR => Instruction::Rndr,
        probe::GIC_PRIORITY => Instruction::GicPriority,
        probe::GIC_ACKNOWLEDGE => Instruction::GicAcknowledge,
        probe::GIC_SGI => Instruction::GicSgi,
        probe::GIC_SRE => Instruction::GicSre,
        probe::ACTLR => Instruction::Actlr,
        probe::TRANSLATE_EL2 => Instruction::TranslateEl2,
        probe::TLBI_EL2 => Instruction::TlbiEl2,
        probe::SET_WAY => Instruction::SetWay,
        probe::HLT => Instruction::Hlt,
        probe::OS_LOCK => Instruction::OsLock,
        // Not a thing to try.
        _ => return Err(Failure::BadCommand),
    };
    Ok([instruction.attempt()?, 0, 0, 0])
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
    match how {
        death::STAGE1_FAULT => trial::read_unmapped(FOREIGN),
        death::STACK_OVERFLOW => return Ok([recurse(0), 0, 0, 0]),
        death::FFA_ABORT => give_up(),
        death::FFA_ERROR => {
            let [a, b, c, d, ..] = smc([Func::Error.id32().into(), 0, -8_i32 as u32 as u64, 0, 0, 0, 0, 0]);
            return Ok([a, b, c, d]);
        }
        death::UNDEFINED => trial::undefined(),
        death::PANIC => panic!("as asked"),
        death::STAGE2_FAULT => return access(0, FOREIGN, mapping::SECURE, 0),
        death::STAGE2_FETCH => return access(2, FOREIGN, mapping::SECURE, 0),
        death::BREAKPOINT => trial::breakpoint(),
        // Not a way to die.
        _ => return Err(Failure::BadCommand),
    }
    Err(Failure::BadCommand)
}
