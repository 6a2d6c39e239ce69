// SPDX-License-Identifier: GPL-2.0-only
/* Tracepoints and kprobes: state changes, retransmissions, drops, closed sockets. */

#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <net/dropreason.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/l3mdev.h>
#include <net/net_namespace.h>
#include <trace/events/skb.h>
#include <trace/events/sock.h>
#include <trace/events/tcp.h>

#include "adapter.h"

static const struct mutex_probe_calls *probe_calls;
static void *probe_context;

static void enter_probe(void)
{
	rcu_read_lock();
	pin();
}

static void leave_probe(void)
{
	unpin();
	rcu_read_unlock();
}

static void probe_state(void *unused, const struct sock *sk, const int before, const int after)
{
	struct mutex_state_change change = {
		.before = before,
		.after = after,
		.now = ktime_get_coarse_boottime_ns(),
	};
	int error = READ_ONCE(sk->sk_err);

	if (sk->sk_protocol != IPPROTO_TCP || after == TCP_LISTEN || before == TCP_LISTEN)
		return;
	if (!mutex_ends_of(sk, &change.ends))
		return;
	change.reset = error == ECONNRESET || error == ECONNREFUSED || error == EPIPE;
	change.failed = error != 0;
	read_tcp(sk, &change.tcp);
	enter_probe();
	probe_calls->state(probe_context, &change);
	leave_probe();
}

static void retransmitted(const struct sock *sk, const struct sk_buff *skb, int error)
{
	struct mutex_ends ends;

	if (!mutex_ends_of(sk, &ends))
		return;
	enter_probe();
	probe_calls->retransmit(probe_context, &ends, tcp_skb_pcount(skb), skb->len, error != 0);
	leave_probe();
}

#ifdef PROBED_RETRANSMIT_ERROR
static void probe_retransmit(void *unused, const struct sock *sk, const struct sk_buff *skb, int error)
{
	retransmitted(sk, skb, error);
}
#else
/* Older kernels call it for what was sent only. */
static void probe_retransmit(void *unused, const struct sock *sk, const struct sk_buff *skb)
{
	retransmitted(sk, skb, 0);
}
#endif

static void probe_retransmit_synack(void *unused, const struct sock *sk, const struct request_sock *req)
{
	const struct inet_request_sock *ireq = inet_rsk(req);
	struct mutex_ends ends = {
		.local_port = ireq->ir_num,
		.remote_port = ntohs(ireq->ir_rmt_port),
		.netns = sock_net(sk)->ns.inum,
		.interface = ireq->ir_iif,
		.l3mdev = l3mdev_master_ifindex_by_index(sock_net(sk), ireq->ir_iif),
		.protocol = IPPROTO_TCP,
	};

	if (ireq->ireq_family == AF_INET) {
		ends.family = 4;
		mutex_put_v4(ends.local, ireq->ir_loc_addr);
		mutex_put_v4(ends.remote, ireq->ir_rmt_addr);
	} else if (IS_ENABLED(CONFIG_IPV6)) {
		ends.family = 6;
		memcpy(ends.local, &ireq->ir_v6_loc_addr, 16);
		memcpy(ends.remote, &ireq->ir_v6_rmt_addr, 16);
	}
	enter_probe();
	probe_calls->retransmit(probe_context, &ends, 1, 0, false);
	leave_probe();
}

/* Whether a packet that is dropped for that reason still has its device: on a
 * socket's queue and in some others the same place has another use. */
static bool has_device(enum skb_drop_reason reason)
{
	switch (reason) {
	case SKB_DROP_REASON_NETFILTER_DROP:
	case SKB_DROP_REASON_IP_CSUM:
	case SKB_DROP_REASON_IP_INHDR:
	case SKB_DROP_REASON_IP_RPFILTER:
	case SKB_DROP_REASON_OTHERHOST:
	case SKB_DROP_REASON_QDISC_DROP:
	case SKB_DROP_REASON_TC_EGRESS:
	case SKB_DROP_REASON_TC_INGRESS:
		return true;
	default:
		return false;
	}
}

/* The network namespace that a dropped packet was in, and its VRF, as far as they are known. */
static void place_of(const struct sk_buff *skb, enum skb_drop_reason reason, const struct sock *sk,
		     struct mutex_dropped *dropped)
{
	struct net_device *dev = READ_ONCE(skb->dev);
	/* The route can be no route but the tunnel that the packet came by, which has no device. */
	const struct net_device *route = skb_valid_dst(skb) ? mutex_dst_device(skb_dst(skb)) : NULL;
	struct net *net = NULL;

