// SPDX-License-Identifier: MIT OR Apache-2.0

//! Everything as metrics.

use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::PoisonError;

use mutex_stats::formats::Families;
use mutex_stats::formats::Kind;
use mutex_stats::formats::Number;

use crate::Interface;
use crate::Peer;
use crate::TrafficCounters;
use crate::collector::Collector;
use crate::labels::Labels;
use crate::store::StoreHealth;

/// What metrics show of a peer, copied so that a slow reader keeps nobody.
struct Row {
    labels: Arc<Labels>,
    connected: bool,
    received_bytes: u64,
    sent_bytes: u64,
    handshake_ns: u64,
    started_ns: Option<u64>,
    sessions: u64,
    restarts: u64,
    reachable: bool,
    tried: u64,
    lost: u64,
    /// Last, least, average, most, and the percentiles.
    rtt_ns: [Option<u64>; 6],
    loss: Option<f64>,
}

impl Row {
    fn new(labels: Arc<Labels>, peer: &Peer) -> Self {
        let pings = &peer.pings;
        Row {
            labels,
            connected: peer.connected,
            received_bytes: peer.received_bytes.total,
            sent_bytes: peer.sent_bytes.total,
            handshake_ns: peer.session.handshake_ns,
            started_ns: peer.session.started_ns,
            sessions: peer.session.sessions,
            restarts: peer.session.restarts,
            reachable: peer.reachable,
            tried: pings.tried,
            lost: pings.lost,
            rtt_ns: [
                pings.last().flatten(),
                pings.min_ns,
                pings.avg_ns(),
                pings.max_ns,
                pings.p95_ns(),
                pings.p99_ns(),
            ],
            loss: pings.loss(),
        }
    }

    fn id(&self) -> [(&str, &str); 2] {
        [("interface", &self.labels.interface), ("peer", &self.labels.public_key)]
    }

    fn with_address(&self) -> [(&str, &str); 4] {
        let [interface, peer] = self.id();
        [interface, peer, ("name", &self.labels.name), ("address", &self.labels.address)]
    }
}

/// The families of round trips, in the order of [`Row::rtt_ns`].
const ROUND_TRIPS: [(&str, &str); 6] = [
    ("wg_peer_ping_rtt_seconds", "Round trip of the last ping that was answered, if it was."),
    ("wg_peer_ping_rtt_min_seconds", "Shortest round trip of all pings."),
    ("wg_peer_ping_rtt_avg_seconds", "Average round trip of all pings."),
    ("wg_peer_ping_rtt_max_seconds", "Longest round trip of all pings."),
    ("wg_peer_ping_rtt_p95_seconds", "95th percentile of the newest round trips."),
    ("wg_peer_ping_rtt_p99_seconds", "99th percentile of the newest round trips."),
];

/// One of the counters of traffic.
type Part = fn(&TrafficCounters) -> u64;

pub(crate) fn write<W: Write>(collector: &Collector, families: &mut Families<W>) -> io::Result<()> {
    let settings = &collector.settings;
    let (interfaces, rows, sizes) = {
        let mut cache = collector.cache();
        let interfaces: Vec<Interface> = cache.interfaces().cloned().collect();
        let rows: Vec<Row> = cache
            .ensure_labels()
            .into_iter()
            .map(|(labels, peer)| Row::new(labels, peer))
            .collect();
        (interfaces, rows, cache.sizes())
    };
    write_interfaces(&interfaces, &rows, settings.collect_interface_data, families)?;
    write_peers(&rows, families)?;
    if settings.collect_peer_data {
        write_traffic(&rows, families)?;
    }
    if settings.use_ping_checks {
        write_pings(&rows, families)?;
        write_queue(collector, families)?;
    }
    family(families, "wg_peer_cache_peers", Kind::Gauge, "Peers in memory.", sizes.0)?;
    family(
        families,
        "wg_peer_cache_labels",
        Kind::Gauge,
        "Peers whose labels are in memory.",
        sizes.1,
    )?;
    write_health(collector, families)
}

/// A family of one sample without labels.
fn family<W: Write>(
    families: &mut Families<W>,
    name: &str,
    kind: Kind,
    help: &str,
    value: usize,
) -> io::Result<()> {
    families.family(name, kind, help)?;
    families.sample(&[], Number::Integer(value as u64))
}

