// SPDX-License-Identifier: MIT OR Apache-2.0
//! EL1 and EL0 system registers and general registers: the worst-behaved partition.

use crate::{Answer, CONTEXTS, Failure};
use sp_rt::Context;
use sp_rt::registers::{self, CHANGED_BY_EXCEPTIONS, COUNT, PATTERN, TABLE};
use spin::Mutex;

/// What each context's registers read after [`fill`]; `None` where the register is refused.
static FILLED: [Mutex<[Option<u64>; COUNT]>; CONTEXTS] = [const { Mutex::new([None; COUNT]) }; CONTEXTS];

/// Writes a different value, made of `seed`, to every register that takes it; returns how many do.
///
/// Refused writes raise exceptions, which change the first registers of the table: those are written last.
pub(crate) fn fill(context: &Context, seed: u64) -> Answer {
    let mut filled = FILLED.get(context.index()).ok_or(Failure::NoRoom)?.lock();
    let order = || (CHANGED_BY_EXCEPTIONS..COUNT).chain(0..CHANGED_BY_EXCEPTIONS);
    for i in order() {
        // ELR_EL1 and SPSR_EL1 are written by the exception return of a probe, too: last of all, they stay.
        let value = seed.wrapping_add((i as u64).wrapping_mul(0x0101_0101_0101_0101));
        let written = TABLE.get(i).is_some_and(|register| (register.write)(value).is_ok());
        if let Some(slot) = filled.get_mut(i) {
            *slot = written.then_some(value);
        }
    }
    // What is read back is what counts: many registers do not keep every bit.
    for (register, slot) in TABLE.iter().zip(filled.iter_mut()) {
        *slot = slot.and_then(|_| (register.read)().ok());
    }
    Ok([filled.iter().flatten().count() as u64, COUNT as u64, 0, 0])
}

/// Compares every register with what [`fill`] left there. A mismatch names its place in the table.
pub(crate) fn check(context: &Context) -> Answer {
    let filled = FILLED.get(context.index()).ok_or(Failure::NoRoom)?.lock();
    let mut count = 0;
    for (i, (register, expected)) in TABLE.iter().zip(filled.iter()).enumerate() {
        let Some(expected) = *expected else { continue };
        let found = (register.read)()?;
        if found != expected {
            return Err(Failure::Mismatch { at: i as u64, found, expected });
        }
        count += 1;
    }
    Ok([count, 0, 0, 0])
}

/// Counts the readable registers that hold `pattern` (all of it, or its low 32 bits); returns the first one's place.
pub(crate) fn leak(pattern: u64) -> Answer {
    let alike = |value: u64| value == pattern || value == u64::from(pattern as u32);
    let readable = || TABLE.iter().enumerate().filter_map(|(i, register)| Some((i, (register.read)().ok()?)));
    let found = || readable().filter(|&(_, value)| alike(value));
    let first = found().next().map_or(u64::MAX, |(i, _)| i as u64);
    Ok([found().count() as u64, first, readable().count() as u64, 0])
}

/// Reads register `index` of the table.
pub(crate) fn read(index: u64) -> Answer {
    let register = TABLE.get(index as usize).ok_or(Failure::BadCommand)?;
    Ok([(register.read)()?, 0, 0, 0])
}

/// Fills x8 to x28 with a pattern, calls with x0 to x3, and checks x18 and x20 to x28, which a call must keep.
/// Returns x0 to x2 of the answer and a mask of the registers x8 to x17 that came back changed.
pub(crate) fn across_call(words: [u64; 4]) -> Answer {
    let ([x0, x1, x2], found) = registers::across_call(words);
    let changed = |&n: &usize| found.get(n).is_some_and(|&value| value != PATTERN | n as u64);
    if let Some(n) = (18..=28).filter(|&n| n != 19).find(changed) {
        let value = found.get(n).copied().unwrap_or(0);
        return Err(Failure::Mismatch { at: n as u64, found: value, expected: PATTERN | n as u64 });
    }
    Ok([x0, x1, x2, (8..=17).filter(changed).map(|n| 1 << n).sum()])
}
