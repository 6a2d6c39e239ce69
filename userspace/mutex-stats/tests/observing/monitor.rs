// SPDX-License-Identifier: MIT OR Apache-2.0

//! Collectors are asked, whatever one of them does, and say what happened.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use mutex_stats::Connection;
use mutex_stats::Image;
use mutex_stats::ManualClock;
use mutex_stats::Proc;
use mutex_stats::Quality;
use mutex_stats::Traffic;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Families;
use mutex_stats::formats::Kind;
use mutex_stats::formats::Number;
use mutex_stats::monitor::CollectError;
use mutex_stats::monitor::Collector;
use mutex_stats::monitor::Error;
use mutex_stats::monitor::Metric;
use mutex_stats::monitor::Monitor;
use mutex_stats::monitor::Network;
use mutex_stats::monitor::Requests;
use mutex_stats::monitor::Resource;
use mutex_stats::monitor::Store;
use mutex_stats::monitor::Transport;
use mutex_stats::monitor::TransportSettings;
use mutex_stats::monitor::Value;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(1_700_000_000_000_000_000))
}

fn collect(collector: &dyn Collector) -> BTreeMap<String, Metric> {
    let metrics = collector.collect().expect("it has something to say");
    let names: Vec<_> = metrics.iter().map(|metric| metric.name.to_string()).collect();
    let mut promised = collector.metric_names();
    promised.sort_unstable();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, promised, "it gives what it says that it gives");
    names.into_iter().zip(metrics).collect()
}

fn number(metrics: &BTreeMap<String, Metric>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let number = metrics[name].number(labels);
    match number.unwrap_or_else(|| panic!("{name} {labels:?} in {:?}", metrics[name])) {
        #[expect(clippy::cast_precision_loss, reason = "they are small")]
        Number::Integer(integer) => integer as f64,
        Number::Float(float) => float,
        Number::Nanoseconds(ns) => Duration::from_nanos(ns).as_secs_f64(),
    }
}

fn is_near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

fn exposition(monitor: &Monitor) -> String {
    let mut families = Families::new(Vec::new(), Exposition::Prometheus);
    monitor.write_metrics(&mut families).expect("a vector takes everything");
    let bytes = families.finish().expect("a vector takes everything");
    String::from_utf8(bytes).expect("it is text")
}

#[test]
fn requests_are_counted_timed_and_judged() {
    let clock = clock();
    let requests = Requests::with("http", 1000, clock.clone());
    for ms in 1..=100 {
        let pending = requests.begin();
        clock.advance(Duration::from_millis(ms));
        if ms % 10 == 0 { pending.fail() } else { pending.succeed() }
    }
    let _under_way = requests.begin();
    requests.set_active_connections(10);
    requests.set_queued(3);
    requests.item_sent();
    requests.item_received(false);
    requests.item_received(true);
    let metrics = collect(&requests);
    let get = |name: &str, labels: &[(&str, &str)]| {
        number(&metrics, &format!("mutex_requests{name}"), labels)
    };
    is_near(get("", &[]), 101.0);
    // All in the 5.05 s that have passed.
    is_near(get("_per_second", &[]), 20.0);
    is_near(get("_in_flight", &[]), 1.0);
    is_near(get("_errors", &[]), 10.0);
    is_near(get("_error_ratio", &[]), 0.1);
    is_near(get("_active_connections", &[]), 10.0);
    is_near(get("_queued", &[]), 3.0);
    is_near(get("_items", &[("direction", "sent")]), 1.0);
    is_near(get("_items", &[("direction", "received")]), 2.0);
    is_near(get("_items_duplicate", &[]), 1.0);
    let recent = |statistic| get("_response_time_recent_seconds", &[("statistic", statistic)]);
    is_near(recent("average"), 0.0505);
    is_near(recent("p95"), 0.095);
    is_near(recent("p99"), 0.099);
    let Value::Histogram(histogram) =
        &metrics["mutex_requests_response_time_seconds"].samples[0].value
    else {
        panic!("it is a histogram")
    };
    assert_eq!(histogram.count, 100);
    is_near(histogram.sum, 5.05);
    let at = |bound: f64| histogram.buckets.iter().find(|one| (one.0 - bound).abs() < 1e-12);
    assert_eq!(
        [0.001, 0.005, 0.01, 0.1].map(|bound| at(bound).map(|one| one.1)),
        [1, 5, 10, 100].map(Some)
    );
}

