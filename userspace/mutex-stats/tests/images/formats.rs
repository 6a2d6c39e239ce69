// SPDX-License-Identifier: MIT OR Apache-2.0

//! All formats say the same.

use std::collections::BTreeMap;

use mutex_core::text;
use mutex_stats::Image;
use mutex_stats::Latency;
use mutex_stats::Quality;
use mutex_stats::Stats;
use mutex_stats::Totals;
use mutex_stats::Traffic;
use mutex_stats::formats::Binary;
use mutex_stats::formats::Csv;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Families;
use mutex_stats::formats::Json;
use mutex_stats::formats::JsonLines;
use mutex_stats::formats::Section;
use mutex_stats::formats::Table;
use mutex_stats::formats::stats_as_json;
use mutex_stats::formats::write_metrics;
use mutex_stats::visit;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use crate::any::any_image;
use crate::any::balanced;
use crate::any::bytes;

const DIRECTIONS: [&str; 4] = ["sent", "received", "forwarded_sent", "forwarded_received"];
const COUNTERS: [&str; 4] = ["packets", "buffers", "bytes", "payload"];

const QUALITY: [&str; 12] = [
    "retransmitted_packets",
    "retransmitted_bytes",
    "retransmissions_failed",
    "resets",
    "icmp_errors",
    "checksum_errors",
    "failed_connects",
    "drops",
    "rate_in",
    "rate_out",
    "peak_in",
    "peak_out",
];
const LATENCY: [&str; 8] =
    ["samples", "last_ns", "average_ns", "min_ns", "max_ns", "p50_ns", "p95_ns", "p99_ns"];

/// Sums by what is summed, direction and counter.
type Sums = BTreeMap<(String, String, String), u128>;

fn add(sums: &mut Sums, what: &str, direction: &str, counter: &str, value: u64) {
    let key = (what.to_owned(), direction.to_owned(), counter.to_owned());
    *sums.entry(key).or_default() += u128::from(value);
}

fn json_text(bytes: &[u8], sections: &'static [Section]) -> String {
    let mut text = Vec::new();
    visit(bytes, &mut Json::new(&mut text, sections)).expect("the image is whole");
    String::from_utf8(text).expect("JSON is text")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_str(&json_text(bytes, &Section::ALL)).expect("JSON can be parsed")
}

fn csv_bytes(bytes: &[u8], table: Table) -> Vec<u8> {
    let mut text = Vec::new();
    {
        let mut output = Some(&mut text);
        let mut csv = Csv::new(|each| if each == table { output.take() } else { None });
        visit(bytes, &mut csv).expect("the image is whole");
    }
    text
}

/// The records of a table by the names of their columns.
fn csv(bytes: &[u8], table: Table) -> Vec<BTreeMap<String, String>> {
    let text = csv_bytes(bytes, table);
    let records = csv::Reader::from_reader(text.as_slice()).into_deserialize();
    records.collect::<Result<_, _>>().expect("CSV can be parsed")
}

fn sums_of_json(json: &Value) -> Sums {
    let mut sums = Sums::new();
    let mut all = |what: &str, object: &Value| {
        for direction in DIRECTIONS {
            for counter in COUNTERS {
                if let Some(value) = object[direction][counter].as_u64() {
                    add(&mut sums, what, direction, counter, value);
                }
            }
        }
    };
    for what in ["totals_before", "closed", "totals_after"] {
        all(what, &json[what]);
    }
    for list in ["connections", "fds"] {
        json[list].as_array().expect("it is a list").iter().for_each(|record| all(list, record));
    }
    for untracked in json["untracked"].as_array().expect("it is a list") {
        all(untracked["reason"].as_str().expect("it is text"), untracked);
    }
    let integer = |value: &Value| value.as_u64().expect("it is an integer");
    let list = |key: &str| json[key].as_array().expect("it is a list").iter();
    let records = ["connections", "fds"].map(|key| list(key).map(move |record| (key, record)));
    for (what, record) in records.into_iter().flatten().chain([("host", json)]) {
        for name in QUALITY {
            add(&mut sums, what, "quality", name, integer(&record["quality"][name]));
        }
        for name in LATENCY {
            add(&mut sums, what, "latency", name, integer(&record["quality"]["latency"][name]));
        }
    }
    for drop in list("connections").filter_map(|record| record["drop_reasons"].as_array()).flatten()
    {
        add(
            &mut sums,
            "connections",
            "drop",
            &drop["reason"].to_string(),
            integer(&drop["packets"]),
        );
    }
    for drop in list("drops") {
        add(&mut sums, "host", "drop", &drop["reason"].to_string(), integer(&drop["packets"]));
    }
    for octave in list("latency") {
        let scope = octave["scope"].as_str().expect("it is text");
        for (step, samples) in octave["samples"].as_array().into_iter().flatten().enumerate() {
            add(&mut sums, "histogram", scope, &step.to_string(), integer(samples));
        }
    }
    for alert in list("alerts") {
        let severity = alert["severity"].as_str().expect("it is text");
        add(&mut sums, "alerts", severity, "value", integer(&alert["value"]));
    }
    sums
}

