// SPDX-License-Identifier: MIT OR Apache-2.0
//! Drives the receipts partition from the Normal world: every vector of the reference, its history, and abuse.
//!
//! An image of its own, since the vectors make up most of it. They are packed at build time (`build.rs`).
#![no_std]
#![no_main]

mod abuse;
mod call;
mod history;
mod own;
mod restart;
mod strict;
mod vectors;

use bl33::harness::{self, Case};
use bl33::println;

bl33::entry!(suite);

const GROUPS: &[&[Case]] =
    &[call::CASES, vectors::CASES, history::CASES, abuse::CASES, strict::CASES, call::LAST, restart::CASES];

fn suite() {
    println!("# {} bytes of packed vectors", vectors::PACKED.len());
    for group in GROUPS {
        harness::run(group);
    }
    harness::finish()
}
