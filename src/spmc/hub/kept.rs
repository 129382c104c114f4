// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the management service keeps for a caller that cannot read an RX buffer: the records of one list, fetched in
//! responses.

use arrayvec::ArrayVec;
use ffa_abi::hub::{FETCHED, KEPT};

/// The records of the latest list.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    words: ArrayVec<u64, { KEPT / 8 }>,
    /// Bytes of them that are in use; the last word has zeroes behind them.
    len: usize,
}

impl Kept {
    /// Forgets what was kept.
    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
    }

    /// Adds `len` bytes, with zeroes behind them in the last word, or tells that they do not fit. Nothing is added
    /// behind a word that is not full.
    pub(crate) fn append(&mut self, data: &[u64], len: usize) -> bool {
        let fits = self.words.try_extend_from_slice(data).is_ok();
        self.len += if fits { len } else { 0 };
        fits
    }

    /// Returns the bytes that there are.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes from an offset on as registers, zeroes behind the last; `None` from the last on.
    pub(crate) fn fetch(&self, offset: usize) -> Option<[u64; FETCHED / 8]> {
        if offset >= self.len {
            return None;
        }
        let (mut at, shift) = (offset / 8, offset as u32 % 8 * 8);
        let word = |at: usize| self.words.get(at).copied().unwrap_or(0);
        let mut fetched = [0; FETCHED / 8];
        for to in &mut fetched {
            *to = word(at) >> shift | word(at + 1).unbounded_shl(64 - shift);
            at += 1;
        }
        Some(fetched)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn what_is_kept_is_fetched_to_its_end_and_not_beyond() {
        let mut kept = Kept::default();
        assert_eq!(kept.fetch(0), None);
        let data: Vec<u8> = (0..40).collect();
        let words: Vec<u64> = data.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        assert!(kept.append(&words, 40));
        assert_eq!(kept.fetch(0).map(|w| w.map(u64::to_le_bytes).concat()), Some(data[..32].to_vec()));
        assert_eq!(kept.fetch(32), Some([u64::from_le_bytes([32, 33, 34, 35, 36, 37, 38, 39]), 0, 0, 0]));
        assert_eq!(kept.fetch(39), Some([39, 0, 0, 0]));
        for beyond in [40, KEPT, KEPT + 1, usize::MAX] {
            assert_eq!(kept.fetch(beyond), None);
        }
        assert!(!kept.append(&[1; KEPT / 8], KEPT));
        assert_eq!(kept.len(), 40, "what does not fit changes nothing");
        assert!(kept.append(&[1; KEPT / 8 - 5], KEPT - 42));
        assert_eq!(kept.fetch(KEPT - 8), Some([1, 0, 0, 0]));
        assert_eq!((kept.fetch(KEPT - 3), kept.fetch(KEPT - 2)), (Some([0; 4]), None));
        kept.clear();
        assert_eq!(kept.fetch(0), None, "nothing old is fetched");
    }
}
