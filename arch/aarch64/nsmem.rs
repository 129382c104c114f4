// SPDX-License-Identifier: MIT OR Apache-2.0
//! Access to memory outside the SPMC, by copies that survive a fault. No reference to it ever exists.

use spmc::{MemFault, Pa, Space};

use crate::asm::{mem_copy, mem_zero};
use crate::mmu;
use crate::percpu;
use crate::platform::SECURE_RAM;

const PAGE: u64 = 4096;

/// Says what is done with memory outside.
#[derive(Clone, Copy)]
enum Action {
    /// It is copied to this address in the SPMC.
    Read(u64),
    /// It is copied from this address in the SPMC.
    Write(u64),
    /// It is zeroed, by cache lines of so many bytes.
    Zero(u64),
}

/// Returns an address at which S-EL2 reaches `pa`, good to the end of its page.
fn reach(space: Space, pa: u64, write: bool) -> Result<u64, MemFault> {
    if pa >> 48 != 0 {
        return Err(MemFault);
    }
    let non_secure = space == Space::NonSecure;
    if !non_secure && (SECURE_RAM.0..SECURE_RAM.1).contains(&pa) {
        let (_, own_end) = mmu::own_memory();
        return if pa < own_end { Err(MemFault) } else { Ok(pa) };
    }
    let cpu = percpu::this();
    let which = usize::from(write);
    let entry = mmu::window_entry(pa & !(PAGE - 1), non_secure, write);
    let window = cpu.windows.get(which).ok_or(MemFault)?;
    let at = mmu::window_address(cpu.index.get() as usize, which);
    if window.get() != entry {
        window.set(entry);
        mmu::set_window(at, entry);
    }
    Ok(at + pa % PAGE)
}

/// Does something with each part of the range that lies in one page.
///
/// # Safety
///
/// For a copy, the address in the SPMC is the caller's for as many bytes: to read for a write, and to write, any values,
/// for a read. What is zeroed is whole pages.
unsafe fn each_page(space: Space, pa: Pa, len: u64, action: Action) -> Result<(), MemFault> {
    let mut done = 0;
    while done < len {
        let at = pa.0.checked_add(done).ok_or(MemFault)?;
        let part = (PAGE - at % PAGE).min(len - done);
        let outside = reach(space, at, !matches!(action, Action::Read(_)))?;
        // SAFETY: `done + part` is at most `len`; `outside` is memory outside the SPMC for `part` bytes, so that no Rust
        // object there changes; a fault there makes the routine return 1.
        let status = unsafe {
            match action {
                Action::Read(own) => mem_copy(own + done, outside, part),
                Action::Write(own) => mem_copy(outside, own + done, part),
                Action::Zero(line) => mem_zero(outside, part, line),
            }
        };
        if status != 0 {
            return Err(MemFault);
        }
        done += part;
    }
    Ok(())
}

/// Copies `out.len()` bytes from `pa`.
pub(crate) fn read(space: Space, pa: Pa, out: &mut [u8]) -> Result<(), MemFault> {
    // SAFETY: `out` is that many bytes.
    unsafe { each_page(space, pa, size_of_val(out) as u64, Action::Read(out.as_mut_ptr() as u64)) }
}

/// Copies `data` to `pa`.
pub(crate) fn write(space: Space, pa: Pa, data: &[u8]) -> Result<(), MemFault> {
    // SAFETY: `data` is that many bytes.
    unsafe { each_page(space, pa, size_of_val(data) as u64, Action::Write(data.as_ptr() as u64)) }
}

/// Copies words out of memory, as [`read`] does.
pub(crate) fn read_words(space: Space, pa: Pa, out: &mut [u64]) -> Result<(), MemFault> {
    // SAFETY: `out` is that many bytes, and any bytes are words.
    unsafe { each_page(space, pa, size_of_val(out) as u64, Action::Read(out.as_mut_ptr() as u64)) }
}

/// Copies words into memory, as [`write`] does.
pub(crate) fn write_words(space: Space, pa: Pa, data: &[u64]) -> Result<(), MemFault> {
    // SAFETY: `data` is that many bytes.
    unsafe { each_page(space, pa, size_of_val(data) as u64, Action::Write(data.as_ptr() as u64)) }
}

/// Zeroes whole pages.
pub(crate) fn zero(space: Space, pa: Pa, len: u64) -> Result<(), MemFault> {
    if !pa.is_page_aligned() || len % PAGE != 0 {
        return Err(MemFault);
    }
    let line = 4 << (mrs!("ctr_el0") >> 16 & 0xf);
    // SAFETY: whole pages.
    unsafe { each_page(space, pa, len, Action::Zero(line)) }
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
