// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as an SPMC manifest: read or refused, and the refusal printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spmc::manifest::{CheckedBlob, CoreManifest, Warning};

fuzz_target!(|bytes: &[u8]| {
    let Ok(blob) = CheckedBlob::check(bytes) else { return };
    match CoreManifest::parse_with(&blob, &mut |warning: Warning| assert!(!warning.text.is_empty())) {
        // What was accepted keeps its promises.
        Ok(m) => {
            assert!(m.attribute.spmc_id.is_secure());
            assert!(m.partitions.iter().zip(1..).all(|(p, n)| p.number == n && p.load_address.is_page_aligned()));
            assert!(m.partitions.iter().all(|p| p.load_address.checked_add(p.mem_size).is_some() && p.mem_size > 0));
            assert!(m.memory.iter().all(|r| r.end().is_some() && m.covers(r.kind, r.base.0, r.size)));
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
});
