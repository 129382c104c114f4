// SPDX-License-Identifier: MIT OR Apache-2.0
//! The services of a partition: UUIDs and how they take messages, in both bindings.

use arrayvec::ArrayVec;
use ffa_abi::Uuid;

use super::core_manifest::require_compatible;
use super::node::{At, Node, Value, Warn, read_properties};
use super::refusal::name;
use super::{Cause, MAX_SERVICES, Messaging, Refusal, Service};

type Services = ArrayVec<Service, MAX_SERVICES>;

const METHODS: &str = "bits 0, 1, 2, 9 and 10, at least one";
const METHODS_FIX: &str =
    "set what it does: 1 receives, 2 sends direct requests, 4 indirect, 0x200/0x400 the same for REQ2";

/// Reads the 1.0 binding: `uuid` as words in the order of w1-w4, `messaging-method` one for all or one for each.
pub(crate) fn read_lists(
    at: &At,
    uuid: Option<&Value<'_, '_>>,
    messaging: Option<&Value<'_, '_>>,
) -> Result<Services, Refusal> {
    let uuid = uuid.ok_or_else(|| at.missing("uuid", "four cells for each service", "add uuid = <w1 w2 w3 w4>"))?;
    let messaging = messaging.ok_or_else(|| at.missing("messaging-method", METHODS, METHODS_FIX))?;
    let mut words = uuid.list()?;
    if words.len() == 0 || words.len() % 4 != 0 {
        let cause = Cause::Length { bytes: uuid.bytes.len(), expected: "16 for each service" };
        return Err(uuid.refuse(cause, "write four cells for each service"));
    }
    let count = words.len() / 4;
    let mut methods = messaging.list()?;
    let shared = if methods.len() == 1 { methods.next() } else { None };
    if shared.is_none() && methods.len() != count {
        let cause = Cause::Length { bytes: messaging.bytes.len(), expected: "one cell, or one for each UUID" };
        return Err(messaging.refuse(cause, "write one method for all services, or one for each"));
    }
    let mut services = Services::new();
    while let (Some(a), Some(b), Some(c), Some(d)) = (words.next(), words.next(), words.next(), words.next()) {
        let bits = shared.or_else(|| methods.next()).unwrap_or(0);
        push(&mut services, uuid, Uuid::from_words([a, b, c, d]), read_messaging(messaging, bits)?)?;
    }
    Ok(services)
}

/// Reads the 1.1 binding: a node for each service.
pub(crate) fn read_nodes(at: &At, node: Option<&Node<'_, '_>>, warn: Warn<'_>) -> Result<Services, Refusal> {
    let node = node.ok_or_else(|| at.missing("", "a node \"services\"", "add services { service0 { ... }; }"))?;
    let mut compatible = false;
    read_properties!(node, {
        "compatible" => |v| {
            compatible = true;
            require_compatible(&v, "arm,ffa-manifest-services", "\"arm,ffa-manifest-services\"")?;
        },
        else |other| node.at.warn(warn, other, "is not known and has no effect"),
    });
    if !compatible {
        return Err(node.at.missing("compatible", "\"arm,ffa-manifest-services\"", "add it"));
    }
    let mut services = Services::new();
    for service in node.children() {
        let (mut uuid, mut messaging) = (None, None);
        read_properties!(service, {
            "uuid" => |v| uuid = Some(v),
            "messaging-method" => |v| messaging = Some(v),
            else |other| service.at.warn(warn, other, "is not known and has no effect"),
        });
        let uuid = uuid.ok_or_else(|| service.at.missing("uuid", "a UUID as a string", "add it"))?;
        let messaging = messaging.ok_or_else(|| service.at.missing("messaging-method", METHODS, METHODS_FIX))?;
        let methods = read_messaging(&messaging, messaging.u32()?)?;
        push(&mut services, &uuid, canonical(&uuid)?, methods)?;
    }
    if services.is_empty() {
        return Err(node.at.missing("", "at least one service node", "add service0 { uuid; messaging-method; }"));
    }
    Ok(services)
}

/// Reads a UUID in its 8-4-4-4-12 form. As in Hafnium, its digits are the words w1-w4 in reading order, so that
/// "b4b5671e-4a90-..." is the same service as `<0xb4b5671e 0x4a90...>` of the 1.0 binding.
fn canonical(v: &Value<'_, '_>) -> Result<Uuid, Refusal> {
    let text = v.text()?;
    let uuid = Uuid::parse(text).map_err(|_| {
        let expected = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
        v.refuse(Cause::Text { found: name(text), expected }, "write 32 hexadecimal digits in that form")
    })?;
    let (words, _) = uuid.0.as_chunks::<4>();
    let [a, b, c, d] = words else { return Ok(uuid) };
    Ok(Uuid::from_words([a, b, c, d].map(|w| u32::from_be_bytes(*w))))
}

fn read_messaging(v: &Value<'_, '_>, bits: u32) -> Result<Messaging, Refusal> {
    let known = u16::try_from(bits).ok().and_then(Messaging::from_bits).filter(|m| !m.is_empty());
    known.ok_or_else(|| v.wrong(bits.into(), METHODS, METHODS_FIX))
}

fn push(services: &mut Services, v: &Value<'_, '_>, uuid: Uuid, messaging: Messaging) -> Result<(), Refusal> {
    if uuid.is_nil() {
        return Err(v.wrong(0, "a UUID that is not nil", "write the service's UUID: nil means \"any\" in calls"));
    }
    if services.iter().any(|s| s.uuid == uuid) {
        let cause = Cause::DuplicateUuid { uuid, other: name("this partition") };
        return Err(v.refuse(cause, "name each service once"));
    }
    let cause = Cause::TooMany { limit: MAX_SERVICES };
    services.try_push(Service { uuid, messaging }).map_err(|_| v.refuse(cause, "declare fewer services"))
}
