// SPDX-License-Identifier: GPL-2.0-only
/* Netfilter hooks in every network namespace, and what they see of a packet. */

#include <linux/jump_label.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/percpu.h>
#include <linux/sort.h>
#include <linux/timekeeping.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/l3mdev.h>
#include <net/net_namespace.h>
#include <net/udp.h>

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

/* A packet that was transformed by IPsec: what its socket sent has passed LOCAL_OUT already. */
static __always_inline bool is_transformed(const struct sk_buff *skb, u8 family)
{
#ifdef CONFIG_XFRM
	if (family == 4)
		return IPCB(skb)->flags & IPSKB_XFRM_TRANSFORMED;
	return IP6CB(skb)->flags & IP6SKB_XFRM_TRANSFORMED;
#else
	return false;
#endif
}

/* The socket that sent the packet or will receive it, if its owner can be determined: no request
 * socket, no TIME_WAIT socket, and no listener that answers for a request. (A one-to-many SCTP
 * socket listens and communicates.)
 *
 * skb->sk is no substitute for state->sk on output: of a tunnel's packet it is the socket of the
 * packet inside, and after IPsec so is state->sk. */
static __always_inline struct sock *full_socket(const struct sk_buff *skb,
						const struct nf_hook_state *state, u8 hook, u8 family)
{
	struct sock *sk;

	if (hook == MUTEX_HOOK_OUT)
		sk = is_transformed(skb, family) ? NULL : state->sk;
	else
		sk = skb->sk;
	if (!sk || !sk_fullsock(sk))
		return NULL;
	if (READ_ONCE(sk->sk_state) == TCP_LISTEN && sk->sk_type != SOCK_SEQPACKET)
		return NULL;
	return sk;
}

static DEFINE_STATIC_KEY_FALSE(packets_watched);

/* What a CPU has at hand for each packet. */
struct here {
	unsigned long tick;	/* jiffies when `now` was asked for */
	u64 now;
	void *area;		/* this CPU's of those that were registered */
	u8 *headers;		/* HEADERS_MAX bytes */
	/* The bridged packet that was counted last: softnet_data.processed and skb->head. */
	unsigned int bridged_processed;
	const u8 *bridged_head;
};

static DEFINE_PER_CPU_ALIGNED(struct here, heres);
static u8 __percpu *headers;
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

/* Extension headers that are followed, as in core/parse.rs. */
#define EXTENSIONS_MAX 8
/* Bytes of headers that are looked at of an IPv6 packet with extension headers that is not in one
 * piece. Three headers of the largest size (2048 bytes) fit. */
#define HEADERS_MAX 8192

