// SPDX-License-Identifier: MIT OR Apache-2.0

//! The network as the kernel module counts it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::CollectError;
use super::Collector;
use super::Metric;
use super::samples::Samples;
use super::samples::Spread;
use super::window::Window;
use super::window::as_float;
use super::window::share;
use crate::Address;
use crate::Block;
use crate::Clock;
use crate::Connection;
use crate::Header;
use crate::Part;
use crate::Proc;
use crate::Stats;
use crate::SystemClock;
use crate::Visitor;
use crate::formats::Kind;
use crate::formats::Number;

/// The host's network: what the kernel module counts, and how it fares at each collection.
pub struct Network {
    name: String,
    clock: Arc<dyn Clock>,
    proc: Proc,
    peers: usize,
    losses: Mutex<Option<Window<Passed>>>,
    bandwidth: Mutex<[Samples; 2]>,
}

/// Counters that shares of late are made of.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    sent: u64,
    all: u64,
    retransmitted: u64,
    lost: u64,
}

impl Passed {
    fn of(stats: &Stats) -> Self {
        let get = |key| stats.get(key).unwrap_or(0);
        let sent = get("sent_packets") + get("forwarded_sent_packets");
        Passed {
            sent,
            all: sent + get("received_packets") + get("forwarded_received_packets"),
            retransmitted: get("retransmitted_packets"),
            lost: stats.losses().unwrap_or(0),
        }
    }
}

impl Network {
    /// Samples of bandwidth that are kept, one a collection.
    pub const BANDWIDTH_SAMPLES: usize = 100;

    /// A collector of this name, of what is in this folder.
    pub fn new(name: impl Into<String>, proc: Proc) -> Self {
        Network::with_clock(name, proc, Arc::new(SystemClock))
    }

    /// As [`Network::new`], by this clock.
    pub fn with_clock(name: impl Into<String>, proc: Proc, clock: Arc<dyn Clock>) -> Self {
        let samples = || Samples::new(Self::BANDWIDTH_SAMPLES);
        let (losses, bandwidth) = (Mutex::new(None), Mutex::new([samples(), samples()]));
        Network { name: name.into(), clock, proc, peers: 0, losses, bandwidth }
    }

    /// Also tells the peers (addresses of the other ends) that moved the most bytes in connections
    /// that are listed now, so many of them, and all others together. This reads all connections.
    #[must_use]
    pub fn with_peers(self, peers: usize) -> Self {
        Network { peers, ..self }
    }

    /// Retransmissions and losses of late, of what passed.
    fn losses(&self, stats: &Stats) -> [f64; 2] {
        let (now, passed) = (self.clock.monotonic(), Passed::of(stats));
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        let window = losses.get_or_insert_with(|| Window::new(now, passed));
        let (_, before) = window.look(now, passed);
        if passed.all < before.all {
            // The module was loaded anew.
            *losses = Some(Window::new(now, passed));
            return [0.0; 2];
        }
        let since = |now: u64, before: u64| now.saturating_sub(before);
        [
            share(
                since(passed.retransmitted, before.retransmitted),
                since(passed.sent, before.sent),
            ),
            share(since(passed.lost, before.lost), since(passed.all, before.all)),
        ]
    }

    fn bandwidth(&self, rates: [u64; 2]) -> Metric {
        let mut samples = self.bandwidth.lock().unwrap_or_else(PoisonError::into_inner);
        let help = "Bytes in a second, at the last collections.";
        let name = "mutex_network_bandwidth_recent_bytes_per_second";
        let mut metric = Metric::new(name, Kind::Gauge, help);
        for ((direction, samples), rate) in
            ["received", "sent"].iter().zip(&mut *samples).zip(rates)
        {
            samples.add(rate);
            for (statistic, value) in samples.spread().iter().flat_map(Spread::statistics) {
                let labels = [("direction", *direction), ("statistic", statistic)];
                metric = metric.sample(&labels, Number::Integer(value));
            }
        }
        metric
    }
}

impl Collector for Network {
    fn name(&self) -> &str {
        &self.name
    }

    fn metric_names(&self) -> Vec<&str> {
        let mut names = vec![
            "mutex_network_active_connections",
            "mutex_network_connections",
            "mutex_network_traffic_bytes",
            "mutex_network_packets",
            "mutex_network_bandwidth_bytes_per_second",
            "mutex_network_bandwidth_recent_bytes_per_second",
            "mutex_network_latency_seconds",
            "mutex_network_errors",
            "mutex_network_retransmitted_packets",
            "mutex_network_dropped_packets",
            "mutex_network_lost_packets",
            "mutex_network_retransmission_ratio",
            "mutex_network_loss_ratio",
        ];
        if self.peers > 0 {
            names.extend(PEER_METRICS.map(|(name, _)| name));
        }
        names
    }

