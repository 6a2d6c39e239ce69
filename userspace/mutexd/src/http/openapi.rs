// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be asked under `/api/v1`, with the document that describes it: both are made of the same routes.

use axum::Router;
use axum::routing::get;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::answer;
use crate::part::Route;

/// Where the routes of parts are.
const BASE: &str = "/api/v1";

/// The routes, and `/api/v1/openapi.json`.
pub fn router(all: Vec<Route>) -> Router {
    let document = document(&all);
    let mut router = Router::new()
        .route(&format!("{BASE}/openapi.json"), get(async move || answer::json(&document)));
    for Route { path, handler, .. } in all {
        router = router.route(&format!("{BASE}{path}"), handler);
    }
    router
}

/// The document in `OpenAPI` 3.1.
fn document(routes: &[Route]) -> Value {
    let mut paths = Map::new();
    for route in routes {
        paths.insert(route.path.to_owned(), route.description.clone());
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mutexd",
            "summary": "What the MUTEX kernel module counts, and how the parts of mutexd fare.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": BASE }],
        "security": [{}, { "bearer": [] }, { "basic": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The token is the password of any user.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "mutexd_*",
                    "description": "Of a browser that has followed a link of `mutexctl page`: it may look.",
                },
            },
        },
    })
}

/// A path item with a `get` that answers with an object of that schema, or with one that is an error.
pub fn operation(summary: &str, parameters: &[Value], schema: &Value) -> Value {
    let answer = |description: &str, schema: &Value| {
        json!({
            "description": description,
            "content": { "application/json": { "schema": schema } },
        })
    };
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": { "type": "string" } },
    });
    json!({
        "get": {
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": answer("What was asked for.", schema),
                "400": answer("The question makes no sense.", &error),
                "401": answer("A token is asked for.", &error),
                "403": answer("It is not for everybody, and was not asked for over the local socket.", &error),
                "503": answer("What is needed for an answer is not there.", &error),
            },
        },
    })
}

/// A parameter that may be left out.
pub fn parameter(name: &str, description: &str, schema: &Value, example: &Value) -> Value {
    json!({
        "name": name,
        "in": "query",
        "required": false,
        "description": description,
        "schema": schema,
        "example": example,
    })
}

/// The schema of an object with a list in it; each of its elements has these properties at least.
pub fn list(name: &str, properties: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": ["schema_version", name],
        "properties": {
            "schema_version": { "const": mutex_stats::SCHEMA_VERSION },
            name: { "type": "array", "items": { "type": "object", "required": properties } },
        },
    })
}
