// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the firmware where TF-A loads it.

fn main() {
    println!("cargo:rerun-if-changed=linker.ld");
    if std::env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|os| os == "none") {
        let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-T{root}/linker.ld");
    }
}
