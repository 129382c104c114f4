// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory transaction descriptor and its parts (DEN0077A v1.1, tables 10.13 to 10.20).

use super::{Attributes, Flags, Malformed, Permissions, RANGE_SIZE, high, pair};
use crate::{Handle, PartitionId, Version};

/// Names the forms of a transaction descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// v1.0: a header of 32 bytes, access descriptors of 16 behind it.
    V1_0,
    /// v1.1: a header of 48 bytes that says where its access descriptors are; they have 16 bytes.
    V1_1,
    /// v1.2: the same, with access descriptors of 32 bytes.
    V1_2,
}

impl Form {
    /// Returns the form in which an endpoint of `version` is written to.
    pub fn of(version: Version) -> Self {
        match version {
            v if v < Version::V1_1 => Self::V1_0,
            v if v < Version::V1_2 => Self::V1_1,
            // v1.2 and whatever is compatible with it.
            _ => Self::V1_2,
        }
    }

    /// Returns the bytes of the header.
    pub const fn header(self) -> usize {
        match self {
            Self::V1_0 => 32,
            Self::V1_1 | Self::V1_2 => 48,
        }
    }

    /// Returns the bytes of an access descriptor.
    pub const fn access(self) -> usize {
        match self {
            Self::V1_0 | Self::V1_1 => 16,
            Self::V1_2 => 32,
        }
    }

    /// Returns where the composite descriptor of a message with `receivers` access descriptors begins, as we lay it.
    pub const fn composite(self, receivers: usize) -> usize {
        self.header() + receivers * self.access()
    }
}

/// A transaction descriptor: its header decoded, its parts still in the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    from: &'a [u8],
    form: Form,
    access_at: usize,
    access_end: usize,
    /// Who owns the memory.
    pub sender: PartitionId,
    /// Memory type, cacheability, shareability, security.
    pub attributes: Attributes,
    /// See [`Flags`].
    pub flags: Flags,
    /// Zero in a send.
    pub handle: Handle,
    /// The owner's own mark.
    pub tag: u64,
    /// How many access descriptors there are.
    pub receivers: usize,
}

/// An endpoint memory access descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whose access.
    pub receiver: PartitionId,
    /// What access.
    pub permissions: Permissions,
    /// Bit 0, in a retrieve request: this borrower does not retrieve.
    pub flags: u8,
    /// Offset of the composite descriptor; 0: none.
    pub composite: u32,
    /// Implementation-defined value (v1.2); zero in the older forms.
    pub impdef: [u64; 2],
}

/// A composite memory region descriptor, and where its ranges begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Composite {
    /// Pages in all ranges together.
    pub pages: u32,
    /// How many ranges follow.
    pub ranges: u32,
    /// Offset of the first range.
    pub at: usize,
}

/// A constituent: pages that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte; page-aligned.
    pub address: u64,
    /// 4 KiB pages, at least one; the last ends within 64 bits.
    pub pages: u32,
}

impl<'a> Region<'a> {
    /// Decodes the header that an endpoint of `version` wrote, and checks that its access descriptors lie within
    /// `from` and do not overlap the header.
    pub fn decode(from: &'a [u8], version: Version) -> Result<Self, Malformed> {
        let [first, handle] = pair(from, 0)?;
        let [tag, fourth] = pair(from, 16)?;
        let attributes = Attributes::decode((first >> 16) as u16)?;
        let receivers = high(fourth) as usize;
        let (form, access_at) = if version < Version::V1_1 {
            if fourth as u32 != 0 {
                return Err(Malformed::Reserved);
            }
            (Form::V1_0, Form::V1_0.header())
        } else {
            let [fifth, sixth] = pair(from, 32)?;
            if high(fifth) != 0 || sixth != 0 {
                return Err(Malformed::Reserved);
            }
            let form = match fourth as u32 {
                16 => Form::V1_1,
                32 if version >= Version::V1_2 => Form::V1_2,
                // A descriptor without access descriptors need not say how large they would be.
                0 if receivers == 0 => Form::V1_1,
                // No version has any other size.
                _ => return Err(Malformed::AccessSize),
            };
            let at = fifth as u32 as usize;
            if receivers != 0 && (at < form.header() || at % 16 != 0) {
                return Err(Malformed::Offset);
            }
            (form, at)
        };
        // Two 32-bit numbers, one of them times 32 at most.
        let access_end = access_at.saturating_add(receivers.saturating_mul(form.access()));
        if receivers != 0 && access_end > from.len() {
            return Err(Malformed::Length);
        }
        Ok(Self {
            from,
            form,
            access_at,
            access_end,
            sender: PartitionId(first as u16),
            attributes,
            flags: Flags(high(first)),
            handle: Handle(handle),
            tag,
            receivers,
        })
    }

    /// Returns the form in which it is written.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// Returns the offset behind the last access descriptor.
    pub const fn access_end(&self) -> usize {
        self.access_end
    }

    /// Decodes an access descriptor.
    pub fn access(&self, index: usize) -> Result<Access, Malformed> {
        if index >= self.receivers {
            return Err(Malformed::Length);
        }
        // It ends at `access_end` at the latest.
        Access::decode(self.from, self.access_at + index * self.form.access(), self.form)
    }

    /// Decodes the access descriptors one by one.
    pub fn accesses(&self) -> impl Iterator<Item = Result<Access, Malformed>> + use<'_, 'a> {
        (0..self.receivers).map(|i| self.access(i))
    }

