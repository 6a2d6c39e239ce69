// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel module counts: read at an interval, for metrics, for questions and for the live page.

mod best;
mod glance;
mod point;
mod questions;
mod sampler;
mod stream;
mod top;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mutex_stats::Error;
use mutex_stats::File;
use mutex_stats::Holders;
use mutex_stats::Proc;
use mutex_stats::Stats;
use mutex_stats::formats::Kind;
use mutex_stats::formats::Number;
use mutex_stats::formats::write_metrics;
use tokio::sync::watch;

use crate::config;
use crate::config::Config;
use crate::own::Own;
use crate::part::Health;
use crate::part::Metrics;
use crate::part::Part;
use crate::part::Route;
use crate::part::State;
use crate::part::is_stuck;
use crate::turns::Turns;
use point::Point;
use sampler::Sampler;
use top::Top;

/// The name of this part.
pub const NAME: &str = "network";

/// How many questions are worked on at the same time.
const READERS: usize = 4;

/// The part that knows the kernel module.
pub struct Network {
    proc: Proc,
    own: Arc<Own>,
    sampler: Sampler,
    interval: Duration,
    prometheus: config::Prometheus,
    page: config::Page,
    glance: tokio::sync::Mutex<stream::Shared>,
    /// Becomes true when the part ends, for answers that would go on.
    ended: watch::Sender<bool>,
    /// Who reads to answer.
    readers: Turns,
}

impl Network {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// There can be no thread.
    pub fn start(config: &Config, own: &Arc<Own>) -> anyhow::Result<Arc<Self>> {
        let proc = Proc::new(&config.proc);
        let sampler = Sampler::start(proc.clone(), own.clone(), &config.network)?;
        Ok(Arc::new(Network {
            proc,
            own: own.clone(),
            sampler,
            interval: config.network.interval,
            prometheus: config.prometheus.clone(),
            page: config.page.clone(),
            glance: tokio::sync::Mutex::default(),
            ended: watch::Sender::new(false),
            readers: Turns::new(READERS, own),
        }))
    }

    /// So many at most of the host's rates, the newest, in order: since the sample of that number, and not later than
    /// that in Unix time; and the number of the last sample.
    fn points(&self, most: usize, since: u64, until_ns: u64) -> (Vec<Point>, u64) {
        let samples = self.sampler.newest(most + 1, since, until_ns);
        let points = samples.windows(2).map(|pair| Point::between(&pair[0], &pair[1])).collect();
        (points, samples.last().map_or(since, |sample| sample.number))
    }

    /// What completes and corrects processes.
    fn holders(&self) -> Arc<Holders> {
        self.own.processes.beside(self.proc.folder())
    }

    fn stats(&self) -> Result<Stats, Error> {
        read_stats(&self.proc, &self.own)
    }
}

/// Reads `stats`, and counts if it cannot. That the module is not there is no error.
fn read_stats(proc: &Proc, own: &Own) -> Result<Stats, Error> {
    proc.stats().inspect_err(|error| {
        if !is_absent(error) {
            own.read_error(File::Stats);
        }
    })
}

/// Whether an error says no more than that the module is not loaded.
pub fn is_absent(error: &Error) -> bool {
    matches!(error, Error::NotLoaded { .. } | Error::Unloaded | Error::Missing { .. })
}

impl Part for Network {
    fn name(&self) -> &'static str {
        NAME
    }

    fn health(&self) -> Health {
        let silence = self.sampler.silence();
        if is_stuck(silence, self.interval) {
            let message = format!("nothing was read for {} s", silence.as_secs());
            return Health { state: State::Failed, message };
        }
        match self.sampler.problem() {
            None => Health { state: State::Healthy, message: "MUTEX is loaded".into() },
            Some(message) => Health { state: State::Degraded, message },
        }
    }

    fn tells_trouble(&self) -> bool {
        true
    }

    fn write_metrics(&self, metrics: &mut Metrics<'_>) -> io::Result<()> {
        // The image comes first, so that nothing in it is more than the host's totals.
        let mut top = Top::new(&self.prometheus, || self.holders());
        if top.as_mut().is_some_and(|top| self.visit(top).is_err()) {
            top = None;
        }
        let stats = self.stats().ok();
        metrics.family("mutex_module_loaded", Kind::Gauge, "Whether MUTEX can be read.")?;
        metrics.sample(&[], Number::Integer(stats.is_some().into()))?;
        let Some(stats) = stats else { return Ok(()) };
        write_metrics(metrics, &stats)?;
        match top {
            Some(top) => top.write_metrics(metrics, &stats, &self.prometheus),
            None => Ok(()),
        }
    }

    fn routes(self: Arc<Self>) -> Vec<Route> {
        questions::routes(&self)
    }

    fn shutdown(&self) {
        self.ended.send_replace(true);
        self.sampler.end();
    }
}
