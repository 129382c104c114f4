// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_FEATURES`: what it says and what the calls do must be one thing.

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect_at, expect_that};

pub(crate) const CASES: &[Case] = &[
    Case::new("features::mandatory_calls", mandatory_calls),
    Case::new("features::calls_that_do_not_exist", calls_that_do_not_exist),
    Case::new("features::interrupt_ids", interrupt_ids),
    Case::new("features::reserved_feature_ids", reserved_feature_ids),
    Case::new("features::agree_with_the_calls", agree_with_the_calls).noisy(),
];

fn features(id: u64) -> Result<Regs8, bl33::harness::Failure> {
    call_with(FEATURES, &[id])
}

fn mandatory_calls() -> Outcome {
    for id in [
        ERROR,
        SUCCESS_32,
        INTERRUPT,
        VERSION,
        FEATURES,
        RX_RELEASE,
        RXTX_MAP_32,
        RXTX_MAP_64,
        RXTX_UNMAP,
        PARTITION_INFO_GET,
        ID_GET,
        SPM_ID_GET,
        RUN,
        DIRECT_REQ_32,
        DIRECT_REQ_64,
        DIRECT_REQ2,
        PARTITION_INFO_GET_REGS,
    ] {
        expect_success(&features(id)?).map_err(|f| f.at(id))?;
    }
    Ok(())
}

fn calls_that_do_not_exist() -> Outcome {
    // Numbers without an interface, and widths that an interface does not have.
    for id in [0x8400_006a, 0x8400_0078, 0x8400_0079, 0xc400_0063, 0xc400_0064, 0x8400_008b, 0x8400_008d, 0x8400_0091] {
        expect_error(&features(id)?, NOT_SUPPORTED).map_err(|f| f.at(id))?;
    }
    Ok(())
}

fn interrupt_ids() -> Outcome {
    // The notification pending and managed exit interrupts are for partitions; the Normal world has no use for them.
    for id in [1, 3] {
        expect_error(&features(id)?, NOT_SUPPORTED).map_err(|f| f.at(id))?;
    }
    // The schedule receiver interrupt, where notifications are offered: an SGI that the Normal world may have.
    let r = features(2)?;
    if error_code(&r) == Some(NOT_SUPPORTED) {
        return expect_error(&r, NOT_SUPPORTED);
    }
    let intid = expect_success(&r)?;
    expect_that("the schedule receiver interrupt is an SGI, got", (8..16).contains(&intid), intid)
}

fn reserved_feature_ids() -> Outcome {
    for id in [0, 4, 5, 0xff, 0x100, 0x7fff_ffff, 0x8300_0060, 0x8500_0060, 0xffff_ffff] {
        expect_error(&features(id)?, NOT_SUPPORTED).map_err(|f| f.at(id))?;
    }
    Ok(())
}

/// What `FFA_FEATURES` denies is refused when called, and what it offers is not answered with NOT_SUPPORTED.
fn agree_with_the_calls() -> Outcome {
    // Interfaces that only replies carry, or that only partitions call: offered, and still refused to this caller.
    const NOT_FOR_US: [u64; 17] =
        [0x60, 0x61, 0x62, 0x6b, 0x6c, 0x70, 0x74, 0x75, 0x76, 0x7c, 0x84, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x8e];
    for width in [0x8400_0000, 0xc400_0000] {
        for number in 0x60..=0x8e {
            let id = width | number;
            let offered = error_code(&features(id)?) != Some(NOT_SUPPORTED);
            // FFA_FEATURES itself is asked about something that exists.
            let argument = if number == 0x64 { VERSION } else { 0 };
            let refused = match smc([id, argument, 0, 0, 0, 0, 0, 0]) {
                // FFA_VERSION answers in its own way.
                _ if number == 0x63 => false,
                // EL3 itself says DENIED to this one.
                r if id == NORMAL_WORLD_RESUME => error_code(&r) == Some(DENIED),
                r => error_code(&r) == Some(NOT_SUPPORTED),
            };
            if number != 0x63 && !offered {
                expect_at("denied by FEATURES, refused when called; id", id, u64::from(refused), 1)?;
            } else if !NOT_FOR_US.contains(&number) && offered {
                expect_at("offered by FEATURES, refused when called; id", id, u64::from(refused), 0)?;
            }
        }
    }
    expect_echo(0xfea7)
}
