/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Reads what MUTEX knows of its connections, as fast as it can, with nothing but mutex.h.
 *
 *   reader read FILE         once, by read(), and drops what it gets
 *   reader map FILE          once, every record of a mapping of `snapshot`, consistently
 *   reader loop read FILE    again and again, until it is killed
 *   reader loop map FILE
 *
 * Prints nanoseconds, bytes (of a mapping, those of records in use) and, of a mapping, connections.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../include/mutex.h"

static unsigned long long bytes, connections;

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void read_all(const char *file)
{
	static char buffer[1 << 20];
	int descriptor = open(file, O_RDONLY);
	ssize_t size;

	if (descriptor < 0)
		fail(file);
	while ((size = read(descriptor, buffer, sizeof(buffer))) > 0)
		bytes += size;
	if (size < 0)
		fail(file);
	close(descriptor);
}

static struct mutex_traffic flow(const volatile struct mutex_live_flow *from)
{
	for (;;) {
		__u32 before = from->sequence;
		struct mutex_traffic copy;

		atomic_thread_fence(memory_order_acquire);
		copy.packets = from->traffic.packets;
		copy.buffers = from->traffic.buffers;
		copy.bytes = from->traffic.bytes;
		copy.payload = from->traffic.payload;
		atomic_thread_fence(memory_order_acquire);
		if (!(before & 1) && from->sequence == before)
			return copy;
	}
}

static const volatile unsigned char *base;
static struct mutex_live_header header;
static size_t mapped;

static void map(const char *file)
{
	int descriptor = open(file, O_RDONLY);
	void *first;

	if (descriptor < 0)
		fail(file);
	first = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, descriptor, 0);
	if (first == MAP_FAILED)
		fail(file);
	memcpy(&header, first, sizeof(header));
	mapped = header.first_record + header.records * header.record_size;
	base = mmap(NULL, mapped, PROT_READ, MAP_SHARED, descriptor, 0);
	if (base == MAP_FAILED)
		fail(file);
	close(descriptor);
}

static void read_map(void)
{
	static volatile unsigned long long sum;
	__u64 number;

	for (number = 0; number < header.records; number++) {
		const volatile struct mutex_live_connection *record =
			(const volatile void *)(base + header.first_record + number * header.record_size);
		__u32 generation = record->generation;
		struct mutex_live_connection copy;
		struct mutex_traffic sent, received;

		if (!(generation & 1))
			continue;
		do {
			generation = record->generation;
			atomic_thread_fence(memory_order_acquire);
			memcpy(&copy, (const void *)record, sizeof(copy));
			sent = flow(&record->sent);
			received = flow(&record->received);
			atomic_thread_fence(memory_order_acquire);
		} while (record->generation != generation);
		sum += sent.bytes + received.bytes + copy.id;
		bytes += header.record_size;
		connections++;
	}
}

int main(int count, char **words)
{
	int loop = count > 1 && !strcmp(words[1], "loop"), by_map;
	unsigned long long began;

	words += loop;
	if (count - loop != 3)
		return 2;
	by_map = !strcmp(words[1], "map");
	if (by_map)
		map(words[2]);
	do {
		bytes = connections = 0;
		began = now();
		if (by_map)
			read_map();
		else
			read_all(words[2]);
	} while (loop);
	printf("%llu %llu %llu\n", now() - began, bytes, connections);
	return 0;
}
