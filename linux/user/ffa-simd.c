// SPDX-License-Identifier: MIT OR Apache-2.0
// Fills the SIMD registers, has the kernel call a partition that uses its own, and looks whether they changed.
// Exit status: 0 they did not, 1 they did, 2 no call could be made.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 200, SYS_WRITE = 64 };

// Makes the system call write(fd, text, size) with v0-v31 loaded from `in` and stores them to `out` after it.
static long write_with_registers(int fd, const char *text, size_t size, const uint64_t *in, uint64_t *out)
{
	register long x0 asm("x0") = fd;
	register const char *x1 asm("x1") = text;
	register size_t x2 asm("x2") = size;
	register long x8 asm("x8") = SYS_WRITE;
	asm volatile(
		"ld1 {v0.2d-v3.2d}, [%[in]], #64\n ld1 {v4.2d-v7.2d}, [%[in]], #64\n"
		"ld1 {v8.2d-v11.2d}, [%[in]], #64\n ld1 {v12.2d-v15.2d}, [%[in]], #64\n"
		"ld1 {v16.2d-v19.2d}, [%[in]], #64\n ld1 {v20.2d-v23.2d}, [%[in]], #64\n"
		"ld1 {v24.2d-v27.2d}, [%[in]], #64\n ld1 {v28.2d-v31.2d}, [%[in]], #64\n"
		"svc #0\n"
		"st1 {v0.2d-v3.2d}, [%[out]], #64\n st1 {v4.2d-v7.2d}, [%[out]], #64\n"
		"st1 {v8.2d-v11.2d}, [%[out]], #64\n st1 {v12.2d-v15.2d}, [%[out]], #64\n"
		"st1 {v16.2d-v19.2d}, [%[out]], #64\n st1 {v20.2d-v23.2d}, [%[out]], #64\n"
		"st1 {v24.2d-v27.2d}, [%[out]], #64\n st1 {v28.2d-v31.2d}, [%[out]], #64\n"
		: "+r"(x0), [in] "+r"(in), [out] "+r"(out)
		: "r"(x1), "r"(x2), "r"(x8)
		: "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
		  "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
		  "v30", "v31");
	return x0;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: ffa-simd 'FUNCTION X1 ...' (as for ffa)\n", stderr);
		return 2;
	}
	const char *call = argv[1];
	size_t size = strlen(call);
	int fd = open("/sys/kernel/debug/ffa_test/call", O_RDWR);
	if (fd < 0) {
		perror("ffa-simd: /sys/kernel/debug/ffa_test/call");
		return 2;
	}
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t in[64], out[64] = { 0 };
		for (int i = 0; i < 64; i++)
			in[i] = (uint64_t)round << 32 | (uint64_t)i * 0x01010101;
		if (write_with_registers(fd, call, size, in, out) != (long)size)
			return 2;
		if (memcmp(in, out, sizeof(in)))
			return 1;
	}
	return 0;
}
