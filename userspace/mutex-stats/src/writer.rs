// SPDX-License-Identifier: MIT OR Apache-2.0

//! From records to the bytes of an image.

use std::io;
use std::io::Write;

use mutex_core::abi::MUTEX_MAGIC;
use mutex_core::abi::MUTEX_VERSION;
use mutex_core::abi::mutex_block;
use mutex_core::wire::Wire;

use crate::Alert;
use crate::Connection;
use crate::Dropped;
use crate::End;
use crate::Fd;
use crate::Header;
use crate::HostQuality;
use crate::Kind;
use crate::LatencyBuckets;
use crate::Status;
use crate::Totals;
use crate::Untracked;
use crate::order::Order;
use crate::reader::checksum;

/// Writes an image. Sizes, checksums and the end's counts it finds itself.
///
/// Methods are to be called in the order of [`Kind`]; one that is not fails with
/// [`io::ErrorKind::InvalidInput`]. `output` should be buffered.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    position: u64,
    buffer: Vec<u8>,
    order: Order,
    connections: u64,
    fds: u64,
}

impl<W: Write> Writer<W> {
    /// Writes `header`; its magic, version, size and checksum are filled in.
    ///
    /// # Errors
    ///
    /// Whatever `output` gives.
    pub fn new(output: W, header: &Header) -> io::Result<Self> {
        let mut writer = Writer {
            output,
            position: 0,
            buffer: Vec::new(),
            order: Order::default(),
            connections: 0,
            fds: 0,
        };
        let mut header = Header {
            magic: MUTEX_MAGIC,
            version: MUTEX_VERSION,
            header_size: number(Header::SIZE)?,
            ..*header
        };
        let crc_at = Header::SIZE - size_of::<u32>();
        writer.put(&header);
        header.crc = checksum(&writer.buffer[..crc_at], &[]);
        writer.buffer.clear();
        writer.put(&header);
        writer.flush_buffer()?;
        Ok(writer)
    }

    /// Writes the module's own numbers.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn status(&mut self, status: &Status) -> io::Result<()> {
        self.block(Kind::Status, std::slice::from_ref(status))
    }

    /// Writes the totals from before the connections.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn totals_before(&mut self, totals: &Totals) -> io::Result<()> {
        self.block(Kind::TotalsBefore, std::slice::from_ref(totals))
    }

    /// Writes one block of connections.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn connections(&mut self, connections: &[Connection]) -> io::Result<()> {
        self.connections += connections.len() as u64;
        self.block(Kind::Connections, connections)
    }

    /// Writes one block of fds.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn fds(&mut self, fds: &[Fd]) -> io::Result<()> {
        self.fds += fds.len() as u64;
        self.block(Kind::Fds, fds)
    }

    /// Writes one block of octaves of histograms.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn latency(&mut self, buckets: &[LatencyBuckets]) -> io::Result<()> {
        self.block(Kind::Latency, buckets)
    }

    /// Writes how well the whole host fares.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn quality(&mut self, quality: &HostQuality) -> io::Result<()> {
        self.block(Kind::Quality, std::slice::from_ref(quality))
    }

    /// Writes one block of reasons why the kernel dropped packets.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn drops(&mut self, drops: &[Dropped]) -> io::Result<()> {
        self.block(Kind::Drops, drops)
    }

    /// Writes one block of alerts.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn alerts(&mut self, alerts: &[Alert]) -> io::Result<()> {
        self.block(Kind::Alerts, alerts)
    }

    /// Writes the totals of connections that are no longer listed.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn closed(&mut self, totals: &Totals) -> io::Result<()> {
        self.block(Kind::Closed, std::slice::from_ref(totals))
    }

    /// Writes one block of what belongs to no connection.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn untracked(&mut self, untracked: &[Untracked]) -> io::Result<()> {
        self.block(Kind::Untracked, untracked)
    }

    /// Writes the totals from after all of the above.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn totals_after(&mut self, totals: &Totals) -> io::Result<()> {
        self.block(Kind::TotalsAfter, std::slice::from_ref(totals))
    }

    /// Writes the end, flushes, and gives the output back.
    ///
    /// # Errors
    ///
    /// Whatever the output gives, and a wrong order.
    pub fn finish(mut self) -> io::Result<W> {
        let size = (mutex_block::SIZE + End::SIZE) as u64;
        let end = End { connections: self.connections, fds: self.fds, bytes: self.position + size };
        self.block(Kind::End, &[end])?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn block<T: Wire>(&mut self, kind: Kind, records: &[T]) -> io::Result<()> {
        let count = number(records.len())?;
        self.order.next(kind, count).map_err(|what| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("the {kind} block {what}"))
        })?;
        let mut block = mutex_block {
            kind: number(kind.number())?,
            record_size: number(T::SIZE)?,
            count,
            ..mutex_block::default()
        };
        self.put(&block);
        for record in records {
            self.put(record);
        }
        let (head, rest) = self.buffer.split_at_mut(mutex_block::SIZE);
        block.crc = checksum(&head[..mutex_block::SIZE - size_of::<u32>()], rest);
        let _ = block.put(head).expect("the head has the size of one");
        self.flush_buffer()
    }

    fn put<T: Wire>(&mut self, record: &T) {
        let start = self.buffer.len();
        self.buffer.resize(start + T::SIZE, 0);
        let _ = record.put(&mut self.buffer[start..]).expect("there is room for one");
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        self.output.write_all(&self.buffer)?;
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// A number in the type of its field.
fn number<T, N: TryFrom<T>>(number: T) -> io::Result<N> {
    N::try_from(number).map_err(|_| io::ErrorKind::InvalidInput.into())
}
