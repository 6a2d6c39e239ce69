// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Judging what was measured, and telling whoever watches.

use crate::abi::*;
use crate::alert::Read;
use crate::connection::Connection;
use crate::counters::Direction;
use crate::counters::Traffic;
use crate::cpu::Pinned;
use crate::engine::Buffer;
use crate::engine::Engine;
use crate::engine::Memory;
use crate::fd::Fd;
use crate::filter::Subject;
use crate::latency::Histogram;
use crate::parse::Packet;
use crate::quality::Closed;
use crate::rate::share;
use crate::threshold::Armed;
use crate::threshold::Kind;
use crate::threshold::Rule;
use crate::threshold::Scope;
use crate::wire::Wire;

/// What the engine asks of the system around it.
pub trait System {
    /// What moves times since boot to Unix time.
    fn offset(&self) -> u64;

    /// Whether anybody watches.
    fn is_watched(&self) -> bool;

    /// Offers an event to everybody who watches. `record` writes its record and says how long it is.
    fn offer(&self, subject: &Subject, time_ns: u64, record: impl Fn(&mut [u8]) -> usize);

    /// Wakes who waits for alerts. Called anywhere.
    fn wake(&self);

    /// How many watch, how many events there were for them, those that are gone included, and how
    /// many of these they were too slow for.
    fn watchers(&self) -> (u64, u64, u64);

    /// How many of them want packets, as what decides on the packet path has it.
    fn packet_watchers(&self) -> u64;

    /// The name of a drop reason, zeros if it has none.
    fn drop_name(&self, reason: u32) -> [u8; MUTEX_DROP_NAME_SIZE as usize];

    /// The drop reason of a SYN for which the accept queue had no room.
    fn listen_overflow(&self) -> u32;

    /// A process id of the first PID namespace as the current process, which reads a file, sees it;
    /// 0 if it does not see that process. Process context.
    fn reader_pid(&self, pid: u32) -> u32 {
        pid
    }
}

/// A system where nobody watches, for programs that have the engine without a kernel.
#[derive(Debug, Default)]
pub struct Unwatched;

impl System for Unwatched {
    fn offset(&self) -> u64 {
        0
    }

    fn is_watched(&self) -> bool {
        false
    }

    fn offer(&self, _: &Subject, _: u64, _: impl Fn(&mut [u8]) -> usize) {}

    fn wake(&self) {}

    fn watchers(&self) -> (u64, u64, u64) {
        (0, 0, 0)
    }

    fn packet_watchers(&self) -> u64 {
        0
    }

    fn listen_overflow(&self) -> u32 {
        2
    }

    fn drop_name(&self, _: u32) -> [u8; MUTEX_DROP_NAME_SIZE as usize] {
        [0; MUTEX_DROP_NAME_SIZE as usize]
    }
}

/// Writes a record to the start of `out`, of at least its size.
fn put<T: Wire>(record: &T, out: &mut [u8]) -> usize {
    record.put(out).map_or(0, |_| T::SIZE)
}

impl<M: Memory> Engine<M> {
    fn judge(
        &self,
        pinned: &impl Pinned,
        armed: &Armed,
        rule: &Rule,
        value: u64,
        now: u64,
        name: impl FnOnce(&mut mutex_alert),
    ) {
        let since_load = now.saturating_sub(self.loaded_at());
        let Some(mut alert) = armed.judge(rule, value, since_load) else {
            return;
        };
        // The host's own are few, and must not be lost among those of its connections.
        if rule.scope != Scope::Global
            && !self.alert_limit.admit(since_load, self.config.alert_limit())
        {
            return;
        }
        alert.time_ns = now.wrapping_add(self.system.offset());
        name(&mut alert);
        alert.number = self.alerts.raise(pinned, &alert);
        self.system.wake();
        if self.system.is_watched() {
            let subject = Subject::of_alert(&alert);
            self.system.offer(&subject, alert.time_ns, |out| put(&alert, out));
        }
    }

    /// Judges a connection's value, and its fd's where that is the same.
    pub(crate) fn judge_connection(
        &self,
        pinned: &impl Pinned,
        record: u32,
        connection: &Connection,
        kind: Kind,
        value: u64,
        now: u64,
    ) {
        let Some(quality) = self.quality(record) else {
            return;
        };
        // Rules that are off, too: that arms them.
        let rule = self.config.rule(Scope::Connection, kind);
        self.judge(pinned, &quality.armed, &rule, value, now, |alert| {
            self.name_connection(alert, connection);
        });
        let own = connection.fd().and_then(|fd| self.fds.arena().get(fd));
        if let Some(fd) = own.filter(|fd| fd.only_connection() == Some(record)) {
            self.judge_fd(pinned, fd, kind, value, now);
        }
    }

