// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that the SPMC hands out: a bounded pool of pages, and a small heap for what is built at boot.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use buddy_system_allocator::Heap;
use spin::{Mutex, MutexGuard};
use spmc::Pa;

use crate::mmu;
use crate::platform::SECURE_RAM;

const PAGE: u64 = 4096;
/// Pages that the pool can have at most: all that stage 1 maps.
const MOST: usize = ((SECURE_RAM.1 - SECURE_RAM.0) / PAGE) as usize;
const PAGE_LAYOUT: Layout = match Layout::from_size_align(PAGE as usize, PAGE as usize) {
    Ok(layout) => layout,
    Err(_) => panic!("a page is a power of two"),
};

unsafe extern "C" {
    static __heap_start: u8;
    static __heap_end: u8;
}

/// Pages that are kept at hand.
const RECENT: usize = 16;

/// The free pages: those that came back last on a stack, the rest in a buddy heap, which is slower.
struct Free {
    recent: [u64; RECENT],
    held: usize,
    heap: Heap<21>,
}

impl Free {
    fn alloc(&mut self) -> Option<NonNull<u8>> {
        if let Some(top) = self.held.checked_sub(1)
            && let Some(page) = self.recent.get(top)
        {
            self.held = top;
            return NonNull::new(*page as *mut u8);
        }
        self.heap.alloc(PAGE_LAYOUT).ok()
    }

    /// # Safety
    ///
    /// `page` came from `alloc` and nobody uses it any more.
    unsafe fn free(&mut self, page: NonNull<u8>) {
        match self.recent.get_mut(self.held) {
            Some(place) => {
                *place = page.as_ptr() as u64;
                self.held += 1;
            }
            // SAFETY: the caller's promise; the heap gave the page out with this layout.
            None => unsafe { self.heap.dealloc(page, PAGE_LAYOUT) },
        }
    }
}

/// Fills a page with zeroes by the instruction for that, where it is allowed: the compiler's own loop takes many times
/// as long.
///
/// # Safety
///
/// `page` is a whole, aligned page of the caller's.
unsafe fn clear_page(page: NonNull<u8>) {
    /// DCZID_EL0.DZP: DC ZVA is prohibited.
    const PROHIBITED: u64 = 1 << 4;
    let features = mrs!("dczid_el0");
    // DCZID_EL0.BS: log2 of the words of a block, at most 2 KiB.
    let block = 4 << (features & 0xf);
    if features & PROHIBITED != 0 {
        // SAFETY: the caller's promise.
        return unsafe { ptr::write_bytes(page.as_ptr(), 0, PAGE as usize) };
    }
    let mut at = page.as_ptr() as u64;
    let end = at + PAGE;
    while at < end {
        // SAFETY: the two blocks are in the page, since all are aligned to their sizes.
        unsafe {
            core::arch::asm!("dc zva, {}", "dc zva, {}", in(reg) at, in(reg) at + block, options(nostack, preserves_flags));
        }
        at += 2 * block;
    }
}

/// The page pool.
pub(crate) struct Pool {
    free: Mutex<Free>,
    count: AtomicU64,
    /// One bit per page that is handed out: `words` and `free` touch no other.
    taken: [AtomicU64; MOST.div_ceil(64)],
}

pub(crate) static POOL: Pool = Pool {
    free: Mutex::new(Free { recent: [0; RECENT], held: 0, heap: Heap::empty() }),
    count: AtomicU64::new(0),
    taken: [const { AtomicU64::new(0) }; MOST.div_ceil(64)],
};

