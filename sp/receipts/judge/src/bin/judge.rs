// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judges a directory of vectors: `judge DIR` reads `DIR/index.json`, judges every file in compat mode, prints one line
//! for each disagreement with what is expected, and ends with `N passed, N failed`. With `--strict` it judges in strict
//! mode instead, so that the lines are what strict mode refuses beyond the reference.
//!
//! Canonicalisation pairs (`jcs_pairs.json`) and signed-byte strings (`signable_examples.json`) are judged if present.

use receipts::audit::{LogFault, Recorded, record_lines, verify_lines};
use receipts::bilateral::{AgentTrust, BilateralOptions};
use receipts::canon::canonicalize;
use receipts::crypto::GENESIS;
use receipts::delegation::AuthorizedOptions;
use receipts::receipt::signed_bytes;
use receipts::replay::{FREE, ReplayCache};
use receipts::request::{RequestOptions, SignerTrust, Signers};
use receipts::revocation::Revocation;
use receipts::{Class, Field, Hash, Instant, Judge, MAX_CHAIN, Mode, PublicKey, Purpose, Reason, Verdict};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut mode = Mode::Compat;
    let mut directory = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--strict" => mode = Mode::Strict,
            "--compat" => mode = Mode::Compat,
            _ => directory = Some(PathBuf::from(argument)),
        }
    }
    let Some(directory) = directory else {
        eprintln!("usage: judge [--strict] DIR");
        return ExitCode::from(2);
    };
    match run(&directory, mode) {
        Ok(tally) => {
            println!("{} passed, {} failed", tally.passed, tally.failed);
            if tally.failed == 0 && tally.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("judge: {error}");
            ExitCode::from(2)
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    /// Counts a case that passes without a complaint.
    fn count(&mut self, name: &str, complaint: Option<String>) {
        match complaint {
            None => self.passed += 1,
            Some(complaint) => {
                self.failed += 1;
                println!("{name}: {complaint}");
            }
        }
    }
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or("")
}

fn run(directory: &Path, mode: Mode) -> Result<Tally> {
    let index = read_json(&directory.join("index.json"))?;
    let judged_at = Instant::parse(text(&index, "judged_at")).or_else(system_time).ok_or("no time to judge at")?;
    let mut tally = Tally::default();
    for vector in list(index.get("vectors").unwrap_or(&index)) {
        let name = text(vector, "file");
        let outcome = judge_vector(directory, vector, Judge { mode, now: judged_at });
        tally.count(name, outcome.map_err(|error| format!("{name}: {error}"))?);
    }
    for (file, check) in
        [("jcs_pairs.json", check_pair as fn(&Value) -> Option<String>), ("signable_examples.json", check_signable)]
    {
        let path = directory.join(file);
        if path.exists() {
            let cases = read_json(&path)?;
            for (number, case) in list(cases.get("pairs").unwrap_or(&cases)).enumerate() {
                tally.count(&format!("{file} {}", number + 1), check(case));
            }
        }
    }
    Ok(tally)
}

fn system_time() -> Option<Instant> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Instant::from_unix(i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())
}

fn check_pair(pair: &Value) -> Option<String> {
    let got = canonicalize(text(pair, "input").as_bytes());
    if pair.get("ok") == Some(&json!(true)) {
        let want = text(pair, "canonical");
        let sha256 = Hash::of(want.as_bytes()).text();
        let good =
            got.as_deref() == Ok(want.as_bytes()) && sha256.strip_prefix("sha256:") == Some(text(pair, "sha256"));
        return (!good).then(|| format!("{}: {:?} instead of {want}", text(pair, "input"), got.map(lossy)));
    }
    match got {
        Err(verdict) if verdict.class.name() == text(pair, "class") => None,
        other => Some(format!("{}: {:?} instead of {}", text(pair, "input"), other.map(lossy), text(pair, "class"))),
    }
}

