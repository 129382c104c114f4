// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 1: every address is its own translation; memory is mapped where it lies when it is needed.
//!
//! The image is mapped at the start, no page both writable and executable, with guard pages under the stacks. Memory
//! that another endpoint sent is added by [`map`]: Non-secure memory with NS = 1, which selects the SPMC's Non-secure
//! tables of this partition.

use core::{
    arch::asm,
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use spin::{Mutex, MutexGuard};

const PAGE: u64 = 4096;
const ENTRIES: usize = 512;
/// Virtual addresses have 39 bits, so that level 1 is the root.
const ADDRESS_BITS: u32 = 39;

const VALID: u64 = 1;
/// A table at levels 1 and 2, a page at level 3.
const TABLE_OR_PAGE: u64 = 1 << 1;
const ATTR_DEVICE: u64 = 0;
const ATTR_NORMAL: u64 = 1 << 2;
const NON_SECURE: u64 = 1 << 5;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const OUTPUT: u64 = 0x0000_ffff_ffff_f000;

/// MAIR_EL1: 0 Device-nGnRnE, 1 Normal write-back.
const MAIR: u64 = 0xff << 8;
/// TCR_EL1: 39-bit TTBR0 with write-back inner-shareable walks of 4 KiB pages, no TTBR1, 40-bit output addresses.
const TCR: u64 = (64 - ADDRESS_BITS as u64) | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32;
/// SCTLR_EL1: RES1 bits, M, C, SA, I, WXN.
const SCTLR: u64 = 0x30d0_0800 | 1 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19;

/// What a mapping allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
    /// Reads and instruction fetches.
    Execute,
}

/// How a mapping behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it allows.
    pub access: Access,
    /// Whether the address is one of the Non-secure address space.
    pub non_secure: bool,
    /// Device-nGnRnE rather than Normal write-back.
    pub device: bool,
}

impl Attributes {
    fn bits(self) -> u64 {
        let access = match self.access {
            Access::ReadOnly => READ_ONLY | PXN,
            Access::ReadWrite => PXN,
            Access::Execute => READ_ONLY,
        };
        let kind = if self.device { ATTR_DEVICE } else { ATTR_NORMAL | INNER_SHAREABLE };
        access | kind | if self.non_secure { NON_SECURE } else { 0 } | ACCESSED | UXN | VALID
    }
}

/// Says why memory could not be mapped or unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// The range is not made of pages or lies beyond the address space.
    BadRange,
    /// All tables are in use.
    NoTables,
    /// Part of the range is not mapped as it would have to be.
    NotMapped,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRange => "not a range of pages",
            Self::NoTables => "no translation table is free",
            Self::NotMapped => "not mapped",
        })
    }
}

/// A translation table.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Table([AtomicU64; ENTRIES]);

impl Table {
    /// Makes an empty table.
    #[expect(clippy::new_without_default, reason = "there are only the ones that `partition!` makes")]
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; ENTRIES])
    }
}

unsafe extern "Rust" {
    /// The tables for the image and for everything that [`map`] adds, which [`crate::partition!`] defines: at most 64.
    /// Table 0 is the root. Not zeroed at entry: `Stage1::take` clears.
    safe fn partition_tables() -> &'static [Table];
}

/// Which tables are in use; whoever holds the lock may change entries.
struct Stage1 {
    used: u64,
}

static STAGE1: Mutex<Stage1> = Mutex::new(Stage1 { used: 0 });
/// The tables of the image, which are never given back.
static IMAGE_TABLES: AtomicU64 = AtomicU64::new(0);

/// Takes the lock.
fn stage1() -> MutexGuard<'static, Stage1> {
    let mut stage1 = STAGE1.lock();
    stage1.used |= IMAGE_TABLES.load(Relaxed);
    stage1
}

unsafe extern "C" {
    // Bounds that the linker script defines; only their addresses are used.
    #[link_name = "image_start"]
    static IMAGE_START: u8;
    static rodata_start: u8;
    static data_start: u8;
    static noinit_start: u8;
    static bss_start: u8;
    static bss_end: u8;
    static stacks_start: u8;
    static stacks_end: u8;
    static state_start: u8;
    static state_end: u8;
}

