// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine made of vectors: memory of both worlds, a bounded page pool, a TLB that forgets nothing by itself.
//!
//! The table walk here is written from the architecture manual, not from the SPMC's descriptors, so that a wrong bit
//! shows. The TLB keeps every translation that it has made until it is told to drop it; using one that the tables no
//! longer agree with, or freeing a table that it was made from, panics.

mod port;

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::boxed::Box;
use std::collections::{BTreeSet, HashMap};
use std::string::String;
use std::sync::Mutex;
use std::vec::Vec;

use ffa_abi::Regs;

use crate::{Entry, Fault, FaultKind, Ipa, Lines, MemFault, PAGE_SIZE, Pa, Space, Stage2Roots, Vmid};

/// Where the pool's pages lie: Secure memory that is nobody's.
pub const POOL_BASE: u64 = 0x0e20_0000;

/// What EL3 answers to every SMC that it gets.
pub const FROM_MONITOR: u64 = 0x5afe;

/// The MPIDR of the CPU that boots.
const BOOT_CPU: u64 = 0;

type Page = Box<[AtomicU64; 512]>;

/// Pages of memory by space (Non-secure or not) and page number.
type Memory = HashMap<(bool, u64), Box<[u8; 4096]>>;

/// What a simulated execution context keeps.
#[derive(Debug, Default)]
pub struct SimContext {
    /// Its saved registers.
    pub regs: Mutex<Regs>,
    /// Its virtual interrupt lines.
    pub lines: Mutex<Lines>,
    /// Non-secure interrupts wait while it runs; the tests choose when one arrives.
    pub queued: AtomicBool,
    /// The first of its timers that is armed and not masked; a test that changes it ends the run with [`crate::Exit::Timer`].
    pub timer: Mutex<Option<u64>>,
    /// What it was last reset to.
    pub entry: Mutex<Option<Entry>>,
}

/// An interrupt controller that one CPU looks at.
#[derive(Debug, Default)]
pub struct SimGic {
    /// What has arrived, the oldest first.
    pub pending: Vec<u32>,
    /// What was acknowledged and not deactivated.
    pub active: BTreeSet<u32>,
    /// What may be acknowledged.
    pub enabled: BTreeSet<u32>,
    /// Where shared interrupts go; a test decides which CPU looks.
    pub routes: HashMap<u32, usize>,
    /// When the timer of each CPU comes.
    pub wakes: HashMap<usize, u64>,
    /// The kicks that were sent, and to which CPU; a test delivers them.
    pub kicks: Vec<Option<usize>>,
}

/// One translation, as the TLB holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// First page of the leaf, as IPA.
    pub ipa: u64,
    /// Pages in the leaf.
    pub pages: u64,
    /// Where it goes.
    pub pa: u64,
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Fetches.
    pub execute: bool,
    /// MemAttr.
    pub memory: u64,
    tables: Vec<u64>,
}

#[derive(Default)]
struct Pool {
    spare: BTreeSet<u64>,
    fail_after: Option<usize>,
    asked: usize,
}

/// The machine.
pub struct SimMachine {
    /// The pool's pages, allocated or not.
    pages: Vec<Page>,
    pool: Mutex<Pool>,
    memory: Mutex<Memory>,
    holes: Mutex<Vec<(Space, u64, u64)>>,
    tlb: Mutex<Vec<(Vmid, Space, Translation)>>,
    clock: AtomicU64,
    donated: AtomicU64,
    raised: AtomicU64,
    fault: Mutex<Fault>,
    /// The interrupt controller.
    pub gic: Mutex<SimGic>,
    /// The CPU that runs.
    pub cpu: AtomicUsize,
    /// What the last [`Port::hold_normal`] said, of any CPU.
    pub held: AtomicBool,
    log: Mutex<Vec<String>>,
    console: Mutex<Vec<u8>>,
    monitor: Mutex<Vec<u32>>,
}

const fn is_ns(space: Space) -> bool {
    matches!(space, Space::NonSecure)
}

impl SimMachine {
    /// Makes a machine whose pool has `pages` pages.
    pub fn new(pages: usize) -> Self {
        let spare = (0..pages as u64).map(|i| POOL_BASE + i * PAGE_SIZE).collect();
        let zero = || Box::new([const { AtomicU64::new(0) }; 512]);
        let pages = (0..pages).map(|_| zero()).collect();
        Self {
            pages,
            pool: Mutex::new(Pool { spare, ..Pool::default() }),
            memory: Mutex::default(),
            holes: Mutex::default(),
            tlb: Mutex::default(),
            clock: AtomicU64::new(1),
            donated: AtomicU64::new(0),
            raised: AtomicU64::new(0),
            fault: Mutex::new(Fault { kind: FaultKind::DataAbort, esr: 0, pc: 0, va: 0, ipa: None }),
            gic: Mutex::default(),
            cpu: AtomicUsize::new(0),
            held: AtomicBool::new(false),
            log: Mutex::default(),
            console: Mutex::default(),
            monitor: Mutex::default(),
        }
    }

