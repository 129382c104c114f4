// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names and sentences as the lines of one text: a table of pointers to them takes sixteen times as much room as one of
//! how long they are.

/// Holds `N` lines, each of which ends with a newline.
pub struct Lines<const N: usize> {
    text: &'static str,
    /// How long they are, the newline counted.
    lengths: [u8; N],
}

impl<const N: usize> Lines<N> {
    /// Finds the lines of a text.
    ///
    /// # Panics
    /// If there are not `N`, or one is longer than 254 bytes: it is meant for constants.
    pub const fn new(text: &'static str) -> Self {
        let mut lengths = [0; N];
        let (mut at, mut first, mut n) = (0, 0, 0);
        while at < text.len() {
            at += 1;
            if text.as_bytes()[at - 1] == b'\n' {
                assert!(at - first <= u8::MAX as usize);
                lengths[n] = (at - first) as u8;
                (first, n) = (at, n + 1);
            }
        }
        assert!(n == N);
        Self { text, lengths }
    }

    /// Returns line `n`, counted from 0; nothing where there is no such line.
    pub fn get(&self, n: usize) -> &'static str {
        line(self.text, &self.lengths, n)
    }
}

fn line(text: &'static str, lengths: &[u8], n: usize) -> &'static str {
    let mut first = 0;
    for (at, length) in lengths.iter().enumerate() {
        let end = first + usize::from(*length);
        if at == n {
            return text.get(first..end - 1).unwrap_or_default();
        }
        first = end;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_number() {
        let lines: Lines<4> = Lines::new("one\ntwo\n\nfour\n");
        assert_eq!([0, 1, 2, 3, 4, usize::MAX].map(|n| lines.get(n)), ["one", "two", "", "four", "", ""]);
    }
}
