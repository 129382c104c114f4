// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUs without an SPMC: its manifest was refused (`--only absent`), or does not list them (`--only unlisted`). The Normal
//! world finds no FF-A there, and everything else works.

use bl33::cpus;
use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect};

pub(crate) const CASES: &[Case] = &[
    Case::new("absent::every_call_is_not_supported", every_call).asked(),
    Case::new("absent::on_all_cpus_off_and_on", || off_and_on(1)).asked(),
    Case::new("unlisted::the_others_have_an_spmc", the_others).asked(),
    Case::new("unlisted::the_last_cpu_has_none_off_and_on", || off_and_on(cpus::count() - 1)).asked(),
    Case::new("unlisted::nothing_changed_for_the_others", the_others).asked(),
];

const CALLS: [u64; 20] = [
    FEATURES,
    RX_RELEASE,
    RXTX_MAP_64,
    RXTX_UNMAP,
    PARTITION_INFO_GET,
    RUN,
    DIRECT_REQ_32,
    MEM_DONATE_32,
    MEM_LEND_64,
    MEM_SHARE_32,
    MEM_RETRIEVE_REQ_32,
    MEM_RELINQUISH,
    MEM_RECLAIM,
    MEM_FRAG_RX,
    MEM_FRAG_TX,
    NOTIFICATION_BITMAP_CREATE,
    NOTIFICATION_BIND,
    NOTIFICATION_SET,
    NOTIFICATION_GET,
    NOTIFICATION_INFO_GET_64,
];

fn every_call() -> Outcome {
    const NO_VERSION: u64 = NOT_SUPPORTED as u32 as u64;
    for version in [0x1_0000, 0x1_0001, 0x1_0002] {
        expect("FFA_VERSION", call_with(VERSION, &[version])?[0] as u32 as u64, NO_VERSION)?;
    }
    // What the SPMD forwards; it says so on this console for the rest.
    for id in CALLS {
        expect_error(&call_with(id, &[ECHO, 0, 1, 2, 3, 4, 5])?, NOT_SUPPORTED).map_err(|f| f.at(id))?;
    }
    expect_error(&direct64(ECHO, [1, 2, 3, 4, 5])?, NOT_SUPPORTED)
}

fn off_and_on(first: usize) -> Outcome {
    for _ in 0..3 {
        for cpu in first..cpus::count() {
            cpus::start(cpu, |_| every_call())?;
            cpus::join(cpu, 10_000)?;
        }
    }
    Ok(())
}

fn the_others() -> Outcome {
    expect_echo(7)?;
    for cpu in 1..cpus::count() - 1 {
        cpus::start(cpu, expect_echo)?;
        cpus::join(cpu, 5000)?;
    }
    Ok(())
}
