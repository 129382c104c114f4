// SPDX-License-Identifier: MIT OR Apache-2.0
//! The post office against a naive model: every message is a row of a list that is never shortened.

use std::vec::Vec;

use ffa_abi::envelope::{Class, Envelope, RESUME, SLOW_DOWN};

use super::Seat;
use super::breaker::{Limits, State, Strike};
use super::dead::Reason;
use super::log::FRONT;
use super::post::{Admitted, Bounds, Post, Untold};
use crate::refusal::Refusal;
use crate::sim::Random;

/// A millisecond is 10 ticks.
const BOUNDS: Bounds = Bounds {
    attempts: 5,
    ack: 100,
    millisecond: 10,
    high: 80,
    low: 30,
    keys: 4,
    dead: 8,
    limits: Limits { strikes: [3, 6, 6, 9, 9], storm: 200, cool_down: 500 },
    coordinator: Some(Seat(0)),
};
/// Breakers that never trip.
const PATIENT: Bounds = Bounds { limits: Limits { strikes: [0; Strike::COUNT], storm: 200, cool_down: 500 }, ..BOUNDS };
const SEATS: u8 = 4;

fn post(bounds: Bounds) -> Post {
    let mut post = Post::new(bounds);
    post.make_room(&[Some((8, 96)), Some((4, 96)), Some((5, 80)), None]).unwrap();
    post
}

fn envelope(key: u64, time_to_live: u32) -> Envelope {
    let class = Class::Dispatch;
    Envelope { class, hops: 0, redelivered: false, time_to_live, task: key % 5, correlation: key, key, ticket: 0 }
}

fn send(post: &mut Post, from: Seat, to: Seat, e: &Envelope, now: u64) -> Result<Admitted, Refusal> {
    let len = (e.correlation % 17) as usize;
    let admitted = post.admit(from, to, e, len, now)?;
    if let Admitted::Place(place) = admitted {
        let payload = &mut post.words(to, place, len).unwrap()[FRONT..];
        payload.fill(u64::from_le_bytes([e.correlation as u8; 8]));
        post.commit(from, to, place, e, len, now);
    }
    Ok(admitted)
}

fn answer(class: Class, ticket: u64) -> Envelope {
    Envelope { class, ticket, ..envelope(0, 0) }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Queued,
    Acked,
    Dead,
}

struct Row {
    from: Seat,
    to: Seat,
    e: Envelope,
    deadline: u64,
    handed: u8,
    fate: Fate,
}

struct Model {
    post: Post,
    rows: Vec<Row>,
    now: u64,
    /// The last parcel of each seat: ticket, row.
    last: [Option<(u64, usize)>; SEATS as usize],
    /// Letters seen.
    letters: u64,
}

impl Model {
    /// Finds what died since the last look: each dead letter is a message that was queued.
    fn bury(&mut self) {
        let (came, _) = self.post.dead.counts();
        let mut fresh: Vec<_> = self.post.dead.list().filter(|l| l.number > self.letters).copied().collect();
        fresh.sort_by_key(|l| l.number);
        assert_eq!(fresh.len() as u64, came - self.letters, "looked at often enough that none was evicted unseen");
        self.letters = came;
        for l in fresh {
            let row = self.rows.iter_mut().find(|r| r.e.correlation == l.envelope.correlation).unwrap();
            assert_eq!((row.from, row.to, row.fate, row.e), (l.from, l.to, Fate::Queued, l.envelope));
            assert_eq!(row.handed, l.deliveries);
            match l.reason {
                Reason::Expired => assert!(self.now >= row.deadline),
                Reason::Attempts => assert_eq!(row.handed, BOUNDS.attempts),
                Reason::Breaker | Reason::Cancelled => {}
                Reason::Corrupt => panic!("nothing was corrupted"),
            }
            row.fate = Fate::Dead;
            let (_, words) = self.post.dead.read(l.number).unwrap();
            let bytes: Vec<_> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert_eq!(u64::from(l.len), row.e.correlation % 17);
            assert!(bytes[..l.len.into()].iter().all(|b| *b == row.e.correlation as u8));
        }
    }

