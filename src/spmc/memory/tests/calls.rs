// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each call in its good forms.
use super::*;

pub(super) const MIB2: u64 = 512 * PAGE_SIZE;

pub(super) fn world() -> World {
    World::new(SimMachine::leaked(256), 16)
}

/// Everything that a failed call must leave as it was.
pub(super) fn snapshot(w: &World) -> (Vec<(u64, Vec<u64>)>, usize) {
    (w.m.pool_image(), w.m.pages_free())
}

#[test]
fn a_share_lives_from_send_to_reclaim() {
    let w = world();
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        (0..2).for_each(|who| w.set_version(who, version));
        let before = snapshot(&w);
        let h = w.send(0, &Sending::new(Kind::Share, &[1], &[(NW, 1)])).unwrap();
        assert_ne!(h.0, 0);
        assert_eq!(h.0 >> 63, 0);
        assert_eq!(w.access(1, NW), None);
        let r = w.retrieve(1, h, 0, Kind::Share).unwrap();
        assert_eq!((r.sender, r.flags, r.tag, r.non_secure), (0, Flags::SHARE, 7, true));
        assert_eq!(r.ranges, [(NW, 1)]);
        assert_eq!(r.accesses.len(), 1);
        assert_eq!(r.accesses[0].permissions.bits(), 0b0110, "read-write, not executable");
        assert_eq!(w.access(1, NW), Some((true, true, false)));
        assert_eq!(w.reclaim(0, h, 0), Err(Error::Denied));
        w.relinquish(1, h, 0).unwrap();
        assert_eq!(w.access(1, NW), None);
        w.reclaim(0, h, 0).unwrap();
        assert_eq!(w.reclaim(0, h, 0), Err(Error::InvalidParameters));
        assert_eq!(snapshot(&w), before);
    }
}

#[test]
fn lend_takes_the_owners_access_and_reclaim_gives_it_back() {
    let w = world();
    let before = snapshot(&w);
    let at = base(1) + 0x3000;
    assert_eq!(w.access(1, at), Some((true, true, true)));
    let h = w.send(1, &Sending::new(Kind::Lend, &[2], &[(at, 2)])).unwrap();
    assert_eq!(w.access(1, at), None);
    assert_eq!(w.access(1, at + 0x2000), Some((true, true, true)));
    let again = w.send(1, &Sending::new(Kind::Share, &[3], &[(at, 1)]));
    assert_eq!(again, Err(Error::Denied), "lent memory cannot be sent");
    let asked = Permissions { data: Data::ReadWrite, instruction: Instruction::Executable };
    let r = w.retrieve_bytes(2, &w.request(2, h, IDS[1], &[(IDS[2], asked)], Flags::LEND, 7)).unwrap();
    assert!(!r.non_secure);
    assert_eq!(w.access(2, at), Some((true, true, true)));
    w.relinquish(2, h, 0).unwrap();
    assert_eq!(w.access(2, at), None);
    w.reclaim(1, h, 0).unwrap();
    assert_eq!(w.access(1, at), Some((true, true, true)));
    assert_eq!(snapshot(&w), before);
}

