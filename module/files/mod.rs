// SPDX-License-Identifier: GPL-2.0-only

//! The files in /proc/mutex, one a source file.

mod connections;
mod fds;
mod snapshot;
mod stats;

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
        .stream::<snapshot::Snapshot>()?
        .create()
}

/// The only network namespace that the current process may read of, unless it may read of all.
fn only_netns() -> Option<u32> {
    match host::reader_netns() {
        (_, true) => None,
        (netns, false) => Some(netns),
    }
}
