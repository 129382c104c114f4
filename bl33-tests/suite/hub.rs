// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hub: who talks, windows, the management service. Needs an SPMC whose manifest has a hub, so it runs in boots of
//! its own: `hub` where the Normal world coordinates, `gone` where relay does and dies.
//!
//! Numbers are typed as `docs/hub-and-spoke.md` has them, not taken from the SPMC's own crate.

use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::mem::{self, RX};
use bl33::sp::{Conduit, command, death, raw, status, try_command};
use bl33::time;

use crate::rxtx::{map, unmap};

pub(crate) const CASES: &[Case] = &[
    Case::new("hub::found", found).asked(),
    Case::new("hub::described", described).asked(),
    Case::new("hub::window_life", || with_buffers(window_life)).asked(),
    Case::new("hub::window_of_three_one_way", || with_buffers(window_of_three_one_way)).asked(),
    Case::new("hub::last_message", || with_buffers(last_message)).asked(),
    Case::new("hub::expiry", || with_buffers(expiry)).asked(),
    Case::new("hub::expiry_in_the_middle_of_a_chain", || with_buffers(expiry_in_a_chain)).asked(),
    Case::new("hub::nothing_is_passed_on", || with_buffers(nothing_is_passed_on)).asked(),
    Case::new("hub::bad_windows", || with_buffers(bad_windows)).asked(),
    Case::new("hub::correlation_reused", || with_buffers(correlation_reused)).asked(),
    Case::new("hub::bad_calls", bad_calls).asked(),
    Case::new("hub::forged_senders", forged_senders).asked(),
    Case::new("hub::isolate_and_reset", || with_buffers(isolate_and_reset)).asked(),
    Case::new("hub::pause_and_resume", pause_and_resume).asked(),
    Case::new("hub::trip_and_try", trip_and_try).asked(),
    Case::new("hub::kept_and_fetched", kept_and_fetched).asked(),
    Case::new("hub::spokes_see_what_concerns_them", || with_buffers(spokes_see)).asked(),
    Case::new("hub::refusals_are_told", || with_buffers(refusals_are_told)).asked(),
    Case::new("gone::coordinator", coordinator_gone).asked(),
];

const HUB: u64 = 0x8ff0;
/// b4a2e6c1-7d35-4f0e-9a58-3c61d2f7e084, as FFA_PARTITION_INFO_GET takes it.
const SERVICE: [u64; 4] = [0xc1e6_a2b4, 0x0e4f_357d, 0x613c_589a, 0x84e0_f7d2];

const DESCRIBE: u64 = 1;
const OPEN: u64 = 2;
const CLOSE: u64 = 3;
const WINDOWS: u64 = 4;
pub(crate) const SUMMARIES: u64 = 5;
pub(crate) const FORGET: u64 = 6;
const EVENTS: u64 = 7;
const PARTITIONS: u64 = 8;
pub(crate) const DEAD_LETTERS: u64 = 9;
pub(crate) const PURGE: u64 = 11;
const CONTROL: u64 = 12;
const KEEP: u64 = 14;
const FETCH: u64 = 15;
const ROUTES: u64 = 16;

pub(crate) const BOTH: u64 = 0;
pub(crate) const FROM_FIRST: u64 = 1;

pub(crate) const BY_COORDINATOR: u64 = 1;
pub(crate) const EXPIRED: u64 = 2;
pub(crate) const EXHAUSTED: u64 = 3;
const BREAKER: u64 = 4;
pub(crate) const PARTICIPANT_DIED: u64 = 5;
const COORDINATOR_GONE: u64 = 6;

const MALFORMED: u64 = 1;
const UNKNOWN_CALL: u64 = 2;
const NOT_COORDINATOR: u64 = 3;
const UNKNOWN_PARTICIPANT: u64 = 4;
const PARTICIPANT_TWICE: u64 = 5;
const PARTICIPANT_COUNT: u64 = 6;
const COORDINATOR_IN_WINDOW: u64 = 7;
const CORRELATION_REUSED: u64 = 8;
const PAIR_HAS_WINDOW: u64 = 9;
const NO_SUCH_WINDOW: u64 = 11;
const PARTICIPANT_DOWN: u64 = 14;
const NO_SUCH_ENTRY: u64 = 15;

