// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measures single operations from the Normal world.
#![no_std]
#![no_main]

bl33::entry!(bench);

fn bench() {}
