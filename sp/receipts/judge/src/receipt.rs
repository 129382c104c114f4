// SPDX-License-Identifier: MIT OR Apache-2.0
//! Receipts of any version under one key: what a signature says, and what it is signed over.

use crate::bilateral::BilateralOptions;
use crate::crypto::{Hash, Hasher, PublicKey, check_signed, derive_id, parse_signature, refuse_small_order};
use crate::format::{BILATERAL, COMPOUND, RECEIPT, SIGNED_AUTHORIZED, SIGNED_COMPOUND, SIGNED_RECEIPT};
use crate::json::Value;
use crate::replay::ReplayCache;
use crate::schema::{Duplicates, Record, Signed};
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use crate::{Instant, Judge, Purpose, canon, decision, parse_receipt};
use ed25519_dalek::Signature;

/// Finds the version of a receipt: an integer, whatever else it may be.
pub(crate) fn version(receipt: Value<'_>) -> Result<u64, Verdict> {
    let found = receipt.get(Field::V.name()).and_then(Value::as_u64);
    found.ok_or(Verdict::new(Class::InvalidReceipt, Field::V, Reason::WrongType))
}

impl Judge {
    /// Verifies a receipt of any version under the given key: the agent's, or of version 3 the server's.
    ///
    /// `replay` records the nonce of a live receipt of version 3; without it, replays of those are not noticed.
    pub fn verify_any(
        &self,
        text: &[u8],
        key: &PublicKey,
        purpose: Purpose,
        replay: Option<&mut ReplayCache<'_>>,
    ) -> Result<(), Verdict> {
        let document = parse_receipt(text)?;
        self.verify_value(document.root(), key, purpose, replay)
    }

    /// Verifies a receipt of version 1 read as a structure: the version is not looked at, and a field given twice is
    /// refused.
    pub fn verify_struct(&self, text: &[u8], key: &PublicKey) -> Result<(), Verdict> {
        let document = parse_receipt(text)?;
        let receipt = Record::read(document.root(), &RECEIPT, Field::Document, Duplicates::Refused)?;
        self.verify_receipt(&receipt, key, Purpose::Live)
    }

    pub(crate) fn verify_value(
        &self,
        receipt: Value<'_>,
        key: &PublicKey,
        purpose: Purpose,
        replay: Option<&mut ReplayCache<'_>>,
    ) -> Result<(), Verdict> {
        let read = |of| Record::read(receipt, of, Field::Document, Duplicates::LastWins);
        match version(receipt)? {
            1 => self.verify_receipt(&read(&RECEIPT)?, key, purpose),
            2 => self.verify_compound(&read(&COMPOUND)?, key),
            3 => {
                let options = BilateralOptions { purpose, ..BilateralOptions::default() };
                let mismatch = Verdict::new(Class::SignatureMismatch, Field::Pubkey, Reason::Mismatch);
                match self.verify_bilateral_record(&read(&BILATERAL)?, key, &options, replay) {
                    Ok(_) => Ok(()),
                    // Under this name the reference calls a key that is not the server's a failed signature.
                    Err(verdict) if verdict == crate::bilateral::OTHER_SERVER => Err(mismatch),
                    Err(verdict) => Err(verdict),
                }
            }
            4 if purpose == Purpose::Live => self.verify_receipt(&read(&RECEIPT)?, key, purpose),
            4 => {
                let receipt = read(&RECEIPT)?;
                if !is_signed_by(&receipt, key) {
                    return refuse(Class::SignatureMismatch, Field::Pubkey, Reason::Mismatch);
                }
                let (_, signature) = self.verify_authorized_signature(&receipt)?;
                self.strict_receipt(&receipt, key, &signature)
            }
            _ => refuse(Class::InvalidReceipt, Field::V, Reason::Unsupported),
        }
    }

    /// Verifies a receipt of version 1 or 4 under a key: signature, then (live) decision and expiry.
    pub(crate) fn verify_receipt(
        &self,
        receipt: &Record<'_>,
        key: &PublicKey,
        purpose: Purpose,
    ) -> Result<(), Verdict> {
        let signature = verify_signature(receipt, &SIGNED_RECEIPT, key)?;
        if purpose == Purpose::Live {
            if let (Some(decision), Some(action)) =
                (receipt.record(Field::AuthzDecision), receipt.record(Field::Action))
            {
                let principal = receipt.record(Field::Signer).and_then(|it| it.optional_text(Field::Principal));
                let (key, signature) = decision::verify(&decision)?;
                decision::verify_for_action(&decision, &action, principal, self.now)?;
                if self.is_strict() {
                    decision::refuse_weak(&key, &signature)?;
                }
            }
            refuse_expired(receipt, self.now)?;
        }
        self.strict_receipt(receipt, key, &signature)
    }

    fn verify_compound(&self, receipt: &Record<'_>, key: &PublicKey) -> Result<(), Verdict> {
        let signature = verify_signature(receipt, &SIGNED_COMPOUND, key)?;
        self.strict_receipt(receipt, key, &signature)
    }

