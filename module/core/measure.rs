// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! What is measured beside traffic, of the connection, of its fd and of the host at once: latency,
//! retransmissions, faults, drops, windows; and what the kernel says of its sockets.

use crate::abi::*;
use crate::alarm::System;
use crate::connection::Connection;
use crate::connection::Meta;
use crate::counters::Direction;
use crate::counters::Traffic;
use crate::cpu::Pinned;
use crate::drops::Known;
use crate::engine::Buffer;
use crate::engine::Engine;
use crate::engine::Memory;
use crate::fd::ClosedWindow;
use crate::fd::Fd;
use crate::fd::FdSums;
use crate::key::scope;
use crate::key::Endpoint;
use crate::key::Key;
use crate::key::KeyParts;
use crate::latency::Histogram;
use crate::parse::icmp_quoted;
use crate::parse::icmp_sequence;
use crate::parse::protocol;
use crate::parse::quoted;
use crate::parse::tcp_flag;
use crate::parse::tcp_timestamps;
use crate::parse::Family;
use crate::parse::Packet;
use crate::parse::Quoted;
use crate::parse::Signal;
use crate::quality::Fault;
use crate::quality::Quality;
use crate::quality::Retransmission;
use crate::quality::Sample;
use crate::rate::window_of;
use crate::rate::Rates;
use crate::state::State;
use crate::threshold::Kind;
use crate::timing::Passing;
use crate::timing::TcpSocket;

/// Whose socket something happened to.
#[derive(Clone, Copy, Debug)]
pub struct SocketEnds {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Index of the interface it is bound to, which belongs to a link-local address.
    pub interface: u32,
    /// Index of the device of its VRF; 0 if none.
    pub l3mdev: u32,
    /// IPv4 or IPv6.
    pub family: Family,
    /// Protocol number as in the IP header.
    pub protocol: u8,
    /// The socket's end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
}

impl SocketEnds {
    fn key(&self) -> Key {
        let scoped = self.family == Family::V6
            && (self.local.address.is_link_local() || self.remote.address.is_link_local());
        Key::new(&KeyParts {
            netns: self.netns,
            scope: scope(scoped, self.interface, self.l3mdev),
            family: self.family,
            protocol: self.protocol,
            forwarded: false,
            local: self.local,
            remote: self.remote,
        })
    }
}

/// A TCP socket's change of state.
#[derive(Clone, Copy, Debug)]
pub struct StateChange {
    /// What it was.
    pub before: State,
    /// What it is.
    pub after: State,
    /// Whether the other end reset the connection, or refused it.
    pub reset: bool,
    /// Whether an error ended it, rather than who uses the socket.
    pub failed: bool,
    /// What the socket says of its round trips.
    pub tcp: TcpSocket,
    /// Nanoseconds since boot.
    pub now: u64,
}

/// A packet that the kernel dropped.
#[derive(Clone, Copy, Debug)]
pub struct Drop<'a> {
    /// Inode number of the network namespace, if it is known.
    pub netns: u32,
    /// IPv4 or IPv6.
    pub family: Family,
    /// The packet from its IP header on, or the start of it; may be empty.
    pub bytes: &'a [u8],
    /// Index of the interface that it came in by, 0 if it was made here.
    pub interface: u32,
    /// Index of the device of the VRF that it was in; 0 if none or unknown.
    pub l3mdev: u32,
    /// The kernel's reason.
    pub reason: u32,
    /// Whether that says that a checksum was bad.
    pub bad_checksum: bool,
    /// Segments that it stands for.
    pub packets: u32,
}

/// Whether there is something for [`Engine::follow_trouble`].
#[inline]
pub(crate) fn is_troubled(packet: &Packet) -> bool {
    match packet.signal {
        Signal::Tcp { flags, .. } => flags & tcp_flag::RST != 0,
        Signal::End { abort } => abort,
        Signal::None => matches!(packet.protocol, protocol::ICMP | protocol::ICMPV6),
    }
}

impl<M: Memory> Engine<M> {
    /// What a connection has beside its record.
    #[inline]
    pub(crate) fn quality(&self, record: u32) -> Option<&Quality> {
        self.qualities.get(record as usize)
    }

