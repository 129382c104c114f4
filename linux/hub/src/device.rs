// SPDX-License-Identifier: MIT OR Apache-2.0
//! The character device of `hematite_hub.ko`: one write makes a call of the service, reads give what came back.

use std::fmt;

use call_device::{Names, REGISTERS};
use ffa_abi::hub::{Description, HubCall, HubError, KEPT, List, VERSION};

static NAMES: Names = Names {
    path: "/dev/hematite-hub",
    variable: "HEMATITE_HUB_DEVICE",
    module: "hematite_hub",
    absent: "the SPMC's manifest has no hub",
};

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The device gave none.
    Device(call_device::Failure),
    /// The service refused; the number is the status of one that this tool does not know.
    Refused(Result<HubError, u64>),
    /// The service has another version than this tool.
    Version(u32),
    /// The answer makes no sense.
    Garbled,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(failure) => failure.fmt(f),
            Self::Refused(Ok(why)) => write!(f, "refused: {}", why.text()),
            Self::Refused(Err(status)) => write!(f, "refused: status {status:#x}"),
            Self::Version(version) => {
                write!(f, "the service has version {}.{}, not 1.x", version >> 16, version & 0xffff)
            }
            Self::Garbled => write!(f, "the service's answer makes no sense"),
        }
    }
}

/// What came back of one call: x4 to x7, and the records that were kept.
type Answer = ([u64; 4], Vec<u8>);

/// Reads what the device gives.
fn read_answer(bytes: &[u8]) -> Result<Answer, Failure> {
    let (registers, body) = call_device::split(bytes).ok_or(Failure::Garbled)?;
    match registers {
        [0, a, b, c, d] => Ok(([a, b, c, d], body.to_vec())),
        [status, ..] => Err(Failure::Refused(HubError::from_code(status).ok_or(status))),
    }
}

/// Splits the records of a list; tells whether there are more.
fn split<const N: usize>((values, body): &Answer) -> Result<(Vec<[u8; N]>, bool), Failure> {
    let [count, size, more, _] = *values;
    let (records, rest) = body.as_chunks();
    if size != N as u64 || records.len() as u64 != count || !rest.is_empty() {
        return Err(Failure::Garbled);
    }
    Ok((records.to_vec(), more != 0 && count != 0))
}

/// The open device.
pub(crate) struct Device(call_device::Device);

impl Device {
    /// Opens the device; where it is missing, finds out why.
    pub(crate) fn open() -> Result<Self, Failure> {
        call_device::Device::open(&NAMES).map(Self).map_err(Failure::Device)
    }

    fn exchange(&mut self, call: HubCall) -> Result<Answer, Failure> {
        let answer = self.0.exchange(&call_device::pack(&call.encode()), REGISTERS + KEPT).map_err(Failure::Device)?;
        read_answer(&answer)
    }

    /// Makes one call; returns x4 to x7.
    pub(crate) fn call(&mut self, call: HubCall) -> Result<[u64; 4], Failure> {
        self.exchange(call).map(|(values, _)| values)
    }

    /// Describes the hub, if it speaks as this tool does.
    pub(crate) fn describe(&mut self) -> Result<Description, Failure> {
        let description = Description::decode(self.call(HubCall::Describe)?);
        let major = |version: u32| version >> 16;
        if major(description.version) == major(VERSION) {
            Ok(description)
        } else {
            Err(Failure::Version(description.version))
        }
    }

    /// Lists everything from where `list` begins; `next` makes the list that goes on behind the records so far.
    pub(crate) fn list<const N: usize, T>(
        &mut self,
        mut list: List,
        read: impl Fn(&[u8; N]) -> Option<T>,
        next: impl Fn(&[T]) -> List,
    ) -> Result<Vec<T>, Failure> {
        let mut found = Vec::new();
        loop {
            let (records, more) = split(&self.exchange(HubCall::Keep(list))?)?;
            for record in &records {
                found.push(read(record).ok_or(Failure::Garbled)?);
            }
            if !more {
                return Ok(found);
            }
            list = next(&found);
        }
    }

    /// Counts the dead letters that made room before they were purged.
    pub(crate) fn evicted_letters(&mut self) -> Result<u64, Failure> {
        self.call(HubCall::Keep(List::DeadLetters(u32::MAX))).map(|[.., evicted]| evicted)
    }

    /// Reads one record of any size.
    pub(crate) fn read_one(&mut self, list: List) -> Result<Vec<u8>, Failure> {
        let (_, body) = self.exchange(HubCall::Keep(list))?;
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(registers: [u64; 5], body: &[u8]) -> Vec<u8> {
        let mut bytes = call_device::pack(&registers);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn answers_are_checked() {
        let answer = read_answer(&bytes([0, 2, 3, 1, 0], b"abcdef")).expect("an answer");
        let (records, more) = split::<3>(&answer).expect("records");
        assert_eq!((records, more), (vec![*b"abc", *b"def"], true));
        assert!(matches!(split::<2>(&answer), Err(Failure::Garbled)), "the size is another");
        let short = read_answer(&bytes([0, 2, 3, 1, 0], b"abcde")).expect("an answer");
        assert!(matches!(split::<3>(&short), Err(Failure::Garbled)), "a record is cut");
        assert!(matches!(read_answer(&[0; 39]), Err(Failure::Garbled)));
        let refused = |status| read_answer(&bytes([status, 0, 0, 0, 0], &[])).err().map(|f| f.to_string());
        assert_eq!(refused(3).as_deref(), Some("refused: only the coordinator may change anything"));
        assert_eq!(refused(0x1234).as_deref(), Some("refused: status 0x1234"));
    }
}
