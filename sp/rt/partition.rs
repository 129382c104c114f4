// SPDX-License-Identifier: MIT OR Apache-2.0
//! The build script of every partition: `build = "../rt/partition.rs"` in its Cargo.toml.
//!
//! Links with `partition.ld`, at the address that the partition's own `manifest.dts` gives, so that the address is
//! typed once.

use std::{env, fs, path::Path};

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let here = Path::new(&here);
    let manifest = here.join("manifest.dts");
    let script = here.parent().expect("a partition's folder has a parent").join("rt/partition.ld");
    println!("cargo:rerun-if-changed={}", manifest.display());
    println!("cargo:rerun-if-changed={}", script.display());

    let text = fs::read_to_string(&manifest).unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
    let base = number(&text, "load-address").unwrap_or(0) + number(&text, "entrypoint-offset").unwrap_or(0);

    for arg in ["-pie", "--no-dynamic-linker", "-znotext", "-znorelro", "-zmax-page-size=4096", "--no-rosegment"] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    println!("cargo:rustc-link-arg-bins=--defsym=LINK_BASE={base:#x}");
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
}

/// Reads the number in `name = <...>;`: one cell, or two for an address above 4 GiB. `None` when it is absent.
fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.trim_start().starts_with(name))?;
    let cells = line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(cells, _)| cells);
    let cells = cells.unwrap_or_else(|| panic!("manifest.dts: {name}: expected <number> on the same line: {line}"));
    let cell = |cell: &str| match cell.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => cell.parse(),
    };
    Some(cells.split_whitespace().fold(0, |value, text| {
        let cell = cell(text).unwrap_or_else(|e| panic!("manifest.dts: {name}: {text}: {e}"));
        value << 32 | u64::from(cell)
    }))
}
