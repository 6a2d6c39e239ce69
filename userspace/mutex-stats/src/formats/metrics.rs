// SPDX-License-Identifier: MIT OR Apache-2.0

//! The host's numbers as metrics: Prometheus' text format 0.0.4, and `OpenMetrics` 1.0.

use std::io;
use std::io::Write;

use super::Families;
use super::Kind;
use super::Number;
use crate::Stats;

/// A family of metrics: its name without the suffix that counters have, and where its numbers are.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    from: From,
}

/// Which of the kernel's keys a family is made of.
enum From {
    /// One key, without a label.
    Key(&'static str),
    /// Several keys, each with the value of the label.
    Keys(&'static str, &'static [(&'static str, &'static str)]),
    /// Every key that begins and ends so; what is between is the value of the label.
    Between(&'static str, &'static str, &'static str),
}

const fn counter(name: &'static str, from: From, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help, from }
}

const fn gauge(name: &'static str, from: From, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help, from }
}

macro_rules! directions {
    ($prefix:literal, $counter:literal) => {
        From::Keys(
            "direction",
            &[
                (concat!($prefix, "sent_", $counter), "sent"),
                (concat!($prefix, "received_", $counter), "received"),
                (concat!($prefix, "forwarded_sent_", $counter), "forwarded_sent"),
                (concat!($prefix, "forwarded_received_", $counter), "forwarded_received"),
            ],
        )
    };
}

const FAMILIES: [Family; 51] = [
    counter("mutex_packets", directions!("", "packets"), "Packets, as on the wire."),
    counter("mutex_buffers", directions!("", "buffers"), "Socket buffers, super-packets as one."),
    counter("mutex_traffic_bytes", directions!("", "bytes"), "IP bytes, headers included."),
    counter(
        "mutex_payload_bytes",
        directions!("", "payload"),
        "Bytes that the transport carried, retransmissions included.",
    ),
    counter(
        "mutex_closed_packets",
        directions!("closed_", "packets"),
        "Packets of connections that are no longer listed.",
    ),
    counter(
        "mutex_closed_buffers",
        directions!("closed_", "buffers"),
        "Socket buffers of connections that are no longer listed.",
    ),
    counter(
        "mutex_closed_bytes",
        directions!("closed_", "bytes"),
        "IP bytes of connections that are no longer listed.",
    ),
    counter(
        "mutex_closed_payload_bytes",
        directions!("closed_", "payload"),
        "Payload of connections that are no longer listed.",
    ),
    counter(
        "mutex_untracked_packets",
        From::Between("untracked_", "_packets", "reason"),
        "Packets that belong to no connection, all directions together.",
    ),
    counter(
        "mutex_untracked_buffers",
        From::Between("untracked_", "_buffers", "reason"),
        "Socket buffers that belong to no connection, all directions together.",
    ),
    counter(
        "mutex_untracked_bytes",
        From::Between("untracked_", "_bytes", "reason"),
        "IP bytes that belong to no connection, all directions together.",
    ),
    counter(
        "mutex_untracked_payload_bytes",
        From::Between("untracked_", "_payload", "reason"),
        "Payload that belongs to no connection, all directions together.",
    ),
    gauge("mutex_uptime_seconds", From::Key("uptime_ns"), "Since the module was loaded."),
    gauge("mutex_connections", From::Key("connections_active"), "Connections that are open."),
    counter("mutex_connections_opened", From::Key("connections_total"), "Connections opened."),
    counter("mutex_connections_ended", From::Key("connections_closed"), "Connections ended."),
    counter(
        "mutex_connections_ended_early",
        From::Key("connections_early"),
        "Unanswered connections that were ended early to make room.",
    ),
    gauge("mutex_fds", From::Key("fds_active"), "Sockets with at least one open connection."),
    counter("mutex_fds_seen", From::Key("fds_total"), "Sockets seen."),
    counter(
        "mutex_fds_untracked",
        From::Key("fds_untracked"),
        "Connections whose socket found no room.",
    ),
    counter(
        "mutex_lookups",
        From::Keys("cache", &[("cache_hits", "hit"), ("cache_misses", "miss")]),
        "Packets by whether the cache of a CPU knew their connection.",
    ),
    gauge(
        "mutex_table_records",
        From::Keys("table", &[("table_size", "connections"), ("fd_table_size", "fds")]),
        "Records of a table.",
    ),
    gauge(
        "mutex_table_records_used",
        From::Keys("table", &[("table_used", "connections"), ("fd_table_used", "fds")]),
        "Records of a table that are in use.",
    ),
    gauge(
        "mutex_table_records_high_water",
        From::Keys("table", &[("table_high_water", "connections"), ("fd_table_high_water", "fds")]),
        "The most records of a table that were ever in use.",
    ),
    gauge("mutex_memory_bytes", From::Key("memory_bytes"), "Memory of the tables."),
    gauge("mutex_connection_memory_bytes", From::Key("connection_bytes"), "Memory a connection."),
    gauge("mutex_under_pressure", From::Key("under_pressure"), "1 while records are scarce."),
    counter(
        "mutex_latency_unplaced",
        From::Key("latency_unplaced"),
        "Samples of latency that found no room in a connection's histogram.",
    ),
    counter("mutex_alerts_raised", From::Key("alerts_raised"), "Alerts raised."),
    counter(
        "mutex_alerts_overwritten",
        From::Key("alerts_overwritten"),
        "Alerts that nobody can read any more.",
    ),
    counter(
        "mutex_alerts_suppressed",
        From::Key("alerts_suppressed"),
        "Alerts about connections and fds that were not raised, because of the limit of a minute.",
    ),
    gauge("mutex_monitors", From::Key("monitors"), "Open files of events."),
    gauge(
        "mutex_packet_monitors",
        From::Key("packet_monitors"),
        "Open files of events that want packets.",
    ),
    counter("mutex_events_produced", From::Key("events_produced"), "Events for all monitors."),
    counter(
        "mutex_events_lost",
        From::Key("events_lost"),
        "Events that a monitor was too slow for.",
    ),
    counter("mutex_latency_samples", From::Key("latency_samples"), "Samples of latency."),
    gauge(
        "mutex_latency_seconds",
        From::Keys(
            "statistic",
            &[
                ("latency_last_ns", "last"),
                ("latency_average_ns", "average"),
                ("latency_min_ns", "min"),
                ("latency_max_ns", "max"),
                ("latency_p50_ns", "p50"),
                ("latency_p95_ns", "p95"),
                ("latency_p99_ns", "p99"),
            ],
        ),
        "Latency of all samples; percentiles are within 6 %.",
    ),
    counter(
        "mutex_retransmitted_packets",
        From::Key("retransmitted_packets"),
        "Segments that TCP sent again.",
    ),
    counter(
        "mutex_retransmitted_bytes",
        From::Key("retransmitted_bytes"),
        "Payload in segments that TCP sent again.",
    ),
    counter(
        "mutex_retransmissions_failed",
        From::Key("retransmissions_failed"),
        "Segments that TCP could not send again.",
    ),
    counter(
        "mutex_errors",
        From::Keys(
            "kind",
            &[
                ("resets", "reset"),
                ("icmp_errors", "icmp"),
                ("checksum_errors", "checksum"),
                ("failed_connects", "failed_connect"),
            ],
        ),
        "Errors by kind.",
    ),
    counter("mutex_dropped_packets", From::Key("drops"), "Packets that the kernel dropped."),
    counter(
        "mutex_drops",
        From::Between("drop_", "", "reason"),
        "Packets that the kernel dropped, by its reason.",
    ),
    counter("mutex_lost_packets", From::Key("losses"), "Dropped packets that are lost."),
    counter(
        "mutex_losses",
        From::Between("loss_", "", "reason"),
        "Dropped packets that are lost, by the kernel's reason.",
    ),
    counter(
        "mutex_discarded_packets",
        From::Key("discards"),
        "Dropped packets that no receiver misses.",
    ),
    counter(
        "mutex_discards",
        From::Between("discard_", "", "reason"),
        "Dropped packets that no receiver misses, by the kernel's reason.",
    ),
    gauge("mutex_receive_bytes_per_second", From::Key("rate_in"), "Received in the last second."),
    gauge("mutex_send_bytes_per_second", From::Key("rate_out"), "Sent in the last second."),
    gauge(
        "mutex_receive_peak_bytes_per_second",
        From::Key("peak_in"),
        "The most that was received in a second.",
    ),
    gauge(
        "mutex_send_peak_bytes_per_second",
        From::Key("peak_out"),
        "The most that was sent in a second.",
    ),
];

/// Writes the host's numbers, and nothing of its connections. Counters are as in the kernel, times
/// are seconds. What the kernel does not give is left out, as is latency without a sample.
///
/// # Errors
///
/// Whatever the output gives.
pub fn write_metrics<W: Write>(families: &mut Families<W>, stats: &Stats) -> io::Result<()> {
    for family in &FAMILIES {
        let samples = samples(family, stats);
        if samples.is_empty() {
            continue;
        }
        families.family(family.name, family.kind, family.help)?;
        for (label, value) in samples {
            let value = if family.name.ends_with("_seconds") {
                Number::Nanoseconds(value)
            } else {
                Number::Integer(value)
            };
            families.sample(label.as_slice(), value)?;
        }
    }
    Ok(())
}

type Sample<'a> = (Option<(&'a str, &'a str)>, u64);

fn samples<'a>(family: &Family, stats: &'a Stats) -> Vec<Sample<'a>> {
    let no_latency = stats.get("latency_samples").unwrap_or(0) == 0;
    match family.from {
        _ if family.name == "mutex_latency_seconds" && no_latency => Vec::new(),
        From::Key(key) => stats.get(key).map(|value| (None, value)).into_iter().collect(),
        From::Keys(label, keys) => keys
            .iter()
            .filter_map(|&(key, name)| Some((Some((label, name)), stats.get(key)?)))
            .collect(),
        From::Between(start, end, label) => stats
            .iter()
            .filter_map(|(key, value)| {
                Some((Some((label, key.strip_prefix(start)?.strip_suffix(end)?)), value))
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Exposition;

    fn text(exposition: Exposition, stats: &str) -> String {
        let stats = Stats::parse(stats).expect("it is the kernel's text");
        let mut families = Families::new(Vec::new(), exposition);
        write_metrics(&mut families, &stats).expect("a vector takes everything");
        let text = families.finish().expect("a vector takes everything");
        String::from_utf8(text).expect("it is text")
    }

    const STATS: &str = "format 1\nuptime_ns 1500000000\nsent_bytes 18446744073709551615\n\
                         untracked_table_full_packets 3\ndrop_no_socket 4\nlatency_samples 1\n\
                         latency_p50_ns 1062500\n";

    #[test]
    fn prometheus_text() {
        assert_eq!(
            text(Exposition::Prometheus, STATS),
            "# HELP mutex_traffic_bytes_total IP bytes, headers included.\n\
             # TYPE mutex_traffic_bytes_total counter\n\
             mutex_traffic_bytes_total{direction=\"sent\"} 18446744073709551615\n\
             # HELP mutex_untracked_packets_total Packets that belong to no connection, all \
             directions together.\n\
             # TYPE mutex_untracked_packets_total counter\n\
             mutex_untracked_packets_total{reason=\"table_full\"} 3\n\
             # HELP mutex_uptime_seconds Since the module was loaded.\n\
             # TYPE mutex_uptime_seconds gauge\n\
             mutex_uptime_seconds 1.5\n\
             # HELP mutex_latency_samples_total Samples of latency.\n\
             # TYPE mutex_latency_samples_total counter\n\
             mutex_latency_samples_total 1\n\
             # HELP mutex_latency_seconds Latency of all samples; percentiles are within 6 %.\n\
             # TYPE mutex_latency_seconds gauge\n\
             mutex_latency_seconds{statistic=\"p50\"} 0.0010625\n\
             # HELP mutex_drops_total Packets that the kernel dropped, by its reason.\n\
             # TYPE mutex_drops_total counter\n\
             mutex_drops_total{reason=\"no_socket\"} 4\n"
        );
    }

    #[test]
    fn openmetrics_text() {
        let text = text(Exposition::OpenMetrics, "format 1\nsent_bytes 5\nlatency_p50_ns 1\n");
        assert_eq!(
            text,
            "# HELP mutex_traffic_bytes IP bytes, headers included.\n\
             # TYPE mutex_traffic_bytes counter\n\
             # UNIT mutex_traffic_bytes bytes\n\
             mutex_traffic_bytes_total{direction=\"sent\"} 5\n# EOF\n"
        );
    }
}
