// SPDX-License-Identifier: MIT OR Apache-2.0
//! The walk: every change of a translation table, in runs of pages that share a level-3 table.
//!
//! A change has two steps. [`Walk::claim`] checks every page, sets its claim bit and builds whatever tables will be
//! needed; it may fail, and then takes back all that it did. [`Walk::commit`] rewrites claimed pages; it allocates
//! nothing and cannot fail. The claim bit also shows a range that names a page twice.
//!
//! Tables that become empty are returned to the pool, after the TLB has forgotten them.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::stage2::entry::{Entry, Tag};
use crate::{Ipa, PAGE_SIZE, Pa, Port, Space, Stage2Roots};

/// Entries in a table, of any level.
const ENTRIES: u64 = 512;
/// Pages under one entry of level 1.
const GIB: u64 = ENTRIES * ENTRIES;
/// Pages in the whole IPA space: 39 bits.
pub(super) const SPACE_PAGES: u64 = ENTRIES * GIB;
/// Above this many pages everything that is cached for the partition is invalidated at once.
const INVALIDATE_BY_PAGE: u64 = 32;

/// Says why a walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop<E> {
    /// The pool has no page for a table.
    NoTableMemory,
    /// The caller's check refused a page.
    Refused(E),
}

/// What the TLB may hold that is no longer true.
#[derive(Clone, Copy)]
enum Stale {
    Nothing,
    Pages(Ipa, u64),
    Everything,
}

/// A table that the walk has open: what points to it is brought up to date when the walk moves on.
#[derive(Clone, Copy)]
struct Open<'a> {
    /// The first page under it, in tables of its own size: its position among all tables of its level.
    number: u64,
    table: Pa,
    words: &'a [AtomicU64; ENTRIES as usize],
    /// Entries that are not zero.
    count: u64,
    /// The entry that points to it, as it was when the table was opened.
    old: Entry,
}

impl Open<'_> {
    fn get(&self, page: u64) -> Entry {
        Entry(self.words[(page % ENTRIES) as usize].load(Relaxed))
    }
}

/// Walks one translation tree; [`Walk::finish`] must end it.
#[must_use = "the tables are only complete, and the TLB is only told, by `finish`"]
pub struct Walk<'a, P: Port> {
    port: &'a P,
    root: Pa,
    /// Whose TLB entries to invalidate; `None` for a tree that no hardware walks.
    installed: Option<(Stage2Roots, Space)>,
    blocks: bool,
    /// The level-2 table that is open, and the level-3 table below it.
    middle: Option<Open<'a>>,
    last: Option<Open<'a>>,
    stale: Stale,
    freed: Option<Pa>,
}

impl<'a, P: Port> Walk<'a, P> {
    /// Starts a walk of the tree at `root`.
    pub(super) fn new(port: &'a P, root: Pa, installed: Option<(Stage2Roots, Space)>) -> Self {
        Self { port, root, installed, blocks: true, middle: None, last: None, stale: Stale::Nothing, freed: None }
    }

    /// Keeps to 4 KiB pages: for mappings whose output address does not follow the IPA modulo 2 MiB.
    pub(super) fn without_blocks(mut self) -> Self {
        self.blocks = false;
        self
    }

    /// Returns the leaf that covers `ipa`, in page form with its own output address, or zero.
    pub fn read(&self, ipa: Ipa) -> Entry {
        let page = ipa.0 / PAGE_SIZE;
        if page >= SPACE_PAGES {
            return Entry::ZERO;
        }
        let e1 = Entry(self.port.word(self.root, (page / GIB) as usize));
        if !e1.is_table() {
            return Entry::ZERO;
        }
        let e2 = Entry(self.port.word(e1.pa(), (page / ENTRIES % ENTRIES) as usize));
        if e2.is_table() {
            return Entry(self.port.word(e2.pa(), (page % ENTRIES) as usize));
        }
        if e2.is_zero() { e2 } else { e2.child(page % ENTRIES) }
    }

