// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where metrics come from.

use super::Metric;

/// Why a collector has nothing to give.
pub type CollectError = Box<dyn std::error::Error + Send + Sync>;

/// Gives metrics when it is asked, from any thread, and from several at once.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use mutex_stats::monitor::{CollectError, Collector, Metric, Monitor};
///
/// #[derive(Default)]
/// struct Orders(AtomicU64);
///
/// impl Collector for Orders {
///     fn name(&self) -> &str {
///         "orders"
///     }
///
///     fn metric_names(&self) -> Vec<&str> {
///         vec!["shop_orders"]
///     }
///
///     fn collect(&self) -> Result<Vec<Metric>, CollectError> {
///         let orders = self.0.load(Ordering::Relaxed);
///         Ok(vec![Metric::counter("shop_orders", "Orders taken.", orders)])
///     }
/// }
///
/// let orders = Arc::new(Orders::default());
/// let monitor = Monitor::new();
/// monitor.register(orders.clone())?;
/// orders.0.fetch_add(3, Ordering::Relaxed);
/// let collection = monitor.collect();
/// assert_eq!(collection.metric("orders", "shop_orders").unwrap().samples.len(), 1);
/// # Ok::<(), mutex_stats::monitor::Error>(())
/// ```
pub trait Collector: Send + Sync {
    /// What it is called: the value of the label `collector` of all that it gives. It stays the same.
    fn name(&self) -> &str;

    /// The names of all metrics that it can give.
    fn metric_names(&self) -> Vec<&str>;

    /// What there is to say now.
    ///
    /// # Errors
    ///
    /// Its own; the monitor counts them and goes on with the other collectors.
    fn collect(&self) -> Result<Vec<Metric>, CollectError>;
}
