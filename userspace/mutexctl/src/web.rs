// SPDX-License-Identifier: MIT OR Apache-2.0

//! Asks the daemon's HTTP interface: questions and answers in JSON.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use serde_json::Value;
use ureq::Agent;

use crate::failure::reason;

/// How long a connection, the beginning of an answer, and all of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer at most.
const MAX_ANSWER: u64 = 64 << 20;

/// Where the interface is, and what opens it.
pub struct Web {
    address: String,
    token: Option<String>,
    agent: Agent,
}

impl Web {
    /// Where the daemon listens, unless it is told otherwise.
    pub const ADDRESS: &str = "127.0.0.1:8787";

    pub fn new(address: &str, token_file: Option<&Path>) -> anyhow::Result<Self> {
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
        Ok(Web { address: address.to_owned(), token: token.transpose()?, agent })
    }

    /// What is at a path below the address, with these parameters.
    pub fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        let failed = |error: ureq::Error| {
            let reason = match error {
                ureq::Error::Io(error) => reason(&error),
                error => error.to_string(),
            };
            anyhow!(
                "cannot ask mutexd at http://{}: {reason}; is it running, and does it listen there?",
                self.address
            )
        };
        let mut request = self.agent.get(format!("http://{}{path}", self.address));
        request = request.query_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = request.call().map_err(failed)?;
        let strange = || anyhow!("what answers at http://{} is not mutexd", self.address);
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let value: Value = serde_json::from_str(&body.map_err(failed)?).map_err(|_| strange())?;
        match (answer.status().as_u16(), value.get("error").and_then(Value::as_str)) {
            (200, _) => Ok(value),
            (401, _) => bail!("mutexd asks for a token: name its file with --token-file"),
            (404, _) => bail!("what answers at http://{} has no diagnostics", self.address),
            (_, Some(sentence)) => bail!("mutexd has refused to answer: {sentence}"),
            _ => Err(strange()),
        }
    }
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
            assert_eq!(Web::new(text, None).expect(text).address, address);
        }
        for text in ["", "http://", "a b:1", "a/b:1", "https://localhost:1", "a\r\nb:1"] {
            assert!(Web::new(text, None).is_err(), "{text:?}");
        }
    }
}
