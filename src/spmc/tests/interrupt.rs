// SPDX-License-Identifier: MIT OR Apache-2.0
//! Secure interrupts and the virtual interrupts of partitions.

use alloc::vec;
use alloc::vec::Vec;

use ffa_abi::{Error, Func, PartitionId, Regs};

use super::{assert_error, assert_success, assert_untouched, calls};
use crate::manifest::OtherSecureInterruptAction::{Queued, Signalled};
use crate::sim::world::{Spec, World, echo, id, request, wait};
use crate::{DEADLINE, Exit, KICK, Lines, State};

const NWD: PartitionId = PartitionId::NORMAL_WORLD;
const INTERRUPT: [u64; 8] = [Func::Interrupt.id32() as u64, 0, 0, 0, 0, 0, 0, 0];
const RESUME: u64 = Func::NormalWorldResume.id32() as u64;
/// Interrupts of the first partition's devices, and one of the second's.
const A: u32 = 40;
const B: u32 = 41;
const C: u32 = 42;

fn specs(first_is: crate::manifest::OtherSecureInterruptAction) -> [Spec; 2] {
    [
        Spec { interrupts: vec![A, B], ..Spec::default() },
        Spec { interrupts: vec![C], other_interrupts: first_is, ..Spec::default() },
    ]
}

fn hvc(regs: &mut Regs, fid: u64, a: u64, b: u64) -> Exit {
    regs.set8([fid, a, b, 0, 0, 0, 0, 0]);
    Exit::Hvc
}

fn fire(w: &World, intid: u32) {
    w.machine.gic.lock().unwrap().pending.push(intid);
}

fn active(w: &World) -> Vec<u32> {
    w.machine.gic.lock().unwrap().active.iter().copied().collect()
}

fn kicks(w: &World) -> Vec<Option<usize>> {
    core::mem::take(&mut w.machine.gic.lock().unwrap().kicks)
}

fn states(w: &World) -> (State, State) {
    (w.partition(0).contexts()[0].state(), w.partition(1).contexts()[0].state())
}

fn irq(w: &World, n: u16) -> bool {
    w.partition(n).contexts()[0].context().lines.lock().unwrap().contains(Lines::IRQ)
}

/// A partition's code that makes HVCs one after the other, keeping each result, and ends with `last`.
fn script(steps: &[[u64; 3]], at: &mut usize, results: &mut Vec<u64>, regs: &mut Regs) -> Option<Exit> {
    if *at > 0 && *at <= steps.len() {
        results.push(regs.x[0]);
    }
    let step = steps.get(*at);
    *at += 1;
    step.map(|[fid, a, b]| hvc(regs, *fid, *a, *b))
}

/// Makes a partition do HVCs by a direct request; returns what they gave.
fn hvcs(w: &mut World, n: u16, steps: &[[u64; 3]]) -> Vec<u64> {
    let (mut at, mut results) = (0, vec![]);
    w.call(0, request(NWD, id(n), 0), &mut |_, _, regs| {
        script(steps, &mut at, &mut results, regs).unwrap_or_else(|| {
            let w1 = (id(n).0 as u64) << 16;
            calls(regs, [Func::DirectResp.id32() as u64, w1, 0, 0, 0, 0, 0, 0])
        })
    });
    results
}

fn enable(w: &mut World, n: u16, ids: &[u32]) {
    for &i in ids {
        assert_eq!(hvcs(w, n, &[[0xff03, i as u64, 1]]), [0]);
    }
}

const NONE: u64 = u32::MAX as u64;
const FAILED: u64 = u64::MAX;

