// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the firmware where TF-A loads it, and takes the built-in packages in.
//!
//! HEMATITE_BUILT_IN lists them: `name=package.pkg:bytes-of-memory`, separated by commas; empty or unset for none.

use std::fmt::Write;
use std::{env, fs};

const PAGE: u64 = 4096;

fn main() {
    println!("cargo:rerun-if-changed=linker.ld");
    println!("cargo:rerun-if-env-changed=HEMATITE_BUILT_IN");
    let list = env::var("HEMATITE_BUILT_IN").unwrap_or_default();
    let mut source = String::from("&[");
    let mut added = 0;
    for item in list.split(',').filter(|item| !item.is_empty()) {
        let parts = item.split_once('=').and_then(|(name, rest)| Some((name, rest.rsplit_once(':')?)));
        let Some((name, (path, memory))) = parts else { panic!("HEMATITE_BUILT_IN: {item} is not name=path:bytes") };
        println!("cargo:rerun-if-changed={path}");
        let length = fs::metadata(path).unwrap_or_else(|e| panic!("HEMATITE_BUILT_IN: {path}: {e}")).len();
        added += length.next_multiple_of(PAGE);
        let _ =
            write!(source, "spmc::BuiltIn {{ name: {name:?}, package: include_bytes!({path:?}), memory: {memory} }},");
    }
    source.push(']');
    let out = env::var("OUT_DIR").unwrap_or_default();
    fs::write(format!("{out}/built_in.rs"), source).expect("OUT_DIR can be written");
    if env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|os| os == "none") {
        let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=--defsym=BUILT_IN={added}");
        println!("cargo:rustc-link-arg-bins=-T{root}/linker.ld");
    }
}
