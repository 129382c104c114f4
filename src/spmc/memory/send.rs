// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_MEM_SHARE`, `FFA_MEM_LEND`, `FFA_MEM_DONATE` (DEN0077A v1.1, sections 16.1 to 16.3).

use ffa_abi::memory::{Access, Data, Flags, Instruction, MemoryKind, RANGE_SIZE, Ranges, Region};
use ffa_abi::{Func, Regs};

use super::table::{Held, Kind, MAX_RECEIVERS, Phase, Receiver, Transaction};
use super::{Caller, Reader, lengths};
use crate::refusal::Refusal;
use crate::routing::{End, Use};
use crate::stage2::{self, Access as PageAccess, Change, Check, SPACE_PAGES};
use crate::{Ipa, PAGE_SIZE, Pa, Port, Space, Spmc};

/// Header, access descriptors and composite header lie within this many bytes.
pub(super) const HEAD: usize = 256;

/// As many bytes on the stack, aligned so that a copy goes by words.
#[repr(align(16))]
pub(super) struct Chunk(pub(super) [u8; HEAD]);

impl Chunk {
    pub(super) const ZERO: Self = Self([0; HEAD]);
}

/// Checks the rules about type and flags that do not depend on a receiver.
fn check_region<P: Port>(region: &Region<'_>, caller: &Caller<'_, P>, kind: Kind) -> Result<(), Refusal> {
    if !caller.is(region.sender) {
        return Err(Refusal::MemSender);
    }
    let allowed = match kind {
        Kind::Share => Flags::TIME_SLICE,
        Kind::Lend | Kind::Donate => Flags::TIME_SLICE | Flags::ZERO,
    };
    if region.flags.has(!allowed) {
        return Err(Refusal::BadFlags);
    }
    if region.handle.0 != 0 {
        return Err(Refusal::MemReserved);
    }
    if region.receivers == 0 || region.receivers > MAX_RECEIVERS || kind == Kind::Donate && region.receivers != 1 {
        return Err(Refusal::MemReceivers);
    }
    if region.attributes.non_secure {
        return Err(Refusal::MemAttributes);
    }
    let left_open = kind.is_for_one(region.receivers);
    let expected = if left_open { MemoryKind::NotSpecified } else { MemoryKind::Normal };
    if region.attributes.kind == expected {
        Ok(())
    } else if left_open || region.attributes.kind.is_usable() {
        Err(Refusal::MemAttributes)
    } else {
        Err(Refusal::MemKind)
    }
}

/// Checks what the owner may say about a receiver's access.
fn check_access(access: &Access, kind: Kind) -> Result<(), Refusal> {
    if access.flags != 0 {
        return Err(Refusal::MemReserved);
    }
    let specified = access.permissions.data != Data::NotSpecified;
    if access.permissions.instruction != Instruction::NotSpecified || specified == (kind == Kind::Donate) {
        return Err(Refusal::MemPermissions);
    }
    Ok(())
}

impl<P: Port> Spmc<P> {
    /// Opens a transaction from the first, often the only fragment of a descriptor in the caller's TX buffer.
    pub(super) fn send(&self, caller: Caller<'_, P>, kind: Kind, wide: bool, regs: &mut Regs) -> Result<(), Refusal> {
        let (total, fragment) = lengths(wide, regs)?;
        let mut t = self.memory.table.open(self.port, caller.position())?;
        let taken = self.first_fragment(&caller, kind, total, fragment, &mut t);
        self.proceed(&caller, t, taken, regs)
    }

    /// Goes on with a descriptor whose fragment was `taken`: completes the transaction or asks for the next fragment. What
    /// was wrong ends the transaction.
    #[inline(never)]
    pub(super) fn proceed(
        &self,
        owner: &Caller<'_, P>,
        mut t: Held<'_>,
        taken: Result<(), Refusal>,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let outcome = taken.and_then(|()| self.complete_or_ask(owner, &mut t, regs));
        if outcome.is_err() {
            self.memory.table.close(self.port, t);
        }
        outcome
    }

