// SPDX-License-Identifier: GPL-2.0-only

//! The files in /proc/mutex, one a source file.

mod alerts;
mod config;
mod connections;
mod events;
mod fds;
mod monitors;
mod snapshot;
mod stats;

use core::fmt;

use kernel::prelude::*;
use kernel::sync::Arc;

use crate::books::Books;
use crate::sys::host;
use crate::sys::proc::Directory;
use crate::sys::proc::Files;

/// Makes all of them.
pub(crate) fn create(books: Arc<Books>) -> Result<Directory<Books>> {
    Files::new(books)
        .text::<stats::Stats>()?
        .text::<connections::Connections>()?
        .text::<fds::Fds>()?
        .text::<alerts::Alerts>()?
        .text::<config::Config>()?
        .text::<monitors::Monitors>()?
        .stream::<snapshot::Snapshot>()?
        .stream::<events::Events>()?
        .create()
}

/// The only network namespace that the current process may read of, unless it may read of all.
fn only_netns() -> Option<u32> {
    match host::reader_netns() {
        (_, true) => None,
        (netns, false) => Some(netns),
    }
}

/// Says in the kernel's log what is wrong with what was written, unless that happens too often.
fn refused(why: fmt::Arguments<'_>) -> Error {
    if host::may_log() {
        pr_warn!("{}\n", why);
    }
    EINVAL
}
