// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judges signed agent receipts.
//!
//! AI agents' tool calls carry receipts: Ed25519 signatures over canonical JSON, chained by hashes. This crate is the
//! judgement alone: it takes bytes, keys and the time, and gives a [`Verdict`]. It holds no clock, no random source and
//! no transport, so that the partition, the host tool and the tests judge with the same code.
//!
//! There are two modes ([`Mode`]): `Compat` gives the verdicts of the reference implementation (Signet 0.11), `Strict`
//! refuses in addition what the reference is known to let through.
//!
//! No input panics it or makes it recurse deeper than the nesting limit, and memory is bounded by the size of the text.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod audit;
pub mod bilateral;
pub mod canon;
pub mod crypto;
pub mod decision;
pub mod delegation;
mod format;
pub mod json;
pub mod receipt;
pub mod replay;
pub mod request;
pub mod revocation;
mod schema;
pub mod time;
pub mod trust;
pub mod verdict;

pub use crypto::{Hash, PublicKey};
pub use json::Document;
pub use schema::Duplicates;
pub use time::Instant;
pub use verdict::{Class, Field, Reason, Verdict};

/// The largest receipt or request that is judged, in bytes.
pub const MAX_RECEIPT: usize = 65536;

/// The longest delegation chain.
pub const MAX_CHAIN: usize = 16;

/// How much is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What the reference refuses and, beyond that, small-order keys and signatures, keys other than the pinned one,
    /// identifiers that do not follow from the signature, wrong parameter hashes, and replays when memory is full.
    Strict,
    /// What the reference refuses.
    Compat,
}

/// Whether a receipt is judged as it arrives or as a record of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Now: expiry, decisions, windows and replays count.
    Live,
    /// Later: only what the signatures prove counts.
    Forensic,
}

/// Judges with one mode at one time.
#[derive(Debug, Clone, Copy)]
pub struct Judge {
    /// How much is refused.
    pub mode: Mode,
    /// The time by the verifier's own clock, never the caller's.
    pub now: Instant,
}

impl Judge {
    fn is_strict(&self) -> bool {
        self.mode == Mode::Strict
    }
}

/// Parses a receipt or request, within the limit for those.
pub(crate) fn parse_receipt(text: &[u8]) -> Result<Document<'_>, Verdict> {
    if text.len() > MAX_RECEIPT {
        return Err(Verdict::new(Class::Limit, Field::Document, Reason::TooMany));
    }
    Document::parse(text, Class::InvalidReceipt)
}
