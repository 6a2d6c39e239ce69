// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the daemon and its host perform: collectors that are asked at an interval.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mutex_stats::Error;
use mutex_stats::Proc;
use mutex_stats::SCHEMA_VERSION;
use mutex_stats::SystemClock;
use mutex_stats::monitor::CollectError;
use mutex_stats::monitor::Collection;
use mutex_stats::monitor::Collector;
use mutex_stats::monitor::Metric;
use mutex_stats::monitor::Monitor;
use mutex_stats::monitor::Network;
use mutex_stats::monitor::Requests;
use mutex_stats::monitor::Resource;
use mutex_stats::monitor::Store;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::http::failure;
use crate::http::json as answer;
use crate::http::list;
use crate::http::operation;
use crate::own::Own;
use crate::part::Health;
use crate::part::Metrics;
use crate::part::Part;
use crate::part::Route;
use crate::part::State;

/// The name of this part.
pub const NAME: &str = "monitor";

/// What the daemon tells of its own work. It lives as long as the daemon, for counters only grow, while parts come and
/// go with the configuration.
pub struct Told {
    /// What is asked of the HTTP interface.
    pub http: Requests,
    /// The database of the history.
    pub history: Arc<Store>,
    /// The last look at all connections, which viewers of the live page share.
    pub page: Arc<Store>,
}

impl Told {
    /// Keeps so many of the last durations of everything.
    pub fn new(samples: usize) -> Self {
        let clock = || Arc::new(SystemClock);
        Told {
            http: Requests::with("http", samples, clock()),
            history: Arc::new(Store::with("history", samples, clock())),
            page: Arc::new(Store::with("page", samples, clock())),
        }
    }
}

/// The part that monitors, if that is wanted.
pub struct Monitoring(Option<Arc<Monitor>>);

impl Monitoring {
    /// Begins to collect.
    ///
    /// # Errors
    ///
    /// There can be no thread.
    pub fn start(config: &Config, own: &Arc<Own>) -> anyhow::Result<Arc<Self>> {
        let wanted = &config.monitor;
        if !wanted.enabled {
            return Ok(Arc::new(Monitoring(None)));
        }
        let monitor = Monitor::new();
        monitor.register(Arc::new(Http(own.clone())))?;
        if config.history.enabled {
            monitor.register(own.told.history.clone())?;
        }
        if config.page.enabled {
            monitor.register(own.told.page.clone())?;
        }
        let network = Network::new("network", Proc::new(&config.proc)).with_peers(wanted.peers);
        monitor.register(Arc::new(IfLoaded(network)))?;
        let runtime = Handle::current().metrics();
        let resource = Resource::new("resource")
            .with_disks(wanted.disks.iter().cloned())
            .with_tasks(move || runtime.num_alive_tasks() as u64);
        monitor.register(Arc::new(resource))?;
        monitor.start(wanted.interval)?;
        Ok(Arc::new(Monitoring(Some(Arc::new(monitor)))))
    }
}

/// The HTTP interface, with what it is in at this moment.
struct Http(Arc<Own>);

impl Collector for Http {
    fn name(&self) -> &str {
        self.0.told.http.name()
    }

    fn metric_names(&self) -> Vec<&str> {
        self.0.told.http.metric_names()
    }

    fn collect(&self) -> Result<Vec<Metric>, CollectError> {
        let Own { told, connections, waiting, .. } = &*self.0;
        told.http.set_active_connections(connections.load(Relaxed) as u64);
        told.http.set_queued(waiting.load(Relaxed) as u64);
        told.http.collect()
    }
}

/// The kernel module's numbers. That the module is not there is no fault of who asks.
struct IfLoaded(Network);

impl Collector for IfLoaded {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn metric_names(&self) -> Vec<&str> {
        self.0.metric_names()
    }

    fn collect(&self) -> Result<Vec<Metric>, CollectError> {
        self.0.collect().or_else(|error| match error.downcast_ref::<Error>() {
            Some(error) if crate::network::is_absent(error) => Ok(Vec::new()),
            _ => Err(error),
        })
    }
}

