// SPDX-License-Identifier: MIT OR Apache-2.0

//! Asks all collectors.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;

use super::Collection;
use super::Collector;
use super::Metric;
use super::collection::Part;
use super::latest::Latest;
use crate::Clock;
use crate::SystemClock;
use crate::formats::Families;
use crate::formats::Kind;
use crate::formats::Number;
use crate::ticker::Ticker;

/// Why a monitor does not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is a collector of that name.
    #[error("there is a collector `{0}` already")]
    NameTaken(
        /// The name.
        String,
    ),
    /// It collects at an interval already.
    #[error("collection has been started already")]
    Running,
    /// The system has no thread for it.
    #[error("cannot start collection: {0}")]
    Thread(#[from] io::Error),
}

/// Asks collectors for their metrics: when it is told to, or at an interval. For as many threads as
/// there are; a collector that takes long holds up nobody but who collects.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use mutex_stats::formats::{Exposition, Families};
/// use mutex_stats::monitor::{Monitor, Requests, Resource};
///
/// let requests = Arc::new(Requests::new("http"));
/// let monitor = Monitor::new();
/// monitor.register(requests.clone())?;
/// monitor.register(Arc::new(Resource::new("host")))?;
/// monitor.start(Monitor::INTERVAL)?;
///
/// let pending = requests.begin();
/// pending.succeed();
///
/// monitor.stop();
/// let mut families = Families::new(Vec::new(), Exposition::Prometheus);
/// monitor.collect().write_metrics(&mut families)?;
/// let text = String::from_utf8(families.finish()?)?;
/// assert!(text.contains("mutex_requests_total{collector=\"http\"} 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Monitor {
    shared: Arc<Shared>,
    ticker: Mutex<Option<Ticker>>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    collectors: RwLock<BTreeMap<String, Arc<dyn Collector>>>,
    begun: AtomicU64,
    latest: Latest<Collection>,
    counts: Mutex<BTreeMap<String, Counts>>,
}

/// How a collector has fared.
#[derive(Clone, Copy, Default)]
struct Counts {
    collections: u64,
    errors: u64,
    took: Duration,
}

impl Default for Monitor {
    fn default() -> Self {
        Monitor::new()
    }
}

impl Monitor {
    /// How often is usual.
    pub const INTERVAL: Duration = Duration::from_secs(5);

    /// Without collectors.
    #[must_use]
    pub fn new() -> Self {
        Monitor::with_clock(Arc::new(SystemClock))
    }

