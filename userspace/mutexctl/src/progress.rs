// SPDX-License-Identifier: MIT OR Apache-2.0

//! How far long work has come, for who sits at a terminal.

use std::fmt;
use std::io;
use std::io::IsTerminal;
use std::io::Write;

/// A line on standard error that is written again and again; nothing where that is no terminal.
pub struct Progress {
    is_shown: bool,
    is_open: bool,
}

impl Progress {
    pub fn new() -> Self {
        Progress { is_shown: io::stderr().is_terminal(), is_open: false }
    }

    /// Takes the place of what was said before.
    pub fn say(&mut self, text: fmt::Arguments<'_>) {
        if self.is_shown {
            self.is_open = true;
            // There is nobody to tell when this fails.
            let _ = write!(io::stderr(), "\r{text}\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_open {
            let _ = writeln!(io::stderr());
        }
    }
}
