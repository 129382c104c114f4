// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the runtime keeps for each execution context.

use core::{
    arch::asm,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// The most execution contexts that a partition can have.
pub(crate) const MAX_CONTEXTS: usize = 8;

/// An execution context of this partition; found through TPIDR_EL1.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Context {
    /// Where a fault that is expected continues; 0 while none is expected.
    pub(crate) resume_at: AtomicU64,
    /// ESR_EL1 of the last expected fault.
    pub(crate) esr: AtomicU64,
    /// FAR_EL1 of the last expected fault.
    pub(crate) far: AtomicU64,
    boot_info: AtomicU64,
    index: AtomicU32,
    started: AtomicU32,
    primary: AtomicBool,
}

/// The contexts; entry.S points TPIDR_EL1 into this table.
pub(crate) static CONTEXTS: [Context; MAX_CONTEXTS] = [const { Context::new() }; MAX_CONTEXTS];

/// Returns the number of execution contexts that the manifest asks for.
pub(crate) fn count() -> usize {
    let count: u64;
    // SAFETY: loads a constant that the linker fills in (see partition.rs).
    unsafe { asm!("movz {}, #:abs_g0:CONTEXTS", out(reg) count, options(pure, nomem, nostack, preserves_flags)) };
    count as usize
}

impl Context {
    const fn new() -> Self {
        Self {
            resume_at: AtomicU64::new(0),
            esr: AtomicU64::new(0),
            far: AtomicU64::new(0),
            boot_info: AtomicU64::new(0),
            index: AtomicU32::new(0),
            started: AtomicU32::new(0),
            primary: AtomicBool::new(false),
        }
    }

    /// Returns the context that this code runs in.
    #[inline]
    pub fn current() -> &'static Self {
        let this: *const Self;
        // SAFETY: reads a register that entry.S pointed at an element of CONTEXTS before any Rust code ran and that
        // nothing changes afterwards; the table is static and its elements are made of atomics.
        unsafe {
            asm!("mrs {}, tpidr_el1", out(reg) this, options(nomem, nostack, preserves_flags));
            &*this
        }
    }

    pub(crate) fn begin(&self, index: u32, primary: bool, boot_info: u64) {
        self.primary.store(primary, Relaxed);
        self.index.store(index, Relaxed);
        self.boot_info.store(boot_info, Relaxed);
        self.started.store(1, Relaxed);
    }

    /// Returns the number of this context, from 0.
    #[inline]
    pub fn index(&self) -> usize {
        self.index.load(Relaxed) as usize
    }

    /// Tells whether this is the context that the SPMC started first: number 0 at boot, any of them after a restart.
    pub fn is_primary(&self) -> bool {
        self.primary.load(Relaxed)
    }

    /// Returns x0 at entry: the boot information's address, where the manifest has `gp-register-num = <0>`.
    pub fn boot_info(&self) -> u64 {
        self.boot_info.load(Relaxed)
    }

    /// Returns a mask of the contexts that have started.
    pub fn started() -> u64 {
        CONTEXTS.iter().enumerate().map(|(i, c)| u64::from(c.started.load(Relaxed)) << i).sum()
    }
}
