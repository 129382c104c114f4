// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot information blob (DEN0077A v1.1, "Boot information protocol").

/// 64-bit words of a blob with one descriptor.
pub const WORDS: usize = 8;

const SIGNATURE: u32 = 0x0ffa;
const VERSION_1_1: u32 = 0x0001_0001;
const HEADER: u32 = 32;
const DESCRIPTOR: u32 = 32;

/// Encodes a blob with one descriptor: type 0 (FDT), contents by address, the `size` bytes at `address` being the
/// partition's manifest.
pub const fn fdt(address: u64, size: u32) -> [u64; WORDS] {
    const fn pair(low: u32, high: u32) -> u64 {
        low as u64 | (high as u64) << 32
    }
    let name = u32::from_le_bytes(*b"FDT\0");
    [
        pair(SIGNATURE, VERSION_1_1),
        pair(8 * WORDS as u32, DESCRIPTOR),
        pair(1, HEADER),
        0,
        // Name, 16 bytes; type, reserved, flags (name is text, contents are an address): zero; size.
        pair(name, 0),
        0,
        pair(0, size),
        address,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blob_has_the_fields_where_the_specification_says() {
        let b = fdt(0x1_0e30_1000, 0x345).map(u64::to_le_bytes).concat();
        let word = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        assert_eq!((word(0), word(4), word(8), word(12), word(16), word(20)), (0xffa, 0x1_0001, 64, 32, 1, 32));
        assert_eq!(&b[32..36], b"FDT\0");
        assert_eq!(b[48..52], [0; 4]);
        assert_eq!((word(52), word(56), word(60)), (0x345, 0x0e30_1000, 1));
    }
}