#[test]
fn a_request_that_nobody_ends_has_failed_and_history_is_bounded() {
    let clock = clock();
    let requests = Requests::with("http", 2, clock.clone());
    drop(requests.begin());
    for ms in [100, 1, 3] {
        requests.request();
        requests.response(Duration::from_millis(ms), true);
    }
    let metrics = collect(&requests);
    is_near(number(&metrics, "mutex_requests_errors", &[]), 1.0);
    let max = [("statistic", "max")];
    is_near(number(&metrics, "mutex_requests_response_time_recent_seconds", &max), 0.003);
}

#[test]
fn a_store_tells_its_cache_times_batches_and_size() {
    let clock = clock();
    let store = Store::with("blocks", 1000, clock.clone());
    let silent = collect(&store);
    assert!(silent["mutex_store_compression_ratio"].samples.is_empty(), "nobody has said");
    is_near(number(&silent, "mutex_store_cache_hit_ratio", &[]), 0.0);
    for _ in 0..3 {
        store.cache_hit();
    }
    store.cache_miss();
    store.read(Duration::from_millis(5));
    store.write(Duration::from_millis(10));
    for _ in 0..4 {
        store.batch(25);
    }
    store.set_items(1000);
    store.set_size(1 << 20, 1 << 30);
    store.set_compression_ratio(0.75);
    clock.advance(Duration::from_secs(2));
    let metrics = collect(&store);
    let get = |name: &str, labels: &[(&str, &str)]| {
        number(&metrics, &format!("mutex_store_{name}"), labels)
    };
    is_near(get("cache_hit_ratio", &[]), 0.75);
    is_near(get("cache_lookups", &[("result", "miss")]), 1.0);
    is_near(get("read_recent_seconds", &[("statistic", "p99")]), 0.005);
    is_near(get("write_recent_seconds", &[("statistic", "average")]), 0.01);
    is_near(get("batches", &[]), 4.0);
    is_near(get("batch_items", &[]), 100.0);
    is_near(get("batches_per_second", &[]), 2.0);
    is_near(get("items", &[]), 1000.0);
    is_near(get("size_bytes", &[]), 1_048_576.0);
    is_near(get("capacity_bytes", &[]), 1_073_741_824.0);
    is_near(get("compression_ratio", &[]), 0.75);
}

#[test]
fn a_transport_tells_its_peers_until_they_are_stale() {
    let clock = clock();
    let settings = TransportSettings { max_peers: 2, ..TransportSettings::default() };
    assert_eq!((settings.latency_samples, settings.bandwidth_samples), (1000, 100));
    let transport = Transport::with("quic", settings, clock.clone());
    transport.set_active_connections(5);
    transport.latency(Duration::from_millis(20));
    for step in 0..150 {
        transport.bandwidth(step);
    }
    transport.connection_error();
    transport.sent(7);
    transport.received(8);
    transport.peer_latency("alice", Duration::from_millis(15));
    for is_lost in [false, false, true, false] {
        transport.peer_packet("alice", is_lost);
    }
    clock.advance(Duration::from_secs(1));
    transport.peer_packet("bob", false);
    let metrics = collect(&transport);
    let get = |name: &str, labels: &[(&str, &str)]| {
        number(&metrics, &format!("mutex_transport_{name}"), labels)
    };
    is_near(get("active_connections", &[]), 5.0);
    is_near(get("latency_recent_seconds", &[("statistic", "p95")]), 0.02);
    is_near(get("bandwidth_bytes_per_second", &[("statistic", "min")]), 50.0);
    is_near(get("bandwidth_bytes_per_second", &[("statistic", "max")]), 149.0);
    is_near(get("connection_errors", &[]), 1.0);
    is_near(get("traffic_bytes", &[("direction", "sent")]), 7.0);
    is_near(get("packets", &[("result", "lost")]), 1.0);
    is_near(get("packet_loss_ratio", &[]), 0.2);
    is_near(get("peers", &[]), 2.0);
    is_near(get("peer_latency_seconds", &[("peer", "alice"), ("statistic", "max")]), 0.015);
    is_near(get("peer_packet_loss_ratio", &[("peer", "alice")]), 0.25);

    let peers = || {
        let metrics = collect(&transport);
        let samples = metrics["mutex_transport_peer_packet_loss_ratio"].samples.iter();
        samples.map(|sample| sample.labels[0].1.clone()).collect::<Vec<_>>()
    };
    clock.advance(Duration::from_secs(1));
    transport.peer_packet("carol", false);
    assert_eq!(peers(), ["bob", "carol"], "who was heard of longest ago goes");
    clock.advance(Duration::from_secs(299));
    assert_eq!(peers(), ["bob", "carol"]);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(peers(), ["carol"], "who is stale is forgotten");
}

