// SPDX-License-Identifier: MIT OR Apache-2.0

//! `/api/v1`: what the document says is there, is there and is so.

use std::io::Read;
use std::io::Write;

use boon::Compiler;
use boon::Schemas;
use serde_json::Value;

use crate::host::Host;
use crate::host::until;

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"))
}

fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    let mut compiler = Compiler::new();
    compiler.add_resource("memory:/schema", schema.clone()).expect("it is JSON");
    let mut schemas = Schemas::new();
    let index = compiler.compile("memory:/schema", &mut schemas).expect("it is a schema");
    schemas.validate(value, index).map_err(|error| error.to_string())
}

#[test]
fn every_path_answers_as_the_document_says() {
    let host = Host::new();
    host.configure("[history]\nenabled = true\n");
    let daemon = host.start();
    let document = daemon.get("/api/v1/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("it is one");
    let known = ["/health", "/stats", "/samples", "/connections", "/fds", "/alerts", "/peers"];
    let own = ["/history/host", "/history/findings", "/monitor"];
    let more = own.into_iter().chain(["/peers/events", "/peers/announcements"]);
    for path in known.into_iter().chain(more) {
        assert!(paths.contains_key(path), "{path} is not in the document");
    }
    for (path, item) in paths {
        let Some(get) = item.get("get") else { continue };
        let url = format!("/api/v1{path}");
        let schema = |status: &str| {
            let content = &get["responses"][status]["content"];
            content.get("application/json").map(|content| content["schema"].clone())
        };
        // A stream goes on; it has a test of its own.
        let Some(right) = schema("200") else { continue };
        let wrong = schema("400").expect("every path can be asked nonsense");
        let check = |query: &str, status: u16, schema: &Value| {
            let answer = daemon.get(&format!("{url}{query}"));
            assert_eq!(answer.status, status, "{url}{query}: {}", answer.body);
            assert_eq!(answer.header("content-type"), "application/json", "{url}");
            fits(schema, &answer.json()).unwrap_or_else(|error| panic!("{url}{query}: {error}"));
        };
        check("", 200, &right);
        let parameters = get["parameters"].as_array().expect("it is a list");
        for parameter in parameters {
            let name = parameter["name"].as_str().expect("it is text");
            let example = match &parameter["example"] {
                Value::String(text) => encoded(text),
                other => other.to_string(),
            };
            check(&format!("?{name}={example}"), 200, &right);
        }
        if !parameters.is_empty() {
            check("?nonsense=1", 400, &wrong);
        }
    }
}

#[test]
fn lists_are_filtered_sorted_and_cut() {
    let host = Host::new();
    let daemon = host.start();
    let ids = |query: &str| -> Vec<u64> {
        let answer = daemon.get(&format!("/api/v1/{query}")).json();
        let list = query.split('?').next().expect("there is one");
        let records = answer[list].as_array().unwrap_or_else(|| panic!("{query}: {answer}"));
        records.iter().map(|one| one["id"].as_u64().expect("it is a number")).collect()
    };
    assert_eq!(ids("connections"), [1, 2, 3, 4]);
    assert_eq!(ids("connections?sort=received_bytes"), [2, 1, 4, 3]);
    assert_eq!(ids("connections?sort=%2Breceived_bytes&limit=2"), [3, 4]);
    assert_eq!(ids("connections?filter=command%3Dcurl"), [1, 2]);
    assert_eq!(ids("connections?filter=command=curl+sent_bytes%3e%3d1000"), [1]);
    assert_eq!(ids("fds?sort=sent_bytes&fields=id"), [8, 7]);
    let fields = daemon.get("/api/v1/fds?fields=command,pid&filter=pid=80").json();
    assert_eq!(fields["fds"], serde_json::json!([{ "command": "a \"b\" <i>", "pid": 80 }]));
    let alerts = daemon.get("/api/v1/alerts?limit=1").json();
    assert_eq!(alerts["alerts"][0]["number"], 2);
    let alerts = daemon.get("/api/v1/alerts?filter=severity%3Dwarning").json();
    assert_eq!(alerts["alerts"][0]["number"], 1);

    for (query, sentence) in [
        ("connections?limit=0", "limit is from 1 to 1000"),
        ("connections?limit=1001", "limit is from 1 to 1000"),
        ("connections?limit=x", "limit: invalid digit found in string"),
        ("connections?sort=nonsense", "there is no field \"nonsense\""),
        ("fds?filter=port=80", "the filter is wrong: \"port\" is no key of fds"),
        ("connections?filters=x", "filters: unknown field \"filters\", expected one of"),
        ("alerts?sort=number", "sort: unknown field \"sort\""),
    ] {
        let answer = daemon.get(&format!("/api/v1/{query}"));
        let error = answer.json()["error"].as_str().expect("it is text").replace('`', "\"");
        assert_eq!(answer.status, 400, "{query}");
        assert!(error.starts_with(sentence), "{query}: {error}");
    }
}

#[test]
fn samples_are_the_rates_of_what_was_read() {
    let host = Host::new();
    let daemon = host.start();
    let mut image = crate::host::image();
    image.status.uptime_ns += 2_000_000_000;
    image.totals_after.sent.bytes += 500;
    host.load(&image);
    let is_there = |answer: &Value| {
        let samples = answer["samples"].as_array().expect("it is a list");
        samples.iter().any(|one| one["sent_bytes_per_second"] == 250.0)
    };
    until("the rate is seen", || is_there(&daemon.get("/api/v1/samples").json()));
}

#[test]
fn samples_are_the_newest_and_can_be_paged_through() {
    let host = Host::new();
    let daemon = host.start();
    let times = |query: &str| -> Vec<u64> {
        let answer = daemon.get(&format!("/api/v1/samples{query}")).json();
        let samples = answer["samples"].as_array().expect("it is a list").iter();
        samples.map(|one| one["time_ns"].as_u64().expect("it is a time")).collect()
    };
    until("there are some", || times("").len() > 4);
    let last = times("?limit=2");
    assert_eq!(last.len(), 2);
    let before = times(&format!("?limit=2&until_ns={}", last[0] - 1));
    assert!(before.len() == 2 && before[1] < last[0], "{before:?} {last:?}");
    for limit in [0, 1001] {
        assert_eq!(daemon.get(&format!("/api/v1/samples?limit={limit}")).status, 400);
    }
}

#[test]
fn a_process_that_has_executed_another_program_has_its_command() {
    let host = Host::new();
    // As in /proc, beside the folder of the kernel's files.
    std::fs::create_dir_all(host.path("70/fd")).expect("there is room");
    host.write("70/comm", "worker\n");
    std::os::unix::fs::symlink("socket:[107]", host.path("70/fd/3")).expect("there is room");
    // The other one's pid is another process's by now.
    std::fs::create_dir_all(host.path("80/fd")).expect("there is room");
    host.write("80/comm", "stranger\n");
    host.configure("[prometheus]\ntop_connections = 2\ntop_fds = 2\n[history]\nenabled = true\ninterval = \"1s\"\n");
    let daemon = host.start();
    let commands = |path: &str, list: &str| -> Vec<String> {
        let answer = daemon.get(path).json();
        let records = answer[list].as_array().unwrap_or_else(|| panic!("{path}: {answer}")).iter();
        records.map(|one| one["command"].as_str().unwrap_or("-").to_owned()).collect()
    };
    let other = "a \"b\" <i>";
    assert_eq!(commands("/api/v1/fds", "fds"), ["worker", other]);
    let fields = "/api/v1/connections?fields=command";
    assert_eq!(commands(fields, "connections"), ["worker", "worker", other, "-"]);
    let path = format!("{fields}&filter=command%3Dworker");
    assert_eq!(commands(&path, "connections"), ["worker"; 2]);
    let metrics = daemon.get("/metrics").body;
    for family in ["mutex_top_connection_bytes", "mutex_top_fd_bytes"] {
        let of_it = metrics.lines().filter(|line| line.starts_with(family)).collect::<Vec<_>>();
        assert!(of_it.iter().any(|line| line.contains("command=\"worker\"")), "{of_it:?}");
        assert!(!of_it.iter().any(|line| line.contains("curl")), "{of_it:?}");
    }
    let mut stream = daemon.connect();
    let request = b"GET /api/v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).expect("it listens");
    let (mut heard, mut buffer) = (String::new(), [0; 4096]);
    while !heard.contains("\"processes\"") || !heard.ends_with("\n\r\n") {
        let size = stream.read(&mut buffer).expect("it goes on");
        assert!(size > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..size]));
    }
    assert!(heard.contains("\"command\":\"worker\"") && !heard.contains("curl"), "{heard}");
}

