// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! The filter language: which events a monitor gets, and which records a tool shows.
//!
//! A filter is terms with white space between them, and all of them have to hold. A term is
//! `key=value`, with commas between several values of which one has to fit, or `key!=value`, where
//! none may. Where values are numbers, each can be a range `1000-2000`, and `key>=value` and
//! `key<=value` take one.
//!
//! | key | values |
//! |---|---|
//! | `kind` | `start`, `end`, `alert`, `packet` |
//! | `protocol` | a name such as `tcp`, or a number |
//! | `address`, `local`, `remote` | an address or a prefix; `address` is either end |
//! | `port`, `local_port`, `remote_port` | a number; `port` is either end |
//! | `family` | 4 or 6 |
//! | `state`, `flags` | a name such as `established` or `forwarded`; one of the flags |
//! | `uid`, `cgroup`, `netns`, `pid`, `inode` | a number |
//! | `command` | up to 15 characters; `?` stands for any one, `*` at the end for any others |
//! | `interface` | an index; the one in or the one out |
//! | `sent_bytes`, `received_bytes`, `retransmitted_packets`, `drops`, `losses` | a number |
//! | `latency_average_ns`, `rate_in`, `rate_out` | a number |
//! | `direction` | `sent`, `received`, `forwarded` |
//! | `severity` | `info`, `warning`, `error`, `critical`: that or worse |
//! | `connection`, `fd` | an id |
//! | `sample` | N: of the packets that match, every Nth |
//!
//! What an event does not have fits no value, so `!=` holds for it. Packets are too many to come
//! unasked: they come only to a filter that says `kind=packet`, alone or among other kinds.

use core::fmt;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;

use crate::abi::*;
use crate::counters::Direction;
use crate::key::Address;
use crate::key::Endpoint;
use crate::names::event_kind_name;
use crate::names::protocol_name;
use crate::names::severity_name;
use crate::names::state_name;
use crate::names::ConnectionFlags;
use crate::names::Protocol;
use crate::names::CONNECTION_FLAGS;
use crate::parse::Family;

/// Terms of a filter, at the most.
pub const TERMS_MAX: usize = 16;

/// Values of all terms of a filter together, at the most.
pub const VALUES_MAX: usize = 64;

/// What the terms of a filter are asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// `MUTEX_EVENT_*`.
    pub kind: u32,
    /// What the addresses are.
    pub family: Option<Family>,
    /// As in the IP header.
    pub protocol: Option<u8>,
    /// This host's end, or the initiator's.
    pub local: Option<Endpoint>,
    /// The other end.
    pub remote: Option<Endpoint>,
    /// `MUTEX_UID_UNKNOWN` if there is none.
    pub uid: u32,
    /// Id, 0 if there is none.
    pub cgroup: u64,
    /// Inode number, 0 if there is none.
    pub netns: u32,
    /// Index, 0 if there is none.
    pub in_interface: u32,
    /// Index, 0 if there is none.
    pub out_interface: u32,
    /// Of a packet.
    pub direction: Option<Direction>,
    /// Of an alert: `MUTEX_SEVERITY_*`.
    pub severity: Option<u8>,
    /// Id, 0 if there is none.
    pub connection: u64,
    /// Id, 0 if there is none.
    pub fd: u64,
    /// Of a connection: `MUTEX_STATE_*`.
    pub state: Option<u8>,
    /// Of a connection: `MUTEX_CONNECTION_*`.
    pub flags: u32,
    /// Of the owner, 0 if it is not known.
    pub pid: u32,
    /// Of the socket, 0 if it is not known.
    pub inode: u64,
    /// Of the owner, zeros if it is not known.
    pub command: [u8; MUTEX_COMMAND_SIZE as usize],
    /// Of a connection or an fd.
    pub measures: Option<Measures>,
}

/// What has been measured of a connection or an fd, as far as a filter asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measures {
    /// IP bytes.
    pub sent_bytes: u64,
    /// IP bytes.
    pub received_bytes: u64,
    /// Smoothed, in nanoseconds; none without a sample.
    pub latency_average_ns: Option<u64>,
    /// Segments that TCP sent again.
    pub retransmitted_packets: u64,
    /// Packets that the kernel dropped.
    pub drops: u64,
    /// Of these, those that were lost.
    pub losses: u64,
    /// Bytes a second.
    pub rate_in: u64,
    /// Bytes a second.
    pub rate_out: u64,
}

impl Measures {
    fn of(
        sent: &mutex_traffic,
        received: &mutex_traffic,
        quality: &mutex_quality,
        losses: u64,
    ) -> Self {
        let latency = &quality.latency;
        Measures {
            sent_bytes: sent.bytes,
            received_bytes: received.bytes,
            latency_average_ns: (latency.samples != 0).then_some(latency.average_ns),
            retransmitted_packets: quality.retransmitted_packets,
            drops: quality.drops,
            losses,
            rate_in: quality.rate_in,
            rate_out: quality.rate_out,
        }
    }
}

impl Subject {
    /// One that has nothing but its kind, to be filled in.
    pub const fn new(kind: u32) -> Self {
        Subject {
            kind,
            family: None,
            protocol: None,
            local: None,
            remote: None,
            uid: MUTEX_UID_UNKNOWN,
            cgroup: 0,
            netns: 0,
            in_interface: 0,
            out_interface: 0,
            direction: None,
            severity: None,
            connection: 0,
            fd: 0,
            state: None,
            flags: 0,
            pid: 0,
            inode: 0,
            command: [0; MUTEX_COMMAND_SIZE as usize],
            measures: None,
        }
    }

    /// The start or the end of a connection.
    pub fn of_connection(kind: u32, record: &mutex_connection) -> Self {
        Subject {
            family: family_of(record.family),
            protocol: Some(record.protocol),
            local: Some(endpoint(record.local_address, record.local_port)),
            remote: Some(endpoint(record.remote_address, record.remote_port)),
            uid: record.uid,
            cgroup: record.cgroup,
            netns: record.netns,
            in_interface: record.in_interface,
            out_interface: record.out_interface,
            connection: record.id,
            fd: record.fd,
            state: Some(record.state),
            flags: record.flags,
            measures: Some(Measures::of(
                &record.sent,
                &record.received,
                &record.quality,
                record.losses(),
            )),
            ..Subject::new(kind)
        }
    }

    /// The same with what its fd tells of the owner, for who has both.
    pub fn owned_by(self, fd: &mutex_fd) -> Self {
        Subject { pid: fd.pid, inode: fd.inode, command: fd.command, ..self }
    }

