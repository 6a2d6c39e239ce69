/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the C files of the adapter share, and the one place that knows how kernels differ.
 * PROBED_* come from probed.h: the build compiles each section of probe.c against the
 * headers of the kernel at hand, and defines those that compile.
 */
#ifndef MUTEX_ADAPTER_H
#define MUTEX_ADAPTER_H

#include <linux/bottom_half.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/dst.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "probed.h"
#include "wrappers.h"

/* Differences between kernels */

static inline kuid_t mutex_sk_uid(const struct sock *sk)
{
#ifdef PROBED_SK_UID
	return sk_uid(sk);
#else
	return READ_ONCE(((struct sock *)sk)->sk_uid);
#endif
}

static inline struct net_device *mutex_dst_device(const struct dst_entry *dst)
{
#ifdef PROBED_DST_DEV_RCU
	return dst_dev_rcu(dst);
#else
	return READ_ONCE(((struct dst_entry *)dst)->dev);
#endif
}

/* The workqueue of work that runs on any CPU. */
#ifdef PROBED_SYSTEM_DFL_WQ
#define mutex_unbound_workqueue system_dfl_wq
#else
#define mutex_unbound_workqueue system_unbound_wq
#endif

static inline void mutex_vma_flags(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
#ifdef PROBED_VM_FLAGS_MOD
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

/* Bytes of a hop-by-hop header that is in the buffer and not on the wire: how kernels
 * before 7.0 mark IPv6 packets over 64 KiB (BIG TCP). */
static inline u32 mutex_jumbo_header(const struct sk_buff *skb)
{
#ifdef PROBED_JUMBO_HEADER
	return ipv6_has_hopopt_jumbo(skb) ? sizeof(struct hop_jumbo_hdr) : 0;
#else
	return 0;
#endif
}

/* The table of UDP sockets. */
static inline struct udp_table *mutex_udp_table(const struct net *net)
{
#ifdef PROBED_NETNS_UDP_TABLE
	return net->ipv4.udp_table;
#else
	return &udp_table;
#endif
}

/* Whether a UDP socket that is bound to no device receives what comes in by a VRF. */
static inline bool mutex_udp_takes_vrf(const struct net *net)
{
#ifdef CONFIG_NET_L3_MASTER_DEV
	return READ_ONCE(net->ipv4.sysctl_udp_l3mdev_accept);
#else
	return true;
#endif
}

/* Whether a socket receives datagrams for groups that others have joined. */
static inline bool mutex_takes_all_multicast4(const struct sock *sk)
{
#ifdef PROBED_INET_FLAGS
	return inet_test_bit(MC_ALL, sk);
#else
	return inet_sk(sk)->mc_all;
#endif
}

static inline bool mutex_takes_all_multicast6(const struct sock *sk)
{
#ifdef PROBED_INET_FLAGS
	return inet_test_bit(MC6_ALL, sk);
#else
	return inet6_sk(sk)->mc_all;
#endif
}

/* Pinning: nothing else that counts runs on this CPU. */

static inline void pin(void)
{
	/* With PREEMPT_RT bottom halves are preempted like tasks, and run in no interrupt: then
	 * preemption is all that has to be off. Bottom halves must not be switched off there,
	 * because that takes a lock that sleeps, and tracepoints are called in atomic context. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
	else
		local_bh_disable();
}

static inline void unpin(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
	else
		local_bh_enable();
}

/* Sockets */

/* Addresses, ports and namespace of a socket; false if it is neither IPv4 nor IPv6. */
bool mutex_ends_of(const struct sock *sk, struct mutex_ends *ends);

static inline void mutex_put_v4(u8 address[16], __be32 v4)
{
	ipv6_addr_set_v4mapped(v4, (struct in6_addr *)address);
}

/* Reads the socket's latest round-trip sample. With SACK a new sample comes with the sending time
 * of another segment (RACK, RFC 8985). Without, and while only the handshake was measured, RACK has
 * none; then the estimator's state tells each sample (see TcpSocket in module/core/timing.rs), and
 * where it has taken several, the newest is that of the data acknowledged last, whose sending time
 * the delivery rate's estimator keeps. As RACK does, it is left out if it is below the minimum: then
 * it may be the answer to an earlier transmission of that data.
 *
 * A received packet is looked at before its socket is locked, so the socket's owner may be
 * writing these fields on another CPU, as plain words. Each read is whole, and none depends on
 * another: at worst a sample is reported with the value of the next one, whose sending time comes
 * with a later packet. */
static __always_inline void read_tcp(const struct sock *sk, struct mutex_tcp *tcp)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u32 srtt = data_race(READ_ONCE(tp->srtt_us));
	u64 mstamp;
	s64 rtt;

	if (!srtt)
		return;
	mstamp = data_race(READ_ONCE(tp->rack.mstamp));
	tcp->srtt = srtt;
	tcp->deviation = data_race(READ_ONCE(tp->mdev_us));
	if (likely(mstamp)) {
		tcp->sample = (u32)mstamp ?: 1;
		tcp->rtt = data_race(READ_ONCE(tp->rack.rtt_us));
		return;
	}
	tcp->sample = 0;
	rtt = data_race(READ_ONCE(tp->delivered_mstamp)) - data_race(READ_ONCE(tp->first_tx_mstamp));
	tcp->rtt = rtt > 0 && rtt <= U32_MAX && rtt >= data_race(tcp_min_rtt(tp)) ? rtt : 0;
}

#endif
