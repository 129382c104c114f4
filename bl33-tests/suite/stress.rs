// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything at once: every CPU asks, chains, shares, signals and is interrupted at random moments, while two
//! partitions die in every way and are restarted, and CPUs go off and on. In the end every endpoint answers, nothing
//! is pending and the SPMC has as much table memory as before. Needs `hostile` and `hydra`: runs in a boot of its own
//! (`--only stress`), for 10 seconds, in the long mode for 10 minutes.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::mem::{self, FREE, PAGE, TX};
use bl33::share::*;
use bl33::sp::{command, death, status, words};
use bl33::time::{self, Random};
use bl33::{cpus, gic, mode, println, rtc};

use crate::memory::mapped;
use crate::notify;

pub(crate) const CASES: &[Case] = &[Case::new("stress::all_at_once", || mapped(all_at_once)).asked().noisy()];

const HOSTILE: u64 = 0x8004;
const HYDRA: u64 = 0x8007;
const ALL: [u64; 5] = [ECHO, RELAY, PERCPU, HOSTILE, HYDRA];
/// A life of a CPU, from PSCI CPU_ON to CPU_OFF, in seconds.
const LIFE_S: u64 = 2;
/// How often a busy endpoint is asked again where an answer is needed.
const PATIENCE: u32 = 2_000_000;

/// When the lives of this round end.
static END: AtomicU64 = AtomicU64::new(0);
static ROUND_SEED: AtomicU64 = AtomicU64::new(0);
static MEETING: AtomicU32 = AtomicU32::new(0);
/// What happened, for the reader of the log, and to tell that it did.
static HAPPENED: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
const NAMES: [&str; 8] =
    ["operations", "preemptions", "moves", "deaths", "shares", "notifications", "messages", "device interrupts"];
const OPERATIONS: usize = 0;
const PREEMPTIONS: usize = 1;
const MOVES: usize = 2;
const DEATHS: usize = 3;
const SHARES: usize = 4;
const NOTIFICATIONS: usize = 5;
const MESSAGES: usize = 6;
const DEVICE: usize = 7;

fn happened(what: usize) {
    if let Some(count) = HAPPENED.get(what) {
        count.fetch_add(1, Relaxed);
    }
}

/// How an endpoint answered: a command's four words, or one of the refusals that the others' doings explain.
enum Told {
    Words([u64; 4]),
    Refused(i32),
}

/// The refusals that an endpoint may meet with while others use it, too.
fn explained(to: u64, code: i32) -> bool {
    match to {
        // A context of its own on each CPU, which nobody else uses.
        PERCPU => false,
        HOSTILE | HYDRA => matches!(code, BUSY | ABORTED | RETRY | NOT_READY),
        _ => code == BUSY,
    }
}

/// Makes a direct request that a timer may interrupt, and runs it on until its answer; other things happen meanwhile.
fn tell(random: &mut Random, to: u64, command: u64, [a, b, c, d]: [u64; 4]) -> Result<Told, Failure> {
    if random.below(3) == 0 {
        gic::timer_after(random.below(time::frequency() / 2000));
    }
    let r = direct64(to, [command, a, b, c, d])?;
    go_on(random, to, r)
}

fn go_on(random: &mut Random, to: u64, mut r: Regs8) -> Result<Told, Failure> {
    while matches!(r[0], INTERRUPT | YIELD) {
        expect("the interrupted partition", r[1] >> 16, to)?;
        happened(PREEMPTIONS);
        match random.below(4) {
            // relay may be resumed by another CPU.
            0 if to == RELAY && MOVING.compare_exchange(0, r[1], AcqRel, Relaxed).is_ok() => {
                return Ok(Told::Refused(BUSY));
            }
            1 => ask_echo(random)?,
            _ => (),
        }
        r = call_with(RUN, &[r[1]])?;
    }
    if let Some(code) = error_code(&r) {
        expect_at("a refusal that is explained, of", to, u64::from(explained(to, code)), 1)
            .map_err(|_| Failure::new("a refusal that nothing explains", to, r[2]))?;
        return Ok(Told::Refused(code));
    }
    let [status, a, b, c, d] = words(&r, to)?;
    match status {
        status::OK => Ok(Told::Words([a, b, c, d])),
        // Of what it asked of others: they, or its RX buffer, were busy; or dead.
        status::FFA_ERROR if matches!(a as i32, BUSY | ABORTED | RETRY | NOT_READY) => Ok(Told::Refused(a as i32)),
        // What it had to do it on went with its death.
        status::FFA_ERROR if matches!(to, HOSTILE | HYDRA) => Ok(Told::Refused(a as i32)),
        status::NO_ROOM => Ok(Told::Refused(NO_MEMORY)),
        _ => Err(Failure::new("status (and code) of a command to", status::OK, status | a << 32).at(to)),
    }
}

