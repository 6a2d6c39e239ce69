// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is said of peers, by announcements here and by other nodes: one statement a key, the last one.
//!
//! Statements are ordered by their time; of two of the same time the larger one counts. All nodes that have heard the same
//! statements therefore have the same one, in whatever order they came.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::Moment;
use crate::PeerSettings;
use crate::PublicKey;
use crate::SettingsPatch;

/// How far a statement of another node may be ahead of this host's clock.
pub(crate) const AHEAD_NS: u64 = 600_000_000_000;
/// How far a clock may be set back for its node to go on after its last statement.
const SET_BACK_NS: u64 = 30 * 86_400_000_000_000;
/// How long a statement of another node about a peer that is not here is kept.
const FOREIGN_NS: u64 = 30 * 86_400_000_000_000;
/// The year 2200: no clock is that far ahead.
const NEVER_NS: u64 = 7_258_118_400_000_000_000;

/// What somebody said of a peer, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub settings: PeerSettings,
    pub time_ns: u64,
    /// Here, and not at another node.
    pub own: bool,
    /// The node that told it; empty if it was said here, or read from the database.
    pub told_by: String,
}

impl Said {
    fn is_after(&self, other: &Said) -> bool {
        (self.time_ns, &self.settings) > (other.time_ns, &other.settings)
    }
}

/// What became of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is the last one now. To make room, that of another key was forgotten.
    Taken { forgotten: Option<PublicKey> },
    /// Something newer is known, or it is no news.
    Old,
    /// It is of the future.
    Ahead,
    /// It is about a peer that is not here, and there is no room.
    NoRoom,
}

/// All statements.
#[derive(Debug)]
pub(crate) struct Statements {
    said: HashMap<PublicKey, Said>,
    /// Those of other nodes about peers that were not here when they came.
    absent: Shares,
}

impl Statements {
    pub(crate) fn new(max_absent: usize) -> Self {
        Statements { said: HashMap::new(), absent: Shares::new(max_absent) }
    }

    pub(crate) fn get(&self, key: &PublicKey) -> Option<&Said> {
        self.said.get(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.said.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PublicKey, &Said)> {
        self.said.iter()
    }

    /// How many were said here about peers that are not.
    pub(crate) fn own_absent(&self, is_here: impl Fn(&PublicKey) -> bool) -> usize {
        self.said.iter().filter(|(key, said)| said.own && !is_here(key)).count()
    }

    /// Changes what is said of a peer. It goes before all that is known, even if the clock was set back meanwhile, unless
    /// by so much that what is known must be of a clock that was wrong: other nodes would refuse a time after that.
    pub(crate) fn say(&mut self, key: PublicKey, patch: &SettingsPatch, now: Moment) -> Said {
        let known = self.forget(&key).unwrap_or_default();
        let was_wrong = known.time_ns > now.time_ns.saturating_add(SET_BACK_NS);
        let after = if was_wrong { 0 } else { known.time_ns.saturating_add(1) };
        let said = Said {
            settings: patch.applied_to(&known.settings),
            time_ns: now.time_ns.max(after),
            own: true,
            told_by: String::new(),
        };
        self.said.insert(key, said.clone());
        said
    }

    /// Another node says something.
    pub(crate) fn hear(
        &mut self,
        key: PublicKey,
        said: Said,
        now: Moment,
        is_here: impl Fn(&PublicKey) -> bool,
    ) -> Heard {
        let latest = now.time_ns.saturating_add(AHEAD_NS);
        if said.time_ns > latest {
            return Heard::Ahead;
        }
        let mut said = said;
        if let Some(known) = self.said.get(&key) {
            // One that is known and of the future is of a clock that was wrong.
            if known.time_ns <= latest && !said.is_after(known) {
                return Heard::Old;
            }
            said.own |= known.own && known.settings == said.settings;
        }
        let mut forgotten = None;
        if !said.own && !is_here(&key) {
            if said.time_ns.saturating_add(FOREIGN_NS) < now.time_ns {
                return Heard::Old;
            }
            let known = self.said.get(&key).map(|known| known.told_by.as_str());
            match self.absent.add(known, &said.told_by, key, is_here) {
                Ok(evicted) => forgotten = evicted,
                Err(NoRoom) => return Heard::NoRoom,
            }
        } else if let Some(known) = self.said.get(&key) {
            self.absent.remove(&known.told_by, &key);
        }
        if let Some(other) = forgotten {
            self.said.remove(&other);
        }
        self.said.insert(key, said);
        Heard::Taken { forgotten }
    }

    /// What the database knows; what is known already goes before it if it is newer. Whether it was taken.
    pub(crate) fn restore(&mut self, key: PublicKey, said: Said) -> bool {
        let mut said = Said { settings: said.settings.bounded(), ..said };
        if said.time_ns >= NEVER_NS {
            // Nothing could ever replace it.
            said.time_ns = 0;
        }
        if self.said.get(&key).is_some_and(|known| !said.is_after(known)) {
            return false;
        }
        self.forget(&key);
        self.said.insert(key, said);
        true
    }

    pub(crate) fn forget(&mut self, key: &PublicKey) -> Option<Said> {
        let said = self.said.remove(key)?;
        self.absent.remove(&said.told_by, key);
        Some(said)
    }

    /// A statement moves to another key, unless something newer is said of that.
    pub(crate) fn rename(&mut self, before: &PublicKey, after: PublicKey) -> Option<Said> {
        let said = self.forget(before)?;
        if self.said.get(&after).is_none_or(|known| said.is_after(known)) {
            self.forget(&after);
            self.said.insert(after, said);
        }
        self.said.get(&after).cloned()
    }

    /// A peer is not here any more; the key whose statement was forgotten, if one was.
    pub(crate) fn is_gone(
        &mut self,
        key: PublicKey,
        is_here: impl Fn(&PublicKey) -> bool,
    ) -> Option<PublicKey> {
        let said = self.said.get(&key).filter(|said| !said.own)?;
        let forgotten = match self.absent.add(Some(&said.told_by), &said.told_by, key, is_here) {
            Ok(evicted) => evicted?,
            Err(NoRoom) => key,
        };
        self.said.remove(&forgotten);
        Some(forgotten)
    }

    /// Forgets statements of other nodes about peers that are not here and were not for long, or that are too many.
    pub(crate) fn expire(
        &mut self,
        now: Moment,
        is_here: impl Fn(&PublicKey) -> bool,
    ) -> Vec<PublicKey> {
        let foreign = self.said.iter().filter(|(key, said)| !said.own && !is_here(key));
        let foreign: Vec<_> =
            foreign.map(|(key, said)| (*key, said.time_ns, said.told_by.clone())).collect();
        let mut forgotten = Vec::new();
        self.absent.clear();
        for (key, time_ns, told_by) in foreign {
            if time_ns.saturating_add(FOREIGN_NS) < now.time_ns {
                forgotten.push(key);
                continue;
            }
            match self.absent.add(None, &told_by, key, &is_here) {
                Ok(evicted) => forgotten.extend(evicted),
                Err(NoRoom) => forgotten.push(key),
            }
        }
        for key in &forgotten {
            self.said.remove(key);
        }
        forgotten
    }
}

/// Keys that take up room, by the node that they are of: when there is none left, the node that has most gives way.
#[derive(Debug)]
struct Shares {
    most: usize,
    total: usize,
    nodes: BTreeMap<String, BTreeSet<PublicKey>>,
}

/// No other node has more.
struct NoRoom;

impl Shares {
    fn new(most: usize) -> Self {
        Shares { most, total: 0, nodes: BTreeMap::new() }
    }

