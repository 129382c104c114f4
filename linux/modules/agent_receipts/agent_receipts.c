// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/agent-receipts: calls of the receipts partition, from user space.
 *
 * write() makes one call: eight bytes that go into x3 (operation and flags),
 * then the message. read() gives what came back: x3 to x7, then the answer.
 * The partition's answer is passed on as it is: this driver judges nothing.
 */
#include <linux/gfp.h>
#include <linux/scatterlist.h>

#define DEVICE_NAME	"agent-receipts"
/* The partition's limits. */
#define MESSAGE_ROOM	73728
#define ANSWER_ROOM	98304
#define REGION_SIZE	(MESSAGE_ROOM + ANSWER_ROOM)
/* Some seconds. */
#define BUSY_LIMIT	20000
#include "../call_device.h"

/* The memory that the partition and we share, while there is one; protected by call_lock. */
static void *region;
static u64 region_handle;

static int share_region(struct ffa_device *dev)
{
	struct ffa_mem_region_attributes attributes = {
		.receiver = dev->vm_id,
		.attrs = FFA_MEM_RW,
	};
	struct scatterlist list;
	struct ffa_mem_ops_args args = {
		.use_txbuf = true,
		.attrs = &attributes,
		.nattrs = 1,
		.sg = &list,
	};
	int ret;

	sg_init_one(&list, region, REGION_SIZE);
	ret = dev->ops->mem_ops->memory_share(&args);
	region_handle = args.g_handle;
	return ret;
}

static int make_call(struct answer *answer, const char __user *from, size_t size)
{
	struct ffa_send_direct_data data = {
		.data1 = region_handle,
		.data3 = MESSAGE_ROOM | (u64)ANSWER_ROOM << 32,
	};
	u64 first;
	u32 written;
	int ret;

	if (size < sizeof(first) || size - sizeof(first) > MESSAGE_ROOM)
		return -EMSGSIZE;
	if (copy_from_user(&first, from, sizeof(first)))
		return -EFAULT;
	size -= sizeof(first);
	if (copy_from_user(region, from + sizeof(first), size))
		return -EFAULT;
	data.data0 = first;
	data.data2 = (u64)size << 32;
	ret = ask(&data);
	if (ret)
		return ret;
	written = (u32)data.data1;
	if (written > ANSWER_ROOM)
		return -EPROTO;
	memcpy(answer->data.bytes, region + MESSAGE_ROOM, written);
	keep(answer, &data, written);
	return 0;
}

/* Takes the shared memory back; pages that the partition still holds are not used again. */
static void take_region_back(struct ffa_device *dev)
{
	if (dev->ops->mem_ops->memory_reclaim(region_handle, 0))
		dev_warn(&dev->dev, "the partition keeps %u KiB\n", REGION_SIZE / 1024);
	else
		free_pages_exact(region, REGION_SIZE);
}

static int receipts_probe(struct ffa_device *dev)
{
	int ret;

	mutex_lock(&call_lock);
	ret = -EBUSY;
	if (partition)
		goto out;
	ret = -ENOMEM;
	region = alloc_pages_exact(REGION_SIZE, GFP_KERNEL | __GFP_ZERO);
	if (!region)
		goto out;
	ret = share_region(dev);
	if (ret) {
		free_pages_exact(region, REGION_SIZE);
		goto out;
	}
	ret = offer(dev);
	if (ret)
		take_region_back(dev);
out:
	mutex_unlock(&call_lock);
	return ret;
}

static void receipts_remove(struct ffa_device *dev)
{
	misc_deregister(&device);
	mutex_lock(&call_lock);
	take_region_back(dev);
	partition = NULL;
	mutex_unlock(&call_lock);
}

static const struct ffa_device_id receipts_ids[] = {
	{ UUID_INIT(0x9bd9b3c4, 0x0de1, 0x4bb6, 0x8e, 0x2c, 0x6f, 0x6a, 0x5e, 0x1d, 0x27, 0xa4) },
	{ }
};

static struct ffa_driver receipts_driver = {
	.name = "agent_receipts",
	.probe = receipts_probe,
	.remove = receipts_remove,
	.id_table = receipts_ids,
};
module_ffa_driver(receipts_driver);

MODULE_DESCRIPTION("Agent receipts, judged by a partition in the Secure world");
MODULE_LICENSE("GPL");
