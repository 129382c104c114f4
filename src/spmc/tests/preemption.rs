// SPDX-License-Identifier: MIT OR Apache-2.0
//! Non-secure interrupts while partitions run: preemption, managed exit, the strictest action of a chain.

use core::sync::atomic::Ordering::Relaxed;

use ffa_abi::{Func, PartitionId, Regs};

use super::calls;
use crate::manifest::NsInterruptAction::{self, ManagedExit, Queued, Signalled};
use crate::sim::world::{Spec, World, echo, id, request, wait};
use crate::{DEADLINE, Exit, Lines, State};

const NWD: PartitionId = PartitionId::NORMAL_WORLD;
const INTERRUPT: u64 = Func::Interrupt.id32() as u64;
const YIELD: u64 = Func::Yield.id32() as u64;
const RUN: u64 = Func::Run.id32() as u64;
const MANAGED_EXIT: u64 = 4;

fn spec(ns_interrupts: NsInterruptAction) -> Spec {
    Spec { ns_interrupts, ..Spec::default() }
}

fn queued(w: &World, n: u16) -> bool {
    w.partition(n).contexts()[0].context().queued.load(Relaxed)
}

fn state(w: &World, n: u16) -> State {
    w.partition(n).contexts()[0].state()
}

fn fiq(w: &World, n: u16) -> bool {
    w.partition(n).contexts()[0].context().lines.lock().unwrap().contains(Lines::FIQ)
}

fn get(regs: &mut Regs) -> Exit {
    regs.set8([0xff04, 0, 0, 0, 0, 0, 0, 0]);
    Exit::Hvc
}

fn respond(regs: &mut Regs, me: PartitionId, to: PartitionId, value: u64) -> Exit {
    let w1 = (me.0 as u64) << 16 | to.0 as u64;
    calls(regs, [Func::DirectResp.id32() as u64, w1, 0, 0, value, 0, 0, 0])
}

#[test]
fn a_managed_exit_lets_the_partition_finish() {
    let mut w = World::booted(&[spec(ManagedExit)], 1);
    assert!(!queued(&w, 0));
    let context = &w.partition(0).contexts()[0];
    let mut step = 0;
    let r = w.call(0, request(NWD, id(0), 7), &mut |me, _, regs| {
        step += 1;
        match step {
            1 => Exit::NormalInterrupt,
            2 => {
                // It goes on where it was, with the interrupt pending, and Non-secure ones wait now.
                assert_eq!(regs.x[4], 7);
                assert!(
                    context.context().lines.lock().unwrap().contains(Lines::FIQ)
                        && context.context().queued.load(Relaxed)
                );
                get(regs)
            }
            _ => {
                assert_eq!(regs.x[0], MANAGED_EXIT);
                respond(regs, me, NWD, 1)
            }
        }
    });
    assert_eq!((r.fid(), r.x[4], step), (Func::DirectResp.id32(), 1, 3));
    assert_eq!((queued(&w, 0), fiq(&w, 0), state(&w, 0)), (false, false, State::Idle));
}

#[test]
fn a_partition_that_answers_before_it_takes_the_managed_exit_keeps_nothing_pending() {
    let mut w = World::booted(&[spec(ManagedExit)], 1);
    for round in 0..3 {
        let mut first = true;
        let r = w.call(0, request(NWD, id(0), round), &mut |_, _, regs| {
            if core::mem::take(&mut first) { Exit::NormalInterrupt } else { echo(regs) }
        });
        assert_eq!(r.x[4], 0x1000 + round);
        assert_eq!((queued(&w, 0), fiq(&w, 0)), (false, false));
    }
}

#[test]
fn a_managed_exit_that_lasts_is_ended_by_the_deadline() {
    let mut w = World::booted(&[spec(ManagedExit)], 1);
    let machine = w.machine;
    let mut first = true;
    let r = w.call(0, request(NWD, id(0), 7), &mut |_, _, _| {
        if core::mem::take(&mut first) {
            return Exit::NormalInterrupt;
        }
        machine.gic.lock().unwrap().pending.push(DEADLINE);
        Exit::SecureInterrupt
    });
    super::assert_error(&r, ffa_abi::Error::Aborted);
    assert_eq!(state(&w, 0), State::Stopped);
}

