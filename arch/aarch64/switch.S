// SPDX-License-Identifier: MIT OR Apache-2.0
// The world switch: entering a partition is a function that returns when it traps.

    .section .text.switch, "ax"
    .global context_enter, context_exit, keys_save, keys_load, timers_save, timers_load, rare_save, rare_load

// Called from inline assembly: x0 = the context, x1 = the message. Returns which vector ended the run in x0; every other
// register but SP, x19 and x29 is lost. x0-x17 are the message registers; x18-x30, ELR and SPSR the context's.
context_enter:
    stp     x29, x30, [sp, #-48]!
    str     x19, [sp, #32]
    stp     x0, x1, [sp, #16]
    ldp     x18, x19, [x0, {X18}]
    ldp     x20, x21, [x0, {X18} + 16]
    ldp     x22, x23, [x0, {X18} + 32]
    ldp     x24, x25, [x0, {X18} + 48]
    ldp     x26, x27, [x0, {X18} + 64]
    ldp     x28, x29, [x0, {X18} + 80]
    ldp     x30, x2, [x0, {X18} + 96]
    ldr     x3, [x0, {X18} + 112]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    ldp     x2, x3, [x1, #16]
    ldp     x4, x5, [x1, #32]
    ldp     x6, x7, [x1, #48]
    ldp     x8, x9, [x1, #64]
    ldp     x10, x11, [x1, #80]
    ldp     x12, x13, [x1, #96]
    ldp     x14, x15, [x1, #112]
    ldp     x16, x17, [x1, #128]
    ldp     x0, x1, [x1]
    eret
    // The compiler may assemble this file apart from the macros of asm.rs.
    dsb     nsh
    isb

// From the vectors: x0 = which, x0 and x1 of the partition on the stack, then the frame of context_enter.
context_exit:
    ldr     x1, [sp, #40]
    stp     x2, x3, [x1, #16]
    stp     x4, x5, [x1, #32]
    ldp     x2, x3, [sp], #16
    stp     x6, x7, [x1, #48]
    stp     x2, x3, [x1]
    ldr     x2, [sp, #16]
    stp     x8, x9, [x1, #64]
    stp     x10, x11, [x1, #80]
    stp     x12, x13, [x1, #96]
    stp     x14, x15, [x1, #112]
    stp     x16, x17, [x1, #128]
    stp     x18, x19, [x2, {X18}]
    stp     x20, x21, [x2, {X18} + 16]
    stp     x22, x23, [x2, {X18} + 32]
    stp     x24, x25, [x2, {X18} + 48]
    mrs     x3, elr_el2
    stp     x26, x27, [x2, {X18} + 64]
    stp     x28, x29, [x2, {X18} + 80]
    mrs     x4, spsr_el2
    stp     x30, x3, [x2, {X18} + 96]
    str     x4, [x2, {X18} + 112]
    mrs     x5, S3_0_C12_C1_1           // DISR_EL1: what ESB found at the vector
    cbnz    x5, 2f
1:  ldr     x19, [sp, #32]
    ldp     x29, x30, [sp], #48
    ret
2:  mov     x0, {EXIT_DEFERRED}
    b       1b

    .macro  key_pairs, op
    \op     apiakeylo_el1, apiakeyhi_el1, 0
    \op     apibkeylo_el1, apibkeyhi_el1, 16
    \op     apdakeylo_el1, apdakeyhi_el1, 32
    \op     apdbkeylo_el1, apdbkeyhi_el1, 48
    \op     apgakeylo_el1, apgakeyhi_el1, 64
    .endm
    .macro  rare_pairs, op
    \op     amair_el1, contextidr_el1, 0
    \op     afsr0_el1, afsr1_el1, 16
    .endm
    .macro  timer_pairs, op
    \op     cntv_ctl_el0, cntv_cval_el0, 0
    .endm
    .macro  save, a, b, at
    mrs     x1, \a
    mrs     x2, \b
    stp     x1, x2, [x0, #\at]
    .endm
    .macro  load, a, b, at
    ldp     x1, x2, [x0, #\at]
    msr     \a, x1
    msr     \b, x2
    .endm

    // These lie in the rest of vectors' slots (vectors.S).
    .arch_extension pauth
    .section .text.vectors, "ax"
    .subsection 5
keys_save:
    key_pairs save
    ret
    .subsection 7
keys_load:
    key_pairs load
    ret
    .section .text.vectors_history, "ax"
    .subsection 5
rare_save:
    rare_pairs save
    ret
rare_load:
    rare_pairs load
    ret
    .subsection 11
timers_save:
    timer_pairs save
    ret
timers_load:
    timer_pairs load
    ret