/// Does it until it is done.
fn insist(random: &mut Random, to: u64, command: u64, args: [u64; 4]) -> Result<[u64; 4], Failure> {
    let mut last = 0;
    for _ in 0..PATIENCE {
        match tell(random, to, command, args)? {
            Told::Words(words) => return Ok(words),
            Told::Refused(code) => last = code,
        }
        // It may be relay, preempted, that waits to be moved.
        adopt()?;
    }
    Err(Failure::new("an endpoint never got to a command; the last code", command, last as u32 as u64).at(to))
}

/// The preempted context that is to be resumed by whoever comes first: w1 of its FFA_INTERRUPT.
static MOVING: AtomicU64 = AtomicU64::new(0);

fn adopt() -> Outcome {
    let w1 = MOVING.swap(0, AcqRel);
    if w1 == 0 {
        return Ok(());
    }
    happened(MOVES);
    let r = finish_here(call_with(RUN, &[w1])?)?;
    // What it was asked for may have lost its sense meanwhile: what it says of it is no matter.
    expect("x0 (DIRECT_RESP64) of what was moved", r[0], DIRECT_RESP_64)
}

fn ask_echo(random: &mut Random) -> Outcome {
    let value = random.draw();
    let r = direct64(ECHO, [!value, value, 3, 4, 5])?;
    if r[0] == INTERRUPT {
        // echo is everybody's, so it is run on at once.
        let mut r = r;
        while r[0] == INTERRUPT {
            r = call_with(RUN, &[r[1]])?;
        }
        return expect("x4 of echo, which was preempted", r[4], value.wrapping_add(0x1000));
    }
    match error_code(&r) {
        Some(code) => expect("the code of a refusal of echo", code as u32 as u64, BUSY as u32 as u64),
        None => expect("x4 of echo", r[4], value.wrapping_add(0x1000)),
    }
}

fn ask(random: &mut Random) -> Outcome {
    let to = ALL[1 + random.below(4) as usize];
    let value = random.draw();
    match tell(random, to, command::ECHO, [value, !value, 1, 2])? {
        Told::Words(got) => {
            expect_that("the words come back, of", got == [value.wrapping_add(0x1000), !value, 1, 2], to)
        }
        Told::Refused(_) => Ok(()),
    }
}

/// Spins where an interrupt finds it.
fn spin(random: &mut Random) -> Outcome {
    let to = ALL[1 + random.below(4) as usize];
    gic::timer_after(random.below(time::frequency() / 5000));
    tell(random, to, command::SPIN, [time::frequency() / 10_000, 0, 0, 0]).map(|_| ())
}

/// From one partition to another, to the one that may be dying.
fn chain(random: &mut Random) -> Outcome {
    let first = [RELAY, PERCPU, HYDRA][random.below(3) as usize];
    let next = [ECHO, RELAY, HOSTILE][random.below(3) as usize];
    if first == next {
        return Ok(());
    }
    let value = random.draw();
    let (words, at) = match next {
        ECHO => ([ECHO, 7, value, 0], 1),
        _ => ([next, command::ECHO, value, 0], 1),
    };
    match tell(random, first, command::FORWARD, words)? {
        Told::Words(got) => expect("what came back along the chain", got[at], value.wrapping_add(0x1000)),
        Told::Refused(_) => Ok(()),
    }
}

