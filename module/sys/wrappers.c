// SPDX-License-Identifier: GPL-2.0-only
/* What wrappers.h promises. The module's only C. */

#include <linux/cgroup.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/irq_work.h>
#include <linux/jump_label.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/nsproxy.h>
#include <linux/percpu.h>
#include <linux/poll.h>
#include <linux/proc_fs.h>
#include <linux/random.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/uuid.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <net/dropreason.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "wrappers.h"

/* Pinning */

void mutex_pin(void)
{
	local_bh_disable();
	/* With PREEMPT_RT bottom halves that are off can still be preempted. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
}

void mutex_unpin(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
	local_bh_enable();
}

/* Packets */

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

/* A new sample comes with the sending time of another segment (RACK, RFC 8985).
 *
 * What is received is looked at before its socket is locked, so its owner may be writing these on
 * another CPU, as plain words. Each read is whole, and none depends on another: at worst a sample is
 * told with the value of the next one, whose sending time comes with a later packet. */
static __always_inline void read_tcp(const struct sock *sk, struct mutex_tcp *tcp)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u32 srtt = data_race(READ_ONCE(tp->srtt_us));

	if (!srtt)
		return;
	tcp->sample = (u32)data_race(READ_ONCE(tp->rack.mstamp));
	tcp->rtt = data_race(READ_ONCE(tp->rack.rtt_us));
	tcp->srtt = srtt >> 3;
	/* Only the handshake was measured, whose sample is all that was smoothed. */
	if (!tcp->sample) {
		tcp->sample = 1;
		tcp->rtt = tcp->srtt;
	}
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
		mutex_pin();
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
		mutex_unpin();
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
	view.socket = NULL;
	view.tcp.sample = 0;
	view.tcp.rtt = 0;
	view.tcp.srtt = 0;
	if (unlikely(shared->gso_size)) {
		view.gso_size = shared->gso_size == GSO_BY_FRAGS ? 0 : shared->gso_size;
		view.gso_count = max_t(u32, shared->gso_segs, 1);
		if (skb->encapsulation)
			view.gso_headers = carried_headers(skb);
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

/* Owners */

static int describe(struct sock *sk, bool sending, struct mutex_owner *owner)
{
	struct socket *socket;

	if (sk->sk_kern_sock)
		return MUTEX_OWNER_KERNEL;
	owner->socket = (unsigned long)sk;
	owner->single = sk_is_tcp(sk);
	owner->uid = from_kuid(&init_user_ns, sk_uid(sk));
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

/* Probes */

static const struct mutex_probe_calls *probe_calls;
static void *probe_context;

static void put_v4(u8 address[16], __be32 v4)
{
	ipv6_addr_set_v4mapped(v4, (struct in6_addr *)address);
}

/* False if the socket is neither IPv4 nor IPv6. */
static bool ends_of(const struct sock *sk, struct mutex_ends *ends)
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
		put_v4(ends->local, inet->inet_saddr);
		put_v4(ends->remote, inet->inet_daddr);
		return true;
	}
	if (!IS_ENABLED(CONFIG_IPV6) || sk->sk_family != AF_INET6)
		return false;
	ends->family = 6;
	memcpy(ends->local, &inet6_sk(sk)->saddr, 16);
	memcpy(ends->remote, &sk->sk_v6_daddr, 16);
	return true;
}

static void enter_probe(void)
{
	rcu_read_lock();
	mutex_pin();
}

static void leave_probe(void)
{
	mutex_unpin();
	rcu_read_unlock();
}

static void probe_state(void *unused, const struct sock *sk, const int before, const int after)
{
	struct mutex_state_change change = {
		.before = before,
		.after = after,
		.now = ktime_get_coarse_boottime_ns(),
	};
	int error = READ_ONCE(sk->sk_err);

	if (sk->sk_protocol != IPPROTO_TCP || after == TCP_LISTEN || before == TCP_LISTEN)
		return;
	if (!ends_of(sk, &change.ends))
		return;
	change.reset = error == ECONNRESET || error == ECONNREFUSED || error == EPIPE;
	change.failed = error != 0;
	read_tcp(sk, &change.tcp);
	enter_probe();
	probe_calls->state(probe_context, &change);
	leave_probe();
}

static void probe_retransmit(void *unused, const struct sock *sk, const struct sk_buff *skb, int error)
{
	struct mutex_ends ends;

	if (!ends_of(sk, &ends))
		return;
	enter_probe();
	probe_calls->retransmit(probe_context, &ends, tcp_skb_pcount(skb), skb->len, error != 0);
	leave_probe();
}

static void probe_retransmit_synack(void *unused, const struct sock *sk, const struct request_sock *req)
{
	const struct inet_request_sock *ireq = inet_rsk(req);
	struct mutex_ends ends = {
		.local_port = ireq->ir_num,
		.remote_port = ntohs(ireq->ir_rmt_port),
		.netns = sock_net(sk)->ns.inum,
		.interface = ireq->ir_iif,
		.protocol = IPPROTO_TCP,
	};

	if (ireq->ireq_family == AF_INET) {
		ends.family = 4;
		put_v4(ends.local, ireq->ir_loc_addr);
		put_v4(ends.remote, ireq->ir_rmt_addr);
	} else if (IS_ENABLED(CONFIG_IPV6)) {
		ends.family = 6;
		memcpy(ends.local, &ireq->ir_v6_loc_addr, 16);
		memcpy(ends.remote, &ireq->ir_v6_rmt_addr, 16);
	}
	enter_probe();
	probe_calls->retransmit(probe_context, &ends, 1, 0, false);
	leave_probe();
}

/* Whether a packet that is dropped for that reason still has its device: on a
 * socket's queue and in some others the same place has another use. */
static bool has_device(enum skb_drop_reason reason)
{
	switch (reason) {
	case SKB_DROP_REASON_NETFILTER_DROP:
	case SKB_DROP_REASON_IP_CSUM:
	case SKB_DROP_REASON_IP_INHDR:
	case SKB_DROP_REASON_IP_RPFILTER:
	case SKB_DROP_REASON_OTHERHOST:
	case SKB_DROP_REASON_QDISC_DROP:
	case SKB_DROP_REASON_TC_EGRESS:
	case SKB_DROP_REASON_TC_INGRESS:
		return true;
	default:
		return false;
	}
}

/* The inode number of the network namespace that a dropped packet was in, 0 if
 * it is unknown. */
static u32 netns_of(const struct sk_buff *skb, enum skb_drop_reason reason, const struct sock *sk)
{
	const struct net_device *dev = READ_ONCE(skb->dev);
	const struct net *net;
	u32 inum;

	if (!sk)
		sk = skb->sk;
	if (sk)
		return sock_net(sk)->ns.inum;
	/* The route can be no route but the tunnel that the packet came by, which has no device. */
	if (skb_valid_dst(skb))
		return dev_net(dst_dev_rcu(skb_dst(skb)))->ns.inum;
	/* A queue that has something else there after all must not be a fault. */
	if (dev && has_device(reason) &&
	    !copy_from_kernel_nofault(&net, &dev->nd_net.net, sizeof(net)) &&
	    !copy_from_kernel_nofault(&inum, &net->ns.inum, sizeof(inum)))
		return inum;
	return 0;
}

static void probe_drop(void *unused, struct sk_buff *skb, void *location, enum skb_drop_reason reason,
		       const struct sock *rx_sk)
{
	struct mutex_dropped dropped = {
		.reason = reason,
		.packets = max_t(u32, skb_shinfo(skb)->gso_segs, 1),
		.interface = skb->skb_iif,
	};

	if (skb->protocol == htons(ETH_P_IP))
		dropped.family = 4;
	else if (skb->protocol == htons(ETH_P_IPV6))
		dropped.family = 6;
	else
		return;
	/* Bottom halves cannot be let on again here, and one that was interrupted may be
	 * just about to count. */
	if (irqs_disabled())
		return;
	switch (reason) {
	case SKB_DROP_REASON_TCP_CSUM:
	case SKB_DROP_REASON_UDP_CSUM:
	case SKB_DROP_REASON_IP_CSUM:
	case SKB_DROP_REASON_ICMP_CSUM:
	case SKB_DROP_REASON_SKB_CSUM:
		dropped.bad_checksum = 1;
		break;
	default:
		break;
	}
	enter_probe();
	dropped.netns = netns_of(skb, reason, rx_sk);
	if (skb_mac_header_was_set(skb) || skb->network_header) {
		const u8 *start = skb_network_header(skb);
		const u8 *end = skb_tail_pointer(skb);

		if (start >= skb->head && start < end) {
			dropped.bytes = start;
			dropped.available = min_t(u32, end - start, MUTEX_WINDOW);
		}
	}
	probe_calls->drop(probe_context, &dropped);
	leave_probe();
}

/* Tracepoints that are found by name, because the kernel does not export them. */
static struct probe {
	const char *name;
	void *call;
	struct tracepoint *tracepoint;
	bool attached;
} probes[] = {
	{ .name = "inet_sock_set_state", .call = probe_state },
	{ .name = "tcp_retransmit_skb", .call = probe_retransmit },
	{ .name = "tcp_retransmit_synack", .call = probe_retransmit_synack },
	{ .name = "kfree_skb", .call = probe_drop },
};

static void find_probe(struct tracepoint *tracepoint, void *unused)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(tracepoint->name, probes[i].name))
			probes[i].tracepoint = tracepoint;
}

