// SPDX-License-Identifier: MIT OR Apache-2.0
//! One receiver: what is bound, what is pending, and who has been told of it.

use ffa_abi::PartitionId;

use crate::manifest::MAX_CPUS;

/// What is pending for a receiver, or for one of its execution contexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// From partitions.
    pub(crate) from_partitions: u64,
    /// From VMs.
    pub(crate) from_vms: u64,
    /// From the SPM framework.
    pub(crate) from_framework: u64,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn bits_of(&mut self, sender: PartitionId) -> &mut u64 {
        if sender.is_secure() { &mut self.from_partitions } else { &mut self.from_vms }
    }
}

/// The notifications of one receiver.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    pub(super) id: PartitionId,
    pub(super) contexts: u16,
    /// Which endpoint may signal bit n; [`NOBODY`] while it is unbound.
    pub(super) senders: [PartitionId; 64],
    /// The bits that are bound.
    pub(super) bound: u64,
    /// The bits that are signalled to one execution context.
    pub(super) per_context: u64,
    /// What is pending for context n, and for the receiver [as a whole](WHOLE).
    pub(super) places: [Pending; MAX_CPUS + 1],
    /// What the scheduler has been told of: bit n is place n.
    pub(super) told: u32,
    /// Contexts that have an interrupt to handle and wait for the scheduler to run them: bit n is context n.
    pub(super) cycles: u32,
    /// What the receiver has been interrupted for since it last asked: bits as above.
    pub(super) interrupted: u32,
}

/// The sender of an unbound bit, and the receiver in a place that is free.
pub(super) const NOBODY: PartitionId = PartitionId::SPMD;
/// The place of the receiver as a whole; place n is context n.
pub(super) const WHOLE: u16 = MAX_CPUS as u16;

/// Returns a bit for each of so many contexts.
pub(super) const fn first(contexts: u16) -> u32 {
    (1 << contexts as u32) - 1
}

impl Receiver {
    #[inline(always)]
    pub(super) fn new(id: PartitionId, contexts: u16) -> Self {
        Self {
            id,
            contexts,
            senders: [NOBODY; 64],
            bound: 0,
            per_context: 0,
            places: [Pending::default(); MAX_CPUS + 1],
            told: 0,
            cycles: 0,
            interrupted: 0,
        }
    }

    /// Returns the bits of `bits` that `sender` is bound to.
    pub(super) fn bits_of(&self, sender: PartitionId, bits: u64) -> u64 {
        let (mut all, mut left) = (0, bits);
        while left != 0 {
            let n = left.trailing_zeros();
            left &= left - 1;
            if self.senders.get(n as usize) == Some(&sender) {
                all |= 1 << n;
            }
        }
        all
    }

    pub(super) fn anywhere(&self, sender: PartitionId) -> u64 {
        let bits = |p: &Pending| if sender.is_secure() { p.from_partitions } else { p.from_vms };
        self.places.iter().fold(0, |all, p| all | bits(p))
    }

    /// Begins anew, or becomes another receiver.
    #[inline(never)]
    pub(super) fn reset(&mut self, id: PartitionId, contexts: u16) {
        *self = Self::new(id, contexts);
    }

    /// Returns the places in which something is pending, a bit each.
    #[inline(never)]
    pub(super) fn pending(&self) -> u32 {
        let mut all = 0;
        for (n, p) in self.places.iter().enumerate() {
            all |= u32::from(!p.is_empty()) << n;
        }
        all
    }

    /// Notes a new signal to a context, or to the receiver as a whole. Returns the contexts to interrupt for it, each
    /// once until it asks; for the latter all of them, since any may run first.
    #[inline(always)]
    pub(super) fn tell(&mut self, place: u16) -> u32 {
        let mark = 1 << place;
        let fresh = mark & !self.interrupted;
        self.told &= !mark;
        self.interrupted |= mark;
        if fresh >> WHOLE != 0 { first(self.contexts) } else { fresh }
    }

    /// Lists what the scheduler has not been told yet.
    pub(super) fn untold(&self) -> u32 {
        (self.pending() & !self.told) | self.cycles
    }

    pub(super) fn release(&mut self, bits: u64) {
        for (n, s) in self.senders.iter_mut().enumerate() {
            if bits >> n & 1 != 0 {
                *s = NOBODY;
            }
        }
        self.bound &= !bits;
        self.per_context &= !bits;
    }
}
