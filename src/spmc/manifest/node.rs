// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a node's properties by a table of what each may hold, every refusal naming node and property.

use super::blob::{Tree, text, until};
use super::property::{Kind, Row, Table, is_called, parts};
use super::refusal::{append, name};
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

/// Receives warnings: the linter prints them, the firmware drops them. A type, so that it does not have their texts.
pub trait Warn {
    /// Takes what makes a warning.
    fn tell(&mut self, warning: &dyn Fn() -> Warning);
}

impl<F: FnMut(Warning)> Warn for F {
    fn tell(&mut self, warning: &dyn Fn() -> Warning) {
        self(warning());
    }
}

/// Drops warnings.
pub(crate) struct Untold;

impl Warn for Untold {
    fn tell(&mut self, _: &dyn Fn() -> Warning) {}
}

/// What becomes of the properties that a table does not name.
enum Others {
    /// They are told of.
    Told,
    /// They are refused.
    Refused,
    /// They belong to somebody else.
    Ignored,
}

/// A node and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    file: File,
    parent: &'a str,
    tree: Tree<'a>,
}

impl<'a> Node<'a> {
    /// Returns a file's root node.
    #[inline(never)]
    pub(crate) fn root(blob: &CheckedBlob<'a>, file: File) -> Self {
        Self { file, parent: "", tree: blob.root() }
    }

    /// Reads each node inside this one, up to the first that is refused.
    #[inline(never)]
    pub(crate) fn each_child(&self, read: &mut dyn FnMut(&Self) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let (mut child, mut depth) = (Self { parent: self.name(), ..*self }, 0);
        while child.tree.go_to_next(&mut depth).is_some() {
            read(&child)?;
        }
        Ok(())
    }

    /// Finds the nodes inside it that have these names, each the last one of its name, and hands on the others.
    #[inline(never)]
    pub(crate) fn sort_children(
        &self,
        names: &[&str],
        found: &mut [Option<Self>],
        other: &mut dyn FnMut(&Self) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        self.each_child(&mut |child| {
            for (place, &known) in found.iter_mut().zip(names) {
                if child.tree.is_called(known) {
                    *place = Some(*child);
                    return Ok(());
                }
            }
            other(child)
        })
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> &'a str {
        self.tree.name()
    }

    /// Returns the words for it: its parent and itself.
    fn path(&self) -> Name {
        let mut path = name(self.parent);
        // A path that does not fit loses its end; the property still says what is meant.
        if !path.is_empty() {
            append(&mut path, "/");
        }
        append(&mut path, self.name());
        path
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn refuse(&self, property: &'static str, cause: Cause, rule: &'static str) -> Refusal {
        let mut refusal = Refusal::new(self.file, property, cause, rule);
        refusal.node = self.path();
        refusal
    }

    /// Refuses because a node in it is absent.
    pub(crate) fn missing(&self, rule: &'static str) -> Refusal {
        self.refuse("", Cause::Missing, rule)
    }

    /// Refuses more nodes in it than fit.
    #[inline(never)]
    pub(crate) fn too_many(&self, limit: usize) -> Refusal {
        self.refuse("", Cause::TooMany { limit }, "")
    }

    /// Refuses because of a node or property that is not known.
    #[inline(never)]
    pub(crate) fn unknown(&self, found: &str) -> Refusal {
        let rule = "a property or node of this binding; a policy is understood in full or refused";
        self.refuse("a name", Cause::Text { found: name(found) }, rule)
    }

    pub(crate) fn warn(&self, warn: &mut impl Warn, property: &str, text: &'static str) {
        warn.tell(&|| self.warning(property, text));
    }

    fn warning(&self, property: &str, text: &'static str) -> Warning {
        Warning { file: self.file, node: self.path(), property: name(property), text }
    }

    /// Makes room for what [`Self::read`] reads.
    #[inline(never)]
    pub(crate) fn room<'n>(&'n self) -> Room<'n, 'a> {
        [Value { node: self, text: "", row: Row::NONE, bytes: &[], is_present: false, number: 0 }; MAX_ROWS]
    }

