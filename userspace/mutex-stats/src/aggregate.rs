// SPDX-License-Identifier: MIT OR Apache-2.0

//! Connections by what they have in common, so that the sums are the host's totals.

use std::collections::BTreeMap;

use crate::Address;
use crate::Cell;
use crate::Direction;
use crate::Error;
use crate::OwnedConnection;
use crate::Protocol;
use crate::Totals;
use crate::Untracked;
use crate::image::directions;
use crate::records::ReasonName;
use crate::records::command_text;
use crate::records::known_uid;

/// What connections are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The process that owns the socket.
    Pid,
    /// That process's command.
    Command,
    /// The socket's owner.
    Uid,
    /// The socket's cgroup.
    Cgroup,
    /// The network namespace.
    Netns,
    /// The smaller of the two ports, which is the service's but for rare cases.
    Port,
    /// This host's port, or the initiator's.
    LocalPort,
    /// The other end's port.
    RemotePort,
    /// The other end's address.
    Remote,
    /// The protocol.
    Protocol,
}

impl Key {
    /// All of them.
    pub const ALL: [Key; 10] = [
        Key::Pid,
        Key::Command,
        Key::Uid,
        Key::Cgroup,
        Key::Netns,
        Key::Port,
        Key::LocalPort,
        Key::RemotePort,
        Key::Remote,
        Key::Protocol,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Key::Pid => "pid",
            Key::Command => "command",
            Key::Uid => "uid",
            Key::Cgroup => "cgroup",
            Key::Netns => "netns",
            Key::Port => "port",
            Key::LocalPort => "local_port",
            Key::RemotePort => "remote_port",
            Key::Remote => "remote",
            Key::Protocol => "protocol",
        }
    }

    /// Those that `names`, which are separated by commas, name; `comm` is `command`, too.
    ///
    /// # Errors
    ///
    /// [`Error::NoColumn`] for the first that there is not.
    pub fn list(names: &str) -> Result<Vec<Self>, Error> {
        let key = |name: &str| {
            let name = if name == "comm" { "command" } else { name };
            Key::ALL.into_iter().find(|key| key.name() == name).ok_or_else(|| Error::NoColumn {
                name: name.to_owned(),
                known: Key::ALL.map(Key::name).join(", "),
            })
        };
        names.split(',').map(|name| key(name.trim())).collect()
    }

    /// What a connection has of it; unknown is what it does not have.
    fn cell(self, one: &OwnedConnection) -> Cell {
        let known = |number: u64| if number == 0 { Cell::Unknown } else { Cell::Integer(number) };
        let c = &one.connection;
        let owner = one.owner.as_ref();
        match self {
            Key::Pid => known(owner.map_or(0, |owner| owner.pid).into()),
            Key::Command => owner
                .and_then(|owner| command_text(&owner.command))
                .map_or(Cell::Unknown, Cell::Text),
            Key::Uid => known_uid(c.uid).map_or(Cell::Unknown, |uid| Cell::Integer(uid.into())),
            Key::Cgroup => known(c.cgroup),
            Key::Netns => known(c.netns.into()),
            Key::Port => known(c.local_port.min(c.remote_port).into()),
            Key::LocalPort => known(c.local_port.into()),
            Key::RemotePort => known(c.remote_port.into()),
            Key::Remote => {
                Cell::Text(Address { family: c.family, address: c.remote_address }.to_string())
            }
            Key::Protocol => Cell::Text(Protocol(c.protocol).to_string()),
        }
    }
}

/// Connections that have the keys in common, or what is no connection's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they have in common.
    pub of: Of,
    /// How many connections.
    pub connections: u64,
    /// What they have moved, by direction.
    pub totals: Totals,
    /// Segments that TCP sent again.
    pub retransmitted_packets: u64,
    /// Packets that the kernel dropped.
    pub drops: u64,
    /// Of these, those that were lost.
    pub losses: u64,
    /// Bytes a second received, the last whole window of each together.
    pub rate_in: u64,
    /// Bytes a second sent, the last whole window of each together.
    pub rate_out: u64,
}

/// Whose the numbers of a group are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// Listed connections that have these values of the keys, in their order.
    Connections(Vec<Cell>),
    /// Connections that are no longer listed.
    Closed,
    /// Packets that belong to no connection, by reason.
    Untracked(String),
}

impl Group {
    fn new(of: Of) -> Self {
        Group {
            of,
            connections: 0,
            totals: Totals::ZERO,
            retransmitted_packets: 0,
            drops: 0,
            losses: 0,
            rate_in: 0,
            rate_out: 0,
        }
    }

    /// IP bytes in all directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = Direction::ALL.map(|direction| self.totals.of(direction).bytes);
        bytes.into_iter().fold(0, u64::wrapping_add)
    }
}

/// Adds connections up by their keys.
///
/// Memory grows with the number of groups, not with that of connections.
#[derive(Clone, Debug)]
pub struct Aggregate {
    keys: Vec<Key>,
    groups: BTreeMap<Vec<Cell>, Group>,
    others: Vec<Group>,
}

impl Aggregate {
    /// Nothing yet, by these keys. Without keys all connections are one group.
    #[must_use]
    pub fn by(keys: &[Key]) -> Self {
        Aggregate { keys: keys.to_vec(), groups: BTreeMap::new(), others: Vec::new() }
    }

    /// Whether it is by what only the owning fd knows of a connection.
    #[must_use]
    pub fn asks_for_owner(&self) -> bool {
        self.keys.iter().any(|key| matches!(key, Key::Pid | Key::Command))
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Adds a connection.
    pub fn add(&mut self, one: &OwnedConnection) {
        let cells: Vec<Cell> = self.keys.iter().map(|key| key.cell(one)).collect();
        let group = self
            .groups
            .entry(cells)
            .or_insert_with_key(|cells| Group::new(Of::Connections(cells.clone())));
        let c = &one.connection;
        let [sent, received] = directions(c);
        group.connections += 1;
        group.totals.of_mut(sent).add(&c.sent);
        group.totals.of_mut(received).add(&c.received);
        group.retransmitted_packets += c.quality.retransmitted_packets;
        group.drops += c.quality.drops;
        group.losses += c.losses();
        group.rate_in = group.rate_in.saturating_add(c.quality.rate_in);
        group.rate_out = group.rate_out.saturating_add(c.quality.rate_out);
    }

    /// Adds what connections that are no longer listed have moved.
    pub fn closed(&mut self, totals: &Totals, connections: u64) {
        let group = Group::new(Of::Closed);
        self.others.push(Group { totals: *totals, connections, ..group });
    }

    /// Adds what belongs to no connection.
    pub fn untracked(&mut self, untracked: &Untracked) {
        let group = Group::new(Of::Untracked(ReasonName(untracked.reason).to_string()));
        self.others.push(Group { totals: untracked.totals, ..group });
    }

    /// The groups, the one with the most bytes first; then what is closed and, where there is any,
    /// what is untracked.
    #[must_use]
    pub fn into_groups(self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.bytes()));
        let is_something = |group: &Group| group.of == Of::Closed || group.totals != Totals::ZERO;
        groups.extend(self.others.into_iter().filter(is_something));
        groups
    }

    /// The sum of all that was added.
    #[must_use]
    pub fn sum(&self) -> Totals {
        let mut sum = Totals::ZERO;
        for group in self.groups.values().chain(&self.others) {
            sum.add(&group.totals);
        }
        sum
    }
}
