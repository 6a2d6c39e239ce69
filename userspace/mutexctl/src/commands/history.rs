// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl history`.

use std::io;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use mutex_history::AlertRow;
use mutex_history::Error;
use mutex_history::Finding;
use mutex_history::GAUGES;
use mutex_history::GROUP_COUNTERS;
use mutex_history::GroupOf;
use mutex_history::GroupRow;
use mutex_history::HostRow;
use mutex_history::Range;
use mutex_history::Reader;
use mutex_history::Sums;
use mutex_stats::Cell;
use mutex_stats::formats::RowNames;

use crate::cells::Cells;
use crate::cli::HistoryArgs;
use crate::cli::ListFormat;
use crate::failure::Failure;
use crate::human;
use crate::table;
use crate::table::Align;
use crate::target::Target;

/// What is shown where nothing else is asked for.
const SERIES: &str = "sent_bytes_per_second,received_bytes_per_second,connections_active,\
                      latency_p50_ns,latency_p99_ns,retransmitted_packets,losses,alerts";

/// Rows at most where no step is asked for, and times at most that groups are shown of.
const ROWS: usize = 60;
const TIMES: usize = 6;

/// Steps that are tried then.
const STEPS: [u64; 10] = [0, 10, 60, 300, 900, 3600, 21_600, 86_400, 604_800, 2_592_000];

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Unix time.
    Moment(u64),
    /// Before the last row.
    Before(Duration),
}

/// Reads a moment, or a duration with its unit.
pub fn parse_since(text: &str) -> Result<Since, String> {
    let has_unit = text.ends_with(|c: char| c.is_ascii_lowercase());
    match human::parse_duration(text) {
        Ok(duration) if has_unit => Ok(Since::Before(duration)),
        _ => human::parse_moment(text).map(Since::Moment).map_err(|_| {
            "expected is a time such as 2h or 7d, UTC such as 2026-01-31T23:59:59Z, or seconds since 1970"
                .to_owned()
        }),
    }
}

pub fn run(args: &HistoryArgs) -> Result<(), Failure> {
    let failed = |error: Error| failure(&args.db, &error);
    let names = args.series.as_deref();
    let series = match &args.by {
        Some(_) => named(names, &GROUP_COUNTERS.join(","), |name| GROUP_COUNTERS.contains(&name))?,
        None => named(names, SERIES, |name| value(&Sums::default(), name).is_some())?,
    };
    let reader = Reader::open(&args.db).map_err(failed)?;
    let until_ns = args.until.unwrap_or(u64::MAX);
    let since_ns = match args.since {
        Since::Moment(moment) => moment,
        Since::Before(duration) => {
            let last = reader.span().map_err(failed)?.map_or(0, |(_, last)| last.min(until_ns));
            last.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
        }
    };
    let range = Range { since_ns, until_ns, ..Range::default() };
    let target = Target::new(args.output.output.as_deref());
    if args.findings {
        return findings(&reader, &range).map_err(failed)?.write(args.format, &target);
    }
    if args.alerts {
        return alerts(&reader, &range).map_err(failed)?.write(args.format, &target);
    }
    if let Some(key) = &args.by {
        let keys = reader.keys().map_err(failed)?;
        if !keys.contains(key) {
            let known = keys.join(", ");
            let what = format!("there are no groups by `{key}`; the keys that there are: {known}");
            return Err(Failure::usage(what));
        }
        let rows = fitting(args.step, range, TIMES, |range| reader.groups(key, range), times);
        return groups(key, &series, &rows.map_err(failed)?).write(args.format, &target);
    }
    let rows = fitting(args.step, range, ROWS, |range| reader.host(range), <[HostRow]>::len);
    let rows = rows.map_err(failed)?;
    let cells = host(&series, &rows);
    if args.format != ListFormat::Table {
        return cells.write(args.format, &target);
    }
    target.write(|output| {
        cells
            .write_table(output)
            .and_then(|()| write_plots(output, &series, &rows))
            .map_err(|error| Failure::writing(&target, &error))
    })
}

fn failure(path: &Path, error: &Error) -> Failure {
    match error {
        Error::Missing { .. } => {
            anyhow!("{error}; the daemon makes it, unless --db names another").into()
        }
        Error::Query(what) => Failure::usage(what),
        _ => anyhow!("{}: {error}", path.display()).into(),
    }
}

