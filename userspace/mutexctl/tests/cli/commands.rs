// SPDX-License-Identifier: MIT OR Apache-2.0

//! Commands that select, add up, compare, judge and keep. `expected/` is for people to review.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use mutex_core::abi::MUTEX_EVENTS_MAGIC;
use mutex_core::abi::mutex_event;
use mutex_core::abi::mutex_events_header;
use mutex_core::config::Config;
use mutex_core::wire::Wire;
use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Direction;
use mutex_stats::Image;
use mutex_stats::Recording;
use rustix::fs::FileType;
use rustix::fs::Mode;
use serde_json::Value;

use crate::host::Host;
use crate::host::failed;
use crate::host::image;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON can be parsed")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

fn ids(list: &Value) -> Vec<u64> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|one| one["id"].as_u64().expect("a number"))
        .collect()
}

/// The same host five seconds later: the first connection has sent 50000 bytes more, one has closed
/// and gone after 100 more, and one is new.
fn later() -> Image {
    let mut image = image();
    image.header.time_ns += 5_000_000_000;
    image.header.boottime_ns += 5_000_000_000;
    image.status.uptime_ns += 5_000_000_000;
    image.status.connections_total += 1;
    image.status.connections_closed += 1;
    let gone = image.connections.remove(0);
    image.closed.of_mut(Direction::Sent).add(&gone.sent);
    image.closed.of_mut(Direction::Received).add(&gone.received);
    image.closed.sent.bytes += 100;
    image.connections[0].sent.bytes += 50_000;
    image.fds[1].sent.bytes += 50_000;
    image.connections.push(Connection { id: 6, fd: 0, ..image.connections[3] });
    image.totals_before = image.sum();
    image.totals_after = image.sum();
    image
}

fn bytes_of(record: &impl Wire) -> Vec<u8> {
    fn size<T: Wire>(_: &T) -> usize {
        T::SIZE
    }
    let mut bytes = vec![0; size(record)];
    let _ = record.put(&mut bytes).expect("there is room");
    bytes
}

/// The kernel's stream with a start, an end of the first connection, and alerts after a loss.
fn events(image: &Image) -> Vec<u8> {
    let header = mutex_events_header {
        magic: MUTEX_EVENTS_MAGIC,
        version: 1,
        header_size: 40,
        ..mutex_events_header::default()
    };
    let event = |kind, sequence, lost, record: Vec<u8>| {
        let size = u32::try_from(32 + record.len()).expect("it is small");
        let time_ns = 1_790_000_000_500_000_000 + sequence;
        [bytes_of(&mutex_event { size, kind, sequence, lost, time_ns }), record].concat()
    };
    let alert = |number| bytes_of(&Alert { number, ..image.alerts[0] });
    [
        bytes_of(&header),
        event(1, 1, 0, bytes_of(&image.connections[1])),
        event(2, 2, 0, bytes_of(&image.connections[1])),
        event(3, 5, 2, alert(5)),
        event(3, 6, 2, alert(6)),
    ]
    .concat()
}

