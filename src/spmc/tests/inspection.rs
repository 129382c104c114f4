// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the management service tells of queues, dead letters, windows and routes.

use alloc::vec::Vec;

use ffa_abi::PartitionId;
use ffa_abi::envelope::Envelope;
use ffa_abi::hub::{BreakerState, EVENT_RECORD, EventKind, EventRecord, HubCall, List, ROUTE_RECORD, RouteRecord};

use super::NWD;
use super::appointment::{connect, milliseconds, next, world, world_of};
use super::assert_success;
use super::hub::{hub, list};
use super::supervised::{ack, dispatch, read, release, send};
use crate::manifest::HubPolicy;
use crate::sim::world::{World, id};

/// The events: what, about whom, who else, a number.
fn events(w: &mut World) -> Vec<(EventKind, PartitionId, PartitionId, u32)> {
    let raw = list::<EVENT_RECORD>(w, HubCall::List(List::Events(0)));
    let all = raw.iter().map(|r| EventRecord::decode(r).expect("a good record"));
    all.map(|e| (e.kind, e.who, e.other, e.detail)).collect()
}

fn routes(w: &mut World, from: u32) -> Vec<RouteRecord> {
    let raw = list::<ROUTE_RECORD>(w, HubCall::List(List::Routes(from)));
    raw.iter().map(|r| RouteRecord::decode(r).expect("a good record")).collect()
}

#[test]
fn queues_that_fill_and_drain_are_told_once_each_way_and_windows_when_they_open_and_close() {
    let mut w = world();
    connect(&mut w);
    for key in 1..=7 {
        assert_success(&send(&mut w, 0, id(1).0, &dispatch(key), b"x"), 0);
    }
    for _ in 1..=7 {
        let ticket = read(&w, 1).1.ticket;
        assert_success(&release(&mut w, 1), 0);
        assert_success(&send(&mut w, 1, id(0).0, &ack(ticket), b""), 0);
    }
    while events(&mut w).len() < 4 {
        next(&mut w, 0);
    }
    let (window, nobody) = (0x100, PartitionId(0xffff));
    assert_eq!(
        events(&mut w),
        [
            (EventKind::WindowOpened, id(0), id(1), window),
            (EventKind::Queue, id(1), nobody, 0),
            (EventKind::Queue, id(1), nobody, 0),
            (EventKind::WindowClosed, id(0), id(1), window),
        ]
    );
}

#[test]
fn dead_letters_are_told_in_one_record_and_counted_when_they_are_evicted() {
    let mut w = world_of(HubPolicy { dead_letters: 2, ..HubPolicy::default() });
    for key in 1..=3 {
        assert_success(&send(&mut w, 0, 0, &Envelope { time_to_live: 1, ..dispatch(key) }, b"x"), 0);
    }
    next(&mut w, 0);
    assert_success(&w.plain([ffa_abi::Func::RxRelease.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), 0);
    assert_eq!(events(&mut w), [(EventKind::DeadLetter, NWD, id(0), 3)]);
    let [count, _, _, evicted] = hub(&mut w, HubCall::Keep(List::DeadLetters(0))).unwrap();
    assert_eq!((count, evicted), (2, 1));
}

#[test]
fn routes_are_listed_while_their_breaker_is_not_closed() {
    let mut policy = HubPolicy::default();
    policy.breaker.expiries = 2;
    let mut w = world_of(policy);
    assert_eq!(routes(&mut w, 0), []);
    for key in 1..=2 {
        assert_success(&send(&mut w, 0, 0, &Envelope { time_to_live: 1, ..dispatch(key) }, b"x"), 0);
    }
    let now = next(&mut w, 0);
    assert_success(&w.plain([ffa_abi::Func::RxRelease.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), 0);
    let [route] = routes(&mut w, 0)[..] else { panic!("one route") };
    assert_eq!((route.from, route.to, route.breaker), (id(0), NWD, BreakerState::Open));
    assert!(route.until >= now + milliseconds(&w, 1000));
    assert_eq!(routes(&mut w, 1), []);
    w.machine.pass_time(milliseconds(&w, 1001));
    let [route] = routes(&mut w, 0)[..] else { panic!("one route") };
    assert_eq!((route.breaker, route.until), (BreakerState::HalfOpen, 0), "as of now");
}
