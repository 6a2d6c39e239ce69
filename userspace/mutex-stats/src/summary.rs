// SPDX-License-Identifier: MIT OR Apache-2.0

//! The host as a whole, without its connections.

use std::io;
use std::io::Write;

use crate::Block;
use crate::Header;
use crate::Image;
use crate::Part;
use crate::Stats;
use crate::Visitor;
use crate::formats::Exposition;
use crate::formats::Families;
use crate::formats::write_metrics;

/// Takes an image and keeps what it says of the host as a whole; memory does not grow with its
/// connections.
#[derive(Debug)]
pub struct Summary {
    /// Without connections, fds, histograms and alerts.
    pub image: Image,
    /// How many connections were listed.
    pub connections: u64,
}

impl Default for Summary {
    fn default() -> Self {
        Summary { image: Image { untracked: Vec::new(), ..Image::default() }, connections: 0 }
    }
}

impl Summary {
    /// What the kernel's `stats` would say.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of_image(&self.image)
    }
}

impl Visitor for Summary {
    fn header(&mut self, header: &Header, bytes: &[u8]) -> io::Result<()> {
        self.image.header(header, bytes)
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::Connections(records) => self.connections += records.len() as u64,
            Part::Fds(_) | Part::Latency(_) | Part::Alerts(_) => {}
            _ => self.image.block(block)?,
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what an image says of the host as a whole as metrics, see [`write_metrics`].
#[derive(Debug)]
pub struct Metrics<W> {
    output: W,
    exposition: Exposition,
    summary: Summary,
}

impl<W: Write> Metrics<W> {
    /// Writes to `output`, which should be buffered, when the image has ended.
    pub fn new(output: W, exposition: Exposition) -> Self {
        Metrics { output, exposition, summary: Summary::default() }
    }
}

impl<W: Write> Visitor for Metrics<W> {
    fn header(&mut self, header: &Header, bytes: &[u8]) -> io::Result<()> {
        self.summary.header(header, bytes)
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        self.summary.block(block)
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut families = Families::new(&mut self.output, self.exposition);
        write_metrics(&mut families, &self.summary.stats())?;
        families.finish().map(drop)
    }
}
