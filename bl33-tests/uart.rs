// SPDX-License-Identifier: MIT OR Apache-2.0
//! UART0, the Normal world's console: a PL011, polled.

use core::fmt;
use core::ptr;

const BASE: usize = 0x0900_0000;
const DR: *mut u32 = BASE as *mut u32;
const FR: *const u32 = (BASE + 0x18) as *const u32;
const CR: *mut u32 = (BASE + 0x30) as *mut u32;
const FR_TXFF: u32 = 1 << 5;

/// Enables the transmitter; BL31 has already set it up.
pub(crate) fn init() {
    // SAFETY: a device register of the platform, mapped as device memory.
    unsafe { ptr::write_volatile(CR, 1 | 1 << 8 | 1 << 9) };
}

fn put(byte: u8) {
    // SAFETY: device registers of the platform, mapped as device memory.
    unsafe {
        while ptr::read_volatile(FR) & FR_TXFF != 0 {}
        ptr::write_volatile(DR, u32::from(byte));
    }
}

/// Writes text to UART0. Only the boot CPU prints, except for a fatal report.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for b in s.bytes() {
            if b == b'\n' {
                put(b'\r');
            }
            put(b);
        }
        Ok(())
    }
}

/// Prints without an end of line.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => {{
        // Writing to the console cannot fail.
        let _ = core::fmt::Write::write_fmt(&mut $crate::uart::Console, format_args!($($arg)*));
    }};
}

/// Prints a line.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => {{
        $crate::print!($($arg)*);
        $crate::print!("\n");
    }};
}
