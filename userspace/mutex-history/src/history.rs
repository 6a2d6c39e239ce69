// SPDX-License-Identifier: MIT OR Apache-2.0

//! Recording.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use mutex_stats::Alert;

use crate::Error;
use crate::Finding;
use crate::FindingKind;
use crate::Reader;
use crate::Settings;
use crate::Snapshot;
use crate::database::Database;
use crate::database::Writing;
use crate::database::beside;
use crate::database::last;
use crate::error::Result;
use crate::groups::Known;
use crate::groups::attribute;
use crate::groups::groups;
use crate::interval::Baseline;
use crate::interval::Interval;
use crate::interval::Since;
use crate::retention;
use crate::series::Sums;
use crate::series::of_host;
use crate::settings::nanoseconds;
use crate::unusual::Detector;
use crate::unusual::Judged;

/// Folds snapshots into a database.
///
/// There is one that writes; any number of [`Reader`]s may read meanwhile.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    settings: Settings,
    /// `None` after a failure that another attempt may not have.
    database: Option<Database>,
    detector: Detector,
    /// Of the last snapshot that was recorded, where the database does not know it.
    baseline: Option<Baseline>,
    /// Attributed to the connections of the last snapshot, and which that was.
    known: Option<(Baseline, Known)>,
    /// What is to be told with the next snapshot.
    untold: Vec<String>,
    pub(crate) state: State,
}

/// How a history fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Snapshots that were recorded.
    pub recorded: u64,
    /// Snapshots that were no newer than the one before.
    pub stale: u64,
    /// Rows that were written with them: made, changed or replaced.
    pub written: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// Why the last attempt failed; `None` if it did not.
    pub trouble: Option<String>,
    /// Findings.
    pub findings: u64,
    /// Rows that were removed for their age or for the size of all.
    pub removed: u64,
    /// Databases that were damaged or gone.
    pub begun_anew: u64,
    /// Unix time of the last snapshot that was recorded.
    pub last_ns: u64,
    /// Rows by table, as last counted.
    pub rows: Vec<(&'static str, u64)>,
    /// Bytes of the database and its log.
    pub bytes: u64,
}

impl History {
    /// Where the daemon has it.
    pub const PATH: &str = "/var/lib/mutexd/history.db";

    /// How many snapshots are recorded before rows are counted again: that reads them all.
    const COUNT: u64 = 60;

    /// Opens the database at `path`, or makes it. One that is damaged is moved to `path` with
    /// `.damaged` behind it, in place of an older such one, and a new one is begun; the next snapshot's
    /// findings tell it.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`], [`Error::NotAHistory`] and [`Error::Version`], and that no file can be had
    /// there.
    pub fn open(path: &Path, settings: Settings) -> Result<Self> {
        settings.check()?;
        let mut history = History {
            path: path.to_owned(),
            detector: Detector::new(settings.unusual),
            settings,
            database: None,
            baseline: None,
            known: None,
            untold: Vec::new(),
            state: State::default(),
        };
        if let Err(error) = history.ready() {
            history.mend(error)?;
        }
        match history.remember() {
            Ok(()) => Ok(history),
            Err(error) => {
                history.mend(error)?;
                Ok(history)
            }
        }
    }

    /// Records a snapshot. What happened since the last one that was recorded is on the disk, in all
    /// tiers, when this returns `Ok`; otherwise nothing of it is, and what happened is recorded with the
    /// next one that can be.
    ///
    /// The very first snapshot is where counting begins. One that is not newer than the last changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Locked`], and what else the database gives. All may pass: go on with the
    /// next snapshot.
    pub fn record(&mut self, snapshot: &Snapshot) -> Result<Vec<Finding>> {
        let mut result = self.try_record(snapshot);
        if let Err(error @ Error::Corrupted(_)) = result {
            result = self.mend(error).and_then(|()| self.try_record(snapshot));
        }
        match &result {
            Ok(_) => self.state.trouble = None,
            Err(error) => {
                self.state.errors += 1;
                self.state.trouble = Some(error.to_string());
                // It is opened again next time: what failed may have been the file that was open.
                self.database = None;
            }
        }
        result
    }

