// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Every setting that can change while the module runs: what `/proc/mutex/config` shows and takes.
//!
//! The file is `format 1` and a `key value` line for each of [`SETTINGS`], in their order; new ones
//! are only added at the end. What is written has the same form, in any order and as few lines as
//! wanted; blank lines are skipped, and so is what follows a `#`. A write changes everything that it
//! names or, if a single word of it is wrong, nothing.

use core::array;
use core::fmt;
use core::fmt::Write;
use core::ops::RangeInclusive;
use core::str;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::abi::*;
use crate::names::severity_name;
use crate::parse::protocol;
use crate::shares::Limits;
use crate::state::State;
use crate::text::FORMAT;
use crate::threshold::Kind;
use crate::threshold::Rule;
use crate::threshold::Scope;
use crate::threshold::Severity;

/// Bytes of one write, at the most. The whole file fits, whatever its values are.
pub const WRITE_MAX: usize = 4096;

/// What a setting's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Nanoseconds.
    Nanoseconds,
    /// Packets or records of 10000.
    PerTenThousand,
    /// Bytes a second.
    BytesPerSecond,
    /// Percent.
    Percent,
    /// Packets.
    Packets,
    /// Events; a power of two.
    Events,
    /// Alerts a minute.
    AlertsPerMinute,
    /// A [`Severity`], written by its name.
    Severity,
}

impl Unit {
    /// The unit in one word.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::Nanoseconds => "ns",
            Unit::PerTenThousand => "of_10000",
            Unit::BytesPerSecond => "bytes/s",
            Unit::Percent => "percent",
            Unit::Packets => "packets",
            Unit::Events => "events",
            Unit::AlertsPerMinute => "alerts/min",
            Unit::Severity => "severity",
        }
    }
}

/// Something that can be set.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name, one word.
    pub key: &'static str,
    /// What its value counts.
    pub unit: Unit,
    /// Its value as long as nobody has set it.
    pub default: u64,
    /// The values that it takes.
    pub range: RangeInclusive<u64>,
    /// What it is for, in one line.
    pub about: &'static str,
}

const YEAR: u64 = 31_536_000;
const DAY: u64 = 86_400;
const HOUR_NS: u64 = 3_600_000_000_000;
const ALL: u64 = 10_000;
const TERABYTE: u64 = 1_000_000_000_000;
const NANOSECONDS: u64 = 1_000_000_000;

const WARNING: u32 = MUTEX_SEVERITY_WARNING;
const CRITICAL: u32 = MUTEX_SEVERITY_CRITICAL;

macro_rules! settings {
    (
        first { $($key:literal $unit:ident $default:literal $range:expr, $about:literal;)* }
        rules { $($rule:literal $rule_unit:ident $threshold:literal $most:ident $severity:ident,
            $rule_about:literal;)* }
        last { $($last_key:literal $last_unit:ident $last_default:literal $last_range:expr,
            $last_about:literal;)* }
    ) => {
        /// How many settings there are.
        const COUNT: usize = [$($key,)*].len() + SETTINGS_A_RULE * [$($rule,)*].len()
            + [$($last_key,)*].len();

        /// Where the first rule's settings stand.
        const RULES: usize = [$($key,)*].len();

        /// Where the settings after the last rule stand.
        const LAST: usize = RULES + SETTINGS_A_RULE * [$($rule,)*].len();

        /// Every setting, in the order of the file.
        pub static SETTINGS: [Setting; COUNT] = [
            $(setting($key, Unit::$unit, $default, $range, $about),)*
            $(
                setting(
                    concat!("alert_", $rule),
                    Unit::$rule_unit,
                    $threshold,
                    0..=$most,
                    concat!($rule_about, " from which an alert is raised, 0 for never"),
                ),
                setting(
                    concat!("alert_", $rule, "_severity"),
                    Unit::Severity,
                    $severity as u64,
                    MUTEX_SEVERITY_INFO as u64..=MUTEX_SEVERITY_CRITICAL as u64,
                    "How bad that is: info, warning, error or critical",
                ),
                setting(
                    concat!("alert_", $rule, "_hysteresis"),
                    Unit::Percent,
                    10,
                    0..=100,
                    "Share of the threshold that the value has to fall by before the next alert",
                ),
                setting(
                    concat!("alert_", $rule, "_interval"),
                    Unit::Seconds,
                    10,
                    0..=DAY,
                    "Seconds between two of these alerts about the same subject, at least",
                ),
            )*
            $(setting($last_key, Unit::$last_unit, $last_default, $last_range, $last_about),)*
        ];
    };
}

