// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 1 of S-EL2: an identity map without a page that is both writable and executable; in 2 MiB of their own the
//! stacks with holes below them, two window pages per CPU for memory that is not mapped, and the console's registers.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use aarch64_cpu::registers::{MAIR_EL2, SCTLR_EL2, TCR_EL2};

use crate::asm::{STACK_BIT, STACK_SIZE};
use crate::platform::{CPUS, GIC, SECURE_RAM, UART};

/// MAIR_EL2: attribute 0 is write-back memory, 1 is a device (nGnRE).
pub(crate) const MAIR: u64 = MAIR_EL2::Attr0_Normal_Outer::WriteBack_NonTransient_ReadWriteAlloc.value
    | MAIR_EL2::Attr0_Normal_Inner::WriteBack_NonTransient_ReadWriteAlloc.value
    | MAIR_EL2::Attr1_Device::nonGathering_nonReordering_EarlyWriteAck.value;

/// TCR_EL2 without PS: 30-bit addresses (the walk begins at level 2), 4 KiB granule, write-back inner shareable walks.
pub(crate) const TCR: u64 = TCR_EL2::T0SZ.val(34).value
    | TCR_EL2::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL2::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL2::SH0::Inner.value
    | TCR_EL2::TG0::KiB_4.value
    | 1 << 31
    | 1 << 23;

/// SCTLR_EL2 with everything off: its RES1 bits.
pub(crate) const SCTLR_OFF: u64 = 0x30c5_0830;
/// SCTLR_EL2 as the SPMC runs: MMU, caches, SP alignment, nothing writable is executable.
pub(crate) const SCTLR_ON: u64 = SCTLR_OFF
    | SCTLR_EL2::M::Enable.value
    | SCTLR_EL2::C::Cacheable.value
    | SCTLR_EL2::SA::Enable.value
    | SCTLR_EL2::I::Cacheable.value
    | 1 << 19;

/// Where the stacks are mapped, in the last 2 MiB: each at the start of the upper half of its slot.
pub(crate) const STACKS_VA: u64 = (1 << 30) - BLOCK_SIZE;
/// All stacks as one, for the first CPU while it boots: in a slot behind them.
const BOOT_STACK: u64 = STACKS_VA + (CPUS as u64) * SLOT + SLOT / 2;
pub(crate) const BOOT_STACK_TOP: u64 = BOOT_STACK + (CPUS as u64) * STACK_SIZE;
const SLOT: u64 = 2 << STACK_BIT;
/// First window page.
const WINDOWS_VA: u64 = STACKS_VA + (CPUS as u64 + 1) * SLOT;
/// Where the registers of the console are mapped.
pub(crate) const UART_VA: u64 = WINDOWS_VA + (CPUS as u64 * 2) * 4096;
const _: () = assert!(UART_VA < STACKS_VA + BLOCK_SIZE && (CPUS as u64) * STACK_SIZE <= SLOT / 2);
const _: () = assert!(SECURE_RAM.1 <= STACKS_VA && GIC.1 <= STACKS_VA);

const VALID: u64 = 1;
const TABLE: u64 = 0b11;
const PAGE: u64 = 0b11;
const BLOCK: u64 = 0b01;
const DEVICE: u64 = 1 << 2;
const NON_SECURE: u64 = 1 << 5;
/// AP[1], RES1 in a regime with one privilege level.
const AP1: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const INNER: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
/// GP (FEAT_BTI): an indirect branch to the page faults unless it meets a landing pad.
const GUARDED: u64 = 1 << 50;
const NO_EXECUTE: u64 = 1 << 54;

const TEXT: u64 = AP1 | READ_ONLY | INNER | ACCESSED;
const RODATA: u64 = TEXT | NO_EXECUTE;
const DATA: u64 = AP1 | INNER | ACCESSED | NO_EXECUTE;
const REGISTERS: u64 = AP1 | ACCESSED | DEVICE | NO_EXECUTE;

const BLOCK_SIZE: u64 = 2 << 20;

/// A translation table.
#[repr(C, align(4096))]
pub(crate) struct Table([AtomicU64; 512]);

impl Table {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 512])
    }

    fn address(&self) -> u64 {
        core::ptr::from_ref(self) as u64
    }

    /// Writes the entry that translates `va` in a table whose entries span `1 << shift` bytes.
    fn set(&self, shift: u32, va: u64, entry: u64) {
        if let Some(slot) = self.0.get((va >> shift) as usize & 511) {
            slot.store(entry, Relaxed);
        }
    }
}

// Not in .bss: they are written before it is cleared, and boot.S has cleared them.
#[unsafe(link_section = ".tables")]
pub(crate) static ROOT_L2: Table = Table::new();
#[unsafe(link_section = ".tables")]
static IMAGE_L3: Table = Table::new();
#[unsafe(link_section = ".tables")]
static PRIVATE_L3: Table = Table::new();

unsafe extern "C" {
    static __image_start: u8;
    static __asm_end: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __stacks_start: u8;
    static __stacks_end: u8;
    /// Where the page pool begins, and where the SPMC's span ends.
    safe static __span: [u64; 2];
}

