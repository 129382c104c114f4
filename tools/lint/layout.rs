// SPDX-License-Identifier: MIT OR Apache-2.0
//! sptool's layout (TF-A's `SP_LAYOUT_FILE`): for each partition its image, its manifest and where it is loaded.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use spmc::manifest::CheckedBlob;

use crate::findings::Findings;
use crate::input::{Inputs, compile};

/// Bytes before the image where the layout says nothing (sptool's default for the image is 0x4000).
const IMAGE_OFFSET: u64 = 0x4000;

/// Reads a layout and the manifests that it names.
pub(crate) fn read(inputs: &mut Inputs, path: &Path, findings: &mut Findings) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let layout: Value = serde_json::from_str(&text).map_err(|e| format!("not JSON: {e}"))?;
    let Some(partitions) = layout.as_object() else { return Err("not a JSON object of partitions".into()) };
    let from = path.display().to_string();
    let folder = path.parent().unwrap_or(Path::new(""));
    for (name, entry) in partitions {
        partition(inputs, &from, folder, name, entry, findings);
    }
    Ok(())
}

fn partition(inputs: &mut Inputs, from: &str, folder: &Path, name: &str, entry: &Value, findings: &mut Findings) {
    let Some(manifest) = file(entry.get("pm")).map(|p| folder.join(p)) else {
        return findings.error(from, format_args!("{name}: \"pm\" is missing, expected the manifest's file; add it"));
    };
    let load = entry.get("physical-load-address").map(number);
    if let Some(None) = load {
        findings.error(from, format_args!("{name}: \"physical-load-address\" is not a number; write it as \"0x...\""));
    }
    let image = file(entry.get("image")).map(|p| folder.join(p));
    if image.is_none() {
        findings.error(from, format_args!("{name}: \"image\" is missing, expected the image's file; add it"));
    }
    let offset = entry.get("image").and_then(|i| i.get("offset")).and_then(number).unwrap_or(IMAGE_OFFSET);
    let manifest_offset = entry.get("pm").and_then(|i| i.get("offset")).and_then(number).unwrap_or(0x1000);
    for (what, offset) in [("image", offset), ("pm", manifest_offset)] {
        if offset % 0x1000 != 0 {
            let text = format!("{name}: \"offset\" of \"{what}\" is {offset:#x}, expected a multiple of 0x1000");
            findings.error(from, text);
        }
    }
    let package = image.and_then(|p| match fs::metadata(&p) {
        Ok(m) => usize::try_from(m.len().saturating_add(offset)).ok(),
        Err(e) => {
            findings.error(from, format_args!("{name}: image {}: {e}; build it first", p.display()));
            None
        }
    });
    let blob = if manifest.extension().is_some_and(|e| e == "dts") {
        compile(&manifest)
    } else {
        fs::read(&manifest).map_err(|e| e.to_string())
    };
    let blob = match blob {
        Ok(blob) => blob,
        Err(e) => return findings.error(from, format_args!("{name}: manifest {}: {e}", manifest.display())),
    };
    if manifest_offset.saturating_add(blob.len() as u64) > offset {
        let text = format!(
            "{name}: the manifest ends at {:#x}, behind the image's offset {offset:#x}; move the image",
            manifest_offset + blob.len() as u64
        );
        findings.error(from, text);
    }
    let uuid = entry.get("uuid").and_then(Value::as_str);
    if let Some(text) = uuid.filter(|t| ffa_abi::Uuid::parse(t).is_err()) {
        findings.error(from, format_args!("{name}: \"uuid\" is \"{text}\", expected 8-4-4-4-12 hexadecimal digits"));
    }
    let manifest = manifest.display().to_string();
    match CheckedBlob::check(&blob) {
        Ok(blob) => {
            let uuid = uuid.and_then(|t| ffa_abi::Uuid::parse(t).ok()).map(|u| u.0);
            inputs.partition(&manifest, &blob, load.flatten(), package, uuid, findings);
        }
        Err(e) => findings.error(&manifest, format_args!("not a usable device tree: {e}")),
    }
}

/// Reads `"file"` or `{"file": "file", "offset": ...}`.
fn file(value: Option<&Value>) -> Option<PathBuf> {
    let value = value?;
    value.as_str().or_else(|| value.get("file")?.as_str()).map(PathBuf::from)
}

/// Reads a number, written as one or as text in decimal or hexadecimal.
fn number(value: &Value) -> Option<u64> {
    let Some(text) = value.as_str() else { return value.as_u64() };
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
