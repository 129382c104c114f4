// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory management: sending this partition's memory, using memory that others sent.
//!
//! The descriptors are written and read here as the specification lays them out (DEN0077A v1.1, "Memory management
//! interfaces"), apart from the SPMC's own code, so that each is a witness of the other.

use crate::{
    ffa::{self, MAILBOX_SIZE, Mailbox},
    mmu::{self, Access, Attributes, MapError},
};
use ffa_abi::{Error, Func, Handle, PartitionId, Version};

const PAGE: u64 = 4096;
/// Bytes of the transaction descriptor before its access descriptors.
const HEADER: usize = 48;
/// Bytes of an access descriptor: up to v1.1, and from v1.2 on.
const ACCESS: usize = 16;
const ACCESS_V1_2: usize = 32;
/// Bytes of the composite descriptor before its ranges, and of a range.
const COMPOSITE: usize = 16;
const RANGE: usize = 16;
/// Bit 6 of the attributes: Non-secure memory.
const NON_SECURE: u64 = 1 << 6;
/// Bits 5:4 of the attributes: Device memory.
const DEVICE: u64 = 1 << 4;
const TYPE: u64 = 3 << 4;

/// Normal write-back inner-shareable memory, as the attributes of a descriptor say it.
pub const NORMAL: u16 = 0x2f;
/// Data access of an access descriptor: read-only.
pub const READ_ONLY: u8 = 1;
/// Data access of an access descriptor: read and write.
pub const READ_WRITE: u8 = 2;
/// Instruction access of an access descriptor: never.
pub const EXECUTE_NEVER: u8 = 1 << 2;
/// Instruction access of an access descriptor: allowed.
pub const EXECUTE: u8 = 2 << 2;

/// The most ranges of a region.
pub const MAX_RANGES: usize = 320;

/// Says why memory could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The SPMC refused.
    Ffa(Error),
    /// It was retrieved, and given up again because stage 1 has no room.
    Map(MapError),
    /// The SPMC's descriptor does not make sense: what was looked at.
    Descriptor(&'static str),
}

impl From<Error> for MemoryError {
    fn from(error: Error) -> Self {
        Self::Ffa(error)
    }
}

impl From<MapError> for MemoryError {
    fn from(error: MapError) -> Self {
        Self::Map(error)
    }
}

/// What a sender and a borrower agree on.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The owner.
    pub sender: PartitionId,
    /// The borrower.
    pub receiver: PartitionId,
    /// Permissions: data access | instruction access.
    pub permissions: u8,
    /// Memory region attributes; 0 where they are not to be said.
    pub attributes: u16,
    /// Flags of the transaction.
    pub flags: u32,
    /// Any number, the same on both sides.
    pub tag: u64,
}

/// Returns the size of an access descriptor in the version that was negotiated.
fn access_size() -> usize {
    if ffa::negotiated() >= Version::V1_2 { ACCESS_V1_2 } else { ACCESS }
}

impl Terms {
    /// Writes a transaction descriptor with one access descriptor; `composite` is the offset of the ranges or 0.
    fn write(&self, mailbox: &mut Mailbox, handle: Handle, composite: usize) {
        let head = u64::from(self.sender.0) | u64::from(self.attributes) << 16 | u64::from(self.flags) << 32;
        let access = u64::from(self.receiver.0) | u64::from(self.permissions) << 16 | (composite as u64) << 32;
        let words = [head, handle.0, self.tag, access_size() as u64 | 1 << 32, HEADER as u64, 0, access, 0, 0, 0];
        words.into_iter().enumerate().for_each(|(i, word)| mailbox.write(8 * i, word));
    }
}

/// Sends `ranges` (address, pages) of this partition's memory: `func` is FFA_MEM_SHARE, LEND or DONATE.
///
/// # Errors
/// As the SPMC answers; `NO_MEMORY` when the descriptor is larger than the TX buffer.
pub fn send(func: Func, terms: &Terms, ranges: &[(u64, u32)]) -> Result<Handle, Error> {
    let composite = HEADER + access_size();
    let length = composite + COMPOSITE + RANGE * ranges.len();
    if length > MAILBOX_SIZE {
        return Err(Error::NoMemory);
    }
    let mut mailbox = ffa::mailbox()?;
    terms.write(&mut mailbox, Handle(0), composite);
    let pages: u64 = ranges.iter().map(|&(_, pages)| u64::from(pages)).sum();
    mailbox.write(composite, pages | (ranges.len() as u64) << 32);
    mailbox.write(composite + 8, 0);
    for (i, &(address, pages)) in ranges.iter().enumerate() {
        mailbox.write(composite + COMPOSITE + RANGE * i, address);
        mailbox.write(composite + COMPOSITE + RANGE * i + 8, pages.into());
    }
    let length = length as u64;
    let [_, _, low, high, ..] = ffa::call([func.id32().into(), length, length, 0, 0, 0, 0, 0])?;
    Ok(Handle::from_words(low as u32, high as u32))
}

