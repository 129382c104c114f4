// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-256 of the packages, at boot: with the CPU's instructions where it has them, or else in software.

use crate::{percpu, simd};

unsafe extern "C" {
    fn sha256_blocks(state: *mut u32, data: *const u8, blocks: u64, k: *const u32);
}

const BLOCK: usize = 64;

/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// FIPS 180-4, 4.2.2.
static K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
];

/// Hashes `bytes`. Boot time: neither world has anything in the SIMD registers yet.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut state = INITIAL;
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    compress(&mut state, blocks);
    // The padding: a one bit, zeroes, the length in bits at the end of the last block, which may be one more.
    let mut last = [[0; BLOCK]; 2];
    let count = if rest.len() + 9 > BLOCK { 2 } else { 1 };
    if let Some((data, [end, ..])) = last.as_flattened_mut().split_at_mut_checked(rest.len()) {
        data.copy_from_slice(rest);
        *end = 0x80;
    }
    let last = last.get_mut(..count).unwrap_or_default();
    if let Some(length) = last.as_flattened_mut().last_chunk_mut() {
        *length = (bytes.len() as u64).wrapping_mul(8).to_be_bytes();
    }
    compress(&mut state, last);
    let mut out = [0; 32];
    out.copy_from_slice(state.map(u32::to_be_bytes).as_flattened());
    out
}

fn compress(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    let is_present = mrs!("id_aa64isar0_el1") >> 12 & 0xf != 0;
    if !is_present {
        sha2::block_api::compress256(state, blocks);
    } else if !blocks.is_empty() {
        simd::with_open(percpu::this(), || {
            // SAFETY: the instructions exist, the registers are open and nobody's; the pointers are to eight words, so
            // many blocks, and 64 words.
            unsafe { sha256_blocks(state.as_mut_ptr(), blocks.as_ptr().cast(), blocks.len() as u64, K.as_ptr()) }
        });
    }
}
