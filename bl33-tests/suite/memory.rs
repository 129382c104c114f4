// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory management as it should go: the Normal world and partitions, partitions among themselves. Every case maps
//! the buffers and unmaps them.

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect, expect_at, expect_that};
use bl33::mem::{self, FREE, PAGE, TX};
use bl33::share::*;
use bl33::sp::command;

use crate::rxtx::{map, unmap};

pub(crate) const CASES: &[Case] = &[
    Case::new("memory::life_of_a_share", || mapped(life_of_a_share)),
    Case::new("memory::life_of_a_loan", || mapped(life_of_a_loan)),
    Case::new("memory::donation", || mapped(donation)),
    Case::new("memory::both_widths", || mapped(both_widths)),
    Case::new("memory::both_forms", || mapped(both_forms)),
    Case::new("memory::many_pages_and_a_block", || mapped(many_pages_and_a_block)),
    Case::new("memory::fragments", || mapped(fragments)),
    Case::new("memory::scattered", || mapped(scattered)),
    Case::new("memory::two_borrowers", || mapped(two_borrowers)),
    Case::new("memory::read_only", || mapped(read_only)),
    Case::new("memory::zeroing", || mapped(zeroing)),
    Case::new("memory::hypervisor_retrieve", || mapped(hypervisor_retrieve)),
    Case::new("memory::hypervisor_retrieve_in_fragments", || mapped(hypervisor_retrieve_in_fragments)),
    Case::new("memory::shared_again", || mapped(shared_again)),
    Case::new("memory::partition_to_partition", partition_to_partition),
    Case::new("memory::many_open", || mapped(many_open)),
    Case::new("mfault_1::write_after_relinquish", || mapped(|| fault_after(false))).asked(),
    Case::new("mfault_2::write_after_reclaim", || mapped(|| fault_after(true))).asked(),
    Case::new("mfault_3::borrower_dies", || mapped(borrower_dies)).asked(),
];

const PATTERN: u64 = 0xcafe_face;
const PATTERN_TWICE: u64 = PATTERN << 32 | PATTERN;
const BOTH: [u64; 2] = [RELAY, PERCPU];
/// A 2 MiB boundary in the pool.
const BLOCK: u64 = 0x7100_0000;

/// Runs a case between mapping and unmapping of the buffers.
pub(crate) fn mapped(case: fn() -> Outcome) -> Outcome {
    map()?;
    let outcome = case();
    unmap()?;
    outcome
}

/// Looks for a value in every word of a page, and for nothing else.
fn expect_page(address: u64, value: u64) -> Outcome {
    for offset in (0..PAGE).step_by(8) {
        expect_at("word at", address + offset, mem::get(address + offset), value)?;
    }
    Ok(())
}

/// Share, retrieve, write, relinquish, look, reclaim.
fn life(by: u64, ranges: &[(u64, u64)], form: Form) -> Outcome {
    let pages: u64 = ranges.iter().map(|r| r.1).sum();
    for &(address, pages) in ranges {
        mem::put(address, 1);
        mem::put(address + pages * PAGE - 8, 2);
    }
    let handle = send(MEM_SHARE_64, &Send { form, ..Send::new(&[(by, READ_WRITE)], ranges) })?;
    expect("bit 63 of a handle of the SPMC", handle >> 63, 0)?;
    let [got, count, first, _] = retrieve(by, handle, 0, 0)?;
    expect("pages retrieved", got, pages)?;
    expect("ranges retrieved", count, ranges.len() as u64)?;
    expect("first address retrieved", first, ranges[0].0)?;
    let [before, ..] = bl33::sp::command(by, command::READ, [handle, 0, 0, 0])?;
    expect("what the partition reads first", before, if pages == 1 && ranges[0].1 == 1 { 1 } else { before })?;
    let [words, ..] = bl33::sp::command(by, command::FILL, [handle, PATTERN, 0, 0])?;
    expect("words filled", words, pages * PAGE / 4)?;
    // Still shared: the Normal world sees it at once, and the other way round.
    expect("seen while shared", mem::get(ranges[0].0), PATTERN_TWICE)?;
    mem::put(ranges[0].0, 0x55);
    let [seen, ..] = bl33::sp::command(by, command::READ, [handle, 0, 0, 0])?;
    expect("seen by the partition", seen, 0x55)?;
    mem::put(ranges[0].0, PATTERN_TWICE);
    expect_error(&reclaim_raw(handle, 0)?, DENIED)?;
    relinquish(by, handle, 0)?;
    for &(address, pages) in ranges {
        for page in [0, pages / 2, pages - 1] {
            expect_page(address + page * PAGE, PATTERN_TWICE)?;
        }
    }
    reclaim(handle)?;
    expect_error(&reclaim_raw(handle, 0)?, INVALID_PARAMETERS)
}

