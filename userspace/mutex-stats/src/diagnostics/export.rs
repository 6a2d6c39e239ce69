// SPDX-License-Identifier: MIT OR Apache-2.0

//! Events as a file.

use std::io;
use std::io::Write;
use std::sync::Arc;

use serde_json::json;

use super::Kept;
use super::Statistics;
use crate::SCHEMA_VERSION;

/// What an export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// One object: `schema_version`, `time_ns`, `statistics`, `events`.
    Json,
    /// An event a line, each with `schema_version` first.
    JsonLines,
}

impl ExportFormat {
    /// All of them.
    pub const ALL: [ExportFormat; 2] = [ExportFormat::Json, ExportFormat::JsonLines];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ExportFormat::Json => "json",
            ExportFormat::JsonLines => "jsonl",
        }
    }
}

impl std::str::FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = ExportFormat::ALL.into_iter().find(|format| format.name() == text);
        known.ok_or_else(|| String::from("there is no such format; there are json, jsonl"))
    }
}

pub(super) fn write(
    mut output: impl Write,
    format: ExportFormat,
    time_ns: u64,
    statistics: &Statistics,
    events: &[Arc<Kept>],
) -> io::Result<()> {
    if format == ExportFormat::Json {
        let statistics = statistics.to_json();
        write!(output, "{{\n\"schema_version\":{SCHEMA_VERSION},\n\"time_ns\":{time_ns},\n")?;
        write!(output, "\"statistics\":{statistics},\n\"events\":[")?;
    }
    for (number, kept) in events.iter().enumerate() {
        let object = kept.to_json();
        match format {
            ExportFormat::Json => {
                let separator = if number > 0 { ",\n" } else { "\n" };
                write!(output, "{separator}{object}")?;
            }
            ExportFormat::JsonLines => {
                let text = object.to_string();
                let members = text.strip_prefix('{').unwrap_or_default();
                writeln!(output, "{{\"schema_version\":{SCHEMA_VERSION},{members}")?;
            }
        }
    }
    if format == ExportFormat::Json {
        output.write_all(if events.is_empty() { b"]\n}\n" } else { b"\n]\n}\n" })?;
    }
    output.flush()
}

/// An answer about `events` that is not longer than `limit` bytes: the oldest are left out.
pub(super) fn bounded(events: &[Arc<Kept>], limit: usize) -> serde_json::Value {
    let mut texts = Vec::new();
    let mut size = 0;
    for kept in events.iter().rev() {
        let object = kept.to_json();
        size += object.to_string().len() + 1;
        if size > limit {
            break;
        }
        texts.push(object);
    }
    texts.reverse();
    json!({"left_out": events.len() - texts.len(), "events": texts})
}
