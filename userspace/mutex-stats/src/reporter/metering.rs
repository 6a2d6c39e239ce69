// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ready-made reporter: a meter a connection.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::Direction;
use crate::Protocol;
use crate::Traffic;
use crate::formats::Families;
use crate::formats::Kind;
use crate::formats::Number;
use crate::reporter::ConnectionId;
use crate::reporter::Endpoint;
use crate::reporter::Entry;
use crate::reporter::Logged;
use crate::reporter::Metadata;
use crate::reporter::Reading;
use crate::reporter::Reporter;
use crate::reporter::meter::Meter;

/// Where entries go.
type Sink = Box<dyn Fn(&Entry) + Send + Sync>;

/// Meters connections: a reporter that keeps a meter for each, from its start or its first packet to
/// its end, and logs to a sink when one is made, at an interval, and when one is over.
///
/// Metadata can be set before a meter exists and afterwards, and is merged: what was set for the
/// metering as a whole ([`Metering::with_metadata`]), then for the connection in any network namespace,
/// then for exactly this one; of two values with one key the later one holds.
///
/// ```
/// use std::net::SocketAddr;
/// use std::sync::{Arc, Mutex};
///
/// use mutex_stats::reporter::{ConnectionId, Endpoint, Metering, Reporter};
/// use mutex_stats::{Direction, Protocol};
///
/// let lines = Arc::new(Mutex::new(Vec::new()));
/// let sink = Arc::clone(&lines);
/// let metering = Metering::new(move |entry| sink.lock().unwrap().push(entry.to_string()));
///
/// // What a feed does, here by hand.
/// let end = |text: &str| Endpoint::from(text.parse::<SocketAddr>().unwrap());
/// let (source, destination) = (end("192.0.2.1:40000"), end("192.0.2.2:53"));
/// let udp = Protocol(17);
/// let id = ConnectionId::new(udp, source, destination);
/// metering.update_metadata(id, [("app", "resolver")]);
/// metering.on_packet(udp, Direction::Sent, &source, &destination, 60);
/// metering.on_packet(udp, Direction::Received, &source, &destination, 200);
/// metering.on_connection_end(udp, &source, &destination);
///
/// assert_eq!(
///     lines.lock().unwrap()[1],
///     "ended 192.0.2.1:40000->192.0.2.2:53/udp sent 60 received 200 bytes app=resolver"
/// );
/// ```
pub struct Metering {
    sink: Sink,
    base: Metadata,
    /// Taken before `metadata`.
    meters: RwLock<HashMap<ConnectionId, Meter>>,
    metadata: RwLock<HashMap<ConnectionId, Metadata>>,
    lost: AtomicU64,
    /// Of meters that are over.
    ended: AtomicU64,
    ended_bytes: [AtomicU64; 2],
}

