// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random numbers from the CPU (FEAT_RNG).

use crate::cpu;
use core::arch::asm;

/// How often the source may have nothing to give before it counts as broken.
const ATTEMPTS: usize = 1000;

/// Returns a random number: RNDR. `None` without a source, or when it keeps having nothing to give.
pub fn random() -> Option<u64> {
    if !cpu::has_random() {
        return None;
    }
    for _ in 0..ATTEMPTS {
        let (value, good): (u64, u64);
        // SAFETY: reads RNDR, which the CPU has; it sets Z when it has nothing to give.
        unsafe {
            asm!("mrs {value}, s3_3_c2_c4_0", "cset {good}, ne", value = out(reg) value, good = out(reg) good,
                options(nomem, nostack));
        }
        if good != 0 {
            return Some(value);
        }
    }
    None
}

/// Fills a buffer with random bytes; tells whether there were any.
pub fn fill(bytes: &mut [u8]) -> bool {
    for chunk in bytes.chunks_mut(8) {
        let Some(value) = random() else { return false };
        chunk.iter_mut().zip(value.to_le_bytes()).for_each(|(to, from)| *to = from);
    }
    true
}
