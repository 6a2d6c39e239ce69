// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of what wrappers.h promises, inside the kernel that it is written for.
 * MUTEX_KUNIT=1 builds this in place of the other C files, and a module that registers
 * nothing but what a test registers: see Kbuild.
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/fs_struct.h>
#include <linux/icmp.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/mman.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/umh.h>
#include <net/sock.h>

/* Milliseconds by which a test stretches the time between looking for waiters and waking them. */
static unsigned int wake_takes;

static bool looked_for_waiters(bool found)
{
	if (READ_ONCE(wake_takes))
		mdelay(READ_ONCE(wake_takes));
	return found;
}

#define wq_has_sleeper(queue) looked_for_waiters(wq_has_sleeper(queue))
#include "files.c"
#include "hooks.c"
#include "memory.c"
#include "parameters.c"
#include "probes.c"
#include "sockets.c"
#include "system.c"
#undef wq_has_sleeper

#define PORT 4242
/* What takes this long never comes. An emulated processor is slow. */
#define PATIENCE (60 * HZ)

/* In kunit.rs. */
void *mutex_kunit_load(void);
void mutex_kunit_unload(void *loaded);

#define wait_until(condition)						\
({									\
	unsigned long late = jiffies + PATIENCE;			\
	while (!(condition) && time_before(jiffies, late))		\
		msleep(1);						\
	(condition);							\
})

/*
 * Releases a resource when the case ends, also if a failed assertion ends it: that stops the case's
 * thread where it is. KUnit runs the suite's exit function first, then these actions in reverse order.
 * kunit_release_action() runs one earlier.
 */
static void at_end(struct kunit *test, kunit_action_t *release, void *resource)
{
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, release, resource), 0);
}

KUNIT_DEFINE_ACTION_WRAPPER(thread_stop, kthread_stop_put, struct task_struct *);
KUNIT_DEFINE_ACTION_WRAPPER(file_close, __fput_sync, struct file *);

/* Starts a thread that has ended when the case has. */
static void thread_start(struct kunit *test, int (*call)(void *data), void *data)
{
	struct task_struct *thread = kthread_create(call, data, "mutex_kunit");

	KUNIT_ASSERT_FALSE(test, IS_ERR(thread));
	get_task_struct(thread);
	at_end(test, thread_stop, thread);
	wake_up_process(thread);
}

/* Runs a command in the machine, as the kernel runs its helpers. */
static int run(const char *command)
{
	char *words[] = { "/bin/sh", "-c", (char *)command, NULL };
	char *environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };

	return call_usermodehelper(words[0], words, environment, UMH_WAIT_PROC);
}

static int send_datagram(struct net *net)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof(to) };
	struct kvec body = { .iov_base = "mutex", .iov_len = 5 };
	struct socket *socket;
	int error = sock_create_kern(net, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &socket);

	if (error)
		return error;
	error = kernel_sendmsg(socket, &message, &body, 1, body.iov_len);
	sock_release(socket);
	return error < 0 ? error : 0;
}

/* Hooks */

/* What the calls of a test's hooks saw. */
static struct {
	atomic_t out;
	atomic_t in;
	atomic_t watched;
	atomic_t wrong_context;
	atomic_t gone;
	atomic_t batches;
	atomic_t elsewhere;		/* packets of another namespace than the first */
	atomic_t elsewhere_gone;	/* the same, after that was said to be gone */
	atomic_t late;			/* calls after the hooks were to be gone */
	u32 gone_netns;
	bool over;
} hooked;

static void hook_called(void)
{
	if (READ_ONCE(hooked.over))
		atomic_inc(&hooked.late);
}

static void hooked_packet(void *context, void *area, const struct mutex_view *view)
{
	const struct iphdr *ip = (const struct iphdr *)view->bytes;
	const struct udphdr *udp = (const struct udphdr *)(ip + 1);

	hook_called();
	if (context != &hooked || !rcu_read_lock_held() || !softirq_count() || in_hardirq() ||
	    irqs_disabled())
		atomic_inc(&hooked.wrong_context);
	if (view->netns != init_net.ns.inum) {
		atomic_inc(&hooked.elsewhere);
		if (view->netns == READ_ONCE(hooked.gone_netns))
			atomic_inc(&hooked.elsewhere_gone);
		return;
	}
	if (view->family != 4 || view->available < sizeof(*ip) + sizeof(*udp) ||
	    ip->protocol != IPPROTO_UDP || udp->dest != htons(PORT))
		return;
	if (view->hook == MUTEX_HOOK_OUT)
		atomic_inc(&hooked.out);
	else if (view->hook == MUTEX_HOOK_IN)
		atomic_inc(&hooked.in);
}

static void hooked_watched_packet(void *context, void *area, const struct mutex_view *view)
{
	atomic_inc(&hooked.watched);
}

static void hooked_netns_gone(void *context, const __u32 *netns, __u32 count)
{
	hook_called();
	might_sleep();
	WRITE_ONCE(hooked.gone_netns, netns[0]);
	atomic_add(count, &hooked.gone);
	atomic_inc(&hooked.batches);
}

static const struct mutex_hook_calls hooked_calls = {
	.packet = hooked_packet,
	.watched_packet = hooked_watched_packet,
	.netns_gone = hooked_netns_gone,
};

static int hooks_init(struct kunit *test)
{
	memset(&hooked, 0, sizeof(hooked));
	return mutex_hooks_register(&hooked_calls, &hooked, NULL);
}

static void hooks_exit(struct kunit *test)
{
	if (hook_calls)
		mutex_hooks_unregister();
	while (mutex_packet_watches())
		mutex_watch_packets(false);
}

/* The hooks are taken away, and from now on no call may come. */
static void hooks_end(void)
{
	mutex_hooks_unregister();
	WRITE_ONCE(hooked.over, true);
}

static void hooks_see_both_ends(struct kunit *test)
{
	int i;

	for (i = 0; i < 10; i++)
		KUNIT_ASSERT_EQ(test, send_datagram(&init_net), 0);
	KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&hooked.in) == 10));
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.out), 10);
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.watched), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.wrong_context), 0);
}

