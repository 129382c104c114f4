// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SIMD registers by hand, for partitions compiled without them: the compiler uses none, so that what is put there
//! stays there.

use core::arch::asm;

/// Lets EL1 use FP and SIMD.
fn allow() {
    // SAFETY: the compiler has nothing in the registers that become usable.
    unsafe { asm!("msr cpacr_el1, {}", "isb", in(reg) 3_u64 << 20, options(nostack)) };
}

/// Repeats an instruction for each of the 32 registers.
macro_rules! each_register {
    ($($text:literal),+) => {
        concat!(
            ".arch_extension fp\n.arch_extension simd\n",
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n",
            $($text, "\n",)+
            ".endr\n",
            ".arch_extension nosimd\n.arch_extension nofp\n"
        )
    };
}

/// Puts `seed + n` in both halves of each Qn.
pub fn fill(seed: u64) {
    allow();
    // SAFETY: the compiler keeps nothing in the registers that are written.
    unsafe {
        asm!(each_register!("dup v\\n\\().2d, {value}", "add {value}, {value}, #1"), value = inout(reg) seed => _,
            options(nostack, nomem));
    }
}

/// Reads all registers, each its low half first.
pub fn store() -> [u64; 64] {
    allow();
    let mut halves = [0; 64];
    // SAFETY: 32 stores of 16 bytes fill `halves` exactly.
    unsafe {
        asm!(each_register!("str q\\n, [{at}], #16"), at = inout(reg) halves.as_mut_ptr() => _, options(nostack));
    }
    halves
}

/// Adds `value` to Q0, using it as little as a message can; returns its low half.
#[inline(always)]
pub fn touch(value: u64) -> u64 {
    allow();
    let sum: u64;
    // SAFETY: the compiler keeps nothing in v0 and v1.
    unsafe {
        asm!(".arch_extension fp", ".arch_extension simd",
            "dup v1.2d, {value}", "add v0.2d, v0.2d, v1.2d", "umov {sum}, v0.d[0]",
            ".arch_extension nosimd", ".arch_extension nofp",
            value = in(reg) value, sum = out(reg) sum, options(nostack, nomem));
    }
    sum
}
