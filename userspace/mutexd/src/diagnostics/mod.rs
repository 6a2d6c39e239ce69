// SPDX-License-Identifier: MIT OR Apache-2.0

//! The diagnostics recorder: fed by the kernel module, by the daemon itself, and by other programs over a socket.

mod feed;
mod questions;

use std::io;
use std::sync::Arc;
use std::sync::Mutex;

use mutex_stats::Proc;
use mutex_stats::diagnostics::HealthStatus;
use mutex_stats::diagnostics::Kept;
use mutex_stats::diagnostics::Listener;
use mutex_stats::diagnostics::ListenerSettings;
use mutex_stats::diagnostics::Recorder;
use mutex_stats::diagnostics::Settings;
use mutex_stats::diagnostics::Severity;
use mutex_stats::diagnostics::Source;
use mutex_stats::diagnostics::Upkeep;
use mutex_stats::printable;

use crate::config::Config;
use crate::local;
use crate::own::Own;
use crate::own::locked;
use crate::part::Health;
use crate::part::Metrics;
use crate::part::Part;
use crate::part::Route;
use crate::part::State;
use feed::Feed;

/// The name of this part.
pub const NAME: &str = "diagnostics";

/// The part that records what happens.
pub struct Diagnostics {
    recorder: Arc<Recorder>,
    own: Arc<Own>,
    /// What ends with the part.
    working: Mutex<Option<Working>>,
}

struct Working {
    feed: Feed,
    listener: Option<Listener>,
    _upkeep: Upkeep,
}

impl Diagnostics {
    /// Begins to record.
    ///
    /// # Errors
    ///
    /// There can be no thread, or no socket.
    pub fn start(config: &Config, own: &Arc<Own>) -> anyhow::Result<Arc<Self>> {
        let settings = &config.diagnostics;
        let recorder = Recorder::with_settings(Settings {
            max_events: settings.max_events,
            retention_period: settings.retention_period,
            cleanup_interval: settings.cleanup_interval,
            enable_metrics: settings.enable_metrics,
            enable_health_check: settings.enable_health_check,
            health_interval: settings.health_interval,
            log_level: settings.log_level.severity(),
            ..Settings::default()
        });
        let recorder = Arc::new(recorder.logging(log));
        let socket = settings.socket.as_path();
        let listener = (!socket.as_os_str().is_empty()).then(|| {
            let group = local::group("diagnostics.group", &settings.group)?;
            let access = ListenerSettings { group, ..ListenerSettings::default() };
            Listener::start(socket, &access, recorder.clone())
                .map_err(|error| local::cannot_listen("diagnostics", socket, &error))
        });
        let listener = listener.transpose()?;
        let mut last = HealthStatus::Healthy;
        let upkeep = Upkeep::start(&recorder, move |health| {
            if health.status != last {
                last = health.status;
                tracing::warn!("diagnostics are {}: {}", health.status.name(), health.message);
            }
        })?;
        own.journal.open(recorder.clone());
        let proc = Proc::new(&config.proc);
        let feed = Feed::start(proc, recorder.clone(), own.clone(), settings.connections);
        let feed = feed.inspect_err(|_| own.journal.close())?;
        let working = Mutex::new(Some(Working { feed, listener, _upkeep: upkeep }));
        Ok(Arc::new(Diagnostics { recorder, own: own.clone(), working }))
    }
}

/// What others have recorded is also logged, from the recorder's log level on. What the daemon itself has to say is in
/// the log by then.
fn log(kept: &Kept) {
    if kept.source == Source::Own {
        return;
    }
    let entry = &kept.entry;
    let (number, kind, peer) = (kept.number, entry.kind.name(), entry.peer.as_deref());
    let message = printable(&entry.message);
    match entry.severity {
        Severity::Debug => tracing::debug!(number, kind, peer, "{message}"),
        Severity::Info => tracing::info!(number, kind, peer, "{message}"),
        Severity::Warning => tracing::warn!(number, kind, peer, "{message}"),
        Severity::Error | Severity::Critical => {
            tracing::error!(number, kind, peer, "{message}");
        }
    }
}

impl Part for Diagnostics {
    fn name(&self) -> &'static str {
        NAME
    }

    fn health(&self) -> Health {
        if locked(&self.working).as_ref().is_some_and(|working| working.feed.is_dead()) {
            let message = "the kernel's events are read no more: their thread has ended".into();
            return Health { state: State::Failed, message };
        }
        match self.recorder.health() {
            // Where there is no health check, recording is all there is to say.
            Err(_) => Health { state: State::Healthy, message: "it records".into() },
            Ok(health) => {
                let state = match health.status {
                    HealthStatus::Healthy => State::Healthy,
                    // What is recorded is unhealthy, not who records it.
                    _ => State::Degraded,
                };
                Health { state, message: health.message }
            }
        }
    }

    fn tells_trouble(&self) -> bool {
        true
    }

    fn write_metrics(&self, metrics: &mut Metrics<'_>) -> io::Result<()> {
        self.recorder.write_metrics(metrics)?;
        match locked(&self.working).as_ref().and_then(|working| working.listener.as_ref()) {
            Some(listener) => listener.write_metrics(metrics),
            None => Ok(()),
        }
    }

    fn routes(self: Arc<Self>) -> Vec<Route> {
        questions::routes(&self.recorder)
    }

    fn shutdown(&self) {
        let working = locked(&self.working).take();
        if let Some(working) = working {
            working.feed.end();
        }
        self.own.journal.close();
        // It is closed once.
        let _ = self.recorder.close();
    }
}
