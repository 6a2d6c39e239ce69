// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the host's network fares, by the kernel's numbers.

use serde_json::Value;
use serde_json::json;

use super::Entry;
use super::HealthStatus;
use super::Severity;
use crate::Stats;

/// From which values on a network is not healthy.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkLimits {
    /// Segments that were sent again, of all packets that were sent.
    pub retransmission_rate: f64,
    /// Packets that were lost, of all that passed.
    pub loss_rate: f64,
    /// Errors, of all packets that passed.
    pub error_rate: f64,
    /// Connections that there is no room for, of all that there is room for.
    pub table_fill: f64,
    /// The 95th percentile of latency, in nanoseconds.
    pub latency_p95_ns: u64,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        NetworkLimits {
            retransmission_rate: 0.05,
            loss_rate: 0.01,
            error_rate: 0.01,
            table_fill: 0.9,
            latency_p95_ns: 500_000_000,
        }
    }
}

/// How the host's network has fared between two looks.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkHealth {
    /// Healthy, or degraded if a limit is reached.
    pub status: HealthStatus,
    /// Which limits are reached, for people.
    pub message: String,
    /// Connections that are open.
    pub connections: u64,
    /// Packets that passed in between.
    pub packets: u64,
    /// Segments that were sent again, of all packets that were sent.
    pub retransmission_rate: f64,
    /// Packets that were lost, of all that passed.
    pub loss_rate: f64,
    /// Errors, of all packets that passed.
    pub error_rate: f64,
    /// Connections, of all that there is room for.
    pub table_fill: f64,
    /// The 95th percentile of latency since the module was loaded, in nanoseconds; `None` without a
    /// sample.
    pub latency_p95_ns: Option<u64>,
    /// Bytes received in a second.
    pub rate_in: u64,
    /// Bytes sent in a second.
    pub rate_out: u64,
}

impl NetworkHealth {
    /// Judges what has passed from `before` to `after`, two readings of the kernel's `stats`.
    #[must_use]
    pub fn between(before: &Stats, after: &Stats, limits: &NetworkLimits) -> Self {
        let now = |key: &str| after.get(key).unwrap_or(0);
        let passed = |key: &str| now(key).saturating_sub(before.get(key).unwrap_or(0));
        let sent = passed("sent_packets") + passed("forwarded_sent_packets");
        let packets = sent + passed("received_packets") + passed("forwarded_received_packets");
        let errors = ["resets", "icmp_errors", "checksum_errors", "failed_connects"];
        let [lost_before, lost] = [before, after].map(|stats| stats.losses().unwrap_or(0));
        let lost = lost.saturating_sub(lost_before);
        let latency_p95_ns = (now("latency_samples") > 0).then(|| now("latency_p95_ns"));
        let mut health = NetworkHealth {
            status: HealthStatus::Healthy,
            message: String::new(),
            connections: now("connections_active"),
            packets,
            retransmission_rate: share(passed("retransmitted_packets"), sent),
            loss_rate: share(lost, packets),
            error_rate: share(errors.map(passed).iter().sum(), packets),
            table_fill: share(now("table_used"), now("table_size")),
            latency_p95_ns,
            rate_in: now("rate_in"),
            rate_out: now("rate_out"),
        };
        let mut reached = Vec::new();
        let shares = [
            ("retransmissions", health.retransmission_rate, limits.retransmission_rate),
            ("losses", health.loss_rate, limits.loss_rate),
            ("errors", health.error_rate, limits.error_rate),
            ("the table of connections", health.table_fill, limits.table_fill),
        ];
        for (what, value, limit) in shares {
            if value >= limit {
                let (value, limit) = (value * 100.0, limit * 100.0);
                reached.push(format!("{what} at {value:.1} %, limit {limit:.1} %"));
            }
        }
        if let Some(value) = latency_p95_ns.filter(|value| *value >= limits.latency_p95_ns) {
            let (value, limit) = (value / 1000, limits.latency_p95_ns / 1000);
            reached.push(format!("latency (p95) at {value} us, limit {limit} us"));
        }
        if reached.is_empty() {
            health.message = format!("{packets} packets, no limit is reached");
        } else {
            health.status = HealthStatus::Degraded;
            health.message = reached.join("; ");
        }
        health
    }

    /// As an event to be recorded.
    #[must_use]
    pub fn to_entry(&self) -> Entry {
        let severity = match self.status {
            HealthStatus::Healthy => Severity::Info,
            _ => Severity::Warning,
        };
        let entry = Entry::custom("network_health", severity, &*self.message);
        match self.to_json() {
            Value::Object(metadata) => Entry { metadata, ..entry },
            _ => entry,
        }
    }

    /// As a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "status": self.status.name(),
            "connections": self.connections,
            "packets": self.packets,
            "retransmission_rate": self.retransmission_rate,
            "loss_rate": self.loss_rate,
            "error_rate": self.error_rate,
            "table_fill": self.table_fill,
            "latency_p95_ns": self.latency_p95_ns,
            "rate_in": self.rate_in,
            "rate_out": self.rate_out,
        })
    }
}

/// 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "it is a share")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(lines: &str) -> Stats {
        Stats::parse(&format!("format 1\n{lines}")).expect("it is the kernel's text")
    }

    #[test]
    fn what_passed_in_between_is_judged() {
        let before =
            stats("sent_packets 1000\nretransmitted_packets 500\ndrops 3\ntable_size 100\n");
        let after = stats(
            "sent_packets 1100\nreceived_packets 100\nretransmitted_packets 504\ndrops 3\n\
             table_size 100\ntable_used 89\nlatency_samples 1\nlatency_p95_ns 499999999\n",
        );
        let limits = NetworkLimits::default();
        let health = NetworkHealth::between(&before, &after, &limits);
        assert_eq!((health.status, health.packets), (HealthStatus::Healthy, 200));
        assert!((health.retransmission_rate - 0.04).abs() < 1e-12);
        assert_eq!(health.to_entry().severity, Severity::Info);

        let worse = stats(
            "sent_packets 1200\nreceived_packets 200\nretransmitted_packets 509\ndrops 5\n\
             resets 2\ntable_size 100\ntable_used 90\nlatency_samples 1\nlatency_p95_ns 500000000\n",
        );
        let health = NetworkHealth::between(&after, &worse, &limits);
        assert_eq!(
            health.message,
            "retransmissions at 5.0 %, limit 5.0 %; losses at 1.0 %, limit 1.0 %; errors at 1.0 %, \
             limit 1.0 %; the table of connections at 90.0 %, limit 90.0 %; latency (p95) at 500000 us, \
             limit 500000 us"
        );
        assert_eq!(health.to_entry().severity, Severity::Warning);
        assert_eq!(health.to_entry().metadata["table_fill"], 0.9);
    }

    #[test]
    fn nothing_is_healthy() {
        let nothing = stats("");
        let health = NetworkHealth::between(&nothing, &nothing, &NetworkLimits::default());
        assert_eq!((health.status, health.latency_p95_ns), (HealthStatus::Healthy, None));
    }
}