    fn hand_out(&mut self, to: Seat) {
        let parcel = self.post.hand_out(to, true, self.now);
        self.bury();
        let Some(parcel) = parcel else { return };
        let Some(from) = parcel.from else {
            assert!([SLOW_DOWN, RESUME].contains(&parcel.envelope.task));
            return;
        };
        let at = self.rows.iter().position(|r| r.e.correlation == parcel.envelope.correlation).unwrap();
        let row = &mut self.rows[at];
        assert_eq!((row.from, row.to, row.fate), (from, to, Fate::Queued));
        assert!(self.now < row.deadline, "delivered past its time");
        assert_eq!(parcel.envelope.redelivered, row.handed > 0);
        row.handed += 1;
        assert!(row.handed <= BOUNDS.attempts);
        assert!(u64::from(parcel.envelope.time_to_live - 1) * BOUNDS.millisecond < row.deadline - self.now);
        let payload = &self.post.words(to, parcel.place, parcel.len).unwrap()[FRONT..];
        assert_eq!(payload.len() as u64, (row.e.correlation % 17).div_ceil(8));
        assert!(payload.iter().all(|w| w.to_le_bytes() == [row.e.correlation as u8; 8]));
        // Nothing that was accepted earlier for this receiver is still waiting, let alone of the same sender.
        let (queued, earlier) = (Fate::Queued, &self.rows[..at]);
        assert!(!earlier.iter().any(|r| r.to == to && r.fate == queued), "out of order");
        self.last[to.0 as usize] = Some((parcel.envelope.ticket, at));
    }

    /// The receiver sits on its RX buffer.
    fn look_after(&mut self, to: Seat) {
        let told = self.post.hand_out(to, false, self.now).is_some();
        self.bury();
        if told {
            let head = self.rows.iter_mut().find(|r| r.to == to && r.fate == Fate::Queued).unwrap();
            assert!(self.now < head.deadline && head.handed > 0);
            head.handed += 1;
            assert!(head.handed <= BOUNDS.attempts);
        }
    }

    fn settle(&mut self, r: &mut Random, by: Seat) {
        let Some((ticket, at)) = self.last[by.0 as usize] else { return };
        let class = if r.below(5) == 0 { Class::Nack } else { Class::Ack };
        let wrong = r.below(6) == 0;
        let of = if wrong { Seat(r.below(SEATS.into()) as u8) } else { self.rows[at].from };
        let ticket = if r.below(8) == 0 { ticket + 1 } else { ticket };
        match self.post.settle(by, of, &answer(class, ticket), self.now) {
            Ok(()) => {
                let row = &mut self.rows[at];
                assert_eq!((row.from, row.to, row.fate), (of, by, Fate::Queued));
                assert_eq!(Some((ticket, at)), self.last[by.0 as usize]);
                if class == Class::Ack {
                    row.fate = Fate::Acked;
                    self.last[by.0 as usize] = None;
                }
            }
            Err(why) => assert_eq!(why, Refusal::NoSuchTicket),
        }
    }

    fn send(&mut self, r: &mut Random, number: u64) {
        let (from, to) = (Seat(r.below(SEATS.into()) as u8), Seat(r.below(SEATS.into()) as u8));
        let repeat = r.below(4) == 0 && !self.rows.is_empty();
        let key = if repeat { self.rows[r.below(self.rows.len() as u64) as usize].e.key } else { number };
        let e = Envelope { correlation: number, ..envelope(key, r.below(200) as u32) };
        let known = |m: &Row| m.from == from && m.to == to && m.e.key == key && key != 0;
        match send(&mut self.post, from, to, &e, self.now) {
            Ok(Admitted::Place(_)) => {
                // No message that is not dead has the same key, unless it was forgotten: the window is bounded.
                let later =
                    |at: usize| self.rows[at + 1..].iter().filter(|m| m.from == from && m.to == to && m.e.key != 0);
                let twin = self.rows.iter().rposition(|m| known(m) && m.fate != Fate::Dead);
                assert!(twin.is_none_or(|at| later(at).count() >= BOUNDS.keys));
                let deadline = self.now + u64::from(e.time_to_live) * BOUNDS.millisecond;
                self.rows.push(Row { from, to, e, deadline, handed: 0, fate: Fate::Queued });
            }
            Ok(Admitted::Duplicate) => assert!(self.rows.iter().any(|m| known(m) && m.fate != Fate::Dead)),
            Err(Refusal::HubMixed) => assert!(from.0 == 3 || to.0 == 3),
            Err(Refusal::EnvelopeFields) => assert_eq!(e.time_to_live, 0),
            Err(Refusal::QueueFull) => {
                let queued = self.rows.iter().filter(|m| m.to == to && m.fate == Fate::Queued).count();
                assert!(queued + 1 >= [8, 4, 5][to.0 as usize]);
            }
            Err(Refusal::BreakerOpen) => {
                let closed = |s: Seat| self.post.spoke(s).unwrap().breaker.state() == State::Closed;
                let route = self.post.route(from, to).unwrap().state() == State::Closed;
                assert!(!closed(from) || !closed(to) || !route);
            }
            Err(why) => panic!("{why:?}"),
        }
    }

