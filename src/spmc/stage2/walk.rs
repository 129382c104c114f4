// SPDX-License-Identifier: MIT OR Apache-2.0
//! The walk: every change of a translation table, in runs of pages that share a level-3 table.
//!
//! A change has two steps. [`Walk::claim`] checks every page, sets its claim bit and builds whatever tables will be
//! needed; it may fail, and then takes back all that it did. [`Walk::commit`] rewrites claimed pages; it allocates
//! nothing and cannot fail. The claim bit also shows a range that names a page twice.
//!
//! Tables that become empty are returned to the pool, after the TLB has forgotten them.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::refusal::Refusal;
use crate::stage2::Stage2;
use crate::stage2::entry::{Entry, Tag};
use crate::stage2::ownership::{Change, Check};
use crate::stage2::ranges::RangeList;
use crate::{Ipa, PAGE_SIZE, Pa, Port, Space};

/// Entries in a table, of any level.
const ENTRIES: u64 = 512;
/// Pages under one entry of level 1.
const GIB: u64 = ENTRIES * ENTRIES;
/// Pages in the whole IPA space: 39 bits.
pub(crate) const SPACE_PAGES: u64 = ENTRIES * GIB;
/// Above this many pages everything that is cached for the partition is invalidated at once.
const INVALIDATE_BY_PAGE: u64 = 32;

/// What a walk does with pages.
enum Step<'a, 'c> {
    Claim(&'a mut Check<'c>),
    Commit(&'a Change),
}

impl Step<'_, '_> {
    fn apply(&self, entry: Entry, at: Ipa) -> Result<Entry, Refusal> {
        match self {
            Self::Claim(_) if entry.is_claimed() => Err(Refusal::MemTwice),
            Self::Claim(check) => check.apply(entry, at).map(|()| entry.with_claimed(true)),
            Self::Commit(change) => Ok(change.apply(entry.with_claimed(false), at)),
        }
    }
}

/// A table that the walk has open: what points to it is brought up to date when the walk moves on.
#[derive(Clone, Copy)]
struct Open<'a> {
    /// The first page under it, in tables of its own size: its position among all tables of its level.
    number: u64,
    words: &'a [AtomicU64; ENTRIES as usize],
    /// The entry that points to it, as it was when the table was opened, and as it is to become.
    old: Entry,
    new: Entry,
}

impl<'a> Open<'a> {
    fn word(&self, place: u64) -> &'a AtomicU64 {
        &self.words[(place % ENTRIES) as usize]
    }

    fn get(&self, place: u64) -> Entry {
        Entry(self.word(place).load(Relaxed))
    }

    /// Writes `new` to the first of `places`, which is `old`, and what follows from it to those behind that follow from
    /// `old`. Returns how many it wrote.
    fn spread(&mut self, places: Range<u64>, mut old: Entry, mut new: Entry) -> u64 {
        let (less, more) = (!old.is_zero() as u64, !new.is_zero() as u64);
        self.word(places.start).store(new.0, Relaxed);
        let mut n = 1;
        let count = places.end - places.start;
        // Ranges of one page are most of those that are many.
        if count > 1 {
            let (old_step, new_step) = (old.step(), new.step());
            while n < count {
                (old.0, new.0) = (old.0.wrapping_add(old_step), new.0.wrapping_add(new_step));
                let word = self.word(places.start + n);
                if word.load(Relaxed) != old.0 {
                    break;
                }
                word.store(new.0, Relaxed);
                n += 1;
            }
        }
        self.new = self.new.counting(n * more, n * less);
        n
    }
}

/// Walks one translation tree; [`Walk::finish`] must end it.
#[must_use = "the tables are only complete, and the TLB is only told, by `finish`"]
pub struct Walk<'a, P: Port> {
    port: &'a P,
    root: Option<&'a [AtomicU64; ENTRIES as usize]>,
    tables: &'a Stage2,
    space: Space,
    blocks: bool,
    /// The level-2 table that is open, and the level-3 table below it.
    middle: Option<Open<'a>>,
    last: Option<Open<'a>>,
    /// Pages of which the TLB may hold what is no longer true.
    stale: Range<u64>,
    /// How many pages of its ranges the step that is being done goes on with.
    left: u64,
    /// Tables that are to be freed, as a list through their first words; it ends with 0.
    freed: u64,
}