#[test]
fn donated_memory_is_the_receivers() {
    let w = world();
    let at = base(1) + 0x3000;
    let h = w.send(1, &Sending::new(Kind::Donate, &[2], &[(at, 1)])).unwrap();
    assert_eq!(w.access(1, at), None);
    w.retrieve(2, h, 1, Kind::Donate).unwrap();
    assert_eq!(w.access(2, at), Some((true, true, false)));
    // The transaction is over for both.
    assert_eq!(w.reclaim(1, h, 0), Err(Error::InvalidParameters));
    assert_eq!(w.relinquish(2, h, 0), Err(Error::InvalidParameters));
    assert_eq!(w.send(1, &Sending::new(Kind::Share, &[3], &[(at, 1)])), Err(Error::Denied));
    // It can be given back, and taken back before it is retrieved.
    let h = w.send(2, &Sending::new(Kind::Donate, &[1], &[(at, 1)])).unwrap();
    w.reclaim(2, h, 0).unwrap();
    assert_eq!(w.access(2, at), Some((true, true, false)));
    let h = w.send(2, &Sending::new(Kind::Donate, &[1], &[(at, 1)])).unwrap();
    w.retrieve(1, h, 2, Kind::Donate).unwrap();
    // The Normal world's donation, too, is final.
    let h = w.send(0, &Sending::new(Kind::Donate, &[1], &[(NW, 1)])).unwrap();
    w.retrieve(1, h, 0, Kind::Donate).unwrap();
    assert_eq!(w.send(0, &Sending::new(Kind::Share, &[1], &[(NW, 1)])), Err(Error::Denied));
    let h = w.send(1, &Sending::new(Kind::Lend, &[2], &[(NW, 1)])).unwrap();
    assert!(w.retrieve(2, h, 1, Kind::Lend).unwrap().non_secure);
    assert_eq!(w.access(2, NW), Some((true, true, false)));
}

#[test]
fn several_borrowers_share_and_the_last_one_frees() {
    let w = world();
    let s = Sending::new(Kind::Lend, &[1, 2, 3], &[(NW + MIB2 - 0x1000, 3)]);
    let h = w.send(0, &s).unwrap();
    let rw = perms(Data::ReadWrite);
    let all: Vec<_> = [1, 2, 3].iter().map(|&i| (IDS[i], rw)).collect();
    assert_eq!(w.retrieve(1, h, 0, Kind::Lend), Err(Error::InvalidParameters), "must list all borrowers");
    for who in [3, 1, 2] {
        let r = w.retrieve_bytes(who, &w.request(who, h, 0, &all, 0, 7)).unwrap();
        assert_eq!(r.accesses.len(), 1);
        assert_eq!(w.access(who, NW + MIB2), Some((true, true, false)));
    }
    assert_eq!(w.retrieve_bytes(1, &w.request(1, h, 0, &all, 0, 7)), Err(Error::Denied), "twice");
    for who in [1, 2, 3] {
        assert_eq!(w.reclaim(0, h, 0), Err(Error::Denied));
        w.relinquish(who, h, 0).unwrap();
        assert_eq!(w.relinquish(who, h, 0), Err(Error::InvalidParameters));
    }
    let bypass = w.request(2, h, 0, &[(IDS[2], rw)], Flags::BYPASS_BORROWERS, 7);
    w.retrieve_bytes(2, &bypass).unwrap();
    w.relinquish(2, h, 0).unwrap();
    w.reclaim(0, h, 0).unwrap();
}

#[test]
fn a_page_may_be_shared_again_and_stays_shared_until_the_last_reclaim() {
    let w = world();
    let before = snapshot(&w);
    let at = base(1) + 0x4000;
    let handles: Vec<_> = (0..3).map(|_| w.send(1, &Sending::new(Kind::Share, &[2], &[(at, 1)])).unwrap()).collect();
    for h in &handles {
        assert_eq!(w.send(1, &Sending::new(Kind::Lend, &[2], &[(at, 1)])), Err(Error::Denied));
        w.reclaim(1, *h, 0).unwrap();
    }
    assert_eq!(snapshot(&w), before);
    let many = World::new(SimMachine::leaked(256), 64);
    for i in 0..40 {
        let outcome = many.send(1, &Sending::new(Kind::Share, &[2], &[(at, 1)]));
        assert_eq!(outcome.is_ok(), i < 31, "share {i}");
        assert!(outcome.is_ok() || outcome == Err(Error::NoMemory));
    }
}

