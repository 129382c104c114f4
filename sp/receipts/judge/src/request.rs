// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server's check of a tool-call request: that this call, with these arguments, is what a trusted agent just signed.

use crate::canon;
use crate::crypto::{PublicKey, parse_signature};
use crate::format::RECEIPT;
use crate::json::{Kind, Number, Value};
use crate::receipt::{signer_key, signer_pubkey};
use crate::replay::ReplayCache;
use crate::schema::{Duplicates, Record};
use crate::trust::Trust;
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use crate::{Instant, Judge, Purpose, parse_receipt};
use alloc::vec::Vec;

/// The default for the age of a receipt, in seconds.
pub const MAX_AGE: u32 = 300;

/// How far a receipt may be ahead of the clock, in seconds.
pub const MAX_AHEAD: u32 = 30;

/// Who may sign a request.
#[derive(Clone, Copy)]
pub enum Signers<'a> {
    /// Anyone whose signature verifies (compat only; strict mode refuses it).
    Any,
    /// These keys.
    Keys(&'a [PublicKey]),
    /// The active agents of the loaded trust.
    Trusted(&'a Trust),
    /// These keys, and the active agents of a bundle that is read as leniently as the reference's server reads it.
    Bundle(&'a [PublicKey], &'a [u8]),
}

/// What a request is checked against.
#[derive(Clone, Copy)]
pub struct RequestOptions<'a> {
    /// Who may sign.
    pub signers: Signers<'a>,
    /// Whether a request without a receipt is refused.
    pub require_signature: bool,
    /// The oldest a receipt may be, in seconds.
    pub max_age: u32,
    /// The target that the receipt must name; empty for any.
    pub target: &'a str,
}

impl Default for RequestOptions<'_> {
    fn default() -> Self {
        Self { signers: Signers::Any, require_signature: true, max_age: MAX_AGE, target: "" }
    }
}

/// What an accepted request is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignerTrust {
    /// There is no receipt, and none was required.
    Unsigned,
    /// The signature verifies under the key that the receipt carries itself.
    SelfConsistent,
    /// That key is one of those that may sign.
    Trusted,
}

const fn reject<T>(field: Field, reason: Reason) -> Result<T, Verdict> {
    refuse(Class::ServerReject, field, reason)
}

impl Judge {
    /// Verifies the parameters of a tool call: `{"name", "arguments", "_meta": {"_signet": receipt}}`.
    ///
    /// `replay` records the nonce; in strict mode there must be one.
    pub fn verify_request(
        &self,
        text: &[u8],
        options: &RequestOptions<'_>,
        replay: Option<&mut ReplayCache<'_>>,
    ) -> Result<SignerTrust, Verdict> {
        let document = parse_receipt(text)?;
        let request = document.root();
        let found = request.get("_meta").and_then(|meta| meta.get("_signet")).filter(|receipt| !receipt.is_null());
        let Some(raw) = found else {
            let verdict = Verdict::new(Class::ServerReject, Field::Receipt, Reason::Missing);
            return if options.require_signature { Err(verdict) } else { Ok(SignerTrust::Unsigned) };
        };
        let malformed = |verdict: Verdict| verdict.with_class(Class::ServerReject);
        let receipt = Record::read(raw, &RECEIPT, Field::Receipt, Duplicates::LastWins).map_err(malformed)?;
        if !raw.is_object() {
            return reject(Field::Receipt, Reason::WrongType);
        }

        let compat = Judge { mode: crate::Mode::Compat, ..*self };
        let verified =
            signer_key(&receipt).and_then(|key| compat.verify_receipt(&receipt, &key, Purpose::Live).map(|()| key));
        let invalid = Verdict::new(Class::ServerReject, Field::Sig, Reason::Mismatch);
        let key = verified.map_err(|_| invalid)?;
        let trust = self.check_signer(&receipt, &key, options)?;
        self.check_age(&receipt, options.max_age)?;
        check_call(request, &receipt, raw, options.target)?;

        if self.is_strict() {
            let signature = parse_signature(receipt.text(Field::Sig))?;
            self.strict_receipt(&receipt, &key, &signature)?;
            if trust != SignerTrust::Trusted {
                return refuse(Class::Strict, Field::Pubkey, Reason::Untrusted);
            }
            if replay.is_none() {
                return refuse(Class::Unavailable, Field::Nonce, Reason::Absent);
            }
        }
        if let Some(replay) = replay {
            let nonce = receipt.text(Field::Nonce);
            if nonce.is_empty() {
                return reject(Field::Nonce, Reason::Empty);
            }
            let hold = options.max_age.saturating_add(MAX_AHEAD).saturating_add(1);
            let recorded = replay.check_and_record(&key, nonce, self.now, hold);
            recorded.or_else(|replay| replay.refuse(Class::ServerReject))?;
        }
        Ok(trust)
    }

