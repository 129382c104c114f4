// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that are no manifest: cut anywhere, changed anywhere. Nothing may panic.

use alloc::string::String;
use alloc::vec::Vec;
use std::path::Path;

use fdt::Fdt;
use fdt::node::FdtNode;

use super::{PARTITION, PARTITION_1_1, SPMC, dts};
use crate::Pa;
use crate::manifest::{BlobError, CheckedBlob, CoreManifest, Package, PartitionManifest, Tree};
use crate::sim::Random;

/// Reads bytes in every way there is; returns how far they came.
fn read_all(bytes: &[u8]) -> u32 {
    let mut depth = u32::from(Package::parse(bytes).is_ok_and(|p| read_all(p.manifest_bytes()) > 0));
    if let Ok(blob) = CheckedBlob::check(bytes) {
        depth += 1;
        compare(&blob, bytes);
        depth += u32::from(CoreManifest::parse(&blob).is_ok());
        depth += u32::from(PartitionManifest::parse(&blob, Pa(0xe40_0000)).is_ok());
    }
    depth
}

/// Makes numbers below what is asked for, the same sequence each time.
fn below(seed: u64) -> impl FnMut(usize) -> usize {
    let mut random = Random(seed);
    move |limit| random.below(limit as u64) as usize
}

fn set_word(bytes: &mut [u8], at: usize, word: u32) {
    if let Some(slot) = bytes.get_mut(at..at + 4) {
        slot.copy_from_slice(&word.to_be_bytes());
    }
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_manifest_cut_anywhere_is_refused() {
    for source in [SPMC, PARTITION, PARTITION_1_1] {
        let whole = dts::compile(source);
        assert!(CheckedBlob::check(&whole).is_ok());
        for length in 0..whole.len() {
            let mut cut = Vec::from(&whole[..length]);
            assert!(CheckedBlob::check(&cut).is_err(), "{length}");
            // A cut whose header knows of it, too.
            set_word(&mut cut, 4, length as u32);
            assert!(CheckedBlob::check(&cut).is_err(), "{length}");
        }
    }
}

/// A tree's nodes and properties in the order in which they stand, each with its depth.
type Listed = Vec<(usize, String, Vec<u8>)>;

fn list(tree: &Tree<'_>, depth: usize, out: &mut Listed) {
    out.push((depth, tree.name().into(), Vec::new()));
    out.extend(tree.properties().map(|(name, value)| (depth + 1, String::from_utf8_lossy(name).into(), value.into())));
    tree.children().for_each(|child| list(&child, depth + 1, out));
}

/// Lists them as the `fdt` crate reads them, which panics on a tree that is malformed.
fn list_by_fdt(node: FdtNode<'_, '_>, depth: usize, out: &mut Listed) {
    out.push((depth, node.name.into(), Vec::new()));
    out.extend(node.properties().map(|p| (depth + 1, p.name.into(), p.value.into())));
    node.children().for_each(|child| list_by_fdt(child, depth + 1, out));
}

/// Lists them by a reader of its own, which looks neither left nor right.
fn list_tokens(bytes: &[u8]) -> Listed {
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let text = |at: usize| String::from_utf8(bytes[at..].iter().copied().take_while(|&b| b != 0).collect()).unwrap();
    let (mut at, strings) = (word(8), word(12));
    let (mut depth, mut out) = (0, Vec::new());
    loop {
        match word(at) {
            1 => {
                let name = text(at + 4);
                at += (4 + name.len() + 1).next_multiple_of(4);
                out.push((depth, name, Vec::new()));
                depth += 1;
            }
            2 => {
                at += 4;
                depth -= 1;
            }
            3 => {
                let length = word(at + 4);
                out.push((depth, text(strings + word(at + 8)), bytes[at + 12..at + 12 + length].into()));
                at += (12 + length).next_multiple_of(4);
            }
            9 => return out,
            token => panic!("{token}"),
        }
    }
}

/// Requires that all readers find the same in a blob that was checked; returns how much that is.
fn compare(blob: &CheckedBlob<'_>, bytes: &[u8]) -> usize {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    list(&blob.root(), 0, &mut ours);
    let fdt = Fdt::new(bytes).unwrap();
    list_by_fdt(fdt.find_node("/").unwrap(), 0, &mut theirs);
    assert_eq!(blob.size(), fdt.total_size());
    assert_eq!(ours, theirs);
    assert_eq!(ours, list_tokens(bytes));
    ours.len()
}

/// Compiles each manifest of the repository, and adds the fuzz corpus' seeds.
fn all_manifests() -> Vec<Vec<u8>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let files = |folder: &str| std::fs::read_dir(root.join(folder)).expect("it is there").map(|f| f.unwrap().path());
    let mut out: Vec<Vec<u8>> = [SPMC, PARTITION, PARTITION_1_1].map(dts::compile).into();
    for source in files("sp").map(|f| f.join("manifest.dts")).filter(|f| f.exists()) {
        out.push(dts::compile(&std::fs::read_to_string(source).unwrap()));
    }
    for corpus in ["fuzz/corpus/manifest_core", "fuzz/corpus/manifest_partition", "fuzz/corpus/package"] {
        for seed in files(corpus).filter(|f| f.file_name().unwrap().to_string_lossy().starts_with("seed-")) {
            let bytes = std::fs::read(seed).unwrap();
            out.push(Package::parse(&bytes).map_or(bytes.clone(), |p| p.manifest_bytes().into()));
        }
    }
    out
}

