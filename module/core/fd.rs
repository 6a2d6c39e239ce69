// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Socket fds that own connections.
//!
//! A TCP socket owns one connection, so its fd comes and goes with it. Any other socket can own
//! many; it is found by the socket itself, and by its inode where a new socket stands at the
//! address of one that is gone.

use core::ops::Deref;

use crate::abi::*;
use crate::arena::Arena;
use crate::arena::Linked;
use crate::counters::Traffic;
use crate::cpu::Pinned;
use crate::index::Bucket;
use crate::index::Index;
use crate::key::Secret;
use crate::latency::Octave;
use crate::latency::Pool;
use crate::quality::Quality;
use crate::rate::window_of;
use crate::rate::Rates;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::AcqRel;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::Ordering::Release;

/// What the kernel tells of a socket and of who uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Stands for the socket while it lives; never shown to anyone.
    pub socket: u64,
    /// Whether the socket owns one connection only.
    pub single: bool,
    /// Inode number, 0 while the socket has none (it waits to be accepted).
    pub inode: u64,
    /// Process in whose context the packet was sent, 0 if it was nobody's.
    pub pid: u32,
    /// The socket's uid in the first user namespace.
    pub uid: u32,
    /// The socket's cgroup id.
    pub cgroup: u64,
    /// The process's command, zero-terminated.
    pub command: [u8; MUTEX_COMMAND_SIZE as usize],
}

impl Owner {
    /// Whether nothing is left to be learned.
    pub fn is_complete(&self) -> bool {
        self.inode != 0 && self.pid != 0
    }
}

/// The record of an fd.
///
/// Invariants:
/// - `references` is `DEAD` while the record is free, else one for the table and one for each
///   connection whose record names this fd.
/// - What closed connections moved is added, and the record freed, under the ledger's lock only.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Fd {
    references: AtomicU32,
    next: AtomicU32,
    socket: AtomicU64,
    inode: AtomicU64,
    id: AtomicU64,
    cgroup: AtomicU64,
    first_seen: AtomicU64,
    /// When its last active connection ended; of no meaning while one is active.
    idle_since: AtomicU64,
    total: AtomicU64,
    active: AtomicU32,
    pid: AtomicU32,
    uid: AtomicU32,
    netns: AtomicU32,
    command: [AtomicU64; 2],
    protocol: AtomicU32,
    /// Family, whether it owns one connection only, and whether its network namespace is gone.
    kind: AtomicU32,
    closed_sent: [AtomicU64; 4],
    closed_received: [AtomicU64; 4],
    /// The connection of an fd that owns one only: its record's number plus one.
    only: AtomicU32,
    /// Of an fd that may own many; the other's quality is its connection's.
    pub(crate) quality: Quality,
    window: Window,
}

/// What an fd that may own many connections moved in the current window and in the one before.
///
/// Whoever crosses into a new window turns the page. A packet that another CPU counts at that very
/// moment may land on the wrong one.
#[derive(Debug, Default)]
struct Window {
    /// The window's second plus one; 0 if there was none.
    second: AtomicU32,
    /// Sent and received.
    bytes: [AtomicU64; 2],
    previous: [AtomicU64; 2],
    /// Since the beginning.
    packets: [AtomicU64; 2],
}

/// A window of an fd that is over: bytes sent and received, and packets up to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClosedWindow {
    pub(crate) bytes: [u64; 2],
    pub(crate) packets: [u64; 2],
}

impl Window {
    fn reset(&self) {
        self.second.store(0, Relaxed);
        let words = self.bytes.iter().chain(&self.previous).chain(&self.packets);
        words.for_each(|word| word.store(0, Relaxed));
    }

