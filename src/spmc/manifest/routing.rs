// SPDX-License-Identifier: MIT OR Apache-2.0
//! The routing policy that the SPMC manifest may carry: which pairs of endpoints may talk and share.
//!
//! ```dts
//! routing-policy {
//!     compatible = "hematite,routing-policy";
//!     default = "hub";                    /* or "open", as without the node */
//!     coordinator = "normal-world";       /* or a partition: "vm2"; "normal-world" where absent */
//!     peer1 { between = "vm1", "vm3"; allow = "messages", "memory"; };
//!     peer2 { between = "vm2", "vm3"; allow = "messages"; one-way; };
//! };
//! ```
//!
//! A policy that cannot be read in full is refused: a misspelt word must not open a route.

use core::fmt;

use arrayvec::ArrayVec;

use super::Refusal;
use super::core_manifest::vm_number;
use super::node::{Node, Value};
use super::property::{Property, table};

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

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NormalWorld => f.write_str("normal-world"),
            Self::Partition(n) => write!(f, "vm{}", n + 1),
        }
    }
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
    /// `one-way`: only in that direction; else `to` may do the same towards `from`. A response always may pass.
    pub one_way: bool,
}

/// The node's name, in the root of the SPMC manifest.
pub(crate) const NODE: &str = "routing-policy";

table! {
    static POLICY = [
        Property::compatible("compatible: hematite,routing-policy"),
        Property::string("default: \"open\" or \"hub\"; it holds for pairs that no peer node names").required(),
        Property::string("coordinator"),
    ];
    static PEER = [
        Property::strings("between: two strings, as \"vm1\", \"vm2\"").required(),
        Property::strings("allow: \"messages\", \"memory\" or both").required(),
        Property::flag("one-way"),
    ];
}

/// Reads the node; `partitions` is how many there are.
#[inline(never)]
pub(crate) fn read(node: &Node<'_>, partitions: usize, policy: &mut RoutingPolicy) -> Result<(), Refusal> {
    let mut room = node.room();
    let [_, default, coordinator, ..] = node.read_all(&POLICY, &mut room)?;
    policy.default = match default.text() {
        "open" => RoutingDefault::Open,
        "hub" => RoutingDefault::Hub,
        // A word that means nothing.
        other => return Err(default.text_out_of_rule(other)),
    };
    policy.coordinator = party(coordinator, partitions)?;
    node.each_child(&mut |child| {
        let rule = read_peer(child, partitions)?;
        policy.peers.try_push(rule).map_err(|_| node.too_many(MAX_PEERS))
    })
}

fn read_peer(node: &Node<'_>, partitions: usize) -> Result<PeerRule, Refusal> {
    let mut room = node.room();
    let [between, allow, one_way, ..] = node.read_all(&PEER, &mut room)?;
    let mut parties = between.texts();
    let (Some(first), Some(second), None) = (parties.next(), parties.next(), parties.next()) else {
        return Err(between.length_out_of_rule());
    };
    let (from, to) = (named(between, first, partitions)?, named(between, second, partitions)?);
    if from == to {
        return Err(between.wrong_text(second, "another party than the first"));
    }
    let mut rule = PeerRule { from, to, messages: false, memory: false, one_way: one_way.is_present() };
    for text in allow.texts() {
        match text {
            "messages" => rule.messages = true,
            "memory" => rule.memory = true,
            // A word that means nothing.
            other => return Err(allow.text_out_of_rule(other)),
        }
    }
    Ok(rule)
}

/// Reads a property that names a party; the Normal world where it is absent.
pub(crate) fn party(v: &Value<'_, '_>, partitions: usize) -> Result<Party, Refusal> {
    if v.is_present() { named(v, v.text(), partitions) } else { Ok(Party::NormalWorld) }
}

fn named(v: &Value<'_, '_>, text: &str, partitions: usize) -> Result<Party, Refusal> {
    if text == "normal-world" {
        return Ok(Party::NormalWorld);
    }
    match vm_number(text) {
        Some(n) if usize::from(n) <= partitions => Ok(Party::Partition(usize::from(n).saturating_sub(1))),
        // No name, or nobody's.
        _ => Err(v.wrong_text(text, "\"normal-world\" or the name of a vm node")),
    }
}