#[test]
fn the_paravirtual_calls_are_hvcs_only_and_check_what_they_are_given() {
    let mut w = World::booted(&specs(Queued), 1);
    assert_eq!(hvcs(&mut w, 0, &[[0xff03, 9, 1], [0xff03, A as u64, 1], [0xff03, C as u64, 1]]), [0, 0, FAILED]);
    assert_eq!(hvcs(&mut w, 0, &[[0xff03, 1 << 32, 1], [0xff03, u64::MAX, 1], [0xff04, 0, 0]]), [FAILED, FAILED, NONE]);
    assert_eq!(hvcs(&mut w, 0, &[[0xff08, 9, 9], [0xff0a, 1, 0], [0xff0a, u64::MAX, 0]]), [FAILED, FAILED, FAILED]);
    // An IPI to itself.
    assert_eq!(hvcs(&mut w, 0, &[[0xff0a, 0, 0], [0xff04, 0, 0], [0xff08, 9, 9], [0xff08, 9, 9]]), [0, 9, 0, FAILED]);
    assert_eq!(
        hvcs(&mut w, 0, &[[0xff09, A as u64, 2], [0xff09, C as u64, 2], [0xff09, A as u64, 7]]),
        [0, FAILED, FAILED]
    );
    // As an SMC they are unknown to SMCCC.
    let mut answers = vec![];
    w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        if regs.fid() == Func::DirectReq.id32() {
            return calls(regs, [0xff04, 0, 0, 0, 0, 0, 0, 0]);
        }
        answers.push(regs.x[0]);
        calls(regs, [Func::DirectResp.id32() as u64, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0])
    });
    assert_eq!(answers, [FAILED]);
}

#[test]
fn an_ipi_raises_the_line_of_its_target_and_kicks_that_cpu() {
    let mut w = World::booted(&[Spec { contexts: 2, ..Spec::default() }], 2);
    let mut steps = vec![[0xff03u64, 9, 1]];
    let mut at = 0;
    let mut results = vec![];
    let answer =
        |regs: &mut Regs| calls(regs, [Func::DirectResp.id32() as u64, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0]);
    w.call(1, request(NWD, id(0), 0), &mut |_, _, regs| {
        script(&steps, &mut at, &mut results, regs).unwrap_or_else(|| answer(regs))
    });
    (steps, at) = (vec![[0xff0a, 1, 0]], 0);
    w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        script(&steps, &mut at, &mut results, regs).unwrap_or_else(|| answer(regs))
    });
    assert_eq!((kicks(&w), results), (vec![Some(1)], vec![0, 0]));
    fire(&w, KICK);
    let mut entered = 0;
    let r = w.call(1, INTERRUPT, &mut |me, vcpu, regs| {
        entered += 1;
        if entered == 1 {
            assert_eq!((me, vcpu, regs.x[..3].to_vec()), (id(0), 1, vec![INTERRUPT[0], 0, 9]));
            return hvc(regs, 0xff04, 0, 0);
        }
        assert_eq!(regs.x[0], 9);
        wait(regs)
    });
    assert_eq!((r.x[0], entered), (RESUME, 2));
    assert_untouched(&r);
}

#[test]
fn an_interrupt_of_the_normal_world_goes_to_its_waiting_owner_and_the_normal_world_goes_on() {
    let mut w = World::booted(&specs(Queued), 1);
    enable(&mut w, 0, &[A]);
    fire(&w, A);
    let machine = w.machine;
    let mut seen = vec![];
    let mut step = 0;
    let r = w.call(0, INTERRUPT, &mut |me, _, regs| {
        step += 1;
        match step {
            1 => {
                assert!(machine.held.load(core::sync::atomic::Ordering::Relaxed));
                seen.push((me, regs.x[0], regs.x[2]));
                hvc(regs, 0xff04, 0, 0)
            }
            2 => {
                assert_eq!(regs.x[0], A as u64);
                hvc(regs, 0xff08, A as u64, A as u64)
            }
            _ => wait(regs),
        }
    });
    assert!(!machine.held.load(core::sync::atomic::Ordering::Relaxed));
    assert_eq!(seen, [(id(0), INTERRUPT[0], A as u64)]);
    assert_eq!((r.x[0], active(&w).len(), states(&w).0), (RESUME, 0, State::Idle));
    assert_untouched(&r);
    // Nothing is left to do.
    assert_eq!(w.plain(INTERRUPT).x[0], RESUME);
    assert!(kicks(&w).is_empty());
}

#[test]
fn a_second_secure_interrupt_before_deactivate_is_delivered_as_well() {
    let mut w = World::booted(&specs(Queued), 1);
    enable(&mut w, 0, &[A, B]);
    fire(&w, A);
    let machine = w.machine;
    let (mut step, mut got) = (0, vec![]);
    let r = w.call(0, INTERRUPT, &mut |_, _, regs| {
        step += 1;
        match step {
            1 => return hvc(regs, 0xff04, 0, 0),
            2 => {
                got.push(regs.x[0]);
                // The first is still active.
                machine.gic.lock().unwrap().pending.push(B);
                return Exit::SecureInterrupt;
            }
            3 => {}
            _ => got.push(regs.x[0]),
        }
        match step {
            3 => hvc(regs, 0xff04, 0, 0),
            4 => hvc(regs, 0xff08, B as u64, B as u64),
            5 => hvc(regs, 0xff08, A as u64, A as u64),
            _ => wait(regs),
        }
    });
    assert_eq!((r.x[0], got, active(&w).len()), (RESUME, vec![A as u64, B as u64, 0, 0], 0));
}

