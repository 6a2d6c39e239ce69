// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! What happens to a packet.

use core::ops::Deref;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering::AcqRel;
use core::sync::atomic::Ordering::Acquire;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::Ordering::Release;

use crate::abi::mutex_status;
use crate::abi::MUTEX_EVENT_START;
use crate::alarm::System;
use crate::alert;
use crate::alert::Alerts;
use crate::arena::Arena;
use crate::arena::Linked;
use crate::config::Config;
use crate::connection::Connection;
use crate::connection::Meta;
use crate::counters::Direction;
use crate::counters::Totals;
use crate::counters::Traffic;
use crate::cpu::Cpu;
use crate::cpu::Pinned;
use crate::drops::Classes;
use crate::fd::Fd;
use crate::fd::Fds;
use crate::fd::Owner;
use crate::fd::Sighting;
use crate::host::Host;
use crate::index::Bucket;
use crate::index::Index;
use crate::key::scope;
use crate::key::Key;
use crate::key::KeyParts;
use crate::key::Secret;
use crate::latency::Octave;
use crate::latency::Pool;
use crate::limit::Limit;
use crate::measure::is_troubled;
use crate::parse::tcp_flag;
use crate::parse::Family;
use crate::parse::Packet;
use crate::parse::Signal;
use crate::parse::Untracked;
use crate::quality::Quality;
use crate::shares;
use crate::shares::Limits;
use crate::shares::Shares;
use crate::state;
use crate::state::State;
use crate::timing::TcpSocket;

/// Where the memory comes from.
pub trait Memory {
    /// Connections, all zero at first.
    type Connections: Deref<Target = [Connection]>;
    /// Fds, all zero at first.
    type Fds: Deref<Target = [Fd]>;
    /// What a connection has beside its record, all zero at first.
    type Qualities: Deref<Target = [Quality]>;
    /// Octaves of histograms, all zero at first.
    type Octaves: Deref<Target = [Octave]>;
    /// Buckets, all zero at first.
    type Buckets: Deref<Target = [Bucket]>;
    /// What namespaces use, all zero at first.
    type Shares: Deref<Target = [shares::Slot]>;
    /// Room for alerts, all zero at first.
    type AlertSlots: Deref<Target = [alert::Slot]>;
    /// The CPUs' own parts, all zero at first.
    type Cpus: Cpus;
    /// The system around.
    type System: System;

    /// Has the cache lines of `what` brought to this CPU while it goes on.
    #[inline(always)]
    fn prefetch<T>(_what: &T) {}

    /// Lets other tasks have this CPU if they wait for it. Called in process context, and not pinned.
    #[inline(always)]
    fn breathe() {}
}

/// The CPUs' own parts.
pub trait Cpus {
    /// Shows each of them.
    fn for_each(&self, show: impl FnMut(&Cpu));

    /// Bytes that they take.
    fn bytes(&self) -> usize;
}

/// One socket buffer as a hook sees it.
#[derive(Clone, Copy, Debug)]
pub struct Buffer<'a> {
    /// [`Direction::Sent`], [`Direction::Received`] or [`Direction::ForwardedSent`]: the hook.
    pub direction: Direction,
    /// IPv4 or IPv6.
    pub family: Family,
    /// The packet from its IP header on, or the start of it.
    pub bytes: &'a [u8],
    /// Bytes of the whole packet.
    pub length: u32,
    /// What it stands for if it is a super-packet.
    pub segments: Option<Segments>,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Index of the interface it came in by, or goes out by if it is sent; 0 if none.
    pub interface: u32,
    /// Index of the device of the VRF that it is in; 0 if none.
    pub l3mdev: u32,
    /// Nanoseconds since boot.
    pub now: u64,
    /// Whether the socket it belongs to is at hand.
    pub has_socket: bool,
    /// What that socket says, if it is TCP's.
    pub tcp: Option<TcpSocket>,
    /// The exact time, for what measures it: nanoseconds since boot.
    pub clock: fn() -> u64,
}

/// What a GSO or GRO super-packet stands for.
#[derive(Clone, Copy, Debug)]
pub struct Segments {
    /// Payload bytes of each segment but the last; 0 if they differ.
    pub size: u32,
    /// How many they are, as the kernel says; used where `size` does not tell.
    pub count: u32,
    /// Bytes of headers that each segment repeats, of the inner packet too where one is carried;
    /// 0 if they are just the headers of this packet.
    pub headers: u32,
    /// Bytes of those headers that are not sent: the hop-by-hop header by which kernels before 7.0
    /// mark an IPv6 super-packet of more than 64 KiB (BIG TCP).
    pub unsent: u32,
    /// Whether they are fragments of one datagram (UFO), of which each but the first repeats the IP
    /// header alone, and `size` counts what follows it.
    pub fragments: bool,
}

