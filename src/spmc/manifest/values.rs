// SPDX-License-Identifier: MIT OR Apache-2.0
//! The values of a partition manifest's properties: each is read by itself.

use ffa_abi::{PartitionId, Version};

use super::node::{Value, Warn};
use super::partition::{
    AbortAction, ExceptionLevel, Format, NsInterruptAction, OtherSecureInterruptAction, PowerMessages,
};
use super::refusal::name;
use super::{Cause, MAX_CPUS, Refusal};

pub(super) const COMPATIBLE: &str = "\"arm,ffa-manifest-1.0\" or \"arm,ffa-manifest-1.1\"";

pub(super) fn format(v: &Value<'_, '_>) -> Result<Format, Refusal> {
    let texts = v.texts()?;
    let known = texts.clone().find_map(|t| match t {
        "arm,ffa-manifest-1.0" => Some(Format::V1_0),
        "arm,ffa-manifest-1.1" => Some(Format::V1_1),
        // Another binding in the list.
        _ => None,
    });
    known.ok_or_else(|| {
        let found = name(texts.clone().next().unwrap_or(""));
        v.refuse(Cause::Text { found, expected: COMPATIBLE }, "name the binding that this file is written in")
    })
}

pub(super) fn ffa_version(v: &Value<'_, '_>) -> Result<Version, Refusal> {
    let n = v.u32()?;
    Version::from_bits(n).filter(|f| (Version::V1_0..=Version::V1_2).contains(f)).ok_or_else(|| {
        v.wrong(n.into(), "0x10000 to 0x10002: major in bits 31:16, minor in 15:0", "write a version that is served")
    })
}

pub(super) fn partition_id(v: &Value<'_, '_>) -> Result<PartitionId, Refusal> {
    match v.u32()? {
        n @ 0x8001..=0xfffe => Ok(PartitionId(n as u16)),
        // The Normal world's half, the SPMC's or SPMD's, or no 16-bit number.
        n => Err(v.wrong(n.into(), "0x8001 to 0xfffe", "write a Secure identifier, or leave it out")),
    }
}

pub(super) fn context_count(v: &Value<'_, '_>) -> Result<u16, Refusal> {
    let n = v.u32()?;
    u16::try_from(n).ok().filter(|&n| (1..=MAX_CPUS).contains(&usize::from(n))).ok_or_else(|| {
        v.wrong(n.into(), "1, or the number of CPUs (at most 8)", "write 1, or one context for each CPU")
    })
}

pub(super) fn exception_level(v: &Value<'_, '_>) -> Result<ExceptionLevel, Refusal> {
    match v.u32()? {
        2 => Ok(ExceptionLevel::SEl1),
        1 => Err(v.wrong(1, "2 (S-EL1)", "S-EL0 partitions are not run: link it with a runtime at S-EL1")),
        // 0 is EL1: a VM's, not a Secure partition's.
        n => Err(v.wrong(n.into(), "2 (S-EL1)", "0 is a VM's EL1: for a Secure partition write <2>")),
    }
}

pub(super) fn zero(v: &Value<'_, '_>, expected: &'static str, fix: &'static str) -> Result<(), Refusal> {
    match v.u32()? {
        0 => Ok(()),
        // The binding names other values that the SPMC does not do.
        n => Err(v.wrong(n.into(), expected, fix)),
    }
}

pub(super) fn gp_register(v: &Value<'_, '_>) -> Result<Option<u8>, Refusal> {
    match v.u32()? {
        n @ 0..=3 => Ok(Some(n as u8)),
        // Hafnium's word for "none".
        u32::MAX => Ok(None),
        n => Err(v.wrong(n.into(), "0 to 3", "write the number of the register, x0 to x3")),
    }
}

pub(super) fn ns_action(v: &Value<'_, '_>) -> Result<NsInterruptAction, Refusal> {
    match v.u32()? {
        0 => Ok(NsInterruptAction::Queued),
        1 => Ok(NsInterruptAction::ManagedExit),
        2 => Ok(NsInterruptAction::Signalled),
        // No other action is defined.
        n => Err(v.wrong(n.into(), "0 (queued), 1 (managed exit) or 2 (signalled)", "choose one")),
    }
}

pub(super) fn other_action(v: &Value<'_, '_>) -> Result<OtherSecureInterruptAction, Refusal> {
    match v.u32()? {
        0 => Ok(OtherSecureInterruptAction::Queued),
        1 => Ok(OtherSecureInterruptAction::Signalled),
        // No other action is defined.
        n => Err(v.wrong(n.into(), "0 (queued) or 1 (signalled)", "choose one")),
    }
}

pub(super) fn abort_action(v: &Value<'_, '_>) -> Result<AbortAction, Refusal> {
    match v.u32()? {
        0 => Ok(AbortAction::Stop),
        1 => Ok(AbortAction::Destroy),
        2 => Ok(AbortAction::Restart),
        3 => Ok(AbortAction::Propagate),
        // No other action is defined.
        n => Err(v.wrong(n.into(), "0 (stop), 1 (destroy), 2 (restart) or 3 (propagate)", "choose one")),
    }
}

pub(super) fn bits<T>(v: &Value<'_, '_>, expected: &'static str, make: impl Fn(u8) -> Option<T>) -> Result<T, Refusal> {
    let n = v.u32()?;
    u8::try_from(n).ok().and_then(make).ok_or_else(|| v.wrong(n.into(), expected, "clear the other bits"))
}

pub(super) fn power_messages(v: &Value<'_, '_>, warn: Warn<'_>) -> Result<PowerMessages, Refusal> {
    let n = v.u32()?;
    let known = PowerMessages::from_bits_truncate((n & 0xff) as u8);
    if u32::from(known.bits()) != n {
        v.at.warn(warn, v.property, "has bits beyond CPU_OFF 0, CPU_SUSPEND 1, RESUME 2 and CPU_ON 3: no effect");
    }
    Ok(known)
}
