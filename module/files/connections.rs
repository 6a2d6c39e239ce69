// SPDX-License-Identifier: GPL-2.0-only

//! /proc/mutex/connections: a line a connection.

use core::fmt;

use kernel::prelude::*;
use kernel::sync::Arc;
use mutex_core::connection::Meta;
use mutex_core::latency::Histogram;
use mutex_core::snapshot::Moment;
use mutex_core::text;

use super::only_netns;
use crate::books::Books;
use crate::sys::host;
use crate::sys::proc::Line;
use crate::sys::proc::TextFile;

/// Records that are shown together.
const TOGETHER: u64 = 16;

/// Item 0 is the header, item `n` are the records from `(n - 1) * TOGETHER` on.
pub(super) struct Connections {
    books: Arc<Books>,
    netns: Option<u32>,
    moment: Moment,
}

impl TextFile for Connections {
    type Context = Books;
    const NAME: &'static CStr = c"connections";
    const MODE: u16 = 0o440;
    const ROOM: u64 = 256 << 10;

    fn open(books: Arc<Books>) -> Result<Self> {
        Ok(Connections { books, netns: only_netns(), moment: host::moment() })
    }

    fn seek(&mut self, position: u64) -> Option<u64> {
        let Some(start) = position.checked_sub(1) else {
            return Some(0);
        };
        let start = u32::try_from(start.checked_mul(TOGETHER)?).ok()?;
        let (record, _) = self
            .books
            .engine()
            .connections()
            .ever_used(start)
            .find(|(_, connection)| connection.meta().has(Meta::IN_USE))?;
        Some(u64::from(record) / TOGETHER + 1)
    }

    fn show(&mut self, position: u64, out: &mut Line<'_>) -> fmt::Result {
        let Some(start) = position.checked_sub(1).map(|group| group * TOGETHER) else {
            return text::connections_header(out);
        };
        let engine = self.books.engine();
        let (offset, now) = (self.moment.offset(), self.moment.boot);
        let mut histogram = Histogram::default();
        // With the shelf's lock no record can become another's halfway.
        self.books.with_shelf(|_| {
            for record in start as u32..(start + TOGETHER) as u32 {
                engine.prefetch(record.saturating_add(TOGETHER as u32));
                let Some(connection) = engine.connections().get(record) else {
                    break;
                };
                let meta = connection.meta();
                // The number of a namespace that is gone may be another's already.
                let shown = meta.has(Meta::IN_USE)
                    && self.netns.is_none_or(|only| {
                        only == connection.key().netns() && !meta.has(Meta::NETNS_GONE)
                    });
                if shown {
                    let wire =
                        engine.connection_to_wire(record, connection, offset, now, &mut histogram);
                    text::connection(out, &wire)?;
                }
                if out.overflowed() {
                    break;
                }
            }
            Ok(())
        })
    }
}
