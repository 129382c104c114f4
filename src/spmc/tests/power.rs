// SPDX-License-Identifier: MIT OR Apache-2.0
use ffa_abi::{Error, Func, PartitionId};

use super::{assert_error, assert_success, assert_untouched, calls, from_partition};
use crate::manifest::{PowerMessages, VmAvailability};
use crate::sim::world::{Spec, World, echo, id, request, wait};
use crate::{Exit, State};

const REQ: u64 = Func::DirectReq.id32() as u64;
const RESP: u64 = Func::DirectResp.id32() as u64;
const CPU_OFF: [u64; 8] = [REQ, 0xffff_8000, 0x8000_0000, 0x8400_0002, 0, 0, 0, 0];
const OFF_DONE: [u64; 8] = [RESP, 0x8000_ffff, 0x8000_0002, 0, 0, 0, 0, 0];

fn subscribed() -> Spec {
    Spec { contexts: 2, power: PowerMessages::CPU_OFF | PowerMessages::CPU_ON, ..Spec::default() }
}

/// Makes a paravirtual call as the first partition, inside a request of the Normal world.
fn from_hvc(w: &mut World, call: [u64; 8]) -> ffa_abi::Regs {
    let mut answer = None;
    w.call(0, request(PartitionId::NORMAL_WORLD, id(0), 0), &mut |_, _, regs| {
        if answer.is_none() && regs.fid() == Func::DirectReq.id32() {
            regs.set8(call);
            return Exit::Hvc;
        }
        answer = Some(*regs);
        calls(regs, [RESP, 0x8001_0000, 0, 0, 0, 0, 0, 0])
    });
    answer.expect("it was answered")
}

#[test]
fn cpu_off_is_answered_to_spmd_and_told_to_subscribers() {
    let mut w = World::booted(&[Spec::default(), subscribed(), subscribed()], 2);
    let mut told = alloc::vec![];
    let r = w.call(1, CPU_OFF, &mut |me, vcpu, regs| {
        assert_eq!(regs.x[..4], [REQ, 0x8000_0000 | me.0 as u64, 0x8000_0000, 0x8400_0002]);
        told.push((me, vcpu));
        calls(regs, [RESP, (me.0 as u64) << 16 | 0x8000, 0x8000_0002, 0, 0, 0, 0, 0])
    });
    assert_eq!(r.x[..8], OFF_DONE);
    assert_untouched(&r);
    assert_eq!(told, [(id(1), 1), (id(2), 1)]);
    told.clear();
    w.start(1, &mut |me, vcpu, regs| {
        assert_eq!(regs.x[2..4], [0x8000_0001, 1]);
        told.push((me, vcpu));
        calls(regs, [RESP, (me.0 as u64) << 16 | 0x8000, 0x8000_0002, 0, 0, 0, 0, 0])
    });
    assert_eq!(told, [(id(1), 1), (id(2), 1)]);
    assert_eq!(w.partition(1).contexts()[1].state(), State::Idle);
}

#[test]
fn a_subscriber_that_answers_wrongly_or_dies_does_not_keep_the_cpu() {
    let mut w = World::booted(&[subscribed(), subscribed()], 2);
    let mut tries = 0;
    let r = w.call(1, CPU_OFF, &mut |me, _, regs| {
        if me == id(1) {
            return Exit::Fault;
        }
        tries += 1;
        match tries {
            1 => wait(regs),
            2 => {
                assert_error(regs, Error::Denied);
                calls(regs, [RESP, 0x8001_0000, 0x8000_0002, 0, 0, 0, 0, 0])
            }
            3 => {
                assert_error(regs, Error::InvalidParameters);
                calls(regs, [RESP, 0x8001_8000, 0x8000_0003, 0, 0, 0, 0, 0])
            }
            4 => {
                assert_error(regs, Error::InvalidParameters);
                calls(regs, [Func::Yield.id32() as u64, 0, 0, 0, 0, 0, 0, 0])
            }
            _ => {
                assert_error(regs, Error::Denied);
                calls(regs, [RESP, 0x8001_8000, 0x8000_0002, 0xffff_ffff, 0, 0, 0, 0])
            }
        }
    });
    assert_eq!((r.x[..8].to_vec(), tries), (OFF_DONE.to_vec(), 5));
    assert!(w.machine.take_log().iter().any(|l| l.contains("status -1")));
}