#[test]
fn an_interrupt_during_partition_initialisation_waits_until_it_is_ready() {
    let mut w = World::cold(&specs(Queued), 1);
    let machine = w.machine;
    let mut step = 0;
    let r = w.start(0, &mut |me, _, regs| {
        if me == id(1) {
            return wait(regs);
        }
        step += 1;
        match step {
            1 => hvc(regs, 0xff03, A as u64, 1),
            2 => {
                machine.gic.lock().unwrap().pending.push(A);
                Exit::SecureInterrupt
            }
            _ => wait(regs),
        }
    });
    assert_eq!(r.fid(), Func::MsgWait.id32());
    // The CPU asked for itself back; the SPMD brings it.
    assert_eq!(kicks(&w), [Some(0)]);
    fire(&w, KICK);
    let mut entered = 0;
    let r = w.call(0, INTERRUPT, &mut |me, _, regs| {
        assert_eq!((me, regs.x[0], regs.x[2]), (id(0), INTERRUPT[0], A as u64));
        entered += 1;
        wait(regs)
    });
    assert_eq!((r.x[0], entered), (RESUME, 1));
    // It did not take the interrupt: that is its affair, and keeps nobody else.
    assert_eq!(w.plain(INTERRUPT).x[0], RESUME);
    assert!(irq(&w, 0) && kicks(&w).is_empty());
}

#[test]
fn an_early_interrupt_before_version_does_not_settle_it() {
    let mut w = World::booted(&specs(Queued), 1);
    {
        assert_eq!(w.plain(INTERRUPT).x[0], RESUME);
        let version = [0xffff_8000, 0x8000_0008, 0x1_0000];
        let [w1, w2, w3] = version;
        let r = w.plain([Func::DirectReq.id32() as u64, w1, w2, w3, 0, 0, 0, 0]);
        assert_eq!(r.x[3], 0x1_0002, "v1.0 is still taken");
        assert_eq!(w.plain(INTERRUPT).x[0], RESUME);
        let r = w.plain([Func::DirectReq.id32() as u64, w1, w2, 0x1_0001, 0, 0, 0, 0]);
        assert_eq!(r.x[3], 0x1_0002, "and v1.1 after it");
    }
}

#[test]
fn the_owner_that_runs_finds_its_line_raised() {
    let mut w = World::booted(&specs(Queued), 1);
    enable(&mut w, 0, &[A]);
    let machine = w.machine;
    let spmc = w.spmc;
    let mut step = 0;
    let r = w.call(0, request(NWD, id(0), 7), &mut |_, _, regs| {
        step += 1;
        match step {
            1 => {
                regs.x[9] = 0x1de;
                machine.gic.lock().unwrap().pending.push(A);
                Exit::SecureInterrupt
            }
            2 => {
                let context = &spmc.partitions().next().unwrap().contexts()[0];
                assert!(context.context().lines.lock().unwrap().contains(Lines::IRQ));
                assert_eq!((regs.x[4], regs.x[9]), (7, 0x1de), "nothing else changed");
                hvc(regs, 0xff04, 0, 0)
            }
            _ => {
                assert_eq!(regs.x[0], A as u64);
                regs.set8(request(NWD, id(0), 7));
                echo(regs)
            }
        }
    });
    assert_eq!((r.x[4], active(&w)), (0x1007, vec![A]));
    assert!(!irq(&w, 0));
    assert_eq!(hvcs(&mut w, 0, &[[0xff08, A as u64, A as u64]]), [0]);
    assert!(active(&w).is_empty());
}

