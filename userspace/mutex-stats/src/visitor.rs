// SPDX-License-Identifier: MIT OR Apache-2.0

//! What everything that looks at an image has in common.

use std::io;
use std::io::Read;

use crate::Block;
use crate::Error;
use crate::Header;
use crate::Reader;

/// Takes an image as it streams by: the header, each block, and the news that it was whole.
///
/// Formats write what they are given, so a visitor's errors are those of writing.
pub trait Visitor {
    /// The header, checked, and the bytes that it was read from.
    ///
    /// # Errors
    ///
    /// Whatever writing gives.
    fn header(&mut self, header: &Header, bytes: &[u8]) -> io::Result<()>;

    /// The next block, checked. Blocks come in the order of [`Kind`](crate::Kind); unknown ones
    /// may be among them.
    ///
    /// # Errors
    ///
    /// Whatever writing gives.
    fn block(&mut self, block: &Block<'_>) -> io::Result<()>;

    /// The image has ended as it should. Not called if it has not.
    ///
    /// # Errors
    ///
    /// Whatever writing gives.
    fn finish(&mut self) -> io::Result<()>;
}

impl<V: Visitor + ?Sized> Visitor for &mut V {
    fn header(&mut self, header: &Header, bytes: &[u8]) -> io::Result<()> {
        (**self).header(header, bytes)
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        (**self).block(block)
    }

    fn finish(&mut self) -> io::Result<()> {
        (**self).finish()
    }
}

/// Hands an image to `visitor`, in bounded memory, and returns its header.
///
/// # Errors
///
/// The image's, see [`Reader`], and [`Error::Write`] for the visitor's own.
pub fn visit(input: impl Read, visitor: &mut (impl Visitor + ?Sized)) -> Result<Header, Error> {
    Reader::new(input)?.visit(visitor)
}

impl<R: Read> Reader<R> {
    /// As [`visit`], for a reader that has read no block yet.
    ///
    /// # Errors
    ///
    /// As [`visit`].
    pub fn visit(mut self, visitor: &mut (impl Visitor + ?Sized)) -> Result<Header, Error> {
        let header = *self.header();
        visitor.header(&header, self.header_bytes()).map_err(Error::Write)?;
        while let Some(block) = self.next_block()? {
            visitor.block(&block).map_err(Error::Write)?;
        }
        visitor.finish().map_err(Error::Write)?;
        Ok(header)
    }
}
