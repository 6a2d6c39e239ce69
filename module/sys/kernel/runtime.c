// SPDX-License-Identifier: GPL-2.0-only
/* What runtime.h promises, and the module's entry points. Only in a bundled build. */

#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "runtime.h"

static int __init mutex_start(void)
{
	return mutex_rust_init();
}

static void __exit mutex_stop(void)
{
	mutex_rust_exit();
}

module_init(mutex_start);
module_exit(mutex_stop);

void mutex_runtime_log(__u32 level, const __u8 *text, __u64 length)
{
	int shown = min_t(u64, length, 1024);

	switch (level) {
	case MUTEX_LOG_ERROR:
		printk(KERN_ERR "mutex: %.*s", shown, text);
		break;
	case MUTEX_LOG_WARNING:
		printk(KERN_WARNING "mutex: %.*s", shown, text);
		break;
	default:
		printk(KERN_INFO "mutex: %.*s", shown, text);
	}
}

void *mutex_runtime_allocate(__u64 bytes, __u64 align)
{
	/* kmalloc() aligns a power of two to itself; before 6.12 it promises nothing more. */
	if (align > ARCH_KMALLOC_MINALIGN)
		bytes = roundup_pow_of_two(max(bytes, align));
	return kvmalloc(bytes, GFP_KERNEL);
}

void mutex_runtime_free(void *memory)
{
	kvfree(memory);
}

struct runtime_lock {
	struct mutex lock;
	struct lock_class_key class;
};

void *mutex_runtime_lock_new(const __u8 *name)
{
	struct runtime_lock *lock = kzalloc(sizeof(*lock), GFP_KERNEL);

	if (!lock)
		return NULL;
	lockdep_register_key(&lock->class);
	mutex_init(&lock->lock);
	lockdep_set_class_and_name(&lock->lock, &lock->class, (const char *)name);
	return lock;
}

void mutex_runtime_lock_free(void *memory)
{
	struct runtime_lock *lock = memory;

	mutex_destroy(&lock->lock);
	lockdep_unregister_key(&lock->class);
	kfree(lock);
}

void mutex_runtime_lock(void *memory)
{
	mutex_lock(&((struct runtime_lock *)memory)->lock);
}

void mutex_runtime_unlock(void *memory)
{
	mutex_unlock(&((struct runtime_lock *)memory)->lock);
}

bool mutex_runtime_read_user(void *to, const void *user, __u64 length)
{
	return !copy_from_user(to, (const void __user __force *)user, length);
}

bool mutex_runtime_write_user(void *user, const void *from, __u64 length)
{
	return !copy_to_user((void __user __force *)user, from, length);
}