#[test]
fn fragments_carry_descriptors_of_any_length_both_ways() {
    let w = world();
    let before = snapshot(&w);
    // Every other page, so that no two ranges join.
    let ranges: Vec<_> = (0..500).map(|i| (NW + i * 0x2000, 1)).collect();
    for fragment in [96, 160, 4096] {
        let s = Sending::new(Kind::Share, &[1], &ranges);
        let h = w.send_bytes(0, Kind::Share, &w.lay(0, &s), fragment).unwrap();
        let r = w.retrieve(1, h, 0, Kind::Share).unwrap();
        assert_eq!(r.ranges, s.ranges);
        for &(at, _) in &ranges {
            assert!(w.access(1, at).is_some() && w.access(1, at + 0x1000).is_none());
        }
        // The response is told: there is no other fragment.
        let (low, high) = h.words();
        for offset in [0u64, 96, 112, 4096, 8096] {
            let again = w.call(1, Func::MemFragRx, &[low.into(), high.into(), offset, 0]);
            assert_eq!(again, Err(Error::InvalidParameters), "{offset}");
        }
        w.relinquish(1, h, 0).unwrap();
        w.reclaim(0, h, 0).unwrap();
        assert_eq!(snapshot(&w), before);
    }
}

#[test]
fn a_half_sent_transaction_can_only_go_on() {
    let w = world();
    let before = snapshot(&w);
    let s = Sending::new(Kind::Lend, &[1], &[(NW, 1), (NW + 0x2000, 1), (NW + 0x4000, 1)]);
    let bytes = w.lay(0, &s);
    let first = bytes.len() - 32;
    let start = || {
        w.tx(0, &bytes[..first]);
        let r = w.call(0, Func::MemLend, &[bytes.len() as u64, first as u64]).unwrap();
        assert_eq!((r[0], r[3], r[4]), (Func::MemFragRx.id32().into(), first as u64, 0));
        Handle::from_words(r[1] as u32, r[2] as u32)
    };
    let frag = |who, h: Handle, n: u64, w4: u64| w.call(who, Func::MemFragTx, &[h.0 & 0xffff_ffff, h.0 >> 32, n, w4]);
    let h = start();
    assert_eq!(w.retrieve(1, h, 0, Kind::Lend), Err(Error::InvalidParameters));
    assert_eq!(w.reclaim(0, h, 0), Err(Error::InvalidParameters));
    assert_eq!(w.relinquish(1, h, 0), Err(Error::InvalidParameters));
    assert_eq!(frag(1, h, 16, 0), Err(Error::InvalidParameters), "a stranger");
    assert_eq!(frag(0, Handle(h.0 + 1), 16, 0), Err(Error::InvalidParameters), "no such handle");
    assert_eq!(frag(0, h, 16, 0x1_0000), Err(Error::InvalidParameters), "another owner");
    assert_eq!(frag(0, h, 16, 1), Err(Error::InvalidParameters), "reserved bits");
    // None of these hurt it.
    w.tx(0, &bytes[first..]);
    assert_eq!(frag(0, h, 32, 0).unwrap()[0], Func::Success.id32().into());
    assert_eq!(frag(0, h, 16, 0), Err(Error::InvalidParameters), "complete");
    w.reclaim(0, h, 0).unwrap();
    // Each of these ends it.
    for n in [0, 8, 48, 4112] {
        let h = start();
        w.tx(0, &bytes[first..]);
        assert_eq!(frag(0, h, n, 0), Err(Error::InvalidParameters), "length {n}");
        assert_eq!(frag(0, h, 32, 0), Err(Error::InvalidParameters), "gone");
        assert_eq!(snapshot(&w), before);
    }
}

