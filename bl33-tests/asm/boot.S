// SPDX-License-Identifier: MIT OR Apache-2.0
// Entry at NS-EL2, cold (BL31's ERET) and warm (PSCI CPU_ON), both with the MMU off.

.set STACK_SHIFT, 16                    // 64 KiB a CPU
.set MAX_CPUS, 8

.section .text.entry, "ax"
.global _start
_start:
    bl      el2_setup
    adrp    x0, __bss_start
    add     x0, x0, :lo12:__bss_start
    adrp    x1, __bss_end
    add     x1, x1, :lo12:__bss_end
1:  cmp     x0, x1
    b.hs    2f
    stp     xzr, xzr, [x0], #16
    b       1b
2:  bl      set_stack
    bl      bl33_boot
    b       .

.global secondary_entry
// x0 = the context of CPU_ON: the address of a job.
secondary_entry:
    mov     x20, x0
    bl      el2_setup
    bl      set_stack
    mov     x0, x20
    bl      bl33_secondary
    b       .

// Stacks lie one after the other, by affinity 0; anything above the eighth CPU stops here.
set_stack:
    mrs     x1, mpidr_el1
    and     x1, x1, #0xff
    cmp     x1, #MAX_CPUS
    b.hs    .
    add     x1, x1, #1
    lsl     x1, x1, #STACK_SHIFT
    adrp    x2, stacks
    add     x2, x2, :lo12:stacks
    add     sp, x2, x1
    ret

// Makes the CPU's EL2 the same whatever was left in it. Uses x0, x1 and no stack.
el2_setup:
    msr     daifset, #0xf
    mov     x0, #(1 << 31)              // HCR_EL2: EL1 is AArch64
    orr     x0, x0, #(1 << 4)           // IMO: physical IRQs come to EL2
    orr     x0, x0, #(1 << 40)          // APK, API: leave pointer authentication to EL1
    orr     x0, x0, #(1 << 41)
    msr     hcr_el2, x0
    mov     x0, #0x22ff                 // CPTR_EL2: nothing trapped; the RES1 bits
    msr     cptr_el2, x0
    adrp    x0, el2_vectors
    add     x0, x0, :lo12:el2_vectors
    msr     vbar_el2, x0
    ldr     x0, =0xff00                 // MAIR_EL2: 0 = device nGnRnE, 1 = normal write-back
    msr     mair_el2, x0
    ldr     x0, =0x80823519             // TCR_EL2: 39 bits of VA, 4 KiB, write-back inner shareable, 40 bits of PA
    msr     tcr_el2, x0
    adrp    x0, el2_table
    add     x0, x0, :lo12:el2_table
    msr     ttbr0_el2, x0
    isb
    tlbi    alle2
    ic      iallu
    dsb     sy
    isb
    ldr     x0, =0x30c5183d             // SCTLR_EL2: MMU, caches, alignment of SP; the RES1 bits
    msr     sctlr_el2, x0
    isb
    ret
.ltorg

// One block a GiB: the first is devices, three of RAM follow.
.section .data.el2_table, "aw"
.balign 4096
el2_table:
    .quad   0x0040000000000441
    .quad   0x0000000040000745
    .quad   0x0000000080000745
    .quad   0x00000000c0000745
    .fill   508, 8, 0

.section .bss.stacks, "aw", @nobits
.balign 4096
stacks:
    .skip   MAX_CPUS << STACK_SHIFT
.balign 16
    .skip   8192
emergency_stack:
