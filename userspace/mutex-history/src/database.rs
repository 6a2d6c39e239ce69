// SPDX-License-Identifier: MIT OR Apache-2.0

//! The file: its tables, and what is written into them.

use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use mutex_stats::Alert;
use mutex_stats::alert_kind_name;
use mutex_stats::alert_message;
use mutex_stats::command_text;
use mutex_stats::scope_name;
use mutex_stats::severity_name;
use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Transaction;
use rusqlite::TransactionBehavior;
use rusqlite::params;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use crate::Error;
use crate::Finding;
use crate::GroupOf;
use crate::Latency;
use crate::error::Result;
use crate::interval::Baseline;
use crate::series::COUNTERS;
use crate::series::GAUGES;
use crate::series::GROUP_COUNTERS;
use crate::series::GroupCounters;
use crate::series::LOSSES;
use crate::series::Sums;
use crate::settings::Settings;
use crate::settings::nanoseconds;

/// "MUTX", what says whose database it is.
const APPLICATION: i64 = 0x4d55_5458;
/// The version of its tables.
const VERSION: i64 = 1;
/// How long a lock of somebody else is waited for.
const BUSY: Duration = Duration::from_secs(2);
/// Bytes that the write-ahead log is cut back to.
const LOG_BYTES: i64 = 4 << 20;

/// The database, open for writing.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Connection,
    path: PathBuf,
    /// Device and inode, to notice that it is not there any more.
    file: (u64, u64),
}

/// What cannot be had as an `i64` is the largest; a moment in the year 2262, an uncommon number.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// For what was written by [`integer`].
pub(crate) fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn schema() -> String {
    let counters = |names: &[&str]| {
        names.iter().fold(String::new(), |mut text, name| {
            // Writing into a string cannot fail.
            let _ = write!(text, ", {name} INTEGER NOT NULL");
            text
        })
    };
    let gauges = GAUGES.iter().fold(String::new(), |text, name| {
        let columns = ["min", "max", "last", "sum"].map(|of| format!("{name}_{of}"));
        text + &counters(&columns.each_ref().map(String::as_str))
    });
    format!(
        "
-- What is kept how finely: rows from `complete_from_ns` on are all there. Step 0 is a row a snapshot.
CREATE TABLE tier (step_ns INTEGER PRIMARY KEY, complete_from_ns INTEGER NOT NULL);
-- The host. `time_ns` is when the row's time began, of step 0 when it ended.
CREATE TABLE host (step_ns INTEGER NOT NULL, time_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL,
    samples INTEGER NOT NULL{host}{gauges}, latency BLOB NOT NULL,
    PRIMARY KEY (step_ns, time_ns)) WITHOUT ROWID;
-- Groups of connections. `of` is 0 for all others, 1 where the key is not known, 2 for `name`.
CREATE TABLE groups (step_ns INTEGER NOT NULL, time_ns INTEGER NOT NULL, key TEXT NOT NULL,
    of INTEGER NOT NULL, name TEXT NOT NULL{groups},
    PRIMARY KEY (step_ns, time_ns, key, of, name)) WITHOUT ROWID;
CREATE TABLE alert (id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, number INTEGER NOT NULL,
    severity TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL, subject INTEGER NOT NULL,
    threshold INTEGER NOT NULL, value INTEGER NOT NULL, pid INTEGER NOT NULL, command TEXT,
    message TEXT NOT NULL);
CREATE INDEX alert_by_time ON alert (time_ns);
CREATE TABLE finding (id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, kind TEXT NOT NULL,
    reason TEXT NOT NULL, series TEXT, value REAL, median REAL, spread REAL, score REAL);
CREATE INDEX finding_by_time ON finding (time_ns);
-- What the next snapshot is compared with.
CREATE TABLE last (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB NOT NULL, latency BLOB NOT NULL);
",
        host = counters(&COUNTERS),
        groups = counters(&GROUP_COUNTERS),
    )
}

