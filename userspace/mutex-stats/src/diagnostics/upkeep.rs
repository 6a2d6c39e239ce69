// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a recorder needs from time to time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Health;
use super::Recorder;
use crate::ticker::Ticker;

/// Lets go what is too old at the recorder's cleanup interval, and checks its health at the health
/// interval, until it is dropped.
#[derive(Debug)]
pub struct Upkeep {
    _cleaner: Ticker,
    _checker: Option<Ticker>,
}

impl Upkeep {
    /// Begins. What each health check finds goes to `see`; there is none where the settings say so.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::mpsc::sync_channel;
    /// use mutex_stats::diagnostics::{Recorder, Upkeep};
    ///
    /// let recorder = Arc::new(Recorder::default());
    /// let (sender, findings) = sync_channel(10);
    /// // Who does not listen does not hold anything up.
    /// let upkeep = Upkeep::start(&recorder, move |health| drop(sender.try_send(health)))?;
    /// println!("{}", findings.recv().expect("the first check is at once").message);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The system's, if a thread cannot be had.
    pub fn start(
        recorder: &Arc<Recorder>,
        mut see: impl FnMut(Health) + Send + 'static,
    ) -> io::Result<Self> {
        let settings = recorder.settings();
        let (old, ill) = (recorder.clone(), recorder.clone());
        let interval = settings.cleanup_interval;
        let cleaner = Ticker::start("diagnostics", interval, interval, move || {
            // One that is closed has nothing to let go.
            let _ = old.clean_up();
        })?;
        let checker = settings.enable_health_check.then(|| {
            Ticker::start("health", Duration::ZERO, settings.health_interval, move || {
                if let Ok(health) = ill.health() {
                    see(health);
                }
            })
        });
        Ok(Upkeep { _cleaner: cleaner, _checker: checker.transpose()? })
    }
}
