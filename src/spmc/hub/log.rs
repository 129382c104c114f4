// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log of a receiver: each message that was accepted for it, with a checksum, until it is acked or dead. In
//! Secure memory of the SPMC: it survives the receiver's restart, not power-off.

use alloc::vec::Vec;

use ffa_abi::envelope::Envelope;

use super::Seat;

/// Words in front of a payload, as its receiver gets them: the message header of v1.2 and the envelope.
pub(crate) const FRONT: usize = 13;

/// Says where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was not delivered, or its receiver started again since.
    Waiting,
    /// It was delivered and not acked.
    Delivered,
    /// Its task was cancelled.
    Cancelled,
}

/// What is kept of a message beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// Who sent it.
    pub(crate) from: Seat,
    /// Its envelope as it was sent.
    pub(crate) envelope: Envelope,
    /// What names it between the SPMC and its receiver.
    pub(crate) ticket: u64,
    /// When its time is over, in counter ticks.
    pub(crate) deadline: u64,
    /// Bytes of its payload.
    pub(crate) len: u16,
    /// Where it stands.
    pub(crate) standing: Standing,
    /// How often it was delivered.
    pub(crate) deliveries: u8,
    /// When it may be delivered (again), in counter ticks.
    pub(crate) due: u64,
    /// Of everything above that does not change, and of the bytes.
    sum: u64,
}

/// The records of one receiver, one for each place of its queue.
#[derive(Debug, Default)]
pub(crate) struct Log {
    records: &'static mut [Option<Record>],
    words: &'static mut [u64],
    /// Words of a place.
    each: usize,
    /// The most bytes of a payload.
    payload: usize,
    /// The last ticket that was given.
    tickets: u64,
}

impl Log {
    /// Makes room for so many messages of at most `payload` bytes, or says that there is no memory for it. Boot time.
    pub(crate) fn make_room(&mut self, slots: usize, payload: usize, memory: &mut usize) -> Option<()> {
        (self.each, self.payload) = (payload.div_ceil(8).checked_add(FRONT)?, payload);
        self.records = list(slots, memory)?;
        self.words = list(slots.checked_mul(self.each)?, memory)?;
        Some(())
    }

    /// Returns the most bytes of a payload.
    #[inline]
    pub(crate) fn payload(&self) -> usize {
        self.payload
    }

    /// Shows the words of a place: [`FRONT`], then a payload of `len` bytes, zeroes behind it in its last word. `None`
    /// if a payload cannot be so long.
    #[inline]
    pub(crate) fn words(&self, at: usize, len: usize) -> Option<&[u64]> {
        let (from, to) = self.range(at, len)?;
        self.words.get(from..to)
    }

    /// Shows the words of a place, to be filled.
    #[inline]
    pub(crate) fn words_mut(&mut self, at: usize, len: usize) -> Option<&mut [u64]> {
        let (from, to) = self.range(at, len)?;
        self.words.get_mut(from..to)
    }

    #[inline]
    fn range(&self, at: usize, len: usize) -> Option<(usize, usize)> {
        let from = at.checked_mul(self.each)?;
        let words = FRONT + if len <= self.payload { len.div_ceil(8) } else { return None };
        Some((from, from.checked_add(words)?))
    }

    /// Writes the record of a message whose bytes are in place. Returns its ticket.
    #[inline]
    pub(crate) fn write(&mut self, at: usize, from: Seat, envelope: &Envelope, len: usize, deadline: u64) -> u64 {
        self.tickets += 1;
        let Some(place) = self.records.get_mut(at) else { return self.tickets };
        *place = Some(Record {
            from,
            envelope: *envelope,
            ticket: self.tickets,
            deadline,
            len: len as u16,
            standing: Standing::Waiting,
            deliveries: 0,
            due: 0,
            sum: 0,
        });
        let sum = self.record(at).map_or(0, |record| self.sum(at, record));
        if let Some(record) = self.record_mut(at) {
            record.sum = sum;
        }
        self.tickets
    }

