// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a package, and the manifest in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spmc::Pa;
use spmc::manifest::{CheckedBlob, Package, PartitionManifest};

fuzz_target!(|bytes: &[u8]| {
    match Package::parse(bytes) {
        Ok(package) => {
            assert!(package.manifest.end <= package.image.start && package.image.end <= bytes.len());
            assert_eq!(package.image.start % 4096, 0);
            if let Ok(blob) = CheckedBlob::check(package.manifest_bytes()) {
                let _ = PartitionManifest::parse(&blob, Pa(0xe40_0000));
            }
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
});