	if (!sk)
		sk = skb->sk;
	if (sk) {
		net = sock_net(sk);
	} else if (route) {
		net = dev_net(route);
	} else if (dev && has_device(reason)) {
		u32 inum;

		/* A queue that has something else there after all must not be a fault. */
		if (copy_from_kernel_nofault(&net, &dev->nd_net.net, sizeof(net)) ||
		    copy_from_kernel_nofault(&inum, &net->ns.inum, sizeof(inum)))
			return;
		dropped->netns = inum;
		return;
	}
	if (!net)
		return;
	dropped->netns = net->ns.inum;
	if (skb->skb_iif)
		dropped->l3mdev = l3mdev_master_ifindex_by_index(net, skb->skb_iif);
	else if (route)
		dropped->l3mdev = l3mdev_master_ifindex_rcu(route);
}

static void dropped_packet(struct sk_buff *skb, enum skb_drop_reason reason, const struct sock *sk)
{
	struct mutex_dropped dropped = {
		.reason = reason,
		.packets = max_t(u32, skb_shinfo(skb)->gso_segs, 1),
		.interface = skb->skb_iif,
	};

	if (skb->protocol == htons(ETH_P_IP))
		dropped.family = 4;
	else if (skb->protocol == htons(ETH_P_IPV6))
		dropped.family = 6;
	else
		return;
	/* Bottom halves cannot be let on again here, and one that was interrupted may be
	 * just about to count. */
	if (irqs_disabled())
		return;
	switch (reason) {
	case SKB_DROP_REASON_TCP_CSUM:
	case SKB_DROP_REASON_UDP_CSUM:
	case SKB_DROP_REASON_IP_CSUM:
	case SKB_DROP_REASON_ICMP_CSUM:
	case SKB_DROP_REASON_SKB_CSUM:
		dropped.bad_checksum = 1;
		break;
	default:
		break;
	}
	enter_probe();
	place_of(skb, reason, sk, &dropped);
	if (skb_mac_header_was_set(skb) || skb->network_header) {
		const u8 *start = skb_network_header(skb);
		const u8 *end = skb_tail_pointer(skb);

		if (start >= skb->head && start < end) {
			dropped.bytes = start;
			dropped.available = min_t(u32, end - start, MUTEX_WINDOW);
		}
	}
	probe_calls->drop(probe_context, &dropped);
	leave_probe();
}

#if defined(PROBED_DROP)
static void probe_drop(void *unused, struct sk_buff *skb, void *location, enum skb_drop_reason reason)
{
	dropped_packet(skb, reason, NULL);
}
#elif defined(PROBED_DROP_SOCKET)
static void probe_drop(void *unused, struct sk_buff *skb, void *location, enum skb_drop_reason reason,
		       struct sock *sk)
{
	dropped_packet(skb, reason, sk);
}
#else
static void probe_drop(void *unused, struct sk_buff *skb, void *location, enum skb_drop_reason reason,
		       const struct sock *sk)
{
	dropped_packet(skb, reason, sk);
}
#endif

/* Tracepoints are found by name, because the kernel does not export all of them; a call through a
 * pointer of another type would read registers that hold something else. */
static void check_probe_types(void)
{
	check_trace_callback_type_inet_sock_set_state(probe_state);
	check_trace_callback_type_tcp_retransmit_skb(probe_retransmit);
	check_trace_callback_type_tcp_retransmit_synack(probe_retransmit_synack);
	check_trace_callback_type_kfree_skb(probe_drop);
}

static struct probe {
	const char *name;
	void *call;
	u32 lacks;	/* MUTEX_LACKS_* if the kernel has no such tracepoint */
	struct tracepoint *tracepoint;
	bool attached;
} probes[] = {
	{ "inet_sock_set_state", probe_state, MUTEX_LACKS_STATES },
	{ "tcp_retransmit_skb", probe_retransmit, MUTEX_LACKS_RETRANSMISSIONS },
	{ "tcp_retransmit_synack", probe_retransmit_synack, MUTEX_LACKS_SYNACK_RETRANSMISSIONS },
	{ "kfree_skb", probe_drop, MUTEX_LACKS_DROPS },
};

static u32 lacks;

