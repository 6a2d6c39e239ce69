// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Counters: plain sums, a connection's, and a CPU's.
//!
//! All arithmetic wraps on purpose: a 64-bit counter outlives its host, and a panic in the kernel
//! would not be a better answer to one that does not.

pub use crate::abi::mutex_totals as Totals;
pub use crate::abi::mutex_traffic as Traffic;
use crate::cpu::Pinned;
use crate::parse::Untracked;
use crate::rate;
use crate::seqlock::SeqLock;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::Ordering::Release;

/// The directions that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// By a local socket.
    Sent = 0,
    /// By a local socket.
    Received = 1,
    /// By the initiator of a connection that passes through this host.
    ForwardedSent = 2,
    /// To the initiator of a connection that passes through this host.
    ForwardedReceived = 3,
}

impl Direction {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// Every direction, in the order of its number.
    pub const ALL: [Direction; Self::COUNT] = [
        Direction::Sent,
        Direction::Received,
        Direction::ForwardedSent,
        Direction::ForwardedReceived,
    ];

    /// Whether the packet leaves the connection's local end or its initiator.
    #[inline]
    pub fn is_sent(self) -> bool {
        matches!(self, Direction::Sent | Direction::ForwardedSent)
    }

    /// The same packet's direction seen from the other end of a forwarded connection.
    #[inline]
    pub fn turned(self) -> Self {
        match self {
            Direction::Sent => Direction::Received,
            Direction::Received => Direction::Sent,
            Direction::ForwardedSent => Direction::ForwardedReceived,
            Direction::ForwardedReceived => Direction::ForwardedSent,
        }
    }
}

impl Traffic {
    /// Nothing.
    pub const ZERO: Traffic = Traffic { packets: 0, buffers: 0, bytes: 0, payload: 0 };

    /// Adds, wrapping.
    #[inline]
    pub fn add(&mut self, other: &Traffic) {
        self.packets = self.packets.wrapping_add(other.packets);
        self.buffers = self.buffers.wrapping_add(other.buffers);
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.payload = self.payload.wrapping_add(other.payload);
    }

    /// Subtracts, wrapping.
    #[inline]
    pub fn subtract(&mut self, other: &Traffic) {
        self.packets = self.packets.wrapping_sub(other.packets);
        self.buffers = self.buffers.wrapping_sub(other.buffers);
        self.bytes = self.bytes.wrapping_sub(other.bytes);
        self.payload = self.payload.wrapping_sub(other.payload);
    }

    /// The four counters with the names that all formats use.
    pub fn fields(&self) -> [(&'static str, u64); 4] {
        [
            ("packets", self.packets),
            ("buffers", self.buffers),
            ("bytes", self.bytes),
            ("payload", self.payload),
        ]
    }
}

impl Totals {
    /// Nothing.
    pub const ZERO: Totals = Totals {
        sent: Traffic::ZERO,
        received: Traffic::ZERO,
        forwarded_sent: Traffic::ZERO,
        forwarded_received: Traffic::ZERO,
    };

    /// One direction's counters.
    #[inline]
    pub fn of(&self, direction: Direction) -> &Traffic {
        match direction {
            Direction::Sent => &self.sent,
            Direction::Received => &self.received,
            Direction::ForwardedSent => &self.forwarded_sent,
            Direction::ForwardedReceived => &self.forwarded_received,
        }
    }

    /// One direction's counters, to change.
    #[inline]
    pub fn of_mut(&mut self, direction: Direction) -> &mut Traffic {
        match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
            Direction::ForwardedSent => &mut self.forwarded_sent,
            Direction::ForwardedReceived => &mut self.forwarded_received,
        }
    }

    /// Adds, wrapping.
    pub fn add(&mut self, other: &Totals) {
        for direction in Direction::ALL {
            self.of_mut(direction).add(other.of(direction));
        }
    }

    /// Subtracts, wrapping.
    pub fn subtract(&mut self, other: &Totals) {
        for direction in Direction::ALL {
            self.of_mut(direction).subtract(other.of(direction));
        }
    }

    /// The four directions with the names that all formats use.
    pub fn fields(&self) -> [(&'static str, &Traffic); Direction::COUNT] {
        [
            ("sent", &self.sent),
            ("received", &self.received),
            ("forwarded_sent", &self.forwarded_sent),
            ("forwarded_received", &self.forwarded_received),
        ]
    }
}

/// One direction of one connection: counters that belong together and change together.
///
/// One locked instruction a packet, that of `sequence`, is cheaper than four.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Flow {
    sequence: SeqLock,
    interface: AtomicU32,
    last_seen: AtomicU64,
    packets: AtomicU64,
    buffers: AtomicU64,
    bytes: AtomicU64,
    payload: AtomicU64,
    /// `bytes` when the window of `last_seen` began, see [`crate::rate`].
    window_base: AtomicU64,
    /// Bytes of the window before it.
    previous_window: AtomicU64,
}

