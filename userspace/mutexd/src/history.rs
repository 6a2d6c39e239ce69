// SPDX-License-Identifier: MIT OR Apache-2.0

//! What was counted over time, folded into a database.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mutex_history::COUNTERS;
use mutex_history::Error;
use mutex_history::FindingKind;
use mutex_history::History;
use mutex_history::Range;
use mutex_history::Reader;
use mutex_history::Settings;
use mutex_history::Snapshot;
use mutex_stats::Proc;
use mutex_stats::SCHEMA_VERSION;
use serde::Deserialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::http::Asked;
use crate::http::failure;
use crate::http::json as answer;
use crate::http::list;
use crate::http::operation;
use crate::http::parameter;
use crate::own::locked;
use crate::part::Health;
use crate::part::Metrics;
use crate::part::Part;
use crate::part::Route;
use crate::part::State;

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
    history: Arc<Mutex<History>>,
    database: PathBuf,
    /// Dropped to end the thread.
    stop: Mutex<Option<mpsc::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Begins to keep.
    ///
    /// # Errors
    ///
    /// There can be no database, or no thread.
    pub fn start(config: &Config) -> anyhow::Result<Arc<Self>> {
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
        let history = Arc::new(Mutex::new(History::open(&database, settings)?));
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name(NAME.into()).spawn({
            let (history, proc, interval) =
                (history.clone(), Proc::new(&config.proc), wanted.interval);
            move || keep(&history, &proc, interval, &stopped)
        })?;
        let (stop, thread) = (Mutex::new(Some(stop)), Mutex::new(Some(thread)));
        Ok(Arc::new(Keeper(Some(Keeping { history, database, stop, thread }))))
    }
}

fn keep(history: &Mutex<History>, proc: &Proc, interval: Duration, stopped: &mpsc::Receiver<()>) {
    let mut trouble = String::new();
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
        let mut snapshot = Snapshot::default();
        let read = proc.snapshot().and_then(|reader| reader.visit(&mut snapshot));
        let read = read.map_err(|error| error.to_string());
        let record = |_| locked(history).record(&snapshot).map_err(|error| error.to_string());
        match read.and_then(record) {
            Ok(findings) => {
                trouble.clear();
                for finding in findings {
                    match finding.kind {
                        FindingKind::Unusual | FindingKind::WentBack | FindingKind::BegunAnew => {
                            tracing::warn!("{}: {}", finding.kind, finding.reason);
                        }
                        _ => tracing::info!("{}: {}", finding.kind, finding.reason),
                    }
                }
            }
            Err(what) => {
                if what != trouble {
                    tracing::error!("the history goes on later: {what}");
                    trouble = what;
                }
            }
        }
    }
}

impl Part for Keeper {
    fn name(&self) -> &'static str {
        NAME
    }

    fn health(&self) -> Health {
        let Some(keeping) = &self.0 else {
            let message = "no history is kept: history.enabled is false";
            return Health { state: State::Healthy, message: message.into() };
        };
        let history = locked(&keeping.history);
        match &history.state().trouble {
            None => {
                let message = format!("{} snapshots were recorded", history.state().recorded);
                Health { state: State::Healthy, message }
            }
            Some(trouble) => Health { state: State::Degraded, message: trouble.clone() },
        }
    }

    fn write_metrics(&self, metrics: &mut Metrics<'_>) -> io::Result<()> {
        match &self.0 {
            Some(keeping) => locked(&keeping.history).write_metrics(metrics),
            None => Ok(()),
        }
    }

    fn routes(self: Arc<Self>) -> Vec<Route> {
        let Some(keeping) = &self.0 else { return Vec::new() };
        routes(&keeping.database)
    }

    fn shutdown(&self) {
        let Some(keeping) = &self.0 else { return };
        drop(locked(&keeping.stop).take());
        if let Some(thread) = locked(&keeping.thread).take() {
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

fn routes(database: &Path) -> Vec<Route> {
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
    let readers = Arc::new(Semaphore::new(READERS));
    let route = |path, summary, schema: &Value, work: fn(&Reader, &Range) -> Answer| {
        let (database, readers) = (database.to_owned(), readers.clone());
        Route {
            path,
            description: operation(summary, &parameters, schema),
            handler: get(async move |Asked(wanted): Asked<Wanted>| {
                // It is never closed.
                let reader = readers.acquire_owned().await;
                let worked = tokio::task::spawn_blocking(move || {
                    let answer =
                        Reader::open(&database).and_then(|reader| work(&reader, &wanted.range()));
                    drop(reader);
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
