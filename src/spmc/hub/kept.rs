// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the management service keeps for a caller that cannot read an RX buffer: the records of one list, fetched in
//! responses.

use alloc::boxed::Box;

use ffa_abi::hub::{FETCHED, KEPT};

use super::log::defaults;

/// The records of the latest list.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: Box<[u8]>,
    len: usize,
}

impl Kept {
    /// Makes room; `None` if there is no memory for it. Boot time.
    pub(crate) fn try_new() -> Option<Self> {
        Some(Self { bytes: defaults(KEPT)?, len: 0 })
    }

    /// Forgets what was kept.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds bytes, or tells that they do not fit.
    pub(crate) fn append(&mut self, data: &[u8]) -> bool {
        let end = self.len.saturating_add(data.len());
        let Some(room) = self.bytes.get_mut(self.len..end) else { return false };
        room.iter_mut().zip(data).for_each(|(to, byte)| *to = *byte);
        self.len = end;
        true
    }

    /// Returns the bytes that there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes from an offset on as registers, zeroes behind the last; `None` from the last on.
    pub(crate) fn fetch(&self, offset: usize) -> Option<[u64; FETCHED / 8]> {
        let rest = self.bytes.get(offset..self.len).filter(|rest| !rest.is_empty())?;
        let mut bytes = rest.iter().copied().chain(core::iter::repeat(0));
        Some([(); FETCHED / 8].map(|()| {
            let mut word = [0; 8];
            word.iter_mut().zip(&mut bytes).for_each(|(to, byte)| *to = byte);
            u64::from_le_bytes(word)
        }))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn what_is_kept_is_fetched_to_its_end_and_not_beyond() {
        let mut kept = Kept::try_new().unwrap();
        assert_eq!(kept.fetch(0), None);
        let data: Vec<u8> = (0..40).collect();
        assert!(kept.append(&data));
        assert_eq!(kept.fetch(0).map(|w| w.map(u64::to_le_bytes).concat()), Some(data[..32].to_vec()));
        assert_eq!(kept.fetch(32), Some([u64::from_le_bytes([32, 33, 34, 35, 36, 37, 38, 39]), 0, 0, 0]));
        assert_eq!(kept.fetch(39), Some([39, 0, 0, 0]));
        for beyond in [40, KEPT, KEPT + 1, usize::MAX] {
            assert_eq!(kept.fetch(beyond), None);
        }
        assert!(!kept.append(&[1; KEPT]));
        assert_eq!(kept.len(), 40, "what does not fit changes nothing");
        assert!(kept.append(&[1; KEPT - 40]));
        kept.clear();
        assert_eq!(kept.fetch(0), None, "nothing old is fetched");
    }
}
