// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory management calls that must be refused, and must leave everything as it was.

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect, expect_at, expect_that};
use bl33::mem::{self, FREE, NOT_NORMAL_MEMORY, PAGE, TX};
use bl33::share::*;
use bl33::sp::{Conduit, command, expect_raw_error};

use crate::memory::mapped;

pub(crate) const CASES: &[Case] = &[
    Case::new("memory_bad::without_buffers", without_buffers),
    Case::new("memory_bad::lengths", || mapped(lengths)).noisy(),
    Case::new("memory_bad::fields", || mapped(fields)).noisy(),
    Case::new("memory_bad::ranges", || mapped(ranges)).noisy(),
    Case::new("memory_bad::addresses", || mapped(addresses)).noisy(),
    Case::new("memory_bad::buffers", || mapped(buffers)).noisy(),
    Case::new("memory_bad::states", || mapped(states)).noisy(),
    Case::new("memory_bad::fragments", || mapped(fragments)).noisy(),
    Case::new("memory_bad::retrieve", || mapped(retrieves)).noisy(),
    Case::new("memory_bad::partition_calls", partition_calls),
];

const SENDS: [u64; 6] = [MEM_SHARE_32, MEM_SHARE_64, MEM_LEND_32, MEM_LEND_64, MEM_DONATE_32, MEM_DONATE_64];
const GOOD: Send<'static> = Send::new(&[(RELAY, READ_WRITE)], &[(FREE, 1), (FREE + 2 * PAGE, 1)]);

/// Demands that nothing of the last refusals stuck: the same pages go through a whole loan.
fn unharmed() -> Outcome {
    let handle = send(MEM_LEND_64, &Send { attributes: 0, ..GOOD })?;
    reclaim(handle)
}

fn without_buffers() -> Outcome {
    for fid in SENDS.into_iter().chain([MEM_RETRIEVE_REQ_32, MEM_RETRIEVE_REQ_64]) {
        expect_error(&call_with(fid, &[96, 96])?, INVALID_PARAMETERS).map_err(|f| f.at(fid))?;
    }
    expect_error(&call_with(MEM_RELINQUISH, &[])?, INVALID_PARAMETERS)?;
    for handle in [0, 1, u64::MAX, 1 << 63] {
        expect_error(&reclaim_raw(handle, 0)?, INVALID_PARAMETERS).map_err(|f| f.at(handle))?;
    }
    Ok(())
}

fn lengths() -> Outcome {
    let len = GOOD.lay(TX);
    for (total, fragment) in [
        (0, 0),
        (len, 0),
        (0, len),
        (len, len + 16),
        (len, len + 1),
        (len, len - 1),
        (len, len - 8),
        (len, 16),
        (len, 47),
        (len, 64),
        (len + 16, len),
        (len - 16, len - 16),
        (len + 1, len + 1),
        (4112, 4112),
        (0xffff_fff0, len),
        (0xffff_fff0, 0xffff_fff0),
        (0x1_0000, 0x1_0000),
    ] {
        for fid in [MEM_SHARE_32, MEM_SHARE_64] {
            expect_error(&call_with(fid, &[total, fragment])?, INVALID_PARAMETERS)
                .map_err(|f| f.at(total << 32 | fragment))?;
        }
    }
    // Buffers that were not registered.
    for (address, pages) in [(FREE, 1), (FREE, 0), (0, 1), (TX, 1)] {
        expect_error(&call_with(MEM_SHARE_64, &[len, len, address, pages])?, INVALID_PARAMETERS)?;
    }
    unharmed()
}

