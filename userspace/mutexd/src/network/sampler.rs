// SPDX-License-Identifier: MIT OR Apache-2.0

//! The host's numbers at an interval, the last of them kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use mutex_stats::Error;
use mutex_stats::Proc;
use mutex_stats::Stats;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Severity;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

use super::point::Counts;
use super::read_stats;
use crate::config;
use crate::own::Own;
use crate::own::locked;

/// The host's numbers of a moment: 168 bytes, so that a day of one each second takes 15 MB.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Counted since the sampler began.
    pub number: u64,
    pub time: SystemTime,
    /// The same moment on the kernel's clock, since boot.
    pub since_boot: Duration,
    pub counts: Counts,
}

impl Sample {
    /// When it was taken, in nanoseconds of Unix time.
    pub fn time_ns(&self) -> u64 {
        let since_epoch = self.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
    }

    /// For how long the module had been loaded.
    fn uptime(&self) -> Duration {
        Duration::from_nanos(self.counts.get("uptime_ns"))
    }

    /// Whether the module was loaded anew after `before` was taken.
    ///
    /// Of the same load the uptime is what it was and the time since; of a later one it is at most the
    /// time since, though it may be more than it was. The limit is halfway between the two, as far from
    /// either as can be: the clock is read a moment after the numbers, and the module's has ticks.
    fn is_of_a_later_load(&self, before: &Sample) -> bool {
        let passed = self.since_boot.saturating_sub(before.since_boot);
        let limit = passed.saturating_add(before.uptime() / 2);
        self.uptime() < before.uptime().max(limit)
    }
}

/// The time since boot, suspend included: the clock that the module has its uptime from.
fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, ns) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or(0), ns.unwrap_or(0))
}

/// A thread that reads them.
pub struct Sampler {
    shared: Arc<Shared>,
    /// Dropped to end the thread.
    stop: Mutex<Option<mpsc::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    kept: usize,
    state: Mutex<State>,
}

struct State {
    samples: VecDeque<Sample>,
    taken: u64,
    /// Why there is no sample now.
    problem: Option<String>,
    /// When it was tried the last time.
    tried: Instant,
}

impl Sampler {
    /// Begins; has tried once when it returns.
    pub fn start(proc: Proc, own: Arc<Own>, settings: &config::Network) -> anyhow::Result<Self> {
        let state =
            State { samples: VecDeque::new(), taken: 0, problem: None, tried: Instant::now() };
        let shared = Arc::new(Shared { kept: settings.samples, state: Mutex::new(state) });
        shared.take(read_stats(&proc, &own), &own);
        let (stop, stopped) = mpsc::channel();
        let interval = settings.interval;
        let thread = thread::Builder::new().name("sampler".into());
        let thread = thread.spawn({
            let shared = shared.clone();
            move || {
                let mut next = Instant::now() + interval;
                loop {
                    let wait = next.saturating_duration_since(Instant::now());
                    match stopped.recv_timeout(wait) {
                        Err(RecvTimeoutError::Timeout) => {}
                        _ => return,
                    }
                    let begun = Instant::now();
                    shared.take(read_stats(&proc, &own), &own);
                    // What was missed is not made up for, and reading is at most half of what there is to do.
                    next = (next + interval).max(Instant::now() + begun.elapsed());
                }
            }
        });
        let thread = Mutex::new(Some(thread.context("cannot start a thread")?));
        Ok(Sampler { shared, stop: Mutex::new(Some(stop)), thread })
    }

    /// Ends the thread, and waits for it.
    pub fn end(&self) {
        drop(locked(&self.stop).take());
        if let Some(thread) = locked(&self.thread).take() {
            // It has ended, one way or the other.
            let _ = thread.join();
        }
    }

    /// So many at most of what is kept, the oldest first: those of that number and later ones which are no later than
    /// `until_ns` in Unix time, and of these the newest.
    pub fn newest(&self, most: usize, since: u64, until_ns: u64) -> Vec<Sample> {
        let state = locked(&self.shared.state);
        let newest = state.samples.iter().rev().skip_while(|sample| sample.time_ns() > until_ns);
        let wanted = newest.take_while(|sample| sample.number >= since).take(most);
        let mut samples: Vec<Sample> = wanted.copied().collect();
        drop(state);
        samples.reverse();
        samples
    }

    /// Why the last try gave no sample.
    pub fn problem(&self) -> Option<String> {
        locked(&self.shared.state).problem.clone()
    }

    /// How long ago the last try was.
    pub fn silence(&self) -> Duration {
        locked(&self.shared.state).tried.elapsed()
    }
}

impl Shared {
    fn take(&self, read: Result<Stats, Error>, own: &Own) {
        let told = locked(&self.state).take(read, SystemTime::now(), since_boot(), self.kept);
        if let Some(entry) = told {
            own.journal.tell(super::NAME, entry);
        }
    }
}

