// SPDX-License-Identifier: MIT OR Apache-2.0

//! One JSON object, a line a record.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::io::Write;
use std::sync::LazyLock;

use serde_json::ser::to_writer;

use crate::Block;
use crate::Fields;
use crate::Header;
use crate::HostQuality;
use crate::Latency;
use crate::Part;
use crate::Quality;
use crate::SCHEMA_VERSION;
use crate::Stats;
use crate::Traffic;
use crate::Value;
use crate::Visitor;
use crate::formats::bytes::Bytes;
use crate::formats::bytes::Key;
use crate::records::drop_counts;
use crate::records::flag_names;

/// A key of the object, in the order that they are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// `status`: the module's own numbers.
    Status,
    /// `totals_before`: the host's traffic before the first connection was copied.
    TotalsBefore,
    /// `connections`: a list.
    Connections,
    /// `fds`: a list.
    Fds,
    /// `latency`: a list of octaves of histograms.
    Latency,
    /// `quality`: how well the whole host fares.
    Quality,
    /// `drops`: a list by reason.
    Drops,
    /// `alerts`: a list, the oldest first.
    Alerts,
    /// `closed`: what connections that are no longer listed have moved.
    Closed,
    /// `untracked`: a list by reason.
    Untracked,
    /// `totals_after`: the host's traffic after all of the above was copied.
    TotalsAfter,
}

impl Section {
    /// All of them.
    pub const ALL: [Section; 11] = [
        Section::Status,
        Section::TotalsBefore,
        Section::Connections,
        Section::Fds,
        Section::Latency,
        Section::Quality,
        Section::Drops,
        Section::Alerts,
        Section::Closed,
        Section::Untracked,
        Section::TotalsAfter,
    ];

    fn key(self) -> &'static str {
        match self {
            Section::Status => "status",
            Section::TotalsBefore => "totals_before",
            Section::Connections => "connections",
            Section::Fds => "fds",
            Section::Latency => "latency",
            Section::Quality => "quality",
            Section::Drops => "drops",
            Section::Alerts => "alerts",
            Section::Closed => "closed",
            Section::Untracked => "untracked",
            Section::TotalsAfter => "totals_after",
        }
    }

    fn is_list(self) -> bool {
        match self {
            Section::Connections
            | Section::Fds
            | Section::Latency
            | Section::Drops
            | Section::Alerts
            | Section::Untracked => true,
            Section::Status
            | Section::TotalsBefore
            | Section::Quality
            | Section::Closed
            | Section::TotalsAfter => false,
        }
    }
}

/// Writes an image as one JSON object: first `schema_version`, then `image` (when and where it was
/// taken), then the sections that were asked for.
///
/// Numbers are integers in base units, up to 2^64 - 1. Protocols, states, flags and reasons are
/// names; addresses are text; an unknown uid or command is `null`; a 0 that means "none" in the
/// image is 0. Traffic is an object of `packets`, `buffers`, `bytes` and `payload`, quality one with
/// `latency` inside. What an image of an older module lacks is 0, or a list without elements.
#[derive(Debug)]
pub struct Json<W: Write> {
    output: W,
    /// What is on its way to `output`.
    bytes: Bytes,
    sections: &'static [Section],
    /// The section that is being written.
    open: Option<Section>,
    /// Whether the open section has a record.
    has_record: bool,
}

impl<W: Write> Json<W> {
    /// Writes `sections` to `output`, which should be buffered. They have to be in their order.
    pub fn new(output: W, sections: &'static [Section]) -> Self {
        Json { output, bytes: Bytes::default(), sections, open: None, has_record: false }
    }

    fn key(&mut self, key: &str) {
        self.bytes.push(b",\n\"");
        self.bytes.push(key.as_bytes());
        self.bytes.push(b"\":");
    }

    /// Opens `section`, and all before it that the image had nothing for.
    fn open(&mut self, section: Section) {
        while self.open != Some(section) {
            let later = |next: &Section| Some(*next) > self.open;
            let Some(next) = self.sections.iter().copied().find(later) else { return };
            self.close();
            self.key(next.key());
            if next.is_list() {
                self.bytes.push(b"[");
            }
            self.open = Some(next);
            self.has_record = false;
        }
    }

