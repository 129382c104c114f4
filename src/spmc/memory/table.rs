// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of open transactions. A handle names its place in the table, so that finding it costs the same however
//! many are open; a generation beside it makes handles of closed transactions strangers. The table has no places to begin
//! with: it takes a page of them from the pool where all that it has are in use.

use arrayvec::ArrayVec;
use ffa_abi::memory::{Access, Data, Flags};
use ffa_abi::{Handle, PartitionId};

use super::Caller;
use crate::manifest::MAX_PARTITIONS;
use crate::refusal::Refusal;
pub(super) use crate::stage2::Kind;
use crate::stage2::{Link, RangeList, take_page};
use crate::sync::{Mutex, MutexGuard};
use crate::{PAGE_SIZE, Port, Space};

/// The most transactions that can be open.
pub(crate) const MAX_OPEN: usize = 1024;
/// The most that one partition can have open: what all partitions together can take leaves a quarter to the Normal
/// world.
pub(super) const MAX_OPEN_OF_PARTITION: u16 = (MAX_OPEN * 3 / 4 / MAX_PARTITIONS) as u16;
/// The most receivers of one transaction.
pub(crate) const MAX_RECEIVERS: usize = 4;
/// Transactions in a page.
const PER_PAGE: usize = PAGE_SIZE as usize / size_of::<Mutex<Transaction>>();
/// The most pages of them.
const MAX_PAGES: usize = MAX_OPEN.div_ceil(PER_PAGE);
const INDEX_BITS: u32 = 16;

// A power of two, so that a place is found by a shift.
#[cfg(not(loom))]
const _: () = assert!(PER_PAGE == 32);

impl Kind {
    /// Tells whether one receiver is to be the only user: it then chooses attributes and instruction access itself.
    pub(super) fn is_for_one(self, receivers: usize) -> bool {
        self == Self::Donate || self == Self::Lend && receivers == 1
    }

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
    /// How it has the memory mapped; not specified: it has not.
    pub(super) mapped: Data,
    /// How many of the last ranges a retrieve response still has to tell it.
    pub(super) untold: u32,
}

impl Receiver {
    /// Makes a receiver that has not retrieved.
    pub(super) const fn new(id: PartitionId, data: Data) -> Self {
        Self { id, data, mapped: Data::NotSpecified, untold: 0 }
    }

    /// Tells whether it has the memory mapped.
    pub(super) fn has_retrieved(&self) -> bool {
        self.mapped != Data::NotSpecified
    }
}

/// One memory transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    generation: u32,
    /// Its place in the table.
    index: u16,
    /// The place of its owner among those that [`Use`] counts.
    owner: u8,
    pub(super) phase: Phase,
    pub(super) kind: Kind,
    pub(super) space: Space,
    pub(super) sender: PartitionId,
    /// The owner wants the memory zeroed before a receiver sees it.
    pub(super) zero_first: bool,
    /// A receiver wants the memory zeroed once nobody has it mapped.
    pub(super) zero_after: bool,
    pub(super) tag: u64,
    /// Room for its receivers, and how many there are.
    list: [Receiver; MAX_RECEIVERS],
    count: u8,
    /// A pool page with the receivers' implementation-defined values, if any is not zero.
    impdef: Link,
    pub(super) ranges: RangeList,
    /// How many pages the descriptor announced.
    pub(super) pages: u32,
    /// How many of them are in ranges that have not been received.
    pub(super) pages_left: u32,
    /// Bytes of the descriptor received so far.
    pub(super) offset: u32,
    /// How many of the last ranges a hypervisor's retrieve still has to be told.
    untold_to_hypervisor: u32,
}

impl Transaction {
    /// Makes a free place. Out of line, so that it is made where it stays.
    #[inline(never)]
    fn place() -> Mutex<Self> {
        Mutex::new(Self {
            generation: 1,
            index: 0,
            owner: NORMAL_WORLD,
            phase: Phase::Free,
            kind: Kind::Share,
            space: Space::NonSecure,
            sender: PartitionId::NORMAL_WORLD,
            zero_first: false,
            zero_after: false,
            tag: 0,
            list: const { [Receiver::new(PartitionId::NORMAL_WORLD, Data::NotSpecified); MAX_RECEIVERS] },
            count: 0,
            impdef: Link::default(),
            ranges: RangeList::default(),
            pages: 0,
            pages_left: 0,
            offset: 0,
            untold_to_hypervisor: 0,
        })
    }

