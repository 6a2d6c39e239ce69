// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether tables have colors, and which.

use std::io;
use std::io::IsTerminal;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use clap::ValueEnum;

/// When tables have colors: by default on a terminal, unless `NO_COLOR` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

static IS_ON: AtomicBool = AtomicBool::new(false);

impl Color {
    /// Decides for this run.
    pub fn decide(self) {
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_on = match self {
            Color::Auto => io::stdout().is_terminal() && !is_refused,
            Color::Always => true,
            Color::Never => false,
        };
        IS_ON.store(is_on, Relaxed);
    }
}

/// Whether tables have colors.
pub fn is_on() -> bool {
    IS_ON.load(Relaxed)
}

/// For tables that go to a file.
pub fn off() {
    IS_ON.store(false, Relaxed);
}

/// A way to show text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style(&'static str);

/// The names of columns.
pub const HEADER: Style = Style("1");

impl Style {
    /// That of a word that says how good or bad something is.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "critical" | "CRITICAL" | "fail" => Some(Style("1;31")),
            "error" | "ERROR" => Some(Style("31")),
            "warning" | "WARNING" | "warn" => Some(Style("33")),
            "ok" | "OK" => Some(Style("32")),
            _ => None,
        }
    }

    /// The text in this style, if there are colors.
    pub fn paint(self, text: &str) -> String {
        if is_on() { format!("\x1b[{}m{text}\x1b[0m", self.0) } else { text.to_owned() }
    }
}
