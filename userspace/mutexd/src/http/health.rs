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

/// Those that anybody may ask for. What they answer begins with one word; a line for each part that is not as it should be
/// follows, without details, which are nobody's business.
pub fn routes(parts: &Parts) -> Router {
    let (alive, ready) = (parts.clone(), parts.clone());
    Router::new()
        .route("/healthz", get(async move || liveness(alive).await))
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

/// Who has a part that does nothing is to be started again.
async fn liveness(parts: Parts) -> Response {
    short(parts, |state| if state == State::Failed { state.name() } else { "ok" }).await
}

/// Ready is who has no part that does nothing. Without the module the daemon is ready: it says so.
async fn readiness(parts: Parts) -> Response {
    short(parts, State::name).await
}

async fn short(parts: Parts, word: fn(State) -> &'static str) -> Response {
    let asked = tokio::task::spawn_blocking(move || {
        parts.iter().map(|part| (part.name(), part.health().state)).collect::<Vec<_>>()
    });
    // That nobody can say how it fares is a failure, too.
    let fares = asked.await.unwrap_or_else(|_| vec![("health", State::Failed)]);
    let (state, text) = told(&fares, word);
    let status = match state {
        State::Failed => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    of_type("text/plain; charset=utf-8", status, text)
}

/// The worst state, and what is said of all.
fn told(states: &[(&str, State)], word: fn(State) -> &'static str) -> (State, String) {
    let worst = states.iter().map(|(_, state)| *state).max().unwrap_or(State::Healthy);
    let mut text = format!("{}\n", word(worst));
    for (part, state) in states.iter().filter(|(_, state)| *state != State::Healthy) {
        text.extend([part, " ", state.name(), "\n"]);
    }
    (worst, text)
}

async fn details(parts: Parts) -> Response {
    match ask(parts).await {
        Some((state, parts)) => answer::json(&json!({ "state": state, "parts": parts })),
        None => failure(StatusCode::INTERNAL_SERVER_ERROR, "a part does not say how it fares"),
    }
}

#[cfg(test)]
mod tests {
    use crate::part::tests::Told;

    use super::*;

    #[tokio::test]
    async fn who_has_a_part_that_does_nothing_is_neither_ready_nor_well() {
        for (state, status) in [
            (State::Healthy, StatusCode::OK),
            (State::Degraded, StatusCode::OK),
            (State::Failed, StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let part = Told::new("history", false, state);
            let parts = Parts::of(vec![Told::new("network", false, State::Healthy), part]);
            assert_eq!(readiness(parts.clone()).await.status(), status, "{state:?}");
            assert_eq!(liveness(parts).await.status(), status, "{state:?}");
        }
    }

    #[test]
    fn the_worst_part_decides_and_each_that_is_not_well_is_named() {
        let states =
            [("network", State::Degraded), ("peers", State::Healthy), ("history", State::Failed)];
        let (state, text) = told(&states, State::name);
        assert_eq!(
            (state, text.as_str()),
            (State::Failed, "failed\nnetwork degraded\nhistory failed\n")
        );
        let (state, text) = told(&states[..2], |_| "ok");
        assert_eq!((state, text.as_str()), (State::Degraded, "ok\nnetwork degraded\n"));
        assert_eq!(told(&states[1..2], State::name), (State::Healthy, "healthy\n".into()));
    }
}
