// SPDX-License-Identifier: MIT OR Apache-2.0
//! The receipts partition with one thing added, for the tests of what outlives a restart: it dies when it is asked to.
//! Its manifest is that of `sp/receipts`.
#![no_std]
#![no_main]

use sp_protocol::{death, mortal};
use sp_receipts::Receipts;
use sp_rt::state::Preserved;
use sp_rt::{Context, Message, serve};

sp_rt::partition!(main, tables = 12);

fn main(_: &'static Context) -> ! {
    let mut state = Preserved::claim();
    let mut receipts = Receipts::start(state.as_mut());
    serve(move |message: &mut Message| {
        let first = message.arg(0);
        let how = first >> mortal::HOW & 0xff;
        message.set(0, first & 0xffff_ffff);
        match first >> mortal::WHEN {
            mortal::BEFORE => die(how),
            mortal::AFTER => {
                receipts.answer(message);
                die(how)
            }
            mortal::INTERRUPTED => message.reply([sp_rt::trial::simd_across_an_interrupt(), 0, 0, 0, 0]),
            // A call that is served like any other.
            _ => receipts.answer(message),
        }
    })
}

fn die(how: u64) {
    match how {
        death::STACK_OVERFLOW => {
            recurse(0);
        }
        death::PANIC => panic!("as asked"),
        // Whatever else is asked for.
        _ => sp_rt::give_up(),
    }
}

/// Uses the stack up.
#[inline(never)]
#[expect(unconditional_recursion, reason = "the stack's end is what it is for")]
fn recurse(depth: u64) -> u64 {
    let frame = core::hint::black_box([depth; 64]);
    recurse(depth + 1) + frame.iter().sum::<u64>()
}
