// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partition packages (SPKG, versions 1 and 2), as TF-A's `sptool` makes them and BL2 loads them.

use core::ops::Range;

use sha2::{Digest, Sha256};

use super::{Cause, File, Refusal};

const MAGIC: u32 = 0x474b_5053;
/// Bytes of the header: magic, version, then offset and size of manifest and image, little-endian words.
const HEADER_SIZE: usize = 24;
const PAGE: usize = crate::PAGE_SIZE as usize;

/// Holds a package's header, checked against the bytes that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package<'a> {
    /// The format.
    pub version: PackageVersion,
    /// The whole package as its header delimits it: from the header to the end of the image.
    pub bytes: &'a [u8],
    /// Bytes of `bytes` that are the partition manifest.
    pub manifest: Range<usize>,
    /// Bytes of `bytes` that are the image; it starts on a page.
    pub image: Range<usize>,
}

/// Names a package format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageVersion {
    /// The manifest follows the header; the image is page-aligned.
    V1,
    /// Both are page-aligned; boot information may be written to the page of the header.
    V2,
}

impl<'a> Package<'a> {
    /// Reads the package at the start of `memory`, which is all the memory that its partition has.
    pub fn parse(memory: &'a [u8]) -> Result<Self, Refusal> {
        let header = Header::read(memory)?;
        let version = match header.version {
            1 => PackageVersion::V1,
            2 => PackageVersion::V2,
            // A format of the future.
            n => return Err(wrong("version", n as usize, "1 or 2")),
        };
        let manifest = range("pm_size", header.manifest, header.manifest_size)?;
        let image = range("img_size", header.image, header.image_size)?;
        check_order(version, &manifest, &image)?;
        let bytes = memory.get(..image.end).ok_or_else(|| {
            let rule = "an end inside its mem_size in the SPMC manifest; enlarge that";
            wrong("img_size", image.end, rule)
        })?;
        Ok(Self { version, bytes, manifest, image })
    }

    /// Returns the partition manifest's bytes.
    pub fn manifest_bytes(&self) -> &'a [u8] {
        self.bytes.get(self.manifest.clone()).unwrap_or(&[])
    }

    /// Returns the image's bytes.
    pub fn image_bytes(&self) -> &'a [u8] {
        self.bytes.get(self.image.clone()).unwrap_or(&[])
    }

    /// Computes the SHA-256 of the whole package: of the same bytes that `sptool` wrote, up to the image's end.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.bytes).into()
    }
}

struct Header {
    version: u32,
    manifest: usize,
    manifest_size: usize,
    image: usize,
    image_size: usize,
}

impl Header {
    fn read(memory: &[u8]) -> Result<Self, Refusal> {
        let cut = || {
            let cause = Cause::Length { bytes: memory.len() };
            refuse("header", cause, "at least 24; enlarge its mem_size")
        };
        let (words, _) = memory.get(..HEADER_SIZE).ok_or_else(cut)?.as_chunks::<4>();
        let [magic, version, manifest, manifest_size, image, image_size] = words else { return Err(cut()) };
        let magic = u32::from_le_bytes(*magic);
        if magic != MAGIC {
            let rule = "0x474b5053 (\"SPKG\"); load the package (TB_FW_CONFIG) at the load_address of its vm node";
            return Err(wrong("magic", magic as usize, rule));
        }
        let offset = |w: &[u8; 4]| u32::from_le_bytes(*w) as usize;
        Ok(Self {
            version: u32::from_le_bytes(*version),
            manifest: offset(manifest),
            manifest_size: offset(manifest_size),
            image: offset(image),
            image_size: offset(image_size),
        })
    }
}

/// Checks that header, manifest and image follow each other as the version has it.
fn check_order(version: PackageVersion, manifest: &Range<usize>, image: &Range<usize>) -> Result<(), Refusal> {
    match version {
        PackageVersion::V1 if manifest.start != HEADER_SIZE => {
            return Err(wrong("pm_offset", manifest.start, "24 in version 1"));
        }
        PackageVersion::V2 if manifest.start == 0 || !manifest.start.is_multiple_of(PAGE) => {
            return Err(wrong("pm_offset", manifest.start, "a multiple of 0x1000 above 0 in version 2"));
        }
        PackageVersion::V1 | PackageVersion::V2 => (),
    }
    if !image.start.is_multiple_of(PAGE) {
        return Err(wrong("img_offset", image.start, "a multiple of 0x1000"));
    }
    if manifest.is_empty() || image.is_empty() {
        let field = if manifest.is_empty() { "pm_size" } else { "img_size" };
        return Err(wrong(field, 0, "at least one byte"));
    }
    if manifest.end > image.start {
        let rule = "an offset behind the manifest's end; move \"offset\" of \"image\" in the layout";
        return Err(wrong("img_offset", image.start, rule));
    }
    Ok(())
}

fn range(field: &'static str, start: usize, size: usize) -> Result<Range<usize>, Refusal> {
    match start.checked_add(size) {
        Some(end) => Ok(start..end),
        None => Err(refuse(field, Cause::Wraps { base: start as u64, size: size as u64 }, "")),
    }
}

fn refuse(property: &'static str, cause: Cause, rule: &'static str) -> Refusal {
    Refusal::new(File::Package, property, cause, rule)
}

fn wrong(field: &'static str, found: usize, rule: &'static str) -> Refusal {
    refuse(field, Cause::Value { found: found as u64 }, rule)
}