#[test]
fn another_partition_is_interrupted_in_the_middle_where_its_manifest_says_so() {
    let mut w = World::booted(&specs(Signalled), 1);
    enable(&mut w, 0, &[A]);
    let machine = w.machine;
    let mut order = vec![];
    let mut first = true;
    let r = w.call(0, request(NWD, id(1), 7), &mut |me, _, regs| {
        order.push(me.0);
        if me == id(0) {
            assert_eq!((regs.x[0], regs.x[2]), (INTERRUPT[0], A as u64));
            return wait(regs);
        }
        if first {
            first = false;
            regs.x[9] = 0x1de;
            machine.gic.lock().unwrap().pending.push(A);
            return Exit::SecureInterrupt;
        }
        assert_eq!((regs.x[4], regs.x[9]), (7, 0x1de), "it finds its registers as they were");
        echo(regs)
    });
    assert_eq!((r.x[4], order), (0x1007, vec![0x8002, 0x8001, 0x8002]));
    assert_eq!(states(&w), (State::Idle, State::Idle));
    assert_untouched(&r);
}

#[test]
fn another_partition_goes_on_where_its_manifest_queues_and_the_owner_runs_afterwards() {
    let mut w = World::booted(&specs(Queued), 1);
    enable(&mut w, 0, &[A]);
    let machine = w.machine;
    let mut first = true;
    let r = w.call(0, request(NWD, id(1), 7), &mut |me, _, regs| {
        assert_eq!(me, id(1));
        if core::mem::take(&mut first) {
            machine.gic.lock().unwrap().pending.push(A);
            return Exit::SecureInterrupt;
        }
        echo(regs)
    });
    assert_eq!((r.x[4], kicks(&w)), (0x1007, vec![Some(0)]));
    assert_untouched(&r);
    fire(&w, KICK);
    let mut entered = 0;
    let r = w.call(0, INTERRUPT, &mut |me, _, regs| {
        assert_eq!((me, regs.x[2]), (id(0), A as u64));
        entered += 1;
        wait(regs)
    });
    assert_eq!((r.x[0], entered), (RESUME, 1));
}

#[test]
fn an_interrupt_against_direct_resp_on_two_cpus_is_not_lost() {
    // The owner is about to answer on CPU 0 when its interrupt is taken on CPU 1.
    let mut w = World::booted(&specs(Queued), 2);
    enable(&mut w, 0, &[A]);
    let mut regs = Regs::ZERO;
    regs.set8(request(NWD, id(0), 7));
    let crate::Next::Run(owner) = w.spmc.on_normal_world(&mut w.cpus[0], &mut regs) else { panic!("it runs") };
    fire(&w, A);
    assert_eq!(w.call(1, INTERRUPT, &mut |_, _, _| unreachable!()).x[0], RESUME);
    assert_eq!(kicks(&w), [None], "whoever runs it is told");
    echo(&mut regs);
    assert!(matches!(w.spmc.on_partition_exit(&mut w.cpus[0], owner, Exit::Smc, &mut regs), crate::Next::Reply));
    assert_eq!((regs.x[4], kicks(&w)), (0x1007, vec![Some(0)]));
    fire(&w, KICK);
    let mut entered = 0;
    w.call(0, INTERRUPT, &mut |_, _, regs| {
        entered += 1;
        wait(regs)
    });
    assert_eq!(entered, 1);
}

#[test]
fn an_interrupt_while_migrating_a_single_context_partition_meets_it_on_the_new_cpu() {
    let mut w = World::booted(&specs(Queued), 2);
    enable(&mut w, 0, &[A]);
    let r = w.call(0, request(NWD, id(0), 7), &mut |_, _, _| Exit::NormalInterrupt);
    assert_eq!(r.x[0], INTERRUPT[0]);
    fire(&w, A);
    assert_eq!(w.call(0, INTERRUPT, &mut |_, _, _| unreachable!()).x[0], RESUME);
    assert_eq!(states(&w).0, State::Preempted);
    let run = [Func::Run.id32() as u64, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0];
    let spmc = w.spmc;
    let mut step = 0;
    let r = w.call(1, run, &mut |_, _, regs| {
        step += 1;
        match step {
            1 => {
                let context = &spmc.partitions().next().unwrap().contexts()[0];
                assert!(context.context().lines.lock().unwrap().contains(Lines::IRQ));
                hvc(regs, 0xff04, 0, 0)
            }
            2 => {
                assert_eq!(regs.x[0], A as u64);
                hvc(regs, 0xff08, A as u64, A as u64)
            }
            _ => {
                regs.set8(request(NWD, id(0), 7));
                echo(regs)
            }
        }
    });
    assert_eq!((r.x[4], active(&w).len(), step), (0x1007, 0, 3));
}

