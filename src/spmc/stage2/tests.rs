// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::sim::SimMachine;

const RWX: Attributes = Attributes { access: Access::all(), memory: MemoryType::Normal };
const RW: Attributes = Attributes { access: Access::READ_WRITE, memory: MemoryType::Normal };
const MIB2: u64 = 512 * PAGE_SIZE;

fn stage2(m: &SimMachine) -> Stage2 {
    Stage2::new(m, Vmid(1)).unwrap()
}

fn map(s: &mut Stage2, m: &SimMachine, ipa: u64, pages: u64) -> Result<(), Error> {
    s.map(m, Space::Secure, Ipa(ipa), Pa(ipa), pages, RWX, Tag::Owned)
}

#[test]
fn entries_keep_what_they_are_given() {
    for access in [Access::READ, Access::READ_WRITE, Access::all(), Access::READ | Access::EXECUTE] {
        for memory in [MemoryType::Normal, MemoryType::NonCacheable, MemoryType::Device] {
            for tag in [Tag::Owned, Tag::SharedOwned, Tag::SharedBorrowed, Tag::Donated] {
                let a = Attributes { access, memory };
                let e = Entry::leaf(Pa(0x12_3456_7000), a, tag).with_shares(31).with_pinned(true).with_claimed(true);
                assert_eq!((e.attributes(), e.tag(), e.pa(), e.shares()), (a, tag, Pa(0x12_3456_7000), 31));
                assert!(e.is_valid() && e.is_pinned() && e.is_claimed());
                let ro = e.with_access(Access::READ);
                assert_eq!((ro.attributes().access, ro.tag(), ro.shares()), (Access::READ, tag, 31));
                let off = e.with_valid(false).with_block(true);
                assert!(!off.is_valid() && off.attributes() == a && off.with_valid(true).with_block(false) == e);
            }
        }
    }
    let t = Entry::table(Pa(0x7000), 512);
    assert!(t.is_table() && t.count() == 512 && t.pa() == Pa(0x7000));
    assert!(!Entry::leaf(Pa(0), RW, Tag::Owned).with_block(true).is_table());
}

#[test]
fn maps_pages_and_blocks_and_gives_everything_back() {
    let m = SimMachine::new(64);
    let mut s = stage2(&m);
    let roots = s.roots();
    // One page before a 2 MiB boundary to one page behind the next one, in one go.
    map(&mut s, &m, 5 * MIB2 - 0x1000, 514).unwrap();
    let t = m.translate(&roots, Space::Secure, Ipa(5 * MIB2 + 0x5123)).unwrap();
    assert_eq!((t.pages, t.pa, t.read, t.write, t.execute, t.memory), (512, 5 * MIB2, true, true, true, 0xf));
    assert_eq!(m.translate(&roots, Space::Secure, Ipa(5 * MIB2 - 1)).unwrap().pages, 1);
    assert_eq!(m.translate(&roots, Space::Secure, Ipa(6 * MIB2)).unwrap().pa, 6 * MIB2);
    assert!(m.translate(&roots, Space::Secure, Ipa(6 * MIB2 + 0x1000)).is_none());
    assert!(m.translate(&roots, Space::NonSecure, Ipa(5 * MIB2)).is_none());
    assert_eq!(map(&mut s, &m, 6 * MIB2, 1), Err(Error::Occupied));
    assert_eq!(s.translate(&m, Space::Secure, Ipa(5 * MIB2 + 0x1234), Access::WRITE), Some(Pa(5 * MIB2 + 0x1234)));
    // 2 roots, a level 2, two level 3.
    assert_eq!(m.pages_free(), 64 - 5);
    s.unmap(&m, Space::Secure, Ipa(5 * MIB2 + 0x3000), 1).unwrap();
    assert!(m.translate(&roots, Space::Secure, Ipa(5 * MIB2 + 0x3000)).is_none());
    assert_eq!(m.translate(&roots, Space::Secure, Ipa(5 * MIB2 + 0x4000)).unwrap().pages, 1);
    map(&mut s, &m, 5 * MIB2 + 0x3000, 1).unwrap();
    assert_eq!(m.translate(&roots, Space::Secure, Ipa(5 * MIB2 + 0x4000)).unwrap().pages, 512, "joined again");
    s.unmap(&m, Space::Secure, Ipa(5 * MIB2 - 0x1000), 514).unwrap();
    assert!(m.translate(&roots, Space::Secure, Ipa(5 * MIB2)).is_none());
    assert_eq!(m.pages_free(), 62);
    map(&mut s, &m, 0x4000_0000 - 0x2000, 8).unwrap();
    s.destroy(&m);
    assert_eq!(m.pages_free(), 64);
}

