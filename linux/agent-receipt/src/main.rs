// SPDX-License-Identifier: MIT OR Apache-2.0
//! `agent-receipt`: has the receipts partition judge, record and attest, from a command line.
//!
//! Exit status: 0 the partition accepted, 1 it refused, 2 there is no verdict (usage, file, module, partition).
#![forbid(unsafe_code)]

mod device;
mod report;

use device::{Answer, Device, Failure};
use receipts_client::{Operation, Tag, flags};
use std::fmt;
use std::process::ExitCode;

const USAGE: &str = "\
usage: agent-receipt [--json] COMMAND
  hello                            what the partition is and can do
  verify FILE [OPTIONS]            judge a receipt; `-` is standard input
      --key ed25519:...            under this key (default: the trusted ones)
      --compat                     as the reference implementation does (default: strict)
      --forensic                   as a record of the past: no expiry, no replay check
  append FILE                      add a receipt to the audit chain
  head                             the audit chain's last hash, its length, the partition's key
  checkpoint                       a statement about the audit chain, signed by the partition
  trust query | clear              what trust is loaded; forget it
  trust load BUNDLE SIGNATURE      load a bundle; SIGNATURE is a file of 64 bytes, by the provisioning key
exit status: 0 accepted, 1 refused, 2 no verdict";

/// Why there is no verdict.
enum Trouble {
    Usage(String),
    File(String, std::io::Error),
    Call(Failure),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => write!(f, "{what}\n{USAGE}"),
            Self::File(path, error) => write!(f, "{path}: {error}"),
            Self::Call(failure) => failure.fmt(f),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Call(failure)
    }
}

fn read(path: &str) -> Result<Vec<u8>, Trouble> {
    let read = if path == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| Trouble::File(path.into(), error))
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Hello,
    Verify { file: String, key: Option<String>, flags: u16 },
    Append(String),
    Head,
    Checkpoint,
    TrustLoad { bundle: String, signature: String },
    TrustQuery,
    TrustClear,
}

/// Reads the words of the command line: the command, and whether to answer in JSON.
fn parse(words: &[String]) -> Result<(Command, bool), String> {
    let (mut key, mut flag_bits, mut json, mut plain) = (None, 0, false, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => json = true,
            "--compat" => flag_bits |= flags::COMPAT,
            "--forensic" => flag_bits |= flags::FORENSIC,
            "--key" => key = Some(words.next().ok_or("--key wants a key")?.clone()),
            option if option.starts_with("--") => return Err(format!("there is no option {option}")),
            _ => plain.push(word.as_str()),
        }
    }
    let command = match plain[..] {
        ["verify", file] => {
            Command::Verify { file: file.into(), key: key.take(), flags: std::mem::take(&mut flag_bits) }
        }
        ["hello"] => Command::Hello,
        ["append", file] => Command::Append(file.into()),
        ["head"] => Command::Head,
        ["checkpoint"] => Command::Checkpoint,
        ["trust", "load", bundle, signature] => {
            Command::TrustLoad { bundle: bundle.into(), signature: signature.into() }
        }
        ["trust", "query"] => Command::TrustQuery,
        ["trust", "clear"] => Command::TrustClear,
        [] => return Err("a command is missing".into()),
        // Anything else is no command line.
        _ => return Err(format!("this is no command: {}", plain.join(" "))),
    };
    if key.is_some() || flag_bits != 0 {
        return Err("--key, --compat and --forensic belong to verify".into());
    }
    Ok((command, json))
}

/// Carries a command out.
fn carry_out(command: &Command) -> Result<Answer, Trouble> {
    let ask = |operation, flags, parts: &[(Tag, &[u8])]| Ok(Device::open()?.call(operation, flags, parts)?);
    match command {
        Command::Hello => ask(Operation::Hello, 0, &[]),
        Command::Verify { file, key, flags } => {
            let receipt = read(file)?;
            let mut parts = vec![(Tag::Receipt, &receipt[..])];
            parts.extend(key.as_ref().map(|key| (Tag::Key, key.as_bytes())));
            ask(Operation::Verify, *flags, &parts)
        }
        Command::Append(file) => ask(Operation::Append, 0, &[(Tag::Receipt, &read(file)?)]),
        Command::Head => ask(Operation::Head, 0, &[]),
        Command::Checkpoint => ask(Operation::Checkpoint, 0, &[]),
        Command::TrustLoad { bundle, signature } => {
            let (bundle, signature) = (read(bundle)?, read(signature)?);
            ask(Operation::TrustLoad, 0, &[(Tag::Bundle, &bundle), (Tag::Signature, &signature)])
        }
        Command::TrustQuery => ask(Operation::TrustQuery, 0, &[]),
        Command::TrustClear => ask(Operation::TrustClear, 0, &[]),
    }
}

fn main() -> ExitCode {
    let done = parse(&call_device::words()).map_err(Trouble::Usage).and_then(|(command, json)| {
        let answer = carry_out(&command)?;
        print!("{}", report::show(&command, &answer, json));
        Ok(u8::from(!answer.reply.is_accepted()))
    });
    call_device::finish("agent-receipt", done.map_err(|trouble| (2, trouble)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Command, bool), String> {
        parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines() {
        let verify = Command::Verify { file: "f".into(), key: Some("k".into()), flags: flags::COMPAT };
        assert_eq!(parsed("verify f --compat --key k --json"), Ok((verify, true)));
        assert_eq!(parsed("head"), Ok((Command::Head, false)));
        assert_eq!(parsed("--json trust clear"), Ok((Command::TrustClear, true)));
        for wrong in
            ["", "verify", "verify a b", "head --compat", "append f --key k", "verify f --key", "--what", "trust"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
