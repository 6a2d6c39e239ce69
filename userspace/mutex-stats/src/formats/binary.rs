// SPDX-License-Identifier: MIT OR Apache-2.0

//! The image as it is.

use std::io;
use std::io::Write;

use crate::Block;
use crate::Header;
use crate::Visitor;

/// Writes the image bit for bit, blocks and fields that this version does not know included.
#[derive(Debug)]
pub struct Binary<W>(W);

impl<W: Write> Binary<W> {
    /// Writes to `output`, a block at a time.
    pub fn new(output: W) -> Self {
        Binary(output)
    }
}

impl<W: Write> Visitor for Binary<W> {
    fn header(&mut self, _: &Header, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        self.0.write_all(block.bytes())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