#[test]
#[cfg_attr(miri, ignore = "it reads files")]
fn trees_are_read_as_other_readers_do() {
    let blobs = all_manifests();
    assert!(blobs.len() > 18, "{}", blobs.len());
    for bytes in blobs {
        let count = compare(&CheckedBlob::check(&bytes).unwrap(), &bytes);
        assert!(count > 8, "{count}");
    }
}

#[test]
fn mutated_manifests_never_panic() {
    let rounds = if cfg!(miri) { 4 } else { 40_000 };
    let seeds = [SPMC, PARTITION, PARTITION_1_1].map(dts::compile);
    let mut below = below(0x9e37_79b9_7f4a_7c15);
    let mut reached = [0u32; 4];
    for round in 0..rounds * seeds.len() {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..1 + below(4) {
            let at = below(bytes.len());
            match below(6) {
                0 => bytes[at] ^= 1 << below(8),
                1 => bytes[at] = below(256) as u8,
                2 => set_word(&mut bytes, at & !3, below(16) as u32),
                3 => set_word(&mut bytes, at & !3, (below(9) as u32).wrapping_sub(4)),
                4 => bytes.truncate(at.max(40)),
                _ => {
                    let to = below(bytes.len());
                    let word: Vec<u8> = bytes[at & !3..].iter().take(4).copied().collect();
                    bytes[to & !3..].iter_mut().zip(word).for_each(|(b, w)| *b = w);
                }
            }
        }
        reached[(read_all(&bytes) as usize).min(3)] += 1;
    }
    // The test is worth something only if mutants get past each gate.
    assert!(cfg!(miri) || reached[..3].iter().all(|&n| n > 1000), "{reached:?}");
}

#[test]
fn random_bytes_behind_a_good_header_never_panic() {
    let rounds = if cfg!(miri) { 4 } else { 20_000 };
    let mut below = below(42);
    for _ in 0..rounds {
        let mut bytes: Vec<u8> = (0..256).map(|_| below(12) as u8).collect();
        for (at, word) in [0xd00d_feed, 256, 56, 216, 40, 17, 16, 0, 40, 160].into_iter().enumerate() {
            set_word(&mut bytes, at * 4, word);
        }
        bytes[216..].fill(b'a');
        bytes[255] = 0;
        set_word(&mut bytes, 56, 1);
        set_word(&mut bytes, 60, 0);
        read_all(&bytes);
    }
}

/// Makes a blob of the given structure tokens.
fn blob(structs: &[u32], strings: &[u8]) -> Vec<u8> {
    let size = structs.len() * 4;
    let header =
        [0xd00d_feed, 56 + size + strings.len(), 56, 56 + size, 40, 17, 16, 0, strings.len(), size].map(|w| w as u32);
    let mut out: Vec<u8> = header.iter().flat_map(|w| w.to_be_bytes()).collect();
    out.extend([0; 16]);
    out.extend(structs.iter().flat_map(|w| w.to_be_bytes()));
    out.extend(strings);
    out
}

