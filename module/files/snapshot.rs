// SPDX-License-Identifier: GPL-2.0-only

//! /proc/mutex/snapshot: all of the books in one binary image, and, mapped, the records of the
//! connections as they are; see `include/mutex.h`.

use core::pin::Pin;

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::sync::Mutex;
use kernel::uaccess::UserSliceWriter;
use mutex_core::snapshot::Image;
use mutex_core::snapshot::Origin;
use mutex_core::snapshot::Piece;
use mutex_core::snapshot::BLOCK_BYTES;

use super::only_netns;
use crate::books::Books;
use crate::books::Reader;
use crate::sys::host;
use crate::sys::proc::Mapped;
use crate::sys::proc::StreamFile;

/// An image that is being read.
#[pin_data]
pub(super) struct Snapshot {
    books: Arc<Books>,
    /// Whether only one network namespace may be seen.
    filtered: bool,
    #[pin]
    state: Mutex<State>,
}

struct State {
    image: Image,
    reader: Reader,
    block: KVVec<u8>,
    /// Where in `block` what was not handed over yet begins, and ends.
    begin: usize,
    end: usize,
}

impl StreamFile for Snapshot {
    type Context = Books;
    const NAME: &'static CStr = c"snapshot";
    const MODE: u16 = 0o440;
    const MAPPABLE: bool = true;

    fn open(books: Arc<Books>) -> Result<Pin<KBox<Self>>> {
        let (netns, is_first) = host::reader_netns();
        let origin =
            Origin { moment: host::moment(), boot_id: books.boot_id(), netns, filtered: !is_first };
        let mut block = KVVec::new();
        block.extend_with(BLOCK_BYTES, 0, GFP_KERNEL)?;
        let filtered = !is_first;
        let reader = Reader::new(books.clone(), only_netns(), origin.moment)?;
        let state = State { image: Image::new(origin), reader, block, begin: 0, end: 0 };
        KBox::pin_init(
            pin_init!(Snapshot { books, filtered, state <- new_mutex!(state, "mutex_snapshot") }),
            GFP_KERNEL,
        )
    }

    fn read(&self, out: &mut UserSliceWriter) -> Result<usize> {
        let state = &mut *self.state.lock();
        let mut written = 0;
        while !out.is_empty() {
            match state.hand_over(out) {
                Ok(0) => break,
                Ok(length) => written += length,
                // What was handed over before does not come again.
                Err(_) if written != 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    fn map(&self, part: u32) -> Option<Mapped> {
        match part {
            _ if self.filtered => None,
            0 => Some(Mapped::new(self.books.live_header())),
            1 => Some(Mapped::new(self.books.engine().connections().table())),
            _ => None,
        }
    }
}

impl State {
    /// Writes what comes next for userspace and says how many bytes; 0 at the end.
    fn hand_over(&mut self, out: &mut UserSliceWriter) -> Result<usize> {
        if self.begin == self.end && !self.refill()? {
            return Ok(0);
        }
        let length = out.len().min(self.end - self.begin);
        out.write_slice(self.block.get(self.begin..self.begin + length).ok_or(EIO)?)?;
        self.begin += length;
        Ok(length)
    }

    /// Gets the next block; false at the end.
    fn refill(&mut self) -> Result<bool> {
        (self.begin, self.end) = (0, 0);
        let (image, block) = (&mut self.image, &mut self.block);
        let engine = self.reader.books().engine();
        while self.end == 0 {
            let piece = self
                .reader
                .with_cursor(|ledger, cursor| image.next(engine, ledger, cursor, block))?;
            match piece {
                Piece::Bytes(bytes) => self.end = bytes,
                Piece::Grace => host::grace_period_soon(),
                Piece::Done => return Ok(false),
            }
        }
        Ok(true)
    }
}