fn check_signable(example: &Value) -> Option<String> {
    let got = signed_bytes(example.get("receipt").unwrap_or(&Value::Null).to_string().as_bytes());
    let good = got.as_deref() == Ok(text(example, "signable_jcs").as_bytes());
    (!good).then(|| format!("{}: {:?}", text(example, "name"), got.map(lossy)))
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Judges one vector and gives what is wrong with the outcome, if anything.
fn judge_vector(directory: &Path, vector: &Value, judge: Judge) -> Result<Option<String>> {
    let options = vector.get("keys_options").unwrap_or(&Value::Null);
    let expect = vector.get("expect").unwrap_or(&Value::Null);
    let path = directory.join(text(vector, "file"));
    if text(vector, "api").starts_with("audit_") {
        return judge_audit(&path, options, expect, judge);
    }
    let receipt = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let times = options.get("times").and_then(Value::as_u64).unwrap_or(1);
    let mut entries = [FREE; 16];
    let mut replay = ReplayCache::new(&mut entries, [0; 16]);
    let mut complaint = None;
    for time in 1..=times {
        let got = judge_once(&receipt, text(vector, "api"), options, judge, &mut replay)?;
        if time == times {
            complaint = compare(got, expect);
        } else if let Err(verdict) = got {
            complaint = Some(format!("{verdict} the first time"));
        }
    }
    if let (None, Some(forensic)) = (&complaint, vector.get("forensic")) {
        let key = parse_key(options.get("key"))?;
        let got = key.and_then(|key| judge.verify_any(&receipt, &key, Purpose::Forensic, None));
        complaint = compare(got.map(|()| Value::Null), forensic).map(|complaint| format!("forensic: {complaint}"));
    }
    Ok(complaint)
}

type Verdicts<T> = std::result::Result<T, Verdict>;

fn parse_key(key: Option<&Value>) -> Result<Verdicts<PublicKey>> {
    let key = key.and_then(Value::as_str).ok_or("no key")?;
    Ok(PublicKey::parse(key, Field::Pubkey))
}

fn parse_keys(keys: Option<&Value>) -> Result<Vec<PublicKey>> {
    let keys = list(keys.unwrap_or(&Value::Null)).map(|key| parse_key(Some(key)));
    let keys: Result<Vec<_>> = keys.collect();
    Ok(keys?.into_iter().flatten().collect())
}

/// Judges once; what passes gives the value that the reference would give.
fn judge_once(
    receipt: &[u8],
    api: &str,
    options: &Value,
    judge: Judge,
    replay: &mut ReplayCache<'_>,
) -> Result<Verdicts<Value>> {
    let string = |name| options.get(name).and_then(Value::as_str);
    let nothing = |()| Value::Null;
    Ok(match api {
        "verify_any" => {
            let key = parse_key(options.get("key"))?;
            key.and_then(|key| judge.verify_any(receipt, &key, Purpose::Live, Some(replay)).map(nothing))
        }
        "verify_struct" => {
            let key = parse_key(options.get("key"))?;
            key.and_then(|key| judge.verify_struct(receipt, &key).map(nothing))
        }
        "verify_bilateral" => {
            let server = parse_key(options.get("key"))?;
            let agent = options.get("trusted_agent").map(|key| parse_key(Some(key))).transpose()?.transpose();
            let default = BilateralOptions::default();
            server.and_then(|server| {
                let agent = agent?;
                let options = BilateralOptions {
                    max_gap: options.get("window").and_then(Value::as_u64).unwrap_or(default.max_gap),
                    trusted_agent: agent.as_ref(),
                    session: string("session"),
                    call_id: string("call_id"),
                    ..default
                };
                judge.verify_bilateral(receipt, &server, &options, Some(replay)).map(|trust| match trust {
                    AgentTrust::SelfConsistent => json!("AgentSelfConsistent"),
                    AgentTrust::Trusted => json!("AgentTrusted"),
                })
            })
        }
        "verify_authorized" => {
            let roots = parse_keys(options.get("roots"))?;
            let depth = options.get("depth").and_then(Value::as_u64).map_or(MAX_CHAIN, |depth| depth as usize);
            let options = AuthorizedOptions { max_chain: depth, ..AuthorizedOptions::roots(&roots) };
            judge.verify_authorized(receipt, &options).map(|scope| serde_json::from_slice(&scope).unwrap_or_default())
        }
        "verify_delegation" => judge.verify_delegation(receipt, string("at").and_then(Instant::parse)).map(nothing),
        "verify_decision" => {
            let trusted = parse_keys(options.get("trusted"))?;
            let action = string("action").unwrap_or("");
            judge.verify_decision(receipt, &trusted, action.as_bytes(), string("principal")).map(nothing)
        }
        "check_revocation" => {
            let array = |name| string(name).unwrap_or("[]").as_bytes();
            judge.check_revocation(array("tokens"), array("decisions"), receipt).map(|status| match status {
                Revocation::Unknown => json!("Unknown"),
                Revocation::Revoked { at, by } => json!(format!("Revoked {{ at: {at:?}, by: {by:?} }}")),
            })
        }
        "verify_request" => judge_request(receipt, options, judge, replay)?,
        other => return Err(format!("unknown api {other}").into()),
    })
}

fn judge_request(
    receipt: &[u8],
    options: &Value,
    judge: Judge,
    replay: &mut ReplayCache<'_>,
) -> Result<Verdicts<Value>> {
    let string = |name| options.get(name).and_then(Value::as_str);
    let keys = parse_keys(options.get("trusted_keys"))?;
    let bundle = options.get("trust_bundle").map(Value::to_string);
    let signers = match &bundle {
        Some(bundle) => Signers::Bundle(&keys, bundle.as_bytes()),
        None if keys.is_empty() => Signers::Any,
        None => Signers::Keys(&keys),
    };
    let default = RequestOptions::default();
    let request = RequestOptions {
        signers,
        require_signature: options.get("require_signature").and_then(Value::as_bool).unwrap_or(true),
        target: string("expected_target").unwrap_or(""),
        max_age: options.get("max_age").and_then(Value::as_u64).map_or(default.max_age, |age| age as u32),
    };
    let now = string("now").and_then(Instant::parse).unwrap_or(judge.now);
    let replay = (options.get("nonce") == Some(&json!(true))).then_some(replay);
    let judge = Judge { now, ..judge };
    Ok(judge.verify_request(receipt, &request, replay).map(|trust| json!({"trusted": trust == SignerTrust::Trusted})))
}

/// Says what the reference's server says, as far as it is fixed.
fn server_message(verdict: Verdict) -> &'static str {
    match (verdict.field, verdict.reason) {
        (Field::Receipt, Reason::Missing) => "unsigned request",
        (Field::Trust, _) => "invalid trust bundle",
        (Field::Sig, Reason::Mismatch) => "invalid signature",
        (Field::Pubkey, Reason::Untrusted) => "untrusted signer: ",
        (Field::Ts, Reason::Malformed) => "invalid receipt timestamp",
        (Field::Ts, Reason::TooOld) => "receipt too old",
        (Field::Ts, Reason::Future) => "receipt from future",
        (Field::Target, Reason::Mismatch) => "target mismatch: ",
        (Field::Tool, Reason::Mismatch) => "tool mismatch: ",
        (Field::Params, Reason::Mismatch) => "params mismatch: ",
        (Field::Nonce, Reason::Empty) => "missing nonce",
        (Field::Nonce, Reason::Replay) => "replay detected",
        _ => "malformed receipt", // whatever is wrong with its shape
    }
}

