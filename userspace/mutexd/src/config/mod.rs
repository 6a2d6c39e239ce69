// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be set in the configuration file. `mutexd.toml` explains each setting.

mod address;
mod duration;
mod problem;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use mutex_stats::diagnostics::Severity;
use serde::Deserialize;
use serde::Serialize;

pub use problem::Problem;

/// All settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the kernel's files are.
    pub proc: PathBuf,
    /// Where the daemon keeps what outlives it.
    pub state_folder: PathBuf,
    pub log: Log,
    pub network: Network,
    pub diagnostics: Diagnostics,
    pub history: History,
    pub monitor: Monitor,
    pub http: Http,
    pub prometheus: Prometheus,
    pub page: Page,
    /// None: peers of WireGuard are not watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<mutex_peers::Settings>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            proc: mutex_stats::Proc::FOLDER.into(),
            state_folder: "/var/lib/mutexd".into(),
            log: Log::default(),
            network: Network::default(),
            diagnostics: Diagnostics::default(),
            history: History::default(),
            monitor: Monitor::default(),
            http: Http::default(),
            prometheus: Prometheus::default(),
            page: Page::default(),
            peers: None,
        }
    }
}

/// What is logged, how and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub level: Level,
    pub format: LogFormat,
    /// Empty: standard error, or `mutexd.log` in the state folder when started in the background.
    pub file: PathBuf,
}

impl Default for Log {
    fn default() -> Self {
        Log { level: Level::Info, format: LogFormat::Text, file: PathBuf::new() }
    }
}

/// From which severity on something is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warning,
    Info,
    Debug,
    Trace,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// How the kernel module's numbers are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    #[serde(with = "duration")]
    pub interval: Duration,
    pub samples: usize,
}

impl Default for Network {
    fn default() -> Self {
        Network { interval: Duration::from_secs(1), samples: 300 }
    }
}

/// What is recorded of what happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Diagnostics {
    pub max_events: usize,
    #[serde(with = "duration")]
    pub retention_period: Duration,
    #[serde(with = "duration")]
    pub cleanup_interval: Duration,
    pub enable_metrics: bool,
    pub enable_health_check: bool,
    #[serde(with = "duration")]
    pub health_interval: Duration,
    pub log_level: RecordLevel,
    /// Empty: none.
    pub socket: PathBuf,
    /// Whose members may hand over events, beside root and the daemon's user. Empty: the daemon's own group.
    pub group: String,
    /// Whether connections that start and end are recorded, beside alerts.
    pub connections: bool,
}

impl Default for Diagnostics {
    fn default() -> Self {
        Diagnostics {
            max_events: 1000,
            retention_period: 24 * HOUR,
            cleanup_interval: 300 * SECOND,
            enable_metrics: true,
            enable_health_check: true,
            health_interval: 30 * SECOND,
            log_level: RecordLevel::Warning,
            socket: PathBuf::new(),
            group: String::new(),
            connections: false,
        }
    }
}

/// What is kept of what was counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    pub enabled: bool,
    /// Empty: `history.db` in the state folder.
    pub database: PathBuf,
    #[serde(with = "duration")]
    pub interval: Duration,
    pub top: usize,
    pub max_bytes: usize,
}

impl Default for History {
    fn default() -> Self {
        History {
            enabled: false,
            database: PathBuf::new(),
            interval: 10 * SECOND,
            top: 10,
            max_bytes: 256 << 20,
        }
    }
}

/// What is asked of how the daemon and its host perform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Monitor {
    pub enabled: bool,
    #[serde(with = "duration")]
    pub interval: Duration,
    pub samples: usize,
    pub peers: usize,
    pub disks: Vec<PathBuf>,
}

impl Default for Monitor {
    fn default() -> Self {
        Monitor {
            enabled: true,
            interval: mutex_stats::monitor::Monitor::INTERVAL,
            samples: mutex_stats::monitor::HISTORY,
            peers: 0,
            disks: vec!["/".into()],
        }
    }
}

/// How bad something that was recorded is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordLevel {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl RecordLevel {
    /// The recorder's word for it.
    pub fn severity(self) -> Severity {
        match self {
            RecordLevel::Debug => Severity::Debug,
            RecordLevel::Info => Severity::Info,
            RecordLevel::Warning => Severity::Warning,
            RecordLevel::Error => Severity::Error,
            RecordLevel::Critical => Severity::Critical,
        }
    }
}