fn write_interfaces<W: Write>(
    interfaces: &[Interface],
    rows: &[Row],
    traffic: bool,
    families: &mut Families<W>,
) -> io::Result<()> {
    families.family("wg_interface_info", Kind::Gauge, "An interface and its key; always 1.")?;
    for one in interfaces {
        let key = one.public_key.map(|key| key.to_string()).unwrap_or_default();
        let port = one.listen_port.to_string();
        let labels = [
            ("interface", one.name.as_str()),
            ("public_key", key.as_str()),
            ("listen_port", port.as_str()),
        ];
        families.sample(&labels, Number::Integer(1))?;
    }
    families.family("wg_interface_up", Kind::Gauge, "Whether the interface is up.")?;
    for one in interfaces {
        families.sample(&[("interface", &one.name)], Number::Integer(one.up.into()))?;
    }
    families.family("wg_interface_peers", Kind::Gauge, "Peers, connected or not.")?;
    for one in interfaces {
        for (state, connected) in [("connected", true), ("disconnected", false)] {
            let count = rows
                .iter()
                .filter(|row| row.labels.interface == one.name && row.connected == connected)
                .count();
            let labels = [("interface", one.name.as_str()), ("state", state)];
            families.sample(&labels, Number::Integer(count as u64))?;
        }
    }
    if !traffic {
        return Ok(());
    }
    let parts: [(&str, &str, Part); 4] = [
        ("wg_interface_bytes", "IP bytes inside the tunnel.", |one| one.bytes.total),
        ("wg_interface_packets", "Packets inside the tunnel.", |one| one.packets.total),
        ("wg_interface_errors", "Packets that were wrong.", |one| one.errors.total),
        ("wg_interface_dropped_packets", "Packets that were dropped.", |one| one.dropped.total),
    ];
    for (name, help, part) in parts {
        families.family(name, Kind::Counter, help)?;
        for one in interfaces {
            for (direction, counters) in [("received", &one.received), ("sent", &one.sent)] {
                let labels = [("interface", one.name.as_str()), ("direction", direction)];
                families.sample(&labels, Number::Integer(part(counters)))?;
            }
        }
    }
    Ok(())
}

fn write_peers<W: Write>(rows: &[Row], families: &mut Families<W>) -> io::Result<()> {
    families.family(
        "wg_peer_info",
        Kind::Gauge,
        "A peer, its name and the address that has answered; always 1.",
    )?;
    for row in rows {
        families.sample(&row.with_address(), Number::Integer(1))?;
    }
    families.family(
        "wg_peer_connection_state",
        Kind::Gauge,
        "Whether the peer is connected: it has a session, or its last ping was answered.",
    )?;
    for row in rows {
        families.sample(&row.id(), Number::Integer(row.connected.into()))?;
    }
    Ok(())
}

fn write_traffic<W: Write>(rows: &[Row], families: &mut Families<W>) -> io::Result<()> {
    families.family("wg_peer_bytes", Kind::Counter, "Bytes of the tunnel, over all sessions.")?;
    for row in rows {
        let [interface, peer] = row.id();
        for (direction, bytes) in [("received", row.received_bytes), ("sent", row.sent_bytes)] {
            families
                .sample(&[interface, peer, ("direction", direction)], Number::Integer(bytes))?;
        }
    }
    families.family(
        "wg_peer_last_handshake_timestamp_seconds",
        Kind::Gauge,
        "When the last handshake was; 0 if there was none.",
    )?;
    for row in rows {
        families.sample(&row.id(), Number::Nanoseconds(row.handshake_ns))?;
    }
    families.family(
        "wg_peer_session_start_timestamp_seconds",
        Kind::Gauge,
        "When the session began that the peer has, if it has one.",
    )?;
    for row in rows {
        if let Some(started_ns) = row.started_ns {
            families.sample(&row.id(), Number::Nanoseconds(started_ns))?;
        }
    }
    families.family("wg_peer_sessions", Kind::Counter, "Sessions that have begun.")?;
    for row in rows {
        families.sample(&row.id(), Number::Integer(row.sessions))?;
    }
    families.family(
        "wg_peer_session_restarts",
        Kind::Counter,
        "Sessions that have begun in place of another one.",
    )?;
    for row in rows {
        families.sample(&row.id(), Number::Integer(row.restarts))?;
    }
    Ok(())
}

fn write_pings<W: Write>(rows: &[Row], families: &mut Families<W>) -> io::Result<()> {
    families.family(
        "wg_peer_ping_success",
        Kind::Gauge,
        "Whether the last ping was answered. The address is empty before the first answer.",
    )?;
    for row in rows {
        families.sample(&row.with_address(), Number::Integer(row.reachable.into()))?;
    }
    families.family("wg_peer_pings", Kind::Counter, "Pings by their result.")?;
    for row in rows {
        let [interface, peer] = row.id();
        for (result, count) in [("answered", row.tried - row.lost), ("lost", row.lost)] {
            families.sample(&[interface, peer, ("result", result)], Number::Integer(count))?;
        }
    }
    for (at, (name, help)) in ROUND_TRIPS.into_iter().enumerate() {
        families.family(name, Kind::Gauge, help)?;
        for row in rows {
            if let Some(rtt_ns) = row.rtt_ns[at] {
                families.sample(&row.id(), Number::Nanoseconds(rtt_ns))?;
            }
        }
    }
    families.family(
        "wg_peer_ping_loss_ratio",
        Kind::Gauge,
        "Which part of the newest pings was lost, from 0 to 1.",
    )?;
    for row in rows {
        if let Some(loss) = row.loss {
            families.sample(&row.id(), Number::Float(loss))?;
        }
    }
    Ok(())
}

