// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sequences that are played against the model. `HEMATITE_MODEL_SEQUENCES` sets their number,
//! `HEMATITE_MODEL_SEED` where they begin.

use super::*;
use crate::sim::Random;

const STEPS: u64 = 24;
const SEQUENCES: u64 = 20_000;

fn any_page(r: &mut Random) -> u64 {
    let who = r.below(4) as usize;
    range_of(r, who).0
}

fn any_range(r: &mut Random, who: usize) -> (u64, u32) {
    let owner = if r.one_in(12) { r.below(4) as usize } else { who };
    range_of(r, owner)
}

fn range_of(r: &mut Random, owner: usize) -> (u64, u32) {
    // Around the edges of the blocks most of the time.
    let edge = [0, 511, 512, 1023, 1024][r.below(5) as usize];
    let (first, pages) = match r.below(40) {
        0 | 1 => (512 * r.below(2), 512),
        2 => (0, 1024),
        3..=6 => (500 + r.below(30), 1 + r.below(20)),
        _ => ((edge + r.below(5)).saturating_sub(2), 1 + r.below(3)),
    };
    (base(owner) + first * PAGE_SIZE, pages as u32)
}

fn any_send(r: &mut Random, who: usize) -> Sending {
    let kind = [Kind::Share, Kind::Share, Kind::Lend, Kind::Lend, Kind::Donate][r.below(5) as usize];
    let count = if r.one_in(3) { 1 + r.below(3) } else { 1 };
    let receivers = (0..count)
        .map(|i| {
            let id = match r.below(20) {
                0 => 0,
                1 => 0x8009,
                2 => IDS[who],
                _ => IDS[1 + ((who as u64 + i + r.below(2)) % 3) as usize],
            };
            let data = match (kind, r.below(16)) {
                (_, 0) => Data::NotSpecified,
                (Kind::Donate, 1) => Data::ReadWrite,
                (Kind::Donate, _) => Data::NotSpecified,
                (_, 1..=5) => Data::ReadOnly,
                _ => Data::ReadWrite,
            };
            (id, perms(data))
        })
        .collect();
    Sending {
        kind,
        receivers,
        ranges: (0..1 + r.below(3)).map(|_| any_range(r, who)).collect(),
        flags: if r.one_in(4) { Flags::ZERO } else { 0 },
        tag: r.below(4),
        impdef: [0; 2],
    }
}

fn any_request(r: &mut Random, d: &Deal, who: usize) -> (Vec<(u16, Permissions)>, u32) {
    let alone = d.kind == Kind::Donate || d.kind == Kind::Lend && d.borrowers.len() == 1;
    let mut flags = 0;
    let mut list: Vec<_> = d.borrowers.iter().map(|b| (b.who, b.data)).collect();
    if r.one_in(4) {
        flags |= Flags::BYPASS_BORROWERS;
        list.retain(|b| b.0 == who || r.one_in(8));
    }
    if r.one_in(8) {
        flags |= [Flags::ZERO, Flags::ZERO_AFTER][r.below(2) as usize];
    }
    let ask = list.into_iter().map(|(who, data)| {
        let data = match r.below(10) {
            0 => Data::ReadOnly,
            1 => Data::ReadWrite,
            2 => Data::NotSpecified,
            _ => data,
        };
        let instruction = match (alone, r.below(12)) {
            (_, 0) | (false, _) => Instruction::NotSpecified,
            (true, 1 | 2) => Instruction::Executable,
            (true, _) => Instruction::NotExecutable,
        };
        (IDS[who], Permissions { data, instruction })
    });
    (ask.collect(), flags)
}

/// Plays one sequence; returns how many sends, retrieves, relinquishes, reclaims and deaths succeeded in it.
fn sequence(m: &'static SimMachine, seed: u64) -> [u32; 5] {
    let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..4 {
        r.next();
    }
    let pool = m.pages_free();
    let mut model = Model::new(m);
    for _ in 0..STEPS {
        let any = |r: &mut Random| r.below(4) as usize;
        let deal = (!model.deals.is_empty()).then(|| r.below(model.deals.len().max(1) as u64) as usize);
        let mut near: Vec<u64> = Vec::new();
        if let Some(d) = deal {
            let d = &model.deals[d];
            near.extend(d.ranges.iter().flat_map(|&(at, n)| [at, at + u64::from(n - 1) * PAGE_SIZE]));
        }
        match (r.below(16), deal) {
            (0..=5, _) | (_, None) => {
                let who = any(&mut r);
                let s = any_send(&mut r, who);
                near.extend(s.ranges.iter().flat_map(|&(at, n)| [at, at + u64::from(n) * PAGE_SIZE - PAGE_SIZE]));
                model.send(who, &s);
            }
            (6..=9, Some(d)) => {
                let borrowers = &model.deals[d].borrowers;
                let who = borrowers[r.below(borrowers.len() as u64) as usize].who;
                let who = if r.one_in(10) { 1 + r.below(3) as usize } else { who };
                let (ask, flags) = any_request(&mut r, &model.deals[d], who);
                if !ask.is_empty() {
                    model.retrieve(who, d, &ask, flags, r.below(24) as u32);
                }
            }
            (10..=11, Some(d)) => {
                let borrowers = &model.deals[d].borrowers;
                let who = borrowers[r.below(borrowers.len() as u64) as usize].who;
                model.relinquish(who, d, r.one_in(4));
            }
            (12..=13, Some(d)) => {
                let who = if r.one_in(8) { any(&mut r) } else { model.deals[d].owner };
                model.reclaim(who, d, r.one_in(6));
            }
            (14, _) => {
                let at = any_page(&mut r);
                model.mark(at, 1 + r.below(255) as u8);
                near.push(at);
            }
            (_, _) => {
                if r.one_in(3) {
                    model.die(1 + r.below(3) as usize);
                } else if let Some(&h) = model.closed.last() {
                    let who = any(&mut r);
                    assert_eq!(model.world.reclaim(who, h, 0), Err(Error::InvalidParameters));
                }
            }
        }
        near.iter().for_each(|&at| model.compare(at));
        model.touched.extend(near);
        model.compare(any_page(&mut r));
    }
    model.finish(pool)
}

#[test]
fn random_sequences_agree_with_the_model() {
    if cfg!(miri) {
        sequence(SimMachine::leaked(64), 1);
        return;
    }
    let number = |name: &str, default| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let sequences = number("HEMATITE_MODEL_SEQUENCES", SEQUENCES);
    let start = number("HEMATITE_MODEL_SEED", 1);
    let m = SimMachine::leaked(128);
    let mut total = [0u64; 5];
    for seed in start..start + sequences {
        // The seed is what a failure needs to be repeated.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sequence(m, seed)));
        let Ok(done) = outcome else {
            panic!("sequence {seed}: HEMATITE_MODEL_SEED={seed} HEMATITE_MODEL_SEQUENCES=1 repeats it");
        };
        total.iter_mut().zip(done).for_each(|(t, n)| *t += u64::from(n));
    }
    // Not a row of refusals: each call succeeds often.
    let [sends, retrieves, relinquishes, reclaims, deaths] = total;
    assert!(sends > 4 * sequences && retrieves > sequences && relinquishes * 2 > sequences, "{total:?}");
    assert!(reclaims * 2 > sequences && deaths * 4 > sequences, "{total:?}");
}
