// SPDX-License-Identifier: MIT OR Apache-2.0
//! Races of whole calls, on the simulated machine: two CPUs make theirs at the same time, and loom tries the
//! interleavings. A context that runs where it should not, or that is left behind, fails the model.

use alloc::vec::Vec;

use ffa_abi::{Error, Func, PartitionId, Regs};
use loom::thread::Builder;

use crate::manifest::{AbortAction, RoutingPolicy};
use crate::sim::SimMachine;
use crate::sim::world::{Spec, World, echo, id, request, wait};
use crate::{Exit, KICK, State};

const NWD: PartitionId = PartitionId::NORMAL_WORLD;
const RESP: u32 = Func::DirectResp.id32();
const REQ: u32 = Func::DirectReq.id32();
/// What a model's threads have for their stacks: a system is built on one.
const STACK: usize = 1 << 20;

/// Tries every interleaving of what two CPUs with these partitions do, each in a world of its own; or those with no more
/// than so many preemptions.
fn model(specs: &[Spec], preemptions: Option<usize>, body: fn(World, World)) {
    let (machine, specs) = (SimMachine::leaked(64), Vec::from(specs));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 100_000;
    builder.check(move || {
        let specs = specs.clone();
        let system = move || {
            machine.reset();
            let mut world = World::cold_on(machine, 1, &specs, 2, RoutingPolicy::default(), None);
            for cpu in 0..2 {
                world.start(cpu, &mut |_, _, regs| wait(regs));
            }
            let World { machine, spmc, cpus } = world;
            let mut worlds = cpus.into_iter().map(|cpu| World { machine, spmc, cpus: Vec::from([cpu]) });
            body(worlds.next().unwrap(), worlds.next().unwrap());
        };
        on_thread(system).join().unwrap();
    });
}

fn on_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> loom::thread::JoinHandle<T> {
    Builder::new().stack_size(STACK).spawn(body).unwrap()
}

/// Makes a call of the Normal world. Whatever partition is entered is to be running.
fn call(w: &mut World, call: [u64; 8], mut behave: impl FnMut(PartitionId, &mut Regs) -> Exit) -> Regs {
    let spmc = w.spmc;
    w.call(0, call, &mut |id, vcpu, regs| {
        let context = &spmc.partitions.find(id).unwrap().contexts()[usize::from(vcpu)];
        assert!(matches!(context.state(), State::Running | State::Starting), "{context:?} was entered");
        behave(id, regs)
    })
}

fn assert_idle(w: &World) {
    for context in w.spmc.partitions().flat_map(|p| p.contexts()) {
        assert_eq!(context.state(), State::Idle, "{context:?}");
    }
}

fn direct_resp(from: PartitionId, to: PartitionId, regs: &mut Regs) -> Exit {
    regs.set8([RESP.into(), u64::from(from.0) << 16 | u64::from(to.0), 0, 0, 0, 0, 0, 0]);
    Exit::Smc
}

/// FFA_RUN of a partition.
fn run(n: u16) -> [u64; 8] {
    [Func::Run.id32().into(), u64::from(id(n).0) << 16, 0, 0, 0, 0, 0, 0]
}

/// Asks the other of two partitions for the Normal world, and answers it whatever comes of that.
fn ask_the_other(me: PartitionId, regs: &mut Regs) -> Exit {
    let other = if me == id(0) { id(1) } else { id(0) };
    match regs.fid() {
        REQ if regs.x[1] >> 16 == 0 => {
            regs.set8(request(me, other, 1));
            Exit::Smc
        }
        REQ => echo(regs),
        _ => direct_resp(me, NWD, regs),
    }
}

/// Two CPUs build crossing chains, first -> second and second -> first: both come back, and nobody waits for ever.
#[test]
fn loom_crossing_chains_both_end() {
    model(&[Spec::default(), Spec::default()], None, |mut a, mut b| {
        let other = on_thread(move || call(&mut b, request(NWD, id(1), 1), ask_the_other).fid());
        let mine = call(&mut a, request(NWD, id(0), 1), ask_the_other).fid();
        let theirs = other.join().unwrap();
        // Whoever comes while the other CPU has its partition is told so, and calls nobody.
        assert!(mine == RESP || theirs == RESP, "nobody was answered");
        assert!([mine, theirs].iter().all(|fid| [RESP, Func::Error.id32()].contains(fid)));
        assert_idle(&a);
    });
}

/// A preempted chain, first -> second, is resumed by FFA_RUN on two CPUs; on either the second answers, and the first is
/// preempted again. One of them gets it each time, as it is then.
#[test]
fn loom_a_preempted_chain_is_resumed_by_one_cpu() {
    fn finish(preempt: bool, me: PartitionId, regs: &mut Regs) -> Exit {
        match regs.fid() {
            fid if fid == Func::Run.id32() => wait(regs),
            _ if me == id(1) => direct_resp(me, id(0), regs),
            _ if preempt => Exit::NormalInterrupt,
            _ => direct_resp(me, NWD, regs),
        }
    }
    model(&[Spec::default(), Spec::default()], None, |mut a, mut b| {
        let chain = |me, regs: &mut Regs| if me == id(1) { Exit::NormalInterrupt } else { ask_the_other(me, regs) };
        assert_eq!(call(&mut a, request(NWD, id(0), 1), chain).fid(), Func::Interrupt.id32());
        let other = on_thread(move || call(&mut b, run(0), |me, regs| finish(true, me, regs)).fid());
        call(&mut a, run(0), |me, regs| finish(true, me, regs));
        other.join().unwrap();
        assert_eq!(call(&mut a, run(0), |me, regs| finish(false, me, regs)).fid(), RESP);
        assert_idle(&a);
    });
}