impl<'a, P: Port> Walk<'a, P> {
    /// Starts a walk of the tree of one space.
    #[inline(always)]
    pub(super) fn new(port: &'a P, tables: &'a Stage2, space: Space) -> Self {
        let root = port.words(tables.root(space));
        Self { port, root, tables, space, blocks: true, middle: None, last: None, stale: 0..0, left: 0, freed: 0 }
    }

    /// Keeps to 4 KiB pages: for mappings whose output address does not follow the IPA modulo 2 MiB.
    pub(super) fn without_blocks(&mut self) {
        self.blocks = false;
    }

    /// Claims pages, then rewrites them, then ends the walk: all or nothing.
    #[inline(never)]
    pub(crate) fn change(&mut self, ranges: &RangeList, check: &mut Check<'_>, change: &Change) -> Result<(), Refusal> {
        let claimed = self.claim(ranges, check);
        if claimed.is_ok() {
            self.commit(ranges, change);
        }
        self.finish();
        claimed
    }

    /// Does the same with one range.
    #[inline(never)]
    pub(crate) fn change_one(
        &mut self,
        ipa: Ipa,
        pages: u64,
        mut check: Check<'_>,
        change: &Change,
    ) -> Result<(), Refusal> {
        self.change(&RangeList::one(ipa, pages), &mut check, change)
    }

    /// Claims pages, each if `check` allows it; a page that is claimed already is refused. On failure nothing is claimed.
    pub(crate) fn claim(&mut self, ranges: &RangeList, check: &mut Check<'_>) -> Result<(), Refusal> {
        self.left = u64::MAX;
        let outcome = self.update(ranges, Step::Claim(check));
        if outcome.is_err() {
            self.commit_some(ranges, u64::MAX - self.left, &Change::Unclaim);
        }
        outcome
    }

    /// Rewrites pages that are claimed, or that are part of an open transaction; a claim ends.
    pub(crate) fn commit(&mut self, ranges: &RangeList, change: &Change) {
        self.commit_some(ranges, u64::MAX, change);
    }

    fn commit_some(&mut self, ranges: &RangeList, pages: u64, change: &Change) {
        self.left = pages;
        let outcome = self.update(ranges, Step::Commit(change));
        debug_assert!(outcome.is_ok(), "a commit found a table missing that its claim should have built");
    }

    /// Makes the changes visible to every CPU, and returns empty tables to the pool.
    ///
    /// The walk is over then. (It is not taken by value: it is large, and would be copied.)
    pub fn finish(&mut self) {
        self.close_last();
        self.close_middle();
        if self.tables.installed {
            let roots = &self.tables.roots;
            self.port.tables_written();
            match self.stale.end - self.stale.start {
                0 => {}
                pages @ 1..=INVALIDATE_BY_PAGE => {
                    self.port.tlb_invalidate(roots, self.space, Ipa(self.stale.start * PAGE_SIZE), pages);
                }
                _ => self.port.tlb_invalidate_all(roots),
            }
            self.stale = 0..0;
        }
        while self.freed != 0 {
            let page = Pa(self.freed);
            self.freed = self.port.word(page, 0);
            self.port.page_free(page);
        }
    }

