// SPDX-License-Identifier: MIT OR Apache-2.0
// SHA-256 with the CPU's instructions (FEAT_SHA256).

    .section .text.sha256, "ax"
    .arch_extension fp
    .arch_extension simd
    .arch_extension sha2
    .global sha256_blocks

    // Four rounds: message words m0, constants k; the schedule goes on while there are rounds that need it.
    .macro  rounds, m0, m1, m2, m3, k, more
    add     v20.4s, v\m0\().4s, v\k\().4s
    .if     \more
    sha256su0 v\m0\().4s, v\m1\().4s
    .endif
    mov     v21.16b, v2.16b
    sha256h q2, q3, v20.4s
    sha256h2 q3, q21, v20.4s
    .if     \more
    sha256su1 v\m0\().4s, v\m2\().4s, v\m3\().4s
    .endif
    .endm

// extern "C" fn sha256_blocks(state: *mut u32, data: *const u8, blocks: u64, k: *const u32); blocks > 0.
// Leaves zero in the vector registers.
sha256_blocks:
    ld1     {{v0.4s, v1.4s}}, [x0]
    ld1     {{v4.4s, v5.4s, v6.4s, v7.4s}}, [x3], #64
    ld1     {{v8.4s, v9.4s, v10.4s, v11.4s}}, [x3], #64
    ld1     {{v12.4s, v13.4s, v14.4s, v15.4s}}, [x3], #64
    ld1     {{v24.4s, v25.4s, v26.4s, v27.4s}}, [x3]
1:  ld1     {{v16.16b, v17.16b, v18.16b, v19.16b}}, [x1], #64
    rev32   v16.16b, v16.16b
    rev32   v17.16b, v17.16b
    rev32   v18.16b, v18.16b
    rev32   v19.16b, v19.16b
    mov     v2.16b, v0.16b
    mov     v3.16b, v1.16b
    rounds  16, 17, 18, 19, 4, 1
    rounds  17, 18, 19, 16, 5, 1
    rounds  18, 19, 16, 17, 6, 1
    rounds  19, 16, 17, 18, 7, 1
    rounds  16, 17, 18, 19, 8, 1
    rounds  17, 18, 19, 16, 9, 1
    rounds  18, 19, 16, 17, 10, 1
    rounds  19, 16, 17, 18, 11, 1
    rounds  16, 17, 18, 19, 12, 1
    rounds  17, 18, 19, 16, 13, 1
    rounds  18, 19, 16, 17, 14, 1
    rounds  19, 16, 17, 18, 15, 1
    rounds  16, 17, 18, 19, 24, 0
    rounds  17, 18, 19, 16, 25, 0
    rounds  18, 19, 16, 17, 26, 0
    rounds  19, 16, 17, 18, 27, 0
    add     v0.4s, v0.4s, v2.4s
    add     v1.4s, v1.4s, v3.4s
    subs    x2, x2, #1
    b.ne    1b
    st1     {{v0.4s, v1.4s}}, [x0]
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27
    movi    v\n\().2d, #0
    .endr
    ret
