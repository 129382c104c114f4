// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console: FFA_CONSOLE_LOG, a line of text at a time.

use crate::smc;
use core::fmt::{self, Write};
use ffa_abi::Func;

/// The characters of one call: x2 to x7 of the 64-bit form.
const CHUNK: usize = 48;
/// The characters of one call of the 32-bit form.
const CHUNK32: usize = 24;

struct Line {
    text: [u8; CHUNK],
    length: usize,
}

impl Line {
    fn flush(&mut self) {
        let text = &self.text[..self.length];
        if self.length > 0 && !send64(text) {
            text.chunks(CHUNK32).all(send32);
        }
        self.length = 0;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.length == CHUNK {
                self.flush();
            }
            self.text[self.length] = byte;
            self.length += 1;
        }
        Ok(())
    }
}

/// Returns `N` characters of `text`, from `from` on, as a number whose lowest byte is the first.
fn word<const N: usize>(text: &[u8], from: usize) -> u64 {
    text.iter().skip(from).take(N).rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn send64(text: &[u8]) -> bool {
    let w = |i: usize| word::<8>(text, 8 * i);
    let [fid, ..] = smc([Func::ConsoleLog.id64().into(), text.len() as u64, w(0), w(1), w(2), w(3), w(4), w(5)]);
    fid as u32 != Func::Error.id32()
}

fn send32(text: &[u8]) -> bool {
    let w = |i: usize| word::<4>(text, 4 * i);
    let [fid, ..] = smc([Func::ConsoleLog.id32().into(), text.len() as u64, w(0), w(1), w(2), w(3), w(4), w(5)]);
    fid as u32 != Func::Error.id32()
}

/// Prints a line; [`crate::log!`] is the way to call it.
pub fn print(arguments: fmt::Arguments<'_>) {
    let mut line = Line { text: [0; CHUNK], length: 0 };
    // Writing to a `Line` cannot fail.
    let _ = writeln!(line, "{arguments}");
    line.flush();
}

/// Prints a line on the secure console.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::print(format_args!($($argument)*)) };
}
