// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl alerts`.

use std::io;
use std::io::Write;

use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Image;
use mutex_stats::alert_kind_name;
use mutex_stats::command_text;
use mutex_stats::formats;
use mutex_stats::formats::Section;
use mutex_stats::has_endpoints;
use mutex_stats::scope_name;
use mutex_stats::severity_name;

use super::connections::endpoint;
use super::list;
use super::list::Listed;
use crate::cli::ListFormat;
use crate::failure::Failure;
use crate::human;
use crate::source::Source;
use crate::table;
use crate::table::Align::Left;
use crate::table::Align::Right;
use crate::table::Column;

pub fn run(source: &Source, format: ListFormat) -> Result<(), Failure> {
    let listed = Listed { sections: &[Section::Alerts], csv: formats::Table::Alerts, table };
    list::run(source, format, &listed)
}

const COLUMNS: [Column; 9] = [
    ("number", Right),
    ("time", Left),
    ("severity", Left),
    ("kind", Left),
    ("value", Right),
    ("threshold", Right),
    ("subject", Left),
    ("pid", Right),
    ("command", Left),
];

fn table(output: &mut dyn Write, image: Image) -> io::Result<()> {
    let alerts = image.alerts;
    table::write(output, &COLUMNS, &alerts, |alert| {
        vec![
            alert.number.to_string(),
            human::moment(alert.time_ns),
            severity_name(alert.severity).to_owned(),
            alert_kind_name(alert.kind).to_owned(),
            quantity(alert.kind, alert.value),
            quantity(alert.kind, alert.threshold),
            subject(alert),
            list::known(alert.pid),
            list::text(command_text(&alert.command)),
        ]
    })
}

/// A threshold or a value in the unit of its kind.
fn quantity(kind: u8, value: u64) -> String {
    match alert_kind_name(kind) {
        "latency" => human::short_duration(value),
        "bandwidth_in" | "bandwidth_out" => format!("{}/s", human::short_size(value)),
        "unknown" => value.to_string(),
        _ => human::of_10000(value),
    }
}

/// What an alert is about: `connection 5 192.0.2.1:80 192.0.2.2:1024`, `fd 7`, `global`.
fn subject(alert: &Alert) -> String {
    let scope = scope_name(alert.scope);
    if alert.subject == 0 {
        return scope.to_owned();
    }
    let mut text = format!("{scope} {}", alert.subject);
    if has_endpoints(alert) {
        let Alert { family, protocol, .. } = *alert;
        let ends = Connection { family, protocol, ..Connection::default() };
        for (address, port) in
            [(alert.local_address, alert.local_port), (alert.remote_address, alert.remote_port)]
        {
            text = format!("{text} {}", endpoint(&ends, address, port));
        }
    }
    text
}