impl fmt::Debug for Metering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metering").field("meters", &self.meters).finish_non_exhaustive()
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Nanoseconds of Unix time.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Metering {
    /// One that logs to `sink`, which is called by whoever calls the metering, and by several
    /// threads at once.
    pub fn new(sink: impl Fn(&Entry) + Send + Sync + 'static) -> Self {
        Metering {
            sink: Box::new(sink),
            base: Metadata::new(),
            meters: RwLock::default(),
            metadata: RwLock::default(),
            lost: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            ended_bytes: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    /// The same with metadata for all of its meters.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Metering { base: metadata, ..self }
    }

    /// Adds to a connection's metadata, whether it has a meter already or not; values of keys that
    /// it has are replaced. Ends whose network namespace is 0 are those of any.
    ///
    /// It is forgotten when the connection ends; for one that never comes,
    /// [`Metering::forget_metadata`] does that.
    pub fn update_metadata<K, V>(
        &self,
        id: ConnectionId,
        metadata: impl IntoIterator<Item = (K, V)>,
    ) where
        K: Into<String>,
        V: Into<String>,
    {
        let metadata: Metadata =
            metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        // A meter that is made after this has it; one that was made before is found below.
        write(&self.metadata).entry(id).or_default().extend(metadata.clone());
        let meters = read(&self.meters);
        if id == id.in_any_netns() {
            let of_id = meters.iter().filter(|(other, _)| other.in_any_netns() == id);
            of_id.for_each(|(_, meter)| meter.add_metadata(&metadata));
        } else if let Some(meter) = meters.get(&id) {
            meter.add_metadata(&metadata);
        }
    }

    /// Forgets what was set for a connection that has no meter.
    pub fn forget_metadata(&self, id: ConnectionId) {
        write(&self.metadata).remove(&id);
    }

    /// What all meters say, in the order of their connections' ids.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let lost = self.lost.load(Relaxed);
        let mut all: Vec<_> = read(&self.meters).values().map(|meter| meter.read(lost)).collect();
        all.sort_unstable_by_key(|reading| reading.id);
        all
    }

    /// Events that were lost in all.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Logs what all meters say, each with its rates since the last time.
    pub fn log(&self) {
        let now = Instant::now();
        read(&self.meters).values().for_each(|meter| meter.roll(now));
        for reading in self.readings() {
            self.tell(Logged::Running, reading);
        }
    }

    /// Has a thread of its own [`Metering::log`] at an interval, until what this returns is stopped or
    /// dropped.
    ///
    /// # Panics
    ///
    /// If the system has no thread left.
    #[must_use = "logging stops when it is dropped"]
    pub fn log_every(self: &Arc<Self>, interval: Duration) -> Logging {
        let (stop, stopped) = mpsc::channel::<()>();
        let metering = Arc::clone(self);
        let thread = thread::spawn(move || {
            let mut next = Instant::now() + interval;
            loop {
                let left = next.saturating_duration_since(Instant::now());
                let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(left) else { return };
                metering.log();
                // What a machine that stood still has missed is not made up for.
                next = (next + interval).max(Instant::now());
            }
        });
        Logging { stop: Some(stop), thread: Some(thread) }
    }

    /// Ends metering: removes all meters and metadata, and logs the final figures of each as
    /// [`Logged::Stopped`]. It can be used again.
    pub fn close(&self) {
        let meters = std::mem::take(&mut *write(&self.meters));
        write(&self.metadata).clear();
        let lost = self.lost.load(Relaxed);
        let mut readings: Vec<_> = meters.values().map(|meter| meter.read(lost)).collect();
        readings.sort_unstable_by_key(|reading| reading.id);
        for reading in readings {
            self.account(&reading);
            self.tell(Logged::Stopped, reading);
        }
    }

    /// Writes its numbers as metrics; no connection is a label.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn write_metrics<W: Write>(&self, families: &mut Families<W>) -> io::Result<()> {
        let readings = self.readings();
        let live = readings.len() as u64;
        families.family("mutex_meters", Kind::Gauge, "Connections that are metered.")?;
        families.sample(&[], Number::Integer(live))?;
        families.family("mutex_meters_ended", Kind::Counter, "Meters whose connection is over.")?;
        families.sample(&[], Number::Integer(self.ended.load(Relaxed)))?;
        let name = "mutex_metered_bytes";
        families.family(
            name,
            Kind::Counter,
            "IP bytes of connections that are or were metered.",
        )?;
        let live = readings.iter().fold([0; 2], |[sent, received], one| {
            [sent + one.sent.bytes, received + one.received.bytes]
        });
        let ways = ["sent", "received"].into_iter().zip(live).zip(&self.ended_bytes);
        for ((way, live), ended) in ways {
            let all = Number::Integer(ended.load(Relaxed) + live);
            families.sample(&[("direction", way)], all)?;
        }
        let help = "Events that came faster than they were taken.";
        families.family("mutex_meter_events_lost", Kind::Counter, help)?;
        families.sample(&[], Number::Integer(self.lost()))
    }

    fn account(&self, reading: &Reading) {
        self.ended.fetch_add(1, Relaxed);
        for (sum, amount) in self.ended_bytes.iter().zip([reading.sent, reading.received]) {
            sum.fetch_add(amount.bytes, Relaxed);
        }
    }

    fn tell(&self, logged: Logged, reading: Reading) {
        (self.sink)(&Entry { logged, time_ns: now_ns(), reading });
    }

    /// Lets `work` have the connection's meter, which is made if there is none.
    fn with_meter(&self, id: ConnectionId, work: impl Fn(&Meter)) {
        // Who counts holds the lock, so that a meter that is removed has been counted in.
        if let Some(meter) = read(&self.meters).get(&id) {
            return work(meter);
        }
        let mut meters = write(&self.meters);
        // Another thread may have been faster.
        if let Some(meter) = meters.get(&id) {
            return work(meter);
        }
        let mut metadata = self.base.clone();
        let known = read(&self.metadata);
        for known in [id.in_any_netns(), id].iter().filter_map(|id| known.get(id)) {
            metadata.extend(known.clone());
        }
        drop(known);
        let lost = self.lost.load(Relaxed);
        let meter = Meter::new(id, metadata, now_ns(), lost);
        let started = meter.read(lost);
        work(&meter);
        meters.insert(id, meter);
        drop(meters);
        self.tell(Logged::Started, started);
    }
}