    /// Returns the handle.
    pub(super) fn handle(&self) -> Handle {
        Handle(u64::from(self.index) | u64::from(self.generation) << INDEX_BITS)
    }

    /// Lists the receivers.
    pub(super) fn receivers(&self) -> &[Receiver] {
        self.list.get(..self.count.into()).unwrap_or(&[])
    }

    /// Adds a receiver that there is not yet.
    pub(super) fn add(&mut self, receiver: Receiver) -> Result<(), Refusal> {
        if self.receiver(receiver.id).is_some() {
            return Err(Refusal::MemReceivers);
        }
        *self.list.get_mut(usize::from(self.count)).ok_or(Refusal::MemReceivers)? = receiver;
        self.count += 1;
        Ok(())
    }

    /// Finds a receiver.
    pub(super) fn receiver(&mut self, id: PartitionId) -> Option<&mut Receiver> {
        self.list.iter_mut().take(self.count.into()).find(|r| r.id == id)
    }

    /// Returns the place of how many ranges a retrieve response still has to tell the caller.
    pub(super) fn untold_to<P: Port>(&mut self, caller: &Caller<'_, P>) -> Option<&mut u32> {
        match caller {
            Caller::Normal => Some(&mut self.untold_to_hypervisor),
            Caller::Partition(p) => self.receiver(p.id()).map(|receiver| &mut receiver.untold),
        }
    }

    /// Tells whether anybody has the memory mapped.
    pub(super) fn is_retrieved(&self) -> bool {
        self.receivers().iter().any(Receiver::has_retrieved)
    }

    /// Keeps the implementation-defined value of receiver `index`.
    pub(super) fn set_impdef<P: Port>(
        &mut self,
        port: &P,
        leaves: usize,
        index: usize,
        access: &Access,
    ) -> Result<(), Refusal> {
        let [low, high] = access.impdef;
        if low | high != 0 {
            let page = match self.impdef.page() {
                Some(page) => page,
                None => take_page(port, leaves)?,
            };
            self.impdef = Link::to(page);
            port.set_word(page, 2 * index, low);
            port.set_word(page, 2 * index + 1, high);
        }
        Ok(())
    }

    /// Returns the implementation-defined value of receiver `index`.
    pub(super) fn impdef<P: Port>(&self, port: &P, index: usize) -> [u64; 2] {
        self.impdef.page().map_or([0; 2], |page| [port.word(page, 2 * index), port.word(page, 2 * index + 1)])
    }

    /// Frees all that it holds; its handle is nobody's from here on.
    fn clear<P: Port>(&mut self, port: &P) {
        self.ranges.clear(port);
        if let Some(page) = core::mem::take(&mut self.impdef).page() {
            port.page_free(page);
        }
        // Never 0, so that no handle is.
        self.generation = self.generation.wrapping_add(1).max(1);
        self.phase = Phase::Free;
        self.count = 0;
        (self.zero_first, self.zero_after) = (false, false);
        self.untold_to_hypervisor = 0;
    }
}

/// Which places are in use, and by whom.
struct Usage {
    /// One bit per place that is in use, or that the table must not have. Only those behind the last that was ever used may
    /// have no page yet.
    taken: [u64; MAX_OPEN / 64],
    /// One bit per word of `taken` with all bits set: a free place is found in two steps however many are in use.
    full: u32,
    /// How many each partition has open, by position.
    open: [u16; MAX_PARTITIONS],
}

const _: () = assert!(MAX_OPEN / 64 < u32::BITS as usize);

/// The owner of what the Normal world sends: nobody in [`Usage::open`].
const NORMAL_WORLD: u8 = u8::MAX;

type Place = &'static Mutex<Transaction>;
/// A page of transactions.
type Places = &'static [Mutex<Transaction>; PER_PAGE];

