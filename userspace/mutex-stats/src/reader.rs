// SPDX-License-Identifier: MIT OR Apache-2.0

//! From the bytes of an image to its blocks. Nothing is handed out before it was checked.

use std::io;
use std::io::Read;

use crc32fast::Hasher;
use mutex_core::abi::MUTEX_MAGIC;
use mutex_core::abi::MUTEX_VERSION;
use mutex_core::abi::mutex_block;
use mutex_core::wire::Wire;

use crate::Block;
use crate::End;
use crate::Error;
use crate::Header;
use crate::Kind;
use crate::error::Place;
use crate::order::Order;

/// The largest block that is read, in bytes of its records: what a reader holds in memory is bounded
/// by it, and grows with the bytes that are there, not with what they claim.
pub const MAX_BLOCK: usize = mutex_core::abi::MUTEX_BLOCK_MAX as usize;

/// The largest header that is read, in bytes.
const MAX_HEADER: usize = 4096;

/// Reads an image as it streams by.
///
/// Every byte is under a checksum that has been verified, or compared with what it has to be,
/// before it is handed out. Still only [`Reader::next_block`] returning `None` says that the image
/// is whole: until then it may turn out to be truncated.
///
/// Holds one block at a time, of at most [`MAX_BLOCK`]. The input should be buffered: a block is
/// read in a few pieces.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Bytes taken from `input`.
    position: u64,
    header: Header,
    header_bytes: Vec<u8>,
    /// Room for the current block, and bytes of it that have come.
    buffer: Vec<u8>,
    filled: usize,
    order: Order,
    connections: u64,
    fds: u64,
}