/// What `include/mutex.h` says of a mapped flow, which is this one itself.
#[cfg(not(loom))]
const _: () = {
    use core::mem::offset_of;
    type Live = crate::abi::mutex_live_flow;
    assert!(size_of::<Flow>() == size_of::<Live>());
    assert!(offset_of!(Flow, sequence) == offset_of!(Live, sequence));
    assert!(offset_of!(Flow, last_seen) == offset_of!(Live, last_seen_ns));
    assert!(offset_of!(Flow, packets) == offset_of!(Live, traffic));
    assert!(offset_of!(Flow, payload) + 8 == offset_of!(Live, window_base));
    assert!(offset_of!(Flow, window_base) == offset_of!(Live, window_base));
    assert!(offset_of!(Flow, previous_window) == offset_of!(Live, previous_window));
};

/// A consistent copy of a [`Flow`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCopy {
    /// The counters.
    pub traffic: Traffic,
    /// When the last packet passed: nanoseconds since boot, 0 if none did.
    pub last_seen: u64,
    /// Interface index of the first packet, 0 if none passed or it had none.
    pub interface: u32,
    /// Bytes since the window of `last_seen` began.
    pub window: u64,
    /// Bytes of the window before it.
    pub previous_window: u64,
}

impl FlowCopy {
    /// Bytes a second at `now`.
    #[inline]
    pub fn rate(&self, now: u64) -> u64 {
        rate::last_whole(now, self.last_seen, self.window, self.previous_window)
    }
}

#[inline]
fn bump(counter: &AtomicU64, by: u64, order: Ordering) {
    counter.store(counter.load(Relaxed).wrapping_add(by), order);
}

impl Flow {
    /// Counts a packet (or the segments of one buffer) that passed at `now` on `interface`.
    ///
    /// Returns what the last window held if this packet is the first beyond it.
    #[inline]
    pub fn count(&self, amount: &Traffic, now: u64, interface: u32) -> Option<u64> {
        let writing = self.sequence.write();
        let last_seen = self.last_seen.load(Relaxed);
        let mut closed = None;
        // Time goes in ticks of some milliseconds, so most packets need no division; another CPU may be a
        // tick behind.
        if now > last_seen {
            if last_seen == 0 {
                self.interface.store(interface, Relaxed);
            } else {
                closed = self.roll(last_seen, now);
            }
            self.last_seen.store(now, Relaxed);
        }
        bump(&self.packets, amount.packets, Relaxed);
        bump(&self.buffers, amount.buffers, Relaxed);
        bump(&self.bytes, amount.bytes, Relaxed);
        bump(&self.payload, amount.payload, Relaxed);
        drop(writing);
        closed
    }

    /// Begins the window of `now` if that of `last_seen` is over. The caller has entered.
    #[inline]
    fn roll(&self, last_seen: u64, now: u64) -> Option<u64> {
        let passed = rate::window_of(now).checked_sub(rate::window_of(last_seen))?;
        if passed == 0 {
            return None;
        }
        let bytes = self.bytes.load(Relaxed);
        let closed = bytes.wrapping_sub(self.window_base.load(Relaxed));
        self.window_base.store(bytes, Relaxed);
        self.previous_window.store(if passed == 1 { closed } else { 0 }, Relaxed);
        Some(closed)
    }

    /// Closes the last window of a flow that has been silent since, once nobody asks for its rate
    /// any more; what it held, unless that has been said before.
    pub(crate) fn finish(&self, _pinned: &impl Pinned, now: u64) -> Option<u64> {
        let copy = self.copy();
        let is_over =
            |last_seen| rate::window_of(now).saturating_sub(rate::window_of(last_seen)) > 1;
        if copy.window == 0 || !is_over(copy.last_seen) {
            return None;
        }
        let writing = self.sequence.write();
        let last_seen = self.last_seen.load(Relaxed);
        let closed = if is_over(last_seen) { self.roll(last_seen, now) } else { None };
        drop(writing);
        closed
    }

