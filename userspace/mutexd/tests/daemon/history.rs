// SPDX-License-Identifier: MIT OR Apache-2.0

//! What was counted over time.

use rustix::process::Signal;
use serde_json::Value;

use crate::host::Daemon;
use crate::host::Host;
use crate::host::image;
use crate::host::until;

#[test]
fn what_is_counted_is_kept_beyond_the_daemon() {
    let host = Host::new();
    host.configure("[history]\nenabled = true\ninterval = \"1s\"\n");
    let daemon = host.start();
    let recorded = |count: u32| {
        let line = format!("\nmutex_history_snapshots_recorded_total {count}\n");
        daemon.get("/metrics").body.contains(&line)
    };
    until("the first image is kept", || recorded(1));
    let mut later = image();
    later.header.time_ns += 1_000_000_000;
    later.header.boottime_ns += 1_000_000_000;
    later.status.uptime_ns += 1_000_000_000;
    later.totals_after.sent.bytes += 1234;
    host.load(&later);
    until("the second one, too", || recorded(2));
    assert_eq!(daemon.end(Signal::KILL), None);
    // Where the next one listens is in a log of its own.
    std::fs::remove_file(host.path("log")).expect("it is there");

    let answer = host.start().get("/api/v1/history/host");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    let rows = answer["rows"].as_array().expect("it is a list");
    let sent = rows.iter().filter_map(|row| row["counters"]["sent_bytes"].as_u64());
    assert_eq!(sent.sum::<u64>(), 1234, "{answer}");
}

/// What the history has to say: kinds and severities, the oldest first.
fn told(daemon: &Daemon) -> Vec<[String; 2]> {
    let answer = daemon.get("/api/v1/diagnostics/events?component=history").json();
    let shown = |event: &Value| {
        ["kind", "severity"].map(|name| event[name].as_str().expect("it is text").into())
    };
    answer["events"].as_array().expect("it is a list").iter().map(shown).collect()
}

#[test]
fn what_cannot_be_read_or_written_is_told_and_recorded_later() {
    let host = Host::new();
    host.configure("[history]\nenabled = true\ninterval = \"1s\"\n");
    host.write("proc/snapshot", "nonsense");
    let daemon = host.start();
    let last = |kind: &str, severity: &str| {
        told(&daemon).last().is_some_and(|last| last[..] == [kind, severity])
    };
    until("what cannot be read is told", || last("history_paused", "warning"));
    assert!(host.log().contains("the history goes on later: "), "{}", host.log());
    let ready = daemon.get("/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (200, "degraded\nhistory degraded\n"));
    host.load(&image());
    until("it goes on", || last("history_resumed", "info"));
    assert_eq!(daemon.get("/readyz").body, "healthy\n");

    // Where the database was there is a folder, which is none.
    let (database, aside) = (host.path("state/history.db"), host.path("aside.db"));
    std::fs::rename(&database, &aside).expect("it is there");
    std::fs::create_dir(&database).expect("there is room");
    let mut later = image();
    let mut look = |sent: u64| {
        later.header.time_ns += 1_000_000_000;
        later.header.boottime_ns += 1_000_000_000;
        later.status.uptime_ns += 1_000_000_000;
        later.totals_after.sent.bytes += sent;
        host.load(&later);
    };
    look(5);
    until("what cannot be written is told", || last("database_fault", "error"));
    assert!(daemon.get("/readyz").body.contains("\nhistory degraded\n"));
    std::fs::remove_dir(&database).expect("it is empty");
    std::fs::rename(&aside, &database).expect("there is none");
    until("it goes on", || last("history_resumed", "info"));
    let answer = daemon.get("/api/v1/history/host").json();
    let rows = answer["rows"].as_array().expect("it is a list");
    let sent = rows.iter().filter_map(|row| row["counters"]["sent_bytes"].as_u64());
    assert_eq!(sent.sum::<u64>(), 5, "{answer}");
}

#[test]
fn what_is_found_is_recorded_with_its_reason() {
    let host = Host::new();
    host.configure("[history]\nenabled = true\ninterval = \"1s\"\n");
    let daemon = host.start();
    until("the first image is kept", || {
        daemon.get("/metrics").body.contains("\nmutex_history_snapshots_recorded_total 1\n")
    });
    // The clock was set forward by an hour.
    let mut later = image();
    later.header.time_ns += 3_601_000_000_000;
    later.header.boottime_ns += 1_000_000_000;
    later.status.uptime_ns += 1_000_000_000;
    host.load(&later);
    until("it is found", || told(&daemon).iter().any(|one| one[..] == ["clock_set", "info"]));
    let answer = daemon.get("/api/v1/diagnostics/events?component=history&kind=clock_set").json();
    let found = daemon.get("/api/v1/history/findings").json();
    assert_eq!(answer["events"][0]["message"], found["findings"][0]["reason"], "{answer}");
    assert_eq!(answer["events"][0]["time_ns"], found["findings"][0]["time_ns"], "{answer}");
}
