// SPDX-License-Identifier: MIT OR Apache-2.0
use ffa_abi::{Error, Func, PartitionId, Regs};

use super::{assert_error, assert_untouched, calls};
use crate::manifest::{Messaging, RoutingDefault, RoutingPolicy};
use crate::sim::world::{Spec, World, echo, id, request, uuid, wait};
use crate::{Exit, State};

const NWD: PartitionId = PartitionId::NORMAL_WORLD;

fn two() -> World {
    World::booted(&[Spec::default(), Spec::default()], 2)
}

#[test]
fn a_request_comes_back_as_a_response_in_both_widths() {
    let mut w = two();
    let r = w.call(0, request(NWD, id(0), 0xbbbb), &mut |_, _, regs| echo(regs));
    assert_eq!(r.x[..8], [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0x33, 0xcbbb, 0x55, 0x66, 0x77]);
    assert_untouched(&r);
    let mut wide = request(NWD, id(0), 0xbbbb_0000_bbbb);
    wide[0] = Func::DirectReq.id64() as u64;
    let r = w.call(1, wide, &mut |_, _, regs| echo(regs));
    assert_eq!(r.x[0], Func::DirectResp.id64() as u64);
    assert_eq!(r.x[4], 0xbbbb_0000_cbbb);
    assert_untouched(&r);
}

#[test]
fn the_sve_hint_is_not_passed_on() {
    let mut w = two();
    let mut hinted = request(NWD, id(0), 0xbbbb);
    hinted[0] |= ffa_abi::func::SVE_HINT as u64;
    let r = w.call(0, hinted, &mut |_, _, regs| {
        assert_eq!(regs.x[0], Func::DirectReq.id32() as u64);
        let exit = echo(regs);
        regs.x[0] |= ffa_abi::func::SVE_HINT as u64;
        exit
    });
    assert_eq!(r.x[0], Func::DirectResp.id32() as u64);
}

#[test]
fn a_32_bit_call_carries_no_upper_halves_either_way() {
    let mut w = two();
    let mut dirty = request(NWD, id(0), 0xdead_0000_0001);
    dirty[7] |= 0xffff_ffff_0000_0000;
    let r = w.call(0, dirty, &mut |_, _, regs| {
        assert!(regs.x[..8].iter().all(|x| x >> 32 == 0));
        let exit = echo(regs);
        regs.x[5] |= 1 << 40;
        exit
    });
    assert!(r.x[..8].iter().all(|x| x >> 32 == 0));
    assert_eq!(r.x[4], 0x1001);
}

#[test]
fn a_partition_never_sees_x8_to_x17_of_the_normal_world_nor_it_theirs() {
    let mut w = two();
    let r = w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        assert_eq!(regs.x[8..], [0; 10]);
        regs.x[8..].fill(0x5ec7);
        echo(regs)
    });
    assert_untouched(&r);
    w.call(1, request(NWD, id(0), 0), &mut |_, _, regs| {
        assert_eq!(regs.x[8..], [0x5ec7; 10], "its own come back");
        echo(regs)
    });
}

#[test]
fn bad_requests_of_the_normal_world_are_refused_and_enter_nobody() {
    let mut w = two();
    for (call, error) in [
        (request(NWD, PartitionId(0x8009), 0), Error::InvalidParameters),
        (request(NWD, PartitionId(1), 0), Error::InvalidParameters),
        (request(NWD, NWD, 0), Error::InvalidParameters),
        (request(NWD, PartitionId::SPMC, 0), Error::InvalidParameters),
        (request(PartitionId(0x8002), id(0), 0), Error::InvalidParameters),
        (request(PartitionId::SPMD, id(0), 0), Error::InvalidParameters),
    ] {
        let r = w.plain(call);
        assert_error(&r, error);
        assert_untouched(&r);
    }
    for w2 in [1, 0x8000_0000, 0x8000_0008, 0xffff_ffff] {
        let mut call = request(NWD, id(0), 0);
        call[2] = w2;
        assert_error(&w.plain(call), Error::InvalidParameters);
    }
}

#[test]
fn messaging_methods_are_obeyed() {
    let mute = Spec { messaging: Messaging::INDIRECT, ..Spec::default() };
    let mut w = World::booted(&[Spec::default(), mute], 1);
    assert_error(&w.plain(request(NWD, id(1), 0)), Error::Denied);
    let deaf = Spec { messaging: Messaging::DIRECT_RECEIVE, ..Spec::default() };
    let mut w = World::booted(&[deaf, Spec::default()], 1);
    let mut tried = false;
    w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        if !tried {
            tried = true;
            return calls(regs, request(id(0), id(1), 0));
        }
        assert_error(regs, Error::Denied);
        regs.set8(request(NWD, id(0), 0));
        echo(regs)
    });
}

