// SPDX-License-Identifier: GPL-2.0-only
/* Pinning, RCU, time, recurring work, the current process. */

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/random.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <linux/uuid.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "adapter.h"

void mutex_pin(void)
{
	pin();
}

void mutex_unpin(void)
{
	unpin();
}

void mutex_yield(void)
{
	cond_resched();
}

static u32 (*work_call)(void *context);
static void *work_context;

static void work_run(struct work_struct *unused);
static DECLARE_DELAYED_WORK(work, work_run);

static void work_run(struct work_struct *unused)
{
	u32 delay = work_call(work_context);

	queue_delayed_work(mutex_unbound_workqueue, &work, msecs_to_jiffies(delay));
}

int mutex_work_start(__u32 (*call)(void *context), void *context)
{
	if (cmpxchg(&work_call, NULL, call))
		return -EBUSY;
	work_context = context;
	queue_delayed_work(mutex_unbound_workqueue, &work, 0);
	return 0;
}

void mutex_work_stop(void)
{
	cancel_delayed_work_sync(&work);
	work_call = NULL;
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

__u32 mutex_reader_pid(__u32 pid)
{
	struct pid_namespace *reader = task_active_pid_ns(current);

	if (reader == &init_pid_ns || !pid)
		return pid;
	rcu_read_lock();
	pid = pid_nr_ns(find_pid_ns(pid, &init_pid_ns), reader);
	rcu_read_unlock();
	return pid;
}

bool mutex_may_log(void)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 10);

	return __ratelimit(&limit);
}

/* Without a record in the audit log: whoever asks less gets less, and is refused nothing. */
bool mutex_may_see_host(void)
{
	return current->nsproxy->net_ns == &init_net &&
	       ns_capable_noaudit(&init_user_ns, CAP_NET_ADMIN);
}

__u32 mutex_first_netns(void)
{
	return init_net.ns.inum;
}

int mutex_reader_netns(__u32 *netns)
{
	const struct net *net = current->nsproxy->net_ns;

	*netns = net->ns.inum;
	return net == &init_net;
}

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

__u64 mutex_page_size(void)
{
	return PAGE_SIZE;
}
