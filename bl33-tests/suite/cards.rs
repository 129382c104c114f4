// SPDX-License-Identifier: MIT OR Apache-2.0
//! Level-triggered Secure interrupts of two devices that belong to two partitions, both at once, whatever their owners do.
//! Needs the cards and `hostile`: runs in a boot of its own (`--only cards`).

use bl33::cards::{self, INTERRUPTS};
use bl33::ffa::*;
use bl33::gic;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::sp::{command, status, words};
use bl33::time;

use crate::interrupt::{count, ignore, listen, milliseconds};
use crate::preempt::finish;

pub(crate) const CASES: &[Case] = &[
    Case::new("cards::are_found", are_found).asked(),
    Case::new("cards::in_the_normal_world", in_the_normal_world).asked(),
    Case::new("cards::while_one_owner_runs", while_one_owner_runs).asked(),
    Case::new("cards::while_one_owner_is_blocked", while_one_owner_is_blocked).asked(),
    Case::new("cards::while_one_owner_is_preempted", while_one_owner_is_preempted).asked(),
    Case::new("cards::level_that_stays_up", level_that_stays_up).asked(),
    Case::new("cards::level_that_is_never_quietened", level_that_is_never_quietened).asked(),
];

/// The owners of the first two cards. percpu's context is this CPU's, which the card's interrupt goes to.
const OWNERS: [u64; 2] = [RELAY, PERCPU];
const HOSTILE: u64 = 0x8004;
/// [`command::INTERRUPT_MODE`].
const UNMASKED: u64 = 1;
const KEEP_ACTIVE: u64 = 2;
const KEEP_RAISED: u64 = 4;

/// Lets a partition take the interrupt of a card.
fn own(owner: u64, card: usize) -> Outcome {
    bl33::sp::command(owner, command::INTERRUPT_DEVICE, [INTERRUPTS[card], cards::quietener(card), 0, 0])?;
    listen(owner, INTERRUPTS[card])
}

fn are_found() -> Outcome {
    expect_that("the machine has the cards", cards::find(), 0)?;
    own(RELAY, 0)?;
    own(PERCPU, 1)
}

fn counts() -> Result<[(u64, u64); 2], Failure> {
    Ok([count(RELAY, INTERRUPTS[0])?, count(PERCPU, INTERRUPTS[1])?])
}

/// Raises both levels in `ms` milliseconds, does something, and expects each interrupt to come to its owner once.
/// Returns when they came, and what was done.
fn both<R>(ms: u64, work: impl FnOnce() -> Result<R, Failure>) -> Result<([u64; 2], R), Failure> {
    let before = counts()?;
    cards::raise_after(0, ms);
    cards::raise_after(1, ms);
    let done = work()?;
    let came = || counts().is_ok_and(|now| now.iter().zip(before).all(|(n, b)| n.0 != b.0));
    time::wait_for(5000, came);
    time::wait_for(1, || false);
    let now = counts()?;
    for ((now, before), owner) in now.iter().zip(before).zip(OWNERS) {
        expect_at("interrupts that came to", owner, now.0, before.0 + 1)?;
    }
    Ok((now.map(|(_, at)| at), done))
}

/// Tries until it fell out as it should: a busy host may hold the CPU back at the wrong moment.
fn tried(mut once: impl FnMut() -> Result<bool, Failure>) -> Outcome {
    for _ in 0..50 {
        if once()? {
            return expect_echo(0xca4d);
        }
    }
    Err(Failure::because("the interrupts never fell into what they were to meet", 0))
}

fn in_the_normal_world() -> Outcome {
    tried(|| {
        let start = time::now();
        let (came, end) = both(2, || {
            time::wait_for(10, || false);
            Ok(time::now())
        })?;
        Ok(came.iter().all(|at| (start..end).contains(at)))
    })
}

fn while_one_owner_runs() -> Outcome {
    for (n, owner) in OWNERS.into_iter().enumerate() {
        tried(|| {
            let (came, r) = both(5, || direct64(owner, [command::SPIN, milliseconds(20), 0, 0, 0]))?;
            let [outcome, start, end, ..] = words(&r, owner)?;
            expect("status of the spin", outcome, status::OK)?;
            expect_that("it spun to its end", end - start >= milliseconds(20), end - start)?;
            Ok((start..end).contains(&came[n]) && came[1 - n] >= start)
        })?;
    }
    Ok(())
}

