// SPDX-License-Identifier: MIT OR Apache-2.0
//! The build script of every partition: `build = "../rt/partition.rs"` in its Cargo.toml.
//!
//! Links with `partition.ld`, at the address and for the number of execution contexts that the partition's own
//! `manifest.dts` gives, so that each is typed once. The stack's size is `stack-size`, the partition's `mem-size` (bytes
//! both), of `[package.metadata.hematite]` in Cargo.toml.

use std::{env, fs, path::Path};

const PAGE: u64 = 4096;
const STACK: u64 = 16384;
const MEMORY: u64 = 0x10_0000;

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let here = Path::new(&here);
    let script = here.parent().expect("a partition's folder has a parent").join("rt/partition.ld");
    println!("cargo:rerun-if-changed={}", script.display());
    println!("cargo:rerun-if-changed={}", here.join("../rt/partition.rs").display());

    let manifest = read(&here.join("manifest.dts"));
    let cells = |name| number(&manifest, name, "<", ">");
    let base = cells("load-address").unwrap_or(0) + cells("entrypoint-offset").unwrap_or(0);
    let contexts = cells("execution-ctx-count").unwrap_or(1);
    let cargo = read(&here.join("Cargo.toml"));
    let stack = number(&cargo, "stack-size", "=", "\n").unwrap_or(STACK);
    let memory = number(&cargo, "mem-size", "=", "\n").unwrap_or(MEMORY);
    let end = cells("load-address").unwrap_or(0) + memory;
    let (state, state_size) = preserved(&manifest).unwrap_or((0, 0));
    let state = cells("load-address").unwrap_or(0) + state;
    let slot = 3 * PAGE + stack.next_multiple_of(PAGE);

    for arg in [
        "-pie",
        "--no-dynamic-linker",
        "-znotext",
        "-znorelro",
        "-zmax-page-size=4096",
        "--no-rosegment",
        "--no-eh-frame-hdr",
    ] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    let constants = [("LINK_BASE", base), ("CONTEXTS", contexts), ("STACK_SLOT", slot), ("MEMORY_END", end)];
    for (name, value) in constants.into_iter().chain([("STATE_BASE", state), ("STATE_SIZE", state_size)]) {
        println!("cargo:rustc-link-arg-bins=--defsym={name}={value:#x}");
    }
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
}

fn read(path: &Path) -> String {
    println!("cargo:rerun-if-changed={}", path.display());
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Finds the region that is preserved on a restart: where it begins in the partition's memory, and its bytes.
fn preserved(manifest: &str) -> Option<(u64, u64)> {
    let (before, after) = manifest.split_once("preserved-on-restart;")?;
    let node = [before.rsplit_once('{')?.1, after.split_once('}')?.0].concat();
    let cells = |name| number(&node, name, "<", ">").unwrap_or_else(|| panic!("preserved-on-restart: no {name}"));
    Some((cells("load-address-relative-offset"), cells("pages-count") * PAGE))
}

/// Reads the number of the line `name ... before NUMBER after`: one cell, or two for an address above 4 GiB. `None`
/// when there is no such line.
fn number(text: &str, name: &str, before: &str, after: &str) -> Option<u64> {
    let line = text.split_inclusive('\n').find(|l| l.trim_start().starts_with(name))?;
    let cells = line.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map(|(cells, _)| cells);
    let cells = cells.unwrap_or_else(|| panic!("{name}: expected a number on the same line: {line}"));
    let cell = |cell: &str| match cell.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => cell.parse(),
    };
    Some(cells.split_whitespace().fold(0, |value, text| {
        let cell = cell(text).unwrap_or_else(|e| panic!("{name}: {text}: {e}"));
        value << 32 | u64::from(cell)
    }))
}
