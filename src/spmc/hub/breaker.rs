// SPDX-License-Identifier: MIT OR Apache-2.0
//! Circuit breakers: who fails again and again is left alone for a while, then tried with one message.

/// Says whether anything passes.
pub(crate) use ffa_abi::hub::BreakerState as State;

/// Says what counts against a spoke or a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// The partition was aborted.
    Fault,
    /// A message was not acked in time.
    MissingAck,
    /// A message's time was over before it was acked.
    Expiry,
    /// It tried what it may not.
    Denial,
    /// It sent what it had sent before.
    Duplicate,
}

impl Strike {
    /// All of them, in the order of [`Limits::strikes`].
    pub(crate) const COUNT: usize = 5;
}

/// Says when breakers trip, and for how long. Times are in counter ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many strikes of each kind trip: faults, missing acks and expiries in a row, denials and duplicates within
    /// [`Self::storm`]. 0 means never.
    pub(crate) strikes: [u32; Strike::COUNT],
    /// How long denials and duplicates count.
    pub(crate) storm: u64,
    /// How long a tripped breaker stays open.
    pub(crate) cool_down: u64,
}

/// A breaker.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    /// Closed, open, half-open or isolated; what is paused is not the breaker's business.
    state: State,
    /// When something may pass, in counter ticks: an open one becomes half-open then; of a half-open one, should nothing
    /// be heard of the message that was let through, 0 where none was.
    until: u64,
    counts: [u16; Strike::COUNT],
    /// When the storm that is being counted began.
    since: u64,
    trips: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, until: 0, counts: [0; Strike::COUNT], since: 0, trips: 0 }
    }
}

impl Breaker {
    /// Returns whether anything passes now, as the next question will find, and when something may; 0 where nothing is
    /// waited for.
    pub(crate) fn state_at(&self, now: u64) -> (State, u64) {
        if self.state == State::Open && now >= self.until { (State::HalfOpen, 0) } else { (self.state, self.until) }
    }

    /// Returns whether anything passes, as of the last question.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Returns when it becomes half-open, if it is open.
    pub(crate) fn opens_until(&self) -> Option<u64> {
        (self.state == State::Open).then_some(self.until)
    }

    /// Tells whether a message was let through whose fate decides.
    pub(crate) fn is_probing(&self) -> bool {
        self.state == State::HalfOpen && self.until != 0
    }

    /// Returns how often it tripped.
    #[cfg(test)]
    pub(crate) fn trips(&self) -> u32 {
        self.trips
    }

    /// Tells whether a message passes now. An open one becomes half-open when its time is over.
    #[inline]
    pub(crate) fn passes(&mut self, now: u64) -> bool {
        if self.state != State::Closed {
            (self.state, self.until) = self.state_at(now);
        }
        self.state == State::Closed || self.state == State::HalfOpen && now >= self.until
    }

    /// Tells whether what has passed before may not go on: only an open breaker stops it.
    #[inline]
    pub(crate) fn stops(&self, now: u64) -> bool {
        self.state == State::Open && now < self.until || matches!(self.state, State::Isolated | State::Paused)
    }

    /// Notes that a message passes; the caller has asked [`Self::passes`].
    #[inline]
    pub(crate) fn enter(&mut self, now: u64, limits: &Limits) {
        if self.state == State::HalfOpen {
            self.until = now.saturating_add(limits.cool_down);
        }
    }

    /// Notes that a message was acked.
    #[inline]
    pub(crate) fn succeed(&mut self) {
        let [faults, acks, expiries, ..] = &mut self.counts;
        (*faults, *acks, *expiries) = (0, 0, 0);
        if self.state == State::HalfOpen {
            self.set(State::Closed, 0);
        }
    }

    /// Notes a strike. Tells whether that made it trip.
    pub(crate) fn strike(&mut self, strike: Strike, now: u64, limits: &Limits) -> bool {
        let index = strike as usize;
        if matches!(strike, Strike::Denial | Strike::Duplicate) && now.saturating_sub(self.since) > limits.storm {
            let [.., denials, duplicates] = &mut self.counts;
            (*denials, *duplicates) = (0, 0);
            self.since = now;
        }
        let limit = limits.strikes.get(index).copied().unwrap_or(0);
        let Some(count) = self.counts.get_mut(index) else { return false };
        *count = count.saturating_add(1);
        let over = limit != 0 && u32::from(*count) >= limit;
        let trips = match self.state {
            State::Closed => over,
            // One failure of the message that was let through is enough.
            State::HalfOpen => true,
            State::Open | State::Isolated | State::Paused => false,
        };
        if trips {
            self.trip(now, limits);
        }
        trips
    }

    /// Opens it.
    pub(crate) fn trip(&mut self, now: u64, limits: &Limits) {
        self.set(State::Open, now.saturating_add(limits.cool_down));
        self.trips = self.trips.saturating_add(1);
    }

    /// Closes it, whatever it was.
    #[inline(never)]
    pub(crate) fn reset(&mut self) {
        self.set(State::Closed, 0);
        self.since = 0;
    }

    /// Opens it until it is reset.
    pub(crate) fn isolate(&mut self) {
        self.set(State::Isolated, 0);
    }

