// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in time though nobody makes a call: the Normal world only counts meanwhile.

use bl33::ffa::*;
use bl33::harness::{Outcome, expect, expect_that};
use bl33::mem::{self, RX};
use bl33::{println, time};

use super::*;
use crate::hub::{self, BOTH, EXPIRED, expect_summaries, open};
use crate::notify::Interrupts;

/// The time of a record of a dead letter, and its reason.
const DIED: u64 = 8;
const REASON: u64 = 22;

/// Demands that so many messages have died since the last purge; returns when the first did, and why.
fn dead(count: u64) -> Result<[u64; 2], Failure> {
    expect("dead letters", hub::list(hub::DEAD_LETTERS, 0, 96)?, count)?;
    let first = [mem::get(RX + DIED), mem::get(RX + REASON - 6) >> 48 & 0xff];
    hub::release()?;
    hub::ask(hub::PURGE, [0; 4])?;
    Ok(first)
}

/// A receiver that loses its ack is handed the message again, and the scheduler is told to run it.
pub(super) fn comes_again_by_itself() -> Outcome {
    expect_success(&call_with(NOTIFICATION_BITMAP_CREATE, &[0, 1])?)?;
    let mut told = Interrupts::listen();
    let mail = Mail::new(DISPATCH);
    accepted(0, SLOW, &mail)?;
    told.came()?;
    take(SLOW, 0, mail.key)?;
    told.none()?;
    pass(REDELIVER_MS + 1);
    told.came()?;
    let again = take_and_ack(SLOW, 0, mail.key)?;
    expect("marked as delivered before", again.flags, 1)?;
    pass(REDELIVER_MS + 1);
    told.none()?;
    expect_success(&call_with(NOTIFICATION_BITMAP_DESTROY, &[0])?).map(drop)
}

/// A message dies when its time is over, in its receiver's buffer or not, and one that is never acked at last.
pub(super) fn dies_by_itself() -> Outcome {
    hub::ask(hub::PURGE, [0; 4])?;
    let short = Mail { time_to_live: 5, ..Mail::new(DISPATCH) };
    accepted(0, SLOW, &short)?;
    let sent = time::now();
    pass(15);
    let [died, why] = dead(1)?;
    expect("why it died (its time was over)", why, 1)?;
    expect_that("it died in time", died - sent < time::frequency() / 100, died - sent)?;
    let late = take(SLOW, 0, short.key)?;
    refused(SLOW, 0, &Mail::ack(late.ticket), NO_DATA)?;
    let held = Mail::new(DISPATCH);
    accepted(0, SLOW, &held)?;
    pass(REDELIVER_MS * (ATTEMPTS + 1));
    let [_, why] = dead(1)?;
    expect("why it died (never acked)", why, 2)?;
    take(SLOW, 0, held.key)?;
    exchange(SLOW).map(drop)
}

/// A window ends when its time is up, not when somebody looks.
pub(super) fn a_window_ends_by_itself() -> Outcome {
    open(&[STEADY, SLOW], BOTH, 9, 20, 40)?;
    pass(40);
    expect_summaries(&[[40, EXPIRED, 0, 0]])?;
    hub::list(hub::SUMMARIES, 0, hub::WINDOW_RECORD)?;
    let [opened, ended] = [48, 80].map(|offset| mem::get(RX + offset));
    hub::release()?;
    hub::forget()?;
    let lasted = (ended - opened) * 1000 / time::frequency();
    expect_that("milliseconds that it lasted", (20..30).contains(&lasted), lasted)
}

/// How often the Normal world gets round in so many milliseconds.
fn rounds(milliseconds: u64) -> u64 {
    let (start, ticks) = (time::now(), time::frequency() * milliseconds / 1000);
    let mut rounds = 0;
    while time::now() - start <= ticks {
        rounds += 1;
    }
    rounds
}

/// Messages that die one after the other interrupt the Normal world, and leave it its time.
pub(super) fn a_storm_of_short_lives() -> Outcome {
    hub::ask(hub::PURGE, [0; 4])?;
    let quiet = rounds(USABLE + 2);
    for time_to_live in 1..=USABLE {
        accepted(0, SLOW, &Mail { time_to_live, ..Mail::new(DISPATCH) })?;
    }
    let stormy = rounds(USABLE + 2);
    println!("# rounds of the Normal world: {quiet} alone, {stormy} while {USABLE} messages die");
    expect_that("within 10 %, got percent", stormy * 110 >= quiet * 100, stormy * 100 / quiet.max(1))?;
    // The first one is in its buffer, and in the Normal world's is that it slow down, and go on.
    for id in [SLOW, 0] {
        drain(id)?;
    }
    dead(USABLE)?;
    exchange(SLOW).map(drop)
}
