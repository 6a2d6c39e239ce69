// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the daemon costs, under the names that every exporter has.

use std::fs;
use std::io;

use mutex_stats::formats::Kind;
use mutex_stats::formats::Number;
use rustix::param::clock_ticks_per_second;
use rustix::param::page_size;
use rustix::process::Resource;
use rustix::process::getrlimit;

use crate::part::Metrics;

/// Writes them; what the system does not tell is left out.
///
/// # Errors
///
/// Those of writing.
pub fn write_metrics(metrics: &mut Metrics<'_>, started_ns: u64) -> io::Result<()> {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command may have anything in it, but for the last parenthesis.
    let fields: Vec<u64> = stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest.split(' ').map(|word| word.trim().parse().unwrap_or(0)).collect())
        .unwrap_or_default();
    // Counted from the state, which is the third.
    if let [.., user, system] = fields.get(..13).unwrap_or_default() {
        let help = "Processor time, of the kernel for it included.";
        metrics.family("process_cpu_seconds", Kind::Counter, help)?;
        let ns = u128::from(user + system) * 1_000_000_000 / u128::from(clock_ticks_per_second());
        metrics.sample(&[], Number::Nanoseconds(u64::try_from(ns).unwrap_or(u64::MAX)))?;
    }
    if let Some(pages) = fields.get(21) {
        metrics.family("process_resident_memory_bytes", Kind::Gauge, "Memory in use.")?;
        metrics.sample(&[], Number::Integer(pages * page_size() as u64))?;
    }
    let help = "When it started, in seconds of Unix time.";
    metrics.family("process_start_time_seconds", Kind::Gauge, help)?;
    metrics.sample(&[], Number::Nanoseconds(started_ns))?;
    if let Ok(folder) = fs::read_dir("/proc/self/fd") {
        metrics.family("process_open_fds", Kind::Gauge, "Files that are open.")?;
        // One is the folder itself.
        metrics.sample(&[], Number::Integer(folder.count().saturating_sub(1) as u64))?;
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        metrics.family("process_max_fds", Kind::Gauge, "Files that may be open.")?;
        metrics.sample(&[], Number::Integer(most))?;
    }
    Ok(())
}
