// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers of this crate beside those of the `arm-ffa` crate, which was written independently.

extern crate std;

use std::collections::BTreeSet;

use arm_ffa::boot_info::{BootInfoContents, BootInfoIterator, BootInfoName, BootInfoStdId, BootInfoType};
use arm_ffa::{FfaError, FuncId};

use crate::{Error, Func, Version, boot_info, func};

/// What `arm-ffa` knows and this crate does not answer: forms that came with v1.3, EL3's interrupt handling, and calls
/// of v1.0 that v1.1 took back.
const NOT_OURS: [u32; 11] = [
    0xc400_0060,
    0xc400_0062,
    0xc400_006b,
    0xc400_006c,
    0xc400_006d,
    0x8400_0078,
    0x8400_0079,
    0xc400_007c,
    0x8400_0087,
    0x8400_008c,
    0x8400_008f,
];

#[test]
fn function_identifiers_are_those_of_arm_ffa() {
    let all = (0x60..0x100).flat_map(|n| [0x8400_0000 | n, 0xc400_0000 | n]);
    let ours: BTreeSet<u32> = all.clone().filter(|&fid| Func::decode(fid).is_some()).collect();
    let theirs: BTreeSet<u32> = all.filter(|&fid| FuncId::try_from(fid).is_ok()).collect();
    assert_eq!(ours.difference(&theirs).collect::<BTreeSet<_>>(), BTreeSet::new());
    let missing: BTreeSet<u32> = theirs.difference(&ours).copied().collect();
    assert!(missing.is_subset(&NOT_OURS.into()), "{missing:x?}");
    for fid in ours {
        let (Some(mine), Ok(other)) = (Func::decode(fid), FuncId::try_from(fid)) else { panic!("{fid:x}") };
        // FFA_MSG_SEND_DIRECT_REQ2 there is MsgSendDirectReq64_2; else the names differ by case and underscores.
        let plain = |name: &str| name.replace('_', "").to_lowercase();
        let theirs = std::format!("{other:?}").replace("64_2", "2");
        let theirs = theirs.strip_suffix("32").or(theirs.strip_suffix("64")).unwrap_or(&theirs);
        assert_eq!(plain(&std::format!("{}", mine.name())), plain(theirs));
        assert_eq!(other.is_32bit(), fid & func::SMC64 == 0);
    }
}

#[test]
fn status_codes_are_those_of_arm_ffa() {
    // NOT_READY (-10) came with v1.2, and `arm-ffa` does not have it.
    assert_eq!(Error::from_code(-10), Some(Error::NotReady));
    for code in (-20..20).filter(|&code| code != -10) {
        let theirs = FfaError::try_from(code).ok();
        assert_eq!(Error::from_code(code).map(Error::code), theirs.map(i32::from), "{code}");
        let name = theirs.map(|e| std::format!("{e:?}").to_lowercase());
        assert_eq!(
            Error::from_code(code).map(|e| std::format!("{}", e.name()).replace('_', "").to_lowercase()),
            name,
            "{code}"
        );
    }
}

#[test]
fn versions_are_those_of_arm_ffa() {
    for bits in [0, 1, 0x1_0000, 0x1_0001, 0x1_0002, 0x7fff_ffff, 0x8000_0000, 0x8001_0001, u32::MAX] {
        let theirs = arm_ffa::Version::try_from(bits).ok();
        assert_eq!(Version::from_bits(bits).map(|v| (v.major, v.minor)), theirs.map(|v| (v.0, v.1)), "{bits:x}");
    }
}

#[test]
fn arm_ffa_reads_the_boot_information() {
    // As in a package: the blob, and the manifest on a later page of the same buffer. `arm-ffa` reads in place.
    #[repr(align(16))]
    struct Package([u8; 512]);
    let mut package = Package([0; 512]);
    let at = package.0.as_ptr() as u64 + 256;
    for (bytes, word) in package.0.chunks_exact_mut(8).zip(boot_info::fdt(at, 40)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let mut list = BootInfoIterator::new(arm_ffa::Version(1, 1), &package.0).expect("a header");
    let first = list.next().expect("a descriptor").expect("a sound one");
    assert_eq!(first.name, BootInfoName::NullTermString(c"FDT"));
    assert_eq!(first.typ, BootInfoType::Std(BootInfoStdId::Fdt));
    let BootInfoContents::Address { content_buf } = first.contents else { panic!("contents by address") };
    assert_eq!((content_buf.as_ptr() as u64, content_buf.len()), (at, 40));
    assert!(list.next().is_none());
}