#[test]
fn the_stream_tells_what_there_is_and_ends_with_the_daemon() {
    let host = Host::new();
    host.configure("[page]\ninterval = \"1s\"\nmax_viewers = 1\n");
    let daemon = host.start();
    let mut stream = daemon.connect();
    let request = b"GET /api/v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).expect("it listens");
    let mut heard = String::new();
    let mut buffer = [0; 4096];
    while heard.matches("event: glance").count() < 2 || !heard.contains("event: points") {
        let size = stream.read(&mut buffer).expect("it goes on");
        assert!(size > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..size]));
    }
    assert!(heard.contains("content-type: text/event-stream"), "{heard}");
    let glance = heard.split("event: glance\ndata: ").nth(1).expect("there is one");
    let glance = glance.lines().next().expect("it has a line");
    let glance: Value = serde_json::from_str(glance).expect("it is JSON");
    assert_eq!(glance["processes"][0]["command"], "curl");
    assert_eq!(glance["connections"][0]["id"], 2);
    assert_eq!(glance["alerts"][0]["severity"], "critical");
    assert_eq!(daemon.get("/api/v1/stream").status, 503, "one viewer too many");
    assert!(daemon.get("/metrics").body.contains("\nmutexd_page_viewers 1\n"));
    assert_eq!(daemon.end(rustix::process::Signal::TERM), Some(0));
    while stream.read(&mut buffer).expect("it ends") > 0 {}
}

#[test]
fn the_page_is_there_unless_it_is_not_wanted() {
    let host = Host::new();
    let mut daemon = host.start();
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = daemon.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, media_type), "{path}");
    }
    host.configure("[page]\nenabled = false\n");
    daemon.reload();
    let address = crate::host::address_in(&host.path("log")).expect("it listens");
    assert_eq!(address, daemon.address);
    assert_eq!(daemon.get("/").status, 404);
}
