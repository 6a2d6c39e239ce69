// SPDX-License-Identifier: MIT OR Apache-2.0

//! One connection's meter, and what it says.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::io::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use crate::Cell;
use crate::Direction;
use crate::Traffic;
use crate::has_ports;
use crate::reporter::ConnectionId;

/// What is known of a connection besides its ends, such as whose it is.
pub type Metadata = BTreeMap<String, String>;

/// What has been metered in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// IP bytes on the wire, headers included.
    pub bytes: u64,
    /// Socket buffers: a GSO or GRO super-packet is one.
    pub buffers: u64,
}

/// What a meter says at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whose meter it is.
    pub id: ConnectionId,
    /// Of the connection and of the metering as a whole.
    pub metadata: Metadata,
    /// When the meter was made, in nanoseconds of Unix time.
    pub started_ns: u64,
    /// From the source to the destination, since the meter was made.
    pub sent: Amount,
    /// From the destination to the source, since the meter was made.
    pub received: Amount,
    /// Bytes a second sent between the last two [`Metering::log`](crate::reporter::Metering::log);
    /// `None` until there were two.
    pub rate_out: Option<u64>,
    /// The same of what was received.
    pub rate_in: Option<u64>,
    /// Events that were lost since the meter was made, of whatever connections. While it is 0 nothing
    /// is missing.
    pub lost_events: u64,
    /// Whether `sent` and `received` are the kernel's own counters of the whole connection, so that
    /// nothing is missing whatever was lost. Only at the end of a connection whose start was seen.
    pub is_total: bool,
}

/// Why an entry is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logged {
    /// The meter was made, when its connection began or with its first packet.
    Started,
    /// An interval is over.
    Running,
    /// The connection is over, and its meter has been removed: the final figures.
    Ended,
    /// Metering was closed while the connection went on: the final figures.
    Stopped,
}

impl Logged {
    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Logged::Started => "started",
            Logged::Running => "running",
            Logged::Ended => "ended",
            Logged::Stopped => "stopped",
        }
    }
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Why.
    pub logged: Logged,
    /// When, in nanoseconds of Unix time.
    pub time_ns: u64,
    /// What the meter said.
    pub reading: Reading,
}

impl Entry {
    /// The names of its [`Entry::cells`].
    pub const COLUMNS: [&str; 19] = [
        "logged",
        "time_ns",
        "id",
        "protocol",
        "source_address",
        "source_port",
        "destination_address",
        "destination_port",
        "netns",
        "started_ns",
        "sent_bytes",
        "sent_buffers",
        "received_bytes",
        "received_buffers",
        "rate_out",
        "rate_in",
        "lost_events",
        "is_total",
        "metadata",
    ];

    /// Everything that it says, in the order of [`Entry::COLUMNS`]. Rates are unknown until there are
    /// any, as are ports where a protocol has none; metadata is one JSON object.
    #[must_use]
    pub fn cells(&self) -> [Cell; 19] {
        let Reading { id, sent, received, .. } = &self.reading;
        let text = |text: &dyn fmt::Display| Cell::Text(text.to_string());
        let known = |number: Option<u64>| number.map_or(Cell::Unknown, Cell::Integer);
        let port = |port: u16| known(has_ports(id.protocol.0).then_some(port.into()));
        let (source, destination) = (id.source.address, id.destination.address);
        [
            text(&self.logged.name()),
            Cell::Integer(self.time_ns),
            text(id),
            text(&id.protocol),
            text(&source.ip()),
            port(source.port()),
            text(&destination.ip()),
            port(destination.port()),
            Cell::Integer(id.source.netns.into()),
            Cell::Integer(self.reading.started_ns),
            Cell::Integer(sent.bytes),
            Cell::Integer(sent.buffers),
            Cell::Integer(received.bytes),
            Cell::Integer(received.buffers),
            known(self.reading.rate_out),
            known(self.reading.rate_in),
            Cell::Integer(self.reading.lost_events),
            Cell::Integer(self.reading.is_total.into()),
            text(&json!(self.reading.metadata)),
        ]
    }