pub(crate) const WINDOW_RECORD: u64 = 96;

fn with_buffers(case: fn() -> Outcome) -> Outcome {
    map()?;
    let outcome = case();
    let forgotten = forget();
    unmap()?;
    outcome.and(forgotten)
}

/// Asks the service; x3 is whole. Returns the status and x4 to x7.
fn ask_raw(x3: u64, [a, b, c, d]: [u64; 4]) -> Result<[u64; 5], Failure> {
    let r = direct64(HUB, [x3, a, b, c, d])?;
    expect("x0 (DIRECT_RESP64)", r[0], DIRECT_RESP_64)?;
    expect("x1 (from the service)", r[1], HUB << 16)?;
    expect("x2", r[2], 0)?;
    Ok([r[3], r[4], r[5], r[6], r[7]])
}

pub(crate) fn ask(x3: u64, args: [u64; 4]) -> Result<[u64; 4], Failure> {
    let [status, a, b, c, d] = ask_raw(x3, args)?;
    expect_at("status of call", x3, status, 0)?;
    Ok([a, b, c, d])
}

fn refused(x3: u64, args: [u64; 4], why: u64) -> Outcome {
    let [status, a, b, c, d] = ask_raw(x3, args)?;
    expect_at("status of call", x3, status, why)?;
    expect("x4-x7 of a refusal", a | b | c | d, 0)
}

/// x3 of a call that opens a window.
fn open_word(count: u64, direction: u64, limit: u64, ms: u64) -> u64 {
    OPEN | direction << 8 | count << 12 | limit << 16 | ms << 32
}

fn ids(participants: &[u64]) -> u64 {
    participants.iter().rev().fold(0, |word, id| word << 16 | id)
}

pub(crate) fn open(
    participants: &[u64],
    direction: u64,
    limit: u64,
    ms: u64,
    correlation: u64,
) -> Result<u64, Failure> {
    let x3 = open_word(participants.len() as u64, direction, limit, ms);
    ask(x3, [ids(participants), correlation, 0x1111, 0x2222]).map(|[id, ..]| id)
}

pub(crate) fn close(id: u64) -> Outcome {
    ask(CLOSE, [id, 0, 0, 0]).map(|_| ())
}

/// Forgets the summaries.
pub(crate) fn forget() -> Outcome {
    ask(FORGET, [0; 4]).map(|_| ())
}

/// Asks for a list; returns how many records of `size` bytes are in RX, which the caller releases.
pub(crate) fn list(x3: u64, from: u64, size: u64) -> Result<u64, Failure> {
    let [count, each, more, _] = ask(x3, [from, 0, 0, 0])?;
    expect("bytes of a record", each, size)?;
    expect("more records", more, 0)?;
    Ok(count)
}

pub(crate) fn release() -> Outcome {
    expect_success(&call_with(RX_RELEASE, &[])?).map(|_| ())
}

/// What the tests look at of a summary: correlation id, why it closed, messages forward and back.
fn summary(n: u64) -> [u64; 4] {
    let at = RX + n * WINDOW_RECORD;
    let counts = mem::get(at + 40);
    [mem::get(at + 16), mem::get(at) >> 32 & 0xff, counts >> 16 & 0xffff, counts >> 32 & 0xffff]
}

/// Demands that these are the summaries.
pub(crate) fn expect_summaries(wanted: &[[u64; 4]]) -> Outcome {
    expect("summaries", list(SUMMARIES, 0, WINDOW_RECORD)?, wanted.len() as u64)?;
    for (n, want) in wanted.iter().enumerate() {
        let got = summary(n as u64);
        for (got, want) in got.iter().zip(want) {
            expect_at("correlation, reason, forward, back of summary", n as u64, *got, *want)?;
        }
        let at = RX + n as u64 * WINDOW_RECORD;
        let [opened, first, last, ended] = [48, 64, 72, 88 - 8].map(|offset| mem::get(at + offset));
        if want[2] + want[3] > 0 {
            expect_that("times are in order", opened <= first && first <= last && last <= ended, n as u64)?;
        } else {
            expect_at("no message has a time", n as u64, first | last, 0)?;
        }
    }
    if !wanted.is_empty() {
        release()?;
    }
    Ok(())
}

