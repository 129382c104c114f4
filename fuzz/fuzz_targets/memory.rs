// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any sequence of memory calls with any messages in the TX buffers, by the Normal world and three partitions. The
//! simulated machine panics when a stale translation is used, or a page is freed twice or used after it was.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use spmc::sim::SimMachine;
use spmc::sim::memory::Script;

static MACHINE: LazyLock<&SimMachine> = LazyLock::new(|| SimMachine::leaked(128));

fuzz_target!(|bytes: &[u8]| Script::new(*MACHINE, bytes).play());
