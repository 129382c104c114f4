// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition manifest (DEN0077A, "Partition properties"; bindings `arm,ffa-manifest-1.0` and `-1.1`).

use arrayvec::ArrayVec;
use bitflags::bitflags;
use ffa_abi::{PartitionId, Uuid, Version};

use super::core_manifest::require_compatible;
use super::machine::overlaps;
use super::node::{At, Node, Value, Warn, read_properties};
use super::refusal::name;
use super::values::{
    COMPATIBLE, abort_action, bits, context_count, exception_level, ffa_version, format, gp_register, ns_action,
    other_action, partition_id, power_messages, zero,
};
use super::{
    Cause, CheckedBlob, DeviceRegion, File, HubQueue, Interrupt, MAX_DEVICE_REGIONS, MAX_INTERRUPTS,
    MAX_MEMORY_REGIONS, MemoryRegion, Name, Refusal, RxTx, SmcAllowList, hub, regions, services,
};
use crate::Pa;

/// Most services (UUIDs) of one partition.
pub const MAX_SERVICES: usize = 8;

/// Holds what a partition's manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionManifest {
    /// The binding it is written in.
    pub format: Format,
    /// `description`; may be empty.
    pub description: Name,
    /// The version that the partition expects.
    pub ffa_version: Version,
    /// `id`: its identifier where it has a fixed one; bit 15 set.
    pub id: Option<PartitionId>,
    /// `auxiliary-id`: another identifier that memory transactions may name; bit 15 set.
    pub auxiliary_id: Option<PartitionId>,
    /// Its services, at least one, no two with one UUID.
    pub services: ArrayVec<Service, MAX_SERVICES>,
    /// `execution-ctx-count`: 1, or one for each CPU.
    pub execution_contexts: u16,
    /// Where it runs.
    pub exception_level: ExceptionLevel,
    /// `load-address`; a difference from the SPMC manifest's is a warning, the latter holds.
    pub load_address: Option<Pa>,
    /// `entrypoint-offset`, in bytes from the load address.
    pub entrypoint_offset: u64,
    /// `boot-order`: lower boots first, absent boots last.
    pub boot_order: Option<u16>,
    /// `gp-register-num`: the register, x0 to x3, that gets the boot information's address.
    pub gp_register: Option<u8>,
    /// Tells whether a `boot-info` node asks for the manifest itself (`ffa_manifest`) among the boot information.
    pub boot_info: bool,
    /// What a Non-secure interrupt does while it runs.
    pub ns_interrupts: NsInterruptAction,
    /// `managed-exit-virq`: the managed exit is signalled as vIRQ, else as vFIQ.
    pub managed_exit_virq: bool,
    /// What a Secure interrupt of another partition does while it runs.
    pub other_secure_interrupts: OtherSecureInterruptAction,
    /// When a Secure interrupt of its own is left to the Normal world's scheduler.
    pub sri_policy: SriPolicy,
    /// It receives notifications.
    pub notification_support: bool,
    /// The power events that it hears of; none for a partition with one context.
    pub power_messages: PowerMessages,
    /// The VM events that it hears of.
    pub vm_availability: VmAvailability,
    /// `lifecycle-support`.
    pub lifecycle_support: bool,
    /// `abort-action`, [`AbortAction::Stop`] where absent.
    pub abort_action: AbortAction,
    /// SMCs that are not FF-A and that it may make; the SPMC manifest's list is added to it.
    pub smcs: SmcAllowList,
    /// `memory-regions`.
    pub memory_regions: ArrayVec<MemoryRegion, MAX_MEMORY_REGIONS>,
    /// `device-regions`.
    pub device_regions: ArrayVec<DeviceRegion, MAX_DEVICE_REGIONS>,
    /// The interrupts of all device regions.
    pub interrupts: ArrayVec<Interrupt, MAX_INTERRUPTS>,
    /// `hub-queue`: it takes part in supervised messages, where the SPMC manifest turns them on.
    pub hub_queue: Option<HubQueue>,
    /// `rx_tx-info`: its mailbox, mapped at boot.
    pub rx_tx: Option<RxTx>,
}

/// Names the version of the manifest binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `arm,ffa-manifest-1.0`: `uuid` and `messaging-method` lists in the root.
    V1_0,
    /// `arm,ffa-manifest-1.1`: a `services` node.
    V1_1,
}

/// Holds one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Never nil.
    pub uuid: Uuid,
    /// Never empty.
    pub messaging: Messaging,
}

