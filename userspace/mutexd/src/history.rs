// SPDX-License-Identifier: MIT OR Apache-2.0

//! What was counted over time, folded into a database.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mutex_history::COUNTERS;
use mutex_history::Error;
use mutex_history::Finding;
use mutex_history::FindingKind;
use mutex_history::History;
use mutex_history::Range;
use mutex_history::Reader;
use mutex_history::Settings;
use mutex_history::Snapshot;
use mutex_stats::Proc;
use mutex_stats::SCHEMA_VERSION;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Severity;
use serde::Deserialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::config::Config;
use crate::http::Asked;
use crate::http::failure;
use crate::http::json as answer;
use crate::http::list;
use crate::http::operation;
use crate::http::parameter;
use crate::own::Own;
use crate::own::locked;
use crate::part::Health;
use crate::part::Metrics;
use crate::part::Part;
use crate::part::Route;
use crate::part::State;
use crate::part::is_stuck;
use crate::turns::Turns;

/// The name of this part.
pub const NAME: &str = "history";

/// How many rows an answer has at most, and if nobody says.
const MOST: usize = 10_000;
const USUAL: usize = 1000;

/// How many questions are worked on at the same time.
const READERS: usize = 2;

/// The part that keeps a history, if one is wanted.
pub struct Keeper(Option<Keeping>);

struct Keeping {
    database: PathBuf,
    interval: Duration,
    fares: Arc<Mutex<Fares>>,
    own: Arc<Own>,
    /// Dropped to end the thread.
    stop: Mutex<Option<mpsc::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How the last attempt went. The history itself is the thread's alone: nobody waits for a slow disk.
struct Fares {
    state: mutex_history::State,
    trouble: Option<Trouble>,
    tried: Instant,
}

/// Why nothing could be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// The kernel module cannot be read.
    Kernel(String),
    /// The database cannot be written.
    Database(String),
}

impl Trouble {
    fn sentence(&self) -> String {
        let (Trouble::Kernel(what) | Trouble::Database(what)) = self;
        format!("the history goes on later: {what}")
    }

    fn entry(&self) -> Entry {
        let (kind, severity) = match self {
            Trouble::Kernel(_) => ("history_paused", Severity::Warning),
            Trouble::Database(_) => ("database_fault", Severity::Error),
        };
        Entry::custom(kind, severity, self.sentence())
    }
}

impl Keeper {
    /// Begins to keep.
    ///
    /// # Errors
    ///
    /// There can be no database, or no thread.
    pub fn start(config: &Config, own: &Arc<Own>) -> anyhow::Result<Arc<Self>> {
        let wanted = &config.history;
        if !wanted.enabled {
            return Ok(Arc::new(Keeper(None)));
        }
        let settings =
            Settings { top: wanted.top, max_bytes: wanted.max_bytes as u64, ..Settings::default() };
        let database = if wanted.database.as_os_str().is_empty() {
            config.state_folder.join("history.db")
        } else {
            wanted.database.clone()
        };
        if let Some(folder) = database.parent() {
            // What is wrong with it shows when the database is opened.
            let _ = std::fs::create_dir_all(folder);
        }
        let history = History::open(&database, settings)?;
        let state = history.state().clone();
        let fares = Arc::new(Mutex::new(Fares { state, trouble: None, tried: Instant::now() }));
        let work =
            Work { history, proc: Proc::new(&config.proc), fares: fares.clone(), own: own.clone() };
        let (stop, stopped) = mpsc::channel();
        let interval = wanted.interval;
        let thread = thread::Builder::new().name(NAME.into());
        let thread = thread.spawn(move || work.run(interval, &stopped))?;
        let (stop, thread) = (Mutex::new(Some(stop)), Mutex::new(Some(thread)));
        let own = own.clone();
        Ok(Arc::new(Keeper(Some(Keeping { database, interval, fares, own, stop, thread }))))
    }
}

/// What the thread works with.
struct Work {
    history: History,
    proc: Proc,
    fares: Arc<Mutex<Fares>>,
    own: Arc<Own>,
}

impl Work {
    fn run(mut self, interval: Duration, stopped: &mpsc::Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
            let trouble = match self.look() {
                Ok(findings) => {
                    for found in findings {
                        self.own.journal.tell(NAME, entry(found));
                    }
                    None
                }
                Err(trouble) => Some(trouble),
            };
            let mut fares = locked(&self.fares);
            fares.tried = Instant::now();
            fares.state = self.history.state().clone();
            let before = std::mem::replace(&mut fares.trouble, trouble.clone());
            drop(fares);
            if let Some(entry) = change(before.as_ref(), trouble.as_ref()) {
                self.own.journal.tell(NAME, entry);
            }
        }
    }

    /// Reads the module, and records what it says.
    fn look(&mut self) -> Result<Vec<Finding>, Trouble> {
        let mut snapshot = Snapshot::completed_by(self.own.processes.beside(self.proc.folder()));
        let read = self.proc.snapshot().and_then(|reader| reader.visit(&mut snapshot));
        read.map_err(|error| Trouble::Kernel(error.to_string()))?;
        let (began, before) = (Instant::now(), self.history.state().written);
        let recorded = self.history.record(&snapshot);
        let findings = recorded.map_err(|error| Trouble::Database(error.to_string()))?;
        let (state, store) = (self.history.state(), &self.own.told.history);
        let written = state.written.saturating_sub(before);
        // A snapshot that is no newer than the one before is not written.
        if written > 0 {
            store.write(began.elapsed());
            store.batch(written);
        }
        store.set_items(state.rows.iter().map(|(_, rows)| rows).sum());
        store.set_size(state.bytes, self.history.settings().max_bytes);
        Ok(findings)
    }
}

