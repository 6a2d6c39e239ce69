// SPDX-License-Identifier: GPL-2.0-only
/* Sockets: their two ends, and their owners. */

#include <linux/cgroup.h>
#include <linux/sched.h>
#include <net/ip.h>
#include <net/inet_sock.h>
#include <net/udp.h>

#include "adapter.h"

static int describe(struct sock *sk, bool sending, struct mutex_owner *owner)
{
	struct socket *socket;

	if (sk->sk_kern_sock)
		return MUTEX_OWNER_KERNEL;
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

int mutex_owner_of(const struct mutex_view *view, __u16 source_port, __u16 destination_port,
		   struct mutex_owner *owner)
{
	struct sk_buff *skb = view->buffer;
	struct sock *sk = view->socket;
	int result;

	if (sk)
		return describe(sk, view->hook == MUTEX_HOOK_OUT, owner);
	if (view->hook != MUTEX_HOOK_IN || !(source_port | destination_port))
		return MUTEX_OWNER_UNKNOWN;
	if (view->family == 4)
		sk = udp4_lib_lookup(view->net, ip_hdr(skb)->saddr, htons(source_port),
				     ip_hdr(skb)->daddr, htons(destination_port), inet_iif(skb));
	else
		sk = udp6_lib_lookup(view->net, &ipv6_hdr(skb)->saddr, htons(source_port),
				     &ipv6_hdr(skb)->daddr, htons(destination_port),
				     inet6_iif(skb));
	if (!sk)
		return MUTEX_OWNER_UNKNOWN;
	result = describe(sk, false, owner);
	sock_put(sk);
	return result;
}

bool mutex_ends_of(const struct sock *sk, struct mutex_ends *ends)
{
	const struct inet_sock *inet = inet_sk(sk);

	*ends = (struct mutex_ends){
		.local_port = ntohs(inet->inet_sport),
		.remote_port = ntohs(inet->inet_dport),
		.netns = sock_net(sk)->ns.inum,
		.interface = READ_ONCE(sk->sk_bound_dev_if),
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
