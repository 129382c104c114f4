// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reference's vectors as calls of the service, with what each must answer. Nothing is judged here: what is
//! expected comes from the index alone.
//!
//! [`load`] reads a directory of vectors; [`pack`] writes its cases as one binary that a test image can walk through
//! without an allocator ([`receipts_client::packed`] reads it).

mod own;

pub use own::{AT, own};

use receipts_client::{MAX_MESSAGE, Operation, PartWriter, Tag, flags};
use serde_json::{Value, json};
use std::path::Path;

/// One call, and what it must answer.
pub struct Step {
    /// The operation.
    pub operation: Operation,
    /// Its flags.
    pub flags: u16,
    /// The message.
    pub message: Vec<u8>,
    /// The class of the verdict; 0 for accepted.
    pub class: u8,
    /// The first value of the answer, if it is fixed.
    pub value: Option<u64>,
    /// The parts of the answer, if they are fixed.
    pub answer: Option<Vec<u8>>,
}

/// Calls that belong together, in their order.
pub struct Case {
    /// The vector's name.
    pub name: String,
    /// The calls.
    pub steps: Vec<Step>,
}

/// The classes by their names in the index.
const CLASSES: [(&str, u8); 13] = [
    ("InvalidReceipt", 1),
    ("SignatureMismatch", 2),
    ("CanonicalizeError", 3),
    ("InvalidKey", 4),
    ("DecisionInvalid", 5),
    ("AuthorityMismatch", 6),
    ("ChainError", 7),
    ("ScopeViolation", 8),
    ("DelegationExpired", 9),
    ("Unauthorized", 10),
    ("ServerReject", 11),
    ("CorruptedRecord", 12),
    ("DelegationRevoked", 13),
];

const LOG_MISMATCH: u8 = 34;
const GENESIS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or("")
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn class_of(expect: &Value) -> u8 {
    if expect.get("ok") == Some(&json!(true)) {
        return 0;
    }
    let name = text(expect, "class");
    CLASSES.iter().find(|(class, _)| *class == name).unwrap_or_else(|| panic!("unknown class {name}")).1
}