const fn setting(
    key: &'static str,
    unit: Unit,
    default: u64,
    range: RangeInclusive<u64>,
    about: &'static str,
) -> Setting {
    Setting { key, unit, default, range, about }
}

/// A rule's threshold, severity, hysteresis and interval, in this order.
const SETTINGS_A_RULE: usize = 4;

/// Thresholds that a scope has; the host's table fill comes after its others.
const RULES_A_SCOPE: usize = Kind::TableFill as usize;

// The order is that of the constants below and, of the rules, by scope and then by kind.
settings! {
    first {
        "timeout_tcp" Seconds 7440 1..=YEAR,
            "Until an established TCP connection counts as ended (RFC 5382)";
        "timeout_tcp_opening" Seconds 120 1..=YEAR,
            "The same before its handshake is complete, or if only one end was ever heard";
        "timeout_tcp_closing" Seconds 240 1..=YEAR, "The same after the first FIN";
        "timeout_one_way" Seconds 30 1..=YEAR,
            "Until UDP and others count as ended without an answer";
        "timeout_two_way" Seconds 180 1..=YEAR, "The same with an answer";
        "timeout_icmp" Seconds 30 1..=YEAR, "The same for ICMP and ICMPv6";
        "timeout_closed" Seconds 5 0..=YEAR, "How long an ended connection stays visible";
        "timeout_fd" Seconds 60 0..=YEAR, "How long a socket fd without connections stays visible";
    }
    rules {
        "connection_latency" Nanoseconds 0 HOUR_NS WARNING, "Smoothed latency of a connection";
        "connection_error_rate" PerTenThousand 0 ALL WARNING, "Errors of a connection";
        "connection_retransmission_rate" PerTenThousand 0 ALL WARNING,
            "Retransmissions of a connection";
        "connection_drop_rate" PerTenThousand 0 ALL WARNING, "Lost packets of a connection";
        "connection_bandwidth_in" BytesPerSecond 0 TERABYTE WARNING,
            "What a connection receives";
        "connection_bandwidth_out" BytesPerSecond 0 TERABYTE WARNING, "What a connection sends";
        "fd_latency" Nanoseconds 0 HOUR_NS WARNING, "Smoothed latency of an fd";
        "fd_error_rate" PerTenThousand 0 ALL WARNING, "Errors of an fd";
        "fd_retransmission_rate" PerTenThousand 0 ALL WARNING, "Retransmissions of an fd";
        "fd_drop_rate" PerTenThousand 0 ALL WARNING, "Lost packets of an fd";
        "fd_bandwidth_in" BytesPerSecond 0 TERABYTE WARNING, "What an fd receives";
        "fd_bandwidth_out" BytesPerSecond 0 TERABYTE WARNING, "What an fd sends";
        "global_latency" Nanoseconds 0 HOUR_NS WARNING, "Smoothed latency of the host";
        "global_error_rate" PerTenThousand 0 ALL WARNING, "Errors of the host";
        "global_retransmission_rate" PerTenThousand 0 ALL WARNING, "Retransmissions of the host";
        "global_drop_rate" PerTenThousand 0 ALL WARNING, "Lost packets of the host";
        "global_bandwidth_in" BytesPerSecond 0 TERABYTE WARNING, "What the host receives";
        "global_bandwidth_out" BytesPerSecond 0 TERABYTE WARNING, "What the host sends";
        "global_table_fill" PerTenThousand 9000 ALL CRITICAL, "Use of the connection table";
    }
    last {
        "alert_minimum_packets" Packets 20 1..=1_000_000,
            "Packets that a window needs for its rates to be judged";
        "events_buffer" Events 4096 64..=65536,
            "Events that a new monitor can hold, a power of two";
        "quota_netns" Percent 50 1..=100,
            "Share of the connection table that one network namespace other than the first may use";
        "quota_first_netns" Percent 25 0..=99,
            "Share of the connection table that is for the first network namespace only";
        "alert_limit" AlertsPerMinute 100 0..=1_000_000,
            "Alerts about connections and fds in a minute, at most; 0 for no limit";
    }
}