    /// An fd. No event tells of one, so it counts as a start.
    pub fn of_fd(record: &mutex_fd) -> Self {
        Subject {
            family: family_of(record.family),
            protocol: Some(record.protocol),
            uid: record.uid,
            cgroup: record.cgroup,
            netns: record.netns,
            fd: record.id,
            measures: Some(Measures::of(
                &record.sent,
                &record.received,
                &record.quality,
                record.losses(),
            )),
            ..Subject::new(MUTEX_EVENT_START)
        }
        .owned_by(record)
    }

    /// An alert. It does not tell its connection's owner or interfaces.
    pub fn of_alert(record: &mutex_alert) -> Self {
        let family = family_of(record.family);
        let scope = u32::from(record.scope);
        let of_connection = scope == MUTEX_SCOPE_CONNECTION;
        let end = |address, port| of_connection.then_some(endpoint(address, port));
        Subject {
            family,
            protocol: family.map(|_| record.protocol),
            local: end(record.local_address, record.local_port),
            remote: end(record.remote_address, record.remote_port),
            netns: record.netns,
            severity: Some(record.severity),
            connection: if of_connection { record.subject } else { 0 },
            fd: if scope == MUTEX_SCOPE_FD { record.subject } else { 0 },
            pid: record.pid,
            command: record.command,
            ..Subject::new(MUTEX_EVENT_ALERT)
        }
    }

    /// A packet. It does not tell its connection's owner.
    pub fn of_packet(record: &mutex_packet) -> Self {
        let direction = Direction::ALL.get(usize::from(record.direction)).copied();
        // The record has one interface, and a term on interfaces asks for either.
        let inward = direction == Some(Direction::Received);
        Subject {
            family: family_of(record.family),
            protocol: Some(record.protocol),
            local: Some(endpoint(record.local_address, record.local_port)),
            remote: Some(endpoint(record.remote_address, record.remote_port)),
            netns: record.netns,
            in_interface: if inward { record.interface } else { 0 },
            out_interface: if inward { 0 } else { record.interface },
            direction,
            connection: record.connection,
            ..Subject::new(MUTEX_EVENT_PACKET)
        }
    }
}

fn family_of(number: u8) -> Option<Family> {
    match number {
        4 => Some(Family::V4),
        6 => Some(Family::V6),
        _ => None,
    }
}

/// What a term asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Kind,
    Protocol,
    Address,
    Local,
    Remote,
    Port,
    LocalPort,
    RemotePort,
    Uid,
    Cgroup,
    Netns,
    Interface,
    Direction,
    Severity,
    Connection,
    Fd,
    Sample,
    Family,
    State,
    Flags,
    Pid,
    Inode,
    Command,
    SentBytes,
    ReceivedBytes,
    LatencyAverage,
    RetransmittedPackets,
    Drops,
    Losses,
    RateIn,
    RateOut,
}

impl Field {
    const ALL: [Field; 31] = [
        Field::Kind,
        Field::Protocol,
        Field::Address,
        Field::Local,
        Field::Remote,
        Field::Port,
        Field::LocalPort,
        Field::RemotePort,
        Field::Uid,
        Field::Cgroup,
        Field::Netns,
        Field::Interface,
        Field::Direction,
        Field::Severity,
        Field::Connection,
        Field::Fd,
        Field::Sample,
        Field::Family,
        Field::State,
        Field::Flags,
        Field::Pid,
        Field::Inode,
        Field::Command,
        Field::SentBytes,
        Field::ReceivedBytes,
        Field::LatencyAverage,
        Field::RetransmittedPackets,
        Field::Drops,
        Field::Losses,
        Field::RateIn,
        Field::RateOut,
    ];

