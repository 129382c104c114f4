// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each call in its bad forms: refused, and nothing has changed.
use super::super::MAX_OPEN;
use super::calls::{MIB2, snapshot, world};
use super::*;

#[test]
fn nobody_gets_more_than_was_given() {
    let w = world();
    let read_only = base(1) + 0x200_0000;
    assert_eq!(w.send(1, &Sending::new(Kind::Share, &[2], &[(read_only, 1)])), Err(Error::Denied));
    assert_eq!(w.send(1, &Sending::new(Kind::Donate, &[2], &[(read_only, 1)])), Err(Error::Denied));
    let mut s = Sending::new(Kind::Share, &[2], &[(read_only, 1)]);
    s.receivers[0].1 = perms(Data::ReadOnly);
    let h = w.send(1, &s).unwrap();
    assert_eq!(w.retrieve(2, h, 1, Kind::Share), Err(Error::Denied), "asks for write access");
    let ask = |data, instruction| {
        w.retrieve_bytes(2, &w.request(2, h, IDS[1], &[(IDS[2], Permissions { data, instruction })], 0, 7))
    };
    for instruction in [Instruction::NotExecutable, Instruction::Executable] {
        assert_eq!(ask(Data::ReadOnly, instruction), Err(Error::InvalidParameters));
    }
    ask(Data::NotSpecified, Instruction::NotSpecified).unwrap();
    assert_eq!(w.access(2, read_only), Some((true, false, false)));
    w.relinquish(2, h, 0).unwrap();
    w.reclaim(1, h, 0).unwrap();
    assert_eq!(w.access(1, read_only), Some((true, false, false)));
}

#[test]
fn only_ones_own_plain_memory_can_be_sent() {
    let w = world();
    let before = snapshot(&w);
    let share = |who: usize, at: u64, n: u32| w.send(who, &Sending::new(Kind::Share, &[3], &[(at, n)]));
    for (who, at, n, why) in [
        (0, base(1), 1, "a partition's"),
        (0, 0x0e10_0000, 1, "the SPMC's"),
        (0, DEVICE, 1, "a device"),
        (0, NW - 0x1000, 2, "half outside"),
        (0, NW + 0x0fff_f000, 2, "over the end"),
        (0, buffers(0).tx.0, 1, "its TX buffer"),
        (0, buffers(0).rx.0 - 0x1000, 3, "around its buffers"),
        (1, base(2), 1, "another's"),
        (1, NW, 1, "the Normal world's"),
        (1, base(1) + OWN * PAGE_SIZE - 0x1000, 2, "half outside"),
        (1, DEVICE + PAGE_SIZE, 1, "its own device"),
        (1, buffers(1).rx.0, 1, "its RX buffer"),
    ] {
        for kind in [Kind::Share, Kind::Lend, Kind::Donate] {
            let s = Sending::new(kind, &[3], &[(at, n)]);
            assert_eq!(w.send(who, &s), Err(Error::Denied), "{why}");
        }
        assert_eq!(snapshot(&w), before, "{why}");
    }
    for (at, n) in [(NW + 1, 1), (NW, 0), (1 << 39, 1), ((1 << 39) - 0x1000, 2), (!0xfff, 1), (!0xfff, 2)] {
        assert_eq!(share(0, at, n), Err(Error::InvalidParameters), "{at:#x} {n}");
    }
    // Named twice, in whatever way, with blocks and without.
    for ranges in [
        [(NW, 1), (NW, 1)],
        [(NW, 4), (NW + 0x3000, 1)],
        [(NW + 0x3000, 1), (NW, 4)],
        [(NW, 512), (NW + 0x3000, 1)],
        [(NW + 0x3000, 1), (NW, 512)],
        [(NW, 1024), (NW + MIB2, 512)],
    ] {
        for (who, kind) in [(0, Kind::Share), (0, Kind::Lend), (1, Kind::Lend), (1, Kind::Share)] {
            let moved: Vec<_> = ranges.iter().map(|&(a, n)| (a - NW + base(who), n)).collect();
            let s = Sending::new(kind, &[3], &moved);
            assert_eq!(w.send(who, &s), Err(Error::InvalidParameters), "{ranges:x?}");
            assert_eq!(snapshot(&w), before, "{ranges:x?}");
        }
    }
    // A buffer pair may not be put on memory that is sent.
    let h = share(0, NW, 1).unwrap();
    let mut regs = Regs::ZERO;
    regs.x = [0; 18];
    regs.x[..4].copy_from_slice(&[Func::RxTxMap.id64().into(), NW, NW + 0x1000, 1]);
    w.spmc.normal.mailbox.lock().unmap().unwrap();
    assert_eq!(w.spmc.map_buffers(None, &regs).map_err(|r| r.code()), Err(Error::InvalidParameters));
    w.spmc.normal.mailbox.lock().map(buffers(0)).unwrap();
    w.reclaim(0, h, 0).unwrap();
}

