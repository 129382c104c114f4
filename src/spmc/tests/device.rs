// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interrupts of devices over the lives of partitions and CPUs, and those that are left to the scheduler.

use alloc::vec;

use ffa_abi::{Func, PartitionId, Regs};

use super::{assert_success, calls};
use crate::manifest::{AbortAction, SriPolicy};
use crate::sim::world::{Spec, World, echo, id, request, wait};
use crate::{Exit, KICK, State};

const NWD: PartitionId = PartitionId::NORMAL_WORLD;
const INTERRUPT: [u64; 8] = [Func::Interrupt.id32() as u64, 0, 0, 0, 0, 0, 0, 0];
const RESUME: u64 = Func::NormalWorldResume.id32() as u64;
/// PSCI CPU_OFF, as the SPMD tells it.
const OFF: [u64; 8] = [Func::DirectReq.id32() as u64, 0xffff_8000, 0x8000_0000, 0x8400_0002, 0, 0, 0, 0];
const CREATE: u64 = Func::NotificationBitmapCreate.id32() as u64;
const INFO: u64 = Func::NotificationInfoGet.id64() as u64;
/// An interrupt of the first partition's device.
const A: u32 = 40;

fn owner(abort: AbortAction) -> Spec {
    Spec { interrupts: vec![A], abort, ..Spec::default() }
}

/// Lets partition 0 enable its interrupt.
fn enable(w: &mut World, cpu: usize, intid: u32) {
    w.call(cpu, request(NWD, id(0), 0), &mut |_, _, regs| {
        if regs.fid() == Func::DirectReq.id32() {
            regs.set8([0xff03, intid as u64, 1, 0, 0, 0, 0, 0]);
            return Exit::Hvc;
        }
        assert_eq!(regs.x[0], 0);
        calls(regs, [Func::DirectResp.id32() as u64, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0])
    });
}

fn fire(w: &World, intid: u32) {
    w.machine.gic.lock().unwrap().pending.push(intid);
}

fn kicks(w: &World) -> vec::Vec<Option<usize>> {
    core::mem::take(&mut w.machine.gic.lock().unwrap().kicks)
}

fn is_enabled(w: &World) -> bool {
    w.machine.gic.lock().unwrap().enabled.contains(&A)
}

fn route(w: &World) -> usize {
    w.machine.gic.lock().unwrap().routes[&A]
}

fn state(w: &World) -> State {
    w.partition(0).contexts()[0].state()
}

/// Handles nothing: waits again.
fn waits(_: PartitionId, _: u16, regs: &mut Regs) -> Exit {
    wait(regs)
}

#[test]
fn the_interrupts_of_a_partition_that_died_stay_disabled() {
    let mut w = World::booted(&[owner(AbortAction::Stop)], 2);
    assert!(is_enabled(&w));
    w.call(0, request(NWD, id(0), 0), &mut |_, _, _| Exit::Fault);
    assert!(!is_enabled(&w));
    // Nor does a CPU that goes off and comes back enable them.
    w.plain(OFF);
    w.start(0, &mut |_, _, _| unreachable!("the partition is dead"));
    assert!(!is_enabled(&w));
    fire(&w, A);
    assert_eq!(w.plain(INTERRUPT).x[0], RESUME);
}

#[test]
fn a_restart_gives_a_partition_its_interrupts_back_as_they_were_at_boot() {
    let mut w = World::booted(&[owner(AbortAction::Restart)], 1);
    enable(&mut w, 0, A);
    fire(&w, A);
    // It dies with its interrupt active and taken by nobody.
    let mut first = true;
    let r = w.call(0, INTERRUPT, &mut |_, _, regs| {
        if core::mem::take(&mut first) { Exit::Fault } else { wait(regs) }
    });
    assert_eq!((r.x[0], state(&w)), (RESUME, State::Idle));
    assert!(is_enabled(&w) && w.machine.gic.lock().unwrap().active.is_empty());
    let context = &w.partition(0).contexts()[0];
    assert!(!context.interrupts.any(), "nothing of the former life");
    // It has to enable it for itself again, like the first time.
    fire(&w, A);
    assert_eq!(w.plain(INTERRUPT).x[0], RESUME);
    enable(&mut w, 0, A);
    fire(&w, KICK);
    let mut entered = 0;
    w.call(0, INTERRUPT, &mut |_, _, regs| {
        assert_eq!(regs.x[2], A as u64);
        entered += 1;
        wait(regs)
    });
    assert_eq!(entered, 1);
}

#[test]
fn an_interrupt_beyond_those_of_the_controller_is_told_and_hurts_nobody() {
    const BEYOND: u32 = 700;
    let mut w = World::cold(&[Spec { interrupts: vec![A, BEYOND], ..Spec::default() }], 1);
    w.start(0, &mut waits);
    let told = w.machine.take_log().iter().filter(|l| l.contains("has no interrupt 700: it never comes")).count();
    assert_eq!((told, is_enabled(&w)), (1, true), "the other one is there");
    assert!(!w.machine.gic.lock().unwrap().enabled.contains(&BEYOND));
}

