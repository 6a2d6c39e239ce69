// SPDX-License-Identifier: MIT OR Apache-2.0

//! The columns of records: every field by the name that it has where there is one level only.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use mutex_core::report::DropReasons;

use crate::Error;
use crate::Fields;
use crate::Value;
use crate::fields::columns;
use crate::records::flag_names;

/// What stands in a column of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// A number in base units.
    Integer(u64),
    /// A name, an address, several flags with `,` between them.
    Text(String),
    /// There is a value, but nobody knows it.
    Unknown,
}

impl fmt::Display for Cell {
    /// As in the kernel's text: `-` is what is unknown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Integer(integer) => integer.fmt(f),
            Cell::Text(text) if text.is_empty() => f.pad("-"),
            Cell::Text(text) => f.pad(text),
            Cell::Unknown => f.pad("-"),
        }
    }
}

/// A column of records of type `T`, by its place. Names are those of CSV and of the kernel's text.
pub struct Column<T> {
    name: String,
    place: usize,
    record: PhantomData<fn(&T)>,
}

impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        Column { name: self.name.clone(), place: self.place, record: PhantomData }
    }
}

impl<T> fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Column").field(&self.name).finish()
    }
}

impl<T: Fields + Default> Column<T> {
    /// All of them, in the order of the record.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let Ok(()) = columns::<T, std::convert::Infallible>(|name| {
            all.push(Column { name: name.to_string(), place: all.len(), record: PhantomData });
            Ok(())
        });
        all
    }

    /// The one with that name.
    ///
    /// # Errors
    ///
    /// [`Error::NoColumn`], which names those that there are.
    pub fn named(name: &str) -> Result<Self, Error> {
        let all = Self::all();
        let known = || all.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
        all.iter()
            .find(|column| column.name == name)
            .cloned()
            .ok_or_else(|| Error::NoColumn { name: name.to_owned(), known: known() })
    }

    /// Those that `names`, which are separated by commas, name.
    ///
    /// # Errors
    ///
    /// [`Error::NoColumn`] for the first that there is not.
    pub fn list(names: &str) -> Result<Vec<Self>, Error> {
        names.split(',').map(|name| Self::named(name.trim())).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands in it.
    pub fn cell(&self, record: &T) -> Cell {
        let mut place = 0;
        let found = record.fields(|_, value| {
            let first = place;
            place += width(&value);
            if self.place < place { Err(cell(&value, self.place - first)) } else { Ok(()) }
        });
        found.err().unwrap_or(Cell::Unknown)
    }
}

/// Calls `each` with what stands in each column, in their order.
#[cfg(feature = "parquet")]
pub(crate) fn cells(record: &impl Fields, mut each: impl FnMut(Cell)) {
    let Ok(()) = record.fields(|_, value| {
        (0..width(&value)).for_each(|place| each(cell(&value, place)));
        Ok::<_, std::convert::Infallible>(())
    });
}

/// How many columns a value takes.
fn width(value: &Value<'_>) -> usize {
    match value {
        Value::Traffic(traffic) => traffic.fields().len(),
        Value::Quality(quality) => quality.latency.fields().len() + quality.fields().len(),
        Value::Latency(latency) => latency.fields().len(),
        Value::Samples(samples) => samples.len(),
        _ => 1,
    }
}

/// What stands in the column of a value that is `place`th of its own.
fn cell(value: &Value<'_>, place: usize) -> Cell {
    let nth = |fields: &[(&str, u64)]| fields.get(place).map(|&(_, value)| value);
    let integer = match value {
        Value::Integer(integer) => Some(*integer),
        Value::Traffic(traffic) => nth(&traffic.fields()),
        Value::Quality(quality) => {
            let latency = quality.latency.fields();
            nth(&latency).or_else(|| Some(quality.fields().get(place - latency.len())?.1))
        }
        Value::Latency(latency) => nth(&latency.fields()),
        Value::Samples(samples) => samples.get(place).copied(),
        Value::Text(text) => return Cell::Text(text.to_string()),
        Value::Name(name) => return Cell::Text((*name).to_owned()),
        Value::Address(address) => return Cell::Text(address.to_string()),
        Value::Truth(truth) => return Cell::Text(truth.to_string()),
        Value::Flags(flags) => {
            return Cell::Text(flag_names(*flags).collect::<Vec<_>>().join(","));
        }
        Value::DropCounts(reasons) => {
            return Cell::Text(DropReasons { reasons, separator: ',' }.to_string());
        }
        Value::Unknown => None,
    };
    integer.map_or(Cell::Unknown, Cell::Integer)
}

/// An order of records: by a column, what is unknown last, and by their ids where that is equal.
pub struct Sort<T> {
    column: Column<T>,
    descending: bool,
}

impl<T> Clone for Sort<T> {
    fn clone(&self) -> Self {
        Sort { column: self.column.clone(), descending: self.descending }
    }
}

impl<T> fmt::Debug for Sort<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.descending { "descending" } else { "ascending" };
        f.debug_tuple("Sort").field(&self.column).field(&order).finish()
    }
}

