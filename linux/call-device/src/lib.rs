// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the command lines that call a partition share: its character device (`linux/modules/call_device.h`), JSON's
//! strings, and how they end.
#![forbid(unsafe_code)]

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// Bytes of x3 to x7.
pub const REGISTERS: usize = 40;

/// Names a device and where it comes from.
#[derive(Debug)]
pub struct Names {
    /// Its path.
    pub path: &'static str,
    /// The environment variable that names another path.
    pub variable: &'static str,
    /// The kernel module that offers it.
    pub module: &'static str,
    /// Why there may be no device though the module is loaded.
    pub absent: &'static str,
}

/// Says why a device gave no answer.
#[derive(Debug)]
pub struct Failure {
    names: &'static Names,
    why: Why,
}

#[derive(Debug)]
enum Why {
    NoModule,
    NoPartition,
    Refused(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Names { path, module, absent, .. } = self.names;
        match &self.why {
            Why::NoModule => write!(f, "{path} is not there: load the module {module} (as root: insmod)"),
            Why::NoPartition => write!(f, "{path} is not there: {absent} (or the FF-A driver found none)"),
            Why::Refused(error) if error.kind() == ErrorKind::PermissionDenied => {
                write!(f, "{path}: {error} (run as root)")
            }
            Why::Refused(error) => write!(f, "{path}: {error}"),
        }
    }
}

/// Holds an open device.
#[derive(Debug)]
pub struct Device {
    file: File,
    names: &'static Names,
}

impl Device {
    /// Opens a device.
    ///
    /// # Errors
    /// Where it is missing, finds out why.
    pub fn open(names: &'static Names) -> Result<Self, Failure> {
        let path = std::env::var(names.variable).unwrap_or_else(|_| names.path.into());
        let why = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => return Ok(Self { file, names }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let loaded = Path::new("/sys/module").join(names.module).exists();
                if loaded { Why::NoPartition } else { Why::NoModule }
            }
            Err(error) => Why::Refused(error),
        };
        Err(Failure { names, why })
    }

    /// Makes one call; returns the device's answer, for which `room` bytes are set aside.
    ///
    /// # Errors
    /// What the device refuses.
    pub fn exchange(&mut self, request: &[u8], room: usize) -> Result<Vec<u8>, Failure> {
        let mut answer = Vec::with_capacity(room);
        self.try_exchange(request, &mut answer)
            .map_err(|error| Failure { names: self.names, why: Why::Refused(error) })?;
        Ok(answer)
    }

    fn try_exchange(&mut self, request: &[u8], answer: &mut Vec<u8>) -> io::Result<()> {
        // One write is one call: a short one is none.
        if self.file.write(request)? != request.len() {
            return Err(ErrorKind::WriteZero.into());
        }
        self.file.read_to_end(answer).map(drop)
    }
}

/// Splits a device's answer into x3 to x7 and the bytes behind them; `None` where it is too short.
pub fn split(answer: &[u8]) -> Option<([u64; 5], &[u8])> {
    let (head, body) = answer.split_at_checked(REGISTERS)?;
    let mut registers = [0; 5];
    for (register, bytes) in registers.iter_mut().zip(head.as_chunks().0) {
        *register = u64::from_le_bytes(*bytes);
    }
    Some((registers, body))
}

/// Packs registers as a device takes and gives them.
pub fn pack(registers: &[u64]) -> Vec<u8> {
    registers.iter().flat_map(|register| register.to_le_bytes()).collect()
}

/// Quotes a text for JSON.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

/// Gives the words of the command line.
pub fn words() -> Vec<String> {
    std::env::args().skip(1).collect()
}

/// Ends a command with its status; what went wrong is said on standard error.
pub fn finish(name: &str, done: Result<u8, (u8, impl fmt::Display)>) -> ExitCode {
    ExitCode::from(done.unwrap_or_else(|(status, trouble)| {
        eprintln!("{name}: {trouble}");
        status
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_split() {
        let mut bytes = pack(&[1, 2, 3, 4, u64::MAX]);
        bytes.extend(b"abc");
        assert_eq!(split(&bytes), Some(([1, 2, 3, 4, u64::MAX], &b"abc"[..])));
        assert_eq!(split(&bytes[..39]), None);
    }

    #[test]
    fn texts_are_quoted() {
        assert_eq!(quoted("a\"\\\n"), r#""a\"\\\u000a""#);
    }

    #[test]
    fn a_missing_device_is_explained() {
        static NAMES: Names =
            Names { path: "/nowhere/device", variable: "NO_SUCH_DEVICE", module: "no_such_module", absent: "" };
        let failure = Device::open(&NAMES).expect_err("nothing is there");
        let text = "/nowhere/device is not there: load the module no_such_module (as root: insmod)";
        assert_eq!(failure.to_string(), text);
    }
}
