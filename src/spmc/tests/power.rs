// SPDX-License-Identifier: MIT OR Apache-2.0
use ffa_abi::{Error, Func, PartitionId};

use super::{assert_error, assert_untouched, calls};
use crate::manifest::{PowerMessages, VmAvailability};
use crate::sim::world::{Spec, World, id, wait};
use crate::{Exit, State};

const REQ: u64 = Func::DirectReq.id32() as u64;
const RESP: u64 = Func::DirectResp.id32() as u64;
const CPU_OFF: [u64; 8] = [REQ, 0xffff_8000, 0x8000_0000, 0x8400_0002, 0, 0, 0, 0];
const OFF_DONE: [u64; 8] = [RESP, 0x8000_ffff, 0x8000_0002, 0, 0, 0, 0, 0];

fn subscribed() -> Spec {
    Spec { contexts: 2, power: PowerMessages::CPU_OFF | PowerMessages::CPU_ON, ..Spec::default() }
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
fn vms_coming_and_going_are_told_to_those_who_asked() {
    let vms = Spec { vms: VmAvailability::CREATED, ..Spec::default() };
    let mut w = World::booted(&[vms, Spec::default()], 1);
    let created = |to: PartitionId| [REQ, to.0 as u64, 0x8000_0004, 0x11, 0x22, 0x33, 0, 0];
    let r = w.call(0, created(id(0)), &mut |_, _, regs| {
        assert_eq!(regs.x[..6], [REQ, 0x8001, 0x8000_0004, 0x11, 0x22, 0x33]);
        calls(regs, [RESP, 0x8001_0000, 0x8000_0005, 0, 0, 0, 0, 0])
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