fn compare(got: Verdicts<Value>, expect: &Value) -> Option<String> {
    let (class, message) = (text(expect, "class"), text(expect, "message"));
    let ok = expect.get("ok") == Some(&json!(true));
    match got {
        Ok(_) if !ok => Some(format!("accepted instead of {class} ({message})")),
        Err(verdict) if ok => Some(format!("{verdict} instead of accepted")),
        Err(verdict) if verdict.class.name() != class => Some(format!("{verdict} instead of {class} ({message})")),
        Err(verdict) if verdict.class == Class::ServerReject && !message.starts_with(server_message(verdict)) => {
            Some(format!("{verdict} instead of \"{message}\""))
        }
        Err(_) => None,
        Ok(value) => {
            let trusted = value.get("trusted").zip(expect.get("trusted")).is_none_or(|(got, want)| got == want);
            let want = expect.get("value").filter(|want| !want.is_null());
            let same = value.is_null() || value.get("trusted").is_some() || want.is_none_or(|want| *want == value);
            (!trusted || !same).then(|| format!("accepted with {value} instead of {want:?}"))
        }
    }
}

/// Judges a log: the chain, then every signature.
fn judge_audit(directory: &Path, options: &Value, expect: &Value, judge: Judge) -> Result<Option<String>> {
    let (mut start, mut total) = (String::from(GENESIS), 0);
    let mut chain = None;
    let mut signatures = Signatures::default();
    for file in list(options.get("files_oldest_first").unwrap_or(&Value::Null)) {
        let file = file.as_str().unwrap_or("");
        let lines = std::fs::read(directory.join(file)).map_err(|error| format!("{file}: {error}"))?;
        if chain.is_none() {
            match verify_lines(&lines, &start) {
                Ok(segment) => {
                    start = segment.end;
                    total += segment.records;
                }
                Err(fault) => chain = Some((file.to_owned(), total + fault.records, fault)),
            }
        }
        signatures.judge(file, &lines, judge);
    }
    let want = |name: &str| expect.get(name).unwrap_or(&Value::Null);
    let got = chain_status(chain, total);
    let comparable = |want: &Value| match want.get("class") {
        Some(class) => json!({"class": class, "ok": false}),
        None => want.clone(),
    };
    if got != comparable(want("chain")) {
        return Ok(Some(format!("chain {got} instead of {}", want("chain"))));
    }
    let got = signatures.status();
    if got != comparable(want("signatures")) {
        return Ok(Some(format!("signatures {got} instead of {}", want("signatures"))));
    }
    Ok(None)
}

