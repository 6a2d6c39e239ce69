// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a browser shows who it is: by a link that is given over the local socket and can be followed once. It gets a session
//! in a cookie then. Neither outlives the daemon.

use std::collections::VecDeque;
use std::fmt::Write;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::COOKIE;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use mutex_stats::SCHEMA_VERSION;
use rustix::rand::GetRandomFlags;
use rustix::rand::getrandom;
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use super::answer;
use super::answer::failure;
use super::answer::of_type;
use super::asked::Asked;
use crate::own::Own;
use crate::own::locked;
use crate::part::Route;

/// Where a link leads to.
pub const LINK: &str = "/login";

/// Where a link is asked for, below `/api/v1`; over the local socket only.
const ASK: &str = "/login";

/// The same as a whole.
pub const ASK_URI: &str = "/api/v1/login";

/// How long a link can be followed, and how many there are at most: the oldest goes for a new one.
const LINK_LIFE: Duration = Duration::from_secs(300);
const LINKS: usize = 16;

/// How long a browser may look, and how many may.
const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);
const SESSIONS: usize = 64;

/// What the name of the cookie begins with. Cookies are of a host, whatever the port, so that each daemon has a name of its
/// own.
const COOKIE_NAME: &str = "mutexd_";

/// Links that were given and sessions that were begun.
#[derive(Default)]
pub struct Logins(Mutex<State>);

#[derive(Default)]
struct State {
    /// What follows [`COOKIE_NAME`], once there is a session.
    name: String,
    links: Secrets,
    sessions: Secrets,
}

/// Secrets, the oldest first, each with its end.
#[derive(Default)]
struct Secrets(VecDeque<(String, Instant)>);

impl Secrets {
    /// A new one of 256 bits.
    fn add(&mut self, most: usize, life: Duration, now: Instant) -> io::Result<String> {
        let secret = random(32)?;
        self.0.retain(|(_, end)| *end > now);
        while self.0.len() >= most {
            self.0.pop_front();
        }
        self.0.push_back((secret.clone(), now + life));
        Ok(secret)
    }

    /// Where it is; it takes the same time whichever is nearly right.
    fn find(&self, secret: &str, now: Instant) -> Option<usize> {
        self.0.iter().enumerate().fold(None, |found, (at, (known, end))| {
            let is_it = bool::from(known.as_bytes().ct_eq(secret.as_bytes())) && *end > now;
            if is_it { Some(at) } else { found }
        })
    }

    /// Whether it was there; it is not any more.
    fn take(&mut self, secret: &str, now: Instant) -> bool {
        self.find(secret, now).is_some_and(|at| self.0.remove(at).is_some())
    }
}

/// So many random bytes, in hexadecimal digits.
fn random(bytes: usize) -> io::Result<String> {
    let mut buffer = vec![0; bytes];
    // So few bytes come whole, once the system has any.
    if getrandom(&mut buffer, GetRandomFlags::empty())? != bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(buffer.iter().fold(String::new(), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

impl Logins {
    /// What a new link has.
    fn link(&self) -> io::Result<String> {
        locked(&self.0).links.add(LINKS, LINK_LIFE, Instant::now())
    }

    /// The cookie of a new session for who follows a link, if it can be followed.
    fn follow(&self, link: &str, is_secure: bool) -> io::Result<Option<String>> {
        let (now, mut state) = (Instant::now(), locked(&self.0));
        if !state.links.take(link, now) {
            return Ok(None);
        }
        if state.name.is_empty() {
            state.name = random(4)?;
        }
        let session = state.sessions.add(SESSIONS, SESSION_LIFE, now)?;
        let secure = if is_secure { "; Secure" } else { "" };
        Ok(Some(format!(
            "{COOKIE_NAME}{}={session}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
            state.name,
            SESSION_LIFE.as_secs()
        )))
    }

    /// Whether one of the cookies is that of a session.
    pub fn has_session(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
        let mut values = cookies.flat_map(|header| header.split(';')).filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            name.starts_with(COOKIE_NAME).then_some(value)
        });
        let (now, state) = (Instant::now(), locked(&self.0));
        values.any(|value| state.sessions.find(value, now).is_some())
    }
}

/// What a link carries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    code: String,
}

/// The link's end.
pub fn router(own: &Arc<Own>, is_secure: bool) -> Router {
    let own = own.clone();
    let answer = async move |Asked(link): Asked<Link>| followed(&own.logins, &link, is_secure);
    Router::new().route(LINK, get(answer))
}

fn followed(logins: &Logins, link: &Link, is_secure: bool) -> Response {
    let cookie = match logins.follow(&link.code, is_secure) {
        Ok(cookie) => cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()),
        Err(error) => return failure(StatusCode::INTERNAL_SERVER_ERROR, &crate::reason(&error)),
    };
    let Some(cookie) = cookie else {
        let sentence =
            "This link was followed already, or is too old: mutexctl page gives another one.";
        return html(StatusCode::FORBIDDEN, "", sentence);
    };
    tracing::info!("a browser has followed a link to the live page");
    // A redirection would be part of the navigation that has led here, from a terminal or another site, to which browsers
    // do not give a cookie that is SameSite=Strict. What this page leads to is asked for by this page.
    let refresh = "<meta http-equiv=\"refresh\" content=\"0;url=.\">";
    let mut response = html(StatusCode::OK, refresh, "The live page is at <a href=\".\">.</a>");
    response.headers_mut().insert(SET_COOKIE, cookie);
    response
}

