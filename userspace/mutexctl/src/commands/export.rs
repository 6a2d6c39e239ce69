// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl export` and `mutexctl convert`.

use std::io::Write;
use std::path::Path;

use anyhow::anyhow;
#[cfg(feature = "parquet")]
use mutex_stats::Block;
#[cfg(feature = "parquet")]
use mutex_stats::Header;
#[cfg(feature = "parquet")]
use mutex_stats::Visitor;
use mutex_stats::formats::Csv;
use mutex_stats::formats::Exposition;
#[cfg(feature = "parquet")]
use mutex_stats::formats::Parquet;
#[cfg(feature = "parquet")]
use mutex_stats::formats::ParquetTable;
use mutex_stats::formats::StreamFormat;
use mutex_stats::formats::Table;

use crate::cli::Format;
use crate::csv::escapes;
use crate::failure::Failure;
use crate::safe_file::NewFiles;
use crate::source::Sink;
use crate::source::Source;
use crate::target::Target;

pub fn run(source: &Source, format: Format, output: Option<&Path>) -> Result<(), Failure> {
    let target = Target::new(output);
    match format {
        Format::Csv => return csv(source, &target, folder(&target, "csv")?),
        #[cfg(feature = "parquet")]
        Format::Parquet => return parquet(source, &target, folder(&target, "parquet")?),
        Format::Binary => target.takes_binary()?,
        _ => {}
    }
    if let Target::Output = target {
        source.check()?;
    }
    let sink = Sink::Target(&target);
    target.write(|output| {
        let format = match format {
            Format::Binary => StreamFormat::Binary,
            Format::Jsonl => StreamFormat::JsonLines,
            Format::Prometheus => StreamFormat::Metrics(Exposition::Prometheus),
            Format::Openmetrics => StreamFormat::Metrics(Exposition::OpenMetrics),
            // Tables have been written.
            _ => StreamFormat::Json,
        };
        source.visit(&mut *format.visitor(output), sink).map(drop)
    })
}

/// The directory of a format that is several tables.
fn folder<'a>(target: &'a Target, format: &str) -> Result<&'a Path, Failure> {
    match target {
        Target::Output => Err(Failure::Usage(format!(
            "{format} is several tables, so it needs a directory: name one with -o DIR"
        ))),
        Target::File(path, _) if path.exists() && !path.is_dir() => {
            Err(anyhow!("cannot write {}: it is not a directory", path.display()).into())
        }
        Target::File(path, _) => Ok(path),
    }
}

/// Writes tables in CSV into `folder`.
fn csv(source: &Source, target: &Target, folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::writing(target, &error);
    let new = NewFiles::create(folder, &Table::ALL.map(Table::file_name)).map_err(failed)?;
    {
        let mut output = |table: Table| {
            let (_, file) = new.files().find(|(name, _)| *name == table.file_name())?;
            Some(Box::new(file) as Box<dyn Write>)
        };
        let mut csv = Csv::boxed(&mut output, escapes(target));
        source.visit(&mut *csv, Sink::Target(target))?;
    }
    new.publish().map_err(failed)
}

/// Writes tables in Parquet into `folder`.
#[cfg(feature = "parquet")]
fn parquet(source: &Source, target: &Target, folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::writing(target, &error);
    let names = ParquetTable::ALL.map(ParquetTable::file_name);
    let new = NewFiles::create(folder, &names).map_err(failed)?;
    {
        let tables = ParquetTable::ALL.into_iter().zip(new.files());
        let tables = tables.map(|(table, (_, file))| Parquet::new(file, table));
        let mut tables = Tables(tables.collect::<Result<_, _>>().map_err(failed)?);
        source.visit(&mut tables, Sink::Target(target))?;
    }
    new.publish().map_err(failed)
}

/// Several tables, written while the image streams by once.
#[cfg(feature = "parquet")]
struct Tables<'a>(Vec<Parquet<'a>>);

#[cfg(feature = "parquet")]
impl Visitor for Tables<'_> {
    fn header(&mut self, header: &Header, bytes: &[u8]) -> std::io::Result<()> {
        self.0.iter_mut().try_for_each(|table| table.header(header, bytes))
    }

    fn block(&mut self, block: &Block<'_>) -> std::io::Result<()> {
        self.0.iter_mut().try_for_each(|table| table.block(block))
    }

    fn finish(&mut self) -> std::io::Result<()> {
        self.0.iter_mut().try_for_each(Visitor::finish)
    }
}
