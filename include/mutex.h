/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0 */
/*
 * The contract between the MUTEX kernel module and everything that reads it:
 * the binary image that /proc/mutex/snapshot gives and that snapshot files hold.
 *
 * An image is one struct mutex_header, followed by blocks. A block is one
 * struct mutex_block followed by `count` records of `record_size` bytes each.
 * All integers are little-endian; padding is explicit and zero.
 *
 * Blocks come in this order:
 *
 *   STATUS         one mutex_status
 *   TOTALS_BEFORE  one mutex_totals, read before the first connection is copied
 *   CONNECTION     any number of blocks of mutex_connection
 *   FD             any number of blocks of mutex_fd
 *   CLOSED         one mutex_totals: what connections no longer listed have moved
 *   UNTRACKED      one mutex_untracked a reason, all of them
 *   TOTALS_AFTER   one mutex_totals, read after the last of the above
 *   END            one mutex_end; an image without it is truncated
 *
 * The books balance when, in each direction and for each of the four counters,
 *
 *   TOTALS_BEFORE <= sum(CONNECTION) + CLOSED + sum(UNTRACKED) <= TOTALS_AFTER
 *
 * and the three are equal when no packet passed during the copy. An image with
 * MUTEX_IMAGE_FILTERED has the same blocks; its totals are the whole host's.
 *
 * Compatibility: a reader refuses another `version`. Within a version records
 * only grow at their end and new kinds of block may appear: a reader steps by
 * `record_size`, takes fields that are missing as zero, and skips kinds that it
 * does not know.
 */
#ifndef MUTEX_H
#define MUTEX_H

#include <linux/types.h>

/* "MUTEXSNP", as a little-endian integer. */
#define MUTEX_MAGIC 0x504e53584554554dULL
#define MUTEX_VERSION 1

/* Flags of an image. */
/* Taken inside a network namespace other than the first: holds that namespace's
 * connections and fds only, so its books cannot be balanced. */
#define MUTEX_IMAGE_FILTERED 0x1

/* Kinds of block. */
#define MUTEX_BLOCK_STATUS 1
#define MUTEX_BLOCK_TOTALS_BEFORE 2
#define MUTEX_BLOCK_CONNECTION 3
#define MUTEX_BLOCK_FD 4
#define MUTEX_BLOCK_CLOSED 5
#define MUTEX_BLOCK_UNTRACKED 6
#define MUTEX_BLOCK_TOTALS_AFTER 7
#define MUTEX_BLOCK_END 8

/* Bytes of a block's records, at the most. */
#define MUTEX_BLOCK_MAX (1 << 20)

/* Why a packet belongs to no connection. */
#define MUTEX_UNTRACKED_TABLE_FULL 0
#define MUTEX_UNTRACKED_ALLOCATION 1
#define MUTEX_UNTRACKED_FRAGMENT 2
#define MUTEX_UNTRACKED_TRUNCATED 3
#define MUTEX_UNTRACKED_INVALID_HEADER 4
#define MUTEX_UNTRACKED_POLICY 5
#define MUTEX_UNTRACKED_REASONS 6

/* States of a connection: TCP's as the kernel numbers them, then the others'. */
#define MUTEX_STATE_ESTABLISHED 1
#define MUTEX_STATE_SYN_SENT 2
#define MUTEX_STATE_SYN_RECV 3
#define MUTEX_STATE_FIN_WAIT1 4
#define MUTEX_STATE_FIN_WAIT2 5
#define MUTEX_STATE_TIME_WAIT 6
#define MUTEX_STATE_CLOSED 7
#define MUTEX_STATE_CLOSE_WAIT 8
#define MUTEX_STATE_LAST_ACK 9
#define MUTEX_STATE_CLOSING 11
/* Packets went one way only. */
#define MUTEX_STATE_ONE_WAY 16
/* Packets went both ways. */
#define MUTEX_STATE_TWO_WAY 17

/* Flags of a connection. */
/* Passes through this host; `local` is its initiator. */
#define MUTEX_CONNECTION_FORWARDED 0x1
/* Its opening was not seen: it is older than the module or than its record. */
#define MUTEX_CONNECTION_ADOPTED 0x2
/* Ended by a TCP reset or an SCTP abort. */
#define MUTEX_CONNECTION_RESET 0x4
/* Ended because it was silent for its idle timeout. */
#define MUTEX_CONNECTION_TIMED_OUT 0x8
/* Its network namespace is gone. */
#define MUTEX_CONNECTION_NETNS_GONE 0x10

/* An unknown uid. */
#define MUTEX_UID_UNKNOWN 0xffffffffU

/* Bytes of a command, terminating zero included. */
#define MUTEX_COMMAND_SIZE 16

struct mutex_header {
	__u64 magic;		/* MUTEX_MAGIC */
	__u32 version;		/* MUTEX_VERSION */
	__u32 header_size;	/* bytes from `magic` to the first block */
	__u32 flags;		/* MUTEX_IMAGE_* */
	__u32 netns;		/* network namespace of the reader, inode number */
	__u64 time_ns;		/* when the image was begun, Unix time */
	__u64 boottime_ns;	/* the same moment, since boot, suspend included */
	__u64 loaded_ns;	/* when the module was loaded, Unix time */
	__u8 boot_id[16];	/* /proc/sys/kernel/random/boot_id, as bytes */
	__u32 reserved;
	__u32 crc;		/* CRC-32 (IEEE 802.3) of the header with this field zero */
};

