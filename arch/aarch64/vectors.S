// SPDX-License-Identifier: MIT OR Apache-2.0
// The vectors of S-EL2. No policy here: an exception from a partition returns from `context_enter`; one taken at
// S-EL2 itself is either a fault of the copy routines, which they report, or the end of this CPU.

    // Taken from a partition. ESB: an SError that it caused and that has not been taken yet becomes a record in DISR_EL1,
    // which context_exit looks at: it is the partition's, not whoever's the CPU runs next.
    .macro  slot, kind, history
    .balign 0x80
    stp     x0, x1, [sp, #-16]!
    hint    #16                         // ESB
    .if     \history
    mrs     x1, tpidr_el2
    ldr     x1, [x1, {PERCPU_BRANCHES}]
1:  b       2f
2:  subs    x1, x1, #1
    b.ne    1b
    hint    #22                         // CLRBHB; does nothing on a CPU that needs the loop
    sb_
    .endif
    mov     x0, \kind
    b       context_exit
    .endm

    // Taken at S-EL2: trade x0 for SP to look at it before trusting it. In a stack, bit {STACK_BIT} is set.
    .macro  own, kind
    .balign 0x80
    add     sp, sp, x0
    sub     x0, sp, x0
    tbz     x0, {STACK_BIT}, 1f
    sub     x0, sp, x0
    sub     sp, sp, x0
    stp     x0, x1, [sp, #-16]!
    mov     x0, #(\kind)
    b       own_exception
1:  sub     x0, sp, x0
    sub     sp, sp, x0
    mov     x0, #(\kind)
    b       stack_overflow
    .endm

    // The two quarters of a table that are reached; linker.ld puts them in their places, and other code in those of the
    // rest. The first is for S-EL2 with SP_EL0, which it never uses (boot.S sets SPSel, nothing clears it), the last for an
    // EL1 in AArch32, which there is none of (HCR_EL2.RW, which verify.rs reads back; an EL0 in AArch32 comes by the third).
    // Slot n is subsection 2n: what a file puts in subsection 2n + 1 lies in the rest of that slot, which is 80 bytes, or
    // 112 of the slots for partitions in the first table.
    .macro  table, history
    .irp    n, 0,1,2,3
    .subsection 2 * \n
    own     4 + \n
    .endr
    .subsection 8
    slot    {EXIT_SYNC}, \history
    .subsection 10
    slot    {EXIT_IRQ}, \history
    .subsection 12
    slot    {EXIT_FIQ}, \history
    .subsection 14
    slot    {EXIT_SERROR}, \history
    .subsection 16
    .balign 0x80
    .endm

    .section .text.vectors, "ax"
    table   0
    // For a CPU whose branch history has to be overwritten at each entry.
    .section .text.vectors_history, "ax"
    table   1

    .section .text.vectors, "ax"
    .subsection 15
own_exception:
    // The copy routines expect data aborts (EC 0x25) and nothing else; they leave x16 and x17 to us.
    cmp     x0, #4
    b.ne    2f
    mrs     x1, esr_el2
    lsr     x1, x1, #26
    cmp     x1, #0x25
    b.ne    2f
    mrs     x0, elr_el2
    adr     x1, mem_start
    cmp     x0, x1
    b.lo    1f
    adr     x1, mem_end
    cmp     x0, x1
    b.hs    1f
    adr     x0, mem_fault
    msr     elr_el2, x0
    ldp     x0, x1, [sp], #16
    eret
    sb_
1:  mov     x0, #4
2:  sub     sp, sp, #272
    stp     x2, x3, [sp, #16]
    ldp     x2, x3, [sp, #272]
    stp     x2, x3, [sp]
    add     x1, sp, #288
    b       own_record

    .section .text.own, "ax"
own_record:
    // A record of the registers: x0-x30, SP, kind.
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    stp     x30, x1, [sp, #240]
    str     x0, [sp, #256]
    mov     x0, sp
    bl      {own_fatal}
    b       .

    .section .text.vectors_history, "ax"
    .subsection 7
stack_overflow:
    // This CPU is lost; its outermost frames make room for the report, which shows them as x0-x3.
    mov     x1, sp
    mrs     x2, tpidr_el2
    ldr     x2, [x2, {PERCPU_INDEX}]
    mov_imm x3, {STACKS_VA}
    add     x3, x3, x2, lsl {STACK_BIT} + 1
    mov_imm x2, (1 << {STACK_BIT}) + {STACK_SIZE} - 288
    add     sp, x3, x2
    b       own_record
