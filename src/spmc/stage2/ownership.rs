// SPDX-License-Identifier: MIT OR Apache-2.0
//! All that can happen to a page's descriptor, in the owner's tables and in a receiver's.
//!
//! In the Normal world's tracking tree a page without an entry is its owner's; an entry exists while it is sent.
//!
//! Pages of a range mostly differ in their addresses alone, and the walk lets the first of such pages answer for all. So
//! no rule here may care which page it is asked about: where it is asked about the next page with the next output
//! address, its answer is the same, with the next output address.

use super::entry::{Access, Attributes, Entry, MAX_SHARES, MemoryType, Tag};
use crate::refusal::Refusal;
use crate::{Ipa, Pa};

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

/// Says whether a range of so many pages may be claimed, before its pages are looked at.
pub(crate) type Admit<'a> = &'a mut dyn FnMut(Ipa, u64) -> Result<(), Refusal>;

/// What a page must be to be claimed.
pub(crate) enum Check<'a> {
    /// Whatever it is.
    Anything,
    /// Nothing to the endpoint; what it once gave away does not count.
    Vacant,
    /// Mapped memory of the endpoint's own, not sent to anybody.
    Own,
    /// The endpoint's to send, with so much access, in a range that `admit` allows; `normal`: in the Normal world's tree.
    Sendable { kind: Kind, normal: bool, needs: Access, admit: Admit<'a> },
}

impl Check<'_> {
    pub(crate) fn apply(&self, entry: Entry, at: Ipa) -> Result<(), Refusal> {
        match *self {
            Self::Sendable { kind, normal, needs, .. } => may_send(entry, at, kind, normal, needs),
            // All others are named there.
            _ => self.apply_unsent(entry),
        }
    }

    /// The checks of pages that are not being sent: in a function of their own, so that `apply`, which is asked once for
    /// each of many ranges, remains one comparison.
    #[inline(never)]
    fn apply_unsent(&self, entry: Entry) -> Result<(), Refusal> {
        let (holds, why) = match *self {
            Self::Vacant => (entry.is_zero() || !entry.is_valid() && entry.tag() == Tag::Donated, Refusal::MemOccupied),
            Self::Own => {
                let own = entry.is_valid() && entry.tag() == Tag::Owned && entry.memory() == MemoryType::Normal;
                (own, Refusal::MemRange)
            }
            Self::Anything => return Ok(()),
            Self::Sendable { .. } => (false, Refusal::MemNotOwned),
        };
        if holds { Ok(()) } else { Err(why) }
    }
}

/// Checks that the owner of `entry` may send the page, and give `needs` to a receiver.
fn may_send(entry: Entry, at: Ipa, kind: Kind, normal: bool, needs: Access) -> Result<(), Refusal> {
    if normal && entry.is_zero() {
        // The caller has checked that the range is the Normal world's by the manifest.
        return Ok(());
    }
    // What is shared can be shared again; what is borrowed or given away cannot be sent at all.
    let most = if kind == Kind::Share { Tag::SharedOwned as u64 } else { Tag::Owned as u64 };
    if entry.tag() as u64 > most || !entry.is_valid() || entry.pa().0 != at.0 {
        return Err(Refusal::MemNotOwned);
    }
    if entry.memory() != MemoryType::Normal {
        return Err(Refusal::MemKind);
    }
    if !entry.access().contains(needs) {
        return Err(Refusal::MemMorePermission);
    }
    if entry.shares() >= MAX_SHARES {
        return Err(Refusal::MemShares);
    }
    Ok(())
}

/// What a page's descriptor becomes.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// What it was: the claim alone ends.
    Unclaim,
    /// Nothing: the endpoint has nothing to do with the page any more.
    Forget,
    /// This, with the page's address added.
    Leaf(u64),
    /// The same with another access.
    Access(Access),
    /// Sent: what of the owner's access remains, and that it is sent.
    Send(Kind),
    /// Taken back; `normal`: in the Normal world's tree.
    TakeBack { normal: bool },
}

impl Change {
    /// Maps pages: the one at `ipa` to `first`.
    pub(crate) const fn map(ipa: Ipa, first: Entry) -> Self {
        Self::Leaf(first.0.wrapping_sub(ipa.0))
    }

    /// Makes pages a receiver's, each at its own address.
    pub(crate) const fn receive(kind: Kind, access: Access) -> Self {
        let tag = match kind {
            Kind::Share | Kind::Lend => Tag::SharedBorrowed,
            Kind::Donate => Tag::Owned,
        };
        Self::Leaf(Entry::leaf(Pa(0), Attributes { access, memory: MemoryType::Normal }, tag).0)
    }

    /// Notes in the tracking tree that pages are not the Normal world's any more.
    pub(crate) const fn give_away() -> Self {
        Self::Leaf(normal(Tag::Donated).with_valid(false).0)
    }

    pub(crate) fn apply(&self, entry: Entry, at: Ipa) -> Entry {
        match *self {
            Self::Leaf(leaf) => Entry(leaf.wrapping_add(at.0)),
            Self::Send(kind) => send(if entry.is_zero() { Entry(normal(Tag::Owned).0 | at.0) } else { entry }, kind),
            Self::TakeBack { normal } => match entry.shares() {
                // There is nothing to change where nothing is: it has no address to go on from, either.
                _ if !normal && entry.is_zero() => entry,
                // What was lent or donated was so once.
                0 | 1 if normal => Entry::ZERO,
                0 | 1 => entry.with_tag(Tag::Owned).with_shares(0).with_valid(true),
                _ => entry.shared_once_less(),
            },
            // All others are named there.
            _ => self.apply_rarely(entry),
        }
    }

    /// The changes that neither send pages nor map them nor take them back, for the reason of [`Check::apply_unsent`].
    #[inline(never)]
    fn apply_rarely(&self, entry: Entry) -> Entry {
        match *self {
            Self::Forget => Entry::ZERO,
            Self::Access(access) if !entry.is_zero() => entry.with_access(access),
            Self::Unclaim | Self::Access(_) | Self::Leaf(_) | Self::Send(_) | Self::TakeBack { .. } => entry,
        }
    }
}

/// Returns the tracking tree's entry of the page at 0, with all access.
const fn normal(tag: Tag) -> Entry {
    Entry::leaf(Pa(0), Attributes { access: Access::all(), memory: MemoryType::Normal }, tag)
}

/// Returns what is left of the owner's entry when the page is sent, and that it is sent.
fn send(entry: Entry, kind: Kind) -> Entry {
    if kind == Kind::Donate {
        return entry.with_tag(Tag::Donated).with_valid(false);
    }
    // The count of shares is below its maximum, and zero but for what is shared already: `may_send` has seen to that.
    let sent = entry.with_tag(Tag::SharedOwned).shared_once_more();
    if kind == Kind::Lend { sent.with_valid(false) } else { sent }
}
