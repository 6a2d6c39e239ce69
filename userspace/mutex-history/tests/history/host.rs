// SPDX-License-Identifier: MIT OR Apache-2.0

//! A host that does what it is told, at times that it is told.

#![allow(dead_code, reason = "each test needs a part of it")]

use mutex_history::Snapshot;
use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Fd;
use mutex_stats::Image;
use mutex_stats::LatencyBuckets;
use mutex_stats::visit;

pub const S: u64 = 1_000_000_000;
/// A whole hour.
pub const BEGIN: u64 = 1_790_000_400 / 3600 * 3600 * S;

/// A host with its connections.
#[derive(Clone, Debug)]
pub struct Host {
    pub image: Image,
    next: u64,
}

impl Host {
    /// Loaded a minute ago, having counted something before anybody looked.
    pub fn new() -> Self {
        let mut image = Image::default();
        image.header.time_ns = BEGIN;
        image.header.boottime_ns = 1000 * S;
        image.header.boot_id = [7; 16];
        image.status.uptime_ns = 60 * S;
        image.totals_after.sent.bytes = 4321;
        image.totals_after.sent.packets = 43;
        Host { image, next: 0 }
    }

    /// So much time passes.
    pub fn wait(&mut self, ns: u64) {
        let header = &mut self.image.header;
        header.time_ns += ns;
        header.boottime_ns += ns;
        self.image.status.uptime_ns += ns;
    }

    /// Somebody sets the clock.
    pub fn set_clock(&mut self, by_ns: i64) {
        let time = &mut self.image.header.time_ns;
        *time = time.checked_add_signed(by_ns).expect("it is after 1970");
    }

    /// The module is unloaded and loaded.
    pub fn reload(&mut self) {
        let header = self.image.header;
        self.image = Image { header, ..Image::default() };
    }

    /// The machine is started anew.
    pub fn reboot(&mut self) {
        self.reload();
        self.image.header.boot_id[0] += 1;
        self.image.header.boottime_ns = 30 * S;
        self.image.status.uptime_ns = 10 * S;
    }

    /// A connection begins.
    pub fn connect(&mut self, command: &str, remote: u8, port: u16, forwarded: bool) -> u64 {
        self.next += 1;
        let mut address = [0; 16];
        address[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, remote]);
        let mut fd = Fd { id: self.next, pid: 100, ..Fd::default() };
        fd.command[..command.len()].copy_from_slice(command.as_bytes());
        self.image.fds.push(fd);
        self.image.connections.push(Connection {
            id: self.next,
            fd: self.next,
            family: 4,
            protocol: 6,
            remote_address: address,
            local_port: 50000,
            remote_port: port,
            flags: u32::from(forwarded),
            ..Connection::default()
        });
        self.image.status.connections_total += 1;
        self.image.status.connections_active += 1;
        self.next
    }

    /// A connection moves something; what is counted for the host comes with it.
    pub fn traffic(&mut self, id: u64, sent: u64, received: u64) {
        self.early(id, sent, received);
        self.late(id, sent, received);
    }

    /// What a connection knows of before the host does.
    pub fn early(&mut self, id: u64, sent: u64, received: u64) {
        let one = self.image.connections.iter_mut().find(|one| one.id == id).expect("it is open");
        one.sent.bytes += sent;
        one.sent.packets += sent.div_ceil(100);
        one.received.bytes += received;
        one.received.packets += received.div_ceil(100);
        one.quality.retransmitted_packets += sent / 1000;
    }

    /// What the host knows.
    pub fn late(&mut self, id: u64, sent: u64, received: u64) {
        let is_forwarded =
            self.image.connections.iter().any(|one| one.id == id && one.flags & 1 == 1);
        let totals = &mut self.image.totals_after;
        let (out, back) = if is_forwarded {
            (&mut totals.forwarded_sent, &mut totals.forwarded_received)
        } else {
            (&mut totals.sent, &mut totals.received)
        };
        out.bytes += sent;
        out.packets += sent.div_ceil(100);
        back.bytes += received;
        back.packets += received.div_ceil(100);
        self.image.quality.retransmitted_packets += sent / 1000;
        self.image.status.table_used = sent;
    }

    /// Packets are dropped, some of which nobody misses.
    pub fn drop_packets(&mut self, losses: u64, discards: u64) {
        self.image.quality.drops += losses + discards;
        self.image.quality.discards += discards;
    }

    /// Latency is measured.
    pub fn latency(&mut self, octave: u32, step: usize, samples: u64) {
        let found = self.image.latency.iter_mut().find(|some| some.octave == octave);
        if let Some(buckets) = found {
            buckets.samples[step] += samples;
            return;
        }
        let mut buckets = LatencyBuckets { scope: 2, octave, ..LatencyBuckets::default() };
        buckets.samples[step] += samples;
        self.image.latency.push(buckets);
    }

    /// A connection ends and is not listed any more.
    pub fn close(&mut self, id: u64) {
        self.image.connections.retain(|one| one.id != id);
        self.image.fds.retain(|fd| fd.id != id);
        self.image.status.connections_closed += 1;
        self.image.status.connections_active -= 1;
    }

    /// The module raises an alert about the host.
    pub fn alert(&mut self, value: u64) {
        self.image.status.alerts_raised += 1;
        self.image.alerts.push(Alert {
            number: self.image.status.alerts_raised,
            time_ns: self.image.header.time_ns,
            kind: 4,
            severity: 2,
            scope: 2,
            threshold: 10,
            value,
            ..Alert::default()
        });
    }

    /// What there is to record now, by way of the kernel's format.
    pub fn snapshot(&self) -> Snapshot {
        let mut bytes = Vec::new();
        self.image.write(&mut bytes).expect("a vector takes everything");
        let mut snapshot = Snapshot::default();
        visit(bytes.as_slice(), &mut snapshot).expect("it is an image");
        snapshot
    }
}
