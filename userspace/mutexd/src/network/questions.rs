// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be asked about the network: totals, connections, sockets, alerts.

use std::io;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mutex_stats::Alert;
use mutex_stats::Block;
use mutex_stats::Column;
use mutex_stats::Error;
use mutex_stats::Fields;
use mutex_stats::File;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Header;
use mutex_stats::HeldFd;
use mutex_stats::OwnedConnection;
use mutex_stats::Part as BlockPart;
use mutex_stats::SCHEMA_VERSION;
use mutex_stats::Selection;
use mutex_stats::Sort;
use mutex_stats::Visitor;
use mutex_stats::formats::RowFormat;
use mutex_stats::formats::RowNames;
use mutex_stats::formats::Rows;
use mutex_stats::formats::stats_as_json;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use super::Network;
use super::is_absent;
use super::point::Point;
use super::stream;
use crate::http::Asked;
use crate::http::failure;
use crate::http::list;
use crate::http::of_type;
use crate::http::operation;
use crate::http::parameter;
use crate::part::Route;

/// How many records an answer has at most, and if nobody says.
const MOST: usize = 1000;
const USUAL: usize = 100;

/// The routes.
pub fn routes(network: &Arc<Network>) -> Vec<Route> {
    let summary = "The host's numbers, with the names of /proc/mutex/stats.";
    let schema = json!({
        "type": "object",
        "required": ["schema_version", "uptime_ns", "sent_bytes", "received_bytes"],
        "additionalProperties": { "type": "integer", "minimum": 0 },
    });
    let stats = Route {
        path: "/stats",
        description: operation(summary, &[], &schema),
        handler: get({
            let network = network.clone();
            async || answer(network, stats_text).await
        }),
    };
    let connections = Route {
        path: "/connections",
        description: operation(
            "Connections, open ones and those that closed a short while ago.",
            &parameters(
                "protocol=tcp remote=192.0.2.0/24",
                "received_bytes",
                "id,command,remote_address",
            ),
            &list("connections", &[]),
        ),
        handler: get({
            let network = network.clone();
            async |Asked(asked): Asked<Listing>| {
                answer(network, move |network| connections_text(network, &asked)).await
            }
        }),
    };
    let fds = Route {
        path: "/fds",
        description: operation(
            "Sockets that own connections.",
            &parameters("command=curl,wget uid>=1000", "active_connections", "id,pid,command"),
            &list("fds", &[]),
        ),
        handler: get({
            let network = network.clone();
            async |Asked(asked): Asked<Listing>| {
                answer(network, move |network| fds_text(network, &asked)).await
            }
        }),
    };
    let filter_and_limit = {
        let [filter, _, limit, _] = parameters("severity=critical", "", "");
        [filter, limit]
    };
    let alerts = Route {
        path: "/alerts",
        description: operation(
            "The alerts that the kernel module keeps, the newest of them, the oldest first.",
            &filter_and_limit,
            &list(
                "alerts",
                &["number", "time_ns", "severity", "kind", "scope", "value", "threshold"],
            ),
        ),
        handler: get({
            let network = network.clone();
            async |Asked(asked): Asked<LastAlerts>| {
                answer(network, move |network| alerts_text(network, &asked)).await
            }
        }),
    };
    let summary = "What the live page shows, as server-sent events: \"points\" are new samples, \"glance\" is who \
                   moves most, latency and alerts.";
    let stream = Route {
        path: "/stream",
        description: json!({
            "get": {
                "summary": summary,
                "parameters": [],
                "responses": {
                    "200": {
                        "description": "It goes on until somebody hangs up.",
                        "content": { "text/event-stream": { "schema": { "type": "string" } } },
                    },
                },
            },
        }),
        handler: get({
            let network = network.clone();
            async move || stream::begin(&network)
        }),
    };
    vec![stats, samples(network), connections, fds, alerts, stream]
}

