// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `connections`, `fds` and `alerts` have in common.

use std::io;
use std::io::Write;
use std::path::Path;

use mutex_stats::Block;
use mutex_stats::Cell;
use mutex_stats::Column;
use mutex_stats::Fields;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Header;
use mutex_stats::Holders;
use mutex_stats::Quality;
use mutex_stats::Sort;
use mutex_stats::Visitor;
use mutex_stats::formats::RowFormat;
use mutex_stats::formats::RowNames;

use super::records::Format;
use super::records::Records;
use crate::cli::List;
use crate::csv;
use crate::failure::Failure;
use crate::human;
use crate::source::Sink;
use crate::source::Source;
use crate::table;
use crate::table::Align;
use crate::table::Align::Right;
use crate::target::Output;
use crate::target::Target;
use crate::watch;

/// A kind of record that can be listed.
pub trait Listed {
    /// As it is in an image.
    type Record: Fields + Default;
    /// With what is known besides.
    type Row: Fields + Default;

    /// What filters are about.
    const FILTERED: Filtered;
    /// What they are called in JSON.
    const NAMES: RowNames;

    /// The records of a block, if it has any of them.
    fn records(block: &Block<'_>) -> Option<impl Iterator<Item = Self::Record>>;

    /// Whether a record is wanted, as far as it tells.
    fn is_wanted(filter: &Filter, record: &Self::Record) -> bool;

    /// The record of a row.
    fn record(row: &Self::Row) -> &Self::Record;

    /// The rows that are wanted.
    fn select(source: &Source, query: &Query<Self>) -> Result<(Header, Vec<Self::Row>), Failure>;

    /// A table for people.
    fn table(output: &mut dyn Write, rows: &[Self::Row]) -> io::Result<()>;
}

/// What is wanted of what is listed.
pub struct Query<L: Listed + ?Sized> {
    pub filter: Filter,
    pub sort: Option<Sort<L::Row>>,
    pub top: Option<usize>,
    columns: Option<Vec<Column<L::Row>>>,
}

impl<L: Listed> Query<L> {
    /// What the command line says.
    pub fn new(list: &List) -> Result<Self, Failure> {
        let filter = Filter::parse(&list.filter.join(" "), L::FILTERED);
        let columns = list.fields.as_deref().map(Column::list).transpose();
        let columns: Option<Vec<Column<L::Row>>> = columns.map_err(Failure::usage)?;
        if Format::new(list.format, RowFormat::Csv).is_some_and(Format::is_binary) {
            let columns = columns.as_deref().unwrap_or_default().iter().map(Column::name);
            let twice = |name: &&str| columns.clone().filter(|other| other == name).count() > 1;
            if let Some(name) = columns.clone().find(twice) {
                let sentence = format!("a Parquet file has no two columns `{name}`");
                return Err(Failure::Usage(sentence));
            }
        }
        Ok(Query {
            filter: filter.map_err(Failure::usage)?,
            sort: list.sort.as_deref().map(Sort::named).transpose().map_err(Failure::usage)?,
            top: list.top,
            columns,
        })
    }