    const fn name(self) -> &'static str {
        match self {
            Field::Kind => "kind",
            Field::Protocol => "protocol",
            Field::Address => "address",
            Field::Local => "local",
            Field::Remote => "remote",
            Field::Port => "port",
            Field::LocalPort => "local_port",
            Field::RemotePort => "remote_port",
            Field::Uid => "uid",
            Field::Cgroup => "cgroup",
            Field::Netns => "netns",
            Field::Interface => "interface",
            Field::Direction => "direction",
            Field::Severity => "severity",
            Field::Connection => "connection",
            Field::Fd => "fd",
            Field::Sample => "sample",
            Field::Family => "family",
            Field::State => "state",
            Field::Flags => "flags",
            Field::Pid => "pid",
            Field::Inode => "inode",
            Field::Command => "command",
            Field::SentBytes => "sent_bytes",
            Field::ReceivedBytes => "received_bytes",
            Field::LatencyAverage => "latency_average_ns",
            Field::RetransmittedPackets => "retransmitted_packets",
            Field::Drops => "drops",
            Field::Losses => "losses",
            Field::RateIn => "rate_in",
            Field::RateOut => "rate_out",
        }
    }

    /// The smallest and the largest of its values, `None` where these are no numbers.
    const fn bounds(self) -> Option<(u64, u64)> {
        match self {
            Field::Port | Field::LocalPort | Field::RemotePort => Some((1, u16::MAX as u64)),
            Field::Uid => Some((0, MUTEX_UID_UNKNOWN as u64 - 1)),
            Field::Cgroup | Field::Connection | Field::Fd | Field::Inode => Some((1, u64::MAX)),
            Field::Netns | Field::Interface | Field::Pid | Field::Sample => {
                Some((1, u32::MAX as u64))
            }
            Field::SentBytes
            | Field::ReceivedBytes
            | Field::LatencyAverage
            | Field::RetransmittedPackets
            | Field::Drops
            | Field::Losses
            | Field::RateIn
            | Field::RateOut => Some((0, u64::MAX)),
            _ => None,
        }
    }

    fn named(name: &str) -> Option<Self> {
        Field::ALL.into_iter().find(|field| field.name() == name)
    }

    /// What its values are, for people.
    const fn allowed(self) -> &'static str {
        match self {
            Field::Kind => "start, end, alert or packet",
            Field::Protocol => "a name such as tcp, udp or icmp, or a number from 0 to 255",
            Field::Address | Field::Local | Field::Remote => {
                "an address or a prefix such as 10.0.0.0/8 or 2001:db8::/32"
            }
            Field::Port | Field::LocalPort | Field::RemotePort => {
                "a number from 1 to 65535 or a range such as 1000-2000"
            }
            Field::Uid => "a number from 0 to 4294967294 or a range such as 1000-2000",
            Field::Cgroup | Field::Connection | Field::Fd => "an id, a number from 1",
            Field::Netns => "an inode number from 1 to 4294967295",
            Field::Interface => "an interface index from 1 to 4294967295",
            Field::Direction => "sent, received or forwarded",
            Field::Severity => "info, warning, error or critical",
            Field::Sample | Field::Pid => "a number from 1 to 4294967295",
            Field::Family => "4 or 6",
            Field::State => "a state such as established, time-wait or two-way",
            Field::Flags => "forwarded, adopted, reset, timed-out or netns-gone",
            Field::Inode => "an inode number from 1",
            Field::Command => {
                "up to 15 characters, of which ? stands for any one, and * at the end for any others"
            }
            Field::SentBytes
            | Field::ReceivedBytes
            | Field::LatencyAverage
            | Field::RetransmittedPackets
            | Field::Drops
            | Field::Losses
            | Field::RateIn
            | Field::RateOut => "a number or a range such as 1000-2000",
        }
    }

    /// Whether a term has one value only: a second one would mean nothing.
    const fn is_single(self) -> bool {
        matches!(self, Field::Severity | Field::Sample)
    }

    fn value(self, word: &str) -> Option<Value> {
        match self {
            Field::Kind => (MUTEX_EVENT_START..=MUTEX_EVENT_PACKET)
                .find(|&kind| event_kind_name(kind) == word)
                .map(|kind| Value::Range(kind.into(), kind.into())),
            Field::Protocol => (0..=u8::MAX)
                .find(|&protocol| protocol_name(protocol) == Some(word))
                .or_else(|| u8::try_from(decimal(word)?).ok())
                .map(|protocol| Value::Range(protocol.into(), protocol.into())),
            Field::Address | Field::Local | Field::Remote => Prefix::parse(word).map(Value::Prefix),
            Field::Direction => (0..)
                .zip(DIRECTIONS)
                .find(|&(_, name)| name == word)
                .map(|(number, _)| Value::Range(number, number)),
            Field::Severity => (0..=MUTEX_SEVERITY_CRITICAL as u8)
                .find(|&severity| severity_name(severity) == word)
                .map(|severity| Value::Range(severity.into(), u64::MAX)),
            Field::Family => match word {
                "4" => Some(Value::Range(4, 4)),
                "6" => Some(Value::Range(6, 6)),
                _ => None,
            },
            Field::State => (0..=u8::MAX)
                .find(|&state| state_name(state) == word && word != "unknown")
                .map(|state| Value::Range(state.into(), state.into())),
            Field::Flags => CONNECTION_FLAGS
                .into_iter()
                .find(|&(_, name)| name == word)
                .map(|(flag, _)| Value::Range(flag.into(), flag.into())),
            Field::Command => Pattern::parse(word).map(Value::Pattern),
            _ => {
                let (least, most) = self.bounds()?;
                let (first, last) = match word.split_once('-') {
                    Some((first, last)) if self != Field::Sample => {
                        (decimal(first)?, decimal(last)?)
                    }
                    _ => (decimal(word)?, decimal(word)?),
                };
                (least <= first && first <= last && last <= most)
                    .then_some(Value::Range(first, last))
            }
        }
    }

    fn write_value(self, f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
        let (first, last) = match *value {
            Value::Prefix(prefix) => return write!(f, "{prefix}"),
            Value::Pattern(pattern) => return write!(f, "{pattern}"),
            Value::Range(first, last) => (first, last),
        };
        match self {
            Field::Kind => f.write_str(event_kind_name(first as u32)),
            Field::Protocol => write!(f, "{}", Protocol(first as u8)),
            Field::Direction => f.write_str(DIRECTIONS.get(first as usize).unwrap_or(&"unknown")),
            Field::Severity => f.write_str(severity_name(first as u8)),
            Field::State => f.write_str(state_name(first as u8)),
            Field::Flags => write!(f, "{}", ConnectionFlags(first as u32)),
            _ if first < last => write!(f, "{first}-{last}"),
            _ => write!(f, "{first}"),
        }
    }
}

/// Directions that a filter tells apart, in the order of their numbers in a [`Value`].
const DIRECTIONS: [&str; 3] = ["sent", "received", "forwarded"];

fn direction_number(direction: Direction) -> u64 {
    match direction {
        Direction::Sent => 0,
        Direction::Received => 1,
        Direction::ForwardedSent | Direction::ForwardedReceived => 2,
    }
}

/// Digits only: `str::parse` would take a sign, too.
fn decimal(word: &str) -> Option<u64> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}

/// One value of a term. None has a number that stands for nothing: no uid `MUTEX_UID_UNKNOWN`, no
/// port and no id 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// From the first to the last; names by their numbers.
    Range(u64, u64),
    Prefix(Prefix),
    Pattern(Pattern),
}

impl Value {
    fn is_several(&self) -> bool {
        matches!(self, Value::Range(first, last) if first != last)
    }

    #[inline]
    fn has(&self, number: u64) -> bool {
        matches!(*self, Value::Range(first, last) if first <= number && number <= last)
    }

    #[inline]
    fn has_port(&self, end: &Option<Endpoint>) -> bool {
        end.is_some_and(|end| self.has(end.port.into()))
    }

    #[inline]
    fn has_address(&self, family: Option<Family>, end: &Option<Endpoint>) -> bool {
        match (self, family, end) {
            (Value::Prefix(prefix), Some(family), Some(end)) => prefix.has(family, end.address),
            _ => false,
        }
    }

    #[inline]
    fn has_measure(&self, s: &Subject, measure: impl Fn(&Measures) -> Option<u64>) -> bool {
        s.measures.as_ref().and_then(measure).is_some_and(|number| self.has(number))
    }

    #[inline]
    fn fits(&self, field: Field, subject: &Subject) -> bool {
        let s = subject;
        match field {
            Field::Kind => self.has(s.kind.into()),
            Field::Protocol => s.protocol.is_some_and(|protocol| self.has(protocol.into())),
            Field::Address => {
                self.has_address(s.family, &s.local) || self.has_address(s.family, &s.remote)
            }
            Field::Local => self.has_address(s.family, &s.local),
            Field::Remote => self.has_address(s.family, &s.remote),
            Field::Port => self.has_port(&s.local) || self.has_port(&s.remote),
            Field::LocalPort => self.has_port(&s.local),
            Field::RemotePort => self.has_port(&s.remote),
            Field::Uid => self.has(s.uid.into()),
            Field::Cgroup => self.has(s.cgroup),
            Field::Netns => self.has(s.netns.into()),
            Field::Interface => self.has(s.in_interface.into()) || self.has(s.out_interface.into()),
            Field::Direction => s.direction.is_some_and(|d| self.has(direction_number(d))),
            Field::Severity => s.severity.is_some_and(|severity| self.has(severity.into())),
            Field::Connection => self.has(s.connection),
            Field::Fd => self.has(s.fd),
            Field::Sample => true,
            Field::Family => s.family.is_some_and(|family| self.has(family_number(family))),
            Field::State => s.state.is_some_and(|state| self.has(state.into())),
            // The flag is both ends of its range.
            Field::Flags => {
                matches!(*self, Value::Range(flag, _) if u64::from(s.flags) & flag != 0)
            }
            Field::Pid => self.has(s.pid.into()),
            Field::Inode => self.has(s.inode),
            Field::Command => matches!(self, Value::Pattern(pattern) if pattern.has(&s.command)),
            Field::SentBytes => self.has_measure(s, |m| Some(m.sent_bytes)),
            Field::ReceivedBytes => self.has_measure(s, |m| Some(m.received_bytes)),
            Field::LatencyAverage => self.has_measure(s, |m| m.latency_average_ns),
            Field::RetransmittedPackets => self.has_measure(s, |m| Some(m.retransmitted_packets)),
            Field::Drops => self.has_measure(s, |m| Some(m.drops)),
            Field::Losses => self.has_measure(s, |m| Some(m.losses)),
            Field::RateIn => self.has_measure(s, |m| Some(m.rate_in)),
            Field::RateOut => self.has_measure(s, |m| Some(m.rate_out)),
        }
    }
}

