// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operations, one function each: read the parts, judge, write the parts of the answer.

use crate::answer::Answer;
use crate::message::Message;
use crate::protocol::{ClockSource, MAX_ANSWER, MAX_MESSAGE, MAX_RECEIPT, PROTOCOL_VERSION, Tag, flags};
use crate::{Done, Platform, Provisioning, Refused, Service, bad};
use receipts::audit::{CheckpointContext, LogFault, Recorded, Segment};
use receipts::bilateral::{AgentTrust, BilateralOptions, Cosign, MAX_GAP};
use receipts::crypto::{GENESIS, verify_bare};
use receipts::delegation::AuthorizedOptions;
use receipts::replay::ReplayCache;
use receipts::request::{MAX_AGE, RequestOptions, SignerTrust, Signers};
use receipts::revocation::Revocation;
use receipts::{Class, Field, Judge, MAX_CHAIN, Mode, Purpose, Reason, Verdict, canon, json, receipt};

const _: () = assert!(MAX_RECEIPT == receipts::MAX_RECEIPT && MAX_ANSWER == canon::MAX_OUTPUT);

/// What the checkpoints say of the clock.
const CLOCK: &str = "rtc-at-boot+generic-counter";

/// One call being served.
pub(crate) struct Ask<'s, 'k, 'm, P> {
    pub(crate) service: &'s mut Service<'k>,
    pub(crate) platform: &'s mut P,
    pub(crate) flags: u16,
    pub(crate) message: &'s Message<'m>,
    pub(crate) answer: &'s mut Answer,
}

type Outcome = Result<Done, Refused>;

const fn unavailable(field: Field) -> Verdict {
    Verdict::new(Class::Unavailable, field, Reason::Absent)
}

const fn plain(values: [u64; 3]) -> Done {
    Done::with(ClockSource::None, values)
}

impl<'k, P: Platform> Ask<'_, 'k, '_, P> {
    fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Decides how to judge: the mode that is asked for, at the partition's time. Only a compat call may bring a time.
    fn judge(&mut self) -> Result<(Judge, ClockSource), Verdict> {
        let mode = if self.has(flags::COMPAT) { Mode::Compat } else { Mode::Strict };
        match (self.message.at()?, mode) {
            (Some(now), Mode::Compat) => Ok((Judge { mode, now }, ClockSource::Caller)),
            (Some(_), Mode::Strict) => bad(Field::Clock, Reason::Unsupported),
            (None, Mode::Compat | Mode::Strict) => {
                let now = self.platform.now().ok_or(unavailable(Field::Clock))?;
                Ok((Judge { mode, now }, ClockSource::RtcAtBoot))
            }
        }
    }

    fn purpose(&self) -> Purpose {
        if self.has(flags::FORENSIC) { Purpose::Forensic } else { Purpose::Live }
    }