/// A page of one sentence.
pub fn html(status: StatusCode, head: &str, sentence: &str) -> Response {
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">{head}<title>MUTEX</title></head>\
         <body><p>{sentence}</p></body></html>\n"
    );
    of_type("text/html; charset=utf-8", status, text)
}

/// Where a link is asked for; `page` is the address of the live page, if there is one.
pub fn route(own: &Arc<Own>, page: Option<String>) -> Route {
    let own = own.clone();
    let schema = json!({
        "type": "object",
        "required": ["schema_version", "url"],
        "properties": {
            "schema_version": { "const": SCHEMA_VERSION },
            "url": { "type": "string" },
            "valid_seconds": { "type": "integer" },
        },
    });
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": { "type": "string" } },
    });
    let answer = |description: &str, schema: &serde_json::Value| {
        json!({
            "description": description,
            "content": { "application/json": { "schema": schema } },
        })
    };
    Route {
        path: ASK,
        description: json!({
            "post": {
                "summary": "Gives a link to the live page that can be followed once, to who asks over the local socket.",
                "responses": {
                    "200": answer("The link.", &schema),
                    "403": answer("It was not asked for over the local socket.", &error),
                    "404": answer("There is no live page.", &error),
                },
            },
        }),
        handler: post(async move || given(&own.logins, page.as_deref())),
    }
}

fn given(logins: &Logins, page: Option<&str>) -> Response {
    let Some(page) = page else {
        let sentence =
            "there is no live page: page.enabled is false, or http.listening_address is empty";
        return failure(StatusCode::NOT_FOUND, sentence);
    };
    match logins.link() {
        Ok(code) => answer::json(&json!({
            "schema_version": SCHEMA_VERSION,
            "url": format!("{page}{LINK}?code={code}"),
            "valid_seconds": LINK_LIFE.as_secs(),
        })),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &crate::reason(&error)),
    }
}

/// The page as a browser on this host finds it: at a loopback address if one is listened to.
pub fn page(addresses: &[SocketAddr], has_tls: bool) -> Option<String> {
    let of_loopback = addresses.iter().find(|address| address.ip().is_loopback());
    let mut address = *of_loopback.or(addresses.first())?;
    match address.ip() {
        IpAddr::V4(all) if all.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(all) if all.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Some(format!("{}://{address}", if has_tls { "https" } else { "http" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(text: &str) -> HeaderMap {
        [(COOKIE, text.parse().expect("it is one"))].into_iter().collect()
    }

    #[test]
    fn a_link_is_followed_once_and_gives_a_session() {
        let logins = Logins::default();
        let link = logins.link().expect("there is randomness");
        assert_eq!(link.len(), 64);
        assert_ne!(link, logins.link().expect("there is randomness"));
        let follow = |link: &str| logins.follow(link, false).expect("there is randomness");
        assert_eq!(follow(&link[1..]), None);
        assert_eq!(follow(""), None);
        let cookie = follow(&link).expect("it is one");
        assert_eq!(follow(&link), None);
        assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().expect("it is not empty");
        assert!(logins.has_session(&cookies(cookie)));
        assert!(logins.has_session(&cookies(&format!("other=1; {cookie}; mutexd_x=2"))));
        for wrong in [&cookie[1..], &cookie[..cookie.len() - 1], "mutexd_=", "mutexd_x=1", "x"] {
            assert!(!logins.has_session(&cookies(wrong)), "{wrong}");
        }
        assert!(!logins.has_session(&cookies(&format!("mutexd_x={link}"))));
        assert!(!logins.has_session(&HeaderMap::new()));
        assert!(!Logins::default().has_session(&cookies(cookie)));
        let link = logins.link().expect("there is randomness");
        let secure = logins.follow(&link, true).expect("there is randomness");
        assert!(secure.is_some_and(|cookie| cookie.ends_with("; SameSite=Strict; Secure")));
    }

    #[test]
    fn secrets_end_and_the_oldest_goes() {
        let mut secrets = Secrets::default();
        let (now, life) = (Instant::now(), Duration::from_secs(10));
        let add = |secrets: &mut Secrets, now| secrets.add(2, life, now).expect("there is one");
        let first = add(&mut secrets, now);
        assert!(secrets.find(&first, now + life / 2).is_some());
        assert!(!secrets.take(&first, now + life));
        let second = add(&mut secrets, now);
        let third = add(&mut secrets, now);
        assert_eq!(secrets.find(&first, now), None);
        assert!(secrets.take(&second, now) && !secrets.take(&second, now));
        add(&mut secrets, now + 2 * life);
        assert_eq!((secrets.find(&third, now), secrets.0.len()), (None, 1));
    }

    #[test]
    fn the_page_is_at_a_loopback_address_if_there_is_one() {
        let page = |addresses: &[&str], has_tls| {
            let addresses: Vec<_> =
                addresses.iter().map(|text| text.parse().expect("it is one")).collect();
            page(&addresses, has_tls).unwrap_or_default()
        };
        assert_eq!(page(&["127.0.0.1:8787"], false), "http://127.0.0.1:8787");
        assert_eq!(page(&["192.0.2.1:1", "[::1]:2"], true), "https://[::1]:2");
        assert_eq!(page(&["192.0.2.1:1"], true), "https://192.0.2.1:1");
        assert_eq!(page(&["0.0.0.0:3"], false), "http://127.0.0.1:3");
        assert_eq!(page(&["[::]:3"], false), "http://[::1]:3");
        assert_eq!(page(&[], false), "");
    }
}
