// SPDX-License-Identifier: MIT OR Apache-2.0

//! The host's rates between two samples.

use mutex_stats::Stats;
use serde::Serialize;

use super::sampler::Sample;

/// A point of the curves on the live page: how many there are, and how much a second since the sample before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    pub time_ns: u64,
    /// Time of the kernel since the sample before, which rates are of.
    pub duration_ns: u64,
    pub connections_active: u64,
    pub fds_active: u64,
    pub connections_total: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub packets: u64,
    pub sent_bytes_per_second: f64,
    pub received_bytes_per_second: f64,
    pub forwarded_bytes_per_second: f64,
    pub packets_per_second: f64,
    pub connections_per_second: f64,
    pub retransmitted_packets_per_second: f64,
    pub drops_per_second: f64,
    pub errors_per_second: f64,
    pub losses_per_second: f64,
}

/// What is kept of a sample: the numbers that points are made of. All of `stats` takes 7 KB, this 152 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; KEYS.len()]);

/// Their names in `stats`.
const KEYS: [&str; 19] = [
    "uptime_ns",
    "connections_active",
    "fds_active",
    "connections_total",
    "sent_bytes",
    "received_bytes",
    "forwarded_sent_bytes",
    "forwarded_received_bytes",
    "sent_packets",
    "received_packets",
    "forwarded_sent_packets",
    "forwarded_received_packets",
    "retransmitted_packets",
    "drops",
    "resets",
    "icmp_errors",
    "checksum_errors",
    "failed_connects",
    "losses",
];

impl Counts {
    /// 0 where the module does not say. An older module does not tell losses from other drops.
    pub fn of(stats: &Stats) -> Self {
        let instead = |key| if key == "losses" { stats.get("drops") } else { None };
        Counts(KEYS.map(|key| stats.get(key).or_else(|| instead(key)).unwrap_or(0)))
    }

    /// One of [`KEYS`].
    pub fn get(&self, key: &str) -> u64 {
        let position = KEYS.iter().position(|known| *known == key);
        debug_assert!(position.is_some(), "{key} is not kept");
        position.and_then(|at| self.0.get(at)).copied().unwrap_or(0)
    }
}

/// All packets, whichever way they went.
const PACKETS: [&str; 4] =
    ["sent_packets", "received_packets", "forwarded_sent_packets", "forwarded_received_packets"];

impl Point {
    /// The names of its members.
    pub const NAMES: [&str; 17] = [
        "time_ns",
        "duration_ns",
        "connections_active",
        "fds_active",
        "connections_total",
        "sent_bytes",
        "received_bytes",
        "packets",
        "sent_bytes_per_second",
        "received_bytes_per_second",
        "forwarded_bytes_per_second",
        "packets_per_second",
        "connections_per_second",
        "retransmitted_packets_per_second",
        "drops_per_second",
        "errors_per_second",
        "losses_per_second",
    ];

    /// What happened between the two.
    pub fn between(before: &Sample, after: &Sample) -> Self {
        // The kernel's own clock, as near to its counters as can be.
        let ns = difference(&before.counts, &after.counts, &["uptime_ns"]);
        #[expect(clippy::cast_precision_loss, reason = "rates are shown, not added up")]
        let rate = |keys: &[&str]| match ns {
            0 => 0.0,
            ns => difference(&before.counts, &after.counts, keys) as f64 * 1e9 / ns as f64,
        };
        let now = |key| after.counts.get(key);
        Point {
            time_ns: after.time_ns(),
            duration_ns: ns,
            connections_active: now("connections_active"),
            fds_active: now("fds_active"),
            connections_total: now("connections_total"),
            sent_bytes: now("sent_bytes"),
            received_bytes: now("received_bytes"),
            packets: sum(&after.counts, &PACKETS),
            sent_bytes_per_second: rate(&["sent_bytes"]),
            received_bytes_per_second: rate(&["received_bytes"]),
            forwarded_bytes_per_second: rate(&["forwarded_sent_bytes", "forwarded_received_bytes"]),
            packets_per_second: rate(&PACKETS),
            connections_per_second: rate(&["connections_total"]),
            retransmitted_packets_per_second: rate(&["retransmitted_packets"]),
            drops_per_second: rate(&["drops"]),
            errors_per_second: rate(&[
                "resets",
                "icmp_errors",
                "checksum_errors",
                "failed_connects",
            ]),
            losses_per_second: rate(&["losses"]),
        }
    }
}

/// What those have grown by, all together.
fn difference(before: &Counts, after: &Counts, keys: &[&str]) -> u64 {
    sum(after, keys).saturating_sub(sum(before, keys))
}

fn sum(counts: &Counts, keys: &[&str]) -> u64 {
    keys.iter().map(|key| counts.get(key)).fold(0u64, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn rates_are_of_the_kernels_time() {
        let sample = |text: &str, second| Sample {
            number: second,
            time: UNIX_EPOCH + Duration::from_secs(second),
            since_boot: Duration::ZERO,
            counts: Counts::of(&Stats::parse(&format!("format 1\n{text}")).expect("it is right")),
        };
        let before = sample("uptime_ns 1000000000\nsent_bytes 18446744073709551000\n", 7);
        // Two seconds of the kernel's, whatever the clock on the wall did.
        let after = sample(
            "uptime_ns 3000000000\nsent_bytes 18446744073709551400\nresets 3\ndrops 3\nlosses 1\n\
             connections_active 5\nsent_packets 3\nforwarded_received_packets 4\n",
            3,
        );
        let point = Point::between(&before, &after);
        assert!((point.sent_bytes_per_second - 200.0).abs() < 1e-9, "{point:?}");
        assert!((point.errors_per_second - 1.5).abs() < 1e-9, "{point:?}");
        assert!((point.drops_per_second - 1.5).abs() < 1e-9, "{point:?}");
        assert!((point.losses_per_second - 0.5).abs() < 1e-9, "{point:?}");
        assert_eq!((point.time_ns, point.connections_active), (3_000_000_000, 5));
        assert_eq!(point.duration_ns, 2_000_000_000);
        assert_eq!((point.sent_bytes, point.packets), (18_446_744_073_709_551_400, 7));
        let point = Point::between(&after, &after);
        assert!(point.packets_per_second.abs() < 1e-9, "{point:?}");
    }

    #[test]
    fn the_names_are_those_of_json() {
        let zero = Sample {
            number: 0,
            time: UNIX_EPOCH,
            since_boot: Duration::ZERO,
            counts: Counts::default(),
        };
        let point = serde_json::to_value(Point::between(&zero, &zero)).expect("it can be written");
        let mut names: Vec<&String> = point.as_object().expect("it is one").keys().collect();
        names.sort();
        let mut expected = Point::NAMES;
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
}
