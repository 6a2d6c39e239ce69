// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! The record of a connection.

use crate::abi::*;
use crate::arena::Linked;
use crate::counters::Direction;
use crate::counters::Flow;
use crate::counters::Totals;
use crate::key::Key;
use crate::parse::tcp_flag;
use crate::parse::Signal;
use crate::rate::Rates;
use crate::shares::Share;
use crate::state::State;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::AcqRel;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::Ordering::Release;
use crate::timing::Timing;

/// State and flags of a connection, in one word so that they change together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta(u32);

impl Meta {
    const STATE: u32 = 0xff;
    /// The connection has ended; set once, by whoever ends it.
    pub const ENDED: Meta = Meta(1 << 8);
    /// The record is a connection's, and not free.
    pub const IN_USE: Meta = Meta(1 << 9);
    /// It counts as one of its fd's active connections.
    pub const ACTIVE_IN_FD: Meta = Meta(1 << 10);
    /// All that can be known of its owner is.
    pub const OWNER_KNOWN: Meta = Meta(1 << 11);
    /// Its opening was missed.
    pub const ADOPTED: Meta = Meta(1 << 12);
    /// Ended by a reset.
    pub const RESET: Meta = Meta(1 << 13);
    /// Ended by silence.
    pub const TIMED_OUT: Meta = Meta(1 << 14);
    /// Ended with its network namespace.
    pub const NETNS_GONE: Meta = Meta(1 << 15);
    /// The first packet came from the remote end, which therefore is the one who asks.
    pub const REMOTE_ASKS: Meta = Meta(1 << 16);
    /// Its fd may own other connections too.
    pub const FD_SHARED: Meta = Meta(1 << 17);
    /// The kernel says what its state is, not its packets.
    pub const FOLLOWS_SOCKET: Meta = Meta(1 << 18);
    /// A FIN was received.
    pub const FIN_RECEIVED: Meta = Meta(1 << 19);

    /// Where its [`Share`] begins: it takes the uppermost bits.
    const SHARE: u32 = u32::BITS - Share::BITS;

    /// That state without flags.
    #[inline]
    pub fn new(state: State) -> Self {
        Meta(u32::from(state as u8))
    }

    /// The state.
    #[inline]
    pub fn state(self) -> State {
        State::from_number((self.0 & Self::STATE) as u8)
    }

    /// Whether any flag of `flags` is set.
    #[inline]
    pub fn has(self, flags: Meta) -> bool {
        self.0 & flags.0 & !Self::STATE != 0
    }

    /// With the flags of `flags` too.
    #[inline]
    pub fn with(self, flags: Meta) -> Self {
        Meta(self.0 | flags.0 & !Self::STATE)
    }

    /// Without the flags of `flags`.
    #[inline]
    pub fn without(self, flags: Meta) -> Self {
        Meta(self.0 & !(flags.0 & !Self::STATE))
    }

    /// With what its record is charged to, which there is none of yet.
    pub(crate) fn charged_to(self, share: Share) -> Self {
        Meta(self.0 | (share.number() << Self::SHARE))
    }

    /// What its record is charged to.
    #[inline]
    pub(crate) fn share(self) -> Share {
        Share::from_number(self.0 >> Self::SHARE)
    }

    /// In another state.
    #[inline]
    pub fn in_state(self, state: State) -> Self {
        Meta(self.0 & !Self::STATE | u32::from(state as u8))
    }

    fn wire_flags(self, forwarded: bool) -> u32 {
        let pairs = [
            (Meta::ADOPTED, MUTEX_CONNECTION_ADOPTED),
            (Meta::RESET, MUTEX_CONNECTION_RESET),
            (Meta::TIMED_OUT, MUTEX_CONNECTION_TIMED_OUT),
            (Meta::NETNS_GONE, MUTEX_CONNECTION_NETNS_GONE),
        ];
        let flags = if forwarded { MUTEX_CONNECTION_FORWARDED } else { 0 };
        pairs
            .iter()
            .filter(|(mine, _)| self.has(*mine))
            .fold(flags, |flags, (_, wire)| flags | wire)
    }
}

/// A connection: four cache lines.
///
/// The first is what every packet reads; it changes only when the connection opens, turns or ends.
/// The second and third are written by the packets of one direction each, so that two CPUs that
/// send and receive do not take a line from one another. The fourth is rarely touched.
///
/// Invariants:
/// - The key and what is set at the opening do not change while [`Meta::IN_USE`] is set.
/// - `generation` is odd while the record stands in the index, and changes when it leaves.
/// - A packet counts here only in an RCU read side in which it found the record in the index or
///   its generation unchanged. After leaving the index and a grace period the counters are final.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Connection {
    key: [AtomicU64; 6],
    generation: AtomicU32,
    meta: AtomicU32,
    /// The fd's number plus one; 0 while none is known.
    fd: AtomicU32,
    next: AtomicU32,
    /// Packets that the local end or the initiator received.
    pub received: Flow,
    /// Packets that it sent.
    pub sent: Flow,
    pub(crate) details: Details,
}

