// SPDX-License-Identifier: MIT OR Apache-2.0

//! Asks the daemon's HTTP interface, at an address or over its local socket: questions and answers in JSON.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use serde_json::Value;
use ureq::Agent;

use crate::failure::reason;
use crate::local;

/// How long a connection, the beginning of an answer, and all of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer at most.
const MAX_ANSWER: u64 = 64 << 20;

/// Where the interface is, and what opens it.
pub enum Web {
    /// A local socket, where the daemon knows who asks.
    Local(PathBuf),
    Address {
        address: String,
        token: Option<String>,
        agent: Agent,
    },
}

impl Web {
    /// An address as the daemon has it.
    const ADDRESS: &str = "127.0.0.1:8787";

    /// At an address and port, or at the path of a local socket.
    pub fn new(address: &str, token_file: Option<&Path>) -> anyhow::Result<Self> {
        if address.starts_with('/') {
            if token_file.is_some() {
                bail!("{address} is a local socket, where no token is asked for");
            }
            return Ok(Web::Local(address.into()));
        }
        let address = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
        if address.starts_with("https:") {
            bail!("{address}: HTTPS is not spoken here; ask over the daemon's local socket");
        }
        if address.is_empty()
            || !address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
        {
            bail!("`{address}` is no address and port such as {}", Self::ADDRESS);
        }
        let token = token_file.map(|path| {
            let text = fs::read_to_string(path).map_err(|error| anyhow!(reason(&error)));
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            let token = text.trim();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                bail!("{} holds no token", path.display());
            }
            Ok(token.to_owned())
        });
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_recv_body(Some(PATIENCE))
            .build()
            .into();
        Ok(Web::Address { address: address.to_owned(), token: token.transpose()?, agent })
    }

    /// What is at a path below the address, with these parameters.
    pub fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        let (status, body) = match self {
            Web::Local(socket) => ask(socket, "GET", &local::uri(path, query))?,
            Web::Address { address, token, agent } => {
                let failed = |error: ureq::Error| {
                    let reason = match error {
                        ureq::Error::Io(error) => reason(&error),
                        error => error.to_string(),
                    };
                    anyhow!(
                        "cannot ask mutexd at http://{address}: {reason}; is it running, and does \
                         it listen there?"
                    )
                };
                let mut request = agent.get(format!("http://{address}{path}"));
                let query = query.iter().map(|(name, value)| (*name, value.as_str()));
                request = request.query_pairs(query);
                if let Some(token) = token {
                    request = request.header("authorization", format!("Bearer {token}"));
                }
                let mut answer = request.call().map_err(failed)?;
                let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
                (answer.status().as_u16(), body.map_err(failed)?)
            }
        };
        self.understand(status, &body)
    }

    /// Has the daemon do something, which it does for who asks over its local socket.
    pub fn post(&self, path: &str) -> anyhow::Result<Value> {
        let Web::Local(socket) = self else { bail!("{self} is no local socket") };
        let (status, body) = ask(socket, "POST", path)?;
        self.understand(status, &body)
    }

    fn understand(&self, status: u16, body: &str) -> anyhow::Result<Value> {
        let strange = || anyhow!("what answers at {self} is not mutexd");
        let value: Value = serde_json::from_str(body).map_err(|_| strange())?;
        match (status, value.get("error").and_then(Value::as_str)) {
            (200, _) => Ok(value),
            (401, _) => bail!("mutexd asks for a token: name its file with --token-file"),
            (_, Some(sentence)) => bail!("mutexd has refused to answer: {sentence}"),
            _ => Err(strange()),
        }
    }
}

impl fmt::Display for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Web::Local(socket) => socket.display().fmt(f),
            Web::Address { address, .. } => write!(f, "http://{address}"),
        }
    }
}

fn ask(socket: &Path, method: &str, uri: &str) -> anyhow::Result<(u16, String)> {
    local::ask(socket, method, uri, PATIENCE, MAX_ANSWER).map_err(|error| {
        let path = socket.display();
        match error.kind() {
            io::ErrorKind::InvalidData => anyhow!("what answers at {path} is not mutexd"),
            io::ErrorKind::PermissionDenied => anyhow!(
                "cannot ask mutexd at {path}: {}; ask as root, as the user that it runs as, or as a \
                 member of its http.group",
                reason(&error)
            ),
            _ => anyhow!(
                "cannot ask mutexd at {path}: {}; is it running, with http.socket = \"{path}\"?",
                reason(&error)
            ),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for (text, address) in [
            ("127.0.0.1:8787", "127.0.0.1:8787"),
            ("http://[::1]:80/", "[::1]:80"),
            ("localhost:1", "localhost:1"),
        ] {
            let web = Web::new(text, None).expect(text);
            assert_eq!(web.to_string(), format!("http://{address}"));
        }
        for text in ["", "http://", "a b:1", "a/b:1", "https://localhost:1", "a\r\nb:1"] {
            assert!(Web::new(text, None).is_err(), "{text:?}");
        }
        assert_eq!(Web::new("/run/x", None).expect("it is one").to_string(), "/run/x");
        assert!(Web::new("/run/x", Some(Path::new("token"))).is_err());
    }
}
