// SPDX-License-Identifier: MIT OR Apache-2.0
//! The routing policy that the SPMC manifest may carry: which pairs of endpoints may talk and share.

use arrayvec::ArrayVec;

/// Most rules in one policy.
pub const MAX_PEERS: usize = 32;

/// Holds the `routing-policy` node: plain data, consulted by the routing module.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RoutingPolicy {
    /// What holds for a pair that no rule names.
    pub default: RoutingDefault,
    /// `coordinator`: who stands at the hub.
    pub coordinator: Party,
    /// Pairs that are allowed beside what the default allows.
    pub peers: ArrayVec<PeerRule, MAX_PEERS>,
}

/// Says what holds for a pair that no rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RoutingDefault {
    /// `"open"`: everything, as without a policy.
    #[default]
    Open,
    /// `"hub"`: only pairs of which one is the coordinator.
    Hub,
}

/// Names an end of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Party {
    /// `"normal-world"`: the primary endpoint of the Normal world, identifier 0.
    #[default]
    NormalWorld,
    /// `"vmN"`: an index into [`super::CoreManifest::partitions`].
    Partition(usize),
}

/// Allows one pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRule {
    /// One end; the sender where only one direction is allowed.
    pub from: Party,
    /// The other end.
    pub to: Party,
    /// Direct and indirect messages and notifications may go from `from` to `to`.
    pub messages: bool,
    /// Memory may be shared by `from` with `to`.
    pub memory: bool,
}