/// Returns the address of a linker symbol.
macro_rules! symbol {
    ($name:ident) => {
        (&raw const $name) as u64
    };
}

/// Returns the SPMC's own memory: image, stacks, tables, pool.
pub(crate) fn own_memory() -> (u64, u64) {
    (SECURE_RAM.0, __span[1])
}

/// Returns where the pool begins that the rest of that memory is for.
pub(crate) fn pool_start() -> u64 {
    __span[0]
}

/// Returns where the image's instructions are.
pub(crate) fn text() -> Range<u64> {
    SECURE_RAM.0..symbol!(__text_end)
}

/// Returns what is mapped of the stack that `sp` points into, or into the hole below, from `sp` on.
pub(crate) fn stack_from(sp: u64) -> Range<u64> {
    let start = (sp & !(SLOT - 1)) + SLOT / 2;
    let size = match start {
        BOOT_STACK => CPUS as u64 * STACK_SIZE,
        STACKS_VA..BOOT_STACK => STACK_SIZE,
        // No stack.
        _ => 0,
    };
    sp.max(start) & !7..start + size
}

/// Fills the tables, which are clear. Runs once, with the MMU off, on the first CPU; `manifest` is the page to map
/// read-only.
pub(crate) extern "C" fn build_tables(manifest: u64) {
    ROOT_L2.set(21, STACKS_VA, PRIVATE_L3.address() | TABLE);
    PRIVATE_L3.set(12, UART_VA, UART | REGISTERS | PAGE);
    map_blocks(GIC, REGISTERS);

    let first_block = SECURE_RAM.0 & !(BLOCK_SIZE - 1);
    ROOT_L2.set(21, first_block, IMAGE_L3.address() | TABLE);
    map_blocks((first_block + BLOCK_SIZE, SECURE_RAM.1), DATA);
    // A stolen pointer finds no other way in than the compiler's landing pads, which tools/firmware asks it for. The
    // assembly has none: all of its callers branch to it directly.
    let guarded = if mrs!("id_aa64pfr1_el1") & 0xf != 0 { GUARDED } else { 0 };
    let mut at = map_pages(symbol!(__image_start), symbol!(__asm_end), TEXT | guarded);
    at = map_pages(at, symbol!(__text_end), TEXT | if cfg!(landing_pads) { guarded } else { 0 });
    at = map_pages(at, symbol!(__rodata_end), RODATA);
    map_pages(at, symbol!(__stacks_start), DATA);
    // The stacks' pages are only reachable where they have holes below them.
    map_pages(symbol!(__stacks_end), first_block + BLOCK_SIZE, DATA);
    if (first_block..SECURE_RAM.0).contains(&manifest) {
        let page = manifest & !0xfff;
        IMAGE_L3.set(12, page, page | RODATA | PAGE);
    }
    let mut at = 0;
    while at < CPUS as u64 * STACK_SIZE {
        let page = (symbol!(__stacks_start) + at) | DATA | PAGE;
        PRIVATE_L3.set(12, STACKS_VA + at / STACK_SIZE * SLOT + SLOT / 2 + at % STACK_SIZE, page);
        PRIVATE_L3.set(12, BOOT_STACK + at, page);
        at += 4096;
    }
}

fn map_blocks(range: (u64, u64), attributes: u64) {
    let mut at = range.0;
    while at < range.1 {
        ROOT_L2.set(21, at, at | attributes | BLOCK);
        at += BLOCK_SIZE;
    }
}

/// Maps pages of the image, and returns where they end.
fn map_pages(mut at: u64, end: u64, attributes: u64) -> u64 {
    while at < end {
        IMAGE_L3.set(12, at, at | attributes | PAGE);
        at += 4096;
    }
    at
}

/// Makes the descriptor of a window page; never 0.
pub(crate) fn window_entry(page: u64, non_secure: bool, write: bool) -> u64 {
    let access = if write { DATA } else { RODATA };
    page | access | if non_secure { NON_SECURE } else { 0 } | VALID | PAGE
}

/// Shows `entry` in the window at `va`, which is one of this CPU's.
pub(crate) fn set_window(va: u64, entry: u64) {
    PRIVATE_L3.set(12, va, 0);
    // SAFETY: no Rust object lives in a window; only this CPU uses the address, so a local invalidation is enough.
    unsafe {
        core::arch::asm!("dsb nshst", "tlbi vae2, {}", "dsb nsh", in(reg) va >> 12, options(nostack, preserves_flags));
    }
    PRIVATE_L3.set(12, va, entry);
    barrier!("dsb nshst", "isb");
}

/// Returns the address of window `which` (0 or 1) of CPU `cpu`.
pub(crate) fn window_address(cpu: usize, which: usize) -> u64 {
    WINDOWS_VA + (((cpu * 2 + which) as u64) << 12)
}

/// Tells whether the page at `at` may be read for good: the manifest's, or Secure RAM beyond the SPMC.
pub(crate) fn maps_read(at: u64) -> bool {
    let own = own_memory();
    let first_block = SECURE_RAM.0 & !(BLOCK_SIZE - 1);
    (first_block..own.0).contains(&at) || (own.1..SECURE_RAM.1).contains(&at)
}
