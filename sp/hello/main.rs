// SPDX-License-Identifier: MIT OR Apache-2.0
//! A partition to copy: greets on the console, then adds what it is sent.
#![no_std]
#![no_main]

use sp_rt::{Context, Message, ffa, log, serve};

sp_rt::partition!(main);

fn main(context: &'static Context) -> ! {
    log!("hello from context {} of partition {:?}", context.index(), ffa::id());
    serve(|message: &mut Message| message.set(2, message.arg(0).wrapping_add(message.arg(1))))
}
