// SPDX-License-Identifier: GPL-2.0-only

//! /proc/mutex/fds: a line a socket fd.

use core::fmt;

use kernel::prelude::*;
use kernel::sync::Arc;
use mutex_core::text;

use super::only_netns;
use crate::books::Books;
use crate::books::Reader;
use crate::sys::host;
use crate::sys::proc::Line;
use crate::sys::proc::TextFile;

/// Item 0 is the header, item `n` record `n - 1`.
///
/// What an fd moved is the sum of its connections, which are added up once when the file is opened
/// and corrected for those that are settled while it is read.
pub(super) struct Fds(Reader);

impl TextFile for Fds {
    type Context = Books;
    const NAME: &'static CStr = c"fds";
    const MODE: u16 = 0o440;

    fn open(books: Arc<Books>) -> Result<Self> {
        let reader = Reader::new(books, only_netns(), host::moment())?;
        let engine = reader.books().engine();
        while reader.with_cursor(|ledger, cursor| cursor.connections(engine, ledger, |_| ()))? {}
        Ok(Fds(reader))
    }

    fn seek(&mut self, position: u64) -> Option<u64> {
        let Some(start) = position.checked_sub(1) else {
            return Some(0);
        };
        let arena = self.0.books().engine().fds().arena();
        let (record, _) =
            arena.ever_used(u32::try_from(start).ok()?).find(|(_, fd)| fd.is_in_use())?;
        Some(u64::from(record) + 1)
    }

    fn show(&mut self, position: u64, out: &mut Line<'_>) -> fmt::Result {
        let Some(record) = position.checked_sub(1) else {
            return text::fds_header(out);
        };
        let engine = self.0.books().engine();
        let fd = self.0.with_cursor(|ledger, cursor| cursor.fd(engine, ledger, record as u32));
        match fd {
            Ok(Some(fd)) => text::fd(out, &fd),
            _ => Ok(()),
        }
    }
}
