// SPDX-License-Identifier: MIT OR Apache-2.0

//! Wrong usage: one sentence, exit status 2, nothing done.

use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::process::Stdio;

use rustix::pty::OpenptFlags;

use crate::host::Host;
use crate::host::failed;
use crate::host::ran;

fn misused(args: &[&str], sentence: &str) {
    let host = Host::new();
    assert_eq!(
        host.run(args),
        failed(2, &format!("{sentence}; see `mutexctl --help`")),
        "{args:?}"
    );
    assert!(host.left().is_empty());
}

#[test]
fn what_makes_no_sense_is_said() {
    misused(&["audti"], "unrecognized subcommand 'audti'; a similar subcommand exists: 'audit'");
    misused(
        &["stats", "--frmat", "json"],
        "unexpected argument '--frmat' found; a similar argument exists: '--format'",
    );
    misused(
        &["convert", "image.bin"],
        "the following required arguments were not provided: --to <TO>",
    );
    misused(
        &["export", "--format", "xml"],
        "invalid value 'xml' for '--format <FORMAT>' [possible values: json, jsonl, csv, \
         binary, prometheus, openmetrics, parquet]",
    );
    misused(&["audit", "a", "b"], "unexpected argument 'b' found");
}

#[test]
fn tables_need_a_directory() {
    for format in ["csv", "parquet"] {
        let sentence =
            format!("{format} is several tables, so it needs a directory: name one with -o DIR");
        misused(&["export", "--format", format], &sentence);
        misused(&["export", "--format", format, "-o", "-"], &sentence);
        misused(&["convert", "image.bin", "--to", format], &sentence);
    }
}

#[test]
fn what_cannot_be_a_binary_table() {
    misused(
        &["connections", "--format", "parquet", "--watch=1ms"],
        "--watch shows again and again, and a Parquet file has an end: use --format csv",
    );
    misused(
        &["alerts", "--follow", "--format", "parquet"],
        "a Parquet file has an end, and --follow has none: use --format jsonl",
    );
    misused(
        &["fds", "--format", "parquet", "--fields", "id,pid,id"],
        "a Parquet file has no two columns `id`",
    );
}

#[test]
fn no_command_shows_what_there_is() {
    let ran = ran(Command::new(env!("CARGO_BIN_EXE_mutexctl")).output().expect("the tool starts"));
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: mutexctl [OPTIONS] <COMMAND>"), "{}", ran.stderr);
}

#[test]
fn binary_data_is_not_for_terminals() {
    let host = Host::new();
    let terminal = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)
        .expect("there are pseudo-terminals");
    rustix::pty::grantpt(&terminal).expect("it is ours");
    rustix::pty::unlockpt(&terminal).expect("it is ours");
    let name = rustix::pty::ptsname(&terminal, Vec::new()).expect("it has a name");
    let name = name.into_string().expect("it is text");
    let shown = || File::options().write(true).open(&name).expect("it can be opened");

    let kept_open = shown();
    let run = |args: &[&str]| {
        let mut command = host.command(args);
        command.stdout(Stdio::from(shown())).stderr(Stdio::piped());
        command.spawn().expect("the tool starts").wait_with_output().expect("it ends")
    };
    for args in [
        &["export", "--format", "binary"][..],
        &["convert", "image.bin", "--to", "binary"],
        &["connections", "--format", "parquet"],
        &["fds", "--format", "parquet", "--sort", "id"],
        &["alerts", "--format", "parquet"],
    ] {
        let refused = run(args);
        assert_eq!(refused.status.code(), Some(2));
        assert_eq!(
            String::from_utf8_lossy(&refused.stderr),
            "mutexctl: binary data is nothing for a terminal: name a file with -o FILE, or a pipe; \
             see `mutexctl --help`\n"
        );
    }
    // It is the terminal that was looked at, and text gets there, in colors.
    let shown = run(&["audit"]);
    assert_eq!(shown.status.code(), Some(0));
    let mut text = [0; 64];
    let length = File::from(terminal).read(&mut text).expect("something was written");
    assert!(String::from_utf8_lossy(&text[..length]).starts_with("\x1b[1mdirection\x1b[0m"));
    drop(kept_open);
}
