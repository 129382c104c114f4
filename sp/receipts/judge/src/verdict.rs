// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a judgement says: a stable code that names the class, the field and the reason.
//!
//! The classes up to [`Class::TrustBundleError`] are those of the reference implementation; the ones from
//! [`Class::Strict`] on are this verifier's own. Numbers are part of the service's protocol and never change meaning.

use core::fmt;

macro_rules! stable {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $number,)* }

        impl $name {
            /// Gives the stable spelling.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Finds the value with this number.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

stable! {
    /// The class of a verdict.
    Class {
        /// The receipt (or whatever was asked about) passes.
        Accepted = 0, "Accepted";
        /// Not JSON, not the expected shape, an unsupported version, expired, or an inconsistent pair of values.
        InvalidReceipt = 1, "InvalidReceipt";
        /// The signature does not verify.
        SignatureMismatch = 2, "SignatureMismatch";
        /// The signed bytes cannot be rebuilt: an integer beyond 2^53 - 1.
        CanonicalizeError = 3, "CanonicalizeError";
        /// A public key that cannot be decoded.
        InvalidKey = 4, "InvalidKey";
        /// An authorization decision that is malformed, expired or about another action.
        DecisionInvalid = 5, "DecisionInvalid";
        /// A decision by an authority outside the trusted set.
        AuthorityMismatch = 6, "AuthorityMismatch";
        /// A delegation chain whose links do not fit together.
        ChainError = 7, "ChainError";
        /// A delegation that grants more than its parent has.
        ScopeViolation = 8, "ScopeViolation";
        /// A delegation token whose time has passed.
        DelegationExpired = 9, "DelegationExpired";
        /// An action outside the effective scope.
        Unauthorized = 10, "Unauthorized";
        /// A tool-call request that a server must not serve.
        ServerReject = 11, "ServerReject";
        /// An audit record that is not JSON or not a record.
        CorruptedRecord = 12, "CorruptedRecord";
        /// A token or decision that its issuer revoked.
        DelegationRevoked = 13, "DelegationRevoked";
        /// A trust bundle that is not JSON or not of the right shape.
        TrustBundleParseError = 14, "TrustBundleParseError";
        /// A trust bundle with inconsistent content.
        TrustBundleError = 15, "TrustBundleError";
        /// Accepted by the reference, refused here: the differences of the strict mode.
        Strict = 32, "Strict";
        /// Larger or deeper than the documented limits.
        Limit = 33, "Limit";
        /// A log that does not fit the head and count kept in secure memory.
        LogMismatch = 34, "LogMismatch";
        /// A request to the service that is itself malformed.
        BadRequest = 35, "BadRequest";
        /// The service cannot do this now: no key, no clock, no trust loaded.
        Unavailable = 36, "Unavailable";
    }
}

stable! {
    /// The field that a verdict is about, by its name in the format.
    Field {
        /// No single field.
        None = 0, "none";
        /// The JSON text as a whole.
        Document = 1, "document";
        /// `v`
        V = 2, "v";
        /// `id`
        Id = 3, "id";
        /// `action`
        Action = 4, "action";
        /// `tool`
        Tool = 5, "tool";
        /// `params`
        Params = 6, "params";
        /// `params_hash`
        ParamsHash = 7, "params_hash";
        /// `target`
        Target = 8, "target";
        /// `transport`
        Transport = 9, "transport";
        /// `session`
        Session = 10, "session";
        /// `call_id`
        CallId = 11, "call_id";
        /// `response_hash`
        ResponseHash = 12, "response_hash";
        /// `trace_id`
        TraceId = 13, "trace_id";
        /// `parent_receipt_id`
        ParentReceiptId = 14, "parent_receipt_id";
        /// `signer`
        Signer = 15, "signer";
        /// `pubkey`
        Pubkey = 16, "pubkey";
        /// `name`
        Name = 17, "name";
        /// `owner`
        Owner = 18, "owner";
        /// `principal`
        Principal = 19, "principal";
        /// `acting_for`
        ActingFor = 20, "acting_for";
        /// `policy`
        Policy = 21, "policy";
        /// `policy_hash`
        PolicyHash = 22, "policy_hash";
        /// `policy_name`
        PolicyName = 23, "policy_name";
        /// `matched_rules`
        MatchedRules = 24, "matched_rules";
        /// `decision`
        Decision = 25, "decision";
        /// `reason`
        Reason = 26, "reason";
        /// `outcome`
        Outcome = 27, "outcome";
        /// `status`
        Status = 28, "status";
        /// `error`
        Error = 29, "error";
        /// `response`
        Response = 30, "response";
        /// `content_hash`
        ContentHash = 31, "content_hash";
        /// `ts`
        Ts = 32, "ts";
        /// `ts_request`
        TsRequest = 33, "ts_request";
        /// `ts_response`
        TsResponse = 34, "ts_response";
        /// `exp`
        Exp = 35, "exp";
        /// `nonce`
        Nonce = 36, "nonce";
        /// `sig`
        Sig = 37, "sig";
        /// `agent_receipt`
        AgentReceipt = 38, "agent_receipt";
        /// `server`
        Server = 39, "server";
        /// `extensions`
        Extensions = 40, "extensions";
        /// `authorization`
        Authorization = 41, "authorization";
        /// `chain`
        Chain = 42, "chain";
        /// `chain_hash`
        ChainHash = 43, "chain_hash";
        /// `root_pubkey`
        RootPubkey = 44, "root_pubkey";
        /// `delegator`
        Delegator = 45, "delegator";
        /// `delegate`
        Delegate = 46, "delegate";
        /// `scope`
        Scope = 47, "scope";
        /// `tools`
        Tools = 48, "tools";
        /// `targets`
        Targets = 49, "targets";
        /// `max_depth`
        MaxDepth = 50, "max_depth";
        /// `expires`
        Expires = 51, "expires";
        /// `constraints`
        Constraints = 52, "constraints";
        /// `issued_at`
        IssuedAt = 53, "issued_at";
        /// `correlation_id`
        CorrelationId = 54, "correlation_id";
        /// `authz_decision`
        AuthzDecision = 55, "authz_decision";
        /// `decision_id`
        DecisionId = 56, "decision_id";
        /// `authority`
        Authority = 57, "authority";
        /// `authority_pubkey`
        AuthorityPubkey = 58, "authority_pubkey";
        /// `subject`
        Subject = 59, "subject";
        /// `intent_hash`
        IntentHash = 60, "intent_hash";
        /// `basis`
        Basis = 61, "basis";
        /// `obligations`
        Obligations = 62, "obligations";
        /// `expires_at`
        ExpiresAt = 63, "expires_at";
        /// `credential_ref`
        CredentialRef = 64, "credential_ref";
        /// `type`
        Type = 65, "type";
        /// `version`
        Version = 66, "version";
        /// `parameters`
        Parameters = 67, "parameters";
        /// `max_calls`
        MaxCalls = 68, "max_calls";
        /// `amount`
        Amount = 69, "amount";
        /// `currency`
        Currency = 70, "currency";
        /// `approver`
        Approver = 71, "approver";
        /// `context`
        Context = 72, "context";
        /// `token_id`
        TokenId = 73, "token_id";
        /// `engine`
        Engine = 74, "engine";
        /// `score`
        Score = 75, "score";
        /// `system`
        System = 76, "system";
        /// `ref`
        Ref = 77, "ref";
        /// `artifact_type`
        ArtifactType = 78, "artifact_type";
        /// `artifact_id`
        ArtifactId = 79, "artifact_id";
        /// `revoked_by`
        RevokedBy = 80, "revoked_by";
        /// `revoked_at`
        RevokedAt = 81, "revoked_at";
        /// `bundle_id`
        BundleId = 82, "bundle_id";
        /// `org`
        Org = 83, "org";
        /// `env`
        Env = 84, "env";
        /// `generated_at`
        GeneratedAt = 85, "generated_at";
        /// `description`
        Description = 86, "description";
        /// `source`
        Source = 87, "source";
        /// `roots`
        Roots = 88, "roots";
        /// `agents`
        Agents = 89, "agents";
        /// `servers`
        Servers = 90, "servers";
        /// `authorities`
        Authorities = 91, "authorities";
        /// `revocations`
        Revocations = 92, "revocations";
        /// `created_at`
        CreatedAt = 93, "created_at";
        /// `disabled_at`
        DisabledAt = 94, "disabled_at";
        /// `comment`
        Comment = 95, "comment";
        /// `receipt`
        Receipt = 96, "receipt";
        /// `prev_hash`
        PrevHash = 97, "prev_hash";
        /// `record_hash`
        RecordHash = 98, "record_hash";
        /// `arguments`
        Arguments = 99, "arguments";
        /// The trust that is loaded (or not).
        Trust = 100, "trust";
        /// The audit head in secure memory.
        Head = 101, "head";
        /// The number of audit records.
        Count = 102, "count";
        /// The signing key of the partition.
        Key = 103, "key";
        /// The clock of the partition.
        Clock = 104, "clock";
        /// The operation asked for.
        Operation = 105, "operation";
        /// The output buffer.
        Output = 106, "output";
    }
}

stable! {
    /// Why a field was refused.
    Reason {
        /// Nothing to add.
        None = 0, "none";
        /// Not JSON, or not UTF-8.
        NotJson = 1, "not-json";
        /// A required field is absent.
        Missing = 2, "missing";
        /// Present with the wrong type or an unknown enumeration value.
        WrongType = 3, "wrong-type";
        /// Given twice where once is allowed.
        Duplicate = 4, "duplicate";
        /// Of the right type, but not decodable (prefix, base64, length, timestamp).
        Malformed = 5, "malformed";
        /// A version, status or value that is not supported.
        Unsupported = 6, "unsupported";
        /// Two values that must agree do not.
        Mismatch = 7, "mismatch";
        /// Its time has passed.
        Expired = 8, "expired";
        /// Older than the freshness window.
        TooOld = 9, "too-old";
        /// Later than the clock allows, or than the value that must follow it.
        Future = 10, "future";
        /// The gap between two timestamps exceeds the window.
        Gap = 11, "gap";
        /// Seen before.
        Replay = 12, "replay";
        /// The replay cache has no room: refused rather than forgotten.
        Full = 13, "full";
        /// Outside the trusted set.
        Untrusted = 14, "untrusted";
        /// More than 2^53 - 1.
        UnsafeInteger = 15, "unsafe-integer";
        /// Empty where something is needed.
        Empty = 16, "empty";
        /// More, longer or deeper than the limit.
        TooMany = 17, "too-many";
        /// Not granted by the parent, or outside the effective scope.
        NotGranted = 18, "not-granted";
        /// A wildcard under an explicit parent.
        Wildcard = 19, "wildcard";
        /// Revoked by its issuer.
        Revoked = 20, "revoked";
        /// A small-order point: such a key or signature commits to nothing.
        SmallOrder = 21, "small-order";
        /// Nested deeper than the limit.
        TooDeep = 22, "too-deep";
        /// Older than what is already loaded.
        Rollback = 23, "rollback";
        /// The buffer is too small for the answer.
        TooSmall = 24, "too-small";
        /// Not there: no key, no clock, nothing loaded.
        Absent = 25, "absent";
    }
}

/// A refusal: the class, the field it is about, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The class, as the reference names it.
    pub class: Class,
    /// The field.
    pub field: Field,
    /// The reason.
    pub reason: Reason,
}

