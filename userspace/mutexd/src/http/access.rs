// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who may ask.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header::ACCEPT;
use axum::http::header::AUTHORIZATION;
use axum::http::header::HOST;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

use super::answer::failure;
use super::login;
use super::login::Logins;
use crate::config::Config;
use crate::reason;

/// Paths that anybody may ask for: whether the daemon lives is no secret, and a link to the live page is one of its own.
const OPEN: [&str; 3] = ["/healthz", "/readyz", login::LINK];

/// What every user of the host may know, if it names nobody.
const METRICS: &str = "/metrics";

/// Who may ask.
pub struct Access {
    token: Option<Token>,
    /// Whether everybody who has come so far may ask everything: everybody may, or has shown a certificate.
    is_open: bool,
    /// Whether metrics are for who may ask everything.
    has_private_metrics: bool,
    /// Names that the host may be asked for by; `None` if who asks has shown who they are.
    names: Option<Vec<String>>,
    /// What is told to who may not ask, and could otherwise.
    advice: String,
}

/// How a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Over the local socket, from somebody who may ask there.
    Local,
    /// By an address.
    Network,
}

/// A secret.
struct Token(Vec<u8>);

impl Token {
    const LENGTH: std::ops::RangeInclusive<usize> = 16..=256;

    fn read(path: &Path) -> anyhow::Result<Self> {
        let cannot = |error| anyhow!("cannot read {}: {}", path.display(), reason(&error));
        let file = File::open(path).map_err(cannot).context("http.token_file")?;
        let mode = file.metadata().map_err(cannot)?.mode();
        if mode & 0o007 != 0 {
            bail!(
                "http.token_file: {} can be read or written by everybody; chmod it to 0600",
                path.display()
            );
        }
        let mut text = Vec::new();
        file.take(4096).read_to_end(&mut text).map_err(cannot)?;
        let token = text.trim_ascii();
        if !Self::LENGTH.contains(&token.len()) || !token.iter().all(u8::is_ascii_graphic) {
            bail!(
                "http.token_file: {} does not hold a token of {} to {} letters, digits and signs; \
                 write one, such as `openssl rand -hex 32` makes",
                path.display(),
                Self::LENGTH.start(),
                Self::LENGTH.end()
            );
        }
        Ok(Token(token.to_vec()))
    }

