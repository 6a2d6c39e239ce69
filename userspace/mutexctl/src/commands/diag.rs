// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl diag`.

use std::io;
use std::io::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::anyhow;
use mutex_stats::Cell;
use mutex_stats::SCHEMA_VERSION;
use mutex_stats::diagnostics::Client;
use mutex_stats::diagnostics::Error;
use mutex_stats::diagnostics::Query;
use mutex_stats::diagnostics::Severity;
use mutex_stats::formats::RowNames;
use serde_json::Value;
use serde_json::json;

use super::Since;
use crate::cells::Cells;
use crate::cli::DiagArgs;
use crate::cli::DiagCommand;
use crate::cli::DiagEvents;
use crate::cli::ListFormat;
use crate::color::Style;
use crate::failure::Failure;
use crate::failure::printable;
use crate::failure::reason;
use crate::failure::say;
use crate::human;
use crate::local;
use crate::target::Target;
use crate::web::Web;

/// Where the daemon's unit has its socket.
const SOCKET: &str = "/run/mutexd/diagnostics.sock";

/// How long an answer over the socket may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is asked for what is new.
const PAUSE: Duration = Duration::from_millis(500);

/// Events in an answer of the HTTP interface at most.
const MOST: usize = 1000;

/// Exit statuses of `health`, beside those that all commands have.
const DEGRADED: u8 = 3;
const UNHEALTHY: u8 = 4;

/// Reads a severity.
pub fn parse_severity(text: &str) -> Result<Severity, String> {
    text.parse()
}

pub fn run(args: &DiagArgs) -> Result<(), Failure> {
    let mut daemon = Daemon::reach(args)?;
    let target = Target::new(args.output.as_deref());
    match &args.command {
        DiagCommand::Health => health(&mut daemon, args.format, &target),
        DiagCommand::Counts => counts(&mut daemon, args.format, &target),
        DiagCommand::Events(wanted) if wanted.follow => {
            follow(&mut daemon, wanted, args.format, &target)
        }
        DiagCommand::Events(wanted) => events(&mut daemon, wanted, args.format, &target),
    }
}

/// Who answers.
enum Daemon {
    Socket(Client),
    Web(Web),
}

impl Daemon {
    fn reach(args: &DiagArgs) -> Result<Self, Failure> {
        if args.token_file.is_some() && args.http.is_none() {
            return Err(Failure::usage(
                "--token-file is for the HTTP interface: name it with --http",
            ));
        }
        if args.http.is_some() && args.socket.is_some() {
            return Err(Failure::usage(
                "--socket and --http are two ways to ask: name one of them",
            ));
        }
        let web = |address: &str| {
            Web::new(address, args.token_file.as_deref()).map(Daemon::Web).map_err(Failure::usage)
        };
        match (&args.socket, &args.http) {
            (_, Some(address)) => web(address),
            (Some(path), None) => Self::socket(path),
            (None, None) if Path::new(SOCKET).exists() => Self::socket(Path::new(SOCKET)),
            (None, None) => web(local::SOCKET),
        }
    }

