// SPDX-License-Identifier: GPL-2.0-only

//! /proc/mutex/connections: a line a connection.

use core::fmt;

use kernel::prelude::*;
use kernel::sync::Arc;
use mutex_core::connection::Meta;
use mutex_core::snapshot::Moment;
use mutex_core::text;

use super::only_netns;
use crate::books::Books;
use crate::sys::host;
use crate::sys::proc::Line;
use crate::sys::proc::TextFile;

/// Item 0 is the header, item `n` record `n - 1`.
pub(super) struct Connections {
    books: Arc<Books>,
    netns: Option<u32>,
    moment: Moment,
}

impl TextFile for Connections {
    type Context = Books;
    const NAME: &'static CStr = c"connections";
    const MODE: u16 = 0o440;

    fn open(books: Arc<Books>) -> Result<Self> {
        Ok(Connections { books, netns: only_netns(), moment: host::moment() })
    }

    fn seek(&mut self, position: u64) -> Option<u64> {
        let Some(start) = position.checked_sub(1) else {
            return Some(0);
        };
        let (record, _) = self
            .books
            .engine()
            .connections()
            .ever_used(u32::try_from(start).ok()?)
            .find(|(_, connection)| connection.meta().has(Meta::IN_USE))?;
        Some(u64::from(record) + 1)
    }

    fn show(&mut self, position: u64, out: &mut Line<'_>) -> fmt::Result {
        let Some(record) = position.checked_sub(1) else {
            return text::connections_header(out);
        };
        let books = &self.books;
        let Some(connection) = books.engine().connections().get(record as u32) else {
            return Ok(());
        };
        // With the shelf's lock the record can't become another's halfway.
        let wire = books.with_shelf(|_| {
            connection.meta().has(Meta::IN_USE).then(|| {
                let (offset, now) = (self.moment.offset(), self.moment.boot);
                books.engine().connection_to_wire(record as u32, connection, offset, now)
            })
        });
        match wire {
            Some(wire) if self.netns.is_none_or(|only| only == wire.netns) => {
                text::connection(out, &wire)
            }
            _ => Ok(()),
        }
    }
}
