// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ranges of a transaction: a few in the transaction itself, or all of them in a chain of pool pages.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ffa_abi::memory::Range;

use crate::refusal::Refusal;
use crate::{Ipa, PAGE_SIZE, Pa, Port};

/// Ranges that need no pool page.
const INLINE: usize = 4;
/// Ranges in a pool page; its word 0 links to the next one.
const PER_PAGE: u32 = 511;
/// Bits of the page count in a packed range; page numbers of a 39-bit space need 27 more.
const COUNT_BITS: u32 = 28;

/// Names a pool page, or none. Half as large as an `Option<Pa>`, and what word 0 of a page in a chain is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Link(u64);

impl Link {
    pub(super) const fn to(page: Pa) -> Self {
        Self(page.0)
    }

    pub(super) fn page(self) -> Option<Pa> {
        (self.0 != 0).then_some(Pa(self.0))
    }
}

/// A list of ranges.
#[derive(Debug, Default)]
pub(super) struct RangeList {
    /// Up to [`INLINE`] ranges; for a longer list [`HEAD`] and [`TAIL`] link to the ends of its chain.
    words: [u64; INLINE],
    len: u32,
    /// How many ranges the descriptor announced.
    pub(super) expected: u32,
}

/// The words that link to the first and the last page.
const HEAD: usize = 0;
const TAIL: usize = 1;

/// Packs a range whose end [`crate::stage2::check_range`] has found inside the IPA space.
const fn pack(range: &Range) -> u64 {
    (range.address / PAGE_SIZE) << COUNT_BITS | range.pages as u64
}

const fn unpack(word: u64) -> (Ipa, u64) {
    (Ipa((word >> COUNT_BITS) * PAGE_SIZE), word & ((1 << COUNT_BITS) - 1))
}

impl RangeList {
    /// Counts the ranges.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Appends ranges, with pages from the pool where needed, but for its last `leaves`.
    #[inline]
    pub(super) fn extend<P: Port>(
        &mut self,
        port: &P,
        leaves: usize,
        ranges: impl Iterator<Item = Result<Range, Refusal>>,
    ) -> Result<(), Refusal> {
        // The page that is being filled: looked up once, not for each range.
        let mut words = if self.is_chain() { port.words(Pa(self.words[TAIL])) } else { None };
        for range in ranges {
            let word = pack(&range?);
            let index = self.len % PER_PAGE;
            if let Some(place) = self.words.get_mut(self.len as usize) {
                *place = word;
            } else {
                if self.len as usize == INLINE || index == 0 {
                    words = port.words(self.grow(port, leaves)?);
                }
                let place = words.and_then(|words| words.get(index as usize + 1)).ok_or(Refusal::TableMemory)?;
                place.store(word, Relaxed);
            }
            self.len += 1;
        }
        Ok(())
    }

    const fn is_chain(&self) -> bool {
        self.len as usize > INLINE
    }

    /// Adds a page to the chain. The first one gets the ranges that were here.
    fn grow<P: Port>(&mut self, port: &P, leaves: usize) -> Result<Pa, Refusal> {
        let page = take_page(port, leaves)?;
        if self.is_chain() {
            port.set_word(Pa(self.words[TAIL]), 0, page.0);
        } else {
            for (index, word) in (1..).zip(self.words) {
                port.set_word(page, index, word);
            }
            self.words[HEAD] = page.0;
        }
        self.words[TAIL] = page.0;
        Ok(page)
    }

    fn head(&self) -> Link {
        if self.is_chain() { Link(self.words[HEAD]) } else { Link::default() }
    }

    /// Iterates over first addresses and page counts, from range `from` on.
    #[inline]
    pub(super) fn iter_from<'a, P: Port>(&'a self, port: &'a P, from: u32) -> Iter<'a, P> {
        let mut page = self.head().page();
        for _ in 0..from / PER_PAGE {
            page = page.and_then(|p| next(port, p));
        }
        Iter { list: self, port, at: from, words: page.and_then(|p| port.words(p)) }
    }

    /// Iterates over all ranges.
    #[inline]
    pub(super) fn iter<'a, P: Port>(&'a self, port: &'a P) -> Iter<'a, P> {
        Iter { list: self, port, at: 0, words: self.head().page().and_then(|p| port.words(p)) }
    }

    /// Empties the list and returns its pages to the pool.
    pub(super) fn clear<P: Port>(&mut self, port: &P) {
        let mut page = self.head().page();
        while let Some(p) = page {
            page = next(port, p);
            port.page_free(p);
        }
        self.len = 0;
    }
}

/// Takes a page from the pool for what a transaction keeps, unless it has but `leaves` pages more.
pub(super) fn take_page<P: Port>(port: &P, leaves: usize) -> Result<Pa, Refusal> {
    let page = if port.pages_free() > leaves { port.page_alloc() } else { None };
    page.ok_or(Refusal::TableMemory)
}

fn next<P: Port>(port: &P, page: Pa) -> Option<Pa> {
    Link(port.word(page, 0)).page()
}

/// Iterates over ranges.
pub(super) struct Iter<'a, P: Port> {
    list: &'a RangeList,
    port: &'a P,
    at: u32,
    /// The page that holds the next range, if the list is a chain.
    words: Option<&'a [AtomicU64; 512]>,
}

impl<P: Port> Iterator for Iter<'_, P> {
    type Item = (Ipa, u64);

    #[inline]
    fn next(&mut self) -> Option<(Ipa, u64)> {
        if self.at >= self.list.len {
            return None;
        }
        let word = match self.words {
            None => *self.list.words.get(self.at as usize)?,
            Some([link, words @ ..]) => {
                let index = self.at % PER_PAGE;
                if index == PER_PAGE - 1 {
                    self.words = Link(link.load(Relaxed)).page().and_then(|page| self.port.words(page));
                }
                words.get(index as usize)?.load(Relaxed)
            }
        };
        self.at += 1;
        Some(unpack(word))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sim::SimMachine;

    #[test]
    fn lists_of_any_length_come_back_in_order() {
        let m = SimMachine::new(8);
        let lengths = if cfg!(miri) { &[0u32, 5, 516][..] } else { &[0, 1, 4, 5, 515, 516, 2000] };
        for &n in lengths {
            let mut list = RangeList::default();
            let range = |i: u32| Range { address: u64::from(i) << 12, pages: i + 1 };
            // In two portions, as fragments come.
            list.extend(&m, 0, (0..n / 3).map(|i| Ok(range(i)))).unwrap();
            list.extend(&m, 0, (n / 3..n).map(|i| Ok(range(i)))).unwrap();
            assert_eq!(list.len(), n);
            for from in [0, 1, 4, 5, 514, 515, 516, 1999] {
                let got = list.iter_from(&m, from).map(|(ipa, n)| (ipa.0, n as u32));
                assert!(got.eq((from..n).map(|i| (range(i).address, range(i).pages))), "{n} from {from}");
            }
            list.clear(&m);
            assert_eq!(m.pages_free(), 8);
        }
    }
}