/// Pages of this CPU's own: share, write, relinquish, look, reclaim. A borrower that dies keeps nothing.
fn lend(random: &mut Random) -> Outcome {
    let cpu = bl33::sysreg::cpu();
    let to = [PERCPU, PERCPU, RELAY, HOSTILE][random.below(4) as usize];
    let address = FREE + 0x80_0000 * (cpu + 1) + PAGE * random.below(1024);
    let handle = share(to, address, 1 + random.below(3))?;
    happened(SHARES);
    mem::put(address, 0);
    if let Told::Words(_) = tell(random, to, command::RETRIEVE, [handle, 0, TAG, 0])? {
        let value = random.draw();
        let written = tell(random, to, command::WRITE, [handle, 0, value, 0])?;
        if to == HOSTILE {
            maybe_die(random, HOSTILE)?;
        }
        match tell(random, to, command::RELINQUISH, [handle, 0, 0, 0])? {
            Told::Words(_) => (),
            // It died (and holds nothing any more), or it is busy (and has to be asked again).
            Told::Refused(_) => return reclaim_from_the_dying(handle),
        }
        if let Told::Words(_) = written
            && to != HOSTILE
        {
            expect("what the partition wrote", mem::get(address), value)?;
        }
    }
    reclaim_from_the_dying(handle)
}

/// A command to relay or hostile may have been carried out though another CPU saw it through: then it is to be undone.
fn reclaim_from_the_dying(handle: u64) -> Outcome {
    for _ in 0..PATIENCE {
        let r = reclaim_raw(handle, 0)?;
        if error_code(&r).is_none() {
            return Ok(());
        }
        expect_error(&r, DENIED)?;
        adopt()?;
        for to in [PERCPU, RELAY, HOSTILE] {
            // Whoever has it does not mind; whoever does not says so.
            let r = direct64(to, [command::RELINQUISH, handle, 0, 0, 0])?;
            finish_here(r)?;
        }
    }
    Err(Failure::because("a transaction could never be reclaimed:", handle))
}

/// When each of the two may die again: more than seven deaths in a row, less than a second apart, are one too many.
struct Mercy {
    deaths: AtomicU32,
    last: AtomicU64,
    taken: AtomicU32,
}

static MERCY: [Mercy; 2] =
    [const { Mercy { deaths: AtomicU32::new(0), last: AtomicU64::new(0), taken: AtomicU32::new(0) } }; 2];

/// Lets it die, unless it has died too often of late.
fn maybe_die(random: &mut Random, victim: u64) -> Outcome {
    const HOW: [u64; 7] = [
        death::STAGE1_FAULT,
        death::STACK_OVERFLOW,
        death::FFA_ABORT,
        death::UNDEFINED,
        death::STAGE2_FAULT,
        death::STAGE2_FETCH,
        death::BREAKPOINT,
    ];
    let mercy = &MERCY[usize::from(victim == HYDRA)];
    if mercy.taken.swap(1, Acquire) != 0 {
        return Ok(());
    }
    let outcome = (|| {
        let since = time::now().wrapping_sub(mercy.last.load(Relaxed));
        if mercy.deaths.load(Relaxed) >= 5 {
            if since < time::frequency() * 3 / 2 {
                return Ok(());
            }
            mercy.deaths.store(0, Relaxed);
        } else if since < time::frequency() / 20 {
            return Ok(());
        }
        mercy.deaths.fetch_add(1, Relaxed);
        let how = HOW[random.below(7) as usize];
        if random.below(3) == 0 {
            tell(random, PERCPU, command::FORWARD, [victim, command::DIE, how, 0])?;
        } else {
            tell(random, victim, command::DIE, [how, 0, 0, 0])?;
        }
        mercy.last.store(time::now(), Relaxed);
        happened(DEATHS);
        Ok(())
    })();
    mercy.taken.store(0, Release);
    outcome
}

/// To this CPU's own context of percpu, and back to this CPU.
fn signal(random: &mut Random) -> Outcome {
    let cpu = bl33::sysreg::cpu();
    let vcpu = cpu << 16 | 1;
    expect_success(&call_with(NOTIFICATION_SET, &[PERCPU, vcpu, 1 << cpu])?)?;
    let got = take(random, cpu)?;
    expect("pending for this CPU's context of percpu", got >> cpu & 1, 1)?;
    // STAGE and CALL: the context is this CPU's alone.
    insist(random, PERCPU, command::STAGE, [3, 0x100 << cpu, 0, 0])?;
    let [w0, ..] = insist(random, PERCPU, command::CALL, [0, NOTIFICATION_SET, PERCPU << 16, vcpu])?;
    expect("percpu's FFA_NOTIFICATION_SET", w0, SUCCESS_32)?;
    let r = call_with(NOTIFICATION_GET, &[cpu << 16, 1])?;
    expect("pending for this CPU", r[2], 0x100 << cpu)?;
    happened(NOTIFICATIONS);
    // Whoever is told of it tells no other.
    call_with(NOTIFICATION_INFO_GET_64, &[]).map(|_| ())
}

