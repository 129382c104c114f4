// SPDX-License-Identifier: MIT OR Apache-2.0
//! The properties in the root of a partition manifest.

use ffa_abi::{PartitionId, Version};

use super::node::{Node, Value, Warn};
use super::property::{Property, table};
use super::refusal::name;
use super::services::read_lists;
use super::{
    AbortAction, Format, MAX_CPUS, NsInterruptAction, OtherSecureInterruptAction, PartitionManifest, PowerMessages,
    Refusal, SriPolicy, VmAvailability, hub,
};
use crate::Pa;

table! {
    pub(super) static PROPERTIES = [
        Property::strings("compatible: \"arm,ffa-manifest-1.0\" or \"arm,ffa-manifest-1.1\"").required(),
        Property::string("description"),
        Property::string("debug_name"),
        Property::bytes("uuid: <w1 w2 w3 w4> for each service"),
        Property::bytes("messaging-method"),
        Property::range("ffa-version: 0x10000 to 0x10002: major in bits 31:16, minor in 15:0", 0, 0x10002).required(),
        // The Normal world's half, the SPMC's own and the SPMD's identifier are no partition's.
        Property::range("id: 0x8001 to 0xfffe; or leave it out", 0x8001, 0xfffe),
        Property::range("auxiliary-id: 0x8001 to 0xfffe; or leave it out", 0x8001, 0xfffe),
        Property::range("execution-ctx-count: 1, or the number of CPUs (at most 8)", 1, MAX_CPUS as u32).required(),
        Property::range("exception-level: 2 (S-EL1); 0 is a VM's EL1 and 1 is S-EL0, which are not run", 2, 2)
            .required(),
        Property::range("execution-state: 0 (AArch64)", 0, 0).required(),
        Property::number("load-address"),
        Property::number("entrypoint-offset"),
        Property::range("xlat-granule: 0 (4 KiB)", 0, 0),
        Property::range("boot-order: a number of 16 bits", 0, 0xffff),
        Property::range("gp-register-num: 0 to 3, for x0 to x3", 0, u32::MAX),
        Property::range("ns-interrupts-action: 0 (queued), 1 (managed exit) or 2 (signalled)", 0, 2),
        Property::flag("managed-exit"),
        Property::flag("managed-exit-virq"),
        Property::range("other-s-interrupts-action: 0 (queued) or 1 (signalled)", 0, 1),
        Property::range("sri-interrupts-policy: bits 0 and 1 only", 0, 3),
        Property::flag("notification-support"),
        Property::bits("power-management-messages", PowerMessages::all().bits() as u32),
        Property::range("vm-availability-messages: bits 0 (created) and 1 (destroyed) only", 0, 3),
        Property::flag("lifecycle-support"),
        Property::range("abort-action: 0 (stop), 1 (destroy), 2 (restart) or 3 (propagate)", 0, 3),
        Property::bytes("hub-queue"),
        Property::bytes("smc_whitelist"),
        Property::flag("smc_whitelist_permissive"),
    ];
}

