// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is known of other nodes and their peers.

use std::collections::BTreeMap;

use crate::Event;
use crate::Happening;
use crate::Moment;
use crate::PeerId;

/// How long a node that nothing is heard of keeps its place if another one needs it: ten greetings.
const SILENT_NS: u64 = 300_000_000_000;

/// Another node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteNode {
    /// When it was last heard from, in nanoseconds of the Unix epoch of this host.
    pub heard_ns: u64,
    /// Its peers, and whether each is connected.
    pub peers: BTreeMap<PeerId, bool>,
    /// How often one of its peers found no room here, or had to give way, since all of them were told last.
    pub left_out: u64,
    /// The same as `heard_ns` by the clock that nobody sets, or when there was a server again.
    silent_since_ns: u64,
}

/// All other nodes.
#[derive(Debug)]
pub(crate) struct RemoteNodes {
    nodes: BTreeMap<String, RemoteNode>,
    max_nodes: usize,
    max_peers: usize,
    /// Peers of all nodes.
    peers: usize,
    /// How often a peer found no room.
    left_out: u64,
}

/// Whether there is room for a node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// There is; another one that was silent may have had to go.
    Admitted { instead_of: Option<String> },
    /// There is none.
    Full,
}

impl RemoteNodes {
    pub(crate) fn new(max_nodes: usize, max_peers: usize) -> Self {
        RemoteNodes { nodes: BTreeMap::new(), max_nodes, max_peers, peers: 0, left_out: 0 }
    }

    pub(crate) fn nodes(&self) -> &BTreeMap<String, RemoteNode> {
        &self.nodes
    }

    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Something was heard of a node.
    pub(crate) fn hear(&mut self, node: &str, now: Moment) -> Admission {
        let mut instead_of = None;
        if !self.nodes.contains_key(node) && self.nodes.len() >= self.max_nodes {
            let silent = self.nodes.iter().min_by_key(|(_, other)| other.silent_since_ns);
            let silent = silent.filter(|(_, other)| other.is_silent(now, SILENT_NS));
            let Some((silent, _)) = silent else {
                return Admission::Full;
            };
            let silent = silent.clone();
            self.forget(&silent);
            instead_of = Some(silent);
        }
        let node = self.nodes.entry(node.to_owned()).or_default();
        node.heard_ns = now.time_ns;
        node.silent_since_ns = now.uptime_ns;
        Admission::Admitted { instead_of }
    }

    fn forget(&mut self, node: &str) {
        if let Some(node) = self.nodes.remove(node) {
            self.peers -= node.peers.len();
        }
    }

    /// There is a server again: that nothing was heard before says nothing.
    pub(crate) fn begin_to_listen(&mut self, now: Moment) {
        for node in self.nodes.values_mut() {
            node.silent_since_ns = now.uptime_ns;
        }
    }

    /// Forgets nodes that were silent for so long; their names.
    pub(crate) fn expire(&mut self, now: Moment, expiry_ns: u64) -> Vec<String> {
        let silent = self.nodes.iter().filter(|(_, node)| node.is_silent(now, expiry_ns));
        let silent: Vec<String> = silent.map(|(name, _)| name.clone()).collect();
        for name in &silent {
            self.forget(name);
        }
        silent
    }

    /// What is known of a node's peers is told anew.
    pub(crate) fn begin_anew(&mut self, node: &str) {
        if let Some(node) = self.nodes.get_mut(node) {
            self.peers -= node.peers.len();
            node.peers.clear();
            node.left_out = 0;
        }
    }

    /// Something happened at a node that was heard.
    pub(crate) fn apply(&mut self, event: &Event) {
        let id = |public_key| PeerId { interface: event.interface.clone(), public_key };
        let (key, connected) = match event.happening {
            Happening::PeerCreated { public_key, .. } => (public_key, Some(false)),
            Happening::PeerReidentified { before, public_key, .. } => {
                (public_key, self.remove(&event.node, &id(before)).or(Some(false)))
            }
            Happening::ConnectionChanged { public_key, connected } => (public_key, Some(connected)),
            Happening::PeerRemoved { public_key } => (public_key, None),
            Happening::PeerUpdated { .. }
            | Happening::SessionChanged { .. }
            | Happening::InterfaceAppeared
            | Happening::InterfaceVanished => return,
        };
        match connected {
            Some(connected) => self.insert(&event.node, id(key), connected),
            None => drop(self.remove(&event.node, &id(key))),
        }
    }

    fn remove(&mut self, node: &str, id: &PeerId) -> Option<bool> {
        let removed = self.nodes.get_mut(node)?.peers.remove(id);
        self.peers -= usize::from(removed.is_some());
        removed
    }

