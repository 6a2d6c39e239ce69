// SPDX-License-Identifier: MIT OR Apache-2.0

//! A block of an image whose checksum was found right, and the records in it.

use std::marker::PhantomData;

use mutex_core::wire::Wire;

use crate::Alert;
use crate::Connection;
use crate::Dropped;
use crate::End;
use crate::Fd;
use crate::HostQuality;
use crate::Kind;
use crate::LatencyBuckets;
use crate::Status;
use crate::Totals;
use crate::Untracked;

/// A block: its bytes, which are known to be what was written, and what they mean.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    pub(crate) number: u16,
    pub(crate) record_size: usize,
    pub(crate) bytes: &'a [u8],
    pub(crate) records: &'a [u8],
}

impl<'a> Block<'a> {
    /// The whole block as it is in the image, the 16 bytes that it starts with included.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What is in it.
    #[must_use]
    pub fn part(&self) -> Part<'a> {
        let Some(kind) = Kind::from_number(self.number) else {
            return Part::Unknown(self.number);
        };
        match kind {
            Kind::Status => Part::Status(self.single()),
            Kind::TotalsBefore => Part::TotalsBefore(self.single()),
            Kind::Connections => Part::Connections(self.records()),
            Kind::Fds => Part::Fds(self.records()),
            Kind::Latency => Part::Latency(self.records()),
            Kind::Quality => Part::Quality(self.single()),
            Kind::Drops => Part::Drops(self.records()),
            Kind::Alerts => Part::Alerts(self.records()),
            Kind::Closed => Part::Closed(self.single()),
            Kind::Untracked => Part::Untracked(self.records()),
            Kind::TotalsAfter => Part::TotalsAfter(self.single()),
            Kind::End => Part::End(self.single()),
        }
    }

    fn records<T>(&self) -> Records<'a, T> {
        Records { bytes: self.records, record_size: self.record_size, record: PhantomData }
    }

    /// The only record. That there is one the reader has checked.
    fn single<T: Wire>(&self) -> T {
        T::take(self.records).0
    }
}

/// What is in a block.
#[derive(Clone, Debug)]
pub enum Part<'a> {
    /// Numbers of the module itself.
    Status(Status),
    /// The host's traffic before the first connection was copied.
    TotalsBefore(Totals),
    /// Some of the connections.
    Connections(Records<'a, Connection>),
    /// Some of the fds.
    Fds(Records<'a, Fd>),
    /// Some octaves of histograms of latency.
    Latency(Records<'a, LatencyBuckets>),
    /// How well the whole host fares. Images of older modules lack it.
    Quality(HostQuality),
    /// Some reasons why the kernel dropped packets.
    Drops(Records<'a, Dropped>),
    /// Some of the alerts that are kept.
    Alerts(Records<'a, Alert>),
    /// What connections that are no longer listed have moved.
    Closed(Totals),
    /// What belongs to no connection, by reason.
    Untracked(Records<'a, Untracked>),
    /// The host's traffic after all of the above was copied.
    TotalsAfter(Totals),
    /// The last block, and its counts, which are right.
    End(End),
    /// A kind of block from a later version: skip it.
    Unknown(u16),
}

/// The records of a block, decoded one at a time.
///
/// Records may be longer than this version knows (what is new is left out) or shorter (what is
/// missing is zero).
#[derive(Clone, Debug)]
pub struct Records<'a, T> {
    bytes: &'a [u8],
    record_size: usize,
    record: PhantomData<T>,
}

impl<'a, T: Wire> Records<'a, T> {
    fn next_bytes(&mut self) -> Option<&'a [u8]> {
        let (record, rest) = self.bytes.split_at_checked(self.record_size)?;
        if record.is_empty() {
            return None;
        }
        self.bytes = rest;
        // Where all of it is there, no field needs to be asked for that.
        Some(record.get(..T::SIZE).unwrap_or(record))
    }

    /// Decodes them where they are to stay: behind those that are there.
    pub(crate) fn append_to(mut self, kept: &mut Vec<T>)
    where
        T: Clone,
    {
        let before = kept.len();
        kept.resize(before + self.len(), T::ZERO);
        for record in kept.iter_mut().skip(before) {
            if let Some(bytes) = self.next_bytes() {
                record.fill(bytes);
            }
        }
    }
}

impl<T: Wire> Iterator for Records<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        Some(T::take(self.next_bytes()?).0)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.bytes.len().checked_div(self.record_size).unwrap_or(0);
        (count, Some(count))
    }
}

impl<T: Wire> ExactSizeIterator for Records<'_, T> {}
