/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A character device that calls a partition: each write() makes one call, and
 * read() gives what came back, x3 to x7 and the bytes behind them. What is
 * answered is passed on as it is.
 *
 * Who includes this defines DEVICE_NAME, ANSWER_ROOM (the most bytes behind the
 * registers), BUSY_LIMIT (how often a busy partition is asked again) and
 * make_call().
 */
#ifndef CALL_DEVICE_H
#define CALL_DEVICE_H

#include <linux/arm_ffa.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* The one partition; NULL while there is none. */
static struct ffa_device *partition;
/* Protects it, and what a call needs while it lasts. */
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

/* Makes the call that user space wrote and keeps the answer; under call_lock, with a partition. */
static int make_call(struct answer *answer, const char __user *from, size_t size);

/* A direct request, repeated while the partition is busy. */
static int ask(struct ffa_send_direct_data *data)
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

/* Keeps the registers of a response, with so many bytes behind them. */
static void keep(struct answer *answer, const struct ffa_send_direct_data *data, size_t bytes)
{
	answer->data.registers[0] = data->data0;
	answer->data.registers[1] = data->data1;
	answer->data.registers[2] = data->data2;
	answer->data.registers[3] = data->data3;
	answer->data.registers[4] = data->data4;
	answer->size = sizeof(answer->data.registers) + bytes;
}

static ssize_t device_write(struct file *file, const char __user *from, size_t size,
			    loff_t *offset)
{
	struct answer *answer = file->private_data;
	ssize_t ret;

	if (mutex_lock_interruptible(&answer->lock))
		return -EINTR;
	answer->size = 0;
	ret = mutex_lock_interruptible(&call_lock);
	if (!ret) {
		ret = partition ? make_call(answer, from, size) : -ENODEV;
		mutex_unlock(&call_lock);
	}
	mutex_unlock(&answer->lock);
	/* Each answer is read from its beginning. */
	*offset = 0;
	return ret ? ret : size;
}

static ssize_t device_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	struct answer *answer = file->private_data;
	ssize_t ret;

	if (mutex_lock_interruptible(&answer->lock))
		return -EINTR;
	ret = simple_read_from_buffer(to, size, offset, &answer->data, answer->size);
	mutex_unlock(&answer->lock);
	return ret;
}

static int device_open(struct inode *inode, struct file *file)
{
	struct answer *answer = kvzalloc(sizeof(*answer), GFP_KERNEL);

	if (!answer)
		return -ENOMEM;
	mutex_init(&answer->lock);
	file->private_data = answer;
	return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
	kvfree(file->private_data);
	return 0;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.read = device_read,
	.write = device_write,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = DEVICE_NAME,
	.fops = &device_fops,
	.mode = 0600,
};

/* Offers the device; under call_lock, with no partition yet. */
static int offer(struct ffa_device *dev)
{
	int ret;

	partition = dev;
	ret = misc_register(&device);
	if (ret)
		partition = NULL;
	else
		dev_info(&dev->dev, "/dev/" DEVICE_NAME " is served by %#x\n", dev->vm_id);
	return ret;
}

#endif
