// SPDX-License-Identifier: MIT OR Apache-2.0

//! What goes out is what programs expect.

use std::sync::Arc;

use boon::Compiler;
use boon::Schemas;
use mutex_stats::ManualClock;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::ExportFormat;
use mutex_stats::diagnostics::Recorder;
use mutex_stats::diagnostics::Settings;
use mutex_stats::diagnostics::Severity;
use mutex_stats::diagnostics::Source;
use mutex_stats::diagnostics::Way;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Families;
use serde_json::Value;

fn filled(settings: Settings) -> Recorder {
    let recorder = Recorder::with_clock(settings, Arc::new(ManualClock::new(5)));
    let program = Source::Program { pid: 7, uid: 8 };
    for (source, entry) in [
        (Source::Own, Entry::peer_connected("alice", "192.0.2.1:1")),
        (Source::Kernel, Entry::message("alice", "a\"b\n\u{1f600}", Way::Received, u64::MAX)),
        (program, Entry::error("bob", "no", "open")),
        (program, Entry::custom("own:kind", Severity::Critical, "").with("list", vec![1, 2])),
    ] {
        recorder.record_from(source, entry).expect("it is as it may be");
    }
    recorder
}

fn export(recorder: &Recorder, format: ExportFormat) -> String {
    let mut bytes = Vec::new();
    recorder.export_as(format, &mut bytes).expect("a vector takes everything");
    String::from_utf8(bytes).expect("it is text")
}

#[test]
fn the_json_is_as_its_schema_says() {
    let mut schemas = Schemas::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/diagnostics.schema.json");
    let schema = Compiler::new().compile(path, &mut schemas).expect("the schema is one");
    for recorder in [filled(Settings::default()), Recorder::default()] {
        let text = export(&recorder, ExportFormat::Json);
        assert!(text.starts_with("{\n\"schema_version\":1,\n"), "{text}");
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        schemas.validate(&value, schema).unwrap_or_else(|error| panic!("{error}: {value:#}"));
        let events = value["events"].as_array().expect("it is a list").len() as u64;
        assert_eq!(value["statistics"]["kept"]["events"], events);
    }
    let mut wrong: Value =
        serde_json::from_str(&export(&filled(Settings::default()), ExportFormat::Json))
            .expect("JSON");
    wrong["events"][0]["severity"] = "fatal".into();
    schemas.validate(&wrong, schema).expect_err("there is no such severity");
}

#[test]
fn both_formats_have_the_same_events() {
    let recorder =
        filled(Settings { export_format: ExportFormat::JsonLines, ..Settings::default() });
    let lines = export(&recorder, ExportFormat::JsonLines);
    let whole: Value = serde_json::from_str(&export(&recorder, ExportFormat::Json)).expect("JSON");
    let mut of_lines = Vec::new();
    for line in lines.lines() {
        assert!(line.starts_with("{\"schema_version\":1,"), "{line}");
        let mut value: Value = serde_json::from_str(line).expect("a line is JSON");
        value.as_object_mut().expect("a line is an object").remove("schema_version");
        of_lines.push(value);
    }
    assert_eq!(whole["events"], Value::Array(of_lines));
    assert_eq!(whole["events"][1]["metadata"]["bytes"], u64::MAX);
    let mut usual = Vec::new();
    assert_eq!(recorder.export(&mut usual).expect("a vector takes everything"), 4);
    assert_eq!(usual, lines.as_bytes());
}

fn metrics(recorder: &Recorder, exposition: Exposition) -> String {
    let mut families = Families::new(Vec::new(), exposition);
    recorder.write_metrics(&mut families).expect("a vector takes everything");
    let bytes = families.finish().expect("a vector takes everything");
    String::from_utf8(bytes).expect("it is text")
}

#[test]
fn a_recorder_has_metrics_unless_it_is_told_not_to() {
    let text = metrics(&filled(Settings::default()), Exposition::Prometheus);
    for line in [
        "# TYPE mutex_diagnostics_events_total counter",
        "mutex_diagnostics_events_total{kind=\"own:kind\",severity=\"critical\"} 1",
        "mutex_diagnostics_events_total{kind=\"peer_connected\",severity=\"info\"} 1",
        "# TYPE mutex_diagnostics_events_kept gauge",
        "mutex_diagnostics_events_kept{severity=\"warning\"} 0",
        "mutex_diagnostics_events_limit 1000",
        "mutex_diagnostics_active_peers 1",
        "mutex_diagnostics_events_gone_total{reason=\"evicted\"} 0",
        "mutex_diagnostics_error_ratio 0.5",
        "mutex_diagnostics_health{status=\"healthy\"} 0",
        "mutex_diagnostics_health{status=\"unhealthy\"} 1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
    let off = filled(Settings { enable_metrics: false, ..Settings::default() });
    assert_eq!(metrics(&off, Exposition::Prometheus), "");
    assert_eq!(metrics(&off, Exposition::OpenMetrics), "# EOF\n");
    let unchecked = filled(Settings { enable_health_check: false, ..Settings::default() });
    assert!(!metrics(&unchecked, Exposition::Prometheus).contains("_health"));
}
