// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl audit`.

use std::io;
use std::io::Write;

use anyhow::anyhow;
use mutex_stats::Audit;
use mutex_stats::Line;
use mutex_stats::Report;

use crate::failure::Failure;
use crate::source::Sink;
use crate::source::Source;
use crate::table;
use crate::table::Align::Left;
use crate::table::Align::Right;
use crate::table::Column;
use crate::target::Target;

/// How many ids of a kind are named.
const NAMED: usize = 3;

pub fn run(source: &Source, quiet: bool) -> Result<(), Failure> {
    let mut audit = Audit::default();
    source.visit(&mut audit, Sink::Memory)?;
    let report = audit.report().map_err(|error| source.failure(error))?;

    let printed = if quiet {
        Ok(())
    } else {
        Target::Output.write(|output| {
            print(output, &report).map_err(|error| Failure::writing(Target::Output, &error))
        })
    };
    match printed {
        // Nobody reading is no answer.
        Ok(()) | Err(Failure::BrokenPipe) if !report.balanced() => {
            Err(anyhow!("the books do not balance: {}", faults(&report).join("; ")).into())
        }
        printed => printed,
    }
}

const COLUMNS: [Column; 9] = [
    ("direction", Left),
    ("counter", Left),
    ("before", Right),
    ("connections", Right),
    ("closed", Right),
    ("untracked", Right),
    ("sum", Right),
    ("after", Right),
    ("verdict", Left),
];

fn print(output: &mut impl Write, report: &Report) -> io::Result<()> {
    table::write(output, &COLUMNS, &report.lines, |line| {
        vec![
            line.direction.to_owned(),
            line.counter.to_owned(),
            line.before.to_string(),
            line.connections.to_string(),
            line.closed.to_string(),
            line.untracked.to_string(),
            line.sum().to_string(),
            line.after.to_string(),
            verdict(line).unwrap_or_else(|| "ok".into()),
        ]
    })?;
    writeln!(output)?;
    match (report.balanced(), report.at_rest()) {
        (true, true) => writeln!(output, "balanced, at rest: nothing passed during the copy"),
        (true, false) => writeln!(output, "balanced, under load: packets passed during the copy"),
        (false, _) => writeln!(output, "NOT BALANCED"),
    }
}

/// What is wrong with a line, `None` if nothing.
fn verdict(line: &Line) -> Option<String> {
    if line.missing() > 0 {
        Some(format!("{} missing", line.missing()))
    } else if line.excess() > 0 {
        Some(format!("{} too many", line.excess()))
    } else {
        None
    }
}

/// Everything that is wrong.
fn faults(report: &Report) -> Vec<String> {
    let line =
        |line: &Line| Some(format!("{} {} {}", line.direction, line.counter, verdict(line)?));
    let mut faults: Vec<String> = report.lines.iter().filter_map(line).collect();
    let mut ids = |what: &str, ids: &[u64]| {
        if !ids.is_empty() {
            let named: Vec<_> = ids.iter().take(NAMED).map(u64::to_string).collect();
            let more = if ids.len() > NAMED { ", ..." } else { "" };
            faults.push(format!("{} {what} ({}{more})", ids.len(), named.join(", ")));
        }
    };
    ids("connections listed more than once", &report.repeated_connections);
    ids("fds with less than their connections", &report.short_fds);
    ids("alerts out of their order", &report.misplaced_alerts);
    faults
}
