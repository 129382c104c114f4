// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that outlives this partition's restart: the manifest's region with `preserved-on-restart`.

use crate::mmu;
use core::{
    slice,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Whether it has an owner. Part of the image: a restart makes it false again.
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// Owns the memory that outlives a restart. There is one of it in a life.
pub struct Preserved {
    start: *mut u64,
    words: usize,
}

impl Preserved {
    /// Claims it. `None` if the manifest preserves nothing, or it has an owner already.
    pub fn claim() -> Option<Self> {
        let (start, end) = mmu::state();
        if start == end || CLAIMED.swap(true, Relaxed) {
            return None;
        }
        Some(Self { start: start as *mut u64, words: (end - start) as usize / size_of::<u64>() })
    }

    /// Shows its words: zeros at the first start, else what the former life left, which may have ended in the middle
    /// of a write.
    pub fn words(&mut self) -> &mut [u64] {
        // SAFETY: whole pages of this partition that the linker script keeps apart from everything else, mapped for
        // reads and writes by `mmu::build`; any bytes are words, and there is one `Preserved`, which is borrowed.
        unsafe { slice::from_raw_parts_mut(self.start, self.words) }
    }
}