    /// Does a step with the first `left` pages of the ranges, and takes those that are done off `left`. A claim builds
    /// missing tables and splits blocks; a commit skips what is missing.
    fn update(&mut self, ranges: &RangeList, mut step: Step<'_, '_>) -> Result<(), Refusal> {
        for (ipa, pages) in ranges.iter(self.port) {
            if let Step::Claim(Check::Sendable { admit, .. }) = &mut step {
                admit(ipa, pages)?;
            }
            let mut at = ipa.0 / PAGE_SIZE;
            let end = (at + pages.min(self.left)).min(SPACE_PAGES);
            while at < end {
                let stop = end.min((at | (ENTRIES - 1)) + 1);
                let is_open = self.last.as_ref().is_some_and(|last| last.number == at / ENTRIES);
                let whole = !is_open && self.open(at, stop, matches!(step, Step::Claim(..)))? == ENTRIES;
                let (table, places) = match whole {
                    true => (&mut self.middle, at / ENTRIES..at / ENTRIES + 1),
                    false => (&mut self.last, at..stop),
                };
                let mut done = stop - at;
                if let Some(table) = table {
                    let old = table.get(places.start);
                    let new = step.apply(old, Ipa(at * PAGE_SIZE))?;
                    let new = if whole { new.with_block(true) } else { new };
                    let n = table.spread(places, old, new);
                    if old.stale_bits(new) != 0 {
                        // One operation takes a whole block out of the TLB.
                        self.note(at, n);
                    }
                    done = if whole { ENTRIES } else { n };
                }
                at += done;
                self.left -= done;
            }
        }
        Ok(())
    }

    /// Opens the tables down to the level-3 table that holds page `at`, as far as they exist or are to be built. Where the
    /// range up to `to` is the whole of a level-2 entry that is no table, stops at the level-2 table. Returns how many pages
    /// one entry of the table stands for.
    #[inline(never)]
    fn open(&mut self, at: u64, to: u64, grow: bool) -> Result<u64, Refusal> {
        let number = at / ENTRIES;
        self.close_last();
        if self.middle.is_none_or(|middle| middle.number != at / GIB) {
            self.close_middle();
            let root = self.root.ok_or(Refusal::TableMemory)?;
            let old = Entry(root[(at / GIB % ENTRIES) as usize].load(Relaxed));
            Self::open_table(self.port, &mut self.middle, at / GIB, old, grow)?;
        }
        let Some(middle) = &self.middle else { return Ok(1) };
        let old = middle.get(number);
        if !old.is_table() && to - at == ENTRIES && (self.blocks || !old.is_zero()) {
            return Ok(ENTRIES);
        }
        debug_assert!(grow || old.is_table() || old.is_zero(), "a commit would have to split a block");
        Self::open_table(self.port, &mut self.last, number, old, grow)?;
        if let Some(open) = &mut self.last
            && !old.is_table()
            && !old.is_zero()
        {
            for (word, i) in open.words.iter().zip(0..) {
                word.store(old.child(i).0, Relaxed);
            }
            open.new = open.new.counting(ENTRIES, 0);
            open.old = open.new;
            let new = open.new;
            self.replace(number, old.is_valid(), new);
        }
        Ok(1)
    }

    /// Opens the table that `old` points to; with `grow`, a new one where it points to none.
    fn open_table(
        port: &'a P,
        place: &mut Option<Open<'a>>,
        number: u64,
        old: Entry,
        grow: bool,
    ) -> Result<(), Refusal> {
        let new = match old.is_table() {
            true => old,
            false if grow => Entry::table(port.page_alloc().ok_or(Refusal::TableMemory)?, 0),
            false => return Ok(()),
        };
        let words = port.words(new.pa()).ok_or(Refusal::TableMemory)?;
        *place = Some(Open { number, words, old, new });
        Ok(())
    }

    /// Brings the level-2 entry of the open level-3 table up to date: drops a table that is empty, makes a block of
    /// one that amounts to it.
    fn close_last(&mut self) {
        let (Some(open), Some(middle)) = (self.last.take(), &mut self.middle) else { return };
        middle.new = middle.new.counting((open.new.count() != 0) as u64, !open.old.is_zero() as u64);
        let word = middle.word(open.number);
        if let Some(block) = self.uniform(&open) {
            self.replace(open.number, true, block);
            self.release(open.new.pa(), open.number * ENTRIES);
        } else {
            self.close(&open, word, open.number * ENTRIES);
        }
    }

    /// The same for the level-1 entry of the open level-2 table, which never becomes a block.
    fn close_middle(&mut self) {
        let (Some(open), Some(root)) = (self.middle.take(), self.root) else { return };
        self.close(&open, &root[(open.number % ENTRIES) as usize], open.number * GIB);
    }

