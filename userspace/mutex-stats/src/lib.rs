// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads what the MUTEX kernel module counts, checks it, and writes it in other formats.
//!
//! The kernel hands out an *image*: the binary content of `/proc/mutex/snapshot`, specified by
//! `include/mutex.h`. A snapshot file holds the same bytes.
//!
//! - [`Proc`] opens the kernel's files; [`Ahead`] reads while what was read is worked on.
//! - [`Reader`] checks an image as it streams by; [`visit`] hands its blocks to a [`Visitor`].
//! - [`formats`] and [`Audit`] are visitors: they need no more memory than a block at a time
//!   (what [`Audit`] needs beyond that it says).
//! - [`Selection`] keeps the records that a [`Filter`] fits, by a [`Sort`], with their owners;
//!   [`Column`] shows their fields, [`Aggregate`] adds them up, [`Diff`] compares two images.
//! - [`Events`] is a monitor: what happens, as it happens. [`Mapping`] shows the live records.
//! - [`reporter`] calls whoever is registered for each packet, and meters connections.
//! - [`Recorder`] appends images to a [`Recording`].
//! - [`Image`] is a whole image in memory, to look around in and to write one with.
//! - [`diagnostics`] records what happens to peers; [`monitor`] watches how programs perform.
//! - [`Writer`] makes images, [`Stats`] and [`Columns`] understand the kernel's text.
//!
//! ```
//! use mutex_stats::{Audit, Image, visit};
//!
//! let mut file = Vec::new();
//! Image::default().write(&mut file)?;
//!
//! let mut audit = Audit::default();
//! visit(file.as_slice(), &mut audit)?;
//! assert!(audit.report().expect("the image is not filtered").balanced());
//! # Ok::<(), mutex_stats::Error>(())
//! ```
//!
//! Units: times are nanoseconds, of the Unix epoch unless they say otherwise; sizes and traffic
//! are bytes; traffic is as on the wire. Counters are never rounded.

mod aggregate;
mod ahead;
mod audit;
mod block;
mod clock;
mod column;
mod columns;
pub mod diagnostics;
mod diff;
mod error;
mod events;
mod fields;
mod filter;
pub mod formats;
mod holders;
mod image;
mod load;
pub mod local_socket;
mod mapping;
mod memory;
#[cfg(feature = "monitor")]
pub mod monitor;
mod order;
mod owned;
mod printable;
mod proc;
mod reader;
mod recording;
mod records;
pub mod reporter;
mod selection;
mod settings;
mod stats;
mod stop;
mod summary;
mod sync;
mod ticker;
mod visitor;
mod writer;

pub use aggregate::Aggregate;
pub use aggregate::Group;
pub use aggregate::Key;
pub use aggregate::Of;
pub use ahead::Ahead;
pub use audit::Audit;
pub use audit::Line;
pub use audit::Report;
pub use block::Block;
pub use block::Part;
pub use block::Records;
pub use clock::Clock;
pub use clock::ManualClock;
pub use clock::SystemClock;
pub use column::Cell;
pub use column::Column;
pub use column::Sort;
pub use column::SortKey;
pub use columns::Columns;
pub use diff::Change;
pub use diff::Diff;
pub use error::Error;
pub use error::Place;
pub use events::Decoder;
pub use events::Event;
pub use events::Events;
pub use events::Happening;
pub use fields::Fields;
pub use fields::Value;
pub use filter::Filter;
pub use filter::Filtered;
pub use holders::Holder;
pub use holders::Holders;
pub use image::Image;
pub use image::directions;
pub use load::Load;
pub use mapping::LiveConnection;
pub use mapping::Mapping;
pub use mutex_core::config::Setting;
pub use order::Kind;
pub use owned::HeldFd;
pub use owned::OwnedConnection;
pub use owned::Owner;
pub use printable::is_printable;
pub use printable::printable;
pub use proc::File;
pub use proc::Proc;
pub use reader::MAX_BLOCK;
pub use reader::Reader;
pub use recording::Cut;
pub use recording::Recorded;
pub use recording::Recorder;
pub use recording::Recording;
pub use recording::Retention;
pub use recording::is_recording;
pub use records::*;
pub use selection::Selection;
pub use settings::Set;
pub use settings::check_settings;
pub use settings::parse_settings;
pub use stats::Stats;
pub use summary::Metrics;
pub use summary::Summary;
pub use visitor::Visitor;
pub use visitor::visit;
pub use writer::Writer;

/// The version that JSON and CSV exports name first. It changes when a name or a meaning does, not
/// when something is added.
pub const SCHEMA_VERSION: u32 = 1;
