// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that a partition makes, good and bad: the partition does what a command says.

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect, expect_at, expect_that};
use bl33::sp::{Conduit, command, expect_raw_error, probe, raw, status, try_command};

pub(crate) const CASES: &[Case] = &[
    Case::new("partition::echo_and_add", echo_and_add),
    Case::new("partition::identity", identity),
    Case::new("partition::version", version),
    Case::new("partition::features", features),
    Case::new("partition::forward", forward),
    Case::new("partition::route", route),
    Case::new("partition::cycle_is_refused", cycle_is_refused),
    Case::new("partition::bad_requests", bad_requests),
    Case::new("partition::bad_responses", bad_responses),
    Case::new("partition::run_time_model", run_time_model),
    Case::new("partition::general_registers_across_a_call", general_registers_across_a_call),
    Case::new("partition::smc_that_is_not_ffa", smc_that_is_not_ffa),
    Case::new("partition::denied_instructions", denied_instructions),
    Case::new("partition::every_function_id", every_function_id),
];

const BOTH: [u64; 2] = [RELAY, PERCPU];
const CONDUITS: [Conduit; 2] = [Conduit::Smc, Conduit::Hvc];

fn echo_and_add() -> Outcome {
    for id in BOTH {
        let words = bl33::sp::command(id, command::ECHO, [1, 2 << 32, 3, u64::MAX])?;
        expect_that("words come back", words == [0x1001, 2 << 32, 3, u64::MAX], id)?;
        let [sum, ..] = bl33::sp::command(id, command::ADD, [0xffff_ffff, 1, 0, 0])?;
        expect_at("sum by partition", id, sum, 1 << 32)?;
    }
    Ok(())
}

fn identity() -> Outcome {
    for id in BOTH {
        for conduit in CONDUITS {
            let r = raw(id, conduit, [ID_GET, 0, 0, 0, 0, 0, 0, 0])?;
            expect_that("FFA_ID_GET tells the partition's id", r == [SUCCESS_32, 0, id, 0], r[2])?;
            let r = raw(id, conduit, [SPM_ID_GET, 0, 0, 0, 0, 0, 0, 0])?;
            expect_that("FFA_SPM_ID_GET tells the SPMC's id", r == [SUCCESS_32, 0, SPMC, 0], r[2])?;
        }
    }
    Ok(())
}

fn version() -> Outcome {
    for id in BOTH {
        let r = raw(id, Conduit::Smc, [VERSION, 1 << 31 | 0x1_0001, 0, 0, 0, 0, 0, 0])?;
        expect("FFA_VERSION with bit 31", r[0] as u32 as u64, 0xffff_ffff)?;
        let r = raw(id, Conduit::Smc, [VERSION, 0x2_0000, 0, 0, 0, 0, 0, 0])?;
        expect("FFA_VERSION 2.0", r[0] as u32 as u64, 0xffff_ffff)?;
        // Settled long ago, as something else than 1.0.
        let r = raw(id, Conduit::Smc, [VERSION, 0x1_0000, 0, 0, 0, 0, 0, 0])?;
        expect("FFA_VERSION 1.0 once settled", r[0] as u32 as u64, 0xffff_ffff)?;
    }
    Ok(())
}

fn features() -> Outcome {
    for id in BOTH {
        for asked in [ID_GET, DIRECT_RESP_64, MSG_WAIT, YIELD, RUN, CONSOLE_LOG_32] {
            let r = raw(id, Conduit::Smc, [FEATURES, asked, 0, 0, 0, 0, 0, 0])?;
            expect_at("FFA_FEATURES of", asked, r[0], SUCCESS_32)?;
        }
        // The notification pending interrupt is theirs, the Normal world's scheduler's is not; no manifest of theirs asks
        // for a managed exit.
        let r = raw(id, Conduit::Smc, [FEATURES, 1, 0, 0, 0, 0, 0, 0])?;
        expect("the notification pending interrupt", r[2], 5)?;
        for asked in [0x8400_00ff, 0x8400_006a, 0, 2, 3, 0x100] {
            expect_raw_error(id, Conduit::Smc, [FEATURES, asked, 0, 0, 0, 0, 0, 0], NOT_SUPPORTED)?;
        }
    }
    Ok(())
}