    /// Reads its properties: the value for each row of the table, in the table's order. Others are told of. Fails with the
    /// first property that is wrong, then with the first that is missing.
    pub(crate) fn read<'r, 'n>(
        &self,
        table: &'static Table,
        values: &'r mut Room<'n, 'a>,
        warn: &mut impl Warn,
    ) -> Result<&'r Room<'n, 'a>, Refusal> {
        self.read_with(table, values, Others::Told, warn)
    }

    /// Reads its properties and refuses others.
    pub(crate) fn read_all<'r, 'n>(
        &self,
        table: &'static Table,
        values: &'r mut Room<'n, 'a>,
    ) -> Result<&'r Room<'n, 'a>, Refusal> {
        self.read_with(table, values, Others::Refused, &mut Untold)
    }

    /// Reads some of its properties; others are somebody else's.
    pub(crate) fn read_some<'r, 'n>(
        &self,
        table: &'static Table,
        values: &'r mut Room<'n, 'a>,
    ) -> Result<&'r Room<'n, 'a>, Refusal> {
        self.read_with(table, values, Others::Ignored, &mut Untold)
    }

    #[inline(never)]
    fn read_with<'r, 'n>(
        &self,
        table: &'static Table,
        values: &'r mut Room<'n, 'a>,
        others: Others,
        warn: &mut impl Warn,
    ) -> Result<&'r Room<'n, 'a>, Refusal> {
        // No table is larger than the room.
        let rows = values.get_mut(..table.rows.len()).unwrap_or_default();
        let mut rest = table.text;
        for (value, row) in rows.iter_mut().zip(&table.rows) {
            (value.text, rest) = rest.split_at_checked(row.length.into()).unwrap_or_default();
            value.row = *row;
        }
        for (property, bytes) in self.tree.properties() {
            let value = rows.iter_mut().find(|v| is_called(v.text, property));
            match (value, &others) {
                (Some(value), _) => value.set(bytes, warn)?,
                (None, Others::Told) => warn.tell(&|| self.warning(text(property), "is not known and has no effect")),
                (None, Others::Refused) => return Err(self.unknown(text(property))),
                (None, Others::Ignored) => (),
            }
        }
        for (n, value) in rows.iter().enumerate() {
            if table.requires(n) && !value.is_present() {
                return Err(value.missing());
            }
        }
        Ok(values)
    }
}

/// The values of a node, in the order of its table. Filled in place: it is large.
pub(crate) type Room<'n, 'a> = [Value<'n, 'a>; MAX_ROWS];

/// Most rows of a table: a partition manifest's root has most.
pub(super) const MAX_ROWS: usize = 29;

/// What a node has for a row of its table.
#[derive(Clone, Copy)]
pub(crate) struct Value<'n, 'a> {
    pub(crate) node: &'n Node<'a>,
    /// The row's text.
    text: &'static str,
    row: Row,
    bytes: &'a [u8],
    is_present: bool,
    /// The number, for kinds that are one; 0 where it is absent.
    pub(crate) number: u64,
}