    /// Brings `word`, which points to a table whose first page is `first`, up to date, and drops a table that is empty.
    fn close(&mut self, open: &Open<'_>, word: &AtomicU64, first: u64) {
        let empty = open.new.count() == 0;
        let new = if empty { Entry::ZERO } else { open.new };
        if new != open.old {
            // A fresh table's contents must be seen before the table is.
            self.port.tables_written();
            word.store(new.0, Relaxed);
        }
        if empty {
            self.release(open.new.pa(), first);
        }
    }

    /// Notes pages of which the TLB may hold what is no longer true: more of what was noted before, or else everything.
    fn note(&mut self, from: u64, pages: u64) {
        let stale = &mut self.stale;
        if stale.is_empty() {
            *stale = from..from + pages;
        } else if stale.start <= from && from <= stale.end {
            stale.end = stale.end.max(from + pages);
        } else {
            *stale = 0..SPACE_PAGES;
        }
    }

    /// Exchanges block and table under the open level-2 table by break-before-make. Another CPU that runs the
    /// partition may take a stage-2 fault in between; [`super::Stage2::changes`] tells the handler that it may be none.
    fn replace(&mut self, number: u64, valid: bool, new: Entry) {
        let Some(middle) = &self.middle else { return };
        let word = middle.word(number);
        if valid && self.tables.installed {
            word.store(0, Relaxed);
            self.port.tables_written();
            // By address this could take one operation for every page that the TLB made of it.
            self.port.tlb_invalidate_all(&self.tables.roots);
        }
        self.port.tables_written();
        word.store(new.0, Relaxed);
    }

    /// Returns the block that a full level-3 table amounts to. Only owned pages join again: what is sent or
    /// borrowed must stay divisible, as taking it back may not need memory.
    fn uniform(&self, open: &Open<'_>) -> Option<Entry> {
        let first = open.get(0);
        let plain = first.is_valid() && first.tag() == Tag::Owned && !first.is_pinned() && !first.is_claimed();
        if !self.blocks || open.new.count() != ENTRIES || !plain || first.pa().0 % (ENTRIES * PAGE_SIZE) != 0 {
            return None;
        }
        let mut page = first.0;
        for word in open.words {
            if word.load(Relaxed) != page {
                return None;
            }
            page = page.wrapping_add(first.step());
        }
        Some(first.with_block(true))
    }

    /// Puts a table aside until [`Walk::finish`] has told the TLB.
    fn release(&mut self, page: Pa, from: u64) {
        // The link has bit 0 clear: a walk that still comes by here sees an invalid descriptor.
        self.port.set_word(page, 0, self.freed);
        self.freed = page.0;
        self.note(from, 1);
    }
}

/// Returns the leaf of the tree at `root` that covers `ipa`, in page form with its own output address, or zero.
pub(super) fn read<P: Port>(port: &P, root: Pa, ipa: Ipa) -> Entry {
    let page = ipa.0 / PAGE_SIZE;
    if page >= SPACE_PAGES {
        return Entry::ZERO;
    }
    let e1 = Entry(port.word(root, (page / GIB) as usize));
    if !e1.is_table() {
        return Entry::ZERO;
    }
    let e2 = Entry(port.word(e1.pa(), (page / ENTRIES % ENTRIES) as usize));
    if e2.is_table() {
        return Entry(port.word(e2.pa(), (page % ENTRIES) as usize));
    }
    if e2.is_zero() { e2 } else { e2.child(page % ENTRIES) }
}

/// Returns every table of the tree at `root` to the pool, the root too. Nothing may walk it any more.
pub(super) fn destroy<P: Port>(port: &P, root: Pa) {
    for i in 0..ENTRIES as usize {
        let e1 = Entry(port.word(root, i));
        if !e1.is_table() {
            continue;
        }
        for j in 0..ENTRIES as usize {
            let e2 = Entry(port.word(e1.pa(), j));
            if e2.is_table() {
                port.page_free(e2.pa());
            }
        }
        port.page_free(e1.pa());
    }
    port.page_free(root);
}
