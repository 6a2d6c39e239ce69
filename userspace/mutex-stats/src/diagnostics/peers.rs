// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who is connected.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Entry;
use super::EntryKind;

/// Peers that have connected and not disconnected since, each at some addresses.
#[derive(Debug)]
pub(super) struct Peers {
    addresses: BTreeMap<String, BTreeSet<String>>,
    known: usize,
    limit: usize,
    /// How often there was no room.
    pub(super) forgotten: u64,
}

impl Peers {
    pub(super) fn new(limit: usize) -> Self {
        Peers { addresses: BTreeMap::new(), known: 0, limit, forgotten: 0 }
    }

    /// How many peers.
    pub(super) fn active(&self) -> u64 {
        self.addresses.len() as u64
    }

    /// Learns from an event.
    pub(super) fn see(&mut self, entry: &Entry) {
        let Some(peer) = &entry.peer else { return };
        let address = entry.address();
        match entry.kind {
            EntryKind::PeerConnected => {
                if self.addresses.get(peer).is_some_and(|known| known.contains(address)) {
                    return;
                }
                if self.known == self.limit {
                    self.forgotten += 1;
                    return;
                }
                self.known += 1;
                self.addresses.entry(peer.clone()).or_default().insert(address.to_owned());
            }
            EntryKind::PeerDisconnected => {
                let Some(known) = self.addresses.get_mut(peer) else { return };
                // Who does not say from where is gone altogether.
                let gone = if address.is_empty() {
                    std::mem::take(known).len()
                } else {
                    usize::from(known.remove(address))
                };
                self.known -= gone;
                if known.is_empty() {
                    self.addresses.remove(peer);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_active_until_its_last_address_is_gone() {
        let mut peers = Peers::new(3);
        let connect = |peers: &mut Peers, peer: &str, at: &str| {
            peers.see(&Entry::peer_connected(peer, at));
            peers.active()
        };
        let disconnect = |peers: &mut Peers, peer: &str, at: &str| {
            peers.see(&Entry::peer_disconnected(peer, at, "end"));
            peers.active()
        };
        assert_eq!(connect(&mut peers, "a", "1"), 1);
        assert_eq!(connect(&mut peers, "a", "1"), 1);
        assert_eq!(connect(&mut peers, "a", "2"), 1);
        assert_eq!(connect(&mut peers, "b", "1"), 2);
        assert_eq!((connect(&mut peers, "c", "1"), peers.forgotten), (2, 1));
        assert_eq!(disconnect(&mut peers, "c", "1"), 2);
        assert_eq!(disconnect(&mut peers, "a", "3"), 2);
        assert_eq!(disconnect(&mut peers, "a", "1"), 2);
        assert_eq!(disconnect(&mut peers, "a", "2"), 1);
        assert_eq!(connect(&mut peers, "d", "1"), 2);
        assert_eq!(connect(&mut peers, "d", "2"), 2);
        assert_eq!(disconnect(&mut peers, "d", ""), 1);
        assert_eq!((disconnect(&mut peers, "b", "1"), peers.known), (0, 0));
    }
}
