// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may talk to whom, and share memory with whom: the SPMC manifest's `routing-policy` as a table of bits that
//! messages, memory and notifications consult in one place.

use core::array;

use ffa_abi::PartitionId;

use crate::manifest::{MAX_PARTITIONS, Party, RoutingDefault, RoutingPolicy};
use crate::refusal::Refusal;
use crate::sync::{AtomicU32, Ordering};

/// The row and the bit of the Normal world's primary endpoint; partitions have their positions.
const NORMAL: usize = MAX_PARTITIONS;
/// The row of the Normal world's other endpoints (VMs), which no rule can name.
const VM: usize = MAX_PARTITIONS + 1;
/// Rows of every table that is indexed by [`End::row`].
pub(crate) const ROWS: usize = MAX_PARTITIONS + 2;

/// Names an end of a route: a partition by its position among those that were loaded, or an endpoint of the Normal
/// world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End(u8);

impl End {
    /// Names a partition.
    #[inline(always)]
    pub(crate) const fn partition(index: usize) -> Self {
        Self(index as u8)
    }

    /// Names an endpoint of the Normal world.
    #[inline(always)]
    pub(crate) const fn normal(id: PartitionId) -> Self {
        Self(if id.0 == 0 { NORMAL as u8 } else { VM as u8 })
    }

    /// Returns its row.
    #[inline(always)]
    pub(crate) const fn row(self) -> usize {
        self.0 as usize
    }

    /// Names what the manifest names; `position` tells where a partition of the manifest is among those that were
    /// loaded.
    pub(crate) fn of_party(party: Party, position: impl Fn(usize) -> Option<usize>) -> Option<Self> {
        match party {
            Party::NormalWorld => Some(Self(NORMAL as u8)),
            Party::Partition(n) => position(n).map(Self::partition),
        }
    }
}

/// Names what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Direct and indirect messages, FFA_RUN, notifications.
    Messages,
    /// Memory sharing.
    Memory,
}

/// The table: a word per sender, a bit per receiver, once for each use.
///
/// A breaker that opens takes an end out of the rows for messages, so that what asks pays nothing for breakers.
#[derive(Debug)]
pub(crate) struct Routing {
    /// As many rows as a word has bits, so that none is looked for in vain.
    messages: [AtomicU32; 32],
    memory: [u32; ROWS],
    /// The policy's rows for messages, whatever the breakers.
    policy: [u32; ROWS],
}

impl Routing {
    /// Builds the table. `position` tells where a partition of the manifest is among those that were loaded.
    pub(crate) fn new(policy: &RoutingPolicy, position: impl Fn(usize) -> Option<usize>) -> Self {
        let end = |party| End::of_party(party, &position);
        // Everybody reaches the coordinator, and it everybody.
        let hub = end(policy.coordinator);
        let open = match policy.default {
            RoutingDefault::Open => u32::MAX,
            RoutingDefault::Hub => hub.map_or(0, |hub| 1 << hub.0),
        };
        let rows = array::from_fn(|n| if hub == Some(End(n as u8)) { u32::MAX } else { open });
        let mut table = Self { messages: array::from_fn(|_| AtomicU32::default()), memory: rows, policy: rows };
        for rule in &policy.peers {
            // A rule about a partition that was left out has nothing to allow.
            if let (Some(from), Some(to)) = (end(rule.from), end(rule.to)) {
                table.allow(from, to, rule.messages, rule.memory);
                if !rule.one_way {
                    table.allow(to, from, rule.messages, rule.memory);
                }
            }
        }
        table.cut(0);
        table
    }

    /// Takes the ends whose bits are set in `mask` out of the rows for messages, and puts the others back.
    pub(crate) fn cut(&self, mask: u32) {
        for (n, (row, policy)) in self.messages.iter().zip(&self.policy).enumerate() {
            row.store(if mask >> n & 1 != 0 { 0 } else { policy & !mask }, Ordering::Relaxed);
        }
    }

    /// Tells whether the policy lets `from` send messages to `to`, whatever the breakers.
    pub(crate) fn policy_allows(&self, from: End, to: End) -> bool {
        self.policy.get(from.row()).is_some_and(|row| row >> (to.0 & 31) & 1 != 0)
    }

    fn allow(&mut self, from: End, to: End, messages: bool, memory: bool) {
        if let (Some(policy), Some(sharing)) = (self.policy.get_mut(from.row()), self.memory.get_mut(from.row())) {
            *policy |= (messages as u32) << to.0;
            *sharing |= (memory as u32) << to.0;
        }
    }

    /// Tells whether `from` may use `to` so.
    #[inline(always)]
    pub(crate) fn check(&self, from: End, to: End, what: Use) -> Result<(), Refusal> {
        let row = match what {
            Use::Messages => self.messages[from.row() & 31].load(Ordering::Relaxed),
            Use::Memory => self.memory.get(from.row()).copied().unwrap_or(0),
        };
        if row >> (to.0 & 31) & 1 != 0 { Ok(()) } else { Err(Refusal::PolicyDenies) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::manifest::PeerRule;

    const NWD: End = End::normal(PartitionId(0));
    const GUEST: End = End::normal(PartitionId(5));

    fn sp(n: usize) -> End {
        End::partition(n)
    }

    #[test]
    fn open_lets_everybody_talk() {
        let t = Routing::new(&RoutingPolicy::default(), Some);
        for (a, b) in [(NWD, sp(0)), (sp(0), sp(15)), (sp(3), NWD), (GUEST, sp(1))] {
            assert_eq!(t.check(a, b, Use::Messages), Ok(()));
            assert_eq!(t.check(a, b, Use::Memory), Ok(()));
        }
    }

    #[test]
    fn a_hub_lets_spokes_talk_to_the_coordinator_only() {
        let hub = RoutingPolicy { default: RoutingDefault::Hub, ..RoutingPolicy::default() };
        let t = Routing::new(&hub, Some);
        assert_eq!(t.check(NWD, sp(4), Use::Messages), Ok(()));
        assert_eq!(t.check(sp(4), NWD, Use::Memory), Ok(()));
        assert_eq!(t.check(sp(4), sp(5), Use::Messages), Err(Refusal::PolicyDenies));
        assert_eq!(t.check(GUEST, sp(5), Use::Messages), Err(Refusal::PolicyDenies));
        let hub = RoutingPolicy { coordinator: Party::Partition(4), ..hub };
        let t = Routing::new(&hub, Some);
        assert_eq!(t.check(sp(4), sp(5), Use::Messages), Ok(()));
        assert_eq!(t.check(NWD, sp(5), Use::Messages), Err(Refusal::PolicyDenies));
    }

    #[test]
    fn rules_add_pairs_with_their_direction_and_use() {
        let mut hub = RoutingPolicy { default: RoutingDefault::Hub, ..RoutingPolicy::default() };
        let (from, to) = (Party::Partition(1), Party::Partition(3));
        hub.peers.push(PeerRule { from, to, messages: true, memory: false, one_way: true });
        // vm1 was left out, so vm2 and vm4 are the first and the third that were loaded.
        let t = Routing::new(&hub, |n| n.checked_sub(1));
        assert_eq!(t.check(sp(0), sp(2), Use::Messages), Ok(()));
        assert_eq!(t.check(sp(2), sp(0), Use::Messages), Err(Refusal::PolicyDenies));
        assert_eq!(t.check(sp(0), sp(2), Use::Memory), Err(Refusal::PolicyDenies));
    }
}
