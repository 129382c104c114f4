// SPDX-License-Identifier: MIT OR Apache-2.0

extern crate std;

use super::*;
use crate::PartitionId;

const WINDOW: OpenWindow = OpenWindow {
    count: 3,
    participants: [PartitionId(0x8001), PartitionId(0), PartitionId(0x8003), PartitionId(0)],
    direction: Direction::FromFirst,
    correlation: 0x1122_3344_5566_7788,
    purpose: SERVICE,
    lifetime_ms: 250,
    limit: 9,
};

#[test]
fn calls_survive_the_registers() {
    let id = PartitionId(0x8002);
    let mut calls = std::vec![
        HubCall::Describe,
        HubCall::OpenWindow(WINDOW),
        HubCall::CloseWindow(0x100),
        HubCall::ForgetSummaries,
        HubCall::PurgeDeadLetters,
        HubCall::CancelTask(6),
        HubCall::Fetch(u32::MAX),
    ];
    let lists = [
        List::Windows(1),
        List::Summaries(2),
        List::Events(u64::MAX),
        List::Partitions(3),
        List::DeadLetters(4),
        List::DeadLetter(5),
        List::Routes(6),
    ];
    calls.extend(lists.iter().flat_map(|l| [HubCall::List(*l), HubCall::Keep(*l)]));
    calls.extend(Control::ALL.iter().map(|c| HubCall::Control(*c, id)));
    let mut seen = std::collections::BTreeSet::new();
    for call in calls {
        assert_eq!(HubCall::decode(call.encode()), Ok(call));
        seen.insert(call.code().code());
    }
    assert_eq!(seen.len(), CallCode::ALL.len(), "every call is here");
}

#[test]
fn every_field_of_a_window_is_checked() {
    let good = HubCall::OpenWindow(WINDOW).encode();
    let bad = |index: usize, change: &dyn Fn(u64) -> u64, error| {
        let mut x = good;
        x[index] = change(x[index]);
        assert_eq!(HubCall::decode(x), Err(error), "x{} = {:#x}", index + 3, x[index]);
    };
    for code in [0, 17, 255] {
        bad(0, &|x| x & !0xff | code, HubError::UnknownCall);
    }
    for direction in 2..16 {
        bad(0, &|x| x & !0xf00 | direction << 8, HubError::Malformed);
    }
    for count in [0, 1, 5, 15] {
        bad(0, &|x| x & !0xf000 | count << 12, HubError::ParticipantCount);
    }
    bad(0, &|x| x & !0xffff_0000, HubError::Malformed);
    bad(0, &|x| x & 0xffff_ffff, HubError::Malformed);
    bad(1, &|x| x | 1 << 48, HubError::Malformed);
    bad(1, &|x| x & !0xffff, HubError::ParticipantTwice);
    bad(1, &|_| 0x8001_8001_0000, HubError::ParticipantTwice);
    bad(1, &|_| 0x8003_0000_0000_8001, HubError::Malformed);
}

#[test]
fn what_a_call_does_not_use_must_be_zero() {
    for &code in CallCode::ALL.iter().filter(|c| **c != CallCode::OpenWindow) {
        let more = match code {
            CallCode::Control => 1 << 8,
            CallCode::Keep => 4 << 8,
            _ => 0,
        };
        let base = more | code.code() as u64;
        for i in 2..5 {
            let mut x = [base, 0, 0, 0, 0];
            x[i] = 1 << 63;
            assert_eq!(HubCall::decode(x), Err(HubError::Malformed), "{code:?} x{}", i + 3);
        }
        for bit in [16, 31, 32, 63] {
            assert_eq!(HubCall::decode([base | 1 << bit, 0, 0, 0, 0]), Err(HubError::Malformed), "{code:?}");
        }
        let x4 = HubCall::decode([base, u64::MAX, 0, 0, 0]);
        let any = matches!(code, CallCode::Events | CallCode::DeadLetter | CallCode::CancelTask);
        assert_eq!(x4.is_ok(), any, "{code:?}");
    }
    for kept in [0, 1, 2, 3, 6, 11, 12, 13, 14, 15, 17, 255] {
        assert_eq!(HubCall::decode([14 | kept << 8, 0, 0, 0, 0]), Err(HubError::Malformed), "keeps {kept}");
    }
    for what in [0, 6, 255] {
        assert_eq!(HubCall::decode([12 | what << 8, 0x8001, 0, 0, 0]), Err(HubError::Malformed));
    }
}

