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

/// A 16-bit register of a secure device that the manifest gives the partition.
pub struct Register16(u64);

impl Register16 {
    /// Maps the register's page for good; `None` for an address that is not a multiple of 2.
    pub fn map(address: u64) -> Option<Self> {
        let device = Attributes { access: Access::ReadWrite, non_secure: false, device: true };
        mmu::map(address & !(PAGE - 1), PAGE, device).ok()?;
        address.is_multiple_of(2).then_some(Self(address))
    }

    /// Writes it.
    pub fn write(&self, value: u16) {
        // SAFETY: `map` mapped its page as a device, which is not memory of the program, and checked the alignment.
        unsafe { core::ptr::write_volatile(self.0 as *mut u16, value) };
    }
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
