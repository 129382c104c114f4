// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests to other partitions, and giving the CPU away.

use crate::{Answer, Failure, interrupts, me, simd};
use ffa_abi::{Error, Func, PartitionId};
use sp_protocol::{command, status};
use sp_rt::{Form, Message, ffa, interrupt, memory::now, smc};

/// Returns the first four words of a response, or what came instead of one.
fn delivered(x: [u64; 8]) -> Answer {
    let [fid, _, _, a, b, c, d, _] = x;
    let fid = fid as u32;
    if fid == Func::DirectResp.id64() || fid == Func::DirectResp.id32() {
        Ok([a, b, c, d])
    } else {
        Err(Failure::Unexpected(x))
    }
}

/// Does the commands that are measured, in the wide form, without touching memory. `None`: not one of them.
#[inline(always)]
pub(crate) fn quick(x: &[u64; 8]) -> Option<[u64; 8]> {
    let [fid, ids, flags, command, a, b, c, d] = *x;
    if fid as u32 != Func::DirectReq.id64() || flags != 0 {
        return None;
    }
    let (p, q, r, s) = match command {
        command::ECHO => (a.wrapping_add(0x1000), b, c, d),
        command::SIMD_TOUCH => (simd::touch(a), 0, 0, 0),
        command::FORWARD => {
            let to = u64::from(ids as u16) << 16 | u64::from(a as u16);
            let answer = smc([Func::DirectReq.id64().into(), to, 0, b, c, d, 0, 0]);
            let [fid, _, _, p, q, r, s, _] = answer;
            if fid as u32 != Func::DirectResp.id64() {
                return Some(failed(ids, answer));
            }
            (p, q, r, s)
        }
        // Less hot, or not a command.
        _ => return None,
    };
    Some([Func::DirectResp.id64().into(), swapped(ids), 0, status::OK, p, q, r, s])
}

/// Turns w1 of a request into w1 of its response.
fn swapped(ids: u64) -> u64 {
    u64::from((ids as u32).rotate_right(16))
}

/// Answers a forward whose target did not.
#[cold]
#[inline(never)]
fn failed(ids: u64, answer: [u64; 8]) -> [u64; 8] {
    let [fid, _, code, ..] = answer;
    let failure = match Error::from_code(code as i32) {
        Some(error) if fid as u32 == Func::Error.id32() => Failure::Ffa(error),
        // Not an error: an interrupt, a yield, or nothing that a request can end with.
        _ => Failure::Unexpected(answer),
    };
    let [a, b, c, d, e] = failure.words();
    [Func::DirectResp.id64().into(), swapped(ids), 0, a, b, c, d, e]
}

/// Sends words 2 to 4 as words 0 to 2 to the partition in word 1; returns the first four words of its answer.
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
    if !interrupts::are_let_in() {
        interrupt::mask();
    }
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
    interrupt::wait();
    Ok([start, now(), 0, 0])
}
