// SPDX-License-Identifier: GPL-2.0
/* Chains: Linux calls a partition that calls another, and one that shares memory with another. */
#include "ffa_test.h"
#include "partner.h"

#define ROUNDS	200
#define MARK	0xcafeface

static void through_relay(int target)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		u64 answer = 0;

		if (!expect_error(tell_forward(RELAY, partition_id(target), PING + round,
					       &answer), 0, "forwarding"))
			return;
		if (!expect_eq(answer, PONG + round, "what came back through the chain"))
			return;
	}
}

static void through_percpu(int target)
{
	u64 answer = 0;

	expect_error(tell_forward(PERCPU, partition_id(target), PING, &answer), 0, "forwarding");
	expect_eq(answer, PONG, "what came back through the chain");
}

static void to_its_caller(int unused)
{
	u64 answer = 0;

	expect(tell_forward(RELAY, RELAY_ID, PING, &answer), "a partition called itself");
	ping(RELAY);
}

static void to_nobody(int unused)
{
	u64 answer = 0;

	expect(tell_forward(RELAY, 0x80ff, PING, &answer), "a partition reached nobody");
	ping(RELAY);
}

static void partition_shares(int borrower)
{
	enum partition owner = borrower == RELAY ? PERCPU : RELAY;
	u64 handle, word = 0;

	if (!expect_error(tell_share(owner, partition_id(borrower), MARK, &handle), 0, "sharing"))
		return;
	if (expect_error(tell_retrieve(borrower, partition_id(owner), handle), 0, "retrieving")) {
		expect_error(tell_read(borrower, handle, 0, &word), 0, "reading");
		expect_eq(word, MARK, "what the borrower read");
		expect_error(tell_write(borrower, handle, 0, MARK + 1), 0, "writing");
		expect(tell_reclaim(owner, handle), "borrowed memory was reclaimed");
		expect_error(tell_relinquish(borrower, handle), 0, "relinquishing");
	}
	expect_error(tell_reclaim(owner, handle), 0, "reclaiming");
	expect_error(tell_own_word(owner, &word), 0, "the owner's look");
	expect_eq(word, MARK + 1, "what the owner finds");
}

static const struct ffa_case cases[] = {
	{ "chain::relay_to_echo", through_relay, ALWAYS, ECHO },
	{ "chain::relay_to_percpu", through_relay, ALWAYS, PERCPU },
	{ "chain::percpu_to_echo", through_percpu, ALWAYS, ECHO },
	{ "chain::percpu_to_relay", through_percpu, ALWAYS, RELAY },
	{ "chain::to_itself_refused", to_its_caller },
	{ "chain::to_nobody_refused", to_nobody },
	{ "chain::relay_shares_with_percpu", partition_shares, ALWAYS, PERCPU },
	{ "chain::percpu_shares_with_relay", partition_shares, ALWAYS, RELAY },
};

DEFINE_GROUP(chain_group, cases);
