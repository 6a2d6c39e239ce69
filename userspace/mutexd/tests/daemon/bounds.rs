// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever is sent, it goes on, and answers the next one.

use std::io::Read;
use std::io::Write;

use crate::host::Host;
use crate::host::until;

#[test]
fn what_is_too_long_or_strange_is_refused() {
    let host = Host::new();
    let daemon = host.start();
    let long = "x".repeat(5000);
    let get = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n")
    };
    for (what, status) in [
        (get(&format!("/api/v1/connections?filter={long}"), ""), 414),
        (get("/", &format!("a: {}\r\n", "x".repeat(20_000))), 431),
        (get("/", &"a: b\r\n".repeat(150)), 431),
        (get("/nothing", ""), 404),
        (get("/api/v1/connections/../../etc/passwd", ""), 404),
        ("DELETE / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".into(), 405),
        ("POST /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".into(), 405),
        ("nonsense\r\n\r\n".into(), 400),
        ("\0\u{1}\u{2}\r\n\r\n".into(), 400),
        (get("/metrics", ""), 200),
    ] {
        let shown: String = what.chars().take(60).collect();
        assert_eq!(daemon.say(&what).status, status, "{shown:?}");
    }
    let head = daemon.say("HEAD /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn every_answer_forbids_what_the_page_does_not_need() {
    let host = Host::new();
    let daemon = host.start();
    for path in ["/", "/metrics", "/nothing", "/api/v1/stats"] {
        let answer = daemon.get(path);
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[test]
fn one_connection_too_many_is_turned_away_and_the_place_of_who_goes_is_free() {
    let host = Host::new();
    host.configure("max_connections = 3\nidle_timeout = \"1h\"\n");
    let daemon = host.start();
    let mut guests: Vec<_> = (0..3).map(|_| daemon.connect_by_address()).collect();
    // An answer says that all three have been accepted.
    for guest in &mut guests {
        guest.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it listens");
        let mut answer = [0; 12];
        guest.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    let health = || daemon.ask_by_address("/healthz", &[]).status;
    assert_eq!(health(), 503);
    // Who may ask over the local socket has places of their own.
    assert_eq!(daemon.get("/healthz").status, 200);
    guests.pop();
    until("there is a place again", || health() == 200);
    let metrics = daemon.get("/metrics").body;
    assert!(!metrics.contains("\nmutexd_http_connections_refused_total 0\n"), "{metrics}");
}

#[test]
fn who_says_nothing_is_left() {
    let host = Host::new();
    host.configure("idle_timeout = \"1s\"\n");
    let daemon = host.start();
    let mut silent = daemon.connect_by_address();
    let mut slow = daemon.connect_by_address();
    slow.write_all(b"GET / HTT").expect("it listens");
    for guest in [&mut silent, &mut slow] {
        let mut answer = Vec::new();
        guest.read_to_end(&mut answer).expect("it hangs up");
    }
}