fn lines_text(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    visit(bytes, &mut JsonLines::new(&mut text)).expect("the image is whole");
    String::from_utf8(text).expect("JSON is text")
}

/// The object that the lines have been taken apart from.
fn json_of_lines(bytes: &[u8]) -> Value {
    let mut all = json!({"connections": [], "fds": [], "latency": [], "drops": [], "alerts": [],
        "untracked": []});
    for line in lines_text(bytes).lines() {
        let mut line: Value = serde_json::from_str(line).expect("each line is JSON");
        let fields = line.as_object_mut().expect("each line is an object");
        let record = fields.remove("record").expect("each line says what it is");
        let record = record.as_str().expect("it is text").to_owned();
        let list = match record.as_str() {
            "connection" | "fd" | "drop" | "alert" => format!("{record}s"),
            _ => record,
        };
        match all[&list].as_array_mut() {
            Some(records) => records.push(line),
            None => all[&list] = line,
        }
    }
    all
}

/// What metrics tell of the host, by name and label; sums wrap, as counters do.
fn sums_of_metrics(image: &Image, exposition: Exposition) -> BTreeMap<String, u64> {
    let mut families = Families::new(Vec::new(), exposition);
    write_metrics(&mut families, &Stats::of_image(image)).expect("a vector takes everything");
    let text = families.finish().expect("a vector takes everything");
    let text = String::from_utf8(text).expect("it is text");
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
        let known = [
            "mutex_packets",
            "mutex_buffers",
            "mutex_traffic_",
            "mutex_payload_",
            "mutex_closed_",
            "mutex_untracked_",
            "mutex_retransmi",
            "mutex_dropped_packets",
            "mutex_lost_packets",
            "mutex_discarded_packets",
        ];
        if known.iter().any(|known| name.starts_with(known)) {
            let value: u64 = value.parse().expect("counters are integers");
            assert!(sums.insert(name.to_owned(), value).is_none(), "{name} twice");
        }
    }
    sums
}

/// The same of the records.
fn sums_of_host(image: &Image) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    let names = |counter: &str| match counter {
        "bytes" => ("traffic_bytes", "bytes"),
        "payload" => ("payload_bytes", "payload_bytes"),
        "packets" => ("packets", "packets"),
        _ => ("buffers", "buffers"),
    };
    for (direction, traffic) in image.totals_after.fields() {
        for (counter, value) in traffic.fields() {
            let name = names(counter).0;
            sums.insert(format!("mutex_{name}_total{{direction=\"{direction}\"}}"), value);
        }
    }
    for (direction, traffic) in image.closed.fields() {
        for (counter, value) in traffic.fields() {
            let name = names(counter).1;
            sums.insert(format!("mutex_closed_{name}_total{{direction=\"{direction}\"}}"), value);
        }
    }
    for reason in 0..7 {
        let of_reason = || image.untracked.iter().filter(|record| record.reason == reason);
        for (place, counter) in COUNTERS.into_iter().enumerate() {
            let value = of_reason()
                .flat_map(|record| record.totals.fields())
                .fold(0u64, |sum, (_, traffic)| sum.wrapping_add(traffic.fields()[place].1));
            let (name, reason) = (names(counter).1, mutex_stats::ReasonName(reason));
            sums.insert(format!("mutex_untracked_{name}_total{{reason=\"{reason}\"}}"), value);
        }
    }
    let quality = &image.quality;
    for (name, value) in [
        ("retransmitted_packets", quality.retransmitted_packets),
        ("retransmitted_bytes", quality.retransmitted_bytes),
        ("retransmissions_failed", quality.retransmissions_failed),
        ("dropped_packets", quality.drops),
        ("lost_packets", quality.losses()),
        ("discarded_packets", quality.discards),
    ] {
        sums.insert(format!("mutex_{name}_total"), value);
    }
    sums
}

