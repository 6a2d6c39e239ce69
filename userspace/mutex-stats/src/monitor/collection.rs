// SPDX-License-Identifier: MIT OR Apache-2.0

//! What all collectors gave at once.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;
use std::time::Duration;

use serde_json::Value as Json;
use serde_json::json;

use super::Metric;
use super::metric::Value;
use crate::formats::Families;
use crate::formats::Number;

/// What all collectors gave when they were asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    /// Counts collections from 1.
    pub number: u64,
    /// When it was begun, in nanoseconds of Unix time.
    pub time_ns: u64,
    /// What each collector gave, by its name.
    pub parts: Vec<Part>,
}

/// What a collector gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The collector's name.
    pub collector: String,
    /// How long it took.
    pub took: Duration,
    /// Its metrics, or why there are none.
    pub result: Result<Vec<Metric>, String>,
}

impl Collection {
    /// What a collector gave.
    #[must_use]
    pub fn part(&self, collector: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.collector == collector)
    }

    /// A metric of a collector.
    #[must_use]
    pub fn metric(&self, collector: &str, name: &str) -> Option<&Metric> {
        let metrics = self.part(collector)?.result.as_ref().ok()?;
        metrics.iter().find(|metric| metric.name == name)
    }

    /// Writes all metrics, each name once, told apart by the label `collector`. Where two collectors
    /// disagree of what kind a metric is, it is as the first by name has it.
    ///
    /// # Errors
    ///
    /// Whatever `families` gives.
    pub fn write_metrics<W: Write>(&self, families: &mut Families<W>) -> io::Result<()> {
        let mut by_name: BTreeMap<&str, Vec<(&str, &Metric)>> = BTreeMap::new();
        for part in &self.parts {
            for metric in part.result.iter().flatten().filter(|metric| !metric.samples.is_empty()) {
                by_name.entry(&metric.name).or_default().push((&part.collector, metric));
            }
        }
        for (name, metrics) in by_name {
            let Some((_, first)) = metrics.first() else { continue };
            families.family(name, first.kind, &first.help)?;
            for (collector, metric) in metrics.iter().filter(|(_, one)| one.kind == first.kind) {
                for sample in &metric.samples {
                    let mut labels = vec![("collector", *collector)];
                    labels.extend(sample.labels.iter().map(|(name, value)| (&**name, &**value)));
                    match &sample.value {
                        Value::Number(number) => families.sample(&labels, *number)?,
                        Value::Histogram(histogram) => families.histogram(
                            &labels,
                            &histogram.buckets,
                            histogram.sum,
                            histogram.count,
                        )?,
                    }
                }
            }
        }
        Ok(())
    }

    /// As a JSON object. Times are in seconds, as in metrics.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let collectors: BTreeMap<_, _> = self
            .parts
            .iter()
            .map(|part| {
                let value = match &part.result {
                    Ok(metrics) => json!({
                        "took_seconds": part.took.as_secs_f64(),
                        "metrics": metrics.iter().map(metric_to_json).collect::<BTreeMap<_, _>>(),
                    }),
                    Err(error) => json!({"took_seconds": part.took.as_secs_f64(), "error": error}),
                };
                (&part.collector, value)
            })
            .collect();
        json!({"number": self.number, "time_ns": self.time_ns, "collectors": collectors})
    }
}

fn metric_to_json(metric: &Metric) -> (&str, Json) {
    let samples: Vec<_> = metric
        .samples
        .iter()
        .map(|sample| {
            let labels: BTreeMap<_, _> =
                sample.labels.iter().map(|(name, value)| (&**name, value)).collect();
            let value = match &sample.value {
                Value::Number(Number::Integer(value)) => json!(value),
                // What is no number in JSON is null.
                Value::Number(Number::Float(value)) => json!(value),
                Value::Number(Number::Nanoseconds(value)) => {
                    json!(Duration::from_nanos(*value).as_secs_f64())
                }
                Value::Histogram(histogram) => json!({
                    "buckets": histogram.buckets,
                    "sum": histogram.sum,
                    "count": histogram.count,
                }),
            };
            json!({"labels": labels, "value": value})
        })
        .collect();
    (&metric.name, json!(samples))
}
