// SPDX-License-Identifier: MIT OR Apache-2.0

//! All that is known, in memory. Everything else works on this: the kernel's readings, the pings and the
//! announcements change it, the metrics show it, and the database follows it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use crate::Announcement;
use crate::Event;
use crate::Facts;
use crate::Happening;
use crate::Interface;
use crate::InterfaceReading;
use crate::Moment;
use crate::Peer;
use crate::PeerId;
use crate::PeerReading;
use crate::PeerSettings;
use crate::PublicKey;
use crate::Settings;
use crate::Target;
use crate::clock::nanoseconds;
use crate::labels::LabelCache;
use crate::labels::Labels;
use crate::peer::Origin;
use crate::store::PingRow;
use crate::store::Said;
use crate::store::SessionRow;
use crate::store::State;
use crate::store::Write;

/// The cache of peers and interfaces.
#[derive(Debug)]
pub(crate) struct Cache {
    settings: Arc<Settings>,
    node: String,
    boot: String,
    interfaces: BTreeMap<String, Interface>,
    peers: BTreeMap<PeerId, Peer>,
    /// What was said of peers by announcements and by other nodes.
    said: HashMap<PublicKey, Said>,
    labels: LabelCache,
    /// What happened since it was taken.
    events: Vec<Event>,
    /// What the database does not have yet, since it was taken.
    writes: Vec<Write>,
    /// Whether the kernel has told what there is.
    seen: bool,
}

impl Cache {
    pub(crate) fn new(settings: Arc<Settings>, node: String, boot: String) -> Self {
        Cache {
            settings,
            node,
            boot,
            interfaces: BTreeMap::new(),
            peers: BTreeMap::new(),
            said: HashMap::new(),
            labels: LabelCache::default(),
            events: Vec::new(),
            writes: Vec::new(),
            seen: false,
        }
    }

    pub(crate) fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    pub(crate) fn peers(&self) -> impl ExactSizeIterator<Item = &Peer> {
        self.peers.values()
    }

    pub(crate) fn peer(&self, id: &PeerId) -> Option<&Peer> {
        self.peers.get(id)
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn take_writes(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.writes)
    }

    /// Each peer with its labels, which are made if they are not there: doing so again changes nothing.
    pub(crate) fn ensure_labels(&mut self) -> Vec<(Arc<Labels>, &Peer)> {
        let labels = &mut self.labels;
        self.peers.values().map(|peer| (labels.of(peer), peer)).collect()
    }

