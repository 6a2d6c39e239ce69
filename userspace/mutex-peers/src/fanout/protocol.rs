// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a node says to what it hears.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tracing::info;
use tracing::warn;

use super::CHUNK;
use super::ENVELOPE;
use super::FanoutHealth;
use super::LEAST_BYTES;
use super::MOST_BYTES;
use super::Message;
use super::Position;
use super::RemoteNode;
use super::inbox::Inbox;
use super::inbox::Seen;
use super::outbox::Outbox;
use super::remote::Admission;
use super::remote::RemoteNodes;
use super::subject::Subject;
use crate::Event;
use crate::Fanout;
use crate::Moment;
use crate::clock::nanoseconds;
use crate::settings::is_sound_node;

/// How long an answer is waited for before what is missing is asked for again.
const PATIENCE_NS: u64 = 2_000_000_000;
/// How often a node says what it has, even if nothing seems to be missing.
const HELLO_NS: u64 = 30_000_000_000;
/// How often a node that says what it has is told the rest, in that time: a snapshot is large.
const ANSWERS: (u32, u64) = (10, 10_000_000_000);
/// How often it is warned of messages that are refused.
const WARN_NS: u64 = 60_000_000_000;
/// The numbers of events and lives that can be: others would never be reached.
const MOST_NUMBER: u64 = i64::MAX.unsigned_abs();

/// One node's side.
#[derive(Debug)]
pub(crate) struct Protocol {
    node: String,
    epoch: u64,
    expiry_ns: u64,
    /// Bytes of the events of a message, at the most.
    room: usize,
    outbox: Outbox,
    inbox: Inbox,
    remote: RemoteNodes,
    /// When each node was asked for what is missing, by the clock that nobody sets.
    asked: BTreeMap<String, u64>,
    /// How often each node was answered since when, by the same clock.
    answered: BTreeMap<String, (u32, u64)>,
    /// Nodes that last said to have had fewer events than are known of them: what is known is wrong, or they
    /// were overtaken by an answer.
    doubted: BTreeSet<String>,
    greeted_ns: u64,
    warned_ns: Option<u64>,
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

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    OtherNode,
    Malformed,
    NodeLimit,
    AnswerLimit,
}

impl Message {
    fn from(&self) -> &Position {
        match self {
            Message::Event { from, .. }
            | Message::Hello { from, .. }
            | Message::Replay { from, .. }
            | Message::Snapshot { from, .. } => from,
        }
    }

    fn events(&self) -> &[Event] {
        match self {
            Message::Event { event, .. } => std::slice::from_ref(event),
            Message::Hello { .. } => &[],
            Message::Replay { events, .. } | Message::Snapshot { events, .. } => events,
        }
    }

    /// Whether that node may say so there: it speaks for itself only, within the bounds.
    fn check(&self, on: &Subject<'_>) -> Result<(), Refusal> {
        let from = self.from();
        if !on.is_of(&from.node) || self.events().iter().any(|event| event.node != from.node) {
            return Err(Refusal::OtherNode);
        }
        let is_way_right = match self {
            Message::Event { .. } => !on.is_direct,
            Message::Replay { .. } | Message::Snapshot { .. } => on.is_direct,
            Message::Hello { .. } => true,
        };
        let is_sound = is_way_right
            && is_sound_node(&from.node)
            && from.number <= MOST_NUMBER
            && from.epoch <= MOST_NUMBER
            && self.events().iter().all(Event::is_sound);
        if is_sound { Ok(()) } else { Err(Refusal::Malformed) }
    }
}