    fn socket(path: &Path) -> Result<Self, Failure> {
        let client = Client::with_timeout(path, PATIENCE);
        client.map(Daemon::Socket).map_err(|error| {
            let path = path.display();
            let what = match &error {
                Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let reason = reason(error);
                    return anyhow!(
                        "cannot ask mutexd at {path}: {reason}; ask as root, or as the user that it runs as"
                    )
                    .into();
                }
                Error::Io(error) => reason(error),
                error => error.to_string(),
            };
            anyhow!(
                "cannot ask mutexd at {path}: {what}; is it running, with diagnostics.socket = \"{path}\"?"
            )
            .into()
        })
    }

    fn health(&mut self) -> Result<Value, Failure> {
        let health = match self {
            Daemon::Socket(client) => client.health().map_err(failure)?,
            Daemon::Web(web) => web.get("/api/v1/diagnostics/health", &[])?,
        };
        with(health, "status")
    }

    fn statistics(&mut self) -> Result<Value, Failure> {
        let statistics = match self {
            Daemon::Socket(client) => client.statistics().map_err(failure)?,
            Daemon::Web(web) => web.get("/api/v1/diagnostics/statistics", &[])?,
        };
        with(statistics, "total")
    }

    /// Events, the oldest first, and how many are known to be left out for an answer's size.
    fn events(&mut self, query: &Query) -> Result<(Vec<Value>, u64), Failure> {
        match self {
            Daemon::Socket(client) => client.events_that_fit(query).map_err(failure),
            Daemon::Web(web) => {
                let mut answer = web.get("/api/v1/diagnostics/events", &parameters(query))?;
                match answer.get_mut("events").map(Value::take) {
                    Some(Value::Array(events)) => Ok((events, 0)),
                    _ => Err(anyhow!("mutexd's answer has no events").into()),
                }
            }
        }
    }

    /// How many events may be asked for.
    fn most(&self) -> usize {
        match self {
            Daemon::Socket(_) => usize::MAX,
            Daemon::Web(_) => MOST,
        }
    }
}

/// An object that has this member.
fn with(answer: Value, member: &str) -> Result<Value, Failure> {
    if answer.get(member).is_some() {
        return Ok(answer);
    }
    Err(anyhow!("mutexd's answer has no {member}").into())
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            anyhow!("mutexd went away before it had answered").into()
        }
        Error::Io(error) => anyhow!("mutexd does not answer: {}", reason(&error)).into(),
        Error::Refused(why) => anyhow!("mutexd has refused to answer: {why}").into(),
        error => anyhow!(error).into(),
    }
}

