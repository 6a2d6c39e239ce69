// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is recorded.

use std::fmt;
use std::io;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::Error;
use super::Severity;
use crate::printable;

/// What else is to be said of an event, by name.
pub type Metadata = Map<String, Value>;

/// What kind of event it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A peer is there.
    PeerConnected,
    /// A peer is gone.
    PeerDisconnected,
    /// Something was sent to a peer or received from it.
    Message,
    /// Something has failed.
    Error,
    /// Anything else, by a name of its own.
    Custom(String),
}

impl EntryKind {
    /// The kinds that have a name here.
    pub const KNOWN: [EntryKind; 4] = [
        EntryKind::PeerConnected,
        EntryKind::PeerDisconnected,
        EntryKind::Message,
        EntryKind::Error,
    ];

    /// The kind of this name.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        let known = EntryKind::KNOWN.into_iter().find(|kind| kind.name() == name);
        known.unwrap_or(EntryKind::Custom(name))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            EntryKind::PeerConnected => "peer_connected",
            EntryKind::PeerDisconnected => "peer_disconnected",
            EntryKind::Message => "message",
            EntryKind::Error => "error",
            EntryKind::Custom(name) => name,
        }
    }
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the peer.
    Sent,
    /// From the peer.
    Received,
}

impl Way {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Way::Sent => "sent",
            Way::Received => "received",
        }
    }
}

/// An event, as it is handed to a recorder.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What kind it is.
    pub kind: EntryKind,
    /// How bad it is.
    pub severity: Severity,
    /// Who it is about, if it is about a peer.
    pub peer: Option<String>,
    /// When it happened, in nanoseconds of Unix time; `None` is when it is recorded.
    pub time_ns: Option<u64>,
    /// What happened, for people.
    pub message: String,
    /// What else is to be said.
    pub metadata: Metadata,
}

impl Entry {
    /// The longest name of a kind, in bytes.
    pub const MAX_KIND: usize = 64;
    /// The longest peer, in bytes.
    pub const MAX_PEER: usize = 256;
    /// The longest message, in bytes.
    pub const MAX_MESSAGE: usize = 4096;
    /// The largest metadata, in bytes of JSON.
    pub const MAX_METADATA: usize = 8192;

    /// An event of any kind.
    pub fn new(kind: EntryKind, severity: Severity, message: impl Into<String>) -> Self {
        let (message, metadata) = (message.into(), Metadata::new());
        Entry { kind, severity, peer: None, time_ns: None, message, metadata }
    }

    /// An event of a kind with a name of its own.
    pub fn custom(name: impl Into<String>, severity: Severity, message: impl Into<String>) -> Self {
        Self::new(EntryKind::named(name), severity, message)
    }

    /// A peer is there, at an address. Each peer can be there at several.
    pub fn peer_connected(peer: impl Into<String>, address: impl fmt::Display) -> Self {
        let message = format!("connected from {address}");
        Self::new(EntryKind::PeerConnected, Severity::Info, message)
            .of_peer(peer)
            .with("address", address.to_string())
    }

    /// A peer is no longer there at an address, for this reason.
    pub fn peer_disconnected(
        peer: impl Into<String>,
        address: impl fmt::Display,
        reason: impl fmt::Display,
    ) -> Self {
        let message = format!("disconnected from {address}: {reason}");
        Self::new(EntryKind::PeerDisconnected, Severity::Info, message)
            .of_peer(peer)
            .with("address", address.to_string())
            .with("reason", reason.to_string())
    }

    /// A message of so many bytes went one way.
    pub fn message(peer: impl Into<String>, name: &str, way: Way, bytes: u64) -> Self {
        let message = format!("{} {name}, {bytes} bytes", way.name());
        Self::new(EntryKind::Message, Severity::Debug, message)
            .of_peer(peer)
            .with("message", name)
            .with("direction", way.name())
            .with("bytes", bytes)
    }

    /// What was done with a peer has failed.
    pub fn error(peer: impl Into<String>, error: impl fmt::Display, operation: &str) -> Self {
        Self::new(EntryKind::Error, Severity::Error, format!("{operation}: {error}"))
            .of_peer(peer)
            .with("operation", operation)
            .with("error", error.to_string())
    }

    /// What was done took so long.
    #[must_use]
    pub fn performance(operation: &str, took: std::time::Duration, has_succeeded: bool) -> Self {
        let severity = if has_succeeded { Severity::Info } else { Severity::Warning };
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        Self::custom("performance", severity, format!("{operation} took {took:?}"))
            .with("operation", operation)
            .with("duration_ns", ns)
            .with("success", has_succeeded)
    }

    /// It is about this peer.
    #[must_use]
    pub fn of_peer(self, peer: impl Into<String>) -> Self {
        Entry { peer: Some(peer.into()), ..self }
    }

    /// It is as bad as that.
    #[must_use]
    pub fn at(self, severity: Severity) -> Self {
        Entry { severity, ..self }
    }

    /// This is to be said of it, too.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.to_owned(), value.into());
        self
    }

    /// The address that a peer is at, empty if nobody said.
    pub(super) fn address(&self) -> &str {
        self.metadata.get("address").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it is as it may be; about how many bytes of memory it takes.
    pub(super) fn check(&self) -> Result<usize, Error> {
        let kind = self.kind.name();
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        let metadata = metadata_size(&self.metadata);
        for (part, size, limit) in [
            ("kind", kind.len(), Self::MAX_KIND),
            ("peer", self.peer.as_ref().map_or(0, String::len), Self::MAX_PEER),
            ("message", self.message.len(), Self::MAX_MESSAGE),
            ("metadata", metadata, Self::MAX_METADATA),
        ] {
            if size > limit {
                return Err(Error::TooLong { part, size, limit });
            }
        }
        if kind.is_empty() || !kind.bytes().all(is_sign) {
            return Err(Error::Kind(kind.chars().flat_map(char::escape_debug).collect()));
        }
        let text = kind.len() + self.peer.as_ref().map_or(0, String::len) + self.message.len();
        // A tree of values takes a few times what its text takes.
        Ok(size_of::<Kept>() + text + 4 * metadata)
    }
}

