// SPDX-License-Identifier: MIT OR Apache-2.0

//! How much of what other nodes said is known here.

use std::collections::BTreeMap;

use super::Position;

/// The last position of each node.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    nodes: BTreeMap<String, (u64, u64)>,
}

/// What an event is to whoever gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The next one.
    New,
    /// It was here before.
    Again,
    /// Others before it were not here.
    TooEarly,
}

impl Inbox {
    /// Sees an event; only a new one moves the position.
    pub(crate) fn see(&mut self, from: &Position) -> Seen {
        let (epoch, number) = self.nodes.get(&from.node).copied().unwrap_or((from.epoch, 0));
        // The numbers of another life say nothing; all of it is missing, unless this is its first event.
        let number = if epoch == from.epoch { number } else { 0 };
        if from.number <= number {
            return Seen::Again;
        }
        if from.number - number > 1 {
            return Seen::TooEarly;
        }
        self.set(from);
        Seen::New
    }

    /// Whether more of a node is known than up to there.
    pub(crate) fn is_past(&self, from: &Position) -> bool {
        self.nodes
            .get(&from.node)
            .is_some_and(|&(epoch, number)| epoch == from.epoch && number > from.number)
    }

    /// Everything of a node up to there is known.
    pub(crate) fn set(&mut self, from: &Position) {
        self.nodes.insert(from.node.clone(), (from.epoch, from.number));
    }

    /// A node is not listened to any more.
    pub(crate) fn forget(&mut self, node: &str) {
        self.nodes.remove(node);
    }

    /// The positions of all nodes.
    pub(crate) fn have(&self) -> BTreeMap<String, (u64, u64)> {
        self.nodes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(node: &str, epoch: u64, number: u64) -> Position {
        Position { node: node.to_owned(), epoch, number }
    }

    #[test]
    fn events_are_taken_once_and_in_their_order() {
        let mut inbox = Inbox::default();
        let mut see = |node, epoch, number| inbox.see(&at(node, epoch, number));
        assert_eq!(see("a", 1, 1), Seen::New);
        assert_eq!(see("a", 1, 1), Seen::Again);
        assert_eq!(see("a", 1, 3), Seen::TooEarly);
        assert_eq!(see("a", 1, 2), Seen::New);
        assert_eq!(see("a", 1, 3), Seen::New);
        assert_eq!(see("b", 9, 7), Seen::TooEarly);
        assert_eq!(see("a", 2, 2), Seen::TooEarly, "another life");
        assert_eq!(see("a", 2, 1), Seen::New);
        inbox.set(&at("b", 9, 7));
        assert_eq!(inbox.see(&at("b", 9, 8)), Seen::New);
        let is_past = |node, epoch, number| inbox.is_past(&at(node, epoch, number));
        assert!(
            is_past("b", 9, 7) && !is_past("b", 9, 8) && !is_past("b", 8, 7) && !is_past("c", 9, 1)
        );
        assert_eq!(inbox.have()["b"], (9, 8));
    }
}
