// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel module says, handed to the recorder by a thread.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use mutex_stats::Error;
use mutex_stats::Events;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Proc;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::KernelFeed;
use mutex_stats::diagnostics::Recorder;
use mutex_stats::diagnostics::Severity;

use crate::journal::Journal;
use crate::own::Own;

/// How long the thread waits for an event, and for the module, before it looks whether it is to end.
const PAUSE: Duration = Duration::from_millis(500);

/// A thread that feeds a recorder.
pub struct Feed {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Feed {
    /// Begins: with alerts, and with connections that start and end if that is wanted.
    pub fn start(
        proc: Proc,
        recorder: Arc<Recorder>,
        own: Arc<Own>,
        connections: bool,
    ) -> anyhow::Result<Self> {
        let filter = if connections { "kind=alert,start,end" } else { "kind=alert" };
        let filter = Filter::parse(filter, Filtered::Events)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("feed".into()).spawn({
            let is_over = is_over.clone();
            move || feed(&proc, &filter, &recorder, &own.journal, &is_over)
        })?;
        Ok(Feed { is_over, thread })
    }

    /// Whether the thread has ended although nobody told it to.
    pub fn is_dead(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends the thread, and waits for it.
    pub fn end(self) {
        self.is_over.store(true, Relaxed);
        // It has ended, one way or the other.
        let _ = self.thread.join();
    }
}

fn feed(
    proc: &Proc,
    filter: &Filter,
    recorder: &Recorder,
    journal: &Journal,
    is_over: &AtomicBool,
) {
    let tell = |name: &str, severity, message: String| {
        journal.tell(super::NAME, Entry::custom(name, severity, message));
    };
    let mut kernel = KernelFeed::default();
    let mut was_told = String::new();
    while !is_over.load(Relaxed) {
        let mut events = match Events::open(proc, filter) {
            Ok(events) => events,
            Err(error) => {
                let what = error.to_string();
                if what != was_told {
                    let message = format!("the kernel's events cannot be read: {what}");
                    tell("kernel_events_unavailable", Severity::Warning, message);
                    was_told = what;
                }
                thread::sleep(PAUSE);
                continue;
            }
        };
        was_told.clear();
        tell("kernel_events_available", Severity::Info, "the kernel's events are read".into());
        let ended = loop {
            if is_over.load(Relaxed) {
                return;
            }
            match events.next_event(Some(PAUSE)) {
                Ok(Some(event)) => {
                    if kernel.event(recorder, &event).is_err() {
                        return;
                    }
                }
                // A stream that has an end is no kernel's: it gives nothing at once, too.
                Ok(None) => {
                    if !proc.folder().exists() {
                        break Error::Unloaded;
                    }
                    thread::sleep(PAUSE / 10);
                }
                Err(error) => break error,
            }
        };
        was_told = ended.to_string();
        tell("kernel_events_unavailable", Severity::Warning, was_told.clone());
        kernel.start_over();
        thread::sleep(PAUSE);
    }
}