/// Lets a partition ask echo, directly from there.
fn forwards(from: u64, to: u64) -> Outcome {
    let [status, p, q, ..] = try_command(from, command::FORWARD, [to, 0, 0x77, 0])?;
    expect("status of FORWARD; its word 1 follows", status, status::OK).map_err(|f| f.at(p))?;
    expect("the answer", q, 0x1077)
}

/// Demands that a partition is denied a request to another.
fn denied(from: u64, to: u64) -> Outcome {
    let [status, code, ..] = try_command(from, command::FORWARD, [to, 0, 0x77, 0])?;
    expect("status of FORWARD (FFA_ERROR)", status, status::FFA_ERROR)?;
    expect("its code (DENIED)", code, DENIED as u64)
}

fn found() -> Outcome {
    let [a, b, c, d] = SERVICE;
    let r = call([PARTITION_INFO_GET, a, b, c, d, 1, 0, 0])?;
    expect("partitions with the service", expect_success(&r)?, 1)?;
    let r = call([PARTITION_INFO_GET, 0, 0, 0, 0, 1, 0, 0])?;
    expect("partitions and the service", expect_success(&r)?, 4)?;
    map()?;
    let r = call([PARTITION_INFO_GET, a, b, c, d, 0, 0, 0])?;
    expect("partitions with the service", expect_success(&r)?, 1)?;
    let (first, uuid) = (mem::get(RX), mem::get(RX + 8) | mem::get(RX + 16));
    release()?;
    unmap()?;
    expect("id, contexts", first & 0xffff_ffff, HUB | 1 << 16)?;
    expect("properties: receives direct requests, AArch64", first >> 32, 1 | 1 << 8)?;
    expect("UUID of a query that named one", uuid, 0)
}

fn described() -> Outcome {
    let [a, b, c, next] = ask(DESCRIBE, [0; 4])?;
    expect("version", a & 0xffff_ffff, 1 << 16)?;
    expect("coordinator (the caller)", a >> 32, 1 << 16)?;
    expect("windows: open, most", b & 0xffff, 8 << 8)?;
    expect("the counter's frequency", c & 0xffff_ffff, time::frequency())?;
    expect_that("free table pages", c >> 32 > 0, c >> 32)?;
    expect_that("events are counted from 1", next >= 1, next)
}

fn window_life() -> Outcome {
    denied(RELAY, ECHO)?;
    let id = open(&[RELAY, ECHO], BOTH, 10, 10_000, 1)?;
    for _ in 0..3 {
        forwards(RELAY, ECHO)?;
    }
    denied(RELAY, PERCPU)?;
    denied(PERCPU, ECHO)?;
    expect("open windows", list(WINDOWS, 0, WINDOW_RECORD)?, 1)?;
    let [correlation, closed, forward, back] = summary(0);
    release()?;
    expect("correlation", correlation, 1)?;
    expect("why it closed (it is open)", closed, 0)?;
    expect("messages forward", forward, 3)?;
    expect("messages back", back, 0)?;
    close(id)?;
    refused(CLOSE, [id, 0, 0, 0], NO_SUCH_WINDOW)?;
    denied(RELAY, ECHO)?;
    expect("open windows", list(WINDOWS, 0, WINDOW_RECORD)?, 0)?;
    expect_summaries(&[[1, BY_COORDINATOR, 3, 0]])
}

fn window_of_three_one_way() -> Outcome {
    let id = open(&[PERCPU, RELAY, ECHO], FROM_FIRST, 10, 10_000, 2)?;
    forwards(PERCPU, RELAY)?;
    forwards(PERCPU, ECHO)?;
    denied(RELAY, PERCPU)?;
    denied(RELAY, ECHO)?;
    close(id)?;
    let id = open(&[PERCPU, RELAY, ECHO], BOTH, 10, 10_000, 3)?;
    forwards(RELAY, ECHO)?;
    forwards(RELAY, PERCPU)?;
    forwards(PERCPU, RELAY)?;
    close(id)?;
    expect_summaries(&[[2, BY_COORDINATOR, 2, 0], [3, BY_COORDINATOR, 1, 2]])
}

