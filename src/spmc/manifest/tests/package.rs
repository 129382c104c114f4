// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages.

use alloc::vec;
use alloc::vec::Vec;

use super::refused;
use crate::manifest::{Package, PackageVersion};

/// Makes a package: the header's words, the manifest "M" and the image "I" at their offsets.
fn package(version: u32, manifest: (u32, u32), image: (u32, u32), total: usize) -> Vec<u8> {
    let mut out = vec![0; total];
    for ((start, size), fill) in [(manifest, b'M'), (image, b'I')] {
        if let Some(range) = out.get_mut(start as usize..start.saturating_add(size) as usize) {
            range.fill(fill);
        }
    }
    let words = [0x474b_5053, version, manifest.0, manifest.1, image.0, image.1];
    for (slot, word) in out.chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    out
}

#[test]
fn both_versions_are_read() {
    for (version, named, manifest) in [(1, PackageVersion::V1, 24), (2, PackageVersion::V2, 0x1000)] {
        let bytes = package(version, (manifest, 100), (0x2000, 0x345), 0x4000);
        let p = Package::parse(&bytes).unwrap();
        assert_eq!(p.version, named);
        assert_eq!(p.manifest_bytes(), [b'M'; 100]);
        assert_eq!(p.image_bytes(), [b'I'; 0x345]);
        assert_eq!(p.bytes.len(), 0x2345);
    }
}

#[test]
fn the_digest_is_sha_256_of_the_package() {
    let bytes = package(1, (24, 100), (0x1000, 0x10), 0x4000);
    let digest = Package::parse(&bytes).unwrap().sha256();
    // sha256sum of the first 0x1010 bytes.
    let hex: alloc::string::String = digest.iter().map(|b| alloc::format!("{b:02x}")).collect();
    assert_eq!(hex, "4aacabe4742bb52fe0d98248e770ad569664f5af2f2b3e8aa6785c33d6a54325");
    let longer = package(1, (24, 100), (0x1000, 0x11), 0x4000);
    assert_ne!(Package::parse(&longer).unwrap().sha256(), digest);
}

#[test]
fn each_rule_refuses_in_words() {
    let big = u32::MAX;
    for (bytes, words) in [
        (vec![0; 23], "package: header has 23 bytes, expected at least 24"),
        (vec![0; 4096], "package: magic is 0x0, expected 0x474b5053"),
        (package(3, (24, 8), (0x1000, 8), 0x2000), "package: version is 0x3, expected 1 or 2"),
        (package(1, (32, 8), (0x1000, 8), 0x2000), "pm_offset is 0x20, expected 24 in version 1"),
        (package(2, (24, 8), (0x1000, 8), 0x2000), "pm_offset is 0x18, expected a multiple of 0x1000 above 0"),
        (package(2, (0, 8), (0x1000, 8), 0x2000), "pm_offset is 0x0, expected"),
        (package(1, (24, 8), (0x1004, 8), 0x2000), "img_offset is 0x1004, expected a multiple of 0x1000"),
        (package(1, (24, 0x1000), (0x1000, 8), 0x2000), "img_offset is 0x1000, expected an offset behind"),
        (package(2, (0x2000, 8), (0x1000, 8), 0x3000), "img_offset is 0x1000, expected an offset behind"),
        (package(1, (24, 0), (0x1000, 8), 0x2000), "pm_size is 0x0"),
        (package(1, (24, 8), (0x1000, 0), 0x2000), "img_size is 0x0"),
        (package(1, (24, big), (0x1000, 8), 0x2000), "img_offset is 0x1000, expected an offset behind"),
        (package(1, (24, 8), (0x1000, 0x1001), 0x2000), "img_size is 0x2001, expected an end inside its mem_size"),
        (package(2, (0x1000, 8), (0xffff_f000, big), 0x2000), "img_size is 0x"),
    ] {
        refused(Package::parse(&bytes), words);
    }
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_package_cut_anywhere_is_refused() {
    let bytes = package(2, (0x1000, 0x100), (0x2000, 0x80), 0x2080);
    assert!(Package::parse(&bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(Package::parse(&bytes[..length]).is_err(), "{length}");
    }
}
