// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated machine, for tests and fuzzing: the decisions above it are the shipped ones.

pub mod calls;
mod machine;
pub mod memory;
mod random;
pub mod world;

pub use machine::{FROM_MONITOR, POOL_BASE, SimContext, SimGic, SimMachine, Translation};
pub use random::Random;
