// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! The text of the files in `/proc/mutex`, for people and scripts.
//!
//! `stats` is one `key value` a line; the others are a header line and a line a record, fields
//! separated by one space; the last field of `alerts` is a sentence. Every file starts with `format 1`.
//! Integers are in base units, 0 where there is none; a uid, command, protocol or address that is
//! unknown, flags that are none and drops that never were are `-`. New keys and new columns are only
//! added at the end.

use core::fmt;
use core::fmt::Write;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;

use crate::abi::*;
use crate::ascii::Text;
use crate::counters::Totals;
use crate::counters::Traffic;
use crate::filter::Filter;
use crate::monitor::Counts;
use crate::names::alert_kind_name;
use crate::names::connection_flags;
use crate::names::protocol_name;
use crate::names::scope_name;
use crate::names::severity_name;
use crate::names::state_name;
use crate::names::Protocol;
use crate::parse::Untracked;
use crate::report::drop_counts;
use crate::report::DropKey;

/// The version that every file starts with.
pub const FORMAT: u32 = 1;

/// Columns of `connections` before the counters. Behind them come the quality, `drop_reasons`,
/// `losses` and `discards`.
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

/// Columns of `fds` before the counters. Behind them come the quality, `losses` and `discards`.
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

/// Columns of `alerts`.
pub const ALERT_COLUMNS: [&str; 17] = [
    "number",
    "time_ns",
    "severity",
    "kind",
    "scope",
    "subject",
    "netns",
    "protocol",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "pid",
    "command",
    "threshold",
    "value",
    "message",
];

/// Shows an address of a record: IPv4 where it is one and `family` says so.
#[derive(Clone, Copy)]
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

/// How many of the reasons of untracked packets come with the traffic: the others are newer.
const REASONS_WITH_TRAFFIC: usize = 6;

/// How many of [`status_fields`] come before the traffic in `stats`: the others are newer.
const STATUS_BEFORE_TRAFFIC: usize = 17;

/// How many of them come before the quality.
const STATUS_BEFORE_QUALITY: usize = 25;

