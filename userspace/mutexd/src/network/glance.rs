// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the live page lists: who moves most right now, how latency is distributed, the last alerts.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use mutex_stats::Alert;
use mutex_stats::Block;
use mutex_stats::Cell;
use mutex_stats::Column;
use mutex_stats::Connection;
use mutex_stats::Dropped;
use mutex_stats::Fd;
use mutex_stats::Fields;
use mutex_stats::Header;
use mutex_stats::Holders;
use mutex_stats::HostQuality;
use mutex_stats::OwnedConnection;
use mutex_stats::Owner;
use mutex_stats::Part;
use mutex_stats::Visitor;
use mutex_stats::alert_message;
use mutex_stats::command_text;
use mutex_stats::drop_name;
use mutex_stats::scope_name;
use mutex_stats::severity_name;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::best::Best;

/// Fields of a connection that are shown.
const FIELDS: [&str; 17] = [
    "id",
    "protocol",
    "state",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "pid",
    "command",
    "rate_in",
    "rate_out",
    "received_bytes",
    "sent_bytes",
    "latency_average_ns",
    "retransmitted_packets",
    "drops",
    "losses",
];

/// Takes an image.
pub struct Glance {
    rows: usize,
    holders: Arc<Holders>,
    time_ns: u64,
    connections: Best<Connection>,
    owners: HashMap<u64, Option<Owner>>,
    processes: HashMap<(u32, [u8; 16]), Process>,
    /// Samples of the host's latency, by octave.
    latency: Vec<(u32, u64)>,
    quality: HostQuality,
    drops: Vec<Dropped>,
    alerts: Vec<Alert>,
}

/// What the sockets of a process move.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    sockets: u64,
    connections: u64,
    rate_in: u64,
    rate_out: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

impl Glance {
    /// With so many rows at most in each list.
    pub fn new(rows: usize, holders: Arc<Holders>) -> Self {
        Glance {
            rows,
            holders,
            time_ns: 0,
            connections: Best::new(rows),
            owners: HashMap::new(),
            processes: HashMap::new(),
            latency: Vec::new(),
            quality: HostQuality::default(),
            drops: Vec::new(),
            alerts: Vec::new(),
        }
    }

    /// What there is to show.
    pub fn into_json(mut self) -> Value {
        let columns: Vec<Column<OwnedConnection>> =
            FIELDS.iter().filter_map(|name| Column::named(name).ok()).collect();
        let connections: Vec<Value> = self
            .connections
            .into_records()
            .into_iter()
            .map(|connection| {
                let owner = self.owners.get(&connection.fd).cloned().flatten();
                object(&columns, &OwnedConnection { connection, owner })
            })
            .collect();
        let mut processes = Best::new(self.rows);
        for ((pid, command), sum) in self.processes {
            let key =
                now_then_before(sum.rate_in, sum.rate_out, sum.received_bytes, sum.sent_bytes);
            processes.add(key, pid.into(), || {
                json!({
                    "pid": pid,
                    "command": command_text(&command),
                    "sockets": sum.sockets,
                    "connections": sum.connections,
                    "rate_in": sum.rate_in,
                    "rate_out": sum.rate_out,
                    "received_bytes": sum.received_bytes,
                    "sent_bytes": sum.sent_bytes,
                })
            });
        }
        self.latency.sort_unstable();
        // Also octaves in between that have none, so that a distribution has its form.
        let ends = self.latency.first().zip(self.latency.last());
        let octaves = ends.into_iter().flat_map(|((first, _), (last, _))| *first..=*last.min(&63));
        let latency: Vec<Value> = octaves
            .map(|octave| {
                let of_it = self.latency.iter().filter(|(other, _)| *other == octave);
                let samples = of_it.fold(0u64, |sum, (_, more)| sum.saturating_add(*more));
                // The first begins at 0.
                let end = 2000u64.checked_shl(octave).unwrap_or(u64::MAX);
                json!({ "from_ns": if octave == 0 { 0 } else { end / 2 }, "to_ns": end, "samples": samples })
            })
            .collect();
        let percentiles = &self.quality.latency;
        self.drops.sort_by_key(|drop| std::cmp::Reverse((drop.losses(), drop.packets)));
        let drops = self.drops.iter().take(self.rows).map(|dropped| {
            let reason = drop_name(dropped).unwrap_or_else(|| dropped.reason.to_string());
            json!({ "reason": reason, "packets": dropped.packets, "losses": dropped.losses() })
        });
        let newest = self.alerts.iter().rev().take(self.rows).map(|alert| {
            json!({
                "number": alert.number,
                "time_ns": alert.time_ns,
                "severity": severity_name(alert.severity),
                "message": alert_message(alert),
            })
        });
        json!({
            "time_ns": self.time_ns,
            "connections": connections,
            "processes": processes.into_records(),
            "latency": {
                "samples": percentiles.samples,
                "p50_ns": percentiles.p50_ns,
                "p95_ns": percentiles.p95_ns,
                "p99_ns": percentiles.p99_ns,
                "buckets": latency,
            },
            "drops": drops.collect::<Vec<_>>(),
            "alerts": newest.collect::<Vec<_>>(),
        })
    }
}

