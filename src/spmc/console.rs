// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secure console: partitions' lines whole and attributed, the SPMC's refusals rate-limited.

use core::fmt;

use arrayvec::ArrayString;
use ffa_abi::{Func, PartitionId, Version};

use crate::refusal::Refusal;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::{ExecutionContext, Port, Spmc};

/// Collects a partition's characters until a line is complete.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    text: ArrayString<{ Self::CAPACITY }>,
    budget: Budget,
}

/// What a partition may still print: so many lines at once, then so many a second. The console is slow and everybody's.
#[derive(Debug)]
struct Budget {
    lines: u64,
    /// When the last lines were earned, in counter ticks.
    since: u64,
    held_back: u32,
}

impl Budget {
    const MOST: u64 = 256;
    const A_SECOND: u64 = 32;

    /// Takes leave to print a line: `None` is no, else the number of lines that were held back since.
    fn take<P: Port>(&mut self, port: &P) -> Option<u32> {
        let now = port.now();
        let each = (port.counter_hz() / Self::A_SECOND).max(1);
        let earned = now.wrapping_sub(self.since) / each;
        if earned != 0 {
            self.since = now;
            self.lines = self.lines.saturating_add(earned).min(Self::MOST);
        }
        match self.lines.checked_sub(1) {
            Some(rest) => {
                self.lines = rest;
                Some(core::mem::take(&mut self.held_back))
            }
            None => {
                self.held_back = self.held_back.saturating_add(1);
                None
            }
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { lines: Self::MOST, since: 0, held_back: 0 }
    }
}

impl LineBuffer {
    const CAPACITY: usize = 120;

    /// Adds one character; prints the line at a newline or when the buffer is full. Control characters and
    /// bytes outside ASCII become dots, so that a partition cannot forge lines or drive a terminal.
    fn put<P: Port>(&mut self, port: &P, name: &str, c: u8) {
        let ends = c == b'\n';
        if !ends {
            let c = if c == b'\t' || (0x20..0x7f).contains(&c) { c } else { b'.' };
            // A buffer that is full is printed below.
            let _ = self.text.try_push(char::from(c));
        }
        if ends || self.text.is_full() {
            self.flush(port, name);
        }
    }

    fn flush<P: Port>(&mut self, port: &P, name: &str) {
        if let Some(held_back) = self.budget.take(port) {
            if held_back > 0 {
                port.log(format_args!("[{name}] ({} lines were held back)", u64::from(held_back)));
            }
            port.log(format_args!("[{name}] {}", self.text));
        }
        self.text.clear();
    }

    /// Takes the characters of one `FFA_CONSOLE_LOG` (DEN0077A v1.2, "FFA_CONSOLE_LOG"): w1 says how many,
    /// the registers from x2 on hold them, lowest byte first, four or eight to a register.
    pub(crate) fn log<P: Port>(
        &mut self,
        port: &P,
        name: &str,
        wide: bool,
        version: Version,
        x: &[u64; 18],
    ) -> Result<(), Refusal> {
        let [_, count, chars @ ..] = x;
        let per_register = if wide { 8 } else { 4 };
        // v1.2 lets the 64-bit form use x2 to x17, earlier ones stop at x7.
        let registers = if wide && version >= Version::V1_2 { 16 } else { 6 };
        let count = *count as u32 as usize;
        if count == 0 || count > per_register * registers {
            return Err(Refusal::LogLength);
        }
        for n in 0..count {
            let word = chars.get(n / per_register).copied().unwrap_or_default();
            self.put(port, name, (word >> (8 * (n % per_register))) as u8);
        }
        Ok(())
    }
}

/// Lets a burst of lines through each second and counts the rest: a caller that errs in a loop neither floods
/// the console nor pays for printing.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    /// When the present second began, in counter ticks.
    since: AtomicU64,
    /// Lines in this second.
    lines: AtomicU32,
    suppressed: AtomicU32,
}

impl RateLimit {
    const BURST: u32 = 16;

    /// Asks for leave to print a line: `None` is no, else the number of lines that were held back since.
    #[inline(always)]
    pub(crate) fn admit<P: Port>(&self, port: &P) -> Option<u32> {
        if self.lines.load(Ordering::Relaxed) >= Self::BURST {
            let now = port.now();
            if now.wrapping_sub(self.since.load(Ordering::Relaxed)) < port.counter_hz() {
                self.suppressed.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            // Two CPUs may both open the new second; at worst a few lines more are printed.
            self.since.store(now, Ordering::Relaxed);
            self.lines.store(0, Ordering::Relaxed);
        }
        self.lines.fetch_add(1, Ordering::Relaxed);
        Some(self.suppressed.swap(0, Ordering::Relaxed))
    }
}

impl<P: Port> Spmc<P> {
    /// Prints a line about an execution context: its partition's name, its number, and what is said of it.
    #[cold]
    #[inline(never)]
    pub(crate) fn say(&self, context: &ExecutionContext<P>, what: fmt::Arguments<'_>) {
        let name = self.partitions.get(context.partition as usize).map_or("?", |p| &p.identity.name);
        self.port.log(format_args!("{name}: vcpu {}{what}", u64::from(context.vcpu)));
    }
}

/// Prints the one plain line of a refusal: who, which call, why.
#[cold]
#[inline(never)]
pub(crate) fn refused<P: Port>(port: &P, held_back: u32, caller: PartitionId, fid: u32, refusal: Refusal) {
    let (family, name) = Func::decode(fid).map_or(("", "unknown call"), |f| ("FFA_", f.name()));
    let fid = u64::from(fid);
    if held_back > 0 {
        port.log(format_args!("refused: {} further lines were held back", u64::from(held_back)));
    }
    port.log(format_args!("refused: {caller} {family}{name} ({fid:#010x}): {}: {}", refusal.code(), refusal.why()));
}