#[test]
fn every_field_of_a_descriptor_is_checked() {
    let w = world();
    (0..4).for_each(|who| w.set_version(who, Version::V1_1));
    let good = w.lay(0, &Sending::new(Kind::Share, &[1], &[(NW, 1), (NW + 0x2000, 1)]));
    let before = snapshot(&w);
    let with = |at: usize, value: u32| {
        let mut b = good.clone();
        b[at..at + 4].copy_from_slice(&value.to_le_bytes());
        w.send_bytes(0, Kind::Share, &b, 4096)
    };
    let invalid = Err(Error::InvalidParameters);
    let denied = Err(Error::Denied);
    for (at, value, expected, why) in [
        (0x00, 0x002f_8001, denied, "a partition as sender"),
        (0x00, 0x006f_0000, invalid, "NS attribute"),
        (0x00, 0x0000_0000, invalid, "no attributes"),
        (0x00, 0x001f_0000, denied, "device memory"),
        (0x00, 0x002b_0000, invalid, "reserved cacheability"),
        (0x00, 0x0027_0000, denied, "non-cacheable"),
        (0x04, 1, invalid, "zero flag"),
        (0x04, 4, invalid, "flag of a retrieve"),
        (0x04, 1 << 31, invalid, "reserved flag"),
        (0x08, 1, invalid, "a handle"),
        (0x18, 0, invalid, "access size 0"),
        (0x18, 17, invalid, "access size 17"),
        (0x18, 32, invalid, "access size of v1.2"),
        (0x1c, 0, invalid, "no receivers"),
        (0x1c, 2, invalid, "two receivers, one there"),
        (0x1c, 5, invalid, "too many receivers"),
        (0x20, 0, invalid, "access offset 0"),
        (0x20, 0x38, invalid, "access offset unaligned"),
        (0x20, 0xffff_fff0, invalid, "access offset far out"),
        (0x24, 1, invalid, "reserved"),
        (0x30, 0x0002_0000, invalid, "receiver is the sender"),
        (0x30, 0x0002_0001, denied, "receiver is a VM"),
        (0x30, 0x0002_8009, invalid, "receiver unknown"),
        (0x30, 0x0000_8001, invalid, "no permission"),
        (0x30, 0x0003_8001, invalid, "reserved permission"),
        (0x30, 0x0006_8001, invalid, "not executable, which the owner must not say"),
        (0x30, 0x000a_8001, invalid, "executable"),
        (0x30, 0x0102_8001, invalid, "flags"),
        (0x34, 0, invalid, "no composite"),
        (0x34, 0x30, invalid, "composite in the receivers"),
        (0x34, 0x48, invalid, "composite unaligned"),
        (0x34, 0x50, invalid, "composite one range late"),
        (0x34, 0xffff_fff0, invalid, "composite far out"),
        (0x38, 1, invalid, "reserved in the access descriptor"),
        (0x40, 1, invalid, "too few pages"),
        (0x40, 3, invalid, "too many pages"),
        (0x44, 1, invalid, "a range too few"),
        (0x44, 3, invalid, "a range too many"),
        (0x44, 0, invalid, "no ranges"),
        (0x44, u32::MAX, invalid, "ranges that wrap"),
        (0x48, 1, invalid, "reserved in the composite"),
        (0x5c, 1, invalid, "reserved in a range"),
    ] {
        assert_eq!(with(at, value).map(|_| ()), expected, "{why}");
        assert_eq!(snapshot(&w), before, "{why}");
    }
    let n = good.len() as u64;
    for args in [
        [n, 0, 0, 0],
        [0, 0, 0, 0],
        [n, n + 16, 0, 0],
        [n, n - 8, 0, 0],
        [n, 16, 0, 0],
        [n + 16, n, 0, 0],
        [n - 16, n - 16, 0, 0],
        [4112, 4112, 0, 0],
        [u32::MAX.into(), n, 0, 0],
        [n, n, 0x1000, 0],
        [n, n, 0, 1],
    ] {
        w.tx(0, &good);
        assert_eq!(w.call(0, Func::MemShare, &args).map(|_| ()), invalid, "{args:x?}");
        assert_eq!(snapshot(&w), before, "{args:x?}");
    }
    let two = Sending::new(Kind::Share, &[1, 1], &[(NW, 1)]);
    assert_eq!(w.send(0, &two).map(|_| ()), invalid, "a receiver twice");
    let two = Sending::new(Kind::Donate, &[1, 2], &[(NW, 1)]);
    assert_eq!(w.send(0, &two).map(|_| ()), invalid, "donation to two");
    // No TX buffer at all.
    w.spmc.normal.mailbox.lock().unmap().unwrap();
    assert_eq!(w.call(0, Func::MemShare, &[n, n]).map(|_| ()), invalid);
}

