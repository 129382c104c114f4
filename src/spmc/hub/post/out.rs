// SPDX-License-Identifier: MIT OR Apache-2.0
//! How messages leave their queues: handed out, acked, or dead.

use ffa_abi::envelope::{self, Class, Envelope};

use super::{Parcel, Post, Spoke};
use crate::hub::Seat;
use crate::hub::breaker::Strike;
use crate::hub::dead::{Letter, Reason};
use crate::hub::log::{FRONT, Standing};
use crate::refusal::Refusal;

/// Most dead heads that one question clears away; the next question goes on.
const MOST_AT_ONCE: usize = 4;

enum Verdict {
    Deliver,
    Wait,
    Dead(Reason),
}

impl Post {
    /// Tells what one seat may be handed now: at most one message, which counts as delivered.
    ///
    /// Where its receiver's RX buffer is not `free`, what died at the head of its queue is cleared away; and if the
    /// receiver was handed the head and has not acked it in time, that counts as another delivery, and the receiver is
    /// to be told again: so one that sits on its buffer is found out as one that gives it back.
    pub(crate) fn hand_out(&mut self, to: Seat, free: bool, now: u64) -> Option<Parcel> {
        if free && let Some(parcel) = self.control(to) {
            return Some(parcel);
        }
        for _ in 0..MOST_AT_ONCE {
            let place = self.spoke(to)?.inbox.queue.head()?;
            match self.verdict(to, place, free, now) {
                Verdict::Dead(reason) => self.bury(to, reason, now),
                Verdict::Wait => return None,
                Verdict::Deliver => return self.deliver(to, place, now),
            }
        }
        None
    }

    #[inline]
    fn verdict(&mut self, to: Seat, place: usize, free: bool, now: u64) -> Verdict {
        let Some(spoke) = self.spoke(to) else { return Verdict::Wait };
        let Some(record) = spoke.inbox.log.record(place) else {
            return Verdict::Dead(Reason::Corrupt);
        };
        if record.standing == Standing::Cancelled {
            return Verdict::Dead(Reason::Cancelled);
        }
        if now >= record.deadline {
            return Verdict::Dead(Reason::Expired);
        }
        if now < record.due {
            return Verdict::Wait;
        }
        if record.deliveries >= self.bounds.attempts {
            return Verdict::Dead(Reason::Attempts);
        }
        let handed = (free || record.standing == Standing::Delivered) && !spoke.paused;
        if self.stops(record.from, to, now) {
            return Verdict::Dead(Reason::Breaker);
        }
        if handed { Verdict::Deliver } else { Verdict::Wait }
    }

    /// Tells whether what was accepted may not go on from one seat to another.
    #[inline]
    fn stops(&mut self, from: Seat, to: Seat, now: u64) -> bool {
        self.route(from, to).is_some_and(|r| r.stops(now))
            || self.is_suspect(from, to) && !self.ask_both(from, to, &|breaker, _| !breaker.stops(now))
    }

    #[inline]
    fn deliver(&mut self, to: Seat, place: usize, now: u64) -> Option<Parcel> {
        let (due, millisecond) = (now.saturating_add(self.bounds.ack), self.bounds.millisecond);
        let Some(record) = self.inbox_mut(to)?.log.intact(place) else {
            self.bury(to, Reason::Corrupt, now);
            return None;
        };
        let from = record.from;
        if record.standing == Standing::Delivered && self.strike_both((from, to), to, Strike::MissingAck, now) {
            return None;
        }
        let inbox = self.inbox_mut(to)?;
        let record = inbox.log.record_mut(place)?;
        let redelivered = record.deliveries > 0;
        record.deliveries = record.deliveries.saturating_add(1);
        (record.standing, record.due) = (Standing::Delivered, due);
        let len = record.len.into();
        let left = record.deadline.saturating_sub(now).checked_div(millisecond).unwrap_or(0);
        let time_to_live = u32::try_from(left).unwrap_or(u32::MAX).max(1);
        let envelope = Envelope { redelivered, time_to_live, ticket: record.ticket, ..record.envelope };
        inbox.counts.redelivered += u64::from(redelivered);
        Some(Parcel { from: Some(from), place, len, envelope })
    }

