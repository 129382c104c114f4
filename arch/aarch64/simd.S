// SPDX-License-Identifier: MIT OR Apache-2.0
// SIMD and SVE registers; the only code of the SPMC that names them.

    // What is short lies in the rest of a vector's slot (vectors.S).
    .section .text.vectors, "ax"
    .global q_save, q_load, z_save, z_load, p_save, p_load
    .arch_extension fp
    .arch_extension simd
    .arch_extension sve

    .subsection 9
// extern "C" fn q_save(to: *const Simd): Q0-Q31, FPCR, FPSR.
q_save:
    stp     q0, q1, [x0]
    stp     q2, q3, [x0, #32]
    stp     q4, q5, [x0, #64]
    stp     q6, q7, [x0, #96]
    stp     q8, q9, [x0, #128]
    stp     q10, q11, [x0, #160]
    stp     q12, q13, [x0, #192]
    stp     q14, q15, [x0, #224]
    stp     q16, q17, [x0, #256]
    stp     q18, q19, [x0, #288]
    stp     q20, q21, [x0, #320]
    stp     q22, q23, [x0, #352]
    stp     q24, q25, [x0, #384]
    stp     q26, q27, [x0, #416]
    stp     q28, q29, [x0, #448]
    stp     q30, q31, [x0, #480]
    mrs     x1, fpcr
    mrs     x2, fpsr
    str     x1, [x0, #512]
    str     x2, [x0, #520]
    ret

    .subsection 11
q_load:
    ldp     q0, q1, [x0]
    ldp     q2, q3, [x0, #32]
    ldp     q4, q5, [x0, #64]
    ldp     q6, q7, [x0, #96]
    ldp     q8, q9, [x0, #128]
    ldp     q10, q11, [x0, #160]
    ldp     q12, q13, [x0, #192]
    ldp     q14, q15, [x0, #224]
    ldp     q16, q17, [x0, #256]
    ldp     q18, q19, [x0, #288]
    ldp     q20, q21, [x0, #320]
    ldp     q22, q23, [x0, #352]
    ldp     q24, q25, [x0, #384]
    ldp     q26, q27, [x0, #416]
    ldp     q28, q29, [x0, #448]
    ldp     q30, q31, [x0, #480]
    ldr     x1, [x0, #512]
    ldr     x2, [x0, #520]
    msr     fpcr, x1
    msr     fpsr, x2
    ret

    .section .text.sve, "ax"
// extern "C" fn z_save(z: *mut u64, status: *mut u64): Z0-Z31 at the current vector length, FPCR, FPSR.
z_save:
    mrs     x2, fpcr
    mrs     x3, fpsr
    stp     x2, x3, [x1]
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    str     z\n, [x0, #\n, mul vl]
    .endr
    ret
z_load:
    ldp     x2, x3, [x1]
    msr     fpcr, x2
    msr     fpsr, x3
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ldr     z\n, [x0, #\n, mul vl]
    .endr
    ret

    .section .text.vectors, "ax"
    .subsection 1
// extern "C" fn p_save(to: *const u64, ffr: u64): P0-P15, and FFR if `ffr` is not 0.
p_save:
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    str     p\n, [x0, #\n, mul vl]
    .endr
    cbz     x1, 1f
    rdffr   p0.b
    str     p0, [x0, #16, mul vl]
1:  ret
    .subsection 3
p_load:
    cbz     x1, 1f
    ldr     p0, [x0, #16, mul vl]
    wrffr   p0.b
1:
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    ldr     p\n, [x0, #\n, mul vl]
    .endr
    ret
