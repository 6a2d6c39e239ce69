// SPDX-License-Identifier: MIT OR Apache-2.0

//! `meter`, on a file that stands for the kernel's stream: what is written to it, the filter, is part of
//! it, so it has to be stepped over.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use mutex_core::abi::MUTEX_EVENTS_MAGIC;
use mutex_core::abi::mutex_event;
use mutex_core::abi::mutex_events_header;
use mutex_core::wire::Wire;
use mutex_stats::Connection;
use mutex_stats::Packet;
use serde_json::Value;

use crate::host::Host;
use crate::host::failed;
use crate::host::image;
use crate::host::ran;

const FILTER: &str = "kind=start,end,packet";
const GUID: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

fn bytes_of<T: Wire>(record: &T) -> Vec<u8> {
    let mut bytes = vec![0; T::SIZE];
    let _ = record.put(&mut bytes).expect("there is room");
    bytes
}

fn packet(c: &Connection, direction: u8, bytes: u64) -> Vec<u8> {
    bytes_of(&Packet {
        connection: c.id,
        local_address: c.local_address,
        remote_address: c.remote_address,
        local_port: c.local_port,
        remote_port: c.remote_port,
        netns: c.netns,
        family: c.family,
        protocol: c.protocol,
        direction,
        bytes,
        packets: 1,
        ..Packet::default()
    })
}

/// The first connection starts, moves something, and ends; the second one goes on, and is older. Two
/// packets of some are lost in between.
fn host() -> Host {
    let image = image();
    let named = |id| *image.connections.iter().find(|c| c.id == id).expect("it is there");
    let (first, second) = (named(1), named(5));
    let mut stream = FILTER.as_bytes().to_vec();
    stream.extend(bytes_of(&mutex_events_header {
        magic: MUTEX_EVENTS_MAGIC,
        version: 1,
        header_size: 40,
        ..mutex_events_header::default()
    }));
    for (number, (kind, lost, record)) in [
        (1, 0, bytes_of(&first)),
        (4, 0, packet(&first, 0, 400)),
        (4, 0, packet(&second, 2, 90)),
        (4, 2, packet(&second, 3, 10)),
        (2, 2, bytes_of(&first)),
    ]
    .into_iter()
    .enumerate()
    {
        let size = u32::try_from(32 + record.len()).expect("it is small");
        let (sequence, time_ns) = (number as u64 + 1 + lost, u64::MAX);
        let head = mutex_event { size, kind, sequence, lost, time_ns };
        stream.extend([bytes_of(&head), record].concat());
    }
    let host = Host::with(&image);
    host.write("proc/events", stream);
    host
}

/// What is said of the loss; everything else succeeds.
fn output(host: &Host, args: &[&str]) -> String {
    let ran = host.run(&[&["meter", "--interval", "200ms"], args].concat());
    let lost = "mutexctl: 2 events were lost: calls took too long\n";
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), lost), "{args:?}");
    ran.stdout
}

/// An object by the names that are asked for.
fn some(object: &Value, names: &[&str]) -> String {
    let one = |name: &&str| format!("{name}={}", object[*name]);
    names.iter().map(one).collect::<Vec<_>>().join(" ").replace('"', "")
}

#[test]
fn a_table_of_all_meters() {
    let args = ["--count", "1", "--metadata", "site=east", "--metadata", "x=\x1b[2J"];
    let text = output(&host(), &args);
    assert_eq!(text, include_str!("expected/meter.txt"));
    let text = output(&host(), &["--count", "1", "--top", "1"]);
    let last = text.lines().next_back().expect("there is one");
    assert!(text.contains("\nother (1) ") && last.starts_with("total (2) "), "{text}");
}

