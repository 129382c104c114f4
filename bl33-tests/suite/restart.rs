// SPDX-License-Identifier: MIT OR Apache-2.0
//! A partition that dies in every way and is restarted each time. Needs `hostile`, which is not in the default
//! firmware: runs in a boot of its own (`--only restart`).

use core::sync::atomic::Ordering::Relaxed;

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect, expect_at, expect_that};
use bl33::mem::{self, FREE};
use bl33::rtc;
use bl33::share::*;
use bl33::sp::{command, death, expect_none, mapping, status, try_command, words};
use bl33::time;
use bl33::{gic, serial};

use crate::interrupt::{count, ignore, listen};
use crate::managed::interrupted;
use crate::memory::mapped;
use crate::preempt::finish;

pub(crate) const CASES: &[Case] = &[
    Case::new("restart::every_way_to_die", every_way_to_die).asked(),
    Case::new("restart::below_a_chain", below_a_chain).asked(),
    Case::new("restart::every_foreign_access", every_foreign_access).asked(),
    Case::new("restart::external_abort", external_abort).asked(),
    Case::new("restart::against_its_permissions", || mapped(against_its_permissions)).asked(),
    Case::new("restart::writes_over_its_own_manifest", writes_over_its_own_manifest).asked(),
    Case::new("restart::nothing_of_the_former_life", nothing_of_the_former_life).asked(),
    Case::new("restart::two_devices_of_two_partitions", two_devices_of_two_partitions).asked(),
    Case::new("restart::its_interrupt_comes_back", its_interrupt_comes_back).asked(),
    Case::new("restart::queued_interrupt", queued_interrupt).asked(),
    Case::new("restart::wrong_priority_mask_after_queued_interrupts", wrong_priority_mask_after_queued_interrupts)
        .asked(),
    Case::new("restart::spins_with_interrupts_queued", spins_with_interrupts_queued).asked(),
    Case::new("restart::dies_too_often", dies_too_often).asked(),
];

/// Restarted by its abort action; Non-secure interrupts wait while it runs.
const HOSTILE: u64 = 0x8004;

/// What [`command::ACCESS`] does.
const READ: u64 = 0;
const WRITE: u64 = 1;
const EXECUTE: u64 = 2;

/// A partition that dies again and again stays down; after more than a second its deaths are forgiven.
fn forgiven() {
    let start = time::now();
    time::wait_for(5000, || time::now() - start > time::frequency() * 11 / 10);
}

/// The partition answers, and so do the others.
fn all_answer() -> Outcome {
    let [sum, ..] = bl33::sp::command(HOSTILE, command::ADD, [40, 2, 0, 0])?;
    expect("hostile's sum", sum, 42)?;
    let [sum, ..] = bl33::sp::command(RELAY, command::ADD, [40, 2, 0, 0])?;
    expect("relay's sum", sum, 42)?;
    expect_echo(0xa11e)
}

fn every_way_to_die() -> Outcome {
    all_answer()?;
    for (n, how) in [
        death::STAGE1_FAULT,
        death::STACK_OVERFLOW,
        death::FFA_ABORT,
        death::UNDEFINED,
        death::PANIC,
        death::STAGE2_FAULT,
        death::STAGE2_FETCH,
        death::BREAKPOINT,
    ]
    .into_iter()
    .enumerate()
    {
        if n % 4 == 0 {
            forgiven();
        }
        expect_error(&direct64(HOSTILE, [command::DIE, how, 0, 0, 0])?, ABORTED).map_err(|f| f.at(how))?;
        all_answer().map_err(|f| f.at(how))?;
    }
    Ok(())
}

/// It never answers while the Normal world's interrupts wait for it: the SPMC's deadline ends it.
fn spins_with_interrupts_queued() -> Outcome {
    forgiven();
    let start = time::now();
    expect_error(&direct64(HOSTILE, [command::HANG, 0, 0, 0, 0])?, ABORTED)?;
    let seconds = (time::now() - start) / time::frequency();
    expect_that("it had two seconds, and not many more", (2..20).contains(&seconds), seconds)?;
    let [outcome, code, ..] = try_command(PERCPU, command::FORWARD, [HOSTILE, command::HANG, 0, 0])?;
    expect("status of the request to the hanging", outcome, status::FFA_ERROR)?;
    expect("its code", code as u32 as u64, ABORTED as u32 as u64)?;
    all_answer()
}

fn below_a_chain() -> Outcome {
    forgiven();
    for first in [RELAY, PERCPU] {
        let [outcome, code, ..] =
            try_command(first, command::FORWARD, [HOSTILE, command::DIE, death::STAGE2_FAULT, 0])?;
        expect("status of the request to the dying", outcome, status::FFA_ERROR)?;
        expect("its code", code as u32 as u64, ABORTED as u32 as u64)?;
        let [_, sum, ..] = bl33::sp::command(first, command::FORWARD, [HOSTILE, command::ADD, 40, 2])?;
        expect("hostile's sum, asked by a partition", sum, 42)?;
        all_answer()?;
    }
    Ok(())
}

