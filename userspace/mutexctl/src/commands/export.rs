// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl export` and `mutexctl convert`.

use std::path::Path;

use anyhow::anyhow;
use mutex_stats::Metrics;
use mutex_stats::formats::Binary;
use mutex_stats::formats::Csv;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Json;
use mutex_stats::formats::JsonLines;
use mutex_stats::formats::Section;
use mutex_stats::formats::Table;

use crate::cli::Format;
use crate::failure::Failure;
use crate::safe_file::NewFiles;
use crate::source::Source;
use crate::target::Target;

pub fn run(source: &Source, format: Format, output: Option<&Path>) -> Result<(), Failure> {
    let target = Target::new(output);
    if let Format::Csv = format {
        let Target::File(folder) = &target else {
            return Err(Failure::Usage(
                "csv is several tables, so it needs a directory: name one with -o DIR".into(),
            ));
        };
        return tables(source, folder);
    }
    if let (Format::Binary, true) = (format, target.is_terminal()) {
        return Err(Failure::Usage(
            "binary data is nothing for a terminal: name a file with -o FILE, or a pipe".into(),
        ));
    }
    if let Target::Output = target {
        source.check()?;
    }
    target.write(|output| {
        match format {
            Format::Binary => source.visit(&mut Binary::new(output), &target),
            Format::Jsonl => source.visit(&mut JsonLines::new(output), &target),
            Format::Prometheus => {
                source.visit(&mut Metrics::new(output, Exposition::Prometheus), &target)
            }
            Format::Openmetrics => {
                source.visit(&mut Metrics::new(output, Exposition::OpenMetrics), &target)
            }
            // CSV has been written.
            Format::Json | Format::Csv => {
                source.visit(&mut Json::new(output, &Section::ALL), &target)
            }
        }
        .map(drop)
    })
}

/// Writes the tables into `folder`.
fn tables(source: &Source, folder: &Path) -> Result<(), Failure> {
    let name = folder.display();
    let failed = |error: std::io::Error| Failure::writing(&name, &error);
    if folder.exists() && !folder.is_dir() {
        return Err(anyhow!("cannot write {name}: it is not a directory").into());
    }
    let new = NewFiles::create(folder, &Table::ALL.map(Table::file_name)).map_err(failed)?;
    {
        let output = |table: Table| new.files().find(|(name, _)| *name == table.file_name());
        let mut csv = Csv::new(|table| output(table).map(|(_, file)| file));
        source.visit(&mut csv, &name)?;
    }
    new.publish().map_err(failed)
}
