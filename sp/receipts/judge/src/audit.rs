// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit log: a chain of hashes over records, whose head and count are kept where no one can rewrite them.
//!
//! The log itself lies with the caller, one JSON record a line. A chain that is consistent in itself can still have
//! lost its end, or be another chain altogether; only the head and the count tell.

use crate::bilateral::BilateralOptions;
use crate::canon::{Sink, write_digits, write_string};
use crate::crypto::{GENESIS, Hash, PublicKey, push_hex, record_hash};
use crate::format::{AUDIT_RECORD, BILATERAL};
use crate::json::Value;
use crate::receipt::signer_key;
use crate::schema::{Duplicates, Record};
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use crate::{Document, Instant, Judge, Purpose, parse_receipt};
use alloc::string::String;
use alloc::vec::Vec;
use ed25519_dalek::{Signer as _, SigningKey};

/// The end of the audit chain, and the order of everything that the verifier recorded or signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditChain {
    /// The hash of the last record.
    pub head: Hash,
    /// The number of records.
    pub count: u64,
    /// The number of records and checkpoints; it never stands still or goes back.
    pub sequence: u64,
}

impl Default for AuditChain {
    fn default() -> Self {
        Self { head: Hash::GENESIS, count: 0, sequence: 0 }
    }
}

/// A record that was appended: with the receipt, what its line in the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its place in the order of events.
    pub sequence: u64,
    /// The number of records, this one included.
    pub count: u64,
    /// `prev_hash`
    pub previous: Hash,
    /// `record_hash`
    pub record: Hash,
}

impl AuditChain {
    /// Appends a receipt, or any other JSON value that the log should hold.
    pub fn append(&mut self, receipt: &[u8]) -> Result<Appended, Verdict> {
        let document = parse_receipt(receipt)?;
        let previous = self.head;
        let record = record_hash(document.root(), &previous.text())?;
        self.head = record;
        self.count = self.count.saturating_add(1);
        self.sequence = self.sequence.saturating_add(1);
        Ok(Appended { sequence: self.sequence, count: self.count, previous, record })
    }

    /// Signs where the chain stands. Gives the statement, canonical JSON that the signature covers, and the signature.
    pub fn checkpoint(&mut self, context: &CheckpointContext<'_>, key: &SigningKey) -> (Vec<u8>, [u8; 64]) {
        self.sequence = self.sequence.saturating_add(1);
        let statement = context.statement(self, &PublicKey::from(key.verifying_key()));
        let signature = key.sign(&statement).to_bytes();
        (statement, signature)
    }

    /// Verifies lines of the log that run up to the head. Lines from the very beginning must also be as many as were
    /// appended, so that neither a lost end nor a rewritten log passes.
    pub fn verify_to_head(&self, lines: &[u8], start: &str) -> Result<Segment, LogFault> {
        let segment = verify_lines(lines, start)?;
        if segment.end != self.head.text() {
            return Err(LogFault::refused(Class::LogMismatch, Field::Head, Reason::Mismatch));
        }
        if start == GENESIS && segment.records != self.count {
            return Err(LogFault::refused(Class::LogMismatch, Field::Count, Reason::Mismatch));
        }
        Ok(segment)
    }
}

/// What a checkpoint says beside the chain itself.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointContext<'a> {
    /// Chosen at random when the verifier starts with an empty chain: another one means that the history was lost.
    pub boot_id: [u8; 16],
    /// The time.
    pub now: Instant,
    /// Where the time comes from.
    pub clock: &'a str,
}

impl CheckpointContext<'_> {
    /// Writes the signed statement: canonical JSON.
    pub fn statement(&self, chain: &AuditChain, key: &PublicKey) -> Vec<u8> {
        let mut boot_id = String::new();
        push_hex(&self.boot_id, &mut boot_id);
        let mut out = Vec::from(&b"{\"boot_id\":"[..]);
        write_string(&boot_id, &mut out);
        out.put(b",\"clock\":");
        write_string(self.clock, &mut out);
        out.put(b",\"count\":");
        write_digits(chain.count, &mut out);
        out.put(b",\"head\":");
        write_string(&chain.head.text(), &mut out);
        out.put(b",\"pubkey\":");
        write_string(&key.text(), &mut out);
        out.put(b",\"sequence\":");
        write_digits(chain.sequence, &mut out);
        out.put(b",\"ts\":");
        write_string(&self.now.text(), &mut out);
        out.put(b",\"type\":\"hematite-audit-checkpoint\",\"v\":1}");
        out
    }
}

/// Some lines of the log that fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// How many records they are.
    pub records: u64,
    /// The hash of the last one: the start of the next segment.
    pub end: String,
}

/// Why lines of the log do not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFault {
    /// What is wrong.
    pub verdict: Verdict,
    /// The line, from 1; 0 if it is none in particular.
    pub line: u64,
    /// The records up to there, that one included.
    pub records: u64,
    /// For a broken link or a wrong hash: what it should be, and what it is.
    pub hashes: Option<(String, String)>,
}

