// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hub as its callers see it: who talks, what windows let through, what the service answers.

use ffa_abi::hub::{
    Closed, Control, Description, Direction, EVENT_RECORD, EventRecord, HubCall, HubError, List, OpenWindow,
    PARTITION_RECORD, PartitionRecord, SERVICE, WINDOW_RECORD, WindowRecord,
};
use ffa_abi::{Error, Func, PartitionId, Regs};

use super::{assert_error, assert_untouched, calls};
use crate::manifest::{AbortAction, HubPolicy, Party};
use crate::sim::world::{NORMAL_RAM, Spec, World, echo, id, request, uuid};
use crate::{Exit, Pa, Port, Space};

const NWD: PartitionId = PartitionId::NORMAL_WORLD;
const HUB: PartitionId = PartitionId(0x8ff0);

fn three() -> World {
    World::with_hub(&alloc::vec![Spec::default(); 3], 2, HubPolicy::default())
}

pub(super) fn ask(from: PartitionId, call: HubCall) -> [u64; 8] {
    let [a, b, c, d, e] = call.encode();
    [Func::DirectReq.id64() as u64, (from.0 as u64) << 16 | HUB.0 as u64, 0, a, b, c, d, e]
}

pub(super) fn window(participants: &[u16], correlation: u64) -> OpenWindow {
    let mut ids = [PartitionId(0); 4];
    ids.iter_mut().zip(participants).for_each(|(to, n)| *to = id(*n));
    OpenWindow {
        count: participants.len() as u8,
        participants: ids,
        direction: Direction::Both,
        correlation,
        purpose: uuid(0),
        lifetime_ms: 1000,
        limit: 100,
    }
}

/// Reads a response of the service.
fn answer(regs: &Regs) -> Result<[u64; 4], HubError> {
    assert_eq!(regs.x[0], Func::DirectResp.id64() as u64, "{:x?}", regs.x);
    assert_eq!(regs.x[1] >> 16, HUB.0 as u64);
    let [_, _, w2, status, a, b, c, d, ..] = regs.x;
    assert_eq!(w2, 0);
    match status {
        0 => Ok([a, b, c, d]),
        code => Err(HubError::from_code(code).expect("a known error")),
    }
}

pub(super) fn hub(w: &mut World, call: HubCall) -> Result<[u64; 4], HubError> {
    let reply = w.plain(ask(NWD, call));
    assert_untouched(&reply);
    answer(&reply)
}

pub(super) fn map_buffers(w: &mut World) {
    let (tx, rx) = (NORMAL_RAM.0, NORMAL_RAM.0 + 0x1000);
    let r = w.plain([Func::RxTxMap.id64() as u64, tx, rx, 1, 0, 0, 0, 0]);
    assert_eq!(r.fid(), Func::Success.id32());
}

