// SPDX-License-Identifier: MIT OR Apache-2.0

//! The formats that an image can be written in. Each is a [`Visitor`](crate::Visitor), and writes
//! as the image streams by.

mod binary;
mod bytes;
mod csv;
mod json;

pub use binary::Binary;
pub use csv::Csv;
pub use csv::Table;
pub use json::Json;
pub use json::Section;
pub use json::stats_as_json;
