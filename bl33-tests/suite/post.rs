// SPDX-License-Identifier: MIT OR Apache-2.0
//! Supervised messages: envelopes, acks, replay, breakers, the hub's timer, windows. Needs an SPMC whose manifest has a hub, and the partitions
//! `steady`, `slow` and `stormy`: runs in a boot of its own (`--only post`).
//!
//! Every case leaves the queues empty, the breakers closed and the Normal world without buffers.

mod bad;
mod messages;
mod storms;
mod timer;
mod windows;

use core::sync::atomic::{AtomicU64, Ordering::*};

use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_that};
use bl33::mem::{self, RX, TX};
use bl33::sp::command;
use bl33::time;

use crate::notify::{ask, call_as};
use crate::rxtx::{map, unmap};

pub(crate) const CASES: &[Case] = &[
    Case::new("post::there_and_back", || supervised(messages::there_and_back)).asked(),
    Case::new("post::order_and_watermarks", || supervised(messages::order_and_watermarks)).asked(),
    Case::new("post::ack_lost", || supervised(messages::ack_lost)).asked(),
    Case::new("post::crash_and_replay", || supervised(messages::crash_and_replay)).asked(),
    Case::new("post::time_to_live", || supervised(messages::time_to_live)).asked(),
    Case::new("post::breaker_trips_tries_and_recovers", || supervised(storms::breaker)).asked(),
    Case::new("post::duplicate_storm", || supervised(storms::duplicate_storm)).asked(),
    Case::new("post::denial_storm", || supervised(storms::denial_storm)).asked(),
    Case::new("post::a_storm_costs_the_others_nothing", || supervised(storms::storm)).asked().noisy(),
    Case::new("post::comes_again_by_itself", || supervised(timer::comes_again_by_itself)).asked(),
    Case::new("post::dies_by_itself", || supervised(timer::dies_by_itself)).asked(),
    Case::new("post::a_window_ends_by_itself", || supervised(timer::a_window_ends_by_itself)).asked(),
    Case::new("post::a_storm_of_short_lives", || supervised(timer::a_storm_of_short_lives)).asked().noisy(),
    Case::new("post::window_spent", || supervised(windows::both_ways_until_it_is_spent)).asked(),
    Case::new("post::window_one_way", || supervised(windows::one_way_counts_what_is_accepted)).asked(),
    Case::new("post::window_expires_in_the_middle", || supervised(windows::expiry_in_the_middle)).asked(),
    Case::new("post::window_crash_in_the_middle", || supervised(windows::crash_in_the_middle)).asked(),
    Case::new("post::bad_envelopes", || supervised(bad::bad_envelopes)).asked(),
    Case::new("post::forged_senders", || supervised(bad::forged_senders)).asked(),
    Case::new("post::forged_acks", || supervised(bad::forged_acks)).asked(),
    Case::new("postsmp::beside_a_storm_on_another_cpu", || supervised(storms::beside_a_storm)).asked().noisy(),
];

const STEADY: u64 = 0x8011;
const SLOW: u64 = 0x8012;
const STORMY: u64 = 0x8013;

/// Bytes of the message header and of the envelope.
const HEADER: u64 = 40;
const ENVELOPE: u64 = 64;
/// Places of each queue, and how many of them are for one sender.
const PLACES: u64 = 8;
const USABLE: u64 = 7;
/// Of the SPMC's manifest.
const REDELIVER_MS: u64 = 20;
const ATTEMPTS: u64 = 5;
const COOL_DOWN_MS: u64 = 100;
const STORM: u64 = 16;

const DISPATCH: u64 = 1;
const ACK: u64 = 2;
const NACK: u64 = 3;
const RESULT: u64 = 6;
const CONTROL: u64 = 8;
const SLOW_DOWN: u64 = 1;
const RESUME: u64 = 2;

/// No two messages of a run have one key, unless a case wants that.
static KEYS: AtomicU64 = AtomicU64::new(1);

