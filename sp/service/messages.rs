// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests to other partitions, and giving the CPU away.

use crate::{Answer, Failure, interrupts, me};
use core::arch::asm;
use ffa_abi::{Func, PartitionId};
use sp_protocol::command;
use sp_rt::{Form, Message, ffa, interrupt, memory::now};

/// Returns the first four words of a response, or what came instead of one.
#[inline(always)]
fn delivered(x: [u64; 8]) -> Answer {
    let [fid, _, _, a, b, c, d, _] = x;
    let fid = fid as u32;
    if fid == Func::DirectResp.id64() || fid == Func::DirectResp.id32() {
        Ok([a, b, c, d])
    } else {
        Err(Failure::Unexpected(x))
    }
}

/// Sends words 2 to 4 as words 0 to 2 to the partition in word 1; returns the first four words of its answer.
#[inline(always)]
pub(crate) fn forward(message: &Message) -> Answer {
    let to = PartitionId(message.arg(1) as u16);
    let words = [message.arg(2), message.arg(3), message.arg(4), 0, 0];
    delivered(ffa::direct_request(message.form(), me(), to, words)?)
}

/// Goes on along `hops`, ids of 16 bits each, the next one lowest: returns the hops below, and word 2 raised by one.
pub(crate) fn route(form: Form, hops: u64, [depth, value, mark]: [u64; 3]) -> Answer {
    let next = PartitionId(hops as u16);
    if next.0 == 0 {
        return Ok([0, depth, value.wrapping_add(0x1000), mark]);
    }
    let words = [command::ROUTE, hops >> 16, depth + 1, value, mark];
    let [status, hops, depth, value] = delivered(ffa::direct_request(form, me(), next, words)?)?;
    if status != 0 {
        return Err(Failure::Unexpected([status, hops, depth, value, 0, 0, 0, 0]));
    }
    Ok([hops + 1, depth, value, mark])
}

/// Runs context `vcpu` of `target`, which was preempted or yielded below a forwarded request.
pub(crate) fn resume(target: u64, vcpu: u64) -> Answer {
    delivered(ffa::run(PartitionId(target as u16), vcpu as u16)?)
}

/// Yields; returns x0 to x3 of what gave the CPU back.
pub(crate) fn give_way() -> Answer {
    let [a, b, c, d, ..] = ffa::give_way()?;
    Ok([a, b, c, d])
}

/// Spins for `ticks` of the counter; with bit 0 of `flags`, virtual interrupts are let in. A request for a managed
/// exit ends it early. Returns the first and the last value of the counter, and whether it ended early.
pub(crate) fn spin(ticks: u64, flags: u64) -> Answer {
    let start = now();
    interrupts::clear_managed_exit();
    if flags & 1 != 0 {
        interrupt::unmask();
    }
    let mut end = start;
    while end.wrapping_sub(start) < ticks && !interrupts::managed_exit() {
        end = now();
    }
    interrupt::mask();
    Ok([start, end, interrupts::managed_exit().into(), 0])
}

/// Spins for ever.
pub(crate) fn hang() -> Answer {
    loop {
        core::hint::spin_loop();
    }
}

/// Waits for an interrupt once.
pub(crate) fn wait_for_interrupt() -> Answer {
    let start = now();
    // SAFETY: WFI has no effect on memory.
    unsafe { asm!("wfi", options(nostack)) };
    Ok([start, now(), 0, 0])
}
