// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interrupt of UART0, the Normal world's console: a second device whose line is raised whenever it is wanted. It
//! belongs to hostile; the console itself is polled. In loopback mode "data set ready" is what "data terminal ready" is.

use crate::mem;

/// Its interrupt: SPI 1.
pub const INTERRUPT: u64 = 33;

const UART: u64 = 0x0900_0000;
const CR: u64 = 0x30;
const IMSC: u64 = 0x38;
const ICR: u64 = 0x44;
/// In CR.
const LOOPBACK: u32 = 1 << 7;
const DTR: u32 = 1 << 10;
/// In IMSC and ICR.
const DSR: u32 = 1 << 3;

/// Lowers the line, then raises it.
pub fn fire() {
    quiet();
    let control = mem::read_device(UART + CR);
    mem::write_device(UART + CR, control | LOOPBACK);
    mem::write_device(UART + IMSC, DSR);
    mem::write_device(UART + CR, control | LOOPBACK | DTR);
    // Out of the loop again: what stays is the change that was seen.
    mem::write_device(UART + CR, control);
}

/// Lowers the line for good.
pub fn quiet() {
    mem::write_device(UART + IMSC, 0);
    mem::write_device(UART + ICR, DSR);
}
