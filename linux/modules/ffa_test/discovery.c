// SPDX-License-Identifier: GPL-2.0
/* Versions, features, ids, and the partitions that Linux's FF-A bus found. */
#include <linux/device.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/uuid.h>

#include "ffa_test.h"

static const char *const uuids[PARTITIONS] = {
	[ECHO] = "d1f249e7-9121-48df-a79f-0a9069e16bee",
	[RELAY] = "7c81ba7b-f724-48c1-ba4c-2ce1c1cbb06a",
	[PERCPU] = "3f03d0b1-ebf8-4290-9de2-d36b27764a4f",
};

static const u16 ids[PARTITIONS] = {
	[ECHO] = ECHO_ID,
	[RELAY] = RELAY_ID,
	[PERCPU] = PERCPU_ID,
};

static struct ffa_device_id id_table[PARTITIONS + 1];
static struct ffa_device *bound[PARTITIONS];

static int probe(struct ffa_device *dev)
{
	int i;

	for (i = 0; i < PARTITIONS; i++)
		if (uuid_equal(&dev->uuid, &id_table[i].uuid))
			bound[i] = dev;
	return 0;
}

static void unbind(struct ffa_device *dev)
{
	int i;

	for (i = 0; i < PARTITIONS; i++)
		if (bound[i] == dev)
			bound[i] = NULL;
}

static struct ffa_driver driver = {
	.name = "ffa_test",
	.probe = probe,
	.remove = unbind,
	.id_table = id_table,
};

int discovery_start(void)
{
	int i, ret;

	for (i = 0; i < PARTITIONS; i++) {
		ret = uuid_parse(uuids[i], &id_table[i].uuid);
		if (ret)
			return ret;
	}
	return ffa_register(&driver);
}

void discovery_stop(void)
{
	ffa_unregister(&driver);
}

u16 partition_id(enum partition which)
{
	return ids[which];
}

struct ffa_device *partition(enum partition which)
{
	expect(bound[which], "it is not on the FF-A bus");
	return bound[which];
}

static u32 feature(u32 id, int *error)
{
	struct arm_smccc_1_2_regs in = { .a0 = FFA_FEATURES, .a1 = id }, out;

	raw_call(&in, &out);
	*error = raw_error(&out);
	return out.a2;
}

static void supported(u32 id, const char *what)
{
	int error;

	feature(id, &error);
	expect_error(error, 0, what);
}

static u32 version(void)
{
	struct ffa_device *dev = partition(ECHO);

	return dev ? dev->ops->info_ops->api_version_get() : FFA_VERSION_1_1;
}

static void version_of_driver(int unused)
{
	u32 got = version();

	expect_eq(FFA_MAJOR_VERSION(got), 1, "major version");
	expect(FFA_MINOR_VERSION(got) >= 1, "the driver negotiated a version below 1.1");
}

static void version_asked_again(int unused)
{
	struct arm_smccc_1_2_regs in = { .a0 = FFA_VERSION, .a1 = version() }, out;

	raw_call(&in, &out);
	expect_eq(FFA_MAJOR_VERSION(out.a0), 1, "major version");
	expect((u32)out.a0 >= (u32)in.a1, "the firmware's version is below the negotiated one");
}

static void version_other_major(int unused)
{
	struct arm_smccc_1_2_regs in = { .a0 = FFA_VERSION, .a1 = 0x00020000 }, out;

	raw_call(&in, &out);
	expect_error((int)out.a0, RET_NOT_SUPPORTED, "FFA_VERSION(2.0)");
}

static void id_of_linux(int unused)
{
	struct arm_smccc_1_2_regs in = { .a0 = FFA_ID_GET }, out;

	raw_call(&in, &out);
	expect_eq((u32)out.a0, FFA_SUCCESS, "FFA_ID_GET");
	expect_eq(out.a2 & 0xffff, 0, "Linux's id");
}

static void id_of_spmc(int unused)
{
	struct arm_smccc_1_2_regs in = { .a0 = FFA_SPM_ID_GET }, out;

	raw_call(&in, &out);
	expect_eq((u32)out.a0, FFA_SUCCESS, "FFA_SPM_ID_GET");
	expect_eq(out.a2 & 0x8000, 0x8000, "bit 15 of the SPMC's id");
}

static void features_rxtx(int unused)
{
	int error;
	u32 w2 = feature(FFA_FN64_RXTX_MAP, &error);

	expect_error(error, 0, "FFA_FEATURES(RXTX_MAP)");
	expect_eq(w2 & 3, FFA_FEAT_RXTX_MIN_SZ_4K, "smallest buffer");
}