    /// Makes the next control message for a sender, if there is one.
    fn control(&mut self, to: Seat) -> Option<Parcel> {
        let spoke = self.spoke_mut(to)?;
        let (mask, task) = match (spoke.slow, spoke.resume) {
            (0, 0) => return None,
            (0, _) => (&mut spoke.resume, envelope::RESUME),
            _ => (&mut spoke.slow, envelope::SLOW_DOWN),
        };
        let about = mask.trailing_zeros();
        *mask &= *mask - 1;
        let envelope = Envelope {
            class: Class::Control,
            hops: 0,
            redelivered: false,
            time_to_live: 1,
            task,
            correlation: about.into(),
            key: 0,
            ticket: 0,
        };
        Some(Parcel { from: None, place: 0, len: 0, envelope })
    }

    /// Takes an ack (or a nack) of `by` for a message of `of`.
    pub(crate) fn settle(&mut self, by: Seat, of: Seat, e: &Envelope, now: u64) -> Result<(), Refusal> {
        let ack = self.bounds.ack;
        let inbox = self.inbox_mut(by).ok_or(Refusal::HubMixed)?;
        let place = inbox.queue.head().ok_or(Refusal::NoSuchTicket)?;
        let record = inbox.log.record_mut(place).ok_or(Refusal::NoSuchTicket)?;
        if record.standing != Standing::Delivered || record.ticket != e.ticket || record.from != of {
            return Err(Refusal::NoSuchTicket);
        }
        if e.class == Class::Nack {
            // It answers, if with a refusal: no ack is missing.
            (record.standing, record.due) = (Standing::Waiting, now.saturating_add(ack));
            return Ok(());
        }
        inbox.counts.acked += 1;
        self.remove(by);
        if let Some((route, _)) = self.route_mut(of, by) {
            route.succeed();
        }
        self.ask_both(of, by, &|breaker, _| {
            breaker.succeed();
            true
        });
        self.note(of);
        self.note(by);
        Ok(())
    }

    /// Takes the head of a queue out of it. Returns who sent it.
    fn remove(&mut self, to: Seat) -> Option<Seat> {
        let inbox = self.inbox_mut(to)?;
        let place = inbox.queue.head()?;
        let from = inbox.log.take(place);
        let mut told = inbox.queue.pop();
        if let Some(sender) = from.and_then(|from| inbox.senders.get_mut(usize::from(from.0))) {
            sender.held = sender.held.saturating_sub(1);
        }
        self.untold.drained |= if told != 0 { to.bit() } else { 0 };
        while let Some(seat) = Seat::pop(&mut told) {
            let Some(sender) = self.spoke_mut(seat) else { continue };
            // One that was not asked yet need not be told.
            sender.resume |= to.bit() & !sender.slow;
            sender.slow &= !to.bit();
        }
        from
    }

    /// Makes the head of a queue a dead letter.
    pub(super) fn bury(&mut self, to: Seat, reason: Reason, now: u64) {
        let Some(Spoke { inbox, .. }) = self.spokes.get_mut(usize::from(to.0)) else { return };
        let Some(place) = inbox.queue.head() else { return };
        inbox.counts.dead += 1;
        if let Some(record) = inbox.log.record(place) {
            let (from, envelope) = (record.from, record.envelope);
            if let Some(sender) = inbox.senders.get_mut(usize::from(from.0)) {
                sender.keys.forget(envelope.key);
            }
            let payload = inbox.log.words(place, record.len.into()).and_then(|w| w.get(FRONT..)).unwrap_or_default();
            let (deliveries, len) = (record.deliveries, record.len);
            self.dead.push(Letter { number: 0, from, to, reason, deliveries, at: now, envelope, len }, payload);
            self.untold.dead += 1;
        }
        let from = self.remove(to);
        let strike = match reason {
            Reason::Expired => Strike::Expiry,
            Reason::Attempts => Strike::MissingAck,
            // Nobody's fault, or one that was counted already.
            Reason::Breaker | Reason::Corrupt | Reason::Cancelled => return,
        };
        if let Some(from) = from {
            self.strike_both((from, to), to, strike, now);
        }
    }
}