impl Protocol {
    pub(crate) fn new(node: String, epoch: u64, settings: &Fanout) -> Self {
        Protocol {
            node,
            epoch,
            expiry_ns: nanoseconds(settings.node_expiry),
            room: MOST_BYTES - ENVELOPE,
            outbox: Outbox::new(settings.capacity),
            inbox: Inbox::default(),
            remote: RemoteNodes::new(settings.max_nodes, settings.max_peers),
            asked: BTreeMap::new(),
            answered: BTreeMap::new(),
            doubted: BTreeSet::new(),
            greeted_ns: 0,
            warned_ns: None,
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
        let (event, _) = event.for_others(self.room);
        Some(Message::Event { from: self.position(number), event: Box::new(event) })
    }

    /// What was under way seems to be lost.
    pub(crate) fn again(&mut self) {
        self.outbox.again();
    }

    /// There is a server, which takes messages of that many bytes: what to say to all.
    pub(crate) fn connected(&mut self, max_payload: usize, now: Moment) -> Message {
        self.health.trouble = (max_payload < LEAST_BYTES).then(|| {
            format!("it takes messages of {max_payload} bytes, but {LEAST_BYTES} are needed (max_payload)")
        });
        self.room = max_payload.clamp(LEAST_BYTES, MOST_BYTES) - ENVELOPE;
        self.remote.begin_to_listen(now);
        self.health.reconnects += u64::from(self.was_connected);
        self.was_connected = true;
        self.health.connected = true;
        self.outbox.again();
        self.hello(now)
    }

    /// The server, or the way to it, refuses something.
    pub(crate) fn troubled(&mut self, trouble: String) {
        self.health.trouble = Some(trouble);
    }

    /// The server does not take a message.
    pub(crate) fn unsent(&mut self) {
        self.health.unsent += 1;
    }

    /// Something came that is no message.
    pub(crate) fn malformed(&mut self) {
        self.health.refused.malformed += 1;
    }

    /// Forgets nodes that were not heard from for long.
    pub(crate) fn expire(&mut self, now: Moment) {
        if !self.health.connected {
            return;
        }
        for node in self.remote.expire(now, self.expiry_ns) {
            info!(node, "another node was not heard from for long, and is forgotten");
            self.forget(&node);
        }
    }

    fn forget(&mut self, node: &str) {
        self.inbox.forget(node);
        self.asked.remove(node);
        self.answered.remove(node);
        self.doubted.remove(node);
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
            left_out: self.remote.left_out(),
            ..self.health.clone()
        }
    }

    /// A message has come, on that subject. `peers` gives those of this node, as events, if they are needed.
    pub(crate) fn hear(
        &mut self,
        on: &Subject<'_>,
        message: Message,
        peers: impl Fn() -> Vec<Event>,
        now: Moment,
    ) -> Heard {
        let from = message.from().clone();
        self.hear_sound(on, message, peers, now).unwrap_or_else(|refusal| {
            self.refuse(on, &from, refusal, now);
            Heard::default()
        })
    }

    fn hear_sound(
        &mut self,
        on: &Subject<'_>,
        message: Message,
        peers: impl Fn() -> Vec<Event>,
        now: Moment,
    ) -> Result<Heard, Refusal> {
        let mut heard = Heard::default();
        message.check(on)?;
        let from = message.from().clone();
        if from.node == self.node {
            self.hear_myself(&from, &message);
            return Ok(heard);
        }
        match self.remote.hear(&from.node, now) {
            Admission::Admitted { instead_of: None } => {}
            Admission::Admitted { instead_of: Some(silent) } => self.forget(&silent),
            Admission::Full => return Err(Refusal::NodeLimit),
        }
        match message {
            Message::Event { event, .. } => match self.inbox.see(&from) {
                Seen::New => self.take(*event, &mut heard),
                Seen::Again => {}
                Seen::TooEarly => self.ask(&from.node, &mut heard, now),
            },
            Message::Hello { have, .. } => {
                if self.inbox.is_past(&from) {
                    self.doubted.insert(from.node.clone());
                } else {
                    self.doubted.remove(&from.node);
                }
                if self.inbox.have().get(&from.node) != Some(&(from.epoch, from.number)) {
                    self.ask(&from.node, &mut heard, now);
                }
                let has = have.get(&self.node).copied();
                if has != Some((self.epoch, self.outbox.last())) {
                    if self.may_answer(&from.node, now) {
                        self.answer(&from, has, peers, &mut heard);
                    } else {
                        self.refuse(on, &from, Refusal::AnswerLimit, now);
                    }
                }
            }
            Message::Replay { events, .. } => {
                let first = from.number.saturating_add(1).saturating_sub(events.len() as u64);
                for (number, event) in (first..).zip(events) {
                    if self.inbox.see(&Position { number, ..from.clone() }) == Seen::New {
                        self.take(event, &mut heard);
                    }
                }
                self.asked.remove(&from.node);
            }
            // What is said to all and what is said to one come in their own orders only, so that a snapshot can be
            // older than what is known. Going back to it would let later events be told again.
            Message::Snapshot { .. }
                if self.inbox.is_past(&from) && !self.doubted.contains(&from.node) => {}
            Message::Snapshot { events, first, last, .. } => {
                if first {
                    self.remote.begin_anew(&from.node);
                }
                for event in &events {
                    self.remote.apply(event);
                }
                heard.state = events;
                if last {
                    self.doubted.remove(&from.node);
                    self.inbox.set(&from);
                    self.asked.remove(&from.node);
                }
            }
        }
        Ok(heard)
    }

