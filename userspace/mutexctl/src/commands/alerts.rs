// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl alerts`.

use std::io;
use std::io::Write;
use std::path::Path;

use mutex_stats::Alert;
use mutex_stats::Block;
use mutex_stats::Connection;
use mutex_stats::Events;
use mutex_stats::File;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Happening;
use mutex_stats::Header;
use mutex_stats::Part;
use mutex_stats::Proc;
use mutex_stats::Visitor;
use mutex_stats::alert_kind_name;
use mutex_stats::alert_message;
use mutex_stats::command_text;
use mutex_stats::formats::RowFormat;
use mutex_stats::formats::RowNames;
use mutex_stats::formats::Rows;
use mutex_stats::has_endpoints;
use mutex_stats::scope_name;
use mutex_stats::severity_name;

use super::connections::endpoint;
use super::list;
use super::list::Listed;
use super::list::Query;
use crate::cli::List;
use crate::cli::RecordFormat;
use crate::color::Style;
use crate::csv;
use crate::failure::Failure;
use crate::failure::say;
use crate::human;
use crate::source::Sink;
use crate::source::Source;
use crate::source::kernel_failure;
use crate::table;
use crate::table::Align::Left;
use crate::table::Align::Right;
use crate::table::Column;
use crate::target::Target;

/// The alerts.
pub struct Alerts;

impl Listed for Alerts {
    type Record = Alert;
    type Row = Alert;

    const FILTERED: Filtered = Filtered::Alerts;
    const NAMES: RowNames = RowNames { list: "alerts", one: "alert" };

    fn records(block: &Block<'_>) -> Option<impl Iterator<Item = Alert>> {
        match block.part() {
            Part::Alerts(records) => Some(records),
            _ => None,
        }
    }

    fn is_wanted(filter: &Filter, record: &Alert) -> bool {
        filter.alert(record)
    }

    fn record(row: &Alert) -> &Alert {
        row
    }

    fn select(source: &Source, query: &Query<Self>) -> Result<(Header, Vec<Alert>), Failure> {
        let mut kept = Kept { filter: &query.filter, alerts: Vec::new() };
        let header = source.visit(&mut kept, Sink::Memory)?;
        let mut alerts = kept.alerts;
        if let Some(sort) = &query.sort {
            sort.sort(&mut alerts);
        }
        alerts.truncate(query.top.unwrap_or(usize::MAX));
        Ok((header, alerts))
    }

    fn table(output: &mut dyn Write, rows: &[Alert]) -> io::Result<()> {
        table(output, rows)
    }
}

/// The alerts of an image that are wanted.
struct Kept<'a> {
    filter: &'a Filter,
    alerts: Vec<Alert>,
}

impl Visitor for Kept<'_> {
    fn header(&mut self, _: &Header, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        let alerts = Alerts::records(block).into_iter().flatten();
        self.alerts.extend(alerts.filter(|alert| self.filter.alert(alert)));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Forgets the alerts that there are.
pub fn clear(proc: &Path) -> Result<(), Failure> {
    let proc = Proc::new(proc);
    let cleared = proc.write(File::Alerts, "clear");
    cleared.map_err(|error| kernel_failure(error, &proc, File::Alerts))
}

/// Shows the alerts that there are, and then each as it comes.
pub fn follow(source: &Source, list: &List) -> Result<(), Failure> {
    let Some(proc) = source.kernel() else {
        return Err(Failure::Usage("--follow is for the kernel's alerts, not for a file's".into()));
    };
    if list.watch.is_some() || list.sort.is_some() || list.top.is_some() || list.fields.is_some() {
        let sentence = "--follow shows alerts as they come: it cannot be combined with --watch, \
                        --sort, --top or --fields";
        return Err(Failure::Usage(sentence.into()));
    }
    let target = Target::new(list.output.output.as_deref());
    let format = match list.format {
        RecordFormat::Table => None,
        RecordFormat::Jsonl => Some(RowFormat::JsonLines),
        RecordFormat::Csv => Some(csv::rows(&target)),
        RecordFormat::Json => {
            let sentence = "an object has an end, and --follow has none: use --format jsonl";
            return Err(Failure::Usage(sentence.into()));
        }
        #[cfg(feature = "parquet")]
        RecordFormat::Parquet => {
            let sentence = "a Parquet file has an end, and --follow has none: use --format jsonl";
            return Err(Failure::Usage(sentence.into()));
        }
    };
    let query = Query::<Alerts>::new(list)?;
    let failed = |error| kernel_failure(error, proc, File::Events);
    // The monitor first, so that nothing is missed between it and the list.
    let wanted = Filter::parse("kind=alert", Filtered::Events).map_err(failed)?;
    let mut events = Events::open(proc, &wanted).map_err(failed)?;
    let (_, alerts) = Alerts::select(source, &query)?;
    let mut shown = 0;
    let mut newest = alerts.last().map_or(0, |alert| alert.number);
    let mut missed = 0;
    target.write_on(|output| {
        let mut lines = Lines::new(output, format, &target)?;
        for alert in &alerts {
            lines.add(alert)?;
            shown += 1;
        }
        while list.count.is_none_or(|count| shown < count) {
            let Some(event) = events.next_event(None).map_err(failed)? else { return Ok(()) };
            if event.lost > missed {
                say(format_args!("{} alerts were too many to follow", event.lost - missed));
                missed = event.lost;
            }
            let Happening::Alert(alert) = event.happening else { continue };
            let is_new = alert.number > newest;
            newest = alert.number.max(newest);
            if is_new && query.filter.alert(&alert) {
                lines.add(&alert)?;
                shown += 1;
            }
        }
        Ok(())
    })
}

/// Alerts, each written at once.
struct Lines<'a, W: Write> {
    output: Output<W>,
    target: &'a Target,
}

