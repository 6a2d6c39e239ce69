// SPDX-License-Identifier: MIT OR Apache-2.0

//! The network as an application sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use super::CollectError;
use super::Collector;
use super::HISTORY;
use super::Metric;
use super::samples::Durations;
use super::samples::Samples;
use super::samples::Spread;
use super::window::share;
use crate::Clock;
use crate::SystemClock;
use crate::formats::Kind;
use crate::formats::Number;

/// What a [`Transport`] keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportSettings {
    /// Samples of latency.
    pub latency_samples: usize,
    /// Samples of bandwidth.
    pub bandwidth_samples: usize,
    /// Peers; the one that was heard of longest ago goes for a new one.
    pub max_peers: usize,
    /// Samples of latency of each peer.
    pub peer_samples: usize,
    /// A peer that was not heard of for so long is forgotten.
    pub peer_timeout: Duration,
}

impl Default for TransportSettings {
    fn default() -> Self {
        TransportSettings {
            latency_samples: HISTORY,
            bandwidth_samples: 100,
            max_peers: 100,
            peer_samples: 100,
            peer_timeout: Duration::from_secs(5 * 60),
        }
    }
}

/// The network as an application sees it, for protocols whose round trips and peers the kernel cannot
/// know. What the kernel knows, [`Network`](super::Network) has.
pub struct Transport {
    name: String,
    clock: Arc<dyn Clock>,
    settings: TransportSettings,
    latency: Durations,
    state: Mutex<State>,
}

struct State {
    active_connections: u64,
    bandwidth: Samples,
    errors: u64,
    sent_bytes: u64,
    received_bytes: u64,
    packets: u64,
    lost: u64,
    peers: BTreeMap<String, Peer>,
}

struct Peer {
    heard: Duration,
    latency: Samples,
    packets: u64,
    lost: u64,
}

impl Transport {
    /// A collector of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Transport::with(name, TransportSettings::default(), Arc::new(SystemClock))
    }

    /// A collector with these settings that goes by this clock.
    pub fn with(
        name: impl Into<String>,
        settings: TransportSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let state = State {
            active_connections: 0,
            bandwidth: Samples::new(settings.bandwidth_samples),
            errors: 0,
            sent_bytes: 0,
            received_bytes: 0,
            packets: 0,
            lost: 0,
            peers: BTreeMap::new(),
        };
        let latency = Durations::new(settings.latency_samples);
        Transport { name: name.into(), clock, settings, latency, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many connections are open.
    pub fn set_active_connections(&self, connections: u64) {
        self.state().active_connections = connections;
    }

    /// A round trip took so long.
    pub fn latency(&self, took: Duration) {
        self.latency.add(took);
    }

    /// So many bytes went through in a second.
    pub fn bandwidth(&self, bytes_per_second: u64) {
        self.state().bandwidth.add(bytes_per_second);
    }

    /// A round trip to a peer took so long.
    pub fn peer_latency(&self, peer: &str, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        drop(self.of_peer(peer, |peer| peer.latency.add(ns)));
    }

    /// A packet went to a peer, and was lost or not.
    pub fn peer_packet(&self, peer: &str, is_lost: bool) {
        let mut state = self.of_peer(peer, |peer| {
            peer.packets += 1;
            peer.lost += u64::from(is_lost);
        });
        state.packets += 1;
        state.lost += u64::from(is_lost);
    }

    fn of_peer(&self, name: &str, change: impl FnOnce(&mut Peer)) -> MutexGuard<'_, State> {
        let heard = self.clock.monotonic();
        let mut state = self.state();
        if !state.peers.contains_key(name) {
            if state.peers.len() >= self.settings.max_peers {
                let longest = state.peers.iter().min_by_key(|(_, peer)| peer.heard);
                if let Some(name) = longest.map(|(name, _)| name.clone()) {
                    state.peers.remove(&name);
                }
            }
            let latency = Samples::new(self.settings.peer_samples);
            let peer = Peer { heard, latency, packets: 0, lost: 0 };
            state.peers.insert(name.to_owned(), peer);
        }
        if let Some(peer) = state.peers.get_mut(name) {
            peer.heard = heard;
            change(peer);
        }
        state
    }

    /// A connection has failed.
    pub fn connection_error(&self) {
        self.state().errors += 1;
    }

    /// So many bytes were sent.
    pub fn sent(&self, bytes: u64) {
        self.state().sent_bytes += bytes;
    }

    /// So many bytes were received.
    pub fn received(&self, bytes: u64) {
        self.state().received_bytes += bytes;
    }
}