const TIMEOUT_TCP: usize = 0;
const TIMEOUT_TCP_OPENING: usize = 1;
const TIMEOUT_TCP_CLOSING: usize = 2;
const TIMEOUT_ONE_WAY: usize = 3;
const TIMEOUT_TWO_WAY: usize = 4;
const TIMEOUT_ICMP: usize = 5;
const TIMEOUT_CLOSED: usize = 6;
const TIMEOUT_FD: usize = 7;
const MINIMUM_PACKETS: usize = LAST;
const EVENTS_BUFFER: usize = LAST + 1;
const QUOTA_NETNS: usize = LAST + 2;
const QUOTA_FIRST_NETNS: usize = LAST + 3;
const ALERT_LIMIT: usize = LAST + 4;

impl Setting {
    /// The value in words: a name where it has names, else the number.
    pub fn show(&self, value: u64) -> Shown {
        Shown { unit: self.unit, value }
    }

    fn check(&self, value: u64) -> Result<u64, Why> {
        if !self.range.contains(&value) {
            return Err(Why::OutOfRange { from: *self.range.start(), to: *self.range.end() });
        }
        if self.unit == Unit::Events && !value.is_power_of_two() {
            return Err(Why::NotAPowerOfTwo);
        }
        Ok(value)
    }

    fn parse(&self, word: &str) -> Result<u64, Why> {
        if self.unit == Unit::Severity {
            let named = Severity::ALL.into_iter().find(|&s| severity_name(s as u8) == word);
            return named.map(|severity| severity as u64).ok_or(Why::NotASeverity);
        }
        if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Why::NotANumber);
        }
        // Digits that are no u64 are too many of them.
        self.check(word.parse().unwrap_or(u64::MAX))
    }
}

/// Shows a setting's value.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    unit: Unit,
    value: u64,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Severity => f.pad(severity_name(self.value as u8)),
            _ => fmt::Display::fmt(&self.value, f),
        }
    }
}

/// Why a value was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no such setting.
    UnknownKey,
    /// The line ends after the key.
    NoValue,
    /// The line goes on after the value.
    TooMuch,
    /// Something else than digits stands there.
    NotANumber,
    /// The word is no severity's name.
    NotASeverity,
    /// The setting does not take the value.
    OutOfRange {
        /// The smallest that it takes.
        from: u64,
        /// The largest that it takes.
        to: u64,
    },
    /// The setting takes powers of two only.
    NotAPowerOfTwo,
    /// An earlier line has set the same key.
    Twice,
    /// The line is not text.
    NotUtf8,
    /// There are more than [`WRITE_MAX`] bytes.
    TooLong,
}

/// What of a write is wrong first, and why; nothing of it was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The line, counted from 1; 0 if it is not about a line.
    pub line: usize,
    /// The key, or the line's first word where it has no key; empty if it is not about a line.
    pub word: &'a [u8],
    /// Why.
    pub why: Why,
}

/// Bytes of a word that are shown: one that is longer is none of ours, and ends up in the log.
const WORD_SHOWN: usize = 48;

/// A word that somebody wrote, as far as it is shown.
struct Word<'a>(&'a [u8]);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, more) = match self.0.split_at_checked(WORD_SHOWN) {
            Some((shown, rest)) if !rest.is_empty() => (shown, "..."),
            _ => (self.0, ""),
        };
        write!(f, "{}{more}", shown.escape_ascii())
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line != 0 {
            write!(f, "line {}: ", self.line)?;
        }
        let word = Word(self.word);
        match self.why {
            Why::UnknownKey => write!(f, "there is no setting called {word}"),
            Why::NoValue => write!(f, "{word} has no value"),
            Why::TooMuch => write!(f, "{word} has more than one value"),
            Why::NotANumber => write!(f, "the value of {word} is not a number"),
            Why::NotASeverity => {
                write!(f, "the value of {word} is not info, warning, error or critical")
            }
            Why::OutOfRange { from, to } => {
                write!(f, "the value of {word} is out of its range from {from} to {to}")
            }
            Why::NotAPowerOfTwo => write!(f, "the value of {word} is not a power of two"),
            Why::Twice => write!(f, "{word} is set twice in one write"),
            Why::NotUtf8 => write!(f, "what starts with {word} is not UTF-8"),
            Why::TooLong => write!(f, "the write is longer than {WRITE_MAX} bytes"),
        }
    }
}

