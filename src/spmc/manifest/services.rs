// SPDX-License-Identifier: MIT OR Apache-2.0
//! The services of a partition: UUIDs and how they take messages, in both bindings.

use arrayvec::ArrayVec;
use ffa_abi::Uuid;

use super::node::{Node, Value, Warn, word};
use super::property::{Property, table};
use super::{Cause, MAX_SERVICES, Messaging, Refusal, Service};

type Services = ArrayVec<Service, MAX_SERVICES>;

/// The rule for `messaging-method`.
const METHODS: &str = "bits 0, 1, 2, 9 and 10, at least one: 1 receives, 2 sends direct requests, 4 indirect, \
                       0x200/0x400 the same for REQ2";

fn must_be_present(messaging: &Value<'_, '_>) -> Result<(), Refusal> {
    if messaging.is_present() { Ok(()) } else { Err(messaging.refuse(Cause::Missing, METHODS)) }
}

/// Reads the 1.0 binding: `uuid` as words in the order of w1-w4, `messaging-method` one for all or one for each.
pub(crate) fn read_lists(
    uuid: &Value<'_, '_>,
    messaging: &Value<'_, '_>,
    services: &mut Services,
) -> Result<(), Refusal> {
    let uuids = uuid.entries(4, "16 bytes for each service, <w1 w2 w3 w4>")?;
    const EACH: &str = "one cell, or one for each UUID";
    must_be_present(messaging)?;
    let one = messaging.bytes().len() == 4;
    if !one && messaging.bytes().len().saturating_mul(4) != uuid.bytes().len() {
        return Err(messaging.length(EACH));
    }
    for (n, words) in uuids.as_flattened().as_chunks().0.iter().enumerate() {
        let method = word(messaging.bytes(), if one { 0 } else { n });
        push(services, uuid, &Uuid(*words), messaging, method.into())?;
    }
    Ok(())
}

table! {
    static SERVICES = [Property::compatible("compatible: arm,ffa-manifest-services")];
}

table! {
    static SERVICE = [
        Property::string("uuid: xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx in hexadecimal digits").required(),
        Property::number("messaging-method"),
    ];
}

/// Reads the 1.1 binding: a node for each service.
pub(crate) fn read_nodes(node: &Node<'_>, services: &mut Services, warn: &mut impl Warn) -> Result<(), Refusal> {
    node.read(&SERVICES, &mut node.room(), warn)?;
    node.each_child(&mut |service| {
        let mut room = service.room();
        let [uuid, messaging, ..] = service.read(&SERVICE, &mut room, warn)?;
        must_be_present(messaging)?;
        // As in Hafnium, its digits are the words w1-w4 in reading order, so that "b4b5671e-4a90-..." is the same
        // service as <0xb4b5671e 0x4a90...> of the 1.0 binding.
        let words = Uuid::parse(uuid.text()).map_err(|_| uuid.text_out_of_rule(uuid.text()))?;
        push(services, uuid, &words, messaging, messaging.number)
    })?;
    if services.is_empty() {
        return Err(node.missing("at least one service node: service0 { uuid; messaging-method; }"));
    }
    Ok(())
}

/// Adds a service, its UUID given as big-endian words w1-w4.
#[inline(never)]
fn push(
    services: &mut Services,
    v: &Value<'_, '_>,
    words: &Uuid,
    messaging: &Value<'_, '_>,
    bits: u64,
) -> Result<(), Refusal> {
    let (low, high) = words.pair();
    // Each word turned round.
    let uuid = Uuid::from_pair(low.swap_bytes().rotate_left(32), high.swap_bytes().rotate_left(32));
    let known = u16::try_from(bits).ok().and_then(Messaging::from_bits).filter(|m| !m.is_empty());
    let known = known.ok_or_else(|| messaging.wrong(bits, METHODS))?;
    if uuid.is_nil() {
        return Err(v.wrong(0, "a UUID that is not nil"));
    }
    if services.iter().any(|s| s.uuid == uuid) {
        let cause = Cause::duplicate_uuid(uuid, "this partition");
        return Err(v.refuse(cause, "name each service once"));
    }
    let too_many = |_| v.too_many(MAX_SERVICES);
    services.try_push(Service { uuid, messaging: known }).map_err(too_many)
}
