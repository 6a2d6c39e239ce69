// SPDX-License-Identifier: MIT OR Apache-2.0

//! A thread that does something again and again.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::stop::Stop;

/// Does something at an interval until it is dropped, in a thread of its own.
pub(crate) struct Ticker {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").finish_non_exhaustive()
    }
}

impl Ticker {
    /// The shortest interval.
    const SHORTEST: Duration = Duration::from_millis(1);

    /// Does it after `first`, and then at each interval. Times that it missed, for it takes longer than
    /// the interval, are not made up for.
    pub(crate) fn start(
        name: &str,
        first: Duration,
        interval: Duration,
        mut work: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let interval = interval.max(Self::SHORTEST);
        let stop = Arc::new(Stop::default());
        let stopping = stop.clone();
        let run = move || {
            // What is too far ahead to be told waits for the stop only.
            let mut due = Instant::now().checked_add(first);
            loop {
                let left =
                    due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
                if stopping.wait(left) {
                    return;
                }
                let Some(was_due) = due.filter(|due| *due <= Instant::now()) else { continue };
                work();
                due = was_due.checked_add(interval).map(|next| next.max(Instant::now()));
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Ticker { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    /// Waits for what is being done, unless it is what drops it.
    fn drop(&mut self) {
        self.stop.set();
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() != thread::current().id() {
            // What it died of has been said by the thread itself.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn it_goes_on_until_it_is_dropped() {
        let (sender, receiver) = channel();
        let tick = move || sender.send(()).expect("the test listens");
        let ticker = Ticker::start("test", Duration::ZERO, Duration::from_millis(1), tick);
        let ticker = ticker.expect("a thread can be had");
        for _ in 0..5 {
            receiver.recv().expect("it ticks");
        }
        drop(ticker);
        receiver.try_iter().for_each(drop);
        assert!(receiver.recv().is_err(), "the thread has ended, and what it had with it");
    }

    #[test]
    fn an_interval_without_end_is_ended_too() {
        let never = || unreachable!("it is not due");
        drop(Ticker::start("test", Duration::MAX, Duration::MAX, never).expect("a thread"));
    }

    #[test]
    fn it_can_drop_itself() {
        let (sender, receiver) = channel();
        let (give, take) = channel::<Ticker>();
        let work = move || {
            drop(take.recv().expect("it is given"));
            sender.send(()).expect("the test listens");
        };
        let ticker = Ticker::start("test", Duration::ZERO, Duration::ZERO, work);
        give.send(ticker.expect("a thread can be had")).expect("it takes it");
        receiver.recv().expect("it got by");
    }
}