#[test]
fn lists_are_filtered_sorted_and_cut() {
    let host = Host::new();
    let list = |args: &[&str]| {
        let all = [&["connections", "--format", "json"], args].concat();
        ids(&json(&host.output(&all))["connections"])
    };
    assert_eq!(list(&["--filter", "protocol=tcp"]), [1, 3]);
    assert_eq!(list(&["--filter", "port=443", "--filter", "uid=1000"]), [1]);
    assert_eq!(list(&["--filter", "command=Web*"]), [1]);
    assert_eq!(list(&["--sort", "sent_bytes", "--top", "2"]), [3, 1]);
    assert_eq!(list(&["--sort", "-id", "--top", "1"]), [5]);
    assert_eq!(list(&["--sort", "+sent_bytes", "--top", "2", "--from", "image.bin"]), [4, 5]);

    let shown =
        host.output(&["connections", "--fields", "id,pid,sent_bytes", "--sort", "sent_bytes"]);
    assert_eq!(
        shown,
        "id   pid  sent_bytes\n 3     0        6000\n 1  4711        1000\n 2     0         140\n \
         4     0          90\n 5     0          90\n"
    );
    let csv = ["fds", "--fields", "id,command,uid", "--format", "csv"];
    assert_eq!(host.output(&csv), "id,command,uid\r\n7,\"Web \"\"Content\"\", 1\",1000\r\n8,,\r\n");
    let fds = lines(&host.output(&["fds", "--filter", "pid>=1", "--format", "jsonl"]));
    assert_eq!((fds.len(), &fds[0]["record"], &fds[0]["id"]), (1, &"fd".into(), &7.into()));
    let alerts = host.output(&["alerts", "--filter", "severity=error", "--format", "json"]);
    let alerts = json(&alerts);
    let numbers = alerts["alerts"].as_array().expect("a list").iter().map(|a| &a["number"]);
    assert_eq!(numbers.collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn what_is_streamed_is_what_is_collected() {
    let host = Host::new();
    for list in ["connections", "fds", "alerts"] {
        for format in ["json", "jsonl", "csv"] {
            let streamed = host.output(&[list, "--format", format]);
            let key = if list == "alerts" { "number" } else { "id" };
            let sorted = host.output(&[list, "--format", format, "--sort", key]);
            // Records come in the image's order, lines sorted are equal.
            let lines = |text: &str| {
                let lines = text.lines().map(|line| line.trim_end_matches(',').to_owned());
                let mut lines: Vec<String> = lines.collect();
                lines.sort();
                lines
            };
            assert_eq!(lines(&streamed), lines(&sorted), "{list} {format}");
        }
    }
}

#[test]
fn owners_that_the_kernel_does_not_know_are_found_beside_it() {
    let mut image = image();
    image.fds[0].inode = 777;
    let host = Host::with(&image);
    let process = |pid: &str, comm: &str, number: &str| {
        fs::create_dir_all(host.path(&format!("{pid}/fd"))).expect("there is room");
        host.write(&format!("{pid}/comm"), format!("{comm}\n"));
        symlink("socket:[777]", host.path(&format!("{pid}/fd/{number}"))).expect("there is room");
    };
    process("31", "child", "4");
    process("30", "resolver", "12");
    let fields = ["--fields", "id,pid,command,holders", "--format", "csv"];
    let fds = host.output(&[&["fds"], &fields[..]].concat());
    assert!(fds.ends_with("8,30,resolver,\"30/12,31/4\"\r\n"), "{fds}");
    let filter = ["connections", "--filter", "command=resolver"];
    let connections = host.output(&[&filter[..], &fields].concat());
    assert_eq!(connections, "id,pid,command,holders\r\n2,30,resolver,\"30/12,31/4\"\r\n");
    // What was taken elsewhere or earlier is not mixed with who is here now.
    let old = host.output(&[&["fds", "--from", "image.bin"], &fields[..]].concat());
    assert!(old.ends_with("8,0,,\r\n"), "{old}");
}

#[test]
fn groups_add_up_to_the_host() {
    let host = Host::new();
    assert_eq!(
        host.output(&["aggregate", "--by", "command"]),
        include_str!("expected/aggregate.txt")
    );
    let totals = json(&host.output(&["export"]))["totals_after"].clone();
    for by in ["pid", "comm,uid", "cgroup", "netns", "port", "remote", "protocol"] {
        for top in ["1", "100"] {
            let args = ["aggregate", "--by", by, "--top", top, "--format", "json"];
            let groups = json(&host.output(&args))["groups"].take();
            let (total, groups) =
                groups.as_array().and_then(|all| all.split_last()).expect("a list");
            assert_eq!(total["of"], "total");
            for direction in ["sent", "received", "forwarded_sent", "forwarded_received"] {
                let key = format!("{direction}_bytes");
                let sum: u64 = groups.iter().filter_map(|group| group[&key].as_u64()).sum();
                assert_eq!(total[&key], sum, "{by} {key}");
                assert_eq!(total[&key], totals[direction]["bytes"], "{by} {key}");
            }
        }
    }
    let csv = ["aggregate", "--by", "protocol", "--filter", "port=53", "--format", "csv"];
    let csv = host.output(&csv);
    let of: Vec<_> = csv.lines().map(|line| line.split(',').next().unwrap_or_default()).collect();
    assert_eq!(of, ["of", "connections", "total"]);
}

#[test]
fn a_difference_is_what_happened() {
    let host = Host::with(&later());
    host.write("before.bin", crate::host::bytes(&image()));
    let shown = host.output(&["diff", "before.bin"]);
    assert_eq!(shown, include_str!("expected/diff.txt"));
    assert_eq!(host.output(&["diff", "before.bin", "image.bin"]), shown);
    let changes = json(&host.output(&["diff", "before.bin", "--format", "json", "--top", "1"]));
    let of: Vec<_> =
        changes["changes"].as_array().expect("a list").iter().map(|c| &c["of"]).collect();
    assert_eq!(of, ["connection", "closed", "untracked", "total"]);
    host.fails(
        &["diff", "image.bin", "before.bin"],
        "the two cannot be compared: the first one is not older than the second",
    );
}

#[test]
fn settings_are_shown_and_changed() {
    let host = Host::new();
    let mut text = String::new();
    Config::new().text(&mut text).expect("a string takes everything");
    host.write("proc/config", &text);
    assert_eq!(host.output(&["config", "get", "timeout_closed"]), "5\n");
    assert_eq!(
        host.output(&["config", "get", "timeout_closed", "alert_fd_latency_severity"]),
        "key                        value    unit      default  about\n\
         timeout_closed             5        s         5        How long an ended connection stays \
         visible\n\
         alert_fd_latency_severity  warning  severity  warning  How bad that is: info, warning, \
         error or critical\n"
    );
    let all = json(&host.output(&["config", "get", "--format", "json"]));
    assert_eq!(all["settings"].as_array().map(Vec::len), Some(text.lines().count() - 1));

    host.write("proc/config", "");
    assert_eq!(host.output(&["config", "set", "timeout_closed=60", "events_buffer=64"]), "");
    assert_eq!(host.read("proc/config"), b"timeout_closed 60\nevents_buffer 64\n");
    host.fails(
        &["config", "set", "timeout_closed=60", "events_buffer=65"],
        "the value of events_buffer is not a power of two",
    );
    let usage = |args: &[&str], sentence: &str| {
        assert_eq!(host.run(args), failed(2, &format!("{sentence}; see `mutexctl --help`")));
    };
    usage(
        &["config", "set", "timeout_closed"],
        "`timeout_closed` sets nothing: expected is KEY=VALUE",
    );
    host.write("proc/config", "format 1\na 1\nb 2\n");
    usage(&["config", "get", "c"], "there is no setting `c`; there are a, b");
}

#[test]
fn events_are_shown_as_they_come() {
    let host = Host::new();
    host.write("proc/events", events(&image()));
    let ran = host.run(&["events"]);
    assert_eq!(ran.status, Some(0));
    assert_eq!(ran.stdout, include_str!("expected/events.txt"));
    assert_eq!(ran.stderr, "mutexctl: 2 events were lost before the next one\n");
    let found = lines(&host.run(&["events", "--format", "jsonl"]).stdout);
    let shown: Vec<_> = found.iter().map(|event| (&event["event"], &event["sequence"])).collect();
    assert_eq!(
        format!("{shown:?}"),
        r#"[(String("start"), Number(1)), (String("end"), Number(2)), (String("alert"), Number(5)), (String("alert"), Number(6))]"#
    );
    assert_eq!((&found[1]["id"], &found[1]["sent"]["bytes"]), (&1.into(), &1000.into()));
    assert_eq!(lines(&host.output(&["events", "--count", "1", "--format", "jsonl"])).len(), 1);
    host.write("kept", "old, and longer than what takes its place: ".repeat(100));
    assert_eq!(host.output(&["events", "--count", "1", "-o", "kept"]), "");
    let first = include_str!("expected/events.txt").lines().next().expect("there is one");
    assert_eq!(host.read("kept"), format!("{first}\n").as_bytes());
    host.output(&["events", "--count", "0", "kind=end", "--filter", "port=80"]);
    assert!(host.read("proc/events").starts_with(b"kind=end port=80"));
    let wrong = host.run(&["events", "kind=nonsense"]);
    assert_eq!(wrong.status, Some(2));
    assert!(wrong.stderr.contains("expected is start, end, alert or packet"), "{}", wrong.stderr);
}

#[test]
fn alerts_are_followed_and_cleared() {
    let host = Host::new();
    // What is written to a pipe comes back behind what is in it: the filter, behind the events.
    let path = host.path("proc/events");
    let (kind, mode) = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).expect("there is room");
    let followed = |args: &[&str]| {
        let mut pipe = File::options().read(true).write(true).open(&path).expect("it is there");
        pipe.write_all(&events(&image())).expect("there is room in a pipe");
        host.run(&[&["alerts", "--follow"], args].concat())
    };
    // The list has 3 to 5, so of the 5 and 6 that come only 6 is new.
    let ran = followed(&["--format", "jsonl", "--count", "4"]);
    assert_eq!(ran.status, Some(0));
    let numbers: Vec<_> = lines(&ran.stdout).iter().map(|alert| alert["number"].clone()).collect();
    assert_eq!(numbers, [3, 4, 5, 6]);
    assert_eq!(ran.stderr, "mutexctl: 2 alerts were too many to follow\n");
    let ran = followed(&["--filter", "severity=error", "--count", "2"]);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("4 2026-09-21T14:13:18Z error: "));
    host.write("proc/alerts", "");
    assert_eq!(host.output(&["alerts", "clear"]), "");
    assert_eq!(host.read("proc/alerts"), b"clear");
    let usage = |args: &[&str]| {
        let ran = host.run(&[&["alerts", "--follow"], args].concat());
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{args:?}");
    };
    usage(&["--format", "json"]);
    usage(&["--from", "image.bin"]);
    usage(&["--sort", "value"]);
}

