// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the daemon and its host perform.

use std::io::Write;

use serde_json::Value;

use crate::host::Daemon;
use crate::host::Host;
use crate::host::until;

/// What a collector has collected last.
fn collected(daemon: &Daemon, collector: &str) -> Value {
    daemon.get("/api/v1/monitor").json()["collectors"][collector].clone()
}

/// The sample with this label, or the first one.
fn sample<'a>(collected: &'a Value, metric: &str, label: Option<(&str, &str)>) -> &'a Value {
    let samples = collected["metrics"][metric].as_array();
    let samples = samples.unwrap_or_else(|| panic!("{metric} is not there: {collected}"));
    let is_it = |one: &&Value| label.is_none_or(|(name, value)| one["labels"][name] == value);
    samples.iter().find(is_it).map_or(&Value::Null, |one| &one["value"])
}

#[test]
fn collectors_are_fed_by_what_the_daemon_does() {
    let host = Host::new();
    host.configure(
        "[history]\nenabled = true\ninterval = \"1s\"\n[monitor]\ninterval = \"100ms\"\npeers = 1\n",
    );
    let daemon = host.start();
    let names = daemon.get("/api/v1/monitor/collectors").json();
    let names: Vec<&str> = names["collectors"]
        .as_array()
        .expect("it is a list")
        .iter()
        .map(|one| one["name"].as_str().expect("it is text"))
        .collect();
    assert_eq!(names, ["history", "http", "network", "page", "resource"]);

    // What is asked wrongly is no failure of who answers; that the module is not there is.
    assert_eq!(daemon.get("/nothing").status, 404);
    host.unload();
    for _ in 0..3 {
        assert_eq!(daemon.get("/api/v1/stats").status, 503);
    }
    until("three requests have failed", || {
        *sample(&collected(&daemon, "http"), "mutex_requests_errors", None) == 3
    });
    let http = collected(&daemon, "http");
    let requests = sample(&http, "mutex_requests", None).as_u64().expect("it is a number");
    assert!(requests > 4, "{http}");
    let times = sample(&http, "mutex_requests_response_time_seconds", None);
    assert!(times["count"].as_u64().is_some_and(|count| count > 3), "{http}");
    let _idle = daemon.connect();
    until("somebody is connected", || {
        *sample(&collected(&daemon, "http"), "mutex_requests_active_connections", None) != 0
    });
    until("nobody waits", || {
        *sample(&collected(&daemon, "http"), "mutex_requests_queued", None) == 0
    });
    let metrics = |collector| collected(&daemon, collector)["metrics"].clone();
    until("without the module there is nothing to say, which is no error", || {
        metrics("network").as_object().is_some_and(serde_json::Map::is_empty)
    });

    host.load(&crate::host::image());
    until("the kernel's numbers are there", || {
        metrics("network").as_object().is_some_and(|metrics| !metrics.is_empty())
    });
    let network = collected(&daemon, "network");
    assert_eq!(sample(&network, "mutex_network_active_connections", None), 4);
    let sent = Some(("direction", "sent"));
    assert_eq!(sample(&network, "mutex_network_traffic_bytes", sent), 31_577);
    let first = Some(("peer", "192.0.2.1"));
    assert_eq!(sample(&network, "mutex_network_peer_connections", first), 4);

    until("the history was written", || {
        *sample(&collected(&daemon, "history"), "mutex_store_batches", None) == 1
    });
    let history = collected(&daemon, "history");
    let writes = sample(&history, "mutex_store_write_seconds", None);
    assert_eq!(writes["count"], 1, "{history}");
    assert_ne!(sample(&history, "mutex_store_batch_items", None), 0);
    assert_ne!(sample(&history, "mutex_store_size_bytes", None), 0);
    assert_eq!(sample(&history, "mutex_store_capacity_bytes", None), 256 << 20);
    assert_eq!(daemon.get("/api/v1/history/host").status, 200);
    until("it was read", || {
        sample(&collected(&daemon, "history"), "mutex_store_read_seconds", None)["count"] == 1
    });

    let mut viewer = daemon.connect();
    let request = b"GET /api/v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n";
    viewer.write_all(request).expect("it listens");
    until("somebody looks at the page", || {
        let missed = Some(("result", "miss"));
        *sample(&collected(&daemon, "page"), "mutex_store_cache_lookups", missed) != 0
            && *sample(&collected(&daemon, "http"), "mutex_requests_items", sent) != 0
    });

    let resource = collected(&daemon, "resource");
    for metric in ["mutex_resource_cpus", "mutex_resource_process_tasks"] {
        assert!(
            sample(&resource, metric, None).as_u64().is_some_and(|count| count > 0),
            "{metric}"
        );
    }
    let disk = Some(("path", "/"));
    assert_eq!(sample(&resource, "mutex_resource_disk_up", disk), 1, "{resource}");
}

#[test]
fn what_is_collected_is_in_the_metrics_too_unless_it_is_not_wanted() {
    let host = Host::new();
    host.configure("[page]\nenabled = false\n[monitor]\ninterval = \"100ms\"\n");
    let mut daemon = host.start();
    assert_eq!(daemon.get("/healthz").status, 200);
    until("requests are counted", || {
        let body = daemon.get("/metrics").body;
        body.lines().any(|line| {
            line.strip_prefix("mutex_requests_total{collector=\"http\"} ")
                .is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 1))
        })
    });
    let body = daemon.get("/metrics").body;
    for line in [
        "# TYPE mutex_requests_response_time_seconds histogram",
        "# TYPE mutex_resource_cpu_seconds_total counter",
        "mutex_network_active_connections{collector=\"network\"} 4",
        "mutex_monitor_errors_total{collector=\"network\"} 0",
    ] {
        assert!(body.lines().any(|other| other == line), "{line}\n{body}");
    }
    assert!(!body.contains("collector=\"history\"") && !body.contains("collector=\"page\""));
    assert!(!body.contains("mutex_network_peer_"), "{body}");

    host.write("proc/stats", "format 99\n");
    let message = || {
        let health = daemon.get("/api/v1/health").json();
        let parts = health["parts"].as_array().expect("it is a list");
        let monitor = parts.iter().find(|one| one["part"] == "monitor").expect("there is one");
        monitor["message"].as_str().expect("it is text").to_owned()
    };
    until("the collector that has nothing is named", || {
        message().starts_with("the collector network has nothing: ")
    });

    host.configure("[monitor]\nenabled = false\n");
    daemon.reload();
    assert_eq!(daemon.get("/api/v1/monitor").status, 404);
    let body = daemon.get("/metrics").body;
    assert!(!body.contains("mutex_requests") && !body.contains("collector="), "{body}");
    assert_eq!(
        daemon.get("/api/v1/health").json()["parts"]
            .as_array()
            .and_then(|parts| parts.iter().find(|one| one["part"] == "monitor"))
            .map(|monitor| monitor["state"].clone()),
        Some("healthy".into())
    );
}
