// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random walks: partitions that do whatever comes, on several CPUs, with the invariants of the state machine
//! checked after every step.

mod signals;

use alloc::format;
use alloc::vec::Vec;

use core::sync::atomic::Ordering::Relaxed;
use ffa_abi::{Func, PartitionId, Regs};
use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::interrupt::Slot;
use crate::partition::{Entered, Link};
use crate::sim::world::{Spec, World, id, request};
use crate::sim::{Random, SimMachine};
use crate::{Cpu, ExecutionContext, Exit, Next, Port, State};
use signals::Signals;

const PARTITIONS: u16 = 5;
const CPUS: usize = 4;
/// The interrupt of the first partition's device; each has one.
const FIRST_INTERRUPT: u32 = 40;
/// The virtual interrupt of the timer.
const TIMER: u64 = 3;

/// Lets a device raise its interrupt, unless it has already.
fn fire(w: &World, r: &mut Random) {
    let intid = FIRST_INTERRUPT + r.below(PARTITIONS as u64) as u32;
    let mut gic = w.machine.gic.lock().unwrap();
    if !gic.pending.contains(&intid) {
        gic.pending.push(intid);
    }
}

fn specs() -> Vec<Spec> {
    use crate::manifest::AbortAction::{Destroy, Restart, Stop};
    use crate::manifest::NsInterruptAction::{ManagedExit, Queued, Signalled};
    use crate::manifest::OtherSecureInterruptAction as Other;
    let spec = |n: u16| Spec {
        contexts: if n == 2 { CPUS as u16 } else { 1 },
        interrupts: alloc::vec![FIRST_INTERRUPT + u32::from(n)],
        ns_interrupts: [Signalled, ManagedExit, Signalled, Queued, ManagedExit][n as usize],
        other_interrupts: if n < 3 { Other::Signalled } else { Other::Queued },
        abort: [Restart, Stop, Restart, Restart, Destroy][n as usize],
        ..Spec::default()
    };
    (0..PARTITIONS).map(spec).collect()
}

/// No two CPUs in one context; every Blocked context has one live callee; every chain ends at the Normal world.
fn check(w: &World) {
    let mut on_cpus = BTreeSet::new();
    for cpu in &w.cpus {
        if let Some(c) = cpu.current() {
            assert!(on_cpus.insert((c.partition, c.vcpu)), "two CPUs in {c:?}");
            assert!(matches!(c.state(), State::Running | State::Starting), "{c:?} on a CPU");
        }
    }
    for n in 0..PARTITIONS {
        for c in w.partition(n).contexts() {
            let state = c.state();
            if matches!(state, State::Running | State::Starting) {
                assert!(on_cpus.contains(&(c.partition, c.vcpu)), "{c:?} runs nowhere");
            }
            if state == State::Blocked {
                let callee = w.spmc.partitions.context(c.callee()).expect("a callee");
                let live = matches!(callee.state(), State::Running | State::Starting | State::Blocked);
                assert!(live, "{c:?} waits for {callee:?}");
                assert!(callee.call().caller() == c.link(), "{callee:?} would answer somebody else");
            }
            check_timer(w, c);
            if matches!(state, State::Running | State::Blocked | State::Preempted | State::Suspended) {
                let head = w.spmc.head_of(c);
                assert!(head.call().caller() == Link::NOBODY, "{c:?} is in a chain without an end");
                let off = matches!(state, State::Preempted | State::Suspended);
                assert_eq!(off, head.state() == State::Preempted, "{c:?} in the chain of {head:?}");
                assert_eq!(state == State::Preempted, off && head.link() == c.link(), "{c:?} in the chain of {head:?}");
            }
        }
    }
}

/// An armed timer is either waited for or has told its context: no way between states loses it.
fn check_timer(w: &World, c: &ExecutionContext<SimMachine>) {
    let armed = *c.context().timer.lock().unwrap();
    if armed.is_none() || matches!(c.state(), State::Aborted | State::Stopped | State::Reset) {
        return;
    }
    let at =
        w.spmc.timer_of(c).filter(|(at, cpu)| w.machine.gic.lock().unwrap().wakes.get(cpu).is_some_and(|w| w <= at));
    assert!(at.is_some() || c.interrupts.has(Slot::TIMER), "{c:?} waits for {armed:?}");
}

fn normal_call(r: &mut Random) -> [u64; 8] {
    let to = id(r.below(PARTITIONS as u64 + 1) as u16);
    match r.below(10) {
        8 => [Func::Interrupt.id32() as u64, 0, 0, 0, 0, 0, 0, 0],
        9 => signals::of_normal_world(r),
        0..=3 => request(PartitionId::NORMAL_WORLD, to, 1),
        4..=6 => [Func::Run.id32() as u64, (to.0 as u64) << 16 | r.below(CPUS as u64), 0, 0, 0, 0, 0, 0],
        _ => [0x8400_0060 + r.below(0x30), r.next(), r.next(), r.next(), 0, 0, 0, 0],
    }
}

