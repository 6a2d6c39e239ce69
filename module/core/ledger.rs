// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! What connections moved whose records are gone, and the collecting of those records.
//!
//! A record is collected in steps, so that no packet can count in a record that has become
//! another's: it ends, stays visible for a while, leaves the index, a grace period passes, and only
//! then its final counters are added here and to its fd, and it becomes free.

use core::sync::atomic::Ordering::Relaxed;

use crate::abi::MUTEX_EVENT_END;
use crate::alarm::System;
use crate::arena::Linked;
use crate::connection::Meta;
use crate::counters::Totals;
use crate::counters::Traffic;
use crate::cpu::Pinned;
use crate::engine::Engine;
use crate::engine::Memory;
use crate::fd::Fd;
use crate::state::State;

/// What closed connections moved. The module keeps it behind one lock, which a reader holds while
/// it copies a handful of records and the collector while it adds one up.
#[derive(Debug, Default)]
pub struct Ledger {
    closed: Totals,
}

/// A connection that was added up.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    /// The number of its record.
    pub record: u32,
    /// The number of its fd.
    pub fd: Option<u32>,
    /// What it moved.
    pub totals: Totals,
    /// What its local end or initiator sent.
    pub sent: Traffic,
    /// What it received.
    pub received: Traffic,
}

/// Readers that are in the middle of their copy and have to be told what changes behind them.
pub trait Readers {
    /// A connection's counters went from its record into the ledger and its fd.
    fn settled(&mut self, settled: &Settled);

    /// The fd of that number is gone.
    fn fd_gone(&mut self, fd: u32);
}

impl Ledger {
    /// What connections moved whose records are gone.
    pub fn closed(&self) -> &Totals {
        &self.closed
    }

    /// Adds up one record of `limbo` and frees it; false if none is left.
    ///
    /// A grace period has passed since `limbo` was collected.
    pub fn settle<M: Memory>(
        &mut self,
        engine: &Engine<M>,
        limbo: &mut Limbo,
        readers: &mut impl Readers,
        now: u64,
    ) -> bool {
        let Some(record) = limbo.0.pop(engine) else {
            return false;
        };
        let Some(connection) = engine.connections().get(record) else {
            return false;
        };
        let settled = Settled {
            record,
            fd: connection.fd(),
            totals: connection.totals(),
            sent: connection.sent.copy().traffic,
            received: connection.received.copy().traffic,
        };
        self.closed.add(&settled.totals);
        let share = connection.meta().share();
        if engine.system.is_watched() {
            engine.announce(MUTEX_EVENT_END, record, connection, now);
        }
        connection.clear();
        if let Some(quality) = engine.quality(record) {
            quality.forget(&engine.octaves);
        }
        readers.settled(&settled);
        if let Some(fd) = settled.fd {
            if engine.fds().settle(fd, &engine.octaves, &settled.sent, &settled.received) {
                readers.fd_gone(fd);
            }
        }
        engine.connections().give_back(record);
        engine.shares.give_back(share);
        true
    }
}

/// A queue of records, linked through them.
#[derive(Debug, Default)]
struct Queue {
    first: u32,
    last: u32,
}

impl Queue {
    fn push<M: Memory>(&mut self, engine: &Engine<M>, record: u32) {
        let link = |number: u32| engine.connections().get(number).map(Linked::next);
        if let Some(next) = link(record) {
            next.store(0, Relaxed);
        }
        match self.last.checked_sub(1).and_then(link) {
            Some(next) => next.store(record + 1, Relaxed),
            None => self.first = record + 1,
        }
        self.last = record + 1;
    }

    /// Puts what is in another queue before what is in this one.
    fn prepend<M: Memory>(&mut self, engine: &Engine<M>, other: Queue) {
        let Some(last) = other.last.checked_sub(1).and_then(|n| engine.connections().get(n)) else {
            return;
        };
        last.next().store(self.first, Relaxed);
        self.first = other.first;
        if self.last == 0 {
            self.last = other.last;
        }
    }

    fn peek(&self) -> Option<u32> {
        self.first.checked_sub(1)
    }

    fn pop<M: Memory>(&mut self, engine: &Engine<M>) -> Option<u32> {
        let record = self.peek()?;
        let connection = engine.connections().get(record)?;
        self.first = connection.next().load(Relaxed);
        if self.first == 0 {
            self.last = 0;
        }
        Some(record)
    }
}