    /// Without collectors; this clock says when a collection was made.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            clock,
            collectors: RwLock::default(),
            begun: AtomicU64::new(0),
            latest: Latest::default(),
            counts: Mutex::default(),
        };
        Monitor { shared: Arc::new(shared), ticker: Mutex::new(None) }
    }

    /// Asks this collector, too, from the next collection on.
    ///
    /// # Errors
    ///
    /// [`Error::NameTaken`].
    pub fn register(&self, collector: Arc<dyn Collector>) -> Result<(), Error> {
        let mut collectors = self.shared.collectors.write().unwrap_or_else(PoisonError::into_inner);
        match collectors.entry(collector.name().to_owned()) {
            Entry::Vacant(place) => drop(place.insert(collector)),
            Entry::Occupied(place) => return Err(Error::NameTaken(place.key().clone())),
        }
        Ok(())
    }

    /// Does not ask the collector of this name any more; whether there was one. A collection that has
    /// begun may ask it once more.
    pub fn unregister(&self, name: &str) -> bool {
        let mut collectors = self.shared.collectors.write().unwrap_or_else(PoisonError::into_inner);
        let removed = collectors.remove(name).is_some();
        drop(collectors);
        if removed {
            self.shared.counts().remove(name);
        }
        removed
    }

    /// Every collector's name with the names of all metrics that it can give.
    #[must_use]
    pub fn metric_names(&self) -> BTreeMap<String, Vec<String>> {
        let names = |collector: &Arc<dyn Collector>| {
            collector.metric_names().into_iter().map(str::to_owned).collect()
        };
        let collectors = self.shared.collectors();
        collectors.iter().map(|(name, collector)| (name.clone(), names(collector))).collect()
    }

    /// Asks all collectors now.
    #[must_use]
    pub fn collect(&self) -> Arc<Collection> {
        self.shared.collect()
    }

    /// The newest collection, by whoever collected; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Collection>> {
        self.shared.latest.get()
    }

    /// Collects now and at this interval, in a thread of its own, until it is stopped.
    ///
    /// # Errors
    ///
    /// [`Error::Running`], [`Error::Thread`].
    pub fn start(&self, interval: Duration) -> Result<(), Error> {
        let mut ticker = self.ticker();
        if ticker.is_some() {
            return Err(Error::Running);
        }
        let shared = self.shared.clone();
        let collect = move || drop(shared.collect());
        *ticker = Some(Ticker::start("monitor", Duration::ZERO, interval, collect)?);
        Ok(())
    }

    /// Stops collecting at an interval; whether it did. A collection that has begun is waited for.
    pub fn stop(&self) -> bool {
        let ticker = self.ticker().take();
        ticker.is_some()
    }

    /// Whether it collects at an interval.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.ticker().is_some()
    }

    fn ticker(&self) -> MutexGuard<'_, Option<Ticker>> {
        self.ticker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the newest collection, a new one if it does not collect at an interval, and how the
    /// collectors fare.
    ///
    /// # Errors
    ///
    /// Whatever `families` gives.
    pub fn write_metrics<W: Write>(&self, families: &mut Families<W>) -> io::Result<()> {
        let latest = self.latest().filter(|_| self.is_running());
        let collection = latest.unwrap_or_else(|| self.collect());
        collection.write_metrics(families)?;
        let counts = self.shared.counts().clone();
        let counter = Kind::Counter;
        families.family("mutex_monitor_collections", counter, "How often it was asked.")?;
        for (name, counts) in &counts {
            families.sample(&[("collector", name)], Number::Integer(counts.collections))?;
        }
        families.family("mutex_monitor_errors", counter, "How often it had nothing to give.")?;
        for (name, counts) in &counts {
            families.sample(&[("collector", name)], Number::Integer(counts.errors))?;
        }
        let help = "How long it took the last time.";
        families.family("mutex_monitor_duration_seconds", Kind::Gauge, help)?;
        for (name, counts) in &counts {
            let ns = u64::try_from(counts.took.as_nanos()).unwrap_or(u64::MAX);
            families.sample(&[("collector", name)], Number::Nanoseconds(ns))?;
        }
        Ok(())
    }
}

impl Shared {
    fn collectors(&self) -> BTreeMap<String, Arc<dyn Collector>> {
        self.collectors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collect(&self) -> Arc<Collection> {
        // What begins later is newer, whichever ends first.
        let number = self.begun.fetch_add(1, Relaxed) + 1;
        let time_ns = self.clock.unix_ns();
        let mut parts = Vec::new();
        for (name, collector) in self.collectors() {
            let began = Instant::now();
            let result = ask(&*collector);
            let took = began.elapsed();
            // One that was taken out meanwhile is not counted again.
            if self.collectors.read().unwrap_or_else(PoisonError::into_inner).contains_key(&name) {
                let mut counts = self.counts();
                let counts = counts.entry(name.clone()).or_default();
                counts.collections += 1;
                counts.errors += u64::from(result.is_err());
                counts.took = took;
            }
            parts.push(Part { collector: name, took, result });
        }
        let collection = Arc::new(Collection { number, time_ns, parts });
        self.latest.put(number, collection.clone());
        collection
    }
}

/// What a collector gives, if somebody can read it.
fn ask(collector: &dyn Collector) -> Result<Vec<Metric>, String> {
    // One that panics does not take the others with it.
    let collected = catch_unwind(AssertUnwindSafe(|| collector.collect()));
    let metrics = match collected {
        Ok(Ok(metrics)) => metrics,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(String::from("it panicked")),
    };
    for (place, metric) in metrics.iter().enumerate() {
        metric.check()?;
        if metrics.iter().take(place).any(|other| other.name == metric.name) {
            return Err(format!("{} comes twice", metric.name));
        }
    }
    Ok(metrics)
}
