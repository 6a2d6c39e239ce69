// SPDX-License-Identifier: MIT OR Apache-2.0

//! HTTP over the daemon's local socket: one question a connection.

use std::fmt::Write as _;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Where the daemon has it, unless it is told otherwise.
pub const SOCKET: &str = "/run/mutexd/http.sock";

/// Asks for a path, and gives status and body, which has no more than that many bytes.
///
/// # Errors
///
/// The system's; [`io::ErrorKind::InvalidData`] for what is no answer.
pub fn ask(
    socket: &Path,
    method: &str,
    uri: &str,
    patience: Duration,
    most: u64,
) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    // In version 1.0 an answer ends with the connection, and has no chunks.
    let request =
        format!("{method} {uri} HTTP/1.0\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    // Who does not want to hear it may have answered nevertheless.
    let written = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let read = stream.take(most + 1).read_to_end(&mut bytes);
    if bytes.is_empty() {
        written?;
        read?;
    }
    understand(&bytes, most).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn understand(bytes: &[u8], most: u64) -> Option<(u16, String)> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= most)?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let status = words.next()?.starts_with("HTTP/1.").then(|| words.next())??.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    // One that was cut off is none.
    let is_whole = length.is_none_or(|length| length == body.len());
    is_whole.then(|| (status, body.to_owned()))
}

/// A path with these parameters.
pub fn uri(path: &str, query: &[(&str, String)]) -> String {
    let mut uri = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        uri.extend([name, "="]);
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                uri.push(char::from(byte));
            } else {
                // A string takes everything.
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood_if_they_are_whole() {
        let understand = |text: &str| understand(text.as_bytes(), 1000);
        let answer = |status, body: &str| Some((status, body.to_owned()));
        assert_eq!(understand("HTTP/1.0 200 OK\r\na: b\r\n\r\n{}"), answer(200, "{}"));
        let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(understand(refused), answer(403, "{}"));
        assert_eq!(understand(&refused[..refused.len() - 1]), None);
        for wrong in
            ["", "nonsense", "SSH-2.0-x 200\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 x\r\n\r\n"]
        {
            assert_eq!(understand(wrong), None, "{wrong:?}");
        }
        let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1000));
        assert_eq!(understand(&long), None);
    }

    #[test]
    fn parameters_are_encoded() {
        assert_eq!(uri("/a", &[]), "/a");
        let query = [("peer", "a&b=c d/ä".to_owned()), ("last", "5".to_owned())];
        assert_eq!(uri("/a", &query), "/a?peer=a%26b%3Dc%20d%2F%C3%A4&last=5");
    }
}
