// SPDX-License-Identifier: MIT OR Apache-2.0
//! Delegation: tokens, their chain from a trusted root, and receipts of version 4 that act under one.

use crate::canon::{Output, Sink};
use crate::crypto::{Hasher, PublicKey, derive_id, refuse_small_order};
use crate::format::{RECEIPT, SIGNED_TOKEN, STATED_SCOPE, TOKEN};
use crate::receipt::{signer_pubkey, verify_signature};
use crate::revocation::{self, Revocation};
use crate::schema::{Duplicates, Record};
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use crate::{Document, Instant, Judge, MAX_CHAIN, decision, parse_receipt};
use alloc::vec::Vec;
use ed25519_dalek::Signature;

/// How far the verifier's clock may lag behind the issuer's, in seconds: a token that ends within it has ended.
pub const CLOCK_SKEW: u32 = 60;

/// What a delegated receipt is checked against.
#[derive(Clone, Copy)]
pub struct AuthorizedOptions<'a> {
    /// The keys that a chain may start from.
    pub roots: &'a [PublicKey],
    /// The longest chain; never more than [`MAX_CHAIN`].
    pub max_chain: usize,
    /// The authorities whose decisions count. With them, a decision in the receipt is verified as well.
    pub authorities: Option<&'a [PublicKey]>,
    /// Revocation records, a JSON array. With them, a revoked token or decision is refused.
    pub revocations: Option<&'a [u8]>,
}

impl<'a> AuthorizedOptions<'a> {
    /// Checks against these roots alone.
    pub fn roots(roots: &'a [PublicKey]) -> Self {
        Self { roots, max_chain: MAX_CHAIN, authorities: None, revocations: None }
    }
}

impl Judge {
    /// Verifies a receipt of version 4 with its delegation chain. Gives the effective scope as canonical JSON; in
    /// strict mode without the constraints, which no signature covers.
    pub fn verify_authorized(&self, text: &[u8], options: &AuthorizedOptions<'_>) -> Result<Vec<u8>, Verdict> {
        let document = parse_receipt(text)?;
        let receipt = Record::read(document.root(), &RECEIPT, Field::Document, Duplicates::Refused)?;
        if receipt.number(Field::V) != 4 {
            return refuse(Class::InvalidReceipt, Field::V, Reason::Unsupported);
        }
        let (key, signature) = self.verify_authorized_signature(&receipt)?;
        let missing = Verdict::new(Class::InvalidReceipt, Field::Authorization, Reason::Missing);
        let authorization = receipt.record(Field::Authorization).ok_or(missing)?;
        if chain_hash(&authorization)? != authorization.text(Field::ChainHash) {
            return refuse(Class::ChainError, Field::ChainHash, Reason::Mismatch);
        }

        let (last, signatures) = self.verify_chain(&authorization, options)?;
        if signer_pubkey(&receipt) != side_key(&last, Field::Delegate) {
            return refuse(Class::ChainError, Field::Delegate, Reason::Mismatch);
        }
        let first = authorization.records(Field::Chain).next();
        if first.is_none_or(|first| authorization.text(Field::RootPubkey) != side_key(&first, Field::Delegator)) {
            return refuse(Class::ChainError, Field::RootPubkey, Reason::Mismatch);
        }
        let scope = last.record(Field::Scope).ok_or(missing)?;
        refuse_outside(&receipt, &scope)?;

        self.strict_receipt(&receipt, &key, &signature)?;
        if self.is_strict() {
            let tokens = authorization.records(Field::Chain).zip(&signatures);
            tokens.into_iter().try_for_each(|(token, (key, signature))| strict_token(&token, key, signature))?;
        }
        self.check_decision(&receipt, options)?;
        check_revoked(&receipt, &authorization, options, self)?;

        let mut stated = Output::default();
        if self.is_strict() {
            scope.write_signed(STATED_SCOPE, &mut stated)?;
        } else {
            scope.write(&mut stated)?;
        }
        stated.finish()
    }

    /// Verifies one delegation token: version, signature, and that it has not ended at a time (now, if not given).
    pub fn verify_delegation(&self, text: &[u8], at: Option<Instant>) -> Result<(), Verdict> {
        let document = parse_receipt(text)?;
        let token = Record::read(document.root(), &TOKEN, Field::Document, Duplicates::Refused)?;
        refuse_version(&token)?;
        let key = delegator_key(&token)?;
        let signature = verify_token(&token, &key, at.unwrap_or(self.now))?;
        if self.is_strict() { strict_token(&token, &key, &signature) } else { Ok(()) }
    }

