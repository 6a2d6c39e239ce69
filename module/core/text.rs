// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! The text of `/proc/mutex/stats`, `connections`, `fds` and `monitors`, for people and scripts.
//!
//! `stats` is one `key value` a line; the others are a header line and a line a record, fields
//! separated by one space. Every file starts with `format 1`. Integers are in base units, 0 where there
//! is none; a uid or command that is unknown, flags that are none and drops that never were are `-`. New
//! keys and new columns are only added at the end.

use core::fmt;
use core::fmt::Write;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;

use crate::abi::*;
use crate::counters::Totals;
use crate::counters::Traffic;
use crate::filter::Filter;
use crate::monitor::Counts;
use crate::names::state_name;
use crate::names::ConnectionFlags;
use crate::names::Protocol;
use crate::parse::Untracked;
use crate::report::drop_counts;
use crate::report::DropKey;
use crate::report::DropReasons;

/// The version that every file starts with.
pub const FORMAT: u32 = 1;

/// Columns of `connections` before the counters. Behind them come the quality and `drop_reasons`.
pub const CONNECTION_COLUMNS: [&str; 19] = [
    "id",
    "netns",
    "protocol",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "scope",
    "state",
    "flags",
    "fd",
    "uid",
    "cgroup",
    "in_interface",
    "out_interface",
    "first_seen_ns",
    "last_seen_ns",
    "closed_ns",
    "family",
];

/// Columns of `fds` before the counters. Behind them comes the quality.
pub const FD_COLUMNS: [&str; 13] = [
    "id",
    "inode",
    "netns",
    "family",
    "protocol",
    "pid",
    "command",
    "uid",
    "cgroup",
    "first_seen_ns",
    "closed_ns",
    "active_connections",
    "total_connections",
];

/// Columns of `monitors`. A filter has spaces, so it stays the last: new columns go before it.
pub const MONITOR_COLUMNS: [&str; 12] = [
    "id",
    "pid",
    "command",
    "uid",
    "netns",
    "opened_ns",
    "produced",
    "delivered",
    "lost",
    "pending",
    "slots",
    "filter",
];

/// Shows an address of a record: IPv4 where it is one and `family` says so.
pub struct Address {
    /// 4 or 6.
    pub family: u8,
    /// IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [.., a, b, c, d] = self.address;
        if self.family == 4 {
            Ipv4Addr::new(a, b, c, d).fmt(f)
        } else {
            Ipv6Addr::from(self.address).fmt(f)
        }
    }
}

/// Shows a uid, `-` if it is unknown.
pub struct Uid(pub u32);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == MUTEX_UID_UNKNOWN {
            f.write_str("-")
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// Shows a command so that it is one field: white space, control characters, the backslash and
/// what is not ASCII become `\xNN`; an unknown one is `-`.
pub struct Command<'a>(pub &'a [u8]);

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut empty = true;
        for &byte in self.0.iter().take_while(|&&byte| byte != 0) {
            empty = false;
            if byte.is_ascii_graphic() && byte != b'\\' {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        if empty {
            f.write_str("-")?;
        }
        Ok(())
    }
}

/// How many of [`status_fields`] come before the traffic in `stats`: the others are newer.
const STATUS_BEFORE_TRAFFIC: usize = 17;

