// SPDX-License-Identifier: GPL-2.0-only
/* Tables, and areas of each CPU. */

#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/vmalloc.h>

#include "adapter.h"

void *mutex_memory_allocate(__u64 bytes)
{
	/* Fail rather than let the OOM killer make room for a large table. */
	gfp_t how = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;

	/* At a million connections most of a packet's time is finding pages, of which there are fewer
	 * if they are large. What rounding up to one takes is a sixteenth at most. */
	return bytes >= 16 * PMD_SIZE ? vmalloc_huge(bytes, how) : __vmalloc(bytes, how);
}

void mutex_memory_free(void *memory)
{
	vfree(memory);
}

__u64 mutex_memory_total(void)
{
	return (u64)totalram_pages() << PAGE_SHIFT;
}

/* Rust keeps per-CPU pointers as plain ones; by way of an integer, because the
 * compiler may have an address space of its own for them. */
static void __percpu *percpu(void *areas)
{
	return (void __percpu *)(uintptr_t)areas;
}

void *mutex_percpu_allocate(__u64 bytes, __u64 align)
{
	return (void *)(uintptr_t)__alloc_percpu_gfp(bytes, align, GFP_KERNEL | __GFP_NOWARN);
}

void mutex_percpu_free(void *areas)
{
	free_percpu(percpu(areas));
}

void *mutex_percpu_this(void *areas)
{
	return this_cpu_ptr(percpu(areas));
}

void *mutex_percpu_of(void *areas, __u32 cpu)
{
	return per_cpu_ptr(percpu(areas), cpu);
}

int mutex_percpu_next(int cpu)
{
	unsigned int next = cpumask_next(cpu, cpu_possible_mask);

	return next < nr_cpu_ids ? (int)next : -1;
}
