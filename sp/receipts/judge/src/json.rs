// SPDX-License-Identifier: MIT OR Apache-2.0
//! A JSON text in bounded memory.
//!
//! `serde_json` does the parsing, so that what is and is not JSON is exactly what the reference accepts. What it
//! finds is kept in a packed tree: eight bytes a value, eight more for a number that does not fit inline. The number of
//! values is limited, room for them is made once and fallibly, and strings stay where they are unless they have escapes.
//! Members keep their order and duplicates, because the two ways in which the reference reads a receipt differ there.

use crate::canon::plain_length;
use crate::verdict::{Class, Field, Reason, Verdict};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

/// The largest JSON text that is read, in bytes: a receipt of 64 KiB and the audit record around it.
pub const MAX_TEXT: usize = 65536 + 512;

/// The most values that a text may have; a key is one, and a number of ten digits, with a fraction or an exponent is two.
pub const MAX_VALUES: usize = 16384;

/// The deepest nesting that is read (the reference's limit).
pub const MAX_NESTING: usize = 128;

/// The number of digits from which an integer may not fit its node.
const SMALL_DIGITS: usize = 10;

/// The size of an integer in its node, with the sign.
const SMALL_BITS: u32 = 2 * FIELD_BITS;

const FIELD_BITS: u32 = 17;
const FIELD_MASK: u64 = (1 << FIELD_BITS) - 1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Null,
    False,
    True,
    /// A number held in the two fields: an integer of 34 bits with its sign.
    Small,
    /// A number in `numbers` at the first field.
    Unsigned,
    Negative,
    Float,
    /// A string in the text at (offset, length).
    Text,
    /// A string with escapes, decoded into `decoded`.
    Decoded,
    /// Children follow; the second field is 0 when there are none.
    Array,
    Object,
}

const TAGS: [Tag; 11] = [
    Tag::Null,
    Tag::False,
    Tag::True,
    Tag::Small,
    Tag::Unsigned,
    Tag::Negative,
    Tag::Float,
    Tag::Text,
    Tag::Decoded,
    Tag::Array,
    Tag::Object,
];

/// One packed value: tag (bits 54..51), next sibling (50..34), two fields (33..17, 16..0). Next 0 means none.
#[derive(Clone, Copy)]
struct Node(u64);

impl Node {
    const fn new(tag: Tag, first: u64, second: u64) -> Self {
        Self(((tag as u64) << (3 * FIELD_BITS)) | ((first & FIELD_MASK) << FIELD_BITS) | (second & FIELD_MASK))
    }

    fn tag(self) -> Tag {
        TAGS.get((self.0 >> (3 * FIELD_BITS)) as usize).copied().unwrap_or(Tag::Null)
    }

    const fn next(self) -> usize {
        ((self.0 >> (2 * FIELD_BITS)) & FIELD_MASK) as usize
    }

    const fn with_next(self, next: usize) -> Self {
        Self((self.0 & !(FIELD_MASK << (2 * FIELD_BITS))) | ((next as u64 & FIELD_MASK) << (2 * FIELD_BITS)))
    }

    const fn first(self) -> usize {
        ((self.0 >> FIELD_BITS) & FIELD_MASK) as usize
    }

    const fn second(self) -> usize {
        (self.0 & FIELD_MASK) as usize
    }

    const fn small(self) -> i64 {
        const ABOVE: u32 = u64::BITS - SMALL_BITS;
        ((self.0 << ABOVE) as i64) >> ABOVE
    }
}

/// A parsed JSON text.
pub struct Document<'a> {
    text: &'a str,
    nodes: Vec<Node>,
    numbers: Vec<u64>,
    decoded: String,
}

