// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hub's timer: what is due happens though nobody calls, as often as it may and no more.

use ffa_abi::hub::{Closed, Control, EventKind, HubCall, List};
use ffa_abi::{Error, Func, PartitionId};

use super::hub::{ask, hub, list, map_buffers, summaries, window};
use super::supervised::{ack, dispatch, map, read, release, send};
use super::{NWD, assert_error, assert_success};
use crate::manifest::{HubPolicy, HubQueue};
use crate::sim::world::{Spec, World, id, wait};
use crate::{KICK, Port};

const INTERRUPT: [u64; 8] = [Func::Interrupt.id32() as u64, 0, 0, 0, 0, 0, 0, 0];
const CREATE: u64 = Func::NotificationBitmapCreate.id32() as u64;

/// Two spokes that take part, the Normal world coordinates and asks to be told of schedules. Two CPUs.
pub(super) fn world() -> World {
    world_of(HubPolicy::default())
}

pub(super) fn world_of(policy: HubPolicy) -> World {
    let spec = Spec { queue: Some(HubQueue { messages: 8, bytes: 128 }), ..Spec::default() };
    let mut w = World::with_hub(&[spec.clone(), spec], 2, policy);
    map_buffers(&mut w);
    assert_success(&w.plain([CREATE, 0, 2, 0, 0, 0, 0, 0]), 0);
    (0..2).for_each(|n| map(&mut w, n));
    w
}

/// Makes a window between the two, so that they may exchange envelopes.
pub(super) fn connect(w: &mut World) {
    hub(w, HubCall::OpenWindow(window(&[0, 1], 1))).unwrap();
}

pub(super) fn milliseconds(w: &World, n: u64) -> u64 {
    w.machine.counter_hz() / 1000 * n
}

fn wake(w: &World, cpu: usize) -> Option<u64> {
    w.machine.gic.lock().unwrap().wakes.get(&cpu).copied()
}

/// A Secure interrupt comes to a CPU while the Normal world runs.
fn interrupt(w: &mut World, cpu: usize) {
    let r = w.call(cpu, INTERRUPT, &mut |_, _, regs| wait(regs));
    assert_eq!(r.x[0], Func::NormalWorldResume.id32() as u64);
}

/// Lets time pass up to what the timer of a CPU is set to, and that come. Returns when it was.
pub(super) fn next(w: &mut World, cpu: usize) -> u64 {
    let at = wake(w, cpu).expect("the timer is set");
    w.machine.pass_time(at.saturating_sub(w.machine.now()));
    interrupt(w, cpu);
    at
}

/// The same; it is to be so many milliseconds after `start`, but for the ticks that calls take.
#[track_caller]
fn next_at(w: &mut World, start: u64, after: u64) {
    let (want, at) = (start + milliseconds(w, after), next(w, 0));
    assert!((want..want + milliseconds(w, 1) / 2).contains(&at), "{at}, not {want}");
}

/// The kinds of the events from a number on, and whom they are about.
fn events(w: &mut World, from: u64) -> alloc::vec::Vec<(EventKind, PartitionId)> {
    let raw = list(w, HubCall::List(List::Events(from)));
    raw.iter().map(|r| ffa_abi::hub::EventRecord::decode(r).unwrap()).map(|e| (e.kind, e.who)).collect()
}

fn letters(w: &mut World) -> alloc::vec::Vec<(u64, u8)> {
    let raw = list(w, HubCall::List(List::DeadLetters(0)));
    let all = raw.iter().map(|r| ffa_abi::hub::DeadLetterRecord::decode(r).unwrap());
    all.map(|l| (l.number, l.reason.code())).collect()
}

#[test]
fn without_messages_and_windows_no_timer_is_set() {
    let w = world();
    assert_eq!((wake(&w, 0), wake(&w, 1)), (None, None));
}

#[test]
fn what_is_not_acked_comes_again_and_dies_though_nobody_calls() {
    let mut w = world();
    let start = w.machine.now();
    connect(&mut w);
    assert_success(&send(&mut w, 0, id(1).0, &dispatch(1), b"again"), 0);
    let first = read(&w, 1).1;
    assert_success(&release(&mut w, 1), 0);
    for n in 1..5 {
        let raised = w.machine.raised();
        next_at(&mut w, start, 100 * n);
        assert_eq!(w.machine.raised(), raised + 1, "the scheduler is told");
        let (_, e, text) = read(&w, 1);
        assert_eq!((e.ticket, e.redelivered, &text[..]), (first.ticket, true, &b"again"[..]));
        assert!(e.time_to_live <= 500 - 100 * n as u32);
        assert_success(&release(&mut w, 1), 0);
    }
    assert_eq!(letters(&mut w), []);
    next(&mut w, 0);
    assert_eq!(letters(&mut w).len(), 1);
    // What is left is the window's end; then nothing.
    next_at(&mut w, start, 1000);
    assert_eq!(wake(&w, 0), None);
}

#[test]
fn an_ack_in_time_leaves_nothing_to_do() {
    let mut w = world();
    connect(&mut w);
    assert_success(&send(&mut w, 0, id(1).0, &dispatch(1), b"x"), 0);
    let e = read(&w, 1).1;
    assert_success(&send(&mut w, 1, id(0).0, &ack(e.ticket), b""), 0);
    assert_success(&release(&mut w, 1), 0);
    next(&mut w, 0);
    assert_error(&release(&mut w, 1), Error::Denied);
    next(&mut w, 0);
    assert_eq!((wake(&w, 0), letters(&mut w)), (None, alloc::vec![]));
}