impl<T: Fields + Default> Sort<T> {
    /// By a column's name: numbers that do not identify anything come largest first, all else
    /// smallest first. A `+` or `-` before the name says ascending or descending.
    ///
    /// # Errors
    ///
    /// [`Error::NoColumn`].
    pub fn named(name: &str) -> Result<Self, Error> {
        const NAMING: [&str; 14] = [
            "id",
            "number",
            "netns",
            "local_port",
            "remote_port",
            "scope",
            "fd",
            "uid",
            "cgroup",
            "in_interface",
            "out_interface",
            "family",
            "inode",
            "pid",
        ];

        let (name, sign) = match name.split_at_checked(1) {
            Some(("+", rest)) => (rest, Some(false)),
            Some(("-", rest)) => (rest, Some(true)),
            _ => (name, None),
        };
        let column = Column::named(name)?;
        let is_quantity = || {
            let cell = column.cell(&T::default());
            matches!(cell, Cell::Integer(_)) && !NAMING.contains(&name)
        };
        let descending = sign.unwrap_or_else(is_quantity);
        Ok(Sort { column, descending })
    }

    /// Whether it is by what only the owning fd knows of a connection.
    #[must_use]
    pub fn asks_for_owner(&self) -> bool {
        matches!(self.column.name(), "pid" | "command" | "inode" | "holders")
    }

    /// What a record is ordered by. To be asked once a record: it takes its time.
    pub fn key(&self, record: &T) -> SortKey {
        SortKey { cell: self.column.cell(record), descending: self.descending }
    }

    /// Sorts records; those that are equal keep their order.
    pub fn sort(&self, records: &mut [T]) {
        records.sort_by_cached_key(|record| self.key(record));
    }
}

/// What a record is ordered by: the least comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    cell: Cell,
    descending: bool,
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.cell, &other.cell) {
            (Cell::Unknown, _) | (_, Cell::Unknown) => self.cell.cmp(&other.cell),
            _ if self.descending => other.cell.cmp(&self.cell),
            _ => self.cell.cmp(&other.cell),
        }
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Alert;
    use crate::Connection;
    use crate::DropCount;
    use crate::Fd;
    use crate::LatencyBuckets;
    use crate::Quality;
    use crate::Traffic;

    fn cell<T: Fields + Default>(record: &T, name: &str) -> Cell {
        Column::named(name).expect("there is such a column").cell(record)
    }

    #[test]
    fn a_cell_is_what_its_name_says() {
        let quality = Quality {
            latency: crate::Latency { p99_ns: 9, samples: 1, ..Default::default() },
            peak_out: 5,
            retransmitted_packets: 7,
            ..Quality::default()
        };
        let connection = Connection {
            id: 3,
            uid: u32::MAX,
            protocol: 6,
            flags: 0b101,
            state: 1,
            sent: Traffic { packets: 1, buffers: 2, bytes: 3, payload: 4 },
            received: Traffic { payload: 8, ..Traffic::ZERO },
            quality,
            drop_reasons: [(5, 2), (0, 0), (0, 0)]
                .map(|(reason, packets)| DropCount { reason, packets }),
            ..Connection::default()
        };
        for (name, expected) in [
            ("id", Cell::Integer(3)),
            ("protocol", Cell::Text("tcp".into())),
            ("state", Cell::Text("established".into())),
            ("flags", Cell::Text("forwarded,reset".into())),
            ("uid", Cell::Unknown),
            ("sent_packets", Cell::Integer(1)),
            ("sent_payload", Cell::Integer(4)),
            ("received_packets", Cell::Integer(0)),
            ("received_payload", Cell::Integer(8)),
            ("latency_samples", Cell::Integer(1)),
            ("latency_p99_ns", Cell::Integer(9)),
            ("retransmitted_packets", Cell::Integer(7)),
            ("peak_out", Cell::Integer(5)),
            ("drop_reasons", Cell::Text("5:2".into())),
        ] {
            assert_eq!(cell(&connection, name), expected, "{name}");
        }
        let fd = Fd { active_connections: 6, quality, ..Fd::default() };
        assert_eq!(cell(&fd, "command"), Cell::Unknown);
        assert_eq!(cell(&fd, "active_connections"), Cell::Integer(6));
        assert_eq!(cell(&fd, "peak_out"), Cell::Integer(5));
        let octave = LatencyBuckets { samples: [0, 1, 2, 3, 4, 5, 6, 7], ..Default::default() };
        assert_eq!(cell(&octave, "samples_7"), Cell::Integer(7));
        assert_eq!(cell(&Alert { value: 5, ..Alert::default() }, "value"), Cell::Integer(5));
    }

    #[test]
    fn names_that_are_none_are_answered_with_those_that_are() {
        let error = Column::<Connection>::list("id, sent_bites").expect_err("there is none");
        let text = error.to_string();
        assert!(
            text.starts_with("there is no field `sent_bites`; there are id, netns, "),
            "{text}"
        );
        assert!(text.ends_with(", drop_reasons, losses, discards"), "{text}");
    }

    #[test]
    fn quantities_come_largest_first_names_smallest_first_and_the_unknown_last() {
        let of = |id, uid, bytes| Connection {
            id,
            uid,
            sent: Traffic { bytes, ..Traffic::ZERO },
            ..Connection::default()
        };
        let sorted = |by: &str| {
            let mut records = [of(1, 5, 20), of(2, u32::MAX, 30), of(3, 4, 20)];
            Sort::named(by).expect("it is a column").sort(&mut records);
            records.map(|record| record.id)
        };
        assert_eq!(sorted("sent_bytes"), [2, 1, 3]);
        assert_eq!(sorted("+sent_bytes"), [1, 3, 2]);
        assert_eq!(sorted("id"), [1, 2, 3]);
        assert_eq!(sorted("-id"), [3, 2, 1]);
        assert_eq!(sorted("uid"), [3, 1, 2]);
        assert_eq!(sorted("-uid"), [1, 3, 2]);
        assert_eq!(sorted("sent_packets"), [1, 2, 3]);
    }
}
