// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory for one execution. A system keeps what it makes at boot for ever, as the firmware does; millions of them would
//! fill the host's memory. So whatever an execution allocates lies in one region, which the next one uses again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::Relaxed};

/// Bytes of the region: far more than an execution needs. What it never touches is not there.
const SIZE: usize = 1 << 30;

/// The allocator of the process. libFuzzer's own memory comes from C; executions have one thread.
struct Arena {
    region: AtomicPtr<u8>,
    used: AtomicUsize,
    /// An execution goes on.
    is_on: AtomicBool,
}

#[global_allocator]
static ARENA: Arena =
    Arena { region: AtomicPtr::new(ptr::null_mut()), used: AtomicUsize::new(0), is_on: AtomicBool::new(false) };

// SAFETY: a block is the system's, or lies in the region, behind all blocks that were given out since `run` began; it is
// given out again only after `run` has ended, when what allocated it is gone.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !self.is_on.load(Relaxed) {
            // SAFETY: the caller's promise is the same.
            return unsafe { System.alloc(layout) };
        }
        let at = self.used.load(Relaxed).next_multiple_of(layout.align());
        if layout.size() > SIZE - at {
            return ptr::null_mut();
        }
        self.used.store(at + layout.size(), Relaxed);
        self.region.load(Relaxed).wrapping_add(at)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if block.addr().wrapping_sub(self.region.load(Relaxed).addr()) >= SIZE {
            // SAFETY: it is not of the region, so it is the system's.
            unsafe { System.dealloc(block, layout) };
        }
    }
}

/// Runs one execution, of which nothing may be left but what it leaked.
pub fn run(execution: impl Fn()) {
    if ARENA.region.load(Relaxed).is_null() {
        // What threads and libraries allocate at first use is not this execution's.
        execution();
        let layout = Layout::from_size_align(SIZE, 4096).expect("a good layout");
        // SAFETY: the size is not zero.
        let region = unsafe { System.alloc(layout) };
        assert!(!region.is_null(), "no memory for executions");
        ARENA.region.store(region, Relaxed);
    }
    ARENA.used.store(0, Relaxed);
    ARENA.is_on.store(true, Relaxed);
    execution();
    ARENA.is_on.store(false, Relaxed);
}
