// SPDX-License-Identifier: MIT OR Apache-2.0
use ffa_abi::{Error, Func, PartitionId};

use super::{assert_error, assert_untouched, calls};
use crate::sim::world::{Spec, World, base, echo, id, request, wait};
use crate::{Exit, State};

const NWD: PartitionId = PartitionId::NORMAL_WORLD;

fn run(n: u16, vcpu: u64) -> [u64; 8] {
    [Func::Run.id32() as u64, (id(n).0 as u64) << 16 | vcpu, 0, 0, 0, 0, 0, 0]
}

#[test]
fn run_wakes_a_waiting_context_until_it_waits_again() {
    let mut w = World::booted(&[Spec::default()], 1);
    let r = w.call(0, run(0, 0), &mut |_, _, regs| {
        assert_eq!(regs.x[..2], [Func::Run.id32() as u64, 0x8001_0000]);
        wait(regs)
    });
    assert_eq!(r.x[..2], [Func::MsgWait.id32() as u64, 0x8001_0000]);
    assert_untouched(&r);
}

#[test]
fn waiting_gives_the_rx_buffer_back_unless_the_partition_retains_it() {
    const RETAIN: u64 = 1;
    let get = [Func::PartitionInfoGet.id32() as u64, 0, 0, 0, 0, 0, 0, 0];
    let map = [Func::RxTxMap.id64() as u64, base(0), base(0) + 0x1000, 1, 0, 0, 0, 0];
    // The flag exists from v1.2 on; before, w2 says nothing.
    for (version, flags, kept) in
        [(0x1_0002, 0, false), (0x1_0002, RETAIN, true), (0x1_0002, RETAIN << 32, false), (0x1_0001, RETAIN, false)]
    {
        let mut w = World::cold(&[Spec::default()], 1);
        let mut started = false;
        w.start(0, &mut |_, _, regs| {
            if core::mem::replace(&mut started, true) {
                return wait(regs);
            }
            calls(regs, [Func::Version.id32() as u64, version, 0, 0, 0, 0, 0, 0])
        });
        super::assert_success(&super::from_partition(&mut w, 0, map), 0);
        let waits = [Func::MsgWait.id32() as u64, 0, flags, 0, 0, 0, 0, 0];
        let mut step = 0;
        let r = w.call(0, run(0, 0), &mut |_, _, regs| {
            step += 1;
            if step == 1 { calls(regs, get) } else { calls(regs, waits) }
        });
        assert_eq!((r.fid(), step), (Func::MsgWait.id32(), 2));
        let again = super::from_partition(&mut w, 0, get);
        if kept {
            assert_error(&again, Error::Busy);
        } else {
            assert_eq!(again.fid(), Func::Success.id32(), "version {version:#x}, flags {flags:#x}");
        }
    }
}

#[test]
fn run_of_strangers_and_of_other_cpus_contexts_is_refused() {
    let mut w = World::booted(&[Spec { contexts: 2, ..Spec::default() }], 2);
    assert_error(&w.plain(run(1, 0)), Error::InvalidParameters);
    assert_error(&w.plain(run(0, 2)), Error::InvalidParameters);
    assert_error(&w.plain(run(0, 1)), Error::Denied);
    assert_error(&w.plain([Func::Run.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), Error::InvalidParameters);
}

#[test]
fn an_interrupted_chain_resumes_whole_on_another_cpu() {
    let mut w = World::booted(&[Spec::default(), Spec::default()], 2);
    let r = w.call(0, request(NWD, id(0), 7), &mut |me, _, regs| {
        if me == id(0) {
            return calls(regs, request(id(0), id(1), 8));
        }
        regs.x[9] = 0x1de;
        Exit::NormalInterrupt
    });
    assert_eq!(r.x[..2], [Func::Interrupt.id32() as u64, 0x8001_0000]);
    assert_untouched(&r);
    let states = |w: &World| (w.partition(0).contexts()[0].state(), w.partition(1).contexts()[0].state());
    assert_eq!(states(&w), (State::Preempted, State::Suspended));
    // Not by its middle, and not by a new request.
    assert_error(&w.plain(run(1, 0)), Error::Busy);
    assert_error(&w.plain(request(NWD, id(0), 0)), Error::Busy);
    let mut inside = None;
    let r = w.call(1, run(0, 0), &mut |me, _, regs| {
        if me == id(1) {
            assert_eq!((regs.x[4], regs.x[9]), (8, 0x1de), "it finds its registers as they were");
            return echo(regs);
        }
        inside = Some(regs.x[4]);
        calls(regs, [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0, 0x42, 0, 0, 0])
    });
    assert_eq!((r.fid(), r.x[4], inside), (Func::DirectResp.id32(), 0x42, Some(0x1008)));
    assert_untouched(&r);
    assert_eq!(states(&w), (State::Idle, State::Idle));
}

#[test]
fn yield_gives_the_cpu_back_and_run_resumes() {
    let mut w = World::booted(&[Spec::default()], 1);
    let r = w.call(0, request(NWD, id(0), 7), &mut |_, _, regs| calls(regs, [Func::Yield.id32() as u64; 8]));
    assert_eq!(r.x[..2], [Func::Yield.id32() as u64, 0x8001_0000]);
    let r = w.call(0, run(0, 0), &mut |_, _, regs| {
        calls(regs, [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0, 0x42, 0, 0, 0])
    });
    assert_eq!(r.x[4], 0x42);
}

#[test]
fn a_chain_with_a_bound_context_resumes_only_on_its_cpu() {
    let mut w = World::booted(&[Spec::default(), Spec { contexts: 2, ..Spec::default() }], 2);
    w.call(1, request(NWD, id(0), 7), &mut |me, vcpu, regs| {
        if me == id(0) {
            return calls(regs, request(id(0), id(1), 8));
        }
        assert_eq!(vcpu, 1);
        Exit::NormalInterrupt
    });
    assert_error(&w.call(0, run(0, 0), &mut |_, _, _| unreachable!()), Error::Denied);
    let r = w.call(1, run(0, 0), &mut |_, _, regs| {
        if regs.fid() == Func::DirectReq.id32() {
            echo(regs)
        } else {
            calls(regs, [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0, 0x42, 0, 0, 0])
        }
    });
    assert_eq!(r.x[4], 0x42);
}

#[test]
fn a_partition_runs_another_until_that_waits() {
    let mut w = World::booted(&[Spec::default(), Spec::default()], 1);
    let mut first = true;
    let r = w.call(0, run(0, 0), &mut |me, _, regs| {
        if me == id(1) {
            assert_eq!(regs.x[..2], [Func::Run.id32() as u64, 0x8002_0000]);
            return wait(regs);
        }
        if first {
            first = false;
            return calls(regs, run(1, 0));
        }
        assert_eq!(regs.x[..2], [Func::MsgWait.id32() as u64, 0x8002_0000]);
        wait(regs)
    });
    assert_eq!(r.x[..2], [Func::MsgWait.id32() as u64, 0x8001_0000]);
}
