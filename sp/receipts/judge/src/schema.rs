// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads and rewrites JSON by tables: which fields an object has, of which type, and in which order they are signed.
//!
//! The tables themselves are in [`crate::format`]. Checking follows the reference's reader to the letter: unknown
//! fields are dropped, an optional `null` equals absent, a structure may be spelled as an array of its fields in their
//! declared order, and an enumeration value as an object with that one key and `null`.

use crate::canon::{self, Sink};
use crate::json::{Kind, Number, Value};
use crate::verdict::{Class, Field, Reason, Verdict};

/// The type of a field.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    /// A string.
    Text,
    /// Any value, `null` too.
    Any,
    /// Any object.
    Map,
    /// An integer from 0 to this one.
    Unsigned(u64),
    /// An array of one type.
    List(&'static Type),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A structure.
    Struct(&'static Struct),
    /// One of several structures, told apart by their first field.
    Tagged(&'static [&'static Struct]),
}

/// What happens when a field is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// It must be there.
    Required,
    /// It may be absent or `null`; then it is not written.
    Optional,
    /// Like `Optional`, but an array that stands for the structure must not stop before it.
    OptionalByName,
    /// It may be absent (not `null`), and is then read and written as empty.
    Empty,
}

/// One field of a structure.
pub(crate) struct Member {
    pub(crate) field: Field,
    pub(crate) need: Need,
    pub(crate) of: Type,
}

/// A structure: its fields in their declared order, and the positions of those fields in canonical order.
pub(crate) struct Struct {
    pub(crate) members: &'static [Member],
    pub(crate) order: &'static [u8],
}

/// A subset of a structure's fields that is signed, in canonical order, some with a subset of their own.
pub(crate) struct Signed(pub(crate) &'static [(Field, Option<&'static Signed>)]);

/// Gives the positions of the members in the order of their names.
pub(crate) const fn by_name<const N: usize>(members: &[Member; N]) -> [u8; N] {
    let mut order = [0u8; N];
    let mut placed = 0;
    while placed < N {
        let mut at = placed;
        while at > 0 && before(members[placed].field.name(), members[order[at - 1] as usize].field.name()) {
            order[at] = order[at - 1];
            at -= 1;
        }
        order[at] = placed as u8;
        placed += 1;
    }
    order
}

const fn before(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] < b[at];
        }
        at += 1;
    }
    a.len() < b.len()
}

/// How duplicate keys are read: the reference refuses them when it reads a structure from text, and takes the last one
/// when it reads through a generic value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// A known field given twice is an error.
    Refused,
    /// The last one counts.
    LastWins,
}

fn fault<T>(field: Field, reason: Reason) -> Result<T, Verdict> {
    Err(Verdict::new(Class::InvalidReceipt, field, reason))
}

/// Checks that a value has this type. `field` is what the verdict names if the value itself is wrong.
pub(crate) fn check(value: Value<'_>, of: Type, field: Field, duplicates: Duplicates) -> Result<(), Verdict> {
    let fits = match of {
        Type::Any => true,
        Type::Text => value.as_str().is_some(),
        Type::Map => value.is_object(),
        Type::Unsigned(most) => value.as_u64().is_some_and(|number| number <= most),
        Type::Choice(names) => choice(value).is_some_and(|name| names.contains(&name)),
        Type::List(of) => {
            for item in value.items() {
                check(item, *of, field, duplicates)?;
            }
            matches!(value.kind(), Kind::Array)
        }
        Type::Struct(of) => return check_struct(value, of, field, duplicates),
        Type::Tagged(variants) => {
            return check_struct(value, variant(value, variants, field, duplicates)?, field, duplicates);
        }
    };
    if fits { Ok(()) } else { fault(field, Reason::WrongType) }
}

/// Gives the name of an enumeration value: a string, or an object with one key and `null`.
pub(crate) fn choice(value: Value<'_>) -> Option<&str> {
    if let Some(name) = value.as_str() {
        return Some(name);
    }
    let (name, inner) = value.members().last()?;
    (inner.is_null() && value.members().all(|(key, _)| key == name)).then_some(name)
}

fn variant(
    value: Value<'_>,
    variants: &[&'static Struct],
    field: Field,
    duplicates: Duplicates,
) -> Result<&'static Struct, Verdict> {
    let tag = if value.is_object() {
        let (tag, count) = value.find(Field::Type.name());
        if duplicates == Duplicates::Refused && count > 1 {
            return fault(Field::Type, Reason::Duplicate);
        }
        tag
    } else {
        value.items().next()
    };
    let Some(tag) = tag else { return fault(field, Reason::WrongType) };
    let named = |of: &&&'static Struct| match of.members.first().map(|first| first.of) {
        Some(Type::Choice(names)) => tag.as_str().is_some_and(|tag| names.contains(&tag)),
        _ => false,
    };
    match variants.iter().find(named) {
        Some(of) => Ok(of),
        None => fault(Field::Type, Reason::WrongType),
    }
}