/// Whatever does not belong to it: the access does not happen, the partition dies of it, nobody else notices.
fn every_foreign_access() -> Outcome {
    let mut deaths = 0;
    for (address, how) in [
        (0x0e00_0000, mapping::SECURE),        // BL31
        (0x0e10_0000, mapping::SECURE),        // the SPMC's code
        (0x0e1b_f000, mapping::SECURE),        // the SPMC's memory
        (0x0e30_4000, mapping::SECURE),        // echo
        (0x0e40_4000, mapping::SECURE),        // relay
        (0x0eff_f000, mapping::SECURE),        // Secure RAM of nobody
        (0x0904_0000, mapping::SECURE_DEVICE), // the secure console
        (0x0800_0000, mapping::SECURE_DEVICE), // the interrupt controller
        (0x080a_0000, mapping::SECURE_DEVICE),
        (0x0000_0000, mapping::SECURE),     // flash
        (0x6000_0000, mapping::SECURE),     // this image, as if it were Secure
        (0x6000_0000, mapping::NON_SECURE), // this image
        (0x7000_0000, mapping::NON_SECURE), // Normal-world memory that nobody shared
        (0x0e10_0000, mapping::NON_SECURE), // the SPMC, as if it were Non-secure
        (0x0900_0000, mapping::NON_SECURE_DEVICE),
    ] {
        for kind in [READ, WRITE, EXECUTE] {
            if deaths % 6 == 0 {
                forgiven();
            }
            deaths += 1;
            let r = direct64(HOSTILE, [command::ACCESS, kind, address, how, 0x5151_5151])?;
            if r[0] == DIRECT_RESP_64 {
                // Told to the partition as a fault of its own is as good.
                let [outcome, ..] = words(&r, HOSTILE)?;
                expect_that("the access did not happen, address", outcome == status::FAULT, address)?;
            } else {
                expect_error(&r, ABORTED).map_err(|f| f.at(address))?;
            }
            all_answer().map_err(|f| f.at(address))?;
        }
    }
    Ok(())
}

/// Its manifest gives it a page where nothing answers: the bus says so. HCR_EL2.TEA has it die of that; QEMU does not
/// know the bit and tells the partition.
fn external_abort() -> Outcome {
    const HOLE: u64 = 0x0d00_0008;
    const STATUS_CODE: u64 = 0x3f;
    const EXTERNAL: u64 = 0x10;
    forgiven();
    for kind in [READ, WRITE] {
        let r = direct64(HOSTILE, [command::ACCESS, kind, HOLE, mapping::SECURE_DEVICE, 0])?;
        if r[0] == DIRECT_RESP_64 {
            let [outcome, esr, far, ..] = words(&r, HOSTILE)?;
            expect("status of the access", outcome, status::FAULT)?;
            expect("its fault's status code", esr & STATUS_CODE, EXTERNAL)?;
            expect("its address", far, HOLE)?;
        } else {
            expect_error(&r, ABORTED)?;
        }
        all_answer()?;
    }
    Ok(())
}

/// Borrowed memory, used as the borrower may not: it dies of it, the page is as it was and goes back to its owner.
fn against_its_permissions() -> Outcome {
    const RET: u64 = 0xd65f_03c0;
    let access = |kind, address, how| direct64(HOSTILE, [command::ACCESS, kind, address, how, 0x5151_5151]);
    forgiven();
    // The Normal world's page. To execute it is no business of stage 2: EL3 forbids that to all that is Secure.
    mem::put(FREE, RET);
    let handle = send(MEM_SHARE_64, &Send::new(&[(HOSTILE, READ_ONLY)], &[(FREE, 1)]))?;
    retrieve(HOSTILE, handle, READ_ONLY, 0)?;
    // What it may do works, by the same way.
    let r = access(READ, FREE, mapping::NON_SECURE)?;
    expect_that("what it reads", words(&r, HOSTILE)?[..2] == [status::OK, RET], r[3])?;
    expect_error(&access(WRITE, FREE, mapping::NON_SECURE)?, ABORTED)?;
    expect("what the page holds", mem::get(FREE), RET)?;
    reclaim(handle)?;
    all_answer()?;
    // Another partition's.
    for (allowed, kind) in [(READ_ONLY, WRITE), (READ_ONLY, EXECUTE), (READ_WRITE, EXECUTE)] {
        let [address, ..] = bl33::sp::command(RELAY, command::OWN_PAGE, [1, RET << 32 | RET, 0, 0])?;
        let args = [HOSTILE, allowed << 8, 1 | 1 << 16, TAG];
        let [handle, at, ..] = bl33::sp::command(RELAY, command::SEND, args)?;
        expect("address sent", at, address)?;
        bl33::sp::command(HOSTILE, command::RETRIEVE, [handle, RELAY | allowed << 16, TAG, 0])?;
        expect_error(&access(kind, address, mapping::SECURE)?, ABORTED).map_err(|f| f.at(kind))?;
        let [_, word, ..] = bl33::sp::command(RELAY, command::OWN_PAGE, [1, 0, 0, 0])?;
        expect("what the page holds", word, RET << 32 | RET)?;
        bl33::sp::command(RELAY, command::RECLAIM, [handle, 0, 0, 0])?;
        all_answer()?;
    }
    Ok(())
}