/// Asks for a list and reads it out of the RX buffer.
pub(super) fn list<const N: usize>(w: &mut World, call: HubCall) -> alloc::vec::Vec<[u8; N]> {
    let [count, size, _, _] = hub(w, call).expect("a list");
    assert_eq!(size, N as u64);
    let mut out = alloc::vec![[0; N]; count as usize];
    for (n, record) in out.iter_mut().enumerate() {
        let at = Pa(NORMAL_RAM.0 + 0x1000 + (n * N) as u64);
        w.machine.read(Space::NonSecure, at, record).unwrap();
    }
    if count > 0 {
        let r = w.plain([Func::RxRelease.id32() as u64, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(r.fid(), Func::Success.id32());
    }
    out
}

pub(super) fn summaries(w: &mut World) -> alloc::vec::Vec<WindowRecord> {
    let raw = list::<WINDOW_RECORD>(w, HubCall::List(List::Summaries(0)));
    raw.iter().map(|r| WindowRecord::decode(r).expect("a good record")).collect()
}

/// Lets the coordinator call the n-th partition, which makes `inner` once and answers with what it got in x0, x2 of
/// that.
fn through(w: &mut World, n: u16, inner: [u64; 8]) -> Regs {
    let mut got = None;
    w.call(0, request(NWD, id(n), 0), &mut |me, _, regs| {
        if me != id(n) {
            return echo(regs);
        }
        if got.is_none() && regs.fid() == Func::DirectReq.id32() {
            got = Some(Regs::ZERO);
            return calls(regs, inner);
        }
        got = Some(*regs);
        regs.set8(request(NWD, id(n), 0));
        echo(regs)
    });
    got.expect("it came back")
}

fn talk(w: &mut World, from: u16, to: u16) -> Regs {
    through(w, from, request(id(from), id(to), 7))
}

#[test]
fn without_a_hub_there_is_no_service() {
    let mut w = World::booted(&[Spec::default()], 1);
    assert_error(&w.plain(ask(NWD, HubCall::Describe)), Error::InvalidParameters);
    let [a, b, c, d] = SERVICE.words().map(u64::from);
    let r = w.plain([Func::PartitionInfoGet.id32() as u64, a, b, c, d, 1, 0, 0]);
    assert_error(&r, Error::InvalidParameters);
}

#[test]
fn the_service_is_found_and_describes_itself() {
    let mut w = three();
    let [a, b, c, d] = SERVICE.words().map(u64::from);
    let r = w.plain([Func::PartitionInfoGet.id32() as u64, a, b, c, d, 1, 0, 0]);
    assert_eq!((r.fid(), r.x[2]), (Func::Success.id32(), 1));
    let r = w.plain([Func::PartitionInfoGet.id32() as u64, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!((r.fid(), r.x[2]), (Func::Success.id32(), 4));
    let told = Description::decode(hub(&mut w, HubCall::Describe).unwrap());
    assert_eq!((told.version, told.coordinator, told.is_caller), (1 << 16, NWD, true));
    assert_eq!((told.open_windows, told.most_windows, told.next_event), (0, 8, 1));
    let from_spoke = through(&mut w, 1, ask(id(1), HubCall::Describe));
    let told = Description::decode(answer(&from_spoke).unwrap());
    assert_eq!((told.coordinator, told.is_caller), (NWD, false));
}

#[test]
fn a_spoke_talks_to_the_coordinator_and_through_a_window_only() {
    let mut w = three();
    assert_error(&talk(&mut w, 0, 1), Error::Denied);
    let [window_id, ..] = hub(&mut w, HubCall::OpenWindow(window(&[0, 1], 1))).unwrap();
    let r = talk(&mut w, 0, 1);
    assert_eq!((r.fid(), r.x[4]), (Func::DirectResp.id32(), 0x1007));
    assert_eq!(talk(&mut w, 1, 0).fid(), Func::DirectResp.id32());
    assert_error(&talk(&mut w, 0, 2), Error::Denied);
    assert_error(&talk(&mut w, 2, 0), Error::Denied);
    assert_eq!(hub(&mut w, HubCall::CloseWindow(window_id as u32)), Ok([0; 4]));
    assert_eq!(hub(&mut w, HubCall::CloseWindow(window_id as u32)), Err(HubError::NoSuchWindow));
    assert_error(&talk(&mut w, 0, 1), Error::Denied);
    map_buffers(&mut w);
    let [closed] = summaries(&mut w)[..] else { panic!("one summary") };
    assert_eq!((closed.closed, closed.correlation), (Some(Closed::ByCoordinator), 1));
    assert_eq!((closed.forward, closed.back), (1, 1));
    assert!(closed.first >= closed.opened && closed.last > closed.first && closed.ended >= closed.last);
}

#[test]
fn direction_limit_and_time_are_kept() {
    let mut w = three();
    map_buffers(&mut w);
    let one_way = OpenWindow { direction: Direction::FromFirst, limit: 2, ..window(&[1, 0, 2], 5) };
    hub(&mut w, HubCall::OpenWindow(one_way)).unwrap();
    assert_error(&talk(&mut w, 0, 1), Error::Denied);
    assert_error(&talk(&mut w, 0, 2), Error::Denied);
    assert_eq!(talk(&mut w, 1, 0).fid(), Func::DirectResp.id32());
    assert_eq!(talk(&mut w, 1, 2).fid(), Func::DirectResp.id32());
    assert_error(&talk(&mut w, 1, 2), Error::Denied);
    hub(&mut w, HubCall::OpenWindow(OpenWindow { lifetime_ms: 3, ..window(&[0, 2], 6) })).unwrap();
    assert_eq!(talk(&mut w, 0, 2).fid(), Func::DirectResp.id32());
    w.machine.pass_time(3 * w.machine.counter_hz() / 1000);
    assert_error(&talk(&mut w, 0, 2), Error::Denied);
    let all = summaries(&mut w);
    let told: alloc::vec::Vec<_> = all.iter().map(|s| (s.correlation, s.closed, s.forward, s.back)).collect();
    assert_eq!(told, [(5, Some(Closed::Exhausted), 2, 0), (6, Some(Closed::Expired), 1, 0)]);
    assert_eq!(hub(&mut w, HubCall::ForgetSummaries), Ok([2, 0, 0, 0]));
    assert!(summaries(&mut w).is_empty());
}

#[test]
fn what_came_through_a_window_is_not_passed_on() {
    let mut w = three();
    hub(&mut w, HubCall::OpenWindow(window(&[0, 1], 1))).unwrap();
    hub(&mut w, HubCall::OpenWindow(window(&[1, 2], 2))).unwrap();
    // NWd -> sp0 -> (window) sp1 -> (window) sp2: the last step is one too many, by message, by FFA_RUN.
    for forbidden in [
        request(id(1), id(2), 0),
        [Func::Run.id32() as u64, (id(2).0 as u64) << 16, 0, 0, 0, 0, 0, 0],
        [Func::MsgSend2.id32() as u64, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let (mut first, mut second) = (true, true);
        w.call(0, request(NWD, id(0), 0), &mut |me, _, regs| {
            if me == id(0) && core::mem::take(&mut first) {
                return calls(regs, request(id(0), id(1), 0));
            }
            if me == id(1) && core::mem::take(&mut second) {
                return calls(regs, forbidden);
            }
            if me == id(1) {
                assert_error(regs, Error::Denied);
                regs.set8(request(id(0), id(1), 0));
                return echo(regs);
            }
            assert_eq!(me, id(0), "sp2 is never entered");
            regs.set8(request(NWD, id(0), 0));
            echo(regs)
        });
        assert!(!second);
    }
    // By itself, sp1 may use its own window.
    assert_eq!(talk(&mut w, 1, 2).fid(), Func::DirectResp.id32());
}

#[test]
fn a_message_that_its_receiver_does_not_take_is_not_counted() {
    let mut w = three();
    map_buffers(&mut w);
    let [window_id, ..] = hub(&mut w, HubCall::OpenWindow(OpenWindow { limit: 1, ..window(&[0, 1], 1) })).unwrap();
    // sp1 is in the middle of something: it yielded.
    w.call(0, request(NWD, id(1), 0), &mut |_, _, regs| {
        regs.set8([Func::Yield.id32() as u64, 0, 0, 0, 0, 0, 0, 0]);
        Exit::Smc
    });
    assert_error(&talk(&mut w, 0, 1), Error::Busy);
    w.call(0, [Func::Run.id32() as u64, (id(1).0 as u64) << 16, 0, 0, 0, 0, 0, 0], &mut |_, _, regs| {
        regs.set8(request(NWD, id(1), 0));
        echo(regs)
    });
    assert_eq!(talk(&mut w, 0, 1).fid(), Func::DirectResp.id32());
    assert_error(&talk(&mut w, 0, 1), Error::Denied);
    let [closed] = summaries(&mut w)[..] else { panic!("one summary") };
    assert_eq!((closed.id as u64, closed.forward, closed.closed), (window_id, 1, Some(Closed::Exhausted)));
}

#[test]
fn bad_windows_are_refused() {
    let mut w = three();
    let normal = |w: OpenWindow, at: usize, id: u16| {
        let mut ids = w.participants;
        ids[at] = PartitionId(id);
        HubCall::OpenWindow(OpenWindow { participants: ids, ..w })
    };
    let good = window(&[0, 1], 1);
    for (call, why) in [
        (normal(good, 1, 0x8009), HubError::UnknownParticipant),
        (normal(good, 1, HUB.0), HubError::UnknownParticipant),
        (normal(good, 1, 0x8000), HubError::UnknownParticipant),
        (normal(good, 1, 5), HubError::UnknownParticipant),
        (normal(good, 1, 0xffff), HubError::UnknownParticipant),
        (normal(good, 1, 0), HubError::CoordinatorInWindow),
        (normal(good, 1, id(0).0), HubError::ParticipantTwice),
        (HubCall::OpenWindow(OpenWindow { count: 1, ..window(&[0], 1) }), HubError::ParticipantCount),
        (HubCall::OpenWindow(OpenWindow { count: 5, ..good }), HubError::ParticipantCount),
        (HubCall::OpenWindow(OpenWindow { lifetime_ms: 0, ..good }), HubError::Malformed),
        (HubCall::OpenWindow(OpenWindow { limit: 0, ..good }), HubError::Malformed),
        (HubCall::CloseWindow(0), HubError::NoSuchWindow),
        (HubCall::List(List::Windows(0)), HubError::NoBuffer),
    ] {
        assert_eq!(hub(&mut w, call), Err(why), "{call:?}");
    }
    hub(&mut w, HubCall::OpenWindow(good)).unwrap();
    assert_eq!(hub(&mut w, HubCall::OpenWindow(window(&[1, 2], 1))), Err(HubError::CorrelationReused));
    assert_eq!(hub(&mut w, HubCall::OpenWindow(window(&[2, 1, 0], 2))), Err(HubError::PairHasWindow));
    // Only the coordinator, whoever it says it is.
    let r = through(&mut w, 0, ask(id(0), HubCall::OpenWindow(window(&[1, 2], 3))));
    assert_eq!(answer(&r), Err(HubError::NotCoordinator));
    assert_error(&through(&mut w, 0, ask(NWD, HubCall::OpenWindow(window(&[1, 2], 3)))), Error::InvalidParameters);
    let r = w.plain(ask(PartitionId(5), HubCall::OpenWindow(window(&[1, 2], 3))));
    assert_eq!(answer(&r), Err(HubError::NotCoordinator));
    assert_error(&w.plain(ask(id(1), HubCall::Describe)), Error::InvalidParameters);
    // Not in 32 bits, and nothing beside x3-x7.
    let mut narrow = ask(NWD, HubCall::Describe);
    narrow[0] = Func::DirectReq.id32() as u64;
    assert_error(&w.plain(narrow), Error::InvalidParameters);
    let mut framework = ask(NWD, HubCall::Describe);
    framework[2] = 1 << 31;
    assert_error(&w.plain(framework), Error::InvalidParameters);
}

#[test]
fn as_many_windows_as_there_are_and_no_more() {
    let policy = HubPolicy { windows: 2, ..HubPolicy::default() };
    let mut w = World::with_hub(&alloc::vec![Spec::default(); 6], 1, policy);
    let [first, ..] = hub(&mut w, HubCall::OpenWindow(window(&[0, 1], 1))).unwrap();
    hub(&mut w, HubCall::OpenWindow(window(&[2, 3], 2))).unwrap();
    assert_eq!(hub(&mut w, HubCall::OpenWindow(window(&[4, 5], 3))), Err(HubError::TooManyWindows));
    hub(&mut w, HubCall::CloseWindow(first as u32)).unwrap();
    assert_eq!(hub(&mut w, HubCall::OpenWindow(window(&[4, 5], 1))), Err(HubError::CorrelationReused));
    let [third, ..] = hub(&mut w, HubCall::OpenWindow(window(&[4, 5], 3))).unwrap();
    assert_ne!(first, third, "an id is not given twice");
}

#[test]
fn deaths_close_windows_and_are_told() {
    let mut specs = alloc::vec![Spec::default(); 3];
    specs[1].abort = AbortAction::Restart;
    let mut w = World::with_hub(&specs, 1, HubPolicy::default());
    map_buffers(&mut w);
    hub(&mut w, HubCall::OpenWindow(window(&[0, 1], 1))).unwrap();
    let r = w.call(0, request(NWD, id(2), 0), &mut |_, _, _| Exit::Fault);
    assert_error(&r, Error::Aborted);
    assert!(summaries(&mut w).is_empty());
    assert_eq!(
        hub(&mut w, HubCall::OpenWindow(window(&[0, 2], 4))),
        Err(HubError::ParticipantDown),
        "who died takes part in nothing"
    );
    let mut died = false;
    w.call(0, request(NWD, id(1), 0), &mut |_, _, regs| {
        if core::mem::replace(&mut died, true) { crate::sim::world::wait(regs) } else { Exit::Fault }
    });
    let [closed] = summaries(&mut w)[..] else { panic!("one summary") };
    assert_eq!(closed.closed, Some(Closed::ParticipantDied));
    assert_error(&talk(&mut w, 0, 1), Error::Denied);
    let events: alloc::vec::Vec<_> = list::<EVENT_RECORD>(&mut w, HubCall::List(List::Events(0)))
        .iter()
        .map(|e| EventRecord::decode(e).expect("a good record"))
        .collect();
    use ffa_abi::hub::EventKind::*;
    let kinds: alloc::vec::Vec<_> = events.iter().map(|e| (e.kind, e.who)).collect();
    assert_eq!(
        kinds,
        [
            (WindowOpened, id(0)),
            (Fault, id(2)),
            (Fault, id(1)),
            (WindowClosed, id(0)),
            (Restart, id(1)),
            (Refusal, id(0))
        ],
        "{events:?}"
    );
    let states = list::<PARTITION_RECORD>(&mut w, HubCall::List(List::Partitions(0)));
    let states: alloc::vec::Vec<_> = states.iter().map(|r| PartitionRecord::decode(r).unwrap()).collect();
    assert_eq!(states.len(), 3);
    assert_eq!((states[2].flags, states[2].states), (PartitionRecord::DOWN, [0, 0, 0, 0, 0, 0, 0, 1]));
    assert_eq!((states[0].refusals, states[0].states[2], &states[0].name[..4]), (1, 1, &b"sp0\0"[..]));
}

#[test]
fn a_coordinator_that_dies_takes_all_windows_with_it() {
    let policy = HubPolicy { coordinator: Party::Partition(2), ..HubPolicy::default() };
    let mut w = World::with_hub(&alloc::vec![Spec::default(); 4], 1, policy);
    map_buffers(&mut w);
    // The Normal world is a spoke now.
    assert_error(&w.plain(request(NWD, id(0), 0)), Error::Denied);
    assert_eq!(hub(&mut w, HubCall::OpenWindow(window(&[0, 1], 1))), Err(HubError::NotCoordinator));
    let opened = through(&mut w, 2, ask(id(2), HubCall::OpenWindow(window(&[0, 1], 1))));
    answer(&opened).unwrap();
    let mut with_normal = window(&[0, 0], 2);
    with_normal.participants = [NWD, id(0), PartitionId(0), PartitionId(0)];
    answer(&through(&mut w, 2, ask(id(2), HubCall::OpenWindow(with_normal)))).unwrap();
    assert_eq!(talk(&mut w, 0, 1).fid(), Func::Error.id32(), "work that came through a window goes no further");
    let r = w.call(0, request(NWD, id(0), 1), &mut |_, _, regs| echo(regs));
    assert_eq!(r.fid(), Func::DirectResp.id32());
    // A spoke is shown the windows that it takes part in.
    assert_eq!(list::<WINDOW_RECORD>(&mut w, HubCall::List(List::Windows(0))).len(), 1);
    assert_error(&w.call(0, request(NWD, id(2), 0), &mut |_, _, _| Exit::Fault), Error::Aborted);
    assert_error(&w.plain(request(NWD, id(0), 0)), Error::Denied);
    let [closed] = summaries(&mut w)[..] else { panic!("one summary") };
    assert_eq!((closed.closed, closed.forward), (Some(Closed::CoordinatorGone), 2));
}

#[test]
fn who_is_cut_off_is_reached_by_nobody_and_loses_its_windows() {
    let mut w = three();
    map_buffers(&mut w);
    hub(&mut w, HubCall::OpenWindow(window(&[0, 1], 1))).unwrap();
    assert_eq!(hub(&mut w, HubCall::Control(Control::Isolate, id(1))), Ok([0; 4]));
    let [closed] = summaries(&mut w)[..] else { panic!("one summary") };
    assert_eq!(closed.closed, Some(Closed::Breaker));
    assert_error(&w.plain(request(NWD, id(1), 0)), Error::Denied);
    assert_error(&talk(&mut w, 0, 1), Error::Denied);
    assert_eq!(hub(&mut w, HubCall::OpenWindow(window(&[0, 1], 2))), Err(HubError::ParticipantDown));
    w.machine.pass_time(10 * w.machine.counter_hz());
    assert_error(&w.plain(request(NWD, id(1), 0)), Error::Denied);
    // Others do not notice.
    assert_eq!(w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| echo(regs)).fid(), Func::DirectResp.id32());
    let states = list::<PARTITION_RECORD>(&mut w, HubCall::List(List::Partitions(0)));
    let breakers = states.iter().map(|r| PartitionRecord::decode(r).unwrap().breaker);
    use ffa_abi::hub::BreakerState;
    assert!(breakers.eq([BreakerState::Closed, BreakerState::Isolated, BreakerState::Closed]));
    hub(&mut w, HubCall::Control(Control::Reset, id(1))).unwrap();
    assert_eq!(w.call(0, request(NWD, id(1), 0), &mut |_, _, regs| echo(regs)).fid(), Func::DirectResp.id32());
    // Paused is BUSY: it comes back.
    hub(&mut w, HubCall::Control(Control::Pause, id(1))).unwrap();
    assert_error(&w.plain(request(NWD, id(1), 0)), Error::Busy);
    hub(&mut w, HubCall::Control(Control::Resume, id(1))).unwrap();
    assert_eq!(w.call(0, request(NWD, id(1), 0), &mut |_, _, regs| echo(regs)).fid(), Func::DirectResp.id32());
    for (what, at, why) in [
        (Control::Isolate, PartitionId(0x8009), HubError::UnknownParticipant),
        (Control::Isolate, PartitionId(7), HubError::UnknownParticipant),
        (Control::Trip, NWD, HubError::CoordinatorInWindow),
    ] {
        assert_eq!(hub(&mut w, HubCall::Control(what, at)), Err(why));
    }
}

#[test]
fn a_tripped_breaker_lets_one_message_try_after_its_time() {
    let mut w = three();
    let good = |w: &mut World| w.call(0, request(NWD, id(1), 0), &mut |_, _, regs| echo(regs)).fid();
    hub(&mut w, HubCall::Control(Control::Trip, id(1))).unwrap();
    // The coordinator gets through; windows there are none.
    assert_eq!(good(&mut w), Func::DirectResp.id32());
    assert_eq!(hub(&mut w, HubCall::OpenWindow(window(&[0, 1], 2))), Err(HubError::ParticipantDown));
    w.machine.pass_time(w.machine.counter_hz());
    assert_eq!(good(&mut w), Func::DirectResp.id32());
    assert_eq!(good(&mut w), Func::DirectResp.id32());
    let state = hub(&mut w, HubCall::OpenWindow(window(&[0, 1], 2)));
    assert!(state.is_ok(), "closed again: {state:?}");
}

#[test]
fn deaths_in_a_row_trip_the_breaker_and_a_storm_of_denials_too() {
    let mut specs = alloc::vec![Spec::default(); 3];
    specs[1].abort = AbortAction::Restart;
    let mut policy = HubPolicy::default();
    policy.breaker.denials = 4;
    let mut w = World::with_hub(&specs, 1, policy);
    for _ in 0..policy.breaker.faults {
        let mut died = false;
        w.call(0, request(NWD, id(1), 0), &mut |_, _, regs| {
            if core::mem::replace(&mut died, true) { crate::sim::world::wait(regs) } else { Exit::Fault }
        });
        assert!(died);
    }
    assert_eq!(hub(&mut w, HubCall::OpenWindow(window(&[1, 2], 1))), Err(HubError::ParticipantDown));
    // Four denials of sp0, in one entry: it is cut off, and its answer still reaches who asked.
    let mut left = 4;
    let r = w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        if left > 0 {
            left -= 1;
            return calls(regs, request(id(0), id(2), 0));
        }
        assert_error(regs, Error::Denied);
        regs.set8(request(NWD, id(0), 0));
        echo(regs)
    });
    assert_eq!(r.fid(), Func::DirectResp.id32());
    assert_eq!(hub(&mut w, HubCall::OpenWindow(window(&[0, 2], 1))), Err(HubError::ParticipantDown));
    assert_eq!(w.call(0, request(NWD, id(2), 0), &mut |_, _, regs| echo(regs)).fid(), Func::DirectResp.id32());
}

#[test]
fn a_spoke_that_is_cut_off_does_not_reach_the_coordinator() {
    let policy = HubPolicy { coordinator: Party::Partition(2), ..HubPolicy::default() };
    let mut w = World::with_hub(&alloc::vec![Spec::default(); 3], 1, policy);
    let mut through_run = |n: u16, inner: [u64; 8]| {
        let mut got = None;
        let run = [Func::Run.id32() as u64, (id(n).0 as u64) << 16, 0, 0, 0, 0, 0, 0];
        w.call(0, run, &mut |me, _, regs| {
            if me == id(n) && got.is_none() {
                got = Some(Regs::ZERO);
                return calls(regs, inner);
            }
            if me != id(n) {
                return echo(regs);
            }
            got = Some(*regs);
            crate::sim::world::wait(regs)
        });
        got.expect("it came back")
    };
    let to_hub = request(id(1), id(2), 0);
    assert_eq!(through_run(1, to_hub).fid(), Func::DirectResp.id32());
    answer(&through_run(2, ask(id(2), HubCall::Control(Control::Trip, id(1))))).unwrap();
    assert_error(&through_run(1, to_hub), Error::Denied);
    assert_eq!(through_run(0, request(id(0), id(2), 0)).fid(), Func::DirectResp.id32());
    answer(&through_run(2, ask(id(2), HubCall::Control(Control::Reset, id(1))))).unwrap();
    assert_eq!(through_run(1, to_hub).fid(), Func::DirectResp.id32());
}

/// Whoever does not own its RX buffer has lists kept, and fetches them: the same records.
#[test]
fn lists_are_kept_and_fetched() {
    let mut w = three();
    assert_eq!(hub(&mut w, HubCall::Fetch(0)), Err(HubError::NoSuchEntry), "nothing was kept");
    hub(&mut w, HubCall::OpenWindow(window(&[1, 2], 7))).unwrap();
    for (list, size, count) in
        [(List::Partitions(0), PARTITION_RECORD, 3), (List::Windows(0), WINDOW_RECORD, 1), (List::Windows(1), 96, 0)]
    {
        let [n, each, more, _] = hub(&mut w, HubCall::Keep(list)).unwrap();
        assert_eq!((n, each, more), (count, size as u64, 0), "{list:?}");
        let total = n as usize * size;
        let words: alloc::vec::Vec<u64> = (0..total as u32)
            .step_by(ffa_abi::hub::FETCHED)
            .flat_map(|at| hub(&mut w, HubCall::Fetch(at)).unwrap())
            .collect();
        let bytes: alloc::vec::Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        if let (List::Windows(0), Some(record)) = (list, bytes.first_chunk()) {
            let record = WindowRecord::decode(record).unwrap();
            assert_eq!((record.correlation, record.participants()), (7, &[id(1), id(2)][..]));
        }
        assert_eq!(hub(&mut w, HubCall::Fetch(total as u32)), Err(HubError::NoSuchEntry));
    }
    assert_eq!(hub(&mut w, HubCall::Keep(List::DeadLetter(9))), Err(HubError::NoSuchEntry));
}