/// Bytes of an IPv6 fragment header (RFC 8200, section 4.5).
const FRAGMENT_HEADER_V6: u64 = 8;

impl Buffer<'_> {
    #[inline]
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.direction, Direction::Sent | Direction::Received)
    }

    /// What it adds to the counters.
    #[inline(always)]
    fn amount(&self, packet: Option<&Packet>) -> Traffic {
        let mut headers = packet.map_or(0, Packet::headers);
        let (packets, bytes) = match &self.segments {
            None => (1, u64::from(self.length)),
            Some(Segments { fragments: true, size, .. }) => {
                return self.fragmented(packet, *size);
            }
            Some(segments) => {
                let length = self.length.saturating_sub(segments.unsent);
                headers = headers.saturating_sub(segments.unsent);
                let repeated = match segments.headers {
                    0 => headers,
                    repeated => repeated,
                };
                let count = match segments.size {
                    0 => segments.count.max(1),
                    size => length.saturating_sub(repeated).div_ceil(size).max(1),
                };
                let repeats = u64::from(count - 1) * u64::from(repeated);
                (u64::from(count), u64::from(length) + repeats)
            }
        };
        let payload = match packet {
            Some(_) => bytes.saturating_sub(packets * u64::from(headers)),
            None => 0,
        };
        Traffic { packets, buffers: 1, bytes, payload }
    }

    /// What a datagram adds that is fragmented later, into parts of `size` bytes behind the IP header.
    #[cold]
    fn fragmented(&self, packet: Option<&Packet>, size: u32) -> Traffic {
        let header = packet.map_or(0, |packet| packet.network_header);
        let packets = match size {
            0 => 1,
            size => self.length.saturating_sub(header).div_ceil(size).max(1),
        };
        let repeats = u64::from(packets - 1) * u64::from(header);
        let added = match (self.family, packets) {
            (_, 1) | (Family::V4, _) => 0,
            (Family::V6, _) => u64::from(packets) * FRAGMENT_HEADER_V6,
        };
        Traffic {
            packets: packets.into(),
            buffers: 1,
            bytes: u64::from(self.length) + repeats + added,
            payload: packet.map_or(0, |packet| self.length.saturating_sub(packet.headers()).into()),
        }
    }
}

/// Whom a socket belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Ownership {
    /// It can't be told now.
    Unknown,
    /// The kernel: no process has an fd of it.
    Kernel,
    /// A process.
    Process(Owner),
}

/// What the cache or the table knows of a packet's connection.
#[derive(Clone, Copy)]
struct Known<'a> {
    record: u32,
    connection: &'a Connection,
    /// Whether the packet comes from the far end of a forwarded connection.
    turned: bool,
}

impl Known<'_> {
    #[inline(always)]
    fn direction(&self, seen: Direction) -> Direction {
        if self.turned {
            seen.turned()
        } else {
            seen
        }
    }
}

/// The books: every connection, every fd, every counter.
pub struct Engine<M: Memory> {
    pub(crate) connections: Arena<M::Connections>,
    pub(crate) qualities: M::Qualities,
    pub(crate) octaves: Pool<M::Octaves>,
    index: Index<M::Buckets>,
    pub(crate) shares: Shares<M::Shares>,
    secret: Secret,
    pub(crate) fds: Fds<M::Fds, M::Buckets>,
    pub(crate) cpus: M::Cpus,
    pub(crate) alerts: Alerts<M::AlertSlots>,
    pub(crate) alert_limit: Limit,
    pub(crate) host: Host,
    pub(crate) system: M::System,
    pub(crate) config: Config,
    pub(crate) classes: Classes,
    loaded_at: u64,
    last_id: AtomicU64,
    /// Records that have ended since the sweeper last looked: the number of the latest plus one.
    ended: AtomicU32,
    /// Whether there may be connections of closed sockets that have not ended: one of
    /// [`NONE_CLOSED`], [`SOME_CLOSED`] and [`CLOSED_TAKEN`].
    sockets_closed: AtomicU8,
    bytes: u64,
}

/// Every connection of a closed socket has ended.
const NONE_CLOSED: u8 = 0;
/// A socket was closed that the sweeper does not know of.
const SOME_CLOSED: u8 = 1;
/// The sweeper is ending the connections of those that were closed before.
const CLOSED_TAKEN: u8 = 2;

