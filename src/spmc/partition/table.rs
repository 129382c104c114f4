// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of partitions: found by identifier in constant time, however many there are.

use ffa_abi::PartitionId;

use super::{ExecutionContext, Link, Partition};
use crate::Port;

/// Twice the most partitions that a manifest may have, so that a probe is short; a power of two.
const SLOTS: usize = 64;
const EMPTY: u8 = u8::MAX;

/// Owns the partitions.
pub(crate) struct Partitions<P: Port> {
    list: &'static [Partition<P>],
    slots: [u8; SLOTS],
}

impl<P: Port> Partitions<P> {
    /// Files partitions under their identifiers. The manifest checks have made sure that these are unique and
    /// that there are fewer than [`SLOTS`].
    pub(crate) fn new(list: &'static [Partition<P>]) -> Self {
        let mut slots = [EMPTY; SLOTS];
        for p in list {
            // Open addressing: the next free slot after its own.
            let first = p.id().0 as usize;
            let free = (first..first + SLOTS).map(|at| at % SLOTS).find(|&at| slots[at] == EMPTY);
            if let Some(slot) = free.and_then(|at| slots.get_mut(at)) {
                *slot = p.index as u8;
            }
        }
        Self { list, slots }
    }

    /// Finds a partition by its identifier.
    #[inline(always)]
    pub(crate) fn find(&self, id: PartitionId) -> Option<&Partition<P>> {
        let mut at = id.0 as usize % SLOTS;
        loop {
            // An empty slot names no partition and ends the search: there are more slots than partitions.
            let p = self.list.get(self.slots[at] as usize)?;
            if p.id() == id {
                return Some(p);
            }
            at = (at + 1) % SLOTS;
        }
    }

    /// Finds a partition by its identifier, as [`Partitions::find`] does: the copy that all share but direct messages.
    #[inline(never)]
    pub(crate) fn look_up(&self, id: PartitionId) -> Option<&Partition<P>> {
        self.find(id)
    }

    /// Finds a partition by its position.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<&Partition<P>> {
        self.list.get(index)
    }

    /// Follows a link, unless it names nobody.
    #[inline(always)]
    pub(crate) fn context(&self, link: Link) -> Option<&'static ExecutionContext<P>> {
        self.list.get(link.partition())?.contexts.get(link.vcpu()).copied()
    }

    /// Returns the partitions in manifest order.
    pub(crate) fn as_slice(&self) -> &'static [Partition<P>] {
        self.list
    }

    /// Returns the partitions in manifest order.
    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Partition<P>> {
        self.list.iter()
    }
}