#ifdef CONFIG_KPROBES
static void release(struct socket *socket)
{
	const struct sock *sk = socket->sk;

	if (!sk || sk->sk_protocol == IPPROTO_TCP)
		return;
	/* Not pinned: interrupts can be off here, where bottom halves cannot be let on again. */
	rcu_read_lock();
	probe_calls->release(probe_context, (unsigned long)sk, SOCK_INODE(socket)->i_ino);
	rcu_read_unlock();
}

static int release_called(struct kprobe *unused, struct pt_regs *registers)
{
	release((struct socket *)regs_get_kernel_argument(registers, 0));
	return 0;
}

/* No tracepoint tells that a socket is closed. */
static struct kprobe release_probe = {
	.symbol_name = "inet_release",
	.pre_handler = release_called,
};
static bool release_probed;

static int release_attach(void)
{
	int error;

	/* A probe that was registered before keeps what it found. */
	release_probe.addr = NULL;
	release_probe.flags = 0;
	error = register_kprobe(&release_probe);
	release_probed = !error;
	return error;
}

static void release_detach(void)
{
	if (release_probed)
		unregister_kprobe(&release_probe);
	release_probed = false;
}
#else
static int release_attach(void)
{
	return -EOPNOTSUPP;
}

static void release_detach(void)
{
}
#endif