/// The question as the HTTP interface takes it.
fn parameters(query: &Query) -> Vec<(&'static str, String)> {
    let Query { last, severity, after, kind, peer, component, since_ns, until_ns } = query;
    let mut parameters = vec![
        ("last", last.to_string()),
        ("severity", severity.to_string()),
        ("after", after.to_string()),
        ("since_ns", since_ns.to_string()),
        ("until_ns", until_ns.to_string()),
    ];
    let words = [("kind", kind), ("peer", peer), ("component", component)];
    parameters.extend(words.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    parameters
}

impl DiagEvents {
    fn query(&self) -> Query {
        Query {
            last: self.last,
            severity: self.severity,
            after: 0,
            kind: self.kind.clone(),
            peer: self.peer.clone(),
            component: self.component.clone(),
            since_ns: match self.since {
                None => 0,
                Some(Since::Moment(moment)) => moment,
                Some(Since::Before(duration)) => {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    u64::try_from(now.saturating_sub(duration).as_nanos()).unwrap_or(u64::MAX)
                }
            },
            until_ns: self.until.unwrap_or(u64::MAX),
        }
    }
}

/// Writes an object of the daemon's with the schema version, or as cells.
fn write(
    mut value: Value,
    cells: impl FnOnce(&Value) -> Cells,
    format: ListFormat,
    target: &Target,
) -> Result<(), Failure> {
    match format {
        ListFormat::Table | ListFormat::Csv => cells(&value).write(format, target),
        ListFormat::Json | ListFormat::Jsonl => {
            value["schema_version"] = SCHEMA_VERSION.into();
            line(target, &value)
        }
    }
}

fn line(target: &Target, value: &Value) -> Result<(), Failure> {
    target.write(|output| {
        writeln!(output, "{value}").map_err(|error| Failure::writing(target, &error))
    })
}

/// A number or a text of an object as a cell.
fn cell(value: &Value, name: &str) -> Cell {
    match &value[name] {
        Value::String(text) => Cell::Text(printable(text)),
        Value::Number(number) => number.as_u64().map_or(Cell::Unknown, Cell::Integer),
        _ => Cell::Unknown,
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// What a health check tells, in this order.
const HEALTH: [&str; 10] = [
    "status",
    "message",
    "time_ns",
    "events",
    "max_events",
    "total_events",
    "recent_events",
    "recent_errors",
    "recent_critical",
    "active_peers",
];

fn health(daemon: &mut Daemon, format: ListFormat, target: &Target) -> Result<(), Failure> {
    let health = daemon.health()?;
    let status = text(&health, "status").to_owned();
    let cells = |health: &Value| match format {
        // A line a number is easier to read than one line of all.
        ListFormat::Table => Cells {
            names: RowNames { list: "health", one: "number" },
            columns: names(&["health", "value"]),
            rows: HEALTH
                .iter()
                .map(|name| {
                    let value = cell(health, name).to_string();
                    vec![Cell::Text((*name).to_owned()), Cell::Text(value)]
                })
                .collect(),
        },
        _ => Cells {
            names: RowNames { list: "health", one: "health" },
            columns: names(&HEALTH),
            rows: vec![HEALTH.iter().map(|name| cell(health, name)).collect()],
        },
    };
    write(health, cells, format, target)?;
    match status.as_str() {
        "healthy" => Ok(()),
        "degraded" => Err(Failure::Status(DEGRADED)),
        "unhealthy" => Err(Failure::Status(UNHEALTHY)),
        _ => Err(anyhow!("mutexd's answer has no status").into()),
    }
}

fn counts(daemon: &mut Daemon, format: ListFormat, target: &Target) -> Result<(), Failure> {
    write(daemon.statistics()?, counted, format, target)
}

/// By severity and kind, of all time and of what is kept; and why others are gone.
fn counted(statistics: &Value) -> Cells {
    let [total, kept] = ["total", "kept"].map(|of| &statistics[of]);
    let row = |of: &str, name: &str, total: Cell, kept: Cell| {
        vec![Cell::Text(of.to_owned()), Cell::Text(printable(name)), total, kept]
    };
    let mut rows = vec![row("events", "all", cell(total, "events"), cell(kept, "events"))];
    for severity in Severity::ALL.map(Severity::name) {
        let [total, kept] = [total, kept].map(|of| cell(&of["by_severity"], severity));
        rows.push(row("severity", severity, total, kept));
    }
    for name in total["by_kind"].as_object().into_iter().flat_map(|kinds| kinds.keys()) {
        let kept = match cell(&kept["by_kind"], name) {
            Cell::Unknown => Cell::Integer(0),
            cell => cell,
        };
        rows.push(row("kind", name, cell(&total["by_kind"], name), kept));
    }
    for reason in ["evicted", "expired", "cleared", "refused"] {
        rows.push(row("gone", reason, cell(statistics, reason), Cell::Integer(0)));
    }
    rows.push(row("peers", "active", cell(statistics, "active_peers"), Cell::Unknown));
    Cells {
        names: RowNames { list: "counts", one: "count" },
        columns: names(&["of", "name", "total", "kept"]),
        rows,
    }
}

/// What of an event is in a table.
const EVENT: [&str; 7] = ["number", "time_ns", "severity", "component", "kind", "peer", "message"];

fn events(
    daemon: &mut Daemon,
    wanted: &DiagEvents,
    format: ListFormat,
    target: &Target,
) -> Result<(), Failure> {
    let (events, left_out) = daemon.events(&wanted.query())?;
    if left_out > 0 {
        say(format_args!("{left_out} older events do not fit into one answer"));
    }
    match format {
        ListFormat::Json => {
            line(target, &json!({ "schema_version": SCHEMA_VERSION, "events": events }))
        }
        ListFormat::Jsonl => target.write(|output| {
            let mut lines = events.iter();
            lines
                .try_for_each(|event| writeln!(output, "{event}"))
                .map_err(|error| Failure::writing(target, &error))
        }),
        ListFormat::Table | ListFormat::Csv => listed(&events, format).write(format, target),
    }
}

fn listed(events: &[Value], format: ListFormat) -> Cells {
    let is_table = format == ListFormat::Table;
    let cell = |event: &Value, name: &str| match (name, cell(event, name)) {
        ("time_ns", Cell::Integer(ns)) if is_table => Cell::Text(human::moment(ns)),
        (_, cell) => cell,
    };
    let column =
        |name: &str| if is_table && name == "time_ns" { "time".into() } else { name.into() };
    Cells {
        names: RowNames { list: "events", one: "event" },
        columns: EVENT.map(column).into(),
        rows: events.iter().map(|event| EVENT.map(|name| cell(event, name)).into()).collect(),
    }
}

/// Shows those that there are, and then each as it comes.
fn follow(
    daemon: &mut Daemon,
    wanted: &DiagEvents,
    format: ListFormat,
    target: &Target,
) -> Result<(), Failure> {
    let show: fn(&mut dyn Write, &Value) -> io::Result<()> = match format {
        ListFormat::Table => for_people,
        ListFormat::Jsonl => |output, event| writeln!(output, "{event}"),
        ListFormat::Json | ListFormat::Csv => {
            return Err(Failure::usage("--follow has no end: use --format table or jsonl"));
        }
    };
    let mut news = News { query: wanted.query(), began: None };
    let (mut shown, mut is_away) = (0, false);
    target.write_on(|output| {
        while wanted.count.is_none_or(|count| shown < count) {
            match news.take(daemon) {
                Ok(events) => {
                    is_away = false;
                    for event in &events {
                        if wanted.count.is_some_and(|count| shown >= count) {
                            break;
                        }
                        show(output, event)
                            .and_then(|()| output.flush())
                            .map_err(|error| Failure::writing(target, &error))?;
                        shown += 1;
                    }
                }
                Err(failure) if news.began.is_none() => return Err(failure),
                // It may be started again.
                Err(failure) => {
                    if !is_away {
                        say(format_args!("{}; it is waited for", failure.sentence()));
                    }
                    is_away = true;
                }
            }
            if wanted.count.is_none_or(|count| shown < count) {
                sleep(PAUSE);
            }
        }
        Ok(())
    })
}

/// What is new, again and again.
struct News {
    query: Query,
    /// Which recorder it was of.
    began: Option<Value>,
}

impl News {
    fn take(&mut self, daemon: &mut Daemon) -> Result<Vec<Value>, Failure> {
        let statistics = daemon.statistics()?;
        let now = statistics["began_ns"].clone();
        let recorded = statistics["total"]["events"].as_u64().unwrap_or(0);
        if self.began.as_ref().is_some_and(|began| *began != now) {
            say(format_args!("mutexd has begun to record anew"));
            // Its numbers are not those of the one before.
            self.query.after = 0;
        }
        self.began = Some(now);
        let (events, left_out) = daemon.events(&self.query)?;
        let is_full = self.query.after > 0 && events.len() >= daemon.most();
        if left_out > 0 || is_full {
            say(format_args!("some events were too many to follow"));
        }
        // Also what was recorded before and not shown is not new.
        let newest = events.last().and_then(|event| event["number"].as_u64());
        self.query.after = newest.unwrap_or(0).max(recorded);
        self.query.last = daemon.most();
        Ok(events)
    }
}

/// One line: `17 2026-01-31T23:59:59Z warning history history_paused: what happened`.
fn for_people(output: &mut dyn Write, event: &Value) -> io::Result<()> {
    let severity = text(event, "severity");
    let painted = Style::of_word(severity).map(|style| style.paint(severity));
    let severity = painted.unwrap_or_else(|| printable(severity));
    let time = human::moment(event["time_ns"].as_u64().unwrap_or(0));
    let [component, kind, message] =
        ["component", "kind", "message"].map(|name| printable(text(event, name)));
    let number = event["number"].as_u64().unwrap_or(0);
    write!(output, "{number} {time} {severity} {component} {kind}")?;
    if let Some(peer) = event["peer"].as_str() {
        write!(output, " {}", printable(peer))?;
    }
    writeln!(output, ": {message}")
}
