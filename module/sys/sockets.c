// SPDX-License-Identifier: GPL-2.0-only
/* Sockets: their two ends, and their owners. */

#include <linux/cgroup.h>
#include <linux/filter.h>
#include <linux/igmp.h>
#include <linux/sched.h>
#include <net/if_inet6.h>
#include <net/ip.h>
#include <net/inet_sock.h>
#include <net/l3mdev.h>
#include <net/sock_reuseport.h>
#include <net/udp.h>

#include "adapter.h"

static int describe(struct sock *sk, bool sending, struct mutex_owner *owner)
{
	struct socket *socket;

	/* TCP answers segments that fit no socket, and those of a connection that is being opened, by
	 * a raw socket of the kernel. The connection can still get an owner. */
	if (sk->sk_kern_sock)
		return sk->sk_type == SOCK_RAW && sk->sk_protocol == IPPROTO_TCP ? MUTEX_OWNER_UNKNOWN :
										    MUTEX_OWNER_KERNEL;
	owner->socket = (unsigned long)sk;
	owner->single = sk_is_tcp(sk);
	owner->uid = from_kuid(&init_user_ns, mutex_sk_uid(sk));
#ifdef CONFIG_SOCK_CGROUP_DATA
	owner->cgroup = cgroup_id(sock_cgroup_ptr(&sk->sk_cgrp_data));
#endif
	/* The inode outlives the socket by a grace period. */
	socket = READ_ONCE(sk->sk_socket);
	if (socket)
		owner->inode = SOCK_INODE(socket)->i_ino;
	else if (sk->sk_protocol != IPPROTO_TCP)
		return MUTEX_OWNER_UNKNOWN;
	/* In process context the current process is the sender; in a bottom half
	 * it is whoever was interrupted. */
	if (sending && in_task() && !(current->flags & PF_KTHREAD)) {
		owner->pid = task_tgid_nr(current);
		strscpy(owner->command, current->group_leader->comm, sizeof(owner->command));
	}
	return MUTEX_OWNER_PROCESS;
}

/* Whether a socket can have sent that packet. Tunnels such as PPTP's hand the socket of the packet
 * inside on with the packet around it. A raw socket can send any protocol. */
static bool can_have_sent(const struct sock *sk, u8 protocol, u16 source_port)
{
	if (sk->sk_type == SOCK_RAW)
		return sk->sk_protocol == protocol || sk->sk_protocol == IPPROTO_RAW;
	if (sk->sk_protocol != protocol)
		return false;
	return !source_port || (protocol != IPPROTO_UDP && protocol != IPPROTO_TCP) ||
	       inet_sk(sk)->inet_num == source_port;
}

/* UDP sockets of one hash chain that are looked at for a member of a multicast group. */
#define MEMBERS_MAX 256

static bool is_member4(const struct sock *sk, __be32 group, int interface, int slave)
{
	const struct ip_mc_socklist *list;

	for (list = rcu_dereference(inet_sk(sk)->mc_list); list; list = rcu_dereference(list->next_rcu))
		if (list->multi.imr_multiaddr.s_addr == group &&
		    (list->multi.imr_ifindex == interface || (slave && list->multi.imr_ifindex == slave)))
			return true;
	return false;
}

static bool is_member6(const struct sock *sk, const struct in6_addr *group)
{
#if IS_ENABLED(CONFIG_IPV6)
	const struct ipv6_mc_socklist *list;

	if (sk->sk_family != AF_INET6)
		return false;
	for (list = rcu_dereference(inet6_sk(sk)->ipv6_mc_list); list; list = rcu_dereference(list->next))
		if (ipv6_addr_equal(&list->addr, group))
			return true;
#endif
	return false;
}

/* A socket that receives a multicast datagram: one that has joined the group, else, as
 * IP_MULTICAST_ALL is the default, one that is bound to the port. The kernel gives a copy to each;
 * the connection has one owner, the first of them in the kernel's table. */
