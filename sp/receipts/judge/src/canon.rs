// SPDX-License-Identifier: MIT OR Apache-2.0
//! The canonical form (RFC 8785): sorted keys, one spelling for every string and number.

use crate::json::{Kind, Number, Value};
use crate::verdict::{Class, Field, Reason, Verdict};
use alloc::vec::Vec;

/// The largest integer that every JSON reader represents exactly, 2^53 - 1.
const MAX_SAFE: u64 = 9_007_199_254_740_991;

/// Takes canonical bytes as they are written: a hash, a signature check or a buffer.
pub trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Writes any value in canonical form.
pub fn write_value(value: Value<'_>, out: &mut dyn Sink) -> Result<(), Verdict> {
    Writer { out, members: Vec::new() }.value(value)
}

/// The most bytes of output that any call gives.
pub const MAX_OUTPUT: usize = 73728;

/// Canonical bytes in memory, up to [`MAX_OUTPUT`] of them.
#[derive(Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    overflow: bool,
}

impl Output {
    /// Starts with room for about so many bytes, so that it need not move as it grows.
    pub(crate) fn of_about(size: usize) -> Self {
        let mut out = Self::default();
        // Without that room it will say so when it is needed.
        let _ = out.bytes.try_reserve_exact(size.min(MAX_OUTPUT));
        out
    }

    /// Gives the bytes, unless there were too many.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Verdict> {
        if self.overflow {
            return Err(Verdict::new(Class::Limit, Field::Output, Reason::TooMany));
        }
        Ok(self.bytes)
    }
}

