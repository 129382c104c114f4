// SPDX-License-Identifier: MIT OR Apache-2.0
//! Strikes, breakers, deaths, and what the coordinator does about a spoke.

use super::Post;
use crate::hub::Seat;
use crate::hub::breaker::{State, Strike};
use crate::hub::dead::Reason;
use crate::hub::log::Standing;

impl Post {
    /// Notes a strike against an endpoint. If it is one too many, the endpoint is cut off and what waits for it dies.
    /// Tells whether that happened.
    pub(crate) fn strike(&mut self, seat: Seat, strike: Strike, now: u64) -> bool {
        if self.bounds.coordinator == Some(seat) {
            return false;
        }
        let tripped = self.breaker(seat).is_some_and(|(b, limits)| b.strike(strike, now, limits));
        if tripped {
            self.cut_off(seat, now);
        }
        tripped
    }

    /// Notes a strike against a route and against an endpoint. Tells whether that cut the endpoint off.
    #[cold]
    #[inline(never)]
    pub(super) fn strike_both(&mut self, (from, to): (Seat, Seat), who: Seat, strike: Strike, now: u64) -> bool {
        if let Some((route, limits)) = self.route_mut(from, to) {
            route.strike(strike, now, limits);
        }
        self.strike(who, strike, now)
    }

    pub(super) fn note(&mut self, seat: Seat) {
        let closed = self.spoke(seat).is_none_or(|s| s.breaker.state() == State::Closed);
        self.suspects = if closed { self.suspects & !seat.bit() } else { self.suspects | seat.bit() };
    }

    fn cut_off(&mut self, seat: Seat, now: u64) {
        self.note(seat);
        self.untold.tripped |= seat.bit();
        // What others have of it dies, too, and the time of its cool-down is noted.
        self.next = 0;
        // As many as there were: what is put to the dead letters here is counted against nobody.
        let waiting = self.spoke(seat).map_or(0, |s| s.inbox.queue.len());
        for _ in 0..waiting {
            self.bury(seat, Reason::Breaker, now);
        }
    }

    /// Notes that an endpoint was aborted: what it had been handed is handed out again when it is back, and marked.
    pub(crate) fn died(&mut self, seat: Seat, now: u64) {
        if let Some(inbox) = self.inbox_mut(seat)
            && let Some(place) = inbox.queue.head()
            && let Some(record) = inbox.log.record_mut(place)
            && record.standing == Standing::Delivered
        {
            (record.standing, record.due) = (Standing::Waiting, 0);
        }
        if let Some(spoke) = self.spoke_mut(seat) {
            (spoke.slow, spoke.resume) = (0, 0);
        }
        self.strike(seat, Strike::Fault, now);
    }

    /// Cuts an endpoint off until the cool-down is over.
    pub(crate) fn trip(&mut self, seat: Seat, now: u64) {
        if let Some((breaker, limits)) = self.breaker(seat) {
            breaker.trip(now, limits);
        }
        self.cut_off(seat, now);
    }

    /// Cuts an endpoint off until it is reset.
    pub(crate) fn isolate(&mut self, seat: Seat, now: u64) {
        if let Some(spoke) = self.spoke_mut(seat) {
            spoke.breaker.isolate();
        }
        self.cut_off(seat, now);
    }

    /// Lets an endpoint in again, with all its routes.
    pub(crate) fn reset(&mut self, seat: Seat) {
        if let Some(spoke) = self.spoke_mut(seat) {
            spoke.breaker.reset();
            for sender in &mut *spoke.inbox.senders {
                sender.route.reset();
            }
        }
        for receiver in self.seats() {
            if let Some((route, _)) = self.route_mut(seat, receiver) {
                route.reset();
            }
        }
        self.note(seat);
    }

    /// Cuts a route off until the cool-down is over.
    pub(crate) fn trip_route(&mut self, from: Seat, to: Seat, now: u64) {
        if let Some((route, limits)) = self.route_mut(from, to) {
            route.trip(now, limits);
        }
    }

    /// Holds back what is for an endpoint, or lets it go on.
    pub(crate) fn pause(&mut self, seat: Seat, paused: bool) {
        if let Some(spoke) = self.spoke_mut(seat) {
            spoke.paused = paused;
            self.next = 0;
            self.paused = if paused { self.paused | seat.bit() } else { self.paused & !seat.bit() };
        }
    }

    /// Cancels the messages of a task that are not acked yet; they become dead letters as they come to the head of
    /// their queues.
    /// Returns how many.
    pub(crate) fn cancel(&mut self, task: u64) -> u64 {
        let mut count = 0;
        for spoke in &mut self.spokes {
            count += spoke.inbox.log.cancel(task);
        }
        if count > 0 {
            self.next = 0;
        }
        count
    }
}
