// SPDX-License-Identifier: MIT OR Apache-2.0
//! A service on a platform that the test turns.
#![allow(dead_code)] // each test uses its part

use ed25519_dalek::SigningKey;
use receipts::Instant;
use receipts_client::{Call, MAX_ANSWER, Operation, Reply, Span, Tag};
use receipts_service::{Config, Life, Memory, Platform, Provisioning, Service};

pub(crate) struct Turned {
    pub(crate) now: Option<Instant>,
    /// The next random byte; `None` for no source.
    pub(crate) random: Option<u8>,
    /// What its clock counts from; 0 until it was started.
    pub(crate) counts_from: u64,
}

impl Platform for Turned {
    fn now(&mut self) -> Option<Instant> {
        self.now
    }

    fn ticks(&mut self) -> u64 {
        0
    }

    fn random(&mut self, bytes: &mut [u8]) -> bool {
        let Some(next) = &mut self.random else { return false };
        for byte in bytes {
            *next = next.wrapping_add(1);
            *byte = *next;
        }
        true
    }

    fn start_clock(&mut self) -> [u64; 2] {
        self.counts_from = 1234;
        [self.counts_from, 5678]
    }

    fn resume_clock(&mut self, from: [u64; 2]) {
        assert_eq!(from[1], 5678);
        self.counts_from = from[0];
    }
}

pub(crate) fn platform() -> Turned {
    Turned { now: Instant::parse("2026-11-20T21:20:18Z"), random: Some(0), counts_from: 0 }
}

pub(crate) fn provisioning() -> SigningKey {
    SigningKey::from_bytes(&[99; 32])
}

pub(crate) fn config() -> Config {
    Config { server_name: "hematite", provisioning: Provisioning::Test(provisioning().verifying_key()) }
}

/// Memory for a service that remembers eight nonces, of an age before its first life.
pub(crate) fn memory() -> Vec<u64> {
    vec![0; Memory::FIXED + 2 * 8]
}

/// Starts a service in some memory.
pub(crate) fn start<'s>(memory: &'s mut [u64], platform: &mut Turned) -> (Service<'s>, Life) {
    Service::start(config(), Memory::of(memory).expect("room"), platform).expect("sound")
}

pub(crate) fn service() -> (Service<'static>, Turned) {
    let mut platform = platform();
    (start(memory().leak(), &mut platform).0, platform)
}

/// Makes one call and gives the reply with the bytes of its answer.
pub(crate) fn call(
    service: &mut Service<'_>,
    platform: &mut Turned,
    operation: Operation,
    flags: u16,
    message: &[u8],
) -> (Reply, Vec<u8>) {
    let call = Call {
        operation: operation as u16,
        flags,
        handle: 0,
        message: Span::default(),
        answer: Span { offset: 0, length: MAX_ANSWER as u32 },
    };
    service.serve(platform, call, message)
}

/// Finds a part of an answer.
pub(crate) fn part(answer: &[u8], tag: Tag) -> Option<&[u8]> {
    receipts_client::Parts::new(answer).map(|part| part.expect("parts")).find(|part| part.0 == tag).map(|part| part.1)
}
