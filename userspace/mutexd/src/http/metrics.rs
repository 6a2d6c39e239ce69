// SPDX-License-Identifier: MIT OR Apache-2.0

//! `/metrics`: of every part, and of the daemon itself.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::ACCEPT;
use axum::http::header::VARY;
use axum::response::Response;
use axum::routing::get;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Families;

use super::accept::exposition;
use super::answer::failure;
use super::answer::of_type;
use crate::own::Own;
use crate::part::Parts;
use crate::turns::Turns;

/// How many scrapes are gathered at the same time.
const GATHERING: usize = 2;

pub fn routes(parts: &Parts, own: &Arc<Own>) -> Router {
    let (parts, own) = (parts.clone(), own.clone());
    let gathering = Turns::new(GATHERING, &own);
    let answer = async move |headers: HeaderMap| scrape(&headers, gathering, parts, own).await;
    Router::new().route("/metrics", get(answer))
}

async fn scrape(headers: &HeaderMap, gathering: Turns, parts: Parts, own: Arc<Own>) -> Response {
    let wanted: Vec<&str> =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let exposition = exposition(&wanted.join(","));
    let turn = gathering.take().await;
    let written = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let text = text(exposition, &parts, &own);
        own.scrape(exposition, began.elapsed());
        drop(turn);
        text
    });
    match written.await {
        Ok(Ok(text)) => {
            let mut response = of_type(exposition.content_type(), StatusCode::OK, text);
            let vary = HeaderValue::from_static("accept");
            response.headers_mut().insert(VARY, vary);
            response
        }
        Ok(Err(error)) => failure(StatusCode::INTERNAL_SERVER_ERROR, &crate::reason(&error)),
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "a part has failed"),
    }
}

fn text(exposition: Exposition, parts: &Parts, own: &Own) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(64 << 10);
    let mut metrics = Families::new(&mut text, exposition);
    for part in parts.iter() {
        part.write_metrics(&mut metrics)?;
    }
    own.write_metrics(&mut metrics, parts)?;
    metrics.finish()?;
    Ok(text)
}
