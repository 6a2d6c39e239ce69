// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the daemon lives, and whether it is ready: for whoever restarts it or sends others to it.

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;
use serde_json::json;

use super::answer;
use super::answer::failure;
use super::answer::of_type;
use super::openapi::operation;
use crate::part::Parts;
use crate::part::Route;
use crate::part::State;

/// Those that anybody may ask for.
pub fn routes(parts: &Parts) -> Router {
    let ready = parts.clone();
    Router::new()
        .route(
            "/healthz",
            get(async || of_type("text/plain; charset=utf-8", StatusCode::OK, "ok\n")),
        )
        .route("/readyz", get(async move || readiness(ready).await))
}

/// How all parts fare, each with a sentence.
pub fn described(parts: &Parts) -> Route {
    let parts = parts.clone();
    let states = State::ALL.map(State::name);
    let schema = json!({
        "type": "object",
        "required": ["state", "parts"],
        "properties": {
            "state": { "enum": states },
            "parts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["part", "state", "message"],
                    "properties": {
                        "part": { "type": "string" },
                        "state": { "enum": states },
                        "message": { "type": "string" },
                    },
                },
            },
        },
    });
    Route {
        path: "/health",
        description: operation("How the parts fare, and the worst of them.", &[], &schema),
        handler: get(async move || details(parts).await),
    }
}

/// How all parts fare together, and each.
async fn ask(parts: Parts) -> Option<(State, Vec<Value>)> {
    let asked = tokio::task::spawn_blocking(move || {
        let mut worst = State::Healthy;
        let each = parts.iter().map(|part| {
            let health = part.health();
            worst = worst.max(health.state);
            json!({ "part": part.name(), "state": health.state, "message": health.message })
        });
        let each = each.collect();
        (worst, each)
    });
    asked.await.ok()
}

/// Ready is who has no part that does nothing. Without the module the daemon is ready: it says so elsewhere.
async fn readiness(parts: Parts) -> Response {
    let state = ask(parts).await.map_or(State::Failed, |(state, _)| state);
    let status = match state {
        State::Failed => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    of_type("text/plain; charset=utf-8", status, format!("{}\n", state.name()))
}

async fn details(parts: Parts) -> Response {
    match ask(parts).await {
        Some((state, parts)) => answer::json(&json!({ "state": state, "parts": parts })),
        None => failure(StatusCode::INTERNAL_SERVER_ERROR, "a part does not say how it fares"),
    }
}
