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
}

impl Failure {
    /// That `name` could not be written.
    pub fn writing(name: impl fmt::Display, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => anyhow::anyhow!("cannot write {name}: {}", reason(error)).into(),
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
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Error(error)
    }
}

/// One line on standard error, whatever names and files put into it.
fn say(sentence: fmt::Arguments<'_>) {
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let line: String = sentence.to_string().chars().map(printable).collect();
    // There is nobody left to tell when this fails.
    let _ = writeln!(io::stderr(), "mutexctl: {line}");
}

/// What the system said, without the number that Rust adds.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}
