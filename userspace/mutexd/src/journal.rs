// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the daemon itself has to say: into the log, and to the diagnostics recorder while there is one.

use std::sync::Arc;
use std::sync::Mutex;

use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Recorder;
use mutex_stats::diagnostics::Severity;
use mutex_stats::printable;

use crate::own::locked;

/// Takes what parts have to say. It outlives every recorder: one that is started anew takes the place of the one before.
#[derive(Default)]
pub struct Journal(Mutex<Option<Arc<Recorder>>>);

impl Journal {
    /// From now on it goes to this recorder.
    pub fn open(&self, recorder: Arc<Recorder>) {
        *locked(&self.0) = Some(recorder);
    }

    /// From now on it is only logged.
    pub fn close(&self) {
        *locked(&self.0) = None;
    }

    /// Something that `component` has to say, which is a part or the daemon as a whole.
    pub fn tell(&self, component: &'static str, mut entry: Entry) {
        shorten(&mut entry.message);
        let recorder = locked(&self.0).clone();
        if let Some(recorder) = recorder {
            // One that was closed meanwhile takes nothing, and the log has it.
            let _ = recorder.record(entry.clone().with("component", component));
        }
        let (kind, message) = (entry.kind.name(), printable(&entry.message));
        match entry.severity {
            Severity::Debug => tracing::debug!(component, kind, "{message}"),
            Severity::Info => tracing::info!(component, kind, "{message}"),
            Severity::Warning => tracing::warn!(component, kind, "{message}"),
            Severity::Error | Severity::Critical => {
                tracing::error!(component, kind, "{message}");
            }
        }
    }
}

/// Cuts what no recorder would take.
fn shorten(message: &mut String) {
    if message.len() > Entry::MAX_MESSAGE {
        let end = (0..=Entry::MAX_MESSAGE - '…'.len_utf8()).rev();
        let end = end.into_iter().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
}

#[cfg(test)]
mod tests {
    use mutex_stats::diagnostics::Query;

    use super::*;

    #[test]
    fn what_is_told_is_recorded_by_whoever_records_now() {
        let journal = Journal::default();
        let tell = |text: &str| {
            journal.tell("network", Entry::custom("test", Severity::Info, text));
        };
        tell("nobody records");
        let recorder = Arc::new(Recorder::new(10));
        journal.open(recorder.clone());
        tell("somebody records");
        tell(&"ä".repeat(5000));
        journal.close();
        tell("nobody records any more");
        let kept = recorder.events(&Query::last(10)).expect("it is open");
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0].entry.message, "somebody records");
        assert_eq!(kept[0].component(), "network");
        assert_eq!(kept[1].entry.message.len(), 4095);
        assert!(kept[1].entry.message.ends_with("ä…"));
        recorder.close().expect("it is open");
        journal.open(recorder);
        tell("it is closed");
    }
}
