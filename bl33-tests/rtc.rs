// SPDX-License-Identifier: MIT OR Apache-2.0
//! The PL031, which both worlds reach: raises, whenever it is wanted, a line whose interrupt belongs to relay.

use crate::mem;

/// Its interrupt: SPI 2.
pub const INTERRUPT: u64 = 34;

/// The counter, the match, the mask, the raw state, the way to clear it.
const RTC: u64 = 0x0901_0000;
const DR: u64 = 0x00;
const MR: u64 = 0x04;
const IMSC: u64 = 0x10;
const RIS: u64 = 0x14;
const ICR: u64 = 0x1c;

fn read(register: u64) -> u32 {
    mem::read_device(RTC + register)
}

fn write(register: u64, value: u32) {
    mem::write_device(RTC + register, value);
}

/// Lowers the line, then raises it.
pub fn fire() {
    write(ICR, 1);
    write(IMSC, 1);
    // The match is with this very second, which may just be over.
    while read(RIS) & 1 == 0 {
        write(MR, read(DR));
    }
}

/// Lowers the line for good.
pub fn quiet() {
    write(IMSC, 0);
    write(ICR, 1);
}
