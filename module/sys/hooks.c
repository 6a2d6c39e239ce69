// SPDX-License-Identifier: GPL-2.0-only
/* Netfilter hooks in every network namespace, and what they see of a packet. */

#include <linux/jump_label.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/percpu.h>
#include <linux/timekeeping.h>
#include <net/ip.h>
#include <net/net_namespace.h>

#include "adapter.h"

static const struct mutex_hook_calls *hook_calls;
static void *hook_context;
static bool unregistering;

/* Bytes of headers that each segment repeats of a super-packet that carries a
 * packet of its own, as qdisc_pkt_len_segs_init() reckons them. */
static u32 carried_headers(const struct sk_buff *skb)
{
	const struct skb_shared_info *shared = skb_shinfo(skb);
	u32 headers = skb_inner_transport_offset(skb);

	if (shared->gso_type & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6)) {
		struct tcphdr copy;
		const struct tcphdr *tcp = skb_header_pointer(skb, headers, sizeof(copy), &copy);

		if (tcp)
			headers += __tcp_hdrlen(tcp);
	} else if (shared->gso_type & SKB_GSO_UDP_L4) {
		headers += sizeof(struct udphdr);
	}
	return headers;
}

/* The socket that sent or is to get the packet, if it is one that can be asked
 * for its owner: neither a request nor in TIME_WAIT, and not the listener that
 * answers for a request. */
static struct sock *full_socket(struct sk_buff *skb, const struct nf_hook_state *state)
{
	/* Of a tunnel's packet skb->sk is the inner one's. */
	struct sock *sk = state->sk ? state->sk : skb->sk;

	if (!sk || !sk_fullsock(sk) || READ_ONCE(sk->sk_state) == TCP_LISTEN)
		return NULL;
	return sk;
}

static DEFINE_STATIC_KEY_FALSE(packets_watched);

/* What a CPU has at hand for each packet. */
struct here {
	unsigned long tick;	/* jiffies when `now` was asked for */
	u64 now;
	void *area;		/* this CPU's of those that were registered */
};

static DEFINE_PER_CPU_ALIGNED(struct here, heres);
#ifdef MUTEX_RACING
static unsigned long packets_delivered;
#endif

static __always_inline void deliver(struct mutex_view *view)
{
	/* What is received comes with bottom halves off, which is all there is to pinning. */
	bool pinned = !IS_ENABLED(CONFIG_PREEMPT_RT) && softirq_count();
	struct here *here;
	unsigned long tick;

	if (!pinned)
		pin();
	here = this_cpu_ptr(&heres);
	/* The coarse clock goes on with the tick, so most packets need not ask it. One that comes
	 * between the tick and the clock has the last tick's time. */
	tick = READ_ONCE(jiffies);
	if (here->tick != tick) {
		here->tick = tick;
		here->now = ktime_get_coarse_boottime_ns();
	}
	view->now = here->now;
#ifdef MUTEX_RACING
	/* A data race: no CPU's own, and not marked. */
	packets_delivered++;
#endif
	if (static_branch_unlikely(&packets_watched))
		hook_calls->watched_packet(hook_context, here->area, view);
	else
		hook_calls->packet(hook_context, here->area, view);
	if (!pinned)
		unpin();
}

void mutex_watch_packets(bool watch)
{
	if (watch)
		static_branch_inc(&packets_watched);
	else
		static_branch_dec(&packets_watched);
}

u32 mutex_packet_watches(void)
{
	return static_key_count(&packets_watched.key);
}

/* Apart, so that other packets need no room for the copy. */
static noinline void deliver_scattered(struct mutex_view *view)
{
	u8 window[MUTEX_WINDOW];

	view->bytes = window;
	view->available = min_t(u32, view->length, sizeof(window));
	if (skb_copy_bits(view->buffer, 0, window, view->available))
		view->available = 0;
	deliver(view);
}