/// Encodes parts.
pub fn parts(parts: &[(Tag, &[u8])]) -> Vec<u8> {
    let mut buffer = vec![0; MAX_MESSAGE * 2];
    let mut writer = PartWriter::new(&mut buffer);
    parts.iter().for_each(|(tag, value)| writer.add(*tag, value).expect("room"));
    let used = writer.used();
    buffer.truncate(used);
    buffer
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads every case of a directory of vectors.
pub fn load(directory: &Path) -> Vec<Case> {
    let index = read_json(&directory.join("index.json"));
    let judged_at = text(&index, "judged_at");
    let mut cases: Vec<Case> =
        list(index.get("vectors")).map(|vector| vector_case(directory, vector, judged_at)).collect();
    let pairs = read_json(&directory.join("jcs_pairs.json"));
    cases.extend(list(pairs.get("pairs")).enumerate().map(|(number, pair)| {
        let class = class_of(pair);
        let canonical = (class == 0).then(|| parts(&[(Tag::Bytes, text(pair, "canonical").as_bytes())]));
        let message = parts(&[(Tag::Receipt, text(pair, "input").as_bytes())]);
        one(format!("jcs {}", number + 1), Operation::Canonicalize, message, class, canonical)
    }));
    let examples = read_json(&directory.join("signable_examples.json"));
    cases.extend(list(Some(&examples)).map(|example| {
        let receipt = example.get("receipt").map(Value::to_string).unwrap_or_default();
        let signed = parts(&[(Tag::Bytes, text(example, "signable_jcs").as_bytes())]);
        let message = parts(&[(Tag::Receipt, receipt.as_bytes())]);
        one(format!("signable {}", text(example, "name")), Operation::SignedBytes, message, 0, Some(signed))
    }));
    cases
}

fn one(name: String, operation: Operation, message: Vec<u8>, class: u8, answer: Option<Vec<u8>>) -> Case {
    Case { name, steps: vec![Step { operation, flags: 0, message, class, value: None, answer }] }
}

fn vector_case(directory: &Path, vector: &Value, judged_at: &str) -> Case {
    let name = text(vector, "file").to_owned();
    let (options, expect) = (&vector["keys_options"], &vector["expect"]);
    let path = directory.join(&name);
    let api = text(vector, "api");
    if api.starts_with("audit_") {
        return Case { name, steps: audit_steps(&path, options, expect, judged_at) };
    }
    let receipt = read(&path);
    let step = receipt_step(api, &receipt, options, expect, judged_at);
    let times = options.get("times").and_then(Value::as_u64).unwrap_or(1);
    let mut steps = vec![Step {
        operation: Operation::CompatReplayClear,
        flags: 0,
        message: Vec::new(),
        class: 0,
        value: None,
        answer: None,
    }];
    for _ in 1..times {
        steps.push(Step { class: 0, value: None, answer: None, message: step.message.clone(), ..step });
    }
    steps.push(step);
    if let Some(forensic) = vector.get("forensic") {
        let message = parts(&[
            (Tag::Receipt, &receipt),
            (Tag::Key, text(options, "key").as_bytes()),
            (Tag::At, judged_at.as_bytes()),
        ]);
        let class = class_of(forensic);
        let flags = flags::COMPAT | flags::FORENSIC;
        steps.push(Step { operation: Operation::Verify, flags, message, class, value: None, answer: None });
    }
    Case { name, steps }
}

fn receipt_step(api: &str, receipt: &[u8], options: &Value, expect: &Value, judged_at: &str) -> Step {
    let option = |name| options.get(name).and_then(Value::as_str);
    let number = |name| options.get(name).and_then(Value::as_u64).map(u64::to_le_bytes);
    let (window, depth) = (number("window"), number("depth"));
    let bundle = options.get("trust_bundle").map(Value::to_string);
    let class = class_of(expect);
    let accepted = |value: u64| (class == 0).then_some(value);

    let (operation, mut bits, value) = match api {
        "verify_any" => (Operation::Verify, flags::REPLAY, None),
        "verify_struct" => (Operation::Verify, flags::STRUCTURE, None),
        "verify_bilateral" => {
            let trusted = text(expect, "value") == "AgentTrusted";
            (Operation::VerifyBilateral, flags::REPLAY, accepted(u64::from(trusted)))
        }
        "verify_authorized" => (Operation::VerifyAuthorized, 0, None),
        "verify_delegation" => (Operation::VerifyDelegation, 0, None),
        "verify_decision" => (Operation::VerifyDecision, 0, None),
        "check_revocation" => (Operation::CheckRevocation, 0, accepted(u64::from(text(expect, "value") != "Unknown"))),
        "verify_request" => {
            let value = expect.get("trusted").and_then(Value::as_bool).map_or(0, u64::from);
            let unsigned = options.get("require_signature") == Some(&json!(false));
            let bits = if options.get("nonce") == Some(&json!(true)) { flags::REPLAY } else { 0 };
            let bits = bits | if unsigned { flags::UNSIGNED } else { 0 };
            (Operation::VerifyRequest, bits, accepted(if unsigned { 2 } else { value }))
        }
        other => panic!("unknown api {other}"),
    };
    bits |= flags::COMPAT;

    let mut message: Vec<(Tag, &[u8])> = vec![(Tag::Receipt, receipt)];
    let keys = ["key", "roots", "trusted", "trusted_keys"].into_iter().filter_map(|name| options.get(name));
    for key in keys.flat_map(|key| key.as_array().cloned().unwrap_or_else(|| vec![key.clone()])) {
        let key: &'static str = Box::leak(key.as_str().expect("a key").to_owned().into_boxed_str());
        message.push((Tag::Key, key.as_bytes()));
    }
    for (name, tag) in [
        ("trusted_agent", Tag::Agent),
        ("session", Tag::Session),
        ("call_id", Tag::CallId),
        ("expected_target", Tag::Target),
        ("tokens", Tag::Tokens),
        ("decisions", Tag::Decisions),
        ("action", Tag::Action),
        ("principal", Tag::Principal),
    ] {
        message.extend(option(name).map(|value| (tag, value.as_bytes())));
    }
    message.extend(window.as_ref().map(|value| (Tag::Window, &value[..])));
    message.extend(depth.as_ref().map(|value| (Tag::Depth, &value[..])));
    message.extend(bundle.as_ref().map(|value| (Tag::Bundle, value.as_bytes())));
    let at = option("now").or(option("at")).unwrap_or(judged_at);
    message.push((Tag::At, at.as_bytes()));

    let answer = (class == 0).then(|| expected_answer(api, expect)).flatten();
    Step { operation, flags: bits, message: parts(&message), class, value, answer }
}

fn expected_answer(api: &str, expect: &Value) -> Option<Vec<u8>> {
    match api {
        // serde_json sorts the keys, and there is nothing else that a canonical form would change.
        "verify_authorized" => Some(parts(&[(Tag::Scope, expect["value"].to_string().as_bytes())])),
        "check_revocation" => {
            let said = text(expect, "value").strip_prefix("Revoked { at: \"")?;
            let (at, rest) = said.split_once("\", by: \"")?;
            let (by, _) = rest.split_once('"')?;
            Some(parts(&[(Tag::RevokedAt, at.as_bytes()), (Tag::RevokedBy, by.as_bytes())]))
        }
        _ => None,
    }
}

/// A log: one call for the lines of each file up to the first break, and one for the signature in each line.
fn audit_steps(directory: &Path, options: &Value, expect: &Value, judged_at: &str) -> Vec<Step> {
    let (mut steps, mut start, mut before, mut broken) = (Vec::new(), GENESIS.to_owned(), 0, false);
    for file in list(options.get("files_oldest_first")).filter_map(Value::as_str) {
        let lines = read(&directory.join(file));
        let all = String::from_utf8(lines.clone()).expect("text");
        let records: Vec<(usize, &str)> = all
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(n, line)| (n + 1, line))
            .collect();
        if !broken {
            let message = parts(&[(Tag::Lines, &lines), (Tag::Start, start.as_bytes())]);
            let (class, value, answer) = lines_expected(file, &records, before, &expect["chain"]);
            broken = class != 0;
            let operation = Operation::VerifyLines;
            steps.push(Step { operation, flags: flags::COMPAT, message, class, value, answer });
            before += records.len();
            start = records.last().map_or(start, |(_, line)| record_hash(line));
        }
        for (number, line) in records {
            let message = parts(&[(Tag::Lines, line.as_bytes()), (Tag::At, judged_at.as_bytes())]);
            let (class, value) = recorded_expected(file, number, line, &expect["signatures"]);
            let operation = Operation::VerifyRecorded;
            steps.push(Step { operation, flags: flags::COMPAT, message, class, value, answer: None });
        }
    }
    steps
}

