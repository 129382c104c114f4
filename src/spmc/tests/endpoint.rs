// SPDX-License-Identifier: MIT OR Apache-2.0
use ffa_abi::{Error, Func};

use super::{assert_error, assert_success, assert_untouched, from_partition};
use crate::sim::world::{NORMAL_RAM, Spec, World, base, id, uuid};
use crate::{Pa, Port, Space};

const MAP: u64 = Func::RxTxMap.id64() as u64;
const TX: u64 = NORMAL_RAM.0;
const RX: u64 = NORMAL_RAM.0 + 0x1000;

fn mapped(specs: &[Spec]) -> World {
    let mut w = World::booted(specs, 1);
    assert_success(&w.plain([MAP, TX, RX, 1, 0, 0, 0, 0]), 0);
    w
}

#[test]
fn buffers_map_once_and_unmap() {
    let mut w = mapped(&[Spec::default()]);
    assert_error(&w.plain([MAP, TX, RX, 1, 0, 0, 0, 0]), Error::Denied);
    let unmap = [Func::RxTxUnmap.id32() as u64, 0, 0, 0, 0, 0, 0, 0];
    assert_error(&w.plain([unmap[0], 0x8001_0000, 0, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    assert_success(&w.plain(unmap), 0);
    assert_error(&w.plain(unmap), Error::InvalidParameters);
    assert_success(&w.plain([Func::RxTxMap.id32() as u64, TX, RX, 1, 0, 0, 0, 0]), 0);
}

#[test]
fn bad_buffers_of_the_normal_world_are_refused() {
    let mut w = World::booted(&[Spec::default()], 1);
    let end = NORMAL_RAM.0 + NORMAL_RAM.1;
    for (tx, rx, pages) in [
        (TX + 1, RX, 1),
        (TX, RX + 8, 1),
        (TX, TX, 1),
        (TX, RX, 0),
        (TX, RX, 2),
        (TX, RX, 0x41),
        (TX, 0x0e10_0000, 1),
        (base(0), RX, 1),
        (0x0900_0000, RX, 1),
        (TX, end, 1),
        (TX, end - 0x1000, 2),
        (TX, u64::MAX - 0xfff, 1),
        (1 << 52, RX, 1),
    ] {
        assert_error(&w.plain([MAP, tx, rx, pages, 0, 0, 0, 0]), Error::InvalidParameters);
    }
}

#[test]
fn a_partition_maps_pages_of_its_own() {
    let mut w = World::booted(&[Spec::default(), Spec::default()], 1);
    let own = base(0);
    for (tx, rx) in [(base(1), own), (own, base(1)), (own + 0x10_0000_0000, own), (TX, RX), (own, own)] {
        assert_error(&from_partition(&mut w, 0, [MAP, tx, rx, 1, 0, 0, 0, 0]), Error::InvalidParameters);
    }
    assert_success(&from_partition(&mut w, 0, [MAP, own, own + 0x2000, 2, 0, 0, 0, 0]), 0);
    assert_error(&from_partition(&mut w, 0, [MAP, own, own + 0x2000, 1, 0, 0, 0, 0]), Error::Denied);
    assert_success(&from_partition(&mut w, 0, [Func::RxTxUnmap.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), 0);
}

#[test]
fn information_is_counted_described_and_held_until_released() {
    let mut w = mapped(&[Spec::default(), Spec { contexts: 1, ..Spec::default() }]);
    let get = Func::PartitionInfoGet.id32() as u64;
    let [a, b, c, d] = uuid(1).words().map(u64::from);
    let r = w.plain([get, 0, 0, 0, 0, 1, 0, 0]);
    assert_success(&r, 2);
    let r = w.plain([get, a, b, c, d, 0, 0, 0]);
    assert_eq!(r.x[..4], [Func::Success.id32() as u64, 0, 1, 24]);
    assert_untouched(&r);
    let mut buffer = [0; 48];
    w.machine.read(Space::NonSecure, Pa(RX), &mut buffer).unwrap();
    assert_eq!(buffer[..4], [0x02, 0x80, 1, 0]);
    assert_eq!(buffer[8..24], [0; 16], "the UUID that the caller named is not told");
    assert_error(&w.plain([get, 0, 0, 0, 0, 0, 0, 0]), Error::Busy);
    let release = [Func::RxRelease.id32() as u64, 0, 0, 0, 0, 0, 0, 0];
    assert_success(&w.plain(release), 0);
    assert_error(&w.plain(release), Error::Denied);
    assert_eq!(w.plain([get, 0, 0, 0, 0, 0, 0, 0]).x[2], 2);
    w.machine.read(Space::NonSecure, Pa(RX), &mut buffer).unwrap();
    assert_eq!(buffer[8..24], uuid(0).0);
    assert_eq!(buffer[32..48], uuid(1).0);
    assert_success(&w.plain(release), 0);
    assert_error(&w.plain([get, 9, 9, 9, 9, 0, 0, 0]), Error::InvalidParameters);
    assert_error(&w.plain([get, 0, 0, 0, 0, 2, 0, 0]), Error::InvalidParameters);
}

#[test]
fn a_v1_0_caller_gets_eight_byte_descriptors() {
    let mut w = World::booted(&[Spec::default(), Spec::default()], 1);
    let mut version = [0; 8];
    version[..4].copy_from_slice(&[Func::DirectReq.id32() as u64, 0xffff_8000, 0x8000_0008, 0x1_0000]);
    let r = w.plain(version);
    assert_eq!(r.x[..4], [Func::DirectResp.id32() as u64, 0x8000_ffff, 0x8000_0009, 0x1_0002]);
    assert_success(&w.plain([MAP, TX, RX, 1, 0, 0, 0, 0]), 0);
    let r = w.plain([Func::PartitionInfoGet.id32() as u64, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(r.x[..4], [Func::Success.id32() as u64, 0, 2, 0]);
    let mut buffer = [0xff; 24];
    w.machine.read(Space::NonSecure, Pa(RX), &mut buffer).unwrap();
    assert_eq!(buffer[..8], [0x01, 0x80, 1, 0, 7, 0, 0, 0]);
    assert_eq!(buffer[8..10], [0x02, 0x80]);
    assert_eq!(buffer[16..], [0; 8]);
    // A call of v1.2 does not exist for it, and its version is settled.
    assert_error(&w.plain([Func::PartitionInfoGetRegs.id64() as u64, 0, 0, 0, 0, 0, 0, 0]), Error::NotSupported);
    version[3] = 0x1_0001;
    assert_eq!(w.plain(version).x[3] as u32, -1i32 as u32);
}

#[test]
fn information_in_registers_pages_through_the_partitions() {
    let mut w = World::booted(&alloc::vec![Spec::default(); 7], 1);
    let get = Func::PartitionInfoGetRegs.id64() as u64;
    let r = w.plain([get, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((r.x[0], r.x[1], r.x[2]), (Func::Success.id64() as u64, 0, 6 | 4 << 16 | 24 << 48));
    for n in 0..5 {
        assert_eq!(r.x[3 + 3 * n] as u32, 0x1_0000 | id(n as u16).0 as u32);
        assert_eq!((r.x[4 + 3 * n], r.x[5 + 3 * n]), uuid(n as u16).pair());
    }
    let r = w.plain([get, 0, 0, 5, 0, 0, 0, 0]);
    assert_eq!((r.x[2], r.x[3] as u16, r.x[6] as u16), (6 | 6 << 16 | 24 << 48, 0x8006, 0x8007));
    assert_eq!(r.x[9..], [0; 9]);
    assert_error(&w.plain([get, 0, 0, 7, 0, 0, 0, 0]), Error::InvalidParameters);
    assert_error(&w.plain([get, 0, 0, 1 << 16, 0, 0, 0, 0]), Error::InvalidParameters);
    assert_error(&w.plain([get, 0, 0, 1 << 16 | 1, 0, 0, 0, 0]), Error::Retry);
    assert_error(&w.plain([get, 1, 1, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    let (low, high) = uuid(3).pair();
    let r = w.plain([get, low, high, 0, 0, 0, 0, 0]);
    assert_eq!((r.x[2], r.x[3] as u16, r.x[4], r.x[5]), (24 << 48, 0x8004, 0, 0));
}

#[test]
fn every_number_of_the_range_is_answered_as_features_says() {
    let mut w = World::booted(&[Spec::default()], 1);
    for wide in [0, 1 << 30] {
        for low in 0x60..=0xff {
            let fid = 0x8400_0000 | wide | low;
            let features = w.plain([Func::Features.id32() as u64, fid as u64, 0, 0, 0, 0, 0, 0]);
            let there = features.fid() == Func::Success.id32();
            let enters = matches!(Func::decode(fid), Some(Func::Run));
            let answer = if enters { None } else { Some(w.plain([fid as u64, 0x8400_0064, 0, 0, 0, 0, 0, 0])) };
            let unknown = answer.is_some_and(|a| a.fid() == Func::Error.id32() && a.x[2] as u32 == -1i32 as u32);
            // What SPMD answers in our stead, and what only ever is a reply.
            let special = matches!(
                Func::decode(fid),
                Some(Func::Version | Func::IdGet | Func::SpmIdGet | Func::Error | Func::Success | Func::Interrupt)
            );
            assert!(special || there != unknown, "{fid:#x}: features {there}, unknown {unknown}");
        }
    }
}

#[test]
fn a_partitions_identity_version_and_log() {
    let mut w = World::booted(&[Spec::default()], 1);
    assert_success(&from_partition(&mut w, 0, [Func::IdGet.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), 0x8001);
    assert_success(&from_partition(&mut w, 0, [Func::SpmIdGet.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), 0x8000);
    let again = from_partition(&mut w, 0, [Func::Version.id32() as u64, 0x1_0000, 0, 0, 0, 0, 0, 0]);
    assert_eq!(again.x[0] as u32, -1i32 as u32, "settled by the calls before");
    w.machine.take_log();
    let log = Func::ConsoleLog.id64() as u64;
    let hello = [log, 9, u64::from_le_bytes(*b"good\x07day"), u64::from_le_bytes(*b"\nxxxxxxx"), 0, 0, 0, 0];
    assert_success(&from_partition(&mut w, 0, hello), 0);
    assert_eq!(w.machine.take_log(), ["[sp0] good.day"]);
    for count in [0, 129, u64::MAX] {
        assert_error(&from_partition(&mut w, 0, [log, count, 0, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    }
}

#[test]
fn calls_that_are_not_ffa_get_smccc_answers() {
    let mut w = World::booted(&[Spec::default()], 1);
    for (fid, x1, x0) in [
        (0x8000_0000, 0, 0x1_0002),
        (0x8000_0001, 0x8000_0000, 0),
        (0x8000_0001, 0x8000_8000, u64::MAX),
        (0x8400_0008, 0, u64::MAX),
        (0xc200_0000, 0, u64::MAX),
        (0, 0, u64::MAX),
    ] {
        assert_eq!(from_partition(&mut w, 0, [fid, x1, 0, 0, 0, 0, 0, 0]).x[0], x0, "{fid:#x}");
    }
}

#[test]
fn the_hypervisor_acquires_the_rx_buffer_and_gives_it_back() {
    let acquire = Func::RxAcquire.id32() as u64;
    let mut w = World::booted(&[Spec::default()], 1);
    assert_error(&w.plain([acquire, 0, 0, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    let mut w = mapped(&[Spec::default()]);
    assert_error(&w.plain([acquire, 1, 0, 0, 0, 0, 0, 0]), Error::InvalidParameters);
    assert_success(&w.plain([acquire, 0, 0, 0, 0, 0, 0, 0]), 0);
    assert_error(&w.plain([acquire, 0, 0, 0, 0, 0, 0, 0]), Error::Denied);
    assert_error(&w.plain([Func::PartitionInfoGet.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), Error::Busy);
    assert_success(&w.plain([Func::RxRelease.id32() as u64, 0, 0, 0, 0, 0, 0, 0]), 0);
}

#[test]
fn an_smc_that_the_manifest_names_goes_to_el3_and_no_other() {
    const SIP: u64 = 0xc200_0001;
    let mut w = World::booted(&[Spec { smcs: alloc::vec![SIP as u32], ..Spec::default() }, Spec::default()], 1);
    assert_eq!(from_partition(&mut w, 0, [SIP, 1, 2, 3, 4, 5, 6, 7]).x[..3], [crate::sim::FROM_MONITOR, 1, 2]);
    assert_eq!(w.machine.take_monitor_calls(), [SIP as u32]);
    assert_eq!(from_partition(&mut w, 0, [SIP + 1, 0, 0, 0, 0, 0, 0, 0]).x[0], u64::MAX);
    assert_eq!(from_partition(&mut w, 1, [SIP, 0, 0, 0, 0, 0, 0, 0]).x[0], u64::MAX);
    assert!(w.machine.take_monitor_calls().is_empty());
}

#[test]
fn a_partition_that_floods_the_console_is_held_back_and_gets_it_back() {
    let mut w = World::booted(&[Spec::default(), Spec::default()], 1);
    w.machine.take_log();
    let log = Func::ConsoleLog.id64() as u64;
    let line = [log, 3, u64::from_le_bytes(*b"hi\nxxxxx"), 0, 0, 0, 0, 0];
    for _ in 0..1000 {
        assert_success(&from_partition(&mut w, 0, line), 0);
    }
    let printed = w.machine.take_log().len();
    assert!((256..400).contains(&printed), "{printed}");
    // Another one is not the worse for it.
    assert_success(&from_partition(&mut w, 1, line), 0);
    assert_eq!(w.machine.take_log(), ["[sp1] hi"]);
    w.machine.pass_time(62_500_000);
    assert_success(&from_partition(&mut w, 0, line), 0);
    let told = w.machine.take_log();
    let [held, last] = &told[..] else { panic!("{told:?}") };
    assert_eq!(held, &alloc::format!("[sp0] ({} lines were held back)", 1000 - printed));
    assert_eq!(last, "[sp0] hi");
}