    /// Changes its state and counts anew.
    #[inline(never)]
    fn set(&mut self, state: State, until: u64) {
        (self.state, self.until, self.counts) = (state, until, [0; Strike::COUNT]);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sim::Random;

    const LIMITS: Limits = Limits { strikes: [3, 4, 5, 6, 7], storm: 50, cool_down: 100 };
    const ALL: [Strike; 5] = [Strike::Fault, Strike::MissingAck, Strike::Expiry, Strike::Denial, Strike::Duplicate];

    #[test]
    fn each_kind_of_strike_trips_at_its_own_limit() {
        for strike in ALL {
            let mut b = Breaker::default();
            let limit = LIMITS.strikes[strike as usize];
            for n in 1..=limit {
                assert!(b.passes(0));
                assert_eq!(b.strike(strike, 0, &LIMITS), n == limit);
            }
            assert!(!b.passes(99));
            assert!(b.stops(99));
            assert!(b.passes(100), "one is tried after the cool-down");
            b.enter(100, &LIMITS);
            assert!(!b.passes(101));
            assert!(!b.stops(101), "the one that is tried goes on");
            assert!(b.passes(200), "nothing was heard of it");
            b.succeed();
            assert_eq!((b.state(), b.trips()), (State::Closed, 1));
        }
    }

    #[test]
    fn success_ends_a_row_and_time_ends_a_storm() {
        let mut b = Breaker::default();
        for _ in 0..20 {
            assert!(!b.strike(Strike::MissingAck, 0, &LIMITS));
            assert!(!b.strike(Strike::MissingAck, 0, &LIMITS));
            b.succeed();
        }
        for n in 0..100 {
            assert!(!b.strike(Strike::Denial, n * 20, &LIMITS), "three in 50 ticks are no storm");
        }
        for n in 0..5 {
            b.succeed();
            assert!(!b.strike(Strike::Denial, 5000 + n, &LIMITS));
        }
        assert!(b.strike(Strike::Denial, 5006, &LIMITS), "what it does right does not excuse it");
    }

    /// The reference: a list of what happened, looked at from its beginning each time.
    #[derive(Clone, Copy)]
    enum Event {
        Strike(Strike, u64),
        Success,
        Enter(u64),
        Trip(u64),
        Reset,
        Isolate,
    }

    fn replay(events: &[Event], now: u64) -> bool {
        let mut open_until = None::<u64>;
        let mut probe = None::<u64>;
        let (mut isolated, mut half, mut rows, mut storm, mut began) = (false, false, [0u16; 5], [0u16; 2], 0);
        for event in events {
            let at = match event {
                Event::Strike(_, at) | Event::Enter(at) | Event::Trip(at) => *at,
                _ => 0,
            };
            match event {
                Event::Enter(at) => {
                    if open_until.is_some_and(|u| *at >= u) {
                        (open_until, half) = (None, true);
                    }
                    if half {
                        probe = Some(at + LIMITS.cool_down);
                    }
                }
                Event::Strike(s, at) => {
                    if matches!(s, Strike::Denial | Strike::Duplicate) {
                        if at - began > LIMITS.storm {
                            (storm, began) = ([0; 2], *at);
                        }
                        storm[*s as usize - 3] += 1;
                    } else {
                        rows[*s as usize] += 1;
                    }
                    let count = if *s as usize >= 3 { storm[*s as usize - 3] } else { rows[*s as usize] };
                    if !isolated && open_until.is_none() && (half || u32::from(count) >= LIMITS.strikes[*s as usize]) {
                        (open_until, half, probe, rows, storm) =
                            (Some(at + LIMITS.cool_down), false, None, [0; 5], [0; 2]);
                    }
                }
                Event::Success => {
                    rows = [0; 5];
                    if half && !isolated {
                        (half, probe, storm) = (false, None, [0; 2]);
                    }
                }
                Event::Trip(_) => {
                    (isolated, open_until, half, probe, rows, storm) =
                        (false, Some(at + LIMITS.cool_down), false, None, [0; 5], [0; 2]);
                }
                Event::Reset => {
                    (isolated, open_until, half, probe, rows, storm, began) =
                        (false, None, false, None, [0; 5], [0; 2], 0);
                }
                Event::Isolate => (isolated, open_until, half, probe) = (true, None, false, None),
            }
        }
        !isolated && open_until.is_none_or(|u| now >= u) && probe.is_none_or(|u| now >= u)
    }

    #[test]
    fn random_sequences_agree_with_a_replay_of_the_events() {
        for seed in 1..300 {
            let mut r = Random(seed * 0x1234_5677);
            let (mut b, mut events, mut now) = (Breaker::default(), std::vec::Vec::new(), 0);
            for _ in 0..150 {
                now += r.below(40);
                let passes = b.passes(now);
                assert_eq!(passes, replay(&events, now), "seed {seed}");
                match r.below(20) {
                    0 => {
                        b.trip(now, &LIMITS);
                        events.push(Event::Trip(now));
                    }
                    1 if r.below(3) == 0 => {
                        b.reset();
                        events.push(Event::Reset);
                    }
                    2 if r.below(3) == 0 => {
                        b.isolate();
                        events.push(Event::Isolate);
                    }
                    // A success is that of something that passed.
                    3..=6 if passes => {
                        b.enter(now, &LIMITS);
                        events.push(Event::Enter(now));
                        if r.below(2) == 0 {
                            b.succeed();
                            events.push(Event::Success);
                        }
                    }
                    _ if passes => {
                        b.enter(now, &LIMITS);
                        events.push(Event::Enter(now));
                        let strike = r.pick(&ALL);
                        b.strike(strike, now, &LIMITS);
                        events.push(Event::Strike(strike, now));
                    }
                    _ => {}
                }
            }
        }
    }
}