fn record_hash(line: &str) -> String {
    let record: Value = serde_json::from_str(line).unwrap_or_default();
    text(&record, "record_hash").to_owned()
}

fn lines_expected(
    file: &str,
    records: &[(usize, &str)],
    before: usize,
    chain: &Value,
) -> (u8, Option<u64>, Option<Vec<u8>>) {
    if chain.get("class").is_some() {
        return (class_of(chain), None, None);
    }
    let point = &chain["break_point"];
    if text(point, "file") == file {
        let (expected, actual) = (text(point, "expected_hash"), text(point, "actual_hash"));
        let answer = parts(&[(Tag::Previous, expected.as_bytes()), (Tag::Hash, actual.as_bytes())]);
        let total = chain["total_records"].as_u64().expect("a total") - before as u64;
        return (LOG_MISMATCH, Some(total), Some(answer));
    }
    let end = records.last().map_or(GENESIS.to_owned(), |(_, line)| record_hash(line));
    (0, Some(records.len() as u64), Some(parts(&[(Tag::Hash, end.as_bytes())])))
}

fn recorded_expected(file: &str, number: usize, line: &str, signatures: &Value) -> (u8, Option<u64>) {
    if signatures.get("class").is_some() {
        // One unreadable line spoils the reference's whole report; the others are still what they are.
        let readable = serde_json::from_str::<Value>(line).is_ok();
        return (if readable { 0 } else { class_of(signatures) }, None);
    }
    let named = |name: &str| {
        list(signatures.get(name)).any(|it| text(it, "file") == file && it["line"].as_u64() == Some(number as u64))
    };
    if named("failures") {
        return (2, None);
    }
    (0, Some(u64::from(named("warnings"))))
}

