// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory management (DEN0077A, chapter "Memory management interfaces").
//!
//! Every call goes the same way: copy the descriptor once, check the copy, claim pages (may fail, and then takes its
//! claims back), commit (cannot fail). Who owns a page is in the owner's tables ([`crate::stage2::Tag`]); what was
//! agreed about it is in the table of transactions.
//!
//! Locks, in the order in which they are taken: a transaction, then the tables of one endpoint (a partition's
//! stage 2 or the Normal world's tracking), then a mailbox; which places of transactions are in use, then the list of
//! their pages or the pool, are taken last. No call holds two transactions, or the tables of two endpoints.

mod fragment;
mod perm;
mod reclaim;
mod relinquish;
mod retrieve;
mod send;
mod table;

#[cfg(test)]
mod tests;

use ffa_abi::func::SMC64;
use ffa_abi::memory::{Flags, Region};
use ffa_abi::{Func, Handle, PartitionId, Regs, Version};

use crate::mailbox::Mailbox;
use crate::partition::{Entered, Partition};
use crate::refusal::Refusal;
use crate::stage2::{self, Change, Check, Stage2};
use crate::sync::{Mutex, MutexGuard};
use crate::{Ipa, PAGE_SIZE, Pa, Port, Space, Spmc};

use send::Chunk;
pub(crate) use table::MAX_OPEN;
use table::{Held, Kind, Phase, Table, Transaction};

/// What the SPMC keeps about memory beside the partitions' tables.
pub(crate) struct Memory {
    /// Whose the Normal world's pages are.
    pub(crate) tracking: Mutex<Stage2>,
    table: Table,
    /// Pages of the pool that what partitions send leaves to everybody else: a descriptor may announce any number of
    /// ranges, and need not ever be complete.
    spare: usize,
}

impl Memory {
    /// Makes an empty table of `capacity` transactions, and a tracking tree in which the Normal world owns all that
    /// the manifest gives it.
    pub(crate) fn new<P: Port>(port: &P, capacity: usize) -> Result<Self, stage2::Error> {
        Ok(Self {
            tracking: Mutex::new(Stage2::tracking(port)?),
            table: Table::new(capacity),
            spare: port.pages_free() / 2,
        })
    }

    /// Returns how many pages of the pool a descriptor of this sender leaves to others.
    fn left_by(&self, sender: PartitionId) -> usize {
        if sender.is_secure() { self.spare } else { 0 }
    }
}

/// Who makes a memory call.
pub(crate) enum Caller<'a, P: Port> {
    /// The Normal world: its hypervisor or OS, for itself or for one of its VMs.
    Normal,
    /// A partition.
    Partition(&'a Partition<P>),
}

impl<P: Port> Clone for Caller<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Port> Copy for Caller<'_, P> {}

impl<P: Port> Caller<'_, P> {
    /// Tells whether the caller may speak for `id`.
    fn is(&self, id: PartitionId) -> bool {
        match self {
            Self::Normal => !id.is_secure(),
            Self::Partition(p) => p.id() == id,
        }
    }

    /// Tells whether a retrieve response to the caller is about receiver `id`: a receiver is told of itself, a hypervisor
    /// of all.
    fn hears_of(&self, id: PartitionId) -> bool {
        matches!(self, Self::Normal) || self.is(id)
    }

    /// Counts the receivers that a retrieve response is about.
    fn told_of(&self, t: &Transaction) -> usize {
        match self {
            Self::Normal => t.receivers().len(),
            Self::Partition(_) => 1,
        }
    }

    /// Returns the position of a partition.
    fn position(&self) -> Option<usize> {
        match self {
            Self::Normal => None,
            Self::Partition(p) => Some(p.index),
        }
    }
}

/// Reads the arguments that the sending calls and `FFA_MEM_RETRIEVE_REQ` share: total length, fragment length, and
/// a buffer, which must be the TX buffer.
fn lengths(wide: bool, regs: &Regs) -> Result<(u32, u32), Refusal> {
    let [_, total, fragment, address, pages, ..] = regs.x;
    let address = if wide { address } else { u64::from(address as u32) };
    if address != 0 || pages as u32 != 0 {
        return Err(Refusal::MemDynamicBuffer);
    }
    let (total, fragment) = (total as u32, fragment as u32);
    if fragment == 0 || fragment > total {
        return Err(Refusal::MemLength);
    }
    Ok((total, fragment))
}

/// Reads a message out of a TX buffer, every byte once, in order. Nobody unmaps the buffer meanwhile.
struct Reader<'a> {
    mailbox: MutexGuard<'a, Mailbox>,
    at: u64,
    left: u64,
}

impl Reader<'_> {
    /// Copies as many bytes as there are left and as fit, and returns them. The first call refuses a message that is longer
    /// than the buffer.
    #[inline(never)]
    fn read<'o, P: Port>(&mut self, port: &P, out: &'o mut [u8]) -> Result<&'o [u8], Refusal> {
        let pair = self.mailbox.pair().ok_or(Refusal::BufferNotMapped)?;
        let n = self.left.min(out.len() as u64);
        let out = out.get_mut(..n as usize).filter(|_| self.at + self.left <= pair.len).ok_or(Refusal::MemLength)?;
        port.read(pair.space, Pa(pair.tx.0 + self.at), out).map_err(|_| Refusal::BufferFault)?;
        self.at += n;
        self.left -= n;
        Ok(out)
    }
}