#[test]
fn a_log_line_by_line() {
    let args = ["--count", "2", "--format", "jsonl", "--reporter", GUID, "--metadata", "a=b"];
    let text = output(&host(), &args);
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    assert_eq!(
        some(&lines[0], &["record", "schema_version", "reporter", "interval_ns"]),
        format!("record=metering schema_version=1 reporter={GUID} interval_ns=200000000")
    );
    let meters: Vec<_> = lines
        .iter()
        .filter(|line| line["record"] == "meter")
        .map(|line| some(line, &["logged", "id", "sent_bytes", "received_bytes", "is_total"]))
        .collect();
    let first = "id=192.0.2.1:51234->192.0.2.2:443/tcp";
    let second = "id=192.0.2.1->192.0.2.2/gre";
    assert_eq!(
        meters,
        [
            format!("logged=started {first} sent_bytes=0 received_bytes=0 is_total=false"),
            format!("logged=started {second} sent_bytes=0 received_bytes=0 is_total=false"),
            // The kernel's own figures.
            format!(
                "logged=ended {first} sent_bytes=1000 received_bytes=9007199254740993 is_total=true"
            ),
            format!("logged=running {second} sent_bytes=90 received_bytes=10 is_total=false"),
            format!("logged=stopped {second} sent_bytes=90 received_bytes=10 is_total=false"),
        ]
    );
    let last = &lines[lines.len() - 1];
    assert_eq!(some(last, &["lost_events", "source_port"]), "lost_events=2 source_port=null");
    assert_eq!(last["metadata"]["a"], "b");
    let losses: Vec<_> = lines.iter().filter(|line| line["record"] == "lost").collect();
    assert_eq!((losses.len(), &losses[0]["events"]), (1, &2.into()));
}

#[test]
fn tables_for_programs() {
    let text = output(&host(), &["--count", "1", "--format", "json"]);
    let list: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(some(&list, &["schema_version", "lost_events"]), "schema_version=1 lost_events=2");
    let logged: Vec<_> = list["meters"].as_array().expect("it is a list").iter().collect();
    assert_eq!((&logged[0]["logged"], &logged[1]["logged"]), (&"ended".into(), &"stopped".into()));
}

#[test]
fn csv_has_a_row_an_entry() {
    let host = host();
    output(&host, &["--count", "1", "--format", "csv", "-o", "kept.csv", "--metadata", "a=\"b\""]);
    let bytes = host.read("kept.csv");
    let mut rows = csv::Reader::from_reader(bytes.as_slice());
    let names = rows.headers().expect("there is a header").clone();
    let place = |name: &str| names.iter().position(|other| other == name).expect("it is there");
    let found: Vec<_> = rows
        .records()
        .map(|row| {
            let row = row.expect("it is a row");
            let [logged, sent, metadata] = ["logged", "sent_bytes", "metadata"].map(place);
            format!("{} {} {}", &row[logged], &row[sent], &row[metadata])
        })
        .collect();
    let metadata = r#"{"a":"\"b\""}"#;
    assert_eq!(
        found,
        ["started 0", "started 0", "ended 1000", "stopped 90"]
            .map(|row| format!("{row} {metadata}"))
    );
}

#[test]
fn a_signal_brings_the_final_figures() {
    let host = host();
    let mut command =
        host.command(&["meter", "--interval", "1h", "--format", "jsonl", "-o", "log"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the tool starts");
    // Who has written may be signalled: it waits for signals from before its first line on.
    while !host.path("log").exists() || !host.read("log").ends_with(b"\n") {
        sleep(Duration::from_millis(5));
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it is there");
    let ran = ran(child.wait_with_output().expect("the tool ends"));
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
    let log = String::from_utf8(host.read("log")).expect("it is text");
    let last = log.lines().next_back().expect("there is one");
    assert!(last.contains("\"logged\":\"stopped\""), "{last}");
}

#[test]
fn what_makes_no_sense_is_said() {
    let host = Host::new();
    for (args, sentence) in [
        (
            &["--reporter", "me"][..],
            "invalid value 'me' for '--reporter <GUID>': `me` is no GUID: expected is one such as \
             6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ),
        (
            &["--metadata", "x"],
            "invalid value 'x' for '--metadata <KEY=VALUE>': expected is KEY=VALUE",
        ),
        (&["--top", "1", "--format", "csv"], "--top is for tables: other formats list every meter"),
        (
            &["kind=end"],
            "the filter is wrong: \"kind\" is no key of metered packets; there are protocol, \
             family, address, local, remote, port, local_port, remote_port, netns, connection, \
             sample, uid, cgroup, fd",
        ),
    ] {
        let expected = failed(2, &format!("{sentence}; see `mutexctl --help`"));
        assert_eq!(host.run(&[&["meter"], args].concat()), expected, "{args:?}");
    }
    // There is no stream.
    host.write("kept", "old");
    let ran = host.run(&["meter", "-o", "kept"]);
    assert_eq!((ran.status, host.read("kept")), (Some(1), b"old".to_vec()), "{}", ran.stderr);
}