u32 mutex_kernel_lacks(void)
{
	return READ_ONCE(lacks);
}

static void find_probe(struct tracepoint *tracepoint, void *unused)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(tracepoint->name, probes[i].name))
			probes[i].tracepoint = tracepoint;
}

#ifdef CONFIG_KPROBES
static void release(struct socket *socket)
{
	const struct sock *sk = socket->sk;

	if (!sk || sk->sk_protocol == IPPROTO_TCP)
		return;
	/* Not pinned: interrupts can be off here, where bottom halves cannot be let on again. */
	rcu_read_lock();
	probe_calls->release(probe_context, (unsigned long)sk, SOCK_INODE(socket)->i_ino);
	rcu_read_unlock();
}

static int release_called(struct kprobe *unused, struct pt_regs *registers)
{
	release((struct socket *)regs_get_kernel_argument(registers, 0));
	return 0;
}

/* No tracepoint tells that a socket is closed. */
static struct kprobe release_probe = {
	.symbol_name = "inet_release",
	.pre_handler = release_called,
};
static bool release_probed;

static int release_attach(void)
{
	int error;

	/* A probe that was registered before keeps what it found. */
	release_probe.addr = NULL;
	release_probe.flags = 0;
	error = register_kprobe(&release_probe);
	release_probed = !error;
	return error;
}

static void release_detach(void)
{
	if (release_probed)
		unregister_kprobe(&release_probe);
	release_probed = false;
}
#else
static int release_attach(void)
{
	return -EOPNOTSUPP;
}

static void release_detach(void)
{
}
#endif

int mutex_probes_register(const struct mutex_probe_calls *calls, void *context)
{
	size_t i;
	int error;

	if (cmpxchg(&probe_calls, NULL, calls))
		return -EBUSY;
	probe_context = context;
	check_probe_types();
	lacks = IS_ENABLED(PROBED_RETRANSMIT) ? MUTEX_LACKS_RETRANSMISSION_ERRORS : 0;
	lacks |= IS_ENABLED(PROBED_DROP) ? MUTEX_LACKS_DROP_SOCKETS : 0;
	for_each_kernel_tracepoint(find_probe, NULL);
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		struct probe *probe = &probes[i];

		if (!probe->tracepoint) {
			pr_warn("mutex: this kernel has no tracepoint %s: what it tells is not counted\n",
				probe->name);
			lacks |= probe->lacks;
			continue;
		}
		error = tracepoint_probe_register(probe->tracepoint, probe->call, NULL);
		if (error) {
			mutex_probes_unregister();
			return error;
		}
		probe->attached = true;
	}
	error = release_attach();
	if (error == -ENOMEM) {
		mutex_probes_unregister();
		return error;
	}
	if (error) {
		pr_info("mutex: this kernel has no kprobes: sockets other than TCP's are forgotten when they are idle\n");
		lacks |= MUTEX_LACKS_SOCKET_CLOSE;
	}
	return 0;
}

void mutex_probes_unregister(void)
{
	size_t i;

	release_detach();
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		if (probes[i].attached)
			tracepoint_probe_unregister(probes[i].tracepoint, probes[i].call, NULL);
		probes[i].attached = false;
		probes[i].tracepoint = NULL;
	}
	tracepoint_synchronize_unregister();
	probe_calls = NULL;
}

#ifdef PROBED_DROP_REASONS_BY_SUBSYSTEM
/* Called in an RCU read side. */
static const char *drop_name(u32 reason)
{
	const struct drop_reason_list *list =
		rcu_dereference(drop_reasons_by_subsys[SKB_DROP_REASON_SUBSYS_CORE]);

	return list && reason < list->n_reasons ? list->reasons[reason] : NULL;
}
#else
static const char *drop_name(u32 reason)
{
	return reason < SKB_DROP_REASON_MAX ? drop_reasons[reason] : NULL;
}
#endif

__u32 mutex_listen_overflow(void)
{
#ifdef PROBED_LISTEN_OVERFLOW
	return SKB_DROP_REASON_TCP_LISTEN_OVERFLOW;
#else
	return SKB_DROP_REASON_NOT_SPECIFIED;
#endif
}

bool mutex_drop_name(__u32 reason, __u8 *name, __u32 size)
{
	const char *known;

	rcu_read_lock();
	known = drop_name(reason);
	if (known)
		strscpy(name, known, size);
	rcu_read_unlock();
	return known;
}
