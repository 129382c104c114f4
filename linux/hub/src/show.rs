// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service's records as rows.

use ffa_abi::PartitionId;
use ffa_abi::envelope::Envelope;
use ffa_abi::hub::{DeadLetterRecord, Description, EventRecord, PartitionRecord, RouteRecord, WindowRecord};

use crate::table::{Row, Value};

/// Whom nobody is.
const NOBODY: u16 = 0xffff;

/// Turns ticks into microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Clock(pub(crate) u32);

impl Clock {
    fn us(self, ticks: u64) -> Value {
        let us = (u128::from(ticks) * 1_000_000).checked_div(self.0.into());
        us.and_then(|us| u64::try_from(us).ok()).map_or(Value::None, Value::Number)
    }

    /// The same, where 0 means that there is none.
    fn maybe(self, ticks: u64) -> Value {
        if ticks == 0 { Value::None } else { self.us(ticks) }
    }
}

fn id(id: PartitionId) -> Value {
    if id.0 == NOBODY { Value::None } else { Value::Id(id.0) }
}

/// Reads words with zeroes behind them.
fn words(bytes: &[u8]) -> Value {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    Value::Text(bytes.get(..end).map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default())
}

pub(crate) fn status(d: &Description) -> Row {
    vec![
        ("version", Value::Text(format!("{}.{}", d.version >> 16, d.version & 0xffff))),
        ("coordinator", id(d.coordinator)),
        ("coordinates", Value::Bool(d.is_caller)),
        ("open_windows", Value::Number(d.open_windows.into())),
        ("most_windows", Value::Number(d.most_windows.into())),
        ("summaries", Value::Number(d.summaries.into())),
        ("evicted_summaries", Value::Number(d.evicted.into())),
        ("counter_hz", Value::Number(d.counter_hz.into())),
        ("free_table_pages", Value::Number(d.table_pages.into())),
        ("next_event", Value::Number(d.next_event)),
    ]
}

pub(crate) fn partition(p: &PartitionRecord) -> Row {
    const NAMES: [&str; 8] = ["reset", "starting", "idle", "running", "blocked", "preempted", "aborted", "stopped"];
    let states = p.states.iter().zip(NAMES).filter(|(n, _)| **n != 0);
    vec![
        ("id", id(p.id)),
        ("name", words(&p.name)),
        ("coordinator", Value::Bool(p.flags & PartitionRecord::COORDINATOR != 0)),
        ("down", Value::Bool(p.flags & PartitionRecord::DOWN != 0)),
        ("contexts", Value::Number(p.contexts.into())),
        ("states", Value::List(states.map(|(n, name)| Value::Text(format!("{name}:{n}"))).collect())),
        ("windows", Value::Number(p.windows.into())),
        ("queued", Value::Number(p.queued.into())),
        ("unacked", Value::Number(p.unacknowledged.into())),
        ("breaker", Value::text(p.breaker.text())),
        ("refusals", Value::Number(p.refusals.into())),
    ]
}

/// Of a partition, some columns.
pub(crate) fn columns(row: Row, names: &[&str]) -> Row {
    row.into_iter().filter(|(name, _)| names.contains(name)).collect()
}

pub(crate) fn window(w: &WindowRecord, clock: Clock) -> Row {
    vec![
        ("window", Value::Number(w.id.into())),
        ("participants", Value::List(w.participants().iter().map(|p| Value::Id(p.0)).collect())),
        ("direction", Value::text(w.direction.text())),
        ("correlation", Value::Number(w.correlation)),
        ("purpose", Value::Text(w.purpose.to_string())),
        ("forward", Value::Number(w.forward.into())),
        ("back", Value::Number(w.back.into())),
        ("limit", Value::Number(w.limit.into())),
        ("opened_us", clock.us(w.opened)),
        ("lifetime_us", clock.us(w.lifetime)),
        ("first_us", clock.maybe(w.first)),
        ("last_us", clock.maybe(w.last)),
        ("closed_us", clock.maybe(w.ended)),
        ("closed", w.closed.map_or(Value::None, |why| Value::text(why.text()))),
    ]
}

pub(crate) fn route(r: &RouteRecord, clock: Clock) -> Row {
    vec![
        ("from", id(r.from)),
        ("to", id(r.to)),
        ("breaker", Value::text(r.breaker.text())),
        ("until_us", clock.maybe(r.until)),
    ]
}

pub(crate) fn event(e: &EventRecord, clock: Clock) -> Row {
    vec![
        ("event", Value::Number(e.sequence)),
        ("time_us", clock.us(e.time)),
        ("what", Value::text(e.kind.text())),
        ("who", id(e.who)),
        ("other", id(e.other)),
        ("detail", Value::Text(format!("{:#x}", e.detail))),
        ("status", if e.status == 0 { Value::None } else { Value::Text(e.status.to_string()) }),
        ("repeats", Value::Number(e.repeats.into())),
        ("text", words(&e.text)),
    ]
}

pub(crate) fn dead_letter(d: &DeadLetterRecord, clock: Clock) -> Row {
    let envelope = Envelope::from_words(d.envelope).ok();
    let number = |of: fn(&Envelope) -> u64| envelope.as_ref().map_or(Value::None, |e| Value::Number(of(e)));
    vec![
        ("number", Value::Number(d.number)),
        ("time_us", clock.us(d.time)),
        ("from", id(d.from)),
        ("to", id(d.to)),
        ("bytes", Value::Number(d.len.into())),
        ("deliveries", Value::Number(d.deliveries.into())),
        ("task", number(|e| e.task)),
        ("correlation", number(|e| e.correlation)),
        ("key", number(|e| e.key)),
        ("reason", Value::text(d.reason.text())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_names() {
        let clock = Clock(62_500_000);
        assert_eq!(clock.us(62_500_000), Value::Number(1_000_000));
        assert_eq!((clock.maybe(0), Clock(0).us(1)), (Value::None, Value::None));
        assert_eq!(words(b"echo\0\0"), Value::text("echo"));
        assert_eq!(id(PartitionId(NOBODY)), Value::None);
    }
}
