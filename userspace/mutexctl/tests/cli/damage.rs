// SPDX-License-Identifier: MIT OR Apache-2.0

//! One sentence, exit status 1, and nothing written: whatever is wrong with what is read.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::host::Host;
use crate::host::failed;
use crate::host::ran;

/// Every command that reads an image, from `file`.
fn readers(file: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["connections", "--from", file],
        vec!["connections", "--from", file, "--format", "json"],
        vec!["connections", "--from", file, "--format", "csv"],
        vec!["fds", "--from", file],
        vec!["fds", "--from", file, "--format", "json"],
        vec!["fds", "--from", file, "--format", "csv"],
        vec!["alerts", "--from", file],
        vec!["alerts", "--from", file, "--format", "json"],
        vec!["export", "--from", file],
        vec!["export", "--from", file, "--format", "binary"],
        vec!["export", "--from", file, "--format", "json", "-o", "out"],
        vec!["export", "--from", file, "--format", "csv", "-o", "out"],
        vec!["connections", "--from", file, "--format", "parquet"],
        vec!["fds", "--from", file, "--format", "parquet", "--sort", "id"],
        vec!["convert", file, "--to", "json"],
        vec!["convert", file, "--to", "binary"],
        vec!["convert", file, "--to", "json", "-o", "out"],
        vec!["convert", file, "--to", "csv", "-o", "out"],
        vec!["convert", file, "--to", "binary", "-o", "out"],
        vec!["convert", file, "--to", "parquet", "-o", "out"],
        vec!["audit", file],
        vec!["audit", file, "--quiet"],
    ]
}

fn all_fail(host: &Host, file: &str, sentence: &str) {
    let before = host.left();
    for args in readers(file) {
        host.fails(&args, sentence);
        assert_eq!(host.left(), before, "{args:?}");
    }
}

#[test]
fn an_image_that_is_cut() {
    let host = Host::new();
    let image = host.read("image.bin");
    host.write("cut", &image[..image.len() - 1]);
    let at = image.len() - 1;
    all_fail(
        &host,
        "cut",
        &format!("cut: the image is truncated: it ends at byte {at}, inside the end block"),
    );
    host.write("empty", "");
    all_fail(&host, "empty", "empty: the image is empty");
}

#[test]
fn an_image_that_is_changed() {
    let host = Host::new();
    let mut image = host.read("image.bin");
    let last = image.len() - 1;
    image[last] ^= 1;
    host.write("changed", &image);
    all_fail(
        &host,
        "changed",
        &format!(
            "changed: the image is corrupted: the checksum of the end block at byte {} is wrong",
            image.len() - 40
        ),
    );
}

#[test]
fn an_image_of_another_version() {
    let host = Host::new();
    let mut image = host.read("image.bin");
    image[8] = 9;
    host.write("later", &image);
    all_fail(&host, "later", "later: the image has format version 9; this program reads version 1");
}

#[test]
fn a_file_that_is_no_image() {
    let host = Host::new();
    host.write("export.json", "{\"schema_version\":1}\n");
    all_fail(&host, "export.json", "export.json: not a MUTEX image");
    all_fail(&host, "proc", "proc: not a recording of MUTEX");
    all_fail(&host, "nowhere", "cannot read nowhere: No such file or directory");
}

#[test]
fn standard_input_that_is_no_image() {
    let host = Host::new();
    let image = host.read("image.bin");
    let convert = ["convert", "-", "--to", "csv", "-o", "out"];
    assert_eq!(
        host.run_with(&convert, &image[..100]),
        failed(
            1,
            "standard input: the image is truncated: it ends at byte 100, inside the status block"
        )
    );
    assert_eq!(
        host.run_with(&convert, b"nonsense"),
        failed(1, "standard input: not a MUTEX image")
    );
    assert!(host.left().is_empty());
}