int mutex_probes_register(const struct mutex_probe_calls *calls, void *context)
{
	size_t i;
	int error;

	if (cmpxchg(&probe_calls, NULL, calls))
		return -EBUSY;
	probe_context = context;
	for_each_kernel_tracepoint(find_probe, NULL);
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		struct probe *probe = &probes[i];

		if (!probe->tracepoint) {
			pr_warn("mutex: this kernel has no tracepoint %s: what it tells is not counted\n",
				probe->name);
			continue;
		}
		error = tracepoint_probe_register(probe->tracepoint, probe->call, NULL);
		if (error) {
			mutex_probes_unregister();
			return error;
		}
		probe->attached = true;
	}
	error = release_attach();
	if (error == -ENOMEM) {
		mutex_probes_unregister();
		return error;
	}
	if (error)
		pr_info("mutex: this kernel has no kprobes: sockets other than TCP's are forgotten when they are idle\n");
	return 0;
}

void mutex_probes_unregister(void)
{
	size_t i;

	release_detach();
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		if (probes[i].attached)
			tracepoint_probe_unregister(probes[i].tracepoint, probes[i].call, NULL);
		probes[i].attached = false;
		probes[i].tracepoint = NULL;
	}
	tracepoint_synchronize_unregister();
	probe_calls = NULL;
}

