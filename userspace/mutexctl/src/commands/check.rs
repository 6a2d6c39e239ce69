// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl check`: one line and an exit status, as monitoring systems want them.

use std::cmp::Ordering;
use std::io::Write;
use std::time::Duration;

use mutex_stats::Audit;
use mutex_stats::Block;
use mutex_stats::File;
use mutex_stats::Header;
use mutex_stats::Part;
use mutex_stats::Proc;
use mutex_stats::Stats;
use mutex_stats::Summary;
use mutex_stats::Visitor;

use crate::cli::CheckArgs;
use crate::failure::Failure;
use crate::failure::printable;
use crate::source::Sink;
use crate::source::Source;
use crate::source::kernel_failure;
use crate::target::Target;

/// How it stands, in the order of badness: what is known to be critical is not hidden by what is not
/// known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ok,
    Warning,
    Unknown,
    Critical,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Warning => "WARNING",
            State::Critical => "CRITICAL",
            State::Unknown => "UNKNOWN",
        }
    }

    /// The exit status of monitoring plugins.
    fn status(self) -> u8 {
        match self {
            State::Ok => 0,
            State::Warning => 1,
            State::Critical => 2,
            State::Unknown => 3,
        }
    }
}

/// From when on a number is bad: `KEY>=N` or `KEY<=N`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    key: String,
    /// What the number must not be, compared with `than`, besides being equal.
    bad: Ordering,
    than: f64,
    text: String,
}

/// Reads a threshold.
pub fn parse_threshold(text: &str) -> Result<Threshold, String> {
    let (split, bad) = match (text.split_once(">="), text.split_once("<=")) {
        (Some(split), _) => (split, Ordering::Greater),
        (None, Some(split)) => (split, Ordering::Less),
        (None, None) => return Err("expected is KEY>=NUMBER or KEY<=NUMBER".into()),
    };
    let (key, number) = split;
    let than: f64 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    if !than.is_finite() {
        return Err(format!("`{number}` is not a number"));
    }
    Ok(Threshold { key: key.into(), bad, than, text: text.into() })
}

/// What is looked at if nobody says anything else.
const WARNING: &str = "table_fill>=80";
const CRITICAL: &str = "table_fill>=95";

/// Numbers that are shown for graphs, besides those that thresholds name.
const SHOWN: [&str; 6] =
    ["table_fill", "connections_active", "rate_in", "rate_out", "alerts_raised", "events_lost"];

pub fn run(source: &Source, args: &CheckArgs) -> Result<(), Failure> {
    let (state, line) = match judge(source, args) {
        Ok(judged) => judged,
        Err(Failure::Error(error)) => return Err(Failure::Unknown(format!("{error:#}"))),
        Err(Failure::Usage(sentence)) => return Err(Failure::Unknown(sentence)),
        Err(other) => return Err(other),
    };
    let printed = Target::Output.write(|output| {
        writeln!(output, "MUTEX {}: {}", state.name(), printable(&line))
            .map_err(|error| Failure::writing(Target::Output, &error))
    });
    match printed {
        Ok(()) | Err(Failure::BrokenPipe) => {}
        Err(error) => {
            let _ = error.report();
            return Err(Failure::Status(State::Unknown.status()));
        }
    }
    if state == State::Ok { Ok(()) } else { Err(Failure::Status(state.status())) }
}

/// The host's numbers, and what an image says besides, if it is asked for. Whoever may not read the
/// kernel's image, or cannot, has the numbers nevertheless.
fn look(source: &Source, args: &CheckArgs) -> Result<(Stats, Vec<(State, String)>), Failure> {
    let from_kernel = |proc: &Proc| {
        let failed = |error| kernel_failure(error, proc, File::Stats);
        proc.stats().map_err(failed)
    };
    let needs_image = args.audit || args.alerts_within.is_some();
    match source.kernel() {
        Some(proc) if !needs_image => return Ok((from_kernel(proc)?, Vec::new())),
        _ => {}
    }
    let mut looked = Looked::default();
    match (source.visit(&mut looked, Sink::Memory), source.kernel()) {
        (Ok(_), _) => Ok((looked.summary.stats(), looked.judge(args))),
        (Err(Failure::Error(error)), Some(proc)) => {
            Ok((from_kernel(proc)?, vec![(State::Unknown, format!("{error:#}"))]))
        }
        (Err(failure), _) => Err(failure),
    }
}