    /// How it fares.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What it keeps.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks the database.
    ///
    /// # Errors
    ///
    /// Those of [`Reader::open`].
    pub fn reader(&self) -> Result<Reader> {
        Reader::open(&self.path)
    }

    /// The database, opened if it is not.
    fn ready(&mut self) -> Result<()> {
        if self.database.as_ref().is_some_and(|database| !database.is_there()) {
            self.database = None;
            let path = self.path.display();
            self.untold.push(format!("{path} was moved or deleted; a new history is begun"));
            self.state.begun_anew += 1;
        }
        if self.database.is_none() {
            self.database = Some(Database::open(&self.path, &self.settings)?);
        }
        Ok(())
    }

    /// Moves a damaged database aside and begins a new one. Gives any other error back.
    fn mend(&mut self, error: Error) -> Result<()> {
        let Error::Corrupted(what) = error else { return Err(error) };
        self.database = None;
        let aside = beside(&self.path, ".damaged");
        for suffix in ["-wal", "-shm", ""] {
            let moved = fs::rename(beside(&self.path, suffix), beside(&aside, suffix));
            match moved {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // What an older one has there is not this one's.
                    let _ = fs::remove_file(beside(&aside, suffix));
                }
                result => result.map_err(Error::File)?,
            }
        }
        let (path, aside) = (self.path.display(), aside.display());
        self.untold.push(format!(
            "{path} is damaged ({what}): it was moved to {aside}, and a new history is begun"
        ));
        self.state.begun_anew += 1;
        self.ready()
    }

    /// Lets the last rows be what is usual.
    fn remember(&mut self) -> Result<()> {
        let reader = self.reader()?;
        let step = self.settings.tiers.first().map_or(Duration::ZERO, |tier| tier.step);
        let rows = reader.newest(nanoseconds(step), self.settings.unusual.window)?;
        for row in rows {
            let judged = self.detector.judge(row.end_ns, &row.sums);
            self.detector.keep(&judged);
        }
        let newest = reader.span()?;
        self.state.last_ns = newest.map_or(0, |(_, last)| last);
        self.count();
        Ok(())
    }

    fn try_record(&mut self, snapshot: &Snapshot) -> Result<Vec<Finding>> {
        self.ready()?;
        let Some(database) = &mut self.database else { return Ok(Vec::new()) };
        let begin = database.begin()?;
        let changes = begin.total_changes();
        // The database knows best what was recorded last; a new one knows nothing.
        let before = last(&begin)?.or_else(|| self.baseline.clone());
        let time_ns = snapshot.header.time_ns;
        let mut judged = Judged::default();
        let mut all: Vec<Finding> = Vec::new();
        for reason in &self.untold {
            all.push(Finding::plain(time_ns, FindingKind::BegunAnew, reason.clone()));
        }
        let writing = Writing(&begin);
        let (baseline, known) = match Interval::between(before.as_ref(), snapshot) {
            Interval::Stale => {
                self.state.stale += 1;
                return Ok(Vec::new());
            }
            Interval::First(baseline) => {
                alerts(&writing, &snapshot.alerts, 0)?;
                let known = snapshot.connections.iter().map(|seen| (seen.id, seen.counters));
                (*baseline, known.collect())
            }
            Interval::Since(since) => {
                let Since { sums, is_anew, findings, baseline } = *since;
                all.extend(findings);
                if !is_anew {
                    judged = self.detector.judge(time_ns, &sums);
                    all.append(&mut judged.findings);
                }
                let known = self.known.as_ref();
                let known = known.filter(|(of, _)| before.as_ref().is_some_and(|b| b.is(of)));
                let known = known.map(|(_, known)| known);
                let known = write(&writing, &self.settings, snapshot, &sums, known, is_anew)?;
                let last = before.map_or(0, |before| before.last_alert(&baseline));
                alerts(&writing, &snapshot.alerts, last)?;
                (baseline, known)
            }
        };
        all.iter().try_for_each(|finding| writing.finding(finding))?;
        writing.last(&baseline)?;
        let written = begin.total_changes().saturating_sub(changes);
        begin.commit()?;

        self.detector.keep(&judged);
        self.untold.clear();
        self.state.recorded += 1;
        self.state.written += written;
        self.state.findings += all.len() as u64;
        self.state.last_ns = time_ns;
        self.known = Some((baseline.clone(), known));
        let is_doubted = baseline.boottime_ns < baseline.doubted_until_ns;
        self.baseline = Some(baseline);
        self.tidy((!is_doubted).then_some(time_ns));
        Ok(all)
    }

    /// Removes what is not to be kept. The snapshot is recorded whether that can be done or not.
    fn tidy(&mut self, now_ns: Option<u64>) {
        let Some(database) = &mut self.database else { return };
        let by_age = now_ns.map_or(Ok(0), |now| retention::by_age(database, &self.settings, now));
        let by_size = retention::by_size(database, &self.settings);
        for result in [by_age, by_size] {
            match result {
                Ok(removed) => self.state.removed += removed,
                // It is tried again after the next snapshot, and what is damaged is met there.
                Err(_) => self.state.errors += 1,
            }
        }
        if self.state.recorded % Self::COUNT == 1 {
            self.count();
        } else {
            self.state.bytes = self.database.as_ref().map_or(0, Database::file_bytes);
        }
    }

    fn count(&mut self) {
        let Some(database) = &self.database else { return };
        self.state.bytes = database.file_bytes();
        if let Ok(rows) = database.rows() {
            self.state.rows = rows.to_vec();
        }
    }
}

