// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random sequences of calls by four endpoints, against a model that knows nothing of tables: for each page who owns
//! it, who can reach it and how often it is shared. Every error code and every page is compared.

mod walk;

extern crate std;

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Transactions that can be open: few, so that the table overflows now and then.
const CAPACITY: usize = 6;

/// What one endpoint has at one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Nothing,
    /// Its own, with so many open shares.
    Owned(u64),
    /// Its own, lent.
    Lent,
    /// Given away, perhaps not yet taken.
    Gone,
    /// Another's, with this access: write, execute.
    Borrowed(bool, bool),
}

#[derive(Clone, Copy)]
struct Borrower {
    who: usize,
    data: Data,
    retrieved: Option<(bool, bool)>,
}

struct Deal {
    handle: Handle,
    kind: Kind,
    owner: usize,
    borrowers: Vec<Borrower>,
    ranges: Vec<(u64, u32)>,
    zero_first: bool,
    zero_after: bool,
    orphan: bool,
    tag: u64,
}

struct Model {
    world: World,
    /// By endpoint, then by page of the four windows.
    pages: [Vec<(Page, bool)>; 4],
    /// Pages that a call may have changed.
    touched: BTreeSet<u64>,
    done: [u32; 5],
    marks: BTreeMap<u64, u8>,
    deals: Vec<Deal>,
    closed: Vec<Handle>,
    /// Pages that their owner got by a donation and retrieved without write access.
    read_only: BTreeSet<(usize, u64)>,
}

/// Numbers the pages of the four windows; each window has a few more, which are nobody's.
const WINDOW: usize = 1100;

fn number(at: u64) -> usize {
    let home = (0..4).rfind(|&who| at >= base(who)).unwrap();
    home * WINDOW + ((at - base(home)) / PAGE_SIZE) as usize
}

fn pages_of(ranges: &[(u64, u32)]) -> impl Iterator<Item = u64> + '_ {
    ranges.iter().flat_map(|&(at, n)| (0..u64::from(n)).map(move |i| at + i * PAGE_SIZE))
}

impl Model {
    fn new(m: &'static SimMachine) -> Self {
        Self {
            world: World::new(m, CAPACITY),
            pages: core::array::from_fn(|who| {
                let own = who * WINDOW..who * WINDOW + OWN as usize;
                let start = |i| if own.contains(&i) { Page::Owned(0) } else { Page::Nothing };
                (0..4 * WINDOW).map(|i| (start(i), true)).collect()
            }),
            touched: BTreeSet::new(),
            done: [0; 5],
            marks: BTreeMap::new(),
            deals: Vec::new(),
            closed: Vec::new(),
            read_only: BTreeSet::new(),
        }
    }

    /// The state, and whether an owner may execute there.
    fn page(&self, who: usize, at: u64) -> (Page, bool) {
        self.pages[who][number(at)]
    }

    fn set(&mut self, who: usize, at: u64, page: Page) {
        self.pages[who][number(at)].0 = page;
    }

    fn send(&mut self, owner: usize, s: &Sending) {
        let expected = self.may_send(owner, s);
        let got = self.world.send(owner, s);
        assert_eq!(got.map(|_| ()), expected, "send {s:x?} by {owner}");
        let Ok(handle) = got else { return };
        self.done[0] += 1;
        assert!(!self.closed.contains(&handle) && self.deals.iter().all(|d| d.handle != handle), "handle used again");
        for at in pages_of(&s.ranges) {
            let now = match (s.kind, self.page(owner, at).0) {
                (Kind::Share, Page::Owned(n)) => Page::Owned(n + 1),
                (Kind::Lend, _) => Page::Lent,
                (Kind::Donate, _) => Page::Gone,
                (Kind::Share, p) => panic!("shared {p:?}"),
            };
            self.set(owner, at, now);
            if s.flags & Flags::ZERO != 0 {
                self.marks.remove(&at);
            }
        }
        let borrowers = s.receivers.iter().map(|(id, p)| Borrower {
            who: IDS.iter().position(|i| i == id).unwrap(),
            data: p.data,
            retrieved: None,
        });
        self.deals.push(Deal {
            handle,
            kind: s.kind,
            owner,
            borrowers: borrowers.collect(),
            ranges: s.ranges.clone(),
            zero_first: s.flags & Flags::ZERO != 0,
            zero_after: false,
            orphan: false,
            tag: s.tag,
        });
    }

