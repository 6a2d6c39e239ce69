// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a history fares, as metrics.

use std::io;
use std::io::Write;

use mutex_stats::formats::Families;
use mutex_stats::formats::Kind;
use mutex_stats::formats::Number;

use crate::State;

impl State {
    /// Writes how it fares.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn write_metrics<W: Write>(&self, families: &mut Families<W>) -> io::Result<()> {
        let State {
            recorded,
            stale,
            written,
            errors,
            findings,
            removed,
            begun_anew,
            last_ns,
            bytes,
            ..
        } = self;
        let mut one = |name, kind, help, number| {
            families.family(name, kind, help)?;
            families.sample(&[], number)
        };
        let counter = |number: &u64| Number::Integer(*number);
        one(
            "mutex_history_snapshots_recorded",
            Kind::Counter,
            "Snapshots that were recorded.",
            counter(recorded),
        )?;
        one(
            "mutex_history_snapshots_stale",
            Kind::Counter,
            "Snapshots that were no newer than the one before.",
            counter(stale),
        )?;
        one(
            "mutex_history_rows_written",
            Kind::Counter,
            "Rows that were made, changed or replaced.",
            counter(written),
        )?;
        one("mutex_history_errors", Kind::Counter, "Attempts that failed.", counter(errors))?;
        one(
            "mutex_history_findings",
            Kind::Counter,
            "Findings: unusual values, module loaded anew, clock set.",
            counter(findings),
        )?;
        one(
            "mutex_history_rows_removed",
            Kind::Counter,
            "Rows that were removed for their age or for the size of all.",
            counter(removed),
        )?;
        one(
            "mutex_history_begun_anew",
            Kind::Counter,
            "Databases that were damaged or gone, so that a new one was begun.",
            counter(begun_anew),
        )?;
        one(
            "mutex_history_last_write_timestamp_seconds",
            Kind::Gauge,
            "Time of the last snapshot that was recorded.",
            Number::Nanoseconds(*last_ns),
        )?;
        one(
            "mutex_history_size_bytes",
            Kind::Gauge,
            "Size of the database and its log.",
            Number::Integer(*bytes),
        )?;
        families.family(
            "mutex_history_rows",
            Kind::Gauge,
            "Rows by table, counted now and then.",
        )?;
        for (table, rows) in &self.rows {
            families.sample(&[("table", table)], Number::Integer(*rows))?;
        }
        Ok(())
    }
}
