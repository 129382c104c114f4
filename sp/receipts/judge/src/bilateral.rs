// SPDX-License-Identifier: MIT OR Apache-2.0
//! Receipts of version 3: the agent's receipt, co-signed by the server that served it.

use crate::canon::{self, Output, Sink, write_string};
use crate::crypto::{Hasher, PublicKey, derive_id, encode, refuse_small_order};
use crate::format::{BILATERAL, OUTCOME, RECEIPT, SIGNED_BILATERAL};
use crate::receipt::{signer_key, verify_signature};
use crate::replay::ReplayCache;
use crate::schema::{Duplicates, Record};
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use crate::{Document, Instant, Judge, Purpose, parse_receipt};
use alloc::string::String;
use alloc::vec::Vec;
use ed25519_dalek::{Signature, Signer as _, SigningKey};

/// The default for the whole seconds between the agent's timestamp and the server's.
pub const MAX_GAP: u64 = 300;

/// How long the nonce of a co-signed receipt is remembered, in seconds.
pub const HOLD_SECONDS: u32 = 3600;

/// The verdict when the receipt names another server than the caller.
pub(crate) const OTHER_SERVER: Verdict = Verdict::new(Class::InvalidReceipt, Field::Server, Reason::Mismatch);

/// What a co-signed receipt is checked against.
#[derive(Clone, Copy)]
pub struct BilateralOptions<'a> {
    /// The most whole seconds between the agent's timestamp and the server's; 0 for any.
    pub max_gap: u64,
    /// The only agent that is accepted.
    pub trusted_agent: Option<&'a PublicKey>,
    /// The session that the action must belong to.
    pub session: Option<&'a str>,
    /// The call that the action must be.
    pub call_id: Option<&'a str>,
    /// Live or forensic.
    pub purpose: Purpose,
}

impl Default for BilateralOptions<'_> {
    fn default() -> Self {
        Self { max_gap: MAX_GAP, trusted_agent: None, session: None, call_id: None, purpose: Purpose::Live }
    }
}

/// How far an accepted co-signed receipt can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentTrust {
    /// The agent's receipt verifies under the key that it carries itself.
    SelfConsistent,
    /// That key is the one that the caller trusts.
    Trusted,
}

impl Judge {
    /// Verifies a co-signed receipt under the server's key.
    pub fn verify_bilateral(
        &self,
        text: &[u8],
        server: &PublicKey,
        options: &BilateralOptions<'_>,
        replay: Option<&mut ReplayCache<'_>>,
    ) -> Result<AgentTrust, Verdict> {
        let document = parse_receipt(text)?;
        let receipt = Record::read(document.root(), &BILATERAL, Field::Document, Duplicates::Refused)?;
        self.verify_bilateral_record(&receipt, server, options, replay)
    }

    pub(crate) fn verify_bilateral_record(
        &self,
        receipt: &Record<'_>,
        server: &PublicKey,
        options: &BilateralOptions<'_>,
        replay: Option<&mut ReplayCache<'_>>,
    ) -> Result<AgentTrust, Verdict> {
        let claimed = receipt.record(Field::Server).map_or("", |server| server.text(Field::Pubkey));
        // Spelled as the caller's key is, it is that key; else it may be no key at all, which is another verdict.
        if claimed != server.text() && PublicKey::parse(claimed, Field::Server)? != *server {
            return Err(OTHER_SERVER);
        }
        let signature = verify_signature(receipt, &SIGNED_BILATERAL, server)?;

        let missing = Verdict::new(Class::InvalidReceipt, Field::AgentReceipt, Reason::Missing);
        let inner = receipt.record(Field::AgentReceipt).ok_or(missing)?;
        let agent = signer_key(&inner)?;
        if options.trusted_agent.is_some_and(|trusted| *trusted != agent) {
            return refuse(Class::InvalidReceipt, Field::Pubkey, Reason::Untrusted);
        }
        self.verify_receipt(&inner, &agent, options.purpose)?;
        check_times(&inner, receipt, options)?;
        check_binding(&inner, options)?;
        self.strict_bilateral(receipt, server, &signature)?;

        if let (Purpose::Live, Some(replay)) = (options.purpose, replay) {
            let recorded = replay.check_and_record(server, receipt.text(Field::Nonce), self.now, HOLD_SECONDS);
            recorded.or_else(|replay| replay.refuse(Class::InvalidReceipt))?;
        }
        Ok(if options.trusted_agent.is_some() { AgentTrust::Trusted } else { AgentTrust::SelfConsistent })
    }

    fn strict_bilateral(&self, receipt: &Record<'_>, server: &PublicKey, signature: &Signature) -> Result<(), Verdict> {
        if !self.is_strict() {
            return Ok(());
        }
        refuse_small_order(server, signature, Field::Server)?;
        if receipt.text(Field::Id) != derive_id("rec_", signature) {
            return refuse(Class::Strict, Field::Id, Reason::Mismatch);
        }
        Ok(())
    }

