// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a property of a node may hold: the rows of the tables that [`super::node::Node::read`] reads by.

/// What a property may hold.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Flag,
    Number,
    Range,
    Bits,
    Cell,
    TwoCells,
    Text,
    Texts,
    Compatible,
    Bytes,
    NotSupported,
}

/// A row of a node's table: a property that the node may have.
pub(crate) struct Property {
    pub(super) name: &'static str,
    /// What it should hold and what to change, for a refusal.
    pub(super) rule: &'static str,
    /// The largest number; of bits, those that are known.
    pub(super) most: u32,
    pub(super) least: u16,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

impl Property {
    const fn new(name: &'static str, kind: Kind, rule: &'static str) -> Self {
        Self { name, rule, most: u32::MAX, least: 0, kind, required: false }
    }

    /// Makes a property that holds nothing: its presence is its value.
    pub(crate) const fn flag(name: &'static str) -> Self {
        Self::new(name, Kind::Flag, "")
    }

    /// Makes a number of one or two cells, as Hafnium reads them.
    pub(crate) const fn number(name: &'static str, rule: &'static str) -> Self {
        Self::new(name, Kind::Number, rule)
    }

    /// Makes such a number from the first to the second.
    pub(crate) const fn range(name: &'static str, least: u16, most: u32, rule: &'static str) -> Self {
        Self { least, most, ..Self::new(name, Kind::Range, rule) }
    }

    /// Makes such a number of which only some bits are known; the rule tells that others have no effect.
    pub(crate) const fn bits(name: &'static str, known: u32, rule: &'static str) -> Self {
        Self { most: known, ..Self::new(name, Kind::Bits, rule) }
    }

    /// Makes a number of one cell, which is all that the SPMD reads, from the first to the second.
    pub(crate) const fn cell(name: &'static str, least: u16, most: u32, rule: &'static str) -> Self {
        Self { least, most, ..Self::new(name, Kind::Cell, rule) }
    }

    /// Makes a number of two cells, which is all that the SPMD reads; that it ignores one of one cell is told.
    pub(crate) const fn two_cells(name: &'static str) -> Self {
        Self::new(name, Kind::TwoCells, "")
    }

    /// Makes a string.
    pub(crate) const fn text(name: &'static str, rule: &'static str) -> Self {
        Self::new(name, Kind::Text, rule)
    }

    /// Makes a list of strings.
    pub(crate) const fn texts(name: &'static str, rule: &'static str) -> Self {
        Self::new(name, Kind::Texts, rule)
    }

    /// Makes the list of bindings, of which one must be this one.
    pub(crate) const fn compatible(binding: &'static str) -> Self {
        Self::new("compatible", Kind::Compatible, binding).required()
    }

    /// Makes a property that its reader judges.
    pub(crate) const fn bytes(name: &'static str, rule: &'static str) -> Self {
        Self::new(name, Kind::Bytes, rule)
    }

    /// Makes a property that asks for what the SPMC does not do.
    pub(crate) const fn not_supported(name: &'static str, rule: &'static str) -> Self {
        Self::new(name, Kind::NotSupported, rule)
    }

    /// Makes it one that the node must have.
    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}