/// Who may ask, and how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    #[serde(with = "address")]
    pub listening_address: Vec<SocketAddr>,
    /// The local socket. Empty: none.
    pub socket: PathBuf,
    /// Whose members may ask over it, beside root and the daemon's user. Empty: nobody's.
    pub group: String,
    pub allow_everyone: bool,
    /// Empty: no token.
    pub token_file: PathBuf,
    /// Names that the host may be asked for by, beside `localhost` and addresses.
    pub host_names: Vec<String>,
    pub max_connections: usize,
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    pub tls: Tls,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            listening_address: vec![SocketAddr::from(([127, 0, 0, 1], 8787))],
            socket: "/run/mutexd/http.sock".into(),
            group: String::new(),
            allow_everyone: false,
            token_file: PathBuf::new(),
            host_names: Vec::new(),
            max_connections: 64,
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            tls: Tls::default(),
        }
    }
}

/// Files in PEM. Empty: no TLS, or no certificates of clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub client_ca: PathBuf,
}

/// What metrics name beside the host's totals.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prometheus {
    pub top_connections: usize,
    pub top_fds: usize,
}

/// The live page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    pub enabled: bool,
    #[serde(with = "duration")]
    pub interval: Duration,
    pub rows: usize,
    pub max_viewers: usize,
}

impl Default for Page {
    fn default() -> Self {
        Page { enabled: true, interval: Duration::from_secs(2), rows: 20, max_viewers: 16 }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

impl Config {
    /// Whether metrics name connections, sockets, other ends or peers, which not every user of the host may see.
    pub fn has_private_metrics(&self) -> bool {
        let Config { prometheus, monitor, peers, .. } = self;
        let named = prometheus.top_connections + prometheus.top_fds;
        named > 0 || monitor.enabled && monitor.peers > 0 || peers.is_some()
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// A sentence that names the file, the line and the setting, and says what to do.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let text = fs::read_to_string(path).map_err(|error| Problem::of_file(path, &error))?;
        Config::parse(&text).map_err(|problem| problem.in_file(path))
    }

    /// Reads a file, or takes the defaults where there is none and nobody asked for one.
    ///
    /// # Errors
    ///
    /// As [`Config::read`].
    pub fn find(named: Option<&Path>) -> Result<Self, Problem> {
        match (named, Path::new(Self::FILE)) {
            (Some(path), _) => Config::read(path),
            (None, path) if path.exists() => Config::read(path),
            (None, _) => Ok(Config::default()),
        }
    }

    /// Where the configuration is if nobody says anything else.
    pub const FILE: &str = "/etc/mutexd.toml";

    /// Understands the text of a file.
    ///
    /// # Errors
    ///
    /// As [`Config::read`], without the file.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let config: Config =
            toml::from_str(text).map_err(|error| Problem::of_toml(text, &error))?;
        config.check().map_err(|problem| problem.found_in(text))?;
        Ok(config)
    }

    /// Whether every value makes sense, alone and with the others.
    fn check(&self) -> Result<(), Problem> {
        let Config { network, diagnostics, history, monitor, http, prometheus, page, .. } = self;
        let disks = monitor.disks.iter().map(|disk| ("monitor.disks", disk));
        let socket = Some(("http.socket", &http.socket));
        let socket = socket.filter(|(_, path)| !path.as_os_str().is_empty());
        let folders = [("proc", &self.proc), ("state_folder", &self.state_folder)];
        for (setting, path) in folders.into_iter().chain(socket).chain(disks) {
            if !path.is_absolute() {
                let what = format!("\"{}\" is no absolute path; begin it with /", path.display());
                return Err(Problem::new(setting, what));
            }
        }
        span("network.interval", network.interval, Duration::from_millis(100)..=HOUR)?;
        count("network.samples", network.samples, 2..=86400)?;
        count("diagnostics.max_events", diagnostics.max_events, 1..=1_000_000)?;
        let kept = diagnostics.retention_period;
        span("diagnostics.retention_period", kept, SECOND..=365 * 24 * HOUR)?;
        span("diagnostics.cleanup_interval", diagnostics.cleanup_interval, SECOND..=24 * HOUR)?;
        span("diagnostics.health_interval", diagnostics.health_interval, SECOND..=24 * HOUR)?;
        span("history.interval", history.interval, SECOND..=HOUR)?;
        count("history.top", history.top, 1..=1000)?;
        count("history.max_bytes", history.max_bytes, 1 << 20..=1 << 40)?;
        span("monitor.interval", monitor.interval, Duration::from_millis(100)..=HOUR)?;
        count("monitor.samples", monitor.samples, 1..=100_000)?;
        count("monitor.peers", monitor.peers, 0..=1000)?;
        let has_socket = !http.socket.as_os_str().is_empty();
        if http.listening_address.is_empty() && !has_socket {
            let what =
                "there is no address; name one, such as \"127.0.0.1:8787\", or set http.socket";
            return Err(Problem::new("http.listening_address", what));
        }
        count("http.max_connections", http.max_connections, 1..=10_000)?;
        span("http.request_timeout", http.request_timeout, SECOND..=60 * SECOND)?;
        span("http.idle_timeout", http.idle_timeout, SECOND..=HOUR)?;
        http.tls.check()?;
        http.check_who_may_ask()?;
        count("prometheus.top_connections", prometheus.top_connections, 0..=1000)?;
        count("prometheus.top_fds", prometheus.top_fds, 0..=1000)?;
        span("page.interval", page.interval, SECOND..=HOUR)?;
        count("page.rows", page.rows, 1..=200)?;
        count("page.max_viewers", page.max_viewers, 1..=1000)?;
        let of_peers = self.peers.as_ref().map(mutex_peers::Settings::check);
        of_peers
            .unwrap_or(Ok(()))
            .map_err(|bad| Problem::new(&format!("peers.{}", bad.name), format!("it {}", bad.what)))
    }
}

impl Http {
    /// Whether everybody who can reach an address may ask everything.
    pub fn is_open(&self) -> bool {
        self.allow_everyone && !self.has_proof()
    }

