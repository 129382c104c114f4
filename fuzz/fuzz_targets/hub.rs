// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a call of the hub's management service, as an envelope, and as each record that the service lists: an
//! accepted call or envelope has no bit that means nothing, and an accepted record is written as it was read.
#![no_main]

use ffa_abi::envelope::{self, Envelope};
use ffa_abi::hub::{
    DEAD_LETTER_RECORD, DeadLetterRecord, EVENT_RECORD, EventRecord, HubCall, PARTITION_RECORD, PartitionRecord,
    ROUTE_RECORD, RouteRecord, WINDOW_RECORD, WindowRecord,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((head, rest)) = bytes.split_first_chunk::<40>() {
        let mut x = [0; 5];
        for (word, bytes) in x.iter_mut().zip(head.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        match HubCall::decode(x) {
            Ok(call) => assert_eq!(call.encode(), x, "{call:?}"),
            Err(why) => assert!(!why.text().is_empty()),
        }
        if let Some(bytes) = rest.first_chunk::<{ envelope::SIZE }>()
            && let Ok(envelope) = Envelope::decode(bytes)
        {
            assert_eq!(envelope.encode(), *bytes, "{envelope:?}");
        }
    }
    if let Some(record) = bytes.first_chunk::<WINDOW_RECORD>()
        && let Some(window) = WindowRecord::decode(record)
    {
        assert_eq!(WindowRecord::decode(&window.encode()), Some(window));
    }
    if let Some(record) = bytes.first_chunk::<PARTITION_RECORD>()
        && let Some(partition) = PartitionRecord::decode(record)
    {
        assert_eq!(PartitionRecord::decode(&partition.encode()), Some(partition));
    }
    if let Some(record) = bytes.first_chunk::<ROUTE_RECORD>()
        && let Some(route) = RouteRecord::decode(record)
    {
        assert_eq!(RouteRecord::decode(&route.encode()), Some(route));
    }
    if let Some(record) = bytes.first_chunk::<EVENT_RECORD>()
        && let Some(event) = EventRecord::decode(record)
    {
        assert_eq!(EventRecord::decode(&event.encode()), Some(event));
    }
    if let Some(record) = bytes.first_chunk::<DEAD_LETTER_RECORD>()
        && let Some(letter) = DeadLetterRecord::decode(record)
    {
        assert_eq!(DeadLetterRecord::decode(&letter.encode()), Some(letter));
    }
});