impl LogFault {
    const fn refused(class: Class, field: Field, reason: Reason) -> Self {
        Self { verdict: Verdict::new(class, field, reason), line: 0, records: 0, hashes: None }
    }
}

fn corrupted(verdict: Verdict) -> Verdict {
    match verdict.class {
        Class::Limit => verdict,
        _ => verdict.with_class(Class::CorruptedRecord), // whatever is wrong with its JSON
    }
}

/// Iterates over the lines that hold a record, with their numbers from 1.
pub fn record_lines(lines: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let numbered = (1..).zip(lines.split(|&byte| byte == b'\n'));
    let is_blank = |line: &[u8]| core::str::from_utf8(line).is_ok_and(|line| line.trim().is_empty());
    numbered.filter(move |(_, line)| !is_blank(line))
}

/// Verifies lines of the log among themselves. `start` is the hash before the first one.
pub fn verify_lines(lines: &[u8], start: &str) -> Result<Segment, LogFault> {
    let mut segment = Segment { records: 0, end: String::from(start) };
    for (number, line) in record_lines(lines) {
        segment.records += 1;
        let fault = |verdict, hashes| LogFault { verdict, line: number, records: segment.records, hashes };
        let unreadable = |verdict| fault(corrupted(verdict), None);
        let document = Document::parse(line, Class::CorruptedRecord).map_err(unreadable)?;
        let record = Record::read(document.root(), &AUDIT_RECORD, Field::Document, Duplicates::Refused);
        let record = record.map_err(unreadable)?;

        let broken = |field, expected: String, actual: &str| {
            fault(Verdict::new(Class::LogMismatch, field, Reason::Mismatch), Some((expected, String::from(actual))))
        };
        let (previous, stated) = (record.text(Field::PrevHash), record.text(Field::RecordHash));
        if previous != segment.end {
            return Err(broken(Field::PrevHash, segment.end.clone(), previous));
        }
        let Some(receipt) = record.get(Field::Receipt) else {
            return Err(fault(Verdict::new(Class::CorruptedRecord, Field::Receipt, Reason::Missing), None));
        };
        let computed = record_hash(receipt, previous).map_err(|verdict| fault(verdict, None))?.text();
        if computed != stated {
            return Err(broken(Field::RecordHash, computed, stated));
        }
        segment.end = computed;
    }
    Ok(segment)
}

/// What the signature in a record of the log is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It verifies under the signer's key.
    Valid,
    /// A co-signed receipt that verifies under the keys that it carries itself.
    SelfReported,
    /// Its parameters are encrypted, so there is nothing to verify here.
    Encrypted,
}

impl Judge {
    /// Verifies, after the fact, the signature of the receipt in a line of the log. Gives its identifier, too.
    pub fn verify_recorded(&self, line: &[u8]) -> Result<(String, Result<Recorded, Verdict>), Verdict> {
        let document = Document::parse(line, Class::CorruptedRecord)?;
        let record = Record::read(document.root(), &AUDIT_RECORD, Field::Document, Duplicates::Refused);
        let record = record.map_err(corrupted)?;
        let Some(receipt) = record.get(Field::Receipt) else {
            return refuse(Class::CorruptedRecord, Field::Receipt, Reason::Missing);
        };
        let id = receipt.get(Field::Id.name()).and_then(Value::as_str).unwrap_or("");
        Ok((String::from(id), self.verify_recorded_receipt(receipt)))
    }

    fn verify_recorded_receipt(&self, receipt: Value<'_>) -> Result<Recorded, Verdict> {
        if receipt.get(Field::V.name()).and_then(Value::as_u64) == Some(3) {
            let receipt = Record::read(receipt, &BILATERAL, Field::Document, Duplicates::LastWins)?;
            let claimed = receipt.record(Field::Server).map_or("", |server| server.text(Field::Pubkey));
            let server = PublicKey::parse(claimed, Field::Server)?;
            if let Some(inner) = receipt.record(Field::AgentReceipt) {
                signer_key(&inner)?;
            }
            let options = BilateralOptions { purpose: Purpose::Forensic, ..BilateralOptions::default() };
            return self.verify_bilateral_record(&receipt, &server, &options, None).map(|_| Recorded::SelfReported);
        }
        let signer = receipt.get(Field::Signer.name()).and_then(|signer| signer.get(Field::Pubkey.name()));
        let missing = Verdict::new(Class::InvalidKey, Field::Pubkey, Reason::Missing);
        let key = PublicKey::parse(signer.and_then(Value::as_str).ok_or(missing)?, Field::Pubkey)?;
        let action = receipt.get(Field::Action.name()).filter(|action| action.is_object());
        let has = |name| action.is_some_and(|action| action.get(name).is_some());
        if has("params_encrypted") {
            let both = Verdict::new(Class::InvalidReceipt, Field::Params, Reason::Duplicate);
            return if has(Field::Params.name()) { Err(both) } else { Ok(Recorded::Encrypted) };
        }
        self.verify_value(receipt, &key, Purpose::Forensic, None).map(|()| Recorded::Valid)
    }
}