/// What a line sets: the setting's place and its value.
type Change = (usize, u64);

/// Reads a line; `None` if it sets nothing.
fn read(line: &[u8]) -> Result<Option<Change>, (&[u8], Why)> {
    let text = str::from_utf8(line).map_err(|_| {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        (words.next().unwrap_or_default(), Why::NotUtf8)
    })?;
    let mut words = text.split('#').next().unwrap_or_default().split_ascii_whitespace();
    let Some(key) = words.next() else {
        return Ok(None);
    };
    let refuse = |why| (key.as_bytes(), why);
    let place = SETTINGS.iter().position(|setting| setting.key == key);
    if place.is_none() && key != "format" {
        return Err(refuse(Why::UnknownKey));
    }
    let word = words.next().ok_or(refuse(Why::NoValue))?;
    if words.next().is_some() {
        return Err(refuse(Why::TooMuch));
    }
    match place.and_then(|place| Some((place, SETTINGS.get(place)?))) {
        Some((place, setting)) => {
            setting.parse(word).map(|value| Some((place, value))).map_err(refuse)
        }
        // What was read from the file can be written to it as it is.
        None if word.parse() == Ok(FORMAT) => Ok(None),
        None => Err(refuse(Why::OutOfRange { from: FORMAT.into(), to: FORMAT.into() })),
    }
}

