// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage-2 descriptors (Arm ARM, "VMSAv8-64 descriptor formats") and the ownership that rides in their software bits.
//!
//! | bits | in a leaf | meaning |
//! |---|---|---|
//! | 0 | valid | the hardware translates through it |
//! | 1 | type | table, or page at level 3; 0: block |
//! | 5:2, 9:8 | MemAttr, SH | memory type |
//! | 7:6, 54 | S2AP, XN | access |
//! | 47:12 | output address | kept in invalid entries too, so that taking memory back restores what was there |
//! | 56:55 | ownership | [`Tag`] |
//! | 57 | pinned / held | valid: an RX/TX buffer, not to be sent; invalid: owned without a mapping |
//! | 62:58 | shares | open shares of the page by its owner |
//! | 63 | claimed | a transaction is being planned on it |
//!
//! The hardware ignores all of 63:55 in a valid descriptor: VTCR_EL2 enables neither PBHA (HWU59-62) nor
//! AssuredOnly, and bit 63 is the system MMU's, which this SPMC refuses to partitions. In a table descriptor the
//! ignored bits 11:2 count the entries of the table below that are not zero.

use bitflags::bitflags;

use crate::Pa;

const VALID: u64 = 1;
const TABLE_OR_PAGE: u64 = 1 << 1;
const MEM_ATTR: u64 = 0xf << 2;
const DEVICE_NGNRE: u64 = 0b0001 << 2;
const NORMAL_NON_CACHEABLE: u64 = 0b0101 << 2;
const NORMAL_WRITE_BACK: u64 = 0b1111 << 2;
const READ: u64 = 1 << 6;
const WRITE: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const ACCESSED: u64 = 1 << 10;
const EXECUTE_NEVER: u64 = 1 << 54;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
const TAG_SHIFT: u32 = 55;
const TAG: u64 = 0b11 << TAG_SHIFT;
const PINNED: u64 = 1 << 57;
const SHARES_SHIFT: u32 = 58;
const SHARES: u64 = 0x1f << SHARES_SHIFT;
const CLAIMED: u64 = 1 << 63;
const SOFTWARE: u64 = TAG | PINNED | SHARES | CLAIMED;
const COUNT_SHIFT: u32 = 2;
const COUNT: u64 = 0x3ff << COUNT_SHIFT;

/// How many times a page may be shared by its owner at the same time.
pub const MAX_SHARES: u64 = 0x1f;

bitflags! {
    /// What a partition may do with a page.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Access: u8 {
        /// Load.
        const READ = 1;
        /// Store.
        const WRITE = 2;
        /// Fetch instructions.
        const EXECUTE = 4;
        /// Load and store.
        const READ_WRITE = 3;
    }
}

/// Names the memory types that a mapping can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryType {
    /// Normal, inner and outer write-back cacheable, inner shareable.
    Normal,
    /// Normal, non-cacheable.
    NonCacheable,
    /// Device-nGnRE: registers. Never to be sent to another endpoint.
    Device,
}

/// Says how a page may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Loads, stores, fetches.
    pub access: Access,
    /// Cacheability.
    pub memory: MemoryType,
}

/// Says whose a page is, as one endpoint's tables see it; with [`Entry::is_valid`] it reads as `docs/memory.md` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// The endpoint's own, nobody else's.
    Owned = 0,
    /// The endpoint's own; shared out (valid) or lent out (invalid).
    SharedOwned = 1,
    /// Another endpoint's, on loan.
    SharedBorrowed = 2,
    /// Given away, or on its way.
    Donated = 3,
}

/// Returns the bits of a leaf that say what may be done with it.
#[inline(always)]
const fn access_bits(access: Access) -> u64 {
    let data = (access.bits() & Access::READ_WRITE.bits()) as u64 * READ;
    if access.contains(Access::EXECUTE) { data } else { data | EXECUTE_NEVER }
}

/// A 64-bit stage-2 descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Entry(pub u64);

impl Entry {
    /// Owns nothing, maps nothing.
    pub const ZERO: Self = Self(0);

    /// Makes a table descriptor: `count` entries of the table at `table` are not zero.
    pub const fn table(table: Pa, count: u64) -> Self {
        Self(table.0 & ADDRESS | count << COUNT_SHIFT | TABLE_OR_PAGE | VALID)
    }

    /// Makes a valid leaf in the form of a page.
    #[inline(always)]
    pub const fn leaf(pa: Pa, attributes: Attributes, tag: Tag) -> Self {
        let mut e = pa.0 & ADDRESS | ACCESSED | TABLE_OR_PAGE | VALID | (tag as u64) << TAG_SHIFT;
        e |= access_bits(attributes.access);
        e |= match attributes.memory {
            MemoryType::Normal => NORMAL_WRITE_BACK | INNER_SHAREABLE,
            MemoryType::NonCacheable => NORMAL_NON_CACHEABLE | INNER_SHAREABLE,
            MemoryType::Device => DEVICE_NGNRE,
        };
        Self(e)
    }

    /// Tells whether the descriptor is all zero.
    #[inline(always)]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Tells whether the hardware translates through it.
    #[inline(always)]
    pub const fn is_valid(self) -> bool {
        self.0 & VALID != 0
    }

    /// Tells, for levels 1 and 2, whether it points to a table.
    #[inline(always)]
    pub const fn is_table(self) -> bool {
        self.0 & (VALID | TABLE_OR_PAGE) == VALID | TABLE_OR_PAGE
    }