    /// Turns the page if `now` is in a later window.
    fn turn(&self, now: u64) -> Option<ClosedWindow> {
        let next = window_of(now) as u32 + 1;
        let second = self.second.load(Acquire);
        if second >= next || self.second.compare_exchange(second, next, AcqRel, Relaxed).is_err() {
            return None;
        }
        let mut closed = ClosedWindow::default();
        let pages = self.bytes.iter().zip(&self.previous).zip(&self.packets);
        let outs = closed.bytes.iter_mut().zip(&mut closed.packets);
        for (((bytes, previous), packets), (closed, total)) in pages.zip(outs) {
            *closed = bytes.swap(0, Relaxed);
            *total = packets.load(Relaxed);
            previous.store(if second + 1 == next { *closed } else { 0 }, Relaxed);
        }
        (second != 0).then_some(closed)
    }

    fn rates(&self, now: u64) -> Rates {
        let read = |words: &[AtomicU64; 2]| {
            let [sent, received] = words;
            Rates { sent: sent.load(Relaxed), received: received.load(Relaxed) }
        };
        match (window_of(now) as u32 + 1).saturating_sub(self.second.load(Acquire)) {
            0 => read(&self.previous),
            1 => read(&self.bytes),
            _ => Rates::default(),
        }
    }
}

/// `references` of a record that is no fd's; zero, because fresh memory reads so.
const DEAD: u32 = 0;
const KIND_SINGLE: u32 = 1 << 8;
const KIND_NETNS_GONE: u32 = 1 << 9;
const KIND_SOCKET_CLOSED: u32 = 1 << 10;

impl Linked for Fd {
    fn next(&self) -> &AtomicU32 {
        &self.next
    }
}

/// Where and when an fd was first seen.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// 4 or 6.
    pub family: u8,
    /// Protocol number as in the IP header.
    pub protocol: u8,
    /// Nanoseconds since boot.
    pub now: u64,
}

fn store_traffic(cells: &[AtomicU64; 4], value: Option<&Traffic>) {
    for (index, cell) in cells.iter().enumerate() {
        let new = match value {
            Some(traffic) => {
                let fields = traffic.fields();
                cell.load(Relaxed).wrapping_add(fields.get(index).map_or(0, |field| field.1))
            }
            None => 0,
        };
        cell.store(new, Relaxed);
    }
}

fn load_traffic([packets, buffers, bytes, payload]: &[AtomicU64; 4]) -> Traffic {
    Traffic {
        packets: packets.load(Relaxed),
        buffers: buffers.load(Relaxed),
        bytes: bytes.load(Relaxed),
        payload: payload.load(Relaxed),
    }
}

impl Fd {
    fn open(&self, id: u64, owner: &Owner, sighting: &Sighting) {
        self.id.store(id, Relaxed);
        self.socket.store(owner.socket, Relaxed);
        self.inode.store(0, Relaxed);
        self.pid.store(0, Relaxed);
        for word in &self.command {
            word.store(0, Relaxed);
        }
        self.cgroup.store(owner.cgroup, Relaxed);
        self.uid.store(owner.uid, Relaxed);
        self.first_seen.store(sighting.now, Relaxed);
        self.idle_since.store(sighting.now, Relaxed);
        self.netns.store(sighting.netns, Relaxed);
        self.protocol.store(sighting.protocol.into(), Relaxed);
        let single = if owner.single { KIND_SINGLE } else { 0 };
        self.kind.store(u32::from(sighting.family) | single, Relaxed);
        self.active.store(0, Relaxed);
        self.total.store(0, Relaxed);
        store_traffic(&self.closed_sent, None);
        store_traffic(&self.closed_received, None);
        self.only.store(0, Relaxed);
        self.quality.reset();
        self.window.reset();
        self.learn(owner);
        // The table's own reference and the first connection's.
        self.references.store(2, Release);
    }

    /// Fills in what was not known of the owner. The first process seen stays.
    fn learn(&self, owner: &Owner) {
        if owner.inode != 0 {
            let _ = self.inode.compare_exchange(0, owner.inode, Relaxed, Relaxed);
        }
        if owner.pid != 0 && self.pid.compare_exchange(0, owner.pid, Relaxed, Relaxed).is_ok() {
            let (first, second) = owner.command.split_at(8);
            for (word, half) in self.command.iter().zip([first, second]) {
                let half = half.try_into().unwrap_or([0; 8]);
                word.store(u64::from_ne_bytes(half), Relaxed);
            }
        }
    }

