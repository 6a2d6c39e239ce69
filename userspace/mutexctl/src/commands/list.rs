// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `connections` and `fds` have in common.

use std::io;
use std::io::Write;

use mutex_stats::Image;
use mutex_stats::Traffic;
use mutex_stats::formats;
use mutex_stats::formats::Csv;
use mutex_stats::formats::Json;
use mutex_stats::formats::Section;

use crate::cli::ListFormat;
use crate::failure::Failure;
use crate::source::Source;
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
        let mut image = Image { untracked: Vec::new(), ..Image::default() };
        source.visit(&mut image, &target)?;
        return target.write(|output| {
            (listed.table)(output, image).map_err(|error| Failure::writing(&target, &error))
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

/// The cells of the counters that tables show.
pub fn counters(traffic: &Traffic) -> [String; 2] {
    [traffic.packets.to_string(), traffic.bytes.to_string()]
}

/// The cell of a number that is 0 where nothing is known.
pub fn known(number: u32) -> String {
    if number == 0 { "-".into() } else { number.to_string() }
}

/// The cell of text that may be unknown.
pub fn text(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}
