// SPDX-License-Identifier: MIT OR Apache-2.0
use alloc::vec;

use ffa_abi::{Error, Func, PartitionId};

use super::{assert_error, assert_success, calls, from_partition};
use crate::manifest::{RoutingDefault, RoutingPolicy};
use crate::sim::world::{NORMAL_RAM, Spec, World, base, echo, id, request, wait};
use crate::{Exit, Lines, Pa, Port, Space};

const CREATE: u64 = Func::NotificationBitmapCreate.id32() as u64;
const DESTROY: u64 = Func::NotificationBitmapDestroy.id32() as u64;
const BIND: u64 = Func::NotificationBind.id32() as u64;
const UNBIND: u64 = Func::NotificationUnbind.id32() as u64;
const SET: u64 = Func::NotificationSet.id32() as u64;
const GET: u64 = Func::NotificationGet.id32() as u64;
const INFO: u64 = Func::NotificationInfoGet.id64() as u64;
const SEND: u64 = Func::MsgSend2.id32() as u64;
const MAP: u64 = Func::RxTxMap.id64() as u64;
const TX: u64 = NORMAL_RAM.0;
const RX: u64 = NORMAL_RAM.0 + 0x1000;

fn two() -> World {
    World::booted(&[Spec::default(), Spec::default()], 1)
}