/// The values of all [`SETTINGS`].
///
/// Each is read on its own: who judges while several change can see some of them changed already.
#[derive(Debug)]
pub struct Config([AtomicU64; COUNT]);

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// The defaults.
    pub const fn new() -> Self {
        let mut values = [const { AtomicU64::new(0) }; COUNT];
        let mut place = 0;
        while place < COUNT {
            values[place] = AtomicU64::new(SETTINGS[place].default);
            place += 1;
        }
        Config(values)
    }

    #[inline]
    fn value(&self, place: usize) -> u64 {
        self.0.get(place).map_or(0, |value| value.load(Relaxed))
    }

    #[inline]
    fn nanoseconds(&self, place: usize) -> u64 {
        self.value(place).wrapping_mul(NANOSECONDS)
    }

    /// How long a connection in that state may be silent before it counts as ended, in nanoseconds.
    #[inline]
    pub fn idle(&self, protocol_number: u8, state: State) -> u64 {
        self.nanoseconds(match state {
            State::SynSent | State::SynRecv => TIMEOUT_TCP_OPENING,
            State::Established => TIMEOUT_TCP,
            State::OneWay | State::TwoWay
                if matches!(protocol_number, protocol::ICMP | protocol::ICMPV6) =>
            {
                TIMEOUT_ICMP
            }
            State::OneWay => TIMEOUT_ONE_WAY,
            State::TwoWay => TIMEOUT_TWO_WAY,
            _ => TIMEOUT_TCP_CLOSING,
        })
    }

    /// How long a connection that has ended stays visible, in nanoseconds.
    #[inline]
    pub fn closed(&self) -> u64 {
        self.nanoseconds(TIMEOUT_CLOSED)
    }

    /// How long an fd without connections is kept, in nanoseconds.
    #[inline]
    pub fn fd(&self) -> u64 {
        self.nanoseconds(TIMEOUT_FD)
    }

    /// The rule about that kind of measurement; it is off where a scope has no such rule.
    #[inline]
    pub fn rule(&self, scope: Scope, kind: Kind) -> Rule {
        let [threshold, severity, hysteresis, interval] = match place_of(scope, kind) {
            Some(first) => array::from_fn(|n| self.value(first + n)),
            None => [0; SETTINGS_A_RULE],
        };
        Rule {
            scope,
            kind,
            threshold,
            severity: Severity::from_number(severity),
            hysteresis,
            interval,
        }
    }

    /// Packets that a window needs for its rates to be judged.
    #[inline]
    pub fn minimum_packets(&self) -> u64 {
        self.value(MINIMUM_PACKETS)
    }

    /// Events that a new monitor can hold, a power of two.
    pub fn events_buffer(&self) -> usize {
        self.value(EVENTS_BUFFER) as usize
    }

    /// What network namespaces other than the first may use of a table of `size` records.
    pub fn limits(&self, size: u32) -> Limits {
        Limits::new(size, self.value(QUOTA_NETNS), self.value(QUOTA_FIRST_NETNS))
    }

    /// Alerts about connections and fds in a minute, at most; 0 for no limit.
    #[inline]
    pub fn alert_limit(&self) -> u64 {
        self.value(ALERT_LIMIT)
    }

    /// The value of that key; a severity is its number.
    pub fn get(&self, key: &str) -> Option<u64> {
        SETTINGS.iter().position(|setting| setting.key == key).map(|place| self.value(place))
    }

    /// Sets one value, if the key takes it.
    pub fn set<'a>(&self, key: &'a str, value: u64) -> Result<(), Refusal<'a>> {
        let refuse = |why| Refusal { line: 0, word: key.as_bytes(), why };
        let mut all = SETTINGS.iter().zip(&self.0);
        let (setting, mine) =
            all.find(|(setting, _)| setting.key == key).ok_or(refuse(Why::UnknownKey))?;
        mine.store(setting.check(value).map_err(refuse)?, Relaxed);
        Ok(())
    }

    /// Writes the whole file.
    pub fn text(&self, out: &mut impl Write) -> fmt::Result {
        writeln!(out, "format {FORMAT}")?;
        for (setting, value) in SETTINGS.iter().zip(&self.0) {
            writeln!(out, "{} {}", setting.key, setting.show(value.load(Relaxed)))?;
        }
        Ok(())
    }

    /// Does what was written to the file: all of it or, if it is refused, nothing. The caller sees
    /// to it that there is one at a time.
    pub fn change<'a>(&self, text: &'a [u8]) -> Result<(), Refusal<'a>> {
        if text.len() > WRITE_MAX {
            return Err(Refusal { line: 0, word: &[], why: Why::TooLong });
        }
        let mut staged = [None; COUNT];
        for (line, bytes) in (1..).zip(text.split(|&byte| byte == b'\n')) {
            let change = read(bytes).map_err(|(word, why)| Refusal { line, word, why })?;
            let Some((place, value)) = change else {
                continue;
            };
            if let (Some(staged), Some(setting)) = (staged.get_mut(place), SETTINGS.get(place)) {
                if staged.replace(value).is_some() {
                    return Err(Refusal { line, word: setting.key.as_bytes(), why: Why::Twice });
                }
            }
        }
        for (mine, staged) in self.0.iter().zip(staged) {
            if let Some(value) = staged {
                mine.store(value, Relaxed);
            }
        }
        Ok(())
    }
}

