// SPDX-License-Identifier: MIT OR Apache-2.0

//! Keeps events, within bounds.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;

use super::Counts;
use super::Entry;
use super::Error;
use super::ExportFormat;
use super::Health;
use super::HealthStatus;
use super::Kept;
use super::Settings;
use super::Severity;
use super::Source;
use super::Statistics;
use super::export;
use super::peers::Peers;
use super::statistics::Tally;
use crate::Clock;
use crate::SystemClock;

/// Called with each event that is bad enough to be logged.
type Log = Box<dyn Fn(&Kept) + Send + Sync>;

/// Keeps the last events, within the bounds of its [`Settings`], for as many threads as there are.
///
/// Each event that is taken gets the next number, and is counted until the end: as one that is kept,
/// or as one that had to go, and why.
///
/// ```
/// use mutex_stats::diagnostics::{Entry, Query, Recorder, Severity};
///
/// let recorder = Recorder::new(1000);
/// recorder.record(Entry::peer_connected("alice", "192.0.2.1:8333"))?;
/// recorder.record(Entry::error("alice", "timed out", "handshake"))?;
///
/// let errors = recorder.events(&Query { severity: Severity::Error, ..Query::last(50) })?;
/// assert_eq!(errors[0].entry.message, "handshake: timed out");
/// assert_eq!(recorder.statistics()?.active_peers, 1);
/// # Ok::<(), mutex_stats::diagnostics::Error>(())
/// ```
pub struct Recorder {
    settings: Settings,
    clock: Arc<dyn Clock>,
    log: Option<Log>,
    refused: AtomicU64,
    /// Unix time.
    began_ns: u64,
    state: Mutex<State>,
}

/// An event that is kept, with what it takes to let it go.
struct Slot {
    kept: Arc<Kept>,
    /// When it was recorded, by the clock that nobody sets.
    at: Duration,
    size: usize,
    /// Whether it is counted as another kind.
    is_other: bool,
}

impl Slot {
    fn counted_as(&self) -> &str {
        if self.is_other { Tally::OTHER } else { self.kept.entry.kind.name() }
    }
}

struct State {
    is_closed: bool,
    slots: VecDeque<Slot>,
    memory: usize,
    recorded: u64,
    total: Tally,
    kept: Tally,
    evicted: u64,
    /// When the last that was evicted had been recorded.
    last_evicted: Option<Duration>,
    expired: u64,
    cleared: u64,
    peers: Peers,
    cleaned: Duration,
}

impl State {
    /// Lets go the oldest; when it was recorded.
    fn pop(&mut self) -> Option<Duration> {
        let slot = self.slots.pop_front()?;
        self.memory -= slot.size;
        self.kept.remove(slot.counted_as(), slot.kept.entry.severity);
        Some(slot.at)
    }

    /// Lets go what is too old; how many that are.
    fn clean_up(&mut self, now: Duration, retention: Duration) -> u64 {
        let mut expired = 0;
        while self.slots.front().is_some_and(|slot| now.saturating_sub(slot.at) > retention) {
            self.pop();
            expired += 1;
        }
        self.expired += expired;
        self.cleaned = now;
        expired
    }
}

/// Which events are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The most of them: the newest.
    pub last: usize,
    /// At least as bad.
    pub severity: Severity,
    /// With a number beyond this one.
    pub after: u64,
    /// Of this kind only.
    pub kind: Option<String>,
    /// About this peer only.
    pub peer: Option<String>,
    /// Of this component only, see [`Kept::component`].
    pub component: Option<String>,
    /// Not earlier than that, in nanoseconds of Unix time.
    pub since_ns: u64,
    /// Not later than that.
    pub until_ns: u64,
}

impl Query {
    /// The last events, however bad.
    #[must_use]
    pub fn last(last: usize) -> Self {
        Query {
            last,
            severity: Severity::Debug,
            after: 0,
            kind: None,
            peer: None,
            component: None,
            since_ns: 0,
            until_ns: u64::MAX,
        }
    }

    fn fits(&self, kept: &Kept) -> bool {
        let entry = &kept.entry;
        entry.severity >= self.severity
            && self.kind.as_deref().is_none_or(|kind| entry.kind.name() == kind)
            && self.peer.as_ref().is_none_or(|peer| entry.peer.as_ref() == Some(peer))
            && self.component.as_deref().is_none_or(|component| kept.component() == component)
            && (self.since_ns..=self.until_ns).contains(&kept.time_ns)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder::with_settings(Settings::default())
    }
}

impl Recorder {
    /// A recorder that keeps so many events, and is as usual otherwise.
    #[must_use]
    pub fn new(max_events: usize) -> Self {
        Recorder::with_settings(Settings { max_events, ..Settings::default() })
    }

