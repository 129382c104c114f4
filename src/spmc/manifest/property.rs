// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a property of a node may hold: the rows of the tables that [`super::node::Node::read`] reads by.

use super::blob::{text, until};

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
    Dma,
}

/// A row of a node's table: a property that the node may have.
pub(crate) struct Property {
    /// "name: rule": its name, and for a refusal what it should hold and what to change. One text, since a row of two
    /// is nearly twice as large.
    text: &'static str,
    /// The largest number; of bits, those that are known.
    pub(super) most: u32,
    pub(super) least: u16,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

impl Property {
    const fn new(text: &'static str, kind: Kind) -> Self {
        Self { text, most: u32::MAX, least: 0, kind, required: false }
    }

    /// Makes a property that holds nothing: its presence is its value.
    pub(crate) const fn flag(name: &'static str) -> Self {
        Self::new(name, Kind::Flag)
    }

    /// Makes a number of one or two cells, as Hafnium reads them.
    pub(crate) const fn number(text: &'static str) -> Self {
        Self::new(text, Kind::Number)
    }

    /// Makes such a number from the first to the second.
    pub(crate) const fn range(text: &'static str, least: u16, most: u32) -> Self {
        Self { least, most, ..Self::new(text, Kind::Range) }
    }

    /// Makes such a number of which only some bits are known; that others have no effect is told.
    pub(crate) const fn bits(name: &'static str, known: u32) -> Self {
        Self { most: known, ..Self::new(name, Kind::Bits) }
    }

    /// Makes a number of one cell, which is all that the SPMD reads, from the first to the second.
    pub(crate) const fn cell(text: &'static str, least: u16, most: u32) -> Self {
        Self { least, most, ..Self::new(text, Kind::Cell) }
    }

    /// Makes a number of two cells, which is all that the SPMD reads; that it ignores one of one cell is told.
    pub(crate) const fn two_cells(name: &'static str) -> Self {
        Self::new(name, Kind::TwoCells)
    }

    /// Makes a string.
    pub(crate) const fn string(text: &'static str) -> Self {
        Self::new(text, Kind::Text)
    }

    /// Makes a list of strings.
    pub(crate) const fn strings(text: &'static str) -> Self {
        Self::new(text, Kind::Texts)
    }

    /// Makes the list of bindings, of which one must be the rule.
    pub(crate) const fn compatible(text: &'static str) -> Self {
        Self::new(text, Kind::Compatible).required()
    }

    /// Makes a property that its reader judges.
    pub(crate) const fn bytes(text: &'static str) -> Self {
        Self::new(text, Kind::Bytes)
    }

    /// Makes a property that asks for what the SPMC does not do.
    pub(crate) const fn not_supported(text: &'static str) -> Self {
        Self::new(text, Kind::NotSupported)
    }

    /// Makes a property of a device that does DMA by itself, for which there is no SMMU support.
    pub(crate) const fn dma(name: &'static str) -> Self {
        Self::new(name, Kind::Dma)
    }

    /// Makes it one that the node must have.
    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Tells whether it has this name.
    pub(super) fn is_called(&self, name: &[u8]) -> bool {
        // What stands behind a name of this length comes first: it tells most rows apart without comparing the names.
        let text = self.text.as_bytes();
        matches!(text.get(name.len()), None | Some(b':')) && text.starts_with(name)
    }

    /// Returns its name and its rule.
    #[inline(never)]
    pub(super) fn parts(&self) -> (&'static str, &'static str) {
        let bytes = self.text.as_bytes();
        let name = until(bytes, b':');
        (text(name), text(bytes.get(name.len() + 2..).unwrap_or_default()))
    }

    /// Returns its name.
    pub(super) fn name(&self) -> &'static str {
        self.parts().0
    }

    /// Returns what it should hold and what to change.
    pub(super) fn rule(&self) -> &'static str {
        self.parts().1
    }
}
