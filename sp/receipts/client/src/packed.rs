// SPDX-License-Identifier: MIT OR Apache-2.0
//! Test calls packed one after the other, and what each must answer.

/// One packed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// The name of the case that begins here; empty when the step belongs to the one before.
    pub name: &'a [u8],
    /// The operation.
    pub operation: u16,
    /// Its flags.
    pub flags: u16,
    /// The class of the verdict; 0 for accepted.
    pub class: u8,
    /// The first value of the answer, if it is fixed.
    pub value: Option<u64>,
    /// The message.
    pub message: &'a [u8],
    /// The parts of the answer, if they are fixed.
    pub answer: Option<&'a [u8]>,
}

/// Walks through packed calls; ends where the bytes do, or make no sense.
#[derive(Debug, Clone)]
pub struct Steps<'a> {
    rest: &'a [u8],
}

impl<'a> Steps<'a> {
    /// Starts at the first.
    pub const fn new(packed: &'a [u8]) -> Self {
        Self { rest: packed }
    }

    /// Tells whether all was read.
    pub const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*first)
    }

    fn chunk(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        let (chunk, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(chunk)
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        let name = self.chunk()?;
        let (operation, flags) = (u16::from_le_bytes(self.take()?), u16::from_le_bytes(self.take()?));
        let [class, has_value] = self.take()?;
        let value = u64::from_le_bytes(self.take()?);
        let [has_answer] = self.take()?;
        let (message, answer) = (self.chunk()?, self.chunk()?);
        let value = (has_value != 0).then_some(value);
        Some(Step { name, operation, flags, class, value, message, answer: (has_answer != 0).then_some(answer) })
    }
}
