// SPDX-License-Identifier: MIT OR Apache-2.0

//! Keeps what the MUTEX kernel module counts over time, in an `SQLite` database.
//!
//! - [`Snapshot`] takes an image; [`History::record`] compares it with the one before it and writes
//!   what happened in between, as finely as [`Settings`] say, in one transaction: what is confirmed is
//!   on the disk, in all [`Tier`]s alike, so that the sums of a coarse row are exactly those of its
//!   fine ones.
//! - Of the host there are sums of all counters, gauges and distributions of latency, of which the
//!   percentiles of any stretch of time can be had ([`Sums`]). Of connections there are groups by a few
//!   keys, the largest and all others, which together are exactly the host ([`GroupRow`]).
//! - Counters that begin anew because the module was loaded anew, and a clock that is set, make no
//!   wrong sums; they are a [`Finding`], and so is a value that is far from what it was.
//! - [`Reader`] answers questions, while somebody writes, too.
//!
//! ```
//! use std::time::Duration;
//!
//! use mutex_history::{History, Range, Settings, Snapshot};
//! use mutex_stats::{Image, visit};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("history.db");
//! let mut history = History::open(&path, Settings::default())?;
//! # let mut image = Image::default();
//! for second in 1..4 {
//!     // Of a real host: Proc::default().open(File::Snapshot)?
//!     # image.header.time_ns = 1_790_000_000_000_000_000 + second * 1_000_000_000;
//!     # image.header.boottime_ns = second * 1_000_000_000;
//!     # image.status.uptime_ns = second * 1_000_000_000;
//!     # image.totals_after.sent.bytes = second * 500;
//!     # let mut file = Vec::new();
//!     # image.write(&mut file)?;
//!     let mut snapshot = Snapshot::default();
//!     visit(file.as_slice(), &mut snapshot)?;
//!     for finding in history.record(&snapshot)? {
//!         println!("{}: {}", finding.kind, finding.reason);
//!     }
//! }
//!
//! let minutes = Range { step: Duration::from_secs(60), ..Range::default() };
//! let rows = history.reader()?.host(&minutes)?;
//! assert_eq!(rows[0].sums.counter("sent_bytes"), Some(1000));
//! assert_eq!(rows[0].sums.rate("sent_bytes"), Some(500.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod database;
mod error;
mod finding;
mod groups;
mod history;
mod interval;
mod latency;
mod metrics;
mod reader;
mod retention;
mod series;
mod settings;
mod snapshot;
mod unusual;

pub use error::Error;
pub use error::Result;
pub use finding::Finding;
pub use finding::FindingKind;
pub use groups::GroupOf;
pub use history::History;
pub use history::State;
pub use latency::Latency;
pub use reader::AlertRow;
pub use reader::GroupRow;
pub use reader::HostRow;
pub use reader::Range;
pub use reader::Reader;
pub use series::COUNTERS;
pub use series::Counters;
pub use series::GAUGES;
pub use series::GROUP_COUNTERS;
pub use series::Gauge;
pub use series::GroupCounters;
pub use series::Sums;
pub use settings::Settings;
pub use settings::Tier;
pub use settings::Unusual;
pub use snapshot::Snapshot;
pub use unusual::Score;
