// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests and what is exchanged for them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::CollectError;
use super::Collector;
use super::HISTORY;
use super::Metric;
use super::samples::Durations;
use super::tally::Tally;
use super::window::Window;
use super::window::share;
use crate::Clock;
use crate::SystemClock;
use crate::formats::Kind;
use crate::formats::Number;

/// Requests of an application: how many, how fast, how many fail; and the items that are sent and
/// received for them.
pub struct Requests {
    name: String,
    clock: Arc<dyn Clock>,
    tally: Tally,
    rate: Window<u64>,
    durations: Durations,
    active_connections: AtomicU64,
    queued: AtomicU64,
    items_sent: AtomicU64,
    items_received: AtomicU64,
    items_duplicate: AtomicU64,
}

/// A request that is under way. When it is dropped without an end, it has failed.
pub struct Pending<'a> {
    requests: &'a Requests,
    began: Duration,
    is_over: bool,
}

impl Pending<'_> {
    /// It was answered.
    pub fn succeed(mut self) {
        self.end(false);
    }

    /// It was not answered, or with an error.
    pub fn fail(self) {
        drop(self);
    }

    fn end(&mut self, has_failed: bool) {
        self.is_over = true;
        let took = self.requests.clock.monotonic().saturating_sub(self.began);
        self.requests.response(took, !has_failed);
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(true);
        }
    }
}

impl Requests {
    /// A collector of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Requests::with(name, HISTORY, Arc::new(SystemClock))
    }

    /// A collector that keeps so many response times, and goes by this clock.
    pub fn with(name: impl Into<String>, history: usize, clock: Arc<dyn Clock>) -> Self {
        Requests {
            name: name.into(),
            tally: Tally::default(),
            rate: Window::new(clock.monotonic(), 0),
            durations: Durations::new(history),
            active_connections: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            items_sent: AtomicU64::new(0),
            items_received: AtomicU64::new(0),
            items_duplicate: AtomicU64::new(0),
            clock,
        }
    }

    /// A request begins, and will be told to have an end.
    #[must_use]
    pub fn begin(&self) -> Pending<'_> {
        self.request();
        Pending { requests: self, began: self.clock.monotonic(), is_over: false }
    }

    /// A request begins.
    pub fn request(&self) {
        self.tally.begin();
    }

    /// A request that has begun is over, after so long, well or not.
    pub fn response(&self, took: Duration, has_succeeded: bool) {
        self.durations.add(took);
        self.tally.end(!has_succeeded);
    }

    /// An item was sent.
    pub fn item_sent(&self) {
        self.items_sent.fetch_add(1, Relaxed);
    }

    /// An item was received, which was there already if it is a duplicate.
    pub fn item_received(&self, is_duplicate: bool) {
        if is_duplicate {
            self.items_duplicate.fetch_add(1, Relaxed);
        }
        self.items_received.fetch_add(1, Relaxed);
    }

    /// So many connections are open.
    pub fn set_active_connections(&self, connections: u64) {
        self.active_connections.store(connections, Relaxed);
    }

    /// So many requests wait.
    pub fn set_queued(&self, requests: u64) {
        self.queued.store(requests, Relaxed);
    }
}

impl Collector for Requests {
    fn name(&self) -> &str {
        &self.name
    }

    fn metric_names(&self) -> Vec<&str> {
        vec![
            "mutex_requests",
            "mutex_requests_per_second",
            "mutex_requests_response_time_seconds",
            "mutex_requests_response_time_recent_seconds",
            "mutex_requests_in_flight",
            "mutex_requests_active_connections",
            "mutex_requests_queued",
            "mutex_requests_items",
            "mutex_requests_items_duplicate",
            "mutex_requests_errors",
            "mutex_requests_error_ratio",
        ]
    }

    fn collect(&self) -> Result<Vec<Metric>, CollectError> {
        let counted = self.tally.copy();
        let rate = self.rate.rate(self.clock.monotonic(), counted.begun);
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let gauge = |name, help, value| Metric::gauge(name, help, Number::Integer(value));
        let [histogram, recent] = self.durations.metrics(
            ["mutex_requests_response_time_seconds", "mutex_requests_response_time_recent_seconds"],
            ["How long requests took.", "How long the last requests took."],
        );
        Ok(vec![
            Metric::counter("mutex_requests", "Requests.", counted.begun),
            Metric::gauge(
                "mutex_requests_per_second",
                "Requests in a second, of the last ten.",
                Number::Float(rate),
            ),
            histogram,
            recent,
            gauge("mutex_requests_in_flight", "Requests that are not over.", counted.under_way),
            gauge(
                "mutex_requests_active_connections",
                "Connections that are open.",
                read(&self.active_connections),
            ),
            gauge("mutex_requests_queued", "Requests that wait.", read(&self.queued)),
            Metric::new("mutex_requests_items", Kind::Counter, "Items exchanged.")
                .sample(&[("direction", "sent")], Number::Integer(read(&self.items_sent)))
                .sample(&[("direction", "received")], Number::Integer(read(&self.items_received))),
            Metric::counter(
                "mutex_requests_items_duplicate",
                "Items received that were there already.",
                read(&self.items_duplicate),
            ),
            Metric::counter("mutex_requests_errors", "Requests that failed.", counted.failed),
            Metric::gauge(
                "mutex_requests_error_ratio",
                "Requests that failed, of those that are over.",
                Number::Float(share(counted.failed, counted.done)),
            ),
        ])
    }
}
