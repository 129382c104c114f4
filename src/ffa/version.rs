// SPDX-License-Identifier: MIT OR Apache-2.0
//! Version numbers (DEN0077A, "FFA_VERSION").

use core::cmp::Ordering;
use core::fmt;

/// An FF-A version; ordered as major, then minor. In memory it is what [`Version::bits`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(4))]
pub struct Version {
    /// 16 bits.
    pub minor: u16,
    /// 15 bits.
    pub major: u16,
}

impl Version {
    /// FF-A v1.0.
    pub const V1_0: Self = Self::new(1, 0);
    /// FF-A v1.1.
    pub const V1_1: Self = Self::new(1, 1);
    /// FF-A v1.2.
    pub const V1_2: Self = Self::new(1, 2);

    /// Makes a version.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Decodes w1 of `FFA_VERSION`; `None` when bit 31 is set.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits >> 31 != 0 { None } else { Some(Self::new((bits >> 16) as u16, bits as u16)) }
    }

    /// Encodes as in w0 of the reply.
    pub const fn bits(self) -> u32 {
        (self.major as u32) << 16 | self.minor as u32
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bits().cmp(&other.bits())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", u64::from(self.major), u64::from(self.minor))
    }
}
