// SPDX-License-Identifier: MIT OR Apache-2.0
//! How messages leave their queues: handed out, acked, or dead.

use ffa_abi::envelope::{self, Class, Envelope};

use super::{Parcel, Post, Rejected};
use crate::hub::Seat;
use crate::hub::breaker::Strike;
use crate::hub::dead::{Letter, Reason};
use crate::hub::log::{FRONT, Record, Standing};

/// Most dead heads that one question clears away; the next question goes on.
const MOST_AT_ONCE: usize = 4;

enum Verdict {
    Deliver,
    Wait,
    Dead(Reason),
}

impl Post {
    /// Tells what one seat may be handed now: at most one message, whose receiver's RX buffer the caller has ready.
    /// It counts as delivered.
    #[inline]
    pub(crate) fn hand_out(&mut self, to: Seat, now: u64) -> Option<Parcel> {
        if let Some(parcel) = self.control(to) {
            return Some(parcel);
        }
        for _ in 0..MOST_AT_ONCE {
            let place = self.spoke(to)?.inbox.as_ref()?.queue.head()?;
            match self.verdict(to, place, now) {
                Verdict::Dead(reason) => self.bury(to, reason, now),
                Verdict::Wait => return None,
                Verdict::Deliver => return self.deliver(to, place, now),
            }
        }
        None
    }

    /// Looks after a queue whose receiver's RX buffer is not free: clears away what died at its head. If the receiver
    /// was handed the head and has not acked it in time, that counts as another delivery, and the receiver is to be
    /// told again: so one that sits on its buffer is found out as one that gives it back.
    pub(crate) fn look_after(&mut self, to: Seat, now: u64) -> bool {
        for _ in 0..MOST_AT_ONCE {
            let Some(place) = self.spoke(to).and_then(|s| s.inbox.as_ref()).and_then(|i| i.queue.head()) else { break };
            match self.verdict(to, place, now) {
                Verdict::Dead(reason) => self.bury(to, reason, now),
                Verdict::Deliver if self.head(to).is_some_and(|r| r.standing == Standing::Delivered) => {
                    return self.deliver(to, place, now).is_some();
                }
                Verdict::Deliver | Verdict::Wait => break,
            }
        }
        false
    }

    #[inline]
    fn verdict(&mut self, to: Seat, place: usize, now: u64) -> Verdict {
        let attempts = self.bounds.attempts;
        let Some(spoke) = self.spoke(to) else { return Verdict::Wait };
        let paused = spoke.paused;
        let Some(record) = spoke.inbox.as_ref().and_then(|i| i.log.record(place)) else {
            return Verdict::Dead(Reason::Corrupt);
        };
        let (from, due) = (record.from, record.due);
        if record.standing == Standing::Cancelled {
            return Verdict::Dead(Reason::Cancelled);
        }
        if now >= record.deadline {
            return Verdict::Dead(Reason::Expired);
        }
        if now < due {
            return Verdict::Wait;
        }
        if record.deliveries >= attempts {
            return Verdict::Dead(Reason::Attempts);
        }
        if self.suspects & (from.bit() | to.bit()) != 0
            && [from, to].into_iter().any(|s| self.spoke(s).is_some_and(|s| s.breaker.stops(now)))
            || self.route(from, to).is_some_and(|r| r.stops(now))
        {
            return Verdict::Dead(Reason::Breaker);
        }
        if paused { Verdict::Wait } else { Verdict::Deliver }
    }

    #[inline]
    fn deliver(&mut self, to: Seat, place: usize, now: u64) -> Option<Parcel> {
        let (due, millisecond) = (now.saturating_add(self.bounds.ack), self.bounds.millisecond);
        let inbox = self.inbox_mut(to)?;
        if !inbox.log.is_intact(place) {
            self.bury(to, Reason::Corrupt, now);
            return None;
        }
        let record = inbox.log.record(place)?;
        let from = record.from;
        if record.standing == Standing::Delivered {
            self.strike_route(from, to, Strike::MissingAck, now);
            if self.strike(to, Strike::MissingAck, now) {
                return None;
            }
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
    pub(crate) fn settle(&mut self, by: Seat, of: Seat, e: &Envelope, now: u64) -> Result<(), Rejected> {
        let ack = self.bounds.ack;
        let inbox = self.inbox_mut(by).ok_or(Rejected::NoQueue)?;
        let place = inbox.queue.head().ok_or(Rejected::NoSuchTicket)?;
        let record = inbox.log.record_mut(place).ok_or(Rejected::NoSuchTicket)?;
        if record.standing != Standing::Delivered || record.ticket != e.ticket || record.from != of {
            return Err(Rejected::NoSuchTicket);
        }
        if e.class == Class::Nack {
            // It answers, if with a refusal: no ack is missing.
            (record.standing, record.due) = (Standing::Waiting, now.saturating_add(ack));
            return Ok(());
        }
        inbox.counts.acked += 1;
        self.remove(by);
        if let Some(route) = self.route_mut(of, by) {
            route.succeed();
        }
        for seat in [of, by] {
            if let Some(spoke) = self.spoke_mut(seat) {
                spoke.breaker.succeed();
            }
            self.note(seat);
        }
        Ok(())
    }

    /// Takes the head of a queue out of it. Returns the place and who sent it.
    fn remove(&mut self, to: Seat) -> Option<()> {
        let inbox = self.inbox_mut(to)?;
        let place = inbox.queue.head()?;
        let record = inbox.log.take(place);
        let mut told = inbox.queue.pop();
        if let Some(held) = record.and_then(|r| inbox.held.get_mut(usize::from(r.from.0))) {
            *held = held.saturating_sub(1);
        }
        self.untold.drained |= if told != 0 { to.bit() } else { 0 };
        while told != 0 {
            let seat = Seat(told.trailing_zeros() as u8);
            told &= told - 1;
            let Some(sender) = self.spoke_mut(seat) else { continue };
            // One that was not asked yet need not be told.
            sender.resume |= to.bit() & !sender.slow;
            sender.slow &= !to.bit();
        }
        Some(())
    }

    /// Makes the head of a queue a dead letter.
    pub(super) fn bury(&mut self, to: Seat, reason: Reason, now: u64) {
        let Some(inbox) = self.spokes.get_mut(usize::from(to.0)).and_then(|s| s.inbox.as_mut()) else { return };
        let Some(place) = inbox.queue.head() else { return };
        inbox.counts.dead += 1;
        if let Some(record) = inbox.log.record(place).copied() {
            let Record { from, envelope, deliveries, .. } = record;
            if let Some(keys) = inbox.keys.get_mut(usize::from(from.0)) {
                keys.forget(envelope.key);
            }
            let payload = inbox.log.words(place, record.len.into()).and_then(|w| w.get(FRONT..)).unwrap_or_default();
            let letter = Letter { number: 0, from, to, reason, deliveries, at: now, envelope, len: record.len };
            self.dead.push(letter, payload);
            self.untold.dead += 1;
            self.remove(to);
            match reason {
                Reason::Expired => {
                    self.strike_route(from, to, Strike::Expiry, now);
                    self.strike(to, Strike::Expiry, now);
                }
                Reason::Attempts => {
                    self.strike_route(from, to, Strike::MissingAck, now);
                    self.strike(to, Strike::MissingAck, now);
                }
                // Nobody's fault, or one that was counted already.
                Reason::Breaker | Reason::Corrupt | Reason::Cancelled => {}
            }
        } else {
            self.remove(to);
        }
    }
}