    fn collect(&self) -> Result<Vec<Metric>, CollectError> {
        let stats = self.proc.stats()?;
        let get = |key| stats.get(key).unwrap_or(0);
        let by = |name, kind, help, label, keys: &[(&'static str, &str)]| {
            let metric = Metric::new(name, kind, help);
            keys.iter().fold(metric, |metric, (key, value)| {
                metric.sample(&[(label, value)], Number::Integer(get(key)))
            })
        };
        let [retransmissions, losses] = self.losses(&stats);
        let mut metrics = vec![
            Metric::gauge(
                "mutex_network_active_connections",
                "Connections that are open.",
                Number::Integer(get("connections_active")),
            ),
            Metric::counter(
                "mutex_network_connections",
                "Connections that there have been.",
                get("connections_total"),
            ),
            by(
                "mutex_network_traffic_bytes",
                Kind::Counter,
                "IP bytes, headers included.",
                "direction",
                &[
                    ("sent_bytes", "sent"),
                    ("received_bytes", "received"),
                    ("forwarded_sent_bytes", "forwarded_sent"),
                    ("forwarded_received_bytes", "forwarded_received"),
                ],
            ),
            by(
                "mutex_network_packets",
                Kind::Counter,
                "Packets, as on the wire.",
                "direction",
                &[
                    ("sent_packets", "sent"),
                    ("received_packets", "received"),
                    ("forwarded_sent_packets", "forwarded_sent"),
                    ("forwarded_received_packets", "forwarded_received"),
                ],
            ),
            by(
                "mutex_network_bandwidth_bytes_per_second",
                Kind::Gauge,
                "Bytes in the last second.",
                "direction",
                &[("rate_in", "received"), ("rate_out", "sent")],
            ),
            self.bandwidth([get("rate_in"), get("rate_out")]),
            latency(&stats),
            by(
                "mutex_network_errors",
                Kind::Counter,
                "Errors by kind.",
                "kind",
                &[
                    ("resets", "reset"),
                    ("icmp_errors", "icmp"),
                    ("checksum_errors", "checksum"),
                    ("failed_connects", "failed_connect"),
                ],
            ),
            Metric::counter(
                "mutex_network_retransmitted_packets",
                "Segments that TCP sent again.",
                get("retransmitted_packets"),
            ),
            Metric::counter(
                "mutex_network_dropped_packets",
                "Packets that the kernel dropped.",
                get("drops"),
            ),
            Metric::counter(
                "mutex_network_lost_packets",
                "Dropped packets that are lost.",
                stats.losses().unwrap_or(0),
            ),
            Metric::gauge(
                "mutex_network_retransmission_ratio",
                "Segments sent again, of the packets sent in the last ten seconds.",
                Number::Float(retransmissions),
            ),
            Metric::gauge(
                "mutex_network_loss_ratio",
                "Packets lost, of those of the last ten seconds.",
                Number::Float(losses),
            ),
        ];
        if self.peers > 0 {
            let mut peers = Peers::default();
            self.proc.snapshot()?.visit(&mut peers)?;
            metrics.extend(peers.metrics(self.peers));
        }
        Ok(metrics)
    }
}

fn latency(stats: &Stats) -> Metric {
    let help = "Latency of all samples; percentiles are within 6 %.";
    let metric = Metric::new("mutex_network_latency_seconds", Kind::Gauge, help);
    if stats.get("latency_samples").unwrap_or(0) == 0 {
        return metric;
    }
    let statistics = [
        ("latency_min_ns", "min"),
        ("latency_average_ns", "average"),
        ("latency_p50_ns", "p50"),
        ("latency_p95_ns", "p95"),
        ("latency_p99_ns", "p99"),
        ("latency_max_ns", "max"),
    ];
    statistics.iter().fold(metric, |metric, (key, statistic)| match stats.get(key) {
        Some(ns) => metric.sample(&[("statistic", statistic)], Number::Nanoseconds(ns)),
        None => metric,
    })
}

/// Adds connections up by the other end's address.
#[derive(Default)]
struct Peers(HashMap<(u8, [u8; 16]), Sums>);

/// What the connections with a peer have moved, and how.
#[derive(Clone, Copy, Default)]
struct Sums {
    connections: u64,
    sent_bytes: u64,
    received_bytes: u64,
    sent_packets: u64,
    packets: u64,
    retransmitted: u64,
    losses: u64,
    latency_samples: u64,
    latency_ns: u128,
}

impl Sums {
    fn add(&mut self, other: &Sums) {
        self.connections += other.connections;
        self.sent_bytes = self.sent_bytes.wrapping_add(other.sent_bytes);
        self.received_bytes = self.received_bytes.wrapping_add(other.received_bytes);
        self.sent_packets = self.sent_packets.wrapping_add(other.sent_packets);
        self.packets = self.packets.wrapping_add(other.packets);
        self.retransmitted = self.retransmitted.wrapping_add(other.retransmitted);
        self.losses = self.losses.wrapping_add(other.losses);
        self.latency_samples = self.latency_samples.wrapping_add(other.latency_samples);
        self.latency_ns = self.latency_ns.wrapping_add(other.latency_ns);
    }

