// SPDX-License-Identifier: GPL-2.0
/* Memory shared with and lent to partitions through Linux's API. */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "ffa_test.h"
#include "partner.h"

#define MARK		0xcafeface
/* One descriptor page holds some 250 ranges; the partition takes up to 320. */
#define MANY_RANGES	310
#define FEW_RANGES	16
#define MANY_HANDLES	24

enum how { SHARE, LEND };

/* Pages of which no two touch: every other one of a block. */
struct area {
	void *block;
	size_t size;
	unsigned int pages;
	struct sg_table table;
	u64 handle;
};

static u64 *page_of(const struct area *area, unsigned int index)
{
	return area->block + index * 2 * PAGE_SIZE;
}

static bool make_area(struct area *area, unsigned int pages)
{
	struct scatterlist *entry;
	unsigned int i;

	memset(area, 0, sizeof(*area));
	area->size = pages * 2 * PAGE_SIZE;
	area->block = alloc_pages_exact(area->size, GFP_KERNEL | __GFP_ZERO);
	if (!expect(area->block, "no memory for an area"))
		return false;
	if (!expect_error(sg_alloc_table(&area->table, pages, GFP_KERNEL), 0, "scatter list")) {
		free_pages_exact(area->block, area->size);
		return false;
	}
	area->pages = pages;
	for_each_sg(area->table.sgl, entry, pages, i)
		sg_set_page(entry, virt_to_page(page_of(area, i)), PAGE_SIZE, 0);
	return true;
}

static void free_area(struct area *area)
{
	sg_free_table(&area->table);
	free_pages_exact(area->block, area->size);
}

static int send_to(struct area *area, enum how how, u16 receiver, u8 permissions)
{
	struct ffa_mem_region_attributes attributes = { .receiver = receiver,
		.attrs = permissions };
	struct ffa_mem_ops_args args = {
		.use_txbuf = true,
		.attrs = &attributes,
		.nattrs = 1,
		.sg = area->table.sgl,
	};
	struct ffa_device *dev = partition(ECHO);
	int ret;

	if (!dev)
		return -ENODEV;
	if (how == SHARE)
		ret = dev->ops->mem_ops->memory_share(&args);
	else
		ret = dev->ops->mem_ops->memory_lend(&args);
	area->handle = args.g_handle;
	return ret;
}

static int reclaim(const struct area *area)
{
	struct ffa_device *dev = partition(ECHO);

	return dev ? dev->ops->mem_ops->memory_reclaim(area->handle, 0) : -ENODEV;
}

/* The whole life of an area; the pages are looked at when Linux has them back for itself. */
static void live(enum how how, enum partition borrower, unsigned int pages)
{
	struct area area;
	unsigned int i;
	int ret;

	if (!make_area(&area, pages))
		return;
	if (!expect_error(send_to(&area, how, partition_id(borrower), FFA_MEM_RW), 0, "sending"))
		goto out;
	ret = how == SHARE ? tell_retrieve(borrower, 0, area.handle) :
			     tell_retrieve_lent(borrower, 0, area.handle);
	if (expect_error(ret, 0, "the partition's retrieval")) {
		for (i = 0; i < pages; i++)
			if (!expect_error(tell_write(borrower, area.handle, i * PAGE_SIZE,
						     MARK + i), 0, "its write"))
				break;
		expect_error(tell_relinquish(borrower, area.handle), 0, "its relinquishing");
	}
	/* Pages that did not come back must not be used again. */
	if (!expect_error(reclaim(&area), 0, "reclaiming"))
		return;
	for (i = 0; i < pages; i++)
		if (!expect_eq(*page_of(&area, i), MARK + i, "what the partition wrote"))
			break;
out:
	free_area(&area);
}

static void share_one(int borrower)
{
	live(SHARE, borrower, 1);
}

static void share_scattered(int borrower)
{
	live(SHARE, borrower, FEW_RANGES);
}

static void share_fragments(int borrower)
{
	live(SHARE, borrower, MANY_RANGES);
}

static void lend_one(int borrower)
{
	live(LEND, borrower, 1);
}

static void lend_scattered(int borrower)
{
	live(LEND, borrower, FEW_RANGES);
}

static void lend_fragments(int borrower)
{
	live(LEND, borrower, MANY_RANGES);
}

/* While it is shared: both see what the other writes. */
static void both_see(int borrower)
{
	struct area area;
	u64 got = 0;

	if (!make_area(&area, 2))
		return;
	*page_of(&area, 1) = 0x1122334455667788;
	if (!expect_error(send_to(&area, SHARE, partition_id(borrower), FFA_MEM_RW), 0, "sharing"))
		goto out;
	if (expect_error(tell_retrieve(borrower, 0, area.handle), 0, "the partition's retrieval")) {
		expect_error(tell_read(borrower, area.handle, PAGE_SIZE, &got), 0, "its read");
		expect_eq(got, 0x1122334455667788, "what it read");
		expect_error(tell_write(borrower, area.handle, 0, MARK), 0, "its write");
		expect_eq(READ_ONCE(*page_of(&area, 0)), MARK, "what Linux sees meanwhile");
		expect_error(tell_relinquish(borrower, area.handle), 0, "its relinquishing");
	}
	if (!expect_error(reclaim(&area), 0, "reclaiming"))
		return;
out:
	free_area(&area);
}

