// SPDX-License-Identifier: MIT OR Apache-2.0

//! `top` in a real terminal.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::host::Host;
use crate::host::bytes;
use crate::host::failed;
use crate::host::image;
use crate::terminal::Terminal;

fn top(host: &Host, args: &[&str]) -> Terminal {
    let args = [&["top", "--interval", "20ms"], args].concat();
    Terminal::run(&host.command(&args))
}

#[test]
fn it_can_be_used() {
    let host = Host::new();
    let mut terminal = top(&host, &[]);
    terminal.shows("[1 connections]");
    terminal.shows("192.0.2.2:443");
    terminal.shows("total = host");
    assert!(terminal.text().contains("by in/s ▼"));

    terminal.press("\x1b[C");
    terminal.shows("by out/s ▼");
    terminal.press("r");
    terminal.shows("by out/s ▲");

    terminal.press("/protocol=udp port=x");
    terminal.shows("\"x\" is no value of port");
    terminal.press("\x7f53\r");
    terminal.hides("192.0.2.2:443");
    terminal.shows("[fe80::53%3]:53");
    terminal.press("\\");
    terminal.shows("192.0.2.2:443");

    terminal.resize(120, 40);
    terminal.wait("the last line of a larger window", |screen| {
        screen.contents().lines().count() == 40 && screen.contents().ends_with("q quit")
    });
    terminal.resize(30, 5);
    terminal.shows("30x5 is too small");
    terminal.resize(80, 24);
    terminal.press("2\r");
    terminal.shows("latency of 8 samples");
    terminal.press("5");
    terminal.shows("critical");
    terminal.press("?");
    terminal.shows("any key goes back");
    terminal.press("?q");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.is_whole();
}

#[test]
fn a_key_pressed_while_the_window_changes_is_not_lost() {
    let host = Host::new();
    let mut terminal = top(&host, &[]);
    terminal.shows("total = host");
    for lines in (20..24).cycle().take(40) {
        for (key, view) in [("2", "[2 fds]"), ("1", "[1 connections]")] {
            terminal.resize(80, lines);
            terminal.press(key);
            terminal.shows(view);
        }
    }
    terminal.press("q");
    assert_eq!(terminal.end().code(), Some(0));
}

#[test]
fn a_signal_leaves_the_terminal_whole() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let host = Host::new();
        let mut terminal = top(&host, &[]);
        terminal.shows("total = host");
        let pid = i32::try_from(terminal.pid()).ok().and_then(Pid::from_raw).expect("it has one");
        rustix::process::kill_process(pid, signal).expect("it runs");
        assert_eq!(terminal.end().signal(), Some(signal.as_raw()));
        terminal.is_whole();
    }
}

#[test]
fn the_module_may_go_and_come_back() {
    let host = Host::new();
    let mut terminal = top(&host, &[]);
    terminal.shows("total = host");
    fs::rename(host.path("proc"), host.path("gone")).expect("it is there");
    terminal.shows("MUTEX is not loaded: proc does not exist; waiting for it");
    // What was there can still be looked at.
    terminal.press("2");
    terminal.shows("[2 fds]");
    let mut image = image();
    image.header.loaded_ns += 1;
    image.status.connections_active = 1234;
    host.write("gone/snapshot", bytes(&image));
    fs::rename(host.path("gone"), host.path("proc")).expect("it is there");
    terminal.shows("1234 conns");
    terminal.hides("waiting for it");
    terminal.press("\x03");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.is_whole();
}

#[test]
fn files_and_recordings_are_shown_too() {
    let host = Host::new();
    let mut terminal = top(&host, &["--from", "image.bin", "--view", "fds", "--bits"]);
    terminal.shows("[2 fds]");
    terminal.shows("2026-09-21T14:13:20.123Z");
    terminal.press("q");
    assert_eq!(terminal.end().code(), Some(0));

    host.run(&["record", "-o", "recording", "--count", "1"]);
    let mut later = image();
    later.header.time_ns += 60_000_000_000;
    host.write("proc/snapshot", bytes(&later));
    host.run(&["record", "-o", "recording", "--count", "1"]);
    let mut terminal = top(&host, &["--from", "recording"]);
    terminal.shows("2026-09-21T14:14:20.123Z image 2 of 2");
    terminal.press("[");
    terminal.shows("2026-09-21T14:13:20.123Z image 1 of 2");
    terminal.press("]");
    terminal.shows("image 2 of 2");
    terminal.press("q");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.is_whole();
}

#[test]
fn what_cannot_be_shown_is_said() {
    let host = Host::new();
    let sentence = "top needs a terminal that can move its cursor: `mutexctl connections --sort \
                    rate_in --top 20 --watch` needs none; see `mutexctl --help`";
    assert_eq!(host.run(&["top"]), failed(2, sentence));
    let mut dumb = Terminal::run(host.command(&["top"]).env("TERM", "dumb"));
    dumb.shows("top needs a terminal that can move its cursor");
    assert_eq!(dumb.end().code(), Some(2));
    for (args, sentence) in [
        (&["--from", "none.bin"][..], "cannot read none.bin: No such file or directory"),
        (&["--filter", "port=x"], "\"x\" is no value of port"),
        (&["--sort", "x"], "connections have no column `x`; there are proto, local, "),
    ] {
        let mut terminal = top(&host, args);
        terminal.shows("mutexctl: ");
        assert_ne!(terminal.end().code(), Some(0));
        let text = terminal.text().replace('\n', "");
        assert!(text.contains(sentence), "{text}");
        terminal.is_whole();
    }
}