#[test]
fn a_hypervisor_may_look_at_what_it_sent() {
    let w = world();
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        w.set_version(0, version);
        let ranges: Vec<_> = (0..700).map(|i| (NW + i * 0x2000, 1)).collect();
        let mut s = Sending::new(Kind::Share, &[1, 2], &ranges);
        s.impdef = if version == Version::V1_2 { [5, 6] } else { [0; 2] };
        let h = w.send(0, &s).unwrap();
        for _ in 0..2 {
            let r = w.retrieve_bytes(0, &w.request(0, h, 0, &[], 0, 0)).unwrap();
            assert_eq!((r.accesses.len(), &r.ranges), (2, &ranges));
            assert_eq!(r.accesses[1].impdef, s.impdef);
        }
        assert_eq!(w.retrieve_bytes(0, &w.request(0, h, 1, &[], 0, 0)), Err(Error::InvalidParameters));
        assert_eq!(w.retrieve_bytes(0, &w.request(0, h, 0, &[], 1, 0)), Err(Error::InvalidParameters));
        assert_eq!(w.retrieve(0, h, 0, Kind::Share), Err(Error::InvalidParameters));
        w.reclaim(0, h, 0).unwrap();
        let h = w.send(1, &Sending::new(Kind::Share, &[2], &[(base(1), 1)])).unwrap();
        let peek = w.retrieve_bytes(0, &w.request(0, h, IDS[1], &[], 0, 0));
        assert_eq!(peek, Err(Error::InvalidParameters), "not the Normal world's");
        w.reclaim(1, h, 0).unwrap();
    }
}

#[test]
fn memory_is_zeroed_when_it_was_asked_for() {
    let w = world();
    let mark = |at: u64, s: Space| w.m.write(s, Pa(at), &[0xaa; 64]).unwrap();
    let look = |at: u64, s: Space| {
        let mut b = [0; 64];
        w.m.read(s, Pa(at), &mut b).unwrap();
        b[0]
    };
    let ns = Space::NonSecure;
    // By the owner, before a receiver sees it.
    mark(NW, ns);
    let mut s = Sending::new(Kind::Lend, &[1], &[(NW, 1)]);
    s.flags = Flags::ZERO;
    let h = w.send(0, &s).unwrap();
    assert_eq!(look(NW, ns), 0);
    let nx = Permissions { data: Data::ReadWrite, instruction: Instruction::NotExecutable };
    let r = w.retrieve_bytes(1, &w.request(1, h, 0, &[(IDS[1], nx)], Flags::ZERO | Flags::ZERO_AFTER, 7)).unwrap();
    assert_eq!(r.flags, Flags::LEND | Flags::ZERO);
    // By the receiver, after it.
    mark(NW, ns);
    w.relinquish(1, h, 0).unwrap();
    assert_eq!(look(NW, ns), 0);
    w.retrieve(1, h, 0, Kind::Lend).unwrap();
    mark(NW, ns);
    w.relinquish(1, h, Flags::ZERO).unwrap();
    assert_eq!(look(NW, ns), 0);
    // By the owner, when it takes it back.
    mark(NW, ns);
    w.reclaim(0, h, Flags::ZERO).unwrap();
    assert_eq!(look(NW, ns), 0);
    // Not for a share, not by a reader, not unless the owner offered.
    s.kind = Kind::Share;
    assert_eq!(w.send(0, &s), Err(Error::InvalidParameters));
    let h = w.send(0, &Sending::new(Kind::Share, &[1], &[(NW, 1)])).unwrap();
    w.retrieve(1, h, 0, Kind::Share).unwrap();
    assert_eq!(w.relinquish(1, h, Flags::ZERO), Err(Error::InvalidParameters));
    w.relinquish(1, h, 0).unwrap();
    w.reclaim(0, h, 0).unwrap();
    let mut s = Sending::new(Kind::Lend, &[1], &[(NW, 1)]);
    s.receivers[0].1 = perms(Data::ReadOnly);
    let h = w.send(0, &s).unwrap();
    let ro = Permissions { data: Data::ReadOnly, instruction: Instruction::NotExecutable };
    let asks = |flags| w.retrieve_bytes(1, &w.request(1, h, 0, &[(IDS[1], ro)], flags, 7));
    assert_eq!(asks(Flags::ZERO), Err(Error::Denied));
    assert_eq!(asks(Flags::ZERO_AFTER), Err(Error::Denied));
    asks(0).unwrap();
    assert_eq!(w.access(1, NW), Some((true, false, false)));
    mark(NW, ns);
    assert_eq!(w.relinquish(1, h, Flags::ZERO), Err(Error::Denied));
    w.relinquish(1, h, 0).unwrap();
    w.reclaim(0, h, 0).unwrap();
    assert_eq!(look(NW, ns), 0xaa);
    // Memory that is out of reach fails the call and nothing else.
    let before = snapshot(&w);
    w.m.add_hole(ns, Pa(NW + 0x5000), 0x1000);
    let mut s = Sending::new(Kind::Lend, &[1], &[(NW + 0x4000, 3)]);
    s.flags = Flags::ZERO;
    assert_eq!(w.send(0, &s), Err(Error::Aborted));
    assert_eq!(snapshot(&w), before);
}

