// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the tool shows of a host. `expected/` is for people to review.

use std::collections::BTreeMap;
use std::fs::File;

use crate::host::Host;
use crate::host::image;
use crate::host::stats_text;

#[test]
fn tables_for_people() {
    let host = Host::new();
    assert_eq!(host.output(&["stats"]), include_str!("expected/stats.txt"));
    assert_eq!(host.output(&["connections"]), include_str!("expected/connections.txt"));
    assert_eq!(host.output(&["fds"]), include_str!("expected/fds.txt"));
    assert_eq!(host.output(&["alerts"]), include_str!("expected/alerts.txt"));
    assert_eq!(host.output(&["audit"]), include_str!("expected/audit.txt"));
}

#[test]
fn objects_for_programs() {
    let host = Host::new();
    let all = host.output(&["export"]);
    assert_eq!(all, include_str!("expected/export.json"));
    let all: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&all).expect("JSON can be parsed");
    for list in ["connections", "fds", "alerts"] {
        let some = host.output(&[list, "--format", "json"]);
        let some: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&some).expect("JSON can be parsed");
        assert_eq!(some.keys().collect::<Vec<_>>(), {
            let mut keys = vec!["image", "schema_version", list];
            keys.sort_unstable();
            keys
        });
        for (key, value) in some {
            assert_eq!(value, all[&key]);
        }
    }
}

