// SPDX-License-Identifier: MIT OR Apache-2.0

//! Watches how a program and its host perform.
//!
//! A [`Monitor`] asks [`Collector`]s for [`Metric`]s, when it is told to or at an interval. Ready ones
//! are [`Requests`] and [`Store`], which an application tells what it does; [`Network`], the kernel
//! module's numbers; [`Transport`], the network as an application sees it; and [`Resource`], what the
//! host and this process use. Anything else is a collector of one's own.
//!
//! Histograms and counters are of all time. What is called recent is of the last values, 1000 unless
//! somebody says otherwise, and exact on these: percentiles are by nearest rank ([`percentile`]).

mod collection;
mod collector;
mod latest;
mod metric;
mod network;
mod registry;
mod requests;
mod resource;
mod samples;
mod store;
mod tally;
mod transport;
mod window;

pub use collection::Collection;
pub use collection::Part;
pub use collector::CollectError;
pub use collector::Collector;
pub use metric::Histogram;
pub use metric::Metric;
pub use metric::Sample;
pub use metric::Value;
pub use network::Network;
pub use registry::Error;
pub use registry::Monitor;
pub use requests::Pending;
pub use requests::Requests;
pub use resource::Resource;
pub use samples::HISTORY;
pub use samples::Samples;
pub use samples::Spread;
pub use samples::percentile;
pub use store::Store;
pub use transport::Transport;
pub use transport::TransportSettings;
