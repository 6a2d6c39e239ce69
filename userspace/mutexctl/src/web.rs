// SPDX-License-Identifier: MIT OR Apache-2.0

//! Asks the daemon's HTTP interface: one question a connection, an answer in JSON.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::io::Read;
use std::io::Write as _;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use serde_json::Value;

use crate::failure::reason;

/// How long a connection, and each piece of an answer, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer at most.
const MAX_ANSWER: u64 = 64 << 20;

/// Where the interface is, and what opens it.
pub struct Web {
    address: String,
    token: Option<String>,
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
        Ok(Web { address: address.to_owned(), token: token.transpose()? })
    }

    /// What is at a path.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let failed = |error: io::Error| {
            let (address, reason) = (&self.address, reason(&error));
            anyhow!(
                "cannot ask mutexd at http://{address}: {reason}; is it running, and does it listen there?"
            )
        };
        let answer = self.exchange(path).map_err(failed)?;
        let strange = || anyhow!("what answers at http://{} is not mutexd", self.address);
        let answer = String::from_utf8(answer).map_err(|_| strange())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(strange)?;
        let status = head.split(' ').nth(1).ok_or_else(strange)?;
        let value: Value = serde_json::from_str(body).map_err(|_| strange())?;
        match (status, value.get("error").and_then(Value::as_str)) {
            ("200", _) => Ok(value),
            ("401", _) => bail!("mutexd asks for a token: name its file with --token-file"),
            ("404", _) => bail!("what answers at http://{} has no diagnostics", self.address),
            (_, Some(sentence)) => bail!("mutexd has refused to answer: {sentence}"),
            _ => Err(strange()),
        }
    }

    fn exchange(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut request = format!("GET {path} HTTP/1.0\r\nhost: {}\r\n", self.address);
        if let Some(token) = &self.token {
            // Writing into a string cannot fail.
            let _ = write!(request, "authorization: Bearer {token}\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        Ok(answer)
    }

    /// To the first address of that name that answers.
    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::ErrorKind::AddrNotAvailable.into();
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A value as it stands in a query.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing into a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
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
            assert_eq!(Web::new(text, None).expect(text).address, address);
        }
        for text in ["", "http://", "a b:1", "a/b:1", "https://localhost:1", "a\r\nb:1"] {
            assert!(Web::new(text, None).is_err(), "{text:?}");
        }
    }

    #[test]
    fn values_of_a_query_are_encoded() {
        assert_eq!(encoded("a-Z0._~"), "a-Z0._~");
        assert_eq!(encoded("a b&c=ä/\n"), "a%20b%26c%3D%C3%A4%2F%0A");
    }
}