impl Pool {
    /// Waits for the free pages: the copy that all share.
    #[inline(never)]
    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock()
    }

    /// Gives the pool everything between the image's end and the end of the SPMC's span. Boot time, once.
    pub(crate) fn init(&self) {
        let start = mmu::pool_start();
        let end = mmu::own_memory().1;
        // SAFETY: linker.ld keeps this range free of anything else, and stage 1 maps it for data.
        unsafe { self.lock().heap.add_to_heap(start as usize, end as usize) };
        self.count.store((end - start) / PAGE, Relaxed);
    }

    /// Gives the pool memory that nobody else has: whole pages of [`SECURE_RAM`] outside the SPMC's span. Boot time.
    pub(crate) fn add(&self, pa: Pa, len: u64) -> bool {
        let Some(end) = pa.0.checked_add(len) else { return false };
        let pages = pa.is_page_aligned() && len.is_multiple_of(PAGE);
        if !pages || pa.0 < mmu::own_memory().1 || end > SECURE_RAM.1 {
            return false;
        }
        // SAFETY: stage 1 maps the range for data, no Rust object lives outside the span, and the caller gives up memory
        // that no partition's tables name.
        unsafe { self.lock().heap.add_to_heap(pa.0 as usize, end as usize) };
        self.count.fetch_add(len / PAGE, Relaxed);
        true
    }

    /// Takes a free page, with whatever is in it.
    #[inline(never)]
    fn take(&self) -> Option<NonNull<u8>> {
        let page = self.lock().alloc()?;
        self.count.fetch_sub(1, Relaxed);
        Some(page)
    }

    /// Finds the word and the bit of a page in `taken`; there is no such word for what is no page of the pool.
    fn bit(&self, page: Pa) -> Option<(&AtomicU64, u64)> {
        // Whatever lies below the RAM, and whatever is no whole number of pages, becomes an index that is too large.
        let index = page.0.wrapping_sub(SECURE_RAM.0).rotate_right(PAGE.trailing_zeros());
        Some((self.taken.get((index / 64) as usize)?, 1 << (index % 64)))
    }

    /// Tells whether `page` is handed out.
    fn is_taken(&self, page: Pa) -> bool {
        self.bit(page).is_some_and(|(word, mask)| word.load(Relaxed) & mask != 0)
    }

    pub(crate) fn alloc(&self) -> Option<Pa> {
        let page = self.take()?;
        let pa = Pa(page.as_ptr() as u64);
        // SAFETY: the page was the allocator's and is now this function's alone; it is whole and aligned.
        unsafe { clear_page(page) };
        let (word, mask) = self.bit(pa)?;
        word.fetch_or(mask, Relaxed);
        Some(pa)
    }

    /// Cuts whole pages off for the boot heap, for ever.
    fn chunk(&self, layout: Layout) -> Option<NonNull<u8>> {
        let pages = (layout.size() as u64).div_ceil(PAGE).checked_next_power_of_two()?;
        let layout = Layout::from_size_align((pages * PAGE) as usize, layout.align().max(PAGE as usize)).ok()?;
        let chunk = self.lock().heap.alloc(layout).ok()?;
        self.count.fetch_sub(pages, Relaxed);
        Some(chunk)
    }

    pub(crate) fn free(&self, page: Pa) {
        let Some((word, mask)) = self.bit(page) else { return };
        if word.fetch_and(!mask, Relaxed) & mask == 0 {
            return;
        }
        if let Some(at) = NonNull::new(page.0 as *mut u8) {
            // SAFETY: the page was handed out by `alloc` and its bit has just been taken back, so it is freed once.
            unsafe { self.lock().free(at) };
            self.count.fetch_add(1, Relaxed);
        }
    }

    /// Fills a page with values, for ever. It does not count as handed out: `words` and `free` do not touch it.
    pub(crate) fn keep<T>(&self, count: usize, mut make: impl FnMut() -> T) -> Option<&'static [T]> {
        if Layout::array::<T>(count).ok()?.size() > PAGE_LAYOUT.size() || align_of::<T>() > PAGE_LAYOUT.align() {
            return None;
        }
        let page = self.take()?.cast::<T>();
        for index in 0..count {
            // SAFETY: the page was the allocator's and is now this function's alone; so many values fit in it.
            unsafe { page.add(index).write(make()) };
        }
        // SAFETY: so many values have just been written, and nobody else ever gets the page.
        Some(unsafe { core::slice::from_raw_parts(page.as_ptr(), count) })
    }

    pub(crate) fn pages_free(&self) -> usize {
        self.count.load(Relaxed) as usize
    }

    /// Shows the words of a page that is handed out.
    #[inline(never)]
    pub(crate) fn words(&self, page: Pa) -> Option<&'static [AtomicU64; 512]> {
        // SAFETY: the page is handed out, so it is mapped memory of the pool that no Rust object occupies; it is only
        // ever used through these atomics. A page that is freed meanwhile stays mapped memory; its words may then
        // be the allocator's, which takes a wrong caller in `spmc` (pages are freed by whoever owns their table).
        self.is_taken(page).then(|| unsafe { &*(page.0 as *const [AtomicU64; 512]) })
    }
}

/// The heap for what is built at boot, which lives for ever: each allocation is put behind the one before. Only the last
/// one can be given back.
struct BootHeap {
    /// The first byte that is free.
    free: AtomicPtr<u8>,
}

#[global_allocator]
static HEAP: BootHeap = BootHeap { free: AtomicPtr::new((&raw const __heap_start).cast_mut()) };

// SAFETY: an allocation is cut, once, from the memory between what was cut off before and the end of what linker.ld
// reserves for the heap; what is put back lay right before the rest, and is its caller's to give.
unsafe impl GlobalAlloc for BootHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mask = layout.align() - 1;
        let place = |free: *mut u8| free.map_addr(|at| (at + mask) & !mask);
        let taken = self.free.fetch_update(Relaxed, Relaxed, |free| {
            let end = place(free).addr().checked_add(layout.size())?;
            (end <= (&raw const __heap_end).addr()).then(|| free.with_addr(end))
        });
        match taken {
            Ok(free) => place(free),
            // The page pool's pages: many partitions want more than a platform with few should pay for.
            Err(_) => POOL.chunk(layout).map_or(ptr::null_mut(), NonNull::as_ptr),
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let _ = self.free.compare_exchange(at.wrapping_add(layout.size()), at, Relaxed, Relaxed);
    }
}

/// Counts the bytes of the heap: used and in all.
pub(crate) fn heap_use() -> (usize, usize) {
    let start = (&raw const __heap_start).addr();
    (HEAP.free.load(Relaxed).addr() - start, (&raw const __heap_end).addr() - start)
}