/// Takes memory back: FFA_MEM_RECLAIM.
///
/// # Errors
/// As the SPMC answers.
pub fn reclaim(handle: Handle, flags: u32) -> Result<(), Error> {
    let (low, high) = handle.words();
    ffa::call([Func::MemReclaim.id32().into(), low.into(), high.into(), flags.into(), 0, 0, 0, 0]).map(drop)
}

/// Gives retrieved memory up without touching stage 1: FFA_MEM_RELINQUISH.
///
/// # Errors
/// As the SPMC answers.
pub fn relinquish(handle: Handle, me: PartitionId, flags: u32) -> Result<(), Error> {
    let mut mailbox = ffa::mailbox()?;
    let words = [handle.0, u64::from(flags) | 1 << 32, u64::from(me.0)];
    words.into_iter().enumerate().for_each(|(i, word)| mailbox.write(8 * i, word));
    ffa::call([Func::MemRelinquish.id32().into(), 0, 0, 0, 0, 0, 0, 0]).map(drop)
}

/// Memory of another endpoint that this partition has retrieved and mapped.
#[derive(Debug)]
pub struct Region {
    handle: Handle,
    receiver: PartitionId,
    attributes: u16,
    mapping: Attributes,
    /// Counter ticks that FFA_MEM_RETRIEVE_REQ itself took.
    pub ticks: u64,
    count: usize,
    ranges: [(u64, u32); MAX_RANGES],
}

impl Region {
    /// A region with no memory in it.
    pub const EMPTY: Self = Self {
        handle: Handle(0),
        receiver: PartitionId(0),
        attributes: 0,
        mapping: Attributes { access: Access::ReadOnly, non_secure: false, device: false },
        ticks: 0,
        count: 0,
        ranges: [(0, 0); MAX_RANGES],
    };

    /// Retrieves the memory that `handle` names and maps it: FFA_MEM_RETRIEVE_REQ, FRAG_RX, RX_RELEASE.
    ///
    /// # Errors
    /// As the SPMC answers. A region that cannot be mapped is relinquished again.
    pub fn retrieve(&mut self, handle: Handle, terms: &Terms) -> Result<(), MemoryError> {
        let access = if terms.permissions & 3 == READ_ONLY { Access::ReadOnly } else { Access::ReadWrite };
        self.mapping.access = if terms.permissions & EXECUTE != 0 { Access::Execute } else { access };
        (self.handle, self.receiver, self.count) = (handle, terms.receiver, 0);
        self.request(terms)?;
        if let Err(error) = self.map() {
            self.count = 0;
            relinquish(handle, self.receiver, 0)?;
            return Err(error.into());
        }
        Ok(())
    }

    fn request(&mut self, terms: &Terms) -> Result<(), MemoryError> {
        let mut mailbox = ffa::mailbox()?;
        terms.write(&mut mailbox, self.handle, 0);
        let length = (HEADER + access_size()) as u64;
        let start = now();
        let answer = ffa::call([Func::MemRetrieveReq.id32().into(), length, length, 0, 0, 0, 0, 0])?;
        self.ticks = now().wrapping_sub(start);
        let [_, total, fragment, ..] = answer;
        let read = self.read(&mut mailbox, total as usize, fragment as usize);
        // Whatever the descriptor looks like, the buffer goes back.
        mailbox.release()?;
        if read.is_err() {
            drop(mailbox);
            relinquish(self.handle, self.receiver, 0)?;
        }
        read
    }

