// SPDX-License-Identifier: GPL-2.0-only

//! /proc/mutex/monitors: who is watching what.

use core::fmt;

use kernel::prelude::*;
use kernel::sync::Arc;
use mutex_core::text;
use mutex_core::text::MonitorLine;

use super::only_netns;
use crate::books::Books;
use crate::sys::host;
use crate::sys::proc::Line;
use crate::sys::proc::TextFile;
use crate::watch::WATCHERS_MAX;

/// Item 0 is the header, item `n` the watcher in place `n - 1`.
pub(super) struct Monitors {
    books: Arc<Books>,
    netns: Option<u32>,
}

impl TextFile for Monitors {
    type Context = Books;
    const NAME: &'static CStr = c"monitors";
    const MODE: u16 = 0o440;

    fn open(books: Arc<Books>) -> Result<Self> {
        Ok(Monitors { books, netns: only_netns() })
    }

    fn seek(&mut self, position: u64) -> Option<u64> {
        (position <= WATCHERS_MAX as u64).then_some(position)
    }

    fn show(&mut self, position: u64, out: &mut Line<'_>) -> fmt::Result {
        let Some(place) = position.checked_sub(1) else {
            return text::monitors_header(out);
        };
        let Some(watcher) = self.books.engine().system().get(place as usize) else {
            return Ok(());
        };
        let opener = &watcher.opener;
        if self.netns.is_some_and(|only| only != opener.netns) {
            return Ok(());
        }
        let line = MonitorLine {
            id: opener.id,
            pid: host::reader_pid(opener.process.pid),
            command: &opener.process.command,
            uid: opener.process.uid,
            netns: opener.netns,
            opened_ns: opener.opened_ns,
            counts: watcher.monitor.counts(),
            slots: watcher.monitor.queue().size(),
            filter: watcher.monitor.filter(),
        };
        text::monitor(out, &line)
    }
}
