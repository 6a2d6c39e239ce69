// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a node says to what it hears.

use std::collections::BTreeMap;

use tracing::warn;

use super::CHUNK;
use super::FanoutHealth;
use super::Message;
use super::Position;
use super::RemoteNode;
use super::inbox::Inbox;
use super::inbox::Seen;
use super::outbox::Outbox;
use super::remote::RemoteNodes;
use crate::Event;
use crate::Moment;

/// How long an answer is waited for before what is missing is asked for again.
const PATIENCE_NS: u64 = 2_000_000_000;
/// How often a node says what it has, even if nothing seems to be missing.
const HELLO_NS: u64 = 30_000_000_000;

/// One node's side.
#[derive(Debug)]
pub(crate) struct Protocol {
    node: String,
    epoch: u64,
    outbox: Outbox,
    inbox: Inbox,
    remote: RemoteNodes,
    /// When each node was asked for what is missing, by the clock that nobody sets.
    asked: BTreeMap<String, u64>,
    greeted_ns: u64,
    was_connected: bool,
    has_namesake: bool,
    health: FanoutHealth,
}

/// What comes of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// What to say, to one node or to all.
    pub replies: Vec<(Option<String>, Message)>,
    /// What has just happened at another node.
    pub events: Vec<Event>,
    /// What had happened there before.
    pub state: Vec<Event>,
}

impl Protocol {
    pub(crate) fn new(node: String, epoch: u64, capacity: usize) -> Self {
        Protocol {
            node,
            epoch,
            outbox: Outbox::new(capacity),
            inbox: Inbox::default(),
            remote: RemoteNodes::default(),
            asked: BTreeMap::new(),
            greeted_ns: 0,
            was_connected: false,
            has_namesake: false,
            health: FanoutHealth::default(),
        }
    }

    fn position(&self, number: u64) -> Position {
        Position { node: self.node.clone(), epoch: self.epoch, number }
    }

    /// Something happened here.
    pub(crate) fn publish(&mut self, event: Event) {
        self.outbox.push(event);
    }

    /// The next event for the server, if there is one and no more than so many are under way.
    pub(crate) fn next(&mut self, under_way: u64) -> Option<Message> {
        if !self.health.connected {
            return None;
        }
        let (number, event) = self.outbox.next(under_way)?;
        Some(Message::Event { from: self.position(number), event: Box::new(event) })
    }

    /// What was under way seems to be lost.
    pub(crate) fn again(&mut self) {
        self.outbox.again();
    }

    /// There is a server: what to say to all.
    pub(crate) fn connected(&mut self, now: Moment) -> Message {
        self.health.reconnects += u64::from(self.was_connected);
        self.was_connected = true;
        self.health.connected = true;
        self.outbox.again();
        self.hello(now)
    }

    /// There is no server. Tells whether there was one.
    pub(crate) fn disconnected(&mut self) -> bool {
        std::mem::take(&mut self.health.connected)
    }

    fn hello(&mut self, now: Moment) -> Message {
        self.greeted_ns = now.uptime_ns;
        Message::Hello { from: self.position(self.outbox.last()), have: self.inbox.have() }
    }

    /// What to say to all when nothing was said for long: the last event of all may be missing somewhere.
    pub(crate) fn overdue_hello(&mut self, now: Moment) -> Option<Message> {
        let is_due = now.uptime_ns.saturating_sub(self.greeted_ns) >= HELLO_NS;
        (self.health.connected && is_due).then(|| self.hello(now))
    }

    pub(crate) fn nodes(&self) -> &BTreeMap<String, RemoteNode> {
        self.remote.nodes()
    }

    pub(crate) fn health(&self) -> FanoutHealth {
        FanoutHealth {
            waiting: self.outbox.waiting(),
            published: self.outbox.last(),
            lost: self.outbox.lost(),
            ..self.health.clone()
        }
    }