    /// Shows a record.
    #[inline]
    pub(crate) fn record(&self, at: usize) -> Option<&Record> {
        self.records.get(at)?.as_ref()
    }

    /// Shows a record, to be changed.
    #[inline]
    pub(crate) fn record_mut(&mut self, at: usize) -> Option<&mut Record> {
        self.records.get_mut(at)?.as_mut()
    }

    /// Forgets a record. Returns who sent the message.
    pub(crate) fn take(&mut self, at: usize) -> Option<Seat> {
        let place = self.records.get_mut(at)?;
        let from = place.as_ref()?.from;
        *place = None;
        Some(from)
    }

    /// Cancels the messages of a task. Returns how many there were that had not been cancelled before.
    pub(crate) fn cancel(&mut self, task: u64) -> u64 {
        let mut count = 0;
        for record in self.records.iter_mut().flatten() {
            if record.envelope.task == task && record.standing != Standing::Cancelled {
                record.standing = Standing::Cancelled;
                count += 1;
            }
        }
        count
    }

    /// Shows a record if it and its bytes are as they were written.
    #[inline]
    pub(crate) fn intact(&self, at: usize) -> Option<&Record> {
        self.record(at).filter(|r| r.sum == self.sum(at, r))
    }

    /// Mixes what does not change into 64 bits: against memory that went bad, not against an adversary.
    #[inline(never)]
    fn sum(&self, at: usize, r: &Record) -> u64 {
        let e = &r.envelope;
        // One by one, not in a loop: this is done at each delivery.
        let mut sum = Sum(0xcbf2_9ce4_8422_2325);
        let kind = u32::from_le_bytes([r.from.0, e.class as u8, e.hops, 0]);
        sum.add(u64::from(e.time_to_live) << 32 | u64::from(kind));
        // Tickets are counted: none is so large.
        sum.add(r.ticket ^ u64::from(r.len) << 48);
        sum.add(r.deadline);
        sum.add(e.task);
        sum.add(e.correlation);
        sum.add(e.key);
        let words = self.words(at, r.len.into()).and_then(|words| words.split_first_chunk::<FRONT>());
        if let Some(([_, _, _, u0, u1, ..], payload)) = words {
            // The rest of the front is written on delivery.
            sum.add(*u0);
            sum.add(*u1);
            for word in payload {
                sum.add(*word);
            }
        }
        sum.0
    }
}

struct Sum(u64);

impl Sum {
    #[inline(always)]
    fn add(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// The idempotency keys of what a sender sent to a receiver lately: the oldest is forgotten first. Key 0 is none.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    keys: &'static mut [u64],
    next: usize,
}

impl Keys {
    /// Makes room for so many keys, or says that there is no memory for it. Boot time.
    pub(crate) fn make_room(&mut self, count: usize, memory: &mut usize) -> Option<()> {
        self.keys = list(count, memory)?;
        Some(())
    }

    /// Tells whether a key is among them.
    #[expect(clippy::manual_contains, reason = "`contains` of a slice takes a third more instructions")]
    #[inline]
    pub(crate) fn has(&self, key: u64) -> bool {
        key != 0 && self.keys.iter().any(|k| *k == key)
    }

    /// Adds a key.
    #[inline]
    pub(crate) fn add(&mut self, key: u64) {
        if key == 0 {
            return;
        }
        if let Some(place) = self.keys.get_mut(self.next) {
            *place = key;
        }
        self.next = if self.next + 1 >= self.keys.len() { 0 } else { self.next + 1 };
    }