    /// Co-signs an agent's receipt (version 1 or 4) and what was answered: gives the receipt of version 3 as canonical
    /// JSON. Only a receipt that verifies under `agent` now, and that the co-signed one will still verify with, is
    /// co-signed.
    pub fn cosign(&self, request: &Cosign<'_>, agent: &PublicKey, key: &SigningKey) -> Result<Vec<u8>, Verdict> {
        let document = parse_receipt(request.receipt)?;
        let version = crate::receipt::version(document.root())?;
        if version != 1 && version != 4 {
            return refuse(Class::InvalidReceipt, Field::V, Reason::Unsupported);
        }
        let inner = Record::read(document.root(), &RECEIPT, Field::Document, Duplicates::LastWins)?;
        self.verify_receipt(&inner, agent, Purpose::Live)?;
        check_gap(timestamp(&inner, Field::Ts)?, self.now, MAX_GAP)?;

        let content = Document::parse(request.content, Class::InvalidReceipt)?;
        let mut content_hash = Hasher::default();
        canon::write_value(content.root(), &mut content_hash)?;
        let outcome = match request.outcome {
            Some(text) => Some(Document::parse(text, Class::InvalidReceipt)?),
            None => None,
        };

        let mut response = Output::default();
        response.put(b"{\"content_hash\":");
        write_string(&content_hash.finish().text(), &mut response);
        if let Some(outcome) = &outcome {
            response.put(b",\"outcome\":");
            Record::read(outcome.root(), &OUTCOME, Field::Outcome, Duplicates::LastWins)?.write(&mut response)?;
        }
        response.put(b"}");
        let response = response.finish()?;

        let mut nonce = String::from("rnd_");
        crate::crypto::push_hex(&request.nonce, &mut nonce);
        let server = PublicKey::from(key.verifying_key()).text();
        let body = |signature: Option<(String, String)>| {
            let mut sink = Output::default();
            let out = &mut sink;
            out.put(b"{\"agent_receipt\":");
            inner.write(out)?;
            if let Some((id, _)) = &signature {
                out.put(b",\"id\":");
                write_string(id, out);
            }
            out.put(b",\"nonce\":");
            write_string(&nonce, out);
            out.put(b",\"response\":");
            out.put(&response);
            out.put(b",\"server\":{\"name\":");
            write_string(request.server_name, out);
            out.put(b",\"pubkey\":");
            write_string(&server, out);
            out.put(b"}");
            if let Some((_, sig)) = &signature {
                out.put(b",\"sig\":");
                write_string(sig, out);
            }
            out.put(b",\"ts_response\":");
            write_string(&self.now.text(), out);
            out.put(b",\"v\":3}");
            sink.finish()
        };
        let signature = key.sign(&body(None)?);
        body(Some((derive_id("rec_", &signature), encode(&signature.to_bytes()))))
    }
}

/// What is to be co-signed.
#[derive(Clone, Copy)]
pub struct Cosign<'a> {
    /// The agent's receipt, as JSON.
    pub receipt: &'a [u8],
    /// The content of the answer, any JSON; its hash is what is signed.
    pub content: &'a [u8],
    /// How the call ended: an `outcome` object.
    pub outcome: Option<&'a [u8]>,
    /// The name that the server signs with.
    pub server_name: &'a str,
    /// Fresh random bytes.
    pub nonce: [u8; 16],
}

fn timestamp(record: &Record<'_>, field: Field) -> Result<Instant, Verdict> {
    let malformed = Verdict::new(Class::InvalidReceipt, field, Reason::Malformed);
    Instant::parse(record.text(field)).ok_or(malformed)
}

fn check_times(inner: &Record<'_>, receipt: &Record<'_>, options: &BilateralOptions<'_>) -> Result<(), Verdict> {
    let (agent, server) = (timestamp(inner, Field::Ts)?, timestamp(receipt, Field::TsResponse)?);
    check_gap(agent, server, if options.purpose == Purpose::Live { options.max_gap } else { 0 })
}

fn check_gap(agent: Instant, server: Instant, max_gap: u64) -> Result<(), Verdict> {
    if agent > server {
        return refuse(Class::InvalidReceipt, Field::Ts, Reason::Future);
    }
    if max_gap > 0 && server.seconds_since(agent).unsigned_abs() > max_gap {
        return refuse(Class::InvalidReceipt, Field::TsResponse, Reason::Gap);
    }
    Ok(())
}

fn check_binding(inner: &Record<'_>, options: &BilateralOptions<'_>) -> Result<(), Verdict> {
    let action = inner.record(Field::Action);
    for (field, expected) in [(Field::Session, options.session), (Field::CallId, options.call_id)] {
        let actual = action.map_or("", |action| action.text(field));
        if expected.is_some_and(|expected| expected != actual) {
            return refuse(Class::InvalidReceipt, field, Reason::Mismatch);
        }
    }
    Ok(())
}
