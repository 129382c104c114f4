// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages with envelopes, from TX buffer to RX buffer.

use ffa_abi::envelope::{Class, Envelope, RESUME, SIZE, SLOW_DOWN};
use ffa_abi::hub::{HubCall, HubError};
use ffa_abi::{Error, Func, Regs};

use super::{assert_error, assert_success, calls, from_partition};
use crate::manifest::{AbortAction, HubPolicy, HubQueue, Party, PeerRule, RoutingDefault, RoutingPolicy};
use crate::sim::world::{NORMAL_RAM, Spec, World, base, id, request, wait};
use crate::{Exit, Pa, Port, Space};

const SEND: u64 = Func::MsgSend2.id32() as u64;
const RELEASE: u64 = Func::RxRelease.id32() as u64;
const MAP: u64 = Func::RxTxMap.id64() as u64;
const TX: u64 = NORMAL_RAM.0;
const RX: u64 = NORMAL_RAM.0 + 0x1000;

/// Two partitions that opted in, the second one coordinates; one that did not.
fn world() -> World {
    let queue = Some(HubQueue { messages: 4, bytes: 128 });
    let opted = Spec { queue, abort: AbortAction::Restart, ..Spec::default() };
    let policy = HubPolicy { queue_messages: 4, coordinator: Party::Partition(1), ..HubPolicy::default() };
    let mut w = World::with_policies(&[opted.clone(), opted, Spec::default()], 1, RoutingPolicy::default(), policy);
    assert_success(&w.plain([MAP, TX, RX, 1, 0, 0, 0, 0]), 0);
    for n in 0..3 {
        map(&mut w, n);
    }
    w
}

pub(super) fn map(w: &mut World, n: u16) {
    assert_success(&from_partition(w, n, [MAP, base(n), base(n) + 0x1000, 1, 0, 0, 0, 0]), 0);
}

pub(super) fn dispatch(key: u64) -> Envelope {
    let class = Class::Dispatch;
    Envelope { class, hops: 0, redelivered: false, time_to_live: 500, task: 9, correlation: 8, key, ticket: 0 }
}

pub(super) fn ack(ticket: u64) -> Envelope {
    Envelope { class: Class::Ack, ticket, ..dispatch(0) }
}

/// Sends as partition `n`.
pub(super) fn send(w: &mut World, n: u16, to: u16, e: &Envelope, text: &[u8]) -> Regs {
    let at = base(n);
    let ends = u32::from(id(n).0) << 16 | u32::from(to);
    let put = |offset: u64, bytes: &[u8]| w.machine.write(Space::Secure, Pa(at + offset), bytes).unwrap();
    for (n, word) in [0, 0, 48, ends, (SIZE + text.len()) as u32].iter().enumerate() {
        put(n as u64 * 4, &word.to_le_bytes());
    }
    put(48, &e.encode());
    put(48 + SIZE as u64, text);
    from_partition(w, n, [SEND, 0, 0, 0, 0, 0, 0, 0])
}

/// Reads what partition `n` has in its RX buffer: who sent it, the envelope, the payload.
pub(super) fn read(w: &World, n: u16) -> (u16, Envelope, alloc::vec::Vec<u8>) {
    let mut bytes = [0; 256];
    w.machine.read(Space::Secure, Pa(base(n) + 0x1000), &mut bytes).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (offset, ends, size) = (word(8) as usize, word(12), word(16) as usize);
    assert_eq!(ends as u16, id(n).0);
    let message = &bytes[offset..offset + size];
    ((ends >> 16) as u16, Envelope::decode(message[..SIZE].try_into().unwrap()).unwrap(), message[SIZE..].to_vec())
}

pub(super) fn release(w: &mut World, n: u16) -> Regs {
    from_partition(w, n, [RELEASE, 0, 0, 0, 0, 0, 0, 0])
}

