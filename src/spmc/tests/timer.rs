// SPDX-License-Identifier: MIT OR Apache-2.0
//! The EL1 timers of partitions: they interrupt their context whatever runs when they are due.

use alloc::vec::Vec;

use ffa_abi::{Error, Func, PartitionId, Regs};

use super::{assert_error, calls};
use crate::interrupt::Slot;
use crate::manifest::{AbortAction, OtherSecureInterruptAction::Signalled};
use crate::sim::world::{Spec, World, echo, id, request, wait};
use crate::{Exit, KICK, Lines, Port, State};

const NWD: PartitionId = PartitionId::NORMAL_WORLD;
const INTERRUPT: [u64; 8] = [Func::Interrupt.id32() as u64, 0, 0, 0, 0, 0, 0, 0];
const RESUME: u64 = Func::NormalWorldResume.id32() as u64;
const TIMER: u64 = 3;
const NONE: u64 = u32::MAX as u64;
const ENABLE: u64 = 0xff03;
const GET: u64 = 0xff04;
const DEACTIVATE: u64 = 0xff08;
/// Longer than the least distance of two interrupts of one timer.
const REST: u64 = 62_500;

fn respond(regs: &mut Regs, me: u16) -> Exit {
    let w1 = (id(me).0 as u64) << 16;
    calls(regs, [Func::DirectResp.id32() as u64, w1, 0, 0, 0, 0, 0, 0])
}

/// What a partition does to its timer and its interrupts, one after the other.
#[derive(Clone, Copy)]
enum Do {
    Timer(Option<u64>),
    Hvc(u64),
}

/// Makes a partition do things on a CPU, by a direct request; returns what its HVCs gave.
fn acts(w: &mut World, cpu: usize, n: u16, steps: &[Do]) -> Vec<u64> {
    let (mut next, mut results) = (steps.iter(), Vec::new());
    let machine = w.machine;
    let partition = w.partition(n);
    let mut asked = false;
    w.call(cpu, request(NWD, id(n), 0), &mut |_, vcpu, regs| {
        if core::mem::take(&mut asked) {
            results.push(regs.x[0]);
        }
        match next.next() {
            Some(Do::Timer(after)) => {
                let at = after.map(|after| machine.now() + after);
                *partition.contexts()[vcpu as usize].context().timer.lock().unwrap() = at;
                Exit::Timer
            }
            Some(Do::Hvc(fid)) => {
                asked = true;
                regs.set8([*fid, TIMER, if *fid == ENABLE { 1 } else { TIMER }, 0, 0, 0, 0, 0]);
                Exit::Hvc
            }
            None => respond(regs, n),
        }
    });
    results
}

fn armed(w: &mut World, n: u16, after: u64) {
    assert_eq!(acts(w, 0, n, &[Do::Hvc(ENABLE), Do::Timer(Some(after))]), [0]);
}

/// When the timer of a CPU is set to come.
fn wake(w: &World, cpu: usize) -> Option<u64> {
    w.machine.gic.lock().unwrap().wakes.get(&cpu).copied()
}

fn irq(w: &World, n: u16) -> bool {
    w.partition(n).contexts()[0].context().lines.lock().unwrap().contains(Lines::IRQ)
}

/// The SPMD's FFA_INTERRUPT: what each partition that is entered finds in w2; it turns its timer off.
fn interrupted(w: &mut World, cpu: usize) -> Vec<(PartitionId, u64)> {
    let mut seen = Vec::new();
    let (spmc, mut off) = (w.spmc, true);
    let r = w.call(cpu, INTERRUPT, &mut |me, vcpu, regs| {
        if core::mem::replace(&mut off, false) {
            seen.push((me, regs.x[2]));
            let p = spmc.partitions().find(|p| p.id() == me).unwrap();
            *p.contexts()[vcpu as usize].context().timer.lock().unwrap() = None;
            return Exit::Timer;
        }
        off = true;
        wait(regs)
    });
    assert_eq!(r.x[0], RESUME);
    seen
}

#[test]
fn a_timer_that_is_due_while_its_partition_waits_wakes_it_once() {
    let mut w = World::booted(&[Spec::default(), Spec::default()], 1);
    armed(&mut w, 0, 1000);
    assert!(wake(&w, 0).is_some());
    assert_eq!(interrupted(&mut w, 0), []);
    w.machine.pass_time(1000);
    assert_eq!(interrupted(&mut w, 0), [(id(0), TIMER)]);
    assert_eq!((wake(&w, 0), irq(&w, 0)), (None, false));
    assert_eq!(interrupted(&mut w, 0), []);
}

