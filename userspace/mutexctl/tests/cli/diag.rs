// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the daemon has recorded, asked over its socket and over HTTP.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;

use mutex_stats::ManualClock;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Listener;
use mutex_stats::diagnostics::ListenerSettings;
use mutex_stats::diagnostics::Recorder;
use mutex_stats::diagnostics::Settings;
use mutex_stats::diagnostics::Severity;
use serde_json::Value;

use crate::host::Host;
use crate::host::failed;

const BEGAN: u64 = 1_790_000_000_000_000_000;

/// Who records, and listens at `socket` of the host.
struct Daemon {
    recorder: Arc<Recorder>,
    _listener: Listener,
}

fn daemon(host: &Host, began_ns: u64) -> Daemon {
    let clock = Arc::new(ManualClock::new(began_ns));
    let recorder = Arc::new(Recorder::with_clock(Settings::default(), clock));
    let settings = ListenerSettings::default();
    let listener = Listener::start(host.path("socket"), &settings, recorder.clone());
    Daemon { recorder, _listener: listener.expect("there is room") }
}

impl Daemon {
    fn record(&self, severity: Severity, component: &str, message: &str) {
        let entry = Entry::custom("test", severity, message).with("component", component);
        self.recorder.record(entry).expect("it is open");
    }
}

#[test]
fn health_is_shown_and_is_the_exit_status() {
    let host = Host::new();
    let daemon = daemon(&host, BEGAN);
    let health = ["diag", "health", "--socket", "socket"];
    let shown = host.output(&health);
    assert!(shown.starts_with("health           value\nstatus           healthy\n"), "{shown}");
    assert!(shown.ends_with("\nactive_peers     0\n"), "{shown}");
    let json = host.output(&[&health[..], &["--format", "json"]].concat());
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((&json["schema_version"], &json["status"]), (&1.into(), &"healthy".into()));

    for _ in 0..9 {
        daemon.record(Severity::Info, "daemon", "fine");
    }
    daemon.record(Severity::Error, "history", "not fine");
    let ran = host.run(&health);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(3), ""));
    assert!(ran.stdout.contains("\nstatus           degraded\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nrecent_errors    1\n"), "{}", ran.stdout);
    daemon.record(Severity::Critical, "history", "worse");
    let ran = host.run(&[&health[..], &["--format", "csv"]].concat());
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(4), ""));
    assert!(ran.stdout.starts_with("status,message,time_ns,"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\r\nunhealthy,"), "{}", ran.stdout);
}

#[test]
fn events_are_listed_filtered_and_counted() {
    let host = Host::new();
    let daemon = daemon(&host, BEGAN);
    daemon.record(Severity::Info, "daemon", "it runs");
    daemon.record(Severity::Warning, "history", "it is\x1b[2J unusual");
    let entry = Entry::error("alice", "timed out", "handshake");
    daemon.recorder.record(entry).expect("it is open");
    let show =
        |args: &[&str]| host.output(&[&["diag", "--socket", "socket", "events"], args].concat());
    assert_eq!(
        show(&[]),
        "number  time                  severity  component  kind   peer   message\n     \
         1  2026-09-21T14:13:20Z  info      daemon     test   -      it runs\n     \
         2  2026-09-21T14:13:20Z  warning   history    test   -      it is\\u{1b}[2J unusual\n     \
         3  2026-09-21T14:13:20Z  error     own        error  alice  handshake: timed out\n"
    );
    let numbers = |args: &[&str]| -> Vec<u64> {
        let lines = show(&[args, &["--format", "jsonl"]].concat());
        let events = lines.lines().map(|line| serde_json::from_str(line).expect("it is JSON"));
        events.map(|event: Value| event["number"].as_u64().expect("it has one")).collect()
    };
    assert_eq!(numbers(&["--severity", "WARN"]), [2, 3]);
    assert_eq!(numbers(&["--component", "history"]), [2]);
    assert_eq!(numbers(&["--kind", "error", "--peer", "alice"]), [3]);
    assert_eq!(numbers(&["--last", "1"]), [3]);
    assert_eq!(numbers(&["--since", "2026-09-21T14:13:20Z"]), [1, 2, 3]);
    assert_eq!(numbers(&["--since", "2026-09-21T14:13:21Z"]), [0; 0]);
    assert_eq!(numbers(&["--until", "2026-09-21T14:13:19Z"]), [0; 0]);
    let json: Value = serde_json::from_str(&show(&["--format", "json"])).expect("it is JSON");
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["events"][2]["metadata"]["operation"], "handshake");
    assert_eq!(
        show(&["--format", "csv", "--last", "1"]),
        format!(
            "number,time_ns,severity,component,kind,peer,message\r\n\
             3,{BEGAN},error,own,error,alice,handshake: timed out\r\n"
        )
    );

    let counts = host.output(&["diag", "counts", "--socket", "socket", "--format", "csv"]);
    for line in ["events,all,3,3", "severity,warning,1,1", "kind,test,2,2", "gone,evicted,0,0"] {
        assert!(counts.lines().any(|other| other == line), "{line}: {counts}");
    }
    let counts = host.output(&["diag", "counts", "--socket", "socket", "--format", "json"]);
    let counts: Value = serde_json::from_str(&counts).expect("it is JSON");
    assert_eq!((&counts["total"]["events"], &counts["schema_version"]), (&3.into(), &1.into()));
}

