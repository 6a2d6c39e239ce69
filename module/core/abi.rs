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
pub const MUTEX_BLOCK_LATENCY: u32 = 9;
pub const MUTEX_BLOCK_QUALITY: u32 = 10;
pub const MUTEX_BLOCK_DROP: u32 = 11;
pub const MUTEX_BLOCK_ALERT: u32 = 12;
pub const MUTEX_BLOCK_MAX: u32 = 1048576;
pub const MUTEX_UNTRACKED_TABLE_FULL: u32 = 0;
pub const MUTEX_UNTRACKED_ALLOCATION: u32 = 1;
pub const MUTEX_UNTRACKED_FRAGMENT: u32 = 2;
pub const MUTEX_UNTRACKED_TRUNCATED: u32 = 3;
pub const MUTEX_UNTRACKED_INVALID_HEADER: u32 = 4;
pub const MUTEX_UNTRACKED_POLICY: u32 = 5;
pub const MUTEX_UNTRACKED_QUOTA: u32 = 6;
pub const MUTEX_UNTRACKED_REASONS: u32 = 7;
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
pub const MUTEX_SCOPE_CONNECTION: u32 = 0;
pub const MUTEX_SCOPE_FD: u32 = 1;
pub const MUTEX_SCOPE_GLOBAL: u32 = 2;
pub const MUTEX_SCOPES: u32 = 3;
pub const MUTEX_ALERT_LATENCY: u32 = 0;
pub const MUTEX_ALERT_ERROR_RATE: u32 = 1;
pub const MUTEX_ALERT_RETRANSMISSION_RATE: u32 = 2;
pub const MUTEX_ALERT_DROP_RATE: u32 = 3;
pub const MUTEX_ALERT_BANDWIDTH_IN: u32 = 4;
pub const MUTEX_ALERT_BANDWIDTH_OUT: u32 = 5;
pub const MUTEX_ALERT_TABLE_FILL: u32 = 6;
pub const MUTEX_ALERT_KINDS: u32 = 7;
pub const MUTEX_SEVERITY_INFO: u32 = 0;
pub const MUTEX_SEVERITY_WARNING: u32 = 1;
pub const MUTEX_SEVERITY_ERROR: u32 = 2;
pub const MUTEX_SEVERITY_CRITICAL: u32 = 3;
pub const MUTEX_LATENCY_STEPS: u32 = 8;
pub const MUTEX_LATENCY_OCTAVES: u32 = 26;
pub const MUTEX_CONNECTION_DROPS: u32 = 3;
pub const MUTEX_DROP_NAME_SIZE: u32 = 32;
pub const MUTEX_EVENT_START: u32 = 1;
pub const MUTEX_EVENT_END: u32 = 2;
pub const MUTEX_EVENT_ALERT: u32 = 3;
pub const MUTEX_EVENT_PACKET: u32 = 4;
pub const MUTEX_EVENTS_MAGIC: u64 = 6077120992605656397;
pub const MUTEX_UID_UNKNOWN: u32 = 4294967295;
pub const MUTEX_COMMAND_SIZE: u32 = 16;
pub const MUTEX_LIVE_MAGIC: u64 = 6217584702565668173;
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
pub struct mutex_latency {
    pub samples: __u64,
    pub last_ns: __u64,
    pub average_ns: __u64,
    pub min_ns: __u64,
    pub max_ns: __u64,
    pub p50_ns: __u64,
    pub p95_ns: __u64,
    pub p99_ns: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_latency"][::core::mem::size_of::<mutex_latency>() - 64usize];
    ["Alignment of mutex_latency"][::core::mem::align_of::<mutex_latency>() - 8usize];
    ["Offset of field: mutex_latency::samples"]
        [::core::mem::offset_of!(mutex_latency, samples) - 0usize];
    ["Offset of field: mutex_latency::last_ns"]
        [::core::mem::offset_of!(mutex_latency, last_ns) - 8usize];
    ["Offset of field: mutex_latency::average_ns"]
        [::core::mem::offset_of!(mutex_latency, average_ns) - 16usize];
    ["Offset of field: mutex_latency::min_ns"]
        [::core::mem::offset_of!(mutex_latency, min_ns) - 24usize];
    ["Offset of field: mutex_latency::max_ns"]
        [::core::mem::offset_of!(mutex_latency, max_ns) - 32usize];
    ["Offset of field: mutex_latency::p50_ns"]
        [::core::mem::offset_of!(mutex_latency, p50_ns) - 40usize];
    ["Offset of field: mutex_latency::p95_ns"]
        [::core::mem::offset_of!(mutex_latency, p95_ns) - 48usize];
    ["Offset of field: mutex_latency::p99_ns"]
        [::core::mem::offset_of!(mutex_latency, p99_ns) - 56usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_quality {
    pub latency: mutex_latency,
    pub retransmitted_packets: __u64,
    pub retransmitted_bytes: __u64,
    pub retransmissions_failed: __u64,
    pub resets: __u64,
    pub icmp_errors: __u64,
    pub checksum_errors: __u64,
    pub failed_connects: __u64,
    pub drops: __u64,
    pub rate_in: __u64,
    pub rate_out: __u64,
    pub peak_in: __u64,
    pub peak_out: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_quality"][::core::mem::size_of::<mutex_quality>() - 160usize];
    ["Alignment of mutex_quality"][::core::mem::align_of::<mutex_quality>() - 8usize];
    ["Offset of field: mutex_quality::latency"]
        [::core::mem::offset_of!(mutex_quality, latency) - 0usize];
    ["Offset of field: mutex_quality::retransmitted_packets"]
        [::core::mem::offset_of!(mutex_quality, retransmitted_packets) - 64usize];
    ["Offset of field: mutex_quality::retransmitted_bytes"]
        [::core::mem::offset_of!(mutex_quality, retransmitted_bytes) - 72usize];
    ["Offset of field: mutex_quality::retransmissions_failed"]
        [::core::mem::offset_of!(mutex_quality, retransmissions_failed) - 80usize];
    ["Offset of field: mutex_quality::resets"]
        [::core::mem::offset_of!(mutex_quality, resets) - 88usize];
    ["Offset of field: mutex_quality::icmp_errors"]
        [::core::mem::offset_of!(mutex_quality, icmp_errors) - 96usize];
    ["Offset of field: mutex_quality::checksum_errors"]
        [::core::mem::offset_of!(mutex_quality, checksum_errors) - 104usize];
    ["Offset of field: mutex_quality::failed_connects"]
        [::core::mem::offset_of!(mutex_quality, failed_connects) - 112usize];
    ["Offset of field: mutex_quality::drops"]
        [::core::mem::offset_of!(mutex_quality, drops) - 120usize];
    ["Offset of field: mutex_quality::rate_in"]
        [::core::mem::offset_of!(mutex_quality, rate_in) - 128usize];
    ["Offset of field: mutex_quality::rate_out"]
        [::core::mem::offset_of!(mutex_quality, rate_out) - 136usize];
    ["Offset of field: mutex_quality::peak_in"]
        [::core::mem::offset_of!(mutex_quality, peak_in) - 144usize];
    ["Offset of field: mutex_quality::peak_out"]
        [::core::mem::offset_of!(mutex_quality, peak_out) - 152usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_host_quality {
    pub quality: mutex_quality,
    pub discards: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_host_quality"][::core::mem::size_of::<mutex_host_quality>() - 168usize];
    ["Alignment of mutex_host_quality"][::core::mem::align_of::<mutex_host_quality>() - 8usize];
    ["Offset of field: mutex_host_quality::quality"]
        [::core::mem::offset_of!(mutex_host_quality, quality) - 0usize];
    ["Offset of field: mutex_host_quality::discards"]
        [::core::mem::offset_of!(mutex_host_quality, discards) - 160usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_drop_count {
    pub reason: __u32,
    pub packets: __u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_drop_count"][::core::mem::size_of::<mutex_drop_count>() - 8usize];
    ["Alignment of mutex_drop_count"][::core::mem::align_of::<mutex_drop_count>() - 4usize];
    ["Offset of field: mutex_drop_count::reason"]
        [::core::mem::offset_of!(mutex_drop_count, reason) - 0usize];
    ["Offset of field: mutex_drop_count::packets"]
        [::core::mem::offset_of!(mutex_drop_count, packets) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_drop {
    pub reason: __u32,
    pub reserved: __u32,
    pub packets: __u64,
    pub name: [__u8; 32usize],
    pub discards: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_drop"][::core::mem::size_of::<mutex_drop>() - 56usize];
    ["Alignment of mutex_drop"][::core::mem::align_of::<mutex_drop>() - 8usize];
    ["Offset of field: mutex_drop::reason"][::core::mem::offset_of!(mutex_drop, reason) - 0usize];
    ["Offset of field: mutex_drop::reserved"]
        [::core::mem::offset_of!(mutex_drop, reserved) - 4usize];
    ["Offset of field: mutex_drop::packets"][::core::mem::offset_of!(mutex_drop, packets) - 8usize];
    ["Offset of field: mutex_drop::name"][::core::mem::offset_of!(mutex_drop, name) - 16usize];
    ["Offset of field: mutex_drop::discards"]
        [::core::mem::offset_of!(mutex_drop, discards) - 48usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_latency_buckets {
    pub id: __u64,
    pub scope: __u32,
    pub octave: __u32,
    pub samples: [__u64; 8usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_latency_buckets"][::core::mem::size_of::<mutex_latency_buckets>() - 80usize];
    ["Alignment of mutex_latency_buckets"]
        [::core::mem::align_of::<mutex_latency_buckets>() - 8usize];
    ["Offset of field: mutex_latency_buckets::id"]
        [::core::mem::offset_of!(mutex_latency_buckets, id) - 0usize];
    ["Offset of field: mutex_latency_buckets::scope"]
        [::core::mem::offset_of!(mutex_latency_buckets, scope) - 8usize];
    ["Offset of field: mutex_latency_buckets::octave"]
        [::core::mem::offset_of!(mutex_latency_buckets, octave) - 12usize];
    ["Offset of field: mutex_latency_buckets::samples"]
        [::core::mem::offset_of!(mutex_latency_buckets, samples) - 16usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_alert {
    pub number: __u64,
    pub time_ns: __u64,
    pub subject: __u64,
    pub threshold: __u64,
    pub value: __u64,
    pub local_address: [__u8; 16usize],
    pub remote_address: [__u8; 16usize],
    pub local_port: __u16,
    pub remote_port: __u16,
    pub netns: __u32,
    pub pid: __u32,
    pub kind: __u8,
    pub severity: __u8,
    pub scope: __u8,
    pub family: __u8,
    pub protocol: __u8,
    pub reserved: [__u8; 7usize],
    pub command: [__u8; 16usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_alert"][::core::mem::size_of::<mutex_alert>() - 112usize];
    ["Alignment of mutex_alert"][::core::mem::align_of::<mutex_alert>() - 8usize];
    ["Offset of field: mutex_alert::number"][::core::mem::offset_of!(mutex_alert, number) - 0usize];
    ["Offset of field: mutex_alert::time_ns"]
        [::core::mem::offset_of!(mutex_alert, time_ns) - 8usize];
    ["Offset of field: mutex_alert::subject"]
        [::core::mem::offset_of!(mutex_alert, subject) - 16usize];
    ["Offset of field: mutex_alert::threshold"]
        [::core::mem::offset_of!(mutex_alert, threshold) - 24usize];
    ["Offset of field: mutex_alert::value"][::core::mem::offset_of!(mutex_alert, value) - 32usize];
    ["Offset of field: mutex_alert::local_address"]
        [::core::mem::offset_of!(mutex_alert, local_address) - 40usize];
    ["Offset of field: mutex_alert::remote_address"]
        [::core::mem::offset_of!(mutex_alert, remote_address) - 56usize];
    ["Offset of field: mutex_alert::local_port"]
        [::core::mem::offset_of!(mutex_alert, local_port) - 72usize];
    ["Offset of field: mutex_alert::remote_port"]
        [::core::mem::offset_of!(mutex_alert, remote_port) - 74usize];
    ["Offset of field: mutex_alert::netns"][::core::mem::offset_of!(mutex_alert, netns) - 76usize];
    ["Offset of field: mutex_alert::pid"][::core::mem::offset_of!(mutex_alert, pid) - 80usize];
    ["Offset of field: mutex_alert::kind"][::core::mem::offset_of!(mutex_alert, kind) - 84usize];
    ["Offset of field: mutex_alert::severity"]
        [::core::mem::offset_of!(mutex_alert, severity) - 85usize];
    ["Offset of field: mutex_alert::scope"][::core::mem::offset_of!(mutex_alert, scope) - 86usize];
    ["Offset of field: mutex_alert::family"]
        [::core::mem::offset_of!(mutex_alert, family) - 87usize];
    ["Offset of field: mutex_alert::protocol"]
        [::core::mem::offset_of!(mutex_alert, protocol) - 88usize];
    ["Offset of field: mutex_alert::reserved"]
        [::core::mem::offset_of!(mutex_alert, reserved) - 89usize];
    ["Offset of field: mutex_alert::command"]
        [::core::mem::offset_of!(mutex_alert, command) - 96usize];
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
    pub quality: mutex_quality,
    pub drop_reasons: [mutex_drop_count; 3usize],
    pub discards: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_connection"][::core::mem::size_of::<mutex_connection>() - 368usize];
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
    ["Offset of field: mutex_connection::quality"]
        [::core::mem::offset_of!(mutex_connection, quality) - 176usize];
    ["Offset of field: mutex_connection::drop_reasons"]
        [::core::mem::offset_of!(mutex_connection, drop_reasons) - 336usize];
    ["Offset of field: mutex_connection::discards"]
        [::core::mem::offset_of!(mutex_connection, discards) - 360usize];
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
    pub quality: mutex_quality,
    pub discards: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_fd"][::core::mem::size_of::<mutex_fd>() - 320usize];
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
    ["Offset of field: mutex_fd::quality"][::core::mem::offset_of!(mutex_fd, quality) - 152usize];
    ["Offset of field: mutex_fd::discards"][::core::mem::offset_of!(mutex_fd, discards) - 312usize];
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
    pub connections_early: __u64,
    pub under_pressure: __u64,
    pub latency_unplaced: __u64,
    pub alerts_raised: __u64,
    pub alerts_overwritten: __u64,
    pub monitors: __u64,
    pub events_produced: __u64,
    pub events_lost: __u64,
    pub packet_monitors: __u64,
    pub alerts_suppressed: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_status"][::core::mem::size_of::<mutex_status>() - 216usize];
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
    ["Offset of field: mutex_status::connections_early"]
        [::core::mem::offset_of!(mutex_status, connections_early) - 136usize];
    ["Offset of field: mutex_status::under_pressure"]
        [::core::mem::offset_of!(mutex_status, under_pressure) - 144usize];
    ["Offset of field: mutex_status::latency_unplaced"]
        [::core::mem::offset_of!(mutex_status, latency_unplaced) - 152usize];
    ["Offset of field: mutex_status::alerts_raised"]
        [::core::mem::offset_of!(mutex_status, alerts_raised) - 160usize];
    ["Offset of field: mutex_status::alerts_overwritten"]
        [::core::mem::offset_of!(mutex_status, alerts_overwritten) - 168usize];
    ["Offset of field: mutex_status::monitors"]
        [::core::mem::offset_of!(mutex_status, monitors) - 176usize];
    ["Offset of field: mutex_status::events_produced"]
        [::core::mem::offset_of!(mutex_status, events_produced) - 184usize];
    ["Offset of field: mutex_status::events_lost"]
        [::core::mem::offset_of!(mutex_status, events_lost) - 192usize];
    ["Offset of field: mutex_status::packet_monitors"]
        [::core::mem::offset_of!(mutex_status, packet_monitors) - 200usize];
    ["Offset of field: mutex_status::alerts_suppressed"]
        [::core::mem::offset_of!(mutex_status, alerts_suppressed) - 208usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_events_header {
    pub magic: __u64,
    pub version: __u32,
    pub header_size: __u32,
    pub loaded_ns: __u64,
    pub boot_id: [__u8; 16usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_events_header"][::core::mem::size_of::<mutex_events_header>() - 40usize];
    ["Alignment of mutex_events_header"][::core::mem::align_of::<mutex_events_header>() - 8usize];
    ["Offset of field: mutex_events_header::magic"]
        [::core::mem::offset_of!(mutex_events_header, magic) - 0usize];
    ["Offset of field: mutex_events_header::version"]
        [::core::mem::offset_of!(mutex_events_header, version) - 8usize];
    ["Offset of field: mutex_events_header::header_size"]
        [::core::mem::offset_of!(mutex_events_header, header_size) - 12usize];
    ["Offset of field: mutex_events_header::loaded_ns"]
        [::core::mem::offset_of!(mutex_events_header, loaded_ns) - 16usize];
    ["Offset of field: mutex_events_header::boot_id"]
        [::core::mem::offset_of!(mutex_events_header, boot_id) - 24usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_event {
    pub size: __u32,
    pub kind: __u32,
    pub sequence: __u64,
    pub lost: __u64,
    pub time_ns: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_event"][::core::mem::size_of::<mutex_event>() - 32usize];
    ["Alignment of mutex_event"][::core::mem::align_of::<mutex_event>() - 8usize];
    ["Offset of field: mutex_event::size"][::core::mem::offset_of!(mutex_event, size) - 0usize];
    ["Offset of field: mutex_event::kind"][::core::mem::offset_of!(mutex_event, kind) - 4usize];
    ["Offset of field: mutex_event::sequence"]
        [::core::mem::offset_of!(mutex_event, sequence) - 8usize];
    ["Offset of field: mutex_event::lost"][::core::mem::offset_of!(mutex_event, lost) - 16usize];
    ["Offset of field: mutex_event::time_ns"]
        [::core::mem::offset_of!(mutex_event, time_ns) - 24usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_packet {
    pub connection: __u64,
    pub local_address: [__u8; 16usize],
    pub remote_address: [__u8; 16usize],
    pub local_port: __u16,
    pub remote_port: __u16,
    pub netns: __u32,
    pub interface: __u32,
    pub packets: __u32,
    pub bytes: __u64,
    pub payload: __u64,
    pub family: __u8,
    pub protocol: __u8,
    pub direction: __u8,
    pub reserved: [__u8; 5usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_packet"][::core::mem::size_of::<mutex_packet>() - 80usize];
    ["Alignment of mutex_packet"][::core::mem::align_of::<mutex_packet>() - 8usize];
    ["Offset of field: mutex_packet::connection"]
        [::core::mem::offset_of!(mutex_packet, connection) - 0usize];
    ["Offset of field: mutex_packet::local_address"]
        [::core::mem::offset_of!(mutex_packet, local_address) - 8usize];
    ["Offset of field: mutex_packet::remote_address"]
        [::core::mem::offset_of!(mutex_packet, remote_address) - 24usize];
    ["Offset of field: mutex_packet::local_port"]
        [::core::mem::offset_of!(mutex_packet, local_port) - 40usize];
    ["Offset of field: mutex_packet::remote_port"]
        [::core::mem::offset_of!(mutex_packet, remote_port) - 42usize];
    ["Offset of field: mutex_packet::netns"]
        [::core::mem::offset_of!(mutex_packet, netns) - 44usize];
    ["Offset of field: mutex_packet::interface"]
        [::core::mem::offset_of!(mutex_packet, interface) - 48usize];
    ["Offset of field: mutex_packet::packets"]
        [::core::mem::offset_of!(mutex_packet, packets) - 52usize];
    ["Offset of field: mutex_packet::bytes"]
        [::core::mem::offset_of!(mutex_packet, bytes) - 56usize];
    ["Offset of field: mutex_packet::payload"]
        [::core::mem::offset_of!(mutex_packet, payload) - 64usize];
    ["Offset of field: mutex_packet::family"]
        [::core::mem::offset_of!(mutex_packet, family) - 72usize];
    ["Offset of field: mutex_packet::protocol"]
        [::core::mem::offset_of!(mutex_packet, protocol) - 73usize];
    ["Offset of field: mutex_packet::direction"]
        [::core::mem::offset_of!(mutex_packet, direction) - 74usize];
    ["Offset of field: mutex_packet::reserved"]
        [::core::mem::offset_of!(mutex_packet, reserved) - 75usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_live_header {
    pub magic: __u64,
    pub version: __u32,
    pub record_size: __u32,
    pub first_record: __u64,
    pub records: __u64,
    pub bytes: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_live_header"][::core::mem::size_of::<mutex_live_header>() - 40usize];
    ["Alignment of mutex_live_header"][::core::mem::align_of::<mutex_live_header>() - 8usize];
    ["Offset of field: mutex_live_header::magic"]
        [::core::mem::offset_of!(mutex_live_header, magic) - 0usize];
    ["Offset of field: mutex_live_header::version"]
        [::core::mem::offset_of!(mutex_live_header, version) - 8usize];
    ["Offset of field: mutex_live_header::record_size"]
        [::core::mem::offset_of!(mutex_live_header, record_size) - 12usize];
    ["Offset of field: mutex_live_header::first_record"]
        [::core::mem::offset_of!(mutex_live_header, first_record) - 16usize];
    ["Offset of field: mutex_live_header::records"]
        [::core::mem::offset_of!(mutex_live_header, records) - 24usize];
    ["Offset of field: mutex_live_header::bytes"]
        [::core::mem::offset_of!(mutex_live_header, bytes) - 32usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_live_flow {
    pub sequence: __u32,
    pub interface: __u32,
    pub last_seen_ns: __u64,
    pub traffic: mutex_traffic,
    pub window_base: __u64,
    pub previous_window: __u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_live_flow"][::core::mem::size_of::<mutex_live_flow>() - 64usize];
    ["Alignment of mutex_live_flow"][::core::mem::align_of::<mutex_live_flow>() - 8usize];
    ["Offset of field: mutex_live_flow::sequence"]
        [::core::mem::offset_of!(mutex_live_flow, sequence) - 0usize];
    ["Offset of field: mutex_live_flow::interface"]
        [::core::mem::offset_of!(mutex_live_flow, interface) - 4usize];
    ["Offset of field: mutex_live_flow::last_seen_ns"]
        [::core::mem::offset_of!(mutex_live_flow, last_seen_ns) - 8usize];
    ["Offset of field: mutex_live_flow::traffic"]
        [::core::mem::offset_of!(mutex_live_flow, traffic) - 16usize];
    ["Offset of field: mutex_live_flow::window_base"]
        [::core::mem::offset_of!(mutex_live_flow, window_base) - 48usize];
    ["Offset of field: mutex_live_flow::previous_window"]
        [::core::mem::offset_of!(mutex_live_flow, previous_window) - 56usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub struct mutex_live_connection {
    pub local_address: [__u8; 16usize],
    pub remote_address: [__u8; 16usize],
    pub local_port: __u16,
    pub remote_port: __u16,
    pub netns: __u32,
    pub protocol: __u8,
    pub family: __u8,
    pub forwarded: __u8,
    pub reserved: __u8,
    pub scope: __u32,
    pub generation: __u32,
    pub state: __u32,
    pub internal: [__u32; 2usize],
    pub received: mutex_live_flow,
    pub sent: mutex_live_flow,
    pub id: __u64,
    pub first_seen_ns: __u64,
    pub internal2: __u64,
    pub cgroup: __u64,
    pub uid: __u32,
    pub internal3: [__u32; 7usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex_live_connection"][::core::mem::size_of::<mutex_live_connection>() - 256usize];
    ["Alignment of mutex_live_connection"]
        [::core::mem::align_of::<mutex_live_connection>() - 8usize];
    ["Offset of field: mutex_live_connection::local_address"]
        [::core::mem::offset_of!(mutex_live_connection, local_address) - 0usize];
    ["Offset of field: mutex_live_connection::remote_address"]
        [::core::mem::offset_of!(mutex_live_connection, remote_address) - 16usize];
    ["Offset of field: mutex_live_connection::local_port"]
        [::core::mem::offset_of!(mutex_live_connection, local_port) - 32usize];
    ["Offset of field: mutex_live_connection::remote_port"]
        [::core::mem::offset_of!(mutex_live_connection, remote_port) - 34usize];
    ["Offset of field: mutex_live_connection::netns"]
        [::core::mem::offset_of!(mutex_live_connection, netns) - 36usize];
    ["Offset of field: mutex_live_connection::protocol"]
        [::core::mem::offset_of!(mutex_live_connection, protocol) - 40usize];
    ["Offset of field: mutex_live_connection::family"]
        [::core::mem::offset_of!(mutex_live_connection, family) - 41usize];
    ["Offset of field: mutex_live_connection::forwarded"]
        [::core::mem::offset_of!(mutex_live_connection, forwarded) - 42usize];
    ["Offset of field: mutex_live_connection::reserved"]
        [::core::mem::offset_of!(mutex_live_connection, reserved) - 43usize];
    ["Offset of field: mutex_live_connection::scope"]
        [::core::mem::offset_of!(mutex_live_connection, scope) - 44usize];
    ["Offset of field: mutex_live_connection::generation"]
        [::core::mem::offset_of!(mutex_live_connection, generation) - 48usize];
    ["Offset of field: mutex_live_connection::state"]
        [::core::mem::offset_of!(mutex_live_connection, state) - 52usize];
    ["Offset of field: mutex_live_connection::internal"]
        [::core::mem::offset_of!(mutex_live_connection, internal) - 56usize];
    ["Offset of field: mutex_live_connection::received"]
        [::core::mem::offset_of!(mutex_live_connection, received) - 64usize];
    ["Offset of field: mutex_live_connection::sent"]
        [::core::mem::offset_of!(mutex_live_connection, sent) - 128usize];
    ["Offset of field: mutex_live_connection::id"]
        [::core::mem::offset_of!(mutex_live_connection, id) - 192usize];
    ["Offset of field: mutex_live_connection::first_seen_ns"]
        [::core::mem::offset_of!(mutex_live_connection, first_seen_ns) - 200usize];
    ["Offset of field: mutex_live_connection::internal2"]
        [::core::mem::offset_of!(mutex_live_connection, internal2) - 208usize];
    ["Offset of field: mutex_live_connection::cgroup"]
        [::core::mem::offset_of!(mutex_live_connection, cgroup) - 216usize];
    ["Offset of field: mutex_live_connection::uid"]
        [::core::mem::offset_of!(mutex_live_connection, uid) - 224usize];
    ["Offset of field: mutex_live_connection::internal3"]
        [::core::mem::offset_of!(mutex_live_connection, internal3) - 228usize];
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