/// The scalars of `stats` that are the module's own, with their names.
pub fn status_fields(status: &mutex_status) -> [(&'static str, u64); 25] {
    [
        ("uptime_ns", status.uptime_ns),
        ("connections_active", status.connections_active),
        ("connections_total", status.connections_total),
        ("connections_closed", status.connections_closed),
        ("fds_active", status.fds_active),
        ("fds_total", status.fds_total),
        ("fds_untracked", status.fds_untracked),
        ("cache_hits", status.cache_hits),
        ("cache_misses", status.cache_misses),
        ("table_size", status.table_size),
        ("table_used", status.table_used),
        ("table_high_water", status.table_high_water),
        ("fd_table_size", status.fd_table_size),
        ("fd_table_used", status.fd_table_used),
        ("fd_table_high_water", status.fd_table_high_water),
        ("memory_bytes", status.memory_bytes),
        ("connection_bytes", status.connection_bytes),
        ("connections_early", status.connections_early),
        ("under_pressure", status.under_pressure),
        ("latency_unplaced", status.latency_unplaced),
        ("alerts_raised", status.alerts_raised),
        ("alerts_overwritten", status.alerts_overwritten),
        ("monitors", status.monitors),
        ("events_produced", status.events_produced),
        ("events_lost", status.events_lost),
    ]
}

fn traffic_lines(out: &mut impl Write, prefix: &str, name: &str, traffic: &Traffic) -> fmt::Result {
    for (counter, value) in traffic.fields() {
        writeln!(out, "{prefix}{name}_{counter} {value}")?;
    }
    Ok(())
}

/// Writes the whole of `stats`. The reasons of `untracked` are summed over the directions; `drops`
/// are a reason each.
pub fn stats(
    out: &mut impl Write,
    status: &mutex_status,
    totals: &Totals,
    closed: &Totals,
    untracked: impl Fn(Untracked) -> Totals,
    quality: &mutex_quality,
    drops: impl IntoIterator<Item = mutex_drop>,
) -> fmt::Result {
    writeln!(out, "format {FORMAT}")?;
    let status = status_fields(status);
    for (key, value) in status.iter().take(STATUS_BEFORE_TRAFFIC) {
        writeln!(out, "{key} {value}")?;
    }
    for (direction, traffic) in totals.fields() {
        traffic_lines(out, "", direction, traffic)?;
    }
    for (direction, traffic) in closed.fields() {
        traffic_lines(out, "closed_", direction, traffic)?;
    }
    for reason in Untracked::ALL {
        let mut sum = Traffic::ZERO;
        for (_, traffic) in untracked(reason).fields() {
            sum.add(traffic);
        }
        traffic_lines(out, "untracked_", reason.name(), &sum)?;
    }
    for (key, value) in status.iter().skip(STATUS_BEFORE_TRAFFIC) {
        writeln!(out, "{key} {value}")?;
    }
    quality.columns(|key, value| writeln!(out, "{key} {value}"))?;
    for drop in drops {
        writeln!(out, "drop_{} {}", DropKey(&drop), drop.packets)?;
    }
    Ok(())
}

fn header(out: &mut impl Write, columns: &[&str]) -> fmt::Result {
    writeln!(out, "format {FORMAT}")?;
    for column in columns {
        write!(out, "{column} ")?;
    }
    let mut separator = "";
    for direction in ["sent", "received"] {
        for (counter, _) in Traffic::ZERO.fields() {
            write!(out, "{separator}{direction}_{counter}")?;
            separator = " ";
        }
    }
    mutex_quality::default().columns(|name, _| write!(out, " {name}"))
}

fn counters(
    out: &mut impl Write,
    sent: &Traffic,
    received: &Traffic,
    quality: &mutex_quality,
) -> fmt::Result {
    for traffic in [sent, received] {
        for (_, value) in traffic.fields() {
            write!(out, " {value}")?;
        }
    }
    quality.columns(|_, value| write!(out, " {value}"))
}

/// Writes the lines that `connections` starts with.
pub fn connections_header(out: &mut impl Write) -> fmt::Result {
    header(out, &CONNECTION_COLUMNS)?;
    writeln!(out, " drop_reasons")
}

/// Writes one line of `connections`.
pub fn connection(out: &mut impl Write, c: &mutex_connection) -> fmt::Result {
    let address = |address| Address { family: c.family, address };
    write!(
        out,
        "{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}",
        c.id,
        c.netns,
        Protocol(c.protocol),
        address(c.local_address),
        c.local_port,
        address(c.remote_address),
        c.remote_port,
        c.scope,
        state_name(c.state),
        ConnectionFlags(c.flags),
        c.fd,
        Uid(c.uid),
        c.cgroup,
        c.in_interface,
        c.out_interface,
        c.first_seen_ns,
        c.last_seen_ns,
        c.closed_ns,
        c.family,
    )?;
    counters(out, &c.sent, &c.received, &c.quality)?;
    if drop_counts(&c.drop_reasons).next().is_none() {
        return writeln!(out, " -");
    }
    writeln!(out, " {}", DropReasons { reasons: &c.drop_reasons, separator: ',' })
}

/// Writes the lines that `fds` starts with.
pub fn fds_header(out: &mut impl Write) -> fmt::Result {
    header(out, &FD_COLUMNS)?;
    writeln!(out)
}

/// Writes one line of `fds`.
pub fn fd(out: &mut impl Write, fd: &mutex_fd) -> fmt::Result {
    write!(
        out,
        "{} {} {} {} {} {} {} {} {} {} {} {} {}",
        fd.id,
        fd.inode,
        fd.netns,
        fd.family,
        Protocol(fd.protocol),
        fd.pid,
        Command(&fd.command),
        Uid(fd.uid),
        fd.cgroup,
        fd.first_seen_ns,
        fd.closed_ns,
        fd.active_connections,
        fd.total_connections,
    )?;
    counters(out, &fd.sent, &fd.received, &fd.quality)?;
    writeln!(out)
}

/// A monitor, for one line of `monitors`.
pub struct MonitorLine<'a> {
    /// Counts from 1 since the module was loaded.
    pub id: u64,
    /// Process that opened it.
    pub pid: u32,
    /// Its command, ended by a zero or the end.
    pub command: &'a [u8],
    /// Its user.
    pub uid: u32,
    /// Inode number of its network namespace.
    pub netns: u32,
    /// When it was opened, Unix time.
    pub opened_ns: u64,
    /// What became of its events.
    pub counts: Counts,
    /// Events that it has room for.
    pub slots: usize,
    /// What it is to get.
    pub filter: &'a Filter,
}

