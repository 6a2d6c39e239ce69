// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files are whole or they are not there.

use std::fs::File;
use std::fs::Permissions;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use crate::host::Host;
use crate::host::Ran;
use crate::host::failed;
use crate::host::image;
use crate::host::ran;

/// An image that needs some room.
fn large() -> Host {
    let mut image = image();
    image.connections = image.connections.repeat(2000);
    Host::with(&image)
}

const TABLES: [&str; 7] = [
    "alerts.csv",
    "connections.csv",
    "drops.csv",
    "fds.csv",
    "latency.csv",
    "status.csv",
    "totals.csv",
];

#[test]
fn what_was_there_is_replaced() {
    let host = Host::new();
    host.write("out", "old");
    host.output(&["export", "-o", "out"]);
    assert_eq!(host.read("out"), include_bytes!("expected/export.json"));

    std::fs::create_dir(host.path("csv")).expect("there is room");
    host.write("csv/fds.csv", "old");
    host.write("csv/notes", "mine");
    host.output(&["export", "--format", "csv", "-o", "csv/"]);
    assert_eq!(host.read("csv/notes"), b"mine");
    assert_eq!(host.read("csv/totals.csv"), include_bytes!("expected/totals.csv"));
    assert_ne!(host.read("csv/fds.csv"), b"old");
    assert_eq!(host.left().len(), 1 + 1 + 1 + TABLES.len(), "{:?}", host.left());
}

#[test]
fn new_files_that_name_connections_are_for_their_owner() {
    let host = Host::new();
    let mode = |name: &str| host.path(name).metadata().expect(name).permissions().mode() & 0o777;
    host.write("old", "");
    std::fs::create_dir(host.path("old-csv")).expect("there is room");
    host.write("old-csv/fds.csv", "old");
    for name in ["old", "old-csv/fds.csv"] {
        std::fs::set_permissions(host.path(name), Permissions::from_mode(0o640))
            .expect("it is ours");
    }
    // What shells usually have.
    let run = |args: &[&str]| {
        let mut shell = Command::new("sh");
        shell.current_dir(host.path(".")).args(["-c", "umask 022; exec \"$@\"", "sh"]);
        shell.args([env!("CARGO_BIN_EXE_mutexctl"), "--proc", "proc"]).args(args);
        assert!(shell.status().expect("there is a shell").success(), "{args:?}");
    };
    run(&["export", "-o", "image"]);
    run(&["export", "--format", "csv", "-o", "csv"]);
    run(&["export", "--format", "csv", "-o", "old-csv"]);
    run(&["export", "-o", "old"]);
    run(&["report", "-o", "report.html"]);
    run(&["connections", "-o", "connections"]);
    run(&["record", "--count", "1", "-o", "recording/new"]);
    run(&["stats", "-o", "stats"]);
    let recorded = host.path("recording/new").read_dir().expect("it is there").next();
    let recorded = recorded.expect("there is one").expect("it can be read").path();
    let recorded = recorded.to_str().expect("it is text").to_owned();
    for (name, expected) in [
        ("image", 0o600),
        ("csv", 0o700),
        ("csv/fds.csv", 0o600),
        ("old-csv/connections.csv", 0o600),
        ("report.html", 0o600),
        ("connections", 0o600),
        ("recording", 0o700),
        ("recording/new", 0o700),
        (&recorded, 0o600),
        // Asked for otherwise, by a file that is there.
        ("old", 0o640),
        ("old-csv/fds.csv", 0o640),
        // They name nobody.
        ("stats", 0o644),
    ] {
        assert_eq!(mode(name), expected, "{name}: {:o}", mode(name));
    }
}

/// Makes a pipe with a name: something that is neither file nor folder, as a device is. (With a
/// real device, a tool that gets this wrong would take it away from the whole machine.)
fn make_pipe(path: &Path) {
    let (kind, mode) = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).expect("there is room");
}

#[test]
fn what_is_no_file_is_written_to_and_not_replaced() {
    let host = Host::new();
    let pipe = host.path("pipe");
    make_pipe(&pipe);
    let reader = std::thread::spawn(move || std::fs::read(pipe).expect("it can be read"));
    host.output(&["export", "-o", "pipe"]);
    let is_pipe = host.path("pipe").metadata().expect("it is there").file_type().is_fifo();
    assert!(is_pipe, "there is nobody left to read");
    assert_eq!(reader.join().expect("it ends"), include_bytes!("expected/export.json"));
    assert_eq!(host.left(), ["pipe"]);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let host = Host::new();
    host.write("file", "mine");
    host.fails(&["export", "-o", "proc"], "cannot write proc: it is a directory");
    host.fails(
        &["export", "--format", "csv", "-o", "file"],
        "cannot write file: it is not a directory",
    );
    make_pipe(&host.path("pipe"));
    host.fails(
        &["export", "--format", "csv", "-o", "pipe"],
        "cannot write pipe: it is not a directory",
    );
    for format in ["json", "csv", "binary"] {
        host.fails(
            &["export", "--format", format, "-o", "no/where"],
            "cannot write no/where: No such file or directory",
        );
    }
    assert_eq!(host.left(), ["file", "pipe"]);
    assert_eq!(host.read("file"), b"mine");
}

/// Runs the tool where no file may grow beyond some KiB: writing fails in the middle.
fn run_limited(host: &Host, args: &[&str]) -> Ran {
    let mut shell = Command::new("sh");
    shell.current_dir(host.path(".")).args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$@\"", "sh"]);
    shell.args([env!("CARGO_BIN_EXE_mutexctl"), "--proc", "proc"]).args(args);
    ran(shell.output().expect("there is a shell"))
}