/// The statement that adds to a row of the host, or begins it.
fn add_host() -> String {
    let mut columns = String::from("step_ns, time_ns, duration_ns, samples");
    let mut sums = String::from(
        "duration_ns = duration_ns + excluded.duration_ns, samples = samples + excluded.samples",
    );
    for name in COUNTERS {
        let _ = write!(columns, ", {name}");
        let _ = write!(sums, ", {name} = {name} + excluded.{name}");
    }
    for name in GAUGES {
        let _ = write!(columns, ", {name}_min, {name}_max, {name}_last, {name}_sum");
        let _ = write!(
            sums,
            ", {name}_min = min({name}_min, excluded.{name}_min), \
             {name}_max = max({name}_max, excluded.{name}_max), {name}_last = excluded.{name}_last, \
             {name}_sum = {name}_sum + excluded.{name}_sum"
        );
    }
    let places = vec!["?"; 5 + COUNTERS.len() + 4 * GAUGES.len()].join(", ");
    format!(
        "INSERT INTO host ({columns}, latency) VALUES ({places}) \
         ON CONFLICT DO UPDATE SET {sums}, latency = excluded.latency"
    )
}

/// The statement that adds to a group, or begins it.
fn add_group() -> String {
    let columns = GROUP_COUNTERS.join(", ");
    let sums = GROUP_COUNTERS.map(|name| format!("{name} = {name} + excluded.{name}")).join(", ");
    let places = vec!["?"; 5 + GROUP_COUNTERS.len()].join(", ");
    format!(
        "INSERT INTO groups (step_ns, time_ns, key, of, name, {columns}) VALUES ({places}) \
         ON CONFLICT DO UPDATE SET {sums}"
    )
}

/// When the row of a step that a snapshot belongs to began. What ended with the step belongs to it.
pub(crate) fn begin(time_ns: u64, step_ns: u64) -> u64 {
    match step_ns {
        0 => time_ns,
        _ => time_ns.saturating_sub(1) / step_ns * step_ns,
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    path.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The files that `SQLite` has beside a database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

impl Database {
    /// Opens the database, or makes it.
    pub fn open(path: &Path, settings: &Settings) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(Error::File)?;
        }
        // SQLite itself makes nothing of an error of the system but "unable to open database file".
        let mut options = fs::OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::File)?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(64);
        // Before there is a table, or it has no effect.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // What is confirmed is on the disk, even if the power fails the moment after.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
        connection.pragma_update(None, "cache_size", -4096)?;
        let begin = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        prepare(&begin, settings)?;
        begin.commit()?;
        let file = identity(path).map_err(Error::File)?;
        Ok(Database { connection, path: path.to_owned(), file })
    }

    /// Whether the file that is open is the one that others find.
    pub fn is_there(&self) -> bool {
        identity(&self.path).is_ok_and(|file| file == self.file)
    }

    pub fn begin(&mut self) -> Result<Transaction<'_>> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Bytes of the pages that hold something.
    pub fn used_bytes(&self) -> Result<u64> {
        used_bytes(&self.connection)
    }

    /// Bytes of the file and of its log.
    pub fn file_bytes(&self) -> u64 {
        let of = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
        of(&self.path) + of(&beside(&self.path, "-wal"))
    }

    /// How many rows there are of what.
    pub fn rows(&self) -> Result<[(&'static str, u64); 4]> {
        let count = |table: &'static str| -> Result<_> {
            let sql = format!("SELECT count(*) FROM {table}");
            let count = self.connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
            Ok((table, natural(count)))
        };
        Ok([count("host")?, count("groups")?, count("alert")?, count("finding")?])
    }
}

pub(crate) fn used_bytes(connection: &Connection) -> Result<u64> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(natural(pages) * natural(number("page_size")?))
}