fn family_number(family: Family) -> u64 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}

/// Bytes of a command without the zero at its end.
const COMMAND_MAX: usize = MUTEX_COMMAND_SIZE as usize - 1;

/// What commands are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pattern {
    /// Of which `?` stands for any one.
    bytes: [u8; COMMAND_MAX],
    length: u8,
    /// Whether others may follow.
    open: bool,
}

impl Pattern {
    fn parse(word: &str) -> Option<Self> {
        let (word, open) = match word.strip_suffix('*') {
            Some(word) => (word, true),
            None => (word, false),
        };
        let mut bytes = [0; COMMAND_MAX];
        bytes.get_mut(..word.len())?.copy_from_slice(word.as_bytes());
        let is_one = word.bytes().all(|byte| byte != b'*' && !byte.is_ascii_control());
        let length = word.len() as u8;
        (is_one && (open || length != 0)).then_some(Pattern { bytes, length, open })
    }

    /// The command up to its zero; one that is empty is not known.
    fn has(&self, command: &[u8]) -> bool {
        let command = command.split(|&byte| byte == 0).next().unwrap_or_default();
        let wanted = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        let Some((start, rest)) = command.split_at_checked(wanted.len()) else {
            return false;
        };
        !command.is_empty()
            && (self.open || rest.is_empty())
            && start.iter().zip(wanted).all(|(byte, wanted)| *wanted == b'?' || byte == wanted)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        f.write_str(core::str::from_utf8(bytes).unwrap_or_default())?;
        f.write_str(if self.open { "*" } else { "" })
    }
}

/// An address prefix. Bits beyond its length are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prefix {
    /// Big-endian halves of the address; IPv4 as `::ffff:a.b.c.d`.
    halves: [u64; 2],
    /// Bits of the 128.
    length: u8,
    /// An IPv6 prefix has no IPv4 address, be it as short as `::/0`.
    family: Family,
}

/// Bits of an IPv4 address's `::ffff:`.
const MAPPED: u8 = 96;

#[inline]
fn halves(address: Address) -> [u64; 2] {
    address.0.map(u64::from_be)
}

fn endpoint(octets: [u8; 16], port: u16) -> Endpoint {
    Endpoint { address: Address::v6(octets), port }
}

/// The first `length` bits of 64, or all.
#[inline]
fn mask(length: u8) -> u64 {
    !u64::MAX.checked_shr(length.into()).unwrap_or(0)
}

#[inline]
fn masked(halves: [u64; 2], length: u8) -> [u64; 2] {
    let [high, low] = halves;
    [high & mask(length), low & mask(length.saturating_sub(64))]
}

impl Prefix {
    fn parse(word: &str) -> Option<Self> {
        let (address, length) = match word.split_once('/') {
            Some((address, length)) => (address, Some(u8::try_from(decimal(length)?).ok()?)),
            None => (word, None),
        };
        let (family, address, skip) = match address.parse::<Ipv4Addr>() {
            Ok(four) => (Family::V4, Address::v4(four.octets()), MAPPED),
            Err(_) => (Family::V6, Address::v6(address.parse::<Ipv6Addr>().ok()?.octets()), 0),
        };
        let length = match length {
            Some(length) => length.checked_add(skip).filter(|&length| length <= 128)?,
            None => 128,
        };
        Some(Prefix { halves: masked(halves(address), length), length, family })
    }

    #[inline]
    fn has(&self, family: Family, address: Address) -> bool {
        family == self.family && masked(halves(address), self.length) == self.halves
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [high, low] = self.halves;
        let length = match self.family {
            Family::V4 => {
                write!(f, "{}", Ipv4Addr::from(low as u32))?;
                self.length.saturating_sub(MAPPED)
            }
            Family::V6 => {
                write!(f, "{}", Ipv6Addr::from((u128::from(high) << 64) | u128::from(low)))?;
                self.length
            }
        };
        if self.length < 128 {
            write!(f, "/{length}")?;
        }
        Ok(())
    }
}

/// One term: its values are `count` of the filter's from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    field: Field,
    relation: Relation,
    start: u8,
    count: u8,
}

/// What stands between a term's key and its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Is,
    IsNot,
    AtLeast,
    AtMost,
}

impl Relation {
    const ALL: [Relation; 4] = [Relation::Is, Relation::IsNot, Relation::AtLeast, Relation::AtMost];

    /// What it adds to `=`.
    const fn sign(self) -> &'static str {
        match self {
            Relation::Is => "",
            Relation::IsNot => "!",
            Relation::AtLeast => ">",
            Relation::AtMost => "<",
        }
    }

    /// Splits what stands before `=`.
    fn split(word: &str) -> (&str, Self) {
        let signed = |relation: &Relation| Some((word.strip_suffix(relation.sign())?, *relation));
        Relation::ALL.iter().skip(1).find_map(signed).unwrap_or((word, Relation::Is))
    }

    const fn is_order(self) -> bool {
        matches!(self, Relation::AtLeast | Relation::AtMost)
    }

    /// Of a number all that stand in that order to it.
    fn widen(self, value: Value, (least, most): (u64, u64)) -> Value {
        match (self, value) {
            (Relation::AtLeast, Value::Range(first, _)) => Value::Range(first, most),
            (Relation::AtMost, Value::Range(_, last)) => Value::Range(least, last),
            _ => value,
        }
    }
}

/// A filter of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    terms: [Term; TERMS_MAX],
    values: [Value; VALUES_MAX],
    term_count: u8,
    value_count: u8,
    /// Bit `MUTEX_EVENT_*` of each kind that may match: what the terms on kinds come to.
    kinds: u8,
    sample: u32,
}

const fn kind_bit(kind: u32) -> u8 {
    if kind < u8::BITS {
        1 << kind
    } else {
        0
    }
}

const KINDS_UNASKED: u8 =
    kind_bit(MUTEX_EVENT_START) | kind_bit(MUTEX_EVENT_END) | kind_bit(MUTEX_EVENT_ALERT);

