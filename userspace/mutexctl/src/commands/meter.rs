// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl meter`.

use std::io;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::anyhow;
use mutex_stats::Cell;
use mutex_stats::File;
use mutex_stats::Proc;
use mutex_stats::SCHEMA_VERSION;
use mutex_stats::formats::RowNames;
use mutex_stats::formats::Rows;
use mutex_stats::reporter::Entry;
use mutex_stats::reporter::Feed;
use mutex_stats::reporter::Guid;
use mutex_stats::reporter::Logged;
use mutex_stats::reporter::Metering;
use mutex_stats::reporter::Reading;
use mutex_stats::reporter::Registry;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;

use crate::cli::ListFormat;
use crate::cli::MeterArgs;
use crate::csv;
use crate::failure::Failure;
use crate::failure::printable;
use crate::failure::reason;
use crate::failure::say;
use crate::human;
use crate::source::kernel_failure;
use crate::table;
use crate::table::Align::Left;
use crate::table::Align::Right;
use crate::table::Column;
use crate::target::Output;
use crate::target::Target;
use crate::watch::CLEAR;

/// How long a signal waits at the most.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reads `KEY=VALUE`.
pub fn parse_metadata(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected is KEY=VALUE".into()),
    }
}

/// Reads a GUID.
pub fn parse_guid(text: &str) -> Result<Guid, String> {
    text.parse().map_err(|error: mutex_stats::Error| error.to_string())
}

pub fn run(proc: &Path, args: &MeterArgs) -> Result<(), Failure> {
    if args.top.is_some() && args.format != ListFormat::Table {
        return Err(Failure::Usage("--top is for tables: other formats list every meter".into()));
    }
    let proc = Proc::new(proc);
    let guid = args.reporter.map_or_else(Guid::random, Ok);
    let guid = guid.map_err(|error| anyhow!("there is no GUID to be had: {}", reason(&error)))?;
    let terms: Vec<_> = args.terms.iter().chain(&args.filter).map(String::as_str).collect();
    let registry = Registry::new();
    let feed = Feed::new(proc.clone(), &registry, guid.into(), &terms.join(" "));
    let mut feed = feed.map_err(Failure::usage)?;
    let entries = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&entries);
    let metering = Metering::new(move |entry| {
        sink.lock().unwrap_or_else(PoisonError::into_inner).push(entry.clone());
    });
    let metering = Arc::new(metering.with_metadata(args.metadata.iter().cloned().collect()));
    registry.register(guid, Arc::clone(&metering) as _).map_err(|error| anyhow!(error))?;
    let is_over = signals()?;

    // Before anything is written: what cannot begin leaves a file as it was.
    let failed = |error| kernel_failure(error, &proc, File::Events);
    let mut progress = feed.step(Some(Duration::ZERO)).map_err(failed)?;
    let target = Target::new(args.output.output.as_deref());
    target.write_on(|output| {
        let written = |error| Failure::writing(&target, &error);
        let mut shown = Shown::begin(output, args, guid, &target).map_err(written)?;
        let taken = || std::mem::take(&mut *entries.lock().unwrap_or_else(PoisonError::into_inner));
        let mut next = Instant::now() + args.interval;
        let mut rounds = 0;
        let mut losses = Losses::default();
        let end = loop {
            if progress.lost > 0 {
                shown.lost(progress.lost).map_err(written)?;
            }
            losses.add(progress.lost);
            let is_due = Instant::now() >= next;
            rounds += u64::from(is_due);
            if is_over.load(Relaxed) || args.count.is_some_and(|count| rounds >= count) {
                break Ok(());
            }
            if is_due {
                metering.log();
                // What a machine that stood still has missed is not made up for.
                next = (next + args.interval).max(Instant::now());
            }
            shown.add(taken(), is_due).map_err(written)?;
            let left = next.saturating_duration_since(Instant::now());
            progress = match feed.step(Some(left.min(PATIENCE))) {
                Ok(progress) => progress,
                Err(error) => break Err(failed(error)),
            };
        };
        // Nothing is counted that is not shown: the monitor goes first.
        drop(feed);
        let _ = registry.unregister(guid);
        metering.close();
        losses.say();
        shown.add(taken(), true).map_err(written)?;
        end
    })
}

/// What was lost and has not been said: not more than a sentence a second.
#[derive(Default)]
struct Losses {
    events: u64,
    said: Option<Instant>,
}