/// Writes what happened into all tiers; how far connections are attributed now.
fn write(
    writing: &Writing<'_>,
    settings: &Settings,
    snapshot: &Snapshot,
    sums: &Sums,
    known: Option<&Known>,
    is_anew: bool,
) -> Result<Known> {
    let time_ns = snapshot.header.time_ns;
    let host = of_host(&sums.counters);
    let (known, moved) = attribute(snapshot, known, is_anew, &host);
    let by_key: Vec<_> =
        settings.keys.iter().map(|&key| (key, groups(key, &moved, settings.top, &host))).collect();
    for tier in &settings.tiers {
        let step = nanoseconds(tier.step);
        writing.host(step, time_ns, sums)?;
        for (key, groups) in &by_key {
            writing.groups(step, time_ns, key.name(), groups, settings.top)?;
        }
    }
    Ok(known)
}

/// Writes the alerts that came after the one with the number `last`.
fn alerts(writing: &Writing<'_>, alerts: &[Alert], last: u64) -> Result<()> {
    alerts.iter().filter(|alert| alert.number > last).try_for_each(|alert| writing.alert(alert))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_room_it_is_said_and_recorded_later() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("h.db");
        let mut history = History::open(&path, Settings::default()).expect("there is room");
        let mut snapshot = Snapshot::default();
        let mut look = |history: &mut History| {
            snapshot.header.time_ns += 1_000_000_000;
            snapshot.header.boottime_ns += 1_000_000_000;
            snapshot.status.uptime_ns += 1_000_000_000;
            snapshot.totals.sent.bytes += 10;
            history.record(&snapshot)
        };
        look(&mut history).expect("there is room");
        let database = history.database.as_ref().expect("it is open");
        let pages = database.connection().pragma_query_value(None, "page_count", |row| row.get(0));
        let pages: i64 = pages.expect("it is open");
        let bounded = database.connection();
        bounded
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .expect("it is open");
        let failed =
            (1..1000).find_map(|count| look(&mut history).err().map(|error| (count, error)));
        let (count, error) = failed.expect("it cannot grow");
        assert!(matches!(error, Error::Full), "{error:?}");
        assert!(history.state().trouble.as_deref().is_some_and(|what| what.contains("no room")));
        // It was opened again, so that it can grow.
        look(&mut history).expect("there is room");
        let rows = history.reader().and_then(|reader| reader.host(&crate::Range::default()));
        let rows = rows.expect("it can be read");
        let sent: u64 = rows.iter().filter_map(|row| row.sums.counter("sent_bytes")).sum();
        assert_eq!((sent, rows.len()), ((count + 1) * 10, usize::try_from(count).unwrap_or(0)));
        assert_eq!(history.state().trouble, None);
    }
}
