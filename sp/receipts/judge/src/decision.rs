// SPDX-License-Identifier: MIT OR Apache-2.0
//! Authorization decisions: what an authority allowed, and whether it is about this action.

use crate::canon::{Sink, write_string};
use crate::crypto::{Hasher, PublicKey, check_signed, derive_id, parse_signature, refuse_small_order};
use crate::format::{ACTION, DECISION, SIGNED_DECISION};
use crate::receipt::params_hash;
use crate::schema::{Duplicates, Record};
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use crate::{Instant, Judge, parse_receipt};
use ed25519_dalek::Signature;

impl Judge {
    /// Verifies a decision alone: signature, a trusted authority, and that it is about this action of this principal.
    pub fn verify_decision(
        &self,
        text: &[u8],
        trusted: &[PublicKey],
        action: &[u8],
        principal: Option<&str>,
    ) -> Result<(), Verdict> {
        let (document, about) = (parse_receipt(text)?, parse_receipt(action)?);
        let decision = Record::read(document.root(), &DECISION, Field::AuthzDecision, Duplicates::Refused)?;
        let action = Record::read(about.root(), &ACTION, Field::Action, Duplicates::Refused)?;
        let (key, signature) = verify(&decision)?;
        refuse_untrusted(&key, trusted)?;
        verify_for_action(&decision, &action, principal, self.now)?;
        if self.is_strict() { refuse_weak(&key, &signature) } else { Ok(()) }
    }
}

/// Verifies a decision under the key of the authority that it names, and gives that key and the signature.
pub(crate) fn verify(decision: &Record<'_>) -> Result<(PublicKey, Signature), Verdict> {
    if decision.number(Field::V) != 1 {
        return refuse(Class::DecisionInvalid, Field::V, Reason::Unsupported);
    }
    let (id, sig) = (decision.text(Field::DecisionId), decision.text(Field::Sig));
    if id.is_empty() || sig.is_empty() {
        let field = if id.is_empty() { Field::DecisionId } else { Field::Sig };
        return refuse(Class::DecisionInvalid, field, Reason::Empty);
    }
    let signature = parse_signature(sig).map_err(|verdict| verdict.with_class(Class::DecisionInvalid))?;
    if id != derive_id("dec_", &signature) {
        return refuse(Class::DecisionInvalid, Field::DecisionId, Reason::Mismatch);
    }
    let key = PublicKey::parse(decision.text(Field::AuthorityPubkey), Field::AuthorityPubkey)?;
    check_signed(decision, &SIGNED_DECISION, &key, &signature)
        .map(|()| (key, signature))
        .map_err(|verdict| Verdict { field: Field::AuthzDecision, ..verdict })
}

/// Refuses a decision whose authority is not one of these.
pub(crate) fn refuse_untrusted(authority: &PublicKey, trusted: &[PublicKey]) -> Result<(), Verdict> {
    if trusted.contains(authority) {
        return Ok(());
    }
    refuse(Class::AuthorityMismatch, Field::AuthorityPubkey, Reason::Untrusted)
}

/// Refuses, beyond the reference, a decision under a small-order key.
pub(crate) fn refuse_weak(authority: &PublicKey, verified: &Signature) -> Result<(), Verdict> {
    refuse_small_order(authority, verified, Field::AuthorityPubkey)
}

/// Checks that a decision is about this action, is in force, and names the principal that signs.
pub(crate) fn verify_for_action(
    decision: &Record<'_>,
    action: &Record<'_>,
    principal: Option<&str>,
    now: Instant,
) -> Result<(), Verdict> {
    if decision.text(Field::IntentHash) != intent_hash(action)? {
        return refuse(Class::DecisionInvalid, Field::IntentHash, Reason::Mismatch);
    }
    match decision.optional_text(Field::ExpiresAt).map(Instant::parse) {
        None => {}
        Some(None) => return refuse(Class::DecisionInvalid, Field::ExpiresAt, Reason::Malformed),
        Some(Some(expiry)) if now > expiry => {
            return refuse(Class::DecisionInvalid, Field::ExpiresAt, Reason::Expired);
        }
        Some(Some(_)) => {}
    }
    match principal {
        Some(principal) if principal == decision.text(Field::Subject) => Ok(()),
        Some(_) => refuse(Class::DecisionInvalid, Field::Subject, Reason::Mismatch),
        None => refuse(Class::DecisionInvalid, Field::Principal, Reason::Missing),
    }
}

fn intent_hash(action: &Record<'_>) -> Result<alloc::string::String, Verdict> {
    let mut hasher = Hasher::default();
    hasher.put(b"{\"params_hash\":");
    write_string(&params_hash(action)?.text(), &mut hasher);
    hasher.put(b",\"target\":");
    write_string(action.text(Field::Target), &mut hasher);
    hasher.put(b",\"tool\":");
    write_string(action.text(Field::Tool), &mut hasher);
    hasher.put(b",\"transport\":");
    write_string(&action.text(Field::Transport).to_lowercase(), &mut hasher);
    hasher.put(b"}");
    Ok(hasher.finish().text())
}
