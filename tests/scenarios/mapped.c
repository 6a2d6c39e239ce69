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
 *   mapped raw       all of its bytes
 *   mapped kept      reads once, waits for a line on stdin, and reads the mapping again
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
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

static void say_done(const char *what, int done)
{
	printf("%s %s\n", what, done ? "done" : strerrorname_np(errno));
}

/* Writes that go around the protection of a page: as a debugger does, and by other system calls. */
static void write_around(const char *kind, void *page)
{
	static char bytes[8] = "bytes!!";
	struct iovec from = { bytes, sizeof(bytes) }, to = { page, sizeof(bytes) };
	int mem = open("/proc/self/mem", O_RDWR), zeros = open("/dev/zero", O_RDONLY), status;
	char what[64];
	pid_t child;

	snprintf(what, sizeof(what), "%s-mem", kind);
	say_done(what, pwrite(mem, bytes, sizeof(bytes), (off_t)(unsigned long)page) >= 0);
	snprintf(what, sizeof(what), "%s-vm-writev", kind);
	say_done(what, process_vm_writev(getpid(), &from, 1, &to, 1, 0) >= 0);
	snprintf(what, sizeof(what), "%s-read-into", kind);
	say_done(what, read(zeros, page, sizeof(bytes)) >= 0);
	fflush(stdout);
	/* A child has the mapping, too, and its parent writes. */
	child = fork();
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(child, &status, 0);
	snprintf(what, sizeof(what), "%s-ptrace", kind);
	say_done(what, ptrace(PTRACE_POKEDATA, child, page, 1) == 0);
	ptrace(PTRACE_KILL, child, NULL, NULL);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	/* A child writes as if it may. */
	child = fork();
	if (!child) {
		*(volatile char *)page = 1;
		_exit(0);
	}
	waitpid(child, &status, 0);
	printf("%s-store %s\n", kind, WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "done");
	close(mem);
	close(zeros);
}

/* What is thrown out of a mapping is not replaced by other pages. */
static void throw_out(void *page)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		if (madvise(page, getpagesize(), MADV_DONTNEED))
			_exit(1);
		_exit(*(volatile char *)page ? 2 : 3);
	}
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		printf("thrown-out %s\n", sigabbrev_np(WTERMSIG(status)));
	else
		printf("thrown-out %d\n", WEXITSTATUS(status));
}

static int refused(int fd, void *whole)
{
	size_t page = getpagesize();
	int both = open("/proc/mutex/snapshot", O_RDWR);
	void *mapping;

	say("write", mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), page);
	say("private-write", mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), page);
	say("offset", mmap(NULL, page, PROT_READ, MAP_SHARED, fd, page), page);
	say("beyond", mmap(NULL, header.bytes + page, PROT_READ, MAP_SHARED, fd, 0), header.bytes + page);
	printf("make-writable %s\n",
	       mprotect(whole, page, PROT_READ | PROT_WRITE) ? strerrorname_np(errno) : "done");
	printf("make-executable %s\n",
	       mprotect(whole, page, PROT_READ | PROT_EXEC) ? strerrorname_np(errno) : "done");
	say("grow", mremap(whole, header.bytes, header.bytes + page, MREMAP_MAYMOVE), page);
	write_around("shared", whole);
	throw_out(whole);
	mapping = mmap(NULL, page, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapping == MAP_FAILED)
		return fail("a private mapping");
	write_around("private", mapping);
	/* By a file that root has opened for writing as well. */
	if (both < 0)
		return fail("open to read and write");
	say("both-write", mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, both, 0), page);
	mapping = mmap(NULL, page, PROT_READ, MAP_SHARED, both, 0);
	if (mapping == MAP_FAILED)
		return fail("a mapping of a file that is open to read and write");
	say_done("both-make-writable", !mprotect(mapping, page, PROT_READ | PROT_WRITE));
	write_around("both", mapping);
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
	if (argc > 1 && !strcmp(argv[1], "raw"))
		return fwrite(mapping, 1, header.bytes, stdout) == header.bytes && !fflush(stdout) ? 0 : 1;
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