#[test]
fn a_recording_is_read_like_an_image() {
    let host = Host::new();
    assert_eq!(host.output(&["record", "-o", "rec", "--count", "1"]), "");
    host.write("proc/snapshot", crate::host::bytes(&later()));
    assert_eq!(host.output(&["record", "-o", "rec", "--count", "1"]), "");
    let replayed = host.output(&["replay", "rec"]);
    assert_eq!(replayed, include_str!("expected/replay.txt"));

    let first = ["--at", "2026-09-21T14:13:21Z"];
    for command in ["stats", "connections", "fds", "alerts", "export"] {
        let old = host.output(&[&[command, "--from", "rec"], &first[..]].concat());
        host.write("old.bin", crate::host::bytes(&image()));
        assert_eq!(old, host.output(&[command, "--from", "old.bin"]), "{command}");
        let new = host.output(&[command, "--from", "rec"]);
        let plain = host.output(&[command, "--from", "proc/snapshot"]);
        assert_eq!(new, plain, "{command}");
    }
    assert_eq!(host.output(&["convert", "rec", "--to", "json"]), host.output(&["export"]));
    assert!(host.output(&["audit", "rec"]).contains("balanced, at rest"));
    assert_eq!(
        host.output(&[&["diff", "rec", "rec"], &first[..]].concat()),
        include_str!("expected/diff.txt")
    );
    host.fails(
        &["stats", "--from", "rec", "--at", "1000"],
        "rec holds nothing that is as old as 1970-01-01T00:16:40Z: it begins at 2026-09-21T14:13:20Z",
    );

    // The last file loses its end: what was whole is there, and what is not is told.
    let mut files = host.left();
    files.retain(|name| name.contains("/mutex-"));
    let last = files.last().expect("there are two").clone();
    let whole = host.read(&last);
    host.write(&last, &whole[..whole.len() - 1]);
    let ran = host.run(&["stats", "--from", "rec"]);
    assert_eq!((ran.status, &ran.stdout), (Some(0), &host.output(&["stats", "--from", "old.bin"])));
    let missing = whole.len() - 1 - 16;
    assert_eq!(
        ran.stderr,
        format!(
            "mutexctl: {last} is cut off or damaged at byte 16: {missing} bytes are left out\n"
        )
    );
    let usage = host.run(&["stats", "--from", "old.bin", "--at", "5"]);
    assert_eq!(usage.status, Some(2));
    host.fails(&["replay", "old.bin"], "old.bin: not a recording of MUTEX");
}