    /// A peer; if there is no room, one of the node that has most gives way, unless that is this node.
    fn insert(&mut self, node: &str, id: PeerId, connected: bool) {
        let Some(mine) = self.nodes.get_mut(node) else {
            return;
        };
        if let Some(known) = mine.peers.get_mut(&id) {
            *known = connected;
            return;
        }
        if self.peers >= self.max_peers {
            let count = mine.peers.len();
            mine.left_out += 1;
            self.left_out += 1;
            let largest = self.nodes.values_mut().max_by_key(|other| other.peers.len());
            let Some(largest) = largest.filter(|other| other.peers.len() > count + 1) else {
                return;
            };
            largest.peers.pop_last();
            largest.left_out += 1;
            self.peers -= 1;
        }
        if let Some(mine) = self.nodes.get_mut(node) {
            mine.peers.insert(id, connected);
            self.peers += 1;
        }
    }
}

impl RemoteNode {
    fn is_silent(&self, now: Moment, long_ns: u64) -> bool {
        now.uptime_ns.saturating_sub(self.silent_since_ns) >= long_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Facts;
    use crate::PublicKey;

    fn event(node: &str, happening: Happening) -> Event {
        Event { node: node.to_owned(), time_ns: 1, interface: "wg0".to_owned(), happening }
    }

    fn created(node: &str, number: u8) -> Event {
        let facts = Facts::default();
        event(node, Happening::PeerCreated { public_key: PublicKey([number; 32]), facts })
    }

    fn at(uptime_ns: u64) -> Moment {
        Moment { time_ns: 5, uptime_ns }
    }

    fn admitted(instead_of: Option<&str>) -> Admission {
        Admission::Admitted { instead_of: instead_of.map(str::to_owned) }
    }

    #[test]
    fn peers_of_other_nodes_follow_their_events() {
        let mut nodes = RemoteNodes::new(9, 9);
        nodes.apply(&created("b", 3));
        assert!(nodes.nodes().is_empty(), "a node is heard before its events are taken");
        let mut apply = |happening| {
            nodes.hear("b", at(1));
            nodes.apply(&event("b", happening));
            let node = &nodes.nodes()["b"];
            assert_eq!(node.heard_ns, 5);
            node.peers.iter().map(|(id, up)| (id.public_key.0[0], *up)).collect::<Vec<_>>()
        };
        let (one, two) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let facts = Facts::default();
        apply(Happening::PeerCreated { public_key: one, facts: facts.clone() });
        let after = apply(Happening::ConnectionChanged { public_key: one, connected: true });
        assert_eq!(after, [(1, true)]);
        let after = apply(Happening::PeerReidentified { before: one, public_key: two, facts });
        assert_eq!(after, [(2, true)]);
        assert_eq!(apply(Happening::PeerRemoved { public_key: two }), []);
        assert_eq!(nodes.peers, 0);
    }

    #[test]
    fn nodes_are_bounded_and_silent_ones_make_room() {
        let mut nodes = RemoteNodes::new(2, 100);
        assert_eq!(nodes.hear("a", at(1)), admitted(None));
        assert_eq!(nodes.hear("b", at(2)), admitted(None));
        nodes.apply(&created("a", 1));
        assert_eq!(nodes.hear("c", at(SILENT_NS)), Admission::Full);
        assert_eq!(nodes.hear("b", at(SILENT_NS)), admitted(None));
        assert_eq!(nodes.hear("c", at(SILENT_NS + 1)), admitted(Some("a")));
        assert_eq!((nodes.peers, nodes.nodes().len()), (0, 2));
    }

    #[test]
    fn nodes_that_are_silent_for_long_are_forgotten_unless_there_was_no_server() {
        let mut nodes = RemoteNodes::new(9, 100);
        nodes.hear("a", at(1));
        nodes.hear("b", at(500));
        nodes.apply(&created("a", 1));
        assert_eq!(nodes.expire(at(1000), 1000), [""; 0]);
        assert_eq!(nodes.expire(at(1001), 1000), ["a"]);
        assert_eq!(nodes.peers, 0);
        nodes.begin_to_listen(at(5000));
        assert_eq!(nodes.expire(at(5999), 1000), [""; 0]);
        assert_eq!(nodes.expire(at(6000), 1000), ["b"]);
    }

    #[test]
    fn peers_of_all_nodes_are_bounded_and_the_largest_gives_way() {
        let mut nodes = RemoteNodes::new(9, 10);
        let mut tell = |node: &str, numbers: std::ops::Range<u8>| {
            nodes.hear(node, at(1));
            for number in numbers {
                nodes.apply(&created(node, number));
            }
            let of = |name: &str| nodes.nodes().get(name).map_or(0, |node| node.peers.len());
            assert_eq!(nodes.peers, of("a") + of("b"));
            (of("a"), of("b"), nodes.left_out())
        };
        assert_eq!(tell("a", 0..15), (10, 0, 5));
        assert_eq!(tell("b", 0..20), (5, 5, 25));
        assert_eq!(tell("a", 0..5), (5, 5, 25), "known ones need no room");
        nodes.begin_anew("a");
        assert_eq!((nodes.peers, nodes.nodes()["a"].left_out), (5, 0));
    }
}
