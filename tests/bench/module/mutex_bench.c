// SPDX-License-Identifier: GPL-2.0-only
/* Leads prepared packets through the netfilter hooks and measures what that takes.
 *
 * A line of `key=value` words written to /proc/mutex-bench is carried out before
 * write() returns; reading gives the result, `key value` a line. It all happens in
 * the network namespace of who writes, with the packets on the device bench0.
 *
 *   family=4|6  protocol=udp|tcp   what the packets are
 *   flows=N       connections, visited in random order, each equally often
 *   packets=N     packets of each CPU, after every flow was opened and answered once
 *   cpus=1|2      how many CPUs; cpu=N is the first
 *   shared=0|1    whether two CPUs have the same connections or their own
 *   hook=0|1      whether an empty hook of this module stands beside all others
 *   sockets=0|1   TCP's packets belong to real sockets, which have a new sample of
 *                 latency with each
 *   spread=0|1    whether each packet's time is taken
 *   mode=packets  a packet is received: PRE_ROUTING and LOCAL_IN
 *   mode=churn    a packet is one of four of a TCP connection: SYN, SYN-ACK, ACK, RST
 *   mode=open     flows are opened and answered, nothing else
 *
 * /proc/mutex-bench-clock says how long each CPU has worked, in nanoseconds.
 *
 * The work is done as the receive path does: bottom halves off, inside an RCU read
 * side, 64 packets at a time.
 */

#include <linux/completion.h>
#include <linux/inet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/smp.h>
#include <linux/tcp.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/udp.h>
#include <linux/vmalloc.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/tcp.h>

#define BATCH 64
/* Packets after which the order begins again. */
#define ORDER (1 << 20)
/* Flows that share an address. */
#define PORTS 64
#define MAX_SOCKETS 1024
/* Bytes of a packet from its IP header on. */
#define LENGTH 64
/* Times of single packets are sorted into steps of so many cycles. */
#define STEP 4
#define STEPS (1 << 16)

enum mode { PACKETS, CHURN, OPEN };

struct setup {
	enum mode mode;
	u32 family, flows, packets, cpus, cpu;
	bool tcp, shared, hook, sockets, spread;
};

/* An established TCP connection over the loopback device. */
struct pair {
	struct socket *client, *server;
	__be16 source, destination;
	__be32 seq, ack;
};

struct worker {
	const struct setup *setup;
	struct net *net;
	struct net_device *device;
	struct sk_buff *skb;
	const u32 *order;
	struct pair *pairs;
	u32 first_flow;
	/* Times of packets, if they are wanted, and of batches. */
	u32 *steps, *batches;
	u64 ns, cpu_ns, cycles, dropped;
	atomic_t *waiting;
	struct completion done;
};

static DEFINE_MUTEX(lock);
static struct setup last;
static u64 result_packets, result_ns, result_cpu_ns, result_dropped, result_opening_ns;
static u64 batch_p50, batch_p10, p50, p99, p999, highest;

/* Nobody but who is inside the processor's own clock disturbs it. */
static __always_inline u64 cycles(void)
{
	u32 low, high;

	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

/* What this CPU has really worked. In User Mode Linux it is a thread, which has to
 * share the processor with the rest of the machine. */
static u64 cpu_ns(void)
{
#ifdef CONFIG_UML
	struct { s64 seconds, ns; } time;
	long number = 228 /* clock_gettime */;

	/* The kernel's own code is a program here, so this asks the machine below. */
	asm volatile("syscall"
		     : "+a"(number)
		     : "D"(3L /* CLOCK_THREAD_CPUTIME_ID */), "S"(&time)
		     : "rcx", "r11", "memory");
	return time.seconds * NSEC_PER_SEC + time.ns;
#else
	return ktime_get_ns();
#endif
}

static int accepted(struct net *net, struct sock *sk, struct sk_buff *skb)
{
	return 0;
}

static unsigned int empty_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return NF_ACCEPT;
}

static const struct nf_hook_ops empty_hooks[] = {
	{
		.hook = empty_hook,
		.pf = NFPROTO_INET,
		.hooknum = NF_INET_LOCAL_IN,
	},
};

/* The same buffer goes through the hooks again and again: what a packet leaves
 * on it is taken off, and a hook that drops it only drops a reference. */
