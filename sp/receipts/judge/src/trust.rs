// SPDX-License-Identifier: MIT OR Apache-2.0
//! The keys that are trusted: a bundle, signed by the provisioning key that is fixed at build time.

use crate::bilateral::BilateralOptions;
use crate::crypto::PublicKey;
use crate::format::{BILATERAL, TRUST_BUNDLE};
use crate::json::Value;
use crate::receipt::{signer_key, version};
use crate::replay::ReplayCache;
use crate::schema::{Duplicates, Record};
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use crate::{Document, Hash, Instant, Judge, Purpose, canon, parse_receipt};
use alloc::vec::Vec;
use ed25519_dalek::{Signature, VerifyingKey};

/// The most keys in all sections of a bundle.
pub const MAX_KEYS: usize = 128;

/// The largest bundle, in bytes.
pub const MAX_BUNDLE: usize = 16384;

/// What the provisioning signature covers before the bundle itself, so that it can be no other kind of statement.
pub const SIGNING_CONTEXT: &[u8] = b"hematite receipts trust bundle v1\n";

#[derive(Debug, Clone, Copy)]
struct Trusted {
    key: PublicKey,
    expires: Option<Instant>,
}

/// The loaded trust.
#[derive(Debug, Default)]
pub struct Trust {
    roots: Vec<Trusted>,
    agents: Vec<Trusted>,
    servers: Vec<Trusted>,
    authorities: Vec<Trusted>,
    /// The revocation records as canonical JSON; empty for none.
    revocations: Vec<u8>,
    generated_at: Option<Instant>,
    bundle: Option<Hash>,
}

impl Trust {
    /// Starts with no trust, where a bundle older than `generated_at` is refused.
    pub fn not_before(generated_at: Option<Instant>) -> Self {
        Self { generated_at, ..Self::default() }
    }

    /// Gives the time of the newest bundle that was loaded.
    pub fn generated_at(&self) -> Option<Instant> {
        self.generated_at
    }

    /// Loads a bundle in place of the loaded one. Its signature by the provisioning key covers [`SIGNING_CONTEXT`] and
    /// the bytes of the bundle; a bundle older than one that was loaded before is refused.
    pub fn load(&mut self, bundle: &[u8], signature: &[u8; 64], provisioning: &VerifyingKey) -> Result<(), Verdict> {
        if bundle.len() > MAX_BUNDLE {
            return refuse(Class::Limit, Field::Trust, Reason::TooMany);
        }
        let mut signed = Vec::from(SIGNING_CONTEXT);
        signed.extend_from_slice(bundle);
        if provisioning.verify_strict(&signed, &Signature::from_bytes(signature)).is_err() {
            return refuse(Class::SignatureMismatch, Field::Trust, Reason::Mismatch);
        }
        let document = Document::parse(bundle, Class::TrustBundleParseError)?;
        let record = Record::read(document.root(), &TRUST_BUNDLE, Field::Document, Duplicates::Refused)
            .map_err(|verdict| verdict.with_class(Class::TrustBundleParseError))?;
        let generated_at = validate(&record)?;
        if self.generated_at.is_some_and(|loaded| generated_at < loaded) {
            return refuse(Class::TrustBundleError, Field::GeneratedAt, Reason::Rollback);
        }
        let mut revocations = canon::Output::default();
        if let Some(records) = record.get(Field::Revocations) {
            canon::write_value(records, &mut revocations)?;
        }
        let revocations = revocations.finish()?;
        *self = Self {
            roots: section(&record, Field::Roots)?,
            agents: section(&record, Field::Agents)?,
            servers: section(&record, Field::Servers)?,
            authorities: section(&record, Field::Authorities)?,
            revocations,
            generated_at: Some(generated_at),
            bundle: Some(Hash::of(bundle)),
        };
        Ok(())
    }

    /// Forgets all keys and revocations; an older bundle stays refused.
    pub fn clear(&mut self) {
        *self = Self { generated_at: self.generated_at, ..Self::default() };
    }

