// SPDX-License-Identifier: GPL-2.0-only

//! `module/sys/wrappers.h` in Rust, made by `scripts/bindings`. Change the header, not this.

#![allow(missing_docs, non_camel_case_types)]

pub const MUTEX_HOOK_OUT: u32 = 0;
pub const MUTEX_HOOK_IN: u32 = 1;
pub const MUTEX_HOOK_FORWARD: u32 = 2;
pub const MUTEX_WINDOW: u32 = 256;
pub const MUTEX_OWNER_UNKNOWN: u32 = 0;
pub const MUTEX_OWNER_KERNEL: u32 = 1;
pub const MUTEX_OWNER_PROCESS: u32 = 2;
pub type __u8 = ::core::ffi::c_uchar;
pub type __u16 = ::core::ffi::c_ushort;
pub type __u32 = ::core::ffi::c_uint;
pub type __s64 = ::core::ffi::c_longlong;
pub type __u64 = ::core::ffi::c_ulonglong;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct seq_file {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct sk_buff {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct sock {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct net {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_view {
    pub bytes: *const __u8,
    pub available: __u32,
    pub length: __u32,
    pub gso_size: __u32,
    pub gso_count: __u32,
    pub gso_headers: __u32,
    pub netns: __u32,
    pub interface: __u32,
    pub hook: __u8,
    pub family: __u8,
    pub reserved: [__u8; 2usize],
    pub now: __u64,
    pub socket: *mut sock,
    pub buffer: *mut sk_buff,
    pub net: *mut net,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_view"][::core::mem::size_of::<mutex_view>() - 72usize];
    ["Alignment of mutex_view"][::core::mem::align_of::<mutex_view>() - 8usize];
    ["Offset of field: mutex_view::bytes"][::core::mem::offset_of!(mutex_view, bytes) - 0usize];
    ["Offset of field: mutex_view::available"]
        [::core::mem::offset_of!(mutex_view, available) - 8usize];
    ["Offset of field: mutex_view::length"][::core::mem::offset_of!(mutex_view, length) - 12usize];
    ["Offset of field: mutex_view::gso_size"]
        [::core::mem::offset_of!(mutex_view, gso_size) - 16usize];
    ["Offset of field: mutex_view::gso_count"]
        [::core::mem::offset_of!(mutex_view, gso_count) - 20usize];
    ["Offset of field: mutex_view::gso_headers"]
        [::core::mem::offset_of!(mutex_view, gso_headers) - 24usize];
    ["Offset of field: mutex_view::netns"][::core::mem::offset_of!(mutex_view, netns) - 28usize];
    ["Offset of field: mutex_view::interface"]
        [::core::mem::offset_of!(mutex_view, interface) - 32usize];
    ["Offset of field: mutex_view::hook"][::core::mem::offset_of!(mutex_view, hook) - 36usize];
    ["Offset of field: mutex_view::family"][::core::mem::offset_of!(mutex_view, family) - 37usize];
    ["Offset of field: mutex_view::reserved"]
        [::core::mem::offset_of!(mutex_view, reserved) - 38usize];
    ["Offset of field: mutex_view::now"][::core::mem::offset_of!(mutex_view, now) - 40usize];
    ["Offset of field: mutex_view::socket"][::core::mem::offset_of!(mutex_view, socket) - 48usize];
    ["Offset of field: mutex_view::buffer"][::core::mem::offset_of!(mutex_view, buffer) - 56usize];
    ["Offset of field: mutex_view::net"][::core::mem::offset_of!(mutex_view, net) - 64usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_owner {
    pub socket: __u64,
    pub inode: __u64,
    pub cgroup: __u64,
    pub uid: __u32,
    pub pid: __u32,
    pub command: [__u8; 16usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_owner"][::core::mem::size_of::<mutex_owner>() - 48usize];
    ["Alignment of mutex_owner"][::core::mem::align_of::<mutex_owner>() - 8usize];
    ["Offset of field: mutex_owner::socket"][::core::mem::offset_of!(mutex_owner, socket) - 0usize];
    ["Offset of field: mutex_owner::inode"][::core::mem::offset_of!(mutex_owner, inode) - 8usize];
    ["Offset of field: mutex_owner::cgroup"]
        [::core::mem::offset_of!(mutex_owner, cgroup) - 16usize];
    ["Offset of field: mutex_owner::uid"][::core::mem::offset_of!(mutex_owner, uid) - 24usize];
    ["Offset of field: mutex_owner::pid"][::core::mem::offset_of!(mutex_owner, pid) - 28usize];
    ["Offset of field: mutex_owner::command"]
        [::core::mem::offset_of!(mutex_owner, command) - 32usize];
};
unsafe extern "C" {
    pub fn mutex_owner_of(
        view: *const mutex_view,
        source_port: __u16,
        destination_port: __u16,
        owner: *mut mutex_owner,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_hook_calls {
    pub packet: ::core::option::Option<
        unsafe extern "C" fn(context: *mut ::core::ffi::c_void, view: *const mutex_view),
    >,
    pub netns_gone: ::core::option::Option<
        unsafe extern "C" fn(context: *mut ::core::ffi::c_void, netns: __u32),
    >,
    pub netns_all_gone:
        ::core::option::Option<unsafe extern "C" fn(context: *mut ::core::ffi::c_void)>,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_hook_calls"][::core::mem::size_of::<mutex_hook_calls>() - 24usize];
    ["Alignment of mutex_hook_calls"][::core::mem::align_of::<mutex_hook_calls>() - 8usize];
    ["Offset of field: mutex_hook_calls::packet"]
        [::core::mem::offset_of!(mutex_hook_calls, packet) - 0usize];
    ["Offset of field: mutex_hook_calls::netns_gone"]
        [::core::mem::offset_of!(mutex_hook_calls, netns_gone) - 8usize];
    ["Offset of field: mutex_hook_calls::netns_all_gone"]
        [::core::mem::offset_of!(mutex_hook_calls, netns_all_gone) - 16usize];
};
unsafe extern "C" {
    pub fn mutex_hooks_register(
        calls: *const mutex_hook_calls,
        context: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn mutex_hooks_unregister();
}
unsafe extern "C" {
    pub fn mutex_work_start(
        work: ::core::option::Option<
            unsafe extern "C" fn(context: *mut ::core::ffi::c_void) -> __u32,
        >,
        context: *mut ::core::ffi::c_void,
    );
}
unsafe extern "C" {
    pub fn mutex_work_stop();
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_text_calls {
    pub open: ::core::option::Option<
        unsafe extern "C" fn(context: *mut ::core::ffi::c_void) -> *mut ::core::ffi::c_void,
    >,
    pub close: ::core::option::Option<unsafe extern "C" fn(state: *mut ::core::ffi::c_void)>,
    pub seek: ::core::option::Option<
        unsafe extern "C" fn(state: *mut ::core::ffi::c_void, position: __u64) -> __s64,
    >,
    pub show: ::core::option::Option<
        unsafe extern "C" fn(
            state: *mut ::core::ffi::c_void,
            seq: *mut seq_file,
            position: __u64,
        ) -> ::core::ffi::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_text_calls"][::core::mem::size_of::<mutex_text_calls>() - 32usize];
    ["Alignment of mutex_text_calls"][::core::mem::align_of::<mutex_text_calls>() - 8usize];
    ["Offset of field: mutex_text_calls::open"]
        [::core::mem::offset_of!(mutex_text_calls, open) - 0usize];
    ["Offset of field: mutex_text_calls::close"]
        [::core::mem::offset_of!(mutex_text_calls, close) - 8usize];
    ["Offset of field: mutex_text_calls::seek"]
        [::core::mem::offset_of!(mutex_text_calls, seek) - 16usize];
    ["Offset of field: mutex_text_calls::show"]
        [::core::mem::offset_of!(mutex_text_calls, show) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_stream_calls {
    pub open: ::core::option::Option<
        unsafe extern "C" fn(context: *mut ::core::ffi::c_void) -> *mut ::core::ffi::c_void,
    >,
    pub close: ::core::option::Option<unsafe extern "C" fn(state: *mut ::core::ffi::c_void)>,
    pub read: ::core::option::Option<
        unsafe extern "C" fn(
            state: *mut ::core::ffi::c_void,
            user: *mut ::core::ffi::c_void,
            length: __u64,
        ) -> __s64,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_stream_calls"][::core::mem::size_of::<mutex_stream_calls>() - 24usize];
    ["Alignment of mutex_stream_calls"][::core::mem::align_of::<mutex_stream_calls>() - 8usize];
    ["Offset of field: mutex_stream_calls::open"]
        [::core::mem::offset_of!(mutex_stream_calls, open) - 0usize];
    ["Offset of field: mutex_stream_calls::close"]
        [::core::mem::offset_of!(mutex_stream_calls, close) - 8usize];
    ["Offset of field: mutex_stream_calls::read"]
        [::core::mem::offset_of!(mutex_stream_calls, read) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_file {
    pub name: *const ::core::ffi::c_char,
    pub mode: __u16,
    pub text: *const mutex_text_calls,
    pub stream: *const mutex_stream_calls,
    pub context: *mut ::core::ffi::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_file"][::core::mem::size_of::<mutex_file>() - 40usize];
    ["Alignment of mutex_file"][::core::mem::align_of::<mutex_file>() - 8usize];
    ["Offset of field: mutex_file::name"][::core::mem::offset_of!(mutex_file, name) - 0usize];
    ["Offset of field: mutex_file::mode"][::core::mem::offset_of!(mutex_file, mode) - 8usize];
    ["Offset of field: mutex_file::text"][::core::mem::offset_of!(mutex_file, text) - 16usize];
    ["Offset of field: mutex_file::stream"][::core::mem::offset_of!(mutex_file, stream) - 24usize];
    ["Offset of field: mutex_file::context"]
        [::core::mem::offset_of!(mutex_file, context) - 32usize];
};
unsafe extern "C" {
    pub fn mutex_files_create(files: *const mutex_file, count: __u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn mutex_files_remove();
}
unsafe extern "C" {
    pub fn mutex_seq_write(seq: *mut seq_file, bytes: *const ::core::ffi::c_void, length: __u64);
}
unsafe extern "C" {
    pub fn mutex_reader_netns(netns: *mut __u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn mutex_memory_allocate(bytes: __u64) -> *mut ::core::ffi::c_void;
}
unsafe extern "C" {
    pub fn mutex_memory_free(memory: *mut ::core::ffi::c_void);
}
unsafe extern "C" {
    pub fn mutex_memory_total() -> __u64;
}
unsafe extern "C" {
    pub fn mutex_percpu_allocate(bytes: __u64, align: __u64) -> *mut ::core::ffi::c_void;
}
unsafe extern "C" {
    pub fn mutex_percpu_free(areas: *mut ::core::ffi::c_void);
}
unsafe extern "C" {
    pub fn mutex_percpu_this(areas: *mut ::core::ffi::c_void) -> *mut ::core::ffi::c_void;
}
unsafe extern "C" {
    pub fn mutex_percpu_of(areas: *mut ::core::ffi::c_void, cpu: __u32)
        -> *mut ::core::ffi::c_void;
}
unsafe extern "C" {
    pub fn mutex_percpu_next(cpu: ::core::ffi::c_int) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn mutex_pin();
}
unsafe extern "C" {
    pub fn mutex_unpin();
}
unsafe extern "C" {
    pub fn mutex_grace_period();
}
unsafe extern "C" {
    pub fn mutex_random(bytes: *mut ::core::ffi::c_void, length: __u64);
}
unsafe extern "C" {
    pub fn mutex_crc32(bytes: *const __u8, length: __u64) -> __u32;
}
unsafe extern "C" {
    pub fn mutex_now() -> __u64;
}
unsafe extern "C" {
    pub fn mutex_moment(unix_ns: *mut __u64, boot_ns: *mut __u64);
}
unsafe extern "C" {
    pub fn mutex_boot_id(id: *mut __u8);
}
