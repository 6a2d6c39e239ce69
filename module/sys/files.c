// SPDX-License-Identifier: GPL-2.0-only
/* Files in /proc/mutex. */

#include <linux/capability.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/irq_work.h>
#include <linux/poll.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "adapter.h"

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
	mutex_vma_flags(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE | VM_MAYEXEC);
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