/// Waits until something is so, for as long as a machine may need that has other things to do.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(5));
    }
}

/// The times of the images of a recording in the folder, the oldest first.
fn recorded(host: &Host) -> Vec<u64> {
    let Ok(recording) = Recording::open(&host.path("rec")) else { return Vec::new() };
    recording.images().iter().map(|image| image.time_ns).collect()
}

#[test]
fn recording_goes_on_when_the_module_is_back() {
    let host = Host::new();
    let mut command = host.command(&["record", "-o", "rec", "--interval", "20ms"]);
    command.stdout(Stdio::null()).stderr(File::create(host.path("said")).expect("there is room"));
    let mut child = command.spawn().expect("the tool starts");
    let times = |image: &Image| image.header.time_ns;
    let (first, mut later) = (image(), later());
    until("the first is recorded", || recorded(&host).contains(&times(&first)));

    fs::rename(host.path("proc"), host.path("away")).expect("it is there");
    let said = || String::from_utf8(host.read("said")).expect("it is text");
    until("it says so", || !said().is_empty());
    assert_eq!(
        said(),
        "mutexctl: MUTEX is not loaded: proc does not exist; recording goes on when MUTEX is back\n"
    );
    // Another load of the module, and the sum of its counters may well be larger.
    later.header.boottime_ns += 60_000_000_000;
    later.header.time_ns += 60_000_000_000;
    later.status.uptime_ns = 59_000_000_000;
    fs::write(host.path("away/snapshot"), crate::host::bytes(&later)).expect("there is room");
    fs::rename(host.path("away"), host.path("proc")).expect("it is there");
    until("the later is recorded", || recorded(&host).contains(&times(&later)));
    let end = "\nmutexctl: MUTEX was loaded anew; recording goes on\n";
    until("it says so", || said().ends_with(end));
    assert!(child.try_wait().expect("it is a child").is_none(), "it goes on");
    child.kill().expect("it is a child");
    child.wait().expect("it is a child");

    // In a file of its own.
    let mut files = host.left();
    files.retain(|name| name.contains("/mutex-"));
    let of = |file: &str| {
        let recording = Recording::open(&host.path(file)).expect("it is a recording");
        let mut times: Vec<u64> = recording.images().iter().map(|image| image.time_ns).collect();
        times.dedup();
        times
    };
    let each: Vec<_> = files.iter().map(|file| of(file)).collect();
    assert_eq!(each, [[times(&first)], [times(&later)]]);
    // A module that was not there from the beginning is not waited for.
    fs::remove_dir_all(host.path("proc")).expect("it is there");
    let sentence = "MUTEX is not loaded: proc does not exist; load it with `insmod mutex.ko`, or name \
                    another place with --proc";
    host.fails(&["record", "-o", "rec"], sentence);
}