/// What each partition of a chain does: forward, until the last one answers.
fn forwards(to: u16) -> impl FnMut(PartitionId, u16, &mut Regs) -> Exit {
    let mut asked = [0u64; 16];
    move |me, _, regs| {
        let n = me.0 - 0x8001;
        if regs.fid() == Func::DirectReq.id32() {
            asked[n as usize] = regs.x[1];
            if n < to {
                return calls(regs, request(me, id(n + 1), regs.x[4] + 1));
            }
        }
        let w1 = asked[n as usize] << 16 & 0xffff_0000 | asked[n as usize] >> 16;
        calls(regs, [Func::DirectResp.id32() as u64, w1, 0, 0, regs.x[4] + 0x100, 0, 0, 0])
    }
}

#[test]
fn chains_go_down_and_come_back_up_to_the_limit() {
    let mut w = World::booted(&alloc::vec![Spec::default(); 9], 1);
    let r = w.call(0, request(NWD, id(0), 0), &mut forwards(7));
    assert_eq!((r.fid(), r.x[4]), (Func::DirectResp.id32(), 7 + 8 * 0x100));
    assert_untouched(&r);
    // One more is refused by the eighth partition's call, whose answer is then the error's w4: zero.
    let r = w.call(0, request(NWD, id(0), 0), &mut forwards(8));
    assert_eq!((r.fid(), r.x[4]), (Func::DirectResp.id32(), 8 * 0x100));
    for n in 0..9 {
        assert_eq!(w.partition(n).contexts()[0].state(), State::Idle);
    }
}

#[test]
fn a_cycle_is_busy_and_not_a_deadlock() {
    let mut w = two();
    let mut seen = alloc::vec![];
    w.call(0, request(NWD, id(0), 0), &mut |me, _, regs| {
        seen.push((me, regs.fid(), regs.x[2] as i32));
        match seen.len() {
            1 => calls(regs, request(id(0), id(1), 0)),
            2 => calls(regs, request(id(1), id(0), 0)),
            3 => calls(regs, [Func::DirectResp.id32() as u64, 0x8002_8001, 0, 0, 0, 0, 0, 0]),
            // The first again, with the answer of the second.
            _ => calls(regs, [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0, 0, 0, 0, 0]),
        }
    });
    assert_eq!(seen[2], (id(1), Func::Error.id32(), Error::Busy.code()));
    assert_eq!(seen[3], (id(0), Func::DirectResp.id32(), 0));
}