impl Filter {
    /// The filter without terms: starts, ends and alerts, all of them.
    pub const EMPTY: Filter = Filter {
        terms: [Term { field: Field::Kind, relation: Relation::Is, start: 0, count: 0 }; TERMS_MAX],
        values: [Value::Range(0, 0); VALUES_MAX],
        term_count: 0,
        value_count: 0,
        kinds: KINDS_UNASKED,
        sample: 1,
    };

    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Filter, FilterError<'_>> {
        let mut filter = Filter::EMPTY;
        for word in text.split_ascii_whitespace() {
            filter.add(word)?;
        }
        filter.kinds = filter.kinds_of_terms();
        Ok(filter)
    }

    fn add<'a>(&mut self, word: &'a str) -> Result<(), FilterError<'a>> {
        let error = |problem| FilterError { word, problem };
        let (key, values) = word.split_once('=').ok_or(error(Problem::NoTerm))?;
        let (key, relation) = Relation::split(key);
        let field =
            Field::named(key).ok_or(FilterError { word: key, problem: Problem::NoSuchKey })?;
        let is_plain = relation == Relation::Is;
        if field == Field::Sample && (!is_plain || self.used().any(|term| term.field == field)) {
            return Err(error(Problem::SampleOnce));
        }
        let bounds = field.bounds().unwrap_or_default();
        if relation.is_order() && field.bounds().is_none() {
            return Err(error(Problem::NoOrder(field)));
        }
        let start = self.value_count;
        for value in values.split(',') {
            if (field.is_single() || relation.is_order()) && self.value_count > start {
                return Err(FilterError { word: values, problem: Problem::OneValue(field) });
            }
            let error = |problem| FilterError { word: value, problem };
            let parsed = field
                .value(value)
                .filter(|value| !(relation.is_order() && value.is_several()))
                .ok_or(error(Problem::NoValue(field)))?;
            *self
                .values
                .get_mut(usize::from(self.value_count))
                .ok_or(error(Problem::TooManyValues))? = relation.widen(parsed, bounds);
            self.value_count = self.value_count.wrapping_add(1);
            if let (Field::Sample, Value::Range(every, _)) = (field, parsed) {
                self.sample = every as u32;
            }
        }
        let count = self.value_count.wrapping_sub(start);
        *self.terms.get_mut(usize::from(self.term_count)).ok_or(error(Problem::TooManyTerms))? =
            Term { field, relation, start, count };
        self.term_count = self.term_count.wrapping_add(1);
        Ok(())
    }

    #[inline]
    fn used(&self) -> impl Iterator<Item = &Term> {
        self.terms.iter().take(self.term_count.into())
    }

    #[inline]
    fn values(&self, term: &Term) -> &[Value] {
        let start = usize::from(term.start);
        self.values.get(start..start.wrapping_add(term.count.into())).unwrap_or(&[])
    }

    fn kinds_of_terms(&self) -> u8 {
        let (mut asked, mut named) = (u8::MAX, false);
        for term in self.used().filter(|term| term.field == Field::Kind) {
            let kinds = (MUTEX_EVENT_START..=MUTEX_EVENT_PACKET)
                .filter(|&kind| self.values(term).iter().any(|value| value.has(kind.into())))
                .fold(0, |kinds, kind| kinds | kind_bit(kind));
            let negated = term.relation == Relation::IsNot;
            asked &= if negated { !kinds } else { kinds };
            named |= !negated;
        }
        if named {
            asked
        } else {
            asked & KINDS_UNASKED
        }
    }

    /// The keys of its terms, one a term.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.used().map(|term| term.field.name())
    }

    /// Whether it has no terms.
    pub fn is_empty(&self) -> bool {
        self.term_count == 0
    }

    /// Whether events of that kind can match: the cheap question before a subject is put together.
    #[inline]
    pub fn wants(&self, kind: u32) -> bool {
        self.kinds & kind_bit(kind) != 0
    }

    /// Whether packets can match.
    #[inline]
    pub fn wants_packets(&self) -> bool {
        self.wants(MUTEX_EVENT_PACKET)
    }

    /// Of the packets that match, every how many are asked for; 1 is all of them.
    #[inline]
    pub fn sample(&self) -> u32 {
        self.sample
    }

    /// Whether all terms hold. Sampling is the caller's: it needs to count.
    #[inline]
    pub fn matches(&self, subject: &Subject) -> bool {
        self.wants(subject.kind)
            && self.used().all(|term| {
                (term.relation == Relation::IsNot)
                    != self.values(term).iter().any(|value| value.fits(term.field, subject))
            })
    }
}

impl Default for Filter {
    fn default() -> Self {
        Filter::EMPTY
    }
}

/// The text of an equal filter.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for term in self.used() {
            write!(f, "{separator}{}{}", term.field.name(), term.relation.sign())?;
            separator = "=";
            for value in self.values(term) {
                f.write_str(separator)?;
                match (term.relation, value) {
                    (Relation::AtLeast, Value::Range(first, _)) => write!(f, "{first}")?,
                    (Relation::AtMost, Value::Range(_, last)) => write!(f, "{last}")?,
                    _ => term.field.write_value(f, value)?,
                }
                separator = ",";
            }
            separator = " ";
        }
        Ok(())
    }
}

/// Why a text is no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterError<'a> {
    word: &'a str,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    NoTerm,
    NoSuchKey,
    NoValue(Field),
    OneValue(Field),
    NoOrder(Field),
    SampleOnce,
    TooManyTerms,
    TooManyValues,
}

impl<'a> FilterError<'a> {
    /// The part of the text that is at fault.
    pub fn word(&self) -> &'a str {
        self.word
    }
}

impl fmt::Display for FilterError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Quoted with escapes: the sentence may end up in a log.
        write!(f, "{:?} ", self.word)?;
        match self.problem {
            Problem::NoTerm => f.write_str("is no term: key=value or key!=value is expected"),
            Problem::NoSuchKey => {
                f.write_str("is no key of a filter: expected is one of")?;
                let mut separator = " ";
                for field in Field::ALL {
                    write!(f, "{separator}{}", field.name())?;
                    separator = ", ";
                }
                Ok(())
            }
            Problem::NoValue(field) => {
                write!(f, "is no value of {}: expected is {}", field.name(), field.allowed())
            }
            Problem::OneValue(field) => {
                write!(f, "is too much for {}: it takes one value", field.name())
            }
            Problem::NoOrder(field) => {
                write!(f, "is refused: {} has no order, so = or != is expected", field.name())
            }
            Problem::SampleOnce => {
                f.write_str("is refused: sample=N is allowed once, and cannot be negated")
            }
            Problem::TooManyTerms => {
                write!(f, "is one term too many: a filter has at most {TERMS_MAX}")
            }
            Problem::TooManyValues => {
                write!(f, "is one value too many: a filter has at most {VALUES_MAX} in all")
            }
        }
    }
}

