// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memory-regions`, `device-regions` and `rx_tx-info` of a partition manifest.

use arrayvec::ArrayVec;
use bitflags::bitflags;

use super::Name;
use crate::{PAGE_SIZE, Pa, Space};

/// Most memory regions of one partition.
pub const MAX_MEMORY_REGIONS: usize = 16;
/// Most device regions of one partition.
pub const MAX_DEVICE_REGIONS: usize = 8;
/// Most interrupts of one partition, over all its device regions.
pub const MAX_INTERRUPTS: usize = 32;

bitflags! {
    /// `attributes` of a memory or device region: R, RW or RX (a device never X), with or without NS.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct RegionAttributes: u8 {
        /// Readable.
        const READ = 1 << 0;
        /// Writable.
        const WRITE = 1 << 1;
        /// Executable.
        const EXECUTE = 1 << 2;
        /// In the Non-secure physical address space.
        const NON_SECURE = 1 << 3;
    }
}

impl RegionAttributes {
    /// Returns the physical address space that they name.
    pub const fn space(self) -> Space {
        if self.contains(Self::NON_SECURE) { Space::NonSecure } else { Space::Secure }
    }
}

/// Holds one memory region. `base + pages` never passes the end of the address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// The node's name.
    pub name: Name,
    /// Its first page: physical, and the partition's IPA too.
    pub base: Pa,
    /// Never 0.
    pub pages: u32,
    /// How the partition sees it.
    pub attributes: RegionAttributes,
    /// It was given by `load-address-relative-offset`: a part of the partition's own memory, where it lies in it.
    pub relative: bool,
}

/// Holds one device region. `base + pages` never passes the end of the address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRegion {
    /// The node's name.
    pub name: Name,
    /// Its first page.
    pub base: Pa,
    /// Never 0.
    pub pages: u32,
    /// How the partition sees it.
    pub attributes: RegionAttributes,
    /// No other partition may have it.
    pub exclusive: bool,
}

/// Holds one interrupt of a device region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Index of its region in the manifest's `device_regions`.
    pub region: u8,
    /// Its INTID.
    pub intid: u32,
    /// Bits 7:0.
    pub priority: u8,
    /// Bit 8.
    pub secure: bool,
    /// Bit 9: level-sensitive, else edge-triggered.
    pub level: bool,
    /// The MPIDR that it is routed to, by `interrupts-target`.
    pub target: Option<u64>,
}

/// Names the mailbox: indexes into the manifest's `memory_regions`, of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxTx {
    /// The partition's RX buffer.
    pub rx: usize,
    /// Its TX buffer.
    pub tx: usize,
}

impl MemoryRegion {
    /// Returns its size in bytes.
    pub const fn size(&self) -> u64 {
        self.pages as u64 * PAGE_SIZE
    }
}

impl DeviceRegion {
    /// Returns its size in bytes.
    pub const fn size(&self) -> u64 {
        self.pages as u64 * PAGE_SIZE
    }
}