impl Part for Monitoring {
    fn name(&self) -> &'static str {
        NAME
    }

    fn health(&self) -> Health {
        match &self.0 {
            None => Health {
                state: State::Healthy,
                message: "nothing is monitored: monitor.enabled is false".into(),
            },
            Some(monitor) => judge(monitor.latest().as_deref()),
        }
    }

    fn write_metrics(&self, metrics: &mut Metrics<'_>) -> io::Result<()> {
        match &self.0 {
            Some(monitor) => monitor.write_metrics(metrics),
            None => Ok(()),
        }
    }

    fn routes(self: Arc<Self>) -> Vec<Route> {
        self.0.as_ref().map(routes).unwrap_or_default()
    }

    fn shutdown(&self) {
        if let Some(monitor) = &self.0 {
            monitor.stop();
        }
    }
}

/// How the collectors fared the last time.
fn judge(latest: Option<&Collection>) -> Health {
    let Some(latest) = latest else {
        let message = "nothing was collected yet".into();
        return Health { state: State::Healthy, message };
    };
    let failed: Vec<String> = latest
        .parts
        .iter()
        .filter_map(|part| {
            let error = part.result.as_ref().err()?;
            Some(format!("the collector {} has nothing: {error}", part.collector))
        })
        .collect();
    if failed.is_empty() {
        let message = format!("{} collectors are asked", latest.parts.len());
        Health { state: State::Healthy, message }
    } else {
        Health { state: State::Degraded, message: failed.join("; ") }
    }
}

fn routes(monitor: &Arc<Monitor>) -> Vec<Route> {
    let schema = json!({
        "type": "object",
        "required": ["schema_version", "number", "time_ns", "collectors"],
        "properties": {
            "schema_version": { "const": SCHEMA_VERSION },
            "collectors": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "required": ["took_seconds"],
                    "properties": { "metrics": { "type": "object" }, "error": { "type": "string" } },
                },
            },
        },
    });
    let (newest, names) = (monitor.clone(), monitor.clone());
    vec![
        Route {
            path: "/monitor",
            description: operation(
                "What all collectors gave the last time, by collector and metric.",
                &[],
                &schema,
            ),
            handler: get(async move || collected(newest).await),
        },
        Route {
            path: "/monitor/collectors",
            description: operation(
                "The collectors, and the names of all metrics that each can give.",
                &[],
                &list("collectors", &["name", "metrics"]),
            ),
            handler: get(async move || answer(&described(&names))),
        },
    ]
}

async fn collected(monitor: Arc<Monitor>) -> Response {
    let newest = move || monitor.latest().unwrap_or_else(|| monitor.collect());
    match tokio::task::spawn_blocking(newest).await {
        Ok(collection) => {
            let mut value = collection.to_json();
            value["schema_version"] = SCHEMA_VERSION.into();
            answer(&value)
        }
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "nothing could be collected"),
    }
}

fn described(monitor: &Monitor) -> Value {
    let collectors: Vec<Value> = monitor
        .metric_names()
        .into_iter()
        .map(|(name, metrics)| json!({ "name": name, "metrics": metrics }))
        .collect();
    json!({ "schema_version": SCHEMA_VERSION, "collectors": collectors })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mutex_stats::monitor::Part as Given;

    use super::*;

    #[test]
    fn a_collector_that_has_nothing_is_named() {
        let given = |collector: &str, result| Given {
            collector: collector.into(),
            took: Duration::ZERO,
            result,
        };
        let collection = |parts| Collection { number: 1, time_ns: 1, parts };
        let well = collection(vec![given("http", Ok(Vec::new()))]);
        assert_eq!(judge(Some(&well)).state, State::Healthy);
        assert_eq!(judge(None).state, State::Healthy);
        let ill =
            collection(vec![given("http", Ok(Vec::new())), given("resource", Err("x".into()))]);
        let health = judge(Some(&ill));
        assert_eq!(health.state, State::Degraded);
        assert_eq!(health.message, "the collector resource has nothing: x");
    }
}
