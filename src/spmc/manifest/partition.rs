// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition manifest (DEN0077A, "Partition properties"; bindings `arm,ffa-manifest-1.0` and `-1.1`).

use alloc::boxed::Box;

use arrayvec::ArrayVec;
use bitflags::bitflags;
use ffa_abi::{PartitionId, Uuid, Version};

use super::machine::Span;
use super::node::{Node, Untold, Warn};
use super::property::{Property, table};
use super::{
    Cause, CheckedBlob, File, HubQueue, Interrupt, MAX_DEVICE_REGIONS, MAX_INTERRUPTS, MAX_MEMORY_REGIONS, Name,
    Refusal, Region, RxTx, SmcAllowList, regions, root, services,
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
    pub memory_regions: ArrayVec<Region, MAX_MEMORY_REGIONS>,
    /// `device-regions`.
    pub device_regions: ArrayVec<Region, MAX_DEVICE_REGIONS>,
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

impl PartitionManifest {
    /// Makes one that says no more than what holds where a property is absent.
    fn empty() -> Self {
        Self {
            format: Format::V1_0,
            description: Name::new(),
            ffa_version: Version::V1_0,
            id: None,
            auxiliary_id: None,
            services: ArrayVec::new(),
            execution_contexts: 1,
            exception_level: ExceptionLevel::SEl1,
            load_address: None,
            entrypoint_offset: 0,
            boot_order: None,
            gp_register: None,
            boot_info: false,
            ns_interrupts: NsInterruptAction::Signalled,
            managed_exit_virq: false,
            other_secure_interrupts: OtherSecureInterruptAction::Signalled,
            sri_policy: SriPolicy::empty(),
            notification_support: false,
            power_messages: PowerMessages::empty(),
            vm_availability: VmAvailability::empty(),
            lifecycle_support: false,
            abort_action: AbortAction::Stop,
            smcs: SmcAllowList::default(),
            memory_regions: ArrayVec::new(),
            device_regions: ArrayVec::new(),
            interrupts: ArrayVec::new(),
            hub_queue: None,
            rx_tx: None,
        }
    }

    /// Reads a partition's manifest, dropping its warnings; relative offsets count from `load_address`, the SPMC
    /// manifest's. Fails with the first property that is wrong.
    pub fn parse(blob: &CheckedBlob<'_>, load_address: Pa) -> Result<Self, Refusal> {
        Self::parse_with(blob, load_address, &mut Untold)
    }

    /// Reads a partition's manifest and tells what was tolerated in it.
    pub fn parse_with(blob: &CheckedBlob<'_>, load_address: Pa, warn: &mut impl Warn) -> Result<Self, Refusal> {
        let mut out = Self::empty();
        out.read(blob, load_address, warn)?;
        Ok(out)
    }

    /// Reads a partition's manifest as [`Self::parse`] does, to where it stays: it is large.
    pub(crate) fn parse_in_place(blob: &CheckedBlob<'_>, load_address: Pa) -> Result<Box<Self>, Refusal> {
        let mut out = Box::new(Self::empty());
        out.read(blob, load_address, &mut Untold)?;
        Ok(out)
    }

    fn read(&mut self, blob: &CheckedBlob<'_>, load_address: Pa, warn: &mut impl Warn) -> Result<(), Refusal> {
        let node = &Node::root(blob, File::Partition);
        root::read(node, self, warn)?;
        if self.load_address.is_some_and(|a| a != load_address) {
            node.warn(warn, "load-address", "differs from load_address in the SPMC manifest, which holds");
        }
        let mut nodes = [None; 5];
        node.sort_children(&NODES, &mut nodes, &mut |child| {
            // A node of somebody else's: partitions may keep their own settings here.
            child.warn(warn, "", "is not known and has no effect");
            Ok(())
        })?;
        let [services, memory, devices, mailbox, boot_info] = &nodes;
        if let Some(node) = boot_info {
            let mut room = node.room();
            let [_, manifest, ..] = node.read(&BOOT_INFO, &mut room, warn)?;
            self.boot_info = manifest.is_present();
        }
        if self.format == Format::V1_1 {
            let Some(services) = services else {
                return Err(node.missing("a node \"services\"; add services { service0 { ... }; }"));
            };
            services::read_nodes(services, &mut self.services, warn)?;
        }
        let direct2 = Messaging::DIRECT2_RECEIVE | Messaging::DIRECT2_SEND;
        if self.messaging().intersects(direct2) && self.ffa_version < Version::V1_2 {
            let rule = "declare ffa-version = <0x10002>, or clear bits 9 and 10";
            return Err(node.refuse("messaging-method", Cause::Conflict { with: "ffa-version" }, rule));
        }
        if let Some(memory) = memory {
            regions::read_memory(memory, load_address, &mut self.memory_regions, warn)?;
        }
        if let Some(devices) = devices {
            regions::read_devices(devices, &mut self.device_regions, &mut self.interrupts, warn)?;
        }
        if let Some(mailbox) = mailbox {
            self.rx_tx = Some(regions::read_mailbox(mailbox, &self.memory_regions, warn)?);
        }
        Ok(())
    }

    /// Returns the regions that a restart leaves as they are.
    pub fn preserved(&self) -> impl Iterator<Item = &Region> {
        self.memory_regions.iter().filter(|r| r.preserved)
    }

    /// Returns a region with bytes in this range that a restart leaves as they are.
    pub fn preserves(&self, base: Pa, len: u64) -> Option<&Region> {
        self.preserved().find(|r| r.span().meets(Span::new(base.0, len)))
    }

    /// Returns one of its regions: those of memory come first, then those of devices.
    #[inline(never)]
    pub fn region(&self, n: usize) -> Option<&Region> {
        let device = || self.device_regions.get(n.checked_sub(self.memory_regions.len())?);
        self.memory_regions.get(n).or_else(device)
    }

    /// Returns every messaging method of any service.
    pub fn messaging(&self) -> Messaging {
        self.services.iter().fold(Messaging::empty(), |m, s| m | s.messaging)
    }
}

/// The nodes in the root that are read.
static NODES: [&str; 5] = ["services", "memory-regions", "device-regions", "rx_tx-info", "boot-info"];

table! {
    static BOOT_INFO = [Property::compatible("compatible: arm,ffa-manifest-boot-info"), Property::flag("ffa_manifest")];
}
