// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happens to interfaces and peers, told to whoever subscribes.

use std::net::IpAddr;
use std::net::SocketAddr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;

use crate::AllowedIp;
use crate::PeerSettings;
use crate::PublicKey;
use crate::SessionChange;
use crate::settings::MOST_NAME;
use crate::settings::is_sound_name;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The node that it happened at.
    pub node: String,
    /// When, in nanoseconds of the Unix epoch.
    pub time_ns: u64,
    /// The interface that it happened to, or to a peer of which; empty if it is about a peer that this node has not.
    pub interface: String,
    /// What.
    #[serde(flatten)]
    pub happening: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// An interface is there that was not.
    InterfaceAppeared,
    /// An interface is gone, with its peers.
    InterfaceVanished,
    /// A peer is there that was not.
    PeerCreated {
        /// Its key.
        public_key: PublicKey,
        /// What is known of it.
        #[serde(flatten)]
        facts: Facts,
    },
    /// What is known of a peer has changed.
    PeerUpdated {
        /// Its key.
        public_key: PublicKey,
        /// What is known of it now.
        #[serde(flatten)]
        facts: Facts,
    },
    /// A peer has another key; it is the same peer, with all that is known of it.
    PeerReidentified {
        /// The key that it had.
        before: PublicKey,
        /// The key that it has.
        public_key: PublicKey,
        /// What is known of it.
        #[serde(flatten)]
        facts: Facts,
    },
    /// A peer is gone.
    PeerRemoved {
        /// Its key.
        public_key: PublicKey,
    },
    /// A peer is connected now, or not any more.
    ConnectionChanged {
        /// Its key.
        public_key: PublicKey,
        /// Whether it is.
        connected: bool,
    },
    /// A session has started, started again or ended.
    SessionChanged {
        /// The peer's key.
        public_key: PublicKey,
        /// Which of that.
        change: SessionChange,
    },
}

/// What others can know of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// What is said of it.
    #[serde(flatten)]
    pub settings: PeerSettings,
    /// When that was said, in nanoseconds of the Unix epoch; 0 if nobody said anything.
    pub said_ns: u64,
    /// Where it was last heard from.
    pub endpoint: Option<SocketAddr>,
    /// What may come from it.
    pub allowed_ips: Vec<AllowedIp>,
    /// How many of the allowed IPs were left out for other nodes: they get the first 256.
    #[serde(skip_serializing_if = "is_zero")]
    pub allowed_ips_left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Allowed IPs of a peer that other nodes are told, at the most.
const MOST_ALLOWED_IPS: usize = 256;
/// Bytes of an interface's name, at the most. The kernel's have 15, which are four times as many if all are escaped.
const MOST_INTERFACE: usize = 64;

impl Facts {
    /// Leaves out allowed IPs but for the first ones.
    fn cut(&mut self, most: usize) {
        self.allowed_ips_left_out += self.allowed_ips.len().saturating_sub(most);
        self.allowed_ips.truncate(most);
    }
}

impl Event {
    fn facts(&self) -> Option<&Facts> {
        match &self.happening {
            Happening::PeerCreated { facts, .. }
            | Happening::PeerUpdated { facts, .. }
            | Happening::PeerReidentified { facts, .. } => Some(facts),
            _ => None,
        }
    }

    fn facts_mut(&mut self) -> Option<&mut Facts> {
        match &mut self.happening {
            Happening::PeerCreated { facts, .. }
            | Happening::PeerUpdated { facts, .. }
            | Happening::PeerReidentified { facts, .. } => Some(facts),
            _ => None,
        }
    }

    /// What other nodes are told, with its length as JSON. A message takes 4096 bytes at the least, and an event without
    /// allowed IPs has fewer.
    pub(crate) fn for_others(mut self, most_bytes: usize) -> (Event, usize) {
        if let Some(facts) = self.facts_mut() {
            facts.cut(MOST_ALLOWED_IPS);
        }
        let length = |event: &Event| serde_json::to_vec(event).map_or(0, |json| json.len());
        let mut bytes = length(&self);
        if bytes > most_bytes {
            if let Some(facts) = self.facts_mut() {
                facts.cut(0);
            }
            bytes = length(&self);
        }
        (self, bytes)
    }

