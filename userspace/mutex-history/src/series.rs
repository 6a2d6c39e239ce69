// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is kept of a stretch of time: how far counters went, between which values gauges were, and
//! how latency was distributed.

use mutex_stats::Totals;
use mutex_stats::Traffic;
use mutex_stats::Untracked;

use crate::Latency;
use crate::Snapshot;

/// The counters of the host by their names, which are the kernel's where it has them.
pub const COUNTERS: [&str; 31] = [
    "sent_packets",
    "sent_buffers",
    "sent_bytes",
    "sent_payload",
    "received_packets",
    "received_buffers",
    "received_bytes",
    "received_payload",
    "forwarded_sent_packets",
    "forwarded_sent_buffers",
    "forwarded_sent_bytes",
    "forwarded_sent_payload",
    "forwarded_received_packets",
    "forwarded_received_buffers",
    "forwarded_received_bytes",
    "forwarded_received_payload",
    "untracked_packets",
    "untracked_bytes",
    "retransmitted_packets",
    "retransmitted_bytes",
    "retransmissions_failed",
    "resets",
    "icmp_errors",
    "checksum_errors",
    "failed_connects",
    "drops",
    "connections_opened",
    "connections_closed",
    "alerts",
    "events_lost",
    LOSSES,
];

/// The counter that databases of the first versions lack; what they count as drops are losses.
pub(crate) const LOSSES: &str = "losses";

/// The counters that are kept for groups of connections, too.
pub const GROUP_COUNTERS: [&str; 10] = [
    "sent_packets",
    "sent_bytes",
    "received_packets",
    "received_bytes",
    "forwarded_sent_packets",
    "forwarded_sent_bytes",
    "forwarded_received_packets",
    "forwarded_received_bytes",
    "retransmitted_packets",
    "drops",
];

/// The gauges of the host by their names.
pub const GAUGES: [&str; 4] = ["connections_active", "fds_active", "table_used", "memory_bytes"];

/// A number a counter of the host, in the order of [`COUNTERS`].
pub type Counters = [u64; COUNTERS.len()];

/// A number a counter of a group, in the order of [`GROUP_COUNTERS`].
pub type GroupCounters = [u64; GROUP_COUNTERS.len()];

/// Where a counter of groups is among the host's.
pub(crate) fn of_host(counters: &Counters) -> GroupCounters {
    GROUP_COUNTERS.map(|name| place(&COUNTERS, name).map_or(0, |place| counters[place]))
}

pub(crate) fn place(names: &[&str], name: &str) -> Option<usize> {
    names.iter().position(|other| *other == name)
}

/// The values of a gauge in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
    /// The last.
    pub last: u64,
    /// All of them together; by [`Sums::samples`] it is their mean.
    pub sum: u64,
}

impl Gauge {
    fn of(value: u64) -> Self {
        Gauge { min: value, max: value, last: value, sum: value }
    }

    fn add(&mut self, later: &Gauge) {
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.last = later.last;
        self.sum = self.sum.saturating_add(later.sum);
    }
}

/// What the host did in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How long it was watched, by the clock that nobody can set.
    pub duration_ns: u64,
    /// How many snapshots end in it.
    pub samples: u64,
    /// How far the counters went, in the order of [`COUNTERS`].
    pub counters: Counters,
    /// In the order of [`GAUGES`].
    pub gauges: [Gauge; GAUGES.len()],
    /// Samples of latency.
    pub latency: Latency,
}

impl Sums {
    /// How far the counter of that name went.
    #[must_use]
    pub fn counter(&self, name: &str) -> Option<u64> {
        place(&COUNTERS, name).map(|place| self.counters[place])
    }

    /// How far it went a second; `None` where no time passed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate is rounded anyway")]
    pub fn rate(&self, name: &str) -> Option<f64> {
        let count = self.counter(name)?;
        (self.duration_ns > 0).then(|| count as f64 * 1e9 / self.duration_ns as f64)
    }

    /// The gauge of that name.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Option<Gauge> {
        place(&GAUGES, name).map(|place| self.gauges[place])
    }

    /// Adds what came later. Everything that is a sum stays exact.
    pub fn add(&mut self, later: &Sums) {
        if self.samples == 0 {
            self.gauges = later.gauges;
        } else if later.samples > 0 {
            self.gauges.iter_mut().zip(&later.gauges).for_each(|(gauge, more)| gauge.add(more));
        }
        self.duration_ns = self.duration_ns.saturating_add(later.duration_ns);
        self.samples = self.samples.saturating_add(later.samples);
        for (sum, more) in self.counters.iter_mut().zip(later.counters) {
            *sum = sum.saturating_add(more);
        }
        self.latency.add(&later.latency);
    }
}

/// The counters as they stand in a snapshot.
pub(crate) fn counters(snapshot: &Snapshot) -> Counters {
    let Snapshot { status, totals, quality, .. } = snapshot;
    let of = |t: &Traffic| [t.packets, t.buffers, t.bytes, t.payload];
    let [a, b, c, d] =
        [totals.sent, totals.received, totals.forwarded_sent, totals.forwarded_received]
            .map(|t| of(&t));
    let mut untracked = Totals::ZERO;
    snapshot.untracked.iter().for_each(|one: &Untracked| untracked.add(&one.totals));
    let untracked = untracked.fields().map(|(_, traffic)| (traffic.packets, traffic.bytes));
    let sum = |values: [u64; 4]| values.into_iter().fold(0, u64::wrapping_add);
    let rest = [
        sum(untracked.map(|(packets, _)| packets)),
        sum(untracked.map(|(_, bytes)| bytes)),
        quality.retransmitted_packets,
        quality.retransmitted_bytes,
        quality.retransmissions_failed,
        quality.resets,
        quality.icmp_errors,
        quality.checksum_errors,
        quality.failed_connects,
        quality.drops,
        status.connections_total,
        status.connections_closed,
        status.alerts_raised,
        status.events_lost,
        quality.losses(),
    ];
    let mut counters = [0; COUNTERS.len()];
    let all = [a, b, c, d].into_iter().flatten().chain(rest);
    counters.iter_mut().zip(all).for_each(|(counter, value)| *counter = value);
    counters
}

/// The gauges as they stand in a snapshot.
pub(crate) fn gauges(snapshot: &Snapshot) -> [Gauge; GAUGES.len()] {
    let status = &snapshot.status;
    [status.connections_active, status.fds_active, status.table_used, status.memory_bytes]
        .map(Gauge::of)
}
