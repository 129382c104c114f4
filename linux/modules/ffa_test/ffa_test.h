/* SPDX-License-Identifier: GPL-2.0 */
/* Checks of FF-A firmware as Linux sees it: what the files of ffa_test share. */
#ifndef FFA_TEST_H
#define FFA_TEST_H

#include <linux/arm-smccc.h>
#include <linux/arm_ffa.h>
#include <linux/kernel.h>
#include <linux/types.h>
#include <linux/version.h>

/* FFA_RET_* as a caller sees them in w2. */
#define RET_NOT_SUPPORTED	(-1)
#define RET_INVALID		(-2)
#define RET_NO_MEMORY		(-3)
#define RET_BUSY		(-4)
#define RET_DENIED		(-6)
#define RET_ABORTED		(-8)
#define RET_NO_DATA		(-9)

/* The partitions that the firmware brings. */
#define ECHO_ID			0x8001
#define RELAY_ID		0x8002
#define PERCPU_ID		0x8003

/* echo adds 0x1000 to x4 of any message; relay and percpu add x5 to x4 when x3 says so. */
#define CMD_ADD			1
#define PING			0xbbbb
#define PONG			0xcbbb
#define PING_WORDS(value)	{ .data0 = CMD_ADD, .data1 = (value), .data2 = 0x1000 }

enum partition { ECHO, RELAY, PERCPU, PARTITIONS };

/*
 * When a case runs: Linux 7's protected hypervisor blocks notifications, the
 * others let them through. Bare is without the protected hypervisor.
 */
#define ALWAYS		0
#define IF_NOTIFYING	1
#define IF_BLOCKED	2
#define IF_BARE		3

struct ffa_case {
	const char *name;
	void (*run)(int argument);
	int when;
	int argument;
};

struct ffa_group {
	const struct ffa_case *cases;
	size_t count;
};

#define DEFINE_GROUP(group_name, group_cases)			\
	const struct ffa_group group_name = {			\
		.cases = group_cases,				\
		.count = ARRAY_SIZE(group_cases),		\
	}

extern const struct ffa_group discovery_group, direct_group, memory_group, chain_group;
extern const struct ffa_group preempt_group, simd_group, hotplug_group, bad_group, notify_group;

/*
 * Each notes the running case's first failure, and returns whether all was
 * well; safe from any thread.
 */
bool expect(bool holds, const char *what);
bool expect_eq(u64 got, u64 want, const char *what);
bool expect_error(int got, int want, const char *what);

/* The device that the FF-A bus bound for a partition, or NULL (then the case has failed). */
struct ffa_device *partition(enum partition which);
u16 partition_id(enum partition which);

/* Registers with, and leaves, the FF-A bus. */
int discovery_start(void);
void discovery_stop(void);

/*
 * One call, as it is; and the same completed by FFA_RUN while it is
 * interrupted (counted in *interrupts).
 */
void raw_call(const struct arm_smccc_1_2_regs *in, struct arm_smccc_1_2_regs *out);
void raw_call_complete(const struct arm_smccc_1_2_regs *in, struct arm_smccc_1_2_regs *out,
		       unsigned int *interrupts);

/* The FF-A error of a call (0 = it did not answer FFA_ERROR). */
int raw_error(const struct arm_smccc_1_2_regs *out);
int raw_error_of(u32 function, u64 x1, u64 x2, u64 x3, u64 x4);

/* A direct request through Linux's API, 64 or 32 bits wide; retried while the partition is busy. */
int ask(enum partition which, struct ffa_send_direct_data *data);
int ask32(enum partition which, struct ffa_send_direct_data *data);
int ask_retry(enum partition which, struct ffa_send_direct_data *data, unsigned int *busy);

/* Checks one ping to a partition from the CPU that this runs on. */
bool ping(enum partition which);

#endif
