// SPDX-License-Identifier: MIT OR Apache-2.0
//! Peer windows: the coordinator's leave for two to four spokes to talk, for a time and a number of messages.
//!
//! A message asks one word per ordered pair which window it belongs to, and takes one compare-and-swap on that
//! window's own word; opening and closing hold a lock. The window's word carries its generation, whether it is open,
//! and both counts, so whoever closes it knows exactly how many messages it passed, and after that none passes.

use core::num::NonZeroU32;

use arrayvec::ArrayVec;
use ffa_abi::hub::{Closed, Direction, HubError, MAX_PARTICIPANTS, WindowRecord};

use super::event::Event;
use crate::manifest::MAX_WINDOWS;
use crate::routing::{End, ROWS};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering};

/// How many summaries of closed windows are kept.
pub(crate) const SUMMARIES: usize = 32;

/// Bits of each count in a window's word.
const COUNT: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT) - 1;
const FORWARD: u64 = 1;
const BACK: u64 = 1 << COUNT;
const OPEN: u64 = 1 << (2 * COUNT);
const GENERATION: u32 = 2 * COUNT + 1;
/// Generations count modulo this, 0 left out, so that a pair's word is never 0 while it has a window.
const GENERATIONS: u64 = 1 << 23;

/// Names a window: generation and slot. What a pair's word holds, too, with [`Token::FORWARD`] in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token(NonZeroU32);

impl Token {
    /// The sender is the window's first participant.
    const FORWARD: u32 = 1 << 7;

    /// Names the window in a slot; a generation is not 0.
    fn new(slot: usize, generation: u32) -> Option<Self> {
        NonZeroU32::new(generation << 8 | slot as u32).map(Self)
    }

    #[inline(always)]
    fn slot(self) -> usize {
        (self.0.get() & 0x7f) as usize
    }

    #[inline(always)]
    fn generation(self) -> u32 {
        self.0.get() >> 8
    }

    /// Returns one message of its sender in a window's word.
    #[inline(always)]
    fn one(self) -> u64 {
        if self.0.get() & Self::FORWARD != 0 { FORWARD } else { BACK }
    }

    /// Returns the window's identifier: the same for all its pairs, and not soon that of another window.
    pub(crate) fn id(self) -> u32 {
        self.0.get() & !Self::FORWARD
    }
}

/// What messages look at of one window.
#[derive(Debug, Default)]
struct Slot {
    /// Generation, 0 before the first one, [`OPEN`], messages back, messages forward.
    word: AtomicU64,
    /// When it was opened, in counter ticks.
    opened: AtomicU64,
    /// How long it lasts, in counter ticks.
    lifetime: AtomicU64,
    /// How many messages may pass.
    limit: AtomicU32,
    first: AtomicU64,
    last: AtomicU64,
}

impl Slot {
    /// Tells whether time is up; the difference is right across a wrap of the counter.
    fn is_over(&self, now: u64) -> bool {
        now.wrapping_sub(self.opened.load(Ordering::Relaxed)) >= self.lifetime.load(Ordering::Relaxed)
    }
}

/// Says what a window is for, as the coordinator asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// What is told of it, but for what its [`Slot`] knows.
    pub(crate) record: WindowRecord,
    /// Who takes part, the first one first; as many as the record names.
    pub(crate) ends: [End; MAX_PARTICIPANTS],
}

impl Terms {
    /// Returns those who take part.
    pub(crate) fn participants(&self) -> &[End] {
        self.ends.get(..self.record.count.into()).unwrap_or_default()
    }
}

/// The most windows at a time; fewer in the models of races, whose stacks are small.
const MOST: usize = if cfg!(loom) { 2 } else { MAX_WINDOWS };

/// What only the coordinator's calls and the end of a window touch.
#[derive(Debug, Default)]
struct Table {
    open: ArrayVec<Option<Terms>, MOST>,
    /// The youngest last.
    summaries: ArrayVec<WindowRecord, SUMMARIES>,
    evicted: u32,
    /// The youngest summaries of which nobody has been told.
    untold: usize,
}

/// All windows.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    table: Mutex<Table>,
    slots: ArrayVec<Slot, MOST>,
    /// For each sender and receiver, the window between them, or 0.
    pairs: [[AtomicU32; ROWS]; ROWS],
}

