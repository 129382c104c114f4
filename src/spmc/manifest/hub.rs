// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hub that the SPMC manifest may turn on: who coordinates, and every bound of it.
//!
//! ```dts
//! hub {
//!     compatible = "hematite,hub";
//!     coordinator = "vm2";                /* or "normal-world", as where absent */
//!     id = <0x8ff0>;                      /* of the management service; this one where absent */
//!     windows = <8>;
//!     queue-messages = <16>;
//!     breaker { faults = <3>; cool-down-ms = <1000>; };
//! };
//! ```
//!
//! With the node, the routing policy is the hub's: a spoke talks to the coordinator and through windows. Everything
//! but `compatible` may be absent. A node that cannot be read in full is refused: a misspelt word must not move a
//! bound.

use ffa_abi::PartitionId;

use super::core_manifest::require_compatible;
use super::node::{Node, Value, read_properties};
use super::refusal::name;
use super::routing::{Party, party};
use super::{Cause, Refusal};

/// Most windows that can be open at once.
pub const MAX_WINDOWS: usize = 16;
/// Most messages that one receiver's queue can hold.
pub const MAX_QUEUE: u32 = 64;
/// Most dead letters that are kept.
pub const MAX_DEAD_LETTERS: u32 = 256;

/// Holds the `hub` node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubPolicy {
    /// `coordinator`: who holds the routing authority.
    pub coordinator: Party,
    /// `id`: the endpoint identifier of the management service.
    pub id: PartitionId,
    /// `windows`: how many can be open at once, 1 to [`MAX_WINDOWS`].
    pub windows: u32,
    /// `queue-messages`: how many messages wait for one receiver at the most, 2 to [`MAX_QUEUE`].
    pub queue_messages: u32,
    /// `message-bytes`: the longest message with its envelope, 64 to 4032.
    pub message_bytes: u32,
    /// `high-watermark`: percent of a queue at which its senders are told to slow down.
    pub high_watermark: u32,
    /// `low-watermark`: percent of a queue at which they are told to resume.
    pub low_watermark: u32,
    /// `attempts`: deliveries of one message at the most, 1 to 16.
    pub attempts: u32,
    /// `redeliver-ms`: how long an acknowledgement may take before the message is delivered again.
    pub redeliver_ms: u32,
    /// `duplicates`: how many idempotency keys are remembered of each sender, 1 to 64.
    pub duplicates: u32,
    /// `dead-letters`: how many are kept, 1 to [`MAX_DEAD_LETTERS`].
    pub dead_letters: u32,
    /// `breaker`: when a spoke is cut off.
    pub breaker: BreakerPolicy,
}

/// Holds the `breaker` node inside it: how many in a row trip a spoke's or a route's breaker; 0 is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// `faults`: deaths of the partition.
    pub faults: u32,
    /// `missing-acks`: messages that were delivered and not acknowledged in time.
    pub missing_acks: u32,
    /// `expiries`: messages that ran out of time.
    pub expiries: u32,
    /// `denials`: messages that the policy denied.
    pub denials: u32,
    /// `duplicates`: messages that were sent already.
    pub duplicates: u32,
    /// `cool-down-ms`: how long a breaker that tripped stays open before one message may try.
    pub cool_down_ms: u32,
}

impl Default for HubPolicy {
    fn default() -> Self {
        Self {
            coordinator: Party::NormalWorld,
            id: PartitionId(0x8ff0),
            windows: 8,
            queue_messages: 16,
            message_bytes: 320,
            high_watermark: 80,
            low_watermark: 30,
            attempts: 5,
            redeliver_ms: 100,
            duplicates: 32,
            dead_letters: 32,
            breaker: BreakerPolicy::default(),
        }
    }
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { faults: 3, missing_acks: 8, expiries: 8, denials: 16, duplicates: 16, cool_down_ms: 1000 }
    }
}

/// The node's name, in the root of the SPMC manifest.
pub(crate) const NODE: &str = "hub";

