// SPDX-License-Identifier: MIT OR Apache-2.0
// Macros for cases in assembly. A case is
//
//     case "group::name"
//         in   0, 0x84000063        the registers of a call, as literal numbers; those not named are 0
//         in   1, 0x00010001
//         call                      SMC; x8-x30 are filled before and compared after
//         out  0, 0x00010001        what must have come back; `zeros 1, 7` for a range
//     endcase
//
// with as many calls as it takes. The first difference ends it: register, expected and got are reported.
// Frame: [sp, #0..247] x0-x30 as the call left them; [sp, #248..] the report and the registers saved.

.set FRAME, 384
.set SLOT_REPORT, 248

.macro case name
    .pushsection .rodata.case_names, "a"
.Lcase_name\@:
    .asciz  "\name"
    .popsection
    .pushsection .asm_cases, "aw"
    .balign 8
    .quad   .Lcase_name\@, .Lcase_start\@
    .popsection
    .pushsection .text.asm_cases, "ax"
    .balign 4
.Lcase_start\@:
    sub     sp, sp, #FRAME
    str     x0, [sp, #SLOT_REPORT]
    stp     x19, x20, [sp, #256]
    stp     x21, x22, [sp, #272]
    stp     x23, x24, [sp, #288]
    stp     x25, x26, [sp, #304]
    stp     x27, x28, [sp, #320]
    stp     x29, x30, [sp, #336]
    bl      case_clear
.endm

.macro endcase
    b       case_passed
    .ltorg
    .popsection
.endm

.macro in register, value
    ldr     x\register, =\value
.endm

// An address of this image.
.macro in_address register, symbol
    adrp    x\register, \symbol
    add     x\register, x\register, :lo12:\symbol
.endm

.macro call
    bl      case_fill
    ldr     x30, =0x3030303030303030
    smc     #0
    stp     x0, x1, [sp, #0]
    stp     x2, x3, [sp, #16]
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
    str     x30, [sp, #240]
    bl      case_check_high
    bl      case_clear
.endm

.macro out register, value
    mov     x20, #\register
    ldr     x19, =\value
    ldr     x21, [sp, #8 * \register]
    cmp     x19, x21
    b.ne    case_failed
.endm

// The low half alone, where the specification leaves the upper one open.
.macro out32 register, value
    mov     x20, #\register
    ldr     w19, =\value
    ldr     w21, [sp, #8 * \register]
    cmp     x19, x21
    b.ne    case_failed
.endm

// Registers first to last hold zero.
.macro zeros first, last
    mov     x20, #\first
    mov     x22, #\last
    bl      case_check_zeros
.endm

// FFA_ERROR with a status code, as w2.
.macro out_error code
    out     0, 0x84000060
    out     1, 0
    out32   2, \code
    zeros   3, 7
.endm

// FFA_SUCCESS (32) with nothing but w2.
.macro out_success value=0
    out     0, 0x84000061
    out     1, 0
    out     2, \value
    zeros   3, 7
.endm

// A 32-bit word of memory; a failure names the address instead of a register.
.macro word address, value
    ldr     x20, =\address
    ldr     w21, [x20]
    ldr     w19, =\value
    cmp     x19, x21
    b.ne    case_failed
.endm

.section .text.case_support, "ax"
// Gives every register of a call its default: zero.
case_clear:
    mov     x0, #0
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    mov     x4, #0
    mov     x5, #0
    mov     x6, #0
    mov     x7, #0
    ret

// Register n from 8 to 29 gets a pattern that names it.
case_fill:
    ldr     x8, =0x0808080808080808
    ldr     x9, =0x0909090909090909
    ldr     x10, =0x1010101010101010
    ldr     x11, =0x1111111111111111
    ldr     x12, =0x1212121212121212
    ldr     x13, =0x1313131313131313
    ldr     x14, =0x1414141414141414
    ldr     x15, =0x1515151515151515
    ldr     x16, =0x1616161616161616
    ldr     x17, =0x1717171717171717
    ldr     x18, =0x1818181818181818
    ldr     x19, =0x1919191919191919
    ldr     x20, =0x2020202020202020
    ldr     x21, =0x2121212121212121
    ldr     x22, =0x2222222222222222
    ldr     x23, =0x2323232323232323
    ldr     x24, =0x2424242424242424
    ldr     x25, =0x2525252525252525
    ldr     x26, =0x2626262626262626
    ldr     x27, =0x2727272727272727
    ldr     x28, =0x2828282828282828
    ldr     x29, =0x2929292929292929
    ret
    .ltorg

// Compares x8 to x30 of the frame with their patterns.
case_check_high:
    mov     x20, #8
    adrp    x22, case_patterns
    add     x22, x22, :lo12:case_patterns
1:  ldr     x19, [x22], #8
    ldr     x21, [sp, x20, lsl #3]
    cmp     x19, x21
    b.ne    case_failed
    add     x20, x20, #1
    cmp     x20, #31
    b.lo    1b
    ret

case_check_zeros:
    mov     x19, #0
1:  ldr     x21, [sp, x20, lsl #3]
    cbnz    x21, case_failed
    add     x20, x20, #1
    cmp     x20, x22
    b.ls    1b
    ret

// x20 = register, x19 = expected, x21 = got.
case_failed:
    ldr     x0, [sp, #SLOT_REPORT]
    stp     x20, x19, [x0]
    str     x21, [x0, #16]
    mov     x0, #1
    b       1f
case_passed:
    mov     x0, #0
1:  ldp     x19, x20, [sp, #256]
    ldp     x21, x22, [sp, #272]
    ldp     x23, x24, [sp, #288]
    ldp     x25, x26, [sp, #304]
    ldp     x27, x28, [sp, #320]
    ldp     x29, x30, [sp, #336]
    add     sp, sp, #FRAME
    ret

.section .rodata.case_patterns, "a"
.balign 8
case_patterns:
    .quad   0x0808080808080808, 0x0909090909090909, 0x1010101010101010, 0x1111111111111111
    .quad   0x1212121212121212, 0x1313131313131313, 0x1414141414141414, 0x1515151515151515
    .quad   0x1616161616161616, 0x1717171717171717, 0x1818181818181818, 0x1919191919191919
    .quad   0x2020202020202020, 0x2121212121212121, 0x2222222222222222, 0x2323232323232323
    .quad   0x2424242424242424, 0x2525252525252525, 0x2626262626262626, 0x2727272727272727
    .quad   0x2828282828282828, 0x2929292929292929, 0x3030303030303030