/// The route of samples.
fn samples(network: &Arc<Network>) -> Route {
    let summary = "The host's rates, a point for each time that its numbers were read: the newest of them, the oldest first.";
    let [_, _, mut most, _] = parameters("", "", "");
    most["schema"]["default"] = MOST.into();
    let until = parameter(
        "until_ns",
        "Only those that are not later, Unix time: what comes before an answer.",
        &json!({ "type": "integer", "minimum": 0 }),
        &json!(u64::MAX),
    );
    Route {
        path: "/samples",
        description: operation(summary, &[most, until], &list("samples", &Point::NAMES)),
        handler: get({
            let network = network.clone();
            async |Asked(asked): Asked<LastSamples>| {
                answer(network, move |network| samples_text(network, &asked)).await
            }
        }),
    }
}

/// What somebody wants to see of a list.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Listing {
    filter: String,
    sort: String,
    limit: usize,
    fields: String,
}

impl Default for Listing {
    fn default() -> Self {
        Listing { filter: String::new(), sort: String::new(), limit: USUAL, fields: String::new() }
    }
}

/// What somebody wants to see of alerts.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LastAlerts {
    filter: String,
    limit: usize,
}

impl Default for LastAlerts {
    fn default() -> Self {
        LastAlerts { filter: String::new(), limit: USUAL }
    }
}

/// What somebody wants to see of samples.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LastSamples {
    limit: usize,
    until_ns: u64,
}

impl Default for LastSamples {
    fn default() -> Self {
        LastSamples { limit: MOST, until_ns: u64::MAX }
    }
}

fn parameters(filter: &str, sort: &str, fields: &str) -> [Value; 4] {
    let text = json!({ "type": "string" });
    [
        parameter(
            "filter",
            "Terms that must all hold, with white space between them, as of mutexctl --filter.",
            &text,
            &json!(filter),
        ),
        parameter(
            "sort",
            "The field that the records are in the order of; + before it is ascending, - descending.",
            &text,
            &json!(sort),
        ),
        parameter(
            "limit",
            "How many records there are at most.",
            &json!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL }),
            &json!(5),
        ),
        parameter(
            "fields",
            "Names of the fields to show, with commas between them.",
            &text,
            &json!(fields),
        ),
    ]
}

/// Why there is no answer.
enum Failure {
    /// What was asked makes no sense.
    Question(String),
    /// The kernel's files cannot be read.
    Kernel(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Filter(_) | Error::NoColumn { .. } => Failure::Question(error.to_string()),
            error => Failure::Kernel(error),
        }
    }
}

type Text = Result<Vec<u8>, Failure>;