/// A folder as the kernel's.
fn kernel(folder: &Path, connections: &[Connection], packets: u64, retransmitted: u64, drops: u64) {
    let image = Image { connections: connections.to_vec(), ..Image::default() };
    let mut bytes = Vec::new();
    image.write(&mut bytes).expect("a vector takes everything");
    fs::write(folder.join("snapshot"), bytes).expect("it can be written");
    let stats = format!(
        "format 1\nconnections_active 2\nconnections_total 9\nsent_bytes 500\nsent_packets {packets}\n\
         received_packets {packets}\nresets 4\nfailed_connects 1\nretransmitted_packets {retransmitted}\n\
         drops {drops}\nrate_in {}\nrate_out 3\nlatency_samples 2\nlatency_average_ns 1000000\n\
         latency_p50_ns 900000\nlatency_p95_ns 2000000\nlatency_p99_ns 3000000\nlatency_min_ns 1\n\
         latency_max_ns 4000000\n",
        packets / 10,
    );
    fs::write(folder.join("stats"), stats).expect("it can be written");
}

fn connection(last: u8, bytes: u64, retransmitted: u64, latency: (u64, u64)) -> Connection {
    let mut remote_address = [0; 16];
    remote_address[10..].copy_from_slice(&[255, 255, 192, 0, 2, last]);
    let mut quality = Quality { retransmitted_packets: retransmitted, ..Quality::default() };
    (quality.latency.samples, quality.latency.average_ns) = latency;
    let traffic = Traffic { bytes, packets: 10, ..Traffic::ZERO };
    Connection {
        family: 4,
        remote_address,
        sent: traffic,
        received: traffic,
        quality,
        ..Connection::default()
    }
}

#[test]
fn the_network_is_as_the_kernel_counts_it() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let clock = clock();
    let network = Network::with_clock("host", Proc::new(folder.path()), clock.clone());
    let error = network.collect().expect_err("there is nothing");
    assert!(error.to_string().contains("stats"), "{error}");

    kernel(folder.path(), &[], 1000, 500, 7);
    let metrics = collect(&network);
    let get = |name: &str, labels: &[(&str, &str)]| {
        number(&metrics, &format!("mutex_network_{name}"), labels)
    };
    is_near(get("active_connections", &[]), 2.0);
    is_near(get("connections", &[]), 9.0);
    is_near(get("traffic_bytes", &[("direction", "sent")]), 500.0);
    is_near(get("packets", &[("direction", "received")]), 1000.0);
    is_near(get("errors", &[("kind", "reset")]), 4.0);
    is_near(get("latency_seconds", &[("statistic", "p95")]), 0.002);
    is_near(get("bandwidth_bytes_per_second", &[("direction", "received")]), 100.0);
    is_near(get("retransmission_ratio", &[]), 0.0);

    clock.advance(Duration::from_secs(5));
    kernel(folder.path(), &[], 1100, 510, 9);
    let metrics = collect(&network);
    is_near(number(&metrics, "mutex_network_retransmission_ratio", &[]), 0.1);
    is_near(number(&metrics, "mutex_network_loss_ratio", &[]), 0.01);
    let recent = "mutex_network_bandwidth_recent_bytes_per_second";
    is_near(number(&metrics, recent, &[("direction", "received"), ("statistic", "max")]), 110.0);
    is_near(number(&metrics, recent, &[("direction", "sent"), ("statistic", "max")]), 3.0);

    // The module was loaded anew.
    clock.advance(Duration::from_secs(5));
    kernel(folder.path(), &[], 10, 1, 0);
    is_near(number(&collect(&network), "mutex_network_retransmission_ratio", &[]), 0.0);
    clock.advance(Duration::from_secs(5));
    kernel(folder.path(), &[], 20, 2, 0);
    is_near(number(&collect(&network), "mutex_network_retransmission_ratio", &[]), 0.1);
}