    /// Takes the same time whatever is wrong with `other`, but for its length.
    fn is(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl Access {
    /// # Errors
    ///
    /// What is wrong with the file of the token.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let settings = &config.http;
        let token =
            if settings.has_token() { Some(Token::read(&settings.token_file)?) } else { None };
        let names = (!settings.has_proof() && !settings.allow_everyone)
            .then(|| settings.host_names.iter().map(|name| name.to_ascii_lowercase()).collect());
        let socket = if settings.socket.as_os_str().is_empty() {
            "set http.socket or http.token_file".into()
        } else {
            format!(
                "ask at the local socket {}, open the page with `mutexctl page`, or set \
                 http.token_file",
                settings.socket.display()
            )
        };
        let what =
            if config.has_private_metrics() { "health is" } else { "health and metrics are" };
        Ok(Access {
            token,
            is_open: settings.is_open() || !settings.has_token() && settings.has_proof(),
            has_private_metrics: config.has_private_metrics(),
            names,
            advice: format!("only {what} for everybody here; {socket}"),
        })
    }

    /// What is answered to who may not ask.
    pub fn refuse(
        &self,
        origin: Origin,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        logins: &Logins,
    ) -> Option<Response> {
        if origin == Origin::Local {
            return None;
        }
        if let Some(names) = &self.names {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            if !is_expected(host, names) {
                let sentence = "this host is not known by that name; ask by its address, or add \
                                the name to http.host_names";
                return Some(failure(StatusCode::MISDIRECTED_REQUEST, sentence));
            }
        }
        if OPEN.contains(&uri.path()) {
            return None;
        }
        if uri.path() == login::ASK_URI {
            let sentence = "a link to the page is given over the local socket only";
            return Some(failure(StatusCode::FORBIDDEN, sentence));
        }
        let may = match &self.token {
            Some(token) => headers.get(AUTHORIZATION).is_some_and(|it| token.fits(it)),
            None => self.is_open || uri.path() == METRICS && !self.has_private_metrics,
        };
        if may {
            return None;
        }
        if logins.has_session(headers) {
            // Cookies also come with what another server at this address has a browser ask for, whatever its port.
            let sentence = "a browser may look, and change nothing";
            return (!matches!(*method, Method::GET | Method::HEAD))
                .then(|| failure(StatusCode::FORBIDDEN, sentence));
        }
        Some(self.refusal(uri, headers))
    }

    fn refusal(&self, uri: &Uri, headers: &HeaderMap) -> Response {
        let accepted = headers.get(ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let (status, sentence) = match &self.token {
            Some(_) => (StatusCode::UNAUTHORIZED, "a token is asked for"),
            None => (StatusCode::FORBIDDEN, self.advice.as_str()),
        };
        let mut response = if uri.path() == "/" && accepted.contains("text/html") {
            let sentence =
                "The live page is not for everybody: run <code>mutexctl page</code> on this host.";
            login::html(status, "", sentence)
        } else {
            failure(status, sentence)
        };
        if status == StatusCode::UNAUTHORIZED {
            let challenges =
                HeaderValue::from_static("Basic realm=\"mutexd\", charset=\"UTF-8\", Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenges);
        }
        response
    }
}

impl Token {
    fn fits(&self, header: &HeaderValue) -> bool {
        let Some((scheme, credentials)) =
            header.to_str().ok().and_then(|text| text.split_once(' '))
        else {
            return false;
        };
        let credentials = credentials.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => self.is(credentials.as_bytes()),
            // Browsers ask for it, and then send it with whatever the page asks.
            "basic" => BASE64_STANDARD.decode(credentials).is_ok_and(|pair| {
                let colon = pair.iter().position(|byte| *byte == b':');
                colon.is_some_and(|at| self.is(&pair[at + 1..]))
            }),
            _ => false,
        }
    }
}

/// Whether a browser that was told a name of somebody else's cannot have sent this.
fn is_expected(host: &str, names: &[String]) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, port)) => {
            let is_end = port.is_empty() || port.starts_with(':');
            return is_end && inside.parse::<IpAddr>().is_ok();
        }
        None => host.split_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok() || names.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use crate::config::Http;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn of(http: Http) -> anyhow::Result<Access> {
        Access::new(&Config { http, ..Config::default() })
    }

    fn with_token(text: &str, mode: u32) -> anyhow::Result<Access> {
        let folder = tempfile::tempdir().expect("there is room");
        let token_file = folder.path().join("token");
        fs::write(&token_file, text).expect("there is room");
        fs::set_permissions(&token_file, Permissions::from_mode(mode)).expect("it is ours");
        of(Http { token_file, ..Http::default() })
    }

    fn status(access: &Access, path: &'static str, headers: &[(&str, &str)]) -> Option<StatusCode> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = axum::http::HeaderName::from_bytes(name.as_bytes()).expect("it is one");
            map.insert(name, value.parse().expect("it is one"));
        }
        let (uri, logins) = (Uri::from_static(path), Logins::default());
        let refused = access.refuse(Origin::Network, &Method::GET, &uri, &map, &logins);
        assert!(access.refuse(Origin::Local, &Method::POST, &uri, &map, &logins).is_none());
        refused.map(|response| response.status())
    }

    #[test]
    fn the_token_opens_and_nothing_else_does() {
        let access = with_token(&format!("{TOKEN}\n"), 0o600).expect("it is a token");
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        for right in [
            format!("Bearer {TOKEN}"),
            format!("bearer  {TOKEN} "),
            basic(&format!("anybody:{TOKEN}")),
            basic(&format!(":{TOKEN}")),
        ] {
            assert_eq!(status(&access, "/metrics", &[("authorization", &right)]), None, "{right}");
        }
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcdee",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            TOKEN,
            "Digest 0123456789abcdef",
            "Basic ####",
            &basic(TOKEN),
            &basic(&format!("{TOKEN}:")),
        ] {
            let answer = status(&access, "/metrics", &[("authorization", wrong)]);
            assert_eq!(answer, Some(StatusCode::UNAUTHORIZED), "{wrong}");
        }
        assert_eq!(status(&access, "/metrics", &[]), Some(StatusCode::UNAUTHORIZED));
        assert_eq!(status(&access, "/healthz", &[]), None);
        assert_eq!(status(&access, "/healthz/", &[]), Some(StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        for (text, mode) in
            [(TOKEN, 0o644), ("short", 0o600), ("", 0o600), ("sixteen letters \n x", 0o600)]
        {
            assert!(with_token(text, mode).is_err(), "{text:?} {mode:o}");
        }
        assert!(with_token(TOKEN, 0o640).is_ok());
    }

    #[test]
    fn without_a_token_names_of_others_are_refused() {
        let access = of(Http { host_names: vec!["Box".into()], ..Http::default() });
        let access = access.expect("there is no file");
        for host in ["127.0.0.1:8787", "localhost", "LOCALHOST:1", "[::1]:8787", "box:8787"] {
            assert_eq!(status(&access, "/metrics", &[("host", host)]), None, "{host}");
        }
        for host in ["example.com", "127.0.0.1.example.com:8787", "[::1].example.com]", "boxx", ""]
        {
            let answer = status(&access, "/metrics", &[("host", host)]);
            assert_eq!(answer, Some(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
        assert_eq!(status(&access, "/metrics", &[]), Some(StatusCode::MISDIRECTED_REQUEST));
    }

    #[test]
    fn without_a_token_only_what_names_nobody_is_for_every_user() {
        let host = [("host", "localhost")];
        let refused = |config: &Config| {
            let access = Access::new(config).expect("there is no file");
            let paths = ["/healthz", "/readyz", "/metrics", "/", "/page.js", "/api/v1/stats"];
            paths
                .into_iter()
                .filter(|path| status(&access, path, &host).is_some())
                .collect::<Vec<_>>()
        };
        let mut config = Config::default();
        assert_eq!(refused(&config), ["/", "/page.js", "/api/v1/stats"]);
        config.prometheus.top_fds = 1;
        assert_eq!(refused(&config), ["/metrics", "/", "/page.js", "/api/v1/stats"]);
        config.http.allow_everyone = true;
        assert_eq!(refused(&config), [""; 0]);
        // Who has come so far has shown a certificate.
        config.http.allow_everyone = false;
        config.http.tls.client_ca = "/ca".into();
        assert_eq!(refused(&config), [""; 0]);
        let access = Access::new(&config).expect("there is no file");
        assert_eq!(status(&access, "/api/v1/login", &host), Some(StatusCode::FORBIDDEN));
    }
}