/// One field of a good descriptor replaced: offset, 32-bit value, code.
const FIELDS: &[(u64, u32, i32)] = &[
    (0x00, 0x002f_8001, DENIED),             // sender: a partition
    (0x00, 0x002f_ffff, DENIED),             // sender: the SPMD
    (0x00, 0x0000_0000, INVALID_PARAMETERS), // attributes: none
    (0x00, 0x006f_0000, INVALID_PARAMETERS), // attributes: NS
    (0x00, 0x00af_0000, INVALID_PARAMETERS), // attributes: reserved bit
    (0x00, 0x003f_0000, INVALID_PARAMETERS), // attributes: reserved type
    (0x00, 0x0013_0000, DENIED),             // attributes: device
    (0x00, 0x0027_0000, DENIED),             // attributes: not cacheable
    (0x04, 0x0000_0001, INVALID_PARAMETERS), // flags: zero a share
    (0x04, 0x0000_0008, INVALID_PARAMETERS), // flags: type
    (0x04, 0x8000_0000, INVALID_PARAMETERS), // flags: reserved
    (0x08, 1, INVALID_PARAMETERS),           // handle
    (0x0c, 0x8000_0000, INVALID_PARAMETERS), // handle
    (0x18, 0, INVALID_PARAMETERS),           // access size
    (0x18, 15, INVALID_PARAMETERS),
    (0x18, 17, INVALID_PARAMETERS),
    (0x18, 0xffff_fff0, INVALID_PARAMETERS),
    (0x1c, 0, INVALID_PARAMETERS), // access count
    (0x1c, 3, INVALID_PARAMETERS),
    (0x1c, 0x1000_0000, INVALID_PARAMETERS),
    (0x1c, 0xffff_ffff, INVALID_PARAMETERS),
    (0x20, 0, INVALID_PARAMETERS), // access offset
    (0x20, 0x20, INVALID_PARAMETERS),
    (0x20, 0x38, INVALID_PARAMETERS),
    (0x20, 0xffff_fff0, INVALID_PARAMETERS),
    (0x24, 1, INVALID_PARAMETERS), // reserved
    (0x2c, 1, INVALID_PARAMETERS),
    (0x30, 0x0002_0000, INVALID_PARAMETERS), // receiver: the sender
    (0x30, 0x0002_0005, DENIED),             // receiver: a VM
    (0x30, 0x0002_8000, INVALID_PARAMETERS), // receiver: the SPMC
    (0x30, 0x0002_9abc, INVALID_PARAMETERS), // receiver: nobody
    (0x30, 0x0000_8002, INVALID_PARAMETERS), // permissions: none
    (0x30, 0x0003_8002, INVALID_PARAMETERS), // permissions: reserved
    (0x30, 0x0006_8002, INVALID_PARAMETERS), // permissions: the owner says nothing about execution
    (0x30, 0x000a_8002, INVALID_PARAMETERS),
    (0x30, 0x0012_8002, INVALID_PARAMETERS), // permissions: reserved bit
    (0x30, 0x0102_8002, INVALID_PARAMETERS), // flags
    (0x34, 0, INVALID_PARAMETERS),           // composite offset
    (0x34, 0x30, INVALID_PARAMETERS),
    (0x34, 0x41, INVALID_PARAMETERS),
    (0x34, 0x48, INVALID_PARAMETERS),
    (0x34, 0x50, INVALID_PARAMETERS),
    (0x34, 0xffff_fff0, INVALID_PARAMETERS),
    (0x38, 1, INVALID_PARAMETERS), // reserved
    (0x40, 0, INVALID_PARAMETERS), // total pages
    (0x40, 1, INVALID_PARAMETERS),
    (0x40, 3, INVALID_PARAMETERS),
    (0x40, 0xffff_ffff, INVALID_PARAMETERS),
    (0x44, 0, INVALID_PARAMETERS), // ranges
    (0x44, 1, INVALID_PARAMETERS),
    (0x44, 3, INVALID_PARAMETERS),
    (0x44, 0x1000_0000, INVALID_PARAMETERS),
    (0x44, 0xffff_ffff, INVALID_PARAMETERS),
    (0x48, 1, INVALID_PARAMETERS), // reserved
    (0x50, 1, INVALID_PARAMETERS), // address
    (0x50, 0x800, INVALID_PARAMETERS),
    (0x54, 0xffff_ffff, INVALID_PARAMETERS),
    (0x58, 0, INVALID_PARAMETERS), // pages
    (0x58, 2, INVALID_PARAMETERS),
    (0x58, 0xffff_ffff, INVALID_PARAMETERS),
    (0x5c, 1, INVALID_PARAMETERS), // reserved
];

