// SPDX-License-Identifier: MIT OR Apache-2.0

//! The records of an image under the names that userspace uses, and what their numbers mean.

use std::fmt;

pub use mutex_core::abi::mutex_alert as Alert;
pub use mutex_core::abi::mutex_connection as Connection;
pub use mutex_core::abi::mutex_drop as Dropped;
pub use mutex_core::abi::mutex_drop_count as DropCount;
pub use mutex_core::abi::mutex_end as End;
pub use mutex_core::abi::mutex_fd as Fd;
pub use mutex_core::abi::mutex_header as Header;
pub use mutex_core::abi::mutex_host_quality as HostQuality;
pub use mutex_core::abi::mutex_latency as Latency;
pub use mutex_core::abi::mutex_latency_buckets as LatencyBuckets;
pub use mutex_core::abi::mutex_packet as Packet;
pub use mutex_core::abi::mutex_quality as Quality;
pub use mutex_core::abi::mutex_status as Status;
pub use mutex_core::abi::mutex_totals as Totals;
pub use mutex_core::abi::mutex_traffic as Traffic;
pub use mutex_core::abi::mutex_untracked as Untracked;
pub use mutex_core::counters::Direction;
pub use mutex_core::names::Protocol;
pub use mutex_core::names::alert_kind_name;
pub use mutex_core::names::connection_flags as flag_names;
pub use mutex_core::names::scope_name;
pub use mutex_core::names::severity_name;
pub use mutex_core::names::state_name;
pub use mutex_core::report::drop_counts;
pub use mutex_core::text::Address;
pub use mutex_core::text::Uid;

use mutex_core::abi::MUTEX_CONNECTION_FORWARDED;
use mutex_core::abi::MUTEX_IMAGE_FILTERED;
use mutex_core::abi::MUTEX_SCOPE_CONNECTION;
use mutex_core::abi::MUTEX_UID_UNKNOWN;
use mutex_core::parse::Untracked as Reason;
use mutex_core::text::Message;

use crate::printable::printable;

/// Whether an image holds one network namespace's records only, so that its books cannot be
/// balanced: it was taken inside a namespace other than the first.
#[must_use]
pub fn is_filtered(header: &Header) -> bool {
    header.flags & MUTEX_IMAGE_FILTERED != 0
}

/// Whether a connection passes through this host; `local` is then its initiator.
#[must_use]
pub fn is_forwarded(connection: &Connection) -> bool {
    connection.flags & MUTEX_CONNECTION_FORWARDED != 0
}

/// Whether a connection's ports mean something: ports, or the identifiers of ICMP echo.
#[must_use]
pub fn has_ports(number: u8) -> bool {
    use mutex_core::parse::protocol as p;
    matches!(number, p::TCP | p::UDP | p::UDPLITE | p::SCTP | p::DCCP | p::ICMP | p::ICMPV6)
}

/// The uid, `None` where the kernel knows none.
#[must_use]
pub fn known_uid(uid: u32) -> Option<u32> {
    (uid != MUTEX_UID_UNKNOWN).then_some(uid)
}

/// A command as text: up to its zero; what is not UTF-8 becomes U+FFFD, and what is not
/// [`printable`](crate::printable()) is escaped. `None` where the kernel knows none.
#[must_use]
pub fn command_text(command: &[u8]) -> Option<String> {
    let bytes = command.split(|&byte| byte == 0).next().filter(|bytes| !bytes.is_empty())?;
    Some(printable(&String::from_utf8_lossy(bytes)).into_owned())
}

/// An alert as a sentence that says what was found and what can be done, as in the kernel's text.
#[must_use]
pub fn alert_message(alert: &Alert) -> String {
    Message(alert).to_string()
}

/// Whether an alert is about a connection, so that it has endpoints.
#[must_use]
pub fn has_endpoints(alert: &Alert) -> bool {
    u32::from(alert.scope) == MUTEX_SCOPE_CONNECTION
}

/// Why the kernel dropped packets, as the kernel spells it. `None` where it has no name for it.
#[must_use]
pub fn drop_name(dropped: &Dropped) -> Option<String> {
    command_text(dropped.name())
}

/// A reason for untracked traffic by its name; one that this version does not know by its number.
pub struct ReasonName(
    /// As in [`Untracked::reason`].
    pub u32,
);

impl fmt::Display for ReasonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Reason::ALL.into_iter().find(|&reason| reason as u32 == self.0) {
            Some(reason) => f.pad(reason.name()),
            None => write!(f, "reason_{}", self.0),
        }
    }
}

/// A boot id in the form of `/proc/sys/kernel/random/boot_id`.
pub struct BootId(
    /// As in [`Header::boot_id`].
    pub [u8; 16],
);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_text_whatever_a_process_calls_itself() {
        assert_eq!(command_text(b"tmux: server\0\0\0\0").as_deref(), Some("tmux: server"));
        assert_eq!(command_text(b"\x1b[2Jevil\xff\0x").as_deref(), Some("\\u{1b}[2Jevil\u{fffd}"));
        assert_eq!(command_text("\u{202e}sshd".as_bytes()).as_deref(), Some("\\u{202e}sshd"));
        assert_eq!(command_text(b"sixteen-bytes-xx").as_deref(), Some("sixteen-bytes-xx"));
        assert_eq!(command_text(&[0; 16]), None);
        assert_eq!(command_text(&[]), None);
    }

    #[test]
    fn a_boot_id_is_shown_as_the_kernel_shows_it() {
        let bytes = [0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 1, 2, 3, 4, 5, 6];
        assert_eq!(BootId(bytes).to_string(), "123e4567-e89b-12d3-a456-010203040506");
    }

    #[test]
    fn reasons_have_the_names_of_the_kernels_text() {
        assert_eq!(ReasonName(0).to_string(), "table_full");
        assert_eq!(ReasonName(5).to_string(), "policy");
        assert_eq!(ReasonName(6).to_string(), "quota");
        assert_eq!(ReasonName(7).to_string(), "reason_7");
    }

    #[test]
    fn flags_are_told_apart() {
        assert_eq!(flag_names(0).count(), 0);
        assert_eq!(flag_names(0b101).collect::<Vec<_>>(), ["forwarded", "reset"]);
        assert_eq!(flag_names(1 << 31).count(), 0);
    }
}
