// SPDX-License-Identifier: MIT OR Apache-2.0

//! A reader that goes away is no error, a full disk is.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use crate::host::Host;
use crate::host::Ran;
use crate::host::image;
use crate::host::ran;

/// Every command, with what it prints on standard output.
const PRINTING: [&[&str]; 32] = [
    &["stats"],
    &["stats", "--format", "json"],
    &["stats", "--format", "raw"],
    &["connections"],
    &["connections", "--format", "json"],
    &["connections", "--format", "csv"],
    &["fds"],
    &["fds", "--format", "csv"],
    &["connections", "--format", "parquet"],
    &["fds", "--format", "parquet", "--sort", "-id", "--fields", "id,command"],
    &["alerts"],
    &["alerts", "--format", "csv"],
    &["export"],
    &["export", "--format", "binary"],
    &["convert", "image.bin", "--to", "json"],
    &["report"],
    &["audit"],
    &["stats", "--format", "prometheus"],
    &["connections", "--format", "jsonl"],
    &["connections", "--sort", "id", "--fields", "id"],
    &["connections", "--sort", "id", "--format", "json"],
    &["fds", "--fields", "id", "--format", "csv"],
    &["fds", "--watch=1ms", "--count", "2"],
    &["aggregate", "--by", "pid"],
    &["aggregate", "--by", "remote", "--format", "json"],
    &["export", "--format", "jsonl"],
    &["export", "--format", "openmetrics"],
    &["completions", "bash"],
    &["man"],
    &["doctor"],
    &["--help"],
    &["--version"],
];

/// A host whose every list fills any pipe.
fn large() -> Host {
    let mut image = image();
    let connection = mutex_stats::Connection { fd: 0, ..image.connections[0] };
    let fd = image.fds[0];
    image.connections.extend((10..20_000).map(|id| mutex_stats::Connection { id, ..connection }));
    image.fds.extend((10..20_000).map(|id| mutex_stats::Fd { id, ..fd }));
    image.totals_before = image.sum();
    image.totals_after = image.sum();
    Host::with(&image)
}

/// Runs the tool with a reader that takes `bytes` and goes away.
fn read_some(host: &Host, args: &[&str], bytes: usize) -> Ran {
    let mut command = host.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool starts");
    let mut stdout = child.stdout.take().expect("it is piped");
    stdout.read_exact(&mut vec![0; bytes]).expect("the tool writes");
    drop(stdout);
    ran(child.wait_with_output().expect("the tool ends"))
}

/// Runs the tool with nobody at the other end.
fn read_nothing(host: &Host, args: &[&str]) -> Ran {
    let (reader, writer) = rustix::pipe::pipe().expect("there is room");
    drop(reader);
    let mut command = host.command(args);
    command.stdout(Stdio::from(writer));
    ran(command.output().expect("the tool starts"))
}

#[test]
fn a_reader_may_have_enough() {
    let host = large();
    for args in PRINTING {
        for ran in [read_some(&host, args, 5), read_nothing(&host, args)] {
            assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{args:?}");
        }
    }
}

#[test]
fn the_audits_answer_needs_no_reader() {
    let mut image = image();
    image.closed.sent.bytes += 1;
    let ran = read_nothing(&Host::with(&image), &["audit"]);
    assert_eq!(ran.status, Some(1));
    assert_eq!(ran.stderr, "mutexctl: the books do not balance: sent bytes 1 too many\n");
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let host = Host::new();
    for args in PRINTING {
        let mut command = host.command(args);
        let full = File::options().write(true).open("/dev/full").expect("there is one");
        command.stdout(full);
        let ran = ran(command.output().expect("the tool starts"));
        assert_eq!(ran.status, Some(1), "{args:?}");
        assert_eq!(
            ran.stderr, "mutexctl: cannot write to standard output: No space left on device\n",
            "{args:?}"
        );
    }
}