bool mutex_drop_name(__u32 reason, __u8 *name, __u32 size)
{
	const struct drop_reason_list *list;
	bool known = false;

	rcu_read_lock();
	list = rcu_dereference(drop_reasons_by_subsys[SKB_DROP_REASON_SUBSYS_CORE]);
	if (list && reason < list->n_reasons && list->reasons[reason]) {
		strscpy(name, list->reasons[reason], size);
		known = true;
	}
	rcu_read_unlock();
	return known;
}

/* Work */

static u32 (*work_call)(void *context);
static void *work_context;

static void work_run(struct work_struct *unused);
static DECLARE_DELAYED_WORK(work, work_run);

static void work_run(struct work_struct *unused)
{
	u32 delay = work_call(work_context);

	queue_delayed_work(system_dfl_wq, &work, msecs_to_jiffies(delay));
}

int mutex_work_start(__u32 (*call)(void *context), void *context)
{
	if (cmpxchg(&work_call, NULL, call))
		return -EBUSY;
	work_context = context;
	queue_delayed_work(system_dfl_wq, &work, 0);
	return 0;
}

void mutex_work_stop(void)
{
	cancel_delayed_work_sync(&work);
	work_call = NULL;
}

/* Files */

/* seq_file wants a pointer for an item; it is the position plus one. */
static void *item(struct seq_file *seq, loff_t *position)
{
	const struct mutex_file *file = pde_data(file_inode(seq->file));
	s64 found = file->text->seek(seq->private, *position);

	if (found < 0)
		return NULL;
	*position = found;
	return (void *)(uintptr_t)(found + 1);
}

static void *text_start(struct seq_file *seq, loff_t *position)
{
	return item(seq, position);
}

static void *text_next(struct seq_file *seq, void *unused, loff_t *position)
{
	++*position;
	return item(seq, position);
}

static void text_stop(struct seq_file *seq, void *unused)
{
}

static int text_show(struct seq_file *seq, void *token)
{
	const struct mutex_file *file = pde_data(file_inode(seq->file));

	return file->text->show(seq->private, seq, (uintptr_t)token - 1);
}

static const struct seq_operations text_items = {
	.start = text_start,
	.next = text_next,
	.stop = text_stop,
	.show = text_show,
};