#[test]
fn a_folder_is_recorded_into_by_one_only() {
    let host = Host::new();
    let record = ["record", "-o", "rec", "--interval", "20ms", "--keep-for", "1ms"];
    let mut command = host.command(&record);
    let mut child = command.spawn().expect("the tool starts");
    until("it records", || !recorded(&host).is_empty());
    host.fails(
        &[&record[..], &["--count", "1"]].concat(),
        "cannot record into rec: another process records into it; use another directory",
    );
    let before = recorded(&host).len();
    until("the first one goes on", || recorded(&host).len() > before);
    child.kill().expect("it is a child");
    child.wait().expect("it is a child");
    assert_eq!(host.output(&[&record[..], &["--count", "1"]].concat()), "");
}

#[test]
fn checks_end_as_monitoring_systems_expect() {
    let host = Host::new();
    let check = |args: &[&str], status: i32, begin: &str| {
        let ran = host.run(&[&["check"], args].concat());
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(status), ""), "{args:?}");
        assert!(ran.stdout.starts_with(begin), "{args:?}: {}", ran.stdout);
        assert_eq!(ran.stdout.lines().count(), 1);
    };
    check(&[], 0, "MUTEX OK: 4 connections, table 0.01 % full | table_fill=0.01%;80;95 ");
    check(&["--audit"], 0, "MUTEX OK: ");
    check(&["-w", "drops>=4"], 1, "MUTEX WARNING: drops is 4 (drops>=4) | ");
    check(&["-w", "drops>=4", "-c", "table_used<=5"], 2, "MUTEX CRITICAL: table_used is 5 (");
    check(&["-w", "drops>=5", "-c", "table_used<=4"], 0, "MUTEX OK: ");
    check(
        &["--alerts-within", "99999d"],
        2,
        "MUTEX CRITICAL: 2 alerts that are errors or worse; 1 ",
    );
    check(&["-c", "nonsense>=4"], 3, "MUTEX UNKNOWN: there is no number `nonsense`; ");
    check(&["--from", "none.bin"], 3, "MUTEX UNKNOWN: cannot read none.bin: No such file");
    check(&["-w", "drops=4"], 3, "MUTEX UNKNOWN: invalid value 'drops=4'");
    // What is critical is, whatever else is not known; and what is not known is worse than a warning.
    let nonsense = "there is no number `nonsense`; there are ";
    check(
        &["-w", "nonsense>=4", "-c", "table_used<=5"],
        2,
        &format!("MUTEX CRITICAL: table_used is 5 (table_used<=5); {nonsense}"),
    );
    check(&["-w", "nonsense>=4", "-w", "drops>=4"], 3, &format!("MUTEX UNKNOWN: {nonsense}"));
    let mut filtered = image();
    filtered.header.flags = 1;
    host.write("proc/snapshot", crate::host::bytes(&filtered));
    check(
        &["--audit", "-c", "table_used<=5"],
        2,
        "MUTEX CRITICAL: table_used is 5 (table_used<=5); ",
    );
    check(&["--audit"], 3, "MUTEX UNKNOWN: the books cannot be balanced");
    fs::remove_file(host.path("proc/snapshot")).expect("it is there");
    check(
        &["--audit", "-c", "table_used<=5"],
        2,
        "MUTEX CRITICAL: table_used is 5 (table_used<=5); ",
    );
    check(&["--audit"], 3, "MUTEX UNKNOWN: proc/snapshot does not exist");
    let mut image = image();
    image.closed.sent.bytes += 1;
    host.write("proc/snapshot", crate::host::bytes(&image));
    check(&["--audit"], 2, "MUTEX CRITICAL: the books do not balance | ");
    // How old alerts are is a matter of the image, which is of long ago: the last is of its moment,
    // two others of two seconds before.
    let within = |time| ["--from", "image.bin", "--alerts-within", time];
    check(&within("1s"), 2, "MUTEX CRITICAL: 1 alerts that are errors or worse | ");
    check(
        &within("2s"),
        2,
        "MUTEX CRITICAL: 2 alerts that are errors or worse; 1 alerts that are ",
    );
    fs::remove_dir_all(host.path("proc")).expect("it is there");
    check(&[], 3, "MUTEX UNKNOWN: MUTEX is not loaded: proc does not exist; load it with ");
}