/// How many bytes it is as JSON.
fn metadata_size(metadata: &Metadata) -> usize {
    struct Counted(usize);

    impl io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut counted = Counted(0);
    if !metadata.is_empty() {
        // Counting does not fail, and names are text.
        let _ = serde_json::to_writer(&mut counted, metadata);
    }
    counted.0
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The process that records.
    Own,
    /// The kernel module.
    Kernel,
    /// Another process, as the kernel knows it.
    Program {
        /// Its process id.
        pid: u32,
        /// Who it runs as.
        uid: u32,
    },
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Source::Own => "own",
            Source::Kernel => "kernel",
            Source::Program { .. } => "program",
        }
    }

    fn as_json(self) -> Value {
        let name = self.name();
        match self {
            Source::Own | Source::Kernel => json!({"name": name}),
            Source::Program { pid, uid } => json!({"name": name, "pid": pid, "uid": uid}),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Own => f.write_str("own"),
            Source::Kernel => f.write_str("kernel"),
            Source::Program { pid, uid } => write!(f, "pid {pid} of uid {uid}"),
        }
    }
}

/// An event that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Counts all that were recorded from 1, without a gap.
    pub number: u64,
    /// When it happened, in nanoseconds of Unix time.
    pub time_ns: u64,
    /// Who said it.
    pub source: Source,
    /// What happened.
    pub entry: Entry,
}

impl Kept {
    /// Which part of whom it is from: `component` of the metadata, or else the source's name.
    #[must_use]
    pub fn component(&self) -> &str {
        let said = self.entry.metadata.get("component").and_then(Value::as_str);
        said.unwrap_or_else(|| self.source.name())
    }

    /// As a JSON object, as an export has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Entry { kind, severity, peer, message, metadata, .. } = &self.entry;
        json!({
            "number": self.number,
            "time_ns": self.time_ns,
            "kind": kind.name(),
            "severity": severity.name(),
            "source": self.source.as_json(),
            "component": self.component(),
            "peer": peer,
            "message": message,
            "metadata": metadata,
        })
    }
}

impl fmt::Display for Kept {
    /// One line for people, with nothing that a terminal would obey.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = |text: &str| f.write_str(&printable(text));
        let Entry { kind, severity, peer, message, .. } = &self.entry;
        text(severity.name())?;
        text(" ")?;
        text(kind.name())?;
        if let Some(peer) = peer {
            text(" ")?;
            text(peer)?;
        }
        text(": ")?;
        text(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_kind_says_what_it_is_about() {
        let entry = Entry::peer_connected("alice", "192.0.2.1:8333");
        assert_eq!((entry.kind.name(), entry.severity), ("peer_connected", Severity::Info));
        assert_eq!((entry.peer.as_deref(), entry.address()), (Some("alice"), "192.0.2.1:8333"));

        let entry = Entry::peer_disconnected("alice", "192.0.2.1:8333", "timeout");
        assert_eq!(entry.message, "disconnected from 192.0.2.1:8333: timeout");
        assert_eq!(entry.metadata["reason"], "timeout");

        let entry = Entry::message("alice", "version", Way::Sent, 1024);
        assert_eq!(entry.message, "sent version, 1024 bytes");
        assert_eq!(entry.metadata["bytes"], 1024);

        let entry = Entry::error("alice", "timed out", "handshake");
        assert_eq!((entry.severity, &*entry.message), (Severity::Error, "handshake: timed out"));

        let entry = Entry::performance("lookup", Duration::from_millis(2), false);
        assert_eq!((entry.kind.name(), entry.severity), ("performance", Severity::Warning));
        assert_eq!(entry.metadata["duration_ns"], 2_000_000);
    }

    #[test]
    fn what_is_too_long_is_refused_and_the_longest_is_not() {
        let refused = |entry: Entry| entry.check().expect_err("it is too long").to_string();
        let entry = |message: usize| Entry::custom("a", Severity::Info, "x".repeat(message));
        entry(4096).check().expect("it is as long as it may be");
        assert_eq!(refused(entry(4097)), "the event's message has 4097 bytes, more than 4096");
        entry(0).of_peer("p".repeat(256)).check().expect("it is as long as it may be");
        assert!(refused(entry(0).of_peer("p".repeat(257))).contains("peer has 257 bytes"));
        let long = |size: usize| entry(0).with("k", "v".repeat(size - r#"{"k":""}"#.len()));
        long(8192).check().expect("it is as long as it may be");
        assert!(refused(long(8193)).contains("metadata has 8193 bytes"));
        assert!(refused(Entry::custom("k".repeat(65), Severity::Info, "")).contains("kind has 65"));
        for name in ["", "a b", "a\n", "ä"] {
            let error = refused(Entry::custom(name, Severity::Info, ""));
            assert!(error.contains("is no kind of event"), "{error}");
        }
    }

    #[test]
    fn a_line_has_nothing_that_a_terminal_obeys() {
        let entry = Entry::error("a\x1b[2J", "no\nway\u{202e}", "open");
        let kept = Kept { number: 1, time_ns: 2, source: Source::Own, entry };
        assert_eq!(kept.to_string(), r"error error a\u{1b}[2J: open: no\nway\u{202e}");
    }
}
