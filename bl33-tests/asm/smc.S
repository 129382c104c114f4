// SPDX-License-Identifier: MIT OR Apache-2.0
// SMC with all of x0 to x17 in and out.

// Loads or stores x0 to x17 at x18.
.macro registers move
    \move   x0, x1, [x18]
    \move   x2, x3, [x18, #16]
    \move   x4, x5, [x18, #32]
    \move   x6, x7, [x18, #48]
    \move   x8, x9, [x18, #64]
    \move   x10, x11, [x18, #80]
    \move   x12, x13, [x18, #96]
    \move   x14, x15, [x18, #112]
    \move   x16, x17, [x18, #128]
.endm

.section .text.smc, "ax"
.global smc18
// (registers: pointer to 18 u64, in and out)
smc18:
    stp     x29, x30, [sp, #-32]!
    stp     x18, x0, [sp, #16]
    mov     x18, x0
    registers ldp
    smc     #0
    // x18 to x30 survive an SMC, but the image's own correctness does not hang on it.
    ldr     x18, [sp, #24]
    registers stp
    ldr     x18, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret

.global timed_smc
// (registers: pointer to 18 u64, in and out) -> counter ticks from just before the SMC to just after it
timed_smc:
    stp     x29, x30, [sp, #-64]!
    stp     x18, x0, [sp, #16]
    stp     x19, x20, [sp, #32]
    mov     x18, x0
    registers ldp
    isb
    mrs     x19, cntpct_el0
    smc     #0
    mrs     x20, cntpct_el0
    ldr     x18, [sp, #24]
    registers stp
    sub     x0, x20, x19
    ldp     x19, x20, [sp, #32]
    ldr     x18, [sp, #16]
    ldp     x29, x30, [sp], #64
    ret

.global timed_nothing
// () -> what two counter reads alone cost
timed_nothing:
    isb
    mrs     x0, cntpct_el0
    mrs     x1, cntpct_el0
    sub     x0, x1, x0
    ret
