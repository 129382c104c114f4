// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partitions and their execution contexts.

mod abort;
mod context;
mod state;
mod table;

use alloc::boxed::Box;
use core::array;

use arrayvec::ArrayVec;
use ffa_abi::{PartitionId, Version};

pub(crate) use abort::{Pristine, copy};
pub use context::ExecutionContext;
pub(crate) use context::{Call, Entered, Link};
pub use state::State;
pub(crate) use state::StateCell;
pub(crate) use table::Partitions;

use crate::console::LineBuffer;
use crate::mailbox::Mailbox;
use crate::manifest::{MAX_CPUS, Name, PartitionManifest, VmAvailability};
use crate::port::{Entry, Port, Stage2Roots};
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::version::Negotiated;
use crate::{Ipa, stage2::Stage2};

bitflags::bitflags! {
    /// What a partition may do, in the layout of `FFA_PARTITION_INFO_GET`'s properties (DEN0077A, "Partition
    /// information descriptor"); bits 0-2 and 9-10 are also the manifest's `messaging-method` bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Properties: u32 {
        /// Receives direct requests.
        const RECEIVES_DIRECT = 1 << 0;
        /// Sends direct requests.
        const SENDS_DIRECT = 1 << 1;
        /// Sends and receives indirect messages.
        const INDIRECT = 1 << 2;
        /// Receives notifications.
        const NOTIFICATIONS = 1 << 3;
        /// Wants to hear of VMs being created.
        const VM_CREATED = 1 << 6;
        /// Wants to hear of VMs being destroyed.
        const VM_DESTROYED = 1 << 7;
        /// Runs in AArch64.
        const AARCH64 = 1 << 8;
        /// Receives `FFA_MSG_SEND_DIRECT_REQ2`.
        const RECEIVES_DIRECT2 = 1 << 9;
        /// Sends `FFA_MSG_SEND_DIRECT_REQ2`.
        const SENDS_DIRECT2 = 1 << 10;
    }
}

impl Properties {
    /// Derives them from a partition's manifest.
    pub(crate) fn of(manifest: &PartitionManifest) -> Self {
        let mut p = Self::from_bits_truncate(manifest.messaging().bits() as u32) | Self::AARCH64;
        p.set(Self::NOTIFICATIONS, manifest.notification_support);
        p.set(Self::VM_CREATED, manifest.vm_availability.contains(VmAvailability::CREATED));
        p.set(Self::VM_DESTROYED, manifest.vm_availability.contains(VmAvailability::DESTROYED));
        p
    }
}

/// Says what a partition is; all of it is fixed at boot.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its endpoint identifier.
    pub id: PartitionId,
    /// Its name in console lines.
    pub name: Name,
    /// What it may do.
    pub properties: Properties,
    /// Where its first execution context begins.
    pub entry: Ipa,
    /// Its memory: first byte and length.
    pub memory: (Ipa, u64),
    /// The register (0-3) that carries the address of the boot information, and that address.
    pub boot_info: Option<(u8, u64)>,
}

/// A Secure Partition.
pub struct Partition<P: Port> {
    /// What it is.
    pub identity: Identity,
    /// What its manifest says.
    pub manifest: &'static PartitionManifest,
    pub(crate) index: usize,
    /// Its position in the SPMC manifest: vm1 is 0.
    pub(crate) manifest_index: usize,
    pub(crate) contexts: ArrayVec<&'static ExecutionContext<P>, MAX_CPUS>,
    /// Which of them serves each CPU.
    serving: [Option<&'static ExecutionContext<P>>; MAX_CPUS],
    pub(crate) version: Negotiated,
    pub(crate) mailbox: Mutex<Mailbox>,
    pub(crate) stage2: Mutex<Stage2>,
    pub(crate) roots: Stage2Roots,
    pub(crate) line: Mutex<LineBuffer>,
    pub(crate) standing: abort::Standing,
    /// What a restart starts from.
    pub(crate) pristine: Option<Pristine>,
    /// Where secondary execution contexts begin: FFA_SECONDARY_EP_REGISTER's address, 0 while none is known.
    secondary_entry: AtomicU64,
}

impl<P: Port> Partition<P> {
    /// Makes one that is Reset. Large: apart, so that it is put together once, where the caller has room.
    #[inline(never)]
    pub(crate) fn new(
        port: &P,
        (index, manifest_index): (usize, usize),
        identity: Identity,
        manifest: &'static PartitionManifest,
        stage2: Stage2,
    ) -> Self {
        let mut contexts = ArrayVec::new();
        for vcpu in 0..manifest.execution_contexts {
            let context = ExecutionContext::new(port.new_context(), &identity, index, vcpu, manifest);
            // The manifest was checked: there is room.
            let _ = contexts.try_push(&*Box::leak(Box::new(context)));
        }
        let many = contexts.len() > 1;
        let serving = array::from_fn(|cpu| contexts.get(if many { cpu } else { 0 }).copied());
        let roots = stage2.roots();
        Self {
            identity,
            manifest,
            index,
            manifest_index,
            contexts,
            serving,
            version: Negotiated::default(),
            mailbox: Mutex::new(Mailbox::default()),
            stage2: Mutex::new(stage2),
            roots,
            line: Mutex::new(LineBuffer::default()),
            standing: abort::Standing::default(),
            pristine: None,
            secondary_entry: AtomicU64::new(0),
        }
    }

    /// Returns the identifier.
    pub fn id(&self) -> PartitionId {
        self.identity.id
    }

    /// Returns the execution context that serves CPU `cpu`.
    #[inline(always)]
    pub(crate) fn context_for(&self, cpu: usize) -> Option<&'static ExecutionContext<P>> {
        *self.serving.get(cpu)?
    }

    /// Returns its execution contexts.
    pub fn contexts(&self) -> &[&'static ExecutionContext<P>] {
        &self.contexts
    }

    /// Returns the version that it negotiated, for replies in its form.
    pub fn version(&self) -> Version {
        self.version.get()
    }

    pub(crate) fn set_secondary_entry(&self, at: Ipa) {
        self.secondary_entry.store(at.0, Ordering::Release);
    }

    /// Says with what execution context `vcpu` begins: where the partition registered, else (as the first one of all)
    /// at the image's entry. After a restart the first one need not be context 0.
    pub(crate) fn entry(&self, vcpu: u16) -> Entry {
        let secondary = self.secondary_entry.load(Ordering::Acquire);
        let pc = if secondary != 0 { Ipa(secondary) } else { self.identity.entry };
        let mut entry = Entry { pc, x: [0; 8], vcpu, roots: self.roots };
        if let Some((register, address)) = self.identity.boot_info
            && let Some(x) = entry.x.get_mut(register as usize)
        {
            *x = address;
        }
        entry
    }
}
