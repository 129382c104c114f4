// SPDX-License-Identifier: GPL-2.0
/* Notifications, where the hypervisor lets them through. */
#include <linux/completion.h>
#include <linux/jiffies.h>

#include "ffa_test.h"
#include "partner.h"

#define NOTIFICATION	3
#define PATIENCE_MS	2000

static struct completion arrived;
static int arrived_id;

static void callback(int id, void *data)
{
	arrived_id = id;
	complete(data);
}

static void from_partition(int sender)
{
	struct ffa_device *dev = partition(sender);
	const struct ffa_notifier_ops *ops;

	if (!dev)
		return;
	ops = dev->ops->notifier_ops;
	init_completion(&arrived);
	arrived_id = -1;
	if (!expect_error(ops->notify_request(dev, false, callback, &arrived, NOTIFICATION), 0,
			  "binding"))
		return;
	if (expect_error(tell_notify(sender, 1ULL << NOTIFICATION), 0, "the partition's setting") &&
	    expect(wait_for_completion_timeout(&arrived, msecs_to_jiffies(PATIENCE_MS)),
		   "it never arrived"))
		expect_eq(arrived_id, NOTIFICATION, "which notification arrived");
	expect_error(ops->notify_relinquish(dev, NOTIFICATION), 0, "unbinding");
}

static void unbound(int sender)
{
	expect(tell_notify(sender, 1ULL << (NOTIFICATION + 1)),
	       "a notification that nobody bound was set");
}

static void bound_twice(int sender)
{
	struct ffa_device *dev = partition(sender);
	const struct ffa_notifier_ops *ops;

	if (!dev)
		return;
	ops = dev->ops->notifier_ops;
	init_completion(&arrived);
	if (!expect_error(ops->notify_request(dev, false, callback, &arrived, NOTIFICATION), 0,
			  "binding"))
		return;
	expect(raw_error_of(FFA_NOTIFICATION_BIND, (u64)ECHO_ID << 16, 0, 1U << NOTIFICATION,
			    0) < 0,
	       "a bound notification was bound to another sender");
	expect_error(ops->notify_relinquish(dev, NOTIFICATION), 0, "unbinding");
}

static void blocked(int unused)
{
	expect_error(raw_error_of(FFA_NOTIFICATION_BITMAP_CREATE, 0, 4, 0, 0), RET_NOT_SUPPORTED,
		     "BITMAP_CREATE");
	expect_error(raw_error_of(FFA_NOTIFICATION_BIND, (u64)RELAY_ID << 16, 0, 1, 0),
		     RET_NOT_SUPPORTED, "BIND");
	expect_error(raw_error_of(FFA_NOTIFICATION_SET, RELAY_ID, 0, 1, 0), RET_NOT_SUPPORTED,
		     "SET");
	expect_error(raw_error_of(FFA_NOTIFICATION_GET, 0, 3, 0, 0), RET_NOT_SUPPORTED, "GET");
}

static const struct ffa_case cases[] = {
	{ "notify::from_relay", from_partition, IF_NOTIFYING, RELAY },
	{ "notify::unbound_refused", unbound, IF_NOTIFYING, RELAY },
	{ "notify::bound_twice_refused", bound_twice, IF_NOTIFYING, RELAY },
	{ "notify::blocked_by_hypervisor", blocked, IF_BLOCKED },
};

DEFINE_GROUP(notify_group, cases);
