// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checked against the `arm-ffa` crate, as far as it goes: v1.1 descriptors with one composite.
extern crate std;

use arm_ffa::memory_management as oracle;
use std::vec::Vec;

use super::*;
use crate::random::Random;
use crate::{Handle, PartitionId, Version};

#[expect(clippy::type_complexity, reason = "the sample and what it was made of")]
fn sample(r: &mut Random) -> (Vec<u8>, Vec<(u16, u8)>, Vec<(u64, u32)>) {
    let receivers: Vec<_> =
        (0..1 + r.below(4)).map(|i| (0x8001 + i as u16, (r.below(3) | r.below(3) << 2) as u8)).collect();
    let ranges: Vec<_> = (0..1 + r.below(6)).map(|_| (r.below(1 << 27) << 12, 1 + r.below(1 << 20) as u32)).collect();
    let access: Vec<_> = receivers
        .iter()
        .map(|&(endpoint_id, p)| oracle::MemAccessPerm {
            endpoint_id,
            instr_access: p.try_into().unwrap(),
            data_access: p.try_into().unwrap(),
            flags: 0,
        })
        .collect();
    let parts: Vec<_> =
        ranges.iter().map(|&(address, page_cnt)| oracle::ConstituentMemRegion { address, page_cnt }).collect();
    let head = oracle::MemTransactionDesc {
        sender_id: 0x8005,
        mem_region_attr: 0b10_1111u16.try_into().unwrap(),
        flags: oracle::MemTransactionFlags(r.below(8) as u32),
        handle: oracle::Handle(r.next()),
        tag: r.next(),
    };
    let mut out = std::vec![0; 1024];
    let n = head.pack(&parts, &access, &mut out);
    out.truncate(n);
    (out, receivers, ranges)
}

#[test]
fn decodes_what_arm_ffa_encodes() {
    let mut r = Random(0x1234_5678_9abc_def1);
    for _ in 0..if cfg!(miri) { 20 } else { 2000 } {
        let (bytes, receivers, ranges) = sample(&mut r);
        let region = Region::decode(&bytes, Version::V1_1).unwrap();
        let (head, ..) = oracle::MemTransactionDesc::unpack(&bytes).unwrap();
        assert_eq!((region.sender.0, region.flags.0), (head.sender_id, head.flags.0));
        assert_eq!((region.handle.0, region.tag), (head.handle.0, head.tag));
        assert_eq!(region.attributes, Attributes { kind: MemoryKind::Normal, non_secure: false });
        let accesses: Vec<_> = region.accesses().map(Result::unwrap).collect();
        let got: Vec<_> = accesses.iter().map(|a| (a.receiver.0, a.permissions.bits())).collect();
        assert_eq!(got, receivers);
        let composite = region.composite(accesses[0].composite).unwrap();
        assert_eq!(composite.ranges as usize, ranges.len());
        assert_eq!(u64::from(composite.pages), ranges.iter().map(|r| u64::from(r.1)).sum::<u64>());
        let got: Vec<_> = region.ranges(&composite).map(|x| x.map(|x| (x.address, x.pages)).unwrap()).collect();
        assert_eq!(got, ranges);
        // The same values give the same bytes.
        let mut again = std::vec![0xa5; bytes.len()];
        let mut w = ResponseWriter::new(&mut again);
        w.header(
            Form::V1_1,
            region.sender,
            Attributes::normal_bits(false),
            region.flags,
            region.handle,
            region.tag,
            receivers.len() as u32,
        )
        .unwrap();
        accesses.iter().for_each(|a| w.access(Form::V1_1, a).unwrap());
        w.composite(composite.pages, composite.ranges).unwrap();
        ranges.iter().for_each(|&(address, pages)| w.range(&Range { address, pages }).unwrap());
        assert_eq!(w.len(), bytes.len());
        assert!(w.range(&Range { address: 0, pages: 1 }).is_err());
        assert_eq!(again, bytes);
    }
}

#[test]
fn what_mutated_bytes_decode_to_is_what_arm_ffa_says() {
    let mut r = Random(77);
    let mut both = 0;
    for _ in 0..if cfg!(miri) { 50 } else { 40_000 } {
        let (mut bytes, ..) = sample(&mut r);
        for _ in 0..1 + r.below(3) {
            let i = r.below(bytes.len() as u64) as usize;
            bytes[i] = r.next() as u8;
        }
        if r.below(4) == 0 {
            bytes.truncate(r.below(bytes.len() as u64 + 1) as usize);
        }
        for version in [Version::V1_0, Version::V1_2] {
            let _ = walk(&bytes, version);
        }
        let Ok((accesses, ranges)) = walk(&bytes, Version::V1_1) else { continue };
        let Ok((_, theirs, Some(parts))) = oracle::MemTransactionDesc::unpack(&bytes) else { continue };
        both += 1;
        let theirs: Vec<_> = theirs.map(|a| a.unwrap().endpoint_id).collect();
        assert_eq!(accesses.iter().map(|a| a.receiver.0).collect::<Vec<_>>(), theirs);
        let parts: Vec<_> = parts.map(|p| p.map(|p| (p.address, p.page_cnt)).unwrap()).collect();
        assert_eq!(ranges.iter().map(|r| (r.address, r.pages)).take(parts.len()).collect::<Vec<_>>(), parts);
    }
    assert!(both > if cfg!(miri) { 0 } else { 2000 }, "only {both} samples were accepted by both");
}

