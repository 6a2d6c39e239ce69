/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0 */
/*
 * The contract between the MUTEX kernel module and everything that reads it:
 * the binary image that /proc/mutex/snapshot gives and that snapshot files hold,
 * and the stream of events that /proc/mutex/events gives.
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
 *   LATENCY        any number of blocks of mutex_latency_buckets
 *   QUALITY        one mutex_host_quality
 *   DROP           one mutex_drop a reason that has occurred
 *   ALERT          the alerts that are kept, the oldest first
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
 * /proc/mutex/stats shows the same numbers as text to a reader that has CAP_NET_ADMIN
 * and is in the first network namespace. Others see `restricted 1`, what the module
 * says of itself, and how many records their own network namespace uses.
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
#define MUTEX_BLOCK_LATENCY 9
#define MUTEX_BLOCK_QUALITY 10
#define MUTEX_BLOCK_DROP 11
#define MUTEX_BLOCK_ALERT 12

/* Bytes of a block's records, at the most. */
#define MUTEX_BLOCK_MAX (1 << 20)

/* Why a packet belongs to no connection. */
#define MUTEX_UNTRACKED_TABLE_FULL 0
#define MUTEX_UNTRACKED_ALLOCATION 1
#define MUTEX_UNTRACKED_FRAGMENT 2
#define MUTEX_UNTRACKED_TRUNCATED 3
#define MUTEX_UNTRACKED_INVALID_HEADER 4
#define MUTEX_UNTRACKED_POLICY 5
/* Its network namespace has used its share of the table. */
#define MUTEX_UNTRACKED_QUOTA 6
#define MUTEX_UNTRACKED_REASONS 7

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

/* What a measurement, a threshold or an alert is about. */
#define MUTEX_SCOPE_CONNECTION 0
#define MUTEX_SCOPE_FD 1
#define MUTEX_SCOPE_GLOBAL 2
#define MUTEX_SCOPES 3

/* Kinds of alert, and the unit of their threshold and value. */
/* Smoothed latency, nanoseconds. */
#define MUTEX_ALERT_LATENCY 0
/* Of 10000 packets both ways in one window: errors of any kind. */
#define MUTEX_ALERT_ERROR_RATE 1
/* Of 10000 packets sent in one window: retransmissions. */
#define MUTEX_ALERT_RETRANSMISSION_RATE 2
/* Of 10000 packets both ways in one window: lost packets, see mutex_drop. */
#define MUTEX_ALERT_DROP_RATE 3
/* Bytes a second received. */
#define MUTEX_ALERT_BANDWIDTH_IN 4
/* Bytes a second sent. */
#define MUTEX_ALERT_BANDWIDTH_OUT 5
/* Of 10000 records of the connection table: those in use. Global only. An alert
 * with a `netns` is about the share of the table that this namespace may use. */
#define MUTEX_ALERT_TABLE_FILL 6
#define MUTEX_ALERT_KINDS 7

/* Severities of an alert. */
#define MUTEX_SEVERITY_INFO 0
#define MUTEX_SEVERITY_WARNING 1
#define MUTEX_SEVERITY_ERROR 2
#define MUTEX_SEVERITY_CRITICAL 3

/* A histogram of latency is log-linear: octave n covers [2^n, 2^(n+1))
 * microseconds in MUTEX_LATENCY_STEPS steps of equal width, octave 0 what is
 * shorter, too, and the last one what is longer, too. A value that stands for a
 * step is within 6 % of every value in it. */
#define MUTEX_LATENCY_STEPS 8
#define MUTEX_LATENCY_OCTAVES 26

/* Reasons of drops that a connection tells apart. */
#define MUTEX_CONNECTION_DROPS 3

/* Bytes of a drop reason's name, terminating zero included. */
#define MUTEX_DROP_NAME_SIZE 32

/* Kinds of event. */
#define MUTEX_EVENT_START 1
#define MUTEX_EVENT_END 2
#define MUTEX_EVENT_ALERT 3
#define MUTEX_EVENT_PACKET 4

/* "MUTEXEVT", as a little-endian integer: what /proc/mutex/events begins with. */
#define MUTEX_EVENTS_MAGIC 0x545645584554554dULL

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

/* Latency. All are 0 while there is no sample. */
struct mutex_latency {
	__u64 samples;
	__u64 last_ns;
	__u64 average_ns;	/* smoothed: each sample moves it by an eighth (RFC 6298); of a
				 * local TCP socket its own, which has samples of moments when
				 * no packet was looked at, too; of the host the mean of the
				 * last second that had any */
	__u64 min_ns;
	__u64 max_ns;
	__u64 p50_ns;		/* percentiles of all samples, within 6 % */
	__u64 p95_ns;
	__u64 p99_ns;
};

