// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls at the wrong moment, or for what is not the caller's to have.
use super::super::table::MAX_OPEN_OF_PARTITION;
use super::*;

fn world(open: usize) -> World {
    World::new(SimMachine::leaked(256), open)
}

fn one(kind: Kind, to: usize, at: u64) -> Sending {
    Sending::new(kind, &[to], &[(at, 1)])
}

#[test]
fn a_partition_has_no_buffers_in_memory_that_is_sent_or_borrowed() {
    let w = world(16);
    let own = base(1) + 0x8000;
    let p = w.partition(1);
    p.mailbox.lock().unmap().unwrap();
    let map = |tx: u64, rx: u64| {
        let mut regs = Regs::ZERO;
        regs.x[..4].copy_from_slice(&[Func::RxTxMap.id64().into(), tx, rx, 1]);
        w.spmc.map_buffers(Some(p), &regs).map_err(|r| r.code())
    };
    let refused = |at: u64, why: &str| {
        assert_eq!(map(at, own), Err(Error::InvalidParameters), "TX, {why}");
        assert_eq!(map(own, at), Err(Error::InvalidParameters), "RX, {why}");
    };
    refused(buffers(2).tx.0, "another's buffer");
    refused(base(1) + 0x200_0000, "what it can only read");
    refused(DEVICE + PAGE_SIZE, "a device");
    // It needs its buffers to send: they come back for that.
    let sent = |kind| {
        p.mailbox.lock().map(buffers(1)).unwrap();
        let h = w.send(1, &one(kind, 2, base(1))).unwrap();
        p.mailbox.lock().unmap().unwrap();
        h
    };
    for kind in [Kind::Share, Kind::Lend, Kind::Donate] {
        let h = sent(kind);
        refused(base(1), "what it has sent");
        w.reclaim(1, h, 0).unwrap();
    }
    for (from, at) in [(0, NW), (2, base(2))] {
        let h = w.send(from, &one(Kind::Share, 1, at)).unwrap();
        p.mailbox.lock().map(buffers(1)).unwrap();
        w.retrieve(1, h, from, Kind::Share).unwrap();
        p.mailbox.lock().unmap().unwrap();
        refused(at, "what it borrows");
    }
    map(base(1), own).unwrap();
}

#[test]
fn a_response_that_is_half_told_is_its_receivers_alone() {
    let w = world(16);
    let ranges: Vec<_> = (0..500).map(|i| (NW + i * 0x2000, 1)).collect();
    let s = Sending::new(Kind::Share, &[1, 2], &ranges);
    let h = w.send(0, &s).unwrap();
    let own = [(IDS[1], perms(Data::ReadWrite))];
    w.tx(1, &w.request(1, h, 0, &own, Flags::BYPASS_BORROWERS, 7));
    let n = 48 + 32;
    let reply = w.call(1, Func::MemRetrieveReq, &[n, n]).unwrap();
    let (total, told) = (reply[1], reply[2]);
    assert!(told < total, "there is more to tell");
    let ask = |who, h: Handle, offset: u64, w4: u64| {
        let (low, high) = h.words();
        w.call(who, Func::MemFragRx, &[low.into(), high.into(), offset, w4]).map(|r| r[0])
    };
    assert_eq!(ask(1, h, told, 0), Err(Error::Busy), "RX holds the first part still");
    w.release_rx(1);
    let invalid = Err(Error::InvalidParameters);
    for (who, handle, offset, w4, why) in [
        (2, h, told, 0, "the other receiver, who has not retrieved it"),
        (3, h, told, 0, "a stranger"),
        (0, h, told, 0, "the owner"),
        (1, Handle(h.0 + 1), told, 0, "another handle"),
        (1, Handle(h.0 + 0x1_0000), told, 0, "a later generation"),
        (1, h, 0, 0, "from the start"),
        (1, h, told - 16, 0, "the last range again"),
        (1, h, told + 16, 0, "not the next range"),
        (1, h, told + 8, 0, "in the middle of one"),
        (1, h, total, 0, "the end"),
        (1, h, u32::MAX.into(), 0, "far out"),
        (1, h, told, 1, "reserved bits"),
        (1, h, told, 0x8002_0000, "another's name"),
    ] {
        assert_eq!(ask(who, handle, offset, w4), invalid, "{why}");
    }
    // It has the memory, told or not: the owner waits.
    assert_eq!(w.reclaim(0, h, 0), Err(Error::Denied));
    assert_eq!(ask(1, h, told, 0), Ok(Func::MemFragTx.id32().into()), "none of that hurt it");
    w.release_rx(1);
    // It may give up in the middle; then there is nothing more to tell.
    w.relinquish(1, h, 0).unwrap();
    assert_eq!(ask(1, h, told, 0), invalid);
    assert_eq!(w.access(1, NW), None);
    w.reclaim(0, h, 0).unwrap();
}

