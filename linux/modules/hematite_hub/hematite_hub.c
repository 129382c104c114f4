// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/hematite-hub: calls of the hub's management service, from user space.
 *
 * write() makes one call: x3 to x7 of the request, each 8 bytes. read() gives
 * what came back: x3 to x7 of the response, then the records that the service
 * kept, if the call was to keep some. What is answered is passed on as it is.
 */
#include <linux/arm_ffa.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* Bits 7:0 of x3: keep what another call lists; fetch what was kept. */
#define CALL_MASK	0xff
#define CALL_KEEP	14
#define CALL_FETCH	15
/* Bytes that one fetch brings, and that the service keeps at the most. */
#define FETCH_SIZE	32
#define KEPT_SIZE	SZ_4K
/* How often a busy service is asked again: some tenths of a second. */
#define BUSY_LIMIT	1000

/* The service; NULL while there is none. */
static struct ffa_device *service;
/* Protects it, and what it keeps until that is fetched. */
static DEFINE_MUTEX(call_lock);

/* What an open file's last call brought back. */
struct answer {
	struct mutex lock; /* protects the rest */
	size_t size;
	struct {
		u64 registers[5];
		u8 bytes[KEPT_SIZE];
	} data;
};

static int call(struct ffa_send_direct_data *data)
{
	const struct ffa_send_direct_data request = *data;
	int tries, ret = -EBUSY;

	for (tries = 0; tries < BUSY_LIMIT && ret == -EBUSY; tries++) {
		*data = request;
		ret = service->ops->msg_ops->sync_send_receive(service, data);
		if (ret == -EBUSY)
			usleep_range(50, 200);
	}
	return ret;
}

static int fetch(u8 *to, size_t size)
{
	size_t done;
	int ret;

	for (done = 0; done < size; done += FETCH_SIZE) {
		struct ffa_send_direct_data data = { .data0 = CALL_FETCH, .data1 = done };
		u64 words[4];

		ret = call(&data);
		if (ret)
			return ret;
		if (data.data0)
			return -EPROTO;
		words[0] = data.data1;
		words[1] = data.data2;
		words[2] = data.data3;
		words[3] = data.data4;
		memcpy(to + done, words, min_t(size_t, FETCH_SIZE, size - done));
	}
	return 0;
}

static int call_service(struct answer *answer, const u64 *request)
{
	struct ffa_send_direct_data data = {
		.data0 = request[0],
		.data1 = request[1],
		.data2 = request[2],
		.data3 = request[3],
		.data4 = request[4],
	};
	u64 size = 0;
	int ret;

	if (!service)
		return -ENODEV;
	ret = call(&data);
	if (ret)
		return ret;
	answer->data.registers[0] = data.data0;
	answer->data.registers[1] = data.data1;
	answer->data.registers[2] = data.data2;
	answer->data.registers[3] = data.data3;
	answer->data.registers[4] = data.data4;
	if ((request[0] & CALL_MASK) == CALL_KEEP && !data.data0) {
		/* So many records, of so many bytes each. */
		if (data.data1 > KEPT_SIZE || data.data2 > KEPT_SIZE)
			return -EPROTO;
		size = data.data1 * data.data2;
		if (size > KEPT_SIZE)
			return -EPROTO;
		ret = fetch(answer->data.bytes, size);
		if (ret)
			return ret;
	}
	answer->size = sizeof(answer->data.registers) + size;
	return 0;
}

static ssize_t hub_write(struct file *file, const char __user *from, size_t size, loff_t *offset)
{
	struct answer *answer = file->private_data;
	u64 request[5];
	ssize_t ret;

	if (size != sizeof(request))
		return -EMSGSIZE;
	if (copy_from_user(request, from, sizeof(request)))
		return -EFAULT;
	if (mutex_lock_interruptible(&answer->lock))
		return -EINTR;
	answer->size = 0;
	ret = mutex_lock_interruptible(&call_lock);
	if (!ret) {
		ret = call_service(answer, request);
		mutex_unlock(&call_lock);
	}
	mutex_unlock(&answer->lock);
	/* Each answer is read from its beginning. */
	*offset = 0;
	return ret ? ret : size;
}

static ssize_t hub_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	struct answer *answer = file->private_data;
	ssize_t ret;

	if (mutex_lock_interruptible(&answer->lock))
		return -EINTR;
	ret = simple_read_from_buffer(to, size, offset, &answer->data, answer->size);
	mutex_unlock(&answer->lock);
	return ret;
}

static int hub_open(struct inode *inode, struct file *file)
{
	struct answer *answer = kzalloc(sizeof(*answer), GFP_KERNEL);

	if (!answer)
		return -ENOMEM;
	mutex_init(&answer->lock);
	file->private_data = answer;
	return 0;
}

static int hub_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static const struct file_operations hub_fops = {
	.owner = THIS_MODULE,
	.open = hub_open,
	.release = hub_release,
	.read = hub_read,
	.write = hub_write,
};

static struct miscdevice hub_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "hematite-hub",
	.fops = &hub_fops,
	.mode = 0600,
};

static int hub_probe(struct ffa_device *dev)
{
	int ret = -EBUSY;

	mutex_lock(&call_lock);
	if (!service) {
		service = dev;
		ret = misc_register(&hub_device);
		if (ret)
			service = NULL;
		else
			dev_info(&dev->dev, "/dev/hematite-hub is served by %#x\n", dev->vm_id);
	}
	mutex_unlock(&call_lock);
	return ret;
}

static void hub_remove(struct ffa_device *dev)
{
	misc_deregister(&hub_device);
	mutex_lock(&call_lock);
	service = NULL;
	mutex_unlock(&call_lock);
}

static const struct ffa_device_id hub_ids[] = {
	{ UUID_INIT(0xb4a2e6c1, 0x7d35, 0x4f0e, 0x9a, 0x58, 0x3c, 0x61, 0xd2, 0xf7, 0xe0, 0x84) },
	{ }
};

static struct ffa_driver hub_driver = {
	.name = "hematite_hub",
	.probe = hub_probe,
	.remove = hub_remove,
	.id_table = hub_ids,
};
module_ffa_driver(hub_driver);

MODULE_DESCRIPTION("The management service of Hematite's hub");
MODULE_LICENSE("GPL");
