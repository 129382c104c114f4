// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls with no more memory than the partition has, whatever they hold: what does not fit is a verdict. An allocation
//! that cannot fail and does would end this test's process, as it would end the partition.

mod common;

use cap::Cap;
use common::{call, service};
use receipts::Class;
use receipts_client::{MAX_RECEIPT, Operation, PartWriter, Tag, flags};
use std::alloc::System;

/// The partition's heap (`HEAP` in `sp/receipts/main.rs`), without what it keeps for good: keys, revocations, the
/// ranges of the caller's memory.
const ROOM: usize = 0x48000 - 128 * 224 - 16384 - 6000;

/// Counts what is in use, and refuses more than is allowed: the limit is set while a call runs.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Texts that take the most of one thing or another.
fn worst() -> Vec<String> {
    let fill = |open: &str, item: &str, count: usize, close: &str| {
        let count = count.min((MAX_RECEIPT - open.len() - close.len()) / item.len());
        [open, &item.repeat(count), close].concat()
    };
    let object = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("\"{n:x}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    let nested = |text: String| format!("{{\"v\":1,\"action\":{text},\"receipt\":[{}]}}", &text[..0]);
    vec![
        fill("[0", ",0", 16382, "]"),
        fill("[0", ",1.5", 8190, "]"),
        fill("[0", ",1e9", 8190, "]"),
        fill("[0", ",[]", 16382, "]"),
        fill("[\"\"", ",\"\\n\"", 13000, "]"),
        fill("\"", "x", MAX_RECEIPT, "\""),
        fill("\"", "\\n", MAX_RECEIPT, "\""),
        fill("\"\\n", "x", MAX_RECEIPT, "\""),
        fill("{\"\":0", ",\"\":0", 8100, "}"),
        fill("[0", ",1e20", 3000, "]"),
        object(8000),
        nested(object(7000)),
    ]
}

#[test]
fn what_does_not_fit_is_a_verdict() {
    let (mut service, mut platform) = service();
    let (mut calls, mut accepted, mut refused) = (0, 0, 0);
    for text in worst() {
        let mut message = vec![0; receipts_client::MAX_MESSAGE];
        let mut writer = PartWriter::new(&mut message);
        writer.add(Tag::Receipt, text.as_bytes()).expect("room");
        writer.add(Tag::Key, b"ed25519:6EUPicHmTZe1K+sqGvF5yKneu95/A3cOu5shGlZOuf8=").expect("room");
        writer.add(Tag::Content, b"1").expect("room");
        let used = writer.used();
        message.truncate(used);
        for operation in (0..64).filter_map(Operation::from_number) {
            for bits in [0, flags::COMPAT] {
                let (plenty, _) = call(&mut service, &mut platform, operation, bits, &message);
                // The message itself is part of what the partition has room for.
                ALLOCATOR.set_limit(ALLOCATOR.allocated() + ROOM - message.len()).expect("room");
                let (reply, _) = call(&mut service, &mut platform, operation, bits, &message);
                ALLOCATOR.set_limit(usize::MAX).expect("room");
                calls += 1;
                accepted += usize::from(reply.is_accepted());
                if reply.code != plenty.code {
                    refused += 1;
                    assert_eq!(reply.code >> 16, Class::Limit as u32, "{operation:?} of {:.20}", text);
                }
            }
        }
    }
    println!("{calls} calls, {accepted} accepted, {refused} refused for want of memory");
    assert!(refused > 0, "the limit was reached");
    assert!(accepted > 100, "most of what is JSON is read");
}
