// SPDX-License-Identifier: MIT OR Apache-2.0
//! Endpoint, execution-context and memory-handle identifiers.

use core::fmt;

/// Identifies an endpoint (DEN0077A, "Identification"): bit 15 set for the Secure world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct PartitionId(pub u16);

impl PartitionId {
    /// The Normal world's primary endpoint: its hypervisor, or its OS where there is none.
    pub const NORMAL_WORLD: Self = Self(0);
    /// The SPMD's identifier in TF-A.
    pub const SPMD: Self = Self(0xffff);
    /// The SPMC's customary identifier; a platform's manifest may say otherwise.
    pub const SPMC: Self = Self(0x8000);

    /// Tells whether the identifier belongs to the Secure world.
    pub const fn is_secure(self) -> bool {
        self.0 & 0x8000 != 0
    }
}

impl fmt::Debug for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", u64::from(self.0))
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", u64::from(self.0))
    }
}

/// Numbers an execution context of a partition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct VcpuId(pub u16);

/// Identifies a memory transaction (DEN0077A, "Memory region handle").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Handle(pub u64);

impl Handle {
    /// Bit 63 is clear in a handle that the SPMC allocated.
    pub const HYPERVISOR: u64 = 1 << 63;

    /// Joins the two 32-bit registers that carry a handle.
    pub const fn from_words(low: u32, high: u32) -> Self {
        Self(low as u64 | (high as u64) << 32)
    }

    /// Returns the low and the high word.
    pub const fn words(self) -> (u32, u32) {
        (self.0 as u32, (self.0 >> 32) as u32)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
