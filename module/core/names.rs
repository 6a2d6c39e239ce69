// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! The numbers of `include/mutex.h` in words, the same in the kernel's text and in every export.

use core::fmt;

use crate::abi::*;
use crate::parse::protocol;
use crate::parse::Untracked;

/// A protocol number's name as in `/etc/protocols`, `None` if it has none here.
pub fn protocol_name(number: u8) -> Option<&'static str> {
    Some(match number {
        protocol::ICMP => "icmp",
        2 => "igmp",
        4 => "ipip",
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::DCCP => "dccp",
        41 => "ipv6",
        47 => "gre",
        50 => "esp",
        protocol::AH => "ah",
        protocol::ICMPV6 => "icmpv6",
        89 => "ospf",
        103 => "pim",
        112 => "vrrp",
        protocol::SCTP => "sctp",
        protocol::UDPLITE => "udplite",
        _ => return None,
    })
}

/// Shows a protocol by name, or by number where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match protocol_name(self.0) {
            Some(name) => f.pad(name),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

/// A connection state's name; `ss` writes TCP's the same way but for case.
pub fn state_name(state: u8) -> &'static str {
    match u32::from(state) {
        MUTEX_STATE_ESTABLISHED => "established",
        MUTEX_STATE_SYN_SENT => "syn-sent",
        MUTEX_STATE_SYN_RECV => "syn-recv",
        MUTEX_STATE_FIN_WAIT1 => "fin-wait-1",
        MUTEX_STATE_FIN_WAIT2 => "fin-wait-2",
        MUTEX_STATE_TIME_WAIT => "time-wait",
        MUTEX_STATE_CLOSED => "closed",
        MUTEX_STATE_CLOSE_WAIT => "close-wait",
        MUTEX_STATE_LAST_ACK => "last-ack",
        MUTEX_STATE_CLOSING => "closing",
        MUTEX_STATE_ONE_WAY => "one-way",
        MUTEX_STATE_TWO_WAY => "two-way",
        _ => "unknown",
    }
}

/// The flags of a connection with their names.
pub const CONNECTION_FLAGS: [(u32, &str); 5] = [
    (MUTEX_CONNECTION_FORWARDED, "forwarded"),
    (MUTEX_CONNECTION_ADOPTED, "adopted"),
    (MUTEX_CONNECTION_RESET, "reset"),
    (MUTEX_CONNECTION_TIMED_OUT, "timed-out"),
    (MUTEX_CONNECTION_NETNS_GONE, "netns-gone"),
];

/// The names of a connection's flags, in the order of their bits. Bits without a name are left out.
pub fn connection_flags(flags: u32) -> impl Iterator<Item = &'static str> + Clone {
    CONNECTION_FLAGS.into_iter().filter(move |(flag, _)| flags & flag != 0).map(|(_, name)| name)
}

/// Shows a connection's flags with commas between them, `-` if there are none.
pub struct ConnectionFlags(pub u32);

impl fmt::Display for ConnectionFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = connection_flags(self.0);
        f.write_str(names.next().unwrap_or("-"))?;
        names.try_for_each(|name| write!(f, ",{name}"))
    }
}

/// What a measurement, a threshold or an alert is about.
pub fn scope_name(scope: u8) -> &'static str {
    match u32::from(scope) {
        MUTEX_SCOPE_CONNECTION => "connection",
        MUTEX_SCOPE_FD => "fd",
        MUTEX_SCOPE_GLOBAL => "global",
        _ => "unknown",
    }
}

/// An event kind's name.
pub fn event_kind_name(kind: u32) -> &'static str {
    match kind {
        MUTEX_EVENT_START => "start",
        MUTEX_EVENT_END => "end",
        MUTEX_EVENT_ALERT => "alert",
        MUTEX_EVENT_PACKET => "packet",
        _ => "unknown",
    }
}

/// A kind of alert.
pub fn alert_kind_name(kind: u8) -> &'static str {
    match u32::from(kind) {
        MUTEX_ALERT_LATENCY => "latency",
        MUTEX_ALERT_ERROR_RATE => "error_rate",
        MUTEX_ALERT_RETRANSMISSION_RATE => "retransmission_rate",
        MUTEX_ALERT_DROP_RATE => "drop_rate",
        MUTEX_ALERT_BANDWIDTH_IN => "bandwidth_in",
        MUTEX_ALERT_BANDWIDTH_OUT => "bandwidth_out",
        MUTEX_ALERT_TABLE_FILL => "table_fill",
        _ => "unknown",
    }
}

/// An alert's severity.
pub fn severity_name(severity: u8) -> &'static str {
    match u32::from(severity) {
        MUTEX_SEVERITY_INFO => "info",
        MUTEX_SEVERITY_WARNING => "warning",
        MUTEX_SEVERITY_ERROR => "error",
        MUTEX_SEVERITY_CRITICAL => "critical",
        _ => "unknown",
    }
}

impl Untracked {
    /// The reason in one word.
    pub const fn name(self) -> &'static str {
        match self {
            Untracked::TableFull => "table_full",
            Untracked::Allocation => "allocation",
            Untracked::Fragment => "fragment",
            Untracked::Truncated => "truncated",
            Untracked::InvalidHeader => "invalid_header",
            Untracked::Policy => "policy",
            Untracked::Quota => "quota",
        }
    }
}
