// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Normal world that negotiated v1.0 or v1.1 and is served so. Each runs alone in its boot (`--only v1_0`), since the
//! version is settled once.

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect, expect_at, expect_that};
use bl33::mem::{self, PAGE, RX};

use crate::rxtx::{map, unmap};

pub(crate) const CASES: &[Case] = &[
    Case::new("v1_0::negotiate", negotiate).asked(),
    Case::new("v1_0::direct_requests", direct_requests).asked(),
    Case::new("v1_0::calls_of_later_versions", calls_of_later_versions).asked(),
    Case::new("v1_0::short_descriptors", short_descriptors).asked(),
    Case::new("v1_0::share", || crate::memory::mapped(crate::memory::share_in_v1_0)).asked(),
    Case::new("v1_0::settled", settled).asked(),
    Case::new("v1_1::negotiate", || expect("FFA_VERSION 1.1", call_with(VERSION, &[0x1_0001])?[0], 0x1_0002)).asked(),
    Case::new("v1_1::direct_requests", direct_requests).asked(),
    Case::new("v1_1::calls_of_later_versions", || absent(&[PARTITION_INFO_GET_REGS, DIRECT_REQ2])).asked(),
    Case::new("v1_1::long_descriptors", long_descriptors).asked(),
];

fn negotiate() -> Outcome {
    let r = call_with(VERSION, &[0x1_0000])?;
    expect_at("major version of", r[0], r[0] >> 16, 1)
}

fn direct_requests() -> Outcome {
    expect_echo(0x10)?;
    let r = direct32(ECHO, [3, 0xbbbb, 5, 6, 7])?;
    expect("x0 (DIRECT_RESP32)", r[0], DIRECT_RESP_32)?;
    expect("x4", r[4], 0xcbbb)
}

fn calls_of_later_versions() -> Outcome {
    // v1.1: notifications, RX_ACQUIRE, MSG_SEND2. v1.2: PARTITION_INFO_GET_REGS, REQ2.
    absent(&[0x8400_007d, 0x8400_0081, 0x8400_0084, 0x8400_0086, PARTITION_INFO_GET_REGS, DIRECT_REQ2])
}

/// Demands that these calls are neither offered nor taken.
fn absent(ids: &[u64]) -> Outcome {
    for &id in ids {
        expect_error(&call_with(FEATURES, &[id])?, NOT_SUPPORTED).map_err(|f| f.at(id))?;
        expect_error(&call_with(id, &[ECHO])?, NOT_SUPPORTED).map_err(|f| f.at(id))?;
    }
    Ok(())
}

fn long_descriptors() -> Outcome {
    // Bits 31:16 of FEATURES(RXTX_MAP) are of v1.2.
    expect("w2 of FEATURES(RXTX_MAP64)", expect_success(&call_with(FEATURES, &[RXTX_MAP_64])?)?, 0)?;
    map()?;
    let count = crate::info::fetch_all()?;
    for n in 0..count {
        let properties = mem::get(RX + 24 * n) >> 32;
        // Bits 9 and 10 (DIRECT_REQ2) are of v1.2.
        expect_at("properties of v1.1 only, in descriptor", n, properties & 0x600, 0)?;
    }
    expect_success(&call_with(RX_RELEASE, &[])?)?;
    unmap()
}

/// Eight bytes each: id, contexts, properties; the size is not told.
fn short_descriptors() -> Outcome {
    const MARK: u64 = 0x5a5a_a5a5_5a5a_a5a5;
    map()?;
    mem::fill(RX, 1, MARK);
    let r = call_with(PARTITION_INFO_GET, &[])?;
    let count = expect_success(&r)?;
    expect_zeros(&r, 3)?;
    expect_that("at least three partitions, got", count >= 3, count)?;
    for n in 0..count {
        let descriptor = mem::get(RX + 8 * n);
        expect_that("partition ids have bit 15 set:", descriptor & 0x8000 != 0, descriptor)?;
        expect_at("properties of v1.0 only, in descriptor", n, descriptor >> 32 & !7, 0)?;
    }
    for at in (8 * count..PAGE).step_by(8) {
        expect_at("RX beyond the list at", at, mem::get(RX + at), MARK)?;
    }
    expect_success(&call_with(RX_RELEASE, &[])?)?;
    unmap()
}

fn settled() -> Outcome {
    expect("FFA_VERSION 1.1", call_with(VERSION, &[0x1_0001])?[0] as u32 as u64, 0xffff_ffff)?;
    let r = call_with(VERSION, &[0x1_0000])?;
    expect_at("major version of", r[0], r[0] >> 16, 1)
}