/// What was the head of a preempted chain is, when FFA_RUN comes to it, behind another head that is preempted: it is not
/// taken out of the middle.
#[test]
fn loom_the_middle_of_a_preempted_chain_is_not_resumed() {
    model(&[Spec::default(), Spec::default()], None, |mut a, mut b| {
        let preempted = |_, _: &mut Regs| Exit::NormalInterrupt;
        assert_eq!(call(&mut a, request(NWD, id(1), 1), preempted).fid(), Func::Interrupt.id32());
        let end = |me, regs: &mut Regs| match (me, regs.fid()) {
            (_, fid) if fid == Func::Run.id32() => wait(regs),
            (me, REQ) if me == id(1) && regs.x[1] >> 16 == u64::from(id(0).0) => echo(regs),
            (me, _) => direct_resp(me, NWD, regs),
        };
        let other = on_thread(move || call(&mut b, run(1), end).fid());
        call(&mut a, run(1), end);
        let chain = |me, regs: &mut Regs| if me == id(1) { Exit::NormalInterrupt } else { ask_the_other(me, regs) };
        if call(&mut a, request(NWD, id(0), 1), chain).fid() == Func::Interrupt.id32() {
            let last = |me, regs: &mut Regs| {
                if me == id(1) { direct_resp(me, id(0), regs) } else { direct_resp(me, NWD, regs) }
            };
            assert_eq!(call(&mut a, run(0), last).fid(), RESP);
        }
        other.join().unwrap();
        assert_idle(&a);
    });
}

/// A partition dies on one CPU and is restarted there while a call comes in on the other: it starts once, on either.
#[test]
fn loom_a_call_meets_a_restart() {
    model(&[Spec { abort: AbortAction::Restart, ..Spec::default() }], Some(3), |mut a, mut b| {
        // It dies of its first request; after that it begins again, and answers.
        let behave = |dies: bool| {
            move |_, regs: &mut Regs| match regs.fid() {
                REQ if dies => Exit::Fault,
                REQ => echo(regs),
                _ => wait(regs),
            }
        };
        let other = on_thread(move || call(&mut b, request(NWD, id(0), 1), behave(false)));
        let mine = call(&mut a, request(NWD, id(0), 1), behave(true));
        let theirs = other.join().unwrap();
        let errors = [Error::Busy, Error::NotReady, Error::Aborted, Error::Retry].map(|e| u64::from(e.code() as u32));
        assert!(mine.fid() == Func::Error.id32() && errors.contains(&mine.x[2]));
        assert!(theirs.fid() == RESP || errors.contains(&theirs.x[2]));
        assert_eq!(call(&mut a, request(NWD, id(0), 1), behave(false)).fid(), RESP);
        assert_idle(&a);
    });
}

fn take_kick(w: &World) -> bool {
    w.machine.gic.lock().unwrap().kicks.pop().is_some()
}

/// A device's interrupt arrives on one CPU while its owner answers a request on the other: it is handled.
#[test]
fn loom_an_interrupt_meets_a_response() {
    const INTID: u32 = 40;
    const INTERRUPT: [u64; 8] = [Func::Interrupt.id32() as u64, 0, 0, 0, 0, 0, 0, 0];
    /// The partition's code: takes what it is entered for, ends it, and waits.
    fn handle(_: PartitionId, regs: &mut Regs) -> Exit {
        let next = match regs.fid() {
            REQ => return echo(regs),
            fid if fid == Func::Interrupt.id32() => [0xff04, 0, 0, 0, 0, 0, 0, 0],
            INTID => [0xff08, INTID.into(), INTID.into(), 0, 0, 0, 0, 0],
            _ => return wait(regs),
        };
        regs.set8(next);
        Exit::Hvc
    }
    let spec = Spec { interrupts: Vec::from([INTID]), ..Spec::default() };
    model(&[spec], Some(3), |mut a, mut b| {
        call(&mut a, run(0), |_, regs| {
            if regs.fid() == 0 {
                return wait(regs);
            }
            regs.set8([0xff03, INTID.into(), 1, 0, 0, 0, 0, 0]);
            Exit::Hvc
        });
        let gic = &a.machine.gic;
        gic.lock().unwrap().pending.push(INTID);
        let other = on_thread(move || call(&mut b, request(NWD, id(0), 1), handle).fid());
        call(&mut a, INTERRUPT, handle);
        assert!([RESP, Func::Error.id32()].contains(&other.join().unwrap()));
        // One of them may have left the other a note.
        while take_kick(&a) {
            gic.lock().unwrap().pending.push(KICK);
            call(&mut a, INTERRUPT, handle);
        }
        assert!(gic.lock().unwrap().active.is_empty(), "the interrupt was forgotten");
        assert_idle(&a);
    });
}
