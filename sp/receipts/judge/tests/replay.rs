// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cache of nonces by itself: room, time, and entries that outlive it.

use receipts::replay::{Entry, FREE, Replay, ReplayCache};
use receipts::{Instant, PublicKey};

const SECRET: [u8; 16] = [3; 16];
const HOLD: u32 = 330;

fn key() -> PublicKey {
    let mut base = [0x66; 32];
    base[0] = 0x58; // the base point
    PublicKey::from_bytes(&base).expect("a point")
}

fn at(seconds: i64) -> Instant {
    Instant::from_unix(seconds, 0).expect("a time")
}

fn record(cache: &mut ReplayCache<'_>, nonce: u32, now: i64) -> Result<(), Replay> {
    cache.check_and_record(&key(), &format!("rnd_{nonce}"), at(now), HOLD)
}

#[test]
fn none_is_forgotten_before_its_time_and_room_comes_back_after_it() {
    let mut entries = [FREE; 16];
    let mut cache = ReplayCache::new(&mut entries, SECRET);
    for round in 0..5 {
        let now = 1_000_000 + round * 1000;
        for nonce in 0..16 {
            assert_eq!(record(&mut cache, nonce, now), Ok(()), "{nonce} in round {round}");
        }
        assert_eq!(record(&mut cache, 99, now + i64::from(HOLD)), Err(Replay::Full));
        for nonce in 0..16 {
            assert_eq!(record(&mut cache, nonce, now + i64::from(HOLD)), Err(Replay::Seen), "{nonce}");
        }
    }
    assert_eq!(record(&mut ReplayCache::new(&mut [], SECRET), 0, 0), Err(Replay::Full));
    // Before 1970 there is nothing to tell apart, and room all the same.
    assert_eq!(record(&mut ReplayCache::new(&mut [FREE; 2], SECRET), 0, -5), Ok(()));
}

/// Fills some entries, and gives them as they are before and after one more.
fn one_more(old: u32, now: i64) -> (Vec<Entry>, Vec<Entry>) {
    let mut before = vec![FREE; 8];
    let mut cache = ReplayCache::new(&mut before, SECRET);
    (0..old).for_each(|nonce| record(&mut cache, nonce, 1000).expect("room"));
    let mut after = before.clone();
    let mut cache = ReplayCache::resume(&mut after, SECRET).expect("sound");
    record(&mut cache, 77, now).expect("room");
    (before, after)
}

#[test]
fn a_write_that_is_cut_short_costs_at_most_what_it_wrote() {
    // Into an entry that was never used, and into one whose time is over.
    for (old, now) in [(0, 1001), (5, 1001), (8, 1001 + i64::from(HOLD))] {
        let (before, after) = one_more(old, now);
        let written: Vec<usize> = (0..8).filter(|&n| before[n] != after[n]).collect();
        let &[at] = &written[..] else { panic!("one entry is written, not {written:?}") };
        let mut torn = before.clone();
        torn[at][0] = after[at][0];
        let mut cache = ReplayCache::resume(&mut torn, SECRET).expect("one that is cut short is sound");
        let live = if now == 1001 { old } else { 0 };
        for nonce in 0..live {
            assert_eq!(record(&mut cache, nonce, 1001), Err(Replay::Seen), "{nonce} of {old}");
        }
        assert_eq!(record(&mut cache, 77, now), Ok(()), "its request was never answered");
        // A second life finds the first one's entries sound.
        let mut cache = ReplayCache::resume(&mut torn, SECRET).expect("sound");
        assert_eq!(record(&mut cache, 77, now), Err(Replay::Seen));
    }
}

#[test]
fn entries_that_it_cannot_have_written_are_not_taken_over() {
    let (_, good) = one_more(5, 1001);
    assert!(ReplayCache::resume(&mut good.clone(), SECRET).is_some());
    assert!(ReplayCache::resume(&mut good.clone(), [4; 16]).is_none(), "another secret");
    for bit in [0, 7, 31, 32, 63] {
        let mut bad = good.clone();
        let used: Vec<usize> = (0..8).filter(|&n| bad[n] != FREE).collect();
        used.iter().take(2).for_each(|&n| bad[n][1] ^= 1 << bit);
        assert!(ReplayCache::resume(&mut bad, SECRET).is_none(), "bit {bit}");
    }
}