#[test]
fn blocks_stay_blocks() {
    let w = world();
    let before = snapshot(&w);
    let at = base(1);
    let roots = w.partition(1).roots;
    assert_eq!(w.m.translate(&roots, Space::Secure, Ipa(at)).unwrap().pages, 512);
    let h = w.send(1, &Sending::new(Kind::Lend, &[2], &[(at, 512)])).unwrap();
    w.retrieve(2, h, 1, Kind::Lend).unwrap();
    assert_eq!(w.m.translate(&w.partition(2).roots, Space::Secure, Ipa(at + 0x5000)).unwrap().pages, 512);
    w.relinquish(2, h, 0).unwrap();
    w.reclaim(1, h, 0).unwrap();
    assert_eq!(snapshot(&w), before);
    // One page out of a block splits it; the block is whole again after.
    let h = w.send(1, &Sending::new(Kind::Lend, &[2], &[(at + 0x7000, 1)])).unwrap();
    assert_eq!(w.m.translate(&roots, Space::Secure, Ipa(at + 0x8000)).unwrap().pages, 1);
    assert_eq!(w.access(1, at + 0x7000), None);
    w.reclaim(1, h, 0).unwrap();
    assert_eq!(w.m.translate(&roots, Space::Secure, Ipa(at + 0x8000)).unwrap().pages, 512);
    assert_eq!(snapshot(&w), before);
}

#[test]
fn permissions_are_a_partitions_own_to_change_while_it_starts() {
    let w = world();
    let at = base(1) + 0x2000;
    let p = w.partition(1);
    let set = |entered, at: u64, n: u64, bits: u64| {
        let mut regs = Regs::ZERO;
        regs.set8([Func::MemPermSet.id64().into(), at, n, bits, 0, 0, 0, 0]);
        w.spmc.memory_call(Caller::Partition(p), Func::MemPermSet, entered, &mut regs).map_err(|r| r.code())
    };
    let get = |at: u64| w.call(1, Func::MemPermGet, &[at]).map(|r| r[2]);
    let init = Entered::Init;
    for (bits, access) in [(7, (true, false, false)), (5, (true, true, false)), (3, (true, false, true))] {
        set(init, at, 2, bits).unwrap();
        assert_eq!(w.access(1, at), Some(access));
        assert_eq!(w.access(1, at + 0x1000), Some(access));
        assert_eq!(w.access(1, at + 0x2000), Some((true, true, true)));
        assert_eq!(get(at), Ok(bits));
    }
    let invalid = Err(Error::InvalidParameters);
    for (at, n, bits) in [(at, 1, 1), (at, 1, 0), (at, 1, 2), (at, 1, 8 | 7), (at + 8, 1, 7), (at, 0, 7), (NW, 1, 7)] {
        assert_eq!(set(init, at, n, bits), invalid, "{at:#x} {n} {bits}");
    }
    assert_eq!(set(init, base(1) + (OWN - 1) * PAGE_SIZE, 2, 7), invalid);
    assert_eq!(set(Entered::Run, at, 1, 7), Err(Error::Denied));
    assert_eq!(get(NW).map(|_| ()), invalid);
}