#[test]
fn a_message_waits_until_it_is_acked_and_the_next_one_follows() {
    let mut w = world();
    let (a, b) = (id(0).0, id(1).0);
    assert_success(&send(&mut w, 0, b, &dispatch(1), b"first"), 0);
    assert_success(&send(&mut w, 0, b, &dispatch(2), b"second"), 0);
    let (from, e, text) = read(&w, 1);
    assert_eq!((from, e.key, e.redelivered, &text[..]), (a, 1, false, &b"first"[..]));
    assert!(e.time_to_live <= 500 && e.ticket != 0);
    assert_success(&release(&mut w, 1), 0);
    assert_error(&release(&mut w, 1), Error::Denied);
    // Forged in each way: another ticket, another sender, by somebody else.
    assert_error(&send(&mut w, 1, a, &ack(e.ticket + 1), b""), Error::NoData);
    assert_error(&send(&mut w, 1, 0, &ack(e.ticket), b""), Error::NoData);
    assert_error(&send(&mut w, 0, b, &ack(e.ticket), b""), Error::NoData);
    assert_success(&send(&mut w, 1, a, &ack(e.ticket), b""), 0);
    assert_error(&send(&mut w, 1, a, &ack(e.ticket), b""), Error::NoData);
    let (_, e, text) = read(&w, 1);
    assert_eq!((e.key, &text[..]), (2, &b"second"[..]));
    assert_success(&send(&mut w, 0, b, &dispatch(2), b"second"), 0);
    assert_success(&send(&mut w, 1, a, &ack(e.ticket), b""), 0);
    assert_success(&release(&mut w, 1), 0);
    assert_error(&release(&mut w, 1), Error::Denied);
}

#[test]
fn a_partition_that_dies_gets_what_it_had_again() {
    let mut w = world();
    let b = id(1).0;
    for key in 1..=2 {
        assert_success(&send(&mut w, 0, b, &dispatch(key), b"work"), 0);
    }
    let ticket = read(&w, 1).1.ticket;
    let mut restarted = false;
    w.call(0, request(ffa_abi::PartitionId::NORMAL_WORLD, id(1), 0), &mut |_, _, regs| {
        if regs.fid() == Func::DirectReq.id32() {
            return Exit::Fault;
        }
        // Again from its entry point: its buffers are gone, and the message with them.
        if !restarted {
            restarted = true;
            return calls(regs, [MAP, base(1), base(1) + 0x1000, 1, 0, 0, 0, 0]);
        }
        wait(regs)
    });
    assert!(restarted);
    let (_, e, _) = read(&w, 1);
    assert_eq!((e.key, e.redelivered, e.ticket), (1, true, ticket));
    assert_success(&send(&mut w, 1, id(0).0, &ack(ticket), b""), 0);
    assert_success(&release(&mut w, 1), 0);
    let (_, e, _) = read(&w, 1);
    assert_eq!((e.key, e.redelivered), (2, false));
}

#[test]
fn waiting_keeps_a_message_that_is_not_acked() {
    let mut w = world();
    assert_success(&send(&mut w, 0, id(1).0, &dispatch(1), b"x"), 0);
    let run = [Func::Run.id32() as u64, u64::from(id(1).0) << 16, 0, 0, 0, 0, 0, 0];
    w.call(0, run, &mut |_, _, regs| wait(regs));
    let (_, e, _) = read(&w, 1);
    assert!(w.partition(1).mailbox.lock().rx_is_with_consumer());
    assert_success(&send(&mut w, 1, id(0).0, &ack(e.ticket), b""), 0);
    w.call(0, run, &mut |_, _, regs| wait(regs));
    assert!(!w.partition(1).mailbox.lock().rx_is_with_consumer());
}

#[test]
fn a_full_queue_is_busy_and_its_sender_is_told_once_each_way() {
    let mut w = world();
    let (a, b) = (id(0).0, id(1).0);
    // Three of four: the last place is for others.
    for key in 1..=3 {
        assert_success(&send(&mut w, 0, b, &dispatch(key), b"x"), 0);
    }
    assert_error(&send(&mut w, 0, b, &dispatch(4), b"x"), Error::Busy);
    let (from, e, _) = read(&w, 0);
    assert_eq!((from, e.class, e.task, e.correlation), (0x8000, Class::Control, SLOW_DOWN, b.into()));
    assert_success(&release(&mut w, 0), 0);
    assert_error(&release(&mut w, 0), Error::Denied);
    for key in 1..=3 {
        let (_, e, _) = read(&w, 1);
        assert_eq!(e.key, key);
        assert_success(&release(&mut w, 1), 0);
        assert_success(&send(&mut w, 1, a, &ack(e.ticket), b""), 0);
    }
    let (from, e, _) = read(&w, 0);
    assert_eq!((from, e.class, e.task, e.correlation), (0x8000, Class::Control, RESUME, b.into()));
    assert_success(&release(&mut w, 0), 0);
    assert_error(&release(&mut w, 0), Error::Denied);
}