fn partition_step(r: &mut Random, me: PartitionId, requester: PartitionId, clock: &Clock, regs: &mut Regs) -> Exit {
    let other = id(r.below(PARTITIONS as u64) as u16);
    let answer = (me.0 as u64) << 16 | requester.0 as u64;
    let own = u64::from(FIRST_INTERRUPT) + u64::from(me.0 - id(0).0);
    let call = match r.below(29) {
        20 => return Exit::SecureInterrupt,
        26 => {
            // Off, at once, or in a while.
            let later = Some(clock.now + r.below(400));
            *clock.timer.lock().unwrap() = r.pick(&[None, Some(clock.now), later]);
            return Exit::Timer;
        }
        27 => {
            regs.set8([r.pick(&[0xff03, 0xff08]), TIMER, r.pick(&[1, TIMER]), 0, 0, 0, 0, 0]);
            return Exit::Hvc;
        }
        21..=24 => {
            let calls = [[0xff03, own, 1], [0xff04, 0, 0], [0xff08, own, own], [0xff0a, r.below(CPUS as u64), 0]];
            let [x0, x1, x2] = r.pick(&calls);
            regs.set8([x0, x1, x2, 0, 0, 0, 0, 0]);
            return Exit::Hvc;
        }
        25 | 28 => signals::of_partition(r, me),
        0..=5 => [Func::DirectResp.id32() as u64, answer, 0, 0, 0, 0, 0, 0],
        6..=9 => request(me, other, 2),
        10..=11 => [Func::MsgWait.id32() as u64, 0, 0, 0, 0, 0, 0, 0],
        12 => [Func::Yield.id32() as u64, 0, 0, 0, 0, 0, 0, 0],
        13..=14 => [Func::Run.id32() as u64, (other.0 as u64) << 16 | r.below(CPUS as u64), 0, 0, 0, 0, 0, 0],
        15 => [0x8400_0060 + r.below(0xa0), r.next(), r.next(), r.next(), 0, 0, 0, 0],
        16..=17 => return Exit::NormalInterrupt,
        18 => return Exit::Wait,
        _ => return r.pick(&[Exit::NormalInterrupt, Exit::Hvc, Exit::Smc, Exit::Wait]),
    };
    regs.set8(call);
    Exit::Smc
}

/// What a context of the walk has of its timer.
struct Clock<'a> {
    timer: &'a Mutex<Option<u64>>,
    now: u64,
}

/// What one CPU of the walk is doing.
enum At {
    Normal,
    In(Regs),
}

/// What a walk has come by.
#[derive(Default)]
struct Seen {
    signals: Signals,
    /// Restarts of partitions.
    restarts: u32,
    /// Runs that the Normal world's interrupts have asked to finish.
    managed: u32,
    /// Contexts entered for an interrupt.
    handled: u32,
    /// For that of their timer.
    woken: u32,
}

/// Follows what became of partitions that died: their action has been carried out, and what they knew is forgotten.
fn bury(w: &World, seen: &mut Seen) {
    for line in w.machine.take_log() {
        let Some((name, what)) = line.split_once(": ") else { continue };
        let restarted = what.starts_with("restarted");
        if restarted || what.starts_with("stopped") || what.starts_with("destroyed") {
            let n = (0..PARTITIONS).find(|n| name == format!("sp{n}")).expect("a partition");
            seen.signals.forget(n.into());
            seen.restarts += u32::from(restarted);
        }
    }
}

