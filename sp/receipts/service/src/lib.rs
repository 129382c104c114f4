// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the receipts partition does with a call: the state that it keeps, and one function that serves.
//!
//! Nothing of the transport is here: a message comes as a copy in the partition's own memory, an answer leaves in
//! such memory, and the time and the random numbers come through [`Platform`].
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod answer;
mod message;
mod operations;
mod seal;
mod state;

pub use receipts_client as protocol;
pub use state::{Config, Damaged, Life, Memory, Platform, Provisioning, Service};

pub use ed25519_dalek::VerifyingKey;

use alloc::vec::Vec;
use protocol::{Call, ClockSource, Operation, Reply, flags};
use receipts::{Class, Field, Reason, Verdict};

/// What an operation gives beside its verdict.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    clock: ClockSource,
    values: [u64; 3],
}

impl Done {
    const fn with(clock: ClockSource, values: [u64; 3]) -> Self {
        Self { clock, values }
    }
}

/// A refusal, with what can be told beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused {
    verdict: Verdict,
    done: Done,
}

impl From<Verdict> for Refused {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, done: Done::with(ClockSource::None, [0; 3]) }
    }
}

pub(crate) const fn bad<T>(field: Field, reason: Reason) -> Result<T, Verdict> {
    Err(Verdict::new(Class::BadRequest, field, reason))
}

impl Service<'_> {
    /// Serves one call: judges the message (the caller's, copied) and gives the answer's parts, no more bytes of them
    /// than the call has room for.
    ///
    /// Whatever the message holds, this returns: a malformed one is a verdict.
    pub fn serve(&mut self, platform: &mut impl Platform, call: Call, message: &[u8]) -> (Reply, Vec<u8>) {
        let mut answer = answer::Answer::new(call.answer.length);
        let outcome = self.dispatch(platform, call, message, &mut answer);
        self.keep();
        let (code, done) = match outcome {
            Ok(done) => (0, done),
            Err(Refused { verdict, done }) => (verdict.code(), done),
        };
        let parts = answer.finish();
        let written = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        (Reply { code, clock: done.clock, written, values: done.values }, parts)
    }

    fn dispatch(
        &mut self,
        platform: &mut impl Platform,
        call: Call,
        message: &[u8],
        answer: &mut answer::Answer,
    ) -> Result<Done, Refused> {
        let Some(operation) = Operation::from_number(call.operation) else {
            return Err(Verdict::new(Class::BadRequest, Field::Operation, Reason::Unsupported).into());
        };
        if call.flags & !flags::ALL != 0 {
            return Err(Verdict::new(Class::BadRequest, Field::Operation, Reason::Malformed).into());
        }
        let message = message::Message::read(message)?;
        let mut ask = operations::Ask { service: self, platform, flags: call.flags, message: &message, answer };
        match operation {
            Operation::Hello => Ok(ask.hello()),
            Operation::Verify => ask.verify(),
            Operation::VerifyBilateral => ask.verify_bilateral(),
            Operation::VerifyRequest => ask.verify_request(),
            Operation::VerifyAuthorized => ask.verify_authorized(),
            Operation::VerifyDelegation => ask.verify_delegation(),
            Operation::VerifyDecision => ask.verify_decision(),
            Operation::CheckRevocation => ask.check_revocation(),
            Operation::Canonicalize => ask.canonicalize(),
            Operation::SignedBytes => ask.signed_bytes(),
            Operation::VerifySignature => ask.verify_signature(),
            Operation::Append => ask.append(),
            Operation::Head => ask.head(),
            Operation::Checkpoint => ask.checkpoint(),
            Operation::VerifyLines => ask.verify_lines(),
            Operation::VerifyToHead => ask.verify_to_head(),
            Operation::VerifyRecorded => ask.verify_recorded(),
            Operation::Cosign => ask.cosign(),
            Operation::TrustLoad => ask.trust_load(),
            Operation::TrustQuery => ask.trust_query(),
            Operation::TrustClear => ask.trust_clear(),
            Operation::CompatReplayClear => ask.compat_replay_clear(),
        }
    }
}