    fn close(&mut self) {
        match self.open {
            Some(open) if open.is_list() && self.has_record => self.bytes.push(b"\n]"),
            Some(open) if open.is_list() => self.bytes.push(b"]"),
            // The only record that an image may do without.
            Some(Section::Quality) if !self.has_record => {
                object(&mut self.bytes, &HostQuality::default());
            }
            _ => {}
        }
    }

    fn records<T: Fields>(
        &mut self,
        section: Section,
        records: impl Iterator<Item = T>,
    ) -> io::Result<()> {
        if !self.sections.contains(&section) {
            return Ok(());
        }
        self.open(section);
        let mut keys = Vec::new();
        for record in records {
            if section.is_list() {
                self.bytes.push(if self.has_record { b",\n" } else { b"\n" });
            }
            self.has_record = true;
            if keys.is_empty() {
                keys = keys_of(&record);
            }
            object_with(&mut self.bytes, &keys, &record);
            self.bytes.write_if_many(&mut self.output)?;
        }
        Ok(())
    }

    fn record_of<T: Fields>(&mut self, section: Section, record: T) -> io::Result<()> {
        self.records(section, std::iter::once(record))
    }
}

impl<W: Write> Drop for Json<W> {
    /// Hands on what came before an image turned out to be damaged.
    fn drop(&mut self) {
        let _ = self.bytes.write(&mut self.output);
    }
}

