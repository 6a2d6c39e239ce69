// SPDX-License-Identifier: MIT OR Apache-2.0

//! JSON Lines: an object a record, each on a line of its own.

use std::io;
use std::io::Write;

use crate::Block;
use crate::Event;
use crate::Fields;
use crate::Happening;
use crate::Header;
use crate::HostQuality;
use crate::Part;
use crate::SCHEMA_VERSION;
use crate::Visitor;
use crate::formats::bytes::Bytes;
use crate::formats::json::members;

/// Writes an image as JSON Lines. `record` comes first in each line and says what it is: `image`
/// (with `schema_version`), `status`, `totals_before`, `connection`, `fd`, `latency`, `quality`,
/// `drop`, `alert`, `closed`, `untracked`, `totals_after`. The rest are the fields of
/// [`Json`](crate::formats::Json). The image was whole if the last line is `totals_after`.
#[derive(Debug)]
pub struct JsonLines<W> {
    output: W,
    bytes: Bytes,
    has_quality: bool,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `output`, which needs no buffer.
    pub fn new(output: W) -> Self {
        JsonLines { output, bytes: Bytes::default(), has_quality: false }
    }

    fn line(&mut self, record: &str, fields: &impl Fields) -> io::Result<()> {
        line(&mut self.bytes, record, fields);
        self.bytes.write_if_many(&mut self.output)
    }

    fn lines<T: Fields>(
        &mut self,
        record: &str,
        mut records: impl Iterator<Item = T>,
    ) -> io::Result<()> {
        records.try_for_each(|fields| self.line(record, &fields))
    }
}

fn line(bytes: &mut Bytes, record: &str, fields: &impl Fields) {
    bytes.push(b"{\"record\":\"");
    bytes.push(record.as_bytes());
    bytes.push(b"\"");
    members(bytes, *b",\"", fields);
    bytes.push(b"}\n");
}

impl<W: Write> Visitor for JsonLines<W> {
    fn header(&mut self, header: &Header, _: &[u8]) -> io::Result<()> {
        self.bytes.push(b"{\"record\":\"image\",\"schema_version\":");
        self.bytes.integer(SCHEMA_VERSION.into());
        members(&mut self.bytes, *b",\"", header);
        self.bytes.push(b"}\n");
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::Status(status) => self.line("status", &status),
            Part::TotalsBefore(totals) => self.line("totals_before", &totals),
            Part::Connections(records) => self.lines("connection", records),
            Part::Fds(records) => self.lines("fd", records),
            Part::Latency(records) => self.lines("latency", records),
            Part::Quality(quality) => {
                self.has_quality = true;
                self.line("quality", &quality)
            }
            Part::Drops(records) => self.lines("drop", records),
            Part::Alerts(records) => self.lines("alert", records),
            Part::Closed(totals) => {
                if !self.has_quality {
                    self.line("quality", &HostQuality::default())?;
                }
                self.line("closed", &totals)
            }
            Part::Untracked(records) => self.lines("untracked", records),
            Part::TotalsAfter(totals) => self.line("totals_after", &totals),
            Part::End(_) | Part::Unknown(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.bytes.write(&mut self.output)?;
        self.output.flush()
    }
}

/// Writes an event as one line: `schema_version`, `event` (`start`, `end`, `alert`, `packet`),
/// `sequence`, `lost`, `time_ns`, then the fields of its record. An unknown kind has none.
///
/// # Errors
///
/// Whatever `output` gives.
pub fn event_as_json(mut output: impl Write, event: &Event) -> io::Result<()> {
    let mut bytes = Bytes::default();
    bytes.push(b"{\"schema_version\":");
    bytes.integer(SCHEMA_VERSION.into());
    bytes.push(b",\"event\":\"");
    bytes.push(event.happening.name().as_bytes());
    bytes.push(b"\"");
    for (name, number) in
        [("sequence", event.sequence), ("lost", event.lost), ("event_time_ns", event.time_ns)]
    {
        bytes.push_around(*b",\"", name, *b"\":");
        bytes.integer(number);
    }
    match &event.happening {
        Happening::Start(record) | Happening::End(record) => {
            members(&mut bytes, *b",\"", record.as_ref());
        }
        Happening::Alert(record) => members(&mut bytes, *b",\"", record.as_ref()),
        Happening::Packet(record) => members(&mut bytes, *b",\"", record.as_ref()),
        Happening::Unknown(_) => {}
    }
    bytes.push(b"}\n");
    bytes.write(&mut output)
}