fn last_message() -> Outcome {
    open(&[RELAY, ECHO], BOTH, 2, 10_000, 4)?;
    forwards(RELAY, ECHO)?;
    forwards(RELAY, ECHO)?;
    denied(RELAY, ECHO)?;
    expect_summaries(&[[4, EXHAUSTED, 2, 0]])
}

fn expiry() -> Outcome {
    open(&[RELAY, ECHO], BOTH, 100, 20, 5)?;
    forwards(RELAY, ECHO)?;
    time::wait_for(21, || false);
    denied(RELAY, ECHO)?;
    expect_summaries(&[[5, EXPIRED, 1, 0]])
}

/// The request is under way when the time is up: it is answered, and it was the last one.
fn expiry_in_a_chain() -> Outcome {
    open(&[RELAY, PERCPU], BOTH, 100, 20, 6)?;
    let ticks = time::frequency() / 1000 * 40;
    let [status, inner, first, last, _] = try_command(RELAY, command::FORWARD, [PERCPU, command::SPIN, ticks, 0])?;
    expect("status of FORWARD", status, status::OK)?;
    expect("status of SPIN", inner, status::OK)?;
    expect_that("it took that long", last.wrapping_sub(first) >= ticks, last.wrapping_sub(first))?;
    denied(RELAY, PERCPU)?;
    expect_summaries(&[[6, EXPIRED, 1, 0]])
}

/// The Normal world -> relay -> (window) percpu -> echo: the last step is denied, though a window connects them, too.
fn nothing_is_passed_on() -> Outcome {
    let first = open(&[RELAY, PERCPU], BOTH, 100, 10_000, 7)?;
    let second = open(&[PERCPU, ECHO], BOTH, 100, 10_000, 8)?;
    let [status, inner, code, ..] = try_command(RELAY, command::FORWARD, [PERCPU, command::FORWARD, ECHO, 0])?;
    expect("status of relay's FORWARD", status, status::OK)?;
    expect("status of percpu's FORWARD (FFA_ERROR)", inner, status::FFA_ERROR)?;
    expect("its code (DENIED)", code, DENIED as u64)?;
    forwards(PERCPU, ECHO)?;
    close(first)?;
    close(second)?;
    expect_summaries(&[[7, BY_COORDINATOR, 1, 0], [8, BY_COORDINATOR, 1, 0]])
}

fn bad_windows() -> Outcome {
    let word = |count| open_word(count, BOTH, 1, 1000);
    let two = ids(&[RELAY, ECHO]);
    for stranger in [0x8004, 0x8000, 0xffff, HUB, 1, 0x7fff] {
        refused(word(2), [ids(&[RELAY, stranger]), 9, 0, 0], UNKNOWN_PARTICIPANT).map_err(|f| f.at(stranger))?;
    }
    refused(word(2), [ids(&[RELAY, 0]), 9, 0, 0], COORDINATOR_IN_WINDOW)?;
    refused(word(2), [ids(&[RELAY, RELAY]), 9, 0, 0], PARTICIPANT_TWICE)?;
    refused(word(3), [ids(&[RELAY, ECHO, RELAY]), 9, 0, 0], PARTICIPANT_TWICE)?;
    for count in [0, 1, 5, 15] {
        refused(word(count), [two, 9, 0, 0], PARTICIPANT_COUNT).map_err(|f| f.at(count))?;
    }
    refused(word(2), [two | PERCPU << 32, 9, 0, 0], MALFORMED)?;
    refused(open_word(2, 2, 1, 1000), [two, 9, 0, 0], MALFORMED)?;
    refused(open_word(2, BOTH, 0, 1000), [two, 9, 0, 0], MALFORMED)?;
    refused(open_word(2, BOTH, 1, 0), [two, 9, 0, 0], MALFORMED)?;
    let id = open(&[RELAY, ECHO], BOTH, 1, 10_000, 9)?;
    refused(word(2), [ids(&[ECHO, RELAY]), 10, 0, 0], PAIR_HAS_WINDOW)?;
    refused(word(3), [ids(&[PERCPU, ECHO, RELAY]), 10, 0, 0], PAIR_HAS_WINDOW)?;
    close(id)?;
    denied(RELAY, ECHO)?;
    expect_summaries(&[[9, BY_COORDINATOR, 0, 0]])
}