#[test]
fn a_retrieve_must_fit_the_transaction() {
    let w = world();
    let h = w.send(0, &Sending::new(Kind::Share, &[1], &[(NW, 1)])).unwrap();
    let rw = perms(Data::ReadWrite);
    let own = [(IDS[1], rw)];
    let before = snapshot(&w);
    let invalid = Err(Error::InvalidParameters);
    let denied = Err(Error::Denied);
    for (who, handle, sender, receivers, flags, tag, expected, why) in [
        (2, h, 0, &[(IDS[2], rw)][..], 0, 7, invalid, "not a receiver"),
        (1, Handle(h.0 ^ 1), 0, &own, 0, 7, invalid, "no such handle"),
        (1, Handle(h.0 + 0x1_0000), 0, &own, 0, 7, invalid, "a later generation"),
        (1, Handle(u64::MAX), 0, &own, 0, 7, invalid, "the invalid handle"),
        (1, h, 1, &own, 0, 7, denied, "another sender"),
        (1, h, 0, &own, 0, 8, invalid, "another tag"),
        (1, h, 0, &own, Flags::LEND, 7, invalid, "another type"),
        (1, h, 0, &own, Flags::ZERO, 7, invalid, "zero"),
        (1, h, 0, &own, Flags::ZERO_AFTER, 7, invalid, "zero after"),
        (1, h, 0, &own, 1 << 9, 7, invalid, "alignment hint"),
        (1, h, 0, &own, 1 << 11, 7, invalid, "reserved flag"),
        (1, h, 0, &[], 0, 7, invalid, "no receivers"),
        (1, h, 0, &[(IDS[2], rw)], 0, 7, invalid, "another receiver"),
        (1, h, 0, &[(IDS[1], rw), (IDS[2], rw)], 0, 7, invalid, "one receiver more"),
    ] {
        let got = w.retrieve_bytes(who, &w.request(who, handle, sender, receivers, flags, tag));
        assert_eq!(got.map(|_| ()), expected, "{why}");
        assert_eq!(snapshot(&w), before, "{why}");
    }
    // RX still holds an older message.
    w.retrieve(1, h, 0, Kind::Share).unwrap();
    w.relinquish(1, h, 0).unwrap();
    let mut mailbox = w.partition(1).mailbox.lock();
    mailbox.begin_delivery().unwrap().finish();
    drop(mailbox);
    assert_eq!(w.retrieve(1, h, 0, Kind::Share), Err(Error::Busy));
    assert_eq!(snapshot(&w), before);
    w.release_rx(1);
    // Somebody else's memory at the address already.
    w.retrieve(1, h, 0, Kind::Share).unwrap();
    let again = w.send(0, &Sending::new(Kind::Share, &[1], &[(NW, 1)])).unwrap();
    assert_eq!(w.retrieve(1, again, 0, Kind::Share), Err(Error::Denied));
}