/// What an engine is made of.
pub struct Parts<M: Memory> {
    /// `max_connections` of them.
    pub connections: M::Connections,
    /// As many.
    pub qualities: M::Qualities,
    /// As many as [`crate::latency::pool_for`] says.
    pub octaves: M::Octaves,
    /// As many as [`crate::index::buckets_for`] says.
    pub connection_buckets: M::Buckets,
    /// `max_fds` of them.
    pub fds: M::Fds,
    /// As many as [`crate::index::buckets_for`] says.
    pub fd_buckets: M::Buckets,
    /// [`shares::SLOTS`] of them.
    pub shares: M::Shares,
    /// Inode number of the first network namespace.
    pub first_netns: u32,
    /// As many as alerts are kept, one at least.
    pub alerts: M::AlertSlots,
    /// One for each CPU.
    pub cpus: M::Cpus,
    /// The system around.
    pub system: M::System,
    /// Eight unpredictable words.
    pub random: [u64; 8],
    /// What can be set.
    pub config: Config,
    /// Nanoseconds since boot.
    pub now: u64,
}

impl<M: Memory> Engine<M> {
    /// Puts the parts together; `None` if a number of buckets is not a power of two, or no alert is
    /// kept.
    pub fn new(parts: Parts<M>) -> Option<Self> {
        let bytes = size_of_val(&*parts.connections)
            + size_of_val(&*parts.qualities)
            + size_of_val(&*parts.octaves)
            + size_of_val(&*parts.connection_buckets)
            + size_of_val(&*parts.fds)
            + size_of_val(&*parts.fd_buckets)
            + size_of_val(&*parts.shares)
            + size_of_val(&*parts.alerts)
            + parts.cpus.bytes();
        let secret = Secret::new(parts.random);
        Some(Engine {
            connections: Arena::new(parts.connections),
            qualities: parts.qualities,
            octaves: Pool::new(parts.octaves),
            index: Index::new(parts.connection_buckets)?,
            shares: Shares::new(parts.shares, parts.first_netns)?,
            secret,
            fds: Fds::new(parts.fds, parts.fd_buckets, secret)?,
            alerts: Alerts::new(parts.alerts)?,
            alert_limit: Limit::default(),
            host: Host::default(),
            classes: Classes::new(|reason| parts.system.drop_name(reason)),
            system: parts.system,
            cpus: parts.cpus,
            config: parts.config,
            loaded_at: parts.now,
            last_id: AtomicU64::new(0),
            ended: AtomicU32::new(0),
            sockets_closed: AtomicU8::new(NONE_CLOSED),
            bytes: bytes as u64,
        })
    }

    /// Counts a buffer. The caller is inside an RCU read side.
    ///
    /// `owner` is asked only when the connection's owner is not known yet. `WATCHED`: somebody wants
    /// to be told of packets.
    #[inline(always)]
    pub fn count<const WATCHED: bool, P: Pinned>(
        &self,
        pinned: &P,
        buffer: &Buffer<'_>,
        owner: impl FnOnce(&Packet) -> Ownership,
    ) {
        let mut packet = Packet::unread(buffer.family);
        if let Err(reason) = packet.read(buffer.bytes, buffer.length) {
            return leave_untracked(pinned, buffer, &buffer.amount(None), reason);
        }
        let packet = &packet;
        let amount = &buffer.amount(Some(packet));
        let (known, is_new) = match self.find_or_open(pinned, buffer, packet) {
            Ok(found) => found,
            Err(reason) => return leave_untracked(pinned, buffer, amount, reason),
        };
        let Known { record, connection, .. } = known;
        let direction = known.direction(buffer.direction);
        if !is_new {
            self.follow_state(pinned, record, connection, packet, direction, buffer.now);
        }
        let flow = connection.flow(direction);
        let before = flow.last_seen();
        #[cfg(mutex_miscount)]
        let counted = &miscounted(flow, amount);
        #[cfg(not(mutex_miscount))]
        let counted = amount;
        let closed = flow.count(counted, buffer.now, buffer.interface);
        if let Some(closed) = closed {
            self.close_window(pinned, record, connection, direction, closed, buffer.now);
        }
        // Each second again: a receiver can come later than the first packet.
        let may_tell = is_new || buffer.has_socket || closed.is_some();
        if may_tell && !connection.meta().has(Meta::OWNER_KNOWN) {
            self.follow_owner(pinned, buffer, packet, record, connection, owner);
        }
        self.follow_latency(pinned, record, connection, buffer, packet, direction, before);
        if connection.meta().has(Meta::FD_SHARED) {
            self.count_in_fd(pinned, connection, direction, counted, buffer.now);
        }
        if is_troubled(packet) {
            self.follow_trouble(pinned, record, connection, buffer, packet);
        }
        if is_new && self.system.is_watched() {
            self.announce(MUTEX_EVENT_START, record, connection, buffer.now);
        }
        if WATCHED {
            self.announce_packet(connection, buffer, packet, direction, counted);
        }
        // Last, so that whoever reads these totals first finds all of them in the records.
        pinned.cpu().totals.add(direction, amount);
    }