    /// Reads the response in the RX buffer, and its further fragments.
    fn read(&mut self, mailbox: &mut Mailbox, total: usize, first: usize) -> Result<(), MemoryError> {
        let bad = MemoryError::Descriptor;
        self.attributes = mailbox.read_part::<2>(2) as u16;
        self.mapping.non_secure = u64::from(self.attributes) & NON_SECURE != 0;
        self.mapping.device = u64::from(self.attributes) & TYPE == DEVICE;
        if mailbox.read_part::<4>(28) != 1 {
            return Err(bad("number of access descriptors"));
        }
        let composite = mailbox.read(mailbox.read_part::<4>(32) as usize) >> 32;
        let composite = composite as usize;
        if composite < HEADER || !composite.is_multiple_of(8) || composite + COMPOSITE > first {
            return Err(bad("offset of the ranges"));
        }
        let (pages, count) = (mailbox.read_part::<4>(composite), mailbox.read_part::<4>(composite + 4) as usize);
        if count > self.ranges.len() || composite + COMPOSITE + count * RANGE > total {
            return Err(bad("number of ranges"));
        }
        // `offset` is the place in the whole descriptor, `end` where the fragment in the buffer ends.
        let (mut offset, mut begin, mut end) = (composite + COMPOSITE, 0, first);
        for range in self.ranges.iter_mut().take(count) {
            if offset + RANGE > end {
                mailbox.release()?;
                let (low, high) = self.handle.words();
                let next = [Func::MemFragRx.id32().into(), low.into(), high.into(), end as u64, 0, 0, 0, 0];
                let [_, _, _, length, ..] = ffa::call(next)?;
                (begin, end) = (end, end.saturating_add(length as usize));
                if offset != begin || length == 0 {
                    return Err(bad("length of a fragment"));
                }
            }
            *range = (mailbox.read(offset - begin), mailbox.read_part::<4>(offset - begin + 8) as u32);
            offset += RANGE;
        }
        self.count = count;
        if self.pages() != pages { Err(bad("number of pages")) } else { Ok(()) }
    }

    fn map(&self) -> Result<(), MapError> {
        for (done, &(base, pages)) in self.ranges().iter().enumerate() {
            if let Err(error) = mmu::map(base, u64::from(pages) * PAGE, self.mapping) {
                self.unmap(done);
                return Err(error);
            }
        }
        Ok(())
    }

    fn unmap(&self, count: usize) {
        for &(base, pages) in self.ranges().iter().take(count) {
            // What is not mapped cannot be unmapped: nothing to do about it.
            let _ = mmu::unmap(base, u64::from(pages) * PAGE);
        }
    }

    /// Returns the handle.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Returns the memory region attributes that the SPMC granted.
    pub fn attributes(&self) -> u16 {
        self.attributes
    }

    /// Returns the ranges: address and pages.
    pub fn ranges(&self) -> &[(u64, u32)] {
        self.ranges.get(..self.count).unwrap_or(&[])
    }

    /// Returns the number of pages.
    pub fn pages(&self) -> u64 {
        self.ranges().iter().map(|&(_, pages)| u64::from(pages)).sum()
    }

    /// Tells whether there is memory in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Removes the mapping and gives the memory up; returns the counter ticks that FFA_MEM_RELINQUISH took.
    ///
    /// # Errors
    /// As the SPMC answers; the mapping is gone then too.
    pub fn relinquish(&mut self, flags: u32) -> Result<u64, Error> {
        self.unmap(self.count);
        self.relinquish_mapped(flags)
    }

    /// Gives the memory up but keeps the stage-1 mapping, so that a later access reaches stage 2.
    ///
    /// # Errors
    /// As the SPMC answers.
    pub fn relinquish_mapped(&mut self, flags: u32) -> Result<u64, Error> {
        let start = now();
        relinquish(self.handle, self.receiver, flags)?;
        let ticks = now().wrapping_sub(start);
        self.count = 0;
        Ok(ticks)
    }

    /// Returns the address of the 8 bytes at `offset`, a multiple of 8, in the region.
    pub fn address(&self, offset: u64) -> Option<u64> {
        let mut left = offset;
        for &(base, pages) in self.ranges() {
            let length = u64::from(pages) * PAGE;
            if left < length {
                return Some(base + left).filter(|address| address.is_multiple_of(8));
            }
            left -= length;
        }
        None
    }

    /// Reads the 8 bytes at `offset`, a multiple of 8.
    pub fn read_at(&self, offset: u64) -> Option<u64> {
        // SAFETY: `request` mapped the ranges; other endpoints may write them at any time, which `read_volatile`
        // allows for: no reference to the memory is ever made.
        self.address(offset).map(|at| unsafe { core::ptr::read_volatile(at as *const u64) })
    }

