// SPDX-License-Identifier: MIT OR Apache-2.0
use alloc::format;

use ffa_abi::{Error, Func};

use super::{NWD, assert_error, assert_success, assert_untouched, calls, from_partition};
use crate::manifest::AbortAction;
use crate::sim::world::{NORMAL_RAM, PARTITION_PAGES, Spec, World, base, echo, id, last_page, request, wait};
use crate::stage2::Access;
use crate::{Exit, Fault, FaultKind, Ipa, Pa, Port, Space, State};

fn with(abort: AbortAction, contexts: u16) -> World {
    World::booted(&[Spec { abort, contexts, ..Spec::default() }, Spec::default()], 2)
}

fn first_bytes(w: &World) -> [u8; 8] {
    let mut out = [0; 8];
    w.machine.read(Space::Secure, Pa(base(0)), &mut out).unwrap();
    out
}

#[test]
fn stop_leaves_memory_alone_and_the_partition_down() {
    let mut w = with(AbortAction::Stop, 1);
    w.machine.write(Space::Secure, Pa(base(0)), b"its work").unwrap();
    assert_error(&w.call(0, request(NWD, id(0), 0), &mut |_, _, _| Exit::Fault), Error::Aborted);
    assert_eq!(w.partition(0).contexts()[0].state(), State::Stopped);
    assert_eq!(&first_bytes(&w), b"its work");
    assert_error(&w.plain(request(NWD, id(0), 0)), Error::Aborted);
}

#[test]
fn an_serror_and_an_external_abort_are_charged_to_the_partition_that_ran_and_no_other() {
    const EXTERNAL: u64 = 0x9200_0010;
    for (kind, esr, va) in [(FaultKind::SError, 0xbe00_0011, 0), (FaultKind::DataAbort, EXTERNAL, 0xd00_0008)] {
        let mut w = World::booted(&[Spec::default(), Spec::default()], 1);
        w.machine.set_fault(Fault { kind, esr, pc: 0xe40_4123, va, ipa: None });
        w.machine.take_log();
        let mut asked = false;
        let r = w.call(0, request(NWD, id(0), 1), &mut |me, _, regs| match (me == id(0), asked) {
            (true, false) => {
                asked = true;
                calls(regs, request(id(0), id(1), 2))
            }
            (true, true) => {
                assert_error(regs, Error::Aborted);
                regs.set8(request(NWD, id(0), 1));
                echo(regs)
            }
            (false, _) => Exit::Fault,
        });
        assert_eq!(r.x[4], 0x1001, "whoever asked it goes on");
        let states = [0, 1].map(|n| w.partition(n).contexts()[0].state());
        assert_eq!(states, [State::Idle, State::Stopped]);
        let told = format!(": vcpu 0: {kind:?} at pc 0xe404123, address {va:#x}, esr {esr:#x}");
        let line = w.machine.take_log().into_iter().find(|line| line.ends_with(&told));
        assert!(line.is_some_and(|line| line.starts_with(&w.partition(1).identity.name[..])), "{told}");
    }
}

#[test]
fn destroy_scrubs() {
    let mut w = with(AbortAction::Destroy, 1);
    w.machine.write(Space::Secure, Pa(base(0)), b"a secret").unwrap();
    assert_error(&w.call(0, request(NWD, id(0), 0), &mut |_, _, _| Exit::Fault), Error::Aborted);
    assert_eq!(first_bytes(&w), [0; 8]);
    assert_error(&w.plain(request(NWD, id(0), 0)), Error::Aborted);
}

#[test]
fn restart_begins_again_from_the_pristine_copy_before_the_caller_hears_of_it() {
    let mut w = with(AbortAction::Restart, 1);
    let map = Func::RxTxMap.id64() as u64;
    assert_success(&from_partition(&mut w, 0, [map, base(0), base(0) + 0x1000, 1, 0, 0, 0, 0]), 0);
    w.machine.write(Space::Secure, Pa(base(0)), b"scribble").unwrap();
    let mut entries = 0;
    let r = w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        entries += 1;
        if entries == 1 {
            return Exit::Fault;
        }
        assert_eq!(regs.x, [0; 18], "a fresh context");
        wait(regs)
    });
    assert_error(&r, Error::Aborted);
    assert_untouched(&r);
    assert_eq!((entries, &first_bytes(&w)), (2, b"pristine"));
    assert_eq!(w.call(0, request(NWD, id(0), 1), &mut |_, _, regs| echo(regs)).x[4], 0x1001);
    // Its version is open again and its buffers are gone.
    let version = from_partition(&mut w, 0, [Func::RxTxUnmap.id32() as u64, 0, 0, 0, 0, 0, 0, 0]);
    assert_error(&version, Error::InvalidParameters);
}

