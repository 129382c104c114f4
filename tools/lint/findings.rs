// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found, in the order in which it was.

use std::fmt::Display;

use spmc::manifest::Warning;

/// Collects errors and warnings.
#[derive(Default, Debug)]
pub(crate) struct Findings(Vec<(Level, String)>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Level {
    Error,
    Warning,
}

impl Findings {
    /// Adds something that keeps the platform, or a partition, from booting as meant.
    pub(crate) fn error(&mut self, from: &str, text: impl Display) {
        self.0.push((Level::Error, format!("{from}: {text}")));
    }

    /// Adds something that is tolerated.
    pub(crate) fn warning(&mut self, from: &str, text: impl Display) {
        self.0.push((Level::Warning, format!("{from}: {text}")));
    }

    /// Adds a warning of the firmware's reader.
    pub(crate) fn told(&mut self, from: &str, w: &Warning) {
        let node = if w.node.is_empty() { String::new() } else { format!("/{}: ", w.node) };
        let property = if w.property.is_empty() { String::new() } else { format!("{} ", w.property) };
        self.warning(from, format_args!("{}: {node}{property}{}", w.file, w.text));
    }

    /// Returns how many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.0.iter().filter(|(level, _)| *level == Level::Error).count()
    }

    /// Prints everything, then the counts.
    pub(crate) fn print(&self, quiet: bool) {
        for (level, text) in &self.0 {
            match level {
                Level::Error => println!("error: {text}"),
                Level::Warning if quiet => (),
                Level::Warning => println!("warning: {text}"),
            }
        }
        let errors = self.errors();
        if errors > 0 || !quiet {
            println!("{errors} errors, {} warnings", self.0.len() - errors);
        }
    }
}