fn life_of_a_share() -> Outcome {
    for by in BOTH {
        life(by, &[(FREE, 1)], Form::V1_1)?;
        life(by, &[(FREE, 1), (FREE + 8 * PAGE, 3)], Form::V1_1)?;
        // Not in the order of addresses, and touching.
        life(by, &[(FREE + PAGE, 1), (FREE, 1)], Form::V1_1)?;
        // Over a boundary of 2 MiB.
        life(by, &[(BLOCK - 2 * PAGE, 4)], Form::V1_1)?;
    }
    Ok(())
}

fn life_of_a_loan() -> Outcome {
    for by in BOTH {
        let handle = lend(by, FREE, 2)?;
        retrieve(by, handle, READ_WRITE | NEVER_EXECUTE, 0)?;
        bl33::sp::command(by, command::FILL, [handle, PATTERN, 0, 0])?;
        expect_error(&reclaim_raw(handle, 0)?, DENIED)?;
        // Lent memory cannot be sent again, by nobody.
        let again = Send::new(&[(ECHO, READ_WRITE)], &[(FREE, 1)]);
        expect_error(&send_raw(MEM_SHARE_64, &again)?, DENIED)?;
        relinquish(by, handle, 0)?;
        reclaim(handle)?;
        expect_page(FREE, PATTERN_TWICE)?;
        life(by, &[(FREE, 2)], Form::V1_1)?;
    }
    Ok(())
}

/// The page is lost to the Normal world: one page of the pool for each partition.
fn donation() -> Outcome {
    let gone = mem::POOL_END - 16 * PAGE;
    let donate = |to: u64, page: u64| {
        let send = Send { attributes: 0, ..Send::new(&[], &[]) };
        self::send(MEM_DONATE_64, &Send { receivers: &[(to, 0)], ranges: &[(gone + page * PAGE, 1)], ..send })
    };
    // Taken back before it was retrieved.
    let handle = donate(RELAY, 0)?;
    reclaim(handle)?;
    life(RELAY, &[(gone, 1)], Form::V1_1)?;
    for (page, by) in BOTH.into_iter().enumerate() {
        let handle = donate(by, page as u64)?;
        retrieve(by, handle, READ_WRITE | NEVER_EXECUTE, 0)?;
        expect_error(&reclaim_raw(handle, 0)?, INVALID_PARAMETERS)?;
        let again = Send::new(&[(ECHO, READ_WRITE)], &[]);
        let ranges = [(gone + page as u64 * PAGE, 1)];
        expect_error(&send_raw(MEM_SHARE_64, &Send { ranges: &ranges, ..again })?, DENIED)?;
        // The transaction is over, so there is nothing to relinquish; the partition forgets it.
        refused(by, command::RELINQUISH, [handle, 0, 0, 0], INVALID_PARAMETERS)?;
    }
    Ok(())
}