static void hooks_switch_to_watched(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, mutex_packet_watches(), 0);
	mutex_watch_packets(true);
	mutex_watch_packets(true);
	KUNIT_EXPECT_EQ(test, mutex_packet_watches(), 2);
	mutex_watch_packets(false);
	KUNIT_EXPECT_EQ(test, mutex_packet_watches(), 1);
	KUNIT_EXPECT_EQ(test, send_datagram(&init_net), 0);
	KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&hooked.watched) >= 2));
	mutex_watch_packets(false);
	KUNIT_EXPECT_EQ(test, mutex_packet_watches(), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.out), 0);
	KUNIT_EXPECT_EQ(test, send_datagram(&init_net), 0);
	KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&hooked.in) == 1));
}

static int flood(void *unused)
{
	while (!kthread_should_stop()) {
		send_datagram(&init_net);
		/* Whoever detaches a kprobe waits for each task to give way by itself. */
		cond_resched_tasks_rcu_qs();
	}
	return 0;
}

static void hooks_are_registered_once(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, mutex_hooks_register(&hooked_calls, NULL, NULL), -EBUSY);
	KUNIT_EXPECT_EQ(test, send_datagram(&init_net), 0);
	KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&hooked.in) == 1));
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.wrong_context), 0);
}

static void hooks_end_under_flood(struct kunit *test)
{
	int i, round, packets;

	for (i = 0; i < 2; i++)
		thread_start(test, flood, NULL);
	for (round = 0; round < 5; round++) {
		packets = atomic_read(&hooked.in);
		KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&hooked.in) > packets + 10));
		hooks_end();
		msleep(5);
		hooked.over = false;
		KUNIT_ASSERT_EQ(test, mutex_hooks_register(&hooked_calls, &hooked, NULL), 0);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.late), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.wrong_context), 0);
}

static void hooks_follow_namespaces(struct kunit *test)
{
	/* ping may find that it has no answer yet when all is over. */
	KUNIT_ASSERT_EQ(test, run("unshare --net sh -c 'ip link set lo up; ping -q -c 3 -i 0.01 127.0.0.1; true'"), 0);
	KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&hooked.batches)));
	/* Requests and answers, on their way out and in. */
	KUNIT_EXPECT_GE(test, atomic_read(&hooked.elsewhere), 4);
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.gone), 1);
	KUNIT_EXPECT_NE(test, hooked.gone_netns, 0);
	KUNIT_EXPECT_NE(test, hooked.gone_netns, init_net.ns.inum);
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.elsewhere_gone), 0);
}

static void hooks_of_a_namespace_end_before_it_is_told(struct kunit *test)
{
	int round;

	/* What a namespace still has to say when it goes comes before it is called gone. */
	for (round = 1; round <= 3; round++) {
		/* The next namespace may get the number of the last. */
		WRITE_ONCE(hooked.gone_netns, 0);
		KUNIT_ASSERT_EQ(test, run("unshare --net sh -c 'ip link set lo up; "
					  "ping -q -i 0.01 127.0.0.1 & sleep 0.2; kill -KILL $!'"), 0);
		KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&hooked.batches) >= round));
		KUNIT_EXPECT_EQ(test, atomic_read(&hooked.gone), round);
		net_ns_barrier();
		msleep(20);
	}
	KUNIT_EXPECT_GE(test, atomic_read(&hooked.elsewhere), 12);
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.elsewhere_gone), 0);
}

static void hooks_that_end_tell_of_no_namespace(struct kunit *test)
{
	hooks_end();
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.gone), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.batches), 0);
	KUNIT_ASSERT_EQ(test, run("unshare --net true"), 0);
	KUNIT_ASSERT_EQ(test, send_datagram(&init_net), 0);
	net_ns_barrier();
	msleep(20);
	KUNIT_EXPECT_EQ(test, atomic_read(&hooked.late), 0);
}

static struct kunit_case hooks_cases[] = {
	KUNIT_CASE(hooks_see_both_ends),
	KUNIT_CASE(hooks_switch_to_watched),
	KUNIT_CASE(hooks_are_registered_once),
	KUNIT_CASE(hooks_end_under_flood),
	KUNIT_CASE(hooks_follow_namespaces),
	KUNIT_CASE(hooks_of_a_namespace_end_before_it_is_told),
	KUNIT_CASE(hooks_that_end_tell_of_no_namespace),
	{}
};

static struct kunit_suite hooks_suite = {
	.name = "mutex_hooks",
	.init = hooks_init,
	.exit = hooks_exit,
	.test_cases = hooks_cases,
};

/* Probes */

static struct {
	atomic_t drops;
	atomic_t states;
	atomic_t releases;
	atomic_t wrong_context;
	u32 reason;
	u32 netns;
	u64 socket;
	u64 inode;
} probed;

static void check_probe_context(void *context)
{
	if (context != &probed || !rcu_read_lock_held() || !softirq_count() || in_hardirq())
		atomic_inc(&probed.wrong_context);
}

static void probed_state(void *context, const struct mutex_state_change *change)
{
	check_probe_context(context);
	atomic_inc(&probed.states);
}

static void probed_retransmit(void *context, const struct mutex_ends *ends, __u32 packets, __u32 bytes,
			      bool failed)
{
	check_probe_context(context);
}

static void probed_drop(void *context, const struct mutex_dropped *dropped)
{
	check_probe_context(context);
	/* Other packets can be dropped meanwhile. */
	if (dropped->reason != SKB_DROP_REASON_NETFILTER_DROP)
		return;
	probed.reason = dropped->reason;
	probed.netns = dropped->netns;
	atomic_inc(&probed.drops);
}

static void probed_release(void *context, __u64 socket, __u64 inode)
{
	if (context != &probed || !rcu_read_lock_held())
		atomic_inc(&probed.wrong_context);
	if (socket != READ_ONCE(probed.socket))
		return;
	probed.inode = inode;
	atomic_inc(&probed.releases);
}

static const struct mutex_probe_calls probed_calls = {
	.state = probed_state,
	.retransmit = probed_retransmit,
	.drop = probed_drop,
	.release = probed_release,
};

