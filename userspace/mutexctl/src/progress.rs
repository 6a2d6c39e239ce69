// SPDX-License-Identifier: MIT OR Apache-2.0

//! How far long work has come, for who sits at a terminal.

use std::fmt;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use crate::human;

/// Work is long when somebody begins to wonder.
const LONG: Duration = Duration::from_millis(500);

/// From one look at it to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// A line on standard error that is written again and again; nothing where that is no terminal.
pub struct Progress {
    is_shown: bool,
    /// Whether the line stays when all is done.
    is_kept: bool,
    /// When there is something to say next.
    next: Instant,
    is_open: bool,
}

impl Progress {
    /// Of work that is known to be long; its last line stays.
    pub fn kept() -> Self {
        let is_shown = io::stderr().is_terminal();
        Progress { is_shown, is_kept: true, next: Instant::now(), is_open: false }
    }

    /// Of work that may be long: nothing is said of it if it is not, and nothing stays.
    pub fn passing() -> Self {
        let next = Instant::now() + LONG;
        Progress { is_kept: false, next, ..Self::kept() }
    }

    /// Of work that nobody is told of.
    pub fn none() -> Self {
        Progress { is_shown: false, ..Self::kept() }
    }

    /// Whether it is time to say something.
    fn is_due(&self) -> bool {
        self.is_shown && (self.is_kept || Instant::now() >= self.next)
    }

    /// Takes the place of what was said before.
    pub fn say(&mut self, text: fmt::Arguments<'_>) {
        if self.is_due() {
            self.next = Instant::now() + PAUSE;
            self.is_open = true;
            // There is nobody to tell when this fails.
            let _ = write!(io::stderr(), "\r{text}\x1b[K");
        }
    }

    /// Makes room for something else on standard error.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_kept && self.is_open {
            let _ = writeln!(io::stderr());
        } else {
            self.clear();
        }
    }
}

/// Reads, and says how far it has come.
pub struct Reading<'a> {
    input: Box<dyn Read + 'a>,
    progress: Progress,
    read: u64,
    /// All that there is to read, where that is known.
    all: Option<u64>,
}

impl<'a> Reading<'a> {
    pub fn new(input: impl Read + 'a, progress: Progress, all: Option<u64>) -> Self {
        Reading { input: Box::new(input), progress, read: 0, all }
    }
}

impl Read for Reading<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(bytes)?;
        self.read += count as u64;
        if self.progress.is_due() {
            let read = human::size(self.read);
            match self.all {
                Some(all) => self.progress.say(format_args!("read {read} of {}", human::size(all))),
                None => self.progress.say(format_args!("read {read}")),
            }
        }
        Ok(count)
    }
}