#[test]
fn one_that_dies_with_its_rx_buffer_full_locks_nobody_out() {
    let map = Func::RxTxMap.id64() as u64;
    let send = [Func::MsgSend2.id32() as u64, 0, 0, 0, 0, 0, 0, 0];
    for (abort, lives) in [(AbortAction::Stop, false), (AbortAction::Destroy, false), (AbortAction::Restart, true)] {
        let mut w = with(abort, 1);
        let (tx, rx) = (NORMAL_RAM.0, NORMAL_RAM.0 + 0x1000);
        assert_success(&w.plain([map, tx, rx, 1, 0, 0, 0, 0]), 0);
        for n in 0..2 {
            assert_success(&from_partition(&mut w, n, [map, base(n), base(n) + 0x1000, 1, 0, 0, 0, 0]), 0);
        }
        // Flags, reserved, offset, ends, size, then the text.
        let message = |to: u32| [0, 0, 20, to, 4, u32::from_le_bytes(*b"text")].map(u32::to_le_bytes).concat();
        w.machine.write(Space::NonSecure, Pa(tx), &message(0x8001)).unwrap();
        assert_success(&w.plain(send), 0);
        assert_error(&w.plain(send), Error::Busy);
        let mut died = false;
        let r = w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
            if core::mem::replace(&mut died, true) { wait(regs) } else { Exit::Fault }
        });
        assert_error(&r, Error::Aborted);
        // Nothing can be sent to it, and nobody waits for it; what went to others goes on.
        let refused = w.plain(send);
        assert_eq!(refused.fid(), Func::Error.id32(), "{abort:?}");
        assert_ne!(refused.x[2] as u32, Error::Busy.code() as u32, "{abort:?}: as if it might yet be read");
        w.machine.write(Space::NonSecure, Pa(tx), &message(0x8002)).unwrap();
        assert_success(&w.plain(send), 0);
        assert_success(&from_partition(&mut w, 1, [Func::RxRelease.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), 0);
        if lives {
            assert_success(&from_partition(&mut w, 0, [map, base(0), base(0) + 0x1000, 1, 0, 0, 0, 0]), 0);
            w.machine.write(Space::NonSecure, Pa(tx), &message(0x8001)).unwrap();
            assert_success(&w.plain(send), 0);
        }
    }
}

#[test]
fn what_is_preserved_outlives_a_restart_and_nothing_else() {
    for (abort, after) in [(AbortAction::Restart, *b"history "), (AbortAction::Destroy, [0; 8])] {
        let mut w = World::booted(&[Spec { abort, preserves: true, ..Spec::default() }], 1);
        w.machine.write(Space::Secure, Pa(last_page(0)), b"history ").unwrap();
        w.machine.write(Space::Secure, Pa(last_page(0) - 8), b"scribble").unwrap();
        let mut entries = 0;
        let r = w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
            entries += 1;
            if entries == 1 { Exit::Fault } else { wait(regs) }
        });
        assert_error(&r, Error::Aborted);
        let mut out = [0; 16];
        w.machine.read(Space::Secure, Pa(last_page(0) - 8), &mut out).unwrap();
        assert_eq!((&out[..8], &out[8..]), (&[0; 8][..], &after[..]), "{abort:?}");
    }
}

