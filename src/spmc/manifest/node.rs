// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a node's properties into typed values, each refusal naming node and property.

use fdt::node::FdtNode;

use super::refusal::{Details, append, name};
use super::{Cause, CheckedBlob, File, Name, Refusal};

/// Tells of something in a file that is tolerated but may not be what its author meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The kind of file.
    pub file: File,
    /// The node; empty for the root.
    pub node: Name,
    /// The property.
    pub property: Name,
    /// What is odd about it.
    pub text: &'static str,
}

/// Receives warnings; the firmware drops them, the linter prints them.
pub type Warn<'w> = &'w mut dyn FnMut(Warning);

/// A node and the words for it in a refusal.
#[derive(Clone)]
pub(crate) struct Node<'b, 'a> {
    pub(crate) at: At,
    tree: FdtNode<'b, 'a>,
}

/// Where a value stands.
#[derive(Clone)]
pub(crate) struct At {
    pub(crate) file: File,
    pub(crate) node: Name,
}

impl At {
    pub(crate) fn refuse(&self, property: &'static str, cause: Cause, fix: &'static str) -> Refusal {
        Details { file: self.file, whose: Name::new(), node: self.node, property, cause, fix }.into()
    }

    /// Refuses because a property is absent.
    pub(crate) fn missing(&self, property: &'static str, expected: &'static str, fix: &'static str) -> Refusal {
        self.refuse(property, Cause::Missing { expected }, fix)
    }

    pub(crate) fn warn(&self, warn: Warn<'_>, property: &str, text: &'static str) {
        warn(Warning { file: self.file, node: self.node, property: name(property), text });
    }
}

impl<'b, 'a> Node<'b, 'a> {
    /// Returns a file's root node.
    pub(crate) fn root(blob: &'b CheckedBlob<'a>, file: File) -> Result<Self, Refusal> {
        let at = At { file, node: Name::new() };
        match blob.tree().find_node("/") {
            Some(tree) => Ok(Self { at, tree }),
            // A checked blob has a root.
            None => Err(at.missing("", "a root node", "")),
        }
    }

    /// Returns the nodes inside this one.
    pub(crate) fn children(&self) -> impl Iterator<Item = Self> {
        self.tree.children().map(|tree| {
            let mut path = self.at.node;
            // A path that does not fit loses its end; the property still says what is meant.
            if !path.is_empty() && path.try_push('/').is_err() {
                path.clear();
            }
            append(&mut path, tree.name);
            Self { at: At { file: self.at.file, node: path }, tree }
        })
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> &'a str {
        self.tree.name
    }

    /// Returns its properties as they stand.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.tree.properties().map(|p| (p.name, p.value))
    }
}

/// One property's value.
pub(crate) struct Value<'n, 'a> {
    pub(crate) at: &'n At,
    pub(crate) property: &'static str,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Value<'_, 'a> {
    pub(crate) fn refuse(&self, cause: Cause, fix: &'static str) -> Refusal {
        self.at.refuse(self.property, cause, fix)
    }

    fn length(&self, expected: &'static str, fix: &'static str) -> Refusal {
        self.refuse(Cause::Length { bytes: self.bytes.len(), expected }, fix)
    }

    /// Refuses a number.
    pub(crate) fn wrong(&self, found: u64, expected: &'static str, fix: &'static str) -> Refusal {
        self.refuse(Cause::Value { found, expected }, fix)
    }

    /// Reads a number of one or two cells, as Hafnium does.
    pub(crate) fn number(&self) -> Result<u64, Refusal> {
        cells(self.bytes)
            .filter(|_| !self.bytes.is_empty())
            .ok_or_else(|| self.length("a number: one cell (4 bytes) or two (8)", "write one number in < >"))
    }

    /// Reads a number that fits in 32 bits.
    pub(crate) fn u32(&self) -> Result<u32, Refusal> {
        let n = self.number()?;
        u32::try_from(n).map_err(|_| self.wrong(n, "a number of 32 bits", "write a smaller number"))
    }