fn fresh() -> u64 {
    KEYS.fetch_add(1, Relaxed)
}

/// An envelope and eight bytes of payload, as words.
#[derive(Clone, Copy, Debug)]
struct Mail {
    class: u64,
    hops: u64,
    flags: u64,
    time_to_live: u64,
    task: u64,
    correlation: u64,
    key: u64,
    ticket: u64,
    reserved: [u64; 3],
    payload: u64,
}

impl Mail {
    fn new(class: u64) -> Self {
        let key = fresh();
        let (hops, flags, time_to_live, reserved) = (0, 0, 60_000, [0; 3]);
        Self { class, hops, flags, time_to_live, task: 5, correlation: 6, key, ticket: 0, reserved, payload: !key }
    }

    fn ack(ticket: u64) -> Self {
        Self { ticket, key: 0, ..Self::new(ACK) }
    }

    fn words(&self) -> [u64; 9] {
        let first = 1 | self.class << 8 | self.hops << 16 | self.flags << 24 | self.time_to_live << 32;
        let [a, b, c] = self.reserved;
        [first, self.task, self.correlation, self.key, self.ticket, a, b, c, self.payload]
    }

    fn from_words(w: [u64; 9]) -> Self {
        let [first, task, correlation, key, ticket, a, b, c, payload] = w;
        Self {
            class: first >> 8 & 0xff,
            hops: first >> 16 & 0xff,
            flags: first >> 24 & 0xff,
            time_to_live: first >> 32,
            task,
            correlation,
            key,
            ticket,
            reserved: [a, b, c],
            payload,
        }
    }
}

/// Writes a message to the sender's TX buffer.
fn write(from: u64, to: u64, size: u64, mail: &Mail) -> Outcome {
    let header = [0, HEADER | (from << 16 | to) << 32, size, 0, 0];
    let mut words = header.into_iter().chain(mail.words());
    for at in (0..HEADER + ENVELOPE + 8).step_by(24) {
        let three = [0; 3].map(|_: u64| words.next().unwrap_or(0));
        if from < 0x8000 {
            (0..3).for_each(|n| mem::put(TX + at + 8 * n, three[n as usize]));
        } else {
            ask(from, command::TX_WRITE, [at, three[0], three[1], three[2]])?;
        }
    }
    Ok(())
}

/// Sends a message; returns the status code of a refusal.
fn send(from: u64, to: u64, mail: &Mail) -> Result<Option<i32>, Failure> {
    write(from, to, ENVELOPE + 8, mail)?;
    Ok(error_code(&call_as(from, [MSG_SEND2, from << 16, 0, 0, 0, 0, 0, 0])?))
}

fn refused(from: u64, to: u64, mail: &Mail, code: i32) -> Outcome {
    let got = send(from, to, mail)?.unwrap_or(0);
    expect("status of the message", got as u64, code as u64)
}

fn accepted(from: u64, to: u64, mail: &Mail) -> Outcome {
    refused(from, to, mail, 0)
}

/// Gives an endpoint's RX buffer back; tells whether it had it.
fn release(id: u64) -> Result<bool, Failure> {
    Ok(error_code(&call_as(id, [RX_RELEASE, 0, 0, 0, 0, 0, 0, 0])?).is_none())
}

fn rx(id: u64, at: u64) -> Result<[u64; 4], Failure> {
    if id >= 0x8000 {
        return ask(id, command::RX_READ, [at, 0, 0, 0]);
    }
    Ok([0, 8, 16, 24].map(|i| mem::get(RX + at + i)))
}