#[test]
fn bad_messages_are_refused() {
    let mut w = world();
    let (b, plain) = (id(1).0, id(2).0);
    let good = dispatch(1);
    assert_error(&send(&mut w, 1, plain, &good, b"x"), Error::Denied);
    assert_error(&send(&mut w, 2, b, &good, b"x"), Error::Denied);
    assert_error(&send(&mut w, 0, b, &Envelope { time_to_live: 0, ..good }, b"x"), Error::InvalidParameters);
    assert_error(&send(&mut w, 0, b, &Envelope { class: Class::Control, ..good }, b"x"), Error::InvalidParameters);
    assert_error(&send(&mut w, 0, b, &Envelope { ticket: 3, ..good }, b"x"), Error::InvalidParameters);
    assert_error(&send(&mut w, 0, b, &good, &[1; 65]), Error::InvalidParameters);
    assert_success(&send(&mut w, 0, b, &good, &[1; 64]), 0);
    // The size in the message header is less than an envelope.
    w.machine.write(Space::Secure, Pa(base(0) + 16), &63u32.to_le_bytes()).unwrap();
    assert_error(&from_partition(&mut w, 0, [SEND, 0, 0, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    w.machine.write(Space::Secure, Pa(base(0) + 16), &64u32.to_le_bytes()).unwrap();
    for (at, value) in [(0, 9), (1, 0), (3, 2), (40, 1), (63, 1)] {
        w.machine.write(Space::Secure, Pa(base(0) + 48), &good.encode()).unwrap();
        w.machine.write(Space::Secure, Pa(base(0) + 48 + at), &[value]).unwrap();
        assert_error(&from_partition(&mut w, 0, [SEND, 0, 0, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    }
}

#[test]
fn a_storm_of_denials_cuts_the_spoke_off() {
    let queue = Some(HubQueue { messages: 4, bytes: 128 });
    let opted = Spec { queue, ..Spec::default() };
    // Here the Normal world coordinates.
    let mut w = World::with_hub(&[opted.clone(), opted], 1, HubPolicy::default());
    assert_success(&w.plain([MAP, TX, RX, 1, 0, 0, 0, 0]), 0);
    map(&mut w, 0);
    map(&mut w, 1);
    assert_success(&send(&mut w, 0, 0, &dispatch(1), b"x"), 0);
    for _ in 0..16 {
        assert_error(&send(&mut w, 0, id(1).0, &dispatch(2), b"x"), Error::Denied);
    }
    assert_error(&send(&mut w, 0, 0, &dispatch(3), b"x"), Error::Denied);
    assert_success(&send(&mut w, 1, 0, &dispatch(3), b"x"), 0);
    w.machine.pass_time(w.machine.counter_hz() * 2);
    assert_success(&send(&mut w, 0, 0, &dispatch(3), b"x"), 0);
}

#[test]
fn without_their_coordinator_spokes_finish_what_they_have_and_route_nothing() {
    let opted = Spec { queue: Some(HubQueue { messages: 4, bytes: 128 }), ..Spec::default() };
    // The third one coordinates; that the Normal world reaches all of them is the test's own way in.
    let coordinator = Party::Partition(2);
    let mut routing = RoutingPolicy { default: RoutingDefault::Hub, coordinator, ..RoutingPolicy::default() };
    for n in 0..3 {
        let (from, to) = (Party::NormalWorld, Party::Partition(n));
        routing.peers.push(PeerRule { from, to, messages: true, memory: false, one_way: false });
    }
    let policy = HubPolicy { coordinator, ..HubPolicy::default() };
    let mut w = World::with_policies(&[opted.clone(), opted.clone(), opted], 1, routing, policy);
    (0..3).for_each(|n| map(&mut w, n));
    let ask = |w: &mut World, by: u16, call: HubCall| {
        let [a, b, c, d, e] = call.encode();
        let ends = u64::from(id(by).0) << 16 | 0x8ff0;
        from_partition(w, by, [Func::DirectReq.id64() as u64, ends, 0, a, b, c, d, e]).x[3]
    };
    let open = |correlation| HubCall::OpenWindow(super::hub::window(&[0, 1], correlation));
    assert_eq!(ask(&mut w, 2, open(1)), 0);
    let (a, b) = (id(0).0, id(1).0);
    for key in 1..=2 {
        assert_success(&send(&mut w, 0, b, &dispatch(key), b"work"), 0);
    }
    let dies = request(ffa_abi::PartitionId::NORMAL_WORLD, id(2), 0);
    assert_error(&w.call(0, dies, &mut |_, _, _| Exit::Fault), Error::Aborted);
    assert_error(&send(&mut w, 0, b, &dispatch(3), b"more"), Error::Denied);
    assert_eq!(ask(&mut w, 1, open(2)), HubError::NotCoordinator.code().into());
    for key in 1..=2 {
        let e = read(&w, 1).1;
        assert_eq!(e.key, key);
        assert_success(&send(&mut w, 1, a, &ack(e.ticket), b""), 0);
        assert_success(&release(&mut w, 1), 0);
    }
    assert_error(&send(&mut w, 1, a, &dispatch(4), b"answer"), Error::Denied);
}
