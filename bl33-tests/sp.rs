// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands to the test partitions `relay` and `percpu` (`sp/protocol.md`).

use crate::ffa::{DIRECT_RESP_64, Regs8, direct64, expect_error};
use crate::harness::{Failure, Outcome, expect, expect_that};

pub use sp_protocol::{command, death, mapping, probe, status};

/// Sends a command and its four arguments; returns the status and four words, whatever the status is.
pub fn try_command(to: u64, command: u64, args: [u64; 4]) -> Result<[u64; 5], Failure> {
    let [a, b, c, d] = args;
    let r = direct64(to, [command, a, b, c, d])?;
    words(&r, to)
}

/// Takes the five words out of a direct response from `from`.
pub fn words(r: &Regs8, from: u64) -> Result<[u64; 5], Failure> {
    if r[0] != DIRECT_RESP_64 {
        return Err(Failure::new("x0 (DIRECT_RESP64); w2 is", DIRECT_RESP_64, r[0]).at(r[2]));
    }
    expect("x1 (from the partition)", r[1], from << 16)?;
    Ok([r[3], r[4], r[5], r[6], r[7]])
}

/// Sends a command that must succeed; returns its four words.
pub fn command(to: u64, command: u64, args: [u64; 4]) -> Result<[u64; 4], Failure> {
    let [status, a, b, c, d] = try_command(to, command, args)?;
    if status != status::OK {
        return Err(Failure::new("status of a command; its word 1 is", status::OK, status).at(a));
    }
    Ok([a, b, c, d])
}

/// How a partition calls the SPMC.
#[derive(Clone, Copy)]
pub enum Conduit {
    /// By SMC.
    Smc = 0,
    /// By HVC.
    Hvc = 1,
}

/// Lets a partition make a raw call with these registers; returns x0 to x3 of the answer.
pub fn raw(to: u64, conduit: Conduit, regs: Regs8) -> Result<[u64; 4], Failure> {
    let [x0, x1, x2, x3, x4, x5, x6, x7] = regs;
    if [x3, x4, x5, x6, x7] != [0; 5] {
        command(to, command::STAGE, [3, x3, x4, x5])?;
        command(to, command::STAGE, [6, x6, x7, 0])?;
    }
    command(to, command::CALL, [conduit as u64, x0, x1, x2])
}

/// Demands that a raw call of a partition is refused with this code.
pub fn expect_raw_error(to: u64, conduit: Conduit, regs: Regs8, code: i32) -> Outcome {
    let [x0, x1, x2, x3] = raw(to, conduit, regs)?;
    expect_error(&[x0, x1, x2, x3, 0, 0, 0, 0], code)
}

/// Demands that a command finds nothing: word 1 counts.
pub fn expect_none(to: u64, command: u64, pattern: u64, what: &'static str) -> Outcome {
    let [count, first, ..] = self::command(to, command, [pattern, 0, 0, 0])?;
    expect_that(what, count == 0, first)
}