    fn step(&mut self, r: &mut Random, number: u64) {
        let seat = Seat(r.below(SEATS.into()) as u8);
        match r.below(24) {
            0..=7 => self.send(r, number),
            8..=11 => self.hand_out(seat),
            12 => self.look_after(seat),
            13..=17 => self.settle(r, seat),
            18 => {
                self.post.died(seat, self.now);
                // The restarted partition knows no ticket.
                self.last[seat.0 as usize] = None;
            }
            19 => {
                self.post.cancel(r.below(50));
            }
            20 if r.below(10) == 0 => match r.below(3) {
                0 => self.post.trip(seat, self.now),
                1 => self.post.isolate(seat, self.now),
                _ => self.post.trip_route(seat, Seat(r.below(3) as u8), self.now),
            },
            21 => self.post.reset(seat),
            22 => self.post.pause(seat, r.below(3) == 0),
            _ => self.now += r.below(120),
        }
        self.bury();
    }

    fn check(&self) {
        for seat in (0..3).map(Seat) {
            let inbox = &self.post.spoke(seat).unwrap().inbox;
            let count = |f: Fate| self.rows.iter().filter(|m| m.to == seat && m.fate == f).count() as u64;
            assert_eq!(u64::from(inbox.queue.len()), count(Fate::Queued), "none vanishes, none comes from nowhere");
            assert_eq!(inbox.counts.acked, count(Fate::Acked));
            assert_eq!(inbox.counts.dead, count(Fate::Dead));
            assert_eq!(inbox.counts.accepted, count(Fate::Queued) + count(Fate::Acked) + count(Fate::Dead));
            assert!(inbox.queue.len() <= inbox.queue.slots());
        }
    }
}