impl<R: Read> Reader<R> {
    /// Reads and checks the header.
    ///
    /// # Errors
    ///
    /// Everything that [`Error`] has about images' headers, and [`Error::Read`].
    pub fn new(input: R) -> Result<Self, Error> {
        let mut reader = Reader {
            input,
            position: 0,
            header: Header::default(),
            header_bytes: Vec::new(),
            buffer: Vec::new(),
            filled: 0,
            order: Order::default(),
            connections: 0,
            fds: 0,
        };
        reader.read_header()?;
        Ok(reader)
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The header as it is in the image.
    #[must_use]
    pub fn header_bytes(&self) -> &[u8] {
        &self.header_bytes
    }

    /// The next block, `None` when the image has ended as it should.
    ///
    /// # Errors
    ///
    /// Everything that [`Error`] has about images' blocks, and [`Error::Read`].
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, Error> {
        if self.order.is_complete() {
            return Ok(None);
        }
        let at = self.position;
        let block = self.read_block_header()?;
        let kind = Kind::from_number(block.kind);
        let place = kind.map_or(Place::UnknownBlock(block.kind), Place::Block);

        let record_size = block.record_size as usize;
        let size = usize::try_from(u64::from(block.record_size) * u64::from(block.count)).ok();
        let Some(size) = size.filter(|&size| size <= MAX_BLOCK && record_size % 8 == 0) else {
            let what = format!("{} records of {record_size} bytes", block.count);
            return Err(Error::Size { at, place, what });
        };
        if record_size == 0 && block.count != 0 {
            let what = String::from("records of no size");
            return Err(Error::Size { at, place, what });
        }
        self.fill(mutex_block::SIZE + size, place)?;

        let (head, records) = self.buffer[..self.filled].split_at(mutex_block::SIZE);
        // The checksum is the last field, and counts as zero.
        if checksum(&head[..mutex_block::SIZE - 4], records) != block.crc {
            return Err(Error::Checksum { at, place });
        }
        if let Some(kind) = kind {
            self.order.next(kind, block.count).map_err(|what| Error::Order { at, kind, what })?;
        }
        match kind {
            Some(Kind::Connections) => self.connections += u64::from(block.count),
            Some(Kind::Fds) => self.fds += u64::from(block.count),
            Some(Kind::End) => {
                let end = End::take(records).0;
                self.check_end(&end)?;
            }
            _ => {}
        }
        let bytes = &self.buffer[..self.filled];
        Ok(Some(Block {
            number: block.kind,
            record_size,
            bytes,
            records: &bytes[mutex_block::SIZE..],
        }))
    }

    fn read_header(&mut self) -> Result<(), Error> {
        // Magic, version and size come first in every version of the format.
        const FIXED: usize = 16;

        match self.fill(FIXED, Place::Header) {
            Err(Error::Truncated { .. }) if self.filled == 0 => return Err(Error::Empty),
            // What is too short to be told by its magic number may be a cut image if it agrees as
            // far as it goes.
            Err(Error::Truncated { .. })
                if !MUTEX_MAGIC
                    .to_le_bytes()
                    .starts_with(&self.buffer[..self.filled.min(size_of::<u64>())]) =>
            {
                return Err(Error::NotAnImage);
            }
            result => result?,
        }
        let start = Header::take(&self.buffer[..self.filled]).0;
        if start.magic != MUTEX_MAGIC {
            return Err(Error::NotAnImage);
        }
        if start.version != MUTEX_VERSION {
            return Err(Error::Version { found: start.version, known: MUTEX_VERSION });
        }
        let size = start.header_size as usize;
        if !(Header::SIZE..=MAX_HEADER).contains(&size) || size % 8 != 0 {
            let what = format!("a size of {size} bytes");
            return Err(Error::Size { at: 0, place: Place::Header, what });
        }
        self.fill(size, Place::Header)?;

        let bytes = &self.buffer[..self.filled];
        let header = Header::take(bytes).0;
        let crc_at = Header::SIZE - size_of::<u32>();
        if checksum(&bytes[..crc_at], &bytes[Header::SIZE..]) != header.crc {
            return Err(Error::Checksum { at: 0, place: Place::Header });
        }
        self.header = header;
        self.header_bytes = bytes.to_vec();
        Ok(())
    }

    /// Starts the next block in the buffer.
    fn read_block_header(&mut self) -> Result<mutex_block, Error> {
        self.filled = 0;
        match self.fill(mutex_block::SIZE, Place::BlockHeader) {
            Err(Error::Truncated { at, .. }) if self.filled == 0 => {
                Err(Error::Truncated { at, place: None })
            }
            result => result.map(|()| mutex_block::take(&self.buffer[..self.filled]).0),
        }
    }

    /// Checks what the end says, and that it is the end.
    fn check_end(&mut self, end: &End) -> Result<(), Error> {
        for (what, claimed, found) in [
            ("connections", end.connections, self.connections),
            ("fds", end.fds, self.fds),
            ("bytes", end.bytes, self.position),
        ] {
            if claimed != found {
                return Err(Error::Count { what, claimed, found });
            }
        }
        let mut beyond = Vec::new();
        (&mut self.input).take(1).read_to_end(&mut beyond).map_err(Error::Read)?;
        if !beyond.is_empty() {
            return Err(Error::Trailing { at: self.position });
        }
        Ok(())
    }

    /// Reads until `size` bytes are there. The buffer only grows as they come.
    fn fill(&mut self, size: usize, place: Place) -> Result<(), Error> {
        const LEAST: usize = 8 << 10;

        while self.filled < size {
            if self.filled == self.buffer.len() {
                self.buffer.resize(size.min((2 * self.filled).max(LEAST)), 0);
            }
            let end = size.min(self.buffer.len());
            match self.input.read(&mut self.buffer[self.filled..end]) {
                Ok(0) => return Err(Error::Truncated { at: self.position, place: Some(place) }),
                Ok(count) => {
                    self.filled += count;
                    self.position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
        Ok(())
    }
}

/// CRC-32 of `before`, four zeros in the place of the checksum itself, and `after`.
pub(crate) fn checksum(before: &[u8], after: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(before);
    hasher.update(&[0; 4]);
    hasher.update(after);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;

    fn header() -> Vec<u8> {
        let mut image = Vec::new();
        Image::default().write(&mut image).expect("a vector takes everything");
        image.truncate(Header::SIZE);
        image
    }

    fn with_block(kind: u16, record_size: u32, count: u32) -> Vec<u8> {
        let block = mutex_block { kind, record_size, count, ..mutex_block::default() };
        let mut image = header();
        let start = image.len();
        image.resize(start + mutex_block::SIZE, 0);
        let _ = block.put(&mut image[start..]).expect("there is room");
        image
    }

    #[test]
    fn memory_grows_with_what_is_there_and_not_with_what_is_claimed() {
        let mut image = with_block(3, 176, u32::try_from(MAX_BLOCK / 176).expect("it fits"));
        image.extend([0; 1000]);
        let mut reader = Reader::new(image.as_slice()).expect("the header is right");
        assert!(matches!(reader.next_block(), Err(Error::Truncated { .. })));
        assert!(reader.buffer.capacity() < 16 << 10, "{} bytes", reader.buffer.capacity());
    }

    #[test]
    fn the_largest_block_is_read_and_a_larger_one_refused() {
        let count = u32::try_from(MAX_BLOCK / 8).expect("it fits");
        for (count, is_refused) in [(count, false), (count + 1, true)] {
            let image = with_block(3, 8, count);
            let mut reader = Reader::new(image.as_slice()).expect("the header is right");
            let result = reader.next_block().map(drop);
            assert_eq!(matches!(result, Err(Error::Size { .. })), is_refused);
            assert_eq!(matches!(result, Err(Error::Truncated { .. })), !is_refused);
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_number_of_connections() {
        let mut image = Image::default();
        let mut capacity = |connections: usize| {
            image.connections.resize(connections, crate::Connection::default());
            let mut bytes = Vec::new();
            image.write(&mut bytes).expect("a vector takes everything");
            let mut reader = Reader::new(bytes.as_slice()).expect("the header is right");
            while reader.next_block().expect("the image is whole").is_some() {}
            reader.buffer.capacity()
        };
        assert_eq!(capacity(1_000), capacity(100_000));
    }
}
