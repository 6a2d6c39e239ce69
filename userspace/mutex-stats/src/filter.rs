// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which records are wanted, in the language of the kernel's monitors.

use std::fmt;

use mutex_core::abi::MUTEX_EVENT_START;
use mutex_core::filter::Filter as Terms;
use mutex_core::filter::Subject;

use crate::Alert;
use crate::Connection;
use crate::Error;
use crate::Fd;

/// A filter: terms with white space between them, all of which have to hold, such as
/// `protocol=tcp remote=10.0.0.0/8 port=80,443 uid!=0 drops>=1`.
///
/// `key=value` takes several values with commas between them, of which one has to fit; `key!=value`
/// means that none may; `key>=number` and `key<=number` compare. Numbers can be ranges, `1000-2000`.
/// Keys are those of the kernel's monitors (see the module `filter` of `mutex-core`); what a record
/// does not have fits no value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(Terms);

/// What a filter is for, which decides about its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtered {
    /// Records of connections.
    Connections,
    /// Records of fds.
    Fds,
    /// Records of alerts.
    Alerts,
    /// The stream of a monitor: all keys that there are.
    Events,
}

impl Filtered {
    /// Keys that mean nothing here.
    fn meaningless(self) -> &'static [&'static str] {
        match self {
            Filtered::Connections => &["kind", "sample", "direction", "severity"],
            Filtered::Fds => &[
                "kind",
                "sample",
                "direction",
                "severity",
                "address",
                "local",
                "remote",
                "port",
                "local_port",
                "remote_port",
                "interface",
                "connection",
                "state",
                "flags",
            ],
            Filtered::Alerts => &[
                "kind",
                "sample",
                "direction",
                "uid",
                "cgroup",
                "interface",
                "state",
                "flags",
                "inode",
                "sent_bytes",
                "received_bytes",
                "latency_average_ns",
                "retransmitted_packets",
                "drops",
                "losses",
                "rate_in",
                "rate_out",
            ],
            Filtered::Events => &[],
        }
    }
}

impl fmt::Display for Filtered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Filtered::Connections => "connections",
            Filtered::Fds => "fds",
            Filtered::Alerts => "alerts",
            Filtered::Events => "events",
        })
    }
}

impl Filter {
    /// Reads a filter of such records.
    ///
    /// # Errors
    ///
    /// [`Error::Filter`], which says what is wrong and what could be there instead.
    pub fn parse(text: &str, of: Filtered) -> Result<Self, Error> {
        let terms = Terms::parse(text).map_err(|error| Error::Filter(error.to_string()))?;
        if let Some(key) = terms.keys().find(|key| of.meaningless().contains(key)) {
            return Err(Error::Filter(format!("\"{key}\" is no key of {of}")));
        }
        Ok(Filter(terms))
    }

    /// Whether it has no terms, so that every record is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it asks for what only the owning fd knows of a connection: pid, command, inode.
    #[must_use]
    pub fn asks_for_owner(&self) -> bool {
        self.0.keys().any(|key| matches!(key, "pid" | "command" | "inode"))
    }

    /// Whether a connection, which `fd` owns if that is known, is wanted.
    #[must_use]
    pub fn connection(&self, connection: &Connection, fd: Option<&Fd>) -> bool {
        let subject = Subject::of_connection(MUTEX_EVENT_START, connection);
        self.0.matches(&fd.map_or(subject, |fd| subject.owned_by(fd)))
    }

    /// Whether an fd is wanted.
    #[must_use]
    pub fn fd(&self, fd: &Fd) -> bool {
        self.0.matches(&Subject::of_fd(fd))
    }

    /// Whether an alert is wanted.
    #[must_use]
    pub fn alert(&self, alert: &Alert) -> bool {
        self.0.matches(&Subject::of_alert(alert))
    }
}

/// The text of an equal filter, as short as it can be.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Traffic;

    fn filter(text: &str, of: Filtered) -> Filter {
        Filter::parse(text, of).expect("it is a filter")
    }

    #[test]
    fn records_are_told_apart() {
        let connection = Connection {
            id: 1,
            fd: 2,
            protocol: 6,
            state: 1,
            family: 4,
            remote_port: 443,
            sent: Traffic { bytes: 1_000, ..Traffic::ZERO },
            ..Connection::default()
        };
        let mut fd = Fd { id: 2, pid: 9, ..Fd::default() };
        fd.command[..4].copy_from_slice(b"curl");
        for (text, alone, owned) in [
            ("", true, true),
            ("protocol=tcp port=443 state=established", true, true),
            ("protocol=udp", false, false),
            ("sent_bytes>=1000 sent_bytes<=1000", true, true),
            ("sent_bytes>=1001", false, false),
            ("pid=9", false, true),
            ("command=c*", false, true),
            ("command!=curl", true, false),
        ] {
            let filter = filter(text, Filtered::Connections);
            assert_eq!(filter.connection(&connection, None), alone, "{text}");
            assert_eq!(filter.connection(&connection, Some(&fd)), owned, "{text}");
            assert_eq!(filter.asks_for_owner(), alone != owned, "{text}");
        }
        assert!(filter("pid=9 command=curl fd=2", Filtered::Fds).fd(&fd));
        assert!(!filter("pid!=9", Filtered::Fds).fd(&fd));
        let alert = Alert { severity: 2, scope: 2, ..Alert::default() };
        assert!(filter("severity=error", Filtered::Alerts).alert(&alert));
        assert!(!filter("severity=critical", Filtered::Alerts).alert(&alert));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let error = |text, of| Filter::parse(text, of).expect_err("it is wrong").to_string();
        assert_eq!(
            error("sample=5", Filtered::Connections),
            "the filter is wrong: \"sample\" is no key of connections"
        );
        assert_eq!(
            error("port=80", Filtered::Fds),
            "the filter is wrong: \"port\" is no key of fds"
        );
        assert_eq!(
            error("port=0", Filtered::Events),
            "the filter is wrong: \"0\" is no value of port: expected is a number from 1 to 65535 \
             or a range such as 1000-2000"
        );
        assert_eq!(
            filter(" kind=end  port=80-80", Filtered::Events).to_string(),
            "kind=end port=80"
        );
    }
}
