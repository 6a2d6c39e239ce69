// SPDX-License-Identifier: MIT OR Apache-2.0

//! Answers that are no answer: a status, and a sentence in JSON.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use serde_json::Value;

const JSON: &str = "application/json";

/// `{"error": "the sentence"}` with that status.
pub fn failure(status: StatusCode, sentence: &str) -> Response {
    of_type(JSON, status, serde_json::json!({ "error": sentence }).to_string())
}

/// An object.
pub fn json(value: &Value) -> Response {
    of_type(JSON, StatusCode::OK, value.to_string())
}

/// An answer of that media type.
pub fn of_type(media_type: &'static str, status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