#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Details {
    id: AtomicU64,
    first_seen: AtomicU64,
    ended_at: AtomicU64,
    cgroup: AtomicU64,
    uid: AtomicU32,
    /// Sequence number after the FIN that was sent, and after the one that was received.
    fin_sent: AtomicU32,
    fin_received: AtomicU32,
    pub(crate) timing: Timing,
}

/// What `include/mutex.h` says of a mapped record, which is this record itself.
#[cfg(not(loom))]
const _: () = {
    use core::mem::offset_of;
    type Live = mutex_live_connection;
    assert!(size_of::<Connection>() == size_of::<Live>());
    assert!(offset_of!(Connection, key) == offset_of!(Live, local_address));
    assert!(offset_of!(Connection, generation) == offset_of!(Live, generation));
    assert!(offset_of!(Connection, meta) == offset_of!(Live, state));
    assert!(offset_of!(Connection, received) == offset_of!(Live, received));
    assert!(offset_of!(Connection, sent) == offset_of!(Live, sent));
    let details = offset_of!(Connection, details);
    assert!(details + offset_of!(Details, id) == offset_of!(Live, id));
    assert!(details + offset_of!(Details, first_seen) == offset_of!(Live, first_seen_ns));
    assert!(details + offset_of!(Details, cgroup) == offset_of!(Live, cgroup));
    assert!(details + offset_of!(Details, uid) == offset_of!(Live, uid));
};

impl Linked for Connection {
    fn next(&self) -> &AtomicU32 {
        &self.next
    }
}

impl Connection {
    /// Makes a free record a connection's. It is not [`Meta::IN_USE`] yet.
    pub(crate) fn open(&self, key: &Key, meta: Meta, now: u64) {
        for (mine, yours) in self.key.iter().zip(key.0) {
            mine.store(yours, Relaxed);
        }
        self.fd.store(0, Relaxed);
        self.received.reset();
        self.sent.reset();
        let details = &self.details;
        for word in [&details.id, &details.ended_at, &details.cgroup] {
            word.store(0, Relaxed);
        }
        details.first_seen.store(now, Relaxed);
        details.uid.store(MUTEX_UID_UNKNOWN, Relaxed);
        details.timing.reset();
        self.meta.store(meta.0, Release);
    }

    /// Names it and makes it count, just before it enters the index.
    pub(crate) fn publish(&self, id: u64) {
        self.details.id.store(id, Relaxed);
        self.generation.fetch_add(1, Release);
        self.meta.fetch_or(Meta::IN_USE.0, Release);
    }

    /// Notes that it has left the index.
    pub(crate) fn unpublish(&self) {
        self.generation.fetch_add(1, Release);
    }