fn fields() -> Outcome {
    for &(offset, value, code) in FIELDS {
        let len = GOOD.lay(TX);
        let (at, shift) = (TX + (offset & !7), (offset & 4) * 8);
        let word = mem::get(at) & !(0xffff_ffff << shift) | u64::from(value) << shift;
        mem::put(at, word);
        let r = call_with(MEM_SHARE_64, &[len, len])?;
        expect_error(&r, code).map_err(|f| f.at(offset << 32 | u64::from(value)))?;
    }
    // Receivers: one twice, more than there can be, and more than a donation has.
    let twice = Send { receivers: &[(RELAY, READ_WRITE), (RELAY, READ_WRITE)], ..GOOD };
    expect_error(&send_raw(MEM_SHARE_64, &twice)?, INVALID_PARAMETERS)?;
    let many: [(u64, u64); 16] = core::array::from_fn(|i| (RELAY + i as u64, READ_WRITE));
    expect_error(&send_raw(MEM_SHARE_64, &Send { receivers: &many, ..GOOD })?, INVALID_PARAMETERS)?;
    let two = Send { receivers: &[(RELAY, 0), (PERCPU, 0)], attributes: 0, ..GOOD };
    expect_error(&send_raw(MEM_DONATE_64, &two)?, INVALID_PARAMETERS)?;
    // A loan to one receiver and a donation leave the attributes open; a donation the access, too.
    expect_error(&send_raw(MEM_LEND_64, &GOOD)?, INVALID_PARAMETERS)?;
    expect_error(&send_raw(MEM_DONATE_64, &Send { receivers: &[(RELAY, 0)], ..GOOD })?, INVALID_PARAMETERS)?;
    expect_error(&send_raw(MEM_DONATE_64, &Send { attributes: 0, ..GOOD })?, INVALID_PARAMETERS)?;
    unharmed()
}

fn ranges() -> Outcome {
    for (a, b) in [
        ((FREE, 1), (FREE, 1)),
        ((FREE, 4), (FREE + 3 * PAGE, 1)),
        ((FREE + 3 * PAGE, 1), (FREE, 4)),
        ((FREE, 8), (FREE + PAGE, 2)),
        ((0x7100_0000, 512), (0x7100_0000 + 5 * PAGE, 1)),
        ((0x7100_0000 + 5 * PAGE, 1), (0x7100_0000, 512)),
    ] {
        for (fid, attributes) in [(MEM_SHARE_64, NORMAL), (MEM_LEND_64, 0)] {
            let send = Send { attributes, ranges: &[a, b], ..GOOD };
            expect_error(&send_raw(fid, &send)?, INVALID_PARAMETERS).map_err(|f| f.at(b.0))?;
        }
    }
    for (address, pages) in [
        (FREE + 1, 1),
        (FREE + 0x800, 1),
        (FREE, 0),
        (0xffff_ffff_ffff_f000, 1),
        (0xffff_ffff_ffff_f000, 2),
        (0xffff_ffff_f000, 0xffff_ffff),
        (1 << 40, 1),
        (1 << 47, 1),
    ] {
        let send = Send { ranges: &[(address, pages)], ..GOOD };
        expect_error(&send_raw(MEM_SHARE_64, &send)?, INVALID_PARAMETERS).map_err(|f| f.at(address))?;
    }
    unharmed()
}

fn addresses() -> Outcome {
    for address in NOT_NORMAL_MEMORY {
        for (fid, attributes, access) in [(MEM_SHARE_64, NORMAL, 2), (MEM_LEND_64, 0, 2), (MEM_DONATE_64, 0, 0)] {
            // Alone, and behind a page that would do.
            for ranges in [&[(address, 1)][..], &[(FREE, 1), (address, 1)]] {
                let send = Send { attributes, ranges, receivers: &[(RELAY, access)], ..GOOD };
                expect_error(&send_raw(fid, &send)?, DENIED).map_err(|f| f.at(address))?;
            }
        }
    }
    // From RAM into what lies before and behind it.
    for (address, pages) in [(0x3fff_f000, 2), (FREE, 0x1000_0000)] {
        let send = Send { ranges: &[(address, pages)], ..GOOD };
        let code = error_code(&send_raw(MEM_SHARE_64, &send)?);
        expect_at("a refusal of", address, u64::from(matches!(code, Some(DENIED | INVALID_PARAMETERS))), 1)?;
    }
    unharmed()
}

/// RX/TX buffers cannot be sent, and buffers cannot be put on memory that is sent.
fn buffers() -> Outcome {
    for (address, pages) in [(mem::RX, 1), (TX, 1), (mem::RX, 2), (TX, 4)] {
        for (fid, attributes) in [(MEM_SHARE_64, NORMAL), (MEM_LEND_64, 0)] {
            let send = Send { attributes, ranges: &[(address, pages)], ..GOOD };
            expect_error(&send_raw(fid, &send)?, DENIED).map_err(|f| f.at(address))?;
        }
    }
    let handle = share(RELAY, FREE, 1)?;
    crate::rxtx::unmap()?;
    let outcome = expect_error(&call_with(RXTX_MAP_64, &[FREE, TX, 1])?, INVALID_PARAMETERS)
        .and_then(|()| expect_error(&call_with(RXTX_MAP_64, &[TX, FREE, 1])?, INVALID_PARAMETERS));
    crate::rxtx::map()?;
    outcome?;
    reclaim(handle)
}