#[test]
fn messages_and_windows_end_in_time_one_after_the_other() {
    let mut w = world();
    let start = w.machine.now();
    connect(&mut w);
    for (key, time_to_live) in [(1, 5), (2, 7), (3, 7)] {
        let e = ffa_abi::envelope::Envelope { time_to_live, ..dispatch(key) };
        assert_success(&send(&mut w, 0, id(1).0, &e, b"x"), 0);
    }
    // Delivered, and kept in RX: it dies there.
    next_at(&mut w, start, 5);
    assert_eq!(letters(&mut w), [(1, 1)]);
    next_at(&mut w, start, 7);
    assert_eq!(letters(&mut w), [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(summaries(&mut w), []);
    next_at(&mut w, start, 1000);
    let ended = summaries(&mut w);
    assert_eq!(ended[0].closed, Some(Closed::Expired));
    assert!(ended[0].ended - start - milliseconds(&w, 1000) < milliseconds(&w, 1) / 2);
}

#[test]
fn one_that_sits_on_its_buffer_is_found_out() {
    let mut w = world();
    connect(&mut w);
    for key in 1..=3 {
        let e = ffa_abi::envelope::Envelope { time_to_live: 60_000, ..dispatch(key) };
        assert_success(&send(&mut w, 0, id(1).0, &e, b"x"), 0);
    }
    let raised = w.machine.raised();
    for _ in 0..4 {
        next(&mut w, 0);
    }
    assert_eq!(w.machine.raised(), raised + 4, "it is told again each time");
    assert!(!read(&w, 1).1.redelivered, "nothing is written to a buffer that it has");
    next(&mut w, 0);
    assert_eq!(letters(&mut w), [(1, 2)]);
    assert_success(&release(&mut w, 1), 0);
    assert_eq!(read(&w, 1).1.key, 2);
    // Eight missing acks in a row: the breaker opens, and lets one try after a second.
    let tripped = loop {
        let at = next(&mut w, 0);
        if letters(&mut w).len() == 3 {
            break at;
        }
    };
    assert_eq!(letters(&mut w), [(1, 2), (2, 3), (3, 3)]);
    let told = hub(&mut w, HubCall::Describe).unwrap()[3];
    while next(&mut w, 0) < tripped + milliseconds(&w, 1000) {}
    let told = events(&mut w, told).into_iter().filter(|e| e.0 != EventKind::WindowClosed);
    assert!(told.eq([(EventKind::Breaker, id(1))]));
}

#[test]
fn the_timer_is_of_the_cpu_that_calls_and_moves_when_that_goes_off() {
    let mut w = world();
    let call = ask(NWD, HubCall::OpenWindow(window(&[0, 1], 1)));
    w.call(1, call, &mut |_, _, regs| wait(regs));
    let at = wake(&w, 1).expect("on the CPU that opened the window");
    assert_eq!(wake(&w, 0), None);
    let w1 = u64::from(PartitionId::SPMD.0) << 16 | u64::from(PartitionId::SPMC.0);
    let off = [Func::DirectReq.id32() as u64, w1, 1 << 31, 0x8400_0002, 0, 0, 0, 0];
    w.call(1, off, &mut |_, _, _| panic!("nobody asked to be told"));
    assert_eq!(wake(&w, 1), None);
    assert_eq!(w.machine.gic.lock().unwrap().kicks, [Some(0)]);
    w.machine.gic.lock().unwrap().pending.push(KICK);
    interrupt(&mut w, 0);
    assert_eq!(next(&mut w, 0), at);
    assert_eq!(summaries(&mut w).len(), 1);
}

#[test]
fn a_storm_of_short_lives_interrupts_the_normal_world_a_thousand_times_a_second_at_most() {
    let mut policy = HubPolicy::default();
    policy.breaker.expiries = 0;
    let mut w = world_of(policy);
    connect(&mut w);
    let (mut before, mut key) = (None, 0);
    for _ in 0..30 {
        for _ in 0..3 {
            key += 1;
            let e = ffa_abi::envelope::Envelope { time_to_live: 1, ..dispatch(key) };
            send(&mut w, 0, id(1).0, &e, b"x");
        }
        release(&mut w, 1);
        let at = next(&mut w, 0);
        assert!(before.is_none_or(|before| at - before >= milliseconds(&w, 1)), "{before:?} {at}");
        before = Some(at);
    }
}

#[test]
fn a_cancelled_task_dies_at_once() {
    let mut w = world();
    assert_success(&send(&mut w, 0, 0, &dispatch(1), b"x"), 0);
    assert_eq!(hub(&mut w, HubCall::CancelTask(dispatch(1).task)).unwrap()[0], 1);
    next(&mut w, 0);
    assert_success(&w.plain([Func::RxRelease.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), 0);
    assert_eq!((letters(&mut w), wake(&w, 0)), (alloc::vec![(1, 5)], None));
}

#[test]
fn who_is_resumed_gets_its_messages() {
    let mut w = world();
    connect(&mut w);
    for key in 1..=2 {
        assert_success(&send(&mut w, 0, id(1).0, &dispatch(key), b"x"), 0);
    }
    let first = read(&w, 1).1;
    assert_success(&release(&mut w, 1), 0);
    hub(&mut w, HubCall::Control(Control::Pause, id(1))).unwrap();
    // Now, and when it is due.
    next(&mut w, 0);
    next(&mut w, 0);
    assert!(!w.partition(1).mailbox.lock().rx_is_with_consumer());
    hub(&mut w, HubCall::Control(Control::Resume, id(1))).unwrap();
    next(&mut w, 0);
    let again = read(&w, 1).1;
    assert_eq!((again.key, again.ticket), (1, first.ticket));
    assert!(w.partition(1).mailbox.lock().rx_is_with_consumer());
}