    fn first_fragment(
        &self,
        caller: &Caller<'_, P>,
        kind: Kind,
        total: u32,
        fragment: u32,
        t: &mut Transaction,
    ) -> Result<(), Refusal> {
        let mut reader = self.reader(caller, fragment);
        let mut chunk = Chunk::ZERO;
        let region = self.read_region(caller, &mut reader, &mut chunk);
        let region = region.as_ref().map_err(|why| *why)?;
        check_region(region, caller, kind)?;
        let from = caller.position().map_or(End::normal(region.sender), End::partition);
        let offset = self.receivers(region, from, kind, t)?;
        let composite = region.composite(offset)?;
        // The ranges reach to the end of the descriptor, and fragments break between them.
        let start = composite.at as u64;
        let ranges_end = start + u64::from(composite.ranges) * RANGE_SIZE as u64;
        if composite.ranges == 0 || u64::from(total) != ranges_end {
            return Err(Refusal::MemLength);
        }
        if u64::from(fragment) < start || (u64::from(fragment) - start) % RANGE_SIZE as u64 != 0 {
            return Err(Refusal::MemLength);
        }
        t.phase = Phase::Sending;
        t.kind = kind;
        t.sender = region.sender;
        t.zero_first = region.flags.has(Flags::ZERO);
        t.tag = region.tag;
        (t.pages, t.pages_left) = (composite.pages, composite.pages);
        t.ranges.expected = composite.ranges;
        t.offset = fragment;
        self.take_ranges(t, region.bytes_from(composite.at))?;
        self.take_rest(t, &mut reader, &mut chunk)
    }

    /// Checks the receivers and notes them; returns the composite's offset, on which all must agree.
    fn receivers(&self, region: &Region<'_>, from: End, kind: Kind, t: &mut Transaction) -> Result<u32, Refusal> {
        let mut offset = 0;
        for index in 0..region.receivers {
            let access = region.access(index);
            let access = access.as_ref()?;
            check_access(access, kind)?;
            if access.receiver == region.sender {
                return Err(Refusal::ToSelf);
            }
            if !access.receiver.is_secure() {
                return Err(Refusal::MemToNormalWorld);
            }
            let to = self.partitions.look_up(access.receiver).ok_or(Refusal::UnknownPartition)?;
            self.routing.check(from, End::partition(to.index), Use::Memory)?;
            t.add(Receiver::new(access.receiver, access.permissions.data))?;
            if index == 0 {
                offset = access.composite;
            }
            if access.composite != offset {
                return Err(Refusal::MemOffset);
            }
            t.set_impdef(self.port, self.memory.left_by(region.sender), index, access)?;
        }
        Ok(offset)
    }

    /// Notes the ranges in `bytes`.
    fn take_ranges(&self, t: &mut Transaction, bytes: &[u8]) -> Result<(), Refusal> {
        let leaves = self.memory.left_by(t.sender);
        let Transaction { ranges, pages_left, .. } = t;
        if u64::from(ranges.len()) + (bytes.len() / RANGE_SIZE) as u64 > u64::from(ranges.expected) {
            return Err(Refusal::MemCount);
        }
        let checked = Ranges::new(bytes).map(|range| {
            let range = range?;
            // It has pages, and does not wrap.
            if range.address / PAGE_SIZE + u64::from(range.pages) > SPACE_PAGES {
                return Err(Refusal::MemRange);
            }
            *pages_left = pages_left.checked_sub(range.pages).ok_or(Refusal::MemCount)?;
            Ok(range)
        });
        ranges.extend(self.port, leaves, checked)
    }

    /// Notes the ranges that are still in the TX buffer, which come by way of `chunk`.
    pub(super) fn take_rest(
        &self,
        t: &mut Transaction,
        reader: &mut Reader<'_>,
        chunk: &mut Chunk,
    ) -> Result<(), Refusal> {
        while reader.left > 0 {
            self.take_ranges(t, reader.read(self.port, &mut chunk.0)?)?;
        }
        Ok(())
    }

