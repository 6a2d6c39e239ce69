// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be set, what it is when nobody sets it, and what it may be.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::PublicKey;

/// Settings of everything about peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether peers are pinged (yes).
    pub use_ping_checks: bool,
    /// How many pings are under way at the same time, at the most (10).
    pub ping_check_workers: usize,
    /// How often each peer is pinged (every minute).
    #[serde(with = "crate::duration")]
    pub ping_check_interval: Duration,
    /// How long an answer is waited for (one second). Workers divided by this is what they do for
    /// certain in a second, even if nobody answers.
    #[serde(with = "crate::duration")]
    pub ping_check_timeout: Duration,
    /// How many checks may wait for a worker (1000). A check that finds no room is left out, and counted.
    pub ping_check_queue: usize,
    /// How many results of each peer the percentiles and the loss are of (1000, the newest).
    pub ping_check_samples: usize,
    /// How long each single result is kept in the database (seven days).
    #[serde(with = "crate::duration")]
    pub ping_check_retention: Duration,
    /// How often the kernel is asked (every minute). It is also asked by each scrape.
    #[serde(with = "crate::duration")]
    pub data_collection_interval: Duration,
    /// Whether traffic of interfaces is collected (yes).
    pub collect_interface_data: bool,
    /// Whether traffic, handshakes and sessions of peers are collected (yes).
    pub collect_peer_data: bool,
    /// The database, which survives restarts; without it nothing does (none).
    pub database: Option<PathBuf>,
    /// How much that could not be written yet waits for the database (100000 results and sessions).
    pub database_backlog: usize,
    /// How many events are kept for who asks, and how many a slow subscriber may be behind before it misses some (1024).
    pub event_capacity: usize,
    /// The name of this node among others (the host's name).
    pub node: Option<String>,
    /// Telling other nodes what happens.
    pub fanout: Fanout,
    /// What is said of peers here, by their public key; it goes before what the event bus says.
    pub peers: BTreeMap<PublicKey, PeerSettings>,
}

/// Settings of the fan-out to other nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fanout {
    /// Whether there is one (no).
    pub enabled: bool,
    /// Addresses of NATS servers (`nats://127.0.0.1:4222`).
    pub servers: Vec<String>,
    /// What subjects begin with (`mutex.peers`).
    pub subject: String,
    /// The user that the server knows this node as (none).
    pub user: Option<String>,
    /// A file with that user's password, which nobody else may read (none).
    pub password_file: Option<PathBuf>,
    /// A file with the credentials (JWT and seed) that the server wants (none).
    pub credentials: Option<PathBuf>,
    /// How many events are kept for a server that is away, and for nodes that missed some (10000).
    pub capacity: usize,
    /// How many other nodes are listened to (256).
    pub max_nodes: usize,
    /// How many peers of other nodes are remembered, of all of them together (100000).
    pub max_peers: usize,
    /// How many names are kept that other nodes tell of peers that are not here (10000).
    pub max_names: usize,
    /// How long a node is remembered that is not heard from (one day). Nodes say something every 30 seconds.
    #[serde(with = "crate::duration")]
    pub node_expiry: Duration,
}

/// Bytes of a name, at the most.
pub(crate) const MOST_NAME: usize = 256;

/// Whether this can be the name of a peer.
pub(crate) fn is_sound_name(name: &str) -> bool {
    name.len() <= MOST_NAME && !name.contains(char::is_control)
}

/// Whether this can be the name of a node.
pub(crate) fn is_sound_node(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.contains(char::is_control)
}

/// What is said of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeerSettings {
    /// A name for people.
    pub name: String,
    /// The address to ping, instead of the first allowed IP.
    pub check_alive_address: Option<IpAddr>,
}

impl PeerSettings {
    pub(crate) fn has_sound_name(&self) -> bool {
        is_sound_name(&self.name)
    }