    /// Verifies the signature of a receipt of version 4 under its own signer's key, policy and expiry left out.
    pub(crate) fn verify_authorized_signature(&self, receipt: &Record<'_>) -> Result<(PublicKey, Signature), Verdict> {
        if receipt.record(Field::Authorization).is_none() {
            return refuse(Class::InvalidReceipt, Field::Authorization, Reason::Missing);
        }
        let key = signer_key(receipt)?;
        let signature = verify_signature(receipt, &SIGNED_AUTHORIZED, &key)?;
        Ok((key, signature))
    }

    /// Applies what strict mode adds to a receipt that the reference accepts: a sound key that the signer claims as
    /// its own, an identifier that follows from the signature, and a parameter hash that follows from the parameters.
    pub(crate) fn strict_receipt(
        &self,
        receipt: &Record<'_>,
        key: &PublicKey,
        signature: &Signature,
    ) -> Result<(), Verdict> {
        if !self.is_strict() {
            return Ok(());
        }
        refuse_small_order(key, signature, Field::Pubkey)?;
        if !is_signed_by(receipt, key) {
            return refuse(Class::Strict, Field::Pubkey, Reason::Mismatch);
        }
        if receipt.text(Field::Id) != derive_id("rec_", signature) {
            return refuse(Class::Strict, Field::Id, Reason::Mismatch);
        }
        match receipt.record(Field::Action) {
            Some(action) => strict_params_hash(&action),
            None => Ok(()),
        }
    }
}

/// Checks the signature in `sig` over a part of the structure, and gives it.
pub(crate) fn verify_signature(record: &Record<'_>, part: &Signed, key: &PublicKey) -> Result<Signature, Verdict> {
    let signature = parse_signature(record.text(Field::Sig))?;
    check_signed(record, part, key, &signature).map(|()| signature)
}

/// Reads the key that the signer claims.
pub(crate) fn signer_key(receipt: &Record<'_>) -> Result<PublicKey, Verdict> {
    PublicKey::parse(signer_pubkey(receipt), Field::Pubkey)
}

/// Gives the key that the signer claims, as it is spelled.
pub(crate) fn signer_pubkey<'d>(receipt: &Record<'d>) -> &'d str {
    receipt.record(Field::Signer).map_or("", |signer| signer.text(Field::Pubkey))
}

fn is_signed_by(receipt: &Record<'_>, key: &PublicKey) -> bool {
    signer_pubkey(receipt) == key.text()
}

fn refuse_expired(receipt: &Record<'_>, now: Instant) -> Result<(), Verdict> {
    match receipt.optional_text(Field::Exp).map(Instant::parse) {
        None => Ok(()),
        Some(None) => refuse(Class::InvalidReceipt, Field::Exp, Reason::Malformed),
        Some(Some(expiry)) if now > expiry => refuse(Class::InvalidReceipt, Field::Exp, Reason::Expired),
        Some(Some(_)) => Ok(()),
    }
}

/// Computes the parameter hash of an action. Without parameters, a given hash stands (if it is one), and an empty one
/// is that of `{}`.
pub(crate) fn params_hash(action: &Record<'_>) -> Result<Hash, Verdict> {
    let given = action.text(Field::ParamsHash);
    let params = action.get(Field::Params).filter(|params| !params.is_null());
    match params {
        Some(params) => {
            let mut hasher = Hasher::default();
            canon::write_value(params, &mut hasher)?;
            Ok(hasher.finish())
        }
        None if given.is_empty() => Ok(Hash::of(b"{}")),
        None => Hash::parse(given).ok_or(Verdict::new(Class::InvalidReceipt, Field::ParamsHash, Reason::Malformed)),
    }
}

fn strict_params_hash(action: &Record<'_>) -> Result<(), Verdict> {
    let computed = params_hash(action).map_err(|verdict| verdict.with_class(Class::Strict))?;
    if Hash::parse(action.text(Field::ParamsHash)) == Some(computed) {
        Ok(())
    } else {
        refuse(Class::Strict, Field::ParamsHash, Reason::Mismatch)
    }
}

/// Writes the bytes that the signature of a receipt covers; for a token, decision or revocation likewise.
pub fn signed_bytes(text: &[u8]) -> Result<alloc::vec::Vec<u8>, Verdict> {
    use crate::format::{
        DECISION, REVOCATION, SIGNED_BILATERAL, SIGNED_DECISION, SIGNED_REVOCATION, SIGNED_TOKEN, TOKEN,
    };
    let document = parse_receipt(text)?;
    let root = document.root();
    let has = |field: Field| root.get(field.name()).is_some();
    let (of, part) = match version(root)? {
        1 if has(Field::Delegator) => (&TOKEN, &SIGNED_TOKEN),
        1 if has(Field::DecisionId) => (&DECISION, &SIGNED_DECISION),
        1 if has(Field::ArtifactId) => (&REVOCATION, &SIGNED_REVOCATION),
        1 => (&RECEIPT, &SIGNED_RECEIPT),
        2 => (&COMPOUND, &SIGNED_COMPOUND),
        3 => (&BILATERAL, &SIGNED_BILATERAL),
        4 => (&RECEIPT, &SIGNED_AUTHORIZED),
        _ => return refuse(Class::InvalidReceipt, Field::V, Reason::Unsupported),
    };
    let mut out = canon::Output::of_about(text.len());
    Record::read(root, of, Field::Document, Duplicates::LastWins)?.write_signed(part, &mut out)?;
    out.finish()
}