fn both_widths() -> Outcome {
    let send = Send::new(&[(RELAY, READ_WRITE)], &[(FREE, 1)]);
    for fid in [MEM_SHARE_32, MEM_SHARE_64] {
        let handle = self::send(fid, &send)?;
        retrieve(RELAY, handle, 0, 0)?;
        relinquish(RELAY, handle, 0)?;
        reclaim(handle)?;
    }
    for fid in [MEM_LEND_32, MEM_LEND_64] {
        reclaim(self::send(fid, &Send { attributes: 0, ..send })?)?;
    }
    for fid in [MEM_DONATE_32, MEM_DONATE_64] {
        reclaim(self::send(fid, &Send { attributes: 0, receivers: &[(RELAY, 0)], ..send })?)?;
    }
    Ok(())
}

fn both_forms() -> Outcome {
    life(RELAY, &[(FREE, 2)], Form::V1_1)?;
    life(RELAY, &[(FREE, 2)], Form::V1_2)
}

pub(crate) fn share_in_v1_0() -> Outcome {
    life(RELAY, &[(FREE, 2), (FREE + 3 * PAGE, 1)], Form::V1_0)?;
    // The forms of later versions are not understood.
    let send = Send::new(&[(RELAY, READ_WRITE)], &[(FREE, 1)]);
    expect_error(&send_raw(MEM_SHARE_64, &send)?, INVALID_PARAMETERS)
}

fn many_pages_and_a_block() -> Outcome {
    for by in BOTH {
        life(by, &[(FREE, 256)], Form::V1_1)?;
    }
    life(RELAY, &[(BLOCK, 512)], Form::V1_1)?;
    // A page out of a block that is shared already.
    let block = share(RELAY, BLOCK, 512)?;
    let page = share(PERCPU, BLOCK + 7 * PAGE, 1)?;
    retrieve(PERCPU, page, 0, 0)?;
    retrieve(RELAY, block, 0, 0)?;
    bl33::sp::command(PERCPU, command::FILL, [page, 0x1234, 0, 0])?;
    let [seen, ..] = bl33::sp::command(RELAY, command::READ, [block, 7 * PAGE, 0, 0])?;
    expect("both see one page", seen, 0x1234_0000_1234)?;
    relinquish(RELAY, block, 0)?;
    reclaim(block)?;
    let [seen, ..] = bl33::sp::command(PERCPU, command::READ, [page, 0, 0, 0])?;
    expect("the page outlives the block", seen, 0x1234_0000_1234)?;
    relinquish(PERCPU, page, 0)?;
    reclaim(page)
}

/// 300 ranges that do not touch, in fragments of several sizes.
fn fragments() -> Outcome {
    const RANGES: usize = 300;
    let mut ranges = [(0, 1); RANGES];
    for (i, range) in ranges.iter_mut().enumerate() {
        range.0 = FREE + 2 * PAGE * i as u64;
    }
    let scratch = FREE + 2 * PAGE * RANGES as u64;
    let descriptor = Send::new(&[(RELAY, READ_WRITE)], &ranges);
    for size in [4096, 1024, 96] {
        let total = descriptor.lay(scratch);
        let mut at = 0;
        let mut r = [0; 8];
        while at < total {
            let n = size.min(total - at);
            for offset in (0..n).step_by(8) {
                mem::put(TX + offset, mem::get(scratch + at + offset));
            }
            r = if at == 0 {
                call_with(MEM_SHARE_64, &[total, n])?
            } else {
                call_with(MEM_FRAG_TX, &[r[1], r[2], n, 0])?
            };
            at += n;
            if at < total {
                expect_at("x0 (FFA_MEM_FRAG_RX) at offset", at, r[0], MEM_FRAG_RX)?;
                expect("w3 (offset)", r[3], at)?;
                expect_zeros(&r, 4)?;
            }
        }
        let handle = handle_of(&r)?;
        // Its response, too, is longer than a page.
        let [pages, count, ..] = retrieve(RELAY, handle, 0, 0)?;
        expect("pages", pages, RANGES as u64)?;
        expect("ranges", count, RANGES as u64)?;
        bl33::sp::command(RELAY, command::FILL, [handle, size, 0, 0])?;
        for &(address, _) in &ranges {
            expect_at("first word at", address, mem::get(address), size << 32 | size)?;
        }
        relinquish(RELAY, handle, 0)?;
        reclaim(handle)?;
    }
    Ok(())
}