/// The scalars of `stats` that are the module's own, with their names.
pub fn status_fields(status: &mutex_status) -> [(&'static str, u64); 27] {
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
        ("packet_monitors", status.packet_monitors),
        ("alerts_suppressed", status.alerts_suppressed),
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
    quality: &mutex_host_quality,
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
    let untracked_lines = |out: &mut _, reason: &Untracked| {
        let mut sum = Traffic::ZERO;
        for (_, traffic) in untracked(*reason).fields() {
            sum.add(traffic);
        }
        traffic_lines(out, "untracked_", reason.name(), &sum)
    };
    for reason in Untracked::ALL.iter().take(REASONS_WITH_TRAFFIC) {
        untracked_lines(out, reason)?;
    }
    for (key, value) in status.iter().take(STATUS_BEFORE_QUALITY).skip(STATUS_BEFORE_TRAFFIC) {
        writeln!(out, "{key} {value}")?;
    }
    quality.quality.columns(|key, value| writeln!(out, "{key} {value}"))?;
    for drop in drops {
        writeln!(out, "drop_{} {}", DropKey(&drop), drop.packets)?;
        for (kind, packets) in [("loss", drop.losses()), ("discard", drop.discards)] {
            if packets != 0 {
                writeln!(out, "{kind}_{} {packets}", DropKey(&drop))?;
            }
        }
    }
    for (key, value) in status.iter().skip(STATUS_BEFORE_QUALITY) {
        writeln!(out, "{key} {value}")?;
    }
    writeln!(out, "losses {}", quality.losses())?;
    writeln!(out, "discards {}", quality.discards)?;
    for reason in Untracked::ALL.iter().skip(REASONS_WITH_TRAFFIC) {
        untracked_lines(out, reason)?;
    }
    Ok(())
}

/// Writes what `stats` says to a process that may not see numbers of the whole host: the module's
/// own, and of its network namespace how many records it uses and may use, where it has a quota.
pub fn restricted_stats(
    out: &mut impl Write,
    facts: &[(&'static str, u64)],
    share: Option<(u32, u32)>,
) -> fmt::Result {
    writeln!(out, "format {FORMAT}")?;
    for (key, value) in facts {
        writeln!(out, "{key} {value}")?;
    }
    writeln!(out, "restricted 1")?;
    if let Some((used, limit)) = share {
        writeln!(out, "netns_records {used}")?;
        writeln!(out, "netns_records_limit {limit}")?;
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
    writeln!(out, " drop_reasons losses discards")
}

/// Bytes of the longest line of `connections`, and some.
const CONNECTION_MAX: usize = 1152;

/// Writes one line of `connections`.
pub fn connection(out: &mut impl Write, c: &mutex_connection) -> fmt::Result {
    let mut room = [0; CONNECTION_MAX];
    let mut line = Text::new(&mut room);
    let number = |line: &mut Text<'_>, number: u64| {
        line.number(number);
        line.sign(b' ');
    };
    let word = |line: &mut Text<'_>, word: Option<&str>| {
        line.word(word.unwrap_or("-"));
        line.sign(b' ');
    };
    let end = |line: &mut Text<'_>, address: &[u8; 16], port: u16| {
        line.address(c.family == 4, address);
        line.sign(b' ');
        number(line, port.into());
    };
    number(&mut line, c.id);
    number(&mut line, c.netns.into());
    match protocol_name(c.protocol) {
        Some(name) => word(&mut line, Some(name)),
        None => number(&mut line, c.protocol.into()),
    }
    end(&mut line, &c.local_address, c.local_port);
    end(&mut line, &c.remote_address, c.remote_port);
    number(&mut line, c.scope.into());
    word(&mut line, Some(state_name(c.state)));
    let mut flags = connection_flags(c.flags);
    line.word(flags.next().unwrap_or("-"));
    flags.for_each(|name| {
        line.sign(b',');
        line.word(name);
    });
    line.sign(b' ');
    number(&mut line, c.fd);
    match c.uid {
        MUTEX_UID_UNKNOWN => word(&mut line, None),
        uid => number(&mut line, uid.into()),
    }
    number(&mut line, c.cgroup);
    number(&mut line, c.in_interface.into());
    number(&mut line, c.out_interface.into());
    number(&mut line, c.first_seen_ns);
    number(&mut line, c.last_seen_ns);
    number(&mut line, c.closed_ns);
    number(&mut line, c.family.into());
    for traffic in [&c.sent, &c.received] {
        traffic.fields().into_iter().for_each(|(_, value)| number(&mut line, value));
    }
    c.quality.latency.fields().into_iter().for_each(|(_, value)| number(&mut line, value));
    c.quality.fields().into_iter().for_each(|(_, value)| number(&mut line, value));
    for (place, drop) in drop_counts(&c.drop_reasons).enumerate() {
        if place > 0 {
            line.sign(b',');
        }
        line.number(drop.reason.into());
        line.sign(b':');
        line.number(drop.packets.into());
    }
    if drop_counts(&c.drop_reasons).next().is_none() {
        line.sign(b'-');
    }
    for value in [c.losses(), c.discards] {
        line.sign(b' ');
        line.number(value);
    }
    line.sign(b'\n');
    out.write_str(line.finish().ok_or(fmt::Error)?)
}

/// Writes the lines that `fds` starts with.
pub fn fds_header(out: &mut impl Write) -> fmt::Result {
    header(out, &FD_COLUMNS)?;
    writeln!(out, " losses discards")
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
    writeln!(out, " {} {}", fd.losses(), fd.discards)
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

/// Shows what is known and `-` for what is not.
struct Known<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(known) => known.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// Shows a number of hundredths without the zeros at its end.
struct Hundredths(u64);

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match (part, part % 10) {
            (0, _) => write!(f, "{whole}"),
            (_, 0) => write!(f, "{whole}.{}", part / 10),
            _ => write!(f, "{whole}.{part:02}"),
        }
    }
}

/// Shows a value in the largest of the units that it has one of, rounded down to hundredths.
struct InUnits<'a> {
    value: u64,
    /// From the smallest, which is 1, to the largest.
    units: &'a [(u64, &'a str)],
}

impl fmt::Display for InUnits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = self.units.iter().rev().find(|&&(unit, _)| unit <= self.value);
        let Some(&(unit, name)) = reached.or(self.units.first()) else {
            return Ok(());
        };
        // The rest is less than the largest unit, so its hundredfold is no overflow.
        let whole = self.value.checked_div(unit).unwrap_or(0);
        let part = self.value.wrapping_sub(whole.wrapping_mul(unit)).wrapping_mul(100);
        let part = part.checked_div(unit).unwrap_or(0);
        write!(f, "{} {name}", Hundredths(whole.saturating_mul(100).saturating_add(part)))
    }
}

const DURATIONS: [(u64, &str); 4] =
    [(1, "ns"), (1_000, "us"), (1_000_000, "ms"), (1_000_000_000, "s")];

