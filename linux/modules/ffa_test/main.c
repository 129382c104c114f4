// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the cases and reports them: to the kernel log as they end, and in
 * debugfs/ffa_test: `run` (write `all` or the beginning of a name), `results`,
 * and `call`, which makes one FF-A call of a user's choice.
 */
#include <linux/debugfs.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include "ffa_test.h"

static const struct ffa_group *const groups[] = {
	&discovery_group, &direct_group, &memory_group, &chain_group, &preempt_group,
	&simd_group, &notify_group, &bad_group, &hotplug_group,
};

static bool protected;
module_param(protected, bool, 0444);
MODULE_PARM_DESC(protected, "the kernel runs under the protected hypervisor");

#define REASON_LEN	160
#define RESULTS_LEN	(64 * 1024)

static DEFINE_MUTEX(run_lock);
static DEFINE_SPINLOCK(reason_lock);
static char reason[REASON_LEN];
static char *results;
static size_t results_len;
static struct dentry *folder;

static void note(const char *text)
{
	unsigned long flags;

	spin_lock_irqsave(&reason_lock, flags);
	if (!reason[0])
		strscpy(reason, text, sizeof(reason));
	spin_unlock_irqrestore(&reason_lock, flags);
}

bool expect(bool holds, const char *what)
{
	if (!holds)
		note(what);
	return holds;
}

bool expect_eq(u64 got, u64 want, const char *what)
{
	char text[REASON_LEN];

	if (got == want)
		return true;
	snprintf(text, sizeof(text), "%s: expected %#llx, got %#llx", what, want, got);
	note(text);
	return false;
}

bool expect_error(int got, int want, const char *what)
{
	char text[REASON_LEN];

	if (got == want)
		return true;
	snprintf(text, sizeof(text), "%s: expected %d, got %d", what, want, got);
	note(text);
	return false;
}

static __printf(1, 2) void add_result(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	results_len += vscnprintf(results + results_len, RESULTS_LEN - results_len, format, args);
	va_end(args);
}

static bool wanted(const struct ffa_case *test, const char *filter)
{
	bool blocked = protected && LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0);

	if (test->when == IF_NOTIFYING && blocked)
		return false;
	if (test->when == IF_BLOCKED && !blocked)
		return false;
	if (test->when == IF_BARE && protected)
		return false;
	return !strcmp(filter, "all") || !strncmp(test->name, filter, strlen(filter));
}

static bool run_case(const struct ffa_case *test)
{
	ktime_t began = ktime_get();

	reason[0] = 0;
	pr_info("ffa_test: %s ...\n", test->name);
	test->run(test->argument);
	if (reason[0]) {
		pr_info("ffa_test: %s FAILED: %s\n", test->name, reason);
		add_result("test %s ... FAILED: %s\n", test->name, reason);
		return false;
	}
	pr_info("ffa_test: %s ok (%lld us)\n", test->name, ktime_us_delta(ktime_get(), began));
	add_result("test %s ... ok\n", test->name);
	return true;
}

static void run_cases(const char *filter)
{
	unsigned int passed = 0, failed = 0;
	size_t i, j;

	results_len = 0;
	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		for (j = 0; j < groups[i]->count; j++) {
			if (!wanted(&groups[i]->cases[j], filter))
				continue;
			if (run_case(&groups[i]->cases[j]))
				passed++;
			else
				failed++;
			cond_resched();
		}
	}
	add_result("%u passed, %u failed\n", passed, failed);
	pr_info("ffa_test: %u passed, %u failed\n", passed, failed);
}

static ssize_t run_write(struct file *file, const char __user *from, size_t size, loff_t *offset)
{
	char filter[64] = { };

	if (size >= sizeof(filter))
		return -EINVAL;
	if (copy_from_user(filter, from, size))
		return -EFAULT;
	if (mutex_lock_interruptible(&run_lock))
		return -EINTR;
	run_cases(strim(filter));
	mutex_unlock(&run_lock);
	return size;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.write = run_write,
};

static int results_show(struct seq_file *seq, void *unused)
{
	if (mutex_lock_interruptible(&run_lock))
		return -EINTR;
	seq_write(seq, results, results_len);
	mutex_unlock(&run_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(results);

/* What the last write to an open `call` file got. */
struct call_state {
	struct mutex lock; /* protects both */
	struct arm_smccc_1_2_regs answer;
	unsigned int interrupts;
};

static int call_open(struct inode *inode, struct file *file)
{
	struct call_state *state = kzalloc(sizeof(*state), GFP_KERNEL);

	if (!state)
		return -ENOMEM;
	mutex_init(&state->lock);
	file->private_data = state;
	return nonseekable_open(inode, file);
}

static int call_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static ssize_t call_write(struct file *file, const char __user *from, size_t size, loff_t *offset)
{
	struct call_state *state = file->private_data;
	unsigned long *registers;
	char text[256] = { };
	char *rest = text, *word;
	struct arm_smccc_1_2_regs in = { };
	int count = 0, ret;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, size))
		return -EFAULT;
	registers = &in.a0;
	while ((word = strsep(&rest, " \t\n"))) {
		if (!*word)
			continue;
		if (count == 8)
			return -E2BIG;
		ret = kstrtoul(word, 0, &registers[count++]);
		if (ret)
			return ret;
	}
	/* FF-A's ids only: another call could switch the machine off, or worse. */
	if (!count || (in.a0 & 0xbfffff00) != 0x84000000 || (in.a0 & 0xff) < 0x60)
		return -EINVAL;
	if (mutex_lock_interruptible(&state->lock))
		return -EINTR;
	state->interrupts = 0;
	raw_call_complete(&in, &state->answer, &state->interrupts);
	mutex_unlock(&state->lock);
	return size;
}

static ssize_t call_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	struct call_state *state = file->private_data;
	const struct arm_smccc_1_2_regs *regs = &state->answer;
	char text[256];
	int len;

	mutex_lock(&state->lock);
	len = scnprintf(text, sizeof(text),
			"x0 %#lx\nx1 %#lx\nx2 %#lx\nx3 %#lx\nx4 %#lx\nx5 %#lx\nx6 %#lx\nx7 %#lx\n",
			regs->a0, regs->a1, regs->a2, regs->a3, regs->a4, regs->a5, regs->a6,
			regs->a7);
	if (state->interrupts)
		len += scnprintf(text + len, sizeof(text) - len, "(interrupted %u times)\n",
				 state->interrupts);
	mutex_unlock(&state->lock);
	return simple_read_from_buffer(to, size, offset, text, len);
}

static const struct file_operations call_fops = {
	.owner = THIS_MODULE,
	.open = call_open,
	.release = call_release,
	.write = call_write,
	.read = call_read,
};

static int __init ffa_test_init(void)
{
	int ret;

	results = kzalloc(RESULTS_LEN, GFP_KERNEL);
	if (!results)
		return -ENOMEM;
	ret = discovery_start();
	if (ret) {
		kfree(results);
		return ret;
	}
	folder = debugfs_create_dir("ffa_test", NULL);
	debugfs_create_file("run", 0200, folder, NULL, &run_fops);
	debugfs_create_file("results", 0400, folder, NULL, &results_fops);
	debugfs_create_file("call", 0600, folder, NULL, &call_fops);
	return 0;
}
module_init(ffa_test_init);

static void __exit ffa_test_exit(void)
{
	debugfs_remove(folder);
	discovery_stop();
	kfree(results);
}
module_exit(ffa_test_exit);

MODULE_DESCRIPTION("Checks of FF-A firmware");
MODULE_LICENSE("GPL");