#[test]
fn random_sequences_agree_with_the_model() {
    let sequences = std::env::var("HEMATITE_MODEL_SEQUENCES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let (mut acked, mut dead, mut trips) = (0, 0, 0);
    for seed in 1..=sequences {
        let mut r = Random(seed * 0x9e37_79b9_7f4a);
        let bounds = if seed % 2 == 0 { BOUNDS } else { PATIENT };
        let mut m = Model { post: post(bounds), rows: Vec::new(), now: 0, last: [None; 4], letters: 0 };
        let memory = m.post.memory();
        for number in 1..250 {
            m.step(&mut r, number);
            m.check();
        }
        assert_eq!(m.post.memory(), memory, "memory is bounded");
        acked += m.rows.iter().filter(|m| m.fate == Fate::Acked).count();
        dead += m.rows.iter().filter(|m| m.fate == Fate::Dead).count();
        trips += u64::from(m.post.spoke(Seat(1)).unwrap().breaker.trips());
    }
    assert!(acked as u64 > sequences && dead as u64 > sequences && trips > sequences / 10, "{acked} {dead} {trips}");
}

#[test]
fn a_lost_ack_brings_the_message_again_and_at_last_to_the_dead_letters() {
    let mut p = post(PATIENT);
    let (a, b) = (Seat(0), Seat(1));
    send(&mut p, a, b, &envelope(5, 1000), 0).unwrap();
    send(&mut p, a, b, &envelope(6, 1000), 0).unwrap();
    for n in 0..5 {
        let parcel = p.hand_out(b, true, n * 100).unwrap();
        assert_eq!((parcel.envelope.key, parcel.envelope.redelivered), (5, n > 0));
        assert_eq!(p.hand_out(b, true, n * 100 + 99), None, "it waits for the ack, and so do those behind");
    }
    let next = p.hand_out(b, true, 500).unwrap();
    assert_eq!(next.envelope.key, 6);
    let letter = *p.dead.list().next().unwrap();
    assert_eq!((letter.reason, letter.deliveries, letter.envelope.key), (Reason::Attempts, 5, 5));
    assert_eq!(p.settle(b, a, &answer(Class::Ack, next.envelope.ticket), 501), Ok(()));
    // The dead one may be sent again; the acked one may not.
    assert_eq!(send(&mut p, a, b, &envelope(6, 9), 502), Ok(Admitted::Duplicate));
    assert!(matches!(send(&mut p, a, b, &envelope(5, 9), 502), Ok(Admitted::Place(_))));
}

#[test]
fn what_was_pending_is_replayed_in_order_after_a_restart() {
    let mut p = post(PATIENT);
    let (a, b, c) = (Seat(0), Seat(1), Seat(2));
    for key in 1..=4 {
        send(&mut p, if key % 2 == 0 { a } else { c }, b, &envelope(key, 1000), 0).unwrap();
    }
    let slow = p.hand_out(a, true, 0).or_else(|| p.hand_out(c, true, 0)).unwrap();
    assert_eq!((slow.from, slow.envelope.class, slow.envelope.task), (None, Class::Control, SLOW_DOWN));
    let first = p.hand_out(b, true, 1).unwrap();
    p.died(b, 2);
    let old = answer(Class::Ack, first.envelope.ticket);
    assert_eq!(p.settle(b, c, &old, 3), Err(Refusal::NoSuchTicket), "the one that was handed it is no more");
    for key in 1..=4 {
        let parcel = p.hand_out(b, true, 4).unwrap();
        assert_eq!((parcel.envelope.key, parcel.envelope.redelivered), (key, key == 1));
        p.settle(b, parcel.from.unwrap(), &answer(Class::Ack, parcel.envelope.ticket), 4).unwrap();
    }
    assert_eq!(p.hand_out(b, true, 5), None);
}

#[test]
fn a_breaker_trips_refuses_tries_one_and_recovers() {
    let mut p = post(BOUNDS);
    let (a, b) = (Seat(0), Seat(1));
    for key in 1..=3 {
        send(&mut p, a, b, &envelope(key, 10_000), 0).unwrap();
    }
    // Two messages are given up after five deliveries each; the sixth missing ack in a row cuts the receiver off.
    let mut now = 0;
    while p.spoke(b).unwrap().breaker.state() == State::Closed {
        p.hand_out(b, true, now);
        now += 100;
    }
    assert_eq!(p.take_untold(), Untold { tripped: b.bit(), full: b.bit(), drained: b.bit(), dead: 3 });
    assert_eq!(p.take_untold(), Untold::default());
    assert_eq!(p.spoke(b).unwrap().inbox.queue.len(), 0);
    assert_eq!(p.dead.list().count(), 3);
    assert_eq!(send(&mut p, a, b, &envelope(9, 1000), now), Err(Refusal::BreakerOpen));
    now += 500;
    assert!(send(&mut p, a, b, &envelope(9, 1000), now).is_ok());
    assert_eq!(send(&mut p, a, b, &envelope(10, 1000), now), Err(Refusal::BreakerOpen), "one at a time");
    let parcel = p.hand_out(b, true, now).unwrap();
    p.settle(b, a, &answer(Class::Ack, parcel.envelope.ticket), now).unwrap();
    assert_eq!(p.spoke(b).unwrap().breaker.state(), State::Closed);
    assert!(send(&mut p, a, b, &envelope(10, 1000), now).is_ok());
}

#[test]
fn a_storm_of_duplicates_cuts_off_its_sender_alone() {
    let mut p = post(BOUNDS);
    let (a, b, c) = (Seat(0), Seat(1), Seat(2));
    send(&mut p, c, b, &envelope(1, 1000), 0).unwrap();
    let mut n = 0;
    while send(&mut p, c, b, &envelope(1, 1000), 0) == Ok(Admitted::Duplicate) {
        n += 1;
    }
    assert_eq!(n, 9);
    assert_eq!(send(&mut p, c, a, &envelope(2, 1000), 0), Err(Refusal::BreakerOpen));
    assert!(send(&mut p, a, b, &envelope(3, 1000), 0).is_ok(), "the others go on");
    assert!(send(&mut p, b, a, &envelope(4, 1000), 0).is_ok());
}

#[test]
fn bad_fields_are_refused() {
    let mut p = post(BOUNDS);
    let good = envelope(1, 1000);
    for bad in [
        Envelope { time_to_live: 0, ..good },
        Envelope { hops: 17, ..good },
        Envelope { redelivered: true, ..good },
        Envelope { ticket: 1, ..good },
        Envelope { class: Class::Control, ..good },
        Envelope { class: Class::Ack, ..good },
    ] {
        assert_eq!(p.admit(Seat(0), Seat(1), &bad, 8, 0), Err(Refusal::EnvelopeFields));
    }
    assert_eq!(p.admit(Seat(0), Seat(1), &good, 33, 0), Err(Refusal::MessageLength));
    assert_eq!(p.admit(Seat(0), Seat(3), &good, 8, 0), Err(Refusal::HubMixed));
    assert_eq!(p.admit(Seat(3), Seat(0), &good, 8, 0), Err(Refusal::HubMixed));
    assert_eq!(p.admit(Seat(0), Seat(31), &good, 8, 0), Err(Refusal::HubMixed));
    // The end of the counter: its time is as long as that.
    assert!(send(&mut p, Seat(0), Seat(1), &good, u64::MAX - 5).is_ok());
    assert!(p.hand_out(Seat(1), true, u64::MAX - 4).is_some());
}