/* The offset of what follows the IPv6 extension headers, and its protocol. */
static u32 transport_offset(const struct sk_buff *skb, u8 *protocol)
{
	u32 offset = sizeof(struct ipv6hdr);
	int i;

	*protocol = ipv6_hdr(skb)->nexthdr;
	for (i = 0; i < EXTENSIONS_MAX; i++) {
		struct ipv6_opt_hdr copy;
		const struct ipv6_opt_hdr *header;

		switch (*protocol) {
		case NEXTHDR_HOP:
		case NEXTHDR_ROUTING:
		case NEXTHDR_DEST:
		case NEXTHDR_FRAGMENT:
			break;
		default:
			return offset;
		}
		header = skb_header_pointer(skb, skb_network_offset(skb) + offset, sizeof(copy), &copy);
		if (!header)
			return offset;
		offset += *protocol == NEXTHDR_FRAGMENT ? 8 : ipv6_optlen(header);
		*protocol = header->nexthdr;
	}
	return offset;
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

/* The same with this CPU's larger buffer, for IPv6 packets with extension headers. */
static noinline void deliver_extended(struct mutex_view *view)
{
	u8 protocol;
	/* The quoted packet of an ICMP error is needed, too. */
	u32 needed = transport_offset(view->buffer, &protocol) + 128;

	pin();
	view->bytes = this_cpu_ptr(&heres)->headers;
	view->available = min3(view->length, needed, (u32)HEADERS_MAX);
	if (skb_copy_bits(view->buffer, 0, (u8 *)view->bytes, view->available))
		view->available = 0;
	deliver(view);
	unpin();
}

/* The VRF (l3mdev) of a packet, and its interface, where they are not simply none and the hook's;
 * with ipvlan in mode l3s also the network namespace, which is that of the route. */
static noinline void place_apart(struct mutex_view *view, const struct nf_hook_state *state,
				 const struct net_device *device)
{
	struct sk_buff *skb = view->buffer;
	const struct net_device *real = skb_valid_dst(skb) ? mutex_dst_device(skb_dst(skb)) : NULL;

	if (view->hook == MUTEX_HOOK_OUT) {
		view->l3mdev = l3mdev_master_ifindex_rcu(device);
		if (real && netif_is_l3_slave(real))
			view->interface = real->ifindex;
		return;
	}
	if (netif_is_l3_master(device)) {
		int slave = view->family == 4 ? inet_sdif(skb) : inet6_sdif(skb);

		view->l3mdev = device->ifindex;
		view->interface = slave ? slave : device->ifindex;
	} else {
		view->l3mdev = l3mdev_master_ifindex_rcu(device);
	}
	if (view->hook == MUTEX_HOOK_IN && netif_has_l3_rx_handler(device)) {
		/* ipvlan's own hook sets skb->dev, before or after this one. */
		if (!net_eq(dev_net(skb->dev), state->net))
			real = skb->dev;
		if (real && !net_eq(dev_net(real), state->net)) {
			view->net = dev_net(real);
			view->netns = view->net->ns.inum;
			view->interface = real->flags & IFF_LOOPBACK ? 0 : real->ifindex;
		}
	}
	/* A route between two VRFs: the same connection both ways. */
	if (view->hook == MUTEX_HOOK_FORWARD && state->out)
		view->l3mdev = min_t(u32, view->l3mdev, l3mdev_master_ifindex_rcu(state->out));
}

static __always_inline bool is_apart(const struct net_device *device)
{
	return netif_is_l3_master(device) || netif_is_l3_slave(device) || netif_has_l3_rx_handler(device);
}

static __always_inline void count(struct sk_buff *skb, const struct nf_hook_state *state, u8 hook,
				  const struct net_device *device)
{
	const struct skb_shared_info *shared = skb_shinfo(skb);
	struct mutex_view view;

	/* One by one: an initializer clears all of it first, which takes longer than the rest. */
	view.bytes = skb->data;
	view.available = skb_headlen(skb);
	view.length = skb->len;
	view.netns = state->net->ns.inum;
	view.interface = device ? device->ifindex : 0;
	view.l3mdev = 0;
	view.hook = hook;
	view.family = state->pf == NFPROTO_IPV4 ? 4 : 6;
	view.buffer = skb;
	view.net = state->net;
	view.gso_size = 0;
	view.gso_count = 0;
	view.gso_headers = 0;
	view.gso_unsent = 0;
	view.gso_fragments = 0;
	view.socket = NULL;
	view.tcp.sample = 0;
	view.tcp.rtt = 0;
	view.tcp.srtt = 0;
	view.tcp.deviation = 0;
	if (unlikely(shared->gso_size)) {
		view.gso_size = shared->gso_size == GSO_BY_FRAGS ? 0 : shared->gso_size;
		view.gso_count = max_t(u32, shared->gso_segs, 1);
		if (skb->encapsulation)
			view.gso_headers = carried_headers(skb);
		view.gso_unsent = mutex_jumbo_header(skb);
		view.gso_fragments = !!(shared->gso_type & SKB_GSO_UDP);
	}
	if (device && unlikely(is_apart(device)))
		place_apart(&view, state, device);
	if (hook != MUTEX_HOOK_FORWARD) {
		view.socket = full_socket(skb, state, hook, view.family);
		if (view.socket && sk_is_tcp(view.socket))
			read_tcp(view.socket, &view.tcp);
	}

	if (likely(view.available >= min_t(u32, view.length, MUTEX_WINDOW)))
		deliver(&view);
	else if (view.family == 6 && view.available >= sizeof(struct ipv6hdr) &&
		 unlikely(ipv6_ext_hdr(ipv6_hdr(skb)->nexthdr)))
		deliver_extended(&view);
	else
		deliver_scattered(&view);
}

/* A packet passes LOCAL_OUT more than once, or without being sent by this host, in four cases:
 *
 * - VRF: once for the VRF's device and once for the device that it leaves by. The second time
 *   skb->dev is the VRF's. A packet that was forwarded through a VRF's device comes here, too.
 * - IPVS: a packet that it sends on to a server was received (and is counted as forwarded), or was
 *   sent by a socket of this host, whose first pass has been counted.
 * - ipvlan in mode l3 or l3s: what another network namespace sent, and counted, passes LOCAL_OUT
 *   of the namespace of the device below. It has no socket here, did not come in by any device, and
 *   skb->dev is set to the device below, which gives its packets to ipvlan.
 * - IPsec that changed nothing, because IPComp found too little to compress.
 */
enum pass { FIRST, ANOTHER, FORWARDED };

static bool is_multicast(const struct sk_buff *skb, u8 family)
{
	if (family == 4)
		return ipv4_is_multicast(ip_hdr(skb)->daddr) || ipv4_is_lbcast(ip_hdr(skb)->daddr);
	return ipv6_addr_is_multicast(&ipv6_hdr(skb)->daddr);
}

/* Whether IPsec left the packet's headers as its sender made them. */
static noinline bool is_unchanged(const struct sk_buff *skb, u8 family)
{
	u32 offset;
	u8 protocol;
	struct udphdr copy;
	const struct udphdr *udp;

	if (family == 4) {
		protocol = ip_hdr(skb)->protocol;
		offset = ip_hdrlen(skb);
	} else {
		offset = transport_offset(skb, &protocol);
	}
	switch (protocol) {
	case IPPROTO_ESP:
	case IPPROTO_AH:
	case IPPROTO_COMP:
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
	case IPPROTO_BEETPH:
		return false;
	case IPPROTO_UDP:
		/* ESP in UDP has ports of its own. */
		udp = skb_header_pointer(skb, skb_network_offset(skb) + offset, sizeof(copy), &copy);
		return udp && skb->sk && sk_fullsock(skb->sk) && skb->sk->sk_protocol == IPPROTO_UDP &&
		       inet_sk(skb->sk)->inet_sport == udp->source;
	default:
		return true;
	}
}

static __always_inline bool is_ipvs(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_IP_VS)
	return skb->ipvs_property;
#else
	return false;
#endif
}

