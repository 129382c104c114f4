// SPDX-License-Identifier: MIT OR Apache-2.0
//! PSCI calls (DEN0022) to BL31.

use crate::ffa::smc;

const CPU_OFF: u64 = 0x8400_0002;
const CPU_ON_64: u64 = 0xc400_0003;
const AFFINITY_INFO_64: u64 = 0xc400_0004;
const SYSTEM_OFF: u64 = 0x8400_0008;

/// AFFINITY_INFO: the CPU is on.
pub const ON: i32 = 0;
/// AFFINITY_INFO: the CPU is off.
pub const OFF: i32 = 1;

/// Starts a CPU at `entry` with `context` in x0; returns PSCI's status.
pub fn cpu_on(mpidr: u64, entry: u64, context: u64) -> i32 {
    smc([CPU_ON_64, mpidr, entry, context, 0, 0, 0, 0])[0] as i32
}

/// Switches this CPU off; returns only if PSCI refused, with its status.
pub fn cpu_off() -> i32 {
    smc([CPU_OFF, 0, 0, 0, 0, 0, 0, 0])[0] as i32
}

/// Returns a CPU's state: [`ON`], [`OFF`], 2 (on pending) or an error.
pub fn affinity_info(mpidr: u64) -> i32 {
    smc([AFFINITY_INFO_64, mpidr, 0, 0, 0, 0, 0, 0])[0] as i32
}

/// Switches the machine off.
pub fn system_off() -> ! {
    smc([SYSTEM_OFF, 0, 0, 0, 0, 0, 0, 0]);
    loop {
        core::hint::spin_loop();
    }
}
