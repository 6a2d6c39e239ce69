// SPDX-License-Identifier: MIT OR Apache-2.0

//! Asking a history, also while somebody writes into it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension;
use rusqlite::Row;
use rusqlite::params;

use crate::Error;
use crate::Finding;
use crate::FindingKind;
use crate::GroupOf;
use crate::Score;
use crate::database::beside;
use crate::database::check;
use crate::database::has_losses;
use crate::database::integer;
use crate::database::natural;
use crate::database::read_latency;
use crate::error::Result;
use crate::series::COUNTERS;
use crate::series::GAUGES;
use crate::series::GROUP_COUNTERS;
use crate::series::Gauge;
use crate::series::GroupCounters;
use crate::series::LOSSES;
use crate::series::Sums;
use crate::settings::nanoseconds;

/// How long a lock of somebody else is waited for.
const BUSY: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// What ended later than that, Unix time. It is rounded down to a whole step.
    pub since_ns: u64,
    /// What ended by then.
    pub until_ns: u64,
    /// A row has so much time; zero: as fine as it is kept. What is too old to be kept so finely
    /// comes in larger rows.
    pub step: Duration,
    /// More rows than that are refused.
    pub limit: usize,
}

impl Default for Range {
    /// Everything as fine as it is, up to a million rows.
    fn default() -> Self {
        Range { since_ns: 0, until_ns: u64::MAX, step: Duration::ZERO, limit: 1_000_000 }
    }
}

/// What the host did in a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// When it began, Unix time.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// What happened.
    pub sums: Sums,
}

/// What a group of connections did in a stretch of time. All groups with the same time are what the
/// host did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// When it began, Unix time.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Which group.
    pub of: GroupOf,
    /// What it did, in the order of [`GROUP_COUNTERS`].
    pub counters: GroupCounters,
}

impl GroupRow {
    /// How far the counter of that name went.
    #[must_use]
    pub fn counter(&self, name: &str) -> Option<u64> {
        GROUP_COUNTERS.iter().position(|other| *other == name).map(|place| self.counters[place])
    }
}

/// An alert of the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    /// When it was raised, Unix time.
    pub time_ns: u64,
    /// Its number since the module was loaded.
    pub number: u64,
    /// In words, as all others.
    pub severity: String,
    /// What was too much.
    pub kind: String,
    /// What it is about.
    pub scope: String,
    /// The id of that.
    pub subject: u64,
    /// In the unit of its kind.
    pub threshold: u64,
    /// What was found.
    pub value: u64,
    /// Of the owner, 0 if unknown.
    pub pid: u64,
    /// Of the owner.
    pub command: Option<String>,
    /// What was found and what can be done.
    pub message: String,
}

/// Reads a history. Nothing is ever written.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

/// A part of an answer: rows of one tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    step: u64,
    from: u64,
    until: u64,
}

impl Reader {
    /// Opens the database at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::NotAHistory`], [`Error::Version`], and what a damaged database
    /// gives.
    pub fn open(path: &Path) -> Result<Self> {
        if let Err(error) = path.metadata() {
            return Err(match error.kind() {
                std::io::ErrorKind::NotFound => Error::Missing { path: path.to_owned() },
                _ => Error::File(error),
            });
        }
        std::fs::File::open(path).map_err(Error::File)?;
        let connection = match Self::connect(path) {
            // Without its log nobody writes into it. Then it can be read even where the log's index,
            // which SQLite otherwise needs, must not be made.
            Err(Error::Database(_)) if !beside(path, "-wal").exists() => Self::connect_alone(path)?,
            result => result?,
        };
        Ok(Reader { connection })
    }