/// Pages that are 2 MiB apart: each takes a table of its own, which goes back with it.
fn scattered() -> Outcome {
    const RANGES: usize = 100;
    let mut ranges = [(0, 1); RANGES];
    for (i, range) in ranges.iter_mut().enumerate() {
        range.0 = FREE + (0x20_0000 + PAGE) * i as u64;
    }
    for _ in 0..4 {
        reclaim(send(MEM_LEND_64, &Send { attributes: 0, ..Send::new(&[(RELAY, READ_WRITE)], &ranges) })?)?;
    }
    Ok(())
}

fn two_borrowers() -> Outcome {
    let receivers = [(RELAY, READ_WRITE), (PERCPU, READ_ONLY)];
    for fid in [MEM_SHARE_64, MEM_LEND_64] {
        let handle = send(fid, &Send::new(&receivers, &[(FREE, 2)]))?;
        // The list of borrowers is not complete, and nobody said that this does not matter.
        retrieve_refused(RELAY, handle, READ_WRITE, 0, INVALID_PARAMETERS)?;
        retrieve(RELAY, handle, READ_WRITE, BYPASS)?;
        retrieve_refused(PERCPU, handle, READ_WRITE, BYPASS, DENIED)?;
        retrieve(PERCPU, handle, READ_ONLY, BYPASS)?;
        bl33::sp::command(RELAY, command::FILL, [handle, 0x77, 0, 0])?;
        bl33::sp::command(PERCPU, command::CHECK, [handle, 0x77, 0, 0])?;
        relinquish(RELAY, handle, 0)?;
        expect_error(&reclaim_raw(handle, 0)?, DENIED)?;
        bl33::sp::command(PERCPU, command::CHECK, [handle, 0x77, 0, 0])?;
        relinquish(PERCPU, handle, 0)?;
        reclaim(handle)?;
    }
    Ok(())
}

fn read_only() -> Outcome {
    mem::fill(FREE, 1, 0x99);
    let send = Send::new(&[(RELAY, READ_ONLY)], &[(FREE, 1)]);
    let handle = self::send(MEM_SHARE_64, &send)?;
    retrieve_refused(RELAY, handle, READ_WRITE, 0, DENIED)?;
    retrieve_refused(RELAY, handle, READ_ONLY | NEVER_EXECUTE, 0, INVALID_PARAMETERS)?;
    retrieve(RELAY, handle, READ_ONLY, 0)?;
    let [seen, ..] = bl33::sp::command(RELAY, command::READ, [handle, 0, 0, 0])?;
    expect("what the reader sees", seen, 0x99)?;
    relinquish(RELAY, handle, 0)?;
    reclaim(handle)
}