    fn is_of(&self, owner: &Owner) -> bool {
        self.socket.load(Relaxed) == owner.socket && self.inode.load(Relaxed) == owner.inode
    }

    fn is_single(&self) -> bool {
        self.kind.load(Relaxed) & KIND_SINGLE != 0
    }

    /// Whether its socket is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.kind.load(Acquire) & KIND_SOCKET_CLOSED != 0
    }

    /// Whether its network namespace is gone.
    pub(crate) fn has_lost_netns(&self) -> bool {
        self.kind.load(Relaxed) & KIND_NETNS_GONE != 0
    }

    /// Notes that its network namespace is gone.
    pub(crate) fn lose_netns(&self) {
        self.kind.fetch_or(KIND_NETNS_GONE, Relaxed);
    }

    /// Counts a packet in its window; what the last one held, to one who crosses into the next.
    #[inline]
    pub(crate) fn count(&self, sent: bool, amount: &Traffic, now: u64) -> Option<ClosedWindow> {
        let closed = self.window.turn(now);
        let direction = usize::from(!sent);
        let counters = self.window.bytes.get(direction).zip(self.window.packets.get(direction));
        if let Some((bytes, packets)) = counters {
            bytes.fetch_add(amount.bytes, Relaxed);
            packets.fetch_add(amount.packets, Relaxed);
        }
        closed
    }

    /// Whether a window is over that nobody has closed.
    pub(crate) fn is_window_open(&self, now: u64) -> bool {
        let second = self.window.second.load(Acquire);
        second != 0
            && (window_of(now) as u32).saturating_sub(second) > 0
            && self.window.bytes.iter().any(|bytes| bytes.load(Relaxed) != 0)
    }

    /// Closes it, for one caller.
    pub(crate) fn finish(&self, _pinned: &impl Pinned, now: u64) -> Option<ClosedWindow> {
        self.window.turn(now)
    }

    /// Bytes a second, of an fd that may own many connections.
    pub(crate) fn rates(&self, now: u64) -> Rates {
        self.window.rates(now)
    }

    /// The record of the only connection it can own.
    pub(crate) fn only_connection(&self) -> Option<u32> {
        self.only.load(Acquire).checked_sub(1)
    }

    /// Names the fd in an alert.
    pub(crate) fn name(&self, alert: &mut mutex_alert) {
        alert.pid = self.pid.load(Relaxed);
        alert.command = self.command();
        alert.netns = self.netns();
        alert.family = self.kind.load(Relaxed) as u8;
        alert.protocol = self.protocol.load(Relaxed) as u8;
    }

    fn command(&self) -> [u8; MUTEX_COMMAND_SIZE as usize] {
        let mut command = [0; MUTEX_COMMAND_SIZE as usize];
        for (bytes, word) in command.chunks_exact_mut(8).zip(&self.command) {
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        command
    }

    /// The id.
    pub fn id(&self) -> u64 {
        self.id.load(Relaxed)
    }

    /// Inode number of its network namespace.
    pub fn netns(&self) -> u32 {
        self.netns.load(Relaxed)
    }

    /// Whether the record is an fd's.
    pub fn is_in_use(&self) -> bool {
        self.references.load(Acquire) != DEAD
    }

    /// The record for userspace but for its quality; `sums` is what its live connections moved, and times since boot
    /// are moved by `offset` to Unix time.
    pub(crate) fn to_wire(&self, sums: &FdSums, offset: u64) -> mutex_fd {
        let kind = self.kind.load(Relaxed);
        let active = self.active.load(Relaxed);
        let (mut sent, mut received) =
            (load_traffic(&self.closed_sent), load_traffic(&self.closed_received));
        sent.add(&sums.sent);
        received.add(&sums.received);
        mutex_fd {
            id: self.id(),
            inode: self.inode.load(Relaxed),
            cgroup: self.cgroup.load(Relaxed),
            first_seen_ns: self.first_seen.load(Relaxed).wrapping_add(offset),
            closed_ns: match active {
                0 => self.idle_since.load(Relaxed).wrapping_add(offset),
                _ => 0,
            },
            pid: self.pid.load(Relaxed),
            uid: self.uid.load(Relaxed),
            netns: self.netns(),
            family: kind as u8,
            protocol: self.protocol.load(Relaxed) as u8,
            reserved: 0,
            command: self.command(),
            active_connections: active.into(),
            total_connections: self.total.load(Relaxed),
            sent,
            received,
            ..Default::default()
        }
    }
}

