// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for direct requests and answering them.

use crate::call::exchange;
use ffa_abi::{Func, PartitionId, Regs};

/// The form in which a direct request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// FFA_MSG_SEND_DIRECT_REQ, 32-bit: five words of 32 bits.
    Narrow,
    /// FFA_MSG_SEND_DIRECT_REQ, 64-bit: five words of 64 bits.
    Wide,
    /// FFA_MSG_SEND_DIRECT_REQ2: fourteen words of 64 bits.
    Extended,
}

/// Bit 31 of w2: a message from the framework, its number in bits 7:0.
const FRAMEWORK: u64 = 1 << 31;
/// A power-management message and what answers it (DEN0077A, "Power Management messages").
const POWER: u64 = 0;
const POWER_ANSWER: u64 = 2;
const VM_CREATED: u64 = 4;
const VM_DESTROYED: u64 = 6;

/// A direct request, and, once its words are changed, the answer.
#[derive(Debug)]
pub struct Message {
    regs: Regs,
    form: Form,
}

impl Message {
    /// Returns the form of the request; its answer has the same.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Returns the endpoint that sent the request.
    pub fn source(&self) -> PartitionId {
        PartitionId((self.regs.x[1] >> 16) as u16)
    }

    /// Returns this partition's id, as the sender wrote it.
    pub fn destination(&self) -> PartitionId {
        PartitionId(self.regs.x[1] as u16)
    }

    /// Returns where the payload begins and how many words it has.
    fn payload(&self) -> (usize, usize) {
        match self.form {
            Form::Narrow | Form::Wide => (3, 5),
            Form::Extended => (4, 14),
        }
    }

    /// Returns word `i` of the payload; 0 where the form has none.
    #[inline]
    pub fn arg(&self, i: usize) -> u64 {
        let (first, count) = self.payload();
        let word = if i < count { self.regs.x.get(first + i).copied().unwrap_or(0) } else { 0 };
        match self.form {
            Form::Narrow => u64::from(word as u32),
            Form::Wide | Form::Extended => word,
        }
    }

    /// Changes word `i` of the payload; without effect where the form has none.
    #[inline]
    pub fn set(&mut self, i: usize, value: u64) {
        let (first, count) = self.payload();
        let value = if self.form == Form::Narrow { u64::from(value as u32) } else { value };
        if i < count
            && let Some(word) = self.regs.x.get_mut(first + i)
        {
            *word = value;
        }
    }

    /// Replaces the first five words.
    #[inline]
    pub fn reply(&mut self, words: [u64; 5]) {
        let [a, b, c, d, e] = words;
        self.set(0, a);
        self.set(1, b);
        self.set(2, c);
        self.set(3, d);
        self.set(4, e);
    }

    /// Turns the request's registers into the response's: a response's function id is its request's plus one.
    fn answer(&mut self) {
        self.regs.x[0] += 1;
        self.regs.x[1] = u64::from((self.regs.x[1] as u32).rotate_right(16));
        self.regs.x[2] = 0;
        if self.form == Form::Extended {
            self.regs.x[3] = 0;
        }
    }

    /// Answers a message of the framework: agreed.
    fn answer_framework(&mut self) {
        let answer = match self.regs.x[2] & 0xff {
            POWER => POWER_ANSWER,
            message @ (VM_CREATED | VM_DESTROYED) => message + 1,
            // Not a message that this runtime knows; it is answered as a power-management one.
            _ => POWER_ANSWER,
        };
        self.answer();
        self.regs.x[2] = FRAMEWORK | answer;
        // w3: SUCCESS.
        self.reply([0; 5]);
    }
}

const WAIT: [u64; 8] = [Func::MsgWait.id32() as u64, 0, 0, 0, 0, 0, 0, 0];
/// The first one keeps the RX buffer (bit 0 of w2, from v1.2 on): another context may be reading what it retrieved.
const READY: [u64; 8] = [Func::MsgWait.id32() as u64, 0, 1, 0, 0, 0, 0, 0];

/// Tells the SPMC that this context is ready, then answers every direct request with what `handler` makes of it.
pub fn serve(handler: impl FnMut(&mut Message)) -> ! {
    serve_with(|_| None, handler)
}

/// As [`serve`], offering x0 to x7 of whatever arrives to `quick` first: x0 to x7 that it returns are the next call.
///
/// It is inlined, so that a message can pass through the partition without touching memory.
#[inline(always)]
pub fn serve_with(mut quick: impl FnMut(&[u64; 8]) -> Option<[u64; 8]>, mut handler: impl FnMut(&mut Message)) -> ! {
    let mut message = Message { regs: Regs::ZERO, form: Form::Wide };
    let mut x = READY;
    loop {
        x = exchange(x, &mut message.regs);
        while let Some(next) = quick(&x) {
            x = exchange(next, &mut message.regs);
        }
        message.regs.set8(x);
        answer(&mut message, &mut handler);
        let [a, b, c, d, e, f, g, h, ..] = message.regs.x;
        x = [a, b, c, d, e, f, g, h];
    }
}

/// Answers the request in `message`, or waits where there is none; leaves x0 to x7 of the next call there.
#[inline(never)]
fn answer(message: &mut Message, handler: &mut impl FnMut(&mut Message)) {
    const NARROW: u32 = Func::DirectReq.id32();
    const WIDE: u32 = Func::DirectReq.id64();
    const EXTENDED: u32 = Func::DirectReq2.id64();
    loop {
        message.form = match message.regs.fid() {
            WIDE => Form::Wide,
            NARROW => Form::Narrow,
            EXTENDED => Form::Extended,
            // FFA_RUN, FFA_INTERRUPT, an error: there is nothing to answer.
            _ => return message.regs.set8(WAIT),
        };
        if message.form != Form::Extended && message.regs.x[2] & FRAMEWORK != 0 {
            message.answer_framework();
        } else {
            handler(message);
            message.answer();
        }
        if message.form != Form::Extended {
            return;
        }
        // The response takes x8 to x17 along; what it brings back is looked at here.
        crate::smc_all(&mut message.regs);
    }
}
