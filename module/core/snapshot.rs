// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Copying the books while they are being written, so that they balance.
//!
//! The totals are read, then the connections are copied one after the other, then what the ledger
//! and the untracked counters hold, then, after a grace period, the totals again. A packet counts
//! in its record before it counts in the totals, both inside one RCU read side. So what the first
//! reading of the totals holds is in the copy, and what the copy holds is in the second.
//!
//! A record that is settled during the copy must be in it once. If it was copied before, its final
//! counters are not to count with the closed ones: [`Cursor`] is told and takes them off again.

use core::ops::DerefMut;

use crate::abi::*;
use crate::connection::Meta;
use crate::counters::Totals;
use crate::cpu::DropCounter;
use crate::crc::crc32;
use crate::engine::Engine;
use crate::engine::Memory;
use crate::fd::FdSums;
use crate::latency::Histogram;
use crate::latency::OCTAVES;
use crate::ledger::Ledger;
use crate::ledger::Settled;
use crate::parse::Untracked;
use crate::wire::Wire;

/// Records in a block at the most; copied under the ledger's lock.
const BLOCK_RECORDS: u32 = 256;

/// Records looked at, in use or not, before the ledger's lock is let go.
const BLOCK_LOOKS: u32 = 1024;

/// Records that are brought to the CPU before they are needed.
const AHEAD: u32 = 16;

/// Room that [`Image::next`] needs: the largest block.
pub const BLOCK_BYTES: usize = mutex_block::SIZE + BLOCK_RECORDS as usize * mutex_connection::SIZE;

/// Records of histograms in a block at the most, so that the block is no larger.
const BLOCK_OCTAVES: u32 =
    (BLOCK_RECORDS as usize * mutex_connection::SIZE / mutex_latency_buckets::SIZE) as u32;

/// Where in the records a reader is.
///
/// `S` holds one [`FdSums`] for each fd there may be; fds beyond its end are passed over.
#[derive(Debug)]
pub struct Cursor<S> {
    next_connection: u32,
    next_fd: u32,
    /// The next whose histogram is copied: connections, then fds, then the host.
    next_histogram: u32,
    /// The next drop reason, and the next alert.
    next_drop: u32,
    next_alert: u64,
    /// What settled connections moved that were copied before they were settled.
    repaid: Totals,
    sums: S,
    /// The only network namespace to show.
    netns: Option<u32>,
    /// Moves times since boot to Unix time.
    offset: u64,
    /// When it began: nanoseconds since boot.
    now: u64,
}

impl<S: DerefMut<Target = [FdSums]>> Cursor<S> {
    /// At the beginning; `sums` are all zero.
    pub fn new(sums: S, netns: Option<u32>, moment: Moment) -> Self {
        Cursor {
            next_connection: 0,
            next_fd: 0,
            next_histogram: 0,
            next_drop: 0,
            next_alert: 0,
            repaid: Totals::ZERO,
            sums,
            netns,
            offset: moment.offset(),
            now: moment.boot,
        }
    }

    /// To be called for every [`crate::ledger::Readers::settled`].
    pub fn settled(&mut self, settled: &Settled) {
        if settled.record >= self.next_connection {
            return;
        }
        self.repaid.add(&settled.totals);
        if let Some(sums) = settled.fd.and_then(|fd| self.sums.get_mut(fd as usize)) {
            sums.sent.subtract(&settled.sent);
            sums.received.subtract(&settled.received);
        }
    }

    /// To be called for every [`crate::ledger::Readers::fd_gone`].
    pub fn fd_gone(&mut self, fd: u32) {
        if let Some(sums) = self.sums.get_mut(fd as usize) {
            *sums = FdSums::default();
        }
    }

    /// Whether the reader may see what is of that network namespace. The number of one that is gone
    /// may be another's already.
    fn shows(&self, netns: u32, is_gone: bool) -> bool {
        self.netns.is_none_or(|only| only == netns && !is_gone)
    }