#[test]
fn an_interrupt_that_nobody_can_handle_is_disabled_once() {
    let mut w = World::booted(&specs(Queued), 1);
    w.machine.gic.lock().unwrap().enabled.insert(77);
    fire(&w, 77);
    fire(&w, 77);
    w.machine.take_log();
    assert_eq!(w.plain(INTERRUPT).x[0], RESUME);
    assert!(!w.machine.gic.lock().unwrap().enabled.contains(&77));
    assert_eq!(w.machine.take_log().len(), 1);
    // Its owner died with one active: that one ends, the next is disabled.
    enable(&mut w, 0, &[A]);
    fire(&w, A);
    w.call(0, INTERRUPT, &mut |_, _, _| Exit::Fault);
    assert_eq!((states(&w).0, active(&w).len()), (State::Stopped, 0));
    fire(&w, A);
    assert_eq!(w.plain(INTERRUPT).x[0], RESUME);
    assert!(!w.machine.gic.lock().unwrap().enabled.contains(&A));
}

#[test]
fn a_handler_that_dies_or_yields_lets_whoever_it_interrupted_go_on() {
    let mut w = World::booted(&specs(Signalled), 1);
    enable(&mut w, 0, &[A]);
    let machine = w.machine;
    let mut step = 0;
    let r = w.call(0, request(NWD, id(1), 7), &mut |me, _, regs| {
        step += 1;
        match step {
            1 => {
                machine.gic.lock().unwrap().pending.push(A);
                Exit::SecureInterrupt
            }
            2 => calls(regs, [Func::Yield.id32() as u64, 0, 0, 0, 0, 0, 0, 0]),
            3 => {
                assert_eq!((me, regs.x[0]), (id(0), Func::Run.id32() as u64), "the Normal world may not run now");
                Exit::Wait
            }
            4 => Exit::Fault,
            _ => {
                assert_eq!((me, regs.x[4]), (id(1), 7));
                echo(regs)
            }
        }
    });
    assert_eq!((r.x[4], states(&w)), (0x1007, (State::Stopped, State::Idle)));
}

#[test]
fn a_handler_may_ask_others_but_not_answer() {
    let mut w = World::booted(&specs(Queued), 1);
    enable(&mut w, 0, &[A]);
    fire(&w, A);
    let mut step = 0;
    let r = w.call(0, INTERRUPT, &mut |me, _, regs| {
        if me == id(1) {
            return echo(regs);
        }
        step += 1;
        match step {
            1 => calls(regs, [Func::DirectResp.id32() as u64, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0]),
            2 => {
                assert_error(regs, Error::Denied);
                calls(regs, request(id(0), id(1), 5))
            }
            3 => {
                assert_eq!(regs.x[4], 0x1005);
                calls(regs, [Func::IdGet.id32() as u64, 0, 0, 0, 0, 0, 0, 0])
            }
            _ => {
                assert_success(regs, id(0).0 as u64);
                wait(regs)
            }
        }
    });
    assert_eq!((r.x[0], states(&w)), (RESUME, (State::Idle, State::Idle)));
}

#[test]
fn a_partition_that_keeps_interrupts_waiting_for_too_long_is_aborted() {
    let mut w = World::booted(&specs(Queued), 1);
    let machine = w.machine;
    machine.take_log();
    let r = w.call(0, request(NWD, id(0), 7), &mut |_, _, _| {
        machine.gic.lock().unwrap().pending.push(DEADLINE);
        Exit::SecureInterrupt
    });
    assert_error(&r, Error::Aborted);
    assert!(machine.take_log().iter().any(|l| l.contains("waiting for more than")));
    // One that comes when its reason has gone hurts nobody.
    fire(&w, DEADLINE);
    assert_eq!(w.plain(INTERRUPT).x[0], RESUME);
    assert_eq!(states(&w), (State::Stopped, State::Idle));
}

#[test]
fn an_initialisation_without_end_does_not_keep_the_cpu() {
    let mut w = World::cold(&specs(Queued), 1);
    let machine = w.machine;
    let r = w.start(0, &mut |me, _, regs| {
        if me == id(1) {
            return wait(regs);
        }
        machine.gic.lock().unwrap().pending.push(DEADLINE);
        Exit::SecureInterrupt
    });
    assert_eq!((r.fid(), states(&w)), (Func::MsgWait.id32(), (State::Stopped, State::Idle)));
}