impl Losses {
    fn add(&mut self, events: u64) {
        self.events += events;
        if self.said.is_none_or(|said| said.elapsed() >= Duration::from_secs(1)) {
            self.say();
        }
    }

    fn say(&mut self) {
        if self.events > 0 {
            say(format_args!("{} events were lost: calls took too long", self.events));
            (self.events, self.said) = (0, Some(Instant::now()));
        }
    }
}

/// Becomes true with the first signal that asks for the end; the second one ends at once.
fn signals() -> Result<Arc<AtomicBool>, Failure> {
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&is_over))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&is_over)))
            .map_err(|error| anyhow!("signals cannot be waited for: {}", reason(&error)))?;
    }
    Ok(is_over)
}

/// What is shown: a log as it comes, or lists of all meters.
enum Shown<'a> {
    Lines(&'a mut Output),
    Csv(Rows<&'a mut Output>),
    Lists { output: &'a mut Output, list: List, entries: Vec<Entry>, lost: u64 },
}

enum List {
    Json,
    Table { top: Option<usize>, is_terminal: bool, is_first: bool },
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl<'a> Shown<'a> {
    fn begin(
        output: &'a mut Output,
        args: &MeterArgs,
        guid: Guid,
        target: &Target,
    ) -> io::Result<Self> {
        let list = match args.format {
            ListFormat::Jsonl => {
                let (time, interval) = (now_ns(), args.interval.as_nanos());
                writeln!(
                    output,
                    "{{\"record\":\"metering\",\"schema_version\":{SCHEMA_VERSION},\
                     \"time_ns\":{time},\"reporter\":\"{guid}\",\"interval_ns\":{interval}}}"
                )?;
                output.flush()?;
                return Ok(Shown::Lines(output));
            }
            ListFormat::Csv => {
                let columns = Entry::COLUMNS.map(String::from).to_vec();
                let names = RowNames { list: "meters", one: "meter" };
                let mut rows = Rows::of_columns(output, csv::rows(target), names, None, columns)?;
                rows.flush()?;
                return Ok(Shown::Csv(rows));
            }
            ListFormat::Json => List::Json,
            ListFormat::Table => {
                let is_terminal = target.is_terminal();
                List::Table { top: args.top, is_terminal, is_first: true }
            }
        };
        Ok(Shown::Lists { output, list, entries: Vec::new(), lost: 0 })
    }

    /// Says that so many events were lost.
    fn lost(&mut self, events: u64) -> io::Result<()> {
        match self {
            Shown::Lines(output) => {
                let time = now_ns();
                writeln!(output, "{{\"record\":\"lost\",\"time_ns\":{time},\"events\":{events}}}")?;
                output.flush()
            }
            Shown::Csv(_) => Ok(()),
            Shown::Lists { lost, .. } => {
                *lost += events;
                Ok(())
            }
        }
    }

    /// Shows what has been logged; lists only when they are due.
    fn add(&mut self, logged: Vec<Entry>, is_due: bool) -> io::Result<()> {
        match self {
            Shown::Lines(output) => {
                let mut line = Vec::new();
                for entry in &logged {
                    line.clear();
                    entry.write_json(&mut line)?;
                    // The object goes on with its own members.
                    output.write_all(b"{\"record\":\"meter\",")?;
                    output.write_all(line.get(1..).unwrap_or_default())?;
                    output.write_all(b"\n")?;
                }
                output.flush()
            }
            Shown::Csv(rows) => {
                logged.iter().try_for_each(|entry| rows.row(entry.cells()))?;
                rows.flush()
            }
            Shown::Lists { output, list, entries, lost } => {
                entries.extend(logged.into_iter().filter(|one| one.logged != Logged::Started));
                if !is_due {
                    return Ok(());
                }
                let entries = std::mem::take(entries);
                match list {
                    List::Json => json(output, &entries, *lost)?,
                    List::Table { top, is_terminal, is_first } => {
                        if *is_terminal {
                            output.write_all(CLEAR)?;
                        } else if !*is_first {
                            output.write_all(b"\n")?;
                        }
                        *is_first = false;
                        list_for_people(output, entries, *top)?;
                    }
                }
                output.flush()
            }
        }
    }
}

/// One object, as other lists are.
fn json(output: &mut Output, entries: &[Entry], lost: u64) -> io::Result<()> {
    write!(output, "{{\n\"schema_version\":{SCHEMA_VERSION},\n\"time_ns\":{},\n", now_ns())?;
    write!(output, "\"lost_events\":{lost},\n\"meters\":[")?;
    let mut separator = "\n";
    for entry in entries {
        output.write_all(separator.as_bytes())?;
        entry.write_json(&mut *output)?;
        separator = ",\n";
    }
    output.write_all(if entries.is_empty() { b"]\n}\n" } else { b"\n]\n}\n" })
}

/// A line of the table.
struct Line {
    cells: [String; 8],
    has_losses: bool,
}

/// The sums of some readings.
#[derive(Clone, Copy, Default)]
struct Sums {
    meters: u64,
    sent: u64,
    received: u64,
    rate_out: u64,
    rate_in: u64,
}

impl Sums {
    fn add(&mut self, reading: &Reading) {
        self.meters += 1;
        self.sent += reading.sent.bytes;
        self.received += reading.received.bytes;
        self.rate_out += reading.rate_out.unwrap_or(0);
        self.rate_in += reading.rate_in.unwrap_or(0);
    }

    fn line(&self, name: &str) -> Line {
        let cells = [
            format!("{name} ({})", self.meters),
            String::new(),
            self.sent.to_string(),
            self.received.to_string(),
            rate(Some(self.rate_out)),
            rate(Some(self.rate_in)),
            String::new(),
            String::new(),
        ];
        Line { cells, has_losses: false }
    }
}

fn rate(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| Cell::Unknown.to_string(), human::short_size)
}

fn line(entry: &Entry) -> Line {
    let Reading { id, sent, received, metadata, lost_events, is_total, .. } = &entry.reading;
    let has_losses = *lost_events > 0 && !is_total;
    // What is over no longer moves.
    let rate = |bytes| if entry.logged == Logged::Running { rate(bytes) } else { "-".into() };
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let cells = [
        id.to_string(),
        entry.logged.name().to_owned(),
        sent.bytes.to_string(),
        received.bytes.to_string(),
        rate(entry.reading.rate_out),
        rate(entry.reading.rate_in),
        if has_losses { lost_events.to_string() } else { "-".into() },
        printable(&metadata.join(" ")),
    ];
    Line { cells, has_losses }
}

const COLUMNS: [Column; 8] = [
    ("connection", Left),
    ("meter", Left),
    ("sent", Right),
    ("received", Right),
    ("out/s", Right),
    ("in/s", Right),
    ("lost", Right),
    ("metadata", Left),
];

/// The meters that have moved most first, and what all have moved.
fn list_for_people(
    output: &mut Output,
    mut entries: Vec<Entry>,
    top: Option<usize>,
) -> io::Result<()> {
    let moved = |entry: &Entry| {
        u128::from(entry.reading.sent.bytes) + u128::from(entry.reading.received.bytes)
    };
    entries.sort_by_key(|entry| (std::cmp::Reverse(moved(entry)), entry.reading.id));
    let (mut other, mut total) = (Sums::default(), Sums::default());
    let most = top.unwrap_or(usize::MAX);
    let mut lines: Vec<Line> = entries.iter().take(most).map(line).collect();
    entries.iter().skip(most).for_each(|entry| other.add(&entry.reading));
    for entry in entries {
        total.add(&entry.reading);
    }
    if other.meters > 0 {
        lines.push(other.line("other"));
    }
    lines.push(total.line("total"));
    // Columns without content take no room.
    let has_losses = lines.iter().any(|line| line.has_losses);
    let has_metadata = lines.iter().any(|line| line.cells.last().is_some_and(|m| !m.is_empty()));
    let is_shown = |name: &str| match name {
        "lost" => has_losses,
        "metadata" => has_metadata,
        _ => true,
    };
    let columns: Vec<Column> = COLUMNS.into_iter().filter(|(name, _)| is_shown(name)).collect();
    table::write(output, &columns, &lines, |line| {
        let cells = line.cells.iter().zip(COLUMNS);
        cells.filter(|(_, (name, _))| is_shown(name)).map(|(cell, _)| cell.clone()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(parse_metadata("a=b=c"), pair("a", "b=c"));
        assert_eq!(parse_metadata("a="), pair("a", ""));
        assert!(parse_metadata("a").is_err() && parse_metadata("=b").is_err());
    }
}