/// An order in which what moves comes before what has moved, as one number: rates are few bits of it, and count more.
fn now_then_before(rate_in: u64, rate_out: u64, received: u64, sent: u64) -> u64 {
    let rate = rate_in.saturating_add(rate_out);
    let bytes = received.saturating_add(sent);
    match rate {
        0 => bytes >> 2,
        rate => (1 << 63) | (rate >> 1),
    }
}

fn object<T: Fields + Default>(columns: &[Column<T>], record: &T) -> Value {
    let members = columns.iter().map(|column| {
        let value = match column.cell(record) {
            Cell::Integer(integer) => integer.into(),
            Cell::Text(text) => text.into(),
            Cell::Unknown => Value::Null,
        };
        (column.name().to_owned(), value)
    });
    Value::Object(members.collect::<Map<_, _>>())
}

impl Visitor for Glance {
    fn header(&mut self, header: &Header, _: &[u8]) -> io::Result<()> {
        self.time_ns = header.time_ns;
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::Connections(records) => {
                for one in records {
                    let quality = &one.quality;
                    let key = now_then_before(
                        quality.rate_in,
                        quality.rate_out,
                        one.received.bytes,
                        one.sent.bytes,
                    );
                    self.connections.add(key, one.id, || one);
                }
            }
            Part::Fds(records) => {
                if self.owners.is_empty() {
                    self.owners = self.connections.iter().map(|one| (one.fd, None)).collect();
                }
                for mut fd in records {
                    self.holders.complete(&mut fd);
                    let Fd { id, inode, pid, command, .. } = fd;
                    if let Some(owner) = self.owners.get_mut(&id) {
                        *owner = Some(Owner { inode, pid, command, holders: Vec::new() });
                    }
                    let sum = self.processes.entry((pid, command)).or_default();
                    sum.sockets += 1;
                    sum.connections = sum.connections.saturating_add(fd.active_connections);
                    sum.rate_in = sum.rate_in.saturating_add(fd.quality.rate_in);
                    sum.rate_out = sum.rate_out.saturating_add(fd.quality.rate_out);
                    sum.received_bytes = sum.received_bytes.saturating_add(fd.received.bytes);
                    sum.sent_bytes = sum.sent_bytes.saturating_add(fd.sent.bytes);
                }
            }
            Part::Latency(records) => {
                for one in records {
                    if u8::try_from(one.scope).map(scope_name) == Ok("global") {
                        let samples =
                            one.samples.iter().fold(0u64, |sum, more| sum.saturating_add(*more));
                        self.latency.push((one.octave, samples));
                    }
                }
            }
            Part::Quality(quality) => self.quality = quality,
            Part::Drops(records) => self.drops.extend(records),
            Part::Alerts(records) => self.alerts.extend(records),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_has_all_octaves_between_its_ends() {
        let of = |latency: &[(u32, u64)]| {
            let mut glance =
                Glance::new(5, Arc::new(Holders::when_needed("/nonexistent".as_ref())));
            glance.latency.extend(latency);
            let shown = glance.into_json();
            let buckets = shown["latency"]["buckets"].as_array().expect("it is a list").clone();
            let number = |bucket: &Value, name: &str| bucket[name].as_u64().expect("it is one");
            let each = |bucket| ["from_ns", "to_ns", "samples"].map(|name| number(bucket, name));
            buckets.iter().map(each).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), [[0; 3]; 0]);
        assert_eq!(
            of(&[(2, 7), (0, 1), (2, 1)]),
            [[0, 2_000, 1], [2_000, 4_000, 0], [4_000, 8_000, 8]]
        );
        // Of no kernel that there is.
        assert!(of(&[(u32::MAX, 1), (60, 1)]).len() < 10);
    }
}