/// Says why a message does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shut {
    /// The window was closed meanwhile.
    Closed,
    /// Its time is up, and nobody has closed it yet.
    Expired,
}

impl Windows {
    /// Makes room for `count` windows at a time, [`MAX_WINDOWS`] at the most. Boot time.
    pub(crate) fn make_room(&mut self, count: usize) {
        let mut table = self.table.lock();
        for _ in 0..count {
            let _ = self.slots.try_push(Slot::default());
            let _ = table.open.try_push(None);
        }
    }

    #[inline(always)]
    fn pair(&self, from: End, to: End) -> Option<&AtomicU32> {
        self.pairs.get(from.row())?.get(to.row())
    }

    /// Finds the window between two ends in this direction.
    #[inline(always)]
    pub(crate) fn find(&self, from: End, to: End) -> Option<Token> {
        let word = self.pair(from, to)?.load(Ordering::Relaxed);
        NonZeroU32::new(word).map(Token)
    }

    /// Passes one message, or says why not. The last one that may pass shuts the window; [`Self::sweep`] then writes
    /// its summary.
    #[inline(always)]
    pub(crate) fn admit(&self, token: Token, now: u64) -> Result<(), Shut> {
        let slot = self.slots.get(token.slot()).ok_or(Shut::Closed)?;
        let alive = (token.generation() as u64) << GENERATION | OPEN;
        let mut word = slot.word.load(Ordering::Acquire);
        loop {
            if word & !(OPEN - 1) != alive {
                return Err(Shut::Closed);
            }
            // Read between the two accesses to the word: had the slot been opened anew meanwhile, the second fails.
            if slot.is_over(now) {
                return Err(Shut::Expired);
            }
            let (forward, back) = counts(word);
            let last = u32::from(forward) + u32::from(back) + 1 >= slot.limit.load(Ordering::Relaxed);
            let next = word + token.one();
            if word & (OPEN - 1) == 0 {
                slot.first.store(now, Ordering::Relaxed);
            }
            slot.last.store(now, Ordering::Relaxed);
            let next = if last { next & !OPEN } else { next };
            match slot.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(current) => word = current,
            }
        }
    }

    /// Takes back a message that was admitted and could not be delivered; after the window's end it stays counted.
    pub(crate) fn refund(&self, token: Token) {
        let Some(slot) = self.slots.get(token.slot()) else { return };
        let one = token.one();
        let mut word = slot.word.load(Ordering::Acquire);
        // Its own message is in the count, so that cannot be 0 while the generation is the same.
        while (word >> GENERATION) as u32 == token.generation() {
            // If it was the last one, there is one more to come.
            match slot.word.compare_exchange(word, word.wrapping_sub(one) | OPEN, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
    }

    /// Opens a window, and notes its identifier and the time in its terms. What is over by now is closed first.
    pub(crate) fn open(&self, terms: &mut Terms, now: u64) -> Result<u32, HubError> {
        self.sweep(now);
        let table = &mut *self.table.lock();
        let (mut known, mut place) = (false, None);
        for record in &table.summaries {
            known |= record.correlation == terms.record.correlation;
        }
        for (index, entry) in table.open.iter().enumerate() {
            match entry {
                Some(other) => known |= other.record.correlation == terms.record.correlation,
                None => place = place.or(Some(index)),
            }
        }
        if known {
            return Err(HubError::CorrelationReused);
        }
        let mut taken = false;
        self.each_pair(terms, &mut |pair, _| taken |= pair.load(Ordering::Relaxed) != 0);
        if taken {
            return Err(HubError::PairHasWindow);
        }
        let index = place.ok_or(HubError::TooManyWindows)?;
        let slot = self.slots.get(index).ok_or(HubError::TooManyWindows)?;
        let entry = table.open.get_mut(index).ok_or(HubError::TooManyWindows)?;
        let generation = ((slot.word.load(Ordering::Relaxed) >> GENERATION) as u32).max(1);
        let token = Token::new(index, generation).ok_or(HubError::TooManyWindows)?;
        (terms.record.id, terms.record.opened) = (token.id(), now);
        slot.opened.store(now, Ordering::Relaxed);
        slot.lifetime.store(terms.record.lifetime, Ordering::Relaxed);
        slot.limit.store(terms.record.limit.into(), Ordering::Relaxed);
        slot.word.store((generation as u64) << GENERATION | OPEN, Ordering::Release);
        self.each_pair(terms, &mut |pair, forward| {
            pair.store(token.0.get() | if forward { Token::FORWARD } else { 0 }, Ordering::Relaxed);
        });
        *entry = Some(*terms);
        Ok(token.id())
    }

    /// Looks at the word of each ordered pair that a window connects, and whether the first participant is the sender.
    fn each_pair(&self, terms: &Terms, look: &mut dyn FnMut(&AtomicU32, bool)) {
        let all = terms.participants();
        let mut forward = true;
        for &from in all {
            for &to in all {
                if from != to
                    && let Some(pair) = self.pair(from, to)
                {
                    look(pair, forward);
                }
            }
            if terms.record.direction == Direction::FromFirst {
                return;
            }
            forward = false;
        }
    }

    /// Closes a window by its identifier.
    pub(crate) fn close(&self, id: u32, why: Closed, now: u64) -> Result<(), HubError> {
        let closed = self.end(now, &|_, terms| (terms.record.id == id).then_some(why));
        if closed { Ok(()) } else { Err(HubError::NoSuchWindow) }
    }

    /// Closes every window that `end` takes part in; `None` closes all.
    pub(crate) fn close_of(&self, end: Option<End>, why: Closed, now: u64) {
        self.end(now, &|_, terms| end.is_none_or(|e| terms.participants().contains(&e)).then_some(why));
    }

    /// Closes what is over: by its time, or by its last message.
    pub(crate) fn sweep(&self, now: u64) {
        self.end(now, &|slot, _| {
            let exhausted = slot.word.load(Ordering::Acquire) & OPEN == 0;
            if exhausted { Some(Closed::Exhausted) } else { slot.is_over(now).then_some(Closed::Expired) }
        });
    }

    /// Returns when the time of the first of the open windows is up; the end of all times where none is.
    pub(crate) fn next_end(&self) -> u64 {
        let mut first = u64::MAX;
        for Terms { record, .. } in self.table.lock().open.iter().flatten() {
            first = first.min(record.opened.saturating_add(record.lifetime));
        }
        first
    }

    /// Ends the windows for which `why` has a reason: from the exchange of its word on no message passes one, and the
    /// counts are final. Tells whether there was any.
    fn end(&self, now: u64, why: &dyn Fn(&Slot, &Terms) -> Option<Closed>) -> bool {
        let (mut any, table) = (false, &mut *self.table.lock());
        for (slot, place) in self.slots.iter().zip(&mut table.open) {
            let Some(terms) = place else { continue };
            let Some(why) = why(slot, terms) else { continue };
            any = true;
            let next = ((slot.word.load(Ordering::Relaxed) >> GENERATION) + 1) % GENERATIONS;
            let word = slot.word.swap(next << GENERATION, Ordering::AcqRel);
            self.each_pair(terms, &mut |pair, _| pair.store(0, Ordering::Relaxed));
            if table.summaries.is_full() && table.summaries.pop_at(0).is_some() {
                table.evicted = table.evicted.saturating_add(1);
            }
            // The last message closed it, whoever came to say so.
            let why = if word & OPEN == 0 { Closed::Exhausted } else { why };
            let mut record = slot.record(terms, word);
            (record.closed, record.ended) = (Some(why), now);
            // There is room now.
            let _ = table.summaries.try_push(record);
            table.untold += 1;
            *place = None;
        }
        any
    }

    /// Looks at the `n`-th of the open windows, or of the summaries, the oldest first, if there is one.
    pub(crate) fn nth(&self, mut n: usize, open: bool, look: &mut dyn FnMut(&WindowRecord)) -> Option<()> {
        let table = self.table.lock();
        if !open {
            return table.summaries.get(n).map(look);
        }
        for (slot, terms) in self.slots.iter().zip(&table.open) {
            let Some(terms) = terms else { continue };
            if n == 0 {
                look(&slot.record(terms, slot.word.load(Ordering::Acquire)));
                return Some(());
            }
            n -= 1;
        }
        None
    }

    /// Returns the `n`-th summary.
    #[cfg(test)]
    pub(crate) fn summary(&self, n: usize) -> Option<WindowRecord> {
        let mut found = None;
        self.nth(n, false, &mut |record| found = Some(*record))?;
        found
    }

    /// Tells of windows that were closed since, one at a time.
    pub(crate) fn next_untold(&self) -> Option<Event> {
        let mut table = self.table.lock();
        let at = table.summaries.len().saturating_sub(table.untold);
        table.untold = table.untold.saturating_sub(1);
        table.summaries.get(at).map(Event::of_window)
    }

    /// Counts the open windows that `end` takes part in.
    pub(crate) fn count_of(&self, end: End) -> u16 {
        let mut count = 0;
        for place in &self.table.lock().open {
            let takes_part = place.as_ref().is_some_and(|terms| terms.participants().contains(&end));
            count += u16::from(takes_part);
        }
        count
    }

    /// Forgets all summaries; says how many.
    pub(crate) fn forget(&self) -> usize {
        let mut table = self.table.lock();
        let count = table.summaries.len();
        table.summaries.clear();
        table.untold = 0;
        count
    }

    /// Returns how many can be open at a time.
    pub(crate) fn most(&self) -> usize {
        self.slots.len()
    }

    /// Counts the open windows, the summaries, and those that younger ones pushed out.
    pub(crate) fn totals(&self) -> (usize, usize, u32) {
        let table = self.table.lock();
        (table.open.iter().flatten().count(), table.summaries.len(), table.evicted)
    }
}

impl Slot {
    /// Shows a window as its word has it.
    fn record(&self, terms: &Terms, word: u64) -> WindowRecord {
        let (forward, back) = counts(word);
        let passed = |time: &AtomicU64| if forward | back != 0 { time.load(Ordering::Relaxed) } else { 0 };
        WindowRecord { forward, back, first: passed(&self.first), last: passed(&self.last), ..terms.record }
    }
}

fn counts(word: u64) -> (u16, u16) {
    ((word & COUNT_MASK) as u16, (word >> COUNT & COUNT_MASK) as u16)
}

#[cfg(all(test, loom))]
mod loom_tests {
    use ffa_abi::Uuid;
    use ffa_abi::hub::OpenWindow;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    fn terms(limit: u16, correlation: u64) -> Terms {
        let ends = core::array::from_fn(End::partition);
        let asked = OpenWindow {
            count: 2,
            participants: Default::default(),
            direction: Direction::Both,
            correlation,
            purpose: Uuid::NIL,
            lifetime_ms: 1,
            limit,
        };
        Terms { record: WindowRecord::of(&asked, 1000), ends }
    }

    /// A message races the coordinator, who closes the window: the summary counts it if and only if it passed.
    #[test]
    fn loom_what_passes_is_in_the_summary() {
        loom::model(|| {
            let mut windows = Windows::default();
            windows.make_room(1);
            let windows = Arc::new(windows);
            let id = windows.open(&mut terms(2, 1), 0).unwrap();
            let token = windows.find(End::partition(0), End::partition(1)).unwrap();
            let sender = {
                let windows = windows.clone();
                thread::spawn(move || windows.admit(token, 1).is_ok())
            };
            windows.close(id, Closed::ByCoordinator, 2).unwrap();
            let summary = windows.summary(0).unwrap();
            let passed = sender.join().unwrap();
            assert_eq!(summary.forward, u16::from(passed));
            assert!(windows.admit(token, 3).is_err());
        });
    }

    /// Two messages race for the last place of a window, whose slot is used again at once.
    #[test]
    fn loom_the_last_place_is_taken_once() {
        loom::model(|| {
            let mut windows = Windows::default();
            windows.make_room(1);
            let windows = Arc::new(windows);
            windows.open(&mut terms(1, 1), 0).unwrap();
            let token = windows.find(End::partition(0), End::partition(1)).unwrap();
            let sender = {
                let windows = windows.clone();
                thread::spawn(move || windows.admit(token, 1).is_ok())
            };
            let mine = windows.admit(token, 1).is_ok();
            let theirs = sender.join().unwrap();
            assert!(mine != theirs);
            windows.open(&mut terms(1, 2), 2).unwrap();
            assert!(windows.admit(token, 3).is_err(), "an old token opens nothing");
        });
    }
}