/// Writes the lines that `monitors` starts with.
pub fn monitors_header(out: &mut impl Write) -> fmt::Result {
    writeln!(out, "format {FORMAT}")?;
    let mut separator = "";
    for column in MONITOR_COLUMNS {
        write!(out, "{separator}{column}")?;
        separator = " ";
    }
    writeln!(out)
}

/// Writes one line of `monitors`.
pub fn monitor(out: &mut impl Write, monitor: &MonitorLine<'_>) -> fmt::Result {
    let counts = &monitor.counts;
    write!(
        out,
        "{} {} {} {} {} {} {} {} {} {} {} ",
        monitor.id,
        monitor.pid,
        Command(monitor.command),
        Uid(monitor.uid),
        monitor.netns,
        monitor.opened_ns,
        counts.produced,
        counts.delivered,
        counts.lost,
        counts.pending,
        monitor.slots,
    )?;
    if monitor.filter.is_empty() {
        writeln!(out, "-")
    } else {
        writeln!(out, "{}", monitor.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::prelude::v1::*;

    fn columns(write_header: fn(&mut String) -> fmt::Result) -> usize {
        let mut text = String::new();
        write_header(&mut text).expect("a string takes everything");
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("format 1"));
        lines.next().map_or(0, |line| line.split(' ').count())
    }

    #[test]
    fn a_line_has_a_field_for_each_column() {
        let mut line = String::new();
        let record = mutex_connection { family: 4, protocol: 6, state: 1, ..Default::default() };
        connection(&mut line, &record).expect("a string takes everything");
        assert_eq!(line.split(' ').count(), columns(connections_header));

        let mut line = String::new();
        let record = mutex_fd { command: *b"a b\\\n\0xxxxxxxxxx", ..Default::default() };
        fd(&mut line, &record).expect("a string takes everything");
        assert_eq!(line.split(' ').count(), columns(fds_header));
        assert!(line.contains(r" a\x20b\x5c\x0a "), "{line}");
    }

    #[test]
    fn what_is_new_comes_last() {
        let quality = mutex_quality { drops: 5, peak_out: 6, ..Default::default() };
        let mut record = mutex_connection { quality, ..Default::default() };
        let mut line = String::new();
        connection(&mut line, &record).expect("a string takes everything");
        assert!(line.ends_with(" 5 0 0 0 6 -\n"), "{line}");
        record.drop_reasons[0] = mutex_drop_count { reason: 17, packets: 4 };
        record.drop_reasons[1] = mutex_drop_count { reason: 2, packets: 1 };
        line.clear();
        connection(&mut line, &record).expect("a string takes everything");
        assert!(line.ends_with(" 6 17:4,2:1\n"), "{line}");

        let mut names = String::new();
        connections_header(&mut names).expect("a string takes everything");
        assert!(names.contains(" received_payload latency_samples latency_last_ns "), "{names}");
        assert!(names.ends_with(" peak_in peak_out drop_reasons\n"), "{names}");

        let mut text = String::new();
        let mut dropped = mutex_drop { reason: 17, packets: 5, ..Default::default() };
        dropped.name[..8].copy_from_slice(b"TCP_CSUM");
        let status = mutex_status { events_lost: 3, ..Default::default() };
        let none = Totals::ZERO;
        stats(&mut text, &status, &none, &none, |_| none, &quality, [dropped])
            .expect("a string takes everything");
        let old = text.find("\nuntracked_policy_payload 0\nconnections_early 0\n");
        assert!(old.is_some(), "{text}");
        assert!(text.contains("\nevents_lost 3\nlatency_samples 0\n"), "{text}");
        assert!(text.ends_with("\npeak_out 6\ndrop_tcp_csum 5\n"), "{text}");
    }

    #[test]
    fn a_monitor_ends_with_its_filter() {
        let line = |text: &str| {
            let mut line = String::new();
            let record = MonitorLine {
                id: 1,
                pid: 2,
                command: b"a b\0",
                uid: 0,
                netns: 3,
                opened_ns: 4,
                counts: Counts { produced: 10, delivered: 7, lost: 2, pending: 1 },
                slots: 64,
                filter: &Filter::parse(text).expect("it is a filter"),
            };
            monitor(&mut line, &record).expect("a string takes everything");
            line
        };
        assert_eq!(line(""), "1 2 a\\x20b 0 3 4 10 7 2 1 64 -\n");
        assert_eq!(line("uid=1  port=80"), "1 2 a\\x20b 0 3 4 10 7 2 1 64 uid=1 port=80\n");
        assert_eq!(line("").split(' ').count(), columns(monitors_header));
    }

    #[test]
    fn addresses_are_shown_by_their_family() {
        let mut address = [0; 16];
        address[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
        assert_eq!(Address { family: 4, address }.to_string(), "192.0.2.1");
        assert_eq!(Address { family: 6, address }.to_string(), "::ffff:192.0.2.1");
    }
}
