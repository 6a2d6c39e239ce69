// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the kernel at hand differs from others, found by compiling: `probe-headers` compiles each
 * section with only its own PROBE_* defined, and writes PROBED_* for those that compile.
 *
 * CONTROL has to compile. Lines "one of" name sections of which exactly one has to compile, and
 * what to say otherwise.
 */

#include <linux/mm.h>
#include <linux/workqueue.h>
#include <net/dropreason.h>
#include <net/dst.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp.h>
#include <trace/events/skb.h>
#include <trace/events/sock.h>
#include <trace/events/tcp.h>

#ifdef PROBE_CONTROL
int probe(const struct sk_buff *skb)
{
	return skb->len;
}
#endif

#ifdef PROBE_SK_UID
kuid_t probe(const struct sock *sk)
{
	return sk_uid(sk);
}
#endif

#ifdef PROBE_DST_DEV_RCU
struct net_device *probe(const struct dst_entry *dst)
{
	return dst_dev_rcu(dst);
}
#endif

#ifdef PROBE_SYSTEM_DFL_WQ
struct workqueue_struct *probe(void)
{
	return system_dfl_wq;
}
#endif

#ifdef PROBE_VM_FLAGS_MOD
void probe(struct vm_area_struct *vma)
{
	vm_flags_mod(vma, VM_DONTEXPAND, VM_MAYWRITE);
}
#endif

#ifdef PROBE_JUMBO_HEADER
int probe(const struct sk_buff *skb)
{
	return ipv6_has_hopopt_jumbo(skb) + sizeof(struct hop_jumbo_hdr);
}
#endif

#ifdef PROBE_NETNS_UDP_TABLE
struct udp_table *probe(const struct net *net)
{
	return net->ipv4.udp_table;
}
#endif

#ifdef PROBE_INET_FLAGS
bool probe(const struct sock *sk)
{
	return inet_test_bit(MC_ALL, sk) && inet_test_bit(MC6_ALL, sk);
}
#endif

#ifdef PROBE_LISTEN_OVERFLOW
int probe(void)
{
	return SKB_DROP_REASON_TCP_LISTEN_OVERFLOW;
}
#endif

/* one of: DROP_REASONS_BY_SUBSYSTEM DROP_REASONS_ARRAY: the kernel's list of drop reasons has a form that is not known */
#ifdef PROBE_DROP_REASONS_BY_SUBSYSTEM
const struct drop_reason_list *probe(void)
{
	return rcu_dereference(drop_reasons_by_subsys[SKB_DROP_REASON_SUBSYS_CORE]);
}
#endif

#ifdef PROBE_DROP_REASONS_ARRAY
const char *probe(void)
{
	return drop_reasons[SKB_DROP_REASON_MAX - 1];
}
#endif

/* one of: STATE: the tracepoint inet_sock_set_state has a prototype that is not known */
#ifdef PROBE_STATE
static void state(void *data, const struct sock *sk, const int before, const int after) {}

void probe(void)
{
	check_trace_callback_type_inet_sock_set_state(state);
}
#endif

/* one of: RETRANSMIT RETRANSMIT_ERROR: the tracepoint tcp_retransmit_skb has a prototype that is not known */
#ifdef PROBE_RETRANSMIT
static void retransmit(void *data, const struct sock *sk, const struct sk_buff *skb) {}

void probe(void)
{
	check_trace_callback_type_tcp_retransmit_skb(retransmit);
}
#endif

#ifdef PROBE_RETRANSMIT_ERROR
static void retransmit(void *data, const struct sock *sk, const struct sk_buff *skb, int error) {}

void probe(void)
{
	check_trace_callback_type_tcp_retransmit_skb(retransmit);
}
#endif

/* one of: RETRANSMIT_SYNACK: the tracepoint tcp_retransmit_synack has a prototype that is not known */
#ifdef PROBE_RETRANSMIT_SYNACK
static void synack(void *data, const struct sock *sk, const struct request_sock *req) {}

void probe(void)
{
	check_trace_callback_type_tcp_retransmit_synack(synack);
}
#endif

/* one of: DROP DROP_SOCKET DROP_CONST_SOCKET: the tracepoint kfree_skb has a prototype that is not known */
#ifdef PROBE_DROP
static void drop(void *data, struct sk_buff *skb, void *location, enum skb_drop_reason reason) {}

void probe(void)
{
	check_trace_callback_type_kfree_skb(drop);
}
#endif

#ifdef PROBE_DROP_SOCKET
static void drop(void *data, struct sk_buff *skb, void *location, enum skb_drop_reason reason,
		 struct sock *sk) {}

void probe(void)
{
	check_trace_callback_type_kfree_skb(drop);
}
#endif

#ifdef PROBE_DROP_CONST_SOCKET
static void drop(void *data, struct sk_buff *skb, void *location, enum skb_drop_reason reason,
		 const struct sock *sk) {}

void probe(void)
{
	check_trace_callback_type_kfree_skb(drop);
}
#endif