    /// Peers and labels in memory.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.peers.len(), self.labels.len())
    }

    /// Peers that can be pinged.
    pub(crate) fn to_ping(&self) -> Vec<PeerId> {
        self.peers
            .values()
            .filter(|peer| peer.target().is_some())
            .map(|peer| peer.id.clone())
            .collect()
    }

    /// What to ping of a peer, with the number of its interface.
    pub(crate) fn target(&self, id: &PeerId) -> Option<(Target, u32)> {
        let peer = self.peers.get(id)?;
        Some((peer.target()?, peer.origin.index))
    }

    fn happened(&mut self, interface: &str, happening: Happening, now: Moment) {
        self.events.push(Event {
            node: self.node.clone(),
            time_ns: now.time_ns,
            interface: interface.to_owned(),
            happening,
        });
    }

    /// The kernel's own list of interfaces and peers: what is not in it is gone.
    pub(crate) fn apply(&mut self, reading: &[InterfaceReading], now: Moment) {
        self.seen = true;
        let names: HashSet<&str> = reading.iter().map(|one| one.name.as_str()).collect();
        let gone: Vec<String> =
            self.interfaces.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
        for name in gone {
            self.interfaces.remove(&name);
            self.happened(&name, Happening::InterfaceVanished, now);
            self.writes.push(Write::ForgetInterface(name));
        }
        let grace_ns = nanoseconds(self.settings.data_collection_interval);
        let orphans: Vec<PeerId> = self
            .peers
            .values()
            .filter(|peer| !names.contains(peer.id.interface.as_str()))
            .filter(|peer| !is_awaited(peer, grace_ns, now))
            .map(|peer| peer.id.clone())
            .collect();
        for id in orphans {
            self.remove(&id, now);
        }
        for one in reading {
            self.apply_interface(one, now);
        }
    }

    fn apply_interface(&mut self, reading: &InterfaceReading, now: Moment) {
        let origin = Origin { boot: self.boot.clone(), index: reading.index };
        if !self.interfaces.contains_key(&reading.name) {
            let interface = Interface::new(&reading.name, origin.clone());
            self.interfaces.insert(reading.name.clone(), interface);
            self.happened(&reading.name, Happening::InterfaceAppeared, now);
        }
        if let Some(interface) = self.interfaces.get_mut(&reading.name) {
            let before = interface.clone();
            interface.see(reading, &origin, self.settings.collect_interface_data);
            if *interface != before {
                self.writes.push(Write::interface(interface));
            }
        }

        let grace_ns = nanoseconds(self.settings.data_collection_interval);
        let there: HashSet<PublicKey> = reading.peers.iter().map(|peer| peer.public_key).collect();
        let mut gone: Vec<PeerId> = self
            .peers
            .values()
            .filter(|peer| peer.id.interface == reading.name)
            .filter(|peer| !there.contains(&peer.id.public_key))
            .filter(|peer| !is_awaited(peer, grace_ns, now))
            .map(|peer| peer.id.clone())
            .collect();
        for peer in &reading.peers {
            let id = PeerId { interface: reading.name.clone(), public_key: peer.public_key };
            if !self.peers.contains_key(&id) && !peer.allowed_ips.is_empty() {
                // A peer whose key was changed is taken out and put in again, with the same addresses.
                let before = gone.iter().position(|gone| {
                    self.peers.get(gone).is_some_and(|gone| gone.allowed_ips == peer.allowed_ips)
                });
                if let Some(at) = before {
                    self.reidentify(&gone.swap_remove(at), &id, now);
                }
            }
        }
        for id in gone {
            self.remove(&id, now);
        }
        for peer in &reading.peers {
            self.apply_peer(&reading.name, peer, &origin, now);
        }
    }

    fn apply_peer(&mut self, interface: &str, reading: &PeerReading, origin: &Origin, now: Moment) {
        let id = PeerId { interface: interface.to_owned(), public_key: reading.public_key };
        let mut peer = match self.peers.remove(&id) {
            Some(peer) => peer,
            None => self.make(id.clone()),
        };
        let is_new = peer.origin == Origin::default() && peer.announced_ns.is_none();
        let before = marks(&peer);
        peer.announced_ns = None;
        let moved = peer.place(reading);
        let anew = peer.origin != *origin;
        if anew && peer.origin.boot != origin.boot {
            peer.session.of_another_boot();
        }
        peer.origin = origin.clone();
        if is_new {
            let happening =
                Happening::PeerCreated { public_key: id.public_key, facts: peer.facts() };
            self.happened(interface, happening, now);
        } else if moved {
            let happening =
                Happening::PeerUpdated { public_key: id.public_key, facts: peer.facts() };
            self.happened(interface, happening, now);
        }
        if moved {
            self.labels.forget(&id);
        }
        if peer.target().is_none() {
            peer.reachable = false;
        }
        if self.settings.collect_peer_data {
            let received = peer.received_bytes.see(reading.received_bytes, anew);
            let sent = peer.sent_bytes.see(reading.sent_bytes, anew);
            if let Some(change) = peer.session.observe(reading.handshake_ns, received || sent, now)
            {
                let happening = Happening::SessionChanged { public_key: id.public_key, change };
                self.happened(interface, happening, now);
                self.writes.push(Write::Session(SessionRow {
                    id: id.clone(),
                    time_ns: now.time_ns,
                    change,
                    handshake_ns: reading.handshake_ns,
                }));
            }
        }
        let changed = self.connect(&mut peer, now) || is_new || moved || marks(&peer) != before;
        if changed {
            self.writes.push(Write::peer(&peer));
        }
        self.peers.insert(id, peer);
    }

    /// Says whether a peer is connected, if that has changed.
    fn connect(&mut self, peer: &mut Peer, now: Moment) -> bool {
        let connected = peer.session.is_alive() || peer.reachable;
        if connected == peer.connected {
            return false;
        }
        peer.connected = connected;
        let happening = Happening::ConnectionChanged { public_key: peer.id.public_key, connected };
        self.happened(&peer.id.interface, happening, now);
        true
    }

    /// A peer of which nothing is known but what is said of it.
    fn make(&self, id: PeerId) -> Peer {
        let mut peer = Peer::new(id);
        self.say(&mut peer);
        peer
    }

    /// Tells a peer what is said of it: the settings go first, then who spoke last.
    fn say(&self, peer: &mut Peer) {
        let key = &peer.id.public_key;
        if let Some(settings) = self.settings.peers.get(key) {
            peer.settings = settings.clone();
            peer.said_ns = 0;
        } else if let Some(said) = self.said.get(key) {
            peer.settings = said.settings.clone();
            peer.said_ns = said.time_ns;
        } else {
            peer.settings = PeerSettings::default();
            peer.said_ns = 0;
        }
    }

    fn remove(&mut self, id: &PeerId, now: Moment) {
        if self.peers.remove(id).is_some() {
            self.labels.forget(id);
            self.happened(&id.interface, Happening::PeerRemoved { public_key: id.public_key }, now);
            self.writes.push(Write::ForgetPeer(id.clone()));
        }
    }

    fn reidentify(&mut self, before: &PeerId, after: &PeerId, now: Moment) {
        if let Some(said) = self.said.remove(&before.public_key) {
            self.writes.push(Write::Unsay(before.public_key));
            self.writes.push(Write::Say(after.public_key, said.clone()));
            self.said.insert(after.public_key, said);
        }
        let Some(mut peer) = self.peers.remove(before) else {
            return;
        };
        self.labels.forget(before);
        self.labels.forget(after);
        peer.id = after.clone();
        self.say(&mut peer);
        // The kernel's numbers of the new key begin at zero.
        peer.origin = Origin { boot: String::new(), index: peer.origin.index };
        let happening = Happening::PeerReidentified {
            before: before.public_key,
            public_key: after.public_key,
            facts: peer.facts(),
        };
        self.happened(&after.interface, happening, now);
        self.writes.push(Write::Rename { before: before.clone(), after: after.clone() });
        self.writes.push(Write::peer(&peer));
        self.peers.insert(after.clone(), peer);
    }

    /// What came of a ping. A peer that is gone meanwhile has no results any more.
    pub(crate) fn pinged(&mut self, id: &PeerId, rtt_ns: Option<u64>, now: Moment) {
        let Some(mut peer) = self.peers.remove(id) else {
            return;
        };
        peer.pings.record(now.time_ns, rtt_ns, self.settings.ping_check_samples);
        peer.reachable = rtt_ns.is_some();
        self.connect(&mut peer, now);
        self.writes.push(Write::Ping(PingRow { id: id.clone(), time_ns: now.time_ns, rtt_ns }));
        self.writes.push(Write::peer(&peer));
        self.peers.insert(id.clone(), peer);
    }

    /// What somebody who configures peers says.
    pub(crate) fn announce(&mut self, announcement: Announcement, now: Moment) {
        match announcement {
            Announcement::Created { public_key, interface, settings } => {
                let said = self.said_here(public_key, settings, now);
                self.hear(public_key, said, now);
                let id = PeerId { interface, public_key };
                let is_known = self.peers.contains_key(&id);
                if !is_known {
                    let mut peer = self.make(id.clone());
                    peer.announced_ns = Some(now.uptime_ns);
                    let happening = Happening::PeerCreated { public_key, facts: peer.facts() };
                    self.happened(&id.interface, happening, now);
                    self.peers.insert(id, peer);
                }
            }
            Announcement::Updated { public_key, settings } => {
                let said = self.said_here(public_key, settings.clone(), now);
                let said_ns = said.time_ns;
                let is_new = self.hear(public_key, said, now);
                if is_new && !self.peers.keys().any(|id| id.public_key == public_key) {
                    // Another node may have it.
                    let facts = Facts { settings, said_ns, ..Facts::default() };
                    self.happened("", Happening::PeerUpdated { public_key, facts }, now);
                }
            }
            Announcement::Reidentified { before, public_key, interface } => {
                let before = PeerId { interface: interface.clone(), public_key: before };
                let after = PeerId { interface, public_key };
                if !self.peers.contains_key(&after) {
                    self.reidentify(&before, &after, now);
                    if let Some(peer) = self.peers.get_mut(&after) {
                        peer.announced_ns = Some(now.uptime_ns);
                    }
                }
            }
            Announcement::Removed { public_key, interface } => {
                if self.said.remove(&public_key).is_some() {
                    self.writes.push(Write::Unsay(public_key));
                }
                self.remove(&PeerId { interface, public_key }, now);
            }
        }
    }

    /// Another node says what it knows of a peer; who spoke last is right.
    pub(crate) fn told(&mut self, public_key: PublicKey, facts: &Facts, now: Moment) {
        let known_ns = self.said.get(&public_key).map_or(0, |said| said.time_ns);
        if facts.said_ns > known_ns {
            let (settings, time_ns) = (facts.settings.clone(), facts.said_ns);
            self.hear(public_key, Said { settings, time_ns, own: false }, now);
        }
    }

    /// Another node has given a peer another key.
    pub(crate) fn told_new_key(&mut self, before: PublicKey, public_key: PublicKey, now: Moment) {
        if let Some(said) = self.said.get(&before).cloned() {
            self.hear(public_key, Said { own: false, ..said }, now);
        }
    }

    /// What is said here goes before all that is known, even if the clock was set back meanwhile.
    fn said_here(&self, key: PublicKey, settings: PeerSettings, now: Moment) -> Said {
        let known_ns = self.said.get(&key).map_or(0, |known| known.time_ns);
        Said { settings, time_ns: now.time_ns.max(known_ns.saturating_add(1)), own: true }
    }

    /// Tells whether it is something new.
    fn hear(&mut self, key: PublicKey, said: Said, now: Moment) -> bool {
        if self.said.get(&key).is_some_and(|known| known.settings == said.settings) {
            return false;
        }
        self.writes.push(Write::Say(key, said.clone()));
        self.said.insert(key, said);
        let ids: Vec<PeerId> =
            self.peers.keys().filter(|id| id.public_key == key).cloned().collect();
        for id in ids {
            let Some(mut peer) = self.peers.remove(&id) else {
                continue;
            };
            let before = peer.settings.clone();
            self.say(&mut peer);
            if peer.settings != before {
                self.labels.forget(&id);
                let happening = Happening::PeerUpdated { public_key: key, facts: peer.facts() };
                self.happened(&id.interface, happening, now);
            }
            self.peers.insert(id, peer);
        }
        true
    }

    /// What the database knows from before this process, whenever it could be read.
    pub(crate) fn restore(&mut self, state: State, now: Moment) {
        for (key, said) in state.said {
            if self.said.get(&key).is_none_or(|known| known.time_ns < said.time_ns) {
                self.said.insert(key, said);
            } else if let Some(known) = self.said.get(&key) {
                self.writes.push(Write::Say(key, known.clone()));
            }
        }
        let mut touched = BTreeSet::new();
        for (earlier, newest) in state.peers {
            let kept = self.settings.ping_check_samples;
            if let Some(peer) = self.peers.get_mut(&earlier.id) {
                peer.add_earlier(&earlier, newest.into_iter(), kept);
                touched.insert(earlier.id.clone());
            } else if !self.seen {
                let mut peer = earlier;
                let totals = std::mem::take(&mut peer.pings);
                peer.pings.add_earlier(&totals, newest.into_iter(), kept);
                self.peers.insert(peer.id.clone(), peer);
            } else {
                self.writes.push(Write::ForgetPeer(earlier.id));
            }
        }
        let ids: Vec<PeerId> = self.peers.keys().cloned().collect();
        for id in ids {
            if let Some(mut peer) = self.peers.remove(&id) {
                self.say(&mut peer);
                self.labels.forget(&id);
                if touched.contains(&id) {
                    self.connect(&mut peer, now);
                    self.writes.push(Write::peer(&peer));
                }
                self.peers.insert(id, peer);
            }
        }
        for earlier in state.interfaces {
            if let Some(interface) = self.interfaces.get_mut(&earlier.name) {
                interface.add_earlier(&earlier);
                self.writes.push(Write::interface(interface));
            } else if !self.seen {
                self.interfaces.insert(earlier.name.clone(), earlier);
            } else {
                self.writes.push(Write::ForgetInterface(earlier.name));
            }
        }
    }

    /// Everything, for a database that has nothing or something else.
    pub(crate) fn everything(&self, with_results: bool) -> Vec<Write> {
        let mut writes: Vec<Write> = self.interfaces.values().map(Write::interface).collect();
        writes.extend(self.said.iter().map(|(key, said)| Write::Say(*key, said.clone())));
        for peer in self.peers.values() {
            writes.push(Write::peer(peer));
            if with_results {
                writes.extend(peer.pings.newest().map(|(time_ns, rtt_ns)| {
                    Write::Ping(PingRow { id: peer.id.clone(), time_ns, rtt_ns })
                }));
            }
        }
        writes
    }

    /// What another node that knows nothing of this one has to know.
    pub(crate) fn as_events(&self, now: Moment) -> Vec<Event> {
        let event = |peer: &Peer, happening| Event {
            node: self.node.clone(),
            time_ns: now.time_ns,
            interface: peer.id.interface.clone(),
            happening,
        };
        let mut events = Vec::new();
        for peer in self.peers.values() {
            let public_key = peer.id.public_key;
            events.push(event(peer, Happening::PeerCreated { public_key, facts: peer.facts() }));
            if peer.connected {
                events.push(event(
                    peer,
                    Happening::ConnectionChanged { public_key, connected: true },
                ));
            }
        }
        // What was said here of peers that others have, and that nobody else may know.
        let told: HashSet<_> =
            self.peers.values().map(|peer| (peer.id.public_key, peer.said_ns)).collect();
        for (key, said) in &self.said {
            if said.own && !told.contains(&(*key, said.time_ns)) {
                let facts = Facts {
                    settings: said.settings.clone(),
                    said_ns: said.time_ns,
                    ..Facts::default()
                };
                events.push(Event {
                    node: self.node.clone(),
                    time_ns: now.time_ns,
                    interface: String::new(),
                    happening: Happening::PeerUpdated { public_key: *key, facts },
                });
            }
        }
        events
    }
}