#[test]
fn bad_calls_of_a_partition_leave_it_running() {
    let mut w = two();
    let resp = Func::DirectResp.id32() as u64;
    let tries: &[([u64; 8], Error)] = &[
        ([resp, 0x8002_0000, 0, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([resp, 0x8001_8002, 0, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([resp, 0x8001_0001, 0, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([resp, 0x8001_0000, 1, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([Func::DirectResp.id64() as u64, 0x8001_0000, 0, 0, 0, 0, 0, 0], Error::InvalidParameters),
        ([Func::MsgWait.id32() as u64, 0, 0, 0, 0, 0, 0, 0], Error::Denied),
        (request(id(1), id(0), 0), Error::InvalidParameters),
        (request(id(0), id(0), 0), Error::InvalidParameters),
        (request(id(0), NWD, 0), Error::Denied),
        (request(id(0), PartitionId::SPMC, 0), Error::InvalidParameters),
        ([Func::Error.id32() as u64, 0, 0, 0, 0, 0, 0, 0], Error::Denied),
        ([0x8400_00ff, 0, 0, 0, 0, 0, 0, 0], Error::NotSupported),
    ];
    let mut at = 0;
    w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        if at > 0 {
            assert_error(regs, tries[at - 1].1);
        }
        at += 1;
        match tries.get(at - 1) {
            Some((call, _)) => calls(regs, *call),
            None => calls(regs, [resp, 0x8001_0000, 0, 0, 0, 0, 0, 0]),
        }
    });
    assert_eq!(at, tries.len() + 1);
}

#[test]
fn a_busy_target_is_busy_and_a_dead_one_aborted() {
    let mut w = two();
    w.call(0, request(NWD, id(0), 0), &mut |_, _, _| Exit::Wait);
    assert_eq!(w.partition(0).contexts()[0].state(), State::Preempted);
    assert_error(&w.plain(request(NWD, id(0), 0)), Error::Busy);
    let r = w.call(0, request(NWD, id(1), 0), &mut |_, _, _| Exit::Fault);
    assert_error(&r, Error::Aborted);
    assert_untouched(&r);
    assert_error(&w.plain(request(NWD, id(1), 0)), Error::Aborted);
    assert!(w.machine.take_log().iter().any(|l| l.contains("sp1") && l.contains("esr")));
}

#[test]
fn a_fault_in_a_chain_gives_aborted_to_the_caller_which_goes_on() {
    let mut w = two();
    let r = w.call(0, request(NWD, id(0), 0), &mut |me, _, regs| match (me, regs.fid()) {
        (me, fid) if me == id(0) && fid == Func::DirectReq.id32() => calls(regs, request(id(0), id(1), 0)),
        (me, _) if me == id(1) => Exit::Fault,
        _ => {
            assert_error(regs, Error::Aborted);
            calls(regs, [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0, 0xd1e, 0, 0, 0])
        }
    });
    assert_eq!(r.x[4], 0xd1e);
}

#[test]
fn requests_to_a_service_carry_x4_to_x17() {
    let mut w = two();
    let (low, high) = uuid(0).pair();
    let mut regs = Regs { x: core::array::from_fn(|i| i as u64 * 0x1111) };
    (regs.x[0], regs.x[1], regs.x[2], regs.x[3]) = (Func::DirectReq2.id64() as u64, 0x8001, low, high);
    let sent = regs;
    w.call_regs(0, &mut regs, &mut |_, _, regs| {
        assert_eq!(regs.x, sent.x);
        regs.x = core::array::from_fn(|i| i as u64 * 0x3333);
        (regs.x[0], regs.x[1], regs.x[2], regs.x[3]) = (Func::DirectResp2.id64() as u64, 0x8001_0000, 0, 0);
        Exit::Smc
    });
    assert_eq!(regs.fid(), Func::DirectResp2.id64());
    assert!((4..18).all(|i| regs.x[i] == i as u64 * 0x3333));
    let (low, high) = uuid(1).pair();
    let r = w.plain([Func::DirectReq2.id64() as u64, 0x8001, low, high, 0, 0, 0, 0]);
    assert_error(&r, Error::InvalidParameters);
}

#[test]
fn a_partition_that_waits_during_its_start_or_faults_costs_only_itself() {
    let mut w = World::cold(&[Spec::default(), Spec::default(), Spec::default()], 1);
    let r = w.start(0, &mut |me, _, regs| match me {
        me if me == id(0) => Exit::Wait,
        me if me == id(1) => calls(regs, [Func::Error.id32() as u64, 0, -1i32 as u32 as u64, 0, 0, 0, 0, 0]),
        _ => wait(regs),
    });
    assert_eq!(r.fid(), Func::MsgWait.id32());
    assert_error(&w.plain(request(NWD, id(0), 0)), Error::Aborted);
    assert_error(&w.plain(request(NWD, id(1), 0)), Error::Aborted);
    assert_eq!(w.call(0, request(NWD, id(2), 1), &mut |_, _, r| echo(r)).x[4], 0x1001);
}

#[test]
fn a_hub_keeps_spokes_from_talking_to_each_other() {
    let hub = RoutingPolicy { default: RoutingDefault::Hub, ..RoutingPolicy::default() };
    let mut w = World::cold_with(&[Spec::default(), Spec::default()], 1, hub);
    w.start(0, &mut |_, _, regs| wait(regs));
    let mut refused = 0;
    let r = w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        let tries = [request(id(0), id(1), 0), [Func::Run.id32() as u64, 0x8002_0000, 0, 0, 0, 0, 0, 0]];
        if refused > 0 {
            assert_error(regs, Error::Denied);
        }
        refused += 1;
        match tries.get(refused - 1) {
            Some(call) => calls(regs, *call),
            None => calls(regs, [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0, 5, 0, 0, 0]),
        }
    });
    assert_eq!((r.x[4], refused), (5, 3));
    // A guest of the Normal world's hypervisor is no coordinator.
    assert_error(&w.plain(request(PartitionId(3), id(0), 0)), Error::Denied);
}