fn judge(source: &Source, args: &CheckArgs) -> Result<(State, String), Failure> {
    let (stats, judged) = look(source, args)?;
    let default = |text| parse_threshold(text).map_err(Failure::Usage);
    let (mut warning, mut critical) = (args.warning.clone(), args.critical.clone());
    if warning.is_empty() && critical.is_empty() {
        warning.push(default(WARNING)?);
        critical.push(default(CRITICAL)?);
    }
    let mut worst = State::Ok;
    let mut reasons = Vec::new();
    for (level, thresholds) in [(State::Critical, &critical), (State::Warning, &warning)] {
        for threshold in thresholds {
            let number = match number(&stats, &threshold.key) {
                Ok(number) => number,
                Err(failure) => {
                    worst = worst.max(State::Unknown);
                    reasons.push(failure.sentence());
                    continue;
                }
            };
            let order = number.partial_cmp(&threshold.than);
            if order == Some(threshold.bad) || order == Some(Ordering::Equal) {
                worst = worst.max(level);
                let (key, text) = (&threshold.key, &threshold.text);
                reasons.push(format!("{key} is {} ({text})", shown(number)));
            }
        }
    }
    for (level, reason) in judged {
        worst = worst.max(level);
        reasons.push(reason);
    }
    let active = stats.get("connections_active").unwrap_or(0);
    if reasons.is_empty() {
        let fill = shown(number(&stats, "table_fill")?);
        reasons.push(format!("{active} connections, table {fill} % full"));
    }
    let graphs = graphs(&stats, &warning, &critical);
    Ok((worst, format!("{} | {graphs}", reasons.join("; "))))
}

/// A number by its key: one of `stats`, or a share in percent that is made of them.
#[expect(clippy::cast_precision_loss, reason = "a share or a threshold needs no 16th digit")]
fn number(stats: &Stats, key: &str) -> Result<f64, Failure> {
    let get = |key: &str| stats.get(key).map(|value| value as f64);
    let percent = |part: Option<f64>, whole: Option<f64>| match (part?, whole?) {
        (_, 0.0) => Some(0.0),
        (part, whole) => Some(part * 100.0 / whole),
    };
    let sum = |keys: &[&str]| keys.iter().map(|key| get(key)).sum::<Option<f64>>();
    #[expect(clippy::cast_precision_loss, reason = "as above")]
    let losses = stats.losses().map(|losses| losses as f64);
    let found = match key {
        "table_fill" => percent(get("table_used"), get("table_size")),
        "fd_table_fill" => percent(get("fd_table_used"), get("fd_table_size")),
        "untracked_packets" => {
            let is_packets =
                |(key, _): &(&str, u64)| key.starts_with("untracked_") && key.ends_with("_packets");
            Some(stats.iter().filter(is_packets).map(|(_, value)| value as f64).sum())
        }
        "retransmission_percent" => percent(get("retransmitted_packets"), get("sent_packets")),
        "drop_percent" => percent(get("drops"), sum(&["sent_packets", "received_packets"])),
        "loss_percent" => percent(losses, sum(&["sent_packets", "received_packets"])),
        "losses" => losses,
        key => get(key),
    };
    found.ok_or_else(|| {
        let sentence = "there is no number `KEY`; there are table_fill, fd_table_fill, \
                        untracked_packets, retransmission_percent, loss_percent, drop_percent and the \
                        keys of \
                        `mutexctl stats --format raw`";
        Failure::Usage(sentence.replace("KEY", key))
    })
}