fn forward() -> Outcome {
    for id in BOTH {
        for value in [0, 0xbbbb, u64::MAX] {
            let words = bl33::sp::command(id, command::FORWARD, [ECHO, 7, value, 9])?;
            expect_that("echo's answer came through", words == [7, value.wrapping_add(0x1000), 9, 0], words[1])?;
        }
        let [status, code, ..] = try_command(id, command::FORWARD, [0x9abc, 1, 2, 3])?;
        expect("status of a request to nobody", status, status::FFA_ERROR)?;
        expect("its code", code as u32 as u64, INVALID_PARAMETERS as u32 as u64)?;
    }
    Ok(())
}

fn route() -> Outcome {
    let words = bl33::sp::command(RELAY, command::ROUTE, [PERCPU, 0, 0x77, 0x55])?;
    expect_that("Normal world, relay, percpu and back", words == [1, 1, 0x1077, 0x55], words[0])?;
    let words = bl33::sp::command(PERCPU, command::ROUTE, [RELAY, 0, 0x77, 0x55])?;
    expect_that("Normal world, percpu, relay and back", words == [1, 1, 0x1077, 0x55], words[0])
}

fn cycle_is_refused() -> Outcome {
    for (first, second) in [(RELAY, PERCPU), (PERCPU, RELAY)] {
        // first -> second -> first
        let [status, inner, code, ..] = try_command(first, command::ROUTE, [second | first << 16, 0, 1, 2])?;
        expect("status of the outer request", status, status::UNEXPECTED)?;
        expect("status of the inner request", inner, status::FFA_ERROR)?;
        let code = code as i32;
        expect_that("a cycle is BUSY or DENIED, got", code == BUSY || code == DENIED, code as u32 as u64)?;
        route()?;
    }
    expect_echo(0xc7c)
}

fn bad_requests() -> Outcome {
    for conduit in CONDUITS {
        for fid in [DIRECT_REQ_32, DIRECT_REQ_64] {
            let own = RELAY << 16;
            for (ids, w2, code) in [
                (own | RELAY, 0, INVALID_PARAMETERS),
                (own | 0x9abc, 0, INVALID_PARAMETERS),
                (own | SPMC, 0, INVALID_PARAMETERS),
                (own, 0, DENIED),
                (own | 5, 0, DENIED),
                (PERCPU << 16 | ECHO, 0, INVALID_PARAMETERS),
                (SPMC << 16 | ECHO, 0, INVALID_PARAMETERS),
                (ECHO, 0, INVALID_PARAMETERS),
                (0xffff << 16 | ECHO, 0, INVALID_PARAMETERS),
                (own | ECHO, 1, INVALID_PARAMETERS),
                (own | ECHO, 1 << 31, INVALID_PARAMETERS),
                (own | SPMC, 1 << 31, INVALID_PARAMETERS),
            ] {
                expect_raw_error(RELAY, conduit, [fid, ids, w2, 0, 0, 0, 0, 0], code).map_err(|f| f.at(ids))?;
            }
        }
    }
    forward()
}

fn bad_responses() -> Outcome {
    let own = RELAY << 16;
    for conduit in CONDUITS {
        for (fid, ids, w2, code) in [
            // To another than who asked, from another, of the other form, with a reserved bit.
            (DIRECT_RESP_64, own | 5, 0, INVALID_PARAMETERS),
            (DIRECT_RESP_64, own | PERCPU, 0, INVALID_PARAMETERS),
            (DIRECT_RESP_64, PERCPU << 16, 0, INVALID_PARAMETERS),
            (DIRECT_RESP_64, 0, 0, INVALID_PARAMETERS),
            (DIRECT_RESP_32, own, 0, INVALID_PARAMETERS),
            (DIRECT_RESP_64, own, 1, INVALID_PARAMETERS),
        ] {
            expect_raw_error(RELAY, conduit, [fid, ids, w2, 0, 0, 0, 0, 0], code).map_err(|f| f.at(ids))?;
        }
    }
    echo_and_add()
}

/// While it works on a direct request a partition may not wait, nor report that its start failed, nor say where its
/// secondary contexts start.
fn run_time_model() -> Outcome {
    for id in BOTH {
        for conduit in CONDUITS {
            for fid in [MSG_WAIT, ERROR, 0xc400_0087] {
                expect_raw_error(id, conduit, [fid, 0, 0, 0, 0, 0, 0, 0], DENIED).map_err(|f| f.at(fid))?;
            }
        }
    }
    echo_and_add()
}

