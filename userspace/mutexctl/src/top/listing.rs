// SPDX-License-Identifier: MIT OR Apache-2.0

//! The rows of a view: those that are wanted, in their order, and what they add up to.

use std::collections::HashMap;

use mutex_stats::Connection;
use mutex_stats::Direction;
use mutex_stats::Fd;
use mutex_stats::Filter;
use mutex_stats::Quality;
use mutex_stats::Totals;
use mutex_stats::directions;

use super::row::Row;
use super::sample::Sample;
use super::view::Column;
use super::view::View;

/// What is wanted, and in which order.
#[derive(Clone, Debug)]
pub struct Query {
    pub view: View,
    pub filter: Filter,
    pub column: Column,
    pub is_reversed: bool,
    pub shows_closed: bool,
}

/// Connections of one process, or to one address.
#[derive(Clone, Debug)]
pub struct Group {
    /// The process's pid, or the address.
    pub id: u128,
    /// Its place among the groups.
    number: u32,
    pub family: u8,
    pub uid: u32,
    pub command: [u8; 16],
    pub connections: u64,
    pub sent: u64,
    pub received: u64,
    pub rate_in: u64,
    pub rate_out: u64,
    pub retransmitted: u64,
    pub losses: u64,
    samples: u64,
    /// Of the averages, each as often as it has samples.
    latency_ns: u128,
}

impl Group {
    /// Bytes and trouble of one more connection.
    fn add(&mut self, connection: &Connection) {
        let Quality { latency, .. } = &connection.quality;
        self.connections += 1;
        self.sent += connection.sent.bytes;
        self.received += connection.received.bytes;
        self.rate_in = self.rate_in.saturating_add(connection.quality.rate_in);
        self.rate_out = self.rate_out.saturating_add(connection.quality.rate_out);
        self.retransmitted += connection.quality.retransmitted_packets;
        self.losses += connection.losses();
        self.samples += latency.samples;
        self.latency_ns += u128::from(latency.average_ns) * u128::from(latency.samples);
    }

    /// The mean of the connections' averages, weighted with their samples.
    pub fn latency_ns(&self) -> Option<u64> {
        let mean = self.latency_ns.checked_div(self.samples.into())?;
        u64::try_from(mean).ok()
    }
}

/// What the group of a connection is known by.
fn group_id(view: View, connection: &Connection, owner: Option<&Fd>) -> u128 {
    match view {
        View::Remotes => u128::from_be_bytes(connection.remote_address),
        _ => owner.map_or(0, |fd| fd.pid).into(),
    }
}

/// A row's place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: u128,
    tie: u64,
    position: u32,
}

/// The rows of a view.
#[derive(Default)]
pub struct Listing {
    places: Vec<Place>,
    pub groups: Vec<Group>,
    /// The number of the group of each listed connection, by its position.
    members: Vec<Option<u32>>,
    /// What the connections of all rows have moved.
    pub listed: Totals,
    /// What all other connections have.
    pub other: Totals,
    /// What everything has: the connections, closed ones, and what is untracked.
    pub sum: Totals,
    /// What belongs to no connection.
    pub untracked: Totals,
}

impl Listing {
    /// Makes the rows anew.
    pub fn arrange(&mut self, sample: &Sample, query: &Query) {
        self.places.clear();
        self.groups.clear();
        self.members.clear();
        (self.listed, self.other) = (Totals::ZERO, Totals::ZERO);
        match query.view {
            View::Connections => self.connections(sample, query),
            View::Processes | View::Remotes => self.group(sample, query),
            View::Fds => self.fds(sample, query),
            View::Alerts => self.alerts(sample, query),
        }
        self.untracked = Totals::ZERO;
        sample.image.untracked.iter().for_each(|some| self.untracked.add(&some.totals));
        self.sum = sample.image.closed;
        for part in [&self.listed, &self.other, &self.untracked] {
            self.sum.add(part);
        }
        self.places.sort_unstable();
    }

    fn connections(&mut self, sample: &Sample, query: &Query) {
        for (position, connection) in sample.image.connections.iter().enumerate() {
            if self.is_wanted(sample, query, position, connection) {
                self.place(sample, query, position, connection.id);
            }
        }
    }

    fn group(&mut self, sample: &Sample, query: &Query) {
        let mut known: HashMap<u128, u32> = HashMap::new();
        for (position, connection) in sample.image.connections.iter().enumerate() {
            if !self.is_wanted(sample, query, position, connection) {
                self.members.push(None);
                continue;
            }
            let owner = sample.owner(position);
            let id = group_id(query.view, connection, owner);
            let number = *known.entry(id).or_insert_with(|| {
                // A table of the kernel's holds fewer.
                let number = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
                self.groups.push(Group::new(id, number, connection, owner));
                number
            });
            self.members.push(Some(number));
            if let Some(group) = self.groups.get_mut(number as usize) {
                group.add(connection);
            }
        }
        for position in 0..self.groups.len() {
            self.place(sample, query, position, position as u64);
        }
    }