#[test]
fn events_are_followed_also_beyond_a_daemon() {
    let host = Host::new();
    let first = daemon(&host, BEGAN);
    for number in 1..=3 {
        first.record(Severity::Info, "daemon", &format!("first {number}"));
    }
    // What is over is not shown later, either.
    first.record(Severity::Debug, "daemon", "a trifle");
    let args = [
        "diag",
        "events",
        "--socket",
        "socket",
        "--follow",
        "--last",
        "1",
        "--severity",
        "info",
        "--count",
        "4",
    ];
    let mut command = host.command(&args);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next = || lines.next().expect("there is one more").expect("it is text");
    assert_eq!(next(), "3 2026-09-21T14:13:20Z info daemon test: first 3");
    first.record(Severity::Warning, "history", "first 5");
    assert_eq!(next(), "5 2026-09-21T14:13:20Z warning history test: first 5");
    // Another one at the same place: its numbers begin with 1 again.
    drop(first);
    let second = daemon(&host, BEGAN + 1_000_000_000);
    second.record(Severity::Info, "daemon", "second 1");
    second.record(Severity::Info, "daemon", "second 2");
    assert_eq!(next(), "1 2026-09-21T14:13:21Z info daemon test: second 1");
    assert_eq!(next(), "2 2026-09-21T14:13:21Z info daemon test: second 2");
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut said).expect("it is text");
    // It may have asked while there was none.
    let mut said: Vec<&str> = said.lines().collect();
    assert_eq!(said.pop(), Some("mutexctl: mutexd has begun to record anew"));
    let is_patient = |line: &&str| line.ends_with("; it is waited for");
    assert!(said.len() <= 1 && said.iter().all(is_patient), "{said:?}");
    assert!(child.wait().expect("it ends").success());
}

/// Something that listens, reads a request, and answers with this; gives the request.
fn server(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it has one").to_string();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut request = String::new();
        let mut reader = BufReader::new(stream.try_clone().expect("there are fds"));
        while !request.ends_with("\r\n\r\n") {
            reader.read_line(&mut request).expect("it is text");
        }
        stream.write_all(answer.as_bytes()).expect("somebody reads");
        request
    });
    (address, thread)
}

