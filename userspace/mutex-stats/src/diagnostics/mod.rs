// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records what happens to peers, and says whether all is well.
//!
//! A [`Recorder`] keeps the last [events](Entry) within bounds, counts all of them, and checks its
//! [`Health`]. [`KernelFeed`] hands it what the kernel module says; other programs do so over a local
//! socket: a [`Client`] there, a [`Listener`] here. [`Upkeep`] does what has to be done from time to
//! time. `docs/DIAGNOSTICS.md` describes the protocol of the socket.

mod client;
mod entry;
mod error;
mod export;
mod health;
mod kernel;
mod listener;
mod metrics;
mod network;
mod peers;
mod protocol;
mod recorder;
mod settings;
mod severity;
mod statistics;
mod upkeep;

pub use client::Client;
pub use entry::Entry;
pub use entry::EntryKind;
pub use entry::Kept;
pub use entry::Metadata;
pub use entry::Source;
pub use entry::Way;
pub use error::Error;
pub use export::ExportFormat;
pub use health::Health;
pub use health::HealthStatus;
pub use kernel::KernelFeed;
pub use listener::Listener;
pub use listener::ListenerSettings;
pub use listener::ListenerStatistics;
pub use network::NetworkHealth;
pub use network::NetworkLimits;
pub use recorder::Query;
pub use recorder::Recorder;
pub use settings::HealthSettings;
pub use settings::Settings;
pub use severity::Severity;
pub use statistics::Counts;
pub use statistics::Statistics;
pub use upkeep::Upkeep;
