// SPDX-License-Identifier: MIT OR Apache-2.0

//! Starting, ending, reading the configuration again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;

use crate::host::Answer;
use crate::host::Host;
use crate::host::PATIENCE;
use crate::host::exchange;
use crate::host::image;
use crate::host::until;

#[test]
fn it_ends_gracefully_when_it_is_told_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let host = Host::new();
        let daemon = host.start();
        assert_eq!(daemon.get("/healthz").body, "ok\n");
        assert!(host.path("state/mutexd.pid").exists());
        // Somebody who is connected and asks nothing does not keep it.
        let _idle = daemon.connect();
        assert_eq!(daemon.end(signal), Some(0));
        assert!(!host.path("state/mutexd.pid").exists());
        assert!(host.log().contains("mutexd has ended"), "{}", host.log());
    }
}

#[test]
fn the_background_start_returns_when_it_is_ready_and_stop_when_it_has_ended() {
    let host = Host::new();
    assert_eq!(host.run(&["status"]).0, Some(1));
    let (status, stdout, stderr) = host.run(&["start"]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let pid = fs::read_to_string(host.path("state/mutexd.pid")).expect("it runs");
    assert_eq!(stdout, format!("mutexd runs with the process id {pid}"));
    assert_eq!(host.run(&["status"]), (Some(0), stdout, String::new()));
    // What it has made is for nobody else, whatever the umask of the shell was.
    let mode = |name: &str| host.path(name).metadata().expect(name).permissions().mode() & 0o777;
    for (name, expected) in
        [("log", 0o600), ("state", 0o700), ("state/mutexd.pid", 0o600), ("http.sock", 0o600)]
    {
        assert_eq!(mode(name), expected, "{name}: {:o}", mode(name));
    }

    let address = crate::host::address_in(&host.path("log")).expect("it listens");
    let stream = std::net::TcpStream::connect(address).expect("it listens");
    let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert_eq!(Answer::read(exchange(stream, request)).body, "healthy\n");

    let (status, _, stderr) = host.run(&["start"]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("mutexd runs already, with the state folder "), "{stderr}");
    assert!(stderr.contains(pid.trim()), "{stderr}");

    assert_eq!(host.run(&["stop"]), (Some(0), String::new(), String::new()));
    assert_eq!(host.run(&["status"]).0, Some(1));
    assert_eq!(host.run(&["stop"]).0, Some(1));
}

#[test]
fn a_start_that_fails_says_why() {
    let host = Host::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = taken.local_addr().expect("it has one");
    let text = fs::read_to_string(host.path("mutexd.toml")).expect("it is there");
    host.write("mutexd.toml", text.replace("127.0.0.1:0", &address.to_string()));
    let (status, stdout, stderr) = host.run(&["start"]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    let start = format!("mutexd: cannot listen on {address}: Address already in use; set ");
    assert!(stderr.starts_with(&start), "{stderr}");
    assert!(!host.path("state/mutexd.pid").exists());

    host.configure("max_connections = 0\n");
    let file = host.path("mutexd.toml").display().to_string();
    let expected =
        format!("mutexd: {file}:8: http.max_connections: 0 is out of range; set 1 to 10000\n");
    for command in ["start", "run", "check-config", "stop"] {
        assert_eq!(host.run(&[command]), (Some(1), String::new(), expected.clone()), "{command}");
    }
    host.configure("token_file = \"/nonexistent\"\n");
    let expected = "mutexd: http.token_file: cannot read /nonexistent: No such file or directory\n";
    assert_eq!(host.run(&["check-config"]), (Some(1), String::new(), expected.into()));
    host.configure("");
    assert_eq!(host.run(&["check-config"]).1, format!("{file} is right\n"));
}

#[test]
fn after_a_kill_it_starts_again() {
    let host = Host::new();
    let daemon = host.start();
    assert_eq!(daemon.end(Signal::KILL), None);
    assert!(host.path("state/mutexd.pid").exists());
    assert_eq!(host.run(&["status"]).0, Some(1));
    host.write("log", "");
    assert_eq!(host.start().get("/healthz").status, 200);
}

#[test]
fn a_changed_configuration_is_taken_and_a_wrong_one_is_not() {
    let host = Host::new();
    let mut daemon = host.start();
    let info = |answer: Answer| answer.json()["info"]["title"] == "mutexd";
    assert!(info(daemon.get("/api/v1/openapi.json")));

    host.configure("max_connections = 0\n");
    daemon.reload();
    let log = host.log();
    assert!(log.contains("the configuration stays as it was: "), "{log}");
    assert!(log.contains("http.max_connections: 0 is out of range"), "{log}");
    assert_eq!(daemon.get("/healthz").status, 200);

    host.write("token", "0123456789abcdef");
    rustix::fs::chmod(host.path("token"), rustix::fs::Mode::from_raw_mode(0o600))
        .expect("it is ours");
    let token = host.path("token").display().to_string();
    host.configure(&format!("token_file = \"{token}\"\n[page]\nrows = 5\n"));
    daemon.reload();
    assert_eq!(daemon.ask_by_address("/metrics", &[]).status, 401);
    let answer = daemon.ask_by_address("/metrics", &[("authorization", "Bearer 0123456789abcdef")]);
    assert!(answer.body.contains("\nmutexd_reloads_total{result=\"success\"} 1\n"));
    assert!(answer.body.contains("\nmutexd_reloads_total{result=\"failure\"} 1\n"));
    assert!(host.log().contains("the part network starts anew"), "{}", host.log());

    // Another address, while the old one is no longer listened to.
    let text = fs::read_to_string(host.path("mutexd.toml")).expect("it is there");
    host.write("mutexd.toml", text.replace("127.0.0.1:0", "127.0.0.2:0"));
    daemon.reload();
    until("the old address is free", || std::net::TcpStream::connect(&daemon.address).is_err());
}

#[test]
fn without_the_module_it_says_so_and_goes_on_when_it_comes() {
    let host = Host::new();
    host.unload();
    let daemon = host.start();
    assert_eq!(daemon.get("/readyz").body, "degraded\nnetwork degraded\n");
    let alive = daemon.get("/healthz");
    assert_eq!((alive.status, alive.body.as_str()), (200, "ok\nnetwork degraded\n"));
    let health = daemon.get("/api/v1/health").json();
    assert_eq!(health["state"], "degraded");
    let parts = health["parts"].as_array().expect("it is a list");
    let network = parts.iter().find(|one| one["part"] == "network").expect("there is one");
    let message = network["message"].as_str().expect("it is text");
    assert!(message.starts_with("MUTEX is not loaded: "), "{message}");
    let answer = daemon.get("/api/v1/stats");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"], message);
    let metrics = daemon.get("/metrics");
    assert!(metrics.body.contains("\nmutex_module_loaded 0\n"), "{}", metrics.body);
    assert!(metrics.body.contains("mutexd_read_errors_total{file=\"stats\"} 0\n"));

    host.load(&image());
    until("it is loaded", || daemon.get("/readyz").body == "healthy\n");
    assert!(daemon.get("/metrics").body.contains("\nmutex_module_loaded 1\n"));
    host.unload();
    until("it is not", || daemon.get("/readyz").body == "degraded\nnetwork degraded\n");
    assert!(host.log().contains("MUTEX is not loaded"), "{}", host.log());

    // What is there and makes no sense is an error.
    host.load(&image());
    host.write("proc/stats", "format 99\n");
    until("it is read", || {
        !daemon.get("/metrics").body.contains("errors_total{file=\"stats\"} 0\n")
    });
}

#[test]
fn a_service_manager_is_told() {
    let host = Host::new();
    let socket = UnixDatagram::bind(host.path("notify")).expect("there is room");
    socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    let mut command = host.command(&["run"]);
    command.env("NOTIFY_SOCKET", host.path("notify")).env("WATCHDOG_USEC", "300000");
    let mut child = command.spawn().expect("it starts");
    let next = || {
        let mut buffer = [0; 4096];
        let size = socket.recv(&mut buffer).expect("it says something");
        String::from_utf8_lossy(&buffer[..size]).into_owned()
    };
    let ready = next();
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    assert!(ready.contains("STATUS=listens on 127.0.0.1:"), "{ready}");
    assert!(next().starts_with("WATCHDOG=1"));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::HUP).expect("it runs");
    let mut told = next();
    while told.starts_with("WATCHDOG=1") {
        told = next();
    }
    assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
    rustix::process::kill_process(pid, Signal::TERM).expect("it runs");
    while told != "STOPPING=1\n" {
        told = next();
    }
    assert!(child.wait().expect("it is ours").success());
}

#[test]
fn a_log_that_is_rotated_is_opened_anew() {
    let host = Host::new();
    let mut daemon = host.start();
    let rotate = |name: &str| fs::rename(host.path("log"), host.path(name)).expect("it is there");
    // With SIGHUP, as `systemctl reload` sends it.
    rotate("log.1");
    daemon.reload();
    assert!(host.log().contains("the configuration was read again"), "{}", host.log());
    // And without: something is logged with each answer.
    rotate("log.2");
    until("there is a log again", || {
        daemon.get("/healthz");
        host.path("log").exists()
    });
    daemon.get("/nothing");
    assert!(host.log().contains("/nothing"), "{}", host.log());
    let old = fs::read_to_string(host.path("log.2")).expect("it is there");
    assert!(!old.contains("/nothing"), "{old}");
}

#[test]
fn the_log_can_be_json() {
    let host = Host::new();
    let text = fs::read_to_string(host.path("mutexd.toml")).expect("it is there");
    host.write(
        "mutexd.toml",
        text.replace("level = \"debug\"", "level = \"info\", format = \"json\""),
    );
    let daemon = host.start();
    daemon.get("/healthz");
    assert_eq!(daemon.end(Signal::TERM), Some(0));
    let log = host.log();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().all(|line| line["level"] != "DEBUG"), "{log}");
    assert!(lines.iter().any(|line| line["message"] == "mutexd has ended"), "{log}");
}