/* How well a connection, an fd or the host fares. */
struct mutex_quality {
	struct mutex_latency latency;
	__u64 retransmitted_packets;	/* segments that TCP sent again */
	__u64 retransmitted_bytes;	/* of payload in them */
	__u64 retransmissions_failed;	/* segments that it could not; not among the above */
	__u64 resets;			/* TCP resets and SCTP aborts seen */
	__u64 icmp_errors;		/* ICMP errors received about its packets */
	__u64 checksum_errors;		/* packets received with a bad checksum */
	__u64 failed_connects;		/* refused, timed out or unreachable */
	__u64 drops;			/* packets that the kernel dropped, for any reason: losses
					 * and discards, see mutex_drop */
	__u64 rate_in;			/* bytes a second: of the last whole window */
	__u64 rate_out;
	__u64 peak_in;			/* the largest that rate_in has been */
	__u64 peak_out;
};

/* The whole host's quality. */
struct mutex_host_quality {
	struct mutex_quality quality;
	__u64 discards;			/* of `drops`: discards; the rest are losses */
};

/* A reason of a connection's drops. */
struct mutex_drop_count {
	__u32 reason;		/* as in mutex_drop, 0 if there is none */
	__u32 packets;
};

/* A reason why the kernel dropped packets, of the whole host.
 *
 * A discard is a packet that the kernel freed by way of a drop although no receiver
 * misses anything: a duplicate, or what a closing socket left in its queue. All other
 * drops are losses, those for unknown reasons included. docs/drops.md lists the
 * reasons. */
struct mutex_drop {
	__u32 reason;		/* enum skb_drop_reason of the running kernel */
	__u32 reserved;
	__u64 packets;
	__u8 name[MUTEX_DROP_NAME_SIZE];	/* as the kernel spells it, zero-terminated */
	__u64 discards;		/* of `packets`: discards; the rest are losses */
};

/* One octave of a histogram of latency. */
struct mutex_latency_buckets {
	__u64 id;		/* of the connection or fd, 0 for the host */
	__u32 scope;		/* MUTEX_SCOPE_* */
	__u32 octave;		/* 0 to MUTEX_LATENCY_OCTAVES - 1 */
	__u64 samples[MUTEX_LATENCY_STEPS];
};

struct mutex_alert {
	__u64 number;		/* counts from 1 since the module was loaded, without gaps */
	__u64 time_ns;		/* Unix time */
	__u64 subject;		/* id of the connection or fd, 0 for the host */
	__u64 threshold;	/* in the unit of its kind */
	__u64 value;		/* what was found */
	__u8 local_address[16];	/* of the connection, else 0 */
	__u8 remote_address[16];
	__u16 local_port;
	__u16 remote_port;
	__u32 netns;		/* inode number of the network namespace, 0 for the host */
	__u32 pid;		/* of the fd's owner, 0 if unknown */
	__u8 kind;		/* MUTEX_ALERT_* */
	__u8 severity;		/* MUTEX_SEVERITY_* */
	__u8 scope;		/* MUTEX_SCOPE_* */
	__u8 family;		/* 4 or 6, 0 for the host */
	__u8 protocol;
	__u8 reserved[7];
	__u8 command[MUTEX_COMMAND_SIZE];	/* of the fd's owner */
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
	__u32 scope;		/* interface index of a link-local address, else of the VRF; 0: none */
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
	struct mutex_quality quality;
	struct mutex_drop_count drop_reasons[MUTEX_CONNECTION_DROPS];	/* the first ones */
	__u64 discards;		/* of `quality.drops`: discards; the rest are losses */
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
	struct mutex_quality quality;	/* of all of its connections */
	__u64 discards;		/* of `quality.drops`: discards; the rest are losses */
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
	__u64 connections_early;	/* unanswered ones that were ended early to make room */
	__u64 under_pressure;		/* 1 while records are scarce */
	__u64 latency_unplaced;		/* samples that found no room in a connection's histogram */
	__u64 alerts_raised;
	__u64 alerts_overwritten;	/* that nobody can read any more */
	__u64 monitors;			/* open now */
	__u64 events_produced;		/* for all monitors since the module was loaded */
	__u64 events_lost;		/* of those, that a monitor was too slow for */
	__u64 packet_monitors;		/* open now, and want packets: while it is 0, packets go by
					 * without looking for monitors, by the static key's count */
	__u64 alerts_suppressed;	/* about connections and fds, beyond the limit of a minute; not
					 * among alerts_raised */
};

/* What /proc/mutex/events begins with, once for each open. Events follow, each
 * one struct mutex_event and `size` - sizeof(struct mutex_event) bytes of record. */
struct mutex_events_header {
	__u64 magic;		/* MUTEX_EVENTS_MAGIC */
	__u32 version;		/* MUTEX_VERSION */
	__u32 header_size;	/* bytes from `magic` to the first event */
	__u64 loaded_ns;	/* when the module was loaded, Unix time */
	__u8 boot_id[16];
};