    /// Gives the hash of the loaded bundle.
    pub fn bundle(&self) -> Option<Hash> {
        self.bundle
    }

    /// Gives the number of roots, agents, servers and authorities, expired ones included.
    pub fn counts(&self) -> [usize; 4] {
        [self.roots.len(), self.agents.len(), self.servers.len(), self.authorities.len()]
    }

    /// Gives the roots that are in force.
    pub fn roots(&self, now: Instant) -> Vec<PublicKey> {
        active(&self.roots, now).collect()
    }

    /// Gives the authorities that are in force.
    pub fn authorities(&self, now: Instant) -> Vec<PublicKey> {
        active(&self.authorities, now).collect()
    }

    /// Finds the agent's key in force that is spelled so: decoded already, so that nothing has to be decoded here.
    fn agent_spelled(&self, text: &str, now: Instant) -> Option<PublicKey> {
        let bytes = crate::crypto::decode::<32>(text)?;
        active(&self.agents, now).find(|trusted| *trusted.as_bytes() == bytes)
    }

    /// Tells whether this is an agent's key in force.
    pub fn agent(&self, key: &PublicKey, now: Instant) -> bool {
        active(&self.agents, now).any(|trusted| trusted == *key)
    }

    /// Tells whether this is a server's key in force.
    pub fn server(&self, key: &PublicKey, now: Instant) -> bool {
        active(&self.servers, now).any(|trusted| trusted == *key)
    }

    /// Gives the revocation records as a JSON array.
    pub fn revocations(&self) -> &[u8] {
        if self.revocations.is_empty() { b"[]" } else { &self.revocations }
    }
}

fn active(keys: &[Trusted], now: Instant) -> impl Iterator<Item = PublicKey> {
    keys.iter().filter(move |trusted| trusted.expires.is_none_or(|expires| expires >= now)).map(|trusted| trusted.key)
}

impl Judge {
    /// Verifies a receipt of any version under the trusted set: the signer must be a trusted agent, and of version 3
    /// the server a trusted server as well.
    pub fn verify_trusted(
        &self,
        text: &[u8],
        trust: &Trust,
        purpose: Purpose,
        replay: Option<&mut ReplayCache<'_>>,
    ) -> Result<(), Verdict> {
        let document = parse_receipt(text)?;
        let receipt = document.root();
        if version(receipt)? != 3 {
            let key = trusted_signer(receipt, trust, self.now)?;
            return self.verify_value(receipt, &key, purpose, replay);
        }
        let record = Record::read(receipt, &BILATERAL, Field::Document, Duplicates::LastWins)?;
        let claimed = record.record(Field::Server).map_or("", |server| server.text(Field::Pubkey));
        let server = PublicKey::parse(claimed, Field::Server)?;
        if !trust.server(&server, self.now) {
            return refuse(Class::Strict, Field::Server, Reason::Untrusted);
        }
        let missing = Verdict::new(Class::InvalidReceipt, Field::AgentReceipt, Reason::Missing);
        let agent = signer_key(&record.record(Field::AgentReceipt).ok_or(missing)?)?;
        if !trust.agent(&agent, self.now) {
            return refuse(Class::Strict, Field::Pubkey, Reason::Untrusted);
        }
        let options = BilateralOptions { trusted_agent: Some(&agent), purpose, ..BilateralOptions::default() };
        self.verify_bilateral_record(&record, &server, &options, replay).map(drop)
    }

    /// Finds the agent's key that a receipt of version 1, 2 or 4 claims, if it is trusted.
    pub fn trusted_agent(&self, text: &[u8], trust: &Trust) -> Result<PublicKey, Verdict> {
        trusted_signer(parse_receipt(text)?.root(), trust, self.now)
    }
}

fn trusted_signer(receipt: Value<'_>, trust: &Trust, now: Instant) -> Result<PublicKey, Verdict> {
    let signer = receipt.get(Field::Signer.name()).and_then(|signer| signer.get(Field::Pubkey.name()));
    let missing = Verdict::new(Class::InvalidReceipt, Field::Pubkey, Reason::Missing);
    let claimed = signer.and_then(Value::as_str).ok_or(missing)?;
    trust.agent_spelled(claimed, now).ok_or(Verdict::new(Class::Strict, Field::Pubkey, Reason::Untrusted))
}

