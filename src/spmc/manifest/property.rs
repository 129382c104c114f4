// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a property of a node may hold: the tables that [`super::node::Node::read`] reads by.

use super::blob::{text, until};
use super::node::MAX_ROWS;

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

/// A property that a node may have, as its table is written.
#[derive(Clone, Copy)]
pub(crate) struct Property {
    /// "name: rule": its name, and for a refusal what it should hold and what to change.
    text: &'static str,
    /// The largest number; of bits, those that are known.
    most: u32,
    least: u16,
    kind: Kind,
    required: bool,
}

/// What a table has of a property beside its text.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(super) most: u32,
    pub(super) least: u16,
    /// Bytes of its text.
    pub(super) length: u8,
    pub(super) kind: Kind,
}

impl Row {
    /// Stands where no table has been read by.
    pub(super) const NONE: Self = Self { most: 0, least: 0, length: 0, kind: Kind::Flag };
}

/// A node's table: the properties that it may have. Their texts stand behind each other in one: a row with a pointer to
/// its own is three times as large.
pub(crate) struct Table<R: ?Sized = [Row]> {
    pub(super) text: &'static str,
    /// A bit for each row.
    required: u32,
    pub(super) rows: R,
}

/// Makes tables.
macro_rules! table {
    ($($visible:vis static $name:ident = [$($row:expr),* $(,)?];)*) => { $(
        $visible static $name: $crate::manifest::property::Rows<{ [$($row),*].len() }> = {
            use $crate::manifest::property::{Property, Table, joined_text, text_length};
            const ROWS: &[Property] = &[$($row),*];
            const TEXT: [u8; text_length(ROWS)] = joined_text(ROWS);
            Table::new(&TEXT, ROWS)
        };
    )* };
}
pub(crate) use table;

/// Returns how long the text of a table is.
pub(super) const fn text_length(rows: &[Property]) -> usize {
    let (mut n, mut length) = (0, 0);
    while n < rows.len() {
        length += rows[n].text.len();
        n += 1;
    }
    length
}

/// Joins the texts of a table.
pub(super) const fn joined_text<const LENGTH: usize>(rows: &[Property]) -> [u8; LENGTH] {
    let mut all = [0; LENGTH];
    let (mut n, mut at) = (0, 0);
    while n < rows.len() {
        let text = rows[n].text.as_bytes();
        let mut i = 0;
        while i < text.len() {
            all[at] = text[i];
            (at, i) = (at + 1, i + 1);
        }
        n += 1;
    }
    all
}

/// A table of so many rows.
pub(crate) type Rows<const N: usize> = Table<[Row; N]>;

impl<const N: usize> Rows<N> {
    /// Makes a table of its rows and their texts.
    ///
    /// # Panics
    /// If there are more than there is room for, or a text is longer than 255 bytes: it is meant for constants.
    pub(super) const fn new(text: &'static [u8], list: &[Property]) -> Self {
        assert!(N <= MAX_ROWS);
        let Ok(text) = core::str::from_utf8(text) else { panic!() };
        let mut table = Self { text, required: 0, rows: [Row::NONE; N] };
        let mut n = 0;
        while n < N {
            let p = &list[n];
            assert!(p.text.len() <= u8::MAX as usize);
            table.rows[n] = Row { most: p.most, least: p.least, length: p.text.len() as u8, kind: p.kind };
            table.required |= (p.required as u32) << n;
            n += 1;
        }
        table
    }
}

impl Table {
    /// Tells whether the node must have the property of a row.
    pub(super) const fn requires(&self, n: usize) -> bool {
        self.required >> n & 1 != 0
    }
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
}

/// Tells whether the property of a row has this name, by the row's text.
pub(super) fn is_called(text: &str, name: &[u8]) -> bool {
    // What stands behind a name of this length comes first: it tells most rows apart without comparing the names.
    let text = text.as_bytes();
    matches!(text.get(name.len()), None | Some(b':')) && text.starts_with(name)
}

/// Returns the name in a row's text, and the rule.
#[inline(never)]
pub(super) fn parts(row: &'static str) -> (&'static str, &'static str) {
    let bytes = row.as_bytes();
    let name = until(bytes, b':');
    (text(name), text(bytes.get(name.len() + 2..).unwrap_or_default()))
}