#[test]
fn the_doctor_says_what_to_do_next() {
    let host = Host::new();
    let file = |path: &str, text: &str| {
        let path = host.path(&format!("root/{path}"));
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("there is room");
        fs::write(path, text).expect("there is room");
    };
    let doctor = |status, next: &str| {
        let ran = host.run(&["doctor", "--root", "root"]);
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(status), ""), "{}", ran.stdout);
        let found = ran.stdout.split_once("\nNext: ").map_or("", |(_, next)| next);
        assert!(found.starts_with(next), "{}", ran.stdout);
        ran.stdout
    };
    file("proc/sys/kernel/osrelease", "7.2.12-test\n");
    file("proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n");
    let well = doctor(0, "");
    assert!(!well.contains("Next") && well.contains("7.2.12-test has taken the module"), "{well}");
    assert!(well.contains("this kernel tells everything"), "{well}");
    assert!(well.contains("nothing that is known to bypass netfilter"), "{well}");
    file("sys/module/nf_flow_table/refcnt", "1\n");
    file(
        "proc/net/packet",
        "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n0000 3 2 0003 2 1 0 0 1\n",
    );
    let bypassed = doctor(0, "");
    assert!(
        bypassed.contains("packets that a flowtable forwards; packets of 1 AF_PACKET sockets"),
        "{bypassed}"
    );
    let stats = String::from_utf8(host.read("proc/stats")).expect("it is text");
    host.write(
        "proc/stats",
        format!("{stats}kernel_lacks_drops 1\nkernel_lacks_tcp_states 0\n").as_bytes(),
    );
    let less = doctor(0, "");
    assert!(
        less.contains("cannot tell everything: drops are not counted")
            && !less.contains("TCP states"),
        "{less}"
    );
    file("proc/self/status", "CapEff:\t0000000000000000\n");
    doctor(0, "sudo mutexctl\n");

    fs::rename(host.path("proc"), host.path("proc-gone")).expect("it is there");
    doctor(1, "install the headers of Linux 7.2.12-test (Debian: linux-headers-7.2.12-test)");
    file("lib/modules/7.2.12-test/build/Makefile", "");
    doctor(1, "in MUTEX's sources: `make`");
    file("lib/modules/7.2.12-test/updates/mutex.ko", "");
    doctor(1, "sudo modprobe mutex\n");
    file("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
    doctor(1, "sign mutex.ko");
    file("sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
    file("sys/module/module/parameters/sig_enforce", "Y\n");
    doctor(1, "sign mutex.ko");
    file("sys/module/module/parameters/sig_enforce", "N\n");
    file("proc/sys/kernel/osrelease", "6.0.19\n");
    doctor(1, "boot a newer kernel");
}

#[test]
fn metrics_are_the_same_from_the_kernel_and_from_a_file() {
    let host = Host::new();
    for format in ["prometheus", "openmetrics"] {
        let metrics = host.output(&["stats", "--format", format]);
        assert_eq!(host.output(&["export", "--format", format]), metrics);
        assert_eq!(host.output(&["stats", "--format", format, "--from", "image.bin"]), metrics);
        assert_eq!(host.output(&["stats", "--format", format, "-o", "metrics"]), "");
        assert_eq!(host.read("metrics"), metrics.as_bytes());
    }
    assert_eq!(
        host.output(&["stats", "--format", "openmetrics"]),
        include_str!("expected/openmetrics.txt")
    );
}

#[test]
fn json_lines_are_the_object_taken_apart() {
    let host = Host::new();
    let whole = json(&host.output(&["export"]));
    let text = host.output(&["export", "--format", "jsonl"]);
    let found = lines(&text);
    let of = |record: &str| found.iter().filter(|line| line["record"] == record).count();
    assert_eq!(found[0]["schema_version"], whole["schema_version"]);
    assert_eq!(found[found.len() - 1]["record"], "totals_after");
    for (list, one) in [("connections", "connection"), ("fds", "fd"), ("alerts", "alert")] {
        assert_eq!(of(one), whole[list].as_array().expect("a list").len());
        let listed = host.output(&[list, "--format", "jsonl"]);
        assert!(text.contains(&listed), "{list}");
    }
}

#[test]
fn watching_shows_again_and_again() {
    let host = Host::new();
    let once = host.output(&["fds"]);
    let watched = host.output(&["fds", "--watch=10ms", "--count", "3"]);
    assert_eq!(watched, [once.as_str(), &once, &once].join("\n"));
    let usage = host.run(&["fds", "--watch", "--from", "image.bin"]);
    assert_eq!(usage.status, Some(2));
    let unloaded = host.run(&["fds", "--watch=10ms", "--count", "3", "--proc", "none"]);
    assert_eq!((unloaded.status, unloaded.stdout.as_str()), (Some(1), ""));
}

#[test]
fn colors_are_asked_for() {
    let host = Host::new();
    let bold = "\u{1b}[1m";
    assert!(!host.output(&["alerts"]).contains(bold));
    let colored = host.output(&["--color", "always", "alerts"]);
    assert!(colored.contains(bold) && colored.contains("\u{1b}[1;31mcritical\u{1b}[0m"));
    assert_eq!(host.output(&["alerts", "--color", "always", "-o", "file"]), "");
    assert_eq!(host.read("file"), host.output(&["alerts"]).as_bytes());
    let json = host.output(&["--color", "always", "alerts", "--format", "json"]);
    assert_eq!(json, host.output(&["alerts", "--format", "json"]));
}

#[test]
fn completions_and_pages_know_every_command() {
    let host = Host::new();
    let help = host.output(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let commands: Vec<_> = commands
        .filter_map(|line| line.split_whitespace().next())
        .filter(|c| *c != "help")
        .collect();
    assert!(commands.len() >= 17, "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = host.output(&["completions", shell]);
        for command in &commands {
            assert!(script.contains(command), "{shell} {command}");
        }
    }
    assert!(host.output(&["man"]).contains(".TH mutexctl 1"));
    assert_eq!(host.output(&["man", "-o", "pages"]), "");
    for command in &commands {
        let page = host.read(&format!("pages/mutexctl-{command}.1"));
        let page = String::from_utf8(page).expect("it is text");
        assert!(page.contains("Examples") || page.contains("Exit status"), "{command}: {page}");
    }
}

#[test]
fn restricted_stats_are_shown_and_not_judged() {
    let host = Host::new();
    let text = "format 1\nuptime_ns 1000000000\ntable_size 65536\nrestricted 1\nnetns_records 3\n";
    host.write("proc/stats", text);
    let shown = host.run(&["stats"]);
    assert_eq!(shown.status, Some(0));
    let lines: Vec<_> = shown.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(lines, ["number", "uptime_ns", "table_size", "restricted", "netns_records"]);
    assert!(shown.stderr.contains("CAP_NET_ADMIN"), "{}", shown.stderr);
    // A table of which nobody knows how full it is is not an empty one.
    let checked = host.run(&["check"]);
    assert_eq!(checked.status, Some(3));
    let sentence = "MUTEX UNKNOWN: no permission to read proc/stats; run mutexctl as root\n";
    assert_eq!(checked.stdout, sentence);
}