#[test]
fn death_releases_what_was_borrowed_and_leaves_borrowers_alone() {
    let w = world();
    let before = snapshot(&w);
    let at = base(1) + 0x4000;
    // The borrower dies.
    let h = w.send(1, &Sending::new(Kind::Lend, &[2], &[(at, 1)])).unwrap();
    let nx = Permissions { data: Data::ReadWrite, instruction: Instruction::NotExecutable };
    w.retrieve_bytes(2, &w.request(2, h, IDS[1], &[(IDS[2], nx)], Flags::ZERO_AFTER, 7)).unwrap();
    w.m.write(Space::Secure, Pa(at), &[0xaa]).unwrap();
    w.spmc.release_memory(w.partition(2));
    assert_eq!(w.access(2, at), None);
    let mut byte = [1];
    w.m.read(Space::Secure, Pa(at), &mut byte).unwrap();
    assert_eq!(byte, [0], "scrubbed");
    w.reclaim(1, h, 0).unwrap();
    // The owner dies: before anybody retrieved, after, and in the middle of sending.
    let unseen = w.send(1, &Sending::new(Kind::Share, &[2], &[(at, 1)])).unwrap();
    let seen = w.send(1, &Sending::new(Kind::Lend, &[2], &[(at + 0x1000, 1)])).unwrap();
    w.retrieve(2, seen, 1, Kind::Lend).unwrap();
    let half = w.lay(1, &Sending::new(Kind::Lend, &[2], &[(at + 0x2000, 1), (at + 0x5000, 1)]));
    w.tx(1, &half);
    w.call(1, Func::MemLend, &[half.len() as u64, half.len() as u64 - 16]).unwrap();
    w.spmc.release_memory(w.partition(1));
    assert_eq!(w.retrieve(2, unseen, 1, Kind::Share), Err(Error::InvalidParameters));
    assert_eq!(w.access(2, at + 0x1000), Some((true, true, false)));
    assert_eq!(w.access(1, at + 0x1000), None);
    assert_eq!(w.reclaim(1, seen, 0), Err(Error::InvalidParameters));
    w.relinquish(2, seen, 0).unwrap();
    assert_eq!(w.access(1, at + 0x1000), Some((true, true, true)), "back with its owner");
    assert_eq!(snapshot(&w), before);
}

#[test]
fn a_fault_is_tried_again_once_for_each_change_of_the_tables() {
    use crate::{Exit, Fault, FaultKind};
    const REQUEST: [u64; 8] = [0xc400_006f, 0x8001, 0, 1, 2, 3, 4, 5];
    const TRANSLATION: u64 = 0b00_0110;
    const PERMISSION: u64 = 0b00_1110;
    // The esr, how many faults in a row, whether the tables change before each, and whether it lives.
    for (kind, esr, faults, change, lives) in [
        (FaultKind::DataAbort, TRANSLATION, 1, false, true),
        (FaultKind::InstructionAbort, TRANSLATION, 1, false, true),
        (FaultKind::DataAbort, TRANSLATION | 1 << 7, 1, false, true),
        (FaultKind::DataAbort, TRANSLATION, 2, false, false),
        (FaultKind::DataAbort, TRANSLATION, 9, true, true),
        (FaultKind::DataAbort, PERMISSION, 1, true, false),
        (FaultKind::SError, TRANSLATION, 1, true, false),
    ] {
        let mut w = world::World::booted(&[world::Spec::default()], 1);
        w.machine.set_fault(Fault { kind, esr, pc: 0, va: 0, ipa: None });
        let mut entered = 0;
        let (machine, partition) = (w.machine, w.partition(0));
        let reply = w.call(0, REQUEST, &mut |_, _, regs| {
            entered += 1;
            if change {
                partition.stage2.lock().walk(machine, Space::Secure).finish();
            }
            if entered <= faults { Exit::Fault } else { world::echo(regs) }
        });
        let answered = reply.fid() == Func::DirectResp.id64();
        assert_eq!((answered, entered), (lives, faults + lives as u64), "{kind:?} {esr:#x} {faults}");
    }
}