#[test]
fn a_managed_exit_may_end_by_giving_the_cpu_back_and_is_asked_for_again_later() {
    let mut w = World::booted(&[spec(ManagedExit)], 2);
    let mut first = true;
    let r = w.call(0, request(NWD, id(0), 7), &mut |_, _, regs| {
        if core::mem::take(&mut first) {
            return Exit::NormalInterrupt;
        }
        calls(regs, [YIELD, 0, 0, 0, 0, 0, 0, 0])
    });
    assert_eq!((r.x[0], queued(&w, 0), fiq(&w, 0)), (YIELD, false, false));
    let run = [RUN, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0];
    let mut first = true;
    let r = w.call(1, run, &mut |me, _, regs| {
        if core::mem::take(&mut first) { Exit::NormalInterrupt } else { respond(regs, me, NWD, 3) }
    });
    assert_eq!((r.x[4], queued(&w, 0), fiq(&w, 0)), (3, false, false));
}

#[test]
fn only_a_partition_that_owes_a_response_and_listens_is_asked_for_a_managed_exit() {
    let mut w = World::booted(&[spec(ManagedExit)], 1);
    let run = [RUN, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0];
    assert_eq!(w.call(0, run, &mut |_, _, _| Exit::NormalInterrupt).x[0], INTERRUPT);
    w.call(0, run, &mut |_, _, regs| wait(regs));
    let mut step = 0;
    let r = w.call(0, request(NWD, id(0), 7), &mut |_, _, regs| {
        step += 1;
        if step == 1 {
            regs.set8([0xff03, MANAGED_EXIT, 0, 1, 0, 0, 0, 0]);
            return Exit::Hvc;
        }
        Exit::NormalInterrupt
    });
    assert_eq!((r.x[0], step, state(&w, 0)), (INTERRUPT, 2, State::Preempted));
}

#[test]
fn a_managed_exit_below_a_chain_ends_there_and_the_caller_is_preempted() {
    let mut w = World::booted(&[spec(Signalled), spec(ManagedExit)], 1);
    let (mut above, mut below) = (0, 0);
    let r = w.call(0, request(NWD, id(0), 7), &mut |me, _, regs| {
        if me == id(1) {
            below += 1;
            return if below == 1 { Exit::NormalInterrupt } else { respond(regs, me, id(0), 5) };
        }
        above += 1;
        if above == 1 { calls(regs, request(id(0), id(1), 1)) } else { Exit::NormalInterrupt }
    });
    assert_eq!((r.x[0], r.x[1], above, below), (INTERRUPT, (id(0).0 as u64) << 16, 2, 2));
    assert_eq!((state(&w, 0), state(&w, 1), queued(&w, 1)), (State::Preempted, State::Idle, false));
}

/// By direct request and by FFA_RUN, through one partition or two: what waits is what the strictest of them wants.
#[test]
fn the_strictest_action_of_a_chain_wins_and_goes_with_it() {
    let all = [Signalled, ManagedExit, Queued];
    for a in all {
        for b in all {
            for c in all {
                for by_run in [false, true] {
                    let mut w = World::booted(&[spec(a), spec(b), spec(c)], 1);
                    let context = |n: usize| &w.spmc.partitions().nth(n).unwrap().contexts()[0];
                    let (last, middle) = (context(2), context(1));
                    let mut seen = None;
                    w.call(0, request(NWD, id(0), 0), &mut |me, _, regs| {
                        if me == id(2) {
                            seen = Some((middle.context().queued.load(Relaxed), last.context().queued.load(Relaxed)));
                            return if by_run { wait(regs) } else { respond(regs, me, id(1), 0) };
                        }
                        let answered = regs.fid() != Func::DirectReq.id32();
                        match (me == id(0), answered) {
                            (true, false) => calls(regs, request(id(0), id(1), 0)),
                            (true, true) => respond(regs, me, NWD, 0),
                            (false, true) => respond(regs, me, id(0), 0),
                            (false, false) if by_run => calls(regs, [RUN, (id(2).0 as u64) << 16, 0, 0, 0, 0, 0, 0]),
                            (false, false) => calls(regs, request(id(1), id(2), 0)),
                        }
                    });
                    // What a context does when it is told to finish, or is it not asked because it cannot be.
                    let waits = |own, above: NsInterruptAction, may_exit: bool| {
                        own == Queued || above == Queued || (above == ManagedExit && !(may_exit && own == ManagedExit))
                    };
                    let expected = (waits(b, a, true), waits(c, a.min(b), !by_run));
                    assert_eq!(seen, Some(expected), "{a:?} {b:?} {c:?} by run {by_run}");
                    for (n, own) in [a, b, c].into_iter().enumerate() {
                        assert_eq!(queued(&w, n as u16), own == Queued, "as before, {a:?} {b:?} {c:?}");
                        assert_eq!(state(&w, n as u16), State::Idle);
                    }
                }
            }
        }
    }
}
