// SPDX-License-Identifier: GPL-2.0
/* SIMD registers: a partition that uses them must not be noticed by those who are interrupted. */
#include <linux/bottom_half.h>
#include <linux/kmod.h>
#include <linux/preempt.h>
#include <linux/string.h>

#include "ffa_test.h"
#include "partner.h"

struct registers {
	u64 v[64];
	u64 fpcr, fpsr;
} __aligned(16);

static void save(struct registers *to)
{
	u64 fpcr, fpsr;

	asm volatile(".arch_extension fp\n.arch_extension simd\n"
		     "stp q0, q1, [%2]\nstp q2, q3, [%2, #32]\nstp q4, q5, [%2, #64]\nstp q6, q7, [%2, #96]\n"
		     "stp q8, q9, [%2, #128]\nstp q10, q11, [%2, #160]\nstp q12, q13, [%2, #192]\n"
		     "stp q14, q15, [%2, #224]\nstp q16, q17, [%2, #256]\nstp q18, q19, [%2, #288]\n"
		     "stp q20, q21, [%2, #320]\nstp q22, q23, [%2, #352]\nstp q24, q25, [%2, #384]\n"
		     "stp q26, q27, [%2, #416]\nstp q28, q29, [%2, #448]\nstp q30, q31, [%2, #480]\n"
		     "mrs %0, fpcr\nmrs %1, fpsr\n"
		     : "=&r"(fpcr), "=&r"(fpsr) : "r"(to->v) : "memory");
	to->fpcr = fpcr;
	to->fpsr = fpsr;
}

static void load(const struct registers *from)
{
	asm volatile(".arch_extension fp\n.arch_extension simd\n"
		     "ldp q0, q1, [%2]\nldp q2, q3, [%2, #32]\nldp q4, q5, [%2, #64]\nldp q6, q7, [%2, #96]\n"
		     "ldp q8, q9, [%2, #128]\nldp q10, q11, [%2, #160]\nldp q12, q13, [%2, #192]\n"
		     "ldp q14, q15, [%2, #224]\nldp q16, q17, [%2, #256]\nldp q18, q19, [%2, #288]\n"
		     "ldp q20, q21, [%2, #320]\nldp q22, q23, [%2, #352]\nldp q24, q25, [%2, #384]\n"
		     "ldp q26, q27, [%2, #416]\nldp q28, q29, [%2, #448]\nldp q30, q31, [%2, #480]\n"
		     "msr fpcr, %0\nmsr fpsr, %1\n"
		     : : "r"(from->fpcr), "r"(from->fpsr), "r"(from->v) : "memory");
}

/*
 * The registers hold the running process's state, or nothing of worth: what is
 * in them is kept and put back, with nothing allowed in between but interrupts,
 * which do not touch them.
 */
static void across_a_call(int which)
{
	static struct registers before, pattern, after;
	struct arm_smccc_1_2_regs in, out;
	size_t i;

	simd_request(which, &in);
	for (i = 0; i < ARRAY_SIZE(pattern.v); i++)
		pattern.v[i] = 0x5aa5000000000000 + i * 0x0101010101;
	pattern.fpcr = 0x00400000; /* round towards plus infinity */
	pattern.fpsr = 0x1f;
	local_bh_disable();
	preempt_disable();
	save(&before);
	load(&pattern);
	raw_call_complete(&in, &out, NULL);
	save(&after);
	load(&before);
	preempt_enable();
	local_bh_enable();
	expect_eq((u32)out.a0, FFA_FN64_MSG_SEND_DIRECT_RESP, "function of the answer");
	expect(!memcmp(pattern.v, after.v, sizeof(pattern.v)),
	       "a SIMD register changed across the call");
	expect_eq(after.fpcr, pattern.fpcr, "FPCR");
	expect_eq(after.fpsr, pattern.fpsr, "FPSR");
}

/* A program that fills its SIMD registers and looks at them after system calls that call. */
static void of_a_process(int which)
{
	static const char program[] = "/usr/bin/ffa-simd";
	char call[160], path[] = "PATH=/bin:/usr/bin";
	char *arguments[3] = { }, *environment[2] = { };
	struct arm_smccc_1_2_regs in;

	arguments[0] = (char *)program;
	arguments[1] = call;
	environment[0] = path;
	simd_request(which, &in);
	snprintf(call, sizeof(call), "%#lx %#lx %#lx %#lx %#lx %#lx %#lx %#lx",
		 in.a0, in.a1, in.a2, in.a3, in.a4, in.a5, in.a6, in.a7);
	/* The status is that of wait(): the exit status is its second byte. */
	expect_error(call_usermodehelper(program, arguments, environment, UMH_WAIT_PROC), 0,
		     "/usr/bin/ffa-simd (256: registers changed, 512: no call was made)");
}

/* What a partition keeps in its registers survives Linux's use of them, and others' calls. */
static void kept_by_partition(int which)
{
	const u64 seed = 0x7700000000000000;

	expect_error(tell_simd_fill(which, seed), 0, "filling");
	across_a_call(which == RELAY ? PERCPU : RELAY);
	of_a_process(which == RELAY ? PERCPU : RELAY);
	expect_error(tell_simd_check(which, seed), 0, "the partition's registers");
}

static const struct ffa_case cases[] = {
	{ "simd::across_relay", across_a_call, ALWAYS, RELAY },
	{ "simd::across_percpu", across_a_call, ALWAYS, PERCPU },
	{ "simd::kept_by_relay", kept_by_partition, ALWAYS, RELAY },
	{ "simd::of_a_process", of_a_process, ALWAYS, RELAY },
};

DEFINE_GROUP(simd_group, cases);
