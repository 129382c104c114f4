// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recognises the inputs by their contents and reads them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

use spmc::Pa;
use spmc::manifest::{CheckedBlob, CoreManifest, Package, PartitionManifest, Warning};

use crate::findings::Findings;
use crate::{flash, layout};

/// Everything that was read.
#[derive(Default, Debug)]
pub(crate) struct Inputs {
    /// SPMC manifests: where from, the blob's size, what it says.
    pub(crate) spmc: Vec<(String, usize, CoreManifest)>,
    /// Partitions: a manifest at least.
    pub(crate) partitions: Vec<Partition>,
    /// TB_FW_CONFIG's lists of packages.
    pub(crate) lists: Vec<(String, Vec<Listed>)>,
    /// BL32 images: where from, bytes.
    pub(crate) bl32: Vec<(String, usize)>,
    /// Identifiers of the packages in a FIP.
    pub(crate) packed: Vec<[u8; 16]>,
}

/// A partition as far as the inputs tell of it.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Where its manifest is from.
    pub(crate) from: String,
    /// What its manifest says.
    pub(crate) manifest: PartitionManifest,
    /// Where it is loaded: by the layout or TB_FW_CONFIG, else by its own manifest.
    pub(crate) load: Option<u64>,
    /// Bytes of its package, where it is known.
    pub(crate) package: Option<usize>,
    /// Its identifier in a FIP, where it is known.
    pub(crate) uuid: Option<[u8; 16]>,
}

/// An entry of TB_FW_CONFIG.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The node's name.
    pub(crate) name: String,
    /// The package's identifier in the FIP.
    pub(crate) uuid: Option<[u8; 16]>,
    /// Where BL2 loads it.
    pub(crate) load: Option<u64>,
}

impl Inputs {
    /// Reads an input. What is wrong in it goes to the findings; an error is one that kept it from being read.
    pub(crate) fn read(&mut self, path: &Path, findings: &mut Findings) -> Result<(), String> {
        let from = path.display().to_string();
        if path.is_dir() {
            return self.folder(path, findings);
        }
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        match extension {
            "dts" => {
                let blob = compile(path)?;
                self.blob(&from, &blob, findings);
                Ok(())
            }
            "json" => layout::read(self, path, findings),
            // Everything else tells by its first bytes what it is.
            _ => {
                let bytes = fs::read(path).map_err(|e| e.to_string())?;
                self.bytes(&from, &bytes, findings)
            }
        }
    }

    fn folder(&mut self, path: &Path, findings: &mut Findings) -> Result<(), String> {
        let mut found = Vec::new();
        manifests(path, &mut found).map_err(|e| e.to_string())?;
        found.sort();
        if found.is_empty() {
            return Err("no manifest.dts in it".into());
        }
        found.iter().try_for_each(|p| self.read(p, findings).map_err(|e| format!("{}: {e}", p.display())))
    }

    /// Reads bytes by what they begin with.
    pub(crate) fn bytes(&mut self, from: &str, bytes: &[u8], findings: &mut Findings) -> Result<(), String> {
        if bytes.starts_with(&0xd00d_feed_u32.to_be_bytes()) {
            self.blob(from, bytes, findings);
        } else if bytes.starts_with(b"SPKG") {
            self.package(from, bytes, None, findings);
        } else if let Some(fip) = flash::find(bytes) {
            flash::read(self, from, fip, findings);
        } else {
            return Err("neither a device tree, a package, a FIP nor a flash image with one".into());
        }
        Ok(())
    }

    /// Reads a device tree by its root's `compatible`.
    pub(crate) fn blob(&mut self, from: &str, bytes: &[u8], findings: &mut Findings) {
        let blob = match CheckedBlob::check(bytes) {
            Ok(blob) => blob,
            Err(e) => return findings.error(from, format_args!("not a usable device tree: {e}; compile it with dtc")),
        };
        if compatible(&blob).iter().any(|c| c.starts_with("arm,ffa-manifest")) {
            self.partition(from, &blob, None, None, None, findings);
        } else if let Some(list) = listed(&blob, from, findings) {
            self.lists.push((from.into(), list));
        } else {
            match CoreManifest::parse_with(&blob, &mut |w: Warning| findings.told(from, &w)) {
                Ok(manifest) => self.spmc.push((from.into(), blob.size(), manifest)),
                Err(refusal) => findings.error(from, refusal),
            }
        }
    }

