// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the daemon has kept, shown.

use mutex_history::History;
use mutex_history::Settings;
use mutex_history::Snapshot;

use crate::host::Host;
use crate::host::image;

const S: u64 = 1_000_000_000;

/// A host that was watched for 100 s, each 10 s; it sends more and more. In the end its clock is set.
fn watched() -> (Host, History) {
    let host = Host::new();
    let path = host.path("h.db");
    let mut history = History::open(&path, Settings::default()).expect("there is room");
    let mut image = image();
    image.header.time_ns = 1_790_000_000 * S;
    for look in 0..=10u64 {
        history.record(&Snapshot::from(&image)).expect("there is room");
        image.header.time_ns += 10 * S;
        image.header.boottime_ns += 10 * S;
        image.status.uptime_ns += 10 * S;
        image.status.connections_active = 4 + look % 3;
        for totals in [&mut image.totals_before, &mut image.totals_after] {
            totals.sent.bytes += 1000 * look + 50;
            totals.sent.packets += 10;
        }
        // The first is the browser's.
        image.connections[1].sent.bytes += 1000 * look;
        image.connections[1].sent.packets += 8;
        image.latency[6].samples[0] += look;
    }
    image.header.time_ns += 5 * S;
    history.record(&Snapshot::from(&image)).expect("there is room");
    (host, history)
}

#[test]
fn a_history_is_shown_in_each_format() {
    let (host, _history) = watched();
    let table = host.output(&["history", "--db", "h.db"]);
    assert_eq!(table, include_str!("expected/history.txt"));
    let show = |args: &[&str]| host.output(&[&["history", "--db", "h.db"], args].concat());
    assert_eq!(
        show(&["--by", "command", "--series", "sent_bytes", "--format", "csv"]),
        "time,start_ns,end_ns,of,command,sent_bytes\r\n\
         2026-09-21T14:13:00Z,1789999980000000000,1790000040000000000,connections,\"Web \"\"Content\"\", 1\",6000\r\n\
         2026-09-21T14:13:00Z,1789999980000000000,1790000040000000000,other,,200\r\n\
         2026-09-21T14:14:00Z,1790000040000000000,1790000100000000000,connections,\"Web \"\"Content\"\", 1\",39000\r\n\
         2026-09-21T14:14:00Z,1790000040000000000,1790000100000000000,other,,300\r\n\
         2026-09-21T14:15:00Z,1790000100000000000,1790000160000000000,connections,\"Web \"\"Content\"\", 1\",10000\r\n\
         2026-09-21T14:15:00Z,1790000100000000000,1790000160000000000,other,,50\r\n"
    );
    assert_eq!(
        show(&["--findings"]),
        "time                              time_ns  kind       series  reason\n\
         2026-09-21T14:15:15Z  1790000115000000000  clock_set       -  \
         the clock was set forward by 5.000 s\n"
    );
    let alerts = show(&["--alerts", "--format", "csv"]);
    let mut lines = alerts.lines();
    assert_eq!(
        lines.next(),
        Some("time,time_ns,number,severity,kind,scope,subject,threshold,value,pid,command,message")
    );
    assert_eq!(lines.count(), 3);

    let two = ["--series", "sent_bytes,connections_active_max", "--step", "1min"];
    assert_eq!(
        show(&[&two[..], &["--format", "csv"]].concat()),
        "time,start_ns,end_ns,sent_bytes,connections_active_max\r\n\
         2026-09-21T14:13:00Z,1789999980000000000,1790000040000000000,6200,6\r\n\
         2026-09-21T14:14:00Z,1790000040000000000,1790000100000000000,39300,6\r\n\
         2026-09-21T14:15:00Z,1790000100000000000,1790000160000000000,10050,5\r\n"
    );
    let json = show(&[&two[..], &["--format", "json", "--since", "2026-09-21T14:15:00Z"]].concat());
    assert_eq!(
        json,
        "{\n\"schema_version\":1,\n\"history\":[\n\
         {\"time\":\"2026-09-21T14:15:00Z\",\"start_ns\":1790000100000000000,\
         \"end_ns\":1790000160000000000,\"sent_bytes\":10050,\"connections_active_max\":5}\n]\n}\n"
    );
    let lines = show(&["--series", "sent_bytes_per_second", "--format", "jsonl", "--since", "30s"]);
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(lines.ends_with("\"sent_bytes_per_second\":1005}\n"), "{lines}");
    let none = show(&["--until", "5", "--format", "csv", "--series", "drops"]);
    assert_eq!(none, "time,start_ns,end_ns,drops\r\n");
    show(&["-o", "history.csv", "--format", "csv"]);
    assert!(host.read("history.csv").starts_with(b"time,start_ns,end_ns,sent_bytes_per_second,"));
}

#[test]
fn what_cannot_be_shown_is_said_and_nothing_is_made() {
    let (host, history) = watched();
    host.fails(
        &["history", "--db", "none.db"],
        "there is no history: none.db does not exist; the daemon makes it, unless --db names another",
    );
    host.fails(
        &["history", "--db", "image.bin"],
        "image.bin: the history is damaged: file is not a database",
    );
    let usage = |args: &[&str], begin: &str| {
        let ran = host.run(&[&["history", "--db", "h.db"], args].concat());
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(ran.stderr.starts_with(&format!("mutexctl: {begin}")), "{}", ran.stderr);
    };
    usage(&["--series", "sent_bytes,none"], "there is no number `none` here");
    usage(&["--by", "command", "--series", "fds_active"], "there is no number `fds_active` here");
    usage(
        &["--by", "colour"],
        "there are no groups by `colour`; the keys that there are: command, port",
    );
    usage(&["--since", "yesterday"], "invalid value 'yesterday'");
    usage(&["--alerts", "--by", "port"], "the argument '--alerts' cannot be used with");
    drop(history);
    // Nobody writes any more; reading changes nothing.
    let before = host.read("h.db");
    host.output(&["history", "--db", "h.db"]);
    assert!(host.read("h.db") == before, "it was written");
}