/// What of a peer changes only when something happens.
fn marks(peer: &Peer) -> impl PartialEq + use<> {
    (
        peer.session.marks(),
        peer.received_bytes.total,
        peer.sent_bytes.total,
        peer.origin.clone(),
        peer.announced_ns,
    )
}

/// Whether a peer was announced so recently that the kernel need not know it.
fn is_awaited(peer: &Peer, grace_ns: u64, now: Moment) -> bool {
    peer.announced_ns.is_some_and(|at| now.uptime_ns.saturating_sub(at) < grace_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: u64 = 3_600_000_000_000;

    fn cache() -> Cache {
        Cache::new(Arc::default(), "here".to_owned(), "this boot".to_owned())
    }

    fn named(name: &str) -> PeerSettings {
        PeerSettings { name: name.to_owned(), check_alive_address: None }
    }

    /// What others are told of peers that are not here: the name, and when it was said.
    fn told(cache: &Cache) -> Vec<(String, u64)> {
        let events = cache.as_events(Moment::default()).into_iter();
        events
            .map(|event| match event.happening {
                Happening::PeerUpdated { facts, .. } => (facts.settings.name, facts.said_ns),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_was_said_here_of_peers_of_others_is_told_to_who_knows_nothing() {
        let mut cache = cache();
        let (one, two) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let now = Moment { time_ns: 10 * HOUR_NS, uptime_ns: HOUR_NS };
        cache.announce(Announcement::Updated { public_key: one, settings: named("a") }, now);
        let facts = Facts { settings: named("b"), said_ns: 7, ..Facts::default() };
        cache.told(two, &facts, now);
        assert_eq!(told(&cache), [("a".to_owned(), now.time_ns)], "who said the other tells it");
        let later = Facts { said_ns: now.time_ns + 1, ..facts };
        cache.told(one, &later, now);
        assert_eq!(told(&cache), []);
    }

    #[test]
    fn who_speaks_last_is_right_although_the_clock_was_set_back() {
        let mut cache = cache();
        let public_key = PublicKey([1; 32]);
        let now = Moment { time_ns: 10 * HOUR_NS, uptime_ns: HOUR_NS };
        cache.announce(Announcement::Updated { public_key, settings: named("a") }, now);
        let now = Moment { time_ns: 2 * HOUR_NS, uptime_ns: HOUR_NS + 1 };
        cache.announce(Announcement::Updated { public_key, settings: named("b") }, now);
        assert_eq!(told(&cache), [("b".to_owned(), 10 * HOUR_NS + 1)]);
    }
}