    fn check_signer(
        &self,
        receipt: &Record<'_>,
        key: &PublicKey,
        options: &RequestOptions<'_>,
    ) -> Result<SignerTrust, Verdict> {
        let trusted = match options.signers {
            Signers::Any => return Ok(SignerTrust::SelfConsistent),
            Signers::Keys(keys) => keys.contains(key),
            Signers::Trusted(trust) => trust.agent(key, self.now),
            Signers::Bundle(keys, bundle) => {
                bundle_names(bundle, signer_pubkey(receipt), self.now)? || keys.contains(key)
            }
        };
        if trusted { Ok(SignerTrust::Trusted) } else { reject(Field::Pubkey, Reason::Untrusted) }
    }

    fn check_age(&self, receipt: &Record<'_>, max_age: u32) -> Result<(), Verdict> {
        let Some(signed_at) = Instant::parse(receipt.text(Field::Ts)) else {
            return reject(Field::Ts, Reason::Malformed);
        };
        let age = self.now.microseconds_since(signed_at);
        if age > i64::from(max_age) * 1_000_000 {
            return reject(Field::Ts, Reason::TooOld);
        }
        if age < -i64::from(MAX_AHEAD) * 1_000_000 {
            return reject(Field::Ts, Reason::Future);
        }
        Ok(())
    }
}

/// Checks that the receipt is about this call: target, tool and arguments.
fn check_call(request: Value<'_>, receipt: &Record<'_>, raw: Value<'_>, target: &str) -> Result<(), Verdict> {
    let action = receipt.record(Field::Action);
    let text = |field| action.map_or("", |action| action.text(field));
    if !target.is_empty() && target != text(Field::Target) {
        return reject(Field::Target, Reason::Mismatch);
    }
    let name = request.get(Field::Name.name()).filter(|name| !name.is_null());
    if name.is_some_and(|name| name.as_str() != Some(text(Field::Tool))) {
        return reject(Field::Tool, Reason::Mismatch);
    }
    let present = |value: Option<Value<'_>>| value.is_some_and(|value| !value.is_null());
    let signed = raw.get(Field::Action.name()).and_then(|action| action.get(Field::Params.name()));
    let actual = request.get(Field::Arguments.name());
    let same = match (signed, actual) {
        (Some(signed), Some(actual)) => spelled_alike(signed, actual)?,
        (signed, actual) => !present(signed) && !present(actual),
    };
    if same { Ok(()) } else { reject(Field::Params, Reason::Mismatch) }
}

