/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module's Rust asks of the kernel, in plain types: everything that
 * touches a kernel structure, an inline function or a macro is in the C files
 * beside this, compiled by the kernel's own compiler against the kernel's own
 * headers. How kernels differ is in adapter.h.
 *
 * bindings.rs is made from this header by scripts/bindings.
 */
#ifndef MUTEX_WRAPPERS_H
#define MUTEX_WRAPPERS_H

#include <linux/types.h>
#ifndef __KERNEL__
#include <stdbool.h> /* For bindgen. */
#endif

struct seq_file;
struct sk_buff;
struct sock;
struct net;

/* Parameters of the module, see parameters.c. */
struct mutex_parameters {
	__u32 max_connections;
	__u32 max_fds;
	__u32 max_alerts;
	__u32 timeout_tcp;
	__u32 timeout_tcp_opening;
	__u32 timeout_tcp_closing;
	__u32 timeout_one_way;
	__u32 timeout_two_way;
	__u32 timeout_icmp;
	__u32 timeout_closed;
	__u32 timeout_fd;
};

/* Their values, which do not change after the module is loaded. */
const struct mutex_parameters *mutex_parameters(void);

/* Where a packet was seen. */
#define MUTEX_HOOK_OUT 0
#define MUTEX_HOOK_IN 1
#define MUTEX_HOOK_FORWARD 2

/* Bytes of a packet's start that are looked at if it is not in one piece. */
#define MUTEX_WINDOW 256

/* What a TCP socket says of its round trips, in microseconds. */
struct mutex_tcp {
	__u32 sample;		/* another number for each new one of RACK, 0 if it has none */
	__u32 rtt;		/* of the newest acknowledged data, 0 if unknown */
	__u32 srtt;		/* smoothed, times 8 */
	__u32 deviation;	/* its mean deviation, times 4 */
};

/* A socket buffer at a hook. */
struct mutex_view {
	const __u8 *bytes;	/* from the IP header on */
	__u32 available;	/* bytes at `bytes` */
	__u32 length;		/* bytes of the packet */
	__u32 gso_size;		/* 0: not a super-packet, or its segments differ */
	__u32 gso_count;	/* segments, 0: not a super-packet */
	__u32 gso_headers;	/* bytes of headers a segment if it carries a packet, else 0 */
	__u32 netns;		/* inode number */
	__u32 interface;	/* index, 0 if none */
	__u32 l3mdev;		/* index of the VRF's device, 0 if none */
	__u8 hook;		/* MUTEX_HOOK_* */
	__u8 family;		/* 4 or 6 */
	__u8 gso_unsent;	/* bytes of a super-packet's headers that are not sent */
	__u8 gso_fragments;	/* a super-packet's parts are IP fragments, not segments */
	__u64 now;		/* nanoseconds since boot, to the tick */
	struct sock *socket;	/* a full socket, or NULL */
	struct mutex_tcp tcp;	/* what it says if it is TCP's, else 0 */
	struct sk_buff *buffer;
	struct net *net;
};

/* Whose a socket is. */
#define MUTEX_OWNER_UNKNOWN 0
#define MUTEX_OWNER_KERNEL 1
#define MUTEX_OWNER_PROCESS 2

struct mutex_owner {
	__u64 socket;		/* names the socket while it lives */
	__u64 inode;		/* 0 if it has none yet */
	__u64 cgroup;
	__u32 uid;		/* in the first user namespace */
	__u32 pid;		/* 0 if no process is sending */
	__u8 command[16];	/* of that process */
	bool single;		/* TCP's: it owns one connection only */
};

/* Finds the owner of the socket that sent the packet or will receive it; the ports are those of
 * its header, or 0. In the hook only. */
int mutex_owner_of(const struct mutex_view *view, __u8 protocol, __u16 source_port,
		   __u16 destination_port, struct mutex_owner *owner);

/* Calls from the kernel into Rust. `context` is what was registered. */
struct mutex_hook_calls {
	/* A packet, inside an RCU read side, pinned to the CPU, whose area it gets. */
	void (*packet)(void *context, void *area, const struct mutex_view *view);
	/* The same while somebody watches packets, see mutex_watch_packets(). */
	void (*watched_packet)(void *context, void *area, const struct mutex_view *view);
	/* Network namespaces are gone, whose inode numbers are sorted: no packet of them is to
	 * come. Their numbers may be given to others when it returns. May sleep. */
	void (*netns_gone)(void *context, const __u32 *netns, __u32 count);
};

/* Hooks every network namespace, those to come included. `areas`: of
 * mutex_percpu_allocate(), or NULL. One registration at a time: -EBUSY for
 * another. Returns 0 or a negative errno. */
