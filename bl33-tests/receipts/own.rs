// SPDX-License-Identifier: MIT OR Apache-2.0
//! The calls that `receipts_cases::own` signed for the time that this boot begins at.

use crate::call::{ANSWER, MESSAGE, ask_number, expect_code};
use bl33::harness::{Failure, Outcome};
use bl33::mem;
use receipts_client::packed::{Step, Steps};
use receipts_client::{Operation, PartWriter, Parts, Reply, Tag};

const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/own.bin"));

/// Finds a call.
pub(crate) fn step(name: &str) -> Result<Step<'static>, Failure> {
    let missing = Failure::because("a packed call, length of its name", name.len() as u64);
    Steps::new(PACKED).find(|step| step.name == name.as_bytes()).ok_or(missing)
}

/// Makes a call.
pub(crate) fn make(name: &str) -> Result<Reply, Failure> {
    let step = step(name)?;
    ask_number(step.operation, step.flags, step.message)
}

/// Puts a call's message where messages lie, and gives its length.
pub(crate) fn place(name: &str) -> Result<u32, Failure> {
    let step = step(name)?;
    mem::put_bytes(MESSAGE, step.message);
    Ok(step.message.len() as u32)
}

/// Makes a call and demands a verdict: class, field, reason.
pub(crate) fn judged(name: &str, [class, field, reason]: [u32; 3]) -> Outcome {
    expect_code(&make(name)?, class, field, reason)
}

/// Makes a call and demands that it is accepted.
pub(crate) fn accepted(name: &str) -> Outcome {
    judged(name, [0; 3])
}

/// The first bytes of an answer.
#[derive(PartialEq, Eq)]
pub(crate) struct Answer([u8; 4096]);

impl Answer {
    /// Copies them.
    pub(crate) fn read(reply: &Reply) -> Self {
        let mut bytes = [0; 4096];
        let used = bytes.len().min(reply.written as usize);
        bytes[..used].iter_mut().enumerate().for_each(|(i, byte)| *byte = mem::get8(ANSWER + i as u64));
        Self(bytes)
    }

    /// Finds a part.
    pub(crate) fn part(&self, reply: &Reply, tag: Tag) -> Result<&[u8], Failure> {
        let parts = Parts::new(self.0.get(..reply.written as usize).unwrap_or(&[]));
        let found = parts.flatten().find(|(other, _)| *other == tag);
        found.map(|(_, value)| value).ok_or(Failure::because("a part", tag as u64))
    }
}

/// Makes a call of these parts.
pub(crate) fn with(operation: Operation, bits: u16, parts: &[(Tag, &[u8])]) -> Result<Reply, Failure> {
    let mut buffer = [0; 6144];
    let mut writer = PartWriter::new(&mut buffer);
    for (tag, value) in parts {
        writer.add(*tag, value).ok_or(Failure::because("room for a part", *tag as u64))?;
    }
    let used = writer.used();
    ask_number(operation as u16, bits, &buffer[..used])
}