#[test]
fn the_table_of_transactions_has_an_end() {
    let w = world();
    let before = snapshot(&w);
    let mut handles: Vec<_> =
        (0..16).map(|i| w.send(0, &Sending::new(Kind::Share, &[1], &[(NW + i * 0x1000, 1)])).unwrap()).collect();
    assert_eq!(w.send(0, &Sending::new(Kind::Share, &[1], &[(NW + 0x20_0000, 1)])), Err(Error::NoMemory));
    let old = handles.remove(5);
    w.reclaim(0, old, 0).unwrap();
    let new = w.send(0, &Sending::new(Kind::Share, &[1], &[(NW, 1)])).unwrap();
    assert_ne!(old, new, "a place has a new handle each time");
    assert_eq!(w.reclaim(0, old, 0), Err(Error::InvalidParameters));
    handles.push(new);
    handles.into_iter().for_each(|h| w.reclaim(0, h, 0).unwrap());
    assert_eq!(snapshot(&w), before);
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_thousand_transactions_are_open_at_once() {
    let w = World::new(SimMachine::leaked(64), usize::MAX);
    let share = |i: usize| w.send(0, &Sending::new(Kind::Share, &[1], &[(NW + (i as u64) * 0x1000, 1)]));
    let mut handles = Vec::new();
    while let Ok(handle) = share(handles.len()) {
        handles.push(handle);
        if handles.len() % 32 == 0 && handles.len() < MAX_OPEN {
            // The next one needs another page of places, which it does not get.
            w.m.fail_after(Some(0));
            assert_eq!(share(handles.len()), Err(Error::NoMemory));
            w.m.fail_after(None);
        }
    }
    assert_eq!(handles.len(), MAX_OPEN);
    assert_eq!(share(MAX_OPEN), Err(Error::NoMemory));
    for at in [0, 700, MAX_OPEN - 1] {
        // Any place that becomes free is found, and it is the only one.
        w.reclaim(0, handles[at], 0).unwrap();
        handles[at] = share(at).unwrap();
        assert_eq!(share(MAX_OPEN), Err(Error::NoMemory));
    }
    for handle in handles {
        assert!(w.retrieve(1, handle, 0, Kind::Share).is_ok());
        w.relinquish(1, handle, 0).unwrap();
        w.reclaim(0, handle, 0).unwrap();
    }
}

#[test]
fn the_routing_policy_says_who_may_receive() {
    use crate::manifest::{Party, PeerRule, RoutingDefault};
    let rule = |from, to, memory| PeerRule {
        from: Party::Partition(from),
        to: Party::Partition(to),
        messages: true,
        memory,
        one_way: true,
    };
    let mut policy =
        RoutingPolicy { default: RoutingDefault::Hub, coordinator: Party::NormalWorld, ..Default::default() };
    policy.peers.push(rule(0, 1, true));
    policy.peers.push(rule(0, 2, false));
    let w = World::with_policy(SimMachine::leaked(256), 4, &policy);
    let share =
        |from: usize, to: usize| w.send(from, &Sending::new(Kind::Share, &[to], &[(base(from), 1)])).map(|_| ());
    assert_eq!(share(0, 3), Ok(()), "the coordinator's");
    assert_eq!(share(1, 2), Ok(()), "a rule");
    assert_eq!(share(1, 3), Err(Error::Denied), "messages only");
    assert_eq!(share(2, 1), Err(Error::Denied), "one way");
}