    /// Claims `pages` pages from `ipa`, each if `check` allows it; a page that is claimed already is refused as
    /// `twice`. On failure nothing of this range stays claimed.
    #[inline]
    pub fn claim<E>(
        &mut self,
        ipa: Ipa,
        pages: u64,
        twice: impl Fn() -> E,
        check: impl Fn(Entry, Ipa) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let outcome = self.update(ipa, pages, true, |entry, at| {
            if entry.is_claimed() {
                return Err(twice());
            }
            check(entry, at)?;
            Ok(entry.with_claimed(true))
        });
        outcome.map_err(|(done, stop)| {
            self.unclaim(ipa, done);
            stop
        })
    }

    /// Takes claims back.
    pub fn unclaim(&mut self, ipa: Ipa, pages: u64) {
        self.commit(ipa, pages, |entry, _| entry);
    }

    /// Rewrites pages that are claimed, or that are part of an open transaction; a claim ends.
    #[inline(always)]
    pub fn commit(&mut self, ipa: Ipa, pages: u64, change: impl Fn(Entry, Ipa) -> Entry) {
        let outcome: Result<(), (u64, Stop<core::convert::Infallible>)> =
            self.update(ipa, pages, false, |entry, at| Ok(change(entry.with_claimed(false), at)));
        debug_assert!(outcome.is_ok(), "a commit found a table missing that its claim should have built");
    }

    /// Makes the changes visible to every CPU, and returns empty tables to the pool.
    ///
    /// The walk is over then. (It is not taken by value: it is large, and would be copied.)
    pub fn finish(&mut self) {
        self.close_last();
        self.close_middle();
        if let Some((roots, space)) = &self.installed {
            self.port.tables_written();
            match core::mem::replace(&mut self.stale, Stale::Nothing) {
                Stale::Nothing => {}
                Stale::Pages(ipa, pages) => self.port.tlb_invalidate(roots, *space, ipa, pages),
                Stale::Everything => self.port.tlb_invalidate_all(roots),
            }
        }
        while let Some(page) = self.freed {
            let next = self.port.word(page, 0);
            self.freed = (next != 0).then_some(Pa(next));
            self.port.page_free(page);
        }
    }

    /// Passes every leaf of the range through `f`. With `grow`, missing tables are built and blocks split; without,
    /// what is missing is skipped. An error carries the number of pages done before it.
    #[inline(always)]
    fn update<E>(
        &mut self,
        ipa: Ipa,
        pages: u64,
        grow: bool,
        mut f: impl FnMut(Entry, Ipa) -> Result<Entry, E>,
    ) -> Result<(), (u64, Stop<E>)> {
        let first = ipa.0 / PAGE_SIZE;
        let end = first.saturating_add(pages).min(SPACE_PAGES);
        let mut at = first;
        while at < end {
            let stop = end.min((at | (ENTRIES - 1)) + 1);
            if !matches!(&self.last, Some(open) if open.number == at / ENTRIES)
                && let Some(whole) = self.open(at, stop, grow).map_err(|()| (at - first, Stop::NoTableMemory))?
            {
                let new = f(whole, Ipa(at * PAGE_SIZE)).map_err(|e| (at - first, Stop::Refused(e)))?;
                self.set_whole(at / ENTRIES, whole, new);
            }
            if let Some(open) = &mut self.last {
                let (changed, outcome) = run(open, at, stop, &mut f);
                if changed {
                    self.note(at, stop);
                }
                outcome.map_err(|(page, e)| (page - first, Stop::Refused(e)))?;
            }
            at = stop;
        }
        Ok(())
    }

