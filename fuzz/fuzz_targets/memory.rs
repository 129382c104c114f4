// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any sequence of memory calls with any messages in the TX buffers, by the Normal world and three partitions. The
//! simulated machine panics when a stale translation is used, or a page is freed twice or used after it was.
#![no_main]

#[path = "../arena.rs"]
mod arena;

use libfuzzer_sys::fuzz_target;
use spmc::sim::SimMachine;
use spmc::sim::memory::Script;

fuzz_target!(|bytes: &[u8]| arena::run(|| Script::new(SimMachine::leaked(128), bytes).play()));
