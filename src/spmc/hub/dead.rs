// SPDX-License-Identifier: MIT OR Apache-2.0
//! Dead letters: messages that will not be delivered, with the reason, until somebody reads and purges them or newer
//! ones need the room.

use super::Seat;
use super::log::list;
use ffa_abi::envelope::Envelope;
pub(crate) use ffa_abi::hub::DeadReason as Reason;

/// What is kept of a dead message beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Counts dead letters from 1 on, and so names this one.
    pub(crate) number: u64,
    /// Who sent it.
    pub(crate) from: Seat,
    /// Who did not get it, or did not ack it.
    pub(crate) to: Seat,
    /// Why it is here.
    pub(crate) reason: Reason,
    /// How often it was delivered.
    pub(crate) deliveries: u8,
    /// When it died, in counter ticks.
    pub(crate) at: u64,
    /// Its envelope as it was sent.
    pub(crate) envelope: Envelope,
    /// Bytes of its payload.
    pub(crate) len: u16,
}

/// A ring of letters; number n has place n modulo the size.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    letters: &'static mut [Option<Letter>],
    words: &'static mut [u64],
    /// Words of a place.
    each: usize,
    /// Where the next one goes.
    next: usize,
    last: u64,
    evicted: u64,
}

impl Dead {
    /// Makes room for so many payloads of at most `longest` bytes, or says that there is no memory for it. Boot time.
    pub(crate) fn make_room(&mut self, count: usize, longest: usize, memory: &mut usize) -> Option<()> {
        self.each = longest.div_ceil(8);
        self.letters = list(count, memory)?;
        self.words = list(count.checked_mul(self.each)?, memory)?;
        Some(())
    }

    /// Keeps a message, its payload with zeroes behind it in its last word; the oldest one makes room for it. Sets the
    /// letter's number.
    pub(crate) fn push(&mut self, mut letter: Letter, payload: &[u64]) {
        self.last += 1;
        letter.number = self.last;
        let at = self.next;
        let Some(place) = self.letters.get_mut(at) else {
            // A ring of no places: it is lost the moment it comes.
            self.evicted += 1;
            return;
        };
        self.evicted += u64::from(place.is_some());
        *place = Some(letter);
        self.next = if at + 1 == self.letters.len() { 0 } else { at + 1 };
        let rest = self.words.get_mut(at.saturating_mul(self.each)..).unwrap_or_default();
        if let Some(to) = rest.get_mut(..payload.len()) {
            to.copy_from_slice(payload);
        }
    }

    /// Lists the letters, in no order that means anything: their numbers do.
    pub(crate) fn list(&self) -> impl Iterator<Item = &Letter> {
        self.letters.iter().flatten()
    }

    /// Returns the oldest letter from a number on.
    pub(crate) fn from(&self, number: u64) -> Option<&Letter> {
        let mut found: Option<&Letter> = None;
        for letter in self.list() {
            if letter.number >= number && found.is_none_or(|f| letter.number < f.number) {
                found = Some(letter);
            }
        }
        found
    }

    /// Returns a letter and its payload, with zeroes behind it in its last word.
    pub(crate) fn read(&self, number: u64) -> Option<(&Letter, &[u64])> {
        for (at, place) in self.letters.iter().enumerate() {
            if let Some(letter) = place
                && letter.number == number
            {
                let rest = self.words.get(at.checked_mul(self.each)?..)?;
                return Some((letter, rest.get(..usize::from(letter.len).div_ceil(8))?));
            }
        }
        None
    }

    /// Forgets a letter, or all of them. Returns how many.
    pub(crate) fn purge(&mut self, number: Option<u64>) -> u64 {
        let mut gone = 0;
        for place in self.letters.iter_mut() {
            if place.as_ref().is_some_and(|l| number.is_none_or(|n| l.number == n)) {
                *place = None;
                gone += 1;
            }
        }
        gone
    }

    /// Returns how many came, and how many of them had to make room before they were purged.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.last, self.evicted)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::VecDeque;
    use std::vec::Vec;

    use ffa_abi::envelope::Class;

    use super::*;
    use crate::sim::Random;

    fn letter(n: u64) -> Letter {
        let envelope = Envelope {
            class: Class::Dispatch,
            hops: 0,
            redelivered: false,
            time_to_live: 1,
            task: n,
            correlation: 0,
            key: n,
            ticket: 0,
        };
        let (from, to, reason) = (Seat(1), Seat(2), Reason::Expired);
        Letter { number: 0, from, to, reason, deliveries: 0, at: n, envelope, len: 0 }
    }

    #[test]
    fn random_sequences_agree_with_a_list() {
        for seed in 1..200 {
            let mut r = Random(seed * 77777);
            let size = r.below(6) as usize + 1;
            let mut dead = Dead::default();
            dead.make_room(size, 24, &mut 0).unwrap();
            let memory = size_of_val(dead.letters) + size_of_val(dead.words);
            // Places, as the ring has them: the next one is overwritten, empty or not.
            let mut places: VecDeque<Option<(u64, Vec<u8>)>> = (0..size).map(|_| None).collect();
            let (mut came, mut evicted) = (0, 0);
            for _ in 0..200 {
                match r.below(4) {
                    0 => {
                        let number = r.below(came + 2);
                        let held = places.iter_mut().find(|p| p.as_ref().is_some_and(|p| p.0 == number));
                        assert_eq!(dead.purge(Some(number)), held.is_some() as u64);
                        if let Some(p) = held {
                            *p = None;
                        }
                    }
                    1 if r.below(8) == 0 => {
                        assert_eq!(dead.purge(None), places.iter().flatten().count() as u64);
                        places.iter_mut().for_each(|p| *p = None);
                    }
                    _ => {
                        came += 1;
                        let payload: Vec<u8> = (0..r.below(25)).map(|_| r.next() as u8).collect();
                        let words: Vec<u64> = payload
                            .chunks(8)
                            .map(|c| u64::from_le_bytes(core::array::from_fn(|i| c.get(i).copied().unwrap_or(0))))
                            .collect();
                        dead.push(Letter { len: payload.len() as u16, ..letter(came) }, &words);
                        evicted += places.pop_front().unwrap().is_some() as u64;
                        places.push_back(Some((came, payload)));
                    }
                }
                assert_eq!(dead.counts(), (came, evicted));
                assert_eq!(dead.list().count(), places.iter().flatten().count());
                for (number, payload) in places.iter().flatten() {
                    let (l, words) = dead.read(*number).unwrap();
                    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                    assert_eq!((l.envelope.key, &bytes[..l.len.into()]), (*number, &payload[..]));
                    assert!(bytes[l.len.into()..].iter().all(|byte| *byte == 0));
                    assert_eq!(dead.from(*number), Some(l));
                }
            }
            assert_eq!(size_of_val(dead.letters) + size_of_val(dead.words), memory);
        }
    }
}
