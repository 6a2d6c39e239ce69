// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the tool does, a file a command.

mod alerts;
mod audit;
mod connections;
mod export;
mod fds;
mod list;
mod stats;

use crate::cli::Cli;
use crate::cli::Command;
use crate::failure::Failure;
use crate::source::Source;

/// Does what the command line says.
pub fn run(cli: &Cli) -> Result<(), Failure> {
    let proc = cli.proc.as_path();
    match &cli.command {
        Command::Stats { format } => stats::run(proc, *format),
        Command::Connections(list) => {
            connections::run(&Source::new(proc, list.from.from.as_deref()), list.format)
        }
        Command::Fds(list) => fds::run(&Source::new(proc, list.from.from.as_deref()), list.format),
        Command::Alerts(list) => {
            alerts::run(&Source::new(proc, list.from.from.as_deref()), list.format)
        }
        Command::Export { format, output, from } => {
            let source = Source::new(proc, from.from.as_deref());
            export::run(&source, *format, output.output.as_deref())
        }
        Command::Convert { file, to, output } => {
            export::run(&Source::new(proc, Some(file)), *to, output.output.as_deref())
        }
        Command::Audit { file, quiet } => audit::run(&Source::new(proc, file.as_deref()), *quiet),
    }
}
