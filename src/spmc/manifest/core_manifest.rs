// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SPMC manifest (TF-A's "FF-A manifests binding", SPMC part, and the nodes that Hafnium adds to it).

use arrayvec::ArrayVec;
use ffa_abi::{PartitionId, Version};

use super::{CheckedBlob, Name, Refusal, RoutingPolicy, SmcAllowList};
use crate::Pa;

/// Most `vmN` nodes.
pub const MAX_PARTITIONS: usize = 16;
/// Most CPUs.
pub const MAX_CPUS: usize = 16;
/// Most ranges over all memory nodes.
pub const MAX_MEMORY_RANGES: usize = 32;

/// Holds what the SPMC manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreManifest {
    /// The SPMC itself, as the SPMD reads it too.
    pub attribute: Attribute,
    /// The partitions, `vm1` first: entry n is `vm(n + 1)` and has the identifier 0x8001 + n if its own manifest
    /// names none.
    pub partitions: ArrayVec<PartitionEntry, MAX_PARTITIONS>,
    /// MPIDR affinity (Aff3 in bits 39:32, Aff2-Aff0 in 23:0) of each CPU, in the order of the nodes. May be
    /// empty: the manifest has no `cpus` node.
    pub cpus: ArrayVec<u64, MAX_CPUS>,
    /// What the memory nodes name, in the order of the nodes.
    pub memory: ArrayVec<MemoryRange, MAX_MEMORY_RANGES>,
    /// Who may talk to whom; open where the manifest says nothing.
    pub routing: RoutingPolicy,
}

/// Holds the `attribute` node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The SPMC's endpoint identifier; bit 15 set.
    pub spmc_id: PartitionId,
    /// The FF-A version announced to the SPMD.
    pub version: Version,
    /// `exec_state`, AArch64 where absent.
    pub exec_state: ExecState,
    /// Where the SPMC's image is.
    pub load_address: Option<Pa>,
    /// Where it is entered.
    pub entrypoint: Option<Pa>,
    /// Bytes from `load_address` in which the SPMD accepts a secondary entry point.
    pub binary_size: Option<u32>,
}

/// Names an execution state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecState {
    /// The only one supported.
    AArch64,
}

/// Holds one `vmN` node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionEntry {
    /// N.
    pub number: u16,
    /// `debug_name`.
    pub name: Name,
    /// Where the package lies; page-aligned.
    pub load_address: Pa,
    /// Bytes of memory from `load_address` on; a multiple of the page size, never past the address space's end.
    pub mem_size: u64,
    /// How many execution contexts the platform grants; the partition's manifest must say the same or 1.
    pub vcpu_count: u16,
    /// SMCs that are not FF-A and that it may make.
    pub smcs: SmcAllowList,
}

/// Tells what a memory range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// `memory`: Secure RAM.
    Secure,
    /// `ns-memory`: Non-secure RAM.
    NonSecure,
    /// `device-memory`: Secure devices.
    SecureDevice,
    /// `ns-device-memory`: Non-secure devices.
    NonSecureDevice,
}

impl MemoryKind {
    /// Returns the `device_type` that names it.
    pub const fn device_type(self) -> &'static str {
        match self {
            Self::Secure => "memory",
            Self::NonSecure => "ns-memory",
            Self::SecureDevice => "device-memory",
            Self::NonSecureDevice => "ns-device-memory",
        }
    }
}

/// Holds one entry of a memory node's `reg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// What it is.
    pub kind: MemoryKind,
    /// Its first byte.
    pub base: Pa,
    /// Bytes; never 0, never past the end of the address space.
    pub size: u64,
}

impl CoreManifest {
    /// Reads the SPMC manifest. Fails with the first property that is wrong.
    pub fn parse(blob: &CheckedBlob<'_>) -> Result<Self, Refusal> {
        super::unfinished(blob, super::File::Spmc)
    }

    /// Returns the ranges of one kind.
    pub fn ranges(&self, kind: MemoryKind) -> impl Iterator<Item = &MemoryRange> {
        self.memory.iter().filter(move |r| r.kind == kind)
    }
}