#[test]
fn stats_are_the_kernels() {
    let host = Host::new();
    assert_eq!(host.output(&["stats", "--format", "raw"]), stats_text(&image()));
    let json = host.output(&["stats", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON can be parsed");
    assert_eq!(json["schema_version"], 1);
    for line in stats_text(&image()).lines().skip(1) {
        let (key, value) = line.split_once(' ').expect("it is a pair");
        assert_eq!(json[key].to_string(), value, "{key}");
    }
}

#[test]
fn keys_of_a_later_kernel_find_their_place() {
    let host = Host::new();
    host.write(
        "proc/stats",
        "format 1\nsent_packets 1\nsent_buffers 2\nsent_bytes 3\nsent_payload 4\nnew_ns 5\n\
         odd_bytes 2048\nqueue_packets 7\nqueue_buffers 8\nqueue_bytes 9\nqueue_payload 10\n",
    );
    assert_eq!(
        host.output(&["stats"]),
        "number     value\nnew_ns         5  5 ns\nodd_bytes   2048  2.0 KiB\n\n\
         traffic  packets  buffers  bytes  payload\n\
         sent           1        2      3        4  3 B\n\
         queue          7        8      9       10  9 B\n"
    );
}

#[test]
fn csv_in_a_pipe_is_the_one_of_the_export() {
    let host = Host::new();
    assert_eq!(host.output(&["export", "--format", "csv", "-o", "csv"]), "");
    for list in ["connections", "fds", "alerts"] {
        let csv = host.output(&[list, "--format", "csv"]);
        assert_eq!(csv.as_bytes(), host.read(&format!("csv/{list}.csv")));
    }
    assert_eq!(
        host.left(),
        [
            "csv",
            "csv/alerts.csv",
            "csv/connections.csv",
            "csv/drops.csv",
            "csv/fds.csv",
            "csv/latency.csv",
            "csv/status.csv",
            "csv/totals.csv",
        ]
    );
    assert_eq!(host.read("csv/totals.csv"), include_bytes!("expected/totals.csv"));
    assert_eq!(host.read("csv/status.csv"), include_bytes!("expected/status.csv"));
    assert_eq!(host.read("csv/connections.csv"), include_bytes!("expected/connections.csv"));
    assert_eq!(host.read("csv/latency.csv"), include_bytes!("expected/latency.csv"));
    assert_eq!(host.read("csv/drops.csv"), include_bytes!("expected/drops.csv"));
    assert_eq!(host.read("csv/alerts.csv"), include_bytes!("expected/alerts.csv"));
}

#[test]
fn parquet_in_a_pipe_is_the_one_of_the_export() {
    let host = Host::new();
    assert_eq!(host.output(&["export", "--format", "parquet", "-o", "export"]), "");
    assert_eq!(host.output(&["convert", "image.bin", "--to", "parquet", "-o", "converted"]), "");
    for list in ["totals", "connections", "fds", "alerts"] {
        let table = host.read(&format!("export/{list}.parquet"));
        assert!(table.starts_with(b"PAR1") && table.ends_with(b"PAR1"), "{list}");
        assert_eq!(host.read(&format!("converted/{list}.parquet")), table);
        if list == "totals" {
            continue;
        }
        let piped = host.command(&[list, "--format", "parquet"]).output().expect("the tool starts");
        assert!(piped.status.success() && piped.stdout == table, "{list}");
        host.output(&[list, "--format", "parquet", "--sort", "+netns", "-o", "sorted"]);
        assert!(host.read("sorted").starts_with(b"PAR1"), "{list}");
    }
    assert_eq!(host.left().len(), 2 * (1 + 4) + 1, "{:?}", host.left());
}

#[test]
fn a_file_says_what_the_kernel_said() {
    let host = Host::new();
    let live = host.output(&["export"]);
    host.output(&["export", "--format", "binary", "-o", "copy.bin"]);
    assert_eq!(host.read("copy.bin"), host.read("proc/snapshot"));
    assert_eq!(host.output(&["convert", "copy.bin", "--to", "json"]), live);
    assert_eq!(host.output(&["export", "--from", "copy.bin"]), live);

    host.output(&["convert", "copy.bin", "--to", "binary", "-o", "again.bin"]);
    assert_eq!(host.read("again.bin"), host.read("copy.bin"));
    host.output(&["export", "--format", "csv", "-o", "live"]);
    host.output(&["convert", "copy.bin", "--to", "csv", "-o", "converted"]);
    for table in host.left().iter().filter_map(|name| name.strip_prefix("live/")) {
        assert_eq!(host.read(&format!("live/{table}")), host.read(&format!("converted/{table}")));
    }
    for list in ["connections", "fds", "alerts"] {
        assert_eq!(host.output(&[list, "--from", "copy.bin"]), host.output(&[list]));
    }
    assert_eq!(host.output(&["audit", "copy.bin"]), host.output(&["audit"]));
}

#[test]
fn standard_input_is_a_file_too() {
    let host = Host::new();
    let image = host.read("image.bin");
    for (args, same) in [
        (&["convert", "-", "--to", "json"][..], &["export"][..]),
        (&["export", "--from", "-"], &["export"]),
        (&["connections", "--from", "-"], &["connections"]),
        (&["fds", "--from", "-", "--format", "csv"], &["fds", "--format", "csv"]),
        (&["audit", "-"], &["audit"]),
    ] {
        let ran = host.run_with(args, &image);
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert_eq!(ran.stdout, host.output(same), "{args:?}");
    }
}

#[test]
fn nothing_but_the_header_of_a_host_without_connections() {
    let host = Host::with(&mutex_stats::Image::default());
    assert_eq!(host.output(&["connections"]).lines().count(), 1);
    assert_eq!(host.output(&["fds"]).lines().count(), 1);
    assert_eq!(host.output(&["alerts"]).lines().count(), 1);
    assert!(
        host.output(&["audit"]).ends_with("\nbalanced, at rest: nothing passed during the copy\n")
    );
}

#[test]
fn the_audit_answers_with_its_status() {
    let host = Host::new();
    assert_eq!(host.output(&["audit", "--quiet"]), "");

    let mut image = image();
    image.totals_before.sent.bytes -= 1;
    let under_load = Host::with(&image);
    assert!(
        under_load
            .output(&["audit"])
            .ends_with("\nbalanced, under load: packets passed during the copy\n")
    );

    image.totals_before.sent.bytes += 3;
    image.totals_before.sent.packets += 1;
    image.closed.received.payload += 1;
    image.connections.push(image.connections[0]);
    let off = Host::with(&image);
    let loud = off.run(&["audit"]);
    assert_eq!(loud.status, Some(1));
    assert!(loud.stdout.ends_with("\nNOT BALANCED\n"), "{}", loud.stdout);
    assert_eq!(loud.stderr.lines().count(), 1, "{}", loud.stderr);
    let quiet = off.run(&["audit", "-q"]);
    assert_eq!((quiet.status, quiet.stdout.as_str()), (Some(1), ""));
    assert_eq!(quiet.stderr, loud.stderr);
}

#[test]
fn every_line_of_the_audit_is_shown_when_it_is_off() {
    for line in 0..16 {
        let mut image = image();
        let direction = mutex_stats::Direction::ALL[line / 4];
        let traffic = image.closed.of_mut(direction);
        let (name, counter) = match line % 4 {
            0 => ("packets", &mut traffic.packets),
            1 => ("buffers", &mut traffic.buffers),
            2 => ("bytes", &mut traffic.bytes),
            _ => ("payload", &mut traffic.payload),
        };
        *counter += 1;
        let host = Host::with(&image);
        let ran = host.run(&["audit"]);
        let direction = ["sent", "received", "forwarded_sent", "forwarded_received"][line / 4];
        assert_eq!(ran.status, Some(1));
        assert_eq!(
            ran.stderr,
            format!("mutexctl: the books do not balance: {direction} {name} 1 too many\n")
        );
        let shown = ran.stdout.lines().nth(line + 1).expect("there is a line for each");
        assert!(shown.starts_with(direction) && shown.ends_with("  1 too many"), "{shown}");
        assert_eq!(ran.stdout.matches("  ok\n").count(), 15);
    }
}

#[test]
fn the_books_of_a_part_cannot_be_balanced() {
    let mut image = image();
    image.header.flags = 1;
    let host = Host::with(&image);
    let why = "the books cannot be balanced: the image was taken inside a network namespace and \
               holds that namespace's connections only";
    host.fails(&["audit"], &format!("proc/snapshot: {why}"));
    host.fails(&["audit", "--quiet", "image.bin"], &format!("image.bin: {why}"));
    // All the rest works there.
    assert_eq!(host.output(&["connections"]), include_str!("expected/connections.txt"));
}

#[test]
fn a_process_cannot_write_to_the_terminal() {
    let mut image = image();
    image.fds[1].command = *b"\x1b[2J\x1b]0;me\x07\n\0\0\0\0";
    let host = Host::with(&image);
    for args in [&["connections"][..], &["fds"], &["fds", "--format", "csv"]] {
        let shown = host.output(args).replace("\r\n", "\n");
        assert!(shown.contains(r"\u{1b}[2J\u{1b}]0;me\u{7}\n"), "{shown}");
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    }
}

#[test]
fn names_cannot_hide_or_reorder_text() {
    let mut image = image();
    let name = "\u{202e}nimda\u{200b}\u{2066}";
    image.fds[1].command = [0; 16];
    image.fds[1].command[..name.len()].copy_from_slice(name.as_bytes());
    let host = Host::with(&image);
    let escaped = r"\u{202e}nimda\u{200b}\u{2066}";
    for args in [
        &["connections"][..],
        &["fds"],
        &["fds", "--format", "csv"],
        &["fds", "--fields", "command"],
        &["aggregate", "--by", "command"],
        &["report"],
    ] {
        let shown = host.output(args);
        assert!(shown.contains(escaped), "{args:?}: {shown}");
        assert!(!shown.contains(['\u{202e}', '\u{200b}', '\u{2066}']), "{args:?}");
    }
}

#[test]
fn wide_names_keep_columns_in_line() {
    let mut image = image();
    image.fds[1].command = *b"\xe6\xbc\xa2\xe5\xad\x97 e\xcc\x81\0\0\0\0\0\0";
    let host = Host::with(&image);
    let shown = host.output(&["fds", "--fields", "command,uid,pid"]);
    // Two columns a character, and none for the accent.
    assert_eq!(shown, "command   uid   pid\n漢字 e\u{301}   1000  4711\n-           -     0\n");
}

#[test]
fn formulas_are_escaped_for_people_and_not_for_programs() {
    let mut image = image();
    image.fds[1].command = *b"=1+2|'x!A0\0\0\0\0\0\0";
    image.fds[0].command = *b"-5\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let host = Host::with(&image);
    let csv = ["fds", "--format", "csv", "--fields", "command,uid"];
    let of = |command: &str| format!("command,uid\r\n{command},1000\r\n-5,\r\n");
    let (raw, escaped) = (of("=1+2|'x!A0"), of("'=1+2|'x!A0"));
    let with = |more: &[&'static str]| [&csv[..], more].concat();
    let written = |more: &[&'static str]| {
        assert_eq!(host.output(&with(&[&["-o", "out.csv"], more].concat())), "");
        String::from_utf8(host.read("out.csv")).expect("it is text")
    };
    // A pipe is a program's, a file is opened by a person.
    assert_eq!(host.output(&csv), raw);
    assert_eq!(host.output(&with(&["--csv-escape", "always"])), escaped);
    assert_eq!(written(&[]), escaped);
    assert_eq!(written(&["--csv-escape", "never"]), raw);
    let redirected = File::create(host.path("out.csv")).expect("there is room");
    let status = host.command(&csv).stdout(redirected).status().expect("the tool starts");
    assert!(status.success());
    assert_eq!(host.read("out.csv"), escaped.as_bytes());
    // Also where records stream by, in all tables, and in what is made of records.
    assert_eq!(host.output(&["export", "--format", "csv", "-o", "tables"]), "");
    let fds = String::from_utf8(host.read("tables/fds.csv")).expect("it is text");
    assert!(fds.contains(",'=1+2|'x!A0,") && fds.contains(",-5,"), "{fds}");
    let streamed = ["fds", "--format", "csv", "--csv-escape", "always"];
    assert_eq!(host.output(&streamed), fds);
    let groups = ["aggregate", "--by", "command", "--format", "csv", "--csv-escape", "always"];
    assert!(host.output(&groups).contains(",'=1+2|'x!A0,"));
    let json = ["fds", "--format", "json", "--csv-escape", "always"];
    assert!(host.output(&json).contains("\"=1+2|'x!A0\""));
}