const BANDWIDTHS: [(u64, &str); 5] = [
    (1, "B/s"),
    (1_000, "kB/s"),
    (1_000_000, "MB/s"),
    (1_000_000_000, "GB/s"),
    (1_000_000_000_000, "TB/s"),
];

/// Shows a threshold or a value of that kind of alert as people say it.
struct Measured {
    kind: u8,
    value: u64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units: &[(u64, &str)] = match u32::from(self.kind) {
            MUTEX_ALERT_LATENCY => &DURATIONS,
            MUTEX_ALERT_BANDWIDTH_IN | MUTEX_ALERT_BANDWIDTH_OUT => &BANDWIDTHS,
            _ => return write!(f, "{} %", Hundredths(self.value)),
        };
        InUnits { value: self.value, units }.fmt(f)
    }
}

/// Shows an end of a connection, an IPv6 address in brackets.
struct End {
    address: Address,
    port: u16,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.family == 4 {
            write!(f, "{}:{}", self.address, self.port)
        } else {
            write!(f, "[{}]:{}", self.address, self.port)
        }
    }
}

/// Shows whom an alert is about.
struct Subject<'a>(&'a mutex_alert);

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alert = self.0;
        let end = |address, port| End { address: Address { family: alert.family, address }, port };
        let owner = |f: &mut fmt::Formatter<'_>, before, after| {
            if alert.pid == 0 {
                return Ok(());
            }
            write!(f, "{before}{}, pid {}{after}", Command(&alert.command), alert.pid)
        };
        match u32::from(alert.scope) {
            MUTEX_SCOPE_CONNECTION => {
                write!(
                    f,
                    "connection {} ({} {} - {}",
                    alert.subject,
                    Protocol(alert.protocol),
                    end(alert.local_address, alert.local_port),
                    end(alert.remote_address, alert.remote_port)
                )?;
                owner(f, " of ", "")?;
                f.write_str(")")
            }
            MUTEX_SCOPE_FD => {
                write!(f, "fd {}", alert.subject)?;
                owner(f, " (", ")")
            }
            _ if alert.netns != 0 => write!(f, "network namespace {}", alert.netns),
            _ => f.write_str("this host"),
        }
    }
}

/// Shows an alert as a sentence that says what was found and what can be done.
pub struct Message<'a>(pub &'a mutex_alert);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alert = self.0;
        let (what, hint) = match u32::from(alert.kind) {
            MUTEX_ALERT_LATENCY => ("latency", "look for a long path, full queues or a busy peer"),
            MUTEX_ALERT_ERROR_RATE => {
                ("error rate", "see its resets, ICMP errors, bad checksums and failed connects")
            }
            MUTEX_ALERT_RETRANSMISSION_RATE => {
                ("retransmission rate", "look for a congested or faulty link on the way out")
            }
            MUTEX_ALERT_DROP_RATE => {
                ("loss rate", "see its drop reasons, and look for full socket buffers and queues")
            }
            MUTEX_ALERT_BANDWIDTH_IN => {
                ("bandwidth in", "slow its senders down, or raise the threshold if this is usual")
            }
            MUTEX_ALERT_BANDWIDTH_OUT => {
                ("bandwidth out", "shape what it sends, or raise the threshold if this is usual")
            }
            MUTEX_ALERT_TABLE_FILL if alert.netns != 0 => (
                "use of its share of the connection table",
                "find what floods it, or raise quota_netns before its packets go untracked",
            ),
            MUTEX_ALERT_TABLE_FILL => (
                "use of the connection table",
                "raise max_connections or shorten the timeouts before packets go untracked",
            ),
            _ => ("a measurement", "this reader is older than the alert"),
        };
        let measured = |value| Measured { kind: alert.kind, value };
        write!(
            f,
            "{what} {} of {} is at or over its threshold of {}; {hint}",
            measured(alert.value),
            Subject(alert),
            measured(alert.threshold),
        )
    }
}

/// Writes the lines that `alerts` starts with.
pub fn alerts_header(out: &mut impl Write) -> fmt::Result {
    writeln!(out, "format {FORMAT}")?;
    let mut separator = "";
    for column in ALERT_COLUMNS {
        write!(out, "{separator}{column}")?;
        separator = " ";
    }
    writeln!(out)
}

