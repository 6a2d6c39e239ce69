// SPDX-License-Identifier: GPL-2.0-only

//! `module/sys/kernel/runtime.h` in Rust, made by `scripts/bindings`. Change the header, not this.

#![allow(missing_docs, non_camel_case_types)]

pub const MUTEX_LOG_ERROR: u32 = 3;
pub const MUTEX_LOG_WARNING: u32 = 4;
pub const MUTEX_LOG_INFO: u32 = 6;
pub type __u8 = ::core::ffi::c_uchar;
pub type __u32 = ::core::ffi::c_uint;
pub type __u64 = ::core::ffi::c_ulonglong;
unsafe extern "C" {
    pub fn mutex_runtime_log(level: __u32, text: *const __u8, length: __u64);
}
unsafe extern "C" {
    pub fn mutex_runtime_allocate(bytes: __u64, align: __u64) -> *mut ::core::ffi::c_void;
}
unsafe extern "C" {
    pub fn mutex_runtime_free(memory: *mut ::core::ffi::c_void);
}
unsafe extern "C" {
    pub fn mutex_runtime_lock_new(name: *const __u8) -> *mut ::core::ffi::c_void;
}
unsafe extern "C" {
    pub fn mutex_runtime_lock_free(lock: *mut ::core::ffi::c_void);
}
unsafe extern "C" {
    pub fn mutex_runtime_lock(lock: *mut ::core::ffi::c_void);
}
unsafe extern "C" {
    pub fn mutex_runtime_unlock(lock: *mut ::core::ffi::c_void);
}
unsafe extern "C" {
    pub fn mutex_runtime_read_user(
        to: *mut ::core::ffi::c_void,
        user: *const ::core::ffi::c_void,
        length: __u64,
    ) -> bool;
}
unsafe extern "C" {
    pub fn mutex_runtime_write_user(
        user: *mut ::core::ffi::c_void,
        from: *const ::core::ffi::c_void,
        length: __u64,
    ) -> bool;
}
