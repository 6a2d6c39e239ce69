// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a collector gives.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::formats::Kind;
use crate::formats::Number;

/// What a sample says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A counter's or a gauge's number.
    Number(Number),
    /// A histogram.
    Histogram(Histogram),
}

/// How many values were no larger than each bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Bounds, growing, each with how many values were no larger.
    pub buckets: Vec<(f64, u64)>,
    /// What all values add up to.
    pub sum: f64,
    /// How many values there were.
    pub count: u64,
}

/// One of a metric's values, told from its others by its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Names and values of labels.
    pub labels: Vec<(Cow<'static, str>, String)>,
    /// The value.
    pub value: Value,
}

/// A metric: its name without the suffix that counters have, and what it says. A name ends with its
/// unit, which is a base unit: `_bytes`, `_seconds`, `_ratio`.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What its numbers do.
    pub kind: Kind,
    /// What it is, in a sentence.
    pub help: Cow<'static, str>,
    /// Its values. There may be none.
    pub samples: Vec<Sample>,
}

impl Metric {
    /// A metric without a value.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Metric { name: name.into(), kind, help: help.into(), samples: Vec::new() }
    }

    /// A counter of this value.
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Metric::new(name, Kind::Counter, help).sample(&[], Number::Integer(value))
    }

    /// A gauge of this value.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, value: Number) -> Self {
        Metric::new(name, Kind::Gauge, help).sample(&[], value)
    }

    /// With this value, too.
    #[must_use]
    pub fn sample(mut self, labels: &[(&'static str, &str)], value: Number) -> Self {
        let labels = own(labels);
        self.samples.push(Sample { labels, value: Value::Number(value) });
        self
    }

    /// With this histogram, too.
    #[must_use]
    pub fn histogram(mut self, labels: &[(&'static str, &str)], value: Histogram) -> Self {
        let labels = own(labels);
        self.samples.push(Sample { labels, value: Value::Histogram(value) });
        self
    }

    /// The number with these labels.
    #[must_use]
    pub fn number(&self, labels: &[(&str, &str)]) -> Option<Number> {
        let is_it = |sample: &&Sample| {
            sample.labels.len() == labels.len()
                && labels
                    .iter()
                    .all(|wanted| sample.labels.iter().any(|(k, v)| (&**k, v.as_str()) == *wanted))
        };
        match self.samples.iter().find(is_it)?.value {
            Value::Number(number) => Some(number),
            Value::Histogram(_) => None,
        }
    }

    /// What is wrong with it, so that nobody could read an exposition that has it.
    pub(super) fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if !is_name(name, true) || name.ends_with("_total") {
            return Err(format!("`{}` is no name of a metric", name.escape_debug()));
        }
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            labels.sort();
            let twice = labels.windows(2).any(|pair| pair[0].0 == pair[1].0);
            let is_taken = |label: &str| matches!(label, "collector" | "le");
            let is_wrong = |label: &str| !is_name(label, false) || is_taken(label);
            if twice || labels.iter().any(|(label, _)| is_wrong(label)) {
                return Err(format!("{name} has a label that may not be"));
            }
            if matches!(sample.value, Value::Histogram(_)) != (self.kind == Kind::Histogram) {
                return Err(format!("{name} has a value of another kind"));
            }
            if let Value::Histogram(histogram) = &sample.value {
                let grows = |pair: &[(f64, u64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
                let last = histogram.buckets.last().map_or(0, |bucket| bucket.1);
                if !histogram.buckets.windows(2).all(grows) || last > histogram.count {
                    return Err(format!("{name} is no histogram"));
                }
            }
            if !seen.insert(labels) {
                return Err(format!("{name} has two values with the same labels"));
            }
        }
        Ok(())
    }
}

fn own(labels: &[(&'static str, &str)]) -> Vec<(Cow<'static, str>, String)> {
    labels.iter().map(|(name, value)| (Cow::Borrowed(*name), (*value).to_owned())).collect()
}

fn is_name(name: &str, with_colon: bool) -> bool {
    let is_sign = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (with_colon && b == b':');
    let begins = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    begins && name.bytes().all(is_sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_could_read_is_found() {
        let metric = |name: &'static str| Metric::gauge(name, "", Number::Integer(1));
        for name in ["a", "_a:b9", "mutex_requests"] {
            metric(name).check().expect("it is a name");
        }
        for name in ["", "9a", "a b", "a-b", "ä", "requests_total"] {
            assert!(metric(name).check().is_err(), "{name}");
        }
        for label in ["", "le", "collector", "a:b", "9"] {
            let metric = metric("a").sample(&[(label, "x")], Number::Integer(1));
            assert!(metric.check().is_err(), "{label}");
        }
        let one = Number::Integer(1);
        let twice = metric("a").sample(&[("x", "1"), ("y", "2")], one);
        twice.check().expect("they differ");
        let error = twice.sample(&[("y", "2"), ("x", "1")], one).check().expect_err("they do not");
        assert_eq!(error, "a has two values with the same labels");
        assert!(metric("a").sample(&[("x", "1"), ("x", "2")], one).check().is_err());

        let histogram = |buckets: &[(f64, u64)], count| {
            let value = Histogram { buckets: buckets.to_vec(), sum: 0.0, count };
            Metric::new("a", Kind::Histogram, "").histogram(&[], value)
        };
        histogram(&[(1.0, 1), (2.0, 1)], 1).check().expect("it is one");
        assert!(histogram(&[(1.0, 2), (2.0, 1)], 2).check().is_err());
        assert!(histogram(&[(2.0, 1), (2.0, 1)], 2).check().is_err());
        assert!(histogram(&[(1.0, 2)], 1).check().is_err());
        let other = Metric { kind: Kind::Gauge, ..histogram(&[], 0) };
        assert_eq!(other.check(), Err(String::from("a has a value of another kind")));
    }
}
