// SPDX-License-Identifier: GPL-2.0
/* CPUs that go and come back, idle and while every other CPU calls partitions. */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "ffa_test.h"

#define CYCLES	5

static bool off_and_on(unsigned int cpu)
{
	return expect_error(remove_cpu(cpu), 0, "taking a CPU off") &&
	       expect_error(add_cpu(cpu), 0, "bringing a CPU back");
}

static long pings(void *unused)
{
	ping(PERCPU);
	ping(ECHO);
	return 0;
}

static void one_cpu(int unused)
{
	unsigned int cpu = nr_cpu_ids - 1;

	expect(cpu > 0, "only one CPU");
	if (off_and_on(cpu))
		work_on_cpu(cpu, pings, NULL);
}

static void every_cpu(int unused)
{
	unsigned int cpu, others = 0;

	for_each_present_cpu(cpu) {
		if (!cpu)
			continue;
		others++;
		if (!off_and_on(cpu))
			return;
		work_on_cpu(cpu, pings, NULL);
	}
	expect(others > 0, "only one CPU");
}

static void fewer_cpus(int unused)
{
	unsigned int cpu = nr_cpu_ids - 1;

	if (!expect_error(remove_cpu(cpu), 0, "taking a CPU off"))
		return;
	/* From CPU 0: this thread may be anywhere. */
	work_on_cpu(0, pings, NULL);
	expect_error(add_cpu(cpu), 0, "bringing a CPU back");
}

struct load {
	struct completion done;
	atomic_t *stop;
	unsigned long answers;
	int which;
};

static int call_until_stopped(void *argument)
{
	struct load *load = argument;

	while (!atomic_read(load->stop)) {
		struct ffa_send_direct_data data = PING_WORDS(PING);

		if (!expect_error(ask_retry(load->which, &data, NULL), 0,
				  "direct request under load"))
			break;
		if (!expect_eq(data.data1, PONG, "x4 of an answer under load"))
			break;
		/* Sleep where the thread may be moved: a CPU that leaves waits for that. */
		if (++load->answers % 8 == 0)
			usleep_range(20, 100);
	}
	complete(&load->done);
	return 0;
}

static void under_load(int unused)
{
	static const int targets[] = { ECHO, PERCPU, RELAY, PERCPU };
	struct load loads[ARRAY_SIZE(targets)] = { };
	struct task_struct *task;
	unsigned int cycle, i;
	atomic_t stop;

	atomic_set(&stop, 0);
	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		init_completion(&loads[i].done);
		loads[i].stop = &stop;
		loads[i].which = targets[i];
		/* Not tied to a CPU: the scheduler moves them off one that leaves. */
		task = kthread_run(call_until_stopped, &loads[i], "ffa_load/%u", i);
		if (!expect(!IS_ERR(task), "no thread"))
			complete(&loads[i].done);
	}
	for (cycle = 0; cycle < CYCLES; cycle++)
		if (!off_and_on(1 + cycle % (nr_cpu_ids - 1)))
			break;
	atomic_set(&stop, 1);
	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		wait_for_completion(&loads[i].done);
		expect(loads[i].answers > 0, "a thread got no answer at all");
	}
}

static const struct ffa_case cases[] = {
	{ "hotplug::one_cpu", one_cpu },
	{ "hotplug::every_cpu", every_cpu },
	{ "hotplug::messages_meanwhile", fewer_cpus },
	{ "hotplug::under_load", under_load },
};

DEFINE_GROUP(hotplug_group, cases);