fn states() -> Outcome {
    let handle = share(RELAY, FREE, 1)?;
    // A stranger to the transaction, and numbers near its handle.
    retrieve_refused(PERCPU, handle, 0, 0, INVALID_PARAMETERS)?;
    for wrong in [0, handle ^ 1, handle + 0x1_0000, handle | 1 << 63, u64::MAX] {
        expect_error(&reclaim_raw(wrong, 0)?, INVALID_PARAMETERS).map_err(|f| f.at(wrong))?;
        retrieve_refused(RELAY, wrong, 0, 0, INVALID_PARAMETERS)?;
        refused(RELAY, command::RELINQUISH, [wrong, 0, 0, 0], INVALID_PARAMETERS)?;
    }
    refused(RELAY, command::RELINQUISH, [handle, 0, 0, 0], INVALID_PARAMETERS)?;
    for flags in [4, 8, 1 << 31] {
        expect_error(&reclaim_raw(handle, flags)?, INVALID_PARAMETERS).map_err(|f| f.at(flags))?;
    }
    retrieve(RELAY, handle, 0, 0)?;
    retrieve_refused(RELAY, handle, 0, 0, DENIED)?;
    refused(PERCPU, command::RELINQUISH, [handle, 0, 0, 0], INVALID_PARAMETERS)?;
    expect_error(&reclaim_raw(handle, 0)?, DENIED)?;
    // The Normal world never borrows.
    mem::put(TX, handle);
    mem::put(TX + 8, 1 << 32);
    mem::put(TX + 16, 0);
    expect_error(&call_with(MEM_RELINQUISH, &[])?, INVALID_PARAMETERS)?;
    relinquish(RELAY, handle, 0)?;
    refused(RELAY, command::RELINQUISH, [handle, 0, 0, 0], INVALID_PARAMETERS)?;
    reclaim(handle)?;
    expect_error(&reclaim_raw(handle, 0)?, INVALID_PARAMETERS)?;
    retrieve_refused(RELAY, handle, 0, 0, INVALID_PARAMETERS)?;
    // What was given away is gone: see memory::donation. What is lent is not there to be sent.
    let handle = lend(RELAY, FREE, 1)?;
    for (fid, attributes, access) in [(MEM_SHARE_64, NORMAL, 2), (MEM_LEND_64, 0, 2), (MEM_DONATE_64, 0, 0)] {
        let send = Send { attributes, receivers: &[(PERCPU, access)], ..GOOD };
        expect_error(&send_raw(fid, &send)?, DENIED)?;
    }
    reclaim(handle)?;
    unharmed()
}

fn fragments() -> Outcome {
    let start = || -> Result<(u64, u64), bl33::harness::Failure> {
        let len = GOOD.lay(TX);
        let r = call_with(MEM_SHARE_64, &[len, len - 16])?;
        expect("x0 (FFA_MEM_FRAG_RX)", r[0], MEM_FRAG_RX)?;
        expect("w3 (offset)", r[3], len - 16)?;
        mem::put(TX, FREE + 2 * PAGE);
        mem::put(TX + 8, 1);
        Ok((r[1], r[2]))
    };
    let (low, high) = start()?;
    let handle = low | high << 32;
    // Half sent: nobody can use it.
    expect_error(&reclaim_raw(handle, 0)?, INVALID_PARAMETERS)?;
    retrieve_refused(RELAY, handle, 0, 0, INVALID_PARAMETERS)?;
    expect_error(&describe_raw(handle, 0)?, INVALID_PARAMETERS)?;
    mem::put(TX, FREE + 2 * PAGE);
    mem::put(TX + 8, 1);
    for (low, high, len, owner) in
        [(low + 1, high, 16, 0), (low, high + 1, 16, 0), (low, high, 16, RELAY << 16), (low, high, 16, 1)]
    {
        expect_error(&call_with(MEM_FRAG_TX, &[low, high, len, owner])?, INVALID_PARAMETERS)?;
    }
    // None of that hurt it.
    reclaim(handle_of(&call_with(MEM_FRAG_TX, &[low, high, 16, 0])?)?)?;
    expect_error(&call_with(MEM_FRAG_TX, &[low, high, 16, 0])?, INVALID_PARAMETERS)?;
    // Each of these ends it.
    for len in [0, 1, 8, 15, 17, 32, 4112, 0xffff_fff0] {
        let (low, high) = start()?;
        expect_error(&call_with(MEM_FRAG_TX, &[low, high, len, 0])?, INVALID_PARAMETERS).map_err(|f| f.at(len))?;
        expect_error(&call_with(MEM_FRAG_TX, &[low, high, 16, 0])?, INVALID_PARAMETERS).map_err(|f| f.at(len))?;
    }
    unharmed()
}

