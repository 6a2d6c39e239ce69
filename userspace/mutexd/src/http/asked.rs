// SPDX-License-Identifier: MIT OR Apache-2.0

//! What stands behind the `?`: known names only.

use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::answer::failure;

/// Parameters of a request.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        Query::try_from_uri(&parts.uri).map(|Query(asked)| Asked(asked)).map_err(|error| {
            let text = error.body_text().replace('`', "\"");
            let what = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, what)| what);
            failure(StatusCode::BAD_REQUEST, what)
        })
    }
}
