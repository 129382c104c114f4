// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random numbers for the tests.

/// Makes numbers that can be made again from their seed, which is not 0 (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Makes the next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Makes a number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