fn walk(bytes: &[u8], version: Version) -> Result<(Vec<Access>, Vec<Range>), Malformed> {
    let region = Region::decode(bytes, version)?;
    let accesses: Vec<_> = region.accesses().collect::<Result<_, _>>()?;
    let composite = region.composite(accesses.first().ok_or(Malformed::Length)?.composite)?;
    let ranges = region.ranges(&composite).collect::<Result<_, _>>()?;
    Ok((accesses, ranges))
}

fn send(form: Form) -> Vec<u8> {
    let mut out = std::vec![0; 256];
    let mut w = ResponseWriter::new(&mut out);
    w.header(form, PartitionId(1), 0x2f, Flags(0), Handle(0), 9, 1).unwrap();
    let access = Access {
        receiver: PartitionId(0x8001),
        permissions: Permissions::decode(2).unwrap(),
        flags: 0,
        composite: form.composite(1) as u32,
        impdef: if form == Form::V1_2 { [3, 4] } else { [0; 2] },
    };
    w.access(form, &access).unwrap();
    w.composite(1, 1).unwrap();
    w.range(&Range { address: 0x4000_0000, pages: 1 }).unwrap();
    let n = w.len();
    out.truncate(n);
    out
}

#[test]
fn every_form_round_trips_in_its_version() {
    for (form, version) in [(Form::V1_0, Version::V1_0), (Form::V1_1, Version::V1_1), (Form::V1_2, Version::V1_2)] {
        assert_eq!(Form::of(version), form);
        let bytes = send(form);
        assert_eq!(bytes.len(), form.composite(1) + 32);
        let (accesses, ranges) = walk(&bytes, version).unwrap();
        assert_eq!(accesses[0].impdef, if form == Form::V1_2 { [3, 4] } else { [0; 2] });
        assert_eq!(ranges, [Range { address: 0x4000_0000, pages: 1 }]);
        for n in 0..bytes.len() - 16 {
            assert!(walk(&bytes[..n], version).is_err(), "{form:?} cut at {n}");
        }
    }
    assert_eq!(walk(&send(Form::V1_2), Version::V1_1).unwrap_err(), Malformed::AccessSize);
    assert!(walk(&send(Form::V1_1), Version::V1_2).is_ok());
}

#[test]
fn refuses_each_bad_field() {
    let cases: [(usize, u32, Malformed); 14] = [
        (0x00, 0x0080_0000, Malformed::Reserved),   // attributes, reserved bit
        (0x00, 0x0030_0000, Malformed::Attributes), // memory type 3
        (0x18, 0, Malformed::AccessSize),
        (0x18, 17, Malformed::AccessSize),
        (0x18, 32, Malformed::AccessSize),
        (0x1c, 0xffff_ffff, Malformed::Length),
        (0x1c, 4, Malformed::Length),
        (0x20, 0, Malformed::Offset),
        (0x20, 0x38, Malformed::Offset),
        (0x20, 0xffff_fff0, Malformed::Length),
        (0x24, 1, Malformed::Reserved),
        (0x30, 0x0003_8001, Malformed::Permissions), // data access 3
        (0x34, 0x30, Malformed::Offset),             // composite inside the receivers
        (0x34, 0xffff_fff0, Malformed::Length),
    ];
    for (at, value, why) in cases {
        let mut bytes = send(Form::V1_1);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        assert_eq!(walk(&bytes, Version::V1_1).unwrap_err(), why, "{at:#x} = {value:#x}");
    }
    for (address, pages, reserved, why) in [
        (0x1001u64, 1u32, 0u32, Malformed::Range),
        (0x1000, 0, 0, Malformed::Range),
        (0xffff_ffff_ffff_f000, 1, 0, Malformed::Range),
        (0x1000, 1, 1, Malformed::Reserved),
    ] {
        let bits = u128::from(address) | u128::from(pages) << 64 | u128::from(reserved) << 96;
        assert_eq!(Range::decode(&bits.to_le_bytes()), Err(why));
    }
}

#[test]
fn relinquish_round_trips() {
    let r = Relinquish { handle: Handle(0x1_0000_0007), flags: Flags(3), endpoint: PartitionId(0x8002) };
    let bytes = r.encode();
    assert_eq!(Relinquish::decode(&bytes), Ok(r));
    let (theirs, endpoints) = oracle::MemRelinquishDesc::unpack(&bytes).unwrap();
    assert_eq!((theirs.handle.0, theirs.flags, endpoints.collect::<Vec<_>>()), (0x1_0000_0007, 3, std::vec![0x8002]));
    for n in 0..bytes.len() {
        assert_eq!(Relinquish::decode(&bytes[..n]), Err(Malformed::Length));
    }
    for count in [0u32, 2, u32::MAX] {
        let mut bad = bytes;
        bad[12..16].copy_from_slice(&count.to_le_bytes());
        assert_eq!(Relinquish::decode(&bad), Err(Malformed::Length));
    }
}
