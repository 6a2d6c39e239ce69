// SPDX-License-Identifier: MIT OR Apache-2.0

//! A whole image in memory.

use std::io;
use std::io::Read;
use std::io::Write;

use mutex_core::parse::Untracked as Reason;

use crate::Alert;
use crate::Block;
use crate::Connection;
use crate::Direction;
use crate::Dropped;
use crate::Error;
use crate::Fd;
use crate::Header;
use crate::HostQuality;
use crate::LatencyBuckets;
use crate::Part;
use crate::Status;
use crate::Totals;
use crate::Untracked;
use crate::Visitor;
use crate::Writer;
use crate::is_forwarded;
use crate::visit;

/// Everything that an image says, to look around in: 368 bytes a connection, 320 an fd, and 80
/// an octave of a histogram. For what can be done in one pass, [`visit`] needs no such memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// When and where it was taken.
    pub header: Header,
    /// The module's own numbers.
    pub status: Status,
    /// The host's traffic before the first connection was copied.
    pub totals_before: Totals,
    /// In the order of the image.
    pub connections: Vec<Connection>,
    /// In the order of the image.
    pub fds: Vec<Fd>,
    /// Histograms of latency, in the order of the image.
    pub latency: Vec<LatencyBuckets>,
    /// How well the whole host fares.
    pub quality: HostQuality,
    /// Why the kernel dropped packets, a record a reason.
    pub drops: Vec<Dropped>,
    /// The alerts that are kept, the oldest first.
    pub alerts: Vec<Alert>,
    /// What connections that are no longer listed have moved.
    pub closed: Totals,
    /// What belongs to no connection, by reason.
    pub untracked: Vec<Untracked>,
    /// The host's traffic after all of the above was copied.
    pub totals_after: Totals,
}

impl Default for Image {
    /// An image of a host where nothing has happened yet.
    fn default() -> Self {
        let untracked = |reason| Untracked { reason: reason as u32, ..Untracked::default() };
        Image {
            header: Header::default(),
            status: Status::default(),
            totals_before: Totals::ZERO,
            connections: Vec::new(),
            fds: Vec::new(),
            latency: Vec::new(),
            quality: HostQuality::default(),
            drops: Vec::new(),
            alerts: Vec::new(),
            closed: Totals::ZERO,
            untracked: Reason::ALL.map(untracked).to_vec(),
            totals_after: Totals::ZERO,
        }
    }
}

impl Image {
    /// Records a block, as [`Image::write`] writes them.
    const RECORDS: usize = 256;

    /// Reads an image.
    ///
    /// # Errors
    ///
    /// Those of [`Reader`](crate::Reader).
    pub fn read(input: impl Read) -> Result<Self, Error> {
        let mut image = Image { untracked: Vec::new(), ..Image::default() };
        visit(input, &mut image)?;
        Ok(image)
    }

    /// Writes the image. `output` should be buffered.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn write(&self, output: impl Write) -> Result<(), Error> {
        self.try_write(output).map_err(Error::Write)
    }

    fn try_write(&self, output: impl Write) -> io::Result<()> {
        let mut writer = Writer::new(output, &self.header)?;
        writer.status(&self.status)?;
        writer.totals_before(&self.totals_before)?;
        for some in self.connections.chunks(Self::RECORDS) {
            writer.connections(some)?;
        }
        for some in self.fds.chunks(Self::RECORDS) {
            writer.fds(some)?;
        }
        for some in self.latency.chunks(Self::RECORDS) {
            writer.latency(some)?;
        }
        writer.quality(&self.quality)?;
        for some in self.drops.chunks(Self::RECORDS) {
            writer.drops(some)?;
        }
        for some in self.alerts.chunks(Self::RECORDS) {
            writer.alerts(some)?;
        }
        writer.closed(&self.closed)?;
        writer.untracked(&self.untracked)?;
        writer.totals_after(&self.totals_after)?;
        writer.finish().map(drop)
    }

    /// What the listed connections, the closed ones and the untracked packets have moved together.
    /// Where the books balance, it is between the two totals.
    #[must_use]
    pub fn sum(&self) -> Totals {
        let mut sum = self.closed;
        for connection in &self.connections {
            let [sent, received] = directions(connection);
            sum.of_mut(sent).add(&connection.sent);
            sum.of_mut(received).add(&connection.received);
        }
        for untracked in &self.untracked {
            sum.add(&untracked.totals);
        }
        sum
    }
}

/// The directions of the host that a connection's sent and received traffic belongs to.
#[must_use]
pub fn directions(connection: &Connection) -> [Direction; 2] {
    if is_forwarded(connection) {
        [Direction::ForwardedSent, Direction::ForwardedReceived]
    } else {
        [Direction::Sent, Direction::Received]
    }
}

impl Visitor for Image {
    fn header(&mut self, header: &Header, _: &[u8]) -> io::Result<()> {
        self.header = *header;
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::Status(status) => self.status = status,
            Part::TotalsBefore(totals) => self.totals_before = totals,
            Part::Connections(records) => records.append_to(&mut self.connections),
            Part::Fds(records) => records.append_to(&mut self.fds),
            Part::Latency(records) => records.append_to(&mut self.latency),
            Part::Quality(quality) => self.quality = quality,
            Part::Drops(records) => records.append_to(&mut self.drops),
            Part::Alerts(records) => records.append_to(&mut self.alerts),
            Part::Closed(totals) => self.closed = totals,
            Part::Untracked(records) => records.append_to(&mut self.untracked),
            Part::TotalsAfter(totals) => self.totals_after = totals,
            Part::End(_) | Part::Unknown(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