impl Collector for Transport {
    fn name(&self) -> &str {
        &self.name
    }

    fn metric_names(&self) -> Vec<&str> {
        vec![
            "mutex_transport_active_connections",
            "mutex_transport_connection_errors",
            "mutex_transport_traffic_bytes",
            "mutex_transport_bandwidth_bytes_per_second",
            "mutex_transport_packets",
            "mutex_transport_packet_loss_ratio",
            "mutex_transport_latency_seconds",
            "mutex_transport_latency_recent_seconds",
            "mutex_transport_peers",
            "mutex_transport_peer_latency_seconds",
            "mutex_transport_peer_packet_loss_ratio",
        ]
    }

    fn collect(&self) -> Result<Vec<Metric>, CollectError> {
        let now = self.clock.monotonic();
        let mut metrics = self
            .latency
            .metrics(
                ["mutex_transport_latency_seconds", "mutex_transport_latency_recent_seconds"],
                ["How long round trips took.", "How long the last round trips took."],
            )
            .to_vec();
        let mut state = self.state();
        let timeout = self.settings.peer_timeout;
        state.peers.retain(|_, peer| now.saturating_sub(peer.heard) <= timeout);
        let gauge = |name, help, value| Metric::gauge(name, help, Number::Integer(value));
        let help = "Bytes in a second, of the last samples.";
        let name = "mutex_transport_bandwidth_bytes_per_second";
        let mut bandwidth = Metric::new(name, Kind::Gauge, help);
        for (statistic, value) in state.bandwidth.spread().iter().flat_map(Spread::statistics) {
            bandwidth = bandwidth.sample(&[("statistic", statistic)], Number::Integer(value));
        }
        let help = "How long the last round trips to a peer took.";
        let mut latency = Metric::new("mutex_transport_peer_latency_seconds", Kind::Gauge, help);
        let help = "Packets to a peer that were lost, of all to it.";
        let mut loss = Metric::new("mutex_transport_peer_packet_loss_ratio", Kind::Gauge, help);
        for (name, peer) in &state.peers {
            for (statistic, ns) in peer.latency.spread().iter().flat_map(Spread::statistics) {
                let labels = [("peer", name.as_str()), ("statistic", statistic)];
                latency = latency.sample(&labels, Number::Nanoseconds(ns));
            }
            if peer.packets > 0 {
                let value = Number::Float(share(peer.lost, peer.packets));
                loss = loss.sample(&[("peer", name)], value);
            }
        }
        metrics.extend([
            gauge(
                "mutex_transport_active_connections",
                "Connections that are open.",
                state.active_connections,
            ),
            Metric::counter(
                "mutex_transport_connection_errors",
                "Connections that failed.",
                state.errors,
            ),
            Metric::new("mutex_transport_traffic_bytes", Kind::Counter, "Bytes exchanged.")
                .sample(&[("direction", "sent")], Number::Integer(state.sent_bytes))
                .sample(&[("direction", "received")], Number::Integer(state.received_bytes)),
            bandwidth,
            Metric::new("mutex_transport_packets", Kind::Counter, "Packets to peers.")
                .sample(&[("result", "lost")], Number::Integer(state.lost))
                .sample(&[("result", "arrived")], Number::Integer(state.packets - state.lost)),
            Metric::gauge(
                "mutex_transport_packet_loss_ratio",
                "Packets to peers that were lost, of all.",
                Number::Float(share(state.lost, state.packets)),
            ),
            gauge("mutex_transport_peers", "Peers that are known.", state.peers.len() as u64),
            latency,
            loss,
        ]);
        Ok(metrics)
    }
}