    /// Opens the level-3 table that holds page `at`, if there is one to open. Where the range up to `to` is the whole of a
    /// level-2 entry, returns that instead, to be passed through `f`. Fails without a page for a table.
    fn open(&mut self, at: u64, to: u64, grow: bool) -> Result<Option<Entry>, ()> {
        self.close_last();
        if self.middle.is_none_or(|m| m.number != at / GIB) {
            self.close_middle();
            self.middle = self.open_middle(at, grow)?;
        }
        let Some(middle) = &self.middle else { return Ok(None) };
        let number = at / ENTRIES;
        let old = middle.get(number);
        if old.is_table() {
            let words = self.port.words(old.pa()).ok_or(())?;
            self.last = Some(Open { number, table: old.pa(), words, count: old.count(), old });
            return Ok(None);
        }
        if to - at == ENTRIES && (self.blocks || !old.is_zero()) {
            return Ok(Some(old));
        }
        if !grow {
            debug_assert!(old.is_zero(), "a commit would have to split a block");
            return Ok(None);
        }
        let (table, words) = self.allocate().ok_or(())?;
        let (mut count, mut new) = (0, old);
        if !old.is_zero() {
            for (word, i) in words.iter().zip(0..) {
                word.store(old.child(i).0, Relaxed);
            }
            (count, new) = (ENTRIES, Entry::table(table, ENTRIES));
            self.replace(number, old.is_valid(), new);
        }
        self.last = Some(Open { number, table, words, count, old: new });
        Ok(None)
    }

    /// Rewrites a level-2 entry of the open table that is no table.
    fn set_whole(&mut self, number: u64, old: Entry, new: Entry) {
        let Some(middle) = &mut self.middle else { return };
        let new = new.with_block(true);
        middle.count = middle.count + !new.is_zero() as u64 - !old.is_zero() as u64;
        middle.words[(number % ENTRIES) as usize].store(new.0, Relaxed);
        if old.stale_bits(new) != 0 {
            // One operation takes the whole block out of the TLB.
            self.note(number * ENTRIES, number * ENTRIES + 1);
        }
    }

