// SPDX-License-Identifier: MIT OR Apache-2.0
//! The character device of `agent_receipts.ko`: one write makes a call, reads give what came back.

use call_device::{Names, REGISTERS};
use receipts_client::{Call, MAX_ANSWER, MAX_MESSAGE, Operation, PartWriter, Parts, Reply, Span, Tag};
use std::fmt;

static NAMES: Names = Names {
    path: "/dev/agent-receipts",
    variable: "AGENT_RECEIPTS_DEVICE",
    module: "agent_receipts",
    absent: "the firmware has no receipts partition",
};

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The device gave none.
    Device(call_device::Failure),
    /// The message has no room for this.
    TooLarge,
    /// The answer makes no sense.
    Garbled,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(failure) => failure.fmt(f),
            Self::TooLarge => write!(f, "more than the {MAX_MESSAGE} bytes that the partition takes in one message"),
            Self::Garbled => write!(f, "the partition's answer makes no sense"),
        }
    }
}

/// What the partition answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Verdict, clock and values.
    pub(crate) reply: Reply,
    parts: Vec<(Tag, Vec<u8>)>,
}

impl Answer {
    /// Reads x3 to x7, each 8 bytes little-endian, and the parts behind them.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (registers, body) = call_device::split(bytes)?;
        let reply = Reply::from_registers(registers)?;
        let body = body.get(..usize::try_from(reply.written).ok()?)?;
        let parts =
            Parts::new(body).map(|part| part.map(|(tag, value)| (tag, value.to_vec()))).collect::<Result<_, _>>();
        Some(Self { reply, parts: parts.ok()? })
    }

    /// Gives a part, if it is there.
    pub(crate) fn part(&self, tag: Tag) -> Option<&[u8]> {
        self.parts.iter().find(|(other, _)| *other == tag).map(|(_, value)| value.as_slice())
    }

    /// Gives a part as text, if it is there.
    pub(crate) fn text(&self, tag: Tag) -> Option<String> {
        self.part(tag).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// Packs x3 and the parts of a message, as the device takes them.
pub(crate) fn request(operation: Operation, flags: u16, parts: &[(Tag, &[u8])]) -> Result<Vec<u8>, Failure> {
    let call =
        Call { operation: operation as u16, flags, handle: 0, message: Span::default(), answer: Span::default() };
    let [first, ..] = call.registers();
    let mut bytes = vec![0; 8 + MAX_MESSAGE];
    let (head, body) = bytes.split_at_mut(8);
    head.copy_from_slice(&first.to_le_bytes());
    let mut writer = PartWriter::new(body);
    for (tag, value) in parts {
        writer.add(*tag, value).ok_or(Failure::TooLarge)?;
    }
    let used = writer.used();
    bytes.truncate(8 + used);
    Ok(bytes)
}

/// The open device.
pub(crate) struct Device(call_device::Device);

impl Device {
    /// Opens the device; where it is missing, finds out why.
    pub(crate) fn open() -> Result<Self, Failure> {
        call_device::Device::open(&NAMES).map(Self).map_err(Failure::Device)
    }

    /// Makes one call.
    pub(crate) fn call(&mut self, operation: Operation, flags: u16, parts: &[(Tag, &[u8])]) -> Result<Answer, Failure> {
        let request = request(operation, flags, parts)?;
        let answer = self.0.exchange(&request, REGISTERS + MAX_ANSWER).map_err(Failure::Device)?;
        Answer::read(&answer).ok_or(Failure::Garbled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use receipts_client::ClockSource;

    #[test]
    fn answers_read_back() {
        let reply =
            Reply { code: 0x0102_0304 & 0xff_ffff, clock: ClockSource::RtcAtBoot, written: 16, values: [7, 8, 9] };
        let mut bytes = call_device::pack(&reply.registers());
        let mut room = [0; 16];
        PartWriter::new(&mut room).add(Tag::Hash, b"abc").expect("room");
        bytes.extend(room);
        let answer = Answer::read(&bytes).expect("an answer");
        assert_eq!((answer.reply, answer.text(Tag::Hash)), (reply, Some("abc".into())));
        assert!(answer.part(Tag::Key).is_none());
        assert!(Answer::read(&bytes[..bytes.len() - 1]).is_none());
        assert!(Answer::read(&[]).is_none());
    }

    #[test]
    fn requests_have_a_limit() {
        let request_of = |size| request(Operation::Append, 0, &[(Tag::Receipt, &vec![b'x'; size][..])]);
        assert_eq!(request_of(64).expect("room").len(), 8 + 8 + 64);
        assert!(matches!(request_of(MAX_MESSAGE), Err(Failure::TooLarge)));
    }
}