/// Returns where the memory that is preserved on a restart begins and ends.
pub(crate) fn state() -> (u64, u64) {
    (&raw const state_start as u64, &raw const state_end as u64)
}

/// Tells whether an address is one of the image, its data and stacks, or of what outlives a restart.
pub(crate) fn is_own(address: u64) -> bool {
    let (kept, kept_end) = state();
    (image_start()..&raw const stacks_end as u64).contains(&address) || (kept..kept_end).contains(&address)
}

/// Returns where the image begins.
pub fn image_start() -> u64 {
    &raw const IMAGE_START as u64
}

fn address_of(table: usize) -> u64 {
    partition_tables().as_ptr() as u64 + table as u64 * PAGE
}

fn table_at(entry: u64) -> usize {
    (entry & OUTPUT).wrapping_sub(partition_tables().as_ptr() as u64) as usize / PAGE as usize
}

/// Returns the entry for `address` in `table`, which is of `level` (1 to 3).
fn entry(table: usize, level: u32, address: u64) -> Option<&'static AtomicU64> {
    partition_tables().get(table)?.0.get((address >> (12 + 9 * (3 - level))) as usize % ENTRIES)
}

impl Stage1 {
    fn take(&mut self) -> Option<usize> {
        let free = self.used.trailing_ones() as usize;
        partition_tables().get(free)?.0.iter().for_each(|entry| entry.store(0, Relaxed));
        self.used |= 1 << free;
        Some(free)
    }

    fn give_back(&mut self, table: usize) {
        self.used &= !(1 << table);
    }

    /// Returns the table below `entry`, making one where there is none. Fails at a block.
    fn descend(&mut self, entry: &AtomicU64) -> Result<usize, MapError> {
        match entry.load(Relaxed) {
            0 => {
                let table = self.take().ok_or(MapError::NoTables)?;
                entry.store(address_of(table) | TABLE_OR_PAGE | VALID, Relaxed);
                Ok(table)
            }
            old if old & TABLE_OR_PAGE != 0 => Ok(table_at(old)),
            _ => Err(MapError::BadRange),
        }
    }

    fn map(&mut self, range: Range, attributes: Attributes) -> Result<(), MapError> {
        for address in range.pages() {
            let level2 = self.descend(entry(0, 1, address).ok_or(MapError::BadRange)?)?;
            let level3 = self.descend(entry(level2, 2, address).ok_or(MapError::BadRange)?)?;
            let page = entry(level3, 3, address).ok_or(MapError::BadRange)?;
            page.store(address | attributes.bits() | TABLE_OR_PAGE, Relaxed);
        }
        Ok(())
    }

    fn unmap(&mut self, range: Range) -> Result<(), MapError> {
        let below = |entry: &AtomicU64| match entry.load(Relaxed) {
            0 => Err(MapError::NotMapped),
            table => Ok(table_at(table)),
        };
        for address in range.pages() {
            let above = entry(below(entry(0, 1, address).ok_or(MapError::BadRange)?)?, 2, address);
            let above = above.ok_or(MapError::BadRange)?;
            let level3 = below(above)?;
            entry(level3, 3, address).ok_or(MapError::NotMapped)?.store(0, Relaxed);
            let last = address % (PAGE * ENTRIES as u64) == PAGE * (ENTRIES as u64 - 1) || address == range.last();
            if last && partition_tables().get(level3).is_some_and(|t| t.0.iter().all(|entry| entry.load(Relaxed) == 0))
            {
                above.store(0, Relaxed);
                self.give_back(level3);
            }
        }
        Ok(())
    }
}

/// A range of pages.
#[derive(Clone, Copy)]
struct Range {
    base: u64,
    pages: u64,
}

impl Range {
    fn new(base: u64, length: u64) -> Result<Self, MapError> {
        let end = base.checked_add(length).ok_or(MapError::BadRange)?;
        if !base.is_multiple_of(PAGE) || !length.is_multiple_of(PAGE) || length == 0 || end >> ADDRESS_BITS != 0 {
            return Err(MapError::BadRange);
        }
        Ok(Self { base, pages: length / PAGE })
    }