/// What there is to tell when the last attempt went as `before`, and this one as `now`.
fn change(before: Option<&Trouble>, now: Option<&Trouble>) -> Option<Entry> {
    if before == now {
        return None;
    }
    Some(now.map_or_else(
        || {
            let message = "the history goes on, with all that was counted meanwhile";
            Entry::custom("history_resumed", Severity::Info, message)
        },
        Trouble::entry,
    ))
}

/// What was found, for who looks after the host.
fn entry(found: Finding) -> Entry {
    let severity = match found.kind {
        FindingKind::Unusual | FindingKind::WentBack | FindingKind::BegunAnew => Severity::Warning,
        FindingKind::LoadedAnew | FindingKind::ClockSet => Severity::Info,
    };
    let entry = Entry::custom(found.kind.name(), severity, found.reason);
    let entry = Entry { time_ns: Some(found.time_ns), ..entry };
    match found.score {
        None => entry,
        Some(score) => entry
            .with("series", score.series)
            .with("value", score.value)
            .with("median", score.median)
            .with("spread", score.spread)
            .with("score", score.score),
    }
}

impl Keeping {
    /// How it fares, so long after the last attempt; `is_dead` if the thread has ended although nobody told it to.
    fn health(&self, silence: Duration, is_dead: bool) -> Health {
        let fares = locked(&self.fares);
        let failed = |message| Health { state: State::Failed, message };
        match &fares.trouble {
            _ if is_dead => failed("nothing is recorded any more: its thread has ended".into()),
            _ if is_stuck(silence, self.interval) => {
                failed(format!("nothing was recorded or tried for {} s", silence.as_secs()))
            }
            Some(trouble) => Health { state: State::Degraded, message: trouble.sentence() },
            None => {
                let message = format!("{} snapshots were recorded", fares.state.recorded);
                Health { state: State::Healthy, message }
            }
        }
    }
}

impl Part for Keeper {
    fn name(&self) -> &'static str {
        NAME
    }

    fn health(&self) -> Health {
        match &self.0 {
            None => {
                let message = "no history is kept: history.enabled is false";
                Health { state: State::Healthy, message: message.into() }
            }
            Some(keeping) => {
                let is_dead = locked(&keeping.thread).as_ref().is_some_and(JoinHandle::is_finished);
                let silence = locked(&keeping.fares).tried.elapsed();
                keeping.health(silence, is_dead)
            }
        }
    }

    fn tells_trouble(&self) -> bool {
        true
    }

    fn write_metrics(&self, metrics: &mut Metrics<'_>) -> io::Result<()> {
        match &self.0 {
            Some(keeping) => locked(&keeping.fares).state.write_metrics(metrics),
            None => Ok(()),
        }
    }

    fn routes(self: Arc<Self>) -> Vec<Route> {
        self.0.as_ref().map(routes).unwrap_or_default()
    }

    fn shutdown(&self) {
        let Some(keeping) = &self.0 else { return };
        drop(locked(&keeping.stop).take());
        let thread = locked(&keeping.thread).take();
        if let Some(thread) = thread {
            // It has ended, one way or the other.
            let _ = thread.join();
        }
    }
}

/// What somebody wants to see.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    since_ns: u64,
    until_ns: u64,
    step_seconds: u64,
    limit: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { since_ns: 0, until_ns: u64::MAX, step_seconds: 0, limit: USUAL }
    }
}

impl Wanted {
    fn range(&self) -> Range {
        Range {
            since_ns: self.since_ns,
            until_ns: self.until_ns,
            step: Duration::from_secs(self.step_seconds),
            limit: self.limit.min(MOST),
        }
    }
}

fn routes(keeping: &Keeping) -> Vec<Route> {
    let number = json!({ "type": "integer", "minimum": 0 });
    let parameters = [
        parameter("since_ns", "What ended later than that, Unix time.", &number, &json!(0)),
        parameter("until_ns", "What ended by then, Unix time.", &number, &json!(u64::MAX)),
        parameter(
            "step_seconds",
            "How much time a row has; 0 is as fine as it is kept.",
            &number,
            &json!(60),
        ),
        parameter("limit", "More rows than these are refused.", &number, &json!(MOST)),
    ];
    let readers = Turns::new(READERS, &keeping.own);
    let route = |path, summary, schema: &Value, work: fn(&Reader, &Range) -> Answer| {
        let (database, own) = (keeping.database.clone(), keeping.own.clone());
        let readers = readers.clone();
        Route {
            path,
            description: operation(summary, &parameters, schema),
            handler: get(async move |Asked(wanted): Asked<Wanted>| {
                let turn = readers.take().await;
                let worked = tokio::task::spawn_blocking(move || {
                    let began = Instant::now();
                    let answer =
                        Reader::open(&database).and_then(|reader| work(&reader, &wanted.range()));
                    if answer.is_ok() {
                        own.told.history.read(began.elapsed());
                    }
                    drop(turn);
                    answer
                });
                shown(worked.await)
            }),
        }
    };
    vec![
        route(
            "/history/host",
            "What the host did, row by row, the oldest first.",
            &list("rows", &["start_ns", "end_ns", "counters"]),
            host,
        ),
        route(
            "/history/findings",
            "What was found while recording: the unusual, and what broke the line.",
            &list("findings", &["time_ns", "kind", "reason"]),
            findings,
        ),
    ]
}

