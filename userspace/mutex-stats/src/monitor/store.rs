// SPDX-License-Identifier: MIT OR Apache-2.0

//! Something that keeps items.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::CollectError;
use super::Collector;
use super::HISTORY;
use super::Metric;
use super::samples::Durations;
use super::window::Window;
use super::window::share;
use crate::Clock;
use crate::SystemClock;
use crate::formats::Kind;
use crate::formats::Number;

/// A store of an application: its cache, how long reading and writing take, batches, compression and
/// size.
pub struct Store {
    name: String,
    clock: Arc<dyn Clock>,
    hits: AtomicU64,
    misses: AtomicU64,
    reads: Durations,
    writes: Durations,
    batches: AtomicU64,
    batch_items: AtomicU64,
    batch_rate: Window<u64>,
    items: AtomicU64,
    bytes: AtomicU64,
    capacity: AtomicU64,
    /// The bits of a floating-point number.
    compression: AtomicU64,
}

impl Store {
    /// A collector of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Store::with(name, HISTORY, Arc::new(SystemClock))
    }

    /// A collector that keeps so many times of reading and of writing, and goes by this clock.
    pub fn with(name: impl Into<String>, history: usize, clock: Arc<dyn Clock>) -> Self {
        let zero = || AtomicU64::new(0);
        Store {
            name: name.into(),
            hits: zero(),
            misses: zero(),
            reads: Durations::new(history),
            writes: Durations::new(history),
            batches: zero(),
            batch_items: zero(),
            batch_rate: Window::new(clock.monotonic(), 0),
            items: zero(),
            bytes: zero(),
            capacity: zero(),
            compression: AtomicU64::new(f64::NAN.to_bits()),
            clock,
        }
    }

    /// Something was in the cache.
    pub fn cache_hit(&self) {
        self.hits.fetch_add(1, Relaxed);
    }

    /// Something was not in the cache.
    pub fn cache_miss(&self) {
        self.misses.fetch_add(1, Relaxed);
    }

    /// Something was read, which took so long.
    pub fn read(&self, took: Duration) {
        self.reads.add(took);
    }

    /// Something was written, which took so long.
    pub fn write(&self, took: Duration) {
        self.writes.add(took);
    }

    /// So many items were written or read together.
    pub fn batch(&self, items: u64) {
        self.batches.fetch_add(1, Relaxed);
        self.batch_items.fetch_add(items, Relaxed);
    }

    /// So many items are there.
    pub fn set_items(&self, items: u64) {
        self.items.store(items, Relaxed);
    }

    /// They take so many bytes, of so many that may be taken.
    pub fn set_size(&self, bytes: u64, capacity: u64) {
        self.bytes.store(bytes, Relaxed);
        self.capacity.store(capacity, Relaxed);
    }

    /// What is stored has this share of its size before it was compressed.
    pub fn set_compression_ratio(&self, ratio: f64) {
        self.compression.store(ratio.to_bits(), Relaxed);
    }
}

impl Collector for Store {
    fn name(&self) -> &str {
        &self.name
    }

    fn metric_names(&self) -> Vec<&str> {
        vec![
            "mutex_store_cache_lookups",
            "mutex_store_cache_hit_ratio",
            "mutex_store_read_seconds",
            "mutex_store_read_recent_seconds",
            "mutex_store_write_seconds",
            "mutex_store_write_recent_seconds",
            "mutex_store_batches",
            "mutex_store_batch_items",
            "mutex_store_batches_per_second",
            "mutex_store_items",
            "mutex_store_size_bytes",
            "mutex_store_capacity_bytes",
            "mutex_store_compression_ratio",
        ]
    }

    fn collect(&self) -> Result<Vec<Metric>, CollectError> {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let gauge = |name, help, value| Metric::gauge(name, help, Number::Integer(value));
        let (hits, misses, batches) = (read(&self.hits), read(&self.misses), read(&self.batches));
        let mut metrics = vec![
            Metric::new("mutex_store_cache_lookups", Kind::Counter, "Looks into the cache.")
                .sample(&[("result", "hit")], Number::Integer(hits))
                .sample(&[("result", "miss")], Number::Integer(misses)),
            Metric::gauge(
                "mutex_store_cache_hit_ratio",
                "What was in the cache, of all that was looked for.",
                Number::Float(share(hits, hits.saturating_add(misses))),
            ),
        ];
        metrics.extend(self.reads.metrics(
            ["mutex_store_read_seconds", "mutex_store_read_recent_seconds"],
            ["How long reading took.", "How long the last readings took."],
        ));
        metrics.extend(self.writes.metrics(
            ["mutex_store_write_seconds", "mutex_store_write_recent_seconds"],
            ["How long writing took.", "How long the last writings took."],
        ));
        metrics.extend([
            Metric::counter("mutex_store_batches", "Batches.", batches),
            Metric::counter(
                "mutex_store_batch_items",
                "Items in batches.",
                read(&self.batch_items),
            ),
            Metric::gauge(
                "mutex_store_batches_per_second",
                "Batches in a second, of the last ten.",
                Number::Float(self.batch_rate.rate(self.clock.monotonic(), batches)),
            ),
            gauge("mutex_store_items", "Items that are there.", read(&self.items)),
            gauge("mutex_store_size_bytes", "What they take.", read(&self.bytes)),
            gauge("mutex_store_capacity_bytes", "What they may take.", read(&self.capacity)),
        ]);
        let compression = f64::from_bits(read(&self.compression));
        let help = "Size when stored, of the size before.";
        let metric = Metric::new("mutex_store_compression_ratio", Kind::Gauge, help);
        metrics.push(if compression.is_nan() {
            metric
        } else {
            metric.sample(&[], Number::Float(compression))
        });
        Ok(metrics)
    }
}
