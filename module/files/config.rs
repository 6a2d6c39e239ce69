// SPDX-License-Identifier: GPL-2.0-only

//! /proc/mutex/config: what can be changed at run time, `key value` a line. A write of one or several
//! lines changes all of them or, if one is refused, none.

use core::fmt;

use kernel::prelude::*;
use kernel::sync::Arc;

use super::refused;
use crate::books::Books;
use crate::sys::proc::Line;
use crate::sys::proc::TextFile;

pub(super) struct Config(Arc<Books>);

impl TextFile for Config {
    type Context = Books;
    const NAME: &'static CStr = c"config";
    const MODE: u16 = 0o640;
    const WRITABLE: bool = true;

    fn open(books: Arc<Books>) -> Result<Self> {
        Ok(Config(books))
    }

    fn seek(&mut self, position: u64) -> Option<u64> {
        (position == 0).then_some(0)
    }

    fn show(&mut self, _position: u64, out: &mut Line<'_>) -> fmt::Result {
        self.0.engine().config().text(out)
    }

    fn write(books: &Books, bytes: &[u8]) -> Result {
        books
            .change_config(|config| config.change(bytes))
            .map_err(|refusal| refused(format_args!("config: {refusal}")))
    }
}
