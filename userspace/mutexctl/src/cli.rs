// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be written on the command line.

use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::error::ErrorKind;

use crate::failure::Failure;
use crate::target::print;

/// Show, export and audit what the MUTEX kernel module counts.
///
/// MUTEX counts the traffic of every connection and every socket of this host in the kernel:
/// exactly, not sampled.
#[derive(Debug, Parser)]
#[command(name = "mutexctl", version, after_help = AFTER_HELP, arg_required_else_help = true)]
#[command(verbatim_doc_comment)]
pub struct Cli {
    /// Where the kernel's files are.
    #[arg(long, global = true, value_name = "DIR", default_value = mutex_stats::Proc::FOLDER)]
    pub proc: PathBuf,

    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  mutexctl stats                                 the host at a glance; needs no privilege
  sudo mutexctl connections                      who talks to whom, and how much
  sudo mutexctl export -o now.json               everything, for programs
  sudo mutexctl export --format binary -o now.bin
  mutexctl convert now.bin --to csv -o now       the same later, as tables in now/
  sudo mutexctl audit                            do the books balance?

Units: packets as on the wire (each segment of a GSO or GRO super-packet is one); buffers are the
kernel's, super-packets as one; bytes are IP bytes, all headers included; payload is what the
transport carried, retransmissions included; times are nanoseconds since 1970. Integers are exact.

Exit status: 0 done; 1 failed, or the books do not balance; 2 wrong usage.
Data goes to standard output, one sentence about what went wrong to standard error.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the host's totals and the module's own numbers.
    #[command(after_help = "\
Reads DIR/stats, which everybody may read.

Examples:
  mutexctl stats
  mutexctl stats --format json | jq .received_bytes
  mutexctl stats --format raw | grep untracked

Traffic is counted in packets, buffers, bytes and payload (see `mutexctl --help`) for each of:
  sent, received                          this host's sockets
  forwarded_sent, forwarded_received      through this host, as the initiator sees it
  closed_...                              the part of connections that are no longer listed
  untracked_...                           what belongs to no connection, by reason
Packets that the kernel dropped are listed by its reasons, those that have occurred. Percentiles of
latency are within 6 %; rate_... and peak_... are bytes a second.
A size or time beside an exact number is for reading only: it is rounded.

Formats:
  table   for people
  json    one object: schema_version, then the kernel's keys
  raw     the kernel's text as it is

Exit status: 0 done; 1 failed; 2 wrong usage.")]
    Stats {
        /// How to show them.
        #[arg(long, value_enum, default_value_t)]
        format: StatsFormat,
    },

    /// List the connections, open ones and those that closed a short while ago.
    #[command(after_help = "\
Examples:
  sudo mutexctl connections
  sudo mutexctl connections | sort -k6 -n -r | head       most bytes sent first
  sudo mutexctl connections --format json | jq '.connections[] | select(.remote_port == 443)'
  mutexctl connections --from now.bin --format csv

The table is ordered by id, which is the order of opening, and never cuts anything off. `-` is what
is unknown. Ports of ICMP echo are its identifiers. p50 and p99 are percentiles of latency, within
6 %; retrans are packets that TCP sent again, drops those that the kernel dropped; in/s and out/s
are bytes a second, rounded. JSON and CSV are exact, say more, and are those of `mutexctl export`.
The table needs memory: about 400 bytes a connection and 350 a socket.

Units: IP bytes, headers included (see `mutexctl --help`).
Exit status: 0 done; 1 failed; 2 wrong usage.")]
    Connections(List),

    /// List the sockets that own connections.
    #[command(after_help = "\
An fd here is a socket, by its inode: `dup`, `fork` and passing it on do not change what it is.
pid and command are those of the process that was first seen to use it.

Examples:
  sudo mutexctl fds
  sudo mutexctl fds --format json | jq '.fds[] | select(.command == \"nginx\") | .sent.bytes'
  mutexctl fds --from now.bin --format csv

The table is ordered by id, which is the order of appearance, and never cuts anything off. `-` is
what is unknown. p50 and p99 are percentiles of latency, within 6 %; retrans are packets that TCP
sent again, drops those that the kernel dropped; in/s and out/s are bytes a second, rounded. All are
of the socket's connections together. JSON and CSV are exact, say more, and are those of
`mutexctl export`.

Units: IP bytes, headers included (see `mutexctl --help`).
Exit status: 0 done; 1 failed; 2 wrong usage.")]
    Fds(List),