    /// Returns the output address of a leaf, or the table of a table descriptor.
    #[inline(always)]
    pub const fn pa(self) -> Pa {
        Pa(self.0 & ADDRESS)
    }

    /// Returns the count of a table descriptor.
    #[inline(always)]
    pub const fn count(self) -> u64 {
        (self.0 & COUNT) >> COUNT_SHIFT
    }

    /// Returns the same table descriptor with so many entries more, and so many less, that are not zero.
    #[inline(always)]
    pub const fn counting(self, more: u64, less: u64) -> Self {
        Self(self.0 + (more << COUNT_SHIFT) - (less << COUNT_SHIFT))
    }

    /// Returns the ownership.
    #[inline(always)]
    pub const fn tag(self) -> Tag {
        match (self.0 & TAG) >> TAG_SHIFT {
            0 => Tag::Owned,
            1 => Tag::SharedOwned,
            2 => Tag::SharedBorrowed,
            // Two bits: this is 3.
            _ => Tag::Donated,
        }
    }

    /// Returns how many open shares the owner has on it.
    #[inline(always)]
    pub const fn shares(self) -> u64 {
        (self.0 & SHARES) >> SHARES_SHIFT
    }

    /// Tells whether a transaction is being planned on it.
    #[inline(always)]
    pub const fn is_claimed(self) -> bool {
        self.0 & CLAIMED != 0
    }

    /// Tells whether it is an RX/TX buffer (valid), or owned without a mapping (invalid).
    pub const fn is_pinned(self) -> bool {
        self.0 & PINNED != 0
    }

    /// Returns access and memory type; what they will be again, for an invalid entry.
    pub const fn attributes(self) -> Attributes {
        Attributes { access: self.access(), memory: self.memory() }
    }

    /// Returns the access.
    #[inline(always)]
    pub const fn access(self) -> Access {
        let execute = if self.0 & EXECUTE_NEVER == 0 { Access::EXECUTE } else { Access::empty() };
        Access::from_bits_retain((self.0 / READ) as u8 & Access::READ_WRITE.bits()).union(execute)
    }

    /// Returns the memory type.
    #[inline(always)]
    pub const fn memory(self) -> MemoryType {
        match self.0 & MEM_ATTR {
            NORMAL_WRITE_BACK => MemoryType::Normal,
            NORMAL_NON_CACHEABLE => MemoryType::NonCacheable,
            // Only the three forms of `leaf` are ever written.
            _ => MemoryType::Device,
        }
    }

    /// Returns the same entry with another ownership.
    #[inline(always)]
    pub const fn with_tag(self, tag: Tag) -> Self {
        Self(self.0 & !TAG | (tag as u64) << TAG_SHIFT)
    }

    /// Returns the same entry, valid or not.
    #[inline(always)]
    pub const fn with_valid(self, valid: bool) -> Self {
        Self(if valid { self.0 | VALID } else { self.0 & !VALID })
    }

    /// Returns the same entry with another number of open shares.
    #[inline(always)]
    pub const fn with_shares(self, shares: u64) -> Self {
        Self(self.0 & !SHARES | shares << SHARES_SHIFT & SHARES)
    }

    /// Returns the same entry with an open share more; there are fewer than [`MAX_SHARES`].
    #[inline(always)]
    pub const fn shared_once_more(self) -> Self {
        Self(self.0.wrapping_add(1 << SHARES_SHIFT))
    }

    /// Returns the same entry with an open share less; there is one.
    #[inline(always)]
    pub const fn shared_once_less(self) -> Self {
        Self(self.0.wrapping_sub(1 << SHARES_SHIFT))
    }

    /// Returns the same entry, claimed or not.
    #[inline(always)]
    pub const fn with_claimed(self, claimed: bool) -> Self {
        Self(if claimed { self.0 | CLAIMED } else { self.0 & !CLAIMED })
    }

    /// Returns the same entry, pinned or not.
    pub const fn with_pinned(self, pinned: bool) -> Self {
        Self(if pinned { self.0 | PINNED } else { self.0 & !PINNED })
    }

    /// Returns the same leaf with another access.
    pub const fn with_access(self, access: Access) -> Self {
        Self(self.0 & !(READ | WRITE | EXECUTE_NEVER) | access_bits(access))
    }

    /// Returns the same leaf in the form of a level-2 block, or of a level-3 page.
    #[inline(always)]
    pub const fn with_block(self, block: bool) -> Self {
        Self(if block { self.0 & !TABLE_OR_PAGE } else { self.0 | TABLE_OR_PAGE })
    }

    /// Returns the page that is `index` pages behind this leaf's first: an entry of the level-3 table that replaces a
    /// block.
    #[inline(always)]
    pub const fn child(self, index: u64) -> Self {
        match self.step() {
            0 => self,
            step => Self((self.0 | TABLE_OR_PAGE) + index * step),
        }
    }

    /// Returns what has to be added to a leaf for the leaf of the next page.
    #[inline(always)]
    pub const fn step(self) -> u64 {
        // A claim on ground that maps nothing has no output address: every page gets the claim alone.
        if self.0 & !CLAIMED == 0 { 0 } else { 1 << 12 }
    }

    /// Returns the bits in which the hardware may have cached what is not true any more, when `new` replaces this
    /// entry: none of an invalid one is cached, and the software bits are not looked at.
    #[inline(always)]
    pub const fn stale_bits(self, new: Self) -> u64 {
        let valid = (self.0 & VALID).wrapping_neg();
        (self.0 ^ new.0) & !SOFTWARE & valid
    }
}

impl core::fmt::Debug for Entry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}
