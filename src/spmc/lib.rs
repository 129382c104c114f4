// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SPMC: everything that decides, as safe Rust that also runs on the host.
//!
//! World entry is a function that returns a typed exit. The firmware's per-CPU loop alternates between [`Next`]
//! (what to enter) and an [`Exit`]; the decisions in between are made here, on state that is passed in.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, fuzzing))]
extern crate std;

pub mod absent;
mod addr;
mod alarm;
mod boot;
mod calls;
mod console;
mod cpu;
mod endpoint;
mod features;
mod hub;
mod info;
mod interrupt;
#[cfg(all(test, loom))]
mod loom_tests;
mod mailbox;
pub mod manifest;
mod memory;
mod msg;
mod notification;
mod paravirtual;
mod partition;
mod physical;
mod port;
mod power;
mod preemption;
mod refusal;
mod routing;
mod signal;
#[cfg(any(test, fuzzing))]
pub mod sim;
mod spmc;
pub mod stage2;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
mod version;

pub use addr::{Ipa, PAGE_SIZE, Pa, Space};
pub use boot::{BuiltIn, Fatal};
pub use cpu::Cpu;
pub use interrupt::Lines;
pub use partition::{ExecutionContext, Identity, Partition, Properties, State};
pub use port::{DEADLINE, Entry, Exit, Fault, FaultKind, KICK, LONGEST_WAIT, MemFault, Port, Stage2Roots, Vmid, WAKE};
pub use refusal::Refusal;
pub use spmc::{Next, Spmc};
pub use version::IMPLEMENTED;