    fn of(connection: &Connection) -> Self {
        let (sent, received) = (&connection.sent, &connection.received);
        let quality = &connection.quality;
        let latency = &quality.latency;
        Sums {
            connections: 1,
            sent_bytes: sent.bytes,
            received_bytes: received.bytes,
            sent_packets: sent.packets,
            packets: sent.packets.wrapping_add(received.packets),
            retransmitted: quality.retransmitted_packets,
            losses: connection.losses(),
            latency_samples: latency.samples,
            latency_ns: u128::from(latency.samples) * u128::from(latency.average_ns),
        }
    }

    fn bytes(&self) -> u64 {
        self.sent_bytes.wrapping_add(self.received_bytes)
    }

    /// What arrived at once, of all packets.
    fn quality(&self) -> f64 {
        let lost = self.retransmitted.saturating_add(self.losses);
        (1.0 - as_float(lost) / as_float(self.packets.max(1))).max(0.0)
    }
}

impl Visitor for Peers {
    fn header(&mut self, _: &Header, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        if let Part::Connections(connections) = block.part() {
            for connection in connections {
                let peer = (connection.family, connection.remote_address);
                self.0.entry(peer).or_default().add(&Sums::of(&connection));
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const PEER_METRICS: [(&str, &str); 6] = [
    ("mutex_network_peer_connections", "Connections with a peer that are listed."),
    ("mutex_network_peer_traffic_bytes", "What they have moved."),
    ("mutex_network_peer_latency_seconds", "Average latency of their samples."),
    ("mutex_network_peer_retransmission_ratio", "Segments sent again, of the packets sent."),
    ("mutex_network_peer_losses", "Packets of theirs that were lost."),
    ("mutex_network_peer_quality_ratio", "Packets neither lost nor sent again, of all."),
];

impl Peers {
    /// The `top` peers by bytes, and all others together as `other`, so that they add up.
    fn metrics(self, top: usize) -> [Metric; 6] {
        let mut peers: Vec<_> = self.0.into_iter().collect();
        peers.sort_unstable_by_key(|(address, sums)| (std::cmp::Reverse(sums.bytes()), *address));
        let mut other = Sums::default();
        for (_, sums) in peers.iter().skip(top) {
            other.add(sums);
        }
        peers.truncate(top);
        let mut named: Vec<_> = peers
            .into_iter()
            .map(|((family, address), sums)| (Address { family, address }.to_string(), sums))
            .collect();
        named.push((String::from("other"), other));
        let mut metrics = PEER_METRICS.map(|(name, help)| Metric::new(name, Kind::Gauge, help));
        for (peer, sums) in &named {
            let of = [("peer", peer.as_str())];
            let [connections, traffic, latency, retransmissions, losses, quality] = metrics;
            let average = sums.latency_ns.checked_div(sums.latency_samples.into());
            let bytes = |metric: Metric, direction, value| {
                metric.sample(&[of[0], ("direction", direction)], Number::Integer(value))
            };
            metrics = [
                connections.sample(&of, Number::Integer(sums.connections)),
                bytes(bytes(traffic, "sent", sums.sent_bytes), "received", sums.received_bytes),
                match average.map(u64::try_from) {
                    Some(Ok(average)) => latency.sample(&of, Number::Nanoseconds(average)),
                    _ => latency,
                },
                retransmissions
                    .sample(&of, Number::Float(share(sums.retransmitted, sums.sent_packets))),
                losses.sample(&of, Number::Integer(sums.losses)),
                quality.sample(&of, Number::Float(sums.quality())),
            ];
        }
        metrics
    }
}
