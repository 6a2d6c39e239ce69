// SPDX-License-Identifier: GPL-2.0-only
/* What MUTEX is compared with: a tc program that keeps packets, bytes and the time of
 * the last packet for each connection in a hash map.
 *
 * FLOWS   a power of two: as many connections come by in random order. Since a run
 *         repeats one packet, the program makes its source address and port from a
 *         number of its own; the program `empty` does no more than that.
 * KIND    the map's type, FLAGS its flags
 * TABLE   how many connections the map has room for
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#define SECTION(name) __attribute__((section(name), used))
#define MAP_NUMBER(name, value) int (*name)[value]
#define MAP_TYPE(name, value) typeof(value) *name

static void *(*const map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*const map_update)(void *map, const void *key, const void *value,
				__u64 flags) = (void *)BPF_FUNC_map_update_elem;
/* As coarse as MUTEX's own clock is, and the cheapest there is. */
static __u64 (*const now)(void) = (void *)BPF_FUNC_ktime_get_coarse_ns;

struct connection {
	__u32 source, destination;
	__u16 source_port, destination_port;
	__u32 protocol;
};

struct traffic {
	__u64 packets, bytes, last_seen;
};

struct {
	MAP_NUMBER(type, KIND);
	MAP_NUMBER(max_entries, TABLE);
	MAP_NUMBER(map_flags, FLAGS);
	MAP_TYPE(key, struct connection);
	MAP_TYPE(value, struct traffic);
} flows SECTION(".maps");

static __u64 state = 0x9e3779b97f4a7c15;

static __always_inline int parse(struct __sk_buff *skb, struct connection *connection, __u32 *bytes)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = data + sizeof(*ethernet);
	struct udphdr *udp = (void *)ip + sizeof(*ip);
	__u32 flow;

	if ((void *)(udp + 1) > end || ethernet->h_proto != __builtin_bswap16(ETH_P_IP) ||
	    ip->ihl != 5 || (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_TCP))
		return 0;
	state = state * 6364136223846793005 + 1442695040888963407;
	flow = state >> 40 & (FLOWS - 1);
	connection->source = ip->saddr + (flow >> 6);
	connection->destination = ip->daddr;
	connection->source_port = udp->source + (flow & 63);
	connection->destination_port = udp->dest;
	connection->protocol = ip->protocol;
	*bytes = __builtin_bswap16(ip->tot_len);
	return 1;
}

SECTION("tc") int empty(struct __sk_buff *skb)
{
	struct connection connection;
	__u32 bytes;

	if (parse(skb, &connection, &bytes)) {
		/* The connection is there, as for the others, and nobody looks it up. */
		asm volatile("" : : "r"(&connection) : "memory");
	}
	return 0;
}

SECTION("tc") int count(struct __sk_buff *skb)
{
	struct connection connection;
	struct traffic *traffic;
	__u32 bytes;

	if (!parse(skb, &connection, &bytes))
		return 0;
	traffic = map_lookup(&flows, &connection);
	if (!traffic) {
		struct traffic first = { 1, bytes, now() };

		map_update(&flows, &connection, &first, BPF_NOEXIST);
		return 0;
	}
#if KIND == BPF_MAP_TYPE_PERCPU_HASH
	traffic->packets++;
	traffic->bytes += bytes;
#else
	__sync_fetch_and_add(&traffic->packets, 1);
	__sync_fetch_and_add(&traffic->bytes, bytes);
#endif
	traffic->last_seen = now();
	return 0;
}

char licensed[] SECTION("license") = "GPL";