    /// Copies some connections; false when all were. The caller holds the ledger's lock.
    pub fn connections<M: Memory>(
        &mut self,
        engine: &Engine<M>,
        _ledger: &Ledger,
        mut copy: impl FnMut(&mutex_connection),
    ) -> bool {
        let arena = engine.connections();
        let mut histogram = Histogram::default();
        let mut copied = 0;
        for _ in 0..BLOCK_LOOKS {
            if self.next_connection >= arena.ever_used_end() {
                return false;
            }
            let Some(connection) = arena.get(self.next_connection) else {
                return false;
            };
            self.next_connection += 1;
            engine.prefetch(self.next_connection.saturating_add(AHEAD));
            if !connection.meta().has(Meta::IN_USE) {
                continue;
            }
            let fd = connection.fd();
            let number = self.next_connection - 1;
            let wire = engine.owned_connection_to_wire(
                number,
                connection,
                fd,
                self.offset,
                self.now,
                &mut histogram,
            );
            if let Some(sums) = fd.and_then(|fd| self.sums.get_mut(fd as usize)) {
                sums.sent.add(&wire.sent);
                sums.received.add(&wire.received);
            }
            if self.shows(wire.netns, wire.flags & MUTEX_CONNECTION_NETNS_GONE != 0) {
                copy(&wire);
                copied += 1;
                if copied == BLOCK_RECORDS {
                    break;
                }
            }
        }
        true
    }

    /// Copies some fds; false when all were. The caller holds the ledger's lock, and all
    /// connections were copied before.
    pub fn fds<M: Memory>(
        &mut self,
        engine: &Engine<M>,
        ledger: &Ledger,
        mut copy: impl FnMut(&mutex_fd),
    ) -> bool {
        let arena = engine.fds().arena();
        let mut copied = 0;
        for _ in 0..BLOCK_LOOKS {
            if self.next_fd >= arena.ever_used_end() {
                return false;
            }
            let fd = self.fd(engine, ledger, self.next_fd);
            self.next_fd += 1;
            if let Some(fd) = fd {
                copy(&fd);
                copied += 1;
                if copied == BLOCK_RECORDS {
                    break;
                }
            }
        }
        true
    }

    /// Copies the fd of that number, if it is one and to be shown. As for [`Cursor::fds`].
    pub fn fd<M: Memory>(
        &self,
        engine: &Engine<M>,
        _ledger: &Ledger,
        number: u32,
    ) -> Option<mutex_fd> {
        let fd = engine.fds().arena().get(number)?;
        let sums = self.sums.get(number as usize)?;
        (fd.is_in_use() && self.shows(fd.netns(), fd.has_lost_netns()))
            .then(|| engine.fd_to_wire(fd, sums, self.offset, self.now))
    }

    /// Copies some histograms; false when all were. The caller holds the ledger's lock.
    pub fn histograms<M: Memory>(
        &mut self,
        engine: &Engine<M>,
        _ledger: &Ledger,
        mut copy: impl FnMut(&mutex_latency_buckets),
    ) -> bool {
        let (connections, fds) = (engine.connections(), engine.fds().arena());
        // Of those that were copied.
        let (end, fds_end) = (self.next_connection, self.next_fd);
        let mut histogram = Histogram::default();
        let mut copied = 0;
        for _ in 0..BLOCK_LOOKS {
            if copied + OCTAVES as u32 > BLOCK_OCTAVES {
                break;
            }
            let number = self.next_histogram;
            self.next_histogram += 1;
            let mut record = mutex_latency_buckets::default();
            if number < end {
                let Some(connection) = connections.get(number) else {
                    continue;
                };
                engine.prefetch(number.saturating_add(AHEAD));
                let meta = connection.meta();
                let is_gone = meta.has(Meta::NETNS_GONE);
                if !meta.has(Meta::IN_USE) || !self.shows(connection.key().netns(), is_gone) {
                    continue;
                }
                record.id = connection.id();
                record.scope = MUTEX_SCOPE_CONNECTION;
                engine.connection_histogram(number, &mut histogram);
            } else if number - end < fds_end {
                let Some(fd) = fds.get(number - end) else {
                    continue;
                };
                if !fd.is_in_use() || !self.shows(fd.netns(), fd.has_lost_netns()) {
                    continue;
                }
                record.id = fd.id();
                record.scope = MUTEX_SCOPE_FD;
                engine.fd_histogram(fd, &mut histogram);
            } else {
                if number - end > fds_end {
                    return false;
                }
                record.scope = MUTEX_SCOPE_GLOBAL;
                engine.latency_histogram(&mut histogram);
            }
            for (octave, samples) in histogram.octaves() {
                if samples.iter().any(|count| *count != 0) {
                    record.octave = octave.into();
                    record.samples = *samples;
                    copy(&record);
                    copied += 1;
                }
            }
        }
        true
    }