/// Makes the tables, or says what is wrong with those that are there.
fn prepare(begin: &Transaction<'_>, settings: &Settings) -> Result<()> {
    check(begin)?.map_or_else(
        || {
            begin.execute_batch(&schema())?;
            begin.pragma_update(None, "application_id", APPLICATION)?;
            begin.pragma_update(None, "user_version", VERSION)?;
            Ok::<_, Error>(())
        },
        |()| add_losses(begin),
    )?;
    let newest: i64 =
        begin.query_row("SELECT coalesce(max(time_ns), 0) FROM host", [], |row| row.get(0))?;
    let steps: Vec<i64> =
        settings.tiers.iter().map(|tier| integer(nanoseconds(tier.step))).collect();
    let known: Vec<i64> = begin
        .prepare("SELECT step_ns FROM tier")?
        .query_map([], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    for step in known.iter().filter(|step| !steps.contains(step)) {
        for table in ["tier", "host", "groups"] {
            begin.execute(&format!("DELETE FROM {table} WHERE step_ns = ?"), [step])?;
        }
    }
    let coarsest = steps.last().copied().unwrap_or(1).max(1);
    for step in steps.iter().filter(|step| !known.contains(step)) {
        // A tier that is new has nothing of before; it begins where all tiers begin a row.
        let from = if newest == 0 {
            0
        } else {
            (newest / coarsest).saturating_add(1).saturating_mul(coarsest)
        };
        begin.execute("INSERT INTO tier VALUES (?, ?)", [*step, from])?;
    }
    Ok(())
}

/// Adds the counter of losses to a database of before there was one.
fn add_losses(begin: &Transaction<'_>) -> Result<()> {
    if has_losses(begin)? {
        return Ok(());
    }
    begin.execute_batch(&format!(
        "ALTER TABLE host ADD COLUMN {LOSSES} INTEGER NOT NULL DEFAULT 0;
         UPDATE host SET {LOSSES} = drops;"
    ))?;
    Ok(())
}

/// Whether there is a column for losses: older databases count all drops as such.
pub(crate) fn has_losses(connection: &Connection) -> Result<bool> {
    let sql = "SELECT count(*) FROM pragma_table_info('host') WHERE name = ?";
    Ok(connection.query_row(sql, [LOSSES], |row| row.get::<_, i64>(0))? > 0)
}

/// Whether it is a history of a version that is known; `None` if it is empty.
pub(crate) fn check(connection: &Connection) -> Result<Option<()>> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application == APPLICATION {
        return if version == VERSION {
            Ok(Some(()))
        } else {
            Err(Error::Version { found: version, known: VERSION })
        };
    }
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 && application == 0 { Ok(None) } else { Err(Error::NotAHistory) }
}

pub(crate) fn last(connection: &Connection) -> Result<Option<Baseline>> {
    let mut statement = connection.prepare_cached("SELECT state, latency FROM last")?;
    let row = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((state, latency)): Option<(Vec<u8>, Vec<u8>)> = row else { return Ok(None) };
    let wrong = || Error::Corrupted("the last snapshot is none".to_owned());
    Baseline::from_bytes(&state, &latency).ok_or_else(wrong).map(Some)
}

/// Writes, all within one transaction.
pub(crate) struct Writing<'a>(pub &'a Transaction<'a>);