    /// Writes it as one JSON object, without an end of line, with the keys of [`Entry::COLUMNS`];
    /// `is_total` is a boolean and `metadata` an object there.
    ///
    /// # Errors
    ///
    /// Whatever `output` gives.
    pub fn write_json(&self, mut output: impl Write) -> io::Result<()> {
        let value = |(name, cell): (&str, Cell)| {
            let value = match cell {
                Cell::Integer(integer) => json!(integer),
                Cell::Text(text) => Json::String(text),
                Cell::Unknown => Json::Null,
            };
            (name.to_owned(), value)
        };
        let mut object: Map<_, _> =
            Self::COLUMNS.into_iter().zip(self.cells()).map(value).collect();
        object.insert("is_total".into(), Json::Bool(self.reading.is_total));
        object.insert("metadata".into(), json!(self.reading.metadata));
        // In the order of the columns, whatever the map's is.
        let mut separator = "{";
        for name in Self::COLUMNS {
            write!(output, "{separator}\"{name}\":{}", object.get(name).unwrap_or(&Json::Null))?;
            separator = ",";
        }
        output.write_all(b"}")
    }
}

/// One line for people.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reading { id, sent, received, metadata, lost_events, is_total, .. } = &self.reading;
        write!(f, "{} {id}", self.logged.name())?;
        write!(f, " sent {} received {} bytes", sent.bytes, received.bytes)?;
        if *lost_events > 0 && !is_total {
            write!(f, " at least ({lost_events} events lost)")?;
        }
        metadata.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

/// Counters of one direction.
#[derive(Debug, Default)]
struct Counter {
    bytes: AtomicU64,
    buffers: AtomicU64,
}

impl Counter {
    fn read(&self) -> Amount {
        Amount { bytes: self.bytes.load(Relaxed), buffers: self.buffers.load(Relaxed) }
    }

    fn set(&self, traffic: &Traffic) {
        self.bytes.store(traffic.bytes, Relaxed);
        self.buffers.store(traffic.buffers, Relaxed);
    }
}

/// What changes only when it is logged.
#[derive(Debug)]
struct Window {
    began: Instant,
    /// When it began: bytes sent and received.
    base: (u64, u64),
    /// Of the window before.
    rates: Option<(u64, u64)>,
}

/// A meter. Whoever counts needs no lock of it.
#[derive(Debug)]
pub(super) struct Meter {
    id: ConnectionId,
    started_ns: u64,
    lost_before: u64,
    sent: Counter,
    received: Counter,
    is_total: AtomicBool,
    metadata: Mutex<Metadata>,
    window: Mutex<Window>,
}

impl Meter {
    pub(super) fn new(id: ConnectionId, metadata: Metadata, now_ns: u64, lost: u64) -> Self {
        Meter {
            id,
            started_ns: now_ns,
            lost_before: lost,
            sent: Counter::default(),
            received: Counter::default(),
            is_total: AtomicBool::new(false),
            metadata: Mutex::new(metadata),
            window: Mutex::new(Window { began: Instant::now(), base: (0, 0), rates: None }),
        }
    }

    pub(super) fn count(&self, direction: Direction, bytes: u64) {
        let counter = if direction.is_sent() { &self.sent } else { &self.received };
        counter.bytes.fetch_add(bytes, Relaxed);
        counter.buffers.fetch_add(1, Relaxed);
    }

    /// Takes the connection's own counters.
    pub(super) fn total(&self, sent: &Traffic, received: &Traffic) {
        self.sent.set(sent);
        self.received.set(received);
        self.is_total.store(true, Relaxed);
    }

    /// Adds metadata; what has the same key is replaced.
    pub(super) fn add_metadata(&self, metadata: &Metadata) {
        let mut mine = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        mine.extend(metadata.iter().map(|(key, value)| (key.clone(), value.clone())));
    }

