// SPDX-License-Identifier: MIT OR Apache-2.0
//! A record in memory that outlives the partition's restart, sealed: whatever moment a write is cut short at, the next
//! life finds the record of before it, or the whole new one.
//!
//! There are two slots, written in turn: generation, content, and their SHA-256. The newer sound one holds.

use core::sync::atomic::{Ordering, compiler_fence};
use receipts::Hash;
use zeroize::Zeroizing;

/// Words of a record's content.
pub(crate) const CONTENT: usize = 20;

/// Words of a slot: generation, content, seal.
pub(crate) const SLOT: usize = 1 + CONTENT + 4;

/// What is kept.
pub(crate) type Content = Zeroizing<[u64; CONTENT]>;

/// The two slots.
pub(crate) struct Seal<'s> {
    slots: [&'s mut [u64; SLOT]; 2],
    generation: u64,
}

/// What was found in the slots.
pub(crate) enum Found {
    /// Nothing, or the first record of a life that ended before it began to serve.
    Nothing,
    /// The last record.
    Record(Content),
    /// Something that this code cannot have left.
    Damage,
}

impl<'s> Seal<'s> {
    /// Looks at what the former life left.
    pub(crate) fn open(slots: [&'s mut [u64; SLOT]; 2]) -> (Self, Found) {
        let [first, second] = slots.each_ref().map(|slot| read(slot));
        let newer = match (first, second) {
            (Some(first), Some(second)) => Some(if first.0 > second.0 { first } else { second }),
            (one, other) => one.or(other),
        };
        let (generation, found) = match newer {
            Some((generation, content)) => (generation, Found::Record(content)),
            // Whoever serves has written both slots.
            None if slots.iter().any(|slot| slot.iter().all(|word| *word == 0)) => (0, Found::Nothing),
            None => (0, Found::Damage),
        };
        (Self { slots, generation }, found)
    }

    /// Writes the next record over the last but one.
    pub(crate) fn commit(&mut self, content: &Content) {
        self.generation = self.generation.wrapping_add(1);
        let [even, odd] = &mut self.slots;
        let slot = if self.generation % 2 == 0 { even } else { odd };
        let seal = seal(self.generation, content);
        let [generation, rest @ ..] = &mut **slot;
        *generation = self.generation;
        let (kept, sealed) = rest.split_at_mut(CONTENT);
        kept.iter_mut().zip(content.iter()).for_each(|(to, from)| *to = *from);
        compiler_fence(Ordering::Release);
        sealed.iter_mut().zip(seal).for_each(|(to, from)| *to = from);
        compiler_fence(Ordering::Release);
    }
}

/// Reads a slot: its generation and content, if its seal is right.
fn read(slot: &[u64; SLOT]) -> Option<(u64, Content)> {
    let (generation, rest) = slot.split_first()?;
    let (content, sealed) = rest.split_first_chunk::<CONTENT>()?;
    let content = Zeroizing::new(*content);
    (*sealed == seal(*generation, &content)).then_some((*generation, content))
}

fn seal(generation: u64, content: &Content) -> [u64; 4] {
    let mut bytes = Zeroizing::new([0; 8 * (1 + CONTENT)]);
    let words = core::iter::once(&generation).chain(content.iter());
    bytes.chunks_exact_mut(8).zip(words).for_each(|(to, from)| to.copy_from_slice(&from.to_le_bytes()));
    words_of(&Hash::of(&*bytes).0)
}

/// Reads bytes as words; those that are missing are 0.
pub(crate) fn words_of<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    words.iter_mut().zip(bytes.as_chunks().0).for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(memory: &mut [u64]) -> Found {
        Seal::open(halves(memory)).1
    }

    fn halves(memory: &mut [u64]) -> [&mut [u64; SLOT]; 2] {
        let (first, second) = memory.split_first_chunk_mut().expect("room");
        [first, second.first_chunk_mut().expect("room")]
    }

    fn content(n: u64) -> Content {
        Zeroizing::new(core::array::from_fn(|i| n * 1000 + i as u64))
    }

    #[test]
    fn a_write_cut_short_anywhere_leaves_the_old_record_or_the_new() {
        let mut memory = [0; 2 * SLOT];
        let (mut seal, found) = Seal::open(halves(&mut memory));
        assert!(matches!(found, Found::Nothing));
        seal.commit(&content(0));
        seal.commit(&content(0));
        for n in 1..5 {
            let before = memory;
            let (mut seal, found) = Seal::open(halves(&mut memory));
            assert!(matches!(found, Found::Record(old) if old == content(n - 1)));
            seal.commit(&content(n));
            let changed: alloc::vec::Vec<usize> = (0..2 * SLOT).filter(|&i| before[i] != memory[i]).collect();
            for cut in 0..=changed.len() {
                // In the order of the writes, and in the other one, should they be done in another order.
                for reversed in [false, true] {
                    let mut torn = before;
                    let written = |k: usize| changed[if reversed { changed.len() - 1 - k } else { k }];
                    (0..cut).map(written).for_each(|i| torn[i] = memory[i]);
                    let Found::Record(found) = opened(&mut torn) else { panic!("a record at cut {cut}") };
                    assert_eq!(found, if cut == changed.len() { content(n) } else { content(n - 1) }, "cut {cut}");
                }
            }
        }
    }

    #[test]
    fn a_first_record_cut_short_is_none_and_damage_is_told() {
        let mut memory = [0; 2 * SLOT];
        Seal::open(halves(&mut memory)).0.commit(&content(1));
        let mut torn = memory;
        torn[2 * SLOT - 1] = 0;
        assert!(matches!(opened(&mut torn), Found::Nothing));
        Seal::open(halves(&mut memory)).0.commit(&content(2));
        for word in 0..SLOT {
            let mut bad = memory;
            bad[word] ^= 1;
            assert!(matches!(opened(&mut bad), Found::Record(found) if found == content(1)), "word {word}");
            bad[SLOT + word] ^= 1 << 63;
            assert!(matches!(opened(&mut bad), Found::Damage), "word {word}");
        }
    }
}
