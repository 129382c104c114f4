// SPDX-License-Identifier: MIT OR Apache-2.0
//! Secure memory that nobody has claimed: where the SPMC puts what it adds itself, the highest first.

use crate::manifest::{CoreManifest, MemoryKind};
use crate::{PAGE_SIZE, Pa};

/// The most ranges that can be in the way: partitions' memory and regions, and the SPMC's own.
const MOST: usize = 64;

/// Keeps what is taken.
pub(super) struct Places<'m> {
    core: &'m CoreManifest,
    taken: arrayvec::ArrayVec<(u64, u64), MOST>,
}

impl<'m> Places<'m> {
    /// Starts with the SPMC's own memory and every partition's, as the SPMC manifest tells it.
    pub(super) fn new(core: &'m CoreManifest, own: (Pa, u64)) -> Self {
        let mut places = Self { core, taken: arrayvec::ArrayVec::new() };
        places.take(own.0, own.1);
        for p in &core.partitions {
            places.take(p.load_address, p.mem_size);
        }
        places
    }

    /// Puts a range out of reach. Returns false when the list is full: then nothing can be placed any more.
    #[inline(never)]
    pub(super) fn take(&mut self, base: Pa, len: u64) -> bool {
        let fits = self.taken.try_push((base.0, base.0.saturating_add(len))).is_ok();
        if !fits {
            self.taken.clear();
            let _ = self.taken.try_push((0, u64::MAX));
        }
        fits
    }

    /// Finds and takes the highest free range of `len` bytes, in whole pages.
    pub(super) fn place(&mut self, len: u64) -> Option<Pa> {
        let len = len.checked_next_multiple_of(PAGE_SIZE)?;
        let mut best = None;
        for r in self.core.ranges(MemoryKind::Secure) {
            let at = self.highest_in(r.base.0, r.size, len);
            if at > best {
                best = at;
            }
        }
        let best = Pa(best?);
        self.take(best, len).then_some(best)
    }

    fn highest_in(&self, base: u64, size: u64, len: u64) -> Option<u64> {
        let mut at = base.checked_add(size)?.checked_sub(len)? & !(PAGE_SIZE - 1);
        // Each step goes below one more range that is in the way.
        while at >= base {
            let Some((from, _)) = self.taken.iter().find(|(from, to)| at < *to && *from < at + len) else {
                return Some(at);
            };
            at = from.checked_sub(len)? & !(PAGE_SIZE - 1);
        }
        None
    }
}
