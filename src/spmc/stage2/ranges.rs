// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists of ranges of pages, which walks follow: a few ranges in the list itself, or all of them in a chain of pool pages.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ffa_abi::memory::Range;

use crate::refusal::Refusal;
use crate::stage2::IPA_BITS;
use crate::{Ipa, PAGE_SIZE, Pa, Port};

/// Ranges that need no pool page.
const INLINE: usize = 4;
/// Ranges in a pool page; its word 0 links to the next one.
const PER_PAGE: u32 = 511;
/// Bits of the page count in a packed range; page numbers of a 39-bit space need 27 more.
const COUNT_BITS: u32 = 28;

/// Names a pool page, or none. Half as large as an `Option<Pa>`, and what word 0 of a page in a chain is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link(u64);

impl Link {
    pub(crate) const fn to(page: Pa) -> Self {
        Self(page.0)
    }

    pub(crate) fn page(self) -> Option<Pa> {
        (self.0 != 0).then_some(Pa(self.0))
    }
}

/// A list of ranges.
#[derive(Debug, Default)]
pub(crate) struct RangeList {
    /// Up to [`INLINE`] ranges; of a longer list the first one, and [`HEAD`] and [`TAIL`] link to the ends of its chain.
    words: [AtomicU64; INLINE],
    len: u32,
    /// How many ranges the descriptor announced.
    pub(crate) expected: u32,
}

/// The words that link to the first and the last page.
const HEAD: usize = 2;
const TAIL: usize = 3;

/// Packs a range whose end [`super::check_range`] has found inside the IPA space.
const fn pack(address: u64, pages: u64) -> u64 {
    (address / PAGE_SIZE) << COUNT_BITS | pages
}

const fn unpack(word: u64) -> (Ipa, u64) {
    (Ipa((word >> COUNT_BITS) * PAGE_SIZE), word & ((1 << COUNT_BITS) - 1))
}

impl RangeList {
    /// Makes a list of one range. What lies beyond the IPA space stays there: the walk has no pages for it.
    pub(crate) fn one(ipa: Ipa, pages: u64) -> Self {
        let list = Self { len: 1, ..Self::default() };
        let range = pack(ipa.0.min(1 << IPA_BITS), pages.min((1 << COUNT_BITS) - 1));
        list.words[0].store(range, Relaxed);
        list
    }

    /// Counts the ranges.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Appends ranges, with pages from the pool where needed, but for its last `leaves`.
    #[inline]
    pub(crate) fn extend<P: Port>(
        &mut self,
        port: &P,
        leaves: usize,
        ranges: impl Iterator<Item = Result<Range, Refusal>>,
    ) -> Result<(), Refusal> {
        // The page that is being filled: looked up once, not for each range.
        let mut page = if self.is_chain() { port.words(self.tail()) } else { None };
        for range in ranges {
            let Range { address, pages } = range?;
            let word = pack(address, pages.into());
            if let Some(place) = self.words.get(self.len as usize) {
                place.store(word, Relaxed);
            } else {
                let index = self.len % PER_PAGE;
                if self.len as usize == INLINE || index == 0 {
                    page = Some(self.grow(port, leaves)?);
                }
                let place = page.and_then(|words| words.get(index as usize + 1)).ok_or(Refusal::TableMemory)?;
                place.store(word, Relaxed);
            }
            self.len += 1;
        }
        Ok(())
    }

    /// Returns the first page of the first range; of an empty list, any page.
    pub(crate) fn first(&self) -> Ipa {
        unpack(self.words[0].load(Relaxed)).0
    }

    const fn is_chain(&self) -> bool {
        self.len as usize > INLINE
    }

    /// Returns the first page of a chain.
    fn head(&self) -> Link {
        Link(self.words[HEAD].load(Relaxed))
    }

    /// Returns the last page of a chain.
    fn tail(&self) -> Pa {
        Pa(self.words[TAIL].load(Relaxed))
    }

    /// Adds a page to the chain. The first one gets the ranges that were here.
    fn grow<'p, P: Port>(&self, port: &'p P, leaves: usize) -> Result<&'p [AtomicU64; 512], Refusal> {
        let page = take_page(port, leaves)?;
        let words = port.words(page).ok_or(Refusal::TableMemory)?;
        if self.is_chain() {
            port.set_word(self.tail(), 0, page.0);
        } else {
            for (to, from) in words.iter().skip(1).zip(&self.words) {
                to.store(from.load(Relaxed), Relaxed);
            }
            self.words[HEAD].store(page.0, Relaxed);
        }
        self.words[TAIL].store(page.0, Relaxed);
        Ok(words)
    }

    /// Iterates over first addresses and page counts.
    pub(crate) fn iter<'a, P: Port>(&'a self, port: &'a P) -> Iter<'a, P> {
        match self.is_chain() {
            true => Iter { port, left: self.len, words: &[], next: self.head() },
            false => Iter { port, left: self.len, words: &self.words, next: Link::default() },
        }
    }

    /// Iterates over `count` ranges from range `from` on; there are as many.
    pub(crate) fn part<'a, P: Port>(&'a self, port: &'a P, from: u32, count: u32) -> Iter<'a, P> {
        let mut iter = self.iter(port);
        let mut skip = from as usize;
        while let Some(more) = skip.checked_sub(iter.words.len())
            && iter.turn()
        {
            skip = more;
        }
        iter.words = iter.words.get(skip..).unwrap_or(&[]);
        iter.left = count;
        iter
    }

    /// Empties the list and returns its pages to the pool.
    pub(crate) fn clear<P: Port>(&mut self, port: &P) {
        let mut page = if self.is_chain() { self.head().page() } else { None };
        while let Some(p) = page {
            page = Link(port.word(p, 0)).page();
            port.page_free(p);
        }
        self.len = 0;
    }
}

/// Takes a page from the pool for what a transaction keeps, unless it has but `leaves` pages more.
pub(crate) fn take_page<P: Port>(port: &P, leaves: usize) -> Result<Pa, Refusal> {
    let page = if port.pages_free() > leaves { port.page_alloc() } else { None };
    page.ok_or(Refusal::TableMemory)
}

/// Iterates over ranges.
pub(crate) struct Iter<'a, P: Port> {
    port: &'a P,
    left: u32,
    /// Those that are at hand, and perhaps more words behind the last of the list.
    words: &'a [AtomicU64],
    /// The page with those behind them.
    next: Link,
}

impl<P: Port> Iter<'_, P> {
    /// Goes on to the next page, if there is one.
    #[inline(never)]
    fn turn(&mut self) -> bool {
        let page = self.next.page().and_then(|page| self.port.words(page));
        if let Some([link, words @ ..]) = page {
            self.next = Link(link.load(Relaxed));
            self.words = words;
        }
        page.is_some()
    }
}

impl<P: Port> Iterator for Iter<'_, P> {
    type Item = (Ipa, u64);

    #[inline(always)]
    fn next(&mut self) -> Option<(Ipa, u64)> {
        self.left = self.left.checked_sub(1)?;
        if self.words.is_empty() {
            self.turn();
        }
        let (word, rest) = self.words.split_first()?;
        self.words = rest;
        Some(unpack(word.load(Relaxed)))
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
                let got = list.part(&m, from, n.saturating_sub(from)).map(|(ipa, n)| (ipa.0, n as u32));
                assert!(got.eq((from..n).map(|i| (range(i).address, range(i).pages))), "{n} from {from}");
            }
            list.clear(&m);
            assert_eq!(m.pages_free(), 8);
        }
    }
}
