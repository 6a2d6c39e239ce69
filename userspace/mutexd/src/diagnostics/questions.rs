// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be asked of the recorder.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mutex_stats::SCHEMA_VERSION;
use mutex_stats::diagnostics::Error;
use mutex_stats::diagnostics::Query;
use mutex_stats::diagnostics::Recorder;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::config::RecordLevel;
use crate::http::Asked;
use crate::http::failure;
use crate::http::json as answer;
use crate::http::list;
use crate::http::operation;
use crate::http::parameter;
use crate::part::Route;

/// How many events an answer has at most, and if nobody says.
const MOST: usize = 1000;
const USUAL: usize = 50;

/// What somebody wants to see.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    last: usize,
    severity: RecordLevel,
    after: u64,
    kind: Option<String>,
    peer: Option<String>,
    component: Option<String>,
    since_ns: u64,
    until_ns: u64,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted {
            last: USUAL,
            severity: RecordLevel::Debug,
            after: 0,
            kind: None,
            peer: None,
            component: None,
            since_ns: 0,
            until_ns: u64::MAX,
        }
    }
}

/// The routes.
pub fn routes(recorder: &Arc<Recorder>) -> Vec<Route> {
    let text = json!({ "type": "string" });
    let number = |most| json!({ "type": "integer", "minimum": 0, "maximum": most });
    let severities = json!({ "enum": ["debug", "info", "warning", "error", "critical"] });
    let parameters = [
        parameter(
            "last",
            "How many events there are at most: the newest.",
            &number(MOST as u64),
            &json!(5),
        ),
        parameter("severity", "How bad they are at least.", &severities, &json!("warning")),
        parameter("after", "Only those with a larger number.", &number(u64::MAX), &json!(0)),
        parameter("kind", "Only those of this kind.", &text, &json!("peer_connected")),
        parameter("peer", "Only those about this peer.", &text, &json!("192.0.2.1")),
        parameter(
            "component",
            "Only those of this part of mutexd, or of \"kernel\" or \"program\".",
            &text,
            &json!("history"),
        ),
        parameter(
            "since_ns",
            "Only those that are not earlier, Unix time.",
            &number(u64::MAX),
            &json!(0),
        ),
        parameter(
            "until_ns",
            "Only those that are not later, Unix time.",
            &number(u64::MAX),
            &json!(u64::MAX),
        ),
    ];
    let object = json!({ "type": "object" });
    let (events, statistics, health) = (recorder.clone(), recorder.clone(), recorder.clone());
    vec![
        Route {
            path: "/diagnostics/events",
            description: operation(
                "What was recorded, the oldest first.",
                &parameters,
                &list("events", &["number", "severity"]),
            ),
            handler: get(async move |Asked(wanted): Asked<Wanted>| listed(&events, wanted)),
        },
        Route {
            path: "/diagnostics/statistics",
            description: operation(
                "How many events there were and are, by kind and severity.",
                &[],
                &object,
            ),
            handler: get(async move || of(statistics.statistics().map(|all| all.to_json()))),
        },
        Route {
            path: "/diagnostics/health",
            description: operation("Whether what was recorded of late looks well.", &[], &object),
            handler: get(async move || of(health.health().map(|health| health.to_json()))),
        },
    ]
}

fn of(found: Result<Value, Error>) -> Response {
    match found {
        Ok(value) => answer(&value),
        Err(error) => failure(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

fn listed(recorder: &Recorder, wanted: Wanted) -> Response {
    if wanted.last > MOST {
        return failure(StatusCode::BAD_REQUEST, &format!("last is at most {MOST}"));
    }
    let Wanted { last, severity, after, kind, peer, component, since_ns, until_ns } = wanted;
    let severity = severity.severity();
    let query = Query { last, severity, after, kind, peer, component, since_ns, until_ns };
    of(recorder.events(&query).map(|events| {
        let events: Vec<Value> = events.iter().map(|kept| kept.to_json()).collect();
        json!({ "schema_version": SCHEMA_VERSION, "events": events })
    }))
}