    #[inline(always)]
    fn find_or_open<P: Pinned>(
        &self,
        pinned: &P,
        buffer: &Buffer<'_>,
        packet: &Packet,
    ) -> Result<(Known<'_>, bool), Untracked> {
        let key = &key_of(buffer, packet);
        let cpu = pinned.cpu();
        let place = cpu.cache.place(key).ok_or(Untracked::TableFull)?;
        let cached = place.record().and_then(|number| self.recognise_current(number, key));
        if let Some(known) = cached {
            cpu.cache_hits.add(1);
            let connection = known.connection;
            if !connection.meta().has(Meta::ENDED) && !self.has_lost_socket(connection) {
                return Ok((known, false));
            }
        } else {
            cpu.cache_misses.add(1);
        }
        let hash = self.secret.hash(&key.canonical().0);
        let likely = || {
            let record = self.index.likely(hash)?;
            self.expect(pinned, record, buffer.direction);
            self.recognise(record, key)
        };
        let known = cached.or_else(likely).or_else(|| self.find(key, hash));
        if let Some(Known { record, connection, .. }) = known {
            if self.has_lost_socket(connection) {
                self.end(pinned, record, connection, Meta::default(), buffer.now);
            }
        }
        let gone = match known {
            Some(known) if !opens_anew(known.connection.meta(), packet) => {
                place.remember(known.record);
                return Ok((known, false));
            }
            other => other.map(|known| known.record),
        };
        let opened = self.open(pinned, buffer, packet, key, hash, gone)?;
        place.remember(opened.0.record);
        Ok(opened)
    }