int mutex_hooks_register(const struct mutex_hook_calls *calls, void *context, void *areas);
/* When it returns no call is running, and none will come. */
void mutex_hooks_unregister(void);

/* The two ends of a socket. */
struct mutex_ends {
	__u8 local[16];		/* IPv4 as ::ffff:a.b.c.d */
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u32 netns;		/* inode number */
	__u32 interface;	/* that it is bound to, 0 if none */
	__u32 l3mdev;		/* index of the VRF's device, 0 if none */
	__u8 family;		/* 4 or 6 */
	__u8 protocol;
	__u8 reserved[2];
};

/* A TCP socket's change of state; states as the kernel numbers them. */
struct mutex_state_change {
	struct mutex_ends ends;
	struct mutex_tcp tcp;
	__u8 before;
	__u8 after;
	__u8 reset;		/* the other end reset or refused it */
	__u8 failed;		/* an error ended it, not who uses the socket */
	__u64 now;		/* nanoseconds since boot, to the tick */
};

/* A packet that was dropped. */
struct mutex_dropped {
	const __u8 *bytes;	/* from the IP header on */
	__u32 available;	/* bytes at `bytes` */
	__u32 reason;		/* enum skb_drop_reason */
	__u32 packets;		/* segments that it stands for */
	__u32 netns;		/* inode number, 0 if unknown */
	__u32 interface;	/* that it came in by, 0 if it was made here */
	__u32 l3mdev;		/* index of the VRF's device, 0 if none */
	__u8 family;		/* 4 or 6 */
	__u8 bad_checksum;
	__u8 reserved[2];
};

/* Calls from the kernel into Rust, inside an RCU read side, pinned to the CPU. */
struct mutex_probe_calls {
	void (*state)(void *context, const struct mutex_state_change *change);
	void (*retransmit)(void *context, const struct mutex_ends *ends, __u32 packets, __u32 bytes,
			   bool failed);
	void (*drop)(void *context, const struct mutex_dropped *dropped);
	/* The last fd of a socket other than TCP's is closed. Inside an RCU read side, but
	 * not pinned; interrupts may be off. */
	void (*release)(void *context, __u64 socket, __u64 inode);
};

/* Attaches to the kernel's tracepoints. One registration at a time: -EBUSY for
 * another. Returns 0 or a negative errno; what this kernel lacks is named in its log and left out. */
int mutex_probes_register(const struct mutex_probe_calls *calls, void *context);
/* When it returns no call is running, and none will come. */
void mutex_probes_unregister(void);
/* What is not counted, or less exactly, because the kernel cannot tell: MUTEX_LACKS_*. Known
 * once the probes are registered. */
#define MUTEX_LACKS_STATES 1			/* tracepoint inet_sock_set_state */
#define MUTEX_LACKS_RETRANSMISSIONS 2		/* tracepoint tcp_retransmit_skb */
#define MUTEX_LACKS_SYNACK_RETRANSMISSIONS 4	/* tracepoint tcp_retransmit_synack */
#define MUTEX_LACKS_DROPS 8			/* tracepoint kfree_skb */
#define MUTEX_LACKS_RETRANSMISSION_ERRORS 16	/* segments that could not be sent again */
#define MUTEX_LACKS_DROP_SOCKETS 32		/* socket that a dropped packet was for */
#define MUTEX_LACKS_SOCKET_CLOSE 64		/* kprobes: sockets other than TCP's expire when idle */
__u32 mutex_kernel_lacks(void);
/* The drop reason of a SYN for which the accept queue had no room, which the kernel drops without
 * calling the tracepoint: "not specified" where it has no name for it. */
__u32 mutex_listen_overflow(void);
/* The kernel's name of a drop reason; returns whether it has one. */
bool mutex_drop_name(__u32 reason, __u8 *name, __u32 size);

/* Work that is done again and again, in process context. `work` returns after
 * how many milliseconds it wants to be called again. One at a time: -EBUSY for
 * another. Returns 0 or a negative errno. */
int mutex_work_start(__u32 (*work)(void *context), void *context);
/* When it returns `work` is not running, and will not. */
void mutex_work_stop(void);

/* Text files in /proc/mutex. `open` gives a state or an ERR_PTR; `seek` gives
 * the first item at or after `position`, or a negative number if there is none;
 * `show` prints an item; `write`, if it is set, takes bytes from userspace. One
 * call at a time for each open file, but for `write`. `room`, if it is not 0, is as
 * many bytes as are gathered for a read; else it is a page, and more where an item
 * needs it. */
