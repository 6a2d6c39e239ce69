// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is needed of an image.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use mutex_core::abi::MUTEX_SCOPE_GLOBAL;
use mutex_stats::Alert;
use mutex_stats::Block;
use mutex_stats::Connection;
use mutex_stats::Fd;
use mutex_stats::Header;
use mutex_stats::Holders;
use mutex_stats::HostQuality;
use mutex_stats::Image;
use mutex_stats::OwnedConnection;
use mutex_stats::Owner;
use mutex_stats::Part;
use mutex_stats::Quality;
use mutex_stats::Status;
use mutex_stats::Summary;
use mutex_stats::Totals;
use mutex_stats::Traffic;
use mutex_stats::Untracked;
use mutex_stats::Visitor;

use crate::Latency;

/// Takes an image and keeps what [`History::record`](crate::History::record) wants of it: 128 bytes a
/// connection and 28 an fd.
///
/// Made of a [`Summary`] it has no connections, so that all traffic is in the group of all others.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When and where it was taken.
    pub header: Header,
    /// The module's own numbers.
    pub status: Status,
    /// The host's traffic after everything else was copied.
    pub totals: Totals,
    /// How well the whole host fares.
    pub quality: HostQuality,
    /// What belongs to no connection, by reason.
    pub untracked: Vec<Untracked>,
    /// The alerts that are kept, the oldest first.
    pub alerts: Vec<Alert>,
    pub(crate) latency: Latency,
    pub(crate) connections: Vec<Seen>,
    owners: HashMap<u64, (u32, [u8; 16])>,
    /// What completes and corrects processes.
    completing: Option<Arc<Holders>>,
}

/// What is needed of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub id: u64,
    /// Packets and bytes sent, packets and bytes received, retransmitted packets, drops.
    pub counters: [u64; 6],
    fd: u64,
    cgroup: u64,
    remote_address: [u8; 16],
    netns: u32,
    uid: u32,
    pub flags: u32,
    local_port: u16,
    remote_port: u16,
    family: u8,
    protocol: u8,
}

impl Seen {
    fn of(connection: &Connection) -> Self {
        let Connection { sent, received, quality, .. } = connection;
        Seen {
            id: connection.id,
            counters: [
                sent.packets,
                sent.bytes,
                received.packets,
                received.bytes,
                quality.retransmitted_packets,
                quality.drops,
            ],
            fd: connection.fd,
            cgroup: connection.cgroup,
            remote_address: connection.remote_address,
            netns: connection.netns,
            uid: connection.uid,
            flags: connection.flags,
            local_port: connection.local_port,
            remote_port: connection.remote_port,
            family: connection.family,
            protocol: connection.protocol,
        }
    }
}

impl Snapshot {
    /// Completes and corrects what the kernel says of processes, which has to be that of this moment.
    #[must_use]
    pub fn completed_by(holders: Arc<Holders>) -> Self {
        Snapshot { completing: Some(holders), ..Snapshot::default() }
    }

    /// A connection that has these counters, with its owner.
    pub(crate) fn owned(&self, seen: &Seen, counters: [u64; 6]) -> OwnedConnection {
        let traffic = |packets, bytes| Traffic { packets, bytes, ..Traffic::ZERO };
        let [sent_packets, sent, received_packets, received, retransmitted_packets, drops] =
            counters;
        let connection = Connection {
            id: seen.id,
            fd: seen.fd,
            cgroup: seen.cgroup,
            remote_address: seen.remote_address,
            netns: seen.netns,
            uid: seen.uid,
            flags: seen.flags,
            local_port: seen.local_port,
            remote_port: seen.remote_port,
            family: seen.family,
            protocol: seen.protocol,
            sent: traffic(sent_packets, sent),
            received: traffic(received_packets, received),
            quality: Quality { retransmitted_packets, drops, ..Quality::default() },
            ..Connection::default()
        };
        let owner = self.owners.get(&seen.fd);
        let owner = owner.map(|&(pid, command)| Owner { pid, command, ..Owner::default() });
        OwnedConnection { connection, owner }
    }

    fn add_fd(&mut self, fd: &Fd) {
        let mut fd = *fd;
        if let Some(holders) = &self.completing {
            holders.complete(&mut fd);
        }
        if fd.pid != 0 {
            self.owners.insert(fd.id, (fd.pid, fd.command));
        }
    }
}

impl From<&Summary> for Snapshot {
    fn from(summary: &Summary) -> Self {
        Snapshot::from(&summary.image)
    }
}

impl From<&Image> for Snapshot {
    fn from(image: &Image) -> Self {
        let mut snapshot = Snapshot {
            header: image.header,
            status: image.status,
            totals: image.totals_after,
            quality: image.quality,
            untracked: image.untracked.clone(),
            alerts: image.alerts.clone(),
            connections: image.connections.iter().map(Seen::of).collect(),
            ..Snapshot::default()
        };
        let of_host = image.latency.iter().filter(|buckets| buckets.scope == MUTEX_SCOPE_GLOBAL);
        of_host.for_each(|buckets| snapshot.latency.add_buckets(buckets));
        image.fds.iter().for_each(|fd| snapshot.add_fd(fd));
        snapshot
    }
}

impl Visitor for Snapshot {
    fn header(&mut self, header: &Header, _: &[u8]) -> io::Result<()> {
        self.header = *header;
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::Status(status) => self.status = status,
            Part::Connections(records) => {
                self.connections.extend(records.map(|connection| Seen::of(&connection)));
            }
            Part::Fds(records) => records.for_each(|fd| self.add_fd(&fd)),
            Part::Latency(records) => records
                .filter(|buckets| buckets.scope == MUTEX_SCOPE_GLOBAL)
                .for_each(|buckets| self.latency.add_buckets(&buckets)),
            Part::Quality(quality) => self.quality = quality,
            Part::Alerts(records) => self.alerts.extend(records),
            Part::Untracked(records) => self.untracked.extend(records),
            Part::TotalsAfter(totals) => self.totals = totals,
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
