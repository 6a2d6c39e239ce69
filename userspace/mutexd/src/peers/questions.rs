// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be asked about peers.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mutex_peers::Peer;
use mutex_peers::Peers;
use mutex_peers::PublicKey;
use mutex_stats::SCHEMA_VERSION;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use super::Watch;
use crate::http::Asked;
use crate::http::failure;
use crate::http::json as answer;
use crate::http::list;
use crate::http::operation;
use crate::http::parameter;
use crate::own::locked;
use crate::part::Route;

/// Results of pings that are shown of each peer.
const SHOWN: usize = 60;

/// How many peers an answer has at most, and if nobody says.
const MOST_PEERS: usize = 1000;

/// How many events an answer has at most, and if nobody says.
const MOST: usize = 10_000;
const USUAL: usize = 1000;

/// Which peers somebody wants to see.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Which {
    interface: Option<String>,
    public_key: Option<String>,
    offset: usize,
    limit: usize,
}

impl Default for Which {
    fn default() -> Self {
        Which { interface: None, public_key: None, offset: 0, limit: MOST_PEERS }
    }
}

/// Which events somebody wants to see.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Since {
    after: u64,
    limit: usize,
}

impl Default for Since {
    fn default() -> Self {
        Since { after: 0, limit: USUAL }
    }
}

/// The routes.
pub fn routes(watch: &Arc<Watch>) -> Vec<Route> {
    let text = json!({ "type": "string" });
    let number = |most: u64| json!({ "type": "integer", "minimum": 0, "maximum": most });
    let which = [
        parameter("interface", "Only those of this interface.", &text, &json!("wg0")),
        parameter(
            "public_key",
            "Only those with this key.",
            &text,
            &json!(PublicKey([7; 32]).to_string()),
        ),
        parameter(
            "offset",
            "How many of them to leave out: the first ones, in the order of interfaces and keys.",
            &number(u64::MAX),
            &json!(0),
        ),
        parameter(
            "limit",
            "How many there are at most.",
            &json!({ "type": "integer", "minimum": 1, "maximum": MOST_PEERS, "default": MOST_PEERS }),
            &json!(5),
        ),
    ];
    let mut some_peers = list("peers", &["interface", "public_key", "connected", "pings"]);
    some_peers["required"] = json!(["schema_version", "total", "truncated", "peers"]);
    some_peers["properties"]["total"] = number(u64::MAX);
    some_peers["properties"]["truncated"] = json!({ "type": "boolean" });
    let since = [
        parameter("after", "Only those with a larger number.", &number(u64::MAX), &json!(0)),
        parameter(
            "limit",
            "How many there are at most: the first ones.",
            &number(MOST as u64),
            &json!(10),
        ),
    ];
    let (peers, nodes, events) = (watch.clone(), watch.clone(), watch.clone());
    vec![
        Route {
            path: "/peers",
            description: operation(
                "Peers of WireGuard, with their sessions and the last results of their pings. \"total\" is how many \
                 there are of which the question asks, \"truncated\" whether some of them are after the last one here.",
                &which,
                &some_peers,
            ),
            handler: get(async move |Asked(which): Asked<Which>| listed(peers, which).await),
        },
        Route {
            path: "/peers/nodes",
            description: operation(
                "What is known of other nodes: when each was heard from, its peers, and how often one of them found \
                 no room here (peers.fanout.max_peers).",
                &[],
                &list("nodes", &["node", "heard_ns", "peers", "peers_left_out"]),
            ),
            handler: get(async move || asked(nodes, other_nodes).await),
        },
        Route {
            path: "/peers/events",
            description: operation(
                "What happened to peers here and at other nodes, the oldest first. Who finds \"oldest\" larger than \
                 the number after the last one seen has missed some.",
                &since,
                &list("events", &["number", "node", "kind"]),
            ),
            handler: get(async move |Asked(since): Asked<Since>| {
                if since.limit > MOST {
                    let sentence = format!("limit is at most {MOST}");
                    return failure(StatusCode::BAD_REQUEST, &sentence);
                }
                asked(events, move |peers| recent(peers, &since)).await
            }),
        },
    ]
}

