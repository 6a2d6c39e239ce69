// SPDX-License-Identifier: MIT OR Apache-2.0

//! The parts of the daemon: each starts, does its work, and says how it fares.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::MethodRouter;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Severity;
use mutex_stats::formats::Families;
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::diagnostics;
use crate::history;
use crate::monitor;
use crate::network;
use crate::own::Own;
use crate::peers;

/// Metrics on their way into memory.
pub type Metrics<'a> = Families<&'a mut Vec<u8>>;

/// A part that has started. Whatever it does may block, and is called from a thread that can.
pub trait Part: Send + Sync {
    /// How it is called in the HTTP interface and in metrics.
    fn name(&self) -> &'static str;

    /// How it fares.
    fn health(&self) -> Health;

    /// Whether it tells by itself, and at once, what it cannot do for a while.
    fn tells_trouble(&self) -> bool {
        false
    }

    /// Writes its metrics.
    ///
    /// # Errors
    ///
    /// Those of writing.
    fn write_metrics(&self, metrics: &mut Metrics<'_>) -> io::Result<()>;

    /// What can be asked of it, under `/api/v1`.
    fn routes(self: Arc<Self>) -> Vec<Route>;

    /// Ends it, with everything that it has confirmed kept.
    fn shutdown(&self);
}

/// One path of the HTTP interface, and how it is described.
pub struct Route {
    /// Below `/api/v1`.
    pub path: &'static str,
    /// What `OpenAPI` calls a path item.
    pub description: Value,
    /// Who answers.
    pub handler: MethodRouter,
}

/// How a part fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    pub state: State,
    /// In a sentence.
    pub message: String,
}

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does all that it is for.
    Healthy,
    /// It does what it can; something that it needs is not there.
    Degraded,
    /// It does nothing.
    Failed,
}

impl State {
    pub const ALL: [State; 3] = [State::Healthy, State::Degraded, State::Failed];

    pub fn name(self) -> &'static str {
        match self {
            State::Healthy => "healthy",
            State::Degraded => "degraded",
            State::Failed => "failed",
        }
    }
}

/// Whether something that is to happen at an interval has not happened for so long that it will not.
pub fn is_stuck(silence: Duration, interval: Duration) -> bool {
    silence > Duration::from_secs(60) + 2 * interval
}

/// A kind of part: what of the configuration it depends on, and how it starts.
struct Kind {
    name: &'static str,
    settings: fn(&Config) -> toml::Value,
    start: fn(&Config, &Arc<Own>) -> Started,
}

type Started = anyhow::Result<Arc<dyn Part>>;

/// All kinds, in the order in which they start; they end in the other one.
const KINDS: [Kind; 5] = [
    Kind {
        name: diagnostics::NAME,
        settings: |config| settings(&(&config.proc, &config.diagnostics)),
        start: |config, own| Ok(diagnostics::Diagnostics::start(config, own)?),
    },
    Kind {
        name: network::NAME,
        settings: |config| {
            settings(&(&config.proc, &config.network, &config.page, &config.prometheus))
        },
        start: |config, own| Ok(network::Network::start(config, own)?),
    },
    Kind {
        name: peers::NAME,
        settings: |config| settings(&(Vec::from_iter(&config.peers), config.http.is_open())),
        start: |config, _| Ok(peers::Watch::start(config)?),
    },
    Kind {
        name: history::NAME,
        settings: |config| settings(&(&config.proc, &config.history)),
        start: |config, own| Ok(history::Keeper::start(config, own)?),
    },
    Kind {
        name: monitor::NAME,
        settings: |config| {
            let Config { proc, monitor, history, page, .. } = config;
            settings(&(proc, monitor, history.enabled, page.enabled))
        },
        start: |config, own| Ok(monitor::Monitoring::start(config, own)?),
    },
];

fn settings(of: &impl Serialize) -> toml::Value {
    toml::Value::try_from(of).expect("settings can be written as TOML")
}