    /// Copies some of the host's drops; false when all were.
    pub fn drops<M: Memory>(
        &mut self,
        engine: &Engine<M>,
        mut copy: impl FnMut(&mutex_drop),
    ) -> bool {
        for _ in 0..BLOCK_RECORDS {
            if self.next_drop as usize >= DropCounter::REASONS {
                return false;
            }
            if let Some(drop) = engine.drops(self.next_drop) {
                copy(&drop);
            }
            self.next_drop += 1;
        }
        true
    }

    /// Copies some alerts; false when all were.
    pub fn alerts<M: Memory>(
        &mut self,
        engine: &Engine<M>,
        mut copy: impl FnMut(&mutex_alert),
    ) -> bool {
        for _ in 0..BLOCK_RECORDS {
            let Some(alert) = engine.alert_from(self.next_alert) else {
                return false;
            };
            self.next_alert = alert.number + 1;
            if self.shows(alert.netns, false) {
                copy(&alert);
            }
        }
        true
    }

    /// What connections moved that are not among those copied, settled before or since.
    pub fn closed(&self, ledger: &Ledger) -> Totals {
        let mut closed = *ledger.closed();
        closed.subtract(&self.repaid);
        closed
    }
}

/// When an image is begun.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Unix time in nanoseconds.
    pub unix: u64,
    /// Nanoseconds since boot.
    pub boot: u64,
}

impl Moment {
    /// What moves times since boot to Unix time.
    pub fn offset(&self) -> u64 {
        self.unix.wrapping_sub(self.boot)
    }
}

/// What a header says of the host and the reader.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// When the image is begun.
    pub moment: Moment,
    /// The kernel's boot id.
    pub boot_id: [u8; 16],
    /// Inode number of the reader's network namespace.
    pub netns: u32,
    /// Whether that is not the first one, so that only its connections are shown.
    pub filtered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Header,
    Status,
    TotalsBefore,
    Connections,
    Fds,
    Histograms,
    Quality,
    Drops,
    Alerts,
    Closed,
    Untracked,
    Grace,
    TotalsAfter,
    End,
    Done,
}

/// What [`Image::next`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Wrote so many bytes; 0 if there was nothing to write just now.
    Bytes(usize),
    /// Needs a grace period to pass before it is called again.
    Grace,
    /// Is complete.
    Done,
}

/// An image of the books, written piece by piece.
#[derive(Debug)]
pub struct Image {
    origin: Origin,
    phase: Phase,
    end: mutex_end,
}

impl Image {
    /// At its beginning.
    pub fn new(origin: Origin) -> Self {
        Image { origin, phase: Phase::Header, end: mutex_end::default() }
    }