fn sums_of_csv(bytes: &[u8]) -> Sums {
    let mut sums = Sums::new();
    for line in csv(bytes, Table::Totals) {
        let what = match line["which"].as_str() {
            "before" => "totals_before",
            "after" => "totals_after",
            which => which.strip_prefix("untracked ").unwrap_or(which),
        };
        for counter in COUNTERS {
            let value = line[counter].parse().expect("it is an integer");
            add(&mut sums, what, &line["direction"], counter, value);
        }
    }
    let integer = |text: &str| text.parse().expect("it is an integer");
    let mut quality = |what: &str, line: &BTreeMap<String, String>| {
        for name in QUALITY {
            add(&mut sums, what, "quality", name, integer(&line[name]));
        }
        for name in LATENCY {
            add(&mut sums, what, "latency", name, integer(&line[&format!("latency_{name}")]));
        }
    };
    let pairs = csv(bytes, Table::Status).into_iter();
    quality("host", &pairs.map(|pair| (pair["key"].clone(), pair["value"].clone())).collect());
    for (what, table) in [("connections", Table::Connections), ("fds", Table::Fds)] {
        for line in csv(bytes, table) {
            quality(what, &line);
        }
    }
    for line in csv(bytes, Table::Connections) {
        for drop in line["drop_reasons"].split('|').filter(|drop| !drop.is_empty()) {
            let (reason, packets) = drop.split_once(':').expect("it is a pair");
            add(&mut sums, "connections", "drop", reason, integer(packets));
        }
    }
    for line in csv(bytes, Table::Drops) {
        add(&mut sums, "host", "drop", &line["reason"], integer(&line["packets"]));
    }
    for line in csv(bytes, Table::Latency) {
        for step in 0..8 {
            let samples = integer(&line[&format!("samples_{step}")]);
            add(&mut sums, "histogram", &line["scope"], &step.to_string(), samples);
        }
    }
    for line in csv(bytes, Table::Alerts) {
        add(&mut sums, "alerts", &line["severity"], "value", integer(&line["value"]));
    }
    for (what, table) in [("connections", Table::Connections), ("fds", Table::Fds)] {
        for line in csv(bytes, table) {
            for direction in ["sent", "received"] {
                for counter in COUNTERS {
                    let value = line[&format!("{direction}_{counter}")].parse();
                    add(&mut sums, what, direction, counter, value.expect("it is an integer"));
                }
            }
        }
    }
    sums
}

fn sums_of_binary(bytes: &[u8]) -> Sums {
    let mut copy = Vec::new();
    visit(bytes, &mut Binary::new(&mut copy)).expect("the image is whole");
    let image = Image::read(copy.as_slice()).expect("the copy is whole");
    let mut sums = Sums::new();
    let mut one = |what: &str, direction: &str, traffic: &Traffic| {
        let Traffic { packets, buffers, bytes, payload } = *traffic;
        for (counter, value) in COUNTERS.into_iter().zip([packets, buffers, bytes, payload]) {
            add(&mut sums, what, direction, counter, value);
        }
    };
    let mut all = |what: &str, totals: &Totals| {
        one(what, "sent", &totals.sent);
        one(what, "received", &totals.received);
        one(what, "forwarded_sent", &totals.forwarded_sent);
        one(what, "forwarded_received", &totals.forwarded_received);
    };
    all("totals_before", &image.totals_before);
    all("closed", &image.closed);
    all("totals_after", &image.totals_after);
    for untracked in &image.untracked {
        all(&mutex_stats::ReasonName(untracked.reason).to_string(), &untracked.totals);
    }
    for connection in &image.connections {
        one("connections", "sent", &connection.sent);
        one("connections", "received", &connection.received);
    }
    for fd in &image.fds {
        one("fds", "sent", &fd.sent);
        one("fds", "received", &fd.received);
    }
    let connections = image.connections.iter().map(|connection| &connection.quality);
    connections.for_each(|each| sum_of_quality(&mut sums, "connections", each));
    image.fds.iter().for_each(|fd| sum_of_quality(&mut sums, "fds", &fd.quality));
    sum_of_quality(&mut sums, "host", &image.quality);
    for drop in image.connections.iter().flat_map(|connection| connection.drop_reasons) {
        if drop.reason != 0 {
            let reason = drop.reason.to_string();
            add(&mut sums, "connections", "drop", &reason, drop.packets.into());
        }
    }
    for drop in &image.drops {
        add(&mut sums, "host", "drop", &drop.reason.to_string(), drop.packets);
    }
    for octave in &image.latency {
        let scope = match octave.scope {
            0 => "connection",
            1 => "fd",
            2 => "global",
            _ => "unknown",
        };
        for (step, samples) in octave.samples.into_iter().enumerate() {
            add(&mut sums, "histogram", scope, &step.to_string(), samples);
        }
    }
    for alert in &image.alerts {
        let names = ["info", "warning", "error", "critical"];
        let severity = names.get(usize::from(alert.severity)).unwrap_or(&"unknown");
        add(&mut sums, "alerts", severity, "value", alert.value);
    }
    sums
}

