// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that outlives this partition's restart: the manifest's region with `preserved-on-restart`.

use crate::mmu;
use core::{
    slice,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Whether it was given away. Part of the image: a restart makes it false again.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Gives the memory that outlives a restart, once in a life: zeros at the first start, else what the former life left,
/// which may have ended in the middle of a write. `None` if the manifest preserves nothing, or at a second call.
pub fn take() -> Option<&'static mut [u64]> {
    let (start, end) = mmu::state();
    if start == end || TAKEN.swap(true, Relaxed) {
        return None;
    }
    let words = (end - start) as usize / size_of::<u64>();
    // SAFETY: whole pages of this partition that the linker script keeps apart from everything else, mapped for reads
    // and writes by `mmu::build`; any bytes are words, and the flag sees to it that this is the only reference.
    Some(unsafe { slice::from_raw_parts_mut(start as *mut u64, words) })
}
