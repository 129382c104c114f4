// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a boot file was refused, in a form that a person can act on.

use alloc::boxed::Box;
use core::fmt;

use arrayvec::ArrayString;
use ffa_abi::Uuid;

use super::machine::Span;

/// A short name copied out of a file; longer ones are cut.
pub type Name = ArrayString<31>;

/// Copies a name, cut to what fits.
pub(crate) fn name(text: &str) -> Name {
    let mut out = Name::new();
    append(&mut out, text);
    out
}

/// Adds as much of `text` as fits: names are for people.
pub(crate) fn append(name: &mut Name, text: &str) {
    let cut = text.floor_char_boundary(name.remaining_capacity());
    // It fits.
    let _ = name.try_push_str(text.get(..cut).unwrap_or_default());
}

/// Tells which kind of boot file is spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The SPMC manifest (TOS_FW_CONFIG), found by x0 at entry.
    Spmc,
    /// A partition's manifest, inside its package.
    Partition,
    /// A partition's package (SPKG).
    Package,
}

impl File {
    const fn text(self) -> &'static str {
        match self {
            Self::Spmc => "SPMC manifest",
            Self::Partition => "partition manifest",
            Self::Package => "package",
        }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Refuses a boot file: where and why. `Display` gives the sentence for the console.
///
/// A box, because a result with the details in it is copied at every `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Box<Details>);

impl core::ops::Deref for Refusal {
    type Target = Details;
    fn deref(&self) -> &Details {
        &self.0
    }
}

impl core::ops::DerefMut for Refusal {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl Refusal {
    /// Refuses a file as a whole, or a field of it. Who knows whose it is, and the node, adds them.
    #[cold]
    #[inline(never)]
    pub(crate) fn new(file: File, property: &'static str, cause: Cause, rule: &'static str) -> Self {
        Self(Box::new(Details { file, whose: Name::new(), node: Name::new(), property, cause, rule }))
    }
}

/// What a [`Refusal`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The kind of file.
    pub file: File,
    /// Whose file it is (a `vmN` node's `debug_name`); empty for the SPMC's, and until a caller names it.
    pub whose: Name,
    /// The node, or its parent and itself; empty for the root.
    pub node: Name,
    /// The property or field; empty where the node as a whole is meant.
    pub property: &'static str,
    /// What is wrong with it.
    pub cause: Cause,
    /// What it should be, where the cause is that it is not, and what to change: "what; change".
    pub rule: &'static str,
}

/// Says what is wrong with the node or property that a [`Refusal`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is not there.
    Missing,
    /// The value has the wrong number of bytes.
    Length {
        /// How many it has.
        bytes: usize,
    },
    /// The number is not one of those allowed.
    Value {
        /// The number found.
        found: u64,
    },
    /// The text is not one of those allowed.
    Text {
        /// The text found.
        found: Name,
    },
    /// There are more than fit.
    TooMany {
        /// The capacity.
        limit: usize,
    },
    /// The address is not a multiple of 4 KiB.
    Misaligned {
        /// The address.
        address: u64,
    },
    /// Base and size run past the end of the address space.
    Wraps {
        /// The base address.
        base: u64,
        /// The size in bytes, or the largest one where even that overflows.
        size: u64,
    },
    /// It lies where something else lies.
    Overlaps {
        /// Its first byte.
        base: u64,
        /// Its last byte.
        last: u64,
        /// Whose the other range is.
        other: Name,
        /// The first byte of the other range.
        other_base: u64,
        /// The last byte of the other range.
        other_last: u64,
    },
    /// It is not wholly inside memory of the right kind in the SPMC manifest.
    Outside {
        /// Its first byte.
        base: u64,
        /// Its last byte.
        last: u64,
        /// The `device_type` of the nodes that should hold it.
        kind: &'static str,
    },
    /// Another one has the same number.
    Duplicate {
        /// The number.
        value: u64,
        /// Whose the other one is.
        other: Name,
    },
    /// Another service has the same UUID.
    DuplicateUuid {
        /// The UUID.
        uuid: Uuid,
        /// Whose the other one is.
        other: Name,
    },
    /// It contradicts another property.
    Conflict {
        /// The other property.
        with: &'static str,
    },
    /// It asks for something that the SPMC does not do.
    NotSupported,
}

impl Cause {
    /// Says that a range lies over another.
    #[inline(never)]
    pub(crate) fn overlap(range: Span, other: Span, whose: &str) -> Self {
        Self::Overlaps {
            base: range.first,
            last: range.last,
            other: name(whose),
            other_base: other.first,
            other_last: other.last,
        }
    }

    /// Says that somebody has a number already.
    #[inline(never)]
    pub(crate) fn duplicate(value: u64, whose: &str) -> Self {
        Self::Duplicate { value, other: name(whose) }
    }

    /// Says that somebody has a service's UUID already.
    #[inline(never)]
    pub(crate) fn duplicate_uuid(uuid: Uuid, whose: &str) -> Self {
        Self::DuplicateUuid { uuid, other: name(whose) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file.text())?;
        if !self.whose.is_empty() {
            write!(f, " of '{}'", self.whose)?;
        }
        f.write_str(": ")?;
        if !self.node.is_empty() {
            write!(f, "/{}: ", self.node)?;
        }
        if !self.property.is_empty() {
            write!(f, "{} ", self.property)?;
        }
        let then = match self.cause {
            _ if self.rule.is_empty() => "",
            Cause::Missing | Cause::Length { .. } | Cause::Value { .. } | Cause::Text { .. } => ", expected ",
            // The others say by themselves what should be.
            _ => "; ",
        };
        write!(f, "{}{then}{}", self.cause, self.rule)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Length { bytes } => write!(f, "has {bytes} bytes"),
            Self::Value { found } => write!(f, "is {found:#x}"),
            Self::Text { found } => write!(f, "is \"{found}\""),
            Self::TooMany { limit } => {
                write!(f, "has more than {limit} entries, the SPMC's capacity: join or remove some")
            }
            Self::Misaligned { address } => write!(f, "is {address:#x}, expected a multiple of 0x1000"),
            Self::Wraps { base, size } => {
                write!(f, "is {base:#x} and {size:#x} bytes: past the end of memory; move or shrink it")
            }
            Self::Overlaps { base, last, other, other_base, other_last } => {
                write_range(f, *base, *last)?;
                write!(f, " overlaps '{other}' ")?;
                write_range(f, *other_base, *other_last)
            }
            Self::Outside { base, last, kind } => {
                write_range(f, *base, *last)?;
                write!(f, " is not inside a \"{kind}\" node of the SPMC manifest")
            }
            Self::Duplicate { value, other } => write!(f, "{value:#x} is already used by '{other}'"),
            Self::DuplicateUuid { uuid, other } => write!(f, "{uuid} is already used by '{other}'"),
            Self::Conflict { with } => write!(f, "contradicts {with}"),
            Self::NotSupported => f.write_str("is not supported"),
        }
    }
}

#[inline(never)]
fn write_range(f: &mut fmt::Formatter<'_>, first: u64, last: u64) -> fmt::Result {
    write!(f, "{first:#x}-{last:#x}")
}

impl core::error::Error for Refusal {}
