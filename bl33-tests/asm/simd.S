// SPDX-License-Identifier: MIT OR Apache-2.0
// SMC with FP/SIMD or SVE registers loaded before and stored after. Rust here is built without them.

.arch armv9-a+fp+simd+sve+sme

.macro q_all op
    \op     q0, q1, [x20]
    \op     q2, q3, [x20, #32]
    \op     q4, q5, [x20, #64]
    \op     q6, q7, [x20, #96]
    \op     q8, q9, [x20, #128]
    \op     q10, q11, [x20, #160]
    \op     q12, q13, [x20, #192]
    \op     q14, q15, [x20, #224]
    \op     q16, q17, [x20, #256]
    \op     q18, q19, [x20, #288]
    \op     q20, q21, [x20, #320]
    \op     q22, q23, [x20, #352]
    \op     q24, q25, [x20, #384]
    \op     q26, q27, [x20, #416]
    \op     q28, q29, [x20, #448]
    \op     q30, q31, [x20, #480]
.endm

.macro z_all op
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    \op     z\n, [x20, #\n, mul vl]
    .endr
.endm

.macro p_all op
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    \op     p\n, [x21, #\n, mul vl]
    .endr
.endm

.macro simd_enter
    stp     x29, x30, [sp, #-48]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    mov     x20, x1
.endm

.macro simd_leave
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x29, x30, [sp], #48
    ret
.endm

.section .text.simd, "ax"
.global simd_smc
// (registers: 18 u64, image: q0-q31, FPCR, FPSR)
simd_smc:
    simd_enter
    q_all   ldp
    add     x22, x20, #512
    ldp     x2, x3, [x22]
    msr     fpcr, x2
    msr     fpsr, x3
    bl      smc18
    q_all   stp
    mrs     x2, fpcr
    mrs     x3, fpsr
    stp     x2, x3, [x22]
    simd_leave

.global sve_smc
// (registers: 18 u64, image: z0-z31 one vector length apart, 8 KiB; then p0-p15 and FFR one predicate apart)
sve_smc:
    simd_enter
    add     x21, x20, #8192
    z_all   ldr
    ldr     p0, [x21, #16, mul vl]
    wrffr   p0.b
    p_all   ldr
    bl      smc18
    z_all   str
    p_all   str
    rdffr   p0.b
    str     p0, [x21, #16, mul vl]
    simd_leave

.global sve_bytes
// Gives EL2 the longest vectors and returns their length in bytes.
sve_bytes:
    mov     x0, #0xf
    msr     S3_4_C1_C2_0, x0            // ZCR_EL2
    isb
    rdvl    x0, #1
    ret

.global sme_smc
// (registers: 18 u64, address of an image: z0-z31, p0-p15 at 8 KiB, ZA at 16 KiB) -> SVCR after the call
// In streaming mode with ZA on: 3. If the call came back with another SVCR, nothing is stored.
sme_smc:
    simd_enter
    add     x21, x20, #8192
    add     x22, x20, #16384
    smstart
    z_all   ldr
    p_all   ldr
    rdsvl   x3, #1
    mov     x4, x22
    mov     w12, #0
1:  ldr     za[w12, 0], [x4]
    add     x4, x4, x3
    add     w12, w12, #1
    cmp     w12, w3
    b.lo    1b
    bl      smc18
    mrs     x19, S3_3_C4_C2_2           // SVCR
    cmp     x19, #3
    b.ne    3f
    z_all   str
    p_all   str
    rdsvl   x3, #1
    mov     x4, x22
    mov     w12, #0
2:  str     za[w12, 0], [x4]
    add     x4, x4, x3
    add     w12, w12, #1
    cmp     w12, w3
    b.lo    2b
3:  smstop
    mov     x0, x19
    simd_leave

.global sme_bytes
// Gives EL2 the longest streaming vectors and returns their length in bytes.
sme_bytes:
    mov     x0, #0xf
    msr     S3_4_C1_C2_6, x0            // SMCR_EL2
    isb
    rdsvl   x0, #1
    ret

.arch armv8-a