static int probes_init(struct kunit *test)
{
	memset(&probed, 0, sizeof(probed));
	return 0;
}

static void probes_exit(struct kunit *test)
{
	mutex_probes_unregister();
}

static unsigned int attached(void)
{
	unsigned int i, bits = 0;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		bits |= probes[i].attached << i;
	return bits;
}

/* An IPv4 packet of nobody. */
static struct sk_buff *packet(void)
{
	struct sk_buff *skb = alloc_skb(128, GFP_KERNEL);

	if (skb) {
		skb_put_zero(skb, sizeof(struct iphdr));
		skb_reset_network_header(skb);
		skb->protocol = htons(ETH_P_IP);
	}
	return skb;
}

static void drop_packet(struct kunit *test)
{
	struct sk_buff *skb = packet();

	KUNIT_ASSERT_NOT_NULL(test, skb);
	kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
}

static void probes_attach_and_detach(struct kunit *test)
{
	int round;

	drop_packet(test);
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.drops), 0);
	for (round = 1; round <= 10; round++) {
		KUNIT_ASSERT_EQ(test, mutex_probes_register(&probed_calls, &probed), 0);
		KUNIT_EXPECT_EQ(test, attached(), 15);
		drop_packet(test);
		KUNIT_EXPECT_EQ(test, atomic_read(&probed.drops), round);
		KUNIT_EXPECT_EQ(test, probed.reason, SKB_DROP_REASON_NETFILTER_DROP);
		mutex_probes_unregister();
		KUNIT_EXPECT_EQ(test, attached(), 0);
		drop_packet(test);
		KUNIT_EXPECT_EQ(test, atomic_read(&probed.drops), round);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.wrong_context), 0);
}

static void probes_detach_without_attaching(struct kunit *test)
{
	mutex_probes_unregister();
	KUNIT_ASSERT_EQ(test, mutex_probes_register(&probed_calls, &probed), 0);
	mutex_probes_unregister();
	mutex_probes_unregister();
	KUNIT_EXPECT_EQ(test, attached(), 0);
}

static void probes_attach_once(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, mutex_probes_register(&probed_calls, &probed), 0);
	KUNIT_EXPECT_EQ(test, mutex_probes_register(&probed_calls, NULL), -EBUSY);
	KUNIT_EXPECT_EQ(test, attached(), 15);
	drop_packet(test);
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.drops), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.wrong_context), 0);
}

static void probes_do_without_what_a_kernel_lacks(struct kunit *test)
{
	const char *name = probes[1].name;
	int error;

	probes[1].name = "no_such_tracepoint";
	error = mutex_probes_register(&probed_calls, &probed);
	probes[1].name = name;
	KUNIT_EXPECT_EQ(test, error, 0);
	KUNIT_EXPECT_EQ(test, attached(), 13);
	drop_packet(test);
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.drops), 1);
	mutex_probes_unregister();
	KUNIT_EXPECT_EQ(test, attached(), 0);
	KUNIT_EXPECT_EQ(test, mutex_probes_register(&probed_calls, &probed), 0);
	KUNIT_EXPECT_EQ(test, attached(), 15);
}

static void probes_tell_of_states(struct kunit *test)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct socket *socket;

	KUNIT_ASSERT_EQ(test, mutex_probes_register(&probed_calls, &probed), 0);
	KUNIT_ASSERT_EQ(test, sock_create_kern(&init_net, AF_INET, SOCK_STREAM, IPPROTO_TCP, &socket), 0);
	KUNIT_EXPECT_EQ(test, kernel_connect(socket, (void *)&to, sizeof(to), 0), -ECONNREFUSED);
	sock_release(socket);
	/* To SYN_SENT and back. */
	KUNIT_EXPECT_GE(test, atomic_read(&probed.states), 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.wrong_context), 0);
}

static void probes_tell_of_sockets_that_are_closed(struct kunit *test)
{
	struct socket *socket;
	u64 inode;

	if (!IS_ENABLED(CONFIG_KPROBES))
		kunit_skip(test, "this kernel has no kprobes");
	KUNIT_ASSERT_EQ(test, mutex_probes_register(&probed_calls, &probed), 0);
	KUNIT_ASSERT_EQ(test, sock_create_kern(&init_net, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &socket), 0);
	WRITE_ONCE(probed.socket, (unsigned long)socket->sk);
	inode = SOCK_INODE(socket)->i_ino;
	sock_release(socket);
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.releases), 1);
	KUNIT_EXPECT_EQ(test, probed.inode, inode);
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.wrong_context), 0);
}

static void drops_from_tunnels_have_no_route(struct kunit *test)
{
	struct metadata_dst *tunnel;
	struct sk_buff *skb;

	KUNIT_ASSERT_EQ(test, mutex_probes_register(&probed_calls, &probed), 0);
	skb = packet();
	KUNIT_ASSERT_NOT_NULL(test, skb);
	tunnel = metadata_dst_alloc(0, METADATA_IP_TUNNEL, GFP_KERNEL);
	if (!tunnel)
		kfree_skb(skb);
	KUNIT_ASSERT_NOT_NULL(test, tunnel);
	skb_dst_set(skb, &tunnel->dst);
	skb->dev = init_net.loopback_dev;
	kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.drops), 1);
	KUNIT_EXPECT_EQ(test, probed.netns, init_net.ns.inum);
}

static struct sk_buff *dropped_in_interrupt;

static void drop_in_interrupt(struct irq_work *unused)
{
	kfree_skb_reason(dropped_in_interrupt, SKB_DROP_REASON_NETFILTER_DROP);
}

static void drops_in_interrupts_are_left_out(struct kunit *test)
{
	struct irq_work interrupt = IRQ_WORK_INIT_HARD(drop_in_interrupt);

	KUNIT_ASSERT_EQ(test, mutex_probes_register(&probed_calls, &probed), 0);
	dropped_in_interrupt = packet();
	KUNIT_ASSERT_NOT_NULL(test, dropped_in_interrupt);
	irq_work_queue(&interrupt);
	irq_work_sync(&interrupt);
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.drops), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&probed.wrong_context), 0);
}

