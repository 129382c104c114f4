// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names and sentences as the lines of one text: a table of pointers to them takes eight times as much room as one of
//! where they end.

/// Holds `N` lines, each of which ends with a newline.
pub struct Lines<const N: usize> {
    text: &'static str,
    /// Where the newlines are.
    ends: [u16; N],
}

impl<const N: usize> Lines<N> {
    /// Finds the lines of a text.
    ///
    /// # Panics
    /// If there are not `N`: it is meant for constants.
    pub const fn new(text: &'static str) -> Self {
        let mut ends = [0; N];
        let (mut at, mut n) = (0, 0);
        while at < text.len() {
            if text.as_bytes()[at] == b'\n' {
                ends[n] = at as u16;
                n += 1;
            }
            at += 1;
        }
        assert!(n == N && at <= u16::MAX as usize);
        Self { text, ends }
    }

    /// Returns line `n`, counted from 0; nothing where there is no such line.
    pub fn get(&self, n: usize) -> &'static str {
        line(self.text, &self.ends, n)
    }
}

fn line(text: &'static str, ends: &[u16], n: usize) -> &'static str {
    let end = |n: usize| ends.get(n).map(|end| usize::from(*end));
    let first = n.checked_sub(1).and_then(end).map_or(0, |before| before + 1);
    end(n).and_then(|end| text.get(first..end)).unwrap_or_default()
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
