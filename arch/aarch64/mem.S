// SPDX-License-Identifier: MIT OR Apache-2.0
// Copies to and from memory that may vanish. An abort between mem_start and mem_end makes the routine return 1
// (see own_exception in vectors.S); they use no stack and call nothing.

    .section .text.mem, "ax"
    .global mem_start, mem_copy, mem_zero, mem_end, mem_fault
// extern "C" fn mem_copy(to: u64, from: u64, bytes: u64) -> u64
mem_start:
mem_copy:
    // Words while both are aligned alike, bytes otherwise: the other side may be device-like memory.
    orr     x3, x0, x1
    tst     x3, #7
    b.ne    3f
1:  subs    x2, x2, #16
    b.lo    2f
    ldp     x4, x5, [x1], #16
    stp     x4, x5, [x0], #16
    b       1b
2:  adds    x2, x2, #8
    b.mi    4f
    ldr     x4, [x1], #8
    str     x4, [x0], #8
    b       5f
4:  add     x2, x2, #8
    b       3f
5:
3:  cbz     x2, 7f
6:  ldrb    w4, [x1], #1
    strb    w4, [x0], #1
    subs    x2, x2, #1
    b.ne    6b
7:  mov     x0, #0
    ret

// extern "C" fn mem_zero(at: u64, bytes: u64, line: u64) -> u64
// Whole pages, cleaned to the point of coherency so that an observer without a cache sees zeroes as well.
mem_zero:
    add     x1, x0, x1
    mov     x3, x0
1:  stp     xzr, xzr, [x3], #16
    stp     xzr, xzr, [x3], #16
    stp     xzr, xzr, [x3], #16
    stp     xzr, xzr, [x3], #16
    cmp     x3, x1
    b.lo    1b
2:  dc      civac, x0
    add     x0, x0, x2
    cmp     x0, x1
    b.lo    2b
    dsb     sy
    mov     x0, #0
    ret
mem_end:
mem_fault:
    mov     x0, #1
    ret

// memcpy, memmove and memset for the compiler: what comes with the language moves a byte or a word at a time.
    .section .text.memcpy, "ax"
    .global memcpy, memmove, memset
memmove:
    sub     x3, x0, x1
    cmp     x3, x2
    b.lo    4f                          // the destination begins inside the source: from the end
memcpy:
    mov     x3, x0
    subs    x2, x2, #32
    b.lo    2f
1:  ldp     x4, x5, [x1], #16
    ldp     x6, x7, [x1], #16
    subs    x2, x2, #32
    stp     x4, x5, [x3], #16
    stp     x6, x7, [x3], #16
    b.hs    1b
2:  tbz     x2, #4, 1f
    ldp     x4, x5, [x1], #16
    stp     x4, x5, [x3], #16
1:  tbz     x2, #3, 1f
    ldr     x4, [x1], #8
    str     x4, [x3], #8
1:  tbz     x2, #2, 1f
    ldr     w4, [x1], #4
    str     w4, [x3], #4
1:  tbz     x2, #1, 1f
    ldrh    w4, [x1], #2
    strh    w4, [x3], #2
1:  tbz     x2, #0, 1f
    ldrb    w4, [x1]
    strb    w4, [x3]
1:  ret
4:  cbz     x2, 1b
5:  subs    x2, x2, #1
    ldrb    w4, [x1, x2]
    strb    w4, [x0, x2]
    b.ne    5b
    ret

    // In the rest of a vector's slot (vectors.S).
    .section .text.vectors, "ax"
    .subsection 13
memset:
    mov     x3, x0
    and     x1, x1, #0xff
    mov     x4, #0x0101010101010101
    mul     x1, x1, x4
    subs    x2, x2, #32
    b.lo    2f
1:  stp     x1, x1, [x3], #16
    subs    x2, x2, #32
    stp     x1, x1, [x3], #16
    b.hs    1b
2:  tbz     x2, #4, 1f
    stp     x1, x1, [x3], #16
1:  tbz     x2, #3, 1f
    str     x1, [x3], #8
1:  tbz     x2, #2, 1f
    str     w1, [x3], #4
1:  tbz     x2, #1, 1f
    strh    w1, [x3], #2
1:  tbz     x2, #0, 1f
    strb    w1, [x3]
1:  ret
