// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is printed of an answer: lines of `name: value`, or one JSON object.

use crate::Command;
use crate::device::Answer;
use call_device::quoted;
use receipts::{Class, Field, Reason};
use receipts_client::{ClockSource, Tag};

/// A value of the report.
enum Value {
    Number(u64),
    Bool(bool),
    Text(String),
    /// Text that is JSON already.
    Json(String),
}

type Entries = Vec<(&'static str, Value)>;

fn text(entries: &mut Entries, answer: &Answer, name: &'static str, tag: Tag) {
    entries.extend(answer.text(tag).map(|text| (name, Value::Text(text))));
}

/// Names the class, field and reason of a verdict.
fn verdict(code: u32) -> Entries {
    let byte = |shift: u32| (code >> shift) as u8;
    let named = |name: Option<&'static str>, number: u8| name.map_or_else(|| format!("#{number}"), String::from);
    vec![
        ("accepted", Value::Bool(code == 0)),
        ("code", Value::Number(code.into())),
        ("class", Value::Text(named(Class::from_number(byte(16)).map(Class::name), byte(16)))),
        ("field", Value::Text(named(Field::from_number(byte(8)).map(Field::name), byte(8)))),
        ("reason", Value::Text(named(Reason::from_number(byte(0)).map(Reason::name), byte(0)))),
    ]
}

/// What the operation tells beside its verdict.
fn details(command: &Command, answer: &Answer, entries: &mut Entries) {
    let [a, b, c] = answer.reply.values;
    let (low, high) = (|value: u64| Value::Number(value & 0xffff_ffff), |value: u64| Value::Number(value >> 32));
    match command {
        Command::Hello => {
            entries.push(("protocol", Value::Text(format!("{}.{}", c >> 48, c >> 32 & 0xffff))));
            entries.push(("max_receipt", low(a)));
            entries.push(("max_chain", Value::Number(a >> 32 & 0xffff)));
            entries.push(("max_nesting", Value::Number(a >> 48)));
            entries.push(("max_message", low(b)));
            entries.push(("replay_room", high(b)));
            for (bit, name) in ["has_key", "has_clock", "has_provisioning_key", "has_trust"].into_iter().enumerate() {
                entries.push((name, Value::Bool(c >> bit & 1 != 0)));
            }
        }
        Command::Verify { .. } | Command::TrustClear => {}
        Command::Append(_) | Command::Head => {
            entries.push(("sequence", Value::Number(a)));
            entries.push(("count", Value::Number(b)));
            text(entries, answer, "hash", Tag::Hash);
            text(entries, answer, "previous", Tag::Previous);
            text(entries, answer, "key", Tag::Key);
        }
        Command::Checkpoint => {
            entries.push(("sequence", Value::Number(a)));
            entries.push(("count", Value::Number(b)));
            entries.extend(answer.text(Tag::Statement).map(|statement| ("statement", Value::Json(statement))));
            entries.extend(
                answer.part(Tag::Signature).map(|signature| ("signature", Value::Text(hexadecimal(signature)))),
            );
        }
        Command::TrustLoad { .. } | Command::TrustQuery => {
            entries.push(("roots", low(a)));
            entries.push(("agents", high(a)));
            entries.push(("servers", low(b)));
            entries.push(("authorities", high(b)));
            text(entries, answer, "bundle", Tag::Hash);
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Gives the report of an answer.
pub(crate) fn show(command: &Command, answer: &Answer, json: bool) -> String {
    let mut entries = verdict(answer.reply.code);
    match answer.reply.clock {
        ClockSource::None => {}
        ClockSource::RtcAtBoot => entries.push(("clock", Value::Text("rtc-at-boot".into()))),
        ClockSource::Caller => entries.push(("clock", Value::Text("caller".into()))),
    }
    if answer.reply.is_accepted() {
        details(command, answer, &mut entries);
    }
    if json {
        let fields: Vec<String> = entries
            .iter()
            .map(|(name, value)| match value {
                Value::Number(number) => format!("\"{name}\":{number}"),
                Value::Bool(bit) => format!("\"{name}\":{bit}"),
                Value::Text(text) => format!("\"{name}\":{}", quoted(text)),
                Value::Json(text) => format!("\"{name}\":{text}"),
            })
            .collect();
        return format!("{{{}}}\n", fields.join(","));
    }
    entries
        .iter()
        .map(|(name, value)| match value {
            Value::Number(number) => format!("{name}: {number}\n"),
            Value::Bool(bit) => format!("{name}: {bit}\n"),
            Value::Text(text) | Value::Json(text) => format!("{name}: {text}\n"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use receipts_client::Reply;

    fn answer(code: u32, values: [u64; 3]) -> Answer {
        let reply = Reply { code, clock: ClockSource::RtcAtBoot, written: 0, values };
        Answer::read(&call_device::pack(&reply.registers())).expect("an answer")
    }

    #[test]
    fn a_refusal_has_names() {
        let code = u32::from(Class::SignatureMismatch as u8) << 16 | u32::from(Field::Sig as u8) << 8;
        let shown = show(&Command::Head, &answer(code, [5, 6, 0]), false);
        assert!(
            shown.starts_with("accepted: false\n") && shown.contains("class: SignatureMismatch\nfield: sig\n"),
            "{shown}"
        );
        assert!(!shown.contains("sequence"), "a refusal tells no head: {shown}");
    }

    #[test]
    fn json_is_one_object() {
        let shown = show(&Command::Head, &answer(0, [5, 6, 0]), true);
        assert!(
            shown.starts_with("{\"accepted\":true,\"code\":0,") && shown.ends_with("\"sequence\":5,\"count\":6}\n"),
            "{shown}"
        );
    }
}