static void features_messages(int unused)
{
	supported(FFA_MSG_SEND_DIRECT_REQ, "MSG_SEND_DIRECT_REQ");
	supported(FFA_FN64_MSG_SEND_DIRECT_REQ, "MSG_SEND_DIRECT_REQ, 64 bits");
	supported(FFA_RUN, "RUN");
}

static void features_memory(int unused)
{
	supported(FFA_FN64_MEM_SHARE, "MEM_SHARE");
	supported(FFA_FN64_MEM_LEND, "MEM_LEND");
	supported(FFA_MEM_RECLAIM, "MEM_RECLAIM");
	supported(FFA_MEM_FRAG_TX, "MEM_FRAG_TX");
}

static void features_basic(int unused)
{
	supported(FFA_ERROR, "ERROR");
	supported(FFA_SUCCESS, "SUCCESS");
	supported(FFA_INTERRUPT, "INTERRUPT");
	supported(FFA_RX_RELEASE, "RX_RELEASE");
	supported(FFA_PARTITION_INFO_GET, "PARTITION_INFO_GET");
	supported(FFA_ID_GET, "ID_GET");
}

static void features_unknown(int unused)
{
	int error;

	feature(0x840000fe, &error);
	expect_error(error, RET_NOT_SUPPORTED, "FFA_FEATURES of no function");
}

static void bus_found(int which)
{
	struct ffa_device *dev = partition(which);

	if (!dev)
		return;
	expect_eq(dev->vm_id, ids[which], "the partition's id");
	expect(ffa_partition_supports_direct_recv(dev), "it does not take direct requests");
	expect(ffa_partition_check_property(dev, FFA_PARTITION_AARCH64_EXEC), "it is not AArch64");
}

static void info_get(enum partition which, struct ffa_partition_info *info)
{
	struct ffa_device *dev = partition(which);
	int ret;

	memset(info, 0, sizeof(*info));
	if (!dev)
		return;
	ret = dev->ops->info_ops->partition_info_get(uuids[which], info);
	expect_error(ret, 0, "looking for the UUID");
	expect_eq(info->id, ids[which], "id");
}

static void info_by_uuid(int unused)
{
	struct ffa_partition_info info;
	int i;

	for (i = 0; i < PARTITIONS; i++)
		info_get(i, &info);
}

static void info_contexts(int unused)
{
	struct ffa_partition_info info;

	info_get(ECHO, &info);
	expect_eq(info.exec_ctxt, 1, "echo's contexts");
	info_get(RELAY, &info);
	expect_eq(info.exec_ctxt, 1, "relay's contexts");
	info_get(PERCPU, &info);
	expect(info.exec_ctxt >= num_possible_cpus(),
	       "percpu has fewer contexts than there are CPUs");
}

static void info_unknown_uuid(int unused)
{
	static const char nobody[] = "7d0a4b3e-5e5a-4b54-93a7-6d1c27e0a111";
	struct ffa_partition_info info;
	struct ffa_device *dev = partition(ECHO);

	if (!dev)
		return;
	expect_error(dev->ops->info_ops->partition_info_get(nobody, &info), -ENOENT,
		     "looking for a UUID that nobody has");
}

static int count_secure(struct device *dev, void *data)
{
	if (to_ffa_dev(dev)->vm_id & 0x8000)
		++*(unsigned int *)data;
	return 0;
}

static void info_count(int unused)
{
	struct arm_smccc_1_2_regs in = { .a0 = FFA_PARTITION_INFO_GET, .a5 = 1 }, out;
	unsigned int devices = 0;

	bus_for_each_dev(&ffa_bus_type, NULL, &devices, count_secure);
	raw_call(&in, &out);
	expect_eq((u32)out.a0, FFA_SUCCESS, "FFA_PARTITION_INFO_GET");
	expect_eq(out.a2, devices, "the count, and the devices on the bus");
}

static const struct ffa_case cases[] = {
	{ "version::of_driver", version_of_driver },
	{ "version::asked_again", version_asked_again },
	{ "version::other_major_refused", version_other_major },
	{ "id::of_linux", id_of_linux },
	{ "id::of_spmc", id_of_spmc },
	{ "features::rxtx_map", features_rxtx },
	{ "features::messages", features_messages },
	{ "features::memory", features_memory },
	{ "features::basic", features_basic },
	{ "features::unknown_refused", features_unknown },
	{ "bus::echo", bus_found, ALWAYS, ECHO },
	{ "bus::relay", bus_found, ALWAYS, RELAY },
	{ "bus::percpu", bus_found, ALWAYS, PERCPU },
	{ "info::by_uuid", info_by_uuid },
	{ "info::contexts", info_contexts },
	{ "info::unknown_uuid", info_unknown_uuid },
	{ "info::count", info_count },
};

DEFINE_GROUP(discovery_group, cases);