    /// Has what a reader needs of a record brought to this CPU, long before it needs it: each page
    /// of records begins with lines that nobody foresees.
    #[inline(always)]
    pub fn prefetch(&self, record: u32) {
        if let Some(connection) = self.connections.get(record) {
            M::prefetch(connection);
        }
        if let Some(quality) = self.quality(record) {
            M::prefetch(quality);
        }
    }

    /// The fd that the connection shares with others.
    #[inline]
    pub(crate) fn shared_fd(&self, connection: &Connection) -> Option<&Fd> {
        if !connection.meta().has(Meta::FD_SHARED) {
            return None;
        }
        self.fds.arena().get(connection.fd()?)
    }

    /// Everybody whose quality changes with a connection's: itself, and an fd it shares.
    #[inline]
    fn for_both(&self, record: u32, connection: &Connection, change: impl Fn(&Quality)) {
        if let Some(quality) = self.quality(record) {
            change(quality);
        }
        if let Some(fd) = self.shared_fd(connection) {
            change(&fd.quality);
        }
    }

    /// Takes a sample of latency if the packet gives one. `before`: when the packet before it passed in
    /// the same direction, 0 if there was none.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "they are the packet's and the connection's")]
    pub(crate) fn follow_latency<P: Pinned>(
        &self,
        pinned: &P,
        record: u32,
        connection: &Connection,
        buffer: &Buffer<'_>,
        packet: &Packet,
        direction: Direction,
        before: u64,
    ) {
        let timing = &connection.details.timing;
        let sent = direction.is_sent();
        let other = if sent { &connection.received } else { &connection.sent };
        let passing = Passing { now: buffer.now, before, other };
        let sample = match (packet.signal, &buffer.tcp) {
            (Signal::Tcp { .. }, Some(socket)) => timing.of_socket(socket),
            (Signal::Tcp { flags, .. }, None) if !buffer.is_local() => {
                let Some((value, echo)) = tcp_timestamps(packet, buffer.bytes) else {
                    return;
                };
                // What carries no payload is not answered at once.
                let asks = flags & tcp_flag::SYN != 0 || buffer.length > packet.headers();
                timing.of_timestamps(sent, asks.then_some(value), echo, &passing, buffer.clock)
            }
            (Signal::None, _) => {
                let (asks, tag) = match packet.protocol {
                    protocol::ICMP | protocol::ICMPV6 => {
                        let (asking, answering) = (packet.source.port, packet.destination.port);
                        if asking | answering == 0 {
                            return;
                        }
                        (answering == 0, icmp_sequence(packet, buffer.bytes).into())
                    }
                    _ => (sent != connection.meta().has(Meta::REMOTE_ASKS), 0),
                };
                timing.of_answer(asks, tag, &passing, buffer.clock)
            }
            _ => return,
        };
        if let Some(sample) = sample {
            self.sample(pinned, record, connection, &sample, buffer.now);
        }
    }

    #[cold]
    fn sample<P: Pinned>(
        &self,
        pinned: &P,
        record: u32,
        connection: &Connection,
        sample: &Sample,
        now: u64,
    ) {
        let mut placed = true;
        if let Some(quality) = self.quality(record) {
            let (average, found_room) = quality.sample(pinned, &self.octaves, sample);
            placed = found_room;
            let average = average.nanoseconds();
            self.judge_connection(pinned, record, connection, Kind::Latency, average, now);
        }
        if let Some(fd) = self.shared_fd(connection) {
            let sample = Sample { average: None, ..*sample };
            let (average, found_room) = fd.quality.sample(pinned, &self.octaves, &sample);
            placed &= found_room;
            self.judge_fd(pinned, fd, Kind::Latency, average.nanoseconds(), now);
        }
        pinned.cpu().latency.add(sample.span, placed);
    }

    /// A window of one direction of a connection is over, in which `closed` bytes passed.
    #[cold]
    pub(crate) fn close_window<P: Pinned>(
        &self,
        pinned: &P,
        record: u32,
        connection: &Connection,
        direction: Direction,
        closed: u64,
        now: u64,
    ) {
        let Some(quality) = self.quality(record) else {
            return;
        };
        let sent = direction.is_sent();
        quality.peak(sent, closed);
        self.judge_connection(pinned, record, connection, bandwidth(sent), closed, now);
        let packets = [&connection.sent, &connection.received].map(|flow| flow.packets());
        if let Some(window) = quality.window.close(window_of(now) as u32, packets) {
            for (kind, rate) in self.rates_of(&window) {
                self.judge_connection(pinned, record, connection, kind, rate, now);
            }
        }
    }

