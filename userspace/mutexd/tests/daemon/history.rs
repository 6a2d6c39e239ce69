// SPDX-License-Identifier: MIT OR Apache-2.0

//! What was counted over time.

use rustix::process::Signal;

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

#[test]
fn what_cannot_be_read_is_told() {
    let host = Host::new();
    host.configure("[history]\nenabled = true\ninterval = \"1s\"\n");
    host.write("proc/snapshot", "nonsense");
    let _daemon = host.start();
    until("it is told", || host.log().contains("the history goes on later: "));
}