fn check_struct(value: Value<'_>, of: &Struct, field: Field, duplicates: Duplicates) -> Result<(), Verdict> {
    match value.kind() {
        Kind::Object => {
            for member in of.members {
                let (found, count) = value.find(member.field.name());
                if duplicates == Duplicates::Refused && count > 1 {
                    return fault(member.field, Reason::Duplicate);
                }
                check_member(found, member, duplicates)?;
            }
            Ok(())
        }
        Kind::Array => {
            let mut items = value.items();
            for member in of.members {
                let item = items.next();
                if item.is_none() && member.need == Need::OptionalByName {
                    return fault(member.field, Reason::Missing);
                }
                check_member(item, member, duplicates)?;
            }
            if items.next().is_some() { fault(field, Reason::TooMany) } else { Ok(()) }
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => fault(field, Reason::WrongType),
    }
}

fn check_member(value: Option<Value<'_>>, member: &Member, duplicates: Duplicates) -> Result<(), Verdict> {
    match (value, member.need) {
        (None, Need::Required) => fault(member.field, Reason::Missing),
        (None, Need::Optional | Need::OptionalByName | Need::Empty) => Ok(()),
        (Some(value), Need::Optional | Need::OptionalByName) if value.is_null() => Ok(()),
        (Some(value), _) => check(value, member.of, member.field, duplicates),
    }
}

/// Finds a field of a checked structure; `None` when it is absent, or optional and `null`.
fn find<'d>(value: Value<'d>, of: &Struct, position: usize) -> Option<Value<'d>> {
    let member = of.members.get(position)?;
    let found = if value.is_object() { value.get(member.field.name()) } else { value.items().nth(position) };
    match member.need {
        Need::Optional | Need::OptionalByName => found.filter(|value| !value.is_null()),
        Need::Required | Need::Empty => found,
    }
}

/// A checked structure in a document.
#[derive(Clone, Copy)]
pub(crate) struct Record<'d> {
    value: Value<'d>,
    of: &'static Struct,
}

impl<'d> Record<'d> {
    /// Checks a value and takes it as this structure.
    pub(crate) fn read(
        value: Value<'d>,
        of: &'static Struct,
        field: Field,
        duplicates: Duplicates,
    ) -> Result<Self, Verdict> {
        check_struct(value, of, field, duplicates)?;
        Ok(Self { value, of })
    }

    /// Finds a field by its name.
    pub(crate) fn get(&self, field: Field) -> Option<Value<'d>> {
        find(self.value, self.of, self.of.members.iter().position(|member| member.field == field)?)
    }

    /// Gives a string field; an absent one reads as empty (a checked structure lacks only what is optional).
    pub(crate) fn text(&self, field: Field) -> &'d str {
        self.get(field).and_then(choice).unwrap_or("")
    }

    /// Gives an optional string field.
    pub(crate) fn optional_text(&self, field: Field) -> Option<&'d str> {
        self.get(field).and_then(choice)
    }

    /// Gives an integer field.
    pub(crate) fn number(&self, field: Field) -> u64 {
        self.get(field).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Gives a structure inside this one.
    pub(crate) fn record(&self, field: Field) -> Option<Record<'d>> {
        let member = self.of.members.iter().find(|member| member.field == field)?;
        match member.of {
            Type::Struct(of) => Some(Record { value: self.get(field)?, of }),
            _ => None,
        }
    }

    /// Iterates over the structures of a list field.
    pub(crate) fn records(&self, field: Field) -> impl Iterator<Item = Record<'d>> + Clone + use<'d> {
        let of = self.of.members.iter().find(|member| member.field == field).and_then(|member| match member.of {
            Type::List(Type::Struct(of)) => Some(*of),
            _ => None,
        });
        let list = self.get(field);
        of.into_iter()
            .flat_map(move |of| list.into_iter().flat_map(Value::items).map(move |value| Record { value, of }))
    }

    /// Iterates over the strings of a list field.
    pub(crate) fn texts(&self, field: Field) -> impl Iterator<Item = &'d str> + Clone + use<'d> {
        self.get(field).into_iter().flat_map(Value::items).map(|item| item.as_str().unwrap_or(""))
    }

    /// Writes the whole structure in canonical form.
    pub(crate) fn write(&self, out: &mut dyn Sink) -> Result<(), Verdict> {
        write_struct(self.value, self.of, None, out)
    }

    /// Writes the signed part of the structure in canonical form.
    pub(crate) fn write_signed(&self, signed: &Signed, out: &mut dyn Sink) -> Result<(), Verdict> {
        write_struct(self.value, self.of, Some(signed), out)
    }
}

fn write(value: Value<'_>, of: Type, signed: Option<&Signed>, out: &mut dyn Sink) -> Result<(), Verdict> {
    match of {
        Type::Any | Type::Map => return canon::write_value(value, out),
        Type::Text | Type::Choice(_) => canon::write_string(choice(value).unwrap_or(""), out),
        Type::Unsigned(_) => return canon::write_number(Number::Unsigned(value.as_u64().unwrap_or(0)), out),
        Type::List(of) => {
            out.put(b"[");
            for (index, item) in value.items().enumerate() {
                if index > 0 {
                    out.put(b",");
                }
                write(item, *of, None, out)?;
            }
            out.put(b"]");
        }
        Type::Struct(of) => return write_struct(value, of, signed, out),
        Type::Tagged(variants) => {
            let of = variant(value, variants, Field::Type, Duplicates::LastWins)?;
            return write_struct(value, of, None, out);
        }
    }
    Ok(())
}

fn write_struct(value: Value<'_>, of: &Struct, signed: Option<&Signed>, out: &mut dyn Sink) -> Result<(), Verdict> {
    let mut before: &[u8] = b"{\"";
    for &position in of.order {
        let Some(member) = of.members.get(usize::from(position)) else { continue };
        let part = match signed {
            None => None,
            Some(signed) => match signed.0.iter().find(|(field, _)| *field == member.field) {
                Some((_, part)) => *part,
                None => continue,
            },
        };
        let found = find(value, of, usize::from(position));
        if found.is_none() && member.need != Need::Empty {
            continue;
        }
        out.put(before);
        out.put(member.field.name().as_bytes());
        out.put(b"\":");
        match found {
            Some(found) => write(found, member.of, part, out)?,
            None => out.put(if matches!(member.of, Type::List(_)) { b"[]" } else { b"\"\"" }),
        }
        before = b",\"";
    }
    out.put(if before == b"{\"" { b"{}" } else { b"}" });
    Ok(())
}
