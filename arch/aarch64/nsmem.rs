// SPDX-License-Identifier: MIT OR Apache-2.0
//! Access to memory outside the SPMC, by copies that survive a fault. No reference to it ever exists.

use spmc::{MemFault, Pa, Space};

use crate::asm::{mem_copy, mem_zero};
use crate::mmu;
use crate::percpu;
use crate::platform::SECURE_RAM;

const PAGE: u64 = 4096;

/// Says what a copy does with the memory outside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Returns an address at which S-EL2 reaches `pa`, good to the end of its page.
fn reach(space: Space, pa: u64, access: Access) -> Result<u64, MemFault> {
    if pa >> 48 != 0 {
        return Err(MemFault);
    }
    let non_secure = space == Space::NonSecure;
    if !non_secure {
        let own = mmu::own_memory();
        if (own.0..own.1).contains(&pa) {
            return Err(MemFault);
        }
        if (SECURE_RAM.0..SECURE_RAM.1).contains(&pa) {
            return Ok(pa);
        }
    }
    let cpu = percpu::this();
    let index = percpu::cpu_index();
    let write = access == Access::Write;
    let which = usize::from(write);
    let entry = mmu::window_entry(pa & !(PAGE - 1), non_secure, write);
    let window = cpu.windows.get(which).ok_or(MemFault)?;
    let at = if window.get() == entry {
        mmu::window_address(index, which)
    } else {
        window.set(entry);
        mmu::set_window(index, which, entry)
    };
    Ok(at + pa % PAGE)
}

/// Calls `f` with the address of each part of the range that lies in one page, and the part's offset and length.
fn each_page(
    space: Space,
    pa: Pa,
    len: u64,
    access: Access,
    mut f: impl FnMut(u64, u64, u64) -> Result<(), MemFault>,
) -> Result<(), MemFault> {
    let mut done = 0;
    while done < len {
        let at = pa.0.checked_add(done).ok_or(MemFault)?;
        let part = (PAGE - at % PAGE).min(len - done);
        f(reach(space, at, access)?, done, part)?;
        done += part;
    }
    Ok(())
}

fn outcome(status: u64) -> Result<(), MemFault> {
    if status == 0 { Ok(()) } else { Err(MemFault) }
}

/// Copies `len` bytes between `pa` and the SPMC's memory at `own`: to `pa` for a write.
///
/// # Safety
///
/// `own` is the caller's for as many bytes: to read for a write, and to write, any values, for a read.
unsafe fn copy(space: Space, pa: Pa, own: u64, len: usize, access: Access) -> Result<(), MemFault> {
    each_page(space, pa, len as u64, access, |outside, done, part| {
        let own = own + done;
        let (to, from) = if access == Access::Write { (outside, own) } else { (own, outside) };
        // SAFETY: `done + part` is at most `len`; `outside` is memory outside the SPMC for `part` bytes, so that no Rust
        // object there changes; a fault there makes the routine return 1.
        outcome(unsafe { mem_copy(to, from, part) })
    })
}

/// Copies `out.len()` bytes from `pa`.
pub(crate) fn read(space: Space, pa: Pa, out: &mut [u8]) -> Result<(), MemFault> {
    // SAFETY: `out` is that many bytes.
    unsafe { copy(space, pa, out.as_mut_ptr() as u64, size_of_val(out), Access::Read) }
}

/// Copies `data` to `pa`.
pub(crate) fn write(space: Space, pa: Pa, data: &[u8]) -> Result<(), MemFault> {
    // SAFETY: `data` is that many bytes.
    unsafe { copy(space, pa, data.as_ptr() as u64, size_of_val(data), Access::Write) }
}

/// Copies words out of memory, as [`read`] does.
pub(crate) fn read_words(space: Space, pa: Pa, out: &mut [u64]) -> Result<(), MemFault> {
    // SAFETY: `out` is that many bytes, and any bytes are words.
    unsafe { copy(space, pa, out.as_mut_ptr() as u64, size_of_val(out), Access::Read) }
}

/// Copies words into memory, as [`write`] does.
pub(crate) fn write_words(space: Space, pa: Pa, data: &[u64]) -> Result<(), MemFault> {
    // SAFETY: `data` is that many bytes.
    unsafe { copy(space, pa, data.as_ptr() as u64, size_of_val(data), Access::Write) }
}

/// Zeroes whole pages.
pub(crate) fn zero(space: Space, pa: Pa, len: u64) -> Result<(), MemFault> {
    if !pa.is_page_aligned() || len % PAGE != 0 {
        return Err(MemFault);
    }
    let line = 4 << (mrs!("ctr_el0") >> 16 & 0xf);
    each_page(space, pa, len, Access::Write, |at, _, part| {
        // SAFETY: as in `write`; a whole page at its start.
        outcome(unsafe { mem_zero(at, part, line) })
    })
}

/// Makes code that was written through the data side visible to every CPU's fetches. Secure memory only.
pub(crate) fn sync_code(pa: Pa, len: u64) {
    /// CTR_EL0.IDC: fetches see what was written without a clean.
    const COHERENT: u64 = 1 << 28;
    let end = pa.0.saturating_add(len).min(SECURE_RAM.1);
    let cache = mrs!("ctr_el0");
    let line = 4 << (cache >> 16 & 0xf);
    let mut at = if cache & COHERENT != 0 { end } else { pa.0.max(SECURE_RAM.0) & !63 };
    while at < end {
        // SAFETY: cleaning a line of memory that stage 1 maps changes no value.
        unsafe { core::arch::asm!("dc cvau, {}", in(reg) at, options(nostack, preserves_flags)) };
        at += line;
    }
    barrier!("dsb ish", "ic ialluis", "dsb ish", "isb");
}

/// Shows Secure memory as bytes to `f`: a package while it is parsed, before any partition runs.
pub(crate) fn with_secure_bytes<R>(pa: Pa, len: u64, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
    let end = pa.0.checked_add(len)?;
    let own = mmu::own_memory();
    if pa.0 < own.1.max(SECURE_RAM.0) || end > SECURE_RAM.1 {
        return None;
    }
    // SAFETY: the range is memory that stage 1 maps, outside the SPMC. Nothing writes it meanwhile: partitions
    // have not been entered, the Normal world cannot reach Secure memory, and the SPMC boots on one CPU.
    let bytes = unsafe { core::slice::from_raw_parts(pa.0 as *const u8, len as usize) };
    Some(f(bytes))
}