fn zeroing() -> Outcome {
    const ZERO: u64 = 1;
    const ZERO_AFTER: u64 = 4;
    let loan = Send { attributes: 0, flags: ZERO, ..Send::new(&[(RELAY, READ_WRITE)], &[(FREE, 3)]) };
    let access = READ_WRITE | NEVER_EXECUTE;
    // Before the receiver sees it.
    mem::fill(FREE, 3, 0x5ec2e7);
    let handle = send(MEM_LEND_64, &loan)?;
    retrieve(RELAY, handle, access, ZERO)?;
    let [seen, ..] = bl33::sp::command(RELAY, command::READ, [handle, 2 * PAGE, 0, 0])?;
    expect("what the receiver sees", seen, 0)?;
    // When it gives it up.
    bl33::sp::command(RELAY, command::FILL, [handle, PATTERN, 0, 0])?;
    relinquish(RELAY, handle, ZERO)?;
    (0..3).try_for_each(|i| expect_page(FREE + i * PAGE, 0))?;
    // As it said when it took it.
    retrieve(RELAY, handle, access, ZERO_AFTER)?;
    bl33::sp::command(RELAY, command::FILL, [handle, PATTERN, 0, 0])?;
    relinquish(RELAY, handle, 0)?;
    (0..3).try_for_each(|i| expect_page(FREE + i * PAGE, 0))?;
    // When the owner takes it back.
    retrieve(RELAY, handle, access, 0)?;
    bl33::sp::command(RELAY, command::FILL, [handle, PATTERN, 0, 0])?;
    relinquish(RELAY, handle, 0)?;
    expect_page(FREE, PATTERN_TWICE)?;
    expect_success(&reclaim_raw(handle, ZERO)?)?;
    (0..3).try_for_each(|i| expect_page(FREE + i * PAGE, 0))?;
    // A share is never zeroed.
    let share = Send { flags: ZERO, ..Send::new(&[(RELAY, READ_WRITE)], &[(FREE, 1)]) };
    expect_error(&send_raw(MEM_SHARE_64, &share)?, INVALID_PARAMETERS)?;
    let handle = self::share(RELAY, FREE, 1)?;
    retrieve_refused(RELAY, handle, 0, ZERO, INVALID_PARAMETERS)?;
    reclaim(handle)
}

/// What pKVM does before it lets a reclaim through.
fn hypervisor_retrieve() -> Outcome {
    let receivers = [(RELAY, READ_WRITE), (PERCPU, READ_ONLY)];
    let ranges = [(FREE, 2), (FREE + 5 * PAGE, 1)];
    let handle = send(MEM_SHARE_64, &Send::new(&receivers, &ranges))?;
    for _ in 0..2 {
        let r = describe_raw(handle, 0)?;
        expect("x0 (RETRIEVE_RESP)", r[0], MEM_RETRIEVE_RESP)?;
        expect("all in one fragment", r[1], r[2])?;
        expect("attributes: normal memory, NS", rx(0) & 0xffff_ffff, (NORMAL | 0x40) << 16)?;
        expect("flags: a share", rx(0) >> 32, 1 << 3)?;
        expect("handle", rx(1), handle)?;
        expect("tag", rx(2), TAG)?;
        let (size, count) = (rx(3) & 0xffff_ffff, rx(3) >> 32);
        expect("receivers", count, 2)?;
        let access = rx(4) & 0xffff_ffff;
        let composite = rx(access / 8) >> 32;
        expect_that("a composite offset behind the receivers, got", composite >= access + 2 * size, composite)?;
        expect("first receiver", rx(access / 8) & 0xffff, RELAY)?;
        expect("pages and ranges", rx(composite / 8), 3 | 2 << 32)?;
        expect("first address", rx(composite / 8 + 2), FREE)?;
        expect("second address", rx(composite / 8 + 4), FREE + 5 * PAGE)?;
        expect("length", r[1], composite + 16 + 32)?;
        // RX holds the answer: there is no room for another.
        expect_error(&describe_raw(handle, 0)?, BUSY)?;
        expect_success(&call_with(RX_RELEASE, &[])?)?;
    }
    expect_error(&describe_raw(handle + 1, 0)?, INVALID_PARAMETERS)?;
    expect_error(&describe_raw(handle, 1)?, INVALID_PARAMETERS)?;
    reclaim(handle)?;
    expect_error(&describe_raw(handle, 0)?, INVALID_PARAMETERS)
}