/// What it is has been read before it ran, and a restart takes the pristine copy.
fn writes_over_its_own_manifest() -> Outcome {
    const PACKAGE: u64 = 0x0e60_0000;
    const NONSENSE: u64 = 0x5bad_5bad;
    // The package's header, its manifest's header and structure.
    const PLACES: [u64; 6] = [0, 8, 0x1000, 0x1004, 0x1038, 0x1080];
    let access = |kind, place| {
        let args = [kind, PACKAGE + place, mapping::SECURE, NONSENSE];
        bl33::sp::command(HOSTILE, command::ACCESS, args).map(|[word, ..]| word)
    };
    forgiven();
    for _ in 0..2 {
        for place in PLACES {
            access(WRITE, place)?;
            expect_at("what it wrote at", place, access(READ, place)?, NONSENSE)?;
        }
        all_answer()?;
        expect_error(&direct64(HOSTILE, [command::DIE, death::FFA_ABORT, 0, 0, 0])?, ABORTED)?;
        all_answer()?;
        for place in PLACES {
            expect_that("it is gone, at", access(READ, place)? != NONSENSE, place)?;
        }
        let [id, ..] = bl33::sp::command(HOSTILE, command::INFO, [0; 4])?;
        expect("its id", id, HOSTILE)?;
    }
    Ok(())
}

/// Registers and memory are those of a first start.
fn nothing_of_the_former_life() -> Outcome {
    const SECRET: u64 = 0x0ddb_a110_5ec2_e700;
    forgiven();
    bl33::sp::command(HOSTILE, command::REGS_FILL, [SECRET, 0, 0, 0])?;
    bl33::sp::command(HOSTILE, command::SIMD_FILL, [SECRET, 0, 0, 0])?;
    let [_, word, ..] = bl33::sp::command(HOSTILE, command::OWN_PAGE, [0, SECRET, 0, 0])?;
    expect("a word of its memory", word, SECRET)?;
    expect_error(&direct64(HOSTILE, [command::DIE, death::FFA_ABORT, 0, 0, 0])?, ABORTED)?;
    for i in 0..64u64 {
        let value = SECRET.wrapping_add(i.wrapping_mul(0x0101_0101_0101_0101));
        expect_none(HOSTILE, command::REGS_LEAK, value, "no system register of the former life:")?;
    }
    for n in 0..32 {
        expect_none(HOSTILE, command::SIMD_LEAK, SECRET + n, "no SIMD register of the former life:")?;
    }
    let [_, word, ..] = bl33::sp::command(HOSTILE, command::OWN_PAGE, [0, 0, 0, 0])?;
    expect_at("a word of its memory after the restart is not", SECRET, u64::from(word == SECRET), 0)
}

/// Expects a device's interrupt to have come so often to a partition, within a second.
fn came(to: u64, id: u64, times: u64) -> Outcome {
    time::wait_for(1000, || count(to, id).is_ok_and(|(n, _)| n >= times));
    expect_at("how often the interrupt came, of id", id, count(to, id)?.0, times)
}

/// The two lines rise one right after the other: each goes to its owner, once.
fn two_devices_of_two_partitions() -> Outcome {
    listen(RELAY, rtc::INTERRUPT)?;
    listen(HOSTILE, serial::INTERRUPT)?;
    let (relays, hostiles) = (count(RELAY, rtc::INTERRUPT)?.0, count(HOSTILE, serial::INTERRUPT)?.0);
    for n in 1..=20 {
        if n % 2 == 0 {
            rtc::fire();
            serial::fire();
        } else {
            serial::fire();
            rtc::fire();
        }
        came(RELAY, rtc::INTERRUPT, relays + n)?;
        came(HOSTILE, serial::INTERRUPT, hostiles + n)?;
    }
    rtc::quiet();
    serial::quiet();
    ignore(RELAY, rtc::INTERRUPT)?;
    ignore(HOSTILE, serial::INTERRUPT)?;
    all_answer()
}