impl Reporter for Metering {
    fn on_packet(
        &self,
        protocol: Protocol,
        direction: Direction,
        source: &Endpoint,
        destination: &Endpoint,
        bytes: u64,
    ) {
        let id = ConnectionId::new(protocol, *source, *destination);
        self.with_meter(id, |meter| meter.count(direction, bytes));
    }

    fn on_connection_start(&self, protocol: Protocol, source: &Endpoint, destination: &Endpoint) {
        self.with_meter(ConnectionId::new(protocol, *source, *destination), |_| {});
    }

    fn on_connection_total(
        &self,
        protocol: Protocol,
        source: &Endpoint,
        destination: &Endpoint,
        sent: &Traffic,
        received: &Traffic,
    ) {
        let id = ConnectionId::new(protocol, *source, *destination);
        if let Some(meter) = read(&self.meters).get(&id) {
            meter.total(sent, received);
        }
    }

    fn on_connection_end(&self, protocol: Protocol, source: &Endpoint, destination: &Endpoint) {
        let id = ConnectionId::new(protocol, *source, *destination);
        let mut meters = write(&self.meters);
        let Some(meter) = meters.remove(&id) else { return };
        let mut metadata = write(&self.metadata);
        metadata.remove(&id);
        // What holds in any namespace is kept for those that are left.
        let anywhere = id.in_any_netns();
        if metadata.contains_key(&anywhere)
            && !meters.keys().any(|other| other.in_any_netns() == anywhere)
        {
            metadata.remove(&anywhere);
        }
        drop(metadata);
        drop(meters);
        let reading = meter.read(self.lost.load(Relaxed));
        self.account(&reading);
        self.tell(Logged::Ended, reading);
    }

    fn on_lost(&self, events: u64) {
        self.lost.fetch_add(events, Relaxed);
    }
}

/// A thread that logs at an interval; it ends when this is dropped.
#[derive(Debug)]
pub struct Logging {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Logging {
    /// Ends it, and waits until it has.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Where a sink has panicked the thread has said so.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;
    use crate::formats::Exposition;
    use crate::reporter::Amount;

    const UDP: Protocol = Protocol(17);

    type Entries = Arc<Mutex<Vec<Entry>>>;

    fn metering() -> (Arc<Metering>, Entries) {
        let entries = Entries::default();
        let sink = Arc::clone(&entries);
        let metering = Metering::new(move |entry| {
            sink.lock().expect("nobody panics").push(entry.clone());
        });
        (Arc::new(metering), entries)
    }

    fn taken(entries: &Entries) -> Vec<Entry> {
        std::mem::take(&mut *entries.lock().expect("nobody panics"))
    }

    fn end(port: u16, netns: u32) -> Endpoint {
        Endpoint { address: SocketAddr::from(([192, 0, 2, 1], port)), netns }
    }