static void while_borrowed(int borrower)
{
	struct area area;

	if (!make_area(&area, 1))
		return;
	if (!expect_error(send_to(&area, SHARE, partition_id(borrower), FFA_MEM_RW), 0, "sharing"))
		goto out;
	if (expect_error(tell_retrieve(borrower, 0, area.handle), 0, "the partition's retrieval")) {
		expect_error(reclaim(&area), -EACCES, "reclaiming what is borrowed");
		expect_error(tell_write(borrower, area.handle, 0, MARK), 0,
			     "the partition's write after that");
		expect_error(tell_relinquish(borrower, area.handle), 0, "its relinquishing");
	}
	if (!expect_error(reclaim(&area), 0, "reclaiming"))
		return;
	expect_eq(*page_of(&area, 0), MARK, "what the partition wrote");
out:
	free_area(&area);
}

static void never_retrieved(int borrower)
{
	struct area area;

	if (!make_area(&area, FEW_RANGES))
		return;
	if (expect_error(send_to(&area, SHARE, partition_id(borrower), FFA_MEM_RW), 0, "sharing") &&
	    !expect_error(reclaim(&area), 0, "reclaiming"))
		return;
	free_area(&area);
}

static void reclaim_twice(int borrower)
{
	struct area area;

	if (!make_area(&area, 1))
		return;
	if (expect_error(send_to(&area, SHARE, partition_id(borrower), FFA_MEM_RW), 0, "sharing")) {
		if (!expect_error(reclaim(&area), 0, "reclaiming"))
			return;
		expect(reclaim(&area) < 0, "a handle was reclaimed twice");
	}
	free_area(&area);
}

static void after_reclaim(int borrower)
{
	struct area area;

	if (!make_area(&area, 1))
		return;
	if (expect_error(send_to(&area, SHARE, partition_id(borrower), FFA_MEM_RW), 0, "sharing")) {
		if (!expect_error(reclaim(&area), 0, "reclaiming"))
			return;
		expect(tell_retrieve(borrower, 0, area.handle), "a reclaimed handle was retrieved");
	}
	free_area(&area);
}

static void wrong_borrower(int borrower)
{
	enum partition other = borrower == RELAY ? PERCPU : RELAY;
	struct area area;

	if (!make_area(&area, 1))
		return;
	if (expect_error(send_to(&area, SHARE, partition_id(borrower), FFA_MEM_RW), 0, "sharing")) {
		expect(tell_retrieve(other, 0, area.handle),
		       "a partition retrieved what another was given");
		if (!expect_error(reclaim(&area), 0, "reclaiming"))
			return;
	}
	free_area(&area);
}

static void to_nobody(int unused)
{
	struct area area;

	if (!make_area(&area, FEW_RANGES))
		return;
	expect(send_to(&area, SHARE, 0x80ff, FFA_MEM_RW) < 0, "memory was shared with nobody");
	expect(send_to(&area, LEND, 0, FFA_MEM_RW) < 0, "memory was lent to Linux itself");
	/* The refusals left nothing behind: the same pages can be shared now. */
	if (expect_error(send_to(&area, SHARE, RELAY_ID, FFA_MEM_RW), 0,
			 "sharing after the refusals") &&
	    !expect_error(reclaim(&area), 0, "reclaiming"))
		return;
	free_area(&area);
}

static void many_handles(int borrower)
{
	struct area *areas = kcalloc(MANY_HANDLES, sizeof(*areas), GFP_KERNEL);
	unsigned int made, i, j;

	if (!expect(areas, "no memory"))
		return;
	for (made = 0; made < MANY_HANDLES; made++) {
		if (!make_area(&areas[made], 1))
			break;
		if (!expect_error(send_to(&areas[made], SHARE, partition_id(borrower),
					  FFA_MEM_RW), 0, "sharing")) {
			free_area(&areas[made]);
			break;
		}
	}
	for (i = 0; i < made; i++)
		for (j = 0; j < i; j++)
			expect(areas[i].handle != areas[j].handle, "two areas have one handle");
	for (i = 0; i < made; i++)
		if (expect_error(reclaim(&areas[i]), 0, "reclaiming"))
			free_area(&areas[i]);
	kfree(areas);
}

static void again_and_again(int borrower)
{
	int round;

	for (round = 0; round < 30; round++)
		live(round % 2 ? LEND : SHARE, borrower, 1 + round % 5);
}

static const struct ffa_case cases[] = {
	{ "share::one_page", share_one, ALWAYS, RELAY },
	{ "share::one_page_to_percpu", share_one, ALWAYS, PERCPU },
	{ "share::scattered", share_scattered, ALWAYS, RELAY },
	{ "share::fragments", share_fragments, ALWAYS, RELAY },
	{ "share::both_see", both_see, ALWAYS, RELAY },
	{ "share::to_nobody_refused", to_nobody },
	{ "share::many_handles", many_handles, ALWAYS, RELAY },
	{ "share::again_and_again", again_and_again, ALWAYS, RELAY },
	{ "lend::one_page", lend_one, ALWAYS, RELAY },
	{ "lend::one_page_to_percpu", lend_one, ALWAYS, PERCPU },
	{ "lend::scattered", lend_scattered, ALWAYS, RELAY },
	{ "lend::fragments", lend_fragments, ALWAYS, RELAY },
	{ "reclaim::while_borrowed_refused", while_borrowed, ALWAYS, RELAY },
	{ "reclaim::never_retrieved", never_retrieved, ALWAYS, RELAY },
	{ "reclaim::twice_refused", reclaim_twice, ALWAYS, RELAY },
	{ "retrieve::after_reclaim_refused", after_reclaim, ALWAYS, RELAY },
	{ "retrieve::by_another_refused", wrong_borrower, ALWAYS, RELAY },
};

DEFINE_GROUP(memory_group, cases);
