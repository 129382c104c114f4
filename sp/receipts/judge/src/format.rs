// SPDX-License-Identifier: MIT OR Apache-2.0
//! The objects of the receipt format, as tables: fields in their declared order, and what each signature covers.

use crate::schema::Need::{Empty, Optional, OptionalByName, Required};
use crate::schema::Type::{Any, Choice, List, Map, Tagged, Text, Unsigned};
use crate::schema::{Member, Need, Signed, Struct, Type, by_name};
use crate::verdict::Field;

const fn member(field: Field, need: Need, of: Type) -> Member {
    Member { field, need, of }
}

macro_rules! structure {
    ($(#[$doc:meta])* $name:ident: $($field:ident $need:ident $of:expr;)*) => {
        $(#[$doc])*
        pub(crate) static $name: Struct = {
            const MEMBERS: &[Member; [$(Field::$field),*].len()] = &[$(member(Field::$field, $need, $of)),*];
            Struct { members: MEMBERS, order: &by_name(MEMBERS) }
        };
    };
}

const BYTE: Type = Unsigned(u8::MAX as u64);
const WORD: Type = Unsigned(u32::MAX as u64);
const TEXTS: Type = List(&Text);
const GRANT: Type = Choice(&["allow", "require_approval", "deny"]);

structure! {
    /// What the agent does.
    ACTION:
    Tool Required Text;
    Params Required Any;
    ParamsHash Required Text;
    Target Required Text;
    Transport Required Text;
    Session Optional Text;
    CallId Optional Text;
    ResponseHash Optional Text;
    TraceId Optional Text;
    ParentReceiptId Optional Text;
}

structure! {
    /// Who signs.
    SIGNER:
    Pubkey Required Text;
    Name Required Text;
    Owner Required Text;
    Principal Optional Text;
    ActingFor Optional Text;
}

structure! {
    /// The policy that allowed the action.
    POLICY:
    PolicyHash Required Text;
    PolicyName Required Text;
    MatchedRules Required TEXTS;
    Decision Required GRANT;
    Reason Required Text;
}

structure! {
    /// A receipt of version 1 or 4.
    RECEIPT:
    V Required BYTE;
    Id Required Text;
    Action Required Type::Struct(&ACTION);
    Signer Required Type::Struct(&SIGNER);
    Authorization Optional Type::Struct(&AUTHORIZATION);
    Policy OptionalByName Type::Struct(&POLICY);
    AuthzDecision Optional Type::Struct(&DECISION);
    Ts Required Text;
    Exp Optional Text;
    Nonce Required Text;
    Sig Required Text;
}

structure! {
    /// How the call ended.
    OUTCOME:
    Status Required Choice(&["verified", "rejected", "requires_approval", "executed", "failed"]);
    Reason Optional Text;
    Error Optional Text;
}

structure! {
    /// What came back.
    RESPONSE:
    ContentHash Required Text;
    Outcome Optional Type::Struct(&OUTCOME);
}

structure! {
    /// A receipt of version 2: request and response, signed by the agent.
    COMPOUND:
    V Required BYTE;
    Id Required Text;
    Action Required Type::Struct(&ACTION);
    Response Required Type::Struct(&RESPONSE);
    Signer Required Type::Struct(&SIGNER);
    TsRequest Required Text;
    TsResponse Required Text;
    Nonce Required Text;
    Sig Required Text;
}

structure! {
    /// The server that co-signs.
    SERVER:
    Pubkey Required Text;
    Name Required Text;
}

structure! {
    /// A receipt of version 3: the agent's receipt, co-signed by the server.
    BILATERAL:
    V Required BYTE;
    Id Required Text;
    AgentReceipt Required Type::Struct(&RECEIPT);
    Response Required Type::Struct(&RESPONSE);
    Server Required Type::Struct(&SERVER);
    TsResponse Required Text;
    Nonce Required Text;
    Sig Required Text;
    Extensions OptionalByName Any;
}

structure! {
    /// One side of a delegation.
    IDENTITY:
    Pubkey Required Text;
    Name Required Text;
    Principal Optional Text;
}

structure! {
    /// A limit on the number of calls.
    CALL_COUNT:
    Type Required Choice(&["call_count"]);
    MaxCalls Required Unsigned(u64::MAX);
}

structure! {
    /// A limit on money.
    MONETARY:
    Type Required Choice(&["monetary"]);
    Amount Required Text;
    Currency Required Text;
}

static CONSTRAINT: Type = Tagged(&[&CALL_COUNT, &MONETARY]);
const CONSTRAINTS: Type = List(&CONSTRAINT);

structure! {
    /// What a delegation grants.
    SCOPE:
    Tools Required TEXTS;
    Targets Required TEXTS;
    MaxDepth Required WORD;
    Expires Optional Text;
    Constraints Optional CONSTRAINTS;
}

structure! {
    /// A delegation token.
    TOKEN:
    V Required BYTE;
    Id Required Text;
    Delegator Required Type::Struct(&IDENTITY);
    Delegate Required Type::Struct(&IDENTITY);
    Scope Required Type::Struct(&SCOPE);
    IssuedAt Required Text;
    Nonce Required Text;
    Sig Required Text;
    CorrelationId Optional Text;
}

static A_TOKEN: Type = Type::Struct(&TOKEN);

structure! {
    /// The delegation chain of a receipt of version 4.
    AUTHORIZATION:
    Chain Required List(&A_TOKEN);
    ChainHash Required Text;
    RootPubkey Required Text;
}

structure! {
    /// A decision based on a policy.
    BASIS_POLICY:
    Type Required Choice(&["policy"]);
    PolicyHash Required Text;
    PolicyName Required Text;
    MatchedRules Required TEXTS;
    Reason Required Text;
}

structure! {
    /// A decision based on someone's approval.
    BASIS_APPROVAL:
    Type Required Choice(&["approval"]);
    Approver Required Text;
    Context Optional Text;
}

structure! {
    /// A decision based on a delegation.
    BASIS_DELEGATION:
    Type Required Choice(&["delegation"]);
    TokenId Required Text;
    ChainHash Required Text;
}

structure! {
    /// A decision based on a risk score.
    BASIS_RISK:
    Type Required Choice(&["risk"]);
    Engine Required Text;
    Score Required Text;
    Reason Required Text;
}

structure! {
    /// A decision made elsewhere.
    BASIS_EXTERNAL:
    Type Required Choice(&["external"]);
    System Required Text;
    Ref Required Text;
}

structure! {
    /// A condition attached to a decision.
    OBLIGATION:
    Type Required Text;
    Version Required WORD;
    Parameters Required Map;
}

static BASES: [&Struct; 5] = [&BASIS_POLICY, &BASIS_APPROVAL, &BASIS_DELEGATION, &BASIS_RISK, &BASIS_EXTERNAL];
static AN_OBLIGATION: Type = Type::Struct(&OBLIGATION);

structure! {
    /// An authorization decision.
    DECISION:
    V Required BYTE;
    DecisionId Required Text;
    Authority Required Text;
    AuthorityPubkey Required Text;
    Subject Required Text;
    IntentHash Required Text;
    Decision Required GRANT;
    Basis Required Tagged(&BASES);
    Constraints Required CONSTRAINTS;
    Obligations Required List(&AN_OBLIGATION);
    IssuedAt Required Text;
    ExpiresAt Optional Text;
    Nonce Required Text;
    CredentialRef Optional Text;
    Sig Required Text;
}

structure! {
    /// A revocation of a token or a decision.
    REVOCATION:
    V Required BYTE;
    ArtifactType Required Choice(&["delegation_token", "authorization_decision"]);
    ArtifactId Required Text;
    RevokedBy Required Text;
    RevokedAt Required Text;
    Reason Empty Text;
    Nonce Required Text;
    Sig Required Text;
}

structure! {
    /// One key of a trust bundle.
    TRUST_KEY:
    Id Required Text;
    Name Required Text;
    Owner Required Text;
    Pubkey Required Text;
    Status Required Choice(&["active", "disabled", "revoked"]);
    CreatedAt Required Text;
    ExpiresAt Optional Text;
    DisabledAt Optional Text;
    RevokedAt Optional Text;
    Comment Optional Text;
}

static A_TRUST_KEY: Type = Type::Struct(&TRUST_KEY);
const TRUST_KEYS: Type = List(&A_TRUST_KEY);
static A_REVOCATION: Type = Type::Struct(&REVOCATION);

structure! {
    /// A trust bundle. `authorities` and `revocations` are this verifier's own; the reference drops them.
    TRUST_BUNDLE:
    Version Required BYTE;
    BundleId Required Text;
    Org Required Text;
    Env Required Text;
    GeneratedAt Required Text;
    Description Optional Text;
    Source Optional Text;
    Roots Empty TRUST_KEYS;
    Agents Empty TRUST_KEYS;
    Servers Empty TRUST_KEYS;
    Authorities Empty TRUST_KEYS;
    Revocations Empty List(&A_REVOCATION);
}

structure! {
    /// A line of the audit log.
    AUDIT_RECORD:
    Receipt Required Any;
    PrevHash Required Text;
    RecordHash Required Text;
}

/// The two values that bind a receipt to its delegation chain.
static SIGNED_AUTHORIZATION: Signed = Signed(&[(Field::ChainHash, None), (Field::RootPubkey, None)]);

/// Signed of a receipt of version 1, and of version 4 by the general check.
pub(crate) static SIGNED_RECEIPT: Signed = Signed(&[
    (Field::V, None),
    (Field::Action, None),
    (Field::Signer, None),
    (Field::Ts, None),
    (Field::Nonce, None),
    (Field::Policy, None),
    (Field::Exp, None),
    (Field::Authorization, Some(&SIGNED_AUTHORIZATION)),
    (Field::AuthzDecision, None),
]);

/// Signed of a receipt of version 4 by the authorised and the forensic check: without policy and expiry.
pub(crate) static SIGNED_AUTHORIZED: Signed = Signed(&[
    (Field::V, None),
    (Field::Action, None),
    (Field::Signer, None),
    (Field::Ts, None),
    (Field::Nonce, None),
    (Field::Authorization, Some(&SIGNED_AUTHORIZATION)),
    (Field::AuthzDecision, None),
]);

/// Signed of a receipt of version 2.
pub(crate) static SIGNED_COMPOUND: Signed = Signed(&[
    (Field::V, None),
    (Field::Action, None),
    (Field::Response, None),
    (Field::Signer, None),
    (Field::TsRequest, None),
    (Field::TsResponse, None),
    (Field::Nonce, None),
]);

/// Signed of a receipt of version 3.
pub(crate) static SIGNED_BILATERAL: Signed = Signed(&[
    (Field::V, None),
    (Field::AgentReceipt, None),
    (Field::Response, None),
    (Field::Server, None),
    (Field::TsResponse, None),
    (Field::Nonce, None),
]);

static SIGNED_SCOPE: Signed =
    Signed(&[(Field::Tools, None), (Field::Targets, None), (Field::MaxDepth, None), (Field::Expires, None)]);

/// Signed of a delegation token: not its id, and not the constraints.
pub(crate) static SIGNED_TOKEN: Signed = Signed(&[
    (Field::V, None),
    (Field::Delegator, None),
    (Field::Delegate, None),
    (Field::Scope, Some(&SIGNED_SCOPE)),
    (Field::IssuedAt, None),
    (Field::Nonce, None),
]);

/// Signed of a decision: everything but its id and the signature.
pub(crate) static SIGNED_DECISION: Signed = Signed(&[
    (Field::V, None),
    (Field::Authority, None),
    (Field::AuthorityPubkey, None),
    (Field::Subject, None),
    (Field::IntentHash, None),
    (Field::Decision, None),
    (Field::Basis, None),
    (Field::Constraints, None),
    (Field::Obligations, None),
    (Field::IssuedAt, None),
    (Field::ExpiresAt, None),
    (Field::Nonce, None),
    (Field::CredentialRef, None),
]);

/// Signed of a revocation: everything but the signature.
pub(crate) static SIGNED_REVOCATION: Signed = Signed(&[
    (Field::V, None),
    (Field::ArtifactType, None),
    (Field::ArtifactId, None),
    (Field::RevokedBy, None),
    (Field::RevokedAt, None),
    (Field::Reason, None),
    (Field::Nonce, None),
]);

/// The scope that a strict answer states: what the signature covers.
pub(crate) static STATED_SCOPE: &Signed = &SIGNED_SCOPE;