#[test]
fn a_timer_that_is_due_while_its_partition_runs_raises_its_line() {
    let mut w = World::booted(&[Spec::default()], 1);
    armed(&mut w, 0, 1000);
    let machine = w.machine;
    let context = &w.partition(0).contexts()[0];
    let mut step = 0;
    let r = w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        step += 1;
        match step {
            1 => {
                machine.pass_time(1000);
                Exit::SecureInterrupt
            }
            2 => {
                assert!(context.context().lines.lock().unwrap().contains(Lines::IRQ));
                regs.set8([GET, 0, 0, 0, 0, 0, 0, 0]);
                Exit::Hvc
            }
            _ => {
                assert_eq!(regs.x[0], TIMER);
                respond(regs, 0)
            }
        }
    });
    assert_eq!((r.fid(), step, context.state()), (Func::DirectResp.id32(), 3, State::Idle));
}

#[test]
fn a_timer_that_is_due_while_another_runs_interrupts_it_or_waits_for_it() {
    for signalled in [true, false] {
        let mut second = Spec::default();
        if signalled {
            second.other_interrupts = Signalled;
        }
        let mut w = World::booted(&[Spec::default(), second], 1);
        armed(&mut w, 0, 1000);
        let machine = w.machine;
        let (mut first, mut woken) = (true, 0);
        w.call(0, request(NWD, id(1), 0), &mut |me, _, regs| {
            if me == id(0) {
                assert_eq!(regs.x[2], TIMER);
                woken += 1;
                return wait(regs);
            }
            if core::mem::take(&mut first) {
                machine.pass_time(1000);
                return Exit::SecureInterrupt;
            }
            respond(regs, 1)
        });
        assert_eq!(woken, u32::from(signalled));
        // It asks for the CPU back as soon as the Normal world has it.
        assert_eq!(machine.gic.lock().unwrap().kicks.contains(&Some(0)), !signalled);
        machine.gic.lock().unwrap().pending.push(KICK);
        let after = if signalled { Vec::new() } else { alloc::vec![(id(0), TIMER)] };
        assert_eq!(interrupted(&mut w, 0), after);
    }
}

#[test]
fn a_preempted_partition_finds_it_when_it_is_resumed() {
    let mut w = World::booted(&[Spec::default(), Spec::default()], 2);
    armed(&mut w, 0, 1000);
    armed(&mut w, 1, 100_000);
    w.call(0, request(NWD, id(0), 0), &mut |_, _, _| Exit::NormalInterrupt);
    w.machine.pass_time(1000);
    assert_eq!(interrupted(&mut w, 0), []);
    assert!(irq(&w, 0));
    assert_eq!(wake(&w, 0), w.spmc.timer_of(w.partition(1).contexts()[0]).map(|(at, _)| at), "the next one");
    let run = [Func::Run.id32() as u64, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0];
    w.call(1, run, &mut |_, _, regs| respond(regs, 0));
    assert!(irq(&w, 0));
}

#[test]
fn a_timer_that_is_masked_or_moved_does_not_come_and_what_came_is_withdrawn() {
    let mut w = World::booted(&[Spec::default()], 1);
    armed(&mut w, 0, 1000);
    acts(&mut w, 0, 0, &[Do::Timer(None)]);
    assert_eq!(wake(&w, 0), None);
    w.machine.pass_time(1000);
    assert_eq!(interrupted(&mut w, 0), []);
    for rearm in [None, Some(100_000)] {
        acts(&mut w, 0, 0, &[Do::Timer(Some(0))]);
        w.machine.pass_time(2 * REST);
        w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
            if regs.fid() == Func::DirectReq.id32() {
                regs.x[0] = 0;
                return Exit::SecureInterrupt;
            }
            respond(regs, 0)
        });
        assert!(irq(&w, 0));
        assert_eq!(acts(&mut w, 0, 0, &[Do::Timer(rearm), Do::Hvc(GET)]), [NONE]);
        assert_eq!(wake(&w, 0).is_some(), rearm.is_some());
    }
}

