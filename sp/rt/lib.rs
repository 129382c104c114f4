// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition SDK: what an S-EL1 partition needs between its entry point and its own code.
//!
//! A partition is a manifest and a Rust file that names its entry function with [`partition!`]:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! use sp_rt::{Context, Message};
//!
//! sp_rt::partition!(main);
//!
//! fn main(_: &'static Context) -> ! {
//!     sp_rt::serve(|m: &mut Message| m.set(1, m.arg(1) + 0x1000))
//! }
//! ```
//!
//! The runtime gives it a stack for each execution context, a stage-1 translation of its own memory that is never
//! both writable and executable, exception vectors, an FF-A client ([`ffa`], [`memory`]) and the console ([`log!`]).
#![no_std]

mod call;
mod context;
pub mod cpu;
pub mod device;
mod entry;
mod exception;
pub mod ffa;
mod heap;
pub mod interrupt;
mod log;
pub mod memory;
pub mod mmu;
pub mod random;
pub mod registers;
mod serve;
#[cfg(not(target_feature = "neon"))]
pub mod simd;
pub mod state;
pub mod timer;
pub mod trial;

pub use call::{hvc, hvc_all, smc, smc_all};
pub use context::Context;
pub use exception::{Fault, Probe, give_up};
pub use ffa_abi as abi;
pub use heap::Heap;
pub use log::print;
pub use serve::{Form, Message, serve, serve_with};

/// Names the function that each execution context runs: `fn(&'static Context) -> !`. `tables = N` changes how many
/// translation tables there are for the image and for memory that others send (32 by default, at most 64).
#[macro_export]
macro_rules! partition {
    ($main:path) => {
        $crate::partition!($main, tables = 32);
    };
    ($main:path, tables = $tables:literal) => {
        #[unsafe(no_mangle)]
        fn partition_main(context: &'static $crate::Context) -> ! {
            let main: fn(&'static $crate::Context) -> ! = $main;
            main(context)
        }

        #[unsafe(no_mangle)]
        fn partition_tables() -> &'static [$crate::mmu::Table] {
            #[unsafe(link_section = ".bss.noinit")]
            static TABLES: [$crate::mmu::Table; $tables] = [const { $crate::mmu::Table::new() }; $tables];
            &TABLES
        }
    };
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log!("panic: {info}");
    give_up()
}