    /// List the alerts that are kept, the oldest first.
    #[command(after_help = "\
Examples:
  sudo mutexctl alerts
  sudo mutexctl alerts --format json | jq '.alerts[] | select(.severity == \"critical\")'
  mutexctl alerts --from now.bin --format csv

Alerts are numbered without gaps from 1 on: numbers that are missing were overwritten or cleared.
A subject is a connection, with its local and remote end, an fd, or the whole host (global). Times
are UTC. JSON and CSV are exact, and are those of `mutexctl export`.

Units of value and threshold, which the table rounds: latency in nanoseconds; rates of errors,
retransmissions and drops, and the table's fill, of 10000; bandwidth in bytes a second.
Exit status: 0 done; 1 failed; 2 wrong usage.")]
    Alerts(List),

    /// Write everything that MUTEX counts at this moment to a file.
    #[command(after_help = "\
Formats:
  json    one object, schema_version first, a line a record
  csv     tables: status.csv, totals.csv, connections.csv, fds.csv, latency.csv, drops.csv,
          alerts.csv
  binary  the kernel's image, checked; `mutexctl convert` makes the others from it

Examples:
  sudo mutexctl export -o now.json
  sudo mutexctl export --format csv -o now/
  sudo mutexctl export --format binary | ssh collector 'cat > host.bin'
  mutexctl export --from now.bin | jq '.connections | length'

A file or directory gets its name when it is whole: a failed export leaves what was there. Standard
output is written as the kernel gives it, so check the exit status. Totals are the same in all
formats. The memory it takes does not grow with the number of connections.

Histograms of latency are listed by octave: octave n covers 2^n to 2^(n+1) microseconds in eight
steps of equal width, the first one what is shorter, too, and the last one what is longer, too.

Units: packets as on the wire; IP bytes, headers included; nanoseconds (see `mutexctl --help`).
Exit status: 0 done; 1 failed; 2 wrong usage.")]
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
    #[command(after_help = "\
Examples:
  mutexctl convert now.bin --to json | jq .totals_after
  mutexctl convert now.bin --to csv -o now/
  ssh host sudo mutexctl export --format binary | mutexctl convert - --to json -o host.json

FILE is checked: every byte of it is under a checksum. A truncated or corrupted one is refused, and
nothing is written; from a pipe to a pipe, what came before the damage is. Formats and units are
those of `mutexctl export`.

Exit status: 0 done; 1 failed; 2 wrong usage.")]
    Convert {
        /// A binary image; `-` is standard input.
        file: PathBuf,
        /// What to write.
        #[arg(long, value_enum)]
        to: Format,
        #[command(flatten)]
        output: Output,
    },

    /// Check that the books balance: each packet and byte is in exactly one place.
    #[command(after_help = "\
For each of four directions and four counters
    before <= connections + closed + untracked <= after
has to hold without any tolerance, where `before` and `after` are the host's own totals, counted
apart from the connections, read before and after these were copied. What passes meanwhile is the
difference between the two; at rest all are equal. Besides, no connection may be listed twice, no
socket may have moved less than its listed connections, and alerts have to be in their order.

Examples:
  sudo mutexctl audit
  sudo mutexctl audit --quiet && echo balanced
  mutexctl audit now.bin

An image from inside another network namespace holds a part of the host, and cannot be balanced.
Memory: about 10 bytes a connection and up to 170 a socket.

Units: packets as on the wire; IP bytes, headers included (see `mutexctl --help`).
Exit status: 0 only if everything holds; 1 if not, or if it could not be checked; 2 wrong usage.")]
    Audit {
        /// A binary image, `-` is standard input; without it, the kernel's numbers of this moment.
        file: Option<PathBuf>,
        /// Print nothing, unless the books do not balance: the exit status is the answer.
        #[arg(long, short)]
        quiet: bool,
    },
}

/// Options of commands that list records.
#[derive(Debug, Args)]
pub struct List {
    /// How to show them.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    #[command(flatten)]
    pub from: From,
}

/// Where to read from.
#[derive(Debug, Args)]
pub struct From {
    /// Read a binary image instead of the kernel's; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

/// Where to write to.
#[derive(Debug, Args)]
pub struct Output {
    /// A file, or for csv a directory; `-` is standard output, the default.
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
}

/// How to show records.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum ListFormat {
    #[default]
    Table,
    Json,
    Csv,
}

/// A format of the whole.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Format {
    #[default]
    Json,
    Csv,
    Binary,
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
                _ => Err(Failure::Usage(sentence(&error.to_string()))),
            },
        }
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
            error(&["mutexctl", "exprot"]),
            "unrecognized subcommand 'exprot'; a similar subcommand exists: 'export'"
        );
    }
}