bitflags! {
    /// `messaging-method`, with the bits of a partition information descriptor's properties.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Messaging: u16 {
        /// Receives direct requests.
        const DIRECT_RECEIVE = 1 << 0;
        /// Sends direct requests.
        const DIRECT_SEND = 1 << 1;
        /// Sends and receives indirect messages.
        const INDIRECT = 1 << 2;
        /// Receives FFA_MSG_SEND_DIRECT_REQ2.
        const DIRECT2_RECEIVE = 1 << 9;
        /// Sends FFA_MSG_SEND_DIRECT_REQ2.
        const DIRECT2_SEND = 1 << 10;
    }

    /// `sri-interrupts-policy`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct SriPolicy: u8 {
        /// For an interrupt that comes while the partition waits.
        const WHILE_WAITING = 1 << 0;
        /// For one that is pending when it begins to wait.
        const ENTERING_WAIT = 1 << 1;
    }

    /// `power-management-messages`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct PowerMessages: u8 {
        /// A CPU goes off.
        const CPU_OFF = 1 << 0;
        /// A CPU suspends.
        const CPU_SUSPEND = 1 << 1;
        /// A CPU comes back from suspension.
        const CPU_SUSPEND_RESUME = 1 << 2;
        /// A CPU came on.
        const CPU_ON = 1 << 3;
    }

    /// `vm-availability-messages`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct VmAvailability: u8 {
        /// A VM was created.
        const CREATED = 1 << 0;
        /// A VM was destroyed.
        const DESTROYED = 1 << 1;
    }
}

/// Names a partition's exception level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionLevel {
    /// S-EL1.
    SEl1,
}

/// `ns-interrupts-action`, the weakest first, so that the strictest of a chain is its minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NsInterruptAction {
    /// 0: the interrupt waits until the partition is done.
    Queued,
    /// 1: the partition is told to finish and does so itself.
    ManagedExit,
    /// 2: the partition is preempted.
    Signalled,
}

/// `other-s-interrupts-action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherSecureInterruptAction {
    /// 0: the interrupt waits until the partition is done.
    Queued,
    /// 1: the partition is preempted.
    Signalled,
}

/// What is done with a partition that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AbortAction {
    /// 0: it never runs again.
    #[default]
    Stop,
    /// 1: and its memory is scrubbed and returned.
    Destroy,
    /// 2: it starts again from its image.
    Restart,
    /// 3: the system goes down with it.
    Propagate,
}

/// The root's properties as they stand, before they are held against each other.
#[derive(Default)]
struct Root<'n, 'a> {
    format: Option<Format>,
    description: Name,
    uuid: Option<Value<'n, 'a>>,
    messaging: Option<Value<'n, 'a>>,
    ffa_version: Option<Version>,
    id: Option<PartitionId>,
    auxiliary_id: Option<PartitionId>,
    execution_contexts: Option<u16>,
    exception_level: Option<ExceptionLevel>,
    execution_state: Option<()>,
    load_address: Option<Pa>,
    entrypoint_offset: u64,
    boot_order: Option<u16>,
    gp_register: Option<u8>,
    ns_interrupts: Option<NsInterruptAction>,
    managed_exit: bool,
    managed_exit_virq: bool,
    other_secure_interrupts: Option<OtherSecureInterruptAction>,
    sri_policy: SriPolicy,
    notification_support: bool,
    power_messages: Option<PowerMessages>,
    vm_availability: VmAvailability,
    lifecycle_support: bool,
    abort_action: Option<AbortAction>,
    hub_queue: Option<HubQueue>,
    smcs: SmcAllowList,
}

impl PartitionManifest {
    /// Reads a partition's manifest, dropping its warnings; relative offsets count from `load_address`, the SPMC
    /// manifest's. Fails with the first property that is wrong.
    pub fn parse(blob: &CheckedBlob<'_>, load_address: Pa) -> Result<Self, Refusal> {
        Self::parse_with(blob, load_address, &mut |_| ())
    }