/// What an fd's live connections moved, as far as a reader has seen them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdSums {
    /// Sent.
    pub sent: Traffic,
    /// Received.
    pub received: Traffic,
}

/// All fds.
pub struct Fds<A, B> {
    arena: Arena<A>,
    index: Index<B>,
    secret: Secret,
    last_id: AtomicU64,
}

impl<A: Deref<Target = [Fd]>, B: Deref<Target = [Bucket]>> Fds<A, B> {
    /// Takes unused records and empty buckets.
    pub fn new(records: A, buckets: B, secret: Secret) -> Option<Self> {
        Some(Fds {
            arena: Arena::new(records),
            index: Index::new(buckets)?,
            secret,
            last_id: AtomicU64::new(0),
        })
    }

    /// The records.
    pub fn arena(&self) -> &Arena<A> {
        &self.arena
    }

    #[inline]
    fn hash(&self, socket: u64) -> u64 {
        self.secret.hash(&[socket, 0])
    }

    /// The fd of `owner`, made if there is none yet, with a reference for a connection.
    /// `None` if the table is full.
    pub(crate) fn obtain(
        &self,
        pinned: &impl Pinned,
        owner: &Owner,
        sighting: &Sighting,
    ) -> Option<u32> {
        if owner.single {
            return self.open(pinned, owner, sighting);
        }
        let hash = self.hash(owner.socket);
        let refer = |number| self.refer(number, owner).then_some(number);
        let known = self.index.find(hash, refer);
        if known.is_some() {
            return known;
        }
        let locked = self.index.lock(pinned, hash)?;
        let known = locked.find(refer);
        if known.is_some() {
            return known;
        }
        let number = self.open(pinned, owner, sighting)?;
        let same_socket = |other| {
            let fd = self.arena.get(other)?;
            (fd.socket.load(Relaxed) == owner.socket).then_some(other)
        };
        let published = match locked.find(same_socket) {
            Some(gone) => locked.replace(gone, number),
            None => locked.insert(number),
        };
        if !published {
            // Nobody can find it again, so it lives as long as this connection.
            self.make_single(number);
        }
        Some(number)
    }

    fn open(&self, pinned: &impl Pinned, owner: &Owner, sighting: &Sighting) -> Option<u32> {
        let number = self.arena.take()?;
        let fd = self.arena.get(number)?;
        fd.open(self.last_id.fetch_add(1, Relaxed) + 1, owner, sighting);
        pinned.cpu().fds_opened.add(1);
        Some(number)
    }

    /// Takes a reference if the record is still the owner's fd.
    fn refer(&self, number: u32, owner: &Owner) -> bool {
        let Some(fd) = self.arena.get(number) else {
            return false;
        };
        let referred = fd
            .references
            .fetch_update(AcqRel, Acquire, |count| (count != DEAD).then_some(count + 1))
            .is_ok();
        if referred && !fd.is_of(owner) {
            fd.references.fetch_sub(1, AcqRel);
            return false;
        }
        referred
    }

    /// Gives back a reference that no connection came to hold.
    pub(crate) fn abandon(&self, number: u32) {
        if let Some(fd) = self.arena.get(number) {
            fd.references.fetch_sub(1, AcqRel);
        }
    }

    /// Notes that a socket is closed; whether it is one of these. Inside an RCU read side.
    pub(crate) fn close(&self, socket: u64, inode: u64) -> bool {
        let found = self.index.find(self.hash(socket), |number| {
            let fd = self.arena.get(number)?;
            let is_it =
                fd.socket.load(Relaxed) == socket && [0, inode].contains(&fd.inode.load(Relaxed));
            is_it.then_some(fd)
        });
        match found {
            Some(fd) => {
                fd.kind.fetch_or(KIND_SOCKET_CLOSED, Release);
                true
            }
            None => false,
        }
    }

