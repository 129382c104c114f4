// SPDX-License-Identifier: GPL-2.0
/* A partition that runs for long: Linux's timer takes the CPU; its work is ended later. */
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "ffa_test.h"
#include "partner.h"

/* Many ticks long. */
#define SPIN_US		60000

static void interrupted(int which)
{
	struct arm_smccc_1_2_regs in, out;
	unsigned int interrupts = 0;
	ktime_t began = ktime_get();

	spin_request(which, SPIN_US, &in);
	raw_call_complete(&in, &out, &interrupts);
	expect_eq((u32)out.a0, FFA_FN64_MSG_SEND_DIRECT_RESP, "function of the answer");
	expect(spin_done(&out), "the partition did not end its work");
	expect(interrupts > 0, "no interrupt came through");
	expect(ktime_us_delta(ktime_get(), began) >= SPIN_US / 2,
	       "the partition did not run for long");
	ping(which);
}

static void by_driver(int which)
{
	expect_error(tell_spin(which, SPIN_US), 0, "a long request through Linux's API");
	ping(which);
}

struct shot {
	struct hrtimer timer;
	ktime_t fired;
};

static enum hrtimer_restart fire(struct hrtimer *timer)
{
	struct shot *shot = container_of(timer, struct shot, timer);

	shot->fired = ktime_get();
	return HRTIMER_NORESTART;
}

static void timer_fires_meanwhile(int which)
{
	struct shot shot = { };
	struct arm_smccc_1_2_regs in, out;
	ktime_t answered;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup_on_stack(&shot.timer, fire, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED);
#else
	hrtimer_init_on_stack(&shot.timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED);
	shot.timer.function = fire;
#endif
	/* The timer and the call are on one CPU. */
	migrate_disable();
	spin_request(which, SPIN_US, &in);
	hrtimer_start(&shot.timer, ms_to_ktime(SPIN_US / 1000 / 4), HRTIMER_MODE_REL_PINNED);
	raw_call_complete(&in, &out, NULL);
	answered = ktime_get();
	migrate_enable();
	hrtimer_cancel(&shot.timer);
	destroy_hrtimer_on_stack(&shot.timer);
	expect(spin_done(&out), "the partition did not end its work");
	expect(shot.fired, "the timer did not fire");
	expect(ktime_before(shot.fired, answered), "the timer fired only after the answer");
}

/* The first half of a call: up to its first interrupt. */
static bool begin(int which, struct arm_smccc_1_2_regs *out)
{
	struct arm_smccc_1_2_regs in;

	spin_request(which, SPIN_US, &in);
	raw_call(&in, out);
	return expect_eq((u32)out->a0, FFA_INTERRUPT, "a long call's first answer");
}

static void busy_meanwhile(int which)
{
	struct arm_smccc_1_2_regs out, rest;
	struct arm_smccc_1_2_regs other = {
		.a0 = FFA_FN64_MSG_SEND_DIRECT_REQ, .a1 = partition_id(which),
		.a3 = CMD_ADD, .a4 = PING,
	};

	if (!begin(which, &out))
		return;
	raw_call(&other, &rest);
	expect_error(raw_error(&rest), RET_BUSY, "a request to a preempted partition");
	ping(ECHO);
	other = (struct arm_smccc_1_2_regs){ .a0 = FFA_RUN, .a1 = out.a1 };
	raw_call_complete(&other, &rest, NULL);
	expect(spin_done(&rest), "the partition did not end its work");
	ping(which);
}

static long go_on(void *argument)
{
	struct arm_smccc_1_2_regs *out = argument, run = { .a0 = FFA_RUN, .a1 = out->a1 };

	raw_call_complete(&run, out, NULL);
	return 0;
}

static long begin_here(void *argument)
{
	return begin(RELAY, argument);
}

static void on_another_cpu(int unused)
{
	unsigned int first = cpumask_first(cpu_online_mask), last = cpumask_last(cpu_online_mask);
	struct arm_smccc_1_2_regs out = { };

	if (!expect(first != last, "only one CPU is online"))
		return;
	if (!work_on_cpu(first, begin_here, &out))
		return;
	work_on_cpu(last, go_on, &out);
	expect(spin_done(&out), "the partition did not end its work on the other CPU");
	ping(RELAY);
}

struct spinner {
	struct completion done;
	struct arm_smccc_1_2_regs out;
	unsigned int interrupts;
};

static int spin_here(void *argument)
{
	struct spinner *spinner = argument;
	struct arm_smccc_1_2_regs in;

	spin_request(PERCPU, SPIN_US, &in);
	raw_call_complete(&in, &spinner->out, &spinner->interrupts);
	complete(&spinner->done);
	return 0;
}

static void every_cpu(int unused)
{
	struct spinner *spinners = kcalloc(nr_cpu_ids, sizeof(*spinners), GFP_KERNEL);
	struct task_struct *task;
	unsigned int cpu;

	if (!expect(spinners, "no memory"))
		return;
	for_each_online_cpu(cpu) {
		init_completion(&spinners[cpu].done);
		task = kthread_create_on_cpu(spin_here, &spinners[cpu], cpu, "ffa_spin/%u");
		if (expect(!IS_ERR(task), "no thread"))
			wake_up_process(task);
		else
			complete(&spinners[cpu].done);
	}
	for_each_online_cpu(cpu) {
		wait_for_completion(&spinners[cpu].done);
		expect(spin_done(&spinners[cpu].out), "a context did not end its work");
		expect(spinners[cpu].interrupts > 0, "a CPU got no interrupt through");
	}
	kfree(spinners);
}

static const struct ffa_case cases[] = {
	{ "preempt::relay", interrupted, ALWAYS, RELAY },
	{ "preempt::percpu", interrupted, ALWAYS, PERCPU },
	{ "preempt::by_driver", by_driver, ALWAYS, RELAY },
	{ "preempt::timer_fires_meanwhile", timer_fires_meanwhile, ALWAYS, RELAY },
	{ "preempt::busy_meanwhile", busy_meanwhile, ALWAYS, RELAY },
	{ "preempt::ends_on_another_cpu", on_another_cpu },
	{ "preempt::every_cpu_at_once", every_cpu },
};

DEFINE_GROUP(preempt_group, cases);