    fn pages(self) -> impl Iterator<Item = u64> {
        (0..self.pages).map(move |page| self.base + page * PAGE)
    }

    fn last(self) -> u64 {
        self.base + (self.pages - 1) * PAGE
    }
}

/// Maps `length` bytes at `base`, or changes how they are mapped.
pub fn map(base: u64, length: u64, attributes: Attributes) -> Result<(), MapError> {
    let range = Range::new(base, length)?;
    let mut stage1 = stage1();
    // What was mapped before goes first: break before make.
    let _ = stage1.unmap(range);
    flush();
    let result = stage1.map(range, attributes);
    if result.is_err() {
        let _ = stage1.unmap(range);
    }
    flush();
    result
}

/// Removes the mapping of `length` bytes at `base`.
pub fn unmap(base: u64, length: u64) -> Result<(), MapError> {
    let range = Range::new(base, length)?;
    let result = stage1().unmap(range);
    flush();
    result
}

/// Makes changes to the tables visible to every context.
fn flush() {
    // SAFETY: forgetting translations is always allowed; they are read from the tables again.
    unsafe { asm!("dsb ishst", "tlbi vmalle1is", "dsb ish", "isb", options(nostack)) };
}

/// Builds the tables for the image. Runs once, before any context enables them.
pub(crate) fn build() {
    // No lock: exclusive accesses need the caches that the MMU brings, and only one context runs.
    let mut stage1 = Stage1 { used: 0 };
    stage1.take();
    let [text, rodata, data, stacks, end] = [
        image_start(),
        &raw const rodata_start as u64,
        &raw const data_start as u64,
        &raw const stacks_start as u64,
        &raw const stacks_end as u64,
    ];
    let own = |access| Attributes { access, non_secure: false, device: false };
    let slot = (end - stacks) / crate::context::count() as u64;
    let slots = (stacks..end).step_by(slot as usize);
    let (kept, kept_end) = state();
    let parts = [(text, rodata, Access::Execute), (rodata, data, Access::ReadOnly), (data, stacks, Access::ReadWrite)];
    let kept = (kept < kept_end).then_some((kept, kept_end, Access::ReadWrite));
    let stacks = slots
        .flat_map(|at| [(at + PAGE, at + 2 * PAGE, Access::ReadWrite), (at + 3 * PAGE, at + slot, Access::ReadWrite)]);
    for (from, to, access) in parts.into_iter().chain(kept).chain(stacks) {
        let length = (to - from).next_multiple_of(PAGE);
        let mapped = Range::new(from, length).and_then(|range| stage1.map(range, own(access)));
        if mapped.is_err() {
            // The image does not fit the tables: a mistake in this file that no caller can cause.
            crate::give_up();
        }
    }
    IMAGE_TABLES.store(stage1.used, Relaxed);
    // What was written with the MMU off must not be hidden by lines that were cached before.
    let tables = partition_tables().as_ptr() as u64;
    let here = &raw const stage1 as u64 & !(PAGE - 1);
    let written = [
        (rodata, &raw const noinit_start as u64),
        (&raw const bss_start as u64, &raw const bss_end as u64),
        (tables, tables + PAGE * u64::from(stage1.used.count_ones())),
        (here, here + PAGE),
    ];
    for line in written.into_iter().flat_map(|(from, to)| (from..to).step_by(64)) {
        // SAFETY: the line is this partition's memory, and nothing is in the cache that is newer than memory.
        unsafe { asm!("dc ivac, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
}

/// Turns stage 1 on for this context.
pub(crate) fn enable() {
    // SAFETY: the tables map all of the image where it lies, so that the next instruction, the stack and the data
    // stay what they are.
    unsafe {
        asm!(
            "dsb sy",
            "msr mair_el1, {mair}",
            "msr tcr_el1, {tcr}",
            "msr ttbr0_el1, {root}",
            "isb",
            "tlbi vmalle1",
            "ic iallu",
            "dsb nsh",
            "isb",
            "msr sctlr_el1, {sctlr}",
            "isb",
            mair = in(reg) MAIR,
            tcr = in(reg) TCR,
            root = in(reg) address_of(0),
            sctlr = in(reg) SCTLR,
            options(nostack),
        );
    }
}
