// SPDX-License-Identifier: MIT OR Apache-2.0

//! Long work tells how far it is, to who sits at a terminal and to nobody else.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustix::fs::FileType;
use rustix::fs::Mode;

use crate::host::Host;
use crate::host::image;
use crate::terminal::Terminal;

/// An image that many pieces can be made of.
fn large() -> Host {
    let mut image = image();
    image.connections = image.connections.repeat(2000);
    Host::with(&image)
}

/// Runs the tool on an image that comes slowly, until `is_seen` says that this is long enough; then the
/// rest comes at once.
fn slowly(host: &Host, run: impl FnOnce(), is_seen: &AtomicBool) {
    let pipe = host.path("slow");
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, mode, 0).expect("there is room");
    let image = host.read("image.bin");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut pipe = File::options().write(true).open(&pipe).expect("somebody reads");
            let mut rest = image.as_slice();
            while !is_seen.load(Ordering::Relaxed) && rest.len() > 1000 {
                let (now, later) = rest.split_at(rest.len().min(200));
                pipe.write_all(now).expect("somebody reads");
                rest = later;
                thread::sleep(Duration::from_millis(10));
            }
            pipe.write_all(rest).expect("somebody reads");
        });
        run();
    });
    std::fs::remove_file(pipe).expect("it is ours");
}

#[test]
fn who_waits_at_a_terminal_is_told() {
    let host = large();
    for args in [
        &["export", "--from", "slow", "-o", "out"][..],
        &["convert", "slow", "--to", "csv", "-o", "tables"],
        &["report", "--from", "slow", "-o", "page"],
        &["aggregate", "--by", "remote", "--from", "slow"],
        &["audit", "slow"],
    ] {
        let is_seen = AtomicBool::new(false);
        let run = || {
            let mut terminal = Terminal::run(&host.command(args));
            terminal.shows("KiB");
            let text = terminal.text();
            assert!(text.trim_start().starts_with("read "), "{args:?}: {text}");
            is_seen.store(true, Ordering::Relaxed);
            terminal.end();
            assert!(!terminal.text().contains("read "), "{args:?}: {}", terminal.text());
            terminal.is_whole();
        };
        slowly(&host, run, &is_seen);
    }
}

#[test]
fn nobody_else_is() {
    let host = large();
    let is_seen = AtomicBool::new(false);
    let run = || {
        // Standard error is no terminal.
        let slow = thread::scope(|scope| {
            let slow = scope.spawn(|| host.run(&["export", "--from", "slow", "-o", "out"]));
            thread::sleep(Duration::from_millis(800));
            is_seen.store(true, Ordering::Relaxed);
            slow.join().expect("it ends")
        });
        assert_eq!((slow.status, slow.stdout.as_str(), slow.stderr.as_str()), (Some(0), "", ""));
    };
    slowly(&host, run, &is_seen);

    // What is short is over before anybody wonders; what is written there says enough.
    let mut shell = Command::new("sh");
    let script = "exec \"$0\" convert image.bin --to jsonl 2>said";
    shell.current_dir(host.path(".")).args(["-c", script, env!("CARGO_BIN_EXE_mutexctl")]);
    assert!(shell.output().expect("there is a shell").status.success());
    assert_eq!(host.read("said"), b"");
}