    /// Reads a partition's manifest and tells what was tolerated in it.
    pub fn parse_with(blob: &CheckedBlob<'_>, load_address: Pa, warn: Warn<'_>) -> Result<Self, Refusal> {
        let node = Node::root(blob, File::Partition)?;
        let root = Root::read(&node, warn)?;
        let mut out = root.settle(&node.at, warn)?;
        if out.load_address.is_some_and(|a| a != load_address) {
            node.at.warn(warn, "load-address", "differs from load_address in the SPMC manifest, which holds");
        }
        let (mut services, mut memory, mut devices, mut mailbox) = (None, None, None, None);
        for child in node.children() {
            match child.name() {
                "services" => services = Some(child),
                "memory-regions" => memory = Some(child),
                "device-regions" => devices = Some(child),
                "rx_tx-info" => mailbox = Some(child),
                "boot-info" => out.boot_info = read_boot_info(&child, warn)?,
                // A node of somebody else's: partitions may keep their own settings here.
                _ => child.at.warn(warn, "", "is not known and has no effect"),
            }
        }
        out.services = match out.format {
            Format::V1_0 => services::read_lists(&node.at, root.uuid.as_ref(), root.messaging.as_ref())?,
            Format::V1_1 => services::read_nodes(&node.at, services.as_ref(), warn)?,
        };
        let direct2 = Messaging::DIRECT2_RECEIVE | Messaging::DIRECT2_SEND;
        if out.messaging().intersects(direct2) && out.ffa_version < Version::V1_2 {
            let fix = "declare ffa-version = <0x10002>, or clear bits 9 and 10";
            return Err(node.at.refuse("messaging-method", Cause::Conflict { with: "ffa-version" }, fix));
        }
        let mut phandles = regions::Phandles::new();
        if let Some(memory) = memory {
            out.memory_regions = regions::read_memory(&memory, load_address, &mut phandles, warn)?;
        }
        if let Some(devices) = devices {
            regions::read_devices(&devices, &mut out.device_regions, &mut out.interrupts, warn)?;
        }
        if let Some(mailbox) = mailbox {
            out.rx_tx = Some(regions::read_mailbox(&mailbox, &out.memory_regions, &phandles, warn)?);
        }
        Ok(out)
    }

    /// Returns the regions that a restart leaves as they are.
    pub fn preserved(&self) -> impl Iterator<Item = &MemoryRegion> {
        self.memory_regions.iter().filter(|r| r.preserved)
    }

    /// Returns a region with bytes in this range that a restart leaves as they are.
    pub fn preserves(&self, base: Pa, len: u64) -> Option<&MemoryRegion> {
        self.preserved().find(|r| overlaps((r.base.0, r.size()), (base.0, len)))
    }

    /// Returns every messaging method of any service.
    pub fn messaging(&self) -> Messaging {
        self.services.iter().fold(Messaging::empty(), |m, s| m | s.messaging)
    }
}

impl<'n, 'a> Root<'n, 'a> {
    fn read(node: &'n Node<'_, 'a>, warn: Warn<'_>) -> Result<Self, Refusal> {
        let mut r = Self::default();
        read_properties!(node, {
            "compatible" => |v| r.format = Some(format(&v)?),
            "description" => |v| r.description = name(v.text()?),
            "debug_name" => |v| r.description = name(v.text()?),
            "uuid" => |v| r.uuid = Some(v),
            "messaging-method" => |v| r.messaging = Some(v),
            "ffa-version" => |v| r.ffa_version = Some(ffa_version(&v)?),
            "id" => |v| r.id = Some(partition_id(&v)?),
            "auxiliary-id" => |v| r.auxiliary_id = Some(partition_id(&v)?),
            "execution-ctx-count" => |v| r.execution_contexts = Some(context_count(&v)?),
            "exception-level" => |v| r.exception_level = Some(exception_level(&v)?),
            "execution-state" => |v| r.execution_state = Some(zero(&v, "0 (AArch64)", "AArch32 is not supported")?),
            "load-address" => |v| r.load_address = Some(Pa(v.number()?)),
            "entrypoint-offset" => |v| r.entrypoint_offset = v.number()?,
            "xlat-granule" => |v| zero(&v, "0 (4 KiB)", "the SPMC's tables have pages of 4 KiB only")?,
            "boot-order" => |v| r.boot_order = Some(v.u16()?).filter(|&n| n != u16::MAX),
            "gp-register-num" => |v| r.gp_register = gp_register(&v)?,
            "ns-interrupts-action" => |v| r.ns_interrupts = Some(ns_action(&v)?),
            "managed-exit" => |v| r.managed_exit = v.flag()?,
            "managed-exit-virq" => |v| r.managed_exit_virq = v.flag()?,
            "other-s-interrupts-action" => |v| r.other_secure_interrupts = Some(other_action(&v)?),
            "sri-interrupts-policy" => |v| {
                r.sri_policy = bits(&v, "bits 0 and 1 only", SriPolicy::from_bits)?;
            },
            "notification-support" => |v| r.notification_support = v.flag()?,
            "power-management-messages" => |v| r.power_messages = Some(power_messages(&v, warn)?),
            "vm-availability-messages" => |v| {
                r.vm_availability = bits(&v, "bits 0 (created) and 1 (destroyed) only", VmAvailability::from_bits)?;
            },
            "lifecycle-support" => |v| r.lifecycle_support = v.flag()?,
            "abort-action" => |v| r.abort_action = Some(abort_action(&v)?),
            "hub-queue" => |v| r.hub_queue = Some(hub::read_queue(&v)?),
            "smc_whitelist" => |v| r.smcs.read(&v)?,
            "smc_whitelist_permissive" => |v| r.smcs.permissive = v.flag()?,
            else |other| node.at.warn(warn, other, "is not known and has no effect"),
        });
        Ok(r)
    }

