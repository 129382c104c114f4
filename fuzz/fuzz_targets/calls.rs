// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any sequence of calls on two CPUs: the Normal world calls, and whoever runs calls, is interrupted, waits or faults.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use spmc::sim::SimMachine;
use spmc::sim::calls::Script;

static MACHINE: LazyLock<&SimMachine> = LazyLock::new(|| SimMachine::leaked(128));

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(*MACHINE, bytes);
    let spmc = std::ptr::from_ref(script.spmc()).cast_mut();
    script.play();
    drop(script);
    // SAFETY: the system was leaked from a box; what referred to it went with the script.
    drop(unsafe { Box::from_raw(spmc) });
});