    /// Walks the chain from its root and gives the last token, and the key and signature of each.
    fn verify_chain<'d>(
        &self,
        authorization: &Record<'d>,
        options: &AuthorizedOptions<'_>,
    ) -> Result<(Record<'d>, Vec<(PublicKey, Signature)>), Verdict> {
        let tokens = authorization.records(Field::Chain);
        let length = tokens.clone().count();
        let Some(first) = tokens.clone().next() else {
            return refuse(Class::ChainError, Field::Chain, Reason::Empty);
        };
        if length > options.max_chain.min(MAX_CHAIN) {
            return refuse(Class::ChainError, Field::Chain, Reason::TooMany);
        }
        let root = delegator_key(&first)?;
        if !options.roots.contains(&root) {
            return refuse(Class::ChainError, Field::Delegator, Reason::Untrusted);
        }

        let at = self.now.plus_seconds(CLOCK_SKEW);
        let mut previous: Option<Record<'d>> = None;
        let mut signatures: Vec<(PublicKey, Signature)> = Vec::with_capacity(length);
        for (index, token) in tokens.enumerate() {
            refuse_version(&token)?;
            let key = if index == 0 { root } else { delegator_key(&token)? };
            signatures.push((key, verify_token(&token, &key, at)?));
            if let Some(parent) = &previous {
                if side_key(&token, Field::Delegator) != side_key(parent, Field::Delegate) {
                    return refuse(Class::ChainError, Field::Delegator, Reason::Mismatch);
                }
                check_narrowing(&token, parent)?;
            }
            let remaining = (length - 1).saturating_sub(index) as u64;
            if remaining > token.record(Field::Scope).map_or(0, |scope| scope.number(Field::MaxDepth)) {
                return refuse(Class::ChainError, Field::MaxDepth, Reason::TooMany);
            }
            previous = Some(token);
        }
        Ok((previous.unwrap_or(first), signatures))
    }

    fn check_decision(&self, receipt: &Record<'_>, options: &AuthorizedOptions<'_>) -> Result<(), Verdict> {
        let (Some(authorities), Some(decision)) = (options.authorities, receipt.record(Field::AuthzDecision)) else {
            return Ok(());
        };
        let (key, signature) = decision::verify(&decision)?;
        decision::refuse_untrusted(&key, authorities)?;
        let principal = receipt.record(Field::Signer).and_then(|signer| signer.optional_text(Field::Principal));
        if let Some(action) = receipt.record(Field::Action) {
            decision::verify_for_action(&decision, &action, principal, self.now)?;
        }
        if self.is_strict() { decision::refuse_weak(&key, &signature) } else { Ok(()) }
    }
}

fn check_revoked(
    receipt: &Record<'_>,
    authorization: &Record<'_>,
    options: &AuthorizedOptions<'_>,
    judge: &Judge,
) -> Result<(), Verdict> {
    let Some(text) = options.revocations else { return Ok(()) };
    let document = Document::parse(text, Class::InvalidReceipt)?;
    let decision = receipt.record(Field::AuthzDecision);
    let tokens = authorization.records(Field::Chain);
    match revocation::find(judge.mode, tokens, decision.into_iter(), document.root(), Duplicates::LastWins)? {
        Revocation::Unknown => Ok(()),
        Revocation::Revoked { .. } => refuse(Class::DelegationRevoked, Field::Chain, Reason::Revoked),
    }
}

fn side_key<'d>(token: &Record<'d>, side: Field) -> &'d str {
    token.record(side).map_or("", |side| side.text(Field::Pubkey))
}

/// Hashes the whole tokens of a chain.
fn chain_hash(authorization: &Record<'_>) -> Result<alloc::string::String, Verdict> {
    let mut hasher = Hasher::default();
    let mut before: &[u8] = b"[";
    for token in authorization.records(Field::Chain) {
        hasher.put(before);
        token.write(&mut hasher)?;
        before = b",";
    }
    hasher.put(if before == b"[" { b"[]" } else { b"]" });
    Ok(hasher.finish().text())
}

