/* SPDX-License-Identifier: GPL-2.0 */
/* The commands that relay and percpu obey (sp/protocol.md). */
#ifndef FFA_TEST_PARTNER_H
#define FFA_TEST_PARTNER_H

#include "ffa_test.h"

/*
 * Each returns 0, a negative errno of Linux's API, or the partition's own
 * status (2: a call of the partition was refused).
 */
int tell_retrieve(enum partition which, u16 sender, u64 handle);
/* The only borrower of lent memory has to say that it will not execute there. */
int tell_retrieve_lent(enum partition which, u16 sender, u64 handle);
int tell_relinquish(enum partition which, u64 handle);
/* At a byte offset, pages in the order of the handle's ranges. */
int tell_write(enum partition which, u64 handle, u64 offset, u64 value);
int tell_read(enum partition which, u64 handle, u64 offset, u64 *value);
/* Shares a page of the partition's own, which it fills with `value` first. */
int tell_share(enum partition which, u16 receiver, u64 value, u64 *handle);
int tell_reclaim(enum partition which, u64 handle);
/* The first word of that page. */
int tell_own_word(enum partition which, u64 *value);
/* Has the partition ask `target` to add 0x1000 to `value`. */
int tell_forward(enum partition which, u16 target, u64 value, u64 *answer);
/* Has the partition set notifications of Linux's. */
int tell_notify(enum partition which, u64 notifications);
int tell_spin(enum partition which, u64 microseconds);
int tell_simd_fill(enum partition which, u64 seed);
int tell_simd_check(enum partition which, u64 seed);
/* How many halves of its SIMD registers hold a value. */
int tell_simd_leak(enum partition which, u64 value, u64 *halves);

/* The registers of a direct request that runs for long, and whether the answer says that it did. */
void spin_request(enum partition which, u64 microseconds, struct arm_smccc_1_2_regs *in);
bool spin_done(const struct arm_smccc_1_2_regs *out);
/* The registers of a direct request that changes every SIMD register inside the partition. */
void simd_request(enum partition which, struct arm_smccc_1_2_regs *in);

#endif
