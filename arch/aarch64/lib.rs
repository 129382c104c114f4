// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine: everything of the SPMC that touches AArch64, and its only `unsafe` code.
//!
//! Entry ([`boot`]), entering a partition as a function that returns ([`run`]), calling the SPMD ([`smc`]), and
//! [`Machine`], which implements the port that the decisions in `spmc` are written against. Nothing here decides
//! policy. On a host this crate is empty.
#![no_std]
#![cfg(all(target_arch = "aarch64", target_os = "none"))]

#[macro_use]
mod sysreg;

mod asm;
pub mod boot;
mod context;
mod gic;
mod idregs;
mod machine;
mod mmu;
mod nsmem;
mod percpu;
pub mod platform;
mod pool;
mod predictor;
mod report;
mod sha256;
mod simd;
mod switch;
mod timer;
mod tlb;
mod trap;
mod traps;
mod uart;
mod verify;

pub use context::Context;
pub use machine::Machine;
pub use percpu::cpu_index;
pub use report::panicked;
pub use switch::{run, smc};