    /// With a name that is within the bounds, for what comes from before there were any.
    pub(crate) fn bounded(mut self) -> Self {
        if !self.has_sound_name() {
            self.name.retain(|c| !c.is_control());
            while self.name.len() > MOST_NAME {
                self.name.pop();
            }
        }
        self
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {what}")]
pub struct BadSetting {
    /// The name of the setting.
    pub name: &'static str,
    /// What it has to be.
    pub what: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            use_ping_checks: true,
            ping_check_workers: 10,
            ping_check_interval: Duration::from_secs(60),
            ping_check_timeout: Duration::from_secs(1),
            ping_check_queue: 1000,
            ping_check_samples: 1000,
            ping_check_retention: Duration::from_secs(7 * 86_400),
            data_collection_interval: Duration::from_secs(60),
            collect_interface_data: true,
            collect_peer_data: true,
            database: None,
            database_backlog: 100_000,
            event_capacity: 1024,
            node: None,
            fanout: Fanout::default(),
            peers: BTreeMap::new(),
        }
    }
}

impl Default for Fanout {
    fn default() -> Self {
        Fanout {
            enabled: false,
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            subject: "mutex.peers".to_owned(),
            user: None,
            password_file: None,
            credentials: None,
            capacity: 10_000,
            max_nodes: 256,
            max_peers: 100_000,
            max_names: 10_000,
            node_expiry: Duration::from_secs(86_400),
        }
    }
}

impl Settings {
    /// Checks that everything can be.
    ///
    /// # Errors
    ///
    /// The first setting that cannot.
    pub fn check(&self) -> Result<(), BadSetting> {
        let shortest = Duration::from_millis(10);
        let longest = Duration::from_secs(366 * 86_400);
        let checks = [
            (
                (1..=1000).contains(&self.ping_check_workers),
                "ping_check_workers",
                "has to be from 1 to 1000",
            ),
            (
                (shortest..=longest).contains(&self.ping_check_interval),
                "ping_check_interval",
                "has to be from 10ms to 366d",
            ),
            (
                (shortest..=Duration::from_secs(60)).contains(&self.ping_check_timeout),
                "ping_check_timeout",
                "has to be from 10ms to 1m",
            ),
            (
                (1..=1_000_000).contains(&self.ping_check_queue),
                "ping_check_queue",
                "has to be from 1 to 1000000",
            ),
            (
                (1..=100_000).contains(&self.ping_check_samples),
                "ping_check_samples",
                "has to be from 1 to 100000",
            ),
            (
                self.ping_check_retention <= 100 * longest,
                "ping_check_retention",
                "has to be at most a hundred years",
            ),
            (
                (shortest..=longest).contains(&self.data_collection_interval),
                "data_collection_interval",
                "has to be from 10ms to 366d",
            ),
            (
                (1..=100_000_000).contains(&self.database_backlog),
                "database_backlog",
                "has to be from 1 to 100000000",
            ),
            (
                (1..=1_000_000).contains(&self.event_capacity),
                "event_capacity",
                "has to be from 1 to 1000000",
            ),
            (
                self.node.as_deref().is_none_or(is_sound_node),
                "node",
                "has to have from 1 to 255 bytes and no control characters",
            ),
            (
                self.peers.values().all(PeerSettings::has_sound_name),
                "peers",
                "has to have names of at most 256 bytes without control characters",
            ),
        ];
        first_wrong(checks).map_or_else(|| self.fanout.check(), Err)
    }
}