impl<W: Write> Visitor for Json<W> {
    fn header(&mut self, header: &Header, _: &[u8]) -> io::Result<()> {
        self.bytes.push(b"{\n\"schema_version\":");
        self.bytes.integer(SCHEMA_VERSION.into());
        self.key("image");
        object(&mut self.bytes, header);
        self.bytes.write(&mut self.output)
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::Status(status) => self.record_of(Section::Status, status),
            Part::TotalsBefore(totals) => self.record_of(Section::TotalsBefore, totals),
            Part::Connections(records) => self.records(Section::Connections, records),
            Part::Fds(records) => self.records(Section::Fds, records),
            Part::Latency(records) => self.records(Section::Latency, records),
            Part::Quality(quality) => self.record_of(Section::Quality, quality),
            Part::Drops(records) => self.records(Section::Drops, records),
            Part::Alerts(records) => self.records(Section::Alerts, records),
            Part::Closed(totals) => self.record_of(Section::Closed, totals),
            Part::Untracked(records) => self.records(Section::Untracked, records),
            Part::TotalsAfter(totals) => self.record_of(Section::TotalsAfter, totals),
            Part::End(_) | Part::Unknown(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(&last) = self.sections.last() {
            self.open(last);
        }
        self.close();
        self.bytes.push(b"\n}\n");
        self.bytes.write(&mut self.output)?;
        self.output.flush()
    }
}

/// Writes the kernel's `stats` as one JSON object: `schema_version`, then its keys in its order.
///
/// # Errors
///
/// Whatever `output`, which should be buffered, gives.
pub fn stats_as_json(mut output: impl Write, stats: &Stats) -> io::Result<()> {
    write!(output, "{{\n\"schema_version\":{SCHEMA_VERSION}")?;
    for (key, value) in stats.iter() {
        output.write_all(b",\n")?;
        to_writer(&mut output, key)?;
        write!(output, ":{value}")?;
    }
    output.write_all(b"\n}\n")?;
    output.flush()
}

/// A record as a JSON object.
pub(super) fn object(bytes: &mut Bytes, record: &impl Fields) {
    object_with(bytes, &[], record);
}

/// A record as a JSON object, whose keys are those or, where there are none, made as they come.
#[inline]
fn object_with(bytes: &mut Bytes, keys: &[Option<Key>], record: &impl Fields) {
    members_with(bytes, keys, *b"{\"", record);
    bytes.push(b"}");
}

/// A record's members; `separator` stands before the name of the first one.
pub(super) fn members(bytes: &mut Bytes, separator: [u8; 2], record: &impl Fields) {
    members_with(bytes, &[], separator, record);
}

#[inline]
fn members_with(
    bytes: &mut Bytes,
    keys: &[Option<Key>],
    mut separator: [u8; 2],
    record: &impl Fields,
) {
    let mut keys = keys.iter();
    let Ok(()) = record.fields(|name, value| {
        match keys.next() {
            Some(Some(key)) => bytes.key(key),
            _ => bytes.push_around(separator, name, *b"\":"),
        }
        match value {
            Value::Integer(integer) => bytes.integer(integer),
            value => self::value(bytes, value),
        }
        separator = *b",\"";
        Ok::<_, Infallible>(())
    });
}

/// The keys of a record, which are those of all of its kind.
fn keys_of(record: &impl Fields) -> Vec<Option<Key>> {
    let mut keys = Vec::new();
    let Ok(()) = record.fields(|name, _| {
        keys.push(Key::new(keys.is_empty(), name));
        Ok::<_, Infallible>(())
    });
    keys
}

/// Keys of what is an object within a record, and integers only.
struct InnerKeys {
    traffic: Vec<Option<Key>>,
    latency: Vec<Option<Key>>,
    quality: Vec<Option<Key>>,
}

static INNER_KEYS: LazyLock<InnerKeys> = LazyLock::new(|| InnerKeys {
    traffic: keys_of(&Traffic::ZERO),
    latency: keys_of(&Latency::default()),
    // Its first is the latency.
    quality: keys_of(&Quality::default()).split_off(1),
});

/// Members of an object that are integers.
#[inline]
fn integers<const N: usize>(
    bytes: &mut Bytes,
    keys: &[Option<Key>],
    fields: [(&'static str, u64); N],
) {
    for (key, (_, integer)) in keys.iter().flatten().zip(fields) {
        bytes.key(key);
        bytes.integer(integer);
    }
}

fn list<T>(bytes: &mut Bytes, items: impl Iterator<Item = T>, mut item: impl FnMut(&mut Bytes, T)) {
    bytes.push(b"[");
    for (number, each) in items.enumerate() {
        if number > 0 {
            bytes.push(b",");
        }
        item(bytes, each);
    }
    bytes.push(b"]");
}

#[inline] // Most of it goes where the kind of value is known.
fn value(bytes: &mut Bytes, value: Value<'_>) {
    match value {
        Value::Integer(integer) => bytes.integer(integer),
        Value::Name(name) => {
            bytes.push(b"\"");
            bytes.push(name.as_bytes());
            bytes.push(b"\"");
        }
        Value::Address(address) => {
            bytes.push(b"\"");
            bytes.address(&address);
            bytes.push(b"\"");
        }
        Value::Text(text) => self::text(bytes, text),
        Value::Truth(truth) => bytes.push(if truth { b"true" } else { b"false" }),
        Value::Flags(flags) => list(bytes, flag_names(flags), |bytes, name| {
            bytes.push(b"\"");
            bytes.push(name.as_bytes());
            bytes.push(b"\"");
        }),
        Value::Traffic(traffic) => {
            integers(bytes, &INNER_KEYS.traffic, Traffic::fields(traffic));
            bytes.push(b"}");
        }
        Value::Quality(quality) => {
            bytes.push(b"{\"latency\":");
            integers(bytes, &INNER_KEYS.latency, Latency::fields(&quality.latency));
            bytes.push(b"}");
            integers(bytes, &INNER_KEYS.quality, Quality::fields(quality));
            bytes.push(b"}");
        }
        Value::Latency(latency) => {
            integers(bytes, &INNER_KEYS.latency, Latency::fields(latency));
            bytes.push(b"}");
        }
        Value::DropCounts(reasons) => list(bytes, drop_counts(reasons), object),
        Value::Samples(samples) => {
            list(bytes, samples.iter(), |bytes, &sample| bytes.integer(sample));
        }
        Value::Unknown => bytes.push(b"null"),
    }
}

/// What `text` shows as a string.
#[inline(never)]
pub(super) fn text(bytes: &mut Bytes, text: &dyn fmt::Display) {
    bytes.push(b"\"");
    let text = bytes.text(text);
    if text.iter().any(|&byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        let plain = String::from_utf8_lossy(text).into_owned();
        bytes.take_back(plain.len() + 1);
        // Writing into memory cannot fail.
        let _ = to_writer(&mut *bytes, &plain);
    } else {
        bytes.push(b"\"");
    }
}
