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

use anyhow::Context;
use mutex_stats::Error;
use mutex_stats::Proc;
use mutex_stats::Stats;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Severity;

use super::read_stats;
use crate::config;
use crate::own::Own;
use crate::own::locked;

/// The host's numbers of a moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Counted since the sampler began.
    pub number: u64,
    pub time: SystemTime,
    pub stats: Arc<Stats>,
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

    /// What is kept, the oldest first.
    pub fn samples(&self) -> Vec<Sample> {
        locked(&self.shared.state).samples.iter().cloned().collect()
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
        let told = locked(&self.state).take(read, self.kept);
        if let Some(entry) = told {
            own.journal.tell(super::NAME, entry);
        }
    }
}

impl State {
    /// Keeps so many samples; what there is to tell.
    fn take(&mut self, read: Result<Stats, Error>, kept: usize) -> Option<Entry> {
        self.tried = Instant::now();
        match read {
            Ok(read) => {
                let is_new = self.problem.take().is_some() || self.taken == 0;
                self.taken += 1;
                let (number, time) = (self.taken, SystemTime::now());
                let sample = Sample { number, time, stats: Arc::new(read) };
                // Another module counts from the beginning.
                let uptime = |sample: &Sample| sample.stats.get("uptime_ns");
                let is_other =
                    self.samples.back().is_some_and(|last| uptime(last) > uptime(&sample));
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

    #[test]
    fn the_last_are_kept_and_each_change_is_told_once() {
        let (samples, tried) = (VecDeque::new(), Instant::now());
        let mut state = State { samples, taken: 0, problem: None, tried };
        let mut take = |read: Result<u64, Error>| {
            let parse = |uptime| Stats::parse(&format!("format 1\nuptime_ns {uptime}\n"));
            let told = state.take(read.and_then(parse), 3);
            let numbers: Vec<u64> = state.samples.iter().map(|sample| sample.number).collect();
            (numbers, told.map(|entry| entry.message))
        };
        let is_loaded = || Some("MUTEX is loaded".to_owned());
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
        assert_eq!(take(Ok(1)), (vec![6], Some("MUTEX was loaded anew".to_owned())));
    }
}