static struct sock *multicast_receiver(const struct mutex_view *view, u16 source_port, u16 port)
{
	const struct sk_buff *skb = view->buffer;
	struct udp_hslot *slot = udp_hashslot(mutex_udp_table(view->net), view->net, port);
	int interface = view->interface, slave = view->l3mdev;
	struct sock *other = NULL, *sk;
	int looked_at = 0;

	sk_for_each_rcu(sk, &slot->head) {
		const struct inet_sock *inet = inet_sk(sk);

		if (++looked_at > MEMBERS_MAX)
			break;
		if (!net_eq(sock_net(sk), view->net) || udp_sk(sk)->udp_port_hash != port)
			continue;
		if (inet->inet_dport && inet->inet_dport != htons(source_port))
			continue;
		if (sk->sk_bound_dev_if && sk->sk_bound_dev_if != interface && sk->sk_bound_dev_if != slave)
			continue;
		if (view->family == 4) {
			__be32 group = ip_hdr(skb)->daddr;

			if (ipv6_only_sock(sk) || (inet->inet_rcv_saddr && inet->inet_rcv_saddr != group) ||
			    (inet->inet_daddr && inet->inet_daddr != ip_hdr(skb)->saddr))
				continue;
			if (is_member4(sk, group, interface, slave))
				return sk;
			if (!other && mutex_takes_all_multicast4(sk))
				other = sk;
		} else {
			const struct in6_addr *group = &ipv6_hdr(skb)->daddr;

			if (sk->sk_family != AF_INET6 ||
			    (!ipv6_addr_any(&sk->sk_v6_rcv_saddr) &&
			     !ipv6_addr_equal(&sk->sk_v6_rcv_saddr, group)) ||
			    (!ipv6_addr_any(&sk->sk_v6_daddr) &&
			     !ipv6_addr_equal(&sk->sk_v6_daddr, &ipv6_hdr(skb)->saddr)))
				continue;
			if (is_member6(sk, group))
				return sk;
			if (!other && mutex_takes_all_multicast6(sk))
				other = sk;
		}
	}
	return other;
}

static struct sock *look_up(const struct mutex_view *view, u16 source_port, u16 port, int interface)
{
	const struct sk_buff *skb = view->buffer;

	if (view->family == 4)
		return udp4_lib_lookup(view->net, ip_hdr(skb)->saddr, htons(source_port),
				       ip_hdr(skb)->daddr, htons(port), interface);
	return udp6_lib_lookup(view->net, &ipv6_hdr(skb)->saddr, htons(source_port),
			       &ipv6_hdr(skb)->daddr, htons(port), interface);
}

/* The socket that the kernel will find for a datagram, with a reference. In a VRF it is one bound to
 * the interface or to the VRF, else one bound to neither if those take what a VRF receives. */
static struct sock *unicast_receiver(const struct mutex_view *view, u16 source_port, u16 port)
{
	const struct sk_buff *skb = view->buffer;
	struct sock *sk, *other;

	if (!view->l3mdev)
		return look_up(view, source_port, port,
			       view->family == 4 ? inet_iif(skb) : inet6_iif(skb));
	sk = look_up(view, source_port, port, view->interface);
	if (sk && sk->sk_bound_dev_if)
		return sk;
	other = look_up(view, source_port, port, view->l3mdev);
	if (other && other->sk_bound_dev_if) {
		if (sk)
			sock_put(sk);
		return other;
	}
	if (other)
		sock_put(other);
	if (sk && !mutex_udp_takes_vrf(view->net)) {
		sock_put(sk);
		return NULL;
	}
	return sk;
}

/* Which of the sockets that share a port with SO_REUSEPORT a program selects. A classic program
 * depends on the packet alone, so it is run; another one may count its runs, so it is not, and the
 * owner is not known until the socket sends. Takes over the reference to `sk`. */
static struct sock *selected(struct sock *sk, const struct mutex_view *view, u32 headers)
{
#ifdef CONFIG_BPF
	struct sk_buff *skb = view->buffer;
	struct sock_reuseport *group = rcu_dereference(sk->sk_reuseport_cb);
	struct bpf_prog *program = group ? rcu_dereference(group->prog) : NULL;
	struct sock *other;
	u32 index;