impl Writing<'_> {
    pub fn last(&self, baseline: &Baseline) -> Result<()> {
        let (state, latency) = baseline.to_bytes();
        let sql = "INSERT INTO last VALUES (1, ?, ?) \
                   ON CONFLICT DO UPDATE SET state = excluded.state, latency = excluded.latency";
        self.0.prepare_cached(sql)?.execute(params![state, latency])?;
        Ok(())
    }

    /// Adds to the row of a tier that the time belongs to.
    pub fn host(&self, step_ns: u64, time_ns: u64, sums: &Sums) -> Result<()> {
        let begin = integer(begin(time_ns, step_ns));
        let sql = "SELECT latency FROM host WHERE step_ns = ? AND time_ns = ?";
        let mut statement = self.0.prepare_cached(sql)?;
        let key = [integer(step_ns), begin];
        let before: Option<Vec<u8>> = statement.query_row(key, |row| row.get(0)).optional()?;
        let mut latency = sums.latency.clone();
        if let Some(before) = before {
            latency.add(&read_latency(&before)?);
        }
        let mut values: Vec<Value> =
            vec![integer(step_ns).into(), begin.into(), integer(sums.duration_ns).into()];
        values.push(integer(sums.samples).into());
        values.extend(sums.counters.map(|counter| Value::from(integer(counter))));
        for gauge in &sums.gauges {
            let numbers = [gauge.min, gauge.max, gauge.last, gauge.sum];
            values.extend(numbers.map(|number| Value::from(integer(number))));
        }
        values.push(latency.to_bytes().into());
        self.0.prepare_cached(&add_host())?.execute(params_from_iter(values))?;
        Ok(())
    }

    /// Adds to the groups of a tier. Where they become too many, the smallest join all others.
    pub fn groups(
        &self,
        step_ns: u64,
        time_ns: u64,
        key: &str,
        groups: &[(GroupOf, GroupCounters)],
        top: usize,
    ) -> Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        let (step, time) = (integer(step_ns), integer(begin(time_ns, step_ns)));
        let sql = add_group();
        for (of, counters) in groups {
            self.group(&sql, (step, time, key), of, counters)?;
        }
        if step_ns == 0 {
            return Ok(());
        }
        let at = params![step, time, key];
        let sql =
            "SELECT count(*) FROM groups WHERE step_ns = ? AND time_ns = ? AND key = ? AND of > 0";
        let count: i64 = self.0.prepare_cached(sql)?.query_row(at, |row| row.get(0))?;
        if count > integer(4 * top as u64) {
            self.fold(step, time, key, top)?;
        }
        Ok(())
    }

    fn group(
        &self,
        sql: &str,
        (step, time, key): (i64, i64, &str),
        of: &GroupOf,
        counters: &GroupCounters,
    ) -> Result<()> {
        let (of, name) = match of {
            GroupOf::Other => (0, ""),
            GroupOf::Unknown => (1, ""),
            GroupOf::Named(name) => (2, name.as_str()),
        };
        let mut values: Vec<Value> = vec![step.into(), time.into(), key.to_owned().into()];
        values.extend([Value::from(of), name.to_owned().into()]);
        values.extend(counters.map(|counter| Value::from(integer(counter))));
        self.0.prepare_cached(sql)?.execute(params_from_iter(values))?;
        Ok(())
    }

    /// Leaves the `top` largest groups of a row.
    fn fold(&self, step: i64, time: i64, key: &str, top: usize) -> Result<()> {
        let bytes = "sent_bytes + received_bytes + forwarded_sent_bytes + forwarded_received_bytes";
        let columns = GROUP_COUNTERS.join(", ");
        let sql = format!(
            "SELECT of, name, {columns} FROM groups \
             WHERE step_ns = ? AND time_ns = ? AND key = ? AND of > 0 \
             ORDER BY {bytes} DESC, of, name LIMIT -1 OFFSET ?"
        );
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut rows = statement.query(params![step, time, key, integer(top as u64)])?;
        let (mut small, mut sum) = (Vec::new(), [0u64; GROUP_COUNTERS.len()]);
        while let Some(row) = rows.next()? {
            small.push((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
            for (place, counter) in sum.iter_mut().enumerate() {
                *counter = counter.saturating_add(natural(row.get(2 + place)?));
            }
        }
        drop(rows);
        let sql = "DELETE FROM groups \
                   WHERE step_ns = ? AND time_ns = ? AND key = ? AND of = ? AND name = ?";
        for (of, name) in small {
            self.0.prepare_cached(sql)?.execute(params![step, time, key, of, name])?;
        }
        self.group(&add_group(), (step, time, key), &GroupOf::Other, &sum)
    }

    pub fn alert(&self, alert: &Alert) -> Result<()> {
        let sql = "INSERT INTO alert (time_ns, number, severity, kind, scope, subject, threshold, value, \
                   pid, command, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.0.prepare_cached(sql)?.execute(params![
            integer(alert.time_ns),
            integer(alert.number),
            severity_name(alert.severity),
            alert_kind_name(alert.kind),
            scope_name(alert.scope),
            integer(alert.subject),
            integer(alert.threshold),
            integer(alert.value),
            alert.pid,
            command_text(&alert.command),
            alert_message(alert),
        ])?;
        Ok(())
    }

    pub fn finding(&self, finding: &Finding) -> Result<()> {
        let sql = "INSERT INTO finding (time_ns, kind, reason, series, value, median, spread, score) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        let score = finding.score.as_ref();
        self.0.prepare_cached(sql)?.execute(params![
            integer(finding.time_ns),
            finding.kind.name(),
            finding.reason,
            score.map(|score| &score.series),
            score.map(|score| score.value),
            score.map(|score| score.median),
            score.map(|score| score.spread),
            score.map(|score| score.score),
        ])?;
        Ok(())
    }
}

pub(crate) fn read_latency(bytes: &[u8]) -> Result<Latency> {
    let wrong = || Error::Corrupted("a histogram of latency is none".to_owned());
    Latency::from_bytes(bytes).ok_or_else(wrong)
}