/// Packs cases: each a name and its steps, all numbers little-endian, nothing aligned.
pub fn pack(cases: &[Case]) -> Vec<u8> {
    let mut out = Vec::new();
    let chunk = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend((bytes.len() as u32).to_le_bytes());
        out.extend(bytes);
    };
    for case in cases {
        for (number, step) in case.steps.iter().enumerate() {
            chunk(&mut out, if number == 0 { case.name.as_bytes() } else { b"" });
            out.extend((step.operation as u16).to_le_bytes());
            out.extend(step.flags.to_le_bytes());
            out.push(step.class);
            out.push(u8::from(step.value.is_some()));
            out.extend(step.value.unwrap_or(0).to_le_bytes());
            out.push(u8::from(step.answer.is_some()));
            chunk(&mut out, &step.message);
            chunk(&mut out, step.answer.as_deref().unwrap_or(&[]));
        }
    }
    out
}

/// Makes the calls that are measured: for each a case with the call, then one for each signature that it verifies.
pub fn bench(directory: &Path) -> Vec<Case> {
    let index = read_json(&directory.join("index.json"));
    let key = |name: &str| text(&index["public_keys"], name).to_owned();
    let rows = [
        ("verify_v1", "001_v1_ok_ascii.json", Operation::Verify, 0, "AG"),
        ("verify_v1_4k", "019_v1_ok_long_string.json", Operation::Verify, 0, "AG"),
        ("verify_v2", "113_v2_ok.json", Operation::Verify, 0, "AG"),
        // Forensic, since live its nonce is accepted only once.
        ("verify_v3", "129_v3_ok.json", Operation::Verify, flags::FORENSIC, "SV"),
        ("verify_v4_one_hop", "159_v4_ok_one_hop.json", Operation::VerifyAuthorized, 0, "RT"),
        ("verify_v4_two_hops", "162_v4_ok_two_hop.json", Operation::VerifyAuthorized, 0, "RT"),
    ];
    let plain = |operation, flags, message| Step { operation, flags, message, class: 0, value: None, answer: None };
    let mut cases = Vec::new();
    for (name, file, operation, flags, signer) in rows {
        let receipt = read(&directory.join(file));
        let message = parts(&[(Tag::Receipt, &receipt), (Tag::Key, key(signer).as_bytes())]);
        let mut steps = vec![plain(operation, flags, message)];
        let value: Value = serde_json::from_slice(&receipt).expect("JSON");
        let signed = signed_parts(&value);
        steps.extend(signed.iter().map(|value| plain(Operation::VerifySignature, 0, bare(value))));
        cases.push(Case { name: name.to_owned(), steps });
    }
    let receipt = read(&directory.join("001_v1_ok_ascii.json"));
    for (name, operation) in [("append", Operation::Append), ("checkpoint", Operation::Checkpoint)] {
        let message = if operation == Operation::Append { parts(&[(Tag::Receipt, &receipt)]) } else { Vec::new() };
        cases.push(Case { name: name.to_owned(), steps: vec![plain(operation, 0, message)] });
    }
    cases
}

/// Lists what is signed in a receipt: itself, the receipt inside, the tokens of its chain.
fn signed_parts(receipt: &Value) -> Vec<Value> {
    let mut all = vec![receipt.clone()];
    all.extend(receipt.get("agent_receipt").cloned());
    all.extend(list(receipt.get("authorization").and_then(|it| it.get("chain"))).cloned());
    all
}

/// Packs the bare verification of one signature.
fn bare(signed: &Value) -> Vec<u8> {
    use base64ct::{Base64, Encoding};
    let signer = ["signer", "server", "delegator"].into_iter().find_map(|side| signed.get(side)).expect("a signer");
    let bytes = receipts::receipt::signed_bytes(signed.to_string().as_bytes()).expect("signed bytes");
    let signature = text(signed, "sig").strip_prefix("ed25519:").expect("a signature");
    let signature = Base64::decode_vec(signature).expect("base64");
    parts(&[(Tag::Key, text(signer, "pubkey").as_bytes()), (Tag::Signature, &signature), (Tag::Bytes, &bytes)])
}
