// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls with no more memory than the partition has, whatever they hold: what does not fit is a verdict. An allocation
//! that cannot fail and does would end this test's process, as it would end the partition.

mod common;

use common::{call, service};
use receipts_client::{MAX_RECEIPT, Operation, PartWriter, Tag, flags};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The partition's heap (`HEAP` in `sp/receipts/main.rs`), without what it keeps for good: keys, revocations, the
/// ranges of the caller's memory.
const ROOM: usize = 0x48000 - 128 * 224 - 16384 - 6000;

struct Bounded;

static USED: AtomicUsize = AtomicUsize::new(0);
/// The most that may be in use: set while a call runs.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes on to the system's allocator what it does not refuse; counting touches no memory that it gives.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if USED.load(Relaxed) + layout.size() > LIMIT.load(Relaxed) {
            REFUSED.fetch_add(1, Relaxed);
            return std::ptr::null_mut();
        }
        USED.fetch_add(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

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
    let (mut calls, mut accepted) = (0, 0);
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
                // The message itself is part of what the partition has room for.
                LIMIT.store(USED.load(Relaxed) + ROOM - message.len(), Relaxed);
                let (reply, _) = call(&mut service, &mut platform, operation, bits, &message);
                LIMIT.store(usize::MAX, Relaxed);
                calls += 1;
                accepted += usize::from(reply.is_accepted());
            }
        }
    }
    println!("{calls} calls, {accepted} accepted, {} allocations refused", REFUSED.load(Relaxed));
    assert!(REFUSED.load(Relaxed) > 0, "the limit was reached");
    assert!(accepted > 100, "most of what is JSON is read");
}