#[test]
fn peers_are_the_first_by_bytes_and_all_others_add_up() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let network = Network::with_clock("host", Proc::new(folder.path()), clock()).with_peers(2);
    let connections = [
        connection(1, 100, 0, (0, 0)),
        connection(2, 300, 5, (1, 10)),
        connection(2, 300, 0, (3, 50)),
        connection(3, 200, 20, (1, 7)),
        connection(4, 1, 0, (0, 0)),
    ];
    kernel(folder.path(), &connections, 1, 0, 0);
    let metrics = collect(&network);
    let get = |name: &str, peer| {
        number(&metrics, &format!("mutex_network_peer_{name}"), &[("peer", peer)])
    };
    is_near(get("connections", "192.0.2.2"), 2.0);
    is_near(get("connections", "192.0.2.3"), 1.0);
    is_near(get("connections", "other"), 2.0);
    is_near(get("latency_seconds", "192.0.2.2") * 1e9, 40.0);
    is_near(get("retransmission_ratio", "192.0.2.2"), 0.25);
    is_near(get("quality_ratio", "192.0.2.2"), 0.875);
    is_near(get("quality_ratio", "192.0.2.3"), 0.0);
    let sum = |metric: &Metric| {
        let numbers = metric.samples.iter().map(|sample| match sample.value {
            Value::Number(Number::Integer(bytes)) => bytes,
            _ => panic!("{sample:?}"),
        });
        numbers.sum::<u64>()
    };
    assert_eq!(sum(&metrics["mutex_network_peer_traffic_bytes"]), 2 * 901);
    assert_eq!(sum(&metrics["mutex_network_peer_connections"]), 5);
    let with_latency = &metrics["mutex_network_peer_latency_seconds"].samples;
    assert_eq!(with_latency.len(), 2, "the others have no sample");
}

fn host(folder: &Path, busy: u64, idle: u64, own: u64) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(path, text).expect("it can be written");
    };
    write(
        "stat",
        &format!(
            "cpu  {busy} 0 0 {idle} 0 0 0 0 7 0\ncpu0 1 0 0 1\ncpu1 1 0 0 1\nintr 5\nctxt 9\n"
        ),
    );
    write("loadavg", "0.50 1.25 2.00 1/234 5678\n");
    write(
        "meminfo",
        "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     250 kB\nCached: 50 kB\n",
    );
    write("pressure/cpu", "some avg10=12.50 avg60=0.00 avg300=0.00 total=2500000\n");
    write(
        "pressure/memory",
        "some avg10=1.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=3\n",
    );
    write(
        "self/stat",
        &format!(
            "42 (a) b (c) S 1 42 42 0 -1 4194304 11 0 12 0 {own} 5 0 0 20 0 7 0 100 65536 16 18446744073709551615\n"
        ),
    );
    for fd in 0..4 {
        write(&format!("self/fd/{fd}"), "");
    }
}

