// SPDX-License-Identifier: MIT OR Apache-2.0

//! Hands events to a daemon.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::Entry;
use super::Error;
use super::Query;
use super::protocol::MAX_ANSWER;
use super::protocol::MAX_REQUEST;
use super::protocol::Request;

/// A program's end of the socket that a [`Listener`](super::Listener) has the other end of.
///
/// If the daemon goes away and comes back, the next event is handed to the new one.
///
/// ```no_run
/// use mutex_stats::diagnostics::{Client, Entry};
///
/// let mut client = Client::connect("/run/mutexd/diagnostics.sock")?;
/// let number = client.record(Entry::error("alice", "timed out", "handshake"))?;
/// println!("the daemon has it as number {number}");
/// # Ok::<(), mutex_stats::diagnostics::Error>(())
/// ```
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    timeout: Duration,
    /// `None` when the last one was of no use any more.
    stream: Option<BufReader<UnixStream>>,
}

impl Client {
    /// How long a client waits for the daemon, unless it is told otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(5);

    /// Connects to the daemon that listens there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if nobody listens, or if that is not permitted.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, Error> {
        Client::with_timeout(path, Self::TIMEOUT)
    }

    /// As [`Client::connect`], and waits no longer than that for an answer.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub fn with_timeout(path: impl AsRef<Path>, timeout: Duration) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        let mut client = Client { path, timeout, stream: None };
        client.stream = Some(client.open()?);
        Ok(client)
    }

    fn open(&self) -> io::Result<BufReader<UnixStream>> {
        let stream = UnixStream::connect(&self.path)?;
        // No timeout at all is said by none, not by zero.
        let timeout = Some(self.timeout.max(Duration::from_millis(1)));
        stream.set_read_timeout(timeout)?;
        stream.set_write_timeout(timeout)?;
        Ok(BufReader::new(stream))
    }

    /// Has an event recorded; its number there. Once this returns, the daemon has it.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] and [`Error::Kind`] before anything is sent, [`Error::Refused`],
    /// [`Error::Protocol`], and [`Error::Io`]: then nobody knows whether it was recorded.
    pub fn record(&mut self, entry: Entry) -> Result<u64, Error> {
        entry.check()?;
        let answer = self.ask(&Request::Record(entry))?;
        let number = answer.get("number").and_then(Value::as_u64);
        number.ok_or_else(|| Error::Protocol(String::from("there is no number")))
    }

    /// The daemon's health, as [`Health::to_json`](super::Health::to_json) has it.
    ///
    /// # Errors
    ///
    /// As [`Client::record`].
    pub fn health(&mut self) -> Result<Value, Error> {
        self.ask(&Request::Health)?.member("health")
    }

    /// The daemon's statistics, as [`Statistics::to_json`](super::Statistics::to_json) has them.
    ///
    /// # Errors
    ///
    /// As [`Client::record`].
    pub fn statistics(&mut self) -> Result<Value, Error> {
        self.ask(&Request::Statistics)?.member("statistics")
    }

    /// Events that the daemon keeps, the newest last, as [`Kept::to_json`](super::Kept::to_json) has
    /// them. The oldest are left out if they are too many for one answer.
    ///
    /// # Errors
    ///
    /// As [`Client::record`].
    pub fn events(&mut self, query: &Query) -> Result<Vec<Value>, Error> {
        self.events_that_fit(query).map(|(events, _)| events)
    }

    /// As [`Client::events`], and how many of the oldest were left out.
    ///
    /// # Errors
    ///
    /// As [`Client::record`].
    pub fn events_that_fit(&mut self, query: &Query) -> Result<(Vec<Value>, u64), Error> {
        let mut answer = self.ask(&Request::Events(query.clone()))?;
        let left_out = answer.get("left_out").and_then(Value::as_u64).unwrap_or(0);
        match answer.get_mut("events").map(Value::take) {
            Some(Value::Array(events)) => Ok((events, left_out)),
            _ => Err(Error::Protocol(String::from("`events` is no list"))),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Value, Error> {
        let mut line = request.to_json().to_string();
        if line.len() > MAX_REQUEST {
            let (size, limit) = (line.len(), MAX_REQUEST);
            return Err(Error::TooLong { part: "request", size, limit });
        }
        line.push('\n');
        let mut stream = match self.stream.take() {
            // An end that the daemon has left takes nothing, so that nothing is sent twice.
            Some(mut stream) => match stream.get_mut().write_all(line.as_bytes()) {
                Ok(()) => stream,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.send(&line)?,
                Err(error) => return Err(error.into()),
            },
            None => self.send(&line)?,
        };
        let mut answer = Vec::new();
        (&mut stream).take(MAX_ANSWER as u64).read_until(b'\n', &mut answer)?;
        if answer.last() != Some(&b'\n') {
            let what = "the daemon went away, or says more than is believed";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what).into());
        }
        let answer: Value =
            serde_json::from_slice(&answer).map_err(|error| Error::Protocol(error.to_string()))?;
        // What comes next is the answer to what is asked next.
        self.stream = Some(stream);
        match (answer.get("ok").and_then(Value::as_bool), answer.get("error")) {
            (Some(true), _) => Ok(answer),
            (Some(false), Some(Value::String(why))) => Err(Error::Refused(why.clone())),
            _ => Err(Error::Protocol(String::from("it says neither yes nor no"))),
        }
    }

    fn send(&self, line: &str) -> io::Result<BufReader<UnixStream>> {
        let mut stream = self.open()?;
        stream.get_mut().write_all(line.as_bytes())?;
        Ok(stream)
    }
}

trait Member {
    fn member(self, name: &str) -> Result<Value, Error>;
}

impl Member for Value {
    fn member(mut self, name: &str) -> Result<Value, Error> {
        let member = self.get_mut(name).map(Value::take);
        member.ok_or_else(|| Error::Protocol(format!("there is no `{name}`")))
    }
}
