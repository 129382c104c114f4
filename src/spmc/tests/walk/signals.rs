// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the walk's partitions signal to each other, followed beside the SPMC: no signal is lost, none comes twice, and
//! the scheduler hears of each.

use std::collections::BTreeSet;

use ffa_abi::{Error, Func, PartitionId, Regs, func::SMC64};

use super::{CPUS, PARTITIONS, Random};
use crate::sim::world::id;

const BIND: u64 = Func::NotificationBind.id32() as u64;
const SET: u64 = Func::NotificationSet.id32() as u64;
const GET: u64 = Func::NotificationGet.id32() as u64;
const INFO: u64 = Func::NotificationInfoGet.id32() as u64;
const PER_CONTEXT: u64 = 1;
/// What the Normal world may signal to each partition as a whole, and to one of its contexts; what its neighbour may.
const WHOLE: u64 = 0x0f;
const ONE: u64 = 0x30;
const NEIGHBOURS: u64 = 0xc0;

/// The one that may signal to partition `n`.
fn neighbour(n: u16) -> PartitionId {
    id((n + 1) % PARTITIONS)
}

/// What each partition binds when it starts.
pub(super) fn bindings(n: u16) -> [[u64; 8]; 3] {
    let bind = |sender: PartitionId, flags, bits| {
        [BIND, u64::from(sender.0) << 16 | u64::from(id(n).0), flags, bits, 0, 0, 0, 0]
    };
    let normal = PartitionId::NORMAL_WORLD;
    [bind(normal, 0, WHOLE), bind(normal, PER_CONTEXT, ONE), bind(neighbour(n), 0, NEIGHBOURS)]
}

/// A notification call of the Normal world.
pub(super) fn of_normal_world(r: &mut Random) -> [u64; 8] {
    let to = u64::from(id(r.below(PARTITIONS.into()) as u16).0);
    match r.below(8) {
        0 => [INFO | u64::from(SMC64), 0, 0, 0, 0, 0, 0, 0],
        1..=2 => [SET, to, r.below(CPUS as u64) << 16 | PER_CONTEXT, 0x10 << r.below(2), 0, 0, 0, 0],
        _ => [SET, to, 0, 1 << r.below(4), 0, 0, 0, 0],
    }
}

/// A notification call of a partition.
pub(super) fn of_partition(r: &mut Random, me: PartitionId) -> [u64; 8] {
    let own = u64::from(me.0);
    let n = me.0 - id(0).0;
    match r.below(8) {
        0 => r.pick(&bindings(n)),
        1..=2 => {
            let to = id((n + PARTITIONS - 1) % PARTITIONS);
            [SET, own << 16 | u64::from(to.0), 0, 0x40 << r.below(2), 0, 0, 0, 0]
        }
        _ => [GET, r.below(CPUS as u64) << 16 | own, r.pick(&[1, 2, 3]), 0, 0, 0, 0, 0],
    }
}

/// What is pending: for a partition as a whole, then for each context; from partitions, from the Normal world.
type Pending = [[u64; 2]; 1 + CPUS];

/// What was signalled and was not got yet.
#[derive(Default)]
pub(super) struct Signals {
    pending: [Pending; PARTITIONS as usize],
    /// Of which the scheduler was not told: the partition, 0 or 1 + the context.
    untold: BTreeSet<(usize, usize)>,
    /// Notifications that were got.
    pub(super) got: u32,
    /// Contexts and partitions that the scheduler was told of.
    pub(super) listed: u32,
}

/// Finds the partition that has an identifier.
fn index(id_of: u64) -> Option<usize> {
    (id_of as u16).checked_sub(id(0).0).map(usize::from).filter(|n| *n < PARTITIONS.into())
}

impl Signals {
    /// Follows a call that has been answered.
    pub(super) fn follow(&mut self, before: &Regs, after: &Regs) {
        let [fid, w1, flags, bits, ..] = before.x;
        let answer = after.fid();
        match fid & !u64::from(SMC64) {
            INFO if answer | SMC64 == Func::Success.id64() => self.told(after),
            INFO if after.x[2] as u32 == Error::NoData.code() as u32 => {
                let lost = self.untold.iter().find(|(n, at)| self.pending[*n][*at] != [0; 2]);
                assert_eq!(lost, None, "the scheduler was not told");
            }
            SET | GET if answer != Func::Success.id32() => {}
            SET => {
                let n = index(w1).expect("a partition");
                let at = if flags & PER_CONTEXT != 0 { 1 + (flags >> 16) as usize } else { 0 };
                let word = &mut self.pending[n][at][usize::from(w1 >> 31 == 0)];
                if *word & bits != bits {
                    self.untold.insert((n, at));
                }
                *word |= bits;
            }
            GET => {
                let pending = &mut self.pending[index(w1).expect("a partition")];
                for kind in (0..2).filter(|kind| flags >> kind & 1 != 0) {
                    let own = core::mem::take(&mut pending[1 + (w1 >> 16) as usize][kind]);
                    let all = own | core::mem::take(&mut pending[0][kind]);
                    assert_eq!(after.x[2 + 2 * kind], all, "what {w1:#x} is told");
                    self.got += all.count_ones();
                }
            }
            _ => {}
        }
    }

    /// Takes what the scheduler was told off the list of what it was not.
    fn told(&mut self, answer: &Regs) {
        let each = if answer.fid() & SMC64 != 0 { 4 } else { 2 };
        let mut ids = answer.x[3..8].iter().flat_map(|x| (0..each).map(move |n| x >> (16 * n) & 0xffff));
        for list in 0..answer.x[2] >> 7 & 0x1f {
            let n = index(ids.next().expect("a receiver")).expect("a partition");
            self.untold.remove(&(n, 0));
            for context in ids.by_ref().take((answer.x[2] >> (12 + 2 * list) & 3) as usize) {
                self.untold.remove(&(n, 1 + context as usize));
            }
            self.listed += 1;
        }
    }

    /// Forgets what was signalled to a partition that has died.
    pub(super) fn forget(&mut self, n: usize) {
        self.pending[n] = Pending::default();
    }
}