static void drop_reasons_have_names(struct kunit *test)
{
	u8 name[32] = {}, little[4] = {};

	KUNIT_EXPECT_TRUE(test, mutex_drop_name(SKB_DROP_REASON_NETFILTER_DROP, name, sizeof(name)));
	KUNIT_EXPECT_STREQ(test, (const char *)name, "NETFILTER_DROP");
	KUNIT_EXPECT_TRUE(test, mutex_drop_name(SKB_DROP_REASON_NETFILTER_DROP, little, sizeof(little)));
	KUNIT_EXPECT_STREQ(test, (const char *)little, "NET");
	KUNIT_EXPECT_FALSE(test, mutex_drop_name(SKB_DROP_REASON_MAX + 1, name, sizeof(name)));
	KUNIT_EXPECT_FALSE(test, mutex_drop_name(U32_MAX, name, sizeof(name)));
}

static struct kunit_case probes_cases[] = {
	KUNIT_CASE(probes_attach_and_detach),
	KUNIT_CASE(probes_detach_without_attaching),
	KUNIT_CASE(probes_attach_once),
	KUNIT_CASE(probes_do_without_what_a_kernel_lacks),
	KUNIT_CASE(probes_tell_of_states),
	KUNIT_CASE(probes_tell_of_sockets_that_are_closed),
	KUNIT_CASE(drops_from_tunnels_have_no_route),
	KUNIT_CASE(drops_in_interrupts_are_left_out),
	KUNIT_CASE(drop_reasons_have_names),
	{}
};

static struct kunit_suite probes_suite = {
	.name = "mutex_probes",
	.init = probes_init,
	.exit = probes_exit,
	.test_cases = probes_cases,
};

/* Work */

static struct {
	atomic_t runs;
	atomic_t running;
	atomic_t wrong_context;
	unsigned int takes;	/* milliseconds */
} worked;

static u32 worked_call(void *context)
{
	atomic_inc(&worked.running);
	if (context != &worked || !in_task() || preempt_count() || irqs_disabled())
		atomic_inc(&worked.wrong_context);
	if (worked.takes)
		msleep(worked.takes);
	atomic_inc(&worked.runs);
	atomic_dec(&worked.running);
	return 1;
}

static void work_exit(struct kunit *test)
{
	mutex_work_stop();
}

static void work_stops(struct kunit *test)
{
	int round, runs;

	for (round = 0; round < 5; round++) {
		memset(&worked, 0, sizeof(worked));
		KUNIT_ASSERT_EQ(test, mutex_work_start(worked_call, &worked), 0);
		KUNIT_EXPECT_EQ(test, mutex_work_start(worked_call, NULL), -EBUSY);
		KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&worked.runs) >= 3));
		mutex_work_stop();
		runs = atomic_read(&worked.runs);
		msleep(20);
		KUNIT_EXPECT_EQ(test, atomic_read(&worked.runs), runs);
		KUNIT_EXPECT_EQ(test, atomic_read(&worked.wrong_context), 0);
	}
}

static void work_stops_when_it_is_done(struct kunit *test)
{
	memset(&worked, 0, sizeof(worked));
	worked.takes = 100;
	KUNIT_ASSERT_EQ(test, mutex_work_start(worked_call, &worked), 0);
	KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&worked.running)));
	mutex_work_stop();
	KUNIT_EXPECT_EQ(test, atomic_read(&worked.running), 0);
	KUNIT_EXPECT_GE(test, atomic_read(&worked.runs), 1);
}

static struct kunit_case work_cases[] = {
	KUNIT_CASE(work_stops),
	KUNIT_CASE(work_stops_when_it_is_done),
	{}
};

static struct kunit_suite work_suite = {
	.name = "mutex_work",
	.exit = work_exit,
	.test_cases = work_cases,
};

/* Files */

static struct {
	atomic_t opened;
	atomic_t closed;
	atomic_t after_close;
	atomic_t written;
	atomic_t asleep;	/* `ready` was called by who could not sleep */
	int open_error;
	int ready;
	struct { const void *memory; u64 bytes; } parts[2];
} filed;

static void *filed_open(void *context)
{
	if (filed.open_error)
		return ERR_PTR(filed.open_error);
	atomic_inc(&filed.opened);
	return context;
}

static void filed_close(void *state)
{
	atomic_inc(&filed.closed);
}

static void filed_used(void)
{
	if (atomic_read(&filed.closed) == atomic_read(&filed.opened))
		atomic_inc(&filed.after_close);
}

static s64 filed_seek(void *state, u64 position)
{
	filed_used();
	return position < 3 ? position : -1;
}

static int filed_show(void *state, struct seq_file *seq, u64 position)
{
	char *room;
	u64 bytes;

	filed_used();
	room = mutex_seq_room(seq, &bytes);
	if (bytes >= 5)
		memcpy(room, "line\n", 5);
	mutex_seq_written(seq, bytes >= 5 ? 5 : -1);
	return 0;
}

static s64 filed_write(void *context, const void *user, u64 length)
{
	filed_used();
	atomic_inc(&filed.written);
	return length;
}

static s64 filed_read(void *state, void *user, u64 length)
{
	filed_used();
	return READ_ONCE(filed.ready) ? 0 : -EAGAIN;
}

static bool filed_ready(void *state)
{
	filed_used();
	if (!task_is_running(current))
		atomic_inc(&filed.asleep);
	return READ_ONCE(filed.ready);
}

static bool filed_map(void *state, u32 part, const void **memory, u64 *bytes)
{
	filed_used();
	if (part >= ARRAY_SIZE(filed.parts) || !filed.parts[part].memory)
		return false;
	*memory = filed.parts[part].memory;
	*bytes = filed.parts[part].bytes;
	return true;
}

static const struct mutex_text_calls filed_text = {
	.open = filed_open,
	.close = filed_close,
	.seek = filed_seek,
	.show = filed_show,
	.write = filed_write,
};

static const struct mutex_stream_calls filed_stream = {
	.open = filed_open,
	.close = filed_close,
	.read = filed_read,
	.ready = filed_ready,
	.map = filed_map,
};