    /// Gives the replay cache of this call: strict calls always have theirs, compat calls on request.
    fn replay<'s>(service: &'s mut Service<'k>, flags: u16) -> Option<&'s mut ReplayCache<'k>> {
        match (flags & flags::COMPAT != 0, flags & flags::REPLAY != 0) {
            (false, _) => Some(&mut service.replay),
            (true, true) => Some(&mut service.compat_replay),
            (true, false) => None,
        }
    }

    fn write(&mut self, tag: Tag, value: &[u8]) -> Result<(), Verdict> {
        self.answer.add(tag, value).ok_or(Verdict::new(Class::BadRequest, Field::Output, Reason::TooSmall))
    }

    fn receipt(&self) -> Result<&'_ [u8], Verdict> {
        self.message.need(Tag::Receipt, Field::Receipt)
    }

    pub(crate) fn hello(&mut self) -> Done {
        let limits = MAX_RECEIPT as u64 | (MAX_CHAIN as u64) << 32 | (json::MAX_NESTING as u64) << 48;
        let replay = &self.service.replay;
        let room = MAX_MESSAGE as u64 | (replay.capacity() as u64) << 32;
        let able = u64::from(self.service.signing.is_some())
            | u64::from(self.platform.now().is_some()) << 1
            | u64::from(self.service.config.provisioning.key().is_some()) << 2
            | u64::from(self.service.trust.bundle().is_some()) << 3
            | u64::from(matches!(self.service.config.provisioning, Provisioning::Test(_))) << 4
            | (json::MAX_VALUES as u64) << 16
            | u64::from(PROTOCOL_VERSION) << 32;
        plain([limits, room, able])
    }

    pub(crate) fn verify(&mut self) -> Outcome {
        let (judge, clock) = self.judge()?;
        let purpose = self.purpose();
        let key = self.message.key(Tag::Key, Field::Pubkey)?;
        let text = self.message.need(Tag::Receipt, Field::Receipt)?;
        let verdict = match key {
            Some(key) if self.has(flags::STRUCTURE) && judge.mode == Mode::Compat => judge.verify_struct(text, &key),
            Some(key) => judge.verify_any(text, &key, purpose, Self::replay(self.service, self.flags)),
            None => {
                // Borrowed apart: the trust is read while the nonce is recorded.
                let Service { trust, replay, compat_replay, .. } = &mut *self.service;
                let replay = match judge.mode {
                    Mode::Strict => Some(replay),
                    Mode::Compat => (self.flags & flags::REPLAY != 0).then_some(compat_replay),
                };
                judge.verify_trusted(text, trust, purpose, replay)
            }
        };
        verdict.map(|()| Done::with(clock, [0; 3])).map_err(|verdict| at(clock, verdict))
    }

    pub(crate) fn verify_bilateral(&mut self) -> Outcome {
        let (judge, clock) = self.judge()?;
        let message = self.message;
        let missing = Verdict::new(Class::BadRequest, Field::Pubkey, Reason::Missing);
        let server = message.key(Tag::Key, Field::Pubkey)?.ok_or(missing)?;
        let agent = message.key(Tag::Agent, Field::Pubkey)?;
        let options = BilateralOptions {
            max_gap: message.number(Tag::Window, Field::TsResponse)?.unwrap_or(MAX_GAP),
            trusted_agent: agent.as_ref(),
            session: message.text(Tag::Session, Field::Session)?,
            call_id: message.text(Tag::CallId, Field::CallId)?,
            purpose: self.purpose(),
        };
        let text = message.need(Tag::Receipt, Field::Receipt)?;
        let replay = Self::replay(self.service, self.flags);
        match judge.verify_bilateral(text, &server, &options, replay) {
            Ok(AgentTrust::SelfConsistent) => Ok(Done::with(clock, [0, 0, 0])),
            Ok(AgentTrust::Trusted) => Ok(Done::with(clock, [1, 0, 0])),
            Err(verdict) => Err(at(clock, verdict)),
        }
    }

    pub(crate) fn verify_request(&mut self) -> Outcome {
        let (judge, clock) = self.judge()?;
        let message = self.message;
        let keys = message.keys()?;
        let max_age = message.number(Tag::MaxAge, Field::Ts)?.unwrap_or(u64::from(MAX_AGE));
        let Service { trust, replay, compat_replay, .. } = &mut *self.service;
        let signers = match (message.get(Tag::Bundle), judge.mode) {
            (Some(_), Mode::Strict) => return Err(bad::<()>(Field::Trust, Reason::Unsupported).unwrap_err().into()),
            (Some(bundle), Mode::Compat) => Signers::Bundle(&keys, bundle),
            (None, Mode::Compat) if keys.is_empty() && self.flags & flags::TRUST == 0 => Signers::Any,
            (None, _) if keys.is_empty() => Signers::Trusted(trust),
            (None, _) => Signers::Keys(&keys),
        };
        let options = RequestOptions {
            signers,
            require_signature: self.flags & flags::UNSIGNED == 0,
            max_age: u32::try_from(max_age).map_err(|_| Verdict::new(Class::BadRequest, Field::Ts, Reason::TooMany))?,
            target: message.text(Tag::Target, Field::Target)?.unwrap_or(""),
        };
        let replay = match judge.mode {
            Mode::Strict => Some(replay),
            Mode::Compat => (self.flags & flags::REPLAY != 0).then_some(compat_replay),
        };
        let text = message.need(Tag::Receipt, Field::Receipt)?;
        match judge.verify_request(text, &options, replay) {
            Ok(SignerTrust::SelfConsistent) => Ok(Done::with(clock, [0, 0, 0])),
            Ok(SignerTrust::Trusted) => Ok(Done::with(clock, [1, 0, 0])),
            Ok(SignerTrust::Unsigned) => Ok(Done::with(clock, [2, 0, 0])),
            Err(verdict) => Err(at(clock, verdict)),
        }
    }

    pub(crate) fn verify_authorized(&mut self) -> Outcome {
        let (judge, clock) = self.judge()?;
        let message = self.message;
        let depth = message.number(Tag::Depth, Field::Chain)?.unwrap_or(MAX_CHAIN as u64);
        let with_trust = self.has(flags::TRUST) || judge.mode == Mode::Strict;
        let trust = &self.service.trust;
        let mut roots = message.keys()?;
        if roots.is_empty() && with_trust {
            roots = trust.roots(judge.now);
        }
        let authorities = trust.authorities(judge.now);
        let options = AuthorizedOptions {
            roots: &roots,
            max_chain: usize::try_from(depth).unwrap_or(MAX_CHAIN),
            authorities: with_trust.then_some(&authorities[..]),
            revocations: with_trust.then(|| trust.revocations()),
        };
        let text = message.need(Tag::Receipt, Field::Receipt)?;
        let scope = judge.verify_authorized(text, &options).map_err(|verdict| at(clock, verdict))?;
        self.write(Tag::Scope, &scope)?;
        Ok(Done::with(clock, [0; 3]))
    }

    pub(crate) fn verify_delegation(&mut self) -> Outcome {
        let (judge, clock) = self.judge()?;
        let verdict = judge.verify_delegation(self.receipt()?, None);
        verdict.map(|()| Done::with(clock, [0; 3])).map_err(|verdict| at(clock, verdict))
    }

    pub(crate) fn verify_decision(&mut self) -> Outcome {
        let (judge, clock) = self.judge()?;
        let message = self.message;
        let mut trusted = message.keys()?;
        if trusted.is_empty() && judge.mode == Mode::Strict {
            trusted = self.service.trust.authorities(judge.now);
        }
        let action = message.need(Tag::Action, Field::Action)?;
        let principal = message.text(Tag::Principal, Field::Principal)?;
        let verdict = judge.verify_decision(self.receipt()?, &trusted, action, principal);
        verdict.map(|()| Done::with(clock, [0; 3])).map_err(|verdict| at(clock, verdict))
    }

    pub(crate) fn check_revocation(&mut self) -> Outcome {
        let (judge, clock) = self.judge()?;
        let list = |tag| self.message.get(tag).unwrap_or(b"[]");
        let records = self.message.get(Tag::Receipt).unwrap_or(self.service.trust.revocations());
        let status = judge.check_revocation(list(Tag::Tokens), list(Tag::Decisions), records);
        match status.map_err(|verdict| at(clock, verdict))? {
            Revocation::Unknown => Ok(Done::with(clock, [0; 3])),
            Revocation::Revoked { at, by } => {
                self.write(Tag::RevokedAt, at.as_bytes())?;
                self.write(Tag::RevokedBy, by.as_bytes())?;
                Ok(Done::with(clock, [1, 0, 0]))
            }
        }
    }

    pub(crate) fn canonicalize(&mut self) -> Outcome {
        let bytes = canon::canonicalize(self.receipt()?)?;
        self.write(Tag::Bytes, &bytes)?;
        Ok(plain([0; 3]))
    }

    pub(crate) fn signed_bytes(&mut self) -> Outcome {
        let bytes = receipt::signed_bytes(self.receipt()?)?;
        self.write(Tag::Bytes, &bytes)?;
        Ok(plain([0; 3]))
    }

    /// Verifies a signature over bytes, as strictly as strict mode does. Tells the ticks that this alone took.
    pub(crate) fn verify_signature(&mut self) -> Outcome {
        let missing = Verdict::new(Class::BadRequest, Field::Pubkey, Reason::Missing);
        let key = self.message.key(Tag::Key, Field::Pubkey)?.ok_or(missing)?;
        let signature = self.message.need(Tag::Signature, Field::Sig)?;
        let Ok(signature) = <&[u8; 64]>::try_from(signature) else {
            return Err(Verdict::new(Class::BadRequest, Field::Sig, Reason::Malformed).into());
        };
        let signed = self.message.need(Tag::Bytes, Field::Document)?;
        let before = self.platform.ticks();
        let verdict = verify_bare(key.as_bytes(), signed, signature);
        let took = self.platform.ticks().wrapping_sub(before);
        verdict.map(|()| plain([took, 0, 0])).map_err(Refused::from)
    }

    pub(crate) fn append(&mut self) -> Outcome {
        // Room for both hashes is made sure of first: an append that cannot be told would be one that is lost.
        let before = self.service.chain;
        let appended = self.service.chain.append(self.message.need(Tag::Receipt, Field::Receipt)?)?;
        let told = self
            .write(Tag::Hash, appended.record.text().as_bytes())
            .and_then(|()| self.write(Tag::Previous, appended.previous.text().as_bytes()));
        if let Err(verdict) = told {
            self.service.chain = before;
            return Err(verdict.into());
        }
        Ok(plain([appended.sequence, appended.count, 0]))
    }

    pub(crate) fn head(&mut self) -> Outcome {
        let chain = self.service.chain;
        self.write(Tag::Hash, chain.head.text().as_bytes())?;
        if let Some(key) = self.service.public_key() {
            self.write(Tag::Key, key.text().as_bytes())?;
        }
        Ok(plain([chain.sequence, chain.count, 0]))
    }

    pub(crate) fn checkpoint(&mut self) -> Outcome {
        let now = self.platform.now().ok_or(unavailable(Field::Clock))?;
        let service = &mut *self.service;
        let key = service.signing.as_ref().ok_or(unavailable(Field::Key))?;
        let context = CheckpointContext { boot_id: service.boot_id, now, clock: CLOCK };
        let (statement, signature) = service.chain.checkpoint(&context, key);
        let (sequence, count) = (service.chain.sequence, service.chain.count);
        self.write(Tag::Statement, &statement)?;
        self.write(Tag::Signature, &signature)?;
        Ok(Done::with(ClockSource::RtcAtBoot, [sequence, count, 0]))
    }

    pub(crate) fn verify_lines(&mut self) -> Outcome {
        self.lines(receipts::audit::verify_lines)
    }

    pub(crate) fn verify_to_head(&mut self) -> Outcome {
        let chain = self.service.chain;
        self.lines(|lines, start| chain.verify_to_head(lines, start))
    }

    fn lines(&mut self, verify: impl FnOnce(&[u8], &str) -> Result<Segment, LogFault>) -> Outcome {
        let start = self.message.text(Tag::Start, Field::PrevHash)?.unwrap_or(GENESIS);
        match verify(self.message.need(Tag::Lines, Field::Document)?, start) {
            Ok(segment) => {
                self.write(Tag::Hash, segment.end.as_bytes())?;
                Ok(plain([segment.records, 0, 0]))
            }
            Err(fault) => {
                if let Some((expected, actual)) = &fault.hashes {
                    self.write(Tag::Previous, expected.as_bytes())?;
                    self.write(Tag::Hash, actual.as_bytes())?;
                }
                Err(Refused { verdict: fault.verdict, done: plain([fault.records, fault.line, 0]) })
            }
        }
    }

    pub(crate) fn verify_recorded(&mut self) -> Outcome {
        let (judge, clock) = self.judge()?;
        let line = self.message.need(Tag::Lines, Field::Document)?;
        let (id, recorded) = judge.verify_recorded(line).map_err(|verdict| at(clock, verdict))?;
        self.write(Tag::Id, id.as_bytes())?;
        match recorded {
            Ok(Recorded::Valid) => Ok(Done::with(clock, [0, 0, 0])),
            Ok(Recorded::SelfReported) => Ok(Done::with(clock, [1, 0, 0])),
            Ok(Recorded::Encrypted) => Ok(Done::with(clock, [2, 0, 0])),
            Err(verdict) => Err(at(clock, verdict)),
        }
    }

    pub(crate) fn cosign(&mut self) -> Outcome {
        let (judge, clock) = self.judge()?;
        if clock == ClockSource::Caller {
            return Err(Verdict::new(Class::BadRequest, Field::Clock, Reason::Unsupported).into());
        }
        let mut nonce = [0; 16];
        if !self.platform.random(&mut nonce) {
            return Err(unavailable(Field::Nonce).into());
        }
        let message = self.message;
        let text = message.need(Tag::Receipt, Field::Receipt)?;
        let agent = match message.key(Tag::Key, Field::Pubkey)? {
            Some(key) => key,
            None => judge.trusted_agent(text, &self.service.trust).map_err(|verdict| at(clock, verdict))?,
        };
        let request = Cosign {
            receipt: text,
            content: message.need(Tag::Content, Field::ContentHash)?,
            outcome: message.get(Tag::Outcome),
            server_name: self.service.config.server_name,
            nonce,
        };
        let key = self.service.signing.as_ref().ok_or(unavailable(Field::Key))?;
        let signed = judge.cosign(&request, &agent, key).map_err(|verdict| at(clock, verdict))?;
        self.write(Tag::Receipt, &signed)?;
        Ok(Done::with(clock, [0; 3]))
    }

    pub(crate) fn trust_load(&mut self) -> Outcome {
        let provisioning = self.service.config.provisioning;
        let provisioning = provisioning.key().ok_or(unavailable(Field::Trust))?;
        let bundle = self.message.need(Tag::Bundle, Field::Trust)?;
        let Ok(signature) = self.message.need(Tag::Signature, Field::Sig)?.try_into() else {
            return Err(Verdict::new(Class::BadRequest, Field::Sig, Reason::Malformed).into());
        };
        self.service.trust.load(bundle, signature, provisioning)?;
        self.trust_query()
    }

    pub(crate) fn trust_query(&mut self) -> Outcome {
        let trust = &self.service.trust;
        let [roots, agents, servers, authorities] = trust.counts().map(|count| count as u64);
        if let Some(bundle) = trust.bundle() {
            self.write(Tag::Hash, bundle.text().as_bytes())?;
        }
        Ok(plain([roots | agents << 32, servers | authorities << 32, 0]))
    }

    pub(crate) fn trust_clear(&mut self) -> Outcome {
        self.service.trust.clear();
        Ok(plain([0; 3]))
    }

    pub(crate) fn compat_replay_clear(&mut self) -> Outcome {
        self.service.compat_replay.clear();
        Ok(plain([0; 3]))
    }
}

/// A refusal that says which clock it was judged by.
fn at(clock: ClockSource, verdict: Verdict) -> Refused {
    Refused { verdict, done: Done::with(clock, [0; 3]) }
}
