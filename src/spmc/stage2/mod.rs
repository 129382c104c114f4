// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 2 of a partition: what it may reach, and whose every page is.
//!
//! Two roots per partition, one for each IPA space (Arm ARM, "Secure EL2 and the Secure EL1&0 translation regime"):
//! a level-1 table of one page each, 39 bits of IPA, 4 KiB pages and 2 MiB blocks. The Normal world's ownership is
//! kept in a tree of the same form, which no hardware walks ([`Stage2::tracking`]).

mod entry;
mod ownership;
mod ranges;
mod walk;

#[cfg(test)]
mod tests;

use crate::refusal::Refusal;
use crate::{Ipa, PAGE_SIZE, Pa, Port, Space, Stage2Roots, Vmid};
pub use entry::{Access, Attributes, Entry, MAX_SHARES, MemoryType, Tag};
pub(crate) use ownership::{Change, Check, Kind};
pub(crate) use ranges::{Link, RangeList, take_page};
pub(crate) use walk::SPACE_PAGES;
pub use walk::Walk;

/// Bits of an IPA: one page holds the level-1 table.
pub const IPA_BITS: u64 = 39;

/// Says why a mapping was refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The pool has no page for a table.
    NoTableMemory,
    /// Part of the range is in use already.
    Occupied,
    /// An address is not on a page boundary.
    Misaligned,
    /// The range is empty, or ends outside the IPA space.
    OutOfRange,
}

impl From<Refusal> for Error {
    fn from(why: Refusal) -> Self {
        match why {
            Refusal::TableMemory => Self::NoTableMemory,
            // A page refused the change.
            _ => Self::Occupied,
        }
    }
}

/// Holds the tables of one partition, or what tracks the Normal world's pages. Its lock guards them.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Stage2 {
    roots: Stage2Roots,
    /// Whether the hardware walks them.
    installed: bool,
    /// How often they were changed, or may have been.
    changes: u64,
}

impl Stage2 {
    /// Allocates both roots, empty.
    pub fn new<P: Port>(port: &P, vmid: Vmid) -> Result<Self, Error> {
        let secure = port.page_alloc().ok_or(Error::NoTableMemory)?;
        let Some(non_secure) = port.page_alloc() else {
            port.page_free(secure);
            return Err(Error::NoTableMemory);
        };
        port.tables_written();
        Ok(Self { roots: Stage2Roots { vmid, secure, non_secure }, installed: true, changes: 0 })
    }

    /// Allocates an empty tree that keeps the ownership of the Normal world's pages, in the Non-secure space. A page without
    /// an entry is as the manifest says.
    pub fn tracking<P: Port>(port: &P) -> Result<Self, Error> {
        let non_secure = port.page_alloc().ok_or(Error::NoTableMemory)?;
        Ok(Self { roots: Stage2Roots { vmid: Vmid(0), secure: Pa(0), non_secure }, installed: false, changes: 0 })
    }

    /// Returns what a context loads.
    pub const fn roots(&self) -> Stage2Roots {
        self.roots
    }

    /// Counts the walks that were started, each of which may have changed the tables.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Starts a walk of one IPA space.
    #[inline(never)]
    pub fn walk<'a, P: Port>(&'a mut self, port: &'a P, space: Space) -> Walk<'a, P> {
        self.changes = self.changes.wrapping_add(1);
        Walk::new(port, self, space)
    }

    /// Maps `pages` pages at `ipa` to `pa` of the same space, all or nothing.
    #[expect(clippy::too_many_arguments, reason = "a mapping has that many properties")]
    pub fn map<P: Port>(
        &mut self,
        port: &P,
        space: Space,
        ipa: Ipa,
        pa: Pa,
        pages: u64,
        attributes: Attributes,
        tag: Tag,
    ) -> Result<(), Error> {
        if !ipa.is_page_aligned() || !pa.is_page_aligned() {
            return Err(Error::Misaligned);
        }
        check_range(ipa, pages)?;
        check_range(Ipa(pa.0), pages)?;
        let mut walk = self.walk(port, space);
        if (ipa.0 ^ pa.0) % (512 * PAGE_SIZE) != 0 {
            walk.without_blocks();
        }
        let change = Change::map(ipa, Entry::leaf(pa, attributes, tag));
        walk.change_one(ipa, pages, Check::Vacant, &change).map_err(Error::from)
    }

    /// Removes pages, whoever's they are; fails only where a block must be split and the pool is empty.
    pub fn unmap<P: Port>(&mut self, port: &P, space: Space, ipa: Ipa, pages: u64) -> Result<(), Error> {
        let mut walk = self.walk(port, space);
        walk.change_one(ipa, pages, Check::Anything, &Change::Forget).map_err(Error::from)
    }

    /// Returns the descriptor of the page at `ipa`, in page form, or zero.
    pub fn query<P: Port>(&self, port: &P, space: Space, ipa: Ipa) -> Entry {
        walk::read(port, self.root(space), ipa)
    }

    /// Translates an IPA for an access; `None` if the partition may not make it.
    pub fn translate<P: Port>(&self, port: &P, space: Space, ipa: Ipa, access: Access) -> Option<Pa> {
        let e = self.query(port, space, ipa);
        let allowed = e.is_valid() && e.access().contains(access);
        allowed.then(|| Pa(e.pa().0 | (ipa.0 % PAGE_SIZE)))
    }

    /// Returns all tables to the pool. No context of the partition may run any more.
    pub fn destroy<P: Port>(self, port: &P) {
        if self.installed {
            port.tlb_invalidate_all(&self.roots);
            walk::destroy(port, self.roots.secure);
        }
        walk::destroy(port, self.roots.non_secure);
    }

    const fn root(&self, space: Space) -> Pa {
        match space {
            Space::Secure => self.roots.secure,
            Space::NonSecure => self.roots.non_secure,
        }
    }
}

/// Checks that a range is not empty and ends inside the IPA space.
pub fn check_range(ipa: Ipa, pages: u64) -> Result<(), Error> {
    let first = ipa.0 / PAGE_SIZE;
    match first.checked_add(pages) {
        Some(end) if pages > 0 && end <= SPACE_PAGES => Ok(()),
        Some(_) | None => Err(Error::OutOfRange),
    }
}
