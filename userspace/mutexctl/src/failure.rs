// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a command ends when it does not end well.

use std::fmt;
use std::io;
use std::io::Write;
use std::process::ExitCode;

/// Why a command ends early.
#[derive(Debug)]
pub enum Failure {
    /// It was called without a command, so it says what there is: exit status 2.
    Help(String),
    /// It was called in a way that makes no sense: exit status 2.
    Usage(String),
    /// It could not do its work, or the answer is no: exit status 1.
    Error(anyhow::Error),
    /// Who reads the output wants no more of it.
    BrokenPipe,
    /// A check that cannot be made, for monitoring systems: exit status 3.
    Unknown(String),
    /// All has been said: this exit status.
    Status(u8),
}

impl Failure {
    /// That `name` could not be written.
    pub fn writing(name: impl fmt::Display, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => anyhow::anyhow!("cannot write {name}: {}", reason(error)).into(),
        }
    }

    /// What is to be said of it on a screen.
    pub fn sentence(&self) -> String {
        match self {
            Failure::Help(text) | Failure::Usage(text) | Failure::Unknown(text) => text.clone(),
            Failure::Error(error) => printable(&format!("{error:#}")),
            Failure::BrokenPipe | Failure::Status(_) => String::new(),
        }
    }

    /// Says it in one sentence, and gives the exit status.
    pub fn report(&self) -> ExitCode {
        match self {
            Failure::Help(help) => {
                // There is nobody left to tell when this fails.
                let _ = write!(io::stderr(), "{help}");
                ExitCode::from(2)
            }
            Failure::Usage(sentence) => {
                say(format_args!("{sentence}; see `mutexctl --help`"));
                ExitCode::from(2)
            }
            Failure::Error(error) => {
                say(format_args!("{error:#}"));
                ExitCode::FAILURE
            }
            Failure::BrokenPipe => ExitCode::SUCCESS,
            Failure::Unknown(sentence) => {
                let line = printable(&format!("MUTEX UNKNOWN: {sentence}"));
                // The exit status says it, too.
                let _ = writeln!(io::stdout(), "{line}");
                ExitCode::from(3)
            }
            Failure::Status(status) => ExitCode::from(*status),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Error(error)
    }
}

impl Failure {
    /// That something on the command line makes no sense.
    pub fn usage(error: impl fmt::Display) -> Self {
        Failure::Usage(error.to_string())
    }
}

/// One line on standard error, whatever names and files put into it.
pub fn say(sentence: fmt::Arguments<'_>) {
    let line = printable(&sentence.to_string());
    // There is nobody left to tell when this fails.
    let _ = writeln!(io::stderr(), "mutexctl: {line}");
}

/// Without what would break the line, move a cursor, or hide something.
pub fn printable(text: &str) -> String {
    mutex_stats::printable(text).into_owned()
}

/// What the system said, without the number that Rust adds.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}
