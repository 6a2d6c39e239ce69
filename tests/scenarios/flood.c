/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Puts small packets of many sources on a wire, as fast as it can or so many a second, and prints
 * how many it sent.
 *
 *   flood LINK SOURCE-MAC TARGET-MAC TARGET PORT PATTERN PACKETS PER-SECOND SEED
 *
 * PACKETS is how many there are (0: until it is ended by SIGTERM), PER-SECOND 0 for no limit.
 * TARGET is an IPv4 address. PATTERN:
 *
 *   syn            TCP SYNs from random addresses in 10.128.0.0/9 and random ports
 *   udp            UDP from there to random ports
 *   ports          UDP, one address, one source port after the other
 *   addresses      one port, one address after the other
 *   high           one port, addresses that differ in their upper bits only
 *   sum            address and port with the same sum
 *   xor            address and port that are the same by exclusive or
 *   swapped        source and destination port with the same product: a and b, b and a, ...
 *   six-strides    IPv6, addresses that differ by multiples of 2^32
 *   six-sum        IPv6, both halves of the address with the same sum
 *   six-xor        IPv6, both halves of the address the same by exclusive or
 *   six-random     IPv6, random halves
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define FRAME 128

static volatile sig_atomic_t over;
static unsigned long long chance;
static struct in_addr target;
static struct in6_addr target6;
static unsigned short port;

static void stop(int number)
{
	(void)number;
	over = 1;
}

/* xorshift64*: the same seed gives the same packets. */
static unsigned long long chosen(void)
{
	chance ^= chance >> 12;
	chance ^= chance << 25;
	chance ^= chance >> 27;
	return chance * 2685821657736338717ULL;
}

static unsigned int sum16(const void *bytes, size_t length, unsigned int sum)
{
	const unsigned char *byte = bytes;
	size_t i;

	for (i = 0; i + 1 < length; i += 2)
		sum += byte[i] << 8 | byte[i + 1];
	return sum;
}

static unsigned short folded(unsigned int sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

static size_t put_udp(unsigned char *at, unsigned short source, unsigned short destination)
{
	struct udphdr udp = { .source = htons(source), .dest = htons(destination), .len = htons(8) };

	memcpy(at, &udp, sizeof(udp));
	return sizeof(udp);
}

static size_t put_v4(unsigned char *at, unsigned int source, int protocol,
		     unsigned short sport, unsigned short dport)
{
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = protocol,
			    .saddr = htonl(source), .daddr = target.s_addr };
	size_t length;

	if (protocol == IPPROTO_TCP) {
		struct tcphdr tcp = { .source = htons(sport), .dest = htons(dport), .seq = (unsigned int)chosen(),
				      .doff = 5, .syn = 1, .window = htons(1000) };

		tcp.check = folded(sum16(&ip.saddr, 8, sum16(&tcp, sizeof(tcp), protocol + sizeof(tcp))));
		memcpy(at + sizeof(ip), &tcp, sizeof(tcp));
		length = sizeof(tcp);
	} else {
		length = put_udp(at + sizeof(ip), sport, dport);
	}
	ip.tot_len = htons(sizeof(ip) + length);
	ip.check = folded(sum16(&ip, sizeof(ip), 0));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip) + length;
}

static size_t put_v6(unsigned char *at, unsigned long long high, unsigned long long low)
{
	struct ip6_hdr ip = { .ip6_dst = target6 };
	unsigned int words[4] = { htonl(high >> 32), htonl(high), htonl(low >> 32), htonl(low) };
	struct udphdr udp = { .source = htons(1000), .dest = htons(port), .len = htons(8) };
	size_t i;

	ip.ip6_flow = htonl(6u << 28);
	ip.ip6_plen = htons(8);
	ip.ip6_nxt = IPPROTO_UDP;
	ip.ip6_hlim = 64;
	memcpy(&ip.ip6_src, words, sizeof(words));
	udp.check = folded(sum16(&ip.ip6_src, 32, sum16(&udp, 8, IPPROTO_UDP + 8)));
	if (!udp.check)
		udp.check = 0xffff;
	i = sizeof(ip);
	memcpy(at, &ip, i);
	memcpy(at + i, &udp, sizeof(udp));
	return i + sizeof(udp);
}