    /// Makes it a free record again, which tells nothing of the connection it was. The caller is
    /// the only one who writes it.
    pub(crate) fn clear(&self) {
        self.meta.store(0, Release);
        for word in &self.key {
            word.store(0, Relaxed);
        }
        self.fd.store(0, Relaxed);
        self.received.reset();
        self.sent.reset();
        let details = &self.details;
        for word in [&details.id, &details.first_seen, &details.ended_at, &details.cgroup] {
            word.store(0, Relaxed);
        }
        for word in [&details.uid, &details.fin_sent, &details.fin_received] {
            word.store(0, Relaxed);
        }
        details.timing.reset();
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> Key {
        let mut key = Key::default();
        for (yours, mine) in key.0.iter_mut().zip(&self.key) {
            *yours = mine.load(Relaxed);
        }
        key
    }

    /// Whether that is the key.
    #[inline(always)]
    pub(crate) fn has_key(&self, key: &Key) -> bool {
        let differs = self.key.iter().zip(key.0);
        differs.fold(0, |differs, (mine, yours)| differs | (mine.load(Relaxed) ^ yours)) == 0
    }

    /// Odd while the record stands in the index; another one each time.
    #[inline]
    pub fn generation(&self) -> u32 {
        self.generation.load(Acquire)
    }

    /// State and flags.
    #[inline]
    pub fn meta(&self) -> Meta {
        Meta(self.meta.load(Acquire))
    }

    /// Changes state and flags to what `change` makes of them, unless it gives `None`.
    /// Returns what they were if it changed them.
    #[inline]
    pub(crate) fn change(&self, mut change: impl FnMut(Meta) -> Option<Meta>) -> Option<Meta> {
        self.meta
            .fetch_update(AcqRel, Acquire, |meta| change(Meta(meta)).map(|meta| meta.0))
            .ok()
            .map(Meta)
    }

    /// The flow of a direction.
    #[inline]
    pub fn flow(&self, direction: Direction) -> &Flow {
        if direction.is_sent() {
            &self.sent
        } else {
            &self.received
        }
    }

    /// When the last packet passed, or the connection was opened: nanoseconds since boot.
    pub fn last_seen(&self) -> u64 {
        self.details
            .first_seen
            .load(Relaxed)
            .max(self.sent.last_seen())
            .max(self.received.last_seen())
    }

    /// Whether only one end has spoken.
    pub fn is_one_sided(&self) -> bool {
        self.sent.is_used() != self.received.is_used()
    }

    /// When it ended: nanoseconds since boot.
    pub fn ended_at(&self) -> u64 {
        self.details.ended_at.load(Relaxed)
    }

    pub(crate) fn set_ended_at(&self, now: u64) {
        self.details.ended_at.store(now, Relaxed);
    }

    /// The fd's number.
    #[inline]
    pub fn fd(&self) -> Option<u32> {
        self.fd.load(Acquire).checked_sub(1)
    }

    /// Gives it to an fd; false if it has one.
    pub(crate) fn set_fd(&self, number: u32) -> bool {
        self.fd.compare_exchange(0, number + 1, AcqRel, Relaxed).is_ok()
    }

    pub(crate) fn set_owner(&self, uid: u32, cgroup: u64) {
        self.details.uid.store(uid, Relaxed);
        self.details.cgroup.store(cgroup, Relaxed);
    }

    /// Follows the FINs, and tells whether this packet acknowledges the other side's.
    #[inline]
    pub(crate) fn follow_fin(&self, state: State, signal: Signal, sent: bool) -> bool {
        let Signal::Tcp { flags, end, ack } = signal else {
            return false;
        };
        let (mine, other) = if sent {
            (&self.details.fin_sent, &self.details.fin_received)
        } else {
            (&self.details.fin_received, &self.details.fin_sent)
        };
        if flags & tcp_flag::FIN != 0 {
            mine.store(end, Relaxed);
        }
        // Only these wait for an acknowledgement; sequence numbers compare modulo 2^32.
        matches!(state, State::FinWait1 | State::Closing | State::LastAck)
            && flags & tcp_flag::ACK != 0
            && ack.wrapping_sub(other.load(Relaxed)) as i32 >= 0
    }

    /// The counters as totals of the directions they belong to.
    pub fn totals(&self) -> Totals {
        let (sent, received) = (self.sent.copy().traffic, self.received.copy().traffic);
        if self.key().is_forwarded() {
            Totals { forwarded_sent: sent, forwarded_received: received, ..Totals::ZERO }
        } else {
            Totals { sent, received, ..Totals::ZERO }
        }
    }

    /// The id.
    #[inline]
    pub fn id(&self) -> u64 {
        self.details.id.load(Relaxed)
    }

    /// Its owner's uid and cgroup id, as far as they are known.
    pub fn owner(&self) -> (u32, u64) {
        (self.details.uid.load(Relaxed), self.details.cgroup.load(Relaxed))
    }

    /// The record for userspace but for its quality and its fd's id, and its rates at `now`; times
    /// since boot are moved by `offset` to Unix time.
    #[inline]
    pub(crate) fn to_wire(&self, offset: u64, now: u64) -> (mutex_connection, Rates) {
        let (key, meta) = (self.key().parts(), self.meta());
        let (sent, received) = (self.sent.copy(), self.received.copy());
        let details = &self.details;
        let first_seen = details.first_seen.load(Relaxed);
        let (inward, outward) = if key.forwarded {
            (sent.interface, received.interface)
        } else {
            (received.interface, sent.interface)
        };
        let rates = Rates { sent: sent.rate(now), received: received.rate(now) };
        let wire = mutex_connection {
            id: details.id.load(Relaxed),
            cgroup: details.cgroup.load(Relaxed),
            first_seen_ns: first_seen.wrapping_add(offset),
            last_seen_ns: first_seen
                .max(sent.last_seen)
                .max(received.last_seen)
                .wrapping_add(offset),
            closed_ns: if meta.has(Meta::ENDED) {
                self.ended_at().max(first_seen).wrapping_add(offset)
            } else {
                0
            },
            local_address: key.local.address.octets(),
            remote_address: key.remote.address.octets(),
            local_port: key.local.port,
            remote_port: key.remote.port,
            netns: key.netns,
            scope: key.scope,
            uid: details.uid.load(Relaxed),
            in_interface: inward,
            out_interface: outward,
            family: key.family.number(),
            protocol: key.protocol,
            state: meta.state() as u8,
            reserved: 0,
            flags: meta.wire_flags(key.forwarded),
            sent: sent.traffic,
            received: received.traffic,
            ..Default::default()
        };
        (wire, rates)
    }
}