fn sum_of_quality(sums: &mut Sums, what: &str, quality: &Quality) {
    let Quality {
        latency,
        retransmitted_packets,
        retransmitted_bytes,
        retransmissions_failed,
        resets,
        icmp_errors,
        checksum_errors,
        failed_connects,
        drops,
        rate_in,
        rate_out,
        peak_in,
        peak_out,
    } = *quality;
    let values = [
        retransmitted_packets,
        retransmitted_bytes,
        retransmissions_failed,
        resets,
        icmp_errors,
        checksum_errors,
        failed_connects,
        drops,
        rate_in,
        rate_out,
        peak_in,
        peak_out,
    ];
    for (name, value) in QUALITY.into_iter().zip(values) {
        add(sums, what, "quality", name, value);
    }
    let Latency { samples, last_ns, average_ns, min_ns, max_ns, p50_ns, p95_ns, p99_ns } = latency;
    let values = [samples, last_ns, average_ns, min_ns, max_ns, p50_ns, p95_ns, p99_ns];
    for (name, value) in LATENCY.into_iter().zip(values) {
        add(sums, what, "latency", name, value);
    }
}

/// Adds a field of a JSON object under the names and in the words of CSV.
fn flatten(flat: &mut BTreeMap<String, String>, key: &str, value: &Value) {
    let text = match value {
        Value::Object(fields) => {
            let prefix = if key == "quality" { String::new() } else { format!("{key}_") };
            for (name, value) in fields {
                flatten(flat, &format!("{prefix}{name}"), value);
            }
            return;
        }
        Value::Array(numbers) if numbers.iter().any(Value::is_number) => {
            for (step, number) in numbers.iter().enumerate() {
                flatten(flat, &format!("{key}_{step}"), number);
            }
            return;
        }
        Value::Array(items) => {
            let text = |item: &Value| match item.as_str() {
                Some(name) => name.to_owned(),
                None => format!("{}:{}", item["reason"], item["packets"]),
            };
            items.iter().map(text).collect::<Vec<_>>().join("|")
        }
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    flat.insert(key.to_owned(), text);
}

proptest! {
    #[test]
    fn totals_are_the_same_in_all_formats(image in any_image()) {
        let bytes = bytes(&image);
        let binary = sums_of_binary(&bytes);
        prop_assert_eq!(&sums_of_json(&json(&bytes)), &binary);
        prop_assert_eq!(&sums_of_csv(&bytes), &binary);
        prop_assert_eq!(&sums_of_json(&json_of_lines(&bytes)), &binary);
        for exposition in [Exposition::Prometheus, Exposition::OpenMetrics] {
            prop_assert_eq!(sums_of_metrics(&image, exposition), sums_of_host(&image));
        }
    }

    #[test]
    fn json_and_csv_have_the_same_fields(image in any_image()) {
        let bytes = bytes(&image);
        let json = json(&bytes);
        for (list, table) in [
            ("connections", Table::Connections),
            ("fds", Table::Fds),
            ("latency", Table::Latency),
            ("drops", Table::Drops),
            ("alerts", Table::Alerts),
        ] {
            let lines = csv(&bytes, table);
            prop_assert_eq!(json[list].as_array().map(Vec::len), Some(lines.len()));
            for (object, line) in json[list].as_array().into_iter().flatten().zip(lines) {
                let mut flat = BTreeMap::new();
                for (key, value) in object.as_object().expect("it is an object") {
                    flatten(&mut flat, key, value);
                }
                prop_assert_eq!(flat, line);
            }
        }
    }
}

/// The fields of a record as the kernel's text has them, by column, in the words of CSV.
fn kernel_fields(
    header: fn(&mut String) -> std::fmt::Result,
    record: impl Fn(&mut String) -> std::fmt::Result,
) -> BTreeMap<String, String> {
    let (mut names, mut values) = (String::new(), String::new());
    header(&mut names).expect("a string takes everything");
    record(&mut values).expect("a string takes everything");
    let names = names.lines().nth(1).expect("the second line has the names").split(' ');
    let values = values.trim_end().split(' ').map(|value| match value {
        "-" => String::new(),
        value => value.replace(',', "|"),
    });
    names.map(str::to_owned).zip(values).collect()
}

proptest! {
    #[test]
    fn values_are_those_of_the_kernels_text(image in any_image(), command in "[!-+.-\\[a-z]{0,16}") {
        let mut image = image;
        for fd in &mut image.fds {
            // What the kernel's text has to escape, CSV does not.
            fd.command = [0; 16];
            fd.command[..command.len()].copy_from_slice(command.as_bytes());
        }
        let bytes = bytes(&image);
        for (record, line) in image.connections.iter().zip(csv(&bytes, Table::Connections)) {
            let write = |out: &mut String| text::connection(out, record);
            prop_assert_eq!(line, kernel_fields(text::connections_header, write));
        }
        for (record, line) in image.fds.iter().zip(csv(&bytes, Table::Fds)) {
            let write = |out: &mut String| text::fd(out, record);
            prop_assert_eq!(line, kernel_fields(text::fds_header, write));
        }
    }

    #[test]
    fn the_header_and_the_status_are_said_in_full(image in any_image()) {
        let bytes = bytes(&image);
        let json = json(&bytes);
        let said = &json["image"];
        let header = image.header;
        prop_assert_eq!(said["time_ns"].as_u64(), Some(header.time_ns));
        prop_assert_eq!(said["boottime_ns"].as_u64(), Some(header.boottime_ns));
        prop_assert_eq!(said["loaded_ns"].as_u64(), Some(header.loaded_ns));
        prop_assert_eq!(said["netns"].as_u64(), Some(header.netns.into()));
        prop_assert_eq!(said["filtered"].as_bool(), Some(header.flags & 1 == 1));
        for (key, value) in text::status_fields(&image.status) {
            prop_assert_eq!(json["status"][key].as_u64(), Some(value));
        }

        let mut quality = BTreeMap::new();
        flatten(&mut quality, "quality", &json["quality"]);
        let mut pairs: Vec<_> = quality.into_iter().collect();
        for object in [said, &json["status"]] {
            for (key, value) in object.as_object().expect("it is an object") {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                pairs.push((key.clone(), text));
            }
        }
        pairs.push(("schema_version".into(), "1".into()));
        let lines = csv(&bytes, Table::Status).into_iter();
        let lines = lines.map(|line| (line["key"].clone(), line["value"].clone()));
        pairs.sort();
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        prop_assert_eq!(pairs, lines);
    }
}

fn connection() -> mutex_stats::Connection {
    let mut connection = balanced().connections[1];
    connection.local_address[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
    connection.remote_address = [0x20; 16];
    (connection.state, connection.flags, connection.uid) = (11, 0b10001, u32::MAX);
    connection.quality.latency.p99_ns = 99;
    connection.quality.peak_out = 12;
    connection.drop_reasons[1] = mutex_stats::DropCount { reason: 17, packets: 4 };
    connection
}

#[test]
fn json_is_as_documented() {
    let mut image = balanced();
    image.header.boot_id = [0x1f; 16];
    image.header.time_ns = u64::MAX;
    image.header.flags = 1;
    image.connections = vec![connection()];
    image.drops[0].name[..9].copy_from_slice(b"NO_SOCKET");
    let alert = &mut image.alerts[0];
    (alert.severity, alert.kind, alert.scope) = (3, 5, 0);
    (alert.family, alert.protocol) = (6, 6);
    image.fds[0].command = *b"a \"b\"\\\n\xff\0ignored";
    image.fds[0].uid = 0;
    let bytes = bytes(&image);
    let text = json_text(&bytes, &Section::ALL);
    assert!(
        text.starts_with("{\n\"schema_version\":1,\n\"image\":{\"time_ns\":18446744073709551615,")
    );
    assert!(text.ends_with("}\n"));

    let json = json(&bytes);
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["image"]["boot_id"], "1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1f");
    assert_eq!(json["image"]["filtered"], true);
    let connection = &json["connections"][0];
    assert_eq!(connection["protocol"], "tcp");
    assert_eq!(connection["state"], "closing");
    assert_eq!(connection["flags"], serde_json::json!(["forwarded", "netns-gone"]));
    assert_eq!(connection["local_address"], "192.0.2.1");
    assert_eq!(connection["uid"], Value::Null);
    assert_eq!(json["fds"][0]["uid"], 0);
    assert_eq!(json["fds"][0]["command"], "a \"b\"\\\\n\u{fffd}");
    assert_eq!(json["untracked"][5]["reason"], "policy");
    assert_eq!(connection["quality"]["latency"]["p99_ns"], 99);
    assert_eq!(connection["quality"]["peak_out"], 12);
    let drops = serde_json::json!([{"reason": 17, "packets": 4}]);
    assert_eq!(connection["drop_reasons"], drops);
    assert_eq!(json["quality"]["drops"], 5);
    assert_eq!((&json["quality"]["losses"], &json["quality"]["discards"]), (&3.into(), &2.into()));
    let drop = serde_json::json!({"reason": 2, "name": "NO_SOCKET", "packets": 5, "losses": 3,
        "discards": 2});
    assert_eq!(json["drops"][0], drop);
    let octave = serde_json::json!({
        "scope": "global", "id": 0, "octave": 0, "samples": [1, 1, 1, 1, 1, 1, 1, 1]
    });
    assert_eq!(json["latency"][0], octave);
    let [alert, of_host] = [&json["alerts"][0], &json["alerts"][1]];
    assert_eq!(alert["severity"], "critical");
    assert_eq!(alert["kind"], "bandwidth_out");
    assert_eq!(alert["scope"], "connection");
    assert_eq!((&alert["local_address"], &alert["protocol"]), (&"::".into(), &"tcp".into()));
    assert_eq!((&of_host["scope"], &of_host["kind"]), (&"global".into(), &"latency".into()));
    assert_eq!((&of_host["local_address"], &of_host["protocol"]), (&Value::Null, &Value::Null));
    let keys: Vec<_> = json.as_object().expect("it is an object").keys().collect();
    assert_eq!(keys.len(), 13, "{keys:?}");
}

#[test]
fn empty_lists_are_there_and_other_sections_are_not() {
    let image = Image::default();
    let bytes = bytes(&image);
    let all = json(&bytes);
    assert_eq!(all["connections"], serde_json::json!([]));
    assert_eq!(all["fds"], serde_json::json!([]));
    assert_eq!(all["alerts"], serde_json::json!([]));

    for (sections, keys) in [
        (&[Section::Connections][..], &["connections"][..]),
        (&[Section::Fds], &["fds"]),
        (&[Section::Quality, Section::Alerts], &["alerts", "quality"]),
        (
            &[Section::Status, Section::Fds, Section::TotalsAfter],
            &["fds", "status", "totals_after"],
        ),
        (&[], &[]),
    ] {
        for image in [&image, &balanced()] {
            let text = json_text(&crate::any::bytes(image), sections);
            let object: BTreeMap<String, Value> =
                serde_json::from_str(&text).expect("JSON can be parsed");
            let mut expected: Vec<&str> = keys.to_vec();
            expected.extend(["image", "schema_version"]);
            expected.sort_unstable();
            assert_eq!(object.keys().collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn csv_is_as_the_standard_has_it() {
    let mut image = balanced();
    image.fds[0].command = *b"a \"b\", c\n\0xxxxxx";
    let bytes = bytes(&image);
    let text = String::from_utf8(csv_bytes(&bytes, Table::Fds)).expect("CSV is text");
    assert_eq!(text.matches("\r\n").count(), 2);
    assert!(text.ends_with("\r\n"));
    assert!(text.contains(",\"a \"\"b\"\", c\\n\","), "{text}");

    let status = String::from_utf8(csv_bytes(&bytes, Table::Status)).expect("CSV is text");
    assert!(status.starts_with("key,value\r\nschema_version,1\r\ntime_ns,0\r\n"), "{status}");
    let totals = String::from_utf8(csv_bytes(&bytes, Table::Totals)).expect("CSV is text");
    let lines: Vec<_> = totals.split("\r\n").collect();
    assert_eq!(lines.len(), 1 + 4 * (3 + 7) + 1);
    assert_eq!(lines[0], "which,direction,packets,buffers,bytes,payload");
    assert!(lines[9].starts_with("untracked table_full,sent,"), "{}", lines[9]);
}

#[test]
fn tables_without_records_have_a_header() {
    let bytes = bytes(&Image::default());
    for (table, start) in [
        (Table::Connections, "id,netns,"),
        (Table::Fds, "id,inode,"),
        (Table::Latency, "scope,id,octave,samples_0,samples_1,"),
        (Table::Drops, "reason,name,packets,losses,discards\r\n"),
        (Table::Alerts, "number,time_ns,severity,kind,scope,"),
    ] {
        let text = String::from_utf8(csv_bytes(&bytes, table)).expect("CSV is text");
        assert!(text.starts_with(start) && text.matches("\r\n").count() == 1, "{text}");
    }
}

#[test]
fn stats_become_json() {
    let kernel = "format 1\nuptime_ns 18446744073709551615\nnew_key 2\n";
    let stats = mutex_stats::Stats::parse(kernel).expect("it is right");
    let mut json = Vec::new();
    stats_as_json(&mut json, &stats).expect("a vector takes everything");
    assert_eq!(
        String::from_utf8(json).expect("JSON is text"),
        "{\n\"schema_version\":1,\n\"uptime_ns\":18446744073709551615,\n\"new_key\":2\n}\n"
    );
}

#[test]
fn a_visitor_that_cannot_write_is_told_apart_from_an_image_that_cannot_be_read() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let bytes = bytes(&balanced());
    let full = |result| match result {
        Err(mutex_stats::Error::Write(error)) => error.kind() == std::io::ErrorKind::StorageFull,
        _ => false,
    };
    assert!(full(visit(bytes.as_slice(), &mut Json::new(Full, &Section::ALL))));
    assert!(full(visit(bytes.as_slice(), &mut Binary::new(Full))));
    assert!(full(visit(bytes.as_slice(), &mut Csv::new(|_| Some(Full)))));
}

/// The schemas as they are shipped, ready to judge.
fn schemas() -> (boon::Schemas, [boon::SchemaIndex; 2]) {
    let mut compiler = boon::Compiler::new();
    let texts = [
        include_str!("../../schema/image.schema.json"),
        include_str!("../../schema/line.schema.json"),
    ];
    let places = texts.map(|text| {
        let schema: Value = serde_json::from_str(text).expect("a schema is JSON");
        let place = schema["$id"].as_str().expect("it has a name").to_owned();
        compiler.add_resource(&place, schema).expect("it is a schema");
        place
    });
    let mut schemas = boon::Schemas::new();
    let indexes =
        places.map(|place| compiler.compile(&place, &mut schemas).expect("it is a schema"));
    (schemas, indexes)
}

#[test]
fn what_is_written_is_what_the_schemas_say() {
    let (schemas, [whole, line]) = schemas();
    proptest!(ProptestConfig::with_cases(32), |(image in any_image())| {
        let bytes = bytes(&image);
        let value = json(&bytes);
        let judged = schemas.validate(&value, whole);
        prop_assert!(judged.is_ok(), "{}", judged.err().map(|e| format!("{e:#}")).unwrap_or_default());
        for text in lines_text(&bytes).lines() {
            let value: Value = serde_json::from_str(text).expect("each line is JSON");
            prop_assert!(schemas.validate(&value, line).is_ok(), "{text}");
        }
    });
}

/// The value with one thing wrong: a member that is missing or of another type, wherever it is.
fn spoilt(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| {
                let with = |field: Value| {
                    let mut object = fields.clone();
                    object.insert(name.clone(), field);
                    Value::Object(object)
                };
                let mut without = fields.clone();
                without.remove(name);
                let inner: Vec<_> = spoilt(field).into_iter().map(with).collect();
                inner.into_iter().chain([with(json!(-1)), Value::Object(without)])
            })
            .collect(),
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            spoilt(&items[0]).into_iter().map(|item| json!([item])).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn the_schemas_know_every_field_and_can_say_no() {
    let (schemas, [whole, line]) = schemas();
    let valid = json(&bytes(&balanced()));
    assert!(schemas.validate(&valid, whole).is_ok());
    let without_sections = |value: &Value| {
        // Sections may be missing, all else may not.
        let (given, all) = (value.as_object().expect("an object"), valid.as_object());
        let missing = all.expect("an object").keys().find(|key| !given.contains_key(*key));
        missing.is_some_and(|key| key != "image" && key != "schema_version")
    };
    // What modules of before do not say.
    let newer = ["packet_monitors", "alerts_suppressed"];
    let older = |value: &Value| newer.iter().any(|key| value["status"].get(key).is_none());
    let spoilt = spoilt(&valid);
    assert!(spoilt.len() > 300, "{}", spoilt.len());
    for value in spoilt.iter().filter(|value| !without_sections(value) && !older(value)) {
        assert!(schemas.validate(value, whole).is_err(), "{value}");
    }
    let older = spoilt.iter().find(|value| value.get("status").is_some_and(|_| older(value)));
    assert!(schemas.validate(older.expect("there is one"), whole).is_ok());
    assert!(schemas.validate(&json!({"record": "connection", "id": 5}), line).is_err());
    assert!(schemas.validate(&json!({"record": "nothing"}), line).is_err());
}

#[cfg(feature = "parquet")]
mod columnar {
    use mutex_stats::Column;
    use mutex_stats::formats::Parquet;
    use mutex_stats::formats::ParquetRows;
    use mutex_stats::formats::ParquetTable;
    use parquet::file::reader::FileReader;
    use parquet::file::reader::SerializedFileReader;
    use parquet::record::Field;

    use super::*;

    /// The records of a table by the names of their columns, in the words of CSV.
    fn read(bytes: &[u8], table: ParquetTable) -> Vec<BTreeMap<String, String>> {
        let mut file = Vec::new();
        let mut parquet = Parquet::new(&mut file, table).expect("a vector takes everything");
        visit(bytes, &mut parquet).expect("the image is whole");
        drop(parquet);
        let reader = SerializedFileReader::new(::bytes::Bytes::from(file)).expect("it is Parquet");
        let text = |field: &Field| match field {
            Field::Null => String::new(),
            Field::ULong(integer) => integer.to_string(),
            Field::Str(text) => text.replace(',', "|"),
            other => panic!("{other} is neither text nor an integer"),
        };
        let row = |row: parquet::record::Row| {
            row.get_column_iter().map(|(name, field)| (name.clone(), text(field))).collect()
        };
        let rows = reader.get_row_iter(None).expect("it has rows");
        rows.map(|one| row(one.expect("it can be read"))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn parquet_is_what_csv_is(image in any_image()) {
            let bytes = bytes(&image);
            for (table, same) in [
                (ParquetTable::Totals, Table::Totals),
                (ParquetTable::Connections, Table::Connections),
                (ParquetTable::Fds, Table::Fds),
                (ParquetTable::Alerts, Table::Alerts),
            ] {
                let words = |row: BTreeMap<String, String>| -> BTreeMap<String, String> {
                    row.into_iter().map(|(name, text)| (name, text.replace(',', "|"))).collect()
                };
                let csv: Vec<_> = csv(&bytes, same).into_iter().map(words).collect();
                prop_assert_eq!(read(&bytes, table), csv);
            }
        }
    }

    #[test]
    fn a_file_says_which_image_it_is_of() {
        let image = balanced();
        let mut file = Vec::new();
        let table = Parquet::new(&mut file, ParquetTable::Totals);
        visit(bytes(&image).as_slice(), &mut table.expect("a vector takes everything"))
            .expect("the image is whole");
        let reader = SerializedFileReader::new(::bytes::Bytes::from(file)).expect("it is Parquet");
        let pairs = reader.metadata().file_metadata().key_value_metadata().expect("there are some");
        let pairs: BTreeMap<_, _> =
            pairs.iter().map(|pair| (pair.key.as_str(), pair.value.as_deref())).collect();
        let time = image.header.time_ns.to_string();
        assert_eq!(pairs["schema_version"], Some("1"));
        assert_eq!(pairs["time_ns"], Some(time.as_str()));
        assert_eq!(pairs["filtered"], Some("false"));
    }

    #[test]
    fn some_columns_of_some_records() {
        let connection = mutex_stats::Connection { id: 7, uid: u32::MAX, ..Default::default() };
        let columns = Column::<mutex_stats::Connection>::list("uid,id,protocol");
        let columns = columns.expect("there are such columns");
        let mut file = Vec::new();
        let mut rows = ParquetRows::of_columns(&mut file, &columns).expect("there is room");
        rows.row(columns.iter().map(|column| column.cell(&connection))).expect("there is room");
        rows.finish().expect("there is room");
        let reader = SerializedFileReader::new(::bytes::Bytes::from(file)).expect("it is Parquet");
        let rows: Vec<_> = reader
            .get_row_iter(None)
            .expect("it has rows")
            .map(|row| row.expect("it can be read").to_string())
            .collect();
        assert_eq!(rows, ["{uid: null, id: 7, protocol: \"0\"}"]);

        let twice =
            Column::<mutex_stats::Connection>::list("id,id").expect("there is such a column");
        let error = ParquetRows::of_columns(Vec::new(), &twice).err().expect("it is refused");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }

    #[test]
    fn more_records_than_a_group_holds() {
        let mut image = balanced();
        let connection = image.connections[0];
        image.connections =
            (1..40_000).map(|id| mutex_stats::Connection { id, ..connection }).collect();
        let rows = read(&bytes(&image), ParquetTable::Connections);
        assert_eq!(rows.len(), 39_999);
        assert_eq!(rows[39_998]["id"], "39999");
    }
}