    /// Completes a transaction whose ranges are all here, or asks for the next fragment.
    fn complete_or_ask(&self, owner: &Caller<'_, P>, t: &mut Transaction, regs: &mut Regs) -> Result<(), Refusal> {
        let (low, high) = t.handle().words();
        let (low, high) = (u64::from(low), u64::from(high));
        if t.ranges.len() == t.ranges.expected {
            if t.pages_left != 0 {
                return Err(Refusal::MemCount);
            }
            self.hand_over(owner, t)?;
            t.phase = Phase::Open;
            regs.set8([Func::Success.id32().into(), 0, low, high, 0, 0, 0, 0]);
        } else {
            let (offset, sender) = (t.offset.into(), u64::from(t.sender.0) << 16);
            // A partition is told no sender: it is one (DEN0077A v1.1, table "FFA_MEM_FRAG_RX").
            let sender = if t.sender.is_secure() { 0 } else { sender };
            regs.set8([Func::MemFragRx.id32().into(), low, high, offset, sender, 0, 0, 0]);
        }
        Ok(())
    }

    /// Changes the owner's tables: claims every page, then commits, then zeroes if the owner wants it.
    fn hand_over(&self, owner: &Caller<'_, P>, t: &mut Transaction) -> Result<(), Refusal> {
        let mut tables = self.tables_of(owner).lock();
        let normal = matches!(owner, Caller::Normal);
        // The first page says in which space they are: a partition may own Non-secure memory, too.
        let non_secure = normal || tables.query(self.port, Space::Secure, t.ranges.first()).is_zero();
        t.space = if non_secure { Space::NonSecure } else { Space::Secure };
        let buffers = self.mailbox_of(owner).lock().pair().filter(|pair| pair.space == t.space);
        let written = t.zero_first || t.kind == Kind::Donate || t.receivers().iter().any(|r| r.data == Data::ReadWrite);
        let needs = if written { PageAccess::READ_WRITE } else { PageAccess::READ };
        let mut walk = tables.walk(self.port, t.space);
        // Ranges mostly lie in one piece of RAM: the manifest is asked about a range outside the last one's, and not at all
        // about a partition's.
        let mut ram = if normal { (0, 0) } else { (0, u64::MAX) };
        let mut admit = move |at: Ipa, pages| {
            let end = at.0 + pages * PAGE_SIZE;
            if at.0 < ram.0 || end > ram.1 {
                ram = self.normal_ram(at.0, end - at.0).ok_or(Refusal::MemNotOwned)?;
            }
            match buffers {
                Some(pair) if pair.touches(at.0, end) => Err(Refusal::MemBuffer),
                Some(_) | None => Ok(()),
            }
        };
        let mut check = Check::Sendable { kind: t.kind, normal, needs, admit: &mut admit };
        let changed = walk.change(&t.ranges, &mut check, &Change::Send(t.kind));
        drop(tables);
        changed?;
        // The pages are in transit: nobody has them while they are zeroed.
        if t.zero_first && self.zero(t).is_err() {
            self.restore(owner, t);
            return Err(Refusal::MemFault);
        }
        Ok(())
    }

    /// Fills the memory of a transaction with zeroes.
    pub(super) fn zero(&self, t: &Transaction) -> Result<(), Refusal> {
        t.ranges.iter(self.port).try_for_each(|(at, pages)| {
            self.port.zero(t.space, Pa(at.0), pages * PAGE_SIZE).map_err(|_| Refusal::MemFault)
        })
    }
}

// The widest descriptor's fixed parts fit in the first chunk.
const _: () = assert!(48 + 32 * MAX_RECEIVERS + 16 <= HEAD);
const _: () = assert!(stage2::IPA_BITS <= 39);