    /// Counts a packet of a connection that shares its fd in that fd's window.
    #[inline]
    pub(crate) fn count_in_fd<P: Pinned>(
        &self,
        pinned: &P,
        connection: &Connection,
        direction: Direction,
        amount: &Traffic,
        now: u64,
    ) {
        let Some(fd) = self.shared_fd(connection) else {
            return;
        };
        if let Some(closed) = fd.count(direction.is_sent(), amount, now) {
            self.close_fd_window(pinned, fd, &closed, now);
        }
    }

    #[cold]
    fn close_fd_window<P: Pinned>(&self, pinned: &P, fd: &Fd, closed: &ClosedWindow, now: u64) {
        for (sent, bytes) in [true, false].into_iter().zip(closed.bytes) {
            fd.quality.peak(sent, bytes);
            self.judge_fd(pinned, fd, bandwidth(sent), bytes, now);
        }
        if let Some(window) = fd.quality.window.close(window_of(now) as u32, closed.packets) {
            for (kind, rate) in self.rates_of(&window) {
                self.judge_fd(pinned, fd, kind, rate, now);
            }
        }
    }

    /// Closes the window of an fd that has been silent since, so that what it held is judged.
    pub(crate) fn finish_fd_window<P: Pinned>(&self, pin: impl FnOnce() -> P, fd: &Fd, now: u64) {
        if fd.is_window_open(now) {
            let pinned = pin();
            if let Some(closed) = fd.finish(&pinned, now) {
                self.close_fd_window(&pinned, fd, &closed, now);
            }
        }
    }

    /// Closes windows of what has been silent since, so that what they held is judged.
    pub(crate) fn finish_windows<P: Pinned>(
        &self,
        pin: impl FnOnce() -> P,
        record: u32,
        connection: &Connection,
        now: u64,
    ) {
        let flows =
            [(Direction::Sent, &connection.sent), (Direction::Received, &connection.received)];
        if flows.iter().all(|(_, flow)| flow.copy().window == 0) {
            return;
        }
        let pinned = pin();
        for (direction, flow) in flows {
            if let Some(closed) = flow.finish(&pinned, now) {
                self.close_window(&pinned, record, connection, direction, closed, now);
            }
        }
    }

    /// Resets, aborts, and ICMP errors.
    #[cold]
    pub(crate) fn follow_trouble<P: Pinned>(
        &self,
        pinned: &P,
        record: u32,
        connection: &Connection,
        buffer: &Buffer<'_>,
        packet: &Packet,
    ) {
        if packet.signal != Signal::None {
            self.fault_of(pinned, record, connection, Fault::Reset);
            if buffer.direction == Direction::Sent {
                // Our own reset ends it, whatever the socket still says.
                connection.change(|meta| Some(meta.with(Meta::RESET)));
            }
            return;
        }
        if buffer.direction == Direction::Sent {
            return;
        }
        let Some(quoted) = icmp_quoted(packet, buffer.bytes) else {
            return;
        };
        let sides = match buffer.direction {
            Direction::Received => [Side::Source, Side::Forwarded],
            _ => [Side::Forwarded, Side::Source],
        };
        if let Some((record, connection)) =
            self.find_quoted(&quoted, buffer.netns, buffer.interface, buffer.l3mdev, &sides)
        {
            self.fault_of(pinned, record, connection, Fault::Icmp);
        } else {
            self.fault(pinned, Fault::Icmp);
        }
    }

    fn fault(&self, pinned: &impl Pinned, fault: Fault) {
        if let Some(count) = pinned.cpu().faults.get(fault as usize) {
            count.add(1);
        }
    }

    fn fault_of(&self, pinned: &impl Pinned, record: u32, connection: &Connection, fault: Fault) {
        self.for_both(record, connection, |quality| quality.fault(fault));
        self.fault(pinned, fault);
    }