fn write_queue<W: Write>(collector: &Collector, families: &mut Families<W>) -> io::Result<()> {
    let counts = collector.queue.counts();
    families.family(
        "wg_ping_checks",
        Kind::Counter,
        "Checks that were due: queued; overflowed, for the queue was full; overdue, for the last one had not been made.",
    )?;
    let results =
        [("queued", counts.queued), ("overflowed", counts.overflowed), ("overdue", counts.overdue)];
    for (result, count) in results {
        families.sample(&[("result", result)], Number::Integer(count))?;
    }
    let workers = collector.settings.ping_check_workers;
    family(
        families,
        "wg_ping_queue_checks",
        Kind::Gauge,
        "Checks that wait for a worker.",
        counts.waiting,
    )?;
    family(families, "wg_ping_workers", Kind::Gauge, "Ping workers.", workers)?;
    family(
        families,
        "wg_ping_workers_busy",
        Kind::Gauge,
        "Ping workers that wait for an answer.",
        counts.running,
    )
}

fn write_health<W: Write>(collector: &Collector, families: &mut Families<W>) -> io::Result<()> {
    let health = collector.health();
    let is_well = usize::from(health.kernel.is_none());
    family(
        families,
        "wg_kernel_up",
        Kind::Gauge,
        "Whether the kernel tells of WireGuard.",
        is_well,
    )?;
    if let Some(database) = &health.database {
        write_database(database, families)?;
    }
    let (Some(fanout), Some(protocol)) = (&health.fanout, &collector.protocol) else {
        return Ok(());
    };
    let connected = usize::from(fanout.connected);
    family(families, "wg_fanout_up", Kind::Gauge, "Whether there is a message server.", connected)?;
    family(
        families,
        "wg_fanout_waiting_events",
        Kind::Gauge,
        "Events that the message server has not confirmed.",
        fanout.waiting,
    )?;
    let counters = [
        ("wg_fanout_published_events", "Events of this node.", fanout.published),
        ("wg_fanout_lost_events", "Events of this node that found no room to wait.", fanout.lost),
        ("wg_fanout_received_events", "Events of other nodes.", fanout.received),
        ("wg_fanout_gaps", "How often something was missed and asked for.", fanout.gaps),
        ("wg_fanout_reconnects", "How often the message server came back.", fanout.reconnects),
        ("wg_fanout_unsent_messages", "Messages that the server does not take.", fanout.unsent),
        (
            "wg_remote_peers_left_out",
            "How often a peer of another node found no room (fanout.max_peers).",
            fanout.left_out,
        ),
    ];
    for (name, help, count) in counters {
        families.family(name, Kind::Counter, help)?;
        families.sample(&[], Number::Integer(count))?;
    }
    families.family(
        "wg_fanout_refused_messages",
        Kind::Counter,
        "Messages that were refused: other_node, for they spoke for another node than their subject; malformed; \
         node_limit, for there are fanout.max_nodes already; answer_limit, for the node asks too often.",
    )?;
    let refused = [
        ("other_node", fanout.refused.other_node),
        ("malformed", fanout.refused.malformed),
        ("node_limit", fanout.refused.node_limit),
        ("answer_limit", fanout.refused.answer_limit),
    ];
    for (reason, count) in refused {
        families.sample(&[("reason", reason)], Number::Integer(count))?;
    }
    families.family(
        "wg_fanout_refused_names",
        Kind::Counter,
        "What other nodes say of peers and was refused: ahead, for it is more than 10 minutes ahead of this host's clock; \
         no_room, for there are fanout.max_names already.",
    )?;
    for (reason, count) in
        [("ahead", fanout.statements_ahead), ("no_room", fanout.statements_no_room)]
    {
        families.sample(&[("reason", reason)], Number::Integer(count))?;
    }
    families.family("wg_remote_peers", Kind::Gauge, "Peers of other nodes, connected or not.")?;
    let nodes = protocol.lock().unwrap_or_else(PoisonError::into_inner).nodes().clone();
    for (name, node) in &nodes {
        for (state, connected) in [("connected", true), ("disconnected", false)] {
            let count = node.peers.values().filter(|up| **up == connected).count();
            let labels = [("node", name.as_str()), ("state", state)];
            families.sample(&labels, Number::Integer(count as u64))?;
        }
    }
    Ok(())
}

fn write_database<W: Write>(health: &StoreHealth, families: &mut Families<W>) -> io::Result<()> {
    let is_well = usize::from(health.trouble.is_none());
    family(families, "wg_database_up", Kind::Gauge, "Whether the database can be used.", is_well)?;
    family(
        families,
        "wg_database_waiting_rows",
        Kind::Gauge,
        "Results and sessions that wait to be written.",
        health.waiting,
    )?;
    let counters = [
        ("wg_database_lost_rows", "Results and sessions that found no room to wait.", health.lost),
        ("wg_database_commits", "Transactions that were written.", health.commits),
        ("wg_database_failures", "Attempts to write that failed.", health.failures),
        ("wg_database_corruptions", "Damaged files that were put aside.", health.corrupted),
    ];
    for (name, help, count) in counters {
        families.family(name, Kind::Counter, help)?;
        families.sample(&[], Number::Integer(count))?;
    }
    Ok(())
}