impl Verdict {
    /// The verdict of everything that passes; its code is 0.
    pub const ACCEPTED: Self = Self::new(Class::Accepted, Field::None, Reason::None);

    /// Builds a verdict.
    pub const fn new(class: Class, field: Field, reason: Reason) -> Self {
        Self { class, field, reason }
    }

    /// Gives the stable code: class in bits 23..16, field in 15..8, reason in 7..0.
    pub const fn code(self) -> u32 {
        ((self.class as u32) << 16) | ((self.field as u32) << 8) | self.reason as u32
    }

    /// Reads a stable code back; `None` if it names nothing known.
    pub const fn from_code(code: u32) -> Option<Self> {
        let [top, class, field, reason] = code.to_be_bytes();
        if top != 0 {
            return None;
        }
        match (Class::from_number(class), Field::from_number(field), Reason::from_number(reason)) {
            (Some(class), Some(field), Some(reason)) => Some(Self::new(class, field, reason)),
            _ => None,
        }
    }

    /// Gives the same field and reason under another class.
    pub const fn with_class(self, class: Class) -> Self {
        Self { class, ..self }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.class.name(), self.field.name(), self.reason.name())
    }
}

/// Shortens `Err(Verdict::new(...))`.
pub(crate) const fn refuse<T>(class: Class, field: Field, reason: Reason) -> Result<T, Verdict> {
    Err(Verdict::new(class, field, reason))
}
