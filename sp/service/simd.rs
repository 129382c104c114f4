// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SIMD registers. The compiler uses none in this partition, so that what is put there stays there.

use crate::{Answer, Failure};
use sp_rt::simd::store;
pub(crate) use sp_rt::simd::touch;

/// Puts `seed + n` in both halves of each Qn.
pub(crate) fn fill(seed: u64) -> Answer {
    sp_rt::simd::fill(seed);
    Ok([32, 0, 0, 0])
}

/// Compares with what [`fill`] wrote; a mismatch names the half (2n or 2n + 1).
pub(crate) fn check(seed: u64) -> Answer {
    for (i, found) in store().into_iter().enumerate() {
        let expected = seed.wrapping_add(i as u64 / 2);
        if found != expected {
            return Err(Failure::Mismatch { at: i as u64, found, expected });
        }
    }
    Ok([32, 0, 0, 0])
}

/// Counts the halves that hold `pattern`, and those that hold anything but zero; returns the last of the latter too.
pub(crate) fn leak(pattern: u64) -> Answer {
    let halves = store();
    let alike = halves.iter().filter(|&&half| half == pattern).count() as u64;
    let mut used = halves.iter().filter(|&&half| half != 0);
    Ok([alike, used.clone().count() as u64, used.next_back().copied().unwrap_or(0), 0])
}
