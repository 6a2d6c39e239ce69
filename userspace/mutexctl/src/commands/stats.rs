// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl stats`.

use std::io;
use std::io::Write;
use std::path::Path;

use mutex_stats::File;
use mutex_stats::Stats;
use mutex_stats::Summary;
use mutex_stats::Traffic;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Families;
use mutex_stats::formats::stats_as_json;
use mutex_stats::formats::write_metrics;

use crate::cli::StatsFormat;
use crate::failure::Failure;
use crate::failure::say;
use crate::human;
use crate::source::Sink;
use crate::source::Source;
use crate::source::kernel_failure;
use crate::table;
use crate::table::Align::Left;
use crate::table::Align::Right;
use crate::table::Column;
use crate::target::Audience;
use crate::target::Target;

pub fn run(source: &Source, format: StatsFormat, output: Option<&Path>) -> Result<(), Failure> {
    // Whoever reads these in /proc may read them in a file, such as one for Prometheus' node exporter.
    let target = Target::made_for(Audience::Everyone, output);
    let (stats, text) = if let Some(proc) = source.kernel() {
        let failed = |error| kernel_failure(error, proc, File::Stats);
        let text = proc.text(File::Stats).map_err(failed)?;
        let stats = Stats::parse(&text).map_err(failed)?;
        if stats.is_restricted() {
            say(format_args!(
                "the host's numbers take CAP_NET_ADMIN in the first network namespace; these are the \
                 module's own, and of this namespace"
            ));
        }
        (stats, text)
    } else {
        let mut summary = Summary::default();
        source.visit(&mut summary, Sink::Memory)?;
        let stats = summary.stats();
        let lines = stats.iter().map(|(key, value)| format!("{key} {value}\n"));
        let text = format!("format 1\n{}", lines.collect::<String>());
        (stats, text)
    };
    target.write(|output| {
        match format {
            StatsFormat::Raw => output.write_all(text.as_bytes()),
            StatsFormat::Json => stats_as_json(output, &stats),
            StatsFormat::Prometheus => metrics(output, Exposition::Prometheus, &stats),
            StatsFormat::Openmetrics => metrics(output, Exposition::OpenMetrics, &stats),
            StatsFormat::Table => tables(output, &stats),
        }
        .map_err(|error| Failure::writing(&target, &error))
    })
}

fn metrics(output: &mut impl Write, exposition: Exposition, stats: &Stats) -> io::Result<()> {
    let mut families = Families::new(output, exposition);
    write_metrics(&mut families, stats)?;
    families.finish().map(drop)
}

/// Numbers that stand for themselves, then traffic with its counters in columns, then drops by
/// reason. What later versions of the kernel module add finds its place by its name.
fn tables(output: &mut impl Write, stats: &Stats) -> io::Result<()> {
    let mut numbers = Vec::new();
    let mut traffic = Vec::new();
    let mut drops: Vec<Vec<String>> = Vec::new();
    for (key, value) in stats.iter() {
        if let Some(reason) = key.strip_prefix("drop_") {
            let of_these =
                |kind: &str| stats.get(&format!("{kind}_{reason}")).unwrap_or(0).to_string();
            let [lost, discarded] = ["loss", "discard"].map(of_these);
            drops.push(vec![reason.to_owned(), value.to_string(), lost, discarded]);
            continue;
        }
        if key.starts_with("loss_") || key.starts_with("discard_") {
            continue;
        }
        let Some((name, counters)) = traffic_of(stats, key) else {
            numbers.push(vec![key.to_owned(), value.to_string(), note(key, value)]);
            continue;
        };
        // All of its counters are in one line, in the place of the first.
        if key.ends_with("_packets") {
            let [_, _, bytes, _] = counters;
            let mut line = vec![name.to_owned()];
            line.extend(counters.map(|counter| counter.to_string()));
            line.push(human::size(bytes));
            traffic.push(line);
        }
    }
    table::write(output, &NUMBER_COLUMNS, &numbers, Vec::clone)?;
    if stats.is_restricted() {
        return Ok(());
    }
    writeln!(output)?;
    table::write(output, &TRAFFIC_COLUMNS, &traffic, Vec::clone)?;
    if drops.is_empty() {
        return Ok(());
    }
    writeln!(output)?;
    table::write(output, &DROP_COLUMNS, &drops, Vec::clone)
}

const NUMBER_COLUMNS: [Column; 3] = [("number", Left), ("value", Right), ("", Left)];

const DROP_COLUMNS: [Column; 4] =
    [("dropped by the kernel", Left), ("packets", Right), ("lost", Right), ("discarded", Right)];

const TRAFFIC_COLUMNS: [Column; 6] = [
    ("traffic", Left),
    ("packets", Right),
    ("buffers", Right),
    ("bytes", Right),
    ("payload", Right),
    ("", Right),
];

/// The name and all counters of the traffic that `key` is a counter of, `None` if it is none.
fn traffic_of<'a>(stats: &Stats, key: &'a str) -> Option<(&'a str, [u64; 4])> {
    let names = Traffic::ZERO.fields().map(|(name, _)| name);
    let (name, counter) = key.rsplit_once('_')?;
    if !names.contains(&counter) {
        return None;
    }
    let [packets, buffers, bytes, payload] =
        names.map(|counter| stats.get(&format!("{name}_{counter}")));
    Some((name, [packets?, buffers?, bytes?, payload?]))
}

/// What a number says to people, where that is not plain.
fn note(key: &str, value: u64) -> String {
    if key.ends_with("_ns") {
        human::duration(value)
    } else if key.ends_with("_bytes") && value >= 1024 {
        human::size(value)
    } else if matches!(key, "rate_in" | "rate_out" | "peak_in" | "peak_out") && value > 0 {
        format!("{}/s", human::size(value))
    } else {
        String::new()
    }
}