	if (!program || sk->sk_state == TCP_ESTABLISHED)
		return sk;
	if (!bpf_prog_was_classic(program) || skb_headlen(skb) < headers) {
		sock_put(sk);
		return NULL;
	}
	/* As reuseport_select_sock() does, which hashes where the result is no socket's number. */
	__skb_pull(skb, headers);
	index = bpf_prog_run_save_cb(program, skb);
	__skb_push(skb, headers);
	if (index >= READ_ONCE(group->num_socks))
		return sk;
	other = READ_ONCE(group->socks[index]);
	if (other != sk && refcount_inc_not_zero(&other->sk_refcnt)) {
		sock_put(sk);
		return other;
	}
#endif
	return sk;
}

int mutex_owner_of(const struct mutex_view *view, __u8 protocol, __u16 source_port,
		   __u16 destination_port, struct mutex_owner *owner)
{
	const struct sk_buff *skb = view->buffer;
	struct sock *sk = view->socket;
	bool multicast;
	int result;

	if (sk && view->hook == MUTEX_HOOK_OUT)
		return can_have_sent(sk, protocol, source_port) ? describe(sk, true, owner) :
								   MUTEX_OWNER_UNKNOWN;
	if (sk)
		return describe(sk, false, owner);
	if (view->hook != MUTEX_HOOK_IN || protocol != IPPROTO_UDP)
		return MUTEX_OWNER_UNKNOWN;
	if (view->family == 4)
		multicast = skb_rtable(skb) && skb_rtable(skb)->rt_flags & (RTCF_MULTICAST | RTCF_BROADCAST);
	else
		multicast = ipv6_addr_is_multicast(&ipv6_hdr(skb)->daddr);
	if (multicast) {
		sk = multicast_receiver(view, source_port, destination_port);
		return sk ? describe(sk, false, owner) : MUTEX_OWNER_UNKNOWN;
	}
	sk = unicast_receiver(view, source_port, destination_port);
	if (sk)
		sk = selected(sk, view, skb_transport_offset(skb) + sizeof(struct udphdr));
	if (!sk)
		return MUTEX_OWNER_UNKNOWN;
	result = describe(sk, false, owner);
	sock_put(sk);
	return result;
}

/* The VRF of a socket: that of its route, else of the device that it is bound to. */
static u32 l3mdev_of(const struct sock *sk)
{
	u32 l3mdev = 0;
#ifdef CONFIG_NET_L3_MASTER_DEV
	const struct dst_entry *dst;

	rcu_read_lock();
	dst = rcu_dereference(sk->sk_dst_cache);
	if (dst)
		l3mdev = l3mdev_master_ifindex_rcu(mutex_dst_device(dst));
	else
		l3mdev = l3mdev_master_ifindex_by_index(sock_net(sk), READ_ONCE(sk->sk_bound_dev_if));
	rcu_read_unlock();
#endif
	return l3mdev;
}

bool mutex_ends_of(const struct sock *sk, struct mutex_ends *ends)
{
	const struct inet_sock *inet = inet_sk(sk);

	*ends = (struct mutex_ends){
		.local_port = ntohs(inet->inet_sport),
		.remote_port = ntohs(inet->inet_dport),
		.netns = sock_net(sk)->ns.inum,
		.interface = READ_ONCE(sk->sk_bound_dev_if),
		.l3mdev = l3mdev_of(sk),
		.protocol = sk->sk_protocol,
	};
	if (sk->sk_family == AF_INET || (sk->sk_family == AF_INET6 && ipv6_addr_v4mapped(&sk->sk_v6_daddr))) {
		ends->family = 4;
		mutex_put_v4(ends->local, inet->inet_saddr);
		mutex_put_v4(ends->remote, inet->inet_daddr);
		return true;
	}
	if (!IS_ENABLED(CONFIG_IPV6) || sk->sk_family != AF_INET6)
		return false;
	ends->family = 6;
	memcpy(ends->local, &inet6_sk(sk)->saddr, 16);
	memcpy(ends->remote, &sk->sk_v6_daddr, 16);
	return true;
}