impl<'a> Value<'_, 'a> {
    pub(crate) fn refuse(&self, cause: Cause, rule: &'static str) -> Refusal {
        self.node.refuse(parts(self.text).0, cause, rule)
    }

    /// Refuses a number.
    #[inline(never)]
    pub(crate) fn wrong(&self, found: u64, rule: &'static str) -> Refusal {
        self.refuse(Cause::Value { found }, rule)
    }

    /// Refuses by the table's rule.
    #[inline(never)]
    pub(crate) fn refuse_by_rule(&self, cause: Cause) -> Refusal {
        let (name, rule) = parts(self.text);
        self.node.refuse(name, cause, rule)
    }

    /// Refuses its number by the table's rule.
    #[inline(never)]
    pub(crate) fn out_of_rule(&self, found: u64) -> Refusal {
        self.refuse_by_rule(Cause::Value { found })
    }

    /// Refuses a text by the table's rule.
    #[inline(never)]
    pub(crate) fn text_out_of_rule(&self, found: &str) -> Refusal {
        self.refuse_by_rule(Cause::Text { found: name(found) })
    }

    /// Refuses its length by the table's rule.
    pub(crate) fn length_out_of_rule(&self) -> Refusal {
        self.refuse_by_rule(Cause::Length { bytes: self.bytes().len() })
    }

    /// Refuses a text.
    #[inline(never)]
    pub(crate) fn wrong_text(&self, found: &str, rule: &'static str) -> Refusal {
        self.refuse(Cause::Text { found: name(found) }, rule)
    }

    /// Refuses because it contradicts another property.
    #[inline(never)]
    pub(crate) fn conflict(&self, with: &'static str, rule: &'static str) -> Refusal {
        self.refuse(Cause::Conflict { with }, rule)
    }

    /// Refuses an address that is not a multiple of 4 KiB.
    #[inline(never)]
    pub(crate) fn misaligned(&self, address: u64) -> Refusal {
        self.refuse(Cause::Misaligned { address }, "")
    }

    /// Refuses a range that passes the end of the address space.
    #[inline(never)]
    pub(crate) fn wraps(&self, base: u64, size: u64) -> Refusal {
        self.refuse(Cause::Wraps { base, size }, "")
    }

    /// Refuses more than fit.
    #[inline(never)]
    pub(crate) fn too_many(&self, limit: usize) -> Refusal {
        self.refuse(Cause::TooMany { limit }, "")
    }

    /// Refuses its length.
    #[inline(never)]
    pub(crate) fn length(&self, rule: &'static str) -> Refusal {
        self.refuse(Cause::Length { bytes: self.bytes().len() }, rule)
    }

    /// Refuses because it is absent.
    #[inline(never)]
    pub(crate) fn missing(&self) -> Refusal {
        self.refuse_by_rule(Cause::Missing)
    }

    pub(crate) fn warn(&self, warn: &mut impl Warn, text: &'static str) {
        warn.tell(&|| self.node.warning(parts(self.text).0, text));
    }

    /// Takes the value that the node has, if it is of its kind.
    fn set(&mut self, bytes: &'a [u8], warn: &mut impl Warn) -> Result<(), Refusal> {
        self.bytes = bytes;
        self.is_present = true;
        let mut odd = None;
        match self.row.kind {
            Kind::Flag => {
                if !bytes.is_empty() {
                    return Err(self.length("none: its presence is its value"));
                }
            }
            Kind::Number => self.number = self.cells()?,
            Kind::Range => self.number = self.checked()?,
            Kind::Bits => {
                let known = u64::from(self.row.most);
                let number = self.cells()?;
                if number > u32::MAX.into() {
                    return Err(self.wrong(number, "a number of 32 bits"));
                }
                odd = (number & !known != 0).then_some("has bits beyond those that are known: no effect");
                self.number = number & known;
            }
            Kind::Cell => {
                if bytes.len() != 4 {
                    return Err(self.length("one cell (4 bytes), which is what the SPMD reads"));
                }
                self.number = self.checked()?;
            }
            Kind::TwoCells => {
                self.number = self.cells()?;
                odd = (bytes.len() == 4).then_some("has one cell; the SPMD reads two and ignores it");
            }
            Kind::Text => {
                const RULE: &str = "one string in \" \"";
                if until(bytes, 0).len() + 1 != bytes.len() {
                    return Err(self.length(RULE));
                }
                self.check_texts(RULE)?;
            }
            Kind::Texts => self.check_texts(TEXTS)?,
            Kind::Compatible => {
                self.check_texts(TEXTS)?;
                let rule = parts(self.text).1;
                if !self.texts().any(|t| t == rule) {
                    return Err(self.text_out_of_rule(self.text()));
                }
            }
            Kind::Bytes => (),
            Kind::NotSupported => return Err(self.refuse_by_rule(Cause::NotSupported)),
            Kind::Dma => {
                let rule = "remove it: there is no SMMU support, so the device must not do DMA";
                return Err(self.refuse(Cause::NotSupported, rule));
            }
        }
        if let Some(text) = odd {
            self.warn(warn, text);
        }
        Ok(())
    }

    /// Reads a number of one or two cells.
    fn cells(&self) -> Result<u64, Refusal> {
        match self.bytes().len() {
            4 | 8 => Ok(joined(self.bytes())),
            // No number, or a list of them.
            _ => Err(self.length("a number: one cell (4 bytes) or two (8)")),
        }
    }

    /// Reads such a number that is in the row's range.
    fn checked(&self) -> Result<u64, Refusal> {
        let number = self.cells()?;
        let good = number >= self.row.least.into() && number <= self.row.most.into();
        if good { Ok(number) } else { Err(self.out_of_rule(number)) }
    }

    /// Checks that it holds strings.
    fn check_texts(&self, rule: &'static str) -> Result<(), Refusal> {
        let bytes = self.bytes();
        let good = matches!(bytes, [.., 0]) && text(bytes).len() == bytes.len();
        if good { Ok(()) } else { Err(self.length(rule)) }
    }

    /// Tells whether the node has it.
    pub(crate) const fn is_present(&self) -> bool {
        self.is_present
    }

    /// Returns its number, if the node has it.
    pub(crate) fn get(&self) -> Option<u64> {
        self.is_present.then_some(self.number)
    }

    /// Returns its number, or what holds where the node has none.
    pub(crate) fn or(&self, absent: u32) -> u32 {
        if self.is_present() { self.number as u32 } else { absent }
    }

    /// Returns its bytes; none where the node does not have it.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns its string, or the first of them; empty where the node does not have it.
    pub(crate) fn text(&self) -> &'a str {
        text(until(self.bytes(), 0))
    }

    /// Returns its strings.
    pub(crate) fn texts(&self) -> Texts<'a> {
        Texts(self.bytes())
    }

    /// Returns its cells if they are entries of this many, at least one, or refuses by a rule.
    #[inline(never)]
    pub(crate) fn entries(&self, cells: usize, rule: &'static str) -> Result<&'a [Cell], Refusal> {
        // Four cells are the most.
        let size = cells * 4;
        if !self.is_present() {
            return Err(self.missing());
        }
        if size == 0 || self.bytes().is_empty() || !self.bytes().len().is_multiple_of(size) {
            return Err(self.length(rule));
        }
        Ok(self.bytes().as_chunks().0)
    }

    /// Returns its cells as [`Self::entries`] does, or none.
    #[inline(never)]
    pub(crate) fn list(&self, cells: usize, rule: &'static str) -> Result<&'a [Cell], Refusal> {
        if self.bytes().is_empty() { Ok(&[]) } else { self.entries(cells, rule) }
    }
}

/// The rule for a list of strings.
const TEXTS: &str = "strings in \" \"";

/// A cell of a value: a big-endian word.
pub(crate) type Cell = [u8; 4];

/// Reads a cell of an entry.
#[inline(never)]
pub(crate) fn word(entry: &[u8], n: usize) -> u32 {
    entry.as_chunks::<4>().0.get(n).map_or(0, |c| u32::from_be_bytes(*c))
}

/// Takes a number of this many cells from the front of some entries; none are 0.
#[inline(never)]
pub(crate) fn take_number(entries: &mut &[Cell], cells: usize) -> u64 {
    let (number, rest) = entries.split_at_checked(cells).unwrap_or((entries, &[]));
    *entries = rest;
    joined(number.as_flattened())
}

/// Joins up to two cells, most significant first; none are 0.
#[inline(never)]
fn joined(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b))
}

/// Walks strings that end with a NUL.
#[derive(Clone)]
pub(crate) struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    #[inline(never)]
    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let first = until(self.0, 0);
        self.0 = self.0.get(first.len() + 1..).unwrap_or_default();
        Some(text(first))
    }
}