/// Records that have left the index and wait for a grace period.
#[derive(Debug, Default)]
pub struct Limbo(Queue);

impl Limbo {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.first == 0
    }
}

/// Finds the connections that are over.
#[derive(Debug, Default)]
pub struct Sweeper {
    /// Ended connections that are still shown, the earliest first.
    shown: Queue,
    next_connection: u32,
    next_fd: u32,
    /// Fds that this sweep still has to look at.
    fds_left: u32,
    /// Whether there are connections, and fds, of network namespaces that are gone.
    connections_gone: bool,
    fds_gone: bool,
}

/// Fds that are looked at under the ledger's lock before it is let go.
const FDS_AT_ONCE: u32 = 256;

/// Records that are looked at before other tasks may have the CPU.
const BREATH: u32 = 1024;

/// While records are scarce, a connection that nobody has answered is ended after this part of its
/// idle timeout.
const EARLIER: u64 = 8;

/// Nanoseconds after which TCP is done with a packet that passed LOCAL_IN: it comes next.
const PROCESSED: u64 = 100_000_000;

/// Ends the connections of sockets that were closed.
fn end_of_closed_sockets<M: Memory, P: Pinned>(engine: &Engine<M>, pin: &impl Fn() -> P, now: u64) {
    for (number, connection) in engine.connections().ever_used(0) {
        if number % BREATH == 0 {
            M::breathe();
        }
        let meta = connection.meta();
        if !meta.has(Meta::FD_SHARED) || meta.has(Meta::ENDED) {
            continue;
        }
        let fd = connection.fd().and_then(|fd| engine.fds().arena().get(fd));
        if fd.is_some_and(Fd::is_closed) {
            engine.end(&pin(), number, connection, Meta::default(), now);
        }
    }
}

impl Sweeper {
    /// Ends what there is of network namespaces that are gone; `netns` are their numbers, sorted. The
    /// next [`Sweeper::collect`] takes it, however long it would be shown otherwise.
    ///
    /// Records are settled by who has the sweeper, so none that is looked at here becomes another's
    /// meanwhile.
    pub fn end_netns<M: Memory, P: Pinned>(
        &mut self,
        engine: &Engine<M>,
        pin: impl Fn() -> P,
        now: u64,
        netns: &[u32],
    ) {
        let is_gone = |one: u32| netns.binary_search(&one).is_ok();
        for (number, connection) in engine.connections().ever_used(0) {
            if number % BREATH == 0 {
                M::breathe();
            }
            if connection.meta().has(Meta::IN_USE) && is_gone(connection.key().netns()) {
                engine.end(&pin(), number, connection, Meta::NETNS_GONE, now);
                connection.change(|meta| Some(meta.with(Meta::NETNS_GONE)));
                self.connections_gone = true;
            }
        }
        for (number, fd) in engine.fds().arena().ever_used(0) {
            if number % BREATH == 0 {
                M::breathe();
            }
            if fd.is_in_use() && is_gone(fd.netns()) {
                fd.lose_netns();
                self.fds_gone = true;
            }
        }
    }

    /// Ends idle connections, of which it looks at so many records, and takes those out of the index
    /// that have been shown long enough.
    ///
    /// The caller waits for a grace period, then settles what it got.
    pub fn collect<M: Memory, P: Pinned>(
        &mut self,
        engine: &Engine<M>,
        pin: impl Fn() -> P,
        now: u64,
        records: u32,
    ) -> Limbo {
        engine.for_closed_sockets(|| end_of_closed_sockets(engine, &pin, now));
        self.end_idle(engine, &pin, now, records);
        self.take_ended(engine);
        self.fds_left = records;
        if core::mem::take(&mut self.fds_gone) {
            (self.next_fd, self.fds_left) = (0, u32::MAX);
        }
        let gone = core::mem::take(&mut self.connections_gone);
        let mut limbo = Limbo::default();
        let mut kept = Queue::default();
        let urgent = engine.is_under_pressure();
        let limits = engine.limits();
        // Then those of the namespace that is short of records are needed, wherever they stand.
        let short = engine.shares.is_any_pressed(limits);
        let mut looked = 0u32;
        while let Some(record) = self.shown.peek() {
            looked = looked.wrapping_add(1);
            let Some(connection) = engine.connections().get(record) else {
                break;
            };
            if looked % BREATH == 0 {
                M::breathe();
            }
            let shown = now.saturating_sub(connection.ended_at());
            let is_due = urgent || shown >= engine.config().closed();
            if !is_due && !gone && (!short || looked > records) {
                // The rest ended later.
                break;
            }
            self.shown.pop(engine);
            let meta = connection.meta();
            if is_due
                || meta.has(Meta::NETNS_GONE)
                || short && engine.shares.is_pressed(meta.share(), limits)
            {
                // The last chance for what passed shortly before the end.
                engine.finish_windows(&pin, record, connection, now);
                engine.remove(&pin(), record);
                limbo.0.push(engine, record);
            } else {
                kept.push(engine, record);
            }
        }
        self.shown.prepend(engine, kept);
        limbo
    }