/// Reads the root's properties and holds them against each other; nodes come later.
pub(super) fn read(node: &Node<'_>, out: &mut PartitionManifest, warn: &mut impl Warn) -> Result<(), Refusal> {
    let mut room = node.room();
    #[rustfmt::skip]
    let [
        compatible, description, debug_name, uuid, messaging, ffa_version, id, auxiliary_id, contexts, _level, _state,
        load_address, entrypoint_offset, _granule, boot_order, gp_register, ns_interrupts, managed_exit,
        managed_exit_virq, other_secure, sri_policy, notification_support, power, vm_availability, lifecycle,
        abort_action, hub_queue, functions, permissive, ..
    ] = node.read(&PROPERTIES, &mut room, warn)?;
    if abort_action.is_present() && !lifecycle.is_present() {
        return Err(abort_action.conflict("the absence of lifecycle-support", "add it"));
    }
    out.format = format(compatible)?;
    out.ffa_version = version(ffa_version)?;
    out.ns_interrupts = ns_action(ns_interrupts, managed_exit, managed_exit_virq, warn);
    if other_secure.get() == Some(0) {
        out.other_secure_interrupts = OtherSecureInterruptAction::Queued;
        if out.ns_interrupts != NsInterruptAction::Queued {
            let rule = "queue Non-secure interrupts too, or write <1>";
            return Err(other_secure.conflict("ns-interrupts-action", rule));
        }
    }
    out.description = name(if description.is_present() { description.text() } else { debug_name.text() });
    out.id = id.get().map(|n| PartitionId(n as u16));
    out.auxiliary_id = auxiliary_id.get().map(|n| PartitionId(n as u16));
    out.execution_contexts = contexts.number as u16;
    out.load_address = load_address.get().map(Pa);
    out.entrypoint_offset = entrypoint_offset.number;
    out.boot_order = boot_order.get().map(|n| n as u16).filter(|&n| n != u16::MAX);
    out.gp_register = read_gp_register(gp_register)?;
    out.managed_exit_virq = managed_exit_virq.is_present();
    out.sri_policy = SriPolicy::from_bits_truncate(sri_policy.number as u8);
    out.notification_support = notification_support.is_present();
    // A context that migrates is on no CPU in particular.
    if contexts.number != 1 {
        let absent = PowerMessages::CPU_OFF | PowerMessages::CPU_ON;
        out.power_messages = PowerMessages::from_bits_truncate(power.or(absent.bits().into()) as u8);
    }
    out.vm_availability = VmAvailability::from_bits_truncate(vm_availability.number as u8);
    out.lifecycle_support = lifecycle.is_present();
    out.abort_action = match abort_action.number {
        1 => AbortAction::Destroy,
        2 => AbortAction::Restart,
        3 => AbortAction::Propagate,
        // 0, or absent.
        _ => AbortAction::Stop,
    };
    out.smcs.read(functions, permissive)?;
    out.hub_queue = hub::read_queue(hub_queue)?;
    if out.format == Format::V1_0 {
        read_lists(uuid, messaging, &mut out.services)?;
    }
    Ok(())
}

/// Takes the first binding of the list that is known.
fn format(v: &Value<'_, '_>) -> Result<Format, Refusal> {
    for text in v.texts() {
        match text {
            "arm,ffa-manifest-1.0" => return Ok(Format::V1_0),
            "arm,ffa-manifest-1.1" => return Ok(Format::V1_1),
            // Another binding in the list.
            _ => (),
        }
    }
    Err(v.text_out_of_rule(v.text()))
}

fn version(v: &Value<'_, '_>) -> Result<Version, Refusal> {
    let version = Version::from_bits(v.number as u32).filter(|&v| v >= Version::V1_0);
    version.ok_or_else(|| v.out_of_rule(v.number))
}

fn read_gp_register(v: &Value<'_, '_>) -> Result<Option<u8>, Refusal> {
    match v.get() {
        Some(n @ 0..=3) => Ok(Some(n as u8)),
        // Hafnium's word for "none".
        None | Some(0xffff_ffff) => Ok(None),
        Some(_) => Err(v.out_of_rule(v.number)),
    }
}

/// `managed-exit` is the FF-A v1.0 way to say `ns-interrupts-action = <1>`, and wins over it as in Hafnium.
fn ns_action(
    stated: &Value<'_, '_>,
    managed_exit: &Value<'_, '_>,
    virq: &Value<'_, '_>,
    warn: &mut impl Warn,
) -> NsInterruptAction {
    if managed_exit.is_present() && stated.is_present() && stated.number != 1 {
        stated.warn(warn, "is overruled by managed-exit");
    }
    let action = match stated.get() {
        _ if managed_exit.is_present() => NsInterruptAction::ManagedExit,
        Some(0) => NsInterruptAction::Queued,
        Some(1) => NsInterruptAction::ManagedExit,
        // 2, or absent.
        _ => NsInterruptAction::Signalled,
    };
    if virq.is_present() && action != NsInterruptAction::ManagedExit {
        virq.warn(warn, "has no effect without managed exit");
    }
    action
}