/// Writes one line of `alerts`.
pub fn alert(out: &mut impl Write, a: &mutex_alert) -> fmt::Result {
    let has_ends = u32::from(a.scope) == MUTEX_SCOPE_CONNECTION;
    let address = |address| Known(has_ends.then_some(Address { family: a.family, address }));
    writeln!(
        out,
        "{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}",
        a.number,
        a.time_ns,
        severity_name(a.severity),
        alert_kind_name(a.kind),
        scope_name(a.scope),
        a.subject,
        a.netns,
        Known((a.family != 0).then_some(Protocol(a.protocol))),
        address(a.local_address),
        a.local_port,
        address(a.remote_address),
        a.remote_port,
        a.pid,
        Command(&a.command),
        a.threshold,
        a.value,
        Message(a),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Wire;
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
    fn the_longest_line_of_a_connection_has_room() {
        let (record, _) = mutex_connection::take(&[0xff; mutex_connection::SIZE]);
        let record = mutex_connection { uid: 0xffff_fffe, state: 2, ..record };
        let mut line = String::new();
        connection(&mut line, &record).expect("a string takes everything");
        assert_eq!(line.split(' ').count(), columns(connections_header));
        assert!(line.contains(" 18446744073709551615 4294967294 18446744073709551615 "), "{line}");
        assert!(line.len() + 100 < CONNECTION_MAX, "{} bytes", line.len());
    }

    #[test]
    fn what_is_new_comes_last() {
        let quality = mutex_quality { drops: 5, peak_out: 6, ..Default::default() };
        let mut record = mutex_connection { quality, ..Default::default() };
        let mut line = String::new();
        connection(&mut line, &record).expect("a string takes everything");
        assert!(line.ends_with(" 5 0 0 0 6 - 5 0\n"), "{line}");
        record.drop_reasons[0] = mutex_drop_count { reason: 17, packets: 4 };
        record.drop_reasons[1] = mutex_drop_count { reason: 2, packets: 1 };
        record.discards = 4;
        line.clear();
        connection(&mut line, &record).expect("a string takes everything");
        assert!(line.ends_with(" 6 17:4,2:1 1 4\n"), "{line}");

        let mut names = String::new();
        connections_header(&mut names).expect("a string takes everything");
        assert!(names.contains(" received_payload latency_samples latency_last_ns "), "{names}");
        assert!(names.ends_with(" peak_out drop_reasons losses discards\n"), "{names}");

        let mut text = String::new();
        let mut dropped = mutex_drop { reason: 17, packets: 5, discards: 2, ..Default::default() };
        dropped.name[..8].copy_from_slice(b"TCP_CSUM");
        let status = mutex_status {
            events_lost: 3,
            packet_monitors: 1,
            alerts_suppressed: 2,
            ..Default::default()
        };
        let none = Totals::ZERO;
        let quality = mutex_host_quality { quality, discards: 2 };
        stats(&mut text, &status, &none, &none, |_| none, &quality, [dropped])
            .expect("a string takes everything");
        let old = text.find("\nuntracked_policy_payload 0\nconnections_early 0\n");
        assert!(old.is_some(), "{text}");
        assert!(text.contains("\nevents_lost 3\nlatency_samples 0\n"), "{text}");
        let end = "\npeak_out 6\ndrop_tcp_csum 5\nloss_tcp_csum 3\ndiscard_tcp_csum 2\n\
                   packet_monitors 1\nalerts_suppressed 2\nlosses 3\ndiscards 2\nuntracked_quota_packets 0\n\
                   untracked_quota_buffers 0\nuntracked_quota_bytes 0\n\
                   untracked_quota_payload 0\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn restricted_stats_are_of_the_module_and_of_the_readers_namespace() {
        let mut text = String::new();
        restricted_stats(&mut text, &[("uptime_ns", 5), ("table_size", 16)], Some((3, 8)))
            .expect("a string takes everything");
        assert_eq!(
            text,
            "format 1\nuptime_ns 5\ntable_size 16\nrestricted 1\nnetns_records 3\n\
             netns_records_limit 8\n"
        );
        text.clear();
        restricted_stats(&mut text, &[], None).expect("a string takes everything");
        assert_eq!(text, "format 1\nrestricted 1\n");
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

    fn an_alert() -> mutex_alert {
        let ends = [[10, 0, 0, 1], [10, 0, 0, 2]].map(|end| {
            let mut address = [0; 16];
            address[10..12].copy_from_slice(&[0xff; 2]);
            address[12..].copy_from_slice(&end);
            address
        });
        mutex_alert {
            number: 3,
            time_ns: 1_700_000_000_000_000_000,
            subject: 17,
            threshold: 20_000_000,
            value: 35_209_999,
            local_address: ends[0],
            remote_address: ends[1],
            local_port: 443,
            remote_port: 51234,
            netns: 7,
            kind: MUTEX_ALERT_LATENCY as u8,
            severity: MUTEX_SEVERITY_WARNING as u8,
            family: 4,
            protocol: 6,
            ..Default::default()
        }
    }

    fn line_of(record: &mutex_alert) -> String {
        let mut line = String::new();
        alert(&mut line, record).expect("a string takes everything");
        line
    }

    #[test]
    fn an_alert_is_a_line() {
        assert_eq!(columns(alerts_header), ALERT_COLUMNS.len());
        assert_eq!(
            line_of(&an_alert()),
            "3 1700000000000000000 warning latency connection 17 7 tcp 10.0.0.1 443 10.0.0.2 51234 \
             0 - 20000000 35209999 latency 35.2 ms of connection 17 (tcp 10.0.0.1:443 - \
             10.0.0.2:51234) is at or over its threshold of 20 ms; look for a long path, full queues \
             or a busy peer\n"
        );
        let fill = mutex_alert {
            number: 4,
            threshold: 9000,
            value: 9125,
            kind: MUTEX_ALERT_TABLE_FILL as u8,
            severity: MUTEX_SEVERITY_CRITICAL as u8,
            scope: MUTEX_SCOPE_GLOBAL as u8,
            ..Default::default()
        };
        assert_eq!(
            line_of(&fill),
            "4 0 critical table_fill global 0 0 - - 0 - 0 0 - 9000 9125 use of the connection table \
             91.25 % of this host is at or over its threshold of 90 %; raise max_connections or \
             shorten the timeouts before packets go untracked\n"
        );
    }

    #[test]
    fn a_table_fill_alert_with_a_namespace_is_about_its_share() {
        let fill = mutex_alert {
            threshold: 9000,
            value: 9125,
            netns: 4_026_532_259,
            kind: MUTEX_ALERT_TABLE_FILL as u8,
            scope: MUTEX_SCOPE_GLOBAL as u8,
            ..Default::default()
        };
        assert_eq!(
            Message(&fill).to_string(),
            "use of its share of the connection table 91.25 % of network namespace 4026532259 is at \
             or over its threshold of 90 %; find what floods it, or raise quota_netns before its \
             packets go untracked"
        );
    }

    #[test]
    fn a_message_names_the_owner() {
        let mut record = an_alert();
        (record.pid, record.command) = (99, *b"a b\0............");
        (record.family, record.protocol) = (6, 58);
        let message = Message(&record).to_string();
        assert!(
            message.contains(
                r"(icmpv6 [::ffff:10.0.0.1]:443 - [::ffff:10.0.0.2]:51234 of a\x20b, pid 99)"
            ),
            "{message}"
        );
        record.scope = MUTEX_SCOPE_FD as u8;
        (record.kind, record.value) = (MUTEX_ALERT_BANDWIDTH_IN as u8, 12_500_000);
        let message = Message(&record).to_string();
        assert!(
            message.starts_with(r"bandwidth in 12.5 MB/s of fd 17 (a\x20b, pid 99) is"),
            "{message}"
        );
    }

    #[test]
    fn whatever_an_alert_holds_it_is_one_line_with_all_fields() {
        for number in 0..=u8::MAX {
            let record = mutex_alert {
                kind: number % 9,
                scope: number % 5,
                severity: number,
                family: number,
                pid: number.into(),
                command: [b'\n'; 16],
                value: u64::MAX,
                threshold: u64::MAX,
                ..an_alert()
            };
            let line = line_of(&record);
            assert_eq!(line.lines().count(), 1);
            assert!(line.split(' ').count() > ALERT_COLUMNS.len());
        }
    }

    #[test]
    fn numbers_are_shown_as_people_say_them() {
        let shown = |kind: u32, value| Measured { kind: kind as u8, value }.to_string();
        assert_eq!(shown(MUTEX_ALERT_LATENCY, 0), "0 ns");
        assert_eq!(shown(MUTEX_ALERT_LATENCY, 999), "999 ns");
        assert_eq!(shown(MUTEX_ALERT_LATENCY, 1_059), "1.05 us");
        assert_eq!(shown(MUTEX_ALERT_LATENCY, 1_250_000_000), "1.25 s");
        assert_eq!(shown(MUTEX_ALERT_BANDWIDTH_OUT, 1_999_999), "1.99 MB/s");
        assert_eq!(shown(MUTEX_ALERT_BANDWIDTH_OUT, 2_000_000_000_000), "2 TB/s");
        assert_eq!(shown(MUTEX_ALERT_DROP_RATE, 1), "0.01 %");
        assert_eq!(shown(MUTEX_ALERT_DROP_RATE, 150), "1.5 %");
        assert_eq!(shown(MUTEX_ALERT_TABLE_FILL, 10_000), "100 %");
    }
}
