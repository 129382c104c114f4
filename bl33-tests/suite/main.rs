// SPDX-License-Identifier: MIT OR Apache-2.0
//! The BL33 test suite. Each file here is a group of cases; `README.md` says how to add one.
#![no_std]
#![no_main]

use bl33::{cpus, harness, mode, println};

core::arch::global_asm!(include_str!("../asm/case.S"), include_str!("cases.S"), options(raw));

bl33::entry!(suite);

fn suite() {
    println!("# {} CPUs, {} suite", cpus::count(), if mode::long() { "long" } else { "short" });
    harness::run_asm();
    harness::finish()
}