/// Where a rule's settings stand.
#[inline]
fn place_of(scope: Scope, kind: Kind) -> Option<usize> {
    if kind == Kind::TableFill && scope != Scope::Global {
        return None;
    }
    let rule = scope as usize * RULES_A_SCOPE + kind as usize;
    Some(RULES + rule * SETTINGS_A_RULE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::alert_kind_name;
    use crate::names::scope_name;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::prelude::v1::*;

    fn text_of(config: &Config) -> String {
        let mut text = String::new();
        config.text(&mut text).expect("a string takes everything");
        text
    }

    fn refused(text: &str) -> String {
        let config = Config::new();
        let refusal = config.change(text.as_bytes()).expect_err("it is wrong").to_string();
        assert_eq!(text_of(&config), text_of(&Config::new()));
        refusal
    }

    #[test]
    fn the_table_is_as_the_getters_take_it() {
        let keys: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        assert_eq!(keys.len(), COUNT);
        assert_eq!(COUNT, 8 + 4 * 19 + 5);
        for setting in &SETTINGS {
            assert_eq!(setting.check(setting.default), Ok(setting.default), "{}", setting.key);
            assert!(setting.key.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()));
        }
        for (place, key) in [
            (TIMEOUT_TCP, "timeout_tcp"),
            (TIMEOUT_TCP_OPENING, "timeout_tcp_opening"),
            (TIMEOUT_TCP_CLOSING, "timeout_tcp_closing"),
            (TIMEOUT_ONE_WAY, "timeout_one_way"),
            (TIMEOUT_TWO_WAY, "timeout_two_way"),
            (TIMEOUT_ICMP, "timeout_icmp"),
            (TIMEOUT_CLOSED, "timeout_closed"),
            (TIMEOUT_FD, "timeout_fd"),
            (MINIMUM_PACKETS, "alert_minimum_packets"),
            (EVENTS_BUFFER, "events_buffer"),
            (QUOTA_NETNS, "quota_netns"),
            (QUOTA_FIRST_NETNS, "quota_first_netns"),
            (ALERT_LIMIT, "alert_limit"),
        ] {
            assert_eq!(SETTINGS[place].key, key);
        }
        let mut rules = 0;
        for scope in Scope::ALL {
            for kind in Kind::ALL {
                let Some(place) = place_of(scope, kind) else {
                    continue;
                };
                rules += 1;
                let rule =
                    format!("alert_{}_{}", scope_name(scope as u8), alert_kind_name(kind as u8));
                let suffixes = ["", "_severity", "_hysteresis", "_interval"];
                for (setting, suffix) in SETTINGS[place..].iter().zip(suffixes) {
                    assert_eq!(setting.key, format!("{rule}{suffix}"));
                }
            }
        }
        assert_eq!(rules, 19);
    }

    #[test]
    fn the_defaults_are_in_force() {
        let config = Config::new();
        assert_eq!(config.idle(6, State::Established), 7440 * NANOSECONDS);
        assert_eq!(config.idle(6, State::SynRecv), 120 * NANOSECONDS);
        assert_eq!(config.idle(6, State::FinWait2), 240 * NANOSECONDS);
        assert_eq!(config.idle(17, State::OneWay), 30 * NANOSECONDS);
        assert_eq!(config.idle(17, State::TwoWay), 180 * NANOSECONDS);
        assert_eq!(config.idle(58, State::TwoWay), 30 * NANOSECONDS);
        assert_eq!((config.closed(), config.fd()), (5 * NANOSECONDS, 60 * NANOSECONDS));
        assert_eq!((config.minimum_packets(), config.events_buffer()), (20, 4096));
        assert_eq!(config.limits(1000), Limits { each: 500, all: 750 });
        assert_eq!(config.alert_limit(), 100);
        for scope in Scope::ALL {
            for kind in Kind::ALL {
                let fill = scope == Scope::Global && kind == Kind::TableFill;
                assert_eq!(config.rule(scope, kind).threshold, if fill { 9000 } else { 0 });
            }
        }
        let rule = config.rule(Scope::Global, Kind::TableFill);
        assert_eq!((rule.severity, rule.hysteresis, rule.interval), (Severity::Critical, 10, 10));
        assert_eq!(config.rule(Scope::Fd, Kind::DropRate).severity, Severity::Warning);
    }

    #[test]
    fn several_lines_change_at_once() {
        let config = Config::new();
        let text = b"# faster\n\n timeout_tcp\t60 # a minute\r\nalert_fd_latency 20000000\n\
            alert_fd_latency_severity error\nevents_buffer 65536";
        assert_eq!(config.change(text), Ok(()));
        assert_eq!(config.idle(6, State::Established), 60 * NANOSECONDS);
        let rule = config.rule(Scope::Fd, Kind::Latency);
        assert_eq!((rule.threshold, rule.severity), (20_000_000, Severity::Error));
        assert_eq!(config.events_buffer(), 65536);
        assert_eq!(config.change(b""), Ok(()));
    }

    #[test]
    fn a_refusal_says_where_what_and_why() {
        assert_eq!(
            refused("timeout_tcp 1\nnot_there 3"),
            "line 2: there is no setting called not_there"
        );
        assert_eq!(refused("\ntimeout_tcp # 5"), "line 2: timeout_tcp has no value");
        assert_eq!(refused("timeout_tcp 5 6"), "line 1: timeout_tcp has more than one value");
        for number in ["x", "-1", "+1", "1.5", "0x10"] {
            assert_eq!(
                refused(&format!("timeout_tcp {number}")),
                "line 1: the value of timeout_tcp is not a number"
            );
        }
        for number in ["0", "31536001", "99999999999999999999999"] {
            assert_eq!(
                refused(&format!("timeout_fd 1\ntimeout_tcp {number}")),
                "line 2: the value of timeout_tcp is out of its range from 1 to 31536000"
            );
        }
        assert_eq!(
            refused("events_buffer 100"),
            "line 1: the value of events_buffer is not a power of two"
        );
        assert_eq!(
            refused("timeout_fd 1\ntimeout_fd 1"),
            "line 2: timeout_fd is set twice in one write"
        );
        assert_eq!(
            refused("alert_fd_latency_severity 1"),
            "line 1: the value of alert_fd_latency_severity is not info, warning, error or critical"
        );
        assert_eq!(
            refused("format 2"),
            "line 1: the value of format is out of its range from 1 to 1"
        );
        assert_eq!(refused(&"#".repeat(4097)), "the write is longer than 4096 bytes");
        let long = refused(&"x".repeat(4096));
        assert_eq!(long, format!("line 1: there is no setting called {}...", "x".repeat(48)));
        let bytes = Config::new().change(b"timeout_fd 1\n\xff 1").map_err(|r| r.to_string());
        assert_eq!(bytes, Err("line 2: what starts with \\xff is not UTF-8".into()));
        assert_eq!(
            Config::new().set("timeout_tcp", 0).map_err(|refusal| refusal.to_string()),
            Err("the value of timeout_tcp is out of its range from 1 to 31536000".into())
        );
    }

    #[test]
    fn the_file_at_its_longest_can_be_written_back() {
        let config = Config::new();
        for setting in &SETTINGS {
            config.set(setting.key, *setting.range.end()).expect("it is in its range");
        }
        let text = text_of(&config);
        assert_eq!(config.change(text.as_bytes()), Ok(()));
        assert_eq!(text_of(&config), text);
    }

    fn a_setting() -> impl Strategy<Value = &'static Setting> {
        (0..COUNT).prop_map(|place| &SETTINGS[place])
    }

    /// Lines that are right more often than not.
    fn a_line() -> impl Strategy<Value = String> {
        (a_setting(), any::<u64>(), 0..8).prop_map(|(setting, random, how)| {
            let (from, to) = (*setting.range.start(), *setting.range.end());
            let value = match setting.unit {
                Unit::Events => 1 << (6 + random % 11),
                _ => from + random % (to - from + 1),
            };
            match how {
                0 => format!("{} {random}", setting.key),
                1 => format!("# {}", setting.key),
                _ => format!("{} {}", setting.key, setting.show(value)),
            }
        })
    }

    proptest! {
        #[test]
        fn any_bytes_change_nothing_or_what_they_say(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let config = Config::new();
            if let Err(refusal) = config.change(&bytes) {
                prop_assert!(!refusal.to_string().is_empty());
                prop_assert_eq!(text_of(&config), text_of(&Config::new()));
            }
        }

        #[test]
        fn a_write_is_applied_whole_or_not_at_all(
            lines in proptest::collection::vec(a_line(), 0..8),
        ) {
            let config = Config::new();
            let text = lines.join("\n");
            match config.change(text.as_bytes()) {
                Err(_) => prop_assert_eq!(text_of(&config), text_of(&Config::new())),
                Ok(()) => {
                    let now = text_of(&config);
                    for line in lines.iter().filter(|line| !line.starts_with('#')) {
                        prop_assert!(now.lines().any(|shown| shown == line), "{}", line);
                    }
                    prop_assert_eq!(config.change(now.as_bytes()), Ok(()));
                    prop_assert_eq!(text_of(&config), now);
                }
            }
        }

        #[test]
        fn every_key_takes_the_ends_of_its_range_and_nothing_beyond(setting in a_setting()) {
            let config = Config::new();
            for value in [*setting.range.start(), *setting.range.end()] {
                let line = format!("{} {}\n", setting.key, setting.show(value));
                prop_assert_eq!(config.change(line.as_bytes()), Ok(()));
                prop_assert_eq!(config.get(setting.key), Some(value));
            }
            let beyond = format!("{} {}", setting.key, *setting.range.end() + 1);
            prop_assert!(config.change(beyond.as_bytes()).is_err());
            prop_assert_eq!(config.get(setting.key), Some(*setting.range.end()));
        }
    }
}