impl<'a> Document<'a> {
    /// Parses a text. Refuses what is not JSON (with `class`) and what exceeds the limits.
    pub fn parse(text: &'a [u8], class: Class) -> Result<Self, Verdict> {
        if text.len() > MAX_TEXT {
            return Err(Verdict::new(Class::Limit, Field::Document, Reason::TooMany));
        }
        let not_json = Verdict::new(class, Field::Document, Reason::NotJson);
        let text = core::str::from_utf8(text).map_err(|_| not_json)?;
        let survey = Survey::of(text.as_bytes());
        let mut document = Self { text, nodes: Vec::new(), numbers: Vec::new(), decoded: String::new() };
        let no_room = |_| Verdict::new(Class::Limit, Field::Document, Reason::TooMany);
        // The survey is exact on what is JSON, and what is not is refused all the same.
        if survey.depth >= MAX_NESTING {
            return Err(Verdict::new(class, Field::Document, Reason::TooDeep));
        }
        if survey.values + survey.numbers > MAX_VALUES {
            return Err(Verdict::new(Class::Limit, Field::Document, Reason::TooMany));
        }
        document.nodes.try_reserve_exact(survey.values).map_err(no_room)?;
        document.numbers.try_reserve_exact(survey.numbers).map_err(no_room)?;
        document.decoded.try_reserve_exact(survey.escaped).map_err(no_room)?;

        let mut parser = serde_json::Deserializer::from_str(text);
        let parsed = Grow(&mut document).deserialize(&mut parser).and_then(|_| parser.end());
        parsed.map(|()| document).map_err(|_| not_json)
    }

    /// Gives the outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { document: self, at: 0 }
    }

    fn push(&mut self, node: Node) -> Option<usize> {
        let at = self.nodes.len();
        if at as u64 > FIELD_MASK {
            return None;
        }
        self.nodes.try_reserve(1).ok()?;
        self.nodes.push(node);
        Some(at)
    }

    fn push_number(&mut self, tag: Tag, bits: u64) -> Option<usize> {
        let index = self.numbers.len() as u64;
        self.numbers.try_reserve(1).ok()?;
        self.numbers.push(bits);
        self.push(Node::new(tag, index, 0))
    }

    fn push_borrowed(&mut self, string: &str) -> Option<usize> {
        let offset = (string.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        self.push(Node::new(Tag::Text, offset as u64, string.len() as u64))
    }

    fn push_decoded(&mut self, string: &str) -> Option<usize> {
        let offset = self.decoded.len() as u64;
        self.decoded.try_reserve(string.len()).ok()?;
        self.decoded.push_str(string);
        self.push(Node::new(Tag::Decoded, offset, string.len() as u64))
    }

    fn set(&mut self, at: usize, change: impl FnOnce(Node) -> Node) {
        if let Some(node) = self.nodes.get_mut(at) {
            *node = change(*node);
        }
    }
}

/// What one pass over the text says about the room that its tree needs.
struct Survey {
    values: usize,
    numbers: usize,
    escaped: usize,
    depth: usize,
}

impl Survey {
    /// Counts without judging: on what is not JSON the numbers are only bounds for the failed attempt.
    fn of(text: &[u8]) -> Self {
        let (mut values, mut escaped, mut depth, mut open) = (1usize, 0usize, 0usize, 0usize);
        let (mut numbers, mut digits) = (0usize, 0usize);
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            at += 1;
            digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
            match byte {
                b'"' => {
                    let (length, escapes) = string_length(text.get(at..).unwrap_or(&[]));
                    at += length;
                    if escapes > 0 {
                        // Each escape stands for fewer bytes than it has.
                        escaped += length - escapes;
                    }
                }
                // What makes a number too large for its node: a fraction, an exponent, or ten digits.
                b'.' | b'e' | b'E' => numbers += 1,
                _ if digits == SMALL_DIGITS => numbers += 1,
                b',' | b':' => values += 1,
                b'[' | b'{' => {
                    open += 1;
                    depth = depth.max(open);
                    if !matches!(text.get(at), Some(b']' | b'}')) {
                        values += 1;
                    }
                }
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {} // nothing that takes room
            }
        }
        Self { values: values.min(text.len() + 1), numbers, escaped, depth }
    }
}

