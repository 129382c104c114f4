// SPDX-License-Identifier: GPL-2.0
/* Direct messages: both widths, every CPU, every partition, and threads at once. */
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "ffa_test.h"

#define THREAD_ROUNDS	300

static void wide(int which)
{
	ping(which);
}

static void narrow(int which)
{
	struct ffa_send_direct_data data = PING_WORDS(PING);

	expect_error(ask32(which, &data), 0, "32-bit direct request");
	expect_eq(data.data1, PONG, "w4 of the answer");
}

static void upper_half(int which)
{
	struct ffa_send_direct_data data = PING_WORDS(0x123456780000bbbb);

	expect_error(ask(which, &data), 0, "direct request");
	expect_eq(data.data1, 0x123456780000cbbb, "x4 of the answer");
}

static void narrow_drops_upper_half(int which)
{
	struct ffa_send_direct_data data = PING_WORDS(0x123456780000bbbb);

	expect_error(ask32(which, &data), 0, "32-bit direct request");
	expect_eq(data.data1, PONG, "w4 of the answer");
}

static void ids_of_answer(int which)
{
	struct arm_smccc_1_2_regs in = { .a0 = FFA_FN64_MSG_SEND_DIRECT_REQ,
		.a1 = partition_id(which), .a4 = PING }, out;

	raw_call_complete(&in, &out, NULL);
	expect_eq((u32)out.a0, FFA_FN64_MSG_SEND_DIRECT_RESP, "function");
	expect_eq(out.a1, (u64)partition_id(which) << 16, "sender and receiver");
	expect_eq(out.a2, 0, "x2");
}

static long on_this_cpu(void *argument)
{
	int which = (long)argument;

	wide(which);
	narrow(which);
	return 0;
}

static void every_cpu(int which)
{
	int cpu;

	expect(num_online_cpus() > 1, "only one CPU is online");
	for_each_online_cpu(cpu)
		work_on_cpu(cpu, on_this_cpu, (void *)(long)which);
}

struct worker {
	struct completion done;
	int which;
	int rounds;
	unsigned int busy;
};

static int work(void *argument)
{
	struct worker *worker = argument;
	int round;

	for (round = 0; round < worker->rounds; round++) {
		struct ffa_send_direct_data data = PING_WORDS(PING + round);

		if (!expect_error(ask_retry(worker->which, &data, &worker->busy), 0,
				  "direct request of a thread"))
			break;
		if (!expect_eq(data.data1, PONG + round, "x4 of a thread's answer"))
			break;
		cond_resched();
	}
	complete(&worker->done);
	return 0;
}

/*
 * One thread on each CPU; `which` below 0 spreads them over all partitions.
 * Returns how often one was busy.
 */
static unsigned int threads(int which)
{
	struct worker *workers = kcalloc(nr_cpu_ids, sizeof(*workers), GFP_KERNEL);
	unsigned int busy = 0;
	int cpu;

	if (!expect(workers, "no memory"))
		return 0;
	for_each_online_cpu(cpu) {
		struct worker *worker = &workers[cpu];
		struct task_struct *task;

		init_completion(&worker->done);
		worker->which = which < 0 ? cpu % PARTITIONS : which;
		worker->rounds = THREAD_ROUNDS;
		task = kthread_create_on_cpu(work, worker, cpu, "ffa_test/%u");
		if (expect(!IS_ERR(task), "no thread"))
			wake_up_process(task);
		else
			complete(&worker->done);
	}
	for_each_online_cpu(cpu) {
		wait_for_completion(&workers[cpu].done);
		busy += workers[cpu].busy;
	}
	kfree(workers);
	return busy;
}

static void threads_one_context(int which)
{
	threads(which);
}

static void threads_own_contexts(int which)
{
	/* Each CPU has its own context, so none ever finds it taken. */
	expect_eq(threads(which), 0, "busy answers");
}

static void threads_mixed(int unused)
{
	threads(-1);
}

static void to_nobody(int unused)
{
	expect_error(raw_error_of(FFA_FN64_MSG_SEND_DIRECT_REQ, 0x80ff, 0, 0, PING), RET_INVALID,
		     "a request to an id that nobody has");
}

static void to_itself(int unused)
{
	expect(raw_error_of(FFA_FN64_MSG_SEND_DIRECT_REQ, 0, 0, 0, PING) < 0,
	       "a request to Linux itself was taken");
}

static void secure_source(int unused)
{
	expect_error(raw_error_of(FFA_FN64_MSG_SEND_DIRECT_REQ, (u64)RELAY_ID << 16 | ECHO_ID, 0,
				  0, PING),
		     RET_INVALID, "a request in a partition's name");
}

static void framework_message(int unused)
{
	expect(raw_error_of(FFA_MSG_SEND_DIRECT_REQ, ECHO_ID, 0x80000000, 0, PING) < 0,
	       "a power message from Linux was taken");
	ping(ECHO);
}

static void response_from_linux(int unused)
{
	expect(raw_error_of(FFA_FN64_MSG_SEND_DIRECT_RESP, ECHO_ID, 0, 0, PING) < 0,
	       "a response that nobody waits for was taken");
	ping(ECHO);
}

static const struct ffa_case cases[] = {
	{ "direct::echo_64", wide, ALWAYS, ECHO },
	{ "direct::echo_32", narrow, ALWAYS, ECHO },
	{ "direct::relay_64", wide, ALWAYS, RELAY },
	{ "direct::relay_32", narrow, ALWAYS, RELAY },
	{ "direct::percpu_64", wide, ALWAYS, PERCPU },
	{ "direct::percpu_32", narrow, ALWAYS, PERCPU },
	{ "direct::upper_half", upper_half, ALWAYS, ECHO },
	{ "direct::upper_half_dropped_in_32", narrow_drops_upper_half, ALWAYS, ECHO },
	{ "direct::ids_of_answer", ids_of_answer, ALWAYS, ECHO },
	{ "direct::every_cpu_to_echo", every_cpu, ALWAYS, ECHO },
	{ "direct::every_cpu_to_relay", every_cpu, ALWAYS, RELAY },
	{ "direct::every_cpu_to_percpu", every_cpu, ALWAYS, PERCPU },
	{ "direct::to_nobody_refused", to_nobody },
	{ "direct::to_itself_refused", to_itself },
	{ "direct::secure_source_refused", secure_source },
	{ "direct::framework_message_refused", framework_message },
	{ "direct::response_refused", response_from_linux },
	{ "threads::one_context", threads_one_context, ALWAYS, ECHO },
	{ "threads::own_contexts", threads_own_contexts, ALWAYS, PERCPU },
	{ "threads::all_partitions", threads_mixed },
};

DEFINE_GROUP(direct_group, cases);
