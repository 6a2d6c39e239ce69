// SPDX-License-Identifier: MIT OR Apache-2.0

//! Metrics of the connections and sockets that moved most, and of all else together.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use mutex_stats::Block;
use mutex_stats::Column;
use mutex_stats::Connection;
use mutex_stats::Fd;
use mutex_stats::Fields;
use mutex_stats::Header;
use mutex_stats::HeldFd;
use mutex_stats::Holders;
use mutex_stats::OwnedConnection;
use mutex_stats::Owner;
use mutex_stats::Part;
use mutex_stats::Stats;
use mutex_stats::Traffic;
use mutex_stats::Visitor;
use mutex_stats::formats::Kind;
use mutex_stats::formats::Number;
use mutex_stats::is_forwarded;

use super::best::Best;
use crate::config::Prometheus;
use crate::part::Metrics;

/// The directions of the host's totals.
const DIRECTIONS: [&str; 4] = ["sent", "received", "forwarded_sent", "forwarded_received"];

/// Takes an image and keeps those that moved most.
pub struct Top {
    connections: Best<Connection>,
    fds: Best<Fd>,
    /// Of fds that own one of `connections`.
    owners: HashMap<u64, Option<Owner>>,
    holders: Arc<Holders>,
}

fn moved(sent: &Traffic, received: &Traffic) -> u64 {
    sent.bytes.saturating_add(received.bytes)
}

impl Top {
    /// `None` if nobody wants them.
    pub fn new(settings: &Prometheus, holders: impl FnOnce() -> Arc<Holders>) -> Option<Self> {
        let (connections, fds) = (settings.top_connections, settings.top_fds);
        (connections + fds > 0).then(|| Top {
            connections: Best::new(connections),
            fds: Best::new(fds),
            owners: HashMap::new(),
            holders: holders(),
        })
    }

    /// Writes them. What is not among them is `other`, so that in every direction the sum is the host's total as
    /// `stats` has it, which has to be younger than the image: then no connection has moved more than the host.
    ///
    /// They are gauges: `other` shrinks when one of its own becomes one of the first.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn write_metrics(
        mut self,
        metrics: &mut Metrics<'_>,
        stats: &Stats,
        settings: &Prometheus,
    ) -> io::Result<()> {
        let totals =
            DIRECTIONS.map(|direction| stats.get(&format!("{direction}_bytes")).unwrap_or(0));
        if settings.top_connections > 0 {
            let help = "IP bytes of the connections that moved most since they began; other is all else on the host.";
            metrics.family("mutex_top_connection_bytes", Kind::Gauge, help)?;
            let names = [
                "id",
                "protocol",
                "local_address",
                "local_port",
                "remote_address",
                "remote_port",
                "pid",
                "command",
            ];
            let mut family = Family::new(metrics, names, totals);
            for connection in self.connections.into_records() {
                let owner = self.owners.remove(&connection.fd).flatten();
                let directions = if is_forwarded(&connection) { [2, 3] } else { [0, 1] };
                let traffic = [connection.sent.bytes, connection.received.bytes];
                family.record(&OwnedConnection { connection, owner }, directions, traffic)?;
            }
            family.other()?;
        }
        if settings.top_fds > 0 {
            let help = "IP bytes of the sockets that moved most since they began; other is all else on the host.";
            metrics.family("mutex_top_fd_bytes", Kind::Gauge, help)?;
            let names = ["id", "protocol", "inode", "pid", "command"];
            let mut family = Family::new(metrics, names, totals);
            for fd in self.fds.into_records() {
                let traffic = [fd.sent.bytes, fd.received.bytes];
                family.record(&HeldFd { fd, holders: Vec::new() }, [0, 1], traffic)?;
            }
            family.other()?;
        }
        Ok(())
    }
}

/// A family that is being written, and what is left of the host's totals.
struct Family<'a, 'b, const N: usize> {
    metrics: &'a mut Metrics<'b>,
    names: [&'static str; N],
    left: [u64; DIRECTIONS.len()],
}

impl<'a, 'b, const N: usize> Family<'a, 'b, N> {
    fn new(
        metrics: &'a mut Metrics<'b>,
        names: [&'static str; N],
        left: [u64; DIRECTIONS.len()],
    ) -> Self {
        Family { metrics, names, left }
    }

    fn record<T: Fields + Default>(
        &mut self,
        record: &T,
        directions: [usize; 2],
        traffic: [u64; 2],
    ) -> io::Result<()> {
        let cell = |name| {
            Column::named(name)
                .map_or_else(|_| String::new(), |column| column.cell(record).to_string())
        };
        let values = self.names.map(cell);
        for (direction, bytes) in directions.into_iter().zip(traffic) {
            self.left[direction] = self.left[direction].saturating_sub(bytes);
            self.sample(values.each_ref().map(String::as_str), direction, bytes)?;
        }
        Ok(())
    }

    fn other(mut self) -> io::Result<()> {
        let mut values = [""; N];
        values[0] = "other";
        (0..DIRECTIONS.len()).try_for_each(|direction| {
            let left = self.left[direction];
            self.sample(values, direction, left)
        })
    }

    fn sample(&mut self, values: [&str; N], direction: usize, bytes: u64) -> io::Result<()> {
        let mut labels: Vec<(&str, &str)> = self.names.into_iter().zip(values).collect();
        labels.push(("direction", DIRECTIONS[direction]));
        self.metrics.sample(&labels, Number::Integer(bytes))
    }
}

impl Visitor for Top {
    fn header(&mut self, _: &Header, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::Connections(records) => {
                for one in records {
                    self.connections.add(moved(&one.sent, &one.received), one.id, || one);
                }
            }
            Part::Fds(records) => {
                if self.owners.is_empty() {
                    self.owners = self.connections.iter().map(|one| (one.fd, None)).collect();
                }
                for mut fd in records {
                    self.holders.complete(&mut fd);
                    if let Some(owner) = self.owners.get_mut(&fd.id) {
                        let Fd { inode, pid, command, .. } = fd;
                        *owner = Some(Owner { inode, pid, command, holders: Vec::new() });
                    }
                    self.fds.add(moved(&fd.sent, &fd.received), fd.id, || fd);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