#[test]
fn records_survive_the_buffer() {
    let window = WindowRecord {
        id: 0x101,
        closed: Some(Closed::Expired),
        direction: Direction::Both,
        count: 2,
        participants: [PartitionId(0x8001), PartitionId(0x8002), PartitionId(0), PartitionId(0)],
        correlation: 7,
        purpose: SERVICE,
        limit: 3,
        forward: 2,
        back: 1,
        opened: 10,
        lifetime: 20,
        first: 11,
        last: 12,
        ended: 30,
    };
    assert_eq!(WindowRecord::decode(&window.encode()), Some(window));
    for (at, value) in [(4, 7), (5, 2), (6, 1), (6, 5), (7, 1), (46, 1)] {
        let mut raw = window.encode();
        raw[at] = value;
        assert_eq!(WindowRecord::decode(&raw), None, "byte {at}");
    }
    let mut partition = PartitionRecord {
        id: PartitionId(0x8003),
        flags: PartitionRecord::DOWN,
        contexts: 4,
        states: [0, 1, 2, 3, 4, 5, 6, 7],
        windows: 1,
        queued: 2,
        unacknowledged: 3,
        refusals: 4,
        breaker: BreakerState::Paused,
        name: [0; 31],
    };
    partition.set_name("a name that is longer than there is room for");
    assert_eq!(&partition.name[..], b"a name that is longer than ther");
    assert_eq!(PartitionRecord::decode(&partition.encode()), Some(partition));
    let mut raw = partition.encode();
    raw[22] = 5;
    assert_eq!(PartitionRecord::decode(&raw), None);
    let letter = DeadLetterRecord {
        number: 1,
        time: 2,
        from: PartitionId(0x8001),
        to: PartitionId(0x8002),
        len: 20,
        reason: DeadReason::Attempts,
        deliveries: 5,
        envelope: [7; 8],
    };
    assert_eq!(DeadLetterRecord::decode(&letter.encode()), Some(letter));
    let (from, to) = (PartitionId(0x8001), PartitionId(0));
    let route = RouteRecord { from, to, breaker: BreakerState::HalfOpen, until: 1 << 40 };
    assert_eq!(RouteRecord::decode(&route.encode()), Some(route));
    for (at, value) in [(4, 5), (5, 1), (7, 1)] {
        let mut raw = route.encode();
        raw[at] = value;
        assert_eq!(RouteRecord::decode(&raw), None, "byte {at}");
    }
    for value in [0, 6] {
        let mut raw = letter.encode();
        raw[22] = value;
        assert_eq!(DeadLetterRecord::decode(&raw), None);
    }
    let mut event = EventRecord {
        sequence: 1,
        time: 2,
        kind: EventKind::Refusal,
        who: PartitionId(0x8001),
        other: PartitionId(0x8002),
        detail: 0x8400_006f,
        status: -6,
        repeats: 3,
        text: [0; 64],
    };
    event.set_text("why");
    assert_eq!(EventRecord::decode(&event.encode()), Some(event));
    for (at, value) in [(28, 0), (28, 9), (29, 1)] {
        let mut raw = event.encode();
        raw[at] = value;
        assert_eq!(EventRecord::decode(&raw), None, "byte {at}");
    }
}

#[test]
fn no_registers_and_no_bytes_make_it_panic() {
    let mut random = crate::random::Random(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        // Sparse numbers, so that some are accepted.
        let state = random.next();
        state & state.rotate_left(23) & state.rotate_left(41)
    };
    let mut accepted = 0;
    for round in 0..if cfg!(miri) { 2000 } else { 200_000u64 } {
        let x = [next() & !0xff | round % 17, next(), next() >> (round % 60), 0, next() * (round % 2)];
        if let Ok(call) = HubCall::decode(x) {
            assert_eq!(call.encode(), x);
            accepted += 1;
        }
        let mut window = [0; WINDOW_RECORD];
        window.iter_mut().take(48).for_each(|b| *b = (next() >> 9) as u8 & 3);
        if let Some(record) = WindowRecord::decode(&window) {
            assert_eq!(record.encode(), window);
            accepted += 1;
        }
    }
    assert!(accepted > 100, "{accepted} accepted");
}