static const struct mutex_file filed_files[] = {
	{ .name = "all", .mode = 0444, .text = &filed_text, .context = &filed },
	{ .name = "group", .mode = 0640, .text = &filed_text, .context = &filed },
	{ .name = "stream", .mode = 0440, .stream = &filed_stream, .context = &filed },
};

/*
 * Opens /proc/mutex/NAME, from the root directory of process 1: cases run in kernel threads, whose own
 * root directory is empty since Linux 7.3.
 */
static struct file *open_from_root(const char *name, int flags)
{
	struct task_struct *init = init_pid_ns.child_reaper;
	struct path root;
	struct file *file;
	char path[32];

	snprintf(path, sizeof(path), "proc/mutex/%s", name);
	task_lock(init);
	get_fs_root(init->fs, &root);
	task_unlock(init);
	file = file_open_root(&root, path, flags, 0);
	path_put(&root);
	return file;
}

/* The result of opening: 0 or an errno. */
static int try_open(const char *name, int flags)
{
	struct file *file = open_from_root(name, flags);

	if (IS_ERR(file))
		return PTR_ERR(file);
	__fput_sync(file);
	return 0;
}

static struct file *open_file(struct kunit *test, const char *name)
{
	struct file *file = open_from_root(name, O_RDONLY);

	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	at_end(test, file_close, file);
	return file;
}

static bool files_are_there(void)
{
	return !try_open("", O_RDONLY | O_DIRECTORY);
}

static int filed_init(struct kunit *test)
{
	memset(&filed, 0, sizeof(filed));
	return mutex_files_create(filed_files, ARRAY_SIZE(filed_files));
}

static void filed_exit(struct kunit *test)
{
	WRITE_ONCE(wake_takes, 0);
	if (created)
		mutex_files_remove();
}

static void files_let_in_whom_they_should(struct kunit *test)
{
	struct cred *someone = prepare_creds();
	const struct cred *old;
	int all, group, stream, writing;

	KUNIT_ASSERT_NOT_NULL(test, someone);
	KUNIT_EXPECT_EQ(test, try_open("all", O_RDONLY), 0);
	KUNIT_EXPECT_EQ(test, try_open("group", O_RDWR), 0);
	KUNIT_EXPECT_EQ(test, try_open("stream", O_RDONLY), 0);
	KUNIT_EXPECT_EQ(test, try_open("nothing", O_RDONLY), -ENOENT);
	someone->fsuid = make_kuid(&init_user_ns, 1000);
	someone->fsgid = make_kgid(&init_user_ns, 1000);
	cap_clear(someone->cap_effective);
	old = override_creds(someone);
	all = try_open("all", O_RDONLY);
	writing = try_open("all", O_WRONLY);
	group = try_open("group", O_RDONLY);
	stream = try_open("stream", O_RDONLY);
	revert_creds(old);
	KUNIT_EXPECT_EQ(test, all, 0);
	KUNIT_EXPECT_EQ(test, writing, -EACCES);
	KUNIT_EXPECT_EQ(test, group, -EACCES);
	KUNIT_EXPECT_EQ(test, stream, -EACCES);
	/* Of the group, a file can be read and not written. */
	someone->fsgid = GLOBAL_ROOT_GID;
	old = override_creds(someone);
	group = try_open("group", O_RDONLY);
	writing = try_open("group", O_WRONLY);
	revert_creds(old);
	KUNIT_EXPECT_EQ(test, group, 0);
	KUNIT_EXPECT_EQ(test, writing, -EACCES);
	put_cred(someone);
	KUNIT_EXPECT_EQ(test, atomic_read(&filed.opened), atomic_read(&filed.closed));
}

static void administering_takes_a_capability(struct kunit *test)
{
	struct cred *someone = prepare_creds();
	const struct cred *old;
	bool with, without;

	KUNIT_ASSERT_NOT_NULL(test, someone);
	old = override_creds(someone);
	with = mutex_may_administer();
	cap_lower(someone->cap_effective, CAP_NET_ADMIN);
	without = mutex_may_administer();
	revert_creds(old);
	put_cred(someone);
	KUNIT_EXPECT_TRUE(test, with);
	KUNIT_EXPECT_FALSE(test, without);
}

static void netns_delete(void *unused)
{
	run("ip netns delete mutex-kunit");
}

static void readers_are_of_their_namespace(struct kunit *test)
{
	struct nsproxy *first = current->nsproxy, elsewhere = *first;
	struct net *net, *other = NULL;
	u32 netns;
	int is_first;

	KUNIT_EXPECT_EQ(test, mutex_reader_netns(&netns), 1);
	KUNIT_EXPECT_EQ(test, netns, init_net.ns.inum);
	at_end(test, netns_delete, NULL);
	KUNIT_ASSERT_EQ(test, run("ip netns add mutex-kunit"), 0);
	rcu_read_lock();
	for_each_net_rcu(net)
		if (net != &init_net && !other)
			other = maybe_get_net(net);
	rcu_read_unlock();
	KUNIT_ASSERT_NOT_NULL(test, other);
	elsewhere.net_ns = other;
	task_lock(current);
	current->nsproxy = &elsewhere;
	task_unlock(current);
	is_first = mutex_reader_netns(&netns);
	task_lock(current);
	current->nsproxy = first;
	task_unlock(current);
	KUNIT_EXPECT_EQ(test, is_first, 0);
	KUNIT_EXPECT_EQ(test, netns, other->ns.inum);
	put_net(other);
}

static void files_are_created_once(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, mutex_files_create(filed_files, 1), -EBUSY);
	KUNIT_EXPECT_EQ(test, try_open("stream", O_RDONLY), 0);
}

static void files_that_fail_to_open_are_not_open(struct kunit *test)
{
	filed.open_error = -ENOMEM;
	KUNIT_EXPECT_EQ(test, try_open("all", O_RDONLY), -ENOMEM);
	KUNIT_EXPECT_EQ(test, try_open("stream", O_RDONLY), -ENOMEM);
	KUNIT_EXPECT_EQ(test, atomic_read(&filed.closed), 0);
	filed.open_error = 0;
	KUNIT_EXPECT_EQ(test, try_open("stream", O_RDONLY), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&filed.closed), 1);
}