fn correlation_reused() -> Outcome {
    let id = open(&[RELAY, ECHO], BOTH, 1, 10_000, 11)?;
    refused(open_word(2, BOTH, 1, 1000), [ids(&[PERCPU, ECHO]), 11, 0, 0], CORRELATION_REUSED)?;
    close(id)?;
    // As long as there is a summary of that name.
    refused(open_word(2, BOTH, 1, 1000), [ids(&[PERCPU, ECHO]), 11, 0, 0], CORRELATION_REUSED)?;
    let [gone, ..] = ask(FORGET, [0; 4])?;
    expect("summaries forgotten", gone, 1)?;
    let next = open(&[PERCPU, ECHO], BOTH, 1, 10_000, 11)?;
    expect_that("another window has another id", next != id, next)?;
    close(next)
}

/// Without RX buffers: the three partitions' records in three fetches each, and nothing behind them.
fn kept_and_fetched() -> Outcome {
    let [count, size, more, _] = ask(KEEP | PARTITIONS << 8, [0; 4])?;
    expect("records kept", count, 3)?;
    expect("bytes of each", size, 64)?;
    expect("more", more, 0)?;
    for (n, id) in [ECHO, RELAY, PERCPU].into_iter().enumerate() {
        let [first, ..] = ask(FETCH, [n as u64 * size, 0, 0, 0])?;
        expect_at("partition", n as u64, first & 0xffff, id)?;
    }
    ask(FETCH, [count * size - 1, 0, 0, 0])?;
    refused(FETCH, [count * size, 0, 0, 0], NO_SUCH_ENTRY)?;
    refused(FETCH, [0xffff_ffff, 0, 0, 0], NO_SUCH_ENTRY)
}

fn bad_calls() -> Outcome {
    for code in [0, 17, 99, 255] {
        refused(code, [0; 4], UNKNOWN_CALL).map_err(|f| f.at(code))?;
    }
    for code in
        [DESCRIBE, CLOSE, WINDOWS, SUMMARIES, FORGET, EVENTS, PARTITIONS, DEAD_LETTERS, 10, PURGE, 13, FETCH, ROUTES]
    {
        refused(code | 1 << 8, [0; 4], MALFORMED).map_err(|f| f.at(code))?;
        refused(code | 1 << 63, [0; 4], MALFORMED).map_err(|f| f.at(code))?;
        for args in [[0, 1, 0, 0], [0, 0, 1 << 63, 0], [0, 0, 0, 1]] {
            refused(code, args, MALFORMED).map_err(|f| f.at(code))?;
        }
    }
    for code in [CONTROL | 1 << 8, KEEP | WINDOWS << 8] {
        for args in [[ECHO, 1, 0, 0], [ECHO, 0, 1 << 63, 0], [ECHO, 0, 0, 1]] {
            refused(code, args, MALFORMED)?;
            refused(code | 1 << 16, [ECHO, 0, 0, 0], MALFORMED)?;
        }
    }
    for kept in [0, DESCRIBE, OPEN, CONTROL, KEEP, FETCH, 17, 255] {
        refused(KEEP | kept << 8, [0; 4], MALFORMED)?;
    }
    for what in [0, 6, 255] {
        refused(CONTROL | what << 8, [ECHO, 0, 0, 0], MALFORMED)?;
    }
    for id in [0x1_8001, 1 << 63] {
        refused(CONTROL | 1 << 8, [id, 0, 0, 0], MALFORMED)?;
    }
    refused(CONTROL | 1 << 8, [0x8009, 0, 0, 0], UNKNOWN_PARTICIPANT)?;
    refused(CONTROL | 1 << 8, [0, 0, 0, 0], COORDINATOR_IN_WINDOW)?;
    for code in [WINDOWS, CLOSE, PARTITIONS] {
        refused(code, [1 << 32, 0, 0, 0], MALFORMED)?;
    }
    // Only in 64 bits, only by direct request, nothing in x2.
    expect_error(&direct32(HUB, [DESCRIBE, 0, 0, 0, 0])?, INVALID_PARAMETERS)?;
    expect_error(&call([DIRECT_REQ2, HUB, 0, 0, DESCRIBE, 0, 0, 0])?, INVALID_PARAMETERS)?;
    expect_error(&call([DIRECT_REQ_64, HUB, 1, DESCRIBE, 0, 0, 0, 0])?, INVALID_PARAMETERS)?;
    expect_error(&call([RUN, HUB << 16, 0, 0, 0, 0, 0, 0])?, INVALID_PARAMETERS)?;
    expect_echo(1)
}

