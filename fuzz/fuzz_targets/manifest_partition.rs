// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a partition manifest, and what was accepted held against a platform.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use spmc::Pa;
use spmc::manifest::{CheckedBlob, CoreManifest, PartitionManifest, Warning, platform};

const LOAD: Pa = Pa(0xe40_0000);

/// The platform of the unit tests, as dtc compiles it.
static CORE: LazyLock<CoreManifest> = LazyLock::new(|| {
    let bytes = include_bytes!("../corpus/manifest_core/seed-spmc");
    CoreManifest::parse(&CheckedBlob::check(bytes).expect("the seed is sound")).expect("the seed is good")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(blob) = CheckedBlob::check(bytes) else { return };
    let manifest = match PartitionManifest::parse_with(&blob, LOAD, &mut |w: Warning| assert!(!w.text.is_empty())) {
        Ok(manifest) => manifest,
        Err(refusal) => return assert!(!refusal.to_string().is_empty()),
    };
    assert!(!manifest.services.is_empty() && manifest.services.iter().all(|s| !s.uuid.is_nil()));
    assert!(manifest.memory_regions.iter().all(|r| r.base.checked_add(r.size()).is_some() && r.pages > 0));
    assert!(manifest.device_regions.iter().all(|r| r.base.checked_add(r.size()).is_some() && r.pages > 0));
    assert!(manifest.interrupts.iter().all(|i| usize::from(i.region) < manifest.device_regions.len()));
    let spmc = (Pa(0xe10_0000), 0x20_0000);
    let first = platform::check(&CORE, spmc, 1, &manifest, &[]);
    if first.is_ok() {
        // The same again must be refused: it has the same services.
        assert!(platform::check(&CORE, spmc, 0, &manifest, &[(1, &manifest)]).is_err());
    }
});