    /// The record if it is that key's.
    #[inline(always)]
    fn recognise(&self, record: u32, key: &Key) -> Option<Known<'_>> {
        let connection = self.connections.get(record)?;
        if connection.has_key(key) {
            return Some(Known { record, connection, turned: false });
        }
        let turned = key.is_forwarded() && connection.has_key(&key.reversed());
        turned.then_some(Known { record, connection, turned })
    }

    /// The same for a record that may have left the index and become another's since: what is in it is
    /// looked at only once it stands in the index, which it cannot leave for good before we are done.
    #[inline(always)]
    fn recognise_current(&self, record: u32, key: &Key) -> Option<Known<'_>> {
        if self.connections.get(record)?.generation() & 1 == 0 {
            return None;
        }
        self.recognise(record, key)
    }

    #[inline(never)]
    fn find(&self, key: &Key, hash: u64) -> Option<Known<'_>> {
        self.index.find(hash, |record| self.recognise(record, key))
    }

    /// Has the lines of a record brought here side by side that a packet will need one after another.
    #[inline(always)]
    fn expect<P: Pinned>(&self, pinned: &P, record: u32, direction: Direction) {
        if let Some(quality) = self.quality(record) {
            pinned.prefetch(&quality.window);
        }
        if let Some(connection) = self.connections.get(record) {
            pinned.prefetch(connection.flow(direction));
            pinned.prefetch(&connection.details);
        }
    }

    /// Opens a connection, in the place of `gone` where that still stands in the index. If another
    /// CPU was quicker its record is returned, and false.
    #[cold]
    fn open<P: Pinned>(
        &self,
        pinned: &P,
        buffer: &Buffer<'_>,
        packet: &Packet,
        key: &Key,
        hash: u64,
        gone: Option<u32>,
    ) -> Result<(Known<'_>, bool), Untracked> {
        let (netns, limits) = (buffer.netns, self.limits());
        let share = self.shares.charge(pinned, netns, self.hash_of_netns(netns), limits);
        let Some(share) = share else {
            // With a quota of the whole table both are used up.
            let is_full = self.connections.used() >= self.connections.size();
            return Err(if is_full { Untracked::TableFull } else { Untracked::Quota });
        };
        let taken = self.connections.take();
        let Some((number, connection)) = taken.and_then(|n| Some((n, self.connections.get(n)?)))
        else {
            self.shares.give_back(share);
            return Err(Untracked::TableFull);
        };
        let (state, adopted) = state::first(packet.signal, buffer.direction.is_sent());
        let mut meta = Meta::new(state).charged_to(share);
        if adopted {
            meta = meta.with(Meta::ADOPTED);
        }
        if buffer.direction == Direction::Received {
            meta = meta.with(Meta::REMOTE_ASKS);
        }
        connection.open(key, meta, buffer.now);
        if let Some(quality) = self.quality(number) {
            quality.reset();
        }
        connection.follow_fin(state, packet.signal, buffer.direction.is_sent());

        let Some(locked) = self.index.lock(pinned, hash) else {
            self.give_back(number, connection);
            return Err(Untracked::TableFull);
        };
        let standing = self.find(key, hash);
        let published = match standing {
            Some(known) if Some(known.record) != gone => {
                drop(locked);
                self.give_back(number, connection);
                return Ok((known, false));
            }
            standing => {
                connection.publish(self.last_id.fetch_add(1, Relaxed) + 1);
                match standing {
                    Some(old) => {
                        let replaced = locked.replace(old.record, number);
                        old.connection.unpublish();
                        replaced
                    }
                    None => locked.insert(number),
                }
            }
        };
        drop(locked);
        pinned.cpu().opened.add(1);
        if !published {
            // No bucket in reach has a slot left. Readers may have seen the record, so it goes the
            // way of every other.
            connection.unpublish();
            if self.system.is_watched() {
                self.announce(MUTEX_EVENT_START, number, connection, buffer.now);
            }
            self.end(pinned, number, connection, Meta::default(), buffer.now);
            return Err(Untracked::TableFull);
        }
        if state.is_ended() {
            let flags = ending_flags(packet.signal);
            self.end(pinned, number, connection, flags, buffer.now);
        }
        Ok((Known { record: number, connection, turned: false }, true))
    }

    /// Makes a record free again. The caller is the only one who knows it.
    pub(crate) fn give_back(&self, number: u32, connection: &Connection) {
        let share = connection.meta().share();
        connection.clear();
        self.connections.give_back(number);
        self.shares.give_back(share);
    }

    /// What network namespaces may use.
    pub(crate) fn limits(&self) -> Limits {
        self.config.limits(self.connections.size())
    }

    fn hash_of_netns(&self, netns: u32) -> u64 {
        self.secret.hash(&[netns.into(), 1])
    }

    /// The records that a network namespace other than the first uses, and those that it may use.
    pub fn share_of(&self, netns: u32) -> Option<(u32, u32)> {
        let used = self.shares.used_by(netns, self.hash_of_netns(netns))?;
        Some((used, self.limits().each))
    }

    #[inline(always)]
    fn follow_state<P: Pinned>(
        &self,
        pinned: &P,
        number: u32,
        connection: &Connection,
        packet: &Packet,
        direction: Direction,
        now: u64,
    ) {
        let meta = connection.meta();
        if state::may_turn(meta.state(), packet.signal) {
            self.turn(pinned, number, connection, meta, packet, direction, now);
        }
    }

    /// Follows a packet that may change the state.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "they are the packet's and the connection's")]
    fn turn<P: Pinned>(
        &self,
        pinned: &P,
        number: u32,
        connection: &Connection,
        meta: Meta,
        packet: &Packet,
        direction: Direction,
        now: u64,
    ) {
        let sent = direction.is_sent();
        let before = meta.state();
        if !sent && is_syn(packet.signal) {
            // It is not counted yet, so those counted are older, and TCP is done with them.
            self.count_ignored_syns(pinned, number, connection, connection.received.packets());
        }
        let after = match (before, packet.signal) {
            // Whoever sent the first packet goes on until the other end answers.
            (State::OneWay, Signal::None) if sent != meta.has(Meta::REMOTE_ASKS) => return,
            (State::OneWay, Signal::None) => State::TwoWay,
            (_, signal) => {
                let acknowledges = connection.follow_fin(before, signal, sent);
                if !sent && is_fin(signal) {
                    connection.change(|meta| Some(meta.with(Meta::FIN_RECEIVED)));
                }
                if meta.has(Meta::FOLLOWS_SOCKET) {
                    return;
                }
                state::next(before, signal, sent, acknowledges)
            }
        };
        if after == before {
            return;
        }
        let changed = connection.change(|meta| {
            (meta.state() == before && !meta.has(Meta::ENDED)).then(|| meta.in_state(after))
        });
        if changed.is_some() && after.is_ended() {
            self.end(pinned, number, connection, ending_flags(packet.signal), now);
        }
    }

    /// Ends a connection, once: whoever comes second does nothing.
    pub(crate) fn end<P: Pinned>(
        &self,
        pinned: &P,
        number: u32,
        connection: &Connection,
        flags: Meta,
        now: u64,
    ) {
        if connection.meta().has(Meta::ENDED) {
            return;
        }
        connection.set_ended_at(now);
        let ended = connection.change(|meta| {
            if meta.has(Meta::ENDED) || !meta.has(Meta::IN_USE) {
                return None;
            }
            let state = match meta.state() {
                State::TimeWait => State::TimeWait,
                _ => State::Closed,
            };
            Some(meta.in_state(state).with(flags).with(Meta::ENDED))
        });
        let Some(before) = ended else {
            return;
        };
        pinned.cpu().closed.add(1);
        if before.has(Meta::ACTIVE_IN_FD) {
            if let Some(fd) = connection.fd() {
                self.fds.deactivate(pinned, fd, now);
            }
        }
        let mut latest = self.ended.load(Relaxed);
        loop {
            connection.next().store(latest, Relaxed);
            match self.ended.compare_exchange_weak(latest, number + 1, Release, Relaxed) {
                Ok(_) => break,
                Err(seen) => latest = seen,
            }
        }
    }

    /// Learns what can be learned of the owner now.
    fn follow_owner<P: Pinned>(
        &self,
        pinned: &P,
        buffer: &Buffer<'_>,
        packet: &Packet,
        number: u32,
        connection: &Connection,
        owner: impl FnOnce(&Packet) -> Ownership,
    ) {
        if !buffer.is_local() {
            return;
        }
        match owner(packet) {
            Ownership::Unknown => {}
            Ownership::Kernel => {
                connection.change(|meta| Some(meta.with(Meta::OWNER_KNOWN)));
            }
            Ownership::Process(owner) => {
                self.own(pinned, buffer, packet, number, connection, &owner)
            }
        }
    }

    /// Gives the connection to its owner's fd, or completes what is known of the owner.
    #[cold]
    fn own<P: Pinned>(
        &self,
        pinned: &P,
        buffer: &Buffer<'_>,
        packet: &Packet,
        number: u32,
        connection: &Connection,
        owner: &Owner,
    ) {
        connection.set_owner(owner.uid, owner.cgroup);
        let known = match connection.fd() {
            Some(fd) => {
                self.fds.learn(fd, owner);
                owner.is_complete()
            }
            None => match self.give_to_fd(pinned, buffer, packet, number, connection, owner) {
                Some(()) => owner.is_complete(),
                None => {
                    pinned.cpu().fds_untracked.add(1);
                    true
                }
            },
        };
        if known {
            connection.change(|meta| Some(meta.with(Meta::OWNER_KNOWN)));
        }
    }

    fn give_to_fd<P: Pinned>(
        &self,
        pinned: &P,
        buffer: &Buffer<'_>,
        packet: &Packet,
        number: u32,
        connection: &Connection,
        owner: &Owner,
    ) -> Option<()> {
        let sighting = Sighting {
            netns: buffer.netns,
            family: packet.family.number(),
            protocol: packet.protocol,
            now: buffer.now,
        };
        let fd = self.fds.obtain(pinned, owner, &sighting)?;
        if !connection.set_fd(fd) {
            self.fds.abandon(fd);
            return Some(());
        }
        if !owner.single {
            let shared = self.fds.arena().get(fd).zip(self.quality(number));
            if let Some((fd, quality)) = shared {
                fd.quality.inherit(pinned, &self.octaves, quality);
            }
            connection.change(|meta| Some(meta.with(Meta::FD_SHARED)));
        }
        self.fds.activate(pinned, fd, number);
        // The connection may end at any moment: either this or the end takes it off again.
        let active = connection
            .change(|meta| (!meta.has(Meta::ENDED)).then(|| meta.with(Meta::ACTIVE_IN_FD)));
        if active.is_none() {
            self.fds.deactivate(pinned, fd, buffer.now);
        }
        Some(())
    }

    /// A socket other than TCP's is closed: the sweeper ends its connections. Inside an RCU read
    /// side.
    pub fn socket_closed(&self, socket: u64, inode: u64) {
        if self.fds.close(socket, inode) {
            self.sockets_closed.store(SOME_CLOSED, Release);
        }
    }

    /// Calls `end` if sockets were closed since the last call, to end their connections.
    pub(crate) fn for_closed_sockets(&self, end: impl FnOnce()) {
        let taken =
            self.sockets_closed.compare_exchange(SOME_CLOSED, CLOSED_TAKEN, AcqRel, Relaxed);
        if taken.is_err() {
            return;
        }
        end();
        // Unless another was closed meanwhile.
        let _ = self.sockets_closed.compare_exchange(CLOSED_TAKEN, NONE_CLOSED, Release, Relaxed);
    }

    /// Whether the connection's socket is closed, and the sweeper has not ended the connection yet.
    /// The next packet can be that of another socket with the same address and port.
    #[inline(always)]
    fn has_lost_socket(&self, connection: &Connection) -> bool {
        self.sockets_closed.load(Acquire) != NONE_CLOSED
            && self.shared_fd(connection).is_some_and(Fd::is_closed)
    }

    /// The records of the connections.
    pub fn connections(&self) -> &Arena<M::Connections> {
        &self.connections
    }

    /// The fds.
    pub fn fds(&self) -> &Fds<M::Fds, M::Buckets> {
        &self.fds
    }

    /// The CPUs' own parts.
    #[inline]
    pub fn cpus(&self) -> &M::Cpus {
        &self.cpus
    }

    /// What can be set.
    #[inline]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The alerts.
    pub fn alerts(&self) -> &Alerts<M::AlertSlots> {
        &self.alerts
    }

    /// The system around.
    pub fn system(&self) -> &M::System {
        &self.system
    }

    /// When the module was loaded: nanoseconds since boot.
    pub fn loaded_at(&self) -> u64 {
        self.loaded_at
    }

    /// Finds a connection by its key, or by its key seen from the other end if it is forwarded.
    pub(crate) fn look_up(&self, key: &Key) -> Option<(u32, &Connection)> {
        let known = self.find(key, self.secret.hash(&key.canonical().0))?;
        Some((known.record, known.connection))
    }

    /// Takes the records that have ended since the last call: the latest's number plus one, each
    /// naming the one before it.
    pub(crate) fn take_ended(&self) -> u32 {
        self.ended.swap(0, Acquire)
    }

    /// Takes a record out of the index, if it stands there.
    pub(crate) fn remove<P: Pinned>(&self, pinned: &P, number: u32) {
        let Some(connection) = self.connections.get(number) else {
            return;
        };
        let hash = self.secret.hash(&connection.key().canonical().0);
        if let Some(locked) = self.index.lock(pinned, hash) {
            if locked.remove(number) {
                connection.unpublish();
            }
        }
    }

    /// Whether records are so scarce that those of ended connections are needed at once.
    pub fn is_under_pressure(&self) -> bool {
        let size = self.connections.size();
        self.connections.used() >= size - size / 8
    }

    /// Whether records are scarce, of the table or of what a network namespace may use of it.
    pub fn is_short_of_records(&self) -> bool {
        self.is_under_pressure() || self.shares.is_any_pressed(self.limits())
    }

    /// The sum of the CPUs' totals.
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::ZERO;
        self.cpus.for_each(|cpu| sum.add(&cpu.totals.get()));
        sum
    }

    /// What packets without a connection moved, by reason.
    pub fn untracked(&self, reason: Untracked) -> Totals {
        let mut sum = Totals::ZERO;
        self.cpus.for_each(|cpu| sum.add(&cpu.untracked.get(reason)));
        sum
    }

    /// Memory a connection, its share of the index included.
    fn connection_bytes(&self) -> u64 {
        let records = size_of_val(self.connections.records())
            + size_of_val(&*self.qualities)
            + self.octaves.bytes();
        let bytes = records as u64 + self.index.bytes() as u64;
        bytes.div_ceil(u64::from(self.connections.size()).max(1))
    }

    /// What everybody may know: it says nothing of what anybody does.
    pub fn facts(&self, now: u64) -> [(&'static str, u64); 4] {
        [
            ("uptime_ns", now.saturating_sub(self.loaded_at)),
            ("table_size", self.connections.size().into()),
            ("fd_table_size", self.fds.arena().size().into()),
            ("connection_bytes", self.connection_bytes()),
        ]
    }

    /// Everything else that can be said in one number.
    pub fn status(&self, now: u64) -> mutex_status {
        let mut status = mutex_status::default();
        let (mut activated, mut deactivated) = (0u64, 0u64);
        self.cpus.for_each(|cpu| {
            let add = |sum: &mut u64, value: u64| *sum = sum.wrapping_add(value);
            // Ends before beginnings: what has ended is then never more than what has begun.
            add(&mut status.connections_closed, cpu.closed.get());
            add(&mut deactivated, cpu.fds_deactivated.get());
            add(&mut status.fds_total, cpu.fds_opened.get());
            add(&mut status.fds_untracked, cpu.fds_untracked.get());
            add(&mut status.cache_hits, cpu.cache_hits.get());
            add(&mut status.cache_misses, cpu.cache_misses.get());
            add(&mut status.connections_early, cpu.early.get());
            add(&mut status.latency_unplaced, cpu.latency.unplaced());
        });
        self.cpus.for_each(|cpu| {
            status.connections_total = status.connections_total.wrapping_add(cpu.opened.get());
            activated = activated.wrapping_add(cpu.fds_activated.get());
        });
        status.connections_active =
            status.connections_total.saturating_sub(status.connections_closed);
        status.fds_active = activated.saturating_sub(deactivated);
        status.uptime_ns = now.saturating_sub(self.loaded_at);
        status.table_size = self.connections.size().into();
        status.table_used = self.connections.used().into();
        status.table_high_water = self.connections.high_water().into();
        let fds = self.fds.arena();
        status.fd_table_size = fds.size().into();
        status.fd_table_used = fds.used().into();
        status.fd_table_high_water = fds.high_water().into();
        status.memory_bytes = self.bytes;
        status.connection_bytes = self.connection_bytes();
        (status.monitors, status.events_produced, status.events_lost) = self.system.watchers();
        status.packet_monitors = self.system.packet_watchers();
        status.alerts_raised = self.alerts.raised();
        status.alerts_overwritten = self.alerts.overwritten();
        status.alerts_suppressed = self.alert_limit.refused();
        status.under_pressure = self.is_under_pressure().into();
        status
    }
}