static void files_are_closed_when_they_go(struct kunit *test)
{
	struct file *text = open_file(test, "all"), *again = open_file(test, "all");
	struct file *stream = open_file(test, "stream");
	char line[32] = {};
	loff_t position = 0;

	KUNIT_EXPECT_EQ(test, kernel_read(text, line, sizeof(line), &position), 15);
	KUNIT_EXPECT_STREQ(test, line, "line\nline\nline\n");
	kunit_release_action(test, file_close, again);
	KUNIT_EXPECT_EQ(test, atomic_read(&filed.closed), 1);
	mutex_files_remove();
	KUNIT_EXPECT_FALSE(test, files_are_there());
	KUNIT_EXPECT_EQ(test, atomic_read(&filed.closed), 3);
	KUNIT_EXPECT_LT(test, kernel_read(text, line, sizeof(line), &position), 0);
	KUNIT_EXPECT_EQ(test, stream->f_op->read(stream, NULL, 0, &position), -EIO);
	kunit_release_action(test, file_close, text);
	kunit_release_action(test, file_close, stream);
	KUNIT_EXPECT_EQ(test, atomic_read(&filed.opened), 3);
	KUNIT_EXPECT_EQ(test, atomic_read(&filed.closed), 3);
	KUNIT_EXPECT_EQ(test, atomic_read(&filed.after_close), 0);
}

/* A thread that reads from the stream file until that says something. */
struct reader {
	struct file *file;
	ssize_t result;
	struct completion done;
};

static int read_on(void *data)
{
	struct reader *reader = data;

	reader->result = reader->file->f_op->read(reader->file, NULL, 100, NULL);
	complete(&reader->done);
	return 0;
}

static struct reader *reader_start(struct kunit *test)
{
	/* Not on the stack, which goes before the thread does if the case fails. */
	struct reader *reader = kunit_kzalloc(test, sizeof(*reader), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, reader);
	init_completion(&reader->done);
	reader->result = -EINPROGRESS;
	reader->file = open_file(test, "stream");
	thread_start(test, read_on, reader);
	KUNIT_EXPECT_TRUE(test, wait_until(waitqueue_active(&waiters)));
	KUNIT_EXPECT_FALSE(test, completion_done(&reader->done));
	return reader;
}

static void reader_end(struct kunit *test, struct reader *reader)
{
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&reader->done, PATIENCE), 0UL);
	kunit_release_action(test, file_close, reader->file);
	KUNIT_EXPECT_EQ(test, atomic_read(&filed.asleep), 0);
	KUNIT_EXPECT_EQ(test, reader->result, 0);
}

static void readers_that_wait_leave_when_files_go(struct kunit *test)
{
	struct reader *reader = reader_start(test);

	mutex_files_remove();
	KUNIT_EXPECT_TRUE(test, completion_done(&reader->done));
	KUNIT_EXPECT_FALSE(test, waitqueue_active(&waiters));
	reader_end(test, reader);
}

static void wake_in_interrupt(struct irq_work *unused)
{
	mutex_files_wake();
}

static void readers_are_woken_from_anywhere(struct kunit *test)
{
	struct irq_work interrupt = IRQ_WORK_INIT_HARD(wake_in_interrupt);
	struct reader *reader;
	unsigned long flags;
	int from;

	/* From a task, with bottom halves off, with interrupts off and the queue's own lock
	 * held, and from an interrupt. */
	for (from = 0; from < 4; from++) {
		filed.ready = 0;
		reader = reader_start(test);
		mutex_files_wake();
		WRITE_ONCE(filed.ready, 1);
		switch (from) {
		case 0:
			mutex_files_wake();
			break;
		case 1:
			mutex_pin();
			mutex_files_wake();
			mutex_unpin();
			break;
		case 2:
			spin_lock_irqsave(&waiters.lock, flags);
			mutex_files_wake();
			spin_unlock_irqrestore(&waiters.lock, flags);
			break;
		case 3:
			irq_work_queue(&interrupt);
			irq_work_sync(&interrupt);
			break;
		}
		reader_end(test, reader);
	}
}

static atomic_t wakes;

static int wake_slowly(void *unused)
{
	atomic_set(&wakes, 1);
	mutex_files_wake();
	atomic_set(&wakes, 2);
	return 0;
}

static void files_go_when_nobody_is_about_to_wake(struct kunit *test)
{
	struct reader *reader;
	bool busy;
	int woken;

	atomic_set(&wakes, 0);
	reader = reader_start(test);
	WRITE_ONCE(wake_takes, 500);
	thread_start(test, wake_slowly, NULL);
	KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&wakes)));
	msleep(20);
	mutex_files_remove();
	woken = atomic_read(&wakes);
	busy = irq_work_is_busy(&waker);
	WRITE_ONCE(wake_takes, 0);
	KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&wakes) == 2));
	/* What wakes them has gone with the module by now. */
	KUNIT_EXPECT_EQ(test, woken, 2);
	KUNIT_EXPECT_FALSE(test, busy);
	reader_end(test, reader);
}

static void *two_pages(struct kunit *test, char fill)
{
	char *memory = mutex_memory_allocate(2 * PAGE_SIZE);

	KUNIT_ASSERT_NOT_NULL(test, memory);
	at_end(test, mutex_memory_free, memory);
	memset(memory, fill, 2 * PAGE_SIZE);
	return memory;
}

