// SPDX-License-Identifier: GPL-2.0-only
/* What MUTEX is compared with: a tc program that keeps packets, bytes and the time of
 * the last packet for each connection in a hash map.
 *
 * FLOWS   a power of two: as many connections come by in random order. Since a run
 *         repeats one packet, the program makes its source address and port from a
 *         number of its own; the program `empty` makes that number and nothing else.
 * KIND    the map's type, FLAGS its flags
 * TABLE   how many connections the map has room for
 * CLOCK   the helper that says when: ktime_get_ns, as such programs usually have it, or
 *         ktime_get_coarse_ns, which is as coarse as MUTEX's own and the cheapest there is
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
#define HELPER(name) BPF_FUNC_##name
#define NUMBER(name) HELPER(name)
static __u64 (*const now)(void) = (void *)NUMBER(CLOCK);

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

static __always_inline __u32 next_flow(void)
{
	state = state * 6364136223846793005 + 1442695040888963407;
	return state >> 40 & (FLOWS - 1);
}

static __always_inline int parse(struct __sk_buff *skb, __u32 flow, struct connection *connection,
				 __u32 *bytes)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = data + sizeof(*ethernet);
	struct udphdr *udp = (void *)ip + sizeof(*ip);

	if ((void *)(udp + 1) > end || ethernet->h_proto != __builtin_bswap16(ETH_P_IP) ||
	    ip->ihl != 5 || (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_TCP))
		return 0;
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
	return next_flow() == FLOWS;
}

static __always_inline int account(struct __sk_buff *skb, __u32 flow)
{
	struct connection connection;
	struct traffic *traffic;
	__u32 bytes;

	if (!parse(skb, flow, &connection, &bytes))
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

SECTION("tc") int count(struct __sk_buff *skb)
{
	return account(skb, next_flow());
}

/* One after the other, so that each has come by once, and in another order. */
SECTION("tc") int fill(struct __sk_buff *skb)
{
	static __u32 next;

	return account(skb, next++ & (FLOWS - 1));
}

char licensed[] SECTION("license") = "GPL";
