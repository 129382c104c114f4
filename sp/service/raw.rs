// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw calls: any SMC or HVC with any registers, and the mailbox that some of them use.

use crate::{Answer, CONTEXTS, Failure};
use ffa_abi::Regs;
use sp_rt::{Context, Form, Message, ffa};
use spin::Mutex;

struct Raw {
    next: Regs,
    last: Regs,
}

static RAW: [Mutex<Raw>; CONTEXTS] = [const { Mutex::new(Raw { next: Regs::ZERO, last: Regs::ZERO }) }; CONTEXTS];

fn of(context: &Context) -> Result<&'static Mutex<Raw>, Failure> {
    RAW.get(context.index()).ok_or(Failure::NoRoom)
}

/// Sets x[first], x[first + 1], x[first + 2] of the next raw call.
pub(crate) fn stage(context: &Context, first: u64, values: [u64; 3]) -> Answer {
    let mut raw = of(context)?.lock();
    let slots = raw.next.x.get_mut(first as usize..).ok_or(Failure::BadCommand)?;
    slots.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
    Ok([0; 4])
}

fn dispatch(conduit: u64, regs: &mut Regs) -> Result<(), Failure> {
    match conduit {
        0 => sp_rt::smc_all(regs),
        1 => sp_rt::hvc_all(regs),
        // There is no third instruction.
        _ => return Err(Failure::BadCommand),
    }
    Ok(())
}

/// Calls with x0 to x2 given and the rest staged (which clears it); returns x0 to x3.
pub(crate) fn call(context: &Context, conduit: u64, [x0, x1, x2]: [u64; 3]) -> Answer {
    // The lock is not held during the call: it may give the CPU away.
    let mut regs = {
        let mut raw = of(context)?.lock();
        core::mem::replace(&mut raw.next, Regs::ZERO)
    };
    [regs.x[0], regs.x[1], regs.x[2]] = [x0, x1, x2];
    dispatch(conduit, &mut regs)?;
    of(context)?.lock().last = regs;
    let [a, b, c, d, ..] = regs.x;
    Ok([a, b, c, d])
}

/// Returns x[first] to x[first + 3] of what the last raw call returned.
pub(crate) fn result(context: &Context, first: u64) -> Answer {
    let raw = of(context)?.lock();
    Ok([0, 1, 2, 3].map(|i| raw.last.x.get(first as usize + i).copied().unwrap_or(0)))
}

/// Calls with x0 to x7 from words 2 to 9 and returns x0 to x7 in words 1 to 8.
pub(crate) fn call_extended(message: &mut Message) -> Answer {
    if message.form() != Form::Extended {
        return Err(Failure::BadCommand);
    }
    let mut regs = Regs::ZERO;
    (0..8).for_each(|i| regs.x[i] = message.arg(2 + i));
    dispatch(message.arg(1), &mut regs)?;
    (4..8).for_each(|i| message.set(1 + i, regs.x[i]));
    let [a, b, c, d, ..] = regs.x;
    Ok([a, b, c, d])
}

/// Reads four 8-byte words of the RX buffer.
pub(crate) fn rx_read(offset: u64) -> Answer {
    let mailbox = ffa::mailbox()?;
    Ok([0, 8, 16, 24].map(|i| mailbox.read(offset as usize + i)))
}

/// Writes three 8-byte words to the TX buffer.
pub(crate) fn tx_write(offset: u64, values: [u64; 3]) -> Answer {
    let mut mailbox = ffa::mailbox()?;
    values.into_iter().enumerate().for_each(|(i, value)| mailbox.write(offset as usize + 8 * i, value));
    Ok([0; 4])
}

/// Registers the buffers if need be; returns the addresses of TX and RX.
pub(crate) fn mailbox() -> Answer {
    let mailbox = ffa::mailbox()?;
    let (tx, rx) = mailbox.addresses();
    Ok([tx, rx, 0, 0])
}
