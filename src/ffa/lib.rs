// SPDX-License-Identifier: MIT OR Apache-2.0
//! The FF-A ABI (Arm DEN0077A, v1.0 to v1.2): identifiers, registers, calls, replies and wire formats.
//!
//! Nothing here decides anything and nothing here touches a machine: bytes and registers come in, typed
//! values or a [`Error`] come out. The crate is shared by the SPMC, by partitions and by the tests.
#![no_std]
#![forbid(unsafe_code)]

pub mod boot_info;
pub mod envelope;
mod error;
pub mod func;
pub mod hub;
mod ids;
pub mod lines;
pub mod memory;
#[cfg(test)]
mod random;
mod regs;
#[cfg(test)]
mod tests;
mod uuid;
mod version;

pub use error::{Error, Status};
pub use func::Func;
pub use ids::{Handle, PartitionId, VcpuId};
pub use regs::Regs;
pub use uuid::{ParseUuidError, Uuid};
pub use version::Version;
