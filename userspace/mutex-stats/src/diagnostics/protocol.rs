// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is said over the socket: a line of JSON each way. See `docs/DIAGNOSTICS.md`.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::Entry;
use super::EntryKind;
use super::Error;
use super::Query;
use super::Recorder;
use super::Severity;
use super::Source;
use super::export;

/// The version of the protocol.
const VERSION: u64 = 1;

/// The longest request, in bytes, without the end of its line. An event with everything as long as it
/// may be fits.
pub(super) const MAX_REQUEST: usize = 64 << 10;

/// The longest list of events in an answer, in bytes.
const MAX_EVENTS: usize = 256 << 10;

/// More than the longest answer, in bytes.
pub(super) const MAX_ANSWER: usize = 1 << 20;

/// What somebody wants.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    Record(Entry),
    Health,
    Statistics,
    Events(Query),
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An event was recorded.
    Recorded,
    /// A question was answered.
    Answered,
    /// It is no request.
    Malformed,
    /// It is one, but nothing came of it.
    Refused,
}

impl Request {
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let Value::Object(mut members) = value else {
            return Err(String::from("a request is an object"));
        };
        match members.remove("version") {
            None => {}
            Some(version) if version.as_u64() == Some(VERSION) => {}
            Some(version) => {
                let version: String = version.to_string().chars().take(40).collect();
                return Err(format!("this is version {VERSION} of the protocol, not {version}"));
            }
        }
        let request = match (members.remove("record"), members.remove("get")) {
            (Some(Value::Object(entry)), None) => Request::Record(parse_entry(entry)?),
            (Some(_), None) => return Err(String::from("`record` has to be an object")),
            (None, Some(Value::String(what))) => match what.as_str() {
                "health" => Request::Health,
                "statistics" => Request::Statistics,
                "events" => Request::Events(take_query(&mut members)?),
                _ => return Err(String::from("there are `health`, `statistics` and `events`")),
            },
            (None, Some(_)) => return Err(String::from("`get` has to be text")),
            _ => return Err(String::from("a request has either `record` or `get`")),
        };
        nothing_else(&members)?;
        Ok(request)
    }

    /// The line that asks for it.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Request::Record(entry) => {
                let mut record = json!({
                    "kind": entry.kind.name(),
                    "severity": entry.severity.name(),
                    "message": entry.message,
                });
                if let Some(peer) = &entry.peer {
                    record["peer"] = peer.as_str().into();
                }
                if let Some(time_ns) = entry.time_ns {
                    record["time_ns"] = time_ns.into();
                }
                if !entry.metadata.is_empty() {
                    record["metadata"] = entry.metadata.clone().into();
                }
                json!({"version": VERSION, "record": record})
            }
            Request::Health => json!({"version": VERSION, "get": "health"}),
            Request::Statistics => json!({"version": VERSION, "get": "statistics"}),
            Request::Events(query) => {
                let mut request = json!({
                    "version": VERSION,
                    "get": "events",
                    "last": query.last,
                    "severity": query.severity.name(),
                    "after": query.after,
                });
                if let Some(kind) = &query.kind {
                    request["kind"] = kind.as_str().into();
                }
                if let Some(peer) = &query.peer {
                    request["peer"] = peer.as_str().into();
                }
                if let Some(component) = &query.component {
                    request["component"] = component.as_str().into();
                }
                if query.since_ns > 0 {
                    request["since_ns"] = query.since_ns.into();
                }
                if query.until_ns < u64::MAX {
                    request["until_ns"] = query.until_ns.into();
                }
                request
            }
        }
    }

    /// Does what is wanted; the answer's line, without its end.
    pub(super) fn answer(self, recorder: &Recorder, source: Source) -> Result<Value, Error> {
        Ok(match self {
            Request::Record(entry) => {
                json!({"ok": true, "number": recorder.record_from(source, entry)?})
            }
            Request::Health => json!({"ok": true, "health": recorder.health()?.to_json()}),
            Request::Statistics => {
                json!({"ok": true, "statistics": recorder.statistics()?.to_json()})
            }
            Request::Events(query) => {
                let mut answer = export::bounded(&recorder.events(&query)?, MAX_EVENTS);
                answer["ok"] = true.into();
                answer
            }
        })
    }
}

pub(super) fn refusal(why: &str) -> Value {
    json!({"ok": false, "error": why})
}

fn nothing_else(members: &Map<String, Value>) -> Result<(), String> {
    match members.keys().next() {
        None => Ok(()),
        Some(key) => {
            let key: String = key.chars().take(40).flat_map(char::escape_debug).collect();
            Err(format!("nobody knows what `{key}` means"))
        }
    }
}

