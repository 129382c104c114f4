// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/agent-receipts: calls of the receipts partition, from user space.
 *
 * write() makes one call: eight bytes that go into x3 (operation and flags),
 * then the message. read() gives what came back: x3 to x7, then the answer.
 * The partition's answer is passed on as it is: this driver judges nothing.
 */
#include <linux/arm_ffa.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* The partition's limits. */
#define MESSAGE_ROOM	73728
#define ANSWER_ROOM	98304
#define REGION_SIZE	(MESSAGE_ROOM + ANSWER_ROOM)
/* How often a busy partition is asked again: some seconds. */
#define BUSY_LIMIT	20000

/* The one partition, and the memory that it and we share; NULL while there is none. */
static struct ffa_device *partition;
static void *region;
static u64 region_handle;
/* Protects the three above, and the region's contents while a call lasts. */
static DEFINE_MUTEX(call_lock);

/* What an open file's last call brought back. */
struct answer {
	struct mutex lock; /* protects the rest */
	size_t size;
	struct {
		u64 registers[5];
		u8 bytes[ANSWER_ROOM];
	} data;
};

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

static int call(struct ffa_send_direct_data *data)
{
	const struct ffa_send_direct_data request = *data;
	int tries, ret = -EBUSY;

	for (tries = 0; tries < BUSY_LIMIT && ret == -EBUSY; tries++) {
		*data = request;
		ret = partition->ops->msg_ops->sync_send_receive(partition, data);
		if (ret == -EBUSY)
			usleep_range(50, 200);
	}
	return ret;
}

static ssize_t call_partition(struct answer *answer, u64 first, const char __user *message,
			      size_t size)
{
	struct ffa_send_direct_data data = {
		.data0 = first,
		.data1 = region_handle,
		.data2 = (u64)size << 32,
		.data3 = MESSAGE_ROOM | (u64)ANSWER_ROOM << 32,
	};
	u32 written;
	int ret;

	if (!partition)
		return -ENODEV;
	if (copy_from_user(region, message, size))
		return -EFAULT;
	ret = call(&data);
	if (ret)
		return ret;
	written = (u32)data.data1;
	if (written > ANSWER_ROOM)
		return -EPROTO;
	answer->data.registers[0] = data.data0;
	answer->data.registers[1] = data.data1;
	answer->data.registers[2] = data.data2;
	answer->data.registers[3] = data.data3;
	answer->data.registers[4] = data.data4;
	memcpy(answer->data.bytes, region + MESSAGE_ROOM, written);
	answer->size = sizeof(answer->data.registers) + written;
	return 0;
}

static ssize_t receipts_write(struct file *file, const char __user *from, size_t size,
			      loff_t *offset)
{
	struct answer *answer = file->private_data;
	ssize_t ret;
	u64 first;

	if (size < sizeof(first) || size - sizeof(first) > MESSAGE_ROOM)
		return -EMSGSIZE;
	if (copy_from_user(&first, from, sizeof(first)))
		return -EFAULT;
	if (mutex_lock_interruptible(&answer->lock))
		return -EINTR;
	answer->size = 0;
	ret = mutex_lock_interruptible(&call_lock);
	if (!ret) {
		ret = call_partition(answer, first, from + sizeof(first), size - sizeof(first));
		mutex_unlock(&call_lock);
	}
	mutex_unlock(&answer->lock);
	/* Each answer is read from its beginning. */
	*offset = 0;
	return ret ? ret : size;
}

static ssize_t receipts_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	struct answer *answer = file->private_data;
	ssize_t ret;

	if (mutex_lock_interruptible(&answer->lock))
		return -EINTR;
	ret = simple_read_from_buffer(to, size, offset, &answer->data, answer->size);
	mutex_unlock(&answer->lock);
	return ret;
}

static int receipts_open(struct inode *inode, struct file *file)
{
	struct answer *answer = kvzalloc(sizeof(*answer), GFP_KERNEL);

	if (!answer)
		return -ENOMEM;
	mutex_init(&answer->lock);
	file->private_data = answer;
	return 0;
}

static int receipts_release(struct inode *inode, struct file *file)
{
	kvfree(file->private_data);
	return 0;
}

static const struct file_operations receipts_fops = {
	.owner = THIS_MODULE,
	.open = receipts_open,
	.release = receipts_release,
	.read = receipts_read,
	.write = receipts_write,
};

static struct miscdevice receipts_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "agent-receipts",
	.fops = &receipts_fops,
	.mode = 0600,
};

/* Takes the shared memory back; pages that the partition still holds are not used again. */
static void drop_partition(void)
{
	if (partition->ops->mem_ops->memory_reclaim(region_handle, 0))
		dev_warn(&partition->dev, "the partition keeps %u KiB\n", REGION_SIZE / 1024);
	else
		free_pages_exact(region, REGION_SIZE);
	region = NULL;
	partition = NULL;
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
		region = NULL;
		goto out;
	}
	partition = dev;
	ret = misc_register(&receipts_device);
	if (ret)
		drop_partition();
	else
		dev_info(&dev->dev, "/dev/agent-receipts is served by partition %#x\n", dev->vm_id);
out:
	mutex_unlock(&call_lock);
	return ret;
}

static void receipts_remove(struct ffa_device *dev)
{
	misc_deregister(&receipts_device);
	mutex_lock(&call_lock);
	drop_partition();
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