    /// Whether records can be written as they come.
    fn is_streamed(&self) -> bool {
        self.sort.is_none()
            && self.top.is_none()
            && self.columns.is_none()
            && !self.filter.asks_for_owner()
    }
}

/// Who holds which socket, where it is this moment's kernel that is read.
pub fn holders(source: &Source) -> Option<Holders> {
    folder_of_processes(source).map(Holders::scan)
}

/// The same for who does not list them, and only wants each socket's process: as few are looked at as that takes.
pub fn processes(source: &Source) -> Option<Holders> {
    folder_of_processes(source).map(Holders::when_needed)
}

fn folder_of_processes(source: &Source) -> Option<&Path> {
    // Processes are beside the kernel's folder, as in /proc.
    let folder = source.kernel()?.folder().parent()?;
    Some(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

/// Lists what the command line says. Nothing is written of a file that is damaged, nor a table of
/// anything that is.
pub fn run<L: Listed>(source: &Source, list: &List) -> Result<(), Failure> {
    let query = Query::<L>::new(list)?;
    if list.watch.is_some() && source.kernel().is_none() {
        return Err(Failure::Usage("--watch is for the kernel's numbers, which change".into()));
    }
    if list.watch.is_some() && list.output.output.is_some() {
        return Err(Failure::Usage("--watch shows, and --output keeps: use one of them".into()));
    }
    let target = Target::new(list.output.output.as_deref());
    let format = Format::new(list.format, csv::rows(&target));
    if format.is_some_and(Format::is_binary) {
        if list.watch.is_some() {
            let sentence = "--watch shows again and again, and a Parquet file has an end: use \
                            --format csv";
            return Err(Failure::Usage(sentence.into()));
        }
        target.takes_binary()?;
    }
    watch::repeat(list.watch, list.count, || once(source, format, &query, &target))
}

fn once<L: Listed>(
    source: &Source,
    format: Option<Format>,
    query: &Query<L>,
    target: &Target,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::writing(target, &error);
    if let (Some(format), true) = (format, query.is_streamed()) {
        if let Target::Output = target {
            source.check()?;
        }
        return target.write(|output| {
            let mut streamed = Streamed::<L> { output: Some(output), format, rows: None, query };
            source.visit(&mut streamed, Sink::Target(target)).map(drop)
        });
    }
    let (header, rows) = L::select(source, query)?;
    target.write(|output| {
        match (format, &query.columns) {
            (None, None) => L::table(output, &rows),
            (None, Some(columns)) => table_of(output, columns, &rows),
            (Some(format), None) => {
                let out = Records::new::<L::Record>(output, format, L::NAMES, &header, None);
                out.and_then(|mut out| {
                    rows.iter().try_for_each(|row| out.record(L::record(row)))?;
                    out.finish()
                })
            }
            (Some(format), Some(columns)) => {
                let out = Records::new(output, format, L::NAMES, &header, Some(columns));
                out.and_then(|mut out| {
                    let cells = |row| columns.iter().map(move |column| column.cell(row));
                    rows.iter().try_for_each(|row| out.row(cells(row)))?;
                    out.finish()
                })
            }
        }
        .map_err(failed)
    })
}

/// A table of these columns, as they are in CSV.
fn table_of<T: Fields + Default>(
    output: &mut dyn Write,
    columns: &[Column<T>],
    rows: &[T],
) -> io::Result<()> {
    let nothing = T::default();
    let column = |column: &Column<T>| {
        let is_number = matches!(column.cell(&nothing), Cell::Integer(_));
        (column.name().to_owned(), if is_number { Align::Right } else { Align::Left })
    };
    let named: Vec<_> = columns.iter().map(column).collect();
    table::write(output, &named, rows, |row| {
        columns.iter().map(|column| column.cell(row).to_string()).collect()
    })
}

/// Writes records as the image streams by.
struct Streamed<'a, L: Listed> {
    /// Until there is a header.
    output: Option<&'a mut Output>,
    format: Format,
    rows: Option<Records<'a>>,
    query: &'a Query<L>,
}

impl<L: Listed> Visitor for Streamed<'_, L> {
    fn header(&mut self, header: &Header, _: &[u8]) -> io::Result<()> {
        if let Some(output) = self.output.take() {
            let rows = Records::new::<L::Record>(output, self.format, L::NAMES, header, None)?;
            self.rows = Some(rows);
        }
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        let (Some(rows), Some(records)) = (&mut self.rows, L::records(block)) else {
            return Ok(());
        };
        for record in records {
            if L::is_wanted(&self.query.filter, &record) {
                rows.record(&record)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.rows.take().map_or(Ok(()), Records::finish)
    }
}

/// The columns of quality that tables show.
pub const QUALITY: [table::Column; 6] = [
    ("p50", Right),
    ("p99", Right),
    ("retrans", Right),
    ("losses", Right),
    ("in/s", Right),
    ("out/s", Right),
];

/// The cells of [`QUALITY`].
pub fn quality(quality: &Quality, losses: u64) -> [String; 6] {
    let latency = |ns| {
        if quality.latency.samples == 0 { "-".into() } else { human::short_duration(ns) }
    };
    [
        latency(quality.latency.p50_ns),
        latency(quality.latency.p99_ns),
        quality.retransmitted_packets.to_string(),
        losses.to_string(),
        human::short_size(quality.rate_in),
        human::short_size(quality.rate_out),
    ]
}

/// The cell of a number that is 0 where nothing is known.
pub fn known(number: u32) -> String {
    if number == 0 { "-".into() } else { number.to_string() }
}

/// The cell of text that may be unknown.
pub fn text(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}