/// Counts what belongs to no connection.
#[cold]
fn leave_untracked<P: Pinned>(
    pinned: &P,
    buffer: &Buffer<'_>,
    amount: &Traffic,
    reason: Untracked,
) {
    let cpu = pinned.cpu();
    cpu.untracked.add(reason, buffer.direction, amount);
    cpu.totals.add(buffer.direction, amount);
}

/// Whether the packet begins another connection between the ends of one that has ended.
#[inline(always)]
fn opens_anew(meta: Meta, packet: &Packet) -> bool {
    if !meta.has(Meta::ENDED) {
        return false;
    }
    match packet.signal {
        _ if meta.has(Meta::TIMED_OUT.with(Meta::NETNS_GONE)) => true,
        Signal::Tcp { flags, .. } => {
            flags & (tcp_flag::SYN | tcp_flag::ACK | tcp_flag::RST) == tcp_flag::SYN
        }
        Signal::End { .. } => false,
        Signal::None => true,
    }
}

#[inline(always)]
fn key_of(buffer: &Buffer<'_>, packet: &Packet) -> Key {
    let (local, remote) = match buffer.direction {
        Direction::Received => (packet.destination, packet.source),
        _ => (packet.source, packet.destination),
    };
    Key::new(&KeyParts {
        netns: buffer.netns,
        scope: scope(packet.link_local, buffer.interface, buffer.l3mdev),
        family: packet.family,
        protocol: packet.protocol,
        forwarded: !buffer.is_local(),
        local,
        remote,
    })
}