fn general_registers_across_a_call() -> Outcome {
    for id in BOTH {
        let [x0, _, x2, changed] = bl33::sp::command(id, command::GPRS_ACROSS, [ID_GET, 0, 0, 0])?;
        expect("FFA_ID_GET", x0, SUCCESS_32)?;
        expect("its id", x2, id)?;
        expect("mask of x8 to x17 changed", changed, 0)?;
        let ids = id << 16 | ECHO;
        let [x0, _, _, changed] = bl33::sp::command(id, command::GPRS_ACROSS, [DIRECT_REQ_64, ids, 0, 0])?;
        expect("a direct request to echo", x0, DIRECT_RESP_64)?;
        expect("mask of x8 to x17 changed", changed, 0)?;
    }
    Ok(())
}

fn smc_that_is_not_ffa() -> Outcome {
    const UNKNOWN: u64 = 0xffff_ffff;
    for conduit in CONDUITS {
        let r = raw(RELAY, conduit, [0x8000_0000, 0, 0, 0, 0, 0, 0, 0])?;
        expect("major SMCCC_VERSION", r[0] >> 16, 1)?;
        // PSCI, TRNG, SiP, OEM, trusted OS, a reserved range, and a yielding call.
        for fid in [
            0x8400_0000,
            0x8400_0008,
            0xc400_0003,
            0x8400_0050,
            0x8200_0000,
            0xc300_ff01,
            0xb200_0000,
            0x8800_0000,
            0x0000_0001,
            0x3200_0000,
            0xffff_ffff,
        ] {
            let r = raw(RELAY, conduit, [fid, 0, 0, 0, 0, 0, 0, 0])?;
            expect_at("an unknown function, id", fid, r[0] & 0xffff_ffff, UNKNOWN)?;
        }
    }
    echo_and_add()
}

fn denied_instructions() -> Outcome {
    for id in BOTH {
        for what in [
            probe::UDF,
            probe::SVE,
            probe::SME,
            probe::PMU,
            probe::SPE,
            probe::TRACE,
            probe::AMU,
            probe::MTE,
            probe::SECURE_TIMER,
            probe::EL2_REGISTER,
            probe::EL3_REGISTER,
            probe::TRANSLATE_EL2,
            probe::TLBI_EL2,
        ] {
            let [status, esr, ..] = try_command(id, command::PROBE, [what, 0, 0, 0])?;
            expect_at("faults: probe", what, status, status::FAULT)?;
            // Taken at S-EL1, and as nothing but a refusal: undefined, or trapped by the partition's own CPACR_EL1.
            let class = esr >> 26 & 0x3f;
            expect_that("exception class of a refusal, got", matches!(class, 0 | 0x19 | 0x1d), class)?;
        }
    }
    echo_and_add()
}

/// Every id that FF-A has or may have, from a partition: an answer each, and the partition goes on.
fn every_function_id() -> Outcome {
    // Calls by which the partition would leave (others test them) or lose its mailbox.
    const LEAVES: [u64; 4] = [0x67, 0x6c, 0x6d, 0x90];
    for width in [0x8400_0000, 0xc400_0000] {
        for number in (0x60..=0xff).filter(|n| !LEAVES.contains(n)) {
            let fid = width | number;
            for value in [0, u64::MAX] {
                let [x0, _, x2, _] = raw(RELAY, Conduit::Smc, [fid, value, value, value, 0, 0, 0, 0])?;
                let w0 = x0 & 0xffff_ffff;
                let code = x2 as u32 as i32;
                let proper = match w0 {
                    ERROR => (-10..=-1).contains(&code),
                    SUCCESS_32 | SUCCESS_64 => true,
                    // FFA_VERSION's refusal; nothing else may answer so.
                    0xffff_ffff => fid == VERSION,
                    _ => fid == VERSION && w0 >> 16 == 1,
                };
                expect_at("a proper answer to function id", fid, u64::from(proper), 1)?;
            }
        }
    }
    identity()?;
    expect_echo(0xe1d)
}
