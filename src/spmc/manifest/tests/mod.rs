// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the manifests: what good files say, what each rule refuses and in which words, and that no bytes at
//! all make the readers panic.

mod bytes;
mod core_manifest;
pub(crate) mod dts;
mod package;
mod partition;
mod platform;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{CheckedBlob, CoreManifest, PartitionManifest, Refusal, Warning};
use crate::Pa;

/// A small SPMC manifest with everything in it.
pub(crate) const SPMC: &str = include_str!("fixtures/spmc.dts");
/// A partition manifest of binding 1.0 with everything in it.
pub(crate) const PARTITION: &str = include_str!("fixtures/partition-1.0.dts");
/// A small partition manifest of binding 1.1.
pub(crate) const PARTITION_1_1: &str = include_str!("fixtures/partition-1.1.dts");

/// Edits a source: `from` must be in it exactly once.
pub(crate) fn edit(source: &str, from: &str, to: &str) -> String {
    assert_eq!(source.matches(from).count(), 1, "{from:?} is not in the source exactly once");
    source.replace(from, to)
}

fn core_manifest(source: &str) -> Result<CoreManifest, Refusal> {
    let blob = dts::compile(source);
    CoreManifest::parse(&CheckedBlob::check(&blob).expect("what the test compiler wrote is well formed"))
}

fn partition(source: &str, load_address: u64) -> Result<PartitionManifest, Refusal> {
    let blob = dts::compile(source);
    PartitionManifest::parse(
        &CheckedBlob::check(&blob).expect("what the test compiler wrote is well formed"),
        Pa(load_address),
    )
}

fn warnings(read: impl FnOnce(&mut dyn FnMut(Warning))) -> Vec<String> {
    let mut out = Vec::new();
    read(&mut |w: Warning| out.push(alloc::format!("{}|{}|{}", w.node, w.property, w.text)));
    out
}

/// Requires that a reader refuses, in these words.
#[track_caller]
fn refused<T: core::fmt::Debug>(result: Result<T, Refusal>, words: &str) {
    let text = result.expect_err("this had to be refused").to_string();
    assert!(text.contains(words), "refused, but in other words:\n  {text}\nexpected:\n  {words}");
}
