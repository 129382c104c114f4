// SPDX-License-Identifier: MIT OR Apache-2.0
//! The general-purpose timers of rtl8139 network cards, which both worlds reach: devices that raise a level and keep it
//! up until they are quietened. QEMU has the cards, in the slots 1 to 3, where its command line says so.

use crate::mem::{read_device, write_device, write_device16};

/// Their interrupts: SPIs 4 to 6.
pub const INTERRUPTS: [u64; 3] = [36, 37, 38];

/// Configuration space, without the machine's high memory: of slot 0, and the distance to the next.
const CONFIGURATION: u64 = 0x3f00_0000;
const SLOT: u64 = 1 << 15;
const ID: u32 = 0x8139_10ec;
/// In it: the command register, its bit that lets the registers be reached, and the address of the registers.
const COMMAND: u64 = 0x04;
const MEMORY_SPACE: u32 = 1 << 1;
const BAR1: u64 = 0x14;

/// The mask, the state, the counter, and what it is compared with.
const IMR: u64 = 0x3c;
const ISR: u64 = 0x3e;
const TCTR: u64 = 0x48;
const TIMER_INT: u64 = 0x54;
/// In IMR and ISR: the counter has come there.
const TIMEOUT: u16 = 1 << 14;
/// A tick of the counter (33 MHz).
const NANOSECONDS: u64 = 30;

/// Returns where a card's registers are, a page of their own.
const fn registers(card: usize) -> u64 {
    0x1000_0000 + 0x1_0000 * card as u64
}

/// Returns the 16-bit register of a card in which ones quieten it.
pub const fn quietener(card: usize) -> u64 {
    registers(card) + ISR
}

/// Puts the registers of the three cards where the partitions expect them; false if there are no cards.
pub fn find() -> bool {
    (0..INTERRUPTS.len()).all(|card| {
        let space = CONFIGURATION + SLOT * (card as u64 + 1);
        write_device(space + BAR1, registers(card) as u32);
        write_device(space + COMMAND, MEMORY_SPACE);
        quiet(card);
        read_device(space) == ID
    })
}

/// Raises a card's level in `ms` milliseconds.
pub fn raise_after(card: usize, ms: u64) {
    quiet(card);
    write_device16(registers(card) + IMR, TIMEOUT);
    write_device(registers(card) + TCTR, 0);
    write_device(registers(card) + TIMER_INT, (ms * 1_000_000 / NANOSECONDS) as u32 + 1);
}

/// Lowers it for good.
pub fn quiet(card: usize) {
    write_device(registers(card) + TIMER_INT, 0);
    write_device16(registers(card) + IMR, 0);
    write_device16(registers(card) + ISR, u16::MAX);
}
