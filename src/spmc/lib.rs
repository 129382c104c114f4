// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SPMC: everything that decides, as safe Rust that also runs on the host.
//!
//! World entry is a function that returns a typed exit. The firmware's per-CPU loop alternates between
//! `Next` (what to enter) and an exit; the decisions in between are made here, on state that is passed in.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, fuzzing))]
extern crate std;

mod addr;
pub mod manifest;
mod port;
#[cfg(any(test, fuzzing))]
pub mod sim;
pub mod stage2;

pub use addr::{Ipa, PAGE_SIZE, Pa, Space};
pub use port::{Entry, Exit, Fault, FaultKind, MemFault, Port, Stage2Roots, Vmid};