    fn id(port: u16, netns: u32) -> ConnectionId {
        ConnectionId::new(UDP, end(port, netns), end(53, netns))
    }

    fn packet(metering: &Metering, port: u16, direction: Direction, bytes: u64) {
        metering.on_packet(UDP, direction, &end(port, 1), &end(53, 1), bytes);
    }

    fn amount(bytes: u64, buffers: u64) -> Amount {
        Amount { bytes, buffers }
    }

    #[test]
    fn a_connection_is_metered_from_its_start_to_its_end() {
        let (metering, entries) = metering();
        metering.on_connection_start(UDP, &end(9, 1), &end(53, 1));
        packet(&metering, 9, Direction::Sent, 100);
        packet(&metering, 9, Direction::Received, 1_000);
        packet(&metering, 9, Direction::ForwardedSent, 1);
        metering.on_lost(5);
        packet(&metering, 10, Direction::Received, 7);
        metering.log();
        let readings = metering.readings();
        assert_eq!(readings.iter().map(|one| one.id).collect::<Vec<_>>(), [id(9, 1), id(10, 1)]);
        assert_eq!((readings[0].sent, readings[0].received), (amount(101, 2), amount(1_000, 1)));
        assert_eq!((readings[0].lost_events, readings[1].lost_events), (5, 0));
        assert!(readings[0].rate_in.is_some());
        metering.on_connection_end(UDP, &end(9, 1), &end(53, 1));
        // Again: it is over already.
        metering.on_connection_end(UDP, &end(9, 1), &end(53, 1));
        metering.close();
        let logged: Vec<_> = taken(&entries)
            .iter()
            .map(|entry| (entry.logged, entry.reading.id.source.address.port()))
            .collect();
        assert_eq!(
            logged,
            [
                (Logged::Started, 9),
                (Logged::Started, 10),
                (Logged::Running, 9),
                (Logged::Running, 10),
                (Logged::Ended, 9),
                (Logged::Stopped, 10),
            ]
        );
        assert!(metering.readings().is_empty());
        let mut families = Families::new(Vec::new(), Exposition::OpenMetrics);
        metering.write_metrics(&mut families).expect("a vector takes everything");
        let text = String::from_utf8(families.finish().expect("as before")).expect("it is text");
        for line in [
            "mutex_meters 0",
            "mutex_meters_ended_total 2",
            "mutex_metered_bytes_total{direction=\"sent\"} 101",
            "mutex_metered_bytes_total{direction=\"received\"} 1007",
            "mutex_meter_events_lost_total 5",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
    }

    #[test]
    fn metadata_is_merged_whenever_it_is_set() {
        let (_, entries) = metering();
        let sink = Arc::clone(&entries);
        let base: Metadata =
            [("app", "base"), ("host", "h")].map(|(k, v)| (k.into(), v.into())).into();
        let metering = Metering::new(move |entry| sink.lock().unwrap().push(entry.clone()))
            .with_metadata(base);
        metering.update_metadata(id(9, 1), [("app", "exact")]);
        metering.update_metadata(id(9, 0), [("app", "any"), ("user", "u")]);
        packet(&metering, 9, Direction::Sent, 1);
        let shown = |metering: &Metering| {
            let pairs = metering.readings()[0].metadata.clone();
            pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(&metering), "app=exact host=h user=u");
        metering.update_metadata(id(9, 1), [("app", "later")]);
        metering.update_metadata(id(9, 0), [("host", "i")]);
        metering.update_metadata(id(10, 0), [("host", "another")]);
        assert_eq!(shown(&metering), "app=later host=i user=u");
        // Another namespace has the same addresses.
        metering.on_packet(UDP, Direction::Sent, &end(9, 2), &end(53, 2), 1);
        assert_eq!(metering.readings().len(), 2);
        metering.on_connection_end(UDP, &end(9, 1), &end(53, 1));
        let ended = taken(&entries).pop().expect("it has been logged").reading;
        assert_eq!(
            (ended.metadata["app"].as_str(), ended.metadata["host"].as_str()),
            ("later", "i")
        );
        assert_eq!(shown(&metering), "app=any host=i user=u");
        // It is forgotten with the last of its meters.
        metering.on_connection_end(UDP, &end(9, 2), &end(53, 2));
        packet(&metering, 9, Direction::Sent, 1);
        assert_eq!(shown(&metering), "app=base host=h");
        metering.forget_metadata(id(10, 0));
        assert!(read(&metering.metadata).is_empty());
    }

    #[test]
    fn threads_call_at_once_and_nothing_is_left_out() {
        const THREADS: u64 = 8;
        const PACKETS: u64 = 2_000;

        let (metering, entries) = metering();
        let logging = metering.log_every(Duration::from_millis(1));
        thread::scope(|scope| {
            for number in 0..THREADS {
                let metering = &metering;
                scope.spawn(move || {
                    for turn in 0..PACKETS {
                        // Of everybody, and over and over again.
                        packet(metering, 1, Direction::Sent, 1);
                        packet(metering, 2, Direction::Received, turn);
                        let mine = 100 + u16::try_from(number).expect("it is small");
                        packet(metering, mine, Direction::Sent, number);
                        if turn % 100 == 0 {
                            metering.on_connection_end(UDP, &end(2, 1), &end(53, 1));
                            metering.update_metadata(id(mine, 1), [("turn", turn.to_string())]);
                        }
                    }
                });
            }
        });
        logging.stop();
        metering.close();
        let mut sums: BTreeMap<u16, (Amount, Amount)> = BTreeMap::new();
        let (mut started, mut ended) = (0, 0);
        for Entry { logged, reading, .. } in taken(&entries) {
            started += u64::from(logged == Logged::Started);
            if matches!(logged, Logged::Ended | Logged::Stopped) {
                ended += 1;
                let sum = sums.entry(reading.id.source.address.port()).or_default();
                for (sum, more) in [(&mut sum.0, reading.sent), (&mut sum.1, reading.received)] {
                    (sum.bytes, sum.buffers) = (sum.bytes + more.bytes, sum.buffers + more.buffers);
                }
            }
        }
        assert_eq!(started, ended);
        let all = THREADS * PACKETS;
        assert_eq!(sums[&1].0, amount(all, all));
        assert_eq!(sums[&2].1, amount(THREADS * PACKETS * (PACKETS - 1) / 2, all));
        for number in 0..THREADS {
            let mine = 100 + u16::try_from(number).expect("it is small");
            assert_eq!(sums[&mine].0, amount(number * PACKETS, PACKETS));
        }
    }

    #[test]
    fn logging_goes_on_until_it_is_stopped() {
        let (metering, entries) = metering();
        packet(&metering, 9, Direction::Sent, 1);
        let logging = metering.log_every(Duration::from_millis(1));
        while entries.lock().expect("nobody panics").len() < 4 {
            thread::sleep(Duration::from_millis(1));
        }
        logging.stop();
        let logged = taken(&entries);
        assert_eq!(logged.iter().filter(|one| one.logged == Logged::Started).count(), 1);
        assert!(taken(&entries).is_empty());
    }

    proptest! {
        /// Figures are the sums of what was reported, however it is distributed.
        #[test]
        fn meters_add_up(packets in prop::collection::vec((0u16..5, 0usize..4, 0u64..1 << 40), 0..200)) {
            let (metering, _) = metering();
            let mut expected: BTreeMap<u16, [(u64, u64); 2]> = BTreeMap::new();
            for (port, direction, bytes) in packets {
                packet(&metering, port, Direction::ALL[direction], bytes);
                let (sum, count) = &mut expected.entry(port).or_default()[direction % 2];
                (*sum, *count) = (*sum + bytes, *count + 1);
            }
            let readings: Vec<_> = metering
                .readings()
                .iter()
                .map(|one| {
                    let sums = [one.sent, one.received].map(|one| (one.bytes, one.buffers));
                    (one.id.source.address.port(), sums)
                })
                .collect();
            prop_assert_eq!(readings, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
