// SPDX-License-Identifier: MIT OR Apache-2.0
//! A message's life: delivered, acked, handed out again, replayed, too late.

use core::sync::atomic::Ordering::Relaxed;

use bl33::ffa::*;
use bl33::harness::{Outcome, expect, expect_at, expect_that};
use bl33::sp::{command, death};

use super::*;

pub(super) fn there_and_back() -> Outcome {
    for with in [STEADY, SLOW, STORMY] {
        exchange(with).map_err(|f| f.at(with))?;
    }
    // The receiver sees how much time is left, and what it was sent.
    let mail = Mail { hops: 3, ..Mail::new(DISPATCH) };
    accepted(0, STEADY, &mail)?;
    pass(5);
    let got = take_and_ack(STEADY, 0, mail.key)?;
    expect("hops", got.hops, 3)?;
    expect("task", got.task, mail.task)?;
    expect("correlation", got.correlation, mail.correlation)?;
    expect_that("time that is left", (1..=mail.time_to_live).contains(&got.time_to_live), got.time_to_live)?;
    // A nack is not the end: it comes again, a while later.
    let mail = Mail::new(DISPATCH);
    accepted(0, STEADY, &mail)?;
    let got = take(STEADY, 0, mail.key)?;
    accepted(STEADY, 0, &Mail { class: NACK, ..Mail::ack(got.ticket) })?;
    nothing(STEADY)?;
    pass(REDELIVER_MS + 1);
    let got = take_and_ack(STEADY, 0, mail.key)?;
    expect("marked as delivered before", got.flags, 1)
}

pub(super) fn order_and_watermarks() -> Outcome {
    let first = KEYS.load(Relaxed);
    for n in 0..USABLE {
        accepted(0, SLOW, &Mail::new(DISPATCH)).map_err(|f| f.at(n))?;
    }
    refused(0, SLOW, &Mail::new(DISPATCH), BUSY)?;
    control(SLOW_DOWN, SLOW)?;
    nothing(0)?;
    for n in 0..USABLE {
        take(SLOW, 0, first + n).and_then(|mail| accepted(SLOW, 0, &Mail::ack(mail.ticket))).map_err(|f| f.at(n))?;
        // At 30 % of eight places the sender is told to go on, once.
        if USABLE - n - 1 == PLACES * 30 / 100 {
            control(RESUME, SLOW)?;
        }
        nothing(0).map_err(|f| f.at(n))?;
    }
    Ok(())
}

pub(super) fn ack_lost() -> Outcome {
    let (lost, next) = (Mail::new(DISPATCH), Mail::new(DISPATCH));
    accepted(0, SLOW, &lost)?;
    accepted(0, SLOW, &next)?;
    for n in 0..ATTEMPTS {
        let got = take(SLOW, 0, lost.key).map_err(|f| f.at(n))?;
        expect_at("marked as delivered before, attempt", n, got.flags, u64::from(n > 0))?;
        nothing(SLOW)?;
        pass(REDELIVER_MS + 1);
    }
    let got = take(SLOW, 0, next.key)?;
    accepted(SLOW, 0, &Mail::ack(got.ticket))?;
    // What died may be sent again; what was acked is known.
    accepted(0, SLOW, &next)?;
    nothing(SLOW)?;
    accepted(0, SLOW, &lost)?;
    take_and_ack(SLOW, 0, lost.key).map(drop)
}

pub(super) fn crash_and_replay() -> Outcome {
    let first = KEYS.load(Relaxed);
    for _ in 0..3 {
        accepted(0, SLOW, &Mail::new(DISPATCH))?;
    }
    let before = take(SLOW, 0, first)?;
    expect_error(&direct64(SLOW, [command::DIE, death::STAGE2_FAULT, 0, 0, 0])?, ABORTED)?;
    // Its new life registers buffers, and gets what it had in its hands, and then the rest.
    ask(SLOW, command::MAILBOX, [0; 4])?;
    for n in 0..3 {
        let got = take_and_ack(SLOW, 0, first + n).map_err(|f| f.at(n))?;
        expect_at("marked as delivered before", n, got.flags, u64::from(n == 0))?;
        expect_that("the first has its ticket still", n != 0 || got.ticket == before.ticket, got.ticket)?;
    }
    Ok(())
}

pub(super) fn time_to_live() -> Outcome {
    let short = Mail { time_to_live: 5, ..Mail::new(DISPATCH) };
    let (held, long) = (Mail::new(DISPATCH), Mail::new(DISPATCH));
    for mail in [&held, &short, &long] {
        accepted(0, SLOW, mail)?;
    }
    pass(6);
    take_and_ack(SLOW, 0, held.key)?;
    take_and_ack(SLOW, 0, long.key)?;
    refused(0, SLOW, &Mail { time_to_live: 0, ..Mail::new(DISPATCH) }, INVALID_PARAMETERS)
}
