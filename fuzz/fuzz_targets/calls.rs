// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any sequence of calls on two CPUs: the Normal world calls, and whoever runs calls, is interrupted, waits or faults.
#![no_main]

#[path = "../arena.rs"]
mod arena;

use libfuzzer_sys::fuzz_target;
use spmc::sim::SimMachine;
use spmc::sim::calls::Script;

fuzz_target!(|bytes: &[u8]| arena::run(|| Script::new(SimMachine::leaked(128), bytes).play()));