fn shown(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The numbers as monitoring systems draw them: `key=value[unit];warning;critical`.
fn graphs(stats: &Stats, warning: &[Threshold], critical: &[Threshold]) -> String {
    let mut keys: Vec<&str> = SHOWN.to_vec();
    for threshold in warning.iter().chain(critical) {
        if !keys.contains(&threshold.key.as_str()) {
            keys.push(&threshold.key);
        }
    }
    let limit = |thresholds: &[Threshold], key: &str| {
        let found = thresholds.iter().find(|threshold| threshold.key == key);
        found.map_or(String::new(), |threshold| match threshold.bad {
            // The plugins' ranges: what is outside of `N:` is less than N.
            Ordering::Less => format!("{}:", shown(threshold.than)),
            _ => shown(threshold.than),
        })
    };
    let one = |key: &&str| {
        let unit = if key.ends_with("_fill") || key.ends_with("_percent") { "%" } else { "" };
        let (warning, critical) = (limit(warning, key), limit(critical, key));
        let number = number(stats, key).ok()?;
        Some(format!("{key}={}{unit};{warning};{critical}", shown(number)))
    };
    keys.iter().filter_map(one).collect::<Vec<_>>().join(" ")
}

/// What of an image is judged.
#[derive(Default)]
struct Looked {
    summary: Summary,
    audit: Audit,
    /// Time and severity of each.
    alerts: Vec<(u64, u8)>,
}

impl Looked {
    fn judge(self, args: &CheckArgs) -> Vec<(State, String)> {
        let mut judged = Vec::new();
        if args.audit {
            match self.audit.report() {
                Ok(report) if report.balanced() => {}
                Ok(_) => judged.push((State::Critical, "the books do not balance".into())),
                Err(error) => judged.push((State::Unknown, error.to_string())),
            }
        }
        if let Some(within) = args.alerts_within {
            // The image's own time: it may be of long ago.
            let now = Duration::from_nanos(self.summary.image.header.time_ns);
            let first = u64::try_from(now.saturating_sub(within).as_nanos()).unwrap_or(u64::MAX);
            let count = |severities: &[u8]| {
                let is = |&&(time, severity): &&(u64, u8)| {
                    time >= first && severities.contains(&severity)
                };
                self.alerts.iter().filter(is).count()
            };
            for (level, severities, what) in [
                (State::Critical, &[2, 3][..], "errors or worse"),
                (State::Warning, &[1][..], "warnings"),
            ] {
                let found = count(severities);
                if found > 0 {
                    judged.push((level, format!("{found} alerts that are {what}")));
                }
            }
        }
        judged
    }
}

impl Visitor for Looked {
    fn header(&mut self, header: &Header, bytes: &[u8]) -> std::io::Result<()> {
        self.summary.header(header, bytes)?;
        self.audit.header(header, bytes)
    }

    fn block(&mut self, block: &Block<'_>) -> std::io::Result<()> {
        if let Part::Alerts(records) = block.part() {
            self.alerts.extend(records.map(|alert| (alert.time_ns, alert.severity)));
        }
        self.summary.block(block)?;
        self.audit.block(block)
    }

    fn finish(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read() {
        let threshold = parse_threshold("table_fill>=80.5").expect("it is one");
        assert_eq!((threshold.key.as_str(), threshold.than), ("table_fill", 80.5));
        for wrong in ["", "a", "a=5", "a>=", "a>=x", "a<=inf", "a>=NaN"] {
            assert!(parse_threshold(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_made_of_the_kernels_numbers() {
        let text = "format 1\ntable_used 1\ntable_size 8\nfd_table_used 0\nfd_table_size 0\n\
                    untracked_policy_packets 3\nuntracked_fragment_packets 4\nfds_untracked 9\n";
        let stats = Stats::parse(text).expect("it is the kernel's text");
        for (key, expected) in
            [("table_fill", "12.5"), ("fd_table_fill", "0"), ("untracked_packets", "7")]
        {
            assert_eq!(number(&stats, key).map(shown).ok().as_deref(), Some(expected), "{key}");
        }
        assert!(number(&stats, "retransmission_percent").is_err());
    }
}