fn take_text(members: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match members.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` has to be text")),
    }
}

fn take_integer(members: &mut Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    match members.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(integer) => Ok(Some(integer)),
            None => Err(format!("`{key}` has to be an integer of 0 or more")),
        },
    }
}

fn take_severity(members: &mut Map<String, Value>) -> Result<Option<Severity>, String> {
    take_text(members, "severity")?.map(|name| name.parse()).transpose()
}

fn parse_entry(mut members: Map<String, Value>) -> Result<Entry, String> {
    let kind = take_text(&mut members, "kind")?.ok_or("an event has a `kind`")?;
    let kind = EntryKind::named(kind);
    let severity = take_severity(&mut members)?.unwrap_or(match kind {
        EntryKind::Message => Severity::Debug,
        EntryKind::Error => Severity::Error,
        _ => Severity::Info,
    });
    let message = take_text(&mut members, "message")?.unwrap_or_default();
    let peer = take_text(&mut members, "peer")?;
    let time_ns = take_integer(&mut members, "time_ns")?;
    let metadata = match members.remove("metadata") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(metadata)) => metadata,
        Some(_) => return Err(String::from("`metadata` has to be an object")),
    };
    nothing_else(&members)?;
    Ok(Entry { kind, severity, peer, time_ns, message, metadata })
}

fn take_query(members: &mut Map<String, Value>) -> Result<Query, String> {
    let last = take_integer(members, "last")?.unwrap_or(50);
    Ok(Query {
        last: usize::try_from(last).unwrap_or(usize::MAX),
        severity: take_severity(members)?.unwrap_or(Severity::Debug),
        after: take_integer(members, "after")?.unwrap_or(0),
        kind: take_text(members, "kind")?,
        peer: take_text(members, "peer")?,
        component: take_text(members, "component")?,
        since_ns: take_integer(members, "since_ns")?.unwrap_or(0),
        until_ns: take_integer(members, "until_ns")?.unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_request_is_told_why() {
        for (line, why) in [
            ("", "EOF while parsing"),
            ("{", "EOF while parsing"),
            ("\u{fffd}", "expected value"),
            ("[]", "a request is an object"),
            ("{}", "either `record` or `get`"),
            (r#"{"record":{"kind":"a"},"get":"health"}"#, "either `record` or `get`"),
            (r#"{"record":[]}"#, "`record` has to be an object"),
            (r#"{"record":{}}"#, "an event has a `kind`"),
            (r#"{"record":{"kind":1}}"#, "`kind` has to be text"),
            (r#"{"record":{"kind":"a","severity":"bad"}}"#, "there is no severity `bad`"),
            (r#"{"record":{"kind":"a","time_ns":-1}}"#, "`time_ns` has to be an integer"),
            (r#"{"record":{"kind":"a","metadata":1}}"#, "`metadata` has to be an object"),
            (r#"{"record":{"kind":"a","sevirity":"info"}}"#, "what `sevirity` means"),
            (r#"{"get":"health","last":1}"#, "what `last` means"),
            (r#"{"get":"all"}"#, "there are `health`, `statistics` and `events`"),
            (r#"{"get":1}"#, "`get` has to be text"),
            (r#"{"version":2,"get":"health"}"#, "version 1 of the protocol, not 2"),
        ] {
            let error = Request::parse(line.as_bytes()).expect_err(line);
            assert!(error.contains(why), "{line}: {error}");
        }
        assert!(Request::parse(b"\xff").is_err());
        // So deep that one call inside the other would need all of the stack.
        assert!(Request::parse(&vec![b'['; MAX_REQUEST]).is_err());
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        let request = Request::parse(br#"{"record":{"kind":"error"}}"#).expect("it is one");
        let Request::Record(entry) = request else { panic!("{request:?}") };
        assert_eq!((entry.kind, entry.severity), (EntryKind::Error, Severity::Error));
        let request = Request::parse(br#"{"get":"events"}"#).expect("it is one");
        assert_eq!(request, Request::Events(Query::last(50)));
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let text = ".{0,20}";
        let severity = prop::sample::select(Severity::ALL.to_vec());
        let metadata = prop::collection::btree_map(text, text, 0..4);
        (text, severity, prop::option::of(text), prop::option::of(any::<u64>()), text, metadata)
            .prop_map(|(kind, severity, peer, time_ns, message, metadata)| Entry {
                kind: EntryKind::named(kind),
                severity,
                peer,
                time_ns,
                message,
                metadata: metadata.into_iter().map(|(key, value)| (key, value.into())).collect(),
            })
    }

    proptest! {
        #[test]
        fn an_event_arrives_as_it_was_sent(entry in any_entry()) {
            let line = Request::Record(entry.clone()).to_json().to_string();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(Request::parse(line.as_bytes()), Ok(Request::Record(entry)));
        }

        #[test]
        fn a_query_arrives_as_it_was_sent(
            (last, after) in (any::<usize>(), any::<u64>()),
            severity in prop::sample::select(Severity::ALL.to_vec()),
            kind in prop::option::of(".{0,9}"),
            peer in prop::option::of(".{0,9}"),
            component in prop::option::of(".{0,9}"),
            (since_ns, until_ns) in any::<(u64, u64)>(),
        ) {
            let query = Query { last, severity, after, kind, peer, component, since_ns, until_ns };
            let line = Request::Events(query.clone()).to_json().to_string();
            prop_assert_eq!(Request::parse(line.as_bytes()), Ok(Request::Events(query)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\":,a-z0-9]{0,60}") {
            let _ = Request::parse(&bytes);
            let _ = Request::parse(text.as_bytes());
        }
    }
}
