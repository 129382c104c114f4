// SPDX-License-Identifier: MIT OR Apache-2.0
//! The post office of supervised messages: takes messages in, hands them out again until they are acked, and keeps
//! those that cannot be delivered. Pure: time is an argument, bytes are filled and copied by the caller.
//!
//! A message that was accepted is in exactly one of three places: in its receiver's queue, acked, or among the dead
//! letters. Of a queue only the head is handed out, again and again until it is acked or dead; so the order of each
//! sender's messages holds even when acks are lost, and every step costs the same however many messages wait.

mod out;
mod trouble;

use arrayvec::ArrayVec;
use ffa_abi::envelope::{self, Class, Envelope};

use super::Seat;
use super::breaker::{Breaker, Limits, State, Strike};
use super::dead::Dead;
use super::log::{Keys, Log, Record, Standing, list};
use super::queue::Queue;
use crate::manifest::MAX_PARTITIONS;
use crate::refusal::Refusal;

/// A time that does not come.
const NEVER: u64 = u64::MAX;

/// Most endpoints that a message may go through.
const MOST_HOPS: u8 = 16;

/// The bounds, with times in counter ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Deliveries of one message at the most.
    pub(crate) attempts: u8,
    /// How long an ack may take.
    pub(crate) ack: u64,
    /// Ticks in a millisecond.
    pub(crate) millisecond: u64,
    /// Percent of a queue.
    pub(crate) high: u8,
    /// Percent of a queue.
    pub(crate) low: u8,
    /// Idempotency keys remembered of each route.
    pub(crate) keys: usize,
    /// Dead letters, where anybody has a queue.
    pub(crate) dead: usize,
    /// When breakers trip.
    pub(crate) limits: Limits,
    /// Who is no spoke: nothing counts against the coordinator.
    pub(crate) coordinator: Option<Seat>,
}

/// Says what becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It was accepted before: nothing is done.
    Duplicate,
    /// Its bytes go to this place.
    Place(usize),
}

/// What is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    /// Whose message it is; `None`: the SPMC's own.
    pub(crate) from: Option<Seat>,
    /// Where its bytes are, in the receiver's log.
    pub(crate) place: usize,
    /// Bytes of its payload.
    pub(crate) len: usize,
    /// Its envelope as the receiver gets it.
    pub(crate) envelope: Envelope,
}

/// Counts what happened at one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Messages accepted.
    pub(crate) accepted: u64,
    /// Messages acked.
    pub(crate) acked: u64,
    /// Deliveries after the first.
    pub(crate) redelivered: u64,
    /// Messages that came when the queue was full.
    pub(crate) refused: u64,
    /// Messages that had come before.
    pub(crate) duplicates: u64,
    /// Messages that became dead letters.
    pub(crate) dead: u64,
}

/// What a receiver has of one sender.
#[derive(Debug, Default)]
struct Sender {
    keys: Keys,
    /// Messages of it in the queue.
    held: u16,
    /// The breaker of its route to the receiver.
    route: Breaker,
}

/// What one receiver has; without a place in its queue it takes no part.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) queue: Queue,
    pub(crate) log: Log,
    /// By seat.
    senders: &'static mut [Sender],
    pub(crate) counts: Counts,
}

impl Inbox {
    fn make_room(
        &mut self,
        seats: usize,
        (slots, bytes): (u16, u16),
        bounds: &Bounds,
        memory: &mut usize,
    ) -> Option<()> {
        self.queue = Queue::new(slots, bounds.high, bounds.low);
        self.log.make_room(slots.into(), usize::from(bytes).checked_sub(envelope::SIZE)?, memory)?;
        self.senders = list(seats, memory)?;
        for sender in &mut *self.senders {
            sender.keys.make_room(bounds.keys, memory)?;
        }
        Some(())
    }

    /// Tells whether it takes part.
    #[inline]
    fn is_open(&self) -> bool {
        self.queue.slots() > 0
    }
}

/// What is known of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Spoke {
    pub(crate) breaker: Breaker,
    pub(crate) inbox: Inbox,
    /// Nothing is delivered to it; what comes waits.
    pub(crate) paused: bool,
    /// Receivers of which it is to be told that they are full: bit n is seat n.
    slow: u32,
    /// Receivers of which it is to be told that it may go on.
    resume: u32,
}

