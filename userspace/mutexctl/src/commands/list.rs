// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `connections`, `fds` and `alerts` have in common.

use std::io;
use std::io::Write;

use mutex_stats::Block;
use mutex_stats::Header;
use mutex_stats::Image;
use mutex_stats::Part;
use mutex_stats::Quality;
use mutex_stats::Visitor;
use mutex_stats::formats;
use mutex_stats::formats::Csv;
use mutex_stats::formats::Json;
use mutex_stats::formats::Section;

use crate::cli::ListFormat;
use crate::failure::Failure;
use crate::human;
use crate::source::Source;
use crate::table::Align::Right;
use crate::table::Column;
use crate::target::Target;

/// What is listed.
pub struct Listed {
    /// Its place in JSON.
    pub sections: &'static [Section],
    /// Its table in CSV.
    pub csv: formats::Table,
    /// Its table for people.
    pub table: fn(&mut dyn Write, Image) -> io::Result<()>,
}

/// Lists it. Nothing is written of a file that is damaged, nor a table of anything that is.
pub fn run(source: &Source, format: ListFormat, listed: &Listed) -> Result<(), Failure> {
    let target = Target::Output;
    if let ListFormat::Table = format {
        let mut records = Records(Image { untracked: Vec::new(), ..Image::default() });
        source.visit(&mut records, &target)?;
        return target.write(|output| {
            (listed.table)(output, records.0).map_err(|error| Failure::writing(&target, &error))
        });
    }
    source.check()?;
    target.write(|output| {
        match format {
            ListFormat::Csv => {
                let mut output = Some(output);
                let mut csv = Csv::new(|table| output.take_if(|_| table == listed.csv));
                source.visit(&mut csv, &target)
            }
            _ => source.visit(&mut Json::new(output, listed.sections), &target),
        }
        .map(drop)
    })
}

/// An image without what no table shows: histograms may well be larger than all the rest.
struct Records(Image);

impl Visitor for Records {
    fn header(&mut self, header: &Header, bytes: &[u8]) -> io::Result<()> {
        self.0.header(header, bytes)
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::Latency(_) | Part::Untracked(_) => Ok(()),
            _ => self.0.block(block),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()
    }
}

/// The columns of quality that tables show.
pub const QUALITY: [Column; 6] = [
    ("p50", Right),
    ("p99", Right),
    ("retrans", Right),
    ("drops", Right),
    ("in/s", Right),
    ("out/s", Right),
];

/// The cells of [`QUALITY`].
pub fn quality(quality: &Quality) -> [String; 6] {
    let latency = |ns| {
        if quality.latency.samples == 0 { "-".into() } else { human::short_duration(ns) }
    };
    [
        latency(quality.latency.p50_ns),
        latency(quality.latency.p99_ns),
        quality.retransmitted_packets.to_string(),
        quality.drops.to_string(),
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
