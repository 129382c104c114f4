// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the platform says at boot: the SPMC manifest, the partitions' packages and their manifests.
//!
//! Everything here is a function from a bounded slice of bytes to a plain structure, or to a [`Refusal`] that
//! says in one sentence which file, node and property is wrong, what was found, what was expected and what to
//! change. Nothing panics on any input, and no list grows: each has a named capacity.
//!
//! 1. [`CheckedBlob::check`] proves that a slice is a well-formed flattened device tree;
//! 2. [`CoreManifest::parse`], [`PartitionManifest::parse`] and [`Package::parse`] read one file each;
//! 3. [`platform::check`] holds all partitions against each other and against the SPMC manifest.

// A refusal carries copies of the names that it speaks of, so that it outlives the file's mapping. It is made once
// for a file, at boot.
#![allow(clippy::result_large_err)]

mod blob;
mod core_manifest;
mod hub;
mod machine;
mod node;
mod package;
mod partition;
pub mod platform;
mod property;
mod refusal;
mod regions;
mod root;
mod routing;
mod services;

pub use blob::{BlobError, CheckedBlob, Tree};
pub use core_manifest::{Attribute, CoreManifest, ExecState, MAX_PARTITIONS, PartitionEntry};
pub use hub::{BreakerPolicy, HubPolicy, HubQueue, MAX_DEAD_LETTERS, MAX_QUEUE, MAX_WINDOWS};
pub use machine::{MAX_CPUS, MAX_MEMORY_RANGES, MemoryKind, MemoryRange};
pub use node::{Warn, Warning};
pub use package::{Package, PackageVersion};
pub use partition::{
    AbortAction, ExceptionLevel, Format, MAX_SERVICES, Messaging, NsInterruptAction, OtherSecureInterruptAction,
    PartitionManifest, PowerMessages, Service, SriPolicy, VmAvailability,
};
pub(crate) use refusal::name;
pub use refusal::{Cause, Details, File, Name, Refusal};
pub use regions::{Interrupt, MAX_DEVICE_REGIONS, MAX_INTERRUPTS, MAX_MEMORY_REGIONS, Region, RegionAttributes, RxTx};
pub use routing::{MAX_PEERS, Party, PeerRule, RoutingDefault, RoutingPolicy};

use arrayvec::ArrayVec;

/// Most SMC function identifiers that one `smc_whitelist` may name.
pub const MAX_SMCS: usize = 16;

/// Names the SMCs that are not FF-A and that a partition may make (`smc_whitelist`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmcAllowList {
    /// The function identifiers.
    pub functions: ArrayVec<u32, MAX_SMCS>,
    /// `smc_whitelist_permissive`: answers NOT_SUPPORTED in x0 to every other SMC, which is what happens anyway.
    pub permissive: bool,
}

#[cfg(test)]
pub(crate) mod tests;