/// Tells whether two values are spelled alike: the same members in the same order, numbers of the same kind. This is
/// narrower than an equal canonical form, and it is what the reference's server compares.
fn spelled_alike(a: Value<'_>, b: Value<'_>) -> Result<bool, Verdict> {
    Ok(match (a.kind(), b.kind()) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Bool(a), Kind::Bool(b)) => a == b,
        (Kind::String(a), Kind::String(b)) => a == b,
        // Not by value: 0.0 and -0.0 are spelled differently.
        (Kind::Number(Number::Float(a)), Kind::Number(Number::Float(b))) => a.to_bits() == b.to_bits(),
        (Kind::Number(a), Kind::Number(b)) => a == b,
        (Kind::Array, Kind::Array) => {
            let (mut a, mut b) = (a.items(), b.items());
            loop {
                match (a.next(), b.next()) {
                    (None, None) => break true,
                    (Some(a), Some(b)) if spelled_alike(a, b)? => {}
                    (Some(_), _) | (_, Some(_)) => break false,
                }
            }
        }
        (Kind::Object, Kind::Object) => {
            let (first, second) = (effective_members(a)?, effective_members(b)?);
            let mut same = first.len() == second.len();
            for (mine, yours) in first.into_iter().zip(second) {
                same = same
                    && a.at(mine.0).as_str() == b.at(yours.0).as_str()
                    && spelled_alike(a.at(mine.1 + 1), b.at(yours.1 + 1))?;
            }
            same
        }
        // Different kinds.
        _ => false,
    })
}

/// Lists the members of an object as a reader keeps them: the key where it came first, and the one whose value counts,
/// where it came last.
fn effective_members(object: Value<'_>) -> Result<Vec<(u32, u32)>, Verdict> {
    let mut members: Vec<(u32, u32)> = Vec::new();
    let mut order: Vec<u32> = Vec::new();
    let no_room = |_| Verdict::new(Class::Limit, Field::Document, Reason::TooMany);
    let count = object.keys().count();
    members.try_reserve_exact(count).map_err(no_room)?;
    order.try_reserve_exact(count).map_err(no_room)?;
    members.extend(object.keys().map(|key| (key.position(), key.position())));
    order.extend(0..count as u32);

    let key = |index: u32| members.get(index as usize).map_or(0, |member| member.0);
    let name = |index: u32| object.at(key(index)).as_str().unwrap_or("");
    canon::sort(&mut order, &|a, b| name(a).cmp(name(b)).then(a.cmp(&b)));
    let mut again: Vec<(u32, u32)> = Vec::new();
    let mut first = None;
    for &index in &order {
        match first {
            Some(first) if name(first) == name(index) => {
                again.try_reserve(1).map_err(no_room)?;
                again.push((first, index));
            }
            _ => first = Some(index),
        }
    }
    // In the order of `order`, so that of several the last one stays.
    for (first, later) in again {
        let last = members.get(later as usize).map_or(0, |member| member.0);
        if let Some(member) = members.get_mut(first as usize) {
            member.1 = last;
        }
        if let Some(member) = members.get_mut(later as usize) {
            member.1 = u32::MAX;
        }
    }
    members.retain(|member| member.1 != u32::MAX);
    Ok(members)
}

/// Tells whether an unsigned bundle names a key as an active agent; only what the reference's server looks at is read.
fn bundle_names(bundle: &[u8], pubkey: &str, now: Instant) -> Result<bool, Verdict> {
    let invalid = Verdict::new(Class::ServerReject, Field::Trust, Reason::Malformed);
    let document = parse_receipt(bundle).map_err(|_| invalid)?;
    let bundle = document.root();
    if !bundle.is_object() {
        return Err(invalid);
    }
    let Some(agents) = bundle.get(Field::Agents.name()) else { return Ok(false) };
    if !matches!(agents.kind(), Kind::Array) {
        return Err(invalid);
    }
    let mut named = false;
    for entry in agents.items() {
        if !entry.is_object() {
            return Err(invalid);
        }
        if entry.get(Field::Status.name()).and_then(Value::as_str) != Some("active") {
            continue;
        }
        let key = entry.get(Field::Pubkey.name()).and_then(Value::as_str).ok_or(invalid)?;
        let expires = match entry.get(Field::ExpiresAt.name()).filter(|value| !value.is_null()) {
            None => None,
            Some(expires) => Some(Instant::parse(expires.as_str().ok_or(invalid)?)),
        };
        if expires.is_none_or(|expires| expires.is_some_and(|expires| expires >= now)) {
            named |= key == pubkey;
        }
    }
    Ok(named)
}