    /// Whether a token or a certificate is asked for, by which people show who they are.
    pub fn has_proof(&self) -> bool {
        self.has_token() || !self.tls.client_ca.as_os_str().is_empty()
    }

    /// Whether there is a token.
    pub fn has_token(&self) -> bool {
        !self.token_file.as_os_str().is_empty()
    }

    fn check_who_may_ask(&self) -> Result<(), Problem> {
        let beyond = self.listening_address.iter().find(|address| !address.ip().is_loopback());
        match beyond {
            Some(address) if !self.has_proof() && !self.allow_everyone => Err(Problem::new(
                "http.listening_address",
                format!(
                    "{address} can be reached from other hosts; set http.token_file with \
                     http.tls.certificate and http.tls.key, or http.tls.client_ca, or \
                     http.allow_everyone = true if everyone may see everything"
                ),
            )),
            Some(address) if self.has_token() && !self.tls.is_on() => Err(Problem::new(
                "http.token_file",
                format!(
                    "{address} can be reached from other hosts, and without TLS the token can be \
                     read on its way there; set http.tls.certificate and http.tls.key, or listen \
                     on loopback addresses only"
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl Tls {
    /// Whether there is TLS.
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    fn check(&self) -> Result<(), Problem> {
        let is_set = |path: &Path| !path.as_os_str().is_empty();
        match (self.is_on(), is_set(&self.key), is_set(&self.client_ca)) {
            (true, false, _) => Err(Problem::new(
                "http.tls.certificate",
                "a certificate needs its key; set http.tls.key",
            )),
            (false, true, _) => Err(Problem::new(
                "http.tls.key",
                "a key needs its certificate; set http.tls.certificate",
            )),
            (false, false, true) => Err(Problem::new(
                "http.tls.client_ca",
                "clients show certificates over TLS only; set http.tls.certificate and \
                 http.tls.key",
            )),
            _ => Ok(()),
        }
    }
}

fn count(setting: &str, value: usize, range: RangeInclusive<usize>) -> Result<(), Problem> {
    if range.contains(&value) {
        return Ok(());
    }
    let what = format!("{value} is out of range; set {} to {}", range.start(), range.end());
    Err(Problem::new(setting, what))
}

fn span(setting: &str, value: Duration, range: RangeInclusive<Duration>) -> Result<(), Problem> {
    if range.contains(&value) {
        return Ok(());
    }
    let [value, start, end] = [value, *range.start(), *range.end()].map(duration::shown);
    Err(Problem::new(setting, format!("{value} is out of range; set {start} to {end}")))
}

impl Problem {
    fn of_file(path: &Path, error: &io::Error) -> Self {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "does not exist; name another file with --config".into(),
            io::ErrorKind::InvalidData => "is not text in UTF-8".into(),
            _ => format!("cannot be read: {}", crate::reason(error)),
        };
        Problem::new("", what).in_file(path)
    }
}

#[cfg(test)]
mod tests;
