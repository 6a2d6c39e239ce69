// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is known of other nodes and their peers.

use std::collections::BTreeMap;

use crate::Event;
use crate::Happening;
use crate::PeerId;

/// How many peers of a node are remembered.
const MOST: usize = 100_000;

/// Another node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteNode {
    /// When it was last heard from, in nanoseconds of the Unix epoch of this host.
    pub heard_ns: u64,
    /// Its peers, and whether each is connected.
    pub peers: BTreeMap<PeerId, bool>,
}

/// All other nodes.
#[derive(Debug, Default)]
pub(crate) struct RemoteNodes {
    nodes: BTreeMap<String, RemoteNode>,
}

impl RemoteNodes {
    pub(crate) fn nodes(&self) -> &BTreeMap<String, RemoteNode> {
        &self.nodes
    }

    /// Something was heard of a node.
    pub(crate) fn hear(&mut self, node: &str, time_ns: u64) -> &mut RemoteNode {
        let node = self.nodes.entry(node.to_owned()).or_default();
        node.heard_ns = time_ns;
        node
    }

    /// What is known of a node's peers is told anew.
    pub(crate) fn begin_anew(&mut self, node: &str) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.peers.clear();
        }
    }

    /// Something happened at a node.
    pub(crate) fn apply(&mut self, event: &Event, time_ns: u64) {
        let peers = &mut self.hear(&event.node, time_ns).peers;
        let id = |public_key| PeerId { interface: event.interface.clone(), public_key };
        let (key, connected) = match event.happening {
            Happening::PeerCreated { public_key, .. } => (public_key, Some(false)),
            Happening::PeerReidentified { before, public_key, .. } => {
                (public_key, peers.remove(&id(before)).or(Some(false)))
            }
            Happening::ConnectionChanged { public_key, connected } => (public_key, Some(connected)),
            Happening::PeerRemoved { public_key } => (public_key, None),
            Happening::PeerUpdated { .. }
            | Happening::SessionChanged { .. }
            | Happening::InterfaceAppeared
            | Happening::InterfaceVanished => return,
        };
        let id = id(key);
        match connected {
            Some(connected) if peers.len() < MOST || peers.contains_key(&id) => {
                peers.insert(id, connected);
            }
            Some(_) => {}
            None => {
                peers.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Facts;
    use crate::PublicKey;

    #[test]
    fn peers_of_other_nodes_follow_their_events() {
        let mut nodes = RemoteNodes::default();
        let mut apply = |happening| {
            let event =
                Event { node: "b".to_owned(), time_ns: 1, interface: "wg0".to_owned(), happening };
            nodes.apply(&event, 5);
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
    }
}