    /// A recorder with these settings.
    #[must_use]
    pub fn with_settings(settings: Settings) -> Self {
        Recorder::with_clock(settings, Arc::new(SystemClock))
    }

    /// A recorder with these settings that goes by this clock.
    pub fn with_clock(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            is_closed: false,
            slots: VecDeque::new(),
            memory: 0,
            recorded: 0,
            total: Tally::default(),
            kept: Tally::default(),
            evicted: 0,
            last_evicted: None,
            expired: 0,
            cleared: 0,
            peers: Peers::new(settings.max_peers),
            cleaned: clock.monotonic(),
        };
        let (refused, state) = (AtomicU64::new(0), Mutex::new(state));
        let began_ns = clock.unix_ns();
        Recorder { settings, clock, log: None, refused, began_ns, state }
    }

    /// Hands each event that is at least as bad as the log level to `log` as well, from the thread that
    /// records it.
    #[must_use]
    pub fn logging(self, log: impl Fn(&Kept) + Send + Sync + 'static) -> Self {
        Recorder { log: Some(Box::new(log)), ..self }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Records what this process has to say; its number.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::TooLong`], [`Error::Kind`].
    pub fn record(&self, entry: Entry) -> Result<u64, Error> {
        self.record_from(Source::Own, entry)
    }

    /// Records what somebody has to say; its number.
    ///
    /// # Errors
    ///
    /// As [`Recorder::record`].
    pub fn record_from(&self, source: Source, entry: Entry) -> Result<u64, Error> {
        self.record_all(source, [entry]).map(|numbers| numbers.end - 1)
    }

    /// Records several events next to each other; their numbers.
    ///
    /// # Errors
    ///
    /// As [`Recorder::record`], and then none of them is recorded.
    pub fn record_all(
        &self,
        source: Source,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<std::ops::Range<u64>, Error> {
        let checked: Result<Vec<_>, Error> =
            entries.into_iter().map(|entry| entry.check().map(|size| (size, entry))).collect();
        let checked = checked.inspect_err(|_| self.refuse())?;
        let mut logged = Vec::new();
        let mut state = self.open()?;
        let first = state.recorded + 1;
        for (size, entry) in checked {
            let kept = self.keep(&mut state, source, size, entry);
            if self.log.is_some() && kept.entry.severity >= self.settings.log_level {
                logged.push(kept);
            }
        }
        let next = state.recorded + 1;
        drop(state);
        if let Some(log) = &self.log {
            for kept in &logged {
                log(kept);
            }
        }
        Ok(first..next)
    }

    fn keep(&self, state: &mut State, source: Source, size: usize, entry: Entry) -> Arc<Kept> {
        let at = self.clock.monotonic();
        if at.saturating_sub(state.cleaned) >= self.settings.cleanup_interval {
            state.clean_up(at, self.settings.retention_period);
        }
        state.peers.see(&entry);
        state.recorded += 1;
        let time_ns = entry.time_ns.unwrap_or_else(|| self.clock.unix_ns());
        let name = state.total.name(&entry.kind);
        // The kinds that are kept have the names of all that there were, which are not more.
        let is_other = name == Tally::OTHER;
        state.total.add(name, entry.severity);
        state.kept.add(name, entry.severity);
        let kept = Arc::new(Kept { number: state.recorded, time_ns, source, entry });
        state.memory += size;
        state.slots.push_back(Slot { kept: kept.clone(), at, size, is_other });
        while state.slots.len() > self.settings.max_events
            || state.memory > self.settings.max_memory
        {
            state.last_evicted = state.pop();
            state.evicted += 1;
        }
        kept
    }

    /// Does something, and records how long it took and whether it succeeded.
    ///
    /// # Errors
    ///
    /// What it returns; that it could not be recorded is only counted.
    pub fn measure<T, E>(
        &self,
        operation: &str,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let result = work();
        // A program goes on without its diagnostics.
        let _ = self.record(Entry::performance(operation, began.elapsed(), result.is_ok()));
        result
    }

    /// Counts what was not taken.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// The events that are asked for, the newest last.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn events(&self, query: &Query) -> Result<Vec<Arc<Kept>>, Error> {
        let state = self.clean()?;
        let slots = state.slots.iter().rev();
        let mut found: Vec<_> = slots
            .map(|slot| &slot.kept)
            .take_while(|kept| kept.number > query.after)
            .filter(|kept| query.fits(kept))
            .take(query.last)
            .cloned()
            .collect();
        drop(state);
        found.reverse();
        Ok(found)
    }

    /// What has been recorded, and where it went.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn statistics(&self) -> Result<Statistics, Error> {
        Ok(self.statistics_of(&*self.clean()?))
    }

    fn statistics_of(&self, state: &State) -> Statistics {
        Statistics {
            began_ns: self.began_ns,
            total: state.total.counts(),
            kept: state.kept.counts(),
            evicted: state.evicted,
            expired: state.expired,
            cleared: state.cleared,
            refused: self.refused.load(Relaxed),
            active_peers: state.peers.active(),
            forgotten_peers: state.peers.forgotten,
            memory: state.memory as u64,
        }
    }

    /// Whether all is well, from what was recorded of late.
    ///
    /// It is unhealthy if there was something critical, or if too many events are errors; degraded if
    /// many are, or if events have to go before they were kept for as long as is looked at here.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::HealthCheckOff`].
    pub fn health(&self) -> Result<Health, Error> {
        if !self.settings.enable_health_check {
            return Err(Error::HealthCheckOff);
        }
        let window = self.settings.health.window;
        let state = self.clean()?;
        let now = self.clock.monotonic();
        let is_recent = |at: Duration| now.saturating_sub(at) <= window;
        let mut tally = Tally::default();
        for slot in state.slots.iter().rev().take_while(|slot| is_recent(slot.at)) {
            tally.add("", slot.kept.entry.severity);
        }
        let is_short = state.last_evicted.is_some_and(is_recent);
        let (kept, total) = (state.slots.len() as u64, state.recorded);
        let active_peers = state.peers.active();
        drop(state);
        let (status, message) = self.judge(&tally.counts(), is_short);
        let of = |severity| tally.counts().of_severity(severity);
        Ok(Health {
            status,
            message,
            time_ns: self.clock.unix_ns(),
            events: kept,
            max_events: self.settings.max_events as u64,
            total_events: total,
            recent_events: tally.counts().events(),
            recent_errors: of(Severity::Error) + of(Severity::Critical),
            recent_critical: of(Severity::Critical),
            active_peers,
        })
    }

    fn judge(&self, recent: &Counts, is_short: bool) -> (HealthStatus, String) {
        let settings = &self.settings.health;
        let (window, events) = (settings.window, recent.events());
        let critical = recent.of_severity(Severity::Critical);
        let rate = if events < settings.min_events { 0.0 } else { recent.error_rate() };
        let share = format!("{:.1} % of {events} events in {window:?} are errors", rate * 100.0);
        if critical > 0 {
            return (HealthStatus::Unhealthy, format!("{critical} critical events in {window:?}"));
        }
        if rate >= settings.unhealthy_error_rate {
            return (HealthStatus::Unhealthy, share);
        }
        if rate >= settings.degraded_error_rate {
            return (HealthStatus::Degraded, share);
        }
        if is_short {
            let message = format!(
                "the events that are kept do not reach back {window:?}; keep more of them, or record \
                 fewer"
            );
            return (HealthStatus::Degraded, message);
        }
        (HealthStatus::Healthy, format!("{events} events in {window:?}"))
    }

    /// Writes all events that are kept, as the settings say; how many they are.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], and whatever `output`, which should be buffered, gives.
    pub fn export(&self, output: impl Write) -> Result<usize, Error> {
        self.export_as(self.settings.export_format, output)
    }

    /// As [`Recorder::export`], in this format.
    ///
    /// # Errors
    ///
    /// As [`Recorder::export`].
    pub fn export_as(&self, format: ExportFormat, output: impl Write) -> Result<usize, Error> {
        let state = self.clean()?;
        let events: Vec<_> = state.slots.iter().map(|slot| slot.kept.clone()).collect();
        let statistics = self.statistics_of(&state);
        drop(state);
        export::write(output, format, self.clock.unix_ns(), &statistics, &events)?;
        Ok(events.len())
    }

    /// Lets go all events that are kept; how many they are. Numbers go on, and who is connected
    /// remains.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn clear(&self) -> Result<u64, Error> {
        let mut state = self.open()?;
        let slots = std::mem::take(&mut state.slots);
        let cleared = slots.len() as u64;
        state.cleared += cleared;
        state.memory = 0;
        state.kept = Tally::default();
        Ok(cleared)
    }

    /// Lets go what is too old at once; how many that are.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn clean_up(&self) -> Result<u64, Error> {
        let mut state = self.open()?;
        Ok(state.clean_up(self.clock.monotonic(), self.settings.retention_period))
    }

    /// From now on nothing is taken and nothing is given, and what was kept is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if it was closed before.
    pub fn close(&self) -> Result<(), Error> {
        let mut state = self.open()?;
        state.is_closed = true;
        state.slots = VecDeque::new();
        Ok(())
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_closed { Err(Error::Closed) } else { Ok(state) }
    }

    /// Without what is too old, so that nobody sees it, whenever it is let go.
    fn clean(&self) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.open()?;
        state.clean_up(self.clock.monotonic(), self.settings.retention_period);
        Ok(state)
    }
}