static noinline enum pass pass_apart(const struct sk_buff *skb, const struct nf_hook_state *state,
				     u8 family)
{
	const struct net_device *device = skb->dev;

	if (is_ipvs(skb) && !state->sk) {
		if (skb->sk)
			return ANOTHER;
		/* In mode tunnel the outer packet is this host's. */
		return skb->encapsulation ? FIRST : FORWARDED;
	}
	if (is_transformed(skb, family)) {
		if (device && device != state->out && netif_is_l3_master(device) &&
		    l3mdev_master_ifindex_rcu(state->out) == device->ifindex)
			return ANOTHER;
		return is_unchanged(skb, family) ? ANOTHER : FIRST;
	}
	if (!device)
		return FIRST;
	if (device != state->out && netif_is_l3_master(device))
		return ANOTHER;
	if (!state->sk && !skb->skb_iif && rcu_access_pointer(device->rx_handler) &&
	    !is_multicast(skb, family))
		return ANOTHER;
	return FIRST;
}

static unsigned int count_out(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	u8 family = state->pf == NFPROTO_IPV4 ? 4 : 6;
	enum pass pass = FIRST;

	/* Most packets have no device yet. */
	if (unlikely(skb->dev || is_ipvs(skb) || is_transformed(skb, family)))
		pass = pass_apart(skb, state, family);
	if (likely(pass == FIRST))
		count(skb, state, MUTEX_HOOK_OUT, state->out);
	else if (pass == FORWARDED)
		count(skb, state, MUTEX_HOOK_FORWARD,
		      dev_get_by_index_rcu(state->net, skb->skb_iif));
	return NF_ACCEPT;
}