static __always_inline void pass(struct worker *worker, u8 pf, unsigned int first,
				 unsigned int second, bool in)
{
	struct sk_buff *skb = worker->skb;
	struct net_device *device = worker->device;
	struct net_device *from = in ? device : NULL, *to = in ? NULL : device;

	if (unlikely(nf_hook(pf, first, worker->net, NULL, skb, from, to, accepted) != 1 ||
		     nf_hook(pf, second, worker->net, NULL, skb, from, to, accepted) != 1)) {
		worker->dropped++;
		skb_get(skb);
	}
	nf_reset_ct(skb);
}

static __always_inline void receive(struct worker *worker, bool v6)
{
	pass(worker, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, NF_INET_PRE_ROUTING, NF_INET_LOCAL_IN, true);
}

static __always_inline void send(struct worker *worker, bool v6)
{
	pass(worker, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING, false);
}

/* Both protocols have their ports in the same place. */
static __always_inline void aim(struct worker *worker, u32 flow, bool v6, bool sockets)
{
	struct sk_buff *skb = worker->skb;
	struct udphdr *ports = (struct udphdr *)skb_transport_header(skb);

	if (sockets) {
		struct pair *pair = &worker->pairs[flow];
		struct tcp_sock *tp = tcp_sk(pair->server->sk);

		ports->source = pair->source;
		ports->dest = pair->destination;
		tcp_hdr(skb)->seq = pair->seq;
		tcp_hdr(skb)->ack_seq = pair->ack;
		skb->sk = pair->server->sk;
		WRITE_ONCE(tp->rack.mstamp, tp->rack.mstamp + 1);
		WRITE_ONCE(tp->rack.rtt_us, 100 + (tp->rack.mstamp & 15));
		return;
	}
	if (v6)
		ipv6_hdr(skb)->saddr.s6_addr32[3] = htonl(flow / PORTS);
	else
		ip_hdr(skb)->saddr = htonl(0xc6120000 + flow / PORTS);
	ports->source = htons(1024 + flow % PORTS);
}

/* Between the answer's packets and back. */
static void turn(struct worker *worker, bool v6)
{
	struct sk_buff *skb = worker->skb;
	struct udphdr *ports = (struct udphdr *)skb_transport_header(skb);

	if (v6)
		swap(ipv6_hdr(skb)->saddr, ipv6_hdr(skb)->daddr);
	else
		swap(ip_hdr(skb)->saddr, ip_hdr(skb)->daddr);
	swap(ports->source, ports->dest);
}

static void set_flags(struct worker *worker, u32 seq, u32 ack, bool syn, bool acks, bool rst)
{
	struct tcphdr *tcp = tcp_hdr(worker->skb);

	if (!worker->setup->tcp)
		return;
	tcp->seq = htonl(seq);
	tcp->ack_seq = htonl(ack);
	tcp->syn = syn;
	tcp->ack = acks;
	tcp->rst = rst;
}

static void begin(void)
{
	local_bh_disable();
	rcu_read_lock();
}

static void end(void)
{
	rcu_read_unlock();
	local_bh_enable();
	cond_resched();
}

/* A handshake or, with UDP, a question, its answer, and another packet. */
static void open(struct worker *worker, u32 flow, bool v6)
{
	aim(worker, flow, v6, false);
	set_flags(worker, 1000, 0, true, false, false);
	receive(worker, v6);
	turn(worker, v6);
	set_flags(worker, 5000, 1001, true, true, false);
	send(worker, v6);
	turn(worker, v6);
	set_flags(worker, 1001, 5001, false, true, false);
	receive(worker, v6);
}

static void open_all(struct worker *worker, bool v6)
{
	u32 flow = 0, flows = worker->setup->flows;

	while (flow < flows) {
		u32 end_of_batch = min(flow + BATCH, flows);

		begin();
		for (; flow < end_of_batch; flow++)
			open(worker, worker->first_flow + flow, v6);
		end();
	}
}