    /// Judges an fd's value.
    pub(crate) fn judge_fd(&self, pinned: &impl Pinned, fd: &Fd, kind: Kind, value: u64, now: u64) {
        let rule = self.config.rule(Scope::Fd, kind);
        self.judge(pinned, &fd.quality.armed, &rule, value, now, |alert| {
            alert.subject = fd.id();
            fd.name(alert);
        });
    }

    /// Judges the host's value.
    pub(crate) fn judge_host(&self, pinned: &impl Pinned, kind: Kind, value: u64, now: u64) {
        let rule = self.config.rule(Scope::Global, kind);
        self.judge(pinned, &self.host.armed, &rule, value, now, |_| ());
    }

    /// Judges how much of its share of the table a network namespace uses, by the host's rule about
    /// the table.
    pub(crate) fn judge_share(
        &self,
        pinned: &impl Pinned,
        armed: &Armed,
        netns: u32,
        fill: u64,
        now: u64,
    ) {
        let rule = self.config.rule(Scope::Global, Kind::TableFill);
        self.judge(pinned, armed, &rule, fill, now, |alert| alert.netns = netns);
    }

    fn name_connection(&self, alert: &mut mutex_alert, connection: &Connection) {
        let key = connection.key().parts();
        alert.subject = connection.id();
        alert.local_address = key.local.address.octets();
        alert.local_port = key.local.port;
        alert.remote_address = key.remote.address.octets();
        alert.remote_port = key.remote.port;
        if let Some(fd) = connection.fd().and_then(|fd| self.fds.arena().get(fd)) {
            fd.name(alert);
        }
        alert.netns = key.netns;
        alert.family = key.family.number();
        alert.protocol = key.protocol;
    }

    /// The rates of a window that is over.
    pub(crate) fn rates_of(&self, closed: &Closed) -> [(Kind, u64); 3] {
        let least = self.config.minimum_packets();
        let sent = u64::from(closed.sent);
        let both = sent + u64::from(closed.received);
        [
            (Kind::RetransmissionRate, share(closed.retransmitted.into(), sent, least)),
            (Kind::ErrorRate, share(closed.faults.into(), both, least)),
            (Kind::DropRate, share(closed.losses.into(), both, least)),
        ]
    }

    /// Tells who watches that a connection starts or has ended.
    #[cold]
    pub(crate) fn announce(&self, kind: u32, record: u32, connection: &Connection, now: u64) {
        let offset = self.system.offset();
        let histogram = &mut Histogram::default();
        let wire = self.connection_to_wire(record, connection, offset, now, histogram);
        let subject = Subject::of_connection(kind, &wire);
        self.system.offer(&subject, now.wrapping_add(offset), |out| put(&wire, out));
    }

    /// Tells who watches packets of one.
    #[cold]
    pub(crate) fn announce_packet(
        &self,
        connection: &Connection,
        buffer: &Buffer<'_>,
        packet: &Packet,
        direction: Direction,
        amount: &Traffic,
    ) {
        let key = connection.key().parts();
        let (uid, cgroup) = connection.owner();
        let wire = mutex_packet {
            connection: connection.id(),
            local_address: key.local.address.octets(),
            remote_address: key.remote.address.octets(),
            local_port: key.local.port,
            remote_port: key.remote.port,
            netns: key.netns,
            interface: buffer.interface,
            packets: amount.packets as u32,
            bytes: amount.bytes,
            payload: amount.payload,
            family: packet.family.number(),
            protocol: packet.protocol,
            direction: direction as u8,
            reserved: [0; 5],
        };
        let mut subject = Subject::of_packet(&wire);
        subject.uid = uid;
        subject.cgroup = cgroup;
        subject.fd = connection.fd().map_or(0, |fd| self.fds.id(fd));
        let time = buffer.now.wrapping_add(self.system.offset());
        self.system.offer(&subject, time, |out| put(&wire, out));
    }

    /// The kept alerts from `number` on, the oldest first: the first of them with its number.
    pub fn alert_from(&self, number: u64) -> Option<mutex_alert> {
        let mut number = number;
        loop {
            number = number.max(self.alerts.first_kept());
            if number > self.alerts.last() {
                return None;
            }
            match self.alerts.read(number) {
                Read::Alert(alert) => {
                    let pid = self.system.reader_pid(alert.pid);
                    return Some(mutex_alert { pid, ..alert });
                }
                // It went while we looked; what is kept now begins later.
                Read::Overwritten | Read::Cleared => number = number.wrapping_add(1),
                Read::NotYet => return None,
            }
        }
    }
}
