// SPDX-License-Identifier: MIT OR Apache-2.0
//! The envelope of a supervised indirect message: 64 bytes in front of the payload of `FFA_MSG_SEND2`.
//!
//! All numbers are little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 0 | version: 1 |
//! | 1 | class |
//! | 2 | hop count |
//! | 3 | bit 0: delivered before (written by the SPMC; a sender leaves it 0) |
//! | 4-7 | time to live in milliseconds; what is left of it, when delivered |
//! | 8-15 | task id |
//! | 16-23 | correlation id |
//! | 24-31 | idempotency key |
//! | 32-39 | ticket: written by the SPMC on delivery, repeated by the receiver in its ack or nack, else 0 |
//! | 40-63 | reserved: 0 |
//!
//! Who sent it and to whom is not in it: that is what the SPMC knows (the header of the message).

/// Bytes of an envelope.
pub const SIZE: usize = 64;
/// The version that is written and accepted.
pub const VERSION: u8 = 1;
/// The task id of a control message that asks a sender to pause; the correlation id names the receiver that is full.
pub const SLOW_DOWN: u64 = 1;
/// The task id of a control message that ends [`SLOW_DOWN`].
pub const RESUME: u64 = 2;

const REDELIVERED: u8 = 1 << 0;
/// Words of eight bytes in an envelope.
pub const WORDS: usize = SIZE / 8;

/// Says what a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Work for the receiver.
    Dispatch = 1,
    /// The receiver has taken a message; for the SPMC, which forgets it.
    Ack = 2,
    /// The receiver could not take a message now; for the SPMC, which delivers it again.
    Nack = 3,
    /// How work goes on.
    Status = 4,
    /// A question about work.
    Clarify = 5,
    /// The outcome of work.
    Result = 6,
    /// Work that failed.
    Failure = 7,
    /// Of the SPMC: [`SLOW_DOWN`], [`RESUME`].
    Control = 8,
}

impl Class {
    /// Reads the number of a class.
    pub const fn from_number(n: u8) -> Option<Self> {
        Some(match n {
            1 => Self::Dispatch,
            2 => Self::Ack,
            3 => Self::Nack,
            4 => Self::Status,
            5 => Self::Clarify,
            6 => Self::Result,
            7 => Self::Failure,
            8 => Self::Control,
            // Not assigned.
            _ => return None,
        })
    }
}

/// Names what is wrong with an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not [`VERSION`].
    Version,
    /// No such class.
    Class,
    /// An undefined flag is set.
    Flags,
    /// A reserved byte is not zero.
    Reserved,
}

/// Holds the fields of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What it is for.
    pub class: Class,
    /// How many endpoints it went through before this sender.
    pub hops: u8,
    /// It was delivered before.
    pub redelivered: bool,
    /// Milliseconds for which it may be delivered.
    pub time_to_live: u32,
    /// The work that it belongs to.
    pub task: u64,
    /// What ties an exchange together.
    pub correlation: u64,
    /// Two messages of one sender with one key are one message.
    pub key: u64,
    /// Names one message between the SPMC and its receiver.
    pub ticket: u64,
}

impl Envelope {
    /// Reads an envelope, every bit of it checked.
    pub fn decode(bytes: &[u8; SIZE]) -> Result<Self, Malformed> {
        let mut words = [0; WORDS];
        let (pieces, _) = bytes.as_chunks::<8>();
        for (word, piece) in words.iter_mut().zip(pieces) {
            *word = u64::from_le_bytes(*piece);
        }
        Self::from_words(words)
    }

    /// Reads an envelope from its bytes, eight at a time.
    #[inline]
    pub fn from_words(words: [u64; WORDS]) -> Result<Self, Malformed> {
        let [first, task, correlation, key, ticket, r0, r1, r2] = words;
        let [version, class, hops, flags, ..] = first.to_le_bytes();
        if version != VERSION {
            return Err(Malformed::Version);
        }
        let class = Class::from_number(class).ok_or(Malformed::Class)?;
        if flags & !REDELIVERED != 0 {
            return Err(Malformed::Flags);
        }
        if r0 | r1 | r2 != 0 {
            return Err(Malformed::Reserved);
        }
        let redelivered = flags & REDELIVERED != 0;
        Ok(Self { class, hops, redelivered, time_to_live: (first >> 32) as u32, task, correlation, key, ticket })
    }