impl Fanout {
    fn check(&self) -> Result<(), BadSetting> {
        let longest = Duration::from_secs(366 * 86_400);
        let subject = &self.subject;
        let checks = [
            (!self.enabled || !self.servers.is_empty(), "fanout.servers", "has to name a server"),
            (
                !subject.is_empty()
                    && subject.split('.').all(|token| {
                        !token.is_empty()
                            && token
                                .bytes()
                                .all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
                    }),
                "fanout.subject",
                "has to be words of letters, digits, - and _, with dots between",
            ),
            (
                (1..=1_000_000).contains(&self.capacity),
                "fanout.capacity",
                "has to be from 1 to 1000000",
            ),
            (
                self.user.is_some() == self.password_file.is_some(),
                "fanout.password_file",
                "goes with fanout.user: set both or none",
            ),
            (
                // What a node says it has names all of them, and fits into a message of a megabyte.
                (1..=1000).contains(&self.max_nodes),
                "fanout.max_nodes",
                "has to be from 1 to 1000",
            ),
            (
                (1..=10_000_000).contains(&self.max_peers),
                "fanout.max_peers",
                "has to be from 1 to 10000000",
            ),
            (
                (0..=1_000_000).contains(&self.max_names),
                "fanout.max_names",
                "has to be at most 1000000",
            ),
            (
                (Duration::from_secs(120)..=longest).contains(&self.node_expiry),
                "fanout.node_expiry",
                "has to be from 2m to 366d",
            ),
        ];
        first_wrong(checks).map_or(Ok(()), Err)
    }
}

/// The first of these settings that cannot be: whether it can, its name, and what it has to be.
fn first_wrong(
    checks: impl IntoIterator<Item = (bool, &'static str, &'static str)>,
) -> Option<BadSetting> {
    let (_, name, what) = checks.into_iter().find(|(holds, _, _)| !holds)?;
    Some(BadSetting { name, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_as_documented_and_valid() {
        let settings: Settings = toml::from_str("").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(
            (settings.ping_check_workers, settings.ping_check_interval),
            (10, Duration::from_secs(60))
        );
        let again: Settings = toml::from_str(&toml::to_string(&settings).unwrap()).unwrap();
        assert_eq!(again, settings);
    }

    #[test]
    fn settings_are_named_as_users_know_them() {
        let settings: Settings = toml::from_str(
            r#"
            use_ping_checks = true
            ping_check_workers = 20
            ping_check_interval = "90s"
            data_collection_interval = "60s"
            collect_interface_data = true
            collect_peer_data = false
            [peers."AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]
            name = "office"
            check_alive_address = "fd00::1"
            "#,
        )
        .unwrap();
        assert_eq!(settings.ping_check_interval, Duration::from_secs(90));
        assert!(!settings.collect_peer_data);
        let peer = settings.peers.values().next().unwrap();
        assert_eq!(
            (peer.name.as_str(), peer.check_alive_address),
            ("office", Some("fd00::1".parse().unwrap()))
        );
        for wrong in ["workers = 1", "ping_check_interval = \"soon\"", "[peers.x]\nname = \"a\""] {
            assert!(toml::from_str::<Settings>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let name_of = |text: &str| {
            toml::from_str::<Settings>(text).unwrap().check().expect_err(text).name.to_owned()
        };
        for (text, name) in [
            ("ping_check_workers = 0", "ping_check_workers"),
            ("ping_check_interval = \"0s\"", "ping_check_interval"),
            ("ping_check_timeout = \"2m\"", "ping_check_timeout"),
            ("ping_check_queue = 0", "ping_check_queue"),
            ("ping_check_samples = 0", "ping_check_samples"),
            ("data_collection_interval = \"9999d\"", "data_collection_interval"),
            ("database_backlog = 0", "database_backlog"),
            ("event_capacity = 0", "event_capacity"),
            ("node = \"\"", "node"),
            ("[fanout]\nenabled = true\nservers = []", "fanout.servers"),
            ("[fanout]\nsubject = \"a..b\"", "fanout.subject"),
            ("[fanout]\ncapacity = 0", "fanout.capacity"),
            ("[fanout]\nuser = \"a\"", "fanout.password_file"),
            ("[fanout]\nmax_nodes = 1001", "fanout.max_nodes"),
            ("[fanout]\nmax_peers = 0", "fanout.max_peers"),
            ("[fanout]\nmax_names = 1000001", "fanout.max_names"),
            ("[fanout]\nnode_expiry = \"1m\"", "fanout.node_expiry"),
            ("node = \"a\\u0007\"", "node"),
        ] {
            assert_eq!(name_of(text), name);
        }
    }
}
