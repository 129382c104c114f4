// SPDX-License-Identifier: MIT OR Apache-2.0
//! TF-A's firmware image package (FIP), alone or in a flash image.

use crate::findings::Findings;
use crate::input::Inputs;

/// TOC_HEADER_NAME.
const MAGIC: [u8; 4] = 0xaa64_0001_u32.to_le_bytes();
/// Where QEMU's flash image has its FIP.
const FLASH_OFFSET: usize = 256 * 1024;

/// Names of `include/tools_share/firmware_image_package.h`, as bytes in the file.
const TOS_FW_CONFIG: [u8; 16] = 0x26257c1adbc67f478d96c4c4b0248021_u128.to_be_bytes();
const TB_FW_CONFIG: [u8; 16] = 0x6c0458ffaf6b7d4f82edaa27bc69bfd2_u128.to_be_bytes();
const BL32: [u8; 16] = 0x05d0e18953dc13478d2b500a4b7a3e38_u128.to_be_bytes();

/// Finds a FIP at the start, or where a flash image has it.
pub(crate) fn find(bytes: &[u8]) -> Option<&[u8]> {
    [0, FLASH_OFFSET].into_iter().filter_map(|at| bytes.get(at..)).find(|b| b.starts_with(&MAGIC))
}

/// Reads what a FIP holds of ours.
pub(crate) fn read(inputs: &mut Inputs, from: &str, fip: &[u8], findings: &mut Findings) {
    let mut seen = false;
    for (uuid, image) in entries(fip) {
        let Some(image) = image else {
            findings
                .error(from, format_args!("an image of the FIP ({uuid:02x?}) lies outside the file; pack it again"));
            continue;
        };
        match uuid {
            TOS_FW_CONFIG => {
                seen = true;
                inputs.blob(&format!("{from} (TOS_FW_CONFIG)"), image, findings);
            }
            TB_FW_CONFIG => inputs.blob(&format!("{from} (TB_FW_CONFIG)"), image, findings),
            BL32 => inputs.bl32.push((format!("{from} (BL32)"), image.len())),
            // A package, or an image of TF-A's own.
            _ if image.starts_with(b"SPKG") => {
                inputs.packed.push(uuid);
                let name = ffa_abi::Uuid(uuid);
                inputs.package(&format!("{from} (package {name})"), image, Some(uuid), findings);
            }
            _ => (),
        }
    }
    if !seen {
        findings.error(from, "the FIP has no TOS_FW_CONFIG: the SPMC gets no manifest; build TF-A with one");
    }
}

/// Returns each entry's identifier and its bytes, `None` where they are not in the file.
fn entries(fip: &[u8]) -> impl Iterator<Item = ([u8; 16], Option<&[u8]>)> {
    let table = fip.get(16..).unwrap_or(&[]).chunks_exact(40);
    table.map_while(move |entry| {
        let uuid: [u8; 16] = entry.get(..16)?.try_into().ok()?;
        let word = |at: usize| Some(u64::from_le_bytes(entry.get(at..at + 8)?.try_into().ok()?));
        let (start, size) = (usize::try_from(word(16)?).ok()?, usize::try_from(word(24)?).ok()?);
        // The nil identifier ends the table.
        (uuid != [0; 16]).then(|| (uuid, start.checked_add(size).and_then(|end| fip.get(start..end))))
    })
}
