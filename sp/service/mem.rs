// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that others sent, and memory of the partition's own that it sends.

use crate::{Answer, Failure, me};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use ffa_abi::{Func, Handle, PartitionId};
use sp_rt::memory::{self, Region, Terms};
use spin::Mutex;

/// What tests look for, unless they say otherwise.
const PATTERN: u32 = 0xcafe_face;
const REGIONS: usize = 4;
const OWN_PAGES: usize = 8;

static RETRIEVED: Mutex<[Region; REGIONS]> = Mutex::new([Region::EMPTY; REGIONS]);

#[repr(C, align(4096))]
struct Page([AtomicU64; 512]);

/// Zeroed by who wants zeroes: see `own_page`.
#[unsafe(link_section = ".bss.noinit")]
static OWN: [Page; OWN_PAGES] = [const { Page([const { AtomicU64::new(0) }; 512]) }; OWN_PAGES];

fn pattern(word: u64) -> u32 {
    match word as u32 {
        0 => PATTERN,
        pattern => pattern,
    }
}

/// Does something with the region that `handle` names.
fn with(handle: u64, act: impl FnOnce(&mut Region) -> Answer) -> Answer {
    let mut regions = RETRIEVED.lock();
    let region = regions.iter_mut().find(|region| !region.is_empty() && region.handle() == Handle(handle));
    act(region.ok_or(Failure::NoRoom)?)
}

/// Retrieves and maps: `who` is sender | permissions << 16 | attributes << 32 (0: not said), permissions 0 meaning
/// read-write. Returns pages, ranges, the first address, and the ticks of the call.
pub(crate) fn retrieve(handle: u64, who: u64, tag: u64, flags: u64) -> Answer {
    let permissions = match (who >> 16) as u8 {
        0 => memory::READ_WRITE,
        permissions => permissions,
    };
    let terms = Terms {
        sender: PartitionId(who as u16),
        receiver: me(),
        permissions,
        attributes: (who >> 32) as u16,
        flags: flags as u32,
        tag,
    };
    let mut regions = RETRIEVED.lock();
    let region = regions.iter_mut().find(|region| region.is_empty()).ok_or(Failure::NoRoom)?;
    region.retrieve(Handle(handle), &terms)?;
    let first = region.ranges().first().map_or(0, |&(base, _)| base);
    Ok([region.pages(), region.ranges().len() as u64, first, region.ticks])
}

/// Writes the pattern to every word.
pub(crate) fn fill(handle: u64, word: u64) -> Answer {
    with(handle, |region| Ok([region.fill(pattern(word)), 0, 0, 0]))
}

/// Looks for the pattern in every word.
pub(crate) fn check(handle: u64, word: u64) -> Answer {
    let pattern = pattern(word);
    with(handle, |region| match region.check(pattern) {
        Ok(words) => Ok([words, 0, 0, 0]),
        Err((at, found)) => Err(Failure::Mismatch { at, found, expected: pattern.into() }),
    })
}

/// Gives the region up: `keep` 1 leaves it mapped in stage 1. Returns the ticks of the call.
pub(crate) fn relinquish(handle: u64, flags: u64, keep: u64) -> Answer {
    let flags = flags as u32;
    let known = with(handle, |region| {
        let ticks = if keep & 1 != 0 { region.relinquish_mapped(flags) } else { region.relinquish(flags) };
        Ok([ticks?, 0, 0, 0])
    });
    match known {
        // A handle that was never retrieved: what the SPMC says to it is the answer.
        Err(Failure::NoRoom) => Ok(memory::relinquish(Handle(handle), me(), flags).map(|()| [0; 4])?),
        known => known,
    }
}

/// Sends pages of the partition's own. `how` is 0 share, 1 lend, 2 donate, | permissions << 8 | flags << 32;
/// `pages` is count | first << 16. Returns the handle and the address.
pub(crate) fn send(receiver: u64, how: u64, pages: u64, tag: u64) -> Answer {
    let func = match how as u8 {
        0 => Func::MemShare,
        1 => Func::MemLend,
        2 => Func::MemDonate,
        // Not a way to send.
        _ => return Err(Failure::BadCommand),
    };
    let permissions = match ((how >> 8) as u8, func) {
        // A donation says nothing about what its receiver may do.
        (0, Func::MemDonate) => 0,
        (0, _) => memory::READ_WRITE,
        (permissions, _) => permissions,
    };
    // The attributes are the receiver's to say where it is the only one, but for a share.
    let attributes = if func == Func::MemShare { memory::NORMAL } else { 0 };
    let terms = Terms {
        sender: me(),
        receiver: PartitionId(receiver as u16),
        permissions,
        attributes,
        flags: (how >> 32) as u32,
        tag,
    };
    let (count, first) = (pages as u16, (pages >> 16) as usize);
    let page = OWN.get(first).ok_or(Failure::BadCommand)?;
    let address = page.0.as_ptr() as u64;
    let handle = memory::send(func, &terms, &[(address, count.into())])?;
    Ok([handle.0, address, 0, 0])
}

/// Takes pages back.
pub(crate) fn reclaim(handle: u64, flags: u64) -> Answer {
    memory::reclaim(Handle(handle), flags as u32)?;
    Ok([0; 4])
}

/// Returns the address of own page `index` and its word `offset / 8`; `value` is written to all of it first, unless
/// it is zero.
pub(crate) fn own_page(index: u64, value: u64, offset: u64) -> Answer {
    let page = OWN.get(index as usize).ok_or(Failure::BadCommand)?;
    if value != 0 {
        page.0.iter().for_each(|word| word.store(value, Relaxed));
    }
    let word = page.0.get(offset as usize / 8).ok_or(Failure::BadCommand)?;
    Ok([page.0.as_ptr() as u64, word.load(Relaxed), 0, 0])
}

/// Reads 8 bytes of a region.
pub(crate) fn read(handle: u64, offset: u64) -> Answer {
    with(handle, |region| Ok([region.read_at(offset).ok_or(Failure::BadCommand)?, 0, 0, 0]))
}

/// Writes 8 bytes of a region.
pub(crate) fn write(handle: u64, offset: u64, value: u64) -> Answer {
    with(handle, |region| if region.write_at(offset, value) { Ok([0; 4]) } else { Err(Failure::BadCommand) })
}

/// Returns address and pages of range `index`, the number of ranges, and the attributes.
pub(crate) fn region(handle: u64, index: u64) -> Answer {
    with(handle, |region| {
        let &(base, pages) = region.ranges().get(index as usize).ok_or(Failure::BadCommand)?;
        Ok([base, pages.into(), region.ranges().len() as u64, region.attributes().into()])
    })
}