    /// Writes the 8 bytes at `offset`, a multiple of 8; tells whether the region has them.
    pub fn write_at(&self, offset: u64, value: u64) -> bool {
        // SAFETY: as in `read_at`. A read-only region faults, and costs this partition alone.
        self.address(offset).map(|at| unsafe { core::ptr::write_volatile(at as *mut u64, value) }).is_some()
    }

    /// Walks over `length` bytes at `offset` in pieces that lie together; tells whether the region has them all.
    fn pieces(&self, offset: u64, length: usize, mut piece: impl FnMut(u64, core::ops::Range<usize>)) -> bool {
        let (mut skip, mut done) = (offset, 0);
        for &(base, pages) in self.ranges() {
            let size = u64::from(pages) * PAGE;
            if skip >= size {
                skip -= size;
                continue;
            }
            let here = usize::try_from(size - skip).unwrap_or(usize::MAX).min(length - done);
            piece(base + skip, done..done + here);
            (skip, done) = (0, done + here);
            if done == length {
                return true;
            }
        }
        length == 0
    }

    /// Copies from the region at `offset`, each byte read once; tells whether it has them all.
    pub fn copy_from(&self, offset: u64, to: &mut [u8]) -> bool {
        self.pieces(offset, to.len(), |address, place| {
            let to = to.get_mut(place).unwrap_or_default();
            let (head, rest) = to.split_at_mut(to.len().min(address.next_multiple_of(8) as usize - address as usize));
            let words = address + head.len() as u64;
            // SAFETY: as in `read_at`; `head`, `rest` and the region do not overlap, since no reference to the
            // region exists, and the addresses are those of the piece.
            unsafe {
                head.iter_mut()
                    .enumerate()
                    .for_each(|(i, byte)| *byte = ((address as usize + i) as *const u8).read_volatile());
                let mut chunks = rest.chunks_exact_mut(8);
                let mut at = words as usize;
                for chunk in &mut chunks {
                    chunk.copy_from_slice(&(at as *const u64).read_volatile().to_ne_bytes());
                    at += 8;
                }
                for byte in chunks.into_remainder() {
                    *byte = (at as *const u8).read_volatile();
                    at += 1;
                }
            }
        })
    }

    /// Copies to the region at `offset`; tells whether it has room for all.
    pub fn copy_to(&self, offset: u64, from: &[u8]) -> bool {
        self.pieces(offset, from.len(), |address, place| {
            let from = from.get(place).unwrap_or_default();
            let (head, rest) = from.split_at(from.len().min(address.next_multiple_of(8) as usize - address as usize));
            let words = address + head.len() as u64;
            // SAFETY: as in `write_at`; the addresses are those of the piece.
            unsafe {
                head.iter().enumerate().for_each(|(i, byte)| ((address as usize + i) as *mut u8).write_volatile(*byte));
                let mut at = words as usize;
                let mut chunks = rest.chunks_exact(8);
                for chunk in &mut chunks {
                    let word = chunk.try_into().map_or(0, u64::from_ne_bytes);
                    (at as *mut u64).write_volatile(word);
                    at += 8;
                }
                for byte in chunks.remainder() {
                    (at as *mut u8).write_volatile(*byte);
                    at += 1;
                }
            }
        })
    }

    /// Writes `pattern` to every 32-bit word; returns their number.
    pub fn fill(&self, pattern: u32) -> u64 {
        let value = u64::from(pattern) | u64::from(pattern) << 32;
        for &(base, pages) in self.ranges() {
            for at in (base..base + u64::from(pages) * PAGE).step_by(8) {
                // SAFETY: as in `write_at`.
                unsafe { core::ptr::write_volatile(at as *mut u64, value) };
            }
        }
        self.pages() * PAGE / 4
    }

    /// Compares every 32-bit word with `pattern`; returns their number, or the address and value of the first two
    /// words that differ.
    pub fn check(&self, pattern: u32) -> Result<u64, (u64, u64)> {
        let value = u64::from(pattern) | u64::from(pattern) << 32;
        for &(base, pages) in self.ranges() {
            for at in (base..base + u64::from(pages) * PAGE).step_by(8) {
                // SAFETY: as in `read_at`.
                let found = unsafe { core::ptr::read_volatile(at as *const u64) };
                if found != value {
                    return Err((at, found));
                }
            }
        }
        Ok(self.pages() * PAGE / 4)
    }
}

/// Returns the generic counter.
#[inline]
pub fn now() -> u64 {
    let ticks;
    // SAFETY: reads a counter; the barrier keeps the read in its place.
    unsafe { core::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack)) };
    ticks
}
