// SPDX-License-Identifier: MIT OR Apache-2.0
//! Supervised messages: envelopes, acks, replay, breakers. Needs an SPMC whose manifest has a hub, and the partitions
//! `steady`, `slow` and `stormy`: runs in a boot of its own (`--only post`).
//!
//! Every case leaves the queues empty, the breakers closed and the Normal world without buffers.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};

use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::mem::{self, PAGE, RX, TX};
use bl33::sp::{command, death};
use bl33::{cpus, println, time};

use crate::notify::{ask, call_as};
use crate::rxtx::{map, unmap};

pub(crate) const CASES: &[Case] = &[
    Case::new("post::there_and_back", || supervised(there_and_back)).asked(),
    Case::new("post::order_and_watermarks", || supervised(order_and_watermarks)).asked(),
    Case::new("post::ack_lost", || supervised(ack_lost)).asked(),
    Case::new("post::crash_and_replay", || supervised(crash_and_replay)).asked(),
    Case::new("post::time_to_live", || supervised(time_to_live)).asked(),
    Case::new("post::breaker_trips_tries_and_recovers", || supervised(breaker)).asked(),
    Case::new("post::duplicate_storm", || supervised(duplicate_storm)).asked(),
    Case::new("post::denial_storm", || supervised(denial_storm)).asked(),
    Case::new("post::a_storm_costs_the_others_nothing", || supervised(storm)).asked().noisy(),
    Case::new("post::bad_envelopes", || supervised(bad_envelopes)).asked(),
    Case::new("post::forged_acks", || supervised(forged_acks)).asked(),
    Case::new("postsmp::beside_a_storm_on_another_cpu", || supervised(beside_a_storm)).asked().noisy(),
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

/// Gives the post office an occasion to look after everybody: acks of nothing, which are refused.
fn occasions() -> Outcome {
    for _ in 0..4 {
        refused(0, STEADY, &Mail::ack(u64::MAX), NO_DATA)?;
    }
    Ok(())
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

fn there_and_back() -> Outcome {
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
    occasions()?;
    let got = take_and_ack(STEADY, 0, mail.key)?;
    expect("marked as delivered before", got.flags, 1)
}

fn order_and_watermarks() -> Outcome {
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

fn ack_lost() -> Outcome {
    let (lost, next) = (Mail::new(DISPATCH), Mail::new(DISPATCH));
    accepted(0, SLOW, &lost)?;
    accepted(0, SLOW, &next)?;
    for n in 0..ATTEMPTS {
        let got = take(SLOW, 0, lost.key).map_err(|f| f.at(n))?;
        expect_at("marked as delivered before, attempt", n, got.flags, u64::from(n > 0))?;
        nothing(SLOW)?;
        pass(REDELIVER_MS + 1);
        occasions()?;
    }
    let got = take(SLOW, 0, next.key)?;
    accepted(SLOW, 0, &Mail::ack(got.ticket))?;
    // What died may be sent again; what was acked is known.
    accepted(0, SLOW, &next)?;
    nothing(SLOW)?;
    accepted(0, SLOW, &lost)?;
    take_and_ack(SLOW, 0, lost.key).map(drop)
}

fn crash_and_replay() -> Outcome {
    let first = KEYS.load(Relaxed);
    for _ in 0..3 {
        accepted(0, SLOW, &Mail::new(DISPATCH))?;
    }
    let before = take(SLOW, 0, first)?;
    expect_error(&direct64(SLOW, [command::DIE, death::STAGE2_FAULT, 0, 0, 0])?, ABORTED)?;
    // Its new life registers buffers, and gets what it had in its hands, and then the rest.
    ask(SLOW, command::MAILBOX, [0; 4])?;
    occasions()?;
    for n in 0..3 {
        let got = take_and_ack(SLOW, 0, first + n).map_err(|f| f.at(n))?;
        expect_at("marked as delivered before", n, got.flags, u64::from(n == 0))?;
        expect_that("the first has its ticket still", n != 0 || got.ticket == before.ticket, got.ticket)?;
    }
    Ok(())
}

fn time_to_live() -> Outcome {
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

/// Leaves messages to a partition unacked until it is cut off.
fn breaker() -> Outcome {
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
    receive(SLOW)?;
    while receive(0)?.is_some() {}
    // The others go on, both ways.
    exchange(STEADY)?;
    pass(COOL_DOWN_MS + 1);
    let probe = Mail::new(DISPATCH);
    accepted(0, SLOW, &probe)?;
    refused(0, SLOW, &Mail::new(DISPATCH), DENIED)?;
    take_and_ack(SLOW, 0, probe.key)?;
    exchange(SLOW).map(drop)
}

fn duplicate_storm() -> Outcome {
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

fn denial_storm() -> Outcome {
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
fn storm() -> Outcome {
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

fn bad_envelopes() -> Outcome {
    let good = Mail::new(DISPATCH);
    for from in [0, STORMY] {
        let to = if from == 0 { STEADY } else { 0 };
        for (n, bad) in [
            Mail { class: 0, ..good },
            Mail { class: 9, ..good },
            Mail { class: 255, ..good },
            Mail { class: CONTROL, ..good },
            Mail { flags: 1, ..good },
            Mail { flags: 0x80, ..good },
            Mail { hops: 17, ..good },
            Mail { ticket: 1, ..good },
            Mail { time_to_live: 0, ..good },
            Mail { reserved: [1, 0, 0], ..good },
            Mail { reserved: [0, 0, 1 << 63], ..good },
        ]
        .iter()
        .enumerate()
        {
            refused(from, to, bad, INVALID_PARAMETERS).map_err(|f| f.at(n as u64))?;
        }
        for size in [1, ENVELOPE - 1, 257, PAGE, u64::from(u32::MAX)] {
            write(from, to, size, &good)?;
            let r = call_as(from, [MSG_SEND2, from << 16, 0, 0, 0, 0, 0, 0])?;
            expect_at("w2 of the refusal, size", size, r[2] as u32 as u64, INVALID_PARAMETERS as u32 as u64)?;
        }
        nothing(to)?;
    }
    Ok(())
}

fn forged_acks() -> Outcome {
    let mail = Mail::new(DISPATCH);
    accepted(0, STEADY, &mail)?;
    let got = take(STEADY, 0, mail.key)?;
    refused(STEADY, 0, &Mail::ack(got.ticket + 1), NO_DATA)?;
    refused(STEADY, 0, &Mail::ack(0), NO_DATA)?;
    // By others; the ticket is not theirs.
    refused(SLOW, 0, &Mail::ack(got.ticket), NO_DATA)?;
    refused(0, STEADY, &Mail::ack(got.ticket), NO_DATA)?;
    accepted(STEADY, 0, &Mail::ack(got.ticket))?;
    refused(STEADY, 0, &Mail::ack(got.ticket), NO_DATA)
}

static MEETING: AtomicU32 = AtomicU32::new(0);
static STOP: AtomicBool = AtomicBool::new(false);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// The good pair goes on, message by message, while another CPU lets the stormy one do what is refused.
fn beside_a_storm() -> Outcome {
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
    // Copies of what was acked late.
    for id in [0, STEADY] {
        receive(id)?;
    }
    // Whether it was cut off depends on how fast it was.
    pass(COOL_DOWN_MS + 1);
    exchange(STORMY).map(drop)
}