fn take(random: &mut Random, cpu: u64) -> Result<u64, Failure> {
    insist(random, PERCPU, command::CALL, [0, NOTIFICATION_GET, cpu << 16 | PERCPU, 2])?;
    let [vms, ..] = insist(random, PERCPU, command::RESULT, [4, 0, 0, 0])?;
    Ok(vms)
}

/// An indirect message to hostile, which may die with it.
fn message(random: &mut Random) -> Outcome {
    // relay would lose it: it waits again after each interrupt of the device, and waiting gives RX back.
    let to = if random.below(4) == 0 { HOSTILE } else { PERCPU };
    let value = random.draw();
    let r = with_buffers(|| {
        for (n, word) in [0, 40 | to << 32, 8, 0, 0, value].into_iter().enumerate() {
            mem::put(TX + 8 * n as u64, word);
        }
        call_with(MSG_SEND2, &[])
    })?;
    if let Some(code) = error_code(&r) {
        // A restarted hostile has no buffers until it needs them.
        let fine = code == BUSY || to == HOSTILE && code == DENIED;
        return expect_that("a refusal that is explained, of MSG_SEND2 to", fine, to);
    }
    happened(MESSAGES);
    if to == HOSTILE {
        return release_rx(to);
    }
    let [_, got, ..] = insist(random, to, command::RX_READ, [32, 0, 0, 0])?;
    expect("the message in percpu's RX", got, value)?;
    release_rx(to)
}

fn release_rx(of: u64) -> Outcome {
    for _ in 0..PATIENCE {
        adopt()?;
        let r = direct64(of, [command::CALL, 0, RX_RELEASE, 0, 0])?;
        let answered = finish_here(r)?;
        if answered[0] == DIRECT_RESP_64 || of == HOSTILE && error_code(&answered) != Some(BUSY) {
            return Ok(());
        }
    }
    Err(Failure::because("its RX could not be released:", of))
}

/// Runs on whatever was interrupted until it answers.
fn finish_here(mut r: Regs8) -> Result<Regs8, Failure> {
    while matches!(r[0], INTERRUPT | YIELD) {
        r = call_with(RUN, &[r[1]])?;
    }
    Ok(r)
}

fn life(cpu: u64) -> Outcome {
    gic::enable(gic::SCHEDULE_RECEIVER);
    cpus::meet(&MEETING, cpus::count() as u32)?;
    let mut random = Random::new(ROUND_SEED.load(Acquire) ^ (cpu + 1) << 40);
    while time::now() < END.load(Acquire) {
        happened(OPERATIONS);
        match random.below(16) {
            0..3 => ask_echo(&mut random)?,
            3..6 => ask(&mut random)?,
            6 => spin(&mut random)?,
            7..9 => chain(&mut random)?,
            9..11 => lend(&mut random)?,
            11 => maybe_die(&mut random, HOSTILE)?,
            12 => maybe_die(&mut random, HYDRA)?,
            13 => signal(&mut random)?,
            14 => message(&mut random)?,
            _ => {
                adopt()?;
                if cpu == 0 {
                    rtc::fire();
                    happened(DEVICE);
                }
            }
        }
    }
    gic::timer_off();
    Ok(())
}

/// Blocks of 2 MiB from [`FREE`] on, to the end of RAM and no further.
const MOST_BLOCKS: usize = 600;

/// Counts the 2 MiB blocks in which one page can be shared before there is no table memory left.
fn table_level() -> Result<u64, Failure> {
    let mut handles = [0; MOST_BLOCKS];
    let mut made = 0;
    for handle in &mut handles {
        let ranges = [(FREE + 0x20_0000 * made, 1)];
        let r = send_raw(MEM_SHARE_64, &Send::new(&[(RELAY, READ_WRITE)], &ranges))?;
        if error_code(&r).is_some() {
            expect_error(&r, NO_MEMORY)?;
            break;
        }
        *handle = handle_of(&r)?;
        made += 1;
    }
    for handle in handles.into_iter().take(made as usize) {
        reclaim(handle)?;
    }
    expect_that("table memory has an end, after shares", made < MOST_BLOCKS as u64, made)?;
    Ok(made)
}

