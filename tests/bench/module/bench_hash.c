// SPDX-License-Identifier: GPL-2.0-only
/* What flows.bpf.c does, compiled into the same kernel and standing at the same hook as
 * all others: it keeps packets, bytes and the last time of each connection in the BPF hash map
 * whose descriptor `map` is. User Mode Linux only interprets eBPF, and what runs natively on
 * the machine below has that kernel's memory, so neither says what memory does to the two.
 *
 * The time is the tick's, which costs least and is as good as MUTEX's own: in User Mode Linux
 * ktime_get_coarse_ns() has two fences. IPv4 only.
 */

#include <linux/bpf.h>
#include <linux/ip.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/nsproxy.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/net_namespace.h>

struct connection {
	__be32 source, destination;
	__be16 source_port, destination_port;
	u32 protocol;
};

struct traffic {
	u64 packets, bytes, last_seen;
};

static int descriptor = -1;
module_param_named(map, descriptor, int, 0400);
static uint entries;
module_param(entries, uint, 0400);

static struct bpf_map *map;
static struct net *net;

static unsigned int count(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct iphdr *ip = (const struct iphdr *)skb->data;
	const struct udphdr *udp = (const struct udphdr *)(ip + 1);
	struct connection connection;
	struct traffic *traffic;
	u32 bytes;

	if (skb_headlen(skb) < sizeof(*ip) + sizeof(*udp) || ip->ihl != 5 ||
	    (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_TCP))
		return NF_ACCEPT;
	connection.source = ip->saddr;
	connection.destination = ip->daddr;
	connection.source_port = udp->source;
	connection.destination_port = udp->dest;
	connection.protocol = ip->protocol;
	bytes = ntohs(ip->tot_len);
	traffic = map->ops->map_lookup_elem(map, &connection);
	if (!traffic) {
		struct traffic first = { 1, bytes, get_jiffies_64() };

		if (!map->ops->map_update_elem(map, &connection, &first, BPF_NOEXIST))
			entries++;
		return NF_ACCEPT;
	}
	__sync_fetch_and_add(&traffic->packets, 1);
	__sync_fetch_and_add(&traffic->bytes, bytes);
	traffic->last_seen = get_jiffies_64();
	return NF_ACCEPT;
}

static const struct nf_hook_ops hook = {
	.hook = count,
	.pf = NFPROTO_IPV4,
	.hooknum = NF_INET_LOCAL_IN,
};

static int __init table_init(void)
{
	int error;

	map = bpf_map_get(descriptor);
	if (IS_ERR(map))
		return PTR_ERR(map);
	if (map->key_size != sizeof(struct connection) || map->value_size != sizeof(struct traffic)) {
		bpf_map_put(map);
		return -EINVAL;
	}
	net = get_net(current->nsproxy->net_ns);
	error = nf_register_net_hook(net, &hook);
	if (error) {
		put_net(net);
		bpf_map_put(map);
	}
	return error;
}

static void __exit table_exit(void)
{
	nf_unregister_net_hook(net, &hook);
	put_net(net);
	bpf_map_put(map);
}

module_init(table_init);
module_exit(table_exit);
MODULE_DESCRIPTION("A BPF hash map of connections, for comparison");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("BPF_INTERNAL");