struct mutex_block {
	__u16 kind;		/* MUTEX_BLOCK_* */
	__u16 reserved;
	__u32 record_size;	/* bytes, a multiple of 8 */
	__u32 count;		/* records that follow */
	__u32 crc;		/* CRC-32 of this header with this field zero, then the records */
};

/* One direction's counters. */
struct mutex_traffic {
	__u64 packets;		/* as on the wire: each GSO or GRO segment is one */
	__u64 buffers;		/* socket buffers: a GSO or GRO super-packet is one */
	__u64 bytes;		/* IP bytes on the wire, each segment's headers included */
	__u64 payload;		/* bytes that the transport carried, retransmissions included */
};

/* The four directions that are kept apart. */
struct mutex_totals {
	struct mutex_traffic sent;		/* by this host's sockets */
	struct mutex_traffic received;		/* by this host's sockets */
	struct mutex_traffic forwarded_sent;	/* by initiators, through this host */
	struct mutex_traffic forwarded_received;	/* to initiators, through this host */
};

struct mutex_untracked {
	__u32 reason;		/* MUTEX_UNTRACKED_* */
	__u32 reserved;
	struct mutex_totals totals;
};

struct mutex_connection {
	__u64 id;		/* counts from 1 since the module was loaded, never used again */
	__u64 fd;		/* id of the owning fd, 0 if none is known; one that came or
				 * went while the image was taken can be missing from it */
	__u64 cgroup;		/* cgroup id of the owning socket, 0 if unknown */
	__u64 first_seen_ns;	/* Unix time */
	__u64 last_seen_ns;	/* Unix time */
	__u64 closed_ns;	/* Unix time, 0 while it is open */
	__u8 local_address[16];	/* IPv4 as ::ffff:a.b.c.d */
	__u8 remote_address[16];
	__u16 local_port;	/* of ICMP echo: the identifier, on the asking side */
	__u16 remote_port;	/* of ICMP echo: the identifier, as the answering side sees it */
	__u32 netns;		/* inode number of the network namespace */
	__u32 scope;		/* interface index of a link-local address, else 0 */
	__u32 uid;		/* of the owning socket, in the first user namespace */
	__u32 in_interface;	/* index of the interface of the first packet in, 0 if none */
	__u32 out_interface;	/* index of the interface of the first packet out, 0 if none */
	__u8 family;		/* 4 or 6 */
	__u8 protocol;		/* as in the IP header */
	__u8 state;		/* MUTEX_STATE_* */
	__u8 reserved;
	__u32 flags;		/* MUTEX_CONNECTION_* */
	struct mutex_traffic sent;
	struct mutex_traffic received;
};

struct mutex_fd {
	__u64 id;		/* counts from 1 since the module was loaded, never used again */
	__u64 inode;		/* of the socket, as in /proc/PID/fd; 0 until it is accepted */
	__u64 cgroup;		/* cgroup id of the socket */
	__u64 first_seen_ns;	/* Unix time */
	__u64 closed_ns;	/* Unix time, 0 while it has open connections */
	__u32 pid;		/* process that was first seen to use it, 0 if none was */
	__u32 uid;		/* owner of the socket, in the first user namespace */
	__u32 netns;		/* inode number of the network namespace */
	__u8 family;		/* of its first connection: 4 or 6 */
	__u8 protocol;		/* as in the IP header */
	__u16 reserved;
	__u8 command[MUTEX_COMMAND_SIZE];	/* of that process, zero-terminated */
	__u64 active_connections;
	__u64 total_connections;
	struct mutex_traffic sent;	/* by all of its connections, live and closed */
	struct mutex_traffic received;
};

struct mutex_status {
	__u64 uptime_ns;		/* since the module was loaded */
	__u64 connections_active;	/* open now */
	__u64 connections_total;	/* opened since the module was loaded */
	__u64 connections_closed;	/* ended since */
	__u64 fds_active;		/* with at least one open connection */
	__u64 fds_total;		/* seen since the module was loaded */
	__u64 fds_untracked;		/* connections whose fd found no room */
	__u64 cache_hits;		/* packets that needed no look-up in the table */
	__u64 cache_misses;
	__u64 table_size;		/* records, max_connections */
	__u64 table_used;		/* records in use: open, closed but shown, being collected */
	__u64 table_high_water;		/* the most that were ever in use */
	__u64 fd_table_size;		/* records, max_fds */
	__u64 fd_table_used;
	__u64 fd_table_high_water;
	__u64 memory_bytes;		/* tables, indexes and per-CPU counters */
	__u64 connection_bytes;		/* memory a connection, its share of the index included */
};

struct mutex_end {
	__u64 connections;	/* mutex_connection records in the image */
	__u64 fds;		/* mutex_fd records in the image */
	__u64 bytes;		/* of the image, from its first to its last */
};

#ifdef __cplusplus
#define MUTEX_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#else
#define MUTEX_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#endif
MUTEX_SIZE(struct mutex_header, 72);
MUTEX_SIZE(struct mutex_block, 16);
MUTEX_SIZE(struct mutex_traffic, 32);
MUTEX_SIZE(struct mutex_totals, 128);
MUTEX_SIZE(struct mutex_untracked, 136);
MUTEX_SIZE(struct mutex_connection, 176);
MUTEX_SIZE(struct mutex_fd, 152);
MUTEX_SIZE(struct mutex_status, 136);
MUTEX_SIZE(struct mutex_end, 24);
#undef MUTEX_SIZE

#endif /* MUTEX_H */