#[inline]
fn is_syn(signal: Signal) -> bool {
    matches!(signal, Signal::Tcp { flags, .. } if flags & tcp_flag::SYN != 0)
}

#[inline]
fn is_fin(signal: Signal) -> bool {
    matches!(signal, Signal::Tcp { flags, .. } if flags & tcp_flag::FIN != 0)
}

#[inline]
fn ending_flags(signal: Signal) -> Meta {
    match signal {
        Signal::Tcp { flags, .. } if flags & tcp_flag::RST != 0 => Meta::RESET,
        Signal::End { abort: true } => Meta::RESET,
        _ => Meta::default(),
    }
}

/// The deliberate mistake of a test build, which an audit has to find: of every 16th packet of a
/// flow one byte is forgotten.
#[cfg(mutex_miscount)]
fn miscounted(flow: &crate::counters::Flow, amount: &Traffic) -> Traffic {
    let mut amount = *amount;
    if flow.copy().traffic.packets % 16 == 15 {
        amount.bytes = amount.bytes.wrapping_sub(1);
    }
    amount
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn amount(family: Family, segments: Segments, payload: u32) -> (u64, u64, u64) {
        let mut bytes = vec![0; 64];
        let network = match family {
            Family::V4 => {
                bytes[0] = 0x45;
                bytes[9] = 17;
                20
            }
            Family::V6 => {
                bytes[0] = 0x60;
                bytes[6] = 17;
                40
            }
        };
        let length = network + 8 + payload;
        let packet = parse(family, &bytes, length).expect("it is a datagram");
        let buffer = Buffer {
            direction: Direction::Received,
            family,
            bytes: &bytes,
            length,
            segments: Some(segments),
            netns: 1,
            interface: 0,
            l3mdev: 0,
            now: 0,
            has_socket: false,
            tcp: None,
            clock: || 0,
        };
        let traffic = buffer.amount(Some(&packet));
        (traffic.packets, traffic.bytes, traffic.payload)
    }

    #[test]
    fn fragments_repeat_the_ip_header_alone() {
        let fragments = |size| Segments { size, count: 1, headers: 0, unsent: 0, fragments: true };
        // As captures of what Linux makes of them have it.
        assert_eq!(amount(Family::V4, fragments(1480), 10_000), (7, 10_148, 10_000));
        assert_eq!(amount(Family::V4, fragments(1480), 5916), (5, 6024, 5916));
        assert_eq!(amount(Family::V4, fragments(1480), 1472), (1, 1500, 1472));
        assert_eq!(amount(Family::V4, fragments(1480), 1473), (2, 1521, 1473));
        assert_eq!(amount(Family::V6, fragments(1000), 9000), (10, 9488, 9000));
        assert_eq!(amount(Family::V6, fragments(1400), 1000), (1, 1048, 1000));
    }

    #[test]
    fn segments_repeat_all_headers() {
        let segments = |size| Segments { size, count: 1, headers: 0, unsent: 0, fragments: false };
        assert_eq!(amount(Family::V4, segments(1400), 10_000), (8, 10_224, 10_000));
        assert_eq!(amount(Family::V6, segments(1400), 5916), (5, 6156, 5916));
    }
}
