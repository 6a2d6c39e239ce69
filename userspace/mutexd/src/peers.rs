// SPDX-License-Identifier: MIT OR Apache-2.0

//! Interfaces and peers of WireGuard: sessions and pings.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;

use axum::http::StatusCode;
use axum::routing::get;
use mutex_peers::Peer;
use mutex_peers::Peers;
use mutex_peers::Settings;
use mutex_stats::SCHEMA_VERSION;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::http::failure;
use crate::http::json as answer;
use crate::http::list;
use crate::http::operation;
use crate::own::locked;
use crate::part::Health;
use crate::part::Metrics;
use crate::part::Part;
use crate::part::Route;
use crate::part::State;

/// The name of this part.
pub const NAME: &str = "peers";

/// Results of pings that are shown of each peer.
const SHOWN: usize = 60;

/// The part that knows peers; without their settings it does nothing.
pub struct Watch(Mutex<Option<Peers>>);

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
        let peers = peers.transpose()?;
        Ok(Arc::new(Watch(Mutex::new(peers))))
    }
}

impl Part for Watch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn health(&self) -> Health {
        let Some(health) = locked(&self.0).as_ref().map(Peers::health) else {
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
        match locked(&self.0).as_ref() {
            Some(peers) => peers.write_metrics(metrics),
            None => Ok(()),
        }
    }

    fn routes(self: Arc<Self>) -> Vec<Route> {
        let names = ["interface", "public_key", "connected", "pings"];
        let summary =
            "Peers of WireGuard, with their sessions and the last results of their pings.";
        vec![Route {
            path: "/peers",
            description: operation(summary, &[], &list("peers", &names)),
            handler: get(async move || {
                let watch = self.clone();
                let listed = tokio::task::spawn_blocking(move || watch.listed());
                match listed.await {
                    Ok(peers) => {
                        answer(&json!({ "schema_version": SCHEMA_VERSION, "peers": peers }))
                    }
                    Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "peers cannot be listed"),
                }
            }),
        }]
    }

    fn shutdown(&self) {
        let Some(peers) = locked(&self.0).take() else { return };
        if let Err(error) = Handle::current().block_on(peers.shutdown()) {
            tracing::error!("not everything about peers was kept: {error}");
        }
    }
}

impl Watch {
    fn listed(&self) -> Vec<Value> {
        locked(&self.0)
            .as_ref()
            .map(|peers| peers.peers().iter().map(shown).collect())
            .unwrap_or_default()
    }
}

fn shown(peer: &Peer) -> Value {
    let pings = &peer.pings;
    let all = pings.newest();
    let surplus = all.len().saturating_sub(SHOWN);
    let newest: Vec<Value> = all
        .skip(surplus)
        .map(|(time_ns, rtt_ns)| json!({ "time_ns": time_ns, "rtt_ns": rtt_ns }))
        .collect();
    json!({
        "interface": peer.id.interface,
        "public_key": peer.id.public_key.to_string(),
        "name": peer.settings.name,
        "address": peer.shown_address(),
        "endpoint": peer.endpoint,
        "connected": peer.connected,
        "received_bytes": peer.received_bytes.total,
        "sent_bytes": peer.sent_bytes.total,
        "handshake_ns": peer.session.handshake_ns,
        "session_started_ns": peer.session.started_ns,
        "sessions": peer.session.sessions,
        "session_restarts": peer.session.restarts,
        "pings": {
            "tried": pings.tried,
            "lost": pings.lost,
            "min_ns": pings.min_ns,
            "avg_ns": pings.avg_ns(),
            "max_ns": pings.max_ns,
            "p95_ns": pings.p95_ns(),
            "p99_ns": pings.p99_ns(),
            "loss": pings.loss(),
            "newest": newest,
        },
    })
}
