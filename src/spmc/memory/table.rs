// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of open transactions. A handle names its place in the table, so that finding it costs the same however
//! many are open; a generation beside it makes handles of closed transactions strangers.

use alloc::vec::Vec;

use arrayvec::ArrayVec;
use ffa_abi::memory::{Access, Data, Flags, Instruction};
use ffa_abi::{Handle, PartitionId};

use super::ranges::RangeList;
use crate::manifest::MAX_PARTITIONS;
use crate::refusal::Refusal;
use crate::sync::{Mutex, MutexGuard};
use crate::{Pa, Port, Space};

/// The most transactions that can be open.
pub(crate) const MAX_OPEN: usize = 1024;
/// The most that one partition can have open: what all partitions together can take leaves a quarter to the Normal
/// world.
pub(super) const MAX_OPEN_OF_PARTITION: u16 = (MAX_OPEN * 3 / 4 / MAX_PARTITIONS) as u16;
/// The most receivers of one transaction.
pub(crate) const MAX_RECEIVERS: usize = 4;
const INDEX_BITS: u32 = 16;
const NONE: u16 = u16::MAX;

/// What kind of transaction it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The owner keeps access.
    Share,
    /// The owner gives access up for a while.
    Lend,
    /// The owner gives the memory away.
    Donate,
}

impl Kind {
    /// Returns the type as a retrieve response tells it.
    pub(super) const fn flag(self) -> u32 {
        match self {
            Self::Share => Flags::SHARE,
            Self::Lend => Flags::LEND,
            Self::Donate => Flags::DONATE,
        }
    }
}

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The place is free.
    Free,
    /// Fragments are outstanding; no page has changed hands.
    Sending,
    /// Receivers may retrieve.
    Open,
    /// The owner died: receivers may only relinquish, and the last of them closes it.
    Orphaned,
}

/// What a receiver may do, and what it has done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receiver {
    pub(super) id: PartitionId,
    /// What the owner allows.
    pub(super) data: Data,
    pub(super) instruction: Instruction,
    /// It has the memory mapped.
    pub(super) retrieved: bool,
    /// It has the memory mapped with write access.
    pub(super) writes: bool,
    /// The next range that a retrieve response has to tell it.
    pub(super) next: u32,
}

/// One memory transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    generation: u32,
    /// The place of its owner among those that [`FreeList`] counts.
    owner: usize,
    pub(super) phase: Phase,
    pub(super) kind: Kind,
    pub(super) space: Space,
    pub(super) sender: PartitionId,
    /// The owner wants the memory zeroed before a receiver sees it.
    pub(super) zero_first: bool,
    /// A receiver wants the memory zeroed once nobody has it mapped.
    pub(super) zero_after: bool,
    pub(super) tag: u64,
    pub(super) receivers: ArrayVec<Receiver, MAX_RECEIVERS>,
    /// A pool page with the receivers' implementation-defined values, if any is not zero.
    pub(super) impdef: Option<Pa>,
    pub(super) ranges: RangeList,
    /// How many ranges the descriptor announced, and how many pages.
    pub(super) expected: u32,
    pub(super) pages: u32,
    /// Pages in the ranges received so far.
    pub(super) pages_so_far: u64,
    /// Bytes of the descriptor received so far.
    pub(super) offset: u32,
    /// The next range that a hypervisor's retrieve has to be told.
    pub(super) hypervisor_next: u32,
}

impl Transaction {
    fn new() -> Self {
        Self {
            generation: 1,
            owner: usize::MAX,
            phase: Phase::Free,
            kind: Kind::Share,
            space: Space::NonSecure,
            sender: PartitionId::NORMAL_WORLD,
            zero_first: false,
            zero_after: false,
            tag: 0,
            receivers: ArrayVec::new_const(),
            impdef: None,
            ranges: RangeList::default(),
            expected: 0,
            pages: 0,
            pages_so_far: 0,
            offset: 0,
            hypervisor_next: u32::MAX,
        }
    }

    /// Finds a receiver.
    pub(super) fn receiver(&mut self, id: PartitionId) -> Option<&mut Receiver> {
        self.receivers.iter_mut().find(|r| r.id == id)
    }

    /// Tells whether anybody has the memory mapped.
    pub(super) fn is_retrieved(&self) -> bool {
        self.receivers.iter().any(|r| r.retrieved)
    }

    /// Keeps the implementation-defined value of receiver `index`.
    pub(super) fn set_impdef<P: Port>(&mut self, port: &P, index: usize, access: &Access) -> Result<(), Refusal> {
        let [low, high] = access.impdef;
        if low | high != 0 {
            let page = match self.impdef {
                Some(page) => page,
                None => port.page_alloc().ok_or(Refusal::TableMemory)?,
            };
            self.impdef = Some(page);
            port.set_word(page, 2 * index, low);
            port.set_word(page, 2 * index + 1, high);
        }
        Ok(())
    }

