// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the tool does, a file a command.

mod aggregate;
mod alerts;
mod audit;
mod check;
mod config;
mod connections;
mod diag;
mod diff;
mod doctor;
mod events;
mod export;
mod fds;
mod generate;
mod history;
mod list;
mod meter;
mod page;
mod record;
mod records;
mod replay;
mod stats;

pub use alerts::quantity;
pub use alerts::subject;
pub use check::Threshold;
pub use check::parse_threshold;
pub use connections::endpoint;
pub use diag::parse_severity;
pub use history::Since;
pub use history::parse_since;
pub use list::holders;
pub use list::processes;
pub use meter::parse_guid;
pub use meter::parse_metadata;

use crate::cli::AlertsCommand;
use crate::cli::Cli;
use crate::cli::Command;
use crate::cli::ConfigCommand;
use crate::failure::Failure;
use crate::report;
use crate::source::Source;
use crate::top;

/// Does what the command line says.
pub fn run(cli: &Cli) -> Result<(), Failure> {
    cli.color.decide();
    cli.csv_escape.decide();
    let proc = cli.proc.as_path();
    match &cli.command {
        Command::Stats { format, output, from } => {
            stats::run(&Source::of(proc, from)?, *format, output.output.as_deref())
        }
        Command::Connections(list) => {
            list::run::<connections::Connections>(&Source::of(proc, &list.from)?, list)
        }
        Command::Fds(list) => list::run::<fds::Fds>(&Source::of(proc, &list.from)?, list),
        Command::Alerts(args) => match &args.command {
            Some(AlertsCommand::Clear) => alerts::clear(proc),
            None if args.follow => alerts::follow(&Source::of(proc, &args.list.from)?, &args.list),
            None => list::run::<alerts::Alerts>(&Source::of(proc, &args.list.from)?, &args.list),
        },
        Command::Events(args) => events::run(proc, args),
        Command::Meter(args) => meter::run(proc, args),
        Command::Aggregate(args) => aggregate::run(&Source::of(proc, &args.from)?, args),
        Command::Diff(args) => diff::run(proc, args),
        Command::Config(ConfigCommand::Get { keys, format }) => config::get(proc, keys, *format),
        Command::Config(ConfigCommand::Set { pairs }) => config::set(proc, pairs),
        Command::Export { format, output, from } => {
            export::run(&Source::of(proc, from)?, *format, output.output.as_deref())
        }
        Command::Convert { file, to, output, at } => {
            let source = Source::new(proc, Some(file)).at(*at)?;
            export::run(&source, *to, output.output.as_deref())
        }
        Command::Top(args) => top::run(Source::of(proc, &args.from)?, args),
        Command::Record(args) => record::run(proc, args),
        Command::Replay(args) => replay::run(args),
        Command::History(args) => history::run(args),
        Command::Diag(args) => diag::run(args),
        Command::Page(args) => page::run(args),
        Command::Report(args) => report::run(&Source::of(proc, &args.from)?, args),
        Command::Audit { file, at, quiet } => {
            audit::run(&Source::new(proc, file.as_deref()).at(*at)?, *quiet)
        }
        Command::Check(args) => check::run(&Source::of(proc, &args.from)?, args),
        Command::Doctor { root } => doctor::run(proc, root),
        Command::Completions { shell } => generate::completions(*shell),
        Command::Man { output } => generate::man(output.as_deref()),
    }
}
