// SPDX-License-Identifier: GPL-2.0
/* Calls: raw ones by SMC, and direct requests through Linux's API. */
#include <linux/delay.h>
#include <linux/sched.h>

#include "ffa_test.h"

/* How often a busy partition is asked again before that counts as a failure. */
#define BUSY_LIMIT	20000

void raw_call(const struct arm_smccc_1_2_regs *in, struct arm_smccc_1_2_regs *out)
{
	arm_smccc_1_2_smc(in, out);
}

void raw_call_complete(const struct arm_smccc_1_2_regs *in, struct arm_smccc_1_2_regs *out,
		       unsigned int *interrupts)
{
	/* A context that belongs to one CPU goes on only there. */
	migrate_disable();
	raw_call(in, out);
	while ((u32)out->a0 == FFA_INTERRUPT || (u32)out->a0 == FFA_YIELD) {
		struct arm_smccc_1_2_regs run = { .a0 = FFA_RUN, .a1 = out->a1 };

		if (interrupts)
			++*interrupts;
		raw_call(&run, out);
	}
	migrate_enable();
}

int raw_error(const struct arm_smccc_1_2_regs *out)
{
	if ((u32)out->a0 == FFA_ERROR)
		return (int)out->a2;
	/* What the SPMD, or the hypervisor, says to a function that it does not know at all. */
	if ((int)out->a0 == RET_NOT_SUPPORTED)
		return RET_NOT_SUPPORTED;
	return 0;
}

int raw_error_of(u32 function, u64 x1, u64 x2, u64 x3, u64 x4)
{
	struct arm_smccc_1_2_regs in = { .a0 = function, .a1 = x1, .a2 = x2, .a3 = x3,
		.a4 = x4 }, out;

	raw_call_complete(&in, &out, NULL);
	return raw_error(&out);
}

/*
 * Linux's API completes an interrupted call wherever the scheduler has put the
 * caller by then. percpu's contexts belong to CPUs, so its callers must stay.
 */
static int send(struct ffa_device *dev, enum partition which, struct ffa_send_direct_data *data)
{
	int ret;

	if (which == PERCPU)
		migrate_disable();
	ret = dev->ops->msg_ops->sync_send_receive(dev, data);
	if (which == PERCPU)
		migrate_enable();
	return ret;
}

int ask(enum partition which, struct ffa_send_direct_data *data)
{
	struct ffa_device *dev = partition(which);

	return dev ? send(dev, which, data) : -ENODEV;
}

int ask32(enum partition which, struct ffa_send_direct_data *data)
{
	struct ffa_device *dev = partition(which);
	int ret;

	if (!dev)
		return -ENODEV;
	dev->ops->msg_ops->mode_32bit_set(dev);
	ret = send(dev, which, data);
	/* The API has no way back. */
	dev->mode_32bit = false;
	return ret;
}

int ask_retry(enum partition which, struct ffa_send_direct_data *data, unsigned int *busy)
{
	struct ffa_send_direct_data copy;
	unsigned int tries;
	int ret = -EBUSY;

	for (tries = 0; tries < BUSY_LIMIT && ret == -EBUSY; tries++) {
		copy = *data;
		ret = ask(which, &copy);
		if (ret == -EBUSY) {
			if (busy)
				++*busy;
			usleep_range(5, 50);
		}
	}
	*data = copy;
	return ret;
}

bool ping(enum partition which)
{
	struct ffa_send_direct_data data = PING_WORDS(PING);

	if (!expect_error(ask(which, &data), 0, "direct request"))
		return false;
	return expect_eq(data.data1, PONG, "x4 of the answer");
}
