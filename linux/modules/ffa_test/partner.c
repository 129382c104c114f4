// SPDX-License-Identifier: GPL-2.0
/* The commands that relay and percpu obey (sp/protocol.md), as direct requests. */
#include <asm/sysreg.h>
#include <linux/math64.h>

#include "partner.h"

#define CMD_STAGE	0x10
#define CMD_CALL	0x11
#define CMD_FORWARD	0x20
#define CMD_SPIN	0x24
#define CMD_SIMD_FILL	0x30
#define CMD_SIMD_CHECK	0x31
#define CMD_SIMD_LEAK	0x32
#define CMD_RETRIEVE	0x60
#define CMD_RELINQUISH	0x63
#define CMD_SEND	0x64
#define CMD_RECLAIM	0x65
#define CMD_OWN_PAGE	0x66
#define CMD_READ	0x67
#define CMD_WRITE	0x68

static int tell(enum partition which, struct ffa_send_direct_data *data)
{
	int ret = ask_retry(which, data, NULL);

	return ret ? ret : (int)data->data0;
}

static int tell3(enum partition which, u64 command, u64 a, u64 b, u64 c)
{
	struct ffa_send_direct_data data = { command, a, b, c };

	return tell(which, &data);
}

int tell_retrieve(enum partition which, u16 sender, u64 handle)
{
	return tell3(which, CMD_RETRIEVE, handle, sender, 0);
}

int tell_retrieve_lent(enum partition which, u16 sender, u64 handle)
{
	u64 permissions = FFA_MEM_RW | FFA_MEM_NO_EXEC;

	return tell3(which, CMD_RETRIEVE, handle, sender | permissions << 16, 0);
}

int tell_relinquish(enum partition which, u64 handle)
{
	return tell3(which, CMD_RELINQUISH, handle, 0, 0);
}

int tell_write(enum partition which, u64 handle, u64 offset, u64 value)
{
	return tell3(which, CMD_WRITE, handle, offset, value);
}

int tell_read(enum partition which, u64 handle, u64 offset, u64 *value)
{
	struct ffa_send_direct_data data = { CMD_READ, handle, offset };
	int ret = tell(which, &data);

	*value = data.data1;
	return ret;
}

int tell_share(enum partition which, u16 receiver, u64 value, u64 *handle)
{
	struct ffa_send_direct_data data = { CMD_SEND, receiver, 0, 1 };
	int ret = tell3(which, CMD_OWN_PAGE, 0, value, 0);

	if (!ret)
		ret = tell(which, &data);
	*handle = data.data1;
	return ret;
}

int tell_reclaim(enum partition which, u64 handle)
{
	return tell3(which, CMD_RECLAIM, handle, 0, 0);
}

int tell_own_word(enum partition which, u64 *value)
{
	struct ffa_send_direct_data data = { CMD_OWN_PAGE };
	int ret = tell(which, &data);

	*value = data.data2;
	return ret;
}

int tell_forward(enum partition which, u16 target, u64 value, u64 *answer)
{
	struct ffa_send_direct_data data = { CMD_FORWARD, target, CMD_ADD, value, 0x1000 };
	int ret = tell(which, &data);

	*answer = data.data2;
	return ret;
}

int tell_notify(enum partition which, u64 notifications)
{
	/* The words above w2 first, then the call by SMC with w0 to w2. */
	int ret = tell3(which, CMD_STAGE, 3, lower_32_bits(notifications),
			upper_32_bits(notifications));
	struct ffa_send_direct_data data = {
		CMD_CALL, 0, FFA_NOTIFICATION_SET, (u64)partition_id(which) << 16, 0,
	};

	if (ret)
		return ret;
	ret = tell(which, &data);
	if (ret)
		return ret;
	return (u32)data.data1 == FFA_SUCCESS ? 0 : (int)data.data3;
}

static u64 ticks(u64 microseconds)
{
	return div_u64(microseconds * read_sysreg(cntfrq_el0), 1000000);
}

int tell_spin(enum partition which, u64 microseconds)
{
	return tell3(which, CMD_SPIN, ticks(microseconds), 0, 0);
}

int tell_simd_fill(enum partition which, u64 seed)
{
	return tell3(which, CMD_SIMD_FILL, seed, 0, 0);
}

int tell_simd_check(enum partition which, u64 seed)
{
	return tell3(which, CMD_SIMD_CHECK, seed, 0, 0);
}

int tell_simd_leak(enum partition which, u64 value, u64 *halves)
{
	struct ffa_send_direct_data data = { CMD_SIMD_LEAK, value };
	int ret = tell(which, &data);

	*halves = data.data1;
	return ret;
}

static void request(enum partition which, u64 command, u64 word, struct arm_smccc_1_2_regs *in)
{
	*in = (struct arm_smccc_1_2_regs) {
		.a0 = FFA_FN64_MSG_SEND_DIRECT_REQ,
		.a1 = partition_id(which),
		.a3 = command,
		.a4 = word,
	};
}

void spin_request(enum partition which, u64 microseconds, struct arm_smccc_1_2_regs *in)
{
	request(which, CMD_SPIN, ticks(microseconds), in);
}

bool spin_done(const struct arm_smccc_1_2_regs *out)
{
	return (u32)out->a0 == FFA_FN64_MSG_SEND_DIRECT_RESP && !out->a3 && out->a5 > out->a4;
}

void simd_request(enum partition which, struct arm_smccc_1_2_regs *in)
{
	request(which, CMD_SIMD_FILL, 0xdead000000000000, in);
}