/// It dies with its interrupt enabled, then with one that it did not deactivate: in the next life it is disabled until
/// the partition enables it, and comes as ever.
fn its_interrupt_comes_back() -> Outcome {
    const KEEP_ACTIVE: u64 = 3;
    forgiven();
    expect_error(&direct64(HOSTILE, [command::DIE, death::FFA_ABORT, 0, 0, 0])?, ABORTED)?;
    for keeps in [false, true, true] {
        listen(HOSTILE, serial::INTERRUPT)?;
        expect("interrupts at the start of a life", count(HOSTILE, serial::INTERRUPT)?.0, 0)?;
        serial::fire();
        came(HOSTILE, serial::INTERRUPT, 1)?;
        if keeps {
            bl33::sp::command(HOSTILE, command::INTERRUPT_MODE, [KEEP_ACTIVE, 0, 0, 0])?;
        }
        serial::fire();
        came(HOSTILE, serial::INTERRUPT, 2)?;
        expect_error(&direct64(HOSTILE, [command::DIE, death::FFA_ABORT, 0, 0, 0])?, ABORTED)?;
        all_answer()?;
    }
    serial::quiet();
    expect("interrupts that nobody listens to", count(HOSTILE, serial::INTERRUPT)?.0, 0)
}

/// Its manifest queues Non-secure interrupts: they come when it has answered.
fn queued_interrupt() -> Outcome {
    let count = || gic::COUNTS[gic::TIMER as usize].load(Relaxed);
    let before = count();
    gic::timer_after(time::frequency() / 1000);
    let r = direct64(HOSTILE, [command::SPIN, time::frequency() / 200, 0, 0, 0])?;
    expect("status of the spin", words(&r, HOSTILE)?[0], status::OK)?;
    expect_that("the interrupt came afterwards", time::wait_for(5000, || count() != before), before.into())
}

/// Whatever ends a section in which interrupts were queued, the Normal world's priority mask is as it was: it finds it
/// so, and it decides again who is preempted.
fn wrong_priority_mask_after_queued_interrupts() -> Outcome {
    let ticks = time::frequency() / 200;
    let spin = [command::SPIN, ticks, 0, 0, 0];
    let death = [command::DIE, death::FFA_ABORT, 0, 0, 0];
    forgiven();
    for mask in [gic::PRIORITY_MASK, 0xc0, 0xa0] {
        gic::set_priority_mask(mask);
        let kept = |after| expect_at("ICC_PMR_EL1, the mask being", after, gic::priority_mask(), mask);
        queued_interrupt()?;
        kept(1)?;
        listen(HOSTILE, serial::INTERRUPT)?;
        let (before, _) = count(HOSTILE, serial::INTERRUPT)?;
        serial::fire();
        came(HOSTILE, serial::INTERRUPT, before + 1)?;
        kept(2)?;
        // relay is preempted when what it has called returns to it.
        gic::timer_after(ticks / 5);
        let (r, _) = finish(direct64(RELAY, [command::FORWARD, HOSTILE, command::SPIN, ticks, 0])?, RELAY)?;
        expect("status of the forward", words(&r, RELAY)?[0], status::OK)?;
        kept(3)?;
        // relay is not, when hostile has called it.
        gic::timer_after(ticks / 5);
        let r = direct64(HOSTILE, [command::FORWARD, RELAY, command::SPIN, ticks, 0])?;
        expect("status of the forward", words(&r, HOSTILE)?[0], status::OK)?;
        kept(4)?;
        expect_error(&direct64(HOSTILE, death)?, ABORTED)?;
        kept(5)?;
        let (r, _) = finish(interrupted(RELAY, spin, |r| r[0] == INTERRUPT)?, RELAY)?;
        expect("status of the spin", words(&r, RELAY)?[0], status::OK)?;
        kept(6)?;
    }
    serial::quiet();
    // It lets nothing in: then nothing preempts relay, which alone would be.
    gic::set_priority_mask(0);
    gic::timer_after(ticks / 5);
    let r = direct64(HOSTILE, spin).and_then(|_| direct64(RELAY, spin));
    gic::timer_off();
    gic::set_priority_mask(gic::PRIORITY_MASK);
    expect("status of the spin", words(&r?, RELAY)?[0], status::OK)
}

/// In the end it is left down, and only it.
fn dies_too_often() -> Outcome {
    forgiven();
    for _ in 0..12 {
        let r = direct64(HOSTILE, [command::DIE, death::FFA_ABORT, 0, 0, 0])?;
        expect_error(&r, ABORTED)?;
        let [sum, ..] = bl33::sp::command(RELAY, command::ADD, [40, 2, 0, 0])?;
        expect("relay's sum", sum, 42)?;
    }
    let r = direct64(HOSTILE, [command::ADD, 40, 2, 0, 0])?;
    expect_that("it is down for good, got w0", error_code(&r).is_some(), r[0])?;
    for i in 0..100 {
        expect_echo(i)?;
    }
    Ok(())
}