    /// A message has come. `peers` are those of this node, as events.
    pub(crate) fn hear(&mut self, message: Message, peers: &[Event], now: Moment) -> Heard {
        let mut heard = Heard::default();
        let from = match &message {
            Message::Event { from, .. }
            | Message::Hello { from, .. }
            | Message::Replay { from, .. }
            | Message::Snapshot { from, .. } => from.clone(),
        };
        if from.node == self.node {
            self.hear_myself(&from, &message);
            return heard;
        }
        self.remote.hear(&from.node, now.time_ns);
        match message {
            Message::Event { event, .. } => match self.inbox.see(&from) {
                Seen::New => self.take(*event, &mut heard, now),
                Seen::Again => {}
                Seen::TooEarly => self.ask(&from.node, &mut heard, now),
            },
            Message::Hello { have, .. } => {
                self.answer(&from, have.get(&self.node).copied(), peers, &mut heard);
                if self.inbox.have().get(&from.node) != Some(&(from.epoch, from.number)) {
                    self.ask(&from.node, &mut heard, now);
                }
            }
            Message::Replay { events, .. } => {
                let first = (from.number + 1).saturating_sub(events.len() as u64);
                for (number, event) in (first..).zip(events) {
                    if self.inbox.see(&Position { number, ..from.clone() }) == Seen::New {
                        self.take(event, &mut heard, now);
                    }
                }
                self.asked.remove(&from.node);
            }
            Message::Snapshot { events, first, last, .. } => {
                if first {
                    self.remote.begin_anew(&from.node);
                }
                for event in &events {
                    self.remote.apply(event, now.time_ns);
                }
                heard.state = events;
                if last {
                    self.inbox.set(&from);
                    self.asked.remove(&from.node);
                }
            }
        }
        heard
    }

    /// Own events come back when the server has them.
    fn hear_myself(&mut self, from: &Position, message: &Message) {
        if from.epoch == self.epoch {
            if matches!(message, Message::Event { .. }) {
                self.outbox.confirm(from.number);
            }
        } else if !self.has_namesake && from.epoch > self.epoch {
            self.has_namesake = true;
            warn!(node = self.node, "another node has this node's name: give each its own");
        }
    }

    fn take(&mut self, event: Event, heard: &mut Heard, now: Moment) {
        self.health.received += 1;
        self.remote.apply(&event, now.time_ns);
        heard.events.push(event);
    }

    /// Asks a node for what is missing, not more often than it can answer.
    fn ask(&mut self, node: &str, heard: &mut Heard, now: Moment) {
        let asked = self.asked.get(node).copied();
        if asked.is_some_and(|at| now.uptime_ns.saturating_sub(at) < PATIENCE_NS) {
            return;
        }
        self.asked.insert(node.to_owned(), now.uptime_ns);
        self.health.gaps += 1;
        let hello =
            Message::Hello { from: self.position(self.outbox.last()), have: self.inbox.have() };
        heard.replies.push((Some(node.to_owned()), hello));
    }

