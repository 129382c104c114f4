// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices that the manifest gives the partition, and the time.

use crate::mmu::{self, Access, Attributes, MapError};
use core::arch::asm;

const PAGE: u64 = 4096;

/// Reads a 32-bit register of a secure device once: maps its page, reads, unmaps it. The device must be one of the
/// manifest's `device-regions`; what the SPMC does not allow costs this partition its life.
pub fn read_once(address: u64) -> Result<u32, MapError> {
    let page = address & !(PAGE - 1);
    mmu::map(page, PAGE, Attributes { access: Access::ReadOnly, non_secure: false, device: true })?;
    // SAFETY: the page is mapped as a device and is not memory of the program; reading has no effect on it.
    let value = unsafe { core::ptr::read_volatile((address & !3) as *const u32) };
    mmu::unmap(page, PAGE)?;
    Ok(value)
}

/// Returns the physical counter, which nothing but a reset turns back.
#[inline]
pub fn ticks() -> u64 {
    let ticks;
    // SAFETY: reads a counter; the barrier keeps the read in its place.
    unsafe { asm!("isb", "mrs {}, cntpct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}

/// Returns the ticks of a second.
pub fn frequency() -> u64 {
    let frequency;
    // SAFETY: reads a register that firmware set.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack, preserves_flags)) };
    frequency
}
