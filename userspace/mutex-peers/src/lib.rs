// SPDX-License-Identifier: MIT OR Apache-2.0

//! Interfaces and peers of WireGuard: their traffic, their sessions, and whether they answer pings.
//!
//! [`Peers`] is all that a program needs: it starts in the background, asks the kernel ([`Netlink`]), pings
//! ([`Icmp`]), keeps what it knows in memory and in an SQLite database, tells subscribers and other nodes what happens
//! ([`Event`]), and writes metrics.
//!
//! `examples/peers.rs` is a program around it.
//!
//! Clocks, devices and pings are traits ([`Clock`], [`Devices`], [`Pinger`]), so that others can stand in for them.

mod age;
mod cache;
mod clock;
mod collector;
mod counter;
mod device;
mod duration;
mod event;
mod fanout;
mod health;
mod icmp;
mod key;
mod labels;
mod metrics;
mod netlink;
mod peer;
mod peers;
mod pings;
mod prune;
mod queue;
mod recent;
mod session;
mod settings;
mod statements;
mod store;
mod target;

pub use clock::Clock;
pub use clock::Moment;
pub use clock::SystemClock;
pub use counter::Counter;
pub use device::AllowedIp;
pub use device::Devices;
pub use device::InterfaceReading;
pub use device::PeerReading;
pub use device::Traffic;
pub use event::Announcement;
pub use event::Event;
pub use event::Facts;
pub use event::Happening;
pub use event::Refused;
pub use event::SettingsPatch;
pub use fanout::FanoutHealth;
pub use fanout::RefusedMessages;
pub use fanout::RemoteNode;
pub use health::Health;
pub use icmp::Icmp;
pub use icmp::Pinger;
pub use key::NotAKey;
pub use key::PeerId;
pub use key::PublicKey;
pub use netlink::Netlink;
pub use peer::Interface;
pub use peer::Peer;
pub use peer::TrafficCounters;
pub use peers::Peers;
pub use peers::StartError;
pub use pings::Pings;
pub use queue::Counts;
pub use recent::RecentEvents;
pub use session::LIFETIME;
pub use session::Session;
pub use session::SessionChange;
pub use settings::BadSetting;
pub use settings::Fanout;
pub use settings::PeerSettings;
pub use settings::Settings;
pub use store::StoreHealth;
pub use target::Target;
