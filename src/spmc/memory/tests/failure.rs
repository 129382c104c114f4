// SPDX-License-Identifier: MIT OR Apache-2.0
//! A call that fails leaves everything as it was, wherever it fails.

extern crate std;

use std::format;
use std::string::String;

use super::*;

/// All that a call may change: every table and every page of bookkeeping word by word, mailboxes, transactions.
#[derive(PartialEq, Eq, Debug)]
struct Snapshot {
    pool: Vec<(u64, Vec<u64>)>,
    free: usize,
    rest: String,
}

fn snapshot(w: &World) -> Snapshot {
    let mut rest = String::new();
    for who in 0..4 {
        rest += &format!("{:?}\n", *w.spmc.mailbox_of(&w.caller(who)).lock());
    }
    for t in w.spmc.memory.table.each() {
        rest += &format!("{:?}\n", *t);
    }
    Snapshot { pool: w.m.pool_image(), free: w.m.pages_free(), rest }
}

/// Runs `call` with table memory failing at its first allocation, its second, and so on until it succeeds; returns
/// how many times it failed.
fn exhaust<T: core::fmt::Debug>(w: &World, mut call: impl FnMut() -> Result<T, Error>) -> (T, usize) {
    let before = snapshot(w);
    let mut n = 0;
    loop {
        w.m.fail_after(Some(n));
        let outcome = call();
        w.m.fail_after(None);
        match outcome {
            Ok(value) => return (value, n),
            Err(e) => assert_eq!(e, Error::NoMemory),
        }
        assert_eq!(snapshot(w), before, "failing at allocation {n}");
        n += 1;
    }
}

/// Ranges on both sides of block and level-1 boundaries, more than a transaction holds itself.
fn scattered(who: usize) -> Vec<(u64, u32)> {
    let at = base(who);
    let page = |i: u64, n| (at + i * PAGE_SIZE, n);
    std::vec![page(511, 2), page(3, 1), page(1, 1), page(700, 3), page(514, 1), page(100, 5), page(1024, 4)]
}

#[test]
fn table_memory_may_run_out_anywhere() {
    let w = World::new(SimMachine::leaked(256), 4);
    let start = snapshot(&w);
    for owner in [0, 1] {
        for kind in [Kind::Share, Kind::Lend, Kind::Donate] {
            for ranges in [std::vec![(base(owner) + 0x1000, 1)], std::vec![(base(owner), 512)], scattered(owner)] {
                let mut s = Sending::new(kind, &[2], &ranges);
                s.impdef = [1, 2];
                let (h, sends) = exhaust(&w, || w.send(owner, &s));
                // The receiver's value takes a page, beside whatever tables it takes.
                assert!(sends >= 1);
                let request = {
                    let instruction =
                        if kind == Kind::Share { Instruction::NotSpecified } else { Instruction::NotExecutable };
                    let asked = Permissions { data: Data::ReadWrite, instruction };
                    let mut bytes = w.request(2, h, IDS[owner], &[(IDS[2], asked)], 0, 7);
                    bytes[56..64].copy_from_slice(&1u64.to_le_bytes());
                    bytes[64..72].copy_from_slice(&2u64.to_le_bytes());
                    bytes
                };
                if kind == Kind::Donate {
                    // Taken back here, so that the next round finds the memory with its owner.
                    w.reclaim(owner, h, 0).unwrap();
                    continue;
                }
                let (_, retrieves) = exhaust(&w, || w.retrieve_bytes(2, &request));
                // A whole block of another partition needs no table of its own.
                assert!(retrieves >= 1 || owner == 1);
                // Giving back must not need memory.
                w.m.fail_after(Some(0));
                w.relinquish(2, h, 0).unwrap();
                w.reclaim(owner, h, 0).unwrap();
                w.m.fail_after(None);
            }
        }
    }
    assert_eq!(snapshot(&w).pool, start.pool);
}

#[test]
fn fragments_may_run_out_of_memory() {
    let w = World::new(SimMachine::leaked(256), 4);
    let before = snapshot(&w);
    let ranges: Vec<_> = (0..600).map(|i| (NW + i * 0x2000, 1)).collect();
    let bytes = w.lay(0, &Sending::new(Kind::Share, &[1], &ranges));
    // A failure in a later fragment ends the whole transaction.
    let (h, failures) = exhaust(&w, || w.send_bytes(0, Kind::Share, &bytes, 4096));
    assert!(failures >= 4, "two pages of ranges, tables");
    let (_, failures) = exhaust(&w, || w.retrieve(1, h, 0, Kind::Share));
    assert!(failures >= 4);
    w.relinquish(1, h, 0).unwrap();
    w.reclaim(0, h, 0).unwrap();
    assert_eq!(snapshot(&w), before);
}

#[test]
fn an_unreachable_buffer_changes_nothing() {
    let w = World::new(SimMachine::leaked(256), 4);
    let h = w.send(1, &Sending::new(Kind::Share, &[2], &[(base(1), 1)])).unwrap();
    let before = snapshot(&w);
    let Pair { rx, .. } = buffers(2);
    w.m.add_hole(Space::Secure, rx, 0x1000);
    assert_eq!(w.retrieve(2, h, 1, Kind::Share), Err(Error::Aborted));
    assert_eq!(snapshot(&w), before);
    w.m.add_hole(Space::NonSecure, buffers(0).tx, 0x1000);
    for func in [Func::MemShare, Func::MemLend, Func::MemDonate, Func::MemRetrieveReq] {
        assert_eq!(w.call(0, func, &[96, 96]), Err(Error::Aborted), "{func:?}");
        assert_eq!(snapshot(&w), before);
    }
}
