// SPDX-License-Identifier: MIT OR Apache-2.0
//! The smallest partition: answers a direct request with its own payload, x4 raised by 0x1000.
//!
//! Assembly and nothing else, so that what a message costs is what the SPMC makes it cost.
#![no_std]
#![no_main]

core::arch::global_asm!(include_str!("echo.S"));

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No Rust code runs in this partition.
    loop {}
}
