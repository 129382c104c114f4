// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the images with `link.ld` when they are built for the bare machine, and packs the receipt vectors.

use std::path::Path;

fn pack_vectors() {
    const VECTORS: &str = "../sp/receipts/judge/vectors/signet";
    println!("cargo:rerun-if-changed={VECTORS}");
    let (vectors, out) = (Path::new(VECTORS), std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (name, cases) in [
        ("vectors.bin", receipts_cases::load(vectors)),
        ("own.bin", receipts_cases::own(vectors)),
        ("bench.bin", receipts_cases::bench(vectors)),
    ] {
        std::fs::write(Path::new(&out).join(name), receipts_cases::pack(&cases)).expect("OUT_DIR can be written");
    }
}

fn main() {
    pack_vectors();
    println!("cargo:rerun-if-changed=link.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let dir = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-T{dir}/link.ld");
        println!("cargo:rustc-link-arg-bins=--no-eh-frame-hdr");
    }
}
