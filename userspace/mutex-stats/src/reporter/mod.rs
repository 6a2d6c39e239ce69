// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls whoever is registered for each packet, and for the start and the end of connections.
//!
//! - A [`Reporter`] is what is called: implement it, or take [`Metering`], which keeps a meter a
//!   connection and logs it.
//! - A [`Registry`] has reporters by their [`Guid`]s.
//! - A [`Feed`] takes events from the kernel and calls the reporters that a [`Selection`], which a
//!   configuration can name, selects. It has the kernel's monitor open only while there is somebody
//!   to call: otherwise packets go by without looking for monitors (`packet_monitors` of
//!   `/proc/mutex/stats` is 0), and nothing happens on their path.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mutex_stats::Proc;
//! use mutex_stats::reporter::{Feed, Guid, Metering, Registry, Selection};
//!
//! let guid: Guid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse()?;
//! let metering = Arc::new(Metering::new(|entry| println!("{entry}")));
//! let registry = Registry::new();
//! registry.register(guid, Arc::clone(&metering) as _)?;
//!
//! let setting = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
//! let selection: Selection = setting.parse()?;
//! let mut feed = Feed::new(Proc::default(), &registry, selection, "protocol=udp")?;
//! let logging = metering.log_every(Duration::from_secs(10));
//! for _ in 0..60 {
//!     let progress = feed.step(Some(Duration::from_secs(1)))?;
//!     if progress.lost > 0 {
//!         eprintln!("{} events were lost", progress.lost);
//!     }
//! }
//! logging.stop();
//! registry.unregister(guid)?;
//! metering.close();
//! # Ok::<(), mutex_stats::Error>(())
//! ```
//!
//! Units: bytes are IP bytes on the wire, headers included; times are nanoseconds of Unix time.

mod connection;
mod feed;
mod guid;
mod meter;
mod metering;
mod registry;
mod tracker;

pub use connection::ConnectionId;
pub use connection::Endpoint;
pub use feed::Feed;
pub use feed::Progress;
pub use guid::Guid;
pub use meter::Amount;
pub use meter::Entry;
pub use meter::Logged;
pub use meter::Metadata;
pub use meter::Reading;
pub use metering::Logging;
pub use metering::Metering;
pub use registry::Registry;
pub use registry::Selection;

use crate::Direction;
use crate::Protocol;
use crate::Traffic;

/// What is called for packets and connections.
///
/// Calls may come from several threads at once: one feed makes its calls one after another, but there
/// can be many feeds, and programs that call by themselves. A call should be short, since events are
/// lost when nobody takes them in time: count with atomics, and leave blocking and writing to others.
///
/// For one connection a feed calls in the order start, packets, total, end. Only packets come for
/// certain: whoever is registered later than a connection began is not told of its start, and a start or
/// an end can be among what was lost. An end that was lost is made up for. When a connection takes
/// the place of one between the same ends, that one ends first.
///
/// The source is the local end or, of what is forwarded, the initiator, whichever way a packet went.
/// Both ends of a connection on this host, over the loopback device or between two namespaces, are
/// connections of their own: each packet of theirs is reported as sent by one and as received by
/// the other.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// use mutex_stats::reporter::{Endpoint, Reporter};
/// use mutex_stats::{Direction, Protocol};
///
/// #[derive(Default)]
/// struct SentByUdp(AtomicU64);
///
/// impl Reporter for SentByUdp {
///     fn on_packet(
///         &self,
///         protocol: Protocol,
///         direction: Direction,
///         _source: &Endpoint,
///         _destination: &Endpoint,
///         bytes: u64,
///     ) {
///         if protocol == Protocol(17) && direction.is_sent() {
///             self.0.fetch_add(bytes, Relaxed);
///         }
///     }
/// }
/// ```
pub trait Reporter: Send + Sync {
    /// A packet passed: sent from `source` to `destination`, or received by `source` from
    /// `destination`. A GSO or GRO super-packet is one call, with the bytes of all its segments.
    fn on_packet(
        &self,
        protocol: Protocol,
        direction: Direction,
        source: &Endpoint,
        destination: &Endpoint,
        bytes: u64,
    );

    /// A connection begins; its first packet is about to be told.
    fn on_connection_start(&self, protocol: Protocol, source: &Endpoint, destination: &Endpoint) {
        let _ = (protocol, source, destination);
    }

    /// What a connection, which is about to end, has moved in all, as the kernel counted it: exact
    /// whatever was lost or left out by `sample`. Only for connections that this reporter was registered
    /// for when they began.
    fn on_connection_total(
        &self,
        protocol: Protocol,
        source: &Endpoint,
        destination: &Endpoint,
        sent: &Traffic,
        received: &Traffic,
    ) {
        let _ = (protocol, source, destination, sent, received);
    }

    /// A connection is over. The kernel tells it when nothing can be added any more, which is
    /// `timeout_closed` (see `/proc/mutex/config`) after it ended.
    fn on_connection_end(&self, protocol: Protocol, source: &Endpoint, destination: &Endpoint) {
        let _ = (protocol, source, destination);
    }

    /// So many events were lost, because calls took too long. Of which connections is not known.
    fn on_lost(&self, events: u64) {
        let _ = events;
    }
}
