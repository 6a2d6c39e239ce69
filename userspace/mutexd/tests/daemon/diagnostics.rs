// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the daemon records of itself.

use mutex_stats::diagnostics::Client;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Query;
use mutex_stats::diagnostics::Severity;
use rustix::process::Signal;
use serde_json::Value;

use crate::host::Daemon;
use crate::host::Host;
use crate::host::PATIENCE;
use crate::host::image;
use crate::host::until;

/// Kind, severity and message of the events of a component, the oldest first.
fn events(daemon: &Daemon, component: &str) -> Vec<[String; 3]> {
    let answer = daemon.get(&format!("/api/v1/diagnostics/events?component={component}"));
    let shown = |event: &Value| {
        ["kind", "severity", "message"].map(|name| event[name].as_str().expect("it is text").into())
    };
    answer.json()["events"].as_array().expect("it is a list").iter().map(shown).collect()
}

fn has(daemon: &Daemon, component: &str, kind: &str, severity: &str, begin: &str) -> bool {
    let is_it = |event: &[String; 3]| {
        event[0] == kind && event[1] == severity && event[2].starts_with(begin)
    };
    events(daemon, component).iter().any(is_it)
}

#[test]
fn start_reload_and_the_modules_coming_and_going_are_recorded() {
    let host = Host::new();
    let mut daemon = host.start();
    let [started] = &events(&daemon, "daemon")[..] else { panic!("more than a start") };
    assert_eq!(started[..2], ["daemon_started", "info"]);
    assert_eq!(
        started[2],
        format!("mutexd is ready, and listens on {}, {}", daemon.address, daemon.socket.display())
    );
    assert_eq!(events(&daemon, "network")[0][..], ["module_available", "info", "MUTEX is loaded"]);

    host.configure("max_connections = 0\n");
    daemon.reload();
    let begin = "the configuration stays as it was: ";
    assert!(has(&daemon, "daemon", "configuration_refused", "error", begin));
    host.configure("[page]\nrows = 5\n");
    daemon.reload();
    let begin = "the configuration was read again";
    assert!(has(&daemon, "daemon", "configuration_read", "info", begin));
    let begin = "the part network starts anew";
    assert!(has(&daemon, "network", "part_restarted", "info", begin));

    host.unload();
    let gone = || has(&daemon, "network", "module_unavailable", "warning", "MUTEX is not loaded");
    until("the module is missed", gone);
    let before = events(&daemon, "network").len();
    host.load(&image());
    until("the module is seen", || events(&daemon, "network").len() > before);
    let last = events(&daemon, "network").pop().expect("there are some");
    assert_eq!(last[..], ["module_available", "info", "MUTEX is loaded"]);
    // One that counts from the beginning is another one, however fast it came.
    let mut other = image();
    other.status.uptime_ns -= 1;
    host.load(&other);
    until("another module is told from the one before", || {
        has(&daemon, "network", "module_available", "info", "MUTEX was loaded anew")
    });
    // A recorder that is started anew takes the place of the one before.
    host.configure("[diagnostics]\nmax_events = 500\n");
    daemon.reload();
    let kinds: Vec<String> = events(&daemon, "daemon").into_iter().map(|[kind, ..]| kind).collect();
    assert_eq!(kinds, ["configuration_read"]);
    // Each is in the log once.
    let count = |text: &str| host.log().matches(text).count();
    assert_eq!(count("mutexd is ready, and listens on "), 1, "{}", host.log());
    assert_eq!(count("the configuration was read again"), 2, "{}", host.log());
    assert_eq!(count("the configuration stays as it was: "), 1, "{}", host.log());
    assert_eq!(daemon.end(Signal::TERM), Some(0));
}

#[test]
fn a_part_that_cannot_do_its_work_is_recorded_once() {
    let host = Host::new();
    let folder = host.path("peers");
    // Nothing can be made in a file.
    host.write("peers", "");
    let database = folder.join("peers.db");
    host.configure(&format!(
        "[peers]\nuse_ping_checks = false\ndatabase = \"{}\"\n",
        database.display()
    ));
    let daemon = host.start();
    until("it is told", || {
        events(&daemon, "peers").iter().any(|event| event[..2] == ["part_degraded", "warning"])
    });
    assert_eq!(events(&daemon, "peers").len(), 1);
    assert!(daemon.get("/readyz").body.contains("\npeers degraded\n"));
    assert_eq!(daemon.get("/healthz").status, 200);
}

#[test]
fn programs_hand_over_events_and_ask_over_the_socket() {
    let host = Host::new();
    let socket = host.path("socket");
    host.configure(&format!("[diagnostics]\nsocket = \"{}\"\n", socket.display()));
    let daemon = host.start();
    let mut client = Client::with_timeout(&socket, PATIENCE).expect("it listens");
    client.record(Entry::error("alice", "timed out", "handshake")).expect("it takes it");
    let of_daemon = Query { component: Some("daemon".into()), ..Query::last(9) };
    let told = client.events(&of_daemon).expect("it answers");
    assert_eq!(told[0]["kind"], "daemon_started");
    assert!(has(&daemon, "program", "error", "error", "handshake: timed out"));
    assert!(host.log().contains("handshake: timed out"), "{}", host.log());
    // What a program says of somebody cannot reorder the log.
    client.record(Entry::error("bob", "\u{202e}deifirev\n", "name")).expect("it takes it");
    assert!(host.log().contains(r"name: \u{202e}deifirev\n"), "{}", host.log());
    assert!(!host.log().contains('\u{202e}'), "{}", host.log());
    let late = Query { severity: Severity::Error, since_ns: u64::MAX, ..Query::last(9) };
    assert_eq!(client.events(&late).expect("it answers"), [Value::Null; 0]);
    assert_eq!(daemon.get("/api/v1/diagnostics/events?last=1000").status, 200);
    let many = daemon.get("/api/v1/diagnostics/events?last=1001");
    assert_eq!((many.status, &many.json()["error"]), (400, &"last is at most 1000".into()));
    for time in ["since_ns=18446744073709551615", "until_ns=1"] {
        let answer = daemon.get(&format!("/api/v1/diagnostics/events?{time}")).json();
        assert_eq!(answer["events"], serde_json::json!([]), "{time}");
    }
}