fn retrieves() -> Outcome {
    let handle = share(RELAY, FREE, 1)?;
    for (access, flags, code) in [
        (READ_WRITE | NEVER_EXECUTE, 0, INVALID_PARAMETERS),
        (READ_WRITE | 8, 0, INVALID_PARAMETERS),
        (3, 0, INVALID_PARAMETERS),
        (0x12, 0, INVALID_PARAMETERS),
        (0, 1, INVALID_PARAMETERS),
        (0, 4, INVALID_PARAMETERS),
        (0, 2 << 3, INVALID_PARAMETERS),
        (0, 3 << 3, INVALID_PARAMETERS),
        (0, 1 << 5, INVALID_PARAMETERS),
        (0, 1 << 9, INVALID_PARAMETERS),
        (0, 1 << 11, INVALID_PARAMETERS),
        (0, 1 << 31, INVALID_PARAMETERS),
    ] {
        retrieve_refused(RELAY, handle, access, flags, code).map_err(|f| f.at(access << 32 | flags))?;
    }
    for (sender, tag, attributes, code) in [
        (1, TAG, 0, DENIED),
        (PERCPU, TAG, 0, DENIED),
        (0, TAG + 1, 0, INVALID_PARAMETERS),
        (0, 0, 0, INVALID_PARAMETERS),
        (0, TAG, 0x6f, INVALID_PARAMETERS),
        (0, TAG, 0x13, DENIED),
        (0, TAG, 0x27, DENIED),
    ] {
        let args = [handle, sender | attributes << 32, tag, 0];
        refused(RELAY, command::RETRIEVE, args, code).map_err(|f| f.at(sender << 32 | attributes))?;
    }
    retrieve(RELAY, handle, 0, 1 << 3)?;
    relinquish(RELAY, handle, 0)?;
    reclaim(handle)?;
    // A loan's only borrower says whether it executes.
    let handle = lend(RELAY, FREE, 1)?;
    retrieve_refused(RELAY, handle, READ_WRITE, 0, INVALID_PARAMETERS)?;
    retrieve(RELAY, handle, READ_WRITE | 8, 0)?;
    relinquish(RELAY, handle, 0)?;
    reclaim(handle)
}

/// Raw calls of a partition: lengths, buffers, handles.
fn partition_calls() -> Outcome {
    for id in [RELAY, PERCPU] {
        bl33::sp::command(id, command::MAILBOX, [0; 4])?;
        for conduit in [Conduit::Smc, Conduit::Hvc] {
            for fid in SENDS.into_iter().chain([MEM_RETRIEVE_REQ_32, MEM_RETRIEVE_REQ_64]) {
                for [a, b, c, d] in [[0, 0, 0, 0], [96, 0, 0, 0], [96, 97, 0, 0], [4112, 4112, 0, 0], [96, 96, FREE, 1]]
                {
                    expect_raw_error(id, conduit, [fid, a, b, c, d, 0, 0, 0], INVALID_PARAMETERS)
                        .map_err(|f| f.at(fid))?;
                }
            }
            for fid in [MEM_RECLAIM, MEM_FRAG_RX, MEM_FRAG_TX] {
                for handle in [0, 1, u64::MAX >> 1, u64::MAX] {
                    let regs = [fid, handle & 0xffff_ffff, handle >> 32, 0, 0, 0, 0, 0];
                    expect_raw_error(id, conduit, regs, INVALID_PARAMETERS).map_err(|f| f.at(fid))?;
                }
            }
            expect_raw_error(id, conduit, [MEM_RETRIEVE_RESP, 0, 0, 0, 0, 0, 0, 0], NOT_SUPPORTED)?;
            // After its start a partition changes no permissions.
            expect_raw_error(id, conduit, [0x8400_0089, 0x0e40_0000, 1, 7, 0, 0, 0, 0], DENIED)?;
        }
        let [address, ..] = bl33::sp::command(id, command::OWN_PAGE, [0, 0, 0, 0])?;
        let r = bl33::sp::raw(id, Conduit::Smc, [0x8400_0088, address, 0, 0, 0, 0, 0, 0])?;
        expect_that("FFA_MEM_PERM_GET of its own page", r[0] == SUCCESS_32, r[2])?;
        expect_raw_error(id, Conduit::Smc, [0x8400_0088, 0x0e10_0000, 0, 0, 0, 0, 0, 0], INVALID_PARAMETERS)?;
    }
    Ok(())
}