    fn refuse(&mut self, on: &Subject<'_>, from: &Position, refusal: Refusal, now: Moment) {
        let refused = &mut self.health.refused;
        let count = match refusal {
            Refusal::OtherNode => &mut refused.other_node,
            Refusal::Malformed => &mut refused.malformed,
            Refusal::NodeLimit => &mut refused.node_limit,
            Refusal::AnswerLimit => &mut refused.answer_limit,
        };
        *count += 1;
        let since = |at| now.uptime_ns.saturating_sub(at);
        if self.warned_ns.is_none_or(|at| since(at) >= WARN_NS) {
            self.warned_ns = Some(now.uptime_ns);
            warn!(
                sender = on.sender,
                node = from.node,
                ?refusal,
                "a message of another node is refused"
            );
        }
    }

    /// Own events come back when the server has them.
    fn hear_myself(&mut self, from: &Position, message: &Message) {
        if from.epoch == self.epoch {
            if matches!(message, Message::Event { .. }) {
                self.outbox.confirm(from.number);
                // What it refused has been allowed since.
                self.health.trouble = None;
            }
        } else if !self.has_namesake && from.epoch > self.epoch {
            self.has_namesake = true;
            warn!(node = self.node, "another node has this node's name: give each its own");
        }
    }

    fn take(&mut self, event: Event, heard: &mut Heard) {
        self.health.received += 1;
        self.remote.apply(&event);
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

    /// Whether a node was not answered too often of late.
    fn may_answer(&mut self, node: &str, now: Moment) -> bool {
        let (most, time_ns) = ANSWERS;
        let (count, since_ns) = self.answered.entry(node.to_owned()).or_insert((0, now.uptime_ns));
        if now.uptime_ns.saturating_sub(*since_ns) >= time_ns {
            (*count, *since_ns) = (0, now.uptime_ns);
        }
        *count += 1;
        *count <= most
    }

    /// Tells a node what it has not.
    fn answer(
        &self,
        to: &Position,
        has: Option<(u64, u64)>,
        peers: impl Fn() -> Vec<Event>,
        heard: &mut Heard,
    ) {
        let kept = match has {
            Some((epoch, number)) if epoch == self.epoch => {
                self.outbox.after(number).map(|events| (number, events))
            }
            _ => None,
        };
        let position = |number| self.position(number);
        let mut tell = |message| heard.replies.push((Some(to.node.clone()), message));
        if let Some((mut number, events)) = kept {
            for events in self.parts(events) {
                number += events.len() as u64;
                tell(Message::Replay { from: position(number), events });
            }
            return;
        }
        let mut parts = self.parts(peers());
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let most = parts.len();
        for (at, events) in (1..).zip(parts) {
            let from = position(self.outbox.last());
            tell(Message::Snapshot { from, events, first: at == 1, last: at == most });
        }
    }

    /// Events in parts that each fit into a message.
    fn parts(&self, events: Vec<Event>) -> Vec<Vec<Event>> {
        let mut parts: Vec<Vec<Event>> = Vec::new();
        let mut bytes = 0;
        for event in events {
            let (event, length) = event.for_others(self.room);
            bytes += length + 1;
            match parts.last_mut() {
                Some(part) if bytes <= self.room && part.len() < CHUNK => part.push(event),
                _ => {
                    parts.push(vec![event]);
                    bytes = length + 1;
                }
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::AllowedIp;
    use crate::Facts;
    use crate::Happening;
    use crate::PublicKey;

    /// Nodes on a server that comes and goes.
    struct World {
        nodes: Vec<Protocol>,
        heard: Vec<Vec<u64>>,
        /// Who speaks to whom, and what.
        wire: VecDeque<(String, Option<String>, Message)>,
        now: Moment,
    }

    impl World {
        fn new(nodes: usize, capacity: usize) -> Self {
            let settings = Fanout { capacity, ..Fanout::default() };
            let node = |at: usize| Protocol::new(format!("n{at}"), 7, &settings);
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
            let hello = self.nodes[at].connected(MOST_BYTES, self.now);
            self.wire.push_back((format!("n{at}"), None, hello));
        }

        /// Delivers everything to the nodes that are connected, but for what `loses` picks.
        fn settle(&mut self, mut loses: impl FnMut(usize, &Message) -> bool) {
            for _ in 0..10_000 {
                for node in &mut self.nodes {
                    while let Some(message) = node.next(5) {
                        self.wire.push_back((node.node.clone(), None, message));
                    }
                }
                let Some((from, to, message)) = self.wire.pop_front() else {
                    return;
                };
                for at in 0..self.nodes.len() {
                    let name = format!("n{at}");
                    let is_for_it = to.as_ref().is_none_or(|to| *to == name);
                    if !is_for_it || !self.nodes[at].health.connected || loses(at, &message) {
                        continue;
                    }
                    let on = Subject { sender: &from, is_direct: to.is_some() };
                    let heard = self.nodes[at].hear(&on, message.clone(), Vec::new, self.now);
                    self.heard[at].extend(heard.events.iter().map(|event| event.time_ns));
                    let replies = heard.replies.into_iter();
                    self.wire.extend(replies.map(|(to, reply)| (name.clone(), to, reply)));
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
        world.wire.push_back(("n0".to_owned(), None, hello));
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

    /// A peer that node 0 has, with so many allowed IPs.
    fn peer(number: u32, allowed_ips: usize) -> Event {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let one = AllowedIp { address: "fd09::1".parse().unwrap(), prefix: 128 };
        let facts = Facts { allowed_ips: vec![one; allowed_ips], ..Facts::default() };
        Event {
            node: "n0".to_owned(),
            time_ns: 1,
            interface: "wg0".to_owned(),
            happening: Happening::PeerCreated { public_key: PublicKey(key), facts },
        }
    }

    const TO_ALL: Subject<'static> = Subject { sender: "n0", is_direct: false };
    const TO_ONE: Subject<'static> = Subject { sender: "n0", is_direct: true };

    #[test]
    fn a_snapshot_comes_in_parts_that_the_server_takes() {
        // By their number, by the largest message, and by what this server takes.
        for (allowed_ips, max_payload, parts) in
            [(1, MOST_BYTES, 3), (256, MOST_BYTES, 4), (4, 1 << 16, 3)]
        {
            let mut world = World::new(2, 5);
            let peers: Vec<Event> = (0..450).map(|number| peer(number, allowed_ips)).collect();
            let now = world.now;
            world.nodes[0].connected(max_payload, now);
            let hello = world.nodes[1].connected(max_payload, now);
            let on = Subject { sender: "n1", is_direct: false };
            let replies = world.nodes[0].hear(&on, hello, || peers.clone(), now).replies;
            // And a question back.
            assert_eq!(replies.len(), parts + 1, "{allowed_ips}");
            for (to, message) in replies {
                assert_eq!(to.as_deref(), Some("n1"));
                assert!(serde_json::to_vec(&message).unwrap().len() <= max_payload);
                world.nodes[1].hear(&TO_ONE, message, Vec::new, now);
            }
            assert_eq!(world.nodes[1].nodes()["n0"].peers.len(), 450);
        }
    }

    #[test]
    fn a_peer_that_fits_into_no_message_is_told_without_its_addresses() {
        let mut world = World::new(1, 5);
        world.nodes[0].connected(LEAST_BYTES, world.now);
        world.nodes[0].publish(peer(1, 5000));
        let message = world.nodes[0].next(5).unwrap();
        assert!(serde_json::to_vec(&message).unwrap().len() <= LEAST_BYTES);
        let Happening::PeerCreated { facts, .. } = &message.events()[0].happening else { panic!() };
        assert_eq!((facts.allowed_ips.len(), facts.allowed_ips_left_out), (0, 5000));
        assert_eq!(world.nodes[0].health().trouble, None);
        world.nodes[0].connected(LEAST_BYTES - 1, world.now);
        assert!(world.nodes[0].health().trouble.unwrap().contains("4095 bytes"));
    }

    #[test]
    fn a_node_speaks_for_itself_only() {
        let mut world = World::new(2, 5);
        let now = world.now;
        let from = |node: &str| Position { node: node.to_owned(), epoch: 7, number: 1 };
        let event = |from, node: &str| {
            let event = Event { node: node.to_owned(), ..peer(1, 0) };
            Message::Event { from, event: Box::new(event) }
        };
        let others = [
            // For another node: by its position, by its events, in parts.
            event(from("n1"), "n1"),
            event(from("victim"), "victim"),
            event(from("n0"), "victim"),
            Message::Hello { from: from("victim"), have: BTreeMap::new() },
        ];
        for message in others {
            let heard = world.nodes[1].hear(&TO_ALL, message, Vec::new, now);
            assert_eq!(heard, Heard::default());
        }
        let events = vec![peer(1, 0), Event { node: "victim".to_owned(), ..peer(2, 0) }];
        let replay = Message::Replay { from: from("n0"), events: events.clone() };
        let snapshot = Message::Snapshot { from: from("n0"), events, first: true, last: true };
        for message in [replay, snapshot] {
            assert_eq!(world.nodes[1].hear(&TO_ONE, message, Vec::new, now), Heard::default());
        }
        let health = world.nodes[1].health();
        assert_eq!((health.refused.other_node, health.received), (6, 0));
        assert_eq!(world.nodes[1].nodes().len(), 0);
        assert_eq!(world.nodes[1].health().waiting, 0);
        let heard = world.nodes[1].hear(&TO_ALL, event(from("n0"), "n0"), Vec::new, now);
        assert_eq!(heard.events.len(), 1);
    }

    #[test]
    fn what_is_not_within_the_bounds_is_refused() {
        let mut world = World::new(2, 5);
        let now = world.now;
        let from = |epoch, number| Position { node: "n0".to_owned(), epoch, number };
        let event = |from, event| Message::Event { from, event: Box::new(event) };
        let wide = peer(1, 257);
        let long = Event { interface: "x".repeat(65), ..peer(1, 0) };
        let snapshot = |number| Message::Snapshot {
            from: from(7, number),
            events: vec![],
            first: true,
            last: true,
        };
        let wrong = [
            (TO_ALL, event(from(7, 1), wide)),
            (TO_ALL, event(from(7, 1), long)),
            (TO_ALL, event(from(u64::MAX, 1), peer(1, 0))),
            (TO_ALL, snapshot(1)),
            (TO_ONE, event(from(7, 1), peer(1, 0))),
            (TO_ONE, snapshot(u64::MAX)),
        ];
        for (on, message) in wrong.clone() {
            assert_eq!(world.nodes[1].hear(&on, message, Vec::new, now), Heard::default());
        }
        assert_eq!(world.nodes[1].health().refused.malformed, wrong.len() as u64);
    }

    #[test]
    fn a_snapshot_that_later_events_overtook_lets_nothing_be_told_again() {
        let mut world = World::new(2, 100);
        let now = world.now;
        let from = |number| Position { node: "n0".to_owned(), epoch: 7, number };
        let snapshot = |number, peers| {
            let message =
                Message::Snapshot { from: from(number), events: peers, first: true, last: true };
            (TO_ONE, message)
        };
        let event = |number| {
            let event = Box::new(peer(number, 0));
            (TO_ALL, Message::Event { from: from(u64::from(number)), event })
        };
        let events = vec![peer(6, 0)];
        let replay = (TO_ONE, Message::Replay { from: from(6), events });
        let messages =
            [snapshot(5, vec![]), event(6), snapshot(5, vec![]), event(7), replay, event(8)];
        let mut heard = Vec::new();
        for (on, message) in messages {
            heard.extend(world.nodes[1].hear(&on, message, Vec::new, now).events);
        }
        assert_eq!(heard, [peer(6, 0), peer(7, 0), peer(8, 0)]);
        assert_eq!(world.nodes[1].nodes()["n0"].peers.len(), 3);
    }

    #[test]
    fn a_wrong_number_in_a_snapshot_is_put_right_by_the_next_greeting() {
        let mut world = World::new(2, 100);
        world.connect(0);
        world.connect(1);
        world.settle(|_, _| false);
        let from = Position { node: "n0".to_owned(), epoch: 7, number: MOST_NUMBER };
        let poison = Message::Snapshot { from, events: vec![], first: true, last: true };
        world.nodes[1].hear(&TO_ONE, poison, Vec::new, world.now);
        world.publish(0, 1);
        world.settle(|_, _| false);
        assert_eq!(world.heard[1], [0_u64; 0], "it is taken for one that was here before");
        world.now.uptime_ns += HELLO_NS;
        let hello = world.nodes[0].overdue_hello(world.now).unwrap();
        world.wire.push_back(("n0".to_owned(), None, hello));
        world.settle(|_, _| false);
        world.publish(0, 2);
        world.settle(|_, _| false);
        assert_eq!(world.heard[1], [2]);
    }

    #[test]
    fn who_asks_too_often_is_not_answered() {
        let mut world = World::new(1, 5);
        let hello = |number| {
            let from = Position { node: "n1".to_owned(), epoch: 7, number };
            Message::Hello { from, have: BTreeMap::new() }
        };
        let on = Subject { sender: "n1", is_direct: false };
        let node = &mut world.nodes[0];
        let mut answers = |now| {
            let heard = node.hear(&on, hello(1), Vec::new, now);
            heard
                .replies
                .iter()
                .filter(|(_, reply)| matches!(reply, Message::Snapshot { .. }))
                .count()
        };
        let mut now = world.now;
        assert_eq!((0..100).map(|_| answers(now)).sum::<usize>(), 10);
        now.uptime_ns += ANSWERS.1;
        assert_eq!(answers(now), 1);
        assert_eq!(world.nodes[0].health().refused.answer_limit, 90);
    }

    #[test]
    fn there_is_room_for_so_many_nodes() {
        let settings = Fanout { max_nodes: 2, ..Fanout::default() };
        let mut node = Protocol::new("n0".to_owned(), 7, &settings);
        let now = Moment { time_ns: 1, uptime_ns: 1 };
        node.connected(MOST_BYTES, now);
        for number in 1..100 {
            let sender = format!("n{number}");
            let from = Position { node: sender.clone(), epoch: 7, number: 1 };
            let on = Subject { sender: &sender, is_direct: false };
            let event = Box::new(Event { node: sender.clone(), ..peer(1, 0) });
            node.hear(&on, Message::Event { from, event }, Vec::new, now);
        }
        assert_eq!((node.nodes().len(), node.inbox.have().len(), node.asked.len()), (2, 2, 0));
        assert_eq!(node.health().refused.node_limit, 97);
        let later = Moment { uptime_ns: now.uptime_ns + node.expiry_ns, ..now };
        node.expire(later);
        assert_eq!((node.nodes().len(), node.inbox.have().len()), (0, 0));
    }
}
