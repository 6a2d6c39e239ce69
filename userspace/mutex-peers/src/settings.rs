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
    /// A file with the credentials that the server wants (none).
    pub credentials: Option<PathBuf>,
    /// How many events are kept for a server that is away, and for nodes that missed some (10000).
    pub capacity: usize,
}

/// What is said of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeerSettings {
    /// A name for people.
    pub name: String,
    /// The address to ping, instead of the first allowed IP.
    pub check_alive_address: Option<IpAddr>,
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
            credentials: None,
            capacity: 10_000,
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
        let subject = &self.fanout.subject;
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
                self.node.as_deref().is_none_or(|node| (1..=255).contains(&node.len())),
                "node",
                "has to have from 1 to 255 bytes",
            ),
            (
                !self.fanout.enabled || !self.fanout.servers.is_empty(),
                "fanout.servers",
                "has to name a server",
            ),
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
                (1..=1_000_000).contains(&self.fanout.capacity),
                "fanout.capacity",
                "has to be from 1 to 1000000",
            ),
        ];
        match checks.into_iter().find(|(holds, _, _)| !holds) {
            Some((_, name, what)) => Err(BadSetting { name, what }),
            None => Ok(()),
        }
    }
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
        ] {
            assert_eq!(name_of(text), name);
        }
    }
}