    /// Reads a number that fits in 16 bits.
    pub(crate) fn u16(&self) -> Result<u16, Refusal> {
        let n = self.number()?;
        u16::try_from(n).map_err(|_| self.wrong(n, "a number of 16 bits", "write a smaller number"))
    }

    /// Reads a number of exactly one cell, which is all that the SPMD understands.
    pub(crate) fn one_cell(&self) -> Result<u32, Refusal> {
        if self.bytes.len() != 4 {
            return Err(self
                .length("one cell (4 bytes)", "write one cell: the SPMD reads a two-cell value as its high half, 0"));
        }
        self.u32()
    }

    /// Reads a property whose presence is its value.
    pub(crate) fn flag(&self) -> Result<bool, Refusal> {
        if self.bytes.is_empty() {
            Ok(true)
        } else {
            Err(self.length("none: its presence is its value", "write the name alone, or remove it"))
        }
    }

    /// Reads one string.
    pub(crate) fn text(&self) -> Result<&'a str, Refusal> {
        let wrong = || self.length("one string that ends with a NUL", "write one string in \" \"");
        let (&last, text) = self.bytes.split_last().ok_or_else(wrong)?;
        if last != 0 || text.contains(&0) {
            return Err(wrong());
        }
        core::str::from_utf8(text).map_err(|_| wrong())
    }

    /// Reads a list of strings.
    pub(crate) fn texts(&self) -> Result<impl Iterator<Item = &'a str> + Clone, Refusal> {
        let wrong = || self.length("strings that end with a NUL", "write strings in \" \"");
        let text = core::str::from_utf8(self.bytes).map_err(|_| wrong())?;
        let text = text.strip_suffix('\0').ok_or_else(wrong)?;
        Ok(text.split('\0'))
    }

    /// Reads a list of cells.
    pub(crate) fn list(&self) -> Result<impl ExactSizeIterator<Item = u32> + use<'a>, Refusal> {
        let (cells, rest) = self.bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(self.length("a list of cells: a multiple of 4 bytes", "write numbers in < >"));
        }
        Ok(cells.iter().map(|c| u32::from_be_bytes(*c)))
    }

    /// Reads a list of pairs of numbers of the given cells, as in `reg`.
    pub(crate) fn pairs(
        &self,
        first: usize,
        second: usize,
    ) -> Result<impl Iterator<Item = (u64, u64)> + use<'a>, Refusal> {
        let entry = first.saturating_add(second).saturating_mul(4);
        if entry == 0 || self.bytes.is_empty() || !self.bytes.len().is_multiple_of(entry) {
            return Err(self.length(
                "whole entries of #address-cells and #size-cells",
                "write as many cells for each entry as the parent's #address-cells and #size-cells say",
            ));
        }
        let cut = first.saturating_mul(4);
        Ok(self.bytes.chunks_exact(entry).map(move |e| {
            let (a, b) = e.split_at_checked(cut).unwrap_or((e, &[]));
            (cells(a).unwrap_or(u64::MAX), cells(b).unwrap_or(u64::MAX))
        }))
    }
}

/// Joins up to two cells, most significant first; none are 0.
fn cells(bytes: &[u8]) -> Option<u64> {
    match bytes.len() {
        0 => Some(0),
        4 => Some(u64::from(u32::from_be_bytes(bytes.try_into().ok()?))),
        8 => Some(u64::from_be_bytes(bytes.try_into().ok()?)),
        // Not a number of one or two cells.
        _ => None,
    }
}

/// Reads each property of a node once: a table of names and what to do with the value; `else` gets the others.
macro_rules! read_properties {
    ($node:expr, { $($name:literal => |$v:ident| $body:expr,)* else |$other:ident| $rest:expr $(,)? }) => {
        for (property, bytes) in $node.properties() {
            match property {
                $($name => {
                    let $v = $crate::manifest::node::Value { at: &$node.at, property: $name, bytes };
                    $body;
                })*
                $other => $rest,
            }
        }
    };
}
pub(crate) use read_properties;