fn forged_senders() -> Outcome {
    for source in [RELAY, HUB, SPMC] {
        let r = call([DIRECT_REQ_64, source << 16 | HUB, 0, DESCRIBE, 0, 0, 0, 0])?;
        expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(source))?;
    }
    // A VM is not the coordinator; nor is relay, whoever it says it is.
    let x3 = open_word(2, BOTH, 1, 1000);
    let r = call([DIRECT_REQ_64, 5 << 16 | HUB, 0, x3, ids(&[RELAY, ECHO]), 12, 0, 0])?;
    expect("status for a VM", r[3], NOT_COORDINATOR)?;
    let by_relay = |w1| raw(RELAY, Conduit::Smc, [DIRECT_REQ_64, w1, 0, x3, ids(&[PERCPU, ECHO]), 12, 0, 0]);
    let [x0, _, x2, _] = by_relay(HUB)?;
    expect("x0 for a forged sender", x0, ERROR)?;
    expect("its code", x2 as u32 as u64, INVALID_PARAMETERS as u32 as u64)?;
    let [x0, x1, _, x3] = by_relay(RELAY << 16 | HUB)?;
    expect("x0 for relay", x0, DIRECT_RESP_64)?;
    expect("x1 for relay", x1, HUB << 16 | RELAY)?;
    expect("status for relay", x3, NOT_COORDINATOR)
}

fn control(what: u64, id: u64) -> Outcome {
    ask(CONTROL | what << 8, [id, 0, 0, 0]).map(|_| ())
}

fn isolate_and_reset() -> Outcome {
    open(&[RELAY, ECHO], BOTH, 10, 10_000, 13)?;
    control(1, ECHO)?;
    expect_error(&direct64(ECHO, [0; 5])?, DENIED)?;
    denied(RELAY, ECHO)?;
    refused(open_word(2, BOTH, 1, 1000), [ids(&[PERCPU, ECHO]), 14, 0, 0], PARTICIPANT_DOWN)?;
    control(5, ECHO)?;
    expect_echo(2)?;
    denied(RELAY, ECHO)?;
    expect_summaries(&[[13, BREAKER, 0, 0]])
}

fn pause_and_resume() -> Outcome {
    control(2, ECHO)?;
    expect_error(&direct64(ECHO, [0; 5])?, BUSY)?;
    control(3, ECHO)?;
    expect_echo(3)
}

fn trip_and_try() -> Outcome {
    control(4, ECHO)?;
    // The coordinator gets through; windows there are none.
    expect_echo(4)?;
    refused(open_word(2, BOTH, 1, 1000), [ids(&[RELAY, ECHO]), 16, 0, 0], PARTICIPANT_DOWN)?;
    time::wait_for(101, || false);
    // The one that tries, and what shows that it went well.
    expect_echo(5)?;
    expect_echo(6)?;
    close(open(&[RELAY, ECHO], BOTH, 1, 1000, 16)?)?;
    forget()
}