    /// Whether another node may tell this: it is within the bounds that nodes keep to.
    pub(crate) fn is_sound(&self) -> bool {
        is_interface(&self.interface)
            && self.facts().is_none_or(|facts| {
                facts.allowed_ips.len() <= MOST_ALLOWED_IPS && facts.settings.has_sound_name()
            })
    }
}

/// Whether this may be the name of an interface, or of none.
fn is_interface(name: &str) -> bool {
    name.len() <= MOST_INTERFACE && !name.contains(char::is_control)
}

/// What somebody who configures peers says; it shows at once, before the kernel is asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "AnnouncementMembers")]
pub enum Announcement {
    /// A peer was or is just being added to an interface.
    Created {
        /// Its key.
        public_key: PublicKey,
        /// Its interface.
        interface: String,
        /// What is said of it from now on.
        patch: SettingsPatch,
    },
    /// Something else is said of a peer from now on, at all interfaces.
    Updated {
        /// Its key.
        public_key: PublicKey,
        /// What is said of it from now on.
        patch: SettingsPatch,
    },
    /// A peer gets another key.
    Reidentified {
        /// The key that it had.
        before: PublicKey,
        /// The key that it has.
        public_key: PublicKey,
        /// Its interface.
        interface: String,
    },
    /// A peer was removed. This host forgets what was said of it, unless it has a peer of that key at another interface.
    Removed {
        /// Its key.
        public_key: PublicKey,
        /// Its interface.
        interface: String,
    },
}

/// What changes of that which is said of a peer: what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsPatch {
    /// A name for people; an empty one is none.
    pub name: Option<String>,
    /// The address to ping; `Some(None)` takes it away.
    pub check_alive_address: Option<Option<IpAddr>>,
}

/// Why an announcement was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The name is too long, or no line of text.
    #[error("name has to have at most {MOST_NAME} bytes and no control characters")]
    Name,
    /// The name of the interface is too long, or no line of text.
    #[error("interface has to have from 1 to {MOST_INTERFACE} bytes and no control characters")]
    Interface,
    /// There are too many.
    #[error(
        "as much as can be is said of peers that this host does not have ({0} peers): remove some"
    )]
    TooMany(usize),
}

impl SettingsPatch {
    pub(crate) fn is_empty(&self) -> bool {
        self.name.is_none() && self.check_alive_address.is_none()
    }

    pub(crate) fn applied_to(&self, settings: &PeerSettings) -> PeerSettings {
        PeerSettings {
            name: self.name.as_ref().unwrap_or(&settings.name).clone(),
            check_alive_address: self.check_alive_address.unwrap_or(settings.check_alive_address),
        }
    }
}

impl From<PeerSettings> for SettingsPatch {
    fn from(settings: PeerSettings) -> Self {
        SettingsPatch {
            name: Some(settings.name),
            check_alive_address: Some(settings.check_alive_address),
        }
    }
}

impl Announcement {
    /// Whether it is within the bounds.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        let (Announcement::Created { patch, .. } | Announcement::Updated { patch, .. }) = self
        else {
            return Ok(());
        };
        if !patch.name.as_deref().is_none_or(is_sound_name) {
            return Err(Refused::Name);
        }
        match self {
            Announcement::Created { interface, .. }
                if interface.is_empty() || !is_interface(interface) =>
            {
                Err(Refused::Interface)
            }
            _ => Ok(()),
        }
    }
}

/// The members of an announcement, one by one: serde cannot refuse unknown ones next to a flattened member.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::option_option, reason = "a member may be absent, null or an address")]
enum AnnouncementMembers {
    Created {
        public_key: PublicKey,
        interface: String,
        #[serde(default, deserialize_with = "present")]
        name: Option<String>,
        #[serde(default, deserialize_with = "present")]
        check_alive_address: Option<Option<IpAddr>>,
    },
    Updated {
        public_key: PublicKey,
        #[serde(default, deserialize_with = "present")]
        name: Option<String>,
        #[serde(default, deserialize_with = "present")]
        check_alive_address: Option<Option<IpAddr>>,
    },
    Reidentified {
        before: PublicKey,
        public_key: PublicKey,
        interface: String,
    },
    Removed {
        public_key: PublicKey,
        interface: String,
    },
}