/// The parts that run.
#[derive(Clone, Default)]
pub struct Parts(Vec<(toml::Value, Arc<dyn Part>)>);

impl Parts {
    /// Starts all of them.
    ///
    /// # Errors
    ///
    /// The first that cannot be started; those before it are ended again.
    pub fn start(config: &Config, own: &Arc<Own>) -> anyhow::Result<Self> {
        let mut parts = Parts::default();
        for kind in &KINDS {
            match (kind.start)(config, own) {
                Ok(part) => parts.0.push(((kind.settings)(config), part)),
                Err(error) => {
                    parts.shutdown();
                    return Err(error.context(format!("cannot start the part {}", kind.name)));
                }
            }
        }
        Ok(parts)
    }

    /// Starts those anew whose settings have changed, and keeps the others. One that cannot be started so goes on with
    /// the settings that it had.
    pub fn change(&self, old: &Config, new: &Config, own: &Arc<Own>) -> (Self, Vec<anyhow::Error>) {
        let mut parts = Parts::default();
        let mut errors = Vec::new();
        for kind in &KINDS {
            let wanted = (kind.settings)(new);
            match self.0.iter().find(|(_, part)| part.name() == kind.name) {
                Some((had, part)) if *had == wanted => {
                    parts.0.push((wanted, part.clone()));
                    continue;
                }
                Some((_, part)) => {
                    let message =
                        format!("the part {} starts anew: its settings have changed", kind.name);
                    let entry = Entry::custom("part_restarted", Severity::Info, message);
                    own.journal.tell(kind.name, entry);
                    part.shutdown();
                }
                None => {}
            }
            match (kind.start)(new, own) {
                Ok(part) => parts.0.push((wanted, part)),
                Err(error) => {
                    errors.push(error.context(format!("cannot start the part {}", kind.name)));
                    match (kind.start)(old, own) {
                        Ok(part) => parts.0.push(((kind.settings)(old), part)),
                        Err(error) => errors.push(error),
                    }
                }
            }
        }
        (parts, errors)
    }

    /// These, whatever they depend on.
    #[cfg(test)]
    pub fn of(parts: Vec<Arc<dyn Part>>) -> Self {
        Parts(parts.into_iter().map(|part| (toml::Value::Boolean(true), part)).collect())
    }

    /// The parts, in the order in which they started.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Part>> {
        self.0.iter().map(|(_, part)| part)
    }

    /// Ends all of them.
    pub fn shutdown(&self) {
        for part in self.0.iter().rev() {
            tracing::debug!("the part {} ends", part.1.name());
            part.1.shutdown();
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::sync::Mutex;

    use crate::own::locked;

    use super::*;

    /// A part that fares as it is told to.
    pub struct Told {
        pub name: &'static str,
        pub tells: bool,
        pub state: Mutex<State>,
    }

    impl Part for Told {
        fn name(&self) -> &'static str {
            self.name
        }

        fn health(&self) -> Health {
            let state = *locked(&self.state);
            Health { state, message: format!("it is {}", state.name()) }
        }

        fn tells_trouble(&self) -> bool {
            self.tells
        }

        fn write_metrics(&self, _: &mut Metrics<'_>) -> io::Result<()> {
            Ok(())
        }

        fn routes(self: Arc<Self>) -> Vec<Route> {
            Vec::new()
        }

        fn shutdown(&self) {}
    }

    impl Told {
        pub fn new(name: &'static str, tells: bool, state: State) -> Arc<Self> {
            Arc::new(Told { name, tells, state: Mutex::new(state) })
        }
    }

    #[test]
    fn who_works_seldom_is_waited_for() {
        let seconds = Duration::from_secs;
        assert!(!is_stuck(seconds(60), seconds(0)) && is_stuck(seconds(63), seconds(1)));
        assert!(!is_stuck(seconds(7200), seconds(3600)) && is_stuck(seconds(7261), seconds(3600)));
    }
}
