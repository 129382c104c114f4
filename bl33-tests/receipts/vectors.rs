// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every vector of the reference, inside the partition: the same verdict, class and values.

use crate::call::{ask_number, expect_answer};
use bl33::harness::{Case, Failure, Outcome, expect};
use bl33::println;
use receipts_client::packed::Steps;

/// The packed vectors.
pub(crate) const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vectors.bin"));

pub(crate) const CASES: &[Case] = &[
    Case::new("receipts::vectors_v1", || group("v1", 116)).noisy(),
    Case::new("receipts::vectors_v2", || group("v2", 16)).noisy(),
    Case::new("receipts::vectors_v3", || group("v3", 30)).noisy(),
    Case::new("receipts::vectors_v4", || group("v4", 34)).noisy(),
    Case::new("receipts::vectors_delegation", || group("del", 4)).noisy(),
    Case::new("receipts::vectors_decision", || group("dec", 10)).noisy(),
    Case::new("receipts::vectors_revocation", || group("rev", 5)).noisy(),
    Case::new("receipts::vectors_request", || group("req", 25)).noisy(),
    Case::new("receipts::vectors_audit", || group("audit", 18)).noisy(),
    Case::new("receipts::canonical_forms", || group("jcs", 473)).noisy(),
    Case::new("receipts::signed_bytes", || group("signable", 13)).noisy(),
];

/// Tells whether a case belongs to a group: `001_v1_...`, `jcs 1`.
fn is_of(name: &[u8], group: &str) -> bool {
    let start = if name.first().is_some_and(u8::is_ascii_digit) { 4 } else { 0 };
    let group = group.as_bytes();
    let end = start + group.len();
    name.get(start..end) == Some(group) && matches!(name.get(end), Some(b'_' | b' '))
}

/// Runs the cases of a group, of which there must be so many. Tells every one that differs.
fn group(group: &str, expected: u64) -> Outcome {
    let (mut cases, mut wanted, mut differ) = (0, false, 0);
    let mut name: &[u8] = b"";
    let mut first = Ok(());
    let mut steps = Steps::new(PACKED);
    for step in &mut steps {
        if !step.name.is_empty() {
            name = step.name;
            wanted = is_of(name, group);
            cases += u64::from(wanted);
        }
        if !wanted {
            continue;
        }
        let outcome = run(&step);
        if let Err(failure) = &outcome {
            println!("# {}: {failure}", core::str::from_utf8(name).unwrap_or("?"));
            differ += 1;
            first = first.and(outcome);
        }
    }
    if !steps.is_done() {
        return Err(Failure::because("all vectors could be read", cases));
    }
    println!("# {cases} cases of {group}, {differ} differ");
    expect("cases", cases, expected)?;
    first
}

fn run(step: &receipts_client::packed::Step<'_>) -> Outcome {
    let reply = ask_number(step.operation, step.flags, step.message)?;
    expect("class", u64::from(reply.code >> 16), step.class.into())?;
    if let Some(value) = step.value {
        expect("value", reply.values[0], value)?;
    }
    step.answer.map_or(Ok(()), |answer| expect_answer(&reply, answer))
}
