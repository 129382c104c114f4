// SPDX-License-Identifier: MIT OR Apache-2.0
//! UUIDs as FF-A carries them: sixteen bytes, packed into registers as little-endian words (SMCCC, "UUID").

use core::fmt;

/// A UUID, its bytes in RFC 9562 order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Uuid(pub [u8; 16]);

/// Says that a text is not a UUID in its 8-4-4-4-12 form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseUuidError;

impl Uuid {
    /// The nil UUID: "any".
    pub const NIL: Self = Self([0; 16]);

    /// Tells whether this is the nil UUID.
    pub fn is_nil(&self) -> bool {
        *self == Self::NIL
    }

    /// Builds a UUID from w1-w4 of `FFA_PARTITION_INFO_GET`: byte 0 is the lowest byte of the first word.
    pub const fn from_words(w: [u32; 4]) -> Self {
        let mut b = [0; 16];
        let mut i = 0;
        while i < 16 {
            b[i] = (w[i / 4] >> (8 * (i % 4))) as u8;
            i += 1;
        }
        Self(b)
    }

    /// Returns the words for w1-w4.
    pub const fn words(&self) -> [u32; 4] {
        let b = &self.0;
        let mut w = [0; 4];
        let mut i = 0;
        while i < 16 {
            w[i / 4] |= (b[i] as u32) << (8 * (i % 4));
            i += 1;
        }
        w
    }

    /// Builds a UUID from the register pair of `FFA_PARTITION_INFO_GET_REGS` and `FFA_MSG_SEND_DIRECT_REQ2`.
    pub const fn from_pair(low: u64, high: u64) -> Self {
        Self::from_words([low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32])
    }

    /// Returns the register pair.
    pub const fn pair(&self) -> (u64, u64) {
        let w = self.words();
        (w[0] as u64 | (w[1] as u64) << 32, w[2] as u64 | (w[3] as u64) << 32)
    }

    /// Parses `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, in either case.
    pub const fn parse(text: &str) -> Result<Self, ParseUuidError> {
        let t = text.as_bytes();
        if t.len() != 36 {
            return Err(ParseUuidError);
        }
        let mut out = [0u8; 16];
        let (mut i, mut n) = (0, 0);
        while i < 36 {
            if i == 8 || i == 13 || i == 18 || i == 23 {
                if t[i] != b'-' {
                    return Err(ParseUuidError);
                }
            } else {
                let d = match t[i] {
                    c @ b'0'..=b'9' => c - b'0',
                    c @ b'a'..=b'f' => c - b'a' + 10,
                    c @ b'A'..=b'F' => c - b'A' + 10,
                    // Not a hexadecimal digit.
                    _ => return Err(ParseUuidError),
                };
                out[n / 2] = out[n / 2] << 4 | d;
                n += 1;
            }
            i += 1;
        }
        Ok(Self(out))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::string::ToString;

    #[test]
    fn text_words_and_pairs_round_trip() {
        let text = "486178e0-e7f8-11e3-bc5e-0002a5d5c51b";
        let u = Uuid::parse(text).unwrap();
        assert_eq!(u.to_string(), text);
        assert_eq!(u.words(), [0xe078_6148, 0xe311_f8e7, 0x0200_5ebc, 0x1bc5_d5a5]);
        assert_eq!(Uuid::from_words(u.words()), u);
        let (lo, hi) = u.pair();
        assert_eq!(Uuid::from_pair(lo, hi), u);
        assert!(Uuid::parse("486178e0-e7f8-11e3-bc5e-0002a5d5c51").is_err());
        assert!(Uuid::parse("486178e0-e7f8-11e3-bc5e-0002a5d5c51g").is_err());
    }
}