#[test]
fn each_structural_rule_refuses() {
    use BlobError::*;
    let a = u32::from_be_bytes(*b"a\0\0\0");
    let check = |structs: &[u32], strings: &[u8]| CheckedBlob::check(&blob(structs, strings)).map(|_| ());
    assert_eq!(check(&[1, 0, 2, 9], b""), Ok(()));
    assert_eq!(check(&[1, 0, 3, 0, 0, 1, a, 2, 2, 9], b"p\0"), Ok(()));
    for (structs, error) in [
        (&[][..], Truncated(0)),
        (&[9], Token { token: 9, at: 0 }),
        (&[2, 9], Token { token: 2, at: 0 }),
        (&[1, a, 2, 9], NodeName(4)),
        (&[1, 0, 2], Truncated(12)),
        (&[1, 0, 9], Token { token: 9, at: 8 }),
        (&[1, 0, 2, 9, 0], Token { token: 9, at: 12 }),
        (&[1, 0, 2, 1, 0, 2, 9], Token { token: 1, at: 12 }),
        (&[1, 0, 4, 2, 9], Token { token: 4, at: 8 }),
        (&[1, 0, 7, 2, 9], Token { token: 7, at: 8 }),
        (&[1, 0, 1, 0, 2, 2, 9], NodeName(12)),
        (&[1, 0, 1, 0x2f61_0000, 2, 2, 9], NodeName(12)),
        (&[1, 0, 1, 0xff00_0000, 2, 2, 9], NodeName(12)),
        (&[1, 0, 1, 0x6161_6161], Truncated(12)),
        (&[1, 0, 1, a, 2, 3, 0, 0, 2, 9], Token { token: 3, at: 20 }),
        (&[1, 0, 3, 0, 2, 2, 9], PropertyName(12)),
        (&[1, 0, 3, 0, 1, 2, 9], PropertyName(12)),
        (&[1, 0, 3, 100, 0, 2, 9], Truncated(20)),
        (&[1, 0, 3, u32::MAX, 0, 2, 9], Truncated(20)),
        (&[1, 0, 3, 0], Truncated(12)),
        (&[1, 0, 1, a, 1, a, 1, a, 1, a, 1, a, 1, a, 1, a, 1, a, 9], Depth(64)),
    ] {
        assert_eq!(check(structs, b"p\0"), Err(error), "{structs:?}");
    }
    assert_eq!(check(&[1, 0, 2, 9], b"p"), Err(StringsEnd));
    assert_eq!(check(&[1, 0, 2, 9], b"\xff\0"), Err(StringsText));

    let good = blob(&[1, 0, 2, 9], b"p\0");
    for (at, word, error) in [
        (0, 0xd00d_fee0, Magic(0xd00d_fee0)),
        (4, 39, TotalSize { total: 39, limit: 65536 }),
        (4, 75, TotalSize { total: 75, limit: 74 }),
        (4, 0x10001, TotalSize { total: 0x10001, limit: 65536 }),
        (8, 54, StructBlock),
        (8, 36, StructBlock),
        (36, 15, StructBlock),
        (36, u32::MAX, StructBlock),
        (12, 73, StringsBlock),
        (12, 68, StringsBlock),
        (32, u32::MAX, StringsBlock),
        (16, 44, ReservationBlock),
        (16, 64, ReservationBlock),
        (20, 16, Version(16)),
        (24, 18, Version(17)),
    ] {
        let mut bytes = good.clone();
        set_word(&mut bytes, at, word);
        assert_eq!(CheckedBlob::check(&bytes).map(|_| ()), Err(error), "{at} {word:#x}");
    }
    assert_eq!(CheckedBlob::check(&[]).map(|_| ()), Err(Short { bytes: 0 }));
    assert_eq!(CheckedBlob::check(&good).unwrap().size(), good.len());
}