#[test]
fn output_addresses_need_not_follow_the_ipa() {
    let m = SimMachine::new(16);
    let mut s = stage2(&m);
    s.map(&m, Space::NonSecure, Ipa(MIB2), Pa(0x4000_1000), 512, RW, Tag::Owned).unwrap();
    let t = m.translate(&s.roots(), Space::NonSecure, Ipa(2 * MIB2 - 0x1000)).unwrap();
    assert_eq!((t.pages, t.pa, t.execute), (1, 0x4000_1000 + MIB2 - 0x1000, false));
}

#[test]
fn refuses_ranges_that_do_not_exist() {
    let m = SimMachine::new(16);
    let mut s = stage2(&m);
    for (ipa, pages, e) in [
        (0x123, 1, Error::Misaligned),
        (0x1000, 0, Error::OutOfRange),
        (1 << 39, 1, Error::OutOfRange),
        ((1 << 39) - 0x1000, 2, Error::OutOfRange),
        (0xffff_ffff_ffff_f000, 2, Error::OutOfRange),
        (0x1000, u64::MAX, Error::OutOfRange),
    ] {
        assert_eq!(map(&mut s, &m, ipa, pages), Err(e), "{ipa:#x} {pages}");
    }
    assert_eq!(m.pages_free(), 14);
}

#[test]
fn a_failed_change_leaves_every_table_as_it_was() {
    let m = SimMachine::new(64);
    let mut s = stage2(&m);
    map(&mut s, &m, 4 * MIB2, 512).unwrap();
    map(&mut s, &m, 8 * MIB2, 3).unwrap();
    let before = m.pool_image();
    // Over a hole, into an occupied page; table memory failing at every point.
    assert_eq!(map(&mut s, &m, 6 * MIB2, 1025), Err(Error::Occupied));
    assert_eq!(m.pool_image(), before);
    let mut n = 0;
    loop {
        m.fail_after(Some(n));
        let outcome = map(&mut s, &m, 0x4000_0000 - 0x1000, 2);
        m.fail_after(None);
        if outcome.is_ok() {
            break;
        }
        assert_eq!(outcome, Err(Error::NoTableMemory));
        assert_eq!(m.pool_image(), before, "after {n} allocations");
        n += 1;
    }
    assert_eq!(n, 3);
    m.fail_after(Some(0));
    let now = m.pool_image();
    assert_eq!(s.unmap(&m, Space::Secure, Ipa(4 * MIB2), 1), Err(Error::NoTableMemory));
    assert_eq!(m.pool_image(), now);
}

#[test]
fn claims_show_repeats_and_leave_no_trace() {
    let m = SimMachine::new(64);
    let mut s = stage2(&m);
    map(&mut s, &m, MIB2, 1024).unwrap();
    let before = m.pool_image();
    let roots = s.roots();
    m.translate(&roots, Space::Secure, Ipa(MIB2));
    let mut w = s.walk(&m, Space::Secure);
    w.claim(&RangeList::one(Ipa(MIB2), 512), &mut Check::Anything).unwrap();
    assert_eq!(w.claim(&RangeList::one(Ipa(MIB2 + 0x7000), 2), &mut Check::Anything), Err(Refusal::MemTwice));
    w.commit(&RangeList::one(Ipa(MIB2), 512), &Change::Unclaim);
    // Unmapped ground behind the two blocks.
    w.claim(&RangeList::one(Ipa(3 * MIB2), 512), &mut Check::Anything).unwrap();
    assert_eq!(w.claim(&RangeList::one(Ipa(3 * MIB2 + 0x1000), 1), &mut Check::Anything), Err(Refusal::MemTwice));
    w.commit(&RangeList::one(Ipa(3 * MIB2), 512), &Change::Unclaim);
    w.finish();
    assert_eq!(m.pool_image(), before);
    assert_eq!(m.translate(&roots, Space::Secure, Ipa(MIB2)).unwrap().pages, 512);
}
