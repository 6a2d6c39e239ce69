// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shows, exports and audits what the MUTEX kernel module counts.

#![forbid(unsafe_code)]

mod cells;
mod cli;
mod color;
mod commands;
mod csv;
mod failure;
mod help;
mod histogram;
mod human;
mod local;
mod progress;
mod report;
mod safe_file;
mod source;
mod table;
mod target;
mod top;
mod watch;
mod web;

use std::process::ExitCode;

use crate::cli::Cli;

fn main() -> ExitCode {
    match Cli::read().and_then(|cli| commands::run(&cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