static void mappings_outlive_what_they_show(struct kunit *test)
{
	struct file *file = open_file(test, "stream");
	void *first = two_pages(test, 'a'), *second = two_pages(test, 'b');
	unsigned long at;
	int page;
	char byte;

	at = kunit_vm_mmap(test, file, 0, 3 * PAGE_SIZE, PROT_READ, MAP_SHARED, 0);
	KUNIT_EXPECT_EQ(test, (long)at, -EPERM);
	filed.parts[0].memory = first;
	filed.parts[1].memory = second;
	filed.parts[0].bytes = filed.parts[1].bytes = 2 * PAGE_SIZE;
	at = kunit_vm_mmap(test, file, 0, 5 * PAGE_SIZE, PROT_READ, MAP_SHARED, 0);
	KUNIT_EXPECT_EQ(test, (long)at, -EINVAL);
	at = kunit_vm_mmap(test, file, 0, PAGE_SIZE, PROT_READ, MAP_SHARED, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, (long)at, -EINVAL);
	/* Opened for reading only. */
	at = kunit_vm_mmap(test, file, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	KUNIT_EXPECT_EQ(test, (long)at, -EACCES);
	at = kunit_vm_mmap(test, file, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	KUNIT_EXPECT_EQ(test, (long)at, -EPERM);
	at = kunit_vm_mmap(test, file, 0, 3 * PAGE_SIZE, PROT_READ, MAP_SHARED, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(at));
	mutex_files_remove();
	*(char *)second = 'c';
	kunit_release_action(test, mutex_memory_free, first);
	kunit_release_action(test, mutex_memory_free, second);
	for (page = 0; page < 3; page++) {
		KUNIT_EXPECT_EQ(test, get_user(byte, (char __user *)at + page * PAGE_SIZE), 0);
		KUNIT_EXPECT_EQ(test, byte, "aac"[page]);
	}
	KUNIT_EXPECT_EQ(test, put_user('x', (char __user *)at), -EFAULT);
	KUNIT_EXPECT_EQ(test, vm_munmap(at, 3 * PAGE_SIZE), 0);
}

static struct kunit_case files_cases[] = {
	KUNIT_CASE(files_let_in_whom_they_should),
	KUNIT_CASE(administering_takes_a_capability),
	KUNIT_CASE(readers_are_of_their_namespace),
	KUNIT_CASE(files_are_created_once),
	KUNIT_CASE(files_that_fail_to_open_are_not_open),
	KUNIT_CASE(files_are_closed_when_they_go),
	KUNIT_CASE(readers_that_wait_leave_when_files_go),
	KUNIT_CASE(readers_are_woken_from_anywhere),
	KUNIT_CASE(files_go_when_nobody_is_about_to_wake),
	KUNIT_CASE(mappings_outlive_what_they_show),
	{}
};

static struct kunit_suite files_suite = {
	.name = "mutex_files",
	.init = filed_init,
	.exit = filed_exit,
	.test_cases = files_cases,
};

/* Pinning */

static atomic_t bottom_halves;

static void bottom_half(struct tasklet_struct *unused)
{
	atomic_inc(&bottom_halves);
}

static DECLARE_TASKLET(bottom_half_tasklet, bottom_half);

static void pinning_keeps_bottom_halves_off(struct kunit *test)
{
	int outside, nested, inside, after_one;
	bool moves, sleeps;

	atomic_set(&bottom_halves, 0);
	outside = softirq_count();
	mutex_pin();
	inside = softirq_count();
	mutex_pin();
	nested = softirq_count();
	tasklet_schedule(&bottom_half_tasklet);
	mdelay(20);
	mutex_unpin();
	/* Still pinned once. */
	mdelay(5);
	after_one = atomic_read(&bottom_halves);
	moves = preemptible();
	sleeps = in_task() && !softirq_count();
	mutex_unpin();
	KUNIT_EXPECT_EQ(test, outside, 0);
	KUNIT_EXPECT_NE(test, inside, 0);
	KUNIT_EXPECT_GT(test, nested, inside);
	KUNIT_EXPECT_EQ(test, after_one, 0);
	KUNIT_EXPECT_FALSE(test, moves);
	KUNIT_EXPECT_FALSE(test, sleeps);
	KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&bottom_halves) == 1));
	KUNIT_EXPECT_EQ(test, softirq_count(), 0);
	tasklet_kill(&bottom_half_tasklet);
}

static atomic_t read_sides;

static int read_side(void *unused)
{
	mutex_read_lock();
	atomic_set(&read_sides, 1);
	mdelay(100);
	atomic_set(&read_sides, 2);
	mutex_read_unlock();
	return 0;
}

static int pinned_side(void *unused)
{
	mutex_pin();
	atomic_set(&read_sides, 1);
	mdelay(100);
	atomic_set(&read_sides, 2);
	mutex_unpin();
	return 0;
}

static void grace_periods_wait_for(struct kunit *test, int (*side)(void *))
{
	atomic_set(&read_sides, 0);
	thread_start(test, side, NULL);
	KUNIT_EXPECT_TRUE(test, wait_until(atomic_read(&read_sides)));
	mutex_grace_period();
	KUNIT_EXPECT_EQ(test, atomic_read(&read_sides), 2);
}

static void grace_periods_wait_for_read_sides(struct kunit *test)
{
	grace_periods_wait_for(test, read_side);
}

static void grace_periods_wait_for_who_is_pinned(struct kunit *test)
{
	grace_periods_wait_for(test, pinned_side);
}

static struct kunit_case pinning_cases[] = {
	KUNIT_CASE(pinning_keeps_bottom_halves_off),
	KUNIT_CASE(grace_periods_wait_for_read_sides),
	KUNIT_CASE(grace_periods_wait_for_who_is_pinned),
	{}
};

static struct kunit_suite pinning_suite = {
	.name = "mutex_pinning",
	.test_cases = pinning_cases,
};

/* Memory */

static void tables_are_zero_pages(struct kunit *test)
{
	const u64 bytes = 3 * PAGE_SIZE + 8;
	char *memory = mutex_memory_allocate(bytes);

	KUNIT_ASSERT_NOT_NULL(test, memory);
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(memory));
	KUNIT_EXPECT_TRUE(test, PAGE_ALIGNED(memory));
	KUNIT_EXPECT_NULL(test, memchr_inv(memory, 0, bytes));
	memset(memory, 1, bytes);
	mutex_memory_free(memory);
}

static void too_large_tables_are_refused(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, mutex_memory_allocate(2 * mutex_memory_total()));
	KUNIT_EXPECT_NULL(test, mutex_memory_allocate(1ULL << 62));
	mutex_memory_free(NULL);
}