    /// Writes an envelope.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut out = [0; SIZE];
        let (pieces, _) = out.as_chunks_mut::<8>();
        for (piece, word) in pieces.iter_mut().zip(self.to_words()) {
            *piece = word.to_le_bytes();
        }
        out
    }

    /// Writes an envelope as its bytes, eight at a time.
    #[inline]
    pub fn to_words(&self) -> [u64; WORDS] {
        let flags = if self.redelivered { REDELIVERED } else { 0 };
        let front = u32::from_le_bytes([VERSION, self.class as u8, self.hops, flags]);
        let first = u64::from(front) | u64::from(self.time_to_live) << 32;
        [first, self.task, self.correlation, self.key, self.ticket, 0, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn random(r: &mut Random) -> Envelope {
        Envelope {
            class: Class::from_number((r.next() % 8) as u8 + 1).unwrap(),
            hops: r.next() as u8,
            redelivered: r.next() % 2 == 0,
            time_to_live: r.next() as u32,
            task: r.next(),
            correlation: r.next(),
            key: r.next(),
            ticket: r.next(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut r = Random(0x9e37_79b9);
        for _ in 0..if cfg!(miri) { 50 } else { 2000 } {
            let e = random(&mut r);
            assert_eq!(Envelope::decode(&e.encode()), Ok(e));
        }
    }

    #[test]
    fn the_layout_is_the_table_above() {
        let e = Envelope {
            class: Class::Clarify,
            hops: 3,
            redelivered: true,
            time_to_live: 0x0403_0201,
            task: 0x11,
            correlation: 0x22,
            key: 0x33,
            ticket: 0x44,
        };
        let bytes = e.encode();
        assert_eq!(bytes[..9], [1, 5, 3, 1, 1, 2, 3, 4, 0x11]);
        assert_eq!([bytes[16], bytes[24], bytes[32]], [0x22, 0x33, 0x44]);
        assert_eq!(bytes[40..], [0; 24]);
    }

    #[test]
    fn every_bit_is_read_or_refused() {
        // Whatever decodes, encodes to the very same bytes: no bit is ignored.
        let mut r = Random(0x1234_5678);
        let good = random(&mut r).encode();
        let mut refused = 0;
        for bit in 0..SIZE * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            match Envelope::decode(&bytes) {
                Ok(e) => assert_eq!(e.encode(), bytes, "bit {bit}"),
                Err(_) => refused += 1,
            }
        }
        // Version 8, flags 7, reserved 24 * 8, and what class makes of its bits.
        assert!(refused >= 8 + 7 + 192 + 4, "{refused}");
        for _ in 0..if cfg!(miri) { 100 } else { 20_000 } {
            let mut bytes = [0; SIZE];
            for b in bytes.iter_mut() {
                *b = r.next() as u8;
            }
            // Few random bytes get as far as the reserved ones: help most.
            if r.next() % 8 != 0 {
                bytes[0] = VERSION;
                bytes[3] &= 1;
                bytes[40..].fill(0);
            }
            if let Ok(e) = Envelope::decode(&bytes) {
                assert_eq!(e.encode(), bytes);
            }
        }
    }

    #[test]
    fn each_field_is_refused_by_its_name() {
        let good = random(&mut Random(7)).encode();
        for (at, value, why) in [
            (0, 0, Malformed::Version),
            (0, 2, Malformed::Version),
            (1, 0, Malformed::Class),
            (1, 9, Malformed::Class),
            (3, 2, Malformed::Flags),
            (40, 1, Malformed::Reserved),
            (63, 128, Malformed::Reserved),
        ] {
            let mut bytes = good;
            bytes[at] = value;
            assert_eq!(Envelope::decode(&bytes), Err(why));
        }
    }
}