struct mutex_text_calls {
	void *(*open)(void *context);
	void (*close)(void *state);
	__s64 (*seek)(void *state, __u64 position);
	int (*show)(void *state, struct seq_file *seq, __u64 position);
	__s64 (*write)(void *context, const void *user, __u64 length);
	__u64 room;
};

/* Binary files in /proc/mutex that are read from start to end. Where `ready` is
 * set, a read that gives -EAGAIN is tried again when it says so; `write`, if it is
 * set, takes bytes from userspace; `map`, if it is set, says what of the module's
 * memory is mapped: it is called until it returns false. */
struct mutex_stream_calls {
	void *(*open)(void *context);
	void (*close)(void *state);
	__s64 (*read)(void *state, void *user, __u64 length);
	bool (*ready)(void *state);
	__s64 (*write)(void *state, const void *user, __u64 length);
	bool (*map)(void *state, __u32 part, const void **memory, __u64 *bytes);
};

/* A file; `text` or `stream` is set. The strings and tables live as long as the
 * directory. */
struct mutex_file {
	const char *name;
	__u16 mode;
	const struct mutex_text_calls *text;
	const struct mutex_stream_calls *stream;
	void *context;
};

/* Makes /proc/mutex with those files, once: -EBUSY for another. Returns 0 or a negative errno. */
int mutex_files_create(const struct mutex_file *files, __u32 count);
/* When it returns every open file is closed, and no call is running. */
void mutex_files_remove(void);
/* Wakes who waits for a file to have more. May be called anywhere. */
void mutex_files_wake(void);
/* Whether the current process may change what concerns the whole host. */
bool mutex_may_administer(void);
/* The current process. */
void mutex_current(__u32 *pid, __u32 *uid, __u8 command[16]);
/* A process id of the first PID namespace as the current process sees it, 0 if it does not see that
 * process (it is in another PID namespace, or gone). */
__u32 mutex_reader_pid(__u32 pid);
/* Lets hooks know whether anybody watches packets; pairs. May sleep. */
void mutex_watch_packets(bool watch);
/* How many do, by the static key: while it is 0, hooks do not look. */
__u32 mutex_packet_watches(void);
/* True at most ten times in five seconds. */
bool mutex_may_log(void);
/* RCU read sides of one's own. */
void mutex_read_lock(void);
void mutex_read_unlock(void);
/* Where text goes, and for how many bytes there is room; then how many were written, or -1 if there
 * was too little. */
char *mutex_seq_room(struct seq_file *seq, __u64 *bytes);
void mutex_seq_written(struct seq_file *seq, __s32 bytes);

/* Bytes of a page. */
__u64 mutex_page_size(void);

/* The current process's network namespace; returns whether it is the first. */
int mutex_reader_netns(__u32 *netns);

/* Whether the current process may see numbers of the whole host: it is in the first network
 * namespace and has CAP_NET_ADMIN in the first user namespace. */
bool mutex_may_see_host(void);

/* The inode number of the first network namespace. */
__u32 mutex_first_netns(void);

/* Memory, all zero, page-aligned; NULL if there is none. */
void *mutex_memory_allocate(__u64 bytes);
void mutex_memory_free(void *memory);
__u64 mutex_memory_total(void);

/* One zeroed area for each CPU; NULL if there is no memory. */
void *mutex_percpu_allocate(__u64 bytes, __u64 align);
void mutex_percpu_free(void *areas);
/* This CPU's; pinned. */
void *mutex_percpu_this(void *areas);
void *mutex_percpu_of(void *areas, __u32 cpu);
/* The possible CPU after `cpu` (-1 for the first), or a negative number. */
int mutex_percpu_next(int cpu);

/* Keeps bottom halves and other tasks off this CPU. Nests. */
void mutex_pin(void);
void mutex_unpin(void);
/* Lets other tasks have this CPU if they wait for it. May sleep. */
void mutex_yield(void);

/* Returns when every RCU read side that is running now is over. May sleep. */
void mutex_grace_period(void);
/* The same for who is waited for: it interrupts every CPU that is busy, instead of waiting for its tick. */
void mutex_grace_period_soon(void);

void mutex_random(void *bytes, __u64 length);
/* Nanoseconds since boot, to the tick. */
__u64 mutex_now(void);
/* Nanoseconds since boot, exactly. */
__u64 mutex_now_exact(void);
/* Unix time and nanoseconds since boot, of the same moment. */
void mutex_moment(__u64 *unix_ns, __u64 *boot_ns);
/* The kernel's boot id, or zeros if /proc is not there. Returns 0 or -ENOMEM. */
int mutex_boot_id(__u8 id[16]);

#endif