type Answer = mutex_history::Result<Value>;

fn shown(worked: Result<Answer, tokio::task::JoinError>) -> Response {
    match worked {
        Ok(Ok(value)) => answer(&value),
        Ok(Err(Error::Query(sentence))) => failure(StatusCode::BAD_REQUEST, &sentence),
        Ok(Err(error)) => failure(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made"),
    }
}

fn host(reader: &Reader, range: &Range) -> Answer {
    let rows: Vec<Value> = reader
        .host(range)?
        .iter()
        .map(|row| {
            let counters: Map<String, Value> = COUNTERS
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), row.sums.counter(name)?.into())))
                .collect();
            json!({
                "start_ns": row.start_ns,
                "end_ns": row.end_ns,
                "duration_ns": row.sums.duration_ns,
                "samples": row.sums.samples,
                "counters": counters,
            })
        })
        .collect();
    Ok(json!({ "schema_version": SCHEMA_VERSION, "rows": rows }))
}

fn findings(reader: &Reader, range: &Range) -> Answer {
    let found: Vec<Value> = reader
        .findings(range)?
        .iter()
        .map(|one| json!({ "time_ns": one.time_ns, "kind": one.kind.name(), "reason": one.reason }))
        .collect();
    Ok(json!({ "schema_version": SCHEMA_VERSION, "findings": found }))
}

#[cfg(test)]
mod tests {
    use mutex_history::Score;

    use super::*;

    #[test]
    fn what_is_unusual_is_told_with_its_numbers() {
        let series = "drops_per_second".to_owned();
        let score = Score { series, value: 90.0, median: 1.0, spread: 10.0, score: 8.9 };
        let found = |kind, score| Finding { time_ns: 7, kind, reason: "why".into(), score };
        let told = entry(found(FindingKind::Unusual, Some(score)));
        assert_eq!((told.kind.name(), told.severity), ("unusual", Severity::Warning));
        assert_eq!((told.time_ns, told.message.as_str()), (Some(7), "why"));
        assert_eq!(told.metadata["series"], "drops_per_second");
        assert_eq!(
            (&told.metadata["value"], &told.metadata["median"]),
            (&90.0.into(), &1.0.into())
        );
        for kind in FindingKind::ALL {
            let told = entry(found(kind, None));
            assert!(told.metadata.is_empty() && told.kind.name() == kind.name());
        }
    }

    #[test]
    fn trouble_is_told_when_it_comes_changes_and_goes() {
        let told = |before, now| {
            change(before, now).map(|entry| (entry.kind.name().to_owned(), entry.severity))
        };
        let kernel = Trouble::Kernel("MUTEX is not loaded".into());
        let disk = Trouble::Database("there is no room".into());
        let some = |kind: &str, severity| Some((kind.to_owned(), severity));
        assert_eq!(told(None, None), None);
        assert_eq!(told(None, Some(&kernel)), some("history_paused", Severity::Warning));
        assert_eq!(told(Some(&kernel), Some(&kernel)), None);
        assert_eq!(told(Some(&kernel), Some(&disk)), some("database_fault", Severity::Error));
        assert_eq!(told(Some(&disk), None), some("history_resumed", Severity::Info));
    }

    #[test]
    fn who_is_silent_for_long_or_has_no_thread_has_failed() {
        let keeping = |trouble| {
            let state = mutex_history::State { recorded: 3, ..Default::default() };
            let fares = Fares { state, trouble, tried: Instant::now() };
            Keeping {
                database: PathBuf::new(),
                interval: Duration::from_secs(10),
                fares: Arc::new(Mutex::new(fares)),
                own: Arc::new(Own::default()),
                stop: Mutex::new(None),
                thread: Mutex::new(None),
            }
        };
        let short = Duration::from_secs(1);
        let health = |silence, trouble, is_dead| keeping(trouble).health(silence, is_dead).state;
        assert_eq!(health(short, None, false), State::Healthy);
        let trouble = || Some(Trouble::Kernel("MUTEX is not loaded".into()));
        assert_eq!(health(short, trouble(), false), State::Degraded);
        assert_eq!(health(short, trouble(), true), State::Failed);
        assert_eq!(health(Duration::from_secs(79), None, false), State::Healthy);
        assert_eq!(health(Duration::from_secs(81), None, false), State::Failed);
    }
}