/// Every command that reads the kernel's files.
const LIVE: [&[&str]; 8] = [
    &["stats"],
    &["connections"],
    &["fds", "--format", "csv"],
    &["alerts"],
    &["export"],
    &["export", "-o", "out"],
    &["export", "--format", "csv", "-o", "out"],
    &["audit"],
];

#[test]
fn a_module_that_is_not_loaded() {
    let host = Host::new();
    std::fs::remove_dir_all(host.path("proc")).expect("it is ours");
    for args in LIVE {
        host.fails(
            args,
            "MUTEX is not loaded: proc does not exist; load it with `insmod mutex.ko`, or name \
             another place with --proc",
        );
    }
    host.write("proc", "");
    for args in LIVE {
        host.fails(args, "proc is not a directory");
    }
    assert!(host.left().is_empty());
}

#[test]
fn a_folder_that_is_something_else() {
    let host = Host::new();
    std::fs::remove_file(host.path("proc/stats")).expect("it is ours");
    std::fs::remove_file(host.path("proc/snapshot")).expect("it is ours");
    for args in LIVE {
        let file = if args[0] == "stats" { "stats" } else { "snapshot" };
        host.fails(
            args,
            &format!(
                "proc/{file} does not exist, although its directory does: MUTEX is being \
                 unloaded, or is of another version"
            ),
        );
    }
    assert!(host.left().is_empty());
}

#[test]
fn the_kernels_files_are_checked_like_all_others() {
    let host = Host::new();
    let image = host.read("image.bin");
    host.write("proc/snapshot", &image[..80]);
    let cut = "proc/snapshot: the image is truncated: it ends at byte 80, inside the header of a \
               block";
    host.fails(&["connections"], cut);
    host.fails(&["export", "-o", "out"], cut);
    host.fails(&["export", "--format", "csv", "-o", "out"], cut);
    host.fails(&["audit"], cut);
    assert!(host.left().is_empty());

    for (stats, complaint) in [
        ("format 2\n", "the text has format 2; this program reads format 1"),
        ("uptime_ns 1\n", "line 1 is not as expected: `uptime_ns 1` is no format"),
        ("format 1\na b\n", "line 2 is not as expected: `b` of `a` is not an integer"),
    ] {
        host.write("proc/stats", stats);
        for format in ["table", "json", "raw"] {
            host.fails(&["stats", "--format", format], &format!("proc/stats: {complaint}"));
        }
    }
}

/// The tool as a user whom the kernel's file does not belong to.
fn as_nobody(host: &Host, args: &[&str]) -> Command {
    const NOBODY: u32 = 65534;

    // A copy that everyone can reach, made by a program of its own: a file that a thread of this
    // one has just written may still be open in a child of another thread, and cannot be run.
    let tool = host.path("proc/mutexctl");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_mutexctl")).arg(&tool).status();
    assert!(copied.is_ok_and(|status| status.success()));
    let everyone = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&tool, everyone.clone()).expect("it is ours");
    std::fs::set_permissions(host.path("."), everyone).expect("it is ours");
    let mut command = Command::new(tool);
    command.current_dir(host.path(".")).args(["--proc", "proc"]).args(args);
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

#[test]
fn a_snapshot_is_not_for_everyone_but_stats_are() {
    let host = Host::new();
    let nobody = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(host.path("proc/snapshot"), nobody).expect("it is ours");
    let run = |args| ran(as_nobody(&host, args).output().expect("the tool starts"));
    for args in [&["connections"][..], &["fds"], &["export"], &["audit"]] {
        assert_eq!(
            run(args),
            failed(1, "no permission to read proc/snapshot; run mutexctl as root"),
            "{args:?}"
        );
    }
    assert_eq!(run(&["stats"]).stdout, include_str!("expected/stats.txt"));
}

#[test]
fn names_do_not_break_the_sentence() {
    let host = Host::new();
    let ran = host.run(&["audit", "two\nlines \x1b[31m"]);
    assert_eq!(ran, failed(1, r"cannot read two\nlines \u{1b}[31m: No such file or directory"));
}
