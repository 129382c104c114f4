// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_RXTX_MAP`, `FFA_RXTX_UNMAP`, `FFA_RX_RELEASE`. Every case starts and ends without buffers.

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect_at, expect_that};
use bl33::mem::{FREE, NOT_NORMAL_MEMORY, PAGE, RX, TX};

pub(crate) const CASES: &[Case] = &[
    Case::new("rxtx::misaligned", misaligned),
    Case::new("rxtx::page_count", page_count),
    Case::new("rxtx::several_pages", several_pages),
    Case::new("rxtx::overlap", overlap),
    Case::new("rxtx::not_normal_world_memory", not_normal_world_memory),
    Case::new("rxtx::beyond_the_address_space", beyond_the_address_space),
    Case::new("rxtx::refusal_leaves_nothing_mapped", refusal_leaves_nothing_mapped),
    Case::new("rxtx::unmap_for_a_stranger", unmap_for_a_stranger),
    Case::new("rxtx::unmap_while_rx_is_owned", unmap_while_rx_is_owned),
    Case::new("rxtx::release_without_ownership", release_without_ownership),
    Case::new("rxtx::map32_ignores_upper_halves", map32_ignores_upper_halves),
];

/// Maps the buffers that the other groups use.
pub(crate) fn map() -> Outcome {
    expect_success(&call_with(RXTX_MAP_64, &[TX, RX, 1])?).map(|_| ())
}

/// Unmaps them.
pub(crate) fn unmap() -> Outcome {
    expect_success(&call_with(RXTX_UNMAP, &[])?).map(|_| ())
}

/// Demands that mapping is refused in both widths (where the addresses fit).
fn refused(tx: u64, rx: u64, pages: u64) -> Outcome {
    for fid in [RXTX_MAP_64, RXTX_MAP_32] {
        if fid == RXTX_MAP_32 && (tx | rx | pages) >> 32 != 0 {
            continue;
        }
        let r = call_with(fid, &[tx, rx, pages])?;
        if error_code(&r).is_none() {
            unmap()?;
        }
        expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(if tx == TX { rx } else { tx }))?;
    }
    Ok(())
}

fn misaligned() -> Outcome {
    for offset in [1, 8, 0x10, 0x800, 0xfff] {
        refused(TX + offset, RX, 1)?;
        refused(TX, RX + offset, 1)?;
    }
    Ok(())
}

fn page_count() -> Outcome {
    refused(TX, RX, 0)?;
    // Only bits 5:0 hold the count.
    refused(TX, RX, 0x40)?;
    refused(TX, RX, 1 << 31 | 1)?;
    refused(TX, RX, 0xffff_ffff)
}

/// More than a page is either mapped whole or refused; never mapped in part.
fn several_pages() -> Outcome {
    let (tx, rx) = (FREE, FREE + 64 * PAGE);
    let r = call_with(RXTX_MAP_64, &[tx, rx, 2])?;
    if error_code(&r).is_some() { expect_error(&r, INVALID_PARAMETERS) } else { unmap() }
}

fn overlap() -> Outcome {
    refused(TX, TX, 1)?;
    refused(RX, RX, 1)?;
    // Two pages each, the second of one being the first of the other.
    refused(FREE, FREE + PAGE, 2)?;
    refused(FREE + PAGE, FREE, 2)
}

fn not_normal_world_memory() -> Outcome {
    for address in NOT_NORMAL_MEMORY {
        refused(address, RX, 1)?;
        refused(TX, address, 1)?;
    }
    Ok(())
}

fn beyond_the_address_space() -> Outcome {
    for address in [
        0x40_0000_0000_0000,
        0x1_0000_0000_0000,
        1 << 52,
        1 << 55,
        1 << 63,
        0xffff_ffff_ffff_f000,
        0x0e10_0000 | 1 << 63,
        RX | 1 << 56,
    ] {
        refused(address, RX, 1)?;
        refused(TX, address, 1)?;
    }
    Ok(())
}

fn refusal_leaves_nothing_mapped() -> Outcome {
    refused(TX, 0x0e10_0000, 1)?;
    expect_error(&call_with(RXTX_UNMAP, &[])?, INVALID_PARAMETERS)?;
    map()?;
    unmap()
}

fn unmap_for_a_stranger() -> Outcome {
    map()?;
    for id in [0x8000, 0x8001, 0xffff, 5] {
        expect_error(&call_with(RXTX_UNMAP, &[id << 16])?, INVALID_PARAMETERS).map_err(|f| f.at(id))?;
    }
    unmap()
}

/// Unmapping while the caller owns a full RX buffer is the caller's own affair: it works, and mapping again starts
/// afresh.
fn unmap_while_rx_is_owned() -> Outcome {
    map()?;
    expect_success(&call_with(PARTITION_INFO_GET, &[])?)?;
    unmap()?;
    map()?;
    expect_success(&call_with(PARTITION_INFO_GET, &[])?)?;
    expect_success(&call_with(RX_RELEASE, &[])?)?;
    unmap()
}

fn release_without_ownership() -> Outcome {
    let r = call_with(RX_RELEASE, &[])?;
    let code = error_code(&r).unwrap_or(0);
    expect_that(
        "RX_RELEASE without a buffer is DENIED or INVALID_PARAMETERS, got",
        code == DENIED || code == INVALID_PARAMETERS,
        code as u32 as u64,
    )?;
    map()?;
    expect_error(&call_with(RX_RELEASE, &[])?, DENIED)?;
    unmap()
}

fn map32_ignores_upper_halves() -> Outcome {
    const DIRT: u64 = 0xdead_beef << 32;
    let r = call_with(RXTX_MAP_32, &[DIRT | TX, DIRT | RX, DIRT | 1])?;
    expect_at("RXTX_MAP32 with dirty upper halves: x", 0, r[0], SUCCESS_32)?;
    unmap()
}
