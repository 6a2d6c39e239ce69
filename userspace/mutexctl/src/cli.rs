// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be written on the command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::error::ErrorKind;
use clap_complete::Shell;
use mutex_stats::diagnostics::Severity;
use mutex_stats::reporter::Guid;

use crate::color::Color;
use crate::commands::Since;
use crate::commands::Threshold;
use crate::commands::parse_guid;
use crate::commands::parse_metadata;
use crate::commands::parse_severity;
use crate::commands::parse_since;
use crate::commands::parse_threshold;
use crate::csv::CsvEscape;
use crate::failure::Failure;
use crate::help;
use crate::human::parse_duration;
use crate::human::parse_moment;
use crate::human::parse_size;
use crate::local;
use crate::target::print;
use crate::top::View;

/// Show, export and audit what the MUTEX kernel module counts.
///
/// MUTEX counts the traffic of every connection and every socket of this host in the kernel:
/// exactly, not sampled.
#[derive(Debug, Parser)]
#[command(name = "mutexctl", version, after_help = help::MAIN, arg_required_else_help = true)]
#[command(verbatim_doc_comment)]
pub struct Cli {
    /// Where the kernel's files are.
    #[arg(long, global = true, value_name = "DIR", default_value = mutex_stats::Proc::FOLDER)]
    pub proc: PathBuf,

    /// Whether tables have colors; auto is on a terminal, unless `NO_COLOR` is set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: Color,

    /// Whether CSV escapes text that a spreadsheet takes for a formula; auto is on a terminal and in
    /// files, not in pipes.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub csv_escape: CsvEscape,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the host's totals and the module's own numbers.
    #[command(after_help = help::STATS)]
    Stats {
        /// How to show them.
        #[arg(long, value_enum, default_value_t)]
        format: StatsFormat,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        from: From,
    },

    /// List the connections, open ones and those that closed a short while ago.
    #[command(after_help = help::CONNECTIONS)]
    Connections(List),

    /// List the sockets that own connections.
    #[command(after_help = help::FDS)]
    Fds(List),

    /// List the alerts that are kept, the oldest first; follow or clear them.
    #[command(after_help = help::ALERTS, args_conflicts_with_subcommands = true)]
    Alerts(AlertsArgs),

    /// Show what happens, as it happens: connections that start and end, alerts, packets.
    #[command(after_help = help::EVENTS)]
    Events(EventsArgs),

    /// Meter connections from their packets, as they pass: how much so far, how fast, and in the end.
    #[command(after_help = help::METER)]
    Meter(MeterArgs),

    /// Add connections up by process, command, user, port or whatever they have in common.
    #[command(after_help = help::AGGREGATE)]
    Aggregate(AggregateArgs),

    /// Show what happened between two images, and how fast.
    #[command(after_help = help::DIFF)]
    Diff(DiffArgs),

    /// Show or change what can be set while the module runs: timeouts and thresholds of alerts.
    #[command(subcommand, after_help = help::CONFIG)]
    Config(ConfigCommand),

    /// Write everything that MUTEX counts at this moment to a file.
    #[command(after_help = help::EXPORT)]
    Export {
        /// What to write.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        from: From,
    },

    /// Write a binary image in another format.
    #[command(after_help = help::CONVERT)]
    Convert {
        /// A binary image, or a recording; `-` is standard input.
        file: PathBuf,
        /// What to write.
        #[arg(long, value_enum)]
        to: Format,
        #[command(flatten)]
        output: Output,
        /// Of a recording, the last image that is not later, such as 2026-01-31T23:59:59Z.
        #[arg(long, value_name = "TIME", value_parser = parse_moment)]
        at: Option<u64>,
    },

    /// Watch who moves how much: connections, sockets, processes, remotes, alerts.
    #[command(after_help = help::TOP)]
    Top(TopArgs),

    /// Take an image again and again, and keep them.
    #[command(after_help = help::RECORD)]
    Record(RecordArgs),

    /// Show what has been recorded, a line an image.
    #[command(after_help = help::REPLAY)]
    Replay(ReplayArgs),

    /// Show what the daemon has kept over days and years, as finely as it is asked for.
    #[command(after_help = help::HISTORY)]
    History(HistoryArgs),

    /// Ask the daemon what has happened, and whether all is well.
    #[command(after_help = help::DIAG)]
    Diag(DiagArgs),

    /// Open the daemon's live page in a browser.
    #[command(after_help = help::PAGE)]
    Page(PageArgs),