fn chain_status(fault: Option<(String, u64, LogFault)>, total: u64) -> Value {
    match fault {
        None => json!({"break_point": null, "total_records": total, "valid": true}),
        Some((file, total, LogFault { hashes: Some((expected, actual)), line, .. })) => json!({
            "break_point": {"actual_hash": actual, "expected_hash": expected, "file": file, "line": line},
            "total_records": total, "valid": false,
        }),
        Some((_, _, fault)) => json!({"class": fault.verdict.class.name(), "ok": false}),
    }
}

#[derive(Default)]
struct Signatures {
    total: u64,
    valid: u64,
    failures: Vec<Value>,
    warnings: Vec<Value>,
    unreadable: Option<Verdict>,
}

impl Signatures {
    fn judge(&mut self, file: &str, lines: &[u8], judge: Judge) {
        for (line, record) in record_lines(lines) {
            let (id, recorded) = match judge.verify_recorded(record) {
                Ok(recorded) => recorded,
                Err(verdict) => {
                    self.unreadable = self.unreadable.or(Some(verdict));
                    continue;
                }
            };
            self.total += 1;
            let note = |reason: String| json!({"file": file, "line": line, "receipt_id": id, "reason": reason});
            match recorded {
                Ok(Recorded::Valid) => self.valid += 1,
                Ok(Recorded::SelfReported) => {
                    self.valid += 1;
                    self.warnings.push(note(String::from(SELF_REPORTED)));
                }
                Ok(Recorded::Encrypted) => self.warnings.push(note(String::from("encrypted params"))),
                Err(Verdict { class: Class::InvalidKey, .. }) => {
                    self.failures.push(note(String::from("invalid pubkey")));
                }
                Err(_) => self.failures.push(note(String::from("signature mismatch"))),
            }
        }
    }

    fn status(&self) -> Value {
        match self.unreadable {
            Some(verdict) => json!({"class": verdict.class.name(), "ok": false}),
            None => json!({
                "failures": self.failures, "total": self.total, "valid": self.valid, "warnings": self.warnings,
            }),
        }
    }
}

/// What the reference warns of when the keys of a co-signed receipt come from the receipt itself.
const SELF_REPORTED: &str = "bilateral receipt verified for integrity only; audit used receipt.server.pubkey from the \
                             record and did not supply trusted_server_pubkeys or trusted_agent_pubkeys";