    fn make_single(&self, number: u32) {
        if let Some(fd) = self.arena.get(number) {
            fd.kind.fetch_or(KIND_SINGLE, Relaxed);
        }
    }

    /// Completes what is known of the owner.
    pub(crate) fn learn(&self, number: u32, owner: &Owner) {
        if let Some(fd) = self.arena.get(number) {
            fd.learn(owner);
        }
    }

    /// The id of an fd.
    pub(crate) fn id(&self, number: u32) -> u64 {
        self.arena.get(number).map_or(0, Fd::id)
    }

    /// Counts a connection that opens, in the record `connection`.
    pub(crate) fn activate(&self, pinned: &impl Pinned, number: u32, connection: u32) {
        if let Some(fd) = self.arena.get(number) {
            if fd.is_single() {
                fd.only.store(connection + 1, Release);
            }
            fd.total.fetch_add(1, Relaxed);
            if fd.active.fetch_add(1, AcqRel) == 0 {
                pinned.cpu().fds_activated.add(1);
            }
        }
    }

    /// Counts a connection that ends.
    pub(crate) fn deactivate(&self, pinned: &impl Pinned, number: u32, now: u64) {
        if let Some(fd) = self.arena.get(number) {
            fd.idle_since.store(now, Relaxed);
            if fd.active.fetch_sub(1, AcqRel) == 1 {
                pinned.cpu().fds_deactivated.add(1);
            }
        }
    }

    /// Takes over what a connection moved whose record goes, and its reference. The caller holds
    /// the ledger's lock. True if the fd went with it.
    pub(crate) fn settle<O: Deref<Target = [Octave]>>(
        &self,
        number: u32,
        octaves: &Pool<O>,
        sent: &Traffic,
        received: &Traffic,
    ) -> bool {
        let Some(fd) = self.arena.get(number) else {
            return false;
        };
        store_traffic(&fd.closed_sent, Some(sent));
        store_traffic(&fd.closed_received, Some(received));
        fd.references.fetch_sub(1, AcqRel);
        fd.is_single() && self.free(number, fd, octaves)
    }

    /// Frees the fd if only the table refers to it.
    fn free<O: Deref<Target = [Octave]>>(&self, number: u32, fd: &Fd, octaves: &Pool<O>) -> bool {
        let free = fd.references.compare_exchange(1, DEAD, AcqRel, Relaxed).is_ok();
        if free {
            // An fd that found no place in the index was to own many connections, and has samples.
            fd.quality.forget(octaves);
            self.arena.give_back(number);
        }
        free
    }

    /// Frees an fd without connections whose network namespace is gone, or that has had none for
    /// `timeout`. The caller holds the ledger's lock. True if it went.
    pub(crate) fn expire<P: Pinned, O: Deref<Target = [Octave]>>(
        &self,
        pin: impl FnOnce() -> P,
        octaves: &Pool<O>,
        number: u32,
        now: u64,
        timeout: u64,
    ) -> bool {
        let Some(fd) = self.arena.get(number) else {
            return false;
        };
        if fd.references.load(Acquire) != 1 {
            return false;
        }
        let idle = now.saturating_sub(fd.idle_since.load(Relaxed));
        let due = idle >= timeout || fd.is_single() || fd.is_closed();
        if !due && fd.kind.load(Relaxed) & KIND_NETNS_GONE == 0 {
            return false;
        }
        let pinned = pin();
        // Whoever looks for it now either refers to it before it is dead or finds it dead.
        let socket = fd.socket.load(Relaxed);
        let Some(locked) = self.index.lock(&pinned, self.hash(socket)) else {
            return false;
        };
        if fd.references.compare_exchange(1, DEAD, AcqRel, Relaxed).is_err() {
            return false;
        }
        locked.remove(number);
        drop(locked);
        fd.quality.forget(octaves);
        self.arena.give_back(number);
        true
    }
}
