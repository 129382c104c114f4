// SPDX-License-Identifier: GPL-2.0
/* Calls that must be refused, each without harm: the partitions still answer after all of them. */
#include "ffa_test.h"

#define NO_HANDLE	0x7fffffff

/* 0 stands for "any error". */
struct refusal {
	const char *what;
	u32 function;
	int error;
	u64 x1, x2, x3, x4;
};

static void refused(const struct refusal *refusals, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		const struct refusal *call = &refusals[i];
		int got = raw_error_of(call->function, call->x1, call->x2, call->x3, call->x4);

		if (call->error)
			expect_error(got, call->error, call->what);
		else
			expect(got < 0, call->what);
	}
	ping(ECHO);
	ping(PERCPU);
}

static void unknown_functions(int unused)
{
	static const struct refusal calls[] = {
		{ "function 0x840000ff", 0x840000ff, RET_NOT_SUPPORTED },
		{ "function 0xc40000ff", 0xc40000ff, RET_NOT_SUPPORTED },
		{ "FFA_MSG_POLL", 0x8400006a, RET_NOT_SUPPORTED },
	};

	refused(calls, ARRAY_SIZE(calls));
}

static void calls_of_partitions(int unused)
{
	static const struct refusal calls[] = {
		{ "FFA_MSG_WAIT", FFA_MSG_WAIT },
		{ "FFA_YIELD", FFA_YIELD },
		{ "FFA_SECONDARY_EP_REGISTER", 0xc4000087 },
		{ "FFA_MEM_PERM_GET", 0x84000088 },
		{ "FFA_CONSOLE_LOG", 0x8400008a, 0, 1, 'x' },
	};

	refused(calls, ARRAY_SIZE(calls));
}

static void run_of_nobody(int unused)
{
	static const struct refusal calls[] = {
		{ "FFA_RUN of no partition", FFA_RUN, 0, 0x80ff0000 },
		{ "FFA_RUN of a context that is not there", FFA_RUN, 0, (u64)ECHO_ID << 16 | 7 },
		{ "FFA_RUN of Linux", FFA_RUN, 0, 0 },
	};

	refused(calls, ARRAY_SIZE(calls));
}

static void handles(int unused)
{
	static const struct refusal calls[] = {
		{ "FFA_MEM_RECLAIM of no handle", FFA_MEM_RECLAIM, 0, NO_HANDLE, NO_HANDLE },
		{ "FFA_MEM_FRAG_RX of no handle", FFA_MEM_FRAG_RX, 0, NO_HANDLE, NO_HANDLE },
		{ "FFA_MEM_RELINQUISH", FFA_MEM_RELINQUISH },
		{ "FFA_MEM_RETRIEVE_REQ", FFA_MEM_RETRIEVE_REQ, 0, 48, 48 },
		{ "FFA_MEM_RETRIEVE_REQ, 64 bits", FFA_FN64_MEM_RETRIEVE_REQ, 0, 0, 0 },
	};

	refused(calls, ARRAY_SIZE(calls));
}

/* Not under the protected hypervisor: it takes a refused fragment for its own fault, and stops. */
static void fragment_of_nothing(int unused)
{
	static const struct refusal calls[] = {
		{ "FFA_MEM_FRAG_TX of no handle", FFA_MEM_FRAG_TX, 0, NO_HANDLE, NO_HANDLE, 16 },
		{ "FFA_MEM_FRAG_TX of nothing", FFA_MEM_FRAG_TX, 0, NO_HANDLE, NO_HANDLE, 0 },
	};

	refused(calls, ARRAY_SIZE(calls));
}

static void lengths(int unused)
{
	static const struct refusal calls[] = {
		{ "FFA_MEM_SHARE of nothing", FFA_FN64_MEM_SHARE, 0, 0, 0 },
		{ "FFA_MEM_SHARE of 1 byte", FFA_FN64_MEM_SHARE, 0, 1, 1 },
		{ "FFA_MEM_SHARE, fragment above the whole", FFA_FN64_MEM_SHARE, 0, 96, 112 },
		{ "FFA_MEM_SHARE above the buffer", FFA_FN64_MEM_SHARE, 0, 0x10000, 0x10000 },
		{ "FFA_MEM_LEND of 4 GiB", FFA_FN64_MEM_LEND, 0, 0xffffffff, 0xffffffff },
		{ "FFA_MEM_SHARE with a buffer of its own", FFA_FN64_MEM_SHARE, 0, 96, 96,
			0x40000000, 1 },
		{ "FFA_MEM_DONATE of nothing", FFA_FN64_MEM_DONATE, 0, 0, 0 },
	};

	refused(calls, ARRAY_SIZE(calls));
}

static void buffers(int unused)
{
	static const struct refusal calls[] = {
		{ "FFA_RXTX_MAP a second time", FFA_FN64_RXTX_MAP, 0, 0x80000000, 0x80001000, 1 },
		{ "FFA_RXTX_MAP unaligned", FFA_FN64_RXTX_MAP, 0, 0x80000010, 0x80001010, 1 },
		{ "FFA_RXTX_UNMAP in another's name", FFA_RXTX_UNMAP, 0, (u64)ECHO_ID << 16 },
	};

	refused(calls, ARRAY_SIZE(calls));
}

static const struct ffa_case cases[] = {
	{ "bad::unknown_functions", unknown_functions },
	{ "bad::calls_of_partitions", calls_of_partitions },
	{ "bad::run", run_of_nobody },
	{ "bad::handles", handles },
	{ "bad::fragment_of_nothing", fragment_of_nothing, IF_BARE },
	{ "bad::lengths", lengths },
	{ "bad::buffers", buffers },
};

DEFINE_GROUP(bad_group, cases);
