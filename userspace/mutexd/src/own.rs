// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the daemon counts of itself.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use mutex_stats::formats::Exposition;
use mutex_stats::formats::Kind;
use mutex_stats::formats::Number;
use tokio::sync::watch;

use crate::http::Logins;
use crate::journal::Journal;
use crate::monitor::Told;
use crate::part::Metrics;
use crate::part::Parts;
use crate::part::State;
use crate::process;
use crate::processes::Processes;

/// Upper ends of the buckets of how long a scrape takes, in seconds.
const BUCKETS: [f64; 8] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0];

/// The daemon's own numbers.
pub struct Own {
    started: SystemTime,
    pub told: Told,
    pub journal: Journal,
    pub processes: Processes,
    pub logins: Logins,
    scrapes: [AtomicU64; 2],
    scrape_times: Mutex<Times>,
    /// By the kernel's file.
    read_errors: Mutex<BTreeMap<&'static str, u64>>,
    /// By status.
    answers: Mutex<BTreeMap<u16, u64>>,
    pub connections: AtomicUsize,
    /// Of these, those to the local socket and those to addresses.
    pub local_connections: Arc<AtomicUsize>,
    pub network_connections: Arc<AtomicUsize>,
    /// Who asked and waits for a turn.
    pub waiting: AtomicUsize,
    pub refused: AtomicU64,
    pub viewers: AtomicUsize,
    /// Becomes true when the daemon ends, for answers that would go on.
    pub ending: watch::Sender<bool>,
    pub reloads: AtomicU64,
    pub reload_errors: AtomicU64,
}

#[derive(Debug, Default)]
struct Times {
    counts: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

#[cfg(test)]
impl Default for Own {
    fn default() -> Self {
        Own::new(1)
    }
}

/// Numbers are right even if who changed them last has panicked.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Own {
    /// Begins to count; the last so many durations are kept.
    pub fn new(samples: usize) -> Self {
        Own {
            started: SystemTime::now(),
            told: Told::new(samples),
            journal: Journal::default(),
            processes: Processes::default(),
            logins: Logins::default(),
            scrapes: Default::default(),
            scrape_times: Mutex::default(),
            read_errors: Mutex::default(),
            answers: Mutex::default(),
            connections: AtomicUsize::new(0),
            local_connections: Arc::default(),
            network_connections: Arc::default(),
            waiting: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            viewers: AtomicUsize::new(0),
            ending: watch::Sender::new(false),
            reloads: AtomicU64::new(0),
            reload_errors: AtomicU64::new(0),
        }
    }

    /// A scrape was answered.
    pub fn scrape(&self, exposition: Exposition, took: Duration) {
        self.scrapes[usize::from(exposition == Exposition::OpenMetrics)].fetch_add(1, Relaxed);
        let seconds = took.as_secs_f64();
        let mut times = locked(&self.scrape_times);
        times.count += 1;
        times.sum += seconds;
        for (count, end) in times.counts.iter_mut().zip(BUCKETS) {
            *count += u64::from(seconds <= end);
        }
    }

    /// One of the kernel's files could not be read.
    pub fn read_error(&self, file: mutex_stats::File) {
        *locked(&self.read_errors).entry(file.name()).or_default() += 1;
    }

    /// Something was answered.
    pub fn answer(&self, status: u16) {
        *locked(&self.answers).entry(status).or_default() += 1;
    }

    /// Writes all of them, and how the parts fare.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn write_metrics(&self, metrics: &mut Metrics<'_>, parts: &Parts) -> io::Result<()> {
        let integer = |value: &AtomicU64| Number::Integer(value.load(Relaxed));
        let size = |value: &AtomicUsize| Number::Integer(value.load(Relaxed) as u64);

        metrics.family("mutexd_build_info", Kind::Gauge, "Which mutexd this is.")?;
        metrics.sample(&[("version", env!("CARGO_PKG_VERSION"))], Number::Integer(1))?;
        metrics.family("mutexd_part_state", Kind::Gauge, "1 for the state that a part is in.")?;
        for part in parts.iter() {
            let health = part.health();
            for state in State::ALL {
                let is = u64::from(state == health.state);
                let labels = [("part", part.name()), ("state", state.name())];
                metrics.sample(&labels, Number::Integer(is))?;
            }
        }

        metrics.family("mutexd_scrapes", Kind::Counter, "Scrapes that were answered.")?;
        for (scrapes, format) in self.scrapes.iter().zip(["prometheus", "openmetrics"]) {
            metrics.sample(&[("format", format)], integer(scrapes))?;
        }
        let help = "How long it took to gather what a scrape answers.";
        metrics.family("mutexd_scrape_duration_seconds", Kind::Histogram, help)?;
        {
            let times = locked(&self.scrape_times);
            let buckets: Vec<(f64, u64)> = BUCKETS.into_iter().zip(times.counts).collect();
            metrics.histogram(&[], &buckets, times.sum, times.count)?;
        }
        let help = "Times that one of the kernel's files could not be read.";
        metrics.family("mutexd_read_errors", Kind::Counter, help)?;
        for file in [mutex_stats::File::Stats, mutex_stats::File::Snapshot] {
            let errors = locked(&self.read_errors).get(file.name()).copied().unwrap_or(0);
            metrics.sample(&[("file", file.name())], Number::Integer(errors))?;
        }

        let help = "Connections to the HTTP interface that are open.";
        metrics.family("mutexd_http_connections", Kind::Gauge, help)?;
        metrics.sample(&[], size(&self.connections))?;
        let help = "Connections to the HTTP interface that were one too many.";
        metrics.family("mutexd_http_connections_refused", Kind::Counter, help)?;
        metrics.sample(&[], integer(&self.refused))?;
        metrics.family("mutexd_http_answers", Kind::Counter, "Answers by their status.")?;
        for (status, count) in locked(&self.answers).iter() {
            metrics.sample(&[("status", &status.to_string())], Number::Integer(*count))?;
        }
        metrics.family("mutexd_page_viewers", Kind::Gauge, "Who looks at the live page.")?;
        metrics.sample(&[], size(&self.viewers))?;

        let help = "Times that the configuration was read again.";
        metrics.family("mutexd_reloads", Kind::Counter, help)?;
        let results = [("success", &self.reloads), ("failure", &self.reload_errors)];
        for (result, count) in results {
            metrics.sample(&[("result", result)], integer(count))?;
        }
        process::write_metrics(metrics, self.started())
    }

    /// When the daemon started, in nanoseconds of Unix time.
    pub fn started(&self) -> u64 {
        let since = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}
