// SPDX-License-Identifier: GPL-2.0-only

//! /proc/mutex/alerts: a line an alert. A reader that goes on after the end gets what came since;
//! writing `clear` hides what there is.

use core::fmt;

use kernel::prelude::*;
use kernel::sync::Arc;
use mutex_core::text;

use super::only_netns;
use super::refused;
use crate::books::Books;
use crate::sys::proc::Line;
use crate::sys::proc::TextFile;

/// Item 0 is the header, item `n` alert number `n`.
pub(super) struct Alerts {
    books: Arc<Books>,
    netns: Option<u32>,
}

impl TextFile for Alerts {
    type Context = Books;
    const NAME: &'static CStr = c"alerts";
    const MODE: u16 = 0o640;
    const WRITABLE: bool = true;

    fn open(books: Arc<Books>) -> Result<Self> {
        Ok(Alerts { books, netns: only_netns() })
    }

    fn seek(&mut self, position: u64) -> Option<u64> {
        if position == 0 {
            return Some(0);
        }
        self.books.engine().alert_from(position).map(|alert| alert.number)
    }

    fn show(&mut self, position: u64, out: &mut Line<'_>) -> fmt::Result {
        if position == 0 {
            return text::alerts_header(out);
        }
        match self.books.engine().alert_from(position) {
            Some(alert)
                if alert.number == position
                    && self.netns.is_none_or(|only| only == alert.netns) =>
            {
                text::alert(out, &alert)
            }
            _ => Ok(()),
        }
    }

    fn write(books: &Books, bytes: &[u8]) -> Result {
        if bytes.trim_ascii() != b"clear" {
            return Err(refused(format_args!("alerts: the only word to write is 'clear'")));
        }
        books.engine().alerts().clear(&books.cpus().pin());
        Ok(())
    }
}