    /// Makes a machine that lives as long as the process, as [`Port`] users want it.
    pub fn leaked(pages: usize) -> &'static Self {
        Box::leak(Box::new(Self::new(pages)))
    }

    /// Lets `n` more allocations succeed and every later one fail; `None`: until the pool is empty.
    pub fn fail_after(&self, n: Option<usize>) {
        let mut pool = self.pool.lock().unwrap();
        pool.fail_after = n;
        pool.asked = 0;
    }

    /// Forgets everything but its size: for the next of many short tests, when nothing of the last is used any more.
    pub fn reset(&self) {
        let mut pool = self.pool.lock().unwrap();
        *pool = Pool {
            spare: (0..self.pages.len() as u64).map(|i| POOL_BASE + i * PAGE_SIZE).collect(),
            ..Pool::default()
        };
        self.memory.lock().unwrap().clear();
        self.holes.lock().unwrap().clear();
        self.tlb.lock().unwrap().clear();
        *self.gic.lock().unwrap() = SimGic::default();
        self.donated.store(0, Ordering::Relaxed);
        self.log.lock().unwrap().clear();
        self.console.lock().unwrap().clear();
    }

    /// Makes accesses to a range fault, as a granule protection fault would.
    pub fn add_hole(&self, space: Space, pa: Pa, len: u64) {
        self.holes.lock().unwrap().push((space, pa.0, len));
    }

    /// Sets what [`Port::fault`] tells.
    pub fn set_fault(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Counts how often the schedule-receiver interrupt was raised.
    pub fn raised(&self) -> u64 {
        self.raised.load(Ordering::Relaxed)
    }

    /// Lets counter ticks pass.
    pub fn pass_time(&self, ticks: u64) {
        self.clock.fetch_add(ticks, Ordering::Relaxed);
    }

    /// Returns the lines logged so far, and forgets them.
    pub fn take_log(&self) -> Vec<String> {
        core::mem::take(&mut self.log.lock().unwrap())
    }

    /// Returns the SMCs that EL3 got so far, and forgets them.
    pub fn take_monitor_calls(&self) -> Vec<u32> {
        core::mem::take(&mut self.monitor.lock().unwrap())
    }

    /// Returns what was printed so far, and forgets it.
    pub fn take_console(&self) -> Vec<u8> {
        core::mem::take(&mut self.console.lock().unwrap())
    }

    /// Lists the pool pages in use with their contents.
    pub fn pool_image(&self) -> Vec<(u64, Vec<u64>)> {
        let pool = self.pool.lock().unwrap();
        let at = |i| POOL_BASE + i as u64 * PAGE_SIZE;
        let used = self.pages.iter().enumerate().filter(|(i, _)| !pool.spare.contains(&at(*i)));
        used.map(|(i, w)| (at(i), w.iter().map(|w| w.load(Ordering::Relaxed)).collect())).collect()
    }

    /// Finds an allocated page of the pool.
    fn page(&self, page: u64) -> Option<&Page> {
        let index = page.checked_sub(POOL_BASE)? / PAGE_SIZE;
        let taken = page.is_multiple_of(PAGE_SIZE) && !self.pool.lock().unwrap().spare.contains(&page);
        self.pages.get(index as usize).filter(|_| taken)
    }

    /// Translates as the hardware of a CPU running that partition would, through the TLB; `None` is a fault.
    ///
    /// Panics when the TLB holds a translation that the tables no longer give.
    pub fn translate(&self, roots: &Stage2Roots, space: Space, ipa: Ipa) -> Option<Translation> {
        let fresh = self.walk(roots, space, ipa);
        let mut tlb = self.tlb.lock().unwrap();
        let covers = |t: &Translation| ipa.0 >= t.ipa && ipa.0 < t.ipa + t.pages * PAGE_SIZE;
        if let Some((_, _, old)) = tlb.iter().find(|(v, s, t)| *v == roots.vmid && *s == space && covers(t)) {
            let now = fresh.as_ref().map(|f| Translation { tables: Vec::new(), ..f.clone() });
            let then = Some(Translation { tables: Vec::new(), ..old.clone() });
            assert_eq!(now, then, "stale TLB entry used for {ipa} of {:?} {space:?}", roots.vmid);
        } else if let Some(t) = &fresh {
            tlb.push((roots.vmid, space, t.clone()));
        }
        fresh
    }

    /// Counts what the TLB holds.
    pub fn tlb_len(&self) -> usize {
        self.tlb.lock().unwrap().len()
    }

    /// Walks the tables: 39 bits of IPA, 4 KiB granule, levels 1 to 3.
    fn walk(&self, roots: &Stage2Roots, space: Space, ipa: Ipa) -> Option<Translation> {
        let mut table = if is_ns(space) { roots.non_secure.0 } else { roots.secure.0 };
        if ipa.0 >> 39 != 0 {
            return None;
        }
        let mut tables = Vec::new();
        for level in 1..=3u32 {
            tables.push(table);
            let shift = 12 + 9 * (3 - level);
            let page = self.page(table).unwrap_or_else(|| panic!("walk through {table:#x}, which is no table"));
            let d = page[(ipa.0 >> shift & 511) as usize].load(Ordering::Relaxed);
            match (d & 3, level) {
                (3, 1 | 2) => table = d & 0xffff_ffff_f000,
                (3, 3) | (1, 1 | 2) => {
                    let size = 1u64 << shift;
                    let pa = d & 0xffff_ffff_f000;
                    assert_eq!(pa % size, 0, "block output address {pa:#x} is not aligned");
                    assert_ne!(d & 1 << 10, 0, "access flag clear in {d:#x}");
                    return Some(Translation {
                        ipa: ipa.0 & !(size - 1),
                        pages: size / PAGE_SIZE,
                        pa,
                        read: d & 1 << 6 != 0,
                        write: d & 1 << 7 != 0,
                        execute: d & 1 << 54 == 0,
                        memory: d >> 2 & 0xf,
                        tables,
                    });
                }
                // Invalid, or reserved at its level: a translation fault.
                _ => return None,
            }
        }
        None
    }

    fn check(&self, space: Space, pa: Pa, len: u64) -> Result<(), MemFault> {
        let end = pa.0.checked_add(len).ok_or(MemFault)?;
        let holes = self.holes.lock().unwrap();
        let hit = holes.iter().any(|&(s, at, n)| s == space && pa.0 < at + n && end > at);
        if hit { Err(MemFault) } else { Ok(()) }
    }
}
