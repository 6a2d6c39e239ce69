// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whose traffic it was: groups of connections whose sum is the host's.

use std::collections::HashMap;

use mutex_core::abi::MUTEX_CONNECTION_FORWARDED;
use mutex_stats::Aggregate;
use mutex_stats::Cell;
use mutex_stats::Direction;
use mutex_stats::Group;
use mutex_stats::Key;
use mutex_stats::Of;
use mutex_stats::OwnedConnection;

use crate::Snapshot;
use crate::series::GroupCounters;

/// Whose the counters of a group are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupOf {
    /// All that is in no group of its own: smaller groups, connections that had ended before they
    /// were seen, packets of no connection.
    Other,
    /// Connections of which the key is not known.
    Unknown,
    /// Connections that have this value of the key.
    Named(String),
}

/// How far the counters of each connection were attributed.
pub(crate) type Known = HashMap<u64, [u64; 6]>;

/// What each connection did, and how far its counters are attributed now.
///
/// A connection is copied a moment before the host's totals are, so what it did meanwhile can be in
/// the one and not in the other. No more than what the host did is attributed; what is left over is
/// attributed next time.
pub(crate) fn attribute(
    snapshot: &Snapshot,
    before: Option<&Known>,
    is_anew: bool,
    host: &GroupCounters,
) -> (Known, Vec<OwnedConnection>) {
    let mut left = *host;
    let mut known = Known::with_capacity(snapshot.connections.len());
    let mut moved = Vec::new();
    for seen in &snapshot.connections {
        let base = match before {
            _ if is_anew => [0; 6],
            Some(before) => before.get(&seen.id).copied().unwrap_or([0; 6]),
            // Nobody knows what it did before.
            None => seen.counters,
        };
        let first = if seen.flags & MUTEX_CONNECTION_FORWARDED == 0 { 0 } else { 4 };
        let places = [first, first + 1, first + 2, first + 3, 8, 9];
        let (mut reached, mut came) = (seen.counters, [0; 6]);
        for (counter, place) in places.into_iter().enumerate() {
            let Some(more) = seen.counters[counter].checked_sub(base[counter]) else { continue };
            came[counter] = more.min(left[place]);
            left[place] -= came[counter];
            reached[counter] = base[counter] + came[counter];
        }
        if came != [0; 6] {
            moved.push(snapshot.owned(seen, came));
        }
        known.insert(seen.id, reached);
    }
    (known, moved)
}

/// The largest groups by a key, and all others; together they are what the host did.
pub(crate) fn groups(
    key: Key,
    moved: &[OwnedConnection],
    top: usize,
    host: &GroupCounters,
) -> Vec<(GroupOf, GroupCounters)> {
    let mut aggregate = Aggregate::by(&[key]);
    for one in moved {
        aggregate.add(one);
    }
    let mut other = *host;
    let mut groups: Vec<(GroupOf, GroupCounters)> = Vec::new();
    for group in aggregate.into_groups().into_iter().take(top) {
        let Of::Connections(cells) = &group.of else { continue };
        let of = match cells.first() {
            None | Some(Cell::Unknown) => GroupOf::Unknown,
            Some(cell) => GroupOf::Named(cell.to_string()),
        };
        let counters = counters(&group);
        for (rest, counter) in other.iter_mut().zip(counters) {
            *rest = rest.saturating_sub(counter);
        }
        groups.push((of, counters));
    }
    if other != [0; 10] {
        groups.push((GroupOf::Other, other));
    }
    groups
}

fn counters(group: &Group) -> GroupCounters {
    let [a, b, c, d] = Direction::ALL.map(|direction| {
        let traffic = group.totals.of(direction);
        [traffic.packets, traffic.bytes]
    });
    let quality = [group.retransmitted_packets, group.drops];
    let mut counters = [0; 10];
    let all = [a, b, c, d, quality].into_iter().flatten();
    counters.iter_mut().zip(all).for_each(|(counter, value)| *counter = value);
    counters
}
