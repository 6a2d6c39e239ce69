// SPDX-License-Identifier: MIT OR Apache-2.0

//! Interfaces and peers of WireGuard: sessions and pings, here and at other nodes.

mod announcement;
mod questions;

use std::io;
use std::sync::Arc;
use std::sync::Mutex;

use mutex_peers::Peers;
use mutex_peers::Settings;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::own::locked;
use crate::part::Health;
use crate::part::Metrics;
use crate::part::Part;
use crate::part::Route;
use crate::part::State;

/// The name of this part.
pub const NAME: &str = "peers";

/// The part that knows peers; without their settings it does nothing.
pub struct Watch {
    peers: Mutex<Option<Peers>>,
    /// Whether who asks has shown who they are.
    is_guarded: bool,
}

impl Watch {
    /// Begins to watch, if the configuration has settings for it.
    ///
    /// # Errors
    ///
    /// A setting that cannot be, or the system's.
    pub fn start(config: &Config) -> anyhow::Result<Arc<Self>> {
        let peers = config.peers.clone().map(|settings| {
            let database = settings.database.or_else(|| Some(config.state_folder.join("peers.db")));
            Peers::start(Settings { database, ..settings })
        });
        let peers = Mutex::new(peers.transpose()?);
        Ok(Arc::new(Watch { peers, is_guarded: !config.http.is_open() }))
    }

    /// Asks the peers, if they are watched.
    fn ask<T>(&self, question: impl FnOnce(&Peers) -> T) -> Option<T> {
        locked(&self.peers).as_ref().map(question)
    }
}

impl Part for Watch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn health(&self) -> Health {
        let Some(health) = self.ask(Peers::health) else {
            let message = "peers are not watched: the configuration has no section [peers]";
            return Health { state: State::Healthy, message: message.into() };
        };
        match health.troubles() {
            troubles if troubles.is_empty() => {
                let message = format!("{} peers are known", health.peers);
                Health { state: State::Healthy, message }
            }
            troubles => Health { state: State::Degraded, message: troubles.join("; ") },
        }
    }

    fn write_metrics(&self, metrics: &mut Metrics<'_>) -> io::Result<()> {
        self.ask(|peers| peers.write_metrics(metrics)).unwrap_or(Ok(()))
    }

    fn routes(self: Arc<Self>) -> Vec<Route> {
        let mut routes = questions::routes(&self);
        routes.push(announcement::route(&self));
        routes
    }

    fn shutdown(&self) {
        let Some(peers) = locked(&self.peers).take() else { return };
        if let Err(error) = Handle::current().block_on(peers.shutdown()) {
            tracing::error!("not everything about peers was kept: {error}");
        }
    }
}
