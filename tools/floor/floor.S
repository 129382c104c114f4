/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The floor: the least that an SPMC can do. It says that it is ready, then answers every call at once, without
 * leaving S-EL2: a direct request becomes its response, anything else becomes FFA_SUCCESS. What a call costs with
 * it is what EL3 and the Secure Monitor Call cost; what Hematite costs above it is Hematite's own.
 *
 * x8-x17 stay as received. EL3 keeps x18-x30 across an SMC, so the constants live there.
 */
	.equ	FFA_SUCCESS_32,		0x84000061
	.equ	FFA_MSG_WAIT,		0x8400006b
	.equ	FFA_DIRECT_REQ_32,	0x8400006f
	.equ	FFA_DIRECT_REQ_64,	0xc400006f
	.equ	FRAMEWORK_VERSION_REQ,	0x80000008
	.equ	FRAMEWORK_VERSION_RESP,	0x80000009
	.equ	FRAMEWORK_PM_RESP,	0x80000002
	.equ	OUR_VERSION,		0x00010001

	.section .text, "ax"
	.globl	_start
_start:
	ldr	w20, =FFA_DIRECT_REQ_32
	ldr	w21, =FFA_DIRECT_REQ_64
	ldr	w22, =FFA_SUCCESS_32
	ldr	w23, =FRAMEWORK_VERSION_REQ
	ldr	w0, =FFA_MSG_WAIT
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	mov	x4, xzr
	mov	x5, xzr
	mov	x6, xzr
	mov	x7, xzr
answer:	smc	#0
	cmp	w0, w20
	b.eq	1f
	cmp	w0, w21
	b.eq	1f
	mov	w0, w22
	b	answer
1:	add	w0, w0, #1		/* the response's id follows the request's */
	ror	w1, w1, #16		/* it goes from the receiver to the sender */
	tbz	w2, #31, answer
	cmp	w2, w23			/* a framework message, from EL3 */
	b.eq	2f
	ldr	w2, =FRAMEWORK_PM_RESP
	mov	w3, wzr
	b	answer
2:	ldr	w2, =FRAMEWORK_VERSION_RESP
	ldr	w3, =OUR_VERSION
	b	answer
