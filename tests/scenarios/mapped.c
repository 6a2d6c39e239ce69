/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Reads the connections from a mapping of /proc/mutex/snapshot, with nothing but
 * mutex.h. Prints a line for each: id, family, protocol, local and remote port, and
 * packets, buffers, bytes and payload of what was sent and of what was received.
 *
 *   mapped           once
 *   mapped SECONDS   again and again for that long, and only what is inconsistent
 *                    in UDP flows whose datagrams are all of one size
 *   mapped refused   tries what a mapping must refuse, and says what it answers
 *   mapped kept      reads once, waits for a line on stdin, and reads the mapping again
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../include/mutex.h"

static const volatile unsigned char *base;
static struct mutex_live_header header;

/* One direction's counters of one moment. */
static struct mutex_traffic read_flow(const volatile struct mutex_live_flow *flow)
{
	for (;;) {
		__u32 before = flow->sequence;
		struct mutex_traffic copy;

		atomic_thread_fence(memory_order_acquire);
		copy.packets = flow->traffic.packets;
		copy.buffers = flow->traffic.buffers;
		copy.bytes = flow->traffic.bytes;
		copy.payload = flow->traffic.payload;
		atomic_thread_fence(memory_order_acquire);
		if (!(before & 1) && flow->sequence == before)
			return copy;
	}
}

/* 1 if the record is a connection's, which `copy` then is, with its two flows. */
static int read_record(__u64 number, struct mutex_live_connection *copy, struct mutex_traffic flows[2])
{
	const volatile struct mutex_live_connection *record =
		(const volatile void *)(base + header.first_record + number * header.record_size);
	__u32 generation = record->generation;

	if (!(generation & 1))
		return 0;
	atomic_thread_fence(memory_order_acquire);
	memcpy(copy, (const void *)record, sizeof(*copy));
	flows[0] = read_flow(&record->sent);
	flows[1] = read_flow(&record->received);
	atomic_thread_fence(memory_order_acquire);
	return record->generation == generation;
}

static int fail(const char *what)
{
	fprintf(stderr, "mapped: %s: %s\n", what, strerror(errno));
	return 1;
}

static unsigned long print_all(void)
{
	unsigned long found = 0;
	__u64 number;

	for (number = 0; number < header.records; number++) {
		struct mutex_live_connection c;
		struct mutex_traffic flows[2];
		int i;

		if (!read_record(number, &c, flows))
			continue;
		found++;
		printf("%llu %u %u %u %u", c.id, c.family, c.protocol, c.local_port, c.remote_port);
		for (i = 0; i < 2; i++)
			printf(" %llu %llu %llu %llu", flows[i].packets, flows[i].buffers,
			       flows[i].bytes, flows[i].payload);
		printf("\n");
	}
	return found;
}

static int watch(int seconds)
{
	time_t end = time(NULL) + seconds;
	unsigned long looked = 0, wrong = 0;

	while (time(NULL) < end) {
		__u64 number;

		for (number = 0; number < header.records; number++) {
			struct mutex_live_connection c;
			struct mutex_traffic flows[2];
			int i;

			if (!read_record(number, &c, flows) || c.protocol != 17)
				continue;
			for (i = 0; i < 2; i++) {
				if (!flows[i].packets)
					continue;
				looked++;
				/* Datagrams of 100 bytes with 28 of headers. */
				wrong += flows[i].bytes != 128 * flows[i].packets ||
					 flows[i].payload != 100 * flows[i].packets ||
					 flows[i].buffers != flows[i].packets;
			}
		}
	}
	printf("%lu %lu\n", looked, wrong);
	return 0;
}

static void say(const char *what, void *result, size_t length)
{
	printf("%s %s\n", what, result == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	if (result != MAP_FAILED)
		munmap(result, length);
}

static int refused(int fd, void *whole)
{
	size_t page = getpagesize();

	say("write", mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), page);
	say("private-write", mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), page);
	say("offset", mmap(NULL, page, PROT_READ, MAP_SHARED, fd, page), page);
	say("beyond", mmap(NULL, header.bytes + page, PROT_READ, MAP_SHARED, fd, 0), header.bytes + page);
	printf("make-writable %s\n",
	       mprotect(whole, page, PROT_READ | PROT_WRITE) ? strerrorname_np(errno) : "done");
	printf("make-executable %s\n",
	       mprotect(whole, page, PROT_READ | PROT_EXEC) ? strerrorname_np(errno) : "done");
	return 0;
}

int main(int argc, char **argv)
{
	int fd = open("/proc/mutex/snapshot", O_RDONLY);
	void *mapping;

	if (fd < 0)
		return fail("open");
	mapping = mmap(NULL, getpagesize(), PROT_READ, MAP_SHARED, fd, 0);
	if (mapping == MAP_FAILED)
		return fail("mmap");
	header = *(const struct mutex_live_header *)mapping;
	munmap(mapping, getpagesize());
	if (header.magic != MUTEX_LIVE_MAGIC || header.version != MUTEX_VERSION ||
	    header.record_size < sizeof(struct mutex_live_connection)) {
		fprintf(stderr, "mapped: this is not a mapping that is known here\n");
		return 1;
	}
	mapping = mmap(NULL, header.bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (mapping == MAP_FAILED)
		return fail("mmap");
	base = mapping;
	if (argc > 1 && !strcmp(argv[1], "refused"))
		return refused(fd, mapping);
	if (argc > 1 && !strcmp(argv[1], "kept")) {
		unsigned long before = print_all();

		printf("-\n");
		fflush(stdout);
		getchar();
		return print_all() == before ? 0 : 1;
	}
	if (argc > 1)
		return watch(atoi(argv[1]));
	print_all();
	return 0;
}
