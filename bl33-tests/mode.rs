// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the runner asks for: three little-endian words at 0x60200000, zero unless QEMU's loader wrote them.
//!
//! | address | meaning |
//! |---|---|
//! | 0x60200000 | how often the cases repeat what needs repeating: 0 as a demonstration, 1 for a verdict, 2 as a soak |
//! | 0x60200008 | seed of the random cases; 0: taken from the counter. It is printed either way |
//! | 0x60200010 | up to eight ASCII characters: run only the cases whose name starts with them |
//!
//! For example `-device loader,addr=0x60200000,data=2,data-len=8`.

use core::ptr;

const WORDS: *const u64 = 0x6020_0000 as *const u64;

fn word(n: usize) -> u64 {
    // SAFETY: RAM of the platform that nothing else uses (`link.ld` keeps the image below it).
    unsafe { ptr::read_volatile(WORDS.add(n)) }
}

/// Tells whether this run is a soak.
pub fn long() -> bool {
    word(0) == 2
}

/// Chooses how often a case repeats itself: in a demonstration, for a verdict, in a soak.
pub fn rounds(short: u64, full: u64, long: u64) -> u64 {
    match word(0) {
        0 => short,
        1 => full,
        _ => long,
    }
}

/// Names how long this run is, for the console.
pub fn name() -> &'static str {
    match word(0) {
        0 => "short",
        1 => "full",
        _ => "long",
    }
}

/// Returns the seed of the random cases, never 0.
pub fn seed() -> u64 {
    match word(1) {
        0 => crate::time::now().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        seed => seed,
    }
}

/// Tells whether a subset was asked for.
pub fn selective() -> bool {
    word(2) != 0
}

/// Tells whether the case of this name was asked for.
pub fn wanted(name: &str) -> bool {
    let prefix = word(2).to_le_bytes();
    let len = prefix.iter().position(|&b| b == 0).unwrap_or(prefix.len());
    name.as_bytes().starts_with(prefix.get(..len).unwrap_or_default())
}
