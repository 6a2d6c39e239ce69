/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What our own `kernel` crate asks of the kernel (MUTEX_RUST=bundled). Defined in
 * runtime.c; ffi.rs is made from this header by scripts/bindings.
 */
#ifndef MUTEX_RUNTIME_H
#define MUTEX_RUNTIME_H

#include <linux/types.h>
#ifndef __KERNEL__
#include <stdbool.h> /* For bindgen. */
#endif

/* Entry points in Rust, made by `module!`. Process context. */
int mutex_rust_init(void);
void mutex_rust_exit(void);

#define MUTEX_LOG_ERROR 3
#define MUTEX_LOG_WARNING 4
#define MUTEX_LOG_INFO 6

/* Logs `length` bytes of text at a level MUTEX_LOG_*. May be called anywhere. */
void mutex_runtime_log(__u32 level, const __u8 *text, __u64 length);

/* Memory of that size and alignment (a power of two, at most a page), not cleared,
 * or NULL. Process context, may sleep. */
void *mutex_runtime_allocate(__u64 bytes, __u64 align);
/* Takes memory of mutex_runtime_allocate(), or NULL. May sleep. */
void mutex_runtime_free(void *memory);

/* A sleeping lock with a lockdep class of its own, or NULL. `name` lives as long as
 * the lock. */
void *mutex_runtime_lock_new(const __u8 *name);
void mutex_runtime_lock_free(void *lock);
void mutex_runtime_lock(void *lock);
void mutex_runtime_unlock(void *lock);

/* Copy between the kernel and the current process; false if a byte of userspace
 * memory is not accessible. May sleep. */
bool mutex_runtime_read_user(void *to, const void *user, __u64 length);
bool mutex_runtime_write_user(void *user, const void *from, __u64 length);

#endif
