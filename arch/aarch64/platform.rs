// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board: QEMU's `virt` with secure memory. The one place that knows an address.

use core::sync::atomic::AtomicU64;

/// How many CPUs the SPMC has room for.
pub const CPUS: usize = spmc::manifest::MAX_CPUS;

/// The secure console: a PL011.
pub(crate) const UART: u64 = 0x0904_0000;

/// Registers of the interrupt controller: distributor, ITS, redistributors.
pub(crate) const GIC: (u64, u64) = (0x0800_0000, 0x0900_0000);

/// The first redistributor.
pub(crate) const REDISTRIBUTORS: u64 = 0x080a_0000;

/// Memory of the Secure physical address space, which stage 1 of S-EL2 maps; TF-A's own megabyte is left out.
pub(crate) const SECURE_RAM: (u64, u64) = (0x0e10_0000, 0x0f00_0000);

/// MPIDR_EL1's affinity of each CPU, by the SPMC's number of it; boot.S searches it.
pub(crate) static MPIDRS: [AtomicU64; CPUS] = [const { AtomicU64::new(NO_CPU) }; CPUS];

/// A place of [`MPIDRS`] that is free: no affinity has these bits.
const NO_CPU: u64 = u64::MAX;

/// The affinity fields of MPIDR_EL1.
pub(crate) const AFFINITY: u64 = 0xff_00ff_ffff;