/// What has happened since somebody asked: bit n is seat n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Untold {
    /// Endpoints that were cut off.
    pub(crate) tripped: u32,
    /// Endpoints whose senders were asked to slow down.
    pub(crate) full: u32,
    /// Endpoints whose senders were told to go on.
    pub(crate) drained: u32,
    /// How many messages died.
    pub(crate) dead: u64,
}

/// The post office.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) dead: Dead,
    bounds: Bounds,
    /// Bytes of its queues and of its dead letters.
    memory: usize,
    /// Spokes whose breaker is not closed, or is isolated: bit n is seat n. To look at before anything else.
    suspects: u32,
    /// Spokes that are paused.
    paused: u32,
    /// What [`Self::cut`] was when it was published last.
    published: u32,
    untold: Untold,
    /// When somebody is to be looked after at the latest, as the timer is set, and as it should be.
    appointed: u64,
    next: u64,
    spokes: ArrayVec<Spoke, { MAX_PARTITIONS + 1 }>,
}

impl Post {
    /// Makes a post office of no seats.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            spokes: ArrayVec::new(),
            dead: Dead::default(),
            bounds,
            memory: 0,
            suspects: 0,
            paused: 0,
            published: 0,
            untold: Untold::default(),
            appointed: NEVER,
            next: NEVER,
        }
    }

    /// Makes room for its seats; each has a queue of (messages, bytes of each with its envelope) or takes no part.
    /// `None` if there is no memory for it. Boot time.
    pub(crate) fn make_room(&mut self, queues: &[Option<(u16, u16)>]) -> Option<()> {
        let (mut dead, mut longest) = (0, 0);
        for queue in queues {
            self.spokes.try_push(Spoke::default()).ok()?;
            if let (Some(queue), Some(spoke)) = (*queue, self.spokes.last_mut()) {
                spoke.inbox.make_room(queues.len(), queue, &self.bounds, &mut self.memory)?;
                longest = longest.max(spoke.inbox.log.payload());
                dead = self.bounds.dead;
            }
        }
        self.memory += size_of_val(self.spokes.as_slice());
        self.dead.make_room(dead, longest, &mut self.memory)
    }

    /// Returns the bytes of memory that it has; they never change.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Shows an endpoint: its queue, counts and breaker.
    #[inline]
    pub(crate) fn spoke(&self, seat: Seat) -> Option<&Spoke> {
        self.spokes.get(usize::from(seat.0))
    }

    /// Shows the breaker of a route.
    #[inline]
    pub(crate) fn route(&self, from: Seat, to: Seat) -> Option<&Breaker> {
        Some(&self.spoke(to)?.inbox.senders.get(usize::from(from.0))?.route)
    }

    #[inline(never)]
    fn spoke_mut(&mut self, seat: Seat) -> Option<&mut Spoke> {
        self.spokes.get_mut(usize::from(seat.0))
    }

    #[inline]
    fn sender_mut(&mut self, from: Seat, to: Seat) -> Option<(&mut Sender, &Limits)> {
        let inbox = &mut self.spokes.get_mut(usize::from(to.0))?.inbox;
        Some((inbox.senders.get_mut(usize::from(from.0))?, &self.bounds.limits))
    }

    fn route_mut(&mut self, from: Seat, to: Seat) -> Option<(&mut Breaker, &Limits)> {
        self.sender_mut(from, to).map(|(sender, limits)| (&mut sender.route, limits))
    }

    fn breaker(&mut self, seat: Seat) -> Option<(&mut Breaker, &Limits)> {
        Some((&mut self.spokes.get_mut(usize::from(seat.0))?.breaker, &self.bounds.limits))
    }

    #[inline(never)]
    fn inbox_mut(&mut self, seat: Seat) -> Option<&mut Inbox> {
        self.spoke_mut(seat).map(|s| &mut s.inbox).filter(|i| i.is_open())
    }

    /// Tells whether an endpoint takes part.
    #[inline(never)]
    pub(crate) fn takes_part(&self, seat: Seat) -> bool {
        self.spoke(seat).is_some_and(|s| s.inbox.is_open())
    }

    /// Tells whether anything waits for an endpoint: a message, or news of a receiver.
    #[inline]
    pub(crate) fn has_work(&self, seat: Seat) -> bool {
        self.spoke(seat).is_some_and(|s| s.slow | s.resume != 0 || s.inbox.queue.len() > 0)
    }

    /// Tells whether a sender is to be told of a receiver.
    #[inline(never)]
    pub(crate) fn has_news(&self, seat: Seat) -> bool {
        self.spoke(seat).is_some_and(|s| s.slow | s.resume != 0)
    }

    #[inline(never)]
    fn head(&self, seat: Seat) -> Option<&Record> {
        let inbox = &self.spoke(seat)?.inbox;
        inbox.log.record(inbox.queue.head()?)
    }

    /// Tells whether an endpoint has a message that it may still ack.
    pub(crate) fn is_with(&self, seat: Seat, now: u64) -> bool {
        self.head(seat).is_some_and(|r| r.standing == Standing::Delivered && now < r.due)
    }

    /// Notes when an endpoint for which something waits is to be looked after next: when its message is due or its time
    /// is over, and as long after now as an ack may take if it could be handed something and its buffer is not free.
    #[inline]
    pub(crate) fn look_again(&mut self, seat: Seat, now: u64) {
        let later = now.saturating_add(self.bounds.ack);
        let head = self.head(seat).map_or(NEVER, |r| r.deadline.min(if r.due > now { r.due } else { later }));
        self.next = self.next.min(if self.has_news(seat) { head.min(later) } else { head });
    }

    /// Tells, once, whether the timer has to be set, and to when.
    #[inline]
    pub(crate) fn appointment(&mut self) -> Option<u64> {
        let at = core::mem::replace(&mut self.next, NEVER);
        (at < self.appointed).then(|| {
            self.appointed = at;
            at
        })
    }

    /// Begins a look after everybody: the timer has come. Breakers whose cool-down is over become half-open: bit n is
    /// seat n.
    pub(crate) fn keep_appointment(&mut self, now: u64) -> u32 {
        self.appointed = NEVER;
        let mut cooled = 0;
        for (seat, spoke) in self.seats().zip(self.spokes.iter_mut()) {
            if let Some(until) = spoke.breaker.opens_until() {
                if spoke.breaker.passes(now) {
                    cooled |= seat.bit();
                } else {
                    self.next = self.next.min(until);
                }
            }
        }
        cooled
    }

    /// Lists all seats.
    pub(crate) fn seats(&self) -> impl Iterator<Item = Seat> + use<> {
        (0..self.spokes.len() as u8).map(Seat)
    }

    /// Returns the endpoints that no message reaches or leaves without a question: bit n is seat n.
    pub(crate) fn cut(&self) -> u32 {
        self.suspects | self.paused
    }

    /// Tells, once, whether that has changed.
    pub(crate) fn was_cut(&mut self) -> bool {
        let cut = self.cut();
        core::mem::replace(&mut self.published, cut) != cut
    }

    /// Judges a direct message. The coordinator reaches a spoke whose breaker has tripped, but none that it has isolated
    /// or paused. A direct message has no ack: where a spoke takes no envelopes, that it did not die of the one before
    /// is as good as one.
    pub(crate) fn pass_direct(&mut self, from: Seat, to: Seat, now: u64) -> Result<(), Refusal> {
        let coordinator = self.bounds.coordinator;
        let supervised = coordinator == Some(from);
        for seat in [from, to] {
            if coordinator == Some(seat) {
                continue;
            }
            if self.paused & seat.bit() != 0 {
                return Err(Refusal::Paused);
            }
            let acks = self.takes_part(seat);
            let Some((breaker, limits)) = self.breaker(seat) else { continue };
            let passes = if breaker.state() == State::Isolated {
                false
            } else if acks {
                supervised || !breaker.stops(now)
            } else if breaker.is_probing() {
                breaker.succeed();
                true
            } else {
                let passes = breaker.passes(now);
                breaker.enter(now, limits);
                passes || supervised
            };
            self.note(seat);
            if !passes {
                return Err(Refusal::BreakerOpen);
            }
        }
        Ok(())
    }

    /// Returns, once, what has happened since the last question.
    #[inline]
    pub(crate) fn take_untold(&mut self) -> Untold {
        core::mem::take(&mut self.untold)
    }

    /// Shows the first route from number `at` on whose breaker is not closed: its number, its ends and its breaker.
    pub(crate) fn broken_route(&self, at: usize, now: u64) -> Option<(usize, Seat, Seat, (State, u64))> {
        let seats = self.spokes.len();
        for from in self.seats() {
            for to in self.seats() {
                let n = usize::from(from.0) * seats + usize::from(to.0);
                let Some(route) = self.route(from, to) else { continue };
                let state = route.state_at(now);
                if n >= at && route.state() != State::Closed {
                    return Some((n, from, to, state));
                }
            }
        }
        None
    }

    /// Judges a message with `len` bytes of payload. Nothing is accepted before [`Self::commit`].
    #[inline]
    pub(crate) fn admit(
        &mut self,
        from: Seat,
        to: Seat,
        e: &Envelope,
        len: usize,
        now: u64,
    ) -> Result<Admitted, Refusal> {
        if !self.takes_part(from) || !self.takes_part(to) {
            return Err(Refusal::HubMixed);
        }
        // A class that endpoints do not send, no time to live, too many hops, or a field that is the SPMC's.
        let class = match e.class {
            Class::Dispatch | Class::Status | Class::Clarify | Class::Result | Class::Failure => true,
            Class::Ack | Class::Nack | Class::Control => false,
        };
        if !class || e.time_to_live == 0 || e.hops > MOST_HOPS || e.redelivered || e.ticket != 0 {
            return Err(Refusal::EnvelopeFields);
        }
        if !self.passes(from, to, now) {
            return Err(Refusal::BreakerOpen);
        }
        let inbox = self.inbox_mut(to).ok_or(Refusal::HubMixed)?;
        if len > inbox.log.payload() {
            return Err(Refusal::MessageLength);
        }
        let sender = inbox.senders.get(usize::from(from.0)).ok_or(Refusal::HubMixed)?;
        if sender.keys.has(e.key) {
            inbox.counts.duplicates += 1;
            self.strike_both((from, to), from, Strike::Duplicate, now);
            return Ok(Admitted::Duplicate);
        }
        let place = inbox.queue.tail(sender.held);
        inbox.counts.refused += u64::from(place.is_none());
        place.map(Admitted::Place).ok_or(Refusal::QueueFull)
    }

    /// Shows the words of a place: what goes in front of a payload of `len` bytes, and the payload.
    #[inline]
    pub(crate) fn words(&mut self, to: Seat, place: usize, len: usize) -> Option<&mut [u64]> {
        self.inbox_mut(to)?.log.words_mut(place, len)
    }

    /// Accepts a message whose bytes are in the place that it was admitted to, with the lock held since.
    #[inline]
    pub(crate) fn commit(&mut self, from: Seat, to: Seat, place: usize, e: &Envelope, len: usize, now: u64) {
        let deadline = now.saturating_add(u64::from(e.time_to_live).saturating_mul(self.bounds.millisecond));
        if self.is_suspect(from, to) {
            self.ask_both(from, to, &|breaker, limits| {
                breaker.enter(now, limits);
                true
            });
        }
        if let Some((sender, limits)) = self.sender_mut(from, to) {
            sender.route.enter(now, limits);
            sender.keys.add(e.key);
            sender.held += 1;
        }
        let Some(inbox) = self.inbox_mut(to) else { return };
        inbox.log.write(place, from, e, len, deadline);
        inbox.counts.accepted += 1;
        if inbox.queue.push(from) {
            // The first that is asked.
            let first = inbox.queue.asked() == from.bit();
            self.untold.full |= if first { to.bit() } else { 0 };
            if let Some(sender) = self.spoke_mut(from) {
                sender.slow |= to.bit();
                sender.resume &= !to.bit();
            }
        }
    }

    /// Tells whether the breaker of one of two seats is not closed.
    #[inline]
    fn is_suspect(&self, from: Seat, to: Seat) -> bool {
        self.suspects & (from.bit() | to.bit()) != 0
    }

    /// Asks the breakers of two seats, one after the other, until one says no. Tells whether none did.
    #[inline(never)]
    fn ask_both(&mut self, from: Seat, to: Seat, ask: &dyn Fn(&mut Breaker, &Limits) -> bool) -> bool {
        for seat in [from, to] {
            if let Some((breaker, limits)) = self.breaker(seat)
                && !ask(breaker, limits)
            {
                return false;
            }
        }
        true
    }

    /// Tells whether messages pass from one seat to another now.
    #[inline]
    pub(crate) fn passes(&mut self, from: Seat, to: Seat, now: u64) -> bool {
        let passes = !self.is_suspect(from, to) || self.ask_both(from, to, &|breaker, _| breaker.passes(now));
        passes && self.route_mut(from, to).is_none_or(|(r, _)| r.passes(now))
    }
}
