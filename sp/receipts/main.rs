// SPDX-License-Identifier: MIT OR Apache-2.0
//! The receipts partition: agent receipts are judged here, out of the Normal world's reach.
#![no_std]
#![no_main]

use sp_receipts::Receipts;
use sp_rt::state::Preserved;
use sp_rt::{Context, Message, serve};

sp_rt::partition!(main, tables = 12);

fn main(_: &'static Context) -> ! {
    let mut state = Preserved::claim();
    let mut receipts = Receipts::start(state.as_mut());
    serve(move |message: &mut Message| receipts.answer(message))
}
