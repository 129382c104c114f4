// SPDX-License-Identifier: MIT OR Apache-2.0
// Entry on every CPU. Nothing is assumed of a warm entry: the MMU may be on, with this CPU's old EL2 state.

    .section .text.boot, "ax"
    .global _start
_start:
    msr     daifset, #0xf
    mov     x19, x0                     // the SPMC manifest's address
    bl      el2_quiesce
    // Drop what a cache may hold of memory that is written with the MMU off, and push the image out.
    adr     x0, __image_start
    adr     x1, __image_end
    bl      clean_invalidate
    bl      clean_tables_and_stack
    // The boot stack, by its physical address; the tables are built on it.
    msr     spsel, #1
    adr     x0, __stacks_start
    mov     x1, {STACK_SIZE}
    add     sp, x0, x1
    adr     x0, __tables_start
    adr     x1, __tables_end
    bl      clear
    mov     x0, x19
    bl      {build_tables}
    bl      clean_tables_and_stack
    bl      regime
    bl      mmu_on
    adr     x0, __bss_start
    adr     x1, __bss_end
    bl      clear_blocks
    adr     x0, __data_start
    adr     x1, __data_end
    adr     x2, __data_load
1:  ldp     x3, x4, [x2], #16
    stp     x3, x4, [x0], #16
    cmp     x0, x1
    b.lo    1b
    // The CPU that boots is number 0; the SPMC manifest lists the others.
    mrs     x0, mpidr_el1
    mov_imm x1, {AFFINITY}
    and     x0, x0, x1
    adr     x1, {mpidrs}
    str     x0, [x1]
    bl      cpu_find
    // Building the SPMC takes more stack than serving: until then the stacks of all CPUs are this one's.
    mov_imm x0, {BOOT_STACK_TOP}
    sub     sp, x0, #16
    mov     x0, x19
    bl      {cold}
    bl      cpu_find
    bl      {serve}
    b       .

    .global warm_entry
warm_entry:
    msr     daifset, #0xf
    msr     spsel, #1
    bl      el2_quiesce
    bl      regime
    bl      mmu_on
    bl      cpu_find
    bl      {warm}
    b       .

// Turns the MMU and caches of this CPU off and puts EL2 in non-VHE mode. Leaf, no memory.
el2_quiesce:
    mov_imm x0, {SCTLR_OFF}
    msr     sctlr_el2, x0
    isb
    mov     x0, #(1 << 31)              // HCR_EL2.RW; the whole table is loaded later
    msr     hcr_el2, x0
    isb
    ret

// Finds this CPU by MPIDR_EL1, and gives it its block (TPIDR_EL2) and stack.
cpu_find:
    mrs     x0, mpidr_el1
    mov_imm x1, {AFFINITY}
    and     x0, x0, x1
    adr     x1, {mpidrs}
    mov     x2, #0
1:  ldr     x3, [x1, x2, lsl #3]
    cmp     x3, x0
    b.eq    2f
    add     x2, x2, #1
    cmp     x2, {CPUS}
    b.ne    1b
    b       stray
2:  mov_imm x0, {PERCPU_SIZE}
    adr     x1, {percpu}
    madd    x1, x2, x0, x1
    msr     tpidr_el2, x1
    str     x2, [x1, {PERCPU_INDEX}]
    mov_imm x0, {STACKS_VA}
    add     x0, x0, x2, lsl {STACK_BIT} + 1
    mov_imm x2, (1 << {STACK_BIT}) + {STACK_SIZE}
    add     x0, x0, x2
    sub     sp, x0, #16
    mov     x29, #0
    mov     x1, x30
    mov     x30, #0
    ret     x1                          // not BR, which would need a landing pad

// A CPU that the SPMC manifest does not list has no block and no stack, but calls to answer. All such CPUs share one
// stack, each for as long as an answer takes. EL3 keeps x19 and x20.
    .arch_extension lse
stray:
    msr     tpidr_el2, xzr
    mov     x19, #0                     // the first time
    adr     x20, {stray}
1:  mov     w21, #1
    swpa    w21, w21, [x20]
    cbnz    w21, 1b
    add     x21, x20, {STRAY_SIZE}
    sub     sp, x21, #144
    stp     x0, x1, [sp]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    mov     x0, sp
    mov     x1, x19
    bl      {unlisted}
    ldp     x0, x1, [sp]
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    stlr    wzr, [x20]
    mov     x19, #1
    smc     #0
    b       1b

    // What is short lies in the rest of a vector's slot (vectors.S).
    .section .text.vectors_history, "ax"
    .subsection 1
// Fills x0 to x1, two multiples of 4 KiB in Normal memory, with zeroes: by blocks where that is allowed. Leaf.
clear_blocks:
    mrs     x2, dczid_el0
    tbnz    x2, #4, clear               // DZP: DC ZVA is prohibited
    and     x2, x2, #0xf                // BS: log2 of words
    mov     x3, #4
    lsl     x3, x3, x2
1:  dc      zva, x0                     // a block has at most 2 KiB
    add     x0, x0, x3
    dc      zva, x0
    add     x0, x0, x3
    cmp     x0, x1
    b.lo    1b
    ret

// Fills x0 to x1, two multiples of 64, with zeroes. Leaf.
clear:
    stp     xzr, xzr, [x0], #16
    stp     xzr, xzr, [x0], #16
    stp     xzr, xzr, [x0], #16
    stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    clear
    ret

    .subsection 3
// Says how S-EL2 translates, by the tables of all CPUs, and where its vectors are. Leaf, no memory.
regime:
    mov_imm x0, {MAIR}
    msr     mair_el2, x0
    mov_imm x0, {TCR}
    mrs     x1, id_aa64mmfr0_el1
    and     x1, x1, #0xf                // PARange, at most 48 bits
    mov     x2, #5
    cmp     x1, x2
    csel    x1, x1, x2, lo
    bfi     x0, x1, #16, #3             // TCR_EL2.PS
    msr     tcr_el2, x0
    adr     x0, {stage1}
    msr     ttbr0_el2, x0
    adr     x0, vectors
    msr     vbar_el2, x0
    ret

    .subsection 9
// Turns the MMU on. Leaf, no memory.
mmu_on:
    dsb     ish
    tlbi    alle2
    ic      iallu
    dsb     ish
    isb
    mov_imm x0, {SCTLR_ON}
    msr     sctlr_el2, x0
    isb
    ret

    .section .text.clean, "ax"
clean_tables_and_stack:
    mov     x20, x30
    adr     x0, __tables_start
    adr     x1, __tables_end
    bl      clean_invalidate
    adr     x0, __stacks_start
    add     x1, x0, {STACK_SIZE}
    mov     x30, x20
// Cleans and invalidates x0 (a page's start) to x1 and up to three lines more, to the point of coherency. Leaf, no memory.
clean_invalidate:
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4             // DminLine: log2 of words
    mov     x3, #4
    lsl     x3, x3, x2
1:
    .rept   4
    dc      civac, x0
    add     x0, x0, x3
    .endr
    cmp     x0, x1
    b.lo    1b
    dsb     sy
    ret
