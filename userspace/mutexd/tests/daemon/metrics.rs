// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a scrape gives.

use crate::host::Host;

/// The values of a metric whose labels hold all of `labels`.
pub fn values(text: &str, name: &str, labels: &[&str]) -> Vec<u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
                && labels.iter().all(|label| line.contains(label))
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect()
}

#[test]
fn both_formats_have_their_types_and_the_same_numbers() {
    let host = Host::new();
    let daemon = host.start();
    let text = daemon.get("/metrics");
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let open = daemon
        .ask("/metrics", &[("accept", "application/openmetrics-text;version=1.0.0,*/*;q=0.1")]);
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), media_type);
    assert!(open.body.ends_with("\n# EOF\n") && !text.body.contains("# EOF"));
    assert_eq!(values(&text.body, "mutex_traffic_bytes_total", &["direction=\"sent\""]), [31_577]);
    let of_mutex = |body: &str| {
        let lines = body.lines().filter(|line| line.starts_with("mutex_"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of_mutex(&text.body), of_mutex(&open.body));
    for line in [
        "# TYPE mutexd_scrape_duration_seconds histogram",
        "mutexd_scrapes_total{format=\"prometheus\"} 1",
        "mutexd_part_state{part=\"network\",state=\"healthy\"} 1",
        "mutex_module_loaded 1",
        "# UNIT process_resident_memory_bytes bytes",
    ] {
        assert!(open.body.lines().any(|other| other == line), "{line}\n{}", open.body);
    }
    // Each family comes once.
    let mut families: Vec<&str> =
        open.body.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let count = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), count);
}

#[test]
fn what_moved_most_and_all_else_add_up_to_the_host() {
    let host = Host::new();
    host.configure("[prometheus]\ntop_connections = 2\ntop_fds = 1\n");
    let daemon = host.start();
    let body = daemon.get("/metrics").body;
    for family in ["mutex_top_connection_bytes", "mutex_top_fd_bytes"] {
        for direction in ["sent", "received", "forwarded_sent", "forwarded_received"] {
            let label = format!("direction=\"{direction}\"");
            let sum: u64 = values(&body, family, &[&label]).iter().sum();
            let total = values(&body, "mutex_traffic_bytes_total", &[&label]);
            assert_eq!([sum], total[..], "{family} {direction}\n{body}");
        }
    }
    let line = "mutex_top_connection_bytes{id=\"2\",protocol=\"tcp\",local_address=\"192.0.2.1\",\
                local_port=\"1000\",remote_address=\"192.0.2.1\",remote_port=\"443\",pid=\"70\",\
                command=\"curl\",direction=\"received\"} 90000\n";
    assert!(body.contains(line), "{body}");
    assert_eq!(values(&body, "mutex_top_connection_bytes", &["id=\"1\""]), [0; 0]);
    assert_eq!(values(&body, "mutex_top_connection_bytes", &["id=\"3\"", "\"sent\""]), [30_000]);
    assert_eq!(values(&body, "mutex_top_fd_bytes", &["id=\"7\""]), [1_500, 92_000]);
    assert_eq!(values(&body, "mutex_top_fd_bytes", &["id=\"8\""]), [0; 0]);
    host.write("proc/snapshot", "");
    let body = daemon.get("/metrics").body;
    assert_eq!(values(&body, "mutexd_read_errors_total", &["snapshot"]), [1]);
    assert_eq!(values(&body, "mutex_traffic_bytes_total", &["\"sent\""]), [31_577]);
}

#[test]
fn there_are_no_labels_of_connections_unless_they_are_wanted() {
    let host = Host::new();
    let body = host.start().get("/metrics").body;
    assert!(!body.contains("mutex_top_") && !body.contains("192.0.2.1"), "{body}");
}