/// Owns the transactions.
pub(crate) struct Table {
    pages: Mutex<ArrayVec<Places, MAX_PAGES>>,
    places: Mutex<Usage>,
}

/// A transaction under its lock.
pub(super) type Held<'a> = MutexGuard<'a, Transaction>;

impl Table {
    /// Makes a table that can grow to `capacity` places, [`MAX_OPEN`] at the most.
    pub(crate) fn new(capacity: usize) -> Self {
        let mut places = Usage { taken: [0; MAX_OPEN / 64], full: 0, open: [0; MAX_PARTITIONS] };
        for place in capacity..MAX_OPEN {
            places.taken[place / 64] |= 1 << (place % 64);
            places.full |= u32::from(places.taken[place / 64] == u64::MAX) << (place / 64);
        }
        Self { pages: Mutex::new(ArrayVec::new()), places: Mutex::new(places) }
    }

    /// Takes a free place for the partition at position `owner`, or for the Normal world, which has no position.
    pub(super) fn open<P: Port>(&self, port: &P, owner: Option<usize>) -> Result<Held<'static>, Refusal> {
        let owner = owner.map_or(NORMAL_WORLD, |position| position as u8);
        let mut places = self.places.lock();
        let Usage { taken, full, open } = &mut *places;
        let open = open.get_mut(owner as usize);
        if open.as_ref().is_some_and(|open| **open >= MAX_OPEN_OF_PARTITION) {
            return Err(Refusal::MemTransactionsOfOne);
        }
        let number = full.trailing_ones();
        let word = taken.get_mut(number as usize).ok_or(Refusal::MemTransactions)?;
        let index = (number * 64 + word.trailing_ones()) as u16;
        let place = self.first_free(port, index)?;
        // The lowest bit that was clear.
        *word |= *word + 1;
        *full |= u32::from(*word == u64::MAX) << number;
        if let Some(open) = open {
            *open += 1;
        }
        drop(places);
        let mut guard = place.lock();
        (guard.index, guard.owner) = (index, owner);
        Ok(guard)
    }

    /// Returns the first free place, and makes a page of places for it if there is none yet.
    fn first_free<P: Port>(&self, port: &P, index: u16) -> Result<Place, Refusal> {
        let pages = self.pages.lock().len();
        if index as usize / PER_PAGE == pages {
            let page = port.keep(PER_PAGE, Transaction::place);
            let page = page.and_then(|page| page.first_chunk()).ok_or(Refusal::TableMemory)?;
            self.pages.lock().try_push(page).map_err(|_| Refusal::MemTransactions)?;
        }
        self.place(index).ok_or(Refusal::MemTransactions)
    }

    fn place(&self, index: u16) -> Option<Place> {
        let places = *self.pages.lock().get(index as usize / PER_PAGE)?;
        places.get(index as usize % PER_PAGE)
    }

    /// Finds the transaction that `handle` names.
    pub(super) fn find(&self, handle: Handle) -> Result<Held<'static>, Refusal> {
        let guard = self.place(handle.0 as u16).ok_or(Refusal::MemHandle)?.lock();
        if guard.phase == Phase::Free || u64::from(guard.generation) != handle.0 >> INDEX_BITS {
            return Err(Refusal::MemHandle);
        }
        Ok(guard)
    }

    /// Closes a transaction: its place is free.
    pub(super) fn close<P: Port>(&self, port: &P, mut held: Held<'_>) {
        let (index, owner) = (held.index, held.owner);
        held.clear(port);
        drop(held);
        let mut places = self.places.lock();
        if let Some(word) = places.taken.get_mut(usize::from(index / 64)) {
            *word &= !(1 << (index % 64));
            places.full &= !(1 << (index / 64));
        }
        if let Some(open) = places.open.get_mut(owner as usize) {
            *open = open.saturating_sub(1);
        }
    }

    /// Visits every transaction in use, one at a time.
    pub(super) fn each(&self) -> impl Iterator<Item = Held<'static>> {
        let places = (0..MAX_OPEN as u16).map_while(|index| self.place(index));
        places.map(Mutex::lock).filter(|held| held.phase != Phase::Free)
    }
}