/* An event. A read gives whole ones only. */
struct mutex_event {
	__u32 size;		/* bytes, this and the record that follows; a multiple of 8 */
	__u32 kind;		/* MUTEX_EVENT_*; one that is unknown is to be skipped */
	__u64 sequence;		/* counts what this monitor was to get, from 1: what is missing was lost */
	__u64 lost;		/* how many of this monitor's events were lost up to this one */
	__u64 time_ns;		/* Unix time */
};

/* The record of START and END is a mutex_connection, of ALERT a mutex_alert, of
 * PACKET this one. */
struct mutex_packet {
	__u64 connection;	/* its id */
	__u8 local_address[16];
	__u8 remote_address[16];
	__u16 local_port;
	__u16 remote_port;
	__u32 netns;
	__u32 interface;	/* index, 0 if none */
	__u32 packets;		/* segments of a GSO or GRO super-packet, else 1 */
	__u64 bytes;
	__u64 payload;
	__u8 family;
	__u8 protocol;
	__u8 direction;		/* 0 sent, 1 received, 2 forwarded sent, 3 forwarded received */
	__u8 reserved[5];
};

/* "MUTEXLIV", as a little-endian integer: what a mapping of /proc/mutex/snapshot
 * begins with. */
#define MUTEX_LIVE_MAGIC 0x56494c584554554dULL

/* A mapping of /proc/mutex/snapshot (read-only, from offset 0, as long as wanted
 * up to `bytes`; in the first network namespace only) shows the records of the
 * connections while they are written: one struct mutex_live_header and, from
 * `first_record` on, `records` of struct mutex_live_connection.
 *
 * To read a record: load `generation` (acquire); it is a connection's while that
 * is odd. Copy the fields and each flow, a flow anew until its `sequence` was even
 * and the same before and after. If `generation` is still the same, that is the
 * connection. What has ended and what an image adds up is not here: of a record
 * that is free only `generation`, each `sequence` and what is internal may not be 0. */
struct mutex_live_header {
	__u64 magic;		/* MUTEX_LIVE_MAGIC */
	__u32 version;		/* MUTEX_VERSION */
	__u32 record_size;	/* bytes from one record to the next */
	__u64 first_record;	/* bytes from `magic` to the first record */
	__u64 records;		/* in use or not */
	__u64 bytes;		/* that there are to map */
};

/* One direction. */
struct mutex_live_flow {
	__u32 sequence;		/* odd while somebody writes */
	__u32 interface;	/* index of the interface of the first packet, 0 if none */
	__u64 last_seen_ns;	/* since boot, suspend included; 0 if there was no packet */
	struct mutex_traffic traffic;
	__u64 window_base;	/* `traffic.bytes` when the second of last_seen_ns began */
	__u64 previous_window;	/* bytes in the second before that */
};

struct mutex_live_connection {
	__u8 local_address[16];	/* IPv4 as ::ffff:a.b.c.d */
	__u8 remote_address[16];
	__u16 local_port;
	__u16 remote_port;
	__u32 netns;		/* inode number of the network namespace */
	__u8 protocol;		/* as in the IP header */
	__u8 family;		/* 4 or 6 */
	__u8 forwarded;		/* 1: passes through this host; `local` is its initiator */
	__u8 reserved;
	__u32 scope;		/* interface index of a link-local address, else of the VRF; 0: none */
	__u32 generation;	/* odd while this is a connection's; another one each time */
	__u32 state;		/* MUTEX_STATE_* in the lowest byte, the rest is internal */
	__u32 internal[2];
	struct mutex_live_flow received;
	struct mutex_live_flow sent;
	__u64 id;
	__u64 first_seen_ns;	/* since boot, suspend included */
	__u64 internal2;
	__u64 cgroup;		/* cgroup id of the owning socket, 0 if unknown */
	__u32 uid;		/* of the owning socket, MUTEX_UID_UNKNOWN if unknown */
	__u32 internal3[7];
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
MUTEX_SIZE(struct mutex_latency, 64);
MUTEX_SIZE(struct mutex_quality, 160);
MUTEX_SIZE(struct mutex_host_quality, 168);
MUTEX_SIZE(struct mutex_drop_count, 8);
MUTEX_SIZE(struct mutex_drop, 56);
MUTEX_SIZE(struct mutex_latency_buckets, 80);
MUTEX_SIZE(struct mutex_alert, 112);
MUTEX_SIZE(struct mutex_connection, 368);
MUTEX_SIZE(struct mutex_fd, 320);
MUTEX_SIZE(struct mutex_status, 216);
MUTEX_SIZE(struct mutex_end, 24);
MUTEX_SIZE(struct mutex_events_header, 40);
MUTEX_SIZE(struct mutex_event, 32);
MUTEX_SIZE(struct mutex_packet, 80);
MUTEX_SIZE(struct mutex_live_header, 40);
MUTEX_SIZE(struct mutex_live_flow, 64);
MUTEX_SIZE(struct mutex_live_connection, 256);
#undef MUTEX_SIZE

#endif /* MUTEX_H */
