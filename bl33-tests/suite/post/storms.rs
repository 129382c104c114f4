// SPDX-License-Identifier: MIT OR Apache-2.0
//! Breakers, and what storms cost those who have nothing to do with them.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};

use bl33::ffa::*;
use bl33::harness::{Failure, Outcome, expect_that};
use bl33::{cpus, println, time};

use super::*;

/// Leaves messages to a partition unacked until it is cut off.
pub(super) fn breaker() -> Outcome {
    for _ in 0..2 {
        accepted(0, SLOW, &Mail::new(DISPATCH))?;
    }
    let mut taken = 0;
    while send(0, SLOW, &Mail { key: 0, ..Mail::new(RESULT) })? != Some(DENIED) {
        if receive(SLOW)?.is_some() {
            taken += 1;
        }
        pass(REDELIVER_MS + 1);
        expect_that("it is cut off at last", taken < 20, taken)?;
    }
    for id in [SLOW, 0] {
        drain(id)?;
    }
    // The others go on, both ways.
    exchange(STEADY)?;
    pass(COOL_DOWN_MS + 1);
    let probe = Mail::new(DISPATCH);
    accepted(0, SLOW, &probe)?;
    refused(0, SLOW, &Mail::new(DISPATCH), DENIED)?;
    take_and_ack(SLOW, 0, probe.key)?;
    exchange(SLOW).map(drop)
}

pub(super) fn duplicate_storm() -> Outcome {
    let mail = Mail::new(RESULT);
    accepted(STORMY, 0, &mail)?;
    for n in 0..STORM {
        accepted(STORMY, 0, &mail).map_err(|f| f.at(n))?;
    }
    refused(STORMY, 0, &mail, DENIED)?;
    refused(STORMY, 0, &Mail::new(RESULT), DENIED)?;
    // It was delivered once, and is still to be acked.
    take_and_ack(0, STORMY, mail.key)?;
    exchange(STEADY)?;
    recover()
}

pub(super) fn denial_storm() -> Outcome {
    for n in 0..STORM {
        refused(STORMY, STEADY, &Mail::new(DISPATCH), DENIED).map_err(|f| f.at(n))?;
    }
    nothing(STEADY)?;
    refused(STORMY, 0, &Mail::new(RESULT), DENIED)?;
    exchange(STEADY)?;
    recover()
}

/// After the cool-down, one message of the stormy one passes, and closes its breakers.
fn recover() -> Outcome {
    pass(COOL_DOWN_MS + 1);
    let probe = Mail::new(RESULT);
    accepted(STORMY, 0, &probe)?;
    refused(STORMY, 0, &Mail::new(RESULT), DENIED)?;
    take_and_ack(0, STORMY, probe.key)?;
    exchange(STORMY).map(drop)
}

/// The good pair's cost, alone and while another partition storms in every way: within 10 %.
pub(super) fn storm() -> Outcome {
    const ROUNDS: u64 = 24;
    let pair = || -> Result<u64, Failure> { (0..ROUNDS).map(|_| exchange(STEADY)).sum() };
    exchange(STEADY)?;
    let alone = pair()?;
    let mut during = 0;
    let repeated = Mail::new(RESULT);
    for n in 0..ROUNDS {
        for _ in 0..6 {
            send(STORMY, STEADY, &Mail::new(DISPATCH))?;
            send(STORMY, 0, &Mail { class: if n % 2 == 0 { RESULT } else { 99 }, ..repeated })?;
            send(STORMY, 0, &Mail::ack(n))?;
        }
        // What got through is delivered, and is in nobody's way.
        while let Some((from, mail)) = receive(0)? {
            accepted(0, from, &Mail::ack(mail.ticket))?;
        }
        during += exchange(STEADY)?;
    }
    println!("# an exchange of the good pair: {} ticks alone, {} in the storm", alone / ROUNDS, during / ROUNDS);
    expect_that("within 10 %, got percent", during * 100 <= alone * 110, during * 100 / alone.max(1))?;
    recover()
}

static MEETING: AtomicU32 = AtomicU32::new(0);
static STOP: AtomicBool = AtomicBool::new(false);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// The good pair goes on, message by message, while another CPU lets the stormy one do what is refused.
pub(super) fn beside_a_storm() -> Outcome {
    const ROUNDS: u64 = 60;
    let start = time::now();
    (0..ROUNDS).try_for_each(|_| exchange(STEADY).map(drop))?;
    let alone = time::now() - start;
    MEETING.store(0, Release);
    STOP.store(false, Release);
    REFUSED.store(0, Release);
    let both = cpus::count().min(2);
    cpus::on_all(both, 60_000, |cpu| {
        cpus::meet(&MEETING, cpus::count().min(2) as u32)?;
        if cpu == 0 {
            let outcome = (0..ROUNDS).try_for_each(|n| exchange(STEADY).map(drop).map_err(|f| f.at(n)));
            STOP.store(true, Release);
            return outcome;
        }
        while !STOP.load(Acquire) {
            refused(STORMY, STEADY, &Mail::new(DISPATCH), DENIED)?;
            refused(STORMY, 0, &Mail::ack(u64::MAX), NO_DATA)?;
            REFUSED.fetch_add(2, Relaxed);
        }
        Ok(())
    })?;
    let stormed = REFUSED.load(Acquire);
    println!(
        "# {ROUNDS} exchanges: {alone} ticks alone, {} with {stormed} refusals beside",
        time::now() - start - alone
    );
    expect_that("the other CPU stormed", both == 2 && stormed > 0, stormed)?;
    // Whether it was cut off depends on how fast it was.
    pass(COOL_DOWN_MS + 1);
    exchange(STORMY)?;
    // Copies of what was acked late.
    [0, STEADY, STORMY].into_iter().try_for_each(drain)
}