    fn find_quoted(
        &self,
        quoted: &Quoted,
        netns: u32,
        interface: u32,
        l3mdev: u32,
        sides: &[Side],
    ) -> Option<(u32, &Connection)> {
        sides.iter().find_map(|side| {
            let (local, remote) = match side {
                Side::Destination => (quoted.destination, quoted.source),
                _ => (quoted.source, quoted.destination),
            };
            self.look_up(&Key::new(&KeyParts {
                netns,
                scope: scope(quoted.link_local, interface, l3mdev),
                family: quoted.family,
                protocol: quoted.protocol,
                forwarded: matches!(side, Side::Forwarded),
                local,
                remote,
            }))
        })
    }

    /// TCP sent, or failed to send, segments of a local socket again. In an RCU read side.
    pub fn retransmitted<P: Pinned>(
        &self,
        pinned: &P,
        ends: &SocketEnds,
        retransmission: &Retransmission,
    ) {
        pinned.cpu().retransmitted.add(retransmission);
        if let Some((record, connection)) = self.look_up(&ends.key()) {
            self.for_both(record, connection, |quality| quality.retransmit(retransmission));
        }
    }

    /// The kernel dropped a packet. In an RCU read side.
    pub fn dropped<P: Pinned>(&self, pinned: &P, drop: &Drop<'_>) {
        let sides = if drop.interface == 0 {
            [Side::Source, Side::Forwarded, Side::Destination]
        } else {
            [Side::Destination, Side::Forwarded, Side::Source]
        };
        let quoted = quoted(drop.family, drop.bytes);
        let protocol = quoted.as_ref().map(|quoted| quoted.protocol);
        let found = quoted.and_then(|quoted| {
            self.find_quoted(&quoted, drop.netns, drop.interface, drop.l3mdev, &sides)
        });
        let known = Known {
            family: drop.family,
            bytes: drop.bytes,
            protocol,
            received: drop.interface != 0,
            state: found.and_then(|(_, connection)| {
                (!connection.key().is_forwarded()).then(|| connection.meta().state())
            }),
        };
        let discard = self.classes.is_discard(drop.reason, &known);
        pinned.cpu().drops.add(drop.reason, drop.packets, discard);
        if let Some((record, connection)) = found {
            self.for_both(record, connection, |quality| {
                quality.drop_packets(drop.reason, drop.packets, discard);
            });
        }
        if drop.bad_checksum {
            match found {
                Some((record, connection)) => {
                    self.fault_of(pinned, record, connection, Fault::Checksum);
                }
                None => self.fault(pinned, Fault::Checksum),
            }
        }
    }

    /// Counts SYNs to which nothing was answered as dropped: a listener whose accept queue is full
    /// drops them, and no tracepoint tells. `processed` of the packets received are through. Returns
    /// whether it is such a connection.
    ///
    /// Until then a connection that was never answered consists of SYNs alone, and what the kernel
    /// drops of them for other reasons has been counted by the tracepoint.
    pub(crate) fn count_ignored_syns<P: Pinned>(
        &self,
        pinned: &P,
        record: u32,
        connection: &Connection,
        processed: u64,
    ) -> bool {
        let meta = connection.meta();
        if !meta.has(Meta::REMOTE_ASKS)
            || !matches!(meta.state(), State::SynRecv | State::OneWay)
            || connection.key().protocol() != protocol::TCP
            || connection.key().is_forwarded()
            || connection.sent.is_used()
        {
            return false;
        }
        if let Some(quality) = self.quality(record) {
            let ignored = processed.saturating_sub(quality.dropped()) as u32;
            if ignored != 0 {
                let reason = self.system.listen_overflow();
                pinned.cpu().drops.add(reason, ignored, false);
                quality.drop_packets(reason, ignored, false);
            }
        }
        true
    }

