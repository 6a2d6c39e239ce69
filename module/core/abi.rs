// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! `include/mutex.h` in Rust, made by `scripts/bindings`. Change the header, not this.

#![allow(missing_docs, non_camel_case_types)]

pub const MUTEX_MAGIC: u64 = 5786654209803048269;
pub const MUTEX_VERSION: u32 = 1;
pub const MUTEX_IMAGE_FILTERED: u32 = 1;
pub const MUTEX_BLOCK_STATUS: u32 = 1;
pub const MUTEX_BLOCK_TOTALS_BEFORE: u32 = 2;
pub const MUTEX_BLOCK_CONNECTION: u32 = 3;
pub const MUTEX_BLOCK_FD: u32 = 4;
pub const MUTEX_BLOCK_CLOSED: u32 = 5;
pub const MUTEX_BLOCK_UNTRACKED: u32 = 6;
pub const MUTEX_BLOCK_TOTALS_AFTER: u32 = 7;
pub const MUTEX_BLOCK_END: u32 = 8;
pub const MUTEX_BLOCK_MAX: u32 = 1048576;
pub const MUTEX_UNTRACKED_TABLE_FULL: u32 = 0;
pub const MUTEX_UNTRACKED_ALLOCATION: u32 = 1;
pub const MUTEX_UNTRACKED_FRAGMENT: u32 = 2;
pub const MUTEX_UNTRACKED_TRUNCATED: u32 = 3;
pub const MUTEX_UNTRACKED_INVALID_HEADER: u32 = 4;
pub const MUTEX_UNTRACKED_POLICY: u32 = 5;
pub const MUTEX_UNTRACKED_REASONS: u32 = 6;
pub const MUTEX_STATE_ESTABLISHED: u32 = 1;
pub const MUTEX_STATE_SYN_SENT: u32 = 2;
pub const MUTEX_STATE_SYN_RECV: u32 = 3;
pub const MUTEX_STATE_FIN_WAIT1: u32 = 4;
pub const MUTEX_STATE_FIN_WAIT2: u32 = 5;
pub const MUTEX_STATE_TIME_WAIT: u32 = 6;
pub const MUTEX_STATE_CLOSED: u32 = 7;
pub const MUTEX_STATE_CLOSE_WAIT: u32 = 8;
pub const MUTEX_STATE_LAST_ACK: u32 = 9;
pub const MUTEX_STATE_CLOSING: u32 = 11;
pub const MUTEX_STATE_ONE_WAY: u32 = 16;
pub const MUTEX_STATE_TWO_WAY: u32 = 17;
pub const MUTEX_CONNECTION_FORWARDED: u32 = 1;
pub const MUTEX_CONNECTION_ADOPTED: u32 = 2;
pub const MUTEX_CONNECTION_RESET: u32 = 4;
pub const MUTEX_CONNECTION_TIMED_OUT: u32 = 8;
pub const MUTEX_CONNECTION_NETNS_GONE: u32 = 16;
pub const MUTEX_UID_UNKNOWN: u32 = 4294967295;
pub const MUTEX_COMMAND_SIZE: u32 = 16;
pub type __u8 = ::core::ffi::c_uchar;
pub type __u16 = ::core::ffi::c_ushort;
pub type __u32 = ::core::ffi::c_uint;
pub type __u64 = ::core::ffi::c_ulonglong;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_header {
    pub magic: __u64,
    pub version: __u32,
    pub header_size: __u32,
    pub flags: __u32,
    pub netns: __u32,
    pub time_ns: __u64,
    pub boottime_ns: __u64,
    pub loaded_ns: __u64,
    pub boot_id: [__u8; 16usize],
    pub reserved: __u32,
    pub crc: __u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_header"][::core::mem::size_of::<mutex_header>() - 72usize];
    ["Alignment of mutex_header"][::core::mem::align_of::<mutex_header>() - 8usize];
    ["Offset of field: mutex_header::magic"][::core::mem::offset_of!(mutex_header, magic) - 0usize];
    ["Offset of field: mutex_header::version"]
        [::core::mem::offset_of!(mutex_header, version) - 8usize];
    ["Offset of field: mutex_header::header_size"]
        [::core::mem::offset_of!(mutex_header, header_size) - 12usize];
    ["Offset of field: mutex_header::flags"]
        [::core::mem::offset_of!(mutex_header, flags) - 16usize];
    ["Offset of field: mutex_header::netns"]
        [::core::mem::offset_of!(mutex_header, netns) - 20usize];
    ["Offset of field: mutex_header::time_ns"]
        [::core::mem::offset_of!(mutex_header, time_ns) - 24usize];
    ["Offset of field: mutex_header::boottime_ns"]
        [::core::mem::offset_of!(mutex_header, boottime_ns) - 32usize];
    ["Offset of field: mutex_header::loaded_ns"]
        [::core::mem::offset_of!(mutex_header, loaded_ns) - 40usize];
    ["Offset of field: mutex_header::boot_id"]
        [::core::mem::offset_of!(mutex_header, boot_id) - 48usize];
    ["Offset of field: mutex_header::reserved"]
        [::core::mem::offset_of!(mutex_header, reserved) - 64usize];
    ["Offset of field: mutex_header::crc"][::core::mem::offset_of!(mutex_header, crc) - 68usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_block {
    pub kind: __u16,
    pub reserved: __u16,
    pub record_size: __u32,
    pub count: __u32,
    pub crc: __u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_block"][::core::mem::size_of::<mutex_block>() - 16usize];
    ["Alignment of mutex_block"][::core::mem::align_of::<mutex_block>() - 4usize];
    ["Offset of field: mutex_block::kind"][::core::mem::offset_of!(mutex_block, kind) - 0usize];
    ["Offset of field: mutex_block::reserved"]
        [::core::mem::offset_of!(mutex_block, reserved) - 2usize];
    ["Offset of field: mutex_block::record_size"]
        [::core::mem::offset_of!(mutex_block, record_size) - 4usize];
    ["Offset of field: mutex_block::count"][::core::mem::offset_of!(mutex_block, count) - 8usize];
    ["Offset of field: mutex_block::crc"][::core::mem::offset_of!(mutex_block, crc) - 12usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_traffic {
    pub packets: __u64,
    pub buffers: __u64,
    pub bytes: __u64,
    pub payload: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_traffic"][::core::mem::size_of::<mutex_traffic>() - 32usize];
    ["Alignment of mutex_traffic"][::core::mem::align_of::<mutex_traffic>() - 8usize];
    ["Offset of field: mutex_traffic::packets"]
        [::core::mem::offset_of!(mutex_traffic, packets) - 0usize];
    ["Offset of field: mutex_traffic::buffers"]
        [::core::mem::offset_of!(mutex_traffic, buffers) - 8usize];
    ["Offset of field: mutex_traffic::bytes"]
        [::core::mem::offset_of!(mutex_traffic, bytes) - 16usize];
    ["Offset of field: mutex_traffic::payload"]
        [::core::mem::offset_of!(mutex_traffic, payload) - 24usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_totals {
    pub sent: mutex_traffic,
    pub received: mutex_traffic,
    pub forwarded_sent: mutex_traffic,
    pub forwarded_received: mutex_traffic,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_totals"][::core::mem::size_of::<mutex_totals>() - 128usize];
    ["Alignment of mutex_totals"][::core::mem::align_of::<mutex_totals>() - 8usize];
    ["Offset of field: mutex_totals::sent"][::core::mem::offset_of!(mutex_totals, sent) - 0usize];
    ["Offset of field: mutex_totals::received"]
        [::core::mem::offset_of!(mutex_totals, received) - 32usize];
    ["Offset of field: mutex_totals::forwarded_sent"]
        [::core::mem::offset_of!(mutex_totals, forwarded_sent) - 64usize];
    ["Offset of field: mutex_totals::forwarded_received"]
        [::core::mem::offset_of!(mutex_totals, forwarded_received) - 96usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_untracked {
    pub reason: __u32,
    pub reserved: __u32,
    pub totals: mutex_totals,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_untracked"][::core::mem::size_of::<mutex_untracked>() - 136usize];
    ["Alignment of mutex_untracked"][::core::mem::align_of::<mutex_untracked>() - 8usize];
    ["Offset of field: mutex_untracked::reason"]
        [::core::mem::offset_of!(mutex_untracked, reason) - 0usize];
    ["Offset of field: mutex_untracked::reserved"]
        [::core::mem::offset_of!(mutex_untracked, reserved) - 4usize];
    ["Offset of field: mutex_untracked::totals"]
        [::core::mem::offset_of!(mutex_untracked, totals) - 8usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_connection {
    pub id: __u64,
    pub fd: __u64,
    pub cgroup: __u64,
    pub first_seen_ns: __u64,
    pub last_seen_ns: __u64,
    pub closed_ns: __u64,
    pub local_address: [__u8; 16usize],
    pub remote_address: [__u8; 16usize],
    pub local_port: __u16,
    pub remote_port: __u16,
    pub netns: __u32,
    pub scope: __u32,
    pub uid: __u32,
    pub in_interface: __u32,
    pub out_interface: __u32,
    pub family: __u8,
    pub protocol: __u8,
    pub state: __u8,
    pub reserved: __u8,
    pub flags: __u32,
    pub sent: mutex_traffic,
    pub received: mutex_traffic,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_connection"][::core::mem::size_of::<mutex_connection>() - 176usize];
    ["Alignment of mutex_connection"][::core::mem::align_of::<mutex_connection>() - 8usize];
    ["Offset of field: mutex_connection::id"]
        [::core::mem::offset_of!(mutex_connection, id) - 0usize];
    ["Offset of field: mutex_connection::fd"]
        [::core::mem::offset_of!(mutex_connection, fd) - 8usize];
    ["Offset of field: mutex_connection::cgroup"]
        [::core::mem::offset_of!(mutex_connection, cgroup) - 16usize];
    ["Offset of field: mutex_connection::first_seen_ns"]
        [::core::mem::offset_of!(mutex_connection, first_seen_ns) - 24usize];
    ["Offset of field: mutex_connection::last_seen_ns"]
        [::core::mem::offset_of!(mutex_connection, last_seen_ns) - 32usize];
    ["Offset of field: mutex_connection::closed_ns"]
        [::core::mem::offset_of!(mutex_connection, closed_ns) - 40usize];
    ["Offset of field: mutex_connection::local_address"]
        [::core::mem::offset_of!(mutex_connection, local_address) - 48usize];
    ["Offset of field: mutex_connection::remote_address"]
        [::core::mem::offset_of!(mutex_connection, remote_address) - 64usize];
    ["Offset of field: mutex_connection::local_port"]
        [::core::mem::offset_of!(mutex_connection, local_port) - 80usize];
    ["Offset of field: mutex_connection::remote_port"]
        [::core::mem::offset_of!(mutex_connection, remote_port) - 82usize];
    ["Offset of field: mutex_connection::netns"]
        [::core::mem::offset_of!(mutex_connection, netns) - 84usize];
    ["Offset of field: mutex_connection::scope"]
        [::core::mem::offset_of!(mutex_connection, scope) - 88usize];
    ["Offset of field: mutex_connection::uid"]
        [::core::mem::offset_of!(mutex_connection, uid) - 92usize];
    ["Offset of field: mutex_connection::in_interface"]
        [::core::mem::offset_of!(mutex_connection, in_interface) - 96usize];
    ["Offset of field: mutex_connection::out_interface"]
        [::core::mem::offset_of!(mutex_connection, out_interface) - 100usize];
    ["Offset of field: mutex_connection::family"]
        [::core::mem::offset_of!(mutex_connection, family) - 104usize];
    ["Offset of field: mutex_connection::protocol"]
        [::core::mem::offset_of!(mutex_connection, protocol) - 105usize];
    ["Offset of field: mutex_connection::state"]
        [::core::mem::offset_of!(mutex_connection, state) - 106usize];
    ["Offset of field: mutex_connection::reserved"]
        [::core::mem::offset_of!(mutex_connection, reserved) - 107usize];
    ["Offset of field: mutex_connection::flags"]
        [::core::mem::offset_of!(mutex_connection, flags) - 108usize];
    ["Offset of field: mutex_connection::sent"]
        [::core::mem::offset_of!(mutex_connection, sent) - 112usize];
    ["Offset of field: mutex_connection::received"]
        [::core::mem::offset_of!(mutex_connection, received) - 144usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_fd {
    pub id: __u64,
    pub inode: __u64,
    pub cgroup: __u64,
    pub first_seen_ns: __u64,
    pub closed_ns: __u64,
    pub pid: __u32,
    pub uid: __u32,
    pub netns: __u32,
    pub family: __u8,
    pub protocol: __u8,
    pub reserved: __u16,
    pub command: [__u8; 16usize],
    pub active_connections: __u64,
    pub total_connections: __u64,
    pub sent: mutex_traffic,
    pub received: mutex_traffic,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_fd"][::core::mem::size_of::<mutex_fd>() - 152usize];
    ["Alignment of mutex_fd"][::core::mem::align_of::<mutex_fd>() - 8usize];
    ["Offset of field: mutex_fd::id"][::core::mem::offset_of!(mutex_fd, id) - 0usize];
    ["Offset of field: mutex_fd::inode"][::core::mem::offset_of!(mutex_fd, inode) - 8usize];
    ["Offset of field: mutex_fd::cgroup"][::core::mem::offset_of!(mutex_fd, cgroup) - 16usize];
    ["Offset of field: mutex_fd::first_seen_ns"]
        [::core::mem::offset_of!(mutex_fd, first_seen_ns) - 24usize];
    ["Offset of field: mutex_fd::closed_ns"]
        [::core::mem::offset_of!(mutex_fd, closed_ns) - 32usize];
    ["Offset of field: mutex_fd::pid"][::core::mem::offset_of!(mutex_fd, pid) - 40usize];
    ["Offset of field: mutex_fd::uid"][::core::mem::offset_of!(mutex_fd, uid) - 44usize];
    ["Offset of field: mutex_fd::netns"][::core::mem::offset_of!(mutex_fd, netns) - 48usize];
    ["Offset of field: mutex_fd::family"][::core::mem::offset_of!(mutex_fd, family) - 52usize];
    ["Offset of field: mutex_fd::protocol"][::core::mem::offset_of!(mutex_fd, protocol) - 53usize];
    ["Offset of field: mutex_fd::reserved"][::core::mem::offset_of!(mutex_fd, reserved) - 54usize];
    ["Offset of field: mutex_fd::command"][::core::mem::offset_of!(mutex_fd, command) - 56usize];
    ["Offset of field: mutex_fd::active_connections"]
        [::core::mem::offset_of!(mutex_fd, active_connections) - 72usize];
    ["Offset of field: mutex_fd::total_connections"]
        [::core::mem::offset_of!(mutex_fd, total_connections) - 80usize];
    ["Offset of field: mutex_fd::sent"][::core::mem::offset_of!(mutex_fd, sent) - 88usize];
    ["Offset of field: mutex_fd::received"][::core::mem::offset_of!(mutex_fd, received) - 120usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_status {
    pub uptime_ns: __u64,
    pub connections_active: __u64,
    pub connections_total: __u64,
    pub connections_closed: __u64,
    pub fds_active: __u64,
    pub fds_total: __u64,
    pub fds_untracked: __u64,
    pub cache_hits: __u64,
    pub cache_misses: __u64,
    pub table_size: __u64,
    pub table_used: __u64,
    pub table_high_water: __u64,
    pub fd_table_size: __u64,
    pub fd_table_used: __u64,
    pub fd_table_high_water: __u64,
    pub memory_bytes: __u64,
    pub connection_bytes: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_status"][::core::mem::size_of::<mutex_status>() - 136usize];
    ["Alignment of mutex_status"][::core::mem::align_of::<mutex_status>() - 8usize];
    ["Offset of field: mutex_status::uptime_ns"]
        [::core::mem::offset_of!(mutex_status, uptime_ns) - 0usize];
    ["Offset of field: mutex_status::connections_active"]
        [::core::mem::offset_of!(mutex_status, connections_active) - 8usize];
    ["Offset of field: mutex_status::connections_total"]
        [::core::mem::offset_of!(mutex_status, connections_total) - 16usize];
    ["Offset of field: mutex_status::connections_closed"]
        [::core::mem::offset_of!(mutex_status, connections_closed) - 24usize];
    ["Offset of field: mutex_status::fds_active"]
        [::core::mem::offset_of!(mutex_status, fds_active) - 32usize];
    ["Offset of field: mutex_status::fds_total"]
        [::core::mem::offset_of!(mutex_status, fds_total) - 40usize];
    ["Offset of field: mutex_status::fds_untracked"]
        [::core::mem::offset_of!(mutex_status, fds_untracked) - 48usize];
    ["Offset of field: mutex_status::cache_hits"]
        [::core::mem::offset_of!(mutex_status, cache_hits) - 56usize];
    ["Offset of field: mutex_status::cache_misses"]
        [::core::mem::offset_of!(mutex_status, cache_misses) - 64usize];
    ["Offset of field: mutex_status::table_size"]
        [::core::mem::offset_of!(mutex_status, table_size) - 72usize];
    ["Offset of field: mutex_status::table_used"]
        [::core::mem::offset_of!(mutex_status, table_used) - 80usize];
    ["Offset of field: mutex_status::table_high_water"]
        [::core::mem::offset_of!(mutex_status, table_high_water) - 88usize];
    ["Offset of field: mutex_status::fd_table_size"]
        [::core::mem::offset_of!(mutex_status, fd_table_size) - 96usize];
    ["Offset of field: mutex_status::fd_table_used"]
        [::core::mem::offset_of!(mutex_status, fd_table_used) - 104usize];
    ["Offset of field: mutex_status::fd_table_high_water"]
        [::core::mem::offset_of!(mutex_status, fd_table_high_water) - 112usize];
    ["Offset of field: mutex_status::memory_bytes"]
        [::core::mem::offset_of!(mutex_status, memory_bytes) - 120usize];
    ["Offset of field: mutex_status::connection_bytes"]
        [::core::mem::offset_of!(mutex_status, connection_bytes) - 128usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_end {
    pub connections: __u64,
    pub fds: __u64,
    pub bytes: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_end"][::core::mem::size_of::<mutex_end>() - 24usize];
    ["Alignment of mutex_end"][::core::mem::align_of::<mutex_end>() - 8usize];
    ["Offset of field: mutex_end::connections"]
        [::core::mem::offset_of!(mutex_end, connections) - 0usize];
    ["Offset of field: mutex_end::fds"][::core::mem::offset_of!(mutex_end, fds) - 8usize];
    ["Offset of field: mutex_end::bytes"][::core::mem::offset_of!(mutex_end, bytes) - 16usize];
};
