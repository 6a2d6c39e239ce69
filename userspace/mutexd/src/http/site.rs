// SPDX-License-Identifier: MIT OR Apache-2.0

//! Everything that can be asked, and the rules for asking.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::Request;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use hyper::body::Incoming;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::access::Access;
use super::access::Origin;
use super::answer::failure;
use super::health;
use super::login;
use super::metrics;
use super::openapi;
use super::page;
use super::tls;
use crate::config::Config;
use crate::local;
use crate::own::Own;
use crate::part::Parts;

/// Characters of a path and its query at most.
const MAX_URI: usize = 4096;

/// Sent with every answer. The page is made of what comes from here; nothing may be run, shown or framed besides.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What answers, made of one configuration.
pub struct Site {
    router: Router,
    access: Access,
    pub tls: Option<TlsAcceptor>,
    /// Whether members of a group may ask over the local socket.
    pub has_group: bool,
    pub max_connections: usize,
    pub request_timeout: Duration,
    pub idle_timeout: Duration,
}

impl Site {
    /// For who finds it at these addresses.
    ///
    /// # Errors
    ///
    /// What is wrong with the files that the configuration names.
    pub fn new(
        config: &Config,
        parts: &Parts,
        own: &Arc<Own>,
        addresses: &[SocketAddr],
    ) -> anyhow::Result<Self> {
        let settings = &config.http;
        let has_tls = settings.tls.is_on();
        let page = login::page(addresses, has_tls).filter(|_| config.page.enabled);
        let mut described = vec![health::described(parts), login::route(own, page)];
        described.extend(parts.iter().flat_map(|part| part.clone().routes()));
        let router = Router::new()
            .merge(health::routes(parts))
            .merge(metrics::routes(parts, own))
            .merge(page::routes(&config.page))
            .merge(login::router(own, has_tls))
            .merge(openapi::router(described))
            .fallback(async || failure(StatusCode::NOT_FOUND, "there is nothing at this path"))
            .method_not_allowed_fallback(async || {
                failure(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method")
            });
        Ok(Site {
            router,
            access: Access::new(config)?,
            tls: tls::acceptor(&settings.tls)?,
            has_group: !settings.group.is_empty(),
            max_connections: settings.max_connections,
            request_timeout: settings.request_timeout,
            idle_timeout: settings.idle_timeout,
        })
    }

    /// Whether a site could be made of that configuration.
    ///
    /// # Errors
    ///
    /// As [`Site::new`].
    pub fn check(config: &Config) -> anyhow::Result<()> {
        Access::new(config)?;
        local::group("http.group", &config.http.group)?;
        local::group("diagnostics.group", &config.diagnostics.group)?;
        tls::acceptor(&config.http.tls).map(drop)
    }

    /// Answers, whatever is asked.
    pub async fn answer(&self, origin: Origin, request: Request<Incoming>, own: &Own) -> Response {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let pending = own.told.http.begin();
        let mut response = if let Some(response) = self.refuse(origin, &request, own) {
            response
        } else {
            // A clone is a reference; it can always be called.
            let answered = self.router.clone().call(request.map(Body::new));
            timeout(self.request_timeout, answered)
                .await
                .unwrap_or_else(|_| {
                    Ok(failure(StatusCode::SERVICE_UNAVAILABLE, "the answer took too long"))
                })
                .unwrap_or_else(|never| match never {})
        };
        let status = response.status().as_u16();
        own.answer(status);
        // What somebody asks wrongly is answered well.
        if response.status().is_server_error() {
            pending.fail();
        } else {
            pending.succeed();
        }
        tracing::debug!(%method, path, status, "answered");
        harden(response.headers_mut());
        response
    }

    fn refuse(&self, origin: Origin, request: &Request<Incoming>, own: &Own) -> Option<Response> {
        let length = request.uri().path_and_query().map_or(0, |it| it.as_str().len());
        if length > MAX_URI {
            let sentence = "the path and its query are too long";
            return Some(failure(StatusCode::URI_TOO_LONG, sentence));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
            let sentence = "GET, HEAD and POST are the methods that there are";
            return Some(failure(StatusCode::METHOD_NOT_ALLOWED, sentence));
        }
        let (uri, headers) = (request.uri(), request.headers());
        self.access.refuse(origin, request.method(), uri, headers, &own.logins)
    }
}

fn harden(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