    /// Reads a package and the manifest in it.
    pub(crate) fn package(&mut self, from: &str, bytes: &[u8], uuid: Option<[u8; 16]>, findings: &mut Findings) {
        let package = match Package::parse(bytes) {
            Ok(package) => package,
            Err(refusal) => return findings.error(from, refusal),
        };
        match CheckedBlob::check(package.manifest_bytes()) {
            Ok(blob) => self.partition(from, &blob, None, Some(package.bytes.len()), uuid, findings),
            Err(e) => findings.error(from, format_args!("the package's manifest is no usable device tree: {e}")),
        }
    }

    /// Reads a partition manifest, once or twice: its own load address may be what relative offsets count from.
    pub(crate) fn partition(
        &mut self,
        from: &str,
        blob: &CheckedBlob<'_>,
        load: Option<u64>,
        package: Option<usize>,
        uuid: Option<[u8; 16]>,
        findings: &mut Findings,
    ) {
        let own = PartitionManifest::parse(blob, Pa(0)).ok().and_then(|m| m.load_address).map(|a| a.0);
        let load = load.or(own);
        match PartitionManifest::parse_with(blob, Pa(load.unwrap_or(0)), &mut |w: Warning| findings.told(from, &w)) {
            Ok(manifest) => self.partitions.push(Partition { from: from.into(), manifest, load, package, uuid }),
            Err(refusal) => findings.error(from, refusal),
        }
    }
}

fn manifests(folder: &Path, found: &mut Vec<std::path::PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            manifests(&path, found)?;
        } else if path.file_name().is_some_and(|n| n == "manifest.dts") {
            found.push(path);
        }
    }
    Ok(())
}

/// Compiles a source with dtc.
pub(crate) fn compile(path: &Path) -> Result<Vec<u8>, String> {
    let mut dtc = Command::new("dtc");
    dtc.args(["-q", "-I", "dts", "-O", "dtb"]);
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        dtc.arg("-i").arg(folder);
    }
    let output = dtc.arg(path).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("dtc cannot be run ({e}): install device-tree-compiler"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("dtc refuses it:\n{}", String::from_utf8_lossy(&output.stderr).trim_end()))
    }
}

fn compatible<'a>(blob: &'a CheckedBlob<'_>) -> Vec<&'a str> {
    let value = blob.root().properties().find(|(name, _)| *name == b"compatible").map(|(_, value)| value);
    value.into_iter().flat_map(|v| v.split(|&b| b == 0)).filter_map(|t| str::from_utf8(t).ok()).collect()
}

/// Reads TB_FW_CONFIG's list of packages, if the tree has one.
fn listed(blob: &CheckedBlob<'_>, from: &str, findings: &mut Findings) -> Option<Vec<Listed>> {
    let list = blob.root().children().find(|n| n.name() == "secure-partitions")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string();
    if !list.properties().any(|(name, value)| name == b"compatible" && text(value) == "arm,sp") {
        findings.error(from, "/secure-partitions: compatible is not \"arm,sp\": BL2 loads none of them; add it");
    }
    let mut out = Vec::new();
    for node in list.children() {
        let (mut uuid, mut load) = (None, None);
        for (name, value) in node.properties() {
            match name {
                b"uuid" => uuid = ffa_abi::Uuid::parse(&text(value)).ok().map(|u| u.0),
                b"load-address" => load = number(value),
                // "owner" and the like.
                _ => (),
            }
        }
        for (value, what) in [(uuid.is_some(), "uuid"), (load.is_some(), "load-address")] {
            if !value {
                let name = node.name();
                findings
                    .error(from, format_args!("/secure-partitions/{name}: {what} is missing or wrong; BL2 wants it"));
            }
        }
        out.push(Listed { name: node.name().into(), uuid, load });
    }
    Some(out)
}

/// Reads a number of one cell or two.
fn number(value: &[u8]) -> Option<u64> {
    match value.len() {
        4 | 8 => Some(value.iter().fold(0, |n, &b| n << 8 | u64::from(b))),
        // Not what BL2 reads.
        _ => None,
    }
}
