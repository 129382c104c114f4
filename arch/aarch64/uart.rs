// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secure console: a PL011, polled. Its lock gives way to whoever has waited too long, so a CPU that dies
//! printing does not silence the others.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use crate::mmu::UART_VA;
use crate::timer;

const DR: u64 = 0x00;
const FR: u64 = 0x18;
const LCR_H: u64 = 0x2c;
const CR: u64 = 0x30;
const FR_TXFF: u32 = 1 << 5;

fn read(offset: u64) -> u32 {
    // SAFETY: a register of the UART, which stage 1 maps as a device.
    unsafe { ((UART_VA + offset) as *const u32).read_volatile() }
}

fn write(offset: u64, value: u32) {
    // SAFETY: as in `read`; the device does no DMA.
    unsafe { ((UART_VA + offset) as *mut u32).write_volatile(value) }
}

/// Turns the transmitter on; the line rate is whatever EL3 left.
pub(crate) fn init() {
    write(LCR_H, 0x70); // 8 bits, FIFOs
    write(CR, 0x301); // UARTEN, TXE, RXE
}

struct Uart;

impl Uart {
    fn byte(byte: u8) {
        // A full FIFO drains at line rate; a UART that stands still must not hold the CPU for ever.
        let mut patience = 1_000_000;
        while read(FR) & FR_TXFF != 0 && patience != 0 {
            patience -= 1;
        }
        write(DR, byte.into());
    }

    fn bytes(text: &[u8]) {
        for &byte in text {
            if byte == b'\n' {
                Self::byte(b'\r');
            }
            Self::byte(byte);
        }
    }
}

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        Self::bytes(text.as_bytes());
        Ok(())
    }

    // What numbers are padded with, and their signs: all of it ASCII.
    fn write_char(&mut self, c: char) -> fmt::Result {
        Self::byte(if c.is_ascii() { c as u8 } else { b'?' });
        Ok(())
    }
}

/// 0, or a ticket that is never reused.
static LOCK: AtomicU64 = AtomicU64::new(0);
static TICKET: AtomicU64 = AtomicU64::new(1);

/// Runs `f` alone on the console, or after half a second all the same.
fn locked(f: impl FnOnce(&mut Uart)) {
    let ticket = TICKET.fetch_add(1, Ordering::Relaxed);
    let start = timer::now();
    while LOCK.compare_exchange_weak(0, ticket, Ordering::Acquire, Ordering::Relaxed).is_err() {
        if timer::now().wrapping_sub(start) > timer::hz() / 2 {
            LOCK.store(ticket, Ordering::Relaxed);
            break;
        }
        core::hint::spin_loop();
    }
    f(&mut Uart);
    // Whoever took the lock over keeps it.
    let _ = LOCK.compare_exchange(ticket, 0, Ordering::Release, Ordering::Relaxed);
}

/// Prints one line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    locked(|uart| {
        let _ = uart.write_fmt(text);
        Uart::bytes(b"\n");
    });
}

/// Prints bytes as they are, newlines as CR LF.
pub(crate) fn raw(text: &[u8]) {
    locked(|_| Uart::bytes(text));
}
