// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks a platform's flash inputs before they boot, with the firmware's own reader.
//!
//! The same code that refuses a manifest at boot refuses it here, and what the firmware cannot see (TF-A's limits,
//! packages that nobody loads, images that do not fit) is checked on top. Exit status: 0 if nothing is wrong, 1 if
//! something is, 2 if an input could not be read at all.
#![forbid(unsafe_code)]

mod check;
mod findings;
mod flash;
mod input;
mod layout;

use std::path::PathBuf;
use std::process::ExitCode;

use findings::Findings;
use input::Inputs;

const USAGE: &str = "\
usage: lint [--quiet] INPUT...

Checks before boot what the firmware would refuse at boot. Inputs, in any number and order:
  *.dts, *.dtb   an SPMC manifest, partition manifests, TB_FW_CONFIG (sources are compiled by dtc)
  *.json         an sptool layout (SP_LAYOUT_FILE); the manifests and images that it names are read too
  *.pkg          partition packages
  *.bin, *.bios  a FIP or a flash image that holds one: everything in it is checked
  a folder       every manifest.dts in it and in the folders in it
What is given together is held against each other. Exit status 0: good, 1: errors, 2: an input cannot be read.";

fn main() -> ExitCode {
    let mut quiet = false;
    let mut paths = Vec::new();
    for word in std::env::args_os().skip(1) {
        match word.to_str() {
            Some("--help" | "-h") => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            Some("--quiet" | "-q") => quiet = true,
            Some(option) if option.starts_with('-') => {
                eprintln!("lint: no such option: {option}\n{USAGE}");
                return ExitCode::from(2);
            }
            // A path; one that is not Unicode is a path too.
            Some(_) | None => paths.push(PathBuf::from(word)),
        }
    }
    if paths.is_empty() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let mut findings = Findings::default();
    let mut inputs = Inputs::default();
    for path in &paths {
        if let Err(reason) = inputs.read(path, &mut findings) {
            eprintln!("lint: {}: {reason}", path.display());
            return ExitCode::from(2);
        }
    }
    let summary = check::all(&inputs, &mut findings);
    findings.print(quiet);
    if !quiet {
        summary.iter().for_each(|line| println!("{line}"));
    }
    if findings.errors() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
