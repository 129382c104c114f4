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

use super::core_manifest::{require_compatible, vm_number};
use super::node::{Node, Value, read_properties};
use super::refusal::name;
use super::{Cause, Refusal};

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

/// Reads the node; `partitions` is how many there are.
pub(crate) fn read(node: &Node<'_, '_>, partitions: usize) -> Result<RoutingPolicy, Refusal> {
    let mut policy = RoutingPolicy::default();
    let (mut compatible, mut default) = (false, None);
    read_properties!(node, {
        "compatible" => |v| {
            compatible = true;
            require_compatible(&v, "hematite,routing-policy", "\"hematite,routing-policy\"")?;
        },
        "default" => |v| default = Some(read_default(&v)?),
        "coordinator" => |v| policy.coordinator = party(&v, v.text()?, partitions)?,
        else |other| return Err(unknown(node, other)),
    });
    if !compatible {
        let fix = "add it: it says how the node is written";
        return Err(node.at.missing("compatible", "\"hematite,routing-policy\"", fix));
    }
    policy.default = default.ok_or_else(|| {
        node.at.missing("default", "\"open\" or \"hub\"", "say what holds for pairs that no peer node names")
    })?;
    for child in node.children() {
        let rule = read_peer(&child, partitions)?;
        let cause = Cause::TooMany { limit: MAX_PEERS };
        policy.peers.try_push(rule).map_err(|_| node.at.refuse("", cause, "join peer nodes"))?;
    }
    Ok(policy)
}

fn read_default(v: &Value<'_, '_>) -> Result<RoutingDefault, Refusal> {
    match v.text()? {
        "open" => Ok(RoutingDefault::Open),
        "hub" => Ok(RoutingDefault::Hub),
        // A word that means nothing.
        other => Err(v.refuse(Cause::Text { found: name(other), expected: "\"open\" or \"hub\"" }, "choose one")),
    }
}

fn read_peer(node: &Node<'_, '_>, partitions: usize) -> Result<PeerRule, Refusal> {
    let (mut pair, mut allow, mut one_way) = (None, None, false);
    read_properties!(node, {
        "between" => |v| pair = Some(read_pair(&v, partitions)?),
        "allow" => |v| allow = Some(read_allow(&v)?),
        "one-way" => |v| one_way = v.flag()?,
        else |other| return Err(unknown(node, other)),
    });
    let (from, to) = pair.ok_or_else(|| node.at.missing("between", "two parties", "add between = \"vm1\", \"vm2\""))?;
    let (messages, memory) = allow.ok_or_else(|| {
        node.at.missing("allow", "\"messages\", \"memory\" or both", "say what the two may do with each other")
    })?;
    Ok(PeerRule { from, to, messages, memory, one_way })
}

fn read_pair(v: &Value<'_, '_>, partitions: usize) -> Result<(Party, Party), Refusal> {
    let mut texts = v.texts()?;
    let (first, second, third) = (texts.next(), texts.next(), texts.next());
    let (Some(first), Some(second), None) = (first, second, third) else {
        let cause = Cause::Length { bytes: v.bytes.len(), expected: "two strings" };
        return Err(v.refuse(cause, "name two parties: between = \"vm1\", \"vm2\""));
    };
    let (from, to) = (party(v, first, partitions)?, party(v, second, partitions)?);
    if from == to {
        let cause = Cause::Text { found: name(second), expected: "another party than the first" };
        return Err(v.refuse(cause, "name two parties"));
    }
    Ok((from, to))
}

fn read_allow(v: &Value<'_, '_>) -> Result<(bool, bool), Refusal> {
    let (mut messages, mut memory) = (false, false);
    for text in v.texts()? {
        match text {
            "messages" => messages = true,
            "memory" => memory = true,
            // A word that means nothing.
            other => {
                let cause = Cause::Text { found: name(other), expected: "\"messages\" or \"memory\"" };
                return Err(v.refuse(cause, "name what is allowed"));
            }
        }
    }
    Ok((messages, memory))
}

pub(crate) fn party(v: &Value<'_, '_>, text: &str, partitions: usize) -> Result<Party, Refusal> {
    if text == "normal-world" {
        return Ok(Party::NormalWorld);
    }
    let index = vm_number(text).and_then(|n| usize::from(n).checked_sub(1)).filter(|&i| i < partitions);
    index.map(Party::Partition).ok_or_else(|| {
        let cause = Cause::Text { found: name(text), expected: "\"normal-world\" or a vm node's name" };
        v.refuse(cause, "name a party that this manifest has")
    })
}

fn unknown(node: &Node<'_, '_>, property: &str) -> Refusal {
    let expected = "a property of hematite,routing-policy";
    let fix = "correct or remove it: a policy that is not understood in full is not applied in part";
    node.at.refuse("a property's name", Cause::Text { found: name(property), expected }, fix)
}