/// Reads the node; `partitions` is how many there are.
pub(crate) fn read(node: &Node<'_, '_>, partitions: usize) -> Result<HubPolicy, Refusal> {
    let mut hub = HubPolicy::default();
    let mut compatible = false;
    read_properties!(node, {
        "compatible" => |v| {
            compatible = true;
            require_compatible(&v, "hematite,hub", "\"hematite,hub\"")?;
        },
        "coordinator" => |v| hub.coordinator = party(&v, v.text()?, partitions)?,
        "id" => |v| hub.id = service_id(&v)?,
        "windows" => |v| hub.windows = bounded(&v, 1, MAX_WINDOWS as u32, "1 to 16")?,
        "queue-messages" => |v| hub.queue_messages = bounded(&v, 2, MAX_QUEUE, "2 to 64")?,
        "message-bytes" => |v| hub.message_bytes = bounded(&v, 64, 4032, "64 to 4032")?,
        "high-watermark" => |v| hub.high_watermark = bounded(&v, 1, 100, "1 to 100 percent")?,
        "low-watermark" => |v| hub.low_watermark = bounded(&v, 0, 99, "0 to 99 percent")?,
        "attempts" => |v| hub.attempts = bounded(&v, 1, 16, "1 to 16")?,
        "redeliver-ms" => |v| hub.redeliver_ms = bounded(&v, 1, 60_000, "1 to 60000")?,
        "duplicates" => |v| hub.duplicates = bounded(&v, 1, 64, "1 to 64")?,
        "dead-letters" => |v| hub.dead_letters = bounded(&v, 1, MAX_DEAD_LETTERS, "1 to 256")?,
        else |other| return Err(unknown(node, other)),
    });
    if !compatible {
        return Err(node.at.missing("compatible", "\"hematite,hub\"", "add it: it says how the node is written"));
    }
    for child in node.children() {
        if child.name() != "breaker" {
            return Err(unknown(node, child.name()));
        }
        hub.breaker = read_breaker(&child)?;
    }
    if hub.low_watermark >= hub.high_watermark {
        let cause = Cause::Value { found: hub.low_watermark.into(), expected: "less than high-watermark" };
        return Err(node.at.refuse("low-watermark", cause, "leave room between the two, or senders flap"));
    }
    Ok(hub)
}

fn read_breaker(node: &Node<'_, '_>) -> Result<BreakerPolicy, Refusal> {
    let mut breaker = BreakerPolicy::default();
    const COUNT: &str = "0 to 65535";
    read_properties!(node, {
        "faults" => |v| breaker.faults = bounded(&v, 0, 65535, COUNT)?,
        "missing-acks" => |v| breaker.missing_acks = bounded(&v, 0, 65535, COUNT)?,
        "expiries" => |v| breaker.expiries = bounded(&v, 0, 65535, COUNT)?,
        "denials" => |v| breaker.denials = bounded(&v, 0, 65535, COUNT)?,
        "duplicates" => |v| breaker.duplicates = bounded(&v, 0, 65535, COUNT)?,
        "cool-down-ms" => |v| breaker.cool_down_ms = bounded(&v, 1, 3_600_000, "1 to 3600000")?,
        else |other| return Err(unknown(node, other)),
    });
    Ok(breaker)
}

/// `hub-queue = <messages bytes>` of a partition that takes part in supervised messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubQueue {
    /// How many messages wait for it at the most, 2 to [`MAX_QUEUE`].
    pub messages: u16,
    /// The longest message with its envelope, 64 to 4032.
    pub bytes: u16,
}

/// Reads a partition's `hub-queue`.
pub(crate) fn read_queue(v: &Value<'_, '_>) -> Result<HubQueue, Refusal> {
    const EXPECTED: &str = "2 to 64 messages of 64 to 4032 bytes";
    const FIX: &str = "write two cells: messages, and bytes of the longest with its envelope";
    let mut cells = v.list()?;
    let (messages, bytes) = (cells.next().unwrap_or(0), cells.next().unwrap_or(0));
    if cells.next().is_some() || !(2..=MAX_QUEUE).contains(&messages) {
        return Err(v.wrong(messages.into(), EXPECTED, FIX));
    }
    if !(64..=4032).contains(&bytes) {
        return Err(v.wrong(bytes.into(), EXPECTED, FIX));
    }
    Ok(HubQueue { messages: messages as u16, bytes: bytes as u16 })
}

fn bounded(v: &Value<'_, '_>, least: u32, most: u32, expected: &'static str) -> Result<u32, Refusal> {
    let n = v.u32()?;
    if (least..=most).contains(&n) { Ok(n) } else { Err(v.wrong(n.into(), expected, "write a number in that range")) }
}

fn service_id(v: &Value<'_, '_>) -> Result<PartitionId, Refusal> {
    let id = PartitionId(v.u16()?);
    if !id.is_secure() || id == PartitionId::SPMD {
        return Err(v.wrong(id.0.into(), "an identifier of the Secure world", "set bit 15; 0xffff is the SPMD's"));
    }
    Ok(id)
}

fn unknown(node: &Node<'_, '_>, what: &str) -> Refusal {
    let expected = "a property or node of hematite,hub";
    let fix = "correct or remove it: a policy that is not understood in full is not applied in part";
    node.at.refuse("a name", Cause::Text { found: name(what), expected }, fix)
}
