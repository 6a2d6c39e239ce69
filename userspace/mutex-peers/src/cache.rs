// SPDX-License-Identifier: MIT OR Apache-2.0

//! All that is known, in memory. Everything else works on this: the kernel's readings, the pings and the
//! announcements change it, the metrics show it, and the database follows it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use tracing::debug;

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
use crate::Refused;
use crate::Settings;
use crate::SettingsPatch;
use crate::Target;
use crate::clock::nanoseconds;
use crate::labels::LabelCache;
use crate::labels::Labels;
use crate::peer::Origin;
use crate::statements::Heard;
use crate::statements::Said;
use crate::statements::Statements;
use crate::store::PingRow;
use crate::store::SessionRow;
use crate::store::State;
use crate::store::Write;

/// Peers that were announced and that this host does not have (yet), at the most.
const MOST_ANNOUNCED: usize = 10_000;
/// How often it is looked for statements that are too old.
const EXPIRE_NS: u64 = 60_000_000_000;

/// How many statements of other nodes were refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RefusedStatements {
    /// They are of the future.
    pub ahead: u64,
    /// There is no room for more about peers that are not here.
    pub no_room: u64,
}

/// The cache of peers and interfaces.
#[derive(Debug)]
pub(crate) struct Cache {
    settings: Arc<Settings>,
    node: String,
    boot: String,
    interfaces: BTreeMap<String, Interface>,
    peers: BTreeMap<PeerId, Peer>,
    /// What was said of peers by announcements and by other nodes.
    statements: Statements,
    refused: RefusedStatements,
    /// When it was looked for statements that are too old, by the clock that nobody sets.
    expired_ns: u64,
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
            statements: Statements::new(settings.fanout.max_names),
            refused: RefusedStatements::default(),
            expired_ns: 0,
            settings,
            node,
            boot,
            interfaces: BTreeMap::new(),
            peers: BTreeMap::new(),
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
        self.expire(now);
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
            (peer.said_ns, peer.said_elsewhere) = (0, false);
        } else if let Some(said) = self.statements.get(key) {
            peer.settings = said.settings.clone();
            (peer.said_ns, peer.said_elsewhere) = (said.time_ns, !said.own);
        } else {
            peer.settings = PeerSettings::default();
            (peer.said_ns, peer.said_elsewhere) = (0, false);
        }
    }

    fn remove(&mut self, id: &PeerId, now: Moment) {
        if self.peers.remove(id).is_some() {
            self.labels.forget(id);
            self.happened(&id.interface, Happening::PeerRemoved { public_key: id.public_key }, now);
            self.writes.push(Write::ForgetPeer(id.clone()));
            if !self.has(&id.public_key) {
                let forgotten = self.statements.is_gone(id.public_key, |key| has(&self.peers, key));
                self.writes.extend(forgotten.map(Write::Unsay));
            }
        }
    }

    fn reidentify(&mut self, before: &PeerId, after: &PeerId, now: Moment) {
        if let Some(said) = self.statements.rename(&before.public_key, after.public_key) {
            self.writes.push(Write::Unsay(before.public_key));
            self.writes.push(Write::Say(after.public_key, said));
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

    /// Whether there is a peer of that key at any interface.
    fn has(&self, key: &PublicKey) -> bool {
        has(&self.peers, key)
    }

    /// What somebody who configures peers says.
    ///
    /// # Errors
    ///
    /// It is too long, or there is too much already.
    pub(crate) fn announce(
        &mut self,
        announcement: Announcement,
        now: Moment,
    ) -> Result<(), Refused> {
        announcement.check()?;
        match announcement {
            Announcement::Created { public_key, interface, patch } => {
                let id = PeerId { interface, public_key };
                let is_new = !self.peers.contains_key(&id);
                if is_new {
                    let awaited = self.peers.values().filter(|peer| peer.announced_ns.is_some());
                    if awaited.count() >= MOST_ANNOUNCED {
                        return Err(Refused::TooMany(MOST_ANNOUNCED));
                    }
                }
                let said_ns = self.say_here(public_key, &patch, now)?;
                if is_new {
                    let mut peer = self.make(id.clone());
                    peer.announced_ns = Some(now.uptime_ns);
                    let happening = Happening::PeerCreated { public_key, facts: peer.facts() };
                    self.happened(&id.interface, happening, now);
                    self.peers.insert(id, peer);
                }
                self.ensure_told(public_key, said_ns, now);
            }
            Announcement::Updated { public_key, patch } => {
                let said_ns = self.say_here(public_key, &patch, now)?;
                self.ensure_told(public_key, said_ns, now);
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
                self.remove(&PeerId { interface, public_key }, now);
                if !self.has(&public_key) && self.statements.forget(&public_key).is_some() {
                    self.writes.push(Write::Unsay(public_key));
                }
            }
        }
        Ok(())
    }

    /// Something is said here of a peer; the time of it, if it is anything.
    fn say_here(
        &mut self,
        key: PublicKey,
        patch: &SettingsPatch,
        now: Moment,
    ) -> Result<Option<u64>, Refused> {
        if patch.is_empty() {
            return Ok(None);
        }
        if !self.has(&key) && !self.statements.get(&key).is_some_and(|said| said.own) {
            let statements = &self.statements;
            if statements.len() >= MOST_ANNOUNCED
                && statements.own_absent(|key| has(&self.peers, key)) >= MOST_ANNOUNCED
            {
                return Err(Refused::TooMany(MOST_ANNOUNCED));
            }
        }
        let said = self.statements.say(key, patch, now);
        let time_ns = said.time_ns;
        self.writes.push(Write::Say(key, said));
        self.show(key, now);
        Ok(Some(time_ns))
    }

    /// Tells other nodes what was said here at that time, if no event of a peer does: they may have the peer, or not go by
    /// the settings that this host has of it.
    fn ensure_told(&mut self, key: PublicKey, said_ns: Option<u64>, now: Moment) {
        let is_told = self.events.iter().any(|event| match &event.happening {
            Happening::PeerCreated { public_key, facts }
            | Happening::PeerUpdated { public_key, facts } => {
                *public_key == key && Some(facts.said_ns) == said_ns
            }
            _ => false,
        });
        if let (Some(said_ns), Some(said), false) = (said_ns, self.statements.get(&key), is_told) {
            let facts = Facts { settings: said.settings.clone(), said_ns, ..Facts::default() };
            self.happened("", Happening::PeerUpdated { public_key: key, facts }, now);
        }
    }

    /// A node says what it knows of a peer; who spoke last is right.
    pub(crate) fn told(&mut self, node: &str, key: PublicKey, facts: &Facts, now: Moment) {
        if facts.said_ns > 0 {
            let (settings, time_ns) = (facts.settings.clone(), facts.said_ns);
            self.hear(key, Said { settings, time_ns, own: false, told_by: node.to_owned() }, now);
        }
    }

    /// A node has given a peer another key.
    pub(crate) fn told_new_key(
        &mut self,
        node: &str,
        before: PublicKey,
        key: PublicKey,
        now: Moment,
    ) {
        let Some(said) = self.statements.get(&before).cloned() else {
            return;
        };
        if !said.own && !self.has(&before) {
            self.statements.forget(&before);
            self.writes.push(Write::Unsay(before));
        }
        self.hear(key, Said { own: false, told_by: node.to_owned(), ..said }, now);
    }

    fn hear(&mut self, key: PublicKey, said: Said, now: Moment) {
        let time_ns = said.time_ns;
        match self.statements.hear(key, said, now, |key| has(&self.peers, key)) {
            Heard::Taken { forgotten } => {
                self.writes.extend(forgotten.map(Write::Unsay));
                if let Some(said) = self.statements.get(&key) {
                    self.writes.push(Write::Say(key, said.clone()));
                }
                self.show(key, now);
            }
            Heard::Old => {}
            Heard::Ahead => {
                self.refused.ahead += 1;
                debug!(peer = %key, time_ns, "what another node says of a peer is of the future");
            }
            Heard::NoRoom => self.refused.no_room += 1,
        }
    }

    /// Statements of other nodes that found no place here.
    pub(crate) fn refused(&self) -> RefusedStatements {
        self.refused
    }

    /// Has the peers of a key show what is said of it now.
    fn show(&mut self, key: PublicKey, now: Moment) {
        for id in ids(&self.peers, &key) {
            let Some(mut peer) = self.peers.remove(&id) else {
                continue;
            };
            let before = peer.settings.clone();
            let said_ns = peer.said_ns;
            self.say(&mut peer);
            let is_changed = peer.settings != before;
            if is_changed {
                self.labels.forget(&id);
            }
            // A statement that repeats what another node said is told by that one.
            if is_changed || (peer.said_ns != said_ns && !peer.said_elsewhere) {
                let happening = Happening::PeerUpdated { public_key: key, facts: peer.facts() };
                self.happened(&id.interface, happening, now);
            }
            self.peers.insert(id, peer);
        }
    }

    /// Forgets what other nodes said long ago of peers that are not here.
    fn expire(&mut self, now: Moment) {
        if now.uptime_ns.saturating_sub(self.expired_ns) < EXPIRE_NS {
            return;
        }
        self.expired_ns = now.uptime_ns;
        let forgotten = self.statements.expire(now, |key| has(&self.peers, key));
        self.writes.extend(forgotten.into_iter().map(Write::Unsay));
    }

    /// What the database knows from before this process, whenever it could be read.
    pub(crate) fn restore(&mut self, state: State, now: Moment) {
        for (key, said) in state.said {
            if !self.statements.restore(key, said) {
                let known = self.statements.get(&key).cloned();
                self.writes.extend(known.map(|known| Write::Say(key, known)));
            }
        }
        // What is too much or too old is forgotten when the kernel was asked, which says what is here.
        self.expired_ns = 0;
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
        writes.extend(self.statements.iter().map(|(key, said)| Write::Say(*key, said.clone())));
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
        for (key, said) in self.statements.iter() {
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

/// The peers of that key, one of each interface.
fn ids(peers: &BTreeMap<PeerId, Peer>, key: &PublicKey) -> Vec<PeerId> {
    let mut ids = Vec::new();
    let mut next = peers.keys().next();
    while let Some(PeerId { interface, .. }) = next {
        let id = PeerId { interface: interface.clone(), public_key: *key };
        let last = PeerId { interface: interface.clone(), public_key: PublicKey([255; 32]) };
        if peers.contains_key(&id) {
            ids.push(id);
        }
        let after = (Bound::Excluded(last), Bound::Unbounded);
        next = peers.range(after).next().map(|(id, _)| id);
    }
    ids
}

/// Whether there is a peer of that key.
fn has(peers: &BTreeMap<PeerId, Peer>, key: &PublicKey) -> bool {
    !ids(peers, key).is_empty()
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
    use crate::AllowedIp;

    const HOUR_NS: u64 = 3_600_000_000_000;

    fn cache() -> Cache {
        Cache::new(Arc::default(), "here".to_owned(), "this boot".to_owned())
    }

    fn named(name: &str) -> PeerSettings {
        PeerSettings { name: name.to_owned(), check_alive_address: None }
    }

    fn update(cache: &mut Cache, public_key: PublicKey, name: &str, now: Moment) {
        let patch = named(name).into();
        cache.announce(Announcement::Updated { public_key, patch }, now).unwrap();
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
        update(&mut cache, one, "a", now);
        let facts = Facts { settings: named("b"), said_ns: 7, ..Facts::default() };
        cache.told("there", two, &facts, now);
        assert_eq!(told(&cache), [("a".to_owned(), now.time_ns)], "who said the other tells it");
        let later = Facts { said_ns: now.time_ns + 1, ..facts };
        cache.told("there", one, &later, now);
        assert_eq!(told(&cache), []);
    }

    #[test]
    fn who_speaks_last_is_right_although_the_clock_was_set_back() {
        let mut cache = cache();
        let public_key = PublicKey([1; 32]);
        let now = Moment { time_ns: 10 * HOUR_NS, uptime_ns: HOUR_NS };
        update(&mut cache, public_key, "a", now);
        let now = Moment { time_ns: 2 * HOUR_NS, uptime_ns: HOUR_NS + 1 };
        update(&mut cache, public_key, "b", now);
        assert_eq!(told(&cache), [("b".to_owned(), 10 * HOUR_NS + 1)]);
    }

    #[test]
    fn a_clock_that_was_a_year_ahead_does_not_silence_a_node() {
        const YEAR_NS: u64 = 365 * 24 * HOUR_NS;
        let (mut near, mut far) =
            (node("near", [peer(1, "10.0.0.1")]), node("far", [peer(1, "10.0.0.1")]));
        let key = PublicKey([1; 32]);
        for (name, time_ns) in [("a", 2 * YEAR_NS), ("b", YEAR_NS), ("c", YEAR_NS + HOUR_NS)] {
            let now = Moment { time_ns, uptime_ns: time_ns };
            update(&mut near, key, name, now);
            tell(&mut near, &mut [&mut far], now);
            let said = far.statements.get(&key).expect("it was told");
            assert_eq!((said.settings.name.as_str(), said.time_ns), (name, time_ns));
        }
    }

    fn peer(number: u8, allowed_ip: &str) -> PeerReading {
        let allowed_ip = AllowedIp { address: allowed_ip.parse().unwrap(), prefix: 32 };
        PeerReading {
            public_key: PublicKey([number; 32]),
            endpoint: None,
            handshake_ns: 0,
            received_bytes: 0,
            sent_bytes: 0,
            allowed_ips: vec![allowed_ip],
        }
    }

    /// A node that has these peers.
    fn node(name: &str, peers: impl IntoIterator<Item = PeerReading>) -> Cache {
        let mut cache = Cache::new(Arc::default(), name.to_owned(), String::new());
        let reading = InterfaceReading {
            name: "wg0".to_owned(),
            peers: peers.into_iter().collect(),
            ..InterfaceReading::default()
        };
        cache.apply(&[reading], Moment::default());
        cache.take_events();
        cache
    }

    /// What has happened at a node is told to others.
    fn tell(from: &mut Cache, to: &mut [&mut Cache], now: Moment) {
        for event in from.take_events() {
            if let Happening::PeerCreated { public_key, facts }
            | Happening::PeerUpdated { public_key, facts } = &event.happening
            {
                for to in &mut *to {
                    to.told(&event.node, *public_key, facts, now);
                }
            }
        }
    }

    #[test]
    fn nodes_agree_on_what_was_said_at_the_same_time_and_said_again() {
        let key = PublicKey([1; 32]);
        let (mut a, mut b, mut c) =
            (node("a", [peer(1, "10.0.0.1")]), node("b", []), node("c", [peer(1, "10.0.0.1")]));
        let said = |node: &Cache| {
            let said = node.statements.get(&key).unwrap();
            (said.settings.name.clone(), said.time_ns)
        };
        let mut now = Moment { time_ns: 10 * HOUR_NS, uptime_ns: HOUR_NS };
        update(&mut a, key, "one", now);
        update(&mut b, key, "two", now);
        tell(&mut a, &mut [&mut b, &mut c], now);
        tell(&mut b, &mut [&mut c, &mut a], now);
        for node in [&a, &b, &c] {
            assert_eq!(said(node), ("two".to_owned(), now.time_ns));
        }
        // One says again what it has said while another one says something else before that.
        now.time_ns += 2;
        update(&mut c, key, "two", now);
        let before = Moment { time_ns: now.time_ns - 1, ..now };
        update(&mut b, key, "three", before);
        tell(&mut c, &mut [&mut a, &mut b], now);
        tell(&mut b, &mut [&mut c, &mut a], now);
        for node in [&a, &b, &c] {
            assert_eq!(said(node), ("two".to_owned(), now.time_ns));
        }
        assert_eq!(a.peers().next().unwrap().settings.name, "two");
    }

    #[test]
    fn another_node_chooses_no_address_outside_of_the_tunnel() {
        let key = PublicKey([1; 32]);
        let mut cache = node("a", [peer(1, "10.0.0.1")]);
        let now = Moment { time_ns: 10 * HOUR_NS, uptime_ns: HOUR_NS };
        let check = Some("192.0.2.1".parse().unwrap());
        let settings = PeerSettings { check_alive_address: check, ..named("a") };
        let facts = Facts { settings: settings.clone(), said_ns: 5, ..Facts::default() };
        cache.told("b", key, &facts, now);
        let id = PeerId { interface: "wg0".to_owned(), public_key: key };
        let target = |cache: &Cache| cache.target(&id).unwrap().0;
        assert_eq!(cache.peer(&id).unwrap().settings, settings);
        assert_eq!(target(&cache).address.to_string(), "10.0.0.1");
        assert_eq!(target(&cache).interface.as_deref(), Some("wg0"));
        // Who may announce here may choose it, with the name that is known.
        let patch = SettingsPatch { check_alive_address: Some(check), ..SettingsPatch::default() };
        cache.announce(Announcement::Updated { public_key: key, patch }, now).unwrap();
        assert_eq!(target(&cache).address.to_string(), "192.0.2.1");
        assert_eq!(cache.peer(&id).unwrap().settings, settings);
    }

    #[test]
    fn what_is_said_of_peers_that_are_not_here_is_bounded() {
        let mut cache = node("a", [peer(255, "10.0.0.1")]);
        let now = Moment { time_ns: 10 * HOUR_NS, uptime_ns: HOUR_NS };
        let key = |number: u32| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_be_bytes());
            PublicKey(key)
        };
        let announce = |cache: &mut Cache, number| {
            let public_key = key(number);
            cache.announce(Announcement::Updated { public_key, patch: named("b").into() }, now)
        };
        for number in 0..10_000 {
            announce(&mut cache, number).unwrap();
        }
        assert_eq!(announce(&mut cache, 10_000), Err(Refused::TooMany(10_000)));
        for number in 20_000..40_000 {
            let facts = Facts { settings: named("a"), said_ns: 5, ..Facts::default() };
            cache.told("b", key(number), &facts, now);
        }
        assert_eq!(cache.statements.len(), 20_000);
        assert_eq!(cache.refused(), RefusedStatements { ahead: 0, no_room: 10_000 });
        announce(&mut cache, 0).unwrap();
        update(&mut cache, PublicKey([255; 32]), "here", now);
        let removed = Announcement::Removed { public_key: key(0), interface: "wg0".to_owned() };
        cache.announce(removed, now).unwrap();
        announce(&mut cache, 10_000).unwrap();
        let long =
            Announcement::Updated { public_key: key(1), patch: named(&"x".repeat(257)).into() };
        assert_eq!(cache.announce(long, now), Err(Refused::Name));
    }

    #[test]
    fn what_is_said_of_a_peer_outlives_one_of_its_interfaces() {
        let key = PublicKey([1; 32]);
        let mut cache = node("a", [peer(1, "10.0.0.1")]);
        let now = Moment { time_ns: 10 * HOUR_NS, uptime_ns: HOUR_NS };
        let at = |interface: &str| PeerId { interface: interface.to_owned(), public_key: key };
        let patch = SettingsPatch::from(named("a"));
        let created = Announcement::Created { public_key: key, interface: "wg1".to_owned(), patch };
        cache.announce(created, now).unwrap();
        let remove = |cache: &mut Cache, interface: &str| {
            let removed =
                Announcement::Removed { public_key: key, interface: interface.to_owned() };
            cache.announce(removed, now).unwrap();
        };
        remove(&mut cache, "wg1");
        assert_eq!(cache.peer(&at("wg0")).unwrap().settings, named("a"));
        assert!(cache.statements.get(&key).is_some());
        remove(&mut cache, "wg0");
        assert!(cache.statements.get(&key).is_none());
    }
}