    /// Write one page, for people, that says how the host fares.
    #[command(after_help = help::REPORT)]
    Report(ReportArgs),

    /// Check that the books balance: each packet and byte is in exactly one place.
    #[command(after_help = help::AUDIT)]
    Audit {
        /// A binary image or a recording, `-` is standard input; without it, the kernel's numbers of
        /// this moment.
        file: Option<PathBuf>,
        /// Of a recording, the last image that is not later, such as 2026-01-31T23:59:59Z.
        #[arg(long, value_name = "TIME", value_parser = parse_moment)]
        at: Option<u64>,
        /// Print nothing, unless the books do not balance: the exit status is the answer.
        #[arg(long, short)]
        quiet: bool,
    },

    /// Judge the host's numbers for a monitoring system, in one line and an exit status.
    #[command(after_help = help::CHECK)]
    Check(CheckArgs),

    /// Find out why it does not work here, and what to do next.
    #[command(after_help = help::DOCTOR)]
    Doctor {
        /// A folder that looks like a host, for tests.
        #[arg(long, hide = true, default_value = "/")]
        root: PathBuf,
    },

    /// Print the completions of a shell.
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: Shell,
    },

    /// Print the manual page, or write those of all commands.
    #[command(after_help = help::MAN)]
    Man {
        /// A directory for the pages of all commands.
        #[arg(long, short, value_name = "DIR")]
        output: Option<PathBuf>,
    },
}

/// Options of commands that list records.
#[derive(Debug, Args)]
pub struct List {
    /// How to show them.
    #[arg(long, value_enum, default_value_t)]
    pub format: RecordFormat,
    /// Only those that fit: terms that must all hold.
    #[arg(long, value_name = "TERMS")]
    pub filter: Vec<String>,
    /// In the order of a field.
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// So many of the first.
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// These fields only, with commas between them.
    #[arg(long, value_name = "FIELDS")]
    pub fields: Option<String>,
    /// Again and again, each 2 seconds or as long as that.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true,
        default_missing_value = "2s", value_parser = parse_duration)]
    pub watch: Option<Duration>,
    /// With --watch so many times, with --follow so many alerts.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub from: From,
}

/// Options of `alerts`.
#[derive(Debug, Args)]
pub struct AlertsArgs {
    #[command(subcommand)]
    pub command: Option<AlertsCommand>,
    /// Show each as it comes, too.
    #[arg(long, short)]
    pub follow: bool,
    #[command(flatten)]
    pub list: List,
}

/// What can be done with alerts.
#[derive(Debug, Subcommand)]
pub enum AlertsCommand {
    /// Hide the alerts that there are, from everybody.
    Clear,
}

/// Options of `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only those that fit: terms that must all hold.
    #[arg(value_name = "FILTER")]
    pub terms: Vec<String>,
    /// The same as an option, as other commands have it.
    #[arg(long, value_name = "TERMS")]
    pub filter: Vec<String>,
    /// How to show them.
    #[arg(long, value_enum, default_value_t)]
    pub format: EventFormat,
    /// End after so many.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `meter`.
#[derive(Debug, Args)]
pub struct MeterArgs {
    /// Only those that fit: terms that must all hold.
    #[arg(value_name = "FILTER")]
    pub terms: Vec<String>,
    /// The same as an option, as other commands have it.
    #[arg(long, value_name = "TERMS")]
    pub filter: Vec<String>,
    /// Time from one list, or one log of all meters, to the next.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub interval: Duration,
    /// What is known of the connections, to be shown with each.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_metadata)]
    pub metadata: Vec<(String, String)>,
    /// What the reporter is registered as; a new one if there is none.
    #[arg(long, value_name = "GUID", value_parser = parse_guid)]
    pub reporter: Option<Guid>,
    /// How to show them.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// So many of those that moved most, and all others as one.
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// End after so many intervals.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `aggregate`.
#[derive(Debug, Args)]
pub struct AggregateArgs {
    /// What connections are added up by, with commas between several.
    #[arg(long, value_name = "KEYS")]
    pub by: String,
    /// How to show them.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Only connections that fit: terms that must all hold.
    #[arg(long, value_name = "TERMS")]
    pub filter: Vec<String>,
    /// So many of the largest groups, and all others as one.
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub from: From,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The earlier image.
    pub before: PathBuf,
    /// The later image; without it, the kernel's numbers of this moment.
    pub after: Option<PathBuf>,
    /// Of BEFORE, if that is a recording, the last image that is not later.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub at: Option<u64>,
    /// Of AFTER, if that is a recording, the last image that is not later.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub to: Option<u64>,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Only connections that fit: terms that must all hold.
    #[arg(long, value_name = "TERMS")]
    pub filter: Vec<String>,
    /// So many connections.
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    #[command(flatten)]
    pub output: Output,
}

/// What can be done with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show all settings, or those that are named.
    Get {
        /// Their names.
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
        /// How to show them.
        #[arg(long, value_enum, default_value_t)]
        format: ListFormat,
    },
    /// Change settings: all that are named, or none.
    Set {
        /// Names and values.
        #[arg(value_name = "KEY=VALUE", required = true)]
        pairs: Vec<String>,
    },
}

