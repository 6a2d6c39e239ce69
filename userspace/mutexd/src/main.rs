// SPDX-License-Identifier: MIT OR Apache-2.0

//! Watches what the MUTEX kernel module counts: metrics, an HTTP interface, a live page.

#![forbid(unsafe_code)]

mod background;
mod cli;
mod config;
mod daemon;
mod diagnostics;
mod guard;
mod history;
mod http;
mod journal;
mod local;
mod log;
mod monitor;
mod network;
mod own;
mod part;
mod peers;
mod pid_file;
mod process;
mod processes;
mod service;
mod turns;

use std::io;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use rustix::fs::Mode;

use crate::cli::Cli;
use crate::cli::Command;

fn main() -> ExitCode {
    // Whatever this process creates names connections, or may do so.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let cli = Cli::parse();
    let config = cli.config.as_deref();
    let done = match &cli.command {
        Command::Run { detached } => background::run(config, *detached),
        Command::Start => background::start(config),
        Command::Stop => background::stop(config),
        Command::Reload => background::reload(config),
        Command::Status => background::status(config),
        Command::CheckConfig { file } => cli::check_config(file.as_deref().or(config)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// One line on standard error, whatever names and files put into it.
fn say(sentence: &str) {
    // There is nobody left to tell when this fails.
    let _ = writeln!(io::stderr(), "mutexd: {}", printable(sentence));
}

/// Without what would break the line, move a cursor, or hide something.
fn printable(text: &str) -> String {
    mutex_stats::printable(text).into_owned()
}

/// What the system said, without the number that Rust adds.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}
