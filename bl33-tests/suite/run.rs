// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_RUN` from the Normal world.

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect, expect_that};

pub(crate) const CASES: &[Case] = &[
    Case::new("run::waiting_partition", waiting_partition),
    Case::new("run::bad_partition", bad_partition),
    Case::new("run::bad_context", bad_context),
];

fn waiting_partition() -> Outcome {
    for _ in 0..3 {
        let r = call_with(RUN, &[ECHO << 16])?;
        expect("x0 (FFA_MSG_WAIT)", r[0], MSG_WAIT)?;
        expect_echo(0x1234)?;
    }
    Ok(())
}

fn bad_partition() -> Outcome {
    for id in [0, 1, 0x7fff, 0x8000, 0x8040, 0x9abc, 0xfffe, 0xffff] {
        expect_error(&call_with(RUN, &[id << 16])?, INVALID_PARAMETERS).map_err(|f| f.at(id))?;
    }
    expect_echo(6)
}

fn bad_context() -> Outcome {
    for context in [1, 2, 8, 0x100, 0xffff] {
        let r = call_with(RUN, &[ECHO << 16 | context])?;
        expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(context))?;
    }
    for context in [8, 0x100, 0xffff] {
        let r = call_with(RUN, &[PERCPU << 16 | context])?;
        expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(context))?;
    }
    // This CPU cannot run another CPU's context, whether or not it exists.
    let r = call_with(RUN, &[PERCPU << 16 | 1])?;
    expect_that("another CPU's context is refused, got w0", error_code(&r).is_some(), r[0])?;
    expect_echo(7)
}
