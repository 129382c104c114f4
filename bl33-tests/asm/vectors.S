// SPDX-License-Identifier: MIT OR Apache-2.0
// The vectors of NS-EL2. An exception that nobody asked for ends the run as a failure.

.macro unexpected number
    .balign 0x80
    mov     x0, #\number
    b       vector_fatal
.endm

.section .text.vectors, "ax"
.balign 2048
el2_vectors:
    unexpected 0
    unexpected 1
    unexpected 2
    unexpected 3
    .balign 0x80
    b       vector_sync                 // 4: synchronous, from EL2 itself
    .balign 0x80
    b       vector_irq                  // 5: IRQ, from EL2 itself
    unexpected 6
    unexpected 7
    unexpected 8
    unexpected 9
    unexpected 10
    unexpected 11
    unexpected 12
    unexpected 13
    unexpected 14
    unexpected 15

// A fault inside the probes below is an answer: continue at probe_fault with x0 = ESR_EL2.
vector_sync:
    stp     x1, x2, [sp, #-16]!
    mrs     x1, elr_el2
    adrp    x2, probes_start
    add     x2, x2, :lo12:probes_start
    cmp     x1, x2
    b.lo    1f
    adrp    x2, probes_end
    add     x2, x2, :lo12:probes_end
    cmp     x1, x2
    b.hs    1f
    adrp    x2, probe_fault
    add     x2, x2, :lo12:probe_fault
    msr     elr_el2, x2
    mrs     x0, esr_el2
    ldp     x1, x2, [sp], #16
    eret
1:  mov     x0, #4

// Its own stack: the fault may be the stack's. One CPU's report is enough.
vector_fatal:
    adrp    x1, emergency_stack
    add     x1, x1, :lo12:emergency_stack
    mov     sp, x1
    mrs     x1, esr_el2
    mrs     x2, elr_el2
    mrs     x3, far_el2
    bl      bl33_fatal_exception
    b       .

vector_irq:
    stp     x0, x1, [sp, #-192]!
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x30, [sp, #144]
    mrs     x0, elr_el2
    mrs     x1, spsr_el2
    stp     x0, x1, [sp, #160]
    bl      bl33_irq
    ldp     x0, x1, [sp, #160]
    msr     elr_el2, x0
    msr     spsr_el2, x1
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x30, [sp, #144]
    ldp     x0, x1, [sp], #192
    eret

// Accesses that may fault. Each returns x0 = 0, or ESR_EL2 of the fault (never 0).
.section .text.probes, "ax"
probes_start:
.global probe_read64
// (address, out)
probe_read64:
    ldr     x2, [x0]
    dsb     sy
    str     x2, [x1]
    mov     x0, #0
    ret
.global probe_write64
// (address, value)
probe_write64:
    str     x1, [x0]
    dsb     sy
    mov     x0, #0
    ret
probes_end:
probe_fault:
    ret