static __always_inline void run_packets(struct worker *worker, bool v6, bool sockets, bool spread)
{
	u32 packet = 0, packets = worker->setup->packets, i;

	while (packet < packets) {
		u64 before, after, began;

		begin();
		began = before = cycles();
		for (i = 0; i < BATCH; i++, packet++) {
			aim(worker, worker->first_flow + worker->order[packet % ORDER], v6, sockets);
			receive(worker, v6);
			if (spread) {
				after = cycles();
				worker->steps[min_t(u64, (after - before) / STEP, STEPS - 1)]++;
				before = after;
			}
		}
		worker->batches[min_t(u64, (cycles() - began) / (BATCH / 4), STEPS - 1)]++;
		end();
	}
}

static void run_churn(struct worker *worker, bool v6)
{
	u32 connection = 0, connections = worker->setup->packets / 4;

	while (connection < connections) {
		u32 end_of_batch = min(connection + BATCH / 4, connections);

		begin();
		for (; connection < end_of_batch; connection++) {
			open(worker, worker->first_flow + connection, v6);
			set_flags(worker, 1001, 5001, false, true, true);
			receive(worker, v6);
		}
		end();
	}
}

static int work(void *context)
{
	struct worker *worker = context;
	const struct setup *setup = worker->setup;
	bool v6 = setup->family == 6, sockets = setup->sockets;
	u64 began, began_cpu, began_cycles;

	if (!sockets && setup->mode != CHURN && setup->packets != 0)
		open_all(worker, v6);
	else if (setup->mode == OPEN)
		open_all(worker, v6);
	set_flags(worker, 1001, 5001, false, true, false);

	/* All begin together. */
	atomic_dec(worker->waiting);
	while (atomic_read(worker->waiting))
		cpu_relax();

	began_cycles = cycles();
	began = ktime_get_ns();
	began_cpu = cpu_ns();
	if (setup->mode == CHURN)
		run_churn(worker, v6);
	else if (setup->mode == OPEN)
		;
	else if (sockets && setup->spread)
		run_packets(worker, false, true, true);
	else if (sockets)
		run_packets(worker, false, true, false);
	else if (v6 && setup->spread)
		run_packets(worker, true, false, true);
	else if (v6)
		run_packets(worker, true, false, false);
	else if (setup->spread)
		run_packets(worker, false, false, true);
	else
		run_packets(worker, false, false, false);
	worker->cpu_ns = cpu_ns() - began_cpu;
	worker->ns = ktime_get_ns() - began;
	worker->cycles = cycles() - began_cycles;
	complete(&worker->done);
	return 0;
}

static struct sk_buff *prepare(const struct setup *setup, struct net_device *device)
{
	u32 headers = setup->family == 6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	u8 protocol = setup->tcp ? IPPROTO_TCP : IPPROTO_UDP;
	struct sk_buff *skb = alloc_skb(LL_MAX_HEADER + 256, GFP_KERNEL);

	if (!skb)
		return NULL;
	/* Of a cache of its own and never freed by a hook. */
	skb_get(skb);
	skb_reserve(skb, LL_MAX_HEADER);
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, headers);
	skb_put_zero(skb, LENGTH);
	skb->dev = device;
	skb->skb_iif = device->ifindex;
	skb->pkt_type = PACKET_HOST;
	/* As a network card that has checked them says. */
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	if (setup->family == 6) {
		struct ipv6hdr *ip = ipv6_hdr(skb);

		skb->protocol = htons(ETH_P_IPV6);
		ip->version = 6;
		ip->payload_len = htons(LENGTH - headers);
		ip->nexthdr = protocol;
		ip->hop_limit = 64;
		ip->saddr.s6_addr32[0] = htonl(0x20010db8);
		ip->saddr.s6_addr32[1] = htonl(1);
		ip->daddr.s6_addr32[0] = htonl(0x20010db8);
		ip->daddr.s6_addr32[3] = htonl(1);
	} else {
		struct iphdr *ip = ip_hdr(skb);

		skb->protocol = htons(ETH_P_IP);
		ip->version = 4;
		ip->ihl = 5;
		ip->tot_len = htons(LENGTH);
		ip->ttl = 64;
		ip->protocol = protocol;
		ip->daddr = setup->sockets ? htonl(INADDR_LOOPBACK) : htonl(0xc0000201);
		ip->saddr = setup->sockets ? htonl(INADDR_LOOPBACK) : 0;
		ip->check = ip_fast_csum(ip, ip->ihl);
	}
	if (setup->tcp) {
		struct tcphdr *tcp = tcp_hdr(skb);

		tcp->dest = htons(4433);
		tcp->doff = sizeof(*tcp) / 4;
		tcp->window = htons(0xffff);
	} else {
		struct udphdr *udp = udp_hdr(skb);

		udp->dest = htons(4433);
		udp->len = htons(LENGTH - headers);
	}
	return skb;
}

