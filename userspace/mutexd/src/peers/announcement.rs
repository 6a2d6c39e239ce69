// SPDX-License-Identifier: MIT OR Apache-2.0

//! What who configures peers says of them: it shows at once, here and at other nodes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::post;
use mutex_peers::Announcement;
use mutex_peers::PublicKey;
use mutex_peers::Refused;
use mutex_stats::SCHEMA_VERSION;
use serde_json::Value;
use serde_json::json;

use super::Watch;
use crate::http::failure;
use crate::http::of_type;
use crate::part::Route;

/// Bytes of an announcement at most.
const MOST: usize = 16 << 10;

/// The route.
pub fn route(watch: &Arc<Watch>) -> Route {
    let watch = watch.clone();
    let handler = async move |headers: HeaderMap, body: Result<Bytes, BytesRejection>| match body {
        Ok(body) => take(watch, &headers, &body).await,
        Err(rejected) => failure(rejected.status(), &rejected.body_text()),
    };
    Route {
        path: "/peers/announcements",
        description: description(),
        handler: post(handler).layer(DefaultBodyLimit::max(MOST)),
    }
}

async fn take(watch: Arc<Watch>, headers: &HeaderMap, body: &[u8]) -> Response {
    if !watch.is_guarded {
        let sentence = "announcements are taken only from who has shown who they are: set http.token_file or \
                        http.tls.client_ca";
        return failure(StatusCode::FORBIDDEN, sentence);
    }
    // A page of somebody else's cannot have a browser send this type without asking.
    let media_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if media_type.split(';').next().is_none_or(|it| it.trim() != "application/json") {
        let sentence = "an announcement is application/json";
        return failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence);
    }
    let announcement = match serde_json::from_slice::<Announcement>(body) {
        Ok(announcement) => announcement,
        Err(error) => {
            return failure(StatusCode::BAD_REQUEST, &format!("this is no announcement: {error}"));
        }
    };
    let told = tokio::task::spawn_blocking(move || {
        watch.ask(|peers| peers.announce(announcement).map(|()| peers.flush()))
    });
    let Ok(Some(told)) = told.await else {
        let sentence = "peers are not watched: the configuration has no section [peers]";
        return failure(StatusCode::SERVICE_UNAVAILABLE, sentence);
    };
    let flushed = match told {
        Ok(flushed) => flushed,
        Err(refused) => {
            let status = match refused {
                Refused::Name | Refused::Interface => StatusCode::BAD_REQUEST,
                Refused::TooMany(_) => StatusCode::INSUFFICIENT_STORAGE,
            };
            return failure(status, &refused.to_string());
        }
    };
    let (status, trouble) = match flushed.await {
        Ok(()) => (StatusCode::OK, None),
        Err(trouble) => (StatusCode::ACCEPTED, Some(trouble)),
    };
    let kept = trouble.is_none();
    let told = json!({ "schema_version": SCHEMA_VERSION, "kept": kept, "trouble": trouble });
    of_type("application/json", status, told.to_string())
}

fn description() -> Value {
    let text = json!({ "type": "string" });
    let variant = |kind: &str, names: &[&str], is_patch: bool| {
        let mut properties = json!({ "kind": { "const": kind } });
        for name in names {
            properties[name] = text.clone();
        }
        if is_patch {
            properties["name"] = json!({ "type": "string", "maxLength": 256 });
            properties["check_alive_address"] = json!({ "type": ["string", "null"] });
        }
        let required: Vec<&str> = ["kind"].iter().chain(names).copied().collect();
        json!({
            "type": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": false,
        })
    };
    let schema = json!({ "oneOf": [
        variant("created", &["public_key", "interface"], true),
        variant("updated", &["public_key"], true),
        variant("reidentified", &["before", "public_key", "interface"], false),
        variant("removed", &["public_key", "interface"], false),
    ]});
    let kept = json!({
        "type": "object",
        "required": ["schema_version", "kept"],
        "properties": {
            "schema_version": { "const": SCHEMA_VERSION },
            "kept": { "type": "boolean" },
            "trouble": { "type": ["string", "null"] },
        },
    });
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": text },
    });
    let content = |schema: &Value| json!({ "application/json": { "schema": schema } });
    let answer = |description: &str, schema: &Value| json!({ "description": description, "content": content(schema) });
    let example = json!({
        "kind": "updated",
        "public_key": PublicKey([7; 32]).to_string(),
        "name": "office",
    });
    json!({
        "post": {
            "summary": "Says what somebody who configures peers does. A member that is not there leaves what is said \
                        as it is; check_alive_address is taken away by null.",
            "requestBody": {
                "required": true,
                "content": { "application/json": { "schema": schema, "example": example } },
            },
            "responses": {
                "200": answer("It shows, and is in the database: a restart does not lose it.", &kept),
                "202": answer("It shows, and waits for the database.", &kept),
                "400": answer("It is no announcement, or has an unknown member.", &error),
                "401": answer("A token is asked for.", &error),
                "403": answer("It is not known who asks.", &error),
                "415": answer("It is not JSON.", &error),
                "503": answer("Peers are not watched.", &error),
                "507": answer("Too much is said already of peers that this host does not have.", &error),
            },
        },
    })
}
