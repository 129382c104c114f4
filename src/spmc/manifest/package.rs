// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partition packages (SPKG, versions 1 and 2), as TF-A's `sptool` makes them and BL2 loads them.

use core::ops::Range;

use super::Refusal;

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
