// SPDX-License-Identifier: GPL-2.0-only

//! /proc/mutex/stats: the global counters, for those who may see numbers of the whole host. Packet
//! counts and drop reasons of others are a side channel, so everybody else is shown what the module
//! says of itself, and what their own network namespace uses.

use core::fmt;
use core::fmt::Write;

use kernel::prelude::*;
use kernel::sync::Arc;
use mutex_core::cpu::DropCounter;
use mutex_core::text;

use crate::books::Books;
use crate::sys::host;
use crate::sys::probes;
use crate::sys::proc::Line;
use crate::sys::proc::TextFile;

pub(super) struct Stats {
    books: Arc<Books>,
    /// The reader's network namespace, if it may not see the whole host.
    restricted: Option<u32>,
}

impl TextFile for Stats {
    type Context = Books;
    const NAME: &'static CStr = c"stats";
    const MODE: u16 = 0o444;

    fn open(books: Arc<Books>) -> Result<Self> {
        let restricted = (!host::may_see_host()).then(|| host::reader_netns().0);
        Ok(Stats { books, restricted })
    }

    fn seek(&mut self, position: u64) -> Option<u64> {
        (position == 0).then_some(0)
    }

    fn show(&mut self, _position: u64, out: &mut Line<'_>) -> fmt::Result {
        let engine = self.books.engine();
        let now = host::moment().boot;
        if let Some(netns) = self.restricted {
            text::restricted_stats(out, &engine.facts(now), engine.share_of(netns))?;
        } else {
            let closed = self.books.with_shelf(|shelf| *shelf.ledger.closed());
            let status = engine.status(now);
            let untracked = |reason| engine.untracked(reason);
            let quality = engine.host_quality();
            let drops = (0..DropCounter::REASONS as u32).filter_map(|reason| engine.drops(reason));
            text::stats(out, &status, &engine.totals(), &closed, untracked, &quality, drops)?;
        }
        for (feature, is_missing) in probes::kernel_lacks() {
            writeln!(out, "kernel_lacks_{feature} {}", u8::from(is_missing))?;
        }
        Ok(())
    }
}