impl<P: Port> Spmc<P> {
    /// Answers a memory management call of the Normal world or of a partition.
    #[inline(never)]
    pub(crate) fn memory_call(
        &self,
        caller: Caller<'_, P>,
        func: Func,
        entered: Entered,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let wide = regs.fid() & SMC64 != 0;
        match func {
            Func::MemReclaim => self.reclaim(caller, regs)?,
            Func::MemRelinquish => self.relinquish(caller)?,
            Func::MemPermSet => self.perm_set(caller, wide, entered, regs)?,
            Func::MemShare => return self.send(caller, Kind::Share, wide, regs),
            Func::MemLend => return self.send(caller, Kind::Lend, wide, regs),
            Func::MemDonate => return self.send(caller, Kind::Donate, wide, regs),
            Func::MemFragTx => return self.fragment_tx(caller, regs),
            Func::MemFragRx => return self.fragment_rx(caller, regs),
            Func::MemRetrieveReq => return self.retrieve(caller, wide, regs),
            Func::MemPermGet => return self.perm_get(caller, wide, regs),
            // The table of calls sends no other here.
            _ => return Err(Refusal::UnknownCall),
        }
        // These answer with nothing more.
        regs.set_success(0);
        Ok(())
    }

    fn mailbox_of<'a>(&'a self, caller: &Caller<'a, P>) -> &'a Mutex<Mailbox> {
        match caller {
            Caller::Normal => &self.normal.mailbox,
            Caller::Partition(p) => &p.mailbox,
        }
    }

    /// Begins to read a message of `len` bytes in the caller's TX buffer.
    fn reader<'a>(&'a self, caller: &Caller<'a, P>, len: u32) -> Reader<'a> {
        Reader { mailbox: self.mailbox_of(caller).lock(), at: 0, left: len.into() }
    }

    /// Reads and decodes the header of a transaction descriptor.
    #[inline(never)]
    fn read_region<'h>(
        &self,
        caller: &Caller<'_, P>,
        reader: &mut Reader<'_>,
        head: &'h mut Chunk,
    ) -> Result<Region<'h>, Refusal> {
        Ok(Region::decode(reader.read(self.port, &mut head.0)?, self.version_of(caller))?)
    }

    /// Finds the transaction that w1 and w2 name, which the caller sent and which has come as far as `phase`.
    #[inline(never)]
    fn find_sent(&self, caller: &Caller<'_, P>, regs: &Regs, phase: Phase) -> Result<Held<'static>, Refusal> {
        let t = self.memory.table.find(handle(regs))?;
        if !caller.is(t.sender) {
            return Err(Refusal::MemHandle);
        }
        if t.phase != phase {
            return Err(Refusal::MemHalfSent);
        }
        Ok(t)
    }

    fn version_of(&self, caller: &Caller<'_, P>) -> Version {
        match caller {
            Caller::Normal => self.normal.version.get(),
            Caller::Partition(p) => p.version.get(),
        }
    }

    /// Finds out who sent the memory of a transaction, to change its tables.
    fn owner_of(&self, t: &Transaction) -> Option<Caller<'_, P>> {
        match t.sender.is_secure() {
            true => self.partitions.look_up(t.sender).map(Caller::Partition),
            false => Some(Caller::Normal),
        }
    }

    fn tables_of<'a>(&'a self, end: &Caller<'a, P>) -> &'a Mutex<Stage2> {
        match end {
            Caller::Normal => &self.memory.tracking,
            Caller::Partition(p) => &p.stage2,
        }
    }

    /// Rewrites every page of a transaction in the tables of one of its ends.
    #[inline(never)]
    fn rewrite(&self, end: &Caller<'_, P>, t: &Transaction, change: &Change) {
        let mut tables = self.tables_of(end).lock();
        let mut walk = tables.walk(self.port, t.space);
        walk.commit(&t.ranges, change);
        walk.finish();
    }

    /// Makes the pages the owner's again, with the permissions that it had.
    fn restore(&self, owner: &Caller<'_, P>, t: &Transaction) {
        self.rewrite(owner, t, &Change::TakeBack { normal: matches!(owner, Caller::Normal) });
    }

    /// Takes pages of Normal-world memory that a partition's manifest claims away from the Normal world.
    pub(crate) fn withhold(&self, at: Pa, pages: u64) -> Result<(), Refusal> {
        let mut tracking = self.memory.tracking.lock();
        // Two partitions may name the same region: the manifest checks decide about that.
        let mut walk = tracking.walk(self.port, Space::NonSecure);
        walk.change_one(Ipa(at.0), pages, Check::Anything, &Change::give_away())
    }

    /// Tells whether a range is wholly in RAM that the Normal world owns alone. `tracking` proves that nothing changes
    /// meanwhile.
    pub(crate) fn normal_owns(&self, tracking: &Stage2, at: u64, len: u64) -> bool {
        let alone = |i| tracking.query(self.port, Space::NonSecure, Ipa(at + i * PAGE_SIZE)).is_zero();
        self.normal_ram(at, len).is_some() && (0..len / PAGE_SIZE).all(alone)
    }
}

/// Reads a handle out of w1 and w2.
const fn handle(regs: &Regs) -> Handle {
    Handle::from_words(regs.x[1] as u32, regs.x[2] as u32)
}

/// Checks the flags of relinquish and reclaim; returns whether to zero.
fn zero_flag(flags: Flags) -> Result<bool, Refusal> {
    if flags.has(!(Flags::ZERO | Flags::TIME_SLICE)) {
        return Err(Refusal::BadFlags);
    }
    Ok(flags.has(Flags::ZERO))
}