    fn may_send(&self, owner: usize, s: &Sending) -> Result<(), Error> {
        if self.deals.len() == CAPACITY {
            return Err(Error::NoMemory);
        }
        if s.kind == Kind::Share && s.flags & Flags::ZERO != 0 {
            return Err(Error::InvalidParameters);
        }
        if s.receivers.is_empty() || s.receivers.len() > if s.kind == Kind::Donate { 1 } else { 4 } {
            return Err(Error::InvalidParameters);
        }
        let mut seen = BTreeSet::new();
        for &(id, p) in &s.receivers {
            let specified = p.data != Data::NotSpecified;
            if specified == (s.kind == Kind::Donate) || id == IDS[owner] {
                return Err(Error::InvalidParameters);
            }
            if id & 0x8000 == 0 {
                return Err(Error::Denied);
            }
            if !IDS.contains(&id) || !seen.insert(id) {
                return Err(Error::InvalidParameters);
            }
        }
        let mut seen = BTreeSet::new();
        // What a sender owns in the space in which its first page is not, it cannot send with it.
        let spaces = |at: u64| at < 0x8000_0000;
        let first = s.ranges[0].0;
        let has = |at| self.page(owner, at).0 != Page::Nothing;
        let space = if owner == 0 { true } else { spaces(first) || !has(first) };
        for at in pages_of(&s.ranges) {
            if !seen.insert(at) {
                return Err(Error::InvalidParameters);
            }
            let shares = match self.page(owner, at).0 {
                Page::Owned(n) if (n == 0 || s.kind == Kind::Share) && spaces(at) == space => n,
                _ => return Err(Error::Denied),
            };
            // An owner gives no more than it has; whoever gets a donation may write, and zeroes are written.
            let written = s.kind == Kind::Donate
                || s.flags & Flags::ZERO != 0
                || s.receivers.iter().any(|(_, p)| p.data == Data::ReadWrite);
            if written && self.read_only.contains(&(owner, at)) {
                return Err(Error::Denied);
            }
            if shares >= 31 {
                return Err(Error::NoMemory);
            }
        }
        Ok(())
    }

    fn retrieve(&mut self, who: usize, deal: usize, ask: &[(u16, Permissions)], flags: u32, wrong: u32) {
        let d = &self.deals[deal];
        let (sender, tag) = (IDS[d.owner] + u16::from(wrong == 1), d.tag + u64::from(wrong == 2));
        let request = self.world.request(who, d.handle, sender, ask, flags, tag);
        let expected = self.may_retrieve(who, d, ask, flags, wrong);
        let got = self.world.retrieve_bytes(who, &request);
        let (handle, kind, owner) = (d.handle, d.kind, d.owner);
        assert_eq!(
            got.as_ref().map(|_| ()).map_err(|e| *e),
            expected.map(|_| ()),
            "retrieve {ask:?} {flags:#x} {wrong}"
        );
        let (Ok(response), Ok((write, execute))) = (got, expected) else { return };
        self.done[1] += 1;
        assert_eq!((&response.ranges, response.tag), (&d.ranges, d.tag));
        assert_eq!(response.sender, IDS[owner]);
        let ranges = d.ranges.clone();
        for at in pages_of(&ranges) {
            if kind == Kind::Donate {
                self.pages[who][number(at)] = (Page::Owned(0), execute);
                if write {
                    self.read_only.remove(&(who, at));
                } else {
                    self.read_only.insert((who, at));
                }
                if owner != 0 {
                    self.pages[owner][number(at)] = (Page::Nothing, true);
                }
            } else {
                self.set(who, at, Page::Borrowed(write, execute));
            }
        }
        if kind == Kind::Donate {
            self.deals.remove(deal);
            self.closed.push(handle);
        } else {
            let d = &mut self.deals[deal];
            d.zero_after |= flags & Flags::ZERO_AFTER != 0;
            d.borrowers.iter_mut().find(|b| b.who == who).unwrap().retrieved = Some((write, execute));
        }
    }