    /// Holds the properties against each other; regions and services come later.
    fn settle(&self, at: &At, warn: Warn<'_>) -> Result<PartitionManifest, Refusal> {
        let format = self.format.ok_or_else(|| at.missing("compatible", COMPATIBLE, "add it"))?;
        let ffa_version = self
            .ffa_version
            .ok_or_else(|| at.missing("ffa-version", "a version such as 0x10001", "add the version it expects"))?;
        let execution_contexts = self
            .execution_contexts
            .ok_or_else(|| at.missing("execution-ctx-count", "1, or the number of CPUs", "add it"))?;
        let exception_level =
            self.exception_level.ok_or_else(|| at.missing("exception-level", "2 (S-EL1)", "add it"))?;
        self.execution_state.ok_or_else(|| at.missing("execution-state", "0 (AArch64)", "add it"))?;
        let single = execution_contexts == 1;
        if self.abort_action.is_some() && !self.lifecycle_support {
            let fix = "add the empty property lifecycle-support";
            return Err(at.refuse("abort-action", Cause::Conflict { with: "the absence of lifecycle-support" }, fix));
        }
        let ns_interrupts = self.settle_ns_interrupts(at, warn);
        let other_secure_interrupts = self.other_secure_interrupts.unwrap_or(OtherSecureInterruptAction::Signalled);
        if other_secure_interrupts == OtherSecureInterruptAction::Queued && ns_interrupts != NsInterruptAction::Queued {
            let fix = "queue Non-secure interrupts too (ns-interrupts-action = <0>), or write <1>";
            let cause = Cause::Conflict { with: "ns-interrupts-action" };
            return Err(at.refuse("other-s-interrupts-action", cause, fix));
        }
        let power = self.power_messages.unwrap_or(PowerMessages::CPU_OFF | PowerMessages::CPU_ON);
        Ok(PartitionManifest {
            format,
            description: self.description,
            ffa_version,
            id: self.id,
            auxiliary_id: self.auxiliary_id,
            services: ArrayVec::new(),
            execution_contexts,
            exception_level,
            load_address: self.load_address,
            entrypoint_offset: self.entrypoint_offset,
            boot_order: self.boot_order,
            gp_register: self.gp_register,
            boot_info: false,
            ns_interrupts,
            managed_exit_virq: self.managed_exit_virq,
            other_secure_interrupts,
            sri_policy: self.sri_policy,
            notification_support: self.notification_support,
            // A context that migrates is on no CPU in particular.
            power_messages: if single { PowerMessages::empty() } else { power },
            vm_availability: self.vm_availability,
            lifecycle_support: self.lifecycle_support,
            abort_action: self.abort_action.unwrap_or_default(),
            smcs: self.smcs.clone(),
            memory_regions: ArrayVec::new(),
            device_regions: ArrayVec::new(),
            interrupts: ArrayVec::new(),
            hub_queue: self.hub_queue,
            rx_tx: None,
        })
    }

    /// `managed-exit` is the FF-A v1.0 way to say `ns-interrupts-action = <1>`, and wins over it as in Hafnium.
    fn settle_ns_interrupts(&self, at: &At, warn: Warn<'_>) -> NsInterruptAction {
        let stated = self.ns_interrupts.unwrap_or(NsInterruptAction::Signalled);
        if self.managed_exit && self.ns_interrupts.is_some_and(|a| a != NsInterruptAction::ManagedExit) {
            at.warn(warn, "ns-interrupts-action", "is overruled by managed-exit");
        }
        let action = if self.managed_exit { NsInterruptAction::ManagedExit } else { stated };
        if self.managed_exit_virq && action != NsInterruptAction::ManagedExit {
            at.warn(warn, "managed-exit-virq", "has no effect without managed exit");
        }
        action
    }
}

fn read_boot_info(node: &Node<'_, '_>, warn: Warn<'_>) -> Result<bool, Refusal> {
    let (mut compatible, mut manifest) = (false, false);
    read_properties!(node, {
        "compatible" => |v| {
            compatible = true;
            require_compatible(&v, "arm,ffa-manifest-boot-info", "\"arm,ffa-manifest-boot-info\"")?;
        },
        "ffa_manifest" => |v| manifest = v.flag()?,
        else |other| node.at.warn(warn, other, "is not known and has no effect"),
    });
    if !compatible {
        return Err(node.at.missing("compatible", "\"arm,ffa-manifest-boot-info\"", "add it"));
    }
    Ok(manifest)
}