impl core::error::Error for FilterError<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use std::net::IpAddr;
    use std::prelude::v1::*;

    fn parsed(text: &str) -> Filter {
        Filter::parse(text).unwrap_or_else(|error| std::panic!("{text:?}: {error}"))
    }

    /// A term as the language describes it, evaluated without anything of the above.
    #[derive(Clone, Debug)]
    struct Model {
        key: &'static str,
        equals: &'static str,
        values: Vec<String>,
    }

    /// Keys whose values are plain numbers, which can be compared.
    const NUMBERS: [&str; 18] = [
        "port",
        "local_port",
        "remote_port",
        "uid",
        "cgroup",
        "netns",
        "interface",
        "connection",
        "fd",
        "pid",
        "inode",
        "sent_bytes",
        "received_bytes",
        "retransmitted_packets",
        "drops",
        "losses",
        "rate_in",
        "rate_out",
    ];

    impl Model {
        fn text(&self) -> String {
            format!("{}{}{}", self.key, self.equals, self.values.join(","))
        }

        fn holds(&self, s: &Subject) -> bool {
            self.values.iter().any(|value| self.fits(value, s)) != (self.equals == "!=")
        }

        fn fits(&self, value: &str, s: &Subject) -> bool {
            let ends = |here, there: &dyn Fn(Endpoint) -> bool| {
                match here {
                    "local" => vec![s.local],
                    "remote" => vec![s.remote],
                    _ => vec![s.local, s.remote],
                }
                .into_iter()
                .flatten()
                .any(there)
            };
            let in_order = |number: u64| {
                let (first, last) = value.split_once('-').unwrap_or((value, value));
                let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
                match self.equals {
                    ">=" => number >= first,
                    "<=" => number <= last,
                    _ => first <= number && number <= last,
                }
            };
            let is = |number: u64| number != 0 && in_order(number);
            let m = s.measures;
            match self.key {
                "kind" => value == event_kind_name(s.kind),
                "protocol" => s.protocol.is_some_and(|protocol| {
                    value == protocol.to_string() || Some(value) == protocol_name(protocol)
                }),
                "address" | "local" | "remote" => ends(self.key, &|end| {
                    let six = Ipv6Addr::from(end.address.octets());
                    let ip = match s.family {
                        Some(Family::V4) => IpAddr::V4(six.to_ipv4_mapped().unwrap()),
                        Some(Family::V6) => IpAddr::V6(six),
                        None => return false,
                    };
                    in_prefix(ip, value)
                }),
                "port" | "local_port" | "remote_port" => {
                    ends(self.key.trim_end_matches("_port"), &|end| is(end.port.into()))
                }
                "uid" => s.uid != MUTEX_UID_UNKNOWN && in_order(s.uid.into()),
                "cgroup" => is(s.cgroup),
                "netns" => is(s.netns.into()),
                "interface" => is(s.in_interface.into()) || is(s.out_interface.into()),
                "direction" => match s.direction {
                    None => false,
                    Some(Direction::Sent) => value == "sent",
                    Some(Direction::Received) => value == "received",
                    Some(_) => value == "forwarded",
                },
                "severity" => {
                    let order = ["info", "warning", "error", "critical"];
                    let least = order.iter().position(|name| *name == value).unwrap();
                    s.severity.is_some_and(|severity| usize::from(severity) >= least)
                }
                "connection" => is(s.connection),
                "fd" => is(s.fd),
                "family" => match s.family {
                    None => false,
                    Some(Family::V4) => value == "4",
                    Some(Family::V6) => value == "6",
                },
                "state" => s.state.is_some_and(|state| state_name(state) == value),
                "flags" => ConnectionFlags(s.flags).to_string().split(',').any(|f| f == value),
                "pid" => is(s.pid.into()),
                "inode" => is(s.inode),
                "command" => {
                    let command = std::str::from_utf8(&s.command).unwrap().trim_end_matches('\0');
                    let length = value.trim_end_matches('*').len();
                    let same = |(a, b)| b == '?' || a == b;
                    !command.is_empty()
                        && command.len() >= length
                        && (value.ends_with('*') || command.len() == length)
                        && command.chars().zip(value.trim_end_matches('*').chars()).all(same)
                }
                "sent_bytes" => m.is_some_and(|m| in_order(m.sent_bytes)),
                "received_bytes" => m.is_some_and(|m| in_order(m.received_bytes)),
                "latency_average_ns" => m.and_then(|m| m.latency_average_ns).is_some_and(in_order),
                "retransmitted_packets" => m.is_some_and(|m| in_order(m.retransmitted_packets)),
                "drops" => m.is_some_and(|m| in_order(m.drops)),
                "losses" => m.is_some_and(|m| in_order(m.losses)),
                "rate_in" => m.is_some_and(|m| in_order(m.rate_in)),
                "rate_out" => m.is_some_and(|m| in_order(m.rate_out)),
                key => unreachable!("{key}"),
            }
        }
    }

    fn in_prefix(ip: IpAddr, prefix: &str) -> bool {
        // A character a bit.
        let bits = |ip| -> String {
            match ip {
                IpAddr::V4(ip) => format!("{:032b}", ip.to_bits()),
                IpAddr::V6(ip) => format!("{:0128b}", ip.to_bits()),
            }
        };
        let (base, length) = prefix.split_once('/').unwrap_or((prefix, "128"));
        let base: IpAddr = base.parse().unwrap();
        let base_bits = bits(base);
        let length = length.parse::<usize>().unwrap().min(base_bits.len());
        base.is_ipv4() == ip.is_ipv4() && bits(ip)[..length] == base_bits[..length]
    }

    fn model(terms: &[Model], s: &Subject) -> bool {
        let asked = |term: &Model| {
            term.key == "kind"
                && term.equals == "="
                && term.values.iter().any(|value| value == "packet")
        };
        terms.iter().all(|term| term.holds(s))
            && (s.kind != MUTEX_EVENT_PACKET || terms.iter().any(asked))
    }

    /// Few different ones, so that terms fit often enough.
    fn some_address() -> impl Strategy<Value = String> {
        select(&["10.0.0.1", "10.0.0.2", "192.0.2.1", "::1", "2001:db8::1", "::ffff:10.0.0.1"][..])
            .prop_map(String::from)
    }

    fn some_value(key: &'static str) -> BoxedStrategy<String> {
        let names = |names: &'static [&'static str]| select(names).prop_map(String::from).boxed();
        match key {
            "kind" => names(&["start", "end", "alert", "packet"]),
            "protocol" => names(&["tcp", "udp", "6", "17", "250"]),
            "address" | "local" | "remote" => {
                (some_address(), prop_oneof![Just(None), (0..=128u8).prop_map(Some)])
                    .prop_map(|(address, length)| match length {
                        None => address,
                        Some(length) if address.contains(':') => format!("{address}/{length}"),
                        Some(length) => format!("{address}/{}", length.min(32)),
                    })
                    .boxed()
            }
            "port" | "local_port" | "remote_port" => (1..5u16, 0..3u16)
                .prop_map(|(first, more)| match more {
                    0 => format!("{first}"),
                    _ => format!("{first}-{}", first + more),
                })
                .boxed(),
            "direction" => names(&["sent", "received", "forwarded"]),
            "severity" => names(&["info", "warning", "error", "critical"]),
            "family" => names(&["4", "6"]),
            "state" => names(&["established", "time-wait", "closed", "two-way"]),
            "flags" => names(&["forwarded", "adopted", "reset", "timed-out", "netns-gone"]),
            "command" => names(&["curl", "cu*", "*", "c??l", "ssh", "?*", "c?"]),
            _ => (1..4u8).prop_map(|number| number.to_string()).boxed(),
        }
    }

    fn some_term() -> impl Strategy<Value = Model> {
        let keys: Vec<_> = Field::ALL
            .into_iter()
            .filter(|&field| field != Field::Sample)
            .map(|field| (field.name(), if field.is_single() { 1 } else { 4 }))
            .collect();
        (select(keys), select(&["=", "!=", ">=", "<="][..])).prop_flat_map(
            |((key, most), equals)| {
                let is_order = equals.starts_with(['<', '>']);
                let equals = if is_order && !NUMBERS.contains(&key) { "=" } else { equals };
                vec(some_value(key), 1..=most).prop_map(move |mut values| {
                    if equals.starts_with(['<', '>']) {
                        values.truncate(1);
                        values[0] = values[0].split('-').next().unwrap().into();
                    }
                    Model { key, equals, values }
                })
            },
        )
    }

    fn some_subject() -> impl Strategy<Value = Subject> {
        let end = || (some_address(), 0..6u16, any::<bool>());
        let numbers = || (0..4u8, 0..4u8, 0..4u8, 0..4u8, 0..4u8, 0..4u8, 0..4u8);
        let more = (
            select(&[None, Some(1u8), Some(6), Some(7), Some(17)][..]),
            0..32u32,
            select(&["", "curl", "cu", "curls", "ssh", "sixteen-bytes-xx"][..]),
            (0..4u8, 0..4u8),
            proptest::option::of((0..5u8, 0..5u8, proptest::option::of(0..5u8), 0..5u8, 0..5u8)),
        );
        (
            1..=4u32,
            0..=4u8,
            0..=4usize,
            select(&[6u8, 17, 1, 250][..]),
            end(),
            end(),
            numbers(),
            more,
        )
            .prop_map(|(kind, severity, direction, protocol, local, remote, n, more)| {
                let (state, flags, command, (pid, inode), measures) = more;
                let v6 = local.0.contains(':');
                let endpoint = |(address, port, there): (String, u16, bool)| {
                    let address = match address.parse().unwrap() {
                        IpAddr::V4(four) => four.to_ipv6_mapped(),
                        IpAddr::V6(_) if !v6 => Ipv4Addr::LOCALHOST.to_ipv6_mapped(),
                        IpAddr::V6(six) => six,
                    };
                    there.then_some(super::endpoint(address.octets(), port))
                };
                Subject {
                    family: [Family::V4, Family::V6].get(usize::from(v6)).copied(),
                    protocol: (protocol != 1).then_some(protocol),
                    local: endpoint(local),
                    remote: endpoint(remote),
                    uid: if n.0 == 0 { MUTEX_UID_UNKNOWN } else { n.0.into() },
                    cgroup: n.1.into(),
                    netns: n.2.into(),
                    in_interface: n.3.into(),
                    out_interface: n.4.into(),
                    direction: Direction::ALL.get(direction).copied(),
                    severity: (severity < 4).then_some(severity),
                    connection: n.5.into(),
                    fd: n.6.into(),
                    state,
                    flags,
                    pid: pid.into(),
                    inode: inode.into(),
                    command: core::array::from_fn(|i| *command.as_bytes().get(i).unwrap_or(&0)),
                    measures: measures.map(|(sent, received, latency, one, two)| Measures {
                        sent_bytes: sent.into(),
                        received_bytes: received.into(),
                        latency_average_ns: latency.map(u64::from),
                        retransmitted_packets: one.into(),
                        drops: two.into(),
                        losses: one.into(),
                        rate_in: one.into(),
                        rate_out: two.into(),
                    }),
                    ..Subject::new(kind)
                }
            })
    }

    fn text_of(terms: &[Model]) -> String {
        terms.iter().map(Model::text).collect::<Vec<_>>().join(" ")
    }

    proptest! {
        #[test]
        fn any_text_gives_a_filter_or_a_sentence(text in any::<String>()) {
            if let Err(error) = Filter::parse(&text) {
                prop_assert!(error.to_string().len() > error.word().len());
            }
        }

        #[test]
        fn text_made_of_the_language_gives_a_filter_or_a_sentence(
            tokens in vec(select(&[
                " ", "=", "!=", "!", ",", "-", "/", "port", "address", "kind", "sample", "uid", "fd",
                ">=", "<=", "command", "drops", "state", "flags", "*", "?", "reset", "closed",
                "1", "99999999999999999999", "10.0.0.1", "::", "packet", "severity", "error", "é",
            ][..]), 0..40),
        ) {
            match Filter::parse(&tokens.concat()) {
                Ok(filter) => prop_assert_eq!(&parsed(&filter.to_string()), &filter),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }

        #[test]
        fn the_text_of_a_filter_is_an_equal_filter(
            terms in vec(some_term(), 0..=15),
            sample in 1..=u32::MAX,
        ) {
            let filter = parsed(&format!("  {}\n sample={sample}", text_of(&terms)));
            let text = filter.to_string();
            prop_assert_eq!(&parsed(&text), &filter);
            prop_assert_eq!(parsed(&text).to_string(), text);
            prop_assert_eq!(filter.sample(), sample);
        }

        #[test]
        fn matches_what_the_language_says(
            terms in vec(some_term(), 0..4),
            subjects in vec(some_subject(), 1..40),
        ) {
            let filter = parsed(&text_of(&terms));
            for subject in subjects {
                let matches = filter.matches(&subject);
                prop_assert_eq!(matches, model(&terms, &subject), "{} {:?}", filter, subject);
                prop_assert!(!matches || filter.wants(subject.kind));
            }
        }
    }

    #[test]
    fn packets_come_only_to_who_names_them() {
        for (text, kinds) in [
            ("", "start end alert"),
            ("protocol=tcp", "start end alert"),
            ("kind=packet", "packet"),
            ("kind=packet,end", "end packet"),
            ("kind!=start", "end alert"),
            ("kind!=packet", "start end alert"),
            ("kind=packet,end kind!=packet", "end"),
            ("kind=start kind=packet", ""),
        ] {
            let filter = parsed(text);
            let wanted: Vec<_> =
                (0..300).filter(|&kind| filter.wants(kind)).map(event_kind_name).collect();
            assert_eq!(wanted.join(" "), kinds, "{text}");
            assert_eq!(filter.wants_packets(), wanted.contains(&"packet"), "{text}");
        }
    }

    #[test]
    fn the_canonical_text_is_the_shortest() {
        for (text, canonical) in [
            ("", ""),
            (" \t\n", ""),
            ("protocol=6,0017,250", "protocol=tcp,udp,250"),
            ("address!=10.1.2.3/8", "address!=10.0.0.0/8"),
            ("local=10.1.2.3/32 remote=0.0.0.0/0", "local=10.1.2.3 remote=0.0.0.0/0"),
            ("address=2001:DB8:0::1/32,::ffff:1.2.3.4", "address=2001:db8::/32,::ffff:1.2.3.4"),
            ("address=::/0", "address=::/0"),
            ("port=80-80,1000-2000", "port=80,1000-2000"),
            ("cgroup=18446744073709551615", "cgroup=18446744073709551615"),
            ("kind=packet\nsample=010", "kind=packet sample=10"),
            ("uid=5-5,1-3 uid>=7 uid<=007", "uid=5,1-3 uid>=7 uid<=7"),
            ("pid>=1 pid<=4294967295", "pid>=1 pid<=4294967295"),
            ("command=ngin?*,*", "command=ngin?*,*"),
            ("flags=reset,forwarded state!=closed", "flags=reset,forwarded state!=closed"),
        ] {
            assert_eq!(parsed(text).to_string(), canonical);
        }
        assert!(parsed(" ").is_empty() && !parsed("uid=0").is_empty());
    }

    #[test]
    fn an_error_names_the_word_and_what_is_allowed() {
        for (text, word, allowed) in [
            ("port=80 nonsense", "nonsense", "key=value"),
            ("prt=80", "prt", "local_port"),
            ("=80", "", "kind, protocol"),
            ("port=80,70000", "70000", "1 to 65535"),
            ("port=0", "0", "1 to 65535"),
            ("port=9-8", "9-8", "1000-2000"),
            ("port=", "", "1 to 65535"),
            ("uid=+5", "+5", "4294967294"),
            ("uid=4294967295", "4294967295", "4294967294"),
            ("address=10.0.0.0/33", "10.0.0.0/33", "2001:db8::/32"),
            ("address=::/129", "::/129", "2001:db8::/32"),
            ("protocol=tpc", "tpc", "tcp, udp or icmp"),
            ("kind=unknown", "unknown", "start, end, alert or packet"),
            ("severity=info,error", "info,error", "one value"),
            ("sample=0", "0", "from 1"),
            ("sample!=5", "sample!=5", "once"),
            ("sample=5 sample=6", "sample=6", "once"),
            ("sample>=5", "sample>=5", "once"),
            ("sample=5-6", "5-6", "from 1"),
            ("protocol>=tcp", "protocol>=tcp", "no order"),
            ("drops>=1,2", "1,2", "one value"),
            ("drops>=1-2", "1-2", "a number"),
            ("command=sixteen-bytes-xx", "sixteen-bytes-xx", "15 characters"),
            ("command=a*b", "a*b", "at the end"),
            ("command=", "", "15 characters"),
            ("state=unknown", "unknown", "established"),
            ("family=5", "5", "4 or 6"),
        ] {
            let error = Filter::parse(text).expect_err(text);
            assert_eq!(error.word(), word, "{text}");
            assert!(error.to_string().contains(allowed), "{error}");
        }
        let error = Filter::parse("a\u{1b}[31m=1").expect_err("no key");
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }

    #[test]
    fn room_for_terms_and_values_is_bounded() {
        let terms = |count| ["uid=1"].repeat(count).join(" ");
        parsed(&terms(TERMS_MAX));
        let too_many = terms(TERMS_MAX + 1);
        let error = Filter::parse(&too_many).expect_err("one term too many");
        assert!(error.to_string().contains("at most 16"), "{error}");

        let values = |count| format!("uid={}", ["1"].repeat(count).join(","));
        parsed(&values(VALUES_MAX));
        let too_many = values(VALUES_MAX + 1);
        let error = Filter::parse(&too_many).expect_err("one value too many");
        assert!(error.to_string().contains("at most 64"), "{error}");
    }

    #[test]
    fn records_are_subjects() {
        let four = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets();
        let connection = mutex_connection {
            id: 7,
            uid: MUTEX_UID_UNKNOWN,
            family: 4,
            protocol: 6,
            local_address: four,
            local_port: 80,
            ..Default::default()
        };
        let subject = Subject::of_connection(MUTEX_EVENT_END, &connection);
        assert!(parsed("kind=end connection=7 local=10.0.0.0/8 uid!=0 fd!=1").matches(&subject));
        assert!(parsed("sent_bytes=0 flags!=reset family=4 command!=curl").matches(&subject));
        assert!(!parsed("latency_average_ns>=0").matches(&subject));

        let mut fd = mutex_fd { id: 8, pid: 9, inode: 10, family: 6, ..Default::default() };
        fd.command[..4].copy_from_slice(b"curl");
        let subject = subject.owned_by(&fd);
        assert!(parsed("connection=7 pid=9 inode=10 command=curl").matches(&subject));
        assert!(parsed("fd=8 pid=9 command=c* drops<=0 family=6").matches(&Subject::of_fd(&fd)));

        let scope = MUTEX_SCOPE_FD as u8;
        let alert = mutex_alert { subject: 7, severity: 2, scope, family: 4, ..Default::default() };
        let subject = Subject::of_alert(&alert);
        assert!(parsed("fd=7 severity=warning address!=0.0.0.0/0").matches(&subject));
        assert!(!parsed("severity=critical").matches(&subject));
        let host = mutex_alert { scope: MUTEX_SCOPE_GLOBAL as u8, ..Default::default() };
        assert!(parsed("protocol!=0").matches(&Subject::of_alert(&host)));

        let packet = mutex_packet { interface: 3, direction: 1, family: 4, ..Default::default() };
        let subject = Subject::of_packet(&packet);
        assert!(parsed("kind=packet direction=received interface=3").matches(&subject));
        assert_eq!((subject.in_interface, subject.out_interface), (3, 0));
    }
}
