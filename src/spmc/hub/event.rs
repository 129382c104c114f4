// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ring of recent refusals, faults and other events: what the live inspector shows.

use arrayvec::ArrayVec;
use ffa_abi::PartitionId;
use ffa_abi::hub::{EventKind, EventRecord, WindowRecord};
use ffa_abi::lines::Line;
use ffa_abi::packed;

/// How many events are kept.
pub(crate) const EVENTS: usize = 64;

/// Names nobody.
pub(crate) const NOBODY: PartitionId = PartitionId(0xffff);

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) time: u64,
    pub(crate) kind: EventKind,
    /// Whom it is about.
    pub(crate) who: PartitionId,
    pub(crate) other: PartitionId,
    /// The call that was refused, or a number that belongs to the kind.
    pub(crate) detail: u32,
    /// The FF-A status code of a refusal, else 0.
    pub(crate) status: i32,
    pub(crate) text: Line,
}

impl Event {
    /// Makes an event about a window, of which it names the first two participants: it was opened or closed.
    pub(crate) fn of_window(record: &WindowRecord) -> Self {
        let [who, other, ..] = record.participants;
        let (time, kind, text) = match record.closed {
            None => (record.opened, EventKind::WindowOpened, packed!("")),
            Some(why) => (record.ended, EventKind::WindowClosed, why.text()),
        };
        Self { time, kind, who, other, detail: record.id, status: 0, text }
    }

    fn is_like(&self, other: &Self) -> bool {
        // The number of a dead letter is that of the youngest.
        (self.detail == other.detail || self.kind == EventKind::DeadLetter)
            && (self.kind, self.who, self.other, self.status) == (other.kind, other.who, other.other, other.status)
            && self.text == other.text
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sequence: u64,
    repeats: u16,
    event: Event,
}

/// The ring.
#[derive(Debug)]
pub(crate) struct Events {
    /// Grows until it is full.
    ring: ArrayVec<Entry, EVENTS>,
    /// Where the youngest is.
    youngest: usize,
    /// The sequence number of the next event.
    next: u64,
}

impl Default for Events {
    fn default() -> Self {
        Self { ring: ArrayVec::new(), youngest: EVENTS - 1, next: 1 }
    }
}

impl Events {
    /// Adds an event; one that is like the youngest takes its place and is counted, so that a loop does not push
    /// everything else out.
    pub(crate) fn push(&mut self, event: Event) {
        let mut entry = Entry { sequence: self.next, repeats: 0, event };
        self.next = self.next.wrapping_add(1);
        if let Some(youngest) = self.ring.get(self.youngest)
            && youngest.event.is_like(&event)
        {
            entry.repeats = youngest.repeats.saturating_add(1);
        } else {
            // A new place, or that of the oldest.
            self.youngest = (self.youngest + 1) % EVENTS;
        }
        match self.ring.get_mut(self.youngest) {
            Some(place) => *place = entry,
            None => _ = self.ring.try_push(entry),
        }
    }

    /// Returns the sequence number that the next event will have.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Shows the first event from a sequence number on, and its text.
    pub(crate) fn from(&self, sequence: u64) -> Option<(EventRecord, Line)> {
        let mut first: Option<&Entry> = None;
        for entry in &self.ring {
            if entry.sequence >= sequence && first.is_none_or(|f| entry.sequence < f.sequence) {
                first = Some(entry);
            }
        }
        let entry = first?;
        let e = &entry.event;
        let record = EventRecord {
            sequence: entry.sequence,
            time: e.time,
            kind: e.kind,
            who: e.who,
            other: e.other,
            detail: e.detail,
            status: e.status,
            repeats: entry.repeats,
            text: [0; 64],
        };
        Some((record, e.text))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn event(who: u16, time: u64) -> Event {
        let (who, other) = (PartitionId(who), NOBODY);
        Event { time, kind: EventKind::Refusal, who, other, detail: 0x8400_006f, status: -6, text: packed!("why") }
    }

    #[test]
    fn a_loop_of_one_kind_pushes_nothing_out_and_is_counted() {
        let mut events = Events::default();
        events.push(event(1, 5));
        (0..1000).for_each(|n| events.push(event(2, 10 + n)));
        let (first, _) = events.from(0).unwrap();
        assert_eq!((first.sequence, first.who, first.repeats), (1, PartitionId(1), 0));
        let (second, why) = events.from(2).unwrap();
        assert_eq!(why, "why");
        assert_eq!((second.sequence, second.who, second.repeats, second.time), (1001, PartitionId(2), 999, 1009));
        assert_eq!(events.from(1002), None);
        assert_eq!(events.next(), 1002);
    }

    #[test]
    fn the_oldest_goes_first_and_order_is_kept() {
        let mut events = Events::default();
        (0..EVENTS as u16 + 10).for_each(|n| events.push(event(n, n.into())));
        let mut at = 0;
        let mut seen = alloc::vec::Vec::new();
        while let Some((e, _)) = events.from(at) {
            seen.push(e.who.0);
            at = e.sequence + 1;
        }
        assert!(seen.iter().copied().eq(10..EVENTS as u16 + 10), "{seen:?}");
        assert_eq!(events.from(21).unwrap().0.who, PartitionId(20));
    }
}