enum Output<W: Write> {
    Text(W),
    Rows(Rows<W>),
}

impl<'a, W: Write> Lines<'a, W> {
    fn new(output: W, format: Option<RowFormat>, target: &'a Target) -> Result<Self, Failure> {
        let output = match format {
            None => Output::Text(output),
            Some(format) => {
                let rows = Rows::of_records::<Alert>(output, format, Alerts::NAMES, None);
                Output::Rows(rows.map_err(|error| Failure::writing(target, &error))?)
            }
        };
        Ok(Lines { output, target })
    }

    fn add(&mut self, alert: &Alert) -> Result<(), Failure> {
        match &mut self.output {
            Output::Text(output) => {
                let severity = severity_name(alert.severity);
                let shown = Style::of_word(severity).map(|style| style.paint(severity));
                let severity = shown.as_deref().unwrap_or(severity);
                let time = human::moment(alert.time_ns);
                writeln!(output, "{} {time} {severity}: {}", alert.number, alert_message(alert))
                    .and_then(|()| output.flush())
            }
            Output::Rows(rows) => rows.record(alert).and_then(|()| rows.flush()),
        }
        .map_err(|error| Failure::writing(self.target, &error))
    }
}

const COLUMNS: [Column; 9] = [
    ("number", Right),
    ("time", Left),
    ("severity", Left),
    ("kind", Left),
    ("value", Right),
    ("threshold", Right),
    ("subject", Left),
    ("pid", Right),
    ("command", Left),
];

fn table(output: &mut dyn Write, alerts: &[Alert]) -> io::Result<()> {
    table::write(output, &COLUMNS, alerts, |alert| {
        vec![
            alert.number.to_string(),
            human::moment(alert.time_ns),
            severity_name(alert.severity).to_owned(),
            alert_kind_name(alert.kind).to_owned(),
            quantity(alert.kind, alert.value),
            quantity(alert.kind, alert.threshold),
            subject(alert),
            list::known(alert.pid),
            list::text(command_text(&alert.command)),
        ]
    })
}

/// A threshold or a value in the unit of its kind.
pub fn quantity(kind: u8, value: u64) -> String {
    match alert_kind_name(kind) {
        "latency" => human::short_duration(value),
        "bandwidth_in" | "bandwidth_out" => format!("{}/s", human::short_size(value)),
        "unknown" => value.to_string(),
        _ => human::of_10000(value),
    }
}

/// What an alert is about: `connection 5 192.0.2.1:80 192.0.2.2:1024`, `fd 7`, `global`.
pub fn subject(alert: &Alert) -> String {
    let scope = scope_name(alert.scope);
    if alert.subject == 0 {
        return scope.to_owned();
    }
    let mut text = format!("{scope} {}", alert.subject);
    if has_endpoints(alert) {
        let Alert { family, protocol, .. } = *alert;
        let ends = Connection { family, protocol, ..Connection::default() };
        for (address, port) in
            [(alert.local_address, alert.local_port), (alert.remote_address, alert.remote_port)]
        {
            text = format!("{text} {}", endpoint(&ends, address, port));
        }
    }
    text
}