#[test]
fn the_first_of_several_timers_comes_first_and_the_next_is_not_forgotten() {
    let mut w = World::booted(&[Spec::default(), Spec::default(), Spec::default()], 1);
    for (n, after) in [(0, 30_000), (1, 10_000), (2, 20_000)] {
        armed(&mut w, n, after);
    }
    let mut seen = Vec::new();
    for _ in 0..6 {
        w.machine.pass_time(6_000);
        seen.extend(interrupted(&mut w, 0).into_iter().map(|(me, _)| me));
    }
    assert_eq!(seen, [id(1), id(2), id(0)]);
}

#[test]
fn a_level_that_stays_up_comes_again_after_its_end_but_not_at_once() {
    let mut w = World::booted(&[Spec::default()], 1);
    armed(&mut w, 0, 0);
    let machine = w.machine;
    let mut came = 0;
    let mut step = 0;
    w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        step += 1;
        match step % 3 {
            _ if step > 300 => respond(regs, 0),
            1 => {
                machine.pass_time(REST / 10);
                Exit::SecureInterrupt
            }
            2 => {
                regs.set8([GET, 0, 0, 0, 0, 0, 0, 0]);
                Exit::Hvc
            }
            _ => {
                came += u32::from(regs.x[0] == TIMER);
                regs.set8([DEACTIVATE, TIMER, TIMER, 0, 0, 0, 0, 0]);
                Exit::Hvc
            }
        }
    });
    assert!((8..=11).contains(&came), "{came} times in ten rests");
    assert!(wake(&w, 0).is_some_and(|at| at > machine.now()));
}

#[test]
fn a_cpu_that_goes_off_leaves_the_timers_of_those_that_may_run_elsewhere() {
    let per_cpu = Spec { contexts: 2, ..Spec::default() };
    let mut w = World::booted(&[Spec::default(), per_cpu], 2);
    for n in [0, 1] {
        acts(&mut w, 1, n, &[Do::Hvc(ENABLE), Do::Timer(Some(1000))]);
    }
    assert_eq!((wake(&w, 0), wake(&w, 1).is_some()), (None, true));
    let message = |psci| {
        let w1 = (PartitionId::SPMD.0 as u64) << 16 | PartitionId::SPMC.0 as u64;
        [Func::DirectReq.id32() as u64, w1, 1 << 31, psci, 0, 0, 0, 0]
    };
    w.call(1, message(0x8400_0002), &mut |_, _, _| panic!("nobody asked to be told"));
    assert_eq!(wake(&w, 1), None);
    assert_eq!(core::mem::take(&mut w.machine.gic.lock().unwrap().kicks), [Some(0)]);
    w.machine.pass_time(1000);
    w.machine.gic.lock().unwrap().pending.push(KICK);
    assert_eq!(wake(&w, 0), None);
    // The kick sets the timer, which has come already.
    assert_eq!(interrupted(&mut w, 0), [(id(0), TIMER)]);
    // The other one waits for its CPU.
    assert_eq!(wake(&w, 0), None);
    w.start(1, &mut |_, _, regs| wait(regs));
    assert_eq!(interrupted(&mut w, 1), [(id(1), TIMER)]);
}

#[test]
fn a_partition_that_migrates_takes_its_timer_along_when_it_arms_it_anew() {
    let mut w = World::booted(&[Spec::default()], 2);
    armed(&mut w, 0, 1000);
    acts(&mut w, 1, 0, &[Do::Timer(Some(5000))]);
    w.machine.pass_time(2000);
    // The first CPU still wakes, and finds nothing.
    assert_eq!(interrupted(&mut w, 0), []);
    assert_eq!((wake(&w, 0), wake(&w, 1).is_some()), (None, true));
    w.machine.pass_time(4000);
    assert_eq!(interrupted(&mut w, 1), [(id(0), TIMER)]);
}

#[test]
fn nothing_comes_of_the_timer_of_a_partition_that_died() {
    for abort in [AbortAction::Stop, AbortAction::Restart] {
        let mut w = World::booted(&[Spec { abort, ..Spec::default() }, Spec::default()], 1);
        armed(&mut w, 0, 1000);
        let mut first = true;
        let r = w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
            if core::mem::take(&mut first) { Exit::Fault } else { wait(regs) }
        });
        assert_error(&r, Error::Aborted);
        w.machine.pass_time(1000);
        assert_eq!(interrupted(&mut w, 0), []);
        assert!(!w.partition(0).contexts()[0].interrupts.has(Slot::TIMER));
        assert_eq!(w.call(0, request(NWD, id(1), 1), &mut |_, _, regs| echo(regs)).x[4], 0x1001);
    }
}