/// Every endpoint answers on this CPU; what died last may still have to start again.
fn all_answer(_: u64) -> Outcome {
    let mut random = Random::new(1);
    for to in ALL {
        let command = if to == ECHO { status::OK } else { command::ECHO };
        let mut got = [0; 4];
        let answered = time::wait_for(10_000, || {
            let r = direct64(to, [command, 0x77, 1, 2, 3]);
            got = r.and_then(|r| go_on(&mut random, to, r)).map_or([0; 4], |told| match told {
                Told::Words(words) => words,
                Told::Refused(_) => [0; 4],
            });
            got == [0x1077, 1, 2, 3]
        });
        expect_that("the endpoint answers:", answered, to)?;
    }
    Ok(())
}

fn bind(of: u64, to: u64, bits: u64) -> Outcome {
    expect_success(&notify::call_as(of, [NOTIFICATION_BIND, to << 16 | of, 1, bits, 0, 0, 0, 0])?).map(|_| ())
}

fn unbind(of: u64, to: u64, bits: u64) -> Outcome {
    expect_success(&notify::call_as(of, [NOTIFICATION_UNBIND, to << 16 | of, 0, bits, 0, 0, 0, 0])?).map(|_| ())
}

fn all_at_once() -> Outcome {
    let seed = mode::seed();
    let seconds = if mode::long() { 600 } else { 10 };
    println!("# seed {seed:#x}, {seconds} s on {} CPUs", cpus::count());
    for to in [RELAY, PERCPU, HOSTILE, HYDRA] {
        notify::ask(to, command::MAILBOX, [0; 4])?;
    }
    let before = table_level()?;
    notify::create(0, 8)?;
    bind(PERCPU, 0, 0xff)?;
    bind(0, PERCPU, 0xff00)?;
    notify::ask(RELAY, command::INTERRUPT_ENABLE, [rtc::INTERRUPT, 1, 0, 0])?;
    notify::ask(RELAY, command::INTERRUPT_MODE, [1, 0, 0, 0])?;
    let mut random = Random::new(seed);
    for round in 0..seconds / LIFE_S {
        ROUND_SEED.store(random.draw(), Release);
        MEETING.store(0, Release);
        END.store(time::now() + LIFE_S * time::frequency(), Release);
        cpus::on_all(cpus::count(), 40_000, life)?;
        adopt()?;
        all_answer(0)?;
        if round % 15 == 14 {
            report();
        }
    }
    report();
    cpus::on_all(cpus::count(), 40_000, all_answer)?;
    rtc::quiet();
    let [interrupts, ..] = notify::ask(RELAY, command::INTERRUPT_COUNT, [rtc::INTERRUPT, 0, 0, 0])?;
    expect_that("the device's interrupts came to relay", interrupts > 0, interrupts)?;
    notify::ask(RELAY, command::INTERRUPT_MODE, [0; 4])?;
    notify::ask(RELAY, command::INTERRUPT_ENABLE, [rtc::INTERRUPT, 0, 0, 0])?;
    for to in [RELAY, PERCPU, HOSTILE, HYDRA] {
        notify::ask(to, command::MAILBOX, [0; 4])?;
        notify::call_as(to, [RX_RELEASE, 0, 0, 0, 0, 0, 0, 0])?;
        notify::get(to, 0, 7)?;
    }
    unbind(PERCPU, 0, 0xff)?;
    unbind(0, PERCPU, 0xff00)?;
    call_with(NOTIFICATION_INFO_GET_64, &[])?;
    notify::nothing_listed()?;
    notify::destroy(0)?;
    // (Moves to another CPU are a matter of luck.)
    for (what, count) in HAPPENED.iter().enumerate().filter(|(what, _)| *what != MOVES) {
        expect_at("it happened at all:", what as u64, u64::from(count.load(Relaxed) > 0), 1)?;
    }
    expect("2 MiB blocks that the free table memory allows", table_level()?, before)
}

fn report() {
    for (name, count) in NAMES.iter().zip(&HAPPENED) {
        println!("# {} {name}", count.load(Relaxed));
    }
}