#[test]
fn a_partition_signals_the_normal_world_which_is_interrupted_once() {
    let mut w = two();
    assert_success(&w.plain([CREATE, 0, 4, 0, 0, 0, 0, 0]), 0);
    assert_error(&w.plain([CREATE, 0, 4, 0, 0, 0, 0, 0]), Error::Denied);
    assert_success(&w.plain([BIND, 0x8001_0000, 0, 0b100, 1 << 31, 0, 0, 0]), 0);
    assert_error(&w.plain([BIND, 0x8002_0000, 0, 0b100, 0, 0, 0, 0]), Error::Denied);
    assert_error(&from_partition(&mut w, 1, [SET, 0x8002_0000, 0, 0b100, 0, 0, 0, 0]), Error::Denied);
    assert_error(&from_partition(&mut w, 1, [SET, 0x8001_0000, 0, 0b100, 0, 0, 0, 0]), Error::InvalidParameters);
    assert_success(&from_partition(&mut w, 0, [SET, 0x8001_0000, 0, 0b100, 1 << 31, 0, 0, 0]), 0);
    assert_success(&from_partition(&mut w, 0, [SET, 0x8001_0000, 0, 0b100, 0, 0, 0, 0]), 0);
    assert_eq!(w.machine.raised(), 1, "what was pending already raises nothing");
    assert_error(&w.plain([UNBIND, 0x8001_0000, 0, 0b100, 0, 0, 0, 0]), Error::Denied);
    let info = w.plain([INFO, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(info.x[..4], [Func::Success.id64() as u64, 0, 1 << 7, 0]);
    assert_error(&w.plain([INFO, 0, 0, 0, 0, 0, 0, 0]), Error::NoData);
    let got = w.plain([GET, 0, 0b1, 0, 0, 0, 0, 0]);
    assert_eq!(got.x[..8], [Func::Success.id32() as u64, 0, 0b100, 1 << 31, 0, 0, 0, 0]);
    assert_success(&w.plain([UNBIND, 0x8001_0000, 0, 0b100, 1 << 31, 0, 0, 0]), 0);
    assert_success(&w.plain([DESTROY, 0, 0, 0, 0, 0, 0, 0]), 0);
}

#[test]
fn without_a_bitmap_nothing_is_ever_raised() {
    let mut w = two();
    assert_success(&from_partition(&mut w, 0, [BIND, 0x8001, 0, 1, 0, 0, 0, 0]), 0);
    assert_success(&w.plain([SET, 0x8001, 0, 1, 0, 0, 0, 0]), 0);
    assert_eq!(w.machine.raised(), 0);
    let got = from_partition(&mut w, 0, [GET, 0x8001, 0b11, 0, 0, 0, 0, 0]);
    assert_eq!(got.x[..8], [Func::Success.id32() as u64, 0, 0, 0, 1, 0, 0, 0]);
}

#[test]
fn bad_notification_calls_are_refused() {
    let mut w = two();
    assert_success(&w.plain([CREATE, 0, 4, 0, 0, 0, 0, 0]), 0);
    for (call, error) in [
        ([CREATE, 1, 0, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([CREATE, 1, 65535, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([CREATE, 1, 65537, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([CREATE, 0x8001, 1, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([DESTROY, 7, 0, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([BIND, 0x8001_0000, 2, 1, 0, 0, 0, 0], Error::InvalidParameters),
        ([BIND, 0x8001_0000, 0, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([BIND, 0x8001_8002, 0, 1, 0, 0, 0, 0], Error::InvalidParameters),
        ([BIND, 0x8009_0000, 0, 1, 0, 0, 0, 0], Error::InvalidParameters),
        ([BIND, 0x0000_0000, 0, 1, 0, 0, 0, 0], Error::InvalidParameters),
        ([BIND, 0x0003_0000, 0, 1, 0, 0, 0, 0], Error::InvalidParameters),
        ([BIND, 0x8001_0005, 0, 1, 0, 0, 0, 0], Error::InvalidParameters),
        ([UNBIND, 0x8001_0000, 0, 1, 0, 0, 0, 0], Error::Denied),
        ([SET, 0x8001, 0, 1, 0, 0, 0, 0], Error::Denied),
        ([SET, 0x8001, 0x1_0000, 1, 0, 0, 0, 0], Error::InvalidParameters),
        ([SET, 0x8001, 4, 1, 0, 0, 0, 0], Error::InvalidParameters),
        ([GET, 0, 0x10, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([GET, 4 << 16, 1, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([GET, 0x8001, 1, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([INFO, 0, 0, 0, 0, 0, 0, 0], Error::NoData),
    ] {
        assert_error(&w.plain(call), error);
    }
    assert_success(&w.plain([BIND, 0x8001_0000, 0, 0, 1 << 31, 0, 0, 0]), 0);
    assert_error(&from_partition(&mut w, 0, [CREATE, 2, 1, 0, 0, 0, 0, 0]), Error::NotSupported);
}

/// What the paravirtual interrupt controller gives a partition next.
fn taken(w: &mut World, n: u16) -> u64 {
    let mut got = None;
    w.call(0, request(PartitionId::NORMAL_WORLD, id(n), 0), &mut |_, _, regs| {
        if regs.fid() == Func::DirectReq.id32() {
            regs.set8([0xff04, 0, 0, 0, 0, 0, 0, 0]);
            return Exit::Hvc;
        }
        got = Some(regs.x[0]);
        calls(regs, [Func::DirectResp.id32() as u64, (id(n).0 as u64) << 16, 0, 0, 0, 0, 0, 0])
    });
    got.expect("it was answered")
}

fn lines(w: &World, n: u16) -> alloc::vec::Vec<bool> {
    w.partition(n).contexts().iter().map(|c| c.context().lines.lock().unwrap().contains(Lines::IRQ)).collect()
}

const NOTHING: u64 = u32::MAX as u64;
const NPI: u64 = 5;

#[test]
fn a_partition_is_interrupted_for_a_notification_once_until_it_asks() {
    let mut w = two();
    assert_success(&from_partition(&mut w, 0, [Func::Features.id32() as u64, 1, 0, 0, 0, 0, 0, 0]), NPI);
    assert_success(&from_partition(&mut w, 0, [BIND, 0x8001, 0, 0b11, 0, 0, 0, 0]), 0);
    assert_eq!((lines(&w, 0), taken(&mut w, 0)), (vec![false], NOTHING));
    assert_success(&w.plain([SET, 0x8001, 0, 0b01, 0, 0, 0, 0]), 0);
    assert_eq!(lines(&w, 0), [true]);
    assert_eq!((taken(&mut w, 0), taken(&mut w, 0)), (NPI, NOTHING));
    assert_success(&w.plain([SET, 0x8001, 0, 0b10, 0, 0, 0, 0]), 0);
    assert_eq!((lines(&w, 0), taken(&mut w, 0)), (vec![false], NOTHING), "it has not asked yet");
    // The second signal is in the same answer; what comes after it interrupts again.
    assert_eq!(from_partition(&mut w, 0, [GET, 0x8001, 0b10, 0, 0, 0, 0, 0]).x[4], 0b11);
    assert_success(&w.plain([SET, 0x8001, 0, 0b01, 0, 0, 0, 0]), 0);
    assert_eq!(lines(&w, 0), [true]);
    // One that asks without having been interrupted is not interrupted for what it has got.
    assert_eq!(from_partition(&mut w, 0, [GET, 0x8001, 0b10, 0, 0, 0, 0, 0]).x[4], 0b01);
    assert_eq!((lines(&w, 0), taken(&mut w, 0)), (vec![false], NOTHING));
}

#[test]
fn a_notification_for_one_context_interrupts_that_one_and_one_for_all_whichever_asks_first() {
    let mut w = World::booted(&[Spec { contexts: 2, ..Spec::default() }], 2);
    assert_success(&from_partition(&mut w, 0, [BIND, 0x8001, 0, 0b01, 0, 0, 0, 0]), 0);
    assert_success(&from_partition(&mut w, 0, [BIND, 0x8001, 1, 0b10, 0, 0, 0, 0]), 0);
    assert_success(&w.plain([SET, 0x8001, 1 << 16 | 1, 0b10, 0, 0, 0, 0]), 0);
    assert_eq!(lines(&w, 0), [false, true]);
    assert_success(&w.plain([SET, 0x8001, 0, 0b01, 0, 0, 0, 0]), 0);
    assert_eq!(lines(&w, 0), [true, true]);
    assert_eq!(from_partition(&mut w, 0, [GET, 0x8001, 0b10, 0, 0, 0, 0, 0]).x[4], 0b01);
    assert_eq!(lines(&w, 0), [false, true], "the other one still has its own");
    assert_eq!(from_partition(&mut w, 0, [GET, 0x1_8001, 0b10, 0, 0, 0, 0, 0]).x[4], 0b10);
    assert_eq!(lines(&w, 0), [false, false]);
}

#[test]
fn a_partition_that_never_takes_its_interrupt_keeps_nobody() {
    let mut w = two();
    assert_success(&from_partition(&mut w, 0, [BIND, 0x8001, 0, 1, 0, 0, 0, 0]), 0);
    assert_success(&w.plain([SET, 0x8001, 0, 1, 0, 0, 0, 0]), 0);
    for n in 0..10 {
        let r = w.call(0, request(PartitionId::NORMAL_WORLD, id(0), n), &mut |_, _, regs| echo(regs));
        assert_eq!(r.x[4], 0x1000 + n);
        assert_eq!(w.plain([Func::Interrupt.id32() as u64, 0, 0, 0, 0, 0, 0, 0]).fid(), Func::NormalWorldResume.id32());
    }
    assert!(w.machine.gic.lock().unwrap().kicks.is_empty(), "nothing asks for the CPU");
    assert_eq!(lines(&w, 0), [true]);
}

#[test]
fn a_partition_that_starts_again_is_interrupted_for_what_came_meanwhile() {
    let restarts = Spec { abort: crate::manifest::AbortAction::Restart, contexts: 2, ..Spec::default() };
    let mut w = World::booted(&[restarts], 2);
    let mut first = true;
    w.call(0, request(PartitionId::NORMAL_WORLD, id(0), 0), &mut |_, _, regs| {
        if core::mem::take(&mut first) { Exit::Fault } else { wait(regs) }
    });
    assert_success(&from_partition(&mut w, 0, [BIND, 0x8001, 0, 1, 0, 0, 0, 0]), 0);
    assert_success(&w.plain([SET, 0x8001, 0, 1, 0, 0, 0, 0]), 0);
    let r = w.call(1, request(PartitionId::NORMAL_WORLD, id(0), 0), &mut |_, _, regs| wait(regs));
    assert_error(&r, Error::Retry);
    assert_eq!(lines(&w, 0), [true, true], "the context that started after the signal too");
    assert_eq!(taken(&mut w, 0), NPI);
}

#[test]
fn a_delayed_signal_tells_the_scheduler_when_the_normal_world_runs_again() {
    let mut w = two();
    assert_success(&w.plain([CREATE, 0, 4, 0, 0, 0, 0, 0]), 0);
    assert_success(&w.plain([BIND, 0x8001_0000, 0, 1, 0, 0, 0, 0]), 0);
    let machine = w.machine;
    w.call(0, request(PartitionId::NORMAL_WORLD, id(0), 0), &mut |_, _, regs| {
        if regs.fid() == Func::DirectReq.id32() {
            return calls(regs, [SET, 0x8001_0000, 2, 1, 0, 0, 0, 0]);
        }
        assert_success(regs, 0);
        assert_eq!(machine.raised(), 0, "the partition goes on");
        calls(regs, [Func::DirectResp.id32() as u64, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0])
    });
    assert_eq!(machine.raised(), 1);
    assert_success(&w.plain([GET, 0, 1, 0, 0, 0, 0, 0]), 1);
    w.call(0, request(PartitionId::NORMAL_WORLD, id(0), 0), &mut |_, _, regs| echo(regs));
    assert_eq!(machine.raised(), 1, "once");
}

/// Writes a message of v1.1 into a TX buffer.
fn write_message(w: &World, tx: u64, space: Space, ends: u32, offset: u32, text: &[u8], size: u32) {
    let mut raw = alloc::vec![0u8; offset as usize];
    for (at, word) in [(8, offset), (12, ends), (16, size)] {
        raw[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    raw.extend_from_slice(text);
    w.machine.write(space, Pa(tx), &raw).unwrap();
}

fn messaging() -> World {
    let mut w = two();
    assert_success(&w.plain([MAP, TX, RX, 1, 0, 0, 0, 0]), 0);
    for n in 0..2 {
        assert_success(&from_partition(&mut w, n, [MAP, base(n), base(n) + 0x1000, 1, 0, 0, 0, 0]), 0);
    }
    w
}

#[test]
fn messages_go_both_ways_and_between_partitions() {
    let mut w = messaging();
    let text = [0x5a; 300];
    write_message(&w, TX, Space::NonSecure, 0x8001, 20, &text, 300);
    assert_success(&w.plain([SEND, 0, 0, 0, 0, 0, 0, 0]), 0);
    let mut got = [0; 320];
    w.machine.read(Space::Secure, Pa(base(0) + 0x1000), &mut got).unwrap();
    assert_eq!(got[12..20], [0x01, 0x80, 0, 0, 44, 1, 0, 0]);
    assert_eq!(got[20..], text);
    // Full until it is released; the framework says so.
    assert_error(&w.plain([SEND, 0, 0, 0, 0, 0, 0, 0]), Error::Busy);
    let pending = from_partition(&mut w, 0, [GET, 0x8001, 0b100, 0, 0, 0, 0, 0]);
    assert_eq!(pending.x[6], 1);
    assert_success(&from_partition(&mut w, 0, [Func::RxRelease.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), 0);
    write_message(&w, base(0), Space::Secure, 0x8001_8002, 64, b"sideways", 8);
    assert_success(&from_partition(&mut w, 0, [SEND, 0, 0, 0, 0, 0, 0, 0]), 0);
    write_message(&w, base(1), Space::Secure, 0x8002_0000, 20, b"up", 2);
    assert_success(&from_partition(&mut w, 1, [SEND, 0x8002_0000, 2, 0, 0, 0, 0, 0]), 0);
    let mut up = [0; 22];
    w.machine.read(Space::NonSecure, Pa(RX), &mut up).unwrap();
    assert_eq!(&up[20..], b"up");
}

#[test]
fn bad_messages_are_refused() {
    let mut w = messaging();
    for (ends, offset, size, error) in [
        (0x8009, 20, 4, Error::InvalidParameters),
        (0x0001, 20, 4, Error::InvalidParameters),
        (0x0000, 20, 4, Error::InvalidParameters),
        (0x8002_8001, 20, 4, Error::InvalidParameters),
        (0x8001, 20, 0, Error::InvalidParameters),
        (0x8001, 20, 4077, Error::InvalidParameters),
        (0x8001, 20, u32::MAX, Error::InvalidParameters),
        (0x8001, 22, 4, Error::InvalidParameters),
    ] {
        write_message(&w, TX, Space::NonSecure, ends, offset, b"text", size);
        assert_error(&w.plain([SEND, 0, 0, 0, 0, 0, 0, 0]), error);
    }
    write_message(&w, TX, Space::NonSecure, 0x8001, 20, b"text", 4);
    w.machine.write(Space::NonSecure, Pa(TX + 8), &16u32.to_le_bytes()).unwrap();
    assert_error(&w.plain([SEND, 0, 0, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    assert_error(&w.plain([SEND, 0, 4, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    assert_error(&w.plain([SEND, 0x8001_0000, 0, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    let mut w = two();
    assert_error(&w.plain([SEND, 0, 0, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    assert_success(&w.plain([MAP, TX, RX, 1, 0, 0, 0, 0]), 0);
    write_message(&w, TX, Space::NonSecure, 0x8001, 20, b"text", 4);
    assert_error(&w.plain([SEND, 0, 0, 0, 0, 0, 0, 0]), Error::Denied);
}

#[test]
fn the_routing_policy_covers_notifications() {
    let hub = RoutingPolicy { default: RoutingDefault::Hub, ..RoutingPolicy::default() };
    let mut w = World::cold_with(&[Spec::default(), Spec::default()], 1, hub);
    w.start(0, &mut |_, _, regs| wait(regs));
    assert_error(&from_partition(&mut w, 0, [BIND, 0x8002_8001, 0, 1, 0, 0, 0, 0]), Error::Denied);
    assert_success(&from_partition(&mut w, 0, [BIND, 0x8001, 0, 1, 0, 0, 0, 0]), 0);
}
