// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names and sentences, packed by the compiler: where one holds a piece of text that is frequent, a byte that is no
//! printable character stands for the piece. What the SPMC says takes little more than half of its room that way.

use core::fmt::{self, Write};

mod pieces;

pub use pieces::PIECES;

/// How many pieces there are: one for each byte that is no printable ASCII, and not 0.
const COUNT: usize = 160;
/// The byte of the first piece. Those of the others follow; 255 is followed by 1.
const FIRST: u8 = 0x7f;
/// Ends a line: where a piece's byte would be, were it not skipped.
const END: u8 = 0;
/// What each piece consists of, two characters or earlier pieces, in the order of their bytes.
static PAIRS: [[u8; 2]; COUNT + 1] = pairs();

/// One name or sentence. `Display` unpacks it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Line(&'static [u8]);

impl Line {
    /// Takes a packed text with one line. [`packed!`](crate::packed) is how to make one.
    pub const fn new(packed: &'static [u8]) -> Self {
        Self(packed)
    }

    /// Tells whether the line is empty.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Hands out the characters, all of them printable ASCII, until there is an error.
    pub fn each(self, take: &mut dyn FnMut(char) -> fmt::Result) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| unpack(byte, take))
    }
}

/// Unpacks one byte. Each piece is made of earlier ones, so this ends.
fn unpack(byte: u8, take: &mut dyn FnMut(char) -> fmt::Result) -> fmt::Result {
    match PAIRS.get(usize::from(byte.wrapping_sub(FIRST))) {
        Some(&[a, b]) => unpack(a, take).and_then(|()| unpack(b, take)),
        None => take(char::from(byte)),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.each(&mut |c| f.write_char(c))
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq<str> for Line {
    fn eq(&self, other: &str) -> bool {
        let mut rest = other.chars();
        self.each(&mut |c| if rest.next() == Some(c) { Ok(()) } else { Err(fmt::Error) }).is_ok()
            && rest.next().is_none()
    }
}

impl PartialEq<&str> for Line {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// Holds lines that are found by their number. [`packed_lines!`](crate::packed_lines) is how to make it.
pub struct Lines(&'static [u8]);

impl Lines {
    /// Takes a packed text.
    pub const fn new(packed: &'static [u8]) -> Self {
        Self(packed)
    }

    /// Returns line `n`, counted from 0; an empty one where there is none.
    pub fn get(&self, n: usize) -> Line {
        Line(self.0.split(|&byte| byte == END).nth(n).unwrap_or_default())
    }
}

/// Packs a sentence that stands here: a [`Line`](crate::lines::Line).
#[macro_export]
macro_rules! packed {
    ($text:expr) => {{
        const PACKED: &[u8] = &$crate::lines::pack::<{ $crate::lines::packed_len($text) }>($text);
        const _: () = assert!($crate::lines::count($text) == 0);
        $crate::lines::Line::new(PACKED)
    }};
}

/// Packs a text, each of whose `$count` lines ends with a newline: [`Lines`](crate::lines::Lines).
#[macro_export]
macro_rules! packed_lines {
    ($count:expr, $text:expr) => {{
        const TEXT: &str = $text;
        const PACKED: &[u8] = &$crate::lines::pack::<{ $crate::lines::packed_len(TEXT) }>(TEXT);
        assert!($crate::lines::count(TEXT) == $count);
        $crate::lines::Lines::new(PACKED)
    }};
}

// The rest runs in the compiler.

/// Counts the newlines of a text.
pub const fn count(text: &str) -> usize {
    let (mut at, mut lines) = (0, 0);
    while at < text.len() {
        lines += (text.as_bytes()[at] == b'\n') as usize;
        at += 1;
    }
    lines
}

/// Returns how many bytes [`pack`] makes of a text.
pub const fn packed_len(text: &str) -> usize {
    let plan = Plan::new(text.as_bytes());
    let (mut at, mut length) = (0, 0);
    while at < text.len() {
        at += plan.step(at).1;
        length += 1;
    }
    length
}

/// Packs a text into the fewest bytes that the pieces allow.
///
/// # Panics
/// If `LEN` is not what [`packed_len`] says, or the text is not made of printable ASCII and newlines.
pub const fn pack<const LEN: usize>(text: &str) -> [u8; LEN] {
    let plan = Plan::new(text.as_bytes());
    let mut packed = [END; LEN];
    let (mut at, mut n) = (0, 0);
    while at < text.len() {
        let (byte, length) = plan.step(at);
        packed[n] = byte;
        (at, n) = (at + length, n + 1);
    }
    assert!(n == LEN);
    packed
}

/// The longest text that can be packed, in bytes.
const LONGEST: usize = 8192;

/// How to go on at each place of a text, so that the fewest steps lead to its end.
struct Plan<'a> {
    text: &'a [u8],
    /// The piece to use next, or `COUNT`.
    piece: [u8; LONGEST],
}

impl<'a> Plan<'a> {
    const fn new(text: &'a [u8]) -> Self {
        let mut plan = Self { text, piece: [COUNT as u8; LONGEST] };
        let mut steps = [0u16; LONGEST + 1];
        let mut at = text.len();
        while at > 0 {
            at -= 1;
            assert!(text[at] == b'\n' || text[at] >= b' ' && text[at] < FIRST, "printable ASCII");
            steps[at] = steps[at + 1] + 1;
            let mut n = BY_FIRST[text[at] as usize] as usize;
            while n < COUNT {
                if stands(n, text, at) && steps[at + length(n)] + 1 < steps[at] {
                    steps[at] = steps[at + length(n)] + 1;
                    plan.piece[at] = n as u8;
                }
                n = NEXT[n] as usize;
            }
        }
        plan
    }

    /// Returns the byte at a place, and for how many characters it stands.
    const fn step(&self, at: usize) -> (u8, usize) {
        match self.piece[at] as usize {
            COUNT if self.text[at] == b'\n' => (END, 1),
            COUNT => (self.text[at], 1),
            n => (code(n), length(n)),
        }
    }
}

/// Where each piece begins in [`PIECES`].
const STARTS: [usize; COUNT + 1] = {
    let (mut starts, mut at, mut n) = ([0; COUNT + 1], 0, 0);
    while at < PIECES.len() {
        at += 1;
        if PIECES.as_bytes()[at - 1] == b'|' {
            n += 1;
            starts[n] = at;
        }
    }
    assert!(n == COUNT && starts[n] == at);
    starts
};

/// The first piece that begins with each character, and behind each piece the next one that begins like it.
const BY_FIRST: [u8; 128] = CHAINS.0;
const NEXT: [u8; COUNT] = CHAINS.1;
const CHAINS: ([u8; 128], [u8; COUNT]) = {
    let (mut first, mut next, mut n) = ([COUNT as u8; 128], [COUNT as u8; COUNT], COUNT);
    while n > 0 {
        n -= 1;
        let c = PIECES.as_bytes()[STARTS[n]] as usize;
        next[n] = first[c];
        first[c] = n as u8;
    }
    (first, next)
};

/// Returns the byte of a piece.
const fn code(n: usize) -> u8 {
    let code = FIRST.wrapping_add(n as u8);
    if code < FIRST { code + 1 } else { code }
}

const fn length(n: usize) -> usize {
    STARTS[n + 1] - 1 - STARTS[n]
}

/// Tells whether a piece stands in a text at a place.
const fn stands(n: usize, text: &[u8], at: usize) -> bool {
    let mut k = 0;
    while k < length(n) && at + k < text.len() && text[at + k] == PIECES.as_bytes()[STARTS[n] + k] {
        k += 1;
    }
    k == length(n)
}

const fn pairs() -> [[u8; 2]; COUNT + 1] {
    let mut pairs = [[b'?'; 2]; COUNT + 1];
    let mut n = 0;
    while n < COUNT {
        let mut left = 1;
        while left < length(n) {
            let (a, b) = (part(n, STARTS[n], left), part(n, STARTS[n] + left, length(n) - left));
            if let (Some(a), Some(b)) = (a, b) {
                pairs[code(n).wrapping_sub(FIRST) as usize] = [a, b];
                break;
            }
            left += 1;
        }
        assert!(left < length(n), "a piece is two characters or earlier pieces");
        n += 1;
    }
    pairs
}

/// Returns the byte of a part of piece `n`: a character, or a piece before it.
const fn part(n: usize, at: usize, len: usize) -> Option<u8> {
    if len == 1 {
        return Some(PIECES.as_bytes()[at]);
    }
    let mut earlier = 0;
    while earlier < n {
        if length(earlier) == len && stands(earlier, PIECES.as_bytes(), at) {
            return Some(code(earlier));
        }
        earlier += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::*;

    const PRINTABLE: &str =
        " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";

    #[test]
    fn lines_are_found_by_their_number() {
        let lines: Lines = packed_lines!(4, "one\nthe partition\n\nfour\n");
        assert_eq!(
            [0, 1, 2, 3, 4, usize::MAX].map(|n| lines.get(n).to_string()),
            ["one", "the partition", "", "four", "", ""]
        );
        assert_eq!([0, 2, 4].map(|n| lines.get(n).is_empty()), [false, true, true]);
    }

    #[test]
    fn every_character_and_every_piece_comes_back() {
        assert_eq!(packed!(PRINTABLE).to_string(), PRINTABLE);
        // A bar is never part of a piece, so each piece is one byte and its bar another.
        let packed = pack::<{ packed_len(PIECES) }>(PIECES);
        assert_eq!(packed.len(), 2 * COUNT);
        let mut plain = String::new();
        for byte in packed {
            unpack(byte, &mut |c| plain.write_char(c)).unwrap();
        }
        assert_eq!(plain, PIECES);
        let mut bytes: Vec<u8> = (0..COUNT).map(code).collect();
        bytes.sort();
        bytes.dedup();
        assert_eq!(bytes.len(), COUNT);
        assert!(!bytes.iter().any(|&byte| byte == END || PRINTABLE.as_bytes().contains(&byte)));
    }

    #[test]
    fn a_line_equals_its_text_and_nothing_else() {
        let line = packed!("the caller has no RX buffer");
        assert_eq!(line, "the caller has no RX buffer");
        assert!(line == packed!("the caller has no RX buffer") && line != packed!("the caller"));
        assert!(!line.is_empty() && line != "the caller has no RX buffers" && line != "the caller has no RX buffe");
        assert!(packed!("").is_empty() && packed!("") != "a");
    }

    #[test]
    fn fewest_bytes_are_found_where_the_longest_piece_first_is_no_good() {
        // Shorter than by any single character, and never longer.
        for text in ["the destination takes no direct requests", "zzzz", "memory memory"] {
            let plan = Plan::new(text.as_bytes());
            let steps = |mut at: usize| {
                let mut n = 0;
                while at < text.len() {
                    at += plan.step(at).1;
                    n += 1;
                }
                n
            };
            for at in 0..text.len() {
                let by_piece =
                    (0..COUNT).filter(|&n| stands(n, text.as_bytes(), at)).map(|n| 1 + steps(at + length(n)));
                assert_eq!(steps(at), by_piece.chain([1 + steps(at + 1)]).min().unwrap());
            }
        }
    }

    #[test]
    fn what_takes_a_line_may_stop_early() {
        let mut taken = String::new();
        let stopped =
            packed!("interrupted").each(&mut |c| if taken.len() < 4 { taken.write_char(c) } else { Err(fmt::Error) });
        assert_eq!((stopped, taken.as_str()), (Err(fmt::Error), "inte"));
    }
}