    /// Sockets. What their connections move that are still listed is what they add up to.
    fn fds(&mut self, sample: &Sample, query: &Query) {
        let is_listed = |fd: &Fd| (query.shows_closed || fd.closed_ns == 0) && query.filter.fd(fd);
        let listed: Vec<bool> = sample.image.fds.iter().map(is_listed).collect();
        for (position, fd) in sample.image.fds.iter().enumerate() {
            if listed.get(position) == Some(&true) {
                self.place(sample, query, position, fd.id);
            }
        }
        for (position, connection) in sample.image.connections.iter().enumerate() {
            let owner = sample.owner_position(position);
            let is_listed = owner.is_some_and(|owner| listed.get(owner) == Some(&true));
            self.count(connection, is_listed);
        }
    }

    fn alerts(&mut self, sample: &Sample, query: &Query) {
        for (position, alert) in sample.image.alerts.iter().enumerate() {
            if query.filter.alert(alert) {
                self.place(sample, query, position, alert.number);
            }
        }
        sample.image.connections.iter().for_each(|connection| self.count(connection, false));
    }

    /// Whether a connection is wanted; counts it in any case.
    fn is_wanted(
        &mut self,
        sample: &Sample,
        query: &Query,
        position: usize,
        connection: &Connection,
    ) -> bool {
        let is_wanted = (query.shows_closed || connection.closed_ns == 0)
            && (query.filter.is_empty()
                || query.filter.connection(connection, sample.owner(position)));
        self.count(connection, is_wanted);
        is_wanted
    }

    fn count(&mut self, connection: &Connection, is_listed: bool) {
        let totals = if is_listed { &mut self.listed } else { &mut self.other };
        let [sent, received]: [Direction; 2] = directions(connection);
        totals.of_mut(sent).add(&connection.sent);
        totals.of_mut(received).add(&connection.received);
    }

    fn place(&mut self, sample: &Sample, query: &Query, position: usize, tie: u64) {
        let Ok(place) = u32::try_from(position) else { return };
        let row = self.row_at(sample, query.view, position);
        let Some(key) = row.map(|row| row.key(query.column)) else { return };
        let is_descending = query.column.is_quantity() != query.is_reversed;
        let key = if is_descending { !key } else { key };
        self.places.push(Place { key, tie, position: place });
    }

    fn row_at<'a>(&'a self, sample: &'a Sample, view: View, position: usize) -> Option<Row<'a>> {
        Some(match view {
            View::Connections => {
                let connection = sample.image.connections.get(position)?;
                Row::Connection(connection, sample.owner(position))
            }
            View::Fds => Row::Fd(sample.image.fds.get(position)?),
            View::Processes => Row::Process(self.groups.get(position)?),
            View::Remotes => Row::Remote(self.groups.get(position)?),
            View::Alerts => Row::Alert(sample.image.alerts.get(position)?),
        })
    }

    /// The ids of a group's connections, in their order.
    pub fn ids(&self, sample: &Sample, group: &Group) -> Vec<u64> {
        let all = self.members.iter().zip(&sample.image.connections);
        let mine = all.filter(|(number, _)| **number == Some(group.number));
        let mut ids: Vec<u64> = mine.map(|(_, connection)| connection.id).collect();
        ids.sort_unstable();
        ids
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The row with that number.
    pub fn row<'a>(&'a self, sample: &'a Sample, view: View, number: usize) -> Option<Row<'a>> {
        let place = self.places.get(number)?;
        self.row_at(sample, view, place.position as usize)
    }

    /// The number of the row with that id.
    pub fn find(&self, sample: &Sample, view: View, id: u128) -> Option<usize> {
        match view {
            View::Processes | View::Remotes => (0..self.len())
                .find(|&number| self.row(sample, view, number).is_some_and(|row| row.id() == id)),
            _ => self.places.iter().position(|place| u128::from(place.tie) == id),
        }
    }
}

impl Group {
    fn new(id: u128, number: u32, connection: &Connection, owner: Option<&Fd>) -> Self {
        Group {
            id,
            number,
            family: connection.family,
            uid: connection.uid,
            command: owner.map_or([0; 16], |fd| fd.command),
            connections: 0,
            sent: 0,
            received: 0,
            rate_in: 0,
            rate_out: 0,
            retransmitted: 0,
            losses: 0,
            samples: 0,
            latency_ns: 0,
        }
    }
}