static void release(struct sk_buff *skb)
{
	if (!skb)
		return;
	skb->sk = NULL;
	while (refcount_read(&skb->users) > 1)
		refcount_dec(&skb->users);
	kfree_skb(skb);
}

static void close_pairs(struct pair *pairs, u32 count)
{
	while (count--) {
		if (pairs[count].client) {
			sock_no_linger(pairs[count].client->sk);
			sock_release(pairs[count].client);
		}
		if (pairs[count].server)
			sock_release(pairs[count].server);
	}
	kvfree(pairs);
}

/* Sockets as a process has them. */
static struct pair *connect_pairs(u32 count)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct pair *pairs = kvcalloc(count, sizeof(*pairs), GFP_KERNEL);
	struct socket *listener = NULL;
	int error;
	u32 i;

	if (!pairs)
		return ERR_PTR(-ENOMEM);
	error = sock_create(AF_INET, SOCK_STREAM, IPPROTO_TCP, &listener);
	if (!error)
		error = kernel_bind(listener, (struct sockaddr_unsized *)&address, sizeof(address));
	if (!error)
		error = kernel_listen(listener, 8);
	if (!error)
		error = kernel_getsockname(listener, (struct sockaddr *)&address) < 0 ? -EINVAL : 0;
	for (i = 0; i < count && !error; i++) {
		struct pair *pair = &pairs[i];

		error = sock_create(AF_INET, SOCK_STREAM, IPPROTO_TCP, &pair->client);
		if (!error)
			error = kernel_connect(pair->client, (struct sockaddr_unsized *)&address,
					       sizeof(address), 0);
		if (!error)
			error = kernel_accept(listener, &pair->server, 0);
		if (error)
			break;
		pair->source = inet_sk(pair->client->sk)->inet_sport;
		pair->destination = inet_sk(pair->server->sk)->inet_sport;
		pair->seq = htonl(tcp_sk(pair->server->sk)->rcv_nxt);
		pair->ack = htonl(tcp_sk(pair->server->sk)->snd_una);
	}
	if (listener)
		sock_release(listener);
	if (error) {
		close_pairs(pairs, count);
		return ERR_PTR(error);
	}
	return pairs;
}

static u32 *shuffled(u32 flows)
{
	u32 *order = vmalloc(array_size(ORDER, sizeof(u32)));
	u64 seed = 0x9e3779b97f4a7c15;
	u32 i;

	if (!order)
		return NULL;
	for (i = 0; i < ORDER; i++)
		order[i] = i % flows;
	/* The same in each round: what differs is who is measured. */
	for (i = ORDER - 1; i > 0; i--) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		swap(order[i], order[(seed >> 33) % (i + 1)]);
	}
	return order;
}

/* The times, in cycles, below which that many of a million packets stay. */
static u64 quantile(const u32 *steps, u64 packets, u32 millionths)
{
	u64 wanted = packets * millionths / 1000000, seen = 0;
	u32 i;

	for (i = 0; i < STEPS; i++) {
		seen += steps[i];
		if (seen > wanted)
			break;
	}
	return (u64)i * STEP;
}

static u64 picoseconds(const struct worker *worker, u64 cycles)
{
	return worker->cycles ? cycles * 1000 * worker->ns / worker->cycles : 0;
}