    /// Forgets a key: its message died, and may be sent again.
    pub(crate) fn forget(&mut self, key: u64) {
        if let Some(place) = self.keys.iter_mut().find(|k| **k == key) {
            *place = 0;
        }
    }
}

/// Makes a list of so many default values, or says that there is no memory for it; `memory` counts the bytes. Boot
/// time: it stays for ever, and no list here ever grows.
pub(super) fn list<T: Default>(len: usize, memory: &mut usize) -> Option<&'static mut [T]> {
    let mut list = Vec::new();
    let _ = list.try_reserve_exact(len);
    while list.len() < len && list.len() < list.capacity() {
        list.push(T::default());
    }
    let list = list.leak();
    *memory += size_of_val(list);
    (list.len() == len).then_some(list)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::VecDeque;

    use ffa_abi::envelope::Class;

    use super::*;
    use crate::sim::Random;

    /// Where in the front the UUID is that the header names.
    const UUID: core::ops::Range<usize> = 3..5;

    fn envelope(key: u64) -> Envelope {
        Envelope {
            class: Class::Dispatch,
            hops: 1,
            redelivered: false,
            time_to_live: 9,
            task: 2,
            correlation: 3,
            key,
            ticket: 0,
        }
    }

    #[test]
    fn a_record_knows_each_change_of_its_bytes_and_fields() {
        let mut log = Log::default();
        log.make_room(3, 40, &mut 0).unwrap();
        for len in [0, 1, 8, 13, 40] {
            let (front, payload) = log.words_mut(1, len).unwrap().split_first_chunk_mut::<FRONT>().unwrap();
            *front = core::array::from_fn(|n| n as u64);
            for (n, word) in payload.iter_mut().enumerate() {
                *word = 0x100 + n as u64;
            }
            log.write(1, Seat(4), &envelope(7), len, 100);
            assert!(log.intact(1).is_some());
            for n in 0..FRONT + len.div_ceil(8) {
                let flip = |log: &mut Log| {
                    let (front, payload) = log.words_mut(1, len).unwrap().split_first_chunk_mut::<FRONT>().unwrap();
                    *front.iter_mut().chain(payload).nth(n).unwrap() ^= 1 << 33;
                };
                flip(&mut log);
                assert_eq!(log.intact(1).is_some(), n < FRONT && !UUID.contains(&n), "word {n}");
                flip(&mut log);
            }
            let good = *log.record(1).unwrap();
            let changes: [fn(&mut Record); 8] = [
                |r| r.from.0 ^= 1,
                |r| r.ticket ^= 1,
                |r| r.deadline ^= 1 << 40,
                |r| r.envelope.task ^= 1,
                |r| r.envelope.key ^= 1,
                |r| r.envelope.correlation ^= 1,
                |r| r.envelope.time_to_live ^= 1,
                |r| r.envelope.hops ^= 1,
            ];
            for change in changes {
                change(log.record_mut(1).unwrap());
                assert!(log.intact(1).is_none());
                *log.record_mut(1).unwrap() = good;
            }
            let r = log.record_mut(1).unwrap();
            (r.standing, r.deliveries, r.due) = (Standing::Delivered, 3, 9);
            assert!(log.intact(1).is_some(), "what changes is not in it");
        }
        assert_eq!(log.words(1, 41), None);
        assert_eq!(log.words(3, 1), None);
        assert!(log.intact(0).is_none() && log.intact(9).is_none());
    }

    #[test]
    fn keys_are_the_latest_of_a_list() {
        let mut r = Random(99);
        const WINDOW: usize = 16;
        let (mut keys, mut list) = (Keys::default(), VecDeque::new());
        keys.make_room(WINDOW, &mut 0).unwrap();
        for _ in 0..5000 {
            let key = r.below(40);
            assert_eq!(keys.has(key), key != 0 && list.contains(&key));
            if r.below(10) == 0 {
                keys.forget(key);
                list.iter_mut().filter(|k| **k == key && key != 0).take(1).for_each(|k| *k = 0);
            } else if key != 0 && !keys.has(key) {
                keys.add(key);
                list.push_back(key);
                if list.len() > WINDOW {
                    list.pop_front();
                }
            }
        }
    }
}