/// Takes the message out of an endpoint's RX buffer, which is given back; `None` if it is not the endpoint's.
fn receive(id: u64) -> Result<Option<(u64, Mail)>, Failure> {
    let [_, ends, size, _] = rx(id, 0)?;
    let (a, b) = (rx(id, HEADER)?, rx(id, HEADER + 32)?);
    let [last, ..] = rx(id, HEADER + 64)?;
    if !release(id)? {
        return Ok(None);
    }
    expect("receiver", ends >> 32 & 0xffff, id)?;
    expect("offset", ends & 0xffff_ffff, HEADER)?;
    let mail = Mail::from_words([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], last]);
    if mail.class == CONTROL {
        expect("size of a control message", size & 0xffff_ffff, ENVELOPE)?;
    } else {
        expect("size", size & 0xffff_ffff, ENVELOPE + 8)?;
        expect("payload", mail.payload, !mail.key)?;
    }
    Ok(Some((ends >> 48, mail)))
}

/// Takes a message that must be there.
///
/// Where a tick is no instruction, an ack may come later than the SPMC waits for it: the same message has come again by
/// then, and is passed over here.
fn take(id: u64, from: u64, key: u64) -> Result<Mail, Failure> {
    let there = || receive(id)?.ok_or(Failure::because("a message is in RX of", id));
    let (mut sender, mut mail) = there()?;
    while mail.flags & 1 != 0 && mail.key < key {
        (sender, mail) = there()?;
    }
    expect("sender", sender, from)?;
    expect("key", mail.key, key)?;
    Ok(mail)
}

/// Takes a message that must be there and acks it.
fn take_and_ack(id: u64, from: u64, key: u64) -> Result<Mail, Failure> {
    let mail = take(id, from, key)?;
    accepted(id, from, &Mail::ack(mail.ticket))?;
    Ok(mail)
}

/// Takes whatever comes, and acks none of it.
fn drain(id: u64) -> Outcome {
    while receive(id)?.is_some() {}
    Ok(())
}

fn nothing(id: u64) -> Outcome {
    let got = receive(id)?;
    expect_that("nothing is in RX, got the key", got.is_none(), got.map_or(0, |m| m.1.key))
}

/// Takes a control message of the SPMC to the Normal world.
fn control(task: u64, about: u64) -> Outcome {
    let (sender, mail) = receive(0)?.ok_or(Failure::because("a control message in RX", task))?;
    expect("sender of a control message", sender, SPMC)?;
    expect("class", mail.class, CONTROL)?;
    expect("what it asks", mail.task, task)?;
    expect("whom it is about", mail.correlation, about)
}

fn pass(milliseconds: u64) {
    let start = time::now();
    let ticks = time::frequency() * milliseconds / 1000;
    while time::now() - start <= ticks {}
}

fn supervised(case: fn() -> Outcome) -> Outcome {
    map()?;
    for id in [STEADY, SLOW, STORMY] {
        ask(id, command::MAILBOX, [0; 4])?;
    }
    case()?;
    for id in [0, STEADY, SLOW, STORMY] {
        nothing(id).map_err(|f| f.at(id))?;
    }
    unmap()
}

/// The good pair's exchange: work, its ack, the result, its ack. Returns the ticks of the Normal world's two sends.
fn exchange(with: u64) -> Result<u64, Failure> {
    let work = Mail::new(DISPATCH);
    write(0, with, ENVELOPE + 8, &work)?;
    let mut regs: Regs18 = [0; 18];
    regs[0] = MSG_SEND2;
    let sent = smc_ticks(&mut regs);
    expect("w0 of the send", regs[0], SUCCESS_32)?;
    let got = take_and_ack(with, 0, work.key)?;
    let result = Mail { task: got.task, ..Mail::new(RESULT) };
    accepted(with, 0, &result)?;
    let got = take(0, with, result.key)?;
    write(0, with, ENVELOPE + 8, &Mail::ack(got.ticket))?;
    let mut regs: Regs18 = [0; 18];
    regs[0] = MSG_SEND2;
    let acked = smc_ticks(&mut regs);
    expect("w0 of the ack", regs[0], SUCCESS_32)?;
    Ok(sent + acked)
}
