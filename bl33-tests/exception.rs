// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions and panics: the case that ran has failed, and the run ends.

use core::panic::PanicInfo;

use crate::harness;

const NAMES: [&str; 4] = ["synchronous", "IRQ", "FIQ", "SError"];

/// Reports an exception that nobody asked for, as the failure of the current case. `vectors.S` calls it.
#[unsafe(no_mangle)]
extern "C" fn bl33_fatal_exception(vector: u64, esr: u64, elr: u64, far: u64) -> ! {
    let name = NAMES.get(vector as usize % 4).copied().unwrap_or_default();
    let cpu = crate::sysreg::cpu();
    harness::abandon(format_args!(
        "unexpected {name} exception (vector {vector}) on CPU {cpu}: ESR {esr:#x} ELR {elr:#x} FAR {far:#x}"
    ))
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    harness::abandon(format_args!("panic on CPU {}: {info}", crate::sysreg::cpu()))
}
