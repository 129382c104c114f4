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

/// Returns what the owner's entry becomes when the page is sent.
#[inline(always)]
pub(super) fn send(entry: Entry, at: Ipa, kind: Kind) -> Entry {
    let entry = if entry.is_zero() { Entry::leaf(Pa(at.0), NORMAL, Tag::Owned) } else { entry };
    match kind {
        Kind::Share => entry.with_tag(Tag::SharedOwned).with_shares(entry.shares() + 1),
        Kind::Lend => entry.with_tag(Tag::SharedOwned).with_shares(1).with_valid(false),
        Kind::Donate => entry.with_tag(Tag::Donated).with_valid(false),
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