    fn may_retrieve(
        &self,
        who: usize,
        d: &Deal,
        ask: &[(u16, Permissions)],
        flags: u32,
        wrong: u32,
    ) -> Result<(bool, bool), Error> {
        let invalid = Err(Error::InvalidParameters);
        let Some(own) = d.borrowers.iter().find(|b| b.who == who) else { return invalid };
        if d.orphan {
            return invalid;
        }
        match wrong {
            1 => return Err(Error::Denied),
            2 => return invalid,
            _ => {}
        }
        let zeroes = flags & (Flags::ZERO | Flags::ZERO_AFTER) != 0;
        if zeroes && d.kind == Kind::Share {
            return invalid;
        }
        if flags & Flags::ZERO != 0 && !d.zero_first {
            return Err(Error::Denied);
        }
        let list = if flags & Flags::BYPASS_BORROWERS != 0 { 1 } else { d.borrowers.len() };
        if ask.len() != list {
            return invalid;
        }
        let alone = d.kind == Kind::Donate || d.kind == Kind::Lend && d.borrowers.len() == 1;
        let mut granted = None;
        for (id, p) in ask {
            let Some(b) = d.borrowers.iter().find(|b| IDS[b.who] == *id) else { return invalid };
            if b.data == Data::ReadOnly && p.data == Data::ReadWrite {
                return Err(Error::Denied);
            }
            if alone == (p.instruction == Instruction::NotSpecified) {
                return invalid;
            }
            if b.who == who {
                let reads = p.data == Data::ReadOnly || b.data == Data::ReadOnly;
                granted = Some((!reads, p.instruction == Instruction::Executable));
            }
        }
        let Some(granted) = granted else { return invalid };
        let vacant = |at| matches!(self.page(who, at).0, Page::Nothing | Page::Gone);
        if zeroes && !granted.0 || own.retrieved.is_some() || !pages_of(&d.ranges).all(vacant) {
            return Err(Error::Denied);
        }
        Ok(granted)
    }

    fn relinquish(&mut self, who: usize, deal: usize, zero: bool) {
        let d = &self.deals[deal];
        let expected = match d.borrowers.iter().find(|b| b.who == who).map(|b| b.retrieved) {
            None | Some(None) => Err(Error::InvalidParameters),
            Some(Some(_)) if zero && d.kind == Kind::Share => Err(Error::InvalidParameters),
            Some(Some((false, _))) if zero => Err(Error::Denied),
            Some(Some(_)) => Ok(()),
        };
        let got = self.world.relinquish(who, d.handle, if zero { Flags::ZERO } else { 0 });
        assert_eq!(got, expected, "relinquish by {who}");
        if got.is_ok() {
            self.done[2] += 1;
            self.deals[deal].zero_after |= zero;
            self.given_up(who, deal);
        }
    }

    fn given_up(&mut self, who: usize, deal: usize) {
        let d = &mut self.deals[deal];
        d.borrowers.iter_mut().find(|b| b.who == who).unwrap().retrieved = None;
        let free = d.borrowers.iter().all(|b| b.retrieved.is_none());
        let zero = free && core::mem::take(&mut d.zero_after);
        let ranges = d.ranges.clone();
        let orphan = d.orphan;
        for at in pages_of(&ranges) {
            self.set(who, at, Page::Nothing);
            if zero {
                self.marks.remove(&at);
            }
        }
        if free && orphan {
            self.taken_back(deal);
        }
    }

    fn reclaim(&mut self, who: usize, deal: usize, zero: bool) {
        let d = &self.deals[deal];
        let expected = if who != d.owner || d.orphan {
            Err(Error::InvalidParameters)
        } else if d.borrowers.iter().any(|b| b.retrieved.is_some()) {
            Err(Error::Denied)
        } else {
            Ok(())
        };
        let got = self.world.reclaim(who, d.handle, if zero { Flags::ZERO } else { 0 });
        assert_eq!(got, expected, "reclaim by {who}");
        if got.is_ok() {
            self.done[3] += 1;
            if zero {
                let ranges = d.ranges.clone();
                pages_of(&ranges).for_each(|at| {
                    self.marks.remove(&at);
                });
            }
            self.taken_back(deal);
        }
    }