#[test]
fn a_restart_undoes_what_the_partition_made_of_its_permissions() {
    let spec = Spec { abort: AbortAction::Restart, preserves: true, ..Spec::default() };
    let mut w = World::cold(&[spec], 1);
    let access = |w: &World, at: u64| {
        let entry = w.partition(0).stage2.lock().query(w.machine, Space::Secure, Ipa(at));
        entry.attributes().access
    };
    let before = [base(0), base(0) + 0x1000].map(|at| access(&w, at));
    let mut set = false;
    w.start(0, &mut |_, _, regs| {
        if core::mem::replace(&mut set, true) {
            return wait(regs);
        }
        calls(regs, [Func::MemPermSet.id64() as u64, base(0), PARTITION_PAGES, 7, 0, 0, 0, 0])
    });
    assert_eq!(access(&w, base(0)), Access::READ);
    let mut died = false;
    w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| {
        if core::mem::replace(&mut died, true) { wait(regs) } else { Exit::Fault }
    });
    assert_eq!(before, [base(0), base(0) + 0x1000].map(|at| access(&w, at)));
    assert_eq!(access(&w, last_page(0)), Access::READ_WRITE, "as the manifest says of the region");
}

#[test]
fn a_partition_that_lent_what_it_preserves_is_not_restarted() {
    let spec = Spec { abort: AbortAction::Restart, preserves: true, ..Spec::default() };
    let mut w = World::booted(&[spec, Spec::default()], 1);
    let page = Ipa(last_page(0));
    // As it is while the page is lent: not the partition's own.
    w.partition(0).stage2.lock().unmap(w.machine, Space::Secure, page, 1).expect("it is mapped");
    assert_error(&w.call(0, request(NWD, id(0), 0), &mut |_, _, _| Exit::Fault), Error::Aborted);
    assert_eq!(w.partition(0).contexts()[0].state(), State::Stopped);
}

#[test]
fn a_partition_caller_hears_of_the_restart_as_aborted_and_goes_on() {
    let specs = [Spec::default(), Spec { abort: AbortAction::Restart, ..Spec::default() }];
    let mut w = World::booted(&specs, 1);
    let mut died = false;
    let r = w.call(0, request(NWD, id(0), 0), &mut |me, _, regs| {
        if me == id(1) {
            if died {
                return wait(regs);
            }
            died = true;
            return Exit::Fault;
        }
        if regs.fid() == Func::DirectReq.id32() {
            return calls(regs, request(id(0), id(1), 0));
        }
        assert_error(regs, Error::Aborted);
        calls(regs, [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0, 0x60, 0, 0, 0])
    });
    assert_eq!(r.x[4], 0x60);
    assert_eq!(w.partition(1).contexts()[0].state(), State::Idle);
}

#[test]
fn a_restart_that_is_preempted_goes_on_on_another_cpu_and_answers_who_waits() {
    let specs = [Spec::default(), Spec { abort: AbortAction::Restart, ..Spec::default() }];
    let mut w = World::booted(&specs, 2);
    let mut entries = 0;
    let r = w.call(0, request(NWD, id(0), 0), &mut |me, _, regs| {
        if me == id(0) {
            return calls(regs, request(id(0), id(1), 0));
        }
        entries += 1;
        if entries == 1 { Exit::Fault } else { Exit::NormalInterrupt }
    });
    // The head of the chain is what the Normal world resumes, not the context that starts.
    assert_eq!(r.x[..2], [Func::Interrupt.id32() as u64, 0x8001_0000]);
    assert_eq!(entries, 2);
    assert_error(&w.plain([Func::Run.id32() as u64, 0x8002_0000, 0, 0, 0, 0, 0, 0]), Error::Busy);
    // CPU 0 does something else in between; what waits for the restart is not its affair.
    assert_error(&w.call(0, request(NWD, id(1), 0), &mut |_, _, _| Exit::Fault), Error::Busy);
    let r = w.call(1, [Func::Run.id32() as u64, 0x8001_0000, 0, 0, 0, 0, 0, 0], &mut |me, _, regs| {
        if me == id(1) {
            return wait(regs);
        }
        assert_error(regs, Error::Aborted);
        calls(regs, [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0, 0x60, 0, 0, 0])
    });
    assert_eq!(r.x[4], 0x60);
    for n in 0..2 {
        assert_eq!(w.partition(n).contexts()[0].state(), State::Idle);
    }
}

#[test]
fn a_partition_that_dies_again_in_its_restart_stays_down() {
    let mut w = with(AbortAction::Restart, 1);
    assert_error(&w.call(0, request(NWD, id(0), 0), &mut |_, _, _| Exit::Fault), Error::Aborted);
    // The next caller gives it another try, within limits.
    let mut entries = 0;
    for _ in 0..20 {
        let r = w.call(0, request(NWD, id(0), 0), &mut |_, _, _| {
            entries += 1;
            Exit::Fault
        });
        assert_ne!(r.fid(), Func::DirectResp.id32());
    }
    assert!(entries < 20, "it is not tried for ever");
    assert_eq!(w.partition(0).contexts()[0].state(), State::Stopped);
    assert!(w.machine.take_log().iter().any(|l| l.contains("again and again")));
}