/// Has a thread that may wait ask, and answers with what it found.
async fn asked(
    watch: Arc<Watch>,
    question: impl FnOnce(Option<&Peers>) -> Value + Send + 'static,
) -> Response {
    let found = tokio::task::spawn_blocking(move || question(locked(&watch.peers).as_ref()));
    match found.await {
        Ok(found) => answer(&found),
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "peers cannot be asked"),
    }
}

async fn listed(watch: Arc<Watch>, which: Which) -> Response {
    let key = which.public_key.as_deref().map(str::parse::<PublicKey>).transpose();
    let Ok(key) = key else {
        let sentence = "public_key is no key: 32 bytes in base64 are one";
        return failure(StatusCode::BAD_REQUEST, sentence);
    };
    if !(1..=MOST_PEERS).contains(&which.limit) {
        let sentence = format!("limit is from 1 to {MOST_PEERS}");
        return failure(StatusCode::BAD_REQUEST, &sentence);
    }
    asked(watch, move |peers| {
        let is_wanted = |peer: &Peer| {
            key.is_none_or(|key| peer.id.public_key == key)
                && which.interface.as_ref().is_none_or(|it| peer.id.interface == *it)
        };
        let found = peers.map(|peers| peers.some_peers(which.offset, which.limit, is_wanted));
        let (peers, total) = found.unwrap_or_default();
        let truncated = which.offset.saturating_add(peers.len()) < total;
        let peers: Vec<Value> = peers.iter().map(shown).collect();
        json!({
            "schema_version": SCHEMA_VERSION,
            "total": total,
            "truncated": truncated,
            "peers": peers,
        })
    })
    .await
}

fn shown(peer: &Peer) -> Value {
    let pings = &peer.pings;
    let all = pings.newest();
    let surplus = all.len().saturating_sub(SHOWN);
    let newest: Vec<Value> = all
        .skip(surplus)
        .map(|(time_ns, rtt_ns)| json!({ "time_ns": time_ns, "rtt_ns": rtt_ns }))
        .collect();
    let allowed_ips: Vec<String> =
        peer.allowed_ips.iter().map(|one| format!("{}/{}", one.address, one.prefix)).collect();
    json!({
        "interface": peer.id.interface,
        "public_key": peer.id.public_key.to_string(),
        "name": peer.settings.name,
        "address": peer.shown_address(),
        "endpoint": peer.endpoint,
        "allowed_ips": allowed_ips,
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
            "sum_ns": pings.sum_ns,
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

fn other_nodes(peers: Option<&Peers>) -> Value {
    let nodes = peers.map(Peers::other_nodes).unwrap_or_default();
    let nodes: Vec<Value> = nodes
        .into_iter()
        .map(|(name, node)| {
            let peers: Vec<Value> = node
                .peers
                .iter()
                .map(|(id, connected)| {
                    json!({
                        "interface": id.interface,
                        "public_key": id.public_key.to_string(),
                        "connected": connected,
                    })
                })
                .collect();
            json!({
                "node": name,
                "heard_ns": node.heard_ns,
                "peers": peers,
                "peers_left_out": node.left_out,
            })
        })
        .collect();
    json!({ "schema_version": SCHEMA_VERSION, "nodes": nodes })
}

fn recent(peers: Option<&Peers>, since: &Since) -> Value {
    let recent = peers.map(|peers| peers.recent(since.after, since.limit));
    let (oldest, newest) = recent.as_ref().map_or((1, 0), |recent| (recent.oldest, recent.newest));
    let events: Vec<Value> = recent
        .into_iter()
        .flat_map(|recent| recent.events)
        .map(|(number, event)| {
            let mut event = json!(event);
            event["number"] = number.into();
            event
        })
        .collect();
    json!({ "schema_version": SCHEMA_VERSION, "oldest": oldest, "newest": newest, "events": events })
}