static unsigned int count_in(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	count(skb, state, MUTEX_HOOK_IN, state->in);
	return NF_ACCEPT;
}

/* Whether the packet is another copy of a bridged one that was just counted. A bridge that floods
 * clones it for each port, one after another, while the packet that was received is processed: on
 * this CPU no other is received in between. */
static bool is_flooded_again(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	struct here *here;
	unsigned int processed;
	bool again;

	if (!nf_bridge_info_exists(skb))
		return false;
	pin();
	here = this_cpu_ptr(&heres);
	processed = READ_ONCE(this_cpu_ptr(&softnet_data)->processed);
	again = here->bridged_head == skb->head && here->bridged_processed == processed;
	here->bridged_head = skb->head;
	here->bridged_processed = processed;
	unpin();
	return again;
#else
	return false;
#endif
}

static unsigned int count_forward(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	if (likely(!is_flooded_again(skb)))
		count(skb, state, MUTEX_HOOK_FORWARD, state->in);
	return NF_ACCEPT;
}

/* What the socket sent, before anything changes it; what the socket will receive, after
 * everything had its say; what is forwarded, after filters, and before IPVS gives a reply (at 99
 * and 100) the address that the request was for. */
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
		.priority = NF_IP_PRI_NAT_SRC - 2,
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

static int compare_numbers(const void *a, const void *b)
{
	u32 one = *(const u32 *)a, other = *(const u32 *)b;

	return one < other ? -1 : one > other;
}

static void name_gone(u32 *netns, u32 count)
{
	sort(netns, count, sizeof(*netns), compare_numbers, NULL);
	hook_calls->netns_gone(hook_context, netns, count);
}

/* Namespaces that are named at once: each call looks through all records. */
#define NETNS_AT_ONCE 16384

static void __net_exit netns_exit_batch(struct list_head *nets)
{
	u32 few[32], *many = NULL, *gone = few;
	u32 room = ARRAY_SIZE(few), count = 0;
	struct net *net;

	if (READ_ONCE(unregistering))
		return;
	list_for_each_entry(net, nets, exit_list)
		count++;
	if (count > room) {
		count = min_t(u32, count, NETNS_AT_ONCE);
		many = kvmalloc_array(count, sizeof(*many), GFP_KERNEL | __GFP_NOWARN);
		if (many) {
			gone = many;
			room = count;
		}
	}
	count = 0;
	list_for_each_entry(net, nets, exit_list) {
		gone[count++] = net->ns.inum;
		if (count == room) {
			name_gone(gone, count);
			count = 0;
		}
	}
	if (count)
		name_gone(gone, count);
	kvfree(many);
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
	headers = __alloc_percpu(HEADERS_MAX, SMP_CACHE_BYTES);
	if (!headers) {
		hook_calls = NULL;
		return -ENOMEM;
	}
	for_each_possible_cpu(cpu) {
		per_cpu(heres, cpu).area = areas ? mutex_percpu_of(areas, cpu) : NULL;
		per_cpu(heres, cpu).headers = per_cpu_ptr(headers, cpu);
	}
	hook_context = context;
	WRITE_ONCE(unregistering, false);
	error = register_pernet_subsys(&pernet_calls);
	if (error) {
		free_percpu(headers);
		hook_calls = NULL;
	}
	return error;
}

void mutex_hooks_unregister(void)
{
	WRITE_ONCE(unregistering, true);
	unregister_pernet_subsys(&pernet_calls);
	synchronize_rcu();
	free_percpu(headers);
	hook_calls = NULL;
}