#[test]
fn contexts_of_other_cpus_come_to_rest_first_and_start_again_on_their_own_cpu() {
    let mut w = with(AbortAction::Restart, 2);
    // Context 1 is in the middle of its work when context 0 dies.
    w.call(1, request(NWD, id(0), 0), &mut |_, _, _| Exit::NormalInterrupt);
    assert_error(&w.call(0, request(NWD, id(0), 0), &mut |_, _, _| Exit::Fault), Error::Aborted);
    assert_error(&w.plain(request(NWD, id(0), 0)), Error::Aborted);
    let run = [Func::Run.id32() as u64, 0x8001_0001, 0, 0, 0, 0, 0, 0];
    let r =
        w.call(1, run, &mut |_, _, regs| calls(regs, [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0, 7, 0, 0, 0]));
    assert_eq!(r.x[4], 7);
    // Now it can be done: whoever asks first brings its context up and is told to try again.
    for cpu in 0..2 {
        assert_error(&w.call(cpu, request(NWD, id(0), 0), &mut |_, _, regs| wait(regs)), Error::Retry);
        let r = w.call(cpu, request(NWD, id(0), 1), &mut |_, vcpu, regs| {
            assert_eq!(vcpu as usize, cpu);
            echo(regs)
        });
        assert_eq!(r.x[4], 0x1001);
    }
}

#[test]
fn the_action_is_carried_out_once_as_soon_as_the_last_context_comes_to_rest() {
    let mut w = with(AbortAction::Destroy, 2);
    w.machine.write(Space::Secure, Pa(base(0)), b"a secret").unwrap();
    w.call(1, request(NWD, id(0), 0), &mut |_, _, _| Exit::NormalInterrupt);
    assert_error(&w.call(0, request(NWD, id(0), 0), &mut |_, _, _| Exit::Fault), Error::Aborted);
    assert_eq!(&first_bytes(&w), b"a secret", "context 1 is in the middle of its work");
    // Nobody asks for the partition again: what others lent to it would stay with it.
    let run = [Func::Run.id32() as u64, 0x8001_0001, 0, 0, 0, 0, 0, 0];
    w.call(1, run, &mut |_, _, regs| calls(regs, [Func::DirectResp.id32() as u64, 0x8001_0000, 0, 0, 7, 0, 0, 0]));
    assert_eq!(first_bytes(&w), [0; 8]);
    assert!(w.partition(0).contexts().iter().all(|c| c.state() == State::Stopped));
    w.machine.write(Space::Secure, Pa(base(0)), b"a relic ").unwrap();
    assert_error(&w.plain(request(NWD, id(0), 0)), Error::Aborted);
    assert_eq!(&first_bytes(&w), b"a relic ", "and not again for each request");
}

#[test]
fn after_a_restart_the_first_context_of_all_starts_alone() {
    let mut w = with(AbortAction::Restart, 2);
    assert_error(&w.call(0, request(NWD, id(0), 0), &mut |_, _, _| Exit::Fault), Error::Aborted);
    // Context 1 starts, at the entry of the image, and an interrupt takes its CPU before it is ready.
    let r = w.call(1, request(NWD, id(0), 0), &mut |_, _, _| Exit::NormalInterrupt);
    assert_eq!(r.fid(), Func::Interrupt.id32());
    let never = &mut |_, _, _: &mut _| panic!("a second context that believes itself the first");
    assert_error(&w.call(0, request(NWD, id(0), 0), never), Error::NotReady);
    let run = [Func::Run.id32() as u64, 0x8001_0001, 0, 0, 0, 0, 0, 0];
    w.call(1, run, &mut |_, _, regs| wait(regs));
    assert_error(&w.call(0, request(NWD, id(0), 0), &mut |_, _, regs| wait(regs)), Error::Retry);
    assert_eq!(w.call(0, request(NWD, id(0), 1), &mut |_, _, regs| echo(regs)).x[4], 0x1001);
}