    /// Copies the counters of one moment.
    pub fn copy(&self) -> FlowCopy {
        self.sequence.read(|| FlowCopy {
            traffic: Traffic {
                packets: self.packets.load(Relaxed),
                buffers: self.buffers.load(Relaxed),
                bytes: self.bytes.load(Relaxed),
                payload: self.payload.load(Relaxed),
            },
            last_seen: self.last_seen.load(Relaxed),
            interface: self.interface.load(Relaxed),
            window: self.bytes.load(Relaxed).wrapping_sub(self.window_base.load(Relaxed)),
            previous_window: self.previous_window.load(Relaxed),
        })
    }

    /// When the last packet passed: nanoseconds since boot, 0 if none did.
    #[inline]
    pub fn last_seen(&self) -> u64 {
        self.last_seen.load(Relaxed)
    }

    /// Packets that passed.
    #[inline]
    pub fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }

    /// Whether a packet passed.
    #[inline]
    pub fn is_used(&self) -> bool {
        self.packets.load(Relaxed) != 0
    }

    /// Starts anew. The caller is the only one who knows the record.
    pub(crate) fn reset(&self) {
        let counters = [&self.packets, &self.buffers, &self.bytes, &self.payload];
        let times = [&self.last_seen, &self.window_base, &self.previous_window];
        for word in counters.into_iter().chain(times) {
            word.store(0, Relaxed);
        }
        self.interface.store(0, Relaxed);
    }
}

/// A counter that one CPU writes and all may read.
///
/// Nothing can interrupt its writer, so a load and a store do, without a locked instruction.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; release, so that who reads the sum also sees what its writer did before.
    #[inline]
    pub fn add(&self, by: u64) {
        bump(&self.0, by, Release);
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Acquire)
    }
}

/// [`Traffic`] that one CPU writes.
#[derive(Debug, Default)]
pub struct TrafficCounter {
    packets: Counter,
    buffers: Counter,
    bytes: Counter,
    payload: Counter,
}

impl TrafficCounter {
    /// Adds.
    #[inline]
    pub fn add(&self, amount: &Traffic) {
        self.packets.add(amount.packets);
        self.buffers.add(amount.buffers);
        self.bytes.add(amount.bytes);
        self.payload.add(amount.payload);
    }

    /// The values.
    pub fn get(&self) -> Traffic {
        Traffic {
            packets: self.packets.get(),
            buffers: self.buffers.get(),
            bytes: self.bytes.get(),
            payload: self.payload.get(),
        }
    }
}

/// [`Totals`] that one CPU writes.
#[derive(Debug, Default)]
pub struct TotalsCounter([TrafficCounter; Direction::COUNT]);

impl TotalsCounter {
    /// Adds to one direction.
    #[inline]
    pub fn add(&self, direction: Direction, amount: &Traffic) {
        if let Some(counter) = self.0.get(direction as usize) {
            counter.add(amount);
        }
    }

    /// The values.
    pub fn get(&self) -> Totals {
        let [sent, received, forwarded_sent, forwarded_received] = &self.0;
        Totals {
            sent: sent.get(),
            received: received.get(),
            forwarded_sent: forwarded_sent.get(),
            forwarded_received: forwarded_received.get(),
        }
    }
}

/// What packets belonged to no connection moved, by reason, that one CPU writes.
#[derive(Debug, Default)]
pub struct UntrackedCounter([TotalsCounter; Untracked::ALL.len()]);

impl UntrackedCounter {
    /// Adds to one reason and direction.
    #[inline]
    pub fn add(&self, reason: Untracked, direction: Direction, amount: &Traffic) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.add(direction, amount);
        }
    }

    /// The values of one reason.
    pub fn get(&self, reason: Untracked) -> Totals {
        self.0.get(reason as usize).map_or(Totals::ZERO, TotalsCounter::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::prelude::v1::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_reader_sees_counters_of_one_moment_and_nothing_is_lost() {
        let flow = Flow::default();
        let done = AtomicBool::new(false);
        const EACH: u64 = 200_000;
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..EACH {
                            let amount = Traffic { packets: 1, buffers: 2, bytes: 3, payload: 4 };
                            flow.count(&amount, 7, 9);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let t = flow.copy().traffic;
                    assert_eq!(
                        (t.buffers, t.bytes, t.payload),
                        (t.packets * 2, t.packets * 3, t.packets * 4)
                    );
                }
            });
            for writer in writers {
                writer.join().expect("the writer does not panic");
            }
            done.store(true, Relaxed);
        });
        let copy = flow.copy();
        assert_eq!(copy.traffic.packets, 2 * EACH);
        assert_eq!((copy.last_seen, copy.interface), (7, 9));
    }
}