    /// Writes the next piece to the start of `out`, of at least [`BLOCK_BYTES`].
    ///
    /// `cursor` shows what `origin` says, and is at its beginning the first time. The caller holds
    /// the ledger's lock, not inside an RCU read side. Too small an `out` ends the image early, which
    /// its reader notices.
    pub fn next<M: Memory, S: DerefMut<Target = [FdSums]>>(
        &mut self,
        engine: &Engine<M>,
        ledger: &Ledger,
        cursor: &mut Cursor<S>,
        out: &mut [u8],
    ) -> Piece {
        let moment = self.origin.moment;
        let mut block = Block::new(out);
        match self.phase {
            Phase::Header => {
                self.phase = Phase::Status;
                let header = mutex_header {
                    magic: MUTEX_MAGIC,
                    version: MUTEX_VERSION,
                    header_size: mutex_header::SIZE as u32,
                    flags: if self.origin.filtered { MUTEX_IMAGE_FILTERED } else { 0 },
                    netns: self.origin.netns,
                    time_ns: moment.unix,
                    boottime_ns: moment.boot,
                    loaded_ns: engine.loaded_at().wrapping_add(moment.offset()),
                    boot_id: self.origin.boot_id,
                    reserved: 0,
                    crc: 0,
                };
                return self.written(sealed_header(header, out));
            }
            Phase::Status => {
                self.phase = Phase::TotalsBefore;
                block.push(MUTEX_BLOCK_STATUS, &engine.status(moment.boot));
            }
            Phase::TotalsBefore => {
                self.phase = Phase::Connections;
                block.push(MUTEX_BLOCK_TOTALS_BEFORE, &engine.totals());
            }
            Phase::Connections => {
                let more = cursor.connections(engine, ledger, |connection| {
                    block.push(MUTEX_BLOCK_CONNECTION, connection);
                });
                if !more {
                    self.phase = Phase::Fds;
                }
                self.end.connections += u64::from(block.count);
            }
            Phase::Fds => {
                let more = cursor.fds(engine, ledger, |fd| block.push(MUTEX_BLOCK_FD, fd));
                if !more {
                    self.phase = Phase::Histograms;
                }
                self.end.fds += u64::from(block.count);
            }
            Phase::Histograms => {
                let more = cursor.histograms(engine, ledger, |octave| {
                    block.push(MUTEX_BLOCK_LATENCY, octave);
                });
                if !more {
                    self.phase = Phase::Quality;
                }
            }
            Phase::Quality => {
                self.phase = Phase::Drops;
                block.push(MUTEX_BLOCK_QUALITY, &engine.host_quality());
            }
            Phase::Drops => {
                if !cursor.drops(engine, |drop| block.push(MUTEX_BLOCK_DROP, drop)) {
                    self.phase = Phase::Alerts;
                }
            }
            Phase::Alerts => {
                if !cursor.alerts(engine, |alert| block.push(MUTEX_BLOCK_ALERT, alert)) {
                    self.phase = Phase::Closed;
                }
            }
            Phase::Closed => {
                self.phase = Phase::Untracked;
                block.push(MUTEX_BLOCK_CLOSED, &cursor.closed(ledger));
            }
            Phase::Untracked => {
                self.phase = Phase::Grace;
                for reason in Untracked::ALL {
                    let record = mutex_untracked {
                        reason: reason as u32,
                        reserved: 0,
                        totals: engine.untracked(reason),
                    };
                    block.push(MUTEX_BLOCK_UNTRACKED, &record);
                }
            }
            Phase::Grace => {
                self.phase = Phase::TotalsAfter;
                return Piece::Grace;
            }
            Phase::TotalsAfter => {
                self.phase = Phase::End;
                block.push(MUTEX_BLOCK_TOTALS_AFTER, &engine.totals());
            }
            Phase::End => {
                self.phase = Phase::Done;
                let mut end = self.end;
                end.bytes += (mutex_block::SIZE + mutex_end::SIZE) as u64;
                block.push(MUTEX_BLOCK_END, &end);
            }
            Phase::Done => return Piece::Done,
        }
        let bytes = block.seal();
        self.written(bytes)
    }

    fn written(&mut self, bytes: Option<usize>) -> Piece {
        match bytes {
            Some(bytes) => {
                self.end.bytes += bytes as u64;
                Piece::Bytes(bytes)
            }
            None => {
                self.phase = Phase::Done;
                Piece::Done
            }
        }
    }
}

fn sealed_header(mut header: mutex_header, out: &mut [u8]) -> Option<usize> {
    header.put(out)?;
    header.crc = crc32(out.get(..mutex_header::SIZE)?);
    header.put(out)?;
    Some(mutex_header::SIZE)
}

/// A block in the making.
struct Block<'a> {
    out: &'a mut [u8],
    header: mutex_block,
    count: u32,
    length: usize,
    overflowed: bool,
}

impl<'a> Block<'a> {
    fn new(out: &'a mut [u8]) -> Self {
        Block {
            out,
            header: mutex_block::default(),
            count: 0,
            length: mutex_block::SIZE,
            overflowed: false,
        }
    }

    /// Adds a record; all of a block are of one kind.
    fn push<T: Wire>(&mut self, kind: u32, record: &T) {
        self.header.kind = kind as u16;
        self.header.record_size = T::SIZE as u32;
        let end = self.length + T::SIZE;
        match self.out.get_mut(self.length..end).and_then(|room| record.put(room)) {
            Some(_) => {
                self.length = end;
                self.count += 1;
            }
            None => self.overflowed = true,
        }
    }

    /// Puts the header in front and returns the block's length: 0 without records, `None` if they
    /// found no room.
    fn seal(mut self) -> Option<usize> {
        if self.overflowed {
            return None;
        }
        if self.count == 0 {
            return Some(0);
        }
        self.header.count = self.count;
        self.header.put(self.out)?;
        self.header.crc = crc32(self.out.get(..self.length)?);
        self.header.put(self.out)?;
        Some(self.length)
    }
}
