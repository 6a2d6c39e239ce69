// SPDX-License-Identifier: MIT OR Apache-2.0

//! Families of metrics as text: Prometheus' format 0.0.4, and `OpenMetrics` 1.0.

use std::fmt;
use std::io;
use std::io::Write;

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' text format, version 0.0.4.
    Prometheus,
    /// `OpenMetrics` text, version 1.0.
    OpenMetrics,
}

impl Exposition {
    /// What HTTP calls it.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Exposition::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a family's numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow, until they begin anew at 0.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are how many values were no larger than so much.
    Histogram,
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Shown exactly. Prometheus itself computes with 64-bit floating-point numbers.
    Integer(u64),
    /// Shown so that reading it gives the same number.
    Float(f64),
    /// A time in nanoseconds, shown exactly as seconds.
    Nanoseconds(u64),
}

/// Writes families of metrics one after another.
///
/// ```
/// use mutex_stats::formats::{Exposition, Families, Kind, Number};
///
/// let mut families = Families::new(Vec::new(), Exposition::Prometheus);
/// families.family("pings", Kind::Counter, "Echo requests by their result.")?;
/// families.sample(&[("result", "answered")], Number::Integer(9))?;
/// families.sample(&[("result", "lost")], Number::Integer(1))?;
/// let text = String::from_utf8(families.finish()?).unwrap();
/// assert!(text.ends_with("\npings_total{result=\"lost\"} 1\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Families<W> {
    output: W,
    exposition: Exposition,
    name: String,
    kind: Kind,
}

/// The units that a family's name may end with. Both formats want base units.
const UNITS: [&str; 3] = ["bytes", "seconds", "ratio"];

impl<W: Write> Families<W> {
    /// Writes to `output`, which should be buffered.
    pub fn new(output: W, exposition: Exposition) -> Self {
        Families { output, exposition, name: String::new(), kind: Kind::Gauge }
    }

    /// Begins a family; the samples that follow are its own. Its name has no suffix `_total`, and
    /// ends with its unit if it has one. A name comes once in an exposition.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) -> io::Result<()> {
        debug_assert!(!name.ends_with("_total"), "{name}: the suffix is added");
        name.clone_into(&mut self.name);
        self.kind = kind;
        let is_open = self.exposition == Exposition::OpenMetrics;
        // OpenMetrics names the family, Prometheus the sample.
        let suffix = if is_open { "" } else { self.suffix() };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        writeln!(self.output, "# HELP {name}{suffix} {}", Help(help, is_open))?;
        writeln!(self.output, "# TYPE {name}{suffix} {kind}")?;
        let unit = name.rsplit('_').next().filter(|unit| UNITS.contains(unit));
        match unit {
            Some(unit) if is_open => writeln!(self.output, "# UNIT {name} {unit}"),
            _ => Ok(()),
        }
    }

    /// Writes a sample of the family, a counter or a gauge. Its labels, names and values, are those
    /// of no other.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: Number) -> io::Result<()> {
        let suffix = self.suffix();
        self.line(suffix, labels, None, value)
    }

    /// Writes a sample of the family, a histogram: how many values were no larger than each
    /// bound, bounds growing; what all values add up to; and how many there were.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        buckets: &[(f64, u64)],
        sum: f64,
        count: u64,
    ) -> io::Result<()> {
        for &(bound, below) in buckets {
            self.line("_bucket", labels, Some(bound), Number::Integer(below))?;
        }
        self.line("_bucket", labels, Some(f64::INFINITY), Number::Integer(count))?;
        self.line("_sum", labels, None, Number::Float(sum))?;
        self.line("_count", labels, None, Number::Integer(count))
    }

    /// Ends the exposition, flushes the output and gives it back.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn finish(mut self) -> io::Result<W> {
        if self.exposition == Exposition::OpenMetrics {
            writeln!(self.output, "# EOF")?;
        }
        self.output.flush()?;
        Ok(self.output)
    }

    fn suffix(&self) -> &'static str {
        if self.kind == Kind::Counter { "_total" } else { "" }
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        bound: Option<f64>,
        value: Number,
    ) -> io::Result<()> {
        let output = &mut self.output;
        write!(output, "{}{suffix}", self.name)?;
        let mut before = '{';
        for (name, value) in labels {
            write!(output, "{before}{name}=\"{}\"", Escaped(value))?;
            before = ',';
        }
        if let Some(bound) = bound {
            write!(output, "{before}le=\"{}\"", Float(bound))?;
            before = ',';
        }
        if before == ',' {
            write!(output, "}}")?;
        }
        match value {
            Number::Integer(value) => writeln!(output, " {value}"),
            Number::Float(value) => writeln!(output, " {}", Float(value)),
            Number::Nanoseconds(value) => writeln!(output, " {}", Seconds(value)),
        }
    }
}

/// Shows a floating-point number as both formats want it.
struct Float(f64);

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value if value.is_nan() => f.write_str("NaN"),
            // With a point, as OpenMetrics wants its bounds.
            value => write!(f, "{value:?}"),
        }
    }
}

/// Shows nanoseconds as seconds. Exact.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if rest == 0 {
            return write!(f, "{seconds}");
        }
        let digits = format!("{rest:09}");
        write!(f, "{seconds}.{}", digits.trim_end_matches('0'))
    }
}

/// Shows the value of a label, with what would end it escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Help(self.0, true).fmt(f)
    }
}

/// Shows a family's description; only `OpenMetrics` escapes its quotes.
struct Help<'a>(&'a str, bool);

impl fmt::Display for Help<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' if self.1 => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(exposition: Exposition) -> String {
        let mut families = Families::new(Vec::new(), exposition);
        families.family("wait_seconds", Kind::Histogram, "Of a \"store\".").unwrap();
        let buckets = [(0.001, 3), (1.0, 7)];
        families.histogram(&[("of", "a\"b")], &buckets, 2.5, 8).unwrap();
        families.family("used_ratio", Kind::Gauge, "Of all.").unwrap();
        families.sample(&[], Number::Float(f64::NAN)).unwrap();
        String::from_utf8(families.finish().unwrap()).unwrap()
    }

    #[test]
    fn histograms_end_with_all() {
        let text = histogram(Exposition::OpenMetrics);
        assert_eq!(
            text,
            "# HELP wait_seconds Of a \\\"store\\\".\n\
             # TYPE wait_seconds histogram\n\
             # UNIT wait_seconds seconds\n\
             wait_seconds_bucket{of=\"a\\\"b\",le=\"0.001\"} 3\n\
             wait_seconds_bucket{of=\"a\\\"b\",le=\"1.0\"} 7\n\
             wait_seconds_bucket{of=\"a\\\"b\",le=\"+Inf\"} 8\n\
             wait_seconds_sum{of=\"a\\\"b\"} 2.5\n\
             wait_seconds_count{of=\"a\\\"b\"} 8\n\
             # HELP used_ratio Of all.\n\
             # TYPE used_ratio gauge\n\
             # UNIT used_ratio ratio\n\
             used_ratio NaN\n\
             # EOF\n"
        );
        assert!(
            histogram(Exposition::Prometheus).starts_with("# HELP wait_seconds Of a \"store\".\n")
        );
    }

    #[test]
    fn values_are_exact_and_labels_end_where_they_should() {
        for (ns, text) in [(0, "0"), (1, "0.000000001"), (u64::MAX, "18446744073.709551615")] {
            assert_eq!(Seconds(ns).to_string(), text);
        }
        assert_eq!(Escaped("a\"b\\c\nd").to_string(), "a\\\"b\\\\c\\nd");
    }
}