/// Works on a thread that may wait for the kernel.
async fn answer(
    network: Arc<Network>,
    work: impl FnOnce(&Network) -> Text + Send + 'static,
) -> Response {
    let reader = network.readers.clone().take().await;
    let worked = tokio::task::spawn_blocking(move || {
        let text = work(&network);
        drop(reader);
        text
    });
    match worked.await {
        Ok(Ok(text)) => of_type("application/json", StatusCode::OK, text),
        Ok(Err(Failure::Question(sentence))) => failure(StatusCode::BAD_REQUEST, &sentence),
        Ok(Err(Failure::Kernel(error))) => {
            failure(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made"),
    }
}

impl Network {
    /// Reads the image.
    pub fn visit(&self, visitor: &mut impl Visitor) -> Result<Header, Error> {
        let read = self.proc.snapshot().and_then(|reader| reader.visit(visitor));
        read.inspect_err(|error| {
            if !is_absent(error) {
                self.own.read_error(File::Snapshot);
            }
        })
    }
}

fn stats_text(network: &Network) -> Text {
    let mut text = Vec::new();
    stats_as_json(&mut text, &network.stats()?).map_err(Error::Write)?;
    Ok(text)
}

fn samples_text(network: &Network, asked: &LastSamples) -> Text {
    let (points, _) = network.points(limit(asked.limit)?, 0, asked.until_ns);
    // Without a `Value` of each number, which would take several times the memory.
    let points = serde_json::to_string(&points).map_err(|error| Error::Write(error.into()))?;
    Ok(format!("{{\"schema_version\":{SCHEMA_VERSION},\"samples\":{points}}}").into())
}

fn limit(asked: usize) -> Result<usize, Failure> {
    if (1..=MOST).contains(&asked) {
        return Ok(asked);
    }
    Err(Failure::Question(format!("limit is from 1 to {MOST}")))
}

/// An order by that name; none by an empty one.
fn sort<T: Fields + Default>(name: &str) -> Result<Option<Sort<T>>, Error> {
    if name.is_empty() { Ok(None) } else { Sort::named(name).map(Some) }
}

fn connections_text(network: &Network, asked: &Listing) -> Text {
    let limit = limit(asked.limit)?;
    let sort = sort::<OwnedConnection>(&asked.sort)?;
    let columns = columns(&asked.fields)?;
    let filter = Filter::parse(&asked.filter, Filtered::Connections)?;
    let mut selection = Selection::connections(filter, None)
        .first(sort.as_ref(), Some(limit))
        .completed_by(network.holders());
    let header = network.visit(&mut selection)?;
    let records = selection.into_connections(sort.as_ref(), Some(limit));
    rows(&header, RowNames { list: "connections", one: "connection" }, columns, &records)
}

fn fds_text(network: &Network, asked: &Listing) -> Text {
    let limit = limit(asked.limit)?;
    let sort = sort::<HeldFd>(&asked.sort)?;
    let columns = columns(&asked.fields)?;
    let filter = Filter::parse(&asked.filter, Filtered::Fds)?;
    let mut selection = Selection::fds(filter, None).completed_by(network.holders());
    let header = network.visit(&mut selection)?;
    let records = selection.into_fds(sort.as_ref(), Some(limit));
    rows(&header, RowNames { list: "fds", one: "fd" }, columns, &records)
}

fn alerts_text(network: &Network, asked: &LastAlerts) -> Text {
    let limit = limit(asked.limit)?;
    let filter = Filter::parse(&asked.filter, Filtered::Alerts)?;
    let mut wanted = Alerts { filter, kept: Vec::new() };
    let header = network.visit(&mut wanted)?;
    let surplus = wanted.kept.len().saturating_sub(limit);
    rows(&header, RowNames { list: "alerts", one: "alert" }, None, &wanted.kept[surplus..])
}

fn columns<T: Fields + Default>(names: &str) -> Result<Option<Vec<Column<T>>>, Error> {
    if names.is_empty() { Ok(None) } else { Column::list(names).map(Some) }
}

/// Records as the library writes them, whole or some of their fields.
fn rows<T: Fields + Default>(
    header: &Header,
    names: RowNames,
    columns: Option<Vec<Column<T>>>,
    records: &[T],
) -> Text {
    let mut text = Vec::new();
    let written: io::Result<()> = (|| {
        let (format, header) = (RowFormat::Json, Some(header));
        match columns {
            None => {
                let mut rows = Rows::of_records::<T>(&mut text, format, names, header)?;
                records.iter().try_for_each(|record| rows.record(record))?;
                rows.finish()
            }
            Some(columns) => {
                let shown = columns.iter().map(|column| column.name().to_owned()).collect();
                let mut rows = Rows::of_columns(&mut text, format, names, header, shown)?;
                records.iter().try_for_each(|record| {
                    rows.row(columns.iter().map(|column| column.cell(record)))
                })?;
                rows.finish()
            }
        }
    })();
    written.map_err(Error::Write)?;
    Ok(text)
}

/// The alerts that a filter fits.
struct Alerts {
    filter: Filter,
    kept: Vec<Alert>,
}

impl Visitor for Alerts {
    fn header(&mut self, _: &Header, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        if let BlockPart::Alerts(records) = block.part() {
            self.kept.extend(records.filter(|alert| self.filter.alert(alert)));
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