    fn taken_back(&mut self, deal: usize) {
        let d = self.deals.remove(deal);
        self.closed.push(d.handle);
        for at in pages_of(&d.ranges) {
            let now = match (d.kind, self.page(d.owner, at).0) {
                (Kind::Share, Page::Owned(n)) => Page::Owned(n - 1),
                (Kind::Lend, Page::Lent) | (Kind::Donate, Page::Gone) => Page::Owned(0),
                (kind, p) => panic!("{kind:?} taken back from {p:?}"),
            };
            self.set(d.owner, at, now);
        }
    }

    fn die(&mut self, who: usize) {
        self.done[4] += 1;
        self.world.spmc.release_memory(self.world.partition(who));
        let mut i = 0;
        while i < self.deals.len() {
            let d = &mut self.deals[i];
            let before = d.handle;
            if d.borrowers.iter().any(|b| b.who == who && b.retrieved.is_some()) {
                self.given_up(who, i);
            } else if d.owner == who && d.borrowers.iter().any(|b| b.retrieved.is_some()) {
                d.orphan = true;
            } else if d.owner == who {
                self.taken_back(i);
            }
            if self.deals.get(i).is_some_and(|d| d.handle == before) {
                i += 1;
            }
        }
    }

    /// Compares what the hardware and the memory say about a page with the model.
    fn compare(&self, at: u64) {
        for who in 1..4 {
            let (page, executes) = self.page(who, at);
            let expected = match page {
                Page::Owned(_) => Some((true, self.world_writes(who, at), executes)),
                Page::Borrowed(write, execute) => Some((true, write, execute)),
                Page::Nothing | Page::Lent | Page::Gone => None,
            };
            assert_eq!(self.world.access(who, at), expected, "{at:#x} of {who}: {page:?}");
        }
        let tag = self.world.spmc.memory.tracking.lock().query(self.world.m, Space::NonSecure, Ipa(at));
        let (page, _) = self.page(0, at);
        let expected = match page {
            Page::Owned(0) | Page::Nothing => (true, false, 0),
            Page::Owned(n) => (false, true, n),
            Page::Lent => (false, false, 1),
            Page::Gone => (false, false, 0),
            Page::Borrowed(..) => panic!("the Normal world never borrows"),
        };
        assert_eq!((tag.is_zero(), tag.is_valid(), tag.shares()), expected, "{at:#x} of the Normal world: {page:?}");
        let mut byte = [0];
        let s = if at < 0x8000_0000 { Space::NonSecure } else { Space::Secure };
        self.world.m.read(s, Pa(at), &mut byte).unwrap();
        assert_eq!(byte[0], self.marks.get(&at).copied().unwrap_or(0), "contents of {at:#x}");
    }

    /// A donation may have been taken read-only: its owner cannot write it then.
    fn world_writes(&self, who: usize, at: u64) -> bool {
        let s = if at < 0x8000_0000 { Space::NonSecure } else { Space::Secure };
        let entry = self.world.partition(who).stage2.lock().query(self.world.m, s, Ipa(at));
        entry.attributes().access.contains(PageAccess::WRITE)
    }

    fn mark(&mut self, at: u64, value: u8) {
        let s = if at < 0x8000_0000 { Space::NonSecure } else { Space::Secure };
        self.world.m.write(s, Pa(at), &[value]).unwrap();
        self.marks.insert(at, value);
    }

    /// Undoes all that can be undone and returns the tables; the pool must be full again.
    fn finish(mut self, pool: usize) -> [u32; 5] {
        let done = self.done;
        while let Some(d) = self.deals.first() {
            let (owner, orphan) = (d.owner, d.orphan);
            if let Some(b) = d.borrowers.iter().find(|b| b.retrieved.is_some()) {
                self.relinquish(b.who, 0, false);
            } else {
                assert!(!orphan);
                self.reclaim(owner, 0, false);
            }
        }
        let touched = core::mem::take(&mut self.touched);
        touched.iter().for_each(|&at| self.compare(at));
        for &at in self.marks.keys() {
            let s = if at < 0x8000_0000 { Space::NonSecure } else { Space::Secure };
            self.world.m.zero(s, Pa(at), PAGE_SIZE).unwrap();
        }
        let m = self.world.m;
        self.world.destroy();
        assert_eq!(m.pages_free(), pool, "pages leaked");
        assert_eq!(m.tlb_len(), 0, "the TLB still holds something");
        done
    }
}