static int text_open(struct inode *inode, struct file *opened)
{
	const struct mutex_file *file = pde_data(inode);
	struct seq_file *seq;
	void *state;
	int error;

	state = file->text->open(file->context);
	if (IS_ERR(state))
		return PTR_ERR(state);
	error = seq_open(opened, &text_items);
	if (error) {
		file->text->close(state);
		return error;
	}
	seq = opened->private_data;
	seq->private = state;
	/* Without it seq_file makes do with a page. */
	if (file->text->room)
		seq->buf = kvmalloc(file->text->room, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (seq->buf)
		seq->size = file->text->room;
	return 0;
}

static int text_release(struct inode *inode, struct file *opened)
{
	const struct mutex_file *file = pde_data(inode);

	file->text->close(((struct seq_file *)opened->private_data)->private);
	return seq_release(inode, opened);
}

/* Who waits for a file to have more: readers, poll and epoll. */
static DECLARE_WAIT_QUEUE_HEAD(waiters);
static bool removing;

static void wake_waiters(struct irq_work *unused)
{
	wake_up_interruptible_all(&waiters);
}

/* Packets wake from contexts that may hold any lock; an interrupt of its own does not. */
static struct irq_work waker = IRQ_WORK_INIT(wake_waiters);

void mutex_files_wake(void)
{
	rcu_read_lock();
	/* With a barrier: who is just about to wait has either been seen here, or sees
	 * what there is now. */
	if (wq_has_sleeper(&waiters))
		irq_work_queue(&waker);
	rcu_read_unlock();
}

static __poll_t text_poll(struct file *opened, struct poll_table_struct *table)
{
	const struct mutex_file *file = pde_data(file_inode(opened));
	struct seq_file *seq = opened->private_data;
	bool more;

	poll_wait(opened, &waiters, table);
	mutex_lock(&seq->lock);
	more = seq->count || file->text->seek(seq->private, seq->index) >= 0;
	mutex_unlock(&seq->lock);
	return more || READ_ONCE(removing) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* Whoever opened the file must have been allowed to, not only the process that writes: that may
 * be a privileged one that was given the file as its standard error. */
static bool opener_may_administer(const struct file *opened)
{
	return file_ns_capable(opened, &init_user_ns, CAP_NET_ADMIN);
}

static ssize_t text_write(struct file *opened, const char __user *user, size_t length, loff_t *unused)
{
	const struct mutex_file *file = pde_data(file_inode(opened));

	if (!file->text->write)
		return -EINVAL;
	if (!opener_may_administer(opened))
		return -EPERM;
	return file->text->write(file->context, (const void __force *)user, length);
}

static const struct proc_ops text_operations = {
	.proc_open = text_open,
	.proc_read_iter = seq_read_iter,
	.proc_write = text_write,
	.proc_poll = text_poll,
	.proc_lseek = seq_lseek,
	.proc_release = text_release,
};

static int stream_file_open(struct inode *inode, struct file *opened)
{
	const struct mutex_file *file = pde_data(inode);
	void *state = file->stream->open(file->context);

	if (IS_ERR(state))
		return PTR_ERR(state);
	opened->private_data = state;
	return stream_open(inode, opened);
}

/* False if a signal came. `ready` may sleep, so this must not be half asleep when it asks. */
static bool wait_until_ready(const struct mutex_stream_calls *stream, void *state)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	bool interrupted = false;

	add_wait_queue(&waiters, &wait);
	/* Pairs with wq_has_sleeper() in mutex_files_wake(). */
	smp_mb();
	while (!READ_ONCE(removing) && !stream->ready(state) && !interrupted) {
		wait_woken(&wait, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT);
		interrupted = signal_pending(current);
	}
	remove_wait_queue(&waiters, &wait);
	return !interrupted;
}

static ssize_t stream_file_read(struct file *opened, char __user *user, size_t length, loff_t *unused)
{
	const struct mutex_file *file = pde_data(file_inode(opened));
	const struct mutex_stream_calls *stream = file->stream;
	void *state = opened->private_data;

	for (;;) {
		ssize_t result = stream->read(state, (void __force *)user, length);

		if (result != -EAGAIN || !stream->ready || (opened->f_flags & O_NONBLOCK))
			return result;
		if (READ_ONCE(removing))
			return 0;
		if (!wait_until_ready(stream, state))
			return -ERESTARTSYS;
	}
}

static ssize_t stream_file_write(struct file *opened, const char __user *user, size_t length,
				 loff_t *unused)
{
	const struct mutex_file *file = pde_data(file_inode(opened));

	if (!file->stream->write)
		return -EINVAL;
	if (!opener_may_administer(opened))
		return -EPERM;
	return file->stream->write(opened->private_data, (const void __force *)user, length);
}

static __poll_t stream_file_poll(struct file *opened, struct poll_table_struct *table)
{
	const struct mutex_file *file = pde_data(file_inode(opened));

	poll_wait(opened, &waiters, table);
	if (!file->stream->ready || file->stream->ready(opened->private_data) || READ_ONCE(removing))
		return EPOLLIN | EPOLLRDNORM;
	return 0;
}

static int map_part(struct vm_area_struct *vma, unsigned long *at, const void *memory, u64 bytes)
{
	u64 offset;

	for (offset = 0; offset < bytes; offset += PAGE_SIZE) {
		int error;

		if (*at >= vma->vm_end)
			return 0;
		error = vm_insert_page(vma, *at, vmalloc_to_page(memory + offset));
		if (error)
			return error;
		*at += PAGE_SIZE;
	}
	return 0;
}

/* All pages at once, so that a mapping needs the module no more: pages that are
 * still mapped outlive it. */
static int stream_file_map(struct file *opened, struct vm_area_struct *vma)
{
	const struct mutex_file *file = pde_data(file_inode(opened));
	unsigned long at = vma->vm_start;
	const void *memory;
	u32 part;
	u64 bytes;

	if (!file->stream->map)
		return -ENODEV;
	if (vma->vm_pgoff)
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE | VM_MAYEXEC);
	for (part = 0; file->stream->map(opened->private_data, part, &memory, &bytes); part++) {
		int error = map_part(vma, &at, memory, bytes);

		if (error)
			return error;
	}
	if (!part)
		return -EPERM;
	/* More than there is. */
	return at < vma->vm_end ? -EINVAL : 0;
}

