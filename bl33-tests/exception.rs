// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions and panics: the case that ran has failed, and the run ends.

use core::panic::PanicInfo;

use crate::{harness, println};

const NAMES: [&str; 4] = ["synchronous", "IRQ", "FIQ", "SError"];

/// Reports an exception that nobody asked for, as the failure of the current case. `vectors.S` calls it.
#[unsafe(no_mangle)]
extern "C" fn bl33_fatal_exception(vector: u64, esr: u64, elr: u64, far: u64) -> ! {
    let name = NAMES.get(vector as usize % 4).copied().unwrap_or_default();
    println!(
        "FAILED: unexpected {name} exception (vector {vector}) on CPU {}: ESR {esr:#x} ELR {elr:#x} FAR {far:#x}",
        crate::sysreg::cpu()
    );
    harness::abandon()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("FAILED: panic on CPU {}: {info}", crate::sysreg::cpu());
    harness::abandon()
}
