// SPDX-License-Identifier: MIT OR Apache-2.0

//! The formats that an image can be written in. Each is a [`Visitor`](crate::Visitor), and writes
//! as the image streams by.

mod binary;
mod bytes;
mod csv;
mod families;
mod json;
mod json_lines;
mod metrics;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;
mod stream;

pub use binary::Binary;
pub use csv::Csv;
pub use csv::Table;
pub use families::Exposition;
pub use families::Families;
pub use families::Kind;
pub use families::Number;
pub use json::Json;
pub use json::Section;
pub use json::stats_as_json;
pub use json_lines::JsonLines;
pub use json_lines::event_as_json;
pub use metrics::write_metrics;
#[cfg(feature = "parquet")]
pub use parquet::Parquet;
#[cfg(feature = "parquet")]
pub use parquet::ParquetRows;
#[cfg(feature = "parquet")]
pub use parquet::ParquetTable;
pub use rows::RowFormat;
pub use rows::RowNames;
pub use rows::Rows;
pub use stream::StreamFormat;