static int stream_file_release(struct inode *inode, struct file *opened)
{
	const struct mutex_file *file = pde_data(inode);

	file->stream->close(opened->private_data);
	return 0;
}

static const struct proc_ops stream_operations = {
	.proc_open = stream_file_open,
	.proc_read = stream_file_read,
	.proc_write = stream_file_write,
	.proc_poll = stream_file_poll,
	.proc_mmap = stream_file_map,
	.proc_release = stream_file_release,
};

static struct proc_dir_entry *directory;
static const struct mutex_file *created;

int mutex_files_create(const struct mutex_file *files, __u32 count)
{
	u32 i;

	if (cmpxchg(&created, NULL, files))
		return -EBUSY;
	removing = false;
	directory = proc_mkdir("mutex", NULL);
	if (!directory) {
		created = NULL;
		return -ENOMEM;
	}
	for (i = 0; i < count; i++) {
		const struct mutex_file *file = &files[i];
		const struct proc_ops *operations =
			file->text ? &text_operations : &stream_operations;

		if (!proc_create_data(file->name, file->mode, directory, operations,
				      (void *)file)) {
			mutex_files_remove();
			return -ENOMEM;
		}
	}
	return 0;
}

void mutex_files_remove(void)
{
	/* Whoever reads and waits has to leave before the files can go. */
	WRITE_ONCE(removing, true);
	wake_up_interruptible_all(&waiters);
	proc_remove(directory);
	irq_work_sync(&waker);
	/* A poll that is under way still stands in the queue, which goes with the
	 * module; so does an epoll, which is told to forget it. Not by
	 * wake_up_pollfree(), which wants the polls to have left before. */
	__wake_up(&waiters, TASK_NORMAL, 0, poll_to_key(EPOLLHUP | POLLFREE));
	while (waitqueue_active(&waiters)) {
		wake_up_interruptible_all(&waiters);
		msleep(1);
	}
	/* Someone may have found waiters and be about to wake them; now there are none. */
	synchronize_rcu();
	irq_work_sync(&waker);
	created = NULL;
}

bool mutex_may_administer(void)
{
	return capable(CAP_NET_ADMIN);
}

void mutex_current(__u32 *pid, __u32 *uid, __u8 command[16])
{
	*pid = task_tgid_nr(current);
	*uid = from_kuid(&init_user_ns, current_uid());
	strscpy_pad(command, current->group_leader->comm, 16);
}

bool mutex_may_log(void)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 10);

	return __ratelimit(&limit);
}