    /// Returns the implementation-defined value of receiver `index`.
    pub(super) fn impdef<P: Port>(&self, port: &P, index: usize) -> [u64; 2] {
        self.impdef.map_or([0; 2], |page| [port.word(page, 2 * index), port.word(page, 2 * index + 1)])
    }

    /// Frees all that it holds; its handle is nobody's from here on.
    fn clear<P: Port>(&mut self, port: &P) {
        self.ranges.clear(port);
        if let Some(page) = self.impdef.take() {
            port.page_free(page);
        }
        // Never 0, so that no handle is.
        self.generation = self.generation.wrapping_add(1).max(1);
        self.phase = Phase::Free;
        self.receivers.clear();
        (self.zero_first, self.zero_after) = (false, false);
        (self.pages_so_far, self.hypervisor_next) = (0, u32::MAX);
    }
}

struct FreeList {
    head: u16,
    next: Vec<u16>,
    /// How many each partition has open, by position.
    open: [u16; MAX_PARTITIONS],
}

/// Owns the transactions.
pub(crate) struct Table {
    slots: Vec<Mutex<Transaction>>,
    free: Mutex<FreeList>,
}

/// A transaction under its lock.
pub(super) struct Held<'a> {
    index: u16,
    guard: MutexGuard<'a, Transaction>,
}

impl core::ops::Deref for Held<'_> {
    type Target = Transaction;
    fn deref(&self) -> &Transaction {
        &self.guard
    }
}

impl core::ops::DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Transaction {
        &mut self.guard
    }
}

impl Held<'_> {
    /// Returns the handle.
    pub(super) fn handle(&self) -> Handle {
        Handle(u64::from(self.index) | u64::from(self.guard.generation) << INDEX_BITS)
    }
}

impl Table {
    /// Makes a table of `capacity` free places, [`MAX_OPEN`] at the most.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.min(MAX_OPEN) as u16;
        let next = (1..capacity).chain(core::iter::once(NONE)).collect();
        Self {
            slots: (0..capacity).map(|_| Mutex::new(Transaction::new())).collect(),
            free: Mutex::new(FreeList { head: if capacity == 0 { NONE } else { 0 }, next, open: [0; MAX_PARTITIONS] }),
        }
    }

    /// Takes a free place for the partition at position `owner`, or for the Normal world, which has no position.
    pub(super) fn open(&self, owner: Option<usize>) -> Result<Held<'_>, Refusal> {
        let owner = owner.unwrap_or(usize::MAX);
        let index = {
            let mut free = self.free.lock();
            let index = free.head;
            let next = *free.next.get(index as usize).ok_or(Refusal::MemTransactions)?;
            if let Some(open) = free.open.get_mut(owner) {
                if *open >= MAX_OPEN_OF_PARTITION {
                    return Err(Refusal::MemTransactionsOfOne);
                }
                *open += 1;
            }
            free.head = next;
            index
        };
        let mut guard = self.slots.get(index as usize).ok_or(Refusal::MemTransactions)?.lock();
        guard.owner = owner;
        Ok(Held { index, guard })
    }

    /// Finds the transaction that `handle` names.
    pub(super) fn find(&self, handle: Handle) -> Result<Held<'_>, Refusal> {
        let index = handle.0 as u16;
        let guard = self.slots.get(index as usize).ok_or(Refusal::MemHandle)?.lock();
        if guard.phase == Phase::Free || u64::from(guard.generation) != handle.0 >> INDEX_BITS {
            return Err(Refusal::MemHandle);
        }
        Ok(Held { index, guard })
    }

    /// Closes a transaction: its place is free.
    pub(super) fn close<P: Port>(&self, port: &P, mut held: Held<'_>) {
        let (index, owner) = (held.index, held.owner);
        held.clear(port);
        drop(held);
        let mut free = self.free.lock();
        let head = free.head;
        if let Some(next) = free.next.get_mut(index as usize) {
            *next = head;
            free.head = index;
        }
        if let Some(open) = free.open.get_mut(owner) {
            *open = open.saturating_sub(1);
        }
    }

    /// Visits every transaction in use, one at a time.
    pub(super) fn each(&self) -> impl Iterator<Item = Held<'_>> {
        self.slots
            .iter()
            .enumerate()
            .map(|(index, slot)| Held { index: index as u16, guard: slot.lock() })
            .filter(|held| held.phase != Phase::Free)
    }
}
