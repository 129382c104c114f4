// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys, signatures, hashes and identifiers in the spellings of the format.

use crate::canon::{Sink, hex_digit, write_string};
use crate::schema::{Record, Signed};
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use alloc::string::String;
use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

const KEY_PREFIX: &str = "ed25519:";
const HASH_PREFIX: &str = "sha256:";

/// The previous hash of the first audit record.
pub const GENESIS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// An Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a key from its 32 bytes; `None` if they are no point of the curve.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().map(Self)
    }

    /// Reads `ed25519:` and standard base64 with padding. `field` is what the verdict names.
    pub fn parse(text: &str, field: Field) -> Result<Self, Verdict> {
        let malformed = Verdict::new(Class::InvalidKey, field, Reason::Malformed);
        let bytes = decode::<32>(text).ok_or(malformed)?;
        Self::from_bytes(&bytes).ok_or(malformed)
    }

    /// Gives the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Spells the key as the format does.
    pub fn text(&self) -> String {
        encode(self.as_bytes())
    }

    /// Tells whether the key is a small-order point, under which anyone can sign anything.
    pub fn is_small_order(&self) -> bool {
        self.0.is_weak()
    }
}

impl From<VerifyingKey> for PublicKey {
    fn from(key: VerifyingKey) -> Self {
        Self(key)
    }
}

/// Decodes `ed25519:` and strict standard base64 of exactly `N` bytes.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let decoded = Base64::decode(text.strip_prefix(KEY_PREFIX)?, &mut bytes).ok()?;
    (decoded.len() == N).then_some(bytes)
}

/// Spells key or signature bytes: `ed25519:` and standard base64.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::from(KEY_PREFIX);
    text.push_str(&Base64::encode_string(bytes));
    text
}

/// Reads a signature. A wrong spelling is the receipt's fault, not a mismatch.
pub(crate) fn parse_signature(text: &str) -> Result<Signature, Verdict> {
    match decode::<64>(text) {
        Some(bytes) => Ok(Signature::from_bytes(&bytes)),
        None => refuse(Class::InvalidReceipt, Field::Sig, Reason::Malformed),
    }
}

/// Checks the signature of a structure over the given part of it.
pub(crate) fn check_signed(
    record: &Record<'_>,
    part: &Signed,
    key: &PublicKey,
    signature: &Signature,
) -> Result<(), Verdict> {
    // A signature whose scalar is out of range fails here, but a text that has no canonical form is reported first.
    let mut check = Check(key.0.verify_stream(signature).ok());
    record.write_signed(part, &mut check)?;
    match check.0.map(|check| check.finalize_and_verify()) {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None => refuse(Class::SignatureMismatch, Field::Sig, Reason::Mismatch),
    }
}

struct Check(Option<ed25519_dalek::StreamVerifier>);

impl Sink for Check {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(check) = &mut self.0 {
            check.update(bytes);
        }
    }
}

/// Verifies a bare Ed25519 signature strictly: no small-order key or commitment.
pub fn verify_bare(key: &[u8; 32], signed: &[u8], signature: &[u8; 64]) -> Result<(), Verdict> {
    let mismatch = Verdict::new(Class::SignatureMismatch, Field::Sig, Reason::Mismatch);
    let key = VerifyingKey::from_bytes(key).map_err(|_| mismatch)?;
    key.verify_strict(signed, &Signature::from_bytes(signature)).map_err(|_| mismatch)
}

/// The encodings of the eight points of small order.
const SMALL_ORDER: [[u8; 32]; 8] = {
    let (zero, mut one, mut minus_one) = ([0; 32], [0; 32], [0xff; 32]);
    one[0] = 1;
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    [zero, negative(zero), one, minus_one, EIGHTH, negative(EIGHTH), OTHER_EIGHTH, negative(OTHER_EIGHTH)]
};

const EIGHTH: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac,
    0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];

const OTHER_EIGHTH: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53,
    0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

/// Sets the sign of x.
const fn negative(mut point: [u8; 32]) -> [u8; 32] {
    point[31] |= 0x80;
    point
}

/// Refuses, beyond what the reference does, a key or a signature commitment of small order. The signature must have
/// verified: then its commitment equals the encoding of a point that the verification computed, so it is one of small
/// order just where it is one of the eight encodings, and does not have to be decoded to tell.
pub(crate) fn refuse_small_order(key: &PublicKey, verified: &Signature, field: Field) -> Result<(), Verdict> {
    if key.is_small_order() {
        return refuse(Class::Strict, field, Reason::SmallOrder);
    }
    if SMALL_ORDER.contains(verified.r_bytes()) {
        return refuse(Class::Strict, Field::Sig, Reason::SmallOrder);
    }
    Ok(())
}

/// A SHA-256 as canonical bytes are written to it.
#[derive(Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn finish(self) -> Hash {
        Hash(self.0.finalize().into())
    }
}

impl Sink for Hasher {
    fn put(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// A SHA-256 value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The previous hash of the first audit record: zeros.
    pub const GENESIS: Self = Self([0; 32]);

    /// Hashes some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Spells the hash as the format does: `sha256:` and lower-case hexadecimal.
    pub fn text(&self) -> String {
        let mut text = String::from(HASH_PREFIX);
        push_hex(&self.0, &mut text);
        text
    }

    /// Reads the spelling of [`Hash::text`].
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(HASH_PREFIX)?.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            for &digit in pair {
                let nibble = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return None, // upper case and everything else is not the format's spelling
                };
                *byte = (*byte << 4) | nibble;
            }
        }
        Some(Self(bytes))
    }
}

/// Appends lower-case hexadecimal.
pub(crate) fn push_hex(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        text.push(char::from(hex_digit(byte >> 4)));
        text.push(char::from(hex_digit(*byte)));
    }
}

/// Derives the identifier of whatever carries this signature: the prefix and half of the signature's hash.
pub(crate) fn derive_id(prefix: &str, signature: &Signature) -> String {
    let hash = Sha256::digest(signature.to_bytes());
    let mut id = String::from(prefix);
    push_hex(hash.get(..16).unwrap_or(&[]), &mut id);
    id
}

/// Hashes `{"prev_hash": ..., "receipt": ...}` in canonical form: the record hash of the audit log.
pub(crate) fn record_hash(receipt: crate::json::Value<'_>, previous: &str) -> Result<Hash, Verdict> {
    let mut hasher = Hasher::default();
    hasher.put(b"{\"prev_hash\":");
    write_string(previous, &mut hasher);
    hasher.put(b",\"receipt\":");
    crate::canon::write_value(receipt, &mut hasher)?;
    hasher.put(b"}");
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn these_are_the_points_of_small_order() {
        for (n, bytes) in SMALL_ORDER.iter().enumerate() {
            let point = VerifyingKey::from_bytes(bytes).expect("a point");
            assert!(point.is_weak(), "{n}");
            assert_eq!(point.to_edwards().compress().as_bytes(), bytes, "{n} is spelled as computed points are");
            assert!(!SMALL_ORDER.iter().skip(n + 1).any(|other| other == bytes), "{n} is there once");
        }
    }
}