    /// Decodes the composite descriptor at `offset`: behind the access descriptors, and its header within the bytes.
    pub fn composite(&self, offset: u32) -> Result<Composite, Malformed> {
        let at = offset as usize;
        if at % 16 != 0 || at < self.access_end {
            return Err(Malformed::Offset);
        }
        let [counts, reserved] = pair(self.from, at)?;
        if reserved != 0 {
            return Err(Malformed::Reserved);
        }
        Ok(Composite { pages: counts as u32, ranges: high(counts), at: at.saturating_add(RANGE_SIZE) })
    }

    /// Returns the bytes from offset `at` on.
    pub fn bytes_from(&self, at: usize) -> &'a [u8] {
        self.from.get(at..).unwrap_or(&[])
    }

    /// Iterates over the ranges of `composite` that are in these bytes; there may be more in later fragments.
    pub fn ranges(&self, composite: &Composite) -> Ranges<'a> {
        Ranges::new(self.bytes_from(composite.at))
    }
}

impl Access {
    fn decode(from: &[u8], at: usize, form: Form) -> Result<Self, Malformed> {
        let [first, second] = pair(from, at)?;
        let (impdef, reserved) = if form == Form::V1_2 {
            let [third, fourth] = pair(from, at.saturating_add(16))?;
            ([second, third], fourth)
        } else {
            ([0; 2], second)
        };
        if reserved != 0 {
            return Err(Malformed::Reserved);
        }
        Ok(Self {
            receiver: PartitionId(first as u16),
            permissions: Permissions::decode((first >> 16) as u8)?,
            flags: (first >> 24) as u8,
            composite: high(first),
            impdef,
        })
    }
}

/// Decodes constituents, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Ranges<'a> {
    from: &'a [u8],
}

impl<'a> Ranges<'a> {
    /// Starts at the first byte of `from`; bytes behind the last whole constituent are ignored.
    pub const fn new(from: &'a [u8]) -> Self {
        Self { from }
    }
}

impl Iterator for Ranges<'_> {
    type Item = Result<Range, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (one, rest) = self.from.split_first_chunk::<RANGE_SIZE>()?;
        self.from = rest;
        Some(Range::decode(one))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n = self.from.len() / RANGE_SIZE;
        (n, Some(n))
    }
}

impl Range {
    /// Decodes a constituent.
    #[inline]
    pub fn decode(from: &[u8; RANGE_SIZE]) -> Result<Self, Malformed> {
        let bits = u128::from_le_bytes(*from);
        let (address, pages, reserved) = (bits as u64, (bits >> 64) as u32, (bits >> 96) as u32);
        if reserved != 0 {
            return Err(Malformed::Reserved);
        }
        let fits = address.checked_add((pages as u64) << 12).is_some();
        if address % 4096 != 0 || pages == 0 || !fits {
            return Err(Malformed::Range);
        }
        Ok(Self { address, pages })
    }

    /// Encodes a constituent.
    #[inline]
    pub const fn encode(&self) -> [u8; RANGE_SIZE] {
        (self.address as u128 | (self.pages as u128) << 64).to_le_bytes()
    }
}

/// Writes a transaction descriptor into bytes: header, access descriptors, composite header, then ranges until the
/// bytes end. The same for a send (by a partition or a test) and for a retrieve response.
#[derive(Debug)]
pub struct ResponseWriter<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> ResponseWriter<'a> {
    /// Starts in the first byte of `out`.
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// Writes the header.
    #[expect(clippy::too_many_arguments, reason = "the header has that many fields")]
    pub fn header(
        &mut self,
        form: Form,
        sender: PartitionId,
        attributes: u16,
        flags: Flags,
        handle: Handle,
        tag: u64,
        receivers: u32,
    ) -> Result<(), Malformed> {
        let first = u64::from(sender.0) | u64::from(attributes) << 16 | u64::from(flags.0) << 32;
        let size = if form == Form::V1_0 { 0 } else { form.access() as u64 };
        let words = [first, handle.0, tag, u64::from(receivers) << 32 | size, form.header() as u64, 0];
        self.put(words.get(..form.header() / 8).unwrap_or(&words))
    }

    /// Writes an access descriptor.
    pub fn access(&mut self, form: Form, access: &Access) -> Result<(), Malformed> {
        let (permissions, flags) = (u64::from(access.permissions.bits()), u64::from(access.flags));
        let first = u64::from(access.receiver.0) | permissions << 16 | flags << 24 | u64::from(access.composite) << 32;
        let [low, high] = if form == Form::V1_2 { access.impdef } else { [0; 2] };
        let words = [first, low, high, 0];
        self.put(words.get(..form.access() / 8).unwrap_or(&words))
    }

    /// Writes a composite header.
    pub fn composite(&mut self, pages: u32, ranges: u32) -> Result<(), Malformed> {
        self.put(&[u64::from(pages) | u64::from(ranges) << 32, 0])
    }

    /// Writes one range; `Err` when it does not fit.
    pub fn range(&mut self, range: &Range) -> Result<(), Malformed> {
        self.put(&[range.address, range.pages.into()])
    }

    /// Returns the bytes written so far.
    pub const fn len(&self) -> usize {
        self.at
    }

    /// Tells whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.at == 0
    }

    fn put(&mut self, words: &[u64]) -> Result<(), Malformed> {
        for word in words {
            let to = self.out.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut()).ok_or(Malformed::Length)?;
            *to = word.to_le_bytes();
            self.at += size_of_val(to);
        }
        Ok(())
    }
}
