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
        shared.take(read_stats(&proc, &own), true);
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
                    shared.take(read_stats(&proc, &own), false);
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
    fn take(&self, read: Result<Stats, Error>, is_first: bool) {
        let mut state = locked(&self.state);
        state.tried = Instant::now();
        match read {
            Ok(read) => {
                if state.problem.take().is_some() || is_first {
                    tracing::info!("MUTEX is loaded");
                }
                state.taken += 1;
                let (number, time) = (state.taken, SystemTime::now());
                let sample = Sample { number, time, stats: Arc::new(read) };
                // Another module counts from the beginning.
                let uptime = |sample: &Sample| sample.stats.get("uptime_ns");
                if state.samples.back().is_some_and(|last| uptime(last) > uptime(&sample)) {
                    state.samples.clear();
                }
                while state.samples.len() >= self.kept {
                    state.samples.pop_front();
                }
                state.samples.push_back(sample);
            }
            Err(error) => {
                let problem = error.to_string();
                if state.problem.as_ref() != Some(&problem) {
                    tracing::warn!("{problem}; it is looked for again and again");
                }
                state.problem = Some(problem);
            }
        }
    }
}