#[test]
fn an_export_that_fails_in_the_middle_leaves_what_was_there() {
    let host = large();
    for format in ["json", "csv", "binary"] {
        let sentence = "cannot write out: File too large";
        let args = ["export", "--format", format, "-o", "out"];
        assert_eq!(run_limited(&host, &args), failed(1, sentence), "{format}");
        assert!(host.left().is_empty(), "{format}: {:?}", host.left());
    }
    host.write("out", "old");
    assert_eq!(run_limited(&host, &["export", "-o", "out"]).status, Some(1));
    assert_eq!(host.left(), ["out"]);
    assert_eq!(host.read("out"), b"old");

    std::fs::create_dir(host.path("csv")).expect("there is room");
    for table in TABLES {
        host.write(&format!("csv/{table}"), "old");
    }
    let export = ["export", "--format", "csv", "-o", "csv"];
    assert_eq!(run_limited(&host, &export).status, Some(1));
    for table in TABLES {
        assert_eq!(host.read(&format!("csv/{table}")), b"old");
    }
    assert_eq!(host.left().len(), 2 + TABLES.len(), "{:?}", host.left());
}

/// Runs a shell script on a file system of 128 KiB, whose place is `$1`; `None` where this user
/// cannot make one.
fn on_a_small_disk(host: &Host, script: &str) -> Option<Ran> {
    std::fs::create_dir(host.path("disk")).expect("there is room");
    let mount = "mount -t tmpfs -o size=128k none \"$1\" || exit 99\n";
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    unshare.arg(format!("{mount}{script}")).arg("sh").arg(host.path("disk"));
    unshare.arg(env!("CARGO_BIN_EXE_mutexctl")).arg(host.path("image.bin"));
    let output = unshare.output().ok()?;
    let made = output.status.code() != Some(99)
        && !String::from_utf8_lossy(&output.stderr).starts_with("unshare:");
    std::fs::remove_dir(host.path("disk")).expect("it is empty outside");
    if !made {
        eprintln!("skipped: no file system can be made here");
    }
    made.then(|| ran(output))
}

#[test]
fn a_full_disk_is_one_sentence_and_nothing_is_left() {
    let host = large();
    for format in ["json", "csv", "binary"] {
        let script = format!(
            "cd \"$1\"; echo mine > notes; \"$2\" convert \"$3\" --to {format} -o out; \
             echo status $?; ls -A; df --output=iused . | tail -n 1"
        );
        let Some(ran) = on_a_small_disk(&host, &script) else { return };
        assert_eq!(ran.stderr, "mutexctl: cannot write out: No space left on device\n");
        // The root and the notes are all that takes an inode.
        let lines: Vec<_> = ran.stdout.split_whitespace().collect();
        assert_eq!(lines, ["status", "1", "notes", "2"], "{format}");
    }
}

#[test]
fn a_recording_on_a_full_disk_keeps_what_is_whole() {
    let host = Host::new();
    let script = "cd \"$1\"; \"$2\" --proc \"${3%image.bin}proc\" record -o rec --interval 1ms --count \
                  10000; echo status $?; \"$2\" replay rec --format jsonl | tail -n 1; \"$2\" audit rec | \
                  tail -n 1";
    let Some(ran) = on_a_small_disk(&host, script) else { return };
    // Of nothing it is said that it was cut off.
    assert_eq!(ran.stderr, "mutexctl: cannot write rec: No space left on device\n");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "status 1"), "{lines:?}");
    assert!(lines[1].starts_with("{\"record\":\"image\",") && lines[2].starts_with("balanced, "));
}

#[test]
fn a_disk_that_is_full_only_for_the_last_table_gets_none() {
    let host = large();
    let script = "cd \"$1\"; mkdir out; for t in connections fds status totals; do echo old > \
                  out/$t.csv; done; \"$2\" convert \"$3\" --to csv -o out; echo status $?; \
                  cat out/*; ls -A out | wc -l";
    let Some(ran) = on_a_small_disk(&host, script) else { return };
    assert_eq!(ran.stderr, "mutexctl: cannot write out: No space left on device\n");
    assert_eq!(ran.stdout, "status 1\nold\nold\nold\nold\n4\n");
}

/// Whether files can be without a name in this folder.
fn has_nameless_files(folder: &Path) -> bool {
    let flags = OFlags::TMPFILE | OFlags::WRONLY;
    rustix::fs::openat(rustix::fs::CWD, folder, flags, Mode::RUSR).is_ok()
}

#[test]
fn who_is_killed_leaves_nothing() {
    let host = large();
    if !has_nameless_files(&host.path(".")) {
        eprintln!("skipped: this file system has no files without a name");
        return;
    }
    let image = host.read("image.bin");
    for to in ["json", "csv", "binary", "parquet"] {
        let mut command = host.command(&["convert", "-", "--to", to, "-o", "out"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the tool starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // More than a pipe holds: when this is written, some of it has been read.
        stdin.write_all(&image[..300_000]).expect("the tool reads");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        assert!(host.left().is_empty(), "{to}: {:?}", host.left());
    }
}

#[test]
fn nothing_is_to_be_seen_before_the_image_has_ended() {
    let host = large();
    let image = host.read("image.bin");
    let (most, last) = image.split_at(image.len() - 1);
    for to in ["json", "binary"] {
        host.write("out", "old");
        let mut command = host.command(&["convert", "-", "--to", to, "-o", "out"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the tool starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(most).expect("the tool reads");
        assert_eq!(host.read("out"), b"old");
        stdin.write_all(last).expect("the tool reads");
        drop(stdin);
        assert!(child.wait().expect("it ends").success());
        let mut start = [0; 8];
        File::open(host.path("out"))
            .expect("it is there")
            .read_exact(&mut start)
            .expect("it is long");
        assert_eq!(&start, if to == "json" { b"{\n\"schem" } else { b"MUTEXSNP" });
    }
}