static __always_inline unsigned int count(struct sk_buff *skb, const struct nf_hook_state *state,
					  u8 hook, const struct net_device *device)
{
	const struct skb_shared_info *shared = skb_shinfo(skb);
	struct mutex_view view;

	/* One by one: an initializer clears all of it first, which takes longer than the rest. */
	view.bytes = skb->data;
	view.available = skb_headlen(skb);
	view.length = skb->len;
	view.netns = state->net->ns.inum;
	view.interface = device ? device->ifindex : 0;
	view.hook = hook;
	view.family = state->pf == NFPROTO_IPV4 ? 4 : 6;
	view.buffer = skb;
	view.net = state->net;
	view.gso_size = 0;
	view.gso_count = 0;
	view.gso_headers = 0;
	view.gso_unsent = 0;
	view.socket = NULL;
	view.tcp.sample = 0;
	view.tcp.rtt = 0;
	view.tcp.srtt = 0;
	if (unlikely(shared->gso_size)) {
		view.gso_size = shared->gso_size == GSO_BY_FRAGS ? 0 : shared->gso_size;
		view.gso_count = max_t(u32, shared->gso_segs, 1);
		if (skb->encapsulation)
			view.gso_headers = carried_headers(skb);
		view.gso_unsent = mutex_jumbo_header(skb);
	}
	if (hook != MUTEX_HOOK_FORWARD) {
		view.socket = full_socket(skb, state);
		if (view.socket && sk_is_tcp(view.socket))
			read_tcp(view.socket, &view.tcp);
	}

	if (likely(view.available >= min_t(u32, view.length, MUTEX_WINDOW)))
		deliver(&view);
	else
		deliver_scattered(&view);
	return NF_ACCEPT;
}

static unsigned int count_out(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return count(skb, state, MUTEX_HOOK_OUT, state->out);
}

static unsigned int count_in(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return count(skb, state, MUTEX_HOOK_IN, state->in);
}

static unsigned int count_forward(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	return count(skb, state, MUTEX_HOOK_FORWARD, state->in);
}

/* What the socket sent, before anyone changes it; what the socket is to get,
 * after everyone had his say. */
static const struct nf_hook_ops hooks[] = {
	{
		.hook = count_out,
		.pf = NFPROTO_INET,
		.hooknum = NF_INET_LOCAL_OUT,
		.priority = INT_MIN,
	},
	{
		.hook = count_in,
		.pf = NFPROTO_INET,
		.hooknum = NF_INET_LOCAL_IN,
		.priority = INT_MAX,
	},
	{
		.hook = count_forward,
		.pf = NFPROTO_INET,
		.hooknum = NF_INET_FORWARD,
		.priority = INT_MAX,
	},
};

static int __net_init netns_init(struct net *net)
{
	return nf_register_net_hooks(net, hooks, ARRAY_SIZE(hooks));
}

/* A grace period passes between pre_exit and exit. */
static void __net_exit netns_pre_exit(struct net *net)
{
	nf_unregister_net_hooks(net, hooks, ARRAY_SIZE(hooks));
}

static void __net_exit netns_exit_batch(struct list_head *nets)
{
	struct net *net;

	if (READ_ONCE(unregistering))
		return;
	list_for_each_entry(net, nets, exit_list)
		hook_calls->netns_gone(hook_context, net->ns.inum);
	hook_calls->netns_all_gone(hook_context);
}

static struct pernet_operations pernet_calls = {
	.init = netns_init,
	.pre_exit = netns_pre_exit,
	.exit_batch = netns_exit_batch,
};

int mutex_hooks_register(const struct mutex_hook_calls *calls, void *context, void *areas)
{
	unsigned int cpu;
	int error;

	if (cmpxchg(&hook_calls, NULL, calls))
		return -EBUSY;
	for_each_possible_cpu(cpu)
		per_cpu(heres, cpu).area = areas ? mutex_percpu_of(areas, cpu) : NULL;
	hook_context = context;
	WRITE_ONCE(unregistering, false);
	error = register_pernet_subsys(&pernet_calls);
	if (error)
		hook_calls = NULL;
	return error;
}

void mutex_hooks_unregister(void)
{
	WRITE_ONCE(unregistering, true);
	unregister_pernet_subsys(&pernet_calls);
	synchronize_rcu();
	hook_calls = NULL;
}