const fn wrong<T>(field: Field, reason: Reason) -> Result<T, Verdict> {
    refuse(Class::TrustBundleError, field, reason)
}

/// Checks the content of a bundle and gives its time.
fn validate(bundle: &Record<'_>) -> Result<Instant, Verdict> {
    if bundle.number(Field::Version) != 1 {
        return wrong(Field::Version, Reason::Unsupported);
    }
    for field in [Field::BundleId, Field::Org, Field::Env] {
        if bundle.text(field).trim().is_empty() {
            return wrong(field, Reason::Empty);
        }
    }
    if !is_environment(bundle.text(Field::Env)) {
        return wrong(Field::Env, Reason::Malformed);
    }
    let Some(generated_at) = Instant::parse_utc(bundle.text(Field::GeneratedAt)) else {
        return wrong(Field::GeneratedAt, Reason::Malformed);
    };
    let sections = [Field::Roots, Field::Agents, Field::Servers, Field::Authorities];
    if sections.iter().map(|&field| bundle.records(field).count()).sum::<usize>() > MAX_KEYS {
        return refuse(Class::Limit, Field::Trust, Reason::TooMany);
    }
    for field in sections {
        for (index, entry) in bundle.records(field).enumerate() {
            validate_entry(&entry)?;
            for earlier in bundle.records(field).take(index) {
                for unique in [Field::Id, Field::Pubkey] {
                    if earlier.text(unique) == entry.text(unique) {
                        return wrong(unique, Reason::Duplicate);
                    }
                }
            }
        }
    }
    Ok(generated_at)
}

/// `[a-z0-9][a-z0-9_-]{0,31}`
fn is_environment(name: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 32
        && name.bytes().next().is_some_and(first)
        && name.bytes().all(|byte| first(byte) || matches!(byte, b'_' | b'-'))
}

fn validate_entry(entry: &Record<'_>) -> Result<(), Verdict> {
    for field in [Field::Id, Field::Name, Field::Owner] {
        if entry.text(field).trim().is_empty() {
            return wrong(field, Reason::Empty);
        }
    }
    let key = PublicKey::parse(entry.text(Field::Pubkey), Field::Pubkey)
        .map_err(|verdict| verdict.with_class(Class::TrustBundleError))?;
    if key.is_small_order() {
        return refuse(Class::Strict, Field::Pubkey, Reason::SmallOrder);
    }
    let time = |field| match entry.optional_text(field).map(Instant::parse_utc) {
        None => Ok(None),
        Some(None) => wrong(field, Reason::Malformed),
        Some(time) => Ok(time),
    };
    let (created, expires) = (time(Field::CreatedAt)?, time(Field::ExpiresAt)?);
    if expires.is_some_and(|expires| Some(expires) < created) {
        return wrong(Field::ExpiresAt, Reason::Mismatch);
    }
    let (disabled, revoked) = (time(Field::DisabledAt)?, time(Field::RevokedAt)?);
    match entry.text(Field::Status) {
        "disabled" if disabled.is_none() => wrong(Field::DisabledAt, Reason::Missing),
        "revoked" if revoked.is_none() => wrong(Field::RevokedAt, Reason::Missing),
        _ => Ok(()), // active, or with the time that its status needs
    }
}

/// Takes the active keys of a section.
fn section(bundle: &Record<'_>, field: Field) -> Result<Vec<Trusted>, Verdict> {
    let mut keys = Vec::new();
    for entry in bundle.records(field) {
        if entry.text(Field::Status) == "active" {
            let key = PublicKey::parse(entry.text(Field::Pubkey), Field::Pubkey)?;
            keys.push(Trusted { key, expires: entry.optional_text(Field::ExpiresAt).and_then(Instant::parse_utc) });
        }
    }
    Ok(keys)
}
