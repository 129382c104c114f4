// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows against a list: random sequences of opening, messages, closing and time, the counter's wrap among it.

use std::vec::Vec;

use ffa_abi::Uuid;
use ffa_abi::hub::{Closed, Direction, MAX_PARTICIPANTS, OpenWindow, WindowRecord};

use super::window::{SUMMARIES, Terms, Windows};
use crate::routing::End;
use crate::sim::Random;

const SLOTS: usize = 3;
const ENDS: u64 = 5;

/// What the model knows of one open window.
struct Open {
    id: u32,
    terms: Terms,
    opened: u64,
    forward: u16,
    back: u16,
}

impl Open {
    fn is_over(&self, now: u64) -> bool {
        now.wrapping_sub(self.opened) >= self.terms.record.lifetime
    }

    fn passes(&self, from: End, to: End) -> Option<bool> {
        let place = |end| self.terms.participants().iter().position(|&e| e == end);
        let (from, _) = (place(from)?, place(to)?);
        (from == 0 || self.terms.record.direction == Direction::Both).then_some(from == 0)
    }
}

fn terms(r: &mut Random) -> Terms {
    let count = 2 + r.below(MAX_PARTICIPANTS as u64 - 1) as usize;
    let first = r.below(ENDS) as usize;
    let ends = core::array::from_fn(|n| End::partition((first + n) % ENDS as usize));
    let direction = r.pick(&[Direction::Both, Direction::FromFirst]);
    let (correlation, lifetime, limit) = (r.below(1 << 40), 1 + r.below(60), 1 + r.below(6) as u16);
    let (participants, purpose) = (Default::default(), Uuid::NIL);
    let asked = OpenWindow { count: count as u8, participants, direction, correlation, purpose, lifetime_ms: 1, limit };
    Terms { record: WindowRecord::of(&asked, lifetime), ends }
}

/// Takes out of the model what is over, as a sweep does.
fn sweep(open: &mut Vec<Open>, ended: &mut Vec<(u32, Closed, u16, u16)>, now: u64) {
    open.retain(|w| {
        let exhausted = w.forward + w.back >= w.terms.record.limit;
        let why = if exhausted { Closed::Exhausted } else { Closed::Expired };
        if exhausted || w.is_over(now) {
            ended.push((w.id, why, w.forward, w.back));
        }
        !exhausted && !w.is_over(now)
    });
}

#[test]
fn random_sequences_agree_with_a_list() {
    let mut passed = 0;
    for seed in 1..400 {
        let mut r = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(seed));
        let mut windows = Windows::default();
        windows.make_room(SLOTS);
        let (mut open, mut ended): (Vec<Open>, Vec<_>) = (Vec::new(), Vec::new());
        // The counter wraps in the middle.
        let mut now = u64::MAX - 2000;
        for _ in 0..400 {
            now = now.wrapping_add(r.below(20));
            match r.below(10) {
                0 | 1 => {
                    let mut terms = terms(&mut r);
                    sweep(&mut open, &mut ended, now);
                    let clash = open.iter().any(|w| {
                        let ends = terms.participants();
                        let pairs = ends.iter().enumerate().flat_map(|(n, &a)| {
                            let sends = n == 0 || terms.record.direction == Direction::Both;
                            ends.iter().filter(move |&&b| sends && a != b).map(move |&b| (a, b))
                        });
                        pairs.into_iter().any(|(a, b)| w.passes(a, b).is_some())
                    });
                    let known = windows.open(&mut terms, now);
                    assert_eq!(known.is_ok(), !clash && open.len() < SLOTS, "seed {seed}");
                    if let Ok(id) = known {
                        open.push(Open { id, terms, opened: now, forward: 0, back: 0 });
                    }
                }
                2 => {
                    let Some(n) = (!open.is_empty()).then(|| r.below(open.len() as u64) as usize) else { continue };
                    sweep(&mut open, &mut ended, now);
                    windows.sweep(now);
                    let Some(w) = open.get(n) else { continue };
                    assert_eq!(windows.close(w.id, Closed::ByCoordinator, now), Ok(()), "seed {seed}");
                    ended.push((w.id, Closed::ByCoordinator, w.forward, w.back));
                    open.remove(n);
                }
                _ => {
                    let (from, to) = (End::partition(r.below(ENDS) as usize), End::partition(r.below(ENDS) as usize));
                    let expected = open.iter_mut().find_map(|w| w.passes(from, to).map(|f| (w, f)));
                    let token = windows.find(from, to);
                    let got = token.map(|t| windows.admit(t, now));
                    let alive = expected.filter(|(w, _)| !w.is_over(now) && w.forward + w.back < w.terms.record.limit);
                    assert_eq!(got.is_some_and(|g| g.is_ok()), alive.is_some() && from != to, "seed {seed}");
                    if let Some((w, forward)) = alive.filter(|_| from != to) {
                        passed += 1;
                        if r.below(5) == 0 {
                            windows.refund(token.unwrap());
                        } else if forward {
                            w.forward += 1;
                        } else {
                            w.back += 1;
                        }
                    }
                }
            }
        }
        now = now.wrapping_add(1000);
        sweep(&mut open, &mut ended, now);
        windows.sweep(now);
        assert_eq!(windows.totals().0, 0);
        // The latest summaries say what the model says, each window once.
        let told: Vec<_> = (0..SUMMARIES)
            .filter_map(|n| windows.summary(n))
            .map(|s| (s.id, s.closed.unwrap(), s.forward, s.back))
            .collect();
        assert_eq!(told.len(), ended.len().min(SUMMARIES), "seed {seed}");
        let known = |t: &(u32, Closed, u16, u16)| ended.iter().any(|e| (e.0, e.2, e.3) == (t.0, t.2, t.3));
        assert!(told.iter().all(known), "seed {seed}: {told:?} {ended:?}");
    }
    assert!(passed > 5_000, "{passed} messages passed");
}