/// The names, each of which has to be known.
fn named(
    names: Option<&str>,
    default: &str,
    is_known: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Failure> {
    let names = names.unwrap_or(default).split(',').map(str::trim);
    let check = |name: &str| {
        if is_known(name) {
            return Ok(name.to_owned());
        }
        Err(Failure::usage(format!(
            "there is no number `{name}` here; `mutexctl history --help` names those that there are"
        )))
    };
    names.map(check).collect()
}

/// Asks with the step, or with the shortest that leaves so many.
fn fitting<T>(
    step: Option<Duration>,
    range: Range,
    most: usize,
    ask: impl Fn(&Range) -> Result<Vec<T>, Error>,
    count: impl Fn(&[T]) -> usize,
) -> Result<Vec<T>, Error> {
    if let Some(step) = step {
        return ask(&Range { step, ..range });
    }
    for step in STEPS {
        // Groups of a time are few, but not one.
        let limit = most * 100;
        match ask(&Range { step: Duration::from_secs(step), limit, ..range }) {
            Ok(rows) if count(&rows) <= most => return Ok(rows),
            Ok(_) | Err(Error::Query(_)) => {}
            Err(error) => return Err(error),
        }
    }
    ask(&Range { step: Duration::from_secs(STEPS[STEPS.len() - 1]), ..range })
}

/// How many times there are groups of.
fn times(rows: &[GroupRow]) -> usize {
    rows.chunk_by(|one, next| one.end_ns == next.end_ns).count()
}

/// A number by its name; `None` if there is none of that name.
fn value(sums: &Sums, name: &str) -> Option<Cell> {
    let known = |value: Option<u64>| value.map_or(Cell::Unknown, Cell::Integer);
    if let Some(count) = sums.counter(name) {
        return Some(Cell::Integer(count));
    }
    if let Some(counter) = name.strip_suffix("_per_second") {
        let count = sums.counter(counter)?;
        let rate = u128::from(count) * 1_000_000_000;
        let rate = rate.checked_div(u128::from(sums.duration_ns));
        return Some(known(rate.and_then(|rate| u64::try_from(rate).ok())));
    }
    if let Some(gauge) = sums.gauge(name) {
        return Some(Cell::Integer(gauge.last));
    }
    if let Some((gauge, of)) = name.rsplit_once('_').filter(|(gauge, _)| GAUGES.contains(gauge)) {
        let gauge = sums.gauge(gauge)?;
        return match of {
            "min" => Some(Cell::Integer(gauge.min)),
            "max" => Some(Cell::Integer(gauge.max)),
            "mean" => Some(known(gauge.sum.checked_div(sums.samples))),
            _ => None,
        };
    }
    match name {
        "latency_p50_ns" => Some(known(sums.latency.percentile(50))),
        "latency_p95_ns" => Some(known(sums.latency.percentile(95))),
        "latency_p99_ns" => Some(known(sums.latency.percentile(99))),
        "latency_samples" => Some(Cell::Integer(sums.latency.samples())),
        "duration_ns" => Some(Cell::Integer(sums.duration_ns)),
        "samples" => Some(Cell::Integer(sums.samples)),
        _ => None,
    }
}

/// The columns that say when.
fn when(start_ns: u64, end_ns: u64) -> [Cell; 3] {
    [Cell::Text(human::moment(start_ns)), Cell::Integer(start_ns), Cell::Integer(end_ns)]
}

fn host(series: &[String], rows: &[HostRow]) -> Cells {
    let row = |row: &HostRow| {
        let values = series.iter().map(|name| value(&row.sums, name).unwrap_or(Cell::Unknown));
        when(row.start_ns, row.end_ns).into_iter().chain(values).collect()
    };
    Cells {
        names: RowNames { list: "history", one: "row" },
        columns: columns(&["time", "start_ns", "end_ns"], series),
        rows: rows.iter().map(row).collect(),
    }
}

fn columns(first: &[&str], series: &[String]) -> Vec<String> {
    first.iter().map(|name| (*name).to_owned()).chain(series.iter().cloned()).collect()
}

fn groups(key: &str, series: &[String], rows: &[GroupRow]) -> Cells {
    let row = |row: &GroupRow| {
        let (of, name) = match &row.of {
            GroupOf::Other => ("other", Cell::Unknown),
            GroupOf::Unknown => ("connections", Cell::Unknown),
            GroupOf::Named(name) => ("connections", Cell::Text(name.clone())),
        };
        let values =
            series.iter().map(|name| row.counter(name).map_or(Cell::Unknown, Cell::Integer));
        let group = [Cell::Text(of.to_owned()), name];
        when(row.start_ns, row.end_ns).into_iter().chain(group).chain(values).collect()
    };
    Cells {
        names: RowNames { list: "groups", one: "group" },
        columns: columns(&["time", "start_ns", "end_ns", "of", key], series),
        rows: rows.iter().map(row).collect(),
    }
}

fn findings(reader: &Reader, range: &Range) -> Result<Cells, Error> {
    let row = |finding: Finding| {
        vec![
            Cell::Text(human::moment(finding.time_ns)),
            Cell::Integer(finding.time_ns),
            Cell::Text(finding.kind.name().to_owned()),
            finding.score.map_or(Cell::Unknown, |score| Cell::Text(score.series)),
            Cell::Text(finding.reason),
        ]
    };
    Ok(Cells {
        names: RowNames { list: "findings", one: "finding" },
        columns: columns(&["time", "time_ns", "kind", "series", "reason"], &[]),
        rows: reader.findings(range)?.into_iter().map(row).collect(),
    })
}

fn alerts(reader: &Reader, range: &Range) -> Result<Cells, Error> {
    let row = |alert: AlertRow| {
        vec![
            Cell::Text(human::moment(alert.time_ns)),
            Cell::Integer(alert.time_ns),
            Cell::Integer(alert.number),
            Cell::Text(alert.severity),
            Cell::Text(alert.kind),
            Cell::Text(alert.scope),
            Cell::Integer(alert.subject),
            Cell::Integer(alert.threshold),
            Cell::Integer(alert.value),
            Cell::Integer(alert.pid),
            alert.command.map_or(Cell::Unknown, Cell::Text),
            Cell::Text(alert.message),
        ]
    };
    let names = [
        "time",
        "time_ns",
        "number",
        "severity",
        "kind",
        "scope",
        "subject",
        "threshold",
        "value",
        "pid",
        "command",
        "message",
    ];
    Ok(Cells {
        names: RowNames { list: "alerts", one: "alert" },
        columns: columns(&names, &[]),
        rows: reader.alerts(range)?.into_iter().map(row).collect(),
    })
}

/// Below the table each number that changes as a line of bars, from the least to the most.
fn write_plots(output: &mut impl Write, series: &[String], rows: &[HostRow]) -> io::Result<()> {
    let plots: Vec<Vec<String>> = series.iter().filter_map(|name| plot(name, rows)).collect();
    // A line has a bar a row; what does not fit onto a screen is none to look at.
    if plots.is_empty() || rows.len() > 2 * ROWS {
        return Ok(());
    }
    writeln!(output)?;
    let columns = [
        ("number", Align::Left),
        ("least", Align::Right),
        ("most", Align::Right),
        ("from_first_row_to_last", Align::Left),
    ];
    table::write(output, &columns, &plots, Clone::clone)
}

fn plot(name: &str, rows: &[HostRow]) -> Option<Vec<String>> {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

    let number = |row: &HostRow| match value(&row.sums, name) {
        Some(Cell::Integer(number)) => Some(number),
        _ => None,
    };
    let numbers: Vec<Option<u64>> = rows.iter().map(number).collect();
    let least = numbers.iter().flatten().min().copied()?;
    let most = numbers.iter().flatten().max().copied().filter(|&most| most > least)?;
    let bar = |number: &Option<u64>| {
        let Some(number) = number else { return ' ' };
        let part = u128::from(number - least) * (BARS.len() as u128 - 1) / u128::from(most - least);
        usize::try_from(part).ok().and_then(|place| BARS.get(place)).copied().unwrap_or(' ')
    };
    let bars = numbers.iter().map(bar).collect();
    Some(vec![name.to_owned(), least.to_string(), most.to_string(), bars])
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutex_history::COUNTERS;

    #[test]
    fn moments_and_durations_are_told_apart() {
        assert_eq!(parse_since("2h"), Ok(Since::Before(Duration::from_secs(7200))));
        assert_eq!(parse_since("5"), Ok(Since::Moment(5_000_000_000)));
        assert_eq!(parse_since("1970-01-02"), Ok(Since::Moment(86_400_000_000_000)));
        assert!(parse_since("2 hours").is_err() && parse_since("").is_err());
    }

    #[test]
    fn every_name_that_the_help_promises_is_known() {
        for name in COUNTERS.iter().chain(&GAUGES) {
            assert!(value(&Sums::default(), name).is_some(), "{name}");
        }
        for name in
            ["losses_per_second", "fds_active_min", "table_used_mean", "latency_p95_ns", "samples"]
        {
            assert!(value(&Sums::default(), name).is_some(), "{name}");
        }
        for name in ["", "fds_active_per_second", "drops_min", "x_max", "latency_p98_ns"] {
            assert!(value(&Sums::default(), name).is_none(), "{name}");
        }
        assert!(SERIES.split(',').all(|name| value(&Sums::default(), name).is_some()));
    }
}