    fn clear(&mut self) {
        self.total = 0;
        self.nodes.clear();
    }

    fn remove(&mut self, node: &str, key: &PublicKey) {
        if let Some(keys) = self.nodes.get_mut(node) {
            self.total -= usize::from(keys.remove(key));
            if keys.is_empty() {
                self.nodes.remove(node);
            }
        }
    }

    /// Adds a key, which may have been another node's; the key that has to go for it, if one has to.
    fn add(
        &mut self,
        before: Option<&str>,
        node: &str,
        key: PublicKey,
        is_here: impl Fn(&PublicKey) -> bool,
    ) -> Result<Option<PublicKey>, NoRoom> {
        let has = |node: &&str| self.nodes.get(*node).is_some_and(|keys| keys.contains(&key));
        let before = before.filter(has);
        if let Some(before) = before {
            self.remove(before, &key);
        }
        let mut evicted = None;
        while self.total >= self.most {
            let mine = self.nodes.get(node).map_or(0, BTreeSet::len);
            let largest = self.nodes.iter().max_by_key(|(_, keys)| keys.len());
            let largest = largest.filter(|(_, keys)| keys.len() > mine);
            let Some((largest, Some(last))) =
                largest.map(|(node, keys)| (node.clone(), keys.last().copied()))
            else {
                if let Some(before) = before {
                    self.insert(before, key);
                }
                return Err(NoRoom);
            };
            self.remove(&largest, &last);
            // A peer that has come meanwhile takes up no room.
            if !is_here(&last) {
                evicted = Some(last);
            }
        }
        self.insert(node, key);
        Ok(evicted)
    }