    fn connect(path: &Path) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self::checked(Connection::open_with_flags(path, flags)?)
    }

    fn connect_alone(path: &Path) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let absolute = std::path::absolute(path).map_err(Error::File)?;
        let mut uri = String::from("file://");
        for &byte in absolute.as_os_str().as_encoded_bytes() {
            match byte {
                b'/' | b'-' | b'.' | b'_' => uri.push(byte.into()),
                _ if byte.is_ascii_alphanumeric() => uri.push(byte.into()),
                // Writing into a string cannot fail.
                _ => drop(write!(uri, "%{byte:02x}")),
            }
        }
        Self::checked(Connection::open_with_flags(uri + "?immutable=1", flags)?)
    }

    fn checked(connection: Connection) -> Result<Connection> {
        connection.busy_timeout(BUSY)?;
        check(&connection)?.ok_or(Error::NotAHistory)?;
        Ok(connection)
    }

    /// When the first row that is kept began and the last one ended; `None` while there is none.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn span(&self) -> Result<Option<(u64, u64)>> {
        let steps: Vec<i64> = self
            .connection
            .prepare("SELECT step_ns FROM tier ORDER BY step_ns")?
            .query_map([], |row| row.get(0))?
            .collect::<std::result::Result<_, _>>()?;
        let mut span: Option<(i64, i64)> = None;
        for step in steps {
            let end = |order: &str| {
                let sql = format!(
                    "SELECT time_ns, duration_ns FROM host WHERE step_ns = ? ORDER BY time_ns {order} LIMIT 1"
                );
                let ends = |row: &Row<'_>| Ok::<(i64, i64), _>((row.get(0)?, row.get(1)?));
                self.connection.query_row(&sql, [step], ends).optional()
            };
            let (Some((first, duration)), Some((last, _))) = (end("ASC")?, end("DESC")?) else {
                continue;
            };
            let first = if step == 0 { first.saturating_sub(duration) } else { first };
            let last = last.saturating_add(step);
            // The finest tier says best when the last one ended, the coarsest when the first began.
            span = Some(span.map_or((first, last), |(other, finest)| (other.min(first), finest)));
        }
        Ok(span.map(|(first, last)| (natural(first), natural(last))))
    }

    /// What the host did, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Query`] if there are too many rows, and those of the database.
    pub fn host(&self, range: &Range) -> Result<Vec<HostRow>> {
        let sql = format!("SELECT {} FROM host WHERE ", self.host_columns()?);
        let mut rows: BTreeMap<u64, HostRow> = BTreeMap::new();
        let begin = self.connection.unchecked_transaction()?;
        for part in self.parts(range)? {
            let sql = sql.clone() + part.condition();
            let mut statement = begin.prepare_cached(&sql)?;
            let mut found = statement.query(part.numbers())?;
            while let Some(row) = found.next()? {
                let sums = host_sums(row)?;
                let (start_ns, end_ns) = part.times(natural(row.get(0)?), sums.duration_ns, range);
                match rows.get_mut(&end_ns) {
                    Some(there) => there.sums.add(&sums),
                    None => {
                        rows.insert(end_ns, HostRow { start_ns, end_ns, sums });
                    }
                }
                refuse_many(rows.len(), range)?;
            }
        }
        Ok(rows.into_values().collect())
    }

    /// The columns of [`host_sums`].
    fn host_columns(&self) -> Result<String> {
        let mut columns =
            ["time_ns", "duration_ns", "samples", "latency"].map(String::from).to_vec();
        let losses = if has_losses(&self.connection)? { LOSSES } else { "drops" };
        let column = |name| if name == LOSSES { losses } else { name };
        columns.extend(COUNTERS.map(|name| column(name).to_owned()));
        for name in GAUGES {
            columns.extend(["min", "max", "last", "sum"].map(|of| format!("{name}_{of}")));
        }
        Ok(columns.join(", "))
    }

    /// The last rows of a tier, the oldest first.
    pub(crate) fn newest(&self, step_ns: u64, count: usize) -> Result<Vec<HostRow>> {
        let sql = format!(
            "SELECT {} FROM host WHERE step_ns = ? ORDER BY time_ns DESC LIMIT ?",
            self.host_columns()?
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut found = statement.query(params![integer(step_ns), integer(count as u64)])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let (time, sums) = (natural(row.get(0)?), host_sums(row)?);
            rows.push(HostRow { start_ns: time, end_ns: time.saturating_add(step_ns), sums });
        }
        rows.reverse();
        Ok(rows)
    }

    /// What the groups of a key did, the oldest first, of each time the largest first and all others
    /// last. The key is the name of a [`Key`](mutex_stats::Key) that is kept.
    ///
    /// # Errors
    ///
    /// As [`Reader::host`].
    pub fn groups(&self, key: &str, range: &Range) -> Result<Vec<GroupRow>> {
        let columns = GROUP_COUNTERS.join(", ");
        let sql = format!("SELECT time_ns, of, name, {columns} FROM groups WHERE ");
        let mut rows: BTreeMap<(u64, GroupOf), GroupRow> = BTreeMap::new();
        let begin = self.connection.unchecked_transaction()?;
        for part in self.parts(range)? {
            let sql = format!("{sql} {} AND key = ?4", part.condition());
            let mut statement = begin.prepare_cached(&sql)?;
            let [step, from, until] = part.numbers();
            let mut found = statement.query(params![step, from, until, key])?;
            while let Some(row) = found.next()? {
                let of = match row.get::<_, i64>(1)? {
                    0 => GroupOf::Other,
                    1 => GroupOf::Unknown,
                    _ => GroupOf::Named(row.get(2)?),
                };
                let mut counters = [0; GROUP_COUNTERS.len()];
                for (place, counter) in counters.iter_mut().enumerate() {
                    *counter = natural(row.get(3 + place)?);
                }
                let (start_ns, end_ns) = part.times(natural(row.get(0)?), 0, range);
                let there = rows.entry((end_ns, of.clone())).or_insert_with(|| GroupRow {
                    start_ns,
                    end_ns,
                    of,
                    counters: [0; GROUP_COUNTERS.len()],
                });
                for (sum, more) in there.counters.iter_mut().zip(counters) {
                    *sum = sum.saturating_add(more);
                }
                refuse_many(rows.len(), range)?;
            }
        }
        let mut rows: Vec<GroupRow> = rows.into_values().collect();
        rows.sort_by_cached_key(|row| {
            let bytes = GROUP_COUNTERS
                .iter()
                .zip(row.counters)
                .filter(|(name, _)| name.ends_with("_bytes"));
            let bytes = bytes.fold(0u64, |sum, (_, counter)| sum.saturating_add(counter));
            (row.end_ns, row.of == GroupOf::Other, std::cmp::Reverse(bytes))
        });
        Ok(rows)
    }

    /// The keys that there are groups of.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn keys(&self) -> Result<Vec<String>> {
        let mut statement =
            self.connection.prepare("SELECT DISTINCT key FROM groups ORDER BY key")?;
        let keys = statement.query_map([], |row| row.get(0))?;
        Ok(keys.collect::<std::result::Result<_, _>>()?)
    }

    /// The alerts, the oldest first. The step means nothing to them.
    ///
    /// # Errors
    ///
    /// As [`Reader::host`].
    pub fn alerts(&self, range: &Range) -> Result<Vec<AlertRow>> {
        let columns = "time_ns, number, severity, kind, scope, subject, threshold, value, pid, command, message";
        self.listed("alert", columns, range, |row| {
            Ok(AlertRow {
                time_ns: natural(row.get(0)?),
                number: natural(row.get(1)?),
                severity: row.get(2)?,
                kind: row.get(3)?,
                scope: row.get(4)?,
                subject: natural(row.get(5)?),
                threshold: natural(row.get(6)?),
                value: natural(row.get(7)?),
                pid: natural(row.get(8)?),
                command: row.get(9)?,
                message: row.get(10)?,
            })
        })
    }

    /// What was found, the oldest first. The step means nothing to it.
    ///
    /// # Errors
    ///
    /// As [`Reader::host`].
    pub fn findings(&self, range: &Range) -> Result<Vec<Finding>> {
        let columns = "time_ns, kind, reason, series, value, median, spread, score";
        self.listed("finding", columns, range, |row| {
            let name: String = row.get(1)?;
            let kind = FindingKind::ALL.into_iter().find(|kind| kind.name() == name);
            let score = match row.get(3)? {
                Some(series) => Some(Score {
                    series,
                    value: row.get(4)?,
                    median: row.get(5)?,
                    spread: row.get(6)?,
                    score: row.get(7)?,
                }),
                None => None,
            };
            Ok(Finding {
                time_ns: natural(row.get(0)?),
                kind: kind.unwrap_or(FindingKind::Unusual),
                reason: row.get(2)?,
                score,
            })
        })
    }

    /// Looks at every page. That takes as long as reading the whole file.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupted`] with the first thing that is wrong.
    pub fn check(&self) -> Result<()> {
        let sql = "PRAGMA integrity_check(1)";
        let said: String = self.connection.query_row(sql, [], |row| row.get(0))?;
        if said == "ok" { Ok(()) } else { Err(Error::Corrupted(said)) }
    }

    fn listed<T>(
        &self,
        table: &str,
        columns: &str,
        range: &Range,
        each: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE time_ns > ? AND time_ns <= ? ORDER BY time_ns, id"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let since = if range.since_ns == 0 { -1 } else { integer(range.since_ns) };
        let mut found = statement.query(params![since, integer(range.until_ns)])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push(each(row)?);
            refuse_many(rows.len(), range)?;
        }
        Ok(rows)
    }

    /// Which tiers the answer is made of. The finest of them that is not finer than needed has what
    /// it has completely; what is older comes from coarser ones.
    fn parts(&self, range: &Range) -> Result<Vec<Part>> {
        let wanted = nanoseconds(range.step);
        let mut statement = self
            .connection
            .prepare_cached("SELECT step_ns, complete_from_ns FROM tier ORDER BY step_ns")?;
        let tiers: Vec<(u64, u64)> = statement
            .query_map([], |row| Ok((natural(row.get(0)?), natural(row.get(1)?))))?
            .collect::<std::result::Result<_, _>>()?;
        let fits = |step: u64| step == 0 || (step <= wanted && wanted % step == 0);
        let first = tiers.iter().rposition(|&(step, _)| fits(step)).unwrap_or(0);
        let (mut until, mut parts) = (range.until_ns, Vec::new());
        for (place, &(step, complete_from)) in tiers.iter().enumerate().skip(first) {
            let whole = wanted.max(step).max(1);
            let since = range.since_ns / whole * whole;
            let from = if place + 1 == tiers.len() { since } else { since.max(complete_from) };
            if from < until {
                parts.push(Part { step, from, until });
                until = from;
            }
            // A coarser row would have again what there is already.
            if complete_from <= since {
                break;
            }
        }
        Ok(parts)
    }
}