fn step(w: &mut World, at: &mut [At], r: &mut Random, faults: bool, seen: &mut Seen) {
    let n = r.below(CPUS as u64) as usize;
    if r.below(10) == 0 {
        fire(w, r);
    }
    let most = r.pick(&[20, 20, 20, 20, 200, 200, 2000, 100_000]);
    w.machine.pass_time(r.below(most));
    w.machine.cpu.store(n, Relaxed);
    let cpu: &mut Cpu<SimMachine> = &mut w.cpus[n];
    let (next, regs) = match &mut at[n] {
        At::Normal => {
            let mut regs = Regs::ZERO;
            regs.set8(normal_call(r));
            let before = regs;
            let next = w.spmc.on_normal_world(cpu, &mut regs);
            seen.signals.follow(&before, &regs);
            (next, regs)
        }
        At::In(regs) => {
            let c = cpu.current().expect("it runs");
            let me = id(c.partition as u16);
            let clock = Clock { timer: &c.context().timer, now: w.machine.now() };
            let exit = match faults && r.below(200) == 0 {
                true => Exit::Fault,
                false => partition_step(r, me, c.call().requester(), &clock, regs),
            };
            let (before, held) = (*regs, cpu.held);
            let next = w.spmc.on_partition_exit(cpu, c, exit, regs);
            if matches!(exit, Exit::Smc | Exit::Hvc) {
                seen.signals.follow(&before, regs);
            }
            seen.managed += u32::from(exit == Exit::NormalInterrupt && matches!(next, Next::Run(_)) && !held);
            (next, *regs)
        }
    };
    at[n] = match next {
        Next::Reply => At::Normal,
        Next::Run(c) => {
            let for_interrupt = c.call().entered() == Entered::Interrupt && regs.fid() == Func::Interrupt.id32();
            seen.handled += u32::from(for_interrupt);
            seen.woken += u32::from(for_interrupt && regs.x[2] == TIMER);
            At::In(regs)
        }
    };
    bury(w, seen);
}

/// Brings every context back to rest: no state may be one that it cannot leave.
fn settle(w: &mut World, at: &mut [At]) {
    for _ in 0..1000 {
        for (n, at) in at.iter_mut().enumerate() {
            w.machine.cpu.store(n, Relaxed);
            let cpu = &mut w.cpus[n];
            while let At::In(regs) = at {
                let c = cpu.current().expect("it runs");
                let call = c.call();
                let w1 = (id(c.partition as u16).0 as u64) << 16 | call.requester().0 as u64;
                let waits = matches!(call.entered(), Entered::Init | Entered::Run | Entered::Interrupt);
                let func = if waits { Func::MsgWait } else { Func::DirectResp };
                regs.set8([func.id32() as u64, w1, 0, 0, 0, 0, 0, 0]);
                if let Next::Reply = w.spmc.on_partition_exit(cpu, c, Exit::Smc, regs) {
                    *at = At::Normal;
                }
            }
            w.machine.cpu.store(n, Relaxed);
            for p in 0..PARTITIONS {
                for v in 0..w.partition(p).contexts().len() as u64 {
                    if w.partition(p).contexts()[v as usize].state() != State::Preempted {
                        continue;
                    }
                    let mut regs = Regs::ZERO;
                    regs.set8([Func::Run.id32() as u64, (id(p).0 as u64) << 16 | v, 0, 0, 0, 0, 0, 0]);
                    if let Next::Run(_) = w.spmc.on_normal_world(&mut w.cpus[n], &mut regs) {
                        *at = At::In(regs);
                        break;
                    }
                }
                if matches!(at, At::In(_)) {
                    break;
                }
            }
        }
        let idle = |s: State| matches!(s, State::Idle | State::Reset | State::Stopped);
        if (0..PARTITIONS).all(|p| w.partition(p).contexts().iter().all(|c| idle(c.state())))
            && at.iter().all(|a| matches!(a, At::Normal))
        {
            return;
        }
    }
    panic!("a state that cannot be left");
}

#[test]
fn random_walks_keep_the_invariants_and_leave_no_state_stuck() {
    let seeds = std::env::var("HEMATITE_WALKS").ok().and_then(|n| n.parse().ok()).unwrap_or(60u64);
    let (mut woken, mut restarts, mut managed) = (0, 0, 0);
    for seed in 1..=seeds {
        let mut w = World::booted(&specs(), CPUS);
        let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut seen = Seen::default();
        for n in 0..PARTITIONS {
            for bind in signals::bindings(n) {
                super::assert_success(&super::from_partition(&mut w, n, bind), 0);
            }
        }
        let mut at: Vec<At> = (0..CPUS).map(|_| At::Normal).collect();
        for _ in 0..if cfg!(miri) { 100 } else { 4000 } {
            step(&mut w, &mut at, &mut r, seed % 3 == 0, &mut seen);
            check(&w);
        }
        if seed % 3 != 0 && !cfg!(miri) {
            let Signals { got, listed, .. } = seen.signals;
            assert!(
                got > 10 && listed > 3 && seen.handled > 10,
                "{got} got, {listed} listed, {} handled",
                seen.handled
            );
        }
        woken += seen.woken;
        restarts += seen.restarts;
        managed += seen.managed;
        settle(&mut w, &mut at);
        check(&w);
    }
    let enough = woken > 10 && restarts > 100 && managed > 100;
    assert!(
        enough || seeds < 60 || cfg!(miri),
        "{woken} woken by timers, {restarts} restarts, {managed} managed exits"
    );
}