    fn insert(&mut self, node: &str, key: PublicKey) {
        self.total += usize::from(self.nodes.entry(node.to_owned()).or_default().insert(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_NS: u64 = 86_400_000_000_000;

    fn key(number: u8) -> PublicKey {
        PublicKey([number; 32])
    }

    fn named(name: &str) -> PeerSettings {
        PeerSettings { name: name.to_owned(), check_alive_address: None }
    }

    fn said(name: &str, time_ns: u64, node: &str) -> Said {
        Said { settings: named(name), time_ns, own: false, told_by: node.to_owned() }
    }

    fn at(time_ns: u64) -> Moment {
        Moment { time_ns, uptime_ns: 0 }
    }

    #[test]
    fn in_whatever_order_statements_come_the_same_one_is_the_last() {
        // Ties, repetitions of what was said before, and one that says the same later.
        let all = [
            said("a", 10, "x"),
            said("b", 15, "y"),
            said("a", 20, "x"),
            said("c", 20, "z"),
            said("", 20, "y"),
        ];
        let mut orders = vec![vec![]];
        for one in &all {
            let insert = |order: &Vec<Said>| {
                (0..=order.len())
                    .map(|at| [&order[..at], std::slice::from_ref(one), &order[at..]].concat())
                    .collect::<Vec<_>>()
            };
            orders = orders.iter().flat_map(insert).collect();
        }
        assert_eq!(orders.len(), 120);
        for order in orders {
            let mut statements = Statements::new(10);
            for one in order.iter().chain(&order[..3]) {
                statements.hear(key(1), one.clone(), at(100), |_| true);
            }
            let last = statements.get(&key(1)).unwrap();
            assert_eq!((last.settings.name.as_str(), last.time_ns), ("c", 20), "{order:?}");
        }
    }

    #[test]
    fn a_statement_of_the_future_is_refused_and_replaced() {
        let mut statements = Statements::new(10);
        let now = at(DAY_NS);
        let hear = |statements: &mut Statements, name, time_ns| {
            statements.hear(key(1), said(name, time_ns, "x"), now, |_| true)
        };
        assert_eq!(hear(&mut statements, "never", u64::MAX), Heard::Ahead);
        assert_eq!(hear(&mut statements, "soon", DAY_NS + AHEAD_NS + 1), Heard::Ahead);
        assert_eq!(
            hear(&mut statements, "edge", DAY_NS + AHEAD_NS),
            Heard::Taken { forgotten: None }
        );
        let patch = SettingsPatch::from(named("here"));
        assert_eq!(statements.say(key(1), &patch, now).time_ns, DAY_NS + AHEAD_NS + 1);
        // That was said here when the clock was wrong by a day.
        statements.say(key(1), &patch, at(3 * DAY_NS));
        assert_eq!(hear(&mut statements, "right", DAY_NS), Heard::Taken { forgotten: None });
        // The database of a version that took everything.
        assert!(statements.restore(key(2), said("poison", i64::MAX.unsigned_abs(), "")));
        let taken = statements.hear(key(2), said("cured", 1, "x"), now, |_| true);
        assert_eq!(taken, Heard::Taken { forgotten: None });
    }

    #[test]
    fn what_others_say_of_absent_peers_is_bounded_and_shared_among_them() {
        let mut statements = Statements::new(6);
        let here = |key: &PublicKey| key.0[0] >= 200;
        let hear = |statements: &mut Statements, number, node: &str| {
            statements.hear(key(number), said("a", 1, node), at(1), here)
        };
        for number in 0..6 {
            assert_eq!(hear(&mut statements, number, "greedy"), Heard::Taken { forgotten: None });
        }
        assert_eq!(hear(&mut statements, 6, "greedy"), Heard::NoRoom);
        assert_eq!(hear(&mut statements, 200, "greedy"), Heard::Taken { forgotten: None });
        for (number, last) in [(10, 5), (11, 4), (12, 3)] {
            let forgotten = Some(key(last));
            assert_eq!(hear(&mut statements, number, "modest"), Heard::Taken { forgotten });
        }
        assert_eq!(hear(&mut statements, 13, "modest"), Heard::NoRoom, "both have the same");
        let again = statements.hear(key(12), said("b", 2, "modest"), at(2), here);
        assert_eq!(again, Heard::Taken { forgotten: None });
        assert_eq!(statements.len(), 7);
        // One that goes has to find room like others.
        assert_eq!(statements.is_gone(key(200), |_| false), Some(key(200)));
        assert_eq!(statements.expire(at(30 * DAY_NS), here), []);
        assert_eq!(statements.expire(at(31 * DAY_NS), here).len(), 6);
        assert_eq!(statements.len(), 0);
        assert_eq!(hear(&mut statements, 1, "greedy"), Heard::Taken { forgotten: None });
    }

    #[test]
    fn what_was_said_here_stays_ours_if_others_say_the_same() {
        let mut statements = Statements::new(0);
        let own = statements.say(key(1), &named("a").into(), at(5));
        let again = Said { time_ns: 9, own: false, told_by: "x".to_owned(), ..own };
        assert_eq!(
            statements.hear(key(1), again, at(9), |_| false),
            Heard::Taken { forgotten: None }
        );
        assert!(statements.get(&key(1)).unwrap().own);
        assert_eq!(statements.hear(key(1), said("b", 10, "x"), at(10), |_| false), Heard::NoRoom);
    }

    #[test]
    fn a_patch_leaves_what_it_does_not_name() {
        let mut statements = Statements::new(0);
        let address = Some("192.0.2.1".parse().unwrap());
        let patch =
            SettingsPatch { check_alive_address: Some(address), ..SettingsPatch::default() };
        statements.say(key(1), &named("office").into(), at(1));
        let said = statements.say(key(1), &patch, at(2));
        assert_eq!(said.settings, PeerSettings { check_alive_address: address, ..named("office") });
        let patch = SettingsPatch { check_alive_address: Some(None), ..SettingsPatch::default() };
        assert_eq!(statements.say(key(1), &patch, at(3)).settings, named("office"));
    }
}