    /// Ends the window: rates are of it from now on.
    pub(super) fn roll(&self, now: Instant) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = (self.sent.read().bytes, self.received.read().bytes);
        let elapsed = now.saturating_duration_since(window.began).as_nanos();
        let rate = |bytes: u64, base: u64| {
            let moved = u128::from(bytes.saturating_sub(base)) * 1_000_000_000;
            u64::try_from(moved.checked_div(elapsed)?).ok()
        };
        window.rates = rate(bytes.0, window.base.0).zip(rate(bytes.1, window.base.1));
        (window.began, window.base) = (now, bytes);
    }

    pub(super) fn read(&self, lost: u64) -> Reading {
        let rates = self.window.lock().unwrap_or_else(PoisonError::into_inner).rates;
        Reading {
            id: self.id,
            metadata: self.metadata.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            started_ns: self.started_ns,
            sent: self.sent.read(),
            received: self.received.read(),
            rate_out: rates.map(|rates| rates.0),
            rate_in: rates.map(|rates| rates.1),
            lost_events: lost.saturating_sub(self.lost_before),
            is_total: self.is_total.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::Protocol;

    fn id(protocol: u8) -> ConnectionId {
        let end = |text: &str| text.parse::<SocketAddr>().expect("it is one").into();
        ConnectionId::new(Protocol(protocol), end("192.0.2.1:5"), end("[2001:db8::1]:53"))
    }

    fn entry(protocol: u8) -> Entry {
        let metadata = [("app", "\"x\",1"), ("b", "")].map(|(k, v)| (k.into(), v.into()));
        let meter = Meter::new(id(protocol), metadata.into(), 7, 1);
        meter.count(Direction::Sent, 100);
        meter.count(Direction::ForwardedReceived, 1 << 60);
        Entry { logged: Logged::Running, time_ns: 9, reading: meter.read(3) }
    }

    #[test]
    fn an_entry_as_json_and_as_text() {
        let mut text = Vec::new();
        entry(17).write_json(&mut text).expect("a vector takes everything");
        let text = String::from_utf8(text).expect("it is text");
        assert_eq!(
            text,
            "{\"logged\":\"running\",\"time_ns\":9,\"id\":\"192.0.2.1:5->[2001:db8::1]:53/udp\",\
             \"protocol\":\"udp\",\"source_address\":\"192.0.2.1\",\"source_port\":5,\
             \"destination_address\":\"2001:db8::1\",\"destination_port\":53,\"netns\":0,\
             \"started_ns\":7,\"sent_bytes\":100,\"sent_buffers\":1,\
             \"received_bytes\":1152921504606846976,\"received_buffers\":1,\"rate_out\":null,\
             \"rate_in\":null,\"lost_events\":2,\"is_total\":false,\
             \"metadata\":{\"app\":\"\\\"x\\\",1\",\"b\":\"\"}}"
        );
        let parsed: Json = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(parsed["metadata"]["app"], "\"x\",1");
        assert_eq!(
            entry(17).to_string(),
            "running 192.0.2.1:5->[2001:db8::1]:53/udp sent 100 received 1152921504606846976 bytes \
             at least (2 events lost) app=\"x\",1 b="
        );
        let schema = serde_json::from_str::<Json>(include_str!("../../schema/meter.schema.json"));
        let mut compiler = boon::Compiler::new();
        let place = "urn:mutex:schema:1:meter#/$defs/meter";
        compiler
            .add_resource("urn:mutex:schema:1:meter", schema.expect("a schema is JSON"))
            .expect("it is a schema");
        let mut schemas = boon::Schemas::new();
        let meter = compiler.compile(place, &mut schemas).expect("it is a schema");
        for name in Entry::COLUMNS {
            let mut some = parsed.clone();
            assert!(schemas.validate(&some, meter).is_ok());
            some.as_object_mut().expect("it is one").remove(name);
            assert!(schemas.validate(&some, meter).is_err(), "{name}");
        }
        let gre = entry(47).cells();
        assert_eq!((&gre[5], &gre[7]), (&Cell::Unknown, &Cell::Unknown));
    }

    #[test]
    fn rates_are_of_the_last_window() {
        let meter = Meter::new(id(17), Metadata::new(), 0, 0);
        let rates = || (meter.read(0).rate_out, meter.read(0).rate_in);
        assert_eq!(rates(), (None, None));
        let began = meter.window.lock().expect("nobody has it").began;
        meter.count(Direction::Sent, 3_000);
        meter.roll(began + Duration::from_millis(500));
        assert_eq!(rates(), (Some(6_000), Some(0)));
        meter.count(Direction::Received, 10);
        meter.roll(began + Duration::from_millis(2_500));
        assert_eq!(rates(), (Some(0), Some(5)));
        // Two at one moment have no rate.
        meter.roll(began + Duration::from_millis(2_500));
        assert_eq!(rates(), (None, None));
    }

    #[test]
    fn totals_take_the_place_of_what_was_counted() {
        let meter = Meter::new(id(17), Metadata::new(), 0, 0);
        meter.count(Direction::Sent, 3_000);
        let traffic = |bytes, buffers| Traffic { bytes, buffers, ..Traffic::ZERO };
        meter.total(&traffic(5_000, 4), &traffic(8, 1));
        let reading = meter.read(9);
        assert_eq!(reading.sent, Amount { bytes: 5_000, buffers: 4 });
        assert_eq!(reading.received, Amount { bytes: 8, buffers: 1 });
        assert!(reading.is_total && reading.lost_events == 9);
        let entry = Entry { logged: Logged::Ended, time_ns: 0, reading };
        assert!(!entry.to_string().contains("at least"));
    }
}