impl Part {
    fn condition(&self) -> &'static str {
        // The row of a snapshot has the time of its end.
        if self.step == 0 {
            "step_ns = ?1 AND time_ns > ?2 AND time_ns <= ?3"
        } else {
            "step_ns = ?1 AND time_ns >= ?2 AND time_ns < ?3"
        }
    }

    fn numbers(&self) -> [i64; 3] {
        [self.step, self.from, self.until].map(integer)
    }

    /// When the row of the answer that a row of the tier goes into begins and ends.
    fn times(&self, time: u64, duration: u64, range: &Range) -> (u64, u64) {
        let wanted = nanoseconds(range.step);
        if wanted == 0 && self.step == 0 {
            return (time.saturating_sub(duration), time);
        }
        let step = wanted.max(self.step);
        let inside = if self.step == 0 { time.saturating_sub(1) } else { time };
        // A row that is larger than what is wanted stays what it is.
        let start = if self.step > wanted { time } else { inside / step * step };
        (start, start.saturating_add(step))
    }
}

fn refuse_many(rows: usize, range: &Range) -> Result<()> {
    if rows <= range.limit {
        return Ok(());
    }
    let what = format!(
        "the answer has more than {} rows: ask for less time, or for a longer step",
        range.limit
    );
    Err(Error::Query(what))
}

fn host_sums(row: &Row<'_>) -> Result<Sums> {
    let number = |place: usize| row.get(place).map(natural);
    let latency: Vec<u8> = row.get(3)?;
    let mut sums = Sums {
        duration_ns: number(1)?,
        samples: number(2)?,
        latency: read_latency(&latency)?,
        ..Sums::default()
    };
    for (place, counter) in sums.counters.iter_mut().enumerate() {
        *counter = number(4 + place)?;
    }
    for (place, gauge) in sums.gauges.iter_mut().enumerate() {
        let first = 4 + COUNTERS.len() + 4 * place;
        *gauge = Gauge {
            min: number(first)?,
            max: number(first + 1)?,
            last: number(first + 2)?,
            sum: number(first + 3)?,
        };
    }
    Ok(sums)
}