/// Options of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// What to look at first.
    #[arg(long, value_enum, default_value_t)]
    pub view: View,
    /// Only those that fit: terms that must all hold.
    #[arg(long, value_name = "TERMS")]
    pub filter: Vec<String>,
    /// In the order of a column, as it is called above it; -COLUMN is the other way round.
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Time from one image to the next.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub interval: Duration,
    /// Show bits, not bytes.
    #[arg(long)]
    pub bits: bool,
    /// Show connections and fds that are closed, too.
    #[arg(long)]
    pub closed: bool,
    #[command(flatten)]
    pub from: From,
}

/// Options of `record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// A directory for the files; it is made if it is not there.
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// Time from one image to the next.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub interval: Duration,
    /// End after so many images.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Begin a new file when one is so large.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_size)]
    pub file_size: u64,
    /// Keep so much in all.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub keep_size: Option<u64>,
    /// Keep files for so long after they were last written.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub keep_for: Option<Duration>,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Rows of each table; what all others have is added up.
    #[arg(long, value_name = "N", default_value = "20")]
    pub top: usize,
    /// Of a recording, begin the timeline here.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub since: Option<u64>,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub from: From,
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A recording: its directory, or one of its files.
    pub path: PathBuf,
    /// Only images that are not older.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub since: Option<u64>,
    /// Only images that are not later.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub until: Option<u64>,
    /// How to show them.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The database.
    #[arg(long, value_name = "FILE", default_value = mutex_history::History::PATH)]
    pub db: PathBuf,
    /// What ended later: a moment, or so long before the last row.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_since)]
    pub since: Since,
    /// What ended by then.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub until: Option<u64>,
    /// Time of a row; without it, as short as leaves no more than 60 rows.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub step: Option<Duration>,
    /// These numbers only, with commas between them.
    #[arg(long, value_name = "NAMES")]
    pub series: Option<String>,
    /// Whose traffic it was: by command, remote, port, or what else the daemon keeps.
    #[arg(long, value_name = "KEY")]
    pub by: Option<String>,
    /// What was found: values that are unusual, a module loaded anew, a clock that was set.
    #[arg(long, conflicts_with_all = ["by", "series", "step"])]
    pub findings: bool,
    /// The module's alerts.
    #[arg(long, conflicts_with_all = ["by", "series", "step", "findings"])]
    pub alerts: bool,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `diag`.
#[derive(Debug, Args)]
pub struct DiagArgs {
    #[command(subcommand)]
    pub command: DiagCommand,
    /// Ask over this local socket: `diagnostics.socket` of the daemon's configuration.
    #[arg(long, global = true, value_name = "FILE")]
    pub socket: Option<PathBuf>,
    /// Ask the HTTP interface: at this address and port, or over the local socket with this path.
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub http: Option<String>,
    /// The token that the HTTP interface asks for is in this file.
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// How to show it.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub format: ListFormat,
    /// A file; `-` is standard output, the default.
    #[arg(long, short, global = true, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Options of `page`.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// The daemon's local socket: `http.socket` of its configuration.
    #[arg(long, value_name = "FILE", default_value = local::SOCKET)]
    pub socket: PathBuf,
    /// Print the link, and open no browser.
    #[arg(long)]
    pub no_browser: bool,
}

/// What the daemon is asked.
#[derive(Debug, Subcommand)]
pub enum DiagCommand {
    /// Say whether all is well; the exit status says it, too.
    Health,
    /// List events, the oldest first.
    Events(DiagEvents),
    /// Count events by severity and kind.
    Counts,
}