fn hypervisor_retrieve_in_fragments() -> Outcome {
    const RANGES: usize = 240;
    let mut ranges = [(0, 1); RANGES];
    for (i, range) in ranges.iter_mut().enumerate() {
        range.0 = FREE + 2 * PAGE * i as u64;
    }
    // Four receivers of 32 bytes make the response longer than a page where the request was not.
    let handle =
        send(MEM_SHARE_64, &Send::new(&[(RELAY, READ_WRITE), (PERCPU, READ_WRITE), (ECHO, READ_WRITE)], &ranges))?;
    let r = describe_raw(handle, 0)?;
    expect("x0 (RETRIEVE_RESP)", r[0], MEM_RETRIEVE_RESP)?;
    let (total, mut at) = (r[1], r[2]);
    let composite = rx(rx(4) / 8) >> 32;
    expect("length", total, composite + 16 + 16 * RANGES as u64)?;
    let mut seen = (at - composite - 16) / 16;
    expect_at("last address of the first fragment", seen, rx(at / 8 - 2), ranges[seen as usize - 1].0)?;
    expect_success(&call_with(RX_RELEASE, &[])?)?;
    let (low, high) = (handle & 0xffff_ffff, handle >> 32);
    while at < total {
        for wrong in [0, at - 16, at + 16, at + 1, total] {
            expect_error(&call_with(MEM_FRAG_RX, &[low, high, wrong, 0])?, INVALID_PARAMETERS)?;
        }
        let r = call_with(MEM_FRAG_RX, &[low, high, at, 0])?;
        expect("x0 (FRAG_TX)", r[0], MEM_FRAG_TX)?;
        expect("handle", r[1] | r[2] << 32, handle)?;
        expect_that("whole ranges, got", r[3] > 0 && r[3] % 16 == 0, r[3])?;
        for n in 0..r[3] / 16 {
            expect_at("address of range", seen, rx(2 * n), ranges[seen as usize].0)?;
            expect_at("pages of range", seen, rx(2 * n + 1), 1)?;
            seen += 1;
        }
        at += r[3];
        expect_success(&call_with(RX_RELEASE, &[])?)?;
    }
    expect("ranges told", seen, RANGES as u64)?;
    expect_error(&call_with(MEM_FRAG_RX, &[low, high, at, 0])?, INVALID_PARAMETERS)?;
    reclaim(handle)
}

fn shared_again() -> Outcome {
    let (first, second) = (share(RELAY, FREE, 2)?, share(PERCPU, FREE + PAGE, 2)?);
    retrieve(RELAY, first, 0, 0)?;
    retrieve(PERCPU, second, 0, 0)?;
    expect_error(&send_raw(MEM_LEND_64, &Send { attributes: 0, ..Send::new(&[(ECHO, 2)], &[(FREE, 1)]) })?, DENIED)?;
    bl33::sp::command(RELAY, command::FILL, [first, 0x31, 0, 0])?;
    let [seen, ..] = bl33::sp::command(PERCPU, command::READ, [second, 0, 0, 0])?;
    expect("the common page", seen, 0x31_0000_0031)?;
    relinquish(RELAY, first, 0)?;
    reclaim(first)?;
    // Still shared once: no loan.
    let loan = Send { attributes: 0, ..Send::new(&[(ECHO, 2)], &[(FREE + PAGE, 1)]) };
    expect_error(&send_raw(MEM_LEND_64, &loan)?, DENIED)?;
    relinquish(PERCPU, second, 0)?;
    reclaim(second)?;
    reclaim(send(MEM_LEND_64, &loan)?)
}