    /// A TCP socket changed its state. In an RCU read side.
    pub fn socket_changed<P: Pinned>(&self, pinned: &P, ends: &SocketEnds, change: &StateChange) {
        let Some((record, connection)) = self.look_up(&ends.key()) else {
            return;
        };
        let meta = connection.meta();
        if change.before == State::SynSent && change.after == State::Closed && change.failed {
            // If it was refused, the reset has ended the connection before the socket sees it.
            self.fault_of(pinned, record, connection, Fault::Connect);
        }
        if meta.has(Meta::ENDED) {
            // What follows a reset that we sent, or another connection between the same ends,
            // which its first packet opens.
            return;
        }
        if let Some(sample) = connection.details.timing.of_socket(&change.tcp) {
            self.sample(pinned, record, connection, &sample, change.now);
        }
        if change.after != State::Closed {
            connection.change(|meta| {
                (!meta.has(Meta::ENDED))
                    .then(|| meta.in_state(change.after).with(Meta::FOLLOWS_SOCKET))
            });
            return;
        }
        let waits = matches!(change.before, State::FinWait2 | State::Closing) && !change.reset;
        if waits && !meta.has(Meta::FIN_RECEIVED) {
            // The kernel keeps a small socket that waits for the other end's FIN: packets tell.
            connection.change(|meta| Some(meta.without(Meta::FOLLOWS_SOCKET)));
            return;
        }
        if waits {
            connection.change(|meta| Some(meta.in_state(State::TimeWait)));
        }
        let flags = if change.reset { Meta::RESET } else { Meta::default() };
        self.end(pinned, record, connection, flags, change.now);
    }

    /// A connection's record for userspace. It is not collected meanwhile. `histogram` is room for
    /// the way.
    pub fn connection_to_wire(
        &self,
        record: u32,
        connection: &Connection,
        offset: u64,
        now: u64,
        histogram: &mut Histogram,
    ) -> mutex_connection {
        self.owned_connection_to_wire(record, connection, connection.fd(), offset, now, histogram)
    }

    /// The same with an fd that was read before, because it may be given at any moment.
    #[inline]
    pub(crate) fn owned_connection_to_wire(
        &self,
        record: u32,
        connection: &Connection,
        fd: Option<u32>,
        offset: u64,
        now: u64,
        histogram: &mut Histogram,
    ) -> mutex_connection {
        let (mut wire, rates) = connection.to_wire(offset, now);
        wire.fd = fd.map_or(0, |fd| self.fds.id(fd));
        if let Some(quality) = self.quality(record) {
            wire.discards = quality.discards();
            wire.quality = quality.to_wire(&self.octaves, &rates, histogram);
            wire.drop_reasons = quality.drop_counts();
        }
        wire
    }

    /// Gathers a connection's histogram of latency. It is not collected meanwhile.
    pub fn connection_histogram(&self, record: u32, histogram: &mut Histogram) {
        if let Some(quality) = self.quality(record) {
            quality.histogram(&self.octaves, histogram);
        }
    }

    /// Gathers the histogram of an fd that may own many connections; another's is its connection's.
    /// It is not collected meanwhile.
    pub fn fd_histogram(&self, fd: &Fd, histogram: &mut Histogram) {
        fd.quality.histogram(&self.octaves, histogram);
    }

    /// An fd's record for the current process to read; `sums` is what its live connections moved. It
    /// is not collected meanwhile.
    pub fn fd_to_wire(&self, fd: &Fd, sums: &FdSums, offset: u64, now: u64) -> mutex_fd {
        let mut wire = fd.to_wire(sums, offset);
        wire.pid = self.system.reader_pid(wire.pid);
        let histogram = &mut Histogram::default();
        let (quality, rates) = match fd.only_connection() {
            Some(record) => match (self.connections.get(record), self.quality(record)) {
                (Some(connection), Some(quality)) => (quality, rates(connection, now)),
                _ => return wire,
            },
            None => (&fd.quality, fd.rates(now)),
        };
        wire.discards = quality.discards();
        wire.quality = quality.to_wire(&self.octaves, &rates, histogram);
        wire
    }
}

/// Which end of a packet is this host's.
#[derive(Clone, Copy, Debug)]
enum Side {
    Source,
    Destination,
    Forwarded,
}

/// The alert of that direction.
fn bandwidth(sent: bool) -> Kind {
    if sent {
        Kind::BandwidthOut
    } else {
        Kind::BandwidthIn
    }
}

fn rates(connection: &Connection, now: u64) -> Rates {
    Rates { sent: connection.sent.copy().rate(now), received: connection.received.copy().rate(now) }
}
