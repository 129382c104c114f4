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
const PER_PAGE: usize = 511;
/// Bits of the page count in a packed range; page numbers of a 39-bit space need 27 more.
const COUNT_BITS: u32 = 28;

/// Names a pool page, or none. Half as large as an `Option<Pa>`.
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
        let Self { words, len, .. } = self;
        // Where ranges fit without another page: looked up once, not for each range.
        let mut room = match *len as usize {
            few @ ..=INLINE => words.get(few..),
            many => port.words(tail(words)).and_then(|page| page.get((many - 1) % PER_PAGE + 2..)),
        }
        .unwrap_or(&[]);
        for range in ranges {
            let Range { address, pages } = range?;
            if room.is_empty() {
                room = grow(words, *len as usize, port, leaves)?;
            }
            let (place, rest) = room.split_first().ok_or(Refusal::TableMemory)?;
            place.store(pack(address, pages.into()), Relaxed);
            room = rest;
            *len += 1;
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
    fn head(&self) -> Pa {
        Pa(self.words[HEAD].load(Relaxed))
    }

    /// Iterates over first addresses and page counts.
    pub(crate) fn iter<'a, P: Port>(&'a self, port: &'a P) -> Iter<'a, P> {
        self.part(port, 0, self.len)
    }

    /// Iterates over the ranges from range `from` on, up to range `to`.
    pub(crate) fn part<'a, P: Port>(&'a self, port: &'a P, from: u32, to: u32) -> Iter<'a, P> {
        let to = to as usize;
        let inline = if self.is_chain() { None } else { self.words.get(..to) };
        let words = inline.unwrap_or(&[]);
        let mut iter = Iter { port, words, left: to - words.len(), next: self.head() };
        let mut skip = from as usize;
        while skip >= iter.words.len() && iter.left > 0 {
            skip -= iter.words.len();
            iter.turn();
        }
        iter.words = iter.words.get(skip..).unwrap_or(&[]);
        iter
    }

    /// Empties the list and returns its pages to the pool.
    pub(crate) fn clear<P: Port>(&mut self, port: &P) {
        let mut next = if self.is_chain() { self.head() } else { Pa(0) };
        while next != Pa(0) {
            let page = next;
            next = Pa(port.word(page, 0));
            port.page_free(page);
        }
        self.len = 0;
    }
}

/// Returns the last page of a chain.
fn tail(words: &[AtomicU64; INLINE]) -> Pa {
    Pa(words[TAIL].load(Relaxed))
}

/// Adds a page to the chain of `len` ranges, and returns the room in it. The first one gets the ranges that were in the list.
fn grow<'p, P: Port>(
    words: &[AtomicU64; INLINE],
    len: usize,
    port: &'p P,
    leaves: usize,
) -> Result<&'p [AtomicU64], Refusal> {
    let page = take_page(port, leaves)?;
    let (_, mut room) = port.words(page).and_then(|words| words.split_first()).ok_or(Refusal::TableMemory)?;
    if len > INLINE {
        port.set_word(tail(words), 0, page.0);
    } else {
        for word in words {
            let (place, rest) = room.split_first().ok_or(Refusal::TableMemory)?;
            place.store(word.load(Relaxed), Relaxed);
            room = rest;
        }
        words[HEAD].store(page.0, Relaxed);
    }
    words[TAIL].store(page.0, Relaxed);
    Ok(room)
}

/// Takes a page from the pool for what a transaction keeps, unless it has but `leaves` pages more.
pub(crate) fn take_page<P: Port>(port: &P, leaves: usize) -> Result<Pa, Refusal> {
    let page = if port.pages_free() > leaves { port.page_alloc() } else { None };
    page.ok_or(Refusal::TableMemory)
}

/// Iterates over ranges.
pub(crate) struct Iter<'a, P: Port> {
    port: &'a P,
    /// Those that are at hand.
    words: &'a [AtomicU64],
    /// How many come behind them, and the first page with those.
    left: usize,
    next: Pa,
}

impl<P: Port> Iter<'_, P> {
    /// Returns the next range, packed; 0 at the end, which no range is.
    #[inline(never)]
    fn word(&mut self) -> u64 {
        if self.words.is_empty() {
            self.turn();
        }
        let Some((word, rest)) = self.words.split_first() else { return 0 };
        self.words = rest;
        word.load(Relaxed)
    }

    /// Goes on to the next page, if there is one.
    #[inline(never)]
    fn turn(&mut self) {
        let here = self.left.min(PER_PAGE);
        self.left -= here;
        if here > 0
            && let Some([link, words @ ..]) = self.port.words(self.next)
        {
            self.next = Pa(link.load(Relaxed));
            self.words = words.get(..here).unwrap_or(words);
        }
    }
}

impl<P: Port> Iterator for Iter<'_, P> {
    type Item = (Ipa, u64);

    #[inline(always)]
    fn next(&mut self) -> Option<(Ipa, u64)> {
        match self.word() {
            0 => None,
            word => Some(unpack(word)),
        }
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
                let got = list.part(&m, from, n).map(|(ipa, n)| (ipa.0, n as u32));
                assert!(got.eq((from..n).map(|i| (range(i).address, range(i).pages))), "{n} from {from}");
            }
            list.clear(&m);
            assert_eq!(m.pages_free(), 8);
        }
    }
}