/// Options of `diag events`.
#[derive(Debug, Args)]
pub struct DiagEvents {
    /// At least as bad: debug, info, warning, error, critical.
    #[arg(long, value_name = "SEVERITY", default_value = "debug", value_parser = parse_severity)]
    pub severity: Severity,
    /// Of this part of the daemon, such as history, or of kernel or program.
    #[arg(long, value_name = "NAME")]
    pub component: Option<String>,
    /// Of this kind, such as alert.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// About this peer.
    #[arg(long, value_name = "PEER")]
    pub peer: Option<String>,
    /// Not earlier: a moment, or so long ago.
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Since>,
    /// Not later.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub until: Option<u64>,
    /// So many of the newest.
    #[arg(long, value_name = "N", default_value = "50")]
    pub last: usize,
    /// Show each as it comes, too.
    #[arg(long, short)]
    pub follow: bool,
    /// With --follow: end after so many.
    #[arg(long, value_name = "N", requires = "follow")]
    pub count: Option<u64>,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// From when on a number is worth a warning.
    #[arg(long, short, value_name = "KEY>=N", value_parser = parse_threshold)]
    pub warning: Vec<Threshold>,
    /// From when on a number is critical.
    #[arg(long, short, value_name = "KEY>=N", value_parser = parse_threshold)]
    pub critical: Vec<Threshold>,
    /// Look whether the books balance.
    #[arg(long)]
    pub audit: bool,
    /// Look for alerts that are not older.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub alerts_within: Option<Duration>,
    #[command(flatten)]
    pub from: From,
}

/// Where to read from.
#[derive(Debug, Args)]
pub struct From {
    /// Read a binary image or a recording instead of the kernel's numbers; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Of a recording, the last image that is not later, such as 2026-01-31T23:59:59Z.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub at: Option<u64>,
}

/// Where to write to.
#[derive(Debug, Args)]
pub struct Output {
    /// A file, for several tables a directory; `-` is standard output, the default.
    #[arg(long, short, value_name = "FILE|DIR")]
    pub output: Option<PathBuf>,
}

/// How to show the host's numbers.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum StatsFormat {
    #[default]
    Table,
    Json,
    Raw,
    Prometheus,
    Openmetrics,
}

/// How to show records as the kernel has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    #[default]
    Table,
    Json,
    Jsonl,
    Csv,
    #[cfg(feature = "parquet")]
    Parquet,
}

/// How to show what was made of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    #[default]
    Table,
    Json,
    Jsonl,
    Csv,
}

/// How to show events.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum EventFormat {
    #[default]
    Table,
    Jsonl,
}

/// A format of the whole.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Format {
    #[default]
    Json,
    Jsonl,
    Csv,
    Binary,
    Prometheus,
    Openmetrics,
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Cli {
    /// Reads the command line. Prints what was asked for if it was help or the version.
    pub fn read() -> Result<Self, Failure> {
        match Cli::try_parse() {
            Ok(cli) => Ok(cli),
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    print(&error.to_string())?;
                    std::process::exit(0)
                }
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                    Err(Failure::Help(error.to_string()))
                }
                _ => Err(wrong(sentence(&error.to_string()), std::env::args_os().skip(1))),
            },
        }
    }
}

/// What a command line that makes no sense comes to: monitoring systems read standard output, and the
/// exit status of wrong usage means something else to them.
fn wrong(sentence: String, args: impl Iterator<Item = OsString>) -> Failure {
    let mut is_value = false;
    let mut words = args.filter(|arg| {
        let was_value = is_value;
        is_value = arg == "--proc" || arg == "--color" || arg == "--csv-escape";
        !was_value && !arg.to_string_lossy().starts_with('-')
    });
    if words.next().is_some_and(|command| command == "check") {
        Failure::Unknown(sentence)
    } else {
        Failure::Usage(sentence)
    }
}

/// One sentence from clap's paragraphs: up to the usage, without `error:`.
fn sentence(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines = text.lines().map(str::trim);
    let wanted = lines.take_while(|line| !line.starts_with("Usage:"));
    let wanted =
        wanted.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    wanted.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn claps_paragraphs_become_a_sentence() {
        let error = |line: &[&str]| {
            let error = Cli::try_parse_from(line).expect_err("the line is wrong");
            sentence(&error.to_string())
        };
        assert_eq!(
            error(&["mutexctl", "convert"]),
            "the following required arguments were not provided: --to <TO> <FILE>"
        );
        assert_eq!(
            error(&["mutexctl", "audti"]),
            "unrecognized subcommand 'audti'; a similar subcommand exists: 'audit'"
        );
    }
}