/// A partition's own pages to the other one, by share and by loan, and back.
fn partition_to_partition() -> Outcome {
    const SHARE: u64 = 0;
    const LEND: u64 = 1;
    for (from, to) in [(RELAY, PERCPU), (PERCPU, RELAY)] {
        for (kind, access) in [(SHARE, READ_WRITE), (LEND, READ_WRITE | NEVER_EXECUTE)] {
            let [address, ..] = bl33::sp::command(from, command::OWN_PAGE, [1, 0x1111, 0, 0])?;
            let args = [to, kind | READ_WRITE << 8, 2 | 1 << 16, TAG];
            let [handle, at, ..] = bl33::sp::command(from, command::SEND, args)?;
            expect("address sent", at, address)?;
            // The Normal world has no business with it.
            expect_error(&reclaim_raw(handle, 0)?, INVALID_PARAMETERS)?;
            let who = from | access << 16;
            let [pages, _, first, _] = bl33::sp::command(to, command::RETRIEVE, [handle, who, TAG, 0])?;
            expect("pages", pages, 2)?;
            expect("first address", first, address)?;
            let [seen, ..] = bl33::sp::command(to, command::READ, [handle, 8, 0, 0])?;
            expect("what the borrower sees", seen, 0x1111)?;
            bl33::sp::command(to, command::FILL, [handle, PATTERN, 0, 0])?;
            refused(from, command::RECLAIM, [handle, 0, 0, 0], DENIED)?;
            refused(to, command::RECLAIM, [handle, 0, 0, 0], INVALID_PARAMETERS)?;
            relinquish(to, handle, 0)?;
            bl33::sp::command(from, command::RECLAIM, [handle, 0, 0, 0])?;
            let [_, seen, ..] = bl33::sp::command(from, command::OWN_PAGE, [2, 0, 0x800, 0])?;
            expect("what the owner finds", seen, PATTERN_TWICE)?;
        }
    }
    // To the Normal world, to itself, to nobody.
    for (to, code) in [(0, DENIED), (5, DENIED), (RELAY, INVALID_PARAMETERS), (0x9abc, INVALID_PARAMETERS)] {
        refused(RELAY, command::SEND, [to, SHARE | READ_WRITE << 8, 1, TAG], code)?;
    }
    Ok(())
}

/// As many transactions as can be, and all of them back.
fn many_open() -> Outcome {
    const MOST: u64 = 1024;
    let handles = FREE + 4 * MOST * PAGE;
    for i in 0..MOST {
        let handle = share(RELAY, FREE + i * PAGE, 1).map_err(|f| f.at(i))?;
        mem::put(handles + 8 * i, handle);
    }
    let more = Send::new(&[(RELAY, READ_WRITE)], &[(FREE + MOST * PAGE, 1)]);
    expect_error(&send_raw(MEM_SHARE_64, &more)?, NO_MEMORY)?;
    for i in 0..MOST {
        reclaim(mem::get(handles + 8 * ((i * 7) % MOST))).map_err(|f| f.at(i))?;
    }
    life(RELAY, &[(FREE, 1)], Form::V1_1)
}

/// A borrower that keeps its stage-1 mapping and writes after it has relinquished dies, and changes nothing.
fn fault_after(reclaimed: bool) -> Outcome {
    mem::fill(FREE, 1, 0x600d);
    let handle = share(RELAY, FREE, 1)?;
    retrieve(RELAY, handle, 0, 0)?;
    bl33::sp::command(RELAY, command::RELINQUISH, [handle, 0, 1, 0])?;
    if reclaimed {
        reclaim(handle)?;
    }
    // Write, the mapping as it is.
    expect_error(&direct64(RELAY, [command::ACCESS, 1, FREE, 0, 0xbad])?, ABORTED)?;
    expect_page(FREE, 0x600d)?;
    if !reclaimed {
        reclaim(handle)?;
    }
    life(PERCPU, &[(FREE, 1)], Form::V1_1)?;
    expect_echo(1)
}

/// What a dead partition had borrowed can be reclaimed, zeroed if it had asked for that.
fn borrower_dies() -> Outcome {
    let loan = lend(RELAY, FREE, 2)?;
    let shared = share(RELAY, FREE + 4 * PAGE, 1)?;
    retrieve(RELAY, loan, READ_WRITE | NEVER_EXECUTE, 4)?;
    retrieve(RELAY, shared, 0, 0)?;
    bl33::sp::command(RELAY, command::FILL, [loan, PATTERN, 0, 0])?;
    bl33::sp::command(RELAY, command::FILL, [shared, PATTERN, 0, 0])?;
    expect_error(&direct64(RELAY, [command::DIE, bl33::sp::death::STAGE2_FAULT, 0, 0, 0])?, ABORTED)?;
    expect_page(FREE, 0)?;
    expect_page(FREE + 4 * PAGE, PATTERN_TWICE)?;
    reclaim(loan)?;
    reclaim(shared)?;
    life(PERCPU, &[(FREE, 5)], Form::V1_1)
}
