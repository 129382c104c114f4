// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/hematite-hub: calls of the hub's management service, from user space.
 *
 * write() makes one call: x3 to x7 of the request, each 8 bytes. read() gives
 * what came back: x3 to x7 of the response, then the records that the service
 * kept, if the call was to keep some. What is answered is passed on as it is.
 */
#include <linux/sizes.h>

/* Bits 7:0 of x3: keep what another call lists; fetch what was kept. */
#define CALL_MASK	0xff
#define CALL_KEEP	14
#define CALL_FETCH	15
/* Bytes that one fetch brings. */
#define FETCH_SIZE	32

#define DEVICE_NAME	"hematite-hub"
/* Bytes that the service keeps at the most. */
#define ANSWER_ROOM	SZ_4K
/* Some tenths of a second. */
#define BUSY_LIMIT	1000
#include "../call_device.h"

static int fetch(u8 *to, size_t size)
{
	size_t done;
	int ret;

	for (done = 0; done < size; done += FETCH_SIZE) {
		struct ffa_send_direct_data data = { .data0 = CALL_FETCH, .data1 = done };
		u64 words[4];

		ret = ask(&data);
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

static int make_call(struct answer *answer, const char __user *from, size_t size)
{
	struct ffa_send_direct_data data;
	u64 request[5], bytes = 0;
	int ret;

	if (size != sizeof(request))
		return -EMSGSIZE;
	if (copy_from_user(request, from, sizeof(request)))
		return -EFAULT;
	data = (struct ffa_send_direct_data) {
		request[0], request[1], request[2], request[3], request[4],
	};
	ret = ask(&data);
	if (ret)
		return ret;
	if ((request[0] & CALL_MASK) == CALL_KEEP && !data.data0) {
		/* So many records, of so many bytes each. */
		if (data.data1 > ANSWER_ROOM || data.data2 > ANSWER_ROOM)
			return -EPROTO;
		bytes = data.data1 * data.data2;
		if (bytes > ANSWER_ROOM)
			return -EPROTO;
		ret = fetch(answer->data.bytes, bytes);
		if (ret)
			return ret;
	}
	keep(answer, &data, bytes);
	return 0;
}

static int hub_probe(struct ffa_device *dev)
{
	int ret;

	mutex_lock(&call_lock);
	ret = partition ? -EBUSY : offer(dev);
	mutex_unlock(&call_lock);
	return ret;
}

static void hub_remove(struct ffa_device *dev)
{
	misc_deregister(&device);
	mutex_lock(&call_lock);
	partition = NULL;
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
