// SPDX-License-Identifier: MIT OR Apache-2.0
// The world switch: entering a partition is a function that returns when it traps.

    .section .text.switch, "ax"
    .global context_enter, context_exit, smc_call, message_save, message_load, el1_save, el1_load, keys_save, keys_load, timers_save, timers_load

// extern "C" fn context_enter(context: *const Context, regs: *mut Regs) -> u64
// Returns which vector ended the run. x0-x17 are the message registers; x18-x30, ELR and SPSR the context's.
context_enter:
    stp     x29, x30, [sp, #-112]!
    mov     x29, sp
    stp     x27, x28, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x23, x24, [sp, #64]
    stp     x21, x22, [sp, #80]
    stp     x19, x20, [sp, #96]
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
    sb_

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
    ldp     x27, x28, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x23, x24, [sp, #64]
    ldp     x21, x22, [sp, #80]
    ldp     x19, x20, [sp, #96]
    ldp     x29, x30, [sp], #112
    ret

// extern "C" fn smc_call(regs: *mut Regs)
// EL3 preserves x18-x30 of ours, but nothing says so: it is treated as a function call.
smc_call:
    stp     x29, x30, [sp, #-32]!
    mov     x29, sp
    str     x0, [sp, #16]
    mov     x18, x0
    ldp     x0, x1, [x18]
    ldp     x2, x3, [x18, #16]
    ldp     x4, x5, [x18, #32]
    ldp     x6, x7, [x18, #48]
    ldp     x8, x9, [x18, #64]
    ldp     x10, x11, [x18, #80]
    ldp     x12, x13, [x18, #96]
    ldp     x14, x15, [x18, #112]
    ldp     x16, x17, [x18, #128]
    smc     #0
    ldr     x18, [sp, #16]
    stp     x0, x1, [x18]
    stp     x2, x3, [x18, #16]
    stp     x4, x5, [x18, #32]
    stp     x6, x7, [x18, #48]
    stp     x8, x9, [x18, #64]
    stp     x10, x11, [x18, #80]
    stp     x12, x13, [x18, #96]
    stp     x14, x15, [x18, #112]
    stp     x16, x17, [x18, #128]
    ldp     x29, x30, [sp], #32
    ret

// Copies x8-x17 between a context (x0) and a message (x1).
message_save:
    add     x2, x1, #64
    add     x0, x0, #64
    b       1f
message_load:
    add     x2, x0, #64
    add     x0, x1, #64
1:  ldp     x3, x4, [x2]
    ldp     x5, x6, [x2, #16]
    ldp     x7, x8, [x2, #32]
    ldp     x9, x10, [x2, #48]
    ldp     x11, x12, [x2, #64]
    stp     x3, x4, [x0]
    stp     x5, x6, [x0, #16]
    stp     x7, x8, [x0, #32]
    stp     x9, x10, [x0, #48]
    stp     x11, x12, [x0, #64]
    ret

    // EL1 and EL0 registers that a partition and the Normal world both use: one list, both directions.
    .macro  el1_pairs, op
    \op     sp_el0, sp_el1, 0
    \op     sctlr_el1, vbar_el1, 16
    \op     ttbr0_el1, ttbr1_el1, 32
    \op     tcr_el1, mair_el1, 48
    \op     amair_el1, contextidr_el1, 64
    \op     tpidr_el0, tpidrro_el0, 80
    \op     tpidr_el1, par_el1, 96
    \op     elr_el1, spsr_el1, 112
    \op     esr_el1, far_el1, 128
    \op     afsr0_el1, afsr1_el1, 144
    \op     cntkctl_el1, cpacr_el1, 160
    .endm
    .macro  key_pairs, op
    \op     apiakeylo_el1, apiakeyhi_el1, 0
    \op     apibkeylo_el1, apibkeyhi_el1, 16
    \op     apdakeylo_el1, apdakeyhi_el1, 32
    \op     apdbkeylo_el1, apdbkeyhi_el1, 48
    \op     apgakeylo_el1, apgakeyhi_el1, 64
    .endm
    .macro  timer_pairs, op
    \op     cntv_ctl_el0, cntv_cval_el0, 0
    \op     cntp_ctl_el0, cntp_cval_el0, 16
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

    .arch_extension pauth
el1_save:
    el1_pairs save
    ret
el1_load:
    el1_pairs load
    ret
keys_save:
    key_pairs save
    ret
keys_load:
    key_pairs load
    ret
timers_save:
    timer_pairs save
    ret
timers_load:
    timer_pairs load
    ret