fn delegator_key(token: &Record<'_>) -> Result<PublicKey, Verdict> {
    PublicKey::parse(side_key(token, Field::Delegator), Field::Delegator)
}

fn refuse_version(token: &Record<'_>) -> Result<(), Verdict> {
    if token.number(Field::V) == 1 { Ok(()) } else { refuse(Class::InvalidReceipt, Field::V, Reason::Unsupported) }
}

/// Verifies a token under its delegator's key, and gives the signature.
fn verify_token(token: &Record<'_>, key: &PublicKey, at: Instant) -> Result<Signature, Verdict> {
    let mismatch = |verdict| Verdict { field: Field::Chain, ..verdict };
    let signature = verify_signature(token, &SIGNED_TOKEN, key).map_err(mismatch)?;
    let expires = token.record(Field::Scope).and_then(|scope| scope.optional_text(Field::Expires));
    match expires.map(Instant::parse) {
        None => Ok(signature),
        Some(None) => refuse(Class::DelegationExpired, Field::Expires, Reason::Malformed),
        Some(Some(expires)) if expires < at => refuse(Class::DelegationExpired, Field::Expires, Reason::Expired),
        Some(Some(_)) => Ok(signature),
    }
}

/// Refuses, beyond the reference, a token of a small-order key and one whose identifier does not follow from its
/// signature: under another identifier, a revocation of it would not be found.
fn strict_token(token: &Record<'_>, key: &PublicKey, signature: &Signature) -> Result<(), Verdict> {
    refuse_small_order(key, signature, Field::Delegator)?;
    if token.text(Field::Id) != derive_id("del_", signature) {
        return refuse(Class::Strict, Field::TokenId, Reason::Mismatch);
    }
    Ok(())
}

fn is_wildcard<'d>(mut items: impl Iterator<Item = &'d str>) -> bool {
    items.next() == Some("*") && items.next().is_none()
}

/// Checks that a token grants no more than its parent.
fn check_narrowing(token: &Record<'_>, parent: &Record<'_>) -> Result<(), Verdict> {
    let (Some(child), Some(parent)) = (token.record(Field::Scope), parent.record(Field::Scope)) else {
        return refuse(Class::ScopeViolation, Field::Scope, Reason::Missing);
    };
    for field in [Field::Tools, Field::Targets] {
        if is_wildcard(parent.texts(field)) {
            continue;
        }
        if is_wildcard(child.texts(field)) {
            return refuse(Class::ScopeViolation, field, Reason::Wildcard);
        }
        if !child.texts(field).all(|item| parent.texts(field).any(|granted| granted == item)) {
            return refuse(Class::ScopeViolation, field, Reason::NotGranted);
        }
    }
    let (most, depth) = (parent.number(Field::MaxDepth), child.number(Field::MaxDepth));
    if most == 0 || depth >= most {
        return refuse(Class::ScopeViolation, Field::MaxDepth, Reason::NotGranted);
    }
    let Some(limit) = parent.optional_text(Field::Expires) else { return Ok(()) };
    let Some(expires) = child.optional_text(Field::Expires) else {
        return refuse(Class::ScopeViolation, Field::Expires, Reason::Missing);
    };
    match (Instant::parse(limit), Instant::parse(expires)) {
        (Some(limit), Some(expires)) if expires <= limit => Ok(()),
        (Some(_), Some(_)) => refuse(Class::ScopeViolation, Field::Expires, Reason::NotGranted),
        (None, _) | (_, None) => refuse(Class::ScopeViolation, Field::Expires, Reason::Malformed),
    }
}

/// Refuses an action whose tool or target the scope does not name.
fn refuse_outside(receipt: &Record<'_>, scope: &Record<'_>) -> Result<(), Verdict> {
    let Some(action) = receipt.record(Field::Action) else {
        return refuse(Class::InvalidReceipt, Field::Action, Reason::Missing);
    };
    for (list, field) in [(Field::Tools, Field::Tool), (Field::Targets, Field::Target)] {
        let wanted = action.text(field);
        if !is_wildcard(scope.texts(list)) && !scope.texts(list).any(|granted| granted == wanted) {
            return refuse(Class::Unauthorized, field, Reason::NotGranted);
        }
    }
    Ok(())
}
