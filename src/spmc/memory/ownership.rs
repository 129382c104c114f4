// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens to a page's descriptor, in the owner's tables and in a receiver's: a function from old to new each.
//!
//! In the Normal world's tracking tree a page without an entry is its owner's; an entry exists while it is sent.

use super::Kind;
use crate::refusal::Refusal;
use crate::stage2::{Access, Attributes, Entry, MAX_SHARES, MemoryType, Tag};
use crate::{Ipa, Pa};

const NORMAL: Attributes = Attributes { access: Access::all(), memory: MemoryType::Normal };

/// Returns the tracking entry of a page that is not the Normal world's any more.
pub(super) const fn given_away(at: Ipa) -> Entry {
    Entry::leaf(Pa(at.0), NORMAL, Tag::Donated).with_valid(false)
}

/// Checks that the owner of `entry` may send the page, and give `needs` to a receiver.
#[inline(always)]
pub(super) fn may_send(entry: Entry, at: Ipa, kind: Kind, normal: bool, needs: Access) -> Result<(), Refusal> {
    if entry.is_zero() {
        // The caller has checked that the range is the Normal world's by the manifest.
        return if normal { Ok(()) } else { Err(Refusal::MemNotOwned) };
    }
    if !entry.is_valid() || entry.pa().0 != at.0 {
        return Err(Refusal::MemNotOwned);
    }
    let owned = match entry.tag() {
        Tag::Owned => true,
        Tag::SharedOwned => kind == Kind::Share,
        Tag::SharedBorrowed | Tag::Donated => false,
    };
    if !owned {
        return Err(Refusal::MemNotOwned);
    }
    let attributes = entry.attributes();
    if attributes.memory != MemoryType::Normal {
        return Err(Refusal::MemKind);
    }
    if !attributes.access.contains(needs) {
        return Err(Refusal::MemMorePermission);
    }
    if entry.shares() >= MAX_SHARES {
        return Err(Refusal::MemShares);
    }
    Ok(())
}

/// A change of an owner's entry, as bits to clear, to set and to add: computed once for a transaction, applied to
/// every page.
#[derive(Clone, Copy)]
pub(super) struct Change {
    keep: u64,
    set: u64,
    add: u64,
    /// What a page without an entry amounts to, but for its address.
    fresh: u64,
}

impl Change {
    /// Sending: what of the owner's access remains, and that it is sent.
    pub(super) const fn send(kind: Kind) -> Self {
        let fresh = Entry::leaf(Pa(0), NORMAL, Tag::Owned).0;
        let (keep, set) = match kind {
            Kind::Share => (Entry(!0).with_tag(Tag::Owned), Entry::ZERO.with_tag(Tag::SharedOwned)),
            Kind::Lend => (
                Entry(!0).with_tag(Tag::Owned).with_valid(false).with_shares(0),
                Entry::ZERO.with_tag(Tag::SharedOwned).with_shares(1),
            ),
            Kind::Donate => (Entry(!0).with_valid(false), Entry::ZERO.with_tag(Tag::Donated)),
        };
        let add = match kind {
            Kind::Share => Entry::ZERO.with_shares(1).0,
            Kind::Lend | Kind::Donate => 0,
        };
        Self { keep: keep.0, set: set.0, add, fresh }
    }

    /// Applies the change to the entry of the page at `at`.
    #[inline(always)]
    pub(super) const fn apply(self, entry: Entry, at: Ipa) -> Entry {
        let entry = if entry.is_zero() { at.0 | self.fresh } else { entry.0 };
        // The count of shares is below its maximum, `may_send` has seen to that: the sum stays within it.
        Entry(((entry & self.keep) | self.set).wrapping_add(self.add))
    }
}

/// Returns what the owner's entry becomes when the page is taken back.
#[inline(always)]
pub(super) fn take_back(entry: Entry, kind: Kind, normal: bool) -> Entry {
    let shares = match kind {
        Kind::Share => entry.shares().saturating_sub(1),
        Kind::Lend | Kind::Donate => 0,
    };
    if shares > 0 {
        return entry.with_shares(shares);
    }
    if normal { Entry::ZERO } else { entry.with_tag(Tag::Owned).with_shares(0).with_valid(true) }
}

/// Checks that a receiver has nothing at the address of the page; what it once gave away does not count.
#[inline(always)]
pub(super) fn may_receive(entry: Entry) -> Result<(), Refusal> {
    let vacant = entry.is_zero() || !entry.is_valid() && entry.tag() == Tag::Donated;
    if vacant { Ok(()) } else { Err(Refusal::MemOccupied) }
}

/// Returns a receiver's entry.
#[inline(always)]
pub(super) const fn receive(at: Ipa, kind: Kind, access: Access) -> Entry {
    let tag = match kind {
        Kind::Share | Kind::Lend => Tag::SharedBorrowed,
        Kind::Donate => Tag::Owned,
    };
    Entry::leaf(Pa(at.0), Attributes { access, memory: MemoryType::Normal }, tag)
}