impl State {
    /// Keeps so many samples; what there is to tell. It was read at that time, by both clocks.
    fn take(
        &mut self,
        read: Result<Stats, Error>,
        time: SystemTime,
        since_boot: Duration,
        kept: usize,
    ) -> Option<Entry> {
        self.tried = Instant::now();
        match read {
            Ok(read) => {
                let is_new = self.problem.take().is_some() || self.taken == 0;
                self.taken += 1;
                let number = self.taken;
                let sample = Sample { number, time, since_boot, counts: Counts::of(&read) };
                // Another module counts from the beginning.
                let is_other =
                    self.samples.back().is_some_and(|last| sample.is_of_a_later_load(last));
                if is_other {
                    self.samples.clear();
                }
                while self.samples.len() >= kept {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
                (is_new || is_other).then(|| {
                    let message =
                        if is_other { "MUTEX was loaded anew" } else { "MUTEX is loaded" };
                    Entry::custom("module_available", Severity::Info, message)
                })
            }
            Err(error) => {
                let problem = error.to_string();
                let is_known =
                    self.problem.replace(problem.clone()).is_some_and(|it| it == problem);
                (!is_known).then(|| {
                    let message = format!("{problem}; it is looked for again and again");
                    Entry::custom("module_unavailable", Severity::Warning, message)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOADED: Option<&str> = Some("MUTEX is loaded");
    const ANEW: Option<&str> = Some("MUTEX was loaded anew");

    fn state() -> State {
        State { samples: VecDeque::new(), taken: 0, problem: None, tried: Instant::now() }
    }

    /// The numbers of a module that has been up for so many milliseconds.
    fn up(ms: u64) -> Result<Stats, Error> {
        Stats::parse(&format!("format 1\nuptime_ns {}\n", ms * 1_000_000))
    }

    /// What is told of uptimes that were read at times since boot, all in milliseconds.
    fn told(reads: &[(u64, u64)]) -> Vec<Option<String>> {
        let mut state = state();
        let take = |&(at, uptime): &(u64, u64)| {
            let told = state.take(up(uptime), SystemTime::UNIX_EPOCH, Duration::from_millis(at), 9);
            assert!(told.is_none() || state.samples.len() == 1, "{:?}", state.samples);
            told.map(|entry| entry.message)
        };
        reads.iter().map(take).collect()
    }

    #[test]
    fn a_reload_is_seen_though_the_module_is_up_for_longer_than_before() {
        let anew = |reads| told(reads).last().cloned().flatten();
        // Up for 10 s, loaded again a second later, and up for 59 s when the next minute is over.
        assert_eq!(anew(&[(100_000, 10_000), (160_000, 59_000)]).as_deref(), ANEW);
        assert_eq!(anew(&[(100_000, 10_000), (160_000, 60_000)]).as_deref(), ANEW);
        assert_eq!(anew(&[(100_000, 10_000), (160_000, 5_000)]).as_deref(), ANEW);
        assert_eq!(anew(&[(100_000, 2_000), (103_600, 3_500)]).as_deref(), ANEW);
        // The machine was suspended, or the sampler had no time: that is no reload.
        assert_eq!(anew(&[(100_000, 10_000), (160_000, 70_000)]), None);
        assert_eq!(anew(&[(100_000, 10_000), (90_100_000, 90_010_000)]), None);
        // The module's clock goes by ticks, and reading takes its time.
        assert_eq!(anew(&[(100_000, 3_600_000), (101_900, 3_601_000), (102_000, 3_602_000)]), None);
        assert_eq!(anew(&[(100_000, 50), (101_000, 1_040)]), None);
    }

    #[test]
    fn the_last_are_kept_and_each_change_is_told_once() {
        let mut state = state();
        let mut now = 0;
        let mut take = |read: Result<u64, Error>| {
            now += 1;
            let now = Duration::from_millis(now);
            let told = state.take(read.and_then(up), SystemTime::UNIX_EPOCH, now, 3);
            let numbers: Vec<u64> = state.samples.iter().map(|sample| sample.number).collect();
            (numbers, told.map(|entry| entry.message))
        };
        let is_loaded = || LOADED.map(String::from);
        assert_eq!(take(Ok(1)), (vec![1], is_loaded()));
        assert_eq!(take(Ok(2)), (vec![1, 2], None));
        assert_eq!(take(Ok(3)), (vec![1, 2, 3], None));
        assert_eq!(take(Ok(4)), (vec![2, 3, 4], None));
        let (kept, told) = take(Err(Error::Unloaded));
        assert_eq!(kept, [2, 3, 4]);
        assert!(told.is_some_and(|told| told.ends_with("; it is looked for again and again")));
        assert_eq!(take(Err(Error::Unloaded)), (vec![2, 3, 4], None));
        assert_eq!(take(Ok(5)), (vec![3, 4, 5], is_loaded()));
        // Its numbers are not to be compared with those of the one before.
        assert_eq!(take(Ok(1)), (vec![6], ANEW.map(String::from)));
    }

    #[test]
    fn the_most_samples_that_can_be_set_take_little_of_the_units_memory() {
        // `network.samples` is at most 86400, and the unit's MemoryMax is 1 GiB.
        assert!(86_400 * size_of::<Sample>() < 16 << 20, "{}", size_of::<Sample>());
    }

    #[test]
    fn the_newest_before_a_time_are_given_and_no_more_than_are_wanted() {
        let sample = |number| Sample {
            number,
            time: UNIX_EPOCH + Duration::from_nanos(10 * number),
            since_boot: Duration::ZERO,
            counts: Counts::default(),
        };
        let (samples, tried) = ((3..=9).map(sample).collect(), Instant::now());
        let state = State { samples, taken: 9, problem: None, tried };
        let shared = Arc::new(Shared { kept: 10, state: Mutex::new(state) });
        let taker = Sampler { shared, stop: Mutex::new(None), thread: Mutex::new(None) };
        let newest = |most, since, until| -> Vec<u64> {
            taker.newest(most, since, until).iter().map(|sample| sample.number).collect()
        };
        assert_eq!(newest(3, 0, u64::MAX), [7, 8, 9]);
        assert_eq!(newest(100, 8, u64::MAX), [8, 9]);
        assert_eq!(newest(2, 0, 59), [4, 5]);
        assert_eq!(newest(2, 0, 20), [0; 0]);
    }
}
