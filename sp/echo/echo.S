/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * x4 += 0x1000, the rest returned, in the width of the request. No stack, no SIMD, no memory: x19-x21 hold the only
 * constants, and the SPMC keeps them. A response's function id is its request's plus one, in every form.
 */
    .section .text.entry, "ax"
    .global _start
_start:
    mov     w19, #0x006f                    // FFA_MSG_SEND_DIRECT_REQ, 64-bit form
    movk    w19, #0xc400, lsl #16
    mov     w20, #0x006f                    // the 32-bit form
    movk    w20, #0x8400, lsl #16
    mov     w21, #0x008d                    // FFA_MSG_SEND_DIRECT_REQ2
    movk    w21, #0xc400, lsl #16

wait:                                       // first entry, FFA_RUN, FFA_INTERRUPT, an error: nothing to answer
    mov     w0, #0x006b                     // FFA_MSG_WAIT
    movk    w0, #0x8400, lsl #16
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    mov     x4, #0
    mov     x5, #0
    mov     x6, #0
    mov     x7, #0
    b       call

reply64:
    add     x4, x4, #1, lsl #12
reply:
    ror     w1, w1, #16                     // the receiver becomes the sender
    add     w0, w0, #1
call:
    smc     #0
    cmp     w0, w19
    b.eq    reply64
    cmp     w0, w20
    b.eq    reply32
    cmp     w0, w21
    b.ne    wait
    mov     x2, #0                          // the UUID of the request: reserved in the response
    mov     x3, #0
    b       reply64

reply32:
    add     w4, w4, #1, lsl #12
    b       reply