#[test]
fn donated_memory_is_zeroed_where_its_owner_asks_for_it() {
    let w = world(16);
    for (from, at) in [(0, NW), (1, base(1))] {
        let bytes = |value: u8| w.m.write(space(from), Pa(at), &[value; 4096]).unwrap();
        let is_zero = || {
            let mut page = vec![1; 4096];
            w.m.read(space(from), Pa(at), &mut page).unwrap();
            page.iter().all(|&b| b == 0)
        };
        bytes(0x5e);
        let mut s = one(Kind::Donate, 2, at);
        s.flags = Flags::ZERO;
        let h = w.send(from, &s).unwrap();
        w.retrieve(2, h, from, Kind::Donate).unwrap();
        assert!(is_zero(), "before the receiver sees it");
    }
}

#[test]
fn one_partition_cannot_take_every_transaction() {
    let w = world(64);
    let send = |who, to, i: u64| w.send(who, &one(Kind::Share, to, base(who) + i * PAGE_SIZE));
    let most = u64::from(MAX_OPEN_OF_PARTITION);
    let handles: Vec<_> = (0..most).map(|i| send(1, 2, i).unwrap()).collect();
    assert_eq!(send(1, 2, most), Err(Error::NoMemory));
    // Others still have room.
    let of_others = [send(2, 1, 0).unwrap(), send(0, 1, 0).unwrap()];
    // A refusal takes nothing from it, and what it closes it can open again.
    assert_eq!(w.send(1, &one(Kind::Share, 1, base(1))), Err(Error::NoMemory));
    w.reclaim(1, handles[0], 0).unwrap();
    for _ in 0..100 {
        assert_eq!(w.send(1, &one(Kind::Share, 1, base(1))), Err(Error::InvalidParameters), "to itself");
    }
    let again = send(1, 2, 0).unwrap();
    assert_eq!(send(1, 2, most), Err(Error::NoMemory));
    // When it dies, all of it is free again.
    w.spmc.release_memory(w.partition(1));
    let (low, high) = again.words();
    assert_eq!(w.call(1, Func::MemReclaim, &[low.into(), high.into(), 0]), Err(Error::InvalidParameters));
    for i in 0..most {
        send(1, 2, i).unwrap();
    }
    w.reclaim(2, of_others[0], 0).unwrap();
    w.reclaim(0, of_others[1], 0).unwrap();
}

#[test]
fn half_sent_descriptors_do_not_take_all_table_memory() {
    let w = world(128);
    let free = w.m.pages_free();
    // Nobody has looked at the ranges yet: it may be the same page again and again.
    let endless = Sending::new(Kind::Share, &[2], &[(base(1), 1); 4000]);
    let bytes = w.lay(1, &endless);
    let half_sent = || -> Result<(), Error> {
        w.tx(1, &bytes[..4096]);
        let mut reply = w.call(1, Func::MemShare, &[bytes.len() as u64, 4096])?;
        for at in (4096..bytes.len() - 4096).step_by(4096) {
            w.tx(1, &bytes[at..at + 4096]);
            reply = w.call(1, Func::MemFragTx, &[reply[1], reply[2], 4096, 0])?;
        }
        Ok(())
    };
    assert_eq!((0..100).find_map(|_| half_sent().err()), Some(Error::NoMemory));
    assert!(w.m.pages_free() >= free / 2, "{} of {free}", w.m.pages_free());
    // The Normal world shares as ever, what is scattered too.
    let scattered: Vec<_> = (0..600).map(|i| (NW + 2 * i * PAGE_SIZE, 1)).collect();
    let h = w.send(0, &Sending::new(Kind::Share, &[2], &scattered)).unwrap();
    w.reclaim(0, h, 0).unwrap();
    w.spmc.release_memory(w.partition(1));
    assert_eq!(w.m.pages_free(), free);
}