static int carry_out(const struct setup *setup)
{
	struct net *net = current->nsproxy->net_ns;
	struct worker *workers;
	struct net_device *device;
	u32 *order = NULL;
	struct pair *pairs = NULL;
	atomic_t waiting = ATOMIC_INIT(setup->cpus);
	u64 began, longest = 0, longest_cpu = 0;
	bool hooked = false;
	int error = -ENOMEM;
	u32 i, started = 0;

	device = dev_get_by_name(net, "bench0");
	if (!device)
		return -ENODEV;
	workers = kcalloc(setup->cpus, sizeof(*workers), GFP_KERNEL);
	order = shuffled(setup->flows);
	if (!workers || !order)
		goto out;
	if (setup->sockets) {
		pairs = connect_pairs(setup->flows);
		if (IS_ERR(pairs)) {
			error = PTR_ERR(pairs);
			pairs = NULL;
			goto out;
		}
	}
	if (setup->hook) {
		error = nf_register_net_hooks(net, empty_hooks, ARRAY_SIZE(empty_hooks));
		if (error)
			goto out;
		hooked = true;
		error = -ENOMEM;
	}
	for (i = 0; i < setup->cpus; i++) {
		struct worker *worker = &workers[i];

		*worker = (struct worker){
			.setup = setup,
			.net = net,
			.device = device,
			.skb = prepare(setup, device),
			.order = order,
			.pairs = pairs,
			.waiting = &waiting,
		};
		if (!setup->shared)
			worker->first_flow = i * (setup->mode == CHURN ? setup->packets / 4 : setup->flows);
		worker->steps = setup->spread ? vzalloc(array_size(STEPS, sizeof(u32))) : NULL;
		worker->batches = vzalloc(array_size(STEPS, sizeof(u32)));
		if (!worker->skb || !worker->batches || (setup->spread && !worker->steps))
			goto out;
		init_completion(&worker->done);
	}
	error = 0;
	began = ktime_get_ns();
	for (i = 0; i < setup->cpus; i++) {
		struct task_struct *task = kthread_create(work, &workers[i], "mutex_bench/%u", i);

		if (IS_ERR(task)) {
			error = PTR_ERR(task);
			/* Those that wait for all begin without it. */
			atomic_sub(setup->cpus - i, &waiting);
			break;
		}
		kthread_bind(task, (setup->cpu + i) % num_online_cpus());
		wake_up_process(task);
		started++;
	}
	result_dropped = 0;
	for (i = 0; i < started; i++) {
		wait_for_completion(&workers[i].done);
		longest = max(longest, workers[i].ns);
		longest_cpu = max(longest_cpu, workers[i].cpu_ns);
		result_dropped += workers[i].dropped;
	}
	result_opening_ns = ktime_get_ns() - began - longest;
	result_ns = longest;
	result_cpu_ns = longest_cpu;
	result_packets = (u64)setup->packets * setup->cpus;
	last = *setup;
	if (started) {
		const struct worker *first = &workers[0];
		u64 batches = setup->packets / BATCH;

		/* The steps of batches are cycles of a packet times STEP as well. */
		batch_p10 = picoseconds(first, quantile(first->batches, batches, 100000));
		batch_p50 = picoseconds(first, quantile(first->batches, batches, 500000));
		batch_p10 /= STEP * 4;
		batch_p50 /= STEP * 4;
		if (setup->spread) {
			p50 = picoseconds(first, quantile(first->steps, setup->packets, 500000));
			p99 = picoseconds(first, quantile(first->steps, setup->packets, 990000));
			p999 = picoseconds(first, quantile(first->steps, setup->packets, 999000));
			highest = picoseconds(first, quantile(first->steps, setup->packets - 1, 1000000));
		}
	}
out:
	if (hooked)
		nf_unregister_net_hooks(net, empty_hooks, ARRAY_SIZE(empty_hooks));
	for (i = 0; workers && i < setup->cpus; i++) {
		release(workers[i].skb);
		vfree(workers[i].steps);
		vfree(workers[i].batches);
	}
	if (pairs)
		close_pairs(pairs, setup->flows);
	vfree(order);
	kfree(workers);
	dev_put(device);
	return error;
}

