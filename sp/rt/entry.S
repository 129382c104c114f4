/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * From the SPMC's ERET to Rust, and the exception vectors. x0 carries the boot information where the manifest asks for
 * it there. The MMU is off, and nothing is assumed of any other register.
 */
    .macro  address reg, symbol
    adrp    \reg, \symbol
    add     \reg, \reg, :lo12:\symbol
    .endm

    .section .text.entry, "ax"
    .global _start
_start:
    msr     daifset, #0xf
    msr     spsel, #1
    mov     x20, x0
    mov     x21, #1

    address x0, bss_start
    address x1, bss_end
1:  cmp     x0, x1
    b.hs    2f
    stp     xzr, xzr, [x0], #16
    b       1b

2:  address x0, image_start             // apply R_AARCH64_RELATIVE: *(place + delta) = addend + delta
    movz    x1, #:abs_g2:LINK_BASE
    movk    x1, #:abs_g1_nc:LINK_BASE
    movk    x1, #:abs_g0_nc:LINK_BASE
    sub     x2, x0, x1
    address x3, rela_start
    address x4, rela_end
3:  cmp     x3, x4
    b.hs    enter_context
    ldp     x5, x6, [x3], #16
    ldr     x7, [x3], #8
    cmp     w6, #1027
    b.ne    3b
    add     x7, x7, x2
    str     x7, [x5, x2]
    b       3b

    .global secondary_start
secondary_start:
    msr     daifset, #0xf
    msr     spsel, #1
    mov     x20, x0
    mov     x21, #0

enter_context:
    mrs     x0, mpidr_el1               // the number of the context: Aff0 as the SPMC shows it
    and     x0, x0, #0xff
    movz    x1, #:abs_g0:CONTEXTS
    cmp     x0, x1
    b.hs    give_up
    movz    x1, #:abs_g1:STACK_SLOT
    movk    x1, #:abs_g0_nc:STACK_SLOT
    address x2, stacks_start
    madd    x2, x0, x1, x2              // the context's slot
    add     x3, x2, #0x2000             // above one guard page and the exception stack
    mov     sp, x3
    add     x3, x2, x1
    msr     sp_el0, x3
    address x3, {contexts}
    mov     x4, #{context_size}
    madd    x3, x0, x4, x3
    msr     tpidr_el1, x3
    address x3, vectors
    msr     vbar_el1, x3
    mov     x3, #{cpacr}
    msr     cpacr_el1, x3
    msr     spsel, #0                   // code runs on SP_EL0; an exception switches to SP_EL1
    isb
    mov     x29, #0
    mov     x30, #0
    mov     x1, x21
    mov     x2, x20
    b       {enter}

/* Ends this context without a stack: asks the SPMC to abort it, and where that returns, faults at stage 2. */
    .global give_up
give_up:
    mov     w0, #0x0090                 // FFA_ABORT
    movk    w0, #0x8400, lsl #16
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    mov     x4, #0
    mov     x5, #0
    mov     x6, #0
    mov     x7, #0
    smc     #0
    mov     w0, #0x0060                 // FFA_ERROR
    movk    w0, #0x8400, lsl #16
    mov     x1, #0
    mov     w2, #-8                     // ABORTED
    mov     x3, #0
    mov     x4, #0
    mov     x5, #0
    mov     x6, #0
    mov     x7, #0
    smc     #0
    mov     x0, #0x0800                 // SCTLR_EL1: MMU off, RES1 bits
    movk    x0, #0x30d0, lsl #16
    msr     sctlr_el1, x0
    isb
1:  mov     x0, #0                      // nobody has address 0
    ldr     x0, [x0]
    b       1b

/* Moves the SIMD registers to or from the frame, in code whose handlers use them as the compiler likes. */
    .macro  each_simd operation
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    \operation q\n, [sp, #({simd_at} + 16 * \n)]
    .endr
    .endm

/* Saves x0-x30, ELR_EL1, SPSR_EL1 and perhaps SIMD, calls \handler(frame), and takes all of it back. */
    .macro  exception handler
    sub     sp, sp, #{frame_size}
    stp     x0, x1, [sp, #0x00]
    stp     x2, x3, [sp, #0x10]
    stp     x4, x5, [sp, #0x20]
    stp     x6, x7, [sp, #0x30]
    stp     x8, x9, [sp, #0x40]
    stp     x10, x11, [sp, #0x50]
    stp     x12, x13, [sp, #0x60]
    stp     x14, x15, [sp, #0x70]
    stp     x16, x17, [sp, #0x80]
    stp     x18, x19, [sp, #0x90]
    stp     x20, x21, [sp, #0xa0]
    stp     x22, x23, [sp, #0xb0]
    stp     x24, x25, [sp, #0xc0]
    stp     x26, x27, [sp, #0xd0]
    stp     x28, x29, [sp, #0xe0]
    mrs     x0, elr_el1
    mrs     x1, spsr_el1
    stp     x30, x0, [sp, #0xf0]
    str     x1, [sp, #0x100]
    .if     {simd}
    each_simd str
    mrs     x0, fpcr
    mrs     x1, fpsr
    str     x0, [sp, #({simd_at} + 0x200)]
    str     x1, [sp, #({simd_at} + 0x208)]
    .endif
    mov     x0, sp
    bl      \handler
    b       leave_exception
    .endm

    .macro  vector offset, handler
    .org    vectors + \offset
    b       \handler
    .endm

    .section .text.vectors, "ax"
    .balign 2048
vectors:
    vector  0x000, enter_sync           // current EL with SP_EL0: the partition's code
    vector  0x080, enter_irq
    vector  0x100, enter_other          // FIQ
    vector  0x180, enter_other          // SError
    vector  0x200, enter_nested         // current EL with SP_EL1: a fault in an exception handler
    vector  0x280, enter_nested
    vector  0x300, enter_nested
    vector  0x380, enter_nested
    vector  0x400, enter_nested         // lower ELs: there are none
    vector  0x480, enter_nested
    vector  0x500, enter_nested
    vector  0x580, enter_nested
    vector  0x600, enter_nested
    vector  0x680, enter_nested
    vector  0x700, enter_nested
    vector  0x780, enter_nested
    .org    vectors + 0x800

enter_sync:
    exception {sync}
enter_irq:
    exception {irq}
enter_other:
    exception {other}
enter_nested:
    b       give_up

leave_exception:
    .if     {simd}
    each_simd ldr
    ldr     x0, [sp, #({simd_at} + 0x200)]
    ldr     x1, [sp, #({simd_at} + 0x208)]
    msr     fpcr, x0
    msr     fpsr, x1
    .endif
    ldp     x30, x0, [sp, #0xf0]
    ldr     x1, [sp, #0x100]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    ldp     x0, x1, [sp, #0x00]
    ldp     x2, x3, [sp, #0x10]
    ldp     x4, x5, [sp, #0x20]
    ldp     x6, x7, [sp, #0x30]
    ldp     x8, x9, [sp, #0x40]
    ldp     x10, x11, [sp, #0x50]
    ldp     x12, x13, [sp, #0x60]
    ldp     x14, x15, [sp, #0x70]
    ldp     x16, x17, [sp, #0x80]
    ldp     x18, x19, [sp, #0x90]
    ldp     x20, x21, [sp, #0xa0]
    ldp     x22, x23, [sp, #0xb0]
    ldp     x24, x25, [sp, #0xc0]
    ldp     x26, x27, [sp, #0xd0]
    ldp     x28, x29, [sp, #0xe0]
    add     sp, sp, #{frame_size}
    eret
