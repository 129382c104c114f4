// SPDX-License-Identifier: MIT OR Apache-2.0
//! Envelopes between spokes, through a window.

use bl33::ffa::*;
use bl33::harness::{Outcome, expect, expect_at};
use bl33::sp::{command, death};

use super::*;
use crate::hub::{BOTH, BY_COORDINATOR, EXHAUSTED, EXPIRED, FROM_FIRST, PARTICIPANT_DIED};
use crate::hub::{close, expect_summaries, forget, open};

/// Sends a message and has it acked.
fn passes(from: u64, to: u64) -> Outcome {
    let mail = Mail::new(DISPATCH);
    accepted(from, to, &mail)?;
    take_and_ack(to, from, mail.key).map(drop)
}

/// Both ways, until as many have passed as may.
pub(super) fn both_ways_until_it_is_spent() -> Outcome {
    refused(SLOW, STEADY, &Mail::new(DISPATCH), DENIED)?;
    open(&[SLOW, STEADY], BOTH, 3, 10_000, 30)?;
    passes(SLOW, STEADY)?;
    passes(STEADY, SLOW)?;
    refused(STORMY, SLOW, &Mail::new(DISPATCH), DENIED)?;
    refused(SLOW, STORMY, &Mail::new(DISPATCH), DENIED)?;
    passes(SLOW, STEADY)?;
    for (from, to) in [(SLOW, STEADY), (STEADY, SLOW)] {
        refused(from, to, &Mail::new(DISPATCH), DENIED)?;
    }
    // Acks are not counted.
    expect_summaries(&[[30, EXHAUSTED, 2, 1]])?;
    forget()
}

/// Only what is accepted counts: no duplicate, nothing that is refused. The other way only acks pass.
pub(super) fn one_way_counts_what_is_accepted() -> Outcome {
    let window = open(&[SLOW, STEADY], FROM_FIRST, 9, 10_000, 31)?;
    let first = Mail::new(DISPATCH);
    accepted(SLOW, STEADY, &first)?;
    accepted(SLOW, STEADY, &first)?;
    for _ in 1..USABLE {
        accepted(SLOW, STEADY, &Mail::new(DISPATCH))?;
    }
    refused(SLOW, STEADY, &Mail::new(DISPATCH), BUSY)?;
    refused(SLOW, STEADY, &Mail { time_to_live: 0, ..Mail::new(DISPATCH) }, INVALID_PARAMETERS)?;
    for n in 0..USABLE {
        take_and_ack(STEADY, SLOW, first.key + n).map_err(|f| f.at(n))?;
    }
    refused(STEADY, SLOW, &Mail::new(DISPATCH), DENIED)?;
    // To slow down, and to go on.
    for task in [SLOW_DOWN, RESUME] {
        let (sender, mail) = receive(SLOW)?.ok_or(Failure::because("a control message in RX", task))?;
        expect_at("sender of a control message", task, sender, SPMC)?;
        expect_at("whom it is about", task, mail.correlation, STEADY)?;
    }
    close(window)?;
    expect_summaries(&[[31, BY_COORDINATOR, USABLE, 0]])?;
    forget()
}

/// The window's time is up while one message is with its receiver and another one waits: both arrive and are acked, the
/// answer has no way any more.
pub(super) fn expiry_in_the_middle() -> Outcome {
    let (with_it, waits) = (Mail::new(DISPATCH), Mail::new(DISPATCH));
    open(&[SLOW, STEADY], BOTH, 9, 20, 32)?;
    accepted(SLOW, STEADY, &with_it)?;
    accepted(SLOW, STEADY, &waits)?;
    take(STEADY, SLOW, with_it.key)?;
    pass(REDELIVER_MS + 5);
    refused(STEADY, SLOW, &Mail::new(RESULT), DENIED)?;
    refused(SLOW, STEADY, &Mail::new(DISPATCH), DENIED)?;
    take_and_ack(STEADY, SLOW, with_it.key)?;
    take_and_ack(STEADY, SLOW, waits.key)?;
    expect_summaries(&[[32, EXPIRED, 2, 0]])?;
    forget()
}

/// The receiver dies with a message in its hands: the window closes, the message comes again.
pub(super) fn crash_in_the_middle() -> Outcome {
    let mail = Mail::new(DISPATCH);
    open(&[STEADY, SLOW], BOTH, 9, 10_000, 33)?;
    accepted(STEADY, SLOW, &mail)?;
    expect_error(&direct64(SLOW, [command::DIE, death::STAGE2_FAULT, 0, 0, 0])?, ABORTED)?;
    refused(STEADY, SLOW, &Mail::new(DISPATCH), DENIED)?;
    expect_summaries(&[[33, PARTICIPANT_DIED, 1, 0]])?;
    ask(SLOW, command::MAILBOX, [0; 4])?;
    let again = take_and_ack(SLOW, STEADY, mail.key)?;
    expect("marked as delivered before", again.flags, 1)?;
    forget()
}