    fn end_idle<M: Memory, P: Pinned>(
        &mut self,
        engine: &Engine<M>,
        pin: &impl Fn() -> P,
        now: u64,
        records: u32,
    ) {
        let start = self.next_connection;
        let scarce = engine.is_under_pressure();
        let limits = engine.limits();
        let short = engine.shares.is_any_pressed(limits);
        let mut looked = 0;
        for (number, connection) in engine.connections().ever_used(start).take(records as usize) {
            looked += 1;
            let meta = connection.meta();
            if !meta.has(Meta::IN_USE) {
                continue;
            }
            engine.finish_windows(pin, number, connection, now);
            if meta.has(Meta::ENDED) {
                continue;
            }
            let idle = now.saturating_sub(connection.last_seen());
            if meta.state() == State::SynRecv && idle > PROCESSED {
                let received = connection.received.packets();
                if engine.count_ignored_syns(&pin(), number, connection, received) {
                    // No socket knows of it.
                    connection.change(|meta| {
                        (meta.state() == State::SynRecv).then(|| meta.in_state(State::OneWay))
                    });
                }
            }
            let state = match meta.state() {
                // A straggler of a connection that is gone looks like one that was adopted, but nobody
                // answers it.
                State::Established if meta.has(Meta::ADOPTED) && connection.is_one_sided() => {
                    State::SynSent
                }
                state => state,
            };
            let timeout = engine.config().idle(connection.key().protocol(), state);
            if idle >= timeout {
                engine.end(&pin(), number, connection, Meta::TIMED_OUT, now);
            } else if state.is_unanswered()
                && idle >= timeout / EARLIER
                && (scarce || short && engine.shares.is_pressed(meta.share(), limits))
            {
                let pinned = pin();
                pinned.cpu().early.add(1);
                engine.end(&pinned, number, connection, Meta::TIMED_OUT, now);
            }
        }
        self.next_connection = if looked < records { 0 } else { start + looked };
    }

    /// Moves what has ended since the last time to the end of what is shown, in order.
    fn take_ended<M: Memory>(&mut self, engine: &Engine<M>) {
        let mut latest = engine.take_ended();
        let mut in_order = 0;
        while let Some(connection) = latest.checked_sub(1).and_then(|n| engine.connections().get(n))
        {
            let before = connection.next().swap(in_order, Relaxed);
            in_order = latest;
            latest = before;
        }
        while let Some(record) = in_order.checked_sub(1) {
            let Some(connection) = engine.connections().get(record) else {
                break;
            };
            in_order = connection.next().load(Relaxed);
            self.shown.push(engine, record);
        }
    }

    /// Frees fds that have been without connections for long enough, or whose network namespace is
    /// gone: looks at some of those that the last [`Sweeper::collect`] has left to this, and says
    /// whether more are left. The caller holds the ledger's lock, and lets it go in between.
    pub fn expire_fds<M: Memory, P: Pinned>(
        &mut self,
        engine: &Engine<M>,
        pin: impl Fn() -> P,
        now: u64,
        readers: &mut impl Readers,
    ) -> bool {
        let (fds, timeout) = (engine.fds(), engine.config().fd());
        let most = self.fds_left.min(FDS_AT_ONCE);
        let mut looked = 0;
        for (number, fd) in fds.arena().ever_used(self.next_fd).take(most as usize) {
            looked += 1;
            engine.finish_fd_window(&pin, fd, now);
            if fds.expire(&pin, &engine.octaves, number, now, timeout) {
                readers.fd_gone(number);
            }
        }
        if looked < most {
            (self.next_fd, self.fds_left) = (0, 0);
        } else {
            self.next_fd += looked;
            self.fds_left -= looked;
        }
        self.fds_left != 0
    }
}