    fn open_middle(&self, at: u64, grow: bool) -> Result<Option<Open<'a>>, ()> {
        let number = at / GIB;
        let old = Entry(self.port.word(self.root, number as usize));
        if old.is_table() {
            let words = self.port.words(old.pa()).ok_or(())?;
            return Ok(Some(Open { number, table: old.pa(), words, count: old.count(), old }));
        }
        if !grow {
            return Ok(None);
        }
        let (table, words) = self.allocate().ok_or(())?;
        Ok(Some(Open { number, table, words, count: 0, old }))
    }

    fn allocate(&self) -> Option<(Pa, &'a [AtomicU64; ENTRIES as usize])> {
        let table = self.port.page_alloc()?;
        Some((table, self.port.words(table)?))
    }

    /// Brings the level-2 entry of the open level-3 table up to date: drops a table that is empty, makes a block of
    /// one that amounts to it.
    fn close_last(&mut self) {
        let (Some(open), Some(middle)) = (self.last.take(), &mut self.middle) else { return };
        let was = !open.old.is_zero() as u64;
        middle.count = middle.count + (open.count != 0) as u64 - was;
        let word = &middle.words[(open.number % ENTRIES) as usize];
        if open.count == 0 {
            word.store(0, Relaxed);
            self.release(open.table, open.number * ENTRIES);
        } else if let Some(block) = self.uniform(&open) {
            self.replace(open.number, true, block);
            self.release(open.table, open.number * ENTRIES);
        } else {
            let new = Entry::table(open.table, open.count);
            if new != open.old {
                // A fresh table's contents must be seen before the table is.
                self.port.tables_written();
                word.store(new.0, Relaxed);
            }
        }
    }

    /// The same for the level-1 entry of the open level-2 table, which never becomes a block.
    fn close_middle(&mut self) {
        let Some(open) = self.middle.take() else { return };
        if open.count == 0 {
            self.port.set_word(self.root, open.number as usize, 0);
            self.release(open.table, open.number * GIB);
            return;
        }
        let new = Entry::table(open.table, open.count);
        if new != open.old {
            self.port.tables_written();
            self.port.set_word(self.root, open.number as usize, new.0);
        }
    }

    /// Notes pages of which the TLB may hold what is no longer true.
    #[inline(always)]
    fn note(&mut self, from: u64, to: u64) {
        let pages = to - from;
        self.stale = match self.stale {
            Stale::Nothing if pages <= INVALIDATE_BY_PAGE => Stale::Pages(Ipa(from * PAGE_SIZE), pages),
            Stale::Pages(at, n) if (at.0 / PAGE_SIZE..at.0 / PAGE_SIZE + n).contains(&from) && pages == 1 => self.stale,
            Stale::Nothing | Stale::Pages(..) | Stale::Everything => Stale::Everything,
        };
    }

    /// Exchanges block and table under the open level-2 table by break-before-make. Another CPU that runs the
    /// partition may take a stage-2 fault in between; [`super::Stage2::changes`] tells the handler that it may be none.
    fn replace(&mut self, number: u64, valid: bool, new: Entry) {
        let Some(middle) = &self.middle else { return };
        let word = &middle.words[(number % ENTRIES) as usize];
        if let (true, Some((roots, _))) = (valid, &self.installed) {
            word.store(0, Relaxed);
            self.port.tables_written();
            // By address this could take one operation for every page that the TLB made of it.
            self.port.tlb_invalidate_all(roots);
        }
        self.port.tables_written();
        word.store(new.0, Relaxed);
    }

    /// Returns the block that a full level-3 table amounts to. Only owned pages join again: what is sent or
    /// borrowed must stay divisible, as taking it back may not need memory.
    fn uniform(&self, open: &Open<'_>) -> Option<Entry> {
        let first = open.get(0);
        let plain = first.is_valid() && first.tag() == Tag::Owned && !first.is_pinned() && !first.is_claimed();
        if !self.blocks || open.count != ENTRIES || !plain || first.pa().0 % (ENTRIES * PAGE_SIZE) != 0 {
            return None;
        }
        let same = open.words.iter().zip(0..).all(|(word, i)| word.load(Relaxed) == first.child(i).0);
        same.then(|| first.with_block(true))
    }

    /// Puts a table aside until [`Walk::finish`] has told the TLB.
    fn release(&mut self, page: Pa, from: u64) {
        // The link has bit 0 clear: a walk that still comes by here sees an invalid descriptor.
        self.port.set_word(page, 0, self.freed.map_or(0, |p| p.0));
        self.freed = Some(page);
        if self.installed.is_some() {
            self.note(from, from + 1);
        }
    }

    /// Returns every table of the tree to the pool, the root too. Nothing may walk it any more.
    pub(super) fn destroy(self) {
        for i in 0..ENTRIES as usize {
            let e1 = Entry(self.port.word(self.root, i));
            if !e1.is_table() {
                continue;
            }
            for j in 0..ENTRIES as usize {
                let e2 = Entry(self.port.word(e1.pa(), j));
                if e2.is_table() {
                    self.port.page_free(e2.pa());
                }
            }
            self.port.page_free(e1.pa());
        }
        self.port.page_free(self.root);
    }
}

/// Passes pages under one open level-3 table through `f`. Returns whether the hardware can see a change of something
/// that was valid, and where `f` refused.
#[inline(always)]
fn run<E>(
    open: &mut Open<'_>,
    from: u64,
    to: u64,
    f: &mut impl FnMut(Entry, Ipa) -> Result<Entry, E>,
) -> (bool, Result<(), (u64, E)>) {
    let first = (from % ENTRIES) as usize;
    let words = open.words.get(first..first + (to - from) as usize).unwrap_or(&[]);
    let (mut changed, mut count) = (0, open.count);
    let mut outcome = Ok(());
    let mut ipa = Ipa(from * PAGE_SIZE);
    for word in words {
        let old = Entry(word.load(Relaxed));
        let new = match f(old, ipa) {
            Ok(new) => new,
            Err(e) => {
                outcome = Err((ipa.0 / PAGE_SIZE, e));
                break;
            }
        };
        count = count + !new.is_zero() as u64 - !old.is_zero() as u64;
        word.store(new.0, Relaxed);
        changed |= old.stale_bits(new);
        ipa.0 += PAGE_SIZE;
    }
    open.count = count;
    (changed != 0, outcome)
}