static int parse(char *line, struct setup *setup)
{
	char *word;

	*setup = (struct setup){
		.family = 4,
		.flows = 1,
		.packets = 1 << 20,
		.cpus = 1,
	};
	while ((word = strsep(&line, " \n"))) {
		char *key = strsep(&word, "=");
		u32 number = 0;

		if (!*key)
			continue;
		if (!word)
			return -EINVAL;
		if (!strcmp(key, "mode")) {
			if (!strcmp(word, "packets"))
				setup->mode = PACKETS;
			else if (!strcmp(word, "churn"))
				setup->mode = CHURN;
			else if (!strcmp(word, "open"))
				setup->mode = OPEN;
			else
				return -EINVAL;
			continue;
		}
		if (!strcmp(key, "protocol")) {
			setup->tcp = !strcmp(word, "tcp");
			continue;
		}
		if (kstrtou32(word, 0, &number))
			return -EINVAL;
		if (!strcmp(key, "family"))
			setup->family = number;
		else if (!strcmp(key, "flows"))
			setup->flows = number;
		else if (!strcmp(key, "packets"))
			setup->packets = round_up(number, BATCH);
		else if (!strcmp(key, "cpus"))
			setup->cpus = number;
		else if (!strcmp(key, "cpu"))
			setup->cpu = number;
		else if (!strcmp(key, "shared"))
			setup->shared = number;
		else if (!strcmp(key, "hook"))
			setup->hook = number;
		else if (!strcmp(key, "sockets"))
			setup->sockets = number;
		else if (!strcmp(key, "spread"))
			setup->spread = number;
		else
			return -EINVAL;
	}
	if (setup->mode == CHURN)
		setup->tcp = true;
	if ((setup->family != 4 && setup->family != 6) || !setup->flows || setup->flows > 1 << 22 ||
	    !setup->cpus || setup->cpus > num_online_cpus() || setup->cpu >= num_online_cpus())
		return -EINVAL;
	/* One sample at a time: nobody else may write to a socket. */
	if (setup->sockets && (!setup->tcp || setup->family != 4 || setup->flows > MAX_SOCKETS ||
			       setup->cpus != 1 || setup->mode != PACKETS))
		return -EINVAL;
	return 0;
}

static ssize_t command(struct file *file, const char __user *from, size_t size, loff_t *position)
{
	struct setup setup;
	char line[256];
	int error;

	if (size >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, from, size))
		return -EFAULT;
	line[size] = 0;
	error = parse(line, &setup);
	if (error)
		return error;
	error = mutex_lock_interruptible(&lock);
	if (error)
		return error;
	error = carry_out(&setup);
	mutex_unlock(&lock);
	return error ? error : size;
}

static int show(struct seq_file *seq, void *unused)
{
	mutex_lock(&lock);
	seq_printf(seq, "packets %llu\nns %llu\ncpu_ns %llu\ndropped %llu\nopening_ns %llu\n", result_packets,
		   result_ns, result_cpu_ns, result_dropped, result_opening_ns);
	seq_printf(seq, "batch_p10_ps %llu\nbatch_p50_ps %llu\n", batch_p10, batch_p50);
	if (last.spread)
		seq_printf(seq, "p50_ps %llu\np99_ps %llu\np999_ps %llu\nhighest_ps %llu\n", p50, p99, p999,
			   highest);
	mutex_unlock(&lock);
	return 0;
}

static void ask_clock(void *ns)
{
	*(u64 *)ns = cpu_ns();
}

static int show_clock(struct seq_file *seq, void *unused)
{
	unsigned int cpu;

	for_each_online_cpu(cpu) {
		u64 ns = 0;

		smp_call_function_single(cpu, ask_clock, &ns, 1);
		seq_printf(seq, "%llu\n", ns);
	}
	return 0;
}

static int open_file(struct inode *inode, struct file *file)
{
	return single_open(file, show, NULL);
}

static const struct proc_ops calls = {
	.proc_open = open_file,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_write = command,
	.proc_release = single_release,
};

static int __init bench_init(void)
{
	if (!proc_create("mutex-bench", 0600, NULL, &calls))
		return -ENOMEM;
	if (!proc_create_single("mutex-bench-clock", 0400, NULL, show_clock)) {
		remove_proc_entry("mutex-bench", NULL);
		return -ENOMEM;
	}
	return 0;
}

static void __exit bench_exit(void)
{
	remove_proc_entry("mutex-bench-clock", NULL);
	remove_proc_entry("mutex-bench", NULL);
}

module_init(bench_init);
module_exit(bench_exit);
MODULE_DESCRIPTION("Benchmarks of netfilter hooks");
MODULE_LICENSE("GPL");