impl Sink for Output {
    fn put(&mut self, bytes: &[u8]) {
        if self.overflow {
            return;
        }
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            // Doubling, but never beyond the limit.
            let room = needed.max(2 * self.bytes.capacity()).min(MAX_OUTPUT) - self.bytes.len();
            self.overflow |= needed > MAX_OUTPUT || self.bytes.try_reserve_exact(room).is_err();
        }
        if !self.overflow {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

/// Gives the canonical form of a JSON text.
pub fn canonicalize(text: &[u8]) -> Result<Vec<u8>, Verdict> {
    let document = crate::parse_receipt(text)?;
    let mut out = Output::of_about(text.len());
    write_value(document.root(), &mut out)?;
    out.finish()
}

/// Writes a string with its quotes.
pub fn write_string(string: &str, out: &mut dyn Sink) {
    out.put(b"\"");
    let mut rest = string.as_bytes();
    loop {
        let plain = plain_length(rest);
        let (clean, from) = rest.split_at(plain);
        out.put(clean);
        let Some((&byte, after)) = from.split_first() else { break };
        match byte {
            b'"' => out.put(b"\\\""),
            b'\\' => out.put(b"\\\\"),
            0x08 => out.put(b"\\b"),
            0x09 => out.put(b"\\t"),
            0x0a => out.put(b"\\n"),
            0x0c => out.put(b"\\f"),
            0x0d => out.put(b"\\r"),
            other => out.put(&[b'\\', b'u', b'0', b'0', hex_digit(other >> 4), hex_digit(other)]),
        }
        rest = after;
    }
    out.put(b"\"");
}

/// Counts the bytes before the first one that a JSON string spells with an escape: a control, `"`, `\`.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    // The top bit of each byte that is zero; of several, the lowest is right, and only that one is looked at.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let mut length = 0;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        let special = controls | zeros(word ^ (ONES * 0x22)) | zeros(word ^ (ONES * 0x5c));
        if special != 0 {
            return length + (special.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    length + words.remainder().iter().position(is_special).unwrap_or(words.remainder().len())
}

/// Gives the lower-case hexadecimal digit of the low four bits.
pub(crate) const fn hex_digit(nibble: u8) -> u8 {
    match nibble & 15 {
        digit @ 0..=9 => b'0' + digit,
        letter => b'a' + letter - 10,
    }
}

/// Writes a non-negative integer of any size.
pub(crate) fn write_digits(mut value: u64, out: &mut dyn Sink) {
    let mut digits = [0u8; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    out.put(digits.get(digits.len() - used..).unwrap_or(&[]));
}

/// Writes a number. An integer beyond 2^53 - 1 has no canonical form, except that -2^63 passes verbatim, as it does in
/// the reference (whose absolute value of it wraps).
pub fn write_number(number: Number, out: &mut dyn Sink) -> Result<(), Verdict> {
    match number {
        Number::Unsigned(value) if value <= MAX_SAFE => write_digits(value, out),
        Number::Negative(value) if value.unsigned_abs() <= MAX_SAFE || value == i64::MIN => {
            out.put(b"-");
            write_digits(value.unsigned_abs(), out);
        }
        Number::Unsigned(_) | Number::Negative(_) => {
            return Err(Verdict::new(Class::CanonicalizeError, Field::Document, Reason::UnsafeInteger));
        }
        Number::Float(value) => out.put(ryu_js::Buffer::new().format_finite(value).as_bytes()),
    }
    Ok(())
}

/// Orders two keys by their UTF-16 code units.
fn key_order(a: &str, b: &str) -> core::cmp::Ordering {
    // The order of UTF-8 bytes is the same, except between U+E000.. (lead bytes ee, ef) and the planes above (f0..).
    match a.bytes().zip(b.bytes()).find(|(a, b)| a != b) {
        None => a.len().cmp(&b.len()),
        Some((a, b)) if a < 0xee || b < 0xee => a.cmp(&b),
        Some(_) => a.encode_utf16().cmp(b.encode_utf16()),
    }
}

/// Sorts positions. One function for all that is sorted: each would be kilobytes of its own.
pub(crate) fn sort(positions: &mut [u32], order: &dyn Fn(u32, u32) -> core::cmp::Ordering) {
    positions.sort_unstable_by(|&a, &b| order(a, b));
}

/// Writes nested values; `members` is a stack of the keys of the objects that are open, so that none allocates its own.
struct Writer<'o> {
    out: &'o mut dyn Sink,
    members: Vec<u32>,
}

impl Writer<'_> {
    fn value(&mut self, value: Value<'_>) -> Result<(), Verdict> {
        match value.kind() {
            Kind::Null => self.out.put(b"null"),
            Kind::Bool(true) => self.out.put(b"true"),
            Kind::Bool(false) => self.out.put(b"false"),
            Kind::Number(number) => return write_number(number, self.out),
            Kind::String(string) => write_string(string, self.out),
            Kind::Array => return self.array(value),
            Kind::Object => return self.object(value),
        }
        Ok(())
    }

    fn array(&mut self, array: Value<'_>) -> Result<(), Verdict> {
        let mut before: &[u8] = b"[";
        for item in array.items() {
            self.out.put(before);
            self.value(item)?;
            before = b",";
        }
        self.out.put(if before == b"[" { b"[]" } else { b"]" });
        Ok(())
    }

    fn object(&mut self, object: Value<'_>) -> Result<(), Verdict> {
        let base = self.members.len();
        let no_room = |_| Verdict::new(Class::Limit, Field::Document, Reason::TooMany);
        self.members.try_reserve_exact(object.keys().count()).map_err(no_room)?;
        self.members.extend(object.keys().map(Value::position));
        let key = |at: u32| object.at(at).as_str().unwrap_or("");
        if let Some(mine) = self.members.get_mut(base..) {
            // Positions are in the order of the text, so of equal keys the last one is the one that counts.
            sort(mine, &|a, b| key_order(key(a), key(b)).then(a.cmp(&b)));
        }
        let mut before: &[u8] = b"{";
        let mut next = base;
        while let Some(&member) = self.members.get(next) {
            next += 1;
            if self.members.get(next).is_some_and(|&later| key(later) == key(member)) {
                continue;
            }
            self.out.put(before);
            write_string(key(member), self.out);
            self.out.put(b":");
            self.value(object.at(member + 1))?;
            before = b",";
        }
        self.out.put(if before == b"{" { b"{}" } else { b"}" });
        self.members.truncate(base);
        Ok(())
    }
}
