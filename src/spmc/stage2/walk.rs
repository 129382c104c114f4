// SPDX-License-Identifier: MIT OR Apache-2.0
//! The walk: every change of a translation table, in runs of pages that share a level-3 table.
//!
//! A change has two steps. [`Walk::claim`] checks every page, sets its claim bit and builds whatever tables will be
//! needed; it may fail, and then takes back all that it did. [`Walk::commit`] rewrites claimed pages; it allocates
//! nothing and cannot fail. The claim bit also shows a range that names a page twice.
//!
//! Tables that become empty are returned to the pool, after the TLB has forgotten them.

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

/// Walks one translation tree; [`Walk::finish`] must end it.
#[must_use = "the TLB is only told by `finish`"]
pub struct Walk<'a, P: Port> {
    port: &'a P,
    root: Pa,
    /// Whose TLB entries to invalidate; `None` for a tree that no hardware walks.
    installed: Option<(Stage2Roots, Space)>,
    blocks: bool,
    stale: Stale,
    freed: Option<Pa>,
}

impl<'a, P: Port> Walk<'a, P> {
    /// Starts a walk of the tree at `root`.
    pub(super) fn new(port: &'a P, root: Pa, installed: Option<(Stage2Roots, Space)>) -> Self {
        Self { port, root, installed, blocks: true, stale: Stale::Nothing, freed: None }
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

    /// Rewrites claimed pages; the claim ends.
    #[inline]
    pub fn commit(&mut self, ipa: Ipa, pages: u64, change: impl Fn(Entry, Ipa) -> Entry) {
        let outcome: Result<(), (u64, Stop<core::convert::Infallible>)> =
            self.update(ipa, pages, false, |entry, at| Ok(change(entry.with_claimed(false), at)));
        debug_assert!(outcome.is_ok(), "a commit found a table missing that its claim should have built");
    }

    /// Makes the changes visible to every CPU, and returns empty tables to the pool.
    pub fn finish(mut self) {
        if let Some((roots, space)) = &self.installed {
            self.port.tables_written();
            match self.stale {
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
            let stop = end.min((at | (GIB - 1)) + 1);
            self.update_gib(at, stop, grow, &mut f).map_err(|(page, stop)| (page - first, stop))?;
            at = stop;
        }
        Ok(())
    }

    #[inline(always)]
    fn update_gib<E>(
        &mut self,
        from: u64,
        to: u64,
        grow: bool,
        f: &mut impl FnMut(Entry, Ipa) -> Result<Entry, E>,
    ) -> Result<(), (u64, Stop<E>)> {
        let slot = (from / GIB) as usize;
        let old = Entry(self.port.word(self.root, slot));
        let (table, mut count) = if old.is_table() {
            (old.pa(), old.count())
        } else if grow {
            (self.port.page_alloc().ok_or((from, Stop::NoTableMemory))?, 0)
        } else {
            return Ok(());
        };
        let mut outcome = Ok(());
        let mut at = from;
        while at < to && outcome.is_ok() {
            let stop = to.min((at | (ENTRIES - 1)) + 1);
            outcome = self.update_run(table, &mut count, at, stop, grow, f);
            at = stop;
        }
        if count == 0 {
            self.port.set_word(self.root, slot, 0);
            self.release(table, from);
        } else {
            let new = Entry::table(table, count);
            if new != old {
                // A fresh table's contents must be seen before the table is.
                self.port.tables_written();
                self.port.set_word(self.root, slot, new.0);
            }
        }
        outcome
    }

    /// Updates pages under one entry of level 2.
    #[inline(always)]
    fn update_run<E>(
        &mut self,
        table: Pa,
        count: &mut u64,
        from: u64,
        to: u64,
        grow: bool,
        f: &mut impl FnMut(Entry, Ipa) -> Result<Entry, E>,
    ) -> Result<(), (u64, Stop<E>)> {
        let slot = (from / ENTRIES % ENTRIES) as usize;
        let old = Entry(self.port.word(table, slot));
        if to - from == ENTRIES && !old.is_table() && (self.blocks || !old.is_zero()) {
            let ipa = Ipa(from * PAGE_SIZE);
            let new = f(old, ipa).map_err(|e| (from, Stop::Refused(e)))?.with_block(true);
            self.store(table, slot, old, new, ipa);
            *count = *count + !new.is_zero() as u64 - !old.is_zero() as u64;
            return Ok(());
        }
        let (pages, mut live) = if old.is_table() {
            (old.pa(), old.count())
        } else if grow {
            let pages = self.port.page_alloc().ok_or((from, Stop::NoTableMemory))?;
            if old.is_zero() { (pages, 0) } else { (self.split(table, slot, old, pages), ENTRIES) }
        } else {
            debug_assert!(old.is_zero(), "a commit would have to split a block");
            return Ok(());
        };
        let mut outcome = Ok(());
        for page in from..to {
            let index = (page % ENTRIES) as usize;
            let (entry, ipa) = (Entry(self.port.word(pages, index)), Ipa(page * PAGE_SIZE));
            match f(entry, ipa) {
                Ok(new) => {
                    live = live + !new.is_zero() as u64 - !entry.is_zero() as u64;
                    self.store(pages, index, entry, new, ipa);
                }
                Err(e) => {
                    outcome = Err((page, Stop::Refused(e)));
                    break;
                }
            }
        }
        self.settle(table, slot, pages, live, from);
        *count = *count + (live != 0) as u64 - !old.is_zero() as u64;
        outcome
    }

    /// Writes a leaf and notes what the TLB may still hold of the old one.
    #[inline(always)]
    fn store(&mut self, table: Pa, slot: usize, old: Entry, new: Entry, ipa: Ipa) {
        if new == old {
            return;
        }
        self.port.set_word(table, slot, new.0);
        if old.is_valid() && new.differs_to_hardware(old) {
            self.note(ipa);
        }
    }

    fn note(&mut self, ipa: Ipa) {
        self.stale = match self.stale {
            Stale::Nothing => Stale::Pages(ipa, 1),
            Stale::Pages(at, n) if n < INVALIDATE_BY_PAGE && at.0 + n * PAGE_SIZE == ipa.0 => Stale::Pages(at, n + 1),
            Stale::Pages(at, n) if ipa.0 >= at.0 && ipa.0 < at.0 + n * PAGE_SIZE => self.stale,
            Stale::Pages(..) | Stale::Everything => Stale::Everything,
        };
    }

    /// Hangs the level-3 table back under its level-2 entry: drops it if it is empty, makes it a block if it has
    /// become one.
    #[inline]
    fn settle(&mut self, table: Pa, slot: usize, pages: Pa, live: u64, from: u64) {
        if live == 0 {
            self.port.set_word(table, slot, 0);
            self.release(pages, from);
        } else if live == ENTRIES
            && let Some(block) = self.uniform(pages)
        {
            self.replace(table, slot, block);
            self.release(pages, from);
        } else {
            let new = Entry::table(pages, live).0;
            if self.port.word(table, slot) != new {
                self.port.tables_written();
                self.port.set_word(table, slot, new);
            }
        }
    }

    /// Fills `pages` with what `old` maps, and replaces the block by it.
    fn split(&mut self, table: Pa, slot: usize, old: Entry, pages: Pa) -> Pa {
        for i in 0..ENTRIES {
            self.port.set_word(pages, i as usize, old.child(i).0);
        }
        let new = Entry::table(pages, ENTRIES);
        if old.is_valid() {
            self.replace(table, slot, new);
        } else {
            self.port.tables_written();
            self.port.set_word(table, slot, new.0);
        }
        pages
    }

    /// Exchanges block and table by break-before-make. Another CPU that runs the partition may take a stage-2
    /// fault in between; [`super::Stage2::allows`] tells the handler that it was none.
    fn replace(&mut self, table: Pa, slot: usize, new: Entry) {
        if let Some((roots, _)) = &self.installed {
            self.port.set_word(table, slot, 0);
            self.port.tables_written();
            // By address this could take one operation for every page that the TLB made of it.
            self.port.tlb_invalidate_all(roots);
        }
        self.port.set_word(table, slot, new.0);
    }

    /// Returns the block that a full level-3 table amounts to. Only owned pages join again: what is sent or
    /// borrowed must stay divisible, as taking it back may not need memory.
    fn uniform(&self, pages: Pa) -> Option<Entry> {
        let first = Entry(self.port.word(pages, 0));
        let plain =
            first.is_valid() && first.tag() as u8 == Tag::Owned as u8 && !first.is_pinned() && !first.is_claimed();
        if !self.blocks || !plain || first.pa().0 % (ENTRIES * PAGE_SIZE) != 0 {
            return None;
        }
        let same = (1..ENTRIES).all(|i| self.port.word(pages, i as usize) == first.child(i).0);
        same.then(|| first.with_block(true))
    }

    /// Puts a table aside until [`Walk::finish`] has told the TLB.
    fn release(&mut self, page: Pa, from: u64) {
        // The link has bit 0 clear: a walk that still comes by here sees an invalid descriptor.
        self.port.set_word(page, 0, self.freed.map_or(0, |p| p.0));
        self.freed = Some(page);
        if self.installed.is_some() {
            self.note(Ipa(from * PAGE_SIZE));
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