#[test]
fn the_http_interface_is_asked_with_a_token() {
    let host = Host::new();
    host.write("token", "0123456789abcdef\n");
    let (address, served) = server(
        "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n\
         {\"events\":[{\"number\":5,\"time_ns\":0,\"severity\":\"info\",\"component\":\"kernel\",\
         \"kind\":\"alert\",\"peer\":\"a\",\"message\":\"m\",\"metadata\":{}}]}",
    );
    let shown = host.output(&[
        "diag",
        "events",
        "--http",
        &address,
        "--token-file",
        "token",
        "--component",
        "a b",
        "--format",
        "csv",
    ]);
    assert_eq!(
        shown,
        "number,time_ns,severity,component,kind,peer,message\r\n5,0,info,kernel,alert,a,m\r\n"
    );
    let request = served.join().expect("it is served");
    let line = request.lines().next().expect("there is one");
    assert!(
        line.starts_with("GET /api/v1/diagnostics/events?last=50&severity=debug&after=0&"),
        "{line}"
    );
    assert!(line.ends_with("&component=a%20b HTTP/1.1"), "{line}");
    assert!(request.contains(&format!("\r\nhost: {address}\r\n")), "{request}");
    assert!(request.contains("\r\nauthorization: Bearer 0123456789abcdef\r\n"), "{request}");
}

#[test]
fn what_cannot_be_asked_is_said_in_a_sentence() {
    let host = Host::new();
    host.fails(
        &["diag", "health", "--socket", "none"],
        "cannot ask mutexd at none: No such file or directory; is it running, with \
         diagnostics.socket = \"none\"?",
    );
    let daemon = daemon(&host, BEGAN);
    daemon.recorder.close().expect("it is open");
    let refused = "mutexd has refused to answer: the recorder is closed";
    for command in ["health", "events", "counts"] {
        host.fails(&["diag", command, "--socket", "socket"], refused);
    }
    // Where nobody listens, and no other test will.
    let closed = "127.0.0.1:1";
    host.fails(
        &["diag", "health", "--http", closed],
        &format!(
            "cannot ask mutexd at http://{closed}: Connection refused; is it running, and does it listen there?"
        ),
    );
    for (answer, sentence) in [
        (
            "HTTP/1.0 401 Unauthorized\r\n\r\n{\"error\":\"x\"}",
            "mutexd asks for a token: name its file with --token-file",
        ),
        (
            "HTTP/1.0 503 Unavailable\r\n\r\n{\"error\":\"the health check is off\"}",
            "mutexd has refused to answer: the health check is off",
        ),
    ] {
        let (address, served) = server(answer);
        host.fails(&["diag", "health", "--http", &address], sentence);
        served.join().expect("it is served");
    }
    for answer in ["", "SSH-2.0\r\n", "HTTP/1.0 200 OK\r\n\r\n<html>", "HTTP/1.1 200 OK\r\n\r\n[]"]
    {
        let (address, served) = server(answer);
        let ran = host.run(&["diag", "health", "--http", &address, "--format", "json"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""), "{answer:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        served.join().expect("it is served");
    }
    for (args, sentence) in [
        (
            &["health", "--socket", "a", "--http", "b:1"][..],
            "--socket and --http are two ways to ask: name one of them",
        ),
        (
            &["health", "--token-file", "a"],
            "--token-file is for the HTTP interface: name it with --http",
        ),
        (
            &["health", "--http", "https://a:1"],
            "https://a:1: HTTPS is not spoken here; ask over the daemon's local socket",
        ),
        (
            &["events", "--socket", "socket", "--follow", "--format", "json"],
            "--follow has no end: use --format table or jsonl",
        ),
        (
            &["events", "--severity", "loud"],
            "invalid value 'loud' for '--severity <SEVERITY>': there is no severity `loud`; there are debug, info, warning, error, critical",
        ),
    ] {
        let expected = failed(2, &format!("{sentence}; see `mutexctl --help`"));
        assert_eq!(host.run(&[&["diag"], args].concat()), expected, "{args:?}");
    }
}
