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
pub const MUTEX_LACKS_STATES: u32 = 1;
pub const MUTEX_LACKS_RETRANSMISSIONS: u32 = 2;
pub const MUTEX_LACKS_SYNACK_RETRANSMISSIONS: u32 = 4;
pub const MUTEX_LACKS_DROPS: u32 = 8;
pub const MUTEX_LACKS_RETRANSMISSION_ERRORS: u32 = 16;
pub const MUTEX_LACKS_DROP_SOCKETS: u32 = 32;
pub const MUTEX_LACKS_SOCKET_CLOSE: u32 = 64;
pub type __u8 = ::core::ffi::c_uchar;
pub type __u16 = ::core::ffi::c_ushort;
pub type __s32 = ::core::ffi::c_int;
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
pub struct mutex_parameters {
    pub max_connections: __u32,
    pub max_fds: __u32,
    pub max_alerts: __u32,
    pub timeout_tcp: __u32,
    pub timeout_tcp_opening: __u32,
    pub timeout_tcp_closing: __u32,
    pub timeout_one_way: __u32,
    pub timeout_two_way: __u32,
    pub timeout_icmp: __u32,
    pub timeout_closed: __u32,
    pub timeout_fd: __u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_parameters"][::core::mem::size_of::<mutex_parameters>() - 44usize];
    ["Alignment of mutex_parameters"][::core::mem::align_of::<mutex_parameters>() - 4usize];
    ["Offset of field: mutex_parameters::max_connections"]
        [::core::mem::offset_of!(mutex_parameters, max_connections) - 0usize];
    ["Offset of field: mutex_parameters::max_fds"]
        [::core::mem::offset_of!(mutex_parameters, max_fds) - 4usize];
    ["Offset of field: mutex_parameters::max_alerts"]
        [::core::mem::offset_of!(mutex_parameters, max_alerts) - 8usize];
    ["Offset of field: mutex_parameters::timeout_tcp"]
        [::core::mem::offset_of!(mutex_parameters, timeout_tcp) - 12usize];
    ["Offset of field: mutex_parameters::timeout_tcp_opening"]
        [::core::mem::offset_of!(mutex_parameters, timeout_tcp_opening) - 16usize];
    ["Offset of field: mutex_parameters::timeout_tcp_closing"]
        [::core::mem::offset_of!(mutex_parameters, timeout_tcp_closing) - 20usize];
    ["Offset of field: mutex_parameters::timeout_one_way"]
        [::core::mem::offset_of!(mutex_parameters, timeout_one_way) - 24usize];
    ["Offset of field: mutex_parameters::timeout_two_way"]
        [::core::mem::offset_of!(mutex_parameters, timeout_two_way) - 28usize];
    ["Offset of field: mutex_parameters::timeout_icmp"]
        [::core::mem::offset_of!(mutex_parameters, timeout_icmp) - 32usize];
    ["Offset of field: mutex_parameters::timeout_closed"]
        [::core::mem::offset_of!(mutex_parameters, timeout_closed) - 36usize];
    ["Offset of field: mutex_parameters::timeout_fd"]
        [::core::mem::offset_of!(mutex_parameters, timeout_fd) - 40usize];
};
unsafe extern "C" {
    pub fn mutex_parameters() -> *const mutex_parameters;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_tcp {
    pub sample: __u32,
    pub rtt: __u32,
    pub srtt: __u32,
    pub deviation: __u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_tcp"][::core::mem::size_of::<mutex_tcp>() - 16usize];
    ["Alignment of mutex_tcp"][::core::mem::align_of::<mutex_tcp>() - 4usize];
    ["Offset of field: mutex_tcp::sample"][::core::mem::offset_of!(mutex_tcp, sample) - 0usize];
    ["Offset of field: mutex_tcp::rtt"][::core::mem::offset_of!(mutex_tcp, rtt) - 4usize];
    ["Offset of field: mutex_tcp::srtt"][::core::mem::offset_of!(mutex_tcp, srtt) - 8usize];
    ["Offset of field: mutex_tcp::deviation"]
        [::core::mem::offset_of!(mutex_tcp, deviation) - 12usize];
};
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
    pub l3mdev: __u32,
    pub hook: __u8,
    pub family: __u8,
    pub gso_unsent: __u8,
    pub gso_fragments: __u8,
    pub now: __u64,
    pub socket: *mut sock,
    pub tcp: mutex_tcp,
    pub buffer: *mut sk_buff,
    pub net: *mut net,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_view"][::core::mem::size_of::<mutex_view>() - 96usize];
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
    ["Offset of field: mutex_view::l3mdev"][::core::mem::offset_of!(mutex_view, l3mdev) - 36usize];
    ["Offset of field: mutex_view::hook"][::core::mem::offset_of!(mutex_view, hook) - 40usize];
    ["Offset of field: mutex_view::family"][::core::mem::offset_of!(mutex_view, family) - 41usize];
    ["Offset of field: mutex_view::gso_unsent"]
        [::core::mem::offset_of!(mutex_view, gso_unsent) - 42usize];
    ["Offset of field: mutex_view::gso_fragments"]
        [::core::mem::offset_of!(mutex_view, gso_fragments) - 43usize];
    ["Offset of field: mutex_view::now"][::core::mem::offset_of!(mutex_view, now) - 48usize];
    ["Offset of field: mutex_view::socket"][::core::mem::offset_of!(mutex_view, socket) - 56usize];
    ["Offset of field: mutex_view::tcp"][::core::mem::offset_of!(mutex_view, tcp) - 64usize];
    ["Offset of field: mutex_view::buffer"][::core::mem::offset_of!(mutex_view, buffer) - 80usize];
    ["Offset of field: mutex_view::net"][::core::mem::offset_of!(mutex_view, net) - 88usize];
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
    pub single: bool,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_owner"][::core::mem::size_of::<mutex_owner>() - 56usize];
    ["Alignment of mutex_owner"][::core::mem::align_of::<mutex_owner>() - 8usize];
    ["Offset of field: mutex_owner::socket"][::core::mem::offset_of!(mutex_owner, socket) - 0usize];
    ["Offset of field: mutex_owner::inode"][::core::mem::offset_of!(mutex_owner, inode) - 8usize];
    ["Offset of field: mutex_owner::cgroup"]
        [::core::mem::offset_of!(mutex_owner, cgroup) - 16usize];
    ["Offset of field: mutex_owner::uid"][::core::mem::offset_of!(mutex_owner, uid) - 24usize];
    ["Offset of field: mutex_owner::pid"][::core::mem::offset_of!(mutex_owner, pid) - 28usize];
    ["Offset of field: mutex_owner::command"]
        [::core::mem::offset_of!(mutex_owner, command) - 32usize];
    ["Offset of field: mutex_owner::single"]
        [::core::mem::offset_of!(mutex_owner, single) - 48usize];
};
unsafe extern "C" {
    pub fn mutex_owner_of(
        view: *const mutex_view,
        protocol: __u8,
        source_port: __u16,
        destination_port: __u16,
        owner: *mut mutex_owner,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_hook_calls {
    pub packet: ::core::option::Option<
        unsafe extern "C" fn(
            context: *mut ::core::ffi::c_void,
            area: *mut ::core::ffi::c_void,
            view: *const mutex_view,
        ),
    >,
    pub watched_packet: ::core::option::Option<
        unsafe extern "C" fn(
            context: *mut ::core::ffi::c_void,
            area: *mut ::core::ffi::c_void,
            view: *const mutex_view,
        ),
    >,
    pub netns_gone: ::core::option::Option<
        unsafe extern "C" fn(context: *mut ::core::ffi::c_void, netns: *const __u32, count: __u32),
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_hook_calls"][::core::mem::size_of::<mutex_hook_calls>() - 24usize];
    ["Alignment of mutex_hook_calls"][::core::mem::align_of::<mutex_hook_calls>() - 8usize];
    ["Offset of field: mutex_hook_calls::packet"]
        [::core::mem::offset_of!(mutex_hook_calls, packet) - 0usize];
    ["Offset of field: mutex_hook_calls::watched_packet"]
        [::core::mem::offset_of!(mutex_hook_calls, watched_packet) - 8usize];
    ["Offset of field: mutex_hook_calls::netns_gone"]
        [::core::mem::offset_of!(mutex_hook_calls, netns_gone) - 16usize];
};
unsafe extern "C" {
    pub fn mutex_hooks_register(
        calls: *const mutex_hook_calls,
        context: *mut ::core::ffi::c_void,
        areas: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn mutex_hooks_unregister();
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_ends {
    pub local: [__u8; 16usize],
    pub remote: [__u8; 16usize],
    pub local_port: __u16,
    pub remote_port: __u16,
    pub netns: __u32,
    pub interface: __u32,
    pub l3mdev: __u32,
    pub family: __u8,
    pub protocol: __u8,
    pub reserved: [__u8; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_ends"][::core::mem::size_of::<mutex_ends>() - 52usize];
    ["Alignment of mutex_ends"][::core::mem::align_of::<mutex_ends>() - 4usize];
    ["Offset of field: mutex_ends::local"][::core::mem::offset_of!(mutex_ends, local) - 0usize];
    ["Offset of field: mutex_ends::remote"][::core::mem::offset_of!(mutex_ends, remote) - 16usize];
    ["Offset of field: mutex_ends::local_port"]
        [::core::mem::offset_of!(mutex_ends, local_port) - 32usize];
    ["Offset of field: mutex_ends::remote_port"]
        [::core::mem::offset_of!(mutex_ends, remote_port) - 34usize];
    ["Offset of field: mutex_ends::netns"][::core::mem::offset_of!(mutex_ends, netns) - 36usize];
    ["Offset of field: mutex_ends::interface"]
        [::core::mem::offset_of!(mutex_ends, interface) - 40usize];
    ["Offset of field: mutex_ends::l3mdev"][::core::mem::offset_of!(mutex_ends, l3mdev) - 44usize];
    ["Offset of field: mutex_ends::family"][::core::mem::offset_of!(mutex_ends, family) - 48usize];
    ["Offset of field: mutex_ends::protocol"]
        [::core::mem::offset_of!(mutex_ends, protocol) - 49usize];
    ["Offset of field: mutex_ends::reserved"]
        [::core::mem::offset_of!(mutex_ends, reserved) - 50usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_state_change {
    pub ends: mutex_ends,
    pub tcp: mutex_tcp,
    pub before: __u8,
    pub after: __u8,
    pub reset: __u8,
    pub failed: __u8,
    pub now: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_state_change"][::core::mem::size_of::<mutex_state_change>() - 80usize];
    ["Alignment of mutex_state_change"][::core::mem::align_of::<mutex_state_change>() - 8usize];
    ["Offset of field: mutex_state_change::ends"]
        [::core::mem::offset_of!(mutex_state_change, ends) - 0usize];
    ["Offset of field: mutex_state_change::tcp"]
        [::core::mem::offset_of!(mutex_state_change, tcp) - 52usize];
    ["Offset of field: mutex_state_change::before"]
        [::core::mem::offset_of!(mutex_state_change, before) - 68usize];
    ["Offset of field: mutex_state_change::after"]
        [::core::mem::offset_of!(mutex_state_change, after) - 69usize];
    ["Offset of field: mutex_state_change::reset"]
        [::core::mem::offset_of!(mutex_state_change, reset) - 70usize];
    ["Offset of field: mutex_state_change::failed"]
        [::core::mem::offset_of!(mutex_state_change, failed) - 71usize];
    ["Offset of field: mutex_state_change::now"]
        [::core::mem::offset_of!(mutex_state_change, now) - 72usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_dropped {
    pub bytes: *const __u8,
    pub available: __u32,
    pub reason: __u32,
    pub packets: __u32,
    pub netns: __u32,
    pub interface: __u32,
    pub l3mdev: __u32,
    pub family: __u8,
    pub bad_checksum: __u8,
    pub reserved: [__u8; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_dropped"][::core::mem::size_of::<mutex_dropped>() - 40usize];
    ["Alignment of mutex_dropped"][::core::mem::align_of::<mutex_dropped>() - 8usize];
    ["Offset of field: mutex_dropped::bytes"]
        [::core::mem::offset_of!(mutex_dropped, bytes) - 0usize];
    ["Offset of field: mutex_dropped::available"]
        [::core::mem::offset_of!(mutex_dropped, available) - 8usize];
    ["Offset of field: mutex_dropped::reason"]
        [::core::mem::offset_of!(mutex_dropped, reason) - 12usize];
    ["Offset of field: mutex_dropped::packets"]
        [::core::mem::offset_of!(mutex_dropped, packets) - 16usize];
    ["Offset of field: mutex_dropped::netns"]
        [::core::mem::offset_of!(mutex_dropped, netns) - 20usize];
    ["Offset of field: mutex_dropped::interface"]
        [::core::mem::offset_of!(mutex_dropped, interface) - 24usize];
    ["Offset of field: mutex_dropped::l3mdev"]
        [::core::mem::offset_of!(mutex_dropped, l3mdev) - 28usize];
    ["Offset of field: mutex_dropped::family"]
        [::core::mem::offset_of!(mutex_dropped, family) - 32usize];
    ["Offset of field: mutex_dropped::bad_checksum"]
        [::core::mem::offset_of!(mutex_dropped, bad_checksum) - 33usize];
    ["Offset of field: mutex_dropped::reserved"]
        [::core::mem::offset_of!(mutex_dropped, reserved) - 34usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex_probe_calls {
    pub state: ::core::option::Option<
        unsafe extern "C" fn(context: *mut ::core::ffi::c_void, change: *const mutex_state_change),
    >,
    pub retransmit: ::core::option::Option<
        unsafe extern "C" fn(
            context: *mut ::core::ffi::c_void,
            ends: *const mutex_ends,
            packets: __u32,
            bytes: __u32,
            failed: bool,
        ),
    >,
    pub drop: ::core::option::Option<
        unsafe extern "C" fn(context: *mut ::core::ffi::c_void, dropped: *const mutex_dropped),
    >,
    pub release: ::core::option::Option<
        unsafe extern "C" fn(context: *mut ::core::ffi::c_void, socket: __u64, inode: __u64),
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_probe_calls"][::core::mem::size_of::<mutex_probe_calls>() - 32usize];
    ["Alignment of mutex_probe_calls"][::core::mem::align_of::<mutex_probe_calls>() - 8usize];
    ["Offset of field: mutex_probe_calls::state"]
        [::core::mem::offset_of!(mutex_probe_calls, state) - 0usize];
    ["Offset of field: mutex_probe_calls::retransmit"]
        [::core::mem::offset_of!(mutex_probe_calls, retransmit) - 8usize];
    ["Offset of field: mutex_probe_calls::drop"]
        [::core::mem::offset_of!(mutex_probe_calls, drop) - 16usize];
    ["Offset of field: mutex_probe_calls::release"]
        [::core::mem::offset_of!(mutex_probe_calls, release) - 24usize];
};
unsafe extern "C" {
    pub fn mutex_probes_register(
        calls: *const mutex_probe_calls,
        context: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn mutex_probes_unregister();
}
unsafe extern "C" {
    pub fn mutex_kernel_lacks() -> __u32;
}
unsafe extern "C" {
    pub fn mutex_listen_overflow() -> __u32;
}
unsafe extern "C" {
    pub fn mutex_drop_name(reason: __u32, name: *mut __u8, size: __u32) -> bool;
}
unsafe extern "C" {
    pub fn mutex_work_start(
        work: ::core::option::Option<
            unsafe extern "C" fn(context: *mut ::core::ffi::c_void) -> __u32,
        >,
        context: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
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
    pub write: ::core::option::Option<
        unsafe extern "C" fn(
            context: *mut ::core::ffi::c_void,
            user: *const ::core::ffi::c_void,
            length: __u64,
        ) -> __s64,
    >,
    pub room: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_text_calls"][::core::mem::size_of::<mutex_text_calls>() - 48usize];
    ["Alignment of mutex_text_calls"][::core::mem::align_of::<mutex_text_calls>() - 8usize];
    ["Offset of field: mutex_text_calls::open"]
        [::core::mem::offset_of!(mutex_text_calls, open) - 0usize];
    ["Offset of field: mutex_text_calls::close"]
        [::core::mem::offset_of!(mutex_text_calls, close) - 8usize];
    ["Offset of field: mutex_text_calls::seek"]
        [::core::mem::offset_of!(mutex_text_calls, seek) - 16usize];
    ["Offset of field: mutex_text_calls::show"]
        [::core::mem::offset_of!(mutex_text_calls, show) - 24usize];
    ["Offset of field: mutex_text_calls::write"]
        [::core::mem::offset_of!(mutex_text_calls, write) - 32usize];
    ["Offset of field: mutex_text_calls::room"]
        [::core::mem::offset_of!(mutex_text_calls, room) - 40usize];
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
    pub ready:
        ::core::option::Option<unsafe extern "C" fn(state: *mut ::core::ffi::c_void) -> bool>,
    pub write: ::core::option::Option<
        unsafe extern "C" fn(
            state: *mut ::core::ffi::c_void,
            user: *const ::core::ffi::c_void,
            length: __u64,
        ) -> __s64,
    >,
    pub map: ::core::option::Option<
        unsafe extern "C" fn(
            state: *mut ::core::ffi::c_void,
            part: __u32,
            memory: *mut *const ::core::ffi::c_void,
            bytes: *mut __u64,
        ) -> bool,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_stream_calls"][::core::mem::size_of::<mutex_stream_calls>() - 48usize];
    ["Alignment of mutex_stream_calls"][::core::mem::align_of::<mutex_stream_calls>() - 8usize];
    ["Offset of field: mutex_stream_calls::open"]
        [::core::mem::offset_of!(mutex_stream_calls, open) - 0usize];
    ["Offset of field: mutex_stream_calls::close"]
        [::core::mem::offset_of!(mutex_stream_calls, close) - 8usize];
    ["Offset of field: mutex_stream_calls::read"]
        [::core::mem::offset_of!(mutex_stream_calls, read) - 16usize];
    ["Offset of field: mutex_stream_calls::ready"]
        [::core::mem::offset_of!(mutex_stream_calls, ready) - 24usize];
    ["Offset of field: mutex_stream_calls::write"]
        [::core::mem::offset_of!(mutex_stream_calls, write) - 32usize];
    ["Offset of field: mutex_stream_calls::map"]
        [::core::mem::offset_of!(mutex_stream_calls, map) - 40usize];
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
    pub fn mutex_files_wake();
}
unsafe extern "C" {
    pub fn mutex_may_administer() -> bool;
}
unsafe extern "C" {
    pub fn mutex_current(pid: *mut __u32, uid: *mut __u32, command: *mut __u8);
}
unsafe extern "C" {
    pub fn mutex_reader_pid(pid: __u32) -> __u32;
}
unsafe extern "C" {
    pub fn mutex_watch_packets(watch: bool);
}
unsafe extern "C" {
    pub fn mutex_packet_watches() -> __u32;
}
unsafe extern "C" {
    pub fn mutex_may_log() -> bool;
}
unsafe extern "C" {
    pub fn mutex_read_lock();
}
unsafe extern "C" {
    pub fn mutex_read_unlock();
}
unsafe extern "C" {
    pub fn mutex_seq_room(seq: *mut seq_file, bytes: *mut __u64) -> *mut ::core::ffi::c_char;
}
unsafe extern "C" {
    pub fn mutex_seq_written(seq: *mut seq_file, bytes: __s32);
}
unsafe extern "C" {
    pub fn mutex_page_size() -> __u64;
}
unsafe extern "C" {
    pub fn mutex_reader_netns(netns: *mut __u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn mutex_may_see_host() -> bool;
}
unsafe extern "C" {
    pub fn mutex_first_netns() -> __u32;
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
    pub fn mutex_yield();
}
unsafe extern "C" {
    pub fn mutex_grace_period();
}
unsafe extern "C" {
    pub fn mutex_grace_period_soon();
}
unsafe extern "C" {
    pub fn mutex_random(bytes: *mut ::core::ffi::c_void, length: __u64);
}
unsafe extern "C" {
    pub fn mutex_now() -> __u64;
}
unsafe extern "C" {
    pub fn mutex_now_exact() -> __u64;
}
unsafe extern "C" {
    pub fn mutex_moment(unix_ns: *mut __u64, boot_ns: *mut __u64);
}
unsafe extern "C" {
    pub fn mutex_boot_id(id: *mut __u8) -> ::core::ffi::c_int;
}