#[test]
fn a_cpu_goes_off_amid_a_call_which_goes_on_elsewhere() {
    // The second hears of CPUs; its context of CPU 1 is in the middle of the chain.
    let mut w = World::booted(&[Spec::default(), subscribed(), Spec::default()], 2);
    let r = w.call(1, request(PartitionId::NORMAL_WORLD, id(0), 1), &mut |me, _, regs| {
        if me == id(0) { calls(regs, request(id(0), id(2), 2)) } else { Exit::NormalInterrupt }
    });
    assert_eq!(r.x[..2], [Func::Interrupt.id32() as u64, 0x8001_0000]);
    // One that is bound to the CPU is preempted there, too: it cannot be told, and is passed over.
    w.call(1, request(PartitionId::NORMAL_WORLD, id(1), 3), &mut |_, _, _| Exit::NormalInterrupt);
    let r = w.call(1, CPU_OFF, &mut |me, _, _| panic!("{me} was entered amid its work"));
    assert_eq!(r.x[..8], OFF_DONE);
    // What is bound to CPU 1 stays; what is not goes on here, whole.
    let run = |n: u16, vcpu: u64| [Func::Run.id32() as u64, (id(n).0 as u64) << 16 | vcpu, 0, 0, 0, 0, 0, 0];
    assert_error(&w.plain(run(1, 1)), Error::Denied);
    assert_error(&w.plain(run(2, 0)), Error::Busy);
    let r = w.call(0, run(0, 0), &mut |me, _, regs| {
        if me == id(2) {
            return echo(regs);
        }
        calls(regs, [RESP, 0x8001_0000, 0, 0, regs.x[4], 0, 0, 0])
    });
    assert_eq!((r.fid(), r.x[4]), (Func::DirectResp.id32(), 0x1002));
    // Back on, the CPU finds its own as it left it.
    let mut entered = alloc::vec![];
    w.start(1, &mut |me, vcpu, regs| {
        entered.push((me, vcpu));
        calls(regs, [RESP, (me.0 as u64) << 16 | 0x8000, 0x8000_0002, 0, 0, 0, 0, 0])
    });
    assert_eq!(entered, [], "it is preempted still, and hears nothing");
    let r = w.call(1, run(1, 1), &mut |_, _, regs| calls(regs, [RESP, 0x8002_0000, 0, 0, 4, 0, 0, 0]));
    assert_eq!(r.x[4], 4);
    for (n, context) in [(0, 0), (1, 0), (1, 1), (2, 0)] {
        assert_eq!(w.partition(n).contexts()[context].state(), State::Idle, "{n} {context}");
    }
}

#[test]
fn the_contexts_of_a_cpu_that_is_not_up_yet_cannot_be_reached() {
    let specs = [Spec { contexts: 2, ..Spec::default() }, Spec::default()];
    let mut w = World::cold(&specs, 2);
    w.start(0, &mut |_, _, regs| wait(regs));
    let run = [Func::Run.id32() as u64, 0x8001_0001, 0, 0, 0, 0, 0, 0];
    assert_error(&w.plain(run), Error::Denied);
    // Nor by a partition, which goes on; nor does a signal for it get lost or enter it.
    let bind = [Func::NotificationBind.id32() as u64, 0x8002_8001, 1, 1, 0, 0, 0, 0];
    assert_success(&from_partition(&mut w, 0, bind), 0);
    assert_error(&from_partition(&mut w, 1, run), Error::Denied);
    let set = [Func::NotificationSet.id32() as u64, 0x8002_8001, 1 << 16 | 1, 1, 0, 0, 0, 0];
    assert_success(&from_partition(&mut w, 1, set), 0);
    let ipi = from_hvc(&mut w, [0xff0a, 1, 0, 0, 0, 0, 0, 0]);
    assert!(ipi.x[0] == 0 || ipi.x[0] == u64::MAX, "sent, or refused: {:#x}", ipi.x[0]);
    assert_eq!(w.partition(0).contexts()[1].state(), State::Reset);
    // It comes up late, and everything is there.
    let mut entered = alloc::vec![];
    let r = w.start(1, &mut |me, vcpu, regs| {
        entered.push((me, vcpu));
        wait(regs)
    });
    assert_eq!((r.fid(), &entered[..1]), (Func::MsgWait.id32(), &[(id(0), 1)][..]));
    let get = [Func::NotificationGet.id32() as u64, 1 << 16 | 0x8001, 1, 0, 0, 0, 0, 0];
    assert_eq!(from_partition(&mut w, 0, get).x[2], 1);
}

#[test]
fn vms_coming_and_going_are_told_to_those_who_asked() {
    let vms = Spec { vms: VmAvailability::CREATED, ..Spec::default() };
    let mut w = World::booted(&[vms, Spec::default()], 1);
    // A message of 32 bits has no upper halves, whatever is in the registers.
    const DIRTY: u64 = 0x5ec << 32;
    let created = |to: PartitionId| [REQ, to.0 as u64, 0x8000_0004, DIRTY | 0x11, 0x22, 0x33, 0, 0];
    let r = w.call(0, created(id(0)), &mut |_, _, regs| {
        assert_eq!(regs.x[..6], [REQ, 0x8001, 0x8000_0004, 0x11, 0x22, 0x33]);
        calls(regs, [RESP, 0x8001_0000, 0x8000_0005, DIRTY, 0, 0, 0, 0])
    });
    assert_eq!(r.x[..4], [RESP, 0x8001_0000, 0x8000_0005, 0]);
    assert_error(&w.plain(created(id(1))), Error::Denied);
    let mut destroyed = created(id(0));
    destroyed[2] = 0x8000_0006;
    assert_error(&w.plain(destroyed), Error::Denied);
    // From a VM it is no message of the framework.
    let mut forged = created(id(0));
    forged[1] |= 1 << 16;
    assert_error(&w.plain(forged), Error::InvalidParameters);
}
