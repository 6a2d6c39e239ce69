// SPDX-License-Identifier: MIT OR Apache-2.0

//! The cache of what metrics call each peer.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Peer;
use crate::PeerId;

/// What metrics call a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    pub interface: String,
    pub public_key: String,
    pub name: String,
    pub address: String,
    /// Of the last two, what they were made of.
    shows: bool,
}

/// Labels of peers, made when they are needed first.
#[derive(Debug, Default)]
pub(crate) struct LabelCache {
    labels: HashMap<PeerId, Arc<Labels>>,
}

impl LabelCache {
    /// The labels of a peer.
    pub(crate) fn of(&mut self, peer: &Peer) -> Arc<Labels> {
        let shows = peer.pings.ever_succeeded();
        match self.labels.get(&peer.id) {
            Some(labels) if labels.shows == shows => Arc::clone(labels),
            _ => {
                let labels = Arc::new(Labels {
                    interface: peer.id.interface.clone(),
                    public_key: peer.id.public_key.to_string(),
                    name: peer.settings.name.clone(),
                    address: peer.shown_address(),
                    shows,
                });
                self.labels.insert(peer.id.clone(), Arc::clone(&labels));
                labels
            }
        }
    }

    /// Something that they are made of has changed, or the peer is gone.
    pub(crate) fn forget(&mut self, id: &PeerId) {
        self.labels.remove(id);
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }
}