/// A member that is there, even if it is null.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl From<AnnouncementMembers> for Announcement {
    fn from(members: AnnouncementMembers) -> Self {
        match members {
            AnnouncementMembers::Created { public_key, interface, name, check_alive_address } => {
                let patch = SettingsPatch { name, check_alive_address };
                Announcement::Created { public_key, interface, patch }
            }
            AnnouncementMembers::Updated { public_key, name, check_alive_address } => {
                let patch = SettingsPatch { name, check_alive_address };
                Announcement::Updated { public_key, patch }
            }
            AnnouncementMembers::Reidentified { before, public_key, interface } => {
                Announcement::Reidentified { before, public_key, interface }
            }
            AnnouncementMembers::Removed { public_key, interface } => {
                Announcement::Removed { public_key, interface }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn parse(members: &str) -> Result<Announcement, String> {
        let text = format!("{{\"public_key\": \"{KEY}\", {members}}}");
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_misspelt_member_of_an_announcement_is_refused() {
        for members in [
            r#""kind": "updated", "nmae": "office""#,
            r#""kind": "updated", "name": "office", "check_alive_adress": "192.0.2.1""#,
            r#""kind": "created", "interface": "wg0", "Name": "office""#,
            r#""kind": "removed", "interface": "wg0", "name": "office""#,
            r#""kind": "updated", "settings": {"name": "office"}"#,
        ] {
            let error = parse(members).unwrap_err();
            assert!(error.contains("unknown field"), "{members}: {error}");
        }
        assert!(parse(r#""kind": "updated", "name": null"#).is_err(), "an empty name is none");
    }

    #[test]
    fn what_an_announcement_does_not_name_stays() {
        let patch = |members: &str| match parse(members) {
            Ok(Announcement::Updated { patch, .. }) => patch,
            other => panic!("{other:?}"),
        };
        assert_eq!(patch(r#""kind": "updated""#), SettingsPatch::default());
        let name = patch(r#""kind": "updated", "name": "office""#);
        assert_eq!((name.name.as_deref(), name.check_alive_address), (Some("office"), None));
        let none = patch(r#""kind": "updated", "check_alive_address": null"#);
        assert_eq!((none.name, none.check_alive_address), (None, Some(None)));
        let some = patch(r#""kind": "updated", "check_alive_address": "fd00::1""#);
        assert_eq!(some.check_alive_address, Some(Some("fd00::1".parse().unwrap())));
    }

    #[test]
    fn what_others_are_told_of_a_peer_fits_into_a_message() {
        let allowed_ip =
            AllowedIp { address: "fd00:1111:2222:3333::1".parse().unwrap(), prefix: 128 };
        let name = "\"".repeat(MOST_NAME);
        let settings = PeerSettings { name, check_alive_address: Some(allowed_ip.address) };
        let endpoint = Some("[fd00:1111:2222:3333:4444:5555:6666:7777]:65535".parse().unwrap());
        let facts = Facts { settings, said_ns: u64::MAX, endpoint, ..Facts::default() };
        let event = |count: usize| Event {
            node: "\\".repeat(255),
            time_ns: u64::MAX,
            interface: "\"".repeat(MOST_INTERFACE),
            happening: Happening::PeerReidentified {
                before: PublicKey([255; 32]),
                public_key: PublicKey([255; 32]),
                facts: Facts { allowed_ips: vec![allowed_ip; count], ..facts.clone() },
            },
        };
        let fits = |count, most| {
            let (event, bytes) = event(count).for_others(most);
            assert!(event.is_sound() && bytes <= most, "{bytes}");
            let facts = event.facts().unwrap();
            (facts.allowed_ips.len(), facts.allowed_ips_left_out)
        };
        assert_eq!(fits(1000, 1 << 20), (256, 744));
        assert_eq!(fits(256, 1 << 20), (256, 0));
        assert_eq!(fits(1000, 3072), (0, 1000));
        assert!(!event(257).is_sound());
    }
}