/* The packet of that number: bytes behind the Ethernet header, 0 if there is no such pattern. */
static size_t put(unsigned char *at, const char *pattern, unsigned long number)
{
	unsigned int n = number;
	const unsigned int base = 0x0a800000;

	if (!strcmp(pattern, "syn"))
		return put_v4(at, base | (chosen() >> 41), IPPROTO_TCP, 1024 + (chosen() >> 48) % 64512, port);
	if (!strcmp(pattern, "udp"))
		return put_v4(at, base | (chosen() >> 41), IPPROTO_UDP, chosen() >> 48, chosen() >> 48);
	if (!strcmp(pattern, "ports"))
		return put_v4(at, base + 1, IPPROTO_UDP, n + 1, port);
	if (!strcmp(pattern, "addresses"))
		return put_v4(at, base + n, IPPROTO_UDP, 1000, port);
	/* Below 224.0.0.0, and neither 0.0.0.0/8 nor 127.0.0.0/8. */
	if (!strcmp(pattern, "high"))
		return put_v4(at, (20 + n % 100) << 24 | n / 100 % 256 << 16 | n / 25600 << 8 | 1, IPPROTO_UDP, 1000, port);
	if (!strcmp(pattern, "sum"))
		return put_v4(at, base + n, IPPROTO_UDP, 60000 - n, port);
	if (!strcmp(pattern, "xor"))
		return put_v4(at, base + n, IPPROTO_UDP, n ^ 0x5a5a, port);
	if (!strcmp(pattern, "swapped"))
		return put_v4(at, base + 1, IPPROTO_UDP, n & 1 ? n / 2 + 1 : 60000 - n / 2,
			      n & 1 ? 60000 - n / 2 : n / 2 + 1);
	if (!strcmp(pattern, "six-strides"))
		return put_v6(at, 0xfd77ULL << 48, (unsigned long long)n << 32 | 1);
	if (!strcmp(pattern, "six-sum"))
		return put_v6(at, (0xfd77ULL << 48) + n, (1ULL << 40) - n);
	if (!strcmp(pattern, "six-xor"))
		return put_v6(at, 0xfd77ULL << 48 | n, (0xaaaaULL << 48) ^ n);
	if (!strcmp(pattern, "six-random"))
		return put_v6(at, 0xfd77ULL << 48 | chosen() >> 16, chosen());
	return 0;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static int mac(unsigned char *at, const char *text)
{
	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", at, at + 1, at + 2, at + 3, at + 4, at + 5) == 6;
}

int main(int argc, char **argv)
{
	static unsigned char frames[BATCH][FRAME];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec parts[BATCH];
	struct sockaddr_ll link = { .sll_family = AF_PACKET };
	unsigned char ethernet[14];
	unsigned long packets, per_second, sent = 0;
	double began = now();
	int one, i;

	if (argc != 10 || !mac(ethernet, argv[3]) || !mac(ethernet + 6, argv[2]) ||
	    !inet_aton(argv[4], &target)) {
		fprintf(stderr, "flood: 9 arguments; see its source\n");
		return 2;
	}
	inet_pton(AF_INET6, "fd00::2", &target6);
	port = atoi(argv[5]);
	packets = strtoul(argv[7], NULL, 0);
	per_second = strtoul(argv[8], NULL, 0);
	/* Never 0, which would stay 0. */
	chance = 2 * strtoull(argv[9], NULL, 0) + 1;
	signal(SIGTERM, stop);
	one = socket(AF_PACKET, SOCK_RAW, 0);
	link.sll_ifindex = if_nametoindex(argv[1]);
	if (one < 0 || bind(one, (void *)&link, sizeof(link))) {
		perror("flood: the link");
		return 1;
	}
	for (i = 0; i < BATCH; i++) {
		parts[i].iov_base = frames[i];
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (!over && (!packets || sent < packets)) {
		int count = packets && packets - sent < BATCH ? (int)(packets - sent) : BATCH;
		int done = 0;

		for (i = 0; i < count; i++) {
			size_t length = put(frames[i] + 14, argv[6], sent + i);

			if (!length) {
				fprintf(stderr, "flood: there is no pattern '%s'\n", argv[6]);
				return 2;
			}
			memcpy(frames[i], ethernet, 12);
			frames[i][12] = frames[i][14] >> 4 == 4 ? 0x08 : 0x86;
			frames[i][13] = frames[i][14] >> 4 == 4 ? 0x00 : 0xdd;
			parts[i].iov_len = 14 + length;
		}
		while (done < count) {
			int went = sendmmsg(one, messages + done, count - done, 0);

			if (went < 0 && errno != ENOBUFS && errno != EINTR && errno != EAGAIN) {
				perror("flood: sendmmsg");
				return 1;
			}
			done += went > 0 ? went : 0;
		}
		sent += count;
		if (per_second) {
			double ahead = began + (double)sent / per_second - now();
			struct timespec pause = { .tv_sec = ahead, .tv_nsec = (ahead - (time_t)ahead) * 1e9 };

			if (ahead > 0)
				nanosleep(&pause, NULL);
		}
	}
	printf("%lu\n", sent);
	return 0;
}