#[test]
fn cpu_off_with_interrupts_pending_leaves_them_to_one_that_stays() {
    let mut w = World::booted(&[owner(AbortAction::Stop), Spec::default()], 2);
    enable(&mut w, 0, A);
    assert_eq!(route(&w), 0);
    // One that could not be handled yet, since another partition runs that may not be interrupted.
    let mut first = true;
    let machine = w.machine;
    w.call(0, request(NWD, id(1), 0), &mut |_, _, regs| {
        if core::mem::take(&mut first) {
            machine.gic.lock().unwrap().pending.push(A);
            return Exit::SecureInterrupt;
        }
        echo(regs)
    });
    assert_eq!(kicks(&w), [Some(0)], "this CPU would have come back to it");
    w.plain(OFF);
    assert_eq!((route(&w), kicks(&w)), (1, vec![Some(1)]));
    fire(&w, KICK);
    let mut entered = 0;
    let r = w.call(1, INTERRUPT, &mut |me, _, regs| {
        assert_eq!((me, regs.x[2]), (id(0), A as u64));
        entered += 1;
        wait(regs)
    });
    assert_eq!((r.x[0], entered), (RESUME, 1));
    // The last one keeps them: nobody else could take them.
    let mut regs = Regs::ZERO;
    regs.set8(OFF);
    w.call_regs(1, &mut regs, &mut waits);
    assert_eq!(route(&w), 1);
}

#[test]
fn cpu_off_and_on_with_interrupts_pending_finds_them_again() {
    let mut w = World::booted(&[Spec { contexts: 2, ..Spec::default() }], 2);
    enable(&mut w, 1, 9);
    let mut regs = Regs::ZERO;
    regs.set8(OFF);
    w.call_regs(1, &mut regs, &mut waits);
    // An IPI for the context whose CPU is off.
    w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        if regs.fid() == Func::DirectReq.id32() {
            regs.set8([0xff0a, 1, 0, 0, 0, 0, 0, 0]);
            return Exit::Hvc;
        }
        calls(regs, [Func::DirectResp.id32() as u64, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0])
    });
    kicks(&w);
    w.cpus[1] = crate::Cpu::new(1);
    w.start(1, &mut |_, _, _| unreachable!("it has started before"));
    assert_eq!(kicks(&w), [Some(1)]);
    fire(&w, KICK);
    let mut entered = 0;
    let r = w.call(1, INTERRUPT, &mut |me, vcpu, regs| {
        assert_eq!((me, vcpu, regs.x[2]), (id(0), 1, 9));
        entered += 1;
        wait(regs)
    });
    assert_eq!((r.x[0], entered), (RESUME, 1));
}

#[test]
fn an_interrupt_is_left_to_the_scheduler_where_the_manifest_says_so_and_it_listens() {
    let sri = SriPolicy::WHILE_WAITING;
    let mut w = World::booted(&[Spec { sri, ..owner(AbortAction::Stop) }], 1);
    enable(&mut w, 0, A);
    // Nobody listens: the partition is entered as ever.
    fire(&w, A);
    let mut entered = 0;
    w.call(0, INTERRUPT, &mut |_, _, regs| {
        entered += 1;
        if entered == 1 {
            regs.set8([0xff04, 0, 0, 0, 0, 0, 0, 0]);
            return Exit::Hvc;
        }
        if entered == 2 {
            regs.set8([0xff08, A as u64, A as u64, 0, 0, 0, 0, 0]);
            return Exit::Hvc;
        }
        wait(regs)
    });
    assert_eq!((entered, w.machine.raised()), (3, 0));
    assert_success(&w.plain([CREATE, 0, 1, 0, 0, 0, 0, 0]), 0);
    fire(&w, A);
    assert_eq!(w.plain(INTERRUPT).x[0], RESUME);
    assert_eq!((state(&w), w.machine.raised()), (State::Idle, 1));
    let info = w.plain([INFO, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(info.x[2..4], [1 << 12 | 1 << 7, 0x8001], "context 0 of it");
    let run = [Func::Run.id32() as u64, (id(0).0 as u64) << 16, 0, 0, 0, 0, 0, 0];
    w.call(0, run, &mut |_, _, regs| {
        if regs.fid() == Func::Run.id32() {
            regs.set8([0xff04, 0, 0, 0, 0, 0, 0, 0]);
            return Exit::Hvc;
        }
        assert_eq!(regs.x[0], A as u64);
        wait(regs)
    });
    assert_eq!(w.plain([INFO, 0, 0, 0, 0, 0, 0, 0]).fid(), Func::Error.id32(), "it is listed once");
}

#[test]
fn an_interrupt_that_is_pending_when_the_partition_begins_to_wait_is_left_to_the_scheduler_likewise() {
    let sri = SriPolicy::ENTERING_WAIT;
    let mut w = World::booted(&[Spec { sri, ..owner(AbortAction::Stop) }], 1);
    enable(&mut w, 0, A);
    assert_success(&w.plain([CREATE, 0, 1, 0, 0, 0, 0, 0]), 0);
    let (mut first, machine) = (true, w.machine);
    w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        if core::mem::take(&mut first) {
            machine.gic.lock().unwrap().pending.push(A);
            return Exit::SecureInterrupt;
        }
        echo(regs)
    });
    assert_eq!((w.machine.raised(), kicks(&w)), (1, vec![]));
    assert_eq!(w.plain([INFO, 0, 0, 0, 0, 0, 0, 0]).x[3], 0x8001);
}
