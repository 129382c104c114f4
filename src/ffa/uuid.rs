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
    #[inline(always)]
    pub const fn is_nil(&self) -> bool {
        u128::from_le_bytes(self.0) == 0
    }

    /// Builds a UUID from w1-w4 of `FFA_PARTITION_INFO_GET`: byte 0 is the lowest byte of the first word.
    #[inline(always)]
    pub const fn from_words(w: [u32; 4]) -> Self {
        let [a, b, c, d] = w;
        Self::from_pair(a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32)
    }

    /// Returns the words for w1-w4.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        let (low, high) = self.pair();
        [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
    }

    /// Builds a UUID from the register pair of `FFA_PARTITION_INFO_GET_REGS` and `FFA_MSG_SEND_DIRECT_REQ2`.
    #[inline(always)]
    pub const fn from_pair(low: u64, high: u64) -> Self {
        Self((low as u128 | (high as u128) << 64).to_le_bytes())
    }

    /// Returns the register pair.
    #[inline(always)]
    pub const fn pair(&self) -> (u64, u64) {
        let both = u128::from_le_bytes(self.0);
        (both as u64, (both >> 64) as u64)
    }

    /// Parses `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, in either case.
    pub const fn parse(text: &str) -> Result<Self, ParseUuidError> {
        let t = text.as_bytes();
        if t.len() != 36 {
            return Err(ParseUuidError);
        }
        let (mut i, mut all) = (0, 0u128);
        while i < 36 {
            if i == 8 || i == 13 || i == 18 || i == 23 {
                if t[i] != b'-' {
                    return Err(ParseUuidError);
                }
            } else {
                let Some(digit) = (t[i] as char).to_digit(16) else { return Err(ParseUuidError) };
                all = all << 4 | digit as u128;
            }
            i += 1;
        }
        Ok(Self(all.to_be_bytes()))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = u128::from_be_bytes(self.0);
        let part = |from: u32, bits: u32| (all >> from) as u64 & ((1 << bits) - 1);
        let [a, b, c, d, e] = [part(96, 32), part(80, 16), part(64, 16), part(48, 16), part(0, 48)];
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
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
