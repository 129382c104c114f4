// SPDX-License-Identifier: MIT OR Apache-2.0
//! One receiver: what is bound, what is pending, and who has been told of it.

use ffa_abi::PartitionId;

use crate::manifest::MAX_CPUS;

/// What was pending for an execution context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// From partitions.
    pub(crate) from_partitions: u64,
    /// From VMs.
    pub(crate) from_vms: u64,
    /// From the SPM framework.
    pub(crate) from_framework: u64,
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
    /// What partitions have signalled to context n, and to the receiver [as a whole](WHOLE).
    pub(super) from_partitions: [u64; PLACES],
    /// What VMs have signalled, likewise.
    pub(super) from_vms: [u64; PLACES],
    /// What the SPM framework has signalled, to the receiver as a whole.
    pub(super) from_framework: u64,
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
pub(super) const PLACES: usize = MAX_CPUS + 1;

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
            from_partitions: [0; PLACES],
            from_vms: [0; PLACES],
            from_framework: 0,
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

    /// Returns where the signals of senders of a kind are pending.
    pub(super) fn signalled_by(&mut self, sender: PartitionId) -> &mut [u64; PLACES] {
        if sender.is_secure() { &mut self.from_partitions } else { &mut self.from_vms }
    }

    /// Returns what senders of a kind have signalled, wherever it is pending.
    pub(super) fn anywhere(&mut self, sender: PartitionId) -> u64 {
        self.signalled_by(sender).iter().fold(0, |all, bits| all | bits)
    }

    /// Begins anew, or becomes another receiver.
    #[inline(never)]
    pub(super) fn reset(&mut self, id: PartitionId, contexts: u16) {
        *self = Self::new(id, contexts);
    }

    /// Returns the places in which something is pending, a bit each.
    #[inline(never)]
    pub(super) fn pending(&self) -> u32 {
        let mut all = u32::from(self.from_framework != 0) << WHOLE;
        for (n, (a, b)) in self.from_partitions.iter().zip(&self.from_vms).enumerate() {
            all |= u32::from(a | b != 0) << n;
        }
        all
    }

    /// Notes a new signal to a context, or to the receiver as a whole. Returns the contexts to interrupt for it, each
    /// once until it asks; for the latter all of them, since any may run first.
    #[inline(never)]
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

    /// Says who may signal `bits`.
    #[inline(never)]
    pub(super) fn set_sender(&mut self, bits: u64, sender: PartitionId) {
        for (n, s) in self.senders.iter_mut().enumerate() {
            if bits >> n & 1 != 0 {
                *s = sender;
            }
        }
    }

    /// Unbinds `bits`.
    pub(super) fn release(&mut self, bits: u64) {
        self.set_sender(bits, NOBODY);
        self.bound &= !bits;
        self.per_context &= !bits;
    }
}
