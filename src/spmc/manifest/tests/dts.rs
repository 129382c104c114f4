// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the part of the device tree source format that the tests use, so that they read like manifests.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Compiles a source: nodes, labels, cells (numbers and `&label`), strings, empty properties, comments.
pub(crate) fn compile(source: &str) -> Vec<u8> {
    let mut c = Compiler { tokens: tokens(source), at: 0, ..Compiler::default() };
    c.labels();
    c.expect("/dts-v1/");
    c.expect(";");
    c.expect("/");
    c.node("");
    c.structs.extend(9u32.to_be_bytes());
    c.finish()
}

#[derive(Default)]
struct Compiler {
    tokens: Vec<String>,
    at: usize,
    labels: BTreeMap<String, u32>,
    structs: Vec<u8>,
    strings: Vec<u8>,
}

fn tokens(source: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = source.trim_start();
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("/*") {
            let end = rest.find("*/").expect("an open comment") + 2;
            rest = rest[end..].trim_start();
            continue;
        } else if rest.starts_with("/dts-v1/") {
            8
        } else if c == '"' {
            rest[1..].find('"').expect("an open string") + 2
        } else if "{}<>;=,&/".contains(c) {
            1
        } else {
            rest.find(|c: char| c.is_whitespace() || "{}<>;=&\"".contains(c)).expect("an open word")
        };
        let word = &rest[..length];
        // A comma ends a list's element, but may stand inside a name.
        let word = if word.len() > 1 { word.trim_end_matches(',') } else { word };
        out.push(word.into());
        rest = rest[word.len()..].trim_start();
    }
    out
}

impl Compiler {
    /// Numbers the labels first, since a reference may stand before its label.
    fn labels(&mut self) {
        let labels = self.tokens.iter().filter_map(|t| t.strip_suffix(':'));
        self.labels = labels.zip(1..).map(|(l, n)| (l.into(), n)).collect();
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.tokens[self.at - 1].clone()
    }

    fn expect(&mut self, token: &str) {
        assert_eq!(self.next(), token, "at token {}", self.at);
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.structs.extend(bytes);
        self.structs.resize(self.structs.len().next_multiple_of(4), 0);
    }

    fn property(&mut self, name: &str, value: &[u8]) {
        self.structs.extend(3u32.to_be_bytes());
        self.structs.extend((value.len() as u32).to_be_bytes());
        self.structs.extend((self.strings.len() as u32).to_be_bytes());
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        self.padded(value);
    }

    fn node(&mut self, name: &str) {
        self.structs.extend(1u32.to_be_bytes());
        let mut bytes: Vec<u8> = name.into();
        bytes.push(0);
        self.padded(&bytes);
        self.expect("{");
        loop {
            let word = self.next();
            if word == "}" {
                break;
            } else if let Some(label) = word.strip_suffix(':') {
                let phandle = self.labels[label];
                let name = self.next();
                self.labelled(&name, phandle);
            } else {
                match self.tokens[self.at].as_str() {
                    ";" => self.property(&word, &[]),
                    "=" => {
                        self.at += 1;
                        let value = self.value();
                        self.property(&word, &value);
                        self.at -= 1;
                    }
                    "{" => {
                        self.node(&word);
                        continue;
                    }
                    other => panic!("{other} after {word}"),
                }
                self.expect(";");
            }
        }
        self.expect(";");
        self.structs.extend(2u32.to_be_bytes());
    }

    /// Reads a node with a label: its phandle goes in front of its own properties.
    fn labelled(&mut self, name: &str, phandle: u32) {
        let brace = self.at;
        let source = [String::from("phandle"), "=".into(), "<".into(), alloc::format!("{phandle}"), ">".into()];
        self.tokens.splice(brace + 1..brace + 1, source.into_iter().chain([";".into()]));
        self.node(name);
    }

    /// Reads a value up to the semicolon and stays on it.
    fn value(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let token = self.next();
            match token.as_str() {
                ";" => return out,
                "," => (),
                "<" => loop {
                    let cell = self.next();
                    let number = match cell.as_str() {
                        ">" => break,
                        "&" => {
                            let label = self.next();
                            self.labels[&label]
                        }
                        hex if hex.starts_with("0x") => u32::from_str_radix(&hex[2..], 16).expect("a number"),
                        decimal => decimal.parse().expect("a number"),
                    };
                    out.extend(number.to_be_bytes());
                },
                text if text.starts_with('"') => {
                    out.extend(text.trim_matches('"').as_bytes());
                    out.push(0);
                }
                other => panic!("{other} in a value"),
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        let structs = 40 + 16;
        let strings = structs + self.structs.len();
        let total = strings + self.strings.len();
        let sizes = [self.strings.len(), self.structs.len()];
        let header = [0xd00d_feed, total, structs, strings, 40, 17, 16, 0, sizes[0], sizes[1]];
        let mut out: Vec<u8> = header.iter().flat_map(|&w| (w as u32).to_be_bytes()).collect();
        out.extend([0; 16]);
        out.extend(self.structs);
        out.extend(self.strings);
        out
    }
}
