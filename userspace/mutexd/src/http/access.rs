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
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header::AUTHORIZATION;
use axum::http::header::HOST;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

use super::answer::failure;
use crate::config::Http;
use crate::reason;

/// Paths that anybody may ask for: whether the daemon lives is no secret.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Who may ask.
pub struct Access {
    token: Option<Token>,
    /// Names that the host may be asked for by; `None` if who asks has shown who they are.
    names: Option<Vec<String>>,
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
    pub fn new(settings: &Http) -> anyhow::Result<Self> {
        let path = settings.token_file.as_path();
        let token = if path.as_os_str().is_empty() { None } else { Some(Token::read(path)?) };
        let names = (settings.is_open() && !settings.allow_everyone)
            .then(|| settings.host_names.iter().map(|name| name.to_ascii_lowercase()).collect());
        Ok(Access { token, names })
    }

    /// What is answered to who may not ask.
    pub fn refuse(&self, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        if let Some(names) = &self.names {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            if !is_expected(host, names) {
                let sentence = "this host is not known by that name; ask by its address, or add \
                                the name to http.host_names";
                return Some(failure(StatusCode::MISDIRECTED_REQUEST, sentence));
            }
        }
        let token = self.token.as_ref()?;
        if OPEN.contains(&uri.path()) || headers.get(AUTHORIZATION).is_some_and(|it| token.fits(it))
        {
            return None;
        }
        let mut response = failure(StatusCode::UNAUTHORIZED, "a token is asked for");
        let challenges =
            HeaderValue::from_static("Basic realm=\"mutexd\", charset=\"UTF-8\", Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenges);
        Some(response)
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

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn with_token(text: &str, mode: u32) -> anyhow::Result<Access> {
        let folder = tempfile::tempdir().expect("there is room");
        let token_file = folder.path().join("token");
        fs::write(&token_file, text).expect("there is room");
        fs::set_permissions(&token_file, Permissions::from_mode(mode)).expect("it is ours");
        Access::new(&Http { token_file, ..Http::default() })
    }

    fn status(access: &Access, path: &'static str, headers: &[(&str, &str)]) -> Option<StatusCode> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = axum::http::HeaderName::from_bytes(name.as_bytes()).expect("it is one");
            map.insert(name, value.parse().expect("it is one"));
        }
        access.refuse(&Uri::from_static(path), &map).map(|response| response.status())
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
        let access = Access::new(&Http { host_names: vec!["Box".into()], ..Http::default() });
        let access = access.expect("there is no file");
        for host in ["127.0.0.1:8787", "localhost", "LOCALHOST:1", "[::1]:8787", "box:8787"] {
            assert_eq!(status(&access, "/", &[("host", host)]), None, "{host}");
        }
        for host in ["example.com", "127.0.0.1.example.com:8787", "[::1].example.com]", "boxx", ""]
        {
            let answer = status(&access, "/", &[("host", host)]);
            assert_eq!(answer, Some(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
        assert_eq!(status(&access, "/", &[]), Some(StatusCode::MISDIRECTED_REQUEST));
    }
}