fn spokes_see() -> Outcome {
    let id = open(&[PERCPU, ECHO], BOTH, 10, 10_000, 15)?;
    let [rx, ..] = bl33::sp::command(RELAY, command::MAILBOX, [0; 4]).map(|[_, rx, ..]| [rx])?;
    expect_that("relay has an RX buffer", rx != 0, rx)?;
    for (who, windows) in [(RELAY, 0), (PERCPU, 1)] {
        bl33::sp::command(who, command::MAILBOX, [0; 4])?;
        let [x0, _, _, x3] = raw(who, Conduit::Smc, [DIRECT_REQ_64, who << 16 | HUB, 0, WINDOWS, 0, 0, 0, 0])?;
        expect_at("x0 for", who, x0, DIRECT_RESP_64)?;
        expect_at("status for", who, x3, 0)?;
        let [count, ..] = bl33::sp::command(who, command::RESULT, [4, 0, 0, 0])?;
        expect_at("windows that concern", who, count, windows)?;
        if windows > 0 {
            let [correlation, ..] = bl33::sp::command(who, command::RX_READ, [16, 0, 0, 0])?;
            expect("correlation", correlation, 15)?;
            raw(who, Conduit::Smc, [RX_RELEASE, 0, 0, 0, 0, 0, 0, 0])?;
        }
    }
    close(id)
}

fn refusals_are_told() -> Outcome {
    let [_, _, _, next] = ask(DESCRIBE, [0; 4])?;
    denied(PERCPU, ECHO)?;
    denied(PERCPU, ECHO)?;
    let count = list(EVENTS, next, 96)?;
    let [sequence, ends, status, kind] = [0, 16, 24, 28].map(|offset| mem::get(RX + offset));
    release()?;
    // One loop of the same is one record.
    expect("events", count, 1)?;
    expect("its number: the second one's", sequence, next + 1)?;
    expect("who, whom, the call", ends, PERCPU | ECHO << 16 | DIRECT_REQ_64 << 32)?;
    expect("its code", status & 0xffff_ffff, DENIED as u32 as u64)?;
    expect("a refusal, repeated once", kind >> 32, 1 | 1 << 16)?;
    expect("partitions", list(PARTITIONS, 0, 64)?, 3)?;
    let percpu = RX + 2 * 64;
    let (id, name) = (mem::get(percpu) & 0xffff, mem::get(percpu + 23 - 7) >> 56);
    release()?;
    expect("id of the third", id, PERCPU)?;
    expect("the first letter of its name", name, b'p'.into())
}

/// Relay coordinates here, and the Normal world is a spoke.
fn coordinator_gone() -> Outcome {
    map()?;
    expect_error(&direct64(PERCPU, [0; 5])?, DENIED)?;
    refused(open_word(2, BOTH, 1, 1000), [ids(&[PERCPU, ECHO]), 1, 0, 0], NOT_COORDINATOR)?;
    for (pair, correlation) in [([0, PERCPU], 1), ([PERCPU, ECHO], 2)] {
        let x3 = open_word(2, BOTH, 100, 60_000);
        let regs = [DIRECT_REQ_64, RELAY << 16 | HUB, 0, x3, ids(&pair), correlation, 0, 0];
        let [x0, _, _, status] = raw(RELAY, Conduit::Smc, regs)?;
        expect("x0 for the coordinator", x0, DIRECT_RESP_64)?;
        expect("status for the coordinator", status, 0)?;
    }
    // What came through a window goes no further.
    denied(PERCPU, ECHO)?;
    let r = direct64(RELAY, [command::DIE, death::STAGE2_FAULT, 0, 0, 0])?;
    expect_error(&r, ABORTED)?;
    // The spokes keep what they are at, and route nothing.
    expect_error(&direct64(PERCPU, [0; 5])?, DENIED)?;
    let [a, ..] = ask_raw(DESCRIBE, [0; 4]).map(|[_, a, ..]| [a])?;
    expect("coordinator", a >> 32 & 0xffff, RELAY)?;
    let shown = list(SUMMARIES, 0, WINDOW_RECORD)?;
    let first = summary(0);
    release()?;
    expect("summaries that concern the Normal world", shown, 1)?;
    expect("why it closed", first[1], COORDINATOR_GONE)?;
    refused(FORGET, [0; 4], NOT_COORDINATOR)?;
    unmap()
}