static void each_cpu_has_its_area(struct kunit *test)
{
	const u64 bytes = 1000;
	u8 *areas = mutex_percpu_allocate(bytes, 64);
	int cpu, cpus = 0, here;
	u8 *mine;

	KUNIT_ASSERT_NOT_NULL(test, areas);
	for (cpu = mutex_percpu_next(-1); cpu >= 0; cpu = mutex_percpu_next(cpu)) {
		u8 *area = mutex_percpu_of(areas, cpu);

		KUNIT_EXPECT_TRUE(test, cpu_possible(cpu));
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)area, 64));
		KUNIT_EXPECT_NULL(test, memchr_inv(area, 0, bytes));
		memset(area, cpu + 1, bytes);
		cpus++;
	}
	KUNIT_EXPECT_EQ(test, cpus, num_possible_cpus());
	for_each_possible_cpu(cpu)
		KUNIT_EXPECT_NULL(test, memchr_inv(mutex_percpu_of(areas, cpu), cpu + 1, bytes));
	mutex_pin();
	here = smp_processor_id();
	mine = mutex_percpu_this(areas);
	mutex_unpin();
	KUNIT_EXPECT_PTR_EQ(test, mine, (u8 *)mutex_percpu_of(areas, here));
	mutex_percpu_free(areas);
}

static struct kunit_case memory_cases[] = {
	KUNIT_CASE(tables_are_zero_pages),
	KUNIT_CASE(too_large_tables_are_refused),
	KUNIT_CASE(each_cpu_has_its_area),
	{}
};

static struct kunit_suite memory_suite = {
	.name = "mutex_memory",
	.test_cases = memory_cases,
};

/* The whole module */

/* Registers everything that the module does, until the case ends or mutex_kunit_unload() runs. */
static void *module_load(struct kunit *test)
{
	void *loaded = mutex_kunit_load();

	KUNIT_ASSERT_FALSE(test, IS_ERR(loaded));
	at_end(test, mutex_kunit_unload, loaded);
	return loaded;
}

#ifdef CONFIG_KPROBES
/* What the module calls as it goes, in the order in which it has to. */
static struct kprobe steps[] = {
	{ .symbol_name = "proc_remove" },
	{ .symbol_name = "tracepoint_probe_unregister" },
	{ .symbol_name = "unregister_pernet_subsys" },
	{ .symbol_name = "cancel_delayed_work_sync" },
	{ .symbol_name = "vfree" },
};
static unsigned int steps_seen[32], steps_count;
static struct task_struct *steps_of;

static int step_called(struct kprobe *probe, struct pt_regs *registers)
{
	unsigned int step = probe - steps;

	if (current != READ_ONCE(steps_of) || steps_count == ARRAY_SIZE(steps_seen) ||
	    (steps_count && steps_seen[steps_count - 1] == step))
		return 0;
	steps_seen[steps_count++] = step;
	return 0;
}
NOKPROBE_SYMBOL(step_called);

static void the_module_goes_in_order(struct kunit *test)
{
	void *loaded = module_load(test);
	unsigned int i;

	steps_count = 0;
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		steps[i].addr = NULL;
		steps[i].flags = 0;
		steps[i].pre_handler = step_called;
		KUNIT_EXPECT_EQ(test, register_kprobe(&steps[i]), 0);
	}
	WRITE_ONCE(steps_of, current);
	kunit_release_action(test, mutex_kunit_unload, loaded);
	WRITE_ONCE(steps_of, NULL);
	for (i = 0; i < ARRAY_SIZE(steps); i++)
		unregister_kprobe(&steps[i]);
	KUNIT_EXPECT_EQ(test, steps_count, ARRAY_SIZE(steps));
	for (i = 0; i < steps_count; i++)
		KUNIT_EXPECT_STREQ(test, steps[steps_seen[i]].symbol_name,
				   steps[min(i, ARRAY_SIZE(steps) - 1)].symbol_name);
}
#else
static void the_module_goes_in_order(struct kunit *test)
{
	kunit_skip(test, "this kernel has no kprobes");
}
#endif

static void the_module_comes_and_goes_under_flood(struct kunit *test)
{
	int round;

	thread_start(test, flood, NULL);
	for (round = 0; round < 3; round++) {
		void *loaded = module_load(test);

		KUNIT_EXPECT_EQ(test, try_open("stats", O_RDONLY), 0);
		KUNIT_EXPECT_EQ(test, attached(), 15);
		msleep(20);
		kunit_release_action(test, mutex_kunit_unload, loaded);
		KUNIT_EXPECT_FALSE(test, files_are_there());
		KUNIT_EXPECT_EQ(test, attached(), 0);
		KUNIT_EXPECT_FALSE(test, delayed_work_pending(&work));
		KUNIT_EXPECT_FALSE(test, irq_work_is_busy(&waker));
	}
}

static void files_have_their_modes(struct kunit *test)
{
	static const struct { const char *name; umode_t mode; } files[] = {
		{ "stats", 0444 }, { "connections", 0440 }, { "fds", 0440 }, { "alerts", 0640 },
		{ "config", 0640 }, { "snapshot", 0440 }, { "events", 0640 }, { "monitors", 0440 },
	};
	unsigned int i;

	module_load(test);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		const struct inode *inode = file_inode(open_file(test, files[i].name));

		KUNIT_EXPECT_EQ(test, inode->i_mode, (umode_t)(S_IFREG | files[i].mode));
		KUNIT_EXPECT_TRUE(test, uid_eq(inode->i_uid, GLOBAL_ROOT_UID));
		KUNIT_EXPECT_TRUE(test, gid_eq(inode->i_gid, GLOBAL_ROOT_GID));
	}
}

static struct kunit_case module_cases[] = {
	KUNIT_CASE(the_module_goes_in_order),
	KUNIT_CASE(the_module_comes_and_goes_under_flood),
	KUNIT_CASE(files_have_their_modes),
	{}
};

static struct kunit_suite module_suite = {
	.name = "mutex_module",
	.test_cases = module_cases,
};

kunit_test_suites(&hooks_suite, &probes_suite, &work_suite, &files_suite, &pinning_suite, &memory_suite,
		  &module_suite);