#[test]
fn resources_are_read_from_the_kernels_files() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let clock = clock();
    let resource = Resource::with("host", folder.path(), clock.clone())
        .with_disks([folder.path().to_owned(), folder.path().join("none")])
        .with_tasks(|| 77);
    host(folder.path(), 1000, 3000, 10);
    collect(&resource);
    clock.advance(Duration::from_secs(1));
    host(folder.path(), 1050, 3150, 60);
    let metrics = collect(&resource);
    let get = |name: &str, labels: &[(&str, &str)]| {
        number(&metrics, &format!("mutex_resource_{name}"), labels)
    };
    is_near(get("cpu_ratio", &[]), 0.25);
    is_near(get("process_cpu_ratio", &[]), 0.5);
    is_near(get("cpus", &[]), 2.0);
    is_near(get("cpu_seconds", &[("mode", "idle")]), 31.5);
    is_near(get("load", &[("minutes", "5")]), 1.25);
    is_near(get("memory_bytes", &[("kind", "available")]), 256_000.0);
    is_near(get("memory_used_ratio", &[]), 0.75);
    is_near(get("pressure_ratio", &[("resource", "cpu"), ("tasks", "some")]), 0.125);
    is_near(get("pressure_ratio", &[("resource", "memory"), ("tasks", "full")]), 0.005);
    is_near(get("pressure_waiting_seconds", &[("resource", "cpu"), ("tasks", "some")]), 2.5);
    is_near(get("process_cpu_seconds", &[("mode", "user")]), 0.6);
    is_near(get("process_cpu_seconds", &[("mode", "system")]), 0.05);
    is_near(get("process_memory_bytes", &[("kind", "virtual")]), 65536.0);
    is_near(get("process_memory_bytes", &[("kind", "resident")]), 65536.0);
    is_near(get("process_threads", &[]), 7.0);
    is_near(get("process_open_fds", &[]), 3.0);
    is_near(get("process_page_faults", &[("kind", "major")]), 12.0);
    is_near(get("process_tasks", &[]), 77.0);
    let path = folder.path().to_str().expect("it is text");
    is_near(get("disk_up", &[("path", path)]), 1.0);
    is_near(get("disk_up", &[("path", &format!("{path}/none"))]), 0.0);
    let size = get("disk_bytes", &[("path", path), ("kind", "size")]);
    assert!(size >= get("disk_bytes", &[("path", path), ("kind", "free")]) && size > 0.0);

    // What is not as expected is told, and is no number.
    for (file, text, why) in [
        ("stat", "cpu 1 2 3\n", "stat is not as expected"),
        ("meminfo", "MemTotal: 5 kB\n", "meminfo does not say MemAvailable"),
        ("loadavg", "0.1 x 0.3\n", "loadavg is not as expected"),
        ("self/stat", "42 (a) S 1\n", "field 10 of self/stat"),
        ("pressure/cpu", "some avg10=many total=1\n", "is not as expected: some avg10=many"),
    ] {
        host(folder.path(), 1, 1, 1);
        fs::write(folder.path().join(file), text).expect("it can be written");
        let error = resource.collect().expect_err(file).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn this_host_has_resources_too() {
    let metrics = collect(&Resource::new("host"));
    let get = |name: &str, labels: &[(&str, &str)]| {
        number(&metrics, &format!("mutex_resource_{name}"), labels)
    };
    assert!(get("cpus", &[]) >= 1.0);
    assert!(
        get("memory_bytes", &[("kind", "total")]) >= get("memory_bytes", &[("kind", "available")])
    );
    assert!(get("process_memory_bytes", &[("kind", "resident")]) > 0.0);
    assert!(get("process_threads", &[]) >= 1.0);
    is_near(get("disk_up", &[("path", "/")]), 1.0);
}

/// Does what it is told to.
struct Any<F>(&'static str, F);

impl<F: Fn() -> Result<Vec<Metric>, CollectError> + Send + Sync> Collector for Any<F> {
    fn name(&self) -> &str {
        self.0
    }

    fn metric_names(&self) -> Vec<&str> {
        vec!["custom_requests"]
    }

    fn collect(&self) -> Result<Vec<Metric>, CollectError> {
        self.1()
    }
}

fn one(value: u64) -> Vec<Metric> {
    vec![Metric::counter("custom_requests", "Of one's own.", value)]
}

#[test]
fn collectors_come_and_go_by_name() {
    let monitor = Monitor::new();
    assert_eq!(monitor.latest(), None);
    monitor.register(Arc::new(Any("a", || Ok(one(1))))).expect("the name is free");
    let error = monitor.register(Arc::new(Any("a", || Ok(one(2))))).expect_err("it is taken");
    assert_eq!(error.to_string(), "there is a collector `a` already");
    monitor.register(Arc::new(Any("b", || Ok(one(2))))).expect("the name is free");
    assert_eq!(
        exposition(&monitor).lines().take(4).collect::<Vec<_>>(),
        [
            "# HELP custom_requests_total Of one's own.",
            "# TYPE custom_requests_total counter",
            "custom_requests_total{collector=\"a\"} 1",
            "custom_requests_total{collector=\"b\"} 2",
        ]
    );
    assert_eq!(monitor.metric_names()["b"], ["custom_requests"]);
    assert!(monitor.unregister("a"));
    assert!(!monitor.unregister("a"));
    assert!(monitor.collect().part("a").is_none());
    assert!(!exposition(&monitor).contains("\"a\""), "nothing is left of it");
    monitor.register(Arc::new(Any("a", || Ok(one(3))))).expect("the name is free again");
    let json = monitor.collect().to_json();
    assert_eq!(json["collectors"]["a"]["metrics"]["custom_requests"][0]["value"], 3);
}

#[test]
fn what_one_collector_does_wrong_is_told_and_the_others_go_on() {
    let monitor = Monitor::new();
    let two = || [one(1), one(2)].concat();
    monitor.register(Arc::new(Any("fails", || Err("no luck".into())))).expect("free");
    monitor.register(Arc::new(Any("good", || Ok(one(1))))).expect("free");
    monitor.register(Arc::new(Any("panics", || panic!("on purpose")))).expect("free");
    monitor.register(Arc::new(Any("twice", move || Ok(two())))).expect("free");
    let wrong = || Metric::gauge("no name", "", Number::Integer(1));
    monitor.register(Arc::new(Any("wrong", move || Ok(vec![wrong()])))).expect("free");
    let other = || Metric::gauge("custom_requests", "", Number::Integer(9));
    monitor.register(Arc::new(Any("zother", move || Ok(vec![other()])))).expect("free");
    let collection = monitor.collect();
    let error = |name| collection.part(name).and_then(|part| part.result.clone().err());
    assert_eq!(error("fails").as_deref(), Some("no luck"));
    assert_eq!(error("panics").as_deref(), Some("it panicked"));
    assert_eq!(error("twice").as_deref(), Some("custom_requests comes twice"));
    assert_eq!(error("wrong").as_deref(), Some("`no name` is no name of a metric"));
    let text = exposition(&monitor);
    assert!(text.contains("\ncustom_requests_total{collector=\"good\"} 1\n"), "{text}");
    assert!(!text.contains("zother\"} 9"), "it is a counter already: {text}");
    // Asked twice by now.
    assert!(text.contains("\nmutex_monitor_errors_total{collector=\"fails\"} 2\n"), "{text}");
    assert!(text.contains("\nmutex_monitor_collections_total{collector=\"good\"} 2\n"), "{text}");
}

#[test]
fn histograms_counters_and_gauges_are_typed() {
    let monitor = Monitor::new();
    let clock = clock();
    let requests = Arc::new(Requests::with("http", 10, clock.clone()));
    monitor.register(requests.clone()).expect("free");
    requests.begin().succeed();
    let text = exposition(&monitor);
    for line in [
        "# TYPE mutex_requests_total counter",
        "mutex_requests_total{collector=\"http\"} 1",
        "# TYPE mutex_requests_response_time_seconds histogram",
        "mutex_requests_response_time_seconds_bucket{collector=\"http\",le=\"0.0001\"} 1",
        "mutex_requests_response_time_seconds_bucket{collector=\"http\",le=\"+Inf\"} 1",
        "mutex_requests_response_time_seconds_count{collector=\"http\"} 1",
        "# TYPE mutex_requests_active_connections gauge",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}

fn wait(receiver: &Receiver<()>) {
    receiver.recv_timeout(Duration::from_secs(300)).expect("it comes");
}

#[test]
fn it_collects_at_an_interval_from_start_to_stop_and_again() {
    let (sender, asked) = channel();
    let sender = Mutex::new(sender);
    let counted = AtomicU64::new(0);
    let monitor = Monitor::new();
    let ask = move || {
        let _ = sender.lock().expect("nobody panics").send(());
        Ok(one(counted.fetch_add(1, SeqCst)))
    };
    monitor.register(Arc::new(Any("a", ask))).expect("free");
    assert!(!monitor.stop(), "it does not run");
    for _ in 0..2 {
        monitor.start(Duration::from_millis(1)).expect("it does not run");
        assert!(matches!(monitor.start(Duration::from_millis(1)), Err(Error::Running)));
        (0..3).for_each(|_| wait(&asked));
        assert!(monitor.is_running() && monitor.stop() && !monitor.is_running());
        asked.try_iter().for_each(drop);
        let latest = monitor.latest().expect("it has collected").number;
        thread::sleep(Duration::from_millis(20));
        assert_eq!(monitor.latest().expect("it has collected").number, latest, "it has stopped");
        assert!(asked.try_recv().is_err());
    }
    // While it runs, a scrape asks nobody.
    monitor.start(Duration::from_secs(3600)).expect("it does not run");
    wait(&asked);
    while monitor.latest().is_none_or(|latest| latest.number < 7) {
        thread::yield_now();
    }
    exposition(&monitor);
    assert!(asked.try_recv().is_err());
    drop(monitor);
}

#[test]
fn a_collector_that_takes_long_holds_up_only_who_collects_and_an_older_collection_stays_out() {
    let gate = Arc::new(Barrier::new(2));
    let (slow, is_slow) = (gate.clone(), AtomicBool::new(true));
    let monitor = Arc::new(Monitor::new());
    let (sender, begun) = channel();
    let sender = Mutex::new(sender);
    let ask = move || {
        if is_slow.swap(false, SeqCst) {
            sender.lock().expect("nobody panics").send(()).expect("the test listens");
            slow.wait();
        }
        Ok(one(1))
    };
    monitor.register(Arc::new(Any("slow", ask))).expect("free");
    let collecting = monitor.clone();
    let first = thread::spawn(move || collecting.collect());
    wait(&begun);
    monitor.register(Arc::new(Any("b", || Ok(one(2))))).expect("free");
    let second = monitor.collect();
    assert_eq!((second.number, second.parts.len()), (2, 2));
    assert!(monitor.unregister("slow"));
    gate.wait();
    assert_eq!(first.join().expect("it does not panic").number, 1);
    assert_eq!(monitor.latest().expect("there is one").number, 2);
    assert!(!exposition(&monitor).contains("slow"), "what was taken out is not counted again");
}

#[test]
fn many_threads_lose_nothing_and_see_nothing_that_cannot_be() {
    const THREADS: u64 = 8;
    const EACH: u64 = 5000;
    let requests = Arc::new(Requests::new("http"));
    let store = Arc::new(Store::new("blocks"));
    let monitor = Arc::new(Monitor::new());
    monitor.register(requests.clone()).expect("free");
    monitor.register(store.clone()).expect("free");
    monitor.start(Duration::from_millis(1)).expect("it does not run");
    let workers: Vec<_> = (0..THREADS)
        .map(|number| {
            let (requests, store, monitor) = (requests.clone(), store.clone(), monitor.clone());
            thread::spawn(move || {
                for step in 0..EACH {
                    let pending = requests.begin();
                    if step % 4 == 0 {
                        pending.fail();
                    } else {
                        pending.succeed();
                    }
                    requests.item_received(step % 2 == 0);
                    store.read(Duration::from_nanos(step));
                    store.cache_hit();
                    if step % 1000 == 0 {
                        let name: &'static str = ["a", "b", "c", "d", "e", "f", "g", "h"]
                            [usize::try_from(number).expect("it is small")];
                        monitor.register(Arc::new(Any(name, || Ok(Vec::new())))).expect("free");
                        assert!(monitor.unregister(name));
                    }
                }
            })
        })
        .collect();
    let get = |collection: &mutex_stats::monitor::Collection, name: &str| match collection
        .metric("http", name)
        .expect("it is there")
        .number(&[])
    {
        Some(Number::Integer(value)) => value,
        other => panic!("{other:?}"),
    };
    while !workers.iter().all(thread::JoinHandle::is_finished) {
        let now = monitor.collect();
        let errors = get(&now, "mutex_requests_errors");
        let (begun, flying) = (get(&now, "mutex_requests"), get(&now, "mutex_requests_in_flight"));
        assert!(flying <= THREADS, "{flying} of {begun} under way");
        assert!(errors <= begun, "{errors} of {begun}");
    }
    for worker in workers {
        worker.join().expect("no worker panics");
    }
    monitor.stop();
    let all = monitor.collect();
    assert_eq!(get(&all, "mutex_requests"), THREADS * EACH);
    assert_eq!(get(&all, "mutex_requests_errors"), THREADS * EACH / 4);
    assert_eq!(get(&all, "mutex_requests_items_duplicate"), THREADS * EACH / 2);
    let read = all.metric("blocks", "mutex_store_read_seconds").expect("it is there");
    assert_eq!(read.kind, Kind::Histogram);
    let Value::Histogram(histogram) = &read.samples[0].value else { panic!("{read:?}") };
    assert_eq!(histogram.count, THREADS * EACH);
    #[expect(clippy::cast_precision_loss, reason = "it is small")]
    let sum = (THREADS * EACH * (EACH - 1) / 2) as f64 / 1e9;
    is_near(histogram.sum, sum);
}