    /// Tells a node what it has not.
    fn answer(&self, to: &Position, has: Option<(u64, u64)>, peers: &[Event], heard: &mut Heard) {
        let kept = match has {
            Some((epoch, number)) if epoch == self.epoch => {
                self.outbox.after(number).map(|events| (number, events))
            }
            _ => None,
        };
        let position = |number| self.position(number);
        let mut tell = |message| heard.replies.push((Some(to.node.clone()), message));
        if let Some((mut number, events)) = kept {
            for part in events.chunks(CHUNK) {
                number += part.len() as u64;
                tell(Message::Replay { from: position(number), events: part.to_vec() });
            }
            return;
        }
        let parts = peers.len().div_ceil(CHUNK).max(1);
        for at in 0..parts {
            tell(Message::Snapshot {
                from: position(self.outbox.last()),
                events: peers.iter().skip(at * CHUNK).take(CHUNK).cloned().collect(),
                first: at == 0,
                last: at + 1 == parts,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::Facts;
    use crate::Happening;
    use crate::PublicKey;

    /// Nodes on a server that comes and goes.
    struct World {
        nodes: Vec<Protocol>,
        heard: Vec<Vec<u64>>,
        wire: VecDeque<(Option<String>, Message)>,
        now: Moment,
    }

    impl World {
        fn new(nodes: usize, capacity: usize) -> Self {
            let node = |at: usize| Protocol::new(format!("n{at}"), 7, capacity);
            World {
                nodes: (0..nodes).map(node).collect(),
                heard: vec![Vec::new(); nodes],
                wire: VecDeque::new(),
                now: Moment { time_ns: 1, uptime_ns: PATIENCE_NS },
            }
        }

        fn publish(&mut self, at: usize, number: u8) {
            let event = Event {
                node: format!("n{at}"),
                time_ns: u64::from(number),
                interface: "wg0".to_owned(),
                happening: Happening::PeerCreated {
                    public_key: PublicKey([number; 32]),
                    facts: Facts::default(),
                },
            };
            self.nodes[at].publish(event);
        }

        fn connect(&mut self, at: usize) {
            let hello = self.nodes[at].connected(self.now);
            self.wire.push_back((None, hello));
        }

        /// Delivers everything to the nodes that are connected, but for what `loses` picks.
        fn settle(&mut self, mut loses: impl FnMut(usize, &Message) -> bool) {
            for _ in 0..10_000 {
                for node in &mut self.nodes {
                    while let Some(message) = node.next(5) {
                        self.wire.push_back((None, message));
                    }
                }
                let Some((to, message)) = self.wire.pop_front() else {
                    return;
                };
                for at in 0..self.nodes.len() {
                    let name = format!("n{at}");
                    let is_for_it = to.as_ref().is_none_or(|to| *to == name);
                    if !is_for_it || !self.nodes[at].health.connected || loses(at, &message) {
                        continue;
                    }
                    let heard = self.nodes[at].hear(message.clone(), &[], self.now);
                    self.heard[at].extend(heard.events.iter().map(|event| event.time_ns));
                    self.wire.extend(heard.replies);
                }
            }
            panic!("the nodes never stop talking");
        }
    }

    #[test]
    fn events_wait_for_the_server_and_come_to_who_is_later() {
        let mut world = World::new(3, 100);
        for at in 0..3 {
            world.connect(at);
        }
        world.settle(|_, _| false);
        world.publish(0, 1);
        world.settle(|_, _| false);
        assert_eq!(world.heard, [vec![], vec![1], vec![1]], "and not to itself");

        // The server goes; things happen meanwhile.
        for node in &mut world.nodes {
            assert!(node.disconnected());
        }
        for number in 2..=20 {
            world.publish(0, number);
        }
        world.settle(|_, _| false);
        assert_eq!(world.nodes[0].health().waiting, 19);
        // One that is there again before the others has told all of it to nobody.
        world.now.uptime_ns += HELLO_NS;
        world.connect(0);
        world.settle(|_, _| false);
        assert_eq!((world.nodes[0].health().waiting, world.heard[1].len()), (0, 1));
        world.connect(1);
        world.settle(|_, _| false);
        world.connect(2);
        world.settle(|_, _| false);
        let all: Vec<u64> = (1..=20).collect();
        assert_eq!(world.heard, [vec![], all.clone(), all]);
        assert_eq!(world.nodes[0].health().lost, 0);
        assert_eq!(world.nodes[1].nodes()["n0"].peers.len(), 20);
    }

    #[test]
    fn what_gets_lost_under_way_is_asked_for() {
        let mut world = World::new(2, 100);
        for at in 0..2 {
            world.connect(at);
        }
        world.settle(|_, _| false);
        for number in 1..=9 {
            world.publish(0, number);
        }
        world.now.uptime_ns += PATIENCE_NS;
        let is_third = |at, message: &Message| {
            at == 1 && matches!(message, Message::Event { from, .. } if from.number == 3)
        };
        world.settle(is_third);
        assert_eq!(world.heard[1], (1..=9).collect::<Vec<_>>());
        assert!(world.nodes[1].health().gaps >= 1);

        // The last one of all is missed without anything that shows it, until somebody says what there is.
        world.publish(0, 10);
        world.settle(|at, message| at == 1 && matches!(message, Message::Event { .. }));
        assert_eq!(world.heard[1].len(), 9);
        assert_eq!(world.nodes[0].overdue_hello(world.now), None);
        world.now.uptime_ns += HELLO_NS;
        let hello = world.nodes[0].overdue_hello(world.now).unwrap();
        world.wire.push_back((None, hello));
        world.settle(|_, _| false);
        assert_eq!(world.heard[1], (1..=10).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_not_kept_any_more_is_told_as_it_is() {
        let mut world = World::new(2, 5);
        world.connect(0);
        for number in 1..=20 {
            world.publish(0, number);
            world.settle(|_, _| false);
        }
        assert_eq!(world.nodes[0].health().lost, 0);
        world.connect(1);
        world.settle(|_, _| false);
        assert_eq!(world.heard[1], Vec::<u64>::new());
        world.publish(0, 21);
        world.settle(|_, _| false);
        assert_eq!(world.heard[1], [21], "from there on it goes one by one");
    }

    #[test]
    fn a_snapshot_comes_in_parts() {
        let mut world = World::new(2, 5);
        let peers: Vec<Event> = (0..450_u32)
            .map(|number| {
                let mut key = [0; 32];
                key[..4].copy_from_slice(&number.to_be_bytes());
                Event {
                    node: "n0".to_owned(),
                    time_ns: 1,
                    interface: "wg0".to_owned(),
                    happening: Happening::PeerCreated {
                        public_key: PublicKey(key),
                        facts: Facts::default(),
                    },
                }
            })
            .collect();
        let now = world.now;
        let hello = world.nodes[1].connected(now);
        let replies = world.nodes[0].hear(hello, &peers, now).replies;
        // Three parts, and a question back.
        assert_eq!(replies.len(), 4);
        for (to, message) in replies {
            assert_eq!(to.as_deref(), Some("n1"));
            world.nodes[1].hear(message, &[], now);
        }
        assert_eq!(world.nodes[1].nodes()["n0"].peers.len(), 450);
    }
}
