// SPDX-License-Identifier: MIT OR Apache-2.0
//! The places of a receiver's queue: a ring of records that leave in the order in which they came, and when its
//! senders are asked to slow down and to go on.

use super::Seat;

/// The ring. A message keeps its place, which is also its record's in the log, until it leaves at the head; so the
/// order of each sender's messages is kept, and no step looks at more than one place.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    head: u16,
    len: u16,
    slots: u16,
    /// From this many on, senders are asked to slow down.
    high: u16,
    /// At this many, those that were asked are told to go on.
    low: u16,
    /// Senders that were asked and not yet told: bit n is seat n.
    asked: u32,
    /// The most there ever were.
    peak: u16,
}

impl Queue {
    /// Makes an empty ring. The watermarks are percentages.
    pub(crate) fn new(slots: u16, high: u8, low: u8) -> Self {
        let share = |percent: u8| (u32::from(slots) * u32::from(percent) / 100) as u16;
        let high = share(high).max(1);
        Self { head: 0, len: 0, slots, high, low: share(low).min(high - 1), asked: 0, peak: 0 }
    }

    /// Returns how many messages are in it.
    #[inline]
    pub(crate) fn len(&self) -> u16 {
        self.len
    }

    /// Returns how many there is room for.
    pub(crate) fn slots(&self) -> u16 {
        self.slots
    }

    /// Returns the most that ever were in it.
    pub(crate) fn peak(&self) -> u16 {
        self.peak
    }

    /// Returns the senders that were asked to slow down: bit n is seat n.
    pub(crate) fn asked(&self) -> u32 {
        self.asked
    }

    /// Returns the place of the next message, if a sender that has `held` messages in the ring may use it: the last
    /// eighth of a ring of four or more is for those that hold less than half of it.
    #[inline]
    pub(crate) fn tail(&self, held: u16) -> Option<usize> {
        let kept = if self.slots >= 4 && held >= self.slots / 2 { (self.slots / 8).max(1) } else { 0 };
        (self.len + kept < self.slots).then(|| self.place(self.len))
    }

    /// Takes the place that [`Self::tail`] returned. Tells whether `from` is to be asked to slow down.
    #[inline]
    pub(crate) fn push(&mut self, from: Seat) -> bool {
        self.len = (self.len + 1).min(self.slots);
        self.peak = self.peak.max(self.len);
        let ask = self.len >= self.high && self.asked & from.bit() == 0;
        if ask {
            self.asked |= from.bit();
        }
        ask
    }

    /// Returns the place of the message that leaves next.
    #[inline]
    pub(crate) fn head(&self) -> Option<usize> {
        (self.len > 0).then(|| self.place(0))
    }

    /// Lets the head leave. Returns the senders that are to be told to go on.
    pub(crate) fn pop(&mut self) -> u32 {
        if self.len == 0 {
            return 0;
        }
        self.head = self.place(1) as u16;
        self.len -= 1;
        if self.len <= self.low { core::mem::take(&mut self.asked) } else { 0 }
    }

    /// Lists the places in use, in order.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let (head, slots) = (self.head, self.slots);
        (0..self.len).map(move |n| place(head, n, slots))
    }

    #[inline]
    fn place(&self, n: u16) -> usize {
        place(self.head, n, self.slots)
    }
}

/// The place of the n-th message, without a division: both are below twice the number of slots.
fn place(head: u16, n: u16, slots: u16) -> usize {
    let at = usize::from(head) + usize::from(n);
    let slots = usize::from(slots);
    if at >= slots { at - slots } else { at }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::sim::Random;

    #[test]
    fn random_sequences_agree_with_a_list() {
        for seed in 1..400 {
            let mut r = Random(seed * 0x9e37_79b9);
            let slots = r.below(12) as u16 + 1;
            let mut queue = Queue::new(slots, 80, 30);
            let (mut list, mut next): (VecDeque<(usize, u8)>, _) = (VecDeque::new(), 0);
            let mut asked = [false; 3];
            let (high, low) = ((slots as usize * 80 / 100).max(1), slots as usize * 30 / 100);
            for _ in 0..500 {
                if r.below(2) == 0 {
                    let from = r.below(3) as u8;
                    let held = list.iter().filter(|m| m.1 == from).count();
                    let kept = if slots >= 4 && held >= slots as usize / 2 { (slots as usize / 8).max(1) } else { 0 };
                    let place = queue.tail(held as u16);
                    assert_eq!(place.is_some(), list.len() + kept < slots as usize);
                    let Some(place) = place else { continue };
                    assert_eq!(place, next, "places are taken round and round");
                    next = (next + 1) % slots as usize;
                    list.push_back((place, from));
                    let expected = list.len() >= high && !asked[from as usize];
                    assert_eq!(queue.push(Seat(from)), expected);
                    asked[from as usize] |= expected;
                } else {
                    assert_eq!(queue.head(), list.front().map(|m| m.0));
                    let was = list.pop_front();
                    let told = queue.pop();
                    let expected = if was.is_some() && list.len() <= low.min(high - 1) { asked } else { [false; 3] };
                    for (n, e) in expected.iter().enumerate() {
                        assert_eq!(told >> n & 1 != 0, *e);
                        asked[n] &= !e;
                    }
                }
                assert_eq!(queue.len() as usize, list.len());
                assert!(queue.places().eq(list.iter().map(|m| m.0)));
            }
        }
    }

    #[test]
    fn a_sender_is_asked_once_and_told_once() {
        let mut queue = Queue::new(10, 80, 30);
        let mut asked = 0;
        for held in 0..9 {
            queue.tail(held).unwrap();
            asked += queue.push(Seat(1)) as u32;
        }
        assert_eq!(asked, 1);
        assert_eq!(queue.tail(9), None, "the last place is not for the one that has the others");
        assert!(queue.tail(0).is_some());
        let told: u32 = (0..9).map(|_| (queue.pop() == Seat(1).bit()) as u32).sum();
        assert_eq!(told, 1);
    }
}