/// relay waits for percpu: its interrupt is for later, percpu's for now.
fn while_one_owner_is_blocked() -> Outcome {
    tried(|| {
        let (came, r) = both(5, || direct64(RELAY, [command::FORWARD, PERCPU, command::SPIN, milliseconds(20), 0]))?;
        let [outcome, inner, start, end, _] = words(&r, RELAY)?;
        expect("status of the forward", outcome, status::OK)?;
        expect("status of the spin", inner, status::OK)?;
        Ok((start..end).contains(&came[1]) && came[0] >= end)
    })
}

/// relay's interrupt comes when it is resumed, percpu's while relay is not.
fn while_one_owner_is_preempted() -> Outcome {
    tried(|| {
        let (came, (preempted, resumed, r)) = both(6, || {
            gic::timer_after(milliseconds(1));
            let r = direct64(RELAY, [command::SPIN, milliseconds(5), 0, 0, 0])?;
            gic::timer_off();
            time::wait_for(15, || false);
            let resumed = time::now();
            Ok((r[0] == INTERRUPT, resumed, finish(r, RELAY)?.0))
        })?;
        expect("status of the spin", words(&r, RELAY)?[0], status::OK)?;
        Ok(preempted && came[0] >= resumed && came[1] < resumed)
    })
}

/// It comes once while its owner has not ended it, and again when it has; both without harm to anybody.
fn level_that_stays_up() -> Outcome {
    let (before, _) = count(RELAY, INTERRUPTS[0])?;
    bl33::sp::command(RELAY, command::INTERRUPT_MODE, [UNMASKED | KEEP_ACTIVE | KEEP_RAISED, 0, 0, 0])?;
    cards::raise_after(0, 1);
    came(before + 1)?;
    percpu_goes_on()?;
    bl33::sp::command(RELAY, command::INTERRUPT_MODE, [UNMASKED, 0, 0, 0])?;
    let [ended, ..] = bl33::sp::command(RELAY, command::INTERRUPT_DEACTIVATE, [INTERRUPTS[0], 0, 0, 0])?;
    expect("DEACTIVATE of the first", ended, 1)?;
    came(before + 2)
}

/// Expects relay's interrupt to have come so often, now or a little later, and not once more after that.
fn came(times: u64) -> Outcome {
    time::wait_for(20, || false);
    time::wait_for(5000, || count(RELAY, INTERRUPTS[0]).is_ok_and(|(n, _)| n >= times));
    time::wait_for(20, || false);
    expect("interrupts that came", count(RELAY, INTERRUPTS[0])?.0, times)
}

/// The other card's owner gets its interrupt as ever, and the Normal world its answer.
fn percpu_goes_on() -> Outcome {
    let (before, _) = count(PERCPU, INTERRUPTS[1])?;
    cards::raise_after(1, 1);
    time::wait_for(5000, || count(PERCPU, INTERRUPTS[1]).is_ok_and(|(n, _)| n != before));
    expect("interrupts of the other card", count(PERCPU, INTERRUPTS[1])?.0, before + 1)?;
    expect_echo(0xca4e)
}

/// Its owner ends the interrupt and has it again at once, for ever: the deadline ends that, and with it the interrupt.
fn level_that_is_never_quietened() -> Outcome {
    own(HOSTILE, 2)?;
    bl33::sp::command(HOSTILE, command::INTERRUPT_MODE, [UNMASKED | KEEP_RAISED, 0, 0, 0])?;
    let (mut last, mut longest) = (time::now(), 0);
    cards::raise_after(2, 1);
    time::wait_for(5000, || {
        let now = time::now();
        (last, longest) = (now, longest.max(now - last));
        longest > time::frequency() * 3 / 2
    });
    let seconds = longest / time::frequency();
    expect_that("its owner had the CPU for two seconds, and not many more", (1..20).contains(&seconds), seconds)?;
    expect("interrupts in its next life", count(HOSTILE, INTERRUPTS[2])?.0, 0)?;
    cards::quiet(2);
    percpu_goes_on()?;
    for (n, owner) in OWNERS.into_iter().enumerate() {
        cards::quiet(n);
        ignore(owner, INTERRUPTS[n])?;
    }
    Ok(())
}
