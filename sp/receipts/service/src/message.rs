// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of a message, by what they are.

use crate::bad;
use crate::protocol::{MAX_MESSAGE, Parts, Tag};
use alloc::vec::Vec;
use receipts::{Class, Field, Instant, PublicKey, Reason, Verdict};

/// A message whose parts are well-formed. What they hold is for the operation to judge.
pub(crate) struct Message<'a> {
    parts: Vec<(Tag, &'a [u8])>,
}

/// More parts than this make no sense in any message.
const MAX_PARTS: usize = 64;

impl<'a> Message<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Verdict> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Verdict::new(Class::Limit, Field::Document, Reason::TooMany));
        }
        let mut parts: Vec<(Tag, &'a [u8])> = Vec::new();
        for part in Parts::new(bytes) {
            let Ok((tag, value)) = part else { return bad(Field::Document, Reason::Malformed) };
            if parts.len() >= MAX_PARTS {
                return bad(Field::Document, Reason::TooMany);
            }
            // Only keys come in several.
            if tag != Tag::Key && parts.iter().any(|(other, _)| *other == tag) {
                return bad(Field::Document, Reason::Duplicate);
            }
            parts.push((tag, value));
        }
        Ok(Self { parts })
    }

    /// Gives a part, if it is there.
    pub(crate) fn get(&self, tag: Tag) -> Option<&'a [u8]> {
        self.parts.iter().find(|(other, _)| *other == tag).map(|(_, value)| *value)
    }

    /// Gives a part that must be there.
    pub(crate) fn need(&self, tag: Tag, field: Field) -> Result<&'a [u8], Verdict> {
        self.get(tag).ok_or(Verdict::new(Class::BadRequest, field, Reason::Missing))
    }

    /// Gives a part as a string.
    pub(crate) fn text(&self, tag: Tag, field: Field) -> Result<Option<&'a str>, Verdict> {
        let malformed = Verdict::new(Class::BadRequest, field, Reason::Malformed);
        self.get(tag).map(|value| core::str::from_utf8(value).map_err(|_| malformed)).transpose()
    }

    /// Gives a part as a number.
    pub(crate) fn number(&self, tag: Tag, field: Field) -> Result<Option<u64>, Verdict> {
        let malformed = Verdict::new(Class::BadRequest, field, Reason::Malformed);
        self.get(tag).map(|value| value.try_into().map(u64::from_le_bytes).map_err(|_| malformed)).transpose()
    }

    /// Gives a part as a public key.
    pub(crate) fn key(&self, tag: Tag, field: Field) -> Result<Option<PublicKey>, Verdict> {
        self.text(tag, field)?.map(|text| PublicKey::parse(text, field)).transpose()
    }

    /// Gives all keys.
    pub(crate) fn keys(&self) -> Result<Vec<PublicKey>, Verdict> {
        let keys = self.parts.iter().filter(|(tag, _)| *tag == Tag::Key);
        keys.map(|(_, value)| {
            let Ok(text) = core::str::from_utf8(value) else { return bad(Field::Pubkey, Reason::Malformed) };
            PublicKey::parse(text, Field::Pubkey)
        })
        .collect()
    }

    /// Gives the caller's time.
    pub(crate) fn at(&self) -> Result<Option<Instant>, Verdict> {
        let malformed = Verdict::new(Class::BadRequest, Field::Clock, Reason::Malformed);
        self.text(Tag::At, Field::Clock)?.map(|text| Instant::parse(text).ok_or(malformed)).transpose()
    }
}
