// SPDX-License-Identifier: MIT OR Apache-2.0
//! A heap, for partitions that allocate.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    ptr::{NonNull, null_mut},
};
use linked_list_allocator::LockedHeap;

#[repr(C, align(16))]
struct Arena<const SIZE: usize>(UnsafeCell<[u8; SIZE]>);

/// A heap of `SIZE` bytes inside the partition's image:
/// `#[global_allocator] static HEAP: Heap<65536> = Heap::new();`.
pub struct Heap<const SIZE: usize> {
    allocator: LockedHeap,
    arena: Arena<SIZE>,
}

// SAFETY: the arena is only ever reached through the allocator, which is locked.
unsafe impl<const SIZE: usize> Sync for Heap<SIZE> {}

impl<const SIZE: usize> Heap<SIZE> {
    /// Makes the heap; the first allocation sets it up.
    #[expect(clippy::new_without_default, reason = "there is only ever the one static")]
    pub const fn new() -> Self {
        Self { allocator: LockedHeap::empty(), arena: Arena(UnsafeCell::new([0; SIZE])) }
    }

    /// Returns the bytes in use.
    pub fn used(&self) -> usize {
        self.allocator.lock().used()
    }
}

// SAFETY: `LockedHeap` hands out disjoint parts of the arena, which nothing else uses.
unsafe impl<const SIZE: usize> GlobalAlloc for Heap<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut heap = self.allocator.lock();
        if heap.size() == 0 {
            // SAFETY: the arena lives as long as the program, is initialised once, and belongs to this heap alone.
            unsafe { heap.init(self.arena.0.get().cast(), SIZE) };
        }
        heap.allocate_first_fit(layout).map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if let Some(at) = NonNull::new(at) {
            // SAFETY: `at` came from `alloc` with this layout, as the caller of `dealloc` promises.
            unsafe { self.allocator.lock().deallocate(at, layout) };
        }
    }
}