/// Measures a string from after its first quote to after its last, and counts the escapes in it.
fn string_length(text: &[u8]) -> (usize, usize) {
    let (mut at, mut escapes) = (0, 0);
    loop {
        at += plain_length(text.get(at..).unwrap_or(&[]));
        match text.get(at) {
            None => return (text.len(), escapes),
            Some(b'"') => return (at + 1, escapes),
            Some(b'\\') => (at, escapes) = ((at + 2).min(text.len()), escapes + 1),
            Some(_) => at += 1, // a control, which is no JSON; the parser says so
        }
    }
}

/// Adds the next value of the input to the tree and gives its index.
struct Grow<'t, 'a>(&'t mut Document<'a>);

impl<'de> DeserializeSeed<'de> for Grow<'_, 'de> {
    type Value = usize;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_any(self)
    }
}

fn room<E: serde::de::Error>(at: Option<usize>) -> Result<usize, E> {
    at.ok_or_else(|| E::custom("no room"))
}

impl<'de> Visitor<'de> for Grow<'_, 'de> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<usize, E> {
        room(self.0.push(Node::new(Tag::Null, 0, 0)))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<usize, E> {
        room(self.0.push(Node::new(if value { Tag::True } else { Tag::False }, 0, 0)))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<usize, E> {
        room(if value < 1 << (SMALL_BITS - 1) {
            self.0.push(Node::new(Tag::Small, value >> FIELD_BITS, value))
        } else {
            self.0.push_number(Tag::Unsigned, value)
        })
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<usize, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) if value >= -(1 << (SMALL_BITS - 1)) => {
                room(self.0.push(Node::new(Tag::Small, (value >> FIELD_BITS) as u64, value as u64)))
            }
            Err(_) => room(self.0.push_number(Tag::Negative, value as u64)),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<usize, E> {
        room(self.0.push_number(Tag::Float, value.to_bits()))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<usize, E> {
        room(self.0.push_borrowed(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<usize, E> {
        room(self.0.push_decoded(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<usize, A::Error> {
        let at = room(self.0.push(Node::new(Tag::Array, 0, 0)))?;
        let mut last = None;
        while let Some(item) = items.next_element_seed(Grow(self.0))? {
            link(self.0, at, &mut last, item);
        }
        Ok(at)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<usize, A::Error> {
        let at = room(self.0.push(Node::new(Tag::Object, 0, 0)))?;
        let mut last = None;
        while let Some(key) = members.next_key_seed(Grow(self.0))? {
            let value = members.next_value_seed(Grow(self.0))?;
            if value != key + 1 {
                return Err(A::Error::custom("member out of order"));
            }
            link(self.0, at, &mut last, key);
        }
        Ok(at)
    }
}

fn link(document: &mut Document<'_>, parent: usize, last: &mut Option<usize>, child: usize) {
    match last.replace(child) {
        Some(previous) => document.set(previous, |node| node.with_next(child)),
        None => document.set(parent, |node| Node(node.0 | 1)),
    }
}

/// A number as the text spells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer of 0 to 2^64 - 1.
    Unsigned(u64),
    /// An integer of -2^63 to -1.
    Negative(i64),
    /// Anything else: the nearest double.
    Float(f64),
}

/// What a value is.
#[derive(Clone, Copy)]
pub enum Kind<'d> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, without its escapes.
    String(&'d str),
    /// An array; see [`Value::items`].
    Array,
    /// An object; see [`Value::members`].
    Object,
}

/// A value inside a [`Document`].
#[derive(Clone, Copy)]
pub struct Value<'d> {
    document: &'d Document<'d>,
    at: usize,
}

impl<'d> Value<'d> {
    fn node(self) -> Node {
        self.document.nodes.get(self.at).copied().unwrap_or(Node::new(Tag::Null, 0, 0))
    }

    /// Tells what the value is.
    pub fn kind(self) -> Kind<'d> {
        let node = self.node();
        let number = || self.document.numbers.get(node.first()).copied().unwrap_or(0);
        let slice = |source: &'d str| source.get(node.first()..node.first() + node.second()).unwrap_or("");
        match node.tag() {
            Tag::Null => Kind::Null,
            Tag::False => Kind::Bool(false),
            Tag::True => Kind::Bool(true),
            Tag::Small => Kind::Number(match u64::try_from(node.small()) {
                Ok(value) => Number::Unsigned(value),
                Err(_) => Number::Negative(node.small()),
            }),
            Tag::Unsigned => Kind::Number(Number::Unsigned(number())),
            Tag::Negative => Kind::Number(Number::Negative(number() as i64)),
            Tag::Float => Kind::Number(Number::Float(f64::from_bits(number()))),
            Tag::Text => Kind::String(slice(self.document.text)),
            Tag::Decoded => Kind::String(slice(&self.document.decoded)),
            Tag::Array => Kind::Array,
            Tag::Object => Kind::Object,
        }
    }

    /// Gives the string, if it is one.
    pub fn as_str(self) -> Option<&'d str> {
        let node = self.node();
        let source = match node.tag() {
            Tag::Text => self.document.text,
            Tag::Decoded => &self.document.decoded,
            _ => return None, // no string
        };
        source.get(node.first()..node.first() + node.second())
    }

    /// Gives the integer, if it is a non-negative one.
    pub fn as_u64(self) -> Option<u64> {
        match self.kind() {
            Kind::Number(Number::Unsigned(value)) => Some(value),
            _ => None,
        }
    }

    /// Tells whether it is `null`.
    pub fn is_null(self) -> bool {
        self.node().tag() == Tag::Null
    }

    /// Tells whether it is an object.
    pub fn is_object(self) -> bool {
        self.node().tag() == Tag::Object
    }

    fn children(self) -> impl Iterator<Item = Value<'d>> + Clone {
        let node = self.node();
        let has_any = matches!(node.tag(), Tag::Array | Tag::Object) && node.second() != 0;
        let first = has_any.then(|| Value { document: self.document, at: self.at + 1 });
        core::iter::successors(first, |child| match child.node().next() {
            0 => None,
            next => Some(Value { document: child.document, at: next }),
        })
    }

    /// Iterates over the items of an array (of nothing, if it is not one).
    pub fn items(self) -> impl Iterator<Item = Value<'d>> + Clone {
        let is_array = matches!(self.node().tag(), Tag::Array);
        self.children().filter(move |_| is_array)
    }

    /// Iterates over the keys of an object; the value of a key is at the position after it.
    pub(crate) fn keys(self) -> impl Iterator<Item = Value<'d>> + Clone {
        let is_object = self.is_object();
        self.children().filter(move |_| is_object)
    }

    /// Gives the position in the tree, which grows in the order of the text.
    pub(crate) fn position(self) -> u32 {
        self.at as u32
    }

    /// Gives the value at a position of the same document.
    pub(crate) fn at(self, position: u32) -> Value<'d> {
        Value { document: self.document, at: position as usize }
    }

    /// Iterates over the members of an object in the order of the text, duplicates included.
    pub fn members(self) -> impl Iterator<Item = (&'d str, Value<'d>)> + Clone {
        self.keys().map(|key| (key.as_str().unwrap_or(""), Value { document: key.document, at: key.at + 1 }))
    }

    /// Finds a member; of duplicates, the last.
    pub fn get(self, name: &str) -> Option<Value<'d>> {
        self.find(name).0
    }

    /// Finds a member (of duplicates, the last) and how often there is one of the name.
    pub(crate) fn find(self, name: &str) -> (Option<Value<'d>>, usize) {
        let document = self.document;
        let node = self.node();
        let (mut at, mut found, mut count) = (self.at + 1, None, 0);
        if node.tag() != Tag::Object || node.second() == 0 {
            return (None, 0);
        }
        while let Some(&key) = document.nodes.get(at) {
            // The length first: most keys differ there, and nothing has to be looked up.
            if key.second() == name.len() && (Value { document, at }).as_str() == Some(name) {
                (found, count) = (Some(Value { document, at: at + 1 }), count + 1);
            }
            at = key.next();
            if at == 0 {
                break;
            }
        }
        (found, count)
    }
}
