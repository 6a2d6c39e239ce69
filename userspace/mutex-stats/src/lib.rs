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
//! - [`Image`] is a whole image in memory, to look around in and to write one with.
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

#![forbid(unsafe_code)]

mod ahead;
mod audit;
mod block;
mod columns;
mod error;
mod fields;
pub mod formats;
mod image;
mod order;
mod proc;
mod reader;
mod records;
mod stats;
mod visitor;
mod writer;

pub use ahead::Ahead;
pub use audit::Audit;
pub use audit::Line;
pub use audit::Report;
pub use block::Block;
pub use block::Part;
pub use block::Records;
pub use columns::Columns;
pub use error::Error;
pub use error::Place;
pub use fields::Fields;
pub use fields::Value;
pub use image::Image;
pub use order::Kind;
pub use proc::File;
pub use proc::Proc;
pub use reader::MAX_BLOCK;
pub use reader::Reader;
pub use records::*;
pub use stats::Stats;
pub use visitor::Visitor;
pub use visitor::visit;
pub use writer::Writer;

/// The version that JSON and CSV exports name first. It changes when a name or a meaning does, not
/// when something is added.
pub const SCHEMA_VERSION: u32 = 1;
