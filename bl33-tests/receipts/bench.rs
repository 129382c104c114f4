// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counts the instructions of calls inside the receipts partition: `bench<TAB>receipts_name<TAB>instructions`, and for
//! those that verify signatures `receipts_name_bare`, what the bare verifications take in the same run.
//!
//! For `-smp 1 -icount shift=0`. The calls are strict; the counting is the partition's own, from the request to its
//! answer, the copying of message and answer included.
#![no_std]
#![no_main]

#[allow(dead_code, reason = "shared with the tests")]
mod call;

use bl33::harness::Outcome;
use bl33::{println, time};
use receipts_client::packed::Steps;
use receipts_client::{Operation, flags};

bl33::entry!(bench);

const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bench.bin"));

/// How often a call runs before it counts, and how often it counts; the least is reported.
const WARM_UP: usize = 2;
const ROUNDS: usize = 5;

fn bench() {
    println!("bench\tboot\t{}", time::now());
    if let Err(failure) = measure() {
        println!("# FAILED: {failure}");
    }
}

fn measure() -> Outcome {
    call::found_by_uuid()?;
    call::memory_is_shared()?;
    let scale = 1_000_000_000 / time::frequency().max(1);
    let (mut name, mut bare): (&str, u64) = ("", 0);
    let finish = |name: &str, bare: u64| {
        if bare != 0 {
            println!("bench\treceipts_{name}_bare\t{}", bare * scale);
        }
    };
    for step in Steps::new(PACKED) {
        let mut least = u64::MAX;
        for round in 0..WARM_UP + ROUNDS {
            let reply = call::ask_number(step.operation, step.flags | flags::KEEP, step.message)?;
            call::expect_code(&reply, 0, 0, 0)?;
            // A bare verification counts itself; of a call, all that the partition does for it counts.
            let took = if step.operation == Operation::VerifySignature as u16 { 0 } else { 2 };
            if round >= WARM_UP {
                least = least.min(reply.values[took]);
            }
        }
        if step.name.is_empty() {
            bare += least;
        } else {
            finish(name, bare);
            (name, bare) = (core::str::from_utf8(step.name).unwrap_or("?"), 0);
            println!("bench\treceipts_{name}\t{}", least * scale);
        }
    }
    finish(name, bare);
    Ok(())
}
