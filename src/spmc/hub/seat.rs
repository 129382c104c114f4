// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers by which supervised messaging knows its endpoints.

use ffa_abi::PartitionId;

use crate::routing::End;

/// Names an endpoint: 0 is the Normal world's primary endpoint, n is the partition at position n - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat(pub(crate) u8);

impl Seat {
    /// The Normal world's primary endpoint.
    pub(crate) const NORMAL: Self = Self(0);

    /// Names the partition at a position.
    pub(crate) const fn partition(index: usize) -> Self {
        Self((index + 1) as u8)
    }

    /// Names the end of a route; VMs have the seat of nobody.
    pub(crate) const fn of(end: End) -> Self {
        if end.row() == End::normal(PartitionId::NORMAL_WORLD).row() {
            Self::NORMAL
        } else {
            Self::partition(end.row())
        }
    }

    /// Names the end of a route that it is.
    pub(crate) fn end(self) -> End {
        self.index().map_or(End::normal(PartitionId::NORMAL_WORLD), End::partition)
    }

    /// Turns a set of seats into one of ends: bit n of it is row n.
    pub(crate) const fn ends(seats: u32) -> u32 {
        let normal = seats & Self::NORMAL.bit();
        seats >> 1 | normal << End::normal(PartitionId::NORMAL_WORLD).row()
    }

    /// Returns the position of the partition; `None` for the Normal world.
    pub(crate) const fn index(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }

    /// Takes the first one out of a set.
    #[inline(always)]
    pub(crate) fn pop(set: &mut u32) -> Option<Self> {
        let first = set.trailing_zeros();
        *set &= set.wrapping_sub(1);
        (first < u32::BITS).then_some(Self(first as u8))
    }

    /// Returns its bit in a set of endpoints.
    #[inline(always)]
    pub(crate) const fn bit(self) -> u32 {
        1 << (self.0 & 31)
    }
}