char *mutex_seq_room(struct seq_file *seq, __u64 *bytes)
{
	char *room;

	*bytes = seq_get_buf(seq, &room);
	return room;
}

void mutex_seq_written(struct seq_file *seq, __s32 bytes)
{
	seq_commit(seq, bytes);
}

int mutex_reader_netns(__u32 *netns)
{
	const struct net *net = current->nsproxy->net_ns;

	*netns = net->ns.inum;
	return net == &init_net;
}

/* Memory */

void *mutex_memory_allocate(__u64 bytes)
{
	/* Fail rather than let the OOM killer make room for a large table. */
	gfp_t how = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;

	/* At a million connections most of a packet's time is finding pages, of which there are fewer
	 * if they are large. What rounding up to one takes is a sixteenth at most. */
	return bytes >= 16 * PMD_SIZE ? vmalloc_huge(bytes, how) : __vmalloc(bytes, how);
}

void mutex_memory_free(void *memory)
{
	vfree(memory);
}

__u64 mutex_memory_total(void)
{
	return (u64)totalram_pages() << PAGE_SHIFT;
}

/* Rust keeps per-CPU pointers as plain ones; by way of an integer, because the
 * compiler may have an address space of its own for them. */
static void __percpu *percpu(void *areas)
{
	return (void __percpu *)(uintptr_t)areas;
}

void *mutex_percpu_allocate(__u64 bytes, __u64 align)
{
	return (void *)(uintptr_t)__alloc_percpu_gfp(bytes, align, GFP_KERNEL | __GFP_NOWARN);
}

void mutex_percpu_free(void *areas)
{
	free_percpu(percpu(areas));
}

void *mutex_percpu_this(void *areas)
{
	return this_cpu_ptr(percpu(areas));
}

void *mutex_percpu_of(void *areas, __u32 cpu)
{
	return per_cpu_ptr(percpu(areas), cpu);
}

int mutex_percpu_next(int cpu)
{
	unsigned int next = cpumask_next(cpu, cpu_possible_mask);

	return next < nr_cpu_ids ? (int)next : -1;
}

/* The rest */

void mutex_read_lock(void)
{
	rcu_read_lock();
}

void mutex_read_unlock(void)
{
	rcu_read_unlock();
}

void mutex_grace_period(void)
{
	synchronize_rcu();
}

void mutex_grace_period_soon(void)
{
	synchronize_rcu_expedited();
}

void mutex_random(void *bytes, __u64 length)
{
	get_random_bytes(bytes, length);
}

__u64 mutex_now_exact(void)
{
	return ktime_get_boottime_ns();
}

__u64 mutex_now(void)
{
	return ktime_get_coarse_boottime_ns();
}

void mutex_moment(__u64 *unix_ns, __u64 *boot_ns)
{
	/* By the offsets, not by reading two clocks: so what is shown of one moment
	 * is the same at every reading, unless the clock was set in between. */
	*boot_ns = ktime_get_boottime_ns();
	*unix_ns = *boot_ns + ktime_to_ns(ktime_mono_to_any(0, TK_OFFS_REAL)) -
		   ktime_to_ns(ktime_mono_to_any(0, TK_OFFS_BOOT));
}

int mutex_boot_id(__u8 id[16])
{
	char text[UUID_STRING_LEN + 1] = {};
	struct file *file;
	loff_t position = 0;
	ssize_t length;
	uuid_t uuid;

	memset(id, 0, 16);
	file = filp_open("/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
	if (IS_ERR(file))
		return PTR_ERR(file) == -ENOMEM ? -ENOMEM : 0;
	length = kernel_read(file, text, UUID_STRING_LEN, &position);
	if (length == UUID_STRING_LEN && !uuid_parse(text, &uuid))
		export_uuid(id, &uuid);
	filp_close(file, NULL);
	return length == -ENOMEM ? -ENOMEM : 0;
}
