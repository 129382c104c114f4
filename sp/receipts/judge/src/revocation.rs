// SPDX-License-Identifier: MIT OR Apache-2.0
//! Revocations. No record of one is no evidence of validity, so the answer is never more than "unknown".

use crate::crypto::{PublicKey, check_signed, derive_id, parse_signature};
use crate::format::{DECISION, REVOCATION, SIGNED_REVOCATION, TOKEN};
use crate::json::Value;
use crate::schema::{Duplicates, Record};
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use crate::{Judge, Mode, parse_receipt};
use alloc::string::String;

/// What is known of the revocation of some artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// No record names one of them.
    Unknown,
    /// Their issuer revoked one.
    Revoked {
        /// When, as the record says.
        at: String,
        /// Who, as the record says.
        by: String,
    },
}

impl Judge {
    /// Looks for a revocation of any of these tokens and decisions, all JSON arrays. A record that names one of them
    /// and does not verify under its issuer's key is an error.
    pub fn check_revocation(&self, tokens: &[u8], decisions: &[u8], records: &[u8]) -> Result<Revocation, Verdict> {
        let (tokens, decisions, records) = (parse_receipt(tokens)?, parse_receipt(decisions)?, parse_receipt(records)?);
        let of = Duplicates::Refused;
        let tokens = tokens.root();
        let decisions = decisions.root();
        for (list, shape) in [(tokens, &TOKEN), (decisions, &DECISION)] {
            list.items().try_for_each(|item| Record::read(item, shape, Field::Document, of).map(drop))?;
        }
        let read = |shape| move |item| Record::read(item, shape, Field::Document, of).ok();
        find(
            self.mode,
            tokens.items().filter_map(read(&TOKEN)),
            decisions.items().filter_map(read(&DECISION)),
            records.root(),
            of,
        )
    }
}

/// Looks through the records in order; the first that names one of the artifacts decides.
pub(crate) fn find<'d>(
    mode: Mode,
    tokens: impl Iterator<Item = Record<'d>> + Clone,
    decisions: impl Iterator<Item = Record<'d>> + Clone,
    records: Value<'_>,
    duplicates: Duplicates,
) -> Result<Revocation, Verdict> {
    let read = |item| Record::read(item, &REVOCATION, Field::Revocations, duplicates);
    records.items().try_for_each(|item| read(item).map(drop))?;
    for item in records.items() {
        let record = read(item)?;
        let id = record.text(Field::ArtifactId);
        let issuer = match record.text(Field::ArtifactType) {
            "delegation_token" => tokens
                .clone()
                .find(|token| is_named(mode, token, Field::Id, "del_", id))
                .and_then(|token| token.record(Field::Delegator))
                .map(|delegator| delegator.text(Field::Pubkey)),
            _ => decisions // the only other type, by the table
                .clone()
                .find(|decision| is_named(mode, decision, Field::DecisionId, "dec_", id))
                .map(|decision| decision.text(Field::AuthorityPubkey)),
        };
        if let Some(issuer) = issuer {
            verify(&record, issuer)?;
            let text = |field| String::from(record.text(field));
            return Ok(Revocation::Revoked { at: text(Field::RevokedAt), by: text(Field::RevokedBy) });
        }
    }
    Ok(Revocation::Unknown)
}

/// Tells whether a record's identifier is that of an artifact. The stated one is not signed, so strict mode derives it.
fn is_named(mode: Mode, artifact: &Record<'_>, field: Field, prefix: &str, id: &str) -> bool {
    match mode {
        Mode::Compat => artifact.text(field) == id,
        Mode::Strict => parse_signature(artifact.text(Field::Sig)).is_ok_and(|sig| derive_id(prefix, &sig) == id),
    }
}

fn verify(record: &Record<'_>, issuer: &str) -> Result<(), Verdict> {
    let malformed = |verdict: Verdict| verdict.with_class(Class::InvalidReceipt);
    let key = PublicKey::parse(issuer, Field::Revocations).map_err(malformed)?;
    let signature = parse_signature(record.text(Field::Sig))?;
    if record.number(Field::V) != 1 {
        return refuse(Class::InvalidReceipt, Field::V, Reason::Unsupported);
    }
    match check_signed(record, &SIGNED_REVOCATION, &key, &signature) {
        Err(verdict) if verdict.class == Class::SignatureMismatch => {
            Err(Verdict { field: Field::Revocations, ..malformed(verdict) })
        }
        other => other,
    }
}
