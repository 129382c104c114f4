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

use super::node::{Node, Value, word};
use super::property::{Property, table};
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

table! {
    static HUB = [
        Property::compatible("compatible: hematite,hub"),
        Property::string("coordinator"),
        Property::range("id: an identifier of the Secure world, 0x8000 to 0xfffe", 0x8000, 0xfffe),
        Property::range("windows: 1 to 16", 1, MAX_WINDOWS as u32),
        Property::range("queue-messages: 2 to 64", 2, MAX_QUEUE),
        Property::range("message-bytes: 64 to 4032", 64, 4032),
        Property::range("high-watermark: 1 to 100 percent", 1, 100),
        Property::range("low-watermark: 0 to 99 percent", 0, 99),
        Property::range("attempts: 1 to 16", 1, 16),
        Property::range("redeliver-ms: 1 to 60000", 1, 60_000),
        Property::range("duplicates: 1 to 64", 1, 64),
        Property::range("dead-letters: 1 to 256", 1, MAX_DEAD_LETTERS),
    ];
}

/// Reads the node into what holds where it says nothing; `partitions` is how many there are.
#[inline(never)]
pub(crate) fn read(node: &Node<'_>, partitions: usize, hub: &mut HubPolicy) -> Result<(), Refusal> {
    let mut room = node.room();
    let [_, coordinator, id, numbers @ ..] = node.read_all(&HUB, &mut room)?;
    hub.coordinator = party(coordinator, partitions)?;
    hub.id = PartitionId(id.or(hub.id.0.into()) as u16);
    let mut fields = [
        &mut hub.windows,
        &mut hub.queue_messages,
        &mut hub.message_bytes,
        &mut hub.high_watermark,
        &mut hub.low_watermark,
        &mut hub.attempts,
        &mut hub.redeliver_ms,
        &mut hub.duplicates,
        &mut hub.dead_letters,
    ];
    take(numbers, &mut fields);
    node.each_child(&mut |child| {
        if child.name() != "breaker" {
            return Err(node.unknown(child.name()));
        }
        read_breaker(child, &mut hub.breaker)
    })?;
    if hub.low_watermark >= hub.high_watermark {
        let rule = "less than high-watermark";
        let cause = Cause::Value { found: hub.low_watermark.into() };
        return Err(node.refuse("low-watermark", cause, rule));
    }
    Ok(())
}

table! {
    static BREAKER = [
        Property::range("faults: 0 to 65535", 0, 65535),
        Property::range("missing-acks: 0 to 65535", 0, 65535),
        Property::range("expiries: 0 to 65535", 0, 65535),
        Property::range("denials: 0 to 65535", 0, 65535),
        Property::range("duplicates: 0 to 65535", 0, 65535),
        Property::range("cool-down-ms: 1 to 3600000", 1, 3_600_000),
    ];
}

fn read_breaker(node: &Node<'_>, breaker: &mut BreakerPolicy) -> Result<(), Refusal> {
    let mut room = node.room();
    let numbers = node.read_all(&BREAKER, &mut room)?;
    // Of several nodes the last one holds, with nothing of those before it.
    *breaker = BreakerPolicy::default();
    let mut fields = [
        &mut breaker.faults,
        &mut breaker.missing_acks,
        &mut breaker.expiries,
        &mut breaker.denials,
        &mut breaker.duplicates,
        &mut breaker.cool_down_ms,
    ];
    take(numbers, &mut fields);
    Ok(())
}

/// Takes the numbers that a node has into the fields for them, which hold what is so where it has none.
#[inline(never)]
fn take(numbers: &[Value<'_, '_>], fields: &mut [&mut u32]) {
    for (number, field) in numbers.iter().zip(fields) {
        **field = number.or(**field);
    }
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
pub(crate) fn read_queue(v: &Value<'_, '_>) -> Result<Option<HubQueue>, Refusal> {
    const RULE: &str = "two cells: 2 to 64 messages, and 64 to 4032 bytes of the longest with its envelope";
    if !v.is_present() {
        return Ok(None);
    }
    let cells = v.entries(2, RULE)?;
    let (messages, bytes) = (word(v.bytes(), 0), word(v.bytes(), 1));
    if !(2..=MAX_QUEUE).contains(&messages) || cells.len() != 2 {
        return Err(v.wrong(messages.into(), RULE));
    }
    if !(64..=4032).contains(&bytes) {
        return Err(v.wrong(bytes.into(), RULE));
    }
    Ok(Some(HubQueue { messages: messages as u16, bytes: bytes as u16 }))
}
